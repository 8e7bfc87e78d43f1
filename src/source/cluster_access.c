/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/cluster_access.h"

#include "api/base64.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "sys/read_file.h"

#include <errno.h>
#include <string.h>

#define FILE_MAX ((size_t)1 << 20)
#define SERVERS_MAX 32
#define SERVER_MAX 2048
#define SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

/* The time of change, not of modification: it grows whatever the writer says, and with a new link too. */
static struct cluster_file file_now(const char *path)
{
    struct stat info;
    struct cluster_file file = {.path = path};
    if (stat(path, &info) < 0)
        return file;
    file.changed = info.st_ctim;
    file.inode = info.st_ino;
    file.device = info.st_dev;
    file.size = info.st_size;
    return file;
}

static void watch(struct cluster_access *access, const char *path)
{
    if (access->file_count < CLUSTER_FILES_MAX)
        access->files[access->file_count++] = file_now(path);
}

bool cluster_access_is_stale(const struct cluster_access *access)
{
    for (size_t i = 0; i < access->file_count; i++) {
        const struct cluster_file *before = &access->files[i];
        struct cluster_file now = file_now(before->path);
        if (now.changed.tv_sec != before->changed.tv_sec || now.changed.tv_nsec != before->changed.tv_nsec ||
            now.inode != before->inode || now.device != before->device || now.size != before->size)
            return true;
    }
    return false;
}

/* Looked at before it is read: a change in between is found the next time. */
static int read_text(struct cluster_access *access, const char *path, const char **ret, struct err *err)
{
    cleanup_free char *bytes = NULL;
    size_t len;
    watch(access, path);
    int code = read_file_whole(path, FILE_MAX, &bytes, &len, err);
    if (code < 0)
        return code;
    if (memchr(bytes, '\0', len))
        return err_set(err, EINVAL, "%s has a NUL in it", path);
    *ret = arena_strndup(&access->arena, bytes, len);
    return 0;
}

/* Data count before files. */
static int read_pem(struct cluster_access *access, const char *pem, const char *path, const char **ret,
                    struct err *err)
{
    *ret = pem;
    return pem || !path ? 0 : read_text(access, path, ret, err);
}

static const char *trimmed(struct arena *arena, const char *text)
{
    text += strspn(text, " \t\r\n\v\f");
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\r\n\v\f", text[len - 1]))
        len--;
    return arena_strndup(arena, text, len);
}

static int read_token(struct cluster_access *access, struct err *err)
{
    const struct kubeconfig *config = &access->config;
    const char *token = config->token, *text;
    if (config->token_file) {
        int code = read_text(access, config->token_file, &text, err);
        if (code < 0 && !token)
            return code;
        token = code < 0 ? token : trimmed(&access->arena, text);
        if (!*token)
            return err_set(err, EINVAL, "%s is empty", config->token_file);
    }
    if (token)
        access->authorization = arena_printf(&access->arena, "Bearer %s", token);
    return 0;
}

static void take_password(struct cluster_access *access)
{
    const struct kubeconfig *config = &access->config;
    struct text pair = {0}, value = {0};
    text_printf(&pair, "%s:%s", config->username ? config->username : "",
                config->password ? config->password : "");
    text_add(&value, "Basic ");
    base64_add(&value, (const uint8_t *)pair.data, pair.len);
    access->authorization = arena_strdup(&access->arena, text_str(&value));
    text_done(&pair);
    text_done(&value);
}

static int read_credentials(struct cluster_access *access, struct err *err)
{
    const struct kubeconfig *config = &access->config;
    int code = read_pem(access, config->ca_pem, config->ca_file, &access->ca_pem, err);
    if (code == 0)
        code = read_pem(access, config->certificate_pem, config->certificate_file, &access->certificate_pem,
                        err);
    if (code == 0)
        code = read_pem(access, config->key_pem, config->key_file, &access->key_pem, err);
    if (code == 0)
        code = read_token(access, err);
    if (code == 0 && (config->username || config->password))
        take_password(access);
    return code;
}

/* As client-go: without a scheme it is https where anything of TLS is said, else http. */
static int add_server(struct cluster_access *access, const char *url, struct err *err)
{
    const struct kubeconfig *config = &access->config;
    bool is_tls = config->ca_file || config->ca_pem || config->certificate_file || config->certificate_pem ||
                  config->is_insecure;
    char *text = strstr(url, "://") ? arena_strdup(&access->arena, url)
                                    : arena_printf(&access->arena, "http%s://%s", is_tls ? "s" : "", url);
    const char *host = strstr(text, "://") + 3;
    for (char *end = text + strlen(text); end > host && end[-1] == '/';)
        *--end = '\0';
    bool is_http = strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
    if (strlen(text) > SERVER_MAX || !is_http || !*host || *host == '/' || strpbrk(text, " ?#@\t\r\n"))
        return err_set(err, EINVAL, "\"%.200s\" is not the URL of a server", text);
    if (access->server_count == SERVERS_MAX)
        return err_set(err, EINVAL, "more than %d servers are given", SERVERS_MAX);
    access->servers[access->server_count++] = text;
    return 0;
}

static int take_servers(struct cluster_access *access, const char *master, struct err *err)
{
    access->servers = arena_array(&access->arena, const char *, SERVERS_MAX);
    const char *list = master && *master ? master : access->config.server;
    for (const char *at = list ? list : ""; *at;) {
        size_t len = strcspn(at, ",");
        const char *piece = trimmed(&access->arena, arena_strndup(&access->arena, at, len));
        int code = *piece ? add_server(access, piece, err) : 0;
        if (code < 0)
            return code;
        at += len + (at[len] == ',');
    }
    return access->server_count > 0 ? 0 : err_set(err, EINVAL, "no server is given for the cluster");
}

/* k8s.io/client-go/rest, InClusterConfig. */
static int take_service_account(struct cluster_access *access, const char *dir, struct err *err)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    struct arena *arena = &access->arena;
    if (!host || !*host || !port || !*port)
        return err_set(
            err, ENOENT,
            "no kubeconfig is given, and KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, which a "
            "pod has, are not set");
    bool is_v6 = strchr(host, ':') && host[0] != '[';
    access->config.server =
        arena_printf(arena, "https://%s%s%s:%s", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
    access->config.token_file = arena_printf(arena, "%s/token", dir ? dir : SERVICE_ACCOUNT);
    access->config.ca_file = arena_printf(arena, "%s/ca.crt", dir ? dir : SERVICE_ACCOUNT);
    return 0;
}

static int read_kubeconfig(struct cluster_access *access, const char *paths, struct err *err)
{
    if (!strchr(paths, ':'))
        watch(access, arena_strdup(&access->arena, paths));
    for (const char *at = paths; strchr(paths, ':') && *at; at += *at == ':') {
        size_t len = strcspn(at, ":");
        if (len > 0 && access->file_count < CLUSTER_FILES_MAX - 4)
            watch(access, arena_strndup(&access->arena, at, len));
        at += len;
    }
    return kubeconfig_read(paths, &access->arena, &access->config, err);
}

int cluster_access_read(struct cluster_access *ret, const struct cluster_options *options, struct err *err)
{
    struct cluster_access access = {0};
    bool has_file = options->kubeconfig && *options->kubeconfig;
    int code = 0;
    arena_init(&access.arena);
    if (has_file)
        code = read_kubeconfig(&access, options->kubeconfig, err);
    else if (!options->master || !*options->master)
        code = take_service_account(&access, options->service_account_dir, err);
    if (code == 0)
        code = take_servers(&access, options->master, err);
    if (code == 0)
        code = read_credentials(&access, err);
    if (code < 0) {
        if (has_file && access.config.server)
            err_prefix(err, code, "%s", options->kubeconfig);
        arena_done(&access.arena);
        return code;
    }
    *ret = access;
    return 0;
}

void cluster_access_done(struct cluster_access *access)
{
    arena_done(&access->arena);
    *access = (struct cluster_access){0};
}
