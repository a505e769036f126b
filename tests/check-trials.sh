#!/bin/bash
# SPDX-License-Identifier: MIT
# Trials by name: run --only, forget, and export of a trial's policy.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
made_up_data 400 60 60 60 60 30
cat >x.cfg <<'END'
name = "x"; seeds = [1, 2];
environment: { type = "text"; data = "./data"; tokenizer = "./tokenizer.json"; pair_count = 8; test_prompts = 4;
    response_limit = 32; };
policy: { type = "transformer"; layers = 1; width = 16; heads = 2; hidden = 16; context = 128; };
optimizer: { learning_rate = 1e-2; }; training: { batch = 4; }; budget: { steps = 3; };
evaluation: { every = 0; start = false; log_every = 1; };
algorithms = ( { type = "dpo"; }, { type = "ipo"; label = "other"; }, { type = "base"; } );
END

expect() { # STATUS TEXT COMMAND…
    "$program" "${@:3}" >log 2>&1 </dev/null
    local status=$?
    [[ $status -eq $1 ]] || complain "${*:3}: exit $status, expected $1: $(cat log)"
    [[ -z $2 ]] || grep -q -- "$2" log || complain "${*:3}: expected \"$2\": $(cat log)"
}
trials() { # STORE: label, seed, status
    python3 - "$1" <<'END'
import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute("SELECT label, seed, status FROM trials ORDER BY label, seed"):
    print(*row)
END
}
rows() { # STORE: of all that trials own
    python3 - "$1" <<'END'
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
for table in "readings", "metrics", "evaluations", "responses", "evaluation_times", "weights":
    print(table, store.execute(f"SELECT count(*) FROM {table}").fetchone()[0],
          store.execute(f"SELECT count(*) FROM {table} WHERE trial NOT IN (SELECT id FROM trials)").fetchone()[0])
END
}

# One method, then another: tables are of all that the config asks for.
expect 0 "2 trials done" run x.cfg -r x.db --only dpo
[[ $(trials x.db) == $'dpo 1 finished\ndpo 2 finished' ]] || complain "--only dpo: $(trials x.db)"
expect 0 'to run: 2' run x.cfg -r x.db -n --only other
expect 0 "4 trials done" run x.cfg -r x.db --only other --only base
[[ $(trials x.db | wc -l) -eq 6 ]] || complain "--only twice: $(trials x.db)"
expect 0 '' table x.db
grep -q "^dpo" log && grep -q "^other" log || complain "the table is of one method alone: $(cat log)"
grep -q "left out" log && complain "methods that the config asks for are left out: $(cat log)"
expect 2 'did you mean "dpo"' run x.cfg -r x.db --only dppo
expect 2 'expected one of dpo, other, base' run x.cfg -r x.db --only unlike-all
expect 0 '' run x.cfg -q -r beside.db --only dpo -j 2
diff <(trials x.db | grep dpo) <(trials beside.db) >log || complain "--only beside -j: $(cat log)"

# A trial's policy is that of its file of weights.
key=$("$program" run x.cfg -n -r x.db | awk '$2 == "dpo" && $3 == 2 { print $1 }')
expect 0 '' export x.db dpo --seed 2 -o of-label/dpo -t tokenizer.json
expect 0 '' export x.db "$key" -o of-key
expect 0 '' export --policy "x/$key.safetensors" -t tokenizer.json of-file
diff -r of-label/dpo of-file >log || complain "the policy by label is another: $(cat log)"
cmp of-key/model.safetensors of-file/model.safetensors || complain "the policy by key is another"
expect 2 'choose one by --seed' export x.db dpo -o none
expect 2 'no trial has label or key "dpp"' export x.db dpp -o none
expect 2 'and -o FOLDER' export x.db dpo
expect 2 '--policy cannot be combined with a trial' export -p "x/$key.safetensors" x.db dpo -o none
expect 2 '--policy cannot be combined with --seed' export -p "x/$key.safetensors" none --seed 1
expect 1 'cannot open' export none.db dpo -o none
cp x.db alone.db
expect 1 'are missing' export alone.db "$key" -o none
cp -r x damaged && cp x.db damaged.db
printf x | dd of="damaged/$key.safetensors" bs=1 seek=500 conv=notrunc 2>/dev/null
expect 1 'is damaged' export damaged.db "$key" -o none
[[ ! -e none ]] || complain "a refused export leaves a folder"

# Forgotten: rows and files, of one seed or of all, and made anew by the next run to the same bits.
cp "x/$key.safetensors" before.safetensors
touch "x/$key-checkpoint.safetensors"
expect 2 'expected --yes' forget x.db dpo
expect 2 'no trial has label or key "dpp"' forget x.db dpp --yes
expect 2 "label or key" forget x.db
expect 1 'cannot open' forget none.db dpo --yes
[[ ! -e none.db ]] || complain "forget makes a store"
[[ $(trials x.db | wc -l) -eq 6 ]] || complain "a refused forget removes something"
expect 0 '1 trial removed' forget x.db dpo --seed 2 --yes
[[ $(trials x.db | grep -c dpo) -eq 1 ]] || complain "forgotten: $(trials x.db)"
ls x/"$key"* >/dev/null 2>&1 && complain "files of a forgotten trial: $(ls x)"
rows x.db | grep -qv ' 0$' && complain "rows of a forgotten trial: $(rows x.db)"
expect 0 'trials removed' forget x.db other --yes
trials x.db | grep -q other && complain "forgotten: $(trials x.db)"
expect 0 '3 trials, 3 of them intact' check-store x.db
expect 0 '' run x.cfg -q -r x.db
cmp before.safetensors "x/$key.safetensors" || complain "a trial that was forgotten comes back as another"
[[ $(trials x.db | wc -l) -eq 6 ]] || complain "run after forget: $(trials x.db)"

# On a terminal it asks.
answer() { # TEXT: what is typed
    python3 - "$program" "$1" >log 2>&1 <<'END'
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], [sys.argv[1], "forget", "x.db", "base", "--seed", "1"])
os.write(terminal, (sys.argv[2] + "\n").encode())
told = b""
try:
    while more := os.read(terminal, 4096):
        told += more
except OSError:
    pass
print(told.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
END
}
answer n && complain "a no is no failure"
grep -q "nothing was removed" log || complain "$(cat log)"
[[ $(trials x.db | wc -l) -eq 6 ]] || complain "a no removes"
answer y || complain "a yes: $(cat log)"
[[ $(trials x.db | wc -l) -eq 5 ]] || complain "a yes removes nothing"

# Not while a run writes.
"$program" run x.cfg -q -r busy.db -s budget.steps=100000 >/dev/null 2>&1 &
run=$!
for _ in $(seq 300); do
    [[ -e busy.db ]] && "$program" status busy.db 2>/dev/null | grep -q "run by" && break
    sleep 0.1
done
expect 1 'is being written by' forget busy.db dpo --yes
kill -INT $run
wait $run
# Of two experiments it has to be said which.
expect 0 '' run x.cfg -q -r x.db -s name='"y"' --only dpo
expect 2 'choose one by --experiment' forget x.db dpo --yes
expect 0 '2 trials removed' forget x.db dpo --yes -e y

# The uniform reference is no start: ln 6 minus the entropy lies between the start and it.
cat >uniform.cfg <<'END'
name = "uniform"; seeds = [1];
environment: { type = "bandit"; contexts = 4; responses = 6; pairs = 64; };
policy: { type = "tabular"; reference = "uniform"; };
optimizer: { learning_rate = 0.1; }; budget: { steps = 2; }; algorithms = ( { type = "base"; }, { type = "dpo"; } );
END
expect 0 '' run uniform.cfg -q -r uniform.db
expect 0 '' table uniform.db -m kl,entropy -f csv
python3 - log <<'END' || complain "the reference is not uniform: $(cat log)"
import csv, math, sys
base = next(row for row in csv.DictReader(open(sys.argv[1])) if row["label"] == "base")
kl, entropy = float(base["kl"]), float(base["entropy"])
sys.exit(not (kl > 0.05 and abs(kl - (math.log(6) - entropy)) < 1e-5))
END
expect 2 'cannot be enumerated' run x.cfg -q -r other.db -s 'policy.reference="uniform"'
# Gradients are measured term by term, and training is the same to the bit.
cat >gradients.cfg <<'END'
name = "gradients"; seeds = [1];
environment: { type = "bandit"; contexts = 2; responses = 4; pairs = 50; };
policy: { type = "tabular"; }; optimizer: { learning_rate = 0.05; };
training: { batch = 8; }; budget: { steps = 6; }; evaluation: { every = 3; log_every = 3; };
algorithms = ( { type = "sail-pp"; }, { type = "online-dpo"; label = "late"; sampler_steps = 4; }, { type = "ppo"; },
    { type = "sppo"; }, { type = "base"; } );
END
expect 0 '' run gradients.cfg -q -r without.db
expect 0 '' run gradients.cfg -q -r with.db -s evaluation.gradients=40 -s evaluation.gradient_batch=32
same() { # STORE: label, hash of weights, costs
    python3 - "$1" <<'END'
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
for row in store.execute("SELECT t.label, w.sha256 FROM trials t JOIN weights w ON w.trial = t.id ORDER BY 1"):
    print(*row)
for row in store.execute("SELECT t.label, r.step, r.flops, r.judge_queries, r.generated_tokens FROM trials t "
                         "JOIN readings r ON r.trial = t.id ORDER BY 1, 2"):
    print(*row)
END
}
diff <(same without.db) <(same with.db) >log || complain "measuring gradients changes the trial: $(cat log)"
python3 - with.db >log <<'END' || complain "measured gradients: $(cat log)"
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
rows = store.execute("SELECT t.label, m.name, m.step, m.value FROM metrics m JOIN trials t ON t.id = m.trial "
                     "WHERE m.name LIKE 'eval/gradient_%'").fetchall()
value = {(label, name[len("eval/gradient_"):], step): v for label, name, step, v in rows}
assert {label for label, _, _ in value} == {"sail-pp", "late", "sppo"}, "which methods"
for step in 0, 3, 6:
    for term in "dpo", "responses", "labels", "total":
        for what in "norm", "deviation", "bias":
            assert value["sail-pp", f"{what}_{term}", step] >= 0, (what, term, step)
    assert value["sail-pp", "bias_responses", step] < value["sail-pp", "deviation_responses", step], step
    assert value["sppo", "norm_total", step] >= 0 and ("sppo", "bias_total", step) not in value
    assert ("late", "norm_total", step) not in value, "one term is the whole"
assert value["sail-pp", "norm_responses", 0] < 1e-6 < value["sail-pp", "deviation_responses", 0], "J at the reference"
assert ("sail-pp", "cosine_responses", 0) not in value, "a cosine with 0"
assert 0.2 < value["sail-pp", "value_cosine_dpo", 0] <= 1, value["sail-pp", "value_cosine_dpo", 0]
END
expect 2 'evaluation.gradients.*at least 2' run gradients.cfg -q -r with.db -s evaluation.gradients=1
expect 0 '' run x.cfg -q -r text.db --only dpo -s evaluation.gradients=2 -s 'seeds=[1]'
expect 0 '' table text.db -m gradient_norm_dpo,gradient_deviation_dpo
grep -q gradient_norm_dpo log || complain "gradients on text: $(cat log)"
sed 's/response_limit = 32; }/response_limit = 32; judge: { type = "command"; command = "cat"; }; }/' x.cfg >external.cfg
expect 2 'evaluation.gradients = 2: expected 0 with an external judge' run external.cfg -q -r external.db --only dpo \
    -s evaluation.gradients=2 -s evaluation.start=true

[[ $failures -eq 0 ]] && echo "trials go by their names"
exit $((failures > 0))
