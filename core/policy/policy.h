/* SPDX-License-Identifier: MIT */
/* A policy: π_θ(response | prompt) with parameters θ.
 *
 * Kinds (tabular, log-linear, transformer) are registered (core/registry.h) and chosen by name. The
 * reference policy of an experiment is a frozen clone.
 *
 * FLOPs of log-probabilities on a caller's tape are counted by that tape. Those of values, features
 * and sampling are added to *policy->flops.
 *
 * Threads: one thread at a time for a policy together with its clones and adapted policies, because
 * they share tapes, state and weights. A call uses all threads itself. */
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

/* The dimensions that an environment requires of a policy. */
typedef struct RgPolicySpace {
    int64_t contexts;  /* enumerated environments: number of prompts, else 0 */
    int64_t responses; /* enumerated environments: responses per prompt, else 0 */
    const double
        *features; /* [contexts, responses, feature_count] for log-linear policies, or NULL */
    int64_t feature_count;
    const double
        *context_features; /* [contexts, context_feature_count] for mlp policies, or NULL */
    int64_t context_feature_count;
    const double *prior; /* [responses] log-probabilities of the policy that wrote the offline data
                              * where these do not depend on the context, or NULL */
    int64_t vocabulary;  /* token environments: number of token ids, else 0 */
    int64_t response_length; /* environments with sentences of one length: tokens of each, else 0 */
    const double
        *bigram; /* those with a grammar: log-probabilities of its rows (core/models/bigram.h)
                             [1 + (response_length − 1) · vocabulary, vocabulary], or NULL */
    const RgSimulator *simulator; /* environments with episodes, else NULL; outlives the policy */
} RgPolicySpace;

/* For responses sampled in bf16: the difference between their log-probabilities under the sampler,
 * which has rounded weights, keys and values, and under the policy in fp32. Both are at temperature
 * 1 over all tokens. If sampling also is, the mean difference estimates KL(sampler ‖ policy). */
typedef struct RgSamplerDifference {
    int64_t responses;
    double sum, absolute; /* of log π_sampler(y|x) − log π(y|x), nats */
} RgSamplerDifference;

/* How responses are sampled from a policy. */
typedef struct RgSampling {
    double temperature; /* > 0; 0 takes the most likely token */
    int64_t top_k;      /* keep the k most likely tokens; 0 keeps all */
    double top_p;       /* keep the smallest set of mass ≥ p; 1 keeps all */
    double min_p;       /* drop tokens less than p times as likely as the most likely; 0: none */
    int64_t response_limit; /* maximum tokens of a response */
    /* Token ids from here on are never sampled: rows of a vocabulary that is padded beyond its
     * tokenizer. Log-probabilities still run over all of them. 0: every id may be sampled. */
    int64_t tokens;
    int32_t end_token; /* ends a response and is its last token; −1: none */
    RgStopTokens stop; /* further tokens that end a response */
    /* Sample from the geometric mixture π^(1−c)·partner^c, token by token, with c = partner_share.
     * `partner` has the same kind and shape, and outlives the call. NULL: sample from the policy
     * alone. */
    const struct RgPolicy *partner;
    double partner_share;
    RgProcessGroup
        *process_group; /* ranks with the same policy and prompts, which share the prompts; or
                         * NULL */
    int64_t first;      /* number of the first sequence; selects its random numbers */
    RgSamplerDifference *difference; /* sums to add to when log-probabilities are requested; or
                                      * NULL */
} RgSampling;

/* Replaces a row of logits [n] by the mixture with the partner's. */
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

/* A kind of policy. Required: create, destroy, logprob, features, feature_count, step_logprob,
 * state_features, state_feature_count, sample, describe, restore. The other functions may be
 * NULL. */
typedef struct RgPolicyType {
    RgDescriptor about;

    /* Allocates `policy->state`, declares `policy->parameters` (which are created and empty), calls
     * rg_policy_allocate and initialises them. */
    RgStatus (*create)(RgPolicy *policy, const void *options, const RgPolicySpace *space,
                       RgRandom random, RgError *error);
    void (*destroy)(RgPolicy *policy); /* frees `state` only */
    /* Sets the simulator to act in, which outlives the policy. NULL: the kind needs none. */
    RgStatus (*use_simulator)(RgPolicy *policy, const RgSimulator *simulator, RgError *error);

    /* [sequences->count] log-probabilities of the responses, on `tape`, with `parameters` in place
     * of the policy's own (same layout). */
    RgTensor *(*logprob)(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                         const RgSequences *sequences);

    /* Their sum, a scalar, if the kind has a cheaper way to compute it; else NULL. */
    RgTensor *(*log_likelihood)(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                                const RgSequences *sequences);

    /* [sequences->count, feature_count] features of prompt and response, for a linear reward
     * head. */
    RgTensor *(*features)(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                          const RgSequences *sequences);
    int64_t (*feature_count)(const RgPolicy *policy);
    /* For all steps in a row (a step is a token, or an action of an episode): [all steps], the
     * log-probabilities that `logprob` sums, and [all steps, state_feature_count], the features of
     * what is known before each step, for a value function. */
    RgTensor *(*step_logprob)(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                              const RgSequences *sequences);
    RgTensor *(*state_features)(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                                const RgSequences *sequences);
    int64_t (*state_feature_count)(const RgPolicy *policy);
    /* [all steps, step_feature_count] features of observation and action, for a per-step reward.
     * NULL: the kind does not act in continuous episodes. */
    RgTensor *(*step_features)(RgPolicy *policy, RgTape *tape, const RgSequences *sequences);
    int64_t (*step_feature_count)(const RgPolicy *policy);

    /* Samples one response for each prompt i: its tokens at tokens[i · sampling->response_limit],
     * their number in length[i], their log-probability in logprob[i]. The random numbers of i are
     * those of rg_random_at(random, sampling->first + i). Returns the FLOPs spent. */
    double (*sample)(RgPolicy *policy, const RgSequences *prompts, const RgSampling *sampling,
                     RgRandom random, int32_t *tokens, int64_t *length, double *logprob);

    /* Enumerated kinds only, else NULL: logits of all responses [contexts, responses] on `tape`. */
    RgTensor *(*logits)(RgPolicy *policy, RgTape *tape, RgParameters *parameters);

    /* Longest sequence in tokens; 0: no limit. */
    int64_t (*context_limit)(const RgPolicy *policy);
    /* Token ids are 0 … vocabulary−1, in prompts and in responses; NULL: not checked. */
    int64_t (*vocabulary)(const RgPolicy *policy, bool in_response);
    /* Words of a response that count as one token (a step of an episode); NULL: 1. */
    int64_t (*words_per_token)(const RgPolicy *policy);

    /* The description that rg_policy_load needs to rebuild the policy: a JSON object's text,
     * malloc'd. */
    char *(*describe)(const RgPolicy *policy);
    /* Rebuilds `state` and declares the parameters from that text. Parameters take no memory yet:
     * the caller first compares their sizes with the file. */
    RgStatus (*restore)(RgPolicy *policy, const char *description, RgError *error);
    /* Allocates other memory whose size depends on a loaded file (rg_policy_allocate); NULL: there
     * is none. */
    void (*allocate)(RgPolicy *policy);

    /* Kinds with adapters, else NULL. Reads `targets` into policy->adapter. Declares, allocates and
     * initialises the adapter's matrices in policy->parameters (which are created and empty) for
     * the weights policy->base. */
    RgStatus (*adapt)(RgPolicy *policy, const char *targets, RgRandom random, RgError *error);
    /* Adds the adapter to a copy of a view of the weights, or to nothing if `weights` is NULL.
     * Returns whether it has something for this view. */
    bool (*merge)(const RgPolicy *policy, int view, RgReal *weights);
    bool takes_precision; /* supports bf16 in the matrix products of its log-probabilities */
    bool takes_storage;   /* supports matrices stored in bf16, in its passes and in `sample` */
    bool mixes;           /* `sample` supports a partner */
    bool shards;          /* its passes may run in parallel on slices of a batch */
    bool keeps_values;    /* a pair's log-probabilities cost more than reading them from disk */
} RgPolicyType;

struct RgPolicy {
    const RgPolicyType *type;
    RgParameters *parameters; /* trained: the weights, or the adapter of frozen weights */
    RgParameters *base;       /* adapted policies: the frozen, borrowed weights; else NULL */
    RgAdapter adapter;        /* rank 0: none */
    void *state;              /* the kind's own; shared by clones */
    struct RgTapes *tapes;    /* for values and features; kept to reuse their memory; shared like
                               * `state` */
    double *flops;     /* FLOPs of values, features and sampling are added to it (borrowed, not
                        * cloned); NULL: not counted */
    bool recompute;    /* activation checkpointing: backward recomputes layers instead of storing
                        * activations */
    bool shares_state; /* a clone, which does not destroy `state` and `tapes` */
    bool drops;    /* recorded passes apply the adapter's dropout, with random numbers from … */
    RgRandom drop; /* … the next child of this stream for each pass */
    int64_t drop_pass;
    RgPrecision precision; /* of the matrix products of training; the same in clones */
    RgPrecision sampling;  /* of the sampler's weights, keys and values; the same in clones */
};

/* A policy of the named kind, with options from `settings` under `path`. On error *policy is
 * NULL. */
RgStatus rg_policy_create(const char *kind, const struct RgSettings *settings, const char *path,
                          const RgPolicySpace *space, RgRandom random, RgPolicy **policy,
                          RgError *error);
/* A clone: parameters of its own with the same values, and shared state. It must not outlive its
 * original. */
RgPolicy *rg_policy_clone(const RgPolicy *policy, bool frozen);
void rg_policy_destroy(RgPolicy *policy);
/* A policy that trains a new adapter on the weights of `original`. The weights are shared and
 * frozen from now on, and `original` must outlive its adapted policies. They start equal to it, so
 * it is their reference. RG_E_USAGE: the kind does not have these targets. */
RgStatus rg_policy_adapt(RgPolicy *original, const RgAdapterOptions *options, RgRandom random,
                         RgPolicy **policy, RgError *error);
/* A frozen clone without an adapter: the weights of `policy` plus its adapter. */
RgPolicy *rg_policy_merged(const RgPolicy *policy);
/* One view of those weights: out [count], one of rg_policy_weights(policy)->views. */
void rg_policy_merged_view(const RgPolicy *policy, int view, RgReal *out);
/* All weights, without the adapter. */
const RgParameters *rg_policy_weights(const RgPolicy *policy);
/* Recorded passes from now on apply dropout to the adapter's inputs, if it has dropout, with random
 * numbers from `stream`. NULL: no dropout. Each training step sets its own stream. */
void rg_policy_drop(RgPolicy *policy, const RgRandom *stream);
/* The precision of rg_policy_logprob. RG_E_USAGE if it is not available, with the reason. The check
 * reports what is known before there is a policy; `type` is NULL while its kind is unknown. */
RgStatus rg_policy_set_precision(RgPolicy *policy, RgPrecision precision, RgError *error);
RgStatus rg_policy_check_precision(const RgPolicyType *type, RgPrecision precision, RgError *error);
/* The precision of weights, keys and values in rg_policy_sample. bf16 takes half the memory, and
 * responses come from slightly different weights. Errors and check as above. */
RgStatus rg_policy_set_sampling(RgPolicy *policy, RgPrecision precision, RgError *error);
RgStatus rg_policy_check_sampling(const RgPolicyType *type, RgPrecision precision, RgError *error);
/* Stores the matrices of a frozen policy in `storage` from now on. bf16 rounds them and halves the
 * memory. Clones and merged policies hold the rounded values in fp32. RG_E_USAGE: the kind does not
 * support it. The check is like that of the precision. */
RgStatus rg_policy_store(RgPolicy *policy, RgPrecision storage, RgError *error);
RgStatus rg_policy_check_storage(const RgPolicyType *type, RgPrecision storage, RgError *error);
/* Sets the simulator of a loaded policy, which it needs for sampling. RG_E_USAGE: the kind or the
 * sizes do not match. */
RgStatus rg_policy_use_simulator(RgPolicy *policy, const RgSimulator *simulator, RgError *error);
/* An empty policy of a kind, for loaders: parameters created and empty, state NULL. */
RgPolicy *rg_policy_new(const RgPolicyType *type);
/* Allocates what a kind has declared: the parameters, zero, and their companions. */
void rg_policy_allocate(RgPolicy *policy);

/* A policy's weights (with the adapter added) and description as one safetensors file. The metadata
 * "regatta.policy" is the kind, and "regatta.description" its description. A transformer's adapter
 * is stored beside the weights, with the metadata "regatta.adapter". Loading also accepts a
 * folder in Hugging Face's layout (core/models/hugging_face.h) and a checkpoint of llama2.c. */
RgStatus rg_policy_save(const RgPolicy *policy, const char *path, RgError *error);
/* The same with further tensors, under names of their own, that belong to the policy. Not for a
 * policy with an adapter. Loading the file as a policy ignores them. */
RgStatus rg_policy_save_with(const RgPolicy *policy, const RgStoredTensor *more, int count,
                             const char *path, RgError *error);
RgStatus rg_policy_load(const char *path, RgPolicy **policy, RgError *error);
/* The adapter that a policy had when it was saved, on `original`, as rg_policy_adapt creates one.
 * RG_E_USAGE if the file has none. */
RgStatus rg_policy_load_adapter(const char *path, RgPolicy *original, RgPolicy **adapted,
                                RgError *error);
/* The files that loading reads in a folder, as patterns: `files` of an RgOption. */
extern const char *const rg_policy_files[];

/* RG_E_CONTEXT if a sequence is too long, RG_E_RANGE if a token is outside the vocabulary. Call it
 * where data enters; later code does not check. `what` names the data in the message. */
RgStatus rg_policy_check(const RgPolicy *policy, const RgSequences *sequences, const char *what,
                         RgError *error);
/* The same of one sequence, which `what` names. */
RgStatus rg_policy_check_one(const RgPolicy *policy, const RgSequences *sequences, int64_t index,
                             const char *what, RgError *error);

/* The log-probability of each response under a policy.
 *
 * sequences  packed prompts and responses, n of them; must outlive the tape
 * returns    [n], nats: sum over the response's tokens of log π(token | everything before)
 *
 * Differentiable in the policy's parameters by rg_backward, which adds to
 * policy->parameters->gradient. On a second-order tape also to second order, and by
 * rg_gradients. */
RgTensor *rg_policy_logprob(RgTape *tape, RgPolicy *policy, const RgSequences *sequences);

/* Their sum, a scalar: the objective of maximum likelihood, at a lower cost. */
RgTensor *rg_policy_log_likelihood(RgTape *tape, RgPolicy *policy, const RgSequences *sequences);

/* Log-probabilities of the responses' tokens, or the episodes' actions, in a row: [all steps]. */
RgTensor *rg_policy_step_logprob(RgTape *tape, RgPolicy *policy, const RgSequences *sequences);

/* Runs any pass over a policy's sequences with the signature of the kinds' `logprob` and
 * `features`. The pass is recorded, its outputs are in a row, and it has the precision of
 * training. */
typedef RgTensor *(*RgForward)(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                               const RgSequences *sequences);
RgTensor *rg_policy_run(RgTape *tape, RgPolicy *policy, RgForward forward,
                        const RgSequences *sequences);
/* The same as plain numbers in fp32, not recorded: out [n, width]. */
void rg_policy_run_values(RgPolicy *policy, RgForward forward, const RgSequences *sequences,
                          int64_t width, RgReal *out);

/* Log-probabilities as plain numbers, not recorded: logprob [n]. The first is in fp32, like
 * sampling. The second has the precision of training, for a reference with the same rounding as the
 * trained policy. */
void rg_policy_logprob_values(RgPolicy *policy, const RgSequences *sequences, double *logprob);
void rg_policy_training_values(RgPolicy *policy, const RgSequences *sequences, double *logprob);
/* Those of rg_policy_step_logprob, in the precision of training: logprob [all steps]. */
void rg_policy_step_values(RgPolicy *policy, const RgSequences *sequences, double *logprob);
/* Features of what is known before each step, in that precision: [all steps,
 * state_feature_count]. */
void rg_policy_state_values(RgPolicy *policy, const RgSequences *sequences, RgReal *features);
/* Number of steps of sequence i. */
int64_t rg_policy_steps(const RgPolicy *policy, const RgSequences *sequences, int64_t i);

/* The log-probabilities of a pair, and the cost of computing them. */
typedef struct RgPairValues {
    double logprob[2]; /* of the first and the second response */
    double flops;
    double seconds;
} RgPairValues;

/* Log-probabilities of pairs (sequences 2i and 2i+1), in the precision of training: values [count /
 * 2]. Every pair has a pass of its own, so its values are the same bits in any batch, and the
 * threads share the pairs. The `seconds` add up to the elapsed time, split by FLOPs. The cost is
 * reported only here and not added to *policy->flops, because a cache returns it with the values,
 * too. */
void rg_policy_pair_values(RgPolicy *policy, const RgSequences *sequences, RgPairValues *values);

/* A digest of everything that decides these values, except the program and the machine: kind,
 * dimensions, weights with their adapter, precisions. */
RgDigest rg_policy_digest(const RgPolicy *policy);

/* Number of tokens of all responses; for episodes, of steps. */
int64_t rg_policy_count_tokens(const RgPolicy *policy, const RgSequences *sequences);

/* Features of each sequence, as plain numbers: features [n, rg_policy_feature_count]. */
void rg_policy_features(RgPolicy *policy, const RgSequences *sequences, double *features);
int64_t rg_policy_feature_count(const RgPolicy *policy);

/* Samples `copies` responses for each prompt. `out` is cleared and receives prompts->count · copies
 * sequences, with the copies of a prompt in a row. The random numbers of sequence i depend only on
 * (random, i), not on its neighbours in the batch. If `logprob` [prompts->count · copies] is not
 * NULL, it receives each response's log-probability under the policy (at temperature 1, over all
 * tokens). This is free, unless sampling is in bf16: then it takes a pass over the responses in
 * fp32. */
void rg_policy_sample(RgPolicy *policy, const RgSequences *prompts, int64_t copies,
                      const RgSampling *sampling, RgRandom random, RgSequences *out,
                      double *logprob);

/* The kind of this name; NULL if there is none. */
const RgPolicyType *rg_policy_type(const char *name);
/* Refuses an incomplete descriptor: RG_E_USAGE, with its name. */
RgStatus rg_policy_type_check(const RgPolicyType *type, RgError *error);
/* Adds a kind of a plug-in, which is checked and then borrowed forever. */
RgStatus rg_policy_type_register(const RgPolicyType *type, RgError *error);

#endif
