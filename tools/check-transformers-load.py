#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/check-transformers-load.py DIR [--gguf FILE]

Loads a directory that isara wrote with transformers' AutoModelForCausalLM and AutoTokenizer, fails if a weight is missing, unexpected or not finite,
decodes a few tokens, and with --gguf compares weights and logits with transformers' own loading of that GGUF file. Prints the versions."""
import argparse, os, sys
import torch, transformers, safetensors

p = argparse.ArgumentParser()
p.add_argument("dir")
p.add_argument("--gguf")
p.add_argument("--dtype", default="float32")
a = p.parse_args()
print("torch", torch.__version__, "transformers", transformers.__version__, "safetensors", safetensors.__version__)
dtype = getattr(torch, a.dtype)
m, info = transformers.AutoModelForCausalLM.from_pretrained(a.dir, dtype=dtype, output_loading_info=True)
for k in ("missing_keys", "unexpected_keys", "mismatched_keys"):
    if info.get(k):
        sys.exit(f"{k}: {info[k]}")
for k, v in m.state_dict().items():
    if not torch.isfinite(v).all():
        sys.exit(f"{k} is not finite")
print("loaded", type(m).__name__, sum(x.numel() for x in m.parameters()), "parameters,", m.config.dtype)
ids = torch.arange(3, 11)[None] % m.config.vocab_size
if os.path.exists(os.path.join(a.dir, "tokenizer.json")) or os.path.exists(os.path.join(a.dir, "tokenizer.model")):
    t = transformers.AutoTokenizer.from_pretrained(a.dir)
    ids = t("The capital of France is", return_tensors="pt").input_ids
    print("tokens", ids[0].tolist())
    out = m.generate(ids, max_new_tokens=8, do_sample=False)
    print("greedy", repr(t.decode(out[0])))
if a.gguf:
    g = transformers.AutoModelForCausalLM.from_pretrained(os.path.dirname(os.path.abspath(a.gguf)), gguf_file=os.path.basename(a.gguf), dtype=dtype)
    for k, v in g.state_dict().items():
        if not torch.equal(v, m.state_dict()[k]):
            sys.exit(f"{k} differs from the GGUF file's")
    with torch.no_grad():
        d = (g(ids).logits - m(ids).logits).abs().max().item()
    print("weights equal; greatest difference of logits", d)
    if d:
        sys.exit("logits differ")
