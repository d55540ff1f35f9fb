#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tools/make-shape: isara reads what it writes, as GGUF of every type and as Hugging Face's files; the same arguments give the same bytes; room that is not there is
# named before anything is written.
set -u
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
fails=0; make=$BUILD/tools/make_shape
[ -x "$make" ] || { echo "$make is not there"; exit 1; }
say() { echo "$1"; fails=1; }

# Every type is read and computed with. The model knows nothing: a token has about the probability of one in 700.
echo '{"prompt": "the rest: is This", "completion": " on 7 \u00e9t\u00e9"}' >"$dir/record"
for type in q4_k_m q5_k_m q6_k q8_0 q4_0 q4_1 q5_0 q5_1 f16 bf16 hf; do
  model="$dir/$type.gguf"; [ $type = hf ] && model="$dir/hf"
  "$make" tiny --type "${type/hf/bf16}" "$model" || say "$type is not written"
  "$ISARA" score --model "$model" --input "$dir/record" --log-level quiet >"$dir/score" 2>&1
  sed -n 's/.*"n_tokens":\([0-9]*\),"sum_logprob":-\([0-9.]*\).*/\1 \2/p' "$dir/score" | awk '{ n = $2 / $1; ok = n > 6 && n < 7.5 } END { exit !ok }' || say "$type: $(cat "$dir/score")"
done
"$make" tiny "$dir/again.gguf" && "$make" tiny --seed 2 "$dir/other.gguf"
cmp -s "$dir/q4_k_m.gguf" "$dir/again.gguf" || say "the same arguments give other bytes"
cmp -s "$dir/q4_k_m.gguf" "$dir/other.gguf" && say "another seed gives the same bytes"

# llama.cpp's mix: of four layers the third and the last have more bits in two matrices.
"$ISARA" inspect "$dir/q4_k_m.gguf" --log-level quiet >"$dir/list"
[ "$(grep -c Q6_K "$dir/list")" = 5 ] || say "$(grep -c Q6_K "$dir/list") matrices in Q6_K, wanted 5"
for name in model.layers.2.self_attn.v_proj model.layers.2.mlp.down_proj model.layers.3.self_attn.v_proj model.layers.3.mlp.down_proj lm_head; do
  grep -q "$name.weight  *Q6_K" "$dir/list" || say "$name is not in Q6_K"
done

# The two forms of one model have their tokenizer in common, and what it takes apart it puts together.
echo '{"text": "The rest, on a day in Sienna: 7 times theirs!"}' >"$dir/text"
for model in hf bf16.gguf; do "$ISARA" tokenize --model "$dir/$model" --input "$dir/text" --log-level quiet >"$dir/ids-$model"; done
cmp "$dir/ids-hf" "$dir/ids-bf16.gguf" || say "the two tokenizers differ"
sed 's/.*"token_ids":\(\[[^]]*\]\).*/{"token_ids":\1}/' "$dir/ids-hf" | "$ISARA" tokenize --decode --model "$dir/hf" --input - --log-level quiet | grep -q "The rest, on a day in Sienna: 7 times theirs!" || say "the text does not come back"

out=$(trap '' XFSZ; ulimit -f 64; "$make" tiny "$dir/large.gguf" 2>&1) && say "more was written than may be"
case "$out" in *large.gguf*) ;; *) say "what is too large is not named: $out" ;; esac
ls "$dir" | grep -q large && say "a file that does not fit is there"
exit $fails
