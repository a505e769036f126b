/* SPDX-License-Identifier: MIT */
/* Distributions are computed from their definitions (erfc, the incomplete beta function) and
 * inverted by Newton's method, so no tables are needed. */
#include "core/interval.h"

#include <math.h>

static double normal_cumulative(double x, double unused) {
    (void)unused;
    return 0.5 * erfc(-x / M_SQRT2);
}

static double normal_density(double x, double unused) {
    (void)unused;
    return exp(-x * x / 2) / sqrt(2 * M_PI);
}

/* Regularised incomplete beta function I_x(a, b) by its continued fraction (modified Lentz), which
 * converges fast for x < (a + 1) / (a + b + 2); the symmetry covers the rest. */
static double incomplete_beta(double a, double b, double x) {
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;
    if (x > (a + 1) / (a + b + 2))
        return 1 - incomplete_beta(b, a, 1 - x);
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a;
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double fraction = d;
    for (int m = 1; m <= 500; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double change = 1;
        for (int half = 0; half < 2; half++) {
            double term = half ? odd : even;
            d = 1 + term * d;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = 1 + term / c;
            c = fabs(c) < tiny ? tiny : c;
            change = c * d;
            fraction *= change;
        }
        if (fabs(change - 1) < 1e-15)
            break;
    }
    return front * fraction;
}

/* Near 0 it integrates from the middle outwards, further away from the tail inwards. So it never
 * subtracts a small number from one near ½. */
static double student_cumulative(double t, double freedom) {
    double total = freedom + t * t;
    if (t * t < freedom)
        return 0.5 + copysign(0.5 * incomplete_beta(0.5, freedom / 2, t * t / total), t);
    double tail = 0.5 * incomplete_beta(freedom / 2, 0.5, freedom / total);
    return t > 0 ? 1 - tail : tail;
}

static double student_density(double t, double freedom) {
    double scale = lgamma((freedom + 1) / 2) - lgamma(freedom / 2) - 0.5 * log(M_PI * freedom);
    return exp(scale - (freedom + 1) / 2 * log1p(t * t / freedom));
}

typedef double Distribution(double x, double parameter);

/* The x at which a cumulative distribution, symmetric about 0, reaches `probability`. Newton's
 * method on its logarithm, which is nearly straight in the tail, within a bracket that is halved if
 * a step would leave it. */
static double invert(Distribution *cumulative, Distribution *density, double parameter,
                     double probability) {
    RG_ASSERT(probability > 0 && probability < 1);
    if (probability > 0.5) /* the lower tail keeps its digits, the upper one rounds to 1 */
        return -invert(cumulative, density, parameter, 1 - probability);
    double low = -1, high = 0;
    while (cumulative(low, parameter) > probability)
        low *= 2;
    double x = 0.5 * (low + high);
    for (int i = 0; i < 200; i++) {
        double reached = cumulative(x, parameter), before = x;
        if (reached < probability)
            low = x;
        else
            high = x;
        x -= log(reached / probability) * reached / density(x, parameter);
        if (!(x > low && x < high))
            x = 0.5 * (low + high);
        if (fabs(x - before) <= 1e-15 * fabs(x) || x == low || x == high)
            break;
    }
    return x;
}

double rg_normal_quantile(double probability) {
    return invert(normal_cumulative, normal_density, 0, probability);
}

double rg_student_quantile(double probability, double degrees_of_freedom) {
    return invert(student_cumulative, student_density, degrees_of_freedom, probability);
}

RgInterval rg_wilson_interval(double successes, double trials, double confidence) {
    if (!(trials > 0))
        return (RgInterval){NAN, NAN};
    double z = rg_normal_quantile(0.5 + confidence / 2);
    double p = successes / trials, shrink = 1 + z * z / trials;
    double center = (p + z * z / (2 * trials)) / shrink;
    double half = z / shrink * sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials));
    return (RgInterval){fmax(0, center - half), fmin(1, center + half)};
}
