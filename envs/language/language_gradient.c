/* SPDX-License-Identifier: MIT */
/* Sums over all pairs of sentences, and one backward pass. */
#include "envs/language/language_gradient.h"

#include "core/tensor/parallel.h"
#include "envs/language/chebyshev.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the sums read. */
typedef struct Problem {
    const RgTask *task;
    RgLanguageView view;
    const double *logprob, *reference;
    const double *probability; /* exp(logprob) */
    RgExactLabels labels;
    double beta;
} Problem;

/* A pair of sentences: x = β(h_a − h_b), F_ab = log σ(x), F_ba = F_ab − x, and σ(x). */
typedef struct Fit {
    double x, ab, ba, sigmoid;
} Fit;

static Fit fit_of(double x) {
    double e = exp(-fabs(x)), log_sum = log1p(e);
    return (Fit){.x = x,
                 .ab = fmin(x, 0) - log_sum,
                 .ba = fmin(-x, 0) - log_sum,
                 .sigmoid = (x < 0 ? e : 1) / (1 + e)};
}

static Fit fit_of_pair(const Problem *p, int64_t a, int64_t b) {
    return fit_of(p->beta *
                  ((p->logprob[a] - p->reference[a]) - (p->logprob[b] - p->reference[b])));
}

/* P_ab of the judge or of the policy. */
static double preference(const Problem *p, int64_t a, int64_t b, const Fit *fit) {
    return p->labels == RG_EXACT_POLICY_LABELS
               ? fit->sigmoid
               : rg_levels_prefers(p->view.reward[a], p->view.reward[b], p->task->label_temperature,
                                   p->task->label_noise);
}

/* ---- pairs of the policy's responses: D_ab = π_a π_b ---- */

/* The sums over b of what depends on u = βh of a and b alone, as functions of v = u_a:
 *
 *     the judge's labels:   Σ_b π_b log σ(v − u_b)            Σ_b π_b σ(v − u_b)
 *     the policy's labels:  Σ_b π_b (σ log σ(d) + (1 − σ) log(1 − σ(d)))   Σ_b π_b σ(1 − σ)·d
 *
 * with d = v − u_b and σ = σ(d). They have series on intervals of v (chebyshev.h). */
enum { SUMS = 2, TERMS = RG_CHEBYSHEV_TERMS };

/* A sentence of a probability above zero. */
typedef struct Ranked {
    double u;
    int64_t sentence;
} Ranked;

/* Sentences [first, last) of the ranked ones, within an interval's width. Of many, `sum` has the terms of
 * the series; of at most as many as it has terms, the sums at themselves. */
typedef struct Interval {
    int64_t first, last;
    double sum[TERMS][SUMS];
} Interval;

static bool has_series(const Interval *interval) {
    return interval->last - interval->first > TERMS;
}

typedef struct Ranking {
    const Problem *problem;
    Ranked *ranked; /* [count], u descending */
    int64_t count;
    Interval *interval;
    int64_t intervals;
} Ranking;

static int compare_ranked(const void *a, const void *b) {
    const Ranked *x = a, *y = b;
    return x->u > y->u ? -1 : x->u < y->u ? 1 : x->sentence < y->sentence ? -1 : 1;
}

static Ranking rank(const Problem *p) {
    int64_t all = p->view.sentences->count;
    Ranking r = {.problem = p, .ranked = rg_allocate(all, sizeof *r.ranked)};
    for (int64_t a = 0; a < all; a++)
        if (p->probability[a] > 0)
            r.ranked[r.count++] = (Ranked){p->beta * (p->logprob[a] - p->reference[a]), a};
    qsort(r.ranked, (size_t)r.count, sizeof *r.ranked, compare_ranked);
    for (int64_t first = 0, last; first < r.count; first = last) {
        last = first + 1;
        while (last < r.count && r.ranked[last].u > r.ranked[first].u - RG_CHEBYSHEV_WIDTH)
            last++;
        r.interval = rg_reallocate(r.interval, (size_t)r.intervals + 1, sizeof *r.interval);
        r.interval[r.intervals++] = (Interval){.first = first, .last = last};
    }
    return r;
}

static double centre_of(const Ranking *r, const Interval *interval) {
    return r->ranked[interval->first].u - 0.5 * RG_CHEBYSHEV_WIDTH;
}

static void sum_at(const Ranking *r, double v, double sum[SUMS]) {
    const Problem *p = r->problem;
    bool own = p->labels == RG_EXACT_POLICY_LABELS;
    sum[0] = sum[1] = 0;
    for (int64_t b = 0; b < r->count; b++) {
        double weight = p->probability[r->ranked[b].sentence];
        Fit fit = fit_of(v - r->ranked[b].u);
        sum[0] += weight * (own ? fit.sigmoid * fit.ab + (1 - fit.sigmoid) * fit.ba : fit.ab);
        sum[1] += weight * (own ? fit.sigmoid * (1 - fit.sigmoid) * fit.x : fit.sigmoid);
    }
}

/* From sums at the nodes to the terms of their series. */
static void make_series(Interval *interval) {
    double at[TERMS][SUMS];
    memcpy(at, interval->sum, sizeof at);
    memset(interval->sum, 0, sizeof interval->sum);
    for (int j = 0; j < TERMS; j++)
        for (int k = 0; k < TERMS; k++)
            for (int s = 0; s < SUMS; s++)
                interval->sum[j][s] +=
                    rg_chebyshev_weight(j) * at[k][s] * rg_chebyshev_at_node(j, k);
}

static void fill_interval(const Ranking *r, Interval *interval) {
    if (!has_series(interval)) {
        for (int64_t a = interval->first; a < interval->last; a++)
            sum_at(r, r->ranked[a].u, interval->sum[a - interval->first]);
        return;
    }
    for (int k = 0; k < TERMS; k++)
        sum_at(r, centre_of(r, interval) + rg_chebyshev_at_node(1, k), interval->sum[k]);
    make_series(interval);
}

/* The sums at the ranked sentence a, by T_{j+1} = 2 x T_j − T_{j−1}. */
static void read_sums(const Ranking *r, const Interval *interval, int64_t a, double sum[SUMS]) {
    if (!has_series(interval)) {
        memcpy(sum, interval->sum[a - interval->first], SUMS * sizeof *sum);
        return;
    }
    double x = r->ranked[a].u - centre_of(r, interval), before = x, now = 1; /* T_1 = x T_0 */
    sum[0] = sum[1] = 0;
    for (int j = 0; j < TERMS; j++) {
        for (int s = 0; s < SUMS; s++)
            sum[s] += interval->sum[j][s] * now;
        double next = 2 * x * now - before;
        before = now;
        now = next;
    }
}

/* What the judge's labels add, by the level of a's reward: Σ_b π_b P_ba and Σ_b π_b u_b P_ba. */
typedef struct Losses {
    double *share, *carried; /* [levels] */
} Losses;

static Losses losses_of(const Ranking *r) {
    const Problem *p = r->problem;
    const RgLevels *l = p->view.levels;
    double *mass = rg_allocate(l->levels, sizeof *mass);
    double *moment = rg_allocate(l->levels, sizeof *moment);
    Losses losses = {rg_allocate(l->levels, sizeof *mass), rg_allocate(l->levels, sizeof *mass)};
    for (int64_t i = 0; i < r->count; i++) {
        int64_t b = r->ranked[i].sentence;
        mass[l->level[b]] += p->probability[b];
        moment[l->level[b]] += p->probability[b] * r->ranked[i].u;
    }
    RG_FOR_PIECES(
        l->levels, rg_spread(l->levels, 64), for (int64_t k = first; k < last; k++) {
            for (int64_t m = 0; m < l->levels; m++) {
                double beats = rg_levels_prefers(l->reward[m], l->reward[k],
                                                 p->task->label_temperature, p->task->label_noise);
                losses.share[k] += mass[m] * beats;
                losses.carried[k] += moment[m] * beats;
            }
        });
    free(mass);
    free(moment);
    return losses;
}

/* J's share of a ranked sentence, and its coefficients: twice the sums over b, as a may be first or
 * second. */
static double fill_coefficients(const Ranking *r, const Interval *interval, const Losses *losses,
                                double all, int64_t ranked, double *const c[RG_SAIL_TERMS]) {
    const Problem *p = r->problem;
    int64_t a = r->ranked[ranked].sentence;
    double own = p->probability[a], sum[SUMS];
    read_sums(r, interval, ranked, sum);
    if (p->labels == RG_EXACT_POLICY_LABELS) { /* they fit the policy: c of F is 0 */
        c[RG_SAIL_TERM_RESPONSES][a] = 2 * own * sum[0];
        c[RG_SAIL_TERM_LABELS][a] = 2 * own * p->beta * sum[1];
        return own * sum[0];
    }
    /* P_ab F_ab + P_ba F_ba = F_ab − P_ba (u_a − u_b) */
    int32_t level = p->view.levels->level[a];
    double responses = sum[0] - r->ranked[ranked].u * losses->share[level] + losses->carried[level];
    c[RG_SAIL_TERM_RESPONSES][a] = 2 * own * responses;
    c[RG_SAIL_TERM_FIT][a] = 2 * own * p->beta * (all - losses->share[level] - sum[1]);
    return own * responses;
}

static double policy_pairs(const Problem *p, double *const c[RG_SAIL_TERMS]) {
    Ranking r = rank(p);
    Losses losses = losses_of(&r);
    double all = 0, total = 0;
    for (int64_t i = 0; i < r.count; i++)
        all += p->probability[r.ranked[i].sentence];
    double *sums = rg_allocate(r.intervals, sizeof *sums);
    RG_FOR_PIECES(
        r.intervals, rg_spread(r.intervals, 1), for (int64_t i = first; i < last; i++) {
            Interval *interval = &r.interval[i];
            RG_ASSERT(interval);
            fill_interval(&r, interval);
            for (int64_t a = interval->first; a < interval->last; a++)
                sums[i] += fill_coefficients(&r, interval, &losses, all, a, c);
        });
    for (int64_t i = 0; i < r.intervals; i++)
        total += sums[i];
    free(sums);
    free(losses.share);
    free(losses.carried);
    free(r.ranked);
    free(r.interval);
    return total;
}

/* ---- offline pairs: D is what they are ---- */

static double offline_pairs(const Problem *p, double *const c[RG_SAIL_TERMS]) {
    const RgPairs *pairs = p->task->pairs;
    double sum = 0, share = 1 / (double)pairs->count;
    for (int64_t i = 0; i < pairs->count; i++) {
        int64_t a =
            rg_language_number(p->view.language, rg_sequence_response(pairs->sequences, 2 * i));
        int64_t b =
            rg_language_number(p->view.language, rg_sequence_response(pairs->sequences, 2 * i + 1));
        Fit fit = fit_of_pair(p, a, b);
        double prefers = p->labels == RG_EXACT_DATASET_LABELS ? 1 - pairs->preferred[i]
                                                              : preference(p, a, b, &fit);
        double fits = share * p->beta * (prefers - fit.sigmoid);
        sum += share * (prefers * fit.ab + (1 - prefers) * fit.ba);
        c[RG_SAIL_TERM_FIT][a] += fits;
        c[RG_SAIL_TERM_FIT][b] -= fits;
        if (p->labels == RG_EXACT_POLICY_LABELS) {
            double labels = share * p->beta * fit.sigmoid * (1 - fit.sigmoid) * fit.x;
            c[RG_SAIL_TERM_LABELS][a] += labels;
            c[RG_SAIL_TERM_LABELS][b] -= labels;
        }
    }
    return sum;
}

double rg_language_sail_terms(const RgEnvironment *environment, const double *logprob,
                              const double *reference, RgExactResponses responses,
                              RgExactLabels labels, double beta,
                              double *const coefficient[RG_SAIL_TERMS]) {
    int64_t count = rg_language_view(environment).sentences->count;
    double *probability = rg_allocate(count, sizeof *probability);
    for (int64_t a = 0; a < count; a++)
        probability[a] = exp(logprob[a]);
    Problem problem = {.task = &environment->task,
                       .view = rg_language_view(environment),
                       .logprob = logprob,
                       .reference = reference,
                       .probability = probability,
                       .labels = labels,
                       .beta = beta};
    RG_ASSERT(problem.task->pairs);
    for (int term = 0; term < RG_SAIL_TERMS; term++)
        memset(coefficient[term], 0,
               (size_t)problem.view.sentences->count * sizeof *coefficient[term]);
    RG_ASSERT(responses == RG_EXACT_DATASET_RESPONSES || labels != RG_EXACT_DATASET_LABELS);
    double sum = responses == RG_EXACT_DATASET_RESPONSES ? offline_pairs(&problem, coefficient)
                                                         : policy_pairs(&problem, coefficient);
    free(probability);
    return sum;
}

void rg_language_gradient(const RgEnvironment *environment, RgPolicy *policy,
                          const double *coefficient, double *gradient) {
    enum { AT_A_TIME = 2048 }; /* sentences of a pass, which bounds its memory */
    const RgSequences *all = rg_language_view(environment).sentences;
    RgParameters *parameters = policy->parameters;
    int64_t start[AT_A_TIME + 1];
    RgTape *tape = rg_tape_create();
    rg_parameters_zero_gradient(parameters);
    for (int64_t first = 0; first < all->count; first += AT_A_TIME) {
        int64_t last = first + AT_A_TIME < all->count ? first + AT_A_TIME : all->count;
        RgSequences some = rg_sequences_view(all, first, last, start);
        RgTensor *logprob = rg_policy_logprob(tape, policy, &some);
        RgTensor *weight = rg_constant_from_double(tape, logprob->shape, coefficient + first);
        rg_backward(tape, rg_sum(tape, rg_mul(tape, weight, logprob)), 1);
        rg_tape_reset(tape);
    }
    for (int64_t i = 0; i < parameters->count; i++)
        gradient[i] = parameters->gradient[i];
    rg_parameters_zero_gradient(parameters);
    rg_tape_destroy(tape);
}
