/* SPDX-License-Identifier: MIT */
/* A paper's claims held against an experiment's own figures. */
#include "analysis/compare/format.h"
#include "analysis/compare/paper_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const relation_names[] = {"above", "below", "near"};
static const char *const verdict_names[RG_CLAIM_VERDICTS] = {"not run", "holds", "does not hold",
                                                             "not decided"};

/* ---- verdicts ---- */

/* Whether an interval of differences lies where the claim has it. */
static RgClaimVerdict place(const RgPaperClaim *claim, RgInterval difference) {
    double low = difference.low, high = difference.high, within = claim->within;
    bool holds = claim->relation == RG_RELATION_ABOVE   ? low > 0
                 : claim->relation == RG_RELATION_BELOW ? high < 0
                                                        : low >= -within && high <= within;
    bool fails = claim->relation == RG_RELATION_ABOVE   ? high < 0
                 : claim->relation == RG_RELATION_BELOW ? low > 0
                                                        : low > within || high < -within;
    return holds ? RG_CLAIM_HOLDS : fails ? RG_CLAIM_DOES_NOT_HOLD : RG_CLAIM_NOT_DECIDED;
}

RgClaimVerdict rg_claim_verdict(const RgPaperClaim *claim, const RgEstimate *difference,
                                int64_t seeds) {
    if (isnan(difference->value))
        return RG_CLAIM_NOT_RUN;
    bool certain = claim->deterministic || (seeds > 1 && isnan(difference->interval.low));
    if (certain) { /* there is no chance that could decide otherwise */
        RgInterval alone = {difference->value, difference->value};
        return place(claim, alone) == RG_CLAIM_HOLDS ? RG_CLAIM_HOLDS : RG_CLAIM_DOES_NOT_HOLD;
    }
    return seeds > 1 ? place(claim, difference->interval) : RG_CLAIM_NOT_DECIDED;
}

/* ---- finding ---- */

static RgReadOf read_of(const RgPaperClaim *claim, const RgGroup *group, int64_t step) {
    RgReadAs as = claim->as == RG_READ_STEP && step < 0 ? RG_READ_END : claim->as;
    return (RgReadOf){.group = group, .as = as, .step = step, .floor = claim->floor};
}

static RgMean mean_of_number(double value) {
    return (RgMean){.summary = {.mean = value, .standard_error = NAN}, .interval = {NAN, NAN}};
}

static void find_claim(const RgPaperClaim *claim, const RgResults *results, RgFoundClaim *found) {
    bool two = claim->than.method[0] != '\0';
    int a = rg_paper_group(results, &claim->of);
    int b = two ? rg_paper_group(results, &claim->than) : -1;
    bool known = rg_results_has(results, claim->measure, &found->measure);
    if (a >= 0 && known) {
        RgReadOf of = read_of(claim, &results->groups[a], claim->step), than;
        found->of = rg_mean_read(results, &of, &found->measure);
        if (b >= 0) {
            than = read_of(claim, &results->groups[b], claim->than_step);
            found->than = rg_mean_read(results, &than, &found->measure);
        }
        if (b >= 0 || !two)
            found->difference = rg_difference_read(results, &of, b >= 0 ? &than : NULL,
                                                   claim->value, &found->measure, &found->seeds);
    }
    found->verdict = rg_claim_verdict(claim, &found->difference, found->seeds);
    if (isnan(found->of.summary.mean))
        found->missing = rg_paper_missing(results, &claim->of, a, claim->measure);
    else if (isnan(found->than.summary.mean))
        found->missing = rg_paper_missing(results, &claim->than, b, claim->measure);
}

RgFoundClaim *rg_paper_find_claims(const RgPaper *paper, const RgPaperResults *stores) {
    RgFoundClaim *all = rg_allocate(paper->claim_count, sizeof *all);
    for (int64_t i = 0; i < paper->claim_count; i++) {
        const RgPaperClaim *claim = &paper->claims[i];
        const RgResults *results = rg_paper_results(stores, claim->experiment);
        all[i] = (RgFoundClaim){.of = mean_of_number(NAN),
                                .than = mean_of_number(claim->value),
                                .difference = {.value = NAN, .interval = {NAN, NAN}}};
        if (results)
            find_claim(claim, results, &all[i]);
    }
    return all;
}

void rg_paper_found_free(const RgPaper *paper, RgFoundClaim *found) {
    for (int64_t i = 0; i < paper->claim_count; i++)
        free(found[i].missing);
    free(found);
}

/* ---- writing ---- */

/* "dpo, beta 0.1, at step 3"; malloc'd. */
static char *trials_text(const RgPaperClaim *claim, const RgPaperTrials *of, int64_t step) {
    char *text = rg_string_copy(of->method);
    for (int i = 0; i < of->conditions; i++) {
        char *longer = rg_string_format("%s, %s %g", text, of->where[i].name, of->where[i].value);
        free(text);
        text = longer;
    }
    if (claim->as != RG_READ_STEP || step < 0)
        return text;
    char *longer = rg_string_format("%s, at step %lld", text, (long long)step);
    free(text);
    return longer;
}

/* "frontier_shortfall: dpo-0.1 above ppo-0.1"; malloc'd. */
static char *test_text(const RgPaperClaim *claim) {
    char *of = trials_text(claim, &claim->of, claim->step);
    char *than = claim->than.method[0] ? trials_text(claim, &claim->than, claim->than_step)
                                       : rg_string_format("%g", claim->value);
    char *within = claim->relation == RG_RELATION_NEAR
                       ? rg_string_format(", within %g", claim->within)
                       : rg_string_copy("");
    char *text = rg_string_format(
        "%s%s: %s %s %s%s", claim->as == RG_READ_ORDER ? "order of convergence of " : "",
        claim->measure, of, relation_names[claim->relation], than, within);
    free(within);
    free(than);
    free(of);
    return text;
}

/* Its figures have the unit of the measure, except an order. */
static RgUnit unit_of(const RgPaperClaim *claim, const RgFoundClaim *found) {
    return claim->as == RG_READ_ORDER || !found->measure.name ? RG_UNIT_PLAIN : found->measure.unit;
}

static char *mean_text(const RgMean *mean, RgUnit unit) {
    return rg_format_value(mean->summary.mean, mean->summary.standard_error, unit);
}

static char *difference_text(const RgEstimate *difference, RgUnit unit) {
    RgSummary summary = {.mean = difference->value, .standard_error = NAN};
    return rg_mean_text(&summary, difference->interval, unit);
}

RgGrid rg_paper_claims_grid(const RgPaper *paper, const RgFoundClaim *found, bool here) {
    static const char *const headings[] = {"claim", "tested", "source",     "checked", "here",
                                           "than",  "seeds",  "difference", "verdict"};
    int columns = here ? 9 : 4;
    RgGrid grid = {.rows = (int)paper->claim_count + 1, .columns = columns, .names = here ? 4 : 3};
    grid.cells = rg_allocate(grid.rows * columns, sizeof *grid.cells);
    char **cell = grid.cells;
    for (int i = 0; i < columns; i++)
        *cell++ = rg_string_copy(headings[i]);
    for (int64_t i = 0; i < paper->claim_count; i++) {
        const RgPaperClaim *claim = &paper->claims[i];
        const RgFoundClaim *f = &found[i];
        RgUnit unit = unit_of(claim, f);
        *cell++ = rg_string_copy(claim->claim);
        *cell++ = test_text(claim);
        *cell++ = rg_string_copy(claim->source);
        *cell++ = rg_string_copy(claim->checked);
        if (!here)
            continue;
        *cell++ = mean_text(&f->of, unit);
        *cell++ = mean_text(&f->than, unit);
        *cell++ =
            f->seeds ? rg_string_format("%lld", (long long)f->seeds) : rg_string_copy(RG_DASH);
        *cell++ = difference_text(&f->difference, unit);
        *cell++ = rg_string_copy(verdict_names[f->verdict]);
    }
    return grid;
}

RgRecords *rg_paper_claims_records(const RgPaper *paper, const RgFoundClaim *found) {
    RgRecords *records = rg_records_create();
    for (int64_t i = 0; i < paper->claim_count; i++) {
        const RgPaperClaim *claim = &paper->claims[i];
        const RgFoundClaim *f = &found[i];
        char *tested = test_text(claim);
        rg_record_text(records, "claim", claim->claim);
        rg_record_text(records, "tested", tested);
        rg_record_text(records, "source", claim->source);
        rg_record_text(records, "checked", claim->checked);
        rg_record_number(records, "here", f->of.summary.mean);
        rg_record_number(records, "than", f->than.summary.mean);
        rg_record_number(records, "seeds", (double)f->seeds);
        rg_record_number(records, "difference", f->difference.value);
        rg_record_interval(records, "difference", f->difference.interval);
        rg_record_text(records, "verdict", verdict_names[f->verdict]);
        rg_record_end(records);
        free(tested);
    }
    return records;
}
