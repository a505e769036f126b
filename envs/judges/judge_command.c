/* SPDX-License-Identifier: MIT */
/* A client that communicates with a child process over pipes. */
#include "envs/judges/judge_command.h"

#include "core/utf8.h"
#include "envs/judges/judge_external.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LONGEST_LINE = 16 << 20, EXCERPT = 200 };
/* Starts without any answer after which the command is taken not to work at all. */
enum { MOST_FAILED_STARTS = 3 };
/* Bytes of standard error that are kept for its last line. */
enum { KEPT = 1024 };
/* More than a pipe holds. What escapes the end of its process group may write for ever. */
enum { MOST_LAST_READS = 1024 };
static const double patience = 1; /* seconds for the child to exit after the end of its input */

typedef struct Command {
    RgJudgeClient client;
    char *command;
    double timeout;
    bool scores;
    pid_t child; /* 0: none */
    int to, from, errors;
    RgBuffer out;         /* not yet written */
    RgBuffer in;          /* the start of a line */
    RgBuffer said;        /* the end of its standard error */
    bool answered;        /* it has ever replied to a request */
    int failed_starts;    /* before that */
    double last;          /* clock of the last line, or of the first query after silence */
    int64_t *request_ids; /* [count] open requests */
    int64_t count, capacity;
    /* After the child is gone: the outcome of all open requests. */
    RgReplyKind fate; /* RG_REPLY_ANSWER: the child is not gone */
    char *why;
} Command;

static char *request(const RgJudgeClient *client, const RgJudgeQuery *query) {
    (void)client;
    const char *texts[] = {query->prompt, query->a, query->b};
    int count = query->b ? 3 : 2;
    RgBuffer valid[3] = {{0}, {0}, {0}};
    for (int k = 0; k < count; k++) {
        rg_utf8_repair(texts[k], strlen(texts[k]), &valid[k]);
        rg_buffer_append(&valid[k], "", 1);
    }
    json_t *json =
        query->b ? json_pack("{s:s, s:s, s:s}", "prompt", valid[0].bytes, "a", valid[1].bytes, "b",
                             valid[2].bytes)
                 : json_pack("{s:s, s:s}", "prompt", valid[0].bytes, "response", valid[1].bytes);
    RG_ASSERT(json);
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(json);
    for (int k = 0; k < 3; k++)
        rg_buffer_release(&valid[k]);
    return text;
}

/* ---- the child ---- */

/* posix_spawn of /bin/sh, in its own process group: the child's own processes are terminated with
 * it, and Ctrl-C at the terminal does not reach it. */
static int spawn(Command *c, const int in[2], const int out[2], const int errors[2]) {
    char *arguments[] = {"sh", "-c", c->command, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t usual;
    sigemptyset(&usual);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in[0], 0);
    posix_spawn_file_actions_adddup2(&files, out[1], 1);
    posix_spawn_file_actions_adddup2(&files, errors[1], 2);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &usual);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    int code = posix_spawn(&c->child, "/bin/sh", &files, &attributes, arguments, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return code;
}

static void start_child(Command *c) {
    int in[2] = {-1, -1}, out[2] = {-1, -1}, errors[2] = {-1, -1};
    bool piped =
        pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(errors, O_CLOEXEC) == 0;
    int code = piped ? spawn(c, in, out, errors) : errno;
    close(in[0]);
    close(out[1]);
    close(errors[1]);
    c->to = in[1];
    c->from = out[0];
    c->errors = errors[0];
    c->said.size = 0;
    if (code == 0) {
        fcntl(c->to, F_SETFL, O_NONBLOCK);
        fcntl(c->from, F_SETFL, O_NONBLOCK);
        fcntl(c->errors, F_SETFL, O_NONBLOCK);
        return;
    }
    close(c->to);
    close(c->from);
    close(c->errors);
    c->child = 0;
    c->fate = RG_REPLY_UNREACHED;
    c->why = rg_string_format("cannot be started: %s", strerror(code));
}

/* Pass on what the child has written to its standard error, and keep the end of it. False: nothing
 * is there for now. */
static bool pass_errors_on(Command *c) {
    char bytes[KEPT];
    ssize_t size = read(c->errors, bytes, sizeof bytes);
    if (size <= 0)
        return false;
    for (ssize_t done = 0, more; done < size; done += more)
        if ((more = write(STDERR_FILENO, bytes + done, (size_t)(size - done))) <= 0)
            break; /* nobody reads it */
    rg_buffer_append(&c->said, bytes, (size_t)size);
    if (c->said.size > KEPT) {
        memmove(c->said.bytes, c->said.bytes + c->said.size - KEPT, KEPT);
        c->said.size = KEPT;
    }
    return true;
}

/* "; its last line on standard error is: …", malloc'd; empty if it wrote none. */
static char *last_words(const Command *c) {
    size_t end = c->said.size;
    while (end > 0 && strchr(" \t\r\n", c->said.bytes[end - 1]))
        end--;
    size_t begin = end;
    while (begin > 0 && !strchr("\r\n", c->said.bytes[begin - 1]))
        begin--;
    if (end == begin)
        return rg_string_copy("");
    RgBuffer line = {0};
    rg_utf8_repair(c->said.bytes + begin, end - begin < EXCERPT ? end - begin : EXCERPT, &line);
    rg_buffer_append(&line, "", 1);
    char *words = rg_string_format("; its last line on standard error is: %s", line.bytes);
    rg_buffer_release(&line);
    return words;
}

/* Terminate the child, at once or after time to exit by itself. Returns its exit status as in
 * wait(2). */
static int end_child(Command *c, bool at_once) {
    int status = 0;
    if (c->child == 0)
        return 0;
    close(c->to);
    close(c->from);
    pid_t ended = 0;
    for (double end = rg_clock_seconds() + patience; !at_once && rg_clock_seconds() < end;) {
        while (pass_errors_on(c) && rg_clock_seconds() < end)
            ; /* it might be waiting for room to write */
        ended = waitpid(c->child, &status, WNOHANG);
        if (ended != 0)
            break;
        poll(NULL, 0, 5);
    }
    kill(-c->child, SIGKILL); /* its own processes, too */
    if (ended == 0)
        waitpid(c->child, &status, 0);
    for (int i = 0; i < MOST_LAST_READS && pass_errors_on(c); i++)
        ;
    close(c->errors);
    c->child = 0;
    c->in.size = c->out.size = 0;
    return status;
}

/* All open requests fail for this reason, with what the child said of it. */
static void give_fate(Command *c, RgReplyKind fate, char *why) {
    char *words = last_words(c);
    c->fate = fate;
    c->why = rg_string_format("%s%s", why, words);
    c->failed_starts += !c->answered;
    free(words);
    free(why);
}

/* The child is unusable. */
static void lose_child(Command *c, RgReplyKind fate, char *why) {
    end_child(c, true);
    give_fate(c, fate, why);
}

/* By POSIX the shell exits with these where it finds no program, or cannot run it. Then it will not
 * the next time. */
enum { CANNOT_RUN = 126, NOT_FOUND = 127 };

static void child_ended(Command *c) {
    int status = end_child(c, false);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    if (code == CANNOT_RUN || code == NOT_FOUND) {
        give_fate(c, RG_REPLY_FORBIDDEN,
                  rg_string_format("ended with exit status %d: the shell %s a program of the "
                                   "command",
                                   code, code == NOT_FOUND ? "does not find" : "cannot run"));
        return;
    }
    give_fate(c, RG_REPLY_LOST,
              WIFSIGNALED(status) ? rg_string_format("was ended by signal %d (%s)",
                                                     WTERMSIG(status), strsignal(WTERMSIG(status)))
                                  : rg_string_format("ended with exit status %d before it answered",
                                                     WEXITSTATUS(status)));
}

/* ---- queries ---- */

static void start(RgJudgeClient *client, int64_t request_id, const char *text) {
    Command *c = (Command *)client;
    if (c->count == c->capacity) {
        c->capacity = 2 * c->capacity + 8;
        c->request_ids = rg_reallocate(c->request_ids, (size_t)c->capacity, sizeof *c->request_ids);
    }
    c->request_ids[c->count++] = request_id;
    if (c->fate != RG_REPLY_ANSWER)
        return; /* it fails with the other open requests */
    if (c->child == 0)
        start_child(c);
    if (c->count == 1)
        c->last = rg_clock_seconds();
    char *line = rg_string_format("{\"id\":%lld,%s\n", (long long)request_id, text + 1);
    rg_buffer_append(&c->out, line, strlen(line));
    free(line);
}

static void forget(Command *c, int64_t at) {
    c->request_ids[at] = c->request_ids[--c->count];
}

/* A write to a child that has exited must not end the program. */
static ssize_t write_quietly(int to, const char *bytes, size_t size) {
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    sigaction(SIGPIPE, &ignore, &before);
    ssize_t written = write(to, bytes, size);
    int code = errno;
    sigaction(SIGPIPE, &before, NULL);
    errno = code;
    return written;
}

static void write_some(Command *c) {
    ssize_t written = write_quietly(c->to, c->out.bytes, c->out.size);
    if (written > 0) {
        memmove(c->out.bytes, c->out.bytes + written, c->out.size - (size_t)written);
        c->out.size -= (size_t)written;
    } else if (written < 0 && errno != EAGAIN && errno != EINTR) {
        c->out.size = 0; /* the child no longer reads; earlier answers may still arrive */
    }
}

static void read_some(Command *c) {
    char bytes[65536];
    ssize_t size = read(c->from, bytes, sizeof bytes);
    if (size > 0)
        rg_buffer_append(&c->in, bytes, (size_t)size);
    else if (size == 0 || (errno != EAGAIN && errno != EINTR))
        child_ended(c);
    if (c->in.size > LONGEST_LINE)
        lose_child(c, RG_REPLY_UNREADABLE, rg_string_copy("wrote a line of more than 16 MiB"));
}

/* ---- replies ---- */

/* The answer in a line, malloc'd; NULL if there is none. A score is the text of its number. */
static char *answer_in(const Command *c, const json_t *json) {
    const json_t *answer = json_object_get(json, c->scores ? "score" : "answer");
    if (json_is_string(answer))
        return rg_string_copy(json_string_value(answer));
    return c->scores && json_is_number(answer) ? json_dumps(answer, JSON_ENCODE_ANY) : NULL;
}

/* Programs write these words for numbers that JSON does not have. They would again. */
static bool has_non_number(const Command *c, const char *line) {
    return c->scores && (strstr(line, "NaN") || strstr(line, "Infinity"));
}

static void refuse_line(Command *c, const char *line, size_t size, bool is_json) {
    bool number = !is_json && has_non_number(c, line);
    RgBuffer shown = {0};
    rg_utf8_repair(line, size < EXCERPT ? size : EXCERPT, &shown);
    rg_buffer_append(&shown, "", 1);
    lose_child(
        c, number ? RG_REPLY_FORBIDDEN : RG_REPLY_UNREADABLE,
        rg_string_format("wrote %s, expected {\"id\": …, \"%s\": …} with %sthe id of an open "
                         "request",
                         shown.bytes, c->scores ? "score" : "answer",
                         number ? "a finite number and " : ""));
    rg_buffer_release(&shown);
}

/* {"id": …, "answer": …} or {"id": …, "score": …} of an open request. `line` [size] is followed by
 * NUL. */
static bool read_line(Command *c, const char *line, size_t size, RgReply *reply) {
    json_t *json = json_loadb(line, size, 0, NULL);
    char *answer = answer_in(c, json);
    const char *trouble = json_string_value(json_object_get(json, "error"));
    json_int_t id = json_integer_value(json_object_get(json, "id"));
    bool good = json_is_integer(json_object_get(json, "id")) && (answer || trouble);
    int64_t at = 0;
    while (good && at < c->count && c->request_ids[at] != id)
        at++;
    good = good && at < c->count;
    if (good) {
        forget(c, at);
        c->answered = true;
        *reply = (RgReply){.request_id = id,
                           .kind = answer ? RG_REPLY_ANSWER : RG_REPLY_ERROR,
                           .reached = true,
                           .text = answer ? answer : rg_string_format("says: %.200s", trouble)};
    } else {
        free(answer);
        refuse_line(c, line, size, json != NULL);
    }
    json_decref(json);
    return good;
}

/* The next complete line, if there is one. */
static bool next_line(Command *c, RgReply *reply) {
    const char *end = c->in.size > 0 ? memchr(c->in.bytes, '\n', c->in.size) : NULL;
    if (!end)
        return false;
    size_t size = (size_t)(end - c->in.bytes);
    char *line = rg_allocate(size + 1, 1);
    memcpy(line, c->in.bytes, size);
    memmove(c->in.bytes, end + 1, c->in.size - size - 1);
    c->in.size -= size + 1;
    c->last = rg_clock_seconds();
    bool good = size == 0 ? false : read_line(c, line, size, reply);
    free(line);
    return good;
}

/* One of the requests that were open when the child was lost. */
static bool next_lost(Command *c, RgReply *reply) {
    if (c->fate == RG_REPLY_ANSWER || c->count == 0)
        return false;
    *reply = (RgReply){.request_id = c->request_ids[0],
                       .kind = c->fate,
                       .reached = c->fate != RG_REPLY_UNREACHED && c->fate != RG_REPLY_FORBIDDEN,
                       .final = !c->answered && c->failed_starts >= MOST_FAILED_STARTS,
                       .text = rg_string_copy(c->why)};
    forget(c, 0);
    if (c->count == 0) {
        free(c->why);
        c->why = NULL;
        c->fate = RG_REPLY_ANSWER;
    }
    return true;
}

/* Wait until something can be read or written. */
static void wait_for_child(Command *c, double seconds) {
    struct pollfd watched[3] = {{c->from, POLLIN, 0}, {c->errors, POLLIN, 0}, {c->to, POLLOUT, 0}};
    bool there = c->child != 0 && c->fate == RG_REPLY_ANSWER;
    nfds_t count = !there ? 0 : c->out.size > 0 ? 3 : 2;
    if (poll(watched, count, (int)ceil(1000 * fmax(0, seconds))) <= 0)
        return;
    if (watched[1].revents && !pass_errors_on(c) && (watched[1].revents & POLLHUP)) {
        close(c->errors); /* it has closed it, and lives on */
        c->errors = -1;
    }
    if (watched[0].revents)
        read_some(c);
    if (c->child != 0 && count == 3 && watched[2].revents)
        write_some(c);
}

static bool wait_reply(RgJudgeClient *client, double seconds, RgReply *reply) {
    Command *c = (Command *)client;
    double end = rg_clock_seconds() + seconds;
    while (true) {
        while (c->in.size > 0 && memchr(c->in.bytes, '\n', c->in.size))
            if (next_line(c, reply))
                return true;
        if (next_lost(c, reply))
            return true;
        double now = rg_clock_seconds();
        if (now >= end)
            return false;
        if (c->count > 0 && now - c->last >= c->timeout) {
            lose_child(c, RG_REPLY_TIMEOUT,
                       rg_string_format("was silent for %g seconds", c->timeout));
            continue;
        }
        double silence = c->count > 0 ? c->last + c->timeout - now : INFINITY;
        wait_for_child(c, fmin(end - now, silence));
    }
}

/* ---- life ---- */

static void abandon(RgJudgeClient *client) {
    Command *c = (Command *)client;
    if (c->count > 0)
        end_child(c, true); /* else its late answers would be matched with later requests */
    c->count = 0;
    c->fate = RG_REPLY_ANSWER;
    free(c->why);
    c->why = NULL;
}

static void destroy(RgJudgeClient *client) {
    Command *c = (Command *)client;
    abandon(client);
    end_child(c, false);
    rg_buffer_release(&c->in);
    rg_buffer_release(&c->out);
    rg_buffer_release(&c->said);
    free(c->request_ids);
    free(c->command);
    free(c->client.name);
    free(c);
}

RgStatus rg_command_judge_create(const RgCommandOptions *options, RgJudgeClient **client,
                                 RgError *error) {
    *client = NULL;
    if (!options->command[0])
        return rg_fail(error, RG_E_USAGE, "command: expected a line for the shell, found none");
    Command *c = rg_allocate(1, sizeof *c);
    *c = (Command){.client = {.name = rg_string_format("command %s", options->command),
                              .request = request,
                              .start = start,
                              .wait = wait_reply,
                              .abandon = abandon,
                              .destroy = destroy},
                   .command = rg_string_copy(options->command),
                   .timeout = options->timeout,
                   .scores = options->scores};
    *client = &c->client;
    return RG_OK;
}

/* ---- the judge ---- */

typedef struct Options {
    RgCommandOptions command;
    RgExternalOptions external;
} Options;

static const RgOption options_table[] = {
    {.name = "command",
     .kind = RG_KIND_STRING,
     .offset = offsetof(Options, command.command),
     .act = RG_ACT_COMMAND,
     .help = "shell command that starts the judge: it reads {\"id\", \"prompt\", \"a\", \"b\"} and "
             "writes {\"id\", \"answer\"}, one JSON object per line; with answer = \"score\" it "
             "reads {\"id\", \"prompt\", \"response\"} and writes {\"id\", \"score\"}"},
    {.name = "timeout",
     .kind = RG_KIND_REAL,
     .offset = offsetof(Options, command.timeout),
     .fallback = "60",
     .low = 0.001,
     .high = 86400,
     .help = "longest silence in seconds while requests are open",
     .execution_only = true},
    RG_OPTION_INCLUDE(Options, external, rg_external_options),
    RG_OPTION_END,
};

static RgStatus create_judge(RgJudge *judge, const void *options, const RgJudgeShare *share,
                             RgRandom random, RgError *error) {
    const Options *o = options;
    RgJudgeClient *client;
    (void)share;
    (void)random;
    RgCommandOptions command = o->command;
    command.scores = rg_external_scores(&o->external);
    RgStatus status = rg_command_judge_create(&command, &client, error);
    if (status == RG_OK)
        status = rg_external_judge_create(judge, client, &o->external, error);
    return status;
}

static bool gives_rewards(const void *options) {
    return rg_external_scores(&((const Options *)options)->external);
}

const RgJudgeType rg_judge_command = {
    .about = {.name = "command",
              .summary = "A program that compares two responses by JSON lines, queried in both "
                         "orders, or scores one; answers are kept in the results store",
              .options = options_table,
              .options_size = sizeof(Options)},
    .create = create_judge,
    .rewards = rg_external_judge_rewards,
    .compare = rg_external_judge_compare,
    .gives_rewards = gives_rewards,
    .destroy = rg_external_judge_destroy,
    .use_answers = rg_external_judge_use_answers,
    .take_counts = rg_external_judge_take_counts,
};
