/* SPDX-License-Identifier: MIT */
/* Running gnuplot: an image in the format that its name asks for, with the data and the script left
 * beside it. What is drawn is the caller's; only this file knows of gnuplot's terminals. */
#ifndef RG_ANALYSIS_FIGURES_GNUPLOT_H
#define RG_ANALYSIS_FIGURES_GNUPLOT_H

#include "core/base.h"

#include <stdio.h>

/* RG_E_USAGE where `output` ends in none of .svg, .png and .pdf, or has control characters. */
RgStatus rg_gnuplot_check(const char *output, RgError *error);

/* Letters are of 9 points in every format. In the units of `width` and `height`: */
enum { RG_GNUPLOT_LETTER = 7 /* width of a letter, about */, RG_GNUPLOT_LINE = 17 };

/* Draw into `output`. `data` is written beside it as .tsv; `script` may call that file `data`, and
 * finds the variables `lw`, a line of 0.75 points, and `fs`, the size of the letters. Width and
 * height are in pixels at 96 to the inch, and are the true size on paper. RG_E_FILE when gnuplot is
 * missing or fails, with what it said. */
RgStatus rg_gnuplot_draw(const char *output, int width, int height, const char *data,
                         const char *script, RgError *error);

/* A string for a script, in double quotes; every text that does not come from the program itself
 * goes through here. Control characters become spaces. */
void rg_gnuplot_quote(FILE *out, const char *text);
/* One of a list of tics: the string, which gnuplot takes for a format there, and its place. */
void rg_gnuplot_tic(FILE *out, const char *text, double at);

#endif
