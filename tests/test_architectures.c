/* SPDX-License-Identifier: MIT */
/* Checkpoints of many architectures: tiny random models whose log-probabilities another program
 * computed in float64 (tests/golden/models.py, in both precisions of this program). Each model is
 * also sampled with a cache, saved in both formats, adapted, and run without its fused operators. */
#include "core/models/hugging_face.h"
#include "core/models/transformer.h"
#include "tests/golden_model.h"

#include <criterion/parameterized.h>
#include <math.h>

#ifdef RG_DOUBLE
static const double tolerance = 1e-9;
#else
static const double tolerance = 1e-4;
#endif

enum { LIMIT = 12 };

static void check_logprob(RgPolicy *policy, const Model *model, double most, const char *what) {
    double logprob[MOST_RESPONSES];
    rg_policy_logprob_values(policy, model->responses, logprob);
    for (int64_t i = 0; i < model->responses->count; i++)
        cr_expect_float_eq(logprob[i], model->expected[i], most,
                           "%s, response %d: %.12g, not %.12g", what, (int)i, logprob[i],
                           model->expected[i]);
}

/* ---- claims ---- */

typedef struct Case {
    char name[24];
} Case;

#define FOR_EVERY_ARCHITECTURE(claim)                                                              \
    ParameterizedTestParameters(architectures, claim) {                                            \
        static Case cases[] = {{"qwen3"},          {"qwen3-window"}, {"llama-3.2"},                \
                               {"llama-head-dim"}, {"llama-linear"}, {"qwen2-yarn"},               \
                               {"llama-yarn-5"},   {"mistral"},      {"phi3-partial"},             \
                               {"gpt-neox"},       {"gemma2"},       {"gpt-neox-sequential"},      \
                               {"gemma3"},         {"gemma3-5"}};                                  \
        return cr_make_param_array(Case, cases, sizeof cases / sizeof *cases);                     \
    }                                                                                              \
    ParameterizedTest(Case *c, architectures, claim)

FOR_EVERY_ARCHITECTURE(log_probabilities_are_those_of_the_golden_file) {
    Model model = model_open(c->name);
    check_logprob(model.policy, &model, tolerance, c->name);
    model_close(&model);
}

/* The operators of a second-order tape are others. */
FOR_EVERY_ARCHITECTURE(expanded_operators_give_the_same) {
    Model model = model_open(c->name);
    RgTape *t = rg_tape_create();
    rg_tape_second_order(t, true);
    RgTensor *logprob = rg_policy_logprob(t, model.policy, model.responses);
    for (int64_t i = 0; i < model.responses->count; i++)
        cr_expect_float_eq((double)logprob->data[i], model.expected[i], tolerance);
    rg_tape_destroy(t);
    model_close(&model);
}

/* The sum of log-probabilities has its own path through the head. */
FOR_EVERY_ARCHITECTURE(the_log_likelihood_is_their_sum) {
    Model model = model_open(c->name);
    RgTape *t = rg_tape_create();
    double sum = 0;
    for (int64_t i = 0; i < model.responses->count; i++)
        sum += model.expected[i];
    cr_expect_float_eq((double)rg_policy_log_likelihood(t, model.policy, model.responses)->data[0],
                       sum, 3 * tolerance);
    rg_tape_destroy(t);
    model_close(&model);
}

/* The decoder's own log-probabilities of what it sampled, over a cache and beyond the windows. */
FOR_EVERY_ARCHITECTURE(sampling_agrees_with_the_pass) {
    Model model = model_open(c->name);
    RgSampling sampling = {.temperature = 1, .top_p = 1, .response_limit = LIMIT, .end_token = -1};
    RgSequences *out = rg_sequences_create();
    double sampled[4 * MOST_RESPONSES], passed[4 * MOST_RESPONSES];
    rg_policy_sample(model.policy, model.responses, 4, &sampling, rg_random_root(1), out, sampled);
    cr_assert_eq(out->count, 4 * model.responses->count);
    rg_policy_logprob_values(model.policy, out, passed);
    for (int64_t i = 0; i < out->count; i++) {
        cr_expect(rg_sequence_response_length(out, i) > 0);
        cr_expect_float_eq(sampled[i], passed[i], 3 * tolerance, "%s, %d: %.9g and %.9g", c->name,
                           (int)i, sampled[i], passed[i]);
    }
    rg_sequences_destroy(out);
    model_close(&model);
}

FOR_EVERY_ARCHITECTURE(exported_it_loads_as_it_was) {
    Model model = model_open(c->name);
    RgError error = {0};
    RgPolicy *loaded;
    const char *folder = scratch("saved");
    cr_assert_eq(rg_hugging_face_save(model.policy, folder, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_load(folder, &loaded, &error), RG_OK, "%s", error.text);
    cr_expect_eq(rg_parameters_hash(loaded->parameters),
                 rg_parameters_hash(model.policy->parameters));
    check_logprob(loaded, &model, tolerance, c->name);
    rg_policy_destroy(loaded);
    model_close(&model);
}

FOR_EVERY_ARCHITECTURE(a_file_of_this_program_brings_it_back) {
    Model model = model_open(c->name);
    RgError error = {0};
    RgPolicy *loaded;
    const char *path = scratch("policy.safetensors");
    cr_assert_eq(rg_policy_save(model.policy, path, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_load(path, &loaded, &error), RG_OK, "%s", error.text);
    double before[MOST_RESPONSES], after[MOST_RESPONSES];
    rg_policy_logprob_values(model.policy, model.responses, before);
    rg_policy_logprob_values(loaded, model.responses, after);
    for (int64_t i = 0; i < model.responses->count; i++)
        cr_expect_eq(before[i], after[i]);
    rg_policy_destroy(loaded);
    model_close(&model);
}

/* Every matrix adapted: the adapter's product and its sum with the weights are the same model. */
FOR_EVERY_ARCHITECTURE(an_adapter_merged_is_the_adapter) {
    Model model = model_open(c->name);
    RgError error = {0};
    RgPolicy *adapted;
    const RgAdapterOptions options = {.rank = 3, .alpha = 3, .targets = "all"};
    rg_parameters_freeze(model.policy->parameters);
    cr_assert_eq(rg_policy_adapt(model.policy, &options, rg_random_root(1), &adapted, &error),
                 RG_OK, "%s", error.text);
    check_logprob(adapted, &model, tolerance, c->name);
    for (int v = 0; v < adapted->parameters->view_count; v++)
        rg_parameters_fill_normal(adapted->parameters, v, 0.1, rg_random_root(2));
    RgPolicy *merged = rg_policy_merged(adapted);
    double apart[MOST_RESPONSES], together[MOST_RESPONSES], moved = 0;
    rg_policy_logprob_values(adapted, model.responses, apart);
    rg_policy_logprob_values(merged, model.responses, together);
    for (int64_t i = 0; i < model.responses->count; i++) {
        cr_expect_float_eq(apart[i], together[i], 3 * tolerance);
        moved += fabs(apart[i] - model.expected[i]);
    }
    cr_expect_gt(moved, 0.01);
    rg_policy_destroy(merged);
    rg_policy_destroy(adapted);
    model_close(&model);
}
