/* SPDX-License-Identifier: MIT */
/* The algorithms in the program's precision: limits that must hold to the bit, what each draws on,
 * that all of them learn, and that a checkpoint holds all there is. */
#include "algorithms/parl/parl.h"
#include "core/models/enumerated.h"
#include "core/tensor/vector_ops.h"
#include "envs/bandit/bandit.h"
#include "experiments/program/plugins/check_plugin.h"
#include "race.h"

#include <math.h>

static const char bandit[] = "contexts=3 responses=5 pairs=200";

/* Parameters after `steps` steps, as a hash of their bits. */
static uint64_t bits_after(const char *algorithm, const char *options, int steps) {
    Race race = race_begin(algorithm, options, bandit, 0, 16);
    for (int i = 0; i < steps; i++)
        cr_assert(take_step(race.trainer), "%s", race.trainer->outcome.diverged);
    uint64_t bits = rg_parameters_hash(race.policy->parameters);
    race_end(&race);
    return bits;
}

static double metric_of(const RgTrainer *trainer, const char *name) {
    for (int i = 0; i < trainer->outcome.metric_count; i++)
        if (strcmp(trainer->outcome.metrics[i].name, name) == 0)
            return trainer->outcome.metrics[i].value;
    return NAN;
}

Test(sail, dp_at_mixture_zero_is_dpo_bit_for_bit) {
    cr_assert_eq(bits_after("sail-dp", "mixture=0", 20), bits_after("dpo", "", 20));
}

Test(sail, pp_at_mixture_zero_is_dpo_bit_for_bit) {
    cr_assert_eq(bits_after("sail-pp", "mixture=0", 20), bits_after("dpo", "", 20));
}

Test(sail, pr_at_mixture_zero_is_dpo_bit_for_bit) {
    cr_assert_eq(bits_after("sail-pr", "mixture=0", 20), bits_after("dpo", "", 20));
    cr_assert_eq(bits_after("sail-pr", "mixture=0 score_term=baseline", 20),
                 bits_after("dpo", "", 20));
    cr_assert_eq(bits_after("sail-pr", "mixture=0 score_term=released", 20),
                 bits_after("dpo", "", 20));
}

Test(sail, pr_at_mixture_one_without_exploration_is_online_dpo_bit_for_bit) {
    cr_assert_eq(bits_after("sail-pr", "mixture=1 exploration=0", 20),
                 bits_after("online-dpo", "", 20));
}

Test(sail, revkl_without_its_penalty_is_pr_bit_for_bit) {
    cr_assert_eq(bits_after("sail-revkl", "reverse_kl=0", 20), bits_after("sail-pr", "", 20));
    cr_assert_neq(bits_after("sail-revkl", "", 20), bits_after("sail-pr", "", 20));
}

Test(family, limits_are_reached_bit_for_bit) {
    uint64_t dpo = bits_after("dpo", "", 20), online = bits_after("online-dpo", "", 20);
    cr_assert_eq(bits_after("cdpo", "label_smoothing=0", 20), dpo);
    cr_assert_eq(bits_after("rdpo", "label_noise=0", 20), dpo);
    cr_assert_eq(bits_after("vpo", "exploration=0", 20), online);
    cr_assert_neq(bits_after("vpo", "exploration=0.1", 20), online);
    cr_assert_eq(bits_after("hybrid", "kl_coefficient=0", 20), dpo);
    cr_assert_neq(bits_after("hybrid", "", 20), dpo);
    cr_assert_eq(bits_after("ipo", "logprob=mean", 20), bits_after("ipo", "", 20)); /* of 1 token */
}

/* The closed form of a table against what is drawn, its divergence against the bound. */
Test(family, best_of_n_is_drawn_as_often_as_its_closed_form_says) {
    enum { DRAWS = 40000, N = 4, RESPONSES = 5 };
    Race race = race_begin("best-of-n", "n=4", bandit, 0.5, 16);
    cr_assert_eq(race.trainer->recipe.best_of, N);
    RgContender best = {
        .policy = race.policy, .reference = race.reference, .beta = 0.1, .best_of = N};
    double table[3 * RESPONSES], plain[3 * RESPONSES], count[RESPONSES] = {0}, kl = 0;
    rg_policy_table(race.policy, plain);
    memcpy(table, plain, sizeof table);
    rg_contender_table(&best, rg_bandit_rewards(race.environment).reward, 3, RESPONSES, table);

    RgSequences *prompts = rg_sequences_create(), *out = rg_sequences_create();
    int32_t context = 1;
    for (int i = 0; i < DRAWS; i++)
        rg_sequences_append(prompts, &context, 1, NULL, 0);
    RgSampling sampling = {.temperature = 1, .top_p = 1, .response_limit = 1, .end_token = -1};
    double *logprob = rg_allocate(DRAWS, sizeof *logprob);
    cr_assert_eq(rg_contender_sample(&best, &race.environment->task, prompts, &sampling,
                                     rg_random_root(9), out, logprob, NULL),
                 RG_OK);
    for (int64_t i = 0; i < DRAWS; i++) {
        int32_t r = *rg_sequence_response(out, i);
        count[r] += 1.0 / DRAWS;
        cr_assert_float_eq(logprob[i], plain[RESPONSES + r] + log(N) - 0.75, 1e-5);
    }
    for (int r = 0; r < RESPONSES; r++) {
        double p = exp(table[RESPONSES + r]);
        cr_expect_lt(fabs(count[r] - p), 4 * sqrt(p * (1 - p) / DRAWS) + 1e-9);
        kl += p * (table[RESPONSES + r] - plain[RESPONSES + r]);
    }
    cr_expect(kl > 0.2 && kl <= log(N) - 0.75, "%g", kl);
    free(logprob);
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(out);
    race_end(&race);
}

/* Rankings of two are the judge's labels, on the same responses. */
Test(family, listwise_of_pairs_is_online_dpo) {
    Race pairs = race_begin("online-dpo", "", bandit, 0.5, 16);
    Race lists = race_begin("listwise", "group_size=2", bandit, 0.5, 16);
    for (int s = 0; s < 5; s++) {
        rg_parameters_zero_gradient(pairs.policy->parameters);
        rg_parameters_zero_gradient(lists.policy->parameters);
        step_gradient(pairs.trainer, s);
        step_gradient(lists.trainer, s);
        pairs.trainer->outcome.metric_count = lists.trainer->outcome.metric_count = 0;
        for (int64_t i = 0; i < pairs.policy->parameters->count; i++)
            cr_assert_float_eq(pairs.policy->parameters->gradient[i],
                               lists.policy->parameters->gradient[i], 1e-6);
    }
    race_end(&pairs);
    race_end(&lists);
}

/* Gradients on the batches of some steps are so many times those of another method. */
static void check_gradient_of(const char *name, const char *options, double times,
                              const char *other, const char *others_options) {
    Race race[] = {race_begin(name, options, bandit, 0.5, 16),
                   race_begin(other, others_options, bandit, 0.5, 16)};
    for (int s = 0; s < 5; s++) {
        for (int k = 0; k < 2; k++) {
            rg_parameters_zero_gradient(race[k].policy->parameters);
            step_gradient(race[k].trainer, s);
            race[k].trainer->outcome.metric_count = 0;
        }
        cr_expect_gt(rg_parameters_gradient_norm(race[1].policy->parameters), 1e-2);
        for (int64_t i = 0; i < race[0].policy->parameters->count; i++)
            cr_expect_float_eq(race[0].policy->parameters->gradient[i],
                               times * race[1].policy->parameters->gradient[i], 1e-6, "%s", name);
    }
    race_end(&race[0]);
    race_end(&race[1]);
}

Test(family, grpo_without_what_sets_it_apart_is_rloo_but_for_the_baseline) {
    check_gradient_of("grpo",
                      "beta=0 group_size=4 std_normalisation=false length_normalisation=false",
                      0.75, "rloo", "beta=0 group_size=4");
}

Test(family, rebel_begins_as_rloo_of_pairs) {
    check_gradient_of("rebel", "beta=0.3 eta=0.5", 2, "rloo", "beta=0.3 group_size=2");
}

/* exp of a log-ratio is beyond what there is; the loss and its gradient are not. */
Test(family, chi_po_is_finite_however_far_the_policy_is_from_its_reference) {
    for (int sign = -1; sign <= 1; sign += 2) {
        Race race = race_begin("chi-po", "", bandit, 0, 16);
        RgParameters *p = race.policy->parameters, *q = race.reference->parameters;
        for (int64_t i = 0; i < p->count; i++) {
            p->value[i] = (RgReal)(i % 5 == 1 ? 100 * sign : 0);
            q->value[i] = (RgReal)(i % 5 == 2 ? 300 * sign : 0);
        }
        rg_parameters_zero_gradient(p);
        double loss = step_gradient(race.trainer, 0);
        cr_expect(isfinite(loss) && loss <= 20.1, "%g", loss);
        cr_expect(isfinite(rg_parameters_gradient_norm(p)));
        cr_expect_gt(race.trainer->logged[0], 0, "none is clipped");
        race_end(&race);
    }
}

/* In the first epoch, all ratios are 1. */
Test(family, grpo_holds_ratios_from_the_second_epoch_on) {
    for (int64_t epochs = 1; epochs <= 3; epochs += 2) {
        char options[64];
        snprintf(options, sizeof options, "epochs=%d clip=0.01", (int)epochs);
        Race race = race_begin("grpo", options, bandit, 0, 16);
        cr_assert(take_step(race.trainer));
        double held = metric_of(race.trainer, "clip_fraction");
        double moved = metric_of(race.trainer, "approx_kl");
        cr_expect(epochs == 1 ? held == 0 && moved == 0 : held > 0.1 && moved > 1e-5, "%g %g", held,
                  moved);
        race_end(&race);
    }
}

/* Iterations of self-play: the policy takes the reference's place, where the race's own stays. */
static void check_moving_reference(const char *name) {
    Race race = race_begin(name, "reference_steps=3", bandit, 0, 16);
    uint64_t original = rg_parameters_hash(race.reference->parameters);
    const RgParameters *own = race.trainer->reference->parameters;
    for (int s = 1; s <= 7; s++) {
        uint64_t before = rg_parameters_hash(own);
        cr_assert(take_step(race.trainer));
        uint64_t now = rg_parameters_hash(own);
        cr_assert_eq(now, s % 3 == 0 ? rg_parameters_hash(race.policy->parameters) : before);
    }
    cr_assert_eq(rg_parameters_hash(race.reference->parameters), original);
    cr_assert_neq(rg_parameters_hash(own), original);
    race_end(&race);
    cr_assert_neq(bits_after(name, "reference_steps=3", 7), bits_after(name, "", 7));
}

Test(family, self_play_moves_its_reference_and_no_other) {
    check_moving_reference("spin");
    check_moving_reference("sppo");
}

static bool has_option(const RgAlgorithm *a, const char *name) {
    return rg_options_find(a->about.options, name) != NULL;
}

static RgSequences *sampled_by(Race *race) {
    RgSequences *s = rg_sequences_create();
    rg_trainer_sample(race->trainer, 9, 16, 4, s);
    return s;
}

/* Methods that sample the policy online, semi-online or not at all: the sampler is the policy,
 * becomes it after every third step, or stays what the policy was. */
static void check_sampler(const RgAlgorithm *a, int64_t every) {
    char options[64];
    snprintf(options, sizeof options, "sampler_steps=%d%s", (int)every,
             has_option(a, "mixture") ? " mixture=1" : "");
    Race race = race_begin(a->about.name, options, bandit, 0, 16), start;
    start = race_begin(a->about.name, options, bandit, 0, 16);
    for (int s = 1; s <= 7; s++) {
        uint64_t before = rg_parameters_hash(race.trainer->sampler->parameters);
        cr_assert(take_step(race.trainer), "%s", a->about.name);
        uint64_t policy = rg_parameters_hash(race.policy->parameters);
        bool follows = every > 0 && s % every == 0;
        cr_assert_eq(rg_parameters_hash(race.trainer->sampler->parameters),
                     follows ? policy : before, "%s, %s, step %d", a->about.name, options, s);
        cr_assert_neq(policy, before, "%s", a->about.name);
    }
    RgSequences *now = sampled_by(&race), *then = sampled_by(&start);
    cr_expect_eq(rg_sequences_hash(now) == rg_sequences_hash(then), every == 0, "%s, %s",
                 a->about.name, options);
    rg_sequences_destroy(now);
    rg_sequences_destroy(then);
    race_end(&start);
    race_end(&race);
}

Test(family, what_samples_the_policy_does_so_online_semi_online_or_not) {
    int checked = 0;
    for (int i = 0; rg_algorithm(i); i++) {
        const RgAlgorithm *a = rg_algorithm(i);
        if (!a->loss || !has_option(a, "sampler_steps"))
            continue;
        checked++;
        for (int64_t every = 0; every <= 3; every += every == 0 ? 1 : 2)
            check_sampler(a, every);
    }
    cr_expect_eq(checked, 16);
}

/* What is online to the bit: a sampler that has just been brought up to date. */
Test(family, a_step_after_the_sampler_has_followed_is_that_of_the_online_method) {
    Race semi = race_begin("online-dpo", "sampler_steps=4", bandit, 0, 16);
    Race online = race_begin("online-dpo", "", bandit, 0, 16);
    RgParameters *p = semi.policy->parameters, *q = online.policy->parameters;
    for (int s = 0; s < 6; s++) {
        memcpy(q->value, p->value, (size_t)p->count * sizeof *p->value);
        rg_parameters_zero_gradient(p);
        rg_parameters_zero_gradient(q);
        double one = step_gradient(semi.trainer, s), other = step_gradient(online.trainer, s);
        bool same = memcmp(p->gradient, q->gradient, (size_t)p->count * sizeof *p->gradient) == 0;
        cr_expect_eq(same && one == other, s % 4 == 0, "step %d: %g and %g", s, one, other);
        semi.trainer->outcome.metric_count = online.trainer->outcome.metric_count = 0;
        rg_parameters_zero_gradient(p);
        cr_assert(take_step(semi.trainer));
    }
    race_end(&semi);
    race_end(&online);
}

/* The judge is asked of three responses, and the pair that is learnt from are its best and worst.
 */
Test(family, selm_learns_from_the_best_and_the_worst_of_three) {
    Race race =
        race_begin("selm", "beta=1 exploration=0", "contexts=1 responses=5 pairs=40", 0.1, 32);
    step_gradient(race.trainer, 0);
    cr_assert_eq(race.trainer->meter.judge_queries, 3 * 32);
    cr_assert_eq(race.trainer->meter.generated_tokens, 32); /* one of the reference for each */
    double margins = NAN;
    for (int i = 0; i < race.trainer->outcome.metric_count; i++)
        if (strcmp(race.trainer->outcome.metrics[i].name, "rewards/margins") == 0)
            margins = race.trainer->outcome.metrics[i].value;
    cr_assert(isfinite(margins));
    race.trainer->outcome = (RgOutcome){0};
    double before = rg_small_race_reward(&race);
    for (int s = 0; s < 60; s++)
        cr_assert(take_step(race.trainer));
    cr_assert_gt(rg_small_race_reward(&race), before + 0.2);
    race_end(&race);
}

Test(family, a_mixture_needs_a_policy_that_has_one) {
    Race race = race_begin("dpo", "", bandit, 0, 16);
    RgPolicyType plain = *race.policy->type;
    RgError error = {0};
    RgTrainer *trainer = NULL;
    plain.mixes = false;
    race.policy->type = &plain;
    const RgAlgorithm *nash = rg_algorithm_find("nash-md");
    char options[64] __attribute__((aligned(16))) = {0};
    cr_assert_eq(rg_trainer_create(nash, options, &race.trainer->training, race.policy,
                                   race.reference, &race.environment->task,
                                   &(RgOptimizerOptions){.type = {&rg_optimizer_sgd.about}}, 0,
                                   rg_random_root(1), &trainer, &error),
                 RG_E_USAGE);
    cr_assert(strstr(error.text, "nash-md samples from the geometric mixture"), "%s", error.text);
    race_end(&race);
}

Test(sail, score_term_none_is_exploration_zero) {
    cr_assert_eq(bits_after("sail-pp", "score_term=none", 20),
                 bits_after("sail-pp", "exploration=0", 20));
}

Test(sail, score_terms_differ) {
    uint64_t exact = bits_after("sail-pr", "score_term=exact", 5);
    uint64_t baseline = bits_after("sail-pr", "score_term=baseline", 5);
    uint64_t released = bits_after("sail-pr", "score_term=released", 5);
    cr_assert(exact != baseline && baseline != released && exact != released);
}

/* With every label of a fixed pair drawn from the policy, the margin's mean sign is the policy's
 * preference, not the data set's; and two steps draw differently. */
Test(sail, dp_labels_are_redrawn_from_the_policy_at_every_step) {
    enum { STEPS = 4000 };
    Race race = race_begin("sail-dp", "mixture=1 beta=1 exploration=0",
                           "contexts=1 responses=2 pairs=1", 1, 1);
    const RgReal *logit = race.policy->parameters->value;
    const RgReal *reference = race.reference->parameters->value;
    double margin = (logit[0] - reference[0]) - (logit[1] - reference[1]);
    double expected = 1 / (1 + exp(-fabs(margin))), right = 0;
    for (int s = 0; s < STEPS; s++) {
        race.trainer->outcome = (RgOutcome){0};
        step_gradient(race.trainer, s);
        for (int i = 0; i < race.trainer->outcome.metric_count; i++)
            if (strcmp(race.trainer->outcome.metrics[i].name, "rewards/accuracies") == 0)
                right += race.trainer->outcome.metrics[i].value / STEPS;
    }
    double error = sqrt(expected * (1 - expected) / STEPS);
    cr_assert(fabs(right - expected) < 4 * error, "%g, expected %g ± %g", right, expected, error);
    race_end(&race);
}

Test(trainer, offline_methods_ask_no_judge_and_sample_nothing) {
    const char *const offline[] = {"dpo", "sail-dp"};
    for (int i = 0; i < 2; i++) {
        Race race = race_begin(offline[i], "", bandit, 0, 16);
        for (int s = 0; s < 5; s++)
            take_step(race.trainer);
        cr_assert_eq(race.trainer->meter.judge_queries, 0);
        cr_assert_eq(race.trainer->meter.generated_tokens, 0);
        cr_assert_eq(race.trainer->meter.trained_tokens, 5 * 2 * 16);
        race_end(&race);
    }
}

/* The rate of step s of S is final + (1 - final)(1 - s/S) of the first one's, however often the
 * optimiser is stepped in each. */
static void check_schedule(const RgAlgorithm *a, const char *options) {
    enum { STEPS = 10 };
    const double rate = 0.01, final = 0.1;
    Race race = race_begin(a->about.name, options, bandit, 0, 16);
    race.trainer->optimizer->total_steps = STEPS;
    race.trainer->optimizer->options.schedule = RG_SCHEDULE_LINEAR;
    race.trainer->optimizer->options.learning_rate = rate;
    race.trainer->optimizer->options.final_fraction = final;
    for (int s = 0; s < STEPS; s++) {
        cr_assert(take_step(race.trainer), "%s: %s", a->about.name, race.trainer->outcome.diverged);
        double expected = rate * (final + (1 - final) * (1 - (double)s / STEPS));
        cr_expect_float_eq(metric_of(race.trainer, "learning_rate"), expected, 1e-12,
                           "%s, step %d: %g, expected %g", a->about.name, s,
                           metric_of(race.trainer, "learning_rate"), expected);
    }
    race_end(&race);
}

Test(trainer, schedules_end_where_the_trial_does_for_every_method) {
    int checked = 0;
    for (int i = 0; rg_algorithm(i); i++)
        if (rg_algorithm(i)->loss || rg_algorithm(i)->step) {
            check_schedule(rg_algorithm(i), "");
            checked++;
        }
    cr_assert_gt(checked, 15);
    check_schedule(rg_algorithm_find("parl"), "inner_steps=7");
    check_schedule(rg_algorithm_find("parl"), "inner_steps=2 lower_tolerance=1e-9 on_failure=damp");
}

Test(trainer, online_methods_are_metered) {
    Race race = race_begin("online-dpo", "", bandit, 0, 16);
    for (int s = 0; s < 5; s++)
        take_step(race.trainer);
    cr_assert_eq(race.trainer->meter.judge_queries, 5 * 2 * 16);
    cr_assert_eq(race.trainer->meter.generated_tokens, 5 * 2 * 16);
    cr_assert_gt(race.trainer->meter.flops, 0);
    race_end(&race);
    race = race_begin("sail-pp", "mixture=1", bandit, 0, 16);
    take_step(race.trainer);
    cr_assert_eq(race.trainer->meter.judge_queries, 0, "its labels are its own");
    cr_assert_eq(race.trainer->meter.generated_tokens, 2 * 16);
    race_end(&race);
}

static void check_meter(const char *algorithm, const char *options) {
    RgClaims claims = {0};
    rg_claim_flops(rg_algorithm_find(algorithm), options, &claims);
    cr_expect(claims.failed == 0 && claims.held == 1, "%s %s: %s", algorithm, options,
              claims.first_failure);
}

/* Those before the first step and those of a method's own tapes too. */
Test(trainer, the_meter_has_every_operation_of_every_method) {
    for (int i = 0; rg_algorithm(i); i++)
        check_meter(rg_algorithm(i)->about.name, "");
    check_meter("parl", "pretrain=20");
    for (int i = 0; rg_registered(RG_ESTIMATOR, i); i++) {
        char options[96];
        snprintf(options, sizeof options, "pretrain=5 estimator=%s on_failure=skip",
                 rg_registered(RG_ESTIMATOR, i)->name);
        check_meter("parl", options);
    }
    Race without = race_begin("parl", "", bandit, 0, 16);
    Race with = race_begin("parl", "pretrain=20", bandit, 0, 16);
    cr_assert_eq(without.trainer->meter.flops, 0);
    cr_assert_gt(with.trainer->meter.flops, 0, "the fit of the reward is free");
    race_end(&without);
    race_end(&with);
}

/* 16 responses of one token a step, times those that a gradient goes back through. */
Test(trainer, tokens_count_in_every_pass_that_trains_on_them) {
    static const struct {
        const char *algorithm, *options;
        int64_t passes;
    } cases[] = {{"dpo", "", 2},
                 {"kto", "", 2},
                 {"kto", "single=true", 1},
                 {"vpo", "", 3},
                 {"selm", "", 3},
                 {"ppo", "epochs=5", 5},
                 {"rloo", "group_size=4", 4},
                 {"grpo", "group_size=4 epochs=3", 12},
                 {"sft", "", 1},
                 {"parl", "inner_steps=3", 8}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        Race race = race_begin(cases[k].algorithm, cases[k].options, bandit, 0, 16);
        take_step(race.trainer);
        cr_expect_eq(race.trainer->meter.trained_tokens, cases[k].passes * 16, "%s: %lld",
                     cases[k].algorithm, (long long)race.trainer->meter.trained_tokens);
        race_end(&race);
    }
}

Test(trainer, a_tie_is_half_right) {
    Race race = race_begin("dpo", "", bandit, 0, 16);
    take_step(race.trainer); /* the policy is still its reference */
    cr_assert_eq(metric_of(race.trainer, "rewards/accuracies"), 0.5);
    race_end(&race);
}

/* How far `logprob` is from `old`, by the epoch of the step. */
static double apart_from_old[2], steps_apart_from_old[2];

static RgTensor *watching_loss(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    RgTape *t = step->tape;
    double *apart = &apart_from_old[step->epoch], *steps = &steps_apart_from_old[step->epoch];
    *apart = *steps = 0;
    for (int64_t i = 0; i < batch->logprob->count; i++)
        *apart += fabs((double)batch->logprob->data[i] - (double)batch->old->data[i]);
    for (int64_t i = 0; i < batch->steps.count; i++)
        *steps += fabs((double)batch->steps.logprob->data[i] - (double)batch->steps.old->data[i]);
    return rg_negate(t, rg_mean(t, rg_preference_fit(t, batch, 0.1)));
}

static void watching_recipe(const void *options, RgRecipe *recipe) {
    (void)options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->epochs = 2;
    recipe->steps = true;
}

/* The policy has moved by the second pass over a batch: what it was stays in `old`. */
Test(trainer, old_is_what_the_policy_was_in_the_first_epoch) {
    static const RgAlgorithm watching = {.about = {.name = "watching", .summary = "watches"},
                                         .recipe = watching_recipe,
                                         .loss = watching_loss};
    Race race = race_begin("dpo", "", bandit, 0.1, 16);
    RgError error = {0};
    RgTrainer *trainer;
    cr_assert_eq(rg_trainer_create(&watching, race.options, &race.trainer->training, race.policy,
                                   race.reference, &race.environment->task,
                                   &race.trainer->optimizer->options, 0, rg_random_root(1),
                                   &trainer, &error),
                 RG_OK, "%s", error.text);
    cr_assert(take_step(trainer));
    cr_expect_eq(apart_from_old[0], 0);
    cr_expect_eq(steps_apart_from_old[0], 0);
    cr_expect_gt(apart_from_old[1], 0.1);
    cr_expect_gt(steps_apart_from_old[1], 0.1);
    rg_trainer_destroy(trainer);
    race_end(&race);
}

/* ---- a method with a state and parameters of its own, as of an author ---- */

/* A baseline b(φ) = w·φ of rewards, fitted beside a policy gradient. What a pass has seen: */
static struct {
    int prepared, epochs;   /* times that each hook was called */
    uint64_t features;      /* of both, as a hash */
    bool constant, changed; /* the batch of `prepare`; features from one pass to the next */
} critic_saw;

static RgStatus critic_create(RgTrainer *trainer, const void *options, void **state,
                              RgError *error) {
    (void)options;
    (void)error;
    const RgPolicy *reference = trainer->reference;
    int64_t width = reference->type->state_feature_count(reference);
    RgParameters *baseline = rg_parameters_create();
    rg_parameters_declare(baseline, "w", 2, (const int64_t[]){1, width}, false);
    rg_parameters_allocate(baseline);
    rg_trainer_own(trainer, "baseline", baseline, &rg_small_race_optimizer);
    *state = baseline;
    return RG_OK;
}

static RgTensor *baseline_of(const RgStep *step, RgTensor *features) {
    RgTape *t = step->tape;
    RgTensor *b = rg_linear(t, features, rg_parameter(t, step->state, 0), NULL, NULL);
    return rg_reshape(t, b, RG_SHAPE(b->count));
}

static uint64_t hash_of(const RgTensor *x) {
    return rg_hash(0, x->data, (size_t)x->count * sizeof *x->data);
}

/* Rewards beyond the baseline that was there before the first epoch, [steps]. */
static const void *critic_prepare(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    RgTape *t = step->tape;
    const RgSteps *s = &batch->steps;
    critic_saw.prepared++;
    critic_saw.features = hash_of(s->features);
    critic_saw.constant = !s->logprob->needs_gradient && !batch->log_ratio->needs_gradient &&
                          hash_of(s->logprob) == hash_of(s->old);
    RgTensor *reward = rg_reshape(t, batch->reward, RG_SHAPE(batch->prompts * batch->k));
    RgTensor *each = rg_segment_repeat(t, reward, s->offsets, reward->count);
    return rg_sub(t, each, baseline_of(step, s->features));
}

static RgTensor *critic_loss(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    RgTape *t = step->tape;
    const RgSteps *s = &batch->steps;
    RgTensor *beyond = (RgTensor *)step->prepared, *b = baseline_of(step, s->features);
    critic_saw.epochs++;
    critic_saw.changed |= critic_saw.features != hash_of(s->features);
    RgTensor *policy = rg_mean(t, rg_mul(t, beyond, s->logprob));
    RgTensor *reward = rg_reshape(t, batch->reward, RG_SHAPE(batch->prompts * batch->k));
    RgTensor *target = rg_segment_repeat(t, reward, s->offsets, reward->count);
    return rg_sub(t, rg_mean(t, rg_square(t, rg_sub(t, b, target))), policy);
}

static void critic_recipe(const void *options, RgRecipe *recipe) {
    (void)options;
    recipe->responses = RG_FROM_POLICY;
    recipe->preferences = RG_FROM_JUDGE;
    recipe->group = 2;
    recipe->epochs = 3;
    recipe->rewards = recipe->steps = recipe->features = recipe->couples = true;
}

static const RgAlgorithm critic = {.about = {.name = "critic", .summary = "has a critic"},
                                   .recipe = critic_recipe,
                                   .loss = critic_loss,
                                   .prepare = critic_prepare,
                                   .create = critic_create};

static Race critic_race(void) {
    RgError error = {0};
    Race race;
    RgSmallRaceTerms terms = {.algorithm = &critic, .options = "", .bandit = bandit, .batch = 16};
    cr_assert_eq(rg_small_race_begin(&terms, &race, &error), RG_OK, "%s", error.text);
    return race;
}

Test(trainer, prepares_once_a_batch_and_steps_a_methods_own_parameters_each_epoch) {
    enum { STEPS = 4, EPOCHS = 3 };
    Race race = critic_race();
    memset(&critic_saw, 0, sizeof critic_saw);
    for (int s = 0; s < STEPS; s++)
        cr_assert(take_step(race.trainer), "%s", race.trainer->outcome.diverged);
    cr_expect_eq(critic_saw.prepared, STEPS);
    cr_expect_eq(critic_saw.epochs, STEPS * EPOCHS);
    cr_expect(critic_saw.constant && !critic_saw.changed);
    cr_expect_eq(race.trainer->own.optimizer->step, STEPS * EPOCHS);
    cr_expect_eq(race.trainer->optimizer->step, STEPS * EPOCHS);
    const RgParameters *own = race.trainer->own.parameters;
    cr_expect_gt(rg_dot(own->count, own->value, own->value), 1e-6, "the baseline stays at 0");
    race_end(&race);
}

/* A gradient that is only asked for leaves nothing behind that a later step would take. */
Test(trainer, a_gradient_of_a_methods_own_parameters_is_that_of_one_batch) {
    Race race = critic_race();
    RgParameters *own = race.trainer->own.parameters;
    step_gradient(race.trainer, 1);
    double once = rg_parameters_gradient_norm(own);
    race.trainer->outcome.metric_count = 0;
    step_gradient(race.trainer, 1);
    cr_expect_gt(once, 0);
    cr_expect_eq(rg_parameters_gradient_norm(own), once);
    race_end(&race);
}

/* The policy's way hangs on the baseline: one that is lost would lead elsewhere. */
Test(trainer, a_methods_own_parameters_survive_a_checkpoint) {
    RgClaims claims = {0};
    rg_check_algorithm(&critic, "", &claims);
    cr_expect_eq(claims.failed, 0, "%s", claims.first_failure);
    cr_expect_geq(claims.held, 7);
}

static void careless_recipe(const void *options, RgRecipe *recipe) {
    critic_recipe(options, recipe);
    recipe->couples = false;
}

Test(trainer, a_methods_own_parameters_and_shards_are_refused) {
    static const RgAlgorithm careless = {.about = {.name = "careless", .summary = "is careless"},
                                         .recipe = careless_recipe,
                                         .loss = critic_loss,
                                         .create = critic_create};
    Race race = critic_race();
    RgTrainingOptions two = race.trainer->training;
    RgTrainer *trainer;
    RgError error = {0};
    two.shards = 2;
    cr_assert_eq(rg_trainer_create(&careless, race.options, &two, race.policy, race.reference,
                                   &race.environment->task, &rg_small_race_optimizer, 0,
                                   rg_random_root(1), &trainer, &error),
                 RG_E_USAGE);
    cr_expect_str_eq(error.text, "training.shards is 2, and careless trains parameters of its own "
                                 "besides the policy: expected 1");
    race_end(&race);
}

Test(trainer, kto_of_one_pair_is_refused) {
    Race race = race_begin("kto", "", bandit, 0, 16);
    RgTrainingOptions one = race.trainer->training;
    RgTrainer *trainer;
    RgError error = {0};
    one.batch = 1;
    cr_assert_eq(rg_trainer_create(race.algorithm, race.options, &one, race.policy, race.reference,
                                   &race.environment->task, &race.trainer->optimizer->options, 0,
                                   rg_random_root(1), &trainer, &error),
                 RG_E_USAGE);
    cr_assert(strstr(error.text, "training.batch is 1") && strstr(error.text, "expected 2"), "%s",
              error.text);
    race_end(&race);
}

/* A dataset of 50 pairs, 16 a step: all are read by the fourth step, and none counts again. */
Test(trainer, labels_of_the_dataset_count_once) {
    Race race = race_begin("dpo", "", "contexts=3 responses=5 pairs=50", 0, 16);
    for (int s = 1; s <= 9; s++) {
        take_step(race.trainer);
        cr_assert_eq(race.trainer->meter.dataset_responses, 2 * (s < 4 ? 16 * s : 50));
    }
    race_end(&race);
    race = race_begin("online-dpo", "mixture=1", bandit, 0, 16);
    take_step(race.trainer);
    cr_assert_eq(race.trainer->meter.dataset_responses, 0);
    race_end(&race);
}

/* What must hold of any algorithm (experiments/program/plugins/check_plugin.h) holds of each that
 * is built in. */
typedef void Claim(const RgAlgorithm *algorithm, const char *options, RgClaims *claims);
typedef const char *OptionsOf(const RgAlgorithm *algorithm);

/* Of at least so many: a test of none is no test. */
static void check_all(Claim *claim, OptionsOf *options_of, int least) {
    int held = 0;
    for (int i = 0; rg_algorithm(i); i++) {
        const RgAlgorithm *a = rg_algorithm(i);
        RgClaims claims = {0};
        claim(a, options_of(a), &claims);
        cr_expect_eq(claims.failed, 0, "%s: %s", a->about.name, claims.first_failure);
        held += claims.held;
    }
    cr_expect_geq(held, least, "%d claims hold, expected %d", held, least);
}

static const char *usual(const RgAlgorithm *a) {
    (void)a;
    return "";
}

static const char *on_policy(const RgAlgorithm *a) {
    return has_option(a, "mixture") ? "mixture=1" : "";
}

/* PARL from samples follows a series that may diverge: what is claimed is its exact form. */
static const char *that_learn(const RgAlgorithm *a) {
    return strcmp(a->about.name, "parl") == 0 ? "expectation=exact" : "";
}

/* With references and samplers that follow the policy. */
static const char *that_follow(const RgAlgorithm *a) {
    bool reference = has_option(a, "reference_steps"), sampler = has_option(a, "sampler_steps");
    return reference && sampler ? "reference_steps=3 sampler_steps=3"
           : reference          ? "reference_steps=3"
           : sampler            ? "sampler_steps=3"
                                : "";
}

Test(algorithms, repeat_to_the_bit_with_any_number_of_threads) {
    check_all(rg_claim_threads, usual, 27);
}

Test(algorithms, all_that_learn_raise_the_reward_or_the_likelihood) {
    check_all(rg_claim_learning, that_learn, 25);
}

/* In the bandit, a response is a token. */
Test(algorithms, a_step_costs_what_its_recipe_says) {
    check_all(rg_claim_costs, on_policy, 23);
    check_all(rg_claim_costs, usual, 23);
}

Test(algorithms, a_checkpoint_holds_all_there_is) {
    check_all(rg_claim_checkpoint, that_follow, 27);
}

/* By response or by token, with an adapted strength, on a reward that is fitted first. */
Test(algorithms, ppo_on_a_fitted_reward_keeps_what_is_claimed) {
    static const char *const options[] = {"unit=response reward=linear kl_target=0.2",
                                          "reward=mlp kl_target=0.2", "unit=response"};
    static Claim *const claim[] = {rg_claim_threads, rg_claim_checkpoint, rg_claim_costs};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            RgClaims claims = {0};
            claim[k](rg_algorithm_find("ppo"), options[i], &claims);
            cr_expect_eq(claims.failed, 0, "%s: %s", options[i], claims.first_failure);
            cr_expect_gt(claims.held, 0);
        }
}

static void claim_gradient(const RgAlgorithm *a, const char *options, RgClaims *claims) {
    Race race = race_begin(a->about.name, options, bandit, 0, 16);
    if (a->loss)
        rg_claim_gradient(race.trainer, claims);
    race_end(&race);
}

Test(algorithms, that_take_single_responses_keep_what_is_claimed) {
    static const char *const name[] = {"kto", "bco"};
    static Claim *const claim[] = {rg_claim_threads, rg_claim_learning, rg_claim_checkpoint,
                                   rg_claim_costs, claim_gradient};
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 5; k++) {
            RgClaims claims = {0};
            claim[k](rg_algorithm_find(name[i]), "single=true reference_steps=3", &claims);
            cr_expect_eq(claims.failed, 0, "%s: %s", name[i], claims.first_failure);
            cr_expect_gt(claims.held, 0);
        }
}

Test(algorithms, a_batch_in_parts_has_the_gradient_of_the_whole) {
    check_all(rg_claim_parts, on_policy, 21);
}

Test(algorithms, the_gradient_of_each_loss_is_that_of_its_differences) {
    check_all(claim_gradient, usual, 23);
    check_all(claim_gradient, on_policy, 23);
}

Test(algorithms, names_are_unique_and_found) {
    for (int i = 0; rg_algorithm(i); i++) {
        cr_assert_eq(rg_algorithm_find(rg_algorithm(i)->about.name), rg_algorithm(i));
        cr_assert(rg_algorithm(i)->about.summary && rg_algorithm(i)->about.reference);
    }
    cr_assert_null(rg_algorithm_find("dpoo"));
}

Test(parl, exact_expectation_needs_an_enumerable_policy_and_reports_its_solver) {
    Race race = race_begin("parl", "expectation=exact estimator=cg", bandit, 0, 8);
    cr_assert(take_step(race.trainer)); /* from a reward of 0, where nothing is to be solved */
    cr_assert_eq(race.trainer->meter.hessian_products, 0);
    cr_assert(take_step(race.trainer));
    double products = metric_of(race.trainer, "estimator/hessian_products");
    cr_assert(products >= 1 && metric_of(race.trainer, "estimator/residual") > 0);
    cr_assert_eq(race.trainer->meter.hessian_products, (int64_t)products);
    race_end(&race);
}

/* At a reward that knows no difference G is the same everywhere, and what is left of ∂_θG is
 * rounding; the next round has a gradient. */
Test(parl, every_estimator_takes_the_first_step_from_a_reward_of_zero) {
    for (int k = 0; rg_registered(RG_ESTIMATOR, k); k++) {
        char options[160];
        snprintf(options, sizeof options,
                 "expectation=exact damping=0 on_failure=stop iterations=200 beta=0.5 estimator=%s",
                 rg_registered(RG_ESTIMATOR, k)->name);
        Race race = race_begin("parl", options, bandit, 0, 16);
        const RgParameters *reward = rg_parl_reward(race.trainer->state);
        cr_assert(take_step(race.trainer), "%s: %s", rg_registered(RG_ESTIMATOR, k)->name,
                  race.trainer->outcome.diverged);
        cr_expect_eq(metric_of(race.trainer, "implicit_norm"), 0, "%s",
                     rg_registered(RG_ESTIMATOR, k)->name);
        cr_expect_eq(metric_of(race.trainer, "estimator/converged"), 1);
        cr_expect_eq(metric_of(race.trainer, "estimator/residual"), 0);
        cr_expect_gt(rg_dot(reward->count, reward->value, reward->value), 0, "ν stays at 0");
        race_end(&race);
    }
}

/* One iteration of cg leaves most of the gradient: the round is left out, ends the trial, or is
 * tried again with damping, as the options say. */
Test(parl, a_solution_that_has_not_converged_is_a_failure_of_the_round) {
    static const struct {
        const char *on_failure;
        bool goes_on;
        double skipped, converged;
    } cases[] = {{"on_failure=skip", true, 1, 0},
                 {"on_failure=damp", true, 0, 1},
                 {"on_failure=stop", false, 1, 0},
                 {"on_failure=stop residual_limit=0", true, 0, 1}};
    for (int k = 0; k < 4; k++) {
        char options[160];
        snprintf(options, sizeof options,
                 "expectation=exact estimator=cg iterations=1 damping=0 beta=0.5 lower=solved %s",
                 cases[k].on_failure);
        Race race = race_begin("parl", options, bandit, 0, 16);
        RgParameters *reward = rg_parl_reward(race.trainer->state);
        for (int64_t i = 0; i < reward->count; i++)
            reward->value[i] = (RgReal)rg_random_normal(rg_random_root(5), (uint64_t)i);
        cr_expect_eq(take_step(race.trainer), cases[k].goes_on);
        if (cases[k].goes_on) {
            cr_expect_eq(metric_of(race.trainer, "upper_skipped"), cases[k].skipped);
            cr_expect_eq(metric_of(race.trainer, "estimator/converged"), cases[k].converged);
            cr_expect_eq(metric_of(race.trainer, "estimator/failed"), 1 - cases[k].converged);
        } else {
            cr_expect(strstr(race.trainer->outcome.diverged, "has not converged"), "%s",
                      race.trainer->outcome.diverged);
        }
        race_end(&race);
    }
}

/* ---- judges that only compare ---- */

static RgStatus label_nothing(void *environment, const RgSequences *sequences, RgRandom random,
                              uint8_t *preferred, RgError *why) {
    (void)environment, (void)random, (void)why;
    memset(preferred, 0, (size_t)sequences->count / 2);
    return RG_OK;
}

/* The race's task with a judge that only compares: the status of making a trainer. */
static RgStatus try_comparing(const char *algorithm, const char *options, bool skips, bool pairs,
                              RgError *why) {
    Race race = race_begin("dpo", "", "contexts=3 responses=5 pairs=20", 0, 8);
    RgTask task = race.environment->task;
    task.judge = NULL;
    task.label = label_nothing;
    task.skips = skips;
    task.pairs = pairs ? task.pairs : NULL;
    const RgAlgorithm *a = rg_algorithm_find(algorithm);
    void *values = rg_allocate(1, a->about.options_size);
    RgSettings *settings = rg_settings_create();
    rg_small_race_set(settings, "algorithm", options);
    cr_assert_eq(rg_options_read(a->about.options, settings, "algorithm", values, why), RG_OK);
    RgTrainer *trainer;
    RgStatus status =
        rg_trainer_create(a, values, &race.trainer->training, race.policy, race.reference, &task,
                          &race.trainer->optimizer->options, 0, rg_random_root(1), &trainer, why);
    rg_trainer_destroy(trainer);
    rg_settings_destroy(settings);
    free(values);
    race_end(&race);
    return status;
}

Test(family, what_needs_rewards_refuses_a_judge_that_only_compares_by_its_name) {
    static const struct {
        const char *algorithm, *options;
        bool good;
    } cases[] = {
        {"rloo", "", false},
        {"grpo", "", false},
        {"rebel", "", false},
        {"sppo", "", false},
        {"ppo", "", false},
        {"selm", "", false},
        {"best-of-n", "", false},
        {"listwise", "group_size=3", false},
        {"online-dpo", "candidates=3", false},
        {"parl", "expectation=sampled upper=utility", false},
        {"listwise", "group_size=2", true},
        {"online-dpo", "", true},
        {"sail-pr", "", true},
        {"xpo", "", true},
        {"vpo", "", true},
        {"nash-md", "", true},
        {"online-ipo", "", true},
        {"egpo", "", true},
        {"inpo", "", true},
        {"parl", "expectation=sampled estimator=none", true},
        {"dpo", "", true},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        RgError why = {0};
        RgStatus status = try_comparing(cases[k].algorithm, cases[k].options, false, true, &why);
        cr_expect_eq(status, cases[k].good ? RG_OK : RG_E_USAGE, "%s: %s", cases[k].algorithm,
                     why.text);
        char *message = rg_string_format(
            "%s needs a judge that gives rewards, and the environment's judge only compares",
            cases[k].algorithm);
        cr_expect(cases[k].good || strcmp(why.text, message) == 0, "%s", why.text);
        free(message);
    }
}

Test(family, a_judge_that_leaves_pairs_without_a_label_needs_others_in_their_place) {
    RgError why = {0};
    cr_expect_eq(try_comparing("online-dpo", "", true, true, &why), RG_OK, "%s", why.text);
    cr_expect_eq(try_comparing("parl", "expectation=sampled estimator=none", true, false, &why),
                 RG_OK, "%s", why.text);
    cr_expect_eq(try_comparing("nash-md", "", false, false, &why), RG_OK, "%s", why.text);
    cr_expect_eq(try_comparing("nash-md", "", true, false, &why), RG_E_USAGE);
    cr_expect(strncmp(why.text, "nash-md needs preference pairs to replace those", 47) == 0, "%s",
              why.text);
    cr_expect_eq(try_comparing("listwise", "group_size=2", true, true, &why), RG_E_USAGE);
    cr_expect_str_eq(why.text, "listwise needs every group ranked, and the judge leaves some "
                               "unlabelled");
}
