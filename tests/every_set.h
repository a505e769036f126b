/* SPDX-License-Identifier: MIT */
/* Claims about kernels, on each set of instructions that the processor can run. */
#ifndef RG_TESTS_EVERY_SET_H
#define RG_TESTS_EVERY_SET_H

#include "core/tensor/instructions.h"

/* Run a statement on every set, which is called `set` in it. */
#define ON_EVERY_SET(...)                                                                          \
    for (RgInstructions set = RG_BASELINE; set <= RG_AVX512; set++)                                \
        if (rg_instructions_can_run(set)) {                                                        \
            rg_instructions_use(set);                                                              \
            __VA_ARGS__;                                                                           \
        }

#endif
