/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/registry.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "registry/test_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* What the sink was told: "+a=load" is a put, "-a" a removal, ";" settled. Also what it has by now. */
struct fixture {
    struct registry *registry;
    struct registry_source *source;
    struct arena arena;
    struct text log;
    struct err err;
};

static void on_put(void *context, const struct api_object *object)
{
    struct fixture *fixture = context;
    assert_string_equal(api_metadata(object->message)->name, object->name);
    if (object->kind == API_SERVICE)
        assert_non_null(api_service(object)->spec);
    text_printf(&fixture->log, "+%s=%s ", object->name, test_load(object->message));
}

static void on_remove(void *context, enum api_kind kind, const char *namespace_, const char *name)
{
    assert_string_equal(namespace_, kind == API_NODE ? "" : "default");
    text_printf(&((struct fixture *)context)->log, "-%s ", name);
}

static void on_settled(void *context)
{
    text_add(&((struct fixture *)context)->log, ";");
}

static void on_complaint(void *context, bool is_refusal, const char *sentence)
{
    fail_msg("%s", sentence);
}

static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    assert_int_equal(
        registry_open(&fixture->registry, &(struct registry_options){.history_events = 8}, &fixture->err), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    registry_source_close(fixture->source);
    registry_close(fixture->registry);
    arena_done(&fixture->arena);
    text_done(&fixture->log);
    free(fixture);
    return 0;
}

static void put(struct fixture *fixture, enum api_kind kind, const char *name, const char *load)
{
    ProtobufCMessage *message =
        test_message(&fixture->arena, kind, kind == API_NODE ? "" : "default", name, load);
    assert_int_equal(registry_put(fixture->registry, kind, message, NULL, &fixture->err), 0);
}

static void delete (struct fixture *fixture, enum api_kind kind, const char *name)
{
    const char *namespace_ = kind == API_NODE ? "" : "default";
    assert_int_equal(registry_delete(fixture->registry, kind, namespace_, name, NULL, &fixture->err), 0);
}

static void open_source(struct fixture *fixture)
{
    static const enum api_kind kinds[] = {API_SERVICE, API_NODE};
    const struct source_sink sink = {fixture, on_put, on_remove, on_settled, on_complaint};
    assert_int_equal(registry_source_open(&fixture->source, fixture->registry, kinds, ARRAY_LEN(kinds), &sink,
                                          &fixture->err),
                     0);
}

static void expect(struct fixture *fixture, const char *expected)
{
    assert_string_equal(text_str(&fixture->log), expected);
    text_done(&fixture->log);
}

static void expect_pull(struct fixture *fixture, const char *expected)
{
    registry_source_pull(fixture->source);
    expect(fixture, expected);
}

static void test_lists_at_open(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, API_SERVICE, "b", "1");
    put(fixture, API_SERVICE, "a", "2");
    put(fixture, API_ENDPOINTS, "e", "3");
    put(fixture, API_NODE, "n", "4");
    open_source(fixture);
    expect(fixture, "+a=2 +b=1 +n=4 ");
    const struct source_status *status = registry_source_status(fixture->source);
    assert_int_equal(status->generation, 1);
    assert_int_equal(status->objects[API_SERVICE], 2);
    assert_int_equal(status->objects[API_NODE], 1);
    assert_int_equal(status->objects[API_ENDPOINTS], 0);
    expect_pull(fixture, "");
    assert_int_equal(status->generation, 1);
}

static void test_tells_changes(void **state)
{
    struct fixture *fixture = *state;
    open_source(fixture);
    expect(fixture, "");
    put(fixture, API_SERVICE, "a", "1");
    expect_pull(fixture, "+a=1 ;");
    put(fixture, API_NODE, "n", "1");
    put(fixture, API_SERVICE, "b", "2");
    delete (fixture, API_SERVICE, "a");
    expect_pull(fixture, "+b=2 -a +n=1 ;");
    put(fixture, API_ENDPOINTS, "e", "1");
    expect_pull(fixture, "");
    const struct source_status *status = registry_source_status(fixture->source);
    assert_int_equal(status->generation, 3);
    assert_int_equal(status->objects[API_SERVICE], 1);
    assert_int_equal(status->objects[API_NODE], 1);
}

static void test_tells_the_last_state_alone(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, API_SERVICE, "a", "1");
    open_source(fixture);
    expect(fixture, "+a=1 ");
    put(fixture, API_SERVICE, "a", "2");
    put(fixture, API_SERVICE, "a", "3");
    put(fixture, API_SERVICE, "b", "4");
    delete (fixture, API_SERVICE, "b");
    expect_pull(fixture, "+a=3 ;");
    delete (fixture, API_SERVICE, "a");
    put(fixture, API_SERVICE, "a", "5");
    expect_pull(fixture, "+a=5 ;");
    put(fixture, API_SERVICE, "c", "6");
    delete (fixture, API_SERVICE, "c");
    expect_pull(fixture, "");
}

/* More happened than the history holds: a diff against what the sink was told. */
static void test_relists(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        put(fixture, API_SERVICE, names[i], "1");
    put(fixture, API_NODE, "n", "1");
    open_source(fixture);
    expect(fixture, "+a=1 +b=1 +c=1 +d=1 +n=1 ");
    delete (fixture, API_SERVICE, "a");
    delete (fixture, API_SERVICE, "d");
    put(fixture, API_SERVICE, "c", "2");
    put(fixture, API_SERVICE, "e", "1");
    for (int i = 0; i < 20; i++)
        put(fixture, API_ENDPOINTS, "other", "");
    assert_true(registry_oldest(fixture->registry) > 10);
    expect_pull(fixture, "-d +c=2 -a +e=1 ;");
    const struct source_status *status = registry_source_status(fixture->source);
    assert_int_equal(status->objects[API_SERVICE], 3);
    assert_int_equal(status->objects[API_NODE], 1);
    expect_pull(fixture, "");
    delete (fixture, API_NODE, "n");
    expect_pull(fixture, "-n ;");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_lists_at_open),
        TEST(test_tells_changes),
        TEST(test_tells_the_last_state_alone),
        TEST(test_relists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
