/* SPDX-License-Identifier: MIT */
/* Which vector instructions the kernels of this process use. Kernels are written once and compiled
 * for each set: products, the decoder and attention for vectors of 16, 8 or 4 numbers; loops over
 * numbers by RG_KERNEL (kernels.h).
 *
 * The processor decides, unless the environment variable REGATTA_KERNELS names another set that it
 * can run. As with BLAS, bits repeat only on the same one, so trials record it (rg_blas_core). */
#ifndef RG_CORE_TENSOR_INSTRUCTIONS_H
#define RG_CORE_TENSOR_INSTRUCTIONS_H

#include "core/base.h"

#define RG_INSTRUCTIONS_VARIABLE "REGATTA_KERNELS"

typedef enum RgInstructions {
    RG_BASELINE = 1, /* what every processor of the architecture has: SSE2, NEON */
    RG_AVX2,         /* with FMA, BMI and BMI2 */
    RG_AVX512,       /* F, VL, BW and DQ, and AVX2's */
} RgInstructions;

/* The set in use. Threads may call it at any time; it does not change once kernels have run. */
extern RgInstructions rg_instructions_in_use; /* 0 until the first call of rg_instructions */
RgInstructions rg_instructions_start(void);
static inline RgInstructions rg_instructions(void) {
    RgInstructions now = __atomic_load_n(&rg_instructions_in_use, __ATOMIC_RELAXED);
    return __builtin_expect(now != 0, 1) ? now : rg_instructions_start();
}

bool rg_instructions_can_run(RgInstructions instructions); /* on this processor */

/* "avx512", "avx2", or the name of the baseline: "sse2", "neon", elsewhere "generic". */
const char *rg_instructions_name(RgInstructions instructions);

/* The set of that name; "generic" is the baseline on every architecture. Fails where there is no
 * such set, or the processor cannot run it. */
RgStatus rg_instructions_find(const char *name, RgInstructions *instructions, RgError *error);

/* Whether REGATTA_KERNELS decides, and not the processor. */
bool rg_instructions_are_chosen(void);

/* Fails where REGATTA_KERNELS is set to something else than a set that this processor can run. To
 * be called at the start of a program: without it, such a name is ignored. */
RgStatus rg_instructions_check(RgError *error);

/* Use another set from now on, which the processor can run. No kernel may be running. */
void rg_instructions_use(RgInstructions instructions);

#endif
