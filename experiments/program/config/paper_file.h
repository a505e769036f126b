/* SPDX-License-Identifier: MIT */
/* Files of reported figures: analysis/papers/NAME.cfg, or a user's own.
 *
 *     title = "…";
 *     reference = "Author et al. 2024, arXiv:…";
 *     figures = ( { method = "dpo"; metric = "win rate"; value = "0.5 ± 0.1"; setting = "…";
 *                   source = "Table 1"; checked = "paper";
 *                   quantity = "win_rate_base"; where = ["beta=0.1"]; } );
 *     differences = [ "…" ];
 *     unknown = [ "…" ];
 *
 * `quantity` and `where` of a figure may be omitted, and so may `differences` and `unknown`. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_PAPER_FILE_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_PAPER_FILE_H

#include "analysis/compare/paper.h"

typedef struct RgPaperFile RgPaperFile;

/* Reads a file by name, such as "sail", or by path (with a slash, or ending in .cfg). RG_E_USAGE
 * lists the known names, or has file, line and key. */
RgStatus rg_paper_read(const char *name, RgPaperFile **file, RgError *error);
void rg_paper_close(RgPaperFile *file);
const RgPaper *rg_paper_of(const RgPaperFile *file);

#endif
