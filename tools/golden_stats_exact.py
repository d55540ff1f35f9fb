#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/stats_exact.json: quantiles of Student's t and Clopper-Pearson limits where cancellation hurts, by mpmath with 50 digits (its version is in the file).
tests/test_stats_golden.c compares with it, relative to the value."""
import json
import sys

import mpmath as mp
from scipy import stats

mp.mp.dps = 50


def below(x, a, b):
    """P(Beta(a, b) <= x)."""
    return mp.betainc(a, b, 0, x, regularized=True)


def refine(f, start):
    """The root of f near a double that is nearly right."""
    around = (mp.mpf(start) * (1 - mp.mpf("1e-7")), mp.mpf(start) * (1 + mp.mpf("1e-7")))
    return float(mp.findroot(f, around, solver="secant", tol=mp.mpf("1e-60")))


def t_quantile(p, df):
    p, df = mp.mpf(p), mp.mpf(df)

    def excess(t):
        y = t * t / (df + t * t)
        centre = below(y, mp.mpf("0.5"), df / 2) / 2
        return centre - abs(mp.mpf("0.5") - p)

    root = refine(excess, abs(float(stats.t.ppf(float(p), float(df)))) or 1e-9)
    return root if p > 0.5 else -root


def at_least(k, n, x):
    """P(X >= k) of a binomial count, by adding up the shorter side term by term."""
    js = range(k) if k <= n // 2 else range(k, n + 1)
    y = 1 - x
    j = js[0]
    term, total = mp.binomial(n, j) * x**j * y ** (n - j), mp.mpf(0)
    for j in js:
        total += term
        term *= x / y * (n - j) / (j + 1)
    return 1 - total if k <= n // 2 else total


def clopper_pearson(k, n, level):
    tail = (1 - mp.mpf(level)) / 2
    start = stats.binomtest(k, n).proportion_ci(float(level), "exact")
    low = 0 if k == 0 else refine(lambda x: at_least(k, n, x) - tail, start.low)
    high = 1 if k == n else refine(lambda x: 1 - at_least(k + 1, n, x) - tail, start.high)
    return [low, high]


out = {"meta": {"mpmath": mp.__version__}}
freedom = [1, 2, 4.5, 9, 63, 1000, 10000, 1000000]
shares = [1e-8, 0.0005, 0.025, 0.2, 0.45, 0.499, 0.5001, 0.75, 0.975, 0.9999]
out["t_quantile"] = [[p, df, t_quantile(p, df)] for df in freedom for p in shares]
counts = [(1, 5), (1, 100), (2, 250), (17, 250), (1, 10000), (500, 1000), (1, 1000000), (2, 1000000), (999999, 1000000)]
out["clopper_pearson"] = [[k, n, level, *clopper_pearson(k, n, level)] for k, n in counts for level in (0.9, 0.95, 0.999)]
json.dump(out, open(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/stats_exact.json", "w"), separators=(",", ":"))
