#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# isara generate as a process: the same lines under other settings, kill -9 and again, a full disk, a vanished input, records and models that are wrong.
set -u
cd "$(dirname "$0")/.."
fails=0
m=models/miniature tmp=${BUILD:-build}/tmp/cli_generate
[ -f $m/model.safetensors ] || { echo "no $m"; exit 77; }
rm -rf "$tmp"; mkdir -p "$tmp"
bad() { echo "$*"; fails=1; }
want() { # want CODE PATTERN command...
  local code=$1 pattern=$2; shift 2
  local out rc; out=$("$@" 2>&1 </dev/null); rc=$?
  { [ $rc = "$code" ] && grep -q -- "$pattern" <<<"$out"; } || { bad "wanted $code and '$pattern', got $rc from: $*"; tail -n 5 <<<"$out"; }
}
generate() { "$ISARA" generate --model $m --log-level quiet "$@"; }

# A mix: greedy, beams, samples, each record with its own options; every second one begins like another.
mix() { # mix N NEW
  awk -v n="$1" -v new="$2" 'BEGIN { split("apples bread the_kite a_lamp my_bike soup the_tent a_violin", w, " ");
    for (i = 0; i < n; i++) { o = i % 3 == 0 ? "\"num_beams\":3,\"length_penalty\":0.6" : i % 3 == 1 ? "\"do_sample\":true,\"temperature\":0.8,\"top_p\":0.9" : "\"repetition_penalty\":1.2";
      printf "{\"id\":\"r%d\",\"prompt\":\"Question: How do I store %s?\\nAnswer: Keep it dry.\\n\\nQuestion: How do I clean %s %d?\\nAnswer:\",\"max_new_tokens\":%d,%s}\n", i, w[i % 4 + 1], w[i % 8 + 1], i, new, o } }'
}
mix 24 12 >"$tmp/in.jsonl"
generate --input "$tmp/in.jsonl" --output "$tmp/want.jsonl" || bad "the plain run failed"
[ "$(wc -l <"$tmp/want.jsonl")" = 24 ] || bad "24 records in, $(wc -l <"$tmp/want.jsonl") out"
tac "$tmp/in.jsonl" >"$tmp/back.jsonl"
i=0
for settings in "--threads 1 --page-size 32" "--page-size 128 --prefill-chunk 16" "--no-prefix-cache --threads 2" "--kv-memory 1 --page-size 32" "--kv-memory 1 --prefill-chunk 7 --threads 1"; do
  i=$((i + 1))
  generate --input "$tmp/back.jsonl" --output "$tmp/$i.jsonl" $settings || bad "failed with $settings"
  tac "$tmp/$i.jsonl" | cmp -s - "$tmp/want.jsonl" || bad "reversed input, $settings: other lines"
done

generate --input "$tmp/in.jsonl" --output "$tmp/kv1.jsonl" --kv-dtype f32 --threads 1 && generate --input "$tmp/back.jsonl" --output "$tmp/kv2.jsonl" --kv-dtype f32 --page-size 32 || bad "failed with --kv-dtype f32"
tac "$tmp/kv2.jsonl" | cmp -s - "$tmp/kv1.jsonl" || bad "--kv-dtype f32: other lines"
cmp -s "$tmp/kv1.jsonl" "$tmp/want.jsonl" && bad "--kv-dtype f32 changes nothing"

# --seed: what is sampled is its, what is not is the same.
for seed in 1 2 1; do mv -f "$tmp/seed1.jsonl" "$tmp/first.jsonl" 2>/dev/null; generate --input "$tmp/in.jsonl" --output "$tmp/seed$seed.jsonl" --seed $seed || bad "failed with --seed $seed"; done
cmp -s "$tmp/seed1.jsonl" "$tmp/first.jsonl" || bad "--seed 1 twice: other lines"
for i in 0 1 2; do for other in want seed2; do
  of() { awk "NR % 3 == $(((i + 1) % 3))" "$1"; }
  same=no; [ "$(of "$tmp/seed1.jsonl")" = "$(of "$tmp/$other.jsonl")" ] && same=yes
  [ $same = $([ $i = 1 ] && echo no || echo yes) ] || bad "--seed 1 beside $other: the records $i of three are the same: $same"
done; done

# The merged settings are shown: generation_config.json over the defaults, the command line over it.
cp -r $m "$tmp/config"
echo '{"eos_token_id":[0,7],"do_sample":true,"temperature":0.5,"top_k":9,"stop_strings":["xyzzy"],"typical_p":0.5}' >"$tmp/config/generation_config.json"
sed -n 3p "$tmp/in.jsonl" >"$tmp/one.jsonl"
want 0 '"temperature": 0.5, "top_k": 9, .*"eos_token_id": \[0, 7\], "stop": \["xyzzy"\]' "$ISARA" generate --model "$tmp/config" --input "$tmp/one.jsonl" --max-new-tokens 2
want 0 '"temperature": 0.25, "top_k": 9,' "$ISARA" generate --model "$tmp/config" --input "$tmp/one.jsonl" --max-new-tokens 2 --temperature 0.25
want 0 'typical_p, which is not offered' "$ISARA" generate --model "$tmp/config" --input "$tmp/one.jsonl" --max-new-tokens 2

# kill -9, again and again: what was finished is kept, each record once and whole, and the file ends equal.
mix 144 40 >"$tmp/long.jsonl"
generate --input "$tmp/long.jsonl" --output "$tmp/whole.jsonl" || bad "the long run failed"
killed=0 kept=0
for round in 1 2 3 4 5 6 7 8; do
  "$ISARA" generate --model $m --log-level quiet --input "$tmp/long.jsonl" --output "$tmp/killed.jsonl" --threads 1 & pid=$! # not the function: its shell would be killed
  for _ in $(seq 2000); do # until some more records are there
    n=$(grep -c '}$' "$tmp/killed.jsonl.partial" 2>/dev/null || true)
    [ "${n:-0}" -gt $((kept + 8)) ] && break
    kill -0 $pid 2>/dev/null || break
    sleep 0.01
  done
  kill -9 $pid 2>/dev/null
  wait $pid 2>/dev/null
  if [ -f "$tmp/killed.jsonl" ]; then rm "$tmp/killed.jsonl"; kept=0; continue; fi # it was over first: from the beginning
  killed=$((killed + 1))
  n=$(tail -n +2 "$tmp/killed.jsonl.partial" | grep -c '}$')
  [ "$n" -ge "$kept" ] || bad "round $round: $kept finished records had become $n"
  kept=$n
  [ $killed -lt 3 ] || break
done
[ -f "$tmp/killed.jsonl.partial" ] || { bad "no run could be killed in time"; exit 1; }
printf '17 {"id":"r17","te' >>"$tmp/killed.jsonl.partial" # torn in the middle of a line
cp "$tmp/killed.jsonl.partial" "$tmp/before"
want 0 "of 144 records are already done" "$ISARA" generate --model $m --input "$tmp/long.jsonl" --output "$tmp/killed.jsonl"
cmp -s "$tmp/killed.jsonl" "$tmp/whole.jsonl" || bad "after kill -9 the file is another one"
[ ! -e "$tmp/killed.jsonl.partial" ] || bad "the partial file is still there"
cp "$tmp/before" "$tmp/killed.jsonl.partial"; rm "$tmp/killed.jsonl"
want 78 'killed.jsonl.partial: was begun with options ' "$ISARA" generate --model $m --input "$tmp/long.jsonl" --output "$tmp/killed.jsonl" --min-new-tokens 3
want 78 'killed.jsonl.partial: was begun with input ' "$ISARA" generate --model $m --input "$tmp/in.jsonl" --output "$tmp/killed.jsonl"
want 78 'killed.jsonl.partial: was begun with ' "$ISARA" score --model $m --input "$tmp/in.jsonl" --output "$tmp/killed.jsonl"
cmp -s "$tmp/before" "$tmp/killed.jsonl.partial" || bad "a refused run changed the partial file"

# A partial file of another input: the prompt of a record that it has finished is another now.
i=$(tail -n 2 "$tmp/before" | head -n 1 | cut -d' ' -f1) # the last whole line
sed "$((i + 1))s/How do I store/Why do I store/" "$tmp/long.jsonl" >"$tmp/other.jsonl"
cmp -s "$tmp/other.jsonl" "$tmp/long.jsonl" && bad "the other input is the same"
cp "$tmp/before" "$tmp/other.out.partial"
want 78 'other.out.partial: was begun with input ' "$ISARA" generate --model $m --input "$tmp/other.jsonl" --output "$tmp/other.out"

# A full disk: a line that says so, nothing lost; with room again the file ends equal.
( ulimit -f 8; "$ISARA" generate --model $m --input "$tmp/long.jsonl" --output "$tmp/full.jsonl" ) >"$tmp/full.log" 2>&1
[ $? = 74 ] && grep -q "full.jsonl.partial: .*[Ff]ile too large" "$tmp/full.log" || { bad "no clear line about the file size limit"; tail -n 2 "$tmp/full.log"; }
want 0 "already done" "$ISARA" generate --model $m --input "$tmp/long.jsonl" --output "$tmp/full.jsonl"
cmp -s "$tmp/full.jsonl" "$tmp/whole.jsonl" || bad "after a full disk the file is another one"
[ -c /dev/full ] && { "$ISARA" generate --model $m --input "$tmp/one.jsonl" >/dev/full 2>"$tmp/full.log"; [ $? = 74 ] && grep -q "standard output: .*[Nn]o space left" "$tmp/full.log" || { bad "no clear line about a full standard output"; cat "$tmp/full.log"; }; }
if mkdir -p "$tmp/small" && mount -t tmpfs -o size=16k none "$tmp/small" 2>/dev/null; then
  "$ISARA" generate --model $m --input "$tmp/long.jsonl" --output "$tmp/small/out.jsonl" >"$tmp/full.log" 2>&1; rc=$?
  mount -o remount,size=1m "$tmp/small"
  [ $rc = 74 ] && grep -q "out.jsonl.partial: .*[Nn]o space left" "$tmp/full.log" || { bad "no clear line about the full disk ($rc)"; tail -n 2 "$tmp/full.log"; }
  generate --input "$tmp/long.jsonl" --output "$tmp/small/out.jsonl" && cmp -s "$tmp/small/out.jsonl" "$tmp/whole.jsonl" || bad "after the full disk the file is another one"
  umount "$tmp/small"
fi

# Vanished things.
want 66 "nowhere.jsonl" "$ISARA" generate --model $m --input "$tmp/nowhere.jsonl"
want 66 "nowhere" "$ISARA" generate --model "$tmp/nowhere" --input "$tmp/one.jsonl"
want 66 "no/such/dir" "$ISARA" generate --model $m --input "$tmp/one.jsonl" --output "$tmp/no/such/dir/out.jsonl"

# Records that cannot run: their line says why, the others go on, exit code 1 and a count.
{ head -n 2 "$tmp/in.jsonl"; printf '{"id":"long","prompt_token_ids":[%s]}\n' "$(seq -s, 3 502)"; echo '{"id":"hot","prompt":"x","temperature":-1}'; echo '{"id":"what","prompt":"x","tempratur":1}'
  echo '{"id":"empty","prompt":""}'; echo '{"id":"none"}'; echo '{"id":"ids","prompt_token_ids":[1,99999]}'; } >"$tmp/wrong.jsonl"
"$ISARA" generate --model $m --input "$tmp/wrong.jsonl" --output "$tmp/wrong.out" 2>"$tmp/wrong.log"
[ $? = 1 ] && grep -q "6 of 8 records failed" "$tmp/wrong.log" || { bad "no count of the records that failed"; tail -n 2 "$tmp/wrong.log"; }
head -n 2 "$tmp/wrong.out" | cmp -s - <(head -n 2 "$tmp/want.jsonl") || bad "the good records beside bad ones are others"
for said in 'long.*500 tokens and max_new_tokens 256 are more than the context of 512' 'hot.*temperature' 'what.*tempratur.*no such field' 'empty.*is empty' 'none.*prompt' 'ids.*99999\|ids.*token id from 0 to 2047'; do
  grep -q "\"id\":\"$said" "$tmp/wrong.out" || bad "no line that says $said"
done
echo '{"prompt":"x"' >"$tmp/torn.jsonl"
want 65 "torn.jsonl" "$ISARA" generate --model $m --input "$tmp/torn.jsonl"

# A memory budget that is too small for one request (the others run).
{ printf '{"id":"big","prompt_token_ids":[%s],"num_beams":64,"max_new_tokens":400}\n' "$(seq -s, 3 100)"; head -n 1 "$tmp/in.jsonl"; } >"$tmp/big.jsonl"
"$ISARA" generate --model $m --input "$tmp/big.jsonl" --output "$tmp/big.out" --kv-memory 2 2>"$tmp/big.log"
[ $? = 1 ] && grep -q '"id":"big","error":"memory: this request alone needs [0-9]* MiB of KV cache, the budget is [12] MiB' "$tmp/big.out" || { bad "no line about the memory budget"; cut -c1-300 "$tmp/big.out"; }
tail -n 1 "$tmp/big.out" | cmp -s - <(head -n 1 "$tmp/want.jsonl") || bad "the small request beside the big one is another"

# NaN in the weights: the tensor is named.
cp -r $m "$tmp/nan"
size=$(stat -c %s "$tmp/nan/model.safetensors")
printf '\377\377\377\377' | dd of="$tmp/nan/model.safetensors" bs=1 seek=$((size - 4)) conv=notrunc 2>/dev/null
want 65 "model.safetensors: tensor model.norm.weight: element .* is not a number" "$ISARA" generate --model "$tmp/nan" --input "$tmp/one.jsonl"

# The memory it names beforehand holds, also when the budget is small; --dry-run names it and does nothing else.
for budget in "" "--kv-memory 1"; do
  "$ISARA" generate --model $m --input "$tmp/long.jsonl" --output "$tmp/memory.jsonl" $budget 2>"$tmp/memory.log" || bad "failed with $budget"
  said=$(sed -n 's/^memory: at most \([0-9]*\) MiB.*/\1/p' "$tmp/memory.log") was=$(sed -n 's/.*peak \([0-9]*\) MiB resident.*/\1/p' "$tmp/memory.log")
  [ -n "$said" ] && [ -n "$was" ] && [ "$was" -le "$said" ] || bad "said at most ${said:-?} MiB, took ${was:-?}"
  rm -f "$tmp/memory.jsonl"
done
want 0 "memory: at most" "$ISARA" generate --model $m --input "$tmp/long.jsonl" --output "$tmp/memory.jsonl" --dry-run
printf '{"id":"a","prompt":"Why?"}\n{"id":"b","prompt":""}\n{"id":"c","prompt":"Why?","max_new_tokens":9999}\n' >"$tmp/some.jsonl"
want 1 "2 of 3 records would fail, first the one with id \"b\": .*empty" "$ISARA" generate --model $m --input "$tmp/some.jsonl" --dry-run
[ ! -e "$tmp/memory.jsonl" ] && [ ! -e "$tmp/memory.jsonl.partial" ] || bad "--dry-run wrote something"

# SIGTERM: exit code 75, what is finished is kept.
"$ISARA" generate --model $m --log-level quiet --input "$tmp/long.jsonl" --output "$tmp/term.jsonl" --threads 1 2>"$tmp/term.log" & pid=$!
for _ in $(seq 2000); do
  [ "$(grep -c '}$' "$tmp/term.jsonl.partial" 2>/dev/null || true)" -gt 4 ] 2>/dev/null && break
  kill -0 $pid 2>/dev/null || break
  sleep 0.01
done
kill -TERM $pid 2>/dev/null; wait $pid; rc=$?
[ $rc = 75 ] || [ -e "$tmp/term.jsonl" ] || bad "SIGTERM: exit code $rc"
generate --input "$tmp/long.jsonl" --output "$tmp/term.jsonl" && cmp -s "$tmp/term.jsonl" "$tmp/whole.jsonl" || bad "after SIGTERM the file is another one"

# Cost in tokens: 64 prompts with a common start of 400 tokens compute it once.
common=$(seq -s, 3 402)
for i in $(seq 64); do echo "{\"prompt_token_ids\":[$common,$((500 + i))],\"max_new_tokens\":1}"; done >"$tmp/common.jsonl"
want 0 '"computed_prompt_tokens": 464' "$ISARA" generate --model $m --input "$tmp/common.jsonl" --output "$tmp/common.out" --json
exit $fails
