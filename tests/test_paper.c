/* SPDX-License-Identifier: MIT */
/* Claims of papers: the verdict of an interval, and orders of convergence of sequences whose order is
 * known. */
#include <criterion/criterion.h>

#include "analysis/compare/paper.h"

#include <math.h>

/* ---- verdicts ---- */

typedef struct Case {
    RgRelation relation;
    double within, value, low, high;
    int64_t seeds;
    bool deterministic;
    RgClaimVerdict expected;
} Case;

static void check(const Case *c) {
    RgPaperClaim claim = {
        .relation = c->relation, .within = c->within, .deterministic = c->deterministic};
    RgEstimate difference = {.value = c->value, .interval = {c->low, c->high}};
    RgClaimVerdict verdict = rg_claim_verdict(&claim, &difference, c->seeds);
    cr_expect_eq(verdict, c->expected, "relation %d, %g [%g, %g], %lld seeds: %d", c->relation,
                 c->value, c->low, c->high, (long long)c->seeds, verdict);
}

Test(paper, an_interval_on_one_side_of_zero_decides_a_claim) {
    static const Case cases[] = {
        {RG_RELATION_ABOVE, NAN, 2, 1, 3, 5, false, RG_CLAIM_HOLDS},
        {RG_RELATION_ABOVE, NAN, -2, -3, -1, 5, false, RG_CLAIM_DOES_NOT_HOLD},
        {RG_RELATION_ABOVE, NAN, 2, -1, 5, 5, false, RG_CLAIM_NOT_DECIDED},
        {RG_RELATION_BELOW, NAN, -2, -3, -1, 5, false, RG_CLAIM_HOLDS},
        {RG_RELATION_BELOW, NAN, 2, 1, 3, 5, false, RG_CLAIM_DOES_NOT_HOLD},
        {RG_RELATION_BELOW, NAN, -2, -5, 1, 5, false, RG_CLAIM_NOT_DECIDED},
        {RG_RELATION_NEAR, 1, 0.2, -0.5, 0.9, 5, false, RG_CLAIM_HOLDS},
        {RG_RELATION_NEAR, 1, 0.2, -0.9, 1.3, 5, false, RG_CLAIM_NOT_DECIDED},
        {RG_RELATION_NEAR, 1, 2, 1.1, 2.9, 5, false, RG_CLAIM_DOES_NOT_HOLD},
        {RG_RELATION_NEAR, 1, -2, -2.9, -1.1, 5, false, RG_CLAIM_DOES_NOT_HOLD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(&cases[i]);
}

Test(paper, one_seed_decides_only_where_nothing_is_drawn) {
    static const Case cases[] = {
        {RG_RELATION_ABOVE, NAN, 2, NAN, NAN, 1, false, RG_CLAIM_NOT_DECIDED},
        {RG_RELATION_ABOVE, NAN, 2, 1, 3, 1, false, RG_CLAIM_NOT_DECIDED}, /* over prompts alone */
        {RG_RELATION_ABOVE, NAN, 2, NAN, NAN, 1, true, RG_CLAIM_HOLDS},
        {RG_RELATION_ABOVE, NAN, -2, NAN, NAN, 1, true, RG_CLAIM_DOES_NOT_HOLD},
        {RG_RELATION_BELOW, NAN, 2, NAN, NAN, 1, true, RG_CLAIM_DOES_NOT_HOLD},
        {RG_RELATION_NEAR, 0.5, 0.5, NAN, NAN, 1, true, RG_CLAIM_HOLDS},
        {RG_RELATION_NEAR, 0.5, 0.6, NAN, NAN, 1, true, RG_CLAIM_DOES_NOT_HOLD},
        {RG_RELATION_ABOVE, NAN, 0, NAN, NAN, 1, true, RG_CLAIM_DOES_NOT_HOLD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(&cases[i]);
}

Test(paper, seeds_that_all_differ_alike_decide) {
    static const Case cases[] = {
        {RG_RELATION_ABOVE, NAN, 2, NAN, NAN, 3, false, RG_CLAIM_HOLDS},
        {RG_RELATION_BELOW, NAN, 2, NAN, NAN, 3, false, RG_CLAIM_DOES_NOT_HOLD},
        {RG_RELATION_ABOVE, NAN, NAN, NAN, NAN, 3, false, RG_CLAIM_NOT_RUN},
        {RG_RELATION_ABOVE, NAN, NAN, NAN, NAN, 0, true, RG_CLAIM_NOT_RUN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(&cases[i]);
}

Test(paper, a_figure_without_a_run_says_so) {
    RgReported reported = {.value = "0.5",
                           .exact = NAN,
                           .tolerance = 0.1,
                           .tolerance_reason = "",
                           .differs = "",
                           .not_comparable = ""};
    RgInterval none = {NAN, NAN};
    cr_expect_eq(rg_reported_verdict(&reported, NAN, none), RG_VERDICT_NOT_RUN);
    cr_expect_eq(rg_reported_verdict(&reported, 0.55, none), RG_VERDICT_AGREES);
    cr_expect_eq(rg_reported_verdict(&reported, 0.65, none), RG_VERDICT_DIFFERS);
    cr_expect_eq(rg_reported_verdict(&reported, 0.65, (RgInterval){0.55, 0.75}), RG_VERDICT_AGREES);
    reported.tolerance = NAN;
    cr_expect_eq(rg_reported_verdict(&reported, 0.55, none), RG_VERDICT_NONE);
}

/* ---- orders of convergence ---- */

/* e(k + 1) = factor·e(k)^order */
static double order_of(double factor, double order, int count, double floor) {
    double errors[20] = {0.5};
    for (int k = 1; k < count; k++)
        errors[k] = factor * pow(errors[k - 1], order);
    return rg_convergence_order(errors, count, floor);
}

Test(paper, orders_of_convergence_are_those_of_the_sequence) {
    cr_expect_float_eq(order_of(0.3, 1, 20, 0), 1, 1e-12);
    cr_expect_float_eq(order_of(0.7, 2, 6, 0), 2, 1e-12);
    cr_expect_float_eq(order_of(1, 1.618, 8, 0), 1.618, 1e-12);
}

Test(paper, errors_that_rounding_sets_are_no_part_of_an_order) {
    double errors[] = {0.5, 0.25, 0.0625, 0.00390625, 1e-7, 3e-7, 2e-7, 1e-7};
    cr_expect_float_eq(rg_convergence_order(errors, 8, 1e-6), 2, 1e-12);
    cr_expect(fabs(rg_convergence_order(errors, 8, 0) - 2) > 0.1);
}

Test(paper, an_order_needs_three_errors_that_change) {
    double errors[] = {0.5, 0.25, 0.125}, equal[] = {0.5, 0.5, 0.5, 0.5};
    cr_expect(isnan(rg_convergence_order(errors, 2, 0)));
    cr_expect(isnan(rg_convergence_order(errors, 3, 0.2)));
    cr_expect(isnan(rg_convergence_order(equal, 4, 0)));
    cr_expect(isnan(rg_convergence_order(errors, 0, 0)));
    errors[0] = NAN;
    cr_expect(isnan(rg_convergence_order(errors, 3, 0)));
}
