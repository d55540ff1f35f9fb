#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/stats.json: what scipy and statsmodels give (versions are in the file). tests/test_stats_golden.c compares with it."""
import json
import sys
import warnings

import numpy as np
import scipy
import statsmodels
from scipy import special, stats
from scipy.stats import _resampling
from statsmodels.stats import contingency_tables, multitest, proportion

warnings.simplefilter("ignore")
rng = np.random.default_rng(20240112)
out = {"meta": {"scipy": scipy.__version__, "statsmodels": statsmodels.__version__, "numpy": np.__version__}}

z = [-37.0, -8.3, -5.0, -2.5, -1.959963984540054, -0.7, -1e-3, 0.0, 1e-9, 0.31, 1.0, 3.3, 3.6, 6.0, 12.0, 30.0]
out["normal_sf"] = [[x, float(stats.norm.sf(x))] for x in z]
p = [1e-300, 1e-20, 1e-8, 1e-3, 0.025, 0.05, 0.2, 0.5, 0.77, 0.975, 0.9999, 1 - 1e-9]
out["normal_quantile"] = [[x, float(stats.norm.ppf(x))] for x in p]
out["lgamma"] = [[x, float(special.gammaln(x))] for x in [1e-3, 0.3, 0.5, 1.0, 1.5, 2.0, 3.7, 10.0, 15.9, 16.0, 100.0, 1234.5, 1e6]]
ab = [(0.5, 0.5), (1, 1), (2, 3), (0.5, 30), (32, 218), (251, 1), (500.5, 499.5), (3, 10000)]
out["beta_cdf"] = [[x, a, b, float(special.betainc(a, b, x))] for a, b in ab for x in [1e-6, 0.01, 0.2, 0.5, 0.77, 0.999]]
out["beta_quantile"] = [[q, a, b, float(stats.beta.ppf(q, a, b))] for a, b in ab for q in [0.025, 0.5, 0.975]]
out["t_cdf"] = [[t, df, float(stats.t.cdf(t, df))] for df in [1, 2, 4, 4.5, 30, 1000] for t in [-20, -2.1, -0.3, 0, 1.7, 9]]
out["t_quantile"] = [[q, df, float(stats.t.ppf(q, df))] for df in [1, 2, 4, 9, 63, 1000] for q in [0.001, 0.025, 0.4, 0.5, 0.95, 0.975]]
out["binomial_cdf"] = [[k, n, q, float(stats.binom.cdf(k, n, q))] for n, k in [(1, 0), (7, 3), (250, 24), (1000, 499)] for q in [0.05, 0.5, 0.93]]

kn = [(0, 1), (1, 1), (0, 250), (3, 250), (23, 250), (125, 250), (250, 250), (7, 10), (999, 1000), (29500, 100000)]
for level in (0.95, 0.99):
    out.setdefault("wilson", []).extend([k, n, level, *map(float, proportion.proportion_confint(k, n, 1 - level, "wilson"))] for k, n in kn)
    out.setdefault("clopper_pearson", []).extend([k, n, level, *map(float, proportion.proportion_confint(k, n, 1 - level, "beta"))] for k, n in kn)
out["mcnemar"] = [[b, c, float(contingency_tables.mcnemar([[5, b], [c, 7]], exact=True).pvalue)]
                  for b, c in [(0, 1), (1, 0), (3, 23), (15, 30), (24, 32), (10, 10), (0, 40), (400, 520)]]


def sample(n, kind):
    if kind == "ties":
        x = rng.integers(-4, 6, n).astype(float)
    elif kind == "skew":
        x = rng.exponential(1.0, n) - 0.7
    else:
        x = rng.normal(0.2, 1.0, n)
    return [float(v) for v in x]


samples = [sample(n, kind) for n, kind in
           [(5, "normal"), (12, "normal"), (12, "ties"), (17, "skew"), (50, "normal"), (51, "normal"), (64, "ties"), (250, "skew")]]
out["samples"] = []
for x in samples:
    a = np.array(x)
    exact = len(x) <= 50 and len(set(abs(a))) == len(x) and not (a == 0).any()
    w = stats.wilcoxon(a, zero_method="wilcox", correction=True, method="exact" if exact else "approx")
    boot = rng.choice(a, (400, len(x))).mean(axis=1)
    res = _resampling._bca_interval((a,), lambda v, axis=-1: np.mean(v, axis=axis), -1, 0.025, boot, None, np)[:2]
    bca = [float(np.percentile(boot, q * 100)) for q in res]
    t = stats.t.interval(0.95, len(x) - 1, a.mean(), stats.sem(a))
    row = {"x": x, "wilcoxon": [float(w.statistic), float(w.pvalue)], "t_interval": list(map(float, t)), "boot": [float(v) for v in boot], "bca": bca,
           "sd": float(a.std(ddof=1)), "dz": float(a.mean() / a.std(ddof=1)), "q": [float(np.quantile(a, q)) for q in (0.0, 0.1, 0.5, 0.77, 1.0)]}
    out["samples"].append(row)

lists = [[0.01], [0.04, 0.01, 0.03], [0.2, 0.0001, 0.03, 0.03, 0.9, 0.049], [1.0, 0.5, 0.001, 0.02, 0.02, 0.2, 0.8]]
out["corrections"] = [{"p": q, "holm": list(map(float, multitest.multipletests(q, method="holm")[1]))} for q in lists]
out["cohen_h"] = [[a, b, float(effect_size_h)] for a, b in [(0.012, 0.092), (0.5, 0.5), (0.96, 0.128), (1.0, 0.0)]
                  for effect_size_h in [proportion.proportion_effectsize(a, b)]]
json.dump(out, open(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/stats.json", "w"), separators=(",", ":"))
