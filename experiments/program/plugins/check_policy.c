/* SPDX-License-Identifier: MIT */
/* The contract of policies that choose one of a few responses, or one of a few tokens. */
#include "core/files.h"
#include "core/tensor/threads.h"
#include "experiments/program/plugins/check_plugin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXTS = 3, RESPONSES = 5, CELLS = CONTEXTS * RESPONSES, FEATURES = 4, DRAWS = 20000 };

static void fill_features(double *features) {
    for (int i = 0; i < CELLS * FEATURES; i++)
        features[i] = rg_random_normal(rg_random_root(7), (uint64_t)i);
}

/* On an enumerated task, or on tokens if the type does not support that. */
static RgStatus create(const RgPolicyType *type, const RgSettings *settings, const double *features,
                       bool *tokens, RgPolicy **policy, RgError *error) {
    const RgPolicySpace spaces[] = {{.contexts = CONTEXTS,
                                     .responses = RESPONSES,
                                     .features = features,
                                     .feature_count = FEATURES},
                                    {.vocabulary = RESPONSES}};
    RgStatus status = RG_E_USAGE;
    for (int i = 0; i < 2 && status != RG_OK; i++) {
        *tokens = i == 1;
        status = rg_policy_create(type->about.name, settings, "policy", &spaces[i],
                                  rg_random_root(11), policy, error);
    }
    return status;
}

/* Every context with every response. */
static RgSequences *all_cells(void) {
    RgSequences *all = rg_sequences_create();
    for (int32_t c = 0; c < CONTEXTS; c++)
        for (int32_t r = 0; r < RESPONSES; r++)
            rg_sequences_append(all, &c, 1, &r, 1);
    return all;
}

/* Perturbs the parameters, so that responses differ. */
static void stir(const RgPolicy *policy) {
    for (int64_t i = 0; i < policy->parameters->count; i++)
        policy->parameters->value[i] +=
            (RgReal)(0.3 * rg_random_normal(rg_random_root(5), (uint64_t)i));
}

static void claim_sum(const double *logprob, RgClaims *claims) {
    double worst = 0;
    for (int c = 0; c < CONTEXTS; c++) {
        double sum = 0;
        for (int r = 0; r < RESPONSES; r++)
            sum += exp(logprob[c * RESPONSES + r]);
        worst = fabs(sum - 1) > worst || isnan(sum) ? fabs(sum - 1) : worst;
    }
    rg_claim(claims, worst <= 1e-5, "probabilities of all responses add up to 1",
             "off by %.2g at most in %d prompts of %d responses", worst, CONTEXTS, RESPONSES);
}

static void claim_samples(RgPolicy *policy, const double *logprob, RgClaims *claims) {
    RgSequences *prompts = rg_sequences_create(), *out = rg_sequences_create();
    for (int32_t c = 0; c < CONTEXTS; c++)
        rg_sequences_append(prompts, &c, 1, NULL, 0);
    RgSampling sampling = {.temperature = 1, .top_p = 1, .response_limit = 1, .end_token = -1};
    double *logprobs = rg_allocate((size_t)CONTEXTS * DRAWS, sizeof *logprobs), count[CELLS] = {0};
    rg_policy_sample(policy, prompts, DRAWS, &sampling, rg_random_root(9), out, logprobs);
    double off = 0, worst = 0;
    bool known = true;
    for (int64_t i = 0; i < out->count; i++) {
        int64_t cell = i / DRAWS * RESPONSES + *rg_sequence_response(out, i);
        known = known && cell >= i / DRAWS * RESPONSES && cell < (i / DRAWS + 1) * RESPONSES;
        if (!known)
            break;
        count[cell] += 1.0 / DRAWS;
        off = fmax(off, fabs(logprobs[i] - logprob[cell]));
    }
    for (int k = 0; k < CELLS; k++) {
        double p = exp(logprob[k]);
        worst = fmax(worst, fabs(count[k] - p) / (sqrt(p * (1 - p) / DRAWS) + 1e-9));
    }
    rg_claim(claims, known && worst < 5, "responses are sampled as often as their probability says",
             known ? "the worst of %d is %.1f standard errors off"
                   : "some are not among the %d (%.0f)",
             CELLS, worst);
    rg_claim(claims, known && off <= 1e-4,
             "sampling returns the log-probabilities of its responses", "off by %.2g at most", off);
    free(logprobs);
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(out);
}

static double summed(RgPolicy *policy, const RgSequences *all) {
    double logprob[CELLS], sum = 0;
    rg_policy_logprob_values(policy, all, logprob);
    for (int k = 0; k < CELLS; k++)
        sum += (1 + 0.1 * k) * logprob[k];
    return sum;
}

/* Gradient of Σ w log π with respect to some of the parameters. */
static void claim_gradient(RgPolicy *policy, const RgSequences *all, RgClaims *claims) {
    enum { MOST = 24 };
    RgParameters *p = policy->parameters;
    RgTape *t = rg_tape_create();
    RgReal weight[CELLS];
    for (int k = 0; k < CELLS; k++)
        weight[k] = (RgReal)(1 + 0.1 * k);
    rg_parameters_zero_gradient(p);
    rg_backward(t,
                rg_sum(t, rg_mul(t, rg_constant(t, RG_SHAPE(CELLS), weight),
                                 rg_policy_logprob(t, policy, all))),
                1);
    rg_tape_destroy(t);
    double scale = 0, worst = 0;
    for (int64_t i = 0; i < p->count; i++)
        scale = fmax(scale, fabs((double)p->gradient[i]));
    int64_t stride = p->count > MOST ? p->count / MOST : 1;
    const double step = 0.02;
    for (int64_t i = 0; i < p->count; i += stride) {
        RgReal here = p->value[i], high = here + (RgReal)step, low = here - (RgReal)step;
        p->value[i] = high;
        double above = summed(policy, all);
        p->value[i] = low;
        double difference = (above - summed(policy, all)) / ((double)high - (double)low);
        p->value[i] = here;
        worst = fmax(worst, fabs(difference - (double)p->gradient[i]));
    }
    rg_claim(claims, scale > 0 && worst <= 1e-2 * scale,
             "the gradient of log-probabilities equals their finite differences",
             "off by %.2g of the largest, %.3g, in float with steps of %g",
             scale > 0 ? worst / scale : 0, scale, step);
    rg_parameters_zero_gradient(p);
}

static void claim_threads(RgPolicy *policy, const RgSequences *all, const double *logprob,
                          RgClaims *claims) {
    double other[CELLS];
    int before = rg_threads();
    rg_threads_set(before == 1 ? 2 : 1);
    rg_policy_logprob_values(policy, all, other);
    rg_threads_set(before);
    rg_claim(claims, memcmp(other, logprob, sizeof other) == 0,
             "the same bits with any number of threads", "1 and 2 threads");
}

static void claim_file(const RgPolicy *policy, const RgSequences *all, const double *logprob,
                       RgClaims *claims) {
    static const char claim[] = "a policy loaded from its file is the same";
    RgError error = {0};
    char *folder = NULL;
    RgPolicy *back = NULL;
    double other[CELLS] = {0};
    RgStatus status = rg_scratch_folder("check-plugin", &folder, &error);
    if (status == RG_OK) {
        char *path = rg_string_format("%s/policy.safetensors", folder);
        status = rg_policy_save(policy, path, &error);
        if (status == RG_OK)
            status = rg_policy_load(path, &back, &error);
        if (status == RG_OK)
            rg_policy_logprob_values(back, all, other);
        rg_folder_remove(folder);
        free(path);
    }
    bool same = memcmp(other, logprob, sizeof other) == 0;
    rg_claim(claims, status == RG_OK && same, claim, "%s",
             status != RG_OK ? error.text
             : same          ? ""
                             : "its log-probabilities differ");
    rg_policy_destroy(back);
    free(folder);
}

void rg_check_policy(const RgPolicyType *type, const char *options, RgClaims *claims) {
    RgSettings *settings = rg_settings_create();
    RgPolicy *policy = NULL;
    RgError error = {0};
    double features[CELLS * FEATURES], logprob[CELLS];
    bool tokens;
    fill_features(features);
    rg_small_race_set(settings, "policy", options);
    if (create(type, settings, features, &tokens, &policy, &error) != RG_OK) {
        char *why = rg_string_format("it supports neither %d responses nor %d tokens: %s",
                                     RESPONSES, RESPONSES, error.text);
        rg_claim_nothing(claims, "log-probabilities and samples", why);
        free(why);
    } else {
        RgSequences *all = all_cells();
        stir(policy);
        rg_claim(claims, true, "it can be created", "on %s", tokens ? "tokens" : "responses");
        rg_policy_logprob_values(policy, all, logprob);
        claim_sum(logprob, claims);
        claim_samples(policy, logprob, claims);
        claim_gradient(policy, all, claims);
        claim_threads(policy, all, logprob, claims);
        claim_file(policy, all, logprob, claims);
        rg_sequences_destroy(all);
    }
    rg_policy_destroy(policy);
    rg_settings_destroy(settings);
}
