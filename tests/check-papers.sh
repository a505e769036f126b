#!/bin/bash
# SPDX-License-Identifier: MIT
# Reported figures and claims: every file of analysis/papers is read and says where each figure stands; an
# experiment's own figures stand beside those of the same method and swept values; what is wrong in a
# file is refused with file, line and key.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
export RG_SOURCE_DIR=$source

# expect PATTERN FILE
expect() {
    grep -qE -- "$1" "$2" || complain "no /$1/ in: $(head -n 20 "$2")"
}

# ---- where they are ----
# A program in the build folder of a source tree finds those of that tree.
mkdir -p tree/build tree/analysis/papers
cp "$program" tree/build/regatta
cp "$source/analysis/papers/sail.cfg" tree/analysis/papers/mine.cfg
env -u RG_SOURCE_DIR tree/build/regatta table --paper mine >out 2>err || complain "mine: $(cat err)"
expect 'arXiv:2406.15567' out

# ---- the papers ----
for file in "$source"/analysis/papers/*.cfg; do
    name=$(basename "$file" .cfg)
    "$program" table --paper "$name" >out 2>err || complain "$name: $(cat err)"
    "$program" table --paper "$name" -f csv >out.csv 2>err || complain "$name, csv: $(cat err)"
    figures=$(grep -c '{ method = ' "$file")
    claims=$(grep -c '{ claim = ' "$file")
    [[ $(wc -l <out.csv) -eq $((figures + 1)) ]] || complain "$name: not $figures figures"
    expect '^method,metric,setting,source,checked,reported(,exact)?$' out.csv
    expect '^What differs:$' out
    if [[ $claims -gt 0 ]]; then
        expect '^claim +tested +source +checked$' out
        "$program" table --paper "$name" --claims -f csv >out.csv 2>err || complain "$name, claims: $(cat err)"
        [[ $(wc -l <out.csv) -eq $((claims + 1)) ]] || complain "$name: not $claims claims"
        grep -qvE ',not run$|,verdict$' out.csv && complain "$name: a claim decided without results: $(cat out.csv)"
    fi
    if grep -q '^experiments' "$file"; then
        "$program" reproduce "$name" --table -d nowhere -f csv >out.csv 2>err || complain "$name: $(cat err)"
        "$program" reproduce "$name" --table -d nowhere >/dev/null 2>err
        grep -q 'without a verdict' err && complain "$name: a figure that never gets a verdict"
        expect '^figures: 0 agree, 0 differ, ' err
    fi
    "$program" table --paper "$name" -f markdown >out 2>err || complain "$name, markdown"
    "$program" table --paper "$name" -f latex >out 2>err || complain "$name, latex"
done

# ---- beside an experiment ----
cat >tiny.cfg <<END
name = "tiny"; seeds = [1, 2];
environment: { type = "bandit"; contexts = 2; responses = 4; pairs = 50; };
policy: { type = "tabular"; };
optimizer: { learning_rate = 0.1; };
training: { batch = 8; };
budget: { steps = 5; }; evaluation: { every = 5; };
sweep = ( { option = "algorithm.beta"; values = [0.1, 0.5]; } );
algorithms = ( { type = "dpo"; }, { type = "dpo"; label = "other"; } );
END
"$program" run tiny.cfg -r tiny.db >out 2>&1 || complain "tiny.cfg: $(tail -n 3 out)"
cat >paper.cfg <<END
title = "A paper"; reference = "Somebody 2024";
figures = (
    { method = "other"; metric = "return"; quantity = "reward"; value = "0.5 ± 0.1";
      where = ["beta=0.5"]; setting = "theirs"; source = "Table 1"; checked = "paper"; },
    { method = "dpo"; metric = "return"; quantity = "reward"; value = "0.7"; where = ["beta=0.25"];
      setting = "theirs"; source = "Table 1"; checked = "paper"; },
    { method = "dpo"; metric = "colour"; value = "red"; setting = "theirs"; source = "Table 2";
      checked = "paper"; }
);
differences = [ "All of it differs." ];
END
"$program" table --paper ./paper.cfg tiny.db -f csv >own.csv 2>err || complain "own paper: $(cat err)"
"$program" table --paper ./paper.cfg tiny.db >out 2>err || complain "own paper: $(cat err)"
expect '^- no trials of "dpo" with beta=0.25 in tiny.db$' out
[[ $(grep -c '^- no ' out) -eq 1 ]] || complain "reasons of what is there, or compared with nothing: $(cat out)"

# missing PATTERN SED: a paper file changed so says below the table, once, why its figure is missing.
missing() {
    sed "$2" paper.cfg >misspelt.cfg
    "$program" table --paper ./misspelt.cfg tiny.db >out 2>err || complain "$2: $(cat err)"
    expect '^Why figures are missing here:$' out
    [[ $(grep -cE "^- $1\$" out) -eq 1 ]] || complain "not once /$1/ in: $(cat out)"
}
missing 'no metric "rewardz" in tiny.db; did you mean "reward"\?' 's/"reward"/"rewardz"/; s/0\.25/0.1/'
missing 'no trials of "dpoo" in tiny.db; did you mean "dpo"\?' 's/"dpo"/"dpoo"/'
missing 'no trials of "other" with bta=0.5 in tiny.db; did you mean "beta"\?' 's/beta=0.5/bta=0.5/'
"$program" table tiny.db -m reward -f csv >table.csv
mean=$(awk -F, '$1 == "other" && $2 == 0.5 { printf "%.3g", $8 }' table.csv)
[[ -n $mean ]] || complain "no mean: $(cat table.csv)"
awk -F, -v mean="$mean" '
    { gsub(/−/, "-", $7) }
    $1 == "other" { split($7, part, " "); seen = part[1] != "–" && (part[1] - mean) ^ 2 < 1e-4 }
    $1 == "dpo" && $7 != "–" { bad = 1 }
    END { exit !seen || bad }' own.csv || complain "not beside: $(cat own.csv), mean $mean"
# With steps it is the mean of the rows from the one to the other: here of both evaluations, or of the first.
row() { # KEYS: the own figure of "other" with these keys
    sed "s/value = \"0.5 ± 0.1\";/& $1/" paper.cfg >steps.cfg
    "$program" table --paper ./steps.cfg tiny.db -f csv 2>err | awk -F, '$1 == "other" { gsub(/−/, "-", $7); split($7, part, " "); print part[1] }'
}
awk -v both="$(row 'first_step = 0; last_step = 5;')" -v first="$(row 'first_step = 0; last_step = 4;')" \
    -v last="$(row 'first_step = 5; last_step = 5;')" -v end="$mean" '
    BEGIN { exit !((2 * both - first - last) ^ 2 < 1e-3 && (last - end) ^ 2 < 1e-3 && (first - last) ^ 2 > 1e-3) }' ||
    complain "steps: $(row 'first_step = 0; last_step = 5;'), $(row 'first_step = 0; last_step = 4;'), $mean"
[[ $(row 'first_step = 1; last_step = 4;') == – ]] || complain "a figure of steps without rows"
"$program" table --paper ./paper.cfg >out 2>err || complain "alone: $(cat err)"
expect 'All of it differs' out
grep -q 'here' out && complain "a column of nothing"

# ---- run again, with verdicts ----
cat >again.cfg <<END
title = "Another paper"; reference = "Somebody 2025";
experiments = [ "./tiny.cfg" ];
figures = (
    { method = "other"; metric = "return"; quantity = "reward"; value = "$mean"; where = ["beta=0.5"];
      setting = "near"; source = "Table 1"; checked = "paper"; experiment = "tiny";
      tolerance = 0.01; tolerance_reason = "one digit"; exact = 0.625; },
    { method = "other"; metric = "return"; quantity = "reward"; value = "77 ± 3"; where = ["beta=0.5"];
      setting = "far"; source = "Table 1"; checked = "paper";
      tolerance = 0.01; tolerance_reason = "one digit"; differs = "theirs has a slip"; },
    { method = "other"; metric = "return"; quantity = "reward"; value = "77"; where = ["beta=0.5"];
      setting = "elsewhere"; source = "Table 1"; checked = "paper";
      not_comparable = "their judge is not known"; },
    { method = "other"; metric = "return"; quantity = "reward"; exact = $mean; where = ["beta=0.5"];
      setting = "derived"; source = "algebra"; checked = "derived"; experiment = "tiny";
      tolerance = 0.01; tolerance_reason = "rounding"; },
    { method = "other"; metric = "return"; quantity = "reward"; value = "0.1"; where = ["beta=0.5"];
      setting = "open"; source = "Table 1"; checked = "paper"; },
    { method = "nobody"; metric = "return"; quantity = "reward"; value = "0.1";
      setting = "not run"; source = "Table 1"; checked = "paper"; tolerance = 9.0;
      tolerance_reason = "any"; }
);
END
"$program" reproduce --table ./again.cfg >out 2>err || complain "tables alone: $(cat err)"
expect '^figures: 0 agree, 0 differ, 1 cannot be compared, 4 not run, 1 without a verdict$' err
expect '^claims: 0 hold, 0 do not hold, 0 not decided, 0 not run$' err
[[ ! -e results/published/tiny.db ]] || complain "--table runs trials"
"$program" reproduce ./again.cfg -d stores -f csv -q >out.csv 2>err || complain "again: $(cat err)"
for row in 'near,agrees' 'far,differs' 'elsewhere,not comparable' 'derived,agrees' 'open,–' 'not run,not run'; do
    awk -F, -v setting="${row%,*}" -v verdict="${row#*,}" '
        $3 == setting { seen = $NF == verdict } END { exit !seen }' out.csv ||
        complain "expected $row: $(cat out.csv)"
done
"$program" reproduce ./again.cfg -d stores >out 2>err || complain "a second time: $(cat err)"
expect '^figures: 2 agree, 1 differ, 1 cannot be compared, 1 not run, 1 without a verdict$' err
expect 'Why figures differ:' out
expect 'other, return, far: theirs has a slip' out
expect 'their judge is not known' out
expect 'one digit' out
grep -qE 'step|trial' err && complain "finished trials run again: $(cat err)"
"$program" table --paper ./again.cfg stores/tiny.db >beside 2>err || complain "table: $(cat err)"
expect agrees beside
"$program" report stores/tiny.db --paper ./again.cfg -o page.html >out 2>err || complain "report: $(cat err)"
expect '<h2>Reported figures</h2>' page.html
expect 'Somebody 2025' page.html
expect 'agrees' page.html
expect '<li>other, return, far: theirs has a slip</li>' page.html
"$program" report stores/tiny.db -o page.html >out 2>err || complain "report: $(cat err)"
grep -q 'Reported figures' page.html && complain "a section of no paper"
"$program" reproduce --list >out 2>err || complain "list: $(cat err)"
sed 's,"./tiny.cfg","../tiny.cfg",' again.cfg >above.cfg
"$program" reproduce --list ./above.cfg >out 2>err || complain "list of one: $(cat err)"
expect '^ +\.\./tiny\.cfg$' out

# ---- claims ----
# The verdicts follow from the table's own figures: "other" is DPO again, seed by seed.
low=$(awk -F, '$1 == "other" && $2 == 0.1 { print $8 }' table.csv)
high=$(awk -F, '$1 == "other" && $2 == 0.5 { print $8 }' table.csv)
[[ -n $low && -n $high ]] || complain "no means: $(cat table.csv)"
cat >claims.cfg <<END
title = "A paper of claims"; reference = "Somebody 2026";
experiments = [ "./tiny.cfg" ];
figures = ( { method = "other"; metric = "return"; value = "1"; setting = "theirs"; source = "Table 1";
              checked = "paper"; not_comparable = "another judge"; } );
claims = (
    { claim = "as good as itself"; method = "other"; than = "dpo"; relation = "near"; within = 1e-6;
      quantity = "reward"; where = ["beta=0.5"]; source = "Table 1"; checked = "paper"; },
    { claim = "better than itself"; method = "other"; than = "dpo"; relation = "above";
      quantity = "reward"; where = ["beta=0.5"]; source = "Table 1"; checked = "paper";
      differs = "nothing is"; },
    { claim = "above nothing"; method = "other"; value = -100.0; relation = "above"; quantity = "reward";
      where = ["beta=0.5"]; source = "Table 1"; checked = "paper"; experiment = "tiny"; },
    { claim = "below nothing"; method = "other"; value = -100.0; relation = "below"; quantity = "reward";
      where = ["beta=0.5"]; source = "Table 1"; checked = "paper"; },
    { claim = "at its own mean"; method = "other"; value = $high; relation = "above"; quantity = "reward";
      where = ["beta=0.5"]; source = "Table 1"; checked = "paper"; },
    { claim = "other beta"; method = "other"; than = "dpo"; relation = "near"; within = 100.0;
      quantity = "reward"; where = ["beta=0.1"]; than_where = ["beta=0.5"]; source = "Table 1";
      checked = "paper"; },
    { claim = "moved"; method = "dpo"; than = "dpo"; than_at = 0; relation = "near"; within = 100.0;
      quantity = "reward"; where = ["beta=0.5"]; source = "Table 1"; checked = "paper"; },
    { claim = "no such method"; method = "nobody"; value = 0.0; relation = "above"; quantity = "reward";
      source = "Table 1"; checked = "paper"; },
    { claim = "no such metric"; method = "dpo"; value = 0.0; relation = "above"; quantity = "rewardz";
      where = ["beta=0.5"]; source = "Table 1"; checked = "paper"; },
    { claim = "no such step"; method = "dpo"; value = 0.0; at = 3; relation = "above";
      quantity = "reward"; where = ["beta=0.5"]; source = "Table 1"; checked = "paper"; }
);
END
"$program" reproduce ./claims.cfg -d stores --claims -f csv >out.csv 2>err || complain "claims: $(cat err)"
expect '^claims: 4 hold, 2 do not hold, 1 not decided, 3 not run$' err
for row in 'as good as itself,holds' 'better than itself,does not hold' 'above nothing,holds' \
    'below nothing,does not hold' 'at its own mean,not decided' 'other beta,holds' 'moved,holds' \
    'no such method,not run' 'no such metric,not run' 'no such step,not run'; do
    grep -qE "^${row%,*},.*,${row#*,}$" out.csv || complain "expected $row: $(cat out.csv)"
done
awk -F'"?,"?' -v low="$low" -v high="$high" '
    /^other beta/ { seen = (($(NF - 3)) - (low - high)) ^ 2 < 1e-12 }
    END { exit !seen }' out.csv || complain "not $low - $high: $(grep '^other beta' out.csv)"
"$program" reproduce ./claims.cfg -d stores >out 2>err || complain "claims: $(cat err)"
expect '^better than itself .* does not hold$' out
expect '^- better than itself: nothing is$' out
expect 'below nothing: the reason is not known' out
expect '^- no trials of "nobody" in ' out
expect '^- no metric "rewardz" in .* did you mean "reward"' out
expect '^- no value of "reward" in the trials of "dpo, beta 0.5"' out
expect 'reward: other, beta 0.1 near dpo, beta 0.5, within 100' out
expect 'reward: dpo, beta 0.5 near dpo, beta 0.5, at step 0, within 100' out
"$program" table --paper ./claims.cfg --claims tiny.db -f json >out 2>err || complain "json: $(cat err)"
python3 - out <<'END' || complain "claims as json: $(cat out)"
import json, sys
rows = json.load(open(sys.argv[1]))["rows"]
low, high = rows[4]["difference_95"]
assert rows[4]["verdict"] == "not decided" and low < 0 < high and rows[4]["seeds"] == 2, rows[4]
END
"$program" report stores/tiny.db --paper ./claims.cfg -o page.html >out 2>err || complain "report: $(cat err)"
expect '<h3>Claims</h3>' page.html
expect 'does not hold' page.html

# ---- what is refused ----
# refused PATTERN ARGUMENTS...
refused() {
    local pattern=$1
    shift
    "$program" table "$@" >out 2>err && complain "not refused: $*"
    expect "$pattern" err
}
refused 'no paper "nobody": expected one of auxdpo, bc-hg, dpo, egpo, four-words, hpgd, ipo, parl, rmb-po, sail, samplers, tajwar' --paper nobody
refused 'nowhere.cfg' --paper ./nowhere.cfg
refused 'cannot be combined with --metrics' --paper sail -m reward tiny.db
refused 'none.db' --paper ./paper.cfg none.db
sed 's/source = "Table 2"/sauce = "Table 2"/' paper.cfg >bad.cfg
refused 'bad.cfg:[0-9]*: .*source|source.*expected' --paper ./bad.cfg
sed 's/checked = "paper"; }$/checked = "paper"; colour = 1; }/' paper.cfg >bad.cfg
refused 'bad.cfg:[0-9]+: .*colour' --paper ./bad.cfg
sed 's/"beta=0.25"/"beta is small"/' paper.cfg >bad.cfg
refused 'bad.cfg:5: .*expected at most 8 conditions "option=number"' --paper ./bad.cfg
sed 's/ tolerance_reason = "any";//' again.cfg >bad.cfg
refused 'bad.cfg:[0-9]+: .*expected tolerance_reason beside tolerance' --paper ./bad.cfg
sed 's/experiment = "tiny"/experiment = "tinny"/' again.cfg >bad.cfg
refused 'bad.cfg:[0-9]+: .*expected experiment that is the name of one of' --paper ./bad.cfg
sed 's/ value = "0.1";//' again.cfg >bad.cfg
refused 'bad.cfg:[0-9]+: .*expected value, or exact without it' --paper ./bad.cfg
sed 's/value = "0.7";/& first_step = 5; last_step = 1;/' paper.cfg >bad.cfg
refused 'bad.cfg:[0-9]+: .*expected first_step and last_step, in this order, or neither' --paper ./bad.cfg
# claim PATTERN SED: the file of claims, changed so, is refused.
claim() {
    sed "$2" claims.cfg >bad.cfg
    cmp -s claims.cfg bad.cfg && complain "changes nothing: $2"
    refused "$1" --paper ./bad.cfg
}
claim 'bad.cfg:8: .*expected either than or value in this claim' 's/than = "dpo"; relation = "above"/relation = "above"/'
claim 'bad.cfg:[0-9]+: .*expected either than or value' 's/value = -100.0;/value = -100.0; than = "dpo";/'
claim 'bad.cfg:[0-9]+: claims.0.relation.*expected one of "above", "below", "near"' 's/relation = "near"/relation = "equal"/'
claim 'bad.cfg:6: .*expected within beside relation "near"' 's/within = 1e-6;//'
claim 'bad.cfg:8: .*expected within beside relation "near", and only there' 's/than = "dpo"; relation = "above";/than = "dpo"; relation = "above"; within = 1.0;/'
claim 'bad.cfg:6: .*expected within of 0 or more' 's/within = 1e-6/within = -1.0/'
claim 'claims.0.claim.*expected|claims.0.*claim.*expected' 's/{ claim = "as good as itself"; method/{ method/'
claim 'bad.cfg:[0-9]+: .*expected than beside than_at or than_where' 's/at = 3;/than_at = 3;/'
claim 'bad.cfg:[0-9]+: .*expected no at or than_at beside reading "order"' 's/at = 3;/at = 3; reading = "order";/'
claim 'bad.cfg:[0-9]+: .*expected reading "order" beside floor' 's/at = 3;/floor = 0.5;/'
claim 'bad.cfg:[0-9]+: .*expected experiment that is the name of one of' 's/experiment = "tiny"/experiment = "tinny"/'
claim 'bad.cfg:[0-9]+: .*colour.*unknown|bad.cfg:[0-9]+: .*unknown.*colour|bad.cfg:[0-9]+: .*colour' 's/at = 3;/colour = 3;/'
claim 'bad.cfg:[0-9]+: .*expected at most 8 conditions "option=number"' 's/than_where = \["beta=0.5"\]/than_where = ["beta"]/'
refused '--claims: expected --paper NAME' --claims tiny.db
refused 'has no claims' --paper ./paper.cfg --claims
sed 's/^claims = (/claims = 3; others = (/' claims.cfg >bad.cfg
refused 'bad.cfg:[0-9]+: ' --paper ./bad.cfg
"$program" reproduce ./paper.cfg >out 2>err && complain "nothing to run, and not refused"
expect 'names no experiments that run its figures again' err
"$program" reproduce nobody >out 2>err && complain "nobody, and not refused"
expect 'no paper "nobody"' err
printf 'title = "x"; reference = "y";\n' >bad.cfg
refused 'bad.cfg: no figures' --paper ./bad.cfg

[[ $failures -eq 0 ]] || echo "$failures checks failed"
exit $((failures > 0))
