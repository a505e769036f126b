/* SPDX-License-Identifier: MIT */
/* Shared by the loading of an experiment and the reading of its trials. Private to query.c and
 * query_values.c. */
#ifndef RG_ANALYSIS_STORE_QUERY_PARTS_H
#define RG_ANALYSIS_STORE_QUERY_PARTS_H

#include "analysis/store/query.h"

struct RgReadFailure {
    RgStatus status; /* the first failure, or RG_OK */
    RgError error;   /* its message */
    bool reported;
};

#endif
