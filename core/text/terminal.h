/* SPDX-License-Identifier: MIT */
/* A filter for standard output and error. Labels, reasons, paths and answers come from outside, and
 * a terminal obeys control sequences in them. So control characters except line feed and tab, marks
 * that change the direction of writing, and bytes that are not UTF-8 become U+FFFD here. All output
 * passes this filter, so other code need not consider it.
 *
 * Threads: rg_terminal_begin by one, before any output; then any. */
#ifndef RG_CORE_TEXT_TERMINAL_H
#define RG_CORE_TEXT_TERMINAL_H

#include "core/utf8.h"

#include <stdio.h>

/* Installs the filter for stdout and stderr. Call it once, before anything is written. */
void rg_terminal_begin(void);

/* Declares the rest of stdout as data for programs (CSV, JSON, texts to be read back): its bytes
 * are unchanged, unless stdout is a terminal. */
void rg_terminal_data(void);

/* Writes the program's own control sequences immediately, bypassing the filter. Make text from
 * outside printable first (rg_make_printable). Any stream. */
void rg_terminal_control(FILE *stream, const char *text);

/* The filter function: appends the text to `out` as it is shown. Returns the number of bytes
 * consumed: all, or all but an incomplete character at the end. */
size_t rg_terminal_filter(const char *text, size_t size, RgBuffer *out);

#endif
