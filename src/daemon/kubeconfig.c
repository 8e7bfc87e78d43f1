/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/kubeconfig.h"

#include "api/base64.h"
#include "apiserver/auth.h"
#include "base/cleanup.h"
#include "daemon/commands.h"
#include "daemon/options.h"
#include "sys/read_file.h"
#include "sys/write_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define TOKEN_BYTES 24
#define PEM_FILE_MAX ((size_t)64 << 10)
#define KUBECONFIG_PATH_MAX 4096

static void add_base64_line(struct text *text, const char *key, const char *pem, size_t len)
{
    text_printf(text, "    %s: ", key);
    base64_add(text, (const uint8_t *)pem, len);
    text_add(text, "\n");
}

/* ca: NULL for plain HTTP. */
static void begin(struct text *text, const char *server, const char *ca, size_t ca_len, const char *user)
{
    text_printf(
        text,
        "apiVersion: v1\nkind: Config\ncurrent-context: fairlead\ncontexts:\n- name: fairlead\n  context:\n"
        "    cluster: fairlead\n    user: %s\nclusters:\n- name: fairlead\n  cluster:\n    server: %s\n",
        user, server);
    if (ca)
        add_base64_line(text, "certificate-authority-data", ca, ca_len);
    text_printf(text, "users:\n- name: %s\n  user:\n", user);
}

void kubeconfig_for_token(const char *server, const char *ca_certificate_pem, size_t ca_len, const char *user,
                          const char *token, struct text *ret)
{
    begin(ret, server, ca_certificate_pem, ca_len, user);
    text_printf(ret, "    token: %s\n", token);
}

/* 48 hexadecimal digits. */
static void make_token(char token[2 * TOKEN_BYTES + 1])
{
    uint8_t bytes[TOKEN_BYTES];
    while (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        ;
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(token + 2 * i, 3, "%02x", bytes[i]);
}

/* The address that a client on this machine can use. */
static void server_url(const struct socket_address *server, bool is_plain,
                       char url[SOCKET_ADDRESS_TEXT_MAX + 8])
{
    struct socket_address at = *server;
    char text[SOCKET_ADDRESS_TEXT_MAX];
    if (address_is_unspecified(&at.address))
        address_parse(address_family(&at.address) == FAMILY_IPV4 ? "127.0.0.1" : "::1", &at.address, NULL);
    snprintf(url, SOCKET_ADDRESS_TEXT_MAX + 8, "%s://%s", is_plain ? "http" : "https",
             socket_address_format(&at, text));
}

/* kubectl sends neither certificates nor tokens over plain HTTP unless the file has a token: one is kept for
 * that. */
static int admin_token(const char *data_dir, char token[2 * TOKEN_BYTES + 1], struct err *err)
{
    char path[KUBECONFIG_PATH_MAX], tokens[KUBECONFIG_PATH_MAX];
    cleanup_free char *old = NULL;
    size_t len;
    snprintf(path, sizeof(path), "%s/admin.token", data_dir);
    snprintf(tokens, sizeof(tokens), "%s/tokens.csv", data_dir);
    if (read_file_whole(path, 2 * TOKEN_BYTES + 1, &old, &len, NULL) == 0 && len >= 2 * TOKEN_BYTES) {
        memcpy(token, old, 2 * TOKEN_BYTES);
        token[2 * TOKEN_BYTES] = '\0';
        return 0;
    }
    make_token(token);
    int code = tokens_append(tokens, token, "kubernetes-admin", "system:masters", err);
    return code < 0 ? code : write_file_whole(path, 0600, token, strlen(token), err);
}

/* What is right already is left alone: a full disk is no reason not to start. */
static int write_where_different(const char *path, const struct text *text, struct err *err)
{
    cleanup_free char *old = NULL;
    size_t len;
    if (read_file_whole(path, PEM_FILE_MAX, &old, &len, NULL) == 0 && len == text->len &&
        memcmp(old, text_str(text), len) == 0)
        return 0;
    return write_file_whole(path, 0600, text_str(text), text->len, err);
}

int kubeconfig_write_admin(const char *path, const char *data_dir, const struct socket_address *server,
                           bool is_plain, const struct pki *pki, struct err *err)
{
    struct text text = {0};
    char url[SOCKET_ADDRESS_TEXT_MAX + 8], token[2 * TOKEN_BYTES + 1];
    int code = is_plain ? admin_token(data_dir, token, err) : 0;
    if (code < 0)
        return code;
    server_url(server, is_plain, url);
    begin(&text, url, is_plain ? NULL : pki->ca_certificate, is_plain ? 0 : strlen(pki->ca_certificate),
          "kubernetes-admin");
    if (is_plain) {
        text_printf(&text, "    token: %s\n", token);
    } else {
        add_base64_line(&text, "client-certificate-data", pki->admin_certificate,
                        strlen(pki->admin_certificate));
        add_base64_line(&text, "client-key-data", pki->admin_key, strlen(pki->admin_key));
    }
    code = write_where_different(path, &text, err);
    text_done(&text);
    return code;
}

/* --- the command --- */

struct request {
    const char *data_dir, *node, *server;
};

static int usage(FILE *out, int status)
{
    fprintf(
        out,
        "Usage: fairlead kubeconfig --node NODE --server URL [--data-dir DIR]\n\n"
        "Makes a token for a node's proxy and prints a kubeconfig with it. The token may read what a proxy\n"
        "reads, and write that node's Lease, Events and Node status. To take it back, delete its line from\n"
        "tokens.csv in the data folder (" DATA_DIR_DEFAULT " unless told otherwise).\n");
    return status;
}

static bool parse(int argc, char *const *argv, struct request *ret)
{
    const struct {
        const char *name;
        const char **value;
    } flags[] = {{"--data-dir", &ret->data_dir}, {"--node", &ret->node}, {"--server", &ret->server}};
    for (int i = 0; i < argc; i++) {
        size_t found = ARRAY_LEN(flags);
        const char *equals = strchr(argv[i], '=');
        size_t len = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        for (size_t j = 0; j < ARRAY_LEN(flags); j++)
            if (strlen(flags[j].name) == len && strncmp(flags[j].name, argv[i], len) == 0)
                found = j;
        if (found == ARRAY_LEN(flags) || (!equals && i + 1 == argc))
            return false;
        *flags[found].value = equals ? equals + 1 : argv[++i];
    }
    return ret->node && *ret->node && ret->server && *ret->server;
}

static int print_node(const struct request *request, struct err *err)
{
    char path[KUBECONFIG_PATH_MAX], user[300], token[2 * TOKEN_BYTES + 1];
    cleanup_free char *ca = NULL;
    size_t len = 0;
    bool is_plain = strncmp(request->server, "http://", 7) == 0;
    if (strlen(request->node) > 253 || strpbrk(request->node, ",\"\n \t"))
        return err_set(err, EINVAL, "\"%.64s\" is not a node's name", request->node);
    if (!is_plain && strncmp(request->server, "https://", 8) != 0)
        return err_set(err, EINVAL, "--server: \"%.128s\" is not a URL such as https://192.0.2.1:6443",
                       request->server);
    snprintf(path, sizeof(path), "%s/pki/ca.crt", request->data_dir);
    int code = is_plain ? 0 : read_file_whole(path, PEM_FILE_MAX, &ca, &len, err);
    if (code < 0)
        return code;
    make_token(token);
    snprintf(user, sizeof(user), "system:node:%s", request->node);
    snprintf(path, sizeof(path), "%s/tokens.csv", request->data_dir);
    code = tokens_append(path, token, user, "system:nodes", err);
    if (code < 0)
        return code;
    struct text text = {0};
    kubeconfig_for_token(request->server, ca, len, user, token, &text);
    fputs(text_str(&text), stdout);
    text_done(&text);
    return 0;
}

int kubeconfig_main(int argc, char *const *argv)
{
    struct request request = {.data_dir = DATA_DIR_DEFAULT};
    struct err err;
    if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0))
        return usage(stdout, 0);
    if (!parse(argc, argv, &request))
        return usage(stderr, 2);
    if (print_node(&request, &err) < 0) {
        fprintf(stderr, "fairlead kubeconfig: %s\n", err.text);
        return 1;
    }
    return 0;
}
