/* SPDX-License-Identifier: MIT */
/* The version of the results, which is part of a trial's key: of equal settings and another
 * version, finished trials are run again.
 *
 * Raised where a change moves numbers on purpose: the weights of tests/golden/bits.txt, to which
 * tests/check-bits.sh holds every method, or metrics and costs beside them. Commits and releases
 * that leave the numbers alone keep the keys, so that a store goes on being of use.
 *
 * The first, "0.1.0", was the release's. 2: what a method computes before its first step is charged, which
 * PARL's reward fitting was not; PPO counts the sums that every batch has, and logs means over epochs. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_RESULTS_VERSION_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_RESULTS_VERSION_H

#define RG_RESULTS_VERSION "2"

#endif
