/* SPDX-License-Identifier: MIT */
/* PARL's hypergradient, in double: against finite differences of the bilevel objective with its
 * lower level solved in closed form, by every solver; and the solvers themselves on known matrices.
 */
#include "algorithms/parl/hypergradient.h"
#include "algorithms/parl/parl.h"
#include "race.h"

#include <math.h>

static const char bandit[] = "contexts=3 responses=5 pairs=50";
enum { CONTEXTS = 3, RESPONSES = 5, CELLS = CONTEXTS * RESPONSES };

/* G(ν, θ*(ν)) by plain sums: π* ∝ π_ref exp(ν/β), labels by the judge. */
static double bilevel_objective(const Race *race, const double *nu, double beta) {
    const RgTask *task = &race->environment->task;
    const RgReal *logit = race->reference->parameters->value;
    RgSequences *all = rg_sequences_create();
    double judged[CELLS], total = 0;
    for (int32_t x = 0; x < CONTEXTS; x++)
        for (int32_t y = 0; y < RESPONSES; y++)
            rg_sequences_append(all, &x, 1, &y, 1);
    task->judge(task->environment, all, judged, NULL);
    rg_sequences_destroy(all);
    for (int x = 0; x < CONTEXTS; x++) {
        double weight[RESPONSES], sum = 0;
        for (int y = 0; y < RESPONSES; y++)
            sum += weight[y] = exp(logit[x * RESPONSES + y] + nu[x * RESPONSES + y] / beta);
        for (int a = 0; a < RESPONSES; a++)
            for (int b = 0; b < RESPONSES; b++) {
                double label = rg_preference_probability(task, judged[x * RESPONSES + a],
                                                         judged[x * RESPONSES + b]);
                double margin = nu[x * RESPONSES + a] - nu[x * RESPONSES + b];
                double loss = label * log1p(exp(-margin)) + (1 - label) * log1p(exp(margin));
                total += weight[a] / sum * weight[b] / sum * loss / CONTEXTS;
            }
    }
    return total;
}

/* Put a random ν into PARL's state and its optimal policy into the trainer's. */
static void solve_lower_level(Race *race, double *nu, double beta) {
    RgParameters *reward = rg_parl_reward(race->trainer->state);
    for (int i = 0; i < CELLS; i++) {
        nu[i] = 0.8 * rg_random_normal(rg_random_root(5), (uint64_t)i);
        reward->value[i] = nu[i];
        race->policy->parameters->value[i] = race->reference->parameters->value[i] + nu[i] / beta;
    }
}

/* How the upper level's objective is told from the lower one's solution. */
typedef double (*Objective)(const Race *race, const double *nu, double beta);

/* Central differences of a solved problem: difference [CELLS] out. */
static void differentiate(const Race *race, Objective objective, double *nu, double beta,
                          double *difference) {
    const double step = 1e-5;
    for (int i = 0; i < CELLS; i++) {
        double at = nu[i];
        nu[i] = at + step;
        double high = objective(race, nu, beta);
        nu[i] = at - step;
        difference[i] = (high - objective(race, nu, beta)) / (2 * step);
        nu[i] = at;
    }
}

static double distance(const double *a, const double *b, int count) {
    double gap = 0, norm = 0;
    for (int i = 0; i < count; i++) {
        gap += (a[i] - b[i]) * (a[i] - b[i]);
        norm += b[i] * b[i];
    }
    return sqrt(gap / norm);
}

/* The hypergradient at a solved lower level, and what central differences say of it. */
static double hypergradient_error_of(const char *options, Objective objective, double *found,
                                     RgEstimateReport *report) {
    const double beta = 0.7;
    char all[256];
    snprintf(all, sizeof all, "beta=0.7 expectation=exact on_failure=skip %s", options);
    Race race = race_begin("parl", all, bandit, 0, 8);
    double nu[CELLS], difference[CELLS];
    solve_lower_level(&race, nu, beta);
    double upper = race_hypergradient(&race, 0, found, report);
    cr_assert_float_eq(upper, objective(&race, nu, beta), 1e-10);
    differentiate(&race, objective, nu, beta, difference);
    race_end(&race);
    return distance(found, difference, CELLS);
}

static double hypergradient_error(const char *options, RgEstimateReport *report) {
    double found[CELLS];
    return hypergradient_error_of(options, bilevel_objective, found, report);
}

Test(parl, dense_hypergradient_equals_finite_differences_of_the_solved_problem) {
    RgEstimateReport report;
    double error = hypergradient_error("estimator=exact damping=0", &report);
    cr_assert_lt(error, 1e-6, "off by %g", error);
    cr_assert_lt(report.residual, 1e-8);
}

Test(parl, conjugate_gradients_equal_finite_differences_of_the_solved_problem) {
    RgEstimateReport report;
    double error =
        hypergradient_error("estimator=cg damping=0 iterations=60 tolerance=1e-12", &report);
    cr_assert_lt(error, 1e-6, "off by %g", error);
    cr_assert_null(report.failure);
}

Test(parl, neumann_series_equals_finite_differences_of_the_solved_problem) {
    RgEstimateReport report;
    double error = hypergradient_error("estimator=neumann damping=0 iterations=4000", &report);
    cr_assert_lt(error, 1e-4, "off by %g", error);
    cr_assert_null(report.failure);
}

Test(parl, more_terms_bring_the_neumann_series_closer) {
    RgEstimateReport report;
    double few = hypergradient_error("estimator=neumann damping=0 iterations=5", &report);
    double more = hypergradient_error("estimator=neumann damping=0 iterations=50", &report);
    double many = hypergradient_error("estimator=neumann damping=0 iterations=500", &report);
    cr_assert(few > more && more > many, "%g %g %g", few, more, many);
}

Test(parl, dropping_the_implicit_term_is_far_off) {
    RgEstimateReport report;
    double error = hypergradient_error("estimator=none", &report);
    cr_assert_gt(error, 0.1, "off by %g only", error);
    cr_assert_eq(report.hessian_products, 0);
}

Test(parl, damping_moves_the_answer_a_little) {
    RgEstimateReport report;
    double error = hypergradient_error("estimator=exact damping=0.001", &report);
    cr_assert(error > 1e-5 && error < 0.1, "off by %g", error);
}

/* ---- the other ways ---- */

Test(parl, differences_of_gradients_equal_finite_differences_of_the_solved_problem) {
    RgEstimateReport report;
    double error = hypergradient_error(
        "estimator=finite-difference damping=0 iterations=60 tolerance=1e-9", &report);
    cr_assert_lt(error, 1e-5, "off by %g", error);
    cr_assert_eq(report.hessian_products, 0);
    cr_assert_gt(report.gradients, 2);
}

Test(parl, closed_form_equals_finite_differences_of_the_solved_problem) {
    RgEstimateReport report;
    double error = hypergradient_error("estimator=boltzmann", &report);
    cr_assert_lt(error, 1e-6, "off by %g", error);
    cr_assert_eq(report.hessian_products + report.gradients, 0);
}

Test(parl, error_of_the_penalty_falls_with_its_inverse) {
    double error[3];
    for (int k = 0; k < 3; k++) {
        RgEstimateReport report;
        char options[160];
        snprintf(options, sizeof options,
                 "estimator=penalty damping=0 iterations=2000 tolerance=1e-12 penalty=%g",
                 100 * pow(10, k));
        error[k] = hypergradient_error(options, &report);
        cr_assert_null(report.failure);
        cr_assert_eq(report.hessian_products, 0);
    }
    cr_assert_lt(error[2], 1e-3, "off by %g", error[2]);
    cr_assert_float_eq(error[0] / error[1], 10, 1.5, "%g %g", error[0], error[1]);
    cr_assert_float_eq(error[1] / error[2], 10, 0.5, "%g %g", error[1], error[2]);
}

Test(parl, unrolled_steps_from_the_optimum_are_the_neumann_series) {
    double series[CELLS], steps[CELLS];
    for (int terms = 1; terms <= 64; terms *= 4) {
        RgEstimateReport report;
        char options[160];
        snprintf(options, sizeof options,
                 "estimator=neumann damping=0 inverse_step=0.5 iterations=%d", terms);
        hypergradient_error_of(options, bilevel_objective, series, &report);
        snprintf(options, sizeof options,
                 "estimator=unrolled damping=0 inverse_step=0.5 iterations=%d", terms);
        hypergradient_error_of(options, bilevel_objective, steps, &report);
        cr_assert_lt(distance(steps, series, CELLS), 1e-9);
        cr_assert_eq(report.hessian_products, 2 * terms);
    }
}

Test(parl, many_unrolled_steps_equal_finite_differences_of_the_solved_problem) {
    RgEstimateReport report;
    double error = hypergradient_error("estimator=unrolled damping=0 iterations=4000", &report);
    cr_assert_lt(error, 1e-4, "off by %g", error);
}

Test(parl, a_scalar_in_place_of_the_curvature_is_one_term_of_the_series) {
    double scalar[CELLS], series[CELLS];
    RgEstimateReport report;
    double error = hypergradient_error_of("estimator=identity inverse_step=2", bilevel_objective,
                                          scalar, &report);
    hypergradient_error_of("estimator=neumann damping=0 inverse_step=2 iterations=1",
                           bilevel_objective, series, &report);
    cr_assert_lt(distance(scalar, series, CELLS), 1e-12);
    cr_assert_gt(error, 0.1);
}

/* −E[r*] under π*, and under the entropy's optimum π ∝ exp(ν/β). */
static double negative_utility(const Race *race, const double *nu, double beta, bool entropy) {
    const RgTask *task = &race->environment->task;
    const RgReal *logit = race->reference->parameters->value;
    double total = 0;
    for (int32_t x = 0; x < CONTEXTS; x++) {
        RgSequences *all = rg_sequences_create();
        double judged[RESPONSES], sum = 0, mean = 0;
        for (int32_t y = 0; y < RESPONSES; y++)
            rg_sequences_append(all, &x, 1, &y, 1);
        task->judge(task->environment, all, judged, NULL);
        rg_sequences_destroy(all);
        for (int y = 0; y < RESPONSES; y++) {
            int cell = x * RESPONSES + y;
            double weight = exp((entropy ? 0 : logit[cell]) + nu[cell] / beta);
            sum += weight;
            mean += weight * judged[y];
        }
        total -= mean / sum / CONTEXTS;
    }
    return total;
}

static double utility_under_kl(const Race *race, const double *nu, double beta) {
    return negative_utility(race, nu, beta, false);
}

Test(parl, utility_of_a_solved_lower_level_has_the_hypergradient_found) {
    static const char *const estimators[] = {"exact damping=0", "boltzmann",
                                             "cg damping=0 iterations=60 tolerance=1e-12"};
    for (int k = 0; k < 3; k++) {
        RgEstimateReport report;
        double found[CELLS];
        char options[160];
        snprintf(options, sizeof options, "upper=utility estimator=%s", estimators[k]);
        double error = hypergradient_error_of(options, utility_under_kl, found, &report);
        cr_assert_lt(error, 1e-6, "%s is off by %g", estimators[k], error);
    }
}

Test(parl, without_the_implicit_term_utility_has_no_gradient_at_all) {
    RgEstimateReport report;
    double found[CELLS];
    hypergradient_error_of("upper=utility estimator=none", utility_under_kl, found, &report);
    for (int i = 0; i < CELLS; i++)
        cr_assert_eq(found[i], 0);
}

Test(parl, entropy_in_place_of_the_divergence) {
    Race race = race_begin("parl",
                           "beta=0.7 expectation=exact upper=utility regularizer=entropy "
                           "lower=solved estimator=exact damping=0",
                           bandit, 0.4, 8);
    RgParameters *reward = rg_parl_reward(race.trainer->state);
    double nu[CELLS], found[CELLS], difference[CELLS];
    for (int i = 0; i < CELLS; i++)
        reward->value[i] = nu[i] = 0.8 * rg_random_normal(rg_random_root(6), (uint64_t)i);
    cr_assert(rg_parl_solve_lower(race.trainer->state));
    RgEstimateReport report;
    double upper = race_hypergradient(&race, 0, found, &report);
    cr_assert_float_eq(upper, negative_utility(&race, nu, 0.7, true), 1e-10);
    const double step = 1e-5;
    for (int i = 0; i < CELLS; i++) {
        double at = nu[i];
        nu[i] = at + step;
        double high = negative_utility(&race, nu, 0.7, true);
        nu[i] = at - step;
        difference[i] = (high - negative_utility(&race, nu, 0.7, true)) / (2 * step);
        nu[i] = at;
    }
    cr_assert_lt(distance(found, difference, CELLS), 1e-6);
    race_end(&race);
}

/* ---- samples ---- */

/* One sample, every estimator: they differ in how they solve, not in what they are of. */
Test(parl, on_one_sample_all_solvers_agree) {
    static const char *const options[] = {
        "estimator=exact", "estimator=cg iterations=60 tolerance=1e-12",
        "estimator=neumann iterations=20000",
        "estimator=finite-difference iterations=60 tolerance=1e-9"};
    double found[4][CELLS];
    for (int k = 0; k < 4; k++) {
        char all[200];
        snprintf(all, sizeof all, "beta=0.7 damping=0.05 curvature_prompts=64 on_failure=skip %s",
                 options[k]);
        Race race = race_begin("parl", all, bandit, 0, 64);
        double nu[CELLS];
        RgEstimateReport report;
        solve_lower_level(&race, nu, 0.7);
        race_hypergradient(&race, 3, found[k], &report);
        cr_assert_null(report.failure, "%s: %s", options[k], report.failure);
        race_end(&race);
        cr_assert_lt(distance(found[k], found[0], CELLS), k == 2 ? 1e-4 : 1e-5, "%s", options[k]);
    }
}

/* Each part of the hypergradient, from samples, against its expectation: within 4 standard errors
 * in every coordinate. */
enum { ROUNDS = 3000, PARTS = 5 };

static void parts_of(Race *race, int64_t draw, const RgReal *v, double part[PARTS][CELLS]) {
    RgReal lower[CELLS], upper[CELLS], value[CELLS], product[CELLS], mixed[CELLS];
    RgBilevel p = rg_parl_problem(race->trainer->state, draw);
    p.objective_gradients(p.context, lower, upper);
    p.value_gradients(p.context, value, NULL);
    p.linearise(p.context);
    p.curvature(p.context, v, product);
    p.mixed(p.context, v, mixed);
    const RgReal *all[PARTS] = {lower, upper, value, product, mixed};
    for (int k = 0; k < PARTS; k++)
        for (int i = 0; i < CELLS; i++)
            part[k][i] = all[k][i];
}

static void check_parts_unbiased(const char *more) {
    static const char *const names[PARTS] = {"∂_θG", "∂_νG", "∂_θV", "∇²_θθV·v", "∇²_νθV·v"};
    double mean[PARTS][CELLS] = {{0}}, square[PARTS][CELLS] = {{0}}, exact[PARTS][CELLS];
    double part[PARTS][CELLS], nu[CELLS];
    RgReal v[CELLS];
    char options[200];
    for (int i = 0; i < CELLS; i++)
        v[i] = rg_random_normal(rg_random_root(9), (uint64_t)i);
    snprintf(options, sizeof options, "beta=0.7 curvature_prompts=6 %s", more);
    Race race = race_begin("parl", options, bandit, 0, 6);
    solve_lower_level(&race, nu, 0.7);
    for (int i = 0; i < CELLS; i++) /* not at the optimum, where ∂_θV is nothing */
        race.policy->parameters->value[i] += 0.3 * v[i];
    for (int s = 0; s < ROUNDS; s++) {
        parts_of(&race, s, v, part);
        for (int k = 0; k < PARTS; k++)
            for (int i = 0; i < CELLS; i++) {
                double before = part[k][i] - mean[k][i];
                mean[k][i] += before / (s + 1);
                square[k][i] += before * (part[k][i] - mean[k][i]);
            }
    }
    race_end(&race);
    snprintf(options, sizeof options, "beta=0.7 expectation=exact %s", more);
    race = race_begin("parl", options, bandit, 0, 6);
    solve_lower_level(&race, nu, 0.7);
    for (int i = 0; i < CELLS; i++)
        race.policy->parameters->value[i] += 0.3 * v[i];
    parts_of(&race, 0, v, exact);
    race_end(&race);
    for (int k = 0; k < PARTS; k++)
        for (int i = 0; i < CELLS; i++) {
            double error = sqrt(square[k][i] / (ROUNDS - 1) / ROUNDS) + 1e-12;
            cr_assert_lt(fabs(mean[k][i] - exact[k][i]) / error, 4.5, "%s of %d: %g, not %g (± %g)",
                         names[k], i, mean[k][i], exact[k][i], error);
        }
}

Test(parl, sampled_parts_of_the_hypergradient_are_unbiased, .timeout = 60) {
    check_parts_unbiased("upper=preferences");
    check_parts_unbiased("upper=utility");
}

/* ---- solvers on a known matrix ---- */

enum { N = 6 };

typedef struct Matrix {
    double a[N * N];
} Matrix;

static void matrix_product(void *context, const RgReal *v, RgReal *hv) {
    const Matrix *m = context;
    for (int i = 0; i < N; i++) {
        hv[i] = 0;
        for (int j = 0; j < N; j++)
            hv[i] += m->a[i * N + j] * v[j];
    }
}

/* Qᵀ·diag(eigenvalue)·Q for a Householder reflection Q = 1 − 2·w·wᵀ: the inverse is known. */
static Matrix with_eigenvalues(const double *eigenvalue) {
    double w[N], length = 0;
    Matrix m = {{0}};
    for (int i = 0; i < N; i++) {
        w[i] = i + 1;
        length += w[i] * w[i];
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            for (int k = 0; k < N; k++) {
                double qi = (i == k) - 2 * w[i] * w[k] / length;
                double qj = (j == k) - 2 * w[j] * w[k] / length;
                m.a[i * N + j] += qi * eigenvalue[k] * qj;
            }
    return m;
}

/* Largest error of `inverse` on the matrix with these eigenvalues; products counted. */
static double solve_error(RgInverse inverse, RgEstimatorOptions options, const double *eigenvalue,
                          int64_t *products, RgEstimateReport *report) {
    Matrix m = with_eigenvalues(eigenvalue);
    double reciprocal[N], error = 0;
    for (int k = 0; k < N; k++)
        reciprocal[k] = 1 / (eigenvalue[k] + options.damping);
    Matrix solution = with_eigenvalues(reciprocal);
    RgReal b[N] = {1, -2, 3, 0.5, -1, 2}, u[N], expected[N];
    matrix_product(&solution, b, expected);
    RgCurvature curvature = {N, matrix_product, &m};
    *products = 0;
    *report = (RgEstimateReport){0};
    inverse(&curvature, &options, b, u, products, report);
    for (int i = 0; i < N; i++)
        error = fmax(error, fabs(u[i] - expected[i]));
    return error;
}

static const double definite[N] = {1, 2, 3, 4, 5, 6};

static int64_t products;
static RgEstimateReport report;

Test(hypergradient, exact_solves_a_definite_system) {
    RgEstimatorOptions options = {.damping = 0.5};
    cr_assert_lt(solve_error(rg_inverse_exact, options, definite, &products, &report), 1e-12);
    cr_assert_eq(products, N + 1);
    cr_assert_float_eq(report.curvature, 6.5, 1e-12);
    cr_assert_null(report.failure);
}

Test(hypergradient, cg_ends_within_as_many_products_as_there_are_eigenvalues) {
    RgEstimatorOptions options = {.iterations = N};
    cr_assert_lt(solve_error(rg_inverse_cg, options, definite, &products, &report), 1e-9);
    cr_assert_leq(products, N);
}

Test(hypergradient, cg_stops_at_its_tolerance) {
    RgEstimatorOptions options = {.iterations = 100, .tolerance = 0.3};
    solve_error(rg_inverse_cg, options, definite, &products, &report);
    cr_assert(report.residual <= 0.3 && products < N);
}

Test(hypergradient, neumann_residual_falls_at_the_rate_of_the_smallest_eigenvalue) {
    RgEstimateReport more;
    RgEstimatorOptions options = {.iterations = 40, .step = 0.1};
    solve_error(rg_inverse_neumann, options, definite, &products, &report);
    options.iterations = 60;
    solve_error(rg_inverse_neumann, options, definite, &products, &more);
    /* 20 more terms: each multiplies the slowest part by 1 − 0.1·1 */
    cr_assert_float_eq(more.residual / report.residual, pow(0.9, 20), 1e-3);
}

Test(hypergradient, neumann_finds_a_step_that_converges) {
    RgEstimatorOptions options = {.iterations = 400};
    cr_assert_lt(solve_error(rg_inverse_neumann, options, definite, &products, &report), 1e-9);
    cr_assert_null(report.failure);
    cr_assert(report.curvature > 5 && report.curvature < 6.001);
}

Test(hypergradient, neumann_that_diverges_says_so) {
    RgEstimatorOptions options = {.iterations = 400, .step = 1};
    solve_error(rg_inverse_neumann, options, definite, &products, &report);
    cr_assert_not_null(report.failure);
}

Test(hypergradient, an_indefinite_matrix_is_told) {
    static const double indefinite[N] = {1, 2, -3, 4, -5, 6};
    RgEstimatorOptions options = {.iterations = 100};
    solve_error(rg_inverse_cg, options, indefinite, &products, &report);
    cr_assert_not_null(report.failure);
    solve_error(rg_inverse_exact, options, indefinite, &products, &report);
    cr_assert_not_null(report.failure);
    options.damping = 6; /* which makes it definite */
    solve_error(rg_inverse_exact, options, indefinite, &products, &report);
    cr_assert_null(report.failure);
}

Test(hypergradient, nothing_to_solve_takes_no_product) {
    RgReal b[N] = {0}, u[N] = {9, 9, 9, 9, 9, 9};
    Matrix m = with_eigenvalues(definite);
    RgCurvature curvature = {N, matrix_product, &m};
    RgEstimatorOptions options = {.iterations = 5};
    static const RgInverse all[] = {rg_inverse_exact, rg_inverse_cg, rg_inverse_neumann};
    for (int k = 0; k < 3; k++) {
        products = 0;
        all[k](&curvature, &options, b, u, &products, &report);
        for (int i = 0; i < N; i++)
            cr_assert_eq(u[i], 0);
        cr_assert_eq(products, 0);
    }
}

/* ---- estimators on a quadratic problem ---- */

/* V = −½ θᵀHθ + θᵀν and G = cᵀθ, whose hypergradient is w = H⁻¹c. */
typedef struct Quadratic {
    Matrix h, inverse;
    double c[N];
    RgParameters *lower, *upper;
} Quadratic;

static void quadratic_value(void *context, RgReal *by_lower, RgReal *by_upper) {
    const Quadratic *q = context;
    RgReal bent[N];
    matrix_product((void *)&q->h, q->lower->value, bent);
    for (int i = 0; i < N; i++) {
        if (by_lower)
            by_lower[i] = q->upper->value[i] - bent[i];
        if (by_upper)
            by_upper[i] = q->lower->value[i];
    }
}

static void quadratic_objective(void *context, RgReal *by_lower, RgReal *by_upper) {
    const Quadratic *q = context;
    for (int i = 0; i < N; i++) {
        if (by_lower)
            by_lower[i] = q->c[i];
        if (by_upper)
            by_upper[i] = 0;
    }
}

static void quadratic_linearise(void *context) {
    (void)context;
}

static void quadratic_curvature(void *context, const RgReal *v, RgReal *hv) {
    matrix_product(&((Quadratic *)context)->h, v, hv);
}

static void quadratic_mixed(void *context, const RgReal *u, RgReal *w) {
    (void)context;
    memcpy(w, u, N * sizeof *w);
}

static RgParameters *numbers_of(const RgReal *value) {
    RgParameters *p = rg_parameters_create();
    rg_parameters_declare(p, "numbers", 1, (const int64_t[]){N}, false);
    rg_parameters_allocate(p);
    memcpy(p->value, value, N * sizeof *value);
    return p;
}

/* An estimate at the lower level's optimum; the largest error of w, relative to its largest number
 * or to 1. */
static double apply_error(const char *name, RgEstimatorOptions options, const double *eigenvalue,
                          const double *c, RgEstimateReport *told) {
    double reciprocal[N], error = 0, largest = 0;
    for (int k = 0; k < N; k++)
        reciprocal[k] = eigenvalue[k] != 0 ? 1 / eigenvalue[k] : 0;
    Quadratic q = {.h = with_eigenvalues(eigenvalue), .inverse = with_eigenvalues(reciprocal)};
    RgReal nu[N] = {0.3, -1, 0.5, 2, -0.7, 1}, theta[N], w[N], expected[N];
    memcpy(q.c, c, sizeof q.c);
    matrix_product(&q.inverse, nu, theta);
    matrix_product(&q.inverse, q.c, expected);
    q.lower = numbers_of(theta);
    q.upper = numbers_of(nu);
    RgBilevel problem = {q.lower,
                         q.upper,
                         quadratic_value,
                         quadratic_objective,
                         quadratic_linearise,
                         quadratic_curvature,
                         quadratic_mixed,
                         NULL,
                         &q};
    const RgEstimator *estimator = (const RgEstimator *)rg_find(RG_ESTIMATOR, name);
    rg_estimator_apply(estimator, &problem, &options, q.c, w, told);
    for (int i = 0; i < N; i++) {
        error = fmax(error, fabs(w[i] - expected[i]));
        largest = fmax(largest, fabs(expected[i]));
        cr_assert_eq(q.lower->value[i], theta[i], "%s leaves the lower level where it was", name);
    }
    rg_parameters_destroy(q.lower);
    rg_parameters_destroy(q.upper);
    return error / fmax(largest, 1e-300);
}

static const double no_gradient[N] = {0}, some_gradient[N] = {1, -2, 3, 0.5, -1, 2};
static const char *const iterative[] = {"cg", "finite-difference", "penalty", "neumann",
                                        "unrolled"};
static const RgEstimatorOptions patient = {
    .iterations = 400, .tolerance = 1e-9, .residual_limit = 0.1, .penalty = 100};

Test(estimator, without_a_gradient_there_is_no_implicit_term_and_no_failure) {
    static const double flat[N] = {0};
    const RgDescriptor *about;
    for (int k = 0; (about = rg_registered(RG_ESTIMATOR, k)); k++) {
        const char *name = about->name;
        if (((const RgEstimator *)about)->by_closed_form)
            continue;
        for (int hard = 0; hard < 2; hard++) {
            double error = apply_error(name, patient, hard ? flat : definite, no_gradient, &report);
            cr_expect_eq(error, 0, "%s: %g", name, error);
            cr_expect_null(report.failure, "%s: %s", name, report.failure);
            cr_expect(report.converged && report.residual == 0, "%s", name);
        }
    }
}

Test(estimator, solutions_that_converge_are_the_inverse_and_say_so) {
    for (int k = 0; k < 5; k++) {
        double error = apply_error(iterative[k], patient, definite, some_gradient, &report);
        cr_expect_lt(error, 1e-5, "%s: off by %g", iterative[k], error);
        cr_expect_null(report.failure, "%s: %s", iterative[k], report.failure);
        cr_expect(report.converged && report.residual < 1e-6, "%s: %g", iterative[k],
                  report.residual);
    }
    cr_expect_lt(apply_error("exact", patient, definite, some_gradient, &report), 1e-10);
    cr_expect(report.converged && !report.failure);
}

/* One iteration leaves most of the gradient. What is to solve has failed; what is one term or step
 * by definition has not, though it says that it did not converge. */
Test(estimator, solutions_that_stop_short_are_told) {
    RgEstimatorOptions hasty = patient;
    hasty.iterations = 1;
    for (int k = 0; k < 5; k++) {
        double error = apply_error(iterative[k], hasty, definite, some_gradient, &report);
        cr_expect_gt(error, 0.01, "%s: off by %g", iterative[k], error);
        cr_expect(!report.converged && report.residual > 0.1, "%s: %g", iterative[k],
                  report.residual);
        cr_expect_eq(report.failure != NULL, k < 3, "%s", iterative[k]);
    }
    hasty.residual_limit = 0; /* is not asked */
    for (int k = 0; k < 5; k++) {
        apply_error(iterative[k], hasty, definite, some_gradient, &report);
        cr_expect(report.converged && !report.failure, "%s", iterative[k]);
    }
}

/* A gradient along a direction in which V is flat has no solution. */
Test(estimator, an_exact_solution_that_there_is_not_is_told) {
    static const double singular[N] = {0, 2, 3, 4, 5, 6};
    apply_error("exact", patient, singular, some_gradient, &report);
    cr_expect(!report.converged && report.residual > 0.1, "%g", report.residual);
    cr_expect_not_null(report.failure);
}
