#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# isara align by several processes under MPI, without room on the disk under run.db, then stopped by signals to mpirun, that goes on each time with another number of
# them leaves the run directory of one process: attempts, models, evaluation, journal.
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

at="$tmp/disk/run"
if disk 136k; then
  ranks 2 $align --output "$at" >"$tmp/log" 2>&1; rc=$?
  [ $rc = 74 ] && [ ! -e "$at/round-1" ] || say "a full disk: exit code $rc, left are $(ls "$at")"
  one_line "a full disk" "rank 0 on $(uname -n): .*run.db: the disk is full; make room and run the same command again"
  disk 100m
fi
# stops MPI N FILE: a run by so many is stopped by a signal to mpirun, once this file has a line: Open MPI by SIGUSR1, MPICH by SIGTERM (docs/SCALE.md)
stops() {
  local signal=USR1; [ $1 = openmpi ] || signal=TERM
  : >"$tmp/log"
  $(launcher $1) -n $2 "$(program $1)" $align --threads 1 --output "$at" >"$tmp/log" 2>&1 & pid=$!
  until_lines 0 "$3" $pid
  kill -$signal $pid; wait $pid; rc=$?
  [ $rc = 0 -a $1 = mpich ] && rc=75 # MPICH 4.0's mpirun ends with 0 from time to time
  [ $rc = 75 ] || say "$1, $signal to mpirun of $2 ranks: exit code $rc, $(cat "$tmp/log")"
  one_line "$1, $signal to mpirun of $2 ranks" "interrupted by SIG$signal"
}
stops $(mpis | head -n 1) 3 "$tmp/log" # while it asks
[ ! -e "$at/round-1/model/log.jsonl" ] || say "3 ranks were stopped too late: $(cat "$tmp/log")"
stops $(mpis | tail -n 1) 2 "$at/round-1/model/log.jsonl"
ranks 3 $align --output "$at" >"$tmp/log" 2>&1
grep -q "decoding rows by rank: [1-9][0-9]*, [1-9][0-9]*, [1-9]" "$tmp/log" || say "3 ranks: not all took part: $(cat "$tmp/log")"
same "$at" "no room, stopped at 3 ranks and at 2, on with 3"

ranks 2 ${align/--gradient-leaves 4/} --output "$tmp/bad" >"$tmp/log" 2>&1; rc=$?
[ $rc = 2 ] && grep -q "^isara align: .*2 processes share the 1 leaves.*--gradient-leaves" "$tmp/log" || say "2 ranks and one leaf: exit code $rc, $(cat "$tmp/log")"
exit $fails
