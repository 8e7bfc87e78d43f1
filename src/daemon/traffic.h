/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "daemon/sync.h"
#include "dataplane/connections.h"
#include "dataplane/flows.h"

#include <uv.h>

/* What Services carry: connections by zone for /metrics, endpoints and connections by Service for
 * /metrics/services. Nothing is counted until somebody asks, and nothing is added to the packet path.
 *
 * A count lists conntrack. It begins when a page is asked for and the last one is older than
 * TRAFFIC_KEEP_MS; the page waits for it for TRAFFIC_PAGE_MS, which does for a few thousand entries.
 * What is left goes on from the loop in pieces of TRAFFIC_PIECE_MS, and is told by the next page. */

#define TRAFFIC_KEEP_MS 10000
#define TRAFFIC_STALE_MS 300000 /* as Prometheus has it: what is older is told no more */
#define TRAFFIC_PAGE_MS 10
#define TRAFFIC_PIECE_MS 2
/* Entries; a longer list is cut, and the page says so. */
#define TRAFFIC_ENTRIES_MAX 1000000

struct traffic_count;

struct traffic {
    uv_loop_t *loop;
    const struct sync *sync;
    const struct interface_addresses *interfaces;
    struct traffic_count *count; /* under way, or NULL */
    /* Of the last count that ended; has_result is false before the first one, and after one that failed. */
    bool has_result, is_cut;
    struct connections result;
    uint64_t ended_ms; /* loop time; of failures too */
    double ended_at_s; /* since 1970 */
    double took_s;     /* of the loop's time */
    uint64_t entries;  /* read, of whatever kind */
    uint64_t failures;
    bool has_ended;
    void (*report)(void *context, const char *sentence); /* of a failure that follows no other; may be NULL */
    void *context;
};

/* All that is given outlives it. */
void traffic_init(struct traffic *traffic, uv_loop_t *loop, const struct sync *sync,
                  const struct interface_addresses *interfaces);
/* Ends a count that is under way; its memory goes when the loop next turns. Safe on a zeroed one. */
void traffic_done(struct traffic *traffic);

/* The families of /metrics. */
void traffic_format(struct traffic *traffic, struct text *text);
/* /metrics/services, whole. */
void traffic_format_services(struct traffic *traffic, struct text *text);
