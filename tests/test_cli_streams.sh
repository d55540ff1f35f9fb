#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Standard output that cannot take what is printed, signals that were ignored before, control characters from files, secrets in an endpoint's address.
set -u
fails=0
no() { echo "$*"; fails=1; }
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
m=models/miniature
[ -f $m/model.safetensors ] || { echo "no models/miniature here"; exit 77; }
printf '{"prompt":"a"}\n' >"$tmp/i.jsonl"
full() { # full command...: exit code 74 and a line that says so
  "$@" >/dev/full 2>"$tmp/e" </dev/null; local rc=$?
  [ $rc = 74 ] && grep -q "standard output\|No space" "$tmp/e" || { no "exit $rc on a full device: $*"; head -3 "$tmp/e"; }
}
if [ -w /dev/full ]; then
  for verb in align eval convert train generate score embed tokenize inspect plan doctor; do full "$ISARA" $verb --help; done
  for what in --help --version --man "help eval"; do full "$ISARA" $what; done
  full "$ISARA" plan --model $m
  full "$ISARA" doctor --json
  full "$ISARA" inspect $m
  full "$ISARA" tokenize --model $m --text abc
  full "$ISARA" generate --model $m --input "$tmp/i.jsonl" --max-new-tokens 2
  full "$ISARA" score --model $m --input "$tmp/i.jsonl"
  full "$ISARA" align --model $m --seeds models/seeds.jsonl --output "$tmp/r" --dry-run
fi
# nohup: SIGHUP and SIGINT that were ignored stay ignored (bits 1 and 2), SIGTERM (bit 15) is taken.
if [ -r /proc/self/status ]; then
  mkfifo "$tmp/never"; exec 8<>"$tmp/never" # it waits for a first record
  ( trap "" INT HUP; exec "$ISARA" generate --model $m --input "$tmp/never" >/dev/null 2>&1 ) & p=$!
  taken=0
  for _ in $(seq 400); do
    taken=$(sed -n 's/^SigCgt:\s*//p' /proc/$p/status)
    [ "$(cat /proc/$p/comm)" = isara ] && [ $((0x$taken & 0x4000)) != 0 ] && break # before that it is the shell still
    sleep 0.02
  done
  ignored=$(sed -n 's/^SigIgn:\s*//p' /proc/$p/status)
  [ $((0x$taken & 0x4000)) != 0 ] || no "SIGTERM is not taken: $taken"
  [ $((0x$ignored & 3)) = 3 ] && [ $((0x$taken & 2)) = 0 ] || no "an ignored signal is taken: ignored $ignored, taken $taken"
  kill -KILL $p; wait $p
fi
# A progress line is narrower than the terminal, whatever its width; a final one ends the line.
if command -v script >/dev/null && command -v stty >/dev/null; then
  for i in 1 2 3 4; do echo "{\"prompt\":\"Why $i?\"}"; done >"$tmp/four.jsonl"
  for width in 20 33 300; do
    rm -f "$tmp/out.jsonl"
    script -qec "stty cols $width; $ISARA generate --model $m --input $tmp/four.jsonl --output $tmp/out.jsonl --max-new-tokens 60 --num-beams 4" "$tmp/typed" >/dev/null </dev/null
    tr '\r' '\n' <"$tmp/typed" | sed 's/\x1b\[K//g' | grep '^generate' >"$tmp/lines"
    longest=$(awk '{ if (length($0) > n) n = length($0) } END { print n + 0 }' "$tmp/lines")
    [ "$longest" -gt 10 ] && [ "$longest" -lt $width ] || no "a terminal of $width columns: the longest progress line has $longest"
  done
  grep -q '^generate 4/4 \[.*records/s, .*tokens/s\]$' "$tmp/lines" || no "a wide terminal does not show everything"
fi
# --log-level debug says what every verb works with and what it took.
"$ISARA" generate --model $m --input "$tmp/i.jsonl" --max-new-tokens 2 --log-level debug >/dev/null 2>"$tmp/e"
for text in "model $m: llama, 2.8 million" "tokenizer $m: ids below 2048" "engine so far: .* 2 generated" "processor time"; do grep -q "$text" "$tmp/e" || no "--log-level debug: no \"$text\""; done
"$ISARA" doctor --log-level debug 2>&1 >/dev/null | grep -q "exit code 0" || no "doctor --log-level debug says nothing"
# What a file holds is shown without its escapes.
printf '{"id":"x\\u001b[2Jy\\u009bz","prompt":"a","completion":"b"}\n' >"$tmp/t.jsonl"
"$ISARA" inspect --model $m --data "$tmp/t.jsonl" >"$tmp/shown" 2>&1
grep -q $'\x1b\|\xc2\x9b' "$tmp/shown" && no "an escape of a file reached the output"
"$ISARA" score --model "$(printf '/nowhere\033[2J')" 2>"$tmp/e"; grep -q $'\x1b' "$tmp/e" && no "an escape reached an error line"
exit $fails
