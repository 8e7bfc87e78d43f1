/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/request.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENTS_MAX 8

const char *verb_name(enum verb verb)
{
    static const char *const names[] = {"get",    "list",  "watch",  "create",
                                        "update", "patch", "delete", "deletecollection"};
    return names[verb];
}

struct status_subject target_subject(const struct target *target)
{
    return (struct status_subject){.group = target->resource->group,
                                   .plural = target->resource->plural,
                                   .kind = api_kind_name(target->resource->kind),
                                   .name = target->name};
}

static size_t split(const char *path, struct arena *arena, const char *segments[SEGMENTS_MAX])
{
    size_t count = 0;
    char *at = arena_strdup(arena, *path == '/' ? path + 1 : path);
    while (*at) {
        char *slash = strchrnul(at, '/');
        bool is_last = *slash == '\0';
        *slash = '\0';
        if (count == SEGMENTS_MAX || *at == '\0')
            return 0;
        segments[count++] = at;
        if (is_last)
            break;
        at = slash + 1;
    }
    return count;
}

static bool has_subresource(const struct resource *resource, const char *name)
{
    for (const char *const *at = resource->subresources; *at; at++)
        if (strcmp(*at, name) == 0)
            return true;
    return false;
}

/* What follows the group and version: [namespaces/NS/]PLURAL[/NAME[/SUBRESOURCE]]. */
static bool parse_rest(const char *group, const char *version, const char *const *rest, size_t count,
                       struct target *ret)
{
    *ret = (struct target){.namespace_ = "", .name = "", .subresource = ""};
    const struct resource *inner =
        count >= 3 && strcmp(rest[0], "namespaces") == 0 ? resource_find(group, version, rest[2]) : NULL;
    if (inner && inner->is_namespaced) {
        ret->namespace_ = rest[1];
        ret->resource = inner;
        rest += 2;
        count -= 2;
    } else if (count >= 1) {
        ret->resource = resource_find(group, version, rest[0]);
    }
    if (!ret->resource || count > 3)
        return false;
    if (count >= 2)
        ret->name = rest[1];
    if (count == 3)
        ret->subresource = rest[2];
    bool names_object = count >= 2;
    if (names_object && ret->resource->is_namespaced && !*ret->namespace_)
        return false;
    return count < 3 || has_subresource(ret->resource, ret->subresource);
}

bool target_parse(const char *path, struct arena *arena, struct target *ret)
{
    const char *segments[SEGMENTS_MAX];
    size_t count = split(path, arena, segments);
    if (count >= 3 && strcmp(segments[0], "api") == 0)
        return parse_rest("", segments[1], segments + 2, count - 2, ret);
    if (count >= 4 && strcmp(segments[0], "apis") == 0)
        return parse_rest(segments[1], segments[2], segments + 3, count - 3, ret);
    return false;
}

static int hex_digit(char c)
{
    if (!isxdigit((unsigned char)c))
        return -1;
    return isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* In place. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *at = text; *at; at++) {
        int high, low;
        if (*at == '%' && (high = hex_digit(at[1])) >= 0 && (low = hex_digit(at[2])) >= 0 && (high || low)) {
            *to++ = (char)(high << 4 | low);
            at += 2;
        } else {
            *to++ = *at == '+' ? ' ' : *at;
        }
    }
    *to = '\0';
}

struct parser {
    struct arena *arena;
    struct query *query;
    struct status *status;
};

typedef bool option_fn(struct parser *parser, const char *key, const char *value);

static bool refuse(struct parser *parser, const char *sentence)
{
    status_bad_request(parser->status, sentence);
    return false;
}

/* All but these two: apimachinery, runtime.Convert_Slice_string_To_bool. */
static bool is_true(const char *value)
{
    return strcasecmp(value, "false") != 0 && strcmp(value, "0") != 0;
}

static bool take_number(struct parser *parser, const char *key, const char *value, int64_t *ret)
{
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno || end == value || *end || isspace((unsigned char)*value))
        return refuse(parser,
                      arena_printf(parser->arena, "strconv.ParseInt: parsing \"%.64s\": %s", value,
                                   errno == ERANGE && !*end ? "value out of range" : "invalid syntax"));
    *ret = number;
    return true;
}

static bool take_watch(struct parser *parser, const char *key, const char *value)
{
    parser->query->is_watch = is_true(value);
    return true;
}

static bool take_bookmarks(struct parser *parser, const char *key, const char *value)
{
    parser->query->allows_bookmarks = is_true(value);
    return true;
}

static bool take_initial_events(struct parser *parser, const char *key, const char *value)
{
    parser->query->has_initial_events = true;
    parser->query->sends_initial_events = is_true(value);
    return true;
}

static bool take_force(struct parser *parser, const char *key, const char *value)
{
    parser->query->has_force = true;
    parser->query->is_forced = is_true(value);
    return true;
}

static bool take_limit(struct parser *parser, const char *key, const char *value)
{
    int64_t limit;
    if (!take_number(parser, key, value, &limit))
        return false;
    parser->query->limit = limit > 0 ? (uint64_t)limit : 0;
    return true;
}

static bool take_timeout(struct parser *parser, const char *key, const char *value)
{
    int64_t seconds;
    if (!take_number(parser, key, value, &seconds))
        return false;
    parser->query->timeout_seconds = seconds <= 0 ? 0 : seconds > 86400 ? 86400 : (uint32_t)seconds;
    return true;
}

static bool take_grace(struct parser *parser, const char *key, const char *value)
{
    int64_t seconds;
    if (!take_number(parser, key, value, &seconds))
        return false;
    /* A negative one counts as the shortest that there is. */
    parser->query->grace_seconds = seconds < 0 ? 1 : seconds;
    return true;
}

static const struct option {
    const char *name;
    size_t text_offset; /* of a const char * in struct query, or 0 with take */
    option_fn *take;
} options[] = {
    {"labelSelector", offsetof(struct query, label_selector), NULL},
    {"fieldSelector", offsetof(struct query, field_selector), NULL},
    {"resourceVersion", offsetof(struct query, resource_version), NULL},
    {"resourceVersionMatch", offsetof(struct query, resource_version_match), NULL},
    {"continue", offsetof(struct query, continue_), NULL},
    {"fieldManager", offsetof(struct query, field_manager), NULL},
    {"fieldValidation", offsetof(struct query, field_validation_text), NULL},
    {"dryRun", offsetof(struct query, dry_run), NULL},
    {"propagationPolicy", offsetof(struct query, propagation_policy), NULL},
    {"includeObject", offsetof(struct query, include_object), NULL},
    {"limit", 0, take_limit},
    {"timeoutSeconds", 0, take_timeout},
    {"watch", 0, take_watch},
    {"allowWatchBookmarks", 0, take_bookmarks},
    {"sendInitialEvents", 0, take_initial_events},
    {"force", 0, take_force},
    {"gracePeriodSeconds", 0, take_grace},
};

/* Unknown names are passed over, as upstream does. */
static bool take_pair(struct parser *parser, char *pair)
{
    char *value = strchr(pair, '=');
    if (value)
        *value++ = '\0';
    else
        value = pair + strlen(pair);
    unescape(pair);
    unescape(value);
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (strcmp(options[i].name, pair) != 0)
            continue;
        if (options[i].take)
            return options[i].take(parser, pair, value);
        *(const char **)((char *)parser->query + options[i].text_offset) = value;
    }
    return true;
}

bool query_parse(const char *raw, struct arena *arena, struct query *ret, struct status *ret_status)
{
    struct parser parser = {arena, ret, ret_status};
    *ret = (struct query){.label_selector = "",
                          .field_selector = "",
                          .resource_version = "",
                          .resource_version_match = "",
                          .continue_ = "",
                          .field_manager = "",
                          .field_validation_text = "",
                          .dry_run = "",
                          .propagation_policy = "",
                          .include_object = "Metadata",
                          .grace_seconds = -1};
    for (char *at = arena_strdup(arena, raw), *next; *at; at = next) {
        char *end = strchrnul(at, '&');
        next = *end ? end + 1 : end;
        *end = '\0';
        if (*at && !take_pair(&parser, at))
            return false;
    }
    return true;
}

bool verb_parse(const char *method, const struct target *target, const struct query *query, enum verb *ret)
{
    bool is_one = *target->name != '\0', is_main = *target->subresource == '\0';
    bool is_finalize = strcmp(target->subresource, "finalize") == 0;
    if (strcmp(method, "GET") == 0) {
        *ret = is_one ? VERB_GET : query->is_watch ? VERB_WATCH : VERB_LIST;
        return !is_finalize;
    }
    if (strcmp(method, "POST") == 0) {
        *ret = VERB_CREATE;
        return !is_one && (!target->resource->is_namespaced || *target->namespace_);
    }
    if (strcmp(method, "PUT") == 0) {
        *ret = VERB_UPDATE;
        return is_one;
    }
    if (strcmp(method, "PATCH") == 0) {
        *ret = VERB_PATCH;
        return is_one && !is_finalize;
    }
    if (strcmp(method, "DELETE") == 0) {
        *ret = is_one ? VERB_DELETE : VERB_DELETE_COLLECTION;
        /* Nobody empties a cluster by a slip: namespaces are deleted one by one. */
        if (!is_one && target->resource->kind == API_NAMESPACE)
            return false;
        return is_main && (is_one || !target->resource->is_namespaced || *target->namespace_);
    }
    return false;
}

static const char *options_kind(enum verb verb)
{
    switch (verb) {
    case VERB_CREATE:
        return "CreateOptions";
    case VERB_UPDATE:
        return "UpdateOptions";
    case VERB_PATCH:
        return "PatchOptions";
    case VERB_DELETE:
    case VERB_DELETE_COLLECTION:
        return "DeleteOptions";
    case VERB_GET:
    case VERB_LIST:
    case VERB_WATCH:
        break;
    }
    return "ListOptions";
}

static bool take_field_validation(struct query *query)
{
    static const char *const names[] = {"Warn", "Strict", "Ignore"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(query->field_validation_text, names[i]) == 0)
            query->field_validation = (enum field_validation)i;
        else
            continue;
        return true;
    }
    return *query->field_validation_text == '\0';
}

#define FIELD_MANAGER_MAX 128

/* apimachinery, pkg/apis/meta/v1/validation. */
bool query_check_write(struct query *query, enum verb verb, struct arena *arena, struct status *ret_status)
{
    static const char *const all[] = {"All", NULL}, *const validations[] = {"", "Ignore", "Strict", "Warn",
                                                                            NULL};
    struct faults faults;
    const struct status_subject subject = {
        .group = "meta.k8s.io", .plural = "", .kind = options_kind(verb), .name = ""};
    faults_init(&faults, arena);
    query->is_dry_run = strcmp(query->dry_run, "All") == 0;
    if (*query->dry_run && !query->is_dry_run)
        fault_unsupported(&faults, path_field(NULL, "dryRun"), query->dry_run, all);
    for (const char *at = query->field_manager; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f) {
            fault_invalid(&faults, path_field(NULL, "fieldManager"), query->field_manager,
                          arena_printf(arena, "invalid character U+%04X (at position %zu)",
                                       (unsigned char)*at, (size_t)(at - query->field_manager)));
            break;
        }
    if (strlen(query->field_manager) > FIELD_MANAGER_MAX)
        fault_too_long(&faults, path_field(NULL, "fieldManager"), FIELD_MANAGER_MAX);
    if (!take_field_validation(query))
        fault_unsupported(&faults, path_field(NULL, "fieldValidation"), query->field_validation_text,
                          validations);
    if (faults.count)
        status_invalid(ret_status, arena, &subject, &faults);
    return faults.count == 0;
}

bool query_check_list(const struct query *query, struct arena *arena, struct status *ret_status)
{
    struct faults faults;
    const struct status_subject subject = {
        .group = "meta.k8s.io", .plural = "", .kind = "ListOptions", .name = ""};
    const struct path *match_path = path_field(NULL, "resourceVersionMatch");
    static const char *const matches[] = {"Exact", "NotOlderThan", "", NULL};
    const char *match = query->resource_version_match;
    bool is_exact = strcmp(match, "Exact") == 0;
    faults_init(&faults, arena);
    if (query->has_initial_events && !query->is_watch)
        fault_forbidden(&faults, path_field(NULL, "sendInitialEvents"),
                        "sendInitialEvents is forbidden for list");
    else if (query->has_initial_events && strcmp(match, "NotOlderThan") != 0)
        fault_forbidden(&faults, match_path,
                        "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    else if (*match && query->is_watch && !query->has_initial_events)
        fault_forbidden(&faults, match_path,
                        "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    else if (*match && !is_exact && strcmp(match, "NotOlderThan") != 0)
        fault_unsupported(&faults, match_path, match, matches);
    else if (*match && !*query->resource_version && !query->is_watch)
        fault_forbidden(&faults, match_path,
                        "resourceVersionMatch is forbidden unless resourceVersion is provided");
    else if (is_exact && strcmp(query->resource_version, "0") == 0)
        fault_forbidden(&faults, match_path,
                        "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    if (faults.count)
        status_invalid(ret_status, arena, &subject, &faults);
    return faults.count == 0;
}
