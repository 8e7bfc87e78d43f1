/* SPDX-License-Identifier: GPL-2.0-or-later */
/* New connections, one after the other from one thread, to several targets in turn: each round visits every
 * target once, beginning with another each time, so that the machine's noise meets all of them. One line of
 * JSON per visit. */
#include "answer.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "kernel.h"
#include "process.h"
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#define SAMPLES_MAX (1U << 20)
#define ENDPOINTS_MAX 64
#define ANSWER_LIMIT_MS 2000

/* LABEL,CLIENT_NS,NODE_NS,ADDRESS:PORT,FIRST_ENDPOINT,COUNT: the endpoints follow each other. */
struct target {
    const char *label, *client_ns, *node_ns;
    struct sockaddr_in at;
    uint32_t first_endpoint;
    unsigned endpoint_count;
};

struct visit {
    int64_t *first_byte_ns, elapsed_ns;
    size_t count;
    uint64_t met; /* one bit per endpoint */
};

static int target_parse(char *text, struct target *ret_target, struct err *err)
{
    struct target target = {0};
    char *words[6], *save = NULL;
    struct in_addr first;
    int result;

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        words[i] = strtok_r(i ? NULL : text, ",", &save);
        if (!words[i])
            return err_set(err, EINVAL, "\"%s\" is not a target", text);
    }
    target.label = words[0];
    target.client_ns = words[1];
    target.node_ns = words[2];
    result = endpoint_parse(words[3], &target.at, err);
    if (result < 0)
        return result;
    target.endpoint_count = (unsigned)strtoul(words[5], NULL, 10);
    if (inet_pton(AF_INET, words[4], &first) != 1 || target.endpoint_count < 1 ||
        target.endpoint_count > ENDPOINTS_MAX)
        return err_set(err, EINVAL, "%s: its endpoints are not from 1 to %d", target.label, ENDPOINTS_MAX);
    target.first_endpoint = ntohl(first.s_addr);
    *ret_target = target;
    return 0;
}

static int visit_run(const struct target *target, int64_t length_ns, struct visit *visit, struct err *err)
{
    int64_t start_ns = clock_now();

    visit->count = 0;
    visit->met = 0;
    while (visit->count < SAMPLES_MAX && clock_now() - start_ns < length_ns) {
        struct in_addr endpoint;
        uint32_t slot;
        int result =
            answer_time(&target->at, ANSWER_LIMIT_MS, &endpoint, &visit->first_byte_ns[visit->count]);

        if (result < 0)
            return err_set(err, -result, "%s: connection %zu: %s", target->label, visit->count + 1,
                           strerror(-result));
        slot = ntohl(endpoint.s_addr) - target->first_endpoint;
        if (slot >= target->endpoint_count)
            return err_set(err, EPROTO, "%s: answered by %s, which is not its endpoint", target->label,
                           inet_ntoa(endpoint));
        visit->met |= 1ULL << slot;
        visit->count++;
    }
    visit->elapsed_ns = clock_now() - start_ns;
    if (visit->count > 100 * target->endpoint_count &&
        (unsigned)__builtin_popcountll(visit->met) != target->endpoint_count)
        return err_set(err, EPROTO, "%s: %zu connections have met only %d of %u endpoints", target->label,
                       visit->count, __builtin_popcountll(visit->met), target->endpoint_count);
    return 0;
}

static int compare_ns(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static void visit_print(const struct target *target, unsigned round, struct visit *visit)
{
    qsort(visit->first_byte_ns, visit->count, sizeof(*visit->first_byte_ns), compare_ns);
    printf(
        "{\"round\": %u, \"target\": \"%s\", \"connections\": %zu, \"per_second\": %.1f, \"p50_ns\": %lld, "
        "\"p99_ns\": %lld}\n",
        round, target->label, visit->count, (double)visit->count * 1e9 / (double)visit->elapsed_ns,
        (long long)visit->first_byte_ns[visit->count / 2],
        (long long)visit->first_byte_ns[visit->count * 99 / 100]);
    fflush(stdout);
}

static int target_visit(const struct target *target, unsigned round, int64_t length_ns, struct visit *visit,
                        struct err *err)
{
    int result = netns_enter(target->node_ns, err);

    /* A source port that comes back would meet the old connection's entry. */
    if (result >= 0)
        result = conntrack_flush(err);
    if (result >= 0)
        result = netns_enter(target->client_ns, err);
    if (result >= 0)
        result = visit_run(target, length_ns, visit, err);
    if (result >= 0 && visit->count)
        visit_print(target, round, visit);
    return result;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"rounds", required_argument, NULL, 'r'}, {"round-ms", required_argument, NULL, 'm'}, {0}};
    cleanup_with(arena_done) struct arena arena = {0};
    unsigned rounds = 5;
    int64_t length_ns = 1000000000;
    struct visit visit = {0};
    struct target *targets;
    int letter, count, result = 0;
    struct err err;

    while ((letter = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (letter == 'r')
            rounds = (unsigned)strtoul(optarg, NULL, 10);
        else if (letter == 'm')
            length_ns = strtol(optarg, NULL, 10) * 1000000;
        else
            return 2;
    }
    count = argc - optind;
    targets = arena_array(&arena, struct target, count);
    visit.first_byte_ns = arena_array(&arena, int64_t, SAMPLES_MAX);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; result >= 0 && i < count; i++)
        result = target_parse(argv[optind + i], &targets[i], &err);
    if (result >= 0)
        result = process_part_cpus(0, &err);
    for (unsigned round = 0; result >= 0 && round < rounds; round++)
        for (int i = 0; result >= 0 && i < count; i++)
            result = target_visit(&targets[(i + (int)round) % count], round, length_ns, &visit, &err);
    if (result < 0)
        log_error("%s", err.text);
    return result < 0 ? 1 : 0;
}
