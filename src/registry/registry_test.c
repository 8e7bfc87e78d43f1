/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/registry.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "registry/test_message.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Three writers' worth of names and kinds, so that random writes meet each other. */
#define NAMES 6
#define WRITES 600

static struct arena arena;
static struct err err;

static struct registry *open_memory(uint32_t history_events, size_t history_bytes)
{
    struct registry *registry;
    const struct registry_options options = {.history_events = history_events,
                                             .history_bytes = history_bytes};
    assert_int_equal(registry_open(&registry, &options, &err), 0);
    return registry;
}

static int setup(void **state)
{
    *state = open_memory(0, 0);
    return 0;
}

static int teardown(void **state)
{
    registry_close(*state);
    arena_done(&arena);
    return 0;
}

static uint64_t put(struct registry *registry, enum api_kind kind, const char *namespace_, const char *name,
                    const char *load)
{
    const struct registry_object *object;
    if (registry_put(registry, kind, test_message(&arena, kind, namespace_, name, load), &object, &err) < 0)
        fail_msg("%s", err.text);
    return object->revision;
}

static void delete (struct registry *registry, enum api_kind kind, const char *namespace_, const char *name)
{
    if (registry_delete(registry, kind, namespace_, name, NULL, &err) < 0)
        fail_msg("%s", err.text);
}

static const char *load_of(const struct registry_object *object)
{
    return test_load(registry_decode(object, &arena));
}

/* "namespace/name=load@revision " for each, and "+n" when n more remain. */
static char *list_text(const struct registry *registry, const struct registry_query *query, size_t limit)
{
    struct text text = {0};
    const struct registry_object **list;
    size_t count, remaining;
    assert_int_equal(registry_list(registry, query, limit, &list, &count, &remaining), 0);
    for (size_t i = 0; i < count; i++)
        text_printf(&text, "%s/%s=%s@%" PRIu64 " ", list[i]->namespace_, list[i]->name, load_of(list[i]),
                    list[i]->revision);
    if (remaining)
        text_printf(&text, "+%zu", remaining);
    registry_list_free(list, count);
    char *copy = arena_strdup(&arena, text_str(&text));
    text_done(&text);
    return copy;
}

/* Everything that can be asked of the present. */
static char *state_text(const struct registry *registry)
{
    struct text text = {0};
    for (unsigned kind = 0; kind < API_KIND_COUNT; kind++)
        text_printf(&text, "%u: %s\n", registry_count(registry, (enum api_kind)kind),
                    list_text(registry, &(struct registry_query){.kind = (enum api_kind)kind}, 0));
    text_printf(&text, "%" PRIu64 " %zu", registry_revision(registry), registry_memory(registry));
    char *copy = arena_strdup(&arena, text_str(&text));
    text_done(&text);
    return copy;
}

static void test_new(void **state)
{
    struct registry *registry = *state;
    assert_int_equal(registry_revision(registry), 1);
    assert_int_equal(registry_oldest(registry), 1);
    assert_int_equal(registry_count(registry, API_SERVICE), 0);
    assert_int_equal(registry_file_size(registry), 0);
    assert_null(registry_get(registry, API_SERVICE, "default", "web"));
    assert_string_equal(list_text(registry, &(struct registry_query){.kind = API_SERVICE}, 0), "");
    assert_int_equal(registry_delete(registry, API_SERVICE, "default", "web", NULL, &err), -ENOENT);
    assert_string_equal(err.text, "there is no Service default/web");
    assert_int_equal(registry_delete(registry, API_NODE, "", "n1", NULL, &err), -ENOENT);
    assert_string_equal(err.text, "there is no Node n1");
}

static void test_put_and_replace(void **state)
{
    struct registry *registry = *state;
    const struct registry_object *object, *kept;
    ProtobufCMessage *message = test_message(&arena, API_SERVICE, "default", "web", "one");
    assert_int_equal(registry_put(registry, API_SERVICE, message, &object, &err), 0);
    assert_string_equal(api_metadata(message)->resourceversion, "2");
    assert_int_equal(object->revision, 2);
    assert_int_equal(object->kind, API_SERVICE);
    assert_string_equal(object->namespace_, "default");
    assert_string_equal(object->name, "web");
    assert_ptr_equal(registry_get(registry, API_SERVICE, "default", "web"), object);
    assert_null(registry_get(registry, API_ENDPOINTS, "default", "web"));
    const ProtobufCMessage *decoded = registry_decode(object, &arena);
    assert_string_equal(api_metadata(decoded)->resourceversion, "2");
    assert_string_equal(test_load(decoded), "one");

    kept = registry_ref(object);
    assert_int_equal(put(registry, API_SERVICE, "default", "web", "two"), 3);
    assert_int_equal(registry_count(registry, API_SERVICE), 1);
    object = registry_get(registry, API_SERVICE, "default", "web");
    assert_string_equal(load_of(object), "two");
    assert_string_equal(load_of(kept), "one");
    registry_unref(kept);
    assert_int_equal(registry_revision(registry), 3);
    assert_int_equal(registry_oldest(registry), 1);
}

static void test_delete(void **state)
{
    struct registry *registry = *state;
    const struct registry_object *last;
    put(registry, API_SERVICE, "default", "web", "one");
    assert_int_equal(registry_delete(registry, API_SERVICE, "default", "web", &last, &err), 0);
    assert_int_equal(last->revision, 3);
    assert_string_equal(load_of(last), "one");
    assert_string_equal(api_metadata(registry_decode(last, &arena))->resourceversion, "3");
    registry_unref(last);
    assert_int_equal(registry_revision(registry), 3);
    assert_int_equal(registry_count(registry, API_SERVICE), 0);
    assert_null(registry_get(registry, API_SERVICE, "default", "web"));
    assert_int_equal(put(registry, API_SERVICE, "default", "web", "again"), 4);
}

static void test_refuses(void **state)
{
    struct registry *registry = *state;
    char *load = arena_alloc(&arena, (2 << 20) + 1);
    memset(load, 'x', 2 << 20);
    put(registry, API_SERVICE, "default", "web", "one");
    char *before = state_text(registry);
    ProtobufCMessage *message = test_message(&arena, API_SERVICE, "default", "web", load);
    api_metadata(message)->resourceversion = before;
    assert_int_equal(registry_put(registry, API_SERVICE, message, NULL, &err), -E2BIG);
    assert_non_null(strstr(err.text, "Service default/web takes 2097"));
    assert_ptr_equal(api_metadata(message)->resourceversion, before);
    message = test_message(&arena, API_SERVICE, "default", "", "");
    assert_int_equal(registry_put(registry, API_SERVICE, message, NULL, &err), -EINVAL);
    assert_string_equal(state_text(registry), before);
    /* The largest can be removed too, with a revision that is one digit longer. */
    load[(2 << 20) - 20] = '\0';
    while (registry_revision(registry) < 8)
        put(registry, API_SERVICE, "default", "web", "one");
    message = test_message(&arena, API_SERVICE, "default", "large", load);
    while (registry_put(registry, API_SERVICE, message, NULL, &err) == -E2BIG) {
        load[strlen(load) - 1] = '\0';
        message = test_message(&arena, API_SERVICE, "default", "large", load);
    }
    assert_int_equal(registry_revision(registry), 9);
    delete (registry, API_SERVICE, "default", "large");
}

/* So many empty structs take less than 2 MiB packed, and far more otherwise: no start could read that. */
static void test_refuses_what_could_not_be_read(void **state)
{
    struct registry *registry = *state;
    Core__EndpointSubset subset = CORE__ENDPOINT_SUBSET__INIT;
    ProtobufCMessage *message = test_message(&arena, API_ENDPOINTS, "default", "web", "");
    Core__Endpoints *endpoints = (Core__Endpoints *)message;
    endpoints->n_subsets = 950000;
    endpoints->subsets = arena_array(&arena, Core__EndpointSubset *, endpoints->n_subsets);
    for (size_t i = 0; i < endpoints->n_subsets; i++)
        endpoints->subsets[i] = &subset;
    assert_int_equal(registry_put(registry, API_ENDPOINTS, message, NULL, &err), -EINVAL);
    assert_non_null(strstr(err.text, "Endpoints default/web cannot be stored: "));
    assert_null(api_metadata(message)->resourceversion);
    assert_int_equal(registry_revision(registry), 1);
    endpoints->n_subsets = 1000;
    assert_int_equal(registry_put(registry, API_ENDPOINTS, message, NULL, &err), 0);
}

static void test_objects_are_bounded(void **state)
{
    struct registry *registry;
    char load[1001] = {0}, name[8];
    int stored = 0;
    memset(load, 'x', 1000);
    assert_int_equal(registry_open(&registry, &(struct registry_options){.object_bytes = 20000}, &err), 0);
    for (int code = 0; code == 0; stored += code == 0) {
        snprintf(name, sizeof(name), "n%d", stored);
        code = registry_put(registry, API_SERVICE, test_message(&arena, API_SERVICE, "default", name, load),
                            NULL, &err);
    }
    assert_in_range(stored, 15, 20);
    assert_non_null(strstr(err.text, "is as large as it may become"));
    load[990] = '\0';
    put(registry, API_SERVICE, "default", "n0", load);
    delete (registry, API_SERVICE, "default", "n1");
    put(registry, API_SERVICE, "default", "n1", load);
    registry_close(registry);
}

static void test_list_order_and_pages(void **state)
{
    struct registry *registry = *state;
    static const char *const names[][2] = {{"b", "x"}, {"a-b", "y"}, {"a", "c"},   {"a", "b.c"},
                                           {"a", "b"}, {"a", "b-c"}, {"a.b", "z"}, {"c", "a"}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        put(registry, API_SERVICE, names[i][0], names[i][1], "");
    put(registry, API_ENDPOINTS, "a", "b", "");
    static const struct {
        const char *namespace_, *after_namespace, *after_name;
        size_t limit;
        const char *expected;
    } cases[] = {
        {NULL, NULL, NULL, 0, "a/b=@6 a/b-c=@7 a/b.c=@5 a/c=@4 a-b/y=@3 a.b/z=@8 b/x=@2 c/a=@9 "},
        {NULL, NULL, NULL, 3, "a/b=@6 a/b-c=@7 a/b.c=@5 +5"},
        {NULL, "a", "b.c", 3, "a/c=@4 a-b/y=@3 a.b/z=@8 +2"},
        {NULL, "a.b", "z", 3, "b/x=@2 c/a=@9 "},
        {NULL, "a", "b.", 2, "a/b.c=@5 a/c=@4 +4"}, /* what was removed since */
        {NULL, "c", "a", 3, ""},
        {NULL, "d", "a", 3, ""},
        {"a", NULL, NULL, 0, "a/b=@6 a/b-c=@7 a/b.c=@5 a/c=@4 "},
        {"a", NULL, NULL, 1, "a/b=@6 +3"},
        {"a", "a", "b", 1, "a/b-c=@7 +2"},
        {"a", NULL, "b.c", 1, "a/c=@4 "},
        {"a", NULL, "c", 1, ""},
        {"a-b", NULL, NULL, 0, "a-b/y=@3 "},
        {"b", "a", "b", 0, "b/x=@2 "},
        {"a", "b", "x", 0, ""},
        {"c", NULL, NULL, 0, "c/a=@9 "},
        {"d", NULL, NULL, 0, ""},
        {"", NULL, NULL, 0, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct registry_query query = {.kind = API_SERVICE,
                                             .namespace_ = cases[i].namespace_,
                                             .after_namespace = cases[i].after_namespace,
                                             .after_name = cases[i].after_name};
        assert_string_equal(list_text(registry, &query, cases[i].limit), cases[i].expected);
    }
}

static void test_list_bounds(void **state)
{
    struct registry *registry = open_memory(3, 0);
    const struct registry_object **list;
    size_t count, remaining;
    struct registry_query query = {.kind = API_SERVICE};
    for (int i = 0; i < 5; i++)
        put(registry, API_SERVICE, "default", "web", "");
    assert_int_equal(registry_oldest(registry), 3);
    query.revision = 7;
    assert_int_equal(registry_list(registry, &query, 0, &list, &count, &remaining), -ERANGE);
    query.revision = 2;
    assert_int_equal(registry_list(registry, &query, 0, &list, &count, &remaining), -ESTALE);
    query.revision = 3;
    assert_string_equal(list_text(registry, &query, 0), "default/web=@3 ");
    query.revision = 6;
    assert_string_equal(list_text(registry, &query, 0), "default/web=@6 ");
    registry_close(registry);
}

static uint32_t roll(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % below;
}

static void write_something(struct registry *registry, uint64_t *seed)
{
    static const enum api_kind kinds[] = {API_SERVICE, API_ENDPOINTS, API_NODE};
    enum api_kind kind = kinds[roll(seed, ARRAY_LEN(kinds))];
    char name[16], load[16];
    const char *namespace_ = kind == API_NODE ? "" : roll(seed, 2) ? "one" : "two";
    snprintf(name, sizeof(name), "n%u", roll(seed, NAMES));
    snprintf(load, sizeof(load), "%u", roll(seed, 100000));
    if (roll(seed, 3) == 0 && registry_get(registry, kind, namespace_, name))
        delete (registry, kind, namespace_, name);
    else
        put(registry, kind, namespace_, name, load);
}

/* What each revision was is remembered as text, and found again later by undoing. */
static void test_old_lists(void **state)
{
    struct registry *registry = open_memory(200, 0);
    uint64_t seed = 4;
    char *past[WRITES + 2] = {0};
    for (int i = 0; i < WRITES; i++) {
        write_something(registry, &seed);
        past[registry_revision(registry)] =
            list_text(registry, &(struct registry_query){.kind = API_SERVICE, .namespace_ = "one"}, 3);
    }
    assert_int_equal(registry_oldest(registry), WRITES + 1 - 200);
    for (uint64_t revision = registry_oldest(registry); revision <= registry_revision(registry); revision++) {
        const struct registry_query query = {.kind = API_SERVICE, .namespace_ = "one", .revision = revision};
        assert_string_equal(list_text(registry, &query, 3), past[revision]);
    }
    registry_close(registry);
}

static void on_news(void *context)
{
    ++*(unsigned *)context;
}

/* A rolled back batch leaves nothing behind, whatever was in it. */
static void test_batches(void **state)
{
    struct registry *registry = *state;
    uint64_t seed = 9;
    unsigned news = 0;
    registry_on_news(registry, on_news, &news);
    registry_begin(registry);
    assert_int_equal(registry_commit(registry, &err), 0);
    assert_int_equal(news, 0);
    for (int round = 0; round < 100; round++) {
        char *before = state_text(registry);
        uint64_t cursor = registry_revision(registry), revision = cursor;
        struct registry_event *event;
        unsigned writes = roll(&seed, 20);
        registry_begin(registry);
        for (unsigned i = 0; i < writes; i++)
            write_something(registry, &seed);
        assert_int_equal(registry_revision(registry), revision + writes);
        for (unsigned kind = 0; kind < API_KIND_COUNT; kind++)
            assert_int_equal(registry_next(registry, &cursor, (enum api_kind)kind, &event), 0);
        assert_int_equal(cursor, revision);
        if (roll(&seed, 2)) {
            registry_rollback(registry);
            assert_string_equal(state_text(registry), before);
            assert_int_equal(news, 0);
        } else {
            assert_int_equal(registry_commit(registry, &err), 0);
            assert_int_equal(registry_revision(registry), revision + writes);
            assert_int_equal(news, writes > 0);
            news = 0;
        }
    }
}

static char *events_text(struct registry *registry, uint64_t *cursor, enum api_kind kind)
{
    struct text text = {0};
    struct registry_event *event;
    int code;
    while ((code = registry_next(registry, cursor, kind, &event)) > 0) {
        assert_int_equal(event->revision, event->object->revision);
        text_printf(&text, "%c%s=%s@%" PRIu64 "(%s) ", "+*-"[event->type], event -> object -> name,
                    load_of(event->object), event -> revision,
                    event -> previous ? load_of(event->previous) : "");
    }
    text_printf(&text, "%s", code == -ESTALE ? "stale" : "");
    char *copy = arena_strdup(&arena, text_str(&text));
    text_done(&text);
    return copy;
}

static void test_events(void **state)
{
    struct registry *registry = *state;
    uint64_t services = 1, endpoints = 1, late = 3, future = 99;
    put(registry, API_SERVICE, "default", "a", "1");
    put(registry, API_ENDPOINTS, "default", "a", "2");
    put(registry, API_SERVICE, "default", "a", "3");
    assert_string_equal(events_text(registry, &services, API_SERVICE), "+a=1@2() *a=3@4(1) ");
    assert_int_equal(services, 4);
    delete (registry, API_SERVICE, "default", "a");
    put(registry, API_SERVICE, "default", "a", "4");
    assert_string_equal(events_text(registry, &services, API_SERVICE), "-a=3@5(3) +a=4@6() ");
    assert_string_equal(events_text(registry, &services, API_SERVICE), "");
    assert_string_equal(events_text(registry, &endpoints, API_ENDPOINTS), "+a=2@3() ");
    assert_int_equal(endpoints, 6);
    assert_string_equal(events_text(registry, &late, API_SERVICE), "*a=3@4(1) -a=3@5(3) +a=4@6() ");
    assert_string_equal(events_text(registry, &future, API_SERVICE), "");
    assert_int_equal(future, 99);
}

static unsigned freed;

static void free_cache(void *cache)
{
    free(cache);
    freed++;
}

static void test_history_is_bounded(void **state)
{
    struct registry *registry = open_memory(10, 0);
    uint64_t cursor = 1;
    struct registry_event *event;
    registry_set_cache_free(registry, free_cache);
    freed = 0;
    for (int i = 0; i < 10; i++) {
        put(registry, API_SERVICE, "default", "a", "");
        assert_int_equal(registry_next(registry, &cursor, API_SERVICE, &event), 1);
        event->cache = xstrdup("an encoding");
    }
    cursor = 1;
    assert_int_equal(registry_next(registry, &cursor, API_SERVICE, &event), 1);
    put(registry, API_SERVICE, "default", "a", "");
    assert_int_equal(freed, 1);
    cursor = 1;
    assert_int_equal(registry_next(registry, &cursor, API_SERVICE, &event), -ESTALE);
    cursor = registry_oldest(registry);
    assert_int_equal(registry_next(registry, &cursor, API_SERVICE, &event), 1);
    assert_int_equal(event->revision, 3);
    registry_close(registry);
    assert_int_equal(freed, 10);

    /* By bytes: a hundred states of 10 kB do not fit in 200 kB, and the last one does always. */
    char load[10001] = {0};
    memset(load, 'x', 10000);
    registry = open_memory(0, 200000);
    for (int i = 0; i < 100; i++)
        put(registry, API_SERVICE, "default", "a", load);
    assert_in_range(registry_revision(registry) - registry_oldest(registry), 15, 20);
    assert_in_range(registry_memory(registry), 160000, 220000);
    registry_close(registry);
    registry = open_memory(0, 1);
    put(registry, API_SERVICE, "default", "a", load);
    put(registry, API_SERVICE, "default", "a", load);
    assert_int_equal(registry_oldest(registry), 2);
    registry_close(registry);
}

/* A batch that is longer than the history is undone all the same. */
static void test_batch_beyond_history(void **state)
{
    struct registry *registry = open_memory(4, 0);
    uint64_t seed = 1;
    for (int i = 0; i < 20; i++)
        write_something(registry, &seed);
    char *before = state_text(registry);
    registry_begin(registry);
    for (int i = 0; i < 50; i++)
        write_something(registry, &seed);
    registry_rollback(registry);
    assert_string_equal(state_text(registry), before);
    registry_begin(registry);
    for (int i = 0; i < 50; i++)
        write_something(registry, &seed);
    assert_int_equal(registry_commit(registry, &err), 0);
    assert_int_equal(registry_oldest(registry), registry_revision(registry) - 4);
    registry_close(registry);
}

static void test_objects_outlive_the_registry(void **state)
{
    struct registry *registry = open_memory(0, 0);
    put(registry, API_SERVICE, "default", "a", "kept");
    const struct registry_object *kept = registry_ref(registry_get(registry, API_SERVICE, "default", "a"));
    delete (registry, API_SERVICE, "default", "a");
    registry_close(registry);
    assert_string_equal(load_of(kept), "kept");
    registry_unref(kept);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_new),
        TEST(test_put_and_replace),
        TEST(test_delete),
        TEST(test_refuses),
        TEST(test_refuses_what_could_not_be_read),
        TEST(test_objects_are_bounded),
        TEST(test_list_order_and_pages),
        TEST(test_list_bounds),
        TEST(test_old_lists),
        TEST(test_batches),
        TEST(test_events),
        TEST(test_history_is_bounded),
        TEST(test_batch_beyond_history),
        TEST(test_objects_outlive_the_registry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
