/* SPDX-License-Identifier: MIT */
/* The process with three states of BC-HG (arXiv:2603.14867): the follower's optimum and the leader's
 * value against iterations that share nothing with the program, and against figures that are known.
 *
 * Source of the figures: the process and its exact optima, worked out twice for the two published
 * settings, R1 (R = 1, discounted) and R2 (R = 2, undiscounted), each over 150 steps. */
#include "envs/mdp/mdp.h"
#include "race.h"

#include <math.h>

TestSuite(leader_follower, .timeout = 120);

enum { STATES = 3, LEADER = 2, FOLLOWER = 3, A = 1 };
static const double tau = 0.05;

#define R1       "problem=leader-follower pairs=8 follower_reward=1 "
#define R2       "problem=leader-follower pairs=8 follower_reward=2 leader_discount=1 "
#define AVERAGED "follower_value=averaged"
#define OBSERVED "follower_value=observed"

typedef struct Scene {
    RgSettings *settings;
    RgEnvironment *environment;
    const RgMdp *mdp;
} Scene;

static Scene open_scene(const char *options) {
    Scene s = {.settings = rg_settings_create()};
    RgError error = {0};
    rg_small_race_set(s.settings, "environment", options);
    cr_assert(rg_environment_create("mdp", s.settings, "environment", rg_random_root(3),
                                    &s.environment, &error) == RG_OK,
              "%s", error.text);
    s.mdp = s.environment->task.mdp;
    return s;
}

static void close_scene(Scene *s) {
    rg_environment_destroy(s->environment);
    rg_settings_destroy(s->settings);
}

/* ν for which the leader takes action 1 in A with this probability, and in the other states, where
 * it does not matter, with others. */
static void set_leader(double probability, RgReal *parameters) {
    const RgReal elsewhere[STATES] = {0.7, 0, -0.4};
    for (int s = 0; s < STATES; s++) {
        parameters[s * LEADER] = 0;
        parameters[s * LEADER + 1] = elsewhere[s];
    }
    double logit = log(probability) - log1p(-probability);
    parameters[A * LEADER + 1] = fmax(-40, fmin(40, logit));
}

/* The leader's value by the program's functions; the follower's log-probabilities go to logits. */
static double value_of(const RgMdp *mdp, double probability, RgReal *logits) {
    RgReal parameters[STATES * LEADER];
    RgTape *t = rg_tape_create();
    set_leader(probability, parameters);
    RgTensor *nu = rg_constant(t, RG_SHAPE(STATES * LEADER), parameters);
    const RgTensor *reward = rg_mdp_design(t, mdp, nu);
    const RgTensor *transition = rg_mdp_dynamics(t, mdp, nu);
    memset(logits, 0, (size_t)(mdp->states * mdp->actions) * sizeof *logits);
    double change =
        rg_mdp_solve(mdp, transition->data, reward->data, NULL, tau, 1e-12, 200, logits);
    cr_assert_leq(change, 1e-12);
    RgTensor *policy = rg_constant(t, RG_SHAPE(mdp->states, mdp->actions), logits);
    double value = rg_mdp_upper_value(t, mdp, nu, policy)->data[0];
    rg_tape_destroy(t);
    return value;
}

static double at(const char *options, double probability) {
    Scene s = open_scene(options);
    RgReal logits[100];
    double value = value_of(s.mdp, probability, logits);
    close_scene(&s);
    return value;
}

/* ---- an independent account of the process ---- */

typedef struct Move {
    int next;
    double follower, leader;
} Move;

static Move move_of(int state, int leader, int follower, double reward) {
    if (state == 0 && follower == 1)
        return (Move){1, 1, 1};
    if (state == 0 && follower == 2)
        return (Move){2, 1, 0};
    if (state == A && leader == 1)
        return (Move){0, -1, 0};
    if (state == A && follower == 0)
        return (Move){0, 0, 0};
    if (state == A && follower == 2)
        return (Move){2, reward, 0};
    if (state == 2 && follower == 0)
        return (Move){0, 0, 0};
    return (Move){state, 0, 0};
}

static double soft_maximum(const double *x, int count) {
    double most = x[0], sum = 0;
    for (int i = 1; i < count; i++)
        most = fmax(most, x[i]);
    for (int i = 0; i < count; i++)
        sum += exp((x[i] - most) / tau);
    return most + tau * log(sum);
}

typedef struct Account {
    double policy[STATES][LEADER][FOLLOWER], value;
} Account;

static void look_ahead(const double *value, double reward, double q[STATES][LEADER][FOLLOWER]) {
    for (int s = 0; s < STATES; s++)
        for (int l = 0; l < LEADER; l++)
            for (int b = 0; b < FOLLOWER; b++) {
                Move m = move_of(s, l, b, reward);
                q[s][l][b] = m.follower + 0.99 * value[m.next];
            }
}

/* Soft value iteration by either definition, then the leader's value step by step. */
static Account account_of(double probability, double reward, double discount, bool averaged) {
    const double leader[STATES][LEADER] = {{0.5, 0.5}, {1 - probability, probability}, {0.5, 0.5}};
    double value[STATES] = {0}, q[STATES][LEADER][FOLLOWER];
    Account a = {0};
    for (int sweep = 0; sweep < 4000; sweep++) {
        look_ahead(value, reward, q);
        for (int s = 0; s < STATES; s++) {
            double mean[FOLLOWER] = {0}, of_soft = 0;
            for (int l = 0; l < LEADER; l++) {
                of_soft += leader[s][l] * soft_maximum(q[s][l], FOLLOWER);
                for (int b = 0; b < FOLLOWER; b++)
                    mean[b] += leader[s][l] * q[s][l][b];
            }
            value[s] = averaged ? soft_maximum(mean, FOLLOWER) : of_soft;
        }
    }
    double now[STATES] = {1}, weight = 1;
    look_ahead(value, reward, q);
    for (int s = 0; s < STATES; s++)
        for (int l = 0; l < LEADER; l++)
            for (int b = 0; b < FOLLOWER; b++)
                a.policy[s][l][b] = exp((q[s][l][b] - soft_maximum(q[s][l], FOLLOWER)) / tau);
    for (int step = 0; step < 150; step++, weight *= discount) {
        double next[STATES] = {0};
        for (int s = 0; s < STATES; s++)
            for (int l = 0; l < LEADER; l++)
                for (int b = 0; b < FOLLOWER; b++) {
                    Move m = move_of(s, l, b, reward);
                    double here = now[s] * leader[s][l] * a.policy[s][l][b];
                    a.value += weight * here * m.leader;
                    next[m.next] += here;
                }
        memcpy(now, next, sizeof now);
    }
    return a;
}

Test(leader_follower, follower_and_leader_are_those_of_plain_iteration) {
    static const struct {
        const char *options;
        double reward, discount;
        bool averaged;
    } settings[] = {{R1 AVERAGED, 1, 0.99, true},
                    {R1 OBSERVED, 1, 0.99, false},
                    {R2 AVERAGED, 2, 1, true},
                    {R2 OBSERVED, 2, 1, false}};
    static const double probabilities[] = {0.05, 0.158, 0.3, 0.491, 0.8};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        Scene s = open_scene(settings[i].options);
        for (size_t k = 0; k < sizeof probabilities / sizeof *probabilities; k++) {
            Account a = account_of(probabilities[k], settings[i].reward, settings[i].discount,
                                   settings[i].averaged);
            RgReal logits[100];
            cr_assert_float_eq(value_of(s.mdp, probabilities[k], logits), a.value, 1e-8);
            for (int row = 0; row < STATES * LEADER; row++)
                for (int b = 0; b < FOLLOWER; b++)
                    cr_assert_float_eq(exp(logits[row * FOLLOWER + b]),
                                       a.policy[row / LEADER][row % LEADER][b], 1e-10);
        }
        close_scene(&s);
    }
}

/* ---- figures that are known ---- */

static void check_optimum(const char *options, double expected) {
    Scene s = open_scene(options);
    double best = s.mdp->best_upper_value(s.mdp, NULL, tau);
    cr_assert_float_eq(best, expected, 1e-4, "%s: %.6f", options, best);
    close_scene(&s);
}

Test(leader_follower, optima_are_those_of_the_averaged_q) {
    check_optimum(R1 AVERAGED, 27.2558);
    check_optimum(R2 AVERAGED, 59.4805);
    cr_assert_float_eq(at(R1 AVERAGED, 0.158), 27.2558, 1e-4);
    cr_assert_float_eq(at(R2 AVERAGED, 0.491), 59.4805, 1e-4);
}

/* The places of the optima have three digits. */
Test(leader_follower, optima_are_where_they_are_known_to_be) {
    cr_assert(at(R1 AVERAGED, 0.158) > fmax(at(R1 AVERAGED, 0.157), at(R1 AVERAGED, 0.159)));
    cr_assert(at(R2 AVERAGED, 0.491) > fmax(at(R2 AVERAGED, 0.490), at(R2 AVERAGED, 0.492)));
}

/* The usual definition has other optima, further from the known ones than their digits. */
Test(leader_follower, the_usual_definition_has_other_optima) {
    check_optimum(R1 OBSERVED, 27.3156);
    check_optimum(R2 OBSERVED, 59.7501);
}

/* To the two decimals of the source. */
Test(leader_follower, value_curve_is_the_known_one) {
    static const double probability[] = {0, 0.1, 0.25, 0.5, 0.75},
                        first[] = {26.22, 27.04, 25.54, 0.28, 0},
                        second[] = {50.00, 52.06, 54.88, 59.44, 0.05};
    for (int i = 0; i < 5; i++) {
        double found = at(R1 AVERAGED, probability[i]);
        cr_assert_float_eq(found, first[i], 0.005001, "R1 at %g: %g", probability[i], found);
        found = at(R2 AVERAGED, probability[i]);
        cr_assert_float_eq(found, second[i], 0.005001, "R2 at %g: %g", probability[i], found);
    }
    cr_assert_float_eq(at(R1 AVERAGED, 1), 0, 0.005);
}

Test(leader_follower, optimum_is_unknown_where_the_leader_has_more_to_choose) {
    Scene s = open_scene(R1);
    RgLeaderFollower *process = (RgLeaderFollower *)rg_leader_follower_of(s.mdp);
    cr_assert(isfinite(s.mdp->best_upper_value(s.mdp, NULL, tau)));
    process->leader_reward[0] += 1; /* of action 0 in S */
    cr_assert(isnan(s.mdp->best_upper_value(s.mdp, NULL, tau)));
    close_scene(&s);
}
