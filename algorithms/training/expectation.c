/* SPDX-License-Identifier: MIT */
/* Every pair of responses with its probability, by the sources in the algorithm's recipe; and every
 * third response. */
#include "algorithms/training/expectation.h"

#include "algorithms/training/pair_sampler.h"
#include "core/models/enumerated.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the probabilities are computed from: tables [contexts, responses] in double. */
typedef struct Tables {
    int64_t contexts, responses;
    double *prompts; /* [contexts] share of the prompts */
    int32_t *listed; /* [listed_count] contexts that the tables of policies are filled for */
    int64_t listed_count;
    double *first, *second;   /* log-probabilities of the two sources; NULL: the data set */
    double *log_ratio;        /* of the policy, for its own labels; or NULL */
    double *reward;           /* the judge's; NULL: it only compares */
    const double *preference; /* [contexts, responses, responses] the judge's; or NULL */
    const double *shares;     /* of the data set's pairs, likewise; or NULL */
} Tables;

/* A pair of responses to a context, its label and its probability. */
typedef struct Item {
    int32_t context, first, second;
    bool second_preferred, on_policy;
    double probability;
} Item;

typedef struct Items {
    Item *item;
    int64_t count, capacity;
} Items;

static void add_item(Items *items, Item item) {
    if (!(item.probability > 0))
        return;
    if (items->count == items->capacity) {
        items->capacity = items->capacity ? 2 * items->capacity : 1024;
        items->item = rg_reallocate(items->item, items->capacity, sizeof *items->item);
    }
    items->item[items->count++] = item;
}

/* ---- tables ---- */

static double *double_array(RgTrainer *trainer, int64_t count) {
    double *array = RG_ARENA_ARRAY(rg_tape_arena(trainer->tape), double, count);
    memset(array, 0, (size_t)count * sizeof *array);
    return array;
}

/* Log-probabilities in the listed contexts; 0 elsewhere. */
static double *table_of(RgTrainer *trainer, const Tables *t, const RgPolicy *policy) {
    double *table = double_array(trainer, t->contexts * t->responses);
    if (t->listed_count == t->contexts) {
        rg_policy_table(policy, table);
        return table;
    }
    double *rows = double_array(trainer, t->listed_count * t->responses);
    rg_policy_table_rows(policy, t->listed, t->listed_count, rows);
    for (int64_t i = 0; i < t->listed_count; i++)
        memcpy(table + t->listed[i] * t->responses, rows + i * t->responses,
               (size_t)t->responses * sizeof *table);
    return table;
}

/* The geometric mixture of policy and reference, normalised. */
static double *mixture_table(RgTrainer *trainer, const Tables *t) {
    double share = trainer->recipe.reference_share;
    double *own = table_of(trainer, t, trainer->sampler);
    const double *reference = table_of(trainer, t, trainer->reference);
    for (int64_t c = 0; c < t->contexts; c++) {
        double *row = own + c * t->responses, most = -INFINITY, sum = 0;
        for (int64_t r = 0; r < t->responses; r++) {
            row[r] += share * (reference[c * t->responses + r] - row[r]);
            most = fmax(most, row[r]);
        }
        for (int64_t r = 0; r < t->responses; r++)
            sum += exp(row[r] - most);
        for (int64_t r = 0; r < t->responses; r++)
            row[r] -= most + log(sum);
    }
    return own;
}

static double *source_table(RgTrainer *trainer, const Tables *t, RgSource source) {
    if (source == RG_FROM_MIXTURE)
        return mixture_table(trainer, t);
    return table_of(trainer, t,
                    source == RG_FROM_REFERENCE ? trainer->reference : trainer->sampler);
}

/* Shares of the contexts among the prompts, or among the demonstrations. */
static void find_prompts(RgTrainer *trainer, const RgSequences *prompts, Tables *t) {
    t->prompts = double_array(trainer, t->contexts);
    for (int64_t i = 0; i < prompts->count; i++)
        t->prompts[*rg_sequence_prompt(prompts, i)] += 1 / (double)prompts->count;
}

/* The same of the prompts of a step's batch, which alone are listed then. */
static void find_batch(RgTrainer *trainer, int64_t step, Tables *t) {
    int64_t n = trainer->training.batch;
    t->prompts = double_array(trainer, t->contexts);
    for (int64_t i = 0; i < n; i++)
        t->prompts[*rg_sequence_prompt(trainer->task->prompts,
                                       rg_shuffle_at(&trainer->prompts, step * n + i))] +=
            1 / (double)n;
    t->listed_count = 0;
    for (int32_t c = 0; c < t->contexts; c++)
        if (t->prompts[c] > 0)
            t->listed[t->listed_count++] = c;
}

/* Log-shares of the demonstrations of each context. */
static double *demonstration_table(RgTrainer *trainer, const Tables *t) {
    const RgSequences *s = trainer->task->demonstrations;
    double *table = double_array(trainer, t->contexts * t->responses);
    for (int64_t i = 0; i < s->count; i++)
        table[*rg_sequence_prompt(s, i) * t->responses + *rg_sequence_response(s, i)] +=
            1 / (double)s->count;
    for (int64_t i = 0; i < t->contexts * t->responses; i++)
        table[i] = log(table[i] / t->prompts[i / t->responses]);
    return table;
}

/* The judge's rewards of all responses. */
static RgStatus find_rewards(RgTrainer *trainer, Tables *t, RgError *error) {
    RgSequences *all = rg_all_responses(trainer->policy);
    t->reward = double_array(trainer, t->contexts * t->responses);
    RgStatus status = rg_task_judge(trainer->task, all, t->reward, error);
    rg_sequences_destroy(all);
    return status;
}

const double *rg_pair_shares(RgTrainer *trainer) {
    const RgTask *task = trainer->task;
    int64_t n = rg_policy_responses(trainer->policy), count = task->pairs ? task->pairs->count : 0;
    if (task->pair_shares)
        return task->pair_shares;
    if (trainer->pair_shares || count == 0)
        return trainer->pair_shares;
    trainer->pair_shares =
        rg_allocate(rg_policy_contexts(trainer->policy) * n * n, sizeof *trainer->pair_shares);
    for (int64_t i = 0; i < count; i++) {
        int64_t pair = rg_trainer_read_pair(trainer, i), chosen = task->pairs->preferred[pair];
        const RgSequences *s = task->pairs->sequences;
        int64_t w = *rg_sequence_response(s, 2 * pair + chosen);
        int64_t l = *rg_sequence_response(s, 2 * pair + 1 - chosen);
        trainer->pair_shares[(*rg_sequence_prompt(s, 2 * pair) * n + w) * n + l] +=
            1 / (double)count;
    }
    return trainer->pair_shares;
}

/* The sizes of the tables, with all contexts listed. */
static Tables table_sizes(RgTrainer *trainer) {
    Tables t = {.contexts = rg_policy_contexts(trainer->policy),
                .responses = rg_policy_responses(trainer->policy),
                .preference = trainer->task->preference};
    t.listed = RG_ARENA_ARRAY(rg_tape_arena(trainer->tape), int32_t, t.contexts);
    for (int32_t c = 0; c < t.contexts; c++)
        t.listed[t.listed_count++] = c;
    return t;
}

static RgStatus make_tables(RgTrainer *trainer, int64_t step, Tables *t, RgError *error) {
    const RgRecipe *r = &trainer->recipe;
    *t = table_sizes(trainer);
    bool demonstrations = r->responses == RG_FROM_DATASET && r->opponents != RG_FROM_NOWHERE;
    if (trainer->training.expectation == RG_RESPONSE_EXPECTATION)
        find_batch(trainer, step, t);
    else
        find_prompts(trainer,
                     demonstrations ? trainer->task->demonstrations : trainer->task->prompts, t);
    if (demonstrations)
        t->first = demonstration_table(trainer, t);
    else if (r->responses == RG_FROM_POLICY)
        t->first = table_of(trainer, t, trainer->sampler);
    t->second = t->first;
    if (r->opponents == RG_FROM_REFERENCE || r->opponents == RG_FROM_MIXTURE)
        t->second = source_table(trainer, t, r->opponents);
    if (r->preferences == RG_FROM_POLICY) {
        const double *reference = table_of(trainer, t, trainer->reference);
        t->log_ratio = table_of(trainer, t, trainer->policy);
        for (int64_t i = 0; i < t->contexts * t->responses; i++)
            t->log_ratio[i] -= reference[i];
    }
    if (trainer->training.expectation == RG_EXACT_EXPECTATION)
        t->shares = rg_pair_shares(trainer);
    bool judged = r->preferences == RG_FROM_JUDGE || rg_pair_sampler_rewards(r);
    return judged && trainer->task->judge ? find_rewards(trainer, t, error) : RG_OK;
}

/* ---- probabilities ---- */

/* Probability that the judge prefers a to b in context c. */
static double judge_prefers(const RgTrainer *trainer, const Tables *t, int64_t c, int64_t a,
                            int64_t b) {
    int64_t n = t->responses;
    if (t->preference)
        return t->preference[(c * n + a) * n + b];
    RG_ASSERT(t->reward); /* rg_expectation_check */
    return rg_preference_probability(trainer->task, t->reward[c * n + a], t->reward[c * n + b]);
}

/* Probability of the label that prefers the first. */
static double prefers_first(const RgTrainer *trainer, const Tables *t, int64_t c, int64_t a,
                            int64_t b) {
    const double *h = t->log_ratio ? t->log_ratio + c * t->responses : NULL;
    if (trainer->recipe.preferences == RG_FROM_JUDGE)
        return judge_prefers(trainer, t, c, a, b);
    return h ? 1 / (1 + exp(-trainer->recipe.beta * (h[a] - h[b]))) : 1;
}

static void add_labelled(const RgTrainer *trainer, const Tables *t, Item item, Items *items) {
    double pair = item.probability;
    double first = prefers_first(trainer, t, item.context, item.first, item.second);
    item.probability = pair * first;
    add_item(items, item);
    item.probability = pair * (1 - first);
    item.second_preferred = true;
    add_item(items, item);
}

/* Pairs of two independent responses, of the recipe's sources. */
static void add_sampled(const RgTrainer *trainer, const Tables *t, double weight, Items *items) {
    int64_t n = t->responses;
    for (int64_t k = 0; k < t->listed_count; k++)
        for (int32_t a = 0; a < n; a++)
            for (int32_t b = 0; b < n; b++) {
                int32_t c = t->listed[k];
                double both = exp(t->first[c * n + a] + t->second[c * n + b]);
                Item item = {.context = c, .first = a, .second = b, .on_policy = true};
                item.probability = weight * t->prompts[c] * both;
                add_labelled(trainer, t, item, items);
            }
}

/* Pairs of the best and the worst of the recipe's candidates. */
static void add_extremes(RgTrainer *trainer, const Tables *t, double weight, Items *items) {
    int64_t n = t->responses;
    double *probability = double_array(trainer, n * n);
    for (int64_t k = 0; k < t->listed_count; k++) {
        int32_t c = t->listed[k];
        rg_extreme_probabilities(t->reward + c * n, t->first + c * n, n, trainer->recipe.candidates,
                                 probability);
        for (int32_t i = 0; i < n * n; i++)
            add_item(items, (Item){.context = c,
                                   .first = i / (int32_t)n,
                                   .second = i % (int32_t)n,
                                   .on_policy = true,
                                   .probability = weight * t->prompts[c] * probability[i]});
    }
}

/* Pairs of two responses by the recipe's pair sampler. */
static void add_by_pair(RgTrainer *trainer, const Tables *t, double weight, Items *items) {
    int64_t n = t->responses;
    RgPairDistribution distribution = rg_pair_distribution(trainer, t->reward);
    double *probability = double_array(trainer, n * n);
    for (int64_t k = 0; k < t->listed_count; k++) {
        int32_t c = t->listed[k];
        double factor = rg_pair_probabilities(&distribution, &trainer->recipe, c, probability);
        for (int32_t i = 0; i < n * n; i++) {
            Item item = {.context = c, .first = i / (int32_t)n, .second = i % (int32_t)n};
            item.on_policy = true;
            item.probability = weight * t->prompts[c] * factor * probability[i];
            add_labelled(trainer, t, item, items);
        }
    }
}

/* The data set's pairs, with its labels or with the policy's. */
static void add_offline(const RgTrainer *trainer, const Tables *t, double weight, bool on_policy,
                        Items *items) {
    int64_t n = t->responses;
    bool own_labels = on_policy && trainer->recipe.preferences == RG_FROM_POLICY;
    for (int32_t c = 0; c < t->contexts; c++)
        for (int32_t a = 0; a < n; a++)
            for (int32_t b = 0; b < n; b++) {
                Item item = {.context = c, .first = a, .second = b, .on_policy = on_policy};
                item.probability = weight * t->shares[(c * n + a) * n + b];
                (own_labels ? add_labelled(trainer, t, item, items) : add_item(items, item));
            }
}

/* ---- third responses ---- */

/* Log-probabilities of the third responses: of the policy, or of the reference at a temperature. At
 * temperature 0 it is the likeliest response, the first of equals. */
static double *third_table(RgTrainer *trainer, const Tables *t) {
    double temperature = trainer->recipe.third_temperature;
    double *table =
        table_of(trainer, t,
                 trainer->recipe.third == RG_FROM_POLICY ? trainer->sampler : trainer->reference);
    if (temperature < 0 || temperature == 1)
        return table;
    for (int64_t c = 0; c < t->contexts; c++) {
        double *row = table + c * t->responses, sum = 0;
        int64_t best = 0;
        for (int64_t r = 1; r < t->responses; r++)
            best = row[r] > row[best] ? r : best;
        double most = row[best];
        for (int64_t r = 0; r < t->responses && temperature > 0; r++)
            sum += exp((row[r] - most) / temperature);
        for (int64_t r = 0; r < t->responses; r++)
            row[r] = temperature > 0 ? (row[r] - most) / temperature - log(sum)
                                     : (r == best ? 0 : -INFINITY);
    }
    return table;
}

/* Of the data set's pairs, each with a third response: the best and the worst of the three. */
static void add_competing(RgTrainer *trainer, const Tables *t, double weight, Items *items) {
    int32_t n = (int32_t)t->responses;
    const double *third = third_table(trainer, t);
    double *share = double_array(trainer, (int64_t)n * n);
    for (int32_t c = 0; c < t->contexts; c++) {
        memset(share, 0, (size_t)n * (size_t)n * sizeof *share);
        for (int32_t i = 0; i < n * n; i++)
            for (int32_t y = 0; y < n && t->shares[c * n * n + i] > 0; y++) {
                const int32_t trio[] = {i / n, i % n, y};
                const double *r = t->reward + c * n, reward[] = {r[trio[0]], r[trio[1]], r[y]};
                int64_t best, worst;
                rg_best_and_worst(reward, 3, &best, &worst);
                share[trio[best] * n + trio[worst]] +=
                    t->shares[c * n * n + i] * exp(third[c * n + y]);
            }
        for (int32_t i = 0; i < n * n; i++)
            add_item(items, (Item){.context = c,
                                   .first = i / n,
                                   .second = i % n,
                                   .on_policy = true,
                                   .probability = weight * share[i]});
    }
}

/* The probability of each third response: [contexts, responses]. Contexts are those of the pairs;
 * responses of other pairs are of all of them, chosen and rejected or chosen alone. */
static double *third_probabilities(RgTrainer *trainer, const Tables *t, const Items *items) {
    int64_t n = t->responses;
    bool others = trainer->recipe.third == RG_FROM_OTHERS, both = !trainer->recipe.third_chosen;
    const double *table = others ? NULL : third_table(trainer, t);
    double *probability = double_array(trainer, t->contexts * n);
    double *context = double_array(trainer, t->contexts), *response = double_array(trainer, n);
    for (int64_t i = 0; i < items->count; i++) {
        const Item *item = &items->item[i];
        double share = both ? item->probability / 2 : item->probability;
        context[item->context] += item->probability;
        if (both || !item->second_preferred)
            response[item->first] += share;
        if (both || item->second_preferred)
            response[item->second] += share;
    }
    for (int64_t c = 0; c < t->contexts; c++)
        for (int64_t r = 0; r < n; r++)
            probability[c * n + r] = context[c] * (others ? response[r] : exp(table[c * n + r]));
    return probability;
}

static void fill_third(RgTrainer *trainer, const Tables *t, const Items *items,
                       RgRollout *rollout) {
    int64_t cells = t->contexts * t->responses, count = 0;
    const double *probability = third_probabilities(trainer, t, items);
    rollout->third = rg_sequences_create();
    rollout->third_weight = RG_ARENA_ARRAY(rg_tape_arena(trainer->tape), RgReal, cells);
    for (int64_t i = 0; i < cells; i++)
        count += probability[i] > 0;
    for (int64_t i = 0, at = 0; i < cells; i++) {
        int32_t context = (int32_t)(i / t->responses), response = (int32_t)(i % t->responses);
        if (!(probability[i] > 0))
            continue;
        rg_sequences_append(rollout->third, &context, 1, &response, 1);
        rollout->third_weight[at++] = (RgReal)(probability[i] * (double)count);
    }
}

/* ---- the rollout ---- */

static void fill(RgTrainer *trainer, const Tables *t, const Items *items, RgRollout *rollout) {
    RgArena *arena = rg_tape_arena(trainer->tape);
    int64_t count = items->count, n = t->responses;
    rollout->k = 2;
    rollout->prompts = count;
    rollout->exact = true;
    rollout->order = RG_ARENA_ARRAY(arena, int32_t, 2 * count);
    rollout->on_policy = RG_ARENA_ARRAY(arena, RgReal, count);
    rollout->sampled = RG_ARENA_ARRAY(arena, bool, count);
    rollout->weight = RG_ARENA_ARRAY(arena, RgReal, count);
    if (trainer->recipe.group > 0 && t->reward) {
        rollout->reward = double_array(trainer, 2 * count);
        rollout->win_rate = double_array(trainer, 2 * count);
    }
    for (int64_t i = 0; i < count; i++) {
        const Item *item = &items->item[i];
        rg_sequences_append(rollout->sequences, &item->context, 1, &item->first, 1);
        rg_sequences_append(rollout->sequences, &item->context, 1, &item->second, 1);
        rollout->order[2 * i] = item->second_preferred;
        rollout->order[2 * i + 1] = !item->second_preferred;
        rollout->on_policy[i] = item->on_policy;
        rollout->sampled[i] = true;
        rollout->weight[i] = (RgReal)(item->probability * (double)count);
        if (!t->reward || !rollout->reward)
            continue;
        rollout->reward[2 * i] = t->reward[item->context * n + item->first];
        rollout->reward[2 * i + 1] = t->reward[item->context * n + item->second];
        double wins = judge_prefers(trainer, t, item->context, item->first, item->second);
        rollout->win_rate[2 * i] = wins;
        rollout->win_rate[2 * i + 1] = 1 - wins;
    }
}

RgStatus rg_expectation(RgTrainer *trainer, int64_t step, RgRollout *rollout, RgError *error) {
    const RgRecipe *r = &trainer->recipe;
    Tables tables;
    Items items = {0};
    RG_TRY(make_tables(trainer, step, &tables, error));
    if (r->pair_sampler != RG_PAIRS_INDEPENDENT)
        add_by_pair(trainer, &tables, r->on_policy, &items);
    else if (r->candidates > 2)
        add_extremes(trainer, &tables, r->on_policy, &items);
    else if (tables.first)
        add_sampled(trainer, &tables, r->on_policy, &items);
    else if (r->third_competes)
        add_competing(trainer, &tables, r->on_policy, &items);
    else
        add_offline(trainer, &tables, r->on_policy, true, &items);
    if (r->on_policy < 1)
        add_offline(trainer, &tables, 1 - r->on_policy, false, &items);
    fill(trainer, &tables, &items, rollout);
    if (r->third != RG_FROM_NOWHERE)
        fill_third(trainer, &tables, &items, rollout);
    free(items.item);
    return r->rivals == RG_FROM_NOWHERE ? RG_OK : rg_expectation_rate(trainer, rollout, error);
}

/* ---- rivals ---- */

/* P(y ≻ rival) of every response: wins [contexts, responses] out. */
static void find_wins(const RgTrainer *trainer, const Tables *t, const double *rival,
                      double *wins) {
    int64_t n = t->responses;
    for (int64_t c = 0; c < t->contexts; c++)
        for (int64_t a = 0; a < n; a++)
            for (int64_t b = 0; b < n; b++)
                wins[c * n + a] += exp(rival[c * n + b]) * judge_prefers(trainer, t, c, a, b);
}

RgStatus rg_expectation_rate(RgTrainer *trainer, RgRollout *rollout, RgError *error) {
    const RgSequences *s = rollout->sequences;
    Tables tables = table_sizes(trainer);
    if (trainer->task->judge)
        RG_TRY(find_rewards(trainer, &tables, error));
    double *wins = double_array(trainer, tables.contexts * tables.responses);
    find_wins(trainer, &tables, source_table(trainer, &tables, trainer->recipe.rivals), wins);
    if (!rollout->win_rate)
        rollout->win_rate = double_array(trainer, s->count);
    for (int64_t i = 0; i < s->count; i++)
        rollout->win_rate[i] =
            wins[*rg_sequence_prompt(s, i) * tables.responses + *rg_sequence_response(s, i)];
    return RG_OK;
}

/* ---- what has no exact expectation ---- */

/* "exact" or "responses" */
static const char *name_of(const RgTrainingOptions *training) {
    return training->expectation == RG_EXACT_EXPECTATION ? "exact" : "responses";
}

static const char *obstacle(const RgAlgorithm *a, const RgRecipe *r,
                            const RgTrainingOptions *training) {
    if (a->step || !a->loss)
        return "it has a step of its own";
    if (!rg_recipe_takes_pairs(r) && r->group != 2)
        return "it learns from no pairs";
    if (training->expectation == RG_RESPONSE_EXPECTATION &&
        (r->responses != RG_FROM_POLICY || r->on_policy < 1))
        return "it takes responses from the data set";
    if (training->expectation == RG_RESPONSE_EXPECTATION && r->third != RG_FROM_NOWHERE)
        return "it has a third response";
    if (r->steps)
        return "it needs single steps";
    if (training->temperature != 1 || training->top_k != 0 || training->top_p != 1 ||
        training->min_p != 0)
        return "training.temperature, top_k, top_p or min_p change the distribution";
    return NULL;
}

RgStatus rg_expectation_check(const RgAlgorithm *algorithm, const RgRecipe *recipe,
                              const RgTrainingOptions *training, const RgTask *task,
                              const RgPolicy *policy, RgError *error) {
    const char *name = algorithm->about.name, *why = obstacle(algorithm, recipe, training);
    if (why)
        return rg_fail(error, RG_E_USAGE,
                       "training.expectation is \"%s\", which %s does not offer: %s; expected "
                       "\"sampled\"",
                       name_of(training), name, why);
    if (!policy->type->logits)
        return rg_fail(
            error, RG_E_USAGE,
            "training.expectation is \"%s\", and the responses of a %s policy cannot "
            "be enumerated: expected a tabular, log-linear or mlp policy, or \"sampled\"",
            name_of(training), policy->type->about.name);
    bool judged = recipe->preferences == RG_FROM_JUDGE || recipe->rivals != RG_FROM_NOWHERE;
    if (judged && !task->judge && !task->preference)
        return rg_fail(error, RG_E_USAGE,
                       "training.expectation is \"%s\", and the probabilities of the judge's "
                       "labels are not known: expected a judge that gives rewards, or \"sampled\"",
                       name_of(training));
    int64_t n = rg_policy_responses(policy), contexts = rg_policy_contexts(policy);
    if (training->expectation == RG_RESPONSE_EXPECTATION && training->batch < contexts)
        contexts = training->batch;
    double pairs = 2.0 * (double)contexts * (double)n * (double)n;
    if (recipe->third_competes && recipe->third_temperature != 0)
        pairs *= (double)n / 2; /* trios */
    if (pairs > RG_MOST_ENUMERATED_PAIRS)
        return rg_fail(error, RG_E_USAGE,
                       "training.expectation is \"%s\", and there are %.0f labelled pairs or "
                       "trios of responses: expected at most %d, or \"sampled\"",
                       name_of(training), pairs, RG_MOST_ENUMERATED_PAIRS);
    return RG_OK;
}
