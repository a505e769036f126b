/* SPDX-License-Identifier: MIT */
/* From single responses with labels to pairs: of one conversation, the first response that is left
 * with either label, then the next. */
#ifndef RG_ENVS_TEXT_TEXT_MATCH_H
#define RG_ENVS_TEXT_TEXT_MATCH_H

#include "envs/text/text_data.h"

typedef struct RgTextMatch RgTextMatch;

RgTextMatch *rg_text_match_create(void);
void rg_text_match_destroy(RgTextMatch *match);

/* Match a line that has one response, and take ownership of it. True: it has become a pair with an
 * earlier line; *pair out, of the number of this line. False: it waits. */
bool rg_text_match_add(RgTextMatch *match, RgTextLine *line, RgTextLine *pair);

/* How many lines wait, and the number of the first of these; 0: none waits. */
int64_t rg_text_match_waiting(const RgTextMatch *match, int *first);

/* Move the lines that wait, in their order, to `lines` [rg_text_match_waiting], which then owns
 * them. */
void rg_text_match_take(RgTextMatch *match, RgTextLine *lines);

#endif
