/* SPDX-License-Identifier: MIT */
/* Exact objectives over enumerated responses, on the tape: the quantities that stochastic
 * algorithms estimate, without noise. They are compositions of matrix operators over [contexts,
 * responses, responses], differentiable to any order.
 *
 *     h = log π − log π_ref,   Δ_ab = h_a − h_b,   F_ab = log σ(β·Δ_ab)
 *
 * SAIL's objective (arXiv:2406.15567), the sum over ordered pairs and labels:
 *
 *     J = E_c Σ_ab D_ab [ P_ab F_ab + P_ba F_ba ] = 2 E_c Σ_ab D_ab P_ab F_ab   (D symmetric)
 *
 * D is the distribution of pairs, P_ab the probability that a is labelled as preferred. With D and
 * P held fixed the gradient is T2 = E[∇F], that of online DPO. D adds the responses' score term; P
 * adds the labels' score term if the policy labels. */
#ifndef RG_ENVS_BANDIT_BANDIT_EXACT_H
#define RG_ENVS_BANDIT_BANDIT_EXACT_H

#include "core/tensor/tensor.h"

/* All arrays are borrowed until the tape is reset. */
typedef struct RgExactProblem {
    int64_t contexts, responses;
    const double *reference;   /* log π_ref [contexts, responses] */
    const double *reward;      /* of the judge [contexts, responses] */
    const double *pair_shares; /* offline data: share of the pairs in which a was preferred to b
                                  [contexts, responses, responses], sums to 1; NULL if unused */
    double beta;
    double label_temperature; /* > 0; 0: the larger reward is preferred */
    double label_noise;
} RgExactProblem;

typedef enum RgExactResponses {
    RG_EXACT_POLICY_RESPONSES,
    RG_EXACT_DATASET_RESPONSES
} RgExactResponses;
typedef enum RgExactLabels {
    RG_EXACT_JUDGE_LABELS,
    RG_EXACT_POLICY_LABELS, /* P_ab = σ(β·Δ_ab) */
    RG_EXACT_DATASET_LABELS /* with the data set's responses only: DPO's objective */
} RgExactLabels;

/* Sources of pairs and labels, and through which of the two no gradient goes. */
typedef struct RgExactSources {
    RgExactResponses responses;
    RgExactLabels labels;
    bool stop_responses, stop_labels;
} RgExactSources;

/* J of the policy with the given logits [contexts, responses]; a scalar, to be maximised. */
RgTensor *rg_exact_sail(RgTape *tape, RgTensor *logits, const RgExactProblem *problem,
                        RgExactSources sources);

/* ½ E_c Σ_ab D_ab Σ_z P_z F_z² with D and P held fixed; its gradient E[F ∇F] is that of the labels'
 * score term. Same arguments. */
RgTensor *rg_exact_half_square_fit(RgTape *tape, RgTensor *logits, const RgExactProblem *problem,
                                   RgExactSources sources);

/* ---- the bilevel problem of PARL (arXiv:2308.02585) ---- */

/* Lower level: V(ν, θ) = E_c[ Σ_y π (r_ν − β(log π − log π_ref)) ], a scalar.
 * reward r_ν and logits [contexts, responses]. */
RgTensor *rg_exact_value(RgTape *tape, RgTensor *reward, RgTensor *logits,
                         const RgExactProblem *problem);

/* Its maximiser in closed form: logits log π_ref + r_ν/β of π*(ν) ∝ π_ref exp(r_ν/β). */
RgTensor *rg_exact_optimal_logits(RgTape *tape, RgTensor *reward, const RgExactProblem *problem);

/* Upper level: G(ν, θ) = −E_c Σ_ab π_a π_b [ p*_ab log σ(r_a − r_b) + p*_ba log σ(r_b − r_a) ],
 * to be minimised; p* is the judge's. */
RgTensor *rg_exact_upper(RgTape *tape, RgTensor *reward, RgTensor *logits,
                         const RgExactProblem *problem);

#endif
