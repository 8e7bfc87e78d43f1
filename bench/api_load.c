/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "answer.h"
#include "api_bench.h"
#include "api_objects.h"
#include "base/cleanup.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CORE "/api/v1/namespaces"
#define SERVICES CORE "/" OBJECT_NAMESPACE "/services"
#define SLICES "/apis/discovery.k8s.io/v1/namespaces/" OBJECT_NAMESPACE "/endpointslices"

enum what { WHAT_SERVICE, WHAT_SLICE };

/* What the threads of one run share. */
struct load {
    const struct api_bench *bench;
    enum what what;
    atomic_uint next;
    atomic_bool has_failed;
};

struct loader {
    struct load *load;
    pthread_t thread;
    struct client client;
    struct series times;
    int code;
    struct err err;
};

static int create(struct loader *loader, unsigned number, struct text *body)
{
    const char *path = loader->load->what == WHAT_SERVICE ? SERVICES : SLICES;
    struct client_request request = {"POST", path, "application/json", "application/json", body};
    int64_t begin_ns = clock_now();

    body->len = 0;
    if (loader->load->what == WHAT_SERVICE)
        object_service(number, body);
    else
        object_slice(number, 0, body);
    int code = client_ask(&loader->client, &request, 201, &loader->err);
    series_add(&loader->times, clock_now() - begin_ns);
    return code;
}

static void *loader_run(void *context)
{
    struct loader *loader = context;
    struct load *load = loader->load;
    cleanup_with(text_done) struct text body = {0};
    unsigned number;

    loader->code = client_open(&loader->client, &load->bench->server, &loader->err);
    while (loader->code == 0 && !load->has_failed && (number = load->next++) < load->bench->services)
        loader->code = create(loader, number, &body);
    if (loader->code < 0)
        load->has_failed = true;
    client_close(&loader->client);
    return NULL;
}

static int load_run(const struct api_bench *bench, enum what what, const char *name, struct text *ret,
                    struct err *err)
{
    struct load load = {.bench = bench, .what = what};
    cleanup_free struct loader *loaders = xcalloc(bench->connections, sizeof(*loaders));
    struct series all = {0};
    int64_t begin_ns = clock_now();
    int code = 0;

    for (unsigned i = 0; i < bench->connections; i++) {
        loaders[i].load = &load;
        pthread_create(&loaders[i].thread, NULL, loader_run, &loaders[i]);
    }
    for (unsigned i = 0; i < bench->connections; i++) {
        struct loader *loader = &loaders[i];

        pthread_join(loader->thread, NULL);
        for (size_t at = 0; at < loader->times.count; at++)
            series_add(&all, loader->times.values[at]);
        series_done(&loader->times);
        if (loader->code < 0 && code == 0) {
            code = loader->code;
            *err = loader->err;
        }
    }
    double seconds = (double)(clock_now() - begin_ns) / 1e9;
    text_printf(ret, "\"%s\": {\"seconds\": %.3f, \"per_second\": %.1f, ", name, seconds,
                bench->services / seconds);
    series_print("each", &all, ret);
    text_add(ret, "}");
    series_done(&all);
    return code;
}

static int create_namespace(const struct api_bench *bench, struct err *err)
{
    cleanup_free struct client *client = xcalloc(1, sizeof(*client));
    cleanup_with(text_done) struct text body = {0};
    struct client_request request = {"POST", CORE, "application/json", "application/json", &body};

    object_namespace(&body);
    int code = client_open(client, &bench->server, err);
    if (code == 0)
        code = client_ask(client, &request, 201, err);
    client_close(client);
    return code;
}

int api_load(const struct api_bench *bench, struct err *err)
{
    cleanup_with(text_done) struct text line = {0};
    int code = create_namespace(bench, err);

    text_printf(&line, "{\"connections\": %u, ", bench->connections);
    if (code == 0)
        code = load_run(bench, WHAT_SERVICE, "services", &line, err);
    text_add(&line, ", ");
    if (code == 0)
        code = load_run(bench, WHAT_SLICE, "slices", &line, err);
    if (code == 0)
        printf("%s}\n", text_str(&line));
    return code;
}
