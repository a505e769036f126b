/* SPDX-License-Identifier: MIT */
/* The interface of an algorithm: one file that fills in one descriptor.
 *
 * Methods differ in data, not in control flow: a recipe states where responses come from and who
 * labels them. The trainer (algorithms/training/trainer.h) makes the batch accordingly, computes
 * its log-probabilities under policy and reference, and calls the algorithm's function for one
 * scalar loss:
 *
 *     static void dpo_recipe(const void *options, RgRecipe *recipe) {
 *         recipe->responses = recipe->preferences = RG_FROM_DATASET;
 *         recipe->beta = ((const DpoOptions *)options)->beta;
 *     }
 *
 *     static RgTensor *dpo_loss(RgStep *step, const void *options, const RgBatch *batch) {
 *         const DpoOptions *o = options;
 *         RgTape *t = step->tape;
 *         return rg_negate(t, rg_batch_mean(step, batch, rg_preference_fit(t, batch, o->beta)));
 *     }
 *
 * A loss may have its own state and its own parameters (a value network, algorithms/ppo.c). An
 * algorithm that is not a loss of one batch per step (a bilevel one) defines `step` instead.
 * See doc/adding-an-algorithm.md.
 *
 * Threads: the thread that runs the trial calls all functions of an algorithm, one at a time. */
#ifndef RG_ALGORITHMS_ALGORITHM_H
#define RG_ALGORITHMS_ALGORITHM_H

#include "core/options.h"
#include "core/policy/policy.h"
#include "core/registry.h"
#include "core/task/task.h"
#include "core/train/checkpoint.h"
#include "core/train/meter.h"
#include "core/train/optimizer.h"

/* ---- the recipe: what a step samples ---- */

typedef enum RgSource {
    RG_FROM_NOWHERE, /* not used by this algorithm */
    RG_FROM_DATASET,
    RG_FROM_POLICY,
    RG_FROM_JUDGE,
    RG_FROM_REFERENCE,
    RG_FROM_MIXTURE, /* the geometric mixture of policy and reference */
    RG_FROM_OTHERS,  /* the responses of the batch's next pair, to this pair's prompt; likewise of
                        single responses */
} RgSource;

/* How the two responses of a pair are drawn: independently, or by a distribution over all pairs of
 * enumerated responses (algorithms/training/pair_sampler.h). */
typedef enum RgPairSampler {
    RG_PAIRS_INDEPENDENT,
    RG_PAIRS_UNIFORM,
    RG_PAIRS_REWARD_MATCHED,
    RG_PAIRS_POLICY_MATCHED,
    RG_PAIRS_POLICY_MATCHED_CLIPPED,
} RgPairSampler;

/* Terms that losses share, all off by default. The trainer applies them to every loss that its
 * recipe names them for: a method includes their options and hands them to its recipe.
 *
 *     typedef struct Options { double beta; RgSharedTerms shared; } Options;
 *     RG_OPTION_INCLUDE(Options, shared, rg_shared_options),     in the table of options
 *     recipe->shared = o->shared;                                in `recipe`
 *
 * The implicit reward of a response, of which a loss sees log_ratio = r/β, becomes
 *
 *     r(y) = β·h(y)/n + α·|y| − [y = y_w]·β·λ·max(0, −h(y_w)/n),   n = |y| or 1
 *
 * and the loss L − c·E[ log π(y_w)/m ], m = |y_w| or 1. |y| are tokens; of an episode, steps. */
typedef struct RgSharedTerms {
    double sft_coefficient; /* c (arXiv:2404.19733, RPO), of pairs */
    int sft_logprob;        /* RG_SFT_MEAN: m = |y_w|; RG_SFT_SUM: m = 1 */
    bool length_normalisation;
    double length_coefficient; /* α (arXiv:2403.19159, R-DPO) */
    double dpop_coefficient;   /* λ (arXiv:2402.13228, DPOP) */
    /* A reference that follows the policy (arXiv:2404.09656, TR-DPO): every `reference_steps` (0:
     * never) its weights become u·policy + (1 − u)·reference, u = `reference_update`. */
    int64_t reference_steps;
    double reference_update; /* 0 counts as 1, so that the policy becomes the reference */
} RgSharedTerms;

enum { RG_SFT_MEAN, RG_SFT_SUM };

/* Their options: all, or those that make sense for a method. Length and DPOP act on log_ratio, and
 * DPOP and a moving reference need a reference. A table may include several. */
extern const RgOption rg_shared_options[];
extern const RgOption rg_sft_options[], rg_sft_logprob_option[], rg_length_options[],
    rg_length_coefficient_option[], rg_dpop_option[], rg_moving_reference_options[];

/* What a step samples, for given options. All code that samples, checks, plans, limits or shows a
 * method reads it (algorithms/training/recipe.h). Defaults are 0 unless a comment begins with
 * another number. */
typedef struct RgRecipe {
    RgSource responses; /* all of a group, or the first of a pair, or demonstrations */
    RgSource opponents; /* the second of a pair; RG_FROM_NOWHERE or RG_FROM_POLICY: the same source
                           as the first */
    /* Who labels pairs, or ranks groups. RG_FROM_NOWHERE with opponents: the first is preferred;
     * RG_FROM_NOWHERE without opponents: the responses are demonstrations, or with a group nobody
     * ranks it. */
    RgSource preferences;
    RgPairSampler pair_sampler; /* of pairs from the policy */
    bool matched_weights;       /* the loss of these pairs keeps the unnormalised weights */
    /* Pairs from the policy are the best and the worst of so many of its responses, by the judge's
     * rewards; 0 to 2: the two that were drawn, as the judge labels them. */
    int64_t candidates;
    int64_t group; /* k responses of the policy to each prompt instead of pairs; 0: none */
    /* Single responses of the data set, each with a label of its own, instead of pairs:
     * RgBatch.desirable. Responses and preferences are RG_FROM_DATASET. */
    bool single;
    /* Source of a third response to the prompt of each pair: RG_FROM_POLICY, RG_FROM_REFERENCE or
     * RG_FROM_OTHERS. It has no gradient. */
    RgSource third;
    bool third_competes; /* on-policy pairs are the best and the worst of three, by the judge */
    bool third_chosen;   /* RG_FROM_OTHERS is only the next pair's chosen response; else both */
    /* Source of one further response to the prompt of each pair, a rival that the judge compares both
     * responses with: RgBatch.win_rate. It is no part of the loss otherwise. RG_FROM_POLICY,
     * RG_FROM_REFERENCE or RG_FROM_MIXTURE. */
    RgSource rivals;
    /* The first of two epochs leads to a half point by a plain gradient step, where rivals are
     * sampled anew. The second takes its gradient with them, and moves from where the step began
     * (extragradient). */
    bool extragradient;
    double on_policy; /* 1. Share of pairs from `responses` and `preferences`; the rest is
                            offline data */
    double beta;      /* 0.1. β of the policy's own labels, and of implicit rewards in the log */
    bool rewards;     /* the judge has to give rewards: a judge that only compares is refused */
    bool reference_free;    /* log π_ref is not computed, and counts as 0 */
    bool couples;           /* the loss is not a mean of terms that depend on one prompt each (or
                                 one token of demonstrations): a batch cannot be split */
    bool owns;              /* trains parameters besides the policy's (rg_trainer_own): no shards */
    bool steps;             /* also log-probabilities of single steps (tokens, actions) */
    bool features;          /* also the reference's features before each of these steps */
    double reference_share; /* of the reference in RG_FROM_MIXTURE */
    double third_temperature; /* −1: that of training. Sampling temperature of the third response */
    RgSharedTerms shared;
    bool other_margin;     /* the loss reads no log_ratio: terms that change it are refused */
    int64_t sampler_steps; /* 1. Steps after which the sampling policy is updated: semi-online
                                 (arXiv:2506.21495); 0: never, the initial policy samples */
    int64_t best_of; /* responses of an evaluation are the best of this many, by the judge; 0 or 1:
                        the policy's own */
    int64_t epochs;  /* 1. Optimiser steps on one batch */
} RgRecipe;

/* The option of methods that sample from the policy; it sets their recipe's sampler_steps. */
#define RG_SAMPLER_STEPS(type, fallback)                                                           \
    RG_OPTION_INTEGER(type, sampler_steps, fallback, 0, 1e9,                                       \
                      "steps after which the sampling policy is updated to the trained one; 1: "   \
                      "online; more: semi-online (arXiv:2506.21495); 0: never, all responses are " \
                      "sampled from the initial policy")

/* The options of methods that take pairs from the policy; they set the recipe's pair_sampler and
 * matched_weights. */
extern const char *const rg_pair_samplers[], *const rg_sampler_weights[];
#define RG_PAIR_SAMPLER(type)                                                                      \
    RG_OPTION_CHOICE(type, pair_sampler, "independent", rg_pair_samplers,                          \
                     "how the policy's pairs are drawn: independent responses; or, where "         \
                     "responses can be enumerated, from all pairs: uniform, or with the weight "   \
                     "2 + e^d + e^-d of a pair whose rewards differ by d, the judge's "            \
                     "(reward-matched) or the policy's implicit ones (policy-matched, also "       \
                     "clipped at the range of the judge's)",                                       \
                     .later = true),                                                               \
        RG_OPTION_CHOICE(type, sampler_weights, "normalised", rg_sampler_weights,                  \
                         "weights of pair_sampler in the loss: normalised, which sum to 1 in a "   \
                         "context; or matched, as they are: a step of 1 / (2 beta^2 responses) "   \
                         "then fits the loss's curvature",                                         \
                         .later = true)

/* The option of methods that can take the responses of the data set one by one; it sets their
 * recipe's single. */
#define RG_SINGLE(type)                                                                            \
    RG_OPTION_BOOLEAN(type, single, "false",                                                       \
                      "take the data set's responses one by one, with or without a counterpart, "  \
                      "in place of its pairs; a batch is then of so many responses",               \
                      .later = true)

/* The option of methods whose pairs come from the policy and are labelled by the judge; it sets
 * their recipe's candidates, and rewards where they are more than 2. */
#define RG_CANDIDATES(type)                                                                        \
    RG_OPTION_INTEGER(type, candidates, "2", 2, 1024,                                              \
                      "responses that are sampled to each prompt and judged, of which the best "   \
                      "and the worst are the pair; 2: both of two, as the judge labels them",      \
                      .later = true)

/* True: a batch consists of pairs; false: of groups, single responses or demonstrations. */
static inline bool rg_recipe_takes_pairs(const RgRecipe *r) {
    return r->group == 0 && !r->single &&
           (r->preferences != RG_FROM_NOWHERE || r->opponents != RG_FROM_NOWHERE);
}

/* ---- work: the cost of a method's own step ---- */

/* What is done with responses. The policy's and the reference's passes also cover the tokens of the
 * prompts. */
typedef enum RgWorkKind {
    RG_WORK_SAMPLED,    /* sampled from the policy */
    RG_WORK_JUDGED,     /* scored by the judge */
    RG_WORK_TRAINED,    /* log π_θ and its gradient */
    RG_WORK_SCORED,     /* log π_θ without its gradient */
    RG_WORK_REFERENCED, /* log π_ref */
    RG_WORK_STATES,     /* the reference's features before each step: rg_policy_state_values */
    RG_WORK_FEATURES,   /* the reference's features of responses: rg_policy_features */
    RG_WORK_LINEARISED, /* log π_θ and its gradient, recorded for second derivatives */
    RG_WORK_CURVATURE,  /* product of a (mixed) Hessian at a linearisation with a vector */
    RG_WORK_KINDS,
} RgWorkKind;

/* The work of `create`, or of a step. Responses count with their maximum length. */
typedef struct RgWork {
    struct RgWorkItem {
        RgWorkKind kind;
        int64_t prompts, copies; /* `copies` responses to each prompt, */
        double times;            /* repeated this often */
    } item[16];
    int count;
    double flops;   /* of the method's own networks */
    double numbers; /* count of RgReal held meanwhile, in addition to what all methods hold */
    bool at_most;   /* the amounts depend on intermediate results: these are upper bounds */
} RgWork;

/* Add an item. `times` of 0 adds nothing. */
void rg_work_add(RgWork *work, RgWorkKind kind, double times, int64_t prompts, int64_t copies);
/* Number of responses of one kind in all items. */
double rg_work_responses(const RgWork *work, RgWorkKind kind);

/* What the work depends on besides a method's options. */
typedef struct RgWorkTerms {
    int64_t batch;      /* prompts, as training.batch */
    int64_t steps;      /* most tokens of a response; most actions of an episode */
    int64_t features;   /* of a response, or before a step, under the reference */
    int64_t parameters; /* number of trained parameters */
    int64_t enumerated; /* number of all responses if they can be enumerated; else 0 */
    bool mdp;           /* the task is a known MDP */
} RgWorkTerms;

/* ---- the batch: input of a loss ---- */

/* One response to each prompt. All but `logprob` and `log_ratio` are constant. */
typedef struct RgSide {
    RgTensor *logprob;   /* [prompts] log π_θ(y|x), differentiable */
    RgTensor *reference; /* [prompts] log π_ref(y|x); 0 if the method has no reference */
    RgTensor *log_ratio; /* [prompts] h(y) = logprob − reference */
    RgTensor *length;    /* [prompts] tokens of y; for an episode, steps; at least 1 */
} RgSide;

/* Single steps (tokens, or actions of an episode) of all responses of a batch, concatenated. */
typedef struct RgSteps {
    int64_t count;
    const int64_t *offsets; /* [prompts·k + 1] first step of each response, then `count` */
    RgTensor *logprob;      /* [count] differentiable; the sum over a response is its own */
    RgTensor *reference;    /* [count] */
    RgTensor *old;          /* [count] as RgBatch.old */
    /* [count, n] if the recipe has `features`: the reference's hidden state before each step; for
     * an MDP, the state or its observation. n is state_feature_count of the reference. Constant:
     * no gradient reaches the policy through it. */
    RgTensor *features;
} RgSteps;

/* Pairs (k is 2), groups, and single responses and demonstrations (k is 1). */
typedef struct RgBatch {
    int64_t prompts, k;
    int64_t response_limit; /* most tokens of a sampled response; for an episode, steps */
    RgTensor *logprob;      /* [prompts, k] log π_θ(y|x), differentiable; for a pair, first the
                             response of `responses`, second that of `opponents` */
    RgTensor *reference;    /* [prompts, k] log π_ref(y|x); 0 if the method has no reference */
    RgTensor *log_ratio;    /* [prompts, k] h(y) = logprob − reference, differentiable */
    RgTensor *old;          /* [prompts, k] log π(y|x) at the start of this step: the values of
                             `logprob` in the first epoch, constant */
    RgTensor *length;       /* [prompts, k] tokens of y; for an episode, steps; at least 1 */
    const RgSequences *sequences; /* [prompts·k] the responses with their prompts */
    /* For pairs: [prompts] which of the task's offline pairs it is, −1 if it is none of them; NULL
     * if `exact`. */
    const int64_t *pair;
    const int32_t *order; /* [prompts, k] the best response first, as preferred or ranked */
    RgTensor *on_policy;  /* [prompts] 1: responses and labels have the algorithm's own
                             distribution; 0: offline data */
    /* [prompts] constant: weights of the prompts in the mean over the batch (rg_batch_mean), of
     * mean 1 unless the recipe has matched_weights; NULL: all are 1. */
    RgTensor *weight;
    bool exact;           /* the batch holds every possible pair, weighted by its probability */
    RgTensor *desirable;  /* [prompts] for single responses: 1 or, if undesirable, 0; else NULL */
    RgTensor *reward;     /* [prompts, k] for groups, by the judge; NULL if it only compares */
    const double *judged; /* [prompts, k] `reward` in double as given by the judge */
    RgTensor *win_rate;   /* [prompts, k] with rewards: mean over the other responses y' of the
                             probability P(y ≻ y') that the judge prefers y; with rivals: whether
                             it prefers y to its rival, 1 or 0 */
    RgSide chosen, rejected; /* for pairs: first and last of `order` */
    /* If the recipe has a third response: [prompts]; for RG_FROM_OTHERS both of a pair, [2·prompts],
     * or the next single response, [prompts];
     * if `exact` every response to every prompt, with the weight third_weight of mean 1 (else NULL)
     * that rg_third_mean takes. */
    RgSide third;
    RgTensor *third_weight;
    RgSteps steps; /* if the recipe has `steps` */
    /* Demonstrations have these members instead. */
    RgTensor *log_likelihood; /* of all of them, a scalar */
    int64_t response_tokens;  /* number of tokens in them */
} RgBatch;

typedef struct RgStep RgStep;

/* The mean over the batch that a loss is: of terms [prompts] or [prompts, k], a scalar, with the
 * batch's weights. A loss that takes its means by rg_mean can only be trained on samples. */
RgTensor *rg_batch_mean(RgStep *step, const RgBatch *batch, RgTensor *terms);

/* The mean of terms of the third responses, of the shape of batch->third.logprob: a scalar. */
RgTensor *rg_third_mean(RgTape *tape, const RgBatch *batch, RgTensor *terms);

/* Δ = h(y_w) − h(y_l), [pairs]. */
RgTensor *rg_log_ratio_margin(RgTape *tape, const RgBatch *batch);
/* F = log σ(β·Δ), [pairs]: the log-likelihood of the labels under the policy's implicit reward. */
RgTensor *rg_preference_fit(RgTape *tape, const RgBatch *batch, double beta);
/* For single responses, 1 where a response is desirable and −1 where it is not: [prompts]. */
RgTensor *rg_batch_signs(RgTape *tape, const RgBatch *batch);
/* log π(y)/|y|, [pairs]. */
RgTensor *rg_mean_logprob(RgTape *tape, const RgSide *side);
/* Column `place` of x [prompts, k]: [prompts]. */
RgTensor *rg_response_at(RgTape *tape, RgTensor *x, int64_t place);
/* 1 where the first of a pair is preferred, else 0: [pairs]. */
RgTensor *rg_first_preferred(RgTape *tape, const RgBatch *batch);
/* max(0, x), of any shape. */
RgTensor *rg_positive_part(RgTape *tape, RgTensor *x);
/* x clipped to [low, high], of any shape. */
RgTensor *rg_clip(RgTape *tape, RgTensor *x, double low, double high);

/* ---- the step ---- */

typedef struct RgTrainer RgTrainer;

enum { RG_STEP_METRICS = 16, RG_METRIC_NAME = 32, RG_LOSS_TERMS = 4 };

/* The step that a loss is computed for. */
struct RgStep {
    RgTape *tape;         /* the loss is recorded on it */
    int64_t number;       /* of the trial's steps, from 0 */
    int64_t epoch;        /* pass over the step's batch, from 0 */
    int term;             /* 0: the whole loss; i: its term of RgAlgorithm.terms[i − 1] alone */
    RgRandom random;      /* the step's own: rg_random_named gives a stream of it */
    void *state;          /* the algorithm's own, from `create`; NULL: none */
    const void *prepared; /* result of `prepare` for this batch; NULL: none */
    /* Metrics of the loss, as sums over the parts of a batch: see rg_step_metric. */
    int metric_count, next_metric, parts;
    const char *metric[RG_STEP_METRICS];
    double sum[RG_STEP_METRICS];
    double share;      /* weight of the current part in the sums */
    bool weighted;     /* the loss took its mean by rg_batch_mean */
    const char *fault; /* how rg_step_metric was misused, which fails the step; or NULL */
};

/* Log a mean over the batch that the loss was given, such as a clip fraction, next to the trainer's
 * own metrics of the step. For a batch in parts, the log holds the mean over the parts, weighted by
 * their sizes; for several epochs, the mean over the epochs.
 *
 * Every call of a loss logs the same names in the same order, each once, at most RG_STEP_METRICS,
 * and none of the trainer's own ("loss", "kl", …). `name` (borrowed) has 1 to RG_METRIC_NAME − 1
 * letters, digits and "_-./". A violation fails the step with a message. */
void rg_step_metric(RgStep *step, const char *name, double value);
/* In `finish`: the mean over the whole batch of a metric that the loss has logged, in the last
 * epoch. NaN: there is none of that name. */
double rg_step_mean(const RgStep *step, const char *name);

/* ---- the descriptor ---- */

typedef struct RgAlgorithm {
    RgDescriptor about;

    /* Fill in what a step samples with these options. The recipe comes with the defaults stated
     * at its fields. Required with a loss or a step. Without either it must set best_of: nothing
     * else of it would be used. */
    void (*recipe)(const void *options, RgRecipe *recipe);

    /* Either a loss: a scalar. Unless the recipe couples, it is a mean of terms that depend on one
     * prompt each. */
    RgTensor *(*loss)(RgStep *step, const void *options, const RgBatch *batch);
    /* Optional: names of the terms that the loss is a sum of, NULL-terminated, at most
     * RG_LOSS_TERMS. A loss with terms computes one of them alone if step->term asks for it, so
     * that evaluations may measure the gradient of each. */
    const char *const *terms;
    /* Optional, with a loss that couples: compute what the loss needs to know about the whole
     * batch, such as advantages. Called once per batch, before the first epoch. The policy's
     * log-probabilities in `batch` are constants, the values of `old`; nothing is recorded or
     * logged. The result becomes step->prepared in every epoch. Allocate it and its tensors on
     * step->tape (rg_tape_arena), where they live until the end of the batch. */
    const void *(*prepare)(RgStep *step, const void *options, const RgBatch *batch);
    /* Optional, with a loss: called after the last epoch of a step that was taken, with what
     * `prepare` found. It may change the algorithm's own state, such as an adapted coefficient. */
    void (*finish)(RgStep *step, const void *options);

    /* Or a step of its own. `step` reports a diverged trial by rg_trainer_diverged; the trial then
     * ends. It returns an error only if the judge fails. */
    RgStatus (*step)(RgTrainer *trainer, const void *options, void *state, RgError *error);

    /* Optional: refuse options that do not fit the task or the policy. Called before `create`, and
     * before the first step of the first trial of a run. The task may be pending then
     * (rg_task_has_pairs), and `policy` may have nothing but its type, unless that enumerates
     * responses or acts in a simulator. */
    RgStatus (*check)(const void *options, const RgTask *task, const RgPolicy *policy,
                      RgError *error);

    /* Create the state, if there is one. A loss finds it in step->state; only `finish` changes
     * anything in it, except parameters that `create` gave to the trainer (rg_trainer_own). The
     * computations of `create` are charged like those of a step. */
    RgStatus (*create)(RgTrainer *trainer, const void *options, void **state, RgError *error);
    void (*destroy)(void *state);
    /* List the arrays of `state` that a checkpoint holds: named parameters and optimisers. */
    void (*checkpoint)(void *state, RgCheckpoint *checkpoint);
    /* The work of `create` and of a step, for plans, budgets and `regatta show`; for a loss these
     * read the recipe. Both structs come zeroed. False: unknown for these options. NULL: always
     * unknown. */
    bool (*work)(const void *options, const RgWorkTerms *terms, RgWork *create, RgWork *step);
} RgAlgorithm;

/* The algorithm of an index, NULL after the last; that of a name, NULL if there is none. */
const RgAlgorithm *rg_algorithm(int i);
const RgAlgorithm *rg_algorithm_find(const char *name);

/* Refuse a descriptor that lacks what its other fields require: RG_E_USAGE, with its name. */
RgStatus rg_algorithm_check(const RgAlgorithm *algorithm, RgError *error);
/* Register an algorithm of a plug-in: checked, and borrowed until the program ends. */
RgStatus rg_algorithm_register(const RgAlgorithm *algorithm, RgError *error);

#endif
