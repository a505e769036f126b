#!/bin/bash
# SPDX-License-Identifier: MIT
# The papers' own settings (experiments/papers/*.cfg), each from its data to its table with a tiny
# random model of its architecture in place of the weights, which are not here: a few steps of every
# method; and without the weights an error that names what is missing.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
if ! command -v python3 >/dev/null; then
    echo "skipped: no python3 to write models with"
    exit 77
fi

# settings NAME ARCHITECTURE FORMAT METHODS
settings() {
    local config=$source/experiments/papers/$1.cfg
    "$program" run "$config" -r none.db >out 2>err && complain "$1: ran without weights"
    grep -qE 'data/.*(: |" is missing)' err || complain "$1: no file is named: $(cat err)"
    python3 "$source/tests/tiny_models.py" data "$3" 400 "$1.jsonl" || complain "$1: no data"
    python3 "$source/tests/tiny_models.py" "$2" $vocabulary "$1.model" || complain "$1: no model"
    "$program" run "$config" -r "$1.db" -s "environment.train=$folder/$1.jsonl" \
        ${5:+-s "environment.test=$folder/$1.jsonl"} -s environment.judge_share=0.5 \
        -s "environment.tokenizer=$folder/tokenizer.json" -s "policy.weights=$folder/$1.model" \
        -s environment.pair_count=60 -s environment.response_limit=24 \
        -s environment.prompt_limit=64 -s environment.test_prompts=10 -s training.batch=4 \
        -s budget.steps=2 -s evaluation.every=2 >out 2>err || complain "$1: $(tail -n 3 err)"
    "$program" table "$1.db" -m win_rate_base,reward_accuracy -f csv >table.csv 2>err ||
        complain "$1: no table: $(cat err)"
    [[ $(awk -F, 'NR > 1 && $3 == 1' table.csv | wc -l) -eq $4 ]] ||
        complain "$1: not $4 finished: $(cat table.csv)"
}

vocabulary=262
python3 "$source/tests/tiny_models.py" data hh 50 texts.jsonl || complain "no texts"
"$program" train-tokenizer texts.jsonl --vocabulary $vocabulary -o tokenizer.json >out 2>err ||
    complain "no tokenizer: $(cat err)"
settings sail-qwen1.5-0.5b-pku10k Qwen2 pku 5
settings sail-phi3-ultrafeedback Phi3 ultrafeedback 5
settings sail-llama3-ultrafeedback Llama ultrafeedback 5
settings dpo-hh Llama hh 2 with-test

[[ $failures -eq 0 ]] || echo "$failures checks failed"
exit $((failures > 0))
