#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does llama.cpp make of a GGUF file what isara makes of the model that it was converted from? One table: token ids, greedy text, log-probabilities.

usage: tools/check-llama-cpp.py MODEL FILE.gguf [--adapter DIR] [--lora ADAPTER.gguf] [--isara build/isara] [--limit X] [--tokens N] [--text FILE]

MODEL (with --adapter DIR over it) is what isara reads (f32); FILE.gguf what llama.cpp reads (KV cache in f32, no flash attention). Exit code 1 when an id or a greedy token differs or a
log-probability is more than --limit (0.01) away. Needs llama-cpp-python (0.3.36)."""
import argparse, json, subprocess, sys, tempfile
import numpy as np
from llama_cpp import Llama

TEXTS = ["Question: How do I store apples for the winter?\nAnswer: Keep them in a cool, dark place, and look for rot every week.",
         "The capital of France is Paris. It's 12345 km away; don't you know?  Two  spaces, a\ttab and\n\nlines.",
         "Caf\u00e9 na\u00efve \u2014 \u4e2d\u6587\u5b57 \u0645\u0631\u062d\u0628\u0627 \U0001f600 x = y_1 + 3.14 * (a - b) // comment"]
a = argparse.ArgumentParser()
a.add_argument("model"); a.add_argument("gguf"); a.add_argument("--lora"); a.add_argument("--isara", default="build/isara")
a.add_argument("--adapter"); a.add_argument("--limit", type=float, default=0.01); a.add_argument("--tokens", type=int, default=24); a.add_argument("--text")
o = a.parse_args()
texts = open(o.text).read().split("\n---\n") if o.text else TEXTS
bad = 0


def isara(verb, records, *more):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        f.writelines(json.dumps(r) + "\n" for r in records)
        f.flush()
        out = subprocess.run([o.isara, verb, "--model", o.model, *(["--adapter", o.adapter] if o.adapter else []), "--input", f.name, "--log-level", "quiet", *more], stdout=subprocess.PIPE, text=True)
    return [json.loads(l) for l in out.stdout.splitlines()]


def line(what, measured, ok):
    global bad
    bad += not ok
    print(f"{what:44} {measured:>24}  {'ok' if ok else 'OUT'}", flush=True)


llm = Llama(o.gguf, n_ctx=1024, logits_all=True, verbose=False, n_threads=2, flash_attn=False, type_k=0, type_v=0, lora_path=o.lora)
ids = []
try:
    ids = [r["token_ids"] for r in isara("tokenize", [{"text": t} for t in texts], "--special-tokens")]
except (KeyError, IndexError):
    pass
if ids:
    theirs = [llm.tokenize(t.encode(), add_bos=True, special=True) for t in texts]
    same = sum(x == y for x, y in zip(ids, theirs))
    line("texts with the same token ids", f"{same} of {len(texts)}", same == len(texts))
    for x, y in zip(ids, theirs):
        if x != y:
            k = next((i for i, (p, q) in enumerate(zip(x, y)) if p != q), min(len(x), len(y)))
            print("  first difference at", k, x[k:k + 6], y[k:k + 6])
else:
    rng = np.random.default_rng(0)
    ids = [rng.integers(3, llm.n_vocab(), 40).tolist() for _ in range(3)]
limit = min(1024, int(llm.metadata[llm.metadata['general.architecture'] + '.context_length']))
ids = [x[:limit] for x in ids]
first = min(12, limit // 2)
o.tokens = min(o.tokens, limit - first)
scored = isara("score", [{"prompt_token_ids": x[:1], "completion_token_ids": x[1:]} for x in ids], "--dtype", "f32")
diffs = []
for x, r in zip(ids, scored):
    llm.reset()
    llm.eval(x)
    z = np.array(llm.scores[: len(x)], dtype=np.float64)
    z -= z.max(1, keepdims=True)
    logp = z - np.log(np.exp(z).sum(1, keepdims=True))
    diffs += [abs(logp[i, x[i + 1]] - r["token_logprobs"][i]) for i in range(len(x) - 1)]
line(f"log-probabilities of {len(diffs)} tokens, greatest", f"{max(diffs):.2g}", max(diffs) <= o.limit)
line("  mean", f"{sum(diffs) / len(diffs):.2g}", True)
ours = isara("generate", [{"prompt_token_ids": x[:first]} for x in ids], "--dtype", "f32", "--max-new-tokens", str(o.tokens), "--num-beams", "1")
same = 0
for x, r in zip(ids, ours):
    llm.reset()
    llm.eval(x[:first])
    got, end = [], set([llm.token_eos()])
    while len(got) < len(r["token_ids"]):
        t = int(np.argmax(llm.scores[first - 1 + len(got)]))
        got.append(t)
        llm.eval([t])
    same += got == r["token_ids"]
    if got != r["token_ids"]:
        print("  greedy:", r["token_ids"], got)
line(f"greedy continuations of {o.tokens} tokens", f"{same} of {len(ids)}", same == len(ids))
sys.exit(bool(bad))
