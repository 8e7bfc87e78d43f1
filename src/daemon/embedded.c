/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/embedded.h"

#include "apiserver/bootstrap.h"
#include "apiserver/services.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/kubeconfig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define PATH_MAX_HERE 4096

static int64_t now_seconds(void *context)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

static uint64_t random_number(void *context)
{
    uint64_t number;
    while (getrandom(&number, sizeof(number), 0) != sizeof(number))
        ;
    return number;
}

static const char *path_in(const struct options *options, const char *name, char path[PATH_MAX_HERE])
{
    snprintf(path, PATH_MAX_HERE, "%s/%s", options->data_dir, name);
    return path;
}

static int make_folder(const char *path, struct err *err)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_set(err, errno, "cannot make the data folder %s: %s", path, strerror(errno));
    return 0;
}

/* --- the registry and what is given out --- */

static void on_report(void *context, const char *sentence)
{
    log_warning("%s", sentence);
}

static int adopt_services(struct embedded *embedded, struct err *err)
{
    const struct registry_query query = {.kind = API_SERVICE};
    const struct registry_object **list;
    size_t count, remaining;
    struct arena arena;
    int code = registry_list(embedded->registry, &query, 0, &list, &count, &remaining);
    if (code < 0)
        return err_set(err, -code, "the registry cannot be listed");
    arena_init(&arena);
    for (size_t i = 0; i < count; i++) {
        struct err why;
        const Core__Service *service = (const Core__Service *)registry_decode(list[i], &arena);
        if (services_adopt(service, embedded->allocator, &why) < 0)
            log_warning("Service %s/%s: %s", list[i]->namespace_, list[i]->name, why.text);
        arena_reset(&arena);
    }
    arena_done(&arena);
    registry_list_free(list, count);
    return 0;
}

/* The objects that every cluster has, written where they are missing or out of date. */
static int write_bootstrap(struct embedded *embedded, const struct options *options, struct err *err)
{
    struct arena arena;
    arena_init(&arena);
    const struct bootstrap_config config = {
        .allocator = allocator_config(embedded->allocator),
        .api_address = options->api_address_count ? options->api[0].address : (struct address){{0}},
        .api_port = embedded->server ? apiserver_port(embedded->server) : 6443,
        .now = now_seconds(NULL),
        .random = random_number,
        .report = on_report,
    };
    int code = bootstrap_write(embedded->registry, embedded->allocator, &config, &arena, err);
    arena_done(&arena);
    return code;
}

/* --- news --- */

static void on_registry_news(void *context)
{
    struct embedded *embedded = context;
    uv_async_send(&embedded->news);
}

/* The watchers first, because they only copy; then the walk. */
static void on_news(uv_async_t *async)
{
    struct embedded *embedded = async->data;
    if (embedded->server)
        apiserver_news(embedded->server);
    if (embedded->applier)
        applier_pull(embedded->applier);
    if (embedded->source)
        registry_source_pull(embedded->source);
}

/* --- opening --- */

static int open_registry(struct embedded *embedded, const struct options *options, struct err *err)
{
    char path[PATH_MAX_HERE];
    const struct registry_options registry_options = {.path = path_in(options, "registry.db", path)};
    struct allocator_config config = {.range_count = options->service_range_count,
                                      .node_port_first = options->node_port_first,
                                      .node_port_last = options->node_port_last};
    memcpy(config.ranges, options->service_ranges, sizeof(config.ranges));
    int code = allocator_config_check(&config, err);
    if (code == 0)
        code = make_folder(options->data_dir, err);
    if (code == 0)
        code = registry_open(&embedded->registry, &registry_options, err);
    if (code < 0)
        return code;
    embedded->allocator = allocator_new(&config);
    embedded->world =
        (struct world){embedded->registry, embedded->allocator, now_seconds, random_number, NULL};
    return adopt_services(embedded, err);
}

/* Names and addresses that a client may call the server by. */
static int prepare_pki(struct embedded *embedded, const struct options *options, struct err *err)
{
    static const char *const names[] = {"localhost",
                                        "kubernetes",
                                        "kubernetes.default",
                                        "kubernetes.default.svc",
                                        "kubernetes.default.svc.cluster.local",
                                        NULL};
    struct address addresses[API_ADDRESSES_MAX + 2 + FAMILY_COUNT];
    size_t count = 0;
    char path[PATH_MAX_HERE];
    for (uint32_t i = 0; i < options->api_address_count; i++)
        if (!address_is_unspecified(&options->api[i].address))
            addresses[count++] = options->api[i].address;
    address_parse("127.0.0.1", &addresses[count++], NULL);
    address_parse("::1", &addresses[count++], NULL);
    for (uint32_t i = 0; i < options->service_range_count; i++)
        addresses[count++] = bootstrap_first_address(&options->service_ranges[i]);
    return pki_prepare(path_in(options, "pki", path), addresses, count, names, &embedded->pki, err);
}

static int open_server(struct embedded *embedded, const struct options *options, struct err *err)
{
    char tokens[PATH_MAX_HERE], kubeconfig[PATH_MAX_HERE];
    if (options->api_address_count == 0)
        return 0;
    int code = prepare_pki(embedded, options, err);
    if (code < 0)
        return code;
    const struct apiserver_config config = {
        .world = &embedded->world,
        .addresses = options->api,
        .address_count = options->api_address_count,
        .certificate_pem = options->is_api_plain ? NULL : embedded->pki.server_certificate,
        .key_pem = embedded->pki.server_key,
        .client_ca_pem = embedded->pki.ca_certificate,
        .tokens_path = path_in(options, "tokens.csv", tokens),
        .report = on_report,
    };
    code = apiserver_open(&embedded->server, embedded->loop, &config, err);
    if (code < 0)
        return code;
    struct socket_address at = options->api[0];
    at.port = apiserver_port(embedded->server);
    return kubeconfig_write_admin(path_in(options, "admin.kubeconfig", kubeconfig), options->data_dir, &at,
                                  options->is_api_plain, &embedded->pki, err);
}

static int open_source(struct embedded *embedded, const struct source_sink *sink, struct err *err)
{
    static const enum api_kind kinds[] = {API_NODE, API_SERVICE_CIDR, API_SERVICE, API_ENDPOINT_SLICE};
    embedded->sink = *sink;
    return registry_source_open(&embedded->source, embedded->registry, kinds, ARRAY_LEN(kinds),
                                &embedded->sink, err);
}

int embedded_open(struct embedded *embedded, uv_loop_t *loop, const struct options *options,
                  const struct source_sink *sink, struct err *err)
{
    embedded->loop = loop;
    int code = open_registry(embedded, options, err);
    if (code == 0)
        code = open_server(embedded, options, err);
    if (code == 0)
        code = write_bootstrap(embedded, options, err);
    if (code == 0)
        code = open_source(embedded, sink, err);
    if (code < 0)
        return code;
    uv_async_init(loop, &embedded->news, on_news);
    embedded->news.data = embedded;
    embedded->has_news_handle = true;
    registry_on_news(embedded->registry, on_registry_news, embedded);
    uv_async_send(&embedded->news);
    return 0;
}

struct source_sink embedded_begin_listing(struct embedded *embedded)
{
    embedded->applier = applier_new(&embedded->world, embedded->sink.complain, embedded->sink.context);
    registry_begin(embedded->registry);
    return applier_sink(embedded->applier);
}

int embedded_finish_listing(struct embedded *embedded, struct err *err)
{
    int code = registry_commit(embedded->registry, err);
    if (code < 0)
        return code;
    applier_finish_listing(embedded->applier);
    registry_source_pull(embedded->source);
    return 0;
}

void embedded_close(struct embedded *embedded)
{
    apiserver_close(embedded->server);
    registry_source_close(embedded->source);
    applier_free(embedded->applier);
    if (embedded->has_news_handle)
        uv_close((uv_handle_t *)&embedded->news, NULL);
    pki_done(&embedded->pki);
}

/* Connections that end late still read from the world. */
void embedded_done(struct embedded *embedded)
{
    allocator_free(embedded->allocator);
    registry_close(embedded->registry);
}
