/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "base/text.h"
#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

/* HTTP/1.1 servers on the program's one loop, with TLS or without: libmicrohttpd parses and answers, we
 * accept and keep time. */

struct http_exchange;

/* Who is at the other end. */
struct http_peer {
    struct address address;
    /* Of the client certificate's subject, once it was verified: CN, and the values of O, which end in NULL.
     * Without a good certificate (or with one that lacks a CN) NULL, and an empty list. */
    const char *common_name;
    const char *const *organizations;
    /* A certificate was given and does not verify: it says nothing of the client. */
    bool is_certificate_refused;
};

/* All of it is valid during the handler. */
struct http_request {
    const char *method; /* "GET" */
    const char *path;   /* percent-decoded, without the query */
    const char *query;  /* raw text after the '?', "" without one */
    struct text body;   /* empty unless http_limits.body_max allows one */
    const struct http_peer *peer;
    struct http_exchange *exchange; /* for http_request_header and http_stream_begin */
};

/* The first header of that name, in any case; NULL when absent. Valid during the handler. */
const char *http_request_header(const struct http_request *request, const char *name);

#define HTTP_HEADERS_MAX 16
#define HTTP_HEADER_VALUE_MAX 256

/* Filled by the handler; starts as status 200 with nothing else. Strings given as pointers outlive the call.
 */
struct http_response {
    unsigned status;
    const char *content_type; /* NULL: no such header */
    struct text body;         /* taken over by the server */
    struct {
        const char *name;
        char value[HTTP_HEADER_VALUE_MAX];
    } headers[HTTP_HEADERS_MAX];
    size_t header_count;
};

/* Answers one request, whole or by a stream: there is no other deferred answer. Neither it nor a stream's
 * functions may close their own server. */
typedef void http_handler_fn(void *context, const struct http_request *request,
                             struct http_response *response);

/* What a stream can say of itself: more at once, nothing until it is woken, nothing ever again. */
enum http_stream_state { HTTP_STREAM_MORE, HTTP_STREAM_WAIT, HTTP_STREAM_END };

struct http_stream;

/* pull is called from the loop whenever the client can take more, and never from inside http_stream_wake: it
 * appends what it has to out, some 64 KiB at most by its own good sense. closed is called exactly once,
 * whatever ends the stream (END was sent, the client went, the stream was cut, the server closes); the stream
 * is gone when it returns. */
struct http_stream_ops {
    enum http_stream_state (*pull)(void *context, struct text *out);
    void (*closed)(void *context);
};

/* For a handler that answers piece by piece: status, content type and headers are taken from its response as
 * usual, the body is what pull brings. Chunked for HTTP/1.1, ended by the connection's end for HTTP/1.0; the
 * headers and every piece go out at once. A client that closes its sending side counts as gone, as with
 * net/http of Go. ops is copied. NULL beyond http_limits.streams_max, or when the process is out of file
 * descriptors: the handler then answers otherwise (429). Once for each request. */
struct http_stream *http_stream_begin(const struct http_request *request, const struct http_stream_ops *ops,
                                      void *context);
/* Leads to at least one pull, in a later turn of the loop; any number of wakes until then count as one.
 * Costs next to nothing where the stream waits for its client. Allowed from pull, handlers and closed, for
 * any stream that is not closed yet. */
void http_stream_wake(struct http_stream *stream);

/* What one server grants to clients. A connection beyond connections_max makes the one that has waited
 * longest between requests give way, so that idle strangers cannot keep a health probe out; where all are
 * busy, the longest answer; and where all are streams, the newcomer is turned away. In the fields from
 * header_ms on, 0 is what the remark says.
 * deadline_ms spans an exchange from the end of its headers to the last byte sent; streams have none.
 * A body above body_max is answered with 413, as soon as its length is known, and the connection ends. */
struct http_limits {
    unsigned connections_max;
    unsigned deadline_ms;
    size_t body_max;
    /* From accept, TLS included, to the end of the first headers; from a later request line to the end of its
     * own. 0: deadline_ms. */
    unsigned header_ms;
    unsigned idle_ms; /* from an answer to the next request line; 0: deadline_ms */
    /* A stream whose client has taken no byte for so long (and up to half as long again) although something
     * is unsent is cut. 0: deadline_ms. */
    unsigned stall_ms;
    unsigned streams_max; /* 0: no streams */
    /* From one address, everything counted; newcomers beyond it are turned away. 0: no such cap. */
    unsigned connections_per_peer_max;
    /* Bodies being gathered, over all connections; announced ones count from their headers on. In memory they
     * are up to twice as large. A request that would go beyond is answered with 429 and Retry-After: 1. 0: no
     * such cap. */
    size_t bodies_total_max;
    /* Answers not yet taken by their clients, over all connections, streams aside. A request that finds more
     * of them is answered with 429 and Retry-After: 1. 0: no such cap. */
    size_t answers_total_max;
};
#define HTTP_LIMITS_DEFAULT                                                                                  \
    ((struct http_limits){.connections_max = 128, .deadline_ms = 15000, .body_max = 0})

struct http_server;

/* Listens on exactly this address: 0.0.0.0 is IPv4 alone and :: is IPv6 alone; open one server for each. Port
 * 0 takes a free one. -errno and a sentence that names the address. */
int http_server_open(struct http_server **ret, uv_loop_t *loop, const struct socket_address *address,
                     http_handler_fn *handler, void *context, struct err *err);

/* PEM texts, needed during the call alone. The first certificate is the server's own, its chain may follow. A
 * client certificate is asked for where client_ca_pem is given, and never required. */
struct http_tls {
    const char *certificate_pem, *key_pem;
    const char *client_ca_pem; /* NULL: clients are not asked */
};

/* The same over TLS 1.2 and 1.3, ALPN http/1.1. A client certificate is verified once for each connection:
 * chain, time, and the purpose clientAuth (RFC 5280, 4.2.1.12). -EINVAL where the PEM texts are no
 * good. */
int http_server_open_tls(struct http_server **ret, uv_loop_t *loop, const struct socket_address *address,
                         const struct http_tls *tls, http_handler_fn *handler, void *context,
                         struct err *err);

/* Ends listening, every connection and every stream before it returns; the memory goes when the loop next
 * turns. NULL is allowed. */
void http_server_close(struct http_server *server);
/* Starts as HTTP_LIMITS_DEFAULT; holds from now on, for what is open too. Neither of the first two is 0. */
void http_server_set_limits(struct http_server *server, const struct http_limits *limits);

/* Rewrites a refusal that the server makes itself, 413 or 429, into the owner's form: response comes with
 * status, text and headers, the request without a body. What is no HTTP at all (400), and headers that are
 * too large (431), libmicrohttpd answers in its own words. context is the handler's. */
typedef void http_refusal_fn(void *context, const struct http_request *request,
                             struct http_response *response);
void http_server_set_refusals(struct http_server *server, http_refusal_fn *refusal);

/* Where it listens, with the port that was chosen for 0. */
struct socket_address http_server_address(const struct http_server *server);
/* Open connections now, and streams among them. */
unsigned http_server_connections(const struct http_server *server);
unsigned http_server_streams(const struct http_server *server);

/* Appends a header; value is copied and cut at 255 bytes. Beyond HTTP_HEADERS_MAX it aborts: a program error.
 */
void http_response_add_header(struct http_response *response, const char *name, const char *value);
/* The whole answer in one call: status, type, "X-Content-Type-Options: nosniff" (as all of kube-proxy's pages
 * carry) and the text. */
void http_response_set(struct http_response *response, unsigned status, const char *content_type,
                       const char *body);
