/* SPDX-License-Identifier: MIT */
/* Bradley–Terry ratings by Newton's method. The log-likelihood, Σ wins[i,j]·log σ(θ_i − θ_j), is
 * concave. Its curvature is a graph Laplacian, which does not determine the common level of all
 * ratings: it is fixed at mean 0. */
#include "analysis/statistics/ratings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- does the likelihood have a maximum? ---- */

/* Whether all methods are reachable from method 0 along wins (or, reversed, along losses). `reached`
 * [count] and `queue` [count] are scratch. */
static bool reaches_all(const double *wins, int count, bool reversed, int *reached, int *queue) {
    int head = 0, tail = 0;
    for (int i = 0; i < count; i++)
        reached[i] = i == 0;
    queue[tail++] = 0;
    while (head < tail) {
        int i = queue[head++];
        for (int j = 0; j < count; j++)
            if (i != j && !reached[j] && wins[reversed ? j * count + i : i * count + j] > 0) {
                reached[j] = 1;
                queue[tail++] = j;
            }
    }
    return tail == count;
}

/* Ford's condition: every method beat every other, directly or by way of others. */
static bool is_connected(const double *wins, int count) {
    int *scratch = rg_allocate(2 * (size_t)count, sizeof *scratch);
    bool connected = reaches_all(wins, count, false, scratch, scratch + count) &&
                     reaches_all(wins, count, true, scratch, scratch + count);
    free(scratch);
    return connected;
}

/* ---- Newton ---- */

/* Solve A·x = b by Cholesky decomposition in place; A [n, n] is symmetric positive definite. */
static void solve(double *a, double *b, int n) {
    for (int j = 0; j < n; j++)
        for (int i = j; i < n; i++) {
            double sum = a[i * n + j];
            for (int k = 0; k < j; k++)
                sum -= a[i * n + k] * a[j * n + k];
            a[i * n + j] = i == j ? sqrt(sum) : sum / a[j * n + j];
        }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i; k++)
            b[i] -= a[i * n + k] * b[k];
        b[i] /= a[i * n + i];
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int k = i + 1; k < n; k++)
            b[i] -= a[k * n + i] * b[k];
        b[i] /= a[i * n + i];
    }
}

/* Gradient [n] and negative curvature [n, n] of the log-likelihood at `ratings`. The same positive
 * number is added to all elements of the curvature. This makes it definite; since the gradient sums
 * to 0, so does the step. */
static void derivatives(const double *wins, int n, double prior, const double *ratings,
                        double *gradient, double *curvature) {
    double total = 0;
    for (int i = 0; i < n; i++)
        gradient[i] = curvature[i * n + i] = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++) {
            double won = wins[i * n + j] + prior / 2;
            double games = won + wins[j * n + i] + prior / 2;
            double chance = 1 / (1 + exp(ratings[j] - ratings[i]));
            double weight = games * chance * (1 - chance), surplus = won - games * chance;
            gradient[i] += surplus;
            gradient[j] -= surplus;
            curvature[i * n + j] = curvature[j * n + i] = -weight;
            curvature[i * n + i] += weight;
            curvature[j * n + j] += weight;
            total += weight;
        }
    for (int i = 0; i < n * n; i++)
        curvature[i] += total / (n * n);
}

bool rg_bradley_terry(const double *wins, int count, double prior, double *ratings) {
    for (int i = 0; i < count; i++)
        ratings[i] = 0;
    if (count < 2)
        return true;
    if (prior <= 0 && !is_connected(wins, count)) {
        for (int i = 0; i < count; i++)
            ratings[i] = NAN;
        return false;
    }
    double *step = rg_allocate(count * (count + 1), sizeof *step);
    double *curvature = step + count, largest = INFINITY;
    for (int turn = 0; turn < 500 && largest > 1e-11; turn++) {
        derivatives(wins, count, prior, ratings, step, curvature);
        solve(curvature, step, count);
        largest = 0;
        for (int i = 0; i < count; i++)
            largest = fmax(largest, fabs(step[i]));
        /* Far from the maximum the quadratic model is too optimistic: at most one nat per step. */
        double length = largest > 1 ? 1 / largest : 1;
        for (int i = 0; i < count; i++)
            ratings[i] += length * step[i];
    }
    free(step);
    return true;
}

/* ---- scales and intervals ---- */

double rg_elo(double nats) {
    return 1000 + 400 / M_LN10 * nats;
}

RgEstimate rg_elo_estimate(RgEstimate nats) {
    RgEstimate elo = nats;
    elo.value = rg_elo(nats.value);
    elo.interval = (RgInterval){rg_elo(nats.interval.low), rg_elo(nats.interval.high)};
    elo.standard_error *= 400 / M_LN10;
    return elo;
}

/* Row `method` of the inverse of the curvature. The number that derivatives() adds to all elements
 * adds a constant to all of the inverse; subtracting it makes the row sum to 0. */
static void inverse_row(const double *curvature, int n, int method, double *scratch, double *row) {
    double mean = 0;
    memcpy(scratch, curvature, (size_t)(n * n) * sizeof *scratch);
    for (int i = 0; i < n; i++)
        row[i] = i == method;
    solve(scratch, row, n);
    for (int i = 0; i < n; i++)
        mean += row[i] / n;
    for (int i = 0; i < n; i++)
        row[i] -= mean;
}

/* The influence of every cell [cells] on one rating, scaled so that their mean is its error. */
static void sum_parts(const RgGames *pairs, int n, int64_t cells, const double *row,
                      double *parts) {
    for (int64_t c = 0; c < cells; c++)
        parts[c] = 0;
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++)
            for (int64_t c = 0; pairs[i * n + j].cells && c < cells; c++) {
                double part = pairs[i * n + j].cells[c];
                parts[c] += isnan(part) ? 0 : (row[i] - row[j]) * part * (double)cells;
            }
}

void rg_estimate_ratings(const RgGames *pairs, int count, int64_t seeds, int64_t items,
                         double prior, RgEstimate *ratings) {
    size_t n = (size_t)count, cells = (size_t)(seeds * items);
    double *wins = rg_allocate(3 * n * n + 3 * n + cells, sizeof *wins), games = 0;
    double *curvature = wins + n * n, *scratch = curvature + n * n, *rated = scratch + n * n;
    double *gradient = rated + n, *row = gradient + n, *parts = row + n;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++) {
            const RgGames *pair = &pairs[i * n + j];
            wins[i * n + j] = pair->cells ? pair->share * pair->games : 0;
            wins[j * n + i] = pair->cells ? pair->games - wins[i * n + j] : 0;
            games += pair->cells ? pair->games : 0;
        }
    bool rateable = rg_bradley_terry(wins, count, prior, rated);
    if (rateable)
        derivatives(wins, count, prior, rated, gradient, curvature);
    for (int i = 0; i < count; i++) {
        RgSpread spread = {0}, least = {.item_freedom = (int64_t)fmax(1, games - count)};
        if (rateable && count > 1) {
            inverse_row(curvature, count, i, scratch, row);
            sum_parts(pairs, count, (int64_t)cells, row, parts);
            spread = rg_spread(parts, seeds, items, false);
            least.of_items = row[i];
        }
        ratings[i] = rg_estimate_of_spread(rated[i], &spread, &least, NAN);
        ratings[i].cells = (int64_t)games;
    }
    free(wins);
}
