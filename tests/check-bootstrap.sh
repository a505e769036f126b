#!/bin/bash
# SPDX-License-Identifier: MIT
# What bootstrap does to the machine: with a person at a terminal it asks once, without one it goes on, and it
# changes nothing but packages. The programs that would act are stand-ins, which write down what they are told.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
command -v script >/dev/null || { echo "SKIP: no script (Debian: bsdutils)"; exit 77; }

mkdir -p stand-ins tree
cp "$source/bootstrap" tree/
# stand_in NAME BODY
stand_in() {
    printf '#!/bin/bash\necho "%s $*" >>"%s/told"\n%s\n' "$1" "$folder" "$2" >"stand-ins/$1"
    chmod +x "stand-ins/$1"
}
stand_in dpkg-query 'case ${!#} in gnuplot-nox | zlib1g-dev) exit 1 ;; esac; echo "install ok installed"'
stand_in apt-get ''
stand_in update-alternatives ''
stand_in sudo '"$@"'
stand_in autoreconf 'printf "#!/bin/sh\necho configure >>%q\necho CRITERION_LIBS = -lcriterion >Makefile\n" "'"$folder"'/told" >configure; chmod +x configure; touch Makefile.in'
stand_in make ''
export PATH=$folder/stand-ins:$PATH

# bootstrap ARGUMENT...: under a terminal where $answer is set, and nothing of before is left.
bootstrap() {
    rm -rf told tree/build tree/configure tree/Makefile.in
    touch told tree/configure.ac
    if [[ -n ${answer-} ]]; then
        (cd tree && script -qec "./bootstrap $*" /dev/null <<<"$answer") >log 2>&1
    else
        (cd tree && ./bootstrap "$@") </dev/null >log 2>&1
    fi
}

# expect_built NAME yes|no: were packages installed, and only the missing ones? Was it built?
expect_built() {
    if [[ $2 == yes ]]; then
        grep -q '^apt-get install .* zlib1g-dev gnuplot-nox *$' told || complain "$1: what is missing was not installed: $(cat told)"
    else
        ! grep '^apt-get' told || complain "$1: packages were installed"
    fi
    grep -q '^make ' told || complain "$1: nothing was built: $(cat log)"
    ! grep '^update-alternatives' told || complain "$1: the machine's choice of libraries was changed"
}

unset CI
bootstrap || complain "without a terminal: $(cat log)"
expect_built "without a terminal" yes
bootstrap --no-install || complain "--no-install: $(cat log)"
expect_built "--no-install" no
answer=y bootstrap || complain "a terminal, and yes: $(cat log)"
expect_built "a terminal, and yes" yes
grep -q 'installing zlib1g-dev gnuplot-nox' log || complain "it is not told what will be installed: $(cat log)"
answer=n bootstrap && complain "a terminal, and no: goes on"
[[ ! -s told ]] || ! grep -E '^(apt-get|make|autoreconf)' told || complain "a terminal, and no: something was done"
answer=n bootstrap --yes || complain "--yes: $(cat log)"
expect_built "--yes" yes
CI=true answer=n bootstrap || complain "CI=true: $(cat log)"
expect_built "CI=true" yes

echo "$failures faults"
[[ $failures -eq 0 ]]
