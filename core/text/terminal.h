/* SPDX-License-Identifier: MIT */
/* The program's standard output and error, as people read them on a terminal. Labels, reasons,
 * paths and answers come from outside, and a terminal obeys what it is shown: so control characters
 * but line feeds and tabs, marks that turn the direction of writing, and bytes that are no UTF-8
 * become U+FFFD here, at the one door, and writers need not think of it. */
#ifndef RG_CORE_TEXT_TERMINAL_H
#define RG_CORE_TEXT_TERMINAL_H

#include "core/utf8.h"

#include <stdio.h>

/* Put a filter in front of stdout and stderr; once, before anything is written. */
void rg_terminal_begin(void);

/* What follows on stdout is a file for programs (CSV, JSON, texts to be read back): its bytes pass
 * as they are, unless they go to a terminal after all. */
void rg_terminal_data(void);

/* Write the program's own control sequences, at once, past the filter; text from outside among
 * them is made printable first (rg_make_printable). Any stream. */
void rg_terminal_control(FILE *stream, const char *text);

/* The filter by itself: the text as it is shown, appended to `out`. Returns how many bytes were
 * taken: all, or without those at the end that may be the start of a character. */
size_t rg_terminal_filter(const char *text, size_t size, RgBuffer *out);

#endif
