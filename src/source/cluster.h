/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "source/rest_metrics.h"
#include "sys/http_client.h"

#include <stdint.h>
#include <uv.h>

/* How to reach an apiserver and who we are to it: a kubeconfig file (clientcmd/api/v1), or the service
 * account of a pod. Files and credentials that change are read again; while they cannot be read, or do not
 * belong together, the old ones go on. */

struct cluster;

struct cluster_options {
    /* NULL or "": in-cluster (KUBERNETES_SERVICE_HOST, /var/run/secrets/kubernetes.io/serviceaccount), or,
     * with master, nobody in particular. Several with colons between them are read as $KUBECONFIG is. */
    const char *kubeconfig;
    /* --master: overrides the server's URL; several, comma-separated, are tried in turn; NULL or "": none */
    const char *master;
    const char *user_agent;
    const char *service_account_dir; /* for tests; NULL: the usual one */
    unsigned exec_timeout_ms;        /* of a credential program; 0: 60000 */
    unsigned connect_timeout_ms;     /* as in struct http_client_options */
    unsigned dead_after_ms;
    unsigned pulse_after_ms; /* 0: FAIRLEAD_PULSE_MS of the environment, else its default */
};

/* Reads everything once; a credential program runs at the first call. -EINVAL, -ENOENT and a sentence that
 * names the file and the field. */
int cluster_open(struct cluster **ret, uv_loop_t *loop, const struct cluster_options *options,
                 struct err *err);
/* Ends all calls without telling them. NULL is allowed. The memory goes when the loop next turns. */
void cluster_close(struct cluster *cluster);

/* "https://10.0.0.1:6443", without a slash at the end: the server in use; valid until the loop next turns or
 * a call is started. cluster_next moves on to the next one after a failure (fail-over over several). */
const char *cluster_server(const struct cluster *cluster);
void cluster_next(struct cluster *cluster);
struct http_client *cluster_client(struct cluster *cluster);

struct cluster_request {
    const char *method, *path, *accept, *content_type, *body;
    size_t body_len;
    unsigned timeout_ms;
    /* For counting: a watch, whose answer has no end; and how long its caller has held the call back. */
    bool is_stream;
    uint64_t throttled_ms;
};
/* Starts a call to path ("/api/v1/services?...") at the server in use with our credentials; files are read
 * again when they changed (looked at when a call starts, at most once a second) and a token's at least each
 * minute, a token of a credential program when it expired or after a 401 (cluster_unauthorized). While that
 * program runs the call waits; when it fails the call ends, as every way of not getting credentials, with its
 * code and sentence. As http_call_start otherwise; nothing is called from inside. */
int cluster_call(struct cluster *cluster, const struct cluster_request *request,
                 const struct http_call_ops *ops, void *context, struct http_call **ret, struct err *err);
/* A call was answered with 401: forget what can be got anew. */
void cluster_unauthorized(struct cluster *cluster);

/* Of all its calls. */
const struct rest_metrics *cluster_metrics(const struct cluster *cluster);
