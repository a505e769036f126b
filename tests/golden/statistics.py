# SPDX-License-Identifier: MIT
"""The golden figures of tests/test_statistics.c and tests/test_robust.c, from scipy and numpy
(Debian's python3-scipy).

Run:  /usr/bin/python3 tests/golden/statistics.py
"""
import numpy as np
from scipy.optimize import brentq
from scipy import stats

print("student quantiles")  # from the distribution: scipy 1.10's ppf is off by up to 3e-9
for p, df in [(0.975, 1), (0.975, 2), (0.975, 4), (0.995, 9), (0.9, 2.5), (0.3, 7), (0.975, 1e6)]:
    print(f"    {{{p}, {df:g}, {brentq(lambda t: stats.t.cdf(t, df) - p, -99, 99, xtol=1e-14):.15g}}},")

print("normal quantiles")
for p in [0.975, 0.5, 0.001, 1e-10, 0.9999]:
    print(f"    {{{p:g}, {stats.norm.ppf(p):.15g}}},")

print("wilson intervals (no continuity correction)")
for k, n, c in [(8, 10, 0.95), (0, 20, 0.95), (20, 20, 0.95), (51, 100, 0.99)]:
    ci = stats.binomtest(k, n).proportion_ci(c, method="wilson")
    print(f"    {{{k}, {n}, {c}, {ci.low:.15g}, {ci.high:.15g}}},")

print("kendall tau-b")
for x, y in [([1, 2, 3, 4, 5], [3, 1, 2, 5, 4]), ([1, 2, 2, 3, 4], [1, 3, 2, 2, 5]),
             ([1, 1, 2, 2], [1, 2, 1, 2])]:
    print("   ", x, y, f"{stats.kendalltau(x, y).correlation:.15g}")

x = [1.0, 2.5, 4.0, 8.0]
print("t interval of", x)
print("   ", stats.t.interval(0.95, len(x) - 1, np.mean(x), stats.sem(x)))

print("interquartile means: scipy's trimmed mean, of counts that 4 divides")
for x in [[3.1, -2, 8, 0.5], [5, 8, 4, 38, 8, 6, 9, 7, 7, 3, 1, 6], [0.1 * k * k - k for k in range(20)]]:
    print(f"    {stats.trim_mean(x, 0.25):.15g}")

print("probability of improvement: Mann and Whitney's U by the number of pairs")
for x, y in [([1, 4, 2.5, 7], [2, 2.5, 3]), ([1, 2], [3, 4]), ([5, 5, 6], [5, 5, 6])]:
    print(f"    {stats.mannwhitneyu(x, y).statistic / len(x) / len(y):.15g}")
