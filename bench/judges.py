#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""isara's judging beside its peers, in turns in one run: what `make bench-judge` runs.

classify  1,000 BeaverTails rows by a sequence classifier of SmolLM2's size (its weights, a random head of 14 labels), bf16, cut at 512 tokens; transformers at batch 1, 8 and 32,
          rows sorted by length, the best of them. The rows are measured in parts, both sides one after the other in each: every part holds batches of the whole sorted list, short
          ones and long ones, so padding is that of the whole list. A batch size that takes more than 1.5 times the best one's time in the first part is left out of the others;
          its time over all rows is then estimated from its tokens a second, and marked
text      ROUGE-1, -2, -Lsum and BLEU of one answer to each of TruthfulQA's 817 questions against all its references; rouge_score and sacrebleu called as TruthfulQA does
sift      new questions against 100,000 kept ones (halves of TruthfulQA's questions put together): is the ROUGE-L F1 with any above 0.7? A rouge_score loop is timed on a few
          new questions against all kept ones; both are seconds a new question
"""
import argparse, json, os, random, statistics, subprocess, sys, time

p = argparse.ArgumentParser()
p.add_argument("--build", default="build"), p.add_argument("--model", required=True, help="SmolLM2 as a Hugging Face directory in bf16 (bench/peer-models makes it)")
p.add_argument("--data", default=os.environ.get("ISARA_DATA", "../shared/data")), p.add_argument("--repeats", type=int, default=3)
p.add_argument("--works", nargs="+", default=["classify", "text", "sift"]), p.add_argument("--rows", type=int, default=1000)
p.add_argument("--kept", type=int, default=100000), p.add_argument("--peer-questions", type=int, default=4), p.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
p.add_argument("--parts", type=int, default=8)
args = p.parse_args()
work = os.path.join(args.build, "bench-judge")
os.makedirs(work, exist_ok=True)


def truthfulqa():
    import csv
    rows = list(csv.DictReader(open(f"{args.data}/truthfulqa/TruthfulQA_817.derived.csv", encoding="utf-8-sig")))
    split = lambda s: [x.strip() if x.strip().endswith(".") else x.strip() + "." for x in s.split(";") if x.strip()]
    out = []
    for i, r in enumerate(rows):
        trues = split(r["Correct Answers"])
        trues += [] if "I have no comment." in trues else ["I have no comment."]
        out.append({"question": r["Question"], "answer": rows[(i + 1) % len(rows)]["Best Answer"] if i % 3 == 0 else r["Best Answer"], "trues": trues, "falses": split(r["Incorrect Answers"])})
    return out


def questions(rows):
    rng = random.Random(1)
    halves = [(" ".join(w[: len(w) // 2]), " ".join(w[len(w) // 2 :])) for w in (r["question"].split() for r in rows)]
    seen, out = set(), []
    while len(out) < args.kept + 2000:
        q = rng.choice(halves)[0] + " " + rng.choice(halves)[1]
        if q not in seen:
            seen.add(q), out.append(q)
    return {"kept": out[: args.kept], "new": out[args.kept :]}


class Classifier:
    def __init__(self):
        import torch, transformers
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
        self.torch, self.path = torch, os.path.join(work, "classifier")
        tok = AutoTokenizer.from_pretrained(args.model)
        if not os.path.exists(self.path):
            torch.manual_seed(0)
            m = AutoModelForSequenceClassification.from_pretrained(args.model, num_labels=14, dtype=torch.bfloat16)
            m.config.pad_token_id = m.config.problem_type = None
            m.config.problem_type = "multi_label_classification"
            m.config.pad_token_id = 0
            m.save_pretrained(self.path), tok.save_pretrained(self.path)
        self.model = AutoModelForSequenceClassification.from_pretrained(self.path, dtype=torch.bfloat16).eval()
        lines = [json.loads(l) for l in open(f"{args.data}/beavertails/30k_test.derived.jsonl")][: args.rows]
        texts = [f"BEGINNING OF CONVERSATION: USER: {l['prompt']} ASSISTANT:{l['response']}" for l in lines]
        self.ids = [(x + [2])[:512] for x in tok(texts)["input_ids"]]
        self.versions = f"torch {torch.__version__}, transformers {transformers.__version__}, {torch.get_num_threads()} threads"
        order = sorted(range(len(self.ids)), key=lambda i: len(self.ids[i]))
        most = max(args.batches)
        whole = [order[at : at + most] for at in range(0, len(order), most)]
        n = max(1, min(args.parts, len(whole)))
        self.parts = [[i for batch in whole[k::n] for i in batch] for k in [*range(n // 2, n), *range(n // 2)]] # first one of middling length; batch sizes divide the greatest

    def run(self, rows, batch):
        torch, out = self.torch, []
        start = time.perf_counter()
        with torch.inference_mode():
            for at in range(0, len(rows), batch):
                some = rows[at : at + batch]
                longest = max(len(self.ids[i]) for i in some)
                x = torch.zeros(len(some), longest, dtype=torch.long)
                mask = torch.zeros_like(x)
                for k, i in enumerate(some):
                    x[k, : len(self.ids[i])] = torch.tensor(self.ids[i])
                    mask[k, : len(self.ids[i])] = 1
                hidden = self.model.model(input_ids=x, attention_mask=mask)[0]
                last = hidden[torch.arange(len(some)), mask.sum(1) - 1] # the pad id may occur in a text: say where it ends
                out += self.model.score(last).float().tolist()
        return time.perf_counter() - start, out


def text_peer(rows):
    import sacrebleu
    from rouge_score import rouge_scorer
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeLsum"])
    lines = lambda s: s.replace(" . ", " .\n")
    start, values = time.perf_counter(), []
    for r in rows:
        best = {}
        for side in ("trues", "falses"):
            scores = []
            for ref in r[side]:
                bleu = sacrebleu.corpus_bleu([r["answer"]], [[ref]], smooth_method="exp", smooth_value=0.0, force=False, lowercase=False, tokenize="intl", use_effective_order=False).score
                s = scorer.score(lines(ref), lines(r["answer"]))
                scores.append((bleu, 100 * s["rouge1"].fmeasure, 100 * s["rouge2"].fmeasure, 100 * s["rougeLsum"].fmeasure))
            best[side] = [max(x) for x in zip(*scores)]
        for a, b in zip(best["trues"], best["falses"]):
            values += [a, a - b]
    return time.perf_counter() - start, values


def sift_peer(q):
    from rouge_score import rouge_scorer
    scorer = rouge_scorer.RougeScorer(["rougeL"])
    start, values = time.perf_counter(), []
    for new in q["new"][: args.peer_questions]:
        hit = -1
        for i, kept in enumerate(q["kept"]):
            if scorer.score(kept, new)["rougeL"].fmeasure > 0.7 and hit < 0:
                hit = i
        values.append(hit)
    return (time.perf_counter() - start) / args.peer_questions, values


def median(x):
    return statistics.median(x)


rows, peer = truthfulqa(), None
q = questions(rows)
json.dump(rows, open(f"{work}/answers.json", "w")), json.dump(q, open(f"{work}/questions.json", "w"))
if "classify" in args.works:
    peer = Classifier()
    json.dump([[peer.ids[i] for i in rows] for rows in peer.parts] + [[peer.ids[i] for i in peer.parts[-1][:2]]], open(f"{work}/rows.json", "w"))
elif not os.path.exists(f"{work}/rows.json"):
    sys.exit("run --works classify first: it makes the classifier")
worker = subprocess.Popen([f"{args.build}/bench/bench_judge", f"{work}/classifier", f"{work}/rows.json", f"{work}/answers.json", f"{work}/questions.json"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True)
about = json.loads(worker.stdout.readline())


def isara(name):
    worker.stdin.write(name + "\n"), worker.stdin.flush()
    return json.loads(worker.stdout.readline())


print(f"isara {about['isa']}" + (f"; {peer.versions}" if peer else ""), flush=True)
def classify():
    ours, theirs, tokens = [], {b: [] for b in args.batches}, [sum(len(peer.ids[i]) for i in rows) for rows in peer.parts]
    gap, flips, n, warm = 0.0, 0, 0, peer.parts[-1][:2]
    isara("classify -1"), [peer.run(warm, b) for b in args.batches]
    left = list(args.batches)
    for k, rows in enumerate(peer.parts):
        def one(side):
            time.sleep(0.5) # workers of the side before spin for a while
            return isara(f"classify {k}") if side is None else peer.run(rows, side)
        got = {side: one(side) for side in ([None] + left)[:: 1 if k % 2 == 0 else -1]}
        ours.append(got[None]["seconds"])
        for b in left:
            theirs[b].append(got[b][0])
        best = min(left, key=lambda b: sum(theirs[b]))
        a, b = got[None]["values"], [x for row in got[best][1] for x in row]
        gap, flips, n = max([gap] + [abs(x - y) for x, y in zip(a, b)]), flips + sum((x > 0) != (y > 0) for x, y in zip(a, b)), n + len(a)
        print(f"  part {k + 1} of {len(peer.parts)}: {len(rows)} rows, {tokens[k]} tokens: isara {ours[-1]:.2f} s, transformers " + ", ".join(f"batch {b} {got[b][0]:.2f} s" for b in left), flush=True)
        left = [b for b in left if theirs[b][-1] <= 1.5 * min(theirs[c][-1] for c in left)] if k == 0 else left
    total = {b: sum(theirs[b]) * sum(tokens) / sum(tokens[: len(theirs[b])]) for b in args.batches}
    best = min(left, key=lambda b: total[b])
    ratios = [t / o for t, o in zip(theirs[best], ours)]
    shown = ", ".join(f"batch {b} {total[b]:.1f} s" + ("" if b in left else f" (estimated from part 1, {theirs[b][0]:.1f} s, where it took {theirs[b][0] / min(theirs[c][0] for c in left):.1f} times the best's time)")
                      for b in args.batches)
    print(f"classify {n // 14} rows, {sum(tokens)} tokens: isara {sum(ours):.1f} s; transformers {shown}; ratio {total[best] / sum(ours):.2f} to batch {best} ({min(ratios):.2f} to {max(ratios):.2f} over the parts); "
          f"logits differ by {gap:.3f} at most, {flips} of {n} on the other side of 0.5", flush=True)


if "classify" in args.works:
    classify()
if "text" in args.works:
    ours, theirs = [], []
    for _ in range(args.repeats):
        got = isara("text")
        seconds, values = text_peer(rows)
        ours.append(got["seconds"]), theirs.append(seconds)
    gap = max(abs(a - b) for a, b in zip(got["values"], values))
    n = sum(len(r["trues"]) + len(r["falses"]) for r in rows)
    print(f"text {len(rows)} answers, {n} references: isara {median(ours):.4f} s, rouge_score + sacrebleu {median(theirs):.2f} s, ratio {median(theirs) / median(ours):.0f}; values differ by {gap:.2g} at most",
          flush=True)
if "sift" in args.works:
    ours, theirs = [], []
    for r in range(args.repeats):
        got = isara("sift")
        ours.append(got["seconds"])
        if r == 0: # a loop over 100,000 takes long: once
            seconds, values = sift_peer(q)
            theirs.append(seconds)
    same = sum(a == b for a, b in zip(values, got["values"]))
    print(f"sift a question against {args.kept}: isara {1e6 * median(ours):.1f} us (adding all {got['adding']:.2f} s), rouge_score loop {median(theirs):.2f} s (mean of {args.peer_questions} questions), "
          f"ratio {median(theirs) / median(ours):.0f}; {same} of {len(values)} verdicts the same; bounds against all pairs: {got['wrong']} of {got['checked']} wrong", flush=True)
