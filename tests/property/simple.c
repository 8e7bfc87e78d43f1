/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "simple.h"

#include "base/slab.h"

#include <stdio.h>

struct service_block {
    struct service service;
    struct service_port port;
    struct address cluster_ip;
    char name[16];
};

struct slice_block {
    struct slice slice;
    struct slice_port port;
    uint32_t names[1];
    char name[16];
    struct endpoint endpoints[];
};

static struct service *make_service(const char *name, const struct address *cluster_ip,
                                    uint32_t affinity_seconds)
{
    struct service_block *block = slab_zalloc(sizeof(*block));
    snprintf(block->name, sizeof(block->name), "%s", name);
    block->cluster_ip = *cluster_ip;
    block->port = (struct service_port){.name = "", .target_port = "", .port = 80, .protocol = PROTOCOL_TCP};
    block->service = (struct service){.namespace_ = "ns",
                                      .name = block->name,
                                      .is_proxied = true,
                                      .distribution = "",
                                      .affinity_seconds = affinity_seconds,
                                      .port_count = 1,
                                      .cluster_ip_count = 1,
                                      .ports = &block->port,
                                      .cluster_ips = &block->cluster_ip};
    return &block->service;
}

static struct slice *make_slice(const char *name, const struct address *endpoints, unsigned count)
{
    struct slice_block *block = slab_zalloc(sizeof(*block) + count * sizeof(struct endpoint));
    snprintf(block->name, sizeof(block->name), "%s", name);
    block->port = (struct slice_port){.name = "", .port = 8080, .protocol = PROTOCOL_TCP};
    for (unsigned i = 0; i < count; i++)
        block->endpoints[i] =
            (struct endpoint){.address = endpoints[i], .flags = ENDPOINT_READY | ENDPOINT_SERVING};
    block->slice = (struct slice){.namespace_ = "ns",
                                  .name = block->name,
                                  .service = block->name,
                                  .family = count ? address_family(&endpoints[0]) : FAMILY_IPV4,
                                  .port_count = 1,
                                  .endpoint_count = count,
                                  .ports = &block->port,
                                  .endpoints = block->endpoints,
                                  .names = block->names,
                                  .strings = ""};
    return &block->slice;
}

void simple_put(struct store *store, const char *name, const struct address *cluster_ip,
                uint32_t affinity_seconds, const struct address *endpoints, unsigned count)
{
    store_service_put(store, make_service(name, cluster_ip, affinity_seconds));
    store_slice_put(store, make_slice(name, endpoints, count));
}

void simple_remove(struct store *store, const char *name)
{
    store_service_remove(store, "ns", name);
    store_slice_remove(store, "ns", name);
}
