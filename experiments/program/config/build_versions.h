/* SPDX-License-Identifier: MIT */
/* What this program was built from: the commit, the compiler, and the libraries that affect numbers
 * or tokens. Results repeat, bit for bit, only if these and the kernels (rg_blas_core) are equal,
 * so every trial records them. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_BUILD_VERSIONS_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_BUILD_VERSIONS_H

/* "GCC 12.2.0, glibc 2.36, OpenBLAS 0.3.21, PCRE2 10.42, utf8proc 2.8.0", and MuJoCo if the build
 * has it. The string is per thread, and valid until the thread's next call. */
const char *rg_build_versions(void);

/* The commit of the sources as given by git describe: "v0.1.0-12-g430b370", or "430b370-dirty" with
 * uncommitted changes. "unknown" for sources without git that are no release. */
const char *rg_build_commit(void);

#endif
