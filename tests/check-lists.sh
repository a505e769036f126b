#!/bin/bash
# SPDX-License-Identifier: MIT
# Every file of the tree that a build or a distribution needs is named in Makefile.am or in the
# sources.am of its folder: a source file that is in no list would be compiled by nobody and missed
# by nobody. Lists are sorted by folder and name. And each file names its licence, but the templates
# that become somebody else's.
set -u
cd "${RG_SOURCE_DIR:-.}" || exit 99
missing=0
lists=(Makefile.am */sources.am)

while read -r file; do
    grep -qhE "(^|[[:space:]=])${file//./\\.}([[:space:]]|$)" "${lists[@]}" && continue
    [[ $file == tests/bench/*.c ]] && # a bench is named by its program
        grep -qhE "(^|[[:space:]])${file%.c}([[:space:]]|$)" "${lists[@]}" && continue
    echo "$file is in no list of Makefile.am or sources.am"
    missing=$((missing + 1))
done < <(find core algorithms envs experiments analysis tests doc -type f \
    \( -name '*.[ch]' -o -name '*.sh' -o -name '*.cfg' -o -name '*.language' -o -name '*.md' -o -name '*.supp' \
    -o -path 'tests/golden/*' -o -path 'experiments/data/*' -o -path 'envs/control/models/*' \) | sort)

echo "$missing files in no list"

# A list is sorted by folder, and within it by name; a header follows its source.
unsorted=$(awk '
    function folder(path) { return match(path, /.*\//) ? substr(path, 1, RLENGTH) : "" }
    function name(path) { sub(/.*\//, "", path); sub(/\./, " .", path); return path }
    FNR == 1 || !/^\t[^$]/ { last = "" }
    /^\t[a-z][^ ]*\/[^ ]+( \\)?$/ {
        path = $1
        if (last != "" && (folder(last) > folder(path) ||
            (folder(last) == folder(path) && name(last) > name(path))))
            print FILENAME ":" FNR ": " path " is out of order"
        last = path
    }' */sources.am)
[[ -z $unsorted ]] || echo "$unsorted"

unlicensed=$(find core algorithms envs experiments analysis tests -type f \( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' \) \
    ! -path 'experiments/program/templates/*' -exec grep -L 'SPDX-License-Identifier: MIT' {} +)
[[ -z $unlicensed ]] || printf '%s has no line SPDX-License-Identifier: MIT\n' $unlicensed
[[ $missing -eq 0 && -z $unsorted && -z $unlicensed ]]
