/* SPDX-License-Identifier: MIT */
/* regatta check-plugin: does a plug-in satisfy the contracts of what it registers? The contracts
 * are checked in plugins/check_*.c. */
#include "core/plugin.h"
#include "experiments/program/commands/command.h"
#include "experiments/program/plugins/check_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct CheckArguments {
    const char *file, *name;
    const char **options; /* [option_count] "name=value" */
    int option_count;
} CheckArguments;

/* The loaded plug-in of that file, under whichever path it was first loaded. */
static const RgLoadedPlugin *loaded_of(const char *file, RgError *error) {
    RgChecksum sum;
    const RgLoadedPlugin *plugin = NULL;
    if (rg_file_checksum(file, &sum, error) == RG_OK)
        for (int i = 0; (plugin = rg_plugin_loaded(i)); i++)
            if (strcmp(plugin->sha256, sum.sha256) == 0)
                break;
    return plugin;
}

static void check_one(RgKind kind, const RgDescriptor *about, const CheckArguments *a,
                      RgClaims *claims) {
    int options_count = 0;
    while (rg_options_at(about->options, options_count, NULL))
        options_count++;
    printf("%s %s: %s\n", rg_kind_names[kind], about->name, about->summary);
    rg_claim(claims, true, "its descriptor is whole", "%d option%s, each with its default and help",
             options_count, options_count == 1 ? "" : "s"); /* loading checked this */
    char *options = rg_argument_join(a->options, a->option_count, " ");
    rg_check_registered(kind, about, options, claims);
    free(options);
    fflush(stdout);
}

static RgStatus check(const CheckArguments *a, RgError *error) {
    RG_TRY(rg_plugin_load(a->file, error));
    const RgLoadedPlugin *plugin = loaded_of(a->file, error);
    if (!plugin)
        return rg_fail(error, RG_E_FILE, "%s: differs from the file that was loaded", a->file);
    RgClaims claims = {.stream = stdout};
    int found = 0;
    for (int kind = 0; kind < RG_KINDS; kind++) {
        const RgDescriptor *about;
        for (int i = 0; (about = rg_registered(kind, i)); i++) {
            const char *by = rg_registered_by(about);
            if (!by || strcmp(by, plugin->path) != 0 ||
                (a->name && strcmp(a->name, about->name) != 0))
                continue;
            check_one(kind, about, a, &claims);
            found++;
        }
    }
    if (found == 0)
        return rg_fail(error, RG_E_USAGE, "%s: registers nothing%s%s%s", a->file,
                       a->name ? " under the name \"" : "", a->name ? a->name : "",
                       a->name ? "\"" : "");
    printf("%d claims hold, %d failed\n", claims.held, claims.failed);
    return claims.failed == 0 ? RG_OK
                              : rg_fail(error, RG_E_RANGE, "%s: %s", a->file, claims.first_failure);
}

static RgStatus check_options(void *arguments, RgError *error) {
    const CheckArguments *a = arguments;
    for (int i = 0; i < a->option_count; i++) {
        const char *equals = strchr(a->options[i], '=');
        if (!equals || equals == a->options[i] || strchr(a->options[i], ' '))
            return rg_fail(error, RG_E_USAGE, "%s: expected OPTION=VALUE, without spaces",
                           a->options[i]);
    }
    return RG_OK;
}

static RgStatus check_plugin(void *arguments, RgError *error) {
    RgStatus status = check(arguments, error);
    fflush(stdout);
    return status;
}

static const RgArgument arguments[] = {
    RG_ARGUMENT_POSITIONAL(CheckArguments, file, "expected a plug-in such as ./mine.so"),
    RG_ARGUMENT_OPTION(CheckArguments, name, "name", 'n', "NAME",
                       "check only what is registered under this name"),
    RG_ARGUMENT_REPEATED(
        CheckArguments, options, option_count, "set", 's', "OPTION=VALUE",
        "set an option of the type under check, in place of its default; may be repeated"),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_check_plugin = {
    .name = "check-plugin",
    .summary = "check that a plug-in satisfies the contracts of the built-in types",
    .usage = "FILE.so",
    .purpose = "Load a plug-in and check that everything it registers satisfies the contract of "
               "the built-in types, in seconds, on tasks of a few numbers.",
    .details =
        "Algorithm: the gradient of its loss against finite differences, micro-batches, equal bits "
        "with any number of threads and after a checkpoint, costs equal to its recipe's, all "
        "operations metered, a higher reward on a small bandit. Environment, policy, judge, "
        "estimator or optimizer: what its header requires. One line per claim: ok, FAILED with "
        "what was found, or - if the claim does not apply. The exit status is 0 only if nothing "
        "failed. The plug-in's code is executed: check only plug-ins that you trust.",
    .arguments = arguments,
    .size = sizeof(CheckArguments),
    .check = check_options,
    .run = check_plugin,
};
