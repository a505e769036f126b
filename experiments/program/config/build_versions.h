/* SPDX-License-Identifier: MIT */
/* What this program was built of and with: the commit, the compiler, and the libraries that decide
 * numbers or tokens. Results repeat, bit for bit, only where these and the kernels (rg_blas_core)
 * are the same, so every trial records them. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_BUILD_VERSIONS_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_BUILD_VERSIONS_H

/* "GCC 12.2.0, glibc 2.36, OpenBLAS 0.3.21, PCRE2 10.42, utf8proc 2.8.0", and MuJoCo where the
 * build has it. The string is the thread's, until it calls again. */
const char *rg_build_versions(void);

/* The commit of the sources, as git describes it: "v0.1.0-12-g430b370", "430b370-dirty" where files
 * had changed since; "unknown" where the sources came without git and in no release. */
const char *rg_build_commit(void);

#endif
