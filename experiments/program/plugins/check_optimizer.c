/* SPDX-License-Identifier: MIT */
/* The contract of optimisers, checked by steps on
 *
 *     f(x) = ½ Σ a_i (x_i − c_i)²,    a_i in [½, 2) */
#include "core/files.h"
#include "core/tensor/threads.h"
#include "experiments/program/plugins/check_plugin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Descent {
    RgParameters *x; /* a matrix with weight decay and a vector without */
    double *slope, *centre;
    RgOptimizer *optimizer;
    RgSettings *settings;
} Descent;

/* `rows` by 6 numbers in the matrix, and 16 in the vector. */
static RgStatus begin(const RgOptimizerType *type, const char *options, int64_t rows,
                      RgOptimizerOptions with, Descent *d, RgError *error) {
    *d = (Descent){.x = rg_parameters_create(), .settings = rg_settings_create()};
    rg_parameters_declare(d->x, "matrix", 2, (const int64_t[]){rows, 6}, true);
    rg_parameters_declare(d->x, "vector", 1, (const int64_t[]){16}, false);
    rg_parameters_allocate(d->x);
    d->slope = rg_allocate(d->x->count, sizeof(double));
    d->centre = rg_allocate(d->x->count, sizeof(double));
    RgRandom random = rg_random_root(13);
    for (int64_t i = 0; i < d->x->count; i++) {
        uint64_t n = (uint64_t)i;
        d->x->value[i] = (RgReal)rg_random_normal(rg_random_named(random, "start"), n);
        d->slope[i] = 0.5 + 1.5 * rg_random_uniform(rg_random_named(random, "slope"), n);
        d->centre[i] = rg_random_normal(rg_random_named(random, "centre"), n);
    }
    rg_small_race_set(d->settings, "optimizer", options);
    with.type = (RgOptionPart){.type = &type->about, .settings = d->settings, .path = "optimizer"};
    void *own = rg_allocate(1, type->about.options_size);
    RgStatus status = rg_options_read(type->about.options, d->settings, "optimizer", own, error);
    free(own);
    if (status == RG_OK)
        d->optimizer = rg_optimizer_create(&with, d->x->count, 0);
    return status;
}

static void end(Descent *d) {
    rg_optimizer_destroy(d->optimizer);
    rg_parameters_destroy(d->x);
    rg_settings_destroy(d->settings);
    free(d->slope);
    free(d->centre);
}

static double value_of(const Descent *d) {
    double sum = 0;
    for (int64_t i = 0; i < d->x->count; i++)
        sum += 0.5 * d->slope[i] * pow((double)d->x->value[i] - d->centre[i], 2);
    return sum;
}

static void set_gradient(const Descent *d, double factor) {
    for (int64_t i = 0; i < d->x->count; i++)
        d->x->gradient[i] =
            (RgReal)(factor * d->slope[i] * ((double)d->x->value[i] - d->centre[i]));
}

static void go(const Descent *d, int steps) {
    for (int s = 0; s < steps; s++) {
        set_gradient(d, 1);
        rg_optimizer_step(d->optimizer, d->x);
    }
}

/* As in the small race, without clipping. */
static RgOptimizerOptions usual(double rate) {
    RgOptimizerOptions options = rg_small_race_optimizer;
    options.learning_rate = rate;
    options.clip = 0;
    options.smoothing = 0.99;
    return options;
}

static void claim_descent(const RgOptimizerType *type, const char *options, RgClaims *claims) {
    enum { STEPS = 200 };
    Descent d;
    if (begin(type, options, 8, usual(0.05), &d, NULL) == RG_OK) {
        double before = value_of(&d);
        go(&d, STEPS);
        double after = value_of(&d);
        bool cleared = true;
        for (int64_t i = 0; i < d.x->count; i++)
            cleared = cleared && d.x->gradient[i] == 0;
        rg_claim(claims, after < 0.5 * before, "it descends on a quadratic",
                 "from %.4g to %.4g in %d steps at a rate of 0.05%s", before, after, STEPS,
                 after < 0.5 * before ? "" : ", expected half or less");
        rg_claim(claims, cleared, "it clears the gradient", "%s", "");
    }
    end(&d);
}

static void claim_still(const RgOptimizerType *type, const char *options, RgClaims *claims) {
    Descent d;
    if (begin(type, options, 8, usual(0), &d, NULL) == RG_OK) {
        uint64_t before = rg_parameters_hash(d.x);
        go(&d, 3);
        rg_claim(claims, rg_parameters_hash(d.x) == before, "at a rate of 0 nothing moves", "%s",
                 "");
    }
    end(&d);
}

/* A clipped gradient gives the same step as a gradient of the clipped size. */
static void claim_clip(const RgOptimizerType *type, const char *options, RgClaims *claims) {
    const double factor = 0.25;
    Descent plain, clipped;
    RgOptimizerOptions with = usual(0.05);
    RgStatus status = begin(type, options, 8, with, &plain, NULL);
    set_gradient(&plain, 1);
    with.clip = factor * rg_parameters_gradient_norm(plain.x);
    if (begin(type, options, 8, with, &clipped, NULL) == RG_OK && status == RG_OK) {
        double apart = 0;
        set_gradient(&plain, factor);
        set_gradient(&clipped, 1);
        rg_optimizer_step(plain.optimizer, plain.x);
        rg_optimizer_step(clipped.optimizer, clipped.x);
        for (int64_t i = 0; i < plain.x->count; i++)
            apart = fmax(apart, fabs((double)plain.x->value[i] - (double)clipped.x->value[i]));
        rg_claim(claims, apart <= 1e-5, "it multiplies the gradient by `clip` first",
                 "values are apart by %.1g at most", apart);
    }
    end(&plain);
    end(&clipped);
}

static uint64_t bits_with(int threads, const RgOptimizerType *type, const char *options) {
    enum { ROWS = 40000 };
    Descent d;
    uint64_t bits = 0;
    rg_threads_set(threads);
    if (begin(type, options, ROWS, usual(0.05), &d, NULL) == RG_OK) {
        go(&d, 3);
        bits = rg_parameters_hash(d.x);
    }
    end(&d);
    return bits;
}

static void claim_threads(const RgOptimizerType *type, const char *options, RgClaims *claims) {
    int before = rg_threads();
    uint64_t one = bits_with(1, type, options);
    rg_claim(claims,
             one == bits_with(1, type, options) && one == bits_with(2, type, options) &&
                 one == bits_with(3, type, options),
             "the same bits again, with any number of threads", "1, 2 and 3 threads");
    rg_threads_set(before);
}

/* The bits after 10 steps, the first five of which may come from a checkpoint. */
static RgStatus run_half(const RgOptimizerType *type, const char *options, const char *path,
                         bool saves, uint64_t *bits, RgError *error) {
    Descent d;
    RgStatus status = begin(type, options, 8, usual(0.05), &d, error);
    RgCheckpoint *checkpoint = rg_checkpoint_create();
    if (status == RG_OK) {
        rg_checkpoint_parameters(checkpoint, "x", d.x);
        rg_checkpoint_optimizer(checkpoint, "optimizer", d.optimizer);
    }
    if (status == RG_OK && saves) {
        RgNewFile file;
        go(&d, 5);
        status = rg_new_file_begin(path, &file, error);
        if (status == RG_OK)
            status = rg_new_file_end(&file, rg_checkpoint_write(checkpoint, &file, "check", error),
                                     error);
    } else if (status == RG_OK) {
        status = rg_checkpoint_load(checkpoint, path, "check", error);
    }
    if (status == RG_OK) {
        go(&d, 5);
        *bits = rg_parameters_hash(d.x);
    }
    rg_checkpoint_destroy(checkpoint);
    end(&d);
    return status;
}

static void claim_checkpoint(const RgOptimizerType *type, const char *options, RgClaims *claims) {
    static const char claim[] = "one that resumes from a checkpoint ends with the same bits";
    RgError error = {0};
    char *folder = NULL;
    uint64_t whole = 0, resumed = 1;
    RgStatus status = rg_scratch_folder("check-plugin", &folder, &error);
    if (status == RG_OK) {
        char *path = rg_string_format("%s/optimizer.safetensors", folder);
        status = run_half(type, options, path, true, &whole, &error);
        if (status == RG_OK)
            status = run_half(type, options, path, false, &resumed, &error);
        rg_folder_remove(folder);
        free(path);
    }
    rg_claim(claims, status == RG_OK && whole == resumed, claim, "%s",
             status != RG_OK ? error.text
             : whole == resumed
                 ? "5 steps of 10"
                 : "other values; state that a step changes, other than the parameters, "
                   "belongs in `first` and `second`");
    free(folder);
}

void rg_check_optimizer(const RgOptimizerType *type, const char *options, RgClaims *claims) {
    Descent d;
    RgError error = {0};
    RgStatus status = begin(type, options, 8, usual(0.05), &d, &error);
    end(&d);
    if (status != RG_OK) {
        rg_claim(claims, false, "it can be created", "%s", error.text);
        return;
    }
    claim_descent(type, options, claims);
    claim_still(type, options, claims);
    claim_clip(type, options, claims);
    claim_threads(type, options, claims);
    claim_checkpoint(type, options, claims);
}
