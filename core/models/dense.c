/* SPDX-License-Identifier: MIT */
/* Fully connected networks on the tape. What they are used for is in the files that include this. */
#include "core/models/dense.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const rg_activation_names[] = {"relu", "tanh", NULL};
const char *const rg_initial_weights_names[] = {"fan-in", "xavier", NULL};

static const RgReal norm_epsilon = (RgReal)1e-5; /* as PyTorch's LayerNorm */

/* ---- widths ---- */

enum { WIDEST = 65536 };

/* The next width of the text; 0 at its end, −1 if there is none. */
static int64_t next_width(const char **text) {
    *text += strspn(*text, " ");
    if (**text == '\0')
        return 0;
    size_t digits = strspn(*text, "0123456789");
    if (digits == 0 || digits > 5 || !strchr(" ", (*text)[digits]))
        return -1;
    int64_t width = strtol(*text, NULL, 10);
    *text += digits;
    return width >= 1 && width <= WIDEST ? width : -1;
}

const char *rg_hidden_widths_fault(const char *text) {
    int64_t count = 0, width = 1;
    while (text && (width = next_width(&text)) > 0)
        count++;
    if (!text || width < 0)
        return "expected widths from 1 to 65536, separated by spaces, such as \"64 64\"";
    return count < RG_DENSE_LAYERS ? NULL : "expected at most 15 hidden layers";
}

void rg_dense_read_hidden(RgDense *dense, const char *text) {
    RG_ASSERT(rg_hidden_widths_fault(text) == NULL);
    dense->layers = 0;
    for (int64_t width; (width = next_width(&text)) > 0;)
        dense->width[++dense->layers] = width;
}

/* ---- parameters ---- */

/* Views in order: weight and bias of each layer, then the norm's. */
static int weight_view(const RgDense *dense, int64_t layer) {
    return dense->first_view + (int)(2 * layer);
}

int rg_dense_last_bias(const RgDense *dense) {
    return weight_view(dense, dense->layers - 1) + 1;
}

static int norm_view(const RgDense *dense) {
    return weight_view(dense, dense->layers);
}

static void declare_vector(RgParameters *parameters, char *name, int64_t size) {
    rg_parameters_declare(parameters, name, 1, &size, false);
    free(name);
}

void rg_dense_declare(RgDense *dense, RgParameters *parameters, const char *prefix) {
    RG_ASSERT(dense->layers >= 1 && dense->layers <= RG_DENSE_LAYERS);
    dense->first_view = parameters->view_count;
    for (int64_t l = 0; l < dense->layers; l++) {
        char *name = rg_string_format("%s.%d.weight", prefix, (int)l);
        rg_parameters_declare(parameters, name, 2,
                              (const int64_t[]){dense->width[l + 1], dense->width[l]}, true);
        free(name);
        declare_vector(parameters, rg_string_format("%s.%d.bias", prefix, (int)l),
                       dense->width[l + 1]);
    }
    if (dense->first_norm) {
        declare_vector(parameters, rg_string_format("%s.norm.weight", prefix), dense->width[1]);
        declare_vector(parameters, rg_string_format("%s.norm.bias", prefix), dense->width[1]);
    }
}

void rg_dense_initialise(const RgDense *dense, RgParameters *parameters, RgInitialWeights weights,
                         double gain, RgRandom random) {
    for (int64_t l = 0; l < dense->layers; l++) {
        double inputs = (double)dense->width[l], outputs = (double)dense->width[l + 1];
        bool fan_in = weights == RG_INITIAL_FAN_IN;
        double bound = fan_in ? gain / sqrt(inputs) : gain * sqrt(6 / (inputs + outputs));
        int view = weight_view(dense, l);
        rg_parameters_fill_uniform(parameters, view, bound, random);
        if (fan_in)
            rg_parameters_fill_uniform(parameters, view + 1, bound, random);
        else
            rg_parameters_fill(parameters, view + 1, 0);
    }
    if (dense->first_norm) {
        rg_parameters_fill(parameters, norm_view(dense), 1);
        rg_parameters_fill(parameters, norm_view(dense) + 1, 0);
    }
}

/* ---- forward ---- */

/* max(0, x); the slope at 0 is 0. */
static RgTensor *relu(RgTape *tape, RgTensor *x) {
    RgTensor *positive = rg_tensor_new(tape, x->shape);
    for (int64_t i = 0; i < x->count; i++)
        positive->data[i] = x->data[i] > 0;
    return rg_mul(tape, positive, x);
}

RgTensor *rg_dense_forward(const RgDense *dense, RgTape *tape, RgParameters *parameters,
                           RgTensor *x) {
    for (int64_t l = 0; l < dense->layers; l++) {
        int view = weight_view(dense, l), norm = norm_view(dense);
        x = rg_linear(tape, x, rg_parameter(tape, parameters, view),
                      rg_parameter(tape, parameters, view + 1), NULL);
        if (l == 0 && dense->first_norm)
            x = rg_layer_norm(tape, x, rg_parameter(tape, parameters, norm),
                              rg_parameter(tape, parameters, norm + 1), norm_epsilon);
        if (l == dense->layers - 1 && !dense->last_activation)
            break;
        x = dense->activation == RG_ACTIVATION_RELU ? relu(tape, x) : rg_tanh(tape, x);
    }
    return x;
}
