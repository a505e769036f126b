/* SPDX-License-Identifier: MIT */
/* Private to config*.c: the scanner that reads a config's text before libconfig does, and the words
 * of its grammar. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_CONFIG_SCAN_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_CONFIG_SCAN_H

#include "core/base.h"

/* Do the file's strings and comments end, are its integers what they say, and can what it includes
 * from `folder` (NULL: the working directory) be read? */
RgStatus rg_config_scan_file(const char *path, const char *folder, RgError *error);

/* The same of the value that the command line has for the setting `path`; it includes nothing. */
RgStatus rg_config_scan_value(const char *text, const char *path, RgError *error);

/* Path of a file that is named in another, malloc'd. Like libconfig, which puts the folder in front
 * of whatever is named. */
char *rg_config_join_path(const char *folder, const char *name);

/* ":12", or nothing where there are no lines. */
void rg_config_put_line(char where[16], int line);

/* Names are letters and '*', then digits, '-' and '_' as well. */
bool rg_config_is_digit(char c);
bool rg_config_is_letter(char c);
bool rg_config_is_name(char c);

#endif
