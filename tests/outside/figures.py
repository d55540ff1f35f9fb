# SPDX-License-Identifier: Apache-2.0
"""Statistics in plain Python, from their definitions: whole numbers and fractions where possible."""
import itertools
import math
from fractions import Fraction
from statistics import NormalDist

NORMAL = NormalDist()


def holm(p):
    """Holm 1979: the smallest times n, the next times n - 1, ... never below one before."""
    out, greatest = [None] * len(p), 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        greatest = max(greatest, (len(p) - rank) * p[i])
        out[i] = min(1.0, greatest)
    return out


def mcnemar(b, c):
    """Exact and two-sided: b of b + c fair coins."""
    n = b + c
    return float(min(Fraction(1), 2 * Fraction(sum(math.comb(n, i) for i in range(min(b, c) + 1)), 2**n)))


def ranks(values):
    """Ranks from 1, the mean rank for equal ones."""
    order = sorted(values)
    return [(2 * order.index(v) + 1 + order.count(v)) / 2 for v in values]


def wilcoxon(d):
    """Signed ranks, two-sided; zeros are dropped. Exact up to 50 differences without ties and zeros, else normal with continuity and ties corrected."""
    x = [v for v in d if v]
    n = len(x)
    if not n:
        return 1.0
    r = ranks([abs(v) for v in x])
    plus = sum(rank for rank, v in zip(r, x) if v > 0)
    least, total = min(plus, n * (n + 1) / 2 - plus), n * (n + 1) // 2
    if n == len(d) and n <= 50 and len(set(r)) == n:
        if n <= 14:
            sums = [sum(itertools.compress(range(1, n + 1), signs)) for signs in itertools.product((0, 1), repeat=n)]
            below = sum(s <= least for s in sums)
        else:
            ways = [1] + [0] * total
            for rank in range(1, n + 1):
                ways = [w + (ways[s - rank] if s >= rank else 0) for s, w in enumerate(ways)]
            below = sum(ways[:int(least) + 1])
        return float(min(Fraction(1), 2 * Fraction(below, 2**n)))
    ties = sum(r.count(v)**3 - r.count(v) for v in set(r))
    variance = (n * (n + 1) * (2 * n + 1) - ties / 2) / 24
    gap = max(0.0, abs(plus - n * (n + 1) / 4) - 0.5)
    return math.erfc(gap / math.sqrt(variance) / math.sqrt(2))


def wilson(k, n, level=0.95):
    if not n:
        return None, None
    z = NORMAL.inv_cdf(0.5 + level / 2)
    centre, half = (k + z * z / 2) / (n + z * z), z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    return (0.0 if k == 0 else centre - half), (1.0 if k == n else centre + half)


def dz(d):
    mean = math.fsum(d) / len(d)
    return mean / math.sqrt(math.fsum((v - mean)**2 for v in d) / (len(d) - 1))


def quantile(ordered, share):
    place = share * (len(ordered) - 1)
    i = int(place)
    return ordered[i] + (place - i) * (ordered[min(i + 1, len(ordered) - 1)] - ordered[i]) if place > i else ordered[i]


def studentised(d, stream, resamples=10000, level=0.95):
    """Mean less the resamples' quantiles of t standard errors; draws as for BCa. Resamples without spread lie at infinity."""
    n, mean = len(d), math.fsum(d) / len(d)

    def error(v):
        m = math.fsum(v) / n
        return math.sqrt(math.fsum((x - m)**2 for x in v) / (n - 1) / n)
    own, t = error(d), []
    for r in range(resamples):
        below = stream(r).below
        drawn = [d[below(i, n)] for i in range(n)]
        spread, gap = error(drawn), math.fsum(drawn) / n - mean
        t.append(gap / spread if spread > 1e-12 * own else math.copysign(math.inf, gap if gap > 0 else -1))
    t.sort()
    return mean - quantile(t, 0.5 + level / 2) * own, mean - quantile(t, 0.5 - level / 2) * own


def bca(d, stream, resamples=10000, level=0.95):
    """Efron's BCa of a mean; resample r's draws are stream(r).below(i, n)."""
    n, mean = len(d), math.fsum(d) / len(d)
    means = []
    for r in range(resamples):
        below = stream(r).below
        means.append(sum(d[below(i, n)] for i in range(n)) / n)
    means.sort()
    lower, upto = sum(m < mean for m in means), sum(m <= mean for m in means)
    share = (lower + upto) / (2 * resamples)
    z0 = NORMAL.inv_cdf(share) if 0 < share < 1 else 0.0
    left = [(math.fsum(d) - v) / (n - 1) for v in d]
    gaps = [math.fsum(left) / n - v for v in left]
    squares = math.fsum(g * g for g in gaps)
    a = math.fsum(g**3 for g in gaps) / (6 * squares**1.5) if squares else 0.0
    ends = []
    for tail in (0.5 - level / 2, 0.5 + level / 2):
        z = z0 + NORMAL.inv_cdf(tail)
        place = NORMAL.cdf(z0 + z / (1 - a * z)) * (resamples - 1)
        i = int(place)
        ends.append(means[i] + (place - i) * (means[min(i + 1, resamples - 1)] - means[i]))
    return tuple(ends)
