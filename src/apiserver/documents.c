/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/exchange.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* /healthz, /livez, /readyz: who gets an answer has met all that could be wrong, the loop and the registry.
 */
static bool answer_probe(struct exchange *exchange)
{
    static const char *const probes[] = {"healthz", "livez", "readyz"};
    const char *name = exchange->http->path + 1;
    for (size_t i = 0; i < sizeof(probes) / sizeof(*probes); i++) {
        if (strcmp(name, probes[i]) != 0)
            continue;
        http_response_set(exchange->response, 200, "text/plain; charset=utf-8", "ok");
        if (strstr(exchange->http->query, "verbose")) {
            text_done(&exchange->response->body);
            text_printf(&exchange->response->body, "[+]ping ok\n[+]registry ok\n%s check passed\n",
                        probes[i]);
        }
        return true;
    }
    return false;
}

/* kubectl asks for these before it says that it does not know a kind; there are none. */
static bool answer_definitions(struct exchange *exchange)
{
    if (strcmp(exchange->http->path, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions") != 0)
        return false;
    exchange->response->content_type = media_type(MEDIA_JSON, false);
    text_printf(&exchange->response->body,
                "{\"kind\":\"CustomResourceDefinitionList\",\"apiVersion\":\"apiextensions.k8s.io/v1\","
                "\"metadata\":{\"resourceVersion\":\"%" PRIu64 "\"},\"items\":[]}",
                registry_revision(exchange->server->world->registry));
    return true;
}

void exchange_refuse_path(struct exchange *exchange)
{
    char *verb = arena_strdup(&exchange->arena, exchange->http->method);
    for (char *at = verb; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    status_generic(&exchange->status, 403, "Forbidden",
                   arena_printf(&exchange->arena, "forbidden: User \"%s\" cannot %s path \"%s\"",
                                exchange->user.name, verb, exchange->http->path));
    exchange->status.kind = ""; /* upstream has empty details here */
}

bool exchange_answer_document(struct exchange *exchange)
{
    const char *path = exchange->http->path, *method = exchange->http->method;
    const char *known = http_request_header(exchange->http, "If-None-Match");
    struct discovery_answer answer = {0};
    bool is_get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (is_get && answer_probe(exchange))
        return true;
    if (!discovery_answer(path, http_request_header(exchange->http, "Accept"), exchange->server->address,
                          &answer))
        return !exchange->user.is_anonymous && is_get && answer_definitions(exchange);
    bool is_refused = exchange->user.is_anonymous && strcmp(path, "/version") != 0;
    if (is_refused || !is_get) {
        text_done(&answer.body);
        if (is_refused)
            exchange_refuse_path(exchange);
        else
            status_generic(&exchange->status, 405, "MethodNotAllowed",
                           "the server does not allow this method on the requested resource");
        return true;
    }
    exchange->response->content_type = answer.content_type;
    if (*answer.etag) {
        char *quoted = arena_printf(&exchange->arena, "\"%s\"", answer.etag);
        http_response_add_header(exchange->response, "ETag", quoted);
        http_response_add_header(exchange->response, "Vary", "Accept");
        if (known && strcmp(known, quoted) == 0) {
            exchange->response->status = 304;
            text_done(&answer.body);
            return true;
        }
    }
    exchange->response->body = answer.body;
    return true;
}
