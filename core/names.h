/* SPDX-License-Identifier: MIT */
/* Names that people and strangers give: of experiments, labels, keys of trials, files in a package.
 * They become paths, words of scripts and cells of tables. Each kind has one grammar, which is
 * here, and is checked where a name comes in: in a config, in a package, in a results store. */
#ifndef RG_CORE_NAMES_H
#define RG_CORE_NAMES_H

#include "core/base.h"

/* Why the text is no name of an experiment, as the end of a sentence; NULL: it is one. A name is
 * valid UTF-8 of 1 to 128 bytes, without '/' and control characters (rg_utf8_is_control), and
 * begins with neither '-' nor '.'. */
const char *rg_experiment_name_fault(const char *name);

/* The same of a label: valid UTF-8 of at most 256 bytes, without control characters. */
const char *rg_label_fault(const char *label);

/* The same of an algorithm, environment, policy, judge, estimator or optimiser: 1 to 48 lower-case
 * letters, digits and hyphens, of which the first is a letter. */
const char *rg_descriptor_name_fault(const char *name);

/* A trial's key: 16 hexadecimal digits, in lower case. */
bool rg_key_is_valid(const char *key);

/* A path that stays below the folder that it is relative to: parts between slashes, none of them
 * empty, "." or "..", without control characters. */
bool rg_inner_path_is_valid(const char *path);

/* For what has to stay on one line, in place: white control characters become spaces; others, and
 * bytes that are no part of valid UTF-8, '?', as many as they have bytes. */
void rg_make_printable(char *text);

#endif
