/* SPDX-License-Identifier: MIT */
/* Metrics of a step: those that the trainer logs of every method, and those that a loss logs. */
#include "algorithms/training/batch_metrics.h"

#include <math.h>
#include <string.h>

static double weight_of(const RgBatch *batch, int64_t prompt) {
    return batch->weight ? (double)batch->weight->data[prompt] : 1;
}

void rg_batch_add_pairs(RgTrainer *trainer, const RgBatch *batch, int64_t prompts,
                        RgBatchMeans *means) {
    const RgRecipe *r = &trainer->recipe;
    double n = (double)prompts;
    for (int64_t i = 0; i < batch->prompts; i++) {
        double w = weight_of(batch, i);
        double hc = batch->chosen.log_ratio->data[i], hr = batch->rejected.log_ratio->data[i];
        if (r->responses == RG_FROM_POLICY && batch->on_policy->data[i] != 0) {
            bool both = r->opponents == RG_FROM_NOWHERE || r->opponents == RG_FROM_POLICY;
            means->kl += w * (both ? hc + hr : batch->order[2 * i] == 0 ? hc : hr);
            means->own += both ? 2 * w : w;
        }
        means->chosen += w * r->beta * hc / n;
        means->rejected += w * r->beta * hr / n;
        means->right += w * (hc > hr ? 1 : hc < hr ? 0 : 0.5) / n;
        means->logp_chosen += w * (double)batch->chosen.logprob->data[i] / n;
        means->logp_rejected += w * (double)batch->rejected.logprob->data[i] / n;
    }
}

void rg_batch_log_pairs(RgTrainer *trainer, const RgBatchMeans *means) {
    rg_trainer_metric(trainer, "rewards/chosen", means->chosen);
    rg_trainer_metric(trainer, "rewards/rejected", means->rejected);
    rg_trainer_metric(trainer, "rewards/margins", means->chosen - means->rejected);
    rg_trainer_metric(trainer, "rewards/accuracies", means->right);
    rg_trainer_metric(trainer, "logps/chosen", means->logp_chosen);
    rg_trainer_metric(trainer, "logps/rejected", means->logp_rejected);
    if (means->own > 0) /* estimated on the policy's own responses */
        rg_trainer_metric(trainer, "kl", means->kl / means->own);
}

void rg_batch_add_singles(RgTrainer *trainer, const RgBatch *batch, RgBatchMeans *means) {
    for (int64_t i = 0; i < batch->prompts; i++) {
        double reward = trainer->recipe.beta * (double)batch->log_ratio->data[i];
        double logprob = (double)batch->logprob->data[i];
        if (batch->desirable->data[i] != 0) {
            means->chosen += reward;
            means->logp_chosen += logprob;
            means->desirable++;
        } else {
            means->rejected += reward;
            means->logp_rejected += logprob;
            means->undesirable++;
        }
    }
}

/* A batch may have no response of one label; then nothing is logged of it. */
void rg_batch_log_singles(RgTrainer *trainer, const RgBatchMeans *means) {
    double good = means->desirable, bad = means->undesirable;
    if (good > 0) {
        rg_trainer_metric(trainer, "rewards/chosen", means->chosen / good);
        rg_trainer_metric(trainer, "logps/chosen", means->logp_chosen / good);
    }
    if (bad > 0) {
        rg_trainer_metric(trainer, "rewards/rejected", means->rejected / bad);
        rg_trainer_metric(trainer, "logps/rejected", means->logp_rejected / bad);
    }
    if (good > 0 && bad > 0)
        rg_trainer_metric(trainer, "rewards/margins", means->chosen / good - means->rejected / bad);
}

/* Metrics of groups: the judge's reward, the divergence from the reference. */
void rg_batch_add_groups(const RgBatch *batch, int64_t prompts, RgBatchMeans *means) {
    double each = 1 / ((double)prompts * (double)batch->k);
    for (int64_t i = 0; i < batch->prompts * batch->k; i++) {
        double w = weight_of(batch, i / batch->k);
        means->reward += batch->reward ? w * each * (double)batch->reward->data[i] : 0;
        means->kl += w * (double)batch->log_ratio->data[i];
        means->own += w;
    }
}

void rg_batch_log_groups(RgTrainer *trainer, const RgBatchMeans *means, bool rewarded) {
    if (rewarded)
        rg_trainer_metric(trainer, "reward", means->reward);
    rg_trainer_metric(trainer, "kl", means->kl / means->own);
}

/* Why the metric is invalid, or NULL. */
static const char *metric_fault(const RgStep *step, int at, const char *name) {
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./";
    size_t length = name ? strlen(name) : 0;
    if (at >= RG_STEP_METRICS)
        return "more than 16 metrics: expected fewer";
    if (length == 0 || length >= RG_METRIC_NAME || name[strspn(name, letters)])
        return "an invalid name: expected 1 to 31 letters, digits and _-./";
    if (at < step->metric_count)
        return strcmp(step->metric[at], name) == 0
                   ? NULL
                   : "other names than before in this step: expected the same names in the same "
                     "order for every batch";
    if (step->parts > 0)
        return "a metric that was not logged for the previous part: expected the same metrics for "
               "each part";
    for (int i = 0; i < step->metric_count; i++)
        if (strcmp(step->metric[i], name) == 0)
            return "a name twice: expected each name once";
    return NULL;
}

void rg_step_metric(RgStep *step, const char *name, double value) {
    int at = step->next_metric++;
    const char *fault = metric_fault(step, at, name);
    if (fault)
        step->fault = step->fault ? step->fault : fault;
    if (step->fault)
        return;
    if (at == step->metric_count) {
        step->metric[at] = name;
        step->metric_count++;
    }
    step->sum[at] += step->share * value;
}

double rg_step_mean(const RgStep *step, const char *name) {
    for (int i = 0; i < step->metric_count; i++)
        if (strcmp(step->metric[i], name) == 0)
            return step->sum[i];
    return NAN;
}

/* After a loss: check that all metrics of the previous part are logged for this one. */
void rg_step_end_part(RgStep *step) {
    if (!step->fault && step->next_metric < step->metric_count)
        step->fault =
            "fewer metrics than for the previous part: expected the same metrics for each part";
    step->parts++;
}
