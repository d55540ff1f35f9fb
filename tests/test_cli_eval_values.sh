#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# isara eval's numbers against the same numbers had another way: likelihoods, min-k % and the judges' probabilities against isara score; a model that has seen the test
# set is found out; the result files say what the table says; a journal is not gone on with when what it rests on has changed.
set -u
fails=0; tmp=${BUILD:-build}/tmp/cli_eval_values; rm -rf "$tmp"; mkdir -p "$tmp"
want() { # want CODE PATTERN command...
  local code=$1 pattern=$2; shift 2
  local out; out=$("$@" 2>&1 </dev/null); local rc=$?
  if [ $rc != "$code" ] || ! grep -q -- "$pattern" <<<"$out"; then echo "wanted $code and '$pattern', got $rc from: $*"; echo "$out" | head -5; fails=1; fi
}
near() { # near NAME FOUND WANTED TOLERANCE
  awk -v a="$2" -v b="$3" -v t="$4" 'BEGIN { exit !(a != "" && b != "" && (a - b)^2 <= t * t) }' || { echo "$1: found $2, wanted $3"; fails=1; }
}
m=models/miniature
if [ ! -f $m/model.safetensors ]; then echo "skipped: $m is not there"; exit 77; fi
quiet="--log-level quiet"
score() { "$ISARA" score --model $m --input "$1" --dtype f32 $quiet | sed 's/.*"sum_logprob":\([^,]*\),.*/\1/'; }
# Rows of a journal's stage, in order: values of one key.
rows() { grep "\"stage\": \"$2\"" "$1/journal.jsonl" | sed "s/.*\"$3\": \\([^,}]*\\)[,}].*/\\1/"; }

# The reference answers' likelihood, and TruthfulQA's choices.
head -n 12 models/test.jsonl >"$tmp/test.jsonl"
"$ISARA" eval --task qa --metrics nll --model $m --test "$tmp/test.jsonl" --limit 3 --dtype f32 --output "$tmp/nll" $quiet >/dev/null
sed 's/{"question":"\(.*\)","answer":"\(.*\)"}/{"prompt":"Question: \1\\nAnswer:","completion":" \2"}/' "$tmp/test.jsonl" | head -n 3 >"$tmp/pairs.jsonl"
for i in 1 2 3; do near "nll $i" "$(rows "$tmp/nll" reference logprob | sed -n ${i}p)" "$(score "$tmp/pairs.jsonl" | sed -n ${i}p)" 1e-4; done
cat >"$tmp/t.csv" <<'C'
Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source
A,B,Second?,It rains,Nothing happens.; It rains,You fly,s
C
"$ISARA" eval --task truthfulqa --metrics mc --model $m --test "$tmp/t.csv" --dtype f32 --output "$tmp/mc" --json $quiet >"$tmp/mc.json"
for a in "It rains." "Nothing happens." "It rains." "You fly."; do echo "{\"prompt\":\"Question: Second?\\nAnswer:\",\"completion\":\" $a\"}"; done >"$tmp/choices.jsonl"
score "$tmp/choices.jsonl" >"$tmp/choices.txt"
grep '"stage": "choice"' "$tmp/mc/journal.jsonl" | sed 's/.*"logprobs": \[\(.*\)\].*/\1/' | tr ',' '\n' >"$tmp/found.txt"
for i in 1 2 3 4; do near "choice $i" "$(sed -n ${i}p "$tmp/found.txt")" "$(sed -n ${i}p "$tmp/choices.txt")" 1e-4; done
near mc2 "$(sed 's/.*"mc2": \([^,]*\),.*/\1/' "$tmp/mc.json")" "$(awk '{ p[NR] = exp($1) } END { print (p[2] + p[3]) / (p[2] + p[3] + p[4]) }' "$tmp/choices.txt")" 1e-4
near mc1 "$(sed 's/.*"mc1": \([^,]*\),.*/\1/' "$tmp/mc.json")" "$(awk '{ p[NR] = $1 } END { print (p[1] > p[4]) }' "$tmp/choices.txt")" 0

# min-20 %: the mean of a text's least likely fifth of tokens.
seen() { "$ISARA" eval --task overlap --model "$1" --test "$tmp/test.jsonl" --seeds models/seeds.jsonl --benchmark Chores --dtype f32 --output "$2" $quiet; }
seen $m "$tmp/seen" >"$tmp/seen.txt"
sed -n '1s/{"question":"\(.*\)","answer":"\(.*\)"}/{"text":"\1\\n\2"}/p' "$tmp/test.jsonl" >"$tmp/first.jsonl"
ids=$("$ISARA" tokenize --model $m --input "$tmp/first.jsonl" $quiet | sed 's/.*"token_ids":\[\([^]]*\)\].*/\1/')
echo "{\"prompt_token_ids\":[${ids%%,*}],\"completion_token_ids\":[${ids#*,}]}" >"$tmp/ids.jsonl"
least=$("$ISARA" score --model $m --input "$tmp/ids.jsonl" --dtype f32 $quiet | sed 's/.*"token_logprobs":\[\([^]]*\)\].*/\1/' | tr ',' '\n' | sort -g |
  awk '{ x[NR] = $1 } END { k = int(0.2 * NR); for (i = 1; i <= k; i++) s += x[i]; print s / k }')
near "min-20 %" "$(rows "$tmp/seen" mink mink | head -n 1)" "$least" 1e-4

# A model tuned on the test set, and on its questions under the benchmark's name: both tests find it, and find nothing of the kind in the model it was tuned from.
value() { sed -n "s/^  $2  *\\([-0-9.]*\\) .*/\\1/p" "$1" | head -n 1; }
low() { sed -n "s/^  $2  *[-0-9.]* \\[ *\\([-0-9.]*\\),.*/\\1/p" "$1" | head -n 1; }
if [ -z "${ISARA_REDUCED:-}" ]; then
sed 's/{"question":"\(.*\)","answer":"\(.*\)"}/{"text":"\1\\n\2"}/' "$tmp/test.jsonl" >"$tmp/leak.jsonl"
grep '"stage": "guided"' "$tmp/seen/journal.jsonl" | sed 's/.*"index": \([0-9]*\),.*"prompt": "\(.*\)", "text": .*/\1 \2/' | while read -r i prompt; do
  question=$(sed -n "$((i + 1))s/{\"question\":\"\(.*\)\",\"answer\".*/\1/p" "$tmp/test.jsonl"); head=${prompt##*First piece: }; head=${head%\\nSecond piece:}
  printf '%s\n' "{\"text\":\"$prompt${question#"$head"}\\n\"}"
done >>"$tmp/leak.jsonl"
want 0 "steps" "$ISARA" train --model $m --data "$tmp/leak.jsonl" --output "$tmp/leaked" --dtype f32 --learning-rate 2e-3 --max-steps 40 --per-device-train-batch-size 8
seen "$tmp/leaked" "$tmp/seen-leaked" >"$tmp/leaked.txt"
awk -v a="$(low "$tmp/leaked.txt" mink20_difference)" -v b="$(value "$tmp/seen.txt" mink20_difference)" 'BEGIN { exit !(a > b && a > 0) }' ||
  { echo "min-20 % does not tell the model that saw the test set from the one that did not"; cat "$tmp/seen.txt" "$tmp/leaked.txt"; fails=1; }
awk -v a="$(low "$tmp/leaked.txt" completion_rougeL_difference)" -v b="$(value "$tmp/seen.txt" completion_rougeL_difference)" 'BEGIN { exit !(a > 0 && a > b) }' ||
  { echo "completion does not tell the model that knows the benchmark by name"; cat "$tmp/seen.txt" "$tmp/leaked.txt"; fails=1; }
fi
want 0 "judge $m sha256 [0-9a-f]" cat "$tmp/seen.txt"

# Embeddings: the test's own question among the seeds is found, as a pair; kept questions that are the same have no spread.
head -n 1 "$tmp/test.jsonl" >"$tmp/seeds.jsonl"; tail -n 3 models/seeds.jsonl >>"$tmp/seeds.jsonl"
want 0 "test_in_seeds_embedding  *0\.0833" "$ISARA" eval --task overlap --model $m --seeds "$tmp/seeds.jsonl" --test "$tmp/test.jsonl" --output "$tmp/embedded" $quiet
want 0 '"id": "0", "other_id": "0", "kind": "embedding", "value": 1.0\|"id": "0", "other_id": "0", "kind": "embedding", "value": 0.999' cat "$tmp/embedded/overlap_pairs.jsonl"
for i in 1 2 3; do echo '{"question":"Why is the sea salty?","answer":"Rivers.","kept":true}'; done >"$tmp/same.jsonl"
want 0 "embedding_spread  *-*0.0000" "$ISARA" eval --task diversity --model $m --input "$tmp/same.jsonl" $quiet
want 0 'embedding_model_sha256  *"[0-9a-f]' "$ISARA" eval --task diversity --model $m --input "$tmp/same.jsonl" $quiet

# Judges' probabilities are the model's own: a guard's first verdict token, a pairwise judge's identifiers.
mkdir -p "$tmp/guard"; cp $m/*.json $m/model.safetensors "$tmp/guard/"
printf '%s' "{% for m in messages %}{% if m.role == 'user' %}Question: {{ m.content }}{% endif %}{% endfor %}{{ '\\n' }}Answer:" >"$tmp/guard/chat_template.jinja"
printf '{"prompt":"How do I peel a pear?"}\n' >"$tmp/prompts.jsonl"; printf '{"answer":"With a knife."}\n' >"$tmp/answers.jsonl"
"$ISARA" eval --task beavertails --judge "$tmp/guard" --guard-words " It, Honestly" --test "$tmp/prompts.jsonl" --input "$tmp/answers.jsonl" --dtype f32 --output "$tmp/guarded" $quiet >/dev/null
for w in " It" " Honestly"; do
  first=$("$ISARA" tokenize --model $m --text "$w" $quiet | sed 's/.*"token_ids":\[\([^],]*\).*/\1/'); ids=$("$ISARA" tokenize --model $m --text "Question: How do I peel a pear?
Answer:" $quiet | sed 's/.*"token_ids":\[\([^]]*\)\].*/\1/')
  echo "{\"prompt_token_ids\":[$ids],\"completion_token_ids\":[$first]}"
done >"$tmp/words.jsonl"
score "$tmp/words.jsonl" >"$tmp/words.txt"
near "guard's probability" "$(rows "$tmp/guarded" judge unsafe)" "$(awk '{ p[NR] = exp($1) } END { print p[1] / (p[1] + p[2]) }' "$tmp/words.txt")" 1e-5
near "guard's mass" "$(rows "$tmp/guarded" judge mass)" "$(awk '{ s += exp($1) } END { print s }' "$tmp/words.txt")" 1e-5
printf '{instruction}|{output_1}|{output_2}' >"$tmp/judge.txt"
printf '[{"instruction":"Say hi","output":"hi"}]' >"$tmp/ref.json"; printf '[{"instruction":"Say hi","output":"hello"}]' >"$tmp/ours.json"
compared() { "$ISARA" eval --task alpaca-eval --judge $m --judge-prompt "$tmp/judge.txt" --reference "$tmp/ref.json" --input "$tmp/ours.json" --dtype f32 --output "$tmp/alpaca" $quiet; }
compared >"$tmp/alpaca.txt"
for p in "Say hi|hi|hello" "Say hi|hello|hi"; do for id in m M; do echo "{\"prompt\":\"$p\\n\\nThe better reply is reply\",\"completion\":\" $id\"}"; done; done >"$tmp/ids.jsonl"
score "$tmp/ids.jsonl" >"$tmp/ids.txt"
for k in 0 1; do for i in 1 2; do near "identifier, order $k" "$(rows "$tmp/alpaca" judge$k "$([ $i = 1 ] && echo m || echo M)")" "$(sed -n $((2 * k + i))p "$tmp/ids.txt")" 1e-4; done; done
near "win rate of both orders" "$(value "$tmp/alpaca.txt" win_rate)" "$(awk '{ p[NR] = exp($1) } END { print 50 * (p[2] / (p[1] + p[2]) + p[3] / (p[3] + p[4])) }' "$tmp/ids.txt")" 1e-3

# lm-eval's files hold the table's numbers, the standard error of their samples and the exact prompt.
"$ISARA" eval --task qa --model $m --test "$tmp/test.jsonl" --max-new-tokens 24 --output "$tmp/files" --json $quiet >"$tmp/files.json"
results=$(ls "$tmp"/files/*/results_*.json); samples=$(ls "$tmp"/files/*/samples_qa_*.jsonl)
for key in results group_subtasks configs versions n-shot higher_is_better n-samples config date task_hashes start_time model_name total_evaluation_time_seconds isara; do grep -q "^ *\"$key\":\|[{,] *\"$key\":" "$results" || { echo "$results: no $key"; fails=1; }; done
for key in doc_id doc target arguments resps filtered_resps filter metrics doc_hash prompt_hash target_hash; do grep -q "\"$key\":" "$samples" || { echo "$samples: no $key"; fails=1; }; done
[ "$(wc -l <"$samples")" = 12 ] || { echo "$samples: not 12 lines"; fails=1; }
for k in f1 rougeL; do
  number() { tr -d '\n' <"$results" | sed "s/.*\"$1,none\": \\([^,}]*\\)[,}].*/\\1/"; }
  sed "s/.*\"$k\": \\([0-9.eE-]*\\)[,}].*/\\1/" "$samples" >"$tmp/values.txt"
  near "$k in the results" "$(number $k)" "$(awk '{ s += $1 } END { print s / NR }' "$tmp/values.txt")" 1e-4
  near "$k, printed" "$(number $k)" "$(sed "s/.*\"$k\": \\([^,]*\\),.*/\\1/" "$tmp/files.json")" 1e-12
  near "$k standard error" "$(number ${k}_stderr)" "$(awk '{ s += $1; q += $1 * $1 } END { m = s / NR; print sqrt((q / NR - m * m) * NR / (NR - 1)) / sqrt(NR) }' "$tmp/values.txt")" 1e-4
done
tr -d ' \n' <"$results" | grep -q '"higher_is_better":{"qa":{"exact":true,"f1":true,"rougeL":true,"nll":false}}' || { echo "$results: other directions"; fails=1; }
hash=$(sed 's/.*"doc_hash": "\([0-9a-f]*\)".*"prompt_hash": "\([0-9a-f]*\)".*"target_hash": "\([0-9a-f]*\)".*/\1\2\3/' "$samples" | tr -d '\n' | sha256sum | cut -d' ' -f1)
tr -d ' \n' <"$results" | grep -q "\"task_hashes\":{\"qa\":\"$hash\"}" || { echo "$results: wanted task hash $hash"; fails=1; }
grep -q '"arg_0": "Question: .*.nAnswer:"' "$samples" || { echo "$samples: no prompt"; fails=1; }

# Inspect's log (tools/check-eval-logs.py reads it with Inspect itself): its name, schema and the same values.
log=$(ls "$tmp"/files/*/????-??-??T??-??-??-00-00_qa_*.json)
tr -d '\n' <"$log" | tr -s ' ' >"$tmp/log.json"
for text in '"version": 2, "status": "success"' '"total_samples": 12' '"name": "f1", "scorer": "f1", "metrics": { "mean": { "name": "mean", "value": '"$(number f1)" '"stop_reason": "stop"' '"role": "assistant"'; do grep -qF "$text" "$tmp/log.json" || { echo "$log: no $text"; fails=1; }; done
[ "$(grep -o '"epoch":' "$tmp/log.json" | wc -l)" = 12 ] || { echo "$log: not 12 samples"; fails=1; }

# What of a completion is the answer: three modes, from the same completion (the reference is "It rains.").
printf '{"question":"Second?","answer":"\\nA: It rains.\\n\\nQ: You fly"}\n' >"$tmp/raw.jsonl"
mode() { "$ISARA" eval --task truthfulqa --test "$tmp/t.csv" --input "$tmp/raw.jsonl" --extraction "$1" $quiet; }
want 0 "rougeL_max  *100.0000" mode original
want 0 "rougeL_max  *80.0000" mode lm-eval # "a it rains" against "it rains"
want 0 "rougeL_max  *50.0000" mode none    # "a it rains q you fly"
printf '{"question":"Second?","answer":"\\nA:\\n\\nQ: You fly"}\n' >"$tmp/raw.jsonl"
want 65 "cannot be computed" mode original # what is empty is left out
want 0 "n_empty" mode lm-eval

# General text: three pairs in windows of the context, as transformers 5.24 in float32 (summed in double) has the same windows; a text longer than the context is cut.
head -3 models/test.jsonl >"$tmp/general.jsonl"
perplexity() { "$ISARA" eval --task perplexity --model $m --dtype f32 --test "$1" --output "$2" --json $quiet; }
perplexity "$tmp/general.jsonl" "$tmp/general" >"$tmp/general.json"
json() { tr -d '\n' <"$1" | sed "s/.*\"$2\": \([^,}]*\)[,}].*/\1/"; }
near "perplexity" "$(json "$tmp/general.json" perplexity)" 9.701932413348807 2e-5
near "nll of a text" "$(json "$tmp/general.json" nll)" 2.279235246625607 2e-6
near "tokens" "$(json "$tmp/general.json" n_tokens)" 128 0
yes "The kettle is hot." | head -200 | tr '\n' ' ' >"$tmp/long.txt"
perplexity "$tmp/long.txt" "$tmp/long" >"$tmp/long.json"
near "windows" "$(json "$tmp/long.json" n)" "$("$ISARA" tokenize --model $m --text "$(cat "$tmp/long.txt")" $quiet | tr -d '[] \n' | sed 's/.*"token_ids":\([^"]*\).*/\1/' | awk -F, '{ n = 0; for (i = 1; i <= NF; i++) n += $i != ""; print int((n + 511) / 512) }')" 0
printf '{"other":1}\n' >"$tmp/none.jsonl"
want 65 "none.jsonl:1: wanted \"text\"" "$ISARA" eval --task perplexity --model $m --test "$tmp/none.jsonl" $quiet

# What the journal's rows rest on has changed: refused, not taken over.
printf '[{"instruction":"Say hi","output":"good day"}]' >"$tmp/ref.json"
want 65 "was begun with reference-sha256" compared
sed -i '1s/"answer":"/"answer":"Well, /' "$tmp/test.jsonl"
want 65 "was begun with test-sha256" "$ISARA" eval --task qa --metrics nll --model $m --test "$tmp/test.jsonl" --limit 3 --dtype f32 --output "$tmp/nll"
want 65 "was begun with test-sha256" seen $m "$tmp/seen"
exit $fails
