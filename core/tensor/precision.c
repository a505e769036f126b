/* SPDX-License-Identifier: MIT */
/* The precisions available here, and rounding to bf16 and back. gemm_dispatch.c computes
 * products. */
#include "core/tensor/precision.h"

#include "core/tensor/gemm.h"
#include "core/tensor/kernels.h"
#include "core/tensor/onednn.h"

#include <stdlib.h>

const char *const rg_precision_names[] = {
    [RG_PRECISION_FP32] = "fp32", [RG_PRECISION_BF16] = "bf16", NULL};

RgStatus rg_precision_check(RgPrecision precision, RgError *error) {
    if (precision == RG_PRECISION_FP32 || rg_gemm_has_bf16() || rg_onednn_has_bf16())
        return RG_OK;
    if (rg_instructions_are_chosen() && rg_instructions_can_run(RG_AVX512) &&
        rg_instructions() != RG_AVX512)
        return rg_fail(error, RG_E_USAGE, "bf16 needs the kernels for AVX-512, but %s selects %s",
                       RG_INSTRUCTIONS_VARIABLE, rg_instructions_name(rg_instructions()));
    if (!rg_onednn_version())
        return rg_fail(
            error, RG_E_USAGE,
            "bf16 needs a processor with AMX or AVX512_BF16, or oneDNN, which this build does not "
            "have: install Debian's libdnnl-dev and rebuild after ./configure --with-onednn");
    return rg_fail(error, RG_E_USAGE,
                   "bf16 needs a processor with AVX-512, but oneDNN %s finds none here",
                   rg_onednn_version());
}

/* Adds half of the last kept place, minus one unit if that place is even, and cuts off the rest.
 * For NaN it sets the first bit of the fraction, because cutting could otherwise give infinity. */
RG_PUBLIC_KERNEL(void, rg_bf16_round, (int64_t n, const RgReal *x, RgBf16 *y), (n, x, y)) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float value = (float)x[i];
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        uint32_t nearest = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
        uint32_t quiet = bits >> 16 | 0x40;
        y[i] = (RgBf16)((bits & 0x7FFFFFFF) > 0x7F800000 ? quiet : nearest);
    }
}

void rg_bf16_round_rows(int64_t rows, int64_t n, int64_t stride, const RgReal *x, RgBf16 *y) {
    int64_t row = (n + 1) / 2 * 2;
    for (int64_t r = 0; r < rows; r++, x += stride, y += row) {
        y[row - 1] = 0;
        rg_bf16_round(n, x, y);
    }
}

RG_PUBLIC_KERNEL(void, rg_bf16_widen, (int64_t n, const RgBf16 *x, RgReal *y), (n, x, y)) {
    for (int64_t i = 0; i < n; i++)
        y[i] = rg_bf16_number(x[i]);
}

const RgReal *rg_bf16_widened(const RgBf16 *x, int64_t rows, int64_t columns, int64_t stride) {
    static _Thread_local RgScratch scratch;
    RgReal *room = rg_scratch(&scratch, sizeof *room * (size_t)(rows * columns));
    if (stride == columns)
        rg_bf16_widen(rows * columns, x, room);
    else
        for (int64_t r = 0; r < rows; r++)
            rg_bf16_widen(columns, x + r * stride, room + r * columns);
    return room;
}
