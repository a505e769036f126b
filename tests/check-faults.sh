#!/bin/bash
# SPDX-License-Identifier: MIT
# What befalls a run: kills, signals, full disks, bits that a disk flips, stores that go away under it.
# After each fault the same command is run again, and what comes of it is held against an undisturbed
# run: the same weights, the same rows, no file left behind. Faults are drawn at random.
#
#     check-faults.sh [MINUTES [SEED]]     (default: 1 minute, a seed from the clock)
#
# Each kind of fault comes once, however few the minutes; then they are drawn. The same seed draws the same faults; when a kill hits is up to the machine.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
minutes=${1:-1}
seed=${2:-$(($(date +%s) % 32768))}
RANDOM=$seed
echo "seed $seed, $minutes minutes"
export TMPDIR=$folder/scratch
mkdir "$TMPDIR"
if ! python3 -c 'import sqlite3, sys; sys.exit(sqlite3.sqlite_version_info < (3, 37))' 2>/dev/null; then
    echo "SKIP: no python3 with SQLite 3.37"
    exit 77
fi

cat >x.cfg <<END
name = "x";
extends = "$source/experiments/bandit/bandit.cfg";
seeds = [1, 2];
budget: { steps = 60; };
evaluation: { every = 20; log_every = 5; };
algorithms = ( { type = "dpo"; }, { type = "sail-pr"; exploration = 0.1; } );
END
run=("$program" run x.cfg --quiet --checkpoint-seconds 0 -t 1)

weights() { (cd "${1%.db}" && sha256sum -- *.safetensors); }
contents() { "$source/tests/results-contents.py" "$1"; }

"${run[@]}" -r whole.db || fail "the undisturbed run"
weights whole.db >whole.sum
contents whole.db >whole.contents
[[ $(wc -l <whole.contents) -gt 200 ]] || fail "the undisturbed run has no results"
"$program" export-trial whole.db dpo --seed 1 -o whole.trial >/dev/null || fail "export-trial"
"$program" table whole.db -f csv >whole.csv || fail "table"
key=$(sed -n 's/^ *"key": "\(.*\)",/\1/p' whole.trial/trial.json)

# same STORE WHAT: it is what the undisturbed run left.
same() {
    if ! weights "$1" | cmp -s - whole.sum; then
        complain "$2: other weights"
    elif ! contents "$1" | cmp -s - whole.contents; then
        complain "$2: other rows"
    fi
    nothing_left "$2" "${1%.db}"
}

# nothing_left WHAT FOLDER...: no file of those that are made on the way.
nothing_left() {
    local left
    left=$(find . "${@:2}" \( -name '*.new' -o -name '*-checkpoint.safetensors' -o -name '*.parts' \) -print -quit)
    [[ -z $left ]] || complain "$1: leaves $left"
    find . \( -name '*.new' -o -name '*.parts' \) -exec rm -rf {} +
}

# one_line STATUS WHAT: of a command that returned STATUS.
one_line() {
    [[ $1 -eq 1 && $(wc -l <err) -eq 1 && $(cat err) == regatta:* ]] ||
        complain "$2: status $1: $(head -n 3 err)"
}

declare -A count
print_counts() {
    local name
    printf '%s\n' "${!count[@]}" | sort | while read -r name; do
        printf '  %-24s %d\n' "$name" "${count[$name]}"
    done
}
did() { count[$1]=$((${count[$1]:-0} + 1)); }

# for_a_while COMMAND...: kill it within the time that it takes, or a little later. Counts what was hit.
for_a_while() {
    local most=$1 name=$2 at status=0
    shift 2
    at=$((RANDOM % most))
    timeout --foreground -s KILL "$((at / 1000)).$(printf %03d $((at % 1000)))" "$@" >out 2>err || status=$?
    if [[ $status -eq 137 ]]; then
        did "kills: $name"
    else
        did "ended before the kill"
    fi
}

# The children of a run that was killed die a little later, and hold its lock.
wait_for_lock() { [[ ! -e $1.lock ]] || flock -w 20 "$1.lock" true; }

# Milliseconds that a command takes here.
time_of() {
    local start=${EPOCHREALTIME/./}
    "$@" >/dev/null 2>&1
    echo $(((${EPOCHREALTIME/./} - start) / 1000 + 20))
}
run_time=$(time_of "${run[@]}" -r timed.db)
rm -rf timed*
short_time=$(time_of "$program" export-trial whole.db dpo --seed 1 -o timed.trial)
rm -rf timed*

kill_run() {
    local jobs=$((1 + RANDOM % 2)) i
    for ((i = RANDOM % 16; i >= 0; i--)); do
        for_a_while "$run_time" "run -j $jobs" "${run[@]}" -r x.db -j "$jobs"
        wait_for_lock x.db
    done
    "${run[@]}" -r x.db -j "$jobs" 2>err || complain "run after kills: $(cat err)"
    same x.db "run -j $jobs after kills"
}

kill_merge() {
    local i
    for ((i = RANDOM % 12; i >= 0; i--)); do
        for_a_while "$short_time" merge "$program" merge x.db whole.db
    done
    "$program" merge x.db whole.db >/dev/null 2>err || complain "merge after kills: $(cat err)"
    same x.db "merge after kills"
}

kill_export() {
    local output=x.trial i
    [[ $((RANDOM % 2)) -eq 0 ]] || output=x.tar.zst
    for ((i = RANDOM % 12; i >= 0; i--)); do
        rm -rf x.trial
        for_a_while "$short_time" export-trial "$program" export-trial whole.db dpo --seed 1 -o $output
    done
    rm -rf x.trial
    "$program" export-trial whole.db dpo --seed 1 -o $output >/dev/null 2>err || complain "export-trial after kills: $(cat err)"
    [[ $output == x.trial ]] || { tar -xf $output && rm $output && mv x x.trial; }
    (cd x.trial && sha256sum config.json "results/$key.safetensors") | (cd whole.trial && sha256sum -c --quiet) ||
        complain "export-trial after kills: another package"
    nothing_left "export-trial after kills"
}

kill_report() {
    local i
    for_a_while "$((4 * short_time))" report "$program" report whole.db -o x.html
    # gnuplot outlives the one that started it, and may write to the folder still.
    for i in 1 2 3 4 5 6 7 8; do
        find "$TMPDIR" -mindepth 1 -maxdepth 1 -exec touch -d '2 minutes ago' {} +
        "$program" report whole.db -o x.html 2>err || complain "report after a kill: $(cat err)"
        [[ -n $(ls -A "$TMPDIR") ]] || break
    done
    [[ $(tail -c 8 x.html) == "</html>" ]] || complain "report after a kill: it is not whole"
    [[ -z $(ls -A "$TMPDIR") ]] || complain "report after a kill: leaves $(ls "$TMPDIR")"
    nothing_left "report after a kill"
}

signal_run() {
    local signal=TERM status=0 at=$((RANDOM % run_time)) jobs=$((1 + RANDOM % 2))
    [[ $((RANDOM % 2)) -eq 0 ]] || signal=INT
    timeout --foreground -s $signal "$((at / 1000)).$(printf %03d $((at % 1000)))" "${run[@]}" -r x.db -j $jobs 2>err || status=$?
    did "signals: $signal"
    # 124: timeout has sent it; before the program has a handler it ends without a word.
    [[ $status -eq 0 || $(wc -l <err) -le 1 ]] || complain "SIG$signal: $(cat err)"
    wait_for_lock x.db
    "${run[@]}" -r x.db 2>err || complain "run after SIG$signal: $(cat err)"
    same x.db "run after SIG$signal"
}

# A file may have so many blocks of 1024 bytes, as on a full disk: of the store, then of its log.
full_disk() {
    local status=0
    (
        ulimit -f $((4 + RANDOM % 300))
        exec "${run[@]}" -r x.db
    ) 2>err || status=$?
    did "full disks: limit"
    [[ $status -eq 0 ]] || one_line $status "a file that may not grow"
    "${run[@]}" -r x.db 2>err || complain "run after a full disk: $(cat err)"
    same x.db "run after a full disk"
}

# The same on a small file system, where this user may mount one.
full_tmpfs() {
    local status=0
    mkdir -p small
    mount -t tmpfs -o size=$((60 + RANDOM % 400))k tmpfs small 2>/dev/null || { did "skipped: tmpfs needs root"; return; }
    "${run[@]}" -r small/x.db 2>err || status=$?
    did "full disks: tmpfs"
    [[ $status -eq 0 ]] || one_line $status "a full disk"
    mount -o remount,size=64m small
    "${run[@]}" -r small/x.db 2>err || complain "run after a full tmpfs: $(cat err)"
    same small/x.db "run after a full tmpfs"
    umount small
}

# interrupt STORE: a run that is killed when there is a checkpoint.
interrupt() {
    local i
    for ((i = 0; i < 50; i++)); do
        for_a_while "$run_time" "run -j 1" "${run[@]}" -r "$1"
        # One that was killed between its end and the removal of its checkpoint is done.
        compgen -G "${1%.db}/*-checkpoint.safetensors" >/dev/null &&
            "$program" table "$1" 2>/dev/null | grep -q 'still running or interrupted' && return
        rm -rf "${1%.db}" "$1"*
    done
    return 1
}

# flip FILE: one bit of it.
flip() {
    python3 - "$1" $((RANDOM * 32768 + RANDOM)) <<'END'
import os, sys
at = int(sys.argv[2]) % (8 * os.path.getsize(sys.argv[1]))
with open(sys.argv[1], "r+b") as file:
    file.seek(at // 8)
    byte = file.read(1)[0] ^ 1 << at % 8
    file.seek(at // 8)
    file.write(bytes([byte]))
END
}

flip_checkpoint() {
    local checkpoint
    interrupt x.db || return
    checkpoint=$(compgen -G 'x/*-checkpoint.safetensors')
    flip "$checkpoint"
    did "flips: checkpoint"
    "$program" check-store x.db >out 2>err && complain "check-store takes a flipped checkpoint"
    grep -q "$checkpoint: is damaged" out || complain "check-store of a flipped checkpoint: $(cat out)"
    "$program" merge y.db x.db >out 2>err || complain "merge of a flipped checkpoint: $(cat err)"
    grep -q "$checkpoint: is damaged: .* is merged without it" err || complain "merge of a flipped checkpoint: $(cat err)"
    [[ ! -e y/${checkpoint#x/} ]] || complain "merge copies a flipped checkpoint"
    rm -rf y y.*
    "${run[@]}" -r x.db 2>err || complain "run with a flipped checkpoint: $(cat err)"
    grep -q "starts again: .*$checkpoint: is damaged: its SHA-256 is .* it is kept as $checkpoint.damaged" err ||
        complain "a flipped checkpoint is not told: $(cat err)"
    rm "$checkpoint.damaged" || complain "a flipped checkpoint is not kept"
    same x.db "run with a flipped checkpoint"
}

flip_weights() {
    local command status
    cp whole.db x.db
    cp -r whole x
    flip "x/$key.safetensors"
    did "flips: weights"
    printf 'extends = "x.cfg"; policy = { weights = "x/%s.safetensors"; };\n' "$key" >y.cfg
    for command in "merge y.db x.db" "export-trial x.db $key -o y.trial" "export -p x/$key.safetensors y" \
        "run y.cfg -r y.db -q"; do
        status=0
        # shellcheck disable=SC2086
        "$program" $command >out 2>err || status=$?
        one_line $status "$command"
        grep -q "x/$key.safetensors: is damaged: its SHA-256 is .*, expected" err || complain "$command: $(cat err)"
        rm -rf y y.db* y.trial*
    done
    "$program" check-store x.db --save y.db >out 2>err && complain "check-store takes flipped weights"
    grep -q "$key.safetensors: is damaged" out || complain "check-store: $(cat out)"
    "${run[@]}" -r y.db 2>err || complain "run after check-store --save: $(cat err)"
    same y.db "run after check-store --save"
    rm -rf y y.*
}

damage_store() {
    local status=0
    cp whole.db x.db
    cp -r whole x
    python3 - x.db "$RANDOM" <<'END'
import os, random, sys
fortune = random.Random(int(sys.argv[2]))
with open(sys.argv[1], "r+b") as file:
    file.seek(512 * fortune.randrange(os.path.getsize(sys.argv[1]) // 512))
    file.write(fortune.choice([bytes(512), fortune.randbytes(512)]))
END
    did "damaged sectors"
    "$program" table x.db -f csv >out 2>err || status=$?
    [[ $status -eq 0 ]] && { cmp -s out whole.csv || complain "a damaged store gives other numbers"; }
    [[ $status -eq 0 ]] || one_line $status "table of a damaged store"
    "$program" check-store x.db --save y.db >out 2>err || true
    "${run[@]}" -r y.db 2>err || complain "run after check-store --save: $(cat err)"
    same y.db "run after check-store --save of a damaged store"
    rm -rf y y.*
}

# lose_store HOW: a store that goes away while it is written. The run ends with one line, and its
# checkpoint stays.
lose_store() {
    local pid status=0 how=$1 i
    "$program" run x.cfg -q --checkpoint-seconds 0 -t 1 -r x.db -s budget.steps=100000 -s evaluation.every=100000 2>err &
    pid=$!
    for ((i = 0; i < 500; i++)); do
        compgen -G 'x/*-checkpoint.safetensors' >/dev/null && break
        sleep 0.02
    done
    case $how in
    deleted) rm x.db ;;
    moved) mv x.db away.db ;;
    replaced) cp whole.db y.db && mv y.db x.db ;;
    cut) truncate -s 0 x.db ;;
    esac
    wait $pid || status=$?
    did "stores $how"
    one_line $status "a store that is lost ($how)"
    grep -qE 'x.db: cannot .*: the file was (deleted, moved or replaced|truncated) while it was being written' err ||
        complain "a store that is lost ($how): $(cat err)"
    compgen -G 'x/*-checkpoint.safetensors' >/dev/null || complain "a store that is lost takes the checkpoint with it"
    if [[ $how == moved ]]; then # back in its place, it is gone on with
        mv away.db x.db
        "$program" run x.cfg --checkpoint-seconds 0 -t 1 -r x.db -s budget.steps=100000 -s evaluation.every=100000 2>err &
        pid=$!
        for ((i = 0; i < 500; i++)); do
            grep -q 'dpo seed 1: resuming from step' err && break
            sleep 0.02
        done
        grep -q 'dpo seed 1: resuming from step' err || complain "a store that is back is not gone on with: $(cat err)"
        kill -9 $pid
        wait $pid
    fi 2>/dev/null
    [[ $how != replaced ]] || { cmp -s x.db whole.db && "$program" table x.db -f csv | cmp -s - whole.csv; } ||
        complain "what replaced a store was written to"
}

faults=(kill_run kill_run kill_run kill_merge kill_export kill_report signal_run full_disk full_tmpfs
    flip_checkpoint flip_weights damage_store "lose_store deleted" "lose_store moved" "lose_store replaced"
    "lose_store cut")
finish=$((SECONDS + 60 * minutes))
trap 'finish=0' TERM # the round is ended, and the counts are told
trap 'mountpoint -q "$folder/small" && umount "$folder/small"; rm -rf "$folder"' EXIT
# Each kind once, then at random.
for ((round = 0; round < ${#faults[@]} || SECONDS < finish; round++)); do
    [[ $round -lt ${#faults[@]} ]] && fault=${faults[$round]} || fault=${faults[$((RANDOM % ${#faults[@]}))]}
    before=$failures
    $fault
    [[ $failures -eq $before ]] || echo "  in round $round, $fault"
    rm -rf x x.db* x.trial x.html x.tar.zst y y.* away.db*
done
print_counts
kills=0
for name in "${!count[@]}"; do
    [[ $name != kills:* ]] || kills=$((kills + ${count[$name]}))
done
echo "$round rounds, $kills kills, $failures failures (seed $seed)"
[[ $failures -eq 0 && $kills -gt 0 ]]
