#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The cable between two hosts is cut: one line names the rank, its host and the reason, all ranks end and so does mpirun, which would wait for its daemon on the other
# host; the same command goes on from what is saved, with another number of ranks, and leaves the bytes of one process. tools/two-hosts plays the hosts.
set -u
. tests/ranks.sh
common="--model models/miniature-small --data models/seeds.jsonl --per-device-train-batch-size 8 --gradient-accumulation-steps 1 --learning-rate 1e-3 --seed 3 --gradient-leaves 2 --max-length 64 --dtype f32 --max-steps 8 --save-steps 1 --threads 1"
sums() { (cd "$1" && sha256sum $(ls *.safetensors log.jsonl | grep -v checkpoint)); }

# At once, since they wait most of the time. A job has ended when nobody holds its output any more.
for mpi in $(mpis); do
  ( { TMPDIR="$tmp" ISARA_RANK_SILENCE=2 timeout -k 1 40 tools/two-hosts --mpi $mpi --cut "$tmp/$mpi/checkpoint.safetensors" 2 "$(program $mpi)" train $common --output "$tmp/$mpi" 2>&1; echo "exit code $?"; } | timeout 45 cat >"$tmp/log-$mpi" || echo "held open" >>"$tmp/log-$mpi" ) &
done
$ISARA train $common --output "$tmp/alone" >"$tmp/log" 2>&1 || say "one process: $(tail -1 "$tmp/log")"
sums "$tmp/alone" >"$tmp/wanted"
wait
pkill -f -- "$tmp/"
skipped=0
for mpi in $(mpis); do
  log="$tmp/log-$mpi"
  if grep -q "exit code 77" "$log"; then grep "^skipped: " "$log"; skipped=$((skipped + 1)); continue; fi
  grep -qE "exit code (0|124)$" "$log" && say "$mpi: the cable is cut and the job ends well, or not at all: $(cat "$log")"
  [ "$(grep -c '^isara' "$log")" = 1 ] && grep -q "^isara: rank 1 on isara-b has not been heard of for 2 s (stopped, or its link is cut)" "$log" || say "$mpi: wanted one line that names rank 1 on isara-b, found: $(cat "$log")"
  grep -q "^held open" "$log" && say "$mpi: a process of the job is still there"
  seconds=$(sed -n 's/.*mpirun ended \([0-9.]*\) s behind the cut/\1/p' "$log")
  awk -v s="${seconds:-99}" 'BEGIN { exit !(s < 16) }' || say "$mpi: wanted mpirun to end 11 s behind the cut: $(cat "$log")" # 15 s of silence make that 24
  start $mpi 1 train $common --output "$tmp/$mpi" >"$tmp/log" 2>&1 || say "$mpi, on with one rank: $(tail -3 "$tmp/log")"
  sums "$tmp/$mpi" | cmp -s - "$tmp/wanted" || say "$mpi, on with one rank: $(sums "$tmp/$mpi" | diff - "$tmp/wanted")"
done
[ $skipped -lt "$(mpis | wc -l)" ] || exit 77
exit $fails
