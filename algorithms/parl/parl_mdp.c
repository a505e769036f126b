/* SPDX-License-Identifier: MIT */
/* PARL's levels in a known tabular MDP: values are solutions of linear systems, the lower level's
 * optimum is that of the soft Bellman equation. The policy is a table of logits [states,
 * actions]. */
#include "algorithms/parl/parl_levels.h"

#include <math.h>

static const RgMdp *mdp_of(const RgParl *parl) {
    return parl->trainer->task->mdp;
}

static RgShape table(const RgParl *parl) {
    return RG_SHAPE(mdp_of(parl)->states, mdp_of(parl)->actions);
}

static RgTensor *logits_of(const RgPolicy *policy, RgTape *t) {
    return rg_parameter(t, policy->parameters, 0);
}

/* NULL for entropy, as mdp.h requires. */
static RgTensor *log_reference(const RgParl *parl, RgTape *t) {
    if (parl->options->regularizer == RG_PARL_ENTROPY)
        return NULL;
    return rg_stop_gradient(t, rg_log_softmax(t, logits_of(parl->trainer->reference, t)));
}

static RgTensor *design_of(const RgParl *parl, RgTape *t) {
    return rg_parameter(t, parl->reward.parameters, 0);
}

static RgTensor *designed_reward(const RgParl *parl, RgTape *t) {
    return rg_mdp_design(t, mdp_of(parl), design_of(parl, t));
}

static RgTensor *designed_dynamics(const RgParl *parl, RgTape *t) {
    return rg_mdp_dynamics(t, mdp_of(parl), design_of(parl, t));
}

static RgTensor *value(RgParl *parl, RgTape *t) {
    RgTensor *transition = designed_dynamics(parl, t);
    return rg_mdp_value(t, mdp_of(parl), transition, designed_reward(parl, t),
                        logits_of(parl->trainer->policy, t), log_reference(parl, t),
                        parl->options->beta);
}

static RgTensor *objective(RgParl *parl, RgTape *t, double *number) {
    RgTensor *y = rg_negate(t, rg_mdp_upper_value(t, mdp_of(parl), design_of(parl, t),
                                                  logits_of(parl->trainer->policy, t)));
    *number = y->data[0];
    return y;
}

/* (1/β) Σ g(s,a) ∂_νQ(s,a), g the gradient by the optimum's logits. By the envelope theorem Q's
 * derivative is that for a fixed policy. */
static void closed_form(RgParl *parl, const RgReal *upper_gradient, RgReal *w) {
    RgTape *t = parl->trainer->tape;
    RgTensor *logits = rg_stop_gradient(t, logits_of(parl->trainer->policy, t));
    RgTensor *transition = designed_dynamics(parl, t);
    RgTensor *q = rg_mdp_action_value(t, mdp_of(parl), transition, designed_reward(parl, t), logits,
                                      log_reference(parl, t), parl->options->beta);
    RgTensor *along = rg_sum(t, rg_mul(t, rg_constant(t, table(parl), upper_gradient), q));
    rg_parl_reward_gradient(parl, rg_scale(t, along, (RgReal)(1 / parl->options->beta)), w);
}

bool rg_parl_solve_mdp(RgParl *parl) {
    enum { SWEEPS = 100 };
    const double tolerance = 100 * RG_REAL_EPSILON;
    RgTape *t = parl->trainer->tape;
    bool recorded = rg_tape_record(t, false);
    const RgTensor *reward = designed_reward(parl, t), *reference = log_reference(parl, t);
    const RgTensor *transition = designed_dynamics(parl, t);
    double change = rg_mdp_solve(mdp_of(parl), transition->data, reward->data,
                                 reference ? reference->data : NULL, parl->options->beta, tolerance,
                                 SWEEPS, parl->trainer->policy->parameters->value);
    rg_tape_record(t, recorded);
    rg_tape_reset(t);
    return change <= tolerance;
}

double rg_parl_best_utility(RgParl *parl) {
    const RgMdp *mdp = parl->trainer->task->mdp;
    const RgBilevelTask *other = parl->trainer->task->bilevel;
    if (other && other->best_upper_value)
        return other->best_upper_value(other, parl->options->beta);
    if (!mdp || !mdp->best_upper_value || parl->options->upper != RG_PARL_UTILITY)
        return NAN;
    RgTape *t = parl->trainer->tape;
    bool recorded = rg_tape_record(t, false);
    const RgTensor *reference = log_reference(parl, t);
    double best =
        mdp->best_upper_value(mdp, reference ? reference->data : NULL, parl->options->beta);
    rg_tape_record(t, recorded);
    rg_tape_reset(t);
    return best;
}

RgStatus rg_parl_check_table(const RgParlOptions *options, const RgTask *task,
                             const RgPolicy *policy, const char *option, RgError *error) {
    const RgMdp *mdp = task->mdp;
    if (policy->parameters->view_count != 1 ||
        policy->parameters->count != mdp->states * mdp->actions)
        return rg_fail(error, RG_E_USAGE,
                       "parl: in a known MDP, %s needs a table of logits over states and actions "
                       "(policy.type = \"markov\"), not a %s policy",
                       option, policy->type->about.name);
    if (options->reward != RG_REWARD_LINEAR)
        return rg_fail(error, RG_E_USAGE, "parl: in a known MDP, %s needs reward = \"linear\"",
                       option);
    return RG_OK;
}

static RgStatus check(const RgParlOptions *options, const RgTask *task, const RgPolicy *policy,
                      RgError *error) {
    RG_TRY(rg_parl_check_table(options, task, policy, "expectation = \"exact\"", error));
    if (options->upper == RG_PARL_PREFERENCES)
        return rg_fail(error, RG_E_USAGE,
                       "parl: in a known MDP, upper = \"preferences\" is an expectation over pairs "
                       "of episodes, and there are too many: expected upper = \"utility\" or "
                       "expectation = \"sampled\"");
    return RG_OK;
}

const RgParlLevels rg_parl_mdp = {
    .check = check,
    .value = value,
    .objective = objective,
    .closed_form = closed_form,
};
