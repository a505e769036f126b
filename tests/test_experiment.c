/* SPDX-License-Identifier: MIT */
/* Unfolding a config into trials: seeds, sweeps, overrides, and what is refused before step 0. */
#include "core/utf8.h"
#include "experiments/program/config/experiment.h"
#include "experiments/program/run/trial_setup.h"
#include "scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

TestSuite(experiment, .init = scratch_begin);

static const char head[] = "name = \"test\";\nseeds = [1, 2];\n"
                           "environment: { type = \"bandit\"; };\n"
                           "policy: { type = \"tabular\"; };\n"
                           "optimizer: { learning_rate = 0.1; };\nbudget: { steps = 5; };\n";

static RgStatus open_text(const char *rest, RgExperiment **experiment, RgError *error) {
    char *text = rg_string_format("%s%s", head, rest);
    const char *path = scratch_write("test.cfg", text);
    free(text);
    return rg_experiment_open(path, NULL, 0, experiment, error);
}

static RgExperiment *opened(const char *rest) {
    RgError error = {0};
    RgExperiment *experiment;
    cr_assert(open_text(rest, &experiment, &error) == RG_OK, "%s", error.text);
    return experiment;
}

static void refused(const char *rest, const char *word, const char *other) {
    RgError error = {0};
    RgExperiment *experiment;
    cr_assert(open_text(rest, &experiment, &error) == RG_E_USAGE);
    cr_assert_null(experiment);
    cr_assert(strstr(error.text, word) && strstr(error.text, other), "%s", error.text);
}

/* Of a config that is this text alone. */
static void refused_whole(const char *text, const char *word, const char *other) {
    RgError error = {0};
    RgExperiment *experiment;
    const char *path = scratch_write("test.cfg", text);
    cr_assert(rg_experiment_open(path, NULL, 0, &experiment, &error) == RG_E_USAGE);
    cr_assert(strstr(error.text, word) && strstr(error.text, other), "%s", error.text);
}

Test(experiment, has_a_trial_for_each_algorithm_and_seed) {
    RgExperiment *e = opened("algorithms = ( { type = \"base\"; }, { type = \"dpo\"; } );\n");
    cr_assert_eq(e->trial_count, 4);
    cr_assert_str_eq(e->trials[1].part.label, "dpo");
    cr_assert_eq(e->trials[2].seed, 2);
    rg_experiment_close(e);
}

Test(experiment, sweeps_an_option_where_an_algorithm_has_it) {
    RgExperiment *e =
        opened("algorithms = ( { type = \"dpo\"; }, { type = \"sail-pr\"; } );\n"
               "sweep = ( { option = \"algorithm.exploration\"; values = [0.0, 0.1, 0.5]; } );\n");
    cr_assert_eq(e->trial_count, 2 * (1 + 3));
    cr_assert_str_eq(e->trials[0].swept_json, "{}");
    cr_assert(strstr(e->trials[2].swept_json, "exploration"));
    rg_experiment_close(e);
}

Test(experiment, an_algorithm_may_override_a_shared_part) {
    RgExperiment *e =
        opened("algorithms = ( { type = \"dpo\"; }, { type = \"dpo\"; label = \"few\"; "
               "budget: { steps = 2; }; } );\n");
    cr_assert_eq(e->trials[0].budget.steps, 5);
    cr_assert_eq(e->trials[1].budget.steps, 2);
    cr_assert_eq(e->trials[1].optimizer.learning_rate, 0.1);
    rg_experiment_close(e);
}

Test(experiment, the_key_of_a_trial_is_of_all_that_decides_its_bits) {
    RgExperiment *e = opened("algorithms = ( { type = \"dpo\"; } );\n");
    RgExperiment *same = opened("algorithms = ( { beta = 0.1; type = \"dpo\"; } );\n");
    RgExperiment *other = opened("algorithms = ( { type = \"dpo\"; beta = 0.2; } );\n");
    cr_assert_str_eq(e->trials[0].key, same->trials[0].key, "a default said or left out");
    cr_assert_str_neq(e->trials[0].key, other->trials[0].key);
    cr_assert_str_neq(e->trials[0].key, e->trials[1].key, "another seed");
    rg_experiment_close(e);
    rg_experiment_close(same);
    rg_experiment_close(other);
}

Test(experiment, an_unknown_key_is_refused_with_the_nearest) {
    refused("algorithms = ( { type = \"dpo\"; betta = 0.2; } );\n", "test.cfg:7", "\"beta\"");
}

Test(experiment, what_should_be_a_list_is_refused_with_its_place) {
    static const char seeds[] = "expected a list such as [1, 2, 3], or [1]";
    const char *dpo = "algorithms = ( { type = \"dpo\"; } );\n";
    refused_whole("name = \"x\"; seeds = 3;\n", "test.cfg:1: seeds = 3: ", seeds);
    refused_whole("name = \"x\"; seeds = \"1,2\";\n", "test.cfg:1: seeds = \"1,2\": ", seeds);
    refused_whole("name = \"x\";\nseeds = ();\n", "test.cfg:2: seeds = (empty): ", seeds);
    refused_whole("name = \"x\";\nseeds = { a = 1; };\n",
                  "test.cfg:2: seeds.a: seeds is a group: ", seeds);
    refused_whole("name = \"x\";\n", "test.cfg: seeds is missing: ", seeds);
    refused_whole("", "test.cfg: name is missing: ", "a string");
    refused_whole("name = \"x\"; seeds = [1];\nalgorithms = { type = \"dpo\"; };\n",
                  "test.cfg:2: algorithms.type: algorithms is a group: ", "({ type = \"dpo\"; })");
    refused_whole("name = \"x\"; seeds = [1];\n", "test.cfg: algorithms is missing: ", "dpo");
    refused("algorithms = ( { beta = 0.1; } );\n", "test.cfg: algorithms.0.type is missing",
            "name");
    refused("algorithms = ( { type = \"dpo\"; }, { type = \"dpo\"; beta = 0.2; } );\n",
            "test.cfg:7: algorithms.1: \"dpo\" is also the label", "dpo-2");
    RgExperiment *experiment = opened(dpo);
    cr_assert_eq(experiment->trial_count, 2);
    rg_experiment_close(experiment);
}

/* The file that was asked for, not the one that it extends, lacks the key. */
Test(experiment, a_missing_key_is_told_of_the_file_that_was_asked_for) {
    scratch_write("below.cfg", "name = \"x\";\n");
    refused_whole("extends = \"below.cfg\";\n", "test.cfg: seeds is missing: ", "expected a list");
}

/* Of several layers: what is missing is told of the file that was asked for, what is there of the
 * file or the -s that it is from; an element of a list can be completed only where it is. */
Test(experiment, a_message_names_the_layer_that_it_is_about) {
    static const char base[] = "name = \"x\";\nseeds = [1];\nenvironment: { type = \"bandit\"; };\n"
                               "policy: { type = \"tabular\"; };\n"
                               "optimizer: { learning_rate = 0.1; };\n"
                               "budget: { steps = 5; };\n"
                               "algorithms = (\n  { type = \"dpo\"; } );\n";
    static const struct {
        const char *from, *to;  /* in the base; NULL: nothing */
        const char *rest, *set; /* of the file that was asked for; of -s; NULL: none */
        const char *start;      /* of the message */
    } cases[] = {
        {"type = \"bandit\"", "contexts = 3", "", NULL, "test.cfg: environment.type is missing"},
        {"learning_rate", "weight_decay", "", NULL, "test.cfg: optimizer.learning_rate is missing"},
        {"type = \"tabular\"", "init_scale = 1.0", "", NULL, "test.cfg: policy: expected type"},
        {"type = \"dpo\"", "beta = 0.1", "", NULL, "below.cfg: algorithms.0.type is missing"},
        {NULL, NULL, "algorithms = (\n { beta = 0.1; } );\n", NULL,
         "test.cfg: algorithms.0.type is missing"},
        {NULL, NULL, "", "algorithms=({ beta = 0.1; })", "-s: algorithms.0.type is missing"},
        {"steps = 5", "kl = 2.0", "budget: { steps = 3; };\nevaluation: { every = 0; };\n", NULL,
         "below.cfg:6: budget.kl = 2: expected evaluation.every"},
        {NULL, NULL, "", "budget.steps=0", "-s: budget.steps = 0: expected at least one of"},
        {NULL, NULL, "budget: { steps = 0; };\n", NULL,
         "test.cfg:2: budget.steps = 0: expected at least one of"},
        {"budget: { steps = 5; };", "", "", NULL, "test.cfg: budget: expected at least one of"},
        {NULL, NULL, "budget: { steps = 0; };\n", "budget.judge_queries=9",
         "-s: budget.judge_queries = 9: dpo with these options spends none"},
        {"\"dpo\"; }", "\"kto\"; }", "training: { batch = 8; };\n", "training.micro_batch=2",
         "-s: training.micro_batch: "},
        {"\"dpo\"; }", "\"kto\"; }", "training: { batch = 8;\nmicro_batch = 2; };\n", NULL,
         "test.cfg:3: training.micro_batch: "},
        {NULL, NULL, "optimizer: { schedule = \"cosine\"; };\n", "budget={flops=1e9;steps=0;}",
         "test.cfg:2: optimizer.schedule: "},
        {"\"dpo\"; }", "\"dpo\"; },\n { type = \"ipo\"; label = \"dpo\"; }", "", NULL,
         "below.cfg:9: algorithms.1: \"dpo\" is also the label"},
        {NULL, NULL, "seeds = [2,\n2];\n", NULL, "test.cfg:2: seeds: \"dpo\" with seed 2"},
        {NULL, NULL, "", "seeds=[2,2]", "-s: seeds: \"dpo\" with seed 2"},
        {NULL, NULL, "sweep = ( { option = \"algorithm.beta\"; values = 3; } );\n", NULL,
         "test.cfg:2: sweep.0.values: expected a list"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *at = cases[i].from ? strstr(base, cases[i].from) : base;
        cr_assert(at, "%s", cases[i].from);
        char *below =
            rg_string_format("%.*s%s%s", (int)(at - base), base, cases[i].to ? cases[i].to : "",
                             at + (cases[i].from ? strlen(cases[i].from) : 0));
        char *text = rg_string_format("extends = \"below.cfg\";\n%s", cases[i].rest);
        scratch_write("below.cfg", below);
        RgError error = {0};
        RgExperiment *experiment;
        RgStatus status = rg_experiment_open(scratch_write("test.cfg", text), &cases[i].set,
                                             cases[i].set != NULL, &experiment, &error);
        cr_assert_eq(status, RG_E_USAGE, "%s", cases[i].start);
        size_t folder = strlen(scratch_path);
        const char *told = error.text;
        told += strncmp(told, scratch_path, folder) == 0 ? folder + 1 : 0;
        cr_assert_eq(strncmp(told, cases[i].start, strlen(cases[i].start)), 0, "%s, not %s",
                     error.text, cases[i].start);
        free(below);
        free(text);
    }
}

Test(experiment, an_unknown_part_is_refused_with_the_nearest) {
    refused("algorithms = ( { type = \"dpo\"; } );\nbudjet: { steps = 1; };\n", "test.cfg:8",
            "\"budget\"");
}

Test(experiment, an_unknown_algorithm_is_refused_with_the_nearest) {
    refused("algorithms = ( { type = \"dpoo\"; } );\n", "test.cfg:7", "\"dpo\"");
}

Test(experiment, a_value_out_of_range_is_refused) {
    refused("algorithms = ( { type = \"sail-pr\"; mixture = 2.0; } );\n", "test.cfg:7", "[0, 1]");
}

Test(experiment, a_precision_that_cannot_be_had_is_refused_where_it_stands) {
    const char *text = "algorithms = ( { type = \"dpo\"; policy: { type = \"%s\"; "
                       "precision = \"bf16\"; }; } );\n";
    char *tabular = rg_string_format(text, "tabular");
    char *transformer = rg_string_format(text, "transformer");
    refused(tabular, "test.cfg:7: policy.precision", "fp32 only");
    if (rg_precision_check(RG_PRECISION_BF16, NULL) == RG_OK) {
        RgExperiment *e = opened(transformer);
        cr_assert_eq(e->trials[0].policy.precision, RG_PRECISION_BF16);
        rg_experiment_close(e);
    } else {
        refused(transformer, "test.cfg:7: policy.precision", "oneDNN");
    }
    free(tabular);
    free(transformer);
}

Test(experiment, a_storage_that_a_policy_does_not_take_is_refused_where_it_stands) {
    refused("algorithms = ( { type = \"dpo\"; policy: { type = \"tabular\"; "
            "reference_storage = \"bf16\"; }; } );\n",
            "test.cfg:7: policy.reference_storage", "tabular");
    refused("algorithms = ( { type = \"dpo\"; policy: { type = \"tabular\"; "
            "sampling = \"bf16\"; }; } );\n",
            "test.cfg:7: policy.sampling", "tabular policy samples in fp32 only");
}

Test(experiment, terms_that_a_trial_cannot_have_are_refused_before_it) {
    refused("algorithms = ( { type = \"dpo\"; reference_steps = 3; "
            "policy: { type = \"tabular\"; reference = \"uniform\"; }; } );\n",
            "policy.reference", "expected \"start\"");
    refused("algorithms = ( { type = \"dpo\"; reference_steps = 3; reference_update = 0.5; "
            "policy: { type = \"transformer\"; adapter: { rank = 2; }; }; } );\n",
            "reference_update is 0.5", "adapter");
    refused("algorithms = ( { type = \"dpo\"; sft_coefficient = 0.5; "
            "evaluation: { gradients = 2; }; } );\n",
            "evaluation.gradients", "sft_coefficient");
    refused("algorithms = ( { type = \"dpo\"; margin = \"probability\"; "
            "dpop_coefficient = 1.0; } );\n",
            "dpo", "dpop_coefficient");
    refused("algorithms = ( { type = \"dpo\"; reference_update = 0.5; } );\n",
            "reference_update is 0.5", "reference_steps");
    refused("algorithms = ( { type = \"online-ipo\"; candidates = 4; } );\n", "online-ipo",
            "candidates is 4");
    refused("algorithms = ( { type = \"online-dpo\"; candidates = 4; "
            "pair_sampler = \"uniform\"; } );\n",
            "online-dpo", "candidates is 4");
}

/* They would be one row of every table. */
Test(experiment, two_algorithms_of_one_label_are_refused) {
    refused("algorithms = ( { type = \"dpo\"; beta = 0.1; }, { type = \"dpo\"; beta = 1.0; } );\n",
            "algorithms.1: \"dpo\"", "label = \"dpo-2\"");
    refused("algorithms = ( { type = \"dpo\"; }, { type = \"dpo\"; } );\n", "dpo", "label of");
    refused("algorithms = ( { type = \"dpo\"; }, { type = \"ipo\"; label = \"dpo\"; } );\n",
            "algorithms.1: \"dpo\"", "algorithms.0");
}

/* PARL makes its own batches, KTO and PPO take means over theirs: none can have them in parts. */
Test(experiment, parts_that_a_method_cannot_have_are_refused_before_anything_is_trained) {
    refused("training: { batch = 8; micro_batch = 2; };\n"
            "algorithms = ( { type = \"dpo\"; }, { type = \"kto\"; } );\n",
            "training.micro_batch", "kto");
    refused("training: { batch = 8; micro_batch = 2; };\n"
            "algorithms = ( { type = \"dpo\"; }, { type = \"ppo\"; } );\n",
            "training.micro_batch", "ppo");
    refused("training: { batch = 8; micro_batch = 2; };\n"
            "algorithms = ( { type = \"dpo\"; }, { type = \"parl\"; } );\n",
            "training.micro_batch", "parl");
}

/* Their number decides no check but that of a trial that is there twice. */
Test(experiment, thousands_of_seeds_are_told_apart) {
    enum { SEEDS = 3000 };
    RgBuffer text = {0};
    const char *start = "algorithms = ( { type = \"dpo\"; } );\nseeds = [";
    rg_buffer_append(&text, start, strlen(start));
    for (int i = 0; i < SEEDS; i++) {
        char number[16];
        snprintf(number, sizeof number, "%s%d", i ? "," : "", i);
        rg_buffer_append(&text, number, strlen(number));
    }
    rg_buffer_append(&text, "];", 3);
    char *config = rg_string_format("%s%s", strchr(strchr(head, '\n') + 1, '\n') + 1, text.bytes);
    char *named = rg_string_format("name = \"test\";\n%s", config), *again = strrchr(named, ']');
    RgExperiment *e;
    RgError error = {0};
    cr_assert_eq(rg_experiment_open(scratch_write("many.cfg", named), NULL, 0, &e, &error), RG_OK,
                 "%s", error.text);
    cr_expect_eq(e->trial_count, SEEDS);
    cr_expect_eq(e->trials[SEEDS - 1].seed, SEEDS - 1);
    rg_experiment_close(e);
    *again = '\0';
    char *twice = rg_string_format("%s,7];", named);
    cr_expect_eq(rg_experiment_open(scratch_write("many.cfg", twice), NULL, 0, &e, &error),
                 RG_E_USAGE);
    cr_expect(strstr(error.text, "\"dpo\" with seed 7 occurs twice"), "%s", error.text);
    free(twice);
    free(named);
    free(config);
    rg_buffer_release(&text);
}

Test(experiment, an_empty_list_of_algorithms_is_refused) {
    refused("algorithms = ();\n", "test.cfg:7: algorithms = (empty)", "a list such as");
}

Test(experiment, the_adapter_of_a_policy_is_read_where_it_takes_one) {
    static const char *const nested =
        "algorithms = ( { type = \"dpo\"; policy = { weights = \"w\"; "
        "adapter = { rank = 4; targets = \"all\"; }; }; } );\n";
    RgExperiment *experiment = opened(nested);
    cr_assert_eq(experiment->trials[0].adapter.rank, 4);
    cr_assert_str_eq(experiment->trials[0].adapter.targets, "all");
    cr_assert(strstr(experiment->trials[0].resolved_json, "policy.adapter.dropout"));
    rg_experiment_close(experiment);
    refused("algorithms = ( { type = \"dpo\"; policy = { adapter = { rank = 4; }; }; } );\n",
            "test.cfg:7", "policy.adapter");
}

/* ---- what varies ---- */

static const char *swept_of(const RgExperiment *e, int64_t trial) {
    return e->trials[trial].swept_json;
}

/* 2 seeds × 2 methods × 2 environments, of which each pair of methods shares one. */
Test(experiment, trials_of_equal_setups_run_one_after_another) {
    static const int64_t expected[] = {0, 2, 1, 3, 4, 6, 5, 7};
    RgExperiment *e =
        opened("algorithms = ( { type = \"dpo\"; }, { type = \"sail-pr\"; } );\n"
               "sweep = ( { option = \"environment.coverage\"; values = [0.5, 1.0]; } );\n");
    int64_t *order = rg_trial_setup_order(e);
    cr_assert_eq(e->trial_count, 8);
    for (int i = 0; i < 8; i++)
        cr_expect_eq(order[i], expected[i], "%d: %ld", i, (long)order[i]);
    free(order);
    rg_experiment_close(e);
}

Test(experiment, any_option_of_any_part_may_vary) {
    RgExperiment *e = opened(
        "algorithms = ( { type = \"dpo\"; } );\n"
        "sweep = ( { option = \"optimizer.learning_rate\"; values = [0.1, 0.2]; },\n"
        "          { option = \"environment.hide_best\"; values = [true, false]; },\n"
        "          { option = \"policy.type\"; values = [\"tabular\", \"log-linear\"]; } );\n");
    cr_assert_eq(e->trial_count, 2 * 2 * 2 * 2);
    cr_assert_str_eq(swept_of(e, 7), "{\"hide_best\":false,\"learning_rate\":0.20000000000000001,"
                                     "\"type\":\"log-linear\"}");
    cr_assert_eq(e->trials[7].optimizer.learning_rate, 0.2);
    cr_assert_str_eq(e->trials[7].policy.type, "log-linear");
    rg_experiment_close(e);
}

Test(experiment, an_algorithm_without_training_varies_with_its_environment_alone) {
    RgExperiment *e =
        opened("algorithms = ( { type = \"base\"; } );\n"
               "sweep = ( { option = \"environment.coverage\"; values = [0.5, 1.0]; } );\n");
    cr_assert_eq(e->trial_count, 2 * 2);
    rg_experiment_close(e);
    refused("algorithms = ( { type = \"base\"; } );\n"
            "sweep = ( { option = \"training.batch\"; values = [8, 16]; } );\n",
            "test.cfg:8: sweep.0.option", "no algorithm of the experiment trains");
}

Test(experiment, options_that_end_alike_are_told_apart) {
    RgExperiment *e =
        opened("algorithms = ( { type = \"dpo\"; } );\n"
               "sweep = ( { option = \"environment.type\"; values = [\"bandit\"]; },\n"
               "          { option = \"policy.type\"; values = [\"tabular\"]; } );\n");
    cr_assert_str_eq(swept_of(e, 0),
                     "{\"environment.type\":\"bandit\",\"policy.type\":\"tabular\"}");
    rg_experiment_close(e);
}

Test(experiment, options_may_share_a_value) {
    RgExperiment *e =
        opened("algorithms = ( { type = \"sail-pr\"; }, { type = \"dpo\"; } );\n"
               "sweep = ( { option = \"algorithm.exploration\"; also = [\"algorithm.beta\"];\n"
               "            values = [0.2, 0.3]; } );\n");
    const struct { double beta; } *dpo = e->trials[3].algorithm_options;
    cr_assert_eq(e->trial_count, 2 * (2 + 2));
    cr_assert(strstr(e->trials[1].resolved_json, "\"algorithm.beta\":0.3"));
    cr_assert(strstr(e->trials[1].resolved_json, "\"algorithm.exploration\":0.3"));
    cr_assert_str_eq(e->trials[3].part.label, "dpo");
    cr_assert_eq(dpo->beta, 0.3, "an algorithm takes those that it has");
    rg_experiment_close(e);
}

#define SEARCH(trials, seed, rest)                                                                 \
    "algorithms = ( { type = \"sail-pr\"; }, { type = \"dpo\"; } );\n"                             \
    "search = { trials = " trials "; seed = " seed "; options = (\n"                               \
    "  { option = \"optimizer.learning_rate\"; from = 1e-5; to = 1e-3; scale = \"log\"; }" rest    \
    " ); };\n"

Test(experiment, a_search_draws_the_same_for_all_methods_and_seeds) {
    RgExperiment *e = opened(SEARCH("5", "1", ""));
    cr_assert_eq(e->trial_count, 2 * 2 * 5);
    for (int64_t i = 0; i < 5; i++)
        for (int64_t k = 1; k < 4; k++)
            cr_assert_str_eq(swept_of(e, i), swept_of(e, 5 * k + i));
    rg_experiment_close(e);
}

Test(experiment, more_draws_and_other_options_keep_the_first_ones) {
    RgExperiment *few = opened(SEARCH("3", "1", ""));
    RgExperiment *more = opened(SEARCH("6", "1", ""));
    RgExperiment *wide =
        opened(SEARCH("3", "1",
                      ", { option = \"training.batch\"; from = 8; to = 64; scale = \"integer\"; "
                      "}"));
    RgExperiment *other = opened(SEARCH("3", "2", ""));
    for (int64_t i = 0; i < 3; i++) {
        cr_assert_str_eq(few->trials[i].key, more->trials[i].key);
        cr_assert_eq(few->trials[i].optimizer.learning_rate,
                     wide->trials[i].optimizer.learning_rate);
        cr_assert_str_neq(few->trials[i].key, other->trials[i].key);
    }
    rg_experiment_close(few);
    rg_experiment_close(more);
    rg_experiment_close(wide);
    rg_experiment_close(other);
}

/* Kolmogorov and Smirnov: the greatest distance between the draws' distribution function and that
 * of the scale stays below 1.63/√n, the critical value at 1 %. */
static double ks_distance(const double *uniform, int64_t count) {
    double distance = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t below = 0, upto = 0;
        for (int64_t j = 0; j < count; j++) {
            below += uniform[j] < uniform[i];
            upto += uniform[j] <= uniform[i];
        }
        distance = fmax(distance, fabs(uniform[i] - (double)below / (double)count));
        distance = fmax(distance, fabs(uniform[i] - (double)upto / (double)count));
    }
    return distance;
}

Test(experiment, draws_are_even_on_their_scale) {
    enum { DRAWS = 300 };
    RgExperiment *e = opened("algorithms = ( { type = \"sail-pr\"; } );\n"
                             "search = { trials = 300; options = (\n"
                             "  { option = \"optimizer.learning_rate\"; from = 1e-5; to = 1e-3; "
                             "scale = \"log\"; },\n"
                             "  { option = \"optimizer.beta1\"; from = 0.5; to = 0.9; },\n"
                             "  { option = \"optimizer.warmup\"; from = 0; to = 3; "
                             "scale = \"integer\"; } ); };\n");
    double log_scale[DRAWS], linear[DRAWS];
    int64_t counts[4] = {0};
    cr_assert_eq(e->trial_count, 2 * DRAWS);
    for (int i = 0; i < DRAWS; i++) {
        const RgOptimizerOptions *o = &e->trials[i].optimizer;
        cr_assert(o->learning_rate >= 1e-5 && o->learning_rate <= 1e-3);
        cr_assert(o->beta1 >= 0.5 && o->beta1 <= 0.9);
        log_scale[i] = log(o->learning_rate / 1e-5) / log(1e-3 / 1e-5);
        linear[i] = (o->beta1 - 0.5) / 0.4;
        counts[o->warmup]++;
    }
    cr_assert_lt(ks_distance(log_scale, DRAWS), 1.63 / sqrt(DRAWS));
    cr_assert_lt(ks_distance(linear, DRAWS), 1.63 / sqrt(DRAWS));
    double chi_squared = 0;
    for (int i = 0; i < 4; i++)
        chi_squared += (double)((counts[i] - 75) * (counts[i] - 75)) / 75;
    cr_assert_lt(chi_squared, 11.34, "3 degrees of freedom, 1 %%");
    rg_experiment_close(e);
}

Test(experiment, a_draw_that_comes_again_is_left_out) {
    RgExperiment *e = opened("algorithms = ( { type = \"dpo\"; }, { type = \"sail-pr\"; } );\n"
                             "search = { trials = 40; options = (\n"
                             "  { option = \"algorithm.score_term\"; values = [\"exact\", "
                             "\"baseline\"]; } ); };\n");
    cr_assert_eq(e->trial_count, 2 * (1 + 2), "an algorithm without the option goes through once");
    rg_experiment_close(e);
}

Test(experiment, grid_and_search_nest) {
    RgExperiment *e = opened(SEARCH("3", "1", "") "sweep = ( { option = \"algorithm.exploration\"; "
                                                  "values = [0.0, 0.1]; } );\n");
    cr_assert_eq(e->trial_count, 2 * (3 * 2 + 3));
    cr_assert_eq(e->trials[0].optimizer.learning_rate, e->trials[1].optimizer.learning_rate);
    rg_experiment_close(e);
}

Test(experiment, what_varies_is_checked_before_it_runs) {
#define DPO  "algorithms = ( { type = \"dpo\"; }, { type = \"sail-pr\"; } );\n"
#define GRID DPO "sweep = ( { option = "
#define DRAW DPO "search = { trials = 1; options = (\n{ option = "
    static const struct {
        const char *text, *where, *what;
    } cases[] = {
        {GRID "\"algorithm.explorationn\"; values = [1]; } );", "test.cfg:8: sweep.0.option",
         "did you mean \"exploration\"?"},
        {GRID "\"optimiser.learning_rate\"; values = [1]; } );", "test.cfg:8: sweep.0.option",
         "did you mean \"optimizer\"?"},
        {GRID "\"optimizer.learning_ratee\"; values = [1]; } );", "test.cfg:8",
         "did you mean \"learning_rate\"?"},
        {GRID "\"beta\"; values = [1]; } );", "test.cfg:8", "as in algorithm.exploration"},
        {GRID "\"optimizer.learning_rate\"; values = (0.1, \"x\"); } );", "test.cfg:8",
         "expected a real"},
        {GRID "\"algorithm.beta\"; values = (); } );", "sweep.0.values", "1 to 1024 values"},
        {GRID "\"algorithm.beta\"; valuess = [1]; } );", "sweep.0.values", "1 to 1024 values"},
        {GRID "\"algorithm.beta\"; values = [0.1]; from = 1; } );", "test.cfg:8", "unknown key"},
        {GRID "\"algorithm.beta\"; values = 0.1; } );", "sweep.0.values", "expected a list"},
        {GRID "\"algorithm.beta\"; values = [0.1]; },\n{ option = \"algorithm.beta\"; values = "
              "[0.2]; } );",
         "algorithm.beta", "swept twice"},
        {DPO "sweep = { option = \"algorithm.beta\"; values = [0.1]; };", "sweep",
         "expected a list"},
        {DPO "search = 3;", "test.cfg:8", "expected a group"},
        {DPO "search = { trials = 3; };", "test.cfg: search.options is missing", "learning_rate"},
        {DPO "search = { trials = 3; options = 2; };", "search.options", "expected a list"},
        {DPO "search = { options = ( { option = \"algorithm.beta\"; values = [0.1]; } ); };",
         "search.trials is missing", "expected an integer"},
        {DPO "search = { trials = 0; options = ( { option = \"algorithm.beta\"; values = [0.1]; } "
             "); };",
         "test.cfg:8", "[1, 10000]"},
        {DPO "search = { trials = 3; sed = 1; options = ( { option = \"algorithm.beta\"; values = "
             "[0.1]; } ); };",
         "test.cfg:8", "did you mean \"seed\"?"},
        {DRAW "\"algorithm.beta\"; to = 1; } ); };", "search.options.0.from is missing", "a real"},
        {DRAW "\"algorithm.beta\"; from = 2; to = 1; } ); };", "test.cfg:9", "a value above from"},
        {DRAW "\"algorithm.beta\"; from = 0; to = 1; scale = \"log\"; } ); };", "test.cfg:9",
         "above 0"},
        {DRAW "\"algorithm.beta\"; from = 1; to = 2; scale = \"logg\"; } ); };", "test.cfg:9",
         "did you mean \"log\"?"},
        {DRAW "\"training.batch\"; from = 1.5; to = 2; scale = \"integer\"; } ); };", "test.cfg:9",
         "expected an integer, as scale is"},
        {DRAW "\"training.batch\"; from = 1; to = 2; } ); };", "test.cfg:9", "expected an integer"},
        /* one draw would hardly meet these */
        {DRAW "\"algorithm.beta\"; from = 0.1; to = 1000.1; } ); };", "test.cfg:9",
         "[1e-06, 1000]"},
        {DRAW "\"algorithm.beta\"; values = (0.1, 0.2, 0.3, 0.4, \"high\"); } ); };", "test.cfg:9",
         "expected a real"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(cases[i].text, cases[i].where, cases[i].what);
}

Test(experiment, an_unknown_key_is_refused_where_nothing_trains) {
    refused("algorithms = ( { type = \"base\"; betta = 0.2; } );\n", "test.cfg:7", "betta");
    refused("algorithms = ( { type = \"base\"; environment = { coveragee = 0.2; }; } );\n",
            "test.cfg:7", "\"coverage\"");
}

/* ---- budgets ---- */

static void budget_refused(const char *algorithm, const char *budget, const char *word) {
    char *text = rg_string_format("algorithms = ( { type = \"%s\"; budget = { steps = 0; %s }; } "
                                  ");\n",
                                  algorithm, budget);
    refused(text, "test.cfg:7: budget.", word);
    free(text);
}

Test(experiment, a_budget_that_would_never_be_spent_is_refused) {
    budget_refused("dpo", "", "at least one of steps, flops");
    budget_refused("dpo", "judge_queries = 10;",
                   "judge_queries = 10: dpo with these options spends none");
    budget_refused("dpo", "generated_tokens = 10;", "generated_tokens = 10: ");
    budget_refused("sail-dp", "judge_queries = 10;", "judge_queries = 10: ");
    budget_refused("sail-pr\"; mixture = 0.0; label = \"none", "judge_queries = 10;",
                   "none with these options spends none");
    budget_refused("parl\"; upper = \"none\"; pretrain = 5; estimator = \"none\"; expectation = "
                   "\"sampled\"; label = \"fixed",
                   "judge_queries = 10;", "fixed with these options spends none");
    budget_refused("parl\"; expectation = \"exact\"; label = \"exact", "generated_tokens = 10;",
                   "exact with these options spends none");
    rg_experiment_close(opened("algorithms = ( { type = \"ppo\"; budget = { steps = 0; "
                               "judge_queries = 10; }; } );\n"));
    RgExperiment *e = opened("algorithms = ( { type = \"sail-pr\"; budget = { steps = 0; "
                             "generated_tokens = 10; }; }, { type = \"dpo\"; budget = { steps = 0; "
                             "flops = 1e9; judge_queries = 5; }; } );\n");
    cr_assert_eq(e->trials[0].budget.generated_tokens, 10);
    rg_experiment_close(e);
}

Test(experiment, a_share_of_a_step_between_evaluations_is_refused) {
    refused("algorithms = ( { type = \"dpo\"; } );\nevaluation = { every = 2.5; };\n", "test.cfg:8",
            "whole number of steps");
    RgExperiment *e = opened("algorithms = ( { type = \"dpo\"; } );\n"
                             "evaluation = { every = 2.5; per = \"seconds\"; };\n");
    cr_assert_eq(e->trials[0].evaluation.per, RG_COST_SECONDS);
    rg_experiment_close(e);
}

Test(experiment, options_that_came_later_leave_the_keys_of_trials_that_do_not_set_them) {
    RgExperiment *plain = opened("algorithms = ( { type = \"dpo\"; } );\n");
    RgExperiment *said = opened("algorithms = ( { type = \"dpo\"; } );\n"
                                "evaluation = { select = \"\"; patience = 0; };\n");
    RgExperiment *other = opened("algorithms = ( { type = \"dpo\"; } );\n"
                                 "evaluation = { select = \"reward\"; };\n");
    cr_assert_null(strstr(plain->trials[0].resolved_json, "evaluation.select"));
    cr_assert_str_eq(plain->trials[0].key, said->trials[0].key);
    cr_assert_str_neq(plain->trials[0].key, other->trials[0].key);
    cr_assert(strstr(other->trials[0].resolved_json, "\"evaluation.select\":\"reward\""), "%s",
              other->trials[0].resolved_json);
    cr_assert_null(strstr(other->trials[0].resolved_json, "evaluation.patience"));
    rg_experiment_close(plain);
    rg_experiment_close(said);
    rg_experiment_close(other);
}

Test(experiment, patience_without_what_it_waits_for_is_refused) {
    refused("algorithms = ( { type = \"dpo\"; } );\nevaluation = { patience = 2; };\n",
            "test.cfg:8", "evaluation.select as well");
    refused("algorithms = ( { type = \"dpo\"; } );\n"
            "evaluation = { patience = 2; select = \"reward\"; };\n",
            "test.cfg:8", "evaluation.every above 0");
}

/* Before anything runs: metrics of the environment with these options, the likeliest first. */
Test(experiment, a_metric_that_no_evaluation_has_cannot_be_selected_by) {
    refused(
        "algorithms = ( { type = \"dpo\"; } );\nevaluation = { select = \"rewrd\"; };\n",
        "test.cfg:8: evaluation.select = \"rewrd\": evaluations of the bandit environment have no "
        "metric \"rewrd\"; did you mean \"reward\"?",
        ": expected one of reward, entropy, ");
    refused("algorithms = ( { type = \"dpo\"; evaluation = { select = \"nll\"; }; } );\n",
            "test.cfg:7: evaluation.select = \"nll\"", "expected one of kl, ");
    rg_experiment_close(
        opened("algorithms = ( { type = \"dpo\"; } );\nevaluation = { select = \"regret\"; };\n"));
}

/* A judge that only compares leaves no rewards to select by; the other judge's are there. */
Test(experiment, a_reward_is_selected_by_only_where_a_judge_gives_one) {
    static const char text[] =
        "name = \"test\";\nseeds = [1];\n"
        "environment: { type = \"text\"; data = \"none\"; tokenizer = \"none\";\n"
        "judge = { type = \"command\"; command = \"true\"; }; };\n"
        "policy: { type = \"transformer\"; };\n"
        "optimizer: { learning_rate = 0.1; };\nbudget: { steps = 5; };\n"
        "algorithms = ( { type = \"dpo\"; } );\n"
        "evaluation = { select = \"%s\"; };\n";
    static const char *const not_there[] = {"reward", "objective"};
    for (size_t i = 0; i < 2; i++) {
        char *config = rg_string_format(text, not_there[i]);
        refused_whole(config, "test.cfg:9: evaluation.select", "have no metric");
        free(config);
    }
    char *config = rg_string_format(text, "independent_reward");
    RgError error = {0};
    RgExperiment *experiment;
    cr_assert_eq(
        rg_experiment_open(scratch_write("test.cfg", config), NULL, 0, &experiment, &error), RG_OK,
        "%s", error.text);
    free(config);
    rg_experiment_close(experiment);
}

Test(budget, ends_with_the_limit_that_is_reached_first) {
    RgBudgetOptions budget = {.steps = 10, .flops = 1e9, .generated_tokens = 400};
    RgSpending spending = {5, {.flops = 2e8, .generated_tokens = 300, .judge_queries = 99}};
    RgCost cost;
    cr_assert_eq(rg_budget_share(&budget, &spending, &cost), 0.75);
    cr_assert_eq(cost, RG_COST_GENERATED_TOKENS);
    spending.meter.flops = nextafter(1e9, 0);
    cr_assert_lt(rg_budget_share(&budget, &spending, NULL), 1);
    spending.meter.flops = 1e9;
    cr_assert_eq(rg_budget_share(&budget, &spending, &cost), 1);
    cr_assert_eq(cost, RG_COST_FLOPS);
    budget = (RgBudgetOptions){.judge_queries = 99};
    cr_assert_eq(rg_budget_share(&budget, &spending, &cost), 1);
    budget = (RgBudgetOptions){.seconds = 2};
    cr_assert_eq(rg_budget_share(&budget, &spending, NULL), 0);
}

Test(budget, epochs_become_steps_of_the_data_that_are_there) {
    RgError error = {0};
    RgPairs pairs = {.count = 30};
    RgTask task = {.pairs = &pairs};
    RgRecipe recipe = {.responses = RG_FROM_DATASET, .preferences = RG_FROM_DATASET};
    RgBudgetOptions budget = {.epochs = 0.1};
    cr_assert_eq(rg_budget_resolve(&budget, &recipe, &task, 3, "x", &error), RG_OK);
    cr_assert_eq(budget.steps, 1, "0.1 · 30 is more than 3 in doubles");
    budget = (RgBudgetOptions){.epochs = 1.5, .steps = 20};
    cr_assert_eq(rg_budget_resolve(&budget, &recipe, &task, 4, "x", &error), RG_OK);
    cr_assert_eq(budget.steps, 12);
    task.pairs = NULL;
    cr_assert_eq(rg_budget_resolve(&budget, &recipe, &task, 4, "x", &error), RG_E_USAGE);
    cr_assert(strstr(error.text, "budget.epochs = 1.5: x goes over offline pairs, of which the "
                                 "environment has none: expected budget.steps"),
              "%s", error.text);
}

Test(budget, evaluation_is_due_where_a_multiple_of_the_cost_is_reached) {
    RgEvaluationOptions steps = {.every = 3}, flops = {.every = 1e6, .per = RG_COST_FLOPS};
    RgEvaluationOptions never = {.every = 0};
    RgSpending before = {0}, after = {0};
    int by_steps = 0, by_flops = 0;
    for (int i = 1; i <= 12; i++) { /* 3e5 at a time: 1e6, 2e6 and 3e6 are passed by 4, 7 and 10 */
        after = (RgSpending){i, {.flops = 3e5 * i}};
        by_steps += rg_evaluation_due(&steps, &before, &after) ? i : 0;
        by_flops += rg_evaluation_due(&flops, &before, &after) ? i : 0;
        cr_assert_not(rg_evaluation_due(&never, &before, &after));
        before = after;
    }
    cr_assert_eq(by_steps, 3 + 6 + 9 + 12);
    cr_assert_eq(by_flops, 4 + 7 + 10);
    after = (RgSpending){13, {.flops = 2e7}};
    cr_assert(rg_evaluation_due(&flops, &before, &after), "many multiples at once are one");
}

Test(experiment, what_decides_no_results_is_recorded_and_is_no_part_of_a_trials_key) {
    static const char text[] =
        "name = \"x\"; seeds = [1]; policy: { weights = \"w\"; }; budget: { steps = 1; };\n"
        "optimizer: { learning_rate = 0.1; };\n"
        "environment: { type = \"text\"; data = \"d\"; tokenizer = \"t\";\n"
        "judge: { type = \"endpoint\"; url = \"http://a\"; model = \"m\"; }; };\n"
        "algorithms = ( { type = \"dpo\"; } );\n";
    static const struct {
        const char *override;
        bool same;
    } cases[] = {{"environment.judge.url=\"http://b\"", true},
                 {"environment.judge.budget=7", true},
                 {"environment.judge.retries=7", true},
                 {"environment.judge.parallel=7", true},
                 {"environment.judge.timeout=7.5", true},
                 {"environment.judge.key_variable=\"KEY\"", true},
                 {"environment.judge.model=\"n\"", false},
                 {"environment.judge.answer=\"[AB]\"", false},
                 {"environment.judge.temperature=0.5", false},
                 {"environment.judge.on_failure=\"tie\"", false}};
    RgError error = {0};
    RgExperiment *plain, *other;
    const char *path = scratch_write("judge.cfg", text);
    cr_assert_eq(rg_experiment_open(path, NULL, 0, &plain, &error), RG_OK, "%s", error.text);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        cr_assert_eq(rg_experiment_open(path, &cases[k].override, 1, &other, &error), RG_OK, "%s",
                     error.text);
        cr_expect_eq(strcmp(plain->trials[0].key, other->trials[0].key) == 0, cases[k].same, "%s",
                     cases[k].override);
        cr_expect_str_neq(plain->trials[0].resolved_json, other->trials[0].resolved_json);
        rg_experiment_close(other);
    }
    rg_experiment_close(plain);
}
