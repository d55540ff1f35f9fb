#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a resumed run is compared with, and what no run may write over: files of the model that changed, a round's own model changed or gone, two processes at one
# --output, an --output that is an input, a link in the place of the partial file, the finished directory of another run.
set -u
m=models/miniature; fails=0
[ -f $m/model.safetensors ] || { echo "models/miniature is not there"; exit 77; }
tmp=${BUILD:-build}/tmp/cli_resume; rm -rf "$tmp"; mkdir -p "$tmp"
bad() { echo "$*"; fails=1; }
want() { # want CODE PATTERN command...
  local code=$1 pattern=$2; shift 2
  local out rc; out=$("$@" 2>&1 </dev/null); rc=$?
  { [ $rc = "$code" ] && grep -q -e "$pattern" <<<"$out"; } || { bad "wanted $code and '$pattern', got $rc from: $*"; tail -n 5 <<<"$out"; }
}
head -n 12 models/seeds.jsonl >"$tmp/seeds.jsonl"
cp -r $m "$tmp/model"
q="--log-level quiet"

# A run of align: one more key in config.json, a tokenizer with other white space, generation settings that appear; put back, it goes on.
run=("$ISARA" align --model "$tmp/model" --seeds "$tmp/seeds.jsonl" --output "$tmp/run" --rounds 2 --attempts 6 --max-steps 2 --num-beams 1 --holdout 2 --samples 1 --stop-novelty 0 --sift-threshold 1 --start last $q)
"${run[@]}" --review >/dev/null 2>&1 || bad "the run did not stop for review"
for file in config.json tokenizer.json; do
  cp "$tmp/model/$file" "$tmp/kept"; sed 's/{/{ /' "$tmp/kept" >"$tmp/model/$file"
  want 78 "model/$file has changed" "${run[@]}" --review --resume
  cp "$tmp/kept" "$tmp/model/$file"
done
echo '{"temperature": 0.5}' >"$tmp/model/chat_template.json"
want 78 "model/chat_template.json has changed" "${run[@]}" --review --resume
rm "$tmp/model/chat_template.json"
grep -q "\"commit\": \"$("$ISARA" --version | sed 's/.*(\(.*\))/\1/')\"" "$tmp/run/manifest.json" || bad "manifest.json does not name the commit"
"${run[@]}" --review --resume >/dev/null 2>&1 || bad "the run did not go on to its second round"
model=$tmp/run/round-1/model
cp "$model/model.safetensors" "$tmp/kept"; cp "$m/model.safetensors" "$model/model.safetensors"
want 65 "round-1/model: was changed since" "${run[@]}" --review --resume
rm -r "$model"
want 0 "round-2/model" "${run[@]}" --review --resume
cmp -s "$model/model.safetensors" "$tmp/kept" || bad "the deleted model came back as another one"
# What stands beside the weights counts too.
cp "$model/config.json" "$tmp/kept"; sed 's/{/{ /' "$tmp/kept" >"$model/config.json"
want 65 "round-1/model/config.json: was changed" "${run[@]}" --review --resume
cp "$tmp/kept" "$model/config.json"
echo '{"temperature": 0.5}' >"$model/chat_template.json"
want 65 "round-1/model/chat_template.json: was added" "${run[@]}" --review --resume
rm "$model/chat_template.json"
want 0 "round-2/model" "${run[@]}" --review --resume
want 78 "was begun with attempts" "${run[@]}" --attempts 7

# generate: --output is the input, by its name, a link, a hard link, and as what is written beside it.
printf '{"prompt":"a"}\n{"prompt":"b"}\n' >"$tmp/in.jsonl"; cp "$tmp/in.jsonl" "$tmp/before"
ln -s in.jsonl "$tmp/soft"; ln "$tmp/in.jsonl" "$tmp/hard"; ln "$tmp/in.jsonl" "$tmp/x.partial"
for output in in.jsonl soft hard x; do
  want 78 "are the same" "$ISARA" generate --model $m --max-new-tokens 2 --input "$tmp/in.jsonl" --output "$tmp/$output" $q
done
want 78 "are the same" "$ISARA" score --model "$tmp/model" --input "$tmp/in.jsonl" --output "$tmp/model/config.json" $q
want 78 "are the same" "$ISARA" convert --model "$tmp/model" --output "$tmp/run/../model" $q
want 78 "are the same" "$ISARA" train --model "$tmp/model" --data "$tmp/seeds.jsonl" --output "$tmp/model" $q
# Whatever option names the file.
want 78 "are the same" "$ISARA" eval --task alpaca-eval --input "$tmp/seeds.jsonl" --df-gamed "$tmp/in.jsonl" --output "$tmp/in.jsonl" $q
printf 'input: %s\noutput: %s\n' "$tmp/in.jsonl" "$tmp/in.jsonl" >"$tmp/same.yaml"
want 78 "are the same" "$ISARA" generate --model $m --max-new-tokens 2 --config "$tmp/same.yaml" $q
want 0 "" "$ISARA" generate --model $m --max-new-tokens 2 --config "$tmp/same.yaml" --output "$tmp/elsewhere" $q
cmp -s "$tmp/in.jsonl" "$tmp/before" || bad "an input was written over"
cmp -s "$tmp/model/config.json" $m/config.json || bad "a model's file was written over"

# In the place of the partial file: a link, a dangling one, somebody else's file, a file with a key more or less.
echo precious >"$tmp/precious"
ln -s precious "$tmp/l.partial"; ln -s nowhere "$tmp/d.partial"; echo mine >"$tmp/o.partial"
want 74 "symbolic link" "$ISARA" generate --model $m --max-new-tokens 2 --input "$tmp/in.jsonl" --output "$tmp/l" $q
want 74 "symbolic link" "$ISARA" generate --model $m --max-new-tokens 2 --input "$tmp/in.jsonl" --output "$tmp/d" $q
want 65 "no file of isara's" "$ISARA" generate --model $m --max-new-tokens 2 --input "$tmp/in.jsonl" --output "$tmp/o" $q
[ "$(cat "$tmp/precious")" = precious ] && [ ! -e "$tmp/nowhere" ] && [ "$(cat "$tmp/o.partial")" = mine ] || bad "something was written through a link or over another file"
awk 'BEGIN { for (i = 0; i < 60; i++) printf "{\"prompt\":\"Question: How do I clean a lamp %d?\\nAnswer:\"}\n", i }' >"$tmp/long.jsonl"
long=("$ISARA" generate --model "$tmp/model" --max-new-tokens 200 --threads 1 --input "$tmp/long.jsonl" --output "$tmp/two" $q)
"${long[@]}" & pid=$!
for _ in $(seq 1000); do [ -s "$tmp/two.partial" ] && break; sleep 0.01; done
want 69 "another process is writing" "${long[@]}"
kill -9 $pid; wait $pid 2>/dev/null
sed 's/{/{ /' $m/config.json >"$tmp/model/config.json"
want 78 "two.partial: was begun with model/config.json" "${long[@]}"
cp $m/config.json "$tmp/model/config.json"
cp "$tmp/two.partial" "$tmp/kept"
sed '1s/"verb":"generate"/"verb":"generate","extra":1/' "$tmp/kept" >"$tmp/two.partial"; want 78 "begun with extra 1, now nothing" "${long[@]}"
sed '1s/"seed":"[0-9]*",//' "$tmp/kept" >"$tmp/two.partial"; want 78 "begun with seed nothing, now" "${long[@]}"

# train and convert: two at once, and the end of another run.
args=(train --model $m --data "$tmp/seeds.jsonl" --dtype f32 --max-steps 400 --output "$tmp/tuned" $q)
"$ISARA" "${args[@]}" & pid=$!
for _ in $(seq 1000); do [ -s "$tmp/tuned/log.jsonl" ] && break; sleep 0.01; done
want 69 "another process is writing there" "$ISARA" "${args[@]}"
kill -9 $pid; wait $pid 2>/dev/null
want 78 "seed" "$ISARA" "${args[@]}" --seed 9
args=(train --model $m --data "$tmp/seeds.jsonl" --dtype f32 --max-steps 2 --output "$tmp/done" $q)
"$ISARA" "${args[@]}" || bad "training failed"
cp "$tmp/done/model.safetensors" "$tmp/kept"
want 78 "learning_rate" "$ISARA" "${args[@]}" --learning-rate 0.5
want 78 "lora" "$ISARA" "${args[@]}" --lora-r 2
want 0 "" "$ISARA" "${args[@]}"
want 78 "model.safetensors: is there already" "$ISARA" convert --model $m --output "$tmp/done" $q
want 78 "model.safetensors: is there already" "$ISARA" train --model $m --data "$tmp/seeds.jsonl" --output "$tmp/model" --max-steps 1 --dtype f32 $q
cmp -s "$tmp/done/model.safetensors" "$tmp/kept" || bad "a finished model was written over"
exit $fails
