/* Rows of queries on the results store, as the files of this folder that ask it read them. */
#ifndef RG_ANALYSIS_ROWS_H
#define RG_ANALYSIS_ROWS_H

#include "core/results/store.h"

#include <sqlite3.h>

/* RG_E_STORE where SQLite refuses, as it does when the store is not what its version says. */
RgStatus rg_rows_select(RgStore *store, sqlite3_stmt **rows, const char *query, RgError *error);
/* The same of what SQLite refused last. */
RgStatus rg_rows_refused(RgStore *store, RgError *error);

char *rg_column_copy(sqlite3_stmt *row, int column); /* malloc'd; NULL of NULL */

#endif
