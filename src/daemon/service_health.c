/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/service_health.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "sys/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* An entry exists for every want; its servers are all there or, after a failure, none is. */
struct entry {
    UT_hash_handle hh;
    char *key;
    struct service_health *owner;
    char *namespace, *name;
    uint16_t port;
    unsigned local_endpoints;
    struct address *addresses;
    struct http_server **servers;
    size_t count;
    bool is_wanted, is_open, was_reported;
};

struct service_health {
    uv_loop_t *loop;
    service_health_is_healthy_fn *is_healthy;
    service_health_report_fn *report;
    void *context;
    struct entry *entries;
};

struct service_health *service_health_new(uv_loop_t *loop, service_health_is_healthy_fn *is_healthy,
                                          service_health_report_fn *report, void *context)
{
    struct service_health *services = xcalloc(1, sizeof(*services));
    services->loop = loop;
    services->is_healthy = is_healthy;
    services->report = report;
    services->context = context;
    return services;
}

/* Any path and any method are answered alike. */
static void on_request(void *context, const struct http_request *request, struct http_response *response)
{
    const struct entry *entry = context;
    char weight[16];
    bool is_proxy_healthy = entry->owner->is_healthy(entry->owner->context);
    bool is_good = is_proxy_healthy && entry->local_endpoints > 0;
    http_response_set(response, is_good ? 200 : 503, "application/json", "");
    snprintf(weight, sizeof(weight), "%u", entry->local_endpoints);
    http_response_add_header(response, "X-Load-Balancing-Endpoint-Weight", weight);
    text_printf(&response->body,
                "{\n"
                "\t\"service\": {\n"
                "\t\t\"namespace\": \"%s\",\n"
                "\t\t\"name\": \"%s\"\n"
                "\t},\n"
                "\t\"localEndpoints\": %u,\n"
                "\t\"serviceProxyHealthy\": %s\n"
                "}",
                entry->namespace, entry->name, entry->local_endpoints, is_proxy_healthy ? "true" : "false");
}

static void entry_shut(struct entry *entry)
{
    for (size_t i = 0; i < entry->count; i++)
        http_server_close(steal_pointer(&entry->servers[i]));
    entry->is_open = false;
}

static void entry_delete(struct entry *entry)
{
    entry_shut(entry);
    HASH_DEL(entry->owner->entries, entry);
    free(entry->key);
    free(entry->namespace);
    free(entry->name);
    free(entry->addresses);
    free(entry->servers);
    free(entry);
}

static void key_add(const struct service_health_want *want, struct text *key)
{
    text_printf(key, "%s/%s/%s", want->namespace, want->name, family_name(want->family));
}

static struct entry *entry_get(struct service_health *services, const struct service_health_want *want)
{
    struct text key = {0};
    struct entry *entry;
    key_add(want, &key);
    HASH_FIND(hh, services->entries, key.data, key.len, entry);
    text_done(&key);
    return entry;
}

static struct entry *entry_add(struct service_health *services, const struct service_health_want *want)
{
    struct text key = {0};
    struct entry *entry = xcalloc(1, sizeof(*entry));
    key_add(want, &key);
    size_t key_len = key.len;
    entry->key = key.data;
    entry->owner = services;
    entry->namespace = xstrdup(want->namespace);
    entry->name = xstrdup(want->name);
    entry->port = want->port;
    entry->count = want->address_count;
    entry->addresses = xcalloc(want->address_count, sizeof(*entry->addresses));
    entry->servers = xcalloc(want->address_count, sizeof(struct http_server *));
    if (want->address_count > 0)
        memcpy(entry->addresses, want->addresses, want->address_count * sizeof(*entry->addresses));
    HASH_ADD_KEYPTR(hh, services->entries, entry->key, key_len, entry);
    return entry;
}

static bool listens_as(const struct entry *entry, const struct service_health_want *want)
{
    if (entry->port != want->port || entry->count != want->address_count)
        return false;
    return want->address_count == 0 ||
           memcmp(entry->addresses, want->addresses, entry->count * sizeof(*entry->addresses)) == 0;
}

static void entry_open(struct entry *entry, const struct service_health_want *want)
{
    struct service_health *services = entry->owner;
    struct err err;
    int code = 0;
    for (size_t i = 0; i < entry->count && code == 0; i++) {
        struct socket_address address = {.address = entry->addresses[i], .port = entry->port};
        code = http_server_open(&entry->servers[i], services->loop, &address, on_request, entry, &err);
    }
    entry->is_open = code == 0;
    if (entry->is_open) {
        entry->was_reported = false;
        return;
    }
    entry_shut(entry);
    err_prefix(&err, code, "failed to start healthcheck \"%s/%s\" on port %u", entry->namespace, entry->name,
               entry->port);
    if (!entry->was_reported)
        services->report(services->context, want, err.text);
    entry->was_reported = true;
}

void service_health_sync(struct service_health *services, const struct service_health_want *wants,
                         size_t count)
{
    struct entry *entry, *next;
    HASH_ITER (hh, services->entries, entry, next)
        entry->is_wanted = false;
    for (size_t i = 0; i < count; i++) {
        entry = entry_get(services, &wants[i]);
        if (entry)
            entry->is_wanted = listens_as(entry, &wants[i]);
    }
    /* All closing comes before any opening: a port may move from one Service to another. */
    HASH_ITER (hh, services->entries, entry, next)
        if (!entry->is_wanted)
            entry_delete(entry);
    for (size_t i = 0; i < count; i++) {
        entry = entry_get(services, &wants[i]);
        if (!entry)
            entry = entry_add(services, &wants[i]);
        entry->local_endpoints = wants[i].local_endpoints;
        if (!entry->is_open)
            entry_open(entry, &wants[i]);
    }
}

void service_health_free(struct service_health *services)
{
    if (!services)
        return;
    service_health_sync(services, NULL, 0);
    free(services);
}
