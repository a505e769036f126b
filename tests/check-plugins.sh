#!/bin/bash
# SPDX-License-Identifier: MIT
# The author's path, with the program as it is installed and no source tree: regatta new, make, make check,
# make race, for each kind. Then plug-ins that are refused, that crash, that have changed, and results stores
# and packages of trials that need one.
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

shopt -s lastpipe                # so that what complains at the end of a pipe is counted
unset MAKEFLAGS MFLAGS MAKELEVEL # of a make that this runs under
make -C "$build" install DESTDIR="$folder/root" >log 2>&1 || fail "make install: $(tail -n 5 log)"
installed=$folder/root$(variable prefix)
export PKG_CONFIG_PATH=$installed/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$folder/root
export PATH=$installed/bin:$PATH
export CC
CC=$(variable CC)
unset RG_SOURCE_DIR REGATTA_PLUGINS
mkdir "$folder/author" && cd "$folder/author" || exit 99

# ---- the author's path ----
now() {
    local seconds=${EPOCHREALTIME/,/.}
    awk -v now="$seconds" -v then="${1:-0}" 'BEGIN { printf "%.1f", now - then }'
}

# beside KIND NAME LABEL...: a plug-in of that kind from nothing to a table that has these rows.
beside() {
    local kind=$1 name=$2 start label
    shift 2
    start=$(now)
    regatta new "$kind" "$name" >log 2>&1 || { complain "regatta new $kind $name: $(cat log)"; return; }
    grep -rn '@[A-Z]*@' "$name" && complain "$name: what stands for a name is left"
    make -C "$name" >log 2>&1 || complain "$name: make: $(cat log)"
    grep -E '(warning|error): ' log && complain "$name: the compiler has something to say"
    make -C "$name" check >log 2>&1 || complain "$name: make check: $(cat log)"
    grep -qE '^[1-9][0-9]* claims hold, 0 failed$' log || complain "$name: no claims: $(cat log)"
    [[ $(grep -c '^ok  ' log) -gt 5 ]] || complain "$name: few claims: $(cat log)"
    make -C "$name" race >log 2>&1 || complain "$name: make race: $(tail -n 5 log)"
    for label in "$@"; do
        grep -qE "^$label +[23] " log || complain "$name: no row of $label: $(cat log)"
    done
    echo "$kind: from regatta new to the table in $(now "$start") s"
}
beside algorithm mine base dpo mine
cp -r mine undeclared
sed -i 's/rg_batch_mean/rg_batch_meen/' undeclared/mine.c
make -B -C undeclared >log 2>&1 && complain "a function that is not declared is compiled"
grep -q "error: implicit declaration of function .rg_batch_meen" log || complain "undeclared: $(cat log)"
rm -r undeclared
# With the terms that losses share, by the three lines that doc/adding-an-algorithm.md gives.
cp -r mine shared
sed -i -e 's/^} Options;/    RgSharedTerms shared;\n&/' \
    -e 's/^    RG_OPTION_END,/    RG_OPTION_INCLUDE(Options, shared, rg_shared_options),\n&/' \
    -e 's/^    recipe->responses/    recipe->shared = ((const Options *)options)->shared;\n&/' shared/mine.c
make -B -C shared check >log 2>&1 || complain "shared terms: $(cat log)"
regatta --plugin ./shared/mine.so run shared/mine.cfg -q -r terms.db -s 'seeds=[1]' \
    -s 'algorithms=({type="mine";},{type="mine"; label="moving"; reference_steps=2; dpop_coefficient=3.0;})' >log 2>&1 ||
    complain "shared terms: $(cat log)"
[[ $(sha256sum terms/*.safetensors | cut -d ' ' -f 1 | sort -u | wc -l) -eq 2 ]] ||
    complain "shared terms of a plug-in change nothing"
beside environment ruler base dpo online-dpo
beside judge words base dpo online-dpo
beside estimator ball cg none ball
beside optimizer lion adamw sgd lion

# In a clone that is only built, where pkg-config finds nothing, what regatta new says comes next is so, too. The
# program finds a clone's files where its build folder lies in the clone; those of distcheck and check-sanitize do not.
built() {
    env -u RG_SOURCE_DIR PKG_CONFIG_LIBDIR=none PKG_CONFIG_PATH=none PATH="${PATH#"$installed/bin:"}" "$@"
}
if [[ $(realpath "$(dirname "$program")/..") == "$(realpath "$source")" ]]; then
    built "$program" new algorithm cloned >out 2>&1 || complain "regatta new of a clone: $(cat out)"
    next=$(sed -n 's/^next: //p' out)
    [[ $next == 'cd cloned && make && make check && make race' ]] || complain "what comes next: $next"
    built bash -c "$next" >log 2>&1 || complain "of a clone: $next: $(tail -n 5 log)"
    grep -qE '^cloned +[1-9]' log || complain "the clone's plug-in has no row: $(cat log)"
fi

# ---- regatta new ----

# expect STATUS PATTERN COMMAND...: what it returns, and a line that it prints on the standard error where it
# fails, else on the standard output.
expect() {
    local status=$1 pattern=$2 got=0 stream=out
    shift 2
    "$@" >out 2>err || got=$?
    [[ $got -eq $status ]] || complain "$*: exit status $got, not $status: $(head -n 3 err)"
    [[ $status -eq 0 ]] || stream=err
    [[ -z $pattern ]] || grep -qE -- "$pattern" $stream || complain "$*: no /$pattern/ in: $(head -n 3 $stream)"
}
mkdir full empty && touch full/file
expect 2 'full is not empty' regatta new algorithm other full
[[ $(ls full) == file ]] || complain "regatta new wrote to a folder that was not empty"
expect 0 '^empty: other.c' regatta new algorithm other empty
expect 0 '^a/b/c: other.c' regatta new judge other a/b/c
expect 2 'mine/mine.c: .*expected a folder' regatta new algorithm other mine/mine.c
expect 2 'no kind "algorithmus".*did you mean "algorithm"' regatta new algorithmus other
expect 2 'no kind "policy": expected algorithm, environment' regatta new policy other
expect 2 '"My loss": expected lower-case letters' regatta new algorithm 'My loss'
expect 2 '"../x": expected lower-case letters' regatta new algorithm ../x
expect 2 'an algorithm "dpo" exists already' regatta new algorithm dpo
expect 2 'expected a kind and a name' regatta new algorithm
[[ ! -e other && ! -e dpo ]] || complain "what was refused left a folder"

# ---- what there is ----
cd mine || exit 99
plugin=./mine.so
expect 0 '^  mine  ' regatta --plugin $plugin list algorithms
expect 0 '^  margin' regatta --plugin $plugin show mine
REGATTA_PLUGINS=$plugin expect 0 '^  margin' regatta show mine
expect 2 'nothing is named "mine"' regatta show mine
expect 0 'mine' regatta plan mine.cfg
expect 0 'mine' regatta run --dry-run mine.cfg
expect 0 '' regatta run -q mine.cfg
expect 0 ' claims hold, 0 failed' regatta check-plugin mine.so --name mine -s margin=0.1
expect 2 'registers nothing under the name "yours"' regatta check-plugin mine.so --name yours
expect 1 'mine.so: it can be trained on a bandit: .*margin' regatta check-plugin mine.so -s margin=none
expect 2 'expected OPTION=VALUE' regatta check-plugin mine.so -s margin
expect 2 'expected a plug-in' regatta check-plugin

# ---- stores and packages do not load it ----
for command in "table results/mine.db" "compare results/mine.db mine dpo" "status results/mine.db"; do
    # shellcheck disable=SC2086
    expect 0 mine regatta $command
    # shellcheck disable=SC2086
    expect 0 mine regatta --plugin $plugin $command
done
expect 0 'all of them intact|9 of them intact' regatta check-store results/mine.db
expect 0 '' regatta export-trial results/mine.db mine --seed 1 -o package
expect 2 '"mine.so" of SHA-256 [0-9a-f]{64}, which is not loaded: .*regatta --plugin FILE' regatta verify package
expect 2 'regatta --plugin FILE' regatta rerun package --results rerun.db
expect 0 '' regatta --plugin $plugin verify package
[[ ! -e rerun.db ]] || complain "a refused rerun left something"
expect 0 '' regatta --plugin $plugin rerun package --results rerun.db
expect 0 '^mine +1 ' regatta table rerun.db

# ---- a changed one is another ----
keys() {
    regatta run --dry-run mine.cfg | grep -oE '\b[0-9a-f]{16}\b' | sort
}
keys >before
sed -i 's/a margin between/some margin between/' mine.c
make >log 2>&1 || complain "make: $(cat log)"
keys >after
[[ $(comm -12 before after | wc -l) -eq 6 && $(wc -l <after) -eq 9 ]] ||
    complain "of 9 keys not just those of mine are others: $(diff before after)"
changed='^regatta: .*mine.so has changed since 3 trials of results/mine.db were run: these are new trials$'
regatta run --dry-run mine.cfg >out 2>err
grep -q "$changed" err || complain "a dry run does not name the plug-in that has changed: $(cat err)"
expect 0 '' regatta run mine.cfg
[[ $(grep -c "$changed" err) -eq 1 ]] || complain "the plug-in that has changed is not named once: $(cat err)"
[[ $(grep -c 'step 300' err) -eq 3 ]] || complain "not just the trials of mine ran again: $(cat err)"
expect 0 '' regatta run mine.cfg
! grep -q changed err || complain "nothing has changed: $(cat err)"
expect 2 'not loaded' regatta --plugin $plugin verify package
cd .. || exit 99

# ---- refused ----
read -ra compile <<<"$CC $(variable RG_LDFLAGS) -Wall -Wextra -Werror -std=gnu17 -shared -fPIC"
read -ra cflags <<<"$(pkg-config --cflags regatta)"

# refused NAME PATTERN: the plug-in of the text on standard input is refused with that.
refused() {
    local name=$1 pattern=$2
    cat >"$name.c"
    "${compile[@]}" "${cflags[@]}" -o "$name.so" "$name.c" 2>log || complain "$name.c: $(cat log)"
    for command in "--plugin $name.so list" "check-plugin $name.so"; do
        # shellcheck disable=SC2086
        expect 2 "^regatta: $name.so: $pattern" regatta $command
        [[ $(wc -l <err) -eq 1 ]] || complain "$name: more than a line: $(cat err)"
    done
}

# method NAME RECIPE LOSS: the rest of a source that registers an algorithm.
method() {
    cat <<END
static const RgAlgorithm method = {.about = {.name = "$1", .summary = "s"}, .recipe = $2, .loss = $3};
static RgStatus add(RgError *error) { return rg_algorithm_register(&method, error); }
RG_PLUGIN(add);
END
}
head='#include "regatta.h"
static void recipe(const void *options, RgRecipe *recipe) {
    (void)options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
}
static RgTensor *loss(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    return rg_negate(step->tape, rg_mean(step->tape, rg_preference_fit(step->tape, batch, 0.1)));
}'
{ echo "$head"; method dpo recipe loss; } | refused taken 'the name of the algorithm "dpo" is already taken by a built-in one'
{ echo "$head"; method Mine recipe loss; } | refused grammar 'the descriptor of the algorithm "Mine": its name'
{ echo "$head" | sed 's/static void recipe/void recipe/'; method half NULL loss; } |
    refused half 'the descriptor of the algorithm "half": expected a recipe, as'
{ echo "$head" | sed '/^static RgTensor/,$d'; method idle recipe NULL; } |
    refused idle 'the descriptor of the algorithm "idle": expected a loss or a step, as it has a recipe without best_of'
{
    echo "$head"
    cat <<'END'
typedef struct Options { double beta; } Options;
static const RgOption table[] = {RG_OPTION_REAL(Options, beta, "2", 0, 1, "help"), RG_OPTION_END};
static const RgAlgorithm method = {.about = {.name = "out", .summary = "s", .options = table,
    .options_size = sizeof(Options)}, .recipe = recipe, .loss = loss};
static RgStatus add(RgError *error) { return rg_algorithm_register(&method, error); }
RG_PLUGIN(add);
END
} | refused out 'the descriptor of the algorithm "out": option "beta" has a default that is not one of its values'
echo 'int answer(void); int answer(void) { return 42; }' | refused strange 'is not a plug-in: expected RG_PLUGIN'
mkdir -p old/core
sed 's/#define RG_ABI .*/#define RG_ABI "0123456789abcdef"/' "$installed/include/regatta/core/abi.h" >old/core/abi.h
cflags=(-Iold "${cflags[@]}")
{ echo "$head"; method old recipe loss; } |
    refused old 'was compiled with different headers \(ABI 0123456789abcdef\), expected those of this program .*recompile it'
unset 'cflags[0]'
echo 'no object' >text.so
expect 1 '^regatta: text.so: cannot be loaded: .*(invalid ELF header|file too short)' regatta check-plugin text.so
expect 1 '^regatta: none.so: .*No such file' regatta check-plugin none.so
expect 2 '^regatta: none.so: .*No such file' regatta --plugin none.so list
sed 's/plugins = \[\(.*\)\]/plugins = \1/' mine/mine.cfg >mine/text.cfg
expect 2 'text.cfg:[0-9]*: plugins = "[^"]*mine.so": expected a list .*, as in plugins = \["[^"]*mine.so"\];$' regatta run mine/text.cfg
sed 's/mine.so/none.so/' mine/mine.cfg >mine/none.cfg
expect 1 'none.so: .*No such file' regatta run mine/none.cfg

# ---- the end of the program as it is loaded ----
cat >leaves.c <<'END'
#include "regatta.h"
#include <stdlib.h>
static RgStatus add(RgError *error) {
    (void)error;
    exit(0);
}
RG_PLUGIN(add);
END
printf '#include <stdlib.h>\n__attribute__((constructor)) static void leave(void) { exit(3); }\n' >first.c
for name in leaves first; do
    "${compile[@]}" "${cflags[@]}" -o $name.so $name.c || complain "$name.c is not compiled"
    sed "s,\./mine.so,../$name.so," mine/mine.cfg >mine/$name.cfg
    for command in "--plugin $name.so list" "check-plugin $name.so" "run mine/$name.cfg"; do
        # shellcheck disable=SC2086
        expect 1 "^regatta: .*$name.so: called exit\([03]\) while being loaded, which ends the program" regatta $command
        [[ $(wc -l <err) -eq 1 ]] || complain "$name: more than a line: $(cat err)"
    done
done

# ---- wrong, and told by the check ----
{
    echo "$head" | sed 's/rg_negate(step->tape, \(.*\));$/\1;/'
    method uphill recipe loss
} >uphill.c
"${compile[@]}" "${cflags[@]}" -o uphill.so uphill.c || complain "uphill.c is not compiled"
expect 1 '^regatta: uphill.so: preferences raise the reward: ' regatta check-plugin uphill.so
grep -q '^FAILED: preferences raise the reward: .*expected 0.1 more$' out || complain "no line says what failed: $(cat out)"
grep -qE '^[0-9]+ claims hold, 1 failed$' out || complain "claims are not counted: $(cat out)"

# ---- crashes ----

# die COMMAND...: it ends by a signal, of which the shell would say something, too.
die() {
    "$@" >out 2>err
    [[ $? -gt 128 ]] || complain "$*: is not ended by a signal"
}
{
    echo "$head" | sed '/^static RgTensor/,$d'
    cat <<'END'
static RgTensor *loss(RgStep *step, const void *options, const RgBatch *batch) {
    volatile int *nowhere = NULL;
    (void)options;
    if (step->number == 2)
        *nowhere = 1;
    return rg_negate(step->tape, rg_mean(step->tape, rg_preference_fit(step->tape, batch, 0.1)));
}
END
    method crash recipe loss
} >crash.c
"${compile[@]}" "${cflags[@]}" -o crash.so crash.c || complain "crash.c is not compiled"
cat >crash.cfg <<'END'
name = "crash";
plugins = ["./crash.so"];
environment: { type = "bandit"; };
policy: { type = "tabular"; };
optimizer: { learning_rate = 0.05; };
training: { batch = 16; };
budget: { steps = 20; };
evaluation: { every = 10; log_every = 5; };
seeds = [1];
algorithms = ( { type = "dpo"; }, { type = "crash"; }, { type = "ipo"; } );
END
if ! is_sanitized; then # which has handlers of its own
    die regatta check-plugin crash.so 2>/dev/null
    grep -q '^regatta: the plug-in crash.so crashed: segmentation fault; the claim under check: the same bits again, ' err ||
        complain "the check does not tell of a crash: $(cat err)"
    grep -q 'results store' err && complain "the check tells of a store: $(cat err)"
    for jobs in 1 2; do
        rm -rf results
        regatta run -j "$jobs" crash.cfg >out 2>err && complain "-j $jobs: a crash is no failure of the run"
        grep -q '^regatta: the plug-in .*crash.so crashed: segmentation fault; the results store is intact$' err || complain "-j $jobs: the crash is not told: $(cat err)"
        expect 0 'no other damage' regatta check-store results/crash.db
        expect 0 '^dpo +1 ' regatta table results/crash.db
    done
    expect 0 '^ipo +1 ' regatta table results/crash.db # side by side, others go on
    printf '#include "regatta.h"\nstatic RgStatus add(RgError *error) { error->text[0] = *(volatile char *)NULL; return RG_OK; }\nRG_PLUGIN(add);\n' >early.c
    "${compile[@]}" "${cflags[@]}" -o early.so early.c || complain "early.c is not compiled"
    die regatta --plugin early.so list 2>/dev/null
    grep -q '^regatta: the plug-in early.so crashed while being loaded: segmentation fault$' err || complain "an early crash is not told: $(cat err)"
fi

echo "$failures faults"
[[ $failures -eq 0 ]]
