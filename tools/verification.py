# SPDX-License-Identifier: Apache-2.0
"""What tools/verify-smollm2 and tools/verify-gemma3 share: the program run on records, and a table whose lines are in or out of their limits."""
import json, os, subprocess, sys, tempfile


class Verification:
    def __init__(self, name, folder, model, get):
        self.isara = sys.argv[1] if len(sys.argv) > 1 else "build/isara"
        self.ref = os.path.join(os.environ.get("ISARA_DATA", "../shared/data"), folder)
        self.model = model
        self.bad = 0
        for path in (self.isara, self.ref, self.model):
            if not os.path.exists(path):
                sys.exit(f"{name}: {path} is not there (make; ISARA_DATA; {get})")
        self.work = tempfile.TemporaryDirectory()

    def load(self, name):
        return json.load(open(f"{self.ref}/{name}.json"))

    def run(self, verb, *options, records=None, model=None):
        if records is not None:
            with open(f"{self.work.name}/in.jsonl", "w") as f:
                f.writelines(json.dumps(r) + "\n" for r in records)
            options += ("--input", f"{self.work.name}/in.jsonl", "--output", f"{self.work.name}/out.jsonl")
        subprocess.run([self.isara, verb, "--model", model or self.model, "--log-level", "quiet", *options], check=True, stdout=subprocess.DEVNULL)
        return [json.loads(l) for l in open(f"{self.work.name}/out.jsonl")] if records is not None else None

    def line(self, what, measured, limit, ok, note=""):
        self.bad += not ok
        print(f"{what:58} {measured:>12} {limit:>16}  {'ok' if ok else 'OUT'}{'  ' + note if note else ''}", flush=True)

    def below(self, what, x, limit, note=""):
        self.line(what, f"{x:.3g}", f"<= {limit:g}", x <= limit, note)


def distances(rows, wanted):
    all = [abs(a - b) for r, w in zip(rows, wanted) for a, b in zip(r["token_logprobs"], w)]
    assert len(all) == sum(map(len, wanted))
    return max(all), sum(all) / len(all)
