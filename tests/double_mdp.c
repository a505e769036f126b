/* SPDX-License-Identifier: MIT */
/* Tabular processes in double: values against plain sums and samples, the optimal policy against
 * its equation, PARL's hypergradient against differences of the solved bilevel problem. */
#include "algorithms/parl/parl.h"
#include "core/models/state_table.h"
#include "envs/mdp/mdp.h"
#include "race.h"

#include <math.h>

TestSuite(mdp, .timeout = 120);

static const char *const problems[] = {
    "problem=random states=3 actions=2 horizon=3 pairs=8", "problem=grid width=3 height=3 pairs=8",
    "problem=four-rooms pairs=8", "problem=leader-follower pairs=8",
    "problem=leader-follower follower_value=averaged pairs=8"};
enum { PROBLEMS = 5, LEADER_FOLLOWER = 3, MOST_CELLS = 1000 };

/* An mdp and a random table over it. */
typedef struct Course {
    RgSettings *settings;
    RgEnvironment *environment;
    const RgMdp *mdp;
    int64_t cells;
    RgReal logits[MOST_CELLS], log_policy[MOST_CELLS];
} Course;

static void normalise(Course *c) {
    for (int64_t s = 0; s < c->mdp->states; s++) {
        double sum = 0;
        for (int64_t a = 0; a < c->mdp->actions; a++)
            sum += exp(c->logits[s * c->mdp->actions + a]);
        for (int64_t a = 0; a < c->mdp->actions; a++)
            c->log_policy[s * c->mdp->actions + a] = c->logits[s * c->mdp->actions + a] - log(sum);
    }
}

static Course open_task(const char *options) {
    Course c = {.settings = rg_settings_create()};
    RgError error = {0};
    rg_small_race_set(c.settings, "environment", options);
    cr_assert(rg_environment_create("mdp", c.settings, "environment", rg_random_root(3),
                                    &c.environment, &error) == RG_OK,
              "%s", error.text);
    c.mdp = c.environment->task.mdp;
    c.cells = c.mdp->states * c.mdp->actions;
    cr_assert_leq(c.cells, MOST_CELLS);
    for (int64_t i = 0; i < c.cells; i++)
        c.logits[i] = rg_random_normal(rg_random_root(4), (uint64_t)i);
    normalise(&c);
    return c;
}

static void close_task(Course *c) {
    rg_environment_destroy(c->environment);
    rg_settings_destroy(c->settings);
}

static RgShape table(const RgMdp *p) {
    return RG_SHAPE(p->states, p->actions);
}

static RgTensor *transitions(RgTape *t, const RgMdp *p) {
    return rg_constant(t, RG_SHAPE(p->states, p->actions, p->states), p->transition);
}

/* V by stepping the distribution of states until nobody is left. */
static double stepped_value(const RgMdp *p, const RgReal *reward, const RgReal *log_policy,
                            double beta) {
    double now[MOST_CELLS] = {0}, next[MOST_CELLS], total = 0, weight = 1, left = 1;
    for (int64_t s = 0; s < p->states; s++)
        now[s] = p->initial[s];
    for (int step = 0; weight * left > 1e-14 && step < 20000; step++, weight *= p->discount) {
        memset(next, 0, sizeof next);
        for (int64_t cell = 0; cell < p->states * p->actions; cell++) {
            double here = now[cell / p->actions] * exp(log_policy[cell]);
            total += weight * here * (reward[cell] - beta * log_policy[cell]);
            for (int64_t s = 0; s < p->states; s++)
                next[s] += here * p->transition[cell * p->states + s];
        }
        memcpy(now, next, sizeof now);
        left = 0;
        for (int64_t s = 0; s < p->states; s++)
            left += now[s];
    }
    return total;
}

Test(mdp, rows_are_probabilities_and_episodes_start_somewhere) {
    for (int k = 0; k < PROBLEMS; k++) {
        Course c = open_task(problems[k]);
        double start = 0;
        for (int64_t cell = 0; cell < c.cells; cell++) {
            double sum = 0;
            for (int64_t s = 0; s < c.mdp->states; s++) {
                cr_assert_geq(c.mdp->transition[cell * c.mdp->states + s], 0);
                sum += c.mdp->transition[cell * c.mdp->states + s];
            }
            cr_assert(fabs(sum) < 1e-12 || fabs(sum - 1) < 1e-12, "%g", sum);
        }
        for (int64_t s = 0; s < c.mdp->states; s++)
            start += c.mdp->initial[s];
        cr_assert_float_eq(start, 1, 1e-12);
        close_task(&c);
    }
}

Test(mdp, value_is_that_of_stepping_through_it) {
    for (int k = 0; k < PROBLEMS; k++) {
        Course c = open_task(problems[k]);
        RgTape *t = rg_tape_create();
        RgTensor *reward = rg_constant(t, table(c.mdp), c.mdp->reward);
        RgTensor *logits = rg_constant(t, table(c.mdp), c.logits);
        RgTensor *moves = transitions(t, c.mdp);
        for (int with = 0; with < 2; with++) {
            double found = rg_mdp_value(t, c.mdp, moves, reward, logits, NULL, 0.3 * with)->data[0];
            double expected = stepped_value(c.mdp, c.mdp->reward, c.log_policy, 0.3 * with);
            cr_assert_float_eq(found, expected, 1e-9, "%g, not %g", found, expected);
        }
        rg_tape_destroy(t);
        close_task(&c);
    }
}

Test(mdp, return_is_the_reward_of_the_visits) {
    for (int k = 0; k < PROBLEMS; k++) {
        Course c = open_task(problems[k]);
        double visits[MOST_CELLS], total = 0;
        rg_mdp_visits(c.mdp, c.log_policy, visits);
        for (int64_t i = 0; i < c.cells; i++)
            total += visits[i] * c.mdp->reward[i];
        cr_assert_float_eq(total, stepped_value(c.mdp, c.mdp->reward, c.log_policy, 0), 1e-9);
        close_task(&c);
    }
}

/* π* = π_ref exp((Q − v)/β) with v = β log Σ π_ref exp(Q/β), and nothing near it is better. */
Test(mdp, the_solution_satisfies_the_soft_bellman_equation) {
    const double beta = 0.2;
    for (int k = 0; k < PROBLEMS; k++) {
        Course c = open_task(problems[k]);
        RgReal solution[MOST_CELLS] = {0};
        double change = rg_mdp_solve(c.mdp, c.mdp->transition, c.mdp->reward, c.log_policy, beta,
                                     1e-12, 100, solution);
        cr_assert_lt(change, 1e-12);
        RgTape *t = rg_tape_create();
        RgTensor *reward = rg_constant(t, table(c.mdp), c.mdp->reward);
        RgTensor *reference = rg_constant(t, table(c.mdp), c.log_policy);
        RgTensor *logits = rg_constant(t, table(c.mdp), solution);
        RgTensor *moves = transitions(t, c.mdp);
        const RgReal *q =
            rg_mdp_action_value(t, c.mdp, moves, reward, logits, reference, beta)->data;
        for (int64_t s = 0; s < c.mdp->states; s++) {
            double sum = 0;
            for (int64_t i = s * c.mdp->actions; i < (s + 1) * c.mdp->actions; i++)
                sum += exp(c.log_policy[i] + q[i] / beta);
            for (int64_t i = s * c.mdp->actions; i < (s + 1) * c.mdp->actions; i++)
                cr_assert_float_eq(solution[i], c.log_policy[i] + q[i] / beta - log(sum), 1e-9);
        }
        double best = rg_mdp_value(t, c.mdp, moves, reward, logits, reference, beta)->data[0];
        for (int trial = 0; trial < 5; trial++) {
            RgReal near[MOST_CELLS];
            for (int64_t i = 0; i < c.cells; i++)
                near[i] = solution[i] + 0.1 * rg_random_normal(rg_random_root(trial), (uint64_t)i);
            RgTensor *other = rg_constant(t, table(c.mdp), near);
            cr_assert_lt(rg_mdp_value(t, c.mdp, moves, reward, other, reference, beta)->data[0],
                         best);
        }
        rg_tape_destroy(t);
        close_task(&c);
    }
}

Test(mdp, no_policy_returns_more_than_the_best) {
    for (int k = 0; k < PROBLEMS; k++) {
        Course c = open_task(problems[k]);
        int32_t action[MOST_CELLS];
        double best = rg_mdp_best_return(c.mdp, c.mdp->reward, action);
        cr_assert_geq(best, stepped_value(c.mdp, c.mdp->reward, c.log_policy, 0));
        RgReal solution[MOST_CELLS] = {0};
        rg_mdp_solve(c.mdp, c.mdp->transition, c.mdp->reward, NULL, 1e-4, 1e-9, 200, solution);
        double near = stepped_value(c.mdp, c.mdp->reward, solution, 0);
        cr_assert(near <= best + 1e-9 && near > best - 0.05 * fabs(best), "%g of %g", near, best);
        close_task(&c);
    }
}

Test(mdp, four_rooms_has_its_cells_and_a_straight_way) {
    Course c = open_task(problems[2]);
    cr_assert_eq(c.mdp->states, 2 * 104);
    cr_assert_eq(c.mdp->design_count, 105);
    int32_t action[MOST_CELLS];
    double best = rg_mdp_best_return(c.mdp, c.mdp->reward, action);
    cr_assert(best > 0 && best < 1);
    /* with unslipping moves, the way to (1, 9) takes 11 steps and that to (11, 11) 17 */
    double straight = (pow(0.99, 11) + pow(0.99, 17)) / 2;
    cr_assert_lt(best, straight);
    close_task(&c);
}

/* ---- the bilevel problem ---- */

/* A trainer of PARL on an mdp; race.h has the same for a bandit. */
static Race open_parl_of(const char *problem, const char *options, int64_t batch) {
    RgError error = {0};
    Race race = {.settings = rg_settings_create(), .algorithm = &rg_algorithm_parl};
    RgRandom random = rg_random_root(7);
    rg_small_race_set(race.settings, "environment", problem);
    rg_small_race_set(race.settings, "algorithm", options);
    rg_small_race_set(race.settings, "policy", "initial_deviation=0.5");
    cr_assert(rg_environment_create("mdp", race.settings, "environment", random, &race.environment,
                                    &error) == RG_OK,
              "%s", error.text);
    cr_assert(rg_policy_create("markov", race.settings, "policy", &race.environment->space, random,
                               &race.reference, &error) == RG_OK,
              "%s", error.text);
    cr_assert(rg_environment_prepare(race.environment, race.reference, random, &error) == RG_OK,
              "%s", error.text);
    race.policy = rg_policy_clone(race.reference, false);
    race.options = rg_allocate(1, race.algorithm->about.options_size);
    cr_assert(rg_options_read(race.algorithm->about.options, race.settings, "algorithm",
                              race.options, &error) == RG_OK,
              "%s", error.text);
    RgTrainingOptions training = {.batch = batch, .temperature = 1, .top_p = 1};
    RgOptimizerOptions sgd = {.type = {&rg_optimizer_sgd.about}, .learning_rate = 0.05};
    cr_assert(rg_trainer_create(race.algorithm, race.options, &training, race.policy,
                                race.reference, &race.environment->task, &sgd, 0,
                                rg_random_named(random, "training"), &race.trainer,
                                &error) == RG_OK,
              "%s", error.text);
    return race;
}

static Race open_parl(const char *problem, const char *options) {
    const int64_t batch = 16;
    return open_parl_of(problem, options, batch);
}

/* G at the reward that is there, its lower level solved anew. */
static double solved_objective(const Race *race) {
    RgEstimateReport report;
    double unused[1000];
    cr_assert(rg_parl_solve_lower(race->trainer->state));
    return race_hypergradient(race, 0, unused, &report);
}

/* Relative distance of a hypergradient, in some directions, to differences of G(ν, θ*(ν)). */
static double hypergradient_error(const char *problem, const char *options) {
    enum { DIRECTIONS = 6 };
    const double step = 1e-4;
    char all[300], exactly[300];
    const char *shared = "beta=0.3 expectation=exact upper=utility lower=solved on_failure=skip "
                         "regularizer=entropy";
    snprintf(all, sizeof all, "%s %s", shared, options);
    snprintf(exactly, sizeof exactly, "%s estimator=none", shared);
    Race race = open_parl(problem, all), none = open_parl(problem, exactly);
    RgParameters *nu = rg_parl_reward(race.trainer->state);
    RgParameters *other = rg_parl_reward(none.trainer->state);
    double *found = rg_allocate(nu->count, sizeof *found), gap = 0, norm = 0;
    for (int64_t i = 0; i < nu->count; i++)
        nu->value[i] = rg_random_normal(rg_random_root(11), (uint64_t)i);
    cr_assert(rg_parl_solve_lower(race.trainer->state));
    RgEstimateReport report;
    race_hypergradient(&race, 0, found, &report);
    cr_assert_null(report.failure, "%s: %s", options, report.failure);
    for (int d = 0; d < DIRECTIONS; d++) {
        double side[2], along = 0;
        for (int k = 0; k < 2; k++) {
            for (int64_t i = 0; i < nu->count; i++)
                other->value[i] = nu->value[i] + (k == 0 ? step : -step) *
                                                     rg_random_normal(rg_random_root(20 + d), i);
            side[k] = solved_objective(&none);
        }
        for (int64_t i = 0; i < nu->count; i++)
            along += found[i] * rg_random_normal(rg_random_root(20 + d), (uint64_t)i);
        double difference = (side[0] - side[1]) / (2 * step);
        gap += (along - difference) * (along - difference);
        norm += difference * difference;
    }
    free(found);
    race_end(&race);
    race_end(&none);
    return sqrt(gap / norm);
}

Test(mdp, hypergradients_are_differences_of_the_solved_problem) {
    for (int k = 0; k < PROBLEMS; k++) {
        double error = hypergradient_error(problems[k], "estimator=boltzmann");
        cr_assert_lt(error, 1e-5, "boltzmann on %s is off by %g", problems[k], error);
    }
    for (int k = 0; k < 2; k++) {
        double error = hypergradient_error(problems[k], "estimator=exact damping=0");
        cr_assert_lt(error, 1e-5, "exact on %s is off by %g", problems[k], error);
        error = hypergradient_error(problems[k],
                                    "estimator=cg damping=0 iterations=400 tolerance=1e-12");
        cr_assert_lt(error, 1e-4, "cg on %s is off by %g", problems[k], error);
        error =
            hypergradient_error(problems[k], "estimator=finite-difference damping=0 iterations=400 "
                                             "tolerance=1e-9");
        cr_assert_lt(error, 1e-4, "finite differences on %s are off by %g", problems[k], error);
    }
}

/* Where the leader's policy changes transitions and rewards of the follower. Two estimators drop
 * the follower's curvature or its response, and are off. */
Test(mdp, every_estimator_differentiates_the_leaders_value_through_the_follower) {
    static const struct {
        const char *options;
        double tolerance;
    } right[] = {
        {"estimator=exact damping=0", 1e-5},
        {"estimator=boltzmann", 1e-5},
        {"estimator=cg damping=0 iterations=400 tolerance=1e-12", 1e-4},
        {"estimator=finite-difference damping=0 iterations=400 tolerance=1e-6", 1e-3},
        {"estimator=neumann damping=0 iterations=20000", 1e-3},
        {"estimator=unrolled damping=0 iterations=4000", 1e-2},
        {"estimator=penalty penalty=1e5 iterations=3000 tolerance=1e-8", 1e-2},
    };
    for (int k = LEADER_FOLLOWER; k < PROBLEMS; k++) {
        for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
            double error = hypergradient_error(problems[k], right[i].options);
            cr_assert_lt(error, right[i].tolerance, "%s on %s is off by %g", right[i].options,
                         problems[k], error);
        }
        cr_assert_gt(hypergradient_error(problems[k], "estimator=none"), 0.1);
        cr_assert_gt(hypergradient_error(problems[k], "estimator=identity"), 0.1);
    }
}

/* Distance of the mean hypergradient of some rounds from visits in Four Rooms to the exact one,
 * relative to that; and G's. A larger β pays so much for entropy that episodes are cut short, which
 * exact values are not. */
static double visits_error(const char *options, int rounds, int64_t batch, double *of_value) {
    enum { MOST_WEIGHTS = 200 };
    const char *shared = "beta=0.003 upper=utility lower=solved regularizer=entropy "
                         "estimator=boltzmann reward_deviation=0.5";
    char all[300];
    double exact[MOST_WEIGHTS], found[MOST_WEIGHTS], mean[MOST_WEIGHTS] = {0}, gap = 0, norm = 0;
    RgEstimateReport report;
    snprintf(all, sizeof all, "%s expectation=exact", shared);
    Race whole = open_parl_of("problem=four-rooms pairs=8 conditions=200", all, 1);
    snprintf(all, sizeof all, "%s %s", shared, options);
    Race sampled = open_parl_of("problem=four-rooms pairs=8 conditions=200", all, batch);
    int64_t count = rg_parl_reward(whole.trainer->state)->count;
    cr_assert_leq(count, MOST_WEIGHTS);
    cr_assert(rg_parl_solve_lower(whole.trainer->state));
    cr_assert(rg_parl_solve_lower(sampled.trainer->state));
    double value = race_hypergradient(&whole, 0, exact, &report);
    for (int k = 0; k < rounds; k++) {
        *of_value = fabs(race_hypergradient(&sampled, k, found, &report) - value);
        for (int64_t i = 0; i < count; i++)
            mean[i] += found[i] / rounds;
    }
    for (int64_t i = 0; i < count; i++) {
        gap += (mean[i] - exact[i]) * (mean[i] - exact[i]);
        norm += exact[i] * exact[i];
    }
    race_end(&sampled);
    race_end(&whole);
    return sqrt(gap / norm);
}

/* With thousands of episodes both come close to the exact hypergradient; with few, the product of
 * two advantages from the same visits is biased, and that of two halves is less so. */
Test(mdp, hypergradients_from_visits_approach_the_exact_one) {
    double value;
    const char *visits = "expectation=sampled advantage=visits",
               *halves = "expectation=sampled advantage=halves";
    double many = visits_error(visits, 10, 2000, &value);
    cr_assert_lt(value, 1e-9); /* G is exact */
    cr_expect_lt(many, 0.6, "visits are off by %g", many);
    many = visits_error(halves, 10, 2000, &value);
    cr_expect_lt(many, 0.2, "halves are off by %g", many);
    double same = visits_error(visits, 400, 20, &value),
           other = visits_error(halves, 400, 20, &value);
    cr_expect_gt(same, 5 * other, "%g of the same visits, %g of halves", same, other);
}

/* One prompt a round: rounds differ by the goal, and their mean is that of both. */
Test(mdp, one_context_a_round_is_right_on_average) {
    double value;
    double error =
        visits_error("expectation=sampled advantage=halves contexts=one", 200, 200, &value);
    cr_expect_lt(error, 0.2, "off by %g", error);
}

/* ∂_θG from episodes, against the exact one: within 4 standard errors in every coordinate, and the
 * closed form from visits with it. */
Test(mdp, sampled_upper_gradients_are_unbiased) {
    enum { ROUNDS = 4000, MOST = 18 };
    const char *problem = "problem=random states=3 actions=2 horizon=3 branching=2 pairs=8 "
                          "conditions=48";
    double mean[MOST] = {0}, square[MOST] = {0};
    RgReal lower[MOST], exact[MOST];
    Race sampled = open_parl(problem, "beta=0.5 upper=utility lower=solved estimator=none");
    Race whole = open_parl(problem, "beta=0.5 upper=utility lower=solved estimator=none "
                                    "expectation=exact");
    cr_assert_eq(whole.policy->parameters->count, MOST);
    RgBilevel p = rg_parl_problem(whole.trainer->state, 0);
    p.objective_gradients(p.context, exact, NULL);
    for (int s = 0; s < ROUNDS; s++) {
        p = rg_parl_problem(sampled.trainer->state, s);
        p.objective_gradients(p.context, lower, NULL);
        for (int i = 0; i < MOST; i++) {
            double before = lower[i] - mean[i];
            mean[i] += before / (s + 1);
            square[i] += before * (lower[i] - mean[i]);
        }
    }
    for (int i = 0; i < MOST; i++) {
        double error = sqrt(square[i] / (ROUNDS - 1) / ROUNDS) + 1e-12;
        cr_assert_lt(fabs(mean[i] - exact[i]) / error, 4.5, "%d: %g, not %g (± %g)", i, mean[i],
                     exact[i], error);
    }
    race_end(&sampled);
    race_end(&whole);
}
