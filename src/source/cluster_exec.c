/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/cluster_exec.h"

#include "api/base64.h"
#include "api/scalar.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "sys/program.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#define OUTPUT_MAX ((size_t)1 << 20)
#define CA_KEY "certificate-authority-data"

struct cluster_exec {
    struct program *program;
    char *api_version, *name; /* in sentences */
    cluster_exec_done_fn *done;
    void *context;
};

static void exec_free(struct cluster_exec *exec)
{
    free(exec->api_version);
    free(exec->name);
    free(exec);
}

void cluster_exec_cancel(struct cluster_exec *exec)
{
    if (!exec)
        return;
    program_cancel(exec->program);
    exec_free(exec);
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

static void read_answer(struct cluster_exec *exec, const struct program_output *output)
{
    struct cluster_credential credential;
    struct err err;
    json_t *tree = json_loadb(output->text, output->len, 0, NULL);
    const char *wrong = tree ? judge(exec, tree, &credential) : "answered with something else than JSON";
    if (wrong)
        exec->done(exec->context, err_set(&err, EPROTO, "%s %s", exec->name, wrong), &err, NULL);
    else
        exec->done(exec->context, 0, NULL, &credential);
    json_decref(tree);
}

static void on_program(void *context, int code, const struct err *err, const struct program_output *output)
{
    struct cluster_exec *exec = context;
    if (code == 0)
        read_answer(exec, output);
    else
        exec->done(exec->context, code == -EIO ? -EACCES : code == -EFBIG ? -EPROTO : code, err, NULL);
    exec_free(exec);
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
static const char *const *environment(const struct kubeconfig *config, const char *info, struct arena *arena)
{
    size_t count = 2, at = 0;
    for (char **each = environ; *each; each++)
        count++;
    for (const char *const *each = config->exec.env; *each; each++)
        count++;
    const char **all = arena_array(arena, const char *, count);
    for (const char *const *each = config->exec.env; *each; each++)
        all[at++] = *each;
    for (char **each = environ; *each; each++)
        if (!is_overridden(*each, config->exec.env) && strncmp(*each, "KUBERNETES_EXEC_INFO=", 21) != 0)
            all[at++] = *each;
    all[at] = arena_printf(arena, "KUBERNETES_EXEC_INFO=%s", info);
    return all;
}

static const char *const *arguments(const struct kubeconfig *config, struct arena *arena)
{
    size_t count = 0;
    while (config->exec.args[count])
        count++;
    const char **all = arena_array(arena, const char *, count + 2);
    all[0] = config->exec.command;
    for (size_t i = 0; i < count; i++)
        all[i + 1] = config->exec.args[i];
    return all;
}

int cluster_exec_start(struct cluster_exec **ret, uv_loop_t *loop, const struct kubeconfig *config,
                       const char *ca_pem, unsigned timeout_ms, cluster_exec_done_fn *done, void *context,
                       struct err *err)
{
    const char *hint = config->exec.install_hint;
    struct cluster_exec *exec = xcalloc(1, sizeof(*exec));
    struct arena arena = {0};
    struct err wrong;
    cleanup_free char *info = exec_info(config, ca_pem);
    exec->api_version = xstrdup(config->exec.api_version);
    exec->name = xstrdup(arena_printf(&arena, "the credential program %s", config->exec.command));
    exec->done = done;
    exec->context = context;
    const struct program_request request = {.name = exec->name,
                                            .path = config->exec.command,
                                            .argv = arguments(config, &arena),
                                            .env = environment(config, info ? info : "", &arena),
                                            .output_max = OUTPUT_MAX,
                                            .timeout_ms = timeout_ms,
                                            .passes_complaints = true,
                                            .done = on_program,
                                            .context = exec};
    int code = program_start(&exec->program, loop, &request, &wrong);
    if (code < 0) {
        exec_free(exec);
        err_set(err, -code, "%s%s%.200s", wrong.text, hint ? "; " : "", hint ? hint : "");
    } else {
        *ret = exec;
    }
    arena_done(&arena);
    return code;
}
