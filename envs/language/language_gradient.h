/* SPDX-License-Identifier: MIT */
/* SAIL's objective (arXiv:2406.15567) over all pairs of sentences, and its exact gradient in the
 * parameters of any policy, by term:
 *
 *     h = log π − log π_ref,   F_ab = log σ(β(h_a − h_b))
 *     J = Σ_ab D_ab (P_ab F_ab + P_ba F_ba)
 *
 * D is the distribution of pairs and P_ab the probability that a is labelled as preferred. J is a
 * function of all log π(a), so ∇J = Σ_a c_a ∇log π(a) with c_a = ∂J/∂log π(a), and c is the sum of
 * three parts: through D (the responses' score term of T1), through P (the labels' score term of
 * T1), and through F (T2, the gradient of online DPO). The bandit's counterpart on the tape is
 * envs/bandit/bandit_exact.h. */
#ifndef RG_ENVS_LANGUAGE_LANGUAGE_GRADIENT_H
#define RG_ENVS_LANGUAGE_LANGUAGE_GRADIENT_H

#include "envs/bandit/bandit_exact.h"
#include "envs/language/language.h"

typedef enum RgSailTerm {
    RG_SAIL_TERM_RESPONSES,
    RG_SAIL_TERM_LABELS,
    RG_SAIL_TERM_FIT,
    RG_SAIL_TERMS
} RgSailTerm;

/* Returns J of a prepared environment; coefficient[term] [sentences] out, c of each term. Pairs of the
 * policy's responses take some hundred sums over the sentences, not n², and the square of the number of
 * different rewards. Uses all threads. */
double rg_language_sail_terms(const RgEnvironment *environment, const double *logprob,
                              const double *reference, RgExactResponses responses,
                              RgExactLabels labels, double beta,
                              double *const coefficient[RG_SAIL_TERMS]);

/* Σ_a coefficient[a] ∇log π(a): gradient [policy->parameters->count] out, by one backward pass over
 * all sentences. The policy's gradient buffer is left zero. */
void rg_language_gradient(const RgEnvironment *environment, RgPolicy *policy,
                          const double *coefficient, double *gradient);

#endif
