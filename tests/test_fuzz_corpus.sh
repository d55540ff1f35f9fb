#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Replays every fuzz corpus (fuzz/corpus/TARGET/*), whole and cut short, through its target.
set -u
n=0
for source in fuzz/fuzz_*.c; do
  name=$(basename "$source" .c); name=${name#fuzz_}
  files=(fuzz/corpus/"$name"/*)
  [ -e "${files[0]}" ] || { echo "fuzz/corpus/$name is empty"; exit 1; }
  "$BUILD/fuzz/replay_$name" "${files[@]}" || { echo "target $name failed on the file above"; exit 1; }
  n=$((n + ${#files[@]}))
done
echo "$n corpus files replayed"
[ "$n" -gt 0 ]
