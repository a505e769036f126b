/* SPDX-License-Identifier: MIT */
/* Measures, which have a value at a step: their names, headings and units. query.c reads their
 * values. */
#include "analysis/store/query.h"

#include <stdlib.h>
#include <string.h>

/* Measures with known names, headings and units; other metrics are shown by their name. */
static const RgMeasure known_quantities[] = {
    {"step", "step", "step", RG_UNIT_COUNT, true},
    {"flops", "flops", "training compute, FLOP", RG_UNIT_COUNT, true},
    {"seconds", "seconds", "training time", RG_UNIT_SECONDS, true},
    {"trained_tokens", "trained_tokens", "trained tokens", RG_UNIT_COUNT, true},
    {"generated_tokens", "generated_tokens", "generated tokens", RG_UNIT_COUNT, true},
    {"judge_queries", "judge_queries", "judge queries", RG_UNIT_COUNT, true},
    {"labelled_responses", "(judge_queries + dataset_responses)", "labelled responses",
     RG_UNIT_COUNT, true},
    {"hessian_products", "hessian_products", "Hessian products", RG_UNIT_COUNT, true},
    {"peak_memory", "nullif(peak_memory, 0)", /* 0: not measured */
     "peak memory", RG_UNIT_BYTES, true},
    {"reward", "eval/reward", "reward", RG_UNIT_PLAIN, false},
    {"judge_reward", "eval/judge_reward", "reward by the judge that trains", RG_UNIT_PLAIN, false},
    {"independent_reward", "eval/independent_reward", "reward, independent judge", RG_UNIT_PLAIN,
     false},
    {"win_rate_base", "eval/win_rate_base", "win rate against base", RG_UNIT_PERCENT, false},
    {"independent_win_rate_base", "eval/independent_win_rate_base",
     "win rate against base, independent judge", RG_UNIT_PERCENT, false},
    {"win_rate_worst", "eval/win_rate_worst", "worst win rate", RG_UNIT_PERCENT, false},
    {"win_rate_nash", "eval/win_rate_nash", "win rate against equilibrium", RG_UNIT_PERCENT, false},
    {"win_rate_dataset", "eval/win_rate_dataset", "win rate against data set", RG_UNIT_PERCENT,
     false},
    {"kl", "eval/kl", "KL from reference, nats", RG_UNIT_PLAIN, false},
    {"regret", "eval/regret", "regret", RG_UNIT_PLAIN, false},
    {"duality_gap", "eval/duality_gap", "duality gap", RG_UNIT_PLAIN, false},
    {"nash_distance", "eval/nash_distance", "distance from equilibrium, nats", RG_UNIT_PLAIN,
     false},
    {"length", "eval/length", "length, tokens", RG_UNIT_PLAIN, false},
    {"reward_margin", "eval/reward_margin", "reward margin", RG_UNIT_PLAIN, false},
    {"reward_accuracy", "eval/reward_accuracy", "reward accuracy", RG_UNIT_PERCENT, false},
    {"dropped_prompts", "eval/dropped_prompts", "prompts over the limit, dropped", RG_UNIT_COUNT,
     false},
    {"truncated_prompts", "eval/truncated_prompts", "prompts over the limit, truncated",
     RG_UNIT_COUNT, false},
    {"dropped_pairs", "eval/dropped_pairs", "pairs with a response over the limit", RG_UNIT_COUNT,
     false},
    {"dropped_singles", "eval/dropped_singles", "single responses over the limit", RG_UNIT_COUNT,
     false},
    {"unlabelled_pairs", "eval/unlabelled_pairs", "pairs that the judge left unlabelled",
     RG_UNIT_COUNT, false},
    {"unusable_lines", "eval/unusable_lines", "unusable lines", RG_UNIT_COUNT, false},
    {"unusable_empty", "eval/unusable_empty", "unusable: blank response", RG_UNIT_COUNT, false},
    {"unusable_same", "eval/unusable_same", "unusable: same response twice", RG_UNIT_COUNT, false},
    {"unusable_ties", "eval/unusable_ties", "unusable: equal scores", RG_UNIT_COUNT, false},
    {"unusable_unscored", "eval/unusable_unscored", "unusable: no score or label", RG_UNIT_COUNT,
     false},
    {"unusable_parted", "eval/unusable_parted", "unusable: conversations differ", RG_UNIT_COUNT,
     false},
    {"unusable_unmatched", "eval/unusable_unmatched", "unusable: no response of the other label",
     RG_UNIT_COUNT, false},
    {"unusable_unreadable", "eval/unusable_unreadable", "unusable: text that cannot be stored",
     RG_UNIT_COUNT, false},
    {"unusable_duplicate", "eval/unusable_duplicate", "unusable: a member twice", RG_UNIT_COUNT,
     false},
    {"unusable_malformed", "eval/unusable_malformed", "unusable: not a JSON object", RG_UNIT_COUNT,
     false},
    {"unusable_misfit", "eval/unusable_misfit", "unusable: a member lacks or does not fit",
     RG_UNIT_COUNT, false},
    {"unusable_refused", "eval/unusable_refused", "unusable: refused by the chat template",
     RG_UNIT_COUNT, false},
};
static const size_t known_count = sizeof known_quantities / sizeof *known_quantities;

const RgMeasure *rg_measure_known(size_t i) {
    return i < known_count ? &known_quantities[i] : NULL;
}

static const char *stored_metric(const RgResults *results, const char *name) {
    for (int i = 0; results->metrics[i]; i++)
        if (strcmp(results->metrics[i], name) == 0)
            return results->metrics[i];
    return NULL;
}

/* If a short name fits both, the evaluation's metric comes before that of training. */
static const char *find_metric(const RgResults *results, const char *name) {
    char *evaluated = rg_string_format("eval/%s", name);
    const char *stored = stored_metric(results, evaluated);
    free(evaluated);
    return stored ? stored : stored_metric(results, name);
}

static const char *short_name(const char *stored) {
    return strncmp(stored, "eval/", 5) == 0 ? stored + 5 : stored;
}

bool rg_results_has(const RgResults *results, const char *name, RgMeasure *measure) {
    for (size_t i = 0; i < known_count; i++)
        if (known_quantities[i].cost && strcmp(known_quantities[i].name, name) == 0) {
            *measure = known_quantities[i];
            return true;
        }
    const char *stored = find_metric(results, name);
    if (!stored)
        return false;
    *measure = (RgMeasure){.name = short_name(stored),
                           .stored = stored,
                           .heading = short_name(stored),
                           .unit = RG_UNIT_PLAIN};
    for (size_t i = 0; i < known_count; i++)
        if (strcmp(known_quantities[i].stored, stored) == 0 && !known_quantities[i].cost)
            *measure = known_quantities[i];
    return true;
}

const char **rg_results_quantities(const RgResults *results) {
    size_t count = 0;
    while (results->metrics[count])
        count++;
    const char **names = rg_allocate(count + known_count + 1, sizeof *names);
    size_t listed = 0;
    for (size_t i = 0; i < count; i++) /* of both evaluation and training: listed once */
        if (find_metric(results, short_name(results->metrics[i])) == results->metrics[i])
            names[listed++] = short_name(results->metrics[i]);
    for (size_t i = 0; i < known_count; i++)
        if (known_quantities[i].cost)
            names[listed++] = known_quantities[i].name;
    return names;
}

/* Trials that all failed may lack any metric: that of `name` may be no slip. */
static bool all_failed(const RgResults *results) {
    int failed = 0;
    for (int i = 0; i < results->trial_count; i++)
        failed += results->trials[i].status == RG_TRIAL_FAILED;
    return failed > 0 && failed == results->trial_count;
}

static RgStatus refuse_failed(const RgResults *results, const char *name, RgError *error) {
    const RgTrial *first = &results->trials[0];
    char *which = results->trial_count == 1
                      ? rg_string_copy("the only trial failed")
                      : rg_string_format("all %d trials failed", results->trial_count);
    RgStatus status =
        rg_fail(error, RG_E_USAGE, "no value of \"%s\", as %s (%s, seed %lld: %s)", name, which,
                first->label, (long long)first->seed, rg_trial_reason(first));
    free(which);
    return status;
}

RgStatus rg_results_measure(const RgResults *results, const char *name, RgMeasure *measure,
                            RgError *error) {
    if (rg_results_has(results, name, measure))
        return RG_OK;
    if (all_failed(results))
        return refuse_failed(results, name, error);
    const char **names = rg_results_quantities(results);
    RgStatus status = rg_unknown_name(error, "metric", name, names);
    free(names);
    return status;
}
