/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "source/cluster.h"
#include "source/source.h"

/* An apiserver as a source: list and watch of each selection, told to the sink as a folder tells. No event is
 * missed or doubled over restarts of the server, cut connections, 410, 429, 5xx and slow answers: a watch
 * goes on from the last resourceVersion (bookmarks count), a 410 leads to a new list and a difference to what
 * the sink was told (reflector.h). While the server is away nothing is taken back. */

struct apiserver_selection {
    enum api_kind kind;
    const char *label_selector, *field_selector; /* "" for none */
    /* A 403 or 404 is no fault: the kind is not served here (ServiceCIDR before 1.33). Asked for again now
     * and then. */
    bool is_optional;
};

struct apiserver_source_options {
    const struct apiserver_selection *selections; /* copied */
    size_t selection_count;                       /* 1 to 64 */
    double qps;        /* lists and watches started per second; 0: 5; negative: no limit */
    unsigned burst;    /* 0: 10 */
    unsigned page;     /* objects of a page; 0: 500. Not used where the server streams the list (KEP-3157) */
    bool prefers_json; /* contentType application/json; else protobuf, and JSON where the server has none
                          (406) */
};

struct apiserver_source;

/* Begins; returns at once, -EINVAL for no selections or too many. synced is called once with the sink's
 * context, when every selection has been listed (or is optional and absent); the sink has then heard of
 * everything, and settled follows synced. Later one settled follows all changes at hand, at most 50 ms after
 * the first of them, or a second while a list is under way.
 * Objects are decoded, defaulted (api/defaults.h, defaults_apply) but not judged: what an apiserver has
 * accepted counts, and what store/convert cannot use it passes over. One that cannot be decoded keeps its
 * last good state. complain says each fault once until it changes. Neither the sink's functions nor synced
 * may close the source. The cluster has to outlive it. */
int apiserver_source_open(struct apiserver_source **ret, struct cluster *cluster, uv_loop_t *loop,
                          const struct apiserver_source_options *options, const struct source_sink *sink,
                          void (*synced)(void *context), struct err *err);
/* Ends all calls; the memory goes when the loop next turns. NULL is allowed. */
void apiserver_source_close(struct apiserver_source *source);
/* refused: objects that cannot be decoded, now. */
const struct source_status *apiserver_source_status(const struct apiserver_source *source);
