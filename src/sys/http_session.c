/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/http_client_internal.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define CONNECT_TIMEOUT_MS 5000
#define DEAD_AFTER_MS 10000
#define PULSE_AFTER_MS 15000
#define PEM_MAX ((size_t)4 << 20)
#define RECEIVE_BUFFER 65536L
#define IDLE_CONNECTIONS_MAX 8L

struct socket_poll {
    uv_poll_t poll;
    struct http_session *session;
    curl_socket_t fd;
};

/* --- credentials --- */

static gnutls_datum_t datum(const char *pem)
{
    return (gnutls_datum_t){(unsigned char *)pem, (unsigned)strlen(pem)};
}

static int check_certificate(gnutls_certificate_credentials_t credentials,
                             const struct http_client_options *options, struct err *err)
{
    if (!options->certificate_pem != !options->key_pem)
        return err_set(err, EINVAL, "a client certificate needs its key, and a key its certificate");
    if (!options->certificate_pem)
        return 0;
    gnutls_datum_t certificate = datum(options->certificate_pem), key = datum(options->key_pem);
    int code = gnutls_certificate_set_x509_key_mem(credentials, &certificate, &key, GNUTLS_X509_FMT_PEM);
    if (code < 0)
        return err_set(err, EINVAL, "the client certificate and its key are no good: %s",
                       gnutls_strerror(code));
    return 0;
}

static bool is_too_large(const char *pem)
{
    return pem && strlen(pem) > PEM_MAX;
}

/* As gnutls will find them when a connection is made: half of a rotated pair is found out here. */
static int check_pem(const struct http_client_options *options, struct err *err)
{
    gnutls_certificate_credentials_t credentials;
    if (is_too_large(options->ca_pem) || is_too_large(options->certificate_pem) ||
        is_too_large(options->key_pem))
        return err_set(err, EINVAL, "certificates and keys are limited to %zu MiB", PEM_MAX >> 20);
    if (gnutls_certificate_allocate_credentials(&credentials) < 0)
        return err_set(err, ENOMEM, "gnutls has no memory");
    int code = 0;
    if (options->ca_pem) {
        gnutls_datum_t ca = datum(options->ca_pem);
        if (gnutls_certificate_set_x509_trust_mem(credentials, &ca, GNUTLS_X509_FMT_PEM) <= 0)
            code = err_set(err, EINVAL, "the certificate authority has no certificate that can be read");
    }
    if (code == 0)
        code = check_certificate(credentials, options, err);
    gnutls_certificate_free_credentials(credentials);
    return code;
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, bytes, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        bytes += written;
        len -= (size_t)written;
    }
    return 0;
}

static int file_in_memory(const char *pem, int *ret, struct err *err)
{
    if (!pem)
        return 0;
    cleanup_close int fd = memfd_create("fairlead-pem", MFD_CLOEXEC);
    if (fd < 0 || fchmod(fd, 0600) < 0)
        return err_set(err, errno, "no file in memory for a certificate: %s", strerror(errno));
    int code = write_all(fd, pem, strlen(pem));
    if (code < 0)
        return err_set(err, -code, "no file in memory for a certificate: %s", strerror(-code));
    *ret = steal_fd(&fd);
    return 0;
}

/* --- sockets and the timer --- */

static void act(struct http_session *session, curl_socket_t fd, int events)
{
    struct http_client *client = session->client;
    int running;
    http_client_enter(client);
    curl_multi_socket_action(session->multi, fd, events, &running);
    http_client_leave(client);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct socket_poll *poll = handle->data;
    int what = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        what |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        what |= CURL_CSELECT_OUT;
    act(poll->session, poll->fd, what);
}

static void on_timer(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static struct socket_poll *poll_new(struct http_session *session, curl_socket_t fd)
{
    struct socket_poll *poll = xcalloc(1, sizeof(*poll));
    if (uv_poll_init_socket(http_client_loop(session->client), &poll->poll, fd) < 0) {
        free(poll);
        return NULL;
    }
    poll->poll.data = poll;
    poll->session = session;
    poll->fd = fd;
    curl_multi_assign(session->multi, fd, poll);
    return poll;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context)
{
    struct http_session *session = context;
    struct socket_poll *poll = socket_context;
    struct http_call *call = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &call);
    /* While TCP connects it waits to write; libcurl tells that moment by nothing else. */
    if (call && what == CURL_POLL_IN)
        call->is_greeted = true;
    if (what == CURL_POLL_REMOVE) {
        if (poll)
            uv_close((uv_handle_t *)&poll->poll, on_poll_closed);
        curl_multi_assign(session->multi, fd, NULL);
        return 0;
    }
    if (!poll)
        poll = poll_new(session, fd);
    /* Without a poll, which only lack of memory or descriptors does, the call ends by its time. */
    if (poll)
        uv_poll_start(&poll->poll,
                      (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0),
                      on_poll);
    return 0;
}

static int on_timeout(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct http_session *session = context;
    if (timeout_ms < 0)
        uv_timer_stop(&session->timer);
    else
        uv_timer_start(&session->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

/* tcp(7). The probes begin early enough for the last of them to fall into the time, and TCP_USER_TIMEOUT,
 * which rules for unacknowledged data too, overrides their number. */
static int on_new_socket(void *context, curl_socket_t fd, curlsocktype purpose)
{
    (void)purpose;
    const struct http_session *session = context;
    unsigned dead_after_ms = session->options.dead_after_ms;
    int seconds = (int)(dead_after_ms / 1000), interval = seconds / 5 > 1 ? seconds / 5 : 1;
    int idle = seconds - 3 * interval > 1 ? seconds - 3 * interval : 1;
    const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, idle},
        {IPPROTO_TCP, TCP_KEEPINTVL, interval},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, (int)(dead_after_ms - dead_after_ms / 10)},
    };
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(options[i].value));
    return CURL_SOCKOPT_OK;
}

/* --- sessions --- */

static char *copy(struct arena *arena, const char *text)
{
    return text ? arena_strdup(arena, text) : NULL;
}

/* golang.org/x/net/proxy leaves names to the proxy under either scheme; libcurl only under the second. */
static char *copy_proxy(struct arena *arena, const char *url)
{
    return url && strncmp(url, "socks5://", 9) == 0 ? arena_printf(arena, "socks5h://%s", url + 9)
                                                    : copy(arena, url);
}

static void take_options(struct http_session *session, const struct http_client_options *options)
{
    struct arena *arena = &session->arena;
    session->options = (struct http_client_options){
        .ca_pem = copy(arena, options->ca_pem),
        .certificate_pem = copy(arena, options->certificate_pem),
        .key_pem = copy(arena, options->key_pem),
        .server_name = copy(arena, options->server_name),
        .proxy_url = copy_proxy(arena, options->proxy_url),
        .user_agent = copy(arena, options->user_agent),
        .is_insecure = options->is_insecure,
        .connect_timeout_ms = options->connect_timeout_ms ? options->connect_timeout_ms : CONNECT_TIMEOUT_MS,
        .dead_after_ms = options->dead_after_ms ? options->dead_after_ms : DEAD_AFTER_MS,
        .pulse_path = copy(arena, options->pulse_path),
        .pulse_after_ms = options->pulse_after_ms ? options->pulse_after_ms : PULSE_AFTER_MS,
    };
}

static void on_session_closed(uv_handle_t *handle)
{
    struct http_session *session = handle->data;
    struct http_client *client = session->client;
    free(session);
    http_client_unkeep(client);
}

void http_session_close(struct http_session *session)
{
    /* Its connections are closed here, and on_socket hears of it. */
    curl_multi_cleanup(session->multi);
    const int fds[] = {session->ca_fd, session->certificate_fd, session->key_fd};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    arena_done(&session->arena);
    uv_close((uv_handle_t *)&session->timer, on_session_closed);
}

int http_session_new(struct http_session **ret, struct http_client *client,
                     const struct http_client_options *options, struct err *err)
{
    int code = check_pem(options, err);
    if (code < 0)
        return code;
    struct http_session *session = xcalloc(1, sizeof(*session));
    session->client = client;
    session->ca_fd = session->certificate_fd = session->key_fd = -1;
    session->multi = curl_multi_init();
    if (!session->multi)
        abort();
    uv_timer_init(http_client_loop(client), &session->timer);
    session->timer.data = session;
    http_client_keep(client);
    curl_multi_setopt(session->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(session->multi, CURLMOPT_SOCKETDATA, session);
    curl_multi_setopt(session->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(session->multi, CURLMOPT_TIMERDATA, session);
    curl_multi_setopt(session->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS_MAX);
    arena_init(&session->arena);
    take_options(session, options);
    session->pulse_spread_ms = http_pulse_spread_ms(&session->options);
    code = file_in_memory(options->ca_pem, &session->ca_fd, err);
    if (code == 0)
        code = file_in_memory(options->certificate_pem, &session->certificate_fd, err);
    if (code == 0)
        code = file_in_memory(options->key_pem, &session->key_fd, err);
    if (code < 0) {
        http_session_close(session);
        return code;
    }
    *ret = session;
    return 0;
}

bool http_session_has(const struct http_session *session, const struct http_client_options *options)
{
    struct http_session other = {0};
    take_options(&other, options);
    const struct http_client_options *a = &session->options, *b = &other.options;
    bool is_same = text_equal(a->ca_pem, b->ca_pem) && text_equal(a->certificate_pem, b->certificate_pem) &&
                   text_equal(a->key_pem, b->key_pem) && text_equal(a->server_name, b->server_name) &&
                   text_equal(a->proxy_url, b->proxy_url) && text_equal(a->user_agent, b->user_agent) &&
                   a->is_insecure == b->is_insecure && a->connect_timeout_ms == b->connect_timeout_ms &&
                   a->dead_after_ms == b->dead_after_ms && text_equal(a->pulse_path, b->pulse_path) &&
                   a->pulse_after_ms == b->pulse_after_ms;
    arena_done(&other.arena);
    return is_same;
}

static void set_file(CURL *easy, CURLoption option, int fd)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (fd >= 0)
        curl_easy_setopt(easy, option, path);
}

void http_session_prepare(const struct http_session *session, CURL *easy)
{
    const struct http_client_options *options = &session->options;
    set_file(easy, CURLOPT_CAINFO, session->ca_fd);
    set_file(easy, CURLOPT_PROXY_CAINFO, session->ca_fd);
    /* The system's authorities are libcurl's default beside the file, not instead of it. */
    if (session->ca_fd >= 0) {
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
        curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
    }
    set_file(easy, CURLOPT_SSLCERT, session->certificate_fd);
    set_file(easy, CURLOPT_SSLKEY, session->key_fd);
    if (options->is_insecure) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (options->proxy_url)
        curl_easy_setopt(easy, CURLOPT_PROXY, options->proxy_url);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (options->user_agent)
        curl_easy_setopt(easy, CURLOPT_USERAGENT, options->user_agent);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* Or giving up a name that does not resolve would wait for its thread, and the loop with it. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_new_socket);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, session);
}
