#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the polynomials of src/cpu/vecmath.h: minimax fits by Lawson's iteration on Chebyshev nodes, each coefficient rounded to
float32 in turn, from the lowest, and the rest fitted again. Made with numpy 2.4.6."""
import math

import numpy as np

N = 4000
NODES = np.cos(np.pi * (np.arange(N) + 0.5) / N)


def lawson(a, f, w, rounds=400):
    """c minimising max |w (a c - f)|"""
    weight = np.ones(len(f)) / len(f)
    for _ in range(rounds):
        s = np.sqrt(weight) * w
        c = np.linalg.lstsq(a * s[:, None], f * s, rcond=None)[0]
        e = np.abs(w * (a @ c - f))
        weight *= e
        weight /= weight.sum()
    return c


def fit(name, power, f, w, degree):
    a = np.stack([power(i) for i in range(degree + 1)], 1)
    left, out = f.copy(), []
    for i in range(degree + 1):
        c = float(np.float32(lawson(a[:, i:], left, w)[0]))
        out.append(c)
        left -= a[:, i] * c
    print(name, "error %.2g:" % np.max(np.abs(w * left)), " ".join(c.hex() for c in out))


def erfc_scaled(z):  # erfc(z) exp(z^2)
    if z < 5:
        return math.erfc(z) * math.exp(z * z)
    s = 0.0
    for n in range(60, 0, -1):
        s = n / 2 / (z + s)
    return 1 / (z + s) / math.sqrt(math.pi)


x = NODES * math.log(2) / 2 * 1.01
fit("exp: P in 1 + r + r^2 P(r)", lambda i: x**i, (np.expm1(x) - x) / x**2, x**2 / np.exp(x), 5)

low, high = math.sqrt(0.5) - 1, math.sqrt(2) - 1
y = (low + high) / 2 + NODES * (high - low) / 2
f = np.where(np.abs(y) < 1e-3, 1 / 3 - y / 4 + y * y / 5 - y**3 / 6, (np.log1p(y) - y + y * y / 2) / y**3)
fit("log: P in f - f^2/2 + f^3 P(f)", lambda i: y**i, f, np.abs(y**3 / np.log1p(y)), 8)

z = np.sort(np.abs(NODES))
e = np.array([math.erf(v) for v in z])
fit("erf: P in z + z P(z^2)", lambda i: z ** (2 * i), e / z - 1, z / e, 6)

z2 = 1 + (NODES + 1) / 2 * 9.2
g = np.array([erfc_scaled(v) for v in z2])
t = 1 / (1 + z2 / 2)
fit("erfc: Q in exp(-z^2) t Q(t)", lambda i: t ** (i + 1), g, 1 / g, 8)

x = np.sort(np.abs(NODES)) * 0.625
f = np.where(x < 1e-2, -1 / 3 + 2 * x**2 / 15 - 17 * x**4 / 315 + 62 * x**6 / 2835, (np.tanh(x) / x - 1) / np.maximum(x, 1e-9) ** 2)
fit("tanh: P in x + x^3 P(x^2), up to 0.625", lambda i: x ** (2 * i), f, np.abs(x**3 / np.tanh(x)), 4)
