/* SPDX-License-Identifier: MIT */
/* Names of the kinds of acts, and the check of a trial's settings. */
#include "experiments/program/config/allowed.h"

#include "experiments/program/config/experiment.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *kind; /* for --allow; NULL: allowed in another way */
    const char *does;
    const char *option;
} acts[RG_ACTS] = {
    [RG_ACT_COMMAND] = {"command", "runs a program", "--allow command"},
    [RG_ACT_ENDPOINT] = {"endpoint", "sends texts to that address", "--allow endpoint"},
    [RG_ACT_SAVE] = {"save", "writes that file", "--allow save"},
    [RG_ACT_KEY] = {NULL, "reads that variable of the environment and sends it",
                    "--key-variable NAME"},
};

RgStatus rg_allowed_add(RgAllowed *allowed, const char *list, RgError *error) {
    for (const char *word = list;; word++) {
        size_t length = strcspn(word, ",");
        int found = RG_ACT_NONE;
        for (int i = 0; i < RG_ACTS; i++)
            if (acts[i].kind && strlen(acts[i].kind) == length &&
                strncmp(acts[i].kind, word, length) == 0)
                found = i;
        if (found == RG_ACT_NONE)
            return rg_fail(error, RG_E_USAGE,
                           "--allow %s: \"%.*s\" is not a kind of act: expected a list "
                           "of " RG_ALLOWED_KINDS,
                           list, (int)length, word);
        allowed->act[found] = true;
        word += length;
        if (!*word)
            return RG_OK;
    }
}

void rg_allowed_add_key(RgAllowed *allowed, const char *variable) {
    allowed->key_variables =
        rg_reallocate((void *)allowed->key_variables, (size_t)allowed->key_count + 1,
                      sizeof *allowed->key_variables);
    allowed->key_variables[allowed->key_count++] = variable;
}

void rg_allowed_clear(RgAllowed *allowed) {
    free((void *)allowed->key_variables);
    *allowed = (RgAllowed){0};
}

static bool is_allowed(const RgAllowed *allowed, RgAct act, const char *text) {
    for (int i = 0; act == RG_ACT_KEY && i < allowed->key_count; i++)
        if (strcmp(allowed->key_variables[i], text) == 0)
            return true;
    return allowed->act[act];
}

static RgStatus check_option(void *context, const RgOption *option, const RgSetting *setting,
                             RgError *error) {
    const RgAllowed *allowed = context;
    if (option->act == RG_ACT_NONE || !setting->text[0] ||
        is_allowed(allowed, option->act, setting->text))
        return RG_OK;
    return rg_fail(error, RG_E_USAGE, "%s = \"%.300s\" %s; for %s this needs %s", setting->path,
                   setting->text, acts[option->act].does,
                   allowed->what ? allowed->what : "a trial from elsewhere",
                   acts[option->act].option);
}

RgStatus rg_allowed_check(const RgAllowed *allowed, const RgSettings *resolved, RgError *error) {
    return rg_resolved_visit(resolved, check_option, (void *)allowed, error);
}
