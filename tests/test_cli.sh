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
for verb in align eval convert train generate score embed tokenize inspect plan experiment report serve doctor; do
  want 0 "example:" "$ISARA" $verb --help
done
want 0 "\.TH ISARA" "$ISARA" --man
want 2 "algin: no such verb; did you mean align?" "$ISARA" algin
want 2 "sft: no such verb; did you mean train?" "$ISARA" sft
want 2 "xyzzy: no such verb; isara --help" "$ISARA" xyzzy
want 2 "exprot: no such verb; did you mean export?" "$ISARA" help exprot
want 2 "a verb comes first" "$ISARA" --model models/miniature generate
want 2 "did you mean --model" "$ISARA" score --modle x
want 66 "nowhere" "$ISARA" score --model /nowhere
# What a verb would not read is no option of it.
for verb in eval convert score embed tokenize inspect doctor; do
  want 2 "\-\-dry-run: no such option here" "$ISARA" $verb --dry-run
done
for verb in align inspect; do
  want 2 "\-\-adapter: no such option here" "$ISARA" $verb --model /nowhere --adapter /nowhere
done
# Every option that a verb takes stands in its help.
taken_by() { # taken_by VERB: as --man has it
  "$ISARA" --man | awk -v verb="$1" '/^\.B \\-\\-/ { name = $2; gsub(/\\/, "", name) } /^verbs:/ && ($0 " ") ~ (" " verb " ") { print name }' | sort
}
for verb in $("$ISARA" --help | awk '/^verbs:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }'); do
  taken=$(taken_by $verb)
  hidden=$(comm -13 <("$ISARA" $verb --help | awk '/^  --/ { print $1 }' | sort) - <<<"$taken")
  [ -n "$taken" ] && [ -z "$hidden" ] || { echo "$verb --help does not list" $hidden; fails=1; }
done
"$ISARA" experiment --help | grep -q -e --seed && { echo "experiment --help lists --seed, which it refuses"; fails=1; }
want 2 "\-\-seed: an experiment has its random_seeds in its file" "$ISARA" experiment x.yaml --seed 1
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
  # Eight bits: what is generated, scored and embedded does not depend on threads, order or instruction set.
  "$ISARA" generate --model $m --input "$tmp/fore.jsonl" --output "$tmp/3.jsonl" --dtype q8 --num-beams 3 --log-level quiet || fails=1
  "$ISARA" generate --model $m --input "$tmp/back.jsonl" --output "$tmp/4.jsonl" --dtype q8 --num-beams 3 --threads 1 --isa generic --log-level quiet || fails=1
  tac "$tmp/4.jsonl" | cmp - "$tmp/3.jsonl" || { echo "q8, reversed input, generic: other lines"; fails=1; }
  sed 's/,"max_new_tokens":12/,"completion":" Keep them cool."/' "$tmp/good.jsonl" >"$tmp/score.jsonl"; echo '{"text":"Keep them cool."}' >"$tmp/embed.jsonl"
  want 0 '"sum_logprob"' "$ISARA" score --model $m --input "$tmp/score.jsonl" --dtype q8
  want 0 '"embedding"' "$ISARA" embed --model $m --input "$tmp/embed.jsonl" --dtype q8
  want 2 "not in q8" "$ISARA" train --model $m --data models/seeds.jsonl --output "$tmp/q8" --dtype q8
  want 0 "parameters" "$ISARA" inspect $m
  # Conversations: a template beside the tokenizer, the prompt in the output, only the assistant trained; colour when asked for, and not with NO_COLOR.
  mkdir -p "$tmp/chat"; cp $m/*.json $m/model.safetensors "$tmp/chat/"
  printf '%s' "{% for m in messages %}{{ 'Question: ' + m.content + '\n' if m.role == 'user' else 'Answer: ' + m.content + '\n\n' }}{% endfor %}{% if add_generation_prompt %}Answer:{% endif %}" >"$tmp/chat/chat_template.jinja"
  echo '{"messages":[{"role":"user","content":"How do I store apples?"}],"max_new_tokens":4}' >"$tmp/ask.jsonl"
  want 0 '"prompt": "Question: How do I store apples?.nAnswer:"\|"prompt":"Question: How do I store apples?.nAnswer:"' "$ISARA" generate --model "$tmp/chat" --input "$tmp/ask.jsonl"
  want 1 "need a chat template" "$ISARA" generate --model $m --input "$tmp/ask.jsonl"
  echo '{"messages":[{"role":"user","content":"Why?"},{"role":"assistant","content":"So."}]}' >"$tmp/rows.jsonl"
  want 0 "1 assistant turns, 0 not trained" env NO_COLOR=1 CLICOLOR_FORCE=1 "$ISARA" inspect --data "$tmp/rows.jsonl" --model "$tmp/chat"
  env NO_COLOR=1 CLICOLOR_FORCE=1 "$ISARA" inspect --data "$tmp/rows.jsonl" --model "$tmp/chat" 2>/dev/null | grep -q "$(printf '\033')" && { echo "colour in spite of NO_COLOR"; fails=1; }
  env -u NO_COLOR CLICOLOR_FORCE=1 "$ISARA" inspect --data "$tmp/rows.jsonl" --model "$tmp/chat" 2>/dev/null | grep -q "$(printf '\033')\[32m\|$(printf '\033')\[92m" || { echo "no colour in spite of CLICOLOR_FORCE"; fails=1; }
  want 0 "peak_bytes" "$ISARA" plan --model $m --json
  want 0 '"token_ids"' "$ISARA" tokenize --model $m --text "How do I store apples?"
  head -c 1000 $m/model.safetensors >"$tmp/cut.safetensors"; mkdir -p "$tmp/cut"; cp $m/*.json "$tmp/cut/"; mv "$tmp/cut.safetensors" "$tmp/cut/model.safetensors"
  want 65 "model.safetensors" "$ISARA" generate --model "$tmp/cut" --input "$tmp/good.jsonl"
else
  echo "skipped: $m is not there (generate, score, embed, inspect)"
fi
exit $fails
