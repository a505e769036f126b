#!/bin/bash
# SPDX-License-Identifier: MIT
# What is trained here goes on elsewhere: a whole model and a PEFT adapter of a trial are exported, and
# what reads them gives the same log-probabilities. What was trained elsewhere judges here. Tiny random
# models of two architectures.
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

# ---- tokens that begin and end a text ----

# The trial's tokenizer is exported with the names of its ends, and reads back to the same ids.
for file in config.json generation_config.json tokenizer.json tokenizer_config.json model.safetensors; do
    [[ -s Llama-whole/$file ]] || complain "no $file"
done
cmp -s tokenizer.json Llama-whole/tokenizer.json || complain "another tokenizer.json"
python3 - Llama-whole <<'END' || complain "ends"
import json, sys
read = lambda name: json.load(open(f"{sys.argv[1]}/{name}"))
vocabulary = {t["content"]: t["id"] for t in read("tokenizer.json")["added_tokens"]}
names = read("tokenizer_config.json")
for file in read("config.json"), read("generation_config.json"):
    assert file["bos_token_id"] == vocabulary[names["bos_token"]] == vocabulary["<|begin|>"], file
    assert file["eos_token_id"] == vocabulary[names["eos_token"]] == vocabulary["<|end|>"], file
END

# A folder's list of ends is kept, and what lies beside its tokenizer comes along.
cp -r Llama listed
cp tokenizer.json listed
end=$(sed -n 's/.*"eos_token_id": *\([0-9]*\).*/\1/p' Llama-whole/config.json)
echo "{\"bos_token_id\": 0, \"eos_token_id\": [$end, 97, 98]}" >listed/generation_config.json
echo '{"bos_token": "<|begin|>", "eos_token": "<|end|>", "chat_template": "x"}' >listed/tokenizer_config.json
echo '{"eos_token": "<|end|>"}' >listed/special_tokens_map.json
echo '{{ messages }}' >listed/chat_template.jinja
"$program" export --policy listed exported 2>err || complain "$(cat err)"
for file in tokenizer.json tokenizer_config.json special_tokens_map.json chat_template.jinja; do
    cmp -s "listed/$file" "exported/$file" || complain "another $file"
done
for file in config.json generation_config.json; do
    tr -d ' \n' <"exported/$file" | grep -q "\"eos_token_id\":\[$end,97,98\]" || complain "$file: $(cat "exported/$file")"
done
scores listed >listed.scores
scores exported | cmp -s - listed.scores || complain "an exported policy scores otherwise"

# The file that names a tokenizer's ends is a part of it: of the trial that read it, and of its package.
mkdir named
python3 - <<'END' >named/tokenizer.json || complain "no tokenizer without a template"
import json
tokenizer = json.load(open("tokenizer.json"))
tokenizer["post_processor"] = None
print(json.dumps(tokenizer))
END
train named Llama base -s "environment.tokenizer=$folder/named/tokenizer.json" || complain "$(cat err)"
echo '{"bos_token": "<|end|>", "eos_token": "<|begin|>"}' >named/tokenizer_config.json
"$program" run named.cfg -r named.db -s "environment.tokenizer=$folder/named/tokenizer.json" >out 2>&1
grep -q '1/1' out || complain "other ends are the same trial: $(cat out)"
"$program" export-trial named.db base --with-inputs -o named.trial 2>err || complain "$(cat err)"
[[ -s named.trial/inputs/environment.tokenizer/tokenizer_config.json ]] ||
    complain "not packed: $(ls named.trial/inputs/environment.tokenizer)"
mv named gone
"$program" verify -q named.trial >out 2>err || complain "$(cat out err)"

# A tokenizer that does not fit: refused where it is named, left out where it is the trial's.
"$program" train-tokenizer pku.jsonl --vocabulary 270 -o larger.json 2>err || complain "$(cat err)"
"$program" export --policy Llama -t larger.json none 2>err && complain "a larger tokenizer"
grep -q 'larger.json: 270 tokens, expected at most the policy.s 262' err || complain "$(cat err)"
cp larger.json listed/tokenizer.json
"$program" export --policy listed without 2>err || complain "$(cat err)"
grep -q 'the folder gets no tokenizer' err && [[ ! -e without/tokenizer.json ]] || complain "$(cat err)"

# Each of the listed tokens ends a response, as --stop-id does; without the list they do not.
sampled() { "$program" sample -t tokenizer.json -m "Is 3 even?" -n 40 --limit 40 --seed 3 "$@"; }
sampled -p exported >ends.jsonl || complain "no samples"
sampled -p Llama --stop-id 97 --stop-id 98 | cmp -s - ends.jsonl || complain "a list is not --stop-id"
sampled -p Llama | cmp -s - ends.jsonl && complain "a list of ends changes nothing"
lengths() { "$program" table "$1" -m length -f csv | awk -F, 'END { print $7 }'; }
train plain Llama base || complain "$(cat err)"
train ends exported base || complain "$(cat err)"
train stops Llama base -s 'environment.stop=[97, 98]' || complain "$(cat err)"
[[ $(lengths ends.db) == "$(lengths stops.db)" && $(lengths ends.db) != "$(lengths plain.db)" ]] ||
    complain "lengths: $(lengths plain.db), $(lengths ends.db), $(lengths stops.db)"
echo '{"eos_token_id": [1, "a"]}' >exported/generation_config.json
train wrong exported base && complain "an end that is no id"
grep -q 'exported/generation_config.json: eos_token_id: expected the id of a token' err || complain "$(cat err)"
sampled -p exported 2>err && complain "an end that is no id"
grep -q 'generation_config.json: eos_token_id: expected' err || complain "$(cat err)"

data=${RG_SHARED_DATA:-$source/../shared/data}
if [[ -f $data/stories260K.bin && -f $data/tok512.bin ]]; then
    "$program" export -p "$data/stories260K.bin" -t "$data/tok512.bin" stories 2>err || complain "$(cat err)"
    grep -q 'tok512.bin: not a tokenizer.json' err || complain "a llama2.c vocabulary: $(cat err)"
    [[ ! -e stories/tokenizer.json && -s stories/generation_config.json ]] || complain "$(ls stories)"
fi

# ---- reward models of others ----

# One with a tokenizer of its own rewards every method that needs rewards.
python3 "$source/tests/tiny_models.py" score Qwen2 275 judge || complain "no reward model"
"$program" train-tokenizer pku.jsonl --vocabulary 270 -o judge/tokenizer.json 2>err || complain "$(cat err)"
judged=(-s "environment.judge={ type = \"sequence-classifier\"; weights = \"$folder/judge\"; }")
train judged Llama rloo "${judged[@]}" -s 'algorithms=({type="rloo";},{type="selm";},{type="best-of-n";n=2;})' ||
    complain "$(tail -n 3 err)"
"$program" table judged.db -m reward,judge_accuracy -f csv >out 2>err || complain "$(cat err)"
awk -F, 'NR > 1 && $3 == 1 && $7 != "" && $7 != 0 && $11 != "" { n++ } END { exit n != 3 }' out || complain "$(cat out)"
train whole-model judge base && complain "a policy without logits"
grep -q 'judge/config.json: architectures: a model with a score' err || complain "$(cat err)"
train no-score Llama base -s "environment.judge={ type = \"sequence-classifier\"; weights = \"$folder/Llama\"; }" &&
    complain "a judge without a score"
grep -q 'Llama/config.json: architectures: a model with logits' err || complain "$(cat err)"

# A program that scores: every method that needs rewards, and nothing is asked twice.
cat >scorer.py <<'END'
import json, os, sys, time
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
for line in sys.stdin:
    q = json.loads(line)
    os.write(log, (json.dumps([q["prompt"], q["response"]]) + "\n").encode())
    time.sleep(float(sys.argv[2]))
    print(json.dumps({"id": q["id"], "score": sum(map(ord, q["response"])) % 100 / 10}), flush=True)
END
# scored STORE LOG SECONDS METHODS: arguments of a run; the log is what the program was asked
scored() {
    local judge="type = \"command\"; answer = \"score\"; command = \"exec python3 scorer.py $2 $3\";"
    arguments=(run scored.cfg -r "$1" -q --checkpoint-seconds 0 -s "algorithms=$4" -s "environment.judge={ $judge }")
}
train scored Llama base || complain "$(cat err)"
all='({type="rloo";},{type="ppo";},{type="selm";},{type="best-of-n";n=2;})'
scored scores.db scores.log 0 "$all"
"$program" "${arguments[@]}" 2>err || complain "scores: $(tail -n 3 err)"
"$program" table scores.db -m reward -f csv >out
awk -F, 'NR > 1 && $3 == 1 && $7 > 0 { n++ } END { exit n != 4 }' out || complain "$(cat out)"
[[ $(sort scores.log | uniq -d | wc -l) -eq 0 ]] || complain "asked twice"
# Killed in the middle, it goes on to the same bits and asks only what was under way again.
scored whole-scores.db whole.log 0.001 '({type="rloo";})'
"$program" "${arguments[@]}" || complain "an undisturbed run"
scored killed-scores.db killed.log 0.01 '({type="rloo";})'
"$program" "${arguments[@]}" 2>/dev/null &
pid=$!
until [[ -f killed.log && $(wc -l <killed.log) -gt 40 ]]; do
    kill -0 "$pid" || fail "it ended before it could be killed"
    sleep 0.02
done
kill -9 "$pid"
wait "$pid" 2>/dev/null
"$program" "${arguments[@]}" || complain "going on"
cmp <(cd whole-scores && cat -- *.safetensors) <(cd killed-scores && cat -- *.safetensors) || complain "other weights"
[[ $(sort -u killed.log) == "$(sort whole.log)" ]] || complain "other questions"
again=$(($(wc -l <killed.log) - $(wc -l <whole.log)))
[[ $again -ge 0 && $again -le 4 ]] || complain "$again questions were asked again"
train mixed Llama base -s 'environment.judge={ type = "mixture"; judges = ( { type = "command"; command = "true"; answer = "score"; } ); }' &&
    complain "a mixture of a program"
grep -q 'a mixture cannot keep the answers' err || complain "$(cat err)"
train compared Llama rloo -s 'environment.judge={ type = "command"; command = "true"; }' && complain "rewards from comparisons"
grep -q 'rloo needs a judge that gives rewards' err || complain "$(cat err)"

# ---- what is refused ----

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
