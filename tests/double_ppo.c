/* SPDX-License-Identifier: MIT */
/* PPO in double: its advantages, its surrogate, and its loss in policy and value against a
 * computation by hand, by token and by response; its adapted strength; the reward fitted for it. */
#include "algorithms/fitted_reward.h"
#include "algorithms/ppo.h"
#include "algorithms/training/gradient.h"
#include "core/models/enumerated.h"
#include "loss_method.h"

#include <math.h>

/* ---- parts ---- */

Test(losses, advantages_are_discounted_sums_of_td_errors) {
    enum { STEPS = 6 };
    const double discount = 0.9, lambda = 0.7;
    double reward[STEPS], value[STEPS + 1] = {0}, advantage[STEPS];
    for (uint64_t t = 0; t < STEPS; t++) {
        reward[t] = chance(5000 + t);
        value[t] = chance(6000 + t);
    }
    rg_ppo_advantages(STEPS, reward, value, discount, lambda, advantage);
    for (int t = 0; t < STEPS; t++) {
        double sum = 0;
        for (int l = 0; t + l < STEPS; l++)
            sum += pow(discount * lambda, l) *
                   (reward[t + l] + discount * value[t + l + 1] - value[t + l]);
        cr_expect_float_eq(advantage[t], sum, 1e-12);
    }
    rg_ppo_advantages(STEPS, reward, value, 1, 1, advantage);
    double rest = 0;
    for (int t = STEPS - 1; t >= 0; t--) {
        rest += reward[t];
        cr_expect_float_eq(advantage[t], rest - value[t], 1e-12);
    }
}

static double surrogate(double logprob, double old, double advantage) {
    double ratio = exp(logprob - old), held = fmin(fmax(ratio, 0.8), 1.2);
    return fmin(ratio * advantage, held * advantage);
}

/* Ratios below, within and above the range, with advantages of both signs. */
Test(losses, the_surrogate_is_the_lesser_of_unclipped_and_clipped) {
    enum { CASES = 6 };
    const double step = 1e-6;
    const double logprob[CASES] = {-1, -1, 0.1, 0.1, 1, 1}, old[CASES] = {0};
    const double advantage[CASES] = {2, -3, 2, -3, 2, -3};
    RgTape *t = rg_tape_create();
    RgTensor *x = rg_variable(t, RG_SHAPE(CASES), logprob), *g;
    RgTensor *y = rg_ppo_surrogate(t, x, rg_constant(t, RG_SHAPE(CASES), old),
                                   rg_constant(t, RG_SHAPE(CASES), advantage), 0.2);
    for (int i = 0; i < CASES; i++)
        cr_expect_float_eq(y->data[i], surrogate(logprob[i], 0, advantage[i]), 1e-12);
    rg_gradients(t, rg_sum(t, y), &x, 1, &g);
    int flat = 0;
    for (int i = 0; i < CASES; i++) {
        double high = surrogate(logprob[i] + step, 0, advantage[i]);
        double slope = (high - surrogate(logprob[i] - step, 0, advantage[i])) / (2 * step);
        cr_expect_float_eq(g->data[i], slope, 1e-8);
        flat += slope == 0;
    }
    cr_expect_eq(flat, 2); /* too likely and good, too unlikely and bad */
    rg_tape_destroy(t);
}

/* ---- PPO's loss of a batch, by hand ---- */

enum { CELLS = 8, SAMPLED = 8, HIDDEN = 3 }; /* cells: contexts times responses */
static const char bandit[] = "contexts=2 responses=4 pairs=50 label_temperature=1";
static const double ppo_beta = 0.3, ppo_clip = 0.1, ppo_value_clip = 0.05, ppo_coefficient = 0.7;
static const char ppo_options[] =
    "beta=0.3 clip=0.1 value_clip=0.05 value_coefficient=0.7 value_hidden=3";

/* What PPO's loss is made of, of a batch of responses of one step. */
typedef struct PpoNumbers {
    double logprob[SAMPLED], value[SAMPLED], reward[SAMPLED]; /* the last less the penalty */
} PpoNumbers;

/* V = w·tanh(W φ + b) + c */
static void values_by_hand(const Race *race, const RgSequences *responses, double *value) {
    const RgReal *inner = race->trainer->own.parameters->value, *bias, *outer;
    int64_t width = race->reference->type->state_feature_count(race->reference);
    RgReal features[SAMPLED * CELLS];
    const RgParameterView *views = race->trainer->own.parameters->views;
    bias = inner + views[1].offset;
    outer = inner + views[2].offset;
    cr_assert(width <= CELLS);
    rg_policy_state_values(race->reference, responses, features);
    for (int i = 0; i < SAMPLED; i++) {
        value[i] = inner[views[3].offset];
        for (int h = 0; h < HIDDEN; h++) {
            double sum = bias[h];
            for (int64_t j = 0; j < width; j++)
                sum += inner[h * width + j] * features[i * width + j];
            value[i] += outer[h] * tanh(sum);
        }
    }
}

static PpoNumbers ppo_numbers(const Race *race, const RgSequences *responses) {
    PpoNumbers n;
    double of_reference[SAMPLED];
    RgError error = {0};
    rg_policy_training_values(race->policy, responses, n.logprob);
    rg_policy_training_values(race->reference, responses, of_reference);
    cr_assert_eq(rg_task_judge(&race->environment->task, responses, n.reward, &error), RG_OK);
    for (int i = 0; i < SAMPLED; i++)
        n.reward[i] -= ppo_beta * (n.logprob[i] - of_reference[i]);
    values_by_hand(race, responses, n.value);
    return n;
}

/* With one step, A is r − V_old and R is r. `held` counts terms that are clipped, of both losses.
 */
static double ppo_by_hand(const PpoNumbers *old, const PpoNumbers *now, int held[2]) {
    double mean = 0, square = 0, loss = 0;
    for (int i = 0; i < SAMPLED; i++)
        mean += (old->reward[i] - old->value[i]) / SAMPLED;
    for (int i = 0; i < SAMPLED; i++)
        square += pow(old->reward[i] - old->value[i] - mean, 2) / SAMPLED;
    held[0] = held[1] = 0;
    for (int i = 0; i < SAMPLED; i++) {
        double a = (old->reward[i] - old->value[i] - mean) / sqrt(square + 1e-8);
        double ratio = exp(now->logprob[i] - old->logprob[i]);
        double clipped = fmin(fmax(ratio, 1 - ppo_clip), 1 + ppo_clip);
        double change = fmin(fmax(now->value[i] - old->value[i], -ppo_value_clip), ppo_value_clip);
        double off = pow(now->value[i] - old->reward[i], 2);
        double off_clipped = pow(old->value[i] + change - old->reward[i], 2);
        held[0] += clipped * a < ratio * a;
        held[1] += off_clipped > off;
        loss += ppo_coefficient / 2 * fmax(off, off_clipped) / SAMPLED;
        loss -= fmin(ratio * a, clipped * a) / SAMPLED;
    }
    return loss;
}

/* Differences of what is computed by hand, in the parameters of policy and value. */
static void check_ppo_gradient(const Race *race, const RgSequences *responses,
                               const PpoNumbers *old, RgParameters *p) {
    const double step = 1e-6;
    int held[2];
    for (int64_t i = 0; i < p->count; i++) {
        double here = p->value[i];
        p->value[i] = here + step;
        PpoNumbers high = ppo_numbers(race, responses);
        p->value[i] = here - step;
        PpoNumbers low = ppo_numbers(race, responses);
        p->value[i] = here;
        double difference =
            (ppo_by_hand(old, &high, held) - ppo_by_hand(old, &low, held)) / (2 * step);
        cr_expect_float_eq(p->gradient[i], difference, 1e-8, "%s, %d: %g, expected %g",
                           p->views[0].name, (int)i, p->gradient[i], difference);
    }
}

static void move(RgParameters *p, uint64_t stream, double far) {
    for (int64_t i = 0; i < p->count; i++)
        p->value[i] += far * (2 * chance(stream + (uint64_t)i) - 1);
}

/* In a later epoch, when policy and value are elsewhere than when the batch was drawn. */
Test(losses, ppo_is_its_formula_in_policy_and_value) {
    Race race = race_begin("ppo", ppo_options, bandit, 1, SAMPLED);
    RgTrainer *trainer = race.trainer;
    RgParameters *policy = race.policy->parameters, *value = trainer->own.parameters;
    RgRollout rollout;
    RgError error = {0};
    int held[2];
    move(value, 7000, 1);
    cr_assert_eq(rg_gradient_begin(trainer, 0, &rollout, &error), RG_OK, "%s", error.text);
    PpoNumbers old = ppo_numbers(&race, rollout.sequences);
    move(policy, 8000, 0.2);
    move(value, 9000, 0.6);
    PpoNumbers now = ppo_numbers(&race, rollout.sequences);
    double loss = rg_gradient_add(trainer, 0, 1, &rollout);
    cr_expect_float_eq(loss, ppo_by_hand(&old, &now, held), 1e-12);
    cr_expect(held[0] > 0 && held[0] < SAMPLED && held[1] > 0 && held[1] < SAMPLED, "%d %d",
              held[0], held[1]);
    cr_expect_str_eq(trainer->now.metric[2], "clip_fraction");
    cr_expect_float_eq(trainer->now.sum[2], (double)held[0] / SAMPLED, 1e-12);
    check_ppo_gradient(&race, rollout.sequences, &old, policy);
    check_ppo_gradient(&race, rollout.sequences, &old, value);
    rg_gradient_end(trainer, &rollout);
    race_end(&race);
}

/* ---- by response ---- */

/* The surrogate of whole responses, with whitened rewards as advantages. */
static double response_by_hand(const PpoNumbers *old, const PpoNumbers *now, int *held) {
    double mean = 0, square = 0, loss = 0;
    for (int i = 0; i < SAMPLED; i++)
        mean += old->reward[i] / SAMPLED;
    for (int i = 0; i < SAMPLED; i++)
        square += pow(old->reward[i] - mean, 2) / SAMPLED;
    *held = 0;
    for (int i = 0; i < SAMPLED; i++) {
        double a = (old->reward[i] - mean) / sqrt(square + 1e-8);
        double ratio = exp(now->logprob[i] - old->logprob[i]);
        double clipped = fmin(fmax(ratio, 1 - ppo_clip), 1 + ppo_clip);
        *held += clipped * a < ratio * a;
        loss -= fmin(ratio * a, clipped * a) / SAMPLED;
    }
    return loss;
}

static PpoNumbers response_numbers(const Race *race, const RgSequences *responses) {
    PpoNumbers n = {0};
    double of_reference[SAMPLED];
    RgError error = {0};
    rg_policy_training_values(race->policy, responses, n.logprob);
    rg_policy_training_values(race->reference, responses, of_reference);
    cr_assert_eq(rg_task_judge(&race->environment->task, responses, n.reward, &error), RG_OK);
    for (int i = 0; i < SAMPLED; i++)
        n.reward[i] -= ppo_beta * (n.logprob[i] - of_reference[i]);
    return n;
}

Test(losses, ppo_by_response_is_its_formula) {
    Race race = race_begin("ppo", "unit=response beta=0.3 clip=0.1", bandit, 1, SAMPLED);
    RgTrainer *trainer = race.trainer;
    RgParameters *p = race.policy->parameters;
    RgRollout rollout;
    RgError error = {0};
    int held, ignored;
    cr_expect_null(trainer->own.parameters);
    cr_assert_eq(rg_gradient_begin(trainer, 0, &rollout, &error), RG_OK, "%s", error.text);
    PpoNumbers old = response_numbers(&race, rollout.sequences);
    move(p, 8000, 0.2);
    PpoNumbers now = response_numbers(&race, rollout.sequences);
    double loss = rg_gradient_add(trainer, 0, 1, &rollout);
    cr_expect_float_eq(loss, response_by_hand(&old, &now, &held), 1e-12);
    cr_expect(held > 0 && held < SAMPLED, "%d", held);
    for (int64_t i = 0; i < p->count; i++) {
        const double step = 1e-6, here = p->value[i];
        p->value[i] = here + step;
        PpoNumbers high = response_numbers(&race, rollout.sequences);
        p->value[i] = here - step;
        PpoNumbers low = response_numbers(&race, rollout.sequences);
        p->value[i] = here;
        double difference =
            (response_by_hand(&old, &high, &ignored) - response_by_hand(&old, &low, &ignored)) /
            (2 * step);
        cr_expect_float_eq(p->gradient[i], difference, 1e-8, "%g, expected %g", p->gradient[i],
                           difference);
    }
    rg_gradient_end(trainer, &rollout);
    race_end(&race);
}

/* ---- the adapted strength ---- */

static double logged(const RgTrainer *trainer, const char *name) {
    for (int i = 0; i < trainer->outcome.metric_count; i++)
        if (strcmp(trainer->outcome.metrics[i].name, name) == 0)
            return trainer->outcome.metrics[i].value;
    return NAN;
}

Test(losses, ppo_adapts_its_strength_to_the_target_of_the_divergence) {
    cr_expect_float_eq(rg_ppo_adapted(0.5, 2, 2), 0.5, 1e-15);
    cr_expect_float_eq(rg_ppo_adapted(0.5, 2.2, 2), 0.505, 1e-15);
    cr_expect_float_eq(rg_ppo_adapted(0.5, 9, 2), 0.51, 1e-15);
    cr_expect_float_eq(rg_ppo_adapted(0.5, -1, 2), 0.49, 1e-15);
    static const char *const units[] = {"unit=response beta=0.3 kl_target=0.3",
                                        "beta=0.3 kl_target=0.3"};
    for (int k = 0; k < 2; k++) {
        Race race = race_begin("ppo", units[k], bandit, 1, SAMPLED);
        RgError error = {0};
        double expected = 0.3;
        for (int step = 0; step < 20; step++) {
            cr_assert_eq(rg_trainer_step(race.trainer, &error), RG_OK, "%s", error.text);
            cr_expect_float_eq(logged(race.trainer, "kl_coefficient"), expected, 1e-14);
            expected = rg_ppo_adapted(expected, logged(race.trainer, "kl"), 0.3);
        }
        cr_expect_gt(fabs(expected - 0.3), 0.01);
        race_end(&race);
    }
}

/* ---- the fitted reward ---- */

/* Fitted to all pairs at once for long enough, its differences are those of rlhf's reward, which a
 * Newton method finds: here, of the shares of labels between two responses, their logits. */
Test(losses, the_fitted_reward_is_the_maximum_of_the_likelihood) {
    static const char two[] = "contexts=3 responses=2 pairs=400 label_temperature=1";
    const RgFittedRewardOptions fit = {
        .reward = RG_REWARD_FITTED_LINEAR, .reward_epochs = 3000, .reward_learning_rate = 0.01};
    Race race = race_begin("dpo", "", two, 0, SAMPLED);
    RgFittedReward fitted;
    const RgPairs *pairs = race.environment->task.pairs;
    double wins[3][2] = {{0}}, loss = 0, value[6], mean = 0;
    RgSequences *all = rg_sequences_create();
    for (int64_t i = 0; i < pairs->count; i++) {
        int32_t c = *rg_sequence_prompt(pairs->sequences, 2 * i);
        wins[c][*rg_sequence_response(pairs->sequences, 2 * i + pairs->preferred[i])]++;
    }
    for (int32_t c = 0; c < 3; c++)
        for (int32_t r = 0; r < 2; r++)
            rg_sequences_append(all, &c, 1, &r, 1);
    rg_fitted_reward_create(race.trainer, &fit, &fitted);
    rg_fitted_reward_values(&fitted, race.reference, all, value);
    for (int c = 0; c < 3; c++) {
        double n = wins[c][0] + wins[c][1], p = wins[c][1] / n;
        cr_assert(p > 0 && p < 1 && n > 50);
        cr_expect_float_eq(value[2 * c + 1] - value[2 * c], log(p / (1 - p)), 1e-6);
        loss -= (wins[c][0] * log(1 - p) + wins[c][1] * log(p)) / (double)pairs->count;
        mean += (value[2 * c] + value[2 * c + 1]) * n / (double)pairs->count / 2;
    }
    cr_expect_float_eq(fitted.loss, loss, 1e-9);
    cr_expect_float_eq(mean, 0, 1e-12);
    rg_sequences_destroy(all);
    rg_fitted_reward_destroy(&fitted);
    race_end(&race);
}

/* What an mlp fits with pairs held out orders most pairs as labelled. Without pairs it is refused. */
Test(losses, the_fitted_reward_orders_the_pairs) {
    RgFittedRewardOptions fit = {.reward = RG_REWARD_FITTED_MLP,
                                 .reward_hidden = 8,
                                 .reward_epochs = 30,
                                 .reward_batch = 16,
                                 .reward_learning_rate = 0.05,
                                 .reward_held_out = 0.2};
    Race race = race_begin("dpo", "", "contexts=2 responses=4 pairs=300 label_temperature=0", 0, 8);
    RgFittedReward fitted;
    RgError error = {0};
    rg_fitted_reward_create(race.trainer, &fit, &fitted);
    cr_expect_gt(fitted.accuracy, 0.95, "%g", fitted.accuracy);
    rg_fitted_reward_destroy(&fitted);
    RgTask *task = &race.environment->task;
    cr_expect_eq(rg_fitted_reward_check("ppo", &fit, task, &error), RG_OK);
    task->pairs = NULL;
    cr_expect_eq(rg_fitted_reward_check("ppo", &fit, task, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, "ppo fits a reward to preference pairs"), "%s", error.text);
    task->pending = true;
    cr_expect_eq(rg_fitted_reward_check("ppo", &fit, task, &error), RG_OK, "they may come");
    task->expected_pairs = RG_NO_PAIRS;
    cr_expect_eq(rg_fitted_reward_check("ppo", &fit, task, &error), RG_E_USAGE);
    race_end(&race);
}

/* ---- unlikelihood by token ---- */

/* Responses of one token: L = E[−log π(y_w) − α·log(1 − π(y_l))]. */
Test(losses, unlikelihood_by_token_is_of_the_complement) {
    Race race = race_begin("unlikelihood", "form=token rejected_weight=0.6", bandit, 1, SAMPLED);
    double table[CELLS], slope[CELLS] = {0}, sum = 0, loss;
    RgRollout rollout;
    RgError error = {0};
    rg_policy_table(race.policy, table);
    cr_assert_eq(rg_gradient_begin(race.trainer, 0, &rollout, &error), RG_OK, "%s", error.text);
    for (int64_t i = 0; i < SAMPLED; i++) {
        int cell[2];
        for (int64_t k = 0; k < 2; k++) {
            int64_t at = 2 * i + rollout.order[2 * i + k];
            cell[k] = *rg_sequence_prompt(rollout.sequences, at) * 4 +
                      *rg_sequence_response(rollout.sequences, at);
        }
        double p = exp(table[cell[1]]), rise = 0.6 * p / (1 - p);
        sum += -table[cell[0]] - 0.6 * log(1 - p);
        for (int c = 0; c < CELLS; c++) {
            slope[c] -= c / 4 == cell[0] / 4 ? (c == cell[0]) - exp(table[c]) : 0;
            slope[c] += c / 4 == cell[1] / 4 ? rise * ((c == cell[1]) - exp(table[c])) : 0;
        }
    }
    loss = rg_gradient_add(race.trainer, 0, 0, &rollout);
    cr_expect_float_eq(loss, sum / SAMPLED, 1e-12);
    for (int c = 0; c < CELLS; c++)
        cr_expect_float_eq(race.policy->parameters->gradient[c], slope[c] / SAMPLED, 1e-12);
    rg_gradient_end(race.trainer, &rollout);
    race_end(&race);
}
