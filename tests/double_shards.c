/* SPDX-License-Identifier: MIT */
/* A batch in shards: none is much larger than the others, values are those of sequences on their
 * own, and so are gradients when they are added up. */
#include "core/policy/data_parallel.h"
#include "core/tensor/threads.h"
#include "tests/token_race.h"

#include <math.h>

/* Groups of `size` responses to one prompt each, of many lengths. */
static RgSequences *many_groups(uint64_t size) {
    RgSequences *s = rg_sequences_create();
    for (uint64_t i = 0; i % size > 0 || s->count == 0 || s->start[s->count] < 1200; i++)
        token_append(s, i / size, i);
    return s;
}

static RgSequences *many_pairs(void) {
    return many_groups(2);
}

/* One prompt for all. */
static RgSequences *one_group(void) {
    return many_groups(300);
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
    RgSliceCut cut;
    cr_assert(rg_data_parallel_suits(t, policy, s, &cut));
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
        RgSliceCut cut;
        cr_assert_not(rg_data_parallel_suits(t, policy, &view, &cut));
        RgTensor *y = pass(t, policy, &view);
        int64_t count = y->count;
        value += weighed(t, y, first, scalar);
        first += count;
        rg_tape_reset(t);
    }
    rg_tape_destroy(t);
    return value;
}

static void check(Pass pass, bool scalar, RgSequences *s) {
    RgPolicy *policy = token_policy(&token_model, 1);
    RgParameters *p = policy->parameters;
    double expected = by_pairs(pass, policy, s, scalar);
    RgReal *gradient = rg_allocate(p->count, sizeof *gradient);
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
    check(rg_policy_logprob, false, many_pairs());
}

Test(shards, the_likelihood_is_that_of_pairs_on_their_own) {
    check(rg_policy_log_likelihood, true, many_pairs());
}

Test(shards, log_probabilities_of_steps_stay_in_order) {
    check(rg_policy_step_logprob, false, many_pairs());
}

Test(shards, a_group_that_is_cut_gives_what_its_pairs_give) {
    check(rg_policy_logprob, false, many_groups(50));
    check(rg_policy_logprob, false, one_group());
    check(rg_policy_log_likelihood, true, one_group());
    check(rg_policy_step_logprob, false, one_group());
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

static void check_threads(RgSequences *s) {
    RgPolicy *policy = token_policy(&token_model, 1);
    RgParameters *p = policy->parameters;
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

Test(shards, bits_do_not_depend_on_the_threads) {
    check_threads(many_pairs());
    check_threads(one_group());
}

Test(shards, a_tape_of_second_order_has_none) {
    RgPolicy *policy = token_policy(&token_model, 1);
    RgSequences *s = many_pairs();
    RgTape *t = rg_tape_create();
    rg_tape_second_order(t, true);
    RgSliceCut cut;
    cr_expect_not(rg_data_parallel_suits(t, policy, s, &cut));
    rg_tape_destroy(t);
    rg_sequences_destroy(s);
    rg_policy_destroy(policy);
}

/* ---- passes without a gradient ---- */

/* Twice as long as what is cut at once, and a rest. */
static RgSequences *many_values(void) {
    RgSequences *s = rg_sequences_create();
    for (uint64_t i = 0; i < 300; i++)
        token_append(s, i / 3, i);
    return s;
}

/* Numbers of all sequences, each alone on a tape of its own. */
static int64_t one_by_one(RgPolicy *policy, RgForward forward, const RgSequences *s, RgReal *out) {
    int64_t count = 0;
    RgTape *t = rg_tape_create();
    rg_tape_record(t, false);
    for (int64_t i = 0; i < s->count; i++) {
        int64_t start[2];
        RgSequences one = rg_sequences_view(s, i, i + 1, start);
        const RgTensor *y = forward(policy, t, policy->parameters, &one);
        memcpy(out + count, y->data, (size_t)y->count * sizeof *out);
        count += y->count;
        rg_tape_reset(t);
    }
    rg_tape_destroy(t);
    return count;
}

Test(shards, values_of_sequences_and_of_steps_are_in_their_places) {
    RgPolicy *policy = token_policy(&token_model, 1);
    RgSequences *s = many_values();
    int64_t steps = rg_sequences_response_tokens(s), width = token_model.width;
    RgReal *expected = rg_allocate(steps * width, sizeof *expected);
    RgReal *state = rg_allocate(steps * width, sizeof *state);
    double *value = rg_allocate(steps, sizeof *value);
    cr_assert(rg_data_parallel_suits_batch(policy, s));
    for (int threads = 1; threads <= 3; threads++) {
        rg_threads_set(threads);
        cr_assert_eq(one_by_one(policy, policy->type->logprob, s, expected), s->count);
        rg_policy_logprob_values(policy, s, value);
        for (int64_t i = 0; i < s->count; i++)
            cr_assert_float_eq(value[i], expected[i], 1e-12 * (1 + fabs(value[i])));
        cr_assert_eq(one_by_one(policy, policy->type->step_logprob, s, expected), steps);
        rg_policy_step_values(policy, s, value);
        for (int64_t i = 0; i < steps; i++)
            cr_assert_float_eq(value[i], expected[i], 1e-12 * (1 + fabs(value[i])));
        cr_assert_eq(one_by_one(policy, policy->type->state_features, s, expected), steps * width);
        rg_policy_state_values(policy, s, state);
        for (int64_t i = 0; i < steps * width; i++)
            cr_assert_float_eq(state[i], expected[i], 1e-12 * (1 + fabs(state[i])));
    }
    rg_threads_set(1);
    free(value);
    free(state);
    free(expected);
    rg_sequences_destroy(s);
    rg_policy_destroy(policy);
}

/* ---- the cut ---- */

enum { LONGEST = 2000 };

/* A response of so many tokens to the prompt of that number. */
static void append_lengths(RgSequences *s, int64_t prompt, int64_t prompt_length,
                           int64_t response_length) {
    int32_t tokens[LONGEST];
    for (int64_t i = 0; i < LONGEST; i++)
        tokens[i] = (int32_t)(i == 0 && prompt_length > 1 ? prompt : i);
    rg_sequences_append(s, tokens, prompt_length, tokens, response_length);
}

/* Tokens that a pass over sequences [first, last) reads or predicts. */
static int64_t tokens_of(const RgSequences *s, int64_t first, int64_t last) {
    int64_t tokens = 0, before = -1;
    for (int64_t i = first; i < last; i++) {
        int64_t response = rg_sequence_response_length(s, i);
        if (response > 0 && (before < 0 || !rg_sequences_same_prompt(s, before, i)))
            tokens += s->prompt_length[i];
        before = response > 0 ? i : before;
        tokens += response;
    }
    return tokens;
}

/* The cut, which is whole, and in which no shard has more than twice its share of the tokens but
 * where it is a single sequence. */
static RgSliceCut check_cut(RgSequences *s, const char *what) {
    RgSliceCut cut = rg_slice_cut(s, 0, s->count);
    int64_t all = 0;
    cr_assert(cut.count > 1 && cut.count <= RG_SLICES, "%s: %d", what, (int)cut.count);
    cr_expect_eq(cut.first[0], 0);
    cr_expect_eq(cut.first[cut.count], s->count);
    for (int64_t i = 0; i < cut.count; i++) {
        cr_assert_gt(cut.first[i + 1], cut.first[i]);
        cr_expect_eq(cut.tokens[i], tokens_of(s, cut.first[i], cut.first[i + 1]));
        all += cut.tokens[i];
    }
    for (int64_t i = 0; i < cut.count; i++) {
        int64_t alone = 0;
        for (int64_t k = cut.first[i]; k < cut.first[i + 1]; k++)
            alone += rg_sequence_response_length(s, k) > 0;
        cr_expect(alone == 1 || RG_SLICES * cut.tokens[i] <= 2 * all,
                  "%s: shard %d of %d has %d of %d tokens", what, (int)i, (int)cut.count,
                  (int)cut.tokens[i], (int)all);
    }
    rg_sequences_destroy(s);
    return cut;
}

static int64_t drawn(uint64_t stream, int64_t i, int64_t least, int64_t most) {
    return least + (int64_t)rg_random_below(rg_random_root(stream), (uint64_t)i,
                                            (uint64_t)(most - least + 1));
}

static RgSequences *of_lengths(int64_t prompts, int64_t copies, int64_t prompt_length,
                               int64_t least, int64_t most) {
    RgSequences *s = rg_sequences_create();
    for (int64_t i = 0; i < prompts * copies; i++)
        append_lengths(s, i / copies, prompt_length, drawn(1, i, least, most));
    return s;
}

/* Pairs stay together: there are enough of them. */
Test(shards, pairs_are_cut_evenly_and_kept_whole) {
    RgSequences *s = of_lengths(32, 2, 30, 20, 64);
    int64_t once = tokens_of(s, 0, s->count);
    RgSliceCut cut = check_cut(s, "pairs");
    cr_expect_eq(rg_slice_cut_tokens(&cut), once);
    for (int64_t i = 0; i < cut.count; i++)
        cr_expect_eq(cut.first[i] % 2, 0);
    check_cut(of_lengths(9, 2, 30, 20, 64), "nine pairs");
    check_cut(of_lengths(5, 2, 100, 20, 64), "five pairs");
}

/* What begins with the same token is no group that has to stay together; nor are sequences without
 * any prompt. */
Test(shards, whole_texts_are_cut_evenly) {
    for (int64_t begins = 0; begins <= 1; begins++) {
        RgSliceCut cut = check_cut(of_lengths(1, 32, begins, 30, 190), "whole texts");
        cr_expect_eq(cut.count, RG_SLICES);
    }
}

Test(shards, groups_of_eight_are_cut_evenly) {
    check_cut(of_lengths(32, 8, 30, 20, 64), "32 groups");
    check_cut(of_lengths(5, 8, 30, 20, 64), "five groups");
    check_cut(of_lengths(3, 8, 30, 20, 64), "three groups");
    check_cut(of_lengths(2, 8, 30, 20, 64), "two groups");
}

Test(shards, sequences_of_one_prompt_are_cut_evenly) {
    check_cut(of_lengths(1, 64, 200, 20, 64), "a long prompt");
    check_cut(of_lengths(1, 16, 30, 20, 64), "few responses");
}

Test(shards, sequences_of_very_unequal_lengths_are_cut_evenly) {
    for (int64_t giant = 0; giant < 3; giant++) {
        RgSequences *s = rg_sequences_create();
        for (int64_t i = 0; i < 40; i++) /* the longest has more than a third of all tokens */
            append_lengths(s, i / 2, 10,
                           i == 19 * giant ? LONGEST : drawn(2, i, 0, 6) * drawn(3, i, 0, 30));
        RgSliceCut cut = check_cut(s, "unequal lengths");
        cr_expect_gt(cut.count, 4);
    }
    for (uint64_t draw = 0; draw < 200; draw++) {
        RgSequences *s = rg_sequences_create();
        int64_t copies = drawn(4, (int64_t)draw, 1, 9), n = drawn(5, (int64_t)draw, 16, 80);
        for (int64_t i = 0; i < n; i++) {
            double size = exp(rg_random_normal(rg_random_root(6 + draw), (uint64_t)i));
            append_lengths(s, i / copies, 1 + (i / copies) % 7, (int64_t)fmin(30 * size, LONGEST));
        }
        check_cut(s, "drawn lengths");
    }
}

/* A long prompt that is read in each of eight shards would cost more than it gives. */
Test(shards, a_prompt_is_not_read_again_where_it_is_most_of_the_work) {
    RgSequences *s = of_lengths(1, 8, 1000, 10, 10);
    RgSliceCut cut = rg_slice_cut(s, 0, s->count);
    cr_expect_eq(cut.count, 1);
    cr_expect_not(rg_data_parallel_suits_cut(&cut));
    rg_sequences_destroy(s);
    s = of_lengths(4, 8, 1000, 10, 10);
    cut = rg_slice_cut(s, 0, s->count);
    cr_expect_eq(cut.count, 4);
    cr_expect_eq(rg_slice_cut_tokens(&cut), 4 * 1080);
    rg_sequences_destroy(s);
}

static double cost_of(const RgSliceCut *cut, int64_t all) {
    double cost = 0;
    for (int64_t i = 0; i < cut->count; i++)
        cost += rg_slice_cost(cut->tokens[i], all);
    return cost;
}

/* Of all ways to cut four groups of three, each tried. */
Test(shards, no_other_cut_costs_less) {
    enum { SEQUENCES = 12 };
    for (int64_t draw = 0; draw < 50; draw++) {
        RgSequences *s = rg_sequences_create();
        for (int64_t i = 0; i < SEQUENCES; i++)
            append_lengths(s, i / 3, 5 + 10 * (draw % 5), drawn(10 + (uint64_t)draw, i, 0, 60));
        RgSliceCut found = rg_slice_cut(s, 0, SEQUENCES);
        int64_t all = tokens_of(s, 0, SEQUENCES);
        double best = INFINITY;
        for (unsigned cuts = 0; cuts < 1U << (SEQUENCES - 1); cuts++) {
            RgSliceCut cut = {0};
            for (int64_t i = 1; i <= SEQUENCES && cut.count < RG_SLICES; i++)
                if (i == SEQUENCES || cuts >> (i - 1) & 1) {
                    cut.tokens[cut.count] = tokens_of(s, cut.first[cut.count], i);
                    cut.first[++cut.count] = i;
                }
            if (cut.first[cut.count] == SEQUENCES)
                best = fmin(best, cost_of(&cut, all));
        }
        cr_expect_eq(cost_of(&found, all), best);
        rg_sequences_destroy(s);
    }
}

/* Several sequences are taken at a time. */
Test(shards, a_batch_of_thousands_is_cut_evenly) {
    RgSliceCut cut = check_cut(of_lengths(3000, 2, 5, 1, 9), "thousands");
    cr_expect_eq(cut.count, RG_SLICES);
    cr_expect_lt(RG_SLICES * (double)rg_slice_cut_largest(&cut),
                 1.05 * (double)rg_slice_cut_tokens(&cut));
}

Test(shards, of_equal_lengths_the_cut_is_known_from_them) {
    const int64_t load[][4] = {{32, 2, 30, 50}, {9, 2, 30, 50},  {4, 8, 30, 50},
                               {1, 40, 60, 25}, {32, 1, 1, 100}, {1, 8, 1000, 10}};
    for (size_t i = 0; i < sizeof load / sizeof *load; i++) {
        const int64_t *l = load[i];
        RgSequences *s = of_lengths(l[0], l[1], l[2], l[3], l[3]);
        if (l[2] == 1) /* prompts that differ */
            for (int64_t k = 0; k < s->count; k++)
                s->tokens[s->start[k]] = (int32_t)k;
        RgSliceCut found = rg_slice_cut(s, 0, s->count);
        RgSliceCut planned = rg_slice_cut_evenly(l[0], l[1], l[2], l[3]);
        cr_assert_eq(planned.count, found.count);
        for (int64_t k = 0; k < found.count; k++) {
            cr_expect_eq(planned.first[k], found.first[k]);
            cr_expect_eq(planned.tokens[k], found.tokens[k]);
        }
        rg_sequences_destroy(s);
    }
}
