#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/run-tests counts what passed, failed and was skipped: a test that lacks something, whole or in part, is never counted as passed.
set -u
runner=$PWD/tools/run-tests
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
fails=0
# run CODE TEXT WANTED: a tree with a test of that exit code and output, beside one that passes; its last line is to be WANTED.
run() {
  local code=$1 text=$2 wanted=$3 rc=0
  rm -rf "$tmp/tree"; mkdir -p "$tmp/tree/tests" "$tmp/tree/build/tests"
  printf 'exit 0\n' >"$tmp/tree/tests/test_fine.sh"
  printf 'cat <<"E"\n%s\nE\nexit %d\n' "$text" "$code" >"$tmp/tree/tests/test_other.sh"
  (cd "$tmp/tree" && TESTS="" BUILD=build "$runner") >"$tmp/out" 2>&1 || rc=1
  [ "$(tail -n 1 "$tmp/out")" = "$wanted" ] || { echo "wanted '$wanted' after exit code $code and '$text'"; cat "$tmp/out"; fails=1; }
  return $rc
}
run 0 "done" "2 passed, 0 failed, 0 skipped" || { echo "all passed: wanted exit code 0"; fails=1; }
run 77 "no model" "1 passed, 0 failed, 1 skipped" || { echo "skipped: wanted exit code 0"; fails=1; }
run 0 "skipped: no model (chat)" "1 passed, 0 failed, 1 skipped" || { echo "skipped in part: wanted exit code 0"; fails=1; }
grep -q "no model (chat)" "$tmp/out" || { echo "does not say what was skipped"; fails=1; }
run 1 "skipped: no model (chat)" "1 passed, 1 failed, 0 skipped" && { echo "failed and skipped in part: wanted exit code 1"; fails=1; }
run 0 "[       OK ] one
[  SKIPPED ] two
skipped: no data" "2 passed, 0 failed, 1 skipped" || { echo "cmocka: wanted exit code 0"; fails=1; }
printf 'kill -9 $PPID\nsleep 1\n' >"$tmp/tree/tests/test_other.sh"
(cd "$tmp/tree" && BUILD=build JOBS=2 "$runner") >"$tmp/out" 2>&1 && { echo "a test whose runner was killed: wanted exit code 1"; cat "$tmp/out"; fails=1; }
exit $fails
