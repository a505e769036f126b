#!/bin/bash
# SPDX-License-Identifier: MIT
# The weights that every method leaves after some steps are those of tests/golden/bits.txt, bit for
# bit: a change of the code that moves results is seen here, and has to be meant. Each family of
# kernels has numbers of its own. Where the compiler, the C library, OpenBLAS or the kernels are
# others than any in that file, nothing is compared, nor under a sanitizer, which compiles with other flags.
#
#   check-bits.sh             compare
#   check-bits.sh --update    write this build's numbers, under all kernels that run here, into the file
#
# A commit that updates the file says in its message which results move, and why. Where weights of before
# move, RG_RESULTS_VERSION (experiments/program/config/results_version.h) has to be raised first: the keys of trials would
# be those of other results, which stores have as finished.
set -eu
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
golden=$source/tests/golden/bits.txt

# Other weights are not written down under the version of before.
printf '# Version of the results: 1\nGCC 12, glibc 2.36, OpenBLAS 0.3.21\ntrial\tZen, avx2\na dpo\t111111111111\n' >known
printf 'Zen, avx2\ta dpo\t222222222222\n' >other
cp known kept
of_known='GCC 12.2.0, glibc 2.36, OpenBLAS 0.3.21, PCRE2 10.42'
! python3 "$source/tests/bits.py" update known "$of_known" 1 other >log || fail "weights move without another version"
cmp -s known kept || fail "what was refused was written"
python3 "$source/tests/bits.py" update known "$of_known" 2 other >log || fail "weights cannot move: $(cat log)"
grep -q '^# Version of the results: 2$' known || fail "the version is not kept"

cat >tabular.cfg <<'END'
name = "tabular";
seeds = [1];
environment: { type = "bandit"; contexts = 4; responses = 6; pairs = 64; };
policy: { type = "tabular"; };
optimizer: { learning_rate = 0.05; };
training: { batch = 16; };
budget: { steps = 4; };
algorithms = ( METHODS
    { type = "dpo"; label = "dpo-terms"; TERMS; },
    { type = "online-dpo"; label = "best-of-four"; candidates = 4; },
    { type = "parl"; label = "parl-exact"; estimator = "exact"; inner_steps = 2; },
    { type = "parl"; label = "parl-neumann"; estimator = "neumann"; inner_steps = 2; },
    { type = "parl"; label = "parl-penalty"; estimator = "penalty"; inner_steps = 2; },
    { type = "parl"; label = "parl-finite-difference"; estimator = "finite-difference"; inner_steps = 2; },
    { type = "parl"; label = "parl-unrolled"; estimator = "unrolled"; inner_steps = 2; },
    { type = "parl"; label = "parl-boltzmann"; estimator = "boltzmann"; inner_steps = 2; },
    { type = "parl"; label = "parl-identity"; estimator = "identity"; inner_steps = 2; }
);
END
cat >linear.cfg <<'END'
name = "linear";
extends = "tabular.cfg";
policy: { type = "log-linear"; };
END
cat >states.cfg <<'END'
name = "states";
seeds = [1];
environment: { type = "mdp"; problem = "grid"; width = 3; height = 3; };
policy: { type = "markov"; };
optimizer: { learning_rate = 0.05; };
training: { batch = 8; };
budget: { steps = 3; };
algorithms = (
    { type = "dpo"; }, { type = "online-dpo"; }, { type = "sail-pr"; },
    { type = "parl"; upper = "utility"; expectation = "exact"; inner_steps = 3; }
);
END
cat >words.cfg <<'END'
name = "words";
seeds = [1];
environment: { type = "text"; data = "data"; tokenizer = "tokenizer.json"; pair_count = 16;
    response_limit = 24; test_prompts = 4; };
policy: { type = "transformer"; context = 64; width = 32; layers = 2; heads = 2; };
optimizer: { learning_rate = 1e-3; };
training: { batch = 8; };
budget: { steps = 2; };
algorithms = ( METHODS
    { type = "dpo"; label = "dpo-terms"; TERMS; },
    { type = "dpo"; label = "dpo-adapter"; policy: { adapter: { rank = 4; }; }; }
);
END
made_up_data 512 300 60 60 60 60

methods=$("$program" list algorithms | awk 'NF && $1 != "base" && $1 != "best-of-n" && $1 != "algorithms" { print $1 }')
listed=$(for method in $methods; do printf '{ type = "%s"; }, ' "$method"; done)
sed -i "s/METHODS/$listed/" tabular.cfg
terms="sft_coefficient = 0.5; dpop_coefficient = 2.0; length_normalisation = true; length_coefficient = 0.01;"
terms+=" reference_steps = 1; reference_update = 0.5"
sed -i "s/TERMS/$terms/" tabular.cfg words.cfg
# rlhf needs responses that can be enumerated
sed -i "s/METHODS/${listed/{ type = \"rlhf\"; \}, /}/" words.cfg

# measure FILE: "kernels<TAB>config label<TAB>digest" of every trial, by the kernels in use
measure() {
    local config
    rm -rf results
    for config in tabular linear states words; do
        "$program" run "$config.cfg" -q -t 1 -r "results/$config.db" >log 2>&1 || { cat log; return 1; }
    done
    python3 "$source/tests/bits.py" digests results/*.db >"$1"
}

built=$("$program" --version | sed -n 's/^built with //p')
if [[ ${1-} == --update ]]; then
    # shellcheck source=tests/families.sh
    . "$source/tests/families.sh"
    while read -r core own; do
        OPENBLAS_CORETYPE=$core REGATTA_KERNELS=$own measure "measured-$core"
    done < <(kernel_families)
    version=$(sed -n 's/^#define RG_RESULTS_VERSION "\(.*\)"$/\1/p' "$source/experiments/program/config/results_version.h")
    python3 "$source/tests/bits.py" update "$golden" "$built" "$version" measured-*
elif is_sanitized; then
    measure measured
    echo "$(wc -l <measured) trials run; a sanitizer's weights are compared with none"
else
    measure measured
    python3 "$source/tests/bits.py" compare "$golden" "$built" measured
fi
