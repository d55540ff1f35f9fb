#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The page of isara view in a browser, by the keyboard alone: progress, review with hostile texts, judging, at two widths; axe-core finds nothing.
# Needs what tools/check-report needs; $ISARA_REPORT_PYTHON: the Python that has it.
set -u
python=${ISARA_REPORT_PYTHON:-python3}
command -v "${CHROMIUM:-chromium}" >/dev/null || command -v chromium-browser >/dev/null || { echo "skipped: chromium is not installed"; exit 77; }
"$python" -c 'import playwright, axe_playwright_python' 2>/dev/null || { echo "skipped: Python's playwright or axe_playwright_python is not installed"; exit 77; }
[ -f models/miniature/model.safetensors ] || { echo "models/miniature is not there"; exit 77; }
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
align() { "$ISARA" align --model models/miniature --seeds models/seeds.jsonl --output "$tmp/reviewed" --attempts 16 --rounds 1 --review --log-level quiet "$@" >"$tmp/out" 2>&1 || { cat "$tmp/out"; exit 1; }; }
align
cp -r "$tmp/reviewed" "$tmp/waiting"
align --resume
"$python" tools/check-view "$ISARA" "$tmp/waiting" "$tmp/reviewed" ${ISARA_SHOTS:+"$ISARA_SHOTS"}
