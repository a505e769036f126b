/* SPDX-License-Identifier: MIT */
/* Losses of pairs, and the terms that losses share, in double: on a batch of known numbers, against
 * their values and gradients by PyTorch in float64 (tests/golden/pair_losses.py). */
#include "pair_numbers.h"

#include <math.h>

typedef struct Golden {
    const char *name, *given;
    bool again; /* a second time, after `finish` of the first */
    double loss, chosen[PAIRS], rejected[PAIRS];
} Golden;

/* clang-format off */
static const Golden golden[] = {
    {"dpo", "beta=0.5", false, 0.56810207157911807,
     {-0.043782349911420188, -0.053120937337375621, -0.029421497216298876, -0.054673815198461387, -0.030735801686526388},
     {0.043782349911420188, 0.053120937337375621, 0.029421497216298876, 0.054673815198461387, 0.030735801686526388}},
    {"apo", "beta=0.5", false, -0.062971052524326915,
     {-0.024613408273759838, -0.024613408273759838, -0.021789499376181402, -0.024902597501361746, -0.024141290125295239},
     {0.025000000000000001, 0.024902597501361746, 0.013745079633256692, 0.024399446837471767, 0.017908769565200752}},
    {"apo", "beta=0.5 form=down", false, -0.12465838245097635,
     {0, -0.00028918922760190827, 0.0010242471443693522, 0.00012104298645542952, 0.0028523834919036324},
     {0.024613408273759838, 0.024902597501361746, 0.02076525223181205, 0.024781554514906316, 0.021288906633391606}},
    {"bco", "beta=0.5", false, 1.3405415390995388,
     {-0.043782349911420188, -0.056217650088579818, -0.0679178699175393, -0.046879062662624378, -0.059266659995406978},
     {0.050000000000000003, 0.046879062662624378, 0.01645164628965632, 0.057749536518581168, 0.023370635691404028}},
    {"bco", "beta=0.5", true, 1.312825647147098,
     {-0.035148912526107905, -0.047190462559161296, -0.059568073060784724, -0.038048268035291537, -0.050312495931053164},
     {0.058964547856273121, 0.055909747190239306, 0.022054383136175332, 0.066262183717008247, 0.030470333065243462}},
    {"nca", "beta=0.5", false, 1.3841651986156884,
     {-0.015673524867130278, -0.034326475132869724, -0.051876804876308955, -0.020318593993936568, -0.038899989993110465},
     {0.025000000000000001, 0.023439531331312189, 0.00822582314482816, 0.028874768259290584, 0.011685317845702014}},
    {"exo", "beta=0.5 label_smoothing=0.01", false, 1.2982966076835676,
     {-0.10694820886978078, -0.11754324478608963, -0.077249227020615596, -0.11852075454018339, -0.080527840819129004},
     {0.10694820886978079, 0.11754324478608962, 0.077249227020615596, 0.11852075454018338, 0.080527840819129004}},
    {"orpo", "odds_ratio_weight=0.3", false, 1.1016093673422866,
     {-0.28905707577438539, -0.13479470113264502, -0.085440895019703297, -0.084073337784473595, -0.049662379586780041},
     {0.079152593293609005, 0.027711684952371241, 0.0094355835178017641, 0.023762192649431593, 0.010866067865906139}},
    {"cpo", "beta=0.5 sft_coefficient=1", false, 1.3617608295921881,
     {-0.25312093733737562, -0.15621765008857982, -0.093560808803666184, -0.095326184801538622, -0.088438008427698445},
     {0.053120937337375621, 0.056217650088579818, 0.026894142136999512, 0.045326184801538619, 0.048438008427698437}},
    {"cpo", "beta=0.5 sft_coefficient=0.5 sft_logprob=sum", false, 1.5075941629255212,
     {-0.15312093733737564, -0.15621765008857982, -0.12689414213699951, -0.14532618480153864, -0.14843800842769844},
     {0.053120937337375621, 0.056217650088579818, 0.026894142136999512, 0.045326184801538619, 0.048438008427698437}},
    {"cpo", "beta=2 sft_coefficient=0 length_normalisation=true target_margin=0.7", false, 1.5748533859268012,
     {-0.36925370016607367, -0.18740532878860072, -0.078753771026784783, -0.062539234972055116, -0.039000208281263174},
     {0.052750528595153383, 0.062468442929533574, 0.047252262616070871, 0.062539234972055116, 0.065000347135438633}},
    {"wpo", "beta=0.5", false, 0.20037520992726515,
     {-0.014470150030411565, -0.0092310347608997503, -0.0077554224652962057, -0.034213999295273606, -0.007771227675156177},
     {0.014470150030411565, 0.0092310347608997503, 0.0077554224652962057, 0.034213999295273606, 0.007771227675156177}},
    {"dpo", "beta=0.5 sft_coefficient=0.4", false, 0.85976873824578481,
     {-0.12378234991142019, -0.093120937337375614, -0.056088163882965544, -0.074673815198461391, -0.046735801686526385},
     {0.043782349911420188, 0.053120937337375621, 0.029421497216298876, 0.054673815198461387, 0.030735801686526388}},
    {"dpo", "beta=0.5 sft_coefficient=0.4 sft_logprob=sum", false, 1.268102071579118,
     {-0.12378234991142019, -0.13312093733737562, -0.10942149721629887, -0.13467381519846139, -0.11073580168652639},
     {0.043782349911420188, 0.053120937337375621, 0.029421497216298876, 0.054673815198461387, 0.030735801686526388}},
    {"dpo", "beta=0.5 dpop_coefficient=3", false, 1.0105273608623622,
     {-0.043782349911420188, -0.28231401113480453, -0.31927471109584848, -0.054673815198461387, -0.23099814607432467},
     {0.043782349911420188, 0.070578502783701133, 0.079818677773962121, 0.054673815198461387, 0.057749536518581168}},
    {"dpo", "beta=0.5 length_coefficient=0.0625", false, 0.63286736054594495,
     {-0.053120937337375621, -0.059266659995406978, -0.032082130082460698, -0.054673815198461387, -0.028140560742914385},
     {0.053120937337375621, 0.059266659995406978, 0.032082130082460698, 0.054673815198461387, 0.028140560742914385}},
    {"dpo", "beta=0.5 length_normalisation=true", false, 0.6482555141852161,
     {-0.043782349911420188, -0.026300907233767285, -0.016041959470715492, -0.012792915117604131, -0.0084094534313576084},
     {0.0062546214159171698, 0.0087669690779224284, 0.0096251756824292951, 0.012792915117604131, 0.014015755718929346}},
    {"dpo", "beta=0.5 sft_coefficient=0.25 dpop_coefficient=3 length_normalisation=true length_coefficient=0.0625", false, 1.053720057779058,
     {-0.10312093733737562, -0.15992447533727217, -0.10866326415034833, -0.025292915117604134, -0.045601195328338458},
     {0.0075887053339108029, 0.011243706278106015, 0.013799489622552249, 0.012792915117604131, 0.014833831386807689}},
    {"apo", "beta=0.5 sft_coefficient=0.25 dpop_coefficient=3 length_normalisation=true length_coefficient=0.0625", false, 0.25357341862974087,
     {-0.074399446837471767, -0.073282580250590479, -0.045051875511188805, -0.018628015177260308, -0.029999218770344602},
     {0.0034058377408790566, 0.0040386900072366411, 0.0049998046925861499, 0.006084745186292065, 0.0082435609779880539}},
    {"exo", "beta=0.5 label_smoothing=0.01 sft_coefficient=0.25 dpop_coefficient=3 length_normalisation=true length_coefficient=0.0625", false, 2.1496653021637977,
     {-0.16754324478608962, -0.25874365930688442, -0.17054245997772086, -0.041496536623282017, -0.09642772807878365},
     {0.016791892112298517, 0.019478638275573702, 0.023081368996658125, 0.028996536623282016, 0.036011553366159861}},
    {"hinge", "beta=0.5 sft_coefficient=0.25 dpop_coefficient=3 length_normalisation=true length_coefficient=0.0625", false, 1.4783333333333335,
     {-0.15000000000000002, -0.22500000000000001, -0.14999999999999999, -0.037500000000000006, -0.089999999999999997},
     {0.014285714285714287, 0.016666666666666666, 0.02, 0.025000000000000001, 0.033333333333333333}},
    {"ipo", "beta=0.5 sft_coefficient=0.25 dpop_coefficient=3 length_coefficient=0.0625", false, 6.5635416666666666,
     {-0.55000000000000004, -5.2250000000000005, -6.416666666666667, -0.5625, -2.21},
     {0.5, 1.3, 1.6000000000000001, 0.55000000000000004, 0.55000000000000004}},
    {"simpo", "beta=2 target_margin=0.7 sft_coefficient=0.4", false, 1.866520052593468,
     {-0.44925370016607369, -0.22740532878860073, -0.10542043769345145, -0.08253923497205512, -0.055000208281263174},
     {0.052750528595153383, 0.062468442929533574, 0.047252262616070871, 0.062539234972055116, 0.065000347135438633}},
};
/* clang-format on */

static double column(int step, int offset, double unit, int i) {
    return -unit * (1 + (step * i + offset) % 11);
}

/* The same as in the script. */
static void set_numbers(void) {
    for (int i = 0; i < PAIRS; i++) {
        at.chosen[i] = column(7, 3, 0.25, i);
        at.rejected[i] = column(4, 1, 0.375, i);
        reference[0][i] = column(3, 5, 0.25, i);
        reference[1][i] = column(5, 2, 0.25, i);
        length[0][i] = 1 + i;
        length[1][i] = 7 - i;
        first_chosen[i] = i % 2 == 0;
        on_policy[i] = 1;
    }
}

static void expect_near(const Golden *g, const char *what, double found, double expected) {
    cr_expect_float_eq(found, expected, 1e-14 * (1 + fabs(expected)),
                       "%s %s: %s is %.17g, expected %.17g", g->name, g->given, what, found,
                       expected);
}

static void check_golden(const Golden *g) {
    RgError error = {0};
    Numbers gradient;
    begin_method(g->name, g->given);
    set_numbers();
    if (algorithm->create)
        cr_assert_eq(algorithm->create(NULL, options, &state, &error), RG_OK);
    double loss = loss_of(&gradient);
    if (g->again) {
        algorithm->finish(&last_step, options);
        loss = loss_of(&gradient);
    }
    expect_near(g, "the loss", loss, g->loss);
    for (int i = 0; i < PAIRS; i++) {
        expect_near(g, "a gradient of the preferred", gradient.chosen[i], g->chosen[i]);
        expect_near(g, "a gradient of the rejected", gradient.rejected[i], g->rejected[i]);
    }
    if (algorithm->destroy)
        algorithm->destroy(state);
    state = NULL;
    rg_settings_destroy(settings);
}

Test(pair_terms, have_the_values_and_gradients_of_pytorch) {
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++)
        check_golden(&golden[i]);
}

/* The gradient of a loss is that of its differences, where no number stands at a kink. */
static void check_differences(const char *name, const char *given) {
    const double h = 1e-6;
    Numbers gradient, ignored;
    begin_method(name, given);
    set_numbers();
    for (int i = 0; i < PAIRS; i++)
        at.chosen[i] += 0.0625; /* off the reference, at which DPOP has a kink */
    loss_of(&gradient);
    double *x[] = {at.chosen, at.rejected}, *g[] = {gradient.chosen, gradient.rejected};
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < PAIRS; i++) {
            double here = x[k][i];
            x[k][i] = here + h;
            double high = loss_of(&ignored);
            x[k][i] = here - h;
            double difference = (high - loss_of(&ignored)) / (2 * h);
            x[k][i] = here;
            cr_expect_float_eq(g[k][i], difference, 1e-8, "%s %s: %d of side %d: %g, expected %g",
                               name, given, i, k, g[k][i], difference);
        }
    rg_settings_destroy(settings);
}

static const char all_terms[] =
    "beta=0.5 sft_coefficient=0.25 dpop_coefficient=3 length_normalisation=true "
    "length_coefficient=0.0625";

Test(pair_terms, gradients_are_those_of_differences) {
    check_differences("apo", "beta=0.5");
    check_differences("apo", "beta=0.5 form=down");
    check_differences("nca", "beta=0.5");
    check_differences("exo", "beta=0.5");
    check_differences("orpo", "");
    check_differences("cpo", "beta=0.5 length_coefficient=0.1");
    static const char *const shared[] = {"dpo", "cdpo", "rdpo",   "hinge", "apo",
                                         "nca", "exo",  "chi-po", "spin"};
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
        check_differences(shared[i], all_terms);
}

/* Limits: CPO of means without its likelihood is SimPO; ORPO without odds ratio is likelihood alone,
 * which is what the SFT term adds to any loss. */
Test(pair_terms, meet_in_their_limits) {
    Numbers one, other;
    begin_method("cpo", "beta=2 sft_coefficient=0.4 length_normalisation=true target_margin=0.7");
    set_numbers();
    double loss = loss_of(&one);
    rg_settings_destroy(settings);
    begin_method("simpo", "beta=2 target_margin=0.7 sft_coefficient=0.4");
    cr_expect_float_eq(loss, loss_of(&other), 1e-15);
    for (int i = 0; i < PAIRS; i++)
        cr_expect_float_eq(one.chosen[i], other.chosen[i], 1e-15);
    rg_settings_destroy(settings);
    begin_method("orpo", "odds_ratio_weight=0");
    double likelihood = loss_of(&one);
    rg_settings_destroy(settings);
    begin_method("simpo", "beta=2 target_margin=0.7");
    cr_expect_float_eq(loss, loss_of(&other) + 0.4 * likelihood, 1e-15);
    rg_settings_destroy(settings);
}

/* A probability of 1 leaves ORPO's loss and gradient finite. */
Test(pair_terms, orpo_is_finite_where_a_response_is_certain) {
    Numbers gradient;
    begin_method("orpo", "");
    set_numbers();
    at.chosen[0] = 0;
    at.rejected[1] = -1e-12;
    cr_expect(isfinite(loss_of(&gradient)));
    for (int i = 0; i < PAIRS; i++)
        cr_expect(isfinite(gradient.chosen[i]) && isfinite(gradient.rejected[i]));
    rg_settings_destroy(settings);
}

/* Where all terms are off the batch is the one that the loss always saw. */
Test(pair_terms, change_nothing_where_they_are_off) {
    begin_method("dpo", "");
    RgTape *t = rg_tape_create();
    RgTensor *x = rg_filled(t, RG_SHAPE(1, 2), 1);
    RgBatch batch = {.prompts = 1, .k = 2, .log_ratio = x}, before = batch;
    rg_shared_terms_apply(t, &recipe, &batch);
    cr_expect_eq(memcmp(&batch, &before, sizeof batch), 0);
    RgStep none = {.tape = t};
    cr_expect_eq(rg_shared_terms_add(&none, &recipe, &batch, x), x);
    rg_tape_destroy(t);
    rg_settings_destroy(settings);
}
