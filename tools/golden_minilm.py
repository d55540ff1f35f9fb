#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""200 texts and what sentence-transformers 6.2.0 (torch 2.15.0, transformers 5.24.0) makes of them with all-MiniLM-L6-v2: how many tokens each is read as, and every 24th number of
its vector. Lengths from nothing to beyond the 256 tokens at which the model cuts. tools/get-minilm fetches the model.

usage: golden_minilm.py [MODEL [OUTPUT]]"""
import json, pathlib, random, sys
import sentence_transformers

WORDS = """how do I store apples the quick brown fox jumps over a lazy dog Which planet is nearest to our sun? Don't panic; it's only 3.14159 (roughly) naïve café Zürich 東京 москва
internationalization uncharacteristically e-mail: someone@example.org $20 50% #1 antidisestablishmentarianism I'm can't "quoted" Ångström ½ résumé 😀 snow-white http://example.org/a?b=c""".split()


def main():
    model = sentence_transformers.SentenceTransformer(sys.argv[1] if len(sys.argv) > 1 else "models/minilm", device="cpu")
    draw = random.Random(5)
    lengths = [0, 1, 1, 2] + [draw.randint(1, 30) for _ in range(156)] + [draw.randint(60, 110) for _ in range(20)] + list(range(112, 124)) + [150, 170, 190, 220, 140, 145, 160, 180]
    texts = [" ".join(draw.choice(WORDS) for _ in range(n)) for n in lengths]
    items = []
    for text in texts:
        n = int(model.tokenize([text])["attention_mask"].sum())
        items.append({"text": text, "n": n, "values": [round(float(v), 8) for v in model.encode([text], batch_size=1)[0][::24]]})
    out = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "tests/golden/minilm/values.json")
    out.write_text(json.dumps({"sentence_transformers": sentence_transformers.__version__, "every": 24, "items": items}, ensure_ascii=False, indent=0) + "\n")
    print(len(items), sorted(i["n"] for i in items)[-40:])


main()
