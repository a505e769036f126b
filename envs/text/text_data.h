/* SPDX-License-Identifier: MIT */
/* The files of the text environment: preferences between two responses to a prompt, in published
 * formats. A file is JSON lines, plain or compressed (core/text/lines.h), or one JSON array, whose
 * elements count as lines (core/text/json_lines.h). Each is in one of these formats:
 *
 *     plain          strings "prompt", "chosen", "rejected"
 *     hh             strings "chosen" and "rejected": transcripts of "\n\nHuman: …" and
 *                    "\n\nAssistant: …" that differ in the last turn (Anthropic's HH)
 *     pku            strings "prompt", "response_0", "response_1", numbers "better_response_id" and
 *                    "safer_response_id" (PKU-SafeRLHF)
 *     ultrafeedback  string "instruction", list "completions" with "response" and "overall_score";
 *                    the best and the worst are taken (UltraFeedback)
 *     chat           lists "chosen" and "rejected" of messages with "role" and "content"
 *                    (UltraFeedback binarised, and the format of trainers)
 *     unpaired       "prompt" and "completion", strings or lists of messages, and "label", true or
 *                    false: single responses (the format of KTO)
 *
 * Other members are ignored. A chat's "chosen" and "rejected" may omit the turns before the
 * response if the list "prompt" has them (TRL's explicit prompts). Plain lines and chats may have
 * scores of both responses, of which ties are left out. Unpaired lines become pairs: of one
 * conversation, the first response with either label that is left, and so on. Those that are without
 * a counterpart at the end are left out, or kept as they are.
 *
 * A line that cannot be used is left out and counted by its reason. How texts become tokens is
 * defined in envs/text_layout.h. */
#ifndef RG_ENVS_TEXT_TEXT_DATA_H
#define RG_ENVS_TEXT_TEXT_DATA_H

#include "envs/conversation.h"

typedef enum RgTextFormat {
    RG_TEXT_AUTO, /* detected from the members of the first line that has those of a format */
    RG_TEXT_PLAIN,
    RG_TEXT_HH,
    RG_TEXT_PKU,
    RG_TEXT_ULTRAFEEDBACK,
    RG_TEXT_CHAT,
    RG_TEXT_UNPAIRED,
    RG_TEXT_FORMATS,
} RgTextFormat;
extern const char *const rg_text_formats[]; /* as choices of an option */

/* The label of PKU-SafeRLHF to use. */
typedef enum RgTextPreference { RG_TEXT_BETTER, RG_TEXT_SAFER } RgTextPreference;
extern const char *const rg_text_preferences[];

/* Members whose names a file may choose: those of the formats plain, hh, chat and unpaired. */
typedef enum RgTextColumn {
    RG_TEXT_PROMPT,
    RG_TEXT_CHOSEN,
    RG_TEXT_REJECTED,
    RG_TEXT_COMPLETION,
    RG_TEXT_LABEL,
    RG_TEXT_CHOSEN_SCORE, /* without names for both scores, plain lines and chats have none */
    RG_TEXT_REJECTED_SCORE,
    RG_TEXT_COLUMNS,
} RgTextColumn;

/* How files are read. */
typedef struct RgTextReading {
    RgTextFormat format;
    RgTextPreference preference;
    const char *column[RG_TEXT_COLUMNS]; /* names of members; NULL: as in the list above */
    bool stop;                           /* the first unusable line is an error */
    bool singles;                        /* single responses without a counterpart are kept */
    int64_t line_limit;                  /* MiB; 0: RG_LINE_MIB */
} RgTextReading;

/* Whether a column has a name of its own, which the formats pku and ultrafeedback do not read. */
bool rg_text_renames(const RgTextReading *reading);

typedef struct RgTextLine {
    RgTurn *turns; /* [turn_count] the conversation up to the response, at least one */
    int64_t turn_count;
    char *chosen, *rejected; /* one of them is NULL: a single response */
    int number;              /* of the line in its file, from 1 */
} RgTextLine;

static inline bool rg_text_line_is_pair(const RgTextLine *line) {
    return line->chosen && line->rejected;
}

/* Why a line is unusable. */
typedef enum RgTextReason {
    RG_TEXT_EMPTY,      /* a response is blank or null */
    RG_TEXT_SAME,       /* both responses are the same */
    RG_TEXT_TIES,       /* equal scores */
    RG_TEXT_UNSCORED,   /* a score or label is null */
    RG_TEXT_PARTED,     /* the conversations differ before the response */
    RG_TEXT_UNMATCHED,  /* unpaired: no response with the other label is left for it */
    RG_TEXT_UNREADABLE, /* a NUL, half a surrogate pair, bytes that are not UTF-8 */
    RG_TEXT_DUPLICATE,  /* a member occurs twice */
    RG_TEXT_MALFORMED,  /* not a JSON object */
    RG_TEXT_MISFIT,     /* a member is missing, or not as the format has it */
    RG_TEXT_REFUSED, /* by the chat template, see rg_text_try_append; not counted by the reader */
    RG_TEXT_REASONS,
} RgTextReason;
extern const char *const rg_text_reasons[]; /* "empty", …: parts of metric names */

/* The lines that are left out for one reason. */
typedef struct RgTextLeftOut {
    int64_t count;
    int first;     /* number of the first */
    char why[160]; /* what is wrong with it */
} RgTextLeftOut;

typedef struct RgTextData {
    char *path;
    RgTextLine *lines; /* [count] */
    int64_t count, capacity;
    int64_t read;     /* lines that are not blank */
    const char *unit; /* "line"; or "element", of one array */
    RgTextLeftOut left_out[RG_TEXT_REASONS];
} RgTextData;

int64_t rg_text_data_left_out(const RgTextData *data); /* for any reason */
/* "x.jsonl: left out 3 of 10 lines as unusable: 2 with a blank response (first: line 4), …", which
 * the caller frees; NULL: none is left out. */
char *rg_text_data_report(const RgTextData *data);
/* RG_E_FORMAT, "x.jsonl:3: …" or "x.json: element 3: …", for the first line that is left out, where it
 * is an error. */
RgStatus rg_text_data_stop(const RgTextData *data, int number, const char *why, RgError *error);
/* RG_E_FORMAT, for a file of which nothing is left: the same with what is wrong in each first line. */
RgStatus rg_text_data_refuse(const RgTextData *data, RgError *error);

/* The judge's view of a conversation: its last turn. */
static inline const char *rg_text_line_prompt(const RgTextLine *line) {
    return line->turns[line->turn_count - 1].text;
}

/* Read a file. RG_E_FORMAT if no line is left, with the counts of those that are left out, and with
 * `stop` at the first of these, with file, line and what is wrong. RG_E_RANGE if a line or the array
 * is longer than the limit. On error *data is NULL. */
RgStatus rg_text_data_read(const char *path, const RgTextReading *reading, RgTextData **data,
                           RgError *error);
void rg_text_data_destroy(RgTextData *data);

/* Move the wanted lines, in their order, into a new object, which the caller destroys. */
RgTextData *rg_text_data_take(RgTextData *data,
                              bool (*wanted)(const RgTextLine *line, const void *context),
                              const void *context);

#endif
