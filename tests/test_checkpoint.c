/* SPDX-License-Identifier: MIT */
/* Claims about checkpoints: a run that was stopped goes on with the same bits, and a file that is
 * not this run's changes nothing. */
#include "core/files.h"
#include "core/new_file.h"
#include "core/train/checkpoint.h"
#include "core/train/safetensors.h"
#include "tests/save_checkpoint.h"
#include "tests/scratch.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

static RgError error;

TestSuite(checkpoint, .init = scratch_begin);

#define ASSERT_OK(call) cr_assert_eq(call, RG_OK, "%s", error.text)

/* A small run: parameters, optimiser, meter, a counter and two doubles. */
typedef struct Run {
    RgParameters *parameters;
    RgOptimizer *optimizer;
    RgMeter meter;
    int64_t step;
    double averages[2];
    RgCheckpoint *checkpoint;
} Run;

static Run run_create(const RgOptimizerType *type, int64_t columns) {
    const RgOptimizerOptions options = {.type = {&type->about},
                                        .learning_rate = 0.1,
                                        .schedule = RG_SCHEDULE_COSINE,
                                        .warmup = 3,
                                        .beta1 = 0.9,
                                        .beta2 = 0.99,
                                        .epsilon = 1e-8,
                                        .weight_decay = 0.1,
                                        .momentum = 0.9,
                                        .clip = 1};
    Run run = {.parameters = rg_parameters_create(), .averages = {M_PI, -0.0}};
    rg_parameters_declare(run.parameters, "matrix", 2, (const int64_t[]){3, columns}, true);
    rg_parameters_declare(run.parameters, "bias", 1, (const int64_t[]){5}, false);
    rg_parameters_allocate(run.parameters);
    rg_parameters_fill_normal(run.parameters, 0, 1, rg_random_root(3));
    run.optimizer = rg_optimizer_create(&options, run.parameters->count, 20);
    return run;
}

/* Once the run lies where it stays. */
static void run_list(Run *run) {
    run->checkpoint = rg_checkpoint_create();
    rg_checkpoint_integers(run->checkpoint, "step", &run->step, 1);
    rg_checkpoint_doubles(run->checkpoint, "averages", run->averages, 2);
    rg_checkpoint_meter(run->checkpoint, &run->meter);
    rg_checkpoint_parameters(run->checkpoint, "policy", run->parameters);
    rg_checkpoint_optimizer(run->checkpoint, "optimizer", run->optimizer);
}

static void run_destroy(Run *run) {
    rg_checkpoint_destroy(run->checkpoint);
    rg_optimizer_destroy(run->optimizer);
    rg_parameters_destroy(run->parameters);
}

/* Gradients of a quadratic with noise that depends on the step alone. */
static void run_steps(Run *run, int64_t last) {
    for (; run->step < last; run->step++) {
        RgRandom noise = rg_random_at(rg_random_root(9), (uint64_t)run->step);
        for (int64_t i = 0; i < run->parameters->count; i++)
            run->parameters->gradient[i] =
                run->parameters->value[i] + (RgReal)rg_random_normal(noise, (uint64_t)i);
        run->averages[0] =
            0.9 * run->averages[0] + 0.1 * rg_optimizer_step(run->optimizer, run->parameters);
        run->meter.flops += 1e3;
        run->meter.judge_queries += 2;
    }
}

static bool same_bits(const Run *a, const Run *b) {
    size_t bytes = (size_t)a->parameters->count * sizeof(RgReal);
    return memcmp(a->parameters->value, b->parameters->value, bytes) == 0 &&
           memcmp(a->optimizer->first, b->optimizer->first, bytes) == 0 &&
           (!a->optimizer->second ||
            memcmp(a->optimizer->second, b->optimizer->second, bytes) == 0) &&
           a->optimizer->step == b->optimizer->step && a->step == b->step &&
           memcmp(a->averages, b->averages, sizeof a->averages) == 0 &&
           memcmp(&a->meter, &b->meter, sizeof a->meter) == 0;
}

static void resumed_equals_undisturbed(const RgOptimizerType *type) {
    Run whole = run_create(type, 4), first = run_create(type, 4), second = run_create(type, 4);
    run_list(&first);
    run_list(&second);
    const char *path = scratch("run.safetensors");
    run_steps(&whole, 20);
    run_steps(&first, 7);
    ASSERT_OK(save_checkpoint(first.checkpoint, path, "key", &error));
    rg_parameters_fill(second.parameters, 0, NAN); /* loading has to replace all of it */
    ASSERT_OK(rg_checkpoint_load(second.checkpoint, path, "key", &error));
    cr_assert(same_bits(&first, &second));
    cr_assert_not(same_bits(&whole, &second));
    run_steps(&second, 20);
    cr_assert(same_bits(&whole, &second));
    run_destroy(&whole);
    run_destroy(&first);
    run_destroy(&second);
}

Test(checkpoint, a_resumed_adamw_run_equals_the_undisturbed_one_bit_for_bit) {
    resumed_equals_undisturbed(&rg_optimizer_adamw);
}

Test(checkpoint, a_resumed_sgd_run_equals_the_undisturbed_one_bit_for_bit) {
    resumed_equals_undisturbed(&rg_optimizer_sgd);
    resumed_equals_undisturbed(&rg_optimizer_rmsprop);
}

/* Save `saved`, load into `loaded`: must be refused with `expected`, nothing changed. */
static void refuse(Run *saved, Run *loaded, const char *identity, const char *expected) {
    const char *path = scratch("other.safetensors");
    run_list(saved);
    run_list(loaded);
    run_steps(saved, 2);
    Run before = run_create(loaded->optimizer->type, loaded->parameters->views[0].size[1]);
    cr_assert(same_bits(&before, loaded));
    ASSERT_OK(save_checkpoint(saved->checkpoint, path, "key", &error));
    cr_assert_eq(rg_checkpoint_load(loaded->checkpoint, path, identity, &error), RG_E_FORMAT);
    cr_assert(strstr(error.text, path) && strstr(error.text, expected), "%s", error.text);
    cr_assert(same_bits(&before, loaded));
    run_destroy(&before);
    run_destroy(saved);
    run_destroy(loaded);
}

Test(checkpoint, another_identity_is_refused) {
    Run saved = run_create(&rg_optimizer_adamw, 4), loaded = run_create(&rg_optimizer_adamw, 4);
    refuse(&saved, &loaded, "other", "identity \"other\" expected, \"key\" found");
}

Test(checkpoint, another_shape_is_refused) {
    Run saved = run_create(&rg_optimizer_adamw, 4), loaded = run_create(&rg_optimizer_adamw, 5);
    refuse(&saved, &loaded, "key", "\"policy.matrix\": F32 [3, 5] expected, F32 [3, 4] found");
}

/* As many numbers, of another width or of another meaning. */
Test(checkpoint, another_type_is_refused) {
    double wide[2] = {1, 2};
    int32_t narrow[2] = {3, 4};
    int64_t whole[2] = {5, 6};
    const RgStoredTensor stored[] = {
        {.name = "x", .type = RG_F64, .rank = 1, .size = {2}, .data = wide, .bytes = sizeof wide},
        {.name = "x", .type = RG_I32, .rank = 1, .size = {2}, .data = narrow, .bytes = 8},
    };
    const char *const metadata[] = {"identity", "key", NULL}, *path = scratch("x.safetensors");
    for (int i = 0; i < 2; i++) {
        RgCheckpoint *checkpoint = rg_checkpoint_create();
        rg_checkpoint_integers(checkpoint, "x", whole, 2);
        ASSERT_OK(rg_safetensors_write(path, &stored[i], 1, metadata, &error));
        cr_assert_eq(rg_checkpoint_load(checkpoint, path, "key", &error), RG_E_FORMAT);
        cr_assert(strstr(error.text, "\"x\": I64 [2] expected"), "%s", error.text);
        cr_assert(whole[0] == 5 && whole[1] == 6);
        rg_checkpoint_destroy(checkpoint);
    }
}

Test(checkpoint, a_missing_array_is_refused) {
    Run saved = run_create(&rg_optimizer_sgd, 4), loaded = run_create(&rg_optimizer_adamw, 4);
    refuse(&saved, &loaded, "key", "no tensor \"optimizer.second\"");
}

Test(checkpoint, an_array_too_many_is_refused) {
    Run saved = run_create(&rg_optimizer_adamw, 4), loaded = run_create(&rg_optimizer_sgd, 4);
    refuse(&saved, &loaded, "key", "\"optimizer.second\" does not belong");
}

Test(checkpoint, a_cut_file_changes_nothing) {
    Run run = run_create(&rg_optimizer_adamw, 4), before = run_create(&rg_optimizer_adamw, 4);
    run_list(&run);
    const char *path = scratch("run.safetensors");
    ASSERT_OK(save_checkpoint(run.checkpoint, path, "key", &error));
    char *content = NULL;
    size_t size = 0;
    ASSERT_OK(rg_file_read(path, &content, &size, &error));
    for (size_t tenth = 0; tenth < 10; tenth++) {
        ASSERT_OK(rg_file_write(path, content, size * tenth / 10, &error));
        cr_assert_eq(rg_checkpoint_load(run.checkpoint, path, "key", &error), RG_E_FORMAT);
        cr_assert(same_bits(&before, &run));
    }
    free(content);
    cr_assert_eq(rg_checkpoint_load(run.checkpoint, scratch("absent"), "key", &error), RG_E_FILE);
    run_destroy(&before);
    run_destroy(&run);
}

Test(checkpoint, weights_are_tensors_of_their_own_shape) {
    Run run = run_create(&rg_optimizer_adamw, 4);
    run_list(&run);
    const char *path = scratch("run.safetensors");
    ASSERT_OK(save_checkpoint(run.checkpoint, path, "key", &error));
    RgSafetensors *file = NULL;
    ASSERT_OK(rg_safetensors_open(path, &file, &error));
    const RgStoredTensor *matrix = rg_safetensors_find(file, "policy.matrix");
    cr_assert(matrix);
    cr_assert(matrix->rank == 2 && matrix->size[0] == 3 && matrix->size[1] == 4);
    cr_assert_eq(matrix->type, RG_F32);
    cr_assert_eq(rg_safetensors_find(file, "meter.judge_queries")->type, RG_I64);
    cr_assert_eq(rg_safetensors_find(file, "averages")->type, RG_F64);
    rg_safetensors_close(file);
    run_destroy(&run);
}

Test(meter, peak_memory_grows_with_what_is_touched) {
    double before = rg_peak_memory();
    size_t size = (size_t)256 << 20;
    volatile char *much = malloc(size);
    for (size_t i = 0; i < size; i += 4096)
        much[i] = 1;
    double after = rg_peak_memory();
    free((void *)much);
    cr_assert_gt(before, 1e5);
    cr_assert_gt(after, before + 0.5 * (double)size, "%g, then %g bytes", before, after);
    cr_assert_gt(rg_peak_memory(), before + 0.5 * (double)size);
    rg_peak_memory_restart();
    if (access("/proc/self/clear_refs", W_OK) == 0)
        cr_assert_lt(rg_peak_memory(), after - 0.5 * (double)size);
}
