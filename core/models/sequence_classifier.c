/* SPDX-License-Identifier: MIT */
/* Values of a transformer with a scalar head. */
#include "core/models/sequence_classifier.h"

#include "core/models/transformer.h"

#include <stdlib.h>

/* The sequences up to their last token that is not padding, which is their response. */
static RgSequences *without_padding(const RgSequences *sequences, int32_t padding) {
    RgSequences *all = rg_sequences_create();
    for (int64_t i = 0; i < sequences->count; i++) {
        const int32_t *tokens = sequences->tokens + sequences->start[i];
        int64_t last = rg_sequence_length(sequences, i) - 1;
        while (last > 0 && tokens[last] == padding)
            last--;
        rg_sequences_append(all, tokens, last, tokens + last, 1);
    }
    return all;
}

void rg_sequence_classifier_values(const RgSequenceClassifier *classifier,
                                   const RgSequences *sequences, double *value) {
    int64_t width = rg_transformer_options(classifier->policy)->width;
    RgSequences *all = without_padding(sequences, classifier->padding);
    RgReal *state = rg_allocate(all->count * width, sizeof *state);
    rg_policy_run_values(classifier->policy, rg_transformer_last_states, all, width, state);
    for (int64_t i = 0; i < all->count; i++) {
        value[i] = 0;
        for (int64_t k = 0; k < width; k++)
            value[i] += (double)classifier->score[k] * (double)state[i * width + k];
    }
    free(state);
    rg_sequences_destroy(all);
}

void rg_sequence_classifier_release(RgSequenceClassifier *classifier) {
    rg_policy_destroy(classifier->policy);
    free(classifier->score);
    *classifier = (RgSequenceClassifier){.padding = -1};
}
