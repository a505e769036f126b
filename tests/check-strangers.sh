#!/bin/bash
# SPDX-License-Identifier: MIT
# Nothing that a stranger sent acts: a packed trial whose settings run a program, send texts, read a
# key or write a file is refused by name, and nothing is run, sent or written; with --allow it gives
# what it gave. Names that would lead elsewhere are refused where they come in. Commands that read a
# results store do nothing that its config says. The config that people run themselves acts as ever.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
server=
trap '[[ -z $server ]] || kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT
export RG_TEST_KEY=sk-Never/to+be-seen-anywhere0123

# expect STATUS PATTERN ARGUMENT...: what the program returns, and what it says.
expect() {
    local status=$1 pattern=$2 got=0
    shift 2
    "$program" "$@" >out 2>err || got=$?
    [[ $got -eq $status ]] || complain "regatta $*: exit status $got, not $status: $(head -n 3 err)"
    [[ -z $pattern ]] || cat out err | grep -qE -- "$pattern" || complain "regatta $*: no /$pattern/ in: $(head -n 3 out err)"
    ! grep -qP '[\x00-\x08\x0b-\x1f\x7f]' err || complain "regatta $*: control characters: $(cat -v err)"
}

# ---- judges that act ----
made_up_data 512 300 100 60 60 8

cat >judge.py <<'END'
import json, sys
open("ran", "w").close()
for line in sys.stdin:
    print(json.dumps({"id": json.loads(line)["id"], "answer": "A"}), flush=True)
END
cat >server.py <<'END'
import http.server, json, sys

class Judge(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        with open("sent", "a") as log:
            print(self.headers.get("Authorization", "no key"), file=log)
        body = json.dumps({"choices": [{"message": {"content": "A"}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Judge)
with open("port", "w") as port:
    print(server.server_port, file=port)
server.serve_forever()
END
python3 server.py &
server=$!
until [[ -s port ]]; do
    kill -0 "$server" || fail "the server does not start"
    sleep 0.05
done
url=http://127.0.0.1:$(<port)/v1/chat/completions

config() { # NAME JUDGE
    cat >"$1.cfg" <<END
name = "$1";
seeds = [1];
environment: { type = "text"; data = "data"; tokenizer = "tokenizer.json"; pairs = "dataset"; pair_count = 16;
    response_limit = 24; test_prompts = 4; judge = $2; };
policy: { type = "transformer"; context = 64; width = 16; layers = 1; heads = 2; };
optimizer: { learning_rate = 1e-4; };
training: { batch = 4; };
budget: { steps = 1; };
algorithms = ( { type = "dpo"; } );
END
}
config command '{ type = "command"; command = "python3 judge.py"; }'
config endpoint "{ type = \"endpoint\"; url = \"$url\"; model = \"m\"; }"
config keyed "{ type = \"endpoint\"; url = \"$url\"; model = \"m\"; key_variable = \"RG_TEST_KEY\"; }"
config save '{ type = "reward-model"; save = "victim"; layers = 1; width = 16; heads = 2; epochs = 1; }'
config mixed '{ type = "mixture"; judges = ( { type = "ngram"; }, { type = "reward-model"; save = "victim";
    layers = 1; width = 16; heads = 2; epochs = 1; } ); }'

calm() { # nothing has been run, sent or written since
    rm -f ran sent victim
}
is_calm() { # WHAT
    [[ ! -e ran ]] || complain "$1: the command ran"
    [[ ! -e sent ]] || complain "$1: texts were sent"
    [[ ! -e victim ]] || complain "$1: the file was written"
}
acted() { # NAME WHAT
    case $1 in
    command) [[ -e ran ]] || complain "$2: the command did not run" ;;
    endpoint) grep -qx 'no key' sent || complain "$2: nothing was sent" ;;
    keyed) grep -qxF "Bearer $RG_TEST_KEY" sent || complain "$2: the key was not sent" ;;
    save | mixed) [[ -s victim ]] || complain "$2: the file was not written" ;;
    esac
}

# try NAME SETTING OPTION...: of its own, the config acts; packed, it is refused by the setting until
# the options allow it.
try() {
    local name=$1 setting=$2 got last
    shift 2
    calm
    "$program" run "$name.cfg" -q 2>err || fail "$name: $(cat err)"
    acted "$name" "run $name.cfg"
    expect 0 '' export-trial "results/$name.db" dpo --with-inputs -o "$name.tar.zst"
    calm
    expect 2 "^regatta: $name.tar.zst: $setting = \".*\" .*; for a trial from elsewhere this needs --" \
        verify -q "$name.tar.zst"
    expect 2 "^regatta: $name.tar.zst: $setting = " rerun -q "$name.tar.zst" -r "again/$name.db"
    [[ ! -e again ]] || complain "$name: a rerun that is refused leaves something"
    last=${*: -1}
    [[ $# -le 2 ]] || expect 2 'key_variable = "RG_TEST_KEY" reads that variable' verify -q "$name.tar.zst" "${@:1:$#-2}"
    [[ $# -le 2 ]] || expect 2 'needs --key-variable NAME' verify -q "$name.tar.zst" "${@:1:$#-1}" "not_$last"
    is_calm "$name"
    expect 0 '^the same result' verify -q "$name.tar.zst" "$@"
    acted "$name" "verify $*"
    calm
    expect 0 '' rerun -q "$name.tar.zst" -r "again/$name.db" "$@"
    acted "$name" "rerun $*"
    rm -r again
}
try command environment.judge.command --allow command
try endpoint environment.judge.url --allow endpoint
try keyed environment.judge.url --allow endpoint --key-variable RG_TEST_KEY
calm
expect 0 '' run -q --dry-run save.cfg
expect 0 '' plan --measure save.cfg
is_calm 'a dry run or a plan'
echo untouched >victim
for how in -q -n; do
    expect 2 'save.cfg:4: environment.judge.save: victim exists and is not a reward model' run $how save.cfg
done
[[ $(<victim) == untouched ]] || complain "another file was written over"
try save environment.judge.save --allow save
try mixed environment.judge.judges.1.save --allow command,save
expect 2 '--allow all: "all" is not a kind of act: expected a list of command, endpoint, save' \
    verify command.tar.zst --allow all
expect 0 'key-variable=NAME' verify --help

# What a package says of its inputs does not make another judge of its judge.
mkdir turned
tar -xf save.tar.zst -C turned
python3 - <<'END' || fail "the package is not turned"
import hashlib, json, os
path = "turned/save"
config = json.load(open(f"{path}/config.json"))
for key in [key for key in config if key.startswith("environment.judge.")]:
    del config[key]
config.update({"environment.judge.type": "ngram", "environment.judge.command": "touch ran"})
with open(f"{path}/config.json", "w") as file:
    json.dump(config, file)
record = json.load(open(f"{path}/trial.json"))
for file in record["files"]:
    content = open(f"{path}/{file['name']}", "rb").read()
    file.update(size=len(content), sha256=hashlib.sha256(content).hexdigest())
record["inputs"].append({"setting": "environment.judge.type", "path": "command", "folder": True, "files": []})
json.dump(record, open(f"{path}/trial.json", "w"))
END
calm
expect 2 'environment.judge.command = "touch ran" runs a program' verify -q turned/save
is_calm "a package that sets its judge"

# ---- results stores ----
calm
for name in command keyed save; do
    for command in status table compare tournament budget; do
        "$program" "$command" "results/$name.db" >out 2>err
    done
    "$program" report "results/$name.db" -o page.html >out 2>err
    "$program" export-results "results/$name.db" -f jsonl -o "$name-export" >out 2>err
    "$program" export-trial "results/$name.db" dpo -o "$name-again" >out 2>err
    "$program" merge "merged-$name.db" "results/$name.db" >out 2>err
done
expect 0 '^  1 trials: 1 finished$' status results/command.db
is_calm "commands that read a store"
rm port server.py
! grep -rlaF "$RG_TEST_KEY" . || complain "the key is written somewhere"
kill "$server"
wait "$server" 2>/dev/null
server=

# ---- names ----
small() { # NAME: a small bandit of that name, as libconfig writes it
    cat <<END
name = "$1";
seeds = [1];
environment: { type = "bandit"; contexts = 4; responses = 5; pairs = 50; };
policy: { type = "tabular"; };
optimizer: { learning_rate = 0.05; };
training: { batch = 8; };
budget: { steps = 2; };
algorithms = ( { type = "dpo"; label = "${2-lab}"; } );
END
}
mkdir names
cd names || exit 99
small '../../escaped_run' >traversal.cfg
expect 2 "^regatta: traversal.cfg:1: name: expected no '/'" run traversal.cfg
small 'x\n#SBATCH --wrap=evil\ntouch pwned_slurm\n#' >lines.cfg
for command in run 'submit -n' plan; do
    # shellcheck disable=SC2086
    expect 2 '^regatta: lines.cfg:1: name: expected no control characters' $command lines.cfg
done
for name in '' . .. .hidden -r 'a\tb' '\x1b[2J' '\xff' "$(printf '%0129d' 0)"; do
    small "$name" >name.cfg
    expect 2 '^regatta: name.cfg:1: name(: expected | is not UTF-8)' run name.cfg
done
for label in 'a\nb' '\x1b]0;x\x07' '\xc2\x9b' '\xff' "$(printf '%0257d' 0)"; do
    small x "$label" >label.cfg
    expect 2 '^regatta: label.cfg:[0-9]+: algorithms?[.0]*.label(: expected | is not UTF-8)' run label.cfg
done
[[ $(ls ..) != *escaped* && ! -e results && ! -e pwned_slurm ]] || complain "a refused name leaves something: $(ls .. .)"

# What a name or a path may hold is quoted in the scripts for Slurm.
small "it's \\\"a\\\" \`touch pwned\` \$(touch pwned) #x" >quoted.cfg
expect 0 '' submit -n quoted.cfg -r 'o"d %j $(touch pwned).db'
grep -qxF '#SBATCH --job-name="it'"'"'s \"a\" `touch pwned` $(touch pwned) #x-array"' out || complain "$(cat out)"
grep -qxF '#SBATCH --output="o\"d %%j $(touch pwned)/slurm-%A-%a.log"' out || complain "$(cat out)"
sed '/^$/,$d' out >array.sh
SLURM_ARRAY_TASK_ID=1 sh array.sh >log 2>&1 || complain "the script: $(cat log)"
[[ ! -e pwned && -e 'o"d %j $(touch pwned)/part-1.db' ]] || complain "the script of quotes: $(ls)"
expect 2 '^regatta: --results .*: expected a path without line breaks' submit -n quoted.cfg -r $'a\n#SBATCH --wrap=x.db'

# ---- keys in configs ----
cd ..
config url '{ type = "endpoint"; url = "http://host/v1?model=m&API-key=never-told"; model = "m"; }'
config extra '{ type = "endpoint"; url = "http://host/v1"; model = "m"; extra = "{\"api_key\": \"never-told\"}"; }'
config user '{ type = "endpoint"; url = "http://me:never-told@host/v1"; model = "m"; }'
for name in url extra user; do
    expect 2 "^regatta: $name.cfg:4: environment.judge.(url|extra): expected .*; set key_variable to the name of the variable that holds the key" run "$name.cfg"
    ! grep -q never-told out err || complain "$name: the key is told: $(cat out err)"
done

[[ $failures -eq 0 ]] && echo "nothing of strangers acts; with --allow it gives what it gave"
[[ $failures -eq 0 ]]
