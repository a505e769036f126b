/* SPDX-License-Identifier: MIT */
/* PARL's lower level in episodes of numbers, in double: the value that is summed step by step
 * against plain simulation with the same random numbers, at the policy that the samples are of and
 * away from it, and its second derivatives against differences of its first. */
#include "algorithms/parl/parl_levels.h"
#include "linear_mdp.h"
#include "race.h"

#include <math.h>

enum { PROMPTS = 32, MOST = 200 };

static RgStatus no_judge(void *environment, const RgSequences *sequences, double *reward,
                         RgError *error) {
    (void)error;
    (void)environment;
    for (int64_t i = 0; i < sequences->count; i++)
        reward[i] = 0;
    return RG_OK;
}

/* PARL in the linear process, some way off its reference, with some reward of the steps. */
typedef struct Setting {
    RgSettings *settings;
    RgSequences *prompts;
    RgTask task;
    RgParlOptions options;
    RgPolicy *policy, *reference;
    RgTrainer *trainer;
    RgParl *parl;
} Setting;

static void setting_begin(Setting *s, const char *options) {
    RgError error = {0};
    *s = (Setting){.settings = rg_settings_create(), .prompts = rg_sequences_create()};
    for (int32_t i = 0; i < PROMPTS; i++)
        rg_sequences_append(s->prompts, &i, 1, NULL, 0);
    s->task = (RgTask){.prompts = s->prompts,
                       .response_limit = 36,
                       .end_token = -1,
                       .simulator = &linear_mdp,
                       .judge = no_judge};
    rg_small_race_set(s->settings, "algorithm",
                      "beta=0.3 reward=mlp reward_hidden=4 reward_deviation=1");
    rg_small_race_set(s->settings, "algorithm", options);
    cr_assert_eq(rg_options_read(rg_algorithm_parl.about.options, s->settings, "algorithm",
                                 &s->options, &error),
                 RG_OK, "%s", error.text);
    s->policy = linear_policy(&error);
    s->reference = rg_policy_clone(s->policy, false);
    RgParameters *p = s->policy->parameters;
    cr_assert_leq(p->count, MOST);
    for (int64_t i = 0; i < p->count; i++)
        p->value[i] += 0.1 * rg_random_normal(rg_random_root(12), (uint64_t)i);
    RgTrainingOptions training = {.batch = PROMPTS, .temperature = 1, .top_p = 1};
    RgOptimizerOptions sgd = {.type = {&rg_optimizer_sgd.about}, .learning_rate = 0.1};
    cr_assert_eq(rg_trainer_create(&rg_algorithm_parl, &s->options, &training, s->policy,
                                   s->reference, &s->task, &sgd, 0, rg_random_root(13), &s->trainer,
                                   &error),
                 RG_OK, "%s", error.text);
    s->parl = s->trainer->state;
    cr_assert(s->parl->reward.by_step);
}

static void setting_end(Setting *s) {
    rg_trainer_destroy(s->trainer);
    rg_policy_destroy(s->policy);
    rg_policy_destroy(s->reference);
    rg_sequences_destroy(s->prompts);
    rg_settings_destroy(s->settings);
}

static void move(Setting *s, const RgReal *v, double step) {
    RgParameters *p = s->policy->parameters;
    for (int64_t i = 0; i < p->count; i++)
        p->value[i] += step * v[i];
}

static void direction(const Setting *s, RgReal *v) {
    double norm = 0;
    int64_t n = s->policy->parameters->count;
    for (int64_t i = 0; i < n; i++) {
        v[i] = rg_random_normal(rg_random_root(14), (uint64_t)i);
        norm += v[i] * v[i];
    }
    for (int64_t i = 0; i < n; i++)
        v[i] /= sqrt(norm);
}

/* Σ_t γ^t (r − β log(π/π_ref)) of `copies` episodes from each prompt of the policy as it is:
 * worth [copies · prompts]. The same numbers each time. */
static void simulate(Setting *s, int64_t copies, double *worth) {
    RgSampling sampling = {.temperature = 1, .top_p = 1, .response_limit = 36, .end_token = -1};
    RgSequences *episodes = rg_sequences_create();
    RgTape *t = rg_tape_create();
    rg_policy_sample(s->policy, s->prompts, copies, &sampling, rg_random_root(15), episodes, NULL);
    RgRewardInput input = rg_reward_input(&s->parl->reward, s->reference, episodes);
    double *policy = rg_allocate(input.rows, sizeof *policy);
    double *reference = rg_allocate(input.rows, sizeof *reference);
    rg_policy_step_values(s->policy, episodes, policy);
    rg_policy_step_values(s->reference, episodes, reference);
    const RgTensor *reward = rg_reward_of(t, &s->parl->reward, &input);
    for (int64_t i = 0; i < input.count; i++) {
        double weight = 1;
        worth[i] = reward->data[i];
        for (int64_t k = input.offsets[i]; k < input.offsets[i + 1]; k++, weight *= 0.9)
            worth[i] -= s->options.beta * weight * (policy[k] - reference[k]);
    }
    rg_reward_input_free(&input);
    rg_sequences_destroy(episodes);
    rg_tape_destroy(t);
    free(policy);
    free(reference);
}

typedef struct Moments {
    double sum, squares;
    int64_t count;
} Moments;

static void add(Moments *m, double x) {
    m->sum += x;
    m->squares += x * x;
    m->count++;
}
static double mean(const Moments *m) {
    return m->sum / (double)m->count;
}
static double standard_error(const Moments *m) {
    double variance = m->squares / (double)m->count - mean(m) * mean(m);
    return sqrt(variance / (double)m->count);
}

/* Of (V(θ + high·v) − V(θ + low·v)) / (high − low), by simulation. */
static Moments simulated_slope(Setting *s, const RgReal *v, double low, double high) {
    enum { COPIES = 2000, COUNT = COPIES * PROMPTS };
    double *below = rg_allocate(COUNT, sizeof *below), *above = rg_allocate(COUNT, sizeof *above);
    move(s, v, low);
    simulate(s, COPIES, below);
    move(s, v, high - low);
    simulate(s, COPIES, above);
    move(s, v, -high);
    Moments m = {0};
    for (int64_t i = 0; i < COUNT; i++)
        add(&m, (above[i] - below[i]) / (high - low));
    free(below);
    free(above);
    return m;
}

static double value_here(Setting *s, RgReal *gradient) {
    RgTape *t = s->trainer->tape;
    RgTensor *y = s->parl->levels->value(s->parl, t);
    double value = y->data[0];
    if (gradient) {
        RgParameters *p = s->policy->parameters;
        rg_parameters_zero_gradient(p);
        rg_backward(t, y, 1);
        memcpy(gradient, p->gradient, (size_t)p->count * sizeof *gradient);
    }
    rg_tape_reset(t);
    return value;
}

static void expect_close(const Moments *sampled, const Moments *simulated) {
    double error = hypot(standard_error(sampled), standard_error(simulated));
    cr_expect_lt(fabs(mean(sampled) - mean(simulated)), 4 * error, "%g, simulated %g ± %g",
                 mean(sampled), mean(simulated), error);
    cr_expect_lt(error, 0.04 * fabs(mean(simulated)), "too noisy to tell: %g ± %g", mean(simulated),
                 error);
}

Test(episodes, the_sampled_value_and_its_gradient_are_those_of_the_simulated_process) {
    enum { ROUNDS = 3000 };
    const double far = 0.15;
    Setting s;
    RgReal v[MOST], gradient[MOST];
    setting_begin(&s, "");
    direction(&s, v);
    Moments slope = {0}, change = {0};
    for (int round = 0; round < ROUNDS; round++) {
        double along = 0;
        s.parl->levels->draw_lower(s.parl, round, 0);
        double here = value_here(&s, gradient);
        for (int64_t i = 0; i < s.policy->parameters->count; i++)
            along += gradient[i] * v[i];
        add(&slope, along);
        move(&s, v, far);
        add(&change, (value_here(&s, NULL) - here) / far);
        move(&s, v, -far);
    }
    Moments near_slope = simulated_slope(&s, v, -0.05, 0.05);
    Moments far_slope = simulated_slope(&s, v, 0, far);
    expect_close(&slope, &near_slope);
    expect_close(&change, &far_slope);
    setting_end(&s);
}

Test(episodes, second_derivatives_of_the_value_are_differences_of_its_gradient) {
    const double step = 1e-5;
    Setting s;
    RgReal v[MOST], high[MOST], low[MOST], product[MOST];
    setting_begin(&s, "");
    direction(&s, v);
    s.parl->levels->draw_lower(s.parl, 0, 0);
    value_here(&s, NULL);
    move(&s, v, step);
    value_here(&s, high);
    move(&s, v, -2 * step);
    value_here(&s, low);
    move(&s, v, step);
    RgTape *t = rg_tape_create();
    rg_tape_second_order(t, true);
    RgHessian *hessian =
        rg_hessian_create(t, s.parl->levels->value(s.parl, t), s.policy->parameters);
    rg_hessian_product(hessian, v, product);
    double gap = 0, norm = 0;
    for (int64_t i = 0; i < s.policy->parameters->count; i++) {
        double difference = (high[i] - low[i]) / (2 * step);
        gap += (product[i] - difference) * (product[i] - difference);
        norm += difference * difference;
    }
    cr_assert_lt(sqrt(gap / norm), 1e-5, "off by %g", sqrt(gap / norm));
    rg_tape_destroy(t);
    setting_end(&s);
}

static double step_metric(const RgTrainer *trainer, const char *name) {
    for (int i = 0; i < trainer->outcome.metric_count; i++)
        if (strcmp(trainer->outcome.metrics[i].name, name) == 0)
            return trainer->outcome.metrics[i].value;
    return NAN;
}

/* One round where episodes end when they are far off, which is allowed or is a failure: whether the
 * reward was stepped. */
static bool round_learns(Setting *s, bool may_end, const char *on_failure, bool *going) {
    char options[64];
    snprintf(options, sizeof options, "estimator=none on_failure=%s", on_failure);
    linear_mdp.may_end = may_end;
    setting_begin(s, options);
    RgParameters *reward = s->parl->reward.parameters;
    RgReal before[MOST];
    memcpy(before, reward->value, (size_t)reward->count * sizeof *before);
    *going = take_step(s->trainer);
    return memcmp(before, reward->value, (size_t)reward->count * sizeof *before) != 0;
}

Test(episodes, those_that_break_off_are_handled_as_the_options_say) {
    static const char *const kept[] = {"skip", "damp"};
    Setting s;
    bool going;
    for (int i = 0; i < 2; i++) {
        cr_expect(!round_learns(&s, false, kept[i], &going) && going, "%s", kept[i]);
        cr_expect_gt(step_metric(s.trainer, "failed_episodes"), 0);
        cr_expect_eq(step_metric(s.trainer, "upper_skipped"), 1);
        cr_expect(s.trainer->outcome.notice &&
                  strstr(s.trainer->outcome.notice, "an episode ended early"));
        setting_end(&s);
    }
    cr_expect(!round_learns(&s, false, "stop", &going) && !going);
    cr_expect(s.trainer->outcome.diverged &&
              strstr(s.trainer->outcome.diverged, "an episode ended early"));
    setting_end(&s);
    cr_expect(round_learns(&s, true, "stop", &going) && going);
    cr_expect(isnan(step_metric(s.trainer, "failed_episodes")));
    setting_end(&s);
}
