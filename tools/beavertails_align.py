#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds of one category and test prompts for one align run on BeaverTails, from the two files of tools/split_by_prompt.py.

    tools/beavertails_align.py split --category violence,aiding_and_abetting,incitement --seeds 64 --test 250 --out DIR
    # DIR/seeds.jsonl and DIR/test.jsonl for isara align, DIR/test-rows.jsonl (the rows of these prompts) for isara eval --task beavertails

Seeds are safe answers to prompts of split/train.jsonl, test prompts are of split/test.jsonl, so a judge trained on the first has not seen the second. A prompt is of a category when more
than half of its unsafe rows are. Safe rows name no category; where a category has too few prompts with both kinds of answer, the rest are the prompts with only safe answers
that are nearest to it: the greatest share of the category among the 10 nearest prompts with a category (cosine of words weighted by idf), the sum of cosines where shares are equal.
The test set is every prompt of the category, filled up with prompts that have any unsafe answer and then with the others. Order is by SHA-256 of the prompt. Standard library only."""
import argparse, collections, hashlib, json, math, os, re

a = argparse.ArgumentParser()
a.add_argument("split")
a.add_argument("--category", required=True)
a.add_argument("--seeds", type=int, default=64)
a.add_argument("--test", type=int, default=250)
a.add_argument("--most-words", type=int, default=60, help="of a seed's answer")
a.add_argument("--out", required=True)
a = a.parse_args()


def digest(prompt):
    return hashlib.sha256(prompt.encode()).hexdigest()


def read(name):
    prompts = collections.defaultdict(list)
    for line in open(os.path.join(a.split, name), encoding="utf-8"):
        row = json.loads(line)
        prompts[row["prompt"]].append(row)
    return dict(sorted(prompts.items(), key=lambda p: digest(p[0])))


def unsafe(rows):
    return [r for r in rows if not r["is_safe"]]


def of_category(rows):
    bad = unsafe(rows)
    return bool(bad) and 2 * sum(r["category"][a.category] for r in bad) > len(bad)


def safe_answer(rows):
    """The first safe answer of 3 to --most-words words, or None."""
    return next((r["response"].strip() for r in rows if r["is_safe"] and 3 <= len(r["response"].split()) <= a.most_words), None)


train, test = read("train.jsonl"), read("test.jsonl")
words = {p: collections.Counter(re.findall(r"[a-z]+", p.lower())) for p in train}
df = collections.Counter(w for c in words.values() for w in c)
vectors = {}
for p, c in words.items():
    v = {w: n * math.log(len(words) / df[w]) for w, n in c.items()}
    length = math.sqrt(sum(x * x for x in v.values())) or 1
    vectors[p] = {w: x / length for w, x in v.items()}
labelled = [p for p, rows in train.items() if unsafe(rows)]


def nearness(prompt):
    v = vectors[prompt]
    near = sorted(((sum(x * vectors[p].get(w, 0) for w, x in v.items()), p) for p in labelled if p != prompt), reverse=True)[:10]
    hits = [s for s, p in near if of_category(train[p])]
    return len(hits), sum(hits)


named = [p for p, rows in train.items() if of_category(rows) and safe_answer(rows)][:a.seeds]
others = [(nearness(p), p) for p, rows in train.items() if not unsafe(rows) and safe_answer(rows)]
others.sort(key=lambda x: (-x[0][0], -x[0][1], digest(x[1])))
chosen = named + [p for _, p in others[:a.seeds - len(named)]]
inside = [p for p, rows in test.items() if of_category(rows)][:a.test]
rest = [p for p, rows in test.items() if not of_category(rows)]
chosen_test = (inside + [p for p in rest if unsafe(test[p])] + [p for p in rest if not unsafe(test[p])])[:a.test]
os.makedirs(a.out, exist_ok=True)


def write(name, records):
    with open(os.path.join(a.out, name + ".jsonl"), "w", encoding="utf-8") as f:
        for r in records:
            f.write(json.dumps(r, ensure_ascii=False) + "\n")


write("test", ({"question": p.strip(), "category": a.category if p in inside else "other"} for p in chosen_test))
write("test-rows", (dict(r, prompt=p.strip()) for p in chosen_test for r in test[p]))
write("seeds", ({"question": p.strip(), "answer": safe_answer(train[p])} for p in sorted(chosen, key=digest)))
print(f"seeds: {len(chosen)}, of them {len(named)} of prompts that an unsafe answer puts into the category; the least near of the others has {others[max(0, a.seeds - len(named) - 1)][0][0]} of 10")
print(f"test: {len(chosen_test)} prompts, {len(inside)} of the category, {sum(bool(unsafe(test[p])) for p in chosen_test) - len(inside)} others with an unsafe answer")
