/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "patch/patch.h"
#include "patch/test_trees.h"

#include <errno.h>

struct row {
    const char *document, *patch;
    const char *result;   /* NULL: it fails */
    const char *sentence; /* ... with this */
    int code;
};

static void check_row(const struct row *row)
{
    cleanup_with(json_decrefp) json_t *document = test_tree(row->document), *patch = test_tree(row->patch);
    cleanup_with(json_decrefp) json_t *result = NULL;
    struct err err = {0};
    int status = patch_json(document, patch, &result, &err);
    test_equal(document, row->document);
    test_equal(patch, row->patch);
    if (row->result) {
        if (status != 0)
            fail_msg("%s: %s", row->patch, err.text);
        test_equal(result, row->result);
        return;
    }
    assert_null(result);
    assert_string_equal(err.text, row->sentence);
    assert_int_equal(status, -row->code);
}

/* RFC 6902, appendix A. */
static void test_rfc(void **state)
{
    static const struct row rows[] = {
        {"{'foo':'bar'}", "[{'op':'add','path':'/baz','value':'qux'}]", "{'baz':'qux','foo':'bar'}"},
        {"{'foo':['bar','baz']}", "[{'op':'add','path':'/foo/1','value':'qux'}]",
         "{'foo':['bar','qux','baz']}"},
        {"{'baz':'qux','foo':'bar'}", "[{'op':'remove','path':'/baz'}]", "{'foo':'bar'}"},
        {"{'foo':['bar','qux','baz']}", "[{'op':'remove','path':'/foo/1'}]", "{'foo':['bar','baz']}"},
        {"{'baz':'qux','foo':'bar'}", "[{'op':'replace','path':'/baz','value':'boo'}]",
         "{'baz':'boo','foo':'bar'}"},
        {"{'foo':{'bar':'baz','waldo':'fred'},'qux':{'corge':'grault'}}",
         "[{'op':'move','from':'/foo/waldo','path':'/qux/thud'}]",
         "{'foo':{'bar':'baz'},'qux':{'corge':'grault','thud':'fred'}}"},
        {"{'foo':['all','grass','cows','eat']}", "[{'op':'move','from':'/foo/1','path':'/foo/3'}]",
         "{'foo':['all','cows','eat','grass']}"},
        {"{'baz':'qux','foo':['a',2,'c']}",
         "[{'op':'test','path':'/baz','value':'qux'},{'op':'test','path':'/foo/1','value':2}]",
         "{'baz':'qux','foo':['a',2,'c']}"},
        {"{'baz':'qux'}", "[{'op':'test','path':'/baz','value':'bar'}]", NULL,
         "testing value /baz failed: test failed", EINVAL},
        {"{'foo':'bar'}", "[{'op':'add','path':'/child','value':{'grandchild':{}}}]",
         "{'foo':'bar','child':{'grandchild':{}}}"},
        {"{'foo':'bar'}", "[{'op':'add','path':'/baz','value':'qux','xyz':123}]",
         "{'foo':'bar','baz':'qux'}"},
        {"{'foo':'bar'}", "[{'op':'add','path':'/baz/bat','value':'qux'}]", NULL,
         "add operation does not apply: doc is missing path: \"/baz/bat\": missing value", EINVAL},
        {"{'/':9,'~1':10}", "[{'op':'test','path':'/~01','value':10}]", "{'/':9,'~1':10}"},
        {"{'/':9,'~1':10}", "[{'op':'test','path':'/~01','value':'10'}]", NULL,
         "testing value /~01 failed: test failed", EINVAL},
        {"{'foo':['bar']}", "[{'op':'add','path':'/foo/-','value':['abc','def']}]",
         "{'foo':['bar',['abc','def']]}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_row(&rows[i]);
}

/* Where evanphx/json-patch v4 goes its own way. */
static void test_upstream(void **state)
{
    static const struct row rows[] = {
        {"{'a':[1,2]}", "[{'op':'remove','path':'/a/-1'}]", "{'a':[1]}"},
        {"{'a':[1,2]}", "[{'op':'add','path':'/a/-1','value':3}]", "{'a':[1,2,3]}"},
        {"{'a':[1,2]}", "[{'op':'replace','path':'/a/-2','value':3}]", "{'a':[3,2]}"},
        {"{'a':[1,2]}", "[{'op':'test','path':'/a/+1','value':2}]", "{'a':[1,2]}"},
        {"{}", "[{'op':'replace','path':'/a','value':1}]", "{'a':1}"},
        {"{}", "[{'op':'copy','from':'/a','path':'/b'}]", "{'b':null}"},
        {"{'a':1}", "[{'op':'replace','path':'','value':{'b':2}}]", "{'b':2}"},
        {"{'a':1}", "[{'op':'test','path':'','value':{'a':1}}]", "{'a':1}"},
        {"{'a':1}", "[{'op':'test','path':'/b','value':null},{'op':'test','path':'/b'}]", "{'a':1}"},
        {"{}", "[{'op':'add','path':'a','value':1}]", NULL,
         "add operation does not apply: doc is missing path: \"a\": missing value", EINVAL},
        {"{}", "[{'op':'add','path':'x/a','value':1}]", "{'a':1}"},
        {"{}", "[{'op':'add','path':'','value':{}}]", NULL,
         "add operation does not apply: doc is missing path: \"\": missing value", EINVAL},
        {"{'a':1}", "[{'op':'remove','path':'/b'}]", NULL,
         "error in remove for path: '/b': Unable to remove nonexistent key: b: missing value", EINVAL},
        {"{'a':1}", "[{'op':'remove','path':'/b/c'}]", NULL,
         "remove operation does not apply: doc is missing path: \"/b/c\": missing value", EINVAL},
        {"{'a':[1]}", "[{'op':'remove','path':'/a/1'}]", NULL,
         "error in remove for path: '/a/1': Unable to access invalid index: 1: invalid index referenced",
         EINVAL},
        {"{'a':[1]}", "[{'op':'remove','path':'/a/x'}]", NULL,
         "error in remove for path: '/a/x': strconv.Atoi: parsing \"x\": invalid syntax", EINVAL},
        {"{'a':[1]}", "[{'op':'remove','path':'/a/99999999999999999999'}]", NULL,
         "error in remove for path: '/a/99999999999999999999': strconv.Atoi: parsing "
         "\"99999999999999999999\": value "
         "out of range",
         EINVAL},
        {"{'a':[1]}", "[{'op':'replace','path':'/a/-','value':2}]", NULL,
         "replace operation does not apply: doc is missing key: /a/-: missing value", EINVAL},
        {"{'a':{'b':1}}", "[{'op':'move','from':'/a','path':'/a/b'}]", NULL,
         "move operation does not apply: doc is missing destination path: /a/b: missing value", EINVAL},
        {"{'a':1}", "[{'op':'swap','path':'/a'}]", NULL, "Unexpected kind: swap", EINVAL},
        {"{'a':1}", "[null]", NULL, "Unexpected kind: unknown", EINVAL},
        {"{'a':1}", "{}", NULL,
         "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
         EBADMSG},
        {"{'a':1}", "[1]", NULL,
         "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp",
         EBADMSG},
        {"{'a':1}", "[{'op':'add','path':7}]", NULL,
         "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.path of type "
         "string",
         EBADMSG},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_row(&rows[i]);
}

static int run(json_t *document, json_t *patch, struct err *err)
{
    json_t *result = NULL;
    int status = patch_json(document, patch, &result, err);
    assert_true((status == 0) == (result != NULL));
    json_decref(result);
    return status;
}

static void test_bounds(void **state)
{
    struct err err = {0};
    cleanup_with(json_decrefp) json_t *document = test_tree("{'a':[1,2,3,4],'x':{}}");
    cleanup_with(json_decrefp) json_t *doubling = json_array(), *many = json_array(),
                                      *wrapping = json_array();
    for (unsigned i = 0; i < 40; i++)
        json_array_append_new(doubling, test_tree("{'op':'copy','from':'/a','path':'/a/-'}"));
    assert_int_equal(run(document, doubling, &err), -EINVAL);
    assert_memory_equal(err.text, "Unable to complete the copy", strlen("Unable to complete the copy"));

    for (unsigned i = 0; i <= PATCH_OPERATIONS_MAX; i++)
        json_array_append_new(many, test_tree("{'op':'test','path':'/b'}"));
    assert_int_equal(run(document, many, &err), -EFBIG);
    assert_string_equal(err.text, "The allowed maximum operations in a JSON patch is 10000, got 10001");
    json_array_remove(many, 0);
    assert_int_equal(run(document, many, &err), 0);

    for (unsigned i = 0; i < 3000; i++) {
        json_array_append_new(wrapping, test_tree("{'op':'move','from':'/a','path':'/x/a'}"));
        json_array_append_new(wrapping, test_tree("{'op':'move','from':'/x','path':'/a'}"));
        json_array_append_new(wrapping, test_tree("{'op':'add','path':'/x','value':{}}"));
    }
    assert_int_equal(run(document, wrapping, &err), -EINVAL);
    assert_string_equal(err.text, "the patched document is nested too deep");
}

/* A sentence that is too long is cut between characters. */
static void test_long_sentence(void **state)
{
    cleanup_with(text_done) struct text path = {0};
    for (unsigned shift = 0; shift < 3; shift++) {
        struct err err = {0};
        path.len = 0;
        text_add(&path, shift == 0 ? "/" : shift == 1 ? "/x" : "/xx");
        for (unsigned i = 0; i < 300; i++)
            text_add(&path, "\xe2\x82\xac");
        cleanup_with(json_decrefp) json_t *document = json_object();
        cleanup_with(json_decrefp) json_t *patch =
            json_pack("[{ssss}]", "op", "remove", "path", text_str(&path));
        assert_int_equal(run(document, patch, &err), -EINVAL);
        cleanup_with(json_decrefp) json_t *sentence = json_string(err.text);
        assert_non_null(sentence);
        assert_true(strlen(err.text) >= sizeof(err.text) - 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc),
        cmocka_unit_test(test_upstream),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_long_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
