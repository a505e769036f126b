/* SPDX-License-Identifier: MIT */
/* Which colour a curve has: that of its method, the same in every figure of every experiment, or a
 * free one where several curves are of one method. */
#include "analysis/figures/figure_parts.h"
#include "analysis/figures/plot_parts.h"

#include <string.h>

/* Methods with a colour of their own, in the order of the palette. */
static const char *const methods[] = {
    "dpo",     "online-dpo", "sail-pr",   "sail-dp",    "sail-pp", "parl", "base",
    "ipo",     "kto",        "ppo",       "grpo",       "simpo",   "spin", "sppo",
    "rloo",    "sft",        "best-of-n", "xpo",        "vpo",     "selm", "rebel",
    "nash-md", "hinge",      "listwise",  "sail-revkl", "rdpo",    "cdpo", "chi-po",
    "hybrid",  "online-ipo", "egpo",      "inpo",       "auxdpo",  "rlhf", "unlikelihood",
    "raft",    "apo",        "bco",       "nca",        "exo",     "orpo", "cpo",
    "wpo"};
enum { METHODS = sizeof methods / sizeof *methods };
_Static_assert((int)METHODS <= (int)RG_FIGURE_COLORS, "a colour for each method");

int rg_plot_method_color(const char *algorithm) {
    for (int i = 0; i < METHODS; i++)
        if (strcmp(methods[i], algorithm) == 0)
            return i;
    return -1;
}

RgPlotColors rg_plot_colors(const RgResults *results) {
    RgPlotColors colors = {0};
    for (int g = 0; g < results->group_count; g++) {
        int own = rg_plot_method_color(results->groups[g].algorithm);
        if (own >= 0)
            colors.reserved[own] = true;
    }
    return colors;
}

int rg_plot_color(RgPlotColors *colors, const char *algorithm) {
    int color = rg_plot_method_color(algorithm);
    if (color < 0 || colors->taken[color]) {
        color = 0;
        while (color < RG_FIGURE_COLORS && (colors->reserved[color] || colors->taken[color]))
            color++;
    }
    if (color == RG_FIGURE_COLORS) /* all are taken: again from the first, with other dashes */
        return RG_FIGURE_COLORS + colors->more++;
    colors->taken[color] = true;
    return color;
}

int *rg_plot_group_colors(const RgResults *results) {
    RgPlotColors colors = rg_plot_colors(results);
    int *of_group = rg_allocate(results->group_count, sizeof *of_group);
    for (int g = 0; g < results->group_count; g++)
        of_group[g] = rg_plot_color(&colors, results->groups[g].algorithm);
    return of_group;
}
