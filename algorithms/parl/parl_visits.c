/* SPDX-License-Identifier: MIT */
/* PARL's upper level in a known MDP from visits, as HPGD estimates it (Thoma et al. 2024,
 * arXiv:2406.01575). Both factors of the gradient are advantages of states and actions, which are
 * means over the visits of sampled episodes:
 *
 *     −∂_θG · ∂_νθ* = 1/(βN) Σ_{visits t} γ^t Â_U(s_t, a_t) · ∂_νÂ_V(s_t, a_t)
 *
 * for N episodes; Â = Q̂ − V̂, with Q̂ the mean of the returns from the visits of (s, a) and V̂ from
 * those of s. With advantage = "visits" both are of the same episodes, as in the authors' code. The
 * errors of the two are then correlated, and their product is biased by the covariance, which
 * vanishes as one over the number of visits. With "halves" each factor is of the other half of the
 * episodes, and there is no such bias. The value that is logged is exact, as theirs is.
 *
 * The lower level is solved, so that nothing here depends on its value. */
#include "algorithms/parl/parl_levels.h"
#include "core/models/state_table.h"

#include <stdlib.h>
#include <string.h>

/* Sums over the visits of some episodes; arrays are [states · actions], but for the last. */
typedef struct Visits {
    double *count;
    double *discounted; /* Σ γ^t */
    double *returned;   /* Σ of the upper level's returns from the visits on */
    double *weight;     /* per visit of −∂_θG: of the episodes' own share of the gradient */
    double *of_state;   /* [states] visits */
    int64_t episodes;
} Visits;

enum { MOST_PARTS = 2 };

typedef struct Sampled {
    RgSequences *sequences;
    double upper; /* −G, exact */
    int parts;    /* 1, or 2 halves: episodes that alternate */
    Visits part[MOST_PARTS];
} Sampled;

static const RgMdp *mdp_of(const RgParl *parl) {
    return parl->trainer->task->mdp;
}

static int64_t cells_of(const RgMdp *mdp) {
    return mdp->states * mdp->actions;
}

/* ---- life ---- */

static Visits visits_create(const RgMdp *mdp) {
    int64_t cells = cells_of(mdp);
    return (Visits){.count = rg_allocate(cells, sizeof(double)),
                    .discounted = rg_allocate(cells, sizeof(double)),
                    .returned = rg_allocate(cells, sizeof(double)),
                    .weight = rg_allocate(cells, sizeof(double)),
                    .of_state = rg_allocate(mdp->states, sizeof(double))};
}

static void visits_free(Visits *v) {
    free(v->count);
    free(v->discounted);
    free(v->returned);
    free(v->weight);
    free(v->of_state);
}

static RgStatus check(const RgParlOptions *o, const RgTask *task, const RgPolicy *policy,
                      RgError *error) {
    const RgMdp *mdp = task->mdp;
    const char *name = o->advantage == RG_PARL_VISITS ? "visits" : "halves";
    if (!mdp || !mdp->utility || mdp->dynamics)
        return rg_fail(error, RG_E_USAGE,
                       "parl: advantage = \"%s\" needs a known MDP whose upper level has an "
                       "objective of its own: expected an environment such as problem = "
                       "\"four-rooms\", or advantage = \"episode\"",
                       name);
    if (!((const RgEstimator *)o->estimator.type)->by_closed_form || o->lower != RG_PARL_SOLVED ||
        o->upper != RG_PARL_UTILITY)
        return rg_fail(error, RG_E_USAGE,
                       "parl: advantage = \"%s\" is of the closed form: expected estimator = "
                       "\"boltzmann\", lower = \"solved\" and upper = \"utility\" with it",
                       name);
    return rg_parl_check_table(o, task, policy, "advantage", error);
}

static RgStatus create(RgParl *parl, RgError *error) {
    (void)error;
    Sampled *s = rg_allocate(1, sizeof *s);
    s->parts = parl->options->advantage == RG_PARL_HALVES ? 2 : 1;
    for (int k = 0; k < s->parts; k++)
        s->part[k] = visits_create(mdp_of(parl));
    parl->samples = s;
    return RG_OK;
}

static void destroy(RgParl *parl) {
    Sampled *s = parl->samples;
    if (!s)
        return;
    rg_sequences_destroy(s->sequences);
    for (int k = 0; k < s->parts; k++)
        visits_free(&s->part[k]);
    free(s);
}

/* ---- counting ---- */

static void visits_clear(const RgMdp *mdp, Visits *v) {
    size_t bytes = (size_t)cells_of(mdp) * sizeof(double);
    memset(v->count, 0, bytes);
    memset(v->discounted, 0, bytes);
    memset(v->returned, 0, bytes);
    memset(v->weight, 0, bytes);
    memset(v->of_state, 0, (size_t)mdp->states * sizeof(double));
    v->episodes = 0;
}

/* State and action of a step; `words` are the episode's, two of each step. */
static int64_t cell_at(const RgSimulator *d, const int32_t *words, int64_t step) {
    return words[2 * step] * d->actions + words[2 * step + 1];
}

static void count_episode(const RgSimulator *d, const RgSequences *s, int64_t i,
                          const RgReal *utility, Visits *v) {
    const int32_t *words = rg_sequence_response(s, i);
    double discount = 1, returned = 0;
    int64_t steps = rg_episode_steps(d, s, i);
    for (int64_t h = 0; h < steps; h++, discount *= d->discount) {
        int64_t cell = cell_at(d, words, h);
        v->count[cell]++;
        v->of_state[cell / d->actions]++;
        v->discounted[cell] += discount;
    }
    for (int64_t h = steps - 1; h >= 0; h--) {
        int64_t cell = cell_at(d, words, h);
        returned = (double)utility[cell] + d->discount * returned;
        v->returned[cell] += returned;
    }
    v->episodes++;
}

/* Â_U of the part itself, times the discounted visits, for one episode: the gradient of the upper
 * value by the logits. */
static void weigh(const RgMdp *mdp, Visits *v) {
    for (int64_t s = 0; s < mdp->states; s++) {
        double total = 0;
        for (int64_t cell = s * mdp->actions; cell < (s + 1) * mdp->actions; cell++)
            total += v->returned[cell];
        for (int64_t cell = s * mdp->actions; cell < (s + 1) * mdp->actions; cell++)
            if (v->count[cell] > 0)
                v->weight[cell] = v->discounted[cell] / (double)v->episodes *
                                  (v->returned[cell] / v->count[cell] - total / v->of_state[s]);
    }
}

/* The upper level's value of the policy, a table, in the process itself. */
static double exact_value(const RgMdp *mdp, const RgPolicy *policy, const RgReal *utility) {
    RgReal *table = rg_allocate(cells_of(mdp), sizeof *table);
    double *visits = rg_allocate(cells_of(mdp), sizeof *visits), value = 0;
    rg_markov_table(policy, table);
    rg_mdp_visits(mdp, table, visits);
    for (int64_t i = 0; i < cells_of(mdp); i++)
        value += visits[i] * (double)utility[i];
    free(visits);
    free(table);
    return value;
}

/* `contexts = "one"` draws one prompt for all episodes of the round. */
static RgStatus draw_upper(RgParl *parl, int64_t round, RgError *error) {
    (void)error;
    const RgMdp *mdp = mdp_of(parl);
    RgTrainer *trainer = parl->trainer;
    const RgSimulator *d = trainer->task->simulator;
    Sampled *s = parl->samples;
    bool one = parl->options->contexts == RG_PARL_ONE;
    int64_t batch = trainer->training.batch;
    rg_sequences_destroy(s->sequences);
    s->sequences = rg_sequences_create();
    rg_trainer_sample(trainer, round, one ? 1 : batch, one ? 2 * batch : 2, s->sequences);
    trainer->meter.trained_tokens += rg_policy_count_tokens(trainer->policy, s->sequences);

    RgTape *t = trainer->tape;
    bool recorded = rg_tape_record(t, false);
    const RgTensor *utility = rg_mdp_utility(t, mdp, rg_parameter(t, parl->reward.parameters, 0));
    s->upper = exact_value(mdp, trainer->policy, utility->data);
    for (int k = 0; k < s->parts; k++) {
        visits_clear(mdp, &s->part[k]);
        for (int64_t i = k; i < s->sequences->count; i += s->parts)
            count_episode(d, s->sequences, i, utility->data, &s->part[k]);
        weigh(mdp, &s->part[k]);
    }
    rg_tape_record(t, recorded);
    rg_tape_reset(t);
    return RG_OK;
}

/* ---- the gradient ---- */

/* A scalar whose gradients are those of G: −Â_U, weighted, by θ, and by ν those of the upper level's
 * rewards on the visits. */
static RgTensor *objective(RgParl *parl, RgTape *t, double *number) {
    const Sampled *s = parl->samples;
    const RgMdp *mdp = mdp_of(parl);
    RgShape table = RG_SHAPE(mdp->states, mdp->actions);
    RgTensor *by_policy = rg_filled(t, table, 0), *visits = rg_filled(t, table, 0);
    for (int k = 0; k < s->parts; k++)
        for (int64_t i = 0; i < cells_of(mdp); i++) {
            by_policy->data[i] += (RgReal)(s->part[k].weight[i] / s->parts);
            visits->data[i] +=
                (RgReal)(s->part[k].discounted[i] / (double)(s->part[k].episodes * s->parts));
        }
    RgTensor *parameters = rg_parameter(t, parl->reward.parameters, 0);
    RgTensor *logits = rg_parameter(t, parl->trainer->policy->parameters, 0);
    *number = -s->upper;
    RgTensor *direct = rg_sum(t, rg_mul(t, visits, rg_mdp_utility(t, mdp, parameters)));
    return rg_negate(t, rg_add(t, direct, rg_sum(t, rg_mul(t, by_policy, logits))));
}

/* Weights of ∂_νQ̂, from those of ∂_νÂ: each state's are made to sum to 0, as V̂ is the mean of Q̂ over
 * the visits of `v`. Into centred [actions] for one state, per visit. */
static void centre(const RgMdp *mdp, const Visits *v, const double *weight, int64_t state,
                   double *centred) {
    double total = 0;
    for (int64_t a = 0, cell = state * mdp->actions; a < mdp->actions; a++, cell++)
        total += v->count[cell] > 0 ? weight[cell] : 0;
    for (int64_t a = 0, cell = state * mdp->actions; a < mdp->actions; a++, cell++)
        centred[a] =
            v->count[cell] > 0 ? weight[cell] / v->count[cell] - total / v->of_state[state] : 0;
}

/* Adds to `table` [states · actions] the weight of each ∂_νr(s, a) in Σ weight · ∂_νÂ_V, with Â_V of
 * the episodes first, first + parts, … */
static void add_advantage(const RgSimulator *d, const RgMdp *mdp, const Sampled *s, int first,
                          const double *weight, double *table) {
    double *centred = rg_allocate(cells_of(mdp), sizeof *centred);
    for (int64_t state = 0; state < mdp->states; state++)
        centre(mdp, &s->part[first], weight, state, centred + state * mdp->actions);
    for (int64_t i = first; i < s->sequences->count; i += s->parts) {
        const int32_t *words = rg_sequence_response(s->sequences, i);
        int64_t steps = rg_episode_steps(d, s->sequences, i);
        double from_before = 0;
        for (int64_t h = 0; h < steps; h++) {
            int64_t cell = cell_at(d, words, h);
            from_before = d->discount * from_before + centred[cell];
            table[cell] += from_before;
        }
    }
    free(centred);
}

/* −1/β Σ Â_U ∂_νÂ_V: each part's Â_U with the Â_V of the other, if there are two. */
static void closed_form(RgParl *parl, const RgReal *upper_gradient, RgReal *w) {
    (void)upper_gradient; /* the sum of the parts' weights */
    const Sampled *s = parl->samples;
    const RgMdp *mdp = mdp_of(parl);
    RgTape *t = parl->trainer->tape;
    double *table = rg_allocate(cells_of(mdp), sizeof *table);
    for (int k = 0; k < s->parts; k++)
        add_advantage(parl->trainer->task->simulator, mdp, s, s->parts - 1 - k, s->part[k].weight,
                      table);
    RgTensor *reward = rg_mdp_design(t, mdp, rg_parameter(t, parl->reward.parameters, 0));
    RgTensor *along =
        rg_sum(t, rg_mul(t, rg_constant_from_double(t, reward->shape, table), reward));
    rg_parl_reward_gradient(parl,
                            rg_scale(t, along, (RgReal)(-1 / (parl->options->beta * s->parts))), w);
    free(table);
}

const RgParlLevels rg_parl_visits = {
    .check = check,
    .create = create,
    .destroy = destroy,
    .draw_upper = draw_upper,
    .objective = objective,
    .closed_form = closed_form,
};
