#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Do Inspect and lm-evaluation-harness read what `isara eval --output DIR` wrote?

    tools/check-eval-logs.py DIR        Python 3 with inspect-ai 0.3.285 and lm-eval 0.4.13

Inspect's reader must give as many samples as lm-eval's file says and the same means as the mean of its own samples'
scores; lm-eval's table tool must print every value. Exits 1 at a difference."""
import glob, json, math, sys

from inspect_ai.log import list_eval_logs, read_eval_log
from lm_eval.utils import make_table

directory = sys.argv[1]
wrong = 0
for path in glob.glob(f"{directory}/*/results_*.json"):
    results = json.load(open(path, encoding="utf-8"))
    print(make_table(results))
logs = list_eval_logs(directory)
for info in logs:
    log = read_eval_log(info.name)
    print(f"{log.eval.task}: {log.status}, {len(log.samples)} samples of {log.eval.model}")
    wrong += log.status != "success" or len(log.samples) != log.results.total_samples
    for score in log.results.scores:
        values = [s.scores[score.name].value for s in log.samples if score.name in s.scores]
        mean = sum(values) / len(values)
        same = math.isclose(mean, score.metrics["mean"].value, rel_tol=1e-6, abs_tol=1e-9)
        print(f"  {score.name}: {score.metrics['mean'].value:.6g}, mean of {len(values)} samples {mean:.6g}")
        wrong += not same
if not logs:
    print("no log of Inspect's", file=sys.stderr)
sys.exit(1 if wrong or not logs else 0)
