/* @NAME@: a guessing game. Each context c has a hidden mark t_c on a ruler of n places. A response
 * is a place y; nearer is better:
 *
 *     r(c, y) = −|y − t_c| / n
 *
 * Context and response are one token each, so a tabular policy fits, and the evaluation sums over
 * all responses instead of sampling. envs/environment.h and core/task/task.h describe what an
 * environment provides. */
#include "regatta.h"

#include <math.h>
#include <stdlib.h>

typedef struct Options {
    int64_t contexts, places, pairs;
    double label_temperature;
} Options;

static const RgOption options_table[] = {
    RG_OPTION_INTEGER(Options, contexts, "6", 1, 4096, "number of contexts (prompts)"),
    RG_OPTION_INTEGER(Options, places, "9", 2, 4096, "n, number of places (responses)"),
    RG_OPTION_INTEGER(Options, pairs, "1000", 1, 1e7, "offline preference pairs"),
    RG_OPTION_REAL(Options, label_temperature, "0.2", 0, 1e3,
                   "temperature of the judge's Bradley-Terry labels; 0: the larger reward"),
    RG_OPTION_END,
};

typedef struct State {
    Options options;
    int32_t *mark; /* [contexts] */
    RgSequences *prompts, *demonstrations;
    RgPairs *pairs;
} State;

static double reward_of(const State *s, int64_t context, int64_t place) {
    return -fabs((double)(place - s->mark[context])) / (double)s->options.places;
}

/* The task's judge: reward [sequences->count]. */
static RgStatus judge(void *environment, const RgSequences *sequences, double *reward,
                      RgError *error) {
    (void)error; /* it cannot fail */
    const State *s = ((RgEnvironment *)environment)->state;
    for (int64_t i = 0; i < sequences->count; i++)
        reward[i] =
            reward_of(s, *rg_sequence_prompt(sequences, i), *rg_sequence_response(sequences, i));
    return RG_OK;
}

static RgStatus create(RgEnvironment *environment, const void *options, RgRandom random,
                       RgError *error) {
    (void)error;
    State *s = environment->state = rg_allocate(1, sizeof *s);
    s->options = *(const Options *)options;
    s->mark = rg_allocate(s->options.contexts, sizeof *s->mark);
    s->prompts = rg_sequences_create();
    RgRandom marks = rg_random_named(random, "marks");
    for (int32_t c = 0; c < s->options.contexts; c++) {
        s->mark[c] = (int32_t)rg_random_below(marks, (uint64_t)c, s->options.places);
        rg_sequences_append(s->prompts, &c, 1, NULL, 0);
    }
    environment->space =
        (RgPolicySpace){.contexts = s->options.contexts, .responses = s->options.places};
    environment->task = (RgTask){.prompts = s->prompts,
                                 .response_limit = 1,
                                 .end_token = -1,
                                 .judge = judge,
                                 .environment = environment,
                                 .label_temperature = s->options.label_temperature};
    return RG_OK;
}

static void forget_data(State *s) {
    rg_sequences_destroy(s->demonstrations);
    rg_pairs_destroy(s->pairs);
}

/* Offline pairs: two uniformly drawn places, labelled by the judge. */
static RgStatus prepare(RgEnvironment *environment, RgPolicy *reference, RgRandom random,
                        RgError *error) {
    State *s = environment->state;
    const Options *o = &s->options;
    if (!reference->type->logits)
        return rg_fail(error, RG_E_USAGE,
                       "@NAME@ is a table of contexts and places: expected a tabular policy, found "
                       "%s",
                       reference->type->about.name);
    forget_data(s);
    s->pairs = rg_pairs_create();
    RgRandom places = rg_random_named(random, "places");
    for (int64_t i = 0; i < 2 * o->pairs; i++) {
        int32_t context = (int32_t)(i / 2 % o->contexts);
        int32_t place = (int32_t)rg_random_below(places, (uint64_t)i, o->places);
        rg_sequences_append(s->pairs->sequences, &context, 1, &place, 1);
    }
    uint8_t *preferred = rg_allocate(o->pairs, sizeof *preferred);
    RgStatus status = rg_task_label(&environment->task, s->pairs->sequences,
                                    rg_random_named(random, "labels"), preferred, error);
    for (int64_t i = 0; status == RG_OK && i < o->pairs; i++)
        rg_pairs_append_label(s->pairs, preferred[i]);
    free(preferred);
    environment->task.pairs = s->pairs;
    environment->task.demonstrations = s->demonstrations = rg_pairs_chosen(s->pairs);
    return status;
}

/* Log-probabilities of all places in all contexts: [contexts, places]. The caller frees them. */
static double *table_of(const State *s, RgPolicy *policy) {
    RgSequences *all = rg_sequences_create();
    for (int32_t c = 0; c < s->options.contexts; c++)
        for (int32_t y = 0; y < s->options.places; y++)
            rg_sequences_append(all, &c, 1, &y, 1);
    double *table = rg_allocate(all->count, sizeof *table);
    rg_policy_logprob_values(policy, all, table);
    rg_sequences_destroy(all);
    return table;
}

/* Per context, and as means: the expected reward, KL(π ‖ π_ref) in nats, and the probability of the
 * mark. */
static RgStatus evaluate(RgEnvironment *environment, const RgContender *contender, RgRandom random,
                         RgEvaluation *evaluation, RgError *error) {
    (void)random; /* nothing is sampled */
    (void)error;
    const State *s = environment->state;
    int64_t contexts = s->options.contexts, n = s->options.places;
    size_t cells = (size_t)(contexts * n), rows = (size_t)contexts;
    double *rewards = rg_allocate(cells, sizeof(double));
    double *reward = rg_allocate(rows, sizeof(double)), *kl = rg_allocate(rows, sizeof(double));
    double *hits = rg_allocate(rows, sizeof(double));
    for (int64_t k = 0; k < contexts * n; k++)
        rewards[k] = reward_of(s, k / n, k % n);
    double *table = table_of(s, contender->policy), *base = table_of(s, contender->reference);
    rg_contender_table(contender, rewards, contexts, n, table);
    for (int64_t k = 0; k < contexts * n; k++) {
        double p = exp(table[k]);
        reward[k / n] += p * rewards[k];
        kl[k / n] += p > 0 ? p * (table[k] - base[k]) : 0;
        hits[k / n] += k % n == s->mark[k / n] ? p : 0;
    }
    rg_evaluation_column_and_mean(evaluation, "reward", reward, contexts);
    rg_evaluation_column_and_mean(evaluation, "kl", kl, contexts);
    rg_evaluation_column_and_mean(evaluation, "hits", hits, contexts);
    free(rewards);
    free(reward);
    free(kl);
    free(hits);
    free(table);
    free(base);
    return RG_OK;
}

static void destroy(RgEnvironment *environment) {
    State *s = environment->state;
    forget_data(s);
    rg_sequences_destroy(s->prompts);
    free(s->mark);
    free(s);
}

static const char *const metrics[] = {"reward", "kl", "hits", NULL};

static const RgEnvironmentType environment = {
    .about = {.name = "@NAME@",
              .summary = "Guess a hidden place on a ruler: the nearer the better",
              .options = options_table,
              .options_size = sizeof(Options)},
    .primary_metric = "reward",
    .metrics = metrics,
    .create = create,
    .prepare = prepare,
    .evaluate = evaluate,
    .destroy = destroy,
};

static RgStatus add(RgError *error) {
    return rg_environment_type_register(&environment, error);
}
RG_PLUGIN(add);
