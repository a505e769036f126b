/* SPDX-License-Identifier: MIT */
/* A hash table with open addressing. Texts are added and never removed. */
#include "core/lookup.h"

#include <stdlib.h>
#include <string.h>

typedef struct Slot {
    char *text; /* NULL: free */
    size_t size;
    uint64_t hash;
    int64_t number;
} Slot;

struct RgLookup {
    Slot *slots; /* [capacity], a power of two */
    size_t count, capacity;
};

RgLookup *rg_lookup_create(void) {
    return rg_allocate(1, sizeof(RgLookup));
}

void rg_lookup_destroy(RgLookup *lookup) {
    if (!lookup)
        return;
    for (size_t i = 0; i < lookup->capacity; i++)
        free(lookup->slots[i].text);
    free(lookup->slots);
    free(lookup);
}

/* The slot of the text, or the free slot for it. */
static Slot *slot_of(const RgLookup *lookup, const char *text, size_t size, uint64_t hash) {
    size_t mask = lookup->capacity - 1, at = hash & mask;
    for (Slot *slot = &lookup->slots[at]; slot->text; slot = &lookup->slots[at]) {
        if (slot->hash == hash && slot->size == size && memcmp(slot->text, text, size) == 0)
            return slot;
        at = (at + 1) & mask;
    }
    return &lookup->slots[at];
}

/* Makes space for one more, with at least half of the slots free. */
static void grow(RgLookup *lookup) {
    if (2 * (lookup->count + 1) <= lookup->capacity)
        return;
    RgLookup larger = {.count = lookup->count,
                       .capacity = lookup->capacity ? 2 * lookup->capacity : 64};
    larger.slots = rg_allocate(larger.capacity, sizeof *larger.slots);
    for (size_t i = 0; i < lookup->capacity; i++) {
        const Slot *slot = &lookup->slots[i];
        if (slot->text)
            *slot_of(&larger, slot->text, slot->size, slot->hash) = *slot;
    }
    free(lookup->slots);
    *lookup = larger;
}

int64_t rg_lookup_find(const RgLookup *lookup, const char *text, size_t size) {
    if (lookup->count == 0)
        return -1;
    const Slot *slot = slot_of(lookup, text, size, rg_hash(RG_HASH_START, text, size));
    return slot->text ? slot->number : -1;
}

int64_t *rg_lookup_at(RgLookup *lookup, const char *text, size_t size) {
    grow(lookup);
    uint64_t hash = rg_hash(RG_HASH_START, text, size);
    Slot *slot = slot_of(lookup, text, size, hash);
    if (!slot->text) {
        *slot = (Slot){.text = rg_allocate(size + 1, 1), .size = size, .hash = hash, .number = -1};
        memcpy(slot->text, text, size);
        lookup->count++;
    }
    return &slot->number;
}
