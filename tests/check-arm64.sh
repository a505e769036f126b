#!/bin/bash
# Builds for AArch64 on a Debian machine of another kind, and runs both Criterion suites and a small
# experiment there, on an emulated processor.
#
#   check-arm64.sh [FOLDER] [FILTER]
#
# FOLDER (default: build/arm64 of the tree) takes the build, the packages of arm64 that it needs, and
# the logs; FILTER names tests as Criterion's --filter does (default: all). Nothing is installed: the
# packages are unpacked in FOLDER, as some cannot stand beside those of the machine. `make
# check-arm64` calls it; it takes much longer than `make check`. Ends with 77 where it cannot run.
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-$source/build/arm64}
filter=${2:-*/*}
cpu=neoverse-n1
host=aarch64-linux-gnu

packages=(libcriterion-dev libopenblas-openmp-dev liblapacke-dev libconfig-dev libsqlite3-dev
    libjansson-dev libpcre2-dev libutf8proc-dev zlib1g-dev libzstd-dev libarchive-dev libmd-dev
    libcurl4-openssl-dev librandom123-dev)

say() {
    printf '%s\n' "== $*"
}

skip() {
    echo "check-arm64: skipped: $*"
    exit 77
}

look_around() {
    command -v dpkg >/dev/null || skip "not a Debian system"
    [[ $(dpkg --print-architecture) != arm64 ]] || skip "this machine is one; run make check"
    command -v $host-gcc qemu-aarch64-static | awk 'END { exit NR < 2 }' ||
        skip "as root, run: apt-get install gcc-$host qemu-user-static"
    dpkg --print-foreign-architectures | grep -qx arm64 ||
        skip "as root, run: dpkg --add-architecture arm64 && apt-get update"
    [[ -x $source/configure ]] || skip "there is no configure yet; run ./bootstrap"
}

# apt as on a machine of arm64 on which nothing is installed.
arm64_apt() {
    apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
        -o Dir::State::status="$folder/apt/status" -o Dir::Cache="$folder/apt" \
        -o APT::Sandbox::User="$(id -un)" "$@"
}

# Links of the packages name places on the machine that they are made for, and some are set by
# update-alternatives when a package is configured.
mend_links() {
    local link libraries=$sysroot/usr/lib/$host name
    find "$sysroot" -type l -lname '/*' | while read -r link; do
        ln -sfn "$sysroot$(readlink "$link")" "$link"
    done
    for name in "$libraries"/openblas-openmp/lib*.so*; do
        ln -sf "openblas-openmp/${name##*/}" "$libraries/"
    done
    for name in blas lapack; do
        ln -sf "../openblas-openmp/pkgconfig/$name-openblas.pc" "$libraries/pkgconfig/$name.pc"
    done
    ln -sf ../openblas-openmp/pkgconfig/openblas.pc "$libraries/pkgconfig/"
}

make_sysroot() {
    local package
    [[ ! -f $sysroot/complete ]] || return 0
    say "downloading packages of arm64"
    rm -rf "$sysroot"
    mkdir -p "$folder/apt/archives/partial" "$sysroot"
    : >"$folder/apt/status"
    arm64_apt -y --download-only --no-install-recommends install "${packages[@]}" \
        >"$folder/apt.log" 2>&1 || {
        tail -n 5 "$folder/apt.log"
        skip "some packages of arm64 cannot be had"
    }
    for package in "$folder"/apt/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" |
            tar -x -C "$sysroot" --keep-directory-symlink --exclude='./usr/share/doc'
    done
    rm -rf "$folder/apt"
    mend_links
    touch "$sysroot/complete"
}

build() {
    local libraries=$sysroot/usr/lib/$host
    cd "$folder"
    if [[ ! -f Makefile || $source/configure -nt config.status ]]; then
        say "configuring in $folder"
        PKG_CONFIG_SYSROOT_DIR=$sysroot PKG_CONFIG_LIBDIR=$libraries/pkgconfig:$sysroot/usr/share/pkgconfig \
            "$source/configure" --quiet --host=$host CC="$host-gcc --sysroot=$sysroot" \
            PKG_CONFIG=pkg-config --without-mujoco --without-sphinxbase --without-link-grammar \
            2> >(grep -v "^rm: cannot remove 'core'" >&2)
    fi
    say "building"
    make --no-print-directory -j "$(nproc)" regatta tests/check-float tests/check-double
    $host-gcc --sysroot="$sysroot" -D_GNU_SOURCE -O2 -Wall -Wextra -shared -fPIC \
        -DEMULATOR="\"$emulator\"" -DSYSROOT="\"$sysroot\"" -DCPU="\"$cpu\"" \
        -DLIBRARY="\"$folder/emulated_exec.so\"" -o emulated_exec.so "$source/tests/emulated_exec.c"
}

emulate() {
    "$emulator" -L "$sysroot" -cpu $cpu -E LD_PRELOAD="$folder/emulated_exec.so" "$@" </dev/null
}

# Each failing test, and a line now and then.
show_progress() {
    awk '/^\[(FAIL|PASS)\]/ && ++n % 25 == 0 { print n " tests" }
         /^\[FAIL\]/ { print }
         { fflush() }'
}

# One suite; its counts are added to the totals.
suite() {
    local log=$folder/$1.log status=0 tested=0 passing=0
    say "$1, to $log"
    emulate "tests/$1" --verbose --filter "$filter" -j"$(nproc)" 2>&1 | tee "$log" | show_progress ||
        status=1
    if [[ $(grep -a 'Synthesis:' "$log") =~ Tested:\ ([0-9]+)\ \|\ Passing:\ ([0-9]+) ]]; then
        tested=${BASH_REMATCH[1]} passing=${BASH_REMATCH[2]}
    fi
    echo "$1: $tested tested, $passing passed"
    passed=$((passed + passing))
    failed=$((failed + tested - passing))
    # It ended badly, though every test that it counts was good; or all tests are none.
    if [[ $tested -eq $passing && $status -ne 0 ]] || [[ $tested -eq 0 && $filter == '*/*' ]]; then
        echo "FAIL: $1"
        failed=$((failed + 1))
    fi
}

# An experiment, from its config to its table.
experiment() {
    local store=$folder/bandit.db table
    say "an experiment"
    rm -f "$store"*
    if emulate ./regatta run "$source/experiments/bandit-head-to-head.cfg" -q -r "$store" &&
        table=$(emulate ./regatta table "$store") && grep sail-pr <<<"$table"; then
        passed=$((passed + 1))
    else
        echo "FAIL: an experiment"
        failed=$((failed + 1))
    fi
}

look_around
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
sysroot=$folder/sysroot
emulator=$(command -v qemu-aarch64-static)
make_sysroot
build

# What the environment says of kernels is meant for the machine itself.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE REGATTA_KERNELS
export RG_SOURCE_DIR=$source RG_PROGRAM=$folder/regatta
export OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=passive
ulimit -c 0
passed=0 failed=0
experiment
suite check-double
suite check-float
echo "arm64: $passed passed, $failed failed"
[[ $failed -eq 0 ]]
