#!/bin/bash
# SPDX-License-Identifier: MIT
# What `make install` leaves: the files of the lists and no others, headers of which each can be included by
# itself with what pkg-config says, functions for plug-ins and for other programs, and a program that works.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
build=$(dirname "$program")
[[ -f $build/Makefile ]] || { echo "SKIP: $program is in no build folder"; exit 77; }
command -v pkg-config >/dev/null || { echo "SKIP: no pkg-config"; exit 77; }

# variable NAME: what configure found it to be.
variable() {
    sed -n "s/^$1 = *//p" "$build/Makefile"
}

# list NAME: the files that Makefile.am or a sources.am lists under that name.
list() {
    cat "$source/Makefile.am" "$source"/*/sources.am | sed -n "/^$1 = /,/[^\\\\]\$/p" | tr ' \\\t' '\n\n\n' | sed '1,2d; /^=*$/d'
}

unset MAKEFLAGS MFLAGS MAKELEVEL # of a make that this runs under
make -C "$build" install DESTDIR="$folder/root" >log 2>&1 || fail "make install: $(tail -n 5 log)"
prefix=$(variable prefix)
installed=$folder/root$prefix
include=$installed/include/regatta
export PKG_CONFIG_PATH=$installed/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$folder/root
export LD_LIBRARY_PATH=$installed/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
read -ra compile <<<"$(variable CC) $(variable RG_LDFLAGS) -Wall -Wextra -Werror $(pkg-config --cflags regatta)"

# Nothing beside what is listed.
headers=$(list include_headers)
[[ $(wc -w <<<"$headers") -gt 20 ]] || fail "include_headers of Makefile.am: $headers"
{
    sed 's,^,include/regatta/,' <<<"$headers"
    printf 'share/regatta/%s\n' $(for name in configs languages models bandit_tables template_sources template_texts bodies papers paper_configs; do list "$name"; done)
    list data_scripts | sed 's,^,libexec/regatta/,'
    printf 'share/doc/regatta/%s\n' README.md CONTRIBUTING.md NEWS SECURITY.md $(list doc_pages) $(list doc_figures)
    printf '%s\n' bin/regatta include/regatta/core/abi.h lib/libregatta.{la,so,so.0,so.0.0.0} \
        lib/pkgconfig/regatta.pc share/man/man1/regatta.1
    [[ $(sed -n 's/^build_old_libs=//p' "$build/libtool") != yes ]] || echo lib/libregatta.a
} | LC_ALL=C sort >expected
(cd "$folder/root" && find . -not -type d) | sed "s,^\.$prefix/,," | LC_ALL=C sort >found
diff expected found || complain "other files were installed than are listed"

# Each header alone, with the standard's names only, and the installed ones alone to include.
for header in $headers core/abi.h; do
    echo "#include \"$header\"" >alone.c
    "${compile[@]}" -std=c17 -fsyntax-only alone.c 2>log || complain "$header: $(cat log)"
done

# A method outside of the program: what it calls is there for it, in the program that loads it.
exported() {
    nm -D --defined-only "$1" | awk '{ print $3 }' | LC_ALL=C sort
}
exported "$installed/bin/regatta" >of_program
exported "$installed/lib/libregatta.so" >of_library
grep -v '^rg_' of_library && complain "libregatta.so: the names above are not its own"
LC_ALL=C comm -13 of_program of_library | sed 's/$/ is missing in the program/' | grep . && complain "regatta exports less than libregatta.so"
cp "$source/algorithms/hinge.c" method.c
if "${compile[@]}" -std=gnu17 -shared -fPIC -o method.so method.c 2>log; then
    nm -D --undefined-only method.so | awk '$2 ~ /^rg_/ { print $2 }' | LC_ALL=C sort >called
    [[ -s called ]] || complain "a method calls nothing of the program"
    LC_ALL=C comm -23 called of_program | grep . && complain "a method calls what the program does not export"
else
    complain "a method does not compile with installed headers: $(cat log)"
fi

# Another program.
cat >other.c <<'END'
#include "core/abi.h"
#include "core/base.h"
#include <stdio.h>
int main(void) {
    puts(RG_ABI);
    RgError error = {0};
    rg_fail(&error, RG_E_USAGE, "a %s", "sentence");
    puts(error.text);
}
END
if "${compile[@]}" -std=c17 -o other other.c $(pkg-config --libs regatta) 2>log; then
    ./other >log 2>&1 || complain "another program: $(cat log)"
    grep -qxE '[0-9a-f]{16}' log || complain "RG_ABI is no hash: $(cat log)"
    grep -qx 'a sentence' log || complain "another program is told something else: $(cat log)"
else
    complain "another program is not linked: $(cat log)"
fi
[[ $(pkg-config --modversion regatta) == $(variable PACKAGE_VERSION) ]] || complain "regatta.pc has another version"

# Folders that make install is told later than configure.
for words in "prefix=/elsewhere" "prefix=/elsewhere libdir=/elsewhere/lib64" "prefix=/elsewhere includedir=/include"; do
    # shellcheck disable=SC2086
    make -C "$build" install-data-local $words DESTDIR="$folder/later" >log 2>&1 || complain "make install $words: $(tail -n 5 log)"
    written=$(find later -name regatta.pc)
    [[ $written == later/elsewhere/lib*/pkgconfig/regatta.pc ]] || complain "$words: $written"
    sed -n '1,4p' "$written" >>pc
    rm -r later
done
cat >expected <<'END'
prefix=/elsewhere
exec_prefix=${prefix}
libdir=${prefix}/lib
includedir=${prefix}/include
prefix=/elsewhere
exec_prefix=${prefix}
libdir=${prefix}/lib64
includedir=${prefix}/include
prefix=/elsewhere
exec_prefix=${prefix}
libdir=${prefix}/lib
includedir=/include
END
diff expected pc || complain "regatta.pc is not of the folders that make install was told"
grep @ "$PKG_CONFIG_PATH/regatta.pc" && complain "regatta.pc has something that is not filled in"

# A changed header is another ABI; so are another version, and another size of types.
hash_of() { # VERSION COMPILER
    bash "$source/core/make-abi" "$1" machine "$2" $headers | sed -n 's/^#define RG_ABI "\([0-9a-f]*\)"$/\1/p'
}
compiler=$(variable CC)
for header in $headers; do
    mkdir -p "$(dirname "$folder/tree/$header")"
    cp "$source/$header" "$folder/tree/$header"
done
cd "$folder/tree" || exit 99
chmod -R u+w .
hash=$(hash_of 1 "$compiler")
[[ -n $hash && $(hash_of 1 "$compiler -O1") == "$hash" ]] || complain "the ABI hangs on more than headers, types and version"
for other in "$(hash_of 2 "$compiler")" "$(hash_of 1 "$compiler -fshort-enums")" "$(hash_of 1 "$compiler -DRG_DOUBLE")"; do
    [[ -n $other && $other != "$hash" ]] || complain "the ABI stays the same with another version or other types"
done
for header in $headers; do
    echo '/* */' >>"$header"
    [[ $(hash_of 1 "$compiler") != "$hash" ]] || complain "the ABI stays the same though $header changes"
    cp "$source/$header" "$header"
done
[[ $(hash_of 1 "$compiler") == "$hash" ]] || complain "the ABI of the same headers is another"
cd "$folder" || exit 99

# The program, from a folder that has nothing of the tree.
unset RG_SOURCE_DIR
"$installed/bin/regatta" list >listed 2>&1 || complain "regatta list: $(cat listed)"
"$program" list | diff - listed || complain "the installed program lists something else"
"$installed/bin/regatta" run "$installed/share/regatta/experiments/bandit/head-to-head.cfg" \
    -q -s budget.steps=2 -s seeds=[1] >log 2>&1 ||
    complain "an installed experiment: $(cat log)"

# What it brings along is found where it lies, and what has to be made is told by how.
"$installed/bin/regatta" table results/bandit-head-to-head.db --paper=dpo >log 2>&1 || complain "a reported table: $(cat log)"
"$installed/bin/regatta" run "$installed/share/regatta/experiments/verses/quick.cfg" >log 2>&1 && complain "there is data"
maker=$(sed -n 's/.*run: \(.*\) FOLDER, and give -s environment.data=FOLDER$/\1/p' log)
[[ $(wc -l <log) == 1 && -n $maker ]] || complain "how the data are made is not told in a line: $(cat log)"
[[ $maker == "$(realpath "$installed")/libexec/regatta/experiments/data/verses" ]] || complain "the data are made by $maker"
if command -v python3 >/dev/null; then
    mkdir only
    ln -s "$(python3 -c 'import sys; print(sys.executable)')" only/python3
    PATH=$folder/only "$maker" verses >log 2>&1 && complain "data are made of nothing"
    [[ ! -e verses && $(cat log) == *': install the Debian packages bible-kjv, diatheke and sword-text-web' ]] ||
        complain "what the data are made of is not told: $(cat log)"
fi
if command -v python3 bible diatheke >/dev/null && "$maker" verses >log 2>&1; then
    "$installed/bin/regatta" plan "$installed/share/regatta/experiments/verses/quick.cfg" \
        -s environment.data=verses >log 2>&1 || complain "the data are not found: $(cat log)"
fi
first=$("$installed/bin/regatta" --help | sed -n 's/^  regatta run //p')
[[ $first == "$(realpath "$installed")/share/regatta/experiments/"* && -f $first ]] || complain "--help has a first run of $first"

echo "$failures faults"
[[ $failures -eq 0 ]]
