/* SPDX-License-Identifier: MIT */
/* The versions of the build. The only file that uses a library gives its version. */
#include "experiments/program/config/build_versions.h"

#include "core/tensor/blas.h"
#include "core/text/normalizer.h"
#include "core/text/pattern.h"
#include "envs/control/control_physics.h"
#include "experiments/program/commit.h"

#include <gnu/libc-version.h>
#include <stdio.h>
#include <string.h>

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "GCC " __VERSION__
#endif

/* With configure --enable-native every file, not only the kernels, may use fused multiplications,
 * which changes numbers. */
#ifdef __FMA__
#define FUSED " with FMA"
#else
#define FUSED ""
#endif

const char *rg_build_versions(void) {
    static _Thread_local char text[256];
    const char *physics = rg_physics_library(), *pattern = rg_pattern_library();
    snprintf(text, sizeof text, "%s%s, glibc %s, OpenBLAS %s, PCRE2 %.*s, utf8proc %s%s%s",
             COMPILER, FUSED, gnu_get_libc_version(), rg_blas_version(), (int)strcspn(pattern, " "),
             pattern, rg_normalizer_library(), physics ? ", MuJoCo " : "", physics ? physics : "");
    return text;
}

const char *rg_build_commit(void) {
    return RG_COMMIT;
}
