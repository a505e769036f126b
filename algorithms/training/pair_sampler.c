/* SPDX-License-Identifier: MIT */
/* Distributions over pairs of enumerated responses, and draws from them. */
#include "algorithms/training/pair_sampler.h"

#include "core/models/enumerated.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const rg_pair_samplers[] = {
    "independent", "uniform", "reward-matched", "policy-matched", "policy-matched-clipped", NULL};
const char *const rg_sampler_weights[] = {"normalised", "matched", NULL};

bool rg_pair_sampler_rewards(const RgRecipe *recipe) {
    return recipe->pair_sampler == RG_PAIRS_REWARD_MATCHED ||
           recipe->pair_sampler == RG_PAIRS_POLICY_MATCHED_CLIPPED;
}

/* ---- checks ---- */

RgStatus rg_pair_sampler_check(const RgAlgorithm *a, const RgRecipe *r,
                               const RgTrainingOptions *training, RgError *error) {
    const char *name = a->about.name, *sampler = rg_pair_samplers[r->pair_sampler];
    bool plain = training->temperature == 1 && training->top_k == 0 && training->top_p == 1 &&
                 training->min_p == 0;
    if (r->pair_sampler == RG_PAIRS_INDEPENDENT && r->matched_weights)
        return rg_fail(error, RG_E_USAGE,
                       "sampler_weights is \"matched\", and %s draws its pairs independently: "
                       "expected \"normalised\", or another pair_sampler",
                       name);
    if (r->candidates > 2 && r->pair_sampler != RG_PAIRS_INDEPENDENT)
        return rg_fail(
            error, RG_E_USAGE,
            "%s: candidates is %ld, and pair_sampler is \"%s\": expected \"independent\", "
            "or candidates = 2",
            name, (long)r->candidates, sampler);
    if (r->candidates > 2 && r->preferences != RG_FROM_JUDGE)
        return rg_fail(error, RG_E_USAGE,
                       "%s: candidates is %ld, and with these options the judge labels no pairs: "
                       "expected 2",
                       name, (long)r->candidates);
    if (r->pair_sampler != RG_PAIRS_INDEPENDENT && !plain)
        return rg_fail(error, RG_E_USAGE,
                       "training.temperature, top_k, top_p or min_p is set, and %s draws pairs by "
                       "pair_sampler = \"%s\": expected their defaults",
                       name, sampler);
    return RG_OK;
}

RgStatus rg_pair_sampler_check_sources(const RgAlgorithm *a, const RgRecipe *r, const RgTask *task,
                                       const RgPolicy *policy, RgError *error) {
    const char *name = a->about.name, *sampler = rg_pair_samplers[r->pair_sampler];
    if (r->pair_sampler == RG_PAIRS_INDEPENDENT)
        return RG_OK;
    if (!policy->type->logits)
        return rg_fail(error, RG_E_USAGE,
                       "%s: pair_sampler is \"%s\", and the responses of a %s policy cannot be "
                       "enumerated: expected \"independent\"",
                       name, sampler, policy->type->about.name);
    double responses = (double)rg_policy_responses(policy);
    if ((double)rg_policy_contexts(policy) * responses * responses > RG_MOST_ENUMERATED_PAIRS)
        return rg_fail(error, RG_E_USAGE,
                       "%s: pair_sampler is \"%s\", and there are more than %d pairs of responses: "
                       "expected \"independent\"",
                       name, sampler, RG_MOST_ENUMERATED_PAIRS);
    if (rg_pair_sampler_rewards(r) && (!task->judge || !(task->label_temperature > 0)))
        return rg_fail(error, RG_E_USAGE,
                       "%s: pair_sampler is \"%s\", which needs a judge that gives rewards and "
                       "labels by them at a temperature above 0",
                       name, sampler);
    return RG_OK;
}

/* ---- the distribution ---- */

RgSequences *rg_all_responses(const RgPolicy *policy) {
    RgSequences *all = rg_sequences_create();
    for (int32_t c = 0; c < rg_policy_contexts(policy); c++)
        for (int32_t r = 0; r < rg_policy_responses(policy); r++)
            rg_sequences_append(all, &c, 1, &r, 1);
    return all;
}

/* The policy's implicit reward, β·h. */
static void find_implicit(RgTrainer *trainer, int64_t cells, double *x) {
    double *reference = RG_ARENA_ARRAY(rg_tape_arena(trainer->tape), double, cells);
    rg_policy_table(trainer->sampler, x);
    rg_policy_table(trainer->reference, reference);
    for (int64_t i = 0; i < cells; i++)
        x[i] = trainer->recipe.beta * (x[i] - reference[i]);
}

/* The weight of the pair of the best and the worst response under the judge's rewards. */
static double largest_weight(const double *reward, int64_t n, double temperature) {
    double best = reward[0], worst = reward[0];
    for (int64_t i = 1; i < n; i++) {
        best = fmax(best, reward[i]);
        worst = fmin(worst, reward[i]);
    }
    double range = (best - worst) / temperature;
    return 2 + exp(range) + exp(-range);
}

RgPairDistribution rg_pair_distribution(RgTrainer *trainer, const double *reward) {
    RgArena *arena = rg_tape_arena(trainer->tape);
    RgPairSampler sampler = trainer->recipe.pair_sampler;
    double temperature = trainer->task->label_temperature;
    int64_t contexts = rg_policy_contexts(trainer->policy);
    int64_t n = rg_policy_responses(trainer->policy), cells = contexts * n;
    RgPairDistribution d = {.responses = n, .x = RG_ARENA_ARRAY(arena, double, cells)};
    memset(d.x, 0, (size_t)cells * sizeof *d.x);
    if (sampler == RG_PAIRS_REWARD_MATCHED)
        for (int64_t i = 0; i < cells; i++)
            d.x[i] = reward[i] / temperature;
    else if (sampler != RG_PAIRS_UNIFORM)
        find_implicit(trainer, cells, d.x);
    if (sampler != RG_PAIRS_POLICY_MATCHED_CLIPPED)
        return d;
    d.most = RG_ARENA_ARRAY(arena, double, contexts);
    for (int64_t c = 0; c < contexts; c++)
        d.most[c] = largest_weight(reward + c * n, n, temperature);
    return d;
}

/* The logarithm of 2 + e^d + e^−d, which itself may overflow. */
static double log_weight(double d) {
    return fabs(d) + 2 * log1p(exp(-fabs(d)));
}

double rg_pair_probabilities(const RgPairDistribution *d, const RgRecipe *recipe, int64_t context,
                             double *probability) {
    int64_t n = d->responses;
    const double *x = d->x + context * n;
    double limit = d->most ? log(d->most[context]) : INFINITY, most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n * n; i++) {
        probability[i] = fmin(log_weight(x[i / n] - x[i % n]), limit);
        most = fmax(most, probability[i]);
    }
    for (int64_t i = 0; i < n * n; i++)
        sum += probability[i] = exp(probability[i] - most);
    for (int64_t i = 0; i < n * n; i++)
        probability[i] /= sum;
    return recipe->matched_weights ? sum * exp(most) : 1;
}

/* ---- the best and the worst ---- */

void rg_best_and_worst(const double *reward, int64_t count, int64_t *best, int64_t *worst) {
    *best = *worst = 0;
    for (int64_t k = 1; k < count; k++) {
        *best = reward[k] > reward[*best] ? k : *best;
        *worst = reward[k] <= reward[*worst] ? k : *worst;
    }
}

/* Where the responses of a response's reward begin and end among all in the order of their
 * rewards, as the probability of those before. */
typedef struct Level {
    double begin, end;
} Level;

/* The level of each of n responses: level [n] out. */
static void find_levels(const double *reward, const double *logprob, int64_t n, Level *level) {
    int64_t *order = rg_allocate(n, sizeof *order);
    for (int64_t r = 0; r < n; r++) {
        int64_t at = r;
        for (; at > 0 && reward[order[at - 1]] > reward[r]; at--)
            order[at] = order[at - 1];
        order[at] = r;
    }
    double below = 0;
    for (int64_t first = 0, last; first < n; first = last) {
        double begin = below;
        for (last = first; last < n && reward[order[last]] == reward[order[first]]; last++)
            below += exp(logprob[order[last]]);
        for (int64_t i = first; i < last; i++)
            level[order[i]] = (Level){begin, below};
    }
    free(order);
}

/* Probability that of k responses the best are of one level and the worst of another, or of the
 * same: all are within both, without the draws that lack one of them. */
static double levels_probability(Level high, Level low, double k) {
    double all = pow(high.end - low.begin, k);
    if (high.begin == low.begin)
        return all;
    return all - pow(high.end - low.end, k) - pow(high.begin - low.begin, k) +
           pow(high.begin - low.end, k);
}

void rg_extreme_probabilities(const double *reward, const double *logprob, int64_t n, int64_t k,
                              double *probability) {
    Level *level = rg_allocate(n, sizeof *level);
    find_levels(reward, logprob, n, level);
    for (int64_t i = 0; i < n * n; i++) {
        int64_t best = i / n, worst = i % n;
        Level high = level[best], low = level[worst];
        probability[i] = 0;
        if (reward[best] >= reward[worst] && high.end > high.begin && low.end > low.begin)
            probability[i] = levels_probability(high, low, (double)k) *
                             (exp(logprob[best]) / (high.end - high.begin)) *
                             (exp(logprob[worst]) / (low.end - low.begin));
    }
    free(level);
}

/* ---- draws ---- */

/* The rewards of all responses, in the arena; NULL if the sampler reads none. */
static RgStatus query_rewards(RgTrainer *trainer, double **reward, RgError *error) {
    *reward = NULL;
    if (!rg_pair_sampler_rewards(&trainer->recipe))
        return RG_OK;
    RgSequences *all = rg_all_responses(trainer->policy);
    *reward = RG_ARENA_ARRAY(rg_tape_arena(trainer->tape), double, all->count);
    RgStatus status = rg_trainer_judge(trainer, all, *reward, error);
    rg_sequences_destroy(all);
    return status;
}

RgStatus rg_pair_sampler_draw(RgTrainer *trainer, RgRandom random, const RgSequences *prompts,
                              RgSequences *out, double *weight, RgError *error) {
    double *reward;
    RG_TRY(query_rewards(trainer, &reward, error));
    RgArena *arena = rg_tape_arena(trainer->tape);
    RgPairDistribution d = rg_pair_distribution(trainer, reward);
    int64_t contexts = rg_policy_contexts(trainer->policy), n = d.responses;
    double **known = RG_ARENA_ARRAY(arena, double *, contexts); /* of contexts met so far */
    double *factor = RG_ARENA_ARRAY(arena, double, contexts);
    memset(known, 0, (size_t)contexts * sizeof *known);
    for (int64_t i = 0; i < prompts->count; i++) {
        int32_t context = *rg_sequence_prompt(prompts, i);
        if (!known[context]) {
            known[context] = RG_ARENA_ARRAY(arena, double, n *n);
            factor[context] = rg_pair_probabilities(&d, &trainer->recipe, context, known[context]);
            rg_tape_count_flops(trainer->tape, 6 * (double)n * (double)n);
        }
        double uniform = rg_random_uniform(rg_random_at(random, (uint64_t)i), 0);
        int64_t pair = rg_random_choice(uniform, known[context], n * n);
        int32_t response[2] = {(int32_t)(pair / n), (int32_t)(pair % n)};
        for (int k = 0; k < 2; k++)
            rg_sequences_append(out, &context, 1, &response[k], 1);
        weight[i] = factor[context];
    }
    trainer->meter.generated_tokens += out->count;
    return RG_OK;
}
