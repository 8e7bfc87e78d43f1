/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api_reply.h"
#include <gnutls/gnutls.h>
#include <netinet/in.h>

/* A client of the Kubernetes API on one connection: TLS with a client certificate, one request at a time. */

struct api_server {
    struct sockaddr_in at;
    gnutls_certificate_credentials_t credentials;
};

/* The three are paths of PEM files. */
int api_server_init(struct api_server *server, const char *address, const char *authority,
                    const char *certificate, const char *key, struct err *err);
void api_server_done(struct api_server *server);

#define CLIENT_BUFFER 65536

struct client {
    const struct api_server *server;
    int fd;
    gnutls_session_t session;
    bool is_patient;    /* waits for bytes; otherwise client_read says that there are none */
    int64_t arrived_ns; /* when the kernel got the bytes read last, by CLOCK_REALTIME */
    struct reply reply;
    struct text body;
    size_t buffered, taken; /* of buffer: encrypted, as they came */
    char buffer[CLIENT_BUFFER];
};

/* Connects and shakes hands. *client may be all zero, or one that was closed; it must not move while it is
 * open. */
int client_open(struct client *client, const struct api_server *server, struct err *err);
/* For a client that is all zero too. */
void client_close(struct client *client);
/* From now on client_read does not wait. */
void client_be_impatient(struct client *client);

struct client_request {
    const char *method, *path; /* the path with its query */
    const char *accept, *type; /* NULL: no such header */
    const struct text *body;   /* NULL: none */
};

/* Sends it whole, and begins a new reply. */
int client_send(struct client *client, const struct client_request *request, struct err *err);
/* Reads once what has come into reply and body; -EAGAIN without a sentence when nothing has. */
int client_read(struct client *client, struct err *err);
/* Sends and reads to the end of the reply; for patient clients. Any status but wanted is -EPROTO with the
 * server's words; 0 wants none in particular. */
int client_ask(struct client *client, const struct client_request *request, unsigned wanted, struct err *err);
