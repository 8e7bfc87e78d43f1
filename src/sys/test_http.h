/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* For tests alone: a server with TLS or without, and clients that do not block it, all in one thread. */
#include "base/cleanup.h"
#include "sys/http.h"
#include "sys/pki.h"
#include "sys/test_client.h"

#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>

struct test_client {
    int fd;
    gnutls_certificate_credentials_t credentials;
    gnutls_session_t session; /* NULL without TLS */
    struct text got;
    bool is_ended;
};

static struct pki test_pki;
static char test_pki_dir[64];

static inline int test_pki_setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    static const char *const names[] = {"localhost", NULL};
    struct address loopback;
    address_parse("127.0.0.1", &loopback, NULL);
    snprintf(test_pki_dir, sizeof(test_pki_dir), "%s/fairlead-http-XXXXXX", tmp ? tmp : "/tmp");
    return mkdtemp(test_pki_dir) ? pki_prepare(test_pki_dir, &loopback, 1, names, &test_pki, NULL) : -1;
}

static inline int test_pki_teardown(void **state)
{
    static const char *const files[] = {"ca.crt",     "ca.key",    "server.crt",
                                        "server.key", "admin.crt", "admin.key"};
    pki_done(&test_pki);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", test_pki_dir, files[i]);
        unlink(path);
    }
    return rmdir(test_pki_dir);
}

static inline int test_server_open(struct http_server **ret, uv_loop_t *loop, bool is_tls,
                                   http_handler_fn *handler, void *context, struct err *err)
{
    struct socket_address any = {0};
    const struct http_tls tls = {.certificate_pem = test_pki.server_certificate,
                                 .key_pem = test_pki.server_key,
                                 .client_ca_pem = test_pki.ca_certificate};
    address_parse("127.0.0.1", &any.address, NULL);
    return is_tls ? http_server_open_tls(ret, loop, &any, &tls, handler, context, err)
                  : http_server_open(ret, loop, &any, handler, context, err);
}

/* Verifies the server as "localhost"; certificate and key may be NULL. */
static inline bool test_client_tls(uv_loop_t *loop, struct test_client *client, const char *priorities,
                                   const char *certificate, const char *key)
{
    gnutls_datum_t ca = {(unsigned char *)test_pki.ca_certificate, (unsigned)strlen(test_pki.ca_certificate)};
    gnutls_certificate_allocate_credentials(&client->credentials);
    gnutls_certificate_set_x509_trust_mem(client->credentials, &ca, GNUTLS_X509_FMT_PEM);
    if (certificate) {
        gnutls_datum_t own = {(unsigned char *)certificate, (unsigned)strlen(certificate)};
        gnutls_datum_t own_key = {(unsigned char *)key, (unsigned)strlen(key)};
        gnutls_certificate_set_x509_key_mem(client->credentials, &own, &own_key, GNUTLS_X509_FMT_PEM);
        /* Or gnutls would keep to itself what the server's list of authorities does not have. */
        gnutls_certificate_set_flags(client->credentials, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
    }
    gnutls_init(&client->session,
                GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_FORCE_CLIENT_CERT);
    gnutls_priority_set_direct(client->session, priorities ? priorities : "NORMAL", NULL);
    gnutls_credentials_set(client->session, GNUTLS_CRD_CERTIFICATE, client->credentials);
    gnutls_session_set_verify_cert(client->session, "localhost", 0);
    gnutls_datum_t protocols[] = {{(unsigned char *)"h2", 2}, {(unsigned char *)"http/1.1", 8}};
    gnutls_alpn_set_protocols(client->session, protocols, 2, 0);
    gnutls_transport_set_int(client->session, client->fd);
    long long end = test_now_ms() + 5000;
    int code;
    do {
        uv_run(loop, UV_RUN_NOWAIT);
        code = gnutls_handshake(client->session);
    } while ((code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED) && test_now_ms() < end);
    return code == 0;
}

static inline bool test_client_connect(const struct http_server *server, struct test_client *client)
{
    struct socket_address to = http_server_address(server);
    int on = 1;
    *client = (struct test_client){.fd = test_connect(&to)};
    /* Or a TLS handshake waits for the server's delayed acknowledgement. */
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return client->fd >= 0 && fcntl(client->fd, F_SETFL, O_NONBLOCK) == 0;
}

static inline bool test_client_open(uv_loop_t *loop, const struct http_server *server, bool is_tls,
                                    struct test_client *client)
{
    return test_client_connect(server, client) &&
           (!is_tls || test_client_tls(loop, client, NULL, NULL, NULL));
}

static inline void test_client_close(struct test_client *client)
{
    if (client->session)
        gnutls_deinit(client->session);
    if (client->credentials)
        gnutls_certificate_free_credentials(client->credentials);
    if (client->fd >= 0)
        close(client->fd);
    text_done(&client->got);
    *client = (struct test_client){.fd = -1};
}

/* As many as the socket takes; -1 when it is broken. */
static inline ssize_t test_client_write(struct test_client *client, const char *bytes, size_t len)
{
    ssize_t sent = client->session ? gnutls_record_send(client->session, bytes, len)
                                   : send(client->fd, bytes, len, MSG_NOSIGNAL);
    if (client->session)
        return sent >= 0 ? sent : sent == GNUTLS_E_AGAIN ? 0 : -1;
    return sent >= 0 ? sent : errno == EAGAIN ? 0 : -1;
}

static inline bool test_client_send(struct test_client *client, const char *text)
{
    return test_client_write(client, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Takes what is there. */
static inline void test_client_read(struct test_client *client)
{
    char buffer[65536];
    while (!client->is_ended) {
        ssize_t len = client->session ? gnutls_record_recv(client->session, buffer, sizeof(buffer))
                                      : recv(client->fd, buffer, sizeof(buffer), 0);
        if (len > 0)
            text_add_bytes(&client->got, buffer, (size_t)len);
        else if (client->session ? len == GNUTLS_E_AGAIN : len < 0 && errno == EAGAIN)
            return;
        else if (!client->session || len != GNUTLS_E_INTERRUPTED)
            client->is_ended = true;
    }
}

/* With the loop running, until that text is there, or (NULL) the end. */
static inline bool test_client_wait(uv_loop_t *loop, struct test_client *client, const char *until,
                                    int wait_ms)
{
    long long end = test_now_ms() + wait_ms;
    while (true) {
        uv_run(loop, UV_RUN_NOWAIT);
        test_client_read(client);
        if (until ? strstr(text_str(&client->got), until) != NULL : client->is_ended)
            return true;
        if (test_now_ms() >= end || client->is_ended)
            return false;
        usleep(100);
    }
}
