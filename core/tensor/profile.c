/* SPDX-License-Identifier: MIT */
/* The lap timer (see the header). There are few names, which are compared as texts. */
#include "core/tensor/profile.h"

#include "core/tensor/threads.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct Entry {
    const char *name;
    bool backward;
    int64_t laps;
    double seconds, processor, flops; /* processor: seconds of all threads */
} Entry;

enum { MOST_ENTRIES = 256 };

static struct {
    bool running, held;
    double last, last_processor; /* clocks at the last lap */
    double flops;                /* operations since the last lap */
    double all_flops;            /* operations since the start */
    Entry entries[MOST_ENTRIES];
    int count;
} profile;

static double processor_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void rg_profile_start(void) {
    memset(&profile, 0, sizeof profile);
    profile.running = true;
    profile.last = rg_clock_seconds();
    profile.last_processor = processor_seconds();
}

bool rg_profile_is_running(void) {
    return profile.running;
}

static Entry *entry_of(const char *name, bool backward) {
    for (int i = 0; i < profile.count; i++) {
        Entry *entry = &profile.entries[i];
        if (entry->backward == backward && strcmp(entry->name, name) == 0)
            return entry;
    }
    RG_ASSERT(profile.count < MOST_ENTRIES);
    profile.entries[profile.count] = (Entry){.name = name, .backward = backward};
    return &profile.entries[profile.count++];
}

void rg_profile_lap(const char *name, bool backward) {
    if (!profile.running || profile.held)
        return;
    double now = rg_clock_seconds(), processor = processor_seconds();
    Entry *entry = entry_of(name, backward);
    entry->laps++;
    entry->seconds += now - profile.last;
    entry->processor += processor - profile.last_processor;
    entry->flops += profile.flops;
    profile.last = now;
    profile.last_processor = processor;
    profile.flops = 0;
}

void rg_profile_flops(double flops) {
    if (!profile.running || profile.held)
        return;
    profile.flops += flops;
    profile.all_flops += flops;
}

double rg_profile_all_flops(void) {
    return profile.all_flops;
}

bool rg_profile_hold(bool held) {
    bool before = profile.held;
    profile.held = held;
    return before;
}

static int by_seconds(const void *a, const void *b) {
    double left = ((const Entry *)a)->seconds, right = ((const Entry *)b)->seconds;
    return (left < right) - (left > right);
}

/* With b = processor/wall busy threads of T and the serial share s of one-thread work, the wall
 * time is s + (1 − s)/T of that of one thread, which is the processor time: s = (T/b − 1)/(T −
 * 1). */
static double serial_seconds(double processor, double wall, int threads) {
    return (threads * wall - processor) / (threads - 1);
}

double rg_profile_serial_share(double processor, double wall, int threads) {
    RG_ASSERT(threads > 1);
    return processor > 0 ? fmin(1, fmax(0, serial_seconds(processor, wall, threads) / processor))
                         : 1;
}

double rg_profile_speed_up(double serial_share, int threads) {
    return 1 / (serial_share + (1 - serial_share) / threads);
}

/* `whole` may be 0. */
static double percent(double part, double whole) {
    return whole > 0 ? 100 * part / whole : 0;
}

/* Nothing can be estimated for one thread, nor if other processes left clearly less than one
 * processor. */
static bool knows_serial(const Entry *all) {
    return rg_threads() > 1 && all->processor >= 0.9 * all->seconds;
}

/* The serial part is printed as a share of all work, so that the column adds up to the total's. */
static void print_entry(FILE *file, const Entry *e, const Entry *all) {
    char name[64];
    int threads = rg_threads();
    snprintf(name, sizeof name, "%s%s", e->name, e->backward ? ", backward" : "");
    fprintf(file, "%-28s %10lld %10.3f %7.2f", name, (long long)e->laps, e->seconds,
            percent(e->seconds, all->seconds));
    fprintf(file, " %7.2f", e->seconds > 0 ? e->processor / e->seconds : 0);
    if (knows_serial(all))
        fprintf(
            file, " %9.2f",
            percent(fmax(0, serial_seconds(e->processor, e->seconds, threads)), all->processor));
    else
        fprintf(file, " %11s", "–");
    if (e->flops > 0 && e->seconds > 0)
        fprintf(file, " %9.1f\n", e->flops / e->seconds / 1e9);
    else
        fprintf(file, " %11s\n", "–");
}

static void add_entry(Entry *sum, const Entry *e) {
    sum->laps += e->laps;
    sum->seconds += e->seconds;
    sum->processor += e->processor;
    sum->flops += e->flops;
}

static void print_speed_up(FILE *file, const Entry *all) {
    int threads = rg_threads();
    if (threads > 1 && !knows_serial(all))
        fputs("less than one thread was busy: other processes used the processors, so the serial "
              "share cannot be estimated\n",
              file);
    if (!knows_serial(all))
        return;
    double share = rg_profile_serial_share(all->processor, all->seconds, threads);
    fprintf(file,
            "serial share of all work %.2f %%: by Amdahl's law at most %.1f times as fast on 8 "
            "threads as on one, %.1f on 32, %.1f on 64\n",
            100 * share, rg_profile_speed_up(share, 8), rg_profile_speed_up(share, 32),
            rg_profile_speed_up(share, 64));
}

void rg_profile_report(FILE *file) {
    if (!profile.running)
        return;
    rg_profile_lap("other", false);
    profile.running = false;
    qsort(profile.entries, (size_t)profile.count, sizeof *profile.entries, by_seconds);
    Entry all = {.name = "all"}, rest = {.name = "less than 0.1 % each"};
    for (int i = 0; i < profile.count; i++)
        add_entry(&all, &profile.entries[i]);
    fprintf(file, "%-28s %10s %10s %7s %7s %9s %9s\n", "part", "times", "seconds", "%", "threads",
            "serial, %", "GFLOP/s");
    for (int i = 0; i < profile.count; i++) {
        Entry *e = &profile.entries[i];
        if (e->seconds >= 0.001 * all.seconds)
            print_entry(file, e, &all);
        else
            add_entry(&rest, e);
    }
    if (rest.laps > 0)
        print_entry(file, &rest, &all);
    print_entry(file, &all, &all);
    print_speed_up(file, &all);
}
