/* SPDX-License-Identifier: MIT */
/* The contract of algorithms, checked in the small race. check_loss.c checks the gradient of a
 * loss. */
#include "core/files.h"
#include "core/tensor/profile.h"
#include "core/tensor/threads.h"
#include "experiments/program/plugins/check_plugin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static RgSmallRaceTerms terms_of(const RgAlgorithm *algorithm, const char *options, int64_t batch) {
    return (RgSmallRaceTerms){.algorithm = algorithm,
                              .options = options,
                              .bandit = "contexts=3 responses=5 pairs=200",
                              .deviation = 0.1,
                              .batch = batch};
}

/* Begins a race and makes some steps; an error fails the claim. End the race in any case. */
static bool go(RgSmallRace *race, int steps, RgClaims *claims, const char *claim) {
    RgError error = {0};
    for (int s = 0; s < steps; s++) {
        RgStatus status = rg_trainer_step(race->trainer, &error);
        const char *diverged = race->trainer->outcome.diverged;
        if (status != RG_OK || diverged) /* steps are counted as in a trial's results */
            return rg_claim(claims, false, claim, "step %lld: %s", (long long)race->trainer->step,
                            status != RG_OK ? error.text : diverged);
    }
    return true;
}

static bool begin(const RgSmallRaceTerms *terms, RgSmallRace *race, RgClaims *claims,
                  const char *claim) {
    RgError error = {0};
    rg_claim_begin(claim);
    if (rg_small_race_begin(terms, race, &error) == RG_OK)
        return true;
    return rg_claim(claims, false, claim, "%s", error.text);
}

static bool trains(const RgAlgorithm *algorithm) {
    return algorithm->loss || algorithm->step;
}

/* ---- exact expectations ---- */

/* Of a loss of pairs whose mean lacks the weights of exact pairs. It is sound on samples, so that
 * this is no claim. */
static void note_expectation(const RgAlgorithm *algorithm, const char *options, RgClaims *claims) {
    RgSmallRaceTerms terms = terms_of(algorithm, options, 16);
    RgSmallRace race;
    double loss;
    terms.expectation = RG_EXACT_EXPECTATION;
    if (algorithm->loss && rg_small_race_begin(&terms, &race, NULL) == RG_OK &&
        rg_trainer_gradient(race.trainer, 0, &loss, NULL) != RG_OK && !race.trainer->now.weighted)
        rg_claim_nothing(claims, "exact expectations",
                         "it cannot be trained with training.expectation = \"exact\", as its loss "
                         "takes no mean by rg_batch_mean");
    if (algorithm->loss)
        rg_small_race_end(&race);
}

/* ---- bits ---- */

/* The policy's bits after a few steps; false after an error. */
static bool bits_with(int threads, const RgSmallRaceTerms *terms, uint64_t *bits, RgClaims *claims,
                      const char *claim) {
    enum { STEPS = 6 };
    RgSmallRace race;
    rg_threads_set(threads);
    bool good = begin(terms, &race, claims, claim) && go(&race, STEPS, claims, claim);
    if (good)
        *bits = rg_parameters_hash(race.policy->parameters);
    rg_small_race_end(&race);
    return good;
}

void rg_claim_threads(const RgAlgorithm *algorithm, const char *options, RgClaims *claims) {
    static const char claim[] = "the same bits again, with any number of threads";
    RgSmallRaceTerms terms = terms_of(algorithm, options, 16);
    int before = rg_threads(), most = rg_processors() > 2 ? rg_processors() : 3;
    uint64_t one, other;
    const int counts[] = {1, 2, most};
    bool good = bits_with(1, &terms, &one, claims, claim), same = true;
    int at = 0;
    for (int i = 0; i < 3 && good && same; i++) {
        at = counts[i];
        good = bits_with(at, &terms, &other, claims, claim);
        same = good && other == one;
    }
    rg_threads_set(before);
    if (good && same)
        rg_claim(claims, true, claim, "1, 2 and %d threads", most);
    else if (good)
        rg_claim(claims, false, claim, "another run with %d thread%s ends with other weights", at,
                 at == 1 ? "" : "s");
}

/* ---- micro-batches ---- */

/* Gradient of the first batch, in micro-batches of a given size. The caller frees it; NULL on
 * error. */
static RgReal *gradient_in(const RgSmallRaceTerms *terms, int64_t *count, RgClaims *claims,
                           const char *claim) {
    RgSmallRace race;
    RgError error = {0};
    double loss;
    RgReal *gradient = NULL;
    if (begin(terms, &race, claims, claim)) {
        const RgParameters *p = race.policy->parameters;
        if (rg_trainer_gradient(race.trainer, 0, &loss, &error) == RG_OK) {
            *count = p->count;
            gradient = rg_allocate(p->count, sizeof *gradient);
            memcpy(gradient, p->gradient, (size_t)p->count * sizeof *gradient);
        } else {
            rg_claim(claims, false, claim, "%s", error.text);
        }
    }
    rg_small_race_end(&race);
    return gradient;
}

static bool couples(const RgSmallRaceTerms *terms) {
    RgSmallRace race;
    bool found = rg_small_race_begin(terms, &race, NULL) == RG_OK && race.trainer->recipe.couples;
    rg_small_race_end(&race);
    return found;
}

void rg_claim_parts(const RgAlgorithm *algorithm, const char *options, RgClaims *claims) {
    static const char claim[] = "a batch in parts has the gradient of the whole one";
    RgSmallRaceTerms terms = terms_of(algorithm, options, 16);
    if (!algorithm->loss || couples(&terms)) {
        rg_claim_nothing(claims, claim,
                         algorithm->loss ? "its recipe says that a batch cannot be split (couples)"
                                         : "it has no loss of a batch");
        return;
    }
    int64_t count = 0;
    RgReal *whole = gradient_in(&terms, &count, claims, claim);
    terms.micro_batch = 3;
    RgReal *parts = whole ? gradient_in(&terms, &count, claims, claim) : NULL;
    double apart = 0, norm = 0;
    for (int64_t i = 0; parts && i < count; i++) {
        apart += pow((double)parts[i] - (double)whole[i], 2);
        norm += pow((double)whole[i], 2);
    }
    bool same = sqrt(apart) <= 1e-4 * sqrt(norm);
    if (parts && norm > 0)
        rg_claim(claims, same, claim, "off by %.1g of its norm, %.3g%s", sqrt(apart / norm),
                 sqrt(norm),
                 same ? "" : "; a loss that is not a mean over prompts must set recipe->couples");
    else if (parts)
        rg_claim(claims, false, claim, "the gradient of the whole batch is 0");
    free(whole);
    free(parts);
}

/* ---- checkpoints ---- */

enum { STEPS_BEFORE = 5, STEPS_AFTER = 5 };

static RgStatus save(const RgCheckpoint *checkpoint, const char *path, RgError *error) {
    RgNewFile file;
    RG_TRY(rg_new_file_begin(path, &file, error));
    return rg_new_file_end(&file, rg_checkpoint_write(checkpoint, &file, "check", error), error);
}

/* The bits at the end of a trial that writes a checkpoint half-way, or resumes from it. */
static bool run_half(const RgSmallRaceTerms *terms, const char *path, bool saves, uint64_t *bits,
                     RgClaims *claims, const char *claim) {
    RgSmallRace race;
    RgError error = {0};
    bool good = begin(terms, &race, claims, claim);
    RgCheckpoint *checkpoint = rg_checkpoint_create();
    if (good) {
        rg_trainer_checkpoint(race.trainer, checkpoint);
        good = !saves || go(&race, STEPS_BEFORE, claims, claim);
    }
    RgStatus status = RG_OK;
    if (good)
        status = saves ? save(checkpoint, path, &error)
                       : rg_checkpoint_load(checkpoint, path, "check", &error);
    if (status != RG_OK)
        good = rg_claim(claims, false, claim, "%s", error.text);
    good = good && go(&race, STEPS_AFTER, claims, claim);
    if (good)
        *bits = rg_parameters_hash(race.policy->parameters);
    rg_checkpoint_destroy(checkpoint);
    rg_small_race_end(&race);
    return good;
}

void rg_claim_checkpoint(const RgAlgorithm *algorithm, const char *options, RgClaims *claims) {
    static const char claim[] = "a trial that resumes from its checkpoint ends with the same bits";
    RgSmallRaceTerms terms = terms_of(algorithm, options, 16);
    RgError error = {0};
    char *folder = NULL;
    uint64_t whole = 0, resumed = 0;
    if (rg_scratch_folder("check-plugin", &folder, &error) != RG_OK) {
        rg_claim(claims, false, claim, "%s", error.text);
        return;
    }
    char *path = rg_string_format("%s/checkpoint.safetensors", folder);
    if (run_half(&terms, path, true, &whole, claims, claim) &&
        run_half(&terms, path, false, &resumed, claims, claim))
        rg_claim(claims, whole == resumed, claim, "%d steps of %d%s", STEPS_AFTER,
                 STEPS_BEFORE + STEPS_AFTER,
                 whole == resumed ? ""
                                  : ": other weights; state that a step changes, other than the "
                                    "policy, belongs in the state and its checkpoint");
    rg_folder_remove(folder);
    free(path);
    free(folder);
}

/* ---- costs ---- */

enum { COST_STEPS = 4, COST_BATCH = 16 };

/* Responses of one kind before and during the steps, as declared by the method. */
static double declared(const RgWork *create, const RgWork *step, RgWorkKind kind) {
    return rg_work_responses(create, kind) + COST_STEPS * rg_work_responses(step, kind);
}

static void claim_work_of(RgSmallRace *race, RgClaims *claims, const char *claim) {
    const RgPolicySpace *space = &race->environment->space;
    const RgWorkTerms terms = {.batch = COST_BATCH,
                               .steps = 1,
                               .parameters = race->policy->parameters->count,
                               .enumerated = space->contexts * space->responses};
    const RgMeter *m = &race->trainer->meter;
    RgWork create, step;
    if (!rg_algorithm_work(race->algorithm, race->options, &terms, &create, &step)) {
        rg_claim_nothing(claims, claim, "it does not declare its work");
        return;
    }
    double sampled = declared(&create, &step, RG_WORK_SAMPLED);
    double judged = declared(&create, &step, RG_WORK_JUDGED);
    bool exact = !create.at_most && !step.at_most;
    if (!go(race, COST_STEPS, claims, claim))
        return;
    double tokens = (double)m->generated_tokens, queries = (double)m->judge_queries;
    rg_claim(claims,
             exact ? tokens == sampled && queries == judged
                   : tokens <= sampled && queries <= judged,
             claim,
             "%.0f responses sampled, %.0f judged in %d steps of %d, where its work has %s%.0f and "
             "%.0f",
             tokens, queries, COST_STEPS, COST_BATCH, exact ? "" : "at most ", sampled, judged);
}

/* A method that has its own step samples and judges what it declares. */
static void claim_work(const RgAlgorithm *algorithm, const char *options, RgClaims *claims) {
    static const char claim[] = "a step costs what its work says";
    RgSmallRaceTerms terms = terms_of(algorithm, options, COST_BATCH);
    RgSmallRace race;
    if (begin(&terms, &race, claims, claim))
        claim_work_of(&race, claims, claim);
    rg_small_race_end(&race);
}

void rg_claim_costs(const RgAlgorithm *algorithm, const char *options, RgClaims *claims) {
    enum { STEPS = COST_STEPS, BATCH = COST_BATCH };
    static const char claim[] = "a step costs what its recipe says";
    if (!algorithm->loss) {
        claim_work(algorithm, options, claims);
        return;
    }
    RgSmallRaceTerms terms = terms_of(algorithm, options, BATCH);
    RgSmallRace race;
    if (begin(&terms, &race, claims, claim)) {
        const RgRecipe *r = &race.trainer->recipe;
        const RgMeter *m = &race.trainer->meter;
        RgRecipeCounts c = rg_recipe_counts(r);
        /* the on-policy prompts of a batch are drawn at random */
        bool exact = r->on_policy == 1 || c.sampled + c.judged == 0;
        int64_t all = STEPS * BATCH, sampled = all * (c.sampled + c.third);
        int64_t judged = all * c.judged, trained = all * c.trained * r->epochs;
        if (go(&race, STEPS, claims, claim))
            rg_claim(
                claims,
                (exact ? m->generated_tokens == sampled && m->judge_queries == judged
                       : m->generated_tokens <= sampled && m->judge_queries <= judged) &&
                    m->trained_tokens == trained,
                claim,
                "%lld responses sampled, %lld judged, %lld trained on in %d steps of %d, where "
                "the recipe has %s%lld, %lld and %lld",
                (long long)m->generated_tokens, (long long)m->judge_queries,
                (long long)m->trained_tokens, STEPS, BATCH, exact ? "" : "at most ",
                (long long)sampled, (long long)judged, (long long)trained);
    }
    rg_small_race_end(&race);
}

/* The profile counts every operation where it is executed. */
void rg_claim_flops(const RgAlgorithm *algorithm, const char *options, RgClaims *claims) {
    static const char claim[] = "all operations are metered";
    if (!rg_profile_is_running())
        rg_profile_start();
    RgSmallRaceTerms terms = terms_of(algorithm, options, 16);
    RgSmallRace race;
    if (begin(&terms, &race, claims, claim) && go(&race, 3, claims, claim)) {
        double done = rg_profile_all_flops() - race.flops_before;
        double metered = race.trainer->meter.flops;
        rg_claim(claims, fabs(metered - done) <= 1e-9 * done && (done > 0 || !trains(algorithm)),
                 claim, "%.0f floating-point operations in 3 steps, %.0f metered", done, metered);
    }
    rg_small_race_end(&race);
}

/* ---- learning ---- */

static void claim_reward(RgSmallRace *race, RgClaims *claims) {
    enum { STEPS = 150 };
    static const char claim[] = "preferences raise the reward";
    double before = rg_small_race_reward(race);
    if (!go(race, STEPS, claims, claim))
        return;
    double after = rg_small_race_reward(race);
    rg_claim(claims, after > before + 0.1, claim,
             "%.3f before, %.3f after %d steps on a bandit of 3 prompts with 5 responses%s", before,
             after, STEPS, after > before + 0.1 ? "" : ", expected 0.1 more");
}

static void claim_likelihood(RgSmallRace *race, RgClaims *claims) {
    enum { STEPS = 50 };
    static const char claim[] = "the loss falls";
    RgError error = {0};
    double before = 0, after = 0;
    RgStatus status = rg_trainer_gradient(race->trainer, 0, &before, &error);
    rg_parameters_zero_gradient(race->policy->parameters);
    if (status == RG_OK && !go(race, STEPS, claims, claim))
        return;
    if (status == RG_OK)
        status = rg_trainer_gradient(race->trainer, 0, &after, &error);
    if (status == RG_OK)
        rg_claim(claims, after < before - 0.05, claim, "%.4f before, %.4f after %d steps%s", before,
                 after, STEPS, after < before - 0.05 ? "" : ", expected 0.05 less");
    else
        rg_claim(claims, false, claim, "%s", error.text);
}

void rg_claim_learning(const RgAlgorithm *algorithm, const char *options, RgClaims *claims) {
    static const char claim[] = "it learns";
    RgSmallRaceTerms terms = terms_of(algorithm, options, 32);
    RgSmallRace race;
    terms.deviation = 0;
    if (begin(&terms, &race, claims, claim)) {
        const RgRecipe *r = &race.trainer->recipe;
        if (r->preferences != RG_FROM_NOWHERE)
            claim_reward(&race, claims);
        else if (algorithm->loss && r->opponents == RG_FROM_NOWHERE)
            claim_likelihood(&race, claims);
        else
            rg_claim_nothing(claims, claim, "it uses no preferences of data or judge");
    }
    rg_small_race_end(&race);
}

/* ---- all claims ---- */

static void claim_gradient_of(const RgAlgorithm *algorithm, const char *options, RgClaims *claims) {
    RgSmallRaceTerms terms = terms_of(algorithm, options, 16);
    RgSmallRace race;
    if (!algorithm->loss)
        rg_claim_nothing(claims, "the loss's gradient", "it has no loss of a batch");
    else if (begin(&terms, &race, claims, "the loss's gradient"))
        rg_claim_gradient(race.trainer, claims);
    if (algorithm->loss)
        rg_small_race_end(&race);
}

void rg_check_algorithm(const RgAlgorithm *algorithm, const char *options, RgClaims *claims) {
    RgSmallRaceTerms terms = terms_of(algorithm, options, 16);
    RgSmallRace race;
    RgError error = {0};
    static const char claim[] = "it can be trained on a bandit";
    rg_claim_begin(claim);
    bool begins = rg_small_race_begin(&terms, &race, &error) == RG_OK;
    rg_small_race_end(&race);
    if (!rg_claim(claims, begins, claim, "%s", error.text))
        return;
    claim_gradient_of(algorithm, options, claims);
    note_expectation(algorithm, options, claims);
    rg_claim_parts(algorithm, options, claims);
    rg_claim_threads(algorithm, options, claims);
    rg_claim_checkpoint(algorithm, options, claims);
    rg_claim_costs(algorithm, options, claims);
    rg_claim_flops(algorithm, options, claims);
    rg_claim_learning(algorithm, options, claims);
}
