#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A rank that is killed or stopped, or has no memory or no room on the disk, ends the job with one line that names it, its host and the reason, and signals to mpirun
# end it in peace; the same command goes on, with another number of ranks too, and leaves the bytes of one process. KILLS=100 KILL_SEED=7: as many ranks, chosen at
# random, are killed at random moments, the runs of one such sequence.
set -u
. tests/ranks.sh
host=$(uname -n) steps=12
mkdir "$tmp/tiny"; cp models/miniature-small/*.json "$tmp/tiny"
sed -i 's/"hidden_size": 128/"hidden_size": 32/; s/"intermediate_size": 320/"intermediate_size": 64/; s/"head_dim": 32/"head_dim": 8/' "$tmp/tiny/config.json"
rows="--data models/seeds.jsonl --per-device-train-batch-size 5 --gradient-accumulation-steps 1 --learning-rate 1e-3 --seed 3 --gradient-leaves 4 --max-length 64 --dtype f32 --max-steps $steps --save-steps 1"
small="--model models/miniature-small $rows"
common="$small --init $tmp/tiny/config.json"
sums() { (cd "$1" && sha256sum $(ls *.safetensors log.jsonl | grep -v checkpoint)); }
$ISARA train $common --threads 1 --output "$tmp/alone" >"$tmp/log" 2>&1 || say "one process: $(tail -1 "$tmp/log")"
sums "$tmp/alone" >"$tmp/wanted"

# ends_as_alone WHAT MPI N DIRECTORY: the same command, to the end.
ends_as_alone() {
  start $2 $3 train $common --save-steps 0 --output "$4" >"$tmp/log" 2>&1 || { say "$1, on with $3 ranks: $(tail -12 "$tmp/log")"; return; }
  sums "$4" | cmp -s - "$tmp/wanted" || say "$1, on with $3 ranks: $(sums "$4" | diff - "$tmp/wanted"; diff "$4/log.jsonl" "$tmp/alone/log.jsonl" | head -n 2)"
}

# A model of which one rank reads another bit.
cp -r models/miniature-small "$tmp/other"
printf '\001' | dd of="$tmp/other/model.safetensors" bs=1 seek=$(($(stat -c %s "$tmp/other/model.safetensors") - 1000)) conv=notrunc 2>/dev/null
for mpi in $(mpis | head -n 1); do
  timeout -k 1 60 $(launcher $mpi) -n 1 "$(program $mpi)" train $small --threads 1 --output "$tmp/bad" : -n 1 "$(program $mpi)" train ${small/models\/miniature-small/$tmp/other} --threads 1 --output "$tmp/bad" >"$tmp/log" 2>&1; rc=$?
  [ $rc = 78 ] || say "$mpi: another model on rank 1: exit code $rc"
  one_line "$mpi: another model on rank 1" "rank 1 on $host: .*not those of rank 0 (model)"
done

# A rank that does not come: nobody is watched yet, and MPI waits for it.
if [ -f "$PWD/$BUILD/tests/preload/stuck_start.so" ]; then
  LD_PRELOAD="$PWD/$BUILD/tests/preload/stuck_start.so" ISARA_RANK_SILENCE=0.3 start $(mpis | head -n 1) 2 train $common --output "$tmp/stuck" >"$tmp/log" 2>&1; rc=$?
  [ $rc = 69 ] || say "a rank that does not come: exit code $rc, $(cat "$tmp/log")"
  one_line "a rank that does not come" "rank 0 on $host: not all ranks have answered"
fi

# A rank without memory: nothing of more than MALLOC_FAIL_ABOVE bytes.
cat >"$tmp/limited" <<'L'
#!/bin/bash
[ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" = 1 ] || exec "$@"
LD_PRELOAD="$LIMIT" MALLOC_FAIL_ABOVE=1000000 exec "$@"
L
chmod +x "$tmp/limited"
for mpi in $(mpis); do
  SECONDS=0
  LIMIT="$PWD/$BUILD/tests/preload/failing_malloc.so" timeout -k 1 60 $(launcher $mpi) -n 2 "$tmp/limited" "$(program $mpi)" train $small --threads 1 --output "$tmp/limited-$mpi" >"$tmp/log" 2>&1; rc=$?
  [ $rc = 70 ] && [ $SECONDS -lt 30 ] || say "$mpi: rank 1 without memory: exit code $rc after $SECONDS s"
  one_line "$mpi: rank 1 without memory" "rank 1 on $host: out of memory"
done

# One training under each MPI goes through all that follows, by one number of ranks after the other, and slowly, so that each time it is caught before its end.
slow=$PWD/$BUILD/tests/preload/slow_sync.so
# No room for rank 0's second checkpoint: full MPI N
full() {
  SECONDS=0
  start $1 $2 train $common --output "$at" >"$tmp/log" 2>&1; rc=$?
  [ $rc = 74 ] && [ $SECONDS -lt 30 ] && [ -s "$at/checkpoint.safetensors" ] || say "$1: a full disk: exit code $rc after $SECONDS s, left are $(ls "$at")"
  one_line "$1: a full disk" "rank 0 on $host.*checkpoint.safetensors: the disk is full"
}
# A rank that stands still: stopped MPI N RANK
stopped() {
  before=$(lines "$at/log.jsonl")
  LD_PRELOAD="$slow" ISARA_RANK_SILENCE=3 start $1 $2 train $common --output "$at" >"$tmp/log" 2>&1 & pid=$!
  until_lines $before "$at/log.jsonl" $pid
  kill -STOP "$(rank_pid $3 "--output $at")" || say "$1: the job ended before it could be stopped"
  wait $pid && say "$1: rank $3 is stopped and the job ends well"
  one_line "$1: rank $3 is stopped" "rank $3 on $host has not been heard of for 3 s"
}
# Signals to mpirun reach all ranks, which save and end with 75. That is mpirun's exit code too, but Open MPI's ends with 1 behind SIGTERM (and SIGINT) and may kill who
# has not saved by then, unless a shell makes SIGUSR1 of it (docs/SCALE.md): signalled MPI N SIGNAL CODE COMMAND...
signalled() {
  local mpi=$1 n=$2 signal=$3 wanted=$4; shift 4
  before=$(lines "$at/log.jsonl")
  env LD_PRELOAD="$slow" "$@" $(launcher $mpi) -n $n "$(program $mpi)" train $common --threads 1 --output "$at" >"$tmp/log" 2>&1 & pid=$!
  until_lines $before "$at/log.jsonl" $pid
  kill -$signal $pid
  wait $pid; rc=$?
  [ $rc = 0 -a $mpi = mpich ] && rc=75 # MPICH 4.0's mpirun ends with 0 from time to time
  [ $rc = $wanted ] && [ -s "$at/checkpoint.safetensors" ] || say "$mpi, $signal to mpirun: exit code $rc, wanted $wanted and a checkpoint: $(tail -3 "$tmp/log")"
  [ $wanted != 75 ] || one_line "$mpi, $signal to mpirun" "the same command goes on"
}
patient='set -m; trap "kill -USR1 \$!" INT TERM; "$@" & wait $!; wait $!'
for mpi in $(mpis); do
  at="$tmp/disk/$mpi"
  if disk 2m; then full $mpi 2; disk 100m; fi
  case $mpi in
    openmpi)
      stopped $mpi 3 1
      signalled $mpi 2 TERM 75 bash -c "$patient" patient
      signalled $mpi 3 TERM 1
      next=4 ;;
    mpich)
      stopped $mpi 3 0
      signalled $mpi 2 TERM 75
      signalled $mpi 3 USR1 75
      next=1 ;;
  esac
  # On to the end, on what answers as NFS does, which is told once.
  [ ! -f "$PWD/$BUILD/tests/preload/as_nfs.so" ] || export LD_PRELOAD="$PWD/$BUILD/tests/preload/as_nfs.so" AS_NFS="$at"
  ends_as_alone "$mpi: no room, stopped, signalled" $mpi $next "$at"
  [ -z "${LD_PRELOAD:-}" ] || [ "$(grep -c "on a network file system (NFS)" "$tmp/log")" = 1 ] || say "$mpi on NFS: wanted one warning: $(cat "$tmp/log")"
  unset LD_PRELOAD AS_NFS
  rm -rf "$at"
done

# Killed.
RANDOM=${KILL_SEED:-$$}
echo "KILL_SEED=${KILL_SEED:-$$}"
for i in $(seq "${KILLS:-1}"); do
  for mpi in $(mpis | sed -n "$((RANDOM % $(mpis | wc -l) + 1))p"); do
    # moment: behind that step, or so many hundredths of a second less than 10 behind the directory's coming
    n=$((RANDOM % 3 + 2)) rank=$((RANDOM % n)) moment=$((RANDOM % (steps + 10) - 10)) next=$((RANDOM % 4 + 1)) what="$mpi, kill $i, rank $rank of $n, moment $moment"
    start $mpi $n train $common --output "$tmp/kill" >"$tmp/log" 2>&1 & pid=$!
    victim=; while [ -z "$victim" ] && kill -0 $pid; do nap 0.02; [ ! -e "$tmp/kill" ] || victim=$(rank_pid $rank "--output $tmp/kill"); done
    if [ $moment -lt 0 ]; then nap "0.0$((moment + 10))"; else until_lines $moment "$tmp/kill/log.jsonl" $pid; fi
    if kill -9 "$victim" 2>/dev/null; then
      wait $pid && say "$what: the job ends well"
      grep -q "; model in" "$tmp/log" || one_line "$what" "rank $rank on $host has ended without a word" # unless all was done
    else
      wait $pid || say "$what: it had not been killed: $(tail -3 "$tmp/log")"
    fi
    ends_as_alone "$what" $mpi $next "$tmp/kill"
    rm -rf "$tmp/kill"
  done
done
exit $fails
