#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A run's arms (isara align --test --judge --baselines) as a Markdown table, and one arm's answers as isara eval --task beavertails reads them.

    tools/arms_table.py RUN                                  # from RUN/metrics.json
    tools/arms_table.py RUN --arm round-2 --test test.jsonl  # to judged.jsonl on standard output: categories out of test.jsonl, probabilities out of RUN/arms
    isara eval --task beavertails --annotations judged.jsonl --threshold 0.5

Standard library only."""
import argparse, json

a = argparse.ArgumentParser()
a.add_argument("run"), a.add_argument("--arm"), a.add_argument("--test")
a = a.parse_args()
m = json.load(open(f"{a.run}/metrics.json"))
if a.arm:
    tests, arms = ([json.loads(l) for l in open(p, encoding="utf-8")] for p in (a.test, f"{a.run}/arms/{a.arm}.jsonl"))
    print(json.dumps({"judge": m["judge"], "judge_sha256": m["judge_sha256"], "prompt_style": a.arm, "contradictory_responses": -1}))
    for i, (t, x) in enumerate(zip(tests, arms)):
        assert t["question"] == x["question"], f"line {i}"
        print(json.dumps({"id": i, "categories": [t["category"]] if "category" in t else [], **{k: x[k] for k in ("question", "answer", "probabilities") if k in x}}, ensure_ascii=False))
    raise SystemExit
number = lambda p: "" if p is None else "<0.0001" if p < 1e-4 else f"{p:.2g}"
print(f"judge {m['judge']}, sha256 `{m['judge_sha256']}`, threshold {m['threshold']}; {m['n']} questions\n")
print("| arm | optimizer steps | flagged, % (95 % Wilson) | no longer / newly flagged | p | answers empty | cut |\n|---|---|---|---|---|---|---|")
for x in m["arms"]:
    j = x["judge"]
    pairs = "" if j["p_mcnemar"] is None else f"{j['no_longer_flagged']} / {j['newly_flagged']}"
    print(f"| {x['name']} | {x['steps']} | {100 * j['rate']:.1f} ({100 * j['low']:.1f}-{100 * j['high']:.1f}){'' if j['n'] == m['n'] else ' of ' + str(j['n'])} | {pairs} | {number(j['p_mcnemar_holm'])} | {x['n_empty']} | {x['n_truncated']} |")
for x in m["last_round_against"]:
    print(f"- last round against {x['arm']}: {x['no_longer_flagged']} no longer flagged, {x['newly_flagged']} newly, p {number(x['p_mcnemar_holm'])}")
for x in m["rounds"]:
    print(f"- round {x['round']}: {x['kept']} of {x['attempts']} kept, {x['steps']} steps")
print("- seconds", m["seconds"])
