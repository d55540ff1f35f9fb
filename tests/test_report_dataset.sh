#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A report's directory in the hands of Hugging Face's own libraries: datasets loads it by its cards and has the attempts that run.db has,
# huggingface_hub reads both cards and the evaluations in them. $ISARA_REPORT_PYTHON: the Python that has them.
set -u
python=${ISARA_REPORT_PYTHON:-python3}
"$python" -c 'import datasets, huggingface_hub' 2>/dev/null || { echo "skipped: Python's datasets is not installed"; exit 77; }
[ -f models/miniature/model.safetensors ] || { echo "models/miniature is not there"; exit 77; }
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
head -8 models/test.jsonl >"$tmp/test.jsonl"
"$ISARA" align --model models/miniature --seeds models/seeds.jsonl --test "$tmp/test.jsonl" --output "$tmp/run" --attempts 16 --rounds 2 \
  --log-level quiet >"$tmp/out" 2>&1 || { cat "$tmp/out"; exit 1; }
"$ISARA" report "$tmp/run" --output "$tmp/report" >"$tmp/out" 2>&1 || { cat "$tmp/out"; exit 1; }
mkdir "$tmp/alone" && cp "$tmp/report/generated.jsonl" "$tmp/alone" && cp "$tmp/report/dataset_card.md" "$tmp/alone/README.md"
HF_HUB_OFFLINE=1 HF_HOME="$tmp/hf" "$python" - "$tmp" <<'END'
import os, sqlite3, sys
from datasets import disable_progress_bars, load_dataset
from huggingface_hub import DatasetCard, ModelCard

tmp = sys.argv[1]
disable_progress_bars()
db = sqlite3.connect(os.path.join(tmp, "run", "run.db"))
attempts = [tuple(r) for r in db.execute("SELECT round, question, answer FROM attempt ORDER BY round, idx")]
kept = {r: n for r, n in db.execute("SELECT round, kept FROM round WHERE attempts IS NOT NULL")}
for directory in ("report", "alone"):
    data = load_dataset(os.path.join(tmp, directory))
    assert list(data) == ["train"], f"{directory}: splits {list(data)}"
    rows = list(data["train"])
    assert [(r["round"], r["question"] or "", r["answer"] or "") for r in rows] == [(r, q or "", a or "") for r, q, a in attempts], directory
    assert {t: sum(r["kept"] for r in rows if r["round"] == t) for t in kept} == kept, directory
card = ModelCard.load(os.path.join(tmp, "report", "README.md"))
assert card.data.base_model and card.data.library_name == "transformers" and card.data.eval_results, card.data.to_dict()
assert DatasetCard.load(os.path.join(tmp, "report", "dataset_card.md")).data.configs[0]["data_files"][0]["path"] == "generated.jsonl"
END
