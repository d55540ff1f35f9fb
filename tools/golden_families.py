#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Small random models of what a family's row can switch, with transformers' own values: tests/golden/families/NAME/{config.json, model.safetensors, values.json}.
Made with torch 2.15.0 and transformers 5.24.0.

usage: golden_families.py [OUTPUT]"""
import json, pathlib, sys
import torch, transformers
from safetensors.torch import save_file

IDS = [[1, 5, 9, 22, 31, 7, 40, 3, 12], [2, 44, 8, 8, 30]]


def make(out, name, config):
    torch.manual_seed(7)
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():  # biases and norms would begin at 0 and 1
        for p in model.parameters():
            if p.ndim == 1:
                p += 0.2 * torch.randn_like(p)
    d = out / name
    d.mkdir(parents=True, exist_ok=True)
    (d / "config.json").write_text(json.dumps(config.to_dict() | {"architectures": [type(model).__name__]}, indent=1, sort_keys=True, default=str) + "\n")
    weights = {k: v.contiguous() for k, v in model.state_dict().items() if not (config.tie_word_embeddings and k == "lm_head.weight")}
    save_file(weights, d / "model.safetensors", metadata={"format": "pt"})
    values = {"transformers": transformers.__version__, "torch": torch.__version__, "ids": IDS, "logprobs": [], "losses": [], "gradient_norms": []}
    for ids in IDS:
        x = torch.tensor([ids])
        model.zero_grad()
        logits = model(x).logits[0]
        lp = torch.log_softmax(logits[:-1].double(), -1)[torch.arange(len(ids) - 1), x[0, 1:]]
        loss = -lp.mean()
        loss.backward()
        values["logprobs"].append([float(v) for v in lp])
        values["losses"].append(float(loss))
        values["gradient_norms"].append({n: float(p.grad.norm()) for n, p in model.named_parameters()})
    (d / "values.json").write_text(json.dumps(values, indent=1) + "\n")


def activations(out):
    """Every name of ACT2FN that is a function of one number and no more, at points on both sides of every bend, in float64."""
    x = [-12.5, -10.5, -6.5, -4.0, -3.25, -2.0, -1.0, -0.5, -0.125, 0.0, 0.25, 0.75, 1.5, 2.5, 3.5, 5.5, 6.5, 9.5, 12.5]
    left_out = {"prelu", "xielu", "sqrtsoftplus"}
    values = {n: [float(v) for v in transformers.activations.ACT2FN[n](torch.tensor(x, dtype=torch.float64))] for n in sorted(transformers.activations.ACT2CLS) if n not in left_out}
    (out / "activations.json").write_text(json.dumps({"transformers": transformers.__version__, "x": x, "left_out": sorted(left_out), "values": values}, indent=1) + "\n")


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/families")
    make(out, "llama_biases", transformers.LlamaConfig(vocab_size=48, hidden_size=20, intermediate_size=28, num_hidden_layers=2, num_attention_heads=5, num_key_value_heads=5,
         head_dim=6, max_position_embeddings=64, attention_bias=True, mlp_bias=True, hidden_act="gelu_pytorch_tanh", tie_word_embeddings=False, rms_norm_eps=1e-5,
         bos_token_id=1, eos_token_id=2, pad_token_id=None, initializer_range=0.3))

    activations(out)


main()
