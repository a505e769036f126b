#!/bin/bash
# SPDX-License-Identifier: MIT
# A run that is killed (kill -9) again and again at random moments, then goes on to its end, leaves
# the same final weights, bit for bit, and the same results as an undisturbed run; so does one with
# another number of threads. On the bandit, and on text.
set -eu
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"

digest() { # RESULTS: the weights' names and contents
    (cd "${1%.db}" && sha256sum -- *.safetensors)
}

milliseconds() { # since 1970
    echo $((${EPOCHREALTIME/[.,]/} / 1000))
}

# same NAME OTHER: NAME-OTHER has the weights and results of NAME-whole, whatever was written twice.
same() {
    local one
    for one in whole "$2"; do
        digest "$1-$one.db" >"$one.sum"
        "$program" table "$1-$one.db" -f csv -m reward,kl,win_rate_base >"$one.csv"
    done
    diff whole.sum "$2.sum" || fail "$1: the weights of the $2 run differ from the undisturbed one's"
    diff whole.csv "$2.csv" || fail "$1: other results"
}

# check NAME KILLS ARGUMENT...: kill `regatta run ARGUMENT...` KILLS times, as long as an undisturbed
# run takes, and hold what comes of it against that.
check() {
    local name=$1 kills=$2 most pause tries pid hits=0
    local run=("$program" run "${@:3}" --quiet --checkpoint-seconds 0)
    most=$(milliseconds)
    "${run[@]}" -r "$name-whole.db" -t 2
    most=$((2 * ($(milliseconds) - most) / kills + 10))
    for ((tries = 0; hits < kills && tries < 2 * kills; tries++)); do
        "${run[@]}" -r "$name-killed.db" -t 2 &
        pid=$!
        pause=$((RANDOM % most))
        sleep "$((pause / 1000)).$(printf %03d $((pause % 1000)))"
        if kill -9 "$pid" 2>/dev/null; then
            hits=$((hits + 1))
            wait "$pid" 2>/dev/null || true
        else # it has ended: begin anew, with shorter pauses
            same "$name" killed
            rm -r "$name-killed" "$name-killed.db"
            most=$((most / 2 + 1))
        fi
    done
    "${run[@]}" -r "$name-killed.db" -t 2
    # The narrowest moment: killed after a trial was marked as finished, before its checkpoint went.
    local weights=("$name-killed"/*.safetensors)
    touch "${weights[0]%.safetensors}-checkpoint.safetensors"
    "${run[@]}" -r "$name-killed.db" -t 2
    same "$name" killed
    "${run[@]}" -r "$name-single.db" -t 1
    same "$name" single
    [[ $hits -gt 0 ]] || fail "$name: every run ended before it could be killed"
    echo "$name: killed $hits times in mid-run: same weights, same results"
}

# Every method, long enough to be hit in mid-run.
check bandit 10 "$source/experiments/bandit/head-to-head.cfg" \
    -s 'seeds=[1,2]' -s budget.steps=300

# With a reference that moves, and a running shift of rewards.
check moving 4 "$source/experiments/bandit/head-to-head.cfg" -s 'seeds=[1]' -s budget.steps=1000 \
    -s 'algorithms=({type="dpo"; reference_steps=7; reference_update=0.5;},{type="bco";})'

# With the best policy so far, which a checkpoint holds beside the trained one.
check stopping 4 "$source/experiments/bandit/early-stopping.cfg" -s 'seeds=[2]'

# A trial that goes on under other kernels says so, and its record names both.
other_kernels() {
    local store=kernels.db pid run
    run=(run "$source/experiments/bandit/head-to-head.cfg" -r "$store" --checkpoint-seconds 0
        -s 'seeds=[1]' -s 'algorithms=({type="dpo";})' -s budget.steps=3000 -s evaluation.every=3000)
    "$program" --kernels=avx2 "${run[@]}" --quiet &
    pid=$!
    until compgen -G "kernels/*-checkpoint.safetensors" >/dev/null; do
        kill -0 "$pid" 2>/dev/null || fail "kernels: it ended before it could be killed"
        sleep 0.02
    done
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || true
    "$program" --kernels=generic "${run[@]}" 2>log || fail "kernels: status $?"
    grep -q 'dpo seed 1: began on other kernels (.*avx2.*; now ' log ||
        fail "kernels: no notice: $(cat log)"
    "$program" export-trial "$store" dpo -o kernels.trial >/dev/null
    grep -q '"blas_core": *"[^"]*avx2[^"]*; ' kernels.trial/trial.json ||
        fail "kernels: the record does not name both"
    echo "kernels: a trial that went on under others says so"
}
if "$program" --kernels=avx2 list >/dev/null 2>&1; then
    other_kernels
else
    echo "SKIP: this processor has one set of kernels"
fi

# From which step a trial goes on is told: from that of its checkpoint, or from the first without one.
under_way() { # SIGNAL: whether the run may get it
    case $1 in
    KILL) "$program" status steps.db 2>/dev/null | grep -q 'dpo seed 1: step [1-9]' ;;
    INT) grep -q 'begins again' log ;;
    esac
}
tells_step() {
    local pid signal step run=(run "$source/experiments/bandit/head-to-head.cfg" -r steps.db --checkpoint-seconds 1000
        -s 'seeds=[1]' -s 'algorithms=({type="dpo";})' -s budget.steps=1000000 -s evaluation.every=100)
    for signal in KILL INT; do
        (
            trap - INT
            exec "$program" "${run[@]}"
        ) 2>log &
        pid=$!
        until under_way "$signal"; do
            kill -0 "$pid" 2>/dev/null || fail "steps: it ended before it could be stopped: $(cat log)"
            sleep 0.02
        done
        kill -"$signal" "$pid"
        wait "$pid" 2>/dev/null || true
    done
    grep -q 'dpo seed 1: begins again at step 0, as it has no checkpoint; it had recorded step [1-9]' log ||
        fail "steps: nothing tells that it begins again: $(cat log)"
    step=$(sed -n 's/.*stopped by a signal at step \([0-9]*\) of dpo.*/\1/p' log)
    "$program" "${run[@]}" >/dev/null 2>again &
    pid=$!
    until grep -q 'dpo seed 1: resuming from step' again; do
        kill -0 "$pid" 2>/dev/null || fail "steps: nothing tells that it goes on: $(cat again)"
        sleep 0.02
    done
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || true
    grep -q "dpo seed 1: resuming from step $step\$" again || fail "steps: not from step $step: $(cat again)"
    echo "steps: a trial tells from which one it goes on"
}
tells_step

made_up_data 512 300 60 60 60 60
cat >text.cfg <<END
extends = "$source/experiments/verses/head-to-head.cfg";
environment: { data = "data"; tokenizer = "tokenizer.json"; pair_count = 32; response_limit = 16; test_prompts = 8; };
policy: { type = "transformer"; weights = ""; width = 32; layers = 2; heads = 2; context = 48; };
optimizer: { learning_rate = 0.01; };
budget: { steps = 12; };
evaluation: { every = 2; };
sweep = ( );
END
check text 5 text.cfg -s 'seeds=[1]' -s algorithms.1.training.micro_batch=12 \
    -s algorithms.1.policy.adapter.rank=4 -s algorithms.1.policy.adapter.dropout=0.1 \
    -s algorithms.7.pretrain=4 -s algorithms.7.budget.steps=4 -s algorithms.7.evaluation.every=1 \
    -s algorithms.7.policy.adapter.rank=4

# Signals, full disks, flipped bits and lost stores: each once. `make check-faults` draws more of them.
bash "$source/tests/check-faults.sh" 0 1 || [[ $? -eq 77 ]] || fail "a fault"
