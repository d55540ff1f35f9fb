#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Output on a network file system: told once, locked by files and not by directories, a journal without a write-ahead log; stopped, gone on with, and the same bytes.
# tests/preload/as_nfs.c answers as NFS does; where sshfs and FUSE are there, a real one follows.
set -u
m=models/miniature-small so=$PWD/${BUILD:-build}/tests/preload/as_nfs.so fails=0
tmp=$(mktemp -d); trap 'fusermount3 -u "$tmp/ssh" 2>/dev/null; rm -rf "$tmp"' EXIT
say() { echo "$1"; fails=1; }
[ -f "$so" ] || { echo "skipped: no $so (a sanitizer's build has none)"; exit 77; }
head -n 28 models/seeds.jsonl >"$tmp/seeds.jsonl"
align="align --model $m --seeds $tmp/seeds.jsonl --holdout 4 --attempts 8 --rounds 1 --k 3 --ask-max-new-tokens 32 --answer-max-new-tokens 48 --per-device-train-batch-size 4 --gradient-accumulation-steps 1 --max-steps 2 --stop-novelty 0 --threads 1"
train="train --model $m --data $tmp/seeds.jsonl --per-device-train-batch-size 4 --gradient-accumulation-steps 1 --max-steps 3 --threads 1"
bytes() { (cd "$1" && find . -name '*.safetensors' -o -name 'generated.jsonl' -o -name log.jsonl | sort | xargs sha256sum); }
mkdir "$tmp/disk" "$tmp/net" "$tmp/ssh"
for verb in align train; do $ISARA ${!verb} --output "$tmp/disk/$verb" >"$tmp/log" 2>&1 || say "$verb on a disk: $(tail -1 "$tmp/log")"; done
[ -s "$tmp/disk/align/round-1/model/model.safetensors" ] || say "the alignment tunes nothing"
grep -q "network file system" "$tmp/log" && say "a disk is taken for a network file system"

# on DIRECTORY NAME [VARIABLE=VALUE...]: both there.
on() {
  local at=$1 name=$2 verb; shift 2
  for verb in align train; do
    env "$@" $ISARA ${!verb} --output "$at/$verb" >"$tmp/log" 2>&1 || say "$verb on $name: $(tail -1 "$tmp/log")"
    [ "$(grep -c "$at/$verb.*: is on a network file system ($name)" "$tmp/log")" = 1 ] || say "$verb on $name: wanted one warning: $(cat "$tmp/log")"
    diff <(bytes "$tmp/disk/$verb") <(bytes "$at/$verb") >"$tmp/diff" || say "$verb on $name: $(cat "$tmp/diff")"
  done
  [ "$(od -An -tu1 -j18 -N2 "$at/align/run.db" | tr -d ' ')" = 11 ] || say "align on $name: run.db wants a write-ahead log" # sqlite.org/fileformat.html: 2 2 is WAL
  env "$@" $ISARA report "$at/align" --output "$tmp/page.html" >"$tmp/log" 2>&1 || say "report of a run on $name: $(tail -1 "$tmp/log")"
  env "$@" $ISARA ${align/--rounds 1/--rounds 2} --output "$at/align" >"$tmp/log" 2>&1 || say "another round on $name: $(tail -1 "$tmp/log")"
  # Held by another process: the files are locked here as that one would.
  ( flock -x 8; flock -x 9; env "$@" $ISARA ${train/--max-steps 3/--max-steps 4} --output "$at/held" >"$tmp/log" 2>&1; echo $? >"$tmp/rc"; env "$@" $ISARA $align --output "$at/align" >"$tmp/log2" 2>&1; echo $? >>"$tmp/rc" ) 8>"$at/held/.lock" 9>>"$at/align/run.lock"
  [ "$(tr '\n' ' ' <"$tmp/rc")" = "69 69 " ] && grep -q "another process is writing there" "$tmp/log" && grep -q "is working on this run" "$tmp/log2" || say "two at once on $name: $(cat "$tmp/rc" "$tmp/log" "$tmp/log2")"
}
mkdir "$tmp/net/held"
on "$tmp/net" NFS LD_PRELOAD="$so" AS_NFS="$tmp/net"

# A real one: sshfs over a pipe to OpenSSH's sftp-server.
server=$(ls /usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server 2>/dev/null | head -n 1)
if [ -n "$server" ] && command -v sshfs >/dev/null && [ -w /dev/fuse ]; then
  mkdir "$tmp/far" "$tmp/far/held"
  sshfs -o ssh_command="$server #" "far:$tmp/far" "$tmp/ssh" 2>"$tmp/log" || say "sshfs: $(cat "$tmp/log")"
  on "$tmp/ssh" sshfs
fi
exit $fails
