/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/cluster_exec.h"

#include "api/base64.h"
#include "api/scalar.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX ((size_t)1 << 20)
#define CA_KEY "certificate-authority-data"

struct cluster_exec {
    uv_process_t process;
    uv_pipe_t output;
    uv_timer_t timer;
    unsigned handles;
    char *command, *api_version;
    struct text text;
    bool has_exited, has_output, is_over;
    int64_t status;
    int signal;
    cluster_exec_done_fn *done;
    void *context;
    char buffer[16384];
};

/* --- the end --- */

static void on_closed(uv_handle_t *handle)
{
    struct cluster_exec *exec = handle->data;
    if (--exec->handles > 0)
        return;
    text_done(&exec->text);
    free(exec->command);
    free(exec->api_version);
    free(exec);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

/* The process handle stays until the program is dead, or it would be left as a zombie. */
static void finish(struct cluster_exec *exec)
{
    exec->is_over = true;
    close_handle((uv_handle_t *)&exec->output);
    close_handle((uv_handle_t *)&exec->timer);
    if (exec->has_exited)
        close_handle((uv_handle_t *)&exec->process);
    else
        kill(-uv_process_get_pid(&exec->process), SIGKILL);
}

void cluster_exec_cancel(struct cluster_exec *exec)
{
    if (!exec || exec->is_over)
        return;
    finish(exec);
    if (exec->has_exited)
        return;
    pid_t pid = uv_process_get_pid(&exec->process);
    close_handle((uv_handle_t *)&exec->process);
    waitpid(pid, NULL, 0); /* nobody else will, and a killed program does not make us wait */
}

static void fail(struct cluster_exec *exec, int code, const char *what)
{
    struct err err;
    err_set(&err, code, "the credential program %s %s", exec->command, what);
    finish(exec);
    exec->done(exec->context, -code, &err, NULL);
}

/* --- the answer --- */

static const char *string_of(json_t *status, const char *field)
{
    const char *value = json_string_value(json_object_get(status, field));
    return value && *value ? value : NULL;
}

static bool is_clean(const char *token)
{
    for (; token && *token; token++)
        if ((unsigned char)*token <= ' ' || *token == 127)
            return false;
    return true;
}

/* NULL, or what is wrong with the answer. */
static const char *judge(const struct cluster_exec *exec, json_t *tree, struct cluster_credential *ret)
{
    json_t *status = json_object_get(tree, "status");
    const char *expires = string_of(status, "expirationTimestamp");
    int32_t nanos;
    if (!text_equal(string_of(tree, "kind"), "ExecCredential"))
        return "answered with something else than an ExecCredential";
    if (!text_equal(string_of(tree, "apiVersion"), exec->api_version))
        return "answered in another API version than it was configured for";
    if (!json_is_object(status))
        return "answered without a status";
    *ret = (struct cluster_credential){.token = string_of(status, "token"),
                                       .certificate_pem = string_of(status, "clientCertificateData"),
                                       .key_pem = string_of(status, "clientKeyData"),
                                       .expires_at = INT64_MAX};
    if (!ret->certificate_pem != !ret->key_pem)
        return "answered with a certificate or a key, not both";
    if (!ret->token && !ret->certificate_pem)
        return "answered with neither a token nor a certificate";
    if (!is_clean(ret->token))
        return "answered with a token that has blanks or control characters in it";
    if (expires && !time_parse(expires, &ret->expires_at, &nanos))
        return "answered with an expirationTimestamp that is no time";
    return NULL;
}

static void read_answer(struct cluster_exec *exec)
{
    struct cluster_credential credential;
    char what[64];
    if (exec->status != 0 || exec->signal != 0) {
        if (exec->signal)
            snprintf(what, sizeof(what), "was ended by signal %d", exec->signal);
        else
            snprintf(what, sizeof(what), "failed with exit code %d", (int)exec->status);
        fail(exec, EACCES, what);
        return;
    }
    json_t *tree = json_loadb(text_str(&exec->text), exec->text.len, 0, NULL);
    const char *wrong = tree ? judge(exec, tree, &credential) : "answered with something else than JSON";
    if (wrong) {
        fail(exec, EPROTO, wrong);
    } else {
        finish(exec);
        exec->done(exec->context, 0, NULL, &credential);
    }
    json_decref(tree);
}

static void on_exit_status(uv_process_t *process, int64_t status, int signal)
{
    struct cluster_exec *exec = process->data;
    exec->has_exited = true;
    exec->status = status;
    exec->signal = signal;
    if (exec->is_over)
        close_handle((uv_handle_t *)process);
    else if (exec->has_output)
        read_answer(exec);
}

static void on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct cluster_exec *exec = handle->data;
    *ret = uv_buf_init(exec->buffer, sizeof(exec->buffer));
}

static void on_output(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct cluster_exec *exec = stream->data;
    if (len > 0) {
        text_add_bytes(&exec->text, buffer->base, (size_t)len);
        if (exec->text.len > OUTPUT_MAX)
            fail(exec, EPROTO, "says more than 1 MiB");
    } else if (len < 0) {
        uv_read_stop(stream);
        exec->has_output = true;
        if (exec->has_exited)
            read_answer(exec);
    }
}

static void on_timeout(uv_timer_t *timer)
{
    fail(timer->data, ETIMEDOUT, "takes too long");
}

/* --- the beginning --- */

static json_t *cluster_info(const struct kubeconfig *config, const char *ca_pem)
{
    json_t *cluster = json_pack("{s:s}", "server", config->server);
    if (config->server_name)
        json_object_set_new(cluster, "tls-server-name", json_string(config->server_name));
    if (config->is_insecure)
        json_object_set_new(cluster, "insecure-skip-tls-verify", json_true());
    if (ca_pem) {
        struct text text = {0};
        base64_add(&text, (const uint8_t *)ca_pem, strlen(ca_pem));
        json_object_set_new(cluster, CA_KEY, json_string(text_str(&text)));
        text_done(&text);
    }
    if (config->proxy_url)
        json_object_set_new(cluster, "proxy-url", json_string(config->proxy_url));
    if (config->exec.cluster_config)
        json_object_set_new(cluster, "config",
                            json_loads(config->exec.cluster_config, JSON_DECODE_ANY, NULL));
    return cluster;
}

static char *exec_info(const struct kubeconfig *config, const char *ca_pem)
{
    json_t *spec = json_pack("{s:b}", "interactive", 0);
    if (config->exec.provides_cluster)
        json_object_set_new(spec, "cluster", cluster_info(config, ca_pem));
    json_t *info = json_pack("{s:s,s:s,s:o}", "kind", "ExecCredential", "apiVersion",
                             config->exec.api_version, "spec", spec);
    char *text = json_dumps(info, JSON_COMPACT);
    json_decref(info);
    return text;
}

static bool is_overridden(const char *entry, const char *const *env)
{
    size_t len = strcspn(entry, "=");
    for (; *env; env++)
        if (strncmp(*env, entry, len) == 0 && (*env)[len] == '=')
            return true;
    return false;
}

/* Our own environment, the configured one before it, and the question. */
static char **environment(const struct kubeconfig *config, const char *info, struct arena *arena)
{
    size_t count = 2, at = 0;
    for (char **each = environ; *each; each++)
        count++;
    for (const char *const *each = config->exec.env; *each; each++)
        count++;
    char **all = arena_array(arena, char *, count);
    for (const char *const *each = config->exec.env; *each; each++)
        all[at++] = arena_strdup(arena, *each);
    for (char **each = environ; *each; each++)
        if (!is_overridden(*each, config->exec.env) && strncmp(*each, "KUBERNETES_EXEC_INFO=", 21) != 0)
            all[at++] = *each;
    all[at] = arena_printf(arena, "KUBERNETES_EXEC_INFO=%s", info);
    return all;
}

static char **arguments(const struct kubeconfig *config, struct arena *arena)
{
    size_t count = 0;
    while (config->exec.args[count])
        count++;
    char **all = arena_array(arena, char *, count + 2);
    all[0] = arena_strdup(arena, config->exec.command);
    for (size_t i = 0; i < count; i++)
        all[i + 1] = arena_strdup(arena, config->exec.args[i]);
    return all;
}

/* In a session of its own, so that what it starts can be killed with it. */
static int spawn(struct cluster_exec *exec, uv_loop_t *loop, const struct kubeconfig *config,
                 const char *ca_pem)
{
    struct arena arena = {0};
    cleanup_free char *info = exec_info(config, ca_pem);
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&exec->output},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
    };
    uv_process_options_t options = {.exit_cb = on_exit_status,
                                    .file = config->exec.command,
                                    .args = arguments(config, &arena),
                                    .env = environment(config, info ? info : "", &arena),
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio_count = ARRAY_LEN(stdio),
                                    .stdio = stdio};
    int code = uv_spawn(loop, &exec->process, &options);
    arena_done(&arena);
    return code;
}

int cluster_exec_start(struct cluster_exec **ret, uv_loop_t *loop, const struct kubeconfig *config,
                       const char *ca_pem, unsigned timeout_ms, cluster_exec_done_fn *done, void *context,
                       struct err *err)
{
    const char *hint = config->exec.install_hint;
    struct cluster_exec *exec = xcalloc(1, sizeof(*exec));
    exec->command = xstrdup(config->exec.command);
    exec->api_version = xstrdup(config->exec.api_version);
    exec->done = done;
    exec->context = context;
    exec->handles = 3;
    exec->process.data = exec->output.data = exec->timer.data = exec;
    uv_timer_init(loop, &exec->timer);
    uv_pipe_init(loop, &exec->output, 0);
    int code = spawn(exec, loop, config, ca_pem);
    if (code < 0) {
        exec->has_exited = true;
        finish(exec);
        return err_set(err, -code, "the credential program %s cannot be started: %s%s%.200s",
                       config->exec.command, uv_strerror(code), hint ? "; " : "", hint ? hint : "");
    }
    uv_read_start((uv_stream_t *)&exec->output, on_buffer, on_output);
    uv_timer_start(&exec->timer, on_timeout, timeout_ms, 0);
    *ret = exec;
    return 0;
}
