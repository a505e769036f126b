#!/bin/bash
# SPDX-License-Identifier: MIT
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

# shellcheck source=tests/families.sh
. "$(dirname "$0")/families.sh"

passed=0 failed=0
while read -r core own; do
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
done < <(kernel_families)
printf 'kernel families: %d passed, %d failed\n' "$passed" "$failed"
[[ $failed -eq 0 && $passed -gt 0 ]]
