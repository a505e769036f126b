/* Pieces of the report's page: tables, head-to-head comparisons, sample responses, trials,
 * configuration and provenance. All text that comes from the store is escaped. The markup is also
 * well-formed XML, so that any tool can check and read it. */
#include "analysis/report_page.h"
#include "analysis/compare.h"
#include "analysis/format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAXIMUM_DUELISTS = 8 };

void rg_page_section(FILE *out, const char *id, const char *heading) {
    fprintf(out, "<section id=\"%s\">\n<h2>", id);
    rg_write_html(out, heading);
    fputs("</h2>\n", out);
}

/* Tables. */

/* Scrolling boxes can be reached by keyboard, and say what they hold. */
static void open_table(FILE *out, const char *class, const char *label) {
    fputs("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"", out);
    rg_write_html(out, label);
    fprintf(out, "\">\n<table class=\"%s\">\n", class);
}

static void close_table(FILE *out) {
    fputs("</tbody></table></div>\n", out);
}

/* The interval of "84.1 ± 1.2 [76.2, 91.2]" steps back behind the figure. */
static void write_cell(FILE *out, const char *cell) {
    const char *bracket = strchr(cell, '[');
    if (!bracket || bracket == cell) {
        rg_write_html(out, cell);
        return;
    }
    char *head = rg_string_format("%.*s", (int)(bracket - cell), cell);
    rg_write_html(out, head);
    fputs("<span class=\"interval\">", out);
    rg_write_html(out, bracket);
    fputs("</span>", out);
    free(head);
}

void rg_page_grid(FILE *out, const RgGrid *grid) {
    open_table(out, "figures-table", "table");
    for (int row = 0; row < grid->rows; row++) {
        fputs(row == 0 ? "<thead><tr>" : "<tr>", out);
        for (int column = 0; column < grid->columns; column++) {
            bool head = row == 0 || column == 0;
            fprintf(out, head ? "<th scope=\"%s\">" : "<td>", row == 0 ? "col" : "row");
            if (head)
                rg_write_html(out, grid->cells[row * grid->columns + column]);
            else
                write_cell(out, grid->cells[row * grid->columns + column]);
            fputs(head ? "</th>" : "</td>", out);
        }
        fputs(row == 0 ? "</tr></thead>\n<tbody>\n" : "</tr>\n", out);
    }
    close_table(out);
}

void rg_page_notes(FILE *out, const RgTable *table) {
    if (table->note_count == 0)
        return;
    fputs("<ul class=\"notes\">\n", out);
    for (int i = 0; i < table->note_count; i++) {
        fputs("<li>", out);
        rg_write_html(out, table->notes[i]);
        fputs("</li>\n", out);
    }
    fputs("</ul>\n", out);
}

/* Name and value side by side, for settings and provenance. */
static void write_pairs(FILE *out, const RgPairs *pairs, const char *label) {
    open_table(out, "left", label);
    fputs("<thead><tr><th scope=\"col\">name</th><th scope=\"col\">value</th></tr></thead>\n"
          "<tbody>\n",
          out);
    for (int i = 0; i < pairs->count; i++) {
        fputs("<tr><th scope=\"row\">", out);
        rg_write_html(out, pairs->at[i].name);
        fputs("</th><td>", out);
        rg_write_html(out, pairs->at[i].text);
        fputs("</td></tr>\n", out);
    }
    close_table(out);
}

/* Head to head. */

static bool has_column(const RgResults *results, const char *name) {
    for (int i = 0; results->columns[i]; i++)
        if (strcmp(results->columns[i], name) == 0)
            return true;
    return false;
}

static void write_duel(FILE *out, const RgResults *results, int row, int column,
                       int64_t resamples) {
    RgCompareOptions options = {
        .a = results->groups[row].name, .b = results->groups[column].name, .resamples = resamples};
    RgComparison duel;
    if (row == column || rg_comparison_make(results, &options, &duel, NULL) != RG_OK) {
        fputs("<td>" RG_DASH "</td>", out);
        return;
    }
    char *interval = rg_format_interval(duel.bootstrap.interval, RG_UNIT_PERCENT);
    fprintf(out, "<td>%.1f", 100 * duel.bootstrap.estimate);
    if (interval)
        fprintf(out, " <span class=\"interval\">%s</span>", interval);
    fputs("</td>", out);
    free(interval);
}

void rg_page_duels(FILE *out, const RgResults *results, int64_t resamples) {
    int count = results->group_count;
    if (count < 2 || count > MAXIMUM_DUELISTS || !has_column(results, "reward"))
        return;
    rg_page_section(out, "duels", "Head to head");
    fputs("<p class=\"soft\">How often the row's response gets the higher reward than the column's "
          "to the same prompt with the same seed, in percent. A tie counts half. In brackets the "
          "95 % interval of a paired bootstrap over seeds and prompts.</p>\n",
          out);
    open_table(out, "figures-table", "win rates of the methods against each other");
    fputs("<thead><tr><th scope=\"col\">method</th>", out);
    for (int i = 0; i < count; i++) {
        fputs("<th scope=\"col\">", out);
        rg_write_html(out, results->groups[i].name);
        fputs("</th>", out);
    }
    fputs("</tr></thead>\n<tbody>\n", out);
    for (int row = 0; row < count; row++) {
        fputs("<tr><th scope=\"row\">", out);
        rg_write_html(out, results->groups[row].name);
        fputs("</th>", out);
        for (int column = 0; column < count; column++)
            write_duel(out, results, row, column, resamples);
        fputs("</tr>\n", out);
    }
    close_table(out);
    fputs("</section>\n", out);
}

/* Responses. */

/* One method's responses, and its rewards by item. */
typedef struct Answers {
    const RgGroup *group;
    const RgTrial *trial;
    RgResponse *responses;
    double *rewards;
    int64_t count, items;
} Answers;

static Answers load_answers(const RgResults *results, const RgGroup *group) {
    Answers answers = {.group = group};
    const RgTrial **trials = rg_allocate((size_t)(group->count + 1) * sizeof *trials);
    if (rg_group_sample(group, trials) > 0) {
        answers.trial = trials[0];
        answers.count = rg_trial_responses(results, answers.trial, &answers.responses);
        answers.items = rg_trial_items(results, answers.trial, "reward", &answers.rewards);
    }
    free(trials);
    return answers;
}

static const RgResponse *find_response(const Answers *answers, int64_t item) {
    for (int64_t i = 0; i < answers->count; i++)
        if (answers->responses[i].item == item)
            return &answers->responses[i];
    return NULL;
}

static double reward_of(const Answers *answers, int64_t item) {
    return item >= 0 && item < answers->items ? answers->rewards[item] : NAN;
}

static void write_answer(FILE *out, const Answers *answers, int64_t item, bool best) {
    const RgResponse *response = find_response(answers, item);
    double reward = reward_of(answers, item);
    if (!response)
        return;
    fprintf(out, "<article class=\"answer%s\"><header><b>", best ? " best" : "");
    rg_write_html(out, answers->group->name);
    fputs("</b>", out);
    if (!isnan(reward)) {
        char *text = rg_format_value(reward, NAN, RG_UNIT_PLAIN);
        fprintf(out, "<span>reward %s%s</span>", text, best ? ", highest" : "");
        free(text);
    }
    fputs("</header><p>", out);
    rg_write_html(out, response->response);
    fputs("</p></article>\n", out);
}

static void write_prompt(FILE *out, const Answers *answers, int count, int64_t item) {
    const RgResponse *asked = NULL;
    double highest = NAN;
    for (int i = 0; i < count; i++) {
        const RgResponse *response = find_response(&answers[i], item);
        asked = asked ? asked : response;
        if (response)
            highest = fmax(highest, reward_of(&answers[i], item)); /* fmax passes over NaN */
    }
    fputs("<h3 class=\"prompt\">", out);
    rg_write_html(out, asked ? asked->prompt : NULL);
    fputs("</h3>\n<div class=\"answers\">\n", out);
    for (int i = 0; i < count; i++)
        write_answer(out, &answers[i], item, count > 1 && reward_of(&answers[i], item) == highest);
    fputs("</div>\n", out);
}

/* The smallest item after `item` that some method answered; −1: none. */
static int64_t next_item(const Answers *answers, int count, int64_t item) {
    int64_t next = -1;
    for (int i = 0; i < count; i++)
        for (int64_t j = 0; j < answers[i].count; j++) {
            int64_t other = answers[i].responses[j].item;
            if (other > item && (next < 0 || other < next))
                next = other;
        }
    return next;
}

void rg_page_responses(FILE *out, const RgResults *results, int64_t prompts) {
    int count = results->group_count;
    Answers *answers = rg_allocate((size_t)(count + 1) * sizeof *answers);
    for (int i = 0; i < count; i++)
        answers[i] = load_answers(results, &results->groups[i]);
    int64_t item = next_item(answers, count, -1);
    if (item >= 0) {
        rg_page_section(out, "responses", "Responses");
        fputs("<p class=\"soft\">What each method answered to the same test prompts at its last "
              "evaluation, by its first finished seed.</p>\n",
              out);
        for (int64_t shown = 0; shown < prompts && item >= 0; shown++) {
            write_prompt(out, answers, count, item);
            item = next_item(answers, count, item);
        }
        fputs("</section>\n", out);
    }
    for (int i = 0; i < count; i++) {
        rg_responses_free(answers[i].responses, answers[i].count);
        free(answers[i].rewards);
    }
    free(answers);
}

/* Trials, configuration, provenance. */

void rg_page_trials(FILE *out, const RgResults *results) {
    static const char *const names[] = {"running or interrupted", "finished", "diverged", "failed"};
    bool any = false;
    for (int i = 0; i < results->trial_count; i++)
        any |= results->trials[i].status != RG_TRIAL_FINISHED;
    if (!any)
        return;
    rg_page_section(out, "unfinished", "Trials that did not finish");
    open_table(out, "left", "trials that did not finish");
    fputs("<thead><tr><th scope=\"col\">method</th><th scope=\"col\">seed</th><th scope=\"col\">"
          "outcome</th><th scope=\"col\">step</th><th scope=\"col\">reason</th></tr></thead>\n"
          "<tbody>\n",
          out);
    for (int g = 0; g < results->group_count; g++)
        for (int i = 0; i < results->groups[g].count; i++) {
            const RgTrial *trial = results->groups[g].trials[i];
            if (trial->status == RG_TRIAL_FINISHED)
                continue;
            fputs("<tr><th scope=\"row\">", out);
            rg_write_html(out, results->groups[g].name);
            fprintf(out, "</th><td>%lld</td><td class=\"%s\">%s</td><td>%lld</td><td>",
                    (long long)trial->seed, trial->status == RG_TRIAL_RUNNING ? "soft" : "bad",
                    names[trial->status], (long long)trial->last_step);
            rg_write_html(out,
                          trial->status == RG_TRIAL_RUNNING ? RG_DASH : rg_trial_reason(trial));
            fputs("</td></tr>\n", out);
        }
    close_table(out);
    fputs("</section>\n", out);
}

void rg_page_configuration(FILE *out, const RgResults *results) {
    RgPairs pairs = rg_pairs_parse(results->config);
    rg_page_section(out, "configuration", "Configuration");
    if (pairs.count > 0) {
        fprintf(out, "<details%s><summary>All %d settings, resolved</summary>\n",
                pairs.count <= 12 ? " open=\"open\"" : "", pairs.count);
        write_pairs(out, &pairs, "settings of the experiment");
        fputs("</details>\n", out);
    } else {
        fputs("<p class=\"soft\">None was recorded.</p>\n", out);
    }
    fputs("</section>\n", out);
    rg_pairs_free(&pairs);
}

/* Add a name's value to those already seen of it, "a; b", unless it is among them. */
static void merge_pair(RgPairs *all, const RgPair *pair) {
    for (int i = 0; i < all->count; i++) {
        RgPair *known = &all->at[i];
        if (strcmp(known->name, pair->name) != 0)
            continue;
        const char *at = strstr(known->text, pair->text);
        if (at)
            return;
        char *both = rg_string_format("%s; %s", known->text, pair->text);
        free(known->text);
        known->text = both;
        return;
    }
    all->at = rg_reallocate(all->at, (size_t)all->count + 1, sizeof *all->at);
    all->at[all->count++] = (RgPair){rg_string_copy(pair->name), rg_string_copy(pair->text), NAN};
}

void rg_page_provenance(FILE *out, const RgResults *results) {
    RgPairs all = {0};
    for (int i = 0; i < results->trial_count; i++) {
        RgPairs pairs = rg_pairs_parse(results->trials[i].provenance);
        for (int j = 0; j < pairs.count; j++)
            merge_pair(&all, &pairs.at[j]);
        rg_pairs_free(&pairs);
    }
    rg_page_section(out, "provenance", "Provenance");
    fputs("<p class=\"soft\">What made the numbers; where trials differ, all their values.</p>\n",
          out);
    if (all.count > 0)
        write_pairs(out, &all, "provenance of the trials");
    fputs("</section>\n", out);
    rg_pairs_free(&all);
}
