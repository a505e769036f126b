#!/bin/bash
# SPDX-License-Identifier: MIT
# Includes point one way: experiments -> algorithms, envs -> core, and analysis -> results store; and
# so they do between the folders of each.
# Some libraries have one door, so that the rest of the house does not depend on them.
set -u
cd "${RG_SOURCE_DIR:-.}" || exit 99
failures=0

complain() {
    echo "$1"
    failures=$((failures + 1))
}

# check_folder FOLDER ALLOWED: the files of FOLDER include no path that does not match ALLOWED.
check_folder() {
    local folder=$1 allowed=$2 file line include
    while IFS=: read -r file line include; do
        include=${include#*\"}
        include=${include%%\"*}
        [[ -f $include || $include == @(core/abi|experiments/program/commit).h ]] || # which are made
            complain "$file:$line: \"$include\" is not a path from the root"
        [[ $include =~ ^($allowed)$ ]] ||
            complain "$file:$line: a file of $folder/ must not include \"$include\""
    done < <(grep -rnE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$folder")
}

# check_door HEADER ALLOWED: only files that match ALLOWED may include the library's HEADER.
check_door() {
    local header=$1 allowed=$2 file
    while read -r file; do
        [[ $file =~ ^($allowed)$ ]] ||
            complain "$file: <$header> is included elsewhere only; use what $allowed offers"
    done < <(grep -rlE --include='*.[ch]' "^[[:space:]]*#[[:space:]]*include[[:space:]]*<$header>" \
        core algorithms envs experiments analysis)
}

# Between folders, and inside each: a folder includes itself and those before it.
base='core/[a-z_0-9]*\.h' # what every file may use stands on nothing that is built on it
while IFS=: read -r file line _; do
    complain "$file:$line: a file of core/ itself must not include one of its folders"
done < <(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"core/[^"]*/' core/*.[ch])
check_folder core/tensor "$base|core/tensor/.*"
check_folder core/text "$base|core/text/.*"
check_folder core/train "$base|core/(tensor|train)/.*"
check_folder core/task "$base|core/(tensor|train|task)/.*"
check_folder core/policy "$base|core/(tensor|train|task|policy)/.*"
check_folder core/models "$base|core/(tensor|train|task|policy|models)/.*"
check_folder core/results "$base|core/(tensor|train|task|policy|results)/.*"

check_folder algorithms/training '(core)/.*|algorithms/algorithm\.h|algorithms/training/.*'
check_folder algorithms/parl '(core)/.*|algorithms/algorithm\.h|algorithms/(training|parl)/.*'
check_folder algorithms '(core|algorithms)/.*'

shared='core/.*|envs/[a-z_]*\.h'
check_folder envs/judges "$shared|envs/judges/.*"
for place in bandit text mdp control; do
    check_folder envs/$place "$shared|envs/(judges|$place)/.*"
done
check_folder envs/game "$shared|envs/(bandit|game)/.*"
check_folder envs '(core|envs)/.*'

below='core/(base|files|interval|lookup|memory|names|new_file|notice|suggest|utf8)\.h|core/results/.*|core/tensor/random\.h'
check_folder analysis/store "$below|analysis/store/.*"
check_folder analysis/statistics "$below|analysis/statistics/.*"
check_folder analysis/compare "$below|analysis/(store|statistics|compare)/.*"
check_folder analysis/figures "$below|analysis/(store|statistics|compare|figures)/.*"
check_folder analysis/report "$below|analysis/.*"

below='(core|algorithms|envs|analysis)/.*'
program=experiments/program
check_folder $program/config "$below|$program/(config/.*|commit\.h)"
check_folder $program/run "$below|$program/(config|run)/.*"
check_folder $program/gradients "$below|$program/(config|run|gradients)/.*"
check_folder $program/package "$below|$program/(config|run|package)/.*"
check_folder $program/plugins "$below|regatta\.h|$program/(config|run|plugins)/.*"
check_folder $program/commands "$below|regatta\.h|$program/.*"
check_folder experiments "$below|experiments/.*|regatta\.h"

check_door 'cblas\.h' 'core/tensor/blas\.c'
check_door 'lapacke?\.h' 'core/tensor/lapack\.c'
check_door 'oneapi/dnnl/.*' 'core/tensor/onednn\.c'
check_door 'mujoco/.*' 'envs/control/control_physics\.c'
check_door 'mpi\.h' 'experiments/program/run/mpi\.c'
check_door 'sphinxbase/.*' 'envs/judges/judge_fluency\.c'
check_door 'link-grammar/.*' 'envs/judges/judge_grammar\.c'
check_door 'Random123/.*' 'core/tensor/random\.c'
check_door 'curl/.*' 'envs/judges/judge_endpoint\.c'
check_door 'libconfig\.h' 'core/config_file\.c'
check_door 'pcre2\.h' 'core/text/pattern\.c'
check_door 'utf8proc\.h' 'core/text/normalizer\.c'
check_door 'zlib\.h' 'core/text/lines\.c'
check_door 'zstd\.h' 'core/text/lines\.c'
check_door 'argp\.h' 'experiments/program/commands/arguments\.c'
check_door 'archive(_entry)?\.h' 'experiments/program/package/archive\.c'
check_door 'openssl/.*' 'core/checksum\.c'
check_door 'sqlite3\.h' 'core/results/.*'

echo "$failures includes point the wrong way"
[[ $failures -eq 0 ]]
