/* SPDX-License-Identifier: MIT */
/* All that an author of an algorithm, environment, policy, judge, estimator or optimiser needs, in
 * one. A plug-in that includes nothing else stays as it is when the headers below move; what the
 * parts are is told in each. See doc/adding-an-algorithm.md. */
#ifndef RG_REGATTA_H
#define RG_REGATTA_H

#include "algorithms/algorithm.h"
#include "algorithms/parl/estimator.h"
#include "algorithms/parl/hypergradient.h"
#include "algorithms/training/trainer.h"
#include "core/files.h"
#include "core/plugin.h"
#include "core/policy/policy.h"
#include "core/suggest.h"
#include "core/task/mdp.h"
#include "core/tensor/gemm_dispatch.h"
#include "core/tensor/lapack.h"
#include "core/tensor/parallel.h"
#include "core/tensor/vector_ops.h"
#include "core/train/optimizer.h"
#include "envs/environment.h"
#include "envs/judges/judge.h"

#endif
