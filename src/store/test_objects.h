/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* For tests alone: a store filled from YAML by the same way as the daemon's, so that no test rests on a
 * struct that decoding, defaulting and validation would never make. */
#include "api/documents.h"
#include "store/convert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Documents for test_put; each ends itself, so that they can stand one after the other. The second argument
 * is the inside of the spec, or of the endpoints' list. */
#define TEST_SERVICE(name, spec)                                                                             \
    "apiVersion: v1\nkind: Service\nmetadata: {name: " name "}\nspec: {" spec "}\n---\n"
#define TEST_SLICE(name, service, type, ports, endpoints)                                                    \
    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " name                           \
    ", labels: {kubernetes.io/service-name: " service "}}\naddressType: " type "\nports: [" ports            \
    "]\nendpoints: [" endpoints "]\n---\n"
#define TEST_NODE(name, labels, spec, addresses)                                                             \
    "apiVersion: v1\nkind: Node\nmetadata: {name: " name ", labels: {" labels "}}\nspec: {" spec             \
    "}\nstatus: {addresses: [" addresses "]}\n---\n"
#define TEST_SERVICE_CIDR(name, cidrs)                                                                       \
    "apiVersion: networking.k8s.io/v1\nkind: ServiceCIDR\nmetadata: {name: " name "}\nspec: {cidrs: [" cidrs \
    "]}\n---\n"

static inline void test_put_document(void *store, const struct document *document)
{
    if (!document->object)
        fail_msg("line %d: %s %s is refused: %s", document->line, document->kind ? document->kind : "?",
                 document->name ? document->name : "?",
                 document->refusal ? document->refusal : "unused kind");
    store_put(store, document->object);
}

/* Every document has to be one that the daemon would take. */
static inline void test_put(struct store *store, const char *yaml)
{
    struct err err;
    if (documents_read("test", yaml, strlen(yaml), test_put_document, store, &err) < 0)
        fail_msg("%s\n%s", err.text, yaml);
}

static inline struct store *test_store(const char *yaml)
{
    struct store *store = store_new();
    test_put(store, yaml);
    return store;
}

/* The record of a Service in the namespace default, which has to be there. */
static inline struct service_record *test_record(const struct store *store, const char *name)
{
    struct service_record *record = store_service_find(store, "default", name);
    if (!record)
        fail_msg("the store has no record default/%s", name);
    return record;
}
