/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "base/text.h"
#include "net/address.h"

#include <stddef.h>
#include <uv.h>

/* HTTP/1.1 servers on the program's one loop: libmicrohttpd parses and answers, we accept and keep time. */

struct http_request {
    const char *method; /* "GET" */
    const char *path;   /* percent-decoded, without the query */
    const char *query;  /* raw text after the '?', "" without one */
    struct text body;   /* empty unless http_limits.body_max allows one */
};

#define HTTP_HEADERS_MAX 8

/* Filled by the handler; starts as status 200 with nothing else. Strings given as pointers outlive the call.
 */
struct http_response {
    unsigned status;
    const char *content_type; /* NULL: no such header */
    struct text body;         /* taken over by the server */
    struct {
        const char *name;
        char value[64];
    } headers[HTTP_HEADERS_MAX];
    size_t header_count;
};

/* Answers one request, at once: there is no deferred answer. It must not close its own server. */
typedef void http_handler_fn(void *context, const struct http_request *request,
                             struct http_response *response);

/* What one server grants to clients. One more connection than connections_max makes the one that has waited
 * longest give way, so that idle strangers cannot keep a health probe out. deadline_ms spans a whole
 * exchange, from accept (or the previous answer) to the last byte sent. A body above body_max is answered
 * with 413. */
struct http_limits {
    unsigned connections_max;
    unsigned deadline_ms;
    size_t body_max;
};
#define HTTP_LIMITS_DEFAULT                                                                                  \
    ((struct http_limits){.connections_max = 128, .deadline_ms = 15000, .body_max = 0})

struct http_server;

/* Listens on exactly this address: 0.0.0.0 is IPv4 alone and :: is IPv6 alone; open one server for each. Port
 * 0 takes a free one. -errno and a sentence that names the address. */
int http_server_open(struct http_server **ret, uv_loop_t *loop, const struct socket_address *address,
                     http_handler_fn *handler, void *context, struct err *err);
/* Ends listening and every connection before it returns; the memory goes when the loop next turns. NULL is
 * allowed. */
void http_server_close(struct http_server *server);
/* Starts as HTTP_LIMITS_DEFAULT; holds for exchanges that begin afterwards. Neither of the first two is 0. */
void http_server_set_limits(struct http_server *server, const struct http_limits *limits);
/* Where it listens, with the port that was chosen for 0. */
struct socket_address http_server_address(const struct http_server *server);
/* Open connections now. */
unsigned http_server_connections(const struct http_server *server);

/* Appends a header; value is copied and cut at 63 bytes. Beyond HTTP_HEADERS_MAX it aborts: a program error.
 */
void http_response_add_header(struct http_response *response, const char *name, const char *value);
/* The whole answer in one call: status, type, "X-Content-Type-Options: nosniff" (as all of kube-proxy's pages
 * carry) and the text. */
void http_response_set(struct http_response *response, unsigned status, const char *content_type,
                       const char *body);
