/* The files of the text environment, and how their texts become token sequences.
 *
 * A file is JSON lines: each an object with the strings "prompt", "chosen" and "rejected"; other
 * members are not looked at. The layout of a sequence is
 *
 *     prompt    <|begin|> prompt text, newline
 *     response  response text, <|end|>
 *
 * and every member of the project that makes or reads text sequences goes through here. */
#ifndef RG_ENVS_TEXT_DATA_H
#define RG_ENVS_TEXT_DATA_H

#include "core/policy/sequences.h"
#include "core/text/tokenizer.h"

typedef struct RgTextLine {
    char *prompt, *chosen, *rejected;
    int number; /* of the line in its file, from 1 */
} RgTextLine;

typedef struct RgTextData {
    char *path;
    RgTextLine *lines; /* [count] */
    int64_t count, capacity;
} RgTextData;

/* Read a file; blank lines are skipped. RG_E_FORMAT with file and line when a line is not JSON, a
 * member is missing or no string, a response is empty, or the file holds no line at all. On error
 * NULL is left in *data. */
RgStatus rg_text_data_read(const char *path, RgTextData **data, RgError *error);
void rg_text_data_destroy(RgTextData *data);

/* Append one sequence; without a response (NULL) a prompt alone. */
void rg_text_append(RgSequences *sequences, const RgTokenizer *tokenizer, const char *prompt,
                    const char *response);

/* Append prompt and response as one text to be learnt as a whole: the prompt is <|begin|> alone,
 * everything after it the response. The same tokens in the same order as rg_text_append's. */
void rg_text_append_whole(RgSequences *sequences, const RgTokenizer *tokenizer, const char *prompt,
                          const char *response);

/* The texts of sequence `index` without special tokens and the prompt's newline; malloc'd. */
char *rg_text_prompt(const RgTokenizer *tokenizer, const RgSequences *sequences, int64_t index);
char *rg_text_response(const RgTokenizer *tokenizer, const RgSequences *sequences, int64_t index);

#endif
