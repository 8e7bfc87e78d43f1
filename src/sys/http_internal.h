/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Shared by http*.c alone: http.c keeps connections and time, http_exchange.c answers requests, http_stream.c
 * those that last, http_tls.c knows certificates. */
#include "sys/http.h"

#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <stdint.h>

/* What a connection is at. Each has one time limit for all, so its list is in the order of ending. */
enum http_phase { HTTP_PHASE_IDLE, HTTP_PHASE_HEADERS, HTTP_PHASE_EXCHANGE, HTTP_PHASE_STREAM };
#define HTTP_PHASE_COUNT 4

struct http_connection {
    struct http_server *server;
    struct http_connection *prev, *next; /* in the list of its phase */
    struct MHD_Connection *mhd;
    int fd;
    enum http_phase phase;
    uint64_t since_ms;     /* when the phase began */
    bool is_shaking_hands; /* TLS has come, and no request yet */
    struct text uri;       /* raw, of the request in hand */
    struct text body;
    size_t body_reserved; /* our share of http_server.bodies_reserved */
    size_t answer_bytes;  /* of the answer in hand */
    bool is_refused;      /* with bytes on their way that nobody will read */
    bool is_peer_known;
    struct http_peer peer;
};

struct http_exchange {
    struct http_connection *connection;
    struct http_stream *stream; /* NULL until the handler begins one */
    bool is_http_1_0;
};

struct http_server {
    struct MHD_Daemon *daemon;
    uv_poll_t listen_poll, work_poll;
    uv_timer_t timer; /* for what has its time */
    uv_idle_t idle;   /* for what is to be done at once */
    unsigned handles_open;
    int listen_fd;
    bool is_accept_paused, is_closing, is_tls, asks_certificates;
    struct http_connection *connections[HTTP_PHASE_COUNT]; /* longest waiting first */
    unsigned connection_count;
    unsigned shaking_count;       /* connections that shake hands */
    unsigned vain_turns;          /* since bytes last came, or a connection went on */
    struct http_stream *streams;  /* all of them */
    struct http_stream *draining; /* those with bytes under way, next to be looked at first */
    unsigned stream_count;
    struct http_lingerer *lingerers; /* first to end first */
    unsigned lingerer_count;
    size_t bodies_reserved;
    size_t answers_bytes; /* of all answers in hand */
    struct http_limits limits;
    http_handler_fn *handler;
    http_refusal_fn *refusal; /* may be NULL */
    void *context;
};

/* http.c */
void http_connection_enter(struct http_connection *connection, enum http_phase phase);
/* Both ends of the stream are closed; libmicrohttpd sees that at its next run, and frees the connection. */
void http_connection_cut(struct http_connection *connection);
/* Has libmicrohttpd run at the loop's next turn. */
void http_server_hurry(struct http_server *server);
/* The memory goes with the last handle. */
void http_server_release_handle(struct http_server *server);
struct http_connection *http_connection_of(struct MHD_Connection *mhd);
unsigned http_stall_ms(const struct http_server *server);

/* The first request is there. */
void http_connection_shook_hands(struct http_connection *connection);

/* http_exchange.c: libmicrohttpd's callbacks, with the server as context. */
enum MHD_Result http_exchange_on_request(void *context, struct MHD_Connection *mhd, const char *path,
                                         const char *method, const char *version, const char *upload,
                                         size_t *upload_len, void **request);
void http_exchange_on_completed(void *context, struct MHD_Connection *mhd, void **request,
                                enum MHD_RequestTerminationCode code);
void *http_exchange_on_uri(void *context, const char *uri, struct MHD_Connection *mhd);
/* Takes the connection's request apart: what it held is free. */
void http_exchange_forget(struct http_connection *connection);

/* http_stream.c */
/* The response that pulls; closed is called when libmicrohttpd lets go of it. */
struct MHD_Response *http_stream_response(struct http_stream *stream);
/* For a stream that will not be answered with. */
void http_stream_abandon(struct http_stream *stream);
/* Lets go of all that wait, so that libmicrohttpd can be stopped. */
void http_streams_release(struct http_server *server);
/* Cuts the streams that stall; returns when to look again, in milliseconds of the loop; UINT64_MAX: never. */
uint64_t http_streams_check(struct http_server *server, uint64_t now_ms);

/* http_tls.c */
/* -EINVAL and a sentence where libmicrohttpd would fail without one. */
int http_tls_check(const struct http_tls *tls, struct err *err);
extern const char http_tls_priorities[];
/* Fills the peer from the session's certificate; http_tls_forget_peer frees what it holds. */
void http_tls_identify(gnutls_session_t session, struct http_peer *peer);
void http_tls_forget_peer(struct http_peer *peer);
gnutls_session_t http_tls_session(struct MHD_Connection *mhd);

/* http_linger.c: sockets that stay for a moment after their connection was refused in the middle of its
 * sending. Closing at once would reset it, and could take the answer from its reader's hands (RFC 9112,
 * 9.6). */
void http_linger_begin(struct http_server *server, int fd);
/* Ends those whose time is over; returns when to look again, as http_streams_check. */
uint64_t http_linger_check(struct http_server *server, uint64_t now_ms);
void http_linger_end(struct http_server *server);
