/* SPDX-License-Identifier: MIT */
/* What an algorithm is: one file that fills in one descriptor.
 *
 * What tells the methods apart is data here, not control flow: a recipe says where responses come
 * from and who labels them. The trainer (algorithms/training/trainer.h) makes the batch
 * accordingly, takes its log-probabilities under policy and reference, and asks the algorithm for
 * one scalar loss:
 *
 *     static void dpo_recipe(const void *options, RgRecipe *recipe) {
 *         recipe->responses = recipe->preferences = RG_FROM_DATASET;
 *         recipe->beta = ((const DpoOptions *)options)->beta;
 *     }
 *
 *     static RgTensor *dpo_loss(RgStep *step, const void *options, const RgBatch *batch) {
 *         const DpoOptions *o = options;
 *         RgTape *t = step->tape;
 *         return rg_negate(t, rg_mean(t, rg_preference_fit(t, batch, o->beta)));
 *     }
 *
 * A loss may have a state of its own and parameters of its own (a value network, algorithms/ppo.c).
 * An algorithm that is not a loss of one batch per step (a bilevel one) brings `step` instead.
 * See doc/adding-an-algorithm.md. */
#ifndef RG_ALGORITHMS_ALGORITHM_H
#define RG_ALGORITHMS_ALGORITHM_H

#include "core/options.h"
#include "core/policy/policy.h"
#include "core/registry.h"
#include "core/task/task.h"
#include "core/train/checkpoint.h"
#include "core/train/meter.h"
#include "core/train/optimizer.h"

/* ---- the recipe: what a step draws ---- */

typedef enum RgSource {
    RG_FROM_NOWHERE, /* not used by this algorithm */
    RG_FROM_DATASET,
    RG_FROM_POLICY,
    RG_FROM_JUDGE,
    RG_FROM_REFERENCE,
    RG_FROM_MIXTURE, /* the geometric mixture of policy and reference */
    RG_FROM_OTHERS,  /* the responses of the batch's next pair, to this pair's prompt */
} RgSource;

/* What a step draws, with the options that it is given. Whatever draws, checks, plans, limits or
 * shows a method reads it (algorithms/training/recipe.h). All is 0 but what a comment says. */
typedef struct RgRecipe {
    RgSource responses; /* all of a group, or the first of a pair, or demonstrations */
    RgSource opponents; /* the second of a pair; RG_FROM_NOWHERE: it is from where the first is */
    /* Who labels pairs, or ranks groups. RG_FROM_NOWHERE beside opponents: the first is preferred;
     * beside neither: the responses are demonstrations. */
    RgSource preferences;
    int64_t group; /* k responses to each prompt, of the policy, in place of pairs; 0: none */
    /* A third response to each prompt of pairs: of RG_FROM_POLICY, RG_FROM_REFERENCE or
     * RG_FROM_OTHERS, through which no gradient goes. */
    RgSource third;
    bool third_competes; /* on-policy pairs are the best and the worst, by the judge, of three */
    bool third_chosen;   /* RG_FROM_OTHERS is the next pair's chosen response alone; else both */
    double on_policy;    /* 1. Share of pairs that are from `responses` and `preferences`, the
                            rest being offline data */
    double beta;  /* 0.1. β of the policy's own labels, and of implicit rewards in the log */
    bool rewards; /* the judge has to give rewards: one that only compares is refused */
    bool reference_free;      /* log π_ref is not asked for, and counts as 0 */
    bool couples;             /* the loss is no mean of terms that depend on one prompt each (or one
                                 token of demonstrations), so that a batch cannot be cut in parts */
    bool steps;               /* log-probabilities of single steps (tokens, actions) besides */
    bool features;            /* of each of these steps, what the reference knows before it */
    double reference_share;   /* of the reference in RG_FROM_MIXTURE */
    double third_temperature; /* −1, that of training: at which the third response is sampled */
    int64_t reference_steps;  /* after which the policy becomes the reference; 0: never */
    int64_t sampler_steps;    /* 1. Responses are sampled by the policy of every so many steps,
                                 semi-online (arXiv:2506.21495); 0: by the one of the start */
    int64_t best_of; /* responses of an evaluation are the best, by the judge, of so many; 0 or 1:
                        the policy's own */
    int64_t epochs;  /* 1. Steps of the optimiser on one batch */
} RgRecipe;

/* The option of methods that sample from the policy which their recipe's sampler_steps is. */
#define RG_SAMPLER_STEPS(type, fallback)                                                           \
    RG_OPTION_INTEGER(type, sampler_steps, fallback, 0, 1e9,                                       \
                      "steps after which the policy that responses are sampled by is brought up "  \
                      "to date; 1: online; more: semi-online (arXiv:2506.21495); 0: never, all "   \
                      "are of the policy of the start")

/* Whether a batch is made of pairs; else of groups, or of demonstrations. */
static inline bool rg_recipe_takes_pairs(const RgRecipe *r) {
    return r->group == 0 && (r->preferences != RG_FROM_NOWHERE || r->opponents != RG_FROM_NOWHERE);
}

/* ---- work: what a step of a method's own costs ---- */

/* What is done with responses. Those of the policy's and the reference's passes are of the prompts'
 * own tokens besides. */
typedef enum RgWorkKind {
    RG_WORK_SAMPLED,    /* drawn from the policy */
    RG_WORK_JUDGED,     /* by the judge */
    RG_WORK_TRAINED,    /* log π_θ and its gradient */
    RG_WORK_SCORED,     /* log π_θ without one */
    RG_WORK_REFERENCED, /* log π_ref */
    RG_WORK_STATES,     /* what the reference knows before each step: rg_policy_state_values */
    RG_WORK_FEATURES,   /* the reference's features of them: rg_policy_features */
    RG_WORK_LINEARISED, /* log π_θ and its gradient, recorded for second derivatives … */
    RG_WORK_CURVATURE,  /* … and a product of a Hessian, also a mixed one, with a vector there */
    RG_WORK_KINDS,
} RgWorkKind;

/* Of `create`, or of a step. Responses are counted as long as they may be. */
typedef struct RgWork {
    struct RgWorkItem {
        RgWorkKind kind;
        int64_t prompts, copies; /* `copies` responses to each prompt, at a time … */
        double times;            /* … so often */
    } item[16];
    int count;
    double flops;   /* of the method's own networks */
    double numbers; /* RgReal that it holds meanwhile, beside what all methods do */
    bool at_most;   /* how often things are done hangs on what is found on the way: these are the
                       most that may be */
} RgWork;

/* `times` may be 0, which adds nothing. */
void rg_work_add(RgWork *work, RgWorkKind kind, double times, int64_t prompts, int64_t copies);
/* Responses of one kind in all. */
double rg_work_responses(const RgWork *work, RgWorkKind kind);

/* What work hangs on besides a method's options. */
typedef struct RgWorkTerms {
    int64_t batch;      /* prompts, as training.batch */
    int64_t steps;      /* of a response at most: tokens, of an episode actions */
    int64_t features;   /* of a response, or before a step, under the reference */
    int64_t parameters; /* that are trained */
    int64_t enumerated; /* responses that there are in all, where they can be listed; else 0 */
    bool mdp;           /* the task is an MDP that is known */
} RgWorkTerms;

/* ---- the batch: what a loss sees ---- */

/* One response to each prompt. All but `logprob` and `log_ratio` are constant. */
typedef struct RgSide {
    RgTensor *logprob;   /* [prompts] log π_θ(y|x), differentiable */
    RgTensor *reference; /* [prompts] log π_ref(y|x); 0 where the method has no reference */
    RgTensor *log_ratio; /* [prompts] their difference h(y) */
    RgTensor *length;    /* [prompts] tokens of y; of an episode, steps; at least 1 */
} RgSide;

/* Single steps (tokens, of an episode actions) of all responses of a batch in a row. */
typedef struct RgSteps {
    int64_t count;
    const int64_t *offsets; /* [prompts·k + 1] where each response's steps begin, and all end */
    RgTensor *logprob;      /* [count] differentiable; those of a response sum up to its own */
    RgTensor *reference;    /* [count] */
    RgTensor *old;          /* [count] as RgBatch.old */
    /* [count, n] where the recipe asks for features: the reference's hidden state before each step,
     * of a process its state or what is observed of that; n is state_feature_count of the
     * reference. Constant, so that what is computed of it moves no policy. */
    RgTensor *features;
} RgSteps;

/* Pairs (k is 2), groups and demonstrations (k is 1). */
typedef struct RgBatch {
    int64_t prompts, k;
    int64_t response_limit; /* most tokens of a sampled response; of an episode, steps */
    RgTensor *logprob;    /* [prompts, k] log π_θ(y|x), differentiable; of a pair, the response of
                             `responses` first, that of `opponents` second */
    RgTensor *reference;  /* [prompts, k] log π_ref(y|x); 0 where the method has no reference */
    RgTensor *log_ratio;  /* [prompts, k] their difference h(y), differentiable */
    RgTensor *old;        /* [prompts, k] log π(y|x) when this step began: what `logprob` is in the
                             first epoch, constant */
    RgTensor *length;     /* [prompts, k] tokens of y; of an episode, steps; at least 1 */
    const int32_t *order; /* [prompts, k] the best response first, as preferred or ranked */
    RgTensor *on_policy;  /* [prompts] 1 where the responses and labels are of the algorithm's own
                             distribution, 0 where they are offline data */
    RgTensor *reward;     /* [prompts, k] of groups, by the judge; NULL where it only compares */
    const double *judged; /* [prompts, k] `reward` as the judge gave it, for sums in double */
    RgTensor *win_rate;   /* [prompts, k] beside rewards: mean over the other responses y' of the
                             probability P(y ≻ y') that the judge prefers y */
    RgSide chosen, rejected; /* of pairs: first and last of `order` */
    RgSide third;            /* where the recipe has one; of RG_FROM_OTHERS both, [2·prompts] */
    RgSteps steps;           /* where the recipe asks for them */
    /* Demonstrations have these instead. */
    RgTensor *log_likelihood; /* of all of them, a scalar */
    int64_t response_tokens;  /* in them */
} RgBatch;

/* Δ = h(y_w) − h(y_l), [pairs]. */
RgTensor *rg_log_ratio_margin(RgTape *tape, const RgBatch *batch);
/* F = log σ(β·Δ), [pairs]: the log-likelihood of the labels under the policy's implicit reward. */
RgTensor *rg_preference_fit(RgTape *tape, const RgBatch *batch, double beta);
/* log π(y)/|y|, [pairs]. */
RgTensor *rg_mean_logprob(RgTape *tape, const RgSide *side);
/* Column `place` of x [prompts, k]: [prompts]. */
RgTensor *rg_response_at(RgTape *tape, RgTensor *x, int64_t place);
/* 1 where the first of a pair is preferred, else 0: [pairs]. */
RgTensor *rg_first_preferred(RgTape *tape, const RgBatch *batch);
/* max(0, x), of any shape. */
RgTensor *rg_positive_part(RgTape *tape, RgTensor *x);
/* x held within [low, high], of any shape. */
RgTensor *rg_clip(RgTape *tape, RgTensor *x, double low, double high);

/* ---- the step ---- */

typedef struct RgTrainer RgTrainer;

enum { RG_STEP_METRICS = 16, RG_METRIC_NAME = 32 };

/* The step of which a loss is asked for. */
typedef struct RgStep {
    RgTape *tape;         /* on which the loss is to be */
    int64_t number;       /* of the trial's steps, from 0 */
    int64_t epoch;        /* pass over the step's batch, from 0 */
    RgRandom random;      /* the step's own: rg_random_named gives a stream of it */
    void *state;          /* the algorithm's own, of `create`; NULL: none */
    const void *prepared; /* what `prepare` has returned for this batch; NULL: nothing */
    /* What the loss logs, as sums over the parts of a batch: see rg_step_metric. */
    int metric_count, next_metric, parts;
    const char *metric[RG_STEP_METRICS];
    double sum[RG_STEP_METRICS];
    double share;      /* of the part at hand in all that is logged */
    const char *fault; /* how rg_step_metric was misused, which fails the step; or NULL */
} RgStep;

/* Log a mean over the batch that the loss was given, such as a clip fraction, beside the trainer's
 * own metrics of the step. A batch that is cut into parts is logged as the mean over these, weighed
 * by their sizes; several epochs as the mean over them. Whenever it is called, a loss logs the same
 * names in the same order, each once, RG_STEP_METRICS at most, and none that the trainer logs
 * itself ("loss", "kl", …). `name`, borrowed, is of 1 to RG_METRIC_NAME − 1 letters, digits and
 * "_-./". What is amiss with that fails the step with a message. */
void rg_step_metric(RgStep *step, const char *name, double value);

/* ---- the descriptor ---- */

typedef struct RgAlgorithm {
    RgDescriptor about;

    /* Fill in what a step draws with these options; the recipe comes with what is said above of
     * each field. Required, but of methods that neither train nor draw. */
    void (*recipe)(const void *options, RgRecipe *recipe);

    /* Either a loss: a scalar, and a mean of terms that depend on one prompt each unless the recipe
     * says otherwise … */
    RgTensor *(*loss)(RgStep *step, const void *options, const RgBatch *batch);
    /* and optionally, once for each batch before the first epoch, what the loss has to know of the
     * whole of it, such as advantages. In `batch` the policy's log-probabilities are constants,
     * those that become `old`; nothing is recorded, and nothing logged. What it returns is
     * step->prepared in every epoch: that and its tensors belong on step->tape (rg_tape_arena),
     * where they stay until the batch is done with. For recipes that couple. */
    const void *(*prepare)(RgStep *step, const void *options, const RgBatch *batch);

    /* … or a step of its own. A trial that has diverged ends when `step` says so by
     * rg_trainer_diverged; an error is what the judge failed with. */
    RgStatus (*step)(RgTrainer *trainer, const void *options, void *state, RgError *error);

    /* The state of either, if it has one: a loss finds it in step->state, and changes nothing in it
     * but parameters that `create` hands to the trainer (rg_trainer_own). What `create` computes is
     * charged like a step. */
    RgStatus (*create)(RgTrainer *trainer, const void *options, void **state, RgError *error);
    void (*destroy)(void *state);
    /* The arrays of `state` that a checkpoint holds: named parameters and optimisers. */
    void (*checkpoint)(void *state, RgCheckpoint *checkpoint);
    /* What `create` and a step do, for plans, budgets and `regatta show`, which of a loss read the
     * recipe. Both come zeroed. False: it cannot be told with these options. NULL: nothing is told
     * of it. */
    bool (*work)(const void *options, const RgWorkTerms *terms, RgWork *create, RgWork *step);
} RgAlgorithm;

/* By number, NULL after the last; and by name, NULL if there is none. */
const RgAlgorithm *rg_algorithm(int i);
const RgAlgorithm *rg_algorithm_find(const char *name);

/* Refuse a descriptor that lacks what its other fields call for: RG_E_USAGE, with its name. */
RgStatus rg_algorithm_check(const RgAlgorithm *algorithm, RgError *error);
/* Add one, of a plug-in: checked, and borrowed for good. */
RgStatus rg_algorithm_register(const RgAlgorithm *algorithm, RgError *error);

#endif
