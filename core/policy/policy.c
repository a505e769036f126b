/* What all kinds of policy share: life, batches cut into shards with their tapes, sampling in
 * parallel, checks. The kinds are elsewhere; files of weights are in policy_file.c. */
#include "core/policy/policy.h"

#include "core/tensor/blas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One shard of one call: what backward needs. */
typedef struct Shard {
    RgTape *tape;
    RgTensor *y; /* [last − first] on `tape` */
    int64_t first, last;
    double counted; /* of the tape's FLOPs, those that policy->flops has */
} Shard;

/* The shards of one call that is on a caller's tape. */
typedef struct ShardSet {
    struct ShardSet *next;
    Shard *shards;       /* [workers->count] */
    int64_t used;        /* shards of this call */
    const RgTape *owner; /* the caller's tape … */
    int64_t position;    /* … and the number of nodes before the call's */
    int64_t call;        /* tells this call from later ones with the same set */
    bool kept;           /* backward may still come */
} ShardSet;

/* Everything the shards of a policy work with. */
struct RgShards {
    int64_t count;
    RgParameters *parameters; /* [count] shallow copies with gradient buffers of their own */
    ShardSet *sets;
    int64_t calls;
};

typedef RgTensor *(*ShardForward)(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                                  const RgSequences *sequences);

/* ---- workers ---- */

static struct RgShards *workers_create(int64_t count) {
    struct RgShards *workers = rg_allocate(sizeof *workers);
    workers->count = count;
    workers->parameters = rg_allocate((size_t)count * sizeof *workers->parameters);
    return workers;
}

static void workers_destroy(struct RgShards *workers) {
    if (!workers)
        return;
    for (ShardSet *set = workers->sets, *next; set; set = next) {
        next = set->next;
        for (int64_t s = 0; s < workers->count; s++)
            rg_tape_destroy(set->shards[s].tape);
        free(set->shards);
        free(set);
    }
    for (int64_t s = 0; s < workers->count; s++)
        free(workers->parameters[s].gradient);
    free(workers->parameters);
    free(workers);
}

/* The policy's workers, with shallow parameter copies that follow the policy's own. */
static struct RgShards *workers_of(RgPolicy *policy) {
    int64_t count = policy->shards > 0 ? policy->shards : RG_POLICY_SHARDS;
    if (policy->workers && policy->workers->count != count) {
        workers_destroy(policy->workers);
        policy->workers = NULL;
    }
    if (!policy->workers)
        policy->workers = workers_create(count);
    for (int64_t s = 0; s < count; s++) {
        RgParameters *copy = &policy->workers->parameters[s];
        RgReal *gradient = copy->gradient;
        *copy = *policy->parameters;
        if (!gradient && policy->parameters->gradient)
            gradient = rg_allocate((size_t)copy->count * sizeof *gradient);
        copy->gradient = gradient;
    }
    return policy->workers;
}

/* A set that no backward waits for; its tapes are empty. */
static ShardSet *take_set(struct RgShards *workers, const RgTape *caller) {
    int64_t position = caller ? rg_tape_mark(caller).nodes : 0;
    ShardSet *found = NULL;
    for (ShardSet *set = workers->sets; set; set = set->next) {
        if (set->kept && set->owner == caller && set->position >= position)
            set->kept = false; /* the caller's tape was reset or rewound since */
        if (!set->kept)
            found = set;
    }
    if (!found) {
        found = rg_allocate(sizeof *found);
        found->shards = rg_allocate((size_t)workers->count * sizeof *found->shards);
        for (int64_t s = 0; s < workers->count; s++)
            found->shards[s].tape = rg_tape_create();
        found->next = workers->sets;
        workers->sets = found;
    }
    for (int64_t s = 0; s < workers->count; s++)
        rg_tape_reset(found->shards[s].tape);
    found->owner = caller;
    found->position = position;
    found->call = ++workers->calls;
    return found;
}

/* ---- shards ---- */

/* First sequence of shard s, when n sequences are cut into `count` contiguous shards between
 * groups of `unit` neighbours (a pair, the copies of a prompt). */
static int64_t shard_start(int64_t n, int64_t unit, int64_t count, int64_t s) {
    int64_t units = (n + unit - 1) / unit, first = units * s / count * unit;
    return first < n ? first : n;
}

static int64_t shard_count(int64_t n, int64_t unit, int64_t most) {
    int64_t units = (n + unit - 1) / unit;
    return units < most ? units : most;
}

/* Sequences [first, last) as a batch of their own; offsets on `arena`, tokens shared. */
static RgSequences *view_of(RgArena *arena, const RgSequences *all, int64_t first, int64_t last) {
    RgSequences *view = rg_arena_allocate_zeroed(arena, sizeof *view);
    view->count = last - first;
    view->start = RG_ARENA_ARRAY(arena, int64_t, view->count + 1);
    for (int64_t i = 0; i <= view->count; i++)
        view->start[i] = all->start[first + i] - all->start[first];
    view->prompt_length = all->prompt_length + first;
    view->tokens = all->tokens + all->start[first];
    return view;
}

static void count_flops(RgPolicy *policy, ShardSet *set) {
    for (int64_t s = 0; s < set->used; s++) {
        double flops = rg_tape_flops(set->shards[s].tape);
        policy->flops += flops - set->shards[s].counted;
        set->shards[s].counted = flops;
    }
}

/* Run `forward` on every shard of `set`; record what backward needs if `keep`. */
static void run_forward(RgPolicy *policy, ShardSet *set, ShardForward forward,
                        const RgSequences *sequences, bool keep) {
    RgParameters *parameters = policy->workers->parameters;
    int64_t n = sequences->count, used = shard_count(n, 2, policy->workers->count);
    set->used = used;
    set->kept = keep;
#pragma omp parallel for num_threads(rg_threads()) schedule(dynamic)
    for (int64_t s = 0; s < used; s++) {
        Shard *shard = &set->shards[s];
        shard->first = shard_start(n, 2, used, s);
        shard->last = shard_start(n, 2, used, s + 1);
        RgSequences *view =
            view_of(rg_tape_arena(shard->tape), sequences, shard->first, shard->last);
        rg_tape_record(shard->tape, keep);
        shard->y = forward(policy, shard->tape, &parameters[s], view);
    }
    count_flops(policy, set);
}

/* The shards' gradient buffers of the last run_backward, added to the policy's own: for each
 * parameter in the order of the shards, whatever the threads. */
static void reduce_gradients(RgPolicy *policy, int64_t shards) {
    enum { BLOCK = 16384 };
    const RgParameters *parameters = policy->workers->parameters;
    int64_t count = policy->parameters->count;
#pragma omp parallel for num_threads(rg_threads()) schedule(static) if (count > BLOCK)
    for (int64_t start = 0; start < count; start += BLOCK) {
        int64_t size = count - start < BLOCK ? count - start : BLOCK;
        for (int64_t s = 0; s < shards; s++)
            rg_axpy(size, 1, parameters[s].gradient + start, policy->parameters->gradient + start);
    }
}

static void run_backward(RgPolicy *policy, ShardSet *set, RgTensor *dy) {
    RgParameters *parameters = policy->workers->parameters;
#pragma omp parallel for num_threads(rg_threads()) schedule(dynamic)
    for (int64_t s = 0; s < set->used; s++) {
        Shard *shard = &set->shards[s];
        memset(parameters[s].gradient, 0, (size_t)parameters[s].count * sizeof(RgReal));
        RgTensor *part =
            rg_borrow(shard->tape, RG_SHAPE(shard->last - shard->first), dy->data + shard->first);
        rg_backward_from(shard->tape, shard->y, part);
    }
    reduce_gradients(policy, set->used);
    count_flops(policy, set);
}

/* ---- log-probability as one operator ---- */

typedef struct Call {
    RgPolicy *policy;
    ShardSet *set;
    int64_t number;
} Call;

static void logprob_backward(RgTape *tape, RgTensor *y, RgTensor *dy) {
    (void)tape;
    Call *call = y->attributes;
    RG_ASSERT(call->set->call == call->number); /* the set was not given to a later call */
    RG_ASSERT(y->inputs[0]->sink); /* rg_gradients through a policy needs a second-order tape */
    run_backward(call->policy, call->set, dy);
    call->set->kept = false;
}

static const RgOperator logprob_operator = {"policy_logprob", logprob_backward, true};

RgTensor *rg_policy_logprob(RgTape *tape, RgPolicy *policy, const RgSequences *sequences) {
    if (rg_tape_is_second_order(tape))
        return policy->type->logprob(policy, tape, policy->parameters, sequences);

    struct RgShards *workers = workers_of(policy);
    ShardSet *set = take_set(workers, tape);
    Call *call = rg_arena_allocate(rg_tape_arena(tape), sizeof *call);
    *call = (Call){policy, set, set->call};
    /* The parameters enter as one leaf, which makes the node wait for a gradient; the gradient
     * itself goes from the shards straight into the parameters' buffer. */
    RgTensor *leaf = rg_parameter(tape, policy->parameters, 0);
    RgTensor *y = rg_tensor_new(tape, RG_SHAPE(sequences->count));
    y = rg_record(tape, &logprob_operator, y, &leaf, 1, call);
    run_forward(policy, set, policy->type->logprob, sequences, y->needs_gradient);
    for (int64_t s = 0; s < set->used; s++) {
        const Shard *shard = &set->shards[s];
        memcpy(y->data + shard->first, shard->y->data,
               (size_t)(shard->last - shard->first) * sizeof *y->data);
    }
    return y;
}

/* Rows of `width` numbers per sequence from shards that record nothing. */
static void run_values(RgPolicy *policy, ShardForward forward, const RgSequences *sequences,
                       int64_t width, double *out) {
    ShardSet *set = take_set(workers_of(policy), NULL);
    run_forward(policy, set, forward, sequences, false);
    for (int64_t s = 0; s < set->used; s++) {
        const Shard *shard = &set->shards[s];
        for (int64_t i = shard->first * width; i < shard->last * width; i++)
            out[i] = shard->y->data[i - shard->first * width];
        rg_tape_reset(shard->tape);
    }
}

void rg_policy_logprob_values(RgPolicy *policy, const RgSequences *sequences, double *logprob) {
    run_values(policy, policy->type->logprob, sequences, 1, logprob);
}

void rg_policy_features(RgPolicy *policy, const RgSequences *sequences, double *features) {
    run_values(policy, policy->type->features, sequences, rg_policy_feature_count(policy),
               features);
}

int64_t rg_policy_feature_count(const RgPolicy *policy) {
    return policy->type->feature_count(policy);
}

/* ---- sampling ---- */

void rg_policy_sample(RgPolicy *policy, const RgSequences *prompts, int64_t copies,
                      const RgSampling *sampling, RgRandom random, RgSequences *out) {
    RG_ASSERT(copies > 0 && sampling->response_limit > 0 && out != prompts);
    int64_t n = prompts->count * copies, limit = sampling->response_limit;
    RgSequences *repeated = rg_sequences_create();
    for (int64_t i = 0; i < n; i++)
        rg_sequences_append_from(repeated, prompts, i / copies, true);

    int64_t most = policy->shards > 0 ? policy->shards : RG_POLICY_SHARDS;
    int64_t shards = shard_count(n, copies, most);
    int32_t *tokens = rg_allocate((size_t)(n * limit + 1) * sizeof *tokens);
    int64_t *length = rg_allocate((size_t)(n + 1) * sizeof *length);
    double *flops = rg_allocate((size_t)(shards + 1) * sizeof *flops);
#pragma omp parallel for num_threads(rg_threads()) schedule(dynamic)
    for (int64_t s = 0; s < shards; s++) {
        int64_t first = shard_start(n, copies, shards, s);
        int64_t last = shard_start(n, copies, shards, s + 1);
        flops[s] = policy->type->sample(policy, repeated, first, last, sampling, random,
                                        tokens + first * limit, length + first);
    }

    rg_sequences_clear(out);
    for (int64_t i = 0; i < n; i++)
        rg_sequences_append(out, rg_sequence_prompt(repeated, i), repeated->prompt_length[i],
                            tokens + i * limit, length[i]);
    for (int64_t s = 0; s < shards; s++)
        policy->flops += flops[s];
    free(flops);
    free(length);
    free(tokens);
    rg_sequences_destroy(repeated);
}

/* ---- life ---- */

RgPolicy *rg_policy_new(const RgPolicyType *type) {
    RgPolicy *policy = rg_allocate(sizeof *policy);
    policy->type = type;
    policy->shards = RG_POLICY_SHARDS;
    policy->parameters = rg_parameters_create();
    return policy;
}

void rg_policy_destroy(RgPolicy *policy) {
    if (!policy)
        return;
    if (policy->state && !policy->shares_state)
        policy->type->destroy(policy);
    workers_destroy(policy->workers);
    rg_parameters_destroy(policy->parameters);
    free(policy);
}

RgPolicy *rg_policy_clone(const RgPolicy *policy, bool frozen) {
    RgPolicy *clone = rg_allocate(sizeof *clone);
    clone->type = policy->type;
    clone->parameters = rg_parameters_clone(policy->parameters, frozen);
    clone->state = policy->state;
    clone->shares_state = true;
    clone->shards = policy->shards;
    return clone;
}

static RgStatus unknown_kind(const char *kind, RgError *error) {
    const char *names[16] = {NULL};
    for (int i = 0; rg_policy_types[i] && i < 15; i++)
        names[i] = rg_policy_types[i]->name;
    const char *nearest = rg_nearest_name(kind, names);
    return rg_fail(error, RG_E_USAGE, "no policy is called \"%s\"%s%s%s", kind,
                   nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                   nearest ? "\"?" : "");
}

RgStatus rg_policy_create(const char *kind, const RgSettings *settings, const char *path,
                          const RgPolicySpace *space, RgRandom random, RgPolicy **policy,
                          RgError *error) {
    *policy = NULL;
    const RgPolicyType *type = rg_policy_type(kind);
    if (!type)
        return unknown_kind(kind, error);
    void *options = rg_allocate(type->options_size + 1);
    RgPolicy *new = rg_policy_new(type);
    RgStatus status = rg_options_read(type->options, settings, path, options, error);
    if (status == RG_OK)
        status = type->create(new, options, space, random, error);
    free(options);
    if (status != RG_OK) {
        rg_policy_destroy(new);
        return status;
    }
    *policy = new;
    return RG_OK;
}

/* ---- checks ---- */

static RgStatus check_tokens(const RgPolicy *policy, const RgSequences *s, int64_t i,
                             const char *what, RgError *error) {
    for (int64_t k = 0; k < rg_sequence_length(s, i); k++) {
        bool in_response = k >= s->prompt_length[i];
        int32_t token = s->tokens[s->start[i] + k];
        int64_t bound = policy->type->vocabulary(policy, in_response);
        if (token < 0 || token >= bound)
            return rg_fail(error, RG_E_RANGE,
                           "%s: sequence %lld has token %d in its %s, and the policy knows 0 to "
                           "%lld there",
                           what, (long long)i, (int)token, in_response ? "response" : "prompt",
                           (long long)bound - 1);
    }
    return RG_OK;
}

RgStatus rg_policy_check(const RgPolicy *policy, const RgSequences *s, const char *what,
                         RgError *error) {
    int64_t limit = policy->type->context_limit ? policy->type->context_limit(policy) : 0;
    for (int64_t i = 0; i < s->count; i++) {
        if (limit > 0 && rg_sequence_length(s, i) > limit)
            return rg_fail(error, RG_E_CONTEXT,
                           "%s: sequence %lld has %lld tokens, and the policy's context is %lld",
                           what, (long long)i, (long long)rg_sequence_length(s, i),
                           (long long)limit);
        if (policy->type->vocabulary)
            RG_TRY(check_tokens(policy, s, i, what, error));
    }
    return RG_OK;
}
