#!/bin/bash
# A run that is killed (kill -9) again and again at random moments, then goes on to its end, leaves
# the same final weights, bit for bit, and the same results as an undisturbed run; so does one with
# another number of threads. On the bandit, and on text where the verses are there.
set -eu
program=${RG_PROGRAM:?path of the regatta program}
source=${RG_SOURCE_DIR:-.}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

digest() { # RESULTS: the weights' names and contents
    (cd "${1%.db}" && sha256sum -- *.safetensors)
}

fail() {
    echo "FAIL: $*"
    exit 1
}

# check NAME KILLS WAIT ARGUMENT...: kill `regatta run ARGUMENT...` KILLS times, each after at most
# WAIT milliseconds of running, and hold what comes of it against the undisturbed run.
check() {
    local name=$1 kills=$2 wait=$3 i pid milliseconds hits=0 other
    local run=("$program" run "${@:4}" --quiet --checkpoint-seconds 0)
    "${run[@]}" -r "$folder/$name-whole.db" -t 2
    for ((i = 0; i < kills; i++)); do
        "${run[@]}" -r "$folder/$name-killed.db" -t 2 &
        pid=$!
        milliseconds=$((wait / 10 + RANDOM % (wait - wait / 10)))
        sleep "$((milliseconds / 1000)).$(printf %03d $((milliseconds % 1000)))"
        if kill -9 "$pid" 2>/dev/null; then
            hits=$((hits + 1))
        fi
        wait "$pid" 2>/dev/null || true
    done
    "${run[@]}" -r "$folder/$name-killed.db" -t 2
    # The narrowest moment: killed after a trial was marked as finished, before its checkpoint went.
    local weights=("$folder/$name-killed"/*.safetensors)
    touch "${weights[0]%.safetensors}-checkpoint.safetensors"
    "${run[@]}" -r "$folder/$name-killed.db" -t 2
    "${run[@]}" -r "$folder/$name-single.db" -t 1

    digest "$folder/$name-whole.db" >"$folder/whole.sum"
    for other in killed single; do
        digest "$folder/$name-$other.db" >"$folder/$other.sum"
        diff "$folder/whole.sum" "$folder/$other.sum" ||
            fail "$name: the weights of the $other run differ from the undisturbed one's"
    done
    # The results are the same too, whatever was written twice on the way.
    for other in whole killed single; do
        "$program" table "$folder/$name-$other.db" -f csv -m reward,kl,win_rate_base \
            >"$folder/$other.csv"
        diff "$folder/whole.csv" "$folder/$other.csv" || fail "$name: other results"
    done
    [[ $hits -gt 0 ]] || fail "$name: every run ended before it could be killed"
    echo "$name: killed $hits times in mid-run: same weights, same results"
}

# Every method, long enough to be hit in mid-run.
check bandit 10 450 "$source/experiments/bandit-head-to-head.cfg" \
    -s 'seeds=[1,2]' -s budget.steps=300

# A trial that goes on under other kernels says so, and its record names both.
other_kernels() {
    local store=$folder/kernels.db pid run
    run=(run "$source/experiments/bandit-head-to-head.cfg" -r "$store" --checkpoint-seconds 0
        -s 'seeds=[1]' -s 'algorithms=({type="dpo";})' -s budget.steps=3000 -s evaluation.every=3000)
    "$program" --kernels=avx2 "${run[@]}" --quiet &
    pid=$!
    until compgen -G "$folder/kernels/*-checkpoint.safetensors" >/dev/null; do
        kill -0 "$pid" 2>/dev/null || fail "kernels: it ended before it could be killed"
        sleep 0.02
    done
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || true
    "$program" --kernels=generic "${run[@]}" 2>"$folder/log" || fail "kernels: status $?"
    grep -q 'dpo seed 1: began on other kernels (.*avx2.*; now ' "$folder/log" ||
        fail "kernels: no notice: $(cat "$folder/log")"
    "$program" export-trial "$store" dpo -o "$folder/kernels.trial" >/dev/null
    grep -q '"blas_core": *"[^"]*avx2[^"]*; ' "$folder/kernels.trial/trial.json" ||
        fail "kernels: the record does not name both"
    echo "kernels: a trial that went on under others says so"
}
if "$program" --kernels=avx2 list >/dev/null 2>&1; then
    other_kernels
else
    echo "SKIP: this processor has one set of kernels"
fi

if [[ -f $source/data/verses/test.jsonl ]]; then
    check text 5 9000 "$source/experiments/verses-head-to-head.cfg" \
        -s 'seeds=[1]' -s environment.pair_count=32 -s environment.test_prompts=8 \
        -s budget.steps=4 -s evaluation.every=2 -s algorithms.1.training.micro_batch=12 \
        -s algorithms.1.policy.adapter.rank=4 -s algorithms.1.policy.adapter.dropout=0.1 \
        -s algorithms.6.pretrain=4 -s algorithms.6.budget.steps=2 -s algorithms.6.evaluation.every=1 \
        -s algorithms.6.policy.adapter.rank=4
else
    echo "SKIP: the verses are not there: experiments/data/verses makes them"
fi

# Signals, full disks, flipped bits and lost stores: each once. `make check-faults` draws more of them.
bash "$source/tests/check-faults.sh" 0 1 || [[ $? -eq 77 ]] || fail "a fault"
