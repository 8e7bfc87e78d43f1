/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/core.pb-c.h"
#include "api/discovery.pb-c.h"
#include "api/node.pb-c.h"
#include "api/pod.pb-c.h"
#include "base/cleanup.h"
#include "fuzz_target.h"
#include "patch/manage.h"
#include "patch/patch.h"
#include "patch/tree.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The first byte chooses the engine, the second one the kind; two JSON values follow: what is there, and what
 * comes. The properties: a result or a sentence, never both; inputs stay as they are; what was done once is
 * done. */

static const ProtobufCMessageDescriptor *const kinds[] = {&core__service__descriptor, &core__pod__descriptor,
                                                          &core__node__descriptor,
                                                          &discovery__endpoint_slice__descriptor};

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

struct input {
    const ProtobufCMessageDescriptor *type;
    json_t *live, *change;
    bool has_directives;
};

typedef int (*run_engine)(const struct input *input, json_t *live, json_t *change, json_t **ret,
                          struct err *err);

static int run_json(const struct input *input, json_t *live, json_t *change, json_t **ret, struct err *err)
{
    return patch_json(live, change, ret, err);
}

static int run_merge(const struct input *input, json_t *live, json_t *change, json_t **ret, struct err *err)
{
    return patch_merge(live, change, ret, err);
}

static int run_strategic(const struct input *input, json_t *live, json_t *change, json_t **ret,
                         struct err *err)
{
    return patch_strategic(live, change, input->type, ret, err);
}

static struct manage_actor actor(const struct input *input, const char *manager)
{
    const char *version = json_string_value(json_object_get(input->change, "apiVersion"));
    return (struct manage_actor){.manager = manager,
                                 .api_version = version ? version : "v1",
                                 .subresource = "",
                                 .time = "2024-01-01T00:00:00Z"};
}

static int run_update(const struct input *input, json_t *live, json_t *change, json_t **ret, struct err *err)
{
    struct manage_actor who = actor(input, "fuzz");
    json_t *after = json_deep_copy(change);
    manage_update(live, after, input->type, &who);
    *ret = after;
    return 0;
}

static int apply(const struct input *input, json_t *live, json_t *change, bool is_forced, json_t **ret,
                 struct err *err)
{
    struct manage_actor who = actor(input, "fuzz");
    struct manage_conflicts conflicts = {0};
    int status = manage_apply(json_is_object(live) ? live : NULL, change, input->type, &who, is_forced, ret,
                              &conflicts, err);
    require((status == -EEXIST) == (conflicts.count > 0), "conflicts are listed");
    require(!is_forced || status != -EEXIST, "force takes over");
    manage_conflicts_done(&conflicts);
    return status;
}

static int run_apply(const struct input *input, json_t *live, json_t *change, json_t **ret, struct err *err)
{
    return apply(input, live, change, false, ret, err);
}

static int run_force(const struct input *input, json_t *live, json_t *change, json_t **ret, struct err *err)
{
    return apply(input, live, change, true, ret, err);
}

static const run_engine engines[] = {run_json, run_merge, run_strategic, run_update, run_apply, run_force};

static json_t *run(const struct input *input, run_engine engine, json_t *live, json_t *change)
{
    struct err err = {0};
    json_t *result = NULL;
    cleanup_free char *live_before = json_dumps(live, JSON_ENCODE_ANY);
    cleanup_free char *change_before = json_dumps(change, JSON_ENCODE_ANY);
    int status = engine(input, live, change, &result, &err);
    require((status == 0) == (result != NULL), "a result or a failure");
    require((status != 0) == (err.text[0] != '\0'), "a failure has its sentence");
    require(status == 0 || status == -EBADMSG || status == -EFBIG || status == -EINVAL || status == -EPROTO ||
                status == -EEXIST,
            "a failure is one of those that are promised");
    cleanup_with(json_decrefp) json_t *sentence = json_string(err.text);
    require(sentence != NULL, "a sentence is UTF-8");
    cleanup_free char *live_after = json_dumps(live, JSON_ENCODE_ANY);
    cleanup_free char *change_after = json_dumps(change, JSON_ENCODE_ANY);
    require(strcmp(live_before, live_after) == 0 && strcmp(change_before, change_after) == 0, "inputs stay");
    return result;
}

static bool is_same(json_t *one, json_t *other)
{
    cleanup_with(json_decrefp) json_t *a = json_deep_copy(one), *b = json_deep_copy(other);
    tree_drop_nulls(a);
    tree_drop_nulls(b);
    return json_equal(a, b);
}

/* Operations do not repeat; directives may say something else the second time; an object that nobody owns
 * anything of gets its first entry by the next apply. An update is repeated with what came out of it, which
 * is no change then. */
static void check_again(const struct input *input, run_engine engine, json_t *result)
{
    bool is_apply = engine == run_apply || engine == run_force;
    if (engine == run_json || (engine == run_strategic && input->has_directives) ||
        (is_apply && !json_object_get(json_object_get(result, "metadata"), "managedFields")))
        return;
    cleanup_with(json_decrefp) json_t *change = json_incref(engine == run_update ? result : input->change);
    cleanup_with(json_decrefp) json_t *again = run(input, engine, result, change);
    if (again && !is_same(again, result)) {
        json_dumpf(result, stderr, JSON_ENCODE_ANY);
        fputs("\n", stderr);
        json_dumpf(again, stderr, JSON_ENCODE_ANY);
        require(false, "\nthe second time changes something");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *text = (const char *)data + 2;
    json_error_t error;
    struct input input = {.type = kinds[data[1] % ARRAY_LEN(kinds)],
                          .has_directives = memchr(data, '$', size)};
    cleanup_with(json_decrefp) json_t *live =
        json_loadb(text, size - 2, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, &error);
    if (!live)
        return 0;
    size_t used = (size_t)error.position;
    cleanup_with(json_decrefp) json_t *change =
        json_loadb(text + used, size - 2 - used, JSON_DECODE_ANY, &error);
    if (!change)
        return 0;
    run_engine engine = engines[data[0] % ARRAY_LEN(engines)];
    input.live = live;
    input.change = change;
    cleanup_with(json_decrefp) json_t *result = run(&input, engine, live, change);
    if (result)
        check_again(&input, engine, result);
    return 0;
}
