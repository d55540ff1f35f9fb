#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reward models on the small models of tests/golden/families: tests/golden/heads/reward_NAME/{config.json, model.safetensors, values.json}.

Families that PKU-Alignment's safe-rlhf has a class for get its layout (the body under its own name, score_head; transformers has no such class: it is the body and a
linear layer here), the others are transformers' sequence classifiers of one label, as trl's RewardTrainer makes them.
values.json: pairs of ids, the score of every text, and five AdamW steps (as golden_families.py has them) of the mean of -log sigmoid(chosen - rejected), in f32.
Made with torch 2.15.0, transformers 5.24.0, safetensors 0.7."""
import json, pathlib, shutil
import torch, transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests/golden"
PAIRS = [[[1, 5, 9, 22, 31, 7, 40], [1, 5, 9, 8]], [[2, 44, 8, 8, 30, 13, 21, 21], [2, 44, 9, 3, 12, 6]]]
SCORES = {"gpt2": "transformer", "opt_post": "model", "gpt_neox": "gpt_neox", "qwen2": "model"}
CLASSIFIERS = ["qwen3", "gemma3", "phi3"]
PAD = 21  # of the classifiers: one text ends in it and is read before it


class Score(torch.nn.Module):
    def __init__(self, name):
        super().__init__()
        self.body = AutoModel.from_pretrained(ROOT / "families" / name, dtype=torch.float32, attn_implementation="eager")
        self.score_head = torch.nn.Linear(getattr(self.body.config, "word_embed_proj_dim", self.body.config.hidden_size), 1)

    def forward(self, ids):
        return self.score_head(self.body(torch.tensor([ids])).last_hidden_state)[0, -1, 0]


def step_log(model, score):
    groups = [{"params": [p for p in model.parameters() if (p.ndim == 2) == decays], "weight_decay": 0.1 if decays else 0.0} for decays in (True, False)]
    optimizer, log = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95), eps=1e-4), []
    for _ in range(5):
        optimizer.zero_grad()
        loss = torch.stack([-torch.nn.functional.logsigmoid(score(a) - score(b)) for a, b in PAIRS]).mean()
        loss.backward()
        log.append({"loss": loss.item(), "grad_norm": torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()})
        optimizer.step()
    return log


def rounded(model):
    """Weights of a head begin small: as bf16, which is what is written."""
    with torch.no_grad():
        for n, p in model.named_parameters():
            p.copy_((p + 0.3 * torch.randn_like(p) if n.startswith("score") else p).to(torch.bfloat16).float())


def write(name, config, tensors, values):
    out = ROOT / "heads" / ("reward_" + name)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    config.pop("transformers_version", None)
    (out / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    save_file({k: v.to(torch.bfloat16).contiguous() for k, v in tensors.items()}, out / "model.safetensors", metadata={"format": "pt"})
    (out / "values.json").write_text(json.dumps(values | {"torch": torch.__version__, "transformers": transformers.__version__}, indent=1) + "\n")


def main():
    for name, body in SCORES.items():
        torch.manual_seed(8)
        m = Score(name)
        rounded(m)
        config = json.loads((ROOT / "families" / name / "config.json").read_text())
        kind = {"gpt2": "GPT2", "opt_post": "OPT", "gpt_neox": "GPTNeoX", "qwen2": "Qwen2"}[name]
        config |= {"architectures": [kind + "ForScore"], "score_dim": 1, "score_type": "reward", "score_bias": True, "do_normalize": False, "normalizer_type": None}
        tensors = {(body + k[4:] if k.startswith("body.") else k): v.clone() for k, v in m.state_dict().items()}
        write(name, config, tensors, {"pairs": PAIRS, "scores": [[m(t).item() for t in p] for p in PAIRS], "train": step_log(m, m)})
    for name in CLASSIFIERS:
        torch.manual_seed(9)
        at = ROOT / "families" / name
        config = AutoConfig.from_pretrained(at, num_labels=1, pad_token_id=PAD)
        m = AutoModelForSequenceClassification.from_pretrained(at, config=config, dtype=torch.float32, attn_implementation="eager").eval()
        rounded(m)
        tensors = {k: v.clone() for k, v in m.state_dict().items()}
        config = json.loads((at / "config.json").read_text())
        config |= {"architectures": [type(m).__name__], "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}, "pad_token_id": PAD}
        score = lambda ids: m(torch.tensor([ids])).logits[0, 0]
        write(name, config, tensors, {"pairs": PAIRS, "scores": [[score(t).item() for t in p] for p in PAIRS], "train": step_log(m, score)})


main()
