#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The method tested from outside: runs of the bundled miniature, each recomputed from its files by the code beside this one, which calls nothing of isara's.
usage: outside.py ISARA MODELS SCRATCH [PART...]   (whole sifted grown crowded counted alpha plain; all when none is named)"""
import math
import pathlib
import sys
import time
import traceback

import defaults
import method
import rundir
from check_run import check_run
from rounds import Isara

SAMPLED = ["--ask-do-sample", "--ask-num-beams", 1, "--answer-num-beams", 2, "--answer-max-new-tokens", 40]
FAST = ["--dtype", "f32", "--per-device-train-batch-size", 3, "--learning-rate", 3e-4]
# Rules so tight that the miniature's texts break nearly all of them.
TIGHT = ["--ask-temperature", 1.5, "--ask-max-new-tokens", 24, "--question-max-words", 18, "--question-min-words", 12, "--answer-min-words", 18, "--answer-max-words", 20,
         "--answer-max-new-tokens", 30, "--sift-threshold", 0.5, "--sift-copy", 0.55, "--sift-repetition", 0.04]


class Outside:
    def __init__(self, binary, models, scratch):
        self.isara, self.models, self.scratch = Isara(binary, scratch), pathlib.Path(models), pathlib.Path(scratch)
        self.ledger = rundir.Ledger()
        self.model = self.models / "miniature"
        self.seeds, self.test = self.scratch / "seeds.jsonl", self.scratch / "test.jsonl"
        self.take("seeds.jsonl", self.seeds, 24)
        self.take("test.jsonl", self.test, 8)
        self.clock = time.monotonic()

    def take(self, name, path, n):
        path.write_text("".join((self.models / name).read_text(encoding="utf-8").splitlines(True)[:n]), encoding="utf-8")

    def align(self, name, *options):
        out = self.scratch / name
        self.isara("align", "--model", self.model, "--seeds", self.seeds, "--output", out, *FAST, *options)
        return out

    def checked(self, name, *options, regenerate=True):
        """A run and its recomputation; differences are named after the run."""
        before = len(self.ledger.differences)
        run = check_run(self.align(name, *options), self.isara, self.ledger, regenerate)
        self.ledger.differences[before:] = [f"{name}: {d}" for d in self.ledger.differences[before:]]
        now = time.monotonic()
        print(f"{name:10} {self.ledger.compared:6} values so far, {now - self.clock:.1f} s")
        self.clock = now
        return run

    # --- runs ---
    def whole(self):
        """Two rounds beside all controls, judged."""
        run = self.checked("whole", "--rounds", 2, "--attempts", 8, "--retriever", "bm25", "--test", self.test, "--judge", self.models / "miniature-judge", "--baselines",
                           "--pool", "grown", "--max-steps", 5, *SAMPLED)
        self.eval_is_the_arm(run)

    def sifted(self):
        run = self.checked("sifted", "--rounds", 2, "--attempts", 28, "--retriever", "bm25", "--max-steps", 3, "--stop-novelty", 0, *SAMPLED, *TIGHT)
        reasons = {a["reason"] for attempts in run.attempts.values() for a in attempts}
        for wanted in ("kept", "question_repeat", "question_long", "question_short", "question_unended", "answer_short", "answer_copied"):
            self.ledger.true(f"sifted: no attempt is {wanted}; found {sorted(reasons)}", wanted in reasons)
        self.ledger.true("sifted: no kept question is as near as the threshold allows", any(a["kept"] and a["f1"] == 0.5 for attempts in run.attempts.values() for a in attempts))

    def grown(self):
        """The other values of the switches: contexts from a pool that grows, a random pair and its nearest, from the last weights, embeddings; beams ask."""
        run = self.checked("grown", "--rounds", 2, "--attempts", 6, "--pool", "grown", "--start", "last", "--ask-contexts", "anchor", "--num-beams", 2,
                           "--answer-max-new-tokens", 40, "--num-train-epochs", 1, "--samples", 2, "--stop-novelty", 0, "--k", 4)
        later = {c for row in run.generated(2) for c in row["ask"]["contexts"] + row.get("answer_facts", {}).get("contexts", [])}
        self.ledger.true("grown: no pair of round 1 is a context in round 2", any(c.startswith("r1-") for c in later))
        self.ledger.true("grown: two rounds", len(run.rounds) == 2 and run.tuned(2))

    def crowded(self):
        """Another template, and more pairs than the window holds: the first ones are left out, no more of them than must be."""
        template = self.scratch / "template.yaml"
        template.write_text('pair: "my {q}\\n- {a}"\npreamble: "Pairs.\\n"\nseparator: "\\n--\\n"\n', encoding="utf-8")
        run = self.checked("crowded", "--rounds", 1, "--attempts", 12, "--k", 12, "--retriever", "bm25", "--template", template, *SAMPLED, "--ask-max-new-tokens", 40,
                           "--question-min-words", 1, "--max-steps", 3, "--holdout", 6, "--samples", 2, "--stop-novelty", 0)
        self.ledger.true("crowded: every pair had room", any(a["question_dropped"] for a in run.attempts[1]) and any(a["answer_dropped"] for a in run.attempts[1]))
        self.ledger.true("crowded: every question parses", any(a["reason"] == "question_unparsed" for a in run.attempts[1]))

    def counted(self):
        """--count kept: blocks until enough are kept, at most ten, and alpha ends it early."""
        base = ["--count", "kept", "--retriever", "bm25", "--max-steps", 1, "--holdout", 0, "--samples", 0, *SAMPLED]
        run = self.checked("counted", "--rounds", 2, "--attempts", 5, "--question-max-words", 16, *base, regenerate=False)
        for r in run.rounds:
            self.ledger.same(f"counted: kept in round {r['round']}", r["kept"], 5)
        self.ledger.true("counted: one block was enough", max(len(a) for a in run.attempts.values()) > 5)
        self.ledger.true("counted: nothing was more than enough", any(a["reason"] == "enough" for attempts in run.attempts.values() for a in attempts))
        never = self.checked("ten-blocks", "--rounds", 1, "--attempts", 1, "--stop-novelty", 0, "--question-max-words", 4, *base, regenerate=False)
        self.ledger.same("ten-blocks: attempts", len(never.attempts[1]), 10)
        early = self.checked("one-block", "--rounds", 1, "--attempts", 2, "--stop-novelty", 0.1, "--question-max-words", 4, *base, regenerate=False)
        self.ledger.same("one-block: attempts", len(early.attempts[1]), 2)

    def alpha(self):
        """The round's share at, just below and just above --stop-novelty."""
        base = ["--attempts", 8, "--question-max-words", 16, "--retriever", "bm25", "--max-steps", 3, "--holdout", 3, "--samples", 0, *SAMPLED]
        first = self.checked("alpha-0", *base, "--rounds", 1, "--stop-novelty", 0, regenerate=False)
        share = first.rounds[0]["kept"] / 8
        self.ledger.true(f"alpha: wanted a share within 0 and 1, found {share}", 0 < share < 1)
        for name, alpha, tuned in (("alpha-at", share, True), ("alpha-below", math.nextafter(share, 0), True), ("alpha-above", math.nextafter(share, 1), False)):
            run = self.checked(name, *base, "--rounds", 1 if tuned else 2, "--stop-novelty", repr(alpha), regenerate=False)
            self.ledger.same(f"{name}: share", run.rounds[0]["kept"] / 8, share)
            self.ledger.same(f"{name}: a model of round 1", run.tuned(1), tuned)
        self.seeded(first, self.checked("seed-7", *base, "--rounds", 1, "--stop-novelty", 0, "--seed", 7, regenerate=False))

    # --- seeds ---
    def seeded(self, first, other):
        """Another --seed changes what is drawn, and nothing else."""
        same, true = self.ledger.same, self.ledger.true
        differ = [name for name in first.options if first.options[name] != other.options[name]]
        same("seed: settings that differ", differ, ["seed"])
        for what in ("model", "seeds"):
            same(f"seed: manifest's {what}", other.manifest[what], first.manifest[what])
        true("seed: the pairs before the questions are the same", [a["question_contexts"] for a in first.attempts[1]] != [a["question_contexts"] for a in other.attempts[1]])
        true("seed: the questions are the same", [a["question"] for a in first.attempts[1]] != [a["question"] for a in other.attempts[1]])
        true("seed: the same seeds are held out", method.held_out(0, 24, 3) != method.held_out(7, 24, 3))
        questions = {a["question"]: a["neighbours"] for a in first.attempts[1]}
        for a in other.attempts[1]:
            if a["neighbours"] and questions.get(a["question"]):
                same(f"seed: neighbours of {a['question']!r}", a["neighbours"], questions[a["question"]])
        rows = self.scratch / "seed-rows.jsonl"
        rows.write_text("".join('{"prompt": "Question: %d?\\nAnswer:", "completion": " %d."}\n' % (i, i) for i in range(7)), encoding="utf-8")
        train = ["train", "--model", self.model, "--data", rows, "--dtype", "f32", "--max-steps", 2]
        weights = []
        for name, more in (("a", ["--seed", 1]), ("b", ["--seed", 2]), ("c", ["--seed", 2]), ("d", ["--seed", 1, "--no-shuffle"]), ("e", ["--seed", 2, "--no-shuffle"])):
            self.isara(*train, "--output", self.scratch / f"seed-{name}", *more)
            weights.append(rundir.sha256(self.scratch / f"seed-{name}" / "model.safetensors"))
        true("seed: train's order of rows does not depend on it", weights[0] != weights[1])
        same("seed: train twice with the same", weights[2], weights[1])
        same("seed: train without an order to draw", weights[4], weights[3])
        said = [self.isara.records("generate", [{"id": "x", "prompt": "Question:"}], "--model", self.model, "--dtype", "f32", "--max-new-tokens", 12, "--seed", s, *more)[0]["text"]
                for more in (["--do-sample"], []) for s in (1, 2, 2)]
        true("seed: generate's samples do not depend on it", said[0] != said[1])
        same("seed: generate's samples again", said[2], said[1])
        same("seed: greedy text", said[4], said[3])

    def plain(self):
        defaults.check(self)

    # --- eval ---
    def samples(self, arm, seed, n):
        out = self.scratch / f"eval-{arm}-{seed}"
        self.isara("eval", "--task", "qa", "--model", self.model, "--arm", arm, "--seeds", self.seeds, "--retriever", "bm25", "--test", self.test, "--output", out, "--seed", seed,
                   "--num-beams", 2, "--max-new-tokens", 40, "--dtype", "f32", "--limit", n)
        return rundir.lines_of(next(out.glob("*/samples_*.jsonl")))

    def eval_is_the_arm(self, run):
        """isara eval --arm X prompts and answers as align's arm X, and a seed moves the random contexts only."""
        same, pairs = self.ledger.same, [(s["question"], s["answer"]) for s in run.seeds]
        for arm, contexts in (("icl-knn", lambda i, q: method.nearest(method.bm25([p[0] for p in pairs], q), run.k)[::-1]),
                              ("icl-random", lambda i, q: method.random_contexts_of_test(0, i, len(pairs), run.k))):
            for i, (sample, row) in enumerate(zip(self.samples(arm, 0, 8), run.arm_file(arm))):
                wanted = method.prompt_that_answers(run.template, [pairs[c] for c in contexts(i, row["question"])], row["question"])
                same(f"eval --arm {arm}, question {i}: prompt", sample["arguments"]["gen_args_0"]["arg_0"], wanted)
                same(f"eval --arm {arm}, question {i}: the arm's answer", row["answer"], sample["filtered_resps"][0])
        for arm, moves in (("icl-knn", False), ("icl-random", True)):
            a, b = ([s["arguments"] for s in self.samples(arm, seed, 4)] for seed in (1, 2))
            same(f"eval --arm {arm}: another seed gives other prompts", a != b, moves)


PARTS = ("whole", "sifted", "grown", "crowded", "counted", "alpha", "plain")


def main(binary, models, scratch, *parts):
    o = Outside(binary, models, scratch)
    for part in parts or PARTS:
        try:
            getattr(o, part)()
        except (OSError, LookupError, TypeError, ValueError, AttributeError):
            o.ledger.differences.append(f"{part}: its files are not what they should be\n{traceback.format_exc()}")
    for line in o.ledger.differences[:60]:
        print(f"differs: {line}")
    print(f"{o.ledger.compared} values recomputed, {len(o.ledger.differences)} differ")
    return 1 if o.ledger.differences else 0


if __name__ == "__main__":
    if len(sys.argv) < 4 or not set(sys.argv[4:]) <= set(PARTS):
        raise SystemExit(__doc__)
    sys.exit(main(*sys.argv[1:]))
