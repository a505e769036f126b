/* SPDX-License-Identifier: MIT */
/* Sums over all responses of an enumerated environment, without gradients. */
#include "envs/bandit/bandit_metrics.h"

#include <math.h>
#include <stdlib.h>

static double mean_into(double value, int64_t context, const RgRewardTable *t,
                        double *per_context) {
    if (per_context)
        per_context[context] = value;
    return value / (double)t->contexts;
}

double rg_bandit_expected_reward(const RgRewardTable *t, const double *logprob,
                                 double *per_context) {
    double mean = 0;
    for (int64_t c = 0; c < t->contexts; c++) {
        double sum = 0;
        for (int64_t i = c * t->responses; i < (c + 1) * t->responses; i++)
            sum += exp(logprob[i]) * t->reward[i];
        mean += mean_into(sum, c, t, per_context);
    }
    return mean;
}

double rg_bandit_best_reward(const RgRewardTable *t, double *per_context) {
    double mean = 0;
    for (int64_t c = 0; c < t->contexts; c++) {
        double best = -INFINITY;
        for (int64_t i = c * t->responses; i < (c + 1) * t->responses; i++)
            best = fmax(best, t->reward[i]);
        mean += mean_into(best, c, t, per_context);
    }
    return mean;
}

double rg_bandit_kl(const RgRewardTable *t, const double *logprob, const double *reference,
                    double *per_context) {
    double mean = 0;
    for (int64_t c = 0; c < t->contexts; c++) {
        double sum = 0;
        for (int64_t i = c * t->responses; i < (c + 1) * t->responses; i++)
            if (exp(logprob[i]) > 0) /* 0 log 0 = 0 */
                sum += exp(logprob[i]) * (logprob[i] - reference[i]);
        mean += mean_into(sum, c, t, per_context);
    }
    return mean;
}

double rg_bandit_entropy(const RgRewardTable *t, const double *logprob, double *per_context) {
    double mean = 0;
    for (int64_t c = 0; c < t->contexts; c++) {
        double sum = 0;
        for (int64_t i = c * t->responses; i < (c + 1) * t->responses; i++)
            if (exp(logprob[i]) > 0)
                sum -= exp(logprob[i]) * logprob[i];
        mean += mean_into(sum, c, t, per_context);
    }
    return mean;
}

double rg_bandit_win_rate(const RgRewardTable *t, const double *logprob, const double *rival,
                          double *per_context) {
    double mean = 0;
    for (int64_t c = 0; c < t->contexts; c++) {
        const double *own = logprob + c * t->responses, *other = rival + c * t->responses;
        const double *reward = t->reward + c * t->responses;
        double wins = 0;
        for (int64_t a = 0; a < t->responses; a++)
            for (int64_t b = 0; b < t->responses; b++)
                if (reward[a] >= reward[b])
                    wins += exp(own[a] + other[b]) * (reward[a] == reward[b] ? 0.5 : 1);
        mean += mean_into(wins, c, t, per_context);
    }
    return mean;
}

double rg_bandit_value(const RgRewardTable *t, const double *logprob, const double *reference,
                       double beta, double *per_context) {
    double *kl = rg_allocate(t->contexts, sizeof *kl);
    double mean = rg_bandit_expected_reward(t, logprob, per_context) -
                  beta * rg_bandit_kl(t, logprob, reference, kl);
    for (int64_t c = 0; per_context && c < t->contexts; c++)
        per_context[c] -= beta * kl[c];
    free(kl);
    return mean;
}

double rg_bandit_parameter_difference(const RgRewardTable *t, const double *logprob,
                                      const double *reference, double beta, double temperature) {
    int64_t n = t->responses;
    double *v = rg_allocate(n, sizeof *v), sum = 0;
    for (int64_t c = 0; c < t->contexts; c++) {
        for (int64_t i = 0; i < n; i++) {
            int64_t cell = c * n + i;
            v[i] = t->reward[cell] / temperature - beta * (logprob[cell] - reference[cell]);
        }
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < i; j++)
                sum += 2 * fabs(v[i] - v[j]);
    }
    free(v);
    return sum / (double)(t->contexts * n * n);
}

double rg_bandit_optimal(const RgRewardTable *t, const double *reference, double beta,
                         double *logprob) {
    double mean = 0;
    for (int64_t c = 0; c < t->contexts; c++) {
        int64_t start = c * t->responses, end = start + t->responses;
        double most = -INFINITY, sum = 0;
        for (int64_t i = start; i < end; i++)
            most = fmax(most, reference[i] + t->reward[i] / beta);
        for (int64_t i = start; i < end; i++)
            sum += exp(reference[i] + t->reward[i] / beta - most);
        double log_partition = most + log(sum);
        for (int64_t i = start; logprob && i < end; i++)
            logprob[i] = reference[i] + t->reward[i] / beta - log_partition;
        mean += beta * log_partition / (double)t->contexts;
    }
    return mean;
}

static double log_sigmoid(double x) {
    return x < 0 ? x - log1p(exp(x)) : -log1p(exp(-x));
}

static double prefers(double a, double b, double temperature, double noise) {
    double p = a > b ? 1 : a < b ? 0 : 0.5;
    if (temperature > 0)
        p = 1 / (1 + exp((b - a) / temperature));
    return p + noise * (1 - 2 * p);
}

double rg_bandit_sail_objective(const RgRewardTable *t, const double *logprob,
                                const double *reference, double beta, double label_temperature,
                                double label_noise) {
    double objective = 0;
    for (int64_t c = 0; c < t->contexts; c++) {
        const double *own = logprob + c * t->responses, *base = reference + c * t->responses;
        const double *reward = t->reward + c * t->responses;
        for (int64_t a = 0; a < t->responses; a++)
            for (int64_t b = 0; b < t->responses; b++) {
                /* Either order of the pair: twice the half where a is preferred. */
                double both = 2 * exp(own[a] + own[b]) / (double)t->contexts;
                double label = prefers(reward[a], reward[b], label_temperature, label_noise);
                double margin = (own[a] - base[a]) - (own[b] - base[b]);
                if (both * label > 0)
                    objective += both * label * log_sigmoid(beta * margin);
            }
    }
    return objective;
}
