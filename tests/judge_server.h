/* SPDX-License-Identifier: MIT */
/* tests/judge-server.py as a child of a test, and its log. */
#ifndef RG_TESTS_JUDGE_SERVER_H
#define RG_TESTS_JUDGE_SERVER_H

#include "envs/judges/judge_endpoint.h"
#include "tests/scratch.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct JudgeServer {
    pid_t pid;
    char port[16];
    char url[64];
    const char *log;
} JudgeServer;

/* On `port`, "0" for any; up to two more arguments. */
static inline JudgeServer server_start(const char *log, const char *port, const char *option,
                                       const char *value) {
    JudgeServer server = {.log = log};
    const char *source = getenv("RG_SOURCE_DIR");
    char script[512];
    snprintf(script, sizeof script, "%s/tests/judge-server.py", source ? source : "..");
    int out[2];
    cr_assert(pipe(out) == 0);
    server.pid = fork();
    if (server.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails ends at once */
        dup2(out[1], STDOUT_FILENO);
        execlp("python3", "python3", script, log, "--port", port, option, value, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    FILE *stream = fdopen(out[0], "r");
    cr_assert(stream && fgets(server.port, sizeof server.port, stream), "%s does not start",
              script);
    fclose(stream);
    server.port[strcspn(server.port, "\n")] = '\0';
    snprintf(server.url, sizeof server.url, "http://127.0.0.1:%s/v1/chat/completions", server.port);
    return server;
}

static inline void server_kill(JudgeServer *server) {
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
}

/* How many lines of the log, from line `first` on, are `line`; NULL: all of them. */
static inline int server_count(const JudgeServer *server, int first, const char *line) {
    char found[256];
    int count = 0;
    FILE *log = fopen(server->log, "r");
    for (int number = 0; log && fgets(found, sizeof found, log); number++) {
        found[strcspn(found, "\n")] = '\0';
        count += number >= first && (!line || strcmp(found, line) == 0);
    }
    if (log)
        fclose(log);
    return count;
}

/* How many queries it has answered. */
static inline int server_answered(const JudgeServer *server) {
    char found[256];
    int count = 0;
    FILE *log = fopen(server->log, "r");
    while (log && fgets(found, sizeof found, log))
        count += strncmp(found, "done ", 5) == 0;
    if (log)
        fclose(log);
    return count;
}

static inline RgEndpointOptions server_options(const JudgeServer *server) {
    return (RgEndpointOptions){.url = server->url,
                               .model = "scripted",
                               .key_variable = "",
                               .question = RG_ENDPOINT_QUERY,
                               .extra = "",
                               .max_tokens = 16,
                               .timeout = 30};
}

#endif
