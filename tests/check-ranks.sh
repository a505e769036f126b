#!/bin/bash
# SPDX-License-Identifier: MIT
# Trials over the ranks of mpirun, and the batches of a trial over the ranks of a process group: the same
# weights and the same store as in one process, with 1, 2 and 4 ranks, in groups of 1 to 5, and when
# ranks are killed again and again, which costs no more than the step in hand.
# Skipped where there is no mpirun, or the program was built without MPI.
set -eu
program=${RG_PROGRAM:?path of the regatta program}
source=$(cd "${RG_SOURCE_DIR:-.}" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() {
    echo "FAIL: $*"
    exit 1
}

# Every method, long enough to be hit in mid-run.
run=("$program" run "$source/experiments/bandit/head-to-head.cfg" --checkpoint-seconds 0 -t 1
    -s 'seeds=[1,2]' -s budget.steps=300 -s evaluation.log_every=1)

# With launch="exec" in the background, so that its children are the ranks.
ranks() { # N ARGUMENT...
    ${launch:-} mpirun --oversubscribe --bind-to none -n "$1" "${run[@]}" "${@:2}"
}

if ! command -v mpirun >/dev/null; then
    echo "SKIP: there is no mpirun"
    exit 77
fi
# mpirun asks the superuser whether that is meant.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
status=0
ranks 2 --dry-run >listed 2>told || status=$?
if [[ $status -ne 0 ]]; then
    grep -q 'this build has no MPI' told || fail "mpirun: $(cat told)"
    [[ $(grep -c '^regatta: ' told) -gt 0 ]] || fail "mpirun: $(cat told)"
    echo "SKIP: the program was built without MPI"
    exit 77
fi
[[ $(grep -cE '^[0-9a-f]{16} ' listed) -eq 16 ]] || fail "two ranks list the trials other than once: $(cat listed)"

# But for what asking came to: a run that was killed finds what it was told before.
contents() {
    "$source/tests/results-contents.py" "$1" | grep -vE "^\\('metric', .*'(eval/)?judge_"
}

# whole: an undisturbed run in one process, into whole.db.
whole() {
    rm -rf whole whole.db
    "${run[@]}" --quiet -r whole.db
    (cd whole && sha256sum -- *.safetensors) >whole.sum
    contents whole.db >whole.contents
}

# same NAME: NAME.db and its weights are what that leaves.
same() {
    (cd "$1" && sha256sum -- *.safetensors) >"$1.sum"
    diff whole.sum "$1.sum" || fail "$1: other weights"
    contents "$1.db" >"$1.contents"
    cmp whole.contents "$1.contents" || fail "$1: other results"
    [[ -z $(find "$1" -name 'part-*') ]] || fail "$1: parts are left: $(ls "$1")"
}

whole
for n in 1 2 4; do
    ranks "$n" -r "over$n.db" 2>told || fail "$n ranks: $(cat told)"
    [[ $(grep -c 'trials done' told) -eq 1 ]] || fail "$n ranks: $(cat told)"
    same "over$n"
done
echo "1, 2 and 4 ranks: same weights, same store"

# ---- what goes wrong is told once ----
status=0
ranks 3 -r wrong.db -s budget.stepz=3 2>told || status=$?
[[ $status -eq 2 && $(grep -c '^regatta: .*unknown key' told) -eq 1 ]] || fail "$status: $(cat told)"
status=0
ranks 2 -r wrong.db -j 2 2>told || status=$?
[[ $status -eq 2 && $(grep -c 'cannot be combined with mpirun' told) -eq 1 ]] || fail "$status: $(cat told)"
mkdir -p over2/part-1.db.lock
status=0
ranks 2 -r over2.db -q 2>told || status=$?
[[ $status -eq 1 && $(grep -c '^regatta: .*part-1.db' told) -eq 1 ]] || fail "$status: $(cat told)"
rmdir over2/part-1.db.lock

# ---- ranks are killed ----
# How far each trial has come in the store and its parts: its label, seed, step and status.
far() {
    python3 - killed.db killed/part-*.db <<'END'
import os, sqlite3, sys
far = {}
for path in filter(os.path.exists, sys.argv[1:]):
    store = sqlite3.connect(path)
    if not store.execute("SELECT 1 FROM sqlite_master WHERE name = 'trials'").fetchone():
        continue  # killed before it was made
    for label, seed, step, status in store.execute(
            "SELECT label, seed, ifnull((SELECT max(step) FROM readings WHERE trial = t.id), -1),"
            " status FROM trials t"):
        far[label, seed] = max(far.get((label, seed), (-1, "")), (step, status))
for (label, seed), (step, status) in far.items():
    print(label, seed, step, status)
END
}

# The run that told `log` took up each trial of `far` no more than one step behind.
check_taken_up() {
    local label seed step status from
    while read -r label seed step status; do
        # The rows of a step are there before its checkpoint is.
        ((step > 1)) || [[ $status == finished ]] || continue
        ! grep -qF "] $label seed $seed step 0:" log ||
            fail "$label seed $seed began again, after step $step ($status): $(cat log)"
        from=$(sed -n "s/^$label seed $seed: resuming from step //p" log)
        [[ -z $from ]] || ((from >= step - 1)) ||
            fail "$label seed $seed: resuming from step $from, after step $step"
    done <far
}

# no_more: all of `processes` have ended, for which mpirun does not wait.
no_more() {
    local process
    for process in "${processes[@]}"; do
        while [[ -e /proc/$process ]]; do
            sleep 0.02
        done
    done
}

# kill_some HITS PAUSE ARGUMENT...: ranks are killed one after another, so many milliseconds and up
# to 500 more after each start, until that has hit a run so often; then the run ends undisturbed.
kill_some() {
    local hits=0 tries=0 mpirun processes
    rm -rf killed killed.db
    : >far
    while ((hits < $1 && tries < 3 * $1)); do
        tries=$((tries + 1))
        launch="exec" ranks "${@:3}" -r killed.db 2>log >&2 &
        mpirun=$!
        sleep "0.$(printf %03d $(($2 + RANDOM % 500)))"
        read -ra processes <<<"$(cat /proc/$mpirun/task/*/children 2>/dev/null | tr '\n' ' ')" || true
        ((${#processes[@]} == 0)) || kill -9 "${processes[RANDOM % ${#processes[@]}]}" 2>/dev/null || true
        if wait $mpirun && no_more; then
            # It ended undisturbed: begin anew.
            check_taken_up
            same killed
            rm -r killed killed.db
        else
            no_more
            hits=$((hits + 1))
            check_taken_up
        fi
        far >far
    done
    ranks "${@:3}" -r killed.db 2>log || fail "killed: $(cat log)"
    check_taken_up
    same killed
    ((2 * hits >= $1)) || fail "in $tries runs only $hits ranks could be killed"
    echo "$hits ranks killed: no trial lost more than the step in hand; same weights, same store"
}

kill_some 20 300 $((2 + RANDOM % 3))

# What ranks have left is taken up by one process too.
launch="exec" ranks 4 -r left.db -q 2>log &
mpirun=$!
sleep 0.5
read -ra processes <<<"$(cat /proc/$mpirun/task/*/children 2>/dev/null | tr '\n' ' ')" || true
((${#processes[@]} == 0)) || kill -9 "${processes[0]}" 2>/dev/null || true
wait $mpirun || true
no_more
"${run[@]}" -q -r left.db
same left

# ---- process groups ----
# over RANKS TEAM: as a process alone.
over() {
    ranks "$1" --ranks-per-trial "$2" -r "group$1-$2.db" 2>told || fail "$1 ranks, $2 a trial: $(cat told)"
    same "group$1-$2"
    rm -r "group$1-$2" "group$1-$2.db"
}

# Labels of data set, judge and policy; groups; a reference that moves and a shift of rewards; a trial that only its first rank can run; one whose
# result is its best evaluation, of which the first rank alone knows.
methods='{type="dpo";},{type="online-dpo";},{type="sail-dp";},{type="listwise";},'
methods+='{type="bco"; reference_steps=7; reference_update=0.5; sft_coefficient=0.3;},'
methods+='{type="parl"; training:{shards=1;}; budget:{steps=20;};},'
methods+='{type="dpo"; label="best"; evaluation:{every=20; select="kl"; lower_is_better=true; patience=4;};}'
run=("$program" run "$source/experiments/bandit/bandit.cfg" --checkpoint-seconds 0 -t 1
    -s 'name="groups"' -s 'seeds=[1,2]' -s budget.steps=100 -s evaluation.log_every=1
    -s training.shards=4 -s "algorithms=($methods)")
whole
for n in '1 1' '2 2' '3 3' '4 4' '4 2' '4 1' '5 5'; do
    read -ra n <<<"$n"
    over "${n[@]}"
done
[[ $(grep -c 'of a group of 5, so many ranks have something to do: 4' told) -eq 1 ]] || fail "$(cat told)"
echo "groups of 1 to 5: same weights, same store"
kill_some 6 300 4 --ranks-per-trial 2

# stop_once WHOM: a signal to mpirun, or to the rank that is not the first of its group. Fails where
# the run had ended before.
stop_once() {
    local mpirun processes stopped
    rm -rf stopped stopped.db
    launch="exec" ranks 2 --ranks-per-trial 2 -r stopped.db 2>log >&2 &
    mpirun=$!
    until grep -q 'step 0:' log; do
        kill -0 $mpirun || fail "$(cat log)"
        sleep 0.05
    done
    read -ra processes <<<"$(cat /proc/$mpirun/task/*/children | tr '\n' ' ')"
    stopped=$mpirun
    [[ $1 == mpirun ]] || stopped=${processes[1]}
    kill -TERM "$stopped" || return 1
    ! wait $mpirun || return 1
    no_more
    # mpirun hands the signal on, and hears no more of what it started.
    [[ $1 == mpirun ]] || grep -q 'stopped by a signal' log || fail "$1: $(cat log)"
    ranks 2 --ranks-per-trial 2 -r stopped.db 2>log || fail "$1: $(cat log)"
    same stopped
    grep -q 'resuming from step' log
}
for whom in mpirun other; do
    tries=0
    until stop_once $whom; do
        ((++tries < 5)) || fail "$whom: a signal does not stop a run: $(cat log)"
    done
done
echo "signals stop a group in order"

# ---- what goes wrong with groups ----
status=0
ranks 3 --ranks-per-trial 2 -r wrong.db 2>told || status=$?
[[ $status -eq 2 && $(grep -c '^regatta: .*has started 3 ranks: expected a multiple' told) -eq 1 ]] ||
    fail "$status: $(cat told)"
status=0
"${run[@]}" --ranks-per-trial 2 -r wrong.db 2>told || status=$?
[[ $status -eq 2 && $(grep -c '^regatta: .*there is only one rank' told) -eq 1 ]] || fail "$status: $(cat told)"
status=0
ranks 2 --ranks-per-trial 2 -r wrong.db -s training.batch=3 2>told || status=$?
[[ $status -eq 2 && $(grep -c '^regatta: training.shards is 4, and a batch has 3' told) -eq 1 ]] ||
    fail "$status: $(cat told)"

# ---- a group over text, with a judge outside of the program ----
# lines FIRST COUNT: lines of a data file.
lines() {
    awk -v first="$1" -v count="$2" 'BEGIN {
        split("the king said unto his men that they should go and see what was done", word, " ")
        for (i = first; i < first + count; i++) {
            printf "{\"reference\": \"%d\", \"prompt\": \"%s %s.\", ", i, word[1 + i % 15], word[1 + i * 7 % 15]
            printf "\"chosen\": \"%s %s %s.\", ", word[1 + i % 11], word[1 + i * 5 % 13], word[1 + i % 3]
            printf "\"rejected\": \"thou %s.\"}\n", word[1 + i % 7]
        }
    }'
}
mkdir data
lines 0 60 >data/train.jsonl
lines 60 20 >data/test.jsonl
lines 80 60 >data/judge.jsonl
lines 140 60 >data/judge-independent.jsonl
"$program" train-tokenizer -o tokenizer.json -v 280 data/train.jsonl >told 2>&1 || fail "$(cat told)"
# The longer response is the better one; every question is noted.
cat >judge.py <<'END'
import json, os, sys
for line in sys.stdin:
    question = json.loads(line)
    with open(os.environ["ASKED"], "a") as asked:
        asked.write(json.dumps([question[k] for k in ("prompt", "a", "b")]) + "\n")
    better = "A" if len(question["a"]) >= len(question["b"]) else "B"
    print(json.dumps({"id": question["id"], "answer": better}), flush=True)
END
cat >text.cfg <<END
name = "text";
seeds = [1];
environment: { type = "text"; data = "data"; tokenizer = "tokenizer.json"; pair_count = 24;
    response_limit = 12; test_prompts = 12; judge = { type = "command"; command = "python3 judge.py"; }; };
policy: { type = "transformer"; width = 16; layers = 2; heads = 2; context = 64;
    adapter = { rank = 2; dropout = 0.1; targets = "all"; }; };
optimizer: { learning_rate = 1e-3; };
training: { batch = 8; shards = 4; micro_batch = 1; };
budget: { steps = 12; };
evaluation: { every = 6; log_every = 1; };
algorithms = ( { type = "dpo"; }, { type = "online-dpo"; mixture = 0.5; }, { type = "sft"; } );
END
run=("$program" run text.cfg --checkpoint-seconds 0 -t 1)
export ASKED=$folder/asked-alone
whole
[[ $(wc -l <asked-alone) -gt 50 ]] || fail "the judge is hardly asked"
export ASKED=$folder/asked
for n in '2 2' '3 3'; do
    read -ra n <<<"$n"
    rm -f asked
    over "${n[@]}"
    diff <(sort asked-alone) <(sort asked) >/dev/null || fail "${n[*]}: the judge is asked otherwise"
done
kill_some 4 400 3 --ranks-per-trial 3
echo "a group over text: same weights, same store, and nothing asked twice"
