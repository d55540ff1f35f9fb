#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# isara serve as a process: the address it prints, a signal while an answer is on its way, a port that is taken, options.
set -u
fails=0
say() { echo "$1"; fails=1; }
model=models/miniature
[ -f $model/model.safetensors ] || { echo "no miniature"; exit 77; }
tmp=${BUILD:-build}/tmp/serve_cli; rm -rf "$tmp"; mkdir -p "$tmp"
"$ISARA" serve --model $model --port 0 --log-level warning >"$tmp/address" 2>"$tmp/said" &
pid=$!
trap 'kill $pid 2>/dev/null' EXIT
for _ in $(seq 200); do [ -s "$tmp/address" ] && break; kill -0 $pid 2>/dev/null || break; sleep 0.05; done
grep -q "no libmicrohttpd" "$tmp/said" && { echo "this build has no libmicrohttpd"; exit 77; }
port=$(sed -n 's|^http://127.0.0.1:\([0-9]*\)/v1$|\1|p' "$tmp/address")
[ -n "$port" ] || { echo "no address: $(cat "$tmp/address" "$tmp/said")"; exit 1; }

# call PATH BODY: head and body of the answer
call() {
  exec 3<>"/dev/tcp/127.0.0.1/$port"
  printf '%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' "$([ -n "$2" ] && echo POST || echo GET)" "$1" ${#2} "$2" >&3
  cat <&3
  exec 3>&-
}
[[ $(call /health "") == *'{"status": "ok"}'* ]] || say "/health: $(call /health "")"
answer=$(call /v1/completions '{"prompt":"Question: May I","max_tokens":12}')
text=$(sed -n 's/.*"text": *"\([^"]*\)".*/\1/p' <<<"$answer")
made=$(echo '{"prompt":"Question: May I","max_new_tokens":12}' | "$ISARA" generate --model $model --log-level quiet | sed -n 's/.*"text": *"\([^"]*\)".*/\1/p')
[ -n "$text" ] && [ "$text" = "$made" ] || say "the server's '$text' is not isara generate's '$made'"

out=$("$ISARA" serve --model $model --port "$port" 2>&1); rc=$?
[[ $rc = 69 && $out == *"port $port of 127.0.0.1 is taken"* ]] || say "a port that is taken: $rc, $out"
out=$("$ISARA" serve --model $model --host no.such.host.invalid 2>&1); rc=$?
[[ $rc = 2 && $out == *"--host no.such.host.invalid"* ]] || say "a host that is none: $rc, $out"
out=$("$ISARA" serve 2>&1); rc=$?
[[ $rc = 2 && $out == *"--model is needed"* ]] || say "no model: $rc, $out"

# What is in flight finishes, and the exit code is 0.
call /v1/completions '{"prompt":"Question: May I","max_tokens":400,"stream":true,"eos_token_id":[]}' >"$tmp/stream" &
reader=$!
for _ in $(seq 200); do grep -q '^data: ' "$tmp/stream" && break; sleep 0.02; done
kill -TERM $pid
wait $pid; rc=$?
wait $reader
[ $rc = 0 ] || say "exit code $rc after SIGTERM; said: $(cat "$tmp/said")"
grep -q '^data: \[DONE\]' "$tmp/stream" || say "the stream was cut: $(tail -c 200 "$tmp/stream")"
exit $fails
