#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# isara train as a user meets it, on the bundled miniature: SIGTERM and the same command again, an adapter trained, read back and merged, the profile.
set -u
m=models/miniature
if [ ! -f $m/model.safetensors ]; then echo "no models/miniature"; exit 77; fi
tmp=${BUILD:-build}/tmp/train_cli; rm -rf "$tmp"; mkdir -p "$tmp"
fails=0
fail() { echo "$*"; fails=1; }
quiet="--log-level quiet"
args=(train --model $m --data models/seeds.jsonl --max-steps 12 --dtype f32 --log-level warning)
train() { "$ISARA" "${args[@]}" "$@"; }

train --output "$tmp/whole" $quiet || fail "training failed"
"$ISARA" "${args[@]}" --output "$tmp/cut" $quiet & child=$!
for _ in $(seq 600); do [ -s "$tmp/cut/log.jsonl" ] && break; sleep 0.02; done
kill -TERM $child; wait $child; rc=$?
if [ $rc = 75 ]; then
  [ -f "$tmp/cut/checkpoint.safetensors" ] || fail "SIGTERM left no checkpoint"
elif [ $rc != 0 ]; then fail "SIGTERM: exit code $rc, wanted 75"; fi
train --output "$tmp/cut" $quiet || fail "going on failed"
cmp "$tmp/whole/model.safetensors" "$tmp/cut/model.safetensors" || fail "interrupted: other weights"
cmp "$tmp/whole/log.jsonl" "$tmp/cut/log.jsonl" || fail "interrupted: another log"

# --seed: the rows' order, and the weights of a model that begins with none.
n=0
for seed in 1 2 1; do
  n=$((n + 1))
  "$ISARA" train --model $m --data models/seeds.jsonl --max-steps 2 --dtype f32 $quiet --seed $seed --output "$tmp/seed$n" || fail "--seed $seed failed"
  "$ISARA" train --init $m/config.json --data models/seeds.jsonl --max-steps 1 --no-shuffle --dtype f32 $quiet --seed $seed --output "$tmp/new$n" || fail "--init --seed $seed failed"
done
for name in seed new; do
  cmp -s "$tmp/${name}1/model.safetensors" "$tmp/${name}3/model.safetensors" || fail "--seed 1 twice: other weights ($name)"
  ! cmp -s "$tmp/${name}1/model.safetensors" "$tmp/${name}2/model.safetensors" || fail "--seed 1 and --seed 2: the same weights ($name)"
done

out=$(train --output "$tmp/adapter" --lora-r 4 --lora-target-modules all-linear --learning-rate 0.01 --profile 2>&1) || fail "LoRA: $out"
grep -q "^linear_dx " <<<"$out" || fail "no profile: $out"
[ ! -f "$tmp/adapter/model.safetensors" ] || fail "LoRA wrote a whole model"
head -n 4 models/test.jsonl | sed 's/.*"question": *"\([^"]*\)".*/{"prompt":"Question: \1\\nAnswer:","max_new_tokens":16}/' >"$tmp/in.jsonl"
say() { "$ISARA" generate --input "$tmp/in.jsonl" --dtype f32 $quiet "$@"; }
"$ISARA" convert --model "$tmp/adapter" --output "$tmp/merged" --dtype f32 $quiet || fail "convert failed"
say --model "$tmp/adapter" >"$tmp/1"; say --model $m --adapter "$tmp/adapter" >"$tmp/2"; say --model "$tmp/merged" >"$tmp/3"; say --model $m >"$tmp/4"
cmp "$tmp/1" "$tmp/2" || fail "--adapter says other things than --model"
cmp "$tmp/1" "$tmp/3" || fail "the merged model says other things than base and adapter"
! cmp -s "$tmp/1" "$tmp/4" || fail "the adapter changes nothing"
cmp <("$ISARA" tokenize --model "$tmp/adapter" --text "Why is it so?" $quiet) <("$ISARA" tokenize --model $m --text "Why is it so?" $quiet) || fail "an adapter has not its base's tokenizer"
mkdir -p "$tmp/hub/models--a--b/snapshots/s" "$tmp/hub/models--a--b/refs"; printf s >"$tmp/hub/models--a--b/refs/main"; cp $m/* "$tmp/hub/models--a--b/snapshots/s"
HF_HUB_CACHE=$tmp/hub "$ISARA" tokenize --model a/b --text "Why?" $quiet | grep -q '"token_ids":\[[0-9]' || fail "a name of the hub has no tokenizer"
out=$(HF_HUB_CACHE=$tmp/hub "$ISARA" tokenize --model a/c --text "Why?" 2>&1) && fail "a name that is not there has a tokenizer"
grep -q "isara pull a/c" <<<"$out" || fail "a name that is not there: $out"
out=$("$ISARA" tokenize --model "$tmp/hub" --text "Why?" 2>&1) && fail "a directory without one has a tokenizer"
grep -q "wanted tokenizer.json" <<<"$out" || fail "a directory without a tokenizer: $out"

# An adapter over a quantised file: killed and begun again it has the same bits, and it stands beside the file's blocks.
"$ISARA" convert --model $m --to gguf --type q8_0 --output "$tmp/m.gguf" $quiet || fail "convert to q8_0 failed"
over=("$ISARA" train --model "$tmp/m.gguf" --data models/seeds.jsonl --lora-r 4 --lora-target-modules all-linear --learning-rate 0.01 --max-steps 6 --save-steps 2 $quiet)
"${over[@]}" --threads 1 --output "$tmp/q8" || fail "LoRA over a quantised file failed"
"${over[@]}" --threads 2 --output "$tmp/q8cut" & child=$!
for _ in $(seq 600); do [ -s "$tmp/q8cut/checkpoint.safetensors" ] && break; sleep 0.02; done
kill -KILL $child 2>/dev/null; wait $child 2>/dev/null
"${over[@]}" --threads 2 --output "$tmp/q8cut" || fail "going on over a quantised file failed"
cmp "$tmp/q8/adapter_model.safetensors" "$tmp/q8cut/adapter_model.safetensors" || fail "a quantised file, killed: another adapter"
say8() { "$ISARA" generate --input "$tmp/in.jsonl" --dtype q8 $quiet "$@"; }
say8 --model "$tmp/q8" >"$tmp/1"; say8 --model "$tmp/m.gguf" --adapter "$tmp/q8" --threads 1 >"$tmp/2"; say8 --model "$tmp/m.gguf" >"$tmp/3"
cmp "$tmp/1" "$tmp/2" || fail "q8: --adapter says other things than --model"
[ -s "$tmp/1" ] && ! cmp -s "$tmp/1" "$tmp/3" || fail "q8: the adapter changes nothing"
# Its own chat template is the model's: for isara, merged as a directory, and merged as one file.
printf '%s' "{% for m in messages %}<{{ m['content'] }}>{% endfor %}" >"$tmp/q8/chat_template.jinja"
echo '{"messages":[{"role":"user","content":"Why?"}],"max_new_tokens":1}' >"$tmp/chat.jsonl"
"$ISARA" convert --model "$tmp/q8" --output "$tmp/q8merged" $quiet && "$ISARA" convert --model "$tmp/m.gguf" --adapter "$tmp/q8" --to gguf --output "$tmp/q8merged.gguf" $quiet || fail "convert of an adapter with a chat template failed"
for with in "$tmp/q8" "$tmp/q8merged" "$tmp/q8merged.gguf"; do
  grep -q '"prompt":"<Why?>"' <<<"$("$ISARA" generate --model "$with" --input "$tmp/chat.jsonl" $quiet)" || fail "$with has another chat template than the adapter's"
done
out=$("$ISARA" train --model "$tmp/m.gguf" --data models/seeds.jsonl --output "$tmp/none" --dry-run 2>&1)
grep -q "16 bytes more a weight" <<<"$out" || fail "tuning all weights of a quantised file says nothing of it: $out"
out=$("$ISARA" plan --model "$tmp/m.gguf" --seeds models/seeds.jsonl --json)
grep -q '"dequantises": true' <<<"$out" || fail "the plan does not say that weights are taken out of the file: $out"
grep -q '"dequantises": false' <<<"$("$ISARA" plan --model "$tmp/m.gguf" --seeds models/seeds.jsonl --train-lora-r 4 --json)" || fail "the plan takes the weights out of the file for an adapter"

# pytorch_model.bin in f16 with one storage for embedding and head: trained as its safetensors are, saved in f16 and with one matrix.
for i in 3 4 5 6 7 8; do echo "{\"prompt_token_ids\":[1,5,9,$i],\"completion_token_ids\":[7,8,12,2]}"; done >"$tmp/ids.jsonl"
"$ISARA" convert --model tests/golden/pickle/tied --output "$tmp/tied" $quiet || fail "convert of pytorch_model.bin failed"
for from in tests/golden/pickle/tied "$tmp/tied"; do
  "$ISARA" train --model "$from" --data "$tmp/ids.jsonl" --dtype f32 --max-steps 3 $quiet --output "$tmp/from_$(basename "$(dirname "$from")")" || fail "training of $from failed"
done
cmp "$tmp/from_pickle/model.safetensors" "$tmp/from_train_cli/model.safetensors" || fail "pytorch_model.bin and its safetensors train to other weights"
out=$("$ISARA" inspect "$tmp/from_pickle" 2>&1)
grep -q "stored as f16" <<<"$out" && ! grep -q "F32\|lm_head" <<<"$out" || fail "wanted f16 and one tied matrix: $out"
cmp -s "$tmp/from_pickle/model.safetensors" "$tmp/tied/model.safetensors" && fail "training changed nothing"
exit $fails
