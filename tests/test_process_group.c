/* SPDX-License-Identifier: MIT */
/* Teams: what their ranks exchange, and that a trial which they run together has the bits of one
 * that a process runs alone. */
#include "algorithms/training/trainer.h"
#include "core/policy/pair_cache.h"
#include "core/tensor/threads.h"
#include "core/train/gradient_sum.h"
#include "tests/forked_group.h"
#include "tests/token_race.h"

#include <math.h>

/* Processes are forked from one whose threads have not met yet. */
static void one_thread(void) {
    rg_threads_set(1);
}

TestSuite(process_group, .init = one_thread);

/* ---- exchanges ---- */

typedef struct Exchanged {
    uint64_t broadcast, gathered;
    bool all_true, all_but_last;
    RgStatus agreed, followed;
    char agreed_text[64], followed_text[64];
} Exchanged;

/* More than a block, and another number of bytes of each rank: of the second, none. */
static size_t part_bytes(int rank) {
    return rank == 1 ? 0 : RG_PROCESS_GROUP_BLOCK + 1000 * (size_t)rank + 1;
}

static uint64_t gather(RgProcessGroup *process_group) {
    size_t start[FORKED_MOST + 1] = {0};
    for (int q = 0; q < process_group->size; q++)
        start[q + 1] = start[q] + part_bytes(q);
    unsigned char *whole = rg_allocate(start[process_group->size], 1);
    for (size_t i = start[process_group->rank]; i < start[process_group->rank + 1]; i++)
        whole[i] = (unsigned char)(7 * i + i / 251);
    rg_process_group_gather_parts(process_group, whole, start);
    uint64_t hash = rg_hash(RG_HASH_START, whole, start[process_group->size]);
    free(whole);
    return hash;
}

static void exchange(RgProcessGroup *process_group, void *argument, void *result) {
    Exchanged *e = result;
    size_t size = 2 * RG_PROCESS_GROUP_BLOCK + 3;
    unsigned char *bytes = rg_allocate(size, 1);
    for (size_t i = 0; i < size && process_group->rank == 0; i++)
        bytes[i] = (unsigned char)(i % 253);
    rg_process_group_broadcast(process_group, bytes, size);
    e->broadcast = rg_hash(RG_HASH_START, bytes, size);
    free(bytes);
    e->gathered = gather(process_group);
    e->all_true = rg_process_group_all(process_group, true);
    e->all_but_last =
        rg_process_group_all(process_group, process_group->rank < process_group->size - 1);

    RgError error = {0};
    RgStatus status = RG_OK;
    if (process_group->rank > 0)
        status = rg_fail(&error, process_group->rank == 1 ? RG_E_FILE : RG_E_RANGE, "rank %d",
                         process_group->rank);
    e->agreed = rg_process_group_reduce_status(process_group, status, &error);
    memcpy(e->agreed_text, error.text, sizeof e->agreed_text);
    error.text[0] = '\0';
    status = process_group->rank == 0 ? rg_fail(&error, RG_E_JUDGE, "the first") : RG_OK;
    e->followed = rg_process_group_broadcast_status(process_group, status, &error);
    memcpy(e->followed_text, error.text, sizeof e->followed_text);
    (void)argument;
}

Test(process_group, ranks_exchange_what_they_have) {
    for (int size = 2; size <= 4; size++) {
        const Exchanged *e = forked_run(size, exchange, NULL, sizeof *e);
        size_t whole = 0, bytes = 2 * RG_PROCESS_GROUP_BLOCK + 3;
        for (int q = 0; q < size; q++)
            whole += part_bytes(q);
        unsigned char *expected = rg_allocate(bytes > whole ? bytes : whole, 1);
        for (size_t i = 0; i < bytes; i++)
            expected[i] = (unsigned char)(i % 253);
        uint64_t broadcast = rg_hash(RG_HASH_START, expected, bytes);
        for (size_t i = 0; i < whole; i++)
            expected[i] = (unsigned char)(7 * i + i / 251);
        uint64_t gathered = rg_hash(RG_HASH_START, expected, whole);
        free(expected);
        for (int q = 0; q < size; q++) {
            cr_expect_eq(e[q].broadcast, broadcast);
            cr_expect_eq(e[q].gathered, gathered);
            cr_expect(e[q].all_true && !e[q].all_but_last);
            cr_expect_eq(e[q].agreed, RG_E_FILE);
            cr_expect_str_eq(e[q].agreed_text, "rank 1");
            cr_expect_eq(e[q].followed, RG_E_JUDGE);
            cr_expect_str_eq(e[q].followed_text, "the first");
        }
    }
}

Test(process_group, of_one_exchanges_nothing) {
    RgError error = {0};
    double own = 3;
    rg_process_group_broadcast(NULL, &own, sizeof own);
    rg_process_group_gather(NULL, &own, sizeof own);
    cr_expect_eq(own, 3);
    cr_expect(rg_process_group_leads(NULL) && rg_process_group_size(NULL) == 1);
    cr_expect(rg_process_group_all(NULL, true) && !rg_process_group_all(NULL, false));
    cr_expect_eq(rg_process_group_reduce_status(NULL, RG_E_FILE, &error), RG_E_FILE);
    cr_expect_eq(rg_process_group_broadcast_status(NULL, RG_OK, &error), RG_OK);
}

/* ---- sums ---- */

enum { PARTS = 7 };

static RgReal part_number(int64_t part, int64_t i) {
    return (RgReal)((i * 7919 + part * 104729) % 1009 - 500) / 7;
}

static RgParameters *numbers(int64_t count) {
    RgParameters *p = rg_parameters_create();
    rg_parameters_declare(p, "numbers", 1, &count, false);
    rg_parameters_allocate(p);
    for (int64_t i = 0; i < count; i++)
        p->gradient[i] = (RgReal)i / 3;
    return p;
}

static void sum_parts(RgProcessGroup *process_group, void *argument, void *result) {
    const int64_t *count = argument;
    RgParameters *p = numbers(*count);
    RgGradientSum *sum = rg_gradient_sum_create(p, process_group);
    for (int again = 0; again < 2; again++) {
        rg_gradient_sum_begin(sum);
        for (int64_t first = 0; first < PARTS; first += process_group->size) {
            int64_t parts =
                first + process_group->size < PARTS ? process_group->size : PARTS - first;
            for (int64_t i = 0; i < *count && process_group->rank < parts; i++)
                p->gradient[i] += part_number(first + process_group->rank, i);
            rg_gradient_sum_add(sum, parts);
        }
        rg_gradient_sum_end(sum);
    }
    *(uint64_t *)result = rg_hash(RG_HASH_START, p->gradient, sizeof(RgReal) * (size_t)*count);
    rg_gradient_sum_destroy(sum);
    rg_parameters_destroy(p);
}

/* Fewer numbers than ranks; some; so many that a slice is no one block. */
Test(process_group, sums_gradients_in_the_order_of_the_parts) {
    int64_t counts[] = {3, 1000, 2 * RG_PROCESS_GROUP_BLOCK / (int64_t)sizeof(RgReal) + 5};
    for (int k = 0; k < 3; k++) {
        RgParameters *p = numbers(counts[k]);
        for (int again = 0; again < 2; again++)
            for (int64_t part = 0; part < PARTS; part++)
                for (int64_t i = 0; i < counts[k]; i++)
                    p->gradient[i] += part_number(part, i);
        uint64_t expected = rg_hash(RG_HASH_START, p->gradient, sizeof(RgReal) * (size_t)counts[k]);
        rg_parameters_destroy(p);
        for (int size = 1; size <= 5; size += k == 2 ? 3 : 1) {
            const uint64_t *hash = forked_run(size, sum_parts, &counts[k], sizeof *hash);
            for (int q = 0; q < size; q++)
                cr_expect_eq(hash[q], expected, "%ld numbers, rank %d of %d", (long)counts[k], q,
                             size);
        }
    }
}

/* ---- trials ---- */

enum { BATCH = 9, STEPS = 4 };

typedef struct Trial {
    const char *algorithm, *options; /* NULL: its defaults */
    const RgAdapterOptions *adapter;
    int64_t shards, micro_batch;
    int64_t answers; /* after which the judge fails; −1: never */
    int odd_rank;    /* draws other batches; 0: none does */
} Trial;

typedef struct Outcome {
    uint64_t weights, metrics;
    RgMeter meter;
    int64_t judged; /* how often the judge was asked here */
    RgStatus status;
    char text[160];
} Outcome;

static int64_t judged, answers;

/* The number of sevens. */
static RgStatus count_sevens(void *environment, const RgSequences *sequences, double *reward,
                             RgError *error) {
    (void)environment;
    if (judged++ == answers)
        return rg_fail(error, RG_E_JUDGE, "nobody counts");
    for (int64_t i = 0; i < sequences->count; i++) {
        const int32_t *response = rg_sequence_response(sequences, i);
        reward[i] = 0;
        for (int64_t j = 0; j < rg_sequence_response_length(sequences, i); j++)
            reward[i] += response[j] == 7;
    }
    return RG_OK;
}

/* A race whose judge gives rewards. */
static RgStatus begin(TokenRace *race, const Trial *trial, const RgTrainingOptions *training,
                      RgError *error) {
    const RgTrainingOptions any = {.batch = 1, .temperature = 1, .top_p = 1};
    RG_TRY(token_race_begin(race, "dpo", "", &any, trial->adapter, error));
    RgOptimizerOptions optimizer = race->trainer->optimizer->options;
    rg_trainer_destroy(race->trainer);
    free(race->options);
    race->task.judge = count_sevens;
    race->task.label_temperature = 1;
    const RgAlgorithm *algorithm = rg_algorithm_find(trial->algorithm);
    RgSettings *given = rg_settings_create();
    rg_small_race_set(given, "a", trial->options ? trial->options : "");
    race->options = rg_allocate(1, algorithm->about.options_size);
    RG_TRY(rg_options_read(algorithm->about.options, given, "a", race->options, error));
    rg_settings_destroy(given);
    return rg_trainer_create(algorithm, race->options, training, race->policy, race->reference,
                             &race->task, &optimizer, 0, rg_random_root(3), &race->trainer, error);
}

static void run_trial(RgProcessGroup *process_group, void *argument, void *result) {
    const Trial *trial = argument;
    Outcome *outcome = result;
    RgTrainingOptions training = {.batch = BATCH,
                                  .shards = trial->shards,
                                  .micro_batch = trial->micro_batch,
                                  .temperature = 1,
                                  .top_p = 1};
    TokenRace race;
    RgError error = {0};
    if (begin(&race, trial, &training, &error) != RG_OK)
        _exit(1);
    judged = 0;
    answers = trial->answers;
    race.task.process_group = process_group;
    if (trial->odd_rank > 0 && process_group->rank == trial->odd_rank)
        race.trainer->pairs.random = rg_random_root(99);
    outcome->metrics = RG_HASH_START;
    outcome->status = RG_OK;
    for (int i = 0; i < STEPS && outcome->status == RG_OK; i++) {
        outcome->status = rg_trainer_step(race.trainer, &error);
        for (int m = 0; m < race.trainer->outcome.metric_count; m++)
            outcome->metrics =
                rg_hash(outcome->metrics, &race.trainer->outcome.metrics[m].value, sizeof(double));
    }
    outcome->weights = rg_parameters_hash(race.policy->parameters);
    outcome->meter = race.trainer->meter;
    outcome->judged = judged;
    memcpy(outcome->text, error.text, sizeof outcome->text - 1);
    token_race_end(&race);
}

static void same_outcome(const Outcome *one, const Outcome *other, const char *name, int rank,
                         int size) {
    cr_expect_eq(one->weights, other->weights, "%s: weights of %d of %d", name, rank, size);
    cr_expect_eq(one->metrics, other->metrics, "%s: metrics of %d of %d", name, rank, size);
    cr_expect_eq(one->meter.flops, other->meter.flops,
                 "%s: %.17g operations, and %.17g of %d of %d", name, one->meter.flops,
                 other->meter.flops, rank, size);
    cr_expect_eq(one->meter.trained_tokens, other->meter.trained_tokens);
    cr_expect_eq(one->meter.generated_tokens, other->meter.generated_tokens);
    cr_expect_eq(one->meter.judge_queries, other->meter.judge_queries);
    cr_expect_eq(one->meter.dataset_responses, other->meter.dataset_responses);
}

/* Nor does it have those of other shards, as which it would be the same without any. */
static void check_bits(Trial trial) {
    const Outcome *alone = forked_run(1, run_trial, &trial, sizeof *alone);
    cr_assert_eq(alone->status, RG_OK, "%s: %s", trial.algorithm, alone->text);
    cr_assert_gt(alone->meter.flops, 0);
    for (int size = 2; size <= 5; size++) {
        const Outcome *together = forked_run(size, run_trial, &trial, sizeof *together);
        for (int q = 0; q < size; q++) {
            same_outcome(alone, &together[q], trial.algorithm, q, size);
            cr_expect_eq(together[q].judged, q == 0 ? alone->judged : 0);
        }
    }
    trial.shards = 1;
    const Outcome *whole = forked_run(1, run_trial, &trial, sizeof *whole);
    cr_expect_neq(whole->weights, alone->weights, "%s", trial.algorithm);
}

Test(process_group, gives_the_bits_of_one_process_with_pairs_of_a_data_set) {
    check_bits((Trial){.algorithm = "dpo", .shards = 4, .answers = -1});
    check_bits((Trial){.algorithm = "dpo", .shards = 3, .micro_batch = 2, .answers = -1});
}

/* Every rank has the reference that moves, and the shift of rewards, also without a shard. */
Test(process_group, gives_the_bits_of_one_process_with_shared_terms) {
    static const char terms[] = "beta=1 reference_steps=1 reference_update=0.5 sft_coefficient=0.3 "
                                "dpop_coefficient=2 length_normalisation=true";
    check_bits((Trial){.algorithm = "dpo", .options = terms, .shards = 4, .answers = -1});
    check_bits((Trial){.algorithm = "bco", .options = terms, .shards = 3, .answers = -1});
    check_bits((Trial){.algorithm = "bco", .options = "single=true", .shards = 3, .answers = -1});
    check_bits((Trial){.algorithm = "online-dpo",
                       .options = "candidates=4",
                       .shards = 3,
                       .micro_batch = 2,
                       .answers = -1});
}

Test(process_group, gives_the_bits_of_one_process_with_demonstrations) {
    check_bits((Trial){.algorithm = "sft", .shards = 4, .answers = -1});
}

Test(process_group, gives_the_bits_of_one_process_with_labels_of_the_policy) {
    check_bits((Trial){.algorithm = "sail-dp", .shards = 4, .answers = -1});
}

Test(process_group, gives_the_bits_of_one_process_and_asks_the_judge_once) {
    check_bits((Trial){.algorithm = "online-dpo", .shards = 4, .answers = -1});
}

Test(process_group, gives_the_bits_of_one_process_with_groups) {
    check_bits((Trial){.algorithm = "listwise", .shards = 4, .answers = -1});
    check_bits((Trial){.algorithm = "grpo", .shards = 3, .micro_batch = 2, .answers = -1});
}

/* What a pass leaves out does not hang on which passes ran before it here. */
Test(process_group, gives_the_bits_of_one_process_with_dropout) {
    RgAdapterOptions adapter = {.rank = 2, .alpha = 3, .dropout = 0.25, .targets = "query, down"};
    check_bits((Trial){
        .algorithm = "dpo", .adapter = &adapter, .shards = 4, .micro_batch = 2, .answers = -1});
}

Test(process_group, ends_together_where_the_judge_fails) {
    Trial trial = {.algorithm = "online-dpo", .shards = 3, .answers = 2};
    const Outcome *together = forked_run(3, run_trial, &trial, sizeof *together);
    for (int q = 0; q < 3; q++) {
        cr_expect_eq(together[q].status, RG_E_JUDGE);
        cr_expect_str_eq(together[q].text, "nobody counts");
        cr_expect_eq(together[q].weights, together[0].weights);
    }
}

Test(process_group, refuses_a_rank_that_draws_another_batch) {
    Trial trial = {.algorithm = "dpo", .shards = 3, .answers = -1, .odd_rank = 2};
    const Outcome *together = forked_run(3, run_trial, &trial, sizeof *together);
    for (int q = 0; q < 3; q++) {
        cr_expect_eq(together[q].status, RG_E_USAGE);
        cr_expect(strstr(together[q].text, "rank 2 of the process group has sampled another batch"),
                  "%s", together[q].text);
    }
}

/* ---- what the reference says of pairs ---- */

typedef struct Storage {
    int64_t asked, kept;
} Storage;

/* Has every other pair, with numbers that nobody would compute. */
static void find(void *context, const RgDigest *keys, int64_t count, RgPairValues *values,
                 bool *found) {
    Storage *cache = context;
    (void)keys;
    for (int64_t i = 0; i < count; i++) {
        found[i] = i % 2 == 0;
        if (found[i])
            values[i] = (RgPairValues){{1000 + (double)i, 1}, 5, 0.5};
    }
    cache->asked += count;
}

static void keep(void *context, const RgDigest *keys, const RgPairValues *values, int64_t count) {
    (void)keys;
    (void)values;
    ((Storage *)context)->kept += count;
}

typedef struct Found {
    Storage storage;
    RgPairValues values[TOKEN_EXAMPLES];
} Found;

static void look_up(RgProcessGroup *process_group, void *argument, void *result) {
    Found *found = result;
    RgTrainingOptions training = {.batch = BATCH, .temperature = 1, .top_p = 1};
    TokenRace race;
    (void)argument;
    if (token_race_begin(&race, "dpo", "", &training, NULL, NULL) != RG_OK)
        _exit(1);
    RgPairCache cache = {.storage = &found->storage, .find = find, .keep = keep};
    rg_pair_cache_values(process_group->rank == 0 ? &cache : NULL, process_group, race.reference,
                         race.pairs->sequences, found->values);
    token_race_end(&race);
}

Test(process_group, shares_what_its_first_rank_does_not_find) {
    const Found *alone = forked_run(1, look_up, NULL, sizeof *alone);
    for (int size = 2; size <= 3; size++) {
        const Found *together = forked_run(size, look_up, NULL, sizeof *together);
        cr_expect_eq(together[0].storage.asked, TOKEN_EXAMPLES);
        cr_expect_eq(together[0].storage.kept, TOKEN_EXAMPLES / 2);
        for (int q = 0; q < size; q++)
            for (int i = 0; i < TOKEN_EXAMPLES; i++) {
                const RgPairValues *v = &together[q].values[i];
                cr_expect_eq(v->logprob[0], alone->values[i].logprob[0]);
                cr_expect_eq(v->logprob[1], alone->values[i].logprob[1]);
                cr_expect_eq(v->flops, alone->values[i].flops);
                cr_expect_eq(v->logprob[0] >= 1000, i % 2 == 0);
            }
    }
}

/* ---- responses ---- */

enum { COPIES = 3 };

static int64_t sampled;

static double count_and_sample(RgPolicy *policy, const RgSequences *prompts,
                               const RgSampling *sampling, RgRandom random, int32_t *tokens,
                               int64_t *length, double *logprob) {
    sampled += prompts->count;
    policy->type = &rg_policy_transformer; /* to which the decoder holds */
    return policy->type->sample(policy, prompts, sampling, random, tokens, length, logprob);
}

typedef struct Sampled {
    uint64_t responses, logprob;
    double flops;
    int64_t own; /* responses that this rank sampled */
} Sampled;

static void sample(RgProcessGroup *process_group, void *argument, void *result) {
    Sampled *s = result;
    RgPolicyType counting = rg_policy_transformer;
    counting.sample = count_and_sample;
    RgPolicy *policy = token_policy(&token_model, 1);
    policy->type = &counting;
    RgSequences *prompts = rg_sequences_create(), *out = rg_sequences_create();
    for (uint64_t i = 0; i < TOKEN_EXAMPLES; i++)
        token_append(prompts, i, i);
    RgSampling sampling = {.temperature = 1,
                           .top_p = 1,
                           .response_limit = 6,
                           .end_token = 3,
                           .process_group = process_group};
    double logprob[COPIES * TOKEN_EXAMPLES], flops = 0;
    policy->flops = &flops;
    rg_policy_sample(policy, prompts, COPIES, &sampling, rg_random_root(4), out, logprob);
    *s = (Sampled){.responses = rg_sequences_hash(out),
                   .logprob = rg_hash(RG_HASH_START, logprob, sizeof logprob),
                   .flops = flops,
                   .own = sampled};
    rg_sequences_destroy(out);
    rg_sequences_destroy(prompts);
    rg_policy_destroy(policy);
    (void)argument;
}

Test(process_group, shares_the_responses_that_are_sampled) {
    const Sampled *alone = forked_run(1, sample, NULL, sizeof *alone);
    cr_assert_eq(alone->own, COPIES * TOKEN_EXAMPLES);
    for (int size = 2; size <= 5; size++) {
        const Sampled *together = forked_run(size, sample, NULL, sizeof *together);
        int64_t all = 0;
        for (int q = 0; q < size; q++) {
            cr_expect_eq(together[q].responses, alone->responses);
            cr_expect_eq(together[q].logprob, alone->logprob);
            cr_expect_eq(together[q].flops, alone->flops);
            cr_expect_leq(together[q].own, COPIES * (TOKEN_EXAMPLES / size + 1));
            all += together[q].own;
        }
        cr_expect_eq(all, alone->own);
    }
}

/* ---- checkpoints ---- */

static void share_checkpoint(RgProcessGroup *process_group, void *argument, void *result) {
    RgTrainingOptions training = {.batch = BATCH, .temperature = 1, .top_p = 1};
    TokenRace race;
    (void)argument;
    if (token_race_begin(&race, "dpo", "", &training, NULL, NULL) != RG_OK)
        _exit(1);
    RgCheckpoint *checkpoint = rg_checkpoint_create();
    rg_trainer_checkpoint(race.trainer, checkpoint);
    for (int i = 0; i < 2 && process_group->rank == 0; i++)
        take_step(race.trainer);
    rg_checkpoint_share(checkpoint, process_group);
    take_step(race.trainer);
    uint64_t *hash = result;
    hash[0] = rg_parameters_hash(race.policy->parameters);
    hash[1] = (uint64_t)race.trainer->step;
    rg_checkpoint_destroy(checkpoint);
    token_race_end(&race);
}

Test(process_group, takes_up_what_its_first_rank_has) {
    const uint64_t *hash = forked_run(3, share_checkpoint, NULL, 2 * sizeof *hash);
    for (int q = 0; q < 3; q++) {
        cr_expect_eq(hash[2 * q], hash[0]);
        cr_expect_eq(hash[2 * q + 1], 3);
    }
}

/* ---- refusals ---- */

static const char *refusal(const char *algorithm, int64_t shards) {
    static RgError error;
    RgTrainingOptions training = {.batch = 4, .shards = shards, .temperature = 1, .top_p = 1};
    TokenRace race;
    cr_expect_eq(begin(&race, &(Trial){.algorithm = algorithm}, &training, &error), RG_E_USAGE);
    token_race_end(&race);
    return error.text;
}

Test(process_group, shards_are_refused_where_there_can_be_none) {
    const char *told = refusal("dpo", 5);
    cr_expect(strstr(told, "training.shards is 5, but a batch has only 4"), "%s", told);
    told = refusal("kto", 2);
    cr_expect(strstr(told, "training.shards: with these options"), "%s", told);
    told = refusal("ppo", 2);
    cr_expect(strstr(told, "training.shards: with these options the loss of ppo"), "%s", told);
    told = refusal("parl", 2);
    cr_expect(strstr(told, "training.shards: parl cannot split a batch"), "%s", told);
}
