#!/bin/bash
# SPDX-License-Identifier: MIT
# Every file of the tree that a build or a distribution needs is named in Makefile.am: a source
# file that is in no list would be compiled by nobody and missed by nobody. And each names its licence,
# but the templates that become somebody else's.
set -u
cd "${RG_SOURCE_DIR:-.}" || exit 99
missing=0

while read -r file; do
    grep -qE "(^|[[:space:]=])${file//./\\.}([[:space:]]|$)" Makefile.am && continue
    [[ $file == tests/bench/*.c ]] && # a bench is named by its program
        grep -qE "(^|[[:space:]])${file%.c}([[:space:]]|$)" Makefile.am && continue
    echo "$file is in no list of Makefile.am"
    missing=$((missing + 1))
done < <(find core algorithms envs experiments analysis tests doc -type f \
    \( -name '*.[ch]' -o -name '*.sh' -o -name '*.cfg' -o -name '*.md' -o -name '*.supp' \
    -o -path 'tests/golden/*' -o -path 'experiments/data/*' -o -path 'envs/models/*' \) | sort)

echo "$missing files in no list"

unlicensed=$(find core algorithms envs experiments analysis tests -type f \( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' \) \
    ! -path 'experiments/templates/*' -exec grep -L 'SPDX-License-Identifier: MIT' {} +)
[[ -z $unlicensed ]] || printf '%s has no line SPDX-License-Identifier: MIT\n' $unlicensed
[[ $missing -eq 0 && -z $unlicensed ]]
