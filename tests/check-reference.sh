#!/bin/bash
# SPDX-License-Identifier: MIT
# The pages in doc/reference are what doc/make-reference makes of this program, and no option of
# `regatta show` or of a command's help is missing from them.
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
unset REGATTA_PLUGINS

"$BASH" "$source/doc/make-reference" "$program" made >log 2>&1 || fail "make-reference: $(cat log)"
diff -ru "$source/doc/reference" made || complain "doc/reference is not what the program prints: run make reference"

# holds PAGE OPTION OWNER: a row of the page has the option.
holds() {
    grep -qE "^\| \`([^\`]*[ ,])?$2[=\[\`]" "made/$1" || complain "$1 has no row of $2, an option of $3"
    options=$((options + 1))
}

options=0
for kind in parts algorithms environments judges policies optimizers; do
    page=$kind.md
    for name in $("$program" list "$kind" | sed -n 's/^  \([^ ]*\) .*/\1/p'); do
        [[ $kind == parts ]] && page=configs.md
        [[ $kind == parts && $name == optimizer ]] && page=optimizers.md
        for option in $("$program" show "$kind" "$name" | sed -n '/^options$/,$s/^  \([a-z0-9_]*\): .*/\1/p'); do
            holds "$page" "$option" "$name"
        done
    done
done
for name in $("$program" --help | sed -n 's/^  \([a-z-]\{3,\}\)  .*/\1/p'); do
    grep -qx "## $name" made/commands.md || complain "commands.md has no section $name"
    for option in $("$program" "$name" --help | sed -n 's/^ .* \(--[a-z-]*\).*   .*/\1/p' | grep -vxE -- '--help|--usage'); do
        holds commands.md "$option" "$name"
    done
done

echo "$options options, $failures faults"
[[ $failures -eq 0 && $options -gt 0 ]]
