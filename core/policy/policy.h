/* SPDX-License-Identifier: MIT */
/* A policy: π_θ(response | prompt) with parameters θ.
 *
 * Kinds (tabular, log-linear, transformer) are registered (core/registry.h) and chosen by
 * name. The reference policy of an experiment is a frozen clone.
 *
 * FLOPs of log-probabilities on a caller's tape are counted by that tape; those of values, features
 * and sampling go to *policy->flops. */
#ifndef RG_CORE_POLICY_POLICY_H
#define RG_CORE_POLICY_POLICY_H

#include "core/digest.h"
#include "core/options.h"
#include "core/policy/adapter.h"
#include "core/process_group.h"
#include "core/registry.h"
#include "core/task/sequences.h"
#include "core/task/simulator.h"
#include "core/tensor/random.h"
#include "core/tensor/tensor.h"
#include "core/train/safetensors.h"

typedef struct RgPolicy RgPolicy;

/* What the environment asks of a policy. */
typedef struct RgPolicySpace {
    int64_t contexts;  /* enumerated environments: number of prompts, else 0 */
    int64_t responses; /* enumerated environments: responses per prompt, else 0 */
    const double
        *features; /* [contexts, responses, feature_count] for log-linear policies, or NULL */
    int64_t feature_count;
    int64_t vocabulary;           /* token environments: number of token ids, else 0 */
    const RgSimulator *simulator; /* environments of episodes, else NULL; outlives the policy */
} RgPolicySpace;

/* Of responses that were sampled in bf16: how their log-probabilities by the sampler, which has
 * rounded weights, keys and values, differ from the policy's in fp32: both at temperature 1, with
 * no token left out. Where sampling is so too, the mean difference estimates KL(sampler ‖ policy).
 */
typedef struct RgSamplerDifference {
    int64_t responses;
    double sum, absolute; /* of log π_sampler(y|x) − log π(y|x), nats */
} RgSamplerDifference;

/* How responses are drawn from a policy. */
typedef struct RgSampling {
    double temperature;     /* > 0; 0 takes the likeliest token */
    int64_t top_k;          /* keep the k likeliest tokens; 0 keeps all */
    double top_p;           /* keep the smallest set of mass ≥ p; 1 keeps all */
    double min_p;           /* drop what is less than p times as likely as the likeliest; 0: none */
    int64_t response_limit; /* most tokens of a response */
    /* Token ids from here on are never drawn: rows of a vocabulary that is padded beyond its
     * tokenizer. Log-probabilities still run over all of them. 0: every id may be drawn. */
    int64_t tokens;
    int32_t end_token; /* ends a response and is its last token; −1 for none */
    RgStopTokens stop; /* so do these */
    /* Sample from the geometric mixture π^(1−c)·partner^c, token by token: `partner` is of the same
     * kind and shape, and outlives the call; c = partner_share. NULL: from the policy alone. */
    const struct RgPolicy *partner;
    double partner_share;
    RgProcessGroup
        *process_group; /* whose ranks have the same policy and prompts, and share them; or NULL */
    int64_t first;      /* number of the first sequence, by which its random numbers go */
    RgSamplerDifference *difference; /* to be added to where log-probabilities are asked for; or
                                        NULL */
} RgSampling;

/* A row of logits, [n], becomes that of the mixture with the partner's. */
static inline void rg_sampling_mix(const RgSampling *sampling, const RgReal *partner, int64_t n,
                                   RgReal *logits) {
    RgReal share = (RgReal)sampling->partner_share;
    for (int64_t i = 0; i < n; i++)
        logits[i] += share * (partner[i] - logits[i]);
}

static inline bool rg_sampling_ends(const RgSampling *sampling, int32_t token) {
    bool ends = token == sampling->end_token;
    for (int64_t i = 0; i < sampling->stop.count; i++)
        ends = ends || token == sampling->stop.id[i];
    return ends;
}

/* A kind of policy. */
typedef struct RgPolicyType {
    RgDescriptor about;

    /* Allocate `policy->state`; declare `policy->parameters`, which come created and empty;
     * rg_policy_allocate, and initialise them. */
    RgStatus (*create)(RgPolicy *policy, const void *options, const RgPolicySpace *space,
                       RgRandom random, RgError *error);
    void (*destroy)(RgPolicy *policy); /* frees `state` only */
    /* Kinds that act in processes, else NULL: from now on in this one, which outlives the policy.
     */
    RgStatus (*use_simulator)(RgPolicy *policy, const RgSimulator *simulator, RgError *error);

    /* [sequences->count] log-probabilities of the responses, on `tape`, with `parameters` in place
     * of the policy's own (same layout). */
    RgTensor *(*logprob)(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                         const RgSequences *sequences);

    /* Their sum, a scalar, where a kind has a shorter way to it; else NULL. */
    RgTensor *(*log_likelihood)(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                                const RgSequences *sequences);

    /* [sequences->count, feature_count] features of prompt and response for a linear reward head.
     */
    RgTensor *(*features)(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                          const RgSequences *sequences);
    int64_t (*feature_count)(const RgPolicy *policy);
    /* Of all steps in a row (a step is a token, of an episode an action): [all steps] the
     * log-probabilities that `logprob` sums, and [all steps, state_feature_count] of what is known
     * before each, for a value of states. */
    RgTensor *(*step_logprob)(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                              const RgSequences *sequences);
    RgTensor *(*state_features)(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                                const RgSequences *sequences);
    int64_t (*state_feature_count)(const RgPolicy *policy);
    /* Episodes of numbers, else NULL: [all steps, step_feature_count] of what is observed and done,
     * for a reward of steps. */
    RgTensor *(*step_features)(RgPolicy *policy, RgTape *tape, const RgSequences *sequences);
    int64_t (*step_feature_count)(const RgPolicy *policy);

    /* Draw one response for each prompt i: its tokens at tokens[i · sampling->response_limit],
     * their number in length[i], their log-probability in logprob[i]. The random numbers of i are
     * those of rg_random_at(random, sampling->first + i). Returns FLOPs spent. */
    double (*sample)(RgPolicy *policy, const RgSequences *prompts, const RgSampling *sampling,
                     RgRandom random, int32_t *tokens, int64_t *length, double *logprob);

    /* Enumerated kinds only, else NULL: logits of all responses [contexts, responses] on `tape`. */
    RgTensor *(*logits)(RgPolicy *policy, RgTape *tape, RgParameters *parameters);

    /* Longest sequence in tokens; 0 for no limit. */
    int64_t (*context_limit)(const RgPolicy *policy);
    /* Token ids are 0 … vocabulary−1, in prompts and in responses; NULL: not checked. */
    int64_t (*vocabulary)(const RgPolicy *policy, bool in_response);
    /* Words of a response that are one token to the meter (a step of an episode); NULL: 1. */
    int64_t (*words_per_token)(const RgPolicy *policy);

    /* Metadata that rg_policy_load needs to rebuild the policy: a JSON object's text, malloc'd. */
    char *(*describe)(const RgPolicy *policy);
    /* Rebuild `state` and the declared parameters from that text. They take no memory yet: the
     * caller holds their sizes against the file first. */
    RgStatus (*restore)(RgPolicy *policy, const char *description, RgError *error);
    /* What else takes memory in proportion to sizes that a file announces, or NULL: see
     * rg_policy_allocate. */
    void (*allocate)(RgPolicy *policy);

    /* Kinds that take adapters, else NULL. Read `targets` into policy->adapter; declare, allocate
     * and initialise the adapter's matrices in policy->parameters, which come created and empty,
     * for the weights policy->base. */
    RgStatus (*adapt)(RgPolicy *policy, const char *targets, RgRandom random, RgError *error);
    /* Add the adapter to a copy of the weights. */
    void (*merge)(const RgPolicy *policy, RgParameters *weights);
    bool takes_precision; /* its log-probabilities are matrix products, which can be in bf16 */
    bool takes_storage; /* its passes take matrices that are stored in bf16, and so does `sample` */
    bool mixes;         /* `sample` can have a partner */
    bool shards;        /* its passes may run side by side on parts of a batch */
    bool keeps_values;  /* a pair's log-probabilities cost more than looking them up on disk */
} RgPolicyType;

struct RgPolicy {
    const RgPolicyType *type;
    RgParameters *parameters; /* what is trained: the weights, or the adapter beside them */
    RgParameters *base;       /* adapted policies: the weights, frozen and borrowed; else NULL */
    RgAdapter adapter;        /* rank 0: none */
    void *state;              /* the kind's own; shared by clones */
    struct RgTapes *tapes;    /* of values and features, kept for their memory; shared as `state` */
    double *flops;     /* what values, features and sampling spend is added to it (borrowed, not
                          cloned); NULL: it is not counted */
    bool recompute;    /* backward runs layers again in place of keeping what they made */
    bool shares_state; /* a clone: does not destroy `state` and `tapes` */
    bool drops;        /* recorded passes leave out inputs of the adapter, by … */
    RgRandom drop;     /* … this stream, of which each pass takes the next child */
    int64_t drop_pass;
    RgPrecision precision; /* of the products of training; a clone has the same */
    RgPrecision sampling;  /* of the sampler's weights, keys and values; a clone has the same */
};

/* Policy of the named kind, with options drawn from `settings` under `path`. On error NULL is left
 * in *policy. */
RgStatus rg_policy_create(const char *kind, const struct RgSettings *settings, const char *path,
                          const RgPolicySpace *space, RgRandom random, RgPolicy **policy,
                          RgError *error);
/* Own parameters with the same values, the same state: a clone must not outlive its original. */
RgPolicy *rg_policy_clone(const RgPolicy *policy, bool frozen);
void rg_policy_destroy(RgPolicy *policy);
/* A policy whose parameters are a new adapter on the weights of `original`, which are held once:
 * they are frozen from now on, and `original` must outlive its adapted policies. It is what they
 * start as, and so their reference. RG_E_USAGE when the kind has no such targets. */
RgStatus rg_policy_adapt(RgPolicy *original, const RgAdapterOptions *options, RgRandom random,
                         RgPolicy **policy, RgError *error);
/* A frozen clone without an adapter: its weights are those of `policy` with the adapter added. */
RgPolicy *rg_policy_merged(const RgPolicy *policy);
/* All weights, without the adapter. */
const RgParameters *rg_policy_weights(const RgPolicy *policy);
/* From now on recorded passes drop inputs of the adapter, if it asks for that, by the numbers of
 * `stream`; NULL: no longer. A step of training sets its own stream. */
void rg_policy_drop(RgPolicy *policy, const RgRandom *stream);
/* The precision of rg_policy_logprob. RG_E_USAGE where it cannot be had, with the reason; what can
 * be told before there is a policy, and with `type` NULL before its kind is known, is told by the
 * check. */
RgStatus rg_policy_set_precision(RgPolicy *policy, RgPrecision precision, RgError *error);
RgStatus rg_policy_check_precision(const RgPolicyType *type, RgPrecision precision, RgError *error);
/* The precision in which rg_policy_sample holds weights, keys and values: bf16 takes half the
 * memory, and its responses are those of slightly other weights. Errors and check as above. */
RgStatus rg_policy_set_sampling(RgPolicy *policy, RgPrecision precision, RgError *error);
RgStatus rg_policy_check_sampling(const RgPolicyType *type, RgPrecision precision, RgError *error);
/* Store the matrices of a frozen policy so from now on: in bf16 at half the memory, and rounded to
 * it. Clones and merged policies have them in fp32 again, with what they are rounded to. RG_E_USAGE
 * where the kind takes no such weights; the check is as that of precision. */
RgStatus rg_policy_store(RgPolicy *policy, RgPrecision storage, RgError *error);
RgStatus rg_policy_check_storage(const RgPolicyType *type, RgPrecision storage, RgError *error);
/* Let a policy that was loaded act in an environment's process: without one it cannot sample.
 * RG_E_USAGE where its kind or its sizes are others. */
RgStatus rg_policy_use_simulator(RgPolicy *policy, const RgSimulator *simulator, RgError *error);
/* A policy of a kind with nothing in it: parameters created and empty, state NULL. For loaders. */
RgPolicy *rg_policy_new(const RgPolicyType *type);
/* Memory for what a kind has declared: the parameters, zero, and what belongs to them. */
void rg_policy_allocate(RgPolicy *policy);

/* A policy's weights (with the adapter added) and description as one safetensors file: metadata
 * "regatta.policy" is the kind, "regatta.description" what the kind says of itself. Loading also
 * takes a folder in Hugging Face's layout (core/models/hugging_face.h) and a checkpoint of
 * llama2.c. */
RgStatus rg_policy_save(const RgPolicy *policy, const char *path, RgError *error);
/* The same with other tensors beside the weights, under names of their own: what is made of a
 * policy and goes with it. Of a policy without an adapter. Loading the file as a policy passes them
 * over. */
RgStatus rg_policy_save_with(const RgPolicy *policy, const RgStoredTensor *more, int count,
                             const char *path, RgError *error);
RgStatus rg_policy_load(const char *path, RgPolicy **policy, RgError *error);
/* What loading reads of a folder, as patterns: `files` of an RgOption. */
extern const char *const rg_policy_files[];

/* RG_E_CONTEXT or RG_E_RANGE when a sequence is too long or a token unknown; call it where data
 * comes in, so that what follows needs no check. `what` names the data in the message. */
RgStatus rg_policy_check(const RgPolicy *policy, const RgSequences *sequences, const char *what,
                         RgError *error);

/* Log-probability of each response under a policy.
 *
 * sequences  packed prompts and responses, n of them; must outlive the tape
 * returns    [n], nats: sum over the response's tokens of log π(token | everything before)
 *
 * Differentiable in the policy's parameters by rg_backward, which adds to
 * policy->parameters->gradient; to second order, and by rg_gradients, on a second-order tape. */
RgTensor *rg_policy_logprob(RgTape *tape, RgPolicy *policy, const RgSequences *sequences);

/* The sum of them all, a scalar: what maximum likelihood needs, for less work. */
RgTensor *rg_policy_log_likelihood(RgTape *tape, RgPolicy *policy, const RgSequences *sequences);

/* Log-probabilities of the responses' tokens, or the episodes' actions, in a row: [all steps]. */
RgTensor *rg_policy_step_logprob(RgTape *tape, RgPolicy *policy, const RgSequences *sequences);

/* Any pass over a policy's sequences, `parameters` in place of its own, as the kinds' `logprob` and
 * `features` are: recorded, all numbers in a row, in the precision of training. */
typedef RgTensor *(*RgForward)(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                               const RgSequences *sequences);
RgTensor *rg_policy_run(RgTape *tape, RgPolicy *policy, RgForward forward,
                        const RgSequences *sequences);
/* The same as plain numbers, nothing recorded, in fp32: out [n, width]. */
void rg_policy_run_values(RgPolicy *policy, RgForward forward, const RgSequences *sequences,
                          int64_t width, RgReal *out);

/* Log-probabilities as plain numbers, nothing recorded: logprob [n]. In fp32, as sampling is; or in
 * the precision of training, for a reference whose rounding is to be that of the policy that is
 * trained.
 */
void rg_policy_logprob_values(RgPolicy *policy, const RgSequences *sequences, double *logprob);
void rg_policy_training_values(RgPolicy *policy, const RgSequences *sequences, double *logprob);
/* Those of rg_policy_step_logprob, in the precision of training: logprob [all steps]. */
void rg_policy_step_values(RgPolicy *policy, const RgSequences *sequences, double *logprob);
/* What is known before each step, in that precision: features [all steps, state_feature_count]. */
void rg_policy_state_values(RgPolicy *policy, const RgSequences *sequences, RgReal *features);
/* Steps of sequence i. */
int64_t rg_policy_steps(const RgPolicy *policy, const RgSequences *sequences, int64_t i);

/* What a policy says of a pair, and what it cost to ask. */
typedef struct RgPairValues {
    double logprob[2]; /* of the first response and the second */
    double flops;
    double seconds;
} RgPairValues;

/* The values of training of pairs, sequences 2i and 2i+1 of `sequences`: values [count / 2]. Each
 * pair goes through in a pass of its own, so that its values are the same bits whatever else is
 * asked, and the threads share the pairs. `seconds` add up to those that went by, each pair's by
 * its share of FLOPs. The cost is told here alone, not in *policy->flops: whoever keeps the values
 * has it from there, too. */
void rg_policy_pair_values(RgPolicy *policy, const RgSequences *sequences, RgPairValues *values);

/* Of all that decides the values of training but the program and the machine: kind, dimensions,
 * weights with their adapter, precisions. */
RgDigest rg_policy_digest(const RgPolicy *policy);

/* Tokens of all responses; of episodes, steps. */
int64_t rg_policy_count_tokens(const RgPolicy *policy, const RgSequences *sequences);

/* Features of each sequence, as plain numbers: features [n, rg_policy_feature_count]. */
void rg_policy_features(RgPolicy *policy, const RgSequences *sequences, double *features);
int64_t rg_policy_feature_count(const RgPolicy *policy);

/* Draw `copies` responses for each prompt. `out` is cleared and gets prompts->count · copies
 * sequences, the copies of a prompt next to each other. The numbers of sequence i depend on
 * (random, i) alone, not on its neighbours in the batch. With `logprob` [prompts->count · copies]
 * not NULL, each response's log-probability under the policy (at temperature 1, no token left out)
 * comes for free; where sampling is in bf16, from a pass over the responses in fp32. */
void rg_policy_sample(RgPolicy *policy, const RgSequences *prompts, int64_t copies,
                      const RgSampling *sampling, RgRandom random, RgSequences *out,
                      double *logprob);

/* Kinds by name; NULL if there is none. */
const RgPolicyType *rg_policy_type(const char *name);
/* Refuse a descriptor that is not complete: RG_E_USAGE, with its name. */
RgStatus rg_policy_type_check(const RgPolicyType *type, RgError *error);
/* Add one, of a plug-in: checked, and borrowed for good. */
RgStatus rg_policy_type_register(const RgPolicyType *type, RgError *error);

#endif
