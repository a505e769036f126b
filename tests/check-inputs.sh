#!/bin/bash
# SPDX-License-Identifier: MIT
# What a trial reads is a part of what it is. A file that is replaced under its name makes new trials,
# and is named; an interrupted trial does not go on with it; a folder may be moved; a store tells of its
# trials where their inputs have gone.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
made_up_data 400 40 60 60 60 30
mkdir own
cp tokenizer.json own/
made_up_lines 100 600 >own/train.jsonl
made_up_lines 7000 600 >other.jsonl
cat >own/x.cfg <<'END'
name = "x"; seeds = [1];
environment: { type = "text"; train = "./train.jsonl"; tokenizer = "./tokenizer.json";
    pairs = "dataset"; pair_count = 40; test_prompts = 4; response_limit = 12; test_share = 0.2; judge_share = 0.4; };
policy: { type = "transformer"; layers = 1; width = 16; heads = 2; hidden = 16; context = 128; };
optimizer: { learning_rate = 1e-3; }; training: { batch = 8; }; budget: { steps = 3; };
evaluation: { every = 0; start = false; log_every = 1; };
algorithms = ( { type = "dpo"; } );
END

regatta() { # what it says stands in `log`
    "$program" "$@" >log 2>&1
}
said() {
    grep -q -- "$1" log || complain "expected \"$1\": $(cat log)"
}
unsaid() {
    ! grep -q -- "$1" log || complain "expected no \"$1\": $(cat log)"
}
trials() { # STORE: keys with status
    python3 - "$1" <<'END'
import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute("SELECT key, status FROM trials ORDER BY id"):
    print(*row)
END
}

regatta run own/x.cfg -q -r x.db || fail "$(cat log)"
regatta run own/x.cfg -n -r x.db
said "finished"
[[ $(trials x.db | wc -l) -eq 1 ]] || complain "one trial: $(trials x.db)"

# Another file under the name: told once, run anew, and the old trial stays.
cp own/train.jsonl first.jsonl
cp other.jsonl own/train.jsonl
regatta run own/x.cfg -n -r x.db
said "own/train.jsonl has changed since 1 trial of x.db was run: these are new trials"
cp x.db share.db
cp -r x share
regatta run own/x.cfg -q -r share.db --share 1/1
said "own/train.jsonl has changed since 1 trial of share.db was run: these are new trials"
regatta run own/x.cfg -q -r share.db
[[ $(trials share.db | grep -c finished) -eq 2 ]] || complain "a share with another file: $(trials share.db)"
regatta table share.db -m reward
said "1 trial not in the config that was run last is left out"
regatta run own/x.cfg -q -r x.db
said "own/train.jsonl has changed since 1 trial of x.db was run: these are new trials"
unsaid "tokenizer.json has"
[[ $(trials x.db | grep -c finished) -eq 2 ]] || complain "a new trial beside the old: $(trials x.db)"
regatta run own/x.cfg -q -r x.db
unsaid "changed"
cp first.jsonl own/train.jsonl
regatta run own/x.cfg -n -r x.db
said "to run: 0"

# Moved, it is the same.
cp -r own moved
regatta run moved/x.cfg -n -r x.db
said "to run: 0"
unsaid "changed"

# Interrupted: it goes on with the same file, and with another one a new trial begins.
"$program" run own/x.cfg -q -r slow.db -s budget.steps=100000 --checkpoint-seconds 0 >log 2>&1 &
run=$!
for _ in $(seq 300); do
    compgen -G 'slow/*-checkpoint.safetensors' >/dev/null && break
    sleep 0.1
done
kill -INT $run
wait $run
old=$(trials slow.db | cut -d' ' -f1)
cp other.jsonl own/train.jsonl
timeout -s INT 3 "$program" run own/x.cfg -q -r slow.db -s budget.steps=100000 >log 2>&1
said "own/train.jsonl has changed since 1 trial of slow.db was run: these are new trials; 1 of the old ones are unfinished"
[[ $(trials slow.db | wc -l) -eq 2 ]] || complain "a trial goes on with another file: $(trials slow.db)"
[[ -e slow/$old-checkpoint.safetensors ]] || complain "the checkpoint of the old trial is gone"

# A trial that was packed is what it was: with another file it is not packed.
regatta export-trial x.db "$(trials x.db | sed -n 1p | cut -d' ' -f1)" -o packed --with-inputs
said "own/train.jsonl.* has changed since the trial was recorded"
cp first.jsonl own/train.jsonl
regatta export-trial x.db "$(trials x.db | sed -n 1p | cut -d' ' -f1)" -o packed --with-inputs || complain "$(cat log)"
grep -q '"inputs.environment.train"' packed/config.json || complain "the package does not say what the inputs hold"
regatta verify packed
said "the same result, bit for bit"

# Inputs that have gone: what is done is known, and what is not is refused. Whether it has changed nobody
# knows, and it is called missing once, by its setting.
missing='environment.train = "own/train.jsonl"' place=own/x.cfg:2
reported_once() {
    [[ $(grep -c 'own/train.jsonl' log) -eq 1 ]] || complain "the missing file is told of not once: $(cat log)"
    unsaid "changed since"
    unsaid "No such file"
}
regatta run own/x.cfg -q -r gone.db -s 'seeds=[7]' || complain "$(cat log)"
cp other.jsonl own/train.jsonl
regatta run own/x.cfg -q -r gone.db || complain "$(cat log)"
rm own/train.jsonl
regatta run own/x.cfg -q -r gone.db -s 'seeds=[1, 7]' && complain "a trial ran without its input"
said "regatta: $place: $missing is missing, but needed by dpo, seed 7"
reported_once
regatta run own/x.cfg -n -r gone.db -s 'seeds=[1, 7]' && complain "a dry run took a trial without its input"
said "regatta: $place: $missing is missing, but needed by dpo, seed 7"
said "to run: 1"
reported_once
regatta run own/x.cfg -q -r new.db && complain "a trial ran without its input"
said "regatta: $place: $missing is missing"
reported_once
[[ ! -e new.db ]] || complain "a store was made before the first step was possible"
regatta run own/x.cfg -n -r newer.db && complain "a dry run took a trial without its input"
said "regatta: $place: $missing is missing"
said "to run: 1"
reported_once
regatta plan own/x.cfg && complain "a plan without an input"
said "regatta: $place: $missing is missing"
reported_once
# All that are missing are told of at once, and a file of a folder by its path.
for command in "run -q -r new.db" "run -n -r new.db" plan; do
    # shellcheck disable=SC2086 # a list of words
    regatta $command own/x.cfg -s 'environment.tokenizer="none.json"' && complain "$command without two inputs"
    said "$place: $missing is missing, .*; -s: environment.tokenizer = \"none.json\" is missing, "
    # shellcheck disable=SC2086 # a list of words
    regatta $command own/x.cfg -s 'environment.train=""' -s 'environment.data="own"' && complain "$command without a file"
    said "own/.*jsonl"
done
regatta run own/x.cfg -n -r x.db
said "missing: $missing;"
said "to run: 0"
reported_once
regatta status x.db
said "1 finished"
said "missing: $missing"
reported_once
regatta run own/x.cfg -q -r x.db || complain "done trials need no input: $(cat log)"
reported_once
regatta export-trial x.db dpo -o unpacked && complain "a trial was packed without its input"
said "regatta: $missing is missing"
reported_once

[[ $failures -eq 0 ]] && echo "inputs are a part of what a trial is"
exit $((failures > 0))
