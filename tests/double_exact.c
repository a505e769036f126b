/* SPDX-License-Identifier: MIT */
/* Identities of SAIL and PARL on enumerated responses: between the score terms of the gradient, and
 * between the bilevel problem and its closed form. Gradients come from the tape; what they are held
 * against are sums by hand, central differences, or the implicit function theorem. */
#include <criterion/criterion.h>

#include "core/tensor/lapack.h"
#include "core/tensor/random.h"
#include "envs/bandit/bandit_exact.h"

#include <math.h>
#include <string.h>

enum { C = 3, R = 6, CELLS = C * R };

static double reward[CELLS], reference[CELLS], shares[CELLS * R];
static RgReal logits[CELLS], learned[CELLS]; /* a policy, and PARL's reward r_ν */

static void normalise(double *table) {
    for (int c = 0; c < C; c++) {
        double sum = 0;
        for (int r = 0; r < R; r++)
            sum += exp(table[c * R + r]);
        for (int r = 0; r < R; r++)
            table[c * R + r] -= log(sum);
    }
}

static RgExactProblem draw(uint64_t seed) {
    RgRandom random = rg_random_root(seed);
    double total = 0;
    for (uint64_t i = 0; i < CELLS; i++) {
        reward[i] = rg_random_normal(random, i);
        reference[i] = rg_random_normal(random, 100 + i);
        logits[i] = (RgReal)rg_random_normal(random, 200 + i);
        learned[i] = (RgReal)rg_random_normal(random, 300 + i);
    }
    for (uint64_t i = 0; i < CELLS * R; i++)
        total += shares[i] = rg_random_uniform(random, 400 + i);
    for (int i = 0; i < CELLS * R; i++)
        shares[i] /= total;
    normalise(reference);
    return (RgExactProblem){.contexts = C,
                            .responses = R,
                            .reference = reference,
                            .reward = reward,
                            .pair_shares = shares,
                            .beta = 0.7,
                            .label_temperature = 1};
}

static double norm(const double *x) {
    double sum = 0;
    for (int i = 0; i < CELLS; i++)
        sum += x[i] * x[i];
    return sqrt(sum);
}

static double distance(const double *x, const double *y) {
    double gap[CELLS];
    for (int i = 0; i < CELLS; i++)
        gap[i] = x[i] - y[i];
    return norm(gap);
}

static double inner(const double *x, const double *y) {
    double sum = 0;
    for (int i = 0; i < CELLS; i++)
        sum += x[i] * y[i];
    return sum;
}

/* Value of J for the given sources; gradient [CELLS] in the logits out. */
static double sail_gradient(const RgExactProblem *problem, RgExactSources sources,
                            double *gradient) {
    RgTape *tape = rg_tape_create();
    RgTensor *x = rg_variable(tape, RG_SHAPE(C, R), logits), *g;
    RgTensor *j = rg_exact_sail(tape, x, problem, sources);
    double value = j->data[0];
    rg_gradients(tape, j, &x, 1, &g);
    for (int i = 0; i < CELLS; i++)
        gradient[i] = g->data[i];
    rg_tape_destroy(tape);
    return value;
}

static const RgExactSources policy_judge = {RG_EXACT_POLICY_RESPONSES, RG_EXACT_JUDGE_LABELS, 0, 0};
static const RgExactSources policy_policy = {RG_EXACT_POLICY_RESPONSES, RG_EXACT_POLICY_LABELS, 0,
                                             0};
static const RgExactSources dataset_policy = {RG_EXACT_DATASET_RESPONSES, RG_EXACT_POLICY_LABELS, 0,
                                              0};

static RgExactSources stopped(RgExactSources sources, bool responses, bool labels) {
    sources.stop_responses = responses;
    sources.stop_labels = labels;
    return sources;
}

/* ---- by hand ---- */

/* The pieces of log π and of F for the pair (a, b) of one context. */
typedef struct Hand {
    double logprob[CELLS];
} Hand;

static Hand hand(void) {
    Hand h;
    for (int i = 0; i < CELLS; i++)
        h.logprob[i] = logits[i];
    normalise(h.logprob);
    return h;
}

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

static double margin(const Hand *h, const RgExactProblem *p, int c, int a, int b) {
    return p->beta * (h->logprob[c * R + a] - reference[c * R + a] - h->logprob[c * R + b] +
                      reference[c * R + b]);
}

static double judge_prefers(int c, int a, int b) {
    return sigmoid(reward[c * R + a] - reward[c * R + b]);
}

/* gradient += weight · ∇ log π(y|c) */
static void add_score(const Hand *h, int c, int y, double weight, double *gradient) {
    for (int r = 0; r < R; r++)
        gradient[c * R + r] += weight * ((r == y) - exp(h->logprob[c * R + r]));
}

/* gradient += weight · ∇F of the pair with `a` preferred: β (1 − σ(βΔ)) (e_a − e_b) */
static void add_fit(const Hand *h, const RgExactProblem *p, int c, int a, int b, double weight,
                    double *gradient) {
    double slope = weight * p->beta * (1 - sigmoid(margin(h, p, c, a, b)));
    gradient[c * R + a] += slope;
    gradient[c * R + b] -= slope;
}

/* T1 = E[F (∇log π(a) + ∇log π(b))] and T2 = E[∇F] under the judge's labels, by loops. */
static void sail_terms(const RgExactProblem *p, double *t1, double *t2) {
    Hand h = hand();
    memset(t1, 0, CELLS * sizeof *t1);
    memset(t2, 0, CELLS * sizeof *t2);
    for (int c = 0; c < C; c++)
        for (int a = 0; a < R; a++)
            for (int b = 0; b < R; b++)
                for (int z = 0; z < 2; z++) {
                    int w = z ? b : a, l = z ? a : b;
                    double weight = exp(h.logprob[c * R + a] + h.logprob[c * R + b]) / C *
                                    judge_prefers(c, w, l);
                    double fit = log(sigmoid(margin(&h, p, c, w, l)));
                    add_score(&h, c, w, weight * fit, t1);
                    add_score(&h, c, l, weight * fit, t1);
                    add_fit(&h, p, c, w, l, weight, t2);
                }
}

/* ---- SAIL ---- */

Test(exact, gradient_of_sail_is_its_two_terms) {
    for (uint64_t seed = 0; seed < 4; seed++) {
        RgExactProblem problem = draw(seed);
        double t1[CELLS], t2[CELLS], full[CELLS], fit_only[CELLS], sum[CELLS];
        sail_terms(&problem, t1, t2);
        sail_gradient(&problem, policy_judge, full);
        sail_gradient(&problem, stopped(policy_judge, true, true), fit_only);
        for (int i = 0; i < CELLS; i++)
            sum[i] = t1[i] + t2[i];
        cr_expect_lt(distance(full, sum), 1e-14);
        cr_expect_lt(distance(fit_only, t2), 1e-14);
        cr_expect_gt(norm(t1), 0.05 * norm(t2));
    }
}

Test(exact, gradients_are_central_differences) {
    static const RgExactSources all[] = {
        {RG_EXACT_POLICY_RESPONSES, RG_EXACT_JUDGE_LABELS, 0, 0},
        {RG_EXACT_POLICY_RESPONSES, RG_EXACT_POLICY_LABELS, 0, 0},
        {RG_EXACT_DATASET_RESPONSES, RG_EXACT_JUDGE_LABELS, 0, 0},
        {RG_EXACT_DATASET_RESPONSES, RG_EXACT_POLICY_LABELS, 0, 0},
        {RG_EXACT_DATASET_RESPONSES, RG_EXACT_DATASET_LABELS, 0, 0},
    };
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
        RgExactProblem problem = draw(10 + k);
        problem.label_noise = 0.1;
        double gradient[CELLS], ignored[CELLS], numeric[CELLS], step = 1e-5;
        sail_gradient(&problem, all[k], gradient);
        for (int i = 0; i < CELLS; i++) {
            RgReal kept = logits[i];
            logits[i] = (RgReal)(kept + step);
            double above = sail_gradient(&problem, all[k], ignored);
            logits[i] = (RgReal)(kept - step);
            double below = sail_gradient(&problem, all[k], ignored);
            logits[i] = kept;
            numeric[i] = (above - below) / (2 * step);
        }
        cr_expect_gt(norm(gradient), 1e-3);
        cr_expect_lt(distance(gradient, numeric), 1e-9);
    }
}

/* E_{z~p_θ}[∇F] = 0 for every pair: with the policy's own labels the DPO part has no mean. */
Test(exact, policy_labels_leave_the_fit_no_mean_gradient) {
    RgExactProblem problem = draw(20);
    double gradient[CELLS];
    sail_gradient(&problem, stopped(dataset_policy, true, true), gradient);
    cr_expect_lt(norm(gradient), 1e-15);
    sail_gradient(&problem, stopped(policy_policy, true, true), gradient);
    cr_expect_lt(norm(gradient), 1e-15);
    sail_gradient(&problem, stopped(policy_judge, true, true), gradient);
    cr_expect_gt(norm(gradient), 1e-3); /* the judge's labels do have one */
}

/* E_{z~p_θ}[F ∇F] is all of the labels' score term: ½∇E[F²] with labels held is ∇ E_{z~p_θ}[F]. */
Test(exact, half_the_square_of_the_fit_has_the_gradient_of_policy_labels) {
    RgExactProblem problem = draw(21);
    double full[CELLS], square[CELLS];
    sail_gradient(&problem, dataset_policy, full);
    RgTape *tape = rg_tape_create();
    RgTensor *x = rg_variable(tape, RG_SHAPE(C, R), logits), *g;
    RgTensor *half = rg_exact_half_square_fit(tape, x, &problem, dataset_policy);
    rg_gradients(tape, half, &x, 1, &g);
    for (int i = 0; i < CELLS; i++)
        square[i] = g->data[i];
    rg_tape_destroy(tape);
    cr_expect_gt(norm(full), 1e-3);
    cr_expect_lt(distance(full, square), 1e-15);
}

/* A constant in place of F leaves no score term: baselines do not move T1's mean. */
Test(exact, a_baseline_does_not_move_the_mean_of_the_score_term) {
    RgExactProblem problem = draw(22);
    double t1[CELLS], t2[CELLS], score[CELLS] = {0}, with_baseline[CELLS];
    Hand h = hand();
    sail_terms(&problem, t1, t2);
    for (int c = 0; c < C; c++)
        for (int a = 0; a < R; a++)
            for (int b = 0; b < R; b++) {
                double weight = exp(h.logprob[c * R + a] + h.logprob[c * R + b]) / C;
                add_score(&h, c, a, weight, score);
                add_score(&h, c, b, weight, score);
            }
    for (int i = 0; i < CELLS; i++)
        with_baseline[i] = t1[i] + 0.7 * score[i];
    cr_expect_lt(norm(score), 1e-15);
    cr_expect_lt(distance(t1, with_baseline), 1e-15);
}

/* The pieces through responses, labels and fit add up to the whole. */
Test(exact, stopping_one_source_at_a_time_splits_the_gradient) {
    RgExactProblem problem = draw(23);
    double full[CELLS], fit[CELLS], responses[CELLS], labels[CELLS], sum[CELLS];
    sail_gradient(&problem, policy_policy, full);
    sail_gradient(&problem, stopped(policy_policy, true, true), fit);
    sail_gradient(&problem, stopped(policy_policy, false, true), responses);
    sail_gradient(&problem, stopped(policy_policy, true, false), labels);
    for (int i = 0; i < CELLS; i++)
        sum[i] = responses[i] + labels[i] - fit[i];
    cr_expect_lt(distance(full, sum), 1e-15);
    cr_expect_gt(distance(full, responses), 1e-3);
    cr_expect_gt(distance(full, labels), 1e-3);
}

/* DPO on the empirical pairs, and its gradient, by loops over the data. */
Test(exact, dataset_labels_are_the_dpo_objective) {
    RgExactProblem problem = draw(24);
    RgExactSources dpo = {RG_EXACT_DATASET_RESPONSES, RG_EXACT_DATASET_LABELS, false, false};
    double gradient[CELLS], by_hand[CELLS] = {0}, objective = 0;
    Hand h = hand();
    double value = sail_gradient(&problem, dpo, gradient);
    for (int c = 0; c < C; c++)
        for (int a = 0; a < R; a++)
            for (int b = 0; b < R; b++) {
                double share = shares[(c * R + a) * R + b];
                objective += share * log(sigmoid(margin(&h, &problem, c, a, b)));
                add_fit(&h, &problem, c, a, b, share, by_hand);
            }
    cr_expect_float_eq(value, objective, 1e-14);
    cr_expect_lt(distance(gradient, by_hand), 1e-14);
}

/* ---- PARL ---- */

/* G(ν, θ*(ν)) through the closed form; its gradient in ν out. */
static double bilevel_gradient(const RgExactProblem *problem, double *gradient) {
    RgTape *tape = rg_tape_create();
    RgTensor *nu = rg_variable(tape, RG_SHAPE(C, R), learned), *g;
    RgTensor *best = rg_exact_optimal_logits(tape, nu, problem);
    RgTensor *upper = rg_exact_upper(tape, nu, best, problem);
    double value = upper->data[0];
    rg_gradients(tape, upper, &nu, 1, &g);
    for (int i = 0; i < CELLS; i++)
        gradient[i] = g->data[i];
    rg_tape_destroy(tape);
    return value;
}

/* Put the policy at π*(ν). */
static void solve_lower_level(const RgExactProblem *problem) {
    for (int i = 0; i < CELLS; i++)
        logits[i] = (RgReal)(reference[i] + learned[i] / problem->beta);
}

Test(exact, the_closed_form_is_stationary_for_the_lower_level) {
    RgExactProblem problem = draw(30);
    RgTape *tape = rg_tape_create();
    RgTensor *nu = rg_constant(tape, RG_SHAPE(C, R), learned);
    double elsewhere = 0, there = 0;
    for (int at_optimum = 0; at_optimum < 2; at_optimum++) {
        if (at_optimum)
            solve_lower_level(&problem);
        RgTensor *x = rg_variable(tape, RG_SHAPE(C, R), logits), *g;
        rg_gradients(tape, rg_exact_value(tape, nu, x, &problem), &x, 1, &g);
        for (int i = 0; i < CELLS; i++)
            *(at_optimum ? &there : &elsewhere) += fabs(g->data[i]);
    }
    cr_expect_gt(elsewhere, 1e-2);
    cr_expect_lt(there, 1e-14);
    rg_tape_destroy(tape);
}

Test(exact, parl_at_its_lower_optimum_is_minus_sail) {
    for (uint64_t seed = 40; seed < 44; seed++) {
        RgExactProblem problem = draw(seed);
        double in_nu[CELLS], in_theta[CELLS];
        double upper = bilevel_gradient(&problem, in_nu);
        solve_lower_level(&problem);
        double objective = sail_gradient(&problem, policy_judge, in_theta);
        cr_expect_float_eq(upper, -objective, 1e-14);
        /* θ* moves by dν/β: the gradients agree up to that factor and the sign, so the stationary
         * points coincide. */
        for (int i = 0; i < CELLS; i++)
            cr_expect_float_eq(in_nu[i], -in_theta[i] / problem.beta, 1e-14);
    }
}

/* Second derivatives of V at (ν, θ): hessian [CELLS, CELLS] = ∇²_θθ V, and mixed [i, k] =
 * ∂²V/∂θ_i ∂ν_k; gradients of G too. */
typedef struct Curvature {
    double hessian[CELLS * CELLS], mixed[CELLS * CELLS], upper_nu[CELLS], upper_theta[CELLS];
} Curvature;

static void curvature(const RgExactProblem *problem, Curvature *out) {
    RgTape *tape = rg_tape_create();
    rg_tape_second_order(tape, true);
    RgTensor *nu = rg_variable(tape, RG_SHAPE(C, R), learned);
    RgTensor *theta = rg_variable(tape, RG_SHAPE(C, R), logits);
    RgTensor *both[2] = {theta, nu}, *g, *row[2], *upper[2];
    rg_gradients(tape, rg_exact_value(tape, nu, theta, problem), &theta, 1, &g);
    g = rg_reshape(tape, g, RG_SHAPE(CELLS));
    for (int i = 0; i < CELLS; i++) {
        rg_gradients(tape, rg_sum(tape, rg_slice(tape, g, 0, i, 1)), both, 2, row);
        for (int k = 0; k < CELLS; k++) {
            out->hessian[i * CELLS + k] = row[0]->data[k];
            out->mixed[i * CELLS + k] = row[1]->data[k];
        }
    }
    rg_gradients(tape, rg_exact_upper(tape, nu, theta, problem), both, 2, upper);
    for (int i = 0; i < CELLS; i++) {
        out->upper_theta[i] = upper[0]->data[i];
        out->upper_nu[i] = upper[1]->data[i];
    }
    rg_tape_destroy(tape);
}

/* ∂_νG − (∇²_νθ V) u */
static void hypergradient(const Curvature *k, const double *u, double *out) {
    for (int i = 0; i < CELLS; i++) {
        out[i] = k->upper_nu[i];
        for (int j = 0; j < CELLS; j++)
            out[i] -= k->mixed[j * CELLS + i] * u[j];
    }
}

Test(exact, hypergradient_by_the_implicit_function_theorem_is_that_of_the_closed_form) {
    for (uint64_t seed = 50; seed < 54; seed++) {
        RgExactProblem problem = draw(seed);
        Curvature k;
        double truth[CELLS], u[CELLS], by_theorem[CELLS];
        bilevel_gradient(&problem, truth);
        solve_lower_level(&problem);
        curvature(&problem, &k);
        /* A constant added to a context's logits changes nothing: one null direction for each. */
        cr_expect_eq(rg_solve_symmetric(CELLS, k.hessian, k.upper_theta, 1e-10, u, NULL),
                     CELLS - C);
        hypergradient(&k, u, by_theorem);
        cr_expect_gt(norm(truth), 1e-3);
        cr_expect_lt(distance(truth, by_theorem), 1e-13);

        /* The answer does not depend on which solution of the singular system is taken. */
        for (int i = 0; i < CELLS; i++)
            u[i] += 3 * (i / R) - 1;
        hypergradient(&k, u, by_theorem);
        cr_expect_lt(distance(truth, by_theorem), 1e-13);
    }
}

/* The lower level's answer to ν is no small part: ∂_νG alone points elsewhere. */
Test(exact, dropping_the_second_term_of_the_hypergradient_is_far_off) {
    for (uint64_t seed = 60; seed < 64; seed++) {
        RgExactProblem problem = draw(seed);
        Curvature k;
        double truth[CELLS];
        bilevel_gradient(&problem, truth);
        solve_lower_level(&problem);
        curvature(&problem, &k);
        double off = distance(k.upper_nu, truth) / norm(truth);
        cr_log_info("seed %d: off by %.3f, cosine %.3f", (int)seed, off,
                    inner(k.upper_nu, truth) / (norm(truth) * norm(k.upper_nu)));
        cr_expect_gt(off, 0.1);
        cr_expect_gt(inner(k.upper_nu, truth), 0);
    }
}
