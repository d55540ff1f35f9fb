#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains an adapter with isara on the tiny model of tests/golden/lora, loads it with peft, and compares log-probabilities: tools/check-peft-load.py [build/isara].
Seen with torch 2.15.0, transformers 5.24.0, peft 0.21.2."""
import json, os, subprocess, sys, tempfile

import peft, torch
from transformers import AutoModelForCausalLM

isara = sys.argv[1] if len(sys.argv) > 1 else "build/isara"
base = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/golden/lora/model")
rows = [([3, 9, 9], [1, 20, 4, 2]), ([5], [2, 7]), ([7, 6], [28, 0, 0, 11, 12, 13, 2])]
with tempfile.TemporaryDirectory() as tmp:
    data = os.path.join(tmp, "rows.jsonl")
    with open(data, "w") as f:
        for p, c in rows:
            f.write(json.dumps({"prompt_token_ids": p, "completion_token_ids": c}) + "\n")
    run = lambda *a: subprocess.run([isara, *a, "--dtype", "f32", "--log-level", "quiet"], check=True, capture_output=True, text=True).stdout
    out = os.path.join(tmp, "adapter")
    run("train", "--model", base, "--data", data, "--output", out, "--lora-r", "4", "--lora-alpha", "6", "--lora-target-modules", "all-linear", "--learning-rate", "0.02", "--max-steps", "20")
    mine = [json.loads(l)["token_logprobs"] for l in run("score", "--model", out, "--input", data).splitlines()]
    model = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float64), out).double()
    worst = 0
    for (p, c), got in zip(rows, mine):
        lp = torch.log_softmax(model(torch.tensor([p + c])).logits[0], -1)
        worst = max(worst, max(abs(lp[len(p) - 1 + i, t].item() - got[i]) for i, t in enumerate(c)))
print(f"peft {peft.__version__} loads what isara trained; log-probabilities differ by at most {worst:.2g}")
sys.exit(worst > 1e-4)
