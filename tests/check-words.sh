#!/bin/bash
# SPDX-License-Identifier: MIT
# Words that only this project used, and the field's in their place. None of the first comes back.
set -u
cd "${RG_SOURCE_DIR:-.}" || exit 99
failures=0

# retired WORDS REPLACEMENT: WORDS, an extended regular expression for whole words, is nowhere.
retired() {
    local found
    found=$(grep -rnwIE --include='*.[ch]' --include='*.md' --include='*.cfg' --include='*.am' --include='*.in' \
        --include='*.sh' --exclude=check-words.sh --exclude-dir=corpus -e "$1" \
        core algorithms envs analysis experiments tests doc README.md CONTRIBUTING.md Makefile.am)
    [[ -z $found ]] && return
    sed "s/\$/   (here: $2)/" <<<"$found"
    failures=$((failures + $(wc -l <<<"$found")))
}

retired 'shelf|shelves|[A-Za-z_]*_shelf[a-z_]*|Rg[A-Za-z]*Shelf' 'reference cache, judge cache'
retired 'crew|[a-z_]*_crew[a-z_]*|[A-Za-z]*Crew[A-Za-z]*' 'process pool'
retired 'asker|askers|RgAsk[A-Za-z]*|rg_ask[a-z_]*' 'judge client, judge requests'
retired 'courses|RgCourse|rg_course[a-z_]*|([^f]|[^o]f) course' 'task'
retired 'RgTeam|rg_team[a-z_]*|team|teams' 'process group'
retired 'RgDynamics|rg_dynamics[a-z_]*|use_dynamics' 'simulator'
retired 'RgProcess|rg_process_(value|solve|design|utility|visits)' 'MDP'
retired 'RgStage|rg_stage[a-z_]*' 'trial setup'
retired 'RgTokenDraw|rg_token_draw[a-z_]*|token_draw' 'token sampler'
retired 'RgLedgers?|rg_ledgers?[a-z_]*|ledgers?' 'run status'
retired 'RgRoom|rg_room' 'scratch buffer'
retired 'RgProduct[A-Za-z0-9]*|rg_product_[a-z_0-9]*|product_tiles|product_bf16' 'GEMM'
retired '[A-Za-z]*Varied[A-Za-z]*|rg_varied[a-z_]*|varied_text' 'swept'
retired 'rg_amount[a-z_]*' 'units'
retired 'RgTrialPlan|RgPlanner|rg_plan_trial' 'trial specification, cost estimate'
retired 'RgQuantity[A-Za-z]*|rg_quantity[a-z_]*|headline' 'measure, metric'
retired 'incidental' 'affects execution only'
retired 'surprise|free_gain|held_gain|worth_loss|value_worth' 'TD error, unclipped, clipped, value loss'
retired 'numbers below the normal ones' 'subnormal numbers'
retired 'rg_[a-z_]*_(tell|told)|rg_tell[a-z_]*|tell_[a-z_]+|told_[a-z_]+|untold|NOT_ASKED' 'report, print, log; reported'

echo "$failures uses of retired words"
[[ $failures -eq 0 ]]
