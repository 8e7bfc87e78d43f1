/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One TCP stream at a time, from a client to a pod, through whatever is between them. "serve" reads each to
 * its end and answers with the number of bytes; "send" sends to several targets in turn for a while each,
 * ends its half, and counts up to the answer. One line of JSON per stream. */
#include "answer.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "kernel.h"
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#define PIECE (256 * 1024)
#define ANSWER_LIMIT_S 20

static char piece[PIECE];

struct target {
    const char *label;
    struct sockaddr_in at;
};

static void stream_take(int fd)
{
    uint64_t count = 0;
    ssize_t got;

    while ((got = recv(fd, piece, sizeof(piece), 0)) > 0)
        count += (uint64_t)got;
    count = htobe64(count);
    if (got < 0 || send(fd, &count, sizeof(count), MSG_NOSIGNAL) < 0)
        log_error("a stream broke: %s", strerror(errno));
}

static int serve(const char *port, struct err *err)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    cleanup_close int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (listener < 0 || bind(listener, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(listener, 16) < 0)
        return err_set(err, errno, "port %s: %s", port, strerror(errno));
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        cleanup_close int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0)
            stream_take(fd);
    }
}

/* Bytes that the far end says it has, all that were sent. */
static int stream_send(const struct target *target, int64_t length_ns, uint64_t *ret_bytes,
                       int64_t *ret_elapsed_ns, struct err *err)
{
    cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval limit = {.tv_sec = ANSWER_LIMIT_S};
    uint64_t sent = 0, answer = 0;
    int64_t begin_ns = clock_now();

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (fd < 0 || connect(fd, (const struct sockaddr *)&target->at, sizeof(target->at)) < 0)
        return err_set(err, errno, "%s: connecting: %s", target->label, strerror(errno));
    while (clock_now() - begin_ns < length_ns) {
        ssize_t put = send(fd, piece, sizeof(piece), MSG_NOSIGNAL);

        if (put < 0)
            return err_set(err, errno, "%s: sending: %s", target->label, strerror(errno));
        sent += (uint64_t)put;
    }
    shutdown(fd, SHUT_WR);
    if (recv(fd, &answer, sizeof(answer), MSG_WAITALL) != (ssize_t)sizeof(answer))
        return err_set(err, EPROTO, "%s: no answer after the end of %llu bytes", target->label,
                       (unsigned long long)sent);
    *ret_elapsed_ns = clock_now() - begin_ns;
    *ret_bytes = be64toh(answer);
    return *ret_bytes == sent ? 0
                              : err_set(err, EPROTO, "%s: %llu of %llu bytes have come", target->label,
                                        (unsigned long long)*ret_bytes, (unsigned long long)sent);
}

static int target_parse(char *text, struct target *ret, struct err *err)
{
    char *comma = strrchr(text, ',');

    if (!comma)
        return err_set(err, EINVAL, "\"%s\" is not LABEL,ADDRESS:PORT", text);
    *comma = '\0';
    ret->label = text;
    return endpoint_parse(comma + 1, &ret->at, err);
}

static int rounds_run(const struct target *targets, int count, unsigned rounds, int64_t length_ns,
                      struct err *err)
{
    for (unsigned round = 0; round < rounds; round++) {
        for (int i = 0; i < count; i++) {
            const struct target *target = &targets[(i + (int)round) % count];
            int64_t elapsed_ns = 0;
            uint64_t bytes = 0;
            int result = stream_send(target, length_ns, &bytes, &elapsed_ns, err);

            if (result < 0)
                return result;
            printf("{\"round\": %u, \"target\": \"%s\", \"bytes\": %llu, \"per_second\": %.0f}\n", round,
                   target->label, (unsigned long long)bytes, (double)bytes * 1e9 / (double)elapsed_ns);
        }
    }
    return 0;
}

static int send_all(int argc, char **argv, struct err *err)
{
    static const struct option longs[] = {{"client-ns", required_argument, NULL, 'c'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"round-ms", required_argument, NULL, 'm'},
                                          {0}};
    cleanup_with(arena_done) struct arena arena = {0};
    const char *client_ns = NULL;
    unsigned rounds = 5;
    int64_t length_ns = 1000000000;
    int letter, result = 0;

    while ((letter = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (letter == 'c')
            client_ns = optarg;
        else if (letter == 'r')
            rounds = (unsigned)strtoul(optarg, NULL, 10);
        else if (letter == 'm')
            length_ns = strtol(optarg, NULL, 10) * 1000000;
        else
            return err_set(err, EINVAL, "send takes --client-ns, --rounds and --round-ms");
    }
    int count = argc - optind;
    struct target *targets = arena_array(&arena, struct target, count);

    for (int i = 0; result >= 0 && i < count; i++)
        result = target_parse(argv[optind + i], &targets[i], err);
    if (result >= 0 && client_ns)
        result = netns_enter(client_ns, err);
    return result < 0 ? result : rounds_run(targets, count, rounds, length_ns, err);
}

int main(int argc, char **argv)
{
    struct err err;
    int result;

    if (argc < 3 || (strcmp(argv[1], "serve") != 0 && strcmp(argv[1], "send") != 0)) {
        fprintf(stderr, "usage: bench-stream serve PORT\n"
                        "       bench-stream send [--client-ns PATH] [--rounds N] [--round-ms N] "
                        "LABEL,ADDRESS:PORT...\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    result = strcmp(argv[1], "serve") == 0 ? serve(argv[2], &err) : send_all(argc - 1, argv + 1, &err);
    if (result < 0)
        log_error("%s", err.text);
    return result < 0 ? 1 : 0;
}
