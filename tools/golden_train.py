#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/lora/ and tests/golden/optimizer.json: what PEFT, PyTorch and transformers make of adapters and optimizer steps.

lora/model, lora/adapter   a tiny random LLaMA and an adapter on all its matrices, saved by transformers and PEFT
lora/lora.json             rows; loss (sum over targets / their number) and gradients of the adapter in float64; log-probabilities; the merged matrices
optimizer.json             five AdamW steps on eleven numbers, in float64, with clipping, with decay on the first seven only; learning rates of the schedules
Run with the versions of bench/requirements.txt; they are written into the files."""
import json, os, sys

import peft, torch, transformers
from transformers import LlamaConfig, LlamaForCausalLM

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden")
META = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}


def lora():
    out = os.path.join(HERE, "lora")
    torch.manual_seed(7)
    base = LlamaForCausalLM(LlamaConfig(vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                                        max_position_embeddings=32, tie_word_embeddings=True, rope_theta=10000.0, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
                                        initializer_range=0.25))
    base.save_pretrained(os.path.join(out, "model"))
    config = peft.LoraConfig(r=3, lora_alpha=5, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"], task_type="CAUSAL_LM")
    config.base_model_name_or_path = "../model"
    model = peft.get_peft_model(base, config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(0, 0.2)
    model.peft_config["default"].base_model_name_or_path = "../model"
    model.save_pretrained(os.path.join(out, "adapter"))
    os.remove(os.path.join(out, "adapter", "README.md"))
    os.remove(os.path.join(out, "model", "generation_config.json"))
    model = model.double()
    rows = [([3, 9, 9, 1, 20, 4, 2], 3), ([5, 2], 1), ([7, 6, 28, 0, 0, 11, 12, 13, 2], 2), ([1, 1, 8, 2], 3)]
    n, total, logprobs = sum(len(ids) - k for ids, k in rows), 0, []
    for ids, k in rows:
        lp = torch.log_softmax(model(torch.tensor([ids])).logits[0], -1)
        picked = torch.stack([lp[i - 1, ids[i]] for i in range(k, len(ids))])
        logprobs.append(picked.tolist())
        total = total - picked.sum()
    (total / n).backward()
    gradients = {name.replace(".default.", "."): p.grad.flatten().tolist() for name, p in model.named_parameters() if p.grad is not None}
    merged = model.merge_and_unload()
    some = {name: p.flatten().tolist() for name, p in merged.named_parameters() if "layers.1." in name and "proj" in name}
    json.dump({"meta": META, "rows": [{"ids": ids, "n_prompt": k} for ids, k in rows], "loss": total.item() / n, "logprobs": logprobs, "gradients": gradients, "merged": some},
              open(os.path.join(out, "lora.json"), "w"))


def optimizer():
    torch.manual_seed(3)
    start, gradients = torch.randn(11, dtype=torch.float64), torch.randn(5, 11, dtype=torch.float64)
    a, b = torch.nn.Parameter(start[:7].clone()), torch.nn.Parameter(start[7:].clone())
    o = torch.optim.AdamW([{"params": [a], "weight_decay": 0.1}, {"params": [b], "weight_decay": 0.0}], lr=1, betas=(0.9, 0.95), eps=1e-8)
    lrs, after, norms = [0.01, 0.02, 0.005, 0.0, 0.013], [], []
    for lr, g in zip(lrs, gradients):
        for group in o.param_groups:
            group["lr"] = lr
        a.grad, b.grad = g[:7].clone(), g[7:].clone()
        norms.append(torch.nn.utils.clip_grad_norm_([a, b], 2.5).item())
        o.step()
        after.append(a.tolist() + b.tolist())
    dummy = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-5)
    schedules = {}
    for name in ("cosine", "linear", "constant_with_warmup"):
        s, list_ = transformers.get_scheduler(name, torch.optim.SGD(dummy.param_groups[0]["params"], lr=2e-5), num_warmup_steps=3, num_training_steps=20), []
        for _ in range(20):
            list_.append(s.get_last_lr()[0])
            s.optimizer.step()
            s.step()
        schedules[name] = list_
    json.dump({"meta": META, "start": start.tolist(), "gradients": gradients.tolist(), "learning_rates": lrs, "max_norm": 2.5, "decay": [0.1] * 7 + [0.0] * 4, "norms": norms,
               "after": after, "schedules": schedules}, open(os.path.join(HERE, "optimizer.json"), "w"))


if __name__ == "__main__":
    lora()
    optimizer()
