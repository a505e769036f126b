/* Unfolding a config into trials: seeds, sweeps, overrides, and what is refused before step 0. */
#include "experiments/experiment.h"
#include "scratch.h"

#include <string.h>

TestSuite(experiment, .init = scratch_begin, .fini = scratch_remove);

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
}

Test(experiment, the_same_trial_twice_is_refused) {
    refused("algorithms = ( { type = \"dpo\"; }, { type = \"dpo\"; } );\n", "dpo", "twice");
}

Test(experiment, an_empty_list_of_algorithms_is_refused) {
    refused("algorithms = ();\n", "algorithms", "missing");
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
