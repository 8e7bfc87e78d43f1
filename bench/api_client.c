/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api_client.h"
#include "answer.h"
#include "base/cleanup.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Longer than any list takes. */
#define PATIENCE_S 120

int api_server_init(struct api_server *server, const char *address, const char *authority,
                    const char *certificate, const char *key, struct err *err)
{
    int code = endpoint_parse(address, &server->at, err);

    if (code < 0)
        return code;
    code = gnutls_certificate_allocate_credentials(&server->credentials);
    if (code >= 0)
        code = gnutls_certificate_set_x509_trust_file(server->credentials, authority, GNUTLS_X509_FMT_PEM);
    if (code >= 0)
        code =
            gnutls_certificate_set_x509_key_file(server->credentials, certificate, key, GNUTLS_X509_FMT_PEM);
    return code < 0
               ? err_set(err, EINVAL, "%s, %s, %s: %s", authority, certificate, key, gnutls_strerror(code))
               : 0;
}

void api_server_done(struct api_server *server)
{
    if (server->credentials)
        gnutls_certificate_free_credentials(server->credentials);
}

/* --- below TLS: one system call for all that has come, with the time at which it did --- */

static void arrival_note(struct client *client, struct msghdr *message)
{
    struct cmsghdr *control = CMSG_FIRSTHDR(message);
    struct timespec at;

    if (!control || control->cmsg_type != SCM_TIMESTAMPNS)
        return;
    memcpy(&at, CMSG_DATA(control), sizeof(at));
    client->arrived_ns = (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

static ssize_t buffer_fill(struct client *client)
{
    char control[CMSG_SPACE(sizeof(struct timespec))];
    struct iovec into = {client->buffer, CLIENT_BUFFER};
    struct msghdr message = {
        .msg_iov = &into, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    ssize_t len = recvmsg(client->fd, &message, client->is_patient ? 0 : MSG_DONTWAIT);

    if (len < 0 && errno == EAGAIN && client->is_patient)
        errno = ETIMEDOUT; /* or TLS would call it a reason to try again */
    if (len > 0) {
        arrival_note(client, &message);
        client->buffered = (size_t)len;
        client->taken = 0;
    }
    return len;
}

static ssize_t on_pull(gnutls_transport_ptr_t context, void *ret, size_t len)
{
    struct client *client = context;

    if (client->taken == client->buffered) {
        ssize_t got = buffer_fill(client);

        if (got <= 0) {
            gnutls_transport_set_errno(client->session, errno);
            return got;
        }
    }
    size_t most = client->buffered - client->taken;
    if (len > most)
        len = most;
    memcpy(ret, client->buffer + client->taken, len);
    client->taken += len;
    return (ssize_t)len;
}

static int on_pull_timeout(gnutls_transport_ptr_t context, unsigned ms)
{
    struct client *client = context;
    struct pollfd ready = {.fd = client->fd, .events = POLLIN};

    return client->taken < client->buffered ? 1 : poll(&ready, 1, (int)ms);
}

static ssize_t on_push(gnutls_transport_ptr_t context, const void *bytes, size_t len)
{
    struct client *client = context;
    ssize_t sent = send(client->fd, bytes, len, MSG_NOSIGNAL);

    if (sent < 0)
        gnutls_transport_set_errno(client->session, errno);
    return sent;
}

/* --- opening and closing --- */

static int connect_to(const struct sockaddr_in *at, struct err *err)
{
    cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int on = 1;

    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
        connect(fd, (const struct sockaddr *)at, sizeof(*at)) < 0)
        return err_set(err, errno, "connecting to the server: %s", strerror(errno));
    return steal_fd(&fd);
}

static int handshake(struct client *client, struct err *err)
{
    static const gnutls_datum_t protocol = {(unsigned char *)"http/1.1", 8};
    char host[INET_ADDRSTRLEN];
    int code = gnutls_init(&client->session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);

    if (code < 0)
        return err_set(err, ENOMEM, "TLS: %s", gnutls_strerror(code));
    gnutls_set_default_priority(client->session);
    gnutls_credentials_set(client->session, GNUTLS_CRD_CERTIFICATE, client->server->credentials);
    gnutls_alpn_set_protocols(client->session, &protocol, 1, 0);
    inet_ntop(AF_INET, &client->server->at.sin_addr, host, sizeof(host));
    gnutls_session_set_verify_cert(client->session, host, 0);
    gnutls_transport_set_ptr(client->session, client);
    gnutls_transport_set_pull_function(client->session, on_pull);
    gnutls_transport_set_push_function(client->session, on_push);
    gnutls_transport_set_pull_timeout_function(client->session, on_pull_timeout);
    do {
        code = gnutls_handshake(client->session);
    } while (code < 0 && !gnutls_error_is_fatal(code));
    return code < 0 ? err_set(err, EPROTO, "TLS: %s", gnutls_strerror(code)) : 0;
}

int client_open(struct client *client, const struct api_server *server, struct err *err)
{
    int fd = connect_to(&server->at, err);

    if (fd < 0)
        return fd;
    client->server = server;
    client->fd = fd;
    client->is_patient = true;
    client->buffered = client->taken = 0;
    int code = handshake(client, err);
    if (code < 0)
        client_close(client);
    return code;
}

void client_close(struct client *client)
{
    if (client->session) {
        gnutls_deinit(client->session);
        close(client->fd);
    }
    client->session = NULL;
    text_done(&client->reply.line);
    text_done(&client->body);
}

void client_be_impatient(struct client *client)
{
    client->is_patient = false;
}

/* --- requests --- */

int client_send(struct client *client, const struct client_request *request, struct err *err)
{
    cleanup_with(text_done) struct text wire = {0};
    size_t len = request->body ? request->body->len : 0, at = 0;

    text_printf(&wire, "%s %s HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench/1\r\n", request->method,
                request->path);
    if (request->accept)
        text_printf(&wire, "Accept: %s\r\n", request->accept);
    if (request->type)
        text_printf(&wire, "Content-Type: %s\r\n", request->type);
    if (len)
        text_printf(&wire, "Content-Length: %zu\r\n", len);
    text_add(&wire, "\r\n");
    text_add_bytes(&wire, len ? request->body->data : "", len);
    struct text line = client->reply.line;
    client->reply = (struct reply){.line = line};
    client->body.len = 0;
    while (at < wire.len) {
        ssize_t sent = gnutls_record_send(client->session, wire.data + at, wire.len - at);

        if (sent < 0 && sent != GNUTLS_E_AGAIN && sent != GNUTLS_E_INTERRUPTED)
            return err_set(err, EPIPE, "sending a request: %s", gnutls_strerror((int)sent));
        at += sent > 0 ? (size_t)sent : 0;
    }
    return 0;
}

int client_read(struct client *client, struct err *err)
{
    char plain[16384];
    ssize_t len;

    do {
        len = gnutls_record_recv(client->session, plain, sizeof(plain));
        /* A session ticket is such a reason, too. */
    } while (len == GNUTLS_E_INTERRUPTED ||
             (len == GNUTLS_E_AGAIN && (client->is_patient || client->taken < client->buffered)));
    if (len == GNUTLS_E_AGAIN)
        return -EAGAIN;
    if (len <= 0)
        return err_set(err, EPIPE, "the server ended the connection: %s",
                       len ? gnutls_strerror((int)len) : "no more bytes");
    int64_t taken = reply_take(&client->reply, plain, (size_t)len, &client->body, err);
    if (taken < 0)
        return (int)taken;
    return taken == len ? 0 : err_set(err, EPROTO, "the server sent more than its reply");
}

int client_ask(struct client *client, const struct client_request *request, unsigned wanted, struct err *err)
{
    int code = client_send(client, request, err);

    while (code == 0 && client->reply.stage != REPLY_DONE)
        code = client_read(client, err);
    if (code < 0)
        return err_prefix(err, code, "%s %s", request->method, request->path);
    if (wanted && client->reply.status != wanted)
        return err_set(err, EPROTO, "%s %s: status %u: %.200s", request->method, request->path,
                       client->reply.status, text_str(&client->body));
    return 0;
}
