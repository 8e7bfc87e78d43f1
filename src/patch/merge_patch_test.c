/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "patch/patch.h"
#include "patch/test_trees.h"

#include <errno.h>

static int run(const char *document_text, const char *patch_text, json_t **ret, struct err *err)
{
    cleanup_with(json_decrefp) json_t *document = test_tree(document_text), *patch = test_tree(patch_text);
    int status = patch_merge(document, patch, ret, err);
    test_equal(document, document_text);
    test_equal(patch, patch_text);
    return status;
}

/* RFC 7386, appendix A, as far as the patch is an object. */
static void test_rfc(void **state)
{
    static const struct {
        const char *document, *patch, *result;
    } rows[] = {
        {"{'a':'b'}", "{'a':'c'}", "{'a':'c'}"},
        {"{'a':'b'}", "{'b':'c'}", "{'a':'b','b':'c'}"},
        {"{'a':'b'}", "{'a':null}", "{}"},
        {"{'a':'b','b':'c'}", "{'a':null}", "{'b':'c'}"},
        {"{'a':['b']}", "{'a':'c'}", "{'a':'c'}"},
        {"{'a':'c'}", "{'a':['b']}", "{'a':['b']}"},
        {"{'a':{'b':'c'}}", "{'a':{'b':'d','c':null}}", "{'a':{'b':'d'}}"},
        {"{'a':[{'b':'c'}]}", "{'a':[1]}", "{'a':[1]}"},
        {"{'e':null}", "{'a':1}", "{'e':null,'a':1}"},
        {"[1,2]", "{'a':'b','c':null}", "{'a':'b'}"},
        {"{}", "{'a':{'bb':{'ccc':null}}}", "{'a':{'bb':{}}}"},
        /* Beside the RFC, as upstream: nulls of new objects go in lists too, but not where an object was. */
        {"{}", "{'a':[{'b':null},null]}", "{'a':[{},null]}"},
        {"{'a':{}}", "{'a':[{'b':null}]}", "{'a':[{'b':null}]}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        cleanup_with(json_decrefp) json_t *result = NULL;
        struct err err;
        if (run(rows[i].document, rows[i].patch, &result, &err) != 0)
            fail_msg("%s: %s", rows[i].patch, err.text);
        test_equal(result, rows[i].result);
    }
}

static void test_refusals(void **state)
{
    static const struct {
        const char *patch, *sentence;
    } rows[] = {
        {"null", "Invalid JSON Patch"},
        {"['c']",
         "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"},
        {"'bar'",
         "error decoding patch: json: cannot unmarshal string into Go value of type map[string]interface {}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *result = NULL;
        struct err err;
        assert_int_equal(run("{'a':'b'}", rows[i].patch, &result, &err), -EBADMSG);
        assert_null(result);
        assert_string_equal(err.text, rows[i].sentence);
    }
    cleanup_with(json_decrefp) json_t *deep = json_object(), *flat = json_object();
    for (unsigned i = 0; i < PATCH_DEPTH_MAX; i++)
        deep = json_pack("{so}", "a", deep);
    json_t *result = NULL;
    struct err err;
    assert_int_equal(patch_merge(flat, deep, &result, &err), -EBADMSG);
    assert_int_equal(patch_merge(deep, flat, &result, &err), -EINVAL);
    cleanup_with(json_decrefp) json_t *less = json_incref(json_object_get(deep, "a"));
    assert_int_equal(patch_merge(less, flat, &result, &err), 0);
    json_decref(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
