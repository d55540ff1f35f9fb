# SPDX-License-Identifier: Apache-2.0
"""The rounds of a run, recomputed from its files: who was held out, every context, every verdict, when it ended, and every model's weights."""
import json
import math
import pathlib
import shutil
import subprocess

import method
from rundir import sha256

TRIES = 10  # --count kept: at most so many blocks


class Isara:
    """The program under test, as its users call it."""
    def __init__(self, binary, scratch):
        self.binary, self.scratch, self.calls = str(binary), pathlib.Path(scratch), 0

    def __call__(self, *arguments, check=True):
        command = [self.binary, *map(str, arguments), "--log-level", "quiet"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if check and done.returncode:
            raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr.decode()}")
        return done

    def file(self, name):
        self.calls += 1
        return self.scratch / f"{self.calls}-{name}"

    def records(self, verb, records, *arguments):
        """Answers of a verb that reads and writes JSON Lines."""
        if not records:
            return []
        source, target = self.file("in.jsonl"), self.file("out.jsonl")
        source.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
        self(verb, "--input", source, "--output", target, *arguments)
        return [json.loads(line) for line in target.read_text(encoding="utf-8").split("\n") if line]


def phase_options(options, phase):
    """config.resolved.json's options of one phase, as command line arguments."""
    given = []
    for name, value in options.items():
        if not name.startswith(phase + "-") or name in (f"{phase}-min-words", f"{phase}-max-words", f"{phase}-contexts"):
            continue
        name = "--" + name[len(phase) + 1:]
        if name in ("--packing", "--shuffle", "--do-sample", "--bf16-moments", "--bf16-random"):
            given += [name] if value else ["--no-" + name[2:]]
        elif isinstance(value, list):
            given += [x for v in value for x in (name, str(v))] if name == "--stop" else [name, ",".join(map(str, value))] if value else []
        else:
            given += [name, repr(value) if isinstance(value, float) else str(value)]
    return given


class Rounds:
    def __init__(self, run, isara, ledger, regenerate=True):
        self.run, self.isara, self.ledger, self.regenerate = run, isara, ledger, regenerate
        o = run.options
        held = o["holdout"] if o["holdout"] >= 0 else 0 if run.test else len(run.seeds) // 8
        self.held = method.held_out(run.seed, len(run.seeds), held)
        tested = set() if o["keep-test-overlap"] else {x["question"] for x in run.test or []}
        self.given = [i for i, s in enumerate(run.seeds) if i not in self.held and s["question"] not in tested]
        self.kept = []       # (name, question, answer) of finished rounds
        self.embedded = {}

    def check(self):
        run, same = self.run, self.ledger.same
        same("manifest: held out", run.manifest["seeds"]["held_out"], len(self.held))
        same("manifest: sha256 of the model", run.manifest["model"]["sha256"], sha256(f"{run.model}/model.safetensors"))
        for r in run.rounds:
            self.round = r["round"]
            self.pool = [(f"seed-{i}", run.seeds[i]["question"], run.seeds[i]["answer"]) for i in self.given]
            if run.options["pool"] == "grown":
                self.pool += self.kept
            self.attempts, self.rows = run.attempts[self.round], run.generated(self.round)
            self.check_files_agree()
            self.check_ask_contexts()
            self.check_verdicts()
            self.check_answer_contexts()
            if self.regenerate:
                self.check_texts()
            if self.check_end(r):
                self.check_weights(r)
        same("rounds in metrics.json", [m["round"] for m in run.metrics["rounds"]], [r["round"] for r in run.rounds])

    # --- run.db and generated.jsonl say the same ---
    def check_files_agree(self):
        same, names = self.ledger.same, [p[0] for p in self.pool]
        same(f"round {self.round}: lines of generated.jsonl", len(self.rows), len(self.attempts))
        for a, row in zip(self.attempts, self.rows):
            where = f"r{self.round}-a{a['idx']}"
            same(f"{where}: id", row["id"], where)
            for name in ("question", "answer", "reason"):
                same(f"{where}: {name}", row[name], a[name])
            same(f"{where}: kept", row["kept"], bool(a["kept"]))
            same(f"{where}: contexts of the question", row["ask"]["contexts"], [names[i] for i in a["question_contexts"]])
            if "answer_facts" in row:
                same(f"{where}: contexts of the answer", row["answer_facts"]["contexts"], [names[i] for i in a["answer_contexts"]])
                same(f"{where}: nearness", row["answer_facts"]["nearness"][::-1], a["nearness"], 1e-15)

    # --- contexts ---
    def scores(self, query):
        texts = [p[1] for p in self.pool]
        if self.run.options["retriever"] == "bm25":
            return method.bm25(texts, query)
        self.embed(texts + [query])
        return method.cosines([self.embedded[t] for t in texts], self.embedded[query])

    def embed(self, texts):
        new = [t for t in dict.fromkeys(texts) if t not in self.embedded]
        for t, r in zip(new, self.isara.records("embed", [{"text": t} for t in new], "--model", self.run.model, "--dtype", self.run.options["dtype"])):
            self.embedded[t] = r["embedding"]

    def check_ask_contexts(self):
        o = self.run.options
        for a in self.attempts:
            if o["ask-contexts"] == "random":
                wanted = method.random_contexts(self.run.seed, self.round, a["idx"], len(self.pool), self.run.k)
            else:
                stream = method.Stream(self.run.seed, 8 * self.round + method.STREAM_CONTEXTS, a["idx"])
                wanted = method.anchored(lambda i: self.scores(self.pool[i][1]), stream, len(self.pool), self.run.k)
            self.ledger.same(f"r{self.round}-a{a['idx']}: pairs before the question", a["question_contexts"], wanted[a["question_dropped"] or 0:])

    def check_answer_contexts(self):
        same, where = self.ledger.same, f"r{self.round}-a"
        if self.run.options["retriever"] == "model":
            self.embed([a["question"] for a in self.attempts if a["neighbours"]] + [p[1] for p in self.pool])
        for a in self.attempts:
            if not same(f"{where}{a['idx']}: was it answered", bool(a["neighbours"]), a["idx"] in self.answered):
                continue
            if not a["neighbours"]:
                continue
            scores = self.scores(a["question"])
            wanted = method.nearest(scores, self.run.k)
            tolerance = 1e-9 if self.run.options["retriever"] == "bm25" else 1e-5
            for i, found in enumerate(a["neighbours"]): # by what they score, so that the last bit of a sum decides nothing
                same(f"{where}{a['idx']}: nearness of number {i}", a["nearness"][i], scores[wanted[i]], tolerance)
                same(f"{where}{a['idx']}: nearness of {self.pool[found][0]}", a["nearness"][i], scores[found], tolerance)
                if i and a["nearness"][i] == a["nearness"][i - 1]:
                    self.ledger.true(f"{where}{a['idx']}: a tie goes to the lower index", found > a["neighbours"][i - 1])
            same(f"{where}{a['idx']}: neighbours are different ones", len(set(a["neighbours"])), min(self.run.k, len(self.pool)))
            if not a["answer_error"]:
                same(f"{where}{a['idx']}: the nearest pair stands last", a["answer_contexts"], a["neighbours"][::-1][a["answer_dropped"] or 0:])

    # --- verdicts ---
    def question_fault(self, index, against):
        a, o = self.attempts[index], self.run.options
        if a["question_error"]:
            return "error", None
        fault = method.one_text("question", a["question"], a["question_ended"], method.question_parses(self.run.template, a["question"]), o)
        if fault:
            return fault, None
        for name, question in against:
            if method.rouge_l(question, a["question"]) > o["sift-threshold"]:
                return "question_repeat", name
        for j in range(index):
            if self.attempts[j]["question"] == a["question"]:
                return "question_repeat", f"r{self.round}-a{j}"
        for j, x in enumerate([] if o["keep-test-overlap"] else self.run.test or []):
            if method.rouge_l(x["question"], a["question"]) > o["sift-threshold"]:
                return "test_overlap", f"test-{j}"
        return None, None

    def answer_fault(self, index):
        a, o = self.attempts[index], self.run.options
        if a["answer_error"]:
            return "error", None
        fault = method.one_text("answer", a["answer"], a["answer_ended"], method.answer_parses(self.run.template, a["answer"] or ""), o)
        if fault:
            return fault, None
        closest = max(((method.rouge_l(self.pool[i][2], a["answer"]), -at) for at, i in enumerate(a["answer_contexts"])), default=(0, 0))
        if closest[0] > o["sift-copy"]:
            return "answer_copied", self.pool[a["answer_contexts"][-closest[1]]][0]
        return None, None

    def check_verdicts(self):
        same, o = self.ledger.same, self.run.options
        before = [(None, s["question"]) for s in self.run.seeds] + [(None, q) for _, q, _ in self.kept]
        most = o["attempts"] if o["count"] == "kept" else math.inf
        against, self.verdicts, self.answered = list(before), [], set()
        for a, row in zip(self.attempts, self.rows):
            i, where = a["idx"], f"r{self.round}-a{a['idx']}"
            if self.question_fault(i, before)[0] is None:
                self.answered.add(i)
            reason, match = self.question_fault(i, against)
            if a["question"] is not None:
                closest = max(method.rouge_l(q, a["question"]) for _, q in against)
                same(f"{where}: ROUGE-L with the closest question", row["nearest_f1"], closest, 1e-12)
            if reason is None:
                reason, match = self.answer_fault(i)
            if reason is None and self.verdicts.count("kept") >= most:
                reason = "enough"
            if a["reason"] == "struck" and reason is None:  # a person's decision is nobody else's
                reason = "struck"
            self.verdicts.append(reason or "kept")
            if reason in (None, "struck"):
                against.append((where, a["question"]))
            same(f"{where}: verdict", a["reason"], reason or "kept")
            same(f"{where}: what it matches", row.get("matches"), match)

    # --- the texts are what the model says after those prompts ---
    def check_texts(self):
        run, model = self.run, self.run.model_of(self.round - 1)
        pairs = [p[1:] for p in self.pool]
        for phase, ids in (("ask", "question"), ("answer", "answer")):
            chosen = [a for a in self.attempts if a[f"{ids}_ids"]]
            self.check_room(phase, ids, [a for a in chosen if a[f"{ids}_dropped"]])
            if run.options[f"{phase}-do-sample"]:
                continue
            stop = run.template["question_end" if phase == "ask" else "answer_end"]
            prompts = [method.prompt_that_asks(run.template, [pairs[i] for i in a["question_contexts"]]) if phase == "ask" else
                       method.prompt_that_answers(run.template, [pairs[i] for i in a["answer_contexts"]], a["question"]) for a in chosen]
            made = self.isara.records("generate", [{"prompt": p} for p in prompts], "--model", model, "--dtype", run.options["dtype"], "--stop", stop,
                                      *phase_options(run.options, phase))
            for a, m in zip(chosen, made):
                self.ledger.same(f"r{self.round}-a{a['idx']}: the {ids}'s tokens after its prompt", a[f"{ids}_ids"], m["token_ids"])

    def check_room(self, phase, ids, crowded):
        """Of pairs that were left out for want of room, not even the last one would have fitted."""
        run, prompts = self.run, []
        window = json.loads(pathlib.Path(run.model, "config.json").read_text(encoding="utf-8"))["max_position_embeddings"]
        for a in crowded:
            if phase == "ask":
                wanted = method.random_contexts(run.seed, self.round, a["idx"], len(self.pool), run.k)
            else:
                wanted = a["neighbours"][::-1]
            pairs = [self.pool[i][1:] for i in wanted[a[f"{ids}_dropped"] - 1:]]
            prompts.append(method.prompt_that_asks(run.template, pairs) if phase == "ask" else method.prompt_that_answers(run.template, pairs, a["question"]))
        for a, t in zip(crowded, self.isara.records("tokenize", [{"text": p} for p in prompts], "--model", run.model)):
            self.ledger.true(f"r{self.round}-a{a['idx']}: the {ids}'s prompt had room for another pair", len(t["token_ids"]) + run.options[f"{phase}-max-new-tokens"] > window)

    # --- the end of a round ---
    def check_end(self, r):
        run, o, same = self.run, self.run.options, self.ledger.same
        kept, n = self.verdicts.count("kept"), len(self.verdicts)
        where, m = f"round {self.round}", run.metrics["rounds"][self.round - 1]
        if o["count"] == "attempts":
            same(f"{where}: attempts", n, o["attempts"])
        else:
            self.check_blocks(n)
        same(f"{where}: kept in run.db", r["kept"], kept)
        same(f"{where}: attempts in run.db", r["attempts"], n)
        same(f"{where}: kept in metrics.json", m["kept"], kept)
        same(f"{where}: share in metrics.json", m["share"], kept / n, 1e-15)
        reasons = {v: self.verdicts.count(v) for v in self.verdicts if v != "kept"}
        same(f"{where}: reasons in metrics.json", m["reasons"], reasons)
        self.ledger.true(f"{where}: the summary's line", f"round {self.round}: {kept} of {n} attempts kept, {100 * kept / n:.1f} %" in run.summary)
        ends = kept == 0 or kept < o["stop-novelty"] * n
        same(f"{where}: was a model tuned (kept {kept} of {n}, alpha {o['stop-novelty']})", run.tuned(self.round), not ends)
        last = ends or self.round == o["rounds"]
        same(f"{where}: is the last one", self.round == len(run.rounds), last)
        if last:
            same("novelty_ran_out in metrics.json", run.metrics["novelty_ran_out"], self.round if ends else 0)
        if not ends:
            self.kept += [(f"r{self.round}-a{a['idx']}", a["question"], a["answer"]) for a, v in zip(self.attempts, self.verdicts) if v == "kept"]
        return not ends and run.tuned(self.round)

    def check_blocks(self, n):
        """--count kept: blocks of that many attempts while fewer are kept, the share is not below alpha, and there were no ten."""
        block, alpha = self.run.options["attempts"], self.run.options["stop-novelty"]
        self.ledger.same(f"round {self.round}: attempts are whole blocks", n % block, 0)
        for end in range(block, n + 1, block):
            kept = self.verdicts[:end].count("kept")
            goes_on = kept < block and end < TRIES * block and kept >= alpha * end
            self.ledger.same(f"round {self.round}: goes on after {end} attempts with {kept} kept", end < n, goes_on)

    # --- weights ---
    def rows_of(self, pairs):
        return [{"prompt": method.prompt_that_answers(self.run.template, [], q), "completion": method.completion(self.run.template, a)} for q, a in pairs]

    def train(self, pairs, start, *more):
        data, out = self.isara.file("rows.jsonl"), self.isara.file("model")
        data.write_text("".join(json.dumps(r) + "\n" for r in self.rows_of(pairs)), encoding="utf-8")
        self.isara("train", "--model", start, "--data", data, "--output", out, "--dtype", self.run.options["dtype"], "--seed", self.run.seed,
                   *phase_options(self.run.options, "train"), *more)
        digest = sha256(out / "model.safetensors")
        shutil.rmtree(out)
        return digest

    def steps(self, n):
        o = self.run.options
        batch = o["train-per-device-train-batch-size"] * o["train-gradient-accumulation-steps"]
        return o["train-max-steps"] or math.ceil(o["train-num-train-epochs"] * math.ceil(n / batch))

    def seed_pairs(self):
        return [(self.run.seeds[i]["question"], self.run.seeds[i]["answer"]) for i in self.given]

    def check_weights(self, r):
        run, same, where = self.run, self.ledger.same, f"round {self.round}"
        start = run.model_of(self.round - 1 if run.options["start"] == "last" else 0)
        pairs = self.seed_pairs() + [p[1:] for p in self.kept]
        saved = sha256(f"{run.model_of(self.round)}/model.safetensors")
        same(f"{where}: the model is that of isara train from {start} on {len(pairs)} rows", saved, self.train(pairs, start))
        same(f"{where}: sha256 in run.db", r["model_sha256"], saved)
        same(f"{where}: sha256 in metrics.json", run.metrics["rounds"][self.round - 1]["model_sha256"], saved)
        same(f"{where}: steps", r["steps"], self.steps(len(pairs)))
