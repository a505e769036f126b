/* SPDX-License-Identifier: MIT */
/* The reward model as a judge: what it learns, keeps and refuses; and how good a judge is said to
 * be. */
#include "core/models/transformer.h"
#include "core/tensor/threads.h"
#include "envs/judges/judge_quality.h"
#include "envs/judges/judge_reward_model.h"
#include "scratch.h"

#include <math.h>
#include <unistd.h>

enum { PAIRS = 120, VOCABULARY = 12, GOOD = 5, BAD = 6 };

static RgError error;

/* Prompts and responses of random tokens; the chosen response has one GOOD among them, the rejected
 * one a BAD, or neither where they are `alike`. */
static RgSequences *made_up_pairs(int64_t count, bool alike, uint64_t seed) {
    RgSequences *s = rg_sequences_create();
    for (int64_t i = 0; i < count; i++) {
        RgRandom random = rg_random_at(rg_random_root(seed), (uint64_t)i);
        int32_t prompt[4] = {1}, response[2][5];
        for (uint64_t k = 0; k < 10; k++) {
            int32_t token = 7 + (int32_t)rg_random_below(random, k, 5);
            response[k / 5][k % 5] = k % 5 == 4 ? 2 : token;
        }
        for (uint64_t k = 1; k < 4; k++)
            prompt[k] = 7 + (int32_t)rg_random_below(random, 20 + k, 5);
        uint64_t at = rg_random_below(random, 30, 4);
        for (int k = 0; k < 2; k++) {
            if (!alike)
                response[k][at] = k == 0 ? GOOD : BAD;
            rg_sequences_append(s, prompt, 4, response[k], 5);
        }
    }
    return s;
}

static RgJudgeText no_texts[PAIRS];

static RgJudgeShare share_of(const RgSequences *sequences) {
    return (RgJudgeShare){.texts = no_texts,
                          .count = sequences->count / 2,
                          .sequences = sequences,
                          .vocabulary = VOCABULARY,
                          .path = "pairs"};
}

typedef struct Chosen {
    RgOptionPart judge;
} Chosen;

static const RgOption table[] = {
    RG_OPTION_PART(Chosen, judge, "reward-model", &rg_judge_family, "who judges"),
    RG_OPTION_END,
};

/* Small by default; `options` are path, value, …, NULL, numbers or strings as they look. */
static RgStatus try_judge(const RgJudgeShare *share, const char *const *options, RgJudge **judge) {
    static const char *const small[] = {
        "type",  "reward-model", "layers",        "1",     "width", "16", "heads", "2",
        "batch", "16",           "learning_rate", "0.003", NULL};
    RgSettings *settings = rg_settings_create();
    const char *const *lists[] = {small, options};
    for (int l = 0; l < 2; l++)
        for (int i = 0; lists[l] && lists[l][i]; i += 2) {
            char path[64];
            const char *value = lists[l][i + 1];
            snprintf(path, sizeof path, "judge.%s", lists[l][i]);
            RgSettingKind kind =
                strspn(value, "-0123456789") == strlen(value) && value[0]    ? RG_SETTING_INTEGER
                : strspn(value, "-0123456789.") == strlen(value) && value[0] ? RG_SETTING_REAL
                                                                             : RG_SETTING_STRING;
            rg_settings_set(settings, path, kind, value, "test", 1);
        }
    Chosen chosen;
    cr_assert_eq(rg_options_read(table, settings, "", &chosen, &error), RG_OK, "%s", error.text);
    RgStatus status = rg_judge_create(&chosen.judge, share, rg_random_root(3), judge, &error);
    rg_settings_destroy(settings);
    return status;
}

#define WITH(...) ((const char *const[]){__VA_ARGS__, NULL})

static RgJudge *judge_of(const RgSequences *pairs, const char *const *options) {
    RgJudge *judge;
    RgJudgeShare share = share_of(pairs);
    cr_assert_eq(try_judge(&share, options, &judge), RG_OK, "%s", error.text);
    return judge;
}

static double *rewards_of(RgJudge *judge, const RgSequences *sequences) {
    double *reward = rg_allocate(sequences->count, sizeof *reward);
    RgJudgeItems items = {.count = sequences->count, .sequences = sequences};
    cr_assert_eq(rg_judge_rewards(judge, &items, reward, &error), RG_OK, "%s", error.text);
    return reward;
}

TestSuite(reward_model, .init = scratch_begin);

Test(reward_model, tells_pairs_apart_that_it_has_not_seen) {
    static const char *const pooling[] = {"last", "mean"};
    RgSequences *pairs = made_up_pairs(PAIRS, false, 1), *others = made_up_pairs(PAIRS, false, 2);
    for (int k = 0; k < 2; k++) {
        RgJudge *judge = judge_of(pairs, WITH("epochs", "12", "pooling", pooling[k]));
        RgJudgeShare share = share_of(others);
        RgJudgeQuality q;
        cr_assert_eq(rg_judge_quality(judge, &share, 1, &q, &error), RG_OK);
        cr_expect_gt(q.accuracy, 0.95, "%s: %g", pooling[k], q.accuracy);
        cr_expect(q.low < q.accuracy && q.high > q.accuracy - 1e-12);
        rg_judge_destroy(judge);
    }
    rg_sequences_destroy(pairs);
    rg_sequences_destroy(others);
}

Test(reward_model, is_the_same_bits_for_any_number_of_threads) {
    RgSequences *pairs = made_up_pairs(PAIRS, false, 1);
    double *reward[2];
    for (int k = 0; k < 2; k++) { /* the first batch is large enough for shards, its rest is not */
        rg_threads_set(k + 1);
        RgJudge *judge = judge_of(pairs, WITH("epochs", "2", "batch", "60"));
        reward[k] = rewards_of(judge, pairs);
        rg_judge_destroy(judge);
    }
    cr_assert_arr_eq(reward[0], reward[1], (size_t)pairs->count * sizeof *reward[0]);
    free(reward[0]);
    free(reward[1]);
    rg_sequences_destroy(pairs);
}

Test(reward_model, is_centred_on_what_it_is_made_from) {
    RgSequences *pairs = made_up_pairs(PAIRS, false, 1);
    RgJudge *judge = judge_of(pairs, WITH("epochs", "4", "centre", "0"));
    double *reward = rewards_of(judge, pairs), sum = 0, most = 0;
    for (int64_t i = 0; i < pairs->count; i++) {
        sum += reward[i];
        most = fmax(most, fabs(reward[i]));
    }
    cr_expect_lt(fabs(sum / (double)pairs->count), 1e-5 * (1 + most));
    cr_expect_gt(most, 0.1);
    free(reward);
    rg_judge_destroy(judge);
    rg_sequences_destroy(pairs);
}

/* The file is a policy's, too, and nothing is trained a second time. */
Test(reward_model, that_was_saved_judges_as_it_did) {
    RgSequences *pairs = made_up_pairs(PAIRS, false, 1), *few = made_up_pairs(2, true, 9);
    const char *path = scratch("reward.safetensors");
    RgJudge *judge = judge_of(pairs, WITH("epochs", "2", "pooling", "mean", "save", path));
    cr_assert_neq(access(path, F_OK), 0, "written before it was asked for");
    cr_assert_eq(rg_judge_save(judge, &error), RG_OK, "%s", error.text);
    RgJudge *again = judge_of(few, WITH("weights", path));
    double *first = rewards_of(judge, pairs), *second = rewards_of(again, pairs);
    cr_expect_arr_eq(first, second, (size_t)pairs->count * sizeof *first);
    RgPolicy *policy;
    cr_assert_eq(rg_policy_load(path, &policy, &error), RG_OK, "%s", error.text);
    cr_expect_eq(rg_parameters_hash(policy->parameters),
                 rg_parameters_hash(rg_reward_model_policy(judge)->parameters));
    rg_policy_destroy(policy);
    free(first);
    free(second);
    rg_judge_destroy(judge);
    rg_judge_destroy(again);
    rg_sequences_destroy(pairs);
    rg_sequences_destroy(few);
}

/* A transformer's file to start from. */
static RgPolicy *written_transformer(const char *path, int64_t vocabulary) {
    RgTransformerOptions o = {.layers = 2,
                              .width = 16,
                              .heads = 2,
                              .context = 16,
                              .tied = true,
                              .rope_base = 10000,
                              .norm_epsilon = 1e-5};
    RgPolicy *policy;
    cr_assert_eq(rg_transformer_create(&o, vocabulary, &policy, &error), RG_OK, "%s", error.text);
    for (int v = 0; v < policy->parameters->view_count; v++)
        rg_parameters_fill_normal(policy->parameters, v, 0.3, rg_random_root(4));
    cr_assert_eq(rg_policy_save(policy, path, &error), RG_OK);
    return policy;
}

static bool view_differs(const RgParameters *a, const RgParameters *b, int view) {
    const RgParameterView *v = &a->views[view];
    return memcmp(a->value + v->offset, b->value + v->offset, (size_t)v->count * sizeof(RgReal)) !=
           0;
}

Test(reward_model, trains_the_layers_that_it_is_told_to) {
    RgSequences *pairs = made_up_pairs(PAIRS, false, 1);
    const char *path = scratch("base.safetensors");
    RgPolicy *base = written_transformer(path, VOCABULARY);
    static const char *const trained[] = {"0", "1", "-1"};
    for (int k = 0; k < 3; k++) {
        RgJudge *judge = judge_of(
            pairs, WITH("weights", path, "trained_layers", trained[k], "weight_decay", "0.1"));
        const RgParameters *now = rg_reward_model_policy(judge)->parameters;
        for (int v = 0; v < now->view_count; v++) {
            const char *name = now->views[v].name;
            bool last = strstr(name, "layers.1.") || strcmp(name, "model.norm.weight") == 0;
            bool expected = k == 2 || (k == 1 && last);
            cr_expect_eq(view_differs(now, base->parameters, v), expected, "%s of %s", name,
                         trained[k]);
        }
        cr_expect_gt(fabs((double)rg_reward_model_head(judge)->value[0]), 0);
        rg_judge_destroy(judge);
    }
    rg_policy_destroy(base);
    rg_sequences_destroy(pairs);
}

/* The share of the pairs that a judge has right which was made from them. */
static double share_right(const RgSequences *pairs, const char *held_out) {
    RgJudge *judge = judge_of(pairs, WITH("epochs", "80", "learning_rate", "0.002",
                                          "head_learning_rate", "0.01", "held_out", held_out));
    double *reward = rewards_of(judge, pairs), right = 0;
    for (int64_t i = 0; i < pairs->count; i += 2)
        right += reward[i] > reward[i + 1];
    free(reward);
    rg_judge_destroy(judge);
    return right / (double)(pairs->count / 2);
}

/* Of pairs without a difference nothing that is learnt holds on others: what is held out tells.
 * One set of pairs proves little, as eighty epochs on noise end wherever the last bits lead them.
 */
Test(reward_model, stops_before_it_has_learnt_noise_by_heart) {
    enum { SETS = 20 };
    double held = 0, all = 0;
    for (uint64_t i = 0; i < SETS; i++) {
        RgSequences *noise = made_up_pairs(PAIRS, true, 5 + i);
        held += (share_right(noise, "0.25") - 0.5) / SETS;
        all += (share_right(noise, "0") - 0.5) / SETS;
        rg_sequences_destroy(noise);
    }
    cr_expect_gt(all, 0.2, "%g", all);
    cr_expect_lt(held, 0.5 * all, "%g of %g", held, all);
}

Test(reward_model, cuts_what_is_too_long_where_it_matters_least) {
    RgSequences *s = rg_sequences_create();
    const int32_t prompt[] = {1, 2, 3, 4, 5}, response[] = {6, 7, 8};
    rg_sequences_append(s, prompt, 5, response, 3);
    RgSequences *fits = rg_reward_model_fit_length(s, 8);
    cr_expect_arr_eq(fits->tokens, s->tokens, 8 * sizeof(int32_t));
    rg_sequences_destroy(fits);
    fits = rg_reward_model_fit_length(s, 6);
    cr_expect_arr_eq(fits->tokens, ((int32_t[]){1, 4, 5, 6, 7, 8}), 6 * sizeof(int32_t));
    cr_expect_eq(fits->prompt_length[0], 3);
    rg_sequences_destroy(fits);
    fits = rg_reward_model_fit_length(s, 3);
    cr_expect_arr_eq(fits->tokens, ((int32_t[]){1, 6, 7}), 3 * sizeof(int32_t));
    rg_sequences_destroy(fits);
    rg_sequences_destroy(s);
}

static void refuse(const RgJudgeShare *share, const char *const *options, RgStatus status,
                   const char *expected) {
    RgJudge *judge;
    cr_expect_eq(try_judge(share, options, &judge), status);
    cr_expect_null(judge);
    cr_expect(strstr(error.text, expected), "%s\nlacks: %s", error.text, expected);
}

Test(reward_model, what_it_cannot_learn_from_is_refused) {
    RgSequences *few = made_up_pairs(5, false, 1), *pairs = made_up_pairs(PAIRS, false, 1);
    RgJudgeShare share = share_of(few), texts = share_of(pairs);
    refuse(&share, NULL, RG_E_RANGE, "at least 20 pairs to learn from, found 5");
    texts.sequences = NULL;
    refuse(&texts, NULL, RG_E_USAGE, "needs tokens");
    share = share_of(pairs);
    const char *path = scratch("base.safetensors");
    rg_policy_destroy(written_transformer(path, VOCABULARY - 1));
    refuse(&share, WITH("weights", path), RG_E_USAGE,
           "has a vocabulary of 11 tokens, expected at least the 12");
    refuse(&share, WITH("weights", "/nowhere.safetensors"), RG_E_FILE, "/nowhere.safetensors");
    RgJudge *judge = judge_of(pairs, WITH("save", "/nowhere/x.safetensors", "epochs", "1"));
    cr_expect_eq(rg_judge_save(judge, &error), RG_E_FILE);
    cr_expect(strstr(error.text, "/nowhere/x"), "%s", error.text);
    rg_judge_destroy(judge);
    refuse(&share, WITH("save", path), RG_E_USAGE, "exists and is not a reward model");
    judge = judge_of(pairs, WITH("epochs", "1"));
    double reward;
    RgJudgeItems items = {.count = 1};
    cr_expect_eq(rg_judge_rewards(judge, &items, &reward, &error), RG_E_USAGE);
    rg_judge_destroy(judge);
    rg_sequences_destroy(few);
    rg_sequences_destroy(pairs);
}

/* ---- how good a judge is ---- */

/* Margins ±size, `right` of them above 0. */
static RgJudgeQuality quality_of(double size, int64_t right, int64_t count, double temperature) {
    double margin[200];
    for (int64_t i = 0; i < count; i++)
        margin[i] = i < right ? size : -size;
    return rg_judge_quality_of(margin, count, temperature);
}

/* R: prop.test(8, 10, correct = FALSE)$conf.int is 0.4901625 0.9433178 */
Test(judge_quality, accuracy_has_wilsons_interval) {
    RgJudgeQuality q = quality_of(1, 8, 10, 1);
    cr_expect_float_eq(q.accuracy, 0.8, 1e-12);
    cr_expect_float_eq(q.low, 0.4901625, 1e-7);
    cr_expect_float_eq(q.high, 0.9433178, 1e-7);
    const double tie[] = {0, 0};
    cr_expect_float_eq(rg_judge_quality_of(tie, 2, 1).accuracy, 0.5, 1e-12);
}

/* All pairs are in one bin: |σ(m / T) − share that is right|, and a fit of m / logit(share). */
Test(judge_quality, calibration_is_that_of_the_closed_form) {
    for (int64_t right = 60; right < 100; right += 13) {
        double share = (double)right / 100, logit = log(share / (1 - share));
        RgJudgeQuality q = quality_of(2, right, 100, 1.5);
        cr_expect_float_eq(q.calibration_error, fabs(1 / (1 + exp(-2 / 1.5)) - share), 1e-12);
        cr_expect_float_eq(q.temperature, 2 / logit, 1e-6);
    }
    /* where the temperature is the one that fits, the probabilities are right */
    cr_expect_lt(quality_of(2, 75, 100, 2 / log(3)).calibration_error, 1e-12);
}

Test(judge_quality, a_judge_that_knows_nothing_has_no_temperature) {
    cr_expect_float_eq(quality_of(1, 40, 100, 1).temperature, 1e3, 1);
    cr_expect_float_eq(quality_of(1, 100, 100, 1).temperature, 1e-3, 1e-6);
}
