/* SPDX-License-Identifier: MIT */
/* What the Makefile of a new plug-in needs: the program, and where its headers are. Any thread. */
#ifndef RG_EXPERIMENTS_PROGRAM_PLUGINS_BUILD_SETTINGS_H
#define RG_EXPERIMENTS_PROGRAM_PLUGINS_BUILD_SETTINGS_H

/* Texts for a Makefile. An installed program is found in PATH, and its headers by pkg-config. One
 * that runs in the build folder of its source tree has neither, and both are named by path. */
typedef struct RgBuildSettings {
    char *program;
    char *flags;   /* for the C compiler */
    char *headers; /* folder that core/abi.h is in */
} RgBuildSettings;

RgBuildSettings rg_build_settings(void);
void rg_build_settings_free(RgBuildSettings *settings);

#endif
