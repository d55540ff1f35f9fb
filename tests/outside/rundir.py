# SPDX-License-Identifier: Apache-2.0
"""A run directory's files, as they are; and what counts agreements and differences."""
import hashlib
import json
import pathlib
import sqlite3
import struct


class Ledger:
    """Values compared so far; every difference is a line."""
    def __init__(self):
        self.compared, self.differences = 0, []

    def same(self, what, found, wanted, tolerance=0.0):
        self.compared += 1
        if isinstance(wanted, float) and isinstance(found, (int, float)) and tolerance:
            agree = abs(found - wanted) <= tolerance * max(1.0, abs(wanted))
        else:
            agree = found == wanted
        if not agree:
            self.differences.append(f"{what}: found {found!r:.300}, by the method {wanted!r:.300}")
        return agree

    def true(self, what, condition):
        self.compared += 1
        if not condition:
            self.differences.append(what)
        return bool(condition)


def lines_of(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text(encoding="utf-8").split("\n") if line]


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def numbers(blob, form):
    size = struct.calcsize(form)
    return list(struct.unpack(f"<{len(blob or b'') // size}{form}", blob or b""))


class Run:
    def __init__(self, directory):
        self.path = pathlib.Path(directory)
        self.options = json.loads((self.path / "config.resolved.json").read_text(encoding="utf-8"))
        self.manifest = json.loads((self.path / "manifest.json").read_text(encoding="utf-8"))
        self.metrics = json.loads((self.path / "metrics.json").read_text(encoding="utf-8"))
        self.summary = (self.path / "summary.txt").read_text(encoding="utf-8")
        self.seed, self.k, self.template = int(self.options["seed"]), self.options["k"], self.options["template"]
        self.model = self.manifest["model"]["path"]
        self.seeds = lines_of(self.manifest["seeds"]["path"])
        self.test = lines_of(self.manifest["test"]["path"]) if self.manifest["test"]["path"] else None
        db = sqlite3.connect(f"file:{self.path / 'run.db'}?mode=ro", uri=True)
        db.row_factory = sqlite3.Row
        self.rounds = [dict(r) for r in db.execute("SELECT * FROM round ORDER BY round")]
        self.attempts = {r["round"]: [self.attempt(a) for a in db.execute("SELECT * FROM attempt WHERE round = ? ORDER BY idx", (r["round"],))] for r in self.rounds}
        self.results = {}
        for r in db.execute("SELECT * FROM result ORDER BY arm, idx"):
            self.results.setdefault(r["arm"], {})[r["idx"]] = dict(r, probabilities=numbers(r["probabilities"], "f"))
        db.close()

    @staticmethod
    def attempt(row):
        a = dict(row)
        for name in ("question_contexts", "answer_contexts", "neighbours", "question_ids", "answer_ids"):
            a[name] = numbers(a[name], "i")
        a["nearness"] = numbers(a["nearness"], "d")
        return a

    def generated(self, round_):
        return lines_of(self.path / f"round-{round_}" / "generated.jsonl")

    def model_of(self, round_):
        return str(self.path / f"round-{round_}" / "model") if round_ else self.model

    def tuned(self, round_):
        return (self.path / f"round-{round_}" / "model" / "model.safetensors").exists()

    def arm_file(self, name):
        return lines_of(self.path / "arms" / f"{name}.jsonl")
