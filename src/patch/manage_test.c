/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "patch/managers.h"
#include "patch/test_manage.h"

#include <stdio.h>

static void test_create(void **state)
{
    cleanup_with(json_decrefp) json_t *object = NULL;
    struct manage_actor who = actor("", EARLY);
    update(&object,
           "{" EMPTY_SERVICE ",'metadata':{'name':'web','namespace':'default','labels':{'app':'web'},"
           "'finalizers':['x/y']},'spec':{'type':'ClusterIP','selector':{'app':'web'},'ports':[{'port':80,"
           "'protocol':'TCP','targetPort':8080},{'port':443,'protocol':'TCP','targetPort':'tls'}]},"
           "'status':{'loadBalancer':{'ingress':[{'ip':'1.2.3.4'}]}}}",
           &who);
    check_count(object, 1);
    check_entry(
        object, 0,
        "{'manager':'unknown','operation':'Update','apiVersion':'v1','time':'" EARLY
        "','fieldsType':'FieldsV1','fieldsV1':{'f:metadata':{'f:finalizers':{'.':{},'v:\\'x/y\\'':{}},"
        "'f:labels':{'.':{},'f:app':{}}},'f:spec':{'f:ports':{'.':{},'k:{\\'port\\':80,\\'protocol\\':"
        "\\'TCP\\'}':{'.':{},'f:port':{},'f:protocol':{},'f:targetPort':{}},'k:{\\'port\\':443,\\'protocol\\'"
        ":"
        "\\'TCP\\'}':{'.':{},'f:port':{},'f:protocol':{},'f:targetPort':{}}},'f:selector':{},'f:type':{}}}}");
}

static void test_update(void **state)
{
    cleanup_with(json_decrefp) json_t *object = NULL;
    struct manage_actor first = actor("a", EARLY), second = actor("b", LATE);
    update(&object,
           "{" EMPTY_SERVICE ",'metadata':{'uid':'1'},'spec':{'type':'ClusterIP','externalName':'x'}}",
           &first);
    /* b changes one field, removes another, and sets a third; what changed is a's no more. */
    update(&object,
           "{" EMPTY_SERVICE ",'metadata':{'uid':'1'},'spec':{'type':'NodePort','clusterIP':'None'}}",
           &second);
    check_count(object, 1);
    check_entry(object, 0,
                "{'manager':'b','operation':'Update','apiVersion':'v1','time':'" LATE
                "','fieldsType':'FieldsV1','fieldsV1':{'f:spec':{'f:clusterIP':{},'f:type':{}}}}");
    /* What changes nothing leaves everything, times too; a client that knows nothing of managedFields keeps
     * them. */
    struct manage_actor third = actor("c", "2024-01-03T00:00:00Z");
    update(&object,
           "{" EMPTY_SERVICE ",'metadata':{'uid':'1'},'spec':{'type':'NodePort','clusterIP':'None'}}",
           &third);
    check_count(object, 1);
    test_equal(json_object_get(json_array_get(entries_of(object), 0), "time"), "'" LATE "'");
}

static void test_status(void **state)
{
    cleanup_with(json_decrefp) json_t *object = NULL;
    struct manage_actor who = actor("a", EARLY), controller = actor("c", LATE);
    controller.subresource = "status";
    update(&object,
           "{" EMPTY_SERVICE
           ",'metadata':{'uid':'1'},'spec':{'type':'LoadBalancer'},'status':{'loadBalancer':{}}}",
           &who);
    update(&object,
           "{" EMPTY_SERVICE ",'metadata':{'uid':'1'},'spec':{'type':'ClusterIP'},'status':{'loadBalancer':"
           "{'ingress':[{'ip':'1.2.3.4'}]}}}",
           &controller);
    check_count(object, 2);
    check_entry(object, 0,
                "{'manager':'a','operation':'Update','apiVersion':'v1','time':'" EARLY
                "','fieldsType':'FieldsV1','fieldsV1':{'f:spec':{'f:type':{}}}}");
    check_entry(object, 1,
                "{'manager':'c','operation':'Update','apiVersion':'v1','time':'" LATE
                "','fieldsType':'FieldsV1','fieldsV1':{'f:status':{'f:loadBalancer':{'f:ingress':{}}}},"
                "'subresource':'status'}");
}

static void test_reset(void **state)
{
    struct manage_actor who = actor("a", EARLY);
    static const char *const lists[] = {"[]", "[{}]"};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        cleanup_with(json_decrefp) json_t *object = NULL;
        cleanup_with(text_done) struct text after = {0};
        update(&object, "{" EMPTY_SERVICE ",'metadata':{'uid':'1'},'spec':{'type':'NodePort'}}", &who);
        check_count(object, 1);
        text_printf(&after,
                    "{" EMPTY_SERVICE ",'metadata':{'uid':'1','managedFields':%s},'spec':{'type':'x'}}",
                    lists[i]);
        update(&object, text_str(&after), &who);
        assert_null(entries_of(object));
        /* It stays so until somebody applies. */
        update(&object, "{" EMPTY_SERVICE ",'metadata':{'uid':'1'},'spec':{'type':'y'}}", &who);
        assert_null(entries_of(object));
        apply(&object, "{" EMPTY_SERVICE ",'spec':{'sessionAffinity':'None'}}", "b", LATE, false);
        check_count(object, 2);
        check_entry(object, 1,
                    "{'manager':'before-first-apply','operation':'Update','apiVersion':'v1','time':'" LATE
                    "','fieldsType':'FieldsV1','fieldsV1':{'f:spec':{'f:type':{}}}}");
    }
}

/* Entries that a client sends are taken; those that cannot be read are not. */
static void test_sent_entries(void **state)
{
    static const struct {
        const char *entries;
        size_t count;
        const char *manager; /* of the first */
    } rows[] = {
        {"[{'manager':'m','operation':'Apply','apiVersion':'v1','fieldsType':'FieldsV1','fieldsV1':"
         "{'f:spec':{'f:selector':{'f:a':{}}}}}]",
         1, "m"},
        {"[{'manager':'m','operation':'Grab','apiVersion':'v1','fieldsType':'FieldsV1'}]", 1, "a"},
        {"[{'manager':'m','operation':'Apply','fieldsType':'FieldsV1'}]", 1, "a"},
        {"[{'manager':'m','operation':'Apply','apiVersion':'v1'}]", 1, "a"},
        {"[{'manager':'m','operation':'Apply','apiVersion':'v1','fieldsType':'FieldsV2'}]", 1, "a"},
        {"[{'manager':'m','operation':'Apply','apiVersion':'v1','fieldsType':'FieldsV1','fieldsV1':{'x':{}}}"
         "]",
         1, "a"},
        {"[{'manager':'m','operation':'Apply','apiVersion':'v1','fieldsType':'FieldsV1','fieldsV1':{'k:1':{}}"
         "}]",
         1, "a"},
        {"[{'manager':'m','operation':'Apply','apiVersion':'v1','fieldsType':'FieldsV1','fieldsV1':{'f:a':1}}"
         "]",
         1, "a"},
        {"[{'manager':'m','operation':'Apply','apiVersion':'v9','fieldsType':'FieldsV1','fieldsV1':{'f:a':{}}"
         "}]",
         0, NULL},
        {"[1]", 1, "a"},
        {"'x'", 1, "a"},
    };
    struct manage_actor who = actor("a", EARLY);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        cleanup_with(json_decrefp) json_t *object = NULL;
        cleanup_with(text_done) struct text after = {0};
        update(&object, "{" EMPTY_SERVICE ",'metadata':{'uid':'1'},'spec':{'type':'NodePort'}}", &who);
        text_printf(&after,
                    "{" EMPTY_SERVICE
                    ",'metadata':{'uid':'1','managedFields':%s},'spec':{'type':'NodePort'}}",
                    rows[i].entries);
        update(&object, text_str(&after), &who);
        check_count(object, rows[i].count);
        if (rows[i].count)
            assert_string_equal(
                json_string_value(json_object_get(json_array_get(entries_of(object), 0), "manager")),
                rows[i].manager);
    }
    /* What the schema of now has as one was written in parts. */
    cleanup_with(json_decrefp) json_t *object = NULL;
    update(&object,
           "{" EMPTY_SERVICE
           ",'metadata':{'managedFields':[{'manager':'m','operation':'Update','apiVersion':'v1',"
           "'fieldsType':'FieldsV1','fieldsV1':{'f:spec':{'f:selector':{'f:a':{}},'q:new':{}}}}]}}",
           &who);
    check_entry(object, 0,
                "{'manager':'m','operation':'Update','apiVersion':'v1','fieldsType':'FieldsV1','fieldsV1':"
                "{'f:spec':{'f:selector':{}}}}");
}

static void test_cap(void **state)
{
    cleanup_with(json_decrefp) json_t *object = NULL;
    for (unsigned i = 0; i < 13; i++) {
        char name[16], time[32], after[256];
        snprintf(name, sizeof(name), "m%02u", i);
        snprintf(time, sizeof(time), "2024-01-01T00:00:%02uZ", i);
        snprintf(after, sizeof(after), "{" EMPTY_SERVICE ",'metadata':{'uid':'1','labels':{");
        for (unsigned j = 0; j <= i; j++)
            snprintf(after + strlen(after), sizeof(after) - strlen(after), "%s'%u':''", j ? "," : "", j);
        snprintf(after + strlen(after), sizeof(after) - strlen(after), "}}}");
        struct manage_actor who = actor(name, time);
        update(&object, after, &who);
    }
    check_count(object, MANAGERS_UPDATERS_MAX);
    check_entry(
        object, 0,
        "{'manager':'ancient-changes','operation':'Update','apiVersion':'v1','time':'2024-01-01T00:00:03Z',"
        "'fieldsType':'FieldsV1','fieldsV1':{'f:metadata':{'f:labels':{'.':{},'f:0':{},'f:1':{},'f:2':{},"
        "'f:3':{}}}}}");
}

static void test_keep_times(void **state)
{
    static const char early[] =
        "{'metadata':{'name':'a','managedFields':[{'manager':'m','time':'" EARLY "'}]},'spec':{}}";
    static const struct {
        const char *after;
        bool is_kept;
    } rows[] = {
        {"{'metadata':{'name':'a','managedFields':[{'manager':'m','time':'" LATE "'}]},'spec':{}}", true},
        {"{'metadata':{'name':'b','managedFields':[{'manager':'m','time':'" LATE "'}]},'spec':{}}", false},
        {"{'metadata':{'name':'a','managedFields':[{'manager':'n','time':'" LATE "'}]},'spec':{}}", false},
        {"{'metadata':{'name':'a','managedFields':[{'manager':'m','time':'" LATE "'}]},'spec':{'a':1}}",
         false},
        {"{'metadata':{'name':'a','managedFields':[{'manager':'m','time':'" LATE "'},{}]},'spec':{}}", false},
        {"{'metadata':{'name':'a','managedFields':[{'manager':'m','time':'" LATE "'}]}}", false},
        {"{'metadata':{'name':'a'},'spec':{}}", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        cleanup_with(json_decrefp) json_t *before = test_tree(early), *after = test_tree(rows[i].after);
        manage_keep_times(before, after);
        test_equal(after, rows[i].is_kept ? early : rows[i].after);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),     cmocka_unit_test(test_update),       cmocka_unit_test(test_status),
        cmocka_unit_test(test_reset),      cmocka_unit_test(test_sent_entries), cmocka_unit_test(test_cap),
        cmocka_unit_test(test_keep_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
