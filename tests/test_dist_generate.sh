#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# isara generate, score and embed by 2 and 3 processes under MPI write the bytes of one process; without room on the disk, killed or stopped by a signal to one
# rank, a run goes on with another number of them; a rank that reads another model ends all with one line.
set -u
. tests/ranks.sh
mpi=$(mpis | head -n 1) launch=$(launcher $mpi) program=$(program $mpi)
model=models/miniature-small

# Greedy, sampled, with beams, of which several are wanted, with a stop text and with rules; two records fail.
awk '{ more = ""
  if (NR % 5 == 1) more = ", \"num_beams\": 3, \"num_return_sequences\": 2"
  if (NR % 5 == 2) more = ", \"do_sample\": true, \"temperature\": 0.9"
  if (NR % 5 == 3) more = ", \"stop\": [\"e\"], \"max_new_tokens\": 31"
  if (NR % 5 == 4) more = ", \"repetition_penalty\": 1.2"
  if (NR == 17) more = ", \"max_new_tokens\": 100000"
  if (NR == 23) more = ", \"no_such\": 1, \"num_beams\": 0"
  sub(/}$/, more "}"); print }' models/seeds.jsonl >"$tmp/in.jsonl"
generate="generate --model $model --input $tmp/in.jsonl --max-new-tokens 24 --seed 5"
$ISARA $generate --threads 1 --output "$tmp/alone.jsonl" >"$tmp/log" 2>&1
[ "$(grep -c '"error"' "$tmp/alone.jsonl")" = 2 ] || say "wanted two records that fail: $(tail -2 "$tmp/log")"
for n in 2 3; do
  if [ $n = 3 ]; then ranks $n $generate --output "$tmp/$n.jsonl" >"$tmp/log" 2>&1; else
    timeout -k 1 60 $launch -n $n "$program" $generate --log-level debug --output "$tmp/$n.jsonl" >"$tmp/log" 2>&1 # threads: its part of the processors
    grep -q " on $(($(nproc) > 1 ? $(nproc) / 2 : 1)) threads" "$tmp/log" || say "2 ranks on $(nproc) processors: $(grep threads "$tmp/log")"
  fi
  cmp "$tmp/$n.jsonl" "$tmp/alone.jsonl" || say "generate, $n ranks: $(tail -3 "$tmp/log")"
  grep -q "decoding rows by rank: [1-9][0-9]*, [1-9]" "$tmp/log" || say "generate, $n ranks: not all took part: $(cat "$tmp/log")"
done

for verb in score embed; do
  $ISARA $verb --model $model --input models/seeds.jsonl --threads 1 --output "$tmp/$verb-alone" >"$tmp/log" 2>&1
  ranks 3 $verb --model $model --input models/seeds.jsonl --output "$tmp/$verb-3" >"$tmp/log" 2>&1
  cmp "$tmp/$verb-alone" "$tmp/$verb-3" || say "$verb, 3 ranks: $(tail -3 "$tmp/log")"
done

# With 2 ranks on a disk that is full, killed with 3, stopped by a signal to one of 2, on with one process: nothing that was written is lost or done otherwise.
disk 8k && full=yes || full=
long="generate --model $model --input $tmp/long.jsonl --num-beams 2 --output $tmp/disk/long"
awk '{ sub(/}$/, ", \"max_new_tokens\": " 4 + NR "}"); print }' models/seeds.jsonl >"$tmp/long.jsonl"
$ISARA ${long/%disk\/long/whole} --threads 1 >/dev/null 2>&1
if [ -n "$full" ]; then
  ranks 2 $long >"$tmp/log" 2>&1; rc=$?
  [ $rc = 74 ] && [ -s "$tmp/disk/long.partial" ] || say "a full disk: exit code $rc, left are $(ls "$tmp/disk")"
  one_line "a full disk" "rank 0 on $(uname -n): .*long.partial: .*No space left"
  disk 10m
fi
end() { # SIGNAL: to rank 1, once five more records are written
  until_lines $(($(lines "$tmp/disk/long.partial") + 5)) "$tmp/disk/long.partial" $pid
  kill -$1 "$(rank_pid 1 "--output $tmp/disk/long")"; }
slow=$PWD/$BUILD/tests/preload/slow_write.so # each record takes a while, so that all is caught before its end
LD_PRELOAD="$slow" ranks 3 $long >"$tmp/log" 2>&1 & pid=$!
end KILL; wait $pid 2>/dev/null
LD_PRELOAD="$slow" ranks 2 $long >"$tmp/log" 2>&1 & pid=$!
end TERM; wait $pid; rc=$?
[ $rc = 75 ] || say "SIGTERM to one of two ranks: exit code $rc, $(cat "$tmp/log")"
$ISARA $long --threads 1 >"$tmp/log" 2>&1
cmp "$tmp/disk/long" "$tmp/whole" || say "a full disk with 2 ranks, killed at 3, stopped at 2, on with one process: $(tail -3 "$tmp/log")"
grep -q "[1-9][0-9]* of 64 records are already done" "$tmp/log" || say "nothing was written: $(cat "$tmp/log")"

# What fails on a rank is told once, by its name.
cp -r $model "$tmp/same"; cp -r models/miniature-small "$tmp/other"; sed -i 's/"max_new_tokens": *[0-9]*/"max_new_tokens": 7/; s/}$/, "x": 1}/' "$tmp/other/config.json"
mkdir "$tmp/a" "$tmp/b"; mv "$tmp/same" "$tmp/a/m"; mv "$tmp/other" "$tmp/b/m"
in="--input $PWD/models/seeds.jsonl --output $tmp/bad --threads 1"
timeout 30 $launch -n 1 -wdir "$tmp/a" "$program" score --model m $in : -n 1 -wdir "$tmp/b" "$program" score --model m $in >"$tmp/log" 2>&1
rc=$?
[ $rc = 78 ] && [ "$(grep -c '^isara' "$tmp/log")" = 1 ] && grep -q "isara score: rank 1 on .*m: is not the model that rank 0 reads" "$tmp/log" || say "another model on rank 1: exit code $rc, $(cat "$tmp/log")"
ranks 2 generate --no-such 1 >"$tmp/log" 2>&1; rc=$?
[ $rc = 2 ] && [ "$(grep -c '^isara' "$tmp/log")" = 1 ] || say "no such option: exit code $rc, $(cat "$tmp/log")"
exit $fails
