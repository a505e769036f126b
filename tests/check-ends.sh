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
"$program" run one.cfg -q -r crew.db -j 2 -s 'seeds=[2,3]' -s evaluation.select=reward \
    -s evaluation.patience=4 || complain "-j 2"
grep -q "$(weights best | cut -d' ' -f1)" <(sha256sum crew/*.safetensors) || complain "-j 2 leaves other weights"

refused 'evaluation.select = "reward_margn": .*no such metric; did you mean "reward_margin"\?: expected one of reward, ' \
    evaluation.select=reward_margn
refused 'evaluation.patience = 3: expected evaluation.select beside it' evaluation.patience=3
refused 'evaluation.patience = 3: expected evaluation.every above 0' evaluation.patience=3 \
    evaluation.select=reward evaluation.every=0
refused 'unknown key "evaluation.patients"; did you mean "patience"' evaluation.patients=3

[[ $failures -eq 0 ]] && echo "trials end where they are to, with the result that was asked for"
exit $((failures > 0))
