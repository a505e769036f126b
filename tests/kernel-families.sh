#!/bin/bash
# Both Criterion suites under every family of kernels that this machine can run: OpenBLAS's, by
# OPENBLAS_CORETYPE, and beside each the project's own of the same generation, by REGATTA_KERNELS.
#
#   kernel-families.sh FOLDER [FILTER]
#
# FOLDER has tests/check-float and tests/check-double; FILTER names tests as Criterion's --filter
# does (default: all). `make check-kernels` calls it. Each family prints one line, and each failing
# test; the last line counts families.
set -u
folder=${1:?kernel-families.sh FOLDER [FILTER]}
filter=${2:-*/*}

# "OpenBLAS's kernels, the project's own, what the processor needs for them"
families() {
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

processor=$(grep -m 1 -E '^(flags|Features)' /proc/cpuinfo)
passed=0 failed=0
while read -r core own needed; do
    [[ " $processor " == *" $needed "* ]] || continue
    bad=''
    for suite in float double; do
        out=$(OPENBLAS_CORETYPE=$core REGATTA_KERNELS=$own \
            "$folder/tests/check-$suite" --filter "$filter" -j"$(nproc)" 2>&1 </dev/null) || bad=yes
        grep -qaE 'Tested: [^|]*[1-9][^|]*\|' <<<"$out" || bad=yes
        printf '%s, %s, check-%s: %s\n' "$core" "$own" "$suite" \
            "$(grep -a Synthesis <<<"$out" | sed 's/.*Synthesis: //')"
        grep -aE -A3 '^\[(FAIL|CRASH)\]' <<<"$out"
    done
    if [[ $bad ]]; then failed=$((failed + 1)); else passed=$((passed + 1)); fi
done < <(families)
printf 'kernel families: %d passed, %d failed\n' "$passed" "$failed"
[[ $failed -eq 0 && $passed -gt 0 ]]
