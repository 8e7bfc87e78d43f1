/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/sources.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "config/proxy_config.h"
#include "daemon/daemon.h"
#include "daemon/notices.h"
#include "daemon/turns.h"
#include "store/convert.h"

#include <string.h>

static void on_put(void *context, const struct api_object *object)
{
    store_put(((struct daemon *)context)->store, object);
}

static void on_remove(void *context, enum api_kind kind, const char *namespace_, const char *name)
{
    store_remove(((struct daemon *)context)->store, kind, namespace_, name);
}

static void on_settled(void *context)
{
    struct daemon *daemon = context;
    if (daemon->manifests)
        daemon->metrics.refused_objects = manifests_status(daemon->manifests)->refused;
    turns_take(daemon);
}

const struct source_status *sources_status(const struct daemon *daemon)
{
    if (daemon->apiserver)
        return apiserver_source_status(daemon->apiserver);
    return daemon->embedded.source ? registry_source_status(daemon->embedded.source)
                                   : manifests_status(daemon->manifests);
}

static void on_complaint(void *context, bool is_refusal, const char *sentence)
{
    (void)context;
    log_write(is_refusal ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, "%s", sentence);
}

static void on_synced(void *context)
{
    ((struct daemon *)context)->sync.is_source_synced = true;
}

/* The selections of kube-proxy (cmd/kube-proxy/app/server.go). */
static int open_cluster(struct daemon *daemon, const struct source_sink *sink, struct err *err)
{
    const struct options *options = &daemon->options;
    const struct cluster_options access = {.kubeconfig = options->kubeconfig,
                                           .master = options->master,
                                           .user_agent = "fairlead/" FAIRLEAD_VERSION};
    struct text self = {0};
    text_printf(&self, "metadata.name=%s", options->node_name);
    const struct apiserver_selection selections[] = {
        {API_NODE, "", self.data, false},
        {API_SERVICE_CIDR, "", "", true},
        {API_SERVICE, "!service.kubernetes.io/service-proxy-name", "spec.clusterIP!=None", false},
        {API_ENDPOINT_SLICE, "!service.kubernetes.io/headless", "", false},
    };
    const struct proxy_settings *settings = options->proxy_config->settings;
    const struct apiserver_source_options source = {
        .selections = selections,
        .selection_count = ARRAY_LEN(selections),
        .qps = (double)settings->qps,
        .burst = (unsigned)settings->burst,
        .prefers_json = strcmp(settings->content_type, "application/json") == 0,
    };
    int code = cluster_open(&daemon->cluster, &daemon->loop, &access, err);
    if (code == 0)
        code = apiserver_source_open(&daemon->apiserver, daemon->cluster, &daemon->loop, &source, sink,
                                     on_synced, err);
    text_done(&self);
    if (code == 0)
        notices_open(daemon);
    return code;
}

static struct source_sink sink_of(struct daemon *daemon)
{
    return (struct source_sink){daemon, on_put, on_remove, on_settled, on_complaint};
}

/* The folder tells the walk by itself, or, where there is a registry, the registry, whose watch then tells
 * the walk. */
static int open_standalone(struct daemon *daemon, const struct source_sink *sink, struct err *err)
{
    const struct options *options = &daemon->options;
    if (!options->data_dir)
        return manifests_open(&daemon->manifests, &daemon->loop, options->manifests, MANIFESTS_COMPLETE, sink,
                              err);
    int code = embedded_open(&daemon->embedded, &daemon->loop, options, sink, err);
    if (code < 0 || !options->manifests)
        return code;
    const struct source_sink applier = embedded_begin_listing(&daemon->embedded);
    code = manifests_open(&daemon->manifests, &daemon->loop, options->manifests, MANIFESTS_AS_WRITTEN,
                          &applier, err);
    return code < 0 ? code : embedded_finish_listing(&daemon->embedded, err);
}

int sources_open(struct daemon *daemon, struct err *err)
{
    const struct source_sink sink = sink_of(daemon);
    if (daemon->options.role == ROLE_PROXY)
        return open_cluster(daemon, &sink, err);
    int code = open_standalone(daemon, &sink, err);
    if (code < 0)
        return code;
    daemon->sync.is_source_synced = true;
    on_settled(daemon);
    return 0;
}

int sources_read_folder(struct daemon *daemon, struct err *err)
{
    const struct source_sink sink = sink_of(daemon);
    return manifests_open(&daemon->manifests, &daemon->loop, daemon->options.manifests, MANIFESTS_COMPLETE,
                          &sink, err);
}

void sources_close(struct daemon *daemon)
{
    manifests_close(daemon->manifests);
    apiserver_source_close(daemon->apiserver);
    notices_close(daemon);
    cluster_close(daemon->cluster);
    embedded_close(&daemon->embedded);
}
