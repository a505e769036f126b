#!/bin/bash
# SPDX-License-Identifier: MIT
# A program and its trials name the commit that they are of: of a clone, of a changed tree, of a release; and
# none where nothing tells, or where the repository is another's.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
command -v git >/dev/null || { echo "SKIP: no git"; exit 77; }
describe=$source/experiments/program/describe-commit

# expect FOLDER PATTERN: what the script says of the folder.
expect() {
    local found
    found=$(sh "$describe" "$1") || complain "$1: describe-commit fails"
    [[ $found =~ ^($2)$ ]] || complain "$1: the commit is \"$found\", expected $2"
}

git_in() {
    git -C "$1" -c user.name=tester -c user.email=tester@localhost -c commit.gpgsign=false "${@:2}" >log 2>&1 || fail "git: $(cat log)"
}

export GIT_CONFIG_GLOBAL=/dev/null GIT_CEILING_DIRECTORIES=$folder
mkdir -p clone/inner bare
expect bare unknown
git_in clone init
expect clone unknown
echo 1 >clone/file
git_in clone add file
git_in clone commit -m one
expect clone '[0-9a-f]{7,}'
expect clone/inner unknown
echo 2 >clone/file
expect clone '[0-9a-f]{7,}-dirty'
git_in clone commit -a -m two
git_in clone tag v3.1
expect clone 'v3\.1'
echo 3 >clone/file
git_in clone commit -a -m three
expect clone 'v3\.1-1-g[0-9a-f]{7,}'
echo v3.0 >clone/.tarball-version
expect clone 'v3\.0'
printf 'v3"; #\n$(ls)\n' >bare/.tarball-version
expect bare 'v3ls'

# The program's own, in all places that record it.
commit=$("$program" --version | sed -n 's/^regatta .* (commit \(.*\))$/\1/p')
[[ -n $commit ]] || complain "--version names no commit: $("$program" --version)"
"$program" run "$source/experiments/bandit/head-to-head.cfg" -q -s budget.steps=2 -s seeds=[1] -r results.db >log 2>&1 || fail "$(cat log)"
"$program" export-trial results.db dpo --seed 1 -o package >log 2>&1 || fail "$(cat log)"
python3 - "$commit" <<'END' || failures=$((failures + 1))
import json, sys
record = json.load(open("package/trial.json"))
for found in record["provenance"].get("commit"), record["packed_by"].partition("(commit ")[2].rstrip(")"):
    if found != sys.argv[1]:
        sys.exit(f"FAIL: trial.json names the commit {found}, the program {sys.argv[1]}")
END

echo "$failures faults"
[[ $failures -eq 0 ]]
