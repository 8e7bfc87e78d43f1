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
    char *authorization; /* the header's value; NULL without one */
    uint64_t started_ms; /* when it went to its session */
    uint64_t moved_ms;   /* when something of its answer came last */
    /* The same of all calls of its session to its server, and when that was last asked whether it lives. */
    uint64_t server_moved_ms, server_asked_ms;
    uint64_t sent_bytes, received_bytes;
    unsigned timeout_ms, tag, status;
    bool has_headers, is_pulse;
    bool is_greeted;   /* TCP has connected: the rest is up to the server's program */
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
    /* Runs while a call without a time of its own waits for headers, or for the time of a pulse. */
    uv_timer_t silence;
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
    uint64_t pulse_spread_ms; /* what it waits longer than pulse_after_ms */
    bool is_http2;
};

int http_session_new(struct http_session **ret, struct http_client *client,
                     const struct http_client_options *options, struct err *err);
bool http_session_has(const struct http_session *session, const struct http_client_options *options);
/* Without calls. The memory goes when the loop next turns. */
void http_session_close(struct http_session *session);
/* What the session decides of a request: TLS, proxy, sockets. */
void http_session_prepare(const struct http_session *session, CURL *easy);

/* Puts a new call into the client's waiting list; options: of the session that it will go to. */
int http_call_new(struct http_call **ret, struct http_client *client, const struct http_call_request *request,
                  const struct http_call_ops *ops, void *context, const struct http_client_options *options,
                  struct err *err);
/* From the waiting list to a session of the client, and to libcurl. */
void http_call_begin(struct http_call *call, struct http_session *session);
bool http_call_same_origin(const struct http_call *a, const struct http_call *b);
/* Takes it out of its list and from libcurl. */
void http_call_free(struct http_call *call);
/* Where the call has none of its own. */
void http_call_authorize(struct http_call *call, const char *authorization);
/* Tell the client's observer. */
void http_call_answered(struct http_call *call, unsigned status);
void http_call_over(struct http_call *call);

/* --- pulses: whether a server lives that has been silent for long --- */

uint64_t http_pulse_spread_ms(const struct http_client_options *options);
/* When the call's server is to be asked; 0: it is not. */
uint64_t http_pulse_due(const struct http_call *call);
/* Asks on the connection of a silent call, where others may use it too (HTTP/2), else on one of its own. No
 * more of it is known than of any call: http_client.c judges its end. */
void http_pulse_start(struct http_call *silent);

uv_loop_t *http_client_loop(const struct http_client *client);
/* Around everything in which libcurl may call us back; leave does what had to wait for it. */
void http_client_enter(struct http_client *client);
void http_client_leave(struct http_client *client);
/* Counts what uv_close has still to finish before the client's memory may go. */
void http_client_keep(struct http_client *client);
void http_client_unkeep(struct http_client *client);
