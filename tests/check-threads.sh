#!/bin/bash
# SPDX-License-Identifier: MIT
# The number of threads, and where they are bound, never changes a bit: a transformer that samples,
# asks a judge and trains leaves the same weights and the same store with 1, 4 and 8 threads, on as
# many cores as there are. One that is cut into shards, one of single tokens and several epochs, and one
# whose operators are cut.
set -eu
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"

made_up_data 512 300 60 60 60 60

cat >threads.cfg <<END
name = "threads";
seeds = [1];
environment: { type = "text"; data = "data"; tokenizer = "tokenizer.json"; pair_count = 32;
    response_limit = 16; test_prompts = 8; };
policy: { type = "transformer"; context = 48; };
optimizer: { learning_rate = 1e-4; };
budget: { steps = 2; };
algorithms = ( { type = "online-dpo"; } );
END

# train NAME OVERRIDE...
train() {
    "$program" run threads.cfg -q -r "$1.db" "${@:2}"
    (cd "$1" && sha256sum -- *.safetensors) >"$1.sum"
    "$source/tests/results-contents.py" "$1.db" >"$1.contents"
}

# same NAME OTHER
same() {
    cmp "$1.sum" "$2.sum" || fail "$2: other weights than $1"
    cmp "$1.contents" "$2.contents" || fail "$2: other results than $1"
}

# check NAME OVERRIDE...
check() {
    train "$1-1" -t 1 "${@:2}"
    [[ $(wc -l <"$1-1.contents") -gt 20 ]] || fail "$1: no results"
    train "$1-4" -t 4 "${@:2}"
    same "$1-1" "$1-4"
    OMP_NUM_THREADS=8 train "$1-8" -t 8 "${@:2}"
    same "$1-1" "$1-8"
    OMP_NUM_THREADS=4 OMP_PROC_BIND=true train "$1-bound" "${@:2}"
    same "$1-1" "$1-bound"
}

check shards -s policy.width=64 -s policy.layers=2 -s policy.heads=4 -s training.batch=32
check epochs -s 'algorithms=({type="grpo"; group_size=4; epochs=2;})' -s policy.width=64 -s policy.layers=2 \
    -s policy.heads=4 -s training.batch=8
check operators -s policy.width=512 -s policy.layers=1 -s policy.heads=8 -s training.batch=8
# A main thread that is bound to one processor is no sign that the others are not the program's.
threads=$(python3 -c "import json, sqlite3
print(json.loads(sqlite3.connect('shards-bound.db').execute('SELECT provenance FROM trials').fetchone()[0])['threads'])")
processors=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
[[ $threads -eq $processors ]] || fail "bound threads are $threads, of $processors processors"
echo "1, 4 and 8 threads, bound or not: same weights, same store"
