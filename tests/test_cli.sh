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
for verb in eval convert train generate score embed tokenize doctor; do
  want 0 "example:" "$ISARA" $verb --help
done
want 0 "\.TH ISARA" "$ISARA" --man
want 2 "no such verb" "$ISARA" algin
want 2 "did you mean --model" "$ISARA" score --modle x
want 66 "nowhere" "$ISARA" score --model /nowhere
want 2 "\-\-model is needed" "$ISARA" score
want 0 "instruction set" "$ISARA" doctor
want 0 "instruction set  generic" "$ISARA" doctor --isa generic
exit $fails
