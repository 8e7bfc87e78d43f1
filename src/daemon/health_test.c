/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* 2026-11-21T19:00:00Z plus this many ms, on both clocks. */
static struct health_time at(int64_t ms)
{
    return (struct health_time){.wall_ns = 1795287600000000000LL + ms * 1000000,
                                .monotonic_ns = ms * 1000000};
}

static void expect(const struct health *health, enum health_page page, struct health_time now,
                   unsigned status, const char *want)
{
    struct text body = {0};
    assert_int_equal(health_format(health, page, now, &body), status);
    assert_string_equal(body.data, want);
    text_done(&body);
}

static void starts_healthy_without_families(void **state)
{
    struct health health;
    health_init(&health, 30000);
    expect(&health, HEALTH_PAGE_HEALTHZ, at(1500), 200,
           "{\"lastUpdated\":\"2026-11-21T19:00:01.5Z\",\"currentTime\":\"2026-11-21T19:00:01.5Z\","
           "\"nodeEligible\":true,\"healthy\":true}");
    /* What is queued before the first sync does not count, however old. */
    health_queued(&health, FAMILY_IPV4, at(0));
    expect(&health, HEALTH_PAGE_LIVEZ, at(3600000), 200,
           "{\"lastUpdated\":\"2026-11-21T20:00:00Z\",\"currentTime\":\"2026-11-21T20:00:00Z\",\"healthy\":"
           "true}");
    health.is_node_eligible = false;
    expect(&health, HEALTH_PAGE_HEALTHZ, at(0), 503,
           "{\"lastUpdated\":\"0001-01-01T00:00:00Z\",\"currentTime\":\"2026-11-21T19:00:00Z\","
           "\"nodeEligible\":false,\"healthy\":true}");
}

static void is_late_after_two_sync_periods(void **state)
{
    struct health health;
    health_init(&health, 30000);
    health_updated(&health, FAMILY_IPV4, at(0));
    health_updated(&health, FAMILY_IPV6, at(250));
    health_queued(&health, FAMILY_IPV6, at(1000));
    health_queued(&health, FAMILY_IPV6, at(50000));
    assert_true(health_is_healthy(&health, at(60999)));
    assert_false(health_is_healthy(&health, at(61000)));
    expect(
        &health, HEALTH_PAGE_LIVEZ, at(60999), 200,
        "{\"lastUpdated\":\"2026-11-21T19:01:00.999Z\",\"currentTime\":\"2026-11-21T19:01:00.999Z\","
        "\"healthy\":true,\"status\":{\"IPv4\":{\"lastUpdated\":\"2026-11-21T19:00:00Z\",\"healthy\":true},"
        "\"IPv6\":{\"lastUpdated\":\"2026-11-21T19:00:00.25Z\",\"healthy\":true}}}");
    expect(
        &health, HEALTH_PAGE_LIVEZ, at(61000), 503,
        "{\"lastUpdated\":\"2026-11-21T19:00:00.25Z\",\"currentTime\":\"2026-11-21T19:01:01Z\","
        "\"healthy\":false,\"status\":{\"IPv4\":{\"lastUpdated\":\"2026-11-21T19:00:00Z\",\"healthy\":true},"
        "\"IPv6\":{\"lastUpdated\":\"2026-11-21T19:00:00.25Z\",\"healthy\":false}}}");
    health_updated(&health, FAMILY_IPV6, at(61001));
    assert_true(health_is_healthy(&health, at(10000000)));
}

/* Eligibility is no matter of the proxy's own health, and of /livez never. */
static void a_node_that_goes_away(void **state)
{
    struct health health;
    health_init(&health, 30000);
    health.is_node_eligible = false;
    health_updated(&health, FAMILY_IPV6, at(1));
    assert_true(health_is_healthy(&health, at(2)));
    expect(&health, HEALTH_PAGE_HEALTHZ, at(2), 503,
           "{\"lastUpdated\":\"2026-11-21T19:00:00.001Z\",\"currentTime\":\"2026-11-21T19:00:00.002Z\","
           "\"nodeEligible\":false,\"healthy\":true,"
           "\"status\":{\"IPv6\":{\"lastUpdated\":\"2026-11-21T19:00:00.001Z\",\"healthy\":true}}}");
    expect(&health, HEALTH_PAGE_LIVEZ, at(2), 200,
           "{\"lastUpdated\":\"2026-11-21T19:00:00.002Z\",\"currentTime\":\"2026-11-21T19:00:00.002Z\","
           "\"healthy\":true,"
           "\"status\":{\"IPv6\":{\"lastUpdated\":\"2026-11-21T19:00:00.001Z\",\"healthy\":true}}}");
}

static void a_step_of_the_wall_clock_does_no_harm(void **state)
{
    struct health health;
    struct health_time stepped = at(2000);
    stepped.wall_ns += 3600LL * 1000000000;
    health_init(&health, 30000);
    health_updated(&health, FAMILY_IPV4, at(0));
    health_queued(&health, FAMILY_IPV4, at(1000));
    assert_true(health_is_healthy(&health, stepped));
}

static void times_keep_nine_digits(void **state)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {0, "00Z"},
        {1, "00.000000001Z"},
        {10, "00.00000001Z"},
        {123456789, "00.123456789Z"},
        {120000000, "00.12Z"},
        {59100000000, "59.1Z"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct health health;
        struct text want = {0};
        struct health_time now = at(0);
        now.wall_ns += cases[i].ns;
        health_init(&health, 1);
        text_printf(&want,
                    "{\"lastUpdated\":\"2026-11-21T19:00:%s\",\"currentTime\":\"2026-11-21T19:00:%s\","
                    "\"healthy\":true}",
                    cases[i].text, cases[i].text);
        expect(&health, HEALTH_PAGE_LIVEZ, now, 200, want.data);
        text_done(&want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_healthy_without_families),
        cmocka_unit_test(is_late_after_two_sync_periods),
        cmocka_unit_test(a_node_that_goes_away),
        cmocka_unit_test(a_step_of_the_wall_clock_does_no_harm),
        cmocka_unit_test(times_keep_nine_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
