#!/bin/bash
# SPDX-License-Identifier: MIT
# What ends a trial, and which of its evaluations is the result: the best evaluation's policy is what a
# trial ends with that selects by a metric, to the bit, in weights, tables and exports; and what asks for
# something that cannot be is refused.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"

# one NAME SETTING...: a run of DPO with one seed into NAME.db; what it says goes to NAME.log.
cat >one.cfg <<END
name = "one";
extends = "$source/experiments/bandit/bandit.cfg";
seeds = [2];
environment: { pairs = 60; };
budget: { steps = 400; };
evaluation: { every = 20; log_every = 20; };
algorithms = ( { type = "dpo"; } );
END
one() {
    local name=$1 arguments=()
    shift
    for setting; do arguments+=(-s "$setting"); done
    "$program" run one.cfg -r "$name.db" -t 1 "${arguments[@]}" >"$name.log" 2>&1
}

weights() { sha256sum <"$(echo "$1"/*.safetensors)"; }
# field STORE COLUMN: of the store's one trial; NAMES the metrics of a table.
field() {
    "$program" export-results "$1.db" -f csv -o "$1-csv" >/dev/null || fail "export of $1"
    python3 - "$1-csv/trials.csv" "$2" <<'END'
import csv, sys
with open(sys.argv[1], newline="") as file:
    print(next(csv.DictReader(file))[sys.argv[2]])
END
}
last_step() {
    "$program" export-results "$1.db" -f csv -o "$1-csv" >/dev/null && tail -n 1 "$1-csv/metrics.csv" | cut -d, -f3
}
table() { "$program" table "$1.db" -f csv -m "$2" || fail "table of $1"; }

# refused PATTERN SETTING...
refused() {
    local pattern=$1 status=0
    shift
    one refused "$@" || status=$?
    [[ $status -eq 2 ]] || complain "$*: exit status $status: $(cat refused.log)"
    grep -qE -- "$pattern" refused.log || complain "$*: no /$pattern/ in $(cat refused.log)"
}

# ---- the best evaluation ----

one best evaluation.select=reward evaluation.patience=4 || fail "$(cat best.log)"
step=$(field best selected)
[[ $step -gt 0 && $step -lt 300 ]] || complain "the best step is $step"
grep -q "dpo seed 2 ends at step $((step + 80)): 4 evaluations without a better reward than that of step $step" \
    best.log || complain "no word of the end: $(tail -n 3 best.log)"
one exact "budget.steps=$step" || fail "$(cat exact.log)"
[[ $(weights best) == "$(weights exact)" ]] || complain "the weights are not those of step $step"
diff <(table best reward,kl,win_rate_base) <(table exact reward,kl,win_rate_base) ||
    complain "the result is not that of step $step"
[[ $(table best flops) != "$(table exact flops)" ]] || complain "the trial is charged to step $step only"
"$program" table best.db | grep -q '1 of the trials ended with the policy of an earlier evaluation' ||
    complain "the table does not say so"
"$program" run one.cfg -q -r two.db -s 'seeds=[2,3]' -s evaluation.select=reward -s evaluation.patience=4 ||
    complain "two seeds"
"$program" table two.db | grep -q 'trials (seeds) at their last or their selected evaluation; ± is' ||
    complain "the table takes selected evaluations for last ones: $("$program" table two.db | tail -n 4)"
[[ -z $(field exact selected) ]] || complain "a trial that selects nothing has a selected step"

# Without patience it goes on, to the same result where nothing better comes; the least may be the best.
one patient evaluation.select=kl evaluation.lower_is_better=true || fail "$(cat patient.log)"
[[ $(field patient selected) == 0 ]] || complain "the least divergence is that of step $(field patient selected)"
[[ $(tail -n 1 patient-csv/metrics.csv | cut -d, -f3) == 400 ]] || complain "it did not go on"

# What packs, verifies, merges and checks trials knows the step.
"$program" export-trial best.db dpo -o best.trial >log 2>&1 || complain "pack: $(cat log)"
"$program" verify best.trial >log 2>&1 || complain "verify: $(cat log)"
"$program" merge merged.db best.db >log 2>&1 || complain "merge: $(cat log)"
[[ $(field merged selected) == "$step" ]] || complain "merging forgets the step"
"$program" check-store merged.db >log 2>&1 || complain "check-store: $(cat log)"

# Processes of their own leave the same.
"$program" run one.cfg -q -r jobs.db -j 2 -s 'seeds=[2,3]' -s evaluation.select=reward \
    -s evaluation.patience=4 || complain "-j 2"
grep -q "$(weights best | cut -d' ' -f1)" <(sha256sum jobs/*.safetensors) || complain "-j 2 leaves other weights"

unknown='^regatta: -s: evaluation.select = "reward_margn": .*no metric "reward_margn"; did you mean "reward_margin"\?: expected one of reward_margin, '
refused "$unknown" evaluation.select=reward_margn
"$program" run one.cfg -n -s evaluation.select=reward_margn >log 2>&1
[[ $? -eq 2 ]] && grep -qE "$unknown" log || complain "a dry run does not know what can be selected by: $(cat log)"
[[ ! -e refused.db ]] || complain "a trial with a metric that is not there leaves a store"
refused 'evaluation.patience = 3: expected evaluation.select as well' evaluation.patience=3
refused 'evaluation.patience = 3: expected evaluation.every above 0' evaluation.patience=3 \
    evaluation.select=reward evaluation.every=0
refused 'unknown key "evaluation.patients"; did you mean "patience"' evaluation.patients=3

# ---- divergence ----

# The result is the last evaluation within, and the trial ends with the first beyond.
one near budget.kl=1.5 || fail "$(cat near.log)"
step=$(field near selected)
[[ $(last_step near) -eq $((step + 20)) ]] || complain "selected $step, ended at $(last_step near)"
python3 - near-csv/metrics.csv "$step" <<'END' || complain "divergences about the limit: $(cat near.log)"
import csv, sys
with open(sys.argv[1], newline="") as file:
    kl = {int(row["step"]): float(row["value"]) for row in csv.DictReader(file) if row["name"] == "eval/kl"}
last = int(sys.argv[2])
sys.exit(not (max(v for s, v in kl.items() if s <= last) <= 1.5 < kl[last + 20]))
END
grep -q "dpo seed 2 ends at step $((step + 20)): a divergence of .* nats, above budget.kl = 1.5; its result is that of step $step" \
    near.log || complain "no word of the end: $(tail -n 3 near.log)"
one within "budget.steps=$step" || fail "$(cat within.log)"
[[ $(weights near) == "$(weights within)" ]] || complain "the weights are not those of the last evaluation within"

# What is beyond is never selected, however good.
one both budget.kl=1.5 evaluation.select=reward_margin || fail "$(cat both.log)"
[[ $(field both selected) == "$step" ]] || complain "selected $(field both selected), of which $step was the last within"
one far budget.kl=1e6 budget.steps=40 || fail "$(cat far.log)"
[[ $(field far selected) == 40 ]] || complain "a limit that is not reached selects $(field far selected)"

refused 'budget.kl = 2: expected evaluation.every above 0 as well' budget.kl=2 evaluation.every=0
refused 'budget.kl = 2: expected evaluation.start = true as well' budget.kl=2 evaluation.start=false
refused '^regatta: -s: budget.steps = 0: expected at least one of steps' budget.kl=2 budget.steps=0

# ---- epochs ----

# The bandit has 60 pairs here, 60 chosen responses for demonstrations, and 8 prompts.
# takes STEPS METHOD SETTING...: that many steps for what the settings ask for.
takes() {
    local steps=$1 method=$2
    shift 2
    rm -rf epochs epochs.db
    one epochs "algorithms=({type=\"$method\";})" budget.steps=0 evaluation.every=0 "$@" || complain "$*: $(cat epochs.log)"
    [[ $(last_step epochs) == "$steps" ]] || complain "$method $*: $(last_step epochs) steps, expected $steps"
}
takes 12 dpo budget.epochs=2 training.batch=10
takes 13 dpo budget.epochs=1.95 training.batch=9
takes 1 dpo budget.epochs=0.001
takes 5 dpo budget.epochs=2 training.batch=10 budget.steps=5
takes 12 dpo budget.epochs=2 training.batch=10 budget.steps=50
takes 6 sft budget.epochs=1 training.batch=10
takes 6 online-dpo budget.epochs=3 training.batch=4
takes 6 ppo budget.epochs=3 training.batch=4
takes 6 grpo budget.epochs=3 training.batch=4
takes 6 spin budget.epochs=1 training.batch=10
takes 12 sail-pr budget.epochs=2 training.batch=10 'algorithms=({type="sail-pr"; mixture=0.3;})'
takes 4 parl budget.epochs=2 training.batch=4

# Equal epochs over different data are no equal compute, which is told once, before and after.
two=(one.cfg -s 'algorithms=({type="dpo";},{type="online-dpo";})' -s 'seeds=[1,2]' -s budget.steps=0
    -s budget.epochs=4 -s training.batch=8)
"$program" run "${two[@]}" -n -r unequal.db >log 2>err || complain "$(cat err)"
grep -q 'for budget.epochs = 4, dpo takes 7.5 times as many steps as online-dpo (30 and 4), because' err ||
    complain "a dry run does not tell of unequal compute: $(cat err)"
"$program" run "${two[@]}" -q -r unequal.db 2>err || complain "$(cat err)"
grep -qE 'for budget.epochs = 4, dpo takes [0-9.]+ times as many FLOP as online-dpo ' err && [[ $(wc -l <err) -eq 1 ]] ||
    complain "a run does not tell once of unequal compute: $(cat err)"
"$program" run "${two[@]}" -n -r unequal.db -s algorithms.1.type=ipo 2>err >log
[[ ! -s err ]] || complain "methods that go over the same data are told to be unequal: $(cat err)"

# A schedule ends where the epochs do, to the bits of a budget of so many steps.
takes 12 dpo budget.epochs=2 training.batch=10 optimizer.schedule=cosine
one steps training.batch=10 optimizer.schedule=cosine budget.steps=12 evaluation.every=0 || fail "$(cat steps.log)"
[[ $(weights epochs) == "$(weights steps)" ]] || complain "the schedule ends elsewhere than the epochs"

epochs=(-s budget.steps=0 -s budget.epochs=2 -s training.batch=10)
"$program" plan one.cfg "${epochs[@]}" | grep -q '^  2 epochs: 12 steps$' || complain "plan does not know the steps"
"$program" run -n one.cfg -r none.db "${epochs[@]}" | grep -qE ' dpo +2 +new +12 ' || complain "a dry run does not know the steps"
"$program" run one.cfg -r killed.db "${epochs[@]}" --checkpoint-seconds 0 -s budget.epochs=20000 >log 2>&1 &
pid=$!
until compgen -G "killed/*-checkpoint.safetensors" >/dev/null; do sleep 0.02; done
kill "$pid"
wait "$pid" 2>/dev/null
"$program" status killed.db | grep -qE 'dpo seed 2: step [0-9]+, of 20000 epochs, ' || complain "status: $("$program" status killed.db)"

refused 'budget.epochs = -1: .*expected' budget.epochs=-1
refused 'budget.steps = 0: expected at least one of steps, .*epochs above 0' budget.steps=0
refused 'unknown key "budget.epoch"; did you mean "epochs"' budget.epoch=2

[[ $failures -eq 0 ]] && echo "trials end where they are to, with the result that was asked for"
exit $((failures > 0))
