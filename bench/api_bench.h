/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api_client.h"
#include "base/arena.h"

/* The commands of bench-api. Each prints lines of JSON and returns 0 or -errno with a sentence. */

struct api_bench {
    struct api_server server;
    const char *log, *ready;   /* start: its output; the path that answers 200 once it is ready */
    const char *path, *accept; /* list; of send the path is that of its file */
    const char *address, *authority, *certificate, *key;
    unsigned services, connections, watchers, writes, space_ms, times, timeout_s, limit;
    char **command; /* start */
};

/* Starts the program and times it to its first answer and, where it programs the kernel, to its last commit.
 * Prints a line then, stays as the parent, and prints a second when the program has ended. */
int api_start(const struct api_bench *bench, struct err *err);
/* Creates the namespace, the services and a slice for each, over parallel connections. */
int api_load(const struct api_bench *bench, struct err *err);
/* Opens the watches and prints a line; at a line from stdin it makes the writes and prints their figures; at
 * the next one, or its end, it closes. */
int api_watch(const struct api_bench *bench, struct err *err);
/* Lists a path so many times, each on its own connection; with a limit in pages of one. */
int api_list(const struct api_bench *bench, struct err *err);
/* Sends the requests of a file, METHOD PATH BODY a line, over parallel connections: line N goes over
 * connection N modulo their number. */
int api_send(const struct api_bench *bench, struct err *err);

/* Times of many samples, in nanoseconds; add in one thread. */
struct series {
    int64_t *values;
    size_t count, capacity;
};
void series_add(struct series *series, int64_t value_ns);
void series_done(struct series *series);
/* Appends "name": {"count": .., "p50_ns": .., "p90_ns": .., "p99_ns": .., "max_ns": ..}; sorts. An empty one
 * is null. */
void series_print(const char *name, struct series *series, struct text *ret);
