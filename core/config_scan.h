/* SPDX-License-Identifier: MIT */
/* Private to core/config_*.c: a scanner that checks a config's text before libconfig parses it, and the
 * character classes of its grammar. Reentrant. */
#ifndef RG_CORE_CONFIG_SCAN_H
#define RG_CORE_CONFIG_SCAN_H

#include "core/base.h"

/* Checks that the file's strings and comments end, that its integers fit, and that the files
 * included from `folder` (NULL: the working directory) are readable. */
RgStatus rg_config_scan_file(const char *path, const char *folder, RgError *error);

/* The same for the command line's value of the setting `path`, which cannot include files. */
RgStatus rg_config_scan_value(const char *text, const char *path, RgError *error);

/* Path of a file that is named in another. The caller frees it. Like libconfig, puts the folder in
 * front of every name. */
char *rg_config_join_path(const char *folder, const char *name);

/* ":12", or the empty string for line 0. */
void rg_config_put_line(char where[16], int line);

/* A name starts with a letter or '*'; digits, '-' and '_' may follow. */
bool rg_config_is_digit(char c);
bool rg_config_is_letter(char c);
bool rg_config_is_name(char c);

#endif
