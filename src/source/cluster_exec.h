/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "source/kubeconfig.h"

#include <stdint.h>
#include <uv.h>

/* One run of a credential program (client.authentication.k8s.io/v1 and v1beta1, KEP-541): it is told of the
 * cluster in KUBERNETES_EXEC_INFO and answers with an ExecCredential on its standard output. */

struct cluster_exec;

struct cluster_credential {
    const char *token;                     /* NULL: none */
    const char *certificate_pem, *key_pem; /* both or none */
    int64_t expires_at;                    /* seconds since 1970; INT64_MAX: never */
};

/* Called once unless the run is cancelled, from the loop; the run is gone when it returns. credential is NULL
 * where code is negative: -ETIMEDOUT, -EPROTO for an answer of no use, -EACCES for a program that failed. */
typedef void cluster_exec_done_fn(void *context, int code, const struct err *err,
                                  const struct cluster_credential *credential);

/* Starts the program named in config->exec. -ENOENT and the like when it cannot be started. */
int cluster_exec_start(struct cluster_exec **ret, uv_loop_t *loop, const struct kubeconfig *config,
                       const char *ca_pem, unsigned timeout_ms, cluster_exec_done_fn *done, void *context,
                       struct err *err);
/* Kills the program and whatever it started. NULL is allowed. The memory goes when the loop has seen it die.
 */
void cluster_exec_cancel(struct cluster_exec *exec);
