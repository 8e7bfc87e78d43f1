/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "apiserver/apiserver.h"
#include "apiserver/auth.h"
#include "apiserver/collect.h"
#include "apiserver/mirrors.h"
#include "apiserver/present.h"
#include "apiserver/watch.h"
#include "sys/http.h"

/* What the files of the request's way share: apiserver.c, documents.c. */

#define ADDRESSES_MAX 8

struct apiserver {
    const struct world *world;
    struct http_server *servers[ADDRESSES_MAX];
    size_t server_count;
    struct watches *watches;
    struct collector *collector;
    struct mirrors *mirrors;
    struct tokens *tokens;
    struct apiserver_counters counters;
    char address[SOCKET_ADDRESS_TEXT_MAX];
};

/* One request on its way. */
struct exchange {
    struct apiserver *server;
    const struct http_request *http;
    struct http_response *response;
    struct arena arena;
    struct user user;
    struct target target;
    struct query query;
    struct accepted accepted;
    struct status status; /* code 0: not refused */
    struct outcome outcome;
};

/* A path that is no resource's, and that this user may not ask for: 403. */
void exchange_refuse_path(struct exchange *exchange);
/* Documents about the server and probes of it: the version and probes for all, the others for those who are
 * known. Returns whether the path is one of them; then the answer or the refusal stands in the exchange. */
bool exchange_answer_document(struct exchange *exchange);
