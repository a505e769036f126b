#!/bin/bash
# SPDX-License-Identifier: MIT
# The program as its users call it: exit statuses, the one line that says what is wrong, what bad
# input and signals leave behind, and the golden log-probabilities where they are at hand.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
shared=${RG_SHARED_DATA:-$source/../shared/data}

# expect STATUS PATTERN ARGUMENT...: what the program returns, and one line with PATTERN (extended
# regular expression) that it prints: on standard error where it fails, else on standard output.
expect() {
    local status=$1 pattern=$2 got=0 stream=out
    shift 2
    "$program" "$@" >out 2>err || got=$?
    [[ $got -eq $status ]] || complain "regatta $*: exit status $got, not $status: $(head -n 3 err)"
    [[ $status -eq 0 ]] || stream=err
    [[ -z $pattern ]] || grep -qE -- "$pattern" $stream || complain "regatta $*: no /$pattern/ in: $(head -n 3 $stream)"
    # argp adds a sentence of its own that points to --help, over two lines where it is long.
    [[ $status -eq 0 || $# -eq 0 || $(sed '/^Try /,$d' err | wc -l) -eq 1 ]] ||
        complain "regatta $*: more than one line: $(cat err)"
}

cat >small.cfg <<END
name = "small";
extends = "$source/experiments/bandit/bandit.cfg";
seeds = [1];
budget: { steps = 40; };
evaluation: { every = 10; };
algorithms = (
    { type = "dpo"; },
    { type = "sail-pr"; exploration = 0.1; }
);
END

# ---- the command line ----
expect 0 '^Usage: regatta .*COMMAND' --help
expect 0 '^regatta [0-9]+\.' --version
expect 2 'Usage: regatta .*COMMAND'
expect 2 'no command "rnu"; did you mean "run"' rnu
expect 2 '^regatta: --kernels: no kernels "avx3" on this processor, expected one of ' --kernels avx3 list
expect 2 '^regatta: --kernels: no kernels "" on this processor' --kernels
REGATTA_KERNELS=mmx expect 2 '^regatta: REGATTA_KERNELS: no kernels "mmx" on this processor' list
expect 0 '^algorithms' --kernels=generic list
for command in run status submit plan list show table plot report compare tournament frontier budget sample score \
    export export-results export-trial rerun verify merge forget check-store tokenize train-tokenizer check-gradients new check-plugin; do
    expect 0 "Usage: regatta $command" "$command" --help
done
expect 2 'expected a config file' run
expect 2 'b.cfg is one too many' run a.cfg b.cfg
expect 0 '^grammar: .*' show judge grammar
expect 0 '^grammar: .*' show judges grammar
expect 2 'no judge is named "dpo"' show judge dpo
expect 2 'no kind "jury": expected algorithm' show jury dpo
expect 2 'more is one too many' show judge grammar more
expect 0 '^  labelled_responses  *labelled responses' list metrics
expect 1 '^regatta: none.db: .*No such file' list metrics none.db
expect 2 'x.db is one too many' list judges x.db
expect 2 '--threads is "0"' run small.cfg -t 0
expect 2 'expected -o FILE' plot x.db
expect 2 'labels of two methods' compare x.db dpo
expect 2 'expected a results store' check-store
expect 2 'expected a results store, and a trial' forget x.db
expect 2 'c is one argument too many' forget x.db b c
expect 2 'b.db is one argument too many' check-store a.db b.db
expect 1 '^regatta: none.db: .*No such file' check-store none.db

# ---- configs ----
expect 2 '^regatta: missing.cfg: No such file' run missing.cfg
printf 'name = "x";\nseeds = [1,\n' >broken.cfg
expect 2 '^regatta: broken.cfg:3: syntax error' run broken.cfg
sed 's/"dpo"/"dpo/' small.cfg >string.cfg
expect 2 '^regatta: string.cfg:8: the string that begins here has no end: expected a closing "$' run string.cfg
sed 's/exploration/explorationn/' small.cfg >key.cfg
expect 2 'key.cfg:8: unknown key .*explorationn.*did you mean "exploration"' run key.cfg
sed 's/= 40/= "forty"/' small.cfg >type.cfg
expect 2 'type.cfg:4: budget.steps = "forty": expected an integer' run type.cfg
sed 's/= 0.1/= 1e9/' small.cfg >range.cfg
expect 2 'range.cfg:8: .*exploration = 1000000000.0: expected a real in' run range.cfg
sed 's/sail-pr/sail-pq/' small.cfg >name.cfg
expect 2 'name.cfg:8: .*"sail-pq": expected one of .*did you mean' run name.cfg
expect 2 'nonsense: expected path=value' run small.cfg -s nonsense
expect 2 '^regatta: -s: seeds = 1: expected a list such as \[1, 2, 3\], or \[1\]$' run small.cfg -s seeds=1
expect 2 'unknown key "budget.stepz"; did you mean "steps"' run small.cfg -s budget.stepz=3
expect 2 'unknown key "policy.adapter.rnak"; did you mean "rank"' run "$source/experiments/verses/quick.cfg" -s policy.adapter.rnak=3
expect 2 '^regatta: --kernels must precede the command: regatta --kernels=NAME run' run --kernels=generic small.cfg
# A judge that only compares, and the first method that needs more of it, before anything is read or run.
cat >compares.cfg <<END
name = "compares";
seeds = [1];
environment: { type = "text"; data = "none"; tokenizer = "none.json";
    judge = { type = "command"; command = "true"; }; };
policy: { type = "transformer"; };
optimizer: { learning_rate = 1e-3; };
budget: { steps = 1; };
algorithms = ( { type = "online-dpo"; }, { type = "listwise"; group_size = 2; }, { type = "sppo"; } );
END
refused='^regatta: compares.cfg:4: environment.judge.type = "command": sppo needs a judge that gives rewards'
expect 2 "$refused" run compares.cfg
expect 2 "$refused" run compares.cfg --dry-run
expect 2 "$refused" plan compares.cfg
expect 2 'listwise needs a judge that gives rewards' plan compares.cfg -s algorithms.1.group_size=3
sed '/sppo/s/, { type = "sppo"; }//' compares.cfg >compared.cfg
expect 1 'none' plan compared.cfg
# A judge whose program is not there, or cannot be run, is told at once, with the place of the command.
: >plain.sh
mkdir none
: >none.json
refused_judge() {
    expect 2 "^regatta: judged.cfg:4: environment.judge.command = $1; commands run in the folder that regatta runs in, /" \
        run judged.cfg
}
for command in 'no-such-judge --fast' './no-such-judge' './plain.sh' 'true --fast' 'X=3 no-such-judge'; do
    sed "s|\"true\"|\"$command\"|" compared.cfg >judged.cfg
    case $command in
    no-such*) refused_judge '"no-such-judge --fast": the shell finds no program "no-such-judge"' ;;
    ./no*) refused_judge '"./no-such-judge": there is no program "./no-such-judge"' ;;
    ./plain*) refused_judge '"./plain.sh": "./plain.sh" is not an executable file' ;;
    *) expect 1 'none' run judged.cfg -r judged.db ;; # it goes on to the data, of which there are none
    esac
    [[ ! -e results ]] || complain "a judge that is not there leaves results behind: $command"
done
expect 2 '^regatta: -s: environment.judge.command = "away": the shell finds no program "away"; commands run in' \
    run judged.cfg -s environment.judge.command=away
rm -r none none.json
cat >game.cfg <<END
name = "game";
seeds = [1];
environment: { type = "game"; };
policy: { type = "tabular"; };
optimizer: { learning_rate = 1e-3; };
budget: { steps = 1; };
algorithms = ( { type = "online-dpo"; }, { type = "ppo"; } );
END
expect 2 '^regatta: game.cfg:3: environment.type = "game": ppo needs a judge that gives rewards' run game.cfg
expect 0 'ppo' plan game.cfg -s 'environment.preferences="rewards"'
[[ ! -e results ]] || complain "a config that is refused leaves results behind"
expect 0 'sail-pr +1 +new +40 ' run small.cfg --dry-run
expect 2 '--json requires --dry-run' run small.cfg --json
cat >search.cfg <<END
extends = "$source/experiments/bandit/search.cfg";
budget: { steps = 10; };
END
expect 0 'sail-pr +batch (16|32|64), beta 0\.[0-9]+, exploration 0.3, learning_rate 0\.[0-9]+ +2 +new' run search.cfg --dry-run
expect 0 '^trials: 120 ' run search.cfg --dry-run
expect 0 '' run search.cfg -q -s search.trials=2
expect 0 '^trials: 12 ' run search.cfg --dry-run -s search.trials=2
expect 0 '^to run: 6 ' run search.cfg --dry-run -s search.trials=3
expect 0 '^  12 trials: 12 finished' status results/bandit-search.db
rm -r results
expect 2 'did you mean "learning_rate"' run search.cfg -s search.options.0.option=optimizer.learning_rat
expect 2 '^regatta: -s: budget.judge_queries = 9: dpo with these options spends none of it' run small.cfg -s budget.steps=0 -s budget.judge_queries=9

# ---- results ----
expect 0 '' run small.cfg -q -r small.db
expect 0 '^sail-pr ' table small.db
expect 0 'dpo +1 +finished +40 ' run small.cfg -r small.db --dry-run
expect 0 '"status": "finished"' run small.cfg -r small.db --dry-run --json
expect 0 '^  2 trials: 2 finished$' status small.db
expect 0 '^  2 trials: 2 finished$' status small.db --watch 1000 # all is done: one look
expect 2 'has no experiment "other"' status small.db -e other
expect 1 '^regatta: none.db: .*No such file' status none.db
expect 2 '--watch is "0"' status small.db --watch 0
expect 0 'dpo' compare small.db dpo sail-pr
expect 0 'p, Holm' compare small.db
expect 0 '^sail-pr +dpo ' compare small.db --against dpo
expect 2 '--judge cannot be combined with --metric' compare small.db -m reward --judge reward
expect 2 '^regatta: "dpo" cannot be compared with itself' compare small.db dpo dpo
expect 2 '--against cannot be combined with two labels' compare small.db dpo sail-pr --against dpo
expect 0 '"p_holm": ' compare small.db --against dpo -f json
# On a bandit of its own for each seed nothing is over prompts; what a table and its columns are of is told.
expect 0 "Student's t over seeds, paired" compare small.db
expect 0 '^W / T / L: how often A.s reward is larger than B.s, the same, and smaller' compare small.db
expect 0 ' over 1 seed × 8 contexts or episodes$' compare small.db dpo sail-pr
expect 0 'a 95 % interval over seeds\. Optimal' frontier small.db
expect 0 '^An evaluation is over 8 contexts or episodes, drawn anew for each seed\.$' table small.db
expect 0 "Student's t over seeds\\.$" tournament small.db
expect 0 'a 95 % interval over seeds\.$' budget small.db -x step -n 3
expect 2 '^regatta: "regret" is recorded for a policy as a whole, not prompt by prompt, .*: expected one of judge_reward, kl, reward, value' \
    compare small.db -m regret
expect 2 'unknown per-item metric "regrett": there is "judge_reward", "kl", "reward", "value"' compare small.db -m regrett
expect 2 'a figure of the kind "curve" has no -z: only a heat map' plot small.db -z reward -o x.svg
expect 2 'a figure of the kind "frontier" has no --method' plot small.db -k frontier --method dpo -o x.svg
expect 2 'a figure of the kind "tournament" has no -x$' plot small.db -k tournament -x kl -o x.svg
expect 0 'rating, Elo' tournament small.db
expect 0 '^a,b,a_elo,' tournament small.db -m reward -f csv
expect 2 'unknown per-item metric "nope"' tournament small.db -m nope
expect 2 'unknown per-item metric "length"' tournament small.db --length-controlled
expect 0 ' yes$' frontier small.db
expect 2 'unknown metric "nope"' frontier small.db -y nope
expect 0 '^sail-pr ' budget small.db -x step -n 3
expect 2 'is a metric, expected a cost' budget small.db -x kl
expect 2 '--points is "1"' budget small.db -n 1
expect 0 '"reward_standard_error": ' table small.db -f json
expect 0 'interquartile mean' table small.db --statistic iqm
expect 2 'unknown statistic "median"' table small.db --statistic median
expect 0 'differs from dpo' table small.db --against dpo
expect 2 'without tests' table --paper dpo --against dpo
expect 2 'unknown label "nope": there is "dpo", "sail-pr"' compare small.db dpo nope
expect 2 'unknown metric "nope"' table small.db -m nope
[[ $(grep -o '"kl"' err | wc -l) -eq 1 ]] || complain "a metric of training and evaluation is told twice: $(cat err)"
expect 0 '^method +trials +reward +regret$' table small.db -m reward -m regret # given again, they add up
expect 0 'One seed: ' compare small.db dpo sail-pr
expect 2 'format' table small.db -f nope
expect 2 'figure.gif.*\.svg, \.png or \.pdf' plot small.db -o figure.gif
expect 0 '' plot small.db -y kl -o figure.svg
for kind in curve frontier tournament; do
    expect 0 '' plot small.db -k "$kind" -o "$kind.pdf"
    [[ -s $kind.pdf && -s $kind.tsv && -s $kind.gnuplot ]] || complain "plot -k $kind leaves less than three files"
done
expect 0 '' plot small.db -k budget -x step -o budget.png --width 336
expect 2 'unknown kind of figure "pie": there is .*"auto".*"overoptimisation"' plot small.db -k pie -o pie.svg
expect 2 'no metric "independent_kl" and no "judge_kl"' plot small.db -k overoptimisation -y kl -o over.svg
expect 2 'unknown swept option "beta"' plot small.db -k heatmap -x beta -y beta -o map.svg
expect 0 '' run small.cfg -q -r swept.db -s 'sweep=({option="algorithm.beta"; values=[0.1, 0.3];}, {option="optimizer.learning_rate"; values=[0.01, 0.05];})'
expect 2 '2 methods have both .* choose one by --method, for example "dpo"' plot swept.db -x beta -y learning_rate -o map.svg
expect 0 '' plot swept.db -x beta -y learning_rate --method dpo -z kl -o map.svg
grep -qP '^[0-9.]+\tnan\tnan\t1\t0\t0\t1\t[0-9.]+\t0\.05\t0\.1$' map.tsv || complain "the heat map: $(cat map.tsv)"
expect 0 '' report swept.db -o swept.html
grep -q 'sweep.0.option</th><td>algorithm.beta</td><td>command line' swept.html ||
    complain "the report does not tell what -s set"
expect 0 '' report small.db -o page.html
! grep -q 'command line</td>' page.html || complain "the report tells of a command line that set nothing"
expect 1 '^regatta: \.: is a folder, expected a file$' report small.db -o .
expect 1 '^regatta: small.cfg/a: .*Not a directory' report small.db -o small.cfg/a/page.html
# All commands make the folders above what they write.
expect 0 '' report small.db -o new/report/page.html
expect 0 '' plot small.db -o new/plot/figure.svg
expect 0 '' export-trial small.db dpo -o new/trial/dpo.tar.zst
expect 0 '' export-trial small.db dpo -o new/folder/dpo
expect 0 '' export-results small.db -f csv -o new/results/csv
expect 0 '' check-store small.db --save new/store/small.db
for made in report/page.html plot/figure.svg trial/dpo.tar.zst folder/dpo/trial.json results/csv/trials.csv store/small.db; do
    [[ -s new/$made ]] || complain "new/$made is not made"
done
rm -r new
expect 1 '^regatta: none.db: .*No such file' table none.db
expect 1 'small.cfg: .*not an SQLite file' table small.cfg
digest() { # RESULTS: names and contents of the weights
    (cd "$1" && sha256sum -- *.safetensors)
}

# Trials that were run apart and merged are those that were run together: none is run again.
expect 0 '' run small.cfg -q -s seeds=[1,2] -r together.db
expect 0 '' run small.cfg -q -s seeds=[2] -r second.db
expect 0 '^second.db: 2 trials added, 0 replaced, 0 kept' merge parts.db second.db
expect 0 '^small.db: 2 trials added, 0 replaced, 0 kept' merge parts.db small.db second.db
[[ $(digest parts) == "$(digest together)" ]] || complain "merged weights differ"
expect 0 '' run small.cfg -q -s seeds=[1,2] -r parts.db
for store in together parts; do
    "$program" table "$store.db" -f csv -m reward,kl >"$store.csv"
done
cmp -s together.csv parts.csv || complain "a merged store has another table"
cp second.db other.db
python3 - <<'END' || complain "cannot change other.db"
import sqlite3
with sqlite3.connect("other.db") as store:
    store.execute("UPDATE metrics SET value = value + 1 WHERE name = 'eval/kl'")
END
expect 1 '^regatta: other.db: dpo, seed 2 .* has a different result from parts.db: eval/kl differs' merge parts.db other.db
expect 1 'none.db: .*No such file' merge parts.db none.db
expect 2 'expected a results store to write and stores' merge parts.db

# A trial that is packed gives the same result elsewhere; bits may differ on other BLAS kernels only.
expect 0 '' export-trial small.db sail-pr -o trial.tar.zst
mkdir elsewhere
expect 0 '^the same result, bit for bit' verify -q trial.tar.zst
expect 0 '' rerun -q trial.tar.zst -r elsewhere/again.db
expect 0 '^elsewhere/again.db: 0 trials added, 0 replaced, 1 kept' merge small.db elsewhere/again.db
expect 0 '' export-trial small.db sail-pr -o trial
expect 2 'no trial has label or key "nope"' export-trial small.db nope -o nope
expect 2 'expected a results store, a trial' export-trial small.db
expect 2 'expected a trial packed' verify
expect 1 '^regatta: small.cfg: cannot read the archive' rerun small.cfg
python3 - <<'END' || complain "cannot change the packed trial"
import hashlib, json, sqlite3
store = sqlite3.connect("trial/results.db")
store.execute("UPDATE metrics SET value = value + 1 WHERE name = 'eval/kl'")
store.commit()
store.close()
record = json.load(open("trial/trial.json"))
for file in record["files"]:
    content = open("trial/" + file["name"], "rb").read()
    file["sha256"] = hashlib.sha256(content).hexdigest()
json.dump(record, open("trial/trial.json", "w"))
END
"$program" verify -q trial >out 2>err
[[ $? -eq 1 && ! -s err ]] || complain "another result: $(cat err)"
grep -qE '^  eval/kl +5 +0 ' out && grep -q '^another result' out || complain "another result: $(cat out)"

# A signal ends the run after its step, with one line and a checkpoint; run again ends alike.
sed 's/steps = 40/steps = 4000/' small.cfg >long.cfg
expect 0 '' run long.cfg -q -r whole.db
for signal in INT TERM; do
    # A background job of a script ignores SIGINT unless it asks for it.
    (trap - INT; exec "$program" run long.cfg -q -r "$signal.db") 2>err &
    pid=$!
    for _ in {1..200}; do
        [[ ! -s $signal.db ]] || break
        sleep 0.01
    done
    for _ in {1..500}; do # until its trial is there
        "$program" status "$signal.db" >looked 2>&1 || true
        ! grep -qE '^    (dpo|sail-pr) seed 1: step' looked || break
        sleep 0.01
    done
    grep -q "^small, run by process $pid on " looked || complain "status under way: $(cat looked)"
    grep -qE '^  2 trials: (1 finished, )?1 running(, 1 new)?$' looked ||
        complain "status under way: $(cat looked)"
    status=0
    kill "-$signal" "$pid" 2>/dev/null || complain "the run was over before SIG$signal"
    wait "$pid" || status=$?
    [[ $status -eq 1 ]] || complain "SIG$signal: exit status $status, not 1"
    grep -q 'stopped by a signal at step .*run again to continue' err ||
        complain "SIG$signal: $(cat err)"
    expect 0 '^  interrupted$' status "$signal.db"
    expect 0 '^    (dpo|sail-pr) seed 1: step [0-9]+/4000, [0-9]+ % of its steps, ' status "$signal.db"
    expect 0 '^  left: about [0-9]+s$' status "$signal.db"
    expect 0 '' run long.cfg -q -r "$signal.db"
    [[ $(digest "$signal") == "$(digest whole)" ]] || complain "SIG$signal: other weights"
done

# A full disk, played by the limit on a file's size: results so far stay, run again continues.
for blocks in 4 40 60; do
    (
        trap '' XFSZ
        ulimit -f "$blocks"
        expect 1 '(full[0-9]*.db|safetensors).*(too large|full|I/O error)' run long.cfg -q -r "full$blocks.db"
        exit "$failures"
    ) || complain "with files of at most $blocks blocks"
    expect 0 '' run long.cfg -q -r "full$blocks.db"
    [[ $(digest "full$blocks") == "$(digest whole)" ]] || complain "$blocks blocks: other weights"
done

# Results that may not be written. The superuser may write everything, so another user tries.
chmod 755 .
chmod 444 small.db
as_other=()
if [[ $EUID -eq 0 ]]; then
    as_other=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi
status=0
if ! "${as_other[@]}" test -x "$program" -a -r "$source/experiments/bandit/bandit.cfg"; then
    echo "SKIP: another user cannot reach $program or $source"
else
    "${as_other[@]}" "$program" run "$folder/small.cfg" -q -s seeds=[9] -r "$folder/small.db" 2>err || status=$?
    [[ $status -eq 1 && $(wc -l <err) -eq 1 ]] || complain "read-only results: $status, $(cat err)"
    grep -q 'small.db: ' err || complain "read-only results: $(cat err)"
fi
expect 0 '^sail-pr ' table small.db

# ---- policies ----
weights=("$PWD"/small/*.safetensors)
head -c 200 "${weights[0]}" >short.safetensors
expect 1 'short.safetensors: ' score -p short.safetensors lines.jsonl
echo 'not weights at all, by any measure' >text.safetensors
expect 1 'text.safetensors: .*header' score -p text.safetensors lines.jsonl
expect 1 'none.safetensors: .*No such file' score -p none.safetensors lines.jsonl
base=$source/experiments/models/verses-base.safetensors
tokenizer=$source/experiments/models/verses-tokenizer.json
expect 1 'none.jsonl: No such file' score -p "$base" none.jsonl
line() { # JSON: a file of one good line, then this one
    printf '{"prompt_tokens": [1, 2], "response_tokens": [3]}\n%s\n' "$1" >lines.jsonl
}
line '{"prompt_tokens": [1, 2], "response_tokens": [3'
expect 1 'lines.jsonl:2: not JSON' score -p "$base" lines.jsonl
line '{"prompt_tokens": [1, 2], "response_tokens": [99999]}'
expect 1 'lines.jsonl:2: .*99999' score -p "$base" lines.jsonl
line '{"prompt_tokens": [], "response_tokens": [3]}'
expect 1 'lines.jsonl:2: the prompt is empty' score -p "$base" lines.jsonl
line "{\"prompt_tokens\": [1], \"response_tokens\": [$(yes 5 | head -n 300 | paste -sd,)]}"
expect 1 "lines.jsonl:2: .*301 tokens, but the policy's context is 192" score -p "$base" lines.jsonl
line '{"prompt_tokens": [1], "response_tokens": [4]}'
cp "$base" nan.safetensors
printf '\0\0\300\177' | # the last weight is no number, and so is all that it gives
    dd of=nan.safetensors bs=1 seek=$(($(wc -c <"$base") - 4)) conv=notrunc status=none
expect 1 'lines.jsonl:1: the log-probability is no finite number, nor are others' score -p nan.safetensors lines.jsonl
[[ $(cat out) == '{"logprob":null,"tokens":1}'$'\n''{"logprob":null,"tokens":1}' ]] ||
    complain "a score that is no number: $(cat out)"
gzip -k lines.jsonl
expect 0 '"logprob"' score -p "$base" lines.jsonl.gz
head -c 70000000 /dev/zero | tr '\0' a | gzip >long.jsonl.gz
expect 1 'long.jsonl.gz:1: the line is longer than 64 MiB' score -p "$base" long.jsonl.gz
expect 1 'long.jsonl.gz:1: the line is longer than 64 MiB' tokenize -t "$tokenizer" long.jsonl.gz
expect 1 '/dev/zero: is larger than 1 GiB' tokenize -t /dev/zero lines.jsonl
line '{"prompt": "In the beginning", "response": " God"}'
expect 2 'lines.jsonl:2: .*--tokenizer' score -p "$base" lines.jsonl
expect 0 '"logprob": *-[0-9]' score -p "$base" -t "$tokenizer" lines.jsonl
cp out scored
expect 0 '' export -p "$base" -t "$tokenizer" exported
expect 0 '"logprob"' score -p exported -t exported/tokenizer.json lines.jsonl
cmp -s out scored || complain "an exported policy scores otherwise"
expect 0 '"logprob"' score -p exported lines.jsonl # by the tokenizer in the folder
cmp -s out scored || complain "the tokenizer of a policy's folder is not its own"
mkdir beside
cp "$tokenizer" beside/tokenizer.json
echo '{{ messages[0].content }}' >beside/chat_template.jinja
echo '{"eos_token": "<|end|>"}' >beside/tokenizer_config.json
expect 0 '' export -p "$base" -t beside/tokenizer.json exported
for name in chat_template.jinja tokenizer_config.json; do
    cmp -s {beside,exported}/$name || complain "export leaves out $name"
done
expect 0 '' export -p "$base" new/folder/exported
[[ -s new/folder/exported/model.safetensors ]] || complain "export makes no folders"
expect 1 'lines.jsonl/a: .*Not a directory' export -p "$base" lines.jsonl/a/exported
head -c 500 "$tokenizer" >short.json
expect 1 'short.json' score -p "$base" -t short.json lines.jsonl
sample=(sample -p "$base" -t "$tokenizer" -m 'And he said unto them,' -n 3 --limit 8)
expect 0 '"response"' "${sample[@]}"
cp out first
expect 0 '"response"' "${sample[@]}"
cmp -s out first || complain "the same seed gives other samples"
[[ $(wc -l <out) -eq 3 ]] || complain "three copies make three lines"
expect 0 '"response":"[^.]*\."' "${sample[@]}" --limit 40 --stop . --stop '<|end|>' --stop-id 3
! grep -qE '"response":"[^"]*\.[^"]' out || complain "a response goes on after a stop token"
expect 2 '^regatta: --stop: "lord" is 2 tokens, expected one' "${sample[@]}" --stop lord
expect 2 '^regatta: --stop-id: 1024 is not an id of the tokenizer; expected 0 to 1023' "${sample[@]}" --stop-id 1024
expect 2 '--stop-id is "x"' "${sample[@]}" --stop-id x
expect 0 '�' sample -p "$base" -t "$tokenizer" -m 'And he' -n 60 --limit 20 --temperature 3
[[ $(grep -c '"response":' out) -eq 60 ]] || complain "a response that is not UTF-8 makes no line"

# ---- tokenizers ----
printf '{"text": "And he said"}\n\n{"text": "<|end|>\\u0000"}\n' >texts.jsonl
expect 0 '^\{"ids": \[[0-9]+(, [0-9]+)*\], "decoded": "And he said"\}$' tokenize -t "$tokenizer" texts.jsonl
expect 0 '^\{"ids": \[1, [0-9]+\], "decoded": "<\|end\|>\\u0000"\}$' tokenize -t "$tokenizer" texts.jsonl
cp out tokenized
"$program" tokenize -t "$tokenizer" - <texts.jsonl | cmp -s - tokenized || complain "tokenize - reads otherwise"
expect 2 'expected --tokenizer FILE and a file' tokenize texts.jsonl
expect 1 'none.jsonl: No such file' tokenize -t "$tokenizer" none.jsonl
expect 1 'none.json: .*No such file' tokenize -t none.json texts.jsonl

# ---- chat templates ----
cat >chat_template.jinja <<'TEMPLATE'
{{ bos_token }}
{%- for turn in messages %}
{{ turn.role | upper }}: {{ turn.content }}
{%- if turn.role == 'assistant' %}{{ eos_token }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}
ASSISTANT: {% endif -%}
TEMPLATE
printf '%s\n' '{"messages": [{"role": "user", "content": "Why?"}]}' \
    '{"messages": [{"role": "user", "content": "Why <|end|>?"}, {"role": "assistant", "content": "So."}]}' >chats.jsonl
expect 0 '"response": \[0(, 0)*\], "decoded": "<\|begin\|>USER: Why\?ASSISTANT: "\}$' \
    tokenize -t "$tokenizer" --chat chat_template.jinja chats.jsonl
expect 0 '^\{"ids": \[0, .*, 1\], "response": \[0, .*0, 1(, 1)+\], "decoded": "<\|begin\|>USER: Why <\|end\|>\?ASSISTANT: So\.<\|end\|>"\}$' \
    tokenize -t "$tokenizer" --chat chat_template.jinja chats.jsonl
expect 0 '"decoded": "<\|begin\|>Why\?\\n"\}$' tokenize -t "$tokenizer" -c plain chats.jsonl
expect 2 '--chat: "none" is neither a file nor a built-in template' tokenize -t "$tokenizer" -c none chats.jsonl
# A policy sees a conversation as tokenize shows it, whether it has messages or a prompt alone.
"$program" tokenize -t "$tokenizer" --chat chat_template.jinja chats.jsonl | python3 -c '
import json, sys
for line in map(json.loads, sys.stdin):
    at = len(line["ids"]) - sum(line["response"])
    if line["ids"][at:]:
        print(json.dumps({"prompt_tokens": line["ids"][:at], "response_tokens": line["ids"][at:]}))' >ids.jsonl
tail -n 1 chats.jsonl >said.jsonl
printf '{"prompt": "Why <|end|>?", "response": "So."}\n' >asked.jsonl
expect 0 '"logprob"' score -p "$base" ids.jsonl
cp out scored
chat=(-p "$base" -t "$tokenizer" --chat chat_template.jinja)
for file in said asked; do
    expect 0 '"logprob"' score "${chat[@]}" $file.jsonl
    cmp -s out scored || complain "score --chat $file.jsonl: not as by its tokens"
done
head -n 1 chats.jsonl >asked.jsonl
expect 0 '"prompt":"USER: Why\?ASSISTANT: "' sample "${chat[@]}" asked.jsonl
cp out sampled
expect 0 '"response"' sample "${chat[@]}" -m 'Why?'
cmp -s out sampled || complain "sample --chat -m asks otherwise than messages do"
expect 1 'asked.jsonl:1: no response to score' score "${chat[@]}" asked.jsonl
expect 2 'expected a file or --prompt, found both' sample "${chat[@]}" -m 'Why?' asked.jsonl
expect 1 'said.jsonl:1: the last message is the assistant' sample "${chat[@]}" said.jsonl
expect 2 'text needs --tokenizer FILE, as .* has no tokenizer.json' sample -p "$base" --chat plain -m 'Why?'
printf '{"prompt": 3}\n' >asked.jsonl
expect 1 'asked.jsonl:1: expected an object with the list messages' sample "${chat[@]}" asked.jsonl
printf '\n{"prompt": "a\\u0000b", "response": "c"}\n' >asked.jsonl
for command in sample score tokenize; do
    options=("${chat[@]}")
    [[ $command != tokenize ]] || options=(-t "$tokenizer" --chat chat_template.jinja)
    expect 1 'asked.jsonl:2: expected an object with .*, without NUL' $command "${options[@]}" asked.jsonl
done
expect 1 'asked.jsonl:2: expected an object with .*, without NUL' score -p "$base" -t "$tokenizer" asked.jsonl
printf '{"prompt": "a", "prompt": "b", "response": "c"}\n' >asked.jsonl
expect 1 'asked.jsonl:1: not JSON: duplicate object key' score "${chat[@]}" asked.jsonl
expect 2 '--prompt: expected text in UTF-8' sample -p "$base" -t "$tokenizer" -m $'\xff'
printf 'a\n\xff{{ messages[0].content }}' >bytes.jinja
expect 1 'bytes.jinja:2: bytes that are not UTF-8' tokenize -t "$tokenizer" --chat bytes.jinja chats.jsonl
printf 'a\0{{ messages[0].content }}' >bytes.jinja
expect 1 'bytes.jinja:1: a NUL character' tokenize -t "$tokenizer" --chat bytes.jinja chats.jsonl
expect 1 'beside: is a folder, expected a file' tokenize -t "$tokenizer" beside

printf '{"messages": []}\n' >chats.jsonl
expect 1 'chats.jsonl:1: expected an object with the list messages' tokenize -t "$tokenizer" -c plain chats.jsonl
printf '{"messages": [{"role": "tool", "content": "x"}]}\n' >chats.jsonl
expect 1 'chats.jsonl:1: messages\[0\] is not a message, expected a role' tokenize -t "$tokenizer" -c plain chats.jsonl
echo '{% for x %}' >bad.jinja
expect 1 'bad.jinja:1: found %}, expected in' tokenize -t "$tokenizer" -c bad.jinja chats.jsonl
echo '{{ raise_exception("No " ~ messages[0].content) if messages[0].content != "a" }}{% for m in messages %}{{ m.content }}{% endfor %}' >bad.jinja
printf '{"messages": [{"role": "user", "content": "x"}]}\n' >chats.jsonl
expect 1 'chats.jsonl:1: bad.jinja:1: the template refuses the conversation: No x' tokenize -t "$tokenizer" -c bad.jinja chats.jsonl

printf '{"text": "a"}\n{"texts": "b"}\n' >texts.jsonl
expect 1 'texts.jsonl:2: expected an object with the string text' tokenize -t "$tokenizer" texts.jsonl
printf '{"text": "a"}\n{"text": "b"\n' >texts.jsonl
expect 1 'texts.jsonl:2: not JSON' tokenize -t "$tokenizer" texts.jsonl

# ---- full disks ----
# What cannot be written is told, whoever writes it: on the standard output …
full() {
    local got=0
    "$program" "$@" >/dev/full 2>err || got=$?
    [[ $got -eq 1 && $(wc -l <err) -eq 1 && $(cat err) =~ (No space left on device|the output failed)$ ]] ||
        complain "regatta $* >/dev/full: exit status $got: $(head -n 3 err)"
}
expect 0 '' run small.cfg -q -r full.db
expect 0 '' export-trial full.db dpo -o full.trial
printf '{"text": "a"}\n' >texts.jsonl
full --help
full --version
for command in run status submit plan list show table plot report compare tournament frontier budget sample score \
    export export-results export-trial rerun verify merge forget check-store tokenize train-tokenizer check-gradients new check-plugin; do
    full "$command" --help
done
full list
full list algorithms
full show dpo
full run small.cfg --dry-run
full run small.cfg --dry-run --json
full plan small.cfg
full submit small.cfg -n
for command in status table compare tournament frontier budget check-store; do
    full "$command" full.db
done
full table full.db -f json
full check-gradients "$source/experiments/parl/estimators-mdp.cfg" --samples 2
full verify -q full.trial
full merge other.db full.db
if [[ -f $base ]]; then
    full score -p "$base" -t "$tokenizer" lines.jsonl
    full sample -p "$base" -t "$tokenizer" -m 'And he' --limit 5
fi
full tokenize -t "$tokenizer" texts.jsonl

# … or in a file, of which not a byte fits.
cp -r full full-before
no_room() {
    (
        ulimit -f 0
        "$program" "$@" 2>&1 >/dev/null
        echo "status $?"
    ) | cat >err
    [[ $(wc -l <err) -eq 2 && $(tail -n 1 err) == "status 1" && $(head -n 1 err) == regatta:* ]] ||
        complain "regatta $* without room: $(head -n 3 err)"
}
no_room run small.cfg -q -r none.db
no_room merge none.db full.db
no_room forget full.db dpo --yes
cmp <(ls full) <(ls full-before) || complain "forget without room removes weights"
no_room plot full.db -y kl -o none.svg
no_room report full.db -o none.html
no_room export-results full.db -o none
no_room export-trial full.db dpo -o none.trial
no_room export-trial full.db dpo -o none.tar.zst
no_room rerun -q full.trial -r none.db
no_room verify -q full.trial
no_room train-tokenizer texts.jsonl -v 258 -o none.json
expect 2 '--member=promt: no line has this member' train-tokenizer texts.jsonl -m promt -v 258 -o none.json
echo '{"id": 1}' >textless.jsonl
expect 1 'textless.jsonl: no text to learn from' train-tokenizer textless.jsonl -v 258 -o none.json
[[ ! -f $base ]] || no_room export -p "$base" none.hf
full report full.db -o /dev/full
full forget full.db dpo --yes
full train-tokenizer texts.jsonl -v 258 -o /dev/full
[[ -c /dev/full ]] || complain "-o has taken the place of a device"

if [[ -f $shared/stories260K.bin ]]; then
    python3 - "$shared/golden/stories260K.json" "$program" "$shared/stories260K.bin" <<'END' ||
import json, subprocess, sys
responses = json.load(open(sys.argv[1]))["responses"]
lines = "".join(json.dumps({key: one[key] for key in ("prompt_tokens", "response_tokens")}) + "\n"
                for one in responses)
run = subprocess.run([sys.argv[2], "score", "-p", sys.argv[3], "-"], input=lines,
                     capture_output=True, text=True, check=True)
scored = [json.loads(line)["logprob"] for line in run.stdout.splitlines()]
worst = max(abs(a - b["logprob"]) for a, b in zip(scored, responses, strict=True))
print(f"{len(scored)} golden log-probabilities, the worst off by {worst:.2g}")
sys.exit(worst > 1e-4)
END
        complain "stories260K: not the golden log-probabilities"
else
    echo "SKIP: stories260K.bin is not at $shared"
fi

[[ $failures -eq 0 ]] || exit 1
echo "all commands behave"
