/* SPDX-License-Identifier: MIT */
/* Files of what a paper reports, its figures and claims: analysis/papers/NAME.cfg, or a user's own.
 *
 *     title = "…";
 *     reference = "Author et al. 2024, arXiv:…";
 *     experiments = [ "experiments/published/NAME.cfg" ];     configs that run them again
 *     figures = ( { method = "dpo"; metric = "win rate"; value = "0.5 ± 0.1"; setting = "…";
 *                   source = "Table 1"; checked = "paper";
 *                   quantity = "win_rate_base"; where = ["beta=0.1"]; experiment = "NAME";
 *                   first_step = 450; last_step = 500;
 *                   exact = 0.53; tolerance = 0.02; tolerance_reason = "…"; } );
 *     claims = ( { claim = "…"; method = "dpo"; than = "ppo"; relation = "below";
 *                  quantity = "win_rate_base"; source = "Figure 2"; checked = "paper"; } );
 *     differences = [ "…" ];
 *     unknown = [ "…" ];
 *
 * `quantity` is taken at the last evaluation, or, with first_step and last_step, as the mean of the
 * logged rows from the one to the other. A figure may omit `quantity` and what follows it, and a file `experiments`, `claims`,
 * `differences` and `unknown`. With a tolerance a figure has a verdict (analysis/compare/paper.h). `differs` gives the
 * reason of a known difference; `not_comparable` gives the reason why there is no verdict. A figure
 * that no paper reports, only an exact value, has no `value`.
 *
 * A claim has a relation ("above", "below", or "near" with `within`) to another method (`than`) or to
 * a number (`value`). `where` holds for both methods, unless `than_where` is given; `at` and
 * `than_at` are steps, else the end is read; reading = "order" is the order of convergence, of values
 * above `floor`. `deterministic`: nothing is drawn, so that one seed decides. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_PAPER_FILE_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_PAPER_FILE_H

#include "analysis/compare/paper.h"

typedef struct RgPaperFile RgPaperFile;

/* Reads a file by name, such as "sail", or by path (with a slash, or ending in .cfg). RG_E_USAGE
 * lists the known names, or has file, line and key. */
RgStatus rg_paper_read(const char *name, RgPaperFile **file, RgError *error);
/* The files of analysis/papers by name: [*count], sorted. The caller frees each and the array. */
char **rg_paper_names(int64_t *count);
/* The name of a config's experiment: that of its file without folders and suffix. The caller frees
 * it. */
char *rg_paper_experiment(const char *config);
void rg_paper_close(RgPaperFile *file);
const RgPaper *rg_paper_of(const RgPaperFile *file);

#endif
