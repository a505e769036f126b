/* SPDX-License-Identifier: MIT */
/* The input files of a trial, such as data, tokenizer and base weights: the options of kind
 * RG_KIND_PATH. Each is described by names, sizes and SHA-256, so that the same file can be
 * recognised elsewhere. One thread at a time.
 *
 * A description is JSON:
 *
 *   [ { "setting": "environment.data", "path": "data/verses", "folder": true,
 *       "files": [ { "name": "base.jsonl", "size": 123, "sha256": "..." }, ... ] }, ... ]
 *
 * For a folder, the regular files in it that are read (input_sums.h) are listed, without those in
 * its subfolders. */
#ifndef RG_EXPERIMENTS_PROGRAM_PACKAGE_TRIAL_INPUTS_H
#define RG_EXPERIMENTS_PROGRAM_PACKAGE_TRIAL_INPUTS_H

#include "core/settings.h"

#include <jansson.h>

/* Describes the inputs of resolved settings in their present state. The caller frees the JSON. */
RgStatus rg_inputs_describe(const RgSettings *resolved, json_t **inputs, RgError *error);

/* Checks that `path` has the described input. The message has the first file that is missing or
 * differs. */
RgStatus rg_input_check(const json_t *input, const char *path, RgError *error);

/* Path of a described file of the input at `path`. The caller frees it. */
char *rg_input_file(const json_t *input, const char *path, const json_t *file);

/* Copies the input into `folder` under its own name. The caller frees *copy, the copy's path. */
RgStatus rg_input_copy(const json_t *input, const char *folder, char **copy, RgError *error);

#endif
