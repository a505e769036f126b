#!/bin/bash
# SPDX-License-Identifier: MIT
# Every command of README.md and of the pages below doc/ works. Commands stand in blocks that are marked
# ```sh, or begin with "$ " in other blocks. The test runs them page by page, in order, in a folder that
# has the experiments and small data in place of the real ones; each page begins without results, so
# that it has to be complete. Long experiments are cut short by settings that are added to their command. A
# command that cannot run here (category) has its options held against --help. One that belongs to no
# category fails, as does one in a block that is not marked. Files and headings that a page names are there.
#
#   check-docs.sh PAGE...    these pages alone
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
build=$(dirname "$program")
program_words='regatta|\./regatta|build/regatta|make|\./bootstrap|mpirun|experiments/data/[a-z-]+'
tick='```'

# ---- categories: sets $needs, why a command is not run; or $settings, which are added to it ----

tiny_text='-s budget.steps=1 -s seeds=[1,2] -s training.batch=4 -s environment.pair_count=16
    -s environment.test_prompts=8 -s environment.response_limit=40'
category() {
    needs='' settings=''
    case $1 in
    ./bootstrap* | *'../configure '* | ./configure* | 'make -C build '*) needs='a build' ;;
    apt* | dpkg-buildpackage*) needs='root, and packages' ;;
    /usr/* | *' /usr/'*) needs='an installed program: check-install.sh' ;;
    mpirun*) needs='MPI: check-ranks.sh' ;;
    'regatta submit --dry-run'*) ;;
    'regatta submit'*) needs='Slurm: check-slurm.sh' ;;
    tensorboard*) needs='TensorBoard' ;;
    OMP_*big.cfg*) needs='a large machine' ;;
    build/tests/* | REGATTA_COVERAGE=*) needs='a build, and minutes' ;;
    *verses/endpoint.cfg*) needs='a server: check-endpoint.sh' ;;
    *parl/walker.cfg* | *parl-walker.db*) needs='MuJoCo, and hours' ;;
    'experiments/study/run'*) needs='an hour' ;;
    experiments/data/random-qwen*) needs='a gigabyte, and npm' ;;
    'regatta plan --measure '*sail-qwen1.5-0.5b*) needs='a model of random-qwen1.5-0.5b' ;;
    'experiments/data/verses '*) needs='two packages: check-install.sh; the test has data in their place' ;;
    *verses/exploration.cfg*) settings="$tiny_text --only exact" ;;
    'regatta run '*verses/head-to-head.cfg*)
        settings="$tiny_text --only dpo --only online-dpo"
        settings+=' -s sweep=({option="environment.pair_count";values=[16,24];})' ;;
    'regatta run '*verses/budget.cfg*) settings="$tiny_text --only base --only dpo --only online-dpo" ;;
    'regatta '*verses/*.cfg*) settings=$tiny_text ;;
    'regatta '*own-data/base.cfg*) settings='-s budget.steps=20 -s evaluation.every=10 -s environment.test_prompts=8' ;;
    'regatta '*own-data/compare.cfg*)
        settings='-s budget.steps=1 -s training.batch=4 -s environment.test_prompts=8 -s environment.response_limit=80' ;;
    'regatta run '*pythia/fine-tuning.cfg*) settings='-s budget.steps=20 -s evaluation.every=0 -s environment.test_prompts=8' ;;
    'regatta run '*pythia/adapter.cfg*)
        settings='-s budget.steps=2 -s evaluation.every=0 -s training.batch=4 -s environment.test_prompts=8' ;;
    'regatta check-gradients '*parl/*) settings='-n 2' ;;
    'regatta check-gradients '*exact-language.cfg*) # the sums over all pairs of 20,736 sentences take half a minute
        settings='-n 20 -s environment.language="./experiments/study/score-2.language"' ;;
    'regatta check-gradients '*exact-language-transformer.cfg*) settings='-n 20 -s algorithms=({type="sail-pr";})' ;;
    'regatta check-gradients '*) settings='-n 20' ;;
    'regatta run '*parl/mdp.cfg*) settings='-s budget.steps=2 -s seeds=[1]' ;;
    'regatta run '*bandit/search.cfg* | 'regatta run '*bandit/exploration.cfg* | 'regatta run '*bandit/grid.cfg*)
        settings='-s budget.steps=5 -s evaluation.every=5 -s seeds=[1,2]' ;;
    'regatta reproduce '*--list* | 'regatta reproduce --list'*) ;;
    'regatta reproduce'*) settings='--table' ;; # all of it takes minutes
    'regatta run '*exact-language-minimum.cfg*) # whose reward is fitted to all pairs at once
        settings='-s budget.steps=4 -s evaluation.every=0 -s environment.groups=20 -s training.batch=64' ;;
    'regatta run '*published/*) settings='-s budget.steps=4 -s evaluation.every=0 -s seeds=[1]' ;;
    'regatta run '*.cfg*) settings='-s budget.steps=10 -s evaluation.every=5' ;;
    'regatta '* | 'export '* | 'echo '* | 'make -C mine'* | 'experiments/data/own-data '* | 'experiments/data/pythia '*) ;;
    *) complain "$page: $1: of no category of check-docs.sh" && needs='a category' ;;
    esac
}

# ---- a page's commands ----

# commands PAGE: one a line, without prompt; comments that begin with "# fails" stay.
commands() {
    awk -v tick="$tick" '
        function command(text) {
            if (text !~ /# fails/)
                sub(/[ ]+#[ ].*/, "", text)
            if (text !~ /^#/ && text != "")
                print text
        }
        index($0, tick) == 1 { fenced = !fenced; shell = fenced && $0 == tick "sh"; next }
        shell { command($0); next }
        (fenced || /^    /) && sub(/^ *\$ /, "") { command($0) }' "$1"
}

# unmarked PAGE: commands in blocks where nothing would run them.
unmarked() {
    awk -v tick="$tick" -v words="^ *($program_words) " '
        index($0, tick) == 1 { fenced = !fenced; shell = fenced && $0 == tick "sh"; next }
        !shell && (fenced || /^    /) && $0 ~ words && $0 !~ /^ *regatta: /' "$1"
}

# inline PAGE: commands between backquotes.
inline() {
    tr '\n' ' ' <"$1" | grep -oE '`regatta [a-z-]+ [^`]*`' | tr -d '`'
}

# paths PAGE: files of the tree between backquotes that are not there.
paths() {
    grep -oE '`(core|algorithms|envs|experiments|analysis|tests|doc)/[A-Za-z0-9_./*-]+`' "$source/$1" | tr -d '`' |
        while read -r path; do
            [[ $path == */mine.c ]] && continue # the reader's own
            compgen -G "$source/$path" >/dev/null || [[ -e $build/$path ]] || echo "$path"
        done
}

# links PAGE: files and headings that it links to and that are not there.
links() {
    local folder target file heading
    folder=$(dirname "$source/$1")
    while read -r target; do
        file=$folder/${target%%#*} heading=${target#*#}
        [[ $target == '#'* ]] && file=$source/$1
        if [[ ! -e $file ]]; then
            echo "$target"
        elif [[ $target == *'#'* ]]; then
            sed -n 's/^##* //p' "$file" | tr '[:upper:] ' '[:lower:]-' | tr -d "'’.,:" | grep -qxF -- "$heading" || echo "$target"
        fi
    done < <(sed 's/`[^`]*`//g' "$source/$1" | grep -oE '\]\([^)]+\)' | sed 's/^](//; s/)$//' | grep -v '^http')
}

# configs PAGE: writes NAME.cfg for each block that begins with name = "NAME".
configs() {
    awk '
        match($0, /^    name = "[a-z-]+";/) { file = substr($0, RSTART + 12, RLENGTH - 14) ".cfg"; printf "" >file }
        file != "" && !/^    / { close(file); file = "" }
        file != "" { print substr($0, 5) >file }' "$1"
}

# ---- running them ----

help_of() { # COMMAND
    [[ -f help/$1 ]] || "$program" "$1" --help >"help/$1" 2>/dev/null || rm -f "help/$1"
    cat "help/$1" 2>/dev/null
}

# parse LINE: every option of regatta's commands in it is one that the command has.
parse() {
    local line=${1##*regatta } word name help
    [[ $1 == *'regatta '[a-z]* ]] || return 0
    line=${line%% -- *}
    name=${line%% *}
    help=$(help_of "$name")
    [[ -n $help ]] || { complain "$page: $1: no command $name" && return; }
    for word in $line; do
        [[ $word =~ ^--?[a-zA-Z] ]] || continue
        grep -qE -- "(^|[ ,])${word%%=*}([=, ]|$)" <<<"$help" || complain "$page: $1: $name has no option $word"
    done
}

# run LINE: as it stands, with $settings for regatta run and its like.
run() {
    local status=0
    SETTINGS=$settings bash -c "$1" >log 2>&1 </dev/null || status=$?
    if [[ $1 == *'# fails' ]]; then
        [[ $status -ne 0 ]] || complain "$page: $1: does not fail"
    elif [[ $status -ne 0 ]]; then
        complain "$page: $1: status $status: $(tail -n 3 log)"
    fi
}

check_page() { # PAGE
    local line
    page=$1
    rm -rf results mine ./*.cfg
    configs "$source/$page"
    while read -r line; do
        complain "$page: $line: stands in a block that is not marked sh"
    done < <(unmarked "$source/$page")
    while read -r line; do
        complain "$page: $line is not there"
    done < <(links "$page"; paths "$page")
    while read -r line; do
        parse "$line"
    done < <(inline "$source/$page")
    while read -r line <&3; do
        category "$line"
        parse "$line"
        if [[ -n $needs ]]; then
            untried=$((untried + 1))
        else
            run "$line"
            tried=$((tried + 1))
        fi
    done 3< <(commands "$source/$page")
}

# ---- what the commands find ----

# A program of this name, which adds the settings.
mkdir bin help data
cat >bin/regatta <<END
#!/bin/bash
case \$1 in
run | plan | check-gradients | submit | reproduce) exec "$program" "\$@" \$SETTINGS ;;
*) exec "$program" "\$@" ;;
esac
END
chmod +x bin/regatta
export PATH=$folder/bin:$PATH
# What compiles a plug-in, where neither headers nor pkg-config's file are installed.
export MAKEFLAGS=e REGATTA_CFLAGS="-I$source -I$build" RG_SOURCE_DIR=$source

(cd "$source" && tar -cf - --exclude=program experiments) | tar -xf - && chmod -R u+w experiments
mkdir data/verses
made_up_lines 0 50 >data/verses/base.jsonl
made_up_lines 3000 100 >data/verses/judge.jsonl
made_up_lines 4000 100 >data/verses/judge-independent.jsonl
made_up_lines 5000 50 >data/verses/train.jsonl
made_up_lines 6000 20 >data/verses/test.jsonl

tried=0 untried=0
pages=("$@")
[[ $# -gt 0 ]] || mapfile -t pages < <(cd "$source" && echo README.md && find doc -name '*.md' | LC_ALL=C sort)
for page in "${pages[@]}"; do
    check_page "$page"
done
[[ $tried -gt 0 ]] || complain "no page has a command"

echo "$tried commands run, $untried looked at, $failures faults"
[[ $failures -eq 0 ]]
