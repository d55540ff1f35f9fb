#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The pages of a report, with hostile texts in it, and of an experiment before a browser: no violation that axe-core finds, nothing that scrolls sideways, no request.
# Needs what tools/check-report needs; $ISARA_REPORT_PYTHON: the Python that has it.
set -u
BUILD=${BUILD:-build}
python=${ISARA_REPORT_PYTHON:-python3}
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
"$BUILD/tests/test_report_html" "$tmp/report.html" || { echo "the page could not be written"; exit 1; }
"$python" tools/check-report "$tmp/report.html" || exit
[ -f models/miniature-small/model.safetensors ] || { echo "skipped: models/miniature-small is not there"; exit 77; }
head -24 models/seeds.jsonl >"$tmp/seeds.jsonl"; head -8 models/test.jsonl >"$tmp/test.jsonl"; cp -r models/miniature-small "$tmp/model"
cat >"$tmp/page.yaml" <<'END'
model: model
seeds: seeds.jsonl
test: test.jsonl
random_seeds: [0, 1]
rounds: 2
attempts: 12
eval-max-new-tokens: 16
arms: [pretrained, icl-knn, {name: sft, kind: sft-seeds}, {name: an_arm_with_a_name_that_no_line_breaks_an_arm_with_a_name_that_no_line_breaks_an_arm_with_a_name_that_no_line_breaks_, kind: sft-seeds, train-learning-rate: 1e-4}, isara, {name: distill, recipe: distill}]
control: [sft, pretrained]
metrics: [qa]
END
"$ISARA" experiment "$tmp/page.yaml" --output "$tmp/out" --log-level quiet >"$tmp/log" 2>&1 || { tail -3 "$tmp/log"; exit 1; }
"$python" tools/check-report "$tmp/out/report.html" ${ISARA_SHOTS:+"$ISARA_SHOTS"}
