#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A rank that is killed or stopped ends the job with one line that names it, its host and the reason; the same command goes on, with another number of ranks too,
# and leaves the bytes of one process. KILLS=100 KILL_SEED=7: as many ranks, chosen at random, are killed at random moments, the runs of one such sequence.
set -u
. tests/ranks.sh
host=$(uname -n)
common="--model models/miniature-small --data models/seeds.jsonl --per-device-train-batch-size 8 --gradient-accumulation-steps 1 --learning-rate 1e-3 --seed 3 --gradient-leaves 4 --max-length 128 --dtype f32 --max-steps 6 --save-steps 1"
sums() { (cd "$1" && sha256sum $(ls *.safetensors log.jsonl | grep -v checkpoint)); }
$ISARA train $common --threads 1 --output "$tmp/alone" >"$tmp/log" 2>&1 || say "one process: $(tail -1 "$tmp/log")"
sums "$tmp/alone" >"$tmp/wanted"

# one_line WHAT PATTERN: what isara itself says at the end is one line.
one_line() { [ "$(grep -c '^isara' "$tmp/log")" = 1 ] && grep -q "^isara.*$2" "$tmp/log" || say "$1: wanted one line with '$2', found: $(cat "$tmp/log")"; }
# goes_on WHAT MPI N DIRECTORY
goes_on() {
  start $2 $3 train $common --output "$4" >"$tmp/log" 2>&1 || { say "$1, on with $3 ranks: $(tail -12 "$tmp/log")"; return; }
  sums "$4" | cmp -s - "$tmp/wanted" || say "$1, on with $3 ranks: $(sums "$4" | diff - "$tmp/wanted")"
}

# Stopped: rank 0 of one MPI, rank 1 of the other.
for mpi in $(mpis); do
  case $mpi in openmpi) rank=1 ;; *) rank=0 ;; esac
  ISARA_RANK_SILENCE=3 start $mpi 2 train $common --output "$tmp/$mpi" >"$tmp/log" 2>&1 & pid=$!
  for i in $(seq 400); do victim=$(rank_pid $rank "--output $tmp/$mpi"); [ -n "$victim" ] && [ -e "$tmp/$mpi" ] && break; sleep 0.02; done
  kill -STOP "$victim" || say "$mpi: the job ended before it could be stopped"
  wait $pid && say "$mpi: rank $rank is stopped and the job ends well"
  one_line "$mpi: rank $rank is stopped" "rank $rank on $host has not been heard of for 3 s"
done
# ... on what answers as NFS does, which is told once.
[ ! -f "$PWD/$BUILD/tests/preload/as_nfs.so" ] || export LD_PRELOAD="$PWD/$BUILD/tests/preload/as_nfs.so" AS_NFS="$tmp/$mpi"
goes_on "$mpi: rank $rank stopped" $mpi 3 "$tmp/$mpi"
[ -z "${LD_PRELOAD:-}" ] || [ "$(grep -c "on a network file system (NFS)" "$tmp/log")" = 1 ] || say "3 ranks on NFS: wanted one warning: $(cat "$tmp/log")"
unset LD_PRELOAD AS_NFS

# SIGUSR1 to mpirun reaches all ranks and leaves them time to save: the exit code of Open MPI's is theirs.
for mpi in $(mpis); do
  start $mpi 2 train ${common/--max-steps 6/--max-steps 4000} --output "$tmp/$mpi-signal" >"$tmp/log" 2>&1 & pid=$!
  for i in $(seq 400); do [ -s "$tmp/$mpi-signal/log.jsonl" ] && break; sleep 0.02; done
  for p in $(pgrep -f "mpirun.$mpi .*--output $tmp/$mpi-signal"); do [ "$(cat /proc/$p/comm)" != "mpirun.$mpi" ] || kill -USR1 $p; done
  wait $pid; rc=$?
  [ $rc = 75 -o $mpi = mpich ] && [ -s "$tmp/$mpi-signal/checkpoint.safetensors" ] || say "$mpi: SIGUSR1 to mpirun: exit code $rc, $(tail -3 "$tmp/log")"
done

# Killed.
RANDOM=${KILL_SEED:-$$}
echo "KILL_SEED=${KILL_SEED:-$$}"
for i in $(seq "${KILLS:-1}"); do
  for mpi in $(mpis | sed -n "$((RANDOM % $(mpis | wc -l) + 1))p"); do
    n=$((RANDOM % 3 + 2)) rank=$((RANDOM % n)) moment=$((RANDOM % 100)) next=$((RANDOM % 4 + 1)) what="$mpi, kill $i, rank $rank of $n, moment $moment"
    start $mpi $n train $common --output "$tmp/kill" >"$tmp/log" 2>&1 & pid=$!
    for j in $(seq 400); do victim=$(rank_pid $rank "--output $tmp/kill"); [ -n "$victim" ] && [ -e "$tmp/kill" ] && break; sleep 0.02; done
    sleep "0.$(printf %02d $moment)"
    if kill -9 "$victim" 2>/dev/null; then
      wait $pid && say "$what: the job ends well"
      one_line "$what" "rank $rank on $host has ended without a word"
    else
      wait $pid || say "$what: it had not been killed: $(tail -3 "$tmp/log")"
    fi
    goes_on "$what" $mpi $next "$tmp/kill"
    rm -rf "$tmp/kill"
  done
done
exit $fails
