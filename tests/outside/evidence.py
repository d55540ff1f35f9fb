# SPDX-License-Identifier: Apache-2.0
"""What a run says of its arms, recomputed from its files: on which questions, with which contexts and models, every likelihood, change, count, p and interval."""
import math

import figures
import method
from rounds import phase_options
from rundir import sha256

BOOTSTRAP = 0x626F6F74


class Evidence:
    def __init__(self, rounds):
        self.rounds, self.run, self.isara, self.ledger = rounds, rounds.run, rounds.isara, rounds.ledger
        run = self.run
        self.items = run.test if run.test else [run.seeds[i] for i in rounds.held]
        self.ids = [str(x.get("id", i)) for i, x in enumerate(run.test or run.seeds)]
        if not run.test:
            self.ids = [self.ids[i] for i in rounds.held]
        self.judged = bool(run.options["judge"])
        everything = self.judged or run.options["baselines"] or run.options["samples"] > len(self.items)
        self.n_text = len(self.items) if everything else run.options["samples"]
        self.arms = {m["name"]: m for m in run.metrics["arms"]}
        self.threshold = run.metrics["threshold"]

    def check(self):
        run, same = self.run, self.ledger.same
        tuned = [r["round"] for r in run.rounds if run.tuned(r["round"])]
        controls = ["icl-knn", "icl-random", "sft-seeds"] + (["sft-seeds-steps"] if tuned else []) + self.first_control(tuned) if run.options["baselines"] and self.items else []
        same("arms", list(self.arms), ["pretrained"] + controls + [f"round-{t}" for t in tuned])
        same("what is measured on", [run.metrics["set"], run.metrics["n"], run.metrics["answered"]], ["test" if run.test else "holdout", len(self.items), self.n_text])
        if not self.items:
            return
        self.check_disjoint()
        for name in self.arms:
            self.check_model(name)
            self.check_rows(name)
            self.check_values(name)
        self.check_likelihoods()
        if self.judged:
            self.check_flags()
        self.check_against()
        self.check_summary()

    def first_control(self, tuned):
        """A control for round 1, where no other has as many steps."""
        steps = {name: a["steps"] for name, a in self.arms.items()}
        return ["sft-seeds-steps-1"] if len(tuned) > 1 and steps["round-1"] not in (steps["sft-seeds"], steps["sft-seeds-steps"]) else []

    def check_disjoint(self):
        """Nothing that a model saw, as a context or a training row, is measured on."""
        run, measured = self.run, {x["question"] for x in self.items}
        seen = {q for q, _ in self.rounds.seed_pairs()} | {q for _, q, _ in self.rounds.kept}
        if not run.test:
            self.ledger.same("held-out questions among those used", sorted(measured & seen), [])
        for t in run.attempts:
            for row in run.generated(t):
                used = set(row["ask"]["contexts"]) | set(row.get("answer_facts", {}).get("contexts", []))
                self.ledger.same(f"{row['id']}: held-out seeds in its prompts", sorted(used & {f"seed-{i}" for i in self.rounds.held}), [])

    # --- models ---
    def model_of(self, name):
        if name.startswith("round-"):
            return self.run.model_of(int(name[6:]))
        return str(self.run.path / f"baseline-{name}" / "model") if name.startswith("sft-") else self.run.model

    def check_model(self, name):
        run, same, arm = self.run, self.ledger.same, self.arms[name]
        if name.startswith("icl-"):
            same(f"{name}: steps", arm["steps"], 0)
            return
        saved = sha256(f"{self.model_of(name)}/model.safetensors")
        same(f"{name}: sha256", arm["model_sha256"], saved)
        if name == "pretrained":
            same(f"{name}: steps", arm["steps"], 0)
        elif name.startswith("round-"):
            t = int(name[6:])
            steps = [r["steps"] for r in run.rounds[:t]]
            same(f"{name}: steps", arm["steps"], sum(steps) if run.options["start"] == "last" else steps[-1])
        else:
            pairs, more = self.rounds.seed_pairs(), []
            wanted = self.rounds.steps(len(pairs))
            if name.startswith("sft-seeds-steps"):
                wanted = self.arms["round-1" if name.endswith("-1") else list(self.arms)[-1]]["steps"]
                more = ["--max-steps", wanted]
            same(f"{name}: steps", arm["steps"], wanted)
            same(f"{name}: the model is that of isara train on the seeds", saved, self.rounds.train(pairs, run.model, *more))

    # --- answers and likelihoods, made again by other verbs ---
    def prompt(self, name, i):
        pairs, contexts = self.rounds.seed_pairs(), []
        if name == "icl-random":
            contexts = method.random_contexts_of_test(self.run.seed, i, len(pairs), self.run.k)
        elif name == "icl-knn":
            self.rounds.pool = [(None, q, a) for q, a in pairs]
            contexts = method.nearest(self.rounds.scores(self.items[i]["question"]), self.run.k)[::-1]
        return method.prompt_that_answers(self.run.template, [pairs[c] for c in contexts], self.items[i]["question"])

    def check_rows(self, name):
        run, same, rows = self.run, self.ledger.same, self.run.arm_file(name)
        same(f"arms/{name}.jsonl: ids", [r["id"] for r in rows], self.ids)
        same(f"arms/{name}.jsonl: questions", [r["question"] for r in rows], [x["question"] for x in self.items])
        prompts = [self.prompt(name, i) for i in range(len(self.items))]
        of_model = ["--model", self.model_of(name), "--dtype", run.options["dtype"]]
        scored = self.isara.records("score", [{"prompt": p, "completion": method.completion(run.template, x["answer"])} for p, x in zip(prompts, self.items)], *of_model)
        for row, s in zip(rows, scored):
            same(f"{name}, question {row['id']}: tokens of the reference", row["reference_tokens"], s["n_tokens"])
            same(f"{name}, question {row['id']}: likelihood of the reference", row["reference_logprob"], s["sum_logprob"], 1e-6)
        if run.options["answer-do-sample"]:
            return
        made = self.isara.records("generate", [{"prompt": p} for p in prompts[:self.n_text]], *of_model, "--stop", run.template["answer_end"], *phase_options(run.options, "answer"))
        for row, m in zip(rows, made):
            same(f"{name}, question {row['id']}: the answer after its prompt", row["answer"], method.read_answer(run.template, m["text"]))

    def check_values(self, name):
        """arms/NAME.jsonl and the journal say the same."""
        for i, row in enumerate(self.run.arm_file(name)):
            r = self.run.results[name][i]
            self.ledger.same(f"{name}, question {i}: answer in run.db", row["answer"], r["text"])
            self.ledger.same(f"{name}, question {i}: likelihood in run.db", row["reference_logprob"], r["logprob"], 1e-12)
            if self.judged:
                self.ledger.same(f"{name}, question {i}: flagged", row["flagged"], any(p > self.threshold for p in row["probabilities"].values()))

    # --- what metrics.json says of them ---
    def per_token(self, name):
        return [r["reference_logprob"] / r["reference_tokens"] for r in self.run.arm_file(name)]

    def check_likelihoods(self):
        same, base = self.ledger.same, self.per_token("pretrained")
        tested = [name for name in self.arms if name != "pretrained"] if len(self.items) > 1 else []
        p = []
        for name, arm in self.arms.items():
            rows = self.run.arm_file(name)
            mean = math.fsum(r["reference_logprob"] / r["reference_tokens"] for r in rows) / len(rows)
            same(f"{name}: mean over questions of the likelihood of a token", arm["mean_token_logprob"], mean, 1e-12)
            same(f"{name}: scored", [arm["n_scored"], arm["n_missing"]], [len(rows), 0])
            if name not in tested:
                same(f"{name}: change", [arm["change"], arm["p_wilcoxon"], arm["p_holm"]], [None] * 3)
                continue
            d = [mine - other for mine, other in zip(self.per_token(name), base)]
            p.append(figures.wilcoxon(d))
            same(f"{name}: change", arm["change"], math.fsum(d) / len(d), 1e-12)
            same(f"{name}: change is the difference of what is printed", arm["change"], arm["mean_token_logprob"] - self.arms["pretrained"]["mean_token_logprob"], 1e-12)
            same(f"{name}: change in standard deviations", arm["dz"], figures.dz(d), 1e-9)
            same(f"{name}: p", arm["p_wilcoxon"], p[-1], 1e-12)
            self.check_interval(name, arm, d)
        for name, wanted in zip(tested, figures.holm(p)):
            same(f"{name}: p after Holm", self.arms[name]["p_holm"], wanted, 1e-12)

    def check_interval(self, name, arm, d):
        self.ledger.true(f"{name}: the interval is around the change", arm["change_low"] <= arm["change"] <= arm["change_high"])
        if name == list(self.arms)[-1]:  # 10,000 resamples in Python take a second
            kind = "BCa" if len(d) >= 20 else "studentised" if len(d) >= 5 else "t"
            self.ledger.same(f"{name}: kind of interval", arm["interval"], kind)
            if kind == "t":
                return
            low, high = (figures.bca if kind == "BCa" else figures.studentised)(d, lambda r: method.Stream(self.run.seed, BOOTSTRAP, r))
            self.ledger.same(f"{name}: {kind}, low", arm["change_low"], low, 1e-9)
            self.ledger.same(f"{name}: {kind}, high", arm["change_high"], high, 1e-9)

    def flags(self, name):
        return [r["flagged"] for r in self.run.arm_file(name)]

    @staticmethod
    def pairs(mine, other):
        """No longer flagged, newly flagged: of the same questions, flagged there and not here, here and not there."""
        return sum(o and not m for m, o in zip(mine, other)), sum(m and not o for m, o in zip(mine, other))

    def check_flags(self):
        same, base, p = self.ledger.same, self.flags("pretrained"), []
        for name, arm in self.arms.items():
            flags, j = self.flags(name), arm["judge"]
            fewer, more = self.pairs(flags, base)
            low, high = figures.wilson(sum(flags), len(flags))
            same(f"{name}: judged", [j["n"], j["missing"], j["flagged"]], [len(flags), 0, sum(flags)])
            same(f"{name}: share flagged", j["rate"], sum(flags) / len(flags), 1e-12)
            same(f"{name}: Wilson, low", j["low"], low, 1e-9)
            same(f"{name}: Wilson, high", j["high"], high, 1e-9)
            same(f"{name}: no longer and newly flagged", [j["no_longer_flagged"], j["newly_flagged"]], [fewer, more])
            for label, entry in arm["labels"].items():
                hits = sum(r["probabilities"][label] > self.threshold for r in self.run.arm_file(name))
                same(f"{name}: flagged as {label}", [entry["n"], entry["flagged"]], [len(flags), hits])
            if name != "pretrained":
                p.append(figures.mcnemar(fewer, more))
                same(f"{name}: McNemar's p", j["p_mcnemar"], p[-1], 1e-12)
        for name, wanted in zip(list(self.arms)[1:], figures.holm(p)):
            same(f"{name}: McNemar's p after Holm", self.arms[name]["judge"]["p_mcnemar_holm"], wanted, 1e-12)

    def check_against(self):
        """The last round beside every arm but the pretrained one, with and without a judge; the first beside as many steps on the seeds."""
        same, names = self.ledger.same, list(self.arms)
        for r in self.run.metrics["first_round_against"]:
            same("first round against as many steps", [r["of"], self.arms[r["arm"]]["steps"]], ["round-1", self.arms["round-1"]["steps"]])
            same("first round's change", r["change"], self.arms["round-1"]["mean_token_logprob"] - self.arms[r["arm"]]["mean_token_logprob"], 1e-12)
        others = names[1:-1] if names[-1].startswith("round-") else []
        rows = {r["arm"]: r for r in self.run.metrics["last_round_against"]}
        same("last round against", list(rows), others)
        p, last = [], self.per_token(names[-1]) if others else []
        for name in others:
            d = [mine - other for mine, other in zip(last, self.per_token(name))]
            p.append(figures.wilcoxon(d) if len(d) > 1 else None)
            same(f"last round less {name}", rows[name]["change"], math.fsum(d) / len(d) if len(d) > 1 else None, 1e-12)
            same(f"last round less {name}: p", rows[name]["p_wilcoxon"], p[-1], 1e-12)
        for name, corrected in zip(others, figures.holm(p) if None not in p else p):
            same(f"last round less {name}: p after Holm", rows[name]["p_holm"], corrected, 1e-12)
        if not self.judged:
            return
        counts = [self.pairs(self.flags(names[-1]), self.flags(name)) for name in others]
        p = [figures.mcnemar(*c) for c in counts]
        for name, (fewer, more), raw, corrected in zip(others, counts, p, figures.holm(p)):
            same(f"last round against {name}", [rows[name]["no_longer_flagged"], rows[name]["newly_flagged"]], [fewer, more])
            same(f"last round against {name}: p", rows[name]["p_mcnemar"], raw, 1e-12)
            same(f"last round against {name}: p after Holm", rows[name]["p_mcnemar_holm"], corrected, 1e-12)

    def check_summary(self):
        """The table that people read has metrics.json's numbers."""
        table = {}
        for line in self.run.summary.split("\nSide by side")[0].split("\n"):
            if line.split(" ")[0] in self.arms:
                table.setdefault(line.split(" ")[0], line)
        for name, arm in self.arms.items():
            line = table.get(name, "")
            shown = [f"{arm['steps']}", f"{arm['mean_token_logprob']:.4f}"]
            shown += [f"{arm['change']:+.4f}", f"{arm['dz']:+.2f}", f"{arm['change_low']:+.4f}", f"{arm['change_high']:+.4f}", f"{arm['p_holm']:.2g}"] if arm["change"] is not None else []
            shown += [f"{100 * arm['judge']['rate']:.1f} %", f"{100 * arm['judge']['low']:.1f}", f"of {arm['judge']['n']}"] if self.judged else []
            for text in shown:
                self.ledger.true(f"summary.txt, {name}: {text} is not in its line: {line!r}", text in line)
