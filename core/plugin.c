/* SPDX-License-Identifier: MIT */
/* Loading plug-ins, and reporting one that crashes or ends the program while being loaded. */
#include "core/plugin.h"

#include "core/registry.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_PLUGINS = 64 };

static struct {
    RgLoadedPlugin *plugins[MOST_PLUGINS];
    int count;
    const char *loading; /* the file that is being loaded, or NULL */
    const char *note;    /* the end of a crash's report, or NULL */
} loaded;

void rg_plugin_set_crash_note(const char *note) {
    loaded.note = note;
}

const RgLoadedPlugin *rg_plugin_loaded(int i) {
    return i < loaded.count ? loaded.plugins[i] : NULL;
}

const RgLoadedPlugin *rg_plugin_of(const char *sha256) {
    for (int i = 0; i < loaded.count; i++)
        if (strcmp(loaded.plugins[i]->sha256, sha256) == 0)
            return loaded.plugins[i];
    return NULL;
}

const char *rg_plugin_name(const RgLoadedPlugin *plugin) {
    const char *slash = strrchr(plugin->path, '/');
    return slash ? slash + 1 : plugin->path;
}

/* ---- crashes ---- */

static const struct {
    int number;
    const char *name;
} crashes[] = {{SIGSEGV, "segmentation fault"},
               {SIGBUS, "bus error"},
               {SIGFPE, "arithmetic error"},
               {SIGILL, "illegal instruction"},
               {SIGABRT, "abort"}};
enum { CRASHES = sizeof crashes / sizeof *crashes };

static void say(const char *text) {
    ssize_t unused = write(STDERR_FILENO, text, strlen(text));
    (void)unused;
}

static const RgLoadedPlugin *owner_of(uintptr_t at) {
    for (int i = 0; i < loaded.count; i++)
        if (at >= loaded.plugins[i]->first && at < loaded.plugins[i]->end)
            return loaded.plugins[i];
    return NULL;
}

/* The plug-in whose code crashed, or called the code that crashed, for example an operator given no
 * tensor. Runs in a signal handler; the first call of backtrace, which may allocate, was made
 * before. */
static const RgLoadedPlugin *culprit(uintptr_t at) {
    enum { FRAMES = 64 };
    void *frames[FRAMES];
    const RgLoadedPlugin *found = owner_of(at);
    int count = found ? 0 : backtrace(frames, FRAMES);
    for (int i = 0; i < count && !found; i++)
        found = owner_of((uintptr_t)frames[i]);
    return found;
}

static uintptr_t counter_of(const void *context) {
#if defined(__x86_64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

static void report_suspects(void) {
    say("a crash while these plug-ins were loaded:  ");
    for (int i = 0; i < loaded.count; i++) {
        say(i ? ", " : "");
        say(loaded.plugins[i]->path);
    }
    say(": ");
}

/* Names the plug-in and dies of the signal as without a handler. */
static void report_crash(int signal_number, siginfo_t *info, void *context) {
    const RgLoadedPlugin *plugin = culprit(counter_of(context));
    (void)info;
    say("regatta: ");
    if (plugin || loaded.loading) {
        say("the plug-in ");
        say(plugin ? plugin->path : loaded.loading);
        say(plugin ? " crashed: " : " crashed while being loaded: ");
    } else {
        report_suspects();
    }
    for (int i = 0; i < CRASHES; i++)
        say(crashes[i].number == signal_number ? crashes[i].name : "");
    say(loaded.note ? "; " : "");
    say(loaded.note ? loaded.note : "");
    say("\n");
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void watch_for_crashes(void) {
    void *unused[1];
    backtrace(unused, 1);
    struct sigaction action = {.sa_sigaction = report_crash, .sa_flags = SA_SIGINFO | SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < CRASHES; i++)
        sigaction(crashes[i].number, &action, NULL);
}

/* ---- the end of the program ---- */

/* A plug-in that calls exit while being loaded would end the command as if it had succeeded. */
static void report_exit(int exit_status, void *unused) {
    (void)unused;
    if (!loaded.loading)
        return;
    fprintf(stderr,
            "regatta: %s: called exit(%d) while being loaded, which ends the program: expected a "
            "plug-in that returns\n",
            loaded.loading, exit_status);
    _exit(EXIT_FAILURE);
}

static void watch_for_exit(void) {
    static bool watching;
    if (!watching)
        on_exit(report_exit, NULL);
    watching = true;
}

/* ---- loading ---- */

/* Finds the code addresses of the object that contains `symbol`. */
typedef struct Search {
    uintptr_t symbol;
    RgLoadedPlugin *plugin;
} Search;

static int find_code(struct dl_phdr_info *info, size_t size, void *context) {
    Search *search = context;
    (void)size;
    uintptr_t first = 0, end = 0;
    bool holds = false;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        if (info->dlpi_phdr[i].p_type != PT_LOAD)
            continue;
        uintptr_t stop = start + info->dlpi_phdr[i].p_memsz;
        holds = holds || (search->symbol >= start && search->symbol < stop);
        first = first == 0 || start < first ? start : first;
        end = stop > end ? stop : end;
    }
    if (holds) {
        search->plugin->first = first;
        search->plugin->end = end;
    }
    return holds;
}

/* A plug-in linked with the library brings a second copy of its functions and globals. */
static RgStatus check_alone(const char *path, RgError *error) {
    void *library = dlopen("libregatta.so.0", RTLD_LAZY | RTLD_NOLOAD);
    if (!library)
        return RG_OK;
    dlclose(library);
    return rg_fail(error, RG_E_USAGE,
                   "%s: is linked against libregatta.so: expected a plug-in linked without "
                   "-lregatta, because the program provides all functions",
                   path);
}

static RgStatus register_all(RgLoadedPlugin *plugin, const RgPlugin *found, RgError *error) {
    if (!found)
        return rg_fail(error, RG_E_USAGE,
                       "%s: is not a plug-in: expected RG_PLUGIN(add) in one of its sources",
                       plugin->path);
    if (!found->abi || strcmp(found->abi, RG_ABI) != 0)
        return rg_fail(error, RG_E_USAGE,
                       "%s: was compiled with different headers (ABI %.40s), expected those of "
                       "this program (ABI %s): recompile it with pkg-config --cflags regatta",
                       plugin->path, found->abi ? found->abi : "none", RG_ABI);
    if (!found->add)
        return rg_fail(error, RG_E_USAGE, "%s: RG_PLUGIN has no function", plugin->path);
    dl_iterate_phdr(find_code, &(Search){(uintptr_t)found, plugin});
    rg_registering(plugin->path);
    RgStatus status = found->add(error);
    rg_registering(NULL);
    return status == RG_OK ? RG_OK : rg_fail_in(error, status, "%s", plugin->path);
}

/* dlopen would look for a bare name in the system's folders, but a file is meant. */
static void *open_object(const char *path) {
    char *file = strchr(path, '/') ? rg_string_copy(path) : rg_string_format("./%s", path);
    void *object = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    free(file);
    return object;
}

/* Loads one that is not loaded yet. */
static RgStatus load_new(const char *path, const RgChecksum *sum, RgError *error) {
    void *object = open_object(path);
    if (!object)
        return rg_fail(error, RG_E_FILE, "%s: cannot be loaded: %s", path, dlerror());
    RG_TRY(check_alone(path, error));
    RgLoadedPlugin *plugin = rg_allocate(1, sizeof *plugin);
    plugin->path = rg_string_copy(path);
    memcpy(plugin->sha256, sum->sha256, sizeof plugin->sha256);
    RgStatus status = register_all(plugin, dlsym(object, "rg_plugin"), error);
    if (status == RG_OK) {
        loaded.plugins[loaded.count++] = plugin;
    } else { /* its registrations remain, so it must not be unloaded */
        free(plugin->path);
        free(plugin);
    }
    return status;
}

RgStatus rg_plugin_load(const char *path, RgError *error) {
    RgChecksum sum;
    RG_TRY(rg_file_checksum(path, &sum, error));
    if (rg_plugin_of(sum.sha256))
        return RG_OK;
    if (loaded.count == MOST_PLUGINS)
        return rg_fail(error, RG_E_USAGE, "%s: expected at most %d plug-ins", path, MOST_PLUGINS);
    watch_for_crashes();
    watch_for_exit();
    loaded.loading = path;
    RgStatus status = load_new(path, &sum, error);
    loaded.loading = NULL;
    return status;
}
