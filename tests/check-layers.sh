#!/bin/bash
# SPDX-License-Identifier: MIT
# Includes point one way: experiments -> algorithms, envs -> core, and analysis -> results store.
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
        [[ -f $include || $include == @(core/abi|experiments/commit).h ]] || # which are made
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

check_folder core 'core/.*'
# What every file may use stands on nothing that is built on it.
while IFS=: read -r file line _; do
    complain "$file:$line: a file of core/ itself must not include one of its folders"
done < <(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"core/[^"]*/' core/*.[ch])
check_folder algorithms '(core|algorithms)/.*'
check_folder envs '(core|envs)/.*'
check_folder analysis 'analysis/.*|core/(base|interval|lookup|names|new_file|notice|utf8)\.h|core/results/.*|core/tensor/random\.h'
check_folder experiments '(core|algorithms|envs|experiments|analysis)/.*|regatta\.h'

check_door 'cblas\.h' 'core/tensor/blas\.c'
check_door 'lapacke?\.h' 'core/tensor/blas\.c'
check_door 'oneapi/dnnl/.*' 'core/tensor/onednn\.c'
check_door 'mujoco/.*' 'envs/control_physics\.c'
check_door 'mpi\.h' 'experiments/ranks\.c'
check_door 'sphinxbase/.*' 'envs/judge_fluency\.c'
check_door 'link-grammar/.*' 'envs/judge_grammar\.c'
check_door 'Random123/.*' 'core/tensor/random\.c'
check_door 'curl/.*' 'envs/judge_endpoint\.c'
check_door 'libconfig\.h' 'experiments/config\.c'
check_door 'pcre2\.h' 'core/text/pattern\.c'
check_door 'utf8proc\.h' 'core/text/normalizer\.c'
check_door 'zlib\.h' 'core/text/lines\.c'
check_door 'zstd\.h' 'core/text/lines\.c'
check_door 'argp\.h' 'experiments/.*'
check_door 'archive(_entry)?\.h' 'experiments/archive\.c'
check_door 'openssl/.*' 'core/checksum\.c'
check_door 'sqlite3\.h' 'core/results/.*'

echo "$failures includes point the wrong way"
[[ $failures -eq 0 ]]
