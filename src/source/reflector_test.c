/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/reflector.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct apiserver_selection services = {API_SERVICE, "!service.kubernetes.io/service-proxy-name",
                                                    "spec.clusterIP!=None", false};
static const struct apiserver_selection cidrs = {API_SERVICE_CIDR, NULL, NULL, true};
static const struct apiserver_selection slices = {API_ENDPOINT_SLICE, "", "", false};

static void check_path(struct reflector *reflector, uint64_t now_ms, const char *expected)
{
    struct text path = {0};
    const char *accept;
    reflector_begin(reflector, now_ms, 0, &path, &accept);
    assert_string_equal(text_str(&path), expected);
    text_done(&path);
}

static struct reflector_next refused(struct reflector *reflector, unsigned status, unsigned retry_after_s)
{
    struct reflector_end end = {.status = status, .has_refusal = true};
    end.refusal = (struct refusal){.code = status,
                                   .reason = "",
                                   .message = "",
                                   .retry_after_s = retry_after_s,
                                   .is_expired = status == 410};
    return reflector_ended(reflector, &end, reflector->began_ms + 5, 0);
}

#define SERVICES                                                                                             \
    "/api/v1/services?labelSelector=%21service.kubernetes.io%2Fservice-proxy-name"                           \
    "&fieldSelector=spec.clusterIP%21%3DNone"
#define WATCH "watch=true&allowWatchBookmarks=true&timeoutSeconds=300"
#define STREAM WATCH "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
#define SLICES "/apis/discovery.k8s.io/v1/endpointslices?"

static void test_paths(void **state)
{
    struct reflector reflector;
    reflector_init(&reflector, &services, 0, false);
    check_path(&reflector, 0, SERVICES "&" STREAM);
    assert_int_equal(refused(&reflector, 422, 0).wait_ms, 0);
    check_path(&reflector, 0, SERVICES "&limit=500&resourceVersion=0");
    assert_int_equal(reflector_page(&reflector, &(struct list_place){7, "a/b"}), REFLECTOR_NEXT);
    check_path(&reflector, 0, SERVICES "&limit=500&continue=a%2Fb");
    assert_int_equal(reflector_page(&reflector, &(struct list_place){7, ""}), REFLECTOR_LISTED);
    check_path(&reflector, 0, SERVICES "&" WATCH "&resourceVersion=7");
    reflector_done(&reflector);
}

/* Puts the reflector in a watch at version 10. */
static void start_watch(struct reflector *reflector, const struct apiserver_selection *selection)
{
    struct text path = {0};
    const char *accept;
    reflector_init(reflector, selection, 0, false);
    reflector_begin(reflector, 0, 0, &path, &accept);
    assert_int_equal(reflector_bookmark(reflector, 10, true, 0), REFLECTOR_LISTED);
    text_done(&path);
}

static void test_versions_in_a_watch(void **state)
{
    struct reflector reflector;
    start_watch(&reflector, &slices);
    assert_true(reflector_is_news(&reflector, 11, 0));
    assert_true(reflector_is_news(&reflector, 11, 10));
    assert_false(reflector_is_news(&reflector, 11, 11));
    assert_false(reflector_is_news(&reflector, 9, 0)); /* deleted since, perhaps */
    assert_true(reflector_is_news(&reflector, 9, 8));
    assert_true(reflector_is_news(&reflector, 0, 8));
    reflector_note(&reflector, 11);
    assert_int_equal(reflector_bookmark(&reflector, 15, false, 0), REFLECTOR_GO_ON);
    assert_int_equal(reflector_bookmark(&reflector, 0, false, 0), REFLECTOR_GO_ON);
    check_path(&reflector, 0, SLICES WATCH "&resourceVersion=15");
    assert_int_equal(reflector_bookmark(&reflector, 14, false, 0), REFLECTOR_AGAIN);
    reflector_done(&reflector);
}

/* 410 leads to a list that is not older than what was seen; if the server has none such, to what it has. */
static void test_expired(void **state)
{
    struct reflector reflector;
    start_watch(&reflector, &slices);
    struct reflector_next next = refused(&reflector, 410, 0);
    assert_true(next.wait_ms == 0 && !next.is_failure);
    check_path(&reflector, 0, SLICES STREAM "&resourceVersion=10");
    next = refused(&reflector, 410, 0);
    assert_true(next.wait_ms >= 400);
    check_path(&reflector, 0, SLICES STREAM);
    assert_int_equal(reflector_bookmark(&reflector, 8, true, 0), REFLECTOR_TURNED_BACK);
    struct reflector_end garbage = {.status = 200, .fault = REFLECTOR_GARBAGE};
    reflector_ended(&reflector, &garbage, 0, 0);
    check_path(&reflector, 0, SLICES STREAM);
    assert_int_equal(reflector_bookmark(&reflector, 8, true, 0), REFLECTOR_LISTED);
    reflector_done(&reflector);
}

/* A whole list ends the back-off: the next outage begins it again. But where watches expire as soon as they
 * begin, it grows. */
static void test_back_off_ends_with_a_list(void **state)
{
    struct reflector reflector;
    start_watch(&reflector, &slices);
    const struct reflector_end away = {.code = -ECONNREFUSED};
    for (int i = 0; i < 6; i++)
        reflector_ended(&reflector, &away, 0, 0);
    assert_int_equal(reflector.step_ms, 25600);
    assert_int_equal(refused(&reflector, 410, 0).wait_ms, 0);
    check_path(&reflector, 0, SLICES STREAM "&resourceVersion=10");
    assert_int_equal(reflector_bookmark(&reflector, 12, true, 0), REFLECTOR_LISTED);
    assert_int_equal(reflector.step_ms, 0);
    uint64_t last_ms = 0;
    for (int i = 0; i < 4; i++) {
        struct text path = {0};
        const char *accept;
        uint64_t wait_ms = refused(&reflector, 410, 0).wait_ms;
        assert_true(wait_ms > last_ms);
        last_ms = wait_ms;
        reflector_begin(&reflector, 0, 0, &path, &accept);
        text_done(&path);
        reflector_bookmark(&reflector, 12, true, 0);
    }
    reflector_done(&reflector);
}

/* A list that is older than what was seen is not believed, unless it is all that the server has. */
static void test_list_of_the_past(void **state)
{
    struct reflector reflector;
    start_watch(&reflector, &slices);
    reflector.call = REFLECTOR_LIST;
    assert_int_equal(reflector_page(&reflector, &(struct list_place){9, ""}), REFLECTOR_AGAIN);
    assert_int_equal(reflector_page(&reflector, &(struct list_place){0, ""}), REFLECTOR_TURNED_BACK);
    reflector_done(&reflector);
    /* Pages of two moments. */
    start_watch(&reflector, &slices);
    reflector.call = REFLECTOR_LIST;
    assert_int_equal(reflector_page(&reflector, &(struct list_place){12, "x"}), REFLECTOR_NEXT);
    assert_int_equal(reflector_page(&reflector, &(struct list_place){13, "y"}), REFLECTOR_AGAIN);
    reflector_done(&reflector);
}

/* Whatever a server says, the calls become rare; and a healthy watch makes all good again. */
static void test_no_tight_loop(void **state)
{
    static const unsigned codes[] = {400, 401, 403, 404, 406, 409, 410, 415,
                                     418, 422, 429, 500, 503, 504, 302};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        struct reflector reflector;
        uint64_t waited_ms = 0;
        start_watch(&reflector, &slices);
        for (unsigned times = 0; times < 20; times++) {
            struct text path = {0};
            const char *accept;
            reflector_begin(&reflector, waited_ms, 0, &path, &accept);
            waited_ms += refused(&reflector, codes[i], 0).wait_ms;
            text_done(&path);
        }
        assert_true(waited_ms > 150000);
        assert_int_equal(reflector.step_ms, 30000);
        reflector_done(&reflector);
    }
}

/* A server that answers well, and ends each watch at once. */
static void test_short_watches(void **state)
{
    struct reflector reflector;
    struct reflector_end end = {.status = 200};
    start_watch(&reflector, &slices);
    assert_true(reflector_ended(&reflector, &end, 100, 0).wait_ms >= 400);
    assert_true(reflector_ended(&reflector, &end, 100, 0).wait_ms >= 800);
    assert_int_equal(reflector_ended(&reflector, &end, 300000, 0).wait_ms, 0);
    assert_int_equal(reflector.step_ms, 0);
    reflector_done(&reflector);
}

static void test_cut_watch(void **state)
{
    struct reflector reflector;
    struct reflector_end end = {.status = 200, .code = -ECONNRESET};
    start_watch(&reflector, &slices);
    struct reflector_next next = reflector_ended(&reflector, &end, 2000, UINT64_MAX);
    assert_true(next.wait_ms >= 400 && next.wait_ms <= 800 && !next.is_failure && !next.doubts_server);
    assert_int_equal(reflector.call, REFLECTOR_WATCH);
    end.status = 0;
    next = reflector_ended(&reflector, &end, 2000, 0);
    assert_true(next.is_failure && next.doubts_server);
    assert_int_equal(reflector.call, REFLECTOR_WATCH);
    /* Found dead in its middle. */
    end = (struct reflector_end){.status = 200, .code = -ETIMEDOUT};
    next = reflector_ended(&reflector, &end, 2000, 0);
    assert_true(next.doubts_server);
    assert_int_equal(reflector.call, REFLECTOR_WATCH);
    reflector_done(&reflector);
}

static void test_retry_after(void **state)
{
    struct reflector reflector;
    start_watch(&reflector, &slices);
    assert_true(refused(&reflector, 429, 7).wait_ms >= 7000);
    assert_int_equal(reflector.call, REFLECTOR_WATCH);
    assert_true(refused(&reflector, 503, 1000000).wait_ms < 700000);
    assert_true(refused(&reflector, 401, 0).is_unauthorized);
    reflector_done(&reflector);
}

static void test_optional_kind(void **state)
{
    struct reflector reflector;
    reflector_init(&reflector, &cidrs, 0, false);
    check_path(&reflector, 0, "/apis/networking.k8s.io/v1/servicecidrs?" STREAM);
    struct reflector_next next = refused(&reflector, 404, 0);
    assert_true(reflector.is_absent && !next.is_failure && next.wait_ms >= 600000);
    check_path(&reflector, 0, "/apis/networking.k8s.io/v1/servicecidrs?" STREAM);
    assert_int_equal(reflector_bookmark(&reflector, 5, true, 0), REFLECTOR_LISTED);
    assert_false(reflector.is_absent);
    reflector_done(&reflector);
}

static void test_json_where_protobuf_is_not_known(void **state)
{
    struct reflector reflector;
    struct text path = {0};
    const char *accept;
    reflector_init(&reflector, &slices, 0, false);
    reflector_begin(&reflector, 0, 0, &path, &accept);
    assert_string_equal(accept, "application/vnd.kubernetes.protobuf,application/json");
    assert_int_equal(refused(&reflector, 406, 0).wait_ms, 0);
    reflector_begin(&reflector, 0, 0, &path, &accept);
    assert_string_equal(accept, "application/json");
    assert_true(refused(&reflector, 406, 0).wait_ms > 0);
    text_done(&path);
    reflector_done(&reflector);
}

/* Streams that end before the list is over are given up for pages; what is refused says nothing of streams.
 */
static void test_streams_without_end(void **state)
{
    struct reflector reflector;
    struct reflector_end end = {.status = 200};
    reflector_init(&reflector, &slices, 0, false);
    for (unsigned i = 0; i < 5; i++)
        refused(&reflector, 403, 0);
    for (unsigned i = 0; i < 3; i++) {
        check_path(&reflector, 0, SLICES STREAM);
        assert_true(reflector_ended(&reflector, &end, 0, 0).wait_ms > 0);
    }
    check_path(&reflector, 0, SLICES "limit=500&resourceVersion=0");
    reflector_done(&reflector);
}

static void test_rate(void **state)
{
    struct call_rate rate;
    call_rate_init(&rate, 0, 0);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(call_rate_take(&rate, 1000), 0);
    assert_in_range(call_rate_take(&rate, 1000), 199, 202);
    assert_in_range(call_rate_take(&rate, 1000), 399, 402);
    assert_int_equal(call_rate_take(&rate, 5000), 0);
    call_rate_init(&rate, -1, 0);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(call_rate_take(&rate, 1000), 0);
}

static void test_version_is_a_number(void **state)
{
    assert_int_equal(decode_version("120"), 120);
    assert_int_equal(decode_version("9999999999999999999"), 9999999999999999999ULL);
    assert_int_equal(decode_version("99999999999999999999"), 0);
    assert_int_equal(decode_version("1a"), 0);
    assert_int_equal(decode_version(""), 0);
    assert_int_equal(decode_version(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_versions_in_a_watch),
        cmocka_unit_test(test_expired),
        cmocka_unit_test(test_back_off_ends_with_a_list),
        cmocka_unit_test(test_list_of_the_past),
        cmocka_unit_test(test_no_tight_loop),
        cmocka_unit_test(test_short_watches),
        cmocka_unit_test(test_cut_watch),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_optional_kind),
        cmocka_unit_test(test_json_where_protobuf_is_not_known),
        cmocka_unit_test(test_streams_without_end),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_version_is_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
