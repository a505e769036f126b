#!/bin/bash
# Trials over the ranks of mpirun: the same weights and the same store as in one process, with 1, 2
# and 4 ranks, and when ranks are killed again and again, which costs no more than the step in hand.
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
run=("$program" run "$source/experiments/bandit-head-to-head.cfg" --checkpoint-seconds 0 -t 1
    -s 'seeds=[1,2]' -s budget.steps=300 -s evaluation.log_every=1)

ranks() { # N ARGUMENT...
    mpirun --oversubscribe --bind-to none -n "$1" "${run[@]}" "${@:2}"
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

# same NAME: NAME.db and its weights are what an undisturbed run in one process leaves.
same() {
    (cd "$1" && sha256sum -- *.safetensors) >"$1.sum"
    diff whole.sum "$1.sum" || fail "$1: other weights"
    "$source/tests/results-contents.py" "$1.db" >"$1.contents"
    cmp whole.contents "$1.contents" || fail "$1: other results"
    [[ -z $(find "$1" -name 'part-*') ]] || fail "$1: parts are left: $(ls "$1")"
}

"${run[@]}" --quiet -r whole.db
(cd whole && sha256sum -- *.safetensors) >whole.sum
"$source/tests/results-contents.py" whole.db >whole.contents
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
[[ $status -eq 2 && $(grep -c 'expected none of them beside mpirun' told) -eq 1 ]] || fail "$status: $(cat told)"
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
        from=$(sed -n "s/^$label seed $seed: going on from step //p" log)
        [[ -z $from ]] || ((from >= step - 1)) ||
            fail "$label seed $seed: going on from step $from, after step $step"
    done <far
}

hits=0
tries=0
touch far
while ((hits < 20 && tries < 60)); do
    tries=$((tries + 1))
    ranks $((2 + RANDOM % 3)) -r killed.db 2>log >&2 &
    mpirun=$!
    sleep "0.$(printf %03d $((300 + RANDOM % 500)))"
    read -ra processes <<<"$(cat /proc/$mpirun/task/*/children 2>/dev/null | tr '\n' ' ')" || true
    ((${#processes[@]} == 0)) || kill -9 "${processes[RANDOM % ${#processes[@]}]}" 2>/dev/null || true
    if wait $mpirun; then
        # It ended undisturbed: begin anew.
        check_taken_up
        same killed
        rm -r killed killed.db
    else
        hits=$((hits + 1))
        check_taken_up
    fi
    far >far
done
ranks 3 -r killed.db 2>log || fail "killed: $(cat log)"
check_taken_up
same killed
((hits >= 10)) || fail "in $tries runs only $hits ranks could be killed"
echo "$hits ranks killed: no trial lost more than the step in hand; same weights, same store"

# What ranks have left is taken up by one process too.
ranks 4 -r left.db -q 2>log &
mpirun=$!
sleep 0.5
read -ra processes <<<"$(cat /proc/$mpirun/task/*/children 2>/dev/null | tr '\n' ' ')" || true
((${#processes[@]} == 0)) || kill -9 "${processes[0]}" 2>/dev/null || true
wait $mpirun || true
"${run[@]}" -q -r left.db
same left
