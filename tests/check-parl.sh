#!/bin/bash
# SPDX-License-Identifier: MIT
# The bilevel experiments as their users run them: in parl/mdp.cfg PARL comes within 2 % of the best
# return where the estimator "none" stays where it starts; every estimator has a row against the
# exact hypergradient; the leader of published/leader-follower.cfg comes to its exact optimum, but not without the
# follower's response; what cannot be asked for is refused; a failure is named and handled as the
# config says.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"

# refused PATTERN TEXT: a config with these lines besides the usual ones is refused with PATTERN.
refused() {
    printf 'name = "bad"; seeds = [1]; optimizer: { learning_rate = 0.1; };\n%s\n' "$2" >bad.cfg
    printf 'budget: { steps = 3; };\n' >>bad.cfg
    "$program" run bad.cfg >out 2>err && complain "not refused: $2"
    grep -qE -- "$1" err || complain "no /$1/ for $2: $(head -n 3 err)"
}

bandit='environment: { type = "bandit"; contexts = 2; responses = 4; pairs = 20; };'
mdp='environment: { type = "mdp"; pairs = 20; }; policy: { type = "markov"; };'

# ---- reward design ----
"$program" run "$source/experiments/parl/mdp.cfg" -s 'seeds=[1]' -r mdp.db >out 2>&1 ||
    complain "parl/mdp.cfg: $(tail -n 3 out)"
"$program" table mdp.db -m optimality -f csv >table.csv || complain "no table"
awk -F, '
    NR == 1 { for (i = 1; i <= NF; i++) if ($i ~ /^"?optimality/ && !column) column = i; next }
    /^"?base/ { base = $column }
    /^"?none/ { none = $column }
    /^"?(cg|finite-difference|cg-solved|boltzmann|boltzmann-sampled)"?,/ {
        seen++
        if ($column < 0.98) { print "FAIL: " $0; bad = 1 }
    }
    END {
        if (!column || seen < 5) { print "FAIL: " seen + 0 " rows"; bad = 1 }
        if (none - base > 1e-6 || base - none > 1e-6) { print "FAIL: none moved: " none; bad = 1 }
        exit bad
    }' table.csv || complain "optimality: $(cat table.csv)"

# ---- leader and follower ----
for setting in leader-follower leader-follower-undiscounted; do
    "$program" run "$source/experiments/published/$setting.cfg" -s 'seeds=[1]' -r "$setting.db" \
        --only boltzmann --only none >out 2>&1 || complain "$setting: $(tail -n 3 out)"
    "$program" table "$setting.db" -m optimality_gap -f csv >table.csv || complain "$setting: no table"
    awk -F, '
        NR == 1 { for (i = 1; i <= NF; i++) if ($i ~ /^"?optimality_gap/ && !column) column = i; next }
        /^"?boltzmann/ { near = $column < 0.01 && $column > -0.01 }
        /^"?none/ { far = $column > 20 }
        END { exit !(column && near && far) }' table.csv || complain "$setting: $(cat table.csv)"
    RG_SOURCE_DIR=$source "$program" table --paper bc-hg "$setting.db" -f csv >paper.csv
    [[ $(grep -c '^boltzmann,.*,agrees$' paper.csv) -ge 1 ]] || complain "$setting: not beside: $(cat paper.csv)"
done

# ---- the regulator: to the edge of the cliff, and without the response to where Naive-PGD is reported ----
"$program" run "$source/experiments/published/leader-follower-lqr.cfg" -s 'seeds=[1]' -r lqr.db --only boltzmann \
    --only none >out 2>&1 || complain "leader-follower-lqr: $(tail -n 3 out)"
"$program" table lqr.db -m utility -f csv >table.csv || complain "leader-follower-lqr: no table"
awk -F, '
    NR == 1 { for (i = 1; i <= NF; i++) if ($i ~ /^"?utility/ && !column) column = i; next }
    /^"?boltzmann/ { high = $column > 15 }
    /^"?none/ { low = $column > 0.015 && $column < 0.025 }
    END { exit !(column && high && low) }' table.csv || complain "leader-follower-lqr: $(cat table.csv)"
RG_SOURCE_DIR=$source "$program" table --paper bc-hg lqr.db -f csv >paper.csv
grep -q '^none,.*on-policy.*,agrees$' paper.csv || complain "leader-follower-lqr: not beside: $(cat paper.csv)"

# ---- Four Rooms, its gradient from visits ----
"$program" run "$source/experiments/published/four-rooms.cfg" -r rooms.db -s budget.steps=30 -s evaluation.every=30 \
    -s sweep.0.values=[0.005] -s sweep.1.values=[3.0] >out 2>&1 || complain "four-rooms: $(tail -n 3 out)"
[[ $("$program" table rooms.db -m utility -f csv | wc -l) -eq 3 ]] || complain "four-rooms: $(cat out)"

# ---- estimators ----
for kind in estimators estimators-mdp; do
    "$program" check-gradients "$source/experiments/parl/$kind.cfg" -n 5 >rows 2>err ||
        complain "check-gradients $kind: $(cat err)"
    for name in exact cg neumann penalty finite-difference unrolled boltzmann identity none; do
        grep -q "^$name " rows || complain "$kind: no row of $name"
    done
done

# ---- figures: what is drawn is what is printed ----
drawn="$source/experiments/bandit/head-to-head.cfg"
if gnuplot --version >/dev/null 2>&1; then
    "$program" check-gradients "$drawn" -n 5 -f moments.svg --cost-figure cost.svg >rows 2>err ||
        complain "figures: $(cat err)"
    # first the table, whose algorithm and variant are one name in the data
    awk '
        function differ(a, b) { return a - b > 0.001 * (1 + b) || b - a > 0.001 * (1 + b) }
        FNR == 1 { next }
        NR == FNR {
            at = $2 ~ /^[0-9.]+$/ ? 2 : 3 # |exact|
            rows++
            name[rows] = at == 2 ? $1 : $1 " " $2
            bias[rows] = $(at + 2); noise[rows] = $(at + 3); biased[rows] = $(at + 4) ~ /[*]/
            variance[rows] = $(at + 5)
            next
        }
        {
            split($0, cell, "\t")
            drawn++
            if (cell[6] != name[drawn] || differ(cell[1], bias[drawn]) ||
                differ(cell[2], noise[drawn]) || cell[3] == biased[drawn] ||
                differ(cell[4], variance[drawn])) { print "FAIL: " $0; bad = 1 }
        }
        END { exit bad || drawn != rows || rows < 15 }' rows moments.tsv ||
        complain "moments.tsv is not the table: $(cat rows)"
    [[ -s moments.svg && $(head -n 2 cost.tsv) == *parl,* ]] || complain "no figures: $(head cost.tsv)"
else
    echo "gnuplot is not installed: no figures"
fi
"$program" check-gradients "$drawn" -n 5 -f moments.gif >out 2>err && complain "not refused: .gif"
grep -q 'expected a name ending in .svg' err || complain "moments.gif: $(cat err)"
[[ -s out ]] && complain "measured before a figure was refused"
"$program" check-gradients "$source/experiments/bandit/exploration.cfg" -n 2 --cost-figure cost2.svg \
    >out 2>err && complain "not refused: a cost figure without PARL"
grep -q 'no hypergradient to draw' err || complain "cost2.svg: $(cat err)"

# ---- what cannot be asked for ----
refused 'estimator = "newton": expected one of .*neumann' \
    "$bandit policy: { type = \"tabular\"; }; algorithms = ( { type = \"parl\"; estimator = \"newton\"; } );"
refused 'can represent any distribution' \
    "$bandit policy: { type = \"log-linear\"; }; algorithms = ( { type = \"parl\"; lower = \"solved\"; } );"
refused 'expectation over pairs of episodes' \
    "$mdp algorithms = ( { type = \"parl\"; expectation = \"exact\"; } );"
refused 'a tabular policy needs an environment whose contexts' \
    "environment: { type = \"mdp\"; pairs = 20; }; policy: { type = \"tabular\"; }; algorithms = ( { type = \"dpo\"; } );"
refused 'keeps the reward of pretrain' \
    "$bandit policy: { type = \"tabular\"; }; algorithms = ( { type = \"parl\"; upper = \"none\"; pretrain = 5; } );"
leader='environment: { type = "mdp"; problem = "leader-follower"; pairs = 20; }; policy: { type = "markov"; };'
refused 'depend on the upper level.s parameters.*expected expectation = "exact"' \
    "$leader algorithms = ( { type = \"parl\"; upper = \"utility\"; } );"
refused 'too many: expected upper = "utility"' \
    "$leader algorithms = ( { type = \"parl\"; expectation = \"exact\"; } );"
refused 'expected pretrain = 0' \
    "$leader algorithms = ( { type = \"parl\"; expectation = \"exact\"; upper = \"utility\"; pretrain = 5; } );"
rooms='environment: { type = "mdp"; problem = "four-rooms"; pairs = 20; }; policy: { type = "markov"; };'
refused 'advantage is an option of expectation = "sampled"' \
    "$rooms algorithms = ( { type = \"parl\"; expectation = \"exact\"; upper = \"utility\"; advantage = \"visits\"; } );"
refused 'contexts = "one" is an option of advantage' \
    "$rooms algorithms = ( { type = \"parl\"; upper = \"utility\"; contexts = \"one\"; } );"
refused 'expected estimator = "boltzmann", lower = "solved" and upper = "utility"' \
    "$rooms algorithms = ( { type = \"parl\"; upper = \"utility\"; advantage = \"halves\"; } );"
refused 'objective of its own: expected an environment such as problem = "four-rooms"' \
    "$mdp algorithms = ( { type = \"parl\"; upper = \"utility\"; advantage = \"visits\"; lower = \"solved\"; estimator = \"boltzmann\"; } );"
regulator='environment: { type = "lqr"; pairs = 20; };'
refused 'expected expectation = "exact", upper = "utility", regularizer = "entropy"' \
    "$regulator policy: { type = \"gaussian\"; layers = 0; }; algorithms = ( { type = \"parl\"; } );"
refused 'expected policy.type = "gaussian" with layers = 0, found a gaussian policy with hidden layers' \
    "$regulator policy: { type = \"gaussian\"; }; algorithms = ( { type = \"parl\"; expectation = \"exact\"; upper = \"utility\"; regularizer = \"entropy\"; } );"
refused 'expected "linear"' \
    "$regulator policy: { type = \"gaussian\"; layers = 0; }; algorithms = ( { type = \"parl\"; reward = \"mlp\"; } );"
printf 'states = ["S"];\nstart = "T";\n' >problem.cfg
refused 'problem.cfg: leader_actions is missing: expected a list' \
    "environment: { type = \"mdp\"; problem = \"leader-follower\"; problem_file = \"./problem.cfg\"; }; policy: { type = \"markov\"; }; algorithms = ( { type = \"dpo\"; } );"

# ---- a reward from the offline pairs alone asks the judge nothing ----
cat >fixed.cfg <<END
name = "fixed"; seeds = [1]; $bandit
policy: { type = "tabular"; };
optimizer: { learning_rate = 0.1; };
budget: { steps = 40; };
algorithms = ( { type = "base"; },
    { type = "parl"; label = "fixed"; upper = "none"; estimator = "none"; pretrain = 200; } );
END
"$program" run fixed.cfg -r fixed.db >out 2>&1 || complain "fixed.cfg: $(tail -n 3 out)"
"$program" table fixed.db -m reward,judge_queries,labelled_responses -f csv >table.csv
awk -F, '
    NR == 1 { for (i = 1; i <= NF; i++) { gsub(/"/, "", $i); if (!($i in at)) at[$i] = i }; next }
    /^"?base/ { base = $at["reward"] }
    /^"?fixed/ { fixed = $at["reward"]; judged = $at["judge_queries"]; read = $at["labelled_responses"] }
    END { exit !(fixed > base + 0.1 && judged == 0 && read > 0 && read <= 40) }' table.csv ||
    complain "a fixed reward: $(cat table.csv)"

# ---- failures ----
cat >fails.cfg <<END
name = "fails"; seeds = [1]; $bandit
policy: { type = "tabular"; };
optimizer: { learning_rate = 0.1; };
budget: { steps = 3; }; evaluation: { log_every = 1; };
algorithms = (
    { type = "parl"; label = "stops"; on_failure = "stop"; estimator = "neumann";
      inverse_step = 1e6; iterations = 40; },
    { type = "parl"; label = "skips"; on_failure = "skip"; estimator = "neumann";
      inverse_step = 1e6; iterations = 40; },
    { type = "parl"; label = "lower"; on_failure = "skip"; lower_tolerance = 1e-9; }
);
END
"$program" run fails.cfg -r fails.db >out 2>&1 || complain "fails.cfg: $(tail -n 3 out)"
# at step 1 the reward is nothing yet, and so is the gradient that the series starts from
grep -q 'stops seed 1 diverged at step 2: the Neumann series diverges' out || complain "stops: $(cat out)"
grep -q 'skips seed 1, step 2: the Neumann series diverges' out || complain "skips: $(cat out)"
grep -q 'lower seed 1, step 1: the lower level has not converged' out || complain "lower: $(cat out)"

[[ $failures -eq 0 ]] || echo "$failures checks failed"
exit $((failures > 0))
