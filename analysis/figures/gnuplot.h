/* SPDX-License-Identifier: MIT */
/* Running gnuplot: an image in the format of its file name, with the data and the script next to
 * it. The caller decides the contents; gnuplot's terminals are known only here. */
#ifndef RG_ANALYSIS_FIGURES_GNUPLOT_H
#define RG_ANALYSIS_FIGURES_GNUPLOT_H

#include "core/base.h"

#include <stdio.h>

/* RG_E_USAGE unless `output` ends in .svg, .png or .pdf and has no control characters. */
RgStatus rg_gnuplot_check(const char *output, RgError *error);

/* Letters have 9 points in every format. In the units of `width` and `height`: */
enum { RG_GNUPLOT_LETTER = 7 /* approximate width of a letter */, RG_GNUPLOT_LINE = 17 };

/* Plot into `output`. `data` is written next to it as .tsv. `script` can use the variables `data`,
 * the name of that file, `lw`, a line of 0.75 points, and `fs`, the size of the letters. Width and
 * height are in pixels at 96 per inch, the true size on paper. RG_E_FILE, with gnuplot's message,
 * if gnuplot is missing or fails. */
RgStatus rg_gnuplot_draw(const char *output, int width, int height, const char *data,
                         const char *script, RgError *error);

/* Write a string for a script, in double quotes. Every text from outside the program must be
 * written by it. Control characters become spaces. */
void rg_gnuplot_quote(FILE *out, const char *text);
/* Write an entry of a list of tics: its position and its text, escaped because gnuplot uses it as a
 * format. */
void rg_gnuplot_tic(FILE *out, const char *text, double at);

#endif
