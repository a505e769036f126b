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
