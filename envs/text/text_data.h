/* SPDX-License-Identifier: MIT */
/* The files of the text environment: preferences between two responses to a prompt, in published
 * formats. A file is JSON lines, plain or compressed (core/text/lines.h), in one of these formats:
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
 *
 * Other members are ignored. A chat's "chosen" and "rejected" may omit the turns before the
 * response if the list "prompt" has them (TRL's explicit prompts). All lines may be in one JSON
 * array. How texts become tokens is defined in envs/text/text_layout.h. */
#ifndef RG_ENVS_TEXT_TEXT_DATA_H
#define RG_ENVS_TEXT_TEXT_DATA_H

#include "core/base.h"

typedef enum RgTextFormat {
    RG_TEXT_AUTO, /* detected from the members of the first line */
    RG_TEXT_PLAIN,
    RG_TEXT_HH,
    RG_TEXT_PKU,
    RG_TEXT_ULTRAFEEDBACK,
    RG_TEXT_CHAT,
} RgTextFormat;
extern const char *const rg_text_formats[]; /* as choices of an option */

/* The label of PKU-SafeRLHF to use. */
typedef enum RgTextPreference { RG_TEXT_BETTER, RG_TEXT_SAFER } RgTextPreference;
extern const char *const rg_text_preferences[];

typedef enum RgRole { RG_SYSTEM, RG_USER, RG_ASSISTANT } RgRole;
extern const char *const rg_role_names[]; /* "system", "user", "assistant" */

typedef struct RgTurn {
    RgRole role;
    char *text;
} RgTurn;

typedef struct RgTextLine {
    RgTurn *turns; /* [turn_count] the conversation up to the response, at least one */
    int64_t turn_count;
    char *chosen, *rejected;
    int number; /* of the line in its file, from 1 */
} RgTextLine;

/* Why a line is unusable. */
typedef enum RgTextUseless {
    RG_TEXT_USELESS_EMPTY,      /* a response is blank */
    RG_TEXT_USELESS_SAME,       /* both responses are the same */
    RG_TEXT_USELESS_TIES,       /* equal scores */
    RG_TEXT_USELESS_UNSCORED,   /* a score is null */
    RG_TEXT_USELESS_PARTED,     /* the conversations differ before their last turn */
    RG_TEXT_USELESS_REFUSED,    /* by the chat template; see rg_text_layout_check */
    RG_TEXT_USELESS_UNREADABLE, /* half a surrogate pair, a NUL character, a member twice */
    RG_TEXT_USELESS,
} RgTextUseless;
extern const char *const rg_text_useless[]; /* "empty", …: parts of metric names */

typedef struct RgTextData {
    char *path;
    RgTextLine *lines; /* [count] */
    int64_t count, capacity;
    int64_t useless[RG_TEXT_USELESS]; /* lines left out, by reason */
} RgTextData;

int64_t rg_text_data_useless(const RgTextData *data); /* for any reason */

/* The judge's view of a conversation: its last turn. */
static inline const char *rg_text_line_prompt(const RgTextLine *line) {
    return line->turns[line->turn_count - 1].text;
}

/* Read a file. Blank lines are skipped, unusable ones counted. RG_E_FORMAT, with file, line and
 * member, if a line is not JSON, a member is missing or has another type, or no line is left;
 * RG_E_RANGE if a line is longer than `line_limit` MiB. On error *data is NULL. */
RgStatus rg_text_data_read(const char *path, RgTextFormat format, RgTextPreference preference,
                           int64_t line_limit, RgTextData **data, RgError *error);
void rg_text_data_destroy(RgTextData *data);

/* Move the wanted lines, in their order, into a new object, which the caller destroys. */
RgTextData *rg_text_data_take(RgTextData *data,
                              bool (*wanted)(const RgTextLine *line, const void *context),
                              const void *context);

#endif
