#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The command line as a user meets it: help for every verb, exit codes, and what an error line says.
set -u
fails=0
want() { # want CODE PATTERN command...
  local code=$1 pattern=$2; shift 2
  local out; out=$("$@" 2>&1 </dev/null); local rc=$?
  if [ $rc != "$code" ] || ! grep -q -- "$pattern" <<<"$out"; then echo "wanted $code and '$pattern', got $rc from: $*"; echo "$out" | head -5; fails=1; fi
}
want 2 "usage: isara VERB" "$ISARA"
want 0 "usage: isara VERB" "$ISARA" --help
for verb in align eval convert train generate score embed tokenize inspect plan doctor; do
  want 0 "example:" "$ISARA" $verb --help
done
want 0 "\.TH ISARA" "$ISARA" --man
want 2 "no such verb" "$ISARA" algin
want 2 "did you mean --model" "$ISARA" score --modle x
want 66 "nowhere" "$ISARA" score --model /nowhere
want 2 "\-\-model is needed" "$ISARA" score
want 0 "instruction set" "$ISARA" doctor
want 0 "instruction set  generic" "$ISARA" doctor --isa generic
# The bundled miniature through the verbs, as a user would.
m=models/miniature
if [ -f $m/model.safetensors ]; then
  tmp=${BUILD:-build}/tmp/cli; rm -rf "$tmp"; mkdir -p "$tmp"
  head -n 6 models/test.jsonl | sed 's/.*"question": *"\([^"]*\)".*/{"prompt":"Question: \1\\nAnswer:","max_new_tokens":12}/' >"$tmp/in.jsonl"
  echo '{"prompt":""}' >>"$tmp/in.jsonl"
  want 1 'prompt.. is empty' "$ISARA" generate --model $m --input "$tmp/in.jsonl" --dtype f32
  head -n 6 "$tmp/in.jsonl" >"$tmp/good.jsonl"; tac "$tmp/good.jsonl" | sed 's/^{/{"id":0,/' >"$tmp/back.jsonl"; sed 's/^{/{"id":0,/' "$tmp/good.jsonl" >"$tmp/fore.jsonl"
  "$ISARA" generate --model $m --input "$tmp/fore.jsonl" --output "$tmp/1.jsonl" --num-beams 3 --log-level quiet || fails=1
  "$ISARA" generate --model $m --input "$tmp/back.jsonl" --output "$tmp/2.jsonl" --num-beams 3 --threads 1 --log-level quiet || fails=1
  tac "$tmp/2.jsonl" | cmp - "$tmp/1.jsonl" || { echo "reversed input, one thread: other lines"; fails=1; }
  want 0 "parameters" "$ISARA" inspect $m
  want 0 "weights_bytes" "$ISARA" plan --model $m --json
  want 0 '"token_ids"' "$ISARA" tokenize --model $m --text "How do I store apples?"
  head -c 1000 $m/model.safetensors >"$tmp/cut.safetensors"; mkdir -p "$tmp/cut"; cp $m/*.json "$tmp/cut/"; mv "$tmp/cut.safetensors" "$tmp/cut/model.safetensors"
  want 65 "model.safetensors" "$ISARA" generate --model "$tmp/cut" --input "$tmp/good.jsonl"
fi
exit $fails
