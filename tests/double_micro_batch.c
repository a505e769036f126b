/* SPDX-License-Identifier: MIT */
/* A batch in parts, and in shards: loss, metrics and gradient are those of the whole batch. On a
 * transformer with responses of different lengths, so that shares by pairs and by tokens differ. */
#include "tests/token_race.h"

#include <math.h>

enum { BATCH = 8 };

static RgTrainingOptions cut(int64_t shards, int64_t micro_batch) {
    return (RgTrainingOptions){
        .batch = BATCH, .shards = shards, .micro_batch = micro_batch, .temperature = 1, .top_p = 1};
}

/* One step's loss, with metrics and gradient left in the race. */
static double step_of(TokenRace *race, const char *name, const char *given, int64_t shards,
                      int64_t micro_batch) {
    RgTrainingOptions training = cut(shards, micro_batch);
    RgError error = {0};
    cr_assert_eq(token_race_begin(race, name, given, &training, NULL, &error), RG_OK, "%s",
                 error.text);
    return step_gradient(race->trainer, 4);
}

static void check_parts(const char *name, const char *given) {
    TokenRace whole, parts;
    double loss = step_of(&whole, name, given, 1, 0);
    const RgParameters *p = whole.policy->parameters;
    double norm = rg_parameters_gradient_norm(p);
    cr_assert_gt(norm, 1e-2);
    const int64_t cuts[][2] = {{1, 1}, {1, 3},     {1, BATCH}, {3, 0},
                               {4, 0}, {BATCH, 0}, {3, 2},     {2, 1}};
    for (size_t k = 0; k < sizeof cuts / sizeof *cuts; k++) {
        double found = step_of(&parts, name, given, cuts[k][0], cuts[k][1]);
        cr_assert_float_eq(found, loss, 1e-12 * (1 + fabs(loss)));
        cr_assert_eq(parts.trainer->outcome.metric_count, whole.trainer->outcome.metric_count);
        for (int i = 0; i < whole.trainer->outcome.metric_count; i++) {
            double value = whole.trainer->outcome.metrics[i].value;
            cr_assert_float_eq(parts.trainer->outcome.metrics[i].value, value,
                               1e-12 * (1 + fabs(value)));
        }
        for (int64_t i = 0; i < p->count; i++)
            cr_assert_float_eq(parts.policy->parameters->gradient[i], p->gradient[i], 1e-12 * norm,
                               "%s in %d shards, parts of %d", name, (int)cuts[k][0],
                               (int)cuts[k][1]);
        token_race_end(&parts);
    }
    token_race_end(&whole);
}

Test(micro_batch, of_dpo_and_its_like_adds_up_to_the_batch) {
    check_parts("dpo", "");
    check_parts("chi-po", "");
    check_parts("hybrid", "kl_coefficient=0.3");
    check_parts("wpo", "beta=1");
    check_parts("orpo", "");
    check_parts("cpo", "length_normalisation=true");
}

/* The shift is that of earlier steps; and all terms that losses share. */
Test(micro_batch, of_bco_and_of_shared_terms_adds_up_to_the_batch) {
    check_parts("bco", "");
    check_parts("bco", "single=true");
    check_parts("dpo", "beta=1 sft_coefficient=0.3 dpop_coefficient=2 length_normalisation=true "
                       "length_coefficient=0.1");
    check_parts("apo", "beta=1 sft_coefficient=0.3 sft_logprob=sum dpop_coefficient=2");
}

Test(micro_batch, of_policy_labels_and_their_score_adds_up_to_the_batch) {
    check_parts("sail-dp", "");
}

/* Shares of tokens: demonstrations without any make parts that are empty. */
Test(micro_batch, of_demonstrations_adds_up_to_the_batch) {
    check_parts("sft", "");
}

/* Their responses have single steps, their groups means of their own. */
Test(micro_batch, of_groups_adds_up_to_the_batch) {
    check_parts("grpo", "group_size=3");
    check_parts("rebel", "");
    check_parts("sppo", "group_size=3");
}

/* Weights after steps of several epochs, of which the later ones read what the first one kept of
 * each part. */
static void check_epochs(const char *name, const char *given) {
    const int64_t cuts[][2] = {{1, 0}, {1, 3}, {3, 0}, {3, 2}};
    TokenRace race[4];
    for (int k = 0; k < 4; k++) {
        RgTrainingOptions training = cut(cuts[k][0], cuts[k][1]);
        RgError error = {0};
        cr_assert_eq(token_race_begin(&race[k], name, given, &training, NULL, &error), RG_OK, "%s",
                     error.text);
        for (int s = 0; s < 2; s++)
            cr_assert(take_step(race[k].trainer), "%s", race[k].trainer->outcome.diverged);
        const RgParameters *p = race[k].policy->parameters, *whole = race[0].policy->parameters;
        for (int64_t i = 0; i < p->count; i++)
            cr_assert_float_eq(p->value[i], whole->value[i], 1e-9, "%s: %.17g, of the whole %.17g",
                               name, p->value[i], whole->value[i]);
        const RgOutcome *outcome = &race[k].trainer->outcome;
        for (int i = 0; i < outcome->metric_count; i++)
            cr_assert_float_eq(outcome->metrics[i].value, race[0].trainer->outcome.metrics[i].value,
                               1e-9, "%s: %s", name, outcome->metrics[i].name);
    }
    for (int k = 0; k < 4; k++)
        token_race_end(&race[k]);
}

Test(micro_batch, of_several_epochs_adds_up_in_each) {
    check_epochs("grpo", "group_size=3 epochs=3 clip=0.01");
    check_epochs("rebel", "epochs=3");
}

Test(micro_batch, is_refused_where_a_loss_is_no_mean_over_pairs) {
    RgTrainingOptions part = cut(1, 3), whole = cut(1, BATCH);
    TokenRace race;
    RgError error = {0};
    cr_assert_eq(token_race_begin(&race, "sail-dp", "score_term=baseline", &part, NULL, &error),
                 RG_E_USAGE);
    cr_assert(strstr(error.text, "training.micro_batch"), "%s", error.text);
    token_race_end(&race);
    cr_assert_eq(token_race_begin(&race, "sail-dp", "score_term=baseline", &whole, NULL, &error),
                 RG_OK);
    token_race_end(&race);
}
