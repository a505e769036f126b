/* SPDX-License-Identifier: MIT */
/* The version of the results, a part of a trial's key. A new version makes regatta run repeat
 * finished trials of equal settings.
 *
 * It is raised when a change moves numbers on purpose: the weights in tests/golden/bits.txt, which
 * tests/check-bits.sh checks for every method, or metrics and costs. Commits and releases
 * that do not change numbers keep the keys, so that stores remain usable. Rounding alone does not
 * raise it, as it differs between kernels, too.
 *
 * The first, "0.1.0", was the release's. 2: work before the first step is charged, which PARL's
 * reward fitting was not; PPO counts the sums that every batch has, and logs means over epochs. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_RESULTS_VERSION_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_RESULTS_VERSION_H

#define RG_RESULTS_VERSION "2"

#endif
