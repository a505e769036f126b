/* SPDX-License-Identifier: MIT */
/* Evaluation in a tabular MDP: returns and divergences are exact, win rates sampled. */
#include "core/models/state_table.h"
#include "envs/episodes.h"
#include "envs/mdp/mdp.h"

#include <math.h>
#include <stdlib.h>

/* Sums over discounted visits of a policy with log-probabilities table [states, actions]. */
typedef struct Sums {
    double total, reward, kl, entropy;
} Sums;

static Sums sum_visits(const RgMdp *mdp, const RgReal *table, const RgReal *base) {
    int64_t cells = mdp->states * mdp->actions;
    double *visits = rg_allocate(cells, sizeof *visits);
    Sums sums = {0};
    rg_mdp_visits(mdp, table, visits);
    for (int64_t i = 0; i < cells; i++) {
        if (!(visits[i] > 0))
            continue;
        sums.total += visits[i];
        sums.reward += visits[i] * (double)mdp->reward[i];
        sums.kl += visits[i] * ((double)table[i] - (double)base[i]);
        sums.entropy -= visits[i] * (double)table[i];
    }
    free(visits);
    return sums;
}

/* Returns by the judge of one episode from each test prompt. */
static double *sampled_returns(const RgEnvironment *environment, RgPolicy *policy,
                               RgRandom random) {
    const RgMdpState *s = environment->state;
    RgSequences *episodes = rg_sequences_create();
    double *reward = rg_allocate(s->test_prompts->count, sizeof *reward);
    rg_episodes_sample(&s->simulator, policy, s->test_prompts, 1, random, episodes, NULL);
    rg_mdp_returns(s, episodes, reward);
    rg_sequences_destroy(episodes);
    return reward;
}

static void compare_episodes(const RgEnvironment *environment, RgPolicy *policy,
                             RgPolicy *reference, RgRandom random, RgEvaluation *evaluation) {
    const RgMdpState *s = environment->state;
    int64_t n = s->test_prompts->count;
    double *own = sampled_returns(environment, policy, rg_random_named(random, "policy"));
    double *other = sampled_returns(environment, reference, rg_random_named(random, "reference"));
    rg_evaluation_column(evaluation, "sampled_return", own, n);
    for (int64_t i = 0; i < n; i++)
        own[i] = own[i] > other[i] ? 1 : own[i] < other[i] ? 0 : 0.5;
    rg_evaluation_column_and_mean(evaluation, "win_rate_base", own, n);
    free(own);
    free(other);
}

/* The metrics:
 *   return         expected Σ_t γ^t r
 *   optimality     its ratio to the best return of any policy, if that is above zero
 *   regret         the best return minus it
 *   kl             expected Σ_t γ^t KL(π(·|s_t) ‖ π_ref(·|s_t))
 *   objective      return − β·kl
 *   entropy        of an action, mean over discounted visits
 *   win_rate_base  against the reference, one episode each from every test prompt */
RgStatus rg_mdp_evaluate(RgEnvironment *environment, const RgContender *contender, RgRandom random,
                         RgEvaluation *evaluation, RgError *error) {
    const RgMdpState *s = environment->state;
    if (contender->best_of > 1)
        return rg_fail(
            error, RG_E_USAGE,
            "the mdp environment evaluates policies over its states exactly, and the best of %lld "
            "episodes is not such a policy: expected another method or environment",
            (long long)contender->best_of);
    RgPolicy *policy = contender->policy, *reference = contender->reference;
    const RgMdp *mdp = &s->problem.mdp;
    size_t cells = (size_t)(mdp->states * mdp->actions);
    RgReal *table = rg_allocate(cells, sizeof *table), *base = rg_allocate(cells, sizeof *base);
    rg_markov_table(policy, table);
    rg_markov_table(reference, base);
    Sums sums = sum_visits(mdp, table, base);
    rg_evaluation_metric(evaluation, "return", sums.reward);
    if (s->best_return > 0)
        rg_evaluation_metric(evaluation, "optimality", sums.reward / s->best_return);
    rg_evaluation_metric(evaluation, "regret", s->best_return - sums.reward);
    rg_evaluation_metric(evaluation, "kl", sums.kl);
    rg_evaluation_metric(evaluation, "objective",
                         rg_evaluation_find(evaluation, "return") -
                             contender->beta * rg_evaluation_find(evaluation, "kl"));
    rg_evaluation_metric(evaluation, "entropy", sums.entropy / sums.total);
    compare_episodes(environment, policy, reference, random, evaluation);
    free(table);
    free(base);
    return RG_OK;
}
