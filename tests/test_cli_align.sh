#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An alignment as a user meets it: the preview, the plan's line, a second process, Ctrl-C and going on, replay, review, and what is said of bad seeds.
set -u
m=models/miniature; fails=0
[ -f $m/model.safetensors ] || { echo "models/miniature is not there"; exit 77; }
tmp=${BUILD:-build}/tmp/cli_align; rm -rf "$tmp"; mkdir -p "$tmp"
bad() { echo "$*"; fails=1; }
want() { # want CODE PATTERN command...
  local code=$1 pattern=$2; shift 2
  local out; out=$("$@" 2>&1 </dev/null); local rc=$?
  if [ $rc != "$code" ] || ! grep -q -e "$pattern" <<<"$out"; then bad "wanted $code and '$pattern', got $rc from: $*"; echo "$out" | tail -5; fi
}
head -n 24 models/seeds.jsonl >"$tmp/seeds.jsonl"
align=("$ISARA" align --model $m --seeds "$tmp/seeds.jsonl" --num-beams 2 --holdout 4 --samples 2)

out=$("${align[@]}" --preview 3 2>"$tmp/err") || bad "preview failed"
[ "$(grep -c '^--- verdict: ' <<<"$out")" = 3 ] && grep -q '^Question: ' <<<"$out" || bad "the preview does not show three attempts with their prompts"
grep -q 'plan: .* MiB at the peak' "$tmp/err" || bad "no plan before the work"

# --seed: other contexts, other questions.
for seed in 1 2 3; do "${align[@]}" --preview 2 --ask-do-sample --ask-num-beams 1 --seed $((seed % 2)) --log-level quiet >"$tmp/seed$seed" || bad "preview with a seed failed"; done
cmp -s "$tmp/seed1" "$tmp/seed3" || bad "--seed 1 twice: other attempts"
cmp -s "$tmp/seed1" "$tmp/seed2" && bad "--seed 1 and --seed 0: the same attempts"

# Ctrl-C: exit code 75, what to do, and nothing lost.
long=("${align[@]}" --rounds 2 --attempts 200 --max-steps 4 --ask-do-sample --ask-num-beams 1 --output "$tmp/long")
env --default-signal=INT "${long[@]}" >"$tmp/out" 2>"$tmp/err" & pid=$! # a shell's background commands ignore SIGINT
for _ in $(seq 600); do [ -e "$tmp/long/run.db" ] && break; sleep 0.05; done
want 69 "is working on this run" "${long[@]}" # the second process on a run
kill -INT $pid; wait $pid; rc=$?
[ $rc = 75 ] || bad "interrupted: exit code $rc, wanted 75"
grep -q 'run the same command again' "$tmp/err" || bad "does not say how to go on: $(tail -n 1 "$tmp/err")"
want 78 "attempts" "${align[@]}" --rounds 2 --attempts 100 --max-steps 4 --ask-do-sample --ask-num-beams 1 --output "$tmp/long"

run=("${align[@]}" --rounds 1 --attempts 16 --max-steps 4 --stop-novelty 0 --output "$tmp/run")
want 0 "strike lines from .*review.jsonl" "${run[@]}" --review
n=$(wc -l <"$tmp/run/round-1/review.jsonl"); sed -i 1d "$tmp/run/round-1/review.jsonl"
want 0 "struck by a person" "${run[@]}" --review --resume
[ "$(grep -c '"kept": true' "$tmp/run/round-1/generated.jsonl")" = $((n - 1)) ] || bad "the struck line was kept"
want 0 "round 1 *done: 16 attempts, 16 asked" "$ISARA" inspect "$tmp/run"
want 0 "verdict" "$ISARA" inspect "$tmp/run" --replay r1-a3
want 2 "wanted an attempt's id" "$ISARA" inspect "$tmp/run" --replay 17
want 78 '\-\-output .*/run.db: is a file of the run' "$ISARA" export "$tmp/run" --format csv --output "$tmp/run/../run/run.db"
want 2 '\-\-with-seeds: --format dpo has none' "$ISARA" export "$tmp/run" --format dpo --with-seeds
want 2 '\-\-format: wanted messages.*found "yaml"' "$ISARA" export "$tmp/run" --format yaml

# A report, and the run's files against its journal.
printf 'funding: "none"\n' >"$tmp/about.yaml"; printf 'colour: red\n' >"$tmp/wrong.yaml"
want 0 "^$tmp/report" "$ISARA" report "$tmp/run" --about "$tmp/about.yaml" --output "$tmp/report"
grep -q '^conflicts of interest,funding disclosed,yes,none' "$tmp/report/tables/checklist.csv" || bad "the checklist does not have what --about says"
printf 'grid_gco2_per_kwh: low\n' >"$tmp/grid.yaml"
want 78 'grid.yaml: grid_gco2_per_kwh: wanted grams of CO2 as a number (230), found "low"' "$ISARA" report "$tmp/run" --about "$tmp/grid.yaml" --output "$tmp/report"
want 78 'wrong.yaml:1: "colour" is not asked for' "$ISARA" report "$tmp/run" --about "$tmp/wrong.yaml" --output "$tmp/report"
peak() { sed -n 's/.*"peak_resident_mib": \([0-9]*\).*/\1/p' "$tmp/run/metrics.json"; }
most=$(peak); want 0 "aligned model" "${run[@]}" --review --resume # a start that has nothing to do takes less
[ "$(peak)" -ge "$most" ] || bad "the peak of all starts is $(peak) MiB, and was $most"
want 2 "wanted a run directory" "$ISARA" report
want 2 "2 runs: wanted --output" "$ISARA" report "$tmp/run" "$tmp/run"
want 2 "/run/.: is the same run as .*/run; wanted every run once" "$ISARA" report "$tmp/run" "$tmp/run/." --output "$tmp/twice"
want 2 '\-\-output: wanted a directory, found "-"' "$ISARA" report "$tmp/run" --output -
want 0 '^ *"kept": ' "$ISARA" report "$tmp/run" --about "$tmp/about.yaml" --output "$tmp/report" --json
want 0 "0 differences; 1 attempts generated again" "$ISARA" report "$tmp/run" --verify 1
rm "$tmp/report/tables/rounds.csv"; sed -i 's/attempts/attempt/' "$tmp/report/tables/rounds.tex"; sed -i 1d "$tmp/report/generated.jsonl"
for line in "tables/rounds.csv: is not there" "tables/rounds.tex: is not what" "generated.jsonl: is not the files"; do
    want 3 "$line" "$ISARA" report "$tmp/run" --about "$tmp/about.yaml" --output "$tmp/report" --verify 1
done
sed -i 's/"questions_parsed": [0-9]*/"questions_parsed": 99/' "$tmp/run/metrics.json"
want 3 "metrics.json.rounds\[0\].questions_parsed: run.db gives [0-9]*, the file has 99" "$ISARA" report "$tmp/run" --verify 1

# Seeds: one line with the file, the place, what was wanted and found.
cp "$tmp/seeds.jsonl" "$tmp/twice.jsonl"; head -n 1 "$tmp/seeds.jsonl" >>"$tmp/twice.jsonl"
want 65 "twice.jsonl: duplicate question: line 1 again on line 25" "$ISARA" align --model $m --seeds "$tmp/twice.jsonl" --output "$tmp/no"
echo '{"question":"Why?","answer":"  "}' >"$tmp/empty.jsonl"
want 65 "empty.jsonl:1" "$ISARA" align --model $m --seeds "$tmp/empty.jsonl" --output "$tmp/no"
printf '{"question":"Why?","answer":"\xff"}\n' >"$tmp/utf8.jsonl"
want 65 "utf8.jsonl:1" "$ISARA" align --model $m --seeds "$tmp/utf8.jsonl" --output "$tmp/no"
head -n 3 "$tmp/seeds.jsonl" >"$tmp/few.jsonl"
want 65 "wanted at least 6" "$ISARA" align --model $m --seeds "$tmp/few.jsonl" --output "$tmp/no"
want 66 "nowhere.jsonl" "$ISARA" align --model $m --seeds /nowhere.jsonl --output "$tmp/no"
want 2 "wanted num_beams 1" "$ISARA" align --model $m --seeds "$tmp/seeds.jsonl" --ask-do-sample --num-beams 5 --output "$tmp/no"
# What the run refuses, --dry-run refuses.
want 65 "twice.jsonl: duplicate question: line 1 again on line 25" "$ISARA" align --model $m --seeds "$tmp/twice.jsonl" --dry-run
want 66 "nowhere" "$ISARA" align --model $m --seeds "$tmp/seeds.jsonl" --test "$tmp/seeds.jsonl" --judge /nowhere --dry-run
long=$(printf 'word%.0s ' $(seq 2000)); printf '{"question":"Why?","answer":"%s"}\n' "$long" | cat "$tmp/seeds.jsonl" - >"$tmp/long.jsonl"
want 65 "long.jsonl:25: the pair has .* does not fit into the model's context" "$ISARA" align --model $m --seeds "$tmp/long.jsonl" --dry-run
want 0 "warning: --k 20: about [0-9]* pairs of the seeds' mean length" "$ISARA" align --model $m --seeds "$tmp/seeds.jsonl" --holdout 2 --k 20 --answer-max-new-tokens 200 --dry-run
# A run's own list of options is one: the same run again, but for its place.
want 0 "round-1" "$ISARA" align --config "$tmp/run/config.resolved.json" --output "$tmp/again"
cmp "$tmp/run/config.resolved.json" "$tmp/again/config.resolved.json" || bad "config.resolved.json does not give itself again"
want 0 "/again: continuing" "$ISARA" align --config "$tmp/again/config.resolved.json" --output "$tmp/again"
want 78 "what is read would be written over" "$ISARA" align --model $m --seeds "$tmp/again/metrics.json" --output "$tmp/again"
cmp "$tmp/run/config.resolved.json" "$tmp/again/config.resolved.json" || bad "going on by a run's own settings changes them"
# What stands before {q} stands before what is asked for.
printf '{"pair": "user\\n{q}\\nme\\n{a}"}' >"$tmp/template.json"
out=$("${align[@]}" --template "$tmp/template.json" --preview 1 2>/dev/null); grep -qz 'user'$'\n\n''--- question' <<<"$out" || bad "the derived ask lost its line feed"
[ ! -e "$tmp/no/run.db" ] || bad "a run was begun with bad seeds"
exit $fails
