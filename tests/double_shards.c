/* A batch in shards: values are those of sequences on their own, and so are gradients when they are
 * added up. */
#include "core/policy/shards.h"
#include "core/tensor/blas.h"
#include "tests/token_race.h"

#include <math.h>

/* Pairs of responses to one prompt each, of many lengths. */
static RgSequences *many_pairs(void) {
    RgSequences *s = rg_sequences_create();
    for (uint64_t i = 0; i % 2 == 1 || s->count == 0 || s->start[s->count] < 1200; i++)
        token_append(s, i / 2, i);
    return s;
}

typedef RgTensor *(*Pass)(RgTape *tape, RgPolicy *policy, const RgSequences *sequences);

/* Σ w_i y_i with weights that differ, so that no two sequences can be mistaken for each other. */
static double weighed(RgTape *t, RgTensor *y, int64_t first, bool scalar) {
    RgTensor *w = rg_filled(t, y->shape, 1);
    for (int64_t i = 0; i < y->count && !scalar; i++)
        w->data[i] = (RgReal)(1 + (double)(first + i) / 7);
    RgTensor *sum = rg_sum(t, rg_mul(t, y, w));
    double value = sum->data[0];
    rg_backward(t, sum, 1);
    return value;
}

static double whole(Pass pass, RgPolicy *policy, const RgSequences *s, bool scalar) {
    RgTape *t = rg_tape_create();
    cr_assert(rg_shards_suit(t, policy, s));
    double value = weighed(t, pass(t, policy, s), 0, scalar);
    rg_tape_destroy(t);
    return value;
}

/* Two sequences at a time, too few for shards. */
static double by_pairs(Pass pass, RgPolicy *policy, const RgSequences *s, bool scalar) {
    RgTape *t = rg_tape_create();
    double value = 0;
    int64_t first = 0;
    for (int64_t i = 0; i < s->count; i += 2) {
        int64_t start[3];
        RgSequences view = rg_sequences_view(s, i, i + 2, start);
        cr_assert_not(rg_shards_suit(t, policy, &view));
        RgTensor *y = pass(t, policy, &view);
        int64_t count = y->count;
        value += weighed(t, y, first, scalar);
        first += count;
        rg_tape_reset(t);
    }
    rg_tape_destroy(t);
    return value;
}

static void check(Pass pass, bool scalar) {
    RgPolicy *policy = token_policy(&token_model, 1);
    RgParameters *p = policy->parameters;
    RgSequences *s = many_pairs();
    double expected = by_pairs(pass, policy, s, scalar);
    RgReal *gradient = rg_allocate((size_t)p->count * sizeof *gradient);
    memcpy(gradient, p->gradient, (size_t)p->count * sizeof *gradient);
    rg_parameters_zero_gradient(p);
    double value = whole(pass, policy, s, scalar);
    cr_expect_float_eq(value, expected, 1e-12 * fabs(expected));
    double norm = rg_parameters_gradient_norm(p);
    cr_expect_gt(norm, 1e-2);
    for (int64_t i = 0; i < p->count; i++)
        cr_assert_float_eq(p->gradient[i], gradient[i], 1e-12 * norm);
    free(gradient);
    rg_sequences_destroy(s);
    rg_policy_destroy(policy);
}

Test(shards, log_probabilities_and_gradient_are_those_of_pairs_on_their_own) {
    check(rg_policy_logprob, false);
}

Test(shards, the_likelihood_is_that_of_pairs_on_their_own) {
    check(rg_policy_log_likelihood, true);
}

Test(shards, log_probabilities_of_steps_stay_in_order) {
    check(rg_policy_step_logprob, false);
}

/* Two passes on a tape, of which one is rewound, leave the other's gradient alone. */
Test(shards, a_rewound_pass_leaves_nothing) {
    RgPolicy *policy = token_policy(&token_model, 1);
    RgSequences *s = many_pairs();
    double value = whole(rg_policy_logprob, policy, s, false);
    double norm = rg_parameters_gradient_norm(policy->parameters);
    rg_parameters_zero_gradient(policy->parameters);

    RgTape *t = rg_tape_create();
    RgTensor *kept = rg_policy_logprob(t, policy, s);
    size_t used = rg_tape_used(t);
    RgTapeMark mark = rg_tape_mark(t);
    rg_policy_logprob(t, policy, s);
    cr_expect_gt(rg_tape_used(t), used);
    rg_tape_rewind(t, mark);
    cr_expect_eq(rg_tape_used(t), used);
    double again = weighed(t, kept, 0, false);
    cr_expect_eq(again, value);
    cr_expect_eq(rg_parameters_gradient_norm(policy->parameters), norm);
    rg_tape_destroy(t);
    rg_sequences_destroy(s);
    rg_policy_destroy(policy);
}

Test(shards, operations_are_those_of_one_pass) {
    RgPolicy *policy = token_policy(&token_model, 1);
    RgSequences *s = many_pairs();
    RgTape *t = rg_tape_create(), *second = rg_tape_create();
    weighed(t, rg_policy_logprob(t, policy, s), 0, false);
    double flops = 0;
    for (int64_t i = 0; i < s->count; i += 2) {
        int64_t start[3];
        RgSequences view = rg_sequences_view(s, i, i + 2, start);
        double before = rg_tape_flops(second);
        weighed(second, rg_policy_logprob(second, policy, &view), i, false);
        flops += rg_tape_flops(second) - before;
        rg_tape_reset(second);
    }
    cr_expect_float_eq(rg_tape_flops(t), flops, 0.01 * flops);
    rg_tape_destroy(second);
    rg_tape_destroy(t);
    rg_sequences_destroy(s);
    rg_policy_destroy(policy);
}

Test(shards, bits_do_not_depend_on_the_threads) {
    RgPolicy *policy = token_policy(&token_model, 1);
    RgParameters *p = policy->parameters;
    RgSequences *s = many_pairs();
    uint64_t hash[4];
    for (int threads = 1; threads <= 4; threads++) {
        rg_threads_set(threads);
        rg_parameters_zero_gradient(p);
        double value = whole(rg_policy_logprob, policy, s, false);
        hash[threads - 1] = rg_hash(rg_hash(RG_HASH_START, &value, sizeof value), p->gradient,
                                    sizeof *p->gradient * (size_t)p->count);
        cr_expect_eq(hash[threads - 1], hash[0]);
    }
    rg_threads_set(1);
    rg_sequences_destroy(s);
    rg_policy_destroy(policy);
}

Test(shards, a_tape_of_second_order_has_none) {
    RgPolicy *policy = token_policy(&token_model, 1);
    RgSequences *s = many_pairs();
    RgTape *t = rg_tape_create();
    rg_tape_second_order(t, true);
    cr_expect_not(rg_shards_suit(t, policy, s));
    rg_tape_destroy(t);
    rg_sequences_destroy(s);
    rg_policy_destroy(policy);
}
