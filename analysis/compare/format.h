/* SPDX-License-Identifier: MIT */
/* Formatting of numbers and text for people, and escaping for the formats that the analysis
 * writes. */
#ifndef RG_ANALYSIS_COMPARE_FORMAT_H
#define RG_ANALYSIS_COMPARE_FORMAT_H

#include "analysis/statistics/statistics.h"
#include "analysis/store/query.h"
#include "core/base.h"

#include <stdio.h>

#define RG_DASH "\u2013" /* shown for a missing value */

/* "0.612 ± 0.014": digits to two significant ones of the standard error, in the format of the unit:
 * percent with one decimal and without the sign, counts with k, M, G, T, P. Four significant digits
 * without a standard error (NaN or 0, or far below the digits of a count). What six decimals would
 * show as zeros has an exponent: "4.4e-13 ± 1.9e-13". NaN: a dash.
 * malloc'd. */
char *rg_format_value(double value, double standard_error, RgUnit unit);

/* With a typographic minus, and no minus before zero. malloc'd. */
char *rg_format_fixed(double value, int decimals);

/* "[58.4, 64.0]", with the digits that the interval's width justifies; NULL for NaN. malloc'd. */
char *rg_format_interval(RgInterval interval, RgUnit unit);

/* "0.013", or "< 0.0001"; a dash for NaN. malloc'd. */
char *rg_format_p(double p_value);

/* Write escaped text to a stream; NULL writes nothing. Control characters and invalid UTF-8, which
 * no escaping makes valid, become U+FFFD in all formats except CSV. White-space control characters
 * become a space, except in CSV and HTML. */
void rg_write_html(FILE *out, const char *text);
void rg_write_latex(FILE *out, const char *text);
void rg_write_markdown(FILE *out, const char *text); /* for a cell of a table */
void rg_write_line(FILE *out, const char *text);     /* plain text on one line */
void rg_write_csv(FILE *out, const char *text);      /* a field, quoted if needed (RFC 4180) */
/* The same for spreadsheets, which evaluate text that begins with = + - @, a tab or a carriage
 * return: such text, except a number, gets an apostrophe before it. */
void rg_write_safe_csv(FILE *out, const char *text);

#endif
