/* SPDX-License-Identifier: MIT */
/* The control environment: bodies in a physics simulator that walk, run or reach, and teachers that
 * compare their episodes. This file has its options, episodes, judge and offline pairs; bodies and
 * rewards are in control_tasks.c, the simulator in control_physics.c, the evaluation in
 * control_evaluate.c.
 *
 * The words of a step are the bits of floats: the observations of the task, then its actions, which
 * are clipped to [−1, 1]. The reward of a step is a function of its observation (control_tasks.h),
 * so the judge needs only the words. An episode lasts `horizon` steps. It ends earlier only if the
 * physics fails or an action is not a number; the missing steps have no reward. */
#include "envs/control/control.h"

#include "core/files.h"
#include "envs/episodes.h"

#include <math.h>
#include <stdlib.h>

static const char *const task_names[] = {"walker", "cheetah", "reacher", NULL};

enum { SCALE_EPISODES = 100 }; /* reference episodes for the scale of the teacher's thresholds */

static const RgOption options_table[] = {
    RG_OPTION_CHOICE(RgControlOptions, task, "walker", task_names,
                     "task: walk at 1 m/s, run at up to 10 m/s, or reach a place with a finger"),
    RG_OPTION_PATH(RgControlOptions, models, "",
                   "folder with the bodies' models in MJCF, such as walker.xml; empty: those built "
                   "into the program"),
    RG_OPTION_INTEGER(RgControlOptions, horizon, "100", 1, 10000,
                      "steps of an episode, of 0.025 s each"),
    RG_OPTION_REAL(RgControlOptions, discount, "0.99", 0, 1,
                   "discount γ of the returns that the judge compares"),
    RG_OPTION_INTEGER(RgControlOptions, conditions, "256", 1, 1e6,
                      "initial states of training, which are the prompts"),
    RG_OPTION_INTEGER(RgControlOptions, pairs, "1000", 1, 1e6,
                      "offline preference pairs: two episodes of the reference policy from the "
                      "same initial state"),
    RG_OPTION_INTEGER(
        RgControlOptions, test_episodes, "100", 1, 1e6,
        "number of evaluation episodes; their initial states are not those of training"),
    RG_OPTION_INTEGER(RgControlOptions, response_samples, "4", 0, 1e6,
                      "number of test episodes whose steps are stored as text"),
    RG_OPTION_INCLUDE(RgControlOptions, teacher, rg_teacher_options),
    RG_OPTION_END,
};

/* ---- episodes ---- */

typedef struct Episode {
    const RgControlState *environment;
    RgPhysicsRun *run;
    RgControlGoal goal;
    int64_t steps_left;
} Episode;

static void observe(const Episode *e, int32_t *words) {
    const RgControlState *s = e->environment;
    const double *all = rg_physics_sensors(e->run), *sensor[RG_CONTROL_SENSORS];
    float observation[RG_RUNNER_OBSERVATIONS];
    for (int i = 0; i < RG_CONTROL_SENSORS; i++)
        sensor[i] = all + s->sensor[i];
    s->control_task->observe(e->run, sensor, &e->goal, observation);
    for (int64_t i = 0; i < s->control_task->observations; i++)
        words[i] = rg_float_word(observation[i]);
}

/* Start at the initial state of this index: training conditions first, then test states, which are
 * the same for any number of conditions. The physics is deterministic and does not use `random`. */
static void *begin(void *environment, int32_t initial, RgRandom random, int32_t *observation) {
    (void)random;
    const RgControlState *s = ((RgEnvironment *)environment)->state;
    int64_t number = initial, conditions = s->options.conditions;
    RgRandom own = number < conditions ? rg_random_at(s->training, (uint64_t)number)
                                       : rg_random_at(s->test, (uint64_t)(number - conditions));
    Episode *e = rg_allocate(1, sizeof *e);
    e->environment = s;
    e->run = rg_physics_begin(s->physics);
    e->steps_left = s->options.horizon;
    s->control_task->begin(e->run, own, &e->goal);
    rg_physics_settle(e->run); /* if it fails, so does the first step */
    observe(e, observation);
    return e;
}

/* The last action affects no observation, and is not simulated. */
static bool advance(void *episode, const int32_t *action, int32_t *observation) {
    Episode *e = episode;
    const RgControlTask *control_task = e->environment->control_task;
    double *control = rg_physics_controls(e->run);
    if (--e->steps_left <= 0)
        return false;
    for (int64_t i = 0; i < control_task->size.controls; i++) {
        double wanted = rg_word_float(action[i]);
        if (isnan(wanted))
            return false;
        control[i] = fmin(1, fmax(-1, wanted));
    }
    if (!rg_physics_advance(e->run, control_task->time_steps))
        return false;
    observe(e, observation);
    return true;
}

static void end(void *episode) {
    Episode *e = episode;
    rg_physics_end(e->run);
    free(e);
}

/* ---- rewards ---- */

int64_t rg_control_step_rewards(const RgControlState *s, const RgSequences *sequences, int64_t i,
                                double *reward) {
    int64_t steps = rg_episode_steps(&s->simulator, sequences, i);
    RG_ASSERT(steps <= s->options.horizon);
    for (int64_t t = 0; t < steps; t++) {
        const int32_t *words = rg_episode_observation(&s->simulator, sequences, i, t);
        float observation[RG_RUNNER_OBSERVATIONS];
        for (int64_t k = 0; k < s->control_task->observations; k++)
            observation[k] = rg_word_float(words[k]);
        reward[t] = s->control_task->reward(observation);
    }
    return steps;
}

/* Rewards as the judge discounts them. */
static int64_t discounted_rewards(void *environment, const RgSequences *sequences, int64_t i,
                                  double *reward) {
    const RgControlState *s = ((RgEnvironment *)environment)->state;
    int64_t steps = rg_control_step_rewards(s, sequences, i, reward);
    double weight = 1;
    for (int64_t t = 0; t < steps; t++, weight *= s->options.discount)
        reward[t] *= weight;
    return steps;
}

void rg_control_returns(RgEnvironment *environment, const RgSequences *sequences, double *reward) {
    const RgControlState *s = environment->state;
    double *step = rg_allocate(s->options.horizon, sizeof *step);
    for (int64_t i = 0; i < sequences->count; i++) {
        int64_t steps = discounted_rewards(environment, sequences, i, step);
        reward[i] = 0;
        for (int64_t t = 0; t < steps; t++)
            reward[i] += step[t];
    }
    free(step);
}

static RgStatus judge(void *environment, const RgSequences *sequences, double *reward,
                      RgError *error) {
    (void)error;
    rg_control_returns(environment, sequences, reward);
    return RG_OK;
}

static RgStatus label(void *environment, const RgSequences *sequences, RgRandom random,
                      uint8_t *preferred, RgError *error) {
    (void)error;
    const RgControlState *s = ((RgEnvironment *)environment)->state;
    rg_teacher_label_pairs(&s->teacher, discounted_rewards, environment, s->options.horizon,
                           sequences, random, preferred);
    return RG_OK;
}

/* ---- life ---- */

/* The model in the folder of the option, or the program's own. */
static char *model_path(const RgControlOptions *o) {
    const char *name = rg_control_tasks[o->task].name;
    char *folder =
        o->models[0] != '\0' ? rg_string_copy(o->models) : rg_own_file("envs/control/models");
    char *path = rg_string_format("%s/%s.xml", folder, name);
    free(folder);
    return path;
}

static RgStatus check_model(RgControlState *s, const char *path, RgError *error) {
    RgPhysicsSize found = rg_physics_size(s->physics), wanted = s->control_task->size;
    if (found.positions != wanted.positions || found.velocities != wanted.velocities ||
        found.controls != wanted.controls)
        return rg_fail(error, RG_E_FORMAT,
                       "%s: %lld positions, %lld velocities and %lld motors, expected %lld, %lld "
                       "and %lld for the task \"%s\"",
                       path, (long long)found.positions, (long long)found.velocities,
                       (long long)found.controls, (long long)wanted.positions,
                       (long long)wanted.velocities, (long long)wanted.controls,
                       s->control_task->name);
    for (int i = 0; i < RG_CONTROL_SENSORS && s->control_task->sensors[i].name; i++) {
        const RgControlSensor *sensor = &s->control_task->sensors[i];
        s->sensor[i] = rg_physics_sensor(s->physics, sensor->name, sensor->numbers);
        if (s->sensor[i] < 0)
            return rg_fail(error, RG_E_FORMAT,
                           "%s: no sensor \"%s\" of %lld numbers, expected for the task \"%s\"",
                           path, sensor->name, (long long)sensor->numbers, s->control_task->name);
    }
    return RG_OK;
}

static RgStatus load_model(RgControlState *s, RgError *error) {
    char *path = model_path(&s->options);
    RgStatus status = rg_physics_load(path, &s->physics, error);
    if (status == RG_OK)
        status = check_model(s, path, error);
    free(path);
    return status;
}

static RgStatus create(RgEnvironment *environment, const void *options, RgRandom random,
                       RgError *error) {
    RgControlState *s = rg_allocate(1, sizeof *s);
    environment->state = s;
    s->options = *(const RgControlOptions *)options;
    const RgControlOptions *o = &s->options;
    s->control_task = &rg_control_tasks[o->task];
    RG_TRY(load_model(s, error));
    s->options.models = NULL;
    s->teacher = rg_teacher_of(&o->teacher);
    s->training = rg_random_named(random, "training conditions");
    s->test = rg_random_named(random, "test conditions");
    s->prompts = rg_episode_prompts(0, o->conditions);
    s->test_prompts = rg_episode_prompts((int32_t)o->conditions, o->test_episodes);

    s->simulator = (RgSimulator){.observation_words = s->control_task->observations,
                                 .action_words = s->control_task->size.controls,
                                 .horizon = o->horizon,
                                 .discount = o->discount,
                                 .begin = begin,
                                 .advance = advance,
                                 .end = end,
                                 .environment = environment};
    environment->space = (RgPolicySpace){.simulator = &s->simulator};
    environment->task =
        (RgTask){.prompts = s->prompts,
                 .response_limit = o->horizon * rg_simulator_step_words(&s->simulator),
                 .end_token = -1,
                 .simulator = &s->simulator,
                 .judge = judge,
                 .environment = environment};
    rg_teacher_lend(&s->teacher, label, &environment->task);
    return RG_OK;
}

static void destroy_data(RgControlState *s) {
    rg_control_reference_clear(&s->of_reference);
    rg_sequences_destroy(s->demonstrations);
    rg_pairs_destroy(s->pairs);
    s->demonstrations = NULL;
    s->pairs = NULL;
}

static void destroy(RgEnvironment *environment) {
    RgControlState *s = environment->state;
    destroy_data(s);
    rg_sequences_destroy(s->test_prompts);
    rg_sequences_destroy(s->prompts);
    rg_physics_destroy(s->physics);
    free(s);
}

/* ---- offline data ---- */

static RgStatus check(const RgEnvironment *environment, const RgPolicy *policy, RgError *error) {
    const RgControlState *s = environment->state;
    return rg_episodes_check_policy(policy, &s->simulator, "control", error);
}

static RgStatus prepare(RgEnvironment *environment, RgPolicy *reference, RgRandom random,
                        RgError *error) {
    RgControlState *s = environment->state;
    RgTask *task = &environment->task;
    destroy_data(s);
    s->pairs = rg_pairs_create();
    if (!rg_teacher_is_bradley_terry(&s->teacher))
        RG_TRY(rg_episodes_mean_reward(task, reference, SCALE_EPISODES,
                                       rg_random_named(random, "teacher"), &s->teacher.scale,
                                       error));
    RG_TRY(rg_episodes_draw_pairs(task, reference, s->options.pairs, random, s->pairs,
                                  &s->skipped_pairs, error));
    task->pairs = s->pairs;
    task->demonstrations = s->demonstrations = rg_pairs_chosen(s->pairs);
    return RG_OK;
}

static const char *const metrics[] = {
    "return",    "discounted_return", "win_rate_base",   "kl",
    "objective", "episode_length",    "failed_episodes", NULL,
};

const RgEnvironmentType rg_environment_control = {
    .about = {.name = "control",
              .summary = "Bodies that walk, run or reach in the physics simulator MuJoCo; scripted "
                         "teachers compare their episodes",
              .reference =
                  "rewards of the DeepMind Control Suite, Tassa et al. 2018, arXiv:1801.00690; "
                  "teachers of B-Pref, Lee et al. 2021, arXiv:2111.03026",
              .options = options_table,
              .options_size = sizeof(RgControlOptions)},
    .primary_metric = "return",
    .metrics = metrics,
    .create = create,
    .check = check,
    .prepare = prepare,
    .evaluate = rg_control_evaluate,
    .destroy = destroy,
};
