/* SPDX-License-Identifier: MIT */
/* The lqr environment: a linear–quadratic regulator with a leader, whose follower is the policy. The
 * levels that bilevel methods see are in lqr_levels.c and lqr_solution.c.
 *
 * The words of a step are the bits of floats: the state and the leader's action, then the
 * follower's, which is not limited. An episode starts as V does, from a state and a leader's action
 * that are normally distributed. Later actions of the leader are those of K = 0: noise alone. The
 * judge, the offline pairs and the metrics are the follower's, under this leader. */
#include "envs/lqr/lqr.h"

#include "envs/episodes.h"

#include <math.h>
#include <stdlib.h>

static const RgOption options_table[] = {
    RG_OPTION_REAL(RgLqrOptions, discount, "0.95", 0, 0.9999999,
                   "γ, discount of the follower's cost"),
    RG_OPTION_REAL(RgLqrOptions, leader_discount, "1", 0, 1, "discount of the leader's value"),
    RG_OPTION_REAL(RgLqrOptions, leader_deviation, "0.001", 0, 1e3,
                   "standard deviation of the leader's action around K·x"),
    RG_OPTION_REAL(RgLqrOptions, target, "-0.8", -1e3, 1e3,
                   "position that the leader's reward is for; its velocity is 0"),
    RG_OPTION_REAL(RgLqrOptions, target_width, "0.2", 1e-3, 1e3,
                   "standard deviation of the leader's reward in the position; that in the "
                   "velocity is a twentieth of it"),
    RG_OPTION_INTEGER(RgLqrOptions, horizon, "100", 1, 10000,
                      "steps of the leader's value, and of an episode"),
    RG_OPTION_INTEGER(RgLqrOptions, conditions, "256", 1, 1e6,
                      "initial states of training, which are the prompts"),
    RG_OPTION_INTEGER(
        RgLqrOptions, pairs, "100", 1, 1e6,
        "offline preference pairs: two episodes of the reference policy from the same "
        "initial state"),
    RG_OPTION_INTEGER(RgLqrOptions, test_episodes, "100", 1, 1e6,
                      "number of evaluation episodes, from other initial states"),
    RG_OPTION_REAL(RgLqrOptions, label_temperature, "1", 0, 1e3,
                   "temperature of the judge's Bradley-Terry labels; 0: the smaller cost"),
    RG_OPTION_REAL(RgLqrOptions, label_noise, "0", 0, 1, "probability that a label is flipped"),
    RG_OPTION_END,
};

typedef struct State {
    RgLqrOptions options;
    RgLqr lqr;
    RgBilevelTask bilevel;
    RgSimulator simulator;
    RgRandom starts;
    RgSequences *prompts, *test_prompts, *demonstrations;
    RgPairs *pairs; /* of the last prepare */
} State;

/* ---- episodes ---- */

typedef struct Episode {
    const RgLqr *lqr;
    RgRandom random;
    uint64_t drawn;
    double x[RG_LQR_STATES], leader[RG_LQR_ACTIONS];
} Episode;

static void observe(const Episode *e, int32_t *observation) {
    const RgLqr *l = e->lqr;
    for (int64_t i = 0; i < l->states; i++)
        observation[i] = rg_float_word((float)e->x[i]);
    for (int64_t i = 0; i < l->leader_actions; i++)
        observation[l->states + i] = rg_float_word((float)e->leader[i]);
}

static void *begin(void *environment, int32_t initial, RgRandom random, int32_t *observation) {
    const State *s = ((RgEnvironment *)environment)->state;
    const RgLqr *l = &s->lqr;
    RgRandom own = rg_random_at(s->starts, (uint64_t)initial);
    Episode *e = rg_allocate(1, sizeof *e);
    *e = (Episode){.lqr = l, .random = random};
    for (int64_t i = 0; i < l->states; i++)
        e->x[i] = rg_random_normal(own, (uint64_t)i);
    for (int64_t i = 0; i < l->leader_actions; i++)
        e->leader[i] = rg_random_normal(own, (uint64_t)(l->states + i));
    observe(e, observation);
    return e;
}

static bool advance(void *episode, const int32_t *action, int32_t *observation) {
    Episode *e = episode;
    const RgLqr *l = e->lqr;
    double next[RG_LQR_STATES];
    for (int64_t i = 0; i < l->states; i++) {
        next[i] = 0;
        for (int64_t j = 0; j < l->states; j++)
            next[i] += l->a[i * l->states + j] * e->x[j];
        for (int64_t j = 0; j < l->leader_actions; j++)
            next[i] += l->c[i * l->leader_actions + j] * e->leader[j];
        for (int64_t j = 0; j < l->actions; j++)
            next[i] += l->b[i * l->actions + j] * (double)rg_word_float(action[j]);
        if (!isfinite(next[i]))
            return false;
    }
    for (int64_t i = 0; i < l->states; i++)
        e->x[i] = next[i];
    for (int64_t i = 0; i < l->leader_actions; i++)
        e->leader[i] = l->leader_deviation * rg_random_normal(e->random, e->drawn++);
    observe(e, observation);
    return true;
}

/* ---- the judge ---- */

/* xᵀQx + uᵀRu of a step. */
static double cost_of_step(const RgLqr *l, const int32_t *words) {
    double cost = 0, x[RG_LQR_STATES] = {0};
    for (int64_t i = 0; i < l->states; i++)
        x[i] = rg_word_float(words[i]);
    for (int64_t i = 0; i < l->states * l->states; i++)
        cost += l->q[i] * x[i / l->states] * x[i % l->states];
    for (int64_t i = 0; i < l->actions; i++) {
        double u = rg_word_float(words[l->states + l->leader_actions + i]);
        cost += l->r[i] * u * u;
    }
    return cost;
}

static void returns(const State *s, const RgSequences *episodes, double *reward) {
    for (int64_t i = 0; i < episodes->count; i++) {
        double weight = 1;
        reward[i] = 0;
        for (int64_t h = 0; h < rg_episode_steps(&s->simulator, episodes, i); h++) {
            reward[i] -= weight * cost_of_step(&s->lqr, rg_episode_observation(&s->simulator,
                                                                               episodes, i, h));
            weight *= s->lqr.discount;
        }
    }
}

static RgStatus judge(void *environment, const RgSequences *sequences, double *reward,
                      RgError *error) {
    (void)error;
    returns(((RgEnvironment *)environment)->state, sequences, reward);
    return RG_OK;
}

/* ---- life ---- */

static RgLqr lqr_of(const RgLqrOptions *o) {
    const double narrower = 20;
    RgLqr l = rg_lqr_bc_hg();
    l.discount = o->discount;
    l.leader_discount = o->leader_discount;
    l.leader_deviation = o->leader_deviation;
    l.target[0] = o->target;
    l.width[0] = o->target_width;
    l.width[1] = o->target_width / narrower;
    l.horizon = o->horizon;
    return l;
}

static RgStatus create(RgEnvironment *environment, const void *options, RgRandom random,
                       RgError *error) {
    (void)error;
    State *s = rg_allocate(1, sizeof *s);
    environment->state = s;
    s->options = *(const RgLqrOptions *)options;
    const RgLqrOptions *o = &s->options;
    s->lqr = lqr_of(o);
    s->bilevel = rg_lqr_task(&s->lqr);
    s->starts = rg_random_named(random, "starts");
    s->prompts = rg_episode_prompts(0, o->conditions);
    s->test_prompts = rg_episode_prompts((int32_t)o->conditions, o->test_episodes);
    s->simulator = (RgSimulator){.observation_words = s->lqr.states + s->lqr.leader_actions,
                                 .action_words = s->lqr.actions,
                                 .horizon = o->horizon,
                                 .discount = o->discount,
                                 .begin = begin,
                                 .advance = advance,
                                 .end = free,
                                 .environment = environment};
    environment->space = (RgPolicySpace){.simulator = &s->simulator};
    environment->task =
        (RgTask){.prompts = s->prompts,
                 .response_limit = o->horizon * rg_simulator_step_words(&s->simulator),
                 .end_token = -1,
                 .simulator = &s->simulator,
                 .bilevel = &s->bilevel,
                 .judge = judge,
                 .environment = environment,
                 .label_temperature = o->label_temperature,
                 .label_noise = o->label_noise};
    return RG_OK;
}

static void destroy_data(State *s) {
    rg_sequences_destroy(s->demonstrations);
    rg_pairs_destroy(s->pairs);
    s->demonstrations = NULL;
    s->pairs = NULL;
}

static void destroy(RgEnvironment *environment) {
    State *s = environment->state;
    destroy_data(s);
    rg_sequences_destroy(s->test_prompts);
    rg_sequences_destroy(s->prompts);
    free(s);
}

static RgStatus check(const RgEnvironment *environment, const RgPolicy *policy, RgError *error) {
    const State *s = environment->state;
    return rg_episodes_check_policy(policy, &s->simulator, "lqr", error);
}

static RgStatus prepare(RgEnvironment *environment, RgPolicy *reference, RgRandom random,
                        RgError *error) {
    State *s = environment->state;
    RgTask *task = &environment->task;
    int64_t skipped;
    destroy_data(s);
    s->pairs = rg_pairs_create();
    RG_TRY(rg_episodes_draw_pairs(task, reference, s->options.pairs, random, s->pairs, &skipped,
                                  error));
    task->pairs = s->pairs;
    task->demonstrations = s->demonstrations = rg_pairs_chosen(s->pairs);
    return RG_OK;
}

/* ---- evaluation ---- */

/* The metrics, each per episode and its mean:
 *   return         the follower's discounted cost, negative
 *   win_rate_base  share of initial states where it is larger than the reference's
 *   kl             estimate of KL(π ‖ π_ref) of whole episodes, nats
 *   objective      return − β·kl */
static RgStatus evaluate(RgEnvironment *environment, const RgContender *contender, RgRandom random,
                         RgEvaluation *evaluation, RgError *error) {
    const State *s = environment->state;
    int64_t count = s->test_prompts->count;
    double *own = rg_allocate(count, sizeof *own), *base = rg_allocate(count, sizeof *base);
    double *logprob = rg_allocate(count, sizeof *logprob);
    RgSequences *episodes = rg_sequences_create();
    rg_episodes_sample(&s->simulator, contender->reference, s->test_prompts, 1,
                       rg_random_named(random, "reference"), episodes, NULL);
    returns(s, episodes, base);
    rg_sequences_clear(episodes);
    RgStatus status =
        rg_episodes_contend(&environment->task, contender, s->test_prompts,
                            rg_random_named(random, "policy"), episodes, logprob, error);
    if (status == RG_OK) {
        returns(s, episodes, own);
        rg_evaluation_column_and_mean(evaluation, "return", own, count);
        for (int64_t i = 0; i < count; i++)
            own[i] = own[i] > base[i] ? 1 : own[i] < base[i] ? 0 : 0.5;
        rg_evaluation_column_and_mean(evaluation, "win_rate_base", own, count);
        rg_policy_logprob_values(contender->reference, episodes, own);
        for (int64_t i = 0; i < count; i++)
            own[i] = logprob[i] - own[i];
        rg_evaluation_column_and_mean(evaluation, "kl", own, count);
        rg_evaluation_metric(evaluation, "objective",
                             rg_evaluation_find(evaluation, "return") -
                                 contender->beta * rg_evaluation_find(evaluation, "kl"));
    }
    rg_sequences_destroy(episodes);
    free(logprob);
    free(base);
    free(own);
    return status;
}

static const char *const metrics[] = {"return", "win_rate_base", "kl", "objective", NULL};

const RgEnvironmentType rg_environment_lqr = {
    .about = {.name = "lqr",
              .summary = "A linear–quadratic regulator that a leader steers: continuous states and "
                         "actions, and a follower whose optimum is known",
              .reference = "the bilevel LQR of BC-HG, arXiv:2603.14867",
              .options = options_table,
              .options_size = sizeof(RgLqrOptions)},
    .primary_metric = "return",
    .metrics = metrics,
    .create = create,
    .check = check,
    .prepare = prepare,
    .evaluate = evaluate,
    .destroy = destroy,
};
