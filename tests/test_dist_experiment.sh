#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# isara experiment and eval by several processes under MPI give the results of one process.
set -u
. tests/ranks.sh

head -n 8 models/test.jsonl >"$tmp/test.jsonl"
head -n 24 models/seeds.jsonl >"$tmp/seeds.jsonl"
cat >"$tmp/e.yaml" <<Y
model: $PWD/models/miniature-small
seeds: seeds.jsonl
test: test.jsonl
random_seeds: [0]
holdout: 4
rounds: 1
attempts: 6
k: 2
max-steps: 1
gradient-leaves: 4
per-device-train-batch-size: 8
gradient-accumulation-steps: 1
ask-max-new-tokens: 32
answer-max-new-tokens: 48
eval-max-new-tokens: 8
stop-novelty: 0
arms: [pretrained, sft-seeds, isara]
control: [pretrained]
metrics: [qa]
Y
# What does not say when it was made.
digest() { (cd "$1" && find results.json report.html tables work -type f ! -path '*/eval/*' ! -name 'run.*' ! -name done.json ! -name metrics.json ! -name manifest.json ! -name summary.txt \
  ! -name 'events.*' | sort | xargs sha256sum); }
$ISARA experiment "$tmp/e.yaml" --output "$tmp/alone" --threads 1 >"$tmp/log" 2>&1 || say "one process: $(tail -2 "$tmp/log")"
digest "$tmp/alone" >"$tmp/wanted"
grep -q "round-1/model/model.safetensors" "$tmp/wanted" || say "wanted a tuned model, found $(cat "$tmp/wanted" "$tmp/log")"
# Two groups, of two ranks and of one; each job is somebody's, and what a killed run took is free again.
for job in "$tmp"/alone/work/*/job.json; do mkdir -p "$tmp/three/work/$(basename "$(dirname "$job")")"; done
for job in "$tmp"/three/work/*; do touch "$job/taken"; done
# Where the preload is built, on what says that it is NFS, which one process of all tells.
so=$PWD/$BUILD/tests/preload/as_nfs.so
[ -f "$so" ] || so=
LD_PRELOAD="$so" AS_NFS="$tmp" ranks 3 experiment "$tmp/e.yaml" --ranks-per-arm 2 --output "$tmp/three" >"$tmp/log" 2>&1 || say "3 ranks: $(tail -3 "$tmp/log")"
[ -z "$so" ] || [ "$(grep -c "is on a network file system" "$tmp/log")" = 1 ] || say "3 ranks: wanted one warning: $(cat "$tmp/log")"
digest "$tmp/three" | grep -v '/\.lock$' | diff - "$tmp/wanted" || say "3 ranks: other results" # a network file system is locked by files
[ "$(find "$tmp/three" -name 'events.*' | sed 's/.*\.\([0-9]*\)\.0$/\1/' | sort -u | wc -l)" = 2 ] || say "wanted two trainings by two groups, found $(find "$tmp/three" -name 'events.*')"
[ "$(grep -c '^arm ' "$tmp/log")" = "$(grep -c '^arm ' <($ISARA experiment "$tmp/e.yaml" --output "$tmp/alone" --threads 1 2>/dev/null))" ] || say "not one table: $(cat "$tmp/log")"

qa="eval --task qa --model models/miniature-small --test $tmp/test.jsonl --seeds $tmp/seeds.jsonl --arm icl-knn --k 2 --max-new-tokens 8 --json"
$ISARA $qa --threads 1 >"$tmp/qa" 2>/dev/null
sed 's/"question"/"prompt"/' "$tmp/test.jsonl" >"$tmp/prompts.jsonl"
judge="eval --task beavertails --model models/miniature-small --judge models/miniature-judge --test $tmp/prompts.jsonl --max-new-tokens 8 --json"
$ISARA $judge --threads 1 >"$tmp/judged" 2>/dev/null
answers() { sed 's/^{"question"/{"generator": "'$1'", "instruction"/; s/"answer": *"/&'"$2"'/; s/"answer"/"output"/' "$tmp/test.jsonl"; }
answers a "" >"$tmp/a.jsonl"; answers b "No. " >"$tmp/b.jsonl"
pairs="eval --task alpaca-eval --judge models/miniature --reference $tmp/a.jsonl --input $tmp/b.jsonl --json"
$ISARA $pairs --threads 1 >"$tmp/pairs" 2>/dev/null
[ -s "$tmp/pairs" ] && [ -s "$tmp/judged" ] && [ -s "$tmp/qa" ] || say "eval says nothing"
ranks 3 $judge 2>"$tmp/log" | cmp - "$tmp/judged" || say "eval with a judge, 3 ranks: $(cat "$tmp/log")"
ranks 3 $pairs 2>"$tmp/log" | cmp - "$tmp/pairs" || say "eval with a model that compares, 3 ranks: $(cat "$tmp/log")"
ranks 2 $qa 2>"$tmp/log" | cmp - "$tmp/qa" || say "eval, 2 ranks: $(cat "$tmp/log")"
exit $fails
