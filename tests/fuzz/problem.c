/* SPDX-License-Identifier: MIT */
/* Problem files of leader and follower. */
#include "envs/mdp/leader_follower.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>

/* What is accepted has rows that are probabilities, and a start. */
static void check(const RgLeaderFollower *p) {
    RG_ASSERT(p->start >= 0 && p->start < p->states && p->horizon > 0);
    int64_t rows = p->states * p->leader_actions * p->follower_actions;
    for (int64_t row = 0; row < rows; row++) {
        double total = 0;
        for (int64_t next = 0; next < p->states; next++) {
            RG_ASSERT(p->transition[row * p->states + next] >= 0);
            total += (double)p->transition[row * p->states + next];
        }
        RG_ASSERT(fabs(total - 1) < 1e-4 && isfinite(p->follower_reward[row]) &&
                  isfinite(p->leader_reward[row]));
    }
}

static void run(const uint8_t *data, size_t size) {
    RgError error = {0};
    RgLeaderFollower process;
    fuzz_write("problem.cfg", (RgBytes){data, size});
    if (size == 0)
        return;
    if (fuzz_good(rg_leader_follower_read("problem.cfg", &process, &error), &error, "problem.cfg"))
        check(&process);
    rg_leader_follower_free(&process);
}

const FuzzTarget fuzz_problem = {"problem", run};
