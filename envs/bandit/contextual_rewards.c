/* SPDX-License-Identifier: MIT */
/* Rewards over features of contexts, and a policy for offline data. The environment that chooses among
 * them is in contextual.c. */
#include "envs/bandit/contextual_rewards.h"

#include <math.h>
#include <stdlib.h>

static const double pi = 3.14159265358979323846;

/* ---- the hidden network ---- */

/* Numbers of a layer's weight or bias, uniform in ±1/√inputs. */
static double *layer_numbers(int64_t count, int64_t inputs, RgRandom random) {
    double *number = rg_allocate(count, sizeof *number), bound = 1 / sqrt((double)inputs);
    for (int64_t i = 0; i < count; i++)
        number[i] = bound * (2 * rg_random_uniform(random, (uint64_t)i) - 1);
    return number;
}

/* Σ_h out[h]·tanh(weight[h, :]·x + bias[h]) */
static double branch(int64_t hidden, int64_t inputs, const double *weight, const double *bias,
                     const double *out, const double *x) {
    double sum = 0;
    for (int64_t h = 0; h < hidden; h++) {
        double unit = bias[h];
        for (int64_t i = 0; i < inputs; i++)
            unit += weight[h * inputs + i] * x[i];
        sum += out[h] * tanh(unit);
    }
    return sum;
}

/* The branch of each row of x [rows, inputs], with weights of its own: value [rows] out. */
static void branch_values(int64_t rows, int64_t inputs, const double *x, int64_t hidden,
                          const double *out, RgRandom random, double *value) {
    double *weight = layer_numbers(hidden * inputs, inputs, rg_random_named(random, "weight"));
    double *bias = layer_numbers(hidden, inputs, rg_random_named(random, "bias"));
    for (int64_t i = 0; i < rows; i++)
        value[i] = branch(hidden, inputs, weight, bias, out, x + i * inputs);
    free(weight);
    free(bias);
}

void rg_contextual_network_reward(const RgContexts *c, int64_t n, int64_t hidden, RgRandom random,
                                  double *reward) {
    double *out = layer_numbers(2 * hidden + 1, 2 * hidden, rg_random_named(random, "output"));
    double *one_hot = rg_allocate(n * n, sizeof *one_hot);
    double *of_context = rg_allocate(c->count, sizeof *of_context);
    double *of_response = rg_allocate(n, sizeof *of_response);
    for (int64_t a = 0; a < n; a++)
        one_hot[a * n + a] = 1;
    branch_values(c->count, c->width, c->features, hidden, out, rg_random_named(random, "context"),
                  of_context);
    branch_values(n, n, one_hot, hidden, out + hidden, rg_random_named(random, "response"),
                  of_response);
    for (int64_t i = 0; i < c->count; i++)
        for (int64_t a = 0; a < n; a++) {
            double r = of_context[i] + of_response[a] + out[2 * hidden];
            reward[i * n + a] = r + (r > 0) - (r < 0);
        }
    free(of_response);
    free(of_context);
    free(one_hot);
    free(out);
}

/* ---- closed forms ---- */

void rg_contextual_peak_reward(const RgContexts *c, int64_t n, double centre, double width,
                               double *reward) {
    for (int64_t i = 0; i < c->count * n; i++) {
        double off = ((double)(i % n) - centre) / width;
        reward[i] = exp(-off * off);
    }
}

void rg_contextual_wave_reward(const RgContexts *c, int64_t n, double *reward) {
    for (int64_t i = 0; i < c->count * n; i++) {
        double s = pi * c->features[i / n * c->width], a = (double)(i % n + 1);
        reward[i] = a * cos(s) + 2 * sin(s) / a;
    }
}

void rg_contextual_flipped_features(const RgContexts *c, int64_t n, double *features) {
    for (int64_t i = 0; i < c->count * n; i++) {
        double s = pi * c->features[i / n * c->width], a = (double)(i % n + 1);
        features[2 * i] = a * sin(s);
        features[2 * i + 1] = cos(s) / a;
    }
}

/* ---- the data policy ---- */

/* P(tanh(z) ≤ x) */
static double squashed_cauchy(double x, double location, double scale) {
    if (x <= -1 || x >= 1)
        return x >= 1;
    return 0.5 + atan((atanh(x) - location) / scale) / pi;
}

void rg_contextual_cauchy_policy(int64_t n, double location, double scale, double *logprob) {
    for (int64_t a = 0; a < n; a++) {
        double low = 2 * (double)a / (double)n - 1, high = 2 * (double)(a + 1) / (double)n - 1;
        logprob[a] =
            log(squashed_cauchy(high, location, scale) - squashed_cauchy(low, location, scale));
    }
}
