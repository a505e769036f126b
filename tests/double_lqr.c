/* SPDX-License-Identifier: MIT */
/* The regulator with a leader: the Riccati solution against value iteration by numerical
 * minimisation and a closed form in one dimension, both levels against sums and simulations that
 * share nothing with the program, PARL's hypergradient against differences of the solved problem. */
#include "core/models/gaussian.h"
#include "envs/lqr/lqr.h"
#include "race.h"

#include <math.h>

TestSuite(lqr, .timeout = 120);

enum { STATES = 2, WIDTH = 3, PARAMETERS = 5 };
static const double beta = 0.1, no_leader[STATES] = {0, 0}, leader[STATES] = {-4, 2.5},
                    unstable[STATES] = {-14, 3};

/* ---- the Riccati equation ---- */

/* min_u of the cost of u and of what follows from x, by golden-section search. */
static double least_cost(const RgLqr *l, const double *k, const double *p, const double *x) {
    const double golden = (sqrt(5) - 1) / 2;
    double low = -100, high = 100, found = 0;
    for (int i = 0; i < 120; i++) {
        double side[2], u[2] = {high - golden * (high - low), low + golden * (high - low)};
        for (int j = 0; j < 2; j++) {
            double a = k[0] * x[0] + k[1] * x[1];
            double next[] = {x[1] + 0.1 * a, 0.1 * u[j]};
            double value =
                p[0] * next[0] * next[0] + 2 * p[1] * next[0] * next[1] + p[2] * next[1] * next[1];
            side[j] = x[0] * x[0] + x[1] * x[1] + u[j] * u[j] + l->discount * value;
        }
        if (side[0] < side[1])
            high = u[1];
        else
            low = u[0];
        found = fmin(side[0], side[1]);
    }
    return found;
}

/* p is (P_00, P_01, P_11), read off values in three states. */
Test(lqr, riccati_solution_is_that_of_value_iteration) {
    static const double *const leaders[] = {no_leader, leader, unstable};
    const RgLqr l = rg_lqr_bc_hg();
    for (int k = 0; k < 3; k++) {
        double p[3] = {0}, found[4];
        for (int sweep = 0; sweep < 600; sweep++) {
            double first = least_cost(&l, leaders[k], p, (double[]){1, 0});
            double second = least_cost(&l, leaders[k], p, (double[]){0, 1});
            double both = least_cost(&l, leaders[k], p, (double[]){1, 1});
            p[0] = first;
            p[1] = (both - first - second) / 2;
            p[2] = second;
        }
        cr_assert(rg_lqr_riccati(&l, leaders[k], found));
        double scale = fmax(1, p[0]);
        cr_expect_float_eq(found[0], p[0], 1e-8 * scale, "%.12g, not %.12g", found[0], p[0]);
        cr_expect_float_eq(found[1], p[1], 1e-8 * scale);
        cr_expect_float_eq(found[2], p[1], 1e-8 * scale);
        cr_expect_float_eq(found[3], p[2], 1e-8 * scale);
    }
}

/* γb²P² + (r − γa²r − γb²q)P − qr = 0 in one dimension, a + cK in place of a. */
Test(lqr, one_dimension_has_a_closed_form) {
    static const double factors[] = {0.3, -0.9, 1.4};
    for (int i = 0; i < 3; i++) {
        const double a = factors[i], b = 0.7, c = 0.5, q = 1.3, r = 0.4, g = 0.9, k = -0.2;
        RgLqr l = {.states = 1,
                   .leader_actions = 1,
                   .actions = 1,
                   .a = {a},
                   .b = {b},
                   .c = {c},
                   .q = {q},
                   .r = {r},
                   .discount = g};
        double closed = a + c * k, half = (r - g * closed * closed * r - g * b * b * q) / 2;
        double p = (-half + sqrt(half * half + g * b * b * q * r)) / (g * b * b);
        double found, weight[2], deviation, s = r + g * b * b * p;
        cr_assert(rg_lqr_riccati(&l, &k, &found));
        cr_expect_float_eq(found, p, 1e-12);
        cr_assert(rg_lqr_solve(&l, &k, beta, weight, &deviation));
        cr_expect_float_eq(weight[0], -g * b * p * a / s, 1e-12);
        cr_expect_float_eq(weight[1], -g * b * p * c / s, 1e-12);
        cr_expect_float_eq(deviation * deviation, beta / (2 * s), 1e-12);
    }
}

/* Nobody can hold a state that grows by more than 1/√γ and that the follower does not reach. */
Test(lqr, a_process_that_nobody_can_hold_has_no_solution) {
    RgLqr l = rg_lqr_bc_hg();
    double p[4];
    cr_assert(rg_lqr_riccati(&l, (double[]){-10.2, -10}, p));
    cr_assert_not(rg_lqr_riccati(&l, (double[]){-10.3, -10}, p)); /* 1.03 > 1/√0.95 = 1.026 */
    cr_assert(isnan(rg_lqr_leader_value(&l, (double[]){-10.3, -10}, beta)));
}

/* ---- PARL on it ---- */

static Race open_parl(const char *options) {
    RgError error = {0};
    char all[400];
    Race race = {.settings = rg_settings_create(), .algorithm = &rg_algorithm_parl};
    RgRandom random = rg_random_root(7);
    snprintf(all, sizeof all,
             "beta=0.1 expectation=exact upper=utility lower=solved on_failure=skip "
             "regularizer=entropy %s",
             options);
    rg_small_race_set(race.settings, "environment", "pairs=4 horizon=30 leader_discount=0.97");
    rg_small_race_set(race.settings, "policy", "layers=0");
    rg_small_race_set(race.settings, "algorithm", all);
    cr_assert(rg_environment_create("lqr", race.settings, "environment", random, &race.environment,
                                    &error) == RG_OK,
              "%s", error.text);
    cr_assert(rg_policy_create("gaussian", race.settings, "policy", &race.environment->space,
                               random, &race.reference, &error) == RG_OK,
              "%s", error.text);
    cr_assert(rg_environment_prepare(race.environment, race.reference, random, &error) == RG_OK,
              "%s", error.text);
    race.policy = rg_policy_clone(race.reference, false);
    race.options = rg_allocate(1, race.algorithm->about.options_size);
    cr_assert(rg_options_read(race.algorithm->about.options, race.settings, "algorithm",
                              race.options, &error) == RG_OK,
              "%s", error.text);
    RgTrainingOptions training = {.batch = 1, .temperature = 1, .top_p = 1};
    RgOptimizerOptions sgd = {.type = {&rg_optimizer_sgd.about}, .learning_rate = 0.05};
    cr_assert(rg_trainer_create(race.algorithm, race.options, &training, race.policy,
                                race.reference, &race.environment->task, &sgd, 0,
                                rg_random_named(random, "training"), &race.trainer,
                                &error) == RG_OK,
              "%s", error.text);
    return race;
}

static const RgBilevelTask *task_of(const Race *race) {
    return race->environment->task.bilevel;
}

/* A policy that nobody would choose: weights, a constant, a deviation. */
static const double odd[PARAMETERS] = {-0.4, 1.1, 0.6, 0.3, -0.7};

static void set_policy(const Race *race, const double *numbers) {
    for (int i = 0; i < PARAMETERS; i++)
        race->policy->parameters->value[i] = numbers[i];
}

static RgTensor *upper_of(RgTape *t, const double *k) {
    return rg_constant_from_double(t, RG_SHAPE(STATES), k);
}

static double lower_value(const Race *race, const double *k) {
    RgTape *t = rg_tape_create();
    double found =
        task_of(race)->value(t, task_of(race), upper_of(t, k), race->policy, beta)->data[0];
    rg_tape_destroy(t);
    return found;
}

static double upper_value(const Race *race, const double *k) {
    RgTape *t = rg_tape_create();
    double found =
        task_of(race)->upper_value(t, task_of(race), upper_of(t, k), race->policy)->data[0];
    rg_tape_destroy(t);
    return found;
}

/* −V by stepping mean and second moments of (x, a, 1) through the process with the odd policy. */
static double stepped_cost(const double *k) {
    enum { ALL = 4 };
    const RgLqr l = rg_lqr_bc_hg();
    const double u[ALL] = {odd[0], odd[1], odd[2], odd[3]}, variance = exp(2 * odd[4]);
    const double entropy = odd[4] + 0.5 * log(2 * exp(1) * acos(-1));
    double moment[ALL][ALL] = {{1}, {0, 1}, {0, 0, 1}, {0, 0, 0, 1}}, total = 0, weight = 1;
    for (int step = 0; step < 1500; step++, weight *= l.discount) {
        double move[ALL][ALL] = {{0, 1, 0.1, 0}, {0}, {0}, {0, 0, 0, 1}};
        double square = variance, next[ALL][ALL] = {{0}};
        for (int i = 0; i < ALL; i++) {
            move[1][i] = 0.1 * u[i];
            for (int j = 0; j < ALL; j++)
                square += u[i] * u[j] * moment[i][j];
        }
        for (int i = 0; i < ALL; i++)
            move[2][i] = k[0] * move[0][i] + k[1] * move[1][i];
        total += weight * (moment[0][0] + moment[1][1] + square - beta * entropy);
        for (int i = 0; i < ALL; i++)
            for (int j = 0; j < ALL; j++)
                for (int m = 0; m < ALL; m++)
                    for (int n = 0; n < ALL; n++)
                        next[i][j] += move[i][m] * move[j][n] * moment[m][n];
        const double of_noise[ALL] = {0, 0.1, 0.1 * k[1], 0};
        for (int i = 0; i < ALL; i++)
            for (int j = 0; j < ALL; j++)
                next[i][j] += of_noise[i] * of_noise[j] * variance;
        next[2][2] += l.leader_deviation * l.leader_deviation;
        memcpy(moment, next, sizeof moment);
    }
    return total;
}

Test(lqr, lower_value_is_that_of_stepping_through_it) {
    Race race = open_parl("estimator=none");
    set_policy(&race, odd);
    const double leaders[][STATES] = {{0, 0}, {-4, 2.5}, {3, -1}};
    for (int k = 0; k < 3; k++) {
        double found = lower_value(&race, leaders[k]), expected = -stepped_cost(leaders[k]);
        cr_expect_float_eq(found, expected, 1e-9 * fabs(expected), "%.10g, not %.10g", found,
                           expected);
    }
    race_end(&race);
}

/* With this leader and policy the state grows by more than the discount takes. */
Test(lqr, an_infinite_cost_is_no_number) {
    Race race = open_parl("estimator=none");
    const double pushing[PARAMETERS] = {0, 0, 0, 0, 0};
    set_policy(&race, pushing);
    cr_expect(isnan(lower_value(&race, (double[]){-14, 0})));
    cr_expect(isfinite(lower_value(&race, (double[]){-10, 0})));
    race_end(&race);
}

/* The gradient vanishes at the solution, and a step in any direction loses. */
Test(lqr, solution_maximises_the_lower_value) {
    Race race = open_parl("estimator=none");
    double solution[PARAMETERS], gradient[PARAMETERS], best;
    const RgReal upper[STATES] = {leader[0], leader[1]};
    cr_assert(task_of(&race)->solve(task_of(&race), upper, race.policy, beta));
    for (int i = 0; i < PARAMETERS; i++)
        solution[i] = race.policy->parameters->value[i];
    best = lower_value(&race, leader);
    for (int i = 0; i < PARAMETERS; i++)
        for (int side = 0; side < 2; side++) {
            double other[PARAMETERS];
            memcpy(other, solution, sizeof other);
            other[i] += side == 0 ? 1e-3 : -1e-3;
            set_policy(&race, other);
            gradient[i] = (side == 0 ? 0 : gradient[i]) +
                          (side == 0 ? 1 : -1) * lower_value(&race, leader) / 2e-3;
            cr_expect_lt(lower_value(&race, leader), best);
        }
    for (int i = 0; i < PARAMETERS; i++)
        cr_expect_lt(fabs(gradient[i]), 1e-4, "%g", gradient[i]);
    race_end(&race);
}

/* Mean and standard error of the leader's return in simulated episodes of the odd policy. */
static void simulate(const double *k, double *mean, double *error) {
    enum { EPISODES = 40000, STEPS = 30 };
    const RgLqr l = rg_lqr_bc_hg();
    double sum = 0, square = 0;
    for (int i = 0; i < EPISODES; i++) {
        RgRandom own = rg_random_at(rg_random_root(5), (uint64_t)i);
        double x[] = {1, 0}, total = 0, weight = 1;
        for (int step = 0; step < STEPS; step++, weight *= 0.97) {
            double a = k[0] * x[0] + k[1] * x[1] +
                       l.leader_deviation * rg_random_normal(own, 2 * (uint64_t)step);
            double u = odd[0] * x[0] + odd[1] * x[1] + odd[2] * a + odd[3] +
                       exp(odd[4]) * rg_random_normal(own, 2 * (uint64_t)step + 1);
            double first = (x[0] + 0.8) / 0.2, second = x[1] / 0.01;
            total += weight * exp(-(first * first + second * second) / 2);
            x[0] = x[1] + 0.1 * a;
            x[1] = 0.1 * u;
        }
        sum += total;
        square += total * total;
    }
    *mean = sum / EPISODES;
    *error = sqrt((square / EPISODES - *mean * *mean) / EPISODES);
}

Test(lqr, leaders_value_is_that_of_simulated_episodes) {
    Race race = open_parl("estimator=none");
    set_policy(&race, odd);
    const double leaders[][STATES] = {{-9, 2}, {-9.5, -9.5}};
    for (int k = 0; k < 2; k++) {
        double mean, error, found = upper_value(&race, leaders[k]);
        simulate(leaders[k], &mean, &error);
        cr_expect_lt(fabs(found - mean), 4 * error, "%g, not %g ± %g", found, mean, error);
        cr_expect_gt(found, 20 * error); /* else anything would pass */
    }
    race_end(&race);
}

/* At the follower's optimum the tape and the numbers without it agree. */
Test(lqr, both_ways_to_the_leaders_value_agree) {
    Race race = open_parl("estimator=none");
    const RgLqr *l = task_of(&race)->environment;
    const double leaders[][STATES] = {{0, 0}, {-4, 2.5}, {-9.5, -9.5}};
    for (int k = 0; k < 3; k++) {
        const RgReal upper[STATES] = {leaders[k][0], leaders[k][1]};
        cr_assert(task_of(&race)->solve(task_of(&race), upper, race.policy, beta));
        cr_expect_float_eq(upper_value(&race, leaders[k]), rg_lqr_leader_value(l, leaders[k], beta),
                           1e-10);
    }
    race_end(&race);
}

/* The value there was worked out in Python. The leader's best is at least that, and no step around
 * it is better. */
Test(lqr, best_value_is_beside_the_cliff) {
    const RgLqr l = rg_lqr_bc_hg();
    RgBilevelTask task = rg_lqr_task(&l);
    double known = rg_lqr_leader_value(&l, (double[]){-9.97, -10.0}, beta);
    double best = task.best_upper_value(&task, beta);
    cr_expect_float_eq(known, 18.332761690908338, 1e-9, "%.12g", known);
    cr_expect_gt(best, known);
    cr_expect_lt(best, known + 0.2);
    cr_expect(rg_lqr_leader_value(&l, no_leader, beta) < 0.015);
}

/* ---- the hypergradient ---- */

static double hypergradient_error(const char *options) {
    const double step = 1e-5;
    Race race = open_parl(options);
    const RgLqr *l = task_of(&race)->environment;
    RgParameters *nu = rg_parl_reward(race.trainer->state);
    cr_assert_eq(nu->count, STATES);
    double found[STATES], gap = 0, norm = 0, at[] = {-7.5, -3};
    RgEstimateReport report;
    for (int i = 0; i < STATES; i++)
        nu->value[i] = at[i];
    cr_assert(rg_parl_solve_lower(race.trainer->state));
    double objective = race_hypergradient(&race, 0, found, &report);
    cr_assert_null(report.failure, "%s: %s", options, report.failure);
    cr_assert_float_eq(-objective, rg_lqr_leader_value(l, at, beta), 1e-10);
    for (int i = 0; i < STATES; i++) {
        double side[2];
        for (int k = 0; k < 2; k++) {
            double other[] = {at[0], at[1]};
            other[i] += k == 0 ? step : -step;
            side[k] = -rg_lqr_leader_value(l, other, beta);
        }
        double difference = (side[0] - side[1]) / (2 * step);
        gap += (found[i] - difference) * (found[i] - difference);
        norm += difference * difference;
    }
    race_end(&race);
    return sqrt(gap / norm);
}

Test(lqr, every_estimator_differentiates_the_leaders_value_through_the_riccati_equation) {
    static const struct {
        const char *options;
        double tolerance;
    } right[] = {
        {"estimator=boltzmann", 1e-6},
        {"estimator=exact damping=0", 1e-6},
        {"estimator=cg damping=0 iterations=400 tolerance=1e-12", 1e-6},
        {"estimator=finite-difference damping=0 iterations=400 tolerance=1e-7", 1e-4},
        {"estimator=neumann damping=0 iterations=20000", 1e-4},
        {"estimator=unrolled damping=0 iterations=4000", 1e-2},
        {"estimator=penalty penalty=1e4 iterations=3000 tolerance=1e-8", 1e-2},
    };
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        double error = hypergradient_error(right[i].options);
        cr_expect_lt(error, right[i].tolerance, "%s is off by %g", right[i].options, error);
    }
    cr_expect_gt(hypergradient_error("estimator=none"), 0.1);
    cr_expect_gt(hypergradient_error("estimator=identity"), 0.1);
}
