/* SPDX-License-Identifier: MIT */
/* The mdp environment and the policy that acts in it: episodes against what is known exactly, bits
 * that do not depend on threads or neighbours, files, refusals, and every algorithm unchanged. */
#include "algorithms/training/trainer.h"
#include "core/models/state_table.h"
#include "core/tensor/threads.h"
#include "envs/episodes.h"
#include "envs/mdp/mdp.h"
#include "race.h"
#include "save_checkpoint.h"
#include "scratch.h"

#include <math.h>

TestSuite(mdp, .init = scratch_begin, .timeout = 120);

typedef struct Stage {
    RgSettings *settings;
    RgEnvironment *environment;
    RgPolicy *policy;
} Stage;

static Stage open_stage(const char *environment, const char *policy) {
    Stage s = {.settings = rg_settings_create()};
    RgError error = {0};
    rg_small_race_set(s.settings, "environment", environment);
    rg_small_race_set(s.settings, "policy", policy);
    cr_assert(rg_environment_create("mdp", s.settings, "environment", rg_random_root(5),
                                    &s.environment, &error) == RG_OK,
              "%s", error.text);
    cr_assert(rg_policy_create("markov", s.settings, "policy", &s.environment->space,
                               rg_random_root(6), &s.policy, &error) == RG_OK,
              "%s", error.text);
    cr_assert(rg_environment_prepare(s.environment, s.policy, rg_random_root(8), &error) == RG_OK,
              "%s", error.text);
    return s;
}

static void close_stage(Stage *s) {
    rg_policy_destroy(s->policy);
    rg_environment_destroy(s->environment);
    rg_settings_destroy(s->settings);
}

static const char small[] = "states=3 actions=3 horizon=4 pairs=20 conditions=30";

static RgSequences *episodes_of(const Stage *s, RgPolicy *policy, int64_t count, double *logprob) {
    RgSequences *prompts = rg_episode_prompts(0, count), *episodes = rg_sequences_create();
    rg_episodes_sample(s->environment->task.simulator, policy, prompts, 1, rg_random_root(9),
                       episodes, logprob);
    rg_sequences_destroy(prompts);
    return episodes;
}

Test(mdp, sampled_log_probabilities_are_those_of_the_episodes) {
    enum { COUNT = 50 };
    Stage s = open_stage(small, "initial_deviation=1");
    double sampled[COUNT], asked[COUNT];
    RgSequences *episodes = episodes_of(&s, s.policy, COUNT, sampled);
    rg_policy_logprob_values(s.policy, episodes, asked);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_float_eq(sampled[i], asked[i], 1e-5);
        cr_assert_eq(rg_sequence_response_length(episodes, i), 2 * 4);
    }
    cr_assert_eq(rg_policy_count_tokens(s.policy, episodes), COUNT * 4);
    rg_sequences_destroy(episodes);
    close_stage(&s);
}

Test(mdp, episodes_do_not_depend_on_threads_or_neighbours) {
    Stage s = open_stage("problem=grid pairs=20", "initial_deviation=1");
    rg_threads_set(1);
    RgSequences *one = episodes_of(&s, s.policy, 40, NULL);
    rg_threads_set(4);
    RgSequences *four = episodes_of(&s, s.policy, 40, NULL),
                *few = episodes_of(&s, s.policy, 7, NULL);
    rg_threads_set(1);
    cr_assert_eq(rg_sequences_hash(one), rg_sequences_hash(four));
    for (int i = 0; i < 7; i++) {
        cr_assert_eq(rg_sequence_length(one, i), rg_sequence_length(few, i));
        cr_assert_arr_eq(rg_sequence_response(one, i), rg_sequence_response(few, i),
                         (size_t)rg_sequence_response_length(one, i) * sizeof(int32_t));
    }
    rg_sequences_destroy(one);
    rg_sequences_destroy(four);
    rg_sequences_destroy(few);
    close_stage(&s);
}

Test(mdp, mean_return_of_episodes_is_the_exact_one) {
    enum { COUNT = 20000 };
    Stage s = open_stage(small, "initial_deviation=1");
    double *reward = rg_allocate(COUNT, sizeof *reward), sum = 0, square = 0;
    RgSequences *episodes = episodes_of(&s, s.policy, COUNT, NULL);
    s.environment->task.judge(s.environment, episodes, reward, NULL);
    for (int i = 0; i < COUNT; i++) {
        sum += reward[i] / COUNT;
        square += reward[i] * reward[i] / COUNT;
    }
    RgEvaluation *evaluation = rg_evaluation_create();
    rg_environment_evaluate(s.environment,
                            &(RgContender){.policy = s.policy, .reference = s.policy, .beta = 1},
                            rg_random_root(1), evaluation, NULL);
    double error = sqrt((square - sum * sum) / COUNT);
    double exact = rg_evaluation_find(evaluation, "return");
    cr_assert_lt(fabs(sum - exact), 4 * error, "%g, not %g (± %g)", sum, exact, error);
    cr_assert_float_eq(rg_evaluation_find(evaluation, "kl"), 0, 1e-6);
    cr_assert_float_eq(rg_evaluation_find(evaluation, "regret") + exact,
                       ((RgMdpState *)s.environment->state)->best_return, 1e-5);
    rg_evaluation_destroy(evaluation);
    rg_sequences_destroy(episodes);
    free(reward);
    close_stage(&s);
}

Test(mdp, the_likeliest_action_is_taken_at_temperature_zero) {
    Stage s = open_stage(small, "initial_deviation=1");
    const RgSimulator *d = s.environment->task.simulator;
    RgSequences *prompts = rg_episode_prompts(0, 20), *episodes = rg_sequences_create();
    RgSampling greedy = {.temperature = 0, .top_p = 1, .response_limit = 8, .end_token = -1};
    rg_policy_sample(s.policy, prompts, 1, &greedy, rg_random_root(2), episodes, NULL);
    for (int i = 0; i < 20; i++)
        for (int h = 0; h < 4; h++) {
            const RgReal *row = s.policy->parameters->value +
                                *rg_episode_observation(d, episodes, i, h) * d->actions;
            for (int a = 0; a < d->actions; a++)
                cr_assert_leq(row[a], row[*rg_episode_action(d, episodes, i, h)]);
        }
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(episodes);
    close_stage(&s);
}

Test(mdp, a_saved_policy_acts_again_once_it_is_lent_a_process) {
    Stage s = open_stage(small, "initial_deviation=1");
    Stage other = open_stage("states=2 actions=3 horizon=4 pairs=20", "");
    RgError error = {0};
    RgPolicy *loaded;
    char path[300];
    snprintf(path, sizeof path, "%s/markov.safetensors", scratch_path);
    cr_assert_eq(rg_policy_save(s.policy, path, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_load(path, &loaded, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_use_simulator(loaded, other.environment->task.simulator, &error),
                 RG_E_USAGE);
    cr_assert(strstr(error.text, "12 states") && strstr(error.text, "8 states"), "%s", error.text);
    cr_assert_eq(rg_policy_use_simulator(loaded, s.environment->task.simulator, &error), RG_OK);
    RgSequences *before = episodes_of(&s, s.policy, 9, NULL),
                *after = episodes_of(&s, loaded, 9, NULL);
    cr_assert_eq(rg_sequences_hash(before), rg_sequences_hash(after));
    rg_sequences_destroy(before);
    rg_sequences_destroy(after);
    rg_policy_destroy(loaded);
    close_stage(&s);
    close_stage(&other);
}

/* DPO, SAIL and the rest see prompts, responses and pairs: an episode is a response to them. */
Test(mdp, every_algorithm_raises_the_return) {
    static const char *const names[] = {"dpo",     "ipo",     "online-dpo", "sail-dp",
                                        "sail-pp", "sail-pr", "parl"};
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        Stage s = open_stage("states=3 actions=3 horizon=3 pairs=400 label_temperature=0.3", "");
        RgPolicy *policy = rg_policy_clone(s.policy, false);
        const RgAlgorithm *a = rg_algorithm_find(names[k]);
        RgError error = {0};
        RgTrainer *trainer;
        void *options = rg_allocate(1, a->about.options_size);
        rg_small_race_set(s.settings, "algorithm",
                          strcmp(names[k], "parl") == 0 ? "pretrain=60" : "beta=0.3");
        cr_assert_eq(rg_options_read(a->about.options, s.settings, "algorithm", options, &error),
                     RG_OK, "%s", error.text);
        RgTrainingOptions training = {.batch = 32, .temperature = 1, .top_p = 1};
        RgOptimizerOptions adamw = {.type = {.type = &rg_optimizer_adamw.about},
                                    .learning_rate = 0.03,
                                    .beta1 = 0.9,
                                    .beta2 = 0.999,
                                    .epsilon = 1e-8};
        cr_assert_eq(rg_trainer_create(a, options, &training, policy, s.policy,
                                       &s.environment->task, &adamw, 0, rg_random_root(3), &trainer,
                                       &error),
                     RG_OK, "%s", error.text);
        for (int step = 0; step < 60; step++)
            cr_assert(take_step(trainer), "%s: %s", names[k], trainer->outcome.diverged);
        RgEvaluation *before = rg_evaluation_create(), *after = rg_evaluation_create();
        rg_environment_evaluate(
            s.environment, &(RgContender){.policy = s.policy, .reference = s.policy, .beta = 1},
            rg_random_root(1), before, NULL);
        rg_environment_evaluate(s.environment,
                                &(RgContender){.policy = policy, .reference = s.policy, .beta = 1},
                                rg_random_root(1), after, NULL);
        cr_assert_gt(rg_evaluation_find(after, "return"),
                     rg_evaluation_find(before, "return") + 0.2, "%s", names[k]);
        rg_evaluation_destroy(before);
        rg_evaluation_destroy(after);
        rg_trainer_destroy(trainer);
        rg_policy_destroy(policy);
        free(options);
        close_stage(&s);
    }
}

/* What PARL has been charged after some steps: in one go, or from a checkpoint in their midst. The
 * policy is looked at in between, by who is not charged. */
static double charged(int steps, const char *checkpoint_path) {
    Stage s = open_stage("problem=grid width=3 height=3 pairs=20", "");
    const RgAlgorithm *parl = rg_algorithm_find("parl");
    RgError error = {0};
    RgParlOptions options;
    rg_small_race_set(s.settings, "algorithm", "upper=utility expectation=exact inner_steps=3");
    cr_assert_eq(rg_options_read(parl->about.options, s.settings, "algorithm", &options, &error),
                 RG_OK, "%s", error.text);
    RgTrainingOptions training = {.batch = 8, .temperature = 1, .top_p = 1};
    RgPolicy *policy = rg_policy_clone(s.policy, false);
    RgSequences *looked_at = episodes_of(&s, policy, 5, NULL);
    RgTrainer *trainer;
    cr_assert_eq(rg_trainer_create(parl, &options, &training, policy, s.policy,
                                   &s.environment->task, &rg_small_race_optimizer, 0,
                                   rg_random_root(3), &trainer, &error),
                 RG_OK, "%s", error.text);
    RgCheckpoint *checkpoint = rg_checkpoint_create();
    rg_trainer_checkpoint(trainer, checkpoint);
    if (checkpoint_path)
        cr_assert_eq(rg_checkpoint_load(checkpoint, checkpoint_path, "x", &error), RG_OK, "%s",
                     error.text);
    while (trainer->step < steps) {
        double before = trainer->meter.flops, logprob[5];
        rg_policy_logprob_values(policy, looked_at, logprob);
        cr_assert_eq(trainer->meter.flops, before);
        cr_assert(take_step(trainer), "%s", trainer->outcome.diverged);
    }
    if (!checkpoint_path)
        cr_assert_eq(save_checkpoint(checkpoint, scratch("half"), "x", &error), RG_OK);
    double flops = trainer->meter.flops;
    rg_checkpoint_destroy(checkpoint);
    rg_trainer_destroy(trainer);
    rg_sequences_destroy(looked_at);
    rg_policy_destroy(policy);
    close_stage(&s);
    return flops;
}

Test(mdp, a_resumed_trial_is_charged_to_the_bit_what_an_undisturbed_one_is) {
    double whole = charged(9, NULL);
    for (int half = 1; half < 9; half++) {
        cr_assert_lt(charged(half, NULL), whole);
        cr_assert_eq(charged(9, scratch("half")), whole, "after %d steps", half);
    }
}

/* Share of the moves to the right from the start of Four Rooms that go there. */
static double share_of_moves(const char *environment) {
    enum { MOVES = 20000 };
    const int32_t right = 1;
    Stage s = open_stage(environment, "");
    const RgSimulator *simulator = s.environment->task.simulator;
    double there = 0;
    for (int i = 0; i < MOVES; i++) {
        int32_t before, after;
        void *episode = simulator->begin(simulator->environment, 0,
                                         rg_random_at(rg_random_root(4), (uint64_t)i), &before);
        cr_assert(simulator->advance(episode, &right, &after));
        there += after == before + 1; /* cells are numbered along the rows */
        simulator->end(episode);
    }
    close_stage(&s);
    return there / MOVES;
}

/* 1 − 4/3·0.33 by the transitions; a quarter of the failures go there, too, if they are redrawn. */
Test(mdp, a_simulator_that_redraws_fails_less_often) {
    const double error = 4 * sqrt(0.25 / 20000);
    cr_assert_float_eq(share_of_moves("problem=four-rooms pairs=8"), 0.56, error);
    cr_assert_float_eq(share_of_moves("problem=four-rooms pairs=8 simulator=redrawn"), 0.67, error);
}

static void expect_refusal(const char *options, const char *words) {
    RgSettings *settings = rg_settings_create();
    RgEnvironment *environment;
    RgError error = {0};
    rg_small_race_set(settings, "environment", options);
    cr_assert_neq(rg_environment_create("mdp", settings, "environment", rg_random_root(5),
                                        &environment, &error),
                  RG_OK);
    cr_assert(strstr(error.text, words), "%s", error.text);
    rg_settings_destroy(settings);
}

Test(mdp, bad_options_are_refused) {
    expect_refusal("branching=5 states=3", "branching is 5, expected at most the 3");
    expect_refusal("width=100 height=100 problem=grid", "width times height is 10000");
    expect_refusal("problem=maze", "maze");
    expect_refusal("discount=1.5", "discount");
    expect_refusal("problem=grid problem_file=x.cfg", "expected problem = \"leader-follower\"");
    expect_refusal("problem=grid simulator=redrawn", "expected problem = \"four-rooms\"");
    expect_refusal("problem=leader-follower leader_discount=-0.5", "expected -1, or from 0 to 1");
    expect_refusal("problem=leader-follower problem_file=nowhere.cfg", "nowhere.cfg");
}

/* ---- problem files ---- */

/* The process that is built in, as a file. */
static const char three_states[] =
    "states = [\"S\", \"A\", \"B\"];\n"
    "leader_actions = [\"pass\", \"send\"];\n"
    "follower_actions = [\"first\", \"second\", \"third\"];\n"
    "start = \"S\";\n"
    "follower_discount = 0.99;\n"
    "leader_discount = 0.99;\n"
    "horizon = 150;\n"
    "transitions = (\n"
    "    { state = \"S\"; follower = \"second\"; next = \"A\"; follower_reward = 1; leader_reward "
    "= 1.0; },\n"
    "    { state = \"S\"; follower = \"third\"; next = \"B\"; follower_reward = 1.0; },\n"
    "    { state = \"A\"; leader = \"pass\"; follower = \"first\"; next = \"S\"; },\n"
    "    { state = \"A\"; leader = \"pass\"; follower = \"third\"; next = \"B\"; follower_reward = "
    "2.0; },\n"
    "    { state = \"A\"; leader = \"send\"; next = \"S\"; follower_reward = -1.0; },\n"
    "    { state = \"B\"; follower = \"first\"; next = \"S\"; }\n"
    ");\n";

static RgStatus read_problem(const char *text, RgLeaderFollower *process, RgError *error) {
    return rg_leader_follower_read(scratch_write("problem.cfg", text), process, error);
}

Test(mdp, a_problem_file_is_the_process_that_is_built_in) {
    RgLeaderFollower read, built_in;
    RgError error = {0};
    cr_assert_eq(read_problem(three_states, &read, &error), RG_OK, "%s", error.text);
    rg_leader_follower_bc_hg(2, &built_in);
    int64_t rows = built_in.states * built_in.leader_actions * built_in.follower_actions;
    cr_assert_eq(read.states * read.leader_actions * read.follower_actions, rows);
    cr_assert_eq(read.start, built_in.start);
    cr_assert_eq(read.horizon, built_in.horizon);
    cr_assert_eq(read.leader_discount, built_in.leader_discount);
    cr_assert_eq(read.follower_discount, built_in.follower_discount);
    cr_assert_arr_eq(read.transition, built_in.transition,
                     (size_t)(rows * built_in.states) * sizeof(RgReal));
    cr_assert_arr_eq(read.follower_reward, built_in.follower_reward, (size_t)rows * sizeof(RgReal));
    cr_assert_arr_eq(read.leader_reward, built_in.leader_reward, (size_t)rows * sizeof(RgReal));
    rg_leader_follower_free(&read);
    rg_leader_follower_free(&built_in);
}

/* three_states with one part of it replaced. */
static const char *changed(const char *part, const char *by) {
    static char text[2000];
    const char *at = strstr(three_states, part);
    cr_assert(at, "%s", part);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - three_states), three_states, by,
             at + strlen(part));
    return text;
}

/* Rewards are means over the successors of a state and two actions. */
Test(mdp, successors_of_a_problem_file_have_probabilities) {
    RgLeaderFollower p;
    RgError error = {0};
    const char *text =
        changed("    { state = \"B\"; follower = \"first\"; next = \"S\"; }\n",
                "    { state = \"B\"; next = \"S\"; probability = 0.25; leader_reward = 4; },\n"
                "    { state = \"B\"; next = \"A\"; probability = 0.75; }\n");
    cr_assert_eq(read_problem(text, &p, &error), RG_OK, "%s", error.text);
    for (int64_t row = 2 * 2 * 3; row < 3 * 2 * 3; row++) {
        cr_assert_float_eq(p.transition[row * 3 + 0], 0.25, 1e-7);
        cr_assert_float_eq(p.transition[row * 3 + 1], 0.75, 1e-7);
        cr_assert_eq(p.transition[row * 3 + 2], 0);
        cr_assert_float_eq(p.leader_reward[row], 1, 1e-6);
    }
    rg_leader_follower_free(&p);
}

Test(mdp, bad_problem_files_are_refused_with_file_line_and_what_was_expected) {
    static const struct {
        const char *part, *by, *words[2];
    } bad[] = {
        {"start = \"S\";", "start = \"T\";", {"problem.cfg:4: start = \"T\"", "one of S, A, B"}},
        {"start = \"S\";", "", {"problem.cfg", "start"}},
        {"start = \"S\";", "start = 0;", {"problem.cfg:4: start = 0", "string"}},
        {"horizon = 150;", "horizon = 0;", {"problem.cfg:7: horizon = 0", "1"}},
        {"horizon = 150;", "horizon = 1.5;", {"problem.cfg:7: horizon = 1.5", "integer"}},
        {"follower_discount = 0.99;", "follower_discount = 1.0;", {"problem.cfg:5", "0.9999999"}},
        {"leader_discount = 0.99;",
         "leader_discount = -0.5;",
         {"problem.cfg:6", "leader_discount"}},
        {"[\"S\", \"A\", \"B\"]",
         "[\"S\", \"A\", \"A\"]",
         {"problem.cfg:1: states.2", "not there yet"}},
        {"[\"S\", \"A\", \"B\"]", "[1, 2]", {"problem.cfg:1: states.0 = 1", "a name"}},
        {"states = [\"S\", \"A\", \"B\"];\n", "", {"problem.cfg: states is missing", "a list"}},
        {", \"second\", \"third\"]", "]", {"follower_actions.0", "at least 2"}},
        {"next = \"A\";", "next = \"C\";", {"problem.cfg:9: transitions.0.next", "one of S, A, B"}},
        {"next = \"A\";", "", {"problem.cfg", "transitions.0.next"}},
        {"follower = \"second\";",
         "follower = \"forth\";",
         {"transitions.0.follower", "second, third"}},
        {"leader = \"send\";",
         "leader = 1;",
         {"problem.cfg:13: transitions.4.leader = 1", "string"}},
        {"state = \"S\"; follower = \"second\"",
         "state = \"\"; follower = \"second\"",
         {"transitions.0.state", "one of S, A, B"}},
        {"leader = \"send\";",
         "leader = \"send\"; probability = 0.5;",
         {"problem.cfg:13: transitions.4.state", "sum to 0.5, expected 1"}},
        {"leader = \"send\";", "", {"problem.cfg:13: transitions.4.state", "sum to 2, expected 1"}},
        {"leader = \"send\";",
         "leader = \"send\"; probability = 1.5;",
         {"problem.cfg:13: transitions.4.probability", "1"}},
        {"leader = \"send\";",
         "leader = \"send\"; reward = 1.0;",
         {"problem.cfg:13", "leader_reward"}},
        {"follower_reward = -1.0;", "follower_reward = \"low\";", {"problem.cfg:13", "a real in"}},
        {"horizon = 150;",
         "horizon = 150; discount = 0.9;",
         {"problem.cfg:7: unknown key \"discount\"", "leader_discount"}},
        {"horizon = 150;",
         "horizon = 150; extends = \"other.cfg\";",
         {"other.cfg:1: name", "neither includes nor extends"}},
        {"horizon = 150;", "horizon = ;", {"problem.cfg:7", "syntax error"}},
        {"{ state = \"B\"; follower = \"first\"; next = \"S\"; }",
         "3",
         {"problem.cfg:14: transitions.5 = 3", "a group"}},
    };
    scratch_write("other.cfg", "name = \"other\";\n");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        RgLeaderFollower process;
        RgError error = {0};
        cr_assert_neq(read_problem(changed(bad[i].part, bad[i].by), &process, &error), RG_OK, "%s",
                      bad[i].by);
        for (int k = 0; k < 2; k++)
            cr_assert(strstr(error.text, bad[i].words[k]), "%s: %s", bad[i].by, error.text);
        rg_leader_follower_free(&process);
    }
    RgLeaderFollower process;
    RgError error = {0};
    cr_assert_neq(rg_leader_follower_read(scratch("nowhere.cfg"), &process, &error), RG_OK);
    cr_assert(strstr(error.text, "nowhere.cfg"), "%s", error.text);
    rg_leader_follower_free(&process);
}

Test(mdp, other_policies_are_refused) {
    Stage s = open_stage(small, "");
    RgError error = {0};
    RgPolicy *policy;
    cr_assert_eq(rg_policy_create("tabular", s.settings, "policy", &s.environment->space,
                                  rg_random_root(6), &policy, &error),
                 RG_E_USAGE);
    cr_assert(strstr(error.text, "enumerated"), "%s", error.text);
    close_stage(&s);
}
