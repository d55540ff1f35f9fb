#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/length_controlled.json: length-controlled win rates of made-up annotations, by scikit-learn called as alpaca_eval's glm_winrate calls it (versions are in
the file). With a directory of reference data as second argument, prints what its stored annotations give too."""
import json
import sys

import numpy as np
import pandas as pd
import sklearn
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import make_scorer
from sklearn.model_selection import GroupKFold

sklearn.set_config(enable_metadata_routing=True)


def soft_loss(y_true, y_pred, p, w):
    y_true = np.where(y_true == 1, p, 1 - p)
    y_pred = np.clip(y_pred, 1e-15, 1 - 1e-15)
    return -np.mean((y_true * np.log(y_pred) + (1 - y_true) * np.log(1 - y_pred)) * w)


def fit(x, p, weight):
    n = len(p)
    both, q, w = np.concatenate([x, x]), np.concatenate([p, 1 - p]), np.concatenate([weight, weight])
    y, group = np.repeat([1, 0], n), np.tile(np.arange(n), 2)
    scorer = make_scorer(soft_loss, response_method="predict_proba", greater_is_better=False).set_score_request(p=True, w=True)
    model = LogisticRegressionCV(cv=GroupKFold(n_splits=5), scoring=scorer, random_state=123, dual=False, penalty="l1", solver="liblinear", fit_intercept=False)
    model.set_fit_request(sample_weight=True)
    model.fit(both, y, sample_weight=q * w, groups=group, p=q, w=w)
    return model


def minimal(rows):
    delta = pd.Series([len(r["output_1"]) - len(r["output_2"]) for r in rows])
    p = pd.Series([r["preference"] for r in rows]).astype(float).replace({0.0: 1.5}) - 1
    x = np.stack([np.tanh(delta / delta.std()), np.ones(len(rows))], 1)  # "np.tanh(std_delta_len) + not_gamed_baseline.astype(float) - 1"
    keep = p.notna().to_numpy()
    m = fit(x[keep], p.to_numpy()[keep], np.ones(keep.sum()))
    return m, 100 * m.predict_proba(np.array([[0.0, 1.0]] * len(rows)))[:, 1].mean()


def v1(rows, gamed):
    delta = pd.Series([len(r["output_1"]) - len(r["output_2"]) for r in rows])
    p = np.array([r["preference"] for r in rows], float) - 1
    difficulty = gamed.drop_duplicates("index")["instruction_difficulty"].to_numpy()[: len(rows)]
    ours = np.stack([np.tanh(delta / delta.std()), difficulty, np.ones(len(rows))], 1)
    base = np.stack([np.tanh(gamed["std_delta_len"]), gamed["instruction_difficulty"], gamed["not_gamed_baseline"].astype(float)], 1)
    weight = np.concatenate([np.where(gamed["not_gamed_baseline"], 1.0, 0.1), np.ones(len(rows))])
    m = fit(np.concatenate([base, ours]), np.concatenate([gamed["preference"], p]), weight)
    at = m.predict_proba(np.stack([np.zeros(len(rows)), difficulty, np.ones(len(rows))], 1))[:, 1]
    return m, 100 * at.mean(), 100 * at.std(ddof=1) / np.sqrt(len(rows))


def made_up(n, seed, soft):
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        a, b = rng.integers(5, 60, 2)
        z = 1 / (1 + np.exp(-(0.03 * (b - a) - 0.4 + rng.normal())))
        rows.append({"output_1": "x" * int(a), "output_2": "y" * int(b), "preference": float(1 + z) if soft else float(rng.choice([1, 1.5, 2], p=[0.95 - 0.95 * z, 0.05, 0.95 * z]))})
    return rows


def main():
    out = {"meta": {"sklearn": sklearn.__version__, "numpy": np.__version__}, "minimal": []}
    for n, seed, soft in [(60, 1, True), (201, 2, False), (805, 3, True), (805, 4, False)]:
        rows = made_up(n, seed, soft)
        m, rate = minimal(rows)
        out["minimal"].append({"lengths": [[len(r["output_1"]), len(r["output_2"])] for r in rows], "preferences": [r["preference"] for r in rows], "win_rate": rate,
                               "w": m.coef_[0].tolist(), "C": float(m.C_[0])})
    rng = np.random.default_rng(5)
    n, rows = 100, made_up(100, 6, True)
    gamed = pd.DataFrame({"index": np.tile(np.arange(n), 2), "std_delta_len": rng.normal(size=2 * n).round(6), "instruction_difficulty": np.tile(rng.normal(size=n).round(6), 2),
                          "preference": rng.uniform(size=2 * n).round(6), "not_gamed_baseline": False})
    m, rate, error = v1(rows, gamed)
    out["v1"] = {"gamed": gamed.to_csv(index=False), "lengths": [[len(r["output_1"]), len(r["output_2"])] for r in rows], "preferences": [r["preference"] for r in rows],
                 "win_rate": rate, "standard_error": error, "w": m.coef_[0].tolist(), "C": float(m.C_[0])}
    json.dump(out, open(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/length_controlled.json", "w"), separators=(",", ":"))
    if len(sys.argv) > 2:
        for name in ("alpaca_eval/alpaca-7b.alpaca_eval_gpt4.annotations.json",):
            m, rate = minimal(json.load(open(f"{sys.argv[2]}/{name}")))
            print(name, "minimal", repr(float(rate)), m.coef_[0].tolist(), float(m.C_[0]))


main()
