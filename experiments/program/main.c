/* SPDX-License-Identifier: MIT */
/* regatta: the program. Parses global options, finds the command and runs it. */
#include "core/files.h"
#include "core/plugin.h"
#include "core/suggest.h"
#include "core/tensor/instructions.h"
#include "core/tensor/threads.h"
#include "core/text/terminal.h"
#include "experiments/program/commands/command.h"
#include "experiments/program/config/build_versions.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const RgCommand *const commands[] = {
    &rg_command_run,
    &rg_command_status,
    &rg_command_submit,
    &rg_command_plan,
    &rg_command_list,
    &rg_command_show,
    &rg_command_table,
    &rg_command_plot,
    &rg_command_report,
    &rg_command_compare,
    &rg_command_tournament,
    &rg_command_frontier,
    &rg_command_budget,
    &rg_command_sample,
    &rg_command_score,
    &rg_command_export,
    &rg_command_export_results,
    &rg_command_export_trial,
    &rg_command_reproduce,
    &rg_command_rerun,
    &rg_command_verify,
    &rg_command_merge,
    &rg_command_forget,
    &rg_command_check_store,
    &rg_command_tokenize,
    &rg_command_train_tokenizer,
    &rg_command_check_gradients,
    &rg_command_new,
    &rg_command_check_plugin,
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_help(FILE *stream) {
    fputs("Usage: regatta [--kernels=NAME] [--plugin=FILE]... COMMAND [ARGUMENT...]\n"
          "Compare algorithms of preference alignment on the same task, at the same cost.\n\n",
          stream);
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  %-16s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n--kernels=avx512|avx2|sse2|neon|generic selects the vector instructions, instead of\n"
          "the processor's best; so does the environment variable REGATTA_KERNELS.\n"
          "--plugin=FILE loads a plug-in, whose types any command can then use; so do\n"
          "REGATTA_PLUGINS, a list separated by colons, and plugins = [\"FILE\"] in a config.\n"
          "\nMissing folders of an output path are created.\n",
          stream);
    char *config = rg_own_file("experiments/bandit/head-to-head.cfg");
    fprintf(stream,
            "\nregatta COMMAND --help describes a command. A first run:\n\n"
            "  regatta run %s\n"
            "  regatta table results/bandit-head-to-head.db\n",
            config);
    free(config);
}

/* Returns large temporary arrays (decoders, tapes of passes without a gradient) to the system.
 * Otherwise glibc raises its threshold when they are freed and keeps them between permanent ones,
 * so that arrays which are never needed at the same time add up. */
static void return_large_memory(void) {
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 22);
#endif
}

static const char kernels_option[] = "--kernels", plugin_option[] = "--plugin";
static const char plugins_variable[] = "REGATTA_PLUGINS";

/* Whether this is the option, alone or with =VALUE. */
static bool is_option(const char *argument, const char *option) {
    size_t length = strlen(option);
    return strncmp(argument, option, length) == 0 &&
           (argument[length] == '\0' || argument[length] == '=');
}

/* The value of a global option; NULL if it is absent. Adds the arguments used to *taken. */
static const char *take_option(int argc, char **argv, const char *option, int *taken) {
    if (argc < 2 || !is_option(argv[1], option))
        return NULL;
    size_t length = strlen(option);
    bool joined = argv[1][length] == '=';
    *taken += joined ? 1 : 2;
    return joined ? argv[1] + length + 1 : argc > 2 ? argv[2] : "";
}

/* Stores --kernels NAME in the environment, for a restarted program and for child processes. */
static RgStatus set_kernels(const char *name, RgError *error) {
    RgInstructions unused;
    RgStatus status = rg_instructions_find(name, &unused, error);
    if (status != RG_OK)
        return rg_fail_in(error, status, "%s", kernels_option);
    setenv(RG_INSTRUCTIONS_VARIABLE, name, 1);
    return RG_OK;
}

/* Adds --plugin FILE to its variable, for the same reason. */
static RgStatus add_plugin(const char *file, RgError *error) {
    if (!file[0] || strchr(file, ':'))
        return rg_fail(error, RG_E_USAGE, "%s: expected a file, without ':' in its name",
                       plugin_option);
    const char *before = getenv(plugins_variable);
    char *list =
        rg_string_format("%s%s%s", before ? before : "", before && before[0] ? ":" : "", file);
    setenv(plugins_variable, list, 1);
    free(list);
    return RG_OK;
}

/* Parses the options before the command, in any order. Returns the number of arguments used, −1 on
 * an error. */
static int take_options(int argc, char **argv, RgError *error) {
    int taken = 0;
    for (;;) {
        int before = taken;
        const char *kernels = take_option(argc - taken, argv + taken, kernels_option, &taken);
        if (kernels && set_kernels(kernels, error) != RG_OK)
            return -1;
        const char *plugin = take_option(argc - taken, argv + taken, plugin_option, &taken);
        if (plugin && add_plugin(plugin, error) != RG_OK)
            return -1;
        if (taken == before)
            return taken < argc ? taken : argc - 1;
    }
}

/* Loads the plug-ins of the variable, a list separated by colons. */
static RgStatus load_plugins(RgError *error) {
    const char *list = getenv(plugins_variable);
    RgStatus status = RG_OK;
    while (list && *list && status == RG_OK) {
        size_t length = strcspn(list, ":");
        char *file = rg_string_format("%.*s", (int)length, list);
        status = file[0] ? rg_plugin_load(file, error) : RG_OK;
        free(file);
        list += length + (list[length] == ':');
    }
    return status;
}

/* Refuses --kernels after the command, which would not know the option. */
static RgStatus refuse_late_kernels(int argc, char **argv, RgError *error) {
    for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (is_option(argv[i], kernels_option))
            return rg_fail(error, RG_E_USAGE,
                           "%s must precede the command: regatta --kernels=NAME %s ...",
                           kernels_option, argv[1]);
    return RG_OK;
}

/* Reports a failed write to stdout, such as a full disk, which may appear only when it is closed.
 * Runs at exit, so it covers every command and argp's --help. A failed command has already printed
 * its error. */
static void close_output(int status, void *unused) {
    (void)unused;
    bool bad = ferror(stdout) != 0;
    if ((fclose(stdout) == 0 && !bad) || status != 0 || errno == EBADF)
        return;
    fprintf(stderr, "regatta: standard output: %s\n", strerror(errno ? errno : EIO));
    _exit(EXIT_FAILURE);
}

int main(int argc, char **argv) {
    return_large_memory();
    rg_terminal_begin();
    on_exit(close_output, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is reported like a full disk */
    RgError error = {0};
    int taken = take_options(argc, argv, &error);
    if (taken < 0 || rg_instructions_check(&error) != RG_OK)
        return rg_command_end(RG_E_USAGE, &error);
    argv[taken] = argv[0];
    argc -= taken;
    argv += taken;
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0) {
        printf("regatta %s (commit %s)\nbuilt with %s\nplug-ins: ABI %s\n", RG_VERSION,
               rg_build_commit(), rg_build_versions(), RG_ABI);
        return 0;
    }
    const char *names[COMMAND_COUNT + 1] = {0};
    for (int i = 0; i < COMMAND_COUNT; i++) {
        names[i] = commands[i]->name;
        if (strcmp(name, commands[i]->name) != 0)
            continue;
        if (refuse_late_kernels(argc, argv, &error) != RG_OK)
            return rg_command_end(RG_E_USAGE, &error);
        rg_threads_start_anew(argv);
        if (load_plugins(&error) != RG_OK)
            return rg_command_end(RG_E_USAGE, &error);
        char *title = rg_string_format("regatta %s", name);
        argv[1] = title;
        int status = rg_command_execute(commands[i], argc - 1, argv + 1);
        free(title);
        return status;
    }
    fprintf(stderr, "regatta: no command \"%s\"%s; see: regatta --help\n", name,
            rg_suggest(name, names).text);
    return 2;
}
