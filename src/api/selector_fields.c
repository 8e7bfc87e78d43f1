/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/encode.h"
#include "api/selector_terms.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct field_label {
    const char *label;
    const char *place;    /* NULL: as the label says; "": always empty */
    const char *fallback; /* the place to look at when there is nothing; or NULL */
};

/* kubernetes pkg/apis/core/v1/conversion.go and the ToSelectableFields of pkg/registry. */
static const struct field_label common_labels[] = {{"metadata.name"}, {"metadata.namespace"}, {NULL}};
static const struct field_label node_labels[] = {{"metadata.name"}, {"spec.unschedulable"}, {NULL}};
static const struct field_label namespace_labels[] = {{"metadata.name"}, {"status.phase"}, {NULL}};
static const struct field_label service_labels[] = {
    {"metadata.name"}, {"metadata.namespace"}, {"spec.clusterIP"}, {"spec.type"}, {NULL}};
static const struct field_label pod_labels[] = {{"metadata.name"},
                                                {"metadata.namespace"},
                                                {"spec.nodeName"},
                                                {"spec.host", "spec.nodeName"},
                                                {"spec.restartPolicy"},
                                                {"spec.schedulerName"},
                                                {"spec.serviceAccountName"},
                                                {"spec.hostNetwork"},
                                                {"status.phase"},
                                                {"status.podIP", "status.podIP", "status.podIPs.ip"},
                                                {"status.podIPs", ""},
                                                {"status.nominatedNodeName"},
                                                {NULL}};
/* Of both groups: core's and events.k8s.io's, whose names differ. */
static const struct field_label event_labels[] = {
    {"metadata.name"},
    {"metadata.namespace"},
    {"involvedObject.kind"},
    {"involvedObject.namespace"},
    {"involvedObject.name"},
    {"involvedObject.uid"},
    {"involvedObject.apiVersion"},
    {"involvedObject.resourceVersion"},
    {"involvedObject.fieldPath"},
    {"reason"},
    {"reportingComponent"},
    {"source", "source.component", "reportingComponent"},
    {"type"},
    {"regarding.kind", "involvedObject.kind"},
    {"regarding.namespace", "involvedObject.namespace"},
    {"regarding.name", "involvedObject.name"},
    {"regarding.uid", "involvedObject.uid"},
    {"regarding.apiVersion", "involvedObject.apiVersion"},
    {"regarding.resourceVersion", "involvedObject.resourceVersion"},
    {"regarding.fieldPath", "involvedObject.fieldPath"},
    {"reportingController", "reportingComponent"},
    {NULL}};

static const struct field_label *labels_of(enum api_kind kind)
{
    switch (kind) {
    case API_SERVICE:
        return service_labels;
    case API_NODE:
        return node_labels;
    case API_POD:
        return pod_labels;
    case API_NAMESPACE:
        return namespace_labels;
    case API_EVENT:
        return event_labels;
    case API_ENDPOINT_SLICE:
    case API_ENDPOINTS:
    case API_SERVICE_CIDR:
    case API_CONFIG_MAP:
    case API_LEASE:
        break;
    }
    return common_labels;
}

static struct place find_place(const ProtobufCMessageDescriptor *type, const char *path)
{
    struct place place = {0};
    while (*path && place.count < STEPS_MAX) {
        char name[64];
        size_t len = strcspn(path, ".");
        snprintf(name, sizeof(name), "%.*s", (int)len, path);
        const ProtobufCFieldDescriptor *step = protobuf_c_message_descriptor_get_field_by_name(type, name);
        assert(step);
        place.steps[place.count++] = step;
        type = step->descriptor;
        path += len + (path[len] == '.');
    }
    return place;
}

/* "" when there is nothing. */
static const char *value_at(const struct place *place, const ProtobufCMessage *message)
{
    for (size_t i = 0; i < place->count; i++) {
        const ProtobufCFieldDescriptor *step = place->steps[i];
        const char *base = (const char *)message, *member = base + step->offset;
        if (step->type == PROTOBUF_C_TYPE_BOOL)
            return *(const protobuf_c_boolean *)member ? "true" : "false";
        if (step->type == PROTOBUF_C_TYPE_STRING)
            return api_text(*(char *const *)member);
        message = NULL;
        if (step->label != PROTOBUF_C_LABEL_REPEATED)
            message = *(const ProtobufCMessage *const *)member;
        else if (*(const size_t *)(base + step->quantifier_offset) > 0)
            message = **(const ProtobufCMessage *const *const *)member;
        if (!message) {
            /* A boolean inside what is not there is false. */
            const ProtobufCFieldDescriptor *last = place->steps[place->count - 1];
            return last->type == PROTOBUF_C_TYPE_BOOL ? "false" : "";
        }
    }
    return "";
}

static int set_field(struct requirement *requirement, enum api_kind kind, struct arena *arena,
                     struct err *err)
{
    const ProtobufCMessageDescriptor *type = api_kind_info(kind)->type;
    const struct field_label *label = labels_of(kind);
    bool is_common = label == common_labels;
    while (label->label && strcmp(label->label, requirement->key) != 0)
        label++;
    if (!label->label && is_common)
        return err_set(err, EINVAL,
                       "%s is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                       encode_quoted(requirement->key, arena));
    if (!label->label)
        return err_set(err, EINVAL, "field label not supported: %s", requirement->key);
    requirement->place = find_place(type, label->place ? label->place : label->label);
    if (label->fallback)
        requirement->fallback = find_place(type, label->fallback);
    return 0;
}

/* A copy without the escapes: a backslash before a backslash, comma or equals sign. */
static int unescape(const char *text, struct arena *arena, const char **ret, struct err *err)
{
    char *value = arena_strdup(arena, text), *to = value;
    for (const char *c = text; *c; c++) {
        if (*c == ',' || *c == '=')
            return err_set(err, EINVAL, "invalid field selector: unescaped character in value: %d", *c);
        if (*c == '\\' && (!*++c || !strchr("\\,=", *c))) {
            size_t len = *c ? 1 : 0;
            while (len > 0 && ((unsigned char)c[len] & 0xc0) == 0x80)
                len++;
            return err_set(err, EINVAL, "invalid field selector: invalid escape sequence: \\%.*s", (int)len,
                           c);
        }
        *to++ = *c;
    }
    *to = '\0';
    *ret = value;
    return 0;
}

static int parse_term(struct requirement *requirement, const char *term, const char *whole,
                      struct arena *arena, struct err *err)
{
    size_t len = 0;
    while (term[len] && term[len] != '=' && strncmp(term + len, "!=", 2) != 0)
        len++;
    if (!term[len])
        return err_set(err, EINVAL, "invalid selector: '%s'; can't understand '%s'", whole, term);
    requirement->key = arena_strndup(arena, term, len);
    requirement->operator_ = term[len] == '!' ? OPERATOR_NOT_IN : OPERATOR_IN;
    const char *value = term + len + (term[len + 1] == '=' ? 2 : 1);
    requirement->values = arena_array(arena, const char *, 1);
    requirement->value_count = 1;
    return unescape(value, arena, requirement->values, err);
}

/* Splits at the commas that are not escaped, in place; *ret has room for one more than there are commas. */
static size_t split_terms(char *text, char **ret)
{
    size_t count = 0;
    ret[count++] = text;
    for (char *c = text; *c; c++) {
        if (*c == '\\' && c[1]) {
            c++;
        } else if (*c == ',') {
            *c = '\0';
            ret[count++] = c + 1;
        }
    }
    return count;
}

int field_selector_parse(const char *text, enum api_kind kind, struct arena *arena, struct selector **ret,
                         struct err *err)
{
    size_t len = strlen(text), commas = 0;
    if (len > SELECTOR_MAX)
        return err_set(err, EINVAL, "a selector may not be longer than %zu bytes", SELECTOR_MAX);
    for (size_t i = 0; i < len; i++)
        commas += text[i] == ',';
    char **terms = arena_array(arena, char *, commas + 1);
    size_t count = split_terms(arena_strdup(arena, text), terms);
    /* The order decides which of several mistakes is told. */
    qsort(terms, count, sizeof(*terms), selector_compare);
    struct selector *selector = selector_new(arena);
    for (size_t i = 0; i < count; i++) {
        int failed = *terms[i] ? parse_term(selector_add(selector, arena), terms[i], text, arena, err) : 0;
        if (failed < 0)
            return failed;
    }
    for (struct requirement *requirement = selector->first; requirement; requirement = requirement->next) {
        int failed = set_field(requirement, kind, arena, err);
        if (failed < 0)
            return failed;
    }
    *ret = selector;
    return 0;
}

bool field_selector_matches(const struct selector *selector, const ProtobufCMessage *message)
{
    for (const struct requirement *requirement = selector->first; requirement;
         requirement = requirement->next) {
        const char *value = value_at(&requirement->place, message);
        if (!*value)
            value = value_at(&requirement->fallback, message);
        if ((strcmp(value, requirement->values[0]) == 0) != (requirement->operator_ == OPERATOR_IN))
            return false;
    }
    return true;
}

const char *field_selector_name(const struct selector *selector)
{
    for (const struct requirement *requirement = selector->first; requirement;
         requirement = requirement->next)
        if (strcmp(requirement->key, "metadata.name") == 0 && requirement->operator_ == OPERATOR_IN)
            return requirement->values[0];
    return NULL;
}
