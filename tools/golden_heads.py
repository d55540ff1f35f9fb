#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/heads: two random models of a few thousand parameters and what transformers and torch compute with them.

dam/    Beaver-Dam's layout (LlamaForSequenceClassification, 14 labels, multi_label_classification, <pad> beyond the vocabulary's end): QAModeration's way
        from question and answer to probabilities, and ten AdamW steps on the multi-label and on the single-label loss.
score/  the layout of PKU-Alignment's score models (LlamaForScore: score_head with bias, normaliser buffers): the score at the end, normalised as reward and as
        cost, and ten AdamW steps of -log sigmoid(chosen - rejected). transformers has no such class: it is a LlamaModel and a linear layer here.
Made with torch 2.15.0, transformers 5.24.0, tokenizers of that release, safetensors 0.7; arithmetic in float64."""
import json, math, os, random, sys
import torch, transformers
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForSequenceClassification, LlamaModel, PreTrainedTokenizerFast

here = os.path.dirname(os.path.abspath(__file__))
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../tests/golden/heads")
LABELS = ["animal_abuse", "child_abuse", "controversial_topics,politics", "discrimination,stereotype,injustice", "drug_abuse,weapons,banned_substance",
          "financial_crime,property_crime,theft", "hate_speech,offensive_language", "misinformation_regarding_ethics,laws_and_safety",
          "non_violent_unethical_behavior", "privacy_violation", "self_harm", "sexually_explicit,adult_content", "terrorism,organized_crime",
          "violence,aiding_and_abetting,incitement"]


def make_tokenizer(folder):
    """LLaMA's form: byte fallback BPE, BOS in front; the merges are those of tests/golden/tokenizer_spm.json."""
    t = json.load(open(os.path.join(here, "../tests/golden/tokenizer_spm.json")))
    special = lambda i, s: {"id": i, "content": s, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    n = len(t["model"]["vocab"])
    t["added_tokens"] = [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>"), special(n, "<pad>")]
    t["post_processor"] = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                           "pair": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                           "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
    json.dump(t, open(os.path.join(folder, "tokenizer.json"), "w"), ensure_ascii=False)
    json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
              open(os.path.join(folder, "tokenizer_config.json"), "w"))
    return PreTrainedTokenizerFast.from_pretrained(folder, padding_side="right"), n + 1


def config_of(n_vocab, **more):
    return LlamaConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=4, intermediate_size=24, vocab_size=n_vocab,
                       max_position_embeddings=700, rms_norm_eps=1e-6, tie_word_embeddings=False, initializer_range=0.3, bos_token_id=1, eos_token_id=2,
                       pad_token_id=n_vocab - 1, rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, **more)


def randomize(model):
    with torch.no_grad():
        for p in model.parameters():
            p.copy_((1 + 0.2 * torch.randn_like(p) if p.ndim == 1 else 0.3 * torch.randn_like(p)).to(torch.bfloat16).to(p.dtype))


def adamw_steps(model, rows, loss_of, weight_of, steps=10, batch=3, lr=3e-3):
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0)
    log = []
    for step in range(steps):
        part = rows[step * batch % len(rows):][:batch]
        loss = sum(loss_of(r) for r in part) / sum(weight_of(r) for r in part)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        log.append({"loss": loss.item(), "grad_norm": norm.item()})
        optimizer.step()
    return log


WORDS = "how do I make a walkway slippery for the old man who is not nice to me and what would you say about it when they ask".split()


def sentence(r, n):
    return " ".join(r.choice(WORDS) for _ in range(n))


def conversation(question, answer):
    return f"BEGINNING OF CONVERSATION: USER: {question} ASSISTANT:{answer}"


def dam():
    folder = os.path.join(out, "dam")
    os.makedirs(folder, exist_ok=True)
    tokenizer, n_vocab = make_tokenizer(folder)
    torch.manual_seed(3)
    config = config_of(n_vocab, num_labels=14, id2label=dict(enumerate(LABELS)), label2id={n: i for i, n in enumerate(LABELS)}, problem_type="multi_label_classification")
    model = LlamaForSequenceClassification(config)
    randomize(model)
    model.to(torch.bfloat16).save_pretrained(folder)
    load = lambda: LlamaForSequenceClassification.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager")
    model = load().eval()
    r = random.Random(5)
    texts = [("hi", "no"), ("Why?", ""), (sentence(r, 9), sentence(r, 30)), ("Is naïve café 日本 ok?", " yes\n\n- a\n- b"), (sentence(r, 3), "I will not </s> say <s> it"),
             (sentence(r, 8), "already ended</s>"), (sentence(r, 60), sentence(r, 300)), (sentence(r, 40), sentence(r, 140)), (sentence(r, 5), "pad <pad> inside")]
    cases = []
    for question, answer in texts:
        text = conversation(question, answer)
        if not text.endswith("</s>"):
            text += "</s>"
        row = {"question": question, "answer": answer}
        for name, limit, side in (("compat", 512, "right"), ("honest", 640, "left")):
            tokenizer.truncation_side = side
            whole = tokenizer(text)["input_ids"]
            ids = tokenizer(text, truncation=True, max_length=limit)["input_ids"]
            with torch.no_grad():
                logits = model(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long)).logits[0]
            p = torch.sigmoid(logits)
            row[name] = {"n": len(ids), "truncated": len(whole) > limit, "ids": ids, "probabilities": p.tolist(), "flagged": bool(p.max() > 0.5), "flagged_0.4": bool(p.max() > 0.4)}
        cases.append(row)
    # one batch padded on the right gives the same
    tokenizer.truncation_side = "right"
    batch = tokenizer([conversation(q, a) + "</s>" for q, a in texts[:4]], padding=True, truncation=True, max_length=512, return_tensors="pt")
    with torch.no_grad():
        together = torch.sigmoid(model(**{k: batch[k] for k in ("input_ids", "attention_mask")}).logits)
    assert max((together[i] - torch.tensor(cases[i]["compat"]["probabilities"], dtype=torch.float64)).abs().max().item() for i in range(4)) < 1e-12
    rows = [{"prompt": sentence(r, 2 + i), "response": sentence(r, 3 + 2 * i), "labels": sorted(r.sample(range(14), r.randint(0, 3))), "label": r.randrange(14)} for i in range(9)]

    def train(problem, loss_of, weight):
        m = load().train()
        def one(row):
            ids = tokenizer(conversation(row["prompt"], row["response"]) + "</s>")["input_ids"]
            return loss_of(m(torch.tensor([ids])).logits[0], row)
        return adamw_steps(m, rows, one, lambda row: weight)
    multi = train("multi", lambda z, row: torch.nn.functional.binary_cross_entropy_with_logits(
        z, torch.tensor([float(j in row["labels"]) for j in range(14)], dtype=torch.float64), reduction="sum"), 14)
    single = train("single", lambda z, row: torch.nn.functional.cross_entropy(z[None], torch.tensor([row["label"]]), reduction="sum"), 1)
    json.dump({"torch": torch.__version__, "transformers": transformers.__version__, "cases": cases, "rows": rows, "multi_label": multi, "single_label": single},
              open(os.path.join(folder, "values.json"), "w"))


def pads():
    """Texts that end in the pad token: transformers reads a classifier at the last token that is none."""
    folder = os.path.join(out, "dam")
    model = LlamaForSequenceClassification.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    pad = model.config.pad_token_id
    cases = []
    for ids in ([1, 20, 33, 2], [1, 20, 33, 2, pad], [1, 20, 33, 2, pad, pad, pad], [1, 20, pad, 33, pad], [pad, 20, pad, pad], [1, pad], [pad, pad, pad]):
        with torch.no_grad():
            cases.append({"ids": ids, "logits": model(torch.tensor([ids])).logits[0].tolist()})
    json.dump({"torch": torch.__version__, "transformers": transformers.__version__, "cases": cases}, open(os.path.join(folder, "pads.json"), "w"))


class Score(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.model = LlamaModel(config)
        self.score_head = torch.nn.Linear(config.hidden_size, 1, bias=True)

    def forward(self, ids):
        return self.score_head(self.model(torch.tensor([ids])).last_hidden_state)[0, -1, 0]


def score():
    folder = os.path.join(out, "score")
    os.makedirs(folder, exist_ok=True)
    tokenizer, n_vocab = make_tokenizer(folder)
    torch.manual_seed(4)
    config = config_of(n_vocab)
    config._attn_implementation = "eager"
    model = Score(config)
    randomize(model)
    mean, var = torch.tensor([0.375]), torch.tensor([1.75])
    state = {k: v.to(torch.bfloat16).contiguous() for k, v in model.state_dict().items()}
    state.update({"normalizer.mean": mean, "normalizer.var": var, "normalizer.count": torch.tensor([9])})
    save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    d = config.to_dict()
    d.update(architectures=["LlamaForScore"], score_dim=1, score_type="reward", do_normalize=True, normalizer_type="RunningMeanStd", dtype="bfloat16")
    json.dump(d, open(os.path.join(folder, "config.json"), "w"), indent=1)
    r = random.Random(6)
    cases = []
    m = model.double().eval()
    for question, answer in [("hello", "Hello! How can I help you today?"), ("Why?", ""), (sentence(r, 9), sentence(r, 30)), (sentence(r, 4), "pad <pad> inside")]:
        row = {"question": question, "answer": answer}
        for name, text in (("eos", conversation(question, answer) + "</s>"), ("plain", conversation(question, answer))):
            ids = tokenizer(text)["input_ids"]
            with torch.no_grad():
                s = m(ids).item()
            sd = math.sqrt(1.75) + 1e-8
            row[name] = {"ids": ids, "score": s, "reward": (s - 0.375) / sd, "cost": s / sd}
        cases.append(row)
    rows = [{"prompt": sentence(r, 2 + i), "chosen": sentence(r, 3 + 2 * i), "rejected": sentence(r, 9 - i)} for i in range(9)]
    m.train()
    def loss(row):
        a, b = (m(tokenizer(conversation(row["prompt"], row[k]) + "</s>")["input_ids"]) for k in ("chosen", "rejected"))
        return -torch.nn.functional.logsigmoid(a - b)
    log = adamw_steps(m, rows, loss, lambda row: 1)
    json.dump({"torch": torch.__version__, "transformers": transformers.__version__, "cases": cases, "rows": rows, "pairwise": log}, open(os.path.join(folder, "values.json"), "w"))


dam()
pads()
score()
for f in ("dam", "score"):
    for name in ("generation_config.json", "special_tokens_map.json"):
        if os.path.exists(os.path.join(out, f, name)):
            os.remove(os.path.join(out, f, name))
    print(f, {n: os.path.getsize(os.path.join(out, f, n)) for n in sorted(os.listdir(os.path.join(out, f)))})
