/* SPDX-License-Identifier: MIT */
/* Lets emulated programs start emulated programs. check-arm64.sh loads this into them, by
 * LD_PRELOAD.
 *
 * QEMU hands execve to the kernel, which cannot run a file of another architecture. Criterion runs
 * each test in a process that starts its own file, so here such a file is started by the emulator.
 * EMULATOR, SYSROOT and LIBRARY (this file, compiled) are paths, CPU is the emulated processor. */
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Programs of the machine itself inherit the environment, and could not load this. */
static __attribute__((constructor)) void hide(void) {
    unsetenv("LD_PRELOAD");
}

static bool needs_emulator(const char *path) {
    Elf64_Ehdr header;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    ssize_t size = read(file, &header, sizeof header);
    close(file);
    return size == (ssize_t)sizeof header && memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
           header.e_machine == EM_AARCH64;
}

int execve(const char *path, char *const arguments[], char *const environment[]) {
    static char emulator[] = EMULATOR, preload[] = "LD_PRELOAD=" LIBRARY;
    char file[PATH_MAX] = "";
    /* The emulator answers with the file that it runs. */
    if (strcmp(path, "/proc/self/exe") != 0 || readlink(path, file, sizeof file - 1) < 0)
        snprintf(file, sizeof file, "%s", path);
    if (!needs_emulator(file))
        return (int)syscall(SYS_execve, path, arguments, environment);
    size_t count = 0;
    while (arguments[count])
        count++;
    char *words[] = {emulator, "-L", SYSROOT, "-cpu", CPU, "-E", preload, "-0", arguments[0], file};
    char *all[sizeof words / sizeof *words + count];
    memcpy(all, words, sizeof words);
    memcpy(all + sizeof words / sizeof *words, arguments + 1, count * sizeof *all); /* and NULL */
    return (int)syscall(SYS_execve, emulator, all, environment);
}

int execv(const char *path, char *const arguments[]) {
    return execve(path, arguments, environ);
}
