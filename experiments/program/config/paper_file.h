/* SPDX-License-Identifier: MIT */
/* The files of reported figures: analysis/papers/NAME.cfg, or one's own.
 *
 *     title = "…"; reference = "Author et al. 2024, arXiv:…";
 *     figures = ( { method = "dpo"; metric = "win rate"; value = "0.5 ± 0.1"; setting = "…";
 *                   source = "Table 1"; checked = "paper";
 *                   measure = "win_rate_base"; where = ["beta=0.1"]; } );   // the last two may
 * lack differences = [ "…" ];    unknown = [ "…" ];
 */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_PAPER_FILE_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_PAPER_FILE_H

#include "analysis/compare/paper.h"

typedef struct RgPaperFile RgPaperFile;

/* By name, such as "sail", or by path, which has a slash in it or ends in .cfg. RG_E_USAGE with the
 * names that there are, or with file, line and key. */
RgStatus rg_paper_read(const char *name, RgPaperFile **file, RgError *error);
void rg_paper_close(RgPaperFile *file);
const RgPaper *rg_paper_of(const RgPaperFile *file);

#endif
