# SPDX-License-Identifier: Apache-2.0
"""transformers as a peer: peer_transformers.py MODEL_DIR work.json f32|bf16. Its best settings: beams 8 prompts at a time (more is slower), greedy
all 32 at once; scoring 16 texts at a time in order of length, with the vocabulary projection at the scored positions only."""
import sys
import torch, transformers
from transformers import AutoModelForCausalLM
from peer import N_BEAM, N_THREAD, MAX_NEW, load_ids, serve

model_dir, work, dtype = sys.argv[1:4]
torch.set_num_threads(N_THREAD)
ids = load_ids(work)
model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32 if dtype == "f32" else torch.bfloat16).eval()
PAD, EOS = 2, 2
BATCH = {"W1": 8, "W2": 8, "W3": 32, "W4": 1, "one": 1, "prefill": 1, "beams": 8}


def padded(rows, left):
    width = max(map(len, rows))
    x = torch.full((len(rows), width), PAD)
    mask = torch.zeros_like(x)
    for i, r in enumerate(rows):
        at = slice(width - len(r), width) if left else slice(0, len(r))
        x[i, at], mask[i, at] = torch.tensor(r), 1
    return x, mask


@torch.inference_mode()
def generate(name):
    prompts, out = ids[name], []
    model.generation_config = transformers.GenerationConfig(pad_token_id=PAD, eos_token_id=EOS if name == "W1" else None)  # else exactly MAX_NEW tokens
    for i in range(0, len(prompts), BATCH[name]):
        x, mask = padded(prompts[i : i + BATCH[name]], left=True)
        y = model.generate(input_ids=x, attention_mask=mask, max_new_tokens=MAX_NEW[name], num_beams=N_BEAM[name], do_sample=False)
        for row in y[:, x.shape[1] :].tolist():
            if name == "W1" and EOS in row:
                row = row[: row.index(EOS) + 1]
            out.append(row)
    return "ids", out


@torch.inference_mode()
def score(batch=16):
    pairs = ids["W6"]
    order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
    out = [None] * len(pairs)
    for i in range(0, len(order), batch):
        some = order[i : i + batch]
        x, mask = padded([pairs[j][0] + pairs[j][1] for j in some], left=False)
        hidden = model.model(input_ids=x, attention_mask=mask).last_hidden_state
        rows = torch.cat([hidden[k, len(pairs[j][0]) - 1 : len(pairs[j][0]) + len(pairs[j][1]) - 1] for k, j in enumerate(some)])
        logprobs = model.lm_head(rows).float().log_softmax(-1)
        at = 0
        for j in some:
            n = len(pairs[j][1])
            out[j] = logprobs[at : at + n].gather(1, torch.tensor(pairs[j][1])[:, None])[:, 0].tolist()
            at += n
    return "logprobs", sum(out, [])


works = {name: (lambda name=name: generate(name)) for name in BATCH if name in ids}
works["W6"] = score
serve(works, {"torch": torch.__version__, "transformers": transformers.__version__})
