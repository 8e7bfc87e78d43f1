/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "answer.h"
#include "api_bench.h"
#include "base/cleanup.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Requests of a file: METHOD, PATH and a body in JSON, with one blank between them, a line each. */

struct line {
    const char *method, *path;
    struct text body; /* borrowed of the file */
};

/* What the threads of one run share. */
struct sending {
    const struct api_bench *bench;
    struct line *lines;
    size_t count;
    atomic_bool has_failed;
};

/* Has the lines of its number, and every so many further on: two changes of one object stay in their order
 * when they are so far apart. */
struct sender {
    struct sending *sending;
    size_t number;
    pthread_t thread;
    struct client client;
    struct series times;
    int code;
    struct err err;
};

static int file_read(const char *path, char **ret, struct err *err)
{
    FILE *file = fopen(path ? path : "", "re");
    struct stat status;

    if (!file)
        return err_set(err, errno, "%s: %s", path ? path : "--path", strerror(errno));
    size_t len = fstat(fileno(file), &status) == 0 ? (size_t)status.st_size : 0;
    *ret = xmalloc(len + 1);
    len = fread(*ret, 1, len, file);
    (*ret)[len] = '\0';
    fclose(file);
    return 0;
}

/* Cuts it up in place. */
static int lines_take(char *text, struct sending *sending, struct err *err)
{
    size_t room = 0;
    char *rest = text, *word;

    while ((word = strsep(&rest, "\n")) && *word) {
        if (sending->count == room)
            sending->lines =
                xrealloc(sending->lines, (room = room ? 2 * room : 1024) * sizeof(*sending->lines));
        struct line *line = &sending->lines[sending->count++];
        line->method = strsep(&word, " ");
        line->path = strsep(&word, " ");
        if (!line->path || !word)
            return err_set(err, EINVAL, "line %zu is not METHOD PATH BODY", sending->count);
        line->body = (struct text){.data = word, .len = strlen(word)};
    }
    return 0;
}

static int send_line(struct sender *sender, const struct line *line)
{
    const struct client_request request = {line->method, line->path, "application/json", "application/json",
                                           &line->body};
    unsigned wanted = strcmp(line->method, "POST") == 0 ? 201 : 200;
    int64_t begin_ns = clock_now();
    int code = client_ask(&sender->client, &request, wanted, &sender->err);

    series_add(&sender->times, clock_now() - begin_ns);
    return code;
}

static void *sender_run(void *context)
{
    struct sender *sender = context;
    struct sending *sending = sender->sending;

    sender->code = client_open(&sender->client, &sending->bench->server, &sender->err);
    for (size_t i = sender->number; i < sending->count && sender->code == 0 && !sending->has_failed;
         i += sending->bench->connections)
        sender->code = send_line(sender, &sending->lines[i]);
    if (sender->code < 0)
        sending->has_failed = true;
    client_close(&sender->client);
    return NULL;
}

static int send_all(struct sending *sending, struct text *ret, struct err *err)
{
    unsigned connections = sending->bench->connections;
    cleanup_free struct sender *senders = xcalloc(connections, sizeof(*senders));
    struct series all = {0};
    int64_t begin_ns = clock_now();
    int code = 0;

    for (unsigned i = 0; i < connections; i++) {
        senders[i].sending = sending;
        senders[i].number = i;
        pthread_create(&senders[i].thread, NULL, sender_run, &senders[i]);
    }
    for (unsigned i = 0; i < connections; i++) {
        pthread_join(senders[i].thread, NULL);
        for (size_t at = 0; at < senders[i].times.count; at++)
            series_add(&all, senders[i].times.values[at]);
        series_done(&senders[i].times);
        if (senders[i].code < 0 && code == 0) {
            code = senders[i].code;
            *err = senders[i].err;
        }
    }
    int64_t end_ns = clock_now();
    text_printf(ret, "{\"requests\": %zu, \"begin_ns\": %lld, \"end_ns\": %lld, ", sending->count,
                (long long)begin_ns, (long long)end_ns);
    series_print("each", &all, ret);
    text_add(ret, "}");
    series_done(&all);
    return code;
}

int api_send(const struct api_bench *bench, struct err *err)
{
    struct sending sending = {.bench = bench};
    cleanup_free char *text = NULL;
    cleanup_with(text_done) struct text line = {0};
    int code = file_read(bench->path, &text, err);

    if (code == 0)
        code = lines_take(text, &sending, err);
    if (code == 0)
        code = send_all(&sending, &line, err);
    if (code == 0)
        printf("%s\n", text_str(&line));
    free(sending.lines);
    return code;
}
