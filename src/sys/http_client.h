/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* HTTP requests on the program's one loop: libcurl's multi interface over libuv, HTTP/2 where the server has
 * it (TLS with ALPN), many requests over one connection. Redirects are not followed. */

struct http_client;

/* How to reach servers and who we are to them; strings are copied. PEM texts or NULL. */
struct http_client_options {
    const char *ca_pem;                    /* NULL: the system's authorities */
    const char *certificate_pem, *key_pem; /* client certificate, both or none */
    const char *server_name;               /* for TLS, instead of the URL's host (tls-server-name) */
    /* NULL: as https_proxy and no_proxy say, never for loopback; "": none. http, https, socks5 (the proxy
     * resolves names). */
    const char *proxy_url;
    const char *user_agent;
    bool is_insecure;            /* insecure-skip-tls-verify */
    unsigned connect_timeout_ms; /* TLS included; 0: 5000 */
    /* A connection on which nothing moves is given up; 0: 10000. While it is idle the kernel asks the other
     * end's kernel (TCP keep-alive and TCP_USER_TIMEOUT, in whole seconds), so that a lost machine or path is
     * found without a timer of ours. A program that hangs under a living kernel shows where it owes an
     * answer: a call without timeout_ms ends when its headers do not come for so long. */
    unsigned dead_after_ms;
    /* A program that hangs later, behind an answer's headers, shows nowhere: while such an answer without
     * timeout_ms brings nothing, the server is asked for this path after pulse_after_ms (0: 15000) and up to
     * a third more, on the same connection where that is HTTP/2, and has dead_after_ms to answer, whatever
     * its status. If it does not, the calls of that server which have brought nothing since end (-ETIMEDOUT),
     * and later ones take new connections. NULL: never. */
    const char *pulse_path; /* "/livez" */
    unsigned pulse_after_ms;
};

/* -EINVAL and a sentence where the PEM texts are no good or do not belong together. */
int http_client_new(struct http_client **ret, uv_loop_t *loop, const struct http_client_options *options,
                    struct err *err);
/* New credentials (rotated files): requests that begin afterwards use them, over new connections; those under
 * way go on. Nothing happens where nothing differs; on failure the old ones stay. */
int http_client_set_options(struct http_client *client, const struct http_client_options *options,
                            struct err *err);
/* Ends all calls without telling them. NULL is allowed. The memory goes when the loop next turns. */
void http_client_close(struct http_client *client);

/* While a client is held, calls that are started wait, and the time of those under way goes on. Release lets
 * them go, with this authorization (NULL: none) where theirs is NULL; refuse ends them all with code and err,
 * and holds no more. For credentials that have to be fetched first. */
void http_client_hold(struct http_client *client);
void http_client_release(struct http_client *client, const char *authorization);
void http_client_refuse(struct http_client *client, int code, const struct err *err);

/* What is known of a call so far. Valid during the callback. */
struct http_call_report {
    const char *method, *host; /* host: of its URL, with the port where that has one: "10.0.0.1:6443" */
    unsigned tag;              /* the request's */
    unsigned status;           /* 0: no answer */
    double seconds;            /* since it went to the server; 0 where it never did */
    uint64_t sent_bytes, received_bytes; /* of the bodies */
};
/* For counting; neither function may start or cancel calls, and each may be NULL. answered is called once for
 * each call, before its headers, before ended where there are none, and when it is cancelled without an
 * answer; over once for each call that is not cancelled, before ended. */
struct http_client_observer {
    void (*answered)(void *context, const struct http_call_report *report);
    void (*over)(void *context, const struct http_call_report *report);
    void *context;
};
void http_client_observe(struct http_client *client, const struct http_client_observer *observer);

struct http_call;

struct http_call_headers {
    unsigned status;
    const char *content_type; /* "" when absent */
    unsigned retry_after_s;   /* 0 when absent */
};

/* Any of them may be NULL. Data come as they arrive, at most 64 KiB at once. ended is called exactly once
 * unless the call is cancelled or the client closed: code 0 when the answer came whole, whatever its status;
 * -errno with a sentence (-ETIMEDOUT, -ECONNREFUSED and the like, -ECONNRESET where the connection broke or
 * the kernel gave it up, -EHOSTUNREACH for a name that does not resolve, -EPROTO for TLS and HTTP faults).
 * The call is gone when ended returns. A callback may start or cancel calls, this one too, and close the
 * client. Nothing is called from inside http_call_start. */
struct http_call_ops {
    void (*headers)(void *context, const struct http_call_headers *headers);
    /* false: give the call up (ended is called with -ECANCELED) */
    bool (*data)(void *context, const char *bytes, size_t len);
    void (*ended)(void *context, int code, const struct err *err);
};

/* All of it is copied. */
struct http_call_request {
    const char *method, *url; /* "GET", "https://10.0.0.1:6443/api/v1/services?limit=500" */
    /* NULL: none; authorization is the whole value, "Bearer ..." */
    const char *accept, *content_type, *authorization;
    const char *body;
    size_t body_len;
    unsigned tag; /* for the observer */
    unsigned
        timeout_ms; /* of the whole call; 0: none, for watches, which end only when the connection is dead */
};
/* -EINVAL for a URL or a value that cannot be sent, -ENAMETOOLONG. */
int http_call_start(struct http_client *client, const struct http_call_request *request,
                    const struct http_call_ops *ops, void *context, struct http_call **ret, struct err *err);
void http_call_cancel(struct http_call *call);
