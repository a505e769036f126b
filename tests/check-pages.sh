#!/bin/bash
# SPDX-License-Identifier: MIT
# Every folder of code has a page, README.md, whose tables say what each of its files is for: a file
# that is on no page would be found by nobody, and a name without a file leads nowhere. In the first
# column of a table stand files of the page's folder, or of the one below it that the heading above
# names, with or without .c and .h. Files that the text beside the tables names, from the root or from
# the folder, have to be there as well.
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

echo "$failures files and rows without each other"
[[ $failures -eq 0 ]]
