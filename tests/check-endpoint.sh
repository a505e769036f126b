#!/bin/bash
# SPDX-License-Identifier: MIT
# An experiment whose judge is asked over HTTP, from config to table: with a server that fails now
# and then, a program that is killed and interrupted, and a server that dies and comes back, the
# weights and results are those of an undisturbed run, and no answer that came was asked for twice.
set -eu
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
server=
trap '[[ -z $server ]] || kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT
made_up_data 512 300 60 60 60 60
cat >endpoint.cfg <<END
extends = "$source/experiments/verses/endpoint.cfg";
environment: { data = "data"; tokenizer = "tokenizer.json"; pair_count = 40; response_limit = 16; test_prompts = 8;
    judge: { key_variable = "RG_TEST_KEY"; backoff = 0.01; retries = 100; }; };
policy: { type = "transformer"; weights = ""; width = 32; layers = 2; heads = 2; context = 48; };
training: { batch = 8; };
budget: { steps = 5; };
algorithms = ( { type = "online-dpo"; } );
END
export RG_TEST_KEY=sk-never-to-be-seen-anywhere

# serve LOG PORT: a flaky server on that port, 0 for any; $port is where it listens.
serve() {
    python3 "$source/tests/judge-server.py" "$1" --port "$2" --flaky --key "$RG_TEST_KEY" >port.new &
    server=$!
    while [[ ! -s port.new ]]; do
        kill -0 "$server" || fail "the server does not start"
        sleep 0.05
    done
    port=$(<port.new)
    rm port.new
}

end_server() {
    kill -9 "$server"
    wait "$server" 2>/dev/null || true
    server=
}

# start STORE ARGUMENT...: the experiment in the background, with more settings; its id in $pid.
start() {
    (
        trap - INT # which background jobs of a script ignore otherwise
        exec "$program" run endpoint.cfg -q -r "$1" --checkpoint-seconds 0 \
            -s "environment.judge.url=\"http://127.0.0.1:$port/v1/chat/completions\"" "${@:2}"
    ) 2>>err &
    pid=$!
}

# run STORE ARGUMENT...: the same to its end; its exit status.
run() {
    local status=0
    start "$@"
    wait "$pid" || status=$?
    return "$status"
}

answered() { # LOG: how many answers the server has given
    grep -c '^done ' "$1" || true
}

wait_for() { # LOG COUNT
    while [[ $(answered "$1") -lt $2 ]]; do
        kill -0 "$pid" 2>/dev/null || fail "the run ends before $2 answers: $(tail -n 3 err)"
        sleep 0.01
    done
}

digest() { # STORE
    (cd "${1%.db}" && sha256sum -- *.safetensors)
}

# ---- undisturbed ----
serve whole.log 0
run whole.db || fail "the undisturbed run: $(cat err)"
total=$(answered whole.log)
end_server

# ---- killed twice, interrupted once, and without its server for a while ----
serve killed.log 0
for part in 1 3; do
    start killed.db
    wait_for killed.log $((total * part / 8))
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || true
done
start killed.db
wait_for killed.log $((total * 5 / 8))
kill -INT "$pid"
status=0
wait "$pid" || status=$?
[[ $status -eq 1 ]] || fail "SIGINT: exit status $status, not 1"
tail -n 1 err | grep -q 'stopped by a signal .*run again to continue' || fail "SIGINT: $(tail -n 1 err)"
# Nobody is there: it fails, says so, and goes on from there when the server is back.
end_server
: >err
status=0
run killed.db -s environment.judge.retries=2 || status=$?
[[ $status -eq 1 ]] || fail "without a server: exit status $status, not 1"
[[ $(wc -l <err) -eq 1 ]] || fail "without a server: more than one line: $(cat err)"
grep -q "endpoint local: http://127.0.0.1:$port/v1/chat/completions cannot be reached" err ||
    fail "without a server: $(cat err)"
"$program" table killed.db | grep -q failed || fail "the trial is not told of as failed"
serve killed.log "$port"
start killed.db
wait_for killed.log $((total * 7 / 8))
end_server
sleep 0.2
serve killed.log "$port"
wait "$pid" || fail "the last run: $(cat err)"

[[ $(digest whole.db) == "$(digest killed.db)" ]] || fail "other weights"
for store in whole killed; do
    "$program" table "$store.db" -f csv -m win_rate_base,win_rate_dataset,judge_ties,judge_disagreements,kl \
        >"$store.csv"
done
diff whole.csv killed.csv || fail "other results"

# Four programs or servers died, with four questions under way each.
twice=$(sed -n 's/^done //p' killed.log | sort | uniq -d | wc -l)
[[ $twice -le 16 ]] || fail "$twice questions were answered twice"
[[ $(sed -n 's/^done //p' killed.log | sort -u | wc -l) -eq $total ]] || fail "other questions"

# ---- nothing is asked that is known ----
asked=$(wc -l <killed.log)
run killed.db || fail "again: $(cat err)"
[[ $(wc -l <killed.log) -eq $asked ]] || fail "a finished experiment asks again"
run killed.db -s 'algorithms=({ type = "online-dpo"; label = "again"; })' || fail "again: $(cat err)"
[[ $(wc -l <killed.log) -eq $asked ]] || fail "the same comparisons are asked again"

# ---- the budget, and what is no part of a trial's key ----
status=0
run thrifty.db -s environment.judge.budget=50 || status=$?
[[ $status -eq 1 ]] || fail "the budget: exit status $status, not 1"
tail -n 1 err | grep -q 'endpoint local: the budget of 50 calls is spent' || fail "the budget: $(tail -n 1 err)"
end_server
serve thrifty.log 0 # elsewhere
run thrifty.db -s environment.judge.budget=3000 -s environment.judge.parallel=7 ||
    fail "with a greater budget: $(cat err)"
[[ $(digest whole.db) == "$(digest thrifty.db)" ]] || fail "other weights after the budget was raised"

# ---- refused before the first step ----
status=0
run refused.db -s 'algorithms=({ type = "rloo"; })' || status=$?
[[ $status -eq 2 ]] || fail "rloo: exit status $status, not 2"
tail -n 1 err | grep -q "rloo needs a judge that gives rewards, and the environment's judge only compares" ||
    fail "rloo: $(tail -n 1 err)"

# ---- scores ----
scored=(-s environment.judge.answer=score -s 'algorithms=({ type = "rloo"; })')
run scored.db "${scored[@]}" || fail "scores: $(cat err)"
asked=$(wc -l <thrifty.log)
"$program" table scored.db -f csv -m reward | awk -F, 'END { exit !($7 > 0) }' || fail "no reward"
run scored.db "${scored[@]}" -s 'algorithms=({ type = "rloo"; label = "again"; })' || fail "scores again: $(cat err)"
[[ $(wc -l <thrifty.log) -eq $asked ]] || fail "the same scores are asked again"

# ---- the key is nowhere ----
! grep -rlaF "$RG_TEST_KEY" . || fail "the key is written somewhere"
echo "$total answers; $twice of them given twice to programs that died; same weights, same results"
