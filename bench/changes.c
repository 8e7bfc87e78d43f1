/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Makes the changes of a plan one by one, in the folder that the daemon watches or at an API server, times
 * each from before rename(), unlink() or PUT, and from their end, to the commit that the kernel shows, and
 * then proves by connections that it is in force. Without commits (--watch none) it is connections alone that
 * tell: the change is in force with the first one at a new endpoint after which none is answered otherwise.
 * Prints one line of JSON per change. */
#include "answer.h"
#include "api_client.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel.h"
#include "plan.h"
#include "process.h"
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define MS 1000000LL
/* TCP sends a lost SYN again after a second: what is not answered before was lost, or the pods had no CPU. */
#define ANSWER_LIMIT_MS 900
/* One endpoint of twelve stays unseen in 400 connections once in 10^15 plans. */
#define PROBES_MAX 400

struct prober {
    const char *node_ns, *client_ns, *plan;
    enum watch_mode mode;
    pid_t pid;
    int64_t settle_ns, limit_ns; /* quiet time after a change, and how long it may take */
    int64_t blind_ns;            /* from the change to the first look; 0: look at once */
    unsigned pause_us;
    struct watch watch;
    /* Of the API server; NULL: none. The three are paths of PEM files. */
    const char *api_ns, *address, *authority, *certificate, *key;
    struct api_server server;
    struct client client;
};

/* All times are CLOCK_MONOTONIC. late: the first commit after the change did not bring it into force, so
 * commit_ns is that of a later one. met_ns: a connection was answered by the endpoint that must answer, or,
 * where none must, by one that may. */
struct sample {
    uint32_t generation, commits;
    int64_t begin_ns, changed_ns, commit_ns, first_answer_ns, met_ns, cpu_ns, waited_ns;
    unsigned probes, lost;
    int lost_code; /* errno of the last one lost */
    bool late;
};

static int option_take(struct prober *prober, int letter, char *value)
{
    const char **texts[] = {
        ['n'] = &prober->node_ns, ['c'] = &prober->client_ns, ['a'] = &prober->api_ns,
        ['A'] = &prober->address, ['R'] = &prober->authority, ['C'] = &prober->certificate,
        ['K'] = &prober->key};

    if (letter < (int)ARRAY_LEN(texts) && texts[letter]) {
        *texts[letter] = value;
        return 0;
    }
    switch (letter) {
    case 'w':
        prober->mode = text_equal(value, "event")  ? WATCH_EVENT
                       : text_equal(value, "none") ? WATCH_NONE
                                                   : WATCH_POLL;
        return 0;
    case 's':
        prober->settle_ns = strtol(value, NULL, 10) * MS;
        return 0;
    case 'p':
        prober->pid = (pid_t)strtol(value, NULL, 10);
        return 0;
    case 'l':
        prober->limit_ns = strtol(value, NULL, 10) * MS;
        return 0;
    case 'b':
        prober->blind_ns = strtol(value, NULL, 10) * MS;
        return 0;
    case 'u':
        prober->pause_us = (unsigned)strtoul(value, NULL, 10);
        return 0;
    default:
        return -EINVAL;
    }
}

static int options_parse(int argc, char **argv, struct prober *prober)
{
    static const struct option longs[] = {
        {"node-ns", required_argument, NULL, 'n'},   {"client-ns", required_argument, NULL, 'c'},
        {"watch", required_argument, NULL, 'w'},     {"settle-ms", required_argument, NULL, 's'},
        {"pid", required_argument, NULL, 'p'},       {"limit-ms", required_argument, NULL, 'l'},
        {"blind-ms", required_argument, NULL, 'b'},  {"pause-us", required_argument, NULL, 'u'},
        {"api-ns", required_argument, NULL, 'a'},    {"address", required_argument, NULL, 'A'},
        {"authority", required_argument, NULL, 'R'}, {"certificate", required_argument, NULL, 'C'},
        {"key", required_argument, NULL, 'K'},       {0}};
    int letter;

    while ((letter = getopt_long(argc, argv, "", longs, NULL)) != -1)
        if (option_take(prober, letter, optarg) < 0)
            return -EINVAL;
    prober->plan = argv[optind];
    bool has_server = prober->address && prober->authority && prober->certificate && prober->key;
    bool is_whole = prober->node_ns && prober->client_ns && prober->pid > 0 && optind + 1 == argc;
    return is_whole && (!prober->api_ns || has_server) ? 0 : -EINVAL;
}

static int64_t waited_so_far(const struct prober *prober)
{
    return process_waited_ns(prober->pid) + process_waited_ns(getpid());
}

/* Connects until the step is proven. -EAGAIN with the reason when it is not in force. */
static int step_prove(const struct plan_step *step, struct sample *sample, struct err *why)
{
    struct plan_seen seen = {0};
    struct in_addr endpoint;
    bool had_must = false;

    do {
        int result = answer_check(&step->at, ANSWER_LIMIT_MS, &endpoint);

        sample->probes++;
        if (!step->allowed_count)
            return result < 0 ? 0 : err_set(why, EAGAIN, "still answered");
        if (result < 0) {
            sample->lost++;
            sample->lost_code = -result;
            return err_set(why, EAGAIN, "no answer: %s", strerror(-result));
        }
        if (plan_judge(step, &seen, endpoint, why) < 0)
            return -EAGAIN;
        if (seen.probes == 1)
            sample->first_answer_ns = clock_now();
        if (seen.probes == 1 || (seen.has_must && !had_must))
            sample->met_ns = clock_now();
        had_must = seen.has_must;
        if (plan_is_satisfied(step, &seen))
            return 0;
    } while (seen.probes < PROBES_MAX);
    return err_set(why, EAGAIN, "%u connections have not met %s", seen.probes,
                   step->spread == PLAN_MANY ? "a second endpoint" : "the new endpoint");
}

static int put(struct prober *prober, const struct plan_step *step, const struct text *body, struct err *err)
{
    const struct client_request request = {"PUT", step->to, "application/json", "application/json", body};

    return prober->api_ns ? client_ask(&prober->client, &request, 200, err)
                          : err_set(err, EINVAL, "put needs an API server: --api-ns");
}

static int change_make(struct prober *prober, const struct plan_step *step, const struct text *body,
                       struct err *err)
{
    if (step->op == PLAN_PUT)
        return put(prober, step, body, err);
    int result = step->op == PLAN_RENAME ? rename(step->from, step->to) : unlink(step->to);

    return result < 0 ? err_set(err, errno, "%s: %s", step->to, strerror(errno)) : 0;
}

/* By connections alone. */
static int force_await(struct prober *prober, const struct plan_step *step, struct sample *sample,
                       struct err *err)
{
    int64_t limit_ns = sample->changed_ns + prober->limit_ns;
    struct err why;

    while (step_prove(step, sample, &why) < 0) {
        sample->late = true;
        if (clock_now() > limit_ns)
            return err_set(err, ETIMEDOUT, "not in force after %lld s: %s (%u connections)",
                           (long long)(prober->limit_ns / MS / 1000), why.text, sample->probes);
        usleep(prober->pause_us);
    }
    sample->commit_ns = step->allowed_count ? sample->met_ns : clock_now();
    return 0;
}

static int commit_await(struct prober *prober, const struct plan_step *step, int64_t waited_ns,
                        struct sample *sample, struct err *err)
{
    struct err why = {"no commit was seen"};
    int64_t limit_ns = sample->changed_ns + prober->limit_ns, until_ns = limit_ns;
    uint32_t last = sample->generation;

    while (clock_now() < limit_ns) {
        int result = watch_wait(&prober->watch, last, until_ns, &sample->generation, &sample->commit_ns, err);

        if (result < 0 && result != -ETIMEDOUT)
            return result;
        if (result == 0) {
            sample->waited_ns = waited_so_far(prober) - waited_ns;
            sample->commits += sample->generation - last;
            last = sample->generation;
        } else {
            sample->commit_ns = clock_now();
        }
        if (sample->commits && step_prove(step, sample, &why) == 0)
            return 0;
        sample->late = true;
        until_ns = clock_now() + MS;
    }
    return err_set(err, ETIMEDOUT, "not in force after %lld s: %s (%u commits seen, %u connections)",
                   (long long)(prober->limit_ns / MS / 1000), why.text, sample->commits, sample->probes);
}

/* Waits out the commits that follow (slots removed later, for one), so that none is taken for the next
 * change's. */
static int settle(struct prober *prober, struct sample *sample, struct err *err)
{
    int64_t start_ns = clock_now(), quiet_since_ns = start_ns;

    while (clock_now() - quiet_since_ns < prober->settle_ns) {
        uint32_t generation;
        int result;

        usleep(500);
        result = watch_read(&prober->watch, &generation, err);
        if (result < 0)
            return result;
        if (generation == sample->generation)
            continue;
        sample->commits += generation - sample->generation;
        sample->generation = generation;
        quiet_since_ns = clock_now();
        if (quiet_since_ns - start_ns > prober->limit_ns)
            return err_set(err, EBUSY, "the daemon goes on committing %lld ms after the change",
                           (long long)(prober->limit_ns / MS));
    }
    return 0;
}

static int64_t cpu_so_far(const struct prober *prober)
{
    return process_cpu_ns(prober->pid) + process_children_cpu_ns(prober->pid);
}

static int body_read(const char *path, struct text *ret, struct err *err)
{
    char piece[4096];
    size_t len;
    FILE *file = fopen(path, "re");

    if (!file)
        return err_set(err, errno, "%s: %s", path, strerror(errno));
    while ((len = fread(piece, 1, sizeof(piece), file)) > 0)
        text_add_bytes(ret, piece, len);
    fclose(file);
    return 0;
}

/* Somebody else makes the change: it may come at any time, with any number of commits. */
static int await(struct prober *prober, const struct plan_step *step, struct sample *sample, struct err *err)
{
    struct err why;

    sample->begin_ns = sample->changed_ns = clock_now();
    while (step_prove(step, sample, &why) < 0) {
        sample->lost = 0;
        if (clock_now() > sample->begin_ns + prober->limit_ns)
            return err_set(err, ETIMEDOUT, "not in force after %lld s: %s",
                           (long long)(prober->limit_ns / MS / 1000), why.text);
        usleep(1000);
    }
    sample->commit_ns = clock_now();
    return 0;
}

static int step_run(struct prober *prober, const struct plan_step *step, struct sample *sample,
                    struct err *err)
{
    cleanup_with(text_done) struct text body = {0};
    int64_t cpu_ns = cpu_so_far(prober), waited_ns = waited_so_far(prober);
    int result = watch_read(&prober->watch, &sample->generation, err);

    if (result < 0)
        return result;
    if (step->op == PLAN_CHECK)
        return step_prove(step, sample, err);
    if (step->op == PLAN_AWAIT)
        return await(prober, step, sample, err);
    if (step->op == PLAN_PUT && (result = body_read(step->from, &body, err)) < 0)
        return result;
    sample->begin_ns = clock_now();
    result = change_make(prober, step, &body, err);
    sample->changed_ns = clock_now();
    if (prober->blind_ns) {
        usleep((useconds_t)(prober->blind_ns / 1000));
        sample->cpu_ns = cpu_so_far(prober) - cpu_ns;
    }
    if (result >= 0)
        result = prober->mode == WATCH_NONE || prober->blind_ns
                     ? force_await(prober, step, sample, err)
                     : commit_await(prober, step, waited_ns, sample, err);
    if (result >= 0)
        result = settle(prober, sample, err);
    if (result >= 0 && process_cpu_ns(prober->pid) < 0)
        result = err_set(err, ECHILD, "the daemon is gone");
    if (!prober->blind_ns)
        sample->cpu_ns = cpu_so_far(prober) - cpu_ns;
    return result;
}

static void sample_print(const struct plan_step *step, const struct sample *sample)
{
    printf("{\"kind\": \"%s\", \"begin_ns\": %lld, \"call_ns\": %lld, \"commit_ns\": %lld, "
           "\"first_packet_ns\": %lld, "
           "\"cpu_ns\": %lld, "
           "\"waited_ns\": %lld, \"commits\": %u, \"late\": %s, \"probes\": %u, \"lost\": %u, \"lost_how\": "
           "\"%s\"}\n",
           step->kind, (long long)sample->begin_ns, (long long)(sample->changed_ns - sample->begin_ns),
           (long long)(sample->commit_ns - sample->begin_ns),
           (long long)(sample->first_answer_ns ? sample->first_answer_ns - sample->begin_ns : -1),
           (long long)sample->cpu_ns, (long long)sample->waited_ns, sample->commits,
           sample->late ? "true" : "false", sample->probes, sample->lost,
           sample->lost ? strerror(sample->lost_code) : "");
}

/* Its connection is made in its own namespace. */
static int api_open(struct prober *prober, struct err *err)
{
    if (!prober->api_ns)
        return 0;
    int result = api_server_init(&prober->server, prober->address, prober->authority, prober->certificate,
                                 prober->key, err);

    if (result >= 0)
        result = netns_enter(prober->api_ns, err);
    return result < 0 ? result : client_open(&prober->client, &prober->server, err);
}

static int run(struct prober *prober, struct err *err)
{
    cleanup_with(arena_done) struct arena arena = {0};
    struct plan_step *steps;
    size_t count = 0;
    int result = plan_read(prober->plan, &arena, &steps, &count, err);

    if (result >= 0)
        result = api_open(prober, err);
    if (result >= 0)
        result = netns_enter(prober->node_ns, err);
    if (result >= 0)
        result = watch_open(&prober->watch, prober->mode, err);
    prober->watch.pause_us = prober->pause_us;
    if (result >= 0)
        result = netns_enter(prober->client_ns, err);
    if (result >= 0 && prober->mode == WATCH_POLL && !prober->pause_us)
        result = process_part_cpus(prober->pid, err);
    for (size_t i = 0; result >= 0 && i < count; i++) {
        struct sample sample = {0};

        result = step_run(prober, &steps[i], &sample, err);
        if (result < 0)
            err_prefix(err, result, "change %zu (%s)", i + 1, steps[i].kind);
        else if (steps[i].op != PLAN_CHECK)
            sample_print(&steps[i], &sample);
    }
    watch_done(&prober->watch);
    client_close(&prober->client);
    api_server_done(&prober->server);
    process_join_cpus(prober->pid);
    return result;
}

int main(int argc, char **argv)
{
    static struct prober prober = {.mode = WATCH_POLL, .settle_ns = 40 * MS, .limit_ns = 5000 * MS};
    struct err err;

    if (options_parse(argc, argv, &prober) < 0) {
        fprintf(stderr,
                "usage: bench-changes --node-ns PATH --client-ns PATH --pid PID [--watch poll|event|none] "
                "[--pause-us N] [--settle-ms N] [--limit-ms N] [--blind-ms N]\n    [--api-ns PATH --address "
                "IP:PORT "
                "--authority PEM --certificate PEM --key PEM] PLAN\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (run(&prober, &err) < 0) {
        fflush(stdout);
        log_error("%s", err.text);
        return 1;
    }
    return 0;
}
