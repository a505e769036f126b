/* SPDX-License-Identifier: MIT */
/* Frames of figures, and lines of their data files. */
#include "analysis/figures/figure_parts.h"
#include "analysis/figures/gnuplot.h"

#include <math.h>

const char *const rg_figure_color[RG_FIGURE_COLORS] = {
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#2D3C00",
    "#690F4B", "#0000F0", "#B41E3C", "#003C87", "#8778FF", "#A5B478", "#A53C78", "#2D694B",
    "#0F5AE1", "#694B00", "#69964B", "#780F2D", "#FF4B87", "#D200B4", "#E196A5", "#3CA5B4",
    "#5A3C69", "#6996D2", "#00C3A5", "#966996", "#8700B4", "#965A00", "#5A0F69", "#78C34B",
    "#FF002D", "#00D200", "#C8A000", "#7D7D00", "#FFA578", "#E100FF", "#F096FF", "#877869",
    "#1E4B5A", "#000F87", "#4B2D1E"};

const char rg_figure_one_sided[] = "0 '#F3F8FC', 0.5 '#79B3DB', 1 '#08457E'";
const char rg_figure_two_sided[] = "0 '#8F3B00', 0.25 '#EBA46B', 0.5 '#FAFAFA', 0.75 '#79B3DB', "
                                   "1 '#08457E'";

void rg_figure_write_name(FILE *out, const char *name) {
    for (; *name; name++)
        putc((unsigned char)*name < ' ' ? ' ' : *name, out);
}

/* A missing value reads as NaN in any program. */
void rg_figure_write_number(FILE *out, double number) {
    if (isnan(number))
        fputs("nan\t", out);
    else
        fprintf(out, "%.10g\t", number);
}

void rg_figure_write_looks(FILE *out) {
    fputs("set datafile separator tab\n"
          "set datafile missing 'nan'\n"
          "set encoding utf8\n"
          "set border 3 linewidth 0.7*lw linecolor rgb '#444444'\n"
          "set tics nomirror out scale 0.5 textcolor rgb '#333333'\n",
          out);
}

void rg_figure_write_title(FILE *out, const char *title) {
    if (title) {
        fputs("set title ", out);
        rg_gnuplot_quote(out, title);
        fputs(" offset 0, 1 textcolor rgb '#000000'\n", out);
    }
    fprintf(out, "set tmargin %g\n", title ? 4.2 : 2.2);
}
