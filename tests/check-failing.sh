#!/bin/bash
# SPDX-License-Identifier: MIT
# Inputs that were read wrongly once, a section for each kind: what is on people's disks gets the right
# value, or one clear line. Inputs are made here, small; each section runs in a folder of its own.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
if ! command -v python3 >/dev/null; then
    echo "SKIP: no python3"
    exit 77
fi
unset REGATTA_PLUGINS

# What all sections share: 300 lines, a tokenizer of 300 ids, and a config that takes a moment.
made_up_lines 1 300 >train.jsonl
"$program" train-tokenizer -o tokenizer.json -v 300 train.jsonl || fail "no tokenizer"
cat >x.cfg <<'END'
name = "x"; seeds = [1];
environment: { type = "text"; seed = 1; train = "train.jsonl"; tokenizer = "tokenizer.json"; pairs = "dataset";
    pair_count = 60; test_prompts = 8; response_limit = 48; test_share = 0.2; judge_share = 0.5; };
policy: { type = "transformer"; layers = 1; width = 16; heads = 2; hidden = 16; context = 128; };
optimizer: { learning_rate = 1e-3; };
training: { batch = 8; }; budget: { steps = 2; }; evaluation: { every = 0; start = false; log_every = 1; };
algorithms = ( { type = "dpo"; } );
END

section() { # NAME: a folder with copies of what is shared
    name=$1
    mkdir "$folder/$name" && cd "$folder/$name" || exit 99
    cp ../tokenizer.json ../train.jsonl ../x.cfg .
}
regatta() { # what it says stands in `log`
    "$program" "$@" >log 2>&1
}
said() {
    grep -qF -- "$1" log || complain "$name: expected \"$1\": $(cat log)"
}
one_line() {
    [[ $(wc -l <log) -eq 1 ]] || complain "$name: expected one line: $(cat log)"
}
metric() { # STORE NAME: its last value
    python3 - "$1" "$2" <<'END'
import sqlite3, sys
row = sqlite3.connect(sys.argv[1]).execute(
    "SELECT value FROM metrics WHERE name = ? ORDER BY step DESC", ("eval/" + sys.argv[2],)).fetchone()
print("none" if row is None else "%.17g" % row[0])
END
}

# ---- rows of a vocabulary beyond the tokenizer ----
# Qwen and Phi-3 have them. They are never sampled, they count in log-probabilities, and an export keeps
# them. Here they are copies of the row of token 5, so that p'(y) = p(y) / (1 + m·p(5)).
section padded-vocabulary
regatta run -q x.cfg -s 'algorithms=({type="base";})' || complain "$name: $(cat log)"
regatta export results/x.db base -o small || complain "$name: $(cat log)"
cat >pad.py <<'END'
import json, shutil, struct
def pad(folder, more):
    """Copies the model `small`; more(rows, width) are bytes to append to the rows of each token."""
    shutil.copytree("small", folder)
    config = json.load(open("small/config.json"))
    vocabulary = config["vocab_size"]
    data = open("small/model.safetensors", "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    header, body, out = json.loads(data[8:8 + size]), data[8 + size:], b""
    header.pop("__metadata__", None)
    for entry in header.values():
        first, last = entry["data_offsets"]
        part = body[first:last]
        if entry["shape"][0] == vocabulary:
            assert entry["dtype"] == "F32", entry
            width = len(part) // vocabulary
            part += more(part, width // 4)
            config["vocab_size"] = entry["shape"][0] = len(part) // width
        entry["data_offsets"] = [len(out), len(out) + len(part)]
        out += part
    text = json.dumps(header).encode()
    json.dump(config, open(folder + "/config.json", "w"))
    open(folder + "/model.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + out)
END
python3 - <<'END' || complain "$name: no padded model"
import json
from pad import pad
pad("padded", lambda rows, width: rows[5 * 4 * width:6 * 4 * width] * 20)
with open("lines.jsonl", "w") as lines:
    for token in [5, 3, 17, 250]:
        print(json.dumps({"prompt_tokens": [1, 2, 40], "response_tokens": [token]}), file=lines)
END
for model in small padded; do
    "$program" score -p $model lines.jsonl >$model.scores || complain "$name: no scores of $model"
done
python3 - <<'END' || complain "$name: log-probabilities are not over all rows"
import json, math
small, padded = ([json.loads(line)["logprob"] for line in open(model + ".scores")] for model in ("small", "padded"))
drop = math.log1p(20 * math.exp(small[0]))
assert drop > 0.01 and all(abs(p - (s - drop)) < 1e-5 for s, p in zip(small, padded)), (small, padded, drop)
END
regatta sample -p padded -t tokenizer.json -m "The king saw" -n 50 --limit 40 || complain "$name: $(cat log)"
regatta run -q x.cfg -s 'policy={weights="padded";}' -s 'algorithms=({type="online-dpo";})' ||
    complain "$name: $(cat log)"
regatta export results/x.db online-dpo -o trained || complain "$name: $(cat log)"
rows_of() {
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["vocab_size"])' "$1/config.json"
}
[[ $(rows_of trained) -eq $(rows_of padded) ]] || complain "$name: the export has $(rows_of trained) rows"

# Padded rows with a logit above all others before any token: large, one along and one against each
# direction of the features. Without the mask nothing else would be sampled, and no response would end.
python3 - <<'END' || complain "$name: no dominating rows"
import struct
from pad import pad
pad("dominated", lambda rows, width: b"".join(
    struct.pack("<%df" % width, *(value if c == direction else 0 for c in range(width)))
    for value in (1000, -1000) for direction in range(width)))
END
"$program" sample -p dominated -t tokenizer.json -m "The king saw" -n 50 --limit 40 >dominated.texts ||
    complain "$name: no samples"
# Those that a method trains on, and those that are evaluated.
regatta run -q x.cfg -s 'policy={weights="dominated";}' -s 'algorithms=({type="online-dpo"; label="dominated";})' \
    -s training.batch=64 || complain "$name: $(cat log)"
python3 - <<'END' || complain "$name: padding was sampled: $(head -3 dominated.texts)"
import json, sqlite3
texts = [json.loads(line)["response"] for line in open("dominated.texts")]
assert len(texts) == 50 and all(texts), texts
store = sqlite3.connect("results/x.db")
store.text_factory = bytes
last = "trial = (SELECT max(id) FROM trials)"
tokens, = store.execute("SELECT max(generated_tokens) FROM readings WHERE " + last).fetchone()
assert 0 < tokens < 2 * 2 * 64 * 48, tokens # some response has ended before the limit
texts = [text for text, in store.execute("SELECT response FROM responses WHERE " + last)]
assert texts and all(texts), texts
END

# ---- a message about an option names file, line and key ----
section options-by-key
refused_at() { # KEY=VALUE PLACE TEXT: also by plan
    local command
    for command in "run -n" plan; do
        # shellcheck disable=SC2086 # a list of words
        regatta $command x.cfg -s "$1" && complain "$name: $command took $1"
        said "regatta: $2: $3"
    done
}
refused_at 'environment.judge={type="command"; command="true"; answer="score"; on_failure="tie";}' -s \
    "environment.judge.on_failure: expected \"stop\""
refused_at 'environment.judge={type="mixture";}' x.cfg "environment.judge.judges is empty"
refused_at 'environment.response_limit=2' -s "environment.response_limit = 2: every line of"
refused_at 'environment.prompt_limit=2' -s "environment.prompt_limit is 2, expected more than the 2 tokens"
refused_at 'environment.prompt_limit=3' -s "environment.prompt_limit = 3: every prompt of"
refused_at 'environment.chat_template="chatml"' -s "environment.chat_template: tokenizer.json: template"
refused_at 'environment.judge_share=0.0' -s "environment.judge_share = 0, with test_share = 0.2, leaves no line"
refused_at 'policy.width=17' -s "policy.width: transformer: width 17"
refused_at 'policy.rope_factor=3' -s "policy.rope_factor: transformer: rope_factor"
refused_at 'algorithms=({type="dpo"; sft_logprob="sum";})' -s "algorithm.sft_logprob: dpo: sft_logprob is"
sed -i 's/{ type = "dpo"; }/\n    { type = "online-dpo"; mixture = 0.0;\n      candidates = 3; }/' x.cfg
regatta run -n x.cfg && complain "$name: candidates without samples"
said "regatta: x.cfg:9: algorithm.candidates: online-dpo: candidates is set, and mixture is 0"

# ---- a log-probability that is no number ----
# It is null, as JSON has no number for it, and the exit status says so.
section score-of-not-a-number
cp -r ../padded-vocabulary/small .
python3 - <<'END'
data = bytearray(open("small/model.safetensors", "rb").read())
data[-4:] = b"\x00\x00\xc0\x7f"
open("small/model.safetensors", "wb").write(data)
END
echo '{"prompt_tokens": [1, 2], "response_tokens": [5, 6]}' >lines.jsonl
"$program" score -p small lines.jsonl >out 2>log && complain "$name: exit 0"
[[ $(cat out) == '{"logprob":null,"tokens":2}' ]] || complain "$name: $(cat out)"
said "lines.jsonl:1: the log-probability is no finite number"
one_line

# ---- bytes that are no UTF-8 ----
# An untrained policy samples them: what is written is UTF-8, and JSON.
section export-is-utf8
regatta run -q x.cfg -s 'algorithms=({type="base";})' || complain "$name: $(cat log)"
for format in jsonl csv safe-csv; do
    regatta export-results results/x.db -f $format -o $format || complain "$name: $(cat log)"
done
"$program" sample -p ../padded-vocabulary/small -t tokenizer.json -m "The king" -n 20 >samples.jsonl ||
    complain "$name: no samples"
regatta report results/x.db -o report.html || complain "$name: $(cat log)"
python3 - <<'END' || complain "$name: not UTF-8, or not JSON"
import glob, json
replaced = 0
for path in glob.glob("jsonl/*") + ["samples.jsonl"]:
    for line in open(path, encoding="utf-8"):
        replaced += "\ufffd" in json.loads(line).get("response", "")
for path in glob.glob("*csv/*") + ["report.html"]:
    open(path, encoding="utf-8").read()
assert replaced > 0, "nothing was replaced, so that nothing is shown"
END

# ---- files that change under a trial ----
# Another file under the name makes another trial, and tables do not mix the two.
section files-change-under-a-trial
regatta run -q x.cfg || complain "$name: $(cat log)"
made_up_lines 5000 500 >train.jsonl
regatta run -q x.cfg -s 'seeds=[1,2]' || complain "$name: $(cat log)"
said "train.jsonl has changed since 1 trial of results/x.db was run"
regatta table results/x.db -m reward
said "dpo          2"
said "1 trial not in the config that was run last is left out"

# ---- a damaged store ----
section damaged-store
regatta run -q x.cfg || complain "$name: $(cat log)"
python3 - <<'END'
data = bytearray(open("results/x.db", "rb").read())
for page in range(2, len(data) // 4096):
    data[page * 4096:page * 4096 + 64] = b"\xa5" * 64
open("damaged.db", "wb").write(data)
END
for command in "table damaged.db -m reward" "compare damaged.db" "report damaged.db -o x.html" \
    "tournament damaged.db" "frontier damaged.db" "budget damaged.db" "plot damaged.db -o x.svg" \
    "export-results damaged.db -f csv -o out"; do
    # shellcheck disable=SC2086 # words
    regatta $command
    [[ $? -eq 1 ]] || complain "$name: not exit status 1: regatta $command"
    said "damaged.db: "
    one_line
done

# ---- lines of data that cannot be used ----
# They are left out, counted by reason, and told once. FORM.jsonl has none of them, FORM-REASON.jsonl one.
section data
python3 - <<'END'
import json
lines = [json.loads(line) for line in open("train.jsonl")]
plain = [{key: line[key] for key in ("prompt", "chosen", "rejected")} for line in lines]
sides = ("chosen", "rejected")

def chat(role, text):
    return {"role": role, "content": text}

def hh(line, side):
    return "\n\nHuman: " + line["prompt"] + "\n\nAssistant: " + line[side]

def completions(*scored):
    return [{"response": text, "overall_score": score} for text, score in scored]

forms = {
    "plain": plain,
    "hh": [{side: hh(line, side) for side in sides} for line in plain],
    "pku": [{"prompt": line["prompt"], "response_0": line["chosen"], "response_1": line["rejected"],
             "better_response_id": 0, "safer_response_id": 0} for line in plain],
    "uf": [{"instruction": line["prompt"], "completions": completions((line["chosen"], 8), (line["rejected"], 3))}
           for line in plain],
    "chat": [{side: [chat("user", line["prompt"]), chat("assistant", line[side])] for side in sides}
             for line in plain],
    "explicit": [dict({side: [chat("assistant", line[side])] for side in sides},
                      prompt=[chat("user", line["prompt"])]) for line in plain],
    "unpaired": [{"prompt": line["prompt"], "completion": line[side], "label": side == "chosen"}
                 for line in plain for side in sides],
    "renamed": [{"question": line["prompt"], "good": line["chosen"], "bad": line["rejected"]} for line in plain],
}
first = {form: rows[0] for form, rows in forms.items()}
unusable = {
    "plain-same": dict(first["plain"], rejected=first["plain"]["chosen"]),
    "hh-same": dict(first["hh"], rejected=first["hh"]["chosen"]),
    "pku-same": dict(first["pku"], response_1=first["pku"]["response_0"]),
    "uf-same": {"instruction": "q", "completions": completions(("a", 8), ("a", 3))},
    "chat-same": dict(first["chat"], rejected=first["chat"]["chosen"]),
    "explicit-same": dict(first["explicit"], rejected=first["explicit"]["chosen"]),
    "plain-empty": dict(first["plain"], rejected=""),
    "plain-blank-empty": dict(first["plain"], rejected=" \n"),
    "plain-null-empty": dict(first["plain"], rejected=None),
    "uf-ties": {"instruction": "q", "completions": completions(("a", 8), ("b", 8))},
    "uf-unscored": {"instruction": "q", "completions": completions(("a", None), ("b", 8))},
    "pku-unscored": dict(first["pku"], better_response_id=None),
    "chat-parted": dict(first["chat"], rejected=[chat("user", "else"), chat("assistant", "b")]),
    "unpaired-unmatched": {"prompt": "alone", "completion": "x", "label": True},
    "plain-nul-unreadable": r'{"prompt": "p", "chosen": "x\u0000y", "rejected": "z"}',
    "plain-surrogate-unreadable": r'{"prompt": "p", "chosen": "x \ud83d y", "rejected": "z"}',
    "plain-latin-unreadable": b'{"prompt": "p", "chosen": "caf\xe9", "rejected": "z"}',
    "plain-duplicate": '{"prompt": "p", "chosen": "x", "chosen": "y", "rejected": "z"}',
    "plain-malformed": '{"prompt": "p", "chosen": "x", "reje',
    "plain-misfit": '{"prompt": "p", "chosen": "x"}',
}

forms["scored"] = [dict(line, score_chosen=5, score_rejected=2) for line in plain]
unusable["scored-ties"] = dict(plain[0], score_chosen=4, score_rejected=4.0)

def as_bytes(row):
    text = row if isinstance(row, (str, bytes)) else json.dumps(row)
    return text if isinstance(text, bytes) else text.encode()

def write(name, rows):
    open(name + ".jsonl", "wb").write(b"".join(as_bytes(row) + b"\n" for row in rows))

for form, rows in forms.items():
    write(form, rows)
for name, row in unusable.items():
    rows = forms[name.split("-")[0]]
    write(name, rows[:5] + [row] + rows[5:])
open("bom.jsonl", "wb").write(b"\xef\xbb\xbf" + open("plain.jsonl", "rb").read())
json.dump(plain, open("array.jsonl", "w"), indent=1)
json.dump(plain[:5] + [3] + plain[5:], open("array-malformed.jsonl", "w"))
END
options=()
train() { # FILE OPTION...: into store.db
    rm -rf store.db store
    regatta run -q x.cfg -r store.db -s "environment.train=\"$1\"" "${@:2}" "${options[@]}"
}
rm train.jsonl
for file in *.jsonl; do
    reason=${file%.jsonl}
    reason=${reason##*-}
    [[ $file == renamed.jsonl ]] && options=(-s 'environment.columns={prompt="question"; chosen="good"; rejected="bad";}')
    [[ $file == scored* ]] && options=(-s 'environment.columns={chosen_score="score_chosen"; rejected_score="score_rejected";}')
    train "$file" -s 'seeds=[1,2]' || complain "$name: $file: $(cat log)"
    if [[ $file == "$reason.jsonl" ]]; then
        [[ ! -s log ]] || complain "$name: $file: $(cat log)"
        [[ $(metric store.db unusable_lines) == 0 ]] || complain "$name: $file: lines are left out"
        # what is read is the same in any form
        margin=$(metric store.db reward_margin)
        [[ $margin == "${expected:=$margin}" ]] || complain "$name: $file: another policy than with the others"
    else
        said "$file: left out 1 of "
        one_line
        [[ $(metric store.db "unusable_$reason") == 1 ]] || complain "$name: $file: not counted as $reason"
        train "$file" -s 'environment.unusable="stop"' && complain "$name: $file does not stop the run"
        one_line
    fi
    options=()
done
# A tokenizer is learned from any of the forms.
regatta train-tokenizer -o plain.json -v 300 plain.jsonl || complain "$name: $(cat log)"
for form in array explicit unpaired uf renamed; do
    options=()
    [[ $form == renamed ]] && options=(-m question -m good -m bad)
    regatta train-tokenizer -o $form.json -v 300 "${options[@]}" $form.jsonl || complain "$name: $form: $(cat log)"
    [[ -s $form.json ]] || complain "$name: no tokenizer from $form"
done
options=()
cmp -s plain.json array.json || complain "$name: another tokenizer from an array"
cmp -s plain.json renamed.json || complain "$name: another tokenizer from members of other names"
regatta train-tokenizer -o x.json -v 300 plain-nul-unreadable.jsonl || complain "$name: $(cat log)"
said "plain-nul-unreadable.jsonl: left out 1 of 301 lines (first: line 6: a NUL character at column "
printf '{"prompt": "p", "chosen": "a"}\n{"prompt": "p", "chosen": "a", "rejected": " "}\n' >none.jsonl
train none.jsonl && complain "$name: a file without a usable line"
said 'none.jsonl: none of 2 lines is usable: 1 with a blank response (line 2: a response is blank), 1 that lack'
one_line

# ---- what does not fit together ----
# It is said before the first step of the first trial, and by a dry run.
section late-refusal
refused() { # METHOD MESSAGE: the method, beside a dpo that fits
    sed "s|^algorithms = .*|algorithms = ( { type = \"dpo\"; }, $1 );|" ../x.cfg >late.cfg
    for dry in --quiet --dry-run; do
        regatta run $dry late.cfg && complain "$name: $1, $dry: exit 0"
        said "$2"
        one_line
    done
    [[ ! -e results/x.db ]] || complain "$name: $1: a trial has begun"
    rm -rf results
}
refused '{ type = "kto"; training = { micro_batch = 2; }; }' 'couples the pairs of a batch'
refused '{ type = "auxdpo"; penalty = 0.0; training = { shards = 2; }; }' 'trains parameters of its own'
refused '{ type = "online-dpo"; pair_sampler = "uniform"; }' 'cannot be enumerated'
refused '{ type = "online-dpo"; training = { expectation = "exact"; }; }' 'late.cfg:7: training.expectation'
refused '{ type = "rlhf"; }' 'rlhf fits a reward to every response'
refused '{ type = "parl"; lower = "solved"; }' 'can be enumerated'
refused '{ type = "parl"; upper = "none"; }' 'keeps the reward of pretrain'
refused '{ type = "ppo"; reward = "linear"; environment = { pair_count = 0; }; }' 'the environment has none'
refused '{ type = "sft"; environment = { pair_count = 0; }; }' 'sft needs demonstrations'
refused '{ type = "kto"; single = true; kl_responses = "chosen"; }' 'kto: kl_responses is "chosen", and single is true'
refused '{ type = "kto"; single = true; sft_coefficient = 0.1; }' 'kto: sft_coefficient'
refused '{ type = "bco"; single = true; training = { expectation = "exact"; }; }' 'it learns from no pairs'
refused '{ type = "dpo"; label = "b"; policy = { context = 48; }; }' "exceeds the policy's context of 48"
refused '{ type = "dpo"; label = "b"; policy = { heads = 3; }; }' 'does not divide into 3 heads'
refused '{ type = "dpo"; label = "b"; policy = { reference = "uniform"; }; }' 'policy.reference is "uniform"'
refused '{ type = "dpo"; label = "b"; environment = { response_limit = 2; }; }' 'a response of more tokens'
refused '{ type = "dpo"; label = "b"; environment = { columns = { prompt = "q"; }; }; }' 'none of 300 lines is usable'
# Single responses are no pairs.
for i in {1..300}; do
    label=$((i % 3 == 0))
    echo "{\"prompt\": \"The king saw $i.\", \"completion\": \"You have $i and $label.\", \"label\": $label}"
done >single.jsonl
echo "you 1" | tr ' ' '\t' >lexicon
single='train = "./single.jsonl"; pairs = "dataset"; unpaired = "all"; '
lexicon='judge = { type = "lexicon"; file = "./lexicon"; }; independent_judge = { type = "lexicon"; file = "./lexicon"; };'
refused "{ type = \"dpo\"; label = \"b\"; environment = { $single $lexicon }; }" 'none but single responses'
refused "{ type = \"sft\"; label = \"b\"; environment = { $single }; }" 'this judge needs pairs'
refused "{ type = \"kto\"; environment = { train = \"./single.jsonl\"; }; }" 'expected "all" to read it alone'
cp ../x.cfg sweep.cfg
echo 'sweep = ( { option = "environment.prompt_limit"; values = [0, 1]; } );' >>sweep.cfg
regatta run -q sweep.cfg && complain "$name: a swept value that does not fit"
said "prompt_limit is 1, expected more than"
[[ ! -e results/x.db ]] || complain "$name: a trial of the sweep has begun"

[[ $failures -eq 0 ]] && echo "inputs that were read wrongly are read, or refused in one line"
exit $((failures > 0))
