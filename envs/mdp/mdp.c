/* SPDX-License-Identifier: MIT */
/* The mdp environment: its options, its episodes, its judge and its offline pairs. */
#include "envs/mdp/mdp.h"

#include "envs/episodes.h"

#include <stdlib.h>

static const char *const problems[] = {"random", "grid", "four-rooms", "leader-follower", NULL};
static const char *const simulators[] = {"transitions", "redrawn", NULL};
static const char *const follower_values[] = {"observed", "averaged", NULL};

static const RgOption options_table[] = {
    RG_OPTION_CHOICE(
        RgMdpOptions, problem, "random", problems,
        "random: rewards and transitions drawn from the seed, in layers, one per step; grid: from "
        "the left edge to the upper right corner, with the values of the cells as the design "
        "parameters; four-rooms: the incentive design of HPGD (Thoma et al. 2024); "
        "leader-follower: a leader's policy as the design, whose actions the follower observes"),
    RG_OPTION_INTEGER(RgMdpOptions, states, "4", 1, 1000, "random: number of states at each step"),
    RG_OPTION_INTEGER(RgMdpOptions, actions, "3", 2, 100,
                      "random: number of actions in each state"),
    RG_OPTION_INTEGER(RgMdpOptions, branching, "2", 1, 1000,
                      "random: number of successors of a state and action"),
    RG_OPTION_REAL(RgMdpOptions, reward_scale, "1", 0, 1e3,
                   "random: standard deviation of the rewards, which are normally distributed"),
    RG_OPTION_INTEGER(RgMdpOptions, width, "5", 2, 100, "grid: cells in a row"),
    RG_OPTION_INTEGER(RgMdpOptions, height, "5", 1, 100, "grid: rows"),
    RG_OPTION_REAL(RgMdpOptions, slip, "0.1", 0, 0.75,
                   "grid: probability that a move goes in another direction"),
    RG_OPTION_REAL(RgMdpOptions, incentive_penalty, "1", 0, 1e3,
                   "four-rooms: the leader's cost of a unit of incentives"),
    RG_OPTION_CHOICE(
        RgMdpOptions, simulator, "transitions", simulators,
        "four-rooms: what a sampled episode follows. transitions: those of the process, which the "
        "follower's optimum is one in; redrawn: as in HPGD's code a move that fails is redrawn "
        "from all four, so that it may be the chosen one, and episodes fail less often than that",
        .later = true),
    RG_OPTION_PATH(RgMdpOptions, problem_file, "",
                   "leader-follower: file of states, actions, transitions and rewards; none: the "
                   "process with three states of BC-HG (arXiv:2603.14867)",
                   .later = true),
    RG_OPTION_REAL(
        RgMdpOptions, follower_reward, "1", -1e6, 1e6,
        "leader-follower without problem_file: R, the follower's reward for going from A "
        "to B",
        .later = true),
    RG_OPTION_CHOICE(
        RgMdpOptions, follower_value, "observed", follower_values,
        "leader-follower: what the follower expects to see later. observed: the "
        "leader's action in every step, the soft value of Q averaged over the leader; "
        "averaged: none after this step, the soft value of the averaged Q, as in BC-HG",
        .later = true),
    RG_OPTION_REAL(RgMdpOptions, leader_discount, "-1", -1, 1,
                   "leader-follower: discount of the leader's value, which has as many steps as "
                   "the horizon; -1: that of problem_file, or 0.99",
                   .later = true),
    RG_OPTION_INTEGER(
        RgMdpOptions, horizon, "0", 0, 10000,
        "most steps of a sampled episode, and number of steps of a random problem; "
        "0: random 4, grid 100, four-rooms 200, leader-follower that of problem_file, "
        "or 150"),
    RG_OPTION_REAL(RgMdpOptions, discount, "-1", -1, 0.9999999,
                   "discount of returns; -1: random 1, grid 0.95, four-rooms 0.99, leader-follower "
                   "that of problem_file, or 0.99"),
    RG_OPTION_INTEGER(RgMdpOptions, conditions, "64", 1, 1e6,
                      "training prompts: they cycle through the problem's initial states"),
    RG_OPTION_INTEGER(RgMdpOptions, pairs, "1000", 1, 1e6,
                      "offline preference pairs: two episodes of the reference from one initial "
                      "state"),
    RG_OPTION_INTEGER(RgMdpOptions, test_episodes, "200", 1, 1e6,
                      "pairs of episodes that win rates are estimated from; all else is exact"),
    RG_OPTION_REAL(RgMdpOptions, label_temperature, "1", 0, 1e3,
                   "temperature of the judge's Bradley-Terry labels; 0: the larger return"),
    RG_OPTION_REAL(RgMdpOptions, label_noise, "0", 0, 1, "probability that a label is flipped"),
    RG_OPTION_END,
};

const RgMdpProblem *rg_mdp_problem(const RgEnvironment *environment) {
    return &((const RgMdpState *)environment->state)->problem;
}

/* ---- episodes ---- */

typedef struct Episode {
    const RgMdpProblem *problem;
    RgRandom random;
    uint64_t step;
    int64_t state;
} Episode;

static void *begin(void *environment, int32_t initial, RgRandom random, int32_t *observation) {
    const RgMdpProblem *p = rg_mdp_problem(environment);
    Episode *e = rg_allocate(1, sizeof *e);
    *e = (Episode){p, random, 0, p->start[initial % p->starts]};
    *observation = (int32_t)e->state;
    return e;
}

/* The missing part of a row's sum to 1 is the probability that the episode ends here. */
static bool advance(void *episode, const int32_t *action, int32_t *observation) {
    Episode *e = episode;
    const RgMdpSuccessors *successors = &e->problem->successors;
    int64_t row = e->state * e->problem->mdp.actions + *action;
    double left = rg_random_uniform(e->random, e->step++), total = 0;
    int64_t last = -1;
    for (int64_t i = successors->first[row]; i < successors->first[row + 1]; i++) {
        total += (double)successors->probability[i];
        last = successors->state[i];
        if (left < total)
            break;
    }
    const double rounding = 1e-5; /* of a row that sums to 1 */
    if (last < 0 || (left >= total && total < 1 - rounding))
        return false;
    e->state = last;
    *observation = (int32_t)last;
    return true;
}

/* ---- the judge ---- */

void rg_mdp_returns(const RgMdpState *s, const RgSequences *sequences, double *reward) {
    const RgMdp *mdp = &s->problem.mdp;
    for (int64_t i = 0; i < sequences->count; i++) {
        double weight = 1;
        reward[i] = 0;
        for (int64_t h = 0; h < rg_episode_steps(&s->simulator, sequences, i); h++) {
            int64_t state = *rg_episode_observation(&s->simulator, sequences, i, h);
            int64_t action = *rg_episode_action(&s->simulator, sequences, i, h);
            reward[i] += weight * (double)mdp->reward[state * mdp->actions + action];
            weight *= mdp->discount;
        }
    }
}

static RgStatus judge(void *environment, const RgSequences *sequences, double *reward,
                      RgError *error) {
    (void)error;
    rg_mdp_returns(((RgEnvironment *)environment)->state, sequences, reward);
    return RG_OK;
}

/* ---- life ---- */

static RgStatus create(RgEnvironment *environment, const void *options, RgRandom random,
                       RgError *error) {
    RgMdpState *s = rg_allocate(1, sizeof *s);
    environment->state = s;
    s->options = *(const RgMdpOptions *)options;
    const RgMdpOptions *o = &s->options;
    RG_TRY(rg_mdp_problem_create(o, random, &s->problem, error));
    const RgMdp *mdp = &s->problem.mdp;
    s->best_return = rg_mdp_best_return(mdp, mdp->reward, NULL);
    s->prompts = rg_episode_prompts(0, o->conditions);
    s->test_prompts = rg_episode_prompts(0, o->test_episodes);
    s->simulator = (RgSimulator){.states = mdp->states,
                                 .actions = mdp->actions,
                                 .observation_words = 1,
                                 .action_words = 1,
                                 .horizon = s->problem.horizon,
                                 .may_end = true,
                                 .discount = mdp->discount,
                                 .begin = begin,
                                 .advance = advance,
                                 .end = free,
                                 .environment = environment};
    environment->space = (RgPolicySpace){.simulator = &s->simulator};
    environment->task =
        (RgTask){.prompts = s->prompts,
                 .response_limit = s->problem.horizon * rg_simulator_step_words(&s->simulator),
                 .end_token = -1,
                 .simulator = &s->simulator,
                 .mdp = mdp,
                 .judge = judge,
                 .environment = environment,
                 .label_temperature = o->label_temperature,
                 .label_noise = o->label_noise};
    return RG_OK;
}

static void destroy_data(RgMdpState *s) {
    rg_sequences_destroy(s->demonstrations);
    rg_pairs_destroy(s->pairs);
    s->demonstrations = NULL;
    s->pairs = NULL;
}

static void destroy(RgEnvironment *environment) {
    RgMdpState *s = environment->state;
    destroy_data(s);
    rg_sequences_destroy(s->test_prompts);
    rg_sequences_destroy(s->prompts);
    rg_mdp_problem_free(&s->problem);
    free(s);
}

static RgStatus check(const RgEnvironment *environment, const RgPolicy *policy, RgError *error) {
    const RgMdpState *s = environment->state;
    return rg_episodes_check_policy(policy, &s->simulator, "mdp", error);
}

static RgStatus prepare(RgEnvironment *environment, RgPolicy *reference, RgRandom random,
                        RgError *error) {
    RgMdpState *s = environment->state;
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

static const char *const metrics[] = {
    "return", "optimality", "regret", "kl", "objective", "entropy", "win_rate_base", NULL,
};

const RgEnvironmentType rg_environment_mdp = {
    .about = {.name = "mdp",
              .summary = "Tabular MDPs that are known exactly: random, a grid world, Four Rooms, "
                         "leader and follower",
              .reference =
                  "Four Rooms with HPGD's incentive design, Thoma et al. 2024, arXiv:2406.01575; "
                  "leader and follower as in BC-HG, arXiv:2603.14867",
              .options = options_table,
              .options_size = sizeof(RgMdpOptions)},
    .primary_metric = "return",
    .metrics = metrics,
    .create = create,
    .check = check,
    .prepare = prepare,
    .evaluate = rg_mdp_evaluate,
    .destroy = destroy,
};
