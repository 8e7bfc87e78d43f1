/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/kubeconfig.h"

#include "api/base64.h"
#include "api/wire.h"
#include "base/cleanup.h"
#include "sys/read_file.h"

#include <errno.h>
#include <string.h>

#define FILES_MAX 32
#define LIST_MAX 1024
/* The cluster's extension that a credential program is given (KEP-541). */
#define EXEC_EXTENSION "client.authentication.k8s.io/exec"

struct file {
    const char *path;
    json_t *tree;
};

/* Where the reader is, and the first thing that was wrong. */
struct reader {
    struct arena *arena;
    const char *path;  /* of the file */
    const char *place; /* "users[admin].user" */
    int code;
    struct err *err;
};

static void refuse(struct reader *reader, const char *field, const char *what)
{
    if (reader->code == 0)
        reader->code =
            err_set(reader->err, EINVAL, "%s: %s%s%s%s%s", reader->path, reader->place,
                    *reader->place && *field ? "." : "", field, *reader->place || *field ? " " : "", what);
}

/* Null counts as absent. */
static json_t *get(struct reader *reader, json_t *map, const char *field, json_type type, const char *what)
{
    json_t *value = json_object_get(map, field);
    if (!value || json_is_null(value))
        return NULL;
    if (json_typeof(value) == type)
        return value;
    refuse(reader, field, what);
    return NULL;
}

static const char *get_string(struct reader *reader, json_t *map, const char *field)
{
    json_t *value = get(reader, map, field, JSON_STRING, "has to be a string");
    if (!value || json_string_length(value) == 0)
        return NULL;
    if (strlen(json_string_value(value)) == json_string_length(value))
        return arena_strdup(reader->arena, json_string_value(value));
    refuse(reader, field, "has a NUL in it");
    return NULL;
}

static bool get_bool(struct reader *reader, json_t *map, const char *field)
{
    json_t *value = json_object_get(map, field);
    if (value && !json_is_null(value) && !json_is_boolean(value))
        refuse(reader, field, "has to be true or false");
    return json_is_true(value);
}

static const char *get_path(struct reader *reader, json_t *map, const char *field)
{
    const char *value = get_string(reader, map, field), *slash = strrchr(reader->path, '/');
    if (!value || value[0] == '/' || !slash)
        return value;
    return arena_printf(reader->arena, "%.*s/%s", (int)(slash - reader->path), reader->path, value);
}

static const char *get_data(struct reader *reader, json_t *map, const char *field)
{
    const char *value = get_string(reader, map, field);
    uint8_t *bytes;
    size_t len;
    if (!value)
        return NULL;
    if (!base64_parse(value, reader->arena, &bytes, &len) || memchr(bytes, '\0', len)) {
        refuse(reader, field, "is not a text in base64");
        return NULL;
    }
    return arena_strndup(reader->arena, (const char *)bytes, len);
}

/* The map under that name in one of the lists of named things. *ret_file is the file that has it. */
static json_t *find(const struct file *files, size_t count, const char *list, const char *part,
                    const char *name, struct reader *reader)
{
    size_t index;
    json_t *entry;
    for (size_t i = 0; i < count; i++) {
        reader->path = files[i].path;
        reader->place = "";
        json_t *entries = get(reader, files[i].tree, list, JSON_ARRAY, "has to be a list");
        json_array_foreach(entries, index, entry)
        {
            if (text_cmp(json_string_value(json_object_get(entry, "name")), name) != 0)
                continue;
            reader->place = arena_printf(reader->arena, "%s[%s].%s", list, name, part);
            json_t *value = json_object_get(entry, part);
            if (!json_is_object(value))
                refuse(reader, "", "has to be a map");
            return json_is_object(value) ? value : NULL;
        }
    }
    reader->path = files[0].path;
    reader->place = "";
    refuse(reader, "", arena_printf(reader->arena, "there is no entry named \"%s\" in %s", name, list));
    return NULL;
}

static void both(struct reader *reader, const void *a, const void *b, const char *name_a, const char *name_b)
{
    if (a && b)
        refuse(reader, name_a, arena_printf(reader->arena, "and %s are both given: only one counts", name_b));
}

static void read_cluster(struct reader *reader, json_t *map, struct kubeconfig *ret)
{
    size_t index;
    json_t *entry;
    ret->server = get_string(reader, map, "server");
    ret->server_name = get_string(reader, map, "tls-server-name");
    ret->proxy_url = get_string(reader, map, "proxy-url");
    ret->is_insecure = get_bool(reader, map, "insecure-skip-tls-verify");
    ret->ca_file = get_path(reader, map, "certificate-authority");
    ret->ca_pem = get_data(reader, map, "certificate-authority-data");
    both(reader, ret->ca_file, ret->ca_pem, "certificate-authority", "certificate-authority-data");
    if (ret->is_insecure && (ret->ca_file || ret->ca_pem))
        refuse(reader, "insecure-skip-tls-verify", "makes no sense beside a certificate authority");
    json_t *extensions = get(reader, map, "extensions", JSON_ARRAY, "has to be a list");
    json_array_foreach(extensions, index, entry)
    {
        if (text_cmp(json_string_value(json_object_get(entry, "name")), EXEC_EXTENSION) != 0)
            continue;
        char *dumped = json_dumps(json_object_get(entry, "extension"), JSON_COMPACT | JSON_ENCODE_ANY);
        ret->exec.cluster_config = dumped ? arena_strdup(reader->arena, dumped) : NULL;
        free(dumped);
    }
}

static const char *const *read_strings(struct reader *reader, json_t *list, const char *field)
{
    size_t count = json_array_size(list), index;
    json_t *entry;
    if (count > LIST_MAX) {
        refuse(reader, field, "is too long");
        count = 0;
    }
    const char **strings = arena_array(reader->arena, const char *, count + 1);
    json_array_foreach(list, index, entry)
    {
        if (index == count)
            break;
        if (!json_is_string(entry))
            refuse(reader, field, "has to be a list of strings");
        else
            strings[index] = arena_strdup(reader->arena, json_string_value(entry));
    }
    return strings;
}

static const char *const *read_environment(struct reader *reader, json_t *list)
{
    size_t count = json_array_size(list), index;
    json_t *entry;
    if (count > LIST_MAX) {
        refuse(reader, "env", "is too long");
        count = 0;
    }
    const char **strings = arena_array(reader->arena, const char *, count + 1);
    json_array_foreach(list, index, entry)
    {
        if (index == count)
            break;
        const char *name = get_string(reader, entry, "name"), *value = get_string(reader, entry, "value");
        if (!name || strchr(name, '='))
            refuse(reader, "env", "has an entry without a usable name");
        strings[index] = arena_printf(reader->arena, "%s=%s", name ? name : "", value ? value : "");
    }
    return strings;
}

static void read_exec(struct reader *reader, json_t *map, struct kubeconfig_exec *ret)
{
    reader->place = arena_printf(reader->arena, "%s.exec", reader->place);
    ret->command = get_string(reader, map, "command");
    if (ret->command && strchr(ret->command, '/'))
        ret->command = get_path(reader, map, "command");
    ret->args = read_strings(reader, get(reader, map, "args", JSON_ARRAY, "has to be a list"), "args");
    ret->env = read_environment(reader, get(reader, map, "env", JSON_ARRAY, "has to be a list"));
    ret->api_version = get_string(reader, map, "apiVersion");
    ret->install_hint = get_string(reader, map, "installHint");
    ret->provides_cluster = get_bool(reader, map, "provideClusterInfo");
    const char *mode = get_string(reader, map, "interactiveMode");
    if (!ret->command)
        refuse(reader, "command", "is missing");
    bool is_v1 = text_equal(ret->api_version, "client.authentication.k8s.io/v1");
    if (!is_v1 && !text_equal(ret->api_version, "client.authentication.k8s.io/v1beta1"))
        refuse(reader, "apiVersion",
               "has to be client.authentication.k8s.io/v1 or client.authentication.k8s.io/v1beta1");
    if (is_v1 && !mode)
        refuse(reader, "interactiveMode", "is missing");
    if (text_equal(mode, "Always"))
        refuse(reader, "interactiveMode", "is Always, and there is nobody to ask here");
    else if (mode && !text_equal(mode, "Never") && !text_equal(mode, "IfAvailable"))
        refuse(reader, "interactiveMode", "has to be Never, IfAvailable or Always");
}

static void read_user(struct reader *reader, json_t *map, struct kubeconfig *ret)
{
    static const char *const unknown[] = {"auth-provider", "as", "as-uid", "as-groups", "as-user-extra"};
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        if (json_object_get(map, unknown[i]) && !json_is_null(json_object_get(map, unknown[i])))
            refuse(reader, unknown[i], "is not supported");
    ret->certificate_file = get_path(reader, map, "client-certificate");
    ret->certificate_pem = get_data(reader, map, "client-certificate-data");
    ret->key_file = get_path(reader, map, "client-key");
    ret->key_pem = get_data(reader, map, "client-key-data");
    both(reader, ret->certificate_file, ret->certificate_pem, "client-certificate",
         "client-certificate-data");
    both(reader, ret->key_file, ret->key_pem, "client-key", "client-key-data");
    bool has_certificate = ret->certificate_file || ret->certificate_pem;
    if (has_certificate && !ret->key_file && !ret->key_pem)
        refuse(reader, "client-key", "is missing beside the client certificate");
    if (!has_certificate) /* as clientcmd */
        ret->key_file = ret->key_pem = NULL;
    ret->token = get_string(reader, map, "token");
    ret->token_file = get_path(reader, map, "tokenFile");
    ret->username = get_string(reader, map, "username");
    ret->password = get_string(reader, map, "password");
    if ((ret->token || ret->token_file) && (ret->username || ret->password))
        refuse(reader, "token", "and username are both given: only one way to be known is allowed");
    json_t *exec = get(reader, map, "exec", JSON_OBJECT, "has to be a map");
    if (exec)
        read_exec(reader, exec, &ret->exec);
    /* As client-go: whoever is known already does not ask a program. */
    if (ret->token || ret->token_file || ret->username || ret->password || has_certificate)
        ret->exec.command = NULL;
}

static void read_current(struct reader *reader, const struct file *files, size_t count,
                         struct kubeconfig *ret)
{
    const char *name = NULL;
    for (size_t i = 0; i < count && !name; i++) {
        reader->path = files[i].path;
        reader->place = "";
        name = get_string(reader, files[i].tree, "current-context");
    }
    if (!name) {
        reader->path = files[0].path;
        refuse(reader, "current-context", "is missing");
        return;
    }
    json_t *context = find(files, count, "contexts", "context", name, reader);
    const char *cluster = get_string(reader, context, "cluster"), *user = get_string(reader, context, "user");
    if (context && !cluster)
        refuse(reader, "cluster", "is missing");
    if (reader->code < 0)
        return;
    json_t *map = find(files, count, "clusters", "cluster", cluster, reader);
    if (map)
        read_cluster(reader, map, ret);
    /* A context without a user is anonymous. */
    map = reader->code == 0 && user ? find(files, count, "users", "user", user, reader) : NULL;
    if (map)
        read_user(reader, map, ret);
}

static int read_tree(const char *path, json_t **ret, struct err *err)
{
    cleanup_free char *bytes = NULL;
    size_t len;
    int code = read_file_whole(path, KUBECONFIG_MAX, &bytes, &len, err);
    if (code < 0)
        return code;
    json_t *tree = wire_tree_from_yaml(bytes, len, err);
    if (!tree)
        return err_prefix(err, -EINVAL, "%s", path);
    const char *kind = json_string_value(json_object_get(tree, "kind"));
    const char *version = json_string_value(json_object_get(tree, "apiVersion"));
    if (!json_is_object(tree) || (kind && *kind && strcmp(kind, "Config") != 0) ||
        (version && *version && strcmp(version, "v1") != 0)) {
        json_decref(tree);
        return err_set(err, EINVAL, "%s is not a Config of v1", path);
    }
    *ret = tree;
    return 0;
}

static int read_files(const char *paths, struct arena *arena, struct file files[FILES_MAX], size_t *ret_count,
                      struct err *err)
{
    int code = read_tree(paths, &files[0].tree, err);
    files[0].path = arena_strdup(arena, paths);
    *ret_count = code == 0 ? 1 : 0;
    if (code != -ENOENT || !strchr(paths, ':'))
        return code;
    for (const char *at = paths; *at; at += *at == ':') {
        size_t len = strcspn(at, ":");
        const char *path = arena_strndup(arena, at, len);
        at += len;
        if (len == 0)
            continue;
        if (*ret_count == FILES_MAX)
            return err_set(err, EINVAL, "more than %d kubeconfig files are given", FILES_MAX);
        int one = read_tree(path, &files[*ret_count].tree, err);
        if (one < 0 && one != -ENOENT)
            return one;
        files[*ret_count].path = path;
        *ret_count += one == 0 ? 1 : 0;
    }
    return *ret_count > 0 ? 0 : err_set(err, ENOENT, "none of the kubeconfig files %s is there", paths);
}

int kubeconfig_read(const char *paths, struct arena *arena, struct kubeconfig *ret, struct err *err)
{
    struct file files[FILES_MAX] = {0};
    struct kubeconfig config = {0};
    size_t count = 0;
    int code = read_files(paths, arena, files, &count, err);
    if (code == 0) {
        struct reader reader = {.arena = arena, .err = err};
        read_current(&reader, files, count, &config);
        code = reader.code;
    }
    for (size_t i = 0; i < count; i++)
        json_decref(files[i].tree);
    if (code == 0)
        *ret = config;
    return code;
}
