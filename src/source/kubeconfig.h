/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* What the current context of a kubeconfig file says (k8s.io/client-go/tools/clientcmd/api/v1). Strings are
 * NULL where nothing is said; paths are resolved against the folder of the file that names them. */

/* A program that gives credentials (client.authentication.k8s.io). */
struct kubeconfig_exec {
    const char *command;                  /* NULL: none is asked */
    const char *const *args, *const *env; /* end in NULL; args without the command, env as NAME=value */
    const char *api_version;
    const char *install_hint;
    const char *cluster_config; /* the cluster's extension for the program, as JSON */
    bool provides_cluster;
};

struct kubeconfig {
    const char *server, *server_name, *proxy_url;
    const char *ca_file, *ca_pem;
    const char *certificate_file, *certificate_pem, *key_file, *key_pem;
    const char *token, *token_file, *username, *password;
    bool is_insecure;
    struct kubeconfig_exec exec;
};

#define KUBECONFIG_MAX ((size_t)1 << 20)

/* Reads one file, or several with colons between them as in $KUBECONFIG: of two that give the same name, or
 * the current context, the first counts, and those that do not exist are passed over as long as one does.
 * Everything lives in the arena. -ENOENT, -EINVAL and the like with a sentence that names the file and the
 * field. */
int kubeconfig_read(const char *paths, struct arena *arena, struct kubeconfig *ret, struct err *err);
