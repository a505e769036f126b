/* SPDX-License-Identifier: MIT */
/* The vector instructions that the kernels of this process use. Kernels are written once and
 * compiled for each set: matrix products, the decoder and attention for vectors of 16, 8 or 4
 * numbers; loops over numbers by RG_KERNEL (kernels.h).
 *
 * The processor decides, unless the environment variable REGATTA_KERNELS names another set that it
 * can run. As with BLAS, bits repeat only with the same set, so trials record it (rg_blas_core). */
#ifndef RG_CORE_TENSOR_INSTRUCTIONS_H
#define RG_CORE_TENSOR_INSTRUCTIONS_H

#include "core/base.h"

#define RG_INSTRUCTIONS_VARIABLE "REGATTA_KERNELS"

typedef enum RgInstructions {
    RG_BASELINE = 1, /* available on every processor of the architecture: SSE2, NEON */
    RG_AVX2,         /* with FMA, BMI and BMI2 */
    RG_AVX512,       /* F, VL, BW and DQ, and all of AVX2's */
} RgInstructions;

/* The set in use. Any thread may call it. It does not change after kernels have run. */
extern RgInstructions rg_instructions_in_use; /* 0 until the first call of rg_instructions */
RgInstructions rg_instructions_start(void);
static inline RgInstructions rg_instructions(void) {
    RgInstructions now = __atomic_load_n(&rg_instructions_in_use, __ATOMIC_RELAXED);
    return __builtin_expect(now != 0, 1) ? now : rg_instructions_start();
}

bool rg_instructions_can_run(RgInstructions instructions); /* on this processor */

/* "avx512", "avx2", or the name of the baseline: "sse2", "neon", elsewhere "generic". */
const char *rg_instructions_name(RgInstructions instructions);

/* The set with that name; "generic" is the baseline on every architecture. RG_E_USAGE if there is
 * no such set, or the processor cannot run it. */
RgStatus rg_instructions_find(const char *name, RgInstructions *instructions, RgError *error);

/* Whether REGATTA_KERNELS decides rather than the processor. */
bool rg_instructions_are_chosen(void);

/* Fails if REGATTA_KERNELS is not a set that this processor can run. Call it at the start of a
 * program; otherwise an invalid name is ignored. */
RgStatus rg_instructions_check(RgError *error);

/* Selects another set, which the processor can run. No kernel may be running. */
void rg_instructions_use(RgInstructions instructions);

#endif
