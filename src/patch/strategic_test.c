/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/core.pb-c.h"
#include "api/pod.pb-c.h"
#include "patch/patch.h"
#include "patch/test_trees.h"

#include <errno.h>

struct row {
    const char *document, *patch, *result;
};

static int run(const ProtobufCMessageDescriptor *type, const char *document_text, const char *patch_text,
               json_t **ret, struct err *err)
{
    cleanup_with(json_decrefp) json_t *document = test_tree(document_text), *patch = test_tree(patch_text);
    int status = patch_strategic(document, patch, type, ret, err);
    test_equal(document, document_text);
    test_equal(patch, patch_text);
    return status;
}

static void check_rows(const ProtobufCMessageDescriptor *type, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cleanup_with(json_decrefp) json_t *result = NULL;
        struct err err;
        if (run(type, rows[i].document, rows[i].patch, &result, &err) != 0)
            fail_msg("%s: %s", rows[i].patch, err.text);
        test_equal(result, rows[i].result);
    }
}

static void test_service(void **state)
{
    static const struct row rows[] = {
        /* Ports are one when their numbers are. */
        {"{'spec':{'ports':[{'port':80,'name':'a'},{'port':443}]}}",
         "{'spec':{'ports':[{'port':80,'nodePort':30080}]}}",
         "{'spec':{'ports':[{'port':80,'name':'a','nodePort':30080},{'port':443}]}}"},
        {"{'spec':{'ports':[{'port':80},{'port':443}]}}", "{'spec':{'ports':[{'port':81}]}}",
         "{'spec':{'ports':[{'port':81},{'port':80},{'port':443}]}}"},
        {"{'spec':{'ports':[{'port':80},{'port':443}]}}",
         "{'spec':{'ports':[{'port':80,'$patch':'delete'}]}}", "{'spec':{'ports':[{'port':443}]}}"},
        {"{'spec':{'ports':[{'port':80},{'port':443}]}}",
         "{'spec':{'ports':[{'$patch':'replace'},{'port':81}]}}", "{'spec':{'ports':[{'port':81}]}}"},
        {"{'spec':{'ports':[{'port':80,'name':'a'}]}}", "{'spec':{'ports':[{'port':80,'name':null}]}}",
         "{'spec':{'ports':[{'port':80}]}}"},
        {"{'spec':{'ports':[{'port':80}]}}", "{'spec':{'ports':null}}", "{'spec':{}}"},
        /* Maps merge, atomic lists are replaced. */
        {"{'spec':{'selector':{'a':'1','b':'2'}}}", "{'spec':{'selector':{'b':null,'c':'3'}}}",
         "{'spec':{'selector':{'a':'1','c':'3'}}}"},
        {"{'spec':{'externalIPs':['1.2.3.4']}}", "{'spec':{'externalIPs':['1.2.3.5']}}",
         "{'spec':{'externalIPs':['1.2.3.5']}}"},
        {"{'spec':{'selector':{'a':'1'}}}", "{'spec':{'selector':{'$patch':'replace','b':'2'}}}",
         "{'spec':{'selector':{'b':'2'}}}"},
        {"{'spec':{'selector':{'a':'1'}}}", "{'spec':{'selector':{'$patch':'delete'}}}",
         "{'spec':{'selector':{}}}"},
        /* What is new loses its nulls and directives. */
        {"{'spec':{}}",
         "{'spec':{'ports':[{'port':80,'name':null},{'port':81,'$patch':'delete'}],'selector':{'a':null}}}",
         "{'spec':{'ports':[{'port':80}],'selector':{}}}"},
        {"{'spec':{'type':'ClusterIP'}}", "{'spec':{'type':'NodePort'}}", "{'spec':{'type':'NodePort'}}"},
        {"{}", "{'spec':{'selector':{'$patch':'delete'},'type':'x'}}", "{'spec':{'type':'x'}}"},
        {"{'a':1}", "{}", "{'a':1}"},
        {"{'a':1}", "null", "{'a':1}"},
        {"{'a':1}", "{'$patch':'replace','b':2}", "{'b':2}"},
        {"{'spec':{'type':'A','clusterIP':'b','ports':[]}}", "{'spec':{'$retainKeys':['type'],'type':'C'}}",
         "{'spec':{'type':'C'}}"},
    };
    check_rows(&core__service__descriptor, rows, ARRAY_LEN(rows));
}

static void test_order(void **state)
{
    static const struct row rows[] = {
        {"{'spec':{'ports':[{'port':1},{'port':2},{'port':3}]}}",
         "{'spec':{'$setElementOrder/ports':[{'port':3},{'port':1}]}}",
         "{'spec':{'ports':[{'port':2},{'port':3},{'port':1}]}}"},
        {"{'spec':{'ports':[{'port':1},{'port':2}]}}",
         "{'spec':{'$setElementOrder/"
         "ports':[{'port':3},{'port':2},{'port':1}],'ports':[{'port':3,'name':'c'}]}}",
         "{'spec':{'ports':[{'port':3,'name':'c'},{'port':2},{'port':1}]}}"},
        {"{'spec':{}}",
         "{'spec':{'$setElementOrder/ports':[{'port':2},{'port':1}],'ports':[{'port':2},{'port':1}]}}",
         "{'spec':{'ports':[{'port':2},{'port':1}]}}"},
        {"{'spec':{}}", "{'spec':{'$setElementOrder/ports':[{'port':2}]}}", "{'spec':{}}"},
        {"{'metadata':{'finalizers':['a','b','c']}}",
         "{'metadata':{'$setElementOrder/finalizers':['c','a'],'$deleteFromPrimitiveList/finalizers':['b']}}",
         "{'metadata':{'finalizers':['c','a']}}"},
    };
    check_rows(&core__service__descriptor, rows, ARRAY_LEN(rows));
}

static void test_finalizers(void **state)
{
    static const struct row rows[] = {
        {"{'metadata':{'finalizers':['a','b']}}", "{'metadata':{'finalizers':['c','a']}}",
         "{'metadata':{'finalizers':['c','a','b']}}"},
        {"{'metadata':{'finalizers':['a','b']}}", "{'metadata':{'finalizers':['b','c']}}",
         "{'metadata':{'finalizers':['a','b','c']}}"},
        {"{'metadata':{'finalizers':['a','b','a']}}",
         "{'metadata':{'$deleteFromPrimitiveList/finalizers':['a','x']}}",
         "{'metadata':{'finalizers':['b']}}"},
        {"{'metadata':{}}", "{'metadata':{'$deleteFromPrimitiveList/finalizers':['a']}}", "{'metadata':{}}"},
        {"{'metadata':{}}", "{'metadata':{'finalizers':['a']}}", "{'metadata':{'finalizers':['a']}}"},
    };
    check_rows(&core__service__descriptor, rows, ARRAY_LEN(rows));
}

static void test_pod(void **state)
{
    static const struct row rows[] = {
        {"{'spec':{'containers':[{'name':'a','image':'x','ports':[{'containerPort':1}]},{'name':'b','image':'"
         "y'}]}}",
         "{'spec':{'containers':[{'name':'a','image':'z','ports':[{'containerPort':2}]}]}}",
         "{'spec':{'containers':[{'name':'a','image':'z','ports':[{'containerPort':2},{'containerPort':1}]},"
         "{'name':'b','image':'y'}]}}"},
        {"{'spec':{'containers':[{'name':'a','args':['1','2']}]}}",
         "{'spec':{'containers':[{'name':'a','args':['3']}]}}",
         "{'spec':{'containers':[{'name':'a','args':['3']}]}}"},
        /* A volume has one source: the patch says which members stay. */
        {"{'spec':{'volumes':[{'name':'v','emptyDir':{}}]}}",
         "{'spec':{'volumes':[{'name':'v','$retainKeys':['name','hostPath'],'hostPath':{'path':'/x'}}]}}",
         "{'spec':{'volumes':[{'name':'v','hostPath':{'path':'/x'}}]}}"},
        {"{'status':{'conditions':[{'type':'Ready','status':'False'}]}}",
         "{'status':{'conditions':[{'type':'Ready','status':'True'},{'type':'X','status':'True'}]}}",
         "{'status':{'conditions':[{'type':'Ready','status':'True'},{'type':'X','status':'True'}]}}"},
    };
    check_rows(&core__pod__descriptor, rows, ARRAY_LEN(rows));
}

static void test_refusals(void **state)
{
    static const struct {
        const char *document, *patch, *sentence;
        int code;
    } rows[] = {
        {"{}", "[]", "json: cannot unmarshal array into Go value of type map[string]interface {}", EBADMSG},
        {"{'spec':{'ports':[{'port':80}]}}", "{'spec':{'ports':[{'name':'x','nodePort':1}]}}",
         "map: map[name:x nodePort:1] does not contain declared merge key: port", EPROTO},
        {"{'spec':{'ports':[{'port':80}]}}", "{'spec':{'ports':['x']}}",
         "list element types are not identical: [[map[port:80]] [x]]", EPROTO},
        {"{'spec':{'ports':[{'port':80}]}}", "{'spec':{'ports':[{'$patch':'delete'}]}}",
         "map: map[$patch:delete] does not contain declared merge key: port", EPROTO},
        {"{'spec':{'ports':[{'port':80}]}}", "{'spec':{'ports':[{'port':80,'$patch':'merge'}]}}",
         "merging lists cannot yet be specified in the patch", EPROTO},
        {"{'spec':{'a':1}}", "{'spec':{'$patch':'foo'}}", "unknown patch type: foo in map: map[$patch:foo]",
         EPROTO},
        {"{'spec':{'x':{}}}", "{'spec':{'x':{}}}",
         "unable to find api field in struct ServiceSpec for the json field \"x\"", EPROTO},
        {"{'spec':{}}", "{'spec':{'$retainKeys':['type'],'clusterIP':'x'}}",
         "invalid patch format of retainKeys", EBADMSG},
        {"{'spec':{}}", "{'spec':{'$retainKeys':'type'}}", "invalid patch format of retainKeys", EBADMSG},
        {"{'metadata':{}}", "{'metadata':{'$deleteFromPrimitiveList':['a']}}",
         "invalid patch format of primitive list", EBADMSG},
        {"{'metadata':{}}", "{'metadata':{'$setElementOrder':['a']}}",
         "invalid patch format of setElementOrder list", EBADMSG},
        {"{'metadata':{'finalizers':[['a']]}}", "{'metadata':{'finalizers':['a']}}",
         "lists of lists are not supported", EINVAL},
        {"{'spec':{'ports':[{'port':1},{'port':2}]}}",
         "{'spec':{'$setElementOrder/ports':[{'port':1},{'port':2}],'ports':[{'port':2},{'port':1}]}}",
         "The order in patch list:\n[map[port:2] map[port:1]]\n doesn't match $setElementOrder "
         "list:\n[map[port:1] "
         "map[port:2]]\n",
         EPROTO},
        {"{'spec':{'ports':[{'port':{}}]}}", "{'spec':{'ports':[{'port':{}}]}}",
         "runtime error: comparing uncomparable type map[string]interface {}", EPROTO},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *result = NULL;
        struct err err = {0};
        int status = run(&core__service__descriptor, rows[i].document, rows[i].patch, &result, &err);
        assert_string_equal(err.text, rows[i].sentence);
        assert_int_equal(status, -rows[i].code);
        assert_null(result);
    }
}

/* Long lists take time in proportion, not to the square of it: 20000 items are done at once. */
static void test_long_lists(void **state)
{
    cleanup_with(json_decrefp) json_t *items = json_array(), *others = json_array();
    for (int i = 0; i < 20000; i++) {
        json_array_append_new(items, json_pack("{si}", "port", i));
        json_array_append_new(others, json_pack("{siss}", "port", 20000 - i, "name", "x"));
    }
    cleanup_with(json_decrefp) json_t *document = json_pack("{s{sO}}", "spec", "ports", items);
    cleanup_with(json_decrefp) json_t *patch =
        json_pack("{s{sOsO}}", "spec", "ports", others, "$setElementOrder/ports", others);
    cleanup_with(json_decrefp) json_t *result = NULL;
    struct err err;
    assert_int_equal(patch_strategic(document, patch, &core__service__descriptor, &result, &err), 0);
    json_t *ports = json_object_get(json_object_get(result, "spec"), "ports");
    assert_int_equal(json_array_size(ports), 20001);
    test_equal(json_array_get(ports, 0), "{'port':20000,'name':'x'}");
    test_equal(json_array_get(ports, 1), "{'port':0}");
    test_equal(json_array_get(ports, 2), "{'port':19999,'name':'x'}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_service), cmocka_unit_test(test_order),    cmocka_unit_test(test_finalizers),
        cmocka_unit_test(test_pod),     cmocka_unit_test(test_refusals), cmocka_unit_test(test_long_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
