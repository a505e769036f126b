/* SPDX-License-Identifier: MIT */
/* Claims about the control environment: an episode is the same bits whoever runs it and wherever,
 * rewards follow from the words of an episode, physics that fails is seen and counted. Built
 * without MuJoCo: it says so. */
#include <criterion/criterion.h>

#include "envs/control/control.h"
#include "envs/episodes.h"
#include "tests/race.h"
#include "tests/random_policy.h"
#include "tests/scratch.h"

#include <math.h>
#include <omp.h>
#include <unistd.h>

enum { MOST_WORDS = 32 };

static RgStatus try_control(const char *options, uint64_t seed, RgEnvironment **environment,
                            RgError *error) {
    RgSettings *settings = rg_settings_create();
    rg_small_race_set(settings, "environment", options);
    RgStatus status = rg_environment_create("control", settings, "environment",
                                            rg_random_root(seed), environment, error);
    rg_settings_destroy(settings);
    return status;
}

/* NULL, and the test is skipped, without MuJoCo. */
static RgEnvironment *control_of(const char *options, uint64_t seed) {
    RgEnvironment *environment = NULL;
    RgError error = {0};
    if (!rg_physics_library())
        cr_skip_test("built without MuJoCo (configure --with-mujoco)");
    cr_assert_eq(try_control(options, seed, &environment, &error), RG_OK, "%s", error.text);
    return environment;
}

/* One episode of random actions, to the end of `out`. */
static void act_randomly(const RgSimulator *d, int32_t initial, RgRandom random, RgSequences *out) {
    int64_t words = rg_simulator_step_words(d);
    int32_t *response = rg_allocate(d->horizon * words, sizeof *response);
    double logprob;
    int64_t steps = random_policy_act(d, 0.5, initial, random, response, &logprob);
    rg_sequences_append(out, &initial, 1, response, steps * words);
    free(response);
}

static RgSequences *random_episodes(const RgEnvironment *environment, int32_t count) {
    RgSequences *episodes = rg_sequences_create();
    for (int32_t i = 0; i < count; i++)
        act_randomly(environment->space.simulator, i, rg_random_at(rg_random_root(11), (uint64_t)i),
                     episodes);
    return episodes;
}

static const char *const tasks[] = {"walker", "cheetah", "reacher"};

Test(control, without_mujoco_it_says_what_it_needs) {
    RgEnvironment *environment = NULL;
    RgError error = {0};
    if (rg_physics_library())
        cr_skip_test("built with MuJoCo");
    cr_assert_not_null(rg_environment_type("control"));
    cr_expect_eq(try_control("", 1, &environment, &error), RG_E_USAGE);
    cr_expect_null(environment);
    cr_expect(strstr(error.text, "control needs MuJoCo: install libmujoco-dev and configure "
                                 "--with-mujoco"),
              "%s", error.text);
}

Test(control, the_same_condition_and_actions_give_the_same_bits) {
    for (int k = 0; k < 3; k++) {
        char options[64];
        snprintf(options, sizeof options, "task=%s horizon=60", tasks[k]);
        RgEnvironment *one = control_of(options, 1), *two = control_of(options, 1);
        RgSequences *a = random_episodes(one, 3), *b = random_episodes(two, 3);
        cr_expect_eq(a->start[3], b->start[3]);
        cr_expect_eq(rg_sequences_hash(a), rg_sequences_hash(b), "%s", tasks[k]);
        rg_sequences_destroy(a);
        rg_sequences_destroy(b);
        rg_environment_destroy(one);
        rg_environment_destroy(two);
    }
}

Test(control, episodes_on_two_threads_are_those_on_one) {
    enum { EPISODES = 8 };
    RgEnvironment *environment = control_of("task=walker horizon=60", 2);
    RgSequences *alone = random_episodes(environment, EPISODES), *own[EPISODES];
#pragma omp parallel for num_threads(2) schedule(dynamic, 1)
    for (int32_t i = 0; i < EPISODES; i++) {
        own[i] = rg_sequences_create();
        act_randomly(environment->space.simulator, i, rg_random_at(rg_random_root(11), (uint64_t)i),
                     own[i]);
    }
    for (int32_t i = 0; i < EPISODES; i++) {
        cr_assert_eq(rg_sequence_length(own[i], 0), rg_sequence_length(alone, i));
        cr_expect_arr_eq(rg_sequence_response(own[i], 0), rg_sequence_response(alone, i),
                         (size_t)rg_sequence_response_length(alone, i) * sizeof(int32_t));
        rg_sequences_destroy(own[i]);
    }
    rg_sequences_destroy(alone);
    rg_environment_destroy(environment);
}

static void first_observation(const RgEnvironment *environment, int32_t initial, uint64_t seed,
                              int32_t *observation) {
    const RgSimulator *d = environment->space.simulator;
    memset(observation, 0, MOST_WORDS * sizeof *observation);
    d->end(d->begin(d->environment, initial, rg_random_root(seed), observation));
}

/* They are the environment's, not the sampler's; the test has its own, whatever the number of those
 * of training. */
Test(control, initial_states_follow_from_their_number) {
    RgEnvironment *few = control_of("task=walker conditions=4 test_episodes=3", 3);
    RgEnvironment *many = control_of("task=walker conditions=9 test_episodes=3", 3);
    int32_t a[MOST_WORDS], b[MOST_WORDS];
    for (int32_t i = 0; i < 4; i++) {
        first_observation(few, i, 1, a);
        first_observation(many, i, 2, b);
        cr_expect_arr_eq(a, b, sizeof a);
        first_observation(few, (i + 1) % 4, 1, b);
        cr_expect(memcmp(a, b, sizeof a) != 0);
    }
    const RgSequences *test_few = ((RgControlState *)few->state)->test_prompts;
    const RgSequences *test_many = ((RgControlState *)many->state)->test_prompts;
    for (int64_t i = 0; i < 3; i++) {
        first_observation(few, *rg_sequence_prompt(test_few, i), 1, a);
        first_observation(many, *rg_sequence_prompt(test_many, i), 1, b);
        cr_expect_arr_eq(a, b, sizeof a);
        first_observation(few, (int32_t)i, 1, b);
        cr_expect(memcmp(a, b, sizeof a) != 0);
    }
    rg_environment_destroy(few);
    rg_environment_destroy(many);
}

/* A thousand steps of the wildest actions: nothing fails, nothing leaves its range. */
Test(control, bodies_are_stable_and_rewards_in_range, .timeout = 120) {
    for (int k = 0; k < 3; k++) {
        char options[64];
        snprintf(options, sizeof options, "task=%s horizon=1000", tasks[k]);
        RgEnvironment *environment = control_of(options, 4);
        const RgSimulator *d = environment->space.simulator;
        RgSequences *episodes = random_episodes(environment, 2);
        double reward[1000];
        for (int64_t i = 0; i < 2; i++) {
            cr_assert_eq(rg_control_step_rewards(environment->state, episodes, i, reward), 1000,
                         "%s", tasks[k]);
            for (int64_t t = 0; t < 1000; t++) {
                cr_expect(reward[t] >= 0 && reward[t] <= 1, "%s: %g", tasks[k], reward[t]);
                const int32_t *o = rg_episode_observation(d, episodes, i, t);
                for (int64_t w = 0; w < d->observation_words; w++)
                    cr_expect(fabsf(rg_word_float(o[w])) <= 5);
            }
        }
        rg_sequences_destroy(episodes);
        rg_environment_destroy(environment);
    }
}

Test(control, the_judge_sums_discounted_rewards) {
    RgEnvironment *environment = control_of("task=cheetah horizon=30 discount=0.9", 5);
    RgSequences *episodes = random_episodes(environment, 4);
    double judged[4], reward[30];
    environment->task.judge(environment, episodes, judged, NULL);
    for (int64_t i = 0; i < 4; i++) {
        double expected = 0;
        int64_t steps = rg_control_step_rewards(environment->state, episodes, i, reward);
        for (int64_t t = 0; t < steps; t++)
            expected += pow(0.9, (double)t) * reward[t];
        cr_expect_float_eq(judged[i], expected, 1e-12);
    }
    rg_sequences_destroy(episodes);
    rg_environment_destroy(environment);
}

/* Against the suite's definitions, by hand. */
Test(control, rewards_are_those_of_the_control_suite) {
    float runner[RG_RUNNER_OBSERVATIONS] = {0}, reacher[RG_REACHER_OBSERVATIONS] = {0};
    const RgControlTask *walker = &rg_control_tasks[RG_CONTROL_WALKER];
    runner[RG_RUNNER_UPRIGHT] = 1; /* at 1.2 m */
    cr_expect_float_eq(walker->reward(runner), 1.0 / 6, 1e-7);
    runner[RG_RUNNER_FORWARD] = 0.5F;
    cr_expect_float_eq(walker->reward(runner), 3.5 / 6, 1e-7);
    runner[RG_RUNNER_FORWARD] = 3;
    cr_expect_float_eq(walker->reward(runner), 1, 1e-7);
    runner[RG_RUNNER_HEIGHT] = -2; /* 0.6 m: standing is worth a tenth */
    runner[RG_RUNNER_UPRIGHT] = -1;
    cr_expect_float_eq(walker->reward(runner), 0.3 / 4, 1e-6);

    const RgControlTask *cheetah = &rg_control_tasks[RG_CONTROL_CHEETAH];
    static const double forward[][2] = {{-1, 0}, {0, 0}, {1, 0.2}, {2.5, 0.5}, {5, 1}};
    for (size_t i = 0; i < 5; i++) {
        runner[RG_RUNNER_FORWARD] = (float)forward[i][0]; /* in units of 2 m/s */
        cr_expect_float_eq(cheetah->reward(runner), forward[i][1], 1e-7);
    }

    reacher[RG_REACHER_DISTANCE] = 0.19F; /* in units of 0.1 m */
    cr_expect_eq(rg_control_tasks[RG_CONTROL_REACHER].reward(reacher), 1);
    reacher[RG_REACHER_DISTANCE] = 2.2F;
    cr_expect_float_eq(rg_control_tasks[RG_CONTROL_REACHER].reward(reacher), 0.1, 1e-6);
}

/* Left alone, the walker stands at first and lies soon. */
Test(control, a_walker_left_alone_falls) {
    RgEnvironment *environment = control_of("task=walker horizon=100", 6);
    const RgSimulator *d = environment->space.simulator;
    int32_t observation[MOST_WORDS], rest[MOST_WORDS] = {0};
    void *episode = d->begin(environment, 0, rg_random_root(1), observation);
    cr_expect_gt(rg_word_float(observation[RG_RUNNER_HEIGHT]), 0); /* above 1.2 m */
    while (d->advance(episode, rest, observation)) {
    }
    cr_expect_lt(rg_word_float(observation[RG_RUNNER_HEIGHT]), -2); /* below 0.6 m */
    d->end(episode);
    rg_environment_destroy(environment);
}

/* ---- what goes wrong ---- */

Test(control, an_action_that_is_no_number_ends_the_episode) {
    RgEnvironment *environment = control_of("task=walker", 7);
    const RgSimulator *d = environment->space.simulator;
    int32_t observation[MOST_WORDS], action[MOST_WORDS] = {0};
    void *episode = d->begin(environment, 0, rg_random_root(1), observation);
    cr_expect(d->advance(episode, action, observation));
    action[2] = rg_float_word(NAN);
    cr_expect(!d->advance(episode, action, observation));
    d->end(episode);
    rg_environment_destroy(environment);
}

/* Actions are clipped, infinite ones too. */
Test(control, actions_beyond_their_range_are_clipped) {
    RgEnvironment *environment = control_of("task=cheetah", 8);
    const RgSimulator *d = environment->space.simulator;
    int32_t one[MOST_WORDS], other[MOST_WORDS], last[2][MOST_WORDS] = {0};
    for (int64_t k = 0; k < d->action_words; k++) {
        one[k] = rg_float_word(k % 2 ? 1.0F : -1.0F);
        other[k] = rg_float_word(k % 2 ? INFINITY : -7.0F);
    }
    for (int i = 0; i < 2; i++) {
        void *episode = d->begin(environment, 0, rg_random_root(1), last[i]);
        for (int t = 0; t < 20; t++)
            cr_assert(d->advance(episode, i ? other : one, last[i]));
        d->end(episode);
    }
    cr_expect_arr_eq(last[0], last[1], sizeof last[0]);
    rg_environment_destroy(environment);
}

/* Without a log file in the working directory, a word on the terminal or the end of the program. */
Test(control, diverging_physics_ends_the_run_alone, .init = scratch_begin) {
    RgPhysics *physics = NULL;
    RgError error = {0};
    if (!rg_physics_library())
        cr_skip_test("built without MuJoCo (configure --with-mujoco)");
    const char *path =
        scratch_write("ball.xml", "<mujoco><worldbody><body><freejoint/><geom size='0.1'/></body>"
                                  "</worldbody></mujoco>");
    cr_assert_eq(rg_physics_load(path, &physics, &error), RG_OK, "%s", error.text);
    cr_assert_eq(chdir(scratch_path), 0);
    static const double bad[] = {NAN, INFINITY, 1e200};
    for (int i = 0; i < 3; i++) {
        RgPhysicsRun *run = rg_physics_begin(physics), *other = rg_physics_begin(physics);
        cr_expect(rg_physics_settle(run) && rg_physics_settle(other));
        rg_physics_velocities(run)[0] = bad[i];
        cr_expect(!rg_physics_advance(run, 3));
        cr_expect(!rg_physics_advance(run, 1), "a failed run goes on");
        cr_expect(rg_physics_advance(other, 3));
        rg_physics_end(run);
        rg_physics_end(other);
    }
    cr_expect_neq(access("MUJOCO_LOG.TXT", F_OK), 0);
    cr_assert_eq(chdir("/"), 0);
    rg_physics_destroy(physics);
}

/* What MuJoCo calls an error, and would exit for: here it has no memory for a step's numbers. */
/* The stack is large enough for a ball in the air and too small for one that has landed. */
Test(control, an_error_of_the_simulator_ends_the_run_alone, .init = scratch_begin) {
    RgPhysics *physics = NULL;
    RgError error = {0};
    if (!rg_physics_library())
        cr_skip_test("built without MuJoCo (configure --with-mujoco)");
    const char *path = scratch_write(
        "small.xml", "<mujoco><size nstack='120'/><worldbody><geom type='plane' size='1 1 1'/>"
                     "<body pos='0 0 0.5'><freejoint/><geom size='0.1'/></body></worldbody>"
                     "</mujoco>");
    cr_assert_eq(rg_physics_load(path, &physics, &error), RG_OK, "%s", error.text);
    for (int i = 0; i < 2; i++) {
        RgPhysicsRun *run = rg_physics_begin(physics);
        cr_expect(rg_physics_settle(run));
        cr_expect(!rg_physics_advance(run, 1000));
        rg_physics_end(run);
    }
    rg_physics_destroy(physics);
}

static void expect_refused(const char *model, const char *text, RgStatus status,
                           const char *message) {
    char options[320], *folder = rg_string_copy(scratch("."));
    RgEnvironment *environment = NULL;
    RgError error = {0};
    if (text)
        scratch_write(model, text);
    snprintf(options, sizeof options, "task=reacher models=%s", folder);
    cr_expect_eq(try_control(options, 1, &environment, &error), status);
    cr_expect(strstr(error.text, message), "%s", error.text);
    free(folder);
}

Test(control, models_that_do_not_fit_are_refused, .init = scratch_begin) {
    if (!rg_physics_library())
        cr_skip_test("built without MuJoCo (configure --with-mujoco)");
    expect_refused("reacher.xml", NULL, RG_E_FILE, "reacher.xml: cannot be opened");
    expect_refused("reacher.xml", "<mujoco><worldbody><body", RG_E_FORMAT, "not a model in MJCF");
    expect_refused("reacher.xml", "<mujoco/>", RG_E_FORMAT, "expected 2, 2 and 2");
    expect_refused("reacher.xml",
                   "<mujoco><worldbody><body><joint name='a'/><joint name='b' axis='0 1 0'/>"
                   "<geom size='0.1'/></body></worldbody><actuator><motor joint='a'/>"
                   "<motor joint='b'/></actuator></mujoco>",
                   RG_E_FORMAT, "no sensor \"finger\"");
}

/* ---- with a policy ---- */

/* A prepared environment and its reference. */
static RgEnvironment *prepared(const char *options, RgPolicy **reference) {
    RgEnvironment *environment = control_of(options, 9);
    RgError error = {0};
    *reference = random_policy(environment->space.simulator, 0);
    cr_assert_eq(rg_environment_prepare(environment, *reference, rg_random_root(1), &error), RG_OK,
                 "%s", error.text);
    return environment;
}

Test(control, pairs_start_alike_and_the_preferred_are_the_demonstrations) {
    RgPolicy *reference;
    RgEnvironment *environment =
        prepared("task=reacher horizon=20 pairs=30 conditions=7", &reference);
    const RgSimulator *d = environment->space.simulator;
    const RgPairs *pairs = environment->task.pairs;
    const RgSequences *both = pairs->sequences, *shown = environment->task.demonstrations;
    double reward[60];
    environment->task.judge(environment, both, reward, NULL);
    cr_assert_eq(pairs->count, 30);
    cr_assert_eq(shown->count, 30);
    for (int64_t i = 0; i < pairs->count; i++) {
        int64_t chosen = 2 * i + pairs->preferred[i], rejected = 4 * i + 1 - chosen;
        cr_expect_eq(*rg_sequence_prompt(both, chosen), i % 7);
        cr_expect_arr_eq(rg_episode_observation(d, both, chosen, 0),
                         rg_episode_observation(d, both, rejected, 0),
                         (size_t)d->observation_words * sizeof(int32_t));
        cr_expect_neq(*rg_episode_action(d, both, chosen, 0),
                      *rg_episode_action(d, both, rejected, 0));
        cr_expect_gt(reward[chosen], reward[rejected]); /* the default is the oracle */
        cr_expect_arr_eq(rg_sequence_response(shown, i), rg_sequence_response(both, chosen),
                         (size_t)rg_sequence_response_length(both, chosen) * sizeof(int32_t));
    }
    rg_policy_destroy(reference);
    rg_environment_destroy(environment);
}

Test(control, thresholds_are_in_returns_of_the_reference) {
    RgPolicy *reference;
    RgEnvironment *environment =
        prepared("task=reacher horizon=20 pairs=40 teacher=skip teacher_skip=1.2", &reference);
    const RgControlState *s = environment->state;
    double reward[80], mean = 0;
    environment->task.judge(environment, environment->task.pairs->sequences, reward, NULL);
    cr_expect_gt(s->skipped_pairs, 5);
    for (int64_t i = 0; i < 40; i++)
        cr_expect_gt(fmax(reward[2 * i], reward[2 * i + 1]), 1.2 * s->teacher.scale);
    RgSequences *episodes = rg_sequences_create();
    rg_episodes_sample(&s->simulator, reference, s->prompts, 1, rg_random_root(5), episodes, NULL);
    double *fresh = rg_allocate(episodes->count, sizeof *fresh);
    environment->task.judge(environment, episodes, fresh, NULL);
    for (int64_t i = 0; i < episodes->count; i++)
        mean += fresh[i] / (double)episodes->count;
    cr_expect_lt(fabs(mean / s->teacher.scale - 1), 0.25);
    free(fresh);
    rg_sequences_destroy(episodes);
    rg_policy_destroy(reference);
    rg_environment_destroy(environment);
}

/* Of normal actions KL(π ‖ π_ref) is half the squared distance of the means, 100 times here. */
Test(control, evaluation_measures_return_and_divergence) {
    RgPolicy *reference;
    RgEnvironment *environment =
        prepared("task=cheetah horizon=25 pairs=2 test_episodes=40 discount=0.9", &reference);
    RgPolicy *policy = random_policy(environment->space.simulator, 0.2);
    RgEvaluation *e = rg_evaluation_create(), *again = rg_evaluation_create();
    rg_environment_evaluate(environment,
                            &(RgContender){.policy = policy, .reference = reference, .beta = 0.1},
                            rg_random_root(1), e, NULL);
    rg_environment_evaluate(environment,
                            &(RgContender){.policy = policy, .reference = reference, .beta = 0.1},
                            rg_random_root(1), again, NULL);
    double kl = 0.5 * 0.04 * 6 * 25;
    cr_expect_lt(fabs(rg_evaluation_find(e, "kl") - kl), 4 * sqrt(2 * kl / 40));
    cr_expect_eq(rg_evaluation_find(e, "episode_length"), 25);
    cr_expect_eq(rg_evaluation_find(e, "failed_episodes"), 0);
    cr_expect_eq(rg_evaluation_find(e, "skipped_pairs"), 0);
    cr_expect_gt(rg_evaluation_find(e, "return"), rg_evaluation_find(e, "discounted_return"));
    cr_expect_gt(rg_evaluation_find(e, "discounted_return"), 0);
    cr_expect_eq(rg_evaluation_items(e), 40);
    cr_expect_eq(rg_evaluation_response_count(e), 4);
    for (int i = 0; i < rg_evaluation_metric_count(e); i++)
        cr_expect_eq(rg_evaluation_metric_value(e, i), rg_evaluation_metric_value(again, i));
    rg_evaluation_destroy(e);
    rg_evaluation_destroy(again);
    rg_policy_destroy(policy);
    rg_policy_destroy(reference);
    rg_environment_destroy(environment);
}

/* A policy whose actions are no numbers: each of its episodes ends at once, and none is lost. */
Test(control, failures_are_counted) {
    RgPolicy *reference;
    RgEnvironment *environment =
        prepared("task=walker horizon=25 pairs=2 test_episodes=12", &reference);
    RgPolicy *policy = random_policy(environment->space.simulator, NAN);
    RgEvaluation *e = rg_evaluation_create();
    rg_environment_evaluate(environment,
                            &(RgContender){.policy = policy, .reference = reference, .beta = 0.1},
                            rg_random_root(1), e, NULL);
    cr_expect_eq(rg_evaluation_find(e, "failed_episodes"), 12);
    cr_expect_eq(rg_evaluation_find(e, "episode_length"), 1);
    cr_expect_eq(rg_evaluation_find(e, "win_rate_base"), 0);
    rg_evaluation_destroy(e);
    rg_policy_destroy(policy);
    rg_policy_destroy(reference);
    rg_environment_destroy(environment);
}
