/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/zpages.h"

#include "apiserver/accept.h"
#include "apiserver/block_yaml.h"
#include "base/cleanup.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GROUP "config.k8s.io"
#define JSON_TYPE "application/json"
#define YAML_TYPE "application/yaml"

/* The forms of one page. The version that came first is deprecated, and says so. */
struct form {
    const char *content_type, *version;
    bool is_yaml;
};
static const struct form statusz_forms[] = {
    {"text/plain; charset=utf-8"},
    {JSON_TYPE ";g=" GROUP ";v=v1beta1;as=Statusz", "v1beta1"},
    {JSON_TYPE ";g=" GROUP ";v=v1alpha1;as=Statusz", "v1alpha1"},
    {YAML_TYPE ";g=" GROUP ";v=v1beta1;as=Statusz", "v1beta1", true},
    {YAML_TYPE ";g=" GROUP ";v=v1alpha1;as=Statusz", "v1alpha1", true},
};
static const struct form flagz_forms[] = {
    {"text/plain; charset=utf-8"},
    {JSON_TYPE ";g=" GROUP ";v=v1beta1;as=Flagz", "v1beta1"},
    {JSON_TYPE ";g=" GROUP ";v=v1alpha1;as=Flagz", "v1alpha1"},
    {YAML_TYPE ";g=" GROUP ";v=v1beta1;as=Flagz", "v1beta1", true},
    {YAML_TYPE ";g=" GROUP ";v=v1alpha1;as=Flagz", "v1alpha1", true},
};

/* NULL: none of the forms will do. */
static const struct form *choose(const struct form *forms, const char *kind, const char *accept)
{
    const struct accept_offer offers[] = {
        {"text/plain"},
        {JSON_TYPE, GROUP, "v1beta1", kind},
        {JSON_TYPE, GROUP, "v1alpha1", kind},
        {YAML_TYPE, GROUP, "v1beta1", kind},
        {YAML_TYPE, GROUP, "v1alpha1", kind},
    };
    int chosen = accept_choose(accept, offers, ARRAY_LEN(offers));
    return chosen < 0 ? NULL : &forms[chosen];
}

static void json_add(struct text *text, json_t *tree)
{
    char *json = json_dumps(tree, JSON_INDENT(2));
    if (!json)
        abort();
    text_add(text, json);
    free(json);
}

static struct zpage refuse(void)
{
    struct zpage page = {.status = 406, .content_type = JSON_TYPE};
    json_t *status = json_pack("{s:s, s:s, s:{}, s:s, s:s, s:s, s:i}", "kind", "Status", "apiVersion", "v1",
                               "metadata", "status", "Failure", "message",
                               "only the following media types are accepted: application/json, "
                               "application/yaml, text/plain",
                               "reason", "NotAcceptable", "code", 406);
    json_add(&page.body, status);
    json_decref(status);
    return page;
}

/* Takes members, which are the page's own, and puts what every object has before them. */
static struct zpage object(const struct form *form, const char *kind, const char *component, json_t *members)
{
    struct zpage page = {.status = 200, .content_type = form->content_type};
    struct text version = {0}, json = {0};
    text_printf(&version, "%s/%s", GROUP, form->version);
    json_t *tree = json_pack("{s:s, s:s, s:{s:s}}", "kind", kind, "apiVersion", text_str(&version),
                             "metadata", "name", component);
    json_object_update(tree, members);
    json_add(&json, tree);
    if (form->is_yaml)
        block_yaml_from_json(text_str(&json), json.len, &page.body);
    else
        text_add(&page.body, text_str(&json));
    if (strcmp(form->version, "v1alpha1") == 0)
        page.warning = "299 - \"This version is deprecated: ask for v1beta1.\"";
    json_decref(members);
    json_decref(tree);
    text_done(&version);
    text_done(&json);
    return page;
}

static struct zpage text_page(const struct form *form, const char *component, const char *name)
{
    struct zpage page = {.status = 200, .content_type = form->content_type};
    text_printf(&page.body,
                "\n%s %s\nFor people; programs ask for an object of config.k8s.io in their Accept header.\n",
                component, name);
    return page;
}

static void time_add(struct text *text, int64_t seconds, const char *format)
{
    char buffer[64];
    time_t time = (time_t)seconds;
    struct tm utc;
    gmtime_r(&time, &utc);
    strftime(buffer, sizeof(buffer), format, &utc);
    text_add(text, buffer);
}

static json_t *statusz_members(const struct statusz *facts, int64_t up_s)
{
    struct text started = {0};
    json_t *paths = json_array();
    for (size_t i = 0; i < facts->path_count; i++)
        json_array_append_new(paths, json_string(facts->paths[i]));
    time_add(&started, facts->started_s, "%Y-%m-%dT%H:%M:%SZ");
    json_t *members = json_pack("{s:s, s:I, s:s, s:s, s:s, s:o}", "startTime", text_str(&started),
                                "uptimeSeconds", (json_int_t)up_s, "goVersion", "", "binaryVersion",
                                facts->version, "emulationVersion", facts->emulated, "paths", paths);
    text_done(&started);
    return members;
}

struct zpage statusz_answer(const struct statusz *facts, const char *accept)
{
    const struct form *form = choose(statusz_forms, "Statusz", accept);
    int64_t up_s = facts->now_s > facts->started_s ? facts->now_s - facts->started_s : 0;
    if (!form)
        return refuse();
    if (form->version)
        return object(form, "Statusz", facts->component, statusz_members(facts, up_s));
    struct zpage page = text_page(form, facts->component, "statusz");
    text_add(&page.body, "\nStarted: ");
    time_add(&page.body, facts->started_s, "%a %b %e %H:%M:%S UTC %Y");
    text_printf(&page.body,
                "\nUp: %" PRId64 " hr %02" PRId64 " min %02" PRId64
                " sec\nGo version: none\nBinary version: %s\nEmulation version: %s\nPaths:",
                up_s / 3600, up_s / 60 % 60, up_s % 60, facts->version, facts->emulated);
    for (size_t i = 0; i < facts->path_count; i++)
        text_printf(&page.body, " %s", facts->paths[i]);
    text_add(&page.body, "\n");
    return page;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct flagz_entry *)a)->name, ((const struct flagz_entry *)b)->name);
}

struct zpage flagz_answer(const char *component, struct flagz_entry *entries, size_t count,
                          const char *accept)
{
    const struct form *form = choose(flagz_forms, "Flagz", accept);
    if (!form)
        return refuse();
    qsort(entries, count, sizeof(*entries), by_name);
    if (form->version) {
        json_t *flags = json_object();
        for (size_t i = 0; i < count; i++)
            json_object_set_new(flags, entries[i].name, json_string(entries[i].value));
        return object(form, "Flagz", component, json_pack("{s:o}", "flags", flags));
    }
    struct zpage page = text_page(form, component, "flagz");
    for (size_t i = 0; i < count; i++)
        text_printf(&page.body, "%s=%s\n", entries[i].name, entries[i].value);
    return page;
}
