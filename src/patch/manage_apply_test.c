/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "patch/test_manage.h"

#include <errno.h>

#define CONFIG                                                                                               \
    "{" EMPTY_SERVICE ",'spec':{'type':'ClusterIP','selector':{'a':'b'},'ports':[{'port':80,'name':'http'}]" \
    "}}"

static void test_apply_create(void **state)
{
    cleanup_with(json_decrefp) json_t *object = NULL;
    apply(&object, CONFIG, "mine", EARLY, false);
    check_value(object, "ports", "[{'port':80,'name':'http'}]");
    check_count(object, 1);
    check_entry(object, 0,
                "{'manager':'mine','operation':'Apply','apiVersion':'v1','time':'" EARLY
                "','fieldsType':'FieldsV1','fieldsV1':{'f:spec':{'f:ports':{'k:{\\'port\\':80,\\'protocol\\':"
                "\\'TCP\\'}':"
                "{'.':{},'f:name':{},'f:port':{}}},'f:selector':{},'f:type':{}}}}");
    /* Again: nothing changes, not even the time. */
    cleanup_free char *before = test_dump(object);
    apply(&object, CONFIG, "mine", LATE, false);
    cleanup_free char *after = test_dump(object);
    assert_string_equal(before, after);
}

static void test_apply_removes(void **state)
{
    cleanup_with(json_decrefp) json_t *object = NULL;
    struct manage_actor other = actor("other", EARLY);
    apply(&object, CONFIG, "mine", EARLY, false);
    /* What he no longer names goes. */
    apply(&object, "{" EMPTY_SERVICE ",'spec':{'ports':[{'port':80,'name':'http'}]}}", "mine", LATE, false);
    check_value(object, "type", NULL);
    check_value(object, "selector", NULL);
    check_value(object, "ports", "[{'port':80,'name':'http'}]");
    /* A port that another added stays; of a port that he changed it is only the field that is his, and it
     * goes. */
    cleanup_with(json_decrefp) json_t *changed = json_deep_copy(object);
    json_t *ports = json_object_get(json_object_get(changed, "spec"), "ports");
    json_object_set_new(json_array_get(ports, 0), "nodePort", json_integer(30080));
    json_array_append_new(ports, json_pack("{si}", "port", 81));
    manage_update(object, changed, &core__service__descriptor, &other);
    apply(&changed, "{" EMPTY_SERVICE ",'spec':{'type':'ClusterIP'}}", "mine", LATE, false);
    check_value(changed, "ports", "[{'port':81}]");
    check_count(changed, 2);
    /* All of it goes when nobody else has any. */
    apply(&object, "{" EMPTY_SERVICE "}", "mine", LATE, false);
    check_value(object, "ports", NULL);
    check_count(object, 0);
}

/* A field that nobody owns stays beside one that goes. */
static void test_unowned(void **state)
{
    cleanup_with(json_decrefp) json_t *object = test_tree(
        "{" EMPTY_SERVICE ",'metadata':{'labels':{'a':'1','b':'2','c':'3'},'managedFields':["
        "{'manager':'mine','operation':'Apply','apiVersion':'v1','fieldsType':'FieldsV1','fieldsV1':"
        "{'f:metadata':{'f:labels':{'f:a':{}}}}},"
        "{'manager':'other','operation':'Update','apiVersion':'v1','fieldsType':'FieldsV1','fieldsV1':"
        "{'f:metadata':{'f:labels':{'f:b':{}}}}}]}}");
    apply(&object, "{" EMPTY_SERVICE "}", "mine", LATE, false);
    test_equal(json_object_get(json_object_get(object, "metadata"), "labels"), "{'b':'2','c':'3'}");
    check_count(object, 1);
}

static void test_apply_shared(void **state)
{
    cleanup_with(json_decrefp) json_t *object = NULL;
    apply(&object, CONFIG, "mine", EARLY, false);
    /* The same value is no conflict; then it takes both to let it go. */
    apply(&object, "{" EMPTY_SERVICE ",'spec':{'type':'ClusterIP'}}", "yours", LATE, false);
    check_count(object, 2);
    apply(&object, "{" EMPTY_SERVICE ",'spec':{'selector':{'a':'b'}}}", "mine", LATE, false);
    check_value(object, "type", "'ClusterIP'");
    check_value(object, "ports", NULL);
    apply(&object, "{" EMPTY_SERVICE "}", "yours", LATE, false);
    check_value(object, "type", NULL);
    check_count(object, 1);
}

static void test_conflicts(void **state)
{
    cleanup_with(json_decrefp) json_t *object = NULL;
    struct manage_conflicts conflicts = {0};
    struct err err = {0};
    struct manage_actor editor = actor("kubectl-edit", EARLY), me = actor("me", LATE);
    apply(&object, CONFIG, "theirs", EARLY, false);
    cleanup_with(json_decrefp) json_t *edited = json_deep_copy(object);
    json_object_set_new(json_object_get(edited, "spec"), "sessionAffinity", json_string("None"));
    manage_update(object, edited, &core__service__descriptor, &editor);

    assert_int_equal(apply_as(&edited, "{" EMPTY_SERVICE ",'spec':{'sessionAffinity':'ClientIP'}}", &me,
                              false, &conflicts, &err),
                     -EEXIST);
    assert_int_equal(conflicts.count, 1);
    assert_string_equal(conflicts.list[0].manager, "kubectl-edit");
    assert_string_equal(conflicts.list[0].field, ".spec.sessionAffinity");
    assert_string_equal(conflicts.list[0].message, "conflict with \"kubectl-edit\" using v1");
    assert_string_equal(text_str(&conflicts.message),
                        "Apply failed with 1 conflict: conflict with \"kubectl-edit\" using "
                        "v1: .spec.sessionAffinity");
    assert_string_equal(err.text, text_str(&conflicts.message));
    manage_conflicts_done(&conflicts);

    const char *config =
        "{" EMPTY_SERVICE ",'spec':{'sessionAffinity':'ClientIP','selector':{'c':'d'},'ports':["
        "{'port':80,'name':'x'}]}}";
    assert_int_equal(apply_as(&edited, config, &me, false, &conflicts, &err), -EEXIST);
    assert_int_equal(conflicts.count, 3);
    assert_string_equal(
        text_str(&conflicts.message),
        "Apply failed with 3 conflicts: conflicts with \"kubectl-edit\" using v1:\n- .spec.sessionAffinity\n"
        "conflicts with \"theirs\":\n- .spec.selector\n- .spec.ports[port=80,protocol=\"TCP\"].name");
    manage_conflicts_done(&conflicts);

    apply(&edited, config, "me", LATE, true);
    check_value(edited, "ports", "[{'port':80,'name':'x'}]");
    check_value(edited, "selector", "{'c':'d'}");
    check_count(edited, 2);
    check_entry(edited, 0,
                "{'manager':'theirs','operation':'Apply','apiVersion':'v1','time':'" EARLY
                "','fieldsType':'FieldsV1','fieldsV1':{'f:spec':{'f:ports':{'k:{\\'port\\':80,\\'protocol\\':"
                "\\'TCP\\'}':"
                "{'.':{},'f:port':{}}},'f:type':{}}}}");
}

/* A manager is named with its subresource; who applies has no version. */
static void test_conflict_names(void **state)
{
    cleanup_with(json_decrefp) json_t *object = NULL;
    struct manage_conflicts conflicts = {0};
    struct err err = {0};
    struct manage_actor controller = actor("controller", EARLY), me = actor("me", LATE);
    controller.subresource = me.subresource = "status";
    update(&object, "{" EMPTY_SERVICE ",'metadata':{'uid':'1'},'status':{'loadBalancer':{'ingress':[]}}}",
           &me);
    update(&object,
           "{" EMPTY_SERVICE ",'metadata':{'uid':'1'},'status':{'loadBalancer':{'ingress':[{'ip':'1'}]}}}",
           &controller);
    assert_int_equal(apply_as(&object,
                              "{" EMPTY_SERVICE
                              ",'spec':{'type':'x'},'status':{'loadBalancer':{'ingress':[{'ip':'2'}]}}}",
                              &me, false, &conflicts, &err),
                     -EEXIST);
    assert_string_equal(err.text,
                        "Apply failed with 1 conflict: conflict with \"controller\" with subresource "
                        "\"status\" using v1: .status.loadBalancer.ingress");
    manage_conflicts_done(&conflicts);
}

/* Sets, and what is owned as one. */
static void test_apply_lists(void **state)
{
    cleanup_with(json_decrefp) json_t *object = NULL;
    apply(&object,
          "{" EMPTY_SERVICE
          ",'metadata':{'name':'web','finalizers':['a/a','c/c']},'spec':{'externalIPs':['1','2']}}",
          "x", EARLY, false);
    apply(&object,
          "{" EMPTY_SERVICE
          ",'metadata':{'name':'web','finalizers':['b/b','c/c']},'spec':{'externalIPs':['3']}}",
          "y", LATE, true);
    test_equal(json_object_get(json_object_get(object, "metadata"), "finalizers"), "['a/a','b/b','c/c']");
    check_value(object, "externalIPs", "['3']");
    check_entry(object, 0,
                "{'manager':'x','operation':'Apply','apiVersion':'v1','time':'" EARLY
                "','fieldsType':'FieldsV1','fieldsV1':{'f:metadata':{'f:finalizers':{'v:\\'a/a\\'':{},"
                "'v:\\'c/c\\'':{}}}}}");
    apply(&object, "{" EMPTY_SERVICE "}", "x", LATE, false);
    test_equal(json_object_get(json_object_get(object, "metadata"), "finalizers"), "['b/b','c/c']");
}

/* The order of an applied list holds; what others have keeps its place between. */
static void test_apply_order(void **state)
{
    static const struct {
        const char *theirs, *mine, *result;
    } rows[] = {
        {"['a','b','c']", "['c','a']", "['b','c','a']"},
        {"['a','b','c']", "['a','c']", "['a','b','c']"},
        {"['a','b','c']", "['d','b']", "['a','d','b','c']"},
        {"['a','b','c']", "['b','d']", "['a','b','c','d']"},
        {"['a','b']", "['c','d']", "['a','b','c','d']"},
        {"['a','b','c','d']", "['d','b']", "['a','c','d','b']"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        cleanup_with(json_decrefp) json_t *object = NULL;
        cleanup_with(text_done) struct text theirs = {0}, mine = {0};
        text_printf(&theirs, "{" EMPTY_SERVICE ",'metadata':{'finalizers':%s}}", rows[i].theirs);
        text_printf(&mine, "{" EMPTY_SERVICE ",'metadata':{'finalizers':%s}}", rows[i].mine);
        apply(&object, text_str(&theirs), "x", EARLY, false);
        apply(&object, text_str(&mine), "y", EARLY, false);
        test_equal(json_object_get(json_object_get(object, "metadata"), "finalizers"), rows[i].result);
    }
}

/* An object that clients without apply made. */
static void test_upgrade(void **state)
{
    cleanup_with(json_decrefp) json_t *object = NULL;
    struct manage_actor kubectl = actor("kubectl-client-side-apply", EARLY), me = actor("me", LATE);
    struct manage_conflicts conflicts = {0};
    struct err err = {0};
    update(&object,
           "{" EMPTY_SERVICE ",'metadata':{'name':'web','uid':'1','annotations':{'kubectl.kubernetes.io/"
           "last-applied-configuration':'{\\'apiVersion\\':\\'v1\\',\\'kind\\':\\'Service\\',\\'spec\\':"
           "{\\'type\\':\\'ClusterIP\\',\\'externalName\\':\\'x\\'}}'}},'spec':{'type':'ClusterIP',"
           "'externalName':'changed'}}",
           &kubectl);
    /* Only kubectl may take over what it applied itself, and of that what nobody changed since. */
    assert_int_equal(
        apply_as(&object, "{" EMPTY_SERVICE ",'spec':{'type':'NodePort'}}", &me, false, &conflicts, &err),
        -EEXIST);
    manage_conflicts_done(&conflicts);
    me.manager = "kubectl";
    assert_int_equal(apply_as(&object, "{" EMPTY_SERVICE ",'spec':{'type':'NodePort','externalName':'y'}}",
                              &me, false, &conflicts, &err),
                     -EEXIST);
    assert_int_equal(conflicts.count, 1);
    assert_string_equal(conflicts.list[0].field, ".spec.externalName");
    manage_conflicts_done(&conflicts);
    apply(&object, "{" EMPTY_SERVICE ",'spec':{'type':'NodePort'}}", "kubectl", LATE, false);
    check_value(object, "type", "'NodePort'");
    test_equal(json_object_get(json_object_get(json_object_get(object, "metadata"), "annotations"),
                               "kubectl.kubernetes.io/last-applied-configuration"),
               "'{\\'apiVersion\\':\\'v1\\',\\'kind\\':\\'Service\\',\\'metadata\\':{\\'name\\':\\'web\\'},"
               "\\'spec\\':{\\'type\\':\\'NodePort\\'}}\\n'");
}

static void test_refusals(void **state)
{
    static const struct {
        const char *config, *sentence;
        int code;
    } rows[] = {
        {"{'apiVersion':'v1','kind':'Pod'}", "invalid object type: /v1, Kind=Pod", EBADMSG},
        {"{'apiVersion':'a/v2','kind':'Service'}", "invalid object type: a/v2, Kind=Service", EBADMSG},
        {"{}", "invalid object type: /, Kind=", EBADMSG},
        {"{" EMPTY_SERVICE ",'metadata':{'managedFields':[]}}", "metadata.managedFields must be nil",
         EBADMSG},
        {"{'apiVersion':'v1','kind':'Service','metadata':{'name':'n','namespace':'s'},'spec':{'x':1}}",
         "failed to create typed patch object (s/n; /v1, Kind=Service): .spec.x: field not declared in "
         "schema",
         EPROTO},
        {"{'apiVersion':'v1','kind':'Service','spec':{'type':1,'externalIPs':'x','ports':[{'port':'80'}],"
         "'selector':{'a':true}}}",
         "failed to create typed patch object (/; /v1, Kind=Service): errors:\n"
         "  .spec.type: expected string, got &value.valueUnstructured{Value:1}\n"
         "  .spec.externalIPs: expected list, got &{x}\n"
         "  .spec.ports[port=\"80\",protocol=\"TCP\"].port: expected numeric (int or float), got string\n"
         "  .spec.selector.a: expected string, got &value.valueUnstructured{Value:true}",
         EPROTO},
        {"{'apiVersion':'v1','kind':'Service','spec':{'ports':[{'port':80},{'port':80,'protocol':'TCP'}]}}",
         "failed to create typed patch object (/; /v1, Kind=Service): .spec.ports: duplicate entries for key "
         "[port=80,protocol=\"TCP\"]",
         EPROTO},
        {"{'apiVersion':'v1','kind':'Service','metadata':{'finalizers':['a','a']}}",
         "failed to create typed patch object (/; /v1, Kind=Service): .metadata.finalizers: duplicate "
         "entries for key "
         "[=\"a\"]",
         EPROTO},
        {"{'apiVersion':'v1','kind':'Service','spec':{'ports':[null]}}",
         "failed to create typed patch object (/; /v1, Kind=Service): .spec.ports: element 0: associative "
         "list with keys "
         "may not have a null element",
         EPROTO},
        {"{'apiVersion':'v1','kind':'Service','status':{'conditions':[{'status':'True'}]}}",
         "failed to create typed patch object (/; /v1, Kind=Service): .status.conditions: element 0: "
         "associative list "
         "with keys has an element that omits all key fields [\"type\"] (and doesn't have default values for "
         "any key "
         "fields)",
         EPROTO},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *object = NULL;
        struct manage_conflicts conflicts = {0};
        struct err err = {0};
        struct manage_actor who = actor("a", EARLY);
        int status = apply_as(&object, rows[i].config, &who, true, &conflicts, &err);
        assert_string_equal(err.text, rows[i].sentence);
        assert_int_equal(status, -rows[i].code);
        assert_null(object);
    }
}

static void test_unreadable(void **state)
{
    json_t *object = test_tree("{" EMPTY_SERVICE ",'metadata':{'managedFields':[{'operation':'x'}]}}");
    struct manage_conflicts conflicts = {0};
    struct err err = {0};
    struct manage_actor who = actor("a", EARLY);
    assert_int_equal(apply_as(&object, CONFIG, &who, true, &conflicts, &err), -EPROTO);
    assert_string_equal(err.text, "failed to decode managed fields: operation must be `Apply` or `Update`");
    json_decref(object);
}

/* What is stored may hold the same item twice: the twins count as one thing, and an update takes them as they
 * are. */
static void test_twins(void **state)
{
    cleanup_with(json_decrefp) json_t *object = NULL;
    struct manage_actor who = actor("a", EARLY), other = actor("b", LATE);
    update(&object, "{" EMPTY_SERVICE ",'metadata':{'uid':'1','finalizers':['x','x','y']}}", &who);
    check_entry(object, 0,
                "{'manager':'a','operation':'Update','apiVersion':'v1','time':'" EARLY
                "','fieldsType':'FieldsV1','fieldsV1':{'f:metadata':{'f:finalizers':{'.':{},'v:\\'x\\'':{},"
                "'v:\\'y\\'':{}}}}}");
    update(&object, "{" EMPTY_SERVICE ",'metadata':{'uid':'1','finalizers':['x','y']}}", &other);
    check_count(object, 2);
    apply(&object, "{" EMPTY_SERVICE ",'metadata':{'name':'web','finalizers':['z']}}", "c", LATE, false);
    test_equal(json_object_get(json_object_get(object, "metadata"), "finalizers"), "['x','y','z']");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apply_create), cmocka_unit_test(test_apply_removes),
        cmocka_unit_test(test_unowned),      cmocka_unit_test(test_apply_shared),
        cmocka_unit_test(test_conflicts),    cmocka_unit_test(test_conflict_names),
        cmocka_unit_test(test_apply_lists),  cmocka_unit_test(test_apply_order),
        cmocka_unit_test(test_upgrade),      cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_unreadable),   cmocka_unit_test(test_twins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
