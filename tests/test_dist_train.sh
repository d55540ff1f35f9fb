#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One training by 1, 2, 3, 4 and 7 processes under MPI leaves the bytes of one process: of the weights, of an adapter, of heads, of the log; a signal to one rank stops
# all; a rank that reads other data ends all of them with one line. What is killed and goes on is test_dist_faults.sh's.
set -u
. tests/ranks.sh
mpi=$(mpis | head -n 1) launch=$(launcher $mpi) program=$(program $mpi)
model=models/miniature-small
common="--model $model --data models/seeds.jsonl --per-device-train-batch-size 8 --gradient-accumulation-steps 1 --learning-rate 1e-3 --seed 3 --gradient-leaves 4 --max-length 128"
sums() { (cd "$1" && sha256sum $(ls *.safetensors log.jsonl | grep -v checkpoint)); }

# Layers of less than a block of the flat order, and a head of its own.
mkdir "$tmp/tiny"; cp $model/* "$tmp/tiny"; rm "$tmp/tiny/model.safetensors"
sed -i 's/"hidden_size": 128/"hidden_size": 16/; s/"intermediate_size": 320/"intermediate_size": 24/; s/"head_dim": 32/"head_dim": 4/; s/"tie_word_embeddings": true/"tie_word_embeddings": false/; s/"num_hidden_layers": 4/"num_hidden_layers": 5/' "$tmp/tiny/config.json"
sed 's/.*"question":\("[^"]*"\).*"answer":\("[^"]*"\).*/{"text":\1,"label":"asks"}\n{"text":\2,"label":"tells"}/' models/seeds.jsonl | head -40 >"$tmp/labels.jsonl"
sed 's/.*"question":\("[^"]*"\).*"answer":\("[^"]*"\).*/{"prompt":\1,"chosen":\2,"rejected":"No."}/' models/seeds.jsonl | head -40 >"$tmp/pairs.jsonl"

# Of all weights; of an adapter; with masters that their owner rounds to bf16, or a rounding by the place in a matrix; with several micro-batches in a leaf, whose gradient is
# whole until the last one; with leaves, and so a rank, that have no rows; heads, of all weights and with an adapter.
for kind in full lora random micros tiny classify reward; do
  more="--max-steps 2 --dtype f32"
  case $kind in
    full) counts="1 2 4" ;;
    lora) more="$more --lora-r 4" counts=3 ;;
    random) more="--dtype bf16 --max-steps 2 --bf16-moments --bf16-random" counts=4 ;;
    micros) more="--dtype bf16 --max-steps 2 --per-device-train-batch-size 1 --gradient-accumulation-steps 8" counts=3 ;;
    tiny) more="$more --init $tmp/tiny/config.json --per-device-train-batch-size 6 --gradient-leaves 8" counts=7 ;;
    classify) more="$more --task classify --data $tmp/labels.jsonl --lora-r 4" counts=3 ;;
    reward) more="$more --task reward --data $tmp/pairs.jsonl" counts=2 ;;
  esac
  $ISARA train $common $more --threads 1 --output "$tmp/$kind-alone" >"$tmp/log" 2>&1 || { say "$kind, one process: $(tail -1 "$tmp/log")"; continue; }
  sums "$tmp/$kind-alone" >"$tmp/wanted"
  [ "$(wc -l <"$tmp/wanted")" = 2 ] || say "$kind: wanted weights and a log, found $(cat "$tmp/wanted")"
  for n in $counts; do
    ranks $n train $common $more --output "$tmp/$kind-$n" 2>&1 | tee "$tmp/log-$kind-$n" >"$tmp/log"; [ ${PIPESTATUS[0]} = 0 ] || { say "$kind, $n ranks: $(tail -3 "$tmp/log")"; continue; }
    sums "$tmp/$kind-$n" | cmp -s - "$tmp/wanted" || say "$kind, $n ranks: $(sums "$tmp/$kind-$n" | diff - "$tmp/wanted")"
  done
done
# What a rank sent in a step is what plan says, and an adapter's step sends the adapter alone; its part of what is trained falls as 1/N.
planned() { sed -n "s/.*\"ranks\": $1, [^}]*\"$2\": \([0-9]*\).*/\1/p" "$tmp/plan-$3"; }
for run in "full 1" "full 2" "full 4" "lora 3 --lora-r 4"; do
  read -r kind n more <<<"$run"
  $ISARA plan $common --dtype f32 --ranks $n --json $more >"$tmp/plan-$kind-$n"
  [ $n != 1 ] || continue
  sent=$(sed -n "s/.*rank 0 of $n sent \([0-9.]*\) MB a step.*/\1/p" "$tmp/log-$kind-$n") want=$(planned $n sent_bytes $kind-$n)
  awk -v s="$sent" -v w="$want" 'BEGIN { exit !(s > 0 && s * 1e6 > 0.95 * w - 5000 && s * 1e6 < 1.05 * w + 5000) }' || say "$run: $sent MB sent a step, plan has $want bytes"
done
parts=$(for n in 1 2 4; do planned $n part_bytes full-$n; done | tr '\n' ' ')
awk '{ exit !($2 > 0 && $2 <= $1 / 2 && $3 <= $2 / 2) }' <<<"$parts" || say "the part of 1, 2 and 4 ranks: $parts"
$ISARA train $common --dtype f32 --max-steps 2 --gradient-leaves 2 --threads 1 --output "$tmp/two" >/dev/null 2>&1
sums "$tmp/two" | cmp -s - <(sums "$tmp/full-alone") && say "two leaves give the bits of four: the test would see no difference"

# A signal to one rank is one to all.
ranks 2 train $common --dtype f32 --max-steps 400 --output "$tmp/signal" >"$tmp/log" 2>&1 & pid=$!
until_lines 0 "$tmp/signal/log.jsonl" $pid
kill -TERM "$(rank_pid 1 "--output $tmp/signal")"
wait $pid; rc=$?
[ $rc = 75 ] && [ -s "$tmp/signal/checkpoint.safetensors" ] || say "SIGTERM to one of two ranks: exit code $rc, $(ls "$tmp/signal"), $(tail -3 "$tmp/log")"

# Failures are told once, with the rank, and end all.
head -60 models/seeds.jsonl >"$tmp/other.jsonl"
timeout 30 $launch -n 1 "$program" train $common --threads 1 --output "$tmp/bad" : -n 1 "$program" train ${common/models\/seeds.jsonl/$tmp/other.jsonl} --threads 1 --output "$tmp/bad" >"$tmp/log" 2>&1
rc=$?
[ $rc = 78 ] || say "another file of rows on rank 1: exit code $rc, $(tail -3 "$tmp/log")"
[ "$(grep -c '^isara' "$tmp/log")" = 1 ] && grep -q "isara train: rank 1 on .*not those of rank 0 (data);" "$tmp/log" || say "another file of rows on rank 1: $(cat "$tmp/log")"
ranks 3 train $common --gradient-leaves 2 --output "$tmp/bad" >"$tmp/log" 2>&1
grep -q "gradient-leaves 4" "$tmp/log" || say "3 ranks, 2 leaves: $(cat "$tmp/log")"
ranks 2 serve --model $model >"$tmp/log" 2>&1 && say "serve runs twice under mpirun"
# Copies that know nothing of each other: of srun, of another MPI's mpirun, of a program without MPI.
copies() { # NAME PROGRAM
  env $1=4 "$2" --version >"$tmp/log" 2>&1 && say "$2, $1=4 and one process of MPI: not refused"
  grep -q "$1 is 4" "$tmp/log" || say "$2, $1=4: $(cat "$tmp/log")"
}
copies SLURM_NTASKS "$program"
copies OMPI_COMM_WORLD_SIZE "$ISARA"
for mpi in $(mpis); do copies $([ $mpi = openmpi ] && echo PMI_SIZE || echo OMPI_COMM_WORLD_SIZE) "$(program $mpi)"; done
exit $fails
