/* SPDX-License-Identifier: MIT */
/* Steps with exact expectations: the trainer's gradient against the gradient of the objective that
 * the method is an estimate of, which the tape differentiates as one sum over all pairs. */
#include <criterion/criterion.h>

#include "algorithms/training/expectation.h"
#include "core/models/enumerated.h"
#include "envs/bandit/bandit.h"
#include "envs/bandit/bandit_exact.h"
#include "race.h"

#include <math.h>
#include <string.h>

enum { C = 3, R = 5, CELLS = C * R };

static Race exact_race(const char *algorithm, const char *options) {
    Race race =
        race_begin(algorithm, options,
                   "contexts=3 responses=5 pairs=60 label_temperature=0.8 label_noise=0.1", 0.5, 8);
    race.trainer->training.expectation = RG_EXACT_EXPECTATION;
    return race;
}

/* The numbers of J for the race, with its reference and the shares of its offline pairs. */
typedef struct Problem {
    double reference[CELLS], shares[CELLS * R];
    RgExactProblem exact;
} Problem;

static void find_problem(const Race *race, Problem *problem) {
    const RgTask *task = &race->environment->task;
    rg_policy_table(race->reference, problem->reference);
    rg_bandit_pair_shares(race->environment, problem->shares);
    problem->exact = (RgExactProblem){.contexts = C,
                                      .responses = R,
                                      .reference = problem->reference,
                                      .reward = rg_bandit_rewards(race->environment).reward,
                                      .pair_shares = problem->shares,
                                      .beta = race->trainer->recipe.beta,
                                      .label_temperature = task->label_temperature,
                                      .label_noise = task->label_noise};
}

/* The trainer's loss, with its gradient in the policy's parameters. */
static double trainer_loss(Race *race) {
    double loss;
    RgError error = {0};
    rg_parameters_zero_gradient(race->policy->parameters);
    cr_assert_eq(rg_trainer_gradient(race->trainer, 0, &loss, &error), RG_OK, "%s", error.text);
    return loss;
}

/* Hold the gradient of the race's loss against that of −J, by enumeration on a tape. Returns the
 * loss plus J: 0 if the loss is −J. */
static double expect_gradient(Race *race, RgExactSources sources) {
    Problem problem;
    double sum = 0, difference = 0, loss = trainer_loss(race);
    find_problem(race, &problem);
    RgTape *tape = rg_tape_create();
    RgTensor *x = rg_variable(tape, RG_SHAPE(C, R), race->policy->parameters->value), *g;
    RgTensor *j = rg_exact_sail(tape, x, &problem.exact, sources);
    rg_gradients(tape, j, &x, 1, &g);
    for (int i = 0; i < CELLS; i++) {
        sum += g->data[i] * g->data[i];
        difference += pow(g->data[i] + race->policy->parameters->gradient[i], 2);
    }
    loss += j->data[0];
    rg_tape_destroy(tape);
    cr_expect_gt(sum, 1e-8);
    cr_expect_lt(sqrt(difference / sum), 1e-11, "%s", race->trainer->algorithm->about.name);
    return loss;
}

static const RgExactSources offline = {RG_EXACT_DATASET_RESPONSES, RG_EXACT_DATASET_LABELS, 1, 1};
static const RgExactSources judged = {RG_EXACT_POLICY_RESPONSES, RG_EXACT_JUDGE_LABELS, 1, 1};
static const RgExactSources self = {RG_EXACT_POLICY_RESPONSES, RG_EXACT_POLICY_LABELS, 1, 1};

Test(expectation, dpo_is_the_likelihood_of_all_offline_pairs) {
    Race s = exact_race("dpo", "beta=0.7");
    cr_expect_float_eq(expect_gradient(&s, offline), 0, 1e-13);
    race_end(&s);
}

Test(expectation, online_dpo_is_the_objective_with_its_distributions_held_fixed) {
    Race s = exact_race("online-dpo", "beta=0.7");
    cr_expect_float_eq(expect_gradient(&s, judged), 0, 1e-13);
    race_end(&s);
}

/* With coefficient 1 the score terms complete the gradient of J itself. (The value of the loss has
 * the terms added.) */
static void expect_whole_gradient(const char *algorithm, RgExactSources sources) {
    static const char *const terms[] = {"exact", "baseline"};
    for (int i = 0; i < 2; i++) {
        char options[80];
        snprintf(options, sizeof options, "beta=0.7 mixture=1 exploration=1 score_term=%s",
                 terms[i]);
        Race s = exact_race(algorithm, options);
        expect_gradient(&s, sources);
        race_end(&s);
    }
}

Test(expectation, sail_with_its_score_terms_is_the_gradient_of_its_objective) {
    RgExactSources pr = judged, pp = self;
    RgExactSources dp = {RG_EXACT_DATASET_RESPONSES, RG_EXACT_POLICY_LABELS, 0, 0};
    pr.stop_responses = pr.stop_labels = pp.stop_responses = pp.stop_labels = false;
    expect_whole_gradient("sail-pr", pr);
    expect_whole_gradient("sail-pp", pp);
    expect_whole_gradient("sail-dp", dp);
}

/* ---- terms of the loss ---- */

enum { DPO, SECOND, THIRD, TERMS };

static void terms_of(Race *race, double gradient[TERMS][CELLS]) {
    double *term[] = {gradient[0], gradient[1], gradient[2]};
    RgError error = {0};
    cr_assert_eq(rg_trainer_term_gradients(race->trainer, 0, term, &error), RG_OK, "%s",
                 error.text);
}

/* −∇J with the distributions of `sources`. */
static void exact_of(Race *race, RgExactSources sources, double gradient[CELLS]) {
    Problem problem;
    find_problem(race, &problem);
    RgTape *tape = rg_tape_create();
    RgTensor *x = rg_variable(tape, RG_SHAPE(C, R), race->policy->parameters->value), *g;
    rg_gradients(tape, rg_exact_sail(tape, x, &problem.exact, sources), &x, 1, &g);
    for (int i = 0; i < CELLS; i++)
        gradient[i] = -g->data[i];
    rg_tape_destroy(tape);
}

static void expect_term(const double *found, const double *with, const double *without,
                        double coefficient) {
    for (int i = 0; i < CELLS; i++)
        cr_expect_float_eq(found[i], coefficient * (with[i] - (without ? without[i] : 0)), 1e-13,
                           "%d", i);
}

/* SAIL-PP has all three: DPO's, that of the responses and that of the labels. */
Test(expectation, terms_of_sail_are_those_of_its_objective) {
    Race s = exact_race("sail-pp", "beta=0.7 mixture=1 exploration=0.6");
    RgExactSources responses = self, labels = self;
    double term[TERMS][CELLS], fit[CELLS], with_responses[CELLS], with_labels[CELLS];
    responses.stop_responses = labels.stop_labels = false;
    terms_of(&s, term);
    exact_of(&s, self, fit);
    exact_of(&s, responses, with_responses);
    exact_of(&s, labels, with_labels);
    expect_term(term[DPO], fit, NULL, 1);
    expect_term(term[SECOND], with_responses, fit, 0.6);
    expect_term(term[THIRD], with_labels, fit, 0.6);
    race_end(&s);
}

Test(expectation, terms_of_a_loss_sum_to_its_gradient) {
    static const char *const names[] = {"dpo",     "online-dpo", "sail-dp", "sail-pp",
                                        "sail-pr", "sail-revkl", "ipo"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        Race s = exact_race(names[k], "beta=0.7");
        double term[TERMS][CELLS] = {{0}};
        terms_of(&s, term);
        for (int i = 0; i < CELLS; i++)
            cr_expect_eq(s.policy->parameters->gradient[i], 0);
        trainer_loss(&s);
        for (int i = 0; i < CELLS; i++)
            cr_expect_float_eq(term[0][i] + term[1][i] + term[2][i],
                               s.policy->parameters->gradient[i], 1e-14, "%s, %d", names[k], i);
        race_end(&s);
    }
}

/* Where the policy is the optimum of reward and KL its labels are the judge's, and DPO's term is 0. The
 * score term of J is not, with a baseline or without. */
Test(expectation, score_term_moves_the_optimum) {
    static const char *const terms[] = {"exact", "baseline"};
    for (int k = 0; k < 2; k++) {
        char options[80];
        snprintf(options, sizeof options, "beta=0.7 mixture=1 exploration=1 score_term=%s",
                 terms[k]);
        Race s =
            race_begin("sail-pr", options, "contexts=3 responses=5 label_temperature=0.8", 0, 8);
        s.trainer->training.expectation = RG_EXACT_EXPECTATION;
        const double *reward = rg_bandit_rewards(s.environment).reward;
        double term[TERMS][CELLS], size[TERMS] = {0};
        for (int i = 0; i < CELLS; i++)
            s.policy->parameters->value[i] += reward[i] / (0.7 * 0.8);
        terms_of(&s, term);
        for (int i = 0; i < CELLS; i++)
            for (int j = 0; j < THIRD; j++)
                size[j] = fmax(size[j], fabs(term[j][i]));
        cr_expect_lt(size[DPO], 1e-14);
        cr_expect_gt(size[SECOND], 1e-3);
        race_end(&s);
    }
}

Test(expectation, a_mixture_is_the_mean_of_both_distributions) {
    Race mixed = exact_race("online-dpo", "beta=0.7 mixture=0.3");
    Race own = exact_race("online-dpo", "beta=0.7");
    Race data = exact_race("dpo", "beta=0.7");
    double expected = 0.3 * trainer_loss(&own) + 0.7 * trainer_loss(&data);
    cr_expect_float_eq(trainer_loss(&mixed), expected, 1e-13);
    for (int i = 0; i < CELLS; i++)
        cr_expect_float_eq(mixed.policy->parameters->gradient[i],
                           0.3 * own.policy->parameters->gradient[i] +
                               0.7 * data.policy->parameters->gradient[i],
                           1e-14);
    race_end(&mixed);
    race_end(&own);
    race_end(&data);
}

/* ∇ E_π[r − β h] = Σ π (r − β h) ∇log π, which RLOO estimates without bias. */
Test(expectation, rloo_is_the_policy_gradient) {
    Race s = exact_race("rloo", "beta=0.3 group_size=2");
    double table[CELLS], reference[CELLS];
    rg_policy_table(s.policy, table);
    rg_policy_table(s.reference, reference);
    const double *reward = rg_bandit_rewards(s.environment).reward;
    trainer_loss(&s);
    for (int c = 0; c < C; c++) {
        double mean = 0;
        for (int r = c * R; r < (c + 1) * R; r++)
            mean += exp(table[r]) * (reward[r] - 0.3 * (table[r] - reference[r]));
        for (int r = c * R; r < (c + 1) * R; r++) {
            double gain = reward[r] - 0.3 * (table[r] - reference[r]) - mean;
            cr_expect_float_eq(-s.policy->parameters->gradient[r], exp(table[r]) * gain / C, 1e-13);
        }
    }
    race_end(&s);
}

/* ---- third responses ---- */

/* The gradient of a race's loss, [CELLS], with what it was computed from. */
typedef struct Third {
    double gradient[CELLS], policy[CELLS], reference[CELLS], shares[CELLS * R];
    double context[C], other[R]; /* shares of contexts and of responses in the offline pairs */
} Third;

static Third third_of(const char *algorithm, const char *options) {
    Third third = {0};
    Race s = exact_race(algorithm, options);
    Problem problem;
    find_problem(&s, &problem);
    trainer_loss(&s);
    memcpy(third.gradient, s.policy->parameters->gradient, sizeof third.gradient);
    memcpy(third.reference, problem.reference, sizeof third.reference);
    memcpy(third.shares, problem.shares, sizeof third.shares);
    rg_policy_table(s.policy, third.policy);
    for (int i = 0; i < CELLS * R; i++) {
        third.context[i / (R * R)] += third.shares[i];
        third.other[i / R % R] += third.shares[i] / 2;
        third.other[i % R] += third.shares[i] / 2;
    }
    race_end(&s);
    return third;
}

/* ∇ KL(π ‖ π_ref) = Σ π (h − KL) ∇log π, at the contexts of the offline pairs. */
Test(expectation, hybrid_is_dpo_with_the_gradient_of_the_divergence) {
    Third with = third_of("hybrid", "beta=0.7 kl_coefficient=0.4"),
          dpo = third_of("dpo", "beta=0.7");
    for (int c = 0; c < C; c++) {
        double kl = 0;
        for (int i = c * R; i < (c + 1) * R; i++)
            kl += exp(with.policy[i]) * (with.policy[i] - with.reference[i]);
        for (int i = c * R; i < (c + 1) * R; i++) {
            double h = with.policy[i] - with.reference[i];
            double expected = 0.4 * with.context[c] * exp(with.policy[i]) * (h - kl);
            cr_expect_float_eq(with.gradient[i] - dpo.gradient[i], expected, 1e-14);
        }
    }
}

/* ∇ E_{y ~ π_ref}[log π(y)] = π_ref − π, at the contexts of the prompts and of the offline pairs. */
Test(expectation, vpo_lowers_the_likelihood_of_the_reference) {
    Third with = third_of("vpo", "beta=0.7 exploration=0.4 mixture=0.3");
    Third without = third_of("vpo", "beta=0.7 exploration=0 mixture=0.3");
    Third dpo = third_of("online-dpo", "beta=0.7 mixture=0.3");
    for (int i = 0; i < CELLS; i++) {
        double context = 0.3 / C + 0.7 * with.context[i / R];
        double expected = 0.4 * context * (exp(with.reference[i]) - exp(with.policy[i]));
        cr_expect_float_eq(with.gradient[i] - dpo.gradient[i], expected, 1e-14);
        cr_expect_float_eq(without.gradient[i], dpo.gradient[i], 1e-15);
    }
}

/* Adds the gradient of a function of the log-probability of one response, times `slope`. */
static void add_slope(double *gradient, const double *policy, int cell, double slope) {
    for (int i = cell / R * R; i < (cell / R + 1) * R; i++)
        gradient[i] += slope * ((i == cell) - exp(policy[i]));
}

/* SELM's loss and gradient over all offline pairs and all third responses of log-probabilities q. */
static void selm_by_hand(const Third *t, const double *q, const double *reward, double *gradient) {
    for (int i = 0; i < CELLS * R; i++)
        for (int y = 0; y < R; y++) {
            int c = i / (R * R) * R, trio[] = {c + i / R % R, c + i % R, c + y}, best = 0,
                worst = 0;
            for (int k = 1; k < 3; k++) {
                best = reward[trio[k]] > reward[trio[best]] ? k : best;
                worst = reward[trio[k]] <= reward[trio[worst]] ? k : worst;
            }
            double weight = t->shares[i] * exp(q[c + y]);
            double gap = t->policy[trio[best]] - t->reference[trio[best]] -
                         (t->policy[trio[worst]] - t->reference[trio[worst]]);
            double slope = -weight * 0.7 / (1 + exp(0.7 * gap));
            add_slope(gradient, t->policy, trio[best], slope);
            add_slope(gradient, t->policy, trio[worst], -slope);
            add_slope(gradient, t->policy, c + y, 0.4 * weight);
        }
}

static void check_selm(double temperature) {
    char options[80];
    snprintf(options, sizeof options, "beta=0.7 exploration=0.4 calibration_temperature=%g",
             temperature);
    Third t = third_of("selm", options);
    double q[CELLS], expected[CELLS] = {0}, largest = 0;
    for (int c = 0; c < C; c++) {
        double *row = q + c * R, sum = 0;
        int best = 0;
        memcpy(row, t.reference + c * R, R * sizeof *row);
        for (int r = 0; r < R; r++) {
            best = row[r] > row[best] ? r : best;
            sum += exp(row[r] / fmax(temperature, 1e-3));
        }
        for (int r = 0; r < R; r++)
            row[r] =
                temperature > 0 ? row[r] / temperature - log(sum) : (r == best ? 0 : -INFINITY);
    }
    Race s = exact_race("dpo", "");
    selm_by_hand(&t, q, rg_bandit_rewards(s.environment).reward, expected);
    race_end(&s);
    for (int i = 0; i < CELLS; i++) {
        cr_expect_float_eq(t.gradient[i], expected[i], 1e-14, "%d: %g, expected %g", i,
                           t.gradient[i], expected[i]);
        largest = fmax(largest, fabs(expected[i]));
    }
    cr_expect_gt(largest, 1e-3);
}

Test(expectation, selm_is_the_sum_over_pairs_and_third_responses) {
    check_selm(0);
    check_selm(0.7);
    check_selm(1);
}

/* z is over every response of a pair with every context, of independent pairs. */
static void check_kto(const char *options, double desirable, double undesirable, bool chosen_only) {
    Third t = third_of("kto", options);
    double z = 0, expected[CELLS] = {0}, chosen[R] = {0};
    for (int i = 0; i < CELLS * R; i++)
        chosen[i / R % R] += t.shares[i];
    for (int i = 0; i < CELLS; i++)
        z += 0.7 * t.context[i / R] * (chosen_only ? chosen : t.other)[i % R] *
             (t.policy[i] - t.reference[i]);
    z = fmax(z, 0);
    for (int i = 0; i < CELLS * R; i++) {
        int w = i / R, l = i / (R * R) * R + i % R;
        double good = 1 / (1 + exp(z - 0.7 * (t.policy[w] - t.reference[w])));
        double bad = 1 / (1 + exp(z - 0.7 * (t.policy[l] - t.reference[l])));
        add_slope(expected, t.policy, w, -t.shares[i] * desirable / 2 * 0.7 * good * (1 - good));
        add_slope(expected, t.policy, l, t.shares[i] * undesirable / 2 * 0.7 * bad * (1 - bad));
    }
    for (int i = 0; i < CELLS; i++)
        cr_expect_float_eq(t.gradient[i], expected[i], 1e-14, "%s, %d: %g, expected %g", options, i,
                           t.gradient[i], expected[i]);
}

Test(expectation, kto_has_the_divergence_of_all_mismatched_responses) {
    check_kto("beta=0.7 desirable_weight=2", 2, 1, false);
    check_kto("beta=0.7 undesirable_weight=3 kl_responses=chosen", 1, 3, true);
}

/* Parts of a batch share the third responses. */
Test(expectation, parts_have_the_gradient_of_the_whole_with_third_responses) {
    double whole[CELLS];
    Race s = exact_race("hybrid", "beta=0.7 kl_coefficient=0.4");
    double loss = trainer_loss(&s);
    memcpy(whole, s.policy->parameters->gradient, sizeof whole);
    s.trainer->training.micro_batch = 7;
    cr_expect_float_eq(trainer_loss(&s), loss, 1e-13);
    for (int i = 0; i < CELLS; i++)
        cr_expect_float_eq(s.policy->parameters->gradient[i], whole[i], 1e-14);
    race_end(&s);
}

/* Two responses, one always preferred: IPO's optimum is σ(1/(2τ)) (arXiv:2310.12036, section
 * 5.3). */
Test(expectation, ipo_reaches_its_closed_form) {
    static const double tau[] = {0.1, 0.5, 1}, expected[] = {0.9933, 0.7311, 0.6225};
    for (int i = 0; i < 3; i++) {
        char options[32];
        RgError error = {0};
        snprintf(options, sizeof options, "beta=%.1f", tau[i]);
        Race s =
            race_begin("ipo", options, "contexts=1 responses=2 pairs=10 label_temperature=0", 0, 8);
        s.trainer->training.expectation = RG_EXACT_EXPECTATION;
        memset(s.policy->parameters->value, 0, 2 * sizeof *s.policy->parameters->value);
        memset(s.reference->parameters->value, 0, 2 * sizeof *s.reference->parameters->value);
        for (int step = 0; step < 4000; step++)
            cr_assert_eq(rg_trainer_step(s.trainer, &error), RG_OK, "%s", error.text);
        double table[2];
        rg_policy_table(s.policy, table);
        double most = exp(fmax(table[0], table[1]));
        cr_expect_float_eq(most, 1 / (1 + exp(-1 / (2 * tau[i]))), 1e-9, "%g", most);
        cr_expect_float_eq(most, expected[i], 5e-5);
        race_end(&s);
    }
}

/* ---- samples against the expectation ---- */

enum { DRAWS = 600 };

/* The mean of the gradients of sampled steps, and its standard errors: [CELLS] each. */
static void sampled_gradient(Race *race, double *mean, double *error) {
    double sum[CELLS] = {0}, squares[CELLS] = {0}, loss;
    RgError why = {0};
    race->trainer->training.expectation = RG_SAMPLED_EXPECTATION;
    for (int64_t step = 0; step < DRAWS; step++) {
        race->trainer->outcome = (RgOutcome){0};
        rg_parameters_zero_gradient(race->policy->parameters);
        cr_assert_eq(rg_trainer_gradient(race->trainer, step, &loss, &why), RG_OK, "%s", why.text);
        for (int i = 0; i < CELLS; i++) {
            double g = race->policy->parameters->gradient[i];
            sum[i] += g;
            squares[i] += g * g;
        }
    }
    for (int i = 0; i < CELLS; i++) {
        mean[i] = sum[i] / DRAWS;
        error[i] = sqrt(fmax(0, squares[i] / DRAWS - mean[i] * mean[i]) / DRAWS);
    }
}

/* The exact gradient against the mean of samples, within five standard errors. */
static void compare_samples(Race *race, const char *what) {
    double mean[CELLS], standard[CELLS], exact[CELLS], scale = 0;
    race->trainer->recipe.extragradient = false; /* one gradient at a time */
    trainer_loss(race);
    memcpy(exact, race->policy->parameters->gradient, sizeof exact);
    sampled_gradient(race, mean, standard);
    for (int i = 0; i < CELLS; i++)
        scale = fmax(scale, fabs(exact[i]));
    cr_expect_gt(scale, 0, "%s", what);
    for (int i = 0; i < CELLS; i++)
        cr_expect_lt(fabs(mean[i] - exact[i]), 5 * standard[i] + 1e-12, "%s: %g ± %g, expected %g",
                     what, mean[i], standard[i], exact[i]);
}

/* Every method that has both and trains the policy alone: the expected gradient of its samples is the exact one, within five
 * standard errors. (Offline pairs of a batch come from a shuffled pass, whose means have smaller
 * errors. KTO's loss is not linear in a batch's z.) */
Test(expectation, samples_have_the_exact_gradient_as_their_mean) {
    int compared = 0;
    for (int a = 0; rg_algorithm(a); a++) {
        RgError error = {0};
        const RgAlgorithm *algorithm = rg_algorithm(a);
        bool grouped = rg_options_find(algorithm->about.options, "group_size");
        Race race = exact_race(algorithm->about.name, grouped ? "group_size=2" : "");
        RgRecipe *recipe = &race.trainer->recipe;
        bool own = race.trainer->own.parameters; /* made for one kind of expectation */
        if (!own && recipe->third != RG_FROM_OTHERS &&
            rg_expectation_check(algorithm, recipe, &race.trainer->training,
                                 &race.environment->task, race.policy, &error) == RG_OK) {
            compare_samples(&race, algorithm->about.name);
            compared++;
        }
        race_end(&race);
    }
    cr_expect_geq(compared, 33, "%d methods", compared);
}

Test(expectation, samples_have_it_with_shared_terms_and_candidates_too) {
    static const char *const cases[][2] = {
        {"dpo", "beta=0.7 sft_coefficient=0.5 dpop_coefficient=2 length_coefficient=0.3"},
        {"online-dpo", "beta=0.7 candidates=4"},
        {"online-dpo", "beta=0.7 candidates=3 mixture=0.6 sft_coefficient=0.5"},
        {"online-ipo", "beta=0.7 candidates=4 target=label"}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        Race race = exact_race(cases[k][0], cases[k][1]);
        compare_samples(&race, cases[k][1]);
        race_end(&race);
    }
}

/* ---- the best against the worst of several ---- */

/* Online DPO's gradient over all ordered draws of three responses to each context. */
static void trios_by_hand(const Race *race, const double *reward, double *gradient) {
    double own[CELLS], reference[CELLS];
    rg_policy_table(race->policy, own);
    rg_policy_table(race->reference, reference);
    for (int i = 0; i < C * R * R * R; i++) {
        int c = i / (R * R * R) * R, best = 0, worst = 0;
        int trio[] = {c + i / (R * R) % R, c + i / R % R, c + i % R};
        for (int k = 1; k < 3; k++) {
            best = reward[trio[k]] > reward[trio[best]] ? k : best;
            worst = reward[trio[k]] <= reward[trio[worst]] ? k : worst;
        }
        double weight = exp(own[trio[0]] + own[trio[1]] + own[trio[2]]) / C;
        double gap =
            own[trio[best]] - reference[trio[best]] - (own[trio[worst]] - reference[trio[worst]]);
        double slope = -weight * 0.7 / (1 + exp(0.7 * gap));
        add_slope(gradient, own, trio[best], slope);
        add_slope(gradient, own, trio[worst], -slope);
    }
}

/* Rewards of which some are the same. */
static const double *untied;

static double tied_reward(const double *reward, int cell) {
    return floor(2 * reward[cell]);
}

static RgStatus judge_tied(void *environment, const RgSequences *sequences, double *reward,
                           RgError *error) {
    (void)environment, (void)error;
    for (int64_t i = 0; i < sequences->count; i++)
        reward[i] = tied_reward(untied, *rg_sequence_prompt(sequences, i) * R +
                                            *rg_sequence_response(sequences, i));
    return RG_OK;
}

Test(expectation, the_best_and_the_worst_are_those_of_all_draws) {
    for (int tied = 0; tied < 2; tied++) {
        Race race = exact_race("online-dpo", "beta=0.7 candidates=3");
        const double *rewards = rg_bandit_rewards(race.environment).reward;
        double reward[CELLS], expected[CELLS] = {0};
        int equal = 0;
        for (int i = 0; i < CELLS; i++) {
            reward[i] = tied ? tied_reward(rewards, i) : rewards[i];
            for (int j = i / R * R; j < i; j++)
                equal += reward[j] == reward[i];
        }
        cr_assert_eq(equal > 0, tied, "%d equal rewards", equal);
        untied = rewards;
        if (tied)
            race.environment->task.judge = judge_tied;
        trios_by_hand(&race, reward, expected);
        trainer_loss(&race);
        for (int i = 0; i < CELLS; i++)
            cr_expect_float_eq(race.policy->parameters->gradient[i], expected[i], 1e-14, "%g, %g",
                               race.policy->parameters->gradient[i], expected[i]);
        if (tied)
            compare_samples(&race, "with equal rewards");
        race_end(&race);
    }
}

/* ---- preference games ---- */

/* Rock, paper, scissors and two responses that lose to all three, in every context: P(a ≻ b). */
static const double game[R][R] = {{0.5, 0.1, 0.9, 0.8, 0.7},
                                  {0.9, 0.5, 0.2, 0.9, 0.6},
                                  {0.1, 0.8, 0.5, 0.7, 0.9},
                                  {0.2, 0.1, 0.3, 0.5, 0.4},
                                  {0.3, 0.4, 0.1, 0.6, 0.5}};

/* The largest distance from the regularised equilibrium, where β·h(y) − P(y ≻ π) is the same for
 * all responses. */
static double equilibrium_error(const Race *race, double beta) {
    double own[CELLS], reference[CELLS], worst = 0;
    rg_policy_table(race->policy, own);
    rg_policy_table(race->reference, reference);
    for (int c = 0; c < C; c++) {
        double excess[R], mean = 0;
        for (int a = 0; a < R; a++) {
            double wins = 0;
            for (int b = 0; b < R; b++)
                wins += exp(own[c * R + b]) * game[a][b];
            excess[a] = beta * (own[c * R + a] - reference[c * R + a]) - wins;
            mean += excess[a] / R;
        }
        for (int a = 0; a < R; a++)
            worst = fmax(worst, fabs(excess[a] - mean));
    }
    return worst;
}

static double play(const char *algorithm, const char *options, double beta, double rate,
                   int64_t steps) {
    static double table[CELLS * R];
    RgError error = {0};
    Race race = exact_race(algorithm, options);
    race.environment->task.preference = table;
    for (int i = 0; i < CELLS * R; i++)
        table[i] = game[i / R % R][i % R];
    race.trainer->optimizer->type = &rg_optimizer_sgd;
    race.trainer->optimizer->options.learning_rate = rate;
    race.trainer->optimizer->options.momentum = 0;
    for (int64_t step = 0; step < steps; step++)
        cr_assert_eq(rg_trainer_step(race.trainer, &error), RG_OK, "%s", error.text);
    double left = equilibrium_error(&race, beta);
    race_end(&race);
    return left;
}

Test(expectation, methods_for_games_end_at_the_regularised_equilibrium) {
    cr_expect_lt(play("online-ipo", "beta=0.5", 0.5, 0.5, 3000), 1e-10);
    cr_expect_lt(play("online-ipo", "beta=0.5 target=label", 0.5, 0.5, 3000), 1e-10);
    cr_expect_lt(play("egpo", "beta=0.5", 0.5, 0.5, 3000), 1e-10);
    cr_expect_lt(play("inpo", "eta=1 tau=0.5", 0.5, 0.5, 6000), 1e-10);
    cr_expect_lt(play("nash-md", "beta=0.5 reference_share=0", 0.5, 2, 6000), 1e-10);
    /* a method of transitive preferences ends elsewhere */
    cr_expect_gt(play("online-dpo", "beta=0.5", 0.5, 0.5, 3000), 1e-3);
}

Test(expectation, what_has_no_exact_expectation_is_refused) {
    static const char *const refused[] = {"ppo", "parl", "sft", "grpo"};
    RgError error = {0};
    RgTrainingOptions training = {
        .batch = 8, .temperature = 1, .top_p = 1, .expectation = RG_EXACT_EXPECTATION};
    RgOptimizerOptions sgd = {.type = {&rg_optimizer_sgd.about}, .learning_rate = 0.1};
    Race s = exact_race("dpo", "");
    RgSettings *defaults = rg_settings_create();
    for (int i = 0; i < 4; i++) {
        const RgAlgorithm *a = rg_algorithm_find(refused[i]);
        void *options = rg_allocate(1, a->about.options_size);
        RgTrainer *trainer = NULL;
        cr_assert_eq(rg_options_read(a->about.options, defaults, "algorithm", options, &error),
                     RG_OK, "%s", error.text);
        cr_expect_eq(rg_trainer_create(a, options, &training, s.policy, s.reference,
                                       &s.environment->task, &sgd, 0, rg_random_root(1), &trainer,
                                       &error),
                     RG_E_USAGE, "%s", refused[i]);
        cr_expect(strstr(error.text, refused[i]) && strstr(error.text, "expectation"), "%s",
                  error.text);
        free(options);
    }
    rg_settings_destroy(defaults);
    race_end(&s);
}
