#!/bin/bash
# SPDX-License-Identifier: MIT
# Every folder of code has a page, README.md, whose tables say what each of its files is for: a file
# that is on no page would be found by nobody, and a name without a file leads nowhere. In the first
# column of a table stand files of the page's folder, or of the one below it that the heading above
# names, with or without .c and .h. Files that the text beside the tables names, from the root or from
# the folder, have to be there as well. Links between pages lead somewhere, doc/README.md leads to every page
# below doc/, and no sentence of README.md has more than 30 words.
set -u
cd "${RG_SOURCE_DIR:-.}" || exit 99
failures=0

complain() {
    echo "$1"
    failures=$((failures + 1))
}

# named PAGE: the files that its tables name, as paths from the root.
named() {
    awk -v root="${1%/README.md}" '
        BEGIN { folder = root }
        /^#/ { folder = root; if (match($0, /^## [a-z/]+\/$/)) folder = root "/" substr($0, 4, RLENGTH - 4) }
        /^\| `/ {
            split($0, cell, "|")
            while (match(cell[2], /`[^`]+`/)) {
                print folder "/" substr(cell[2], RSTART + 1, RLENGTH - 2)
                cell[2] = substr(cell[2], RSTART + RLENGTH)
            }
        }' "$1"
}

for folder in core algorithms envs experiments analysis tests; do
    page=$folder/README.md
    [[ -f $page ]] || { complain "$page is missing"; continue; }
    names=$(named "$page" | sort)
    while read -r twice; do
        [[ -z $twice ]] || complain "$page: $twice stands twice"
    done < <(uniq -d <<<"$names")
    while read -r name; do
        compgen -G "$name" >/dev/null || compgen -G "$name.[ch]" >/dev/null ||
            complain "$page: there is no ${name#"$folder"/}"
    done <<<"$names"
    while read -r file; do
        grep -qxF -e "$file" -e "${file%.[ch]}" <<<"$names" ||
            complain "$page: no row has ${file#"$folder"/}"
    done < <(find "$folder" -name '*.[ch]' -not -path '*/bench/*' -not -path core/abi.h -not -path experiments/program/commit.h # made
        [[ $folder != tests ]] || find tests -maxdepth 1 \( -name '*.sh' -o -name '*.py' \))
    while read -r path; do
        [[ -e $path ]] || compgen -G "$folder/$path" >/dev/null || complain "$page: there is no $path"
    done < <(grep -v '^| `' "$page" | grep -oE '`[A-Za-z0-9_*./-]+(\.(c|h|md|sh|cfg)|/)`' | tr -d '`')
done

# links PAGE: the files that it links to, as paths from the root.
links() {
    local target
    while read -r target; do
        realpath -m --relative-to=. "$(dirname "$1")/${target%%#*}"
    done < <(sed 's/`[^`]*`//g' "$1" | grep -oE '\]\([^)#]+' | sed 's/^](//' | grep -v '^[a-z]*:')
}

# reach PAGE: adds it, and the pages that it leads to, to $reached.
declare -A reached=()
reach() {
    local page
    [[ -n ${reached[$1]:-} ]] && return
    reached[$1]=1
    while read -r page; do
        if [[ ! -e $page ]]; then
            complain "$1: links to $page, which is not there"
        elif [[ $page == *.md ]]; then
            reach "$page"
        fi
    done < <(links "$1")
}

reach doc/README.md
while read -r page; do
    [[ -n ${reached[$page]:-} ]] || complain "doc/README.md leads by no link to $page"
done < <(find doc -name '*.md' | LC_ALL=C sort)
for page in *.md */README.md; do
    reach "$page"
done

# long_sentences PAGE: those of more than 30 words. Headings, blocks of commands and rows of tables end a
# sentence; what is between backquotes is a word.
long_sentences() {
    awk '
        function end_paragraph(    count, i, sentence) {
            gsub(/`[^`]*`/, "X", text)
            gsub(/\]\([^)]*\)/, "", text)
            gsub(/[.?!][)*"]* /, "&\n", text)
            count = split(text, sentence, "\n")
            for (i = 1; i <= count; i++)
                if (split(sentence[i], word, " ") > 30)
                    print sentence[i]
            text = ""
        }
        /^```/ { end_paragraph(); fenced = !fenced; next }
        fenced || /^    / || /^#/ || /^$/ || /^!/ { end_paragraph(); next }
        /^(\||[-*] |[0-9]+\. )/ { end_paragraph() }
        { text = text " " $0 }
        END { end_paragraph() }' "$1"
}

while read -r sentence; do
    complain "README.md: more than 30 words: $sentence"
done < <(long_sentences README.md)

echo "$failures files and rows without each other, broken links and long sentences"
[[ $failures -eq 0 ]]
