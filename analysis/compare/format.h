/* SPDX-License-Identifier: MIT */
/* Numbers and text as people read them, and escaping for the formats that the analysis writes. */
#ifndef RG_ANALYSIS_COMPARE_FORMAT_H
#define RG_ANALYSIS_COMPARE_FORMAT_H

#include "analysis/statistics/statistics.h"
#include "analysis/store/query.h"
#include "core/base.h"

#include <stdio.h>

#define RG_DASH "\u2013" /* shown where there is no value */

/* "0.612 ± 0.014": as many digits as the standard error justifies (two of its own), in the unit's
 * way of writing: percent with one decimal and without the sign, counts with k, M, G, T, P. Without
 * a standard error (NaN or 0, or far below a count's own digits), four significant digits. NaN: a
 * dash. malloc'd. */
char *rg_format_value(double value, double standard_error, RgUnit unit);

/* With the typographic minus, and no minus before a zero. malloc'd. */
char *rg_format_fixed(double value, int decimals);

/* "[58.4, 64.0]", with the digits that the interval's width justifies; NULL when it is NaN. */
char *rg_format_interval(RgInterval interval, RgUnit unit);

/* "0.013", or "< 0.0001"; a dash for NaN. malloc'd. */
char *rg_format_p(double p_value);

/* Escaped copies to a stream; NULL text writes nothing. But in CSV, what no escaping makes valid
 * (control characters, broken UTF-8) becomes U+FFFD, and but in HTML, too, white ones a space. */
void rg_write_html(FILE *out, const char *text);
void rg_write_latex(FILE *out, const char *text);
void rg_write_markdown(FILE *out, const char *text); /* for a cell of a table */
void rg_write_line(FILE *out, const char *text);     /* plain text that is to stay on its line */
void rg_write_csv(FILE *out, const char *text);      /* a field, quoted if need be (RFC 4180) */
/* The same for a spreadsheet, which computes what begins with = + - @, a tab or a carriage return:
 * an apostrophe before it, but before a number. */
void rg_write_safe_csv(FILE *out, const char *text);

#endif
