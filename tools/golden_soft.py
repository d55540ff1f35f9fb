#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/soft_targets.json from tests/golden/random_llama, in float64: the greatest log-probabilities that the model gives each
token of a row's completion when a context stands before the row, and ten AdamW steps on the divergence from them (the rest of the mass being
one more outcome). The last token of a row is sure, and one row has no teacher: all its tokens are.
Made with torch 2.15.0, transformers 5.24.0."""
import json, math, os
import torch, transformers
from transformers import LlamaForCausalLM
from transformers.optimization import get_linear_schedule_with_warmup

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden")
rows = json.load(open(os.path.join(here, "random_llama", "values.json")))["train_rows"]
model = LlamaForCausalLM.from_pretrained(os.path.join(here, "random_llama"), dtype=torch.float64, attn_implementation="eager")
model.eval()
n_top, without, g = 8, 5, torch.Generator().manual_seed(3)
for i, r in enumerate(rows):
    r["context"] = torch.randint(0, 70, (5 + 3 * i,), generator=g).tolist()
    whole = torch.tensor(r["context"] + r["ids"])
    with torch.no_grad():
        lp = torch.log_softmax(model(whole[None]).logits[0], -1)
    first, end = len(r["context"]) + r["n_prompt"], len(whole)
    top = [lp[j - 1].topk(n_top) for j in range(first, end)]
    r["top_ids"] = [t.indices.tolist() for t in top]
    r["top_logprobs"] = [[float("%.9g" % v) for v in t.values.to(torch.float32).tolist()] for t in top]


def divergence(row, index):
    x = torch.tensor(row["ids"])
    q = torch.log_softmax(model(x[None]).logits[0][:-1], -1)[row["n_prompt"] - 1:]
    total = 0
    for t in range(len(q)):
        if t == len(q) - 1 or index == without:
            total = total - q[t, x[row["n_prompt"] + t]]
            continue
        ids = torch.tensor(row["top_ids"][t])
        logp = torch.tensor(row["top_logprobs"][t], dtype=torch.float32).double()
        rest = 1 - logp.exp().sum()
        others = torch.ones(70, dtype=torch.bool)
        others[ids] = False
        total = total + (logp.exp() * (logp - q[t, ids])).sum() + rest * (rest.log() - torch.logsumexp(q[t, others], 0))
    return total


steps, batch, lr, decay, clip = 10, 4, 3e-3, 0.1, 1.0
norms = [p for p in model.parameters() if p.ndim == 1]
matrices = [p for p in model.parameters() if p.ndim == 2]
optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": decay}, {"params": norms, "weight_decay": 0.0}], lr=lr, betas=(0.9, 0.95), eps=1e-8)
schedule = get_linear_schedule_with_warmup(optimizer, math.ceil(0.15 * steps), steps)
log = []
per_epoch = math.ceil(len(rows) / batch)
for step in range(steps):
    first = step % per_epoch * batch
    part = list(enumerate(rows))[first:first + batch]
    loss = sum(divergence(r, i) for i, r in part) / sum(len(r["ids"]) - r["n_prompt"] for _, r in part)
    optimizer.zero_grad()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    log.append({"loss": loss.item(), "grad_norm": norm.item()})
    optimizer.step()
    schedule.step()
json.dump({"torch": torch.__version__, "transformers": transformers.__version__, "n_top": n_top, "without": without, "rows": rows, "train": log},
          open(os.path.join(here, "soft_targets.json"), "w"))
print(log[0], log[-1], os.path.getsize(os.path.join(here, "soft_targets.json")))
