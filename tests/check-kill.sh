#!/bin/bash
# A run that is killed (kill -9) ten times at random moments, then goes on to its end, leaves the same
# final weights, bit for bit, as an undisturbed run; so does one with another number of threads.
set -eu
program=${RG_PROGRAM:?path of the regatta program}
source=${RG_SOURCE_DIR:-.}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Every method of the bandit experiment, long enough to be hit in mid-run.
command=("$program" run "$source/experiments/bandit-head-to-head.cfg" --quiet
    -s 'seeds=[1,2]' -s budget.steps=300 --checkpoint-seconds 0)

digest() { # RESULTS: the weights' names and contents
    (cd "${1%.db}" && sha256sum -- *.safetensors)
}

"${command[@]}" -r "$folder/whole.db" -t 2

kills=0
for i in 1 2 3 4 5 6 7 8 9 10; do
    "${command[@]}" -r "$folder/killed.db" -t 2 &
    pid=$!
    sleep "0.$((RANDOM % 40 + 5))"
    if kill -9 "$pid" 2>/dev/null; then
        kills=$((kills + 1))
    fi
    wait "$pid" 2>/dev/null || true
done
"${command[@]}" -r "$folder/killed.db" -t 2
# The narrowest moment: killed after a trial was marked as finished, before its checkpoint was removed.
weights=("$folder"/killed/*.safetensors)
touch "${weights[0]%.safetensors}-checkpoint.safetensors"
"${command[@]}" -r "$folder/killed.db" -t 2
"${command[@]}" -r "$folder/single.db" -t 1

digest "$folder/whole.db" >"$folder/whole.sum"
for name in killed single; do
    digest "$folder/$name.db" >"$folder/$name.sum"
    if ! cmp -s "$folder/whole.sum" "$folder/$name.sum"; then
        echo "FAIL: the weights of the $name run differ from the undisturbed one's:"
        diff "$folder/whole.sum" "$folder/$name.sum" || true
        exit 1
    fi
done

# The results are the same too, whatever was written twice on the way.
for name in whole killed; do
    "$program" table "$folder/$name.db" -f csv -m reward,kl,win_rate_base --resamples 100 \
        >"$folder/$name.csv"
done
cmp "$folder/whole.csv" "$folder/killed.csv"
if [ "$kills" -eq 0 ]; then
    echo "FAIL: every run ended before it could be killed"
    exit 1
fi
echo "killed $kills times in mid-run: same weights, same results"
