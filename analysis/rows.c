/* Asking SQLite, and saying what it refused. */
#include "analysis/rows.h"

RgStatus rg_rows_refused(RgStore *store, RgError *error) {
    return rg_fail(error, RG_E_STORE, "%s: cannot query the results store: %s",
                   rg_store_path(store), sqlite3_errmsg(rg_store_database(store)));
}

RgStatus rg_rows_select(RgStore *store, sqlite3_stmt **rows, const char *query, RgError *error) {
    if (sqlite3_prepare_v2(rg_store_database(store), query, -1, rows, NULL) == SQLITE_OK)
        return RG_OK;
    return rg_rows_refused(store, error);
}

char *rg_column_copy(sqlite3_stmt *row, int column) {
    return rg_string_copy((const char *)sqlite3_column_text(row, column));
}
