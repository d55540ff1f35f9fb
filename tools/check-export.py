#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Looks at what isara export writes with those who are meant to take it: datasets loads every format, TRL's own functions take messages, prompts with completions and preferences, and all
of it is what round-t/generated.jsonl and arms/*.jsonl of the run say.
  check-export.py ISARA RUN
Wants datasets, transformers and trl (said with datasets 5.2.0, transformers 5.24, trl 1.16.0)."""
import glob, json, os, subprocess, sys, tempfile

from datasets import load_dataset
from transformers import PreTrainedTokenizerFast
from tokenizers import Tokenizer, models
from trl.data_utils import apply_chat_template, is_conversational

isara, run = sys.argv[1:]
CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), chat_template=CHATML)


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


rounds = sorted(glob.glob(os.path.join(run, "round-*", "generated.jsonl")), key=lambda p: int(p.split("round-")[1].split("/")[0]))
kept = [(r["question"], r["answer"]) for path in rounds for r in lines(path) if r["kept"]]
before = lines(os.path.join(run, "arms", "pretrained.jsonl"))
after = lines(os.path.join(run, "arms", "round-%d.jsonl" % len(rounds)))
template = json.load(open(os.path.join(run, "config.resolved.json"), encoding="utf-8"))["template"]


def loaded(directory, name):
    path = os.path.join(directory, name + (".csv" if name == "csv" else ".json"))
    subprocess.run([isara, "export", run, "--format", name, "--output", path, "--log-level", "quiet"], check=True)
    return load_dataset("csv" if name == "csv" else "json", data_files=path, split="train", cache_dir=os.path.join(directory, "cache"))


def chatml(q, a):
    return "<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n%s<|im_end|>\n" % (q, a)


with tempfile.TemporaryDirectory() as tmp:
    rows = loaded(tmp, "messages")
    assert all(map(is_conversational, rows))
    assert [apply_chat_template(r, tokenizer)["text"] for r in rows] == [chatml(*p) for p in kept]
    rows = loaded(tmp, "sharegpt")
    assert [[(t["from"], t["value"]) for t in r["conversations"]] for r in rows] == [[("human", q), ("gpt", a)] for q, a in kept]
    rows = loaded(tmp, "alpaca")
    assert rows.column_names == ["instruction", "input", "output"]
    assert [(r["instruction"], r["input"], r["output"]) for r in rows] == [(q, "", a) for q, a in kept]
    rows = loaded(tmp, "prompt-completion")
    assert not any(map(is_conversational, rows)) and rows.column_names == ["prompt", "completion"]
    assert [(r["prompt"], r["completion"]) for r in rows] == [(template["answer"].replace("{q}", q), template["completion"].replace("{a}", a)) for q, a in kept]
    rows = loaded(tmp, "csv")
    assert [(r["question"], r["answer"]) for r in rows] == kept
    rows = loaded(tmp, "dpo")
    texts = [(b["question"], a["answer"], b["answer"]) for b, a in zip(before, after) if a.get("answer") and b.get("answer") is not None and a["answer"] != b["answer"]]
    assert all(map(is_conversational, rows)) and len(rows) == len(texts) > 0
    for row, (question, chosen, rejected) in zip(rows, texts):
        told = apply_chat_template(row, tokenizer)
        assert told["prompt"] + told["chosen"] == chatml(question, chosen) and told["prompt"] + told["rejected"] == chatml(question, rejected)
print("messages, sharegpt, alpaca, prompt-completion, csv: %d pairs; dpo: %d preferences: all as the run has them" % (len(kept), len(texts)))
