#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two hosts, which this machine plays (tools/two-hosts: two network namespaces, a cable of 1 ms and 100 Mbit/s), write the bytes of one process, under each MPI that is here:
# a training, generated texts, an alignment. What the cable carried is what the ranks had to send, so that they were on two hosts.
set -u
. tests/ranks.sh
[ "$(uname -s)" = Linux ] || { echo "skipped: network namespaces are Linux's"; exit 77; }
head -n 28 models/seeds.jsonl >"$tmp/seeds.jsonl"
head -n 12 models/seeds.jsonl >"$tmp/in.jsonl"
model="--model models/miniature-small" rows="--per-device-train-batch-size 4 --gradient-accumulation-steps 1 --gradient-leaves 2"
train="train $model --data $tmp/in.jsonl $rows --max-steps 2 --learning-rate 1e-3"
generate="generate $model --input $tmp/in.jsonl --max-new-tokens 12 --num-beams 2"
align="align $model --seeds $tmp/seeds.jsonl --attempts 4 --rounds 1 --k 3 $rows --max-steps 1 --stop-novelty 0"
sums() { (cd "$tmp" && sha256sum $1-train/{model.safetensors,log.jsonl} $1-generate.jsonl $1-align/round-1/{generated.jsonl,model/model.safetensors} | sed "s/ $1-/ /"); }
both() { # NAME COMMAND...: with each verb
  local name=$1 verb; shift
  for verb in train generate align; do
    local output="$tmp/$name-$verb"; [ $verb != generate ] || output=$output.jsonl
    "$@" ${!verb} --threads 1 --output "$output" >"$tmp/log-$name-$verb" 2>&1; local rc=$?
    [ $rc != 77 ] || { tail -n 1 "$tmp/log-$name-$verb"; exit 77; }
    [ $rc = 0 ] || say "$name, $verb: exit code $rc, $(tail -n 3 "$tmp/log-$name-$verb")"
  done
}
both alone $ISARA
sums alone >"$tmp/wanted"
[ "$(wc -l <"$tmp/wanted")" = 5 ] || say "wanted five files, found $(cat "$tmp/wanted")"
for mpi in $(mpis); do
  both $mpi timeout -k 1 60 tools/two-hosts --mpi $mpi 2 "$(program $mpi)"
  sums $mpi | diff - "$tmp/wanted" >"$tmp/diff" || say "two hosts under $mpi: $(cat "$tmp/diff")"
  # Two steps, and the masters that come to rank 0 to be saved: 4 bytes of half the values, as many as the bf16 file has. A few percent are TCP's.
  log=$(cat "$tmp/log-$mpi-train") sent=$(sed -n 's/.*sent \([0-9.]*\) MB a step.*/\1/p' <<<"$log") saved=$(stat -c %s "$tmp/alone-train/model.safetensors")
  for way in 's/.*carried \([0-9]*\) bytes from.*/\1/p' 's/.* \([0-9]*\) back$/\1/p'; do
    awk -v c="$(sed -n "$way" <<<"$log")" -v s="$sent" -v m="$saved" 'BEGIN { exit !(s > 1 && c > 2e6 * s + m && c < 1.1 * (2e6 * s + m)) }' || say "$mpi: two steps of $sent MB, a model of $saved bytes, and $(tail -n 1 <<<"$log")"
  done
  grep -q "decoding rows by rank: [1-9][0-9]*, [1-9]" "$tmp/log-$mpi-generate" || say "$mpi: not both hosts generated: $(cat "$tmp/log-$mpi-generate")"
done
exit $fails
