/* SPDX-License-Identifier: MIT */
/* Claims about optimisers and schedules, against the papers' equations worked out in double. */
#include "core/train/optimizer.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const RgOptimizerOptions adamw = {.type = {.type = &rg_optimizer_adamw.about},
                                         .learning_rate = 0.01,
                                         .beta1 = 0.9,
                                         .beta2 = 0.999,
                                         .epsilon = 1e-8};

/* A decaying matrix [2, 3] and a bias [2] that does not decay. */
static RgParameters *some_parameters(void) {
    RgParameters *p = rg_parameters_create();
    rg_parameters_declare(p, "matrix", 2, (const int64_t[]){2, 3}, true);
    rg_parameters_declare(p, "bias", 1, (const int64_t[]){2}, false);
    rg_parameters_allocate(p);
    for (int64_t i = 0; i < p->count; i++)
        p->value[i] = (RgReal)(0.5 * (double)i - 1.7);
    return p;
}

static double gradient_at(int64_t step, int64_t i) {
    return sin(1.0 + 3.0 * (double)step + 0.7 * (double)i);
}

static void set_gradient(RgParameters *p, int64_t step, double factor) {
    for (int64_t i = 0; i < p->count; i++)
        p->gradient[i] = (RgReal)(factor * gradient_at(step, i));
}

Test(optimizer, adamw_follows_its_equations) {
    RgOptimizerOptions options = adamw;
    options.weight_decay = 0.3;
    RgParameters *p = some_parameters();
    RgOptimizer *optimizer = rg_optimizer_create(&options, p->count, 0);
    double value[8], m[8] = {0}, v[8] = {0};
    for (int i = 0; i < 8; i++)
        value[i] = p->value[i];
    for (int t = 1; t <= 50; t++) {
        set_gradient(p, t, 1);
        rg_optimizer_step(optimizer, p);
        for (int i = 0; i < 8; i++) {
            double g = gradient_at(t, i);
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.999 * v[i] + 0.001 * g * g;
            double m_hat = m[i] / (1 - pow(0.9, t)), v_hat = v[i] / (1 - pow(0.999, t));
            double decay = i < 6 ? 0.3 : 0;
            value[i] -= 0.01 * (m_hat / (sqrt(v_hat) + 1e-8) + decay * value[i]);
            cr_assert_float_eq(p->value[i], value[i], 2e-6, "step %d, element %d", t, i);
        }
    }
    rg_optimizer_destroy(optimizer);
    rg_parameters_destroy(p);
}

static const RgDescriptor *const both[] = {&rg_optimizer_adamw.about, &rg_optimizer_sgd.about};

/* 0.9ᵗ is subnormal after 830 steps, and rounds to itself after a thousand. */
Test(optimizer, means_of_gradients_that_no_longer_come_end_at_zero) {
    for (int type = 0; type < 2; type++) {
        RgOptimizerOptions options = adamw;
        options.type.type = both[type];
        options.momentum = 0.9;
        RgParameters *p = some_parameters();
        RgOptimizer *optimizer = rg_optimizer_create(&options, p->count, 0);
        set_gradient(p, 0, 1);
        for (int step = 0; step < 1200; step++) {
            rg_optimizer_step(optimizer, p);
            for (int i = 0; i < 8; i++)
                cr_assert_neq(fpclassify(optimizer->first[i]), FP_SUBNORMAL, "step %d", step);
        }
        for (int i = 0; i < 8; i++)
            cr_assert_eq(optimizer->first[i], 0);
        rg_optimizer_destroy(optimizer);
        rg_parameters_destroy(p);
    }
}

/* PyTorch's, with its defaults: no correction of the start, ε outside the root. */
Test(optimizer, rmsprop_follows_its_equations) {
    RgOptimizerOptions options = {.type = {&rg_optimizer_rmsprop.about},
                                  .learning_rate = 0.01,
                                  .beta1 = 0.9,
                                  .beta2 = 0.5,
                                  .smoothing = 0.99,
                                  .epsilon = 1e-8};
    RgParameters *p = some_parameters();
    RgOptimizer *optimizer = rg_optimizer_create(&options, p->count, 0);
    double value[8], v[8] = {0};
    for (int i = 0; i < 8; i++)
        value[i] = p->value[i];
    for (int t = 1; t <= 50; t++) {
        set_gradient(p, t, 1);
        rg_optimizer_step(optimizer, p);
        for (int i = 0; i < 8; i++) {
            double g = gradient_at(t, i);
            v[i] = 0.99 * v[i] + 0.01 * g * g;
            value[i] -= 0.01 * g / (sqrt(v[i]) + 1e-8);
            cr_assert_float_eq(p->value[i], value[i], 5e-6, "step %d, element %d", t, i);
        }
    }
    rg_optimizer_destroy(optimizer);
    rg_parameters_destroy(p);
}

/* m̂/√v̂ = g/|g| after one step, whatever the betas. */
Test(optimizer, the_first_adamw_step_is_the_sign_times_the_rate) {
    RgParameters *p = some_parameters(), *before = rg_parameters_clone(p, true);
    RgOptimizer *optimizer = rg_optimizer_create(&adamw, p->count, 0);
    set_gradient(p, 0, 1);
    rg_optimizer_step(optimizer, p);
    for (int i = 0; i < 8; i++) {
        double expected = copysign(0.01, gradient_at(0, i));
        cr_assert_float_eq(before->value[i] - p->value[i], expected, 1e-6);
    }
    rg_optimizer_destroy(optimizer);
    rg_parameters_destroy(before);
    rg_parameters_destroy(p);
}

Test(optimizer, decay_alone_shrinks_matrices_geometrically_and_spares_biases) {
    for (int type = 0; type < 2; type++) {
        RgOptimizerOptions options = adamw;
        options.type.type = both[type];
        options.weight_decay = 2;
        RgParameters *p = some_parameters(), *before = rg_parameters_clone(p, true);
        RgOptimizer *optimizer = rg_optimizer_create(&options, p->count, 0);
        for (int t = 0; t < 10; t++)
            rg_optimizer_step(optimizer, p); /* the gradient is zero */
        for (int i = 0; i < 6; i++)
            cr_assert_float_eq(p->value[i], before->value[i] * pow(0.98, 10), 1e-6);
        for (int i = 6; i < 8; i++)
            cr_assert_eq(p->value[i], before->value[i]);
        rg_optimizer_destroy(optimizer);
        rg_parameters_destroy(before);
        rg_parameters_destroy(p);
    }
}

/* With a constant gradient g, momentum μ has moved lr·g·Σ_{t≤T} (1 − μᵗ)/(1 − μ) after T steps. */
Test(optimizer, sgd_with_momentum_has_its_closed_form) {
    RgOptimizerOptions options = {
        .type = {&rg_optimizer_sgd.about}, .learning_rate = 0.02, .momentum = 0.8};
    RgParameters *p = some_parameters(), *before = rg_parameters_clone(p, true);
    RgOptimizer *optimizer = rg_optimizer_create(&options, p->count, 0);
    double moved = 0;
    for (int t = 1; t <= 12; t++) {
        set_gradient(p, 5, 1);
        rg_optimizer_step(optimizer, p);
        moved += 0.02 * (1 - pow(0.8, t)) / (1 - 0.8);
    }
    for (int i = 0; i < 8; i++)
        cr_assert_float_eq(before->value[i] - p->value[i], moved * gradient_at(5, i), 1e-5);
    rg_optimizer_destroy(optimizer);
    rg_parameters_destroy(before);
    rg_parameters_destroy(p);
}

/* Plain SGD shows the clipped gradient itself. */
static double step_length(double clip, double factor, double *norm) {
    RgOptimizerOptions options = {
        .type = {&rg_optimizer_sgd.about}, .learning_rate = 1, .clip = clip};
    RgParameters *p = some_parameters(), *before = rg_parameters_clone(p, true);
    RgOptimizer *optimizer = rg_optimizer_create(&options, p->count, 0);
    set_gradient(p, 1, factor);
    *norm = rg_optimizer_step(optimizer, p);
    double sum = 0;
    for (int i = 0; i < 8; i++)
        sum += pow((double)before->value[i] - (double)p->value[i], 2);
    rg_optimizer_destroy(optimizer);
    rg_parameters_destroy(before);
    rg_parameters_destroy(p);
    return sqrt(sum);
}

Test(optimizer, clipping_scales_the_whole_gradient_to_the_norm) {
    double whole = 0, norm = 0;
    for (int i = 0; i < 8; i++)
        whole += pow(gradient_at(1, i), 2);
    whole = sqrt(whole);
    cr_assert_gt(whole, 1.5);
    cr_assert_float_eq(step_length(1, 1, &norm), 1, 1e-5);
    cr_assert_float_eq(norm, whole, 1e-5); /* as it was before clipping */
    cr_assert_float_eq(step_length(0.25, 100, &norm), 0.25, 1e-5);
    cr_assert_float_eq(norm, 100 * whole, 1e-3);
    cr_assert_float_eq(step_length(100, 1, &norm), whole, 1e-5); /* below it: as it is */
    cr_assert_float_eq(step_length(0, 10, &norm), 10 * whole, 1e-4);
}

Test(optimizer, a_gradient_that_is_not_finite_moves_nothing_and_tells) {
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    for (int b = 0; b < 3; b++) {
        RgParameters *p = some_parameters(), *before = rg_parameters_clone(p, true);
        RgOptimizer *optimizer = rg_optimizer_create(&adamw, p->count, 0);
        set_gradient(p, 0, 1);
        p->gradient[3] = (RgReal)bad[b];
        cr_assert_not(isfinite(rg_optimizer_step(optimizer, p)));
        cr_assert_eq(rg_parameters_hash(p), rg_parameters_hash(before));
        cr_assert_eq(optimizer->step, 0);
        for (int i = 0; i < 8; i++)
            cr_assert(optimizer->first[i] == 0 && optimizer->second[i] == 0 && p->gradient[i] == 0);
        rg_optimizer_destroy(optimizer);
        rg_parameters_destroy(before);
        rg_parameters_destroy(p);
    }
}

Test(optimizer, a_step_zeroes_the_gradient_and_counts) {
    RgParameters *p = some_parameters();
    RgOptimizer *optimizer = rg_optimizer_create(&adamw, p->count, 0);
    set_gradient(p, 0, 1);
    rg_optimizer_step(optimizer, p);
    cr_assert_eq(optimizer->step, 1);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(p->gradient[i], 0);
    rg_optimizer_destroy(optimizer);
    rg_parameters_destroy(p);
}

Test(optimizer, both_kinds_find_the_minimum_of_a_quadratic) {
    for (int type = 0; type < 2; type++) {
        RgOptimizerOptions options = adamw;
        options.type.type = both[type];
        options.learning_rate = 0.1;
        options.schedule = RG_SCHEDULE_COSINE;
        options.momentum = 0.5;
        RgParameters *p = some_parameters();
        RgOptimizer *optimizer = rg_optimizer_create(&options, p->count, 400);
        for (int t = 0; t < 400; t++) {
            for (int i = 0; i < 8; i++)
                p->gradient[i] = (RgReal)(1 + i) * (p->value[i] - (RgReal)i);
            rg_optimizer_step(optimizer, p);
        }
        for (int i = 0; i < 8; i++)
            cr_assert_float_eq(p->value[i], i, 1e-3, "type %d: %g", type, (double)p->value[i]);
        rg_optimizer_destroy(optimizer);
        rg_parameters_destroy(p);
    }
}

/* Four steps within each of the schedule's, as an algorithm's that goes over its samples again. */
Test(optimizer, moves_by_the_rate_of_the_schedules_step) {
    enum { STEPS = 5, PASSES = 4 };
    RgOptimizerOptions options = {.type = {&rg_optimizer_sgd.about},
                                  .learning_rate = 1,
                                  .schedule = RG_SCHEDULE_LINEAR,
                                  .final_fraction = 0.5};
    RgParameters *p = some_parameters();
    RgOptimizer *optimizer = rg_optimizer_create(&options, p->count, STEPS);
    for (int s = 0; s < STEPS; s++)
        for (int k = 0; k < PASSES; k++) {
            double before = p->value[0];
            set_gradient(p, 1, 1);
            rg_optimizer_step_at(optimizer, p, s);
            double rate = 1 - 0.5 * s / STEPS;
            cr_assert_float_eq(before - p->value[0], rate * gradient_at(1, 0), 1e-5);
            cr_assert_float_eq(optimizer->rate, rate, 1e-15);
        }
    cr_assert_eq(optimizer->step, STEPS * PASSES);
    rg_optimizer_destroy(optimizer);
    rg_parameters_destroy(p);
}

Test(schedule, warmup_starts_with_one_part_and_reaches_the_whole) {
    RgOptimizerOptions options = {.learning_rate = 0.8, .warmup = 4};
    const double expected[] = {0.2, 0.4, 0.6, 0.8, 0.8, 0.8};
    for (int step = 0; step < 6; step++)
        cr_assert_float_eq(rg_learning_rate(&options, step, 100), expected[step], 1e-15);
}

Test(schedule, cosine_and_linear_have_their_values) {
    RgOptimizerOptions options = {.learning_rate = 2, .warmup = 10, .final_fraction = 0.1};
    options.schedule = RG_SCHEDULE_LINEAR;
    cr_assert_float_eq(rg_learning_rate(&options, 10, 110), 2, 1e-15);
    cr_assert_float_eq(rg_learning_rate(&options, 60, 110), 2 * 0.55, 1e-15);
    cr_assert_float_eq(rg_learning_rate(&options, 110, 110), 0.2, 1e-15);
    options.schedule = RG_SCHEDULE_COSINE;
    cr_assert_float_eq(rg_learning_rate(&options, 10, 110), 2, 1e-15);
    cr_assert_float_eq(rg_learning_rate(&options, 35, 110), 2 * (0.1 + 0.9 * 0.5 * (1 + M_SQRT1_2)),
                       1e-14);
    cr_assert_float_eq(rg_learning_rate(&options, 60, 110), 2 * 0.55, 1e-14);
    cr_assert_float_eq(rg_learning_rate(&options, 110, 110), 0.2, 1e-15);
}

Test(schedule, past_the_end_the_rate_stays_at_its_last_value) {
    for (int schedule = RG_SCHEDULE_COSINE; schedule <= RG_SCHEDULE_LINEAR; schedule++) {
        RgOptimizerOptions options = {
            .learning_rate = 1, .schedule = schedule, .final_fraction = 0.25};
        cr_assert_float_eq(rg_learning_rate(&options, 1000, 100), 0.25, 1e-15);
        cr_assert_float_eq(rg_learning_rate(&options, 0, 0), 0.25, 1e-15);
    }
    RgOptimizerOptions constant = {.learning_rate = 1};
    cr_assert_eq(rg_learning_rate(&constant, 1000, 0), 1);
}

Test(schedule, rates_never_rise_after_warmup) {
    for (int schedule = RG_SCHEDULE_CONSTANT; schedule <= RG_SCHEDULE_LINEAR; schedule++) {
        RgOptimizerOptions options = {.learning_rate = 1, .schedule = schedule, .warmup = 7};
        double last = 1;
        for (int step = 7; step < 60; step++) {
            double rate = rg_learning_rate(&options, step, 50);
            cr_assert(rate <= last && rate >= 0, "schedule %d, step %d", schedule, step);
            last = rate;
        }
    }
}

Test(optimizer, options_have_the_papers_defaults_and_require_the_rate) {
    RgSettings *settings = rg_settings_create();
    RgOptimizerOptions options;
    RgError error = {0};
    cr_assert_eq(rg_options_read(rg_optimizer_options, settings, "optimizer", &options, &error),
                 RG_E_USAGE);
    cr_assert(strstr(error.text, "learning_rate"), "%s", error.text);
    rg_settings_set(settings, "optimizer.learning_rate", RG_SETTING_REAL, "0.003", "x.cfg", 1);
    cr_assert_eq(rg_options_read(rg_optimizer_options, settings, "optimizer", &options, &error),
                 RG_OK, "%s", error.text);
    cr_assert_eq(options.type.type, &rg_optimizer_adamw.about);
    cr_assert_eq(options.schedule, RG_SCHEDULE_CONSTANT);
    cr_assert_eq(options.beta1, 0.9);
    cr_assert_eq(options.beta2, 0.999);
    cr_assert_eq(options.epsilon, 1e-8);
    cr_assert_eq(options.clip, 1);
    cr_assert_eq(options.learning_rate, 0.003);
    rg_settings_set(settings, "optimizer.type", RG_SETTING_STRING, "sgd", "x.cfg", 2);
    rg_settings_set(settings, "optimizer.schedule", RG_SETTING_STRING, "linear", "x.cfg", 3);
    cr_assert_eq(rg_options_read(rg_optimizer_options, settings, "optimizer", &options, &error),
                 RG_OK, "%s", error.text);
    cr_assert_eq(options.type.type, &rg_optimizer_sgd.about);
    cr_assert_eq(options.schedule, RG_SCHEDULE_LINEAR);
    rg_settings_destroy(settings);
}
