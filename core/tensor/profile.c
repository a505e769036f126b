/* The profile: see the header. Names are few, and told apart by their text. */
#include "core/tensor/profile.h"

#include <stdlib.h>
#include <string.h>

typedef struct Entry {
    const char *name;
    bool backward;
    int64_t laps;
    double seconds, flops;
} Entry;

enum { MOST_ENTRIES = 256 };

static struct {
    bool running, held;
    double last, flops; /* clock at the last lap; operations since */
    Entry entries[MOST_ENTRIES];
    int count;
} profile;

void rg_profile_start(void) {
    memset(&profile, 0, sizeof profile);
    profile.running = true;
    profile.last = rg_clock_seconds();
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
    double now = rg_clock_seconds();
    Entry *entry = entry_of(name, backward);
    entry->laps++;
    entry->seconds += now - profile.last;
    entry->flops += profile.flops;
    profile.last = now;
    profile.flops = 0;
}

void rg_profile_flops(double flops) {
    if (profile.running && !profile.held)
        profile.flops += flops;
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

static void print_entry(FILE *file, const Entry *e, double total) {
    char name[64];
    snprintf(name, sizeof name, "%s%s", e->name, e->backward ? ", backward" : "");
    fprintf(file, "%-28s %10lld %10.3f %7.2f", name, (long long)e->laps, e->seconds,
            100 * e->seconds / (total > 0 ? total : 1));
    if (e->flops > 0 && e->seconds > 0)
        fprintf(file, " %9.1f\n", e->flops / e->seconds / 1e9);
    else
        fprintf(file, " %9s\n", "–");
}

void rg_profile_report(FILE *file) {
    if (!profile.running)
        return;
    rg_profile_lap("other", false);
    profile.running = false;
    qsort(profile.entries, (size_t)profile.count, sizeof *profile.entries, by_seconds);
    double total = 0;
    for (int i = 0; i < profile.count; i++)
        total += profile.entries[i].seconds;
    fprintf(file, "%-28s %10s %10s %7s %9s\n", "part", "times", "seconds", "%", "GFLOP/s");
    Entry rest = {.name = "less than 0.1 % each"};
    for (int i = 0; i < profile.count; i++) {
        Entry *e = &profile.entries[i];
        if (e->seconds >= 0.001 * total) {
            print_entry(file, e, total);
            continue;
        }
        rest.laps += e->laps;
        rest.seconds += e->seconds;
        rest.flops += e->flops;
    }
    if (rest.laps > 0)
        print_entry(file, &rest, total);
}
