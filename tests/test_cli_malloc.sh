#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One allocation in 1,000 fails, anywhere in the process, the libraries' included: every run ends with an exit code of its own, none by a signal or a time limit,
# and what it left behind is continued to the same bytes.
set -u
m=models/miniature so=${BUILD:-build}/tests/preload/failing_malloc.so tmp=${BUILD:-build}/tmp/cli_malloc
[ -f $m/model.safetensors ] || { echo "no $m"; exit 77; }
[ -f "$so" ] || { echo "no $so (a build with a sanitizer has its own allocator)"; exit 77; }
so=$PWD/$so fails=0
rm -rf "$tmp"; mkdir -p "$tmp"
bad() { echo "$*"; fails=1; }
head -n 12 models/seeds.jsonl >"$tmp/seeds.jsonl"; head -n 3 models/test.jsonl >"$tmp/test.jsonl"
common="--model $m --dtype f32 --threads 1 --log-level quiet"
small="--max-steps 2"
run() { # run VERB OUTPUT
  case $1 in
    align) "$ISARA" align $common --seeds "$tmp/seeds.jsonl" --test "$tmp/test.jsonl" --output "$2" --rounds 1 --attempts 4 --k 2 $small --num-beams 1 --ask-max-new-tokens 16 --answer-max-new-tokens 16 --samples 1 --stop-novelty 0 ;;
    train) "$ISARA" train $common --data "$tmp/seeds.jsonl" --output "$2" $small ;;
    eval) "$ISARA" eval $common --task qa --test "$tmp/test.jsonl" --output "$2" --max-new-tokens 8 ;;
  esac
}
same() { # same VERB A B
  case $1 in
    align) cmp "$2/round-1/generated.jsonl" "$3/round-1/generated.jsonl" && cmp "$2/arms/pretrained.jsonl" "$3/arms/pretrained.jsonl" && { [ ! -e "$2/round-1/model" ] || cmp "$2/round-1/model/model.safetensors" "$3/round-1/model/model.safetensors"; } ;;
    train) cmp "$2/model.safetensors" "$3/model.safetensors" && cmp "$2/log.jsonl" "$3/log.jsonl" ;;
    eval) cmp "$2/journal.jsonl" "$3/journal.jsonl" ;;
  esac
}
for verb in align train eval; do
  run $verb "$tmp/want-$verb" >"$tmp/out" 2>&1 </dev/null || { bad "$verb fails by itself: $(tail -n 1 "$tmp/out")"; continue; }
  LD_PRELOAD=$so MALLOC_FAIL_SAY=3 run $verb "$tmp/count" 3>"$tmp/number" >/dev/null 2>&1 </dev/null
  all=$(tail -n 1 "$tmp/number"); rm -rf "$tmp/count"
  [ "${all:-0}" -gt 1000 ] || { bad "$verb: counted ${all:-no} allocations"; continue; }
  failed=0
  for seed in 1 2 3 4 5 6 7 8 9 10 11 12; do # from places that are spread over the whole run on
    ( export LD_PRELOAD=$so MALLOC_FAIL_ONE_IN=1000 MALLOC_FAIL_SEED=$seed MALLOC_FAIL_AFTER=$((all * seed / 13)); run $verb "$tmp/$verb" ) >"$tmp/out" 2>"$tmp/err" </dev/null
    rc=$?
    case $rc in 0) ;; [1-9] | [67][0-9]) failed=$((failed + 1)) ;; *) bad "$verb, seed $seed: exit code $rc: $(tail -n 1 "$tmp/err")" ;; esac
  done
  [ $failed -gt 3 ] || bad "$verb: only $failed of 12 runs met a failing allocation"
  run $verb "$tmp/$verb" >"$tmp/out" 2>&1 </dev/null || bad "$verb does not go on: $(tail -n 1 "$tmp/out")"
  same $verb "$tmp/want-$verb" "$tmp/$verb" || bad "$verb: other bytes after failures"
done
exit $fails
