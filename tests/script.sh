# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# Sourced by scripts that use the program: $program; $source, the tree; and a working folder, which is
# gone at the end. `fail` ends a script, `complain` counts in $failures.
program=${RG_PROGRAM:?path of the regatta program}
source=$(cd "${RG_SOURCE_DIR:-.}" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 99
failures=0

fail() {
    echo "FAIL: $*"
    exit 1
}

complain() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# made_up_lines FIRST COUNT: lines of a data file of text, with words that only the numbers from FIRST
# on decide.
made_up_lines() {
    awk -v first="$1" -v count="$2" '
        function word(i) {
            i = (i * 7919 + 13) % 8000
            return part[i % 20] part[int(i / 20) % 20] part[int(i / 400) % 20]
        }
        BEGIN {
            split("ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu", part, " ")
            part[0] = "qa"
            for (i = first; i < first + count; i++) {
                prompt = "The king saw the " word(i % 97) "."
                modern = "You have " word(3 * i) " and " word(3 * i + 1) " it."
                archaic = "Thou hast " word(3 * i) " and " word(3 * i + 2) "eth it."
                printf "{\"reference\": \"%d\", \"prompt\": \"%s\", ", i, prompt
                printf "\"chosen\": \"%s\", \"rejected\": \"%s\"}\n", modern, archaic
            }
        }'
}

# made_up_data VOCABULARY BASE JUDGE INDEPENDENT TRAIN TEST: the folder data/ with so many lines in each
# file, and tokenizer.json.
made_up_data() {
    mkdir data
    made_up_lines 0 "$2" >data/base.jsonl
    made_up_lines 3000 "$3" >data/judge.jsonl
    made_up_lines 4000 "$4" >data/judge-independent.jsonl
    made_up_lines 5000 "$5" >data/train.jsonl
    made_up_lines 6000 "$6" >data/test.jsonl
    "$program" train-tokenizer -o tokenizer.json -v "$1" data/base.jsonl >log 2>&1 || fail "$(cat log)"
}

# A program that is held by a sanitizer is several times slower, and has memory of its own.
is_sanitized() {
    ldd "$program" | grep -q libasan
}
