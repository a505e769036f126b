/* SPDX-License-Identifier: MIT */
/* The sets of instructions that the processor can run, and the requested one. */
#include "core/tensor/instructions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *requested_name(void) {
    const char *name = getenv(RG_INSTRUCTIONS_VARIABLE);
    return name && name[0] ? name : NULL;
}

RgInstructions rg_instructions_in_use;

bool rg_instructions_can_run(RgInstructions instructions) {
    if (instructions == RG_BASELINE)
        return true;
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    if (instructions == RG_AVX2)
        return avx2;
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
#else
    return false;
#endif
}

static RgInstructions best(void) {
    return rg_instructions_can_run(RG_AVX512) ? RG_AVX512
           : rg_instructions_can_run(RG_AVX2) ? RG_AVX2
                                              : RG_BASELINE;
}

const char *rg_instructions_name(RgInstructions instructions) {
#if defined(__x86_64__)
    return instructions == RG_AVX512 ? "avx512" : instructions == RG_AVX2 ? "avx2" : "sse2";
#elif defined(__aarch64__)
    (void)instructions;
    return "neon";
#else
    (void)instructions;
    return "generic";
#endif
}

/* "avx512, avx2, sse2", as available. */
static const char *runnable_names(char *text, size_t size) {
    text[0] = '\0';
    for (int i = RG_AVX512; i >= RG_BASELINE; i--)
        if (rg_instructions_can_run((RgInstructions)i)) {
            size_t used = strlen(text);
            snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "",
                     rg_instructions_name((RgInstructions)i));
        }
    return text;
}

RgStatus rg_instructions_find(const char *name, RgInstructions *instructions, RgError *error) {
    if (strcmp(name, "generic") == 0) {
        *instructions = RG_BASELINE;
        return RG_OK;
    }
    for (int i = RG_BASELINE; i <= RG_AVX512; i++)
        if (rg_instructions_can_run((RgInstructions)i) &&
            strcmp(name, rg_instructions_name((RgInstructions)i)) == 0) {
            *instructions = (RgInstructions)i;
            return RG_OK;
        }
    char names[64];
    return rg_fail(error, RG_E_USAGE, "no kernels \"%s\" on this processor, expected one of %s",
                   name, runnable_names(names, sizeof names));
}

bool rg_instructions_are_chosen(void) {
    RgInstructions unused;
    return requested_name() && rg_instructions_find(requested_name(), &unused, NULL) == RG_OK;
}

RgStatus rg_instructions_check(RgError *error) {
    const char *name = requested_name();
    RgInstructions unused;
    if (!name)
        return RG_OK;
    RgStatus status = rg_instructions_find(name, &unused, error);
    return status == RG_OK ? RG_OK : rg_fail_in(error, status, RG_INSTRUCTIONS_VARIABLE);
}

RgInstructions rg_instructions_start(void) {
    const char *name = requested_name();
    RgInstructions chosen = best();
    if (name)
        rg_instructions_find(name, &chosen, NULL); /* leaves it unchanged if the name is unknown */
    rg_instructions_use(chosen);
    return chosen;
}

void rg_instructions_use(RgInstructions instructions) {
    RG_ASSERT(rg_instructions_can_run(instructions));
    __atomic_store_n(&rg_instructions_in_use, instructions, __ATOMIC_RELAXED);
}
