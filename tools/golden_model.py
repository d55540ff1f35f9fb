#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/random_llama: a random LLaMA (grouped heads, head size apart from hidden/heads, untied, Llama-3 rope scaling) and what
transformers computes with it: logits, and ten AdamW steps (loss, gradient norm, learning rate) in float64.
Made with torch 2.15.0, transformers 5.24.0, safetensors 0.7."""
import json, math, os, sys
import torch, transformers
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.optimization import get_linear_schedule_with_warmup

out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "../tests/golden/random_llama")
os.makedirs(out, exist_ok=True)
config = LlamaConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=12, intermediate_size=48, vocab_size=70,
                     max_position_embeddings=600, rms_norm_eps=1e-5, tie_word_embeddings=False, initializer_range=0.25, bos_token_id=1, eos_token_id=2, pad_token_id=None,
                     rope_parameters={"rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                      "original_max_position_embeddings": 64})
torch.manual_seed(7)
model = LlamaForCausalLM(config)
with torch.no_grad():
    for name, p in model.named_parameters():
        if p.ndim == 1:
            p.copy_(1 + 0.2 * torch.randn_like(p))
        p.copy_(p.to(torch.bfloat16).float())
model.to(torch.bfloat16).save_pretrained(out, safe_serialization=True)
for name in os.listdir(out):
    if name == "generation_config.json":
        os.remove(os.path.join(out, name))
model = LlamaForCausalLM.from_pretrained(out, dtype=torch.float64, attn_implementation="eager")

g = torch.Generator().manual_seed(11)
ids = torch.randint(0, 70, (300,), generator=g)
model.eval()
with torch.no_grad():
    logits = model(ids[None]).logits[0]
where = [0, 1, 17, 63, 64, 150, 255, 256, 257, 299]

rows = []
for n, n_prompt in [(9, 4), (14, 1), (5, 4), (22, 11), (8, 3), (3, 2), (31, 20), (12, 6), (17, 9), (6, 1)]:
    rows.append({"ids": torch.randint(0, 70, (n,), generator=g).tolist(), "n_prompt": n_prompt})
steps, batch, lr, decay, clip = 10, 4, 3e-3, 0.1, 1.0
norms = [p for p in model.parameters() if p.ndim == 1]
matrices = [p for p in model.parameters() if p.ndim == 2]
optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": decay}, {"params": norms, "weight_decay": 0.0}], lr=lr, betas=(0.9, 0.95), eps=1e-8)
schedule = get_linear_schedule_with_warmup(optimizer, math.ceil(0.15 * steps), steps)
log = []
per_epoch = math.ceil(len(rows) / batch)
for step in range(steps):
    first = step % per_epoch * batch
    part = rows[first:first + batch]
    total, count = 0, 0
    for r in part:
        x = torch.tensor(r["ids"])
        lp = torch.log_softmax(model(x[None]).logits[0][:-1], -1)
        nll = -lp[torch.arange(len(x) - 1), x[1:]]
        total = total + nll[r["n_prompt"] - 1:].sum()
        count += len(x) - r["n_prompt"]
    loss = total / count
    optimizer.zero_grad()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    log.append({"loss": loss.item(), "grad_norm": norm.item(), "learning_rate": optimizer.param_groups[0]["lr"]})
    optimizer.step()
    schedule.step()
json.dump({"torch": torch.__version__, "transformers": transformers.__version__, "ids": ids.tolist(), "rows_at": where,
           "logits": [[round(v, 7) for v in logits[i].tolist()] for i in where], "train_rows": rows, "train": log},
          open(os.path.join(out, "values.json"), "w"))
print({n: os.path.getsize(os.path.join(out, n)) for n in os.listdir(out)})
