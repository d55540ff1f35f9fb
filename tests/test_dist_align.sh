#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# isara align by 3 processes under MPI, stopped by a signal to one, that goes on with 2 leaves the run directory of one process: attempts, models, evaluation, journal.
set -u
. tests/ranks.sh

head -n 28 models/seeds.jsonl >"$tmp/seeds.jsonl"
align="align --model models/miniature-small --seeds $tmp/seeds.jsonl --holdout 4 --attempts 8 --rounds 2 --k 3 --gradient-leaves 4 --ask-max-new-tokens 32 --answer-max-new-tokens 48
  --per-device-train-batch-size 8 --gradient-accumulation-steps 1 --max-steps 1 --stop-novelty 0 --score context-gain --tune-loss soft --on-policy"
# Everything but times, memory and the names of event files; lines that stand in the order in which they were finished are sorted.
digest() { (cd "$1" && find . -type f ! -name 'run.*' ! -name metrics.json ! -name manifest.json ! -name summary.txt ! -name 'events.*' | sort | while read -r f; do
  echo "$f $(case $f in *student.jsonl) sort "$f" ;; *) cat "$f" ;; esac | sha256sum)"; done); }
$ISARA $align --threads 1 --output "$tmp/alone" >"$tmp/log" 2>&1 || say "one process: $(tail -2 "$tmp/log")"
digest "$tmp/alone" >"$tmp/wanted"
grep -q "round-2/model/model.safetensors" "$tmp/wanted" && grep -q student "$tmp/wanted" || say "wanted two tuned models and a student's answers, found $(cat "$tmp/wanted" "$tmp/log")"
same() { digest "$1" | diff - "$tmp/wanted" >"$tmp/diff" || say "$2: $(cat "$tmp/diff"; tail -3 "$tmp/log")"; }

ranks 3 $align --output "$tmp/stopped" >"$tmp/log" 2>&1 & pid=$!
for i in $(seq 500); do [ -s "$tmp/stopped/round-1/model/log.jsonl" ] && break; sleep 0.01; done
kill -TERM "$(rank_pid 1 "--output $tmp/stopped")"
wait $pid; rc=$?
[ $rc = 75 ] || say "SIGTERM to one of 3 ranks: exit code $rc, $(cat "$tmp/log")"
grep -q "decoding rows by rank: [1-9][0-9]*, [1-9][0-9]*, [1-9]" "$tmp/log" || say "3 ranks: not all took part: $(cat "$tmp/log")"
ranks 2 $align --output "$tmp/stopped" >"$tmp/log" 2>&1
same "$tmp/stopped" "stopped at 3 ranks, on with 2"

ranks 2 ${align/--gradient-leaves 4/} --output "$tmp/bad" >"$tmp/log" 2>&1; rc=$?
[ $rc = 2 ] && grep -q "^isara align: .*2 processes share the 1 leaves.*--gradient-leaves" "$tmp/log" || say "2 ranks and one leaf: exit code $rc, $(cat "$tmp/log")"
exit $fails
