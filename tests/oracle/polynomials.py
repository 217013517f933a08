#!/usr/bin/env python3
"""Prints the polynomials of src/kernels/cpu/act.h: minimax fits by Remez' exchange algorithm, in 40 digits, rounded to floats.

Needs mpmath. Each fit is weighted so that the printed error is the relative error of the function that is made from it.
"""
import struct

from mpmath import cos, erfc, exp, expm1, ln, log, lu_solve, matrix, mp, mpf, nstr, pi, sqrt

mp.dps = 40


def remez(f, weight, lo, hi, degree, rounds=12, grid=1501):
    """Coefficients, lowest first, of the polynomial p of that degree that minimises max |p - f| * weight."""
    n = degree + 1
    lo, hi = mpf(lo), mpf(hi)
    xs = [(lo + hi) / 2 - (hi - lo) / 2 * cos(pi * mpf(2 * i + 1) / (2 * n + 2)) for i in range(n + 1)]
    points = [lo + (hi - lo) * (1 - cos(pi * mpf(i) / grid)) / 2 for i in range(grid + 1)]
    values = [(x, f(x), weight(x)) for x in points]
    for _ in range(rounds):
        a, b = matrix(n + 1, n + 1), matrix(n + 1, 1)
        for i, x in enumerate(xs):
            for j in range(n):
                a[i, j] = x**j
            a[i, n] = (-1) ** i / weight(x)
            b[i] = f(x)
        c = lu_solve(a, b)[:n]
        peaks, sign = [], 0  # the largest error of each stretch of one sign
        for x, fx, w in values:
            e = (sum(cj * x**j for j, cj in enumerate(c)) - fx) * w
            if not peaks or (e > 0) != sign:
                peaks.append((abs(e), x))
                sign = e > 0
            elif abs(e) > peaks[-1][0]:
                peaks[-1] = (abs(e), x)
        worst = max(peaks)[0]
        while len(peaks) > n + 1:
            peaks.pop(0 if peaks[0][0] < peaks[-1][0] else -1)
        xs = [x for _, x in peaks]
    return c, worst


def show(name, what, fit):
    c, worst = fit
    print(f"/* {what}; relative error {nstr(worst, 3)} */")
    floats = [struct.unpack("f", struct.pack("f", float(x)))[0] for x in c]
    print(f"{name}: " + ", ".join(f"{x:.9g}f" for x in floats))


def phi(x):
    return erfc(x / sqrt(2)) / 2


half = ln(2) / 2
show("exp", "q where e^r = 1 + r + r^2 q(r), |r| <= ln(2)/2",
     remez(lambda r: (expm1(r) - r) / r**2, lambda r: r**2 / abs(expm1(r) or r), -half, half, 4))
show("exp2", "q where 2^r = 1 + r q(r), |r| <= 1/2",
     remez(lambda r: expm1(r * ln(2)) / r, lambda r: abs(r) / exp(r * ln(2)), -0.5, 0.501, 5))  # unequal ends: no node at 0
show("exp2 short", "the same, one degree less",
     remez(lambda r: expm1(r * ln(2)) / r, lambda r: abs(r) / exp(r * ln(2)), -0.5, 0.501, 4))
show("gelu", "g where log2(Phi(-x)) = -1 + x g(x), 0 <= x <= 6; times 2 Phi(-x) + 1/64",
     remez(lambda x: (log(phi(x), 2) + 1) / x, lambda x: x * ln(2) * (2 * phi(x) + mpf(1) / 64), 1e-6, 6, 9))

# Phi(x) = 1/2 + x p(x^2) up to 4.25, scaled so that it ends at 1 exactly; the error is that of x Phi(x).
end = mpf(4.25) ** 2
c, worst = remez(lambda t: (mpf(1) / 2 - phi(sqrt(t))) / sqrt(t), lambda t: t + mpf(1) / 1000, 1e-9, end, 8, rounds=14)
at_end = sqrt(end) * sum(cj * end**j for j, cj in enumerate(c))
show("gelu short", "p where Phi(x) = 1/2 + x p(x^2), |x| <= 4.25; times x^2", ([cj / (2 * at_end) for cj in c], worst))
