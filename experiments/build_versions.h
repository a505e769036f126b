/* What this program was built with: the compiler, and the libraries that decide numbers or tokens.
 * Results repeat, bit for bit, only where these and the kernels (rg_blas_core) are the same, so
 * every trial records them. */
#ifndef RG_EXPERIMENTS_BUILD_VERSIONS_H
#define RG_EXPERIMENTS_BUILD_VERSIONS_H

/* "GCC 12.2.0, glibc 2.36, OpenBLAS 0.3.21, PCRE2 10.42, utf8proc 2.8.0", and MuJoCo where the
 * build has it. The string is the thread's, until it calls again. */
const char *rg_build_versions(void);

#endif
