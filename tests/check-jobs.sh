#!/bin/bash
# SPDX-License-Identifier: MIT
# Trials side by side (regatta run -j): the same weights and the same store as one after another,
# whoever is killed on the way: the processes of trials, which their leader takes up again by name,
# or the leader, with whom they go. One signal stops all, and memory is kept within its limit.
set -eu
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"

# Every method, long enough to be hit in mid-run.
run=("$program" run "$source/experiments/bandit/head-to-head.cfg" --quiet --checkpoint-seconds 0
    -s 'seeds=[1,2]' -s budget.steps=300)

# same NAME: NAME.db and its weights are what an undisturbed run in one process leaves.
same() {
    (cd "$1" && sha256sum -- *.safetensors) >"$1.sum"
    diff whole.sum "$1.sum" || fail "$1: other weights"
    "$source/tests/results-contents.py" "$1.db" >"$1.contents"
    cmp whole.contents "$1.contents" || fail "$1: other results"
}

children() { # PROCESS
    cat "/proc/$1/task/$1/children" 2>/dev/null || true
}

nap() { # MILLISECONDS, at most
    sleep "0.$(printf %03d $((1 + RANDOM % $1)))"
}

"${run[@]}" -r whole.db -t 2
(cd whole && sha256sum -- *.safetensors) >whole.sum
"$source/tests/results-contents.py" whole.db >whole.contents
[[ $(wc -l <whole.contents) -gt 1000 ]] || fail "the undisturbed run has no results"

"${run[@]}" -r beside.db -j 2 -t 2
same beside
# More threads than one in each process: they are begun after the fork.
"${run[@]}" -r threads.db -j 3 -t 6
same threads
echo "2 and 3 trials at a time: same weights, same store"

# ---- processes of trials are killed ----
# steps NAME: the checkpoints of trials under way and when they were written, which is after each step.
steps() {
    find "$1" -name '*-checkpoint.safetensors' -printf '%f %T@\n' 2>/dev/null | sort
}

# As a program ends, LeakSanitizer looks at it from one more child, and waits forever if that is killed.
no_leaks="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"

# One that dies three times at one place ends the run: all have made a step before the next is killed.
ASAN_OPTIONS=$no_leaks "${run[@]}" -r killed.db -j 3 -t 3 2>named &
leader=$!
hits=0
steps killed >before
while kill -0 $leader 2>/dev/null; do
    nap 60
    read -ra processes <<<"$(children $leader)" || true
    steps killed >now
    if [[ ${#processes[@]} -gt 0 && $(wc -l <now) -ge ${#processes[@]} && $hits -lt 20 &&
        -z $(comm -12 before now) ]] &&
        kill -9 "${processes[RANDOM % ${#processes[@]}]}" 2>/dev/null; then
        hits=$((hits + 1))
        mv now before
    fi
done
wait $leader || fail "killed: $(cat named)"
same killed
[[ $hits -gt 0 ]] || fail "killed: the run ended before it could be disturbed"
lines=$(grep -cE '^regatta: \[[0-9]+/[0-9]+\] .* seed [12]: its process was killed by signal 9 .*resumes' named || true)
# One that had ended, and was not waited for yet, dies no more.
[[ $lines -gt 0 && $lines -le $hits ]] || fail "killed: $hits processes, but $lines lines: $(cat named)"
echo "$lines processes of trials killed and named: same weights, same store"

# ---- one that gets nowhere ----
status=0
ASAN_OPTIONS=$no_leaks "${run[@]}" --checkpoint-seconds 1000 -s budget.steps=1000000 -r nowhere.db -j 1 --memory-limit 8G 2>named &
leader=$!
while kill -0 $leader 2>/dev/null; do
    for process in $(children $leader); do
        kill -9 "$process" 2>/dev/null || true
    done
    sleep 0.02
done
wait $leader || status=$?
[[ $status -eq 1 && $(grep -c 'resumes' named) -ge 2 ]] || fail "nowhere: status $status: $(cat named)"
[[ $(tail -n 1 named) == *'it has died 3 times without progress' ]] || fail "nowhere: $(cat named)"
"$program" status nowhere.db >told || fail "nowhere: no status"
grep -q 'its process was killed by signal 9 (Killed); it has died 3 times without progress' told ||
    fail "nowhere: the store has no reason: $(cat told)"
"$program" table nowhere.db -f csv >told
awk -F, 'NR > 1 { running += $4; failed += $6 } END { exit running > 0 || failed == 0 }' told || fail "nowhere: a trial that was given up is said to be running: $(cat told)"
echo "a trial that dies again and again at one place is given up, and said to be"

# ---- the leader is killed ----
hits=0
for _ in {1..6}; do
    "${run[@]}" -r orphans.db -j 3 -t 3 &
    leader=$!
    nap 300
    read -ra processes <<<"$(children $leader)" || true
    kill -9 $leader 2>/dev/null && hits=$((hits + 1))
    wait $leader 2>/dev/null || true
    for process in "${processes[@]}"; do
        while kill -0 "$process" 2>/dev/null; do # dead, as soon as somebody has a look
            sleep 0.01
        done
    done
done
"${run[@]}" -r orphans.db -j 2 -t 2
same orphans
[[ $hits -gt 0 ]] || fail "orphans: every run ended before it could be killed"
echo "leader killed $hits times: the others went with it; same weights, same store"

# ---- signals ----
for signal in INT TERM; do
    status=0
    # A background job of a script ignores SIGINT unless it asks for it.
    (trap - INT; exec "${run[@]}" -r "$signal.db" -j 3 -t 3) 2>told &
    leader=$!
    until [[ -s $signal.db && $(children $leader | wc -w) -gt 1 ]]; do
        kill -0 $leader 2>/dev/null || fail "SIG$signal: the run was over before it"
        sleep 0.01
    done
    # A terminal, and some batch systems, send theirs to all processes.
    # shellcheck disable=SC2046 # a list of words
    kill "-$signal" $leader $(children $leader) 2>/dev/null || true
    wait $leader || status=$?
    [[ $status -eq 1 && $(wc -l <told) -eq 1 ]] || fail "SIG$signal: status $status: $(cat told)"
    grep -qE 'stopped by a signal with [0-9]+ of [0-9]+ trials unfinished; run again to continue' told ||
        fail "SIG$signal: $(cat told)"
    [[ -n $(ls "$signal"/*-checkpoint.safetensors) ]] || fail "SIG$signal: no checkpoint"
    "${run[@]}" -r "$signal.db" -j 2
    same "$signal"
done
echo "SIGINT and SIGTERM stop all, with checkpoints"

# ---- errors ----
# The file that stands in the way of the last trial's weights ends the run, with its one line.
key=$("${run[@]}" --dry-run | awk '/^[0-9a-f]+ / { key = $1 } END { print key }')
mkdir -p failing/"$key.safetensors"/full
status=0
"${run[@]}" -r failing.db -j 2 2>told || status=$?
[[ $status -eq 1 && $(wc -l <told) -eq 1 ]] || fail "a trial that fails: status $status: $(cat told)"
grep -q "^regatta: failing/$key.safetensors: " told || fail "a trial that fails: $(cat told)"
rm -r failing/"$key.safetensors"
"${run[@]}" -r failing.db -j 2
same failing

# ---- memory ----
refused() { # LIMIT PATTERN
    local status=0
    "${run[@]}" -r memory.db -j 4 --memory-limit "$1" 2>told || status=$?
    [[ $status -eq 2 ]] || fail "--memory-limit $1: status $status: $(cat told)"
    grep -qE "$2" told || fail "--memory-limit $1: $(cat told)"
}
refused 20x 'expected a size such as 20G'
refused 0 'expected a size such as 20G'
refused 1M '\[1/[0-9]+\] .* seed 1 needs [0-9.]+ MB at its peak, but --memory-limit leaves -?[0-9.]+ MB'
! "${run[@]}" --profile -j 2 2>told || fail "--profile -j 2 runs"
grep -q -- '--profile cannot be combined with -j or --memory-limit' told || fail "--profile -j 2: $(cat told)"

# most NAME ARGUMENT...: run; the largest number of processes of trials that were seen at once.
most() {
    local most=0 now leader
    "${run[@]}" -r "$1.db" -j 4 -t 1 "${@:2}" >/dev/null &
    leader=$!
    while kill -0 $leader 2>/dev/null; do
        now=$(children $leader | wc -w)
        most=$((now > most ? now : most))
        sleep 0.005
    done
    wait $leader || return 1
    echo $most
}
[[ $(most free) -gt 1 ]] || fail "of 4 trials at a time no two were seen at once"
if is_sanitized; then
    echo "within a limit, memory is not told: this program is held by a sanitizer, which has its own"
    exit 0
fi
# Beside the program itself (about 12 MB) and one trial as it is planned (the same), there is no
# room for the second.
"$program" plan "$source/experiments/bandit/head-to-head.cfg" -x | awk '
    /total, at/ { if ($NF + 0 > most) most = $NF + 0 } END { printf "%d\n", 2.5 * most }' >limit
seen=$(most limited --memory-limit "$(cat limit)") || fail "within $(cat limit) bytes the run fails"
[[ $seen -eq 1 ]] || fail "within $(cat limit) bytes, $seen trials were seen at once"
same limited
echo "memory stays within its limit"
