/* PARL's hypergradient, in double: against finite differences of the bilevel objective with its
 * lower level solved in closed form, by every solver; and the solvers themselves on known matrices.
 */
#include "algorithms/parl.h"
#include "race.h"

#include <math.h>

static const char bandit[] = "contexts=3 responses=5 pairs=50";
enum { CONTEXTS = 3, RESPONSES = 5, CELLS = CONTEXTS * RESPONSES };

/* G(ν, θ*(ν)) by plain sums: π* ∝ π_ref exp(ν/β), labels by the judge. */
static double bilevel_objective(const Race *race, const double *nu, double beta) {
    const RgCourse *course = &race->environment->course;
    const RgReal *logit = race->reference->parameters->value;
    RgSequences *all = rg_sequences_create();
    double judged[CELLS], total = 0;
    for (int32_t x = 0; x < CONTEXTS; x++)
        for (int32_t y = 0; y < RESPONSES; y++)
            rg_sequences_append(all, &x, 1, &y, 1);
    course->judge(course->environment, all, judged);
    rg_sequences_destroy(all);
    for (int x = 0; x < CONTEXTS; x++) {
        double weight[RESPONSES], sum = 0;
        for (int y = 0; y < RESPONSES; y++)
            sum += weight[y] = exp(logit[x * RESPONSES + y] + nu[x * RESPONSES + y] / beta);
        for (int a = 0; a < RESPONSES; a++)
            for (int b = 0; b < RESPONSES; b++) {
                double label = rg_preference_probability(course, judged[x * RESPONSES + a],
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

/* Relative distance between the hypergradient and central differences of the bilevel objective. */
static double hypergradient_error(const char *options, RgInverseReport *report) {
    const double beta = 0.7, step = 1e-5;
    char all[256];
    snprintf(all, sizeof all, "beta=0.7 expectation=exact %s", options);
    Race race = race_begin("parl", all, bandit, 0, 8);
    double nu[CELLS], hypergradient[CELLS], gap = 0, norm = 0;
    solve_lower_level(&race, nu, beta);
    double upper = rg_parl_hypergradient(race.trainer, race.options, race.trainer->state, 0,
                                         hypergradient, report);
    cr_assert_float_eq(upper, bilevel_objective(&race, nu, beta), 1e-10);
    for (int i = 0; i < CELLS; i++) {
        double at = nu[i];
        nu[i] = at + step;
        double high = bilevel_objective(&race, nu, beta);
        nu[i] = at - step;
        double difference = (high - bilevel_objective(&race, nu, beta)) / (2 * step);
        nu[i] = at;
        gap += (hypergradient[i] - difference) * (hypergradient[i] - difference);
        norm += difference * difference;
    }
    race_end(&race);
    return sqrt(gap / norm);
}

Test(parl, dense_hypergradient_equals_finite_differences_of_the_solved_problem) {
    RgInverseReport report;
    double error = hypergradient_error("estimator=exact damping=0", &report);
    cr_assert_lt(error, 1e-6, "off by %g", error);
    cr_assert_lt(report.residual, 1e-8);
}

Test(parl, conjugate_gradients_equal_finite_differences_of_the_solved_problem) {
    RgInverseReport report;
    double error =
        hypergradient_error("estimator=cg damping=0 iterations=60 tolerance=1e-12", &report);
    cr_assert_lt(error, 1e-6, "off by %g", error);
    cr_assert_null(report.failure);
}

Test(parl, neumann_series_equals_finite_differences_of_the_solved_problem) {
    RgInverseReport report;
    double error = hypergradient_error("estimator=neumann damping=0 iterations=4000", &report);
    cr_assert_lt(error, 1e-4, "off by %g", error);
    cr_assert_null(report.failure);
}

Test(parl, more_terms_bring_the_neumann_series_closer) {
    RgInverseReport report;
    double few = hypergradient_error("estimator=neumann damping=0 iterations=5", &report);
    double more = hypergradient_error("estimator=neumann damping=0 iterations=50", &report);
    double many = hypergradient_error("estimator=neumann damping=0 iterations=500", &report);
    cr_assert(few > more && more > many, "%g %g %g", few, more, many);
}

Test(parl, dropping_the_implicit_term_is_far_off) {
    RgInverseReport report;
    double error = hypergradient_error("estimator=none", &report);
    cr_assert_gt(error, 0.1, "off by %g only", error);
    cr_assert_eq(report.products, 0);
}

Test(parl, damping_moves_the_answer_a_little) {
    RgInverseReport report;
    double error = hypergradient_error("estimator=exact damping=0.001", &report);
    cr_assert(error > 1e-5 && error < 0.1, "off by %g", error);
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

static double solve_error(RgInverseOptions options, const double *eigenvalue,
                          RgInverseReport *report) {
    Matrix m = with_eigenvalues(eigenvalue);
    double inverse[N], error = 0;
    for (int k = 0; k < N; k++)
        inverse[k] = 1 / (eigenvalue[k] + options.damping);
    Matrix solution = with_eigenvalues(inverse);
    RgReal b[N] = {1, -2, 3, 0.5, -1, 2}, u[N], expected[N];
    matrix_product(&solution, b, expected);
    RgCurvature curvature = {N, matrix_product, &m};
    rg_inverse_product(&curvature, &options, b, u, report);
    for (int i = 0; i < N; i++)
        error = fmax(error, fabs(u[i] - expected[i]));
    return error;
}

static const double definite[N] = {1, 2, 3, 4, 5, 6};

Test(hypergradient, exact_solves_a_definite_system) {
    RgInverseReport report;
    RgInverseOptions options = {.estimator = RG_ESTIMATE_EXACT, .damping = 0.5};
    cr_assert_lt(solve_error(options, definite, &report), 1e-12);
    cr_assert_eq(report.products, N + 1);
}

Test(hypergradient, cg_ends_within_as_many_products_as_there_are_eigenvalues) {
    RgInverseReport report;
    RgInverseOptions options = {.estimator = RG_ESTIMATE_CG, .iterations = N, .tolerance = 0};
    cr_assert_lt(solve_error(options, definite, &report), 1e-9);
    cr_assert_leq(report.products, N);
}

Test(hypergradient, cg_stops_at_its_tolerance) {
    RgInverseReport report;
    RgInverseOptions options = {.estimator = RG_ESTIMATE_CG, .iterations = 100, .tolerance = 0.3};
    solve_error(options, definite, &report);
    cr_assert(report.residual <= 0.3 && report.products < N);
}

Test(hypergradient, neumann_residual_falls_at_the_rate_of_the_smallest_eigenvalue) {
    RgInverseReport ten, twenty;
    RgInverseOptions options = {.estimator = RG_ESTIMATE_NEUMANN, .iterations = 40, .step = 0.1};
    solve_error(options, definite, &ten);
    options.iterations = 60;
    solve_error(options, definite, &twenty);
    /* 20 more terms: each multiplies the slowest part by 1 − 0.1·1 */
    cr_assert_float_eq(twenty.residual / ten.residual, pow(0.9, 20), 1e-3);
}

Test(hypergradient, neumann_finds_a_step_that_converges) {
    RgInverseReport report;
    RgInverseOptions options = {.estimator = RG_ESTIMATE_NEUMANN, .iterations = 400};
    cr_assert_lt(solve_error(options, definite, &report), 1e-9);
    cr_assert_null(report.failure);
}

Test(hypergradient, neumann_that_diverges_says_so) {
    RgInverseReport report;
    RgInverseOptions options = {.estimator = RG_ESTIMATE_NEUMANN, .iterations = 400, .step = 1};
    solve_error(options, definite, &report);
    cr_assert_not_null(report.failure);
}

Test(hypergradient, cg_on_an_indefinite_matrix_says_so) {
    static const double indefinite[N] = {1, 2, -3, 4, -5, 6};
    RgInverseReport report;
    RgInverseOptions options = {.estimator = RG_ESTIMATE_CG, .iterations = 100};
    solve_error(options, indefinite, &report);
    cr_assert_not_null(report.failure);
}

Test(hypergradient, none_is_zero) {
    RgInverseReport report;
    RgReal b[N] = {1, 1, 1, 1, 1, 1}, u[N] = {9, 9, 9, 9, 9, 9};
    Matrix m = with_eigenvalues(definite);
    RgCurvature curvature = {N, matrix_product, &m};
    RgInverseOptions options = {.estimator = RG_ESTIMATE_NONE};
    rg_inverse_product(&curvature, &options, b, u, &report);
    for (int i = 0; i < N; i++)
        cr_assert_eq(u[i], 0);
}
