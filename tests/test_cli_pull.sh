#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# isara pull against a hub of its own (tests/hub_server.py) that drops connections, lies about sizes, sends other bytes, redirects and answers 401, 403, 404, 429 and 503.
set -u
command -v python3 >/dev/null 2>&1 || { echo "no python3"; exit 77; }
set +m
fails=0; tmp=$(realpath -m "${BUILD:-build}/tmp/cli_pull"); rm -rf "$tmp"; mkdir -p "$tmp/repo"
cp tests/golden/heads/score/{config.json,model.safetensors,tokenizer.json,tokenizer_config.json} "$tmp/repo"
python3 tests/hub_server.py "$tmp/log" "$tmp/repo" >"$tmp/ports" 2>"$tmp/server" & server=$!
trap 'kill $server 2>/dev/null' EXIT
for _ in $(seq 200); do [ -s "$tmp/ports" ] && break; sleep 0.05; done
read -r hub other <"$tmp/ports" || { echo "the test's server did not start"; exit 1; }
unset HF_TOKEN HUGGING_FACE_HUB_TOKEN HF_HUB_OFFLINE TRANSFORMERS_OFFLINE HUGGINGFACE_HUB_CACHE TRANSFORMERS_CACHE HF_TOKEN_PATH http_proxy HTTP_PROXY all_proxy ALL_PROXY
export HF_ENDPOINT=http://127.0.0.1:$hub/ HF_HOME=$tmp/hf HF_HUB_CACHE=$tmp/hub HF_HUB_DOWNLOAD_TIMEOUT=10
commit=c0ffeec0ffeec0ffeec0ffeec0ffeec0ffee0123
sha=$(sha256sum "$tmp/repo/model.safetensors" | cut -d' ' -f1)
fail() { echo "$*"; fails=1; }
want() { # want CODE PATTERN arguments of pull...
  local code=$1 pattern=$2; shift 2
  out=$("$ISARA" pull "$@" 2>&1 </dev/null); local rc=$?
  if [ $rc != "$code" ] || ! grep -qE -- "$pattern" <<<"$out"; then fail "wanted $code and '$pattern', got $rc from: pull $*"; echo "$out" | head -5; fi
}
asked() { grep -c -- "$1" "$tmp/log"; }
whole() { # whole NAME: all of it is there, in huggingface_hub's layout
  local d=$tmp/hub/models--org--$1
  [ "$(cat "$d/refs/main")" = $commit ] || fail "$1: refs/main is not the commit"
  cmp "$d/snapshots/$commit/model.safetensors" "$tmp/repo/model.safetensors" || fail "$1: other bytes"
  [ "$(readlink "$d/snapshots/$commit/model.safetensors")" = ../../blobs/$sha ] || fail "$1: no link to the blob"
  [ -z "$(find "$d" -name '*.incomplete')" ] || fail "$1: leaves something incomplete"
}
nothing() { [ ! -e "$tmp/hub/models--org--$1/refs/main" ] && [ ! -e "$tmp/hub/models--org--$1/blobs/$sha" ] || fail "$1: is in the cache"; }

out=$("$ISARA" pull org/none 2>&1 </dev/null)
if [[ $out == *"has no libcurl"* ]]; then echo "no libcurl"; exit 77; fi
out=$("$ISARA" inspect org/good 2>&1); [[ $out == *"isara pull org/good"* ]] || fail "inspect does not name the pull command: $out"
want 0 "^$tmp/hub/models--org--good/snapshots/$commit$" org/good
whole good
good=$tmp/hub/models--org--good/snapshots/$commit
(cd "$good" && find . -type l | LC_ALL=C sort | tr '\n' ' ') >"$tmp/list"
[ "$(cat "$tmp/list")" = "./1_Pooling/config.json ./a b%c.json ./config.json ./model.safetensors ./tokenizer.json ./tokenizer_config.json " ] || fail "took $(cat "$tmp/list")"
[ "$(readlink "$good/1_Pooling/config.json")" = "../../../blobs/$(printf 'blob 2\0{}' | sha1sum | cut -d' ' -f1)" ] || fail "a file in a folder has another link"
"$ISARA" inspect org/good >"$tmp/inspect" 2>&1 || fail "inspect org/good: $(cat "$tmp/inspect")"
before=$(asked resolve)
want 0 '"files": 6, "bytes": [0-9]+, "fetched": 0' org/good --json --log-level quiet
[ "$before" = "$(asked resolve)" ] || fail "what is there was fetched again"
want 0 "snapshots/$commit" org/good@v1.0
[ "$(cat "$tmp/hub/models--org--good/refs/v1.0")" = $commit ] || fail "no refs/v1.0"
HF_HUB_OFFLINE=1 want 0 "snapshots/$commit" org/good
before=$(wc -l <"$tmp/log")
HF_HUB_OFFLINE=1 want 69 "HF_HUB_OFFLINE" org/drop
[ "$before" = "$(wc -l <"$tmp/log")" ] || fail "offline, but asked"

# Which files.
want 0 "" org/both; [ ! -e "$tmp/hub/models--org--both/snapshots/$commit/pytorch_model.bin" ] || fail "took both forms of the weights"
want 0 "" org/bin; [ -e "$tmp/hub/models--org--bin/snapshots/$commit/pytorch_model.bin" ] || fail "took no pytorch_model.bin"
want 2 "name it with --include: x.Q4_K_M.gguf x.Q8_0.gguf" org/gguf
want 0 "1 files" org/gguf --include '*Q4_K_M*'
out=$("$ISARA" inspect org/gguf 2>&1); [[ $out == *"/x.Q4_K_M.gguf: "* ]] || fail "the only GGUF file of a snapshot is not what its name means: $out"
want 2 "none of its 3 files matches" org/gguf --include nothing
want 0 "2 files" org/both --include 'onnx/' --include '*.h5'

# Connections that end, servers that lie.
want 0 "trying again" org/drop; whole drop
[ "$(grep -c "^other /org/drop/.* bytes=" "$tmp/log")" -ge 4 ] || fail "did not go on from what it had"
want 0 "" org/norange; whole norange
want 0 "" org/short; whole short
want 69 "the server ended it after 1000 bytes" org/stuck; nothing stuck
[ "$(stat -c %s "$tmp/hub/models--org--stuck/blobs/$sha.incomplete")" = 1000 ] || fail "what came is not kept"
want 69 "the server ended it after" org/early; nothing early
want 65 "sends more than the" org/long; nothing long
want 65 "model.safetensors: its SHA-256 is .*, wanted $sha" org/changed; nothing changed
want 65 "config.json: its SHA-1 of git is" org/tampered
want 69 "asked for the bytes from 1000 on, the server sent those from 1001 on" org/wrongrange; nothing wrongrange
want 69 "redirected more than 10 times" org/loop
want 74 "make room" org/huge
want 65 "says no hash" org/nohash
for r in evil absolute dots; do want 65 "leads out of the model's folder" org/$r; done
[ -z "$(find "$tmp" /tmp -maxdepth 3 -name 'evil.json' 2>/dev/null)" ] || fail "a path led out"
want 65 "wanted a commit of 40 digits" org/badcommit
want 65 "list of files" org/nolist
want 0 "429.*trying again in 0.0 s \(Retry-After\)" org/busy; whole busy
want 69 "after 6 tries .*status 503" org/down
want 66 "no such model" org/none
want 66 "no such revision" org/good@nowhere
want 77 "set HF_TOKEN" org/private
want 77 "is gated \(401\): accept its terms at http://127.0.0.1:$hub/org/gated, set HF_TOKEN" org/gated
HF_TOKEN=hf_secret want 77 "is gated \(403\).* with the account of your HF_TOKEN" org/gated
HF_TOKEN=hf_wrong want 77 "says 401 to your HF_TOKEN" org/private; [[ $out != *hf_wrong* ]] || fail "shows the token: $out"
want 2 "wanted org/name" ../x
want 2 "wanted org/name" 'org/name@a/b'
HF_TOKEN=$'hf_a\nb' want 78 "a blank, a line end" org/private
HF_ENDPOINT=ftp://x want 78 "HF_ENDPOINT is" org/good

# The token: from the environment or its file, to the hub only.
mkdir -p "$HF_HOME"; echo hf_secret >"$HF_HOME/token"
want 0 "" org/private; whole private
[ "$(grep -c "^hub /org/private/.* Bearer:hf_secret" "$tmp/log")" -ge 5 ] || fail "no token to the hub"
! grep -q "^other .*Bearer" "$tmp/log" || fail "the token went to another host"
grep -q "^other /org/private/.*model.safetensors" "$tmp/log" || fail "was not redirected"

# What an earlier run left of it.
d=$tmp/hub/models--org--left/blobs; mkdir -p "$d"
head -c 5000 "$tmp/repo/model.safetensors" >"$d/$sha.incomplete"
want 0 "" org/left; whole left
grep -q "^other /org/left/.* bytes=5000-" "$tmp/log" || fail "did not go on at 5000"
d=$tmp/hub/models--org--wrong/blobs; mkdir -p "$d"
head -c 5000 /dev/zero >"$d/$sha.incomplete"
want 0 "fetching it anew" org/wrong; whole wrong
d=$tmp/hub/models--org--ready/blobs; mkdir -p "$d"
cp "$tmp/repo/model.safetensors" "$d/$sha.incomplete"
want 0 "" org/ready; whole ready
! grep -q "^hub /org/ready/.*model.safetensors" "$tmp/log" || fail "asked for what was all there"

# An interruption keeps what came.
"$ISARA" pull org/slow >"$tmp/slow" 2>&1 & child=$!
part=$tmp/hub/models--org--slow/blobs/$sha.incomplete
for _ in $(seq 400); do [ -s "$part" ] && break; sleep 0.05; done
kill -TERM $child; wait $child; rc=$?
[ $rc = 75 ] || fail "SIGTERM: exit code $rc, wanted 75: $(cat "$tmp/slow")"
grep -q "what came is kept" "$tmp/slow" || fail "says not that it is kept: $(cat "$tmp/slow")"
[ "$(stat -c %s "$part")" = 1000 ] || fail "SIGTERM: what came is not kept"
want 0 "" org/slow; whole slow
exit $fails
