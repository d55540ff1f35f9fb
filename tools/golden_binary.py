#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/binary.json: probabilities and classes with scikit-learn's area under the ROC curve, and the expected calibration error in ten equal bins closed on
the right as Guo et al. 2017 define it (numpy). Made with scikit-learn 1.9.1."""
import json, os, sys
import numpy as np, sklearn
from sklearn.metrics import roc_auc_score

rng = np.random.default_rng(2)
cases = []
for n, step in [(2, 0), (7, 0), (40, 0.05), (200, 0), (521, 0.01)]:
    y = rng.integers(0, 2, n)
    y[0], y[1] = 0, 1
    p = np.clip(0.5 + 0.2 * (y - 0.5) + 0.3 * rng.standard_normal(n), 0, 1)
    p = np.round(p / step) * step if step else p
    edges = np.arange(11) / 10
    ece = 0
    for b in range(10):
        inside = ((p > edges[b]) | ((b == 0) & (p <= 0))) & (p <= edges[b + 1])
        if inside.any():
            ece += inside.sum() / n * abs(p[inside].mean() - y[inside].mean())
    cases.append({"p": p.tolist(), "y": y.tolist(), "auroc": float(roc_auc_score(y, p)), "ece": float(ece)})
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/golden/binary.json")
json.dump({"sklearn": sklearn.__version__, "cases": cases}, open(out, "w"))
