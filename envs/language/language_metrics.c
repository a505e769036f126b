/* SPDX-License-Identifier: MIT */
/* Sums over all sentences by their rewards, and over all pairs of sentences. */
#include "envs/language/language_metrics.h"

#include "core/tensor/parallel.h"
#include "core/tensor/vector_ops.h"
#include "envs/language/chebyshev.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A number of a sentence, for sorting. */
typedef struct Ranked {
    double value;
    int64_t sentence;
} Ranked;

static int compare_ascending(const void *a, const void *b) {
    const Ranked *x = a, *y = b;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return x->sentence < y->sentence ? -1 : x->sentence > y->sentence;
}

/* ---- rewards ---- */

RgLevels rg_levels_create(const double *reward, int64_t n) {
    Ranked *ranked = rg_allocate(n, sizeof *ranked);
    RgLevels levels = {.sentences = n,
                       .level = rg_allocate(n, sizeof *levels.level),
                       .reward = rg_allocate(n, sizeof *levels.reward)};
    for (int64_t i = 0; i < n; i++)
        ranked[i] = (Ranked){reward[i], i};
    qsort(ranked, (size_t)n, sizeof *ranked, compare_ascending);
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || ranked[i].value != ranked[i - 1].value)
            levels.reward[levels.levels++] = ranked[i].value;
        levels.level[ranked[i].sentence] = (int32_t)(levels.levels - 1);
    }
    free(ranked);
    levels.reward = rg_reallocate(levels.reward, (size_t)levels.levels, sizeof *levels.reward);
    return levels;
}

void rg_levels_clear(RgLevels *levels) {
    free(levels->level);
    free(levels->reward);
    *levels = (RgLevels){0};
}

void rg_levels_mass(const RgLevels *l, const double *logprob, double *mass) {
    memset(mass, 0, (size_t)l->levels * sizeof *mass);
    for (int64_t i = 0; i < l->sentences; i++)
        mass[l->level[i]] += exp(logprob[i]);
}

double rg_levels_win_rate(const RgLevels *l, const double *mass, const double *rival) {
    double below = 0, wins = 0;
    for (int64_t k = 0; k < l->levels; k++) {
        wins += mass[k] * (below + rival[k] / 2);
        below += rival[k];
    }
    return wins;
}

void rg_levels_best_of(const RgLevels *l, int64_t count, double *logprob) {
    double *mass = rg_allocate(l->levels, sizeof *mass), below = 0;
    rg_levels_mass(l, logprob, mass);
    for (int64_t k = 0; k < l->levels; k++) { /* to the logarithm of the factor of each level */
        double equal = mass[k], n = (double)count;
        mass[k] = log((pow(below + equal, n) - pow(below, n)) / equal);
        below += equal;
    }
    for (int64_t i = 0; i < l->sentences; i++)
        logprob[i] += mass[l->level[i]];
    free(mass);
}

/* ---- the frontier ---- */

/* The policy π_ref exp(λ r)/Z: its KL from π_ref, and its reward. */
typedef struct FrontierPoint {
    double kl, reward;
} FrontierPoint;

static FrontierPoint frontier_at(const RgLevels *l, const double *mass, double lambda) {
    double best = l->reward[l->levels - 1], sum = 0, reward = 0;
    for (int64_t k = 0; k < l->levels; k++) {
        double weight = mass[k] * exp(lambda * (l->reward[k] - best));
        sum += weight;
        reward += weight * l->reward[k];
    }
    reward /= sum;
    return (FrontierPoint){.kl = lambda * (reward - best) - log(sum), .reward = reward};
}

double rg_levels_frontier(const RgLevels *l, const double *mass, double kl) {
    const double steepest = 1e12; /* of λ, relative to the range of rewards */
    double range = l->reward[l->levels - 1] - l->reward[0];
    double low = 0, high = range > 0 ? 1 / range : 1;
    if (!(kl > 0) || range == 0)
        return frontier_at(l, mass, 0).reward;
    while (frontier_at(l, mass, high).kl < kl && high * range < steepest)
        high *= 2;
    /* KL grows with λ: halve the interval down to the resolution of λ. */
    for (double middle; middle = low + (high - low) / 2, middle > low && middle < high;) {
        if (frontier_at(l, mass, middle).kl < kl)
            low = middle;
        else
            high = middle;
    }
    return frontier_at(l, mass, high).reward;
}

/* ---- pairs ---- */

double rg_levels_prefers(double a, double b, double temperature, double noise) {
    double p = a > b ? 1 : a < b ? 0 : 0.5;
    if (temperature > 0)
        p = 1 / (1 + exp((b - a) / temperature));
    return p + noise * (1 - 2 * p);
}

/* For each level the probability that the judge prefers it to a sentence of the policy: wins
 * [levels] out. */
static void judge_wins(const RgLevels *l, const double *mass, double temperature, double noise,
                       double *wins) {
    double below = 0, all = 0;
    for (int64_t k = 0; k < l->levels; k++)
        all += mass[k];
    for (int64_t k = 0; k < l->levels && temperature == 0; k++) {
        double p = below + mass[k] / 2;
        wins[k] = p + noise * (all - 2 * p);
        below += mass[k];
    }
    if (temperature == 0)
        return;
    RG_FOR_PIECES(
        l->levels, rg_spread(l->levels, 64), for (int64_t k = first; k < last; k++) {
            double sum = 0;
            for (int64_t j = 0; j < l->levels; j++)
                sum += mass[j] * rg_levels_prefers(l->reward[k], l->reward[j], temperature, noise);
            wins[k] = sum;
        });
}

/* Sentences with a probability p above zero, by u = β(log π − log π_ref) descending. */
typedef struct Spread {
    int64_t count;
    double *u, *p;  /* [count] */
    double *mass;   /* [count + 1] Σ_{b < a} p_b */
    double *moment; /* [count + 1] Σ_{b < a} p_b u_b */
} Spread;

static int compare_descending(const void *a, const void *b) {
    return compare_ascending(b, a);
}

static Spread spread_create(int64_t n, const double *logprob, const double *reference,
                            double beta) {
    Ranked *ranked = rg_allocate(n, sizeof *ranked);
    Spread s = {.u = rg_allocate(n, sizeof *s.u),
                .p = rg_allocate(n, sizeof *s.p),
                .mass = rg_allocate(n + 1, sizeof *s.mass),
                .moment = rg_allocate(n + 1, sizeof *s.moment)};
    for (int64_t i = 0; i < n; i++)
        if (exp(logprob[i]) > 0)
            ranked[s.count++] = (Ranked){beta * (logprob[i] - reference[i]), i};
    qsort(ranked, (size_t)s.count, sizeof *ranked, compare_descending);
    s.mass[0] = s.moment[0] = 0;
    for (int64_t i = 0; i < s.count; i++) {
        s.u[i] = ranked[i].value;
        s.p[i] = exp(logprob[ranked[i].sentence]);
        s.mass[i + 1] = s.mass[i] + s.p[i];
        s.moment[i + 1] = s.moment[i] + s.p[i] * s.u[i];
    }
    free(ranked);
    return s;
}

static void spread_clear(Spread *s) {
    free(s->u);
    free(s->p);
    free(s->mass);
    free(s->moment);
}

/* The number of sentences with u > v. */
static int64_t spread_above(const Spread *s, double v) {
    int64_t low = 0, high = s->count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (s->u[middle] > v)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* F(v) = Σ_a p_a log(e^{u_a} + e^v) has a series on intervals of v (chebyshev.h). */
enum { TERMS = RG_CHEBYSHEV_TERMS };
static const double half_width = 0.5 * RG_CHEBYSHEV_WIDTH;
/* From here on log(e^u + e^v) is the larger of u and v: the rest, e^−40, is below its rounding. */
static const double far = 40;

/* What F needs at points of an interval around `centre`. */
typedef struct Interval {
    double centre;
    int64_t near, low; /* sentences [near, low) are not far from it */
    double above, between,
        below; /* Σ p·u of those above [near, low); Σ p of those in it and below */
    double *e; /* [count] e^{u − centre} of those in it; borrowed */
} Interval;

static Interval interval_around(const Spread *s, double centre, double *e) {
    Interval i = {.centre = centre,
                  .near = spread_above(s, centre + half_width + far),
                  .low = spread_above(s, centre - half_width - far),
                  .e = e};
    for (int64_t a = i.near; a < i.low; a++)
        e[a] = exp(s->u[a] - centre);
    i.above = s->moment[i.near];
    i.between = s->mass[i.low] - s->mass[i.near];
    i.below = s->mass[s->count] - s->mass[i.low];
    return i;
}

/* F(centre + x) */
static double log_sum_at(const Spread *s, const Interval *i, double x) {
    return i->above + i->below * (i->centre + x) + i->between * i->centre +
           rg_sum_logs(i->low - i->near, exp(x), i->e + i->near, s->p + i->near);
}

/* The terms c_j of F's series Σ_j c_j T_j(x). */
static void series_of(const Spread *s, const Interval *interval, double series[TERMS]) {
    memset(series, 0, TERMS * sizeof *series);
    for (int k = 0; k < TERMS; k++) {
        double value = log_sum_at(s, interval, rg_chebyshev_at_node(1, k));
        for (int j = 0; j < TERMS; j++)
            series[j] += rg_chebyshev_weight(j) * value * rg_chebyshev_at_node(j, k);
    }
}

/* Σ_{first ≤ b < last} p_b T_j(u_b − centre), by T_{j+1} = 2 x T_j − T_{j−1} */
static void moments_of(const Spread *s, double centre, int64_t first, int64_t last,
                       double moment[TERMS]) {
    memset(moment, 0, TERMS * sizeof *moment);
    for (int64_t b = first; b < last; b++) {
        double x = s->u[b] - centre, before = 1, now = x;
        moment[0] += s->p[b];
        for (int j = 1; j < TERMS; j++) {
            moment[j] += s->p[b] * now;
            double next = 2 * x * now - before;
            before = now;
            now = next;
        }
    }
}

/* Σ_{first ≤ b < last} p_b F(u_b), for u_first ≥ … > u_first − 2: from F at the u_b, or at as many
 * points as the series has terms, if that is less. `e` [count] is scratch memory. */
static double sum_interval(const Spread *s, int64_t first, int64_t last, double *e) {
    Interval interval = interval_around(s, s->u[first] - half_width, e);
    double series[TERMS], moment[TERMS], sum = 0;
    if (last - first <= TERMS) {
        for (int64_t b = first; b < last; b++)
            sum += s->p[b] * log_sum_at(s, &interval, s->u[b] - interval.centre);
        return sum;
    }
    series_of(s, &interval, series);
    moments_of(s, interval.centre, first, last, moment);
    for (int j = 0; j < TERMS; j++)
        sum += series[j] * moment[j];
    return sum;
}

/* Σ_ab p_a p_b log(e^{u_a} + e^{u_b}) over all ordered pairs. */
static double sum_log_sums(const Spread *s) {
    int64_t *begin = rg_allocate(s->count + 1, sizeof *begin), intervals = 0;
    double total = 0;
    for (int64_t first = 0, last; first < s->count; first = last) {
        begin[intervals++] = first;
        for (last = first + 1; last < s->count && s->u[last] > s->u[first] - 2 * half_width;)
            last++;
    }
    begin[intervals] = s->count;
    double *sums = rg_allocate(intervals, sizeof *sums);
    RG_FOR_PIECES(intervals, rg_spread(intervals, 1), double *e = rg_allocate(s->count, sizeof *e);
                  for (int64_t i = first; i < last; i++) sums[i] =
                      sum_interval(s, begin[i], begin[i + 1], e);
                  free(e));
    for (int64_t i = 0; i < intervals; i++)
        total += sums[i];
    free(sums);
    free(begin);
    return total;
}

/* With u = βh and log σ(u_a − u_b) = u_a − log(e^{u_a} + e^{u_b}),
 *     J = Σ_ab p_a p_b (P_ab log σ(u_a − u_b) + P_ba log σ(u_b − u_a))
 *       = 2 Σ_a p_a u_a Σ_b p_b P_ab − Σ_ab p_a p_b log(e^{u_a} + e^{u_b}). */
double rg_levels_sail_objective(const RgLevels *l, const double *logprob, const double *reference,
                                double beta, double label_temperature, double label_noise) {
    double *mass = rg_allocate(l->levels, sizeof *mass);
    double *wins = rg_allocate(l->levels, sizeof *wins), labelled = 0;
    rg_levels_mass(l, logprob, mass);
    judge_wins(l, mass, label_temperature, label_noise, wins);
    for (int64_t i = 0; i < l->sentences; i++)
        if (exp(logprob[i]) > 0)
            labelled += exp(logprob[i]) * beta * (logprob[i] - reference[i]) * wins[l->level[i]];
    Spread spread = spread_create(l->sentences, logprob, reference, beta);
    double log_sums = sum_log_sums(&spread);
    spread_clear(&spread);
    free(wins);
    free(mass);
    return 2 * labelled - log_sums;
}
