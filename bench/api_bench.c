/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Measures a Kubernetes API server from outside: over TLS, and by /proc. */
#include "api_bench.h"
#include "base/cleanup.h"
#include "base/log.h"
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct command {
    const char *name;
    int (*run)(const struct api_bench *bench, struct err *err);
    bool is_before_server;
} commands[] = {{"start", api_start, true},
                {"load", api_load, false},
                {"watch", api_watch, false},
                {"list", api_list, false},
                {"send", api_send, false}};

static const struct field {
    const char *name;
    size_t offset;
    bool is_number;
} fields[] = {
#define WORD(name)                                                                                           \
    {                                                                                                        \
#name, offsetof(struct api_bench, name), false                                                       \
    }
#define NUMBER(name)                                                                                         \
    {                                                                                                        \
#name, offsetof(struct api_bench, name), true                                                        \
    }
    WORD(address),    WORD(authority),     WORD(certificate), WORD(key),
    WORD(log),        WORD(ready),         WORD(path),        WORD(accept),
    NUMBER(services), NUMBER(connections), NUMBER(watchers),  NUMBER(writes),
    NUMBER(space_ms), NUMBER(times),       NUMBER(timeout_s), NUMBER(limit),
};

/* Options are --NAME VALUE for every field. */
static int options_parse(int argc, char **argv, struct api_bench *bench)
{
    struct option longs[ARRAY_LEN(fields) + 1] = {0};
    int letter, index;

    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        longs[i] = (struct option){fields[i].name, required_argument, NULL, 1};
    while ((letter = getopt_long(argc, argv, "+", longs, &index)) == 1) {
        void *field = (char *)bench + fields[index].offset;

        if (fields[index].is_number)
            *(unsigned *)field = (unsigned)strtoul(optarg, NULL, 10);
        else
            *(const char **)field = optarg;
    }
    bench->command = argv + optind;
    return letter == -1 && bench->address && bench->authority && bench->certificate && bench->key ? 0
                                                                                                  : -EINVAL;
}

static int run(const struct command *command, struct api_bench *bench, struct err *err)
{
    int code = 0;

    if (!command->is_before_server)
        code = api_server_init(&bench->server, bench->address, bench->authority, bench->certificate,
                               bench->key, err);
    if (code == 0)
        code = command->run(bench, err);
    api_server_done(&bench->server);
    return code;
}

int main(int argc, char **argv)
{
    struct api_bench bench = {.services = 1000,
                              .connections = 8,
                              .watchers = 200,
                              .writes = 100,
                              .space_ms = 25,
                              .times = 1,
                              .timeout_s = 60,
                              .accept = "application/json",
                              .ready = "/readyz"};
    const struct command *command = NULL;
    struct err err;

    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < ARRAY_LEN(commands) && argc > 1; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            command = &commands[i];
    if (!command || options_parse(argc - 1, argv + 1, &bench) < 0) {
        fprintf(
            stderr,
            "usage: bench-api start|load|watch|list|send --address IP:PORT --authority PEM --certificate PEM "
            "--key PEM [--OPTION VALUE]... [COMMAND...]\n");
        return 2;
    }
    if (run(command, &bench, &err) < 0) {
        log_error("%s", err.text);
        return 1;
    }
    return 0;
}
