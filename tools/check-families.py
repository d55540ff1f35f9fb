#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What isara writes of every golden family is what other people's programs load: a model trained for a few steps by transformers, an adapter by peft, with the log-probabilities that
isara score gives. tools/check-families.py [--isara build/isara] [NAME...]   (default: all of tests/golden/families that have a head)
Seen with torch 2.15.0, transformers 5.24.0, peft 0.21.2."""
import argparse, json, pathlib, subprocess, sys, tempfile

import peft, torch
from transformers import AutoModelForCausalLM

ROWS = [([3, 9, 9], [1, 20, 4, 2]), ([5], [2, 7]), ([7, 6], [28, 0, 0, 11, 12, 13, 2])]


def worst(model, got):
    d = 0
    for (p, c), mine in zip(ROWS, got):
        with torch.no_grad():
            lp = torch.log_softmax(model(torch.tensor([p + c])).logits[0].double(), -1)
        d = max(d, max(abs(lp[len(p) - 1 + i, t].item() - mine[i]) for i, t in enumerate(c)))
    return d


def check(isara, base, tmp):
    def run(*a):
        r = subprocess.run([isara, *a, "--dtype", "f32", "--log-level", "quiet"], capture_output=True, text=True)
        if r.returncode:
            sys.exit(f"isara {' '.join(a)}: {r.stderr}")
        return r.stdout

    load = lambda d: AutoModelForCausalLM.from_pretrained(d, dtype=torch.float32, attn_implementation="eager")
    data, found = tmp / "rows.jsonl", []
    data.write_text("".join(json.dumps({"prompt_token_ids": p, "completion_token_ids": c}) + "\n" for p, c in ROWS))
    for kind, options in (("full", []), ("lora", ["--lora-r", "3", "--lora-alpha", "6", "--lora-target-modules", "all-linear"]), ("default", ["--lora-r", "3"])):
        out = tmp / kind
        run("train", "--model", str(base), "--data", str(data), "--output", str(out), "--learning-rate", "0.01", "--max-steps", "8", *options)
        mine = [json.loads(line)["token_logprobs"] for line in run("score", "--model", str(out), "--input", str(data)).splitlines()]
        model = peft.PeftModel.from_pretrained(load(base), out) if options else load(out)
        found.append(worst(model, mine))
    return found


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--isara", default="build/isara")
    p.add_argument("names", nargs="*")
    a = p.parse_args()
    root, bad = pathlib.Path("tests/golden/families"), 0
    for name in a.names or sorted(d.name for d in root.iterdir() if d.is_dir() and "logprobs" in json.loads((d / "values.json").read_text())):
        with tempfile.TemporaryDirectory() as tmp:
            full, lora, default = check(a.isara, root / name, pathlib.Path(tmp))
        print(f"{name:24} trained {full:.1e}   adapter {lora:.1e}   of the default modules {default:.1e}")
        bad |= max(full, lora, default) > 1e-4
    sys.exit(bad)


main()
