#!/bin/bash
# SPDX-License-Identifier: MIT
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
    libjansson-dev libpcre2-dev libutf8proc-dev zlib1g-dev libzstd-dev libarchive-dev libssl-dev
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
            PKG_CONFIG=pkg-config --without-mujoco --without-sphinxbase --without-link-grammar
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

emulated() { # the processes that are emulated
    pgrep -f "^$emulator -L $sysroot" || true
}

seconds_used() { # CPU time of all of them
    ps -o cputimes= -p "$(emulated | paste -sd, -)" 2>/dev/null | awk '{ sum += $1 } END { print 0 + sum }'
}

# Run a command; 1 where it ends badly, and 2 where its processes stand still for a minute and are
# ended: a fork of the emulator can take a lock along that nobody will release.
watched() {
    local before now=-1 still=0
    "$@" &
    while kill -0 $! 2>/dev/null; do
        sleep 1
        before=$now now=$(seconds_used) still=$((still + 1))
        [[ $now == "$before" ]] || still=0
        if [[ $still -ge 60 ]]; then
            emulated | xargs -r kill -9
            wait $! || true
            return 2
        fi
    done
    wait $! || return 1
}

# The tests of one suite that the filter names, to a log; again where the emulator stands still.
suite() { # PROGRAM SUITE LOG
    local attempt status tested=0 passing=0
    for attempt in 1 2 3; do
        status=0
        watched emulate "tests/$1" --verbose --filter "$2/${filter#*/}" -j"$(nproc)" >"$3" 2>&1 || status=$?
        [[ $status -eq 2 ]] || break
        echo "$2: the emulator stood still, attempt $attempt of 3"
    done
    if [[ $(grep -a 'Synthesis:' "$3") =~ Tested:\ ([0-9]+)\ \|\ Passing:\ ([0-9]+) ]]; then
        tested=${BASH_REMATCH[1]} passing=${BASH_REMATCH[2]}
    fi
    echo "$2: $tested tested, $passing passed"
    grep -a '^\[FAIL\]' "$3" || true
    passed=$((passed + passing))
    failed=$((failed + tested - passing))
    if [[ $tested -eq $passing && $status -ne 0 ]]; then # it ended badly, though every test was good
        echo "FAIL: $2"
        failed=$((failed + 1))
    fi
}

# The suites of a program that the filter names, each by itself.
suites() { # PROGRAM
    local name before=$passed
    say "$1, to $folder/$1"
    mkdir -p "$folder/$1"
    for name in $(emulate "tests/$1" --list | sed -n 's/^\([a-z0-9_]*\): [0-9]* tests\?$/\1/p'); do
        # shellcheck disable=SC2053 # it is a pattern
        [[ $name != ${filter%%/*} ]] || suite "$1" "$name" "$folder/$1/$name.log"
    done
    if [[ $passed -eq $before && $filter == '*/*' ]]; then
        echo "FAIL: $1: no test has passed"
        failed=$((failed + 1))
    fi
}

# An experiment, from its config to its table.
experiment() {
    local store=$folder/bandit.db table
    say "an experiment"
    rm -f "$store"*
    if emulate ./regatta run "$source/experiments/bandit/head-to-head.cfg" -q -r "$store" &&
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
suites check-double
suites check-float
echo "arm64: $passed passed, $failed failed"
[[ $failed -eq 0 ]]
