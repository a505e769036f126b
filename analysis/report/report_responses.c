/* SPDX-License-Identifier: MIT */
/* The report's sample responses: those of every method to the same prompts, side by side with the
 * judges' scores. All of it is on the page and readable without scripts; with scripts, it can be
 * searched and filtered (report_script.c). */
#include "analysis/compare/format.h"
#include "analysis/report/report_page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Default number of prompts: all, within these limits. */
enum { MOST_PROMPTS = 50, LEAST_PROMPTS = 8, MOST_ANSWERS = 600, OPEN_PROMPTS = 4 };

/* A column of per-prompt numbers, [items] by method. */
typedef struct Score {
    RgMeasure measure;
    double **values;
    int64_t *items;
} Score;

/* Responses of all methods; a method without responses has a count of 0. */
typedef struct Answers {
    const RgResults *results;
    RgResponse **responses; /* [group_count] */
    int64_t *counts;
    Score *scores; /* rewards first */
    int score_count;
    int rewards; /* number of scores that are rewards */
} Answers;

static bool is_reward(const char *column) {
    size_t length = strlen(column), suffix = strlen("reward");
    return length >= suffix && strcmp(column + length - suffix, "reward") == 0;
}

static const RgTrial *trial_of(const RgGroup *group) {
    const RgTrial **trials = rg_allocate(group->count, sizeof *trials);
    const RgTrial *first = rg_group_sample(group, trials) > 0 ? trials[0] : NULL;
    free(trials);
    return first;
}

static void add_score(Answers *a, const char *column) {
    int count = a->results->group_count;
    Score score = {.values = rg_allocate(count, sizeof *score.values),
                   .items = rg_allocate(count, sizeof *score.items)};
    if (!rg_results_has(a->results, column, &score.measure))
        score.measure = (RgMeasure){.name = column, .heading = column, .unit = RG_UNIT_PLAIN};
    for (int g = 0; g < count; g++) {
        const RgTrial *trial = trial_of(&a->results->groups[g]);
        if (trial)
            score.items[g] = rg_trial_items(a->results, trial, column, &score.values[g]);
    }
    a->scores = rg_reallocate(a->scores, (size_t)a->score_count + 1, sizeof *a->scores);
    a->scores[a->score_count++] = score;
}

static Answers load(const RgResults *results) {
    Answers a = {.results = results};
    int count = results->group_count;
    a.responses = rg_allocate(count, sizeof *a.responses);
    a.counts = rg_allocate(count, sizeof *a.counts);
    for (int g = 0; g < count; g++) {
        const RgTrial *trial = trial_of(&results->groups[g]);
        if (trial)
            a.counts[g] = rg_trial_responses(results, trial, &a.responses[g]);
    }
    for (int i = 0; results->columns[i]; i++) /* the training judge's reward is the first */
        if (strcmp(results->columns[i], "reward") == 0)
            add_score(&a, results->columns[i]);
    for (int i = 0; results->columns[i]; i++)
        if (is_reward(results->columns[i]) && strcmp(results->columns[i], "reward") != 0)
            add_score(&a, results->columns[i]);
    a.rewards = a.score_count;
    for (int i = 0; results->columns[i]; i++)
        if (!is_reward(results->columns[i]))
            add_score(&a, results->columns[i]);
    return a;
}

static void unload(Answers *a) {
    int count = a->results->group_count;
    for (int g = 0; g < count; g++)
        rg_responses_free(a->responses[g], a->counts[g]);
    for (int i = 0; i < a->score_count; i++) {
        for (int g = 0; g < count; g++)
            free(a->scores[i].values[g]);
        free(a->scores[i].values);
        free(a->scores[i].items);
    }
    free(a->responses);
    free(a->counts);
    free(a->scores);
}

static const RgResponse *response_of(const Answers *a, int group, int64_t item) {
    for (int64_t i = 0; i < a->counts[group]; i++)
        if (a->responses[group][i].item == item)
            return &a->responses[group][i];
    return NULL;
}

static double score_of(const Answers *a, int score, int group, int64_t item) {
    const Score *s = &a->scores[score];
    return item >= 0 && item < s->items[group] ? s->values[group][item] : NAN;
}

/* The score that determines the best response; NaN if the experiment has no rewards. */
static double reward_of(const Answers *a, int group, int64_t item) {
    bool answered = response_of(a, group, item) != NULL;
    return a->rewards > 0 && answered ? score_of(a, 0, group, item) : NAN;
}

/* The smallest item after `item` with a response of some method; −1: none. */
static int64_t next_item(const Answers *a, int64_t item) {
    int64_t next = -1;
    for (int g = 0; g < a->results->group_count; g++)
        for (int64_t i = 0; i < a->counts[g]; i++) {
            int64_t other = a->responses[g][i].item;
            if (other > item && (next < 0 || other < next))
                next = other;
        }
    return next;
}

/* One answer. */

/* Rewards are below the response, all other scores in the prompt's table. */
static void write_rewards(FILE *out, const Answers *a, int group, int64_t item) {
    fputs("<footer>", out);
    for (int i = 0; i < a->rewards; i++) {
        double value = score_of(a, i, group, item);
        if (isnan(value))
            continue;
        char *text = rg_format_value(value, NAN, a->scores[i].measure.unit);
        fputs("<span>", out);
        rg_write_html(out, a->scores[i].measure.heading);
        fprintf(out, " <b>%s</b></span> ", text);
        free(text);
    }
    fputs("</footer>", out);
}

static void write_answer(FILE *out, const Answers *a, int group, int64_t item, bool best) {
    const RgResponse *response = response_of(a, group, item);
    if (!response)
        return;
    fprintf(out, "<article class=\"answer%s\" data-method=\"%d\"><h4>", best ? " best" : "", group);
    rg_write_html(out, a->results->groups[group].name);
    fputs(best ? " <span class=\"mark\">highest reward</span></h4><p>" : "</h4><p>", out);
    if (response->response && response->response[0])
        rg_write_html(out, response->response);
    else
        fputs("<i class=\"soft\">nothing</i>", out);
    fputs("</p>", out);
    write_rewards(out, a, group, item);
    fputs("</article>\n", out);
}

/* One prompt. */

static void write_scores(FILE *out, const Answers *a, int64_t item) {
    if (a->score_count == a->rewards)
        return;
    fputs("<details class=\"scores\"><summary>All scores</summary>\n", out);
    rg_page_open_table(out, "figures-table", "scores of the answers");
    fputs("<thead><tr><th scope=\"col\">method</th>", out);
    for (int i = 0; i < a->score_count; i++) {
        fputs("<th scope=\"col\">", out);
        rg_write_html(out, a->scores[i].measure.heading);
        fputs(a->scores[i].measure.unit == RG_UNIT_PERCENT ? ", %</th>" : "</th>", out);
    }
    fputs("</tr></thead>\n<tbody>\n", out);
    for (int g = 0; g < a->results->group_count; g++) {
        if (!response_of(a, g, item))
            continue;
        fputs("<tr><th scope=\"row\">", out);
        rg_write_html(out, a->results->groups[g].name);
        fputs("</th>", out);
        for (int i = 0; i < a->score_count; i++) {
            char *text = rg_format_value(score_of(a, i, g, item), NAN, a->scores[i].measure.unit);
            fprintf(out, "<td>%s</td>", text);
            free(text);
        }
        fputs("</tr>\n", out);
    }
    rg_page_close_table(out);
    fputs("</details>\n", out);
}

typedef struct Rewards {
    double lowest, highest; /* NaN: none */
} Rewards;

static Rewards rewards_of(const Answers *a, int64_t item) {
    Rewards r = {NAN, NAN};
    for (int g = 0; g < a->results->group_count; g++) { /* fmin and fmax ignore NaN */
        r.lowest = fmin(r.lowest, reward_of(a, g, item));
        r.highest = fmax(r.highest, reward_of(a, g, item));
    }
    return r;
}

static void write_prompt(FILE *out, const Answers *a, int64_t item, bool open) {
    int count = a->results->group_count;
    Rewards rewards = rewards_of(a, item);
    const RgResponse *response = NULL;
    fputs("<details class=\"item\" data-best=\"", out);
    for (int g = 0; g < count; g++) {
        response = response ? response : response_of(a, g, item);
        if (reward_of(a, g, item) == rewards.highest)
            fprintf(out, "%d ", g);
    }
    fprintf(out, "\" data-spread=\"%.6g\" data-item=\"%lld\"%s><summary>",
            isnan(rewards.highest) ? 0 : rewards.highest - rewards.lowest, (long long)item,
            open ? " open=\"open\"" : "");
    fputs("<span class=\"prompt\">", out);
    rg_write_html(out, response ? response->prompt : NULL);
    fputs("</span></summary>\n<div class=\"answers\">\n", out);
    for (int g = 0; g < count; g++)
        write_answer(out, a, g, item, count > 1 && reward_of(a, g, item) == rewards.highest);
    fputs("</div>\n", out);
    write_scores(out, a, item);
    fputs("</details>\n", out);
}

/* The section. */

/* Hidden until the script shows it, because it needs the script. */
static void write_filter(FILE *out, const Answers *a) {
    fputs("<form id=\"filter\" role=\"search\" hidden=\"hidden\">\n"
          "<label>Search <input type=\"search\" id=\"query\" autocomplete=\"off\" "
          "placeholder=\"words of prompts and responses\"/></label>\n"
          "<label>Highest reward <select id=\"winner\"><option value=\"\">any method</option>",
          out);
    for (int g = 0; g < a->results->group_count; g++) {
        if (a->counts[g] == 0)
            continue;
        fprintf(out, "<option value=\"%d\">", g);
        rg_write_html(out, a->results->groups[g].name);
        fputs("</option>", out);
    }
    fputs("</select></label>\n<label>Order <select id=\"order\">"
          "<option value=\"item\">of the test prompts</option>"
          "<option value=\"spread\">methods differ most first</option></select></label>\n"
          "<fieldset><legend>Methods</legend>",
          out);
    for (int g = 0; g < a->results->group_count; g++) {
        if (a->counts[g] == 0)
            continue;
        fprintf(out,
                "<label><input type=\"checkbox\" name=\"method\" value=\"%d\" "
                "checked=\"checked\"/> ",
                g);
        rg_write_html(out, a->results->groups[g].name);
        fputs("</label> ", out);
    }
    fputs("</fieldset>\n<output id=\"shown\" aria-live=\"polite\"></output>\n</form>\n", out);
}

static int64_t prompts_to_show(const Answers *a, int64_t requested) {
    int methods = 0;
    for (int g = 0; g < a->results->group_count; g++)
        methods += a->counts[g] > 0;
    if (requested > 0 || methods == 0)
        return requested;
    int64_t fit = MOST_ANSWERS / methods;
    return fit > MOST_PROMPTS ? MOST_PROMPTS : fit < LEAST_PROMPTS ? LEAST_PROMPTS : fit;
}

void rg_page_responses(FILE *out, const RgResults *results, int64_t prompts) {
    Answers a = load(results);
    int64_t item = next_item(&a, -1), most = prompts_to_show(&a, prompts);
    if (item >= 0) {
        rg_page_section(out, "responses", "Responses");
        fputs("<p class=\"soft\">Responses of each method to the same test prompts at its last "
              "evaluation, from its first finished seed, with the judges' scores.</p>\n",
              out);
        write_filter(out, &a);
        fputs("<div id=\"items\">\n", out);
        for (int64_t shown = 0; shown < most && item >= 0; shown++) {
            write_prompt(out, &a, item, shown < OPEN_PROMPTS);
            item = next_item(&a, item);
        }
        fputs("</div>\n</section>\n", out);
    }
    unload(&a);
}
