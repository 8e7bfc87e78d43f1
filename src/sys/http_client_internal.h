/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* For http_client.c, http_call.c and http_session.c alone. */
#include "base/arena.h"
#include "sys/http_client.h"

#include <curl/curl.h>

struct http_call {
    struct http_call *prev, *next; /* in its session, or in the client's waiting list */
    struct http_client *client;
    struct http_session *session; /* NULL while it waits */
    CURL *easy;
    struct curl_slist *headers, *connect_to;
    char *url, *method, *host;
    size_t origin_len; /* of the URL's scheme, host and port */
    struct http_call_ops ops;
    void *context;
    uint64_t started_ms; /* when it went to its session */
    uint64_t sent_bytes, received_bytes;
    unsigned timeout_ms, tag, status;
    bool has_headers, has_authorization;
    bool is_cancelled; /* waits to be freed; nobody is told */
    bool is_given_up;  /* by its data function */
    bool is_refused;
    char error[CURL_ERROR_SIZE];
};

struct http_client {
    uv_loop_t *loop;
    struct http_session *session; /* for calls to come; in sessions too */
    struct http_session *sessions;
    struct http_call *waiting;
    uv_timer_t silence; /* runs while a call without a time of its own waits for headers */
    struct http_client_observer observer;
    unsigned entered; /* in libcurl or in a callback: what changes lists waits */
    unsigned kept;
    bool is_held, is_closing;
};

/* Connections made with one set of options. When options change, or a connection has proved dead, later calls
 * go to a session of their own, so that no connection outlives the credentials it was made with; the old
 * session ends with its last call. */
struct http_session {
    struct http_session *prev, *next;
    struct http_client *client;
    CURLM *multi;
    uv_timer_t timer; /* curl's */
    struct arena arena;
    struct http_client_options options; /* in the arena, defaults filled in */
    /* libcurl takes PEM from files alone (over gnutls): these are in memory. -1 without. */
    int ca_fd, certificate_fd, key_fd;
    struct http_call *calls;
    uint64_t moved_ms; /* when anything last came from a server */
    bool is_http2;
};

int http_session_new(struct http_session **ret, struct http_client *client,
                     const struct http_client_options *options, struct err *err);
bool http_session_has(const struct http_session *session, const struct http_client_options *options);
/* Without calls. The memory goes when the loop next turns. */
void http_session_close(struct http_session *session);
/* What the session decides of a request: TLS, proxy, sockets. */
void http_session_prepare(const struct http_session *session, CURL *easy);

/* Puts a new call into the client's waiting list. */
int http_call_new(struct http_call **ret, struct http_client *client, const struct http_call_request *request,
                  const struct http_call_ops *ops, void *context, struct err *err);
/* From the waiting list to the client's session, and to libcurl. */
void http_call_begin(struct http_call *call);
/* Takes it out of its list and from libcurl. */
void http_call_free(struct http_call *call);
/* Where the call has none of its own. */
void http_call_authorize(struct http_call *call, const char *authorization);
/* Tell the client's observer. */
void http_call_answered(struct http_call *call, unsigned status);
void http_call_over(struct http_call *call);

uv_loop_t *http_client_loop(const struct http_client *client);
/* Around everything in which libcurl may call us back; leave does what had to wait for it. */
void http_client_enter(struct http_client *client);
void http_client_leave(struct http_client *client);
/* Counts what uv_close has still to finish before the client's memory may go. */
void http_client_keep(struct http_client *client);
void http_client_unkeep(struct http_client *client);
