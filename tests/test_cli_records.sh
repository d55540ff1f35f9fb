#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A file of records that one verb takes every verb takes, and inspect says what it is.
set -u
cd "$(dirname "$0")/.."
fails=0
m=models/miniature tmp=${BUILD:-build}/tmp/cli_records
[ -f $m/model.safetensors ] || { echo "no $m"; exit 77; }
rm -rf "$tmp"; mkdir -p "$tmp"
bad() { echo "$*"; fails=1; }
want() { # want CODE PATTERN command...
  local code=$1 pattern=$2; shift 2
  local out rc; out=$("$@" 2>&1 </dev/null); rc=$?
  { [ $rc = "$code" ] && grep -q -- "$pattern" <<<"$out"; } || { bad "wanted $code and '$pattern', got $rc from: $*"; tail -n 5 <<<"$out"; }
}

# The same two pairs in every shape.
q1='How do I keep apples?' a1='Keep them cool.' q2='Is 1; 2, 3 a list?' a2='It is "one".'
each() { # each NAME 'format with %s for question and answer': a record a pair
  local a=${a2//\"/\\\"}
  # shellcheck disable=SC2059
  { printf "$2\n" "$q1" "$a1"; printf "$2\n" "$q2" "$a"; } >"$tmp/$1"
}
each qa.jsonl '{"question":"%s","answer":"%s"}'
each case.jsonl '{" Question":"%s","ANSWER ":"%s","topic":"t"}'
each messages.jsonl '{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"%s"},{"role":"assistant","content":[{"type":"text","text":"%s"}]}]}'
each sharegpt.jsonl '{"conversations":[{"from":"human","value":"%s"},{"from":"gpt","value":"%s"}],"system":"Be brief."}'
each trl.jsonl '{"prompt":[{"role":"user","content":"%s"}],"completion":[{"role":"assistant","content":"%s"}]}'
each alpaca.jsonl '{"instruction":"%s","input":"","output":"%s"}'
each dolly.jsonl '{"instruction":"%s","context":"","response":"%s","category":"c"}'
each io.jsonl '{"input":"%s","output":"%s"}'
each own.jsonl '{"id":"r1-a0","round":1,"question":"%s","answer":"%s","kept":true,"reason":"kept"}'
echo '{"question":"Struck?","answer":"No.","kept":false}' >>"$tmp/own.jsonl"
each odd.jsonl '{"frage":"%s","antwort":"%s"}'
{ echo '['; sed '$!s/$/,/' "$tmp/alpaca.jsonl"; echo ']'; } >"$tmp/alpaca.json"
q='""'; table() { printf '\xef\xbb\xbf%s\r\n"%s"%s"%s"\r\n"%s"%s"%s"\r\n' "$2" "$q1" "$1" "$a1" "$q2" "$1" "${a2//\"/$q}"; }
table , 'Question,Answer' >"$tmp/t.csv"
table ';' 'Prompt;Response' >"$tmp/semicolon.csv"
table $'\t' $'question\tanswer' >"$tmp/t.tsv"
printf '%s\t%s\n%s\t%s\n' "$q1" "$a1" "$q2" "$a2" >"$tmp/bare.tsv"
gzip -c "$tmp/semicolon.csv" >"$tmp/packed.csv.gz"

# What a verb writes but for id and rendered prompt.
run() { "$ISARA" $1 --model $m --input "$2" --log-level quiet $3 2>"$tmp/err" | sed -E 's/^\{"id":[^,]*,//; s/"prompt":"([^"\\]|\\.)*",//'; return "${PIPESTATUS[0]}"; }
all='tokenize score embed generate'
for verb in $all; do run $verb "$tmp/qa.jsonl" "$([ $verb != generate ] || echo --max-new-tokens 2)" >"$tmp/want.$verb" || bad "$verb: $(tail -n 1 "$tmp/err")"; done
for f in "$tmp"/*.*; do
  name=${f##*/} verbs=tokenize fields=''
  [ "$name" = odd.jsonl ] && fields='--question-field Frage --answer-field antwort'
  case $name in want.*|err) continue ;; trl*|own*|odd*) verbs=$all ;; esac
  for verb in $verbs; do
    run $verb "$f" "$([ $verb != generate ] || echo --max-new-tokens 2) $fields" >"$tmp/out" || bad "$verb $name: $(tail -n 1 "$tmp/err")"
    cmp -s "$tmp/out" "$tmp/want.$verb" || bad "$verb of $name is another than of qa.jsonl"
  done
  # shellcheck disable=SC2086
  [ "$verbs" = tokenize ] || want 0 '^memory ' "$ISARA" align --model $m --seeds "$f" --test "$f" --keep-test-overlap --k 1 --output "$tmp/run" --dry-run $fields
  # shellcheck disable=SC2086
  [ "$verbs" = tokenize ] || want 0 '2 rows, ' "$ISARA" train --model $m --data "$f" --output "$tmp/run" --dry-run $fields
  # shellcheck disable=SC2086
  "$ISARA" inspect "$f" $fields >"$tmp/out" 2>&1 || bad "inspect $name: $(tail -n 1 "$tmp/out")"
  grep -q ': 2 pairs' "$tmp/out" && grep -q "^question  $q1" "$tmp/out" && grep -q "^answer    $a2" "$tmp/out" || { bad "inspect $name:"; cat "$tmp/out"; }
done
lone='{"question":"Is it \ud83d so?","answer":"It is."}' # what is read twice is warned of once
printf '%s\n' "$lone" >"$tmp/lone.jsonl"
once() { [ "$("$ISARA" inspect "$tmp/$1" ${3:+--question-field "$3"} 2>&1 >"$tmp/out" | grep -c -- "$2")" = 1 ] || bad "inspect $1: wanted '$2' once"; }
once bare.tsv 'bare.tsv: no row of names'
once lone.jsonl 'lone surrogate'
once qa.jsonl 'no field "x"' x
want 0 'kept": false are left out' "$ISARA" tokenize --model $m --input "$tmp/own.jsonl"
want 65 "wanted fields.*found \"frage\", \"antwort\"; --question-field" "$ISARA" align --model $m --seeds "$tmp/odd.jsonl" --output "$tmp/run" --dry-run
want 65 'wanted a field "x" (--question-field), found "frage"' "$ISARA" inspect "$tmp/odd.jsonl" --question-field X
want 0 'none that is known' "$ISARA" inspect "$tmp/odd.jsonl"
cat "$tmp/qa.jsonl" "$tmp/qa.jsonl" >"$tmp/twice.jsonl"
want 0 'warning.*duplicate question' "$ISARA" inspect "$tmp/twice.jsonl"
[ "$("$ISARA" inspect "$tmp/twice.jsonl" | grep -c '^--- line')" = 3 ] || bad "inspect does not show three rows of four"
cat "$tmp/qa.jsonl" "$tmp/alpaca.jsonl" >"$tmp/mixed.jsonl"
want 0 'warning  *2 records are of another format than the first' "$ISARA" inspect "$tmp/mixed.jsonl"
# Benchmarks' files too: a set as a table or as JSON, answers in any shape.
for f in sharegpt.jsonl trl.jsonl io.jsonl packed.csv.gz own.jsonl; do want 0 '"exact":1\.0' bash -c "\"\$1\" eval --task qa --test '$tmp/semicolon.csv' --input '$tmp/$f' --json | tr -d ' '" - "$ISARA"; done
printf 'Question,Best Answer,Correct Answers,Incorrect Answers\nIs it?,Yes.,Yes; Of course,No; Never\n' >"$tmp/truth.csv"
echo '[{"question":"Is it?","best_answer":"Yes.","correct_answers":["Yes","Of course"],"incorrect_answers":["No","Never"]}]' >"$tmp/truth.json"
echo '{"answer":"Of course not."}' >"$tmp/answer.jsonl"
truth() { "$ISARA" eval --task truthfulqa --test "$1" --input "$tmp/answer.jsonl" --json 2>&1 | sed 's/"questions_sha256": "[0-9a-f]*"//'; }
[ -n "$(truth "$tmp/truth.csv")" ] && [ "$(truth "$tmp/truth.csv")" = "$(truth "$tmp/truth.json")" ] || bad "truthfulqa: JSON is another than CSV: $(truth "$tmp/truth.json")"
want 65 ':2: no column "question"' "$ISARA" eval --task truthfulqa --test <(cat "$tmp/truth.json" | tr -d '[]\n' | sed 's/"Yes","Of course"/"x"/; s/"No","Never"/"y"/'; echo; echo '{"q":1}') --input "$tmp/answer.jsonl"
# What a benchmark cannot read, struck records and odd ones, is said with its place; what is left out is counted.
lines() { printf '%s\n' "${@:2}" >"$tmp/$1"; }
lines outputs.jsonl '{"q":"Is it?","answer":"Yes."}'
lines xstest.jsonl '{"prompt":"Is it?","type":"t"}' '' '{"prompt":"Is it?"}'
want 65 'xstest.jsonl:3: no column "type"' "$ISARA" eval --task xstest --test "$tmp/xstest.jsonl" --input "$tmp/outputs.jsonl"
lines reference.jsonl '{"instruction":"Is it?","output":"No."}' '{"instruction":"Is it?","output":NaN}'
alpaca() { "$ISARA" eval --task alpaca-eval --reference "$tmp/reference.jsonl" --input "$tmp/outputs.jsonl" --question-field q --judge $m "$@"; }
want 65 'reference.jsonl:2: wanted "instruction" and "output" (.*no JSON number: NaN)' alpaca
want 0 'win_rate' alpaca --limit 1
lines tails.jsonl '{"prompt":"Is it?"}' '' '{"prompt":"Is it?","category":"c"}'
want 65 'tails.jsonl:3: wanted "prompt"' "$ISARA" eval --task beavertails --test "$tmp/tails.jsonl" --input "$tmp/outputs.jsonl" --judge $m
lines odd.outputs '{"answer":"Of course not."}' '{"answer":NaN}'
want 0 'warning.* 1 records have a field that cannot be read: .*odd.outputs:2: no JSON number: NaN' "$ISARA" eval --task truthfulqa --test "$tmp/truth.csv" --input "$tmp/odd.outputs"
want 0 'warning.*own.jsonl: 1 records with "kept": false are left out' "$ISARA" eval --task perplexity --model $m --test "$tmp/own.jsonl"
printf 'PAR1x' >"$tmp/it.parquet"
want 65 "python3 -c \"import pandas; pandas.read_parquet('$tmp/it.parquet').to_json('$tmp/it.parquet.jsonl'" "$ISARA" inspect "$tmp/it.parquet"
exit $fails
