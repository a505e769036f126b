/* A batch in parts: loss, metrics and gradient are those of the whole batch. On a transformer with
 * responses of different lengths, so that shares by pairs and by tokens differ. */
#include "algorithms/trainer.h"
#include "core/policy/transformer.h"

#include <criterion/criterion.h>
#include <math.h>

enum { EXAMPLES = 16, VOCABULARY = 11, BATCH = 8 };

static const RgTransformerOptions small = {.layers = 2,
                                           .width = 8,
                                           .heads = 2,
                                           .kv_heads = 2,
                                           .hidden = 12,
                                           .context = 16,
                                           .rope_base = 100,
                                           .norm_epsilon = 1e-5};

static void append(RgSequences *sequences, uint64_t prompt, uint64_t response) {
    RgRandom random = rg_random_root(5);
    int32_t tokens[2][6];
    for (uint64_t j = 0; j < 6; j++) {
        tokens[0][j] = (int32_t)rg_random_below(rg_random_at(random, prompt), 10 + j, VOCABULARY);
        tokens[1][j] =
            (int32_t)rg_random_below(rg_random_at(random, 100 + response), 10 + j, VOCABULARY);
    }
    rg_sequences_append(sequences, tokens[0], 1 + (int64_t)prompt % 4, tokens[1],
                        (int64_t)(response * 5 % 7));
}

static RgPolicy *policy_of(uint64_t seed) {
    RgPolicy *policy = NULL;
    RgError error = {0};
    cr_assert_eq(rg_transformer_create(&small, VOCABULARY, &policy, &error), RG_OK);
    for (int v = 0; v < policy->parameters->view_count; v++)
        rg_parameters_fill_normal(policy->parameters, v, 0.4, rg_random_root(seed));
    return policy;
}

typedef struct Run {
    double loss;
    double metrics[8];
    int metric_count;
    RgReal *gradient; /* [count] */
    int64_t count;
} Run;

/* One step's gradient with options as the algorithm's table has them, but for its score term. */
static RgStatus try_run(const char *name, const char *score_term, int64_t micro_batch, Run *run,
                        RgError *error) {
    RgPolicy *policy = policy_of(1), *reference = policy_of(2);
    RgPairs *pairs = rg_pairs_create();
    RgSequences *demonstrations = rg_sequences_create();
    for (uint64_t i = 0; i < EXAMPLES; i++) {
        append(pairs->sequences, i, 2 * i);
        append(pairs->sequences, i, 2 * i + 1);
        rg_pairs_append_label(pairs, (int)(i % 3 == 0));
        append(demonstrations, i, i);
    }
    RgCourse course = {.pairs = pairs, .demonstrations = demonstrations};
    const RgAlgorithm *algorithm = rg_algorithm_find(name);
    RgSettings *settings = rg_settings_create();
    if (score_term)
        rg_settings_set(settings, "a.score_term", RG_SETTING_STRING, score_term, "test", 0);
    void *options = rg_allocate(algorithm->options_size + 1);
    cr_assert_eq(rg_options_read(algorithm->options, settings, "a", options, error), RG_OK);
    RgTrainingOptions training = {
        .batch = BATCH, .micro_batch = micro_batch, .temperature = 1, .top_p = 1};
    RgOptimizerOptions sgd = {.type = RG_SGD};
    RgTrainer *trainer = NULL;
    RgStatus status = rg_trainer_create(algorithm, options, &training, policy, reference, &course,
                                        &sgd, 0, rg_random_root(3), &trainer, error);
    if (status == RG_OK) {
        run->loss = rg_trainer_gradient(trainer, 4);
        run->metric_count = trainer->metric_count;
        for (int i = 0; i < trainer->metric_count; i++)
            run->metrics[i] = trainer->metrics[i].value;
        run->count = policy->parameters->count;
        run->gradient = policy->parameters->gradient;
        policy->parameters->gradient = NULL;
    }
    rg_trainer_destroy(trainer);
    free(options);
    rg_settings_destroy(settings);
    rg_sequences_destroy(demonstrations);
    rg_pairs_destroy(pairs);
    rg_policy_destroy(policy);
    rg_policy_destroy(reference);
    return status;
}

static Run run_of(const char *name, int64_t micro_batch) {
    Run run = {0};
    RgError error = {0};
    cr_assert_eq(try_run(name, NULL, micro_batch, &run, &error), RG_OK, "%s", error.text);
    return run;
}

static void check_parts(const char *name) {
    Run whole = run_of(name, 0);
    double norm = 0;
    for (int64_t i = 0; i < whole.count; i++)
        norm += (double)(whole.gradient[i] * whole.gradient[i]);
    cr_assert_gt(norm, 1e-4);
    const int64_t sizes[] = {1, 3, BATCH};
    for (int k = 0; k < 3; k++) {
        Run parts = run_of(name, sizes[k]);
        cr_assert_float_eq(parts.loss, whole.loss, 1e-12 * (1 + fabs(whole.loss)));
        cr_assert_eq(parts.metric_count, whole.metric_count);
        for (int i = 0; i < whole.metric_count; i++)
            cr_assert_float_eq(parts.metrics[i], whole.metrics[i],
                               1e-12 * (1 + fabs(whole.metrics[i])));
        for (int64_t i = 0; i < whole.count; i++)
            cr_assert_float_eq(parts.gradient[i], whole.gradient[i], 1e-12 * (1 + sqrt(norm)),
                               "%s in parts of %d", name, (int)sizes[k]);
        free(parts.gradient);
    }
    free(whole.gradient);
}

Test(micro_batch, of_dpo_adds_up_to_the_batch) {
    check_parts("dpo");
}

Test(micro_batch, of_policy_labels_and_their_score_adds_up_to_the_batch) {
    check_parts("sail-dp");
}

/* Shares of tokens: two of the demonstrations have none, parts of one are then empty. */
Test(micro_batch, of_demonstrations_adds_up_to_the_batch) {
    check_parts("sft");
}

Test(micro_batch, is_refused_where_a_loss_is_no_mean_over_pairs) {
    Run run = {0};
    RgError error = {0};
    cr_assert_eq(try_run("sail-dp", "baseline", 3, &run, &error), RG_E_USAGE);
    cr_assert(strstr(error.text, "training.micro_batch"), "%s", error.text);
    cr_assert_eq(try_run("sail-dp", "baseline", BATCH, &run, &error), RG_OK);
    free(run.gradient);
}
