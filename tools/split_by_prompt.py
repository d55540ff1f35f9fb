#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Splits JSON Lines with a "prompt" into a training and a test file so that no prompt is in both.

    tools/split_by_prompt.py rows.jsonl --train 2500 --out DIR        # DIR/train.jsonl, DIR/test.jsonl

Prompts are ordered by SHA-256 and taken whole until the training file has at least so many rows; rows keep the input's order. Standard library only."""
import argparse, hashlib, json, os

a = argparse.ArgumentParser()
a.add_argument("rows")
a.add_argument("--train", type=int, default=2500)
a.add_argument("--out", required=True)
a = a.parse_args()
rows = [json.loads(line) for line in open(a.rows, encoding="utf-8")]
count = {}
for r in rows:
    count[r["prompt"]] = count.get(r["prompt"], 0) + 1
chosen, n = set(), 0
for prompt in sorted(count, key=lambda p: hashlib.sha256(p.encode()).digest()):
    if n >= a.train:
        break
    chosen.add(prompt)
    n += count[prompt]
os.makedirs(a.out, exist_ok=True)
for name, keep in (("train", True), ("test", False)):
    part = [r for r in rows if (r["prompt"] in chosen) == keep]
    with open(os.path.join(a.out, name + ".jsonl"), "w", encoding="utf-8") as f:
        for r in part:
            f.write(json.dumps(r, ensure_ascii=False) + "\n")
    print(f"{name}: {len(part)} rows, {len({r['prompt'] for r in part})} prompts")
