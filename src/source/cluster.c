/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/cluster.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "source/cluster_access.h"
#include "source/cluster_exec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_MS 1000
/* As transport.NewCachedFileTokenSource of client-go: some file systems tell no change. */
#define TOKEN_MS 60000
#define EXEC_TIMEOUT_MS 60000
/* Everybody may ask for it (system:public-info-viewer), and it waits in no queue of priority and fairness. */
#define PULSE_PATH "/livez"

struct cluster {
    uv_loop_t *loop;
    struct cluster_options options; /* strings are the cluster's own */
    struct cluster_access access;
    size_t server; /* in use */
    struct http_client *client;
    uint64_t looked_ms, read_ms;
    bool must_read;
    struct cluster_exec *exec; /* NULL: not running */
    /* What the program gave, and until when; authorization and certificate_pem are NULL where it gave none.
     */
    char *exec_authorization, *exec_certificate_pem, *exec_key_pem;
    int64_t exec_expires_at; /* 0: there is nothing */
    struct rest_metrics metrics;
};

static char *copy(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

static int set_client(struct cluster *cluster, const struct cluster_access *access, struct err *err)
{
    bool is_exec = access->config.exec.command != NULL;
    struct http_client_options options = {
        .ca_pem = access->ca_pem,
        .certificate_pem = is_exec ? cluster->exec_certificate_pem : access->certificate_pem,
        .key_pem = is_exec ? cluster->exec_key_pem : access->key_pem,
        .server_name = access->config.server_name,
        .proxy_url = access->config.proxy_url,
        .user_agent = cluster->options.user_agent,
        .is_insecure = access->config.is_insecure,
        .connect_timeout_ms = cluster->options.connect_timeout_ms,
        .dead_after_ms = cluster->options.dead_after_ms,
        .pulse_path = PULSE_PATH,
        .pulse_after_ms = cluster->options.pulse_after_ms,
    };
    return cluster->client ? http_client_set_options(cluster->client, &options, err)
                           : http_client_new(&cluster->client, cluster->loop, &options, err);
}

/* --- files --- */

/* Keeps the server in use where the new list has it. */
static size_t find_server(const struct cluster *cluster, const struct cluster_access *access)
{
    for (size_t i = 0; cluster->access.server_count > 0 && i < access->server_count; i++)
        if (strcmp(access->servers[i], cluster->access.servers[cluster->server]) == 0)
            return i;
    return 0;
}

static int read_files(struct cluster *cluster, struct err *err)
{
    struct cluster_access access;
    int code = cluster_access_read(&access, &cluster->options, err);
    if (code < 0)
        return code;
    code = set_client(cluster, &access, err);
    if (code < 0) {
        cluster_access_done(&access);
        return code;
    }
    cluster->server = find_server(cluster, &access);
    cluster_access_done(&cluster->access);
    cluster->access = access;
    cluster->read_ms = uv_now(cluster->loop);
    return 0;
}

static void refresh_files(struct cluster *cluster)
{
    uint64_t now = uv_now(cluster->loop);
    if (now - cluster->looked_ms < LOOK_MS && !cluster->must_read)
        return;
    bool is_old =
        cluster->must_read || (cluster->access.config.token_file && now - cluster->read_ms >= TOKEN_MS);
    cluster->looked_ms = now;
    cluster->must_read = false;
    /* A failure says nothing: half of a change may be there, and the apiserver judges what we have. */
    if (is_old || cluster_access_is_stale(&cluster->access))
        read_files(cluster, NULL);
}

/* --- the credential program --- */

static void forget_exec(struct cluster *cluster)
{
    free(steal_pointer(&cluster->exec_authorization));
    free(steal_pointer(&cluster->exec_certificate_pem));
    free(steal_pointer(&cluster->exec_key_pem));
    cluster->exec_expires_at = 0;
}

static void on_exec_done(void *context, int code, const struct err *err,
                         const struct cluster_credential *credential)
{
    struct cluster *cluster = context;
    struct err wrong;
    struct text value = {0};
    cluster->exec = NULL;
    bool has_run = code != -EACCES && code != -ETIMEDOUT;
    cluster->metrics.exec_calls[has_run ? REST_EXEC_GOOD : REST_EXEC_FAILED]++;
    if (code < 0) {
        http_client_refuse(cluster->client, code, err);
        return;
    }
    forget_exec(cluster);
    text_printf(&value, "Bearer %s", credential->token ? credential->token : "");
    cluster->exec_authorization = credential->token ? xstrdup(text_str(&value)) : NULL;
    cluster->exec_certificate_pem = copy(credential->certificate_pem);
    cluster->exec_key_pem = copy(credential->key_pem);
    text_done(&value);
    code = set_client(cluster, &cluster->access, &wrong);
    if (code < 0) {
        forget_exec(cluster);
        err_prefix(&wrong, code, "what the credential program gave");
        http_client_refuse(cluster->client, code, &wrong);
        return;
    }
    cluster->exec_expires_at = credential->expires_at;
    http_client_release(cluster->client, cluster->exec_authorization);
}

/* Calls wait from here until the program has ended. */
static int ask_program(struct cluster *cluster, struct err *err)
{
    unsigned timeout_ms =
        cluster->options.exec_timeout_ms ? cluster->options.exec_timeout_ms : EXEC_TIMEOUT_MS;
    struct kubeconfig config = cluster->access.config;
    if (cluster->exec)
        return 0;
    config.server = cluster_server(cluster);
    int code = cluster_exec_start(&cluster->exec, cluster->loop, &config, cluster->access.ca_pem, timeout_ms,
                                  on_exec_done, cluster, err);
    if (code == 0)
        http_client_hold(cluster->client);
    else
        cluster->metrics.exec_calls[REST_EXEC_NOT_FOUND]++;
    return code;
}

/* --- counting --- */

enum call_tag { CALL_WHOLE, CALL_STREAM };

const struct rest_metrics *cluster_metrics(const struct cluster *cluster)
{
    return &cluster->metrics;
}

static void on_answered(void *context, const struct http_call_report *report)
{
    struct cluster *cluster = context;
    if (report->status < REST_STATUS_MAX)
        rest_metrics_series(&cluster->metrics, report->method, report->host)->calls[report->status]++;
}

static void on_over(void *context, const struct http_call_report *report)
{
    struct cluster *cluster = context;
    if (report->tag == CALL_STREAM)
        return;
    struct rest_series *series = rest_metrics_series(&cluster->metrics, report->method, report->host);
    histogram_observe(&series->duration, report->seconds);
    if (report->sent_bytes > 0)
        histogram_observe(&series->request_size, (double)report->sent_bytes);
    if (report->status > 0)
        histogram_observe(&series->response_size, (double)report->received_bytes);
}

static void count_throttled(struct cluster *cluster, const struct cluster_request *request)
{
    const char *url = cluster_server(cluster), *scheme = strstr(url, "://");
    const char *host = scheme ? scheme + strlen("://") : url;
    cleanup_free char *name = strndup(host, strcspn(host, "/"));
    if (!request->is_stream && name)
        histogram_observe(&rest_metrics_series(&cluster->metrics, request->method, name)->throttled,
                          (double)request->throttled_ms / 1000);
}

/* --- calls --- */

int cluster_call(struct cluster *cluster, const struct cluster_request *request,
                 const struct http_call_ops *ops, void *context, struct http_call **ret, struct err *err)
{
    refresh_files(cluster);
    const char *authorization = cluster->access.authorization;
    if (cluster->access.config.exec.command) {
        authorization = cluster->exec_authorization;
        if (cluster->exec_expires_at <= time(NULL)) {
            int code = ask_program(cluster, err);
            if (code < 0)
                return code;
            authorization = NULL;
        }
    }
    struct text url = {0};
    text_printf(&url, "%s%s", cluster_server(cluster), request->path);
    const struct http_call_request call = {.method = request->method,
                                           .url = text_str(&url),
                                           .accept = request->accept,
                                           .content_type = request->content_type,
                                           .authorization = authorization,
                                           .body = request->body,
                                           .body_len = request->body_len,
                                           .tag = request->is_stream ? CALL_STREAM : CALL_WHOLE,
                                           .timeout_ms = request->timeout_ms};
    count_throttled(cluster, request);
    int code = http_call_start(cluster->client, &call, ops, context, ret, err);
    text_done(&url);
    return code;
}

void cluster_unauthorized(struct cluster *cluster)
{
    if (cluster->exec)
        return;
    forget_exec(cluster);
    cluster->must_read = true;
}

const char *cluster_server(const struct cluster *cluster)
{
    return cluster->access.servers[cluster->server];
}

void cluster_next(struct cluster *cluster)
{
    cluster->server = (cluster->server + 1) % cluster->access.server_count;
}

struct http_client *cluster_client(struct cluster *cluster)
{
    return cluster->client;
}

/* --- opening and closing --- */

/* Tests do not wait for long. */
static unsigned pulse_after_ms(const struct cluster_options *options)
{
    const char *wanted = getenv("FAIRLEAD_PULSE_MS");
    return options->pulse_after_ms || !wanted ? options->pulse_after_ms : (unsigned)strtoul(wanted, NULL, 10);
}

int cluster_open(struct cluster **ret, uv_loop_t *loop, const struct cluster_options *options,
                 struct err *err)
{
    struct cluster *cluster = xcalloc(1, sizeof(*cluster));
    cluster->loop = loop;
    cluster->options = *options;
    cluster->options.pulse_after_ms = pulse_after_ms(options);
    cluster->options.kubeconfig = copy(options->kubeconfig);
    cluster->options.master = copy(options->master);
    cluster->options.user_agent = copy(options->user_agent);
    cluster->options.service_account_dir = copy(options->service_account_dir);
    int code = read_files(cluster, err);
    if (code < 0) {
        cluster_close(cluster);
        return code;
    }
    cluster->looked_ms = uv_now(loop);
    http_client_observe(cluster->client, &(struct http_client_observer){on_answered, on_over, cluster});
    *ret = cluster;
    return 0;
}

void cluster_close(struct cluster *cluster)
{
    if (!cluster)
        return;
    cluster_exec_cancel(cluster->exec);
    http_client_close(cluster->client);
    forget_exec(cluster);
    cluster_access_done(&cluster->access);
    rest_metrics_done(&cluster->metrics);
    free((char *)cluster->options.kubeconfig);
    free((char *)cluster->options.master);
    free((char *)cluster->options.user_agent);
    free((char *)cluster->options.service_account_dir);
    free(cluster);
}
