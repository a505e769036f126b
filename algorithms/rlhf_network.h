/* SPDX-License-Identifier: MIT */
/* Rewards that are networks of a context's features and of the response, fitted to the offline pairs:
 * the first stage of rlhf where contexts have features to generalise over.
 *
 *     additive   r̂(x, a) = w·(f(x), g(e_a)) + c,   f and g networks of their own, e_a one-hot
 *     joint      r̂(x, a) = f(x, e_a)
 *
 *     min E_(w,l)[ −log σ(r̂(x, y_w) − r̂(x, y_l)) ]  by AdamW
 *
 * An additive reward prefers one response in every context. Both responses of a pair have the same
 * context, so that f has no gradient then. */
#ifndef RG_ALGORITHMS_RLHF_NETWORK_H
#define RG_ALGORITHMS_RLHF_NETWORK_H

#include "algorithms/training/trainer.h"

typedef struct RgRewardNetworkOptions {
    const char *hidden; /* widths of each network's hidden layers */
    bool joint;
    int64_t epochs; /* passes over the pairs, in batches of the trainer's size */
    double learning_rate;
} RgRewardNetworkOptions;

/* The fitted rewards in all contexts of an enumerated policy: reward [contexts, responses] out. The
 * meter counts the pairs, and trainer->flops the operations. */
void rg_reward_network_fit(RgTrainer *trainer, const RgRewardNetworkOptions *options,
                           double *reward);

#endif
