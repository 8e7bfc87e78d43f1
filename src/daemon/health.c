/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/health.h"

#include <stdio.h>
#include <time.h>

#define NS_PER_MS 1000000LL
#define NS_PER_S 1000000000LL
#define RFC3339_NANO_MAX 40

void health_init(struct health *health, int64_t sync_period_ms)
{
    *health = (struct health){.is_node_eligible = true};
    health_set_period(health, sync_period_ms);
}

void health_set_period(struct health *health, int64_t sync_period_ms)
{
    health->timeout_ns = 2 * sync_period_ms * NS_PER_MS;
}

void health_queued(struct health *health, enum family family, struct health_time now)
{
    if (health->families[family].is_pending)
        return;
    health->families[family].is_pending = true;
    health->families[family].oldest_pending = now;
}

void health_updated(struct health *health, enum family family, struct health_time now)
{
    health->families[family].is_pending = false;
    health->families[family].was_updated = true;
    health->families[family].updated = now;
}

/* A family that never synced is starting up, which is healthy. */
static bool is_family_healthy(const struct health *health, enum family family, struct health_time now)
{
    return !health->families[family].was_updated || !health->families[family].is_pending ||
           now.monotonic_ns - health->families[family].oldest_pending.monotonic_ns < health->timeout_ns;
}

bool health_is_healthy(const struct health *health, struct health_time now)
{
    return is_family_healthy(health, FAMILY_IPV4, now) && is_family_healthy(health, FAMILY_IPV6, now);
}

/* Go's RFC3339Nano: no zeros at the fraction's end and no fraction that is 0. A NULL time is Go's zero time.
 */
static const char *time_format(const struct health_time *time, char buffer[RFC3339_NANO_MAX])
{
    if (!time) {
        snprintf(buffer, RFC3339_NANO_MAX, "0001-01-01T00:00:00Z");
        return buffer;
    }
    time_t seconds = (time_t)(time->wall_ns / NS_PER_S);
    long long fraction = time->wall_ns % NS_PER_S;
    int digits = 9;
    struct tm utc;
    gmtime_r(&seconds, &utc);
    size_t len = strftime(buffer, RFC3339_NANO_MAX, "%Y-%m-%dT%H:%M:%S", &utc);
    while (fraction > 0 && fraction % 10 == 0) {
        fraction /= 10;
        digits--;
    }
    if (fraction > 0)
        len += (size_t)snprintf(buffer + len, RFC3339_NANO_MAX - len, ".%0*lld", digits, fraction);
    snprintf(buffer + len, RFC3339_NANO_MAX - len, "Z");
    return buffer;
}

static const struct health_time *latest_update(const struct health *health)
{
    const struct health_time *latest = NULL;
    for (int family = 0; family < FAMILY_COUNT; family++) {
        const struct health_time *updated = &health->families[family].updated;
        if (health->families[family].was_updated && (!latest || updated->monotonic_ns > latest->monotonic_ns))
            latest = updated;
    }
    return latest;
}

static const char *bool_format(bool value)
{
    return value ? "true" : "false";
}

/* The member is left out while no family is known. */
static void status_add(struct text *body, const struct health *health, struct health_time now)
{
    const char *before = ",\"status\":{";
    char buffer[RFC3339_NANO_MAX];
    bool is_empty = true;
    for (enum family family = FAMILY_IPV4; family <= FAMILY_IPV6; family++) {
        if (!health->families[family].was_updated)
            continue;
        text_printf(body, "%s\"%s\":{\"lastUpdated\":\"%s\",\"healthy\":%s}", before, family_name(family),
                    time_format(&health->families[family].updated, buffer),
                    bool_format(is_family_healthy(health, family, now)));
        before = ",";
        is_empty = false;
    }
    if (!is_empty)
        text_add(body, "}");
}

unsigned health_format(const struct health *health, enum health_page page, struct health_time now,
                       struct text *body)
{
    char updated[RFC3339_NANO_MAX], current[RFC3339_NANO_MAX];
    bool is_healthy = health_is_healthy(health, now);
    bool is_good = is_healthy && (page == HEALTH_PAGE_LIVEZ || health->is_node_eligible);
    /* A good answer shows the present as its last update: clients of old releases, which synced periodically,
     * take an older time for a stuck proxy. */
    text_printf(body, "{\"lastUpdated\":\"%s\",\"currentTime\":\"%s\"",
                time_format(is_good ? &now : latest_update(health), updated), time_format(&now, current));
    if (page == HEALTH_PAGE_HEALTHZ)
        text_printf(body, ",\"nodeEligible\":%s", bool_format(health->is_node_eligible));
    text_printf(body, ",\"healthy\":%s", bool_format(is_healthy));
    status_add(body, health, now);
    text_add(body, "}");
    return is_good ? 200 : 503;
}
