#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/beams_story.json: what transformers' generate gives on the 656K story model (reference data
tinystories_656K_llama) for beams and greedy under many settings. Needs torch and transformers; versions are noted in the file.

    tools/golden_beams.py ../shared/data/tinystories_656K_llama tests/golden/beams_story.json

With transformers 4.35.2 and 4.48.3 (numpy < 2 for the former) it writes beams_story_4.35.json and beams_story_4.48.json: the earlier rules, beams only. They know
no stop strings that end a single beam, and write the first EOS of the list whichever came.

A case is kept only when float32 and float64 weights give the same ids, so that none is a near-tie."""
import json, random, sys
import torch, transformers
from transformers import AutoTokenizer, LlamaForCausalLM

source, target = sys.argv[1], sys.argv[2]
torch.manual_seed(0)
random.seed(20)
story = json.load(open(source + "/greedy_ids_from_bos.json"))
OLD = tuple(map(int, transformers.__version__.split(".")[:2])) < (4, 49)
tokenizer = None if OLD else AutoTokenizer.from_pretrained(source)
PAD = 2047  # a token that does not come; 0 would count as "no padding token" and let the first EOS fill instead
STOPS = ["mom", "and", " very", "park", ".", "ed to", "s", "\n", "play", "l"]
models = [LlamaForCausalLM.from_pretrained(source, **{"torch_dtype" if OLD else "dtype": t}).eval() for t in (torch.float32, torch.float64)]


def draw():
    """One random setting; the model's own EOS (2) seldom comes, so frequent tokens stand in for it."""
    p = {"max_new_tokens": random.choice([1, 2, 8, 20, 40]), "num_beams": random.choice([2, 3, 4, 5, 8] if OLD else [1, 2, 3, 5, 8])}
    p["eos_token_id"] = random.choice([[2], [2, 319], [319, 122, 303], [100, 319]])
    if p["num_beams"] > 1:
        p["length_penalty"] = random.choice([-1.0, 0.0, 0.6, 1.0, 2.0])
        p["early_stopping"] = random.choice([True, False, "never"])
        p["num_return_sequences"] = random.randint(1, p["num_beams"])
    if random.random() < 0.4:
        p["repetition_penalty"] = random.choice([1.1, 1.3])
    if random.random() < 0.4:
        p["no_repeat_ngram_size"] = random.choice([1, 2, 3])
    if random.random() < 0.3:
        p["min_new_tokens"] = random.choice([2, 6])
    if random.random() < 0.35 and not OLD:
        p["stop_strings"] = random.sample(STOPS, random.randint(1, 3))
    return p


def run(model, prompt, p):
    torch.set_default_dtype(model.dtype)  # 4.35 makes its attention mask in the default type
    # min_new_tokens is counted from the prompt's length, as the generation loop does
    out = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), do_sample=False, pad_token_id=PAD,
                         bos_token_id=1, output_scores=True, return_dict_in_generate=True, **({} if OLD else {"tokenizer": tokenizer}), **p)
    ids = []
    for row in out.sequences[:, len(prompt):].tolist():
        cut = next((i + 1 for i, t in enumerate(row) if t in p["eos_token_id"]), len(row))
        row = row[:cut]
        while row and row[-1] == PAD:
            row.pop()
        ids.append(row)
    scores = getattr(out, "sequences_scores", None)
    return ids, scores.tolist() if scores is not None else None


cases, dropped = [], 0
while len(cases) < 90:
    p, start = draw(), random.randint(0, 60)
    prompt = [1] + story[:random.randint(0, 70)] if random.random() < 0.5 else [1] + story[start:start + random.randint(1, 40)]
    with torch.no_grad():
        (ids, scores), (ids64, _) = (run(m, prompt, p) for m in models)
    if ids != ids64:
        dropped += 1
        continue
    cases.append({"prompt": prompt, "params": p, "ids": ids, "scores": scores})
meta = {"torch": torch.__version__, "transformers": transformers.__version__, "near_ties_dropped": dropped,
        "how": "generate(), float32, one prompt per call; ids without the prompt, up to the first EOS; scores: sequences_scores (beams)"}
with open(target, "w") as f:
    f.write('{"meta": %s,\n "cases": [\n' % json.dumps(meta))
    f.write(",\n".join("  " + json.dumps(c, separators=(",", ":")) for c in cases))
    f.write("\n]}\n")
