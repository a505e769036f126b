#!/bin/bash
# SPDX-License-Identifier: MIT
# What is trained here goes on elsewhere: a whole model and a PEFT adapter of a trial are exported, and
# what reads them gives the same log-probabilities. Tiny random models of two architectures.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
if ! command -v python3 >/dev/null; then
    echo "skipped: no python3 to write models with"
    exit 77
fi

vocabulary=262
python3 "$source/tests/tiny_models.py" data hh 50 texts.jsonl || complain "no texts"
python3 "$source/tests/tiny_models.py" data pku 300 pku.jsonl || complain "no data"
"$program" train-tokenizer texts.jsonl --vocabulary $vocabulary -o tokenizer.json >out 2>err ||
    complain "no tokenizer: $(cat err)"
cat >lines.jsonl <<END
{"prompt": "Is 3 even?", "response": " It is not."}
{"prompt": "Hello.", "response": " Who knows, or cares."}
END

# train NAME MODEL ALGORITHM OPTION...: a trial of a few steps
train() {
    local name=$1 model=$2 algorithm=$3
    shift 3
    cat >"$name.cfg" <<END
name = "$name";
environment: { type = "text"; train = "$folder/pku.jsonl"; tokenizer = "$folder/tokenizer.json"; pairs = "dataset";
               pair_count = 60; response_limit = 24; prompt_limit = 64; test_prompts = 10; seed = 1; };
policy: { weights = "$folder/$model"; };
training: { batch = 4; };
optimizer: { learning_rate = 0.01; };
budget: { steps = 3; };
evaluation: { every = 3; };
seeds = [1];
algorithms = ( { type = "$algorithm"; } );
END
    "$program" run "$name.cfg" -r "$name.db" "$@" >out 2>err
}

# scores POLICY: the log-probabilities of lines.jsonl
scores() { "$program" score -p "$1" -t tokenizer.json lines.jsonl | sed 's/.*"logprob": *\(-[0-9.e+-]*\).*/\1/'; }

# alike ONE OTHER: two lists of numbers, to 2e-5
alike() {
    [[ $(wc -l <"$1") -eq 2 ]] && paste "$1" "$2" |
        awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 2e-5 * -$1) bad = 1 } END { exit bad }'
}

# adapter ARCHITECTURE TARGETS RANK-OF-THE-FILE
adapter() {
    local a=$1
    python3 "$source/tests/tiny_models.py" "$a" $vocabulary "$a" || complain "$a: no model"
    scores "$a" >"$a.before"
    train "$a-trained" "$a" dpo -s policy.adapter.rank=4 -s policy.adapter.alpha=8 \
        -s "policy.adapter.targets=$2" || complain "$a: $(tail -n 3 err)"
    "$program" export "$a-trained.db" dpo -o "$a-whole" 2>err || complain "$a: $(cat err)"
    "$program" export "$a-trained.db" dpo --adapter -o "$a-adapter" 2>err || complain "$a: $(cat err)"
    scores "$a-whole" >"$a.after"
    cmp -s "$a.before" "$a.after" && complain "$a: nothing was trained"
    grep -q "\"base_model_name_or_path\": \"$folder/$a\"" "$a-adapter/adapter_config.json" ||
        complain "$a: the adapter does not name its model"
    grep -q "\"r\": $3," "$a-adapter/adapter_config.json" || complain "$a: not of rank $3"
    read_it=(-s "policy.adapter.weights=$folder/$a-adapter" -s "policy.adapter.rank=$3"
        -s "policy.adapter.alpha=$((2 * $3))" -s "policy.adapter.targets=$2")
    train "$a-read" "$a" base "${read_it[@]}" || complain "$a: not read: $(tail -n 3 err)"
    "$program" export "$a-read.db" base -o "$a-again" 2>err || complain "$a: $(cat err)"
    scores "$a-again" >"$a.again"
    alike "$a.after" "$a.again" || complain "$a: $(paste "$a.after" "$a.again")"
    # The reference is the policy with this adapter.
    "$program" table "$a-read.db" -m kl -f csv |
        awk -F, 'END { exit !($7 != "" && $7 < 1e-4 && $7 > -1e-4) }' ||
        complain "$a: $("$program" table "$a-read.db" -m kl -f csv)"
    train "$a-continued" "$a" dpo "${read_it[@]}" || complain "$a: not continued: $(tail -n 3 err)"
    "$program" plan "$a-continued.cfg" "${read_it[@]}" >out 2>err || complain "$a: no plan: $(cat err)"
}
adapter Llama "query, value, down" 4
adapter Phi3 "query, key, value" 12

# refuse PATTERN OPTION...
refuse() {
    local pattern=$1
    shift
    train refused Llama base "$@" && complain "not refused: $pattern"
    grep -qE "$pattern" err || complain "expected $pattern: $(cat err)"
}
refuse 'policy.adapter.weights = .*: expected policy.adapter.rank too' "${read_it[@]}" -s policy.adapter.rank=0
refuse 'Llama-adapter/adapter_config.json: r = 4, expected policy.adapter.rank = 2' \
    -s "policy.adapter.weights=$folder/Llama-adapter" -s policy.adapter.rank=2 \
    -s 'policy.adapter.targets=query, value, down'
train whole Llama dpo || complain "without an adapter: $(cat err)"
"$program" export whole.db dpo --adapter -o none 2>err && complain "an adapter of all weights"
grep -q 'the file has no adapter' err || complain "$(cat err)"
"$program" export Llama-trained.db dpo --base Llama -o none 2>err && complain "--base alone"
grep -q -- '--base needs --adapter' err || complain "$(cat err)"

[[ $failures -eq 0 ]] || echo "$failures checks failed"
exit $((failures > 0))
