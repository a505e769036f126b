#!/bin/bash
# SPDX-License-Identifier: MIT
# `regatta plan` against what runs: the peak memory and the operations of real trials, each a process
# of its own, are within a tenth of the plan. On a text of made-up words, so that nothing has to be
# at hand.
set -eu
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"

made_up_data 4096 3000 300 300 200 200

# A sanitizer is slow and has memory of its own: operations alone are held against the plan, of a small model.
model="width = 192; layers = 3; heads = 6;" prompts=128
if is_sanitized; then
    model="width = 32; layers = 2; heads = 2;" prompts=16
fi

cat >plan.cfg <<END
name = "plan";
seeds = [1];
environment: { type = "text"; data = "data"; tokenizer = "tokenizer.json"; pair_count = 32;
    response_limit = 48; test_prompts = $prompts; };
policy: { type = "transformer"; $model context = 64; };
optimizer: { learning_rate = 1e-5; };
training: { batch = 16; };
budget: { steps = 2; };
algorithms = ( { type = "dpo"; } );
END

# within NAME PLANNED FOUND: complain unless they are within a tenth of each other.
within() {
    if awk -v p="$2" -v f="$3" 'BEGIN { exit !(f > 0 && p > 0.9 * f && p < 1.1 * f) }'; then
        echo "$1: $2 planned, $3 found"
    else
        echo "FAIL: $1: $2 planned, $3 found"
        failures=$((failures + 1))
    fi
}

# operations HEADING: a number of plan.txt, which may be a bound; 0 where there is none.
operations() {
    local found
    found=$(sed -n "s/^ *$1  *\(≤ \)\{0,1\}\([0-9]*\)\$/\2/p" plan.txt)
    echo "${found:-0}"
}

# check NAME OVERRIDE...: of two steps, or of as many as $steps has.
check() {
    local name=$1 memory flops found
    "$program" plan plan.cfg -x -t 2 "${@:2}" >plan.txt
    memory=$(sed -n 's/^ *total, at the peak *//p' plan.txt)
    flops=$((${steps:-2} * $(operations 'total') + $(operations 'before the first step')))
    "$program" run plan.cfg -q -t 2 -r "$name.db" -s "budget.steps=${steps:-2}" "${@:2}"
    found=$("$program" table "$name.db" -f csv -m peak_memory,flops)
    # without the memory of second derivatives it is known in part
    is_sanitized || [[ -z $memory ]] || within "$name, bytes" "$memory" "$(column "$found" peak_memory)"
    within "$name, operations" "$flops" "$(column "$found" flops)"
}

column() { # CSV NAME: the number under a heading
    awk -F, -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i }
        NR == 2 { printf "%.0f", $at }' <<<"$1"
}

check dpo
check sft -s 'algorithms=({type="sft";})' -s training.micro_batch=5 -s policy.recompute=true
check adapter -s policy.adapter.rank=8 -s policy.adapter.dropout=0.1 \
    -s 'policy.adapter.targets=all' -s policy.reference_storage=bf16
check online -s 'algorithms=({type="online-dpo"; mixture=0.5;})' -s training.micro_batch=10
check rollouts -s 'algorithms=({type="online-dpo";})' -s policy.sampling=bf16
check grpo -s 'algorithms=({type="grpo"; group_size=3; epochs=2;})' -s training.micro_batch=8
check ppo -s 'algorithms=({type="ppo";})'
check rebel -s 'algorithms=({type="rebel";})' -s training.shards=2
check sppo -s 'algorithms=({type="sppo"; group_size=2;})'
check hybrid -s 'algorithms=({type="hybrid";})'
check shards -s training.shards=3
check parts -s training.shards=3 -s training.micro_batch=4
# A part of 18 responses is too small for the shards that one of 30 runs in: both kinds of tapes are full once
# arenas have found their sizes, which takes two steps.
steps=4 check uneven -s 'algorithms=({type="rloo"; group_size=3;})' -s training.micro_batch=10

check epochs -s 'algorithms=({type="ppo"; epochs=3;})'
# Methods with a step of their own tell their work. A method that stops when it has converged is held against its
# bound by a trial that never does: of a tolerance of 0, damped until the Hessian is definite, and with a reward that
# knows a difference, as there is nothing to estimate without.
check parl-none -s 'algorithms=({type="parl"; estimator="none"; inner_steps=2; pretrain=3;})'
! grep -q '≤' plan.txt || complain "what PARL does without an implicit term is known: $(cat plan.txt)"
bounded='pretrain=3; tolerance=0.0; damping=1e4; on_failure="skip";'
check parl-cg -s "algorithms=({type=\"parl\"; estimator=\"cg\"; iterations=3; curvature_prompts=8; $bounded})"
grep -q '^ *total  *≤ [0-9]*$' plan.txt || complain "the plan of cg is no bound: $(cat plan.txt)"
check parl-adapter -s policy.adapter.rank=8 \
    -s "algorithms=({type=\"parl\"; estimator=\"cg\"; iterations=3; curvature_prompts=8; $bounded})"
check parl-penalty -s "algorithms=({type=\"parl\"; estimator=\"penalty\"; iterations=2; curvature_prompts=4; $bounded})"
# A failed estimate is made again with more damping, six times at most.
"$program" plan plan.cfg -x -s 'algorithms=({type="parl"; curvature_prompts=8;})' >damped.txt
"$program" plan plan.cfg -x -s 'algorithms=({type="parl"; curvature_prompts=8; on_failure="skip";})' >plan.txt
awk '/^ *policy/ { n[FILENAME] = $NF } END { exit !(n["damped.txt"] > 2 * n["plan.txt"]) }' damped.txt plan.txt ||
    complain "damping again costs nothing: $(cat damped.txt)"

# Swept values are as short as they can be.
"$program" plan plan.cfg -s 'sweep=({option="algorithm.beta"; values=[0.05, 0.1];})' >plan.txt || fail "the plan of a sweep: $?"
grep -q '^dpo, beta 0\.05$' plan.txt || complain "a swept value: $(grep beta plan.txt)"

# What does not train has neither batches nor shards.
"$program" plan plan.cfg -x -s 'algorithms=({type="base";})' >plan.txt || fail "the plan of base: status $?"
grep -q 'total, at the peak' plan.txt || complain "the plan of base: $(cat plan.txt)"

# ---- measured ----

# Times are of a machine that may be busy: here they are looked at for what they consist of alone.
export TMPDIR=$folder/temporary
mkdir temporary
sample=(plan.cfg -x -t 2 --measure --seconds 0.2)
touch before.txt && ls >before.txt
"$program" plan "${sample[@]}" >measured.txt || fail "plan --measure: $?"
ls | diff before.txt - >log || [[ $(grep '^[<>]' log) == '> measured.txt' ]] || complain "a measurement leaves $(cat log)"
[[ -z $(ls -A temporary) ]] || complain "a measurement leaves $(ls -A temporary)"

# number FILE WHAT: the first number after a heading.
number() {
    sed -n "s/^ *$2  *\([0-9.]*\).*/\1/p" "$1" | head -n 1
}
for what in 'memory, at the peak' 'before the first step' 'step' 'operations per second' 'trained tokens' 'evaluation' \
    'checkpoint' 'the whole trial' 'one after another' '1 machine, 2 cores'; do
    [[ $(number measured.txt "$what") =~ ^[0-9.]+$ ]] || complain "plan --measure has no $what: $(cat measured.txt)"
done
grep -qE '^  measured on 2 threads: [0-9]+ steps? and ([0-9.e+]+ % of )?an evaluation$' measured.txt || complain "$(cat measured.txt)"
grep -q '2 steps, 2 evaluations$' measured.txt || complain "steps and evaluations of a trial: $(cat measured.txt)"
[[ $(number measured.txt 'one after another') == $(number measured.txt 'the whole trial') ]] || complain "one trial is not all"
awk -v step="$(number measured.txt step)" -v all="$(number measured.txt 'the whole trial')" \
    -v setup="$(number measured.txt 'before the first step')" 'BEGIN { exit !(all > setup + 2 * step && step > 0) }' ||
    complain "a trial takes less than its parts: $(cat measured.txt)"

# A measured step has the operations of a real one, and the process its memory: here there is time for all of it.
small=(-s environment.test_prompts=32)
"$program" plan plan.cfg -x -t 2 --measure --seconds 1000 "${small[@]}" >measured.txt || fail "plan --measure: $?"
grep -q 'measured on 2 threads: 1 step and an evaluation$' measured.txt || complain "all of it: $(cat measured.txt)"
"$program" run plan.cfg -q -t 2 -r measured.db "${small[@]}"
found=$("$program" table measured.db -f csv -m peak_memory,flops)
within 'a measured step, operations' "$(awk -v s="$(number measured.txt step)" -v f="$(number measured.txt 'operations per second')" \
    'BEGIN { printf "%.0f", 2 * s * f }')" "$(column "$found" flops)"
is_sanitized || within 'a measured trial, bytes' "$(number measured.txt 'memory, at the peak')" "$(column "$found" peak_memory)"

# Trials that do the same work are measured once, and seeds are counted. Two machines take half of the time of one.
"$program" plan "${sample[@]}" --machines 2 -s seeds=[1,2] -s 'sweep=({option="algorithm.beta"; values=[0.05, 0.1];})' \
    >swept.txt || fail "plan --measure of a sweep: $?"
[[ $(grep -c 'as measured of a trial above' swept.txt) -eq 1 ]] || complain "a sweep of beta: $(cat swept.txt)"
grep -q '^all trials: 4$' swept.txt || complain "all trials of a sweep: $(cat swept.txt)"
awk -v one="$(number swept.txt 'one after another')" -v two="$(number swept.txt '2 machines, 2 cores')" \
    'BEGIN { exit !(two > 0 && two < 0.5001 * one) }' || complain "two machines: $(cat swept.txt)"
"$program" plan "${sample[@]}" -s 'algorithms=({type="base";})' >plan.txt || fail "plan --measure of base: $?"
grep -q '0 steps, 1 evaluation$' plan.txt || complain "the measurement of base: $(cat plan.txt)"

# Judges of others are asked only with permission.
cat >judge.py <<'END'
import json, sys
open("asked", "w").close()
for line in sys.stdin:
    print(json.dumps({"id": json.loads(line)["id"], "answer": "A"}), flush=True)
END
judge=(-s 'environment.judge={type="command"; command="python3 judge.py";}' -s 'algorithms=({type="online-dpo";})'
    -s environment.test_prompts=8)
"$program" plan "${sample[@]}" "${judge[@]}" >plan.txt || fail "plan --measure with a command: $?"
grep -q 'not measured: .*environment.judge.command = .* runs a program; for a measurement this needs --allow command$' plan.txt ||
    complain "a judge that runs a program: $(cat plan.txt)"
grep -q '^all trials: 1, of which the time of 1 is unknown$' plan.txt || complain "nothing measured: $(cat plan.txt)"
[[ ! -e asked ]] || complain "a judge was asked without permission"
"$program" plan "${sample[@]}" "${judge[@]}" --allow command >plan.txt || fail "plan --measure --allow command: $?"
[[ -e asked ]] || complain "a judge was not asked with permission"
grep -q '^    the whole trial' plan.txt || complain "a judge that runs a program: $(cat plan.txt)"

# A trial that cannot be measured is an error, after all have been tried.
status=0
"$program" plan "${sample[@]}" -s 'environment.judge={type="command"; command="exit 127";}' --allow command \
    -s 'algorithms=({type="online-dpo";}, {type="base";})' >plan.txt 2>log || status=$?
[[ $status -eq 1 ]] && grep -q '^regatta: online-dpo: .*127' log || complain "a judge that fails: $status, $(cat log)"
[[ $(grep -c '^  not measured$' plan.txt) -eq 2 ]] || complain "a judge that fails: $(cat plan.txt)"

for option in --seconds=1 --machines=2 --cores=2 --allow=command --key-variable=KEY; do
    status=0
    "$program" plan plan.cfg "$option" >out 2>&1 || status=$?
    [[ $status -eq 2 ]] && grep -q -- "${option%=*} is about what is measured: expected --measure beside it" out ||
        complain "$option without --measure: status $status, $(cat out)"
done
[[ $failures -eq 0 ]]
