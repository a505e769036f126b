/* SPDX-License-Identifier: MIT */
/* The files that a trial reads beside its settings: data, tokenizer, base weights and the like,
 * which are the options of kind RG_KIND_PATH. Each is described by names, sizes and SHA-256, so
 * that the same file is known again elsewhere.
 *
 * A description is JSON:
 *
 *   [ { "setting": "environment.data", "path": "data/verses", "folder": true,
 *       "files": [ { "name": "base.jsonl", "size": 123, "sha256": "..." }, ... ] }, ... ]
 *
 * Of a folder the regular files in it are listed that are read (input_sums.h), those in folders
 * below it not. */
#ifndef RG_EXPERIMENTS_PROGRAM_PACKAGE_TRIAL_INPUTS_H
#define RG_EXPERIMENTS_PROGRAM_PACKAGE_TRIAL_INPUTS_H

#include "core/settings.h"

#include <jansson.h>

/* Describe the inputs of resolved settings, as they are now. */
RgStatus rg_inputs_describe(const RgSettings *resolved, json_t **inputs, RgError *error);

/* Is what lies at `path` the described input? Refused by the name of the first file that is missing
 * or another. */
RgStatus rg_input_check(const json_t *input, const char *path, RgError *error);

/* Path of a described file of the input at `path`, malloc'd. */
char *rg_input_file(const json_t *input, const char *path, const json_t *file);

/* Copy the input to below `folder`, where it keeps its name: the copy's path, malloc'd, in *copy.
 */
RgStatus rg_input_copy(const json_t *input, const char *folder, char **copy, RgError *error);

#endif
