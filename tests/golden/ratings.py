# SPDX-License-Identifier: MIT
"""The golden figures of tests/test_ratings.c: maximum likelihood by scipy's general minimiser
(Debian's python3-scipy), which knows nothing of Newton's method on these models.

Run:  /usr/bin/python3 tests/golden/ratings.py
"""
import numpy as np
from scipy.optimize import minimize


def log_sigmoid(x):
    return -np.logaddexp(0, -x)


def maximize(log_likelihood, count):
    """To the last digits: a simplex, restarted until nothing moves."""
    best = np.zeros(count)
    for _ in range(20):
        best = minimize(lambda x: -log_likelihood(x), best, method="Nelder-Mead",
                        options={"xatol": 1e-12, "fatol": 1e-14, "maxiter": 100000}).x
    return best


def bradley_terry(wins, prior):
    wins = np.array(wins, float)
    np.fill_diagonal(wins, 0)
    n = len(wins)
    played = wins + prior / 2 * (1 - np.eye(n))

    def log_likelihood(free):  # the first method at 0
        theta = np.concatenate([[0], free])
        return np.sum(played * log_sigmoid(theta[:, None] - theta[None, :]))

    theta = np.concatenate([[0], maximize(log_likelihood, n - 1)])
    return theta - theta.mean()


def equal_length(outcomes, differences, prior):
    y, d = np.array(outcomes, float), np.array(differences, float)
    x = np.tanh(d / d.std(ddof=1))
    x = np.concatenate([x, [-1, 1]])
    y = np.concatenate([y, [0.5, 0.5]])
    weight = np.concatenate([np.ones(len(d)), [prior / 2, prior / 2]])

    def log_likelihood(at):
        z = at[0] + at[1] * x
        return np.sum(weight * (y * log_sigmoid(z) + (1 - y) * log_sigmoid(-z)))

    advantage, slope = maximize(log_likelihood, 2)
    return 1 / (1 + np.exp(-advantage)), advantage, slope


def show(name, values):
    print(name, ", ".join(f"{v:.9f}" for v in values))


ties = [[0, 7.5, 3, 11], [4.5, 0, 6, 9.5], [9, 6, 0, 8], [1, 2.5, 4, 0]]
always = [[0, 20, 20], [0, 0, 12], [0, 8, 0]]
apart = [[0, 3, 0, 0], [5, 0, 0, 0], [0, 0, 0, 2], [0, 0, 4, 0]]
show("ties, no prior:", bradley_terry(ties, 0))
show("ties, prior 2: ", bradley_terry(ties, 2))
show("always, prior 1:", bradley_terry(always, 1))
show("apart, prior 0.5:", bradley_terry(apart, 0.5))

outcomes = [1, 1, 0, 1, 0.5, 0, 1, 1, 0, 1, 1, 0]
differences = [12, 3, -4, 25, 0, -9, 7, -2, -15, 3, 12, 5]
show("equal length, prior 1:", equal_length(outcomes, differences, 1))
show("equal length, prior 4:", equal_length(outcomes, differences, 4))
show("all won, prior 1:", equal_length([1] * 6, [1, 2, 3, 4, 5, 9], 1))
