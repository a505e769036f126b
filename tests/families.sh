# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced: the families of kernels that this machine can run.

# "OpenBLAS's kernels, the project's own, what the processor needs for them"
all_families() {
    case $(uname -m) in
    x86_64)
        cat <<'END'
Prescott sse2 pni
Nehalem sse2 sse4_2
Sandybridge sse2 avx
Haswell avx2 avx2
Zen avx2 avx2
SkylakeX avx512 avx512bw
Cooperlake avx512 avx512_bf16
END
        ;;
    aarch64) printf '%s\n' 'ARMV8 neon asimd' 'NEOVERSEN1 neon asimddp' ;;
    esac
}

# "OpenBLAS's kernels, the project's own" of each family that this processor can run
kernel_families() {
    local processor core own needed
    processor=$(grep -m 1 -E '^(flags|Features)' /proc/cpuinfo)
    while read -r core own needed; do
        [[ " $processor " != *" $needed "* ]] || echo "$core $own"
    done < <(all_families)
}
