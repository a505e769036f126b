/* SPDX-License-Identifier: MIT */
/* Fully connected networks: layers x ↦ activation(W·x + b), and a linear last layer. They are the
 * body of an mlp policy, of a fitted reward and of a hidden one.
 *
 *     h_0 = x,   h_l = activation(norm_l(W_l·h_{l−1} + b_l)),   y = W_L·h_{L−1} + b_L
 *
 * norm is a layer norm in the first layer if the network has one, else nothing. Initial weights:
 *
 *     fan-in   W and b uniform in ±gain/√inputs                     (what PyTorch's Linear starts from)
 *     xavier   W uniform in ±gain·√(6/(inputs + outputs)), b = 0     (Glorot and Bengio 2010)
 *
 * Functions on different parameters are thread-safe. */
#ifndef RG_CORE_MODELS_DENSE_H
#define RG_CORE_MODELS_DENSE_H

#include "core/tensor/tensor.h"

enum { RG_DENSE_LAYERS = 16 };

typedef enum RgActivation { RG_ACTIVATION_RELU, RG_ACTIVATION_TANH } RgActivation;
extern const char *const rg_activation_names[]; /* for RG_OPTION_CHOICE */

typedef enum RgInitialWeights { RG_INITIAL_FAN_IN, RG_INITIAL_XAVIER } RgInitialWeights;
extern const char *const rg_initial_weights_names[];

typedef struct RgDense {
    int64_t layers;                     /* 1 … RG_DENSE_LAYERS */
    int64_t width[RG_DENSE_LAYERS + 1]; /* of the input, then of each layer's output */
    RgActivation activation;
    bool first_norm;      /* layer norm in the first layer */
    bool last_activation; /* also after the last layer, which is then no linear one */
    int first_view;       /* of the parameters; set by rg_dense_declare */
} RgDense;

/* Why a list of hidden widths such as "64 64" is invalid, as the end of a sentence, or NULL: `fault`
 * of an option. "" is a network without a hidden layer. */
const char *rg_hidden_widths_fault(const char *text);
/* Append these widths to the network's, of which width[0] is set: layers is their number. */
void rg_dense_read_hidden(RgDense *dense, const char *text);

/* Declare weight and bias of each layer as PREFIX.0.weight, PREFIX.0.bias, …; those of the norm are
 * PREFIX.norm.weight and PREFIX.norm.bias. */
void rg_dense_declare(RgDense *dense, RgParameters *parameters, const char *prefix);
void rg_dense_initialise(const RgDense *dense, RgParameters *parameters, RgInitialWeights weights,
                         double gain, RgRandom random);
/* The view of the last layer's bias. */
int rg_dense_last_bias(const RgDense *dense);
/* x [rows, width[0]] → [rows, width[layers]], differentiable in the parameters. */
RgTensor *rg_dense_forward(const RgDense *dense, RgTape *tape, RgParameters *parameters,
                           RgTensor *x);

#endif
