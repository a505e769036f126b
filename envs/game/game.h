/* SPDX-License-Identifier: MIT */
/* The game environment: general preferences over enumerated responses, one matrix per context. They
 * need not come from rewards, and may be cyclic. This header is for tests and programs that need
 * the matrices and the equilibrium; algorithms see only the task. */
#ifndef RG_ENVS_GAME_GAME_H
#define RG_ENVS_GAME_GAME_H

#include "envs/environment.h"
#include "envs/game/game_metrics.h"

extern const RgEnvironmentType rg_environment_game;

/* The preferences, without label noise; borrowed from the environment. */
RgPreferenceTable rg_game_preferences(const RgEnvironment *environment);

/* Log-probabilities of the regularised equilibrium [contexts, responses], or NULL before the
 * environment is prepared; borrowed. */
const double *rg_game_nash(const RgEnvironment *environment);

#endif
