/* SPDX-License-Identifier: MIT */
/* Packed trials, and the archives that they come in. */
#include "core/checksum.h"
#include "core/files.h"
#include "experiments/program/package/archive.h"
#include "experiments/program/package/trial_package.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Stands in trial.json for the SHA-256 of config.json. */
static const char mark[] = "SHA256-OF-CONFIG";

/* trial.json with the sum in place of the mark, malloc'd. */
static char *with_sum(RgBytes record) {
    RgChecksum sum = {0};
    RgError error = {0};
    char *text = fuzz_text(record), *at = strstr(text, mark), *filled = NULL;
    if (at && rg_file_checksum("trial/config.json", &sum, &error) == RG_OK)
        filled =
            rg_string_format("%.*s%s%s", (int)(at - text), text, sum.sha256, at + strlen(mark));
    if (!filled)
        return text;
    free(text);
    return filled;
}

/* Parts: trial.json, config.json, a file that may be an input. */
static void run(const uint8_t *data, size_t size) {
    RgBytes parts[3];
    RgError error = {0};
    RgTrialPackage package;
    const RgTrialOpening nothing = {0};
    fuzz_split(data, size, parts, 3);
    mkdir("trial", 0777);
    fuzz_write("trial/config.json", parts[1]);
    fuzz_write("rewards.txt", parts[2]);
    char *record = with_sum(parts[0]);
    fuzz_write("trial/trial.json", (RgBytes){record, strlen(record)});
    free(record);
    if (!fuzz_good(rg_trial_package_open("trial", &nothing, &package, &error), &error, "trial"))
        return;
    RG_ASSERT(package.experiment->trial_count == 1);
    rg_trial_package_close(&package);
}

const FuzzTarget fuzz_package = {"package", run};

/* An archive is compressed, which hides it from who changes bytes: one that is not is read alike.
 */
static void run_archive(const uint8_t *data, size_t size) {
    RgError error = {0};
    fuzz_write("x.tar.zst", (RgBytes){data, size});
    if (size == 0)
        return;
    RG_ASSERT(mkdir("unpacked", 0777) == 0);
    fuzz_good(rg_archive_read("x.tar.zst", "unpacked", &error), &error, NULL);
    rg_folder_remove("unpacked");
}

const FuzzTarget fuzz_archive = {"archive", run_archive};
