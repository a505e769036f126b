/* SPDX-License-Identifier: MIT */
/* Names that people give to experiments, labels, trial keys and files in a package. Names become
 * paths, words of scripts and table cells, and may come from strangers. Each kind has one grammar,
 * defined here and checked wherever a name enters: in a config, a package or a results store.
 *
 * Threads: any. */
#ifndef RG_CORE_NAMES_H
#define RG_CORE_NAMES_H

#include "core/base.h"

/* Why the text is not a valid experiment name, as the end of a sentence; NULL: it is valid. A name
 * is valid UTF-8 of 1 to 128 bytes, without '/' and control characters (rg_utf8_is_control), and
 * begins with neither '-' nor '.'. */
const char *rg_experiment_name_fault(const char *name);

/* The same for a label: valid UTF-8 of at most 256 bytes, without control characters. */
const char *rg_label_fault(const char *label);

/* The same for an algorithm, environment, policy, judge, estimator or optimiser: 1 to 48 lower-case
 * letters, digits and hyphens, beginning with a letter. */
const char *rg_descriptor_name_fault(const char *name);

/* A trial's key: 16 lower-case hexadecimal digits. */
bool rg_key_is_valid(const char *key);

/* Whether a path stays below the folder it is relative to. Its parts are separated by slashes. No
 * part is empty, "." or "..", and none has control characters. */
bool rg_inner_path_is_valid(const char *path);

/* Makes a text fit on one line, in place. White-space control characters become spaces. Other
 * control characters, and bytes that are not valid UTF-8, become '?', one for each byte. */
void rg_make_printable(char *text);

#endif
