/* SPDX-License-Identifier: MIT */
/* Sums over all pairs of sentences in the plain form of the equations, and one backward pass. */
#include "envs/language/language_gradient.h"

#include "core/tensor/parallel.h"

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

static Fit fit_of(const Problem *p, int64_t a, int64_t b) {
    double x = p->beta * ((p->logprob[a] - p->reference[a]) - (p->logprob[b] - p->reference[b]));
    double e = exp(-fabs(x)), log_sum = log1p(e);
    return (Fit){.x = x,
                 .ab = fmin(x, 0) - log_sum,
                 .ba = fmin(-x, 0) - log_sum,
                 .sigmoid = (x < 0 ? e : 1) / (1 + e)};
}

/* P_ab of the judge or of the policy. */
static double preference(const Problem *p, int64_t a, int64_t b, const Fit *fit) {
    return p->labels == RG_EXACT_POLICY_LABELS
               ? fit->sigmoid
               : rg_levels_prefers(p->view.reward[a], p->view.reward[b], p->task->label_temperature,
                                   p->task->label_noise);
}

/* ---- pairs of the policy's responses: D_ab = π_a π_b ---- */

/* J's share of sentence a, and its coefficients: twice the sums over b, as a may be first or
 * second. */
static double sum_over_rivals(const Problem *p, int64_t a, double *const c[RG_SAIL_TERMS]) {
    double responses = 0, labels = 0, fits = 0, own = p->probability[a];
    for (int64_t b = 0; b < p->view.sentences->count; b++) {
        double other = p->probability[b];
        Fit fit = fit_of(p, a, b);
        double prefers = preference(p, a, b, &fit);
        responses += other * (prefers * fit.ab + (1 - prefers) * fit.ba);
        fits += other * (prefers - fit.sigmoid);
        if (p->labels == RG_EXACT_POLICY_LABELS)
            labels += other * fit.sigmoid * (1 - fit.sigmoid) * fit.x;
    }
    c[RG_SAIL_TERM_RESPONSES][a] = 2 * own * responses;
    c[RG_SAIL_TERM_LABELS][a] = 2 * own * p->beta * labels;
    c[RG_SAIL_TERM_FIT][a] = 2 * own * p->beta * fits;
    return own * responses;
}

static double policy_pairs(const Problem *p, double *const c[RG_SAIL_TERMS]) {
    double partial[RG_SPREAD_MOST] = {0}, sum = 0;
    RG_FOR_PIECES(p->view.sentences->count, rg_spread(p->view.sentences->count, 8),
                  for (int64_t a = first; a < last; a++) if (p->probability[a] > 0)
                      partial[piece] += sum_over_rivals(p, a, c));
    for (int i = 0; i < RG_SPREAD_MOST; i++)
        sum += partial[i];
    return sum;
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
        Fit fit = fit_of(p, a, b);
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
