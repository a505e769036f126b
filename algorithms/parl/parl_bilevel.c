/* SPDX-License-Identifier: MIT */
/* PARL's levels in a bilevel problem that the environment knows exactly (core/task/bilevel.h), such
 * as a linear–quadratic regulator with a leader. */
#include "algorithms/parl/parl_levels.h"

static const RgBilevelTask *task_of(const RgParl *parl) {
    return parl->trainer->task->bilevel;
}

static RgTensor *upper_of(const RgParl *parl, RgTape *t) {
    return rg_parameter(t, parl->reward.parameters, 0);
}

static RgTensor *value(RgParl *parl, RgTape *t) {
    return task_of(parl)->value(t, task_of(parl), upper_of(parl, t), parl->trainer->policy,
                                parl->options->beta);
}

static RgTensor *objective(RgParl *parl, RgTape *t, double *number) {
    RgTensor *y = rg_negate(
        t, task_of(parl)->upper_value(t, task_of(parl), upper_of(parl, t), parl->trainer->policy));
    *number = y->data[0];
    return y;
}

/* (∂_νθ*)ᵀ ∂_θG, with θ* by one step of policy improvement. */
static void closed_form(RgParl *parl, const RgReal *upper_gradient, RgReal *w) {
    RgTape *t = parl->trainer->tape;
    RgTensor *response = task_of(parl)->response(t, task_of(parl), upper_of(parl, t),
                                                 parl->trainer->policy, parl->options->beta);
    RgTensor *gradient = rg_constant(t, response->shape, upper_gradient);
    rg_parl_reward_gradient(parl, rg_sum(t, rg_mul(t, gradient, response)), w);
}

bool rg_parl_solve_bilevel(RgParl *parl) {
    return task_of(parl)->solve(task_of(parl), parl->reward.parameters->value,
                                parl->trainer->policy, parl->options->beta);
}

static RgStatus check(const RgParlOptions *o, const RgTask *task, const RgPolicy *policy,
                      RgError *error) {
    if (o->expectation != RG_PARL_EXACT || o->upper != RG_PARL_UTILITY ||
        o->regularizer != RG_PARL_ENTROPY || o->reward != RG_REWARD_LINEAR || o->pretrain > 0)
        return rg_fail(error, RG_E_USAGE,
                       "parl: the environment knows both levels exactly, and the upper level's "
                       "parameters are those of the process: expected expectation = \"exact\", "
                       "upper = \"utility\", regularizer = \"entropy\", reward = \"linear\" and "
                       "pretrain = 0");
    return task->bilevel->check(task->bilevel, policy, error);
}

const RgParlLevels rg_parl_bilevel = {
    .check = check,
    .value = value,
    .objective = objective,
    .closed_form = closed_form,
};
