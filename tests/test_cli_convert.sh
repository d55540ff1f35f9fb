#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# isara convert: to GGUF and back, adapters, a run's last model, Modelfile, shards and types; what it refuses.
set -u
m=models/miniature; fails=0
[ -f $m/model.safetensors ] || { echo "models/miniature is not there"; exit 77; }
tmp=${BUILD:-build}/tmp/cli_convert; rm -rf "$tmp"; mkdir -p "$tmp"
bad() { echo "$*"; fails=1; }
want() { # want CODE PATTERN command...
  local code=$1 pattern=$2; shift 2
  local out rc; out=$("$@" 2>&1 </dev/null); rc=$?
  { [ $rc = "$code" ] && grep -q -e "$pattern" <<<"$out"; } || { bad "wanted $code and '$pattern', got $rc from: $*"; tail -n 5 <<<"$out"; }
}
convert() { "$ISARA" convert --log-level quiet "$@" || bad "convert $* failed"; }
score() { "$ISARA" score --dtype f32 --log-level quiet --input "$tmp/in.jsonl" --model "$@"; }
same() { cmp -s <(score "$@") "$tmp/scores" || bad "$* does not score as the model it was made from"; }
printf '%s\n' '{"prompt":"Question: How do I store 12 apples?\nAnswer:","completion":" Keep them cool, it'"'"'s best.\n\nQuestion"}' \
  '{"prompt":"A","completion":"  two  blanks and <|endoftext|> \u00e9\u4e2d"}' >"$tmp/in.jsonl"
score $m >"$tmp/scores"

# There and back: the same bits, whatever way.
convert --model $m --to gguf --ollama --output "$tmp/deep/er/mini.gguf"
same "$tmp/deep/er/mini.gguf"
convert --model $m --to gguf --type f32 --output "$tmp/dir"
same "$tmp/dir/model.gguf"
convert --model "$tmp/dir/model.gguf" --output "$tmp/hf"
same "$tmp/hf"
convert --model "$tmp/dir/model.gguf" --type bf16 --output "$tmp/hf16" # the weights were bf16
same "$tmp/hf16"
convert --model $m --shard-size 1MB --output "$tmp/shards"
same "$tmp/shards"
n=$(ls "$tmp"/shards/model-*-of-*.safetensors | wc -l)
[ "$n" -ge 5 ] && [ -f "$tmp/shards/model-00001-of-0000$n.safetensors" ] && [ ! -f "$tmp/shards/model.safetensors" ] || bad "$n shards, or wrong names"
grep -q '"total_size": 5657472' "$tmp/shards/model.safetensors.index.json" || bad "the index's total_size"
convert --model $m --shard-size 5GB --output "$tmp/one"
cmp -s "$tmp/one/model.safetensors" $m/model.safetensors || [ -f "$tmp/one/model.safetensors" ] || bad "what fits one file is not one"
for t in f16 q8_0; do
  convert --model $m --to gguf --type $t --output "$tmp/$t.gguf"
  "$ISARA" inspect "$tmp/$t.gguf" | grep "embed_tokens.weight *${t^^} " >/dev/null || bad "--type $t"
done

# Modelfile
grep -qx 'FROM ./mini.gguf' "$tmp/deep/er/Modelfile" && grep -qx 'PARAMETER num_ctx 512' "$tmp/deep/er/Modelfile" && grep -qx 'PARAMETER stop "<|endoftext|>"' "$tmp/deep/er/Modelfile" ||
  { bad "the Modelfile:"; cat "$tmp/deep/er/Modelfile"; }

# An adapter: its factors alone, or merged.
head -n 8 models/seeds.jsonl >"$tmp/seeds.jsonl"
"$ISARA" train --model $m --data "$tmp/seeds.jsonl" --output "$tmp/adapter" --lora-r 2 --max-steps 2 --learning-rate 1e-2 --log-level quiet --dtype f32 >/dev/null || bad "train"
convert --model "$tmp/adapter" --to gguf --ollama --output "$tmp/adapter.gguf"
grep -q ADAPTER "$tmp/Modelfile" || bad "the adapter's Modelfile"
score $m --adapter "$tmp/adapter" >"$tmp/adapted"
convert --model $m --adapter "$tmp/adapter" --to gguf --type f32 --output "$tmp/merged.gguf"
cmp -s <(score "$tmp/merged.gguf") "$tmp/adapted" || bad "the merged GGUF scores otherwise than base and adapter"
cmp -s "$tmp/scores" "$tmp/adapted" && bad "the adapter changed nothing"

# It is what eval measures and what align begins with, not its base.
convert --model "$tmp/adapter" --type f32 --output "$tmp/merged"
nll() { "$ISARA" eval --task qa --metrics nll --dtype f32 --test "$tmp/seeds.jsonl" --model "$1" --output "$tmp/nll-$2" --log-level quiet | grep '^ *nll '; }
[ -n "$(nll "$tmp/adapter" adapter)" ] && [ "$(nll "$tmp/adapter" adapter)" = "$(nll "$tmp/merged" merged)" ] || bad "eval of an adapter is not that of its merged model"
[ "$(nll "$tmp/adapter" adapter)" != "$(nll $m base)" ] || bad "eval of an adapter is that of its base"
asked() {
  "$ISARA" align --model "$1" --seeds models/seeds.jsonl --dtype f32 --rounds 1 --attempts 2 --num-beams 1 --ask-max-new-tokens 20 --max-steps 1 \
    --holdout 1 --samples 0 --stop-novelty 0 --question-min-words 1 --output "$tmp/asked-$2" --log-level quiet >/dev/null 2>&1 || bad "align $1"
  grep -o '"ask": *{.*' "$tmp/asked-$2/round-1/generated.jsonl"
}
[ "$(asked "$tmp/adapter" adapter)" = "$(asked "$tmp/merged" merged)" ] || bad "align of an adapter does not ask as its merged model"
[ "$(asked "$tmp/adapter" adapter)" != "$(asked $m base)" ] || bad "align of an adapter asks as its base"

# What only its tuning, or its judge's first answer, would refuse is refused before any work.
want 2 "not on another adapter" "$ISARA" align --model "$tmp/adapter" --seeds models/seeds.jsonl --train-lora-r 2 --output "$tmp/no" --dry-run
want 2 "not on another adapter" "$ISARA" train --model "$tmp/adapter" --data models/seeds.jsonl --lora-r 2 --output "$tmp/no" --dry-run
want 65 "is no sequence classifier" "$ISARA" align --model $m --seeds models/seeds.jsonl --test models/test.jsonl --judge $m --output "$tmp/no" --dry-run
want 65 "is no reward model" "$ISARA" align --model $m --seeds models/seeds.jsonl --score reward --reward models/miniature-judge --min-score 0 --output "$tmp/no" --dry-run
[ ! -e "$tmp/no" ] || bad "--dry-run made $tmp/no"

# A run's last model.
"$ISARA" align --model $m --seeds "$tmp/seeds.jsonl" --output "$tmp/run" --rounds 2 --attempts 6 --max-steps 2 --num-beams 1 --holdout 2 --samples 1 --stop-novelty 0 --sift-threshold 1 \
  --log-level quiet >/dev/null 2>&1 || bad "align"
last=$(ls -d "$tmp"/run/round-*/model | sort | tail -n 1)
"$ISARA" convert "$tmp/run" --to gguf --ollama --output "$tmp/run.gguf" --log-level quiet || bad "convert RUN"
{ grep -q '^TEMPLATE """Question: {{ .Prompt }}$' "$tmp/Modelfile" && grep -q '^Answer:"""$' "$tmp/Modelfile" && grep -qx 'PARAMETER stop "\\nQuestion:"' "$tmp/Modelfile"; } ||
  { bad "a run's Modelfile:"; cat "$tmp/Modelfile"; }
cmp -s <(score "$tmp/run.gguf") <(score "$last") || bad "convert RUN is not $last"

# Refusals.
want 78 "is there already" "$ISARA" convert --model $m --to gguf --output "$tmp/run.gguf"
want 2 "one of them" "$ISARA" convert --model $m --type f32 --dtype bf16 --output "$tmp/x"
want 2 "holds f32" "$ISARA" convert --model $m --type q8_0 --output "$tmp/x"
want 2 "with --to gguf" "$ISARA" convert --model $m --ollama --output "$tmp/x"
want 2 "one file" "$ISARA" convert --model $m --to gguf --shard-size 1GB --output "$tmp/x.gguf"
want 2 "500MB" "$ISARA" convert --model $m --shard-size lots --output "$tmp/x"
want 2 "one model" "$ISARA" convert "$tmp/run" --model $m --output "$tmp/x"
want 2 "a run directory" "$ISARA" convert --output "$tmp/x"
mkdir "$tmp/empty"; cp "$tmp/run/config.resolved.json" "$tmp/empty/"
want 66 "" "$ISARA" convert "$tmp/empty" --output "$tmp/x"
exit $fails
