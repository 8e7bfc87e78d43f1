/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/names.h"

#include <ctype.h>
#include <string.h>

#define LABEL_FORM "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
#define SUBDOMAIN_FORM LABEL_FORM "(\\." LABEL_FORM ")*"
#define NAME_FORM "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"

#define LABEL_DETAIL                                                                                         \
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "  \
    "and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "   \
    "'" LABEL_FORM "')"
#define SUBDOMAIN_DETAIL                                                                                     \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "    \
    "must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "   \
    "'" SUBDOMAIN_FORM "')"
#define NAME_DETAIL                                                                                          \
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric " \
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '" NAME_FORM "')"
#define LABEL_VALUE_DETAIL                                                                                   \
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and "     \
    "must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex " \
    "used for validation is '(" NAME_FORM ")?')"

#define CONFIG_KEY_DETAIL                                                                                    \
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "     \
    "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
#define HEADER_DETAIL                                                                                        \
    "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used "  \
    "for validation is '[-A-Za-z0-9]+')"
#define SEARCH_LABEL_FORM "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
#define SEARCH_DETAIL                                                                                        \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', "   \
    "and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation "  \
    "is '" SEARCH_LABEL_FORM "(\\." SEARCH_LABEL_FORM ")*')"

static bool is_small_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
    return is_small_alnum(c) || (c >= 'A' && c <= 'Z');
}

static bool is_label(const char *text, size_t len)
{
    if (len == 0 || !is_small_alnum(text[0]) || !is_small_alnum(text[len - 1]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_small_alnum(text[i]) && text[i] != '-')
            return false;
    return true;
}

static bool is_subdomain(const char *text, size_t len)
{
    for (;;) {
        const char *dot = memchr(text, '.', len);
        size_t label = dot ? (size_t)(dot - text) : len;
        if (!is_label(text, label))
            return false;
        if (!dot)
            return true;
        text += label + 1;
        len -= label + 1;
    }
}

/* NAME_FORM */
static bool is_name(const char *text, size_t len)
{
    if (len == 0 || !is_alnum(text[0]) || !is_alnum(text[len - 1]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(text[i]) && !strchr("-_.", text[i]))
            return false;
    return true;
}

size_t dns_label_rule(const char *value, const char *ret[NAME_DETAILS_MAX])
{
    size_t len = strlen(value), count = 0;
    if (len > 63)
        ret[count++] = "must be no more than 63 characters";
    if (!is_label(value, len))
        ret[count++] = is_subdomain(value, len) ? "must not contain dots" : LABEL_DETAIL;
    return count;
}

size_t dns_subdomain_rule(const char *value, const char *ret[NAME_DETAILS_MAX])
{
    size_t len = strlen(value), count = 0;
    if (len > 253)
        ret[count++] = "must be no more than 253 characters";
    if (!is_subdomain(value, len))
        ret[count++] = SUBDOMAIN_DETAIL;
    return count;
}

size_t path_segment_rule(const char *value, const char *ret[NAME_DETAILS_MAX])
{
    size_t count = 0;
    if (strcmp(value, ".") == 0)
        ret[count++] = "may not be '.'";
    else if (strcmp(value, "..") == 0)
        ret[count++] = "may not be '..'";
    if (strchr(value, '/'))
        ret[count++] = "may not contain '/'";
    if (strchr(value, '%'))
        ret[count++] = "may not contain '%'";
    return count;
}

size_t label_value_rule(const char *value, const char *ret[NAME_DETAILS_MAX])
{
    size_t len = strlen(value), count = 0;
    if (len > 63)
        ret[count++] = "must be no more than 63 bytes";
    if (len > 0 && !is_name(value, len))
        ret[count++] = LABEL_VALUE_DETAIL;
    return count;
}

bool check_rule(struct faults *faults, const struct path *path, const char *value, name_rule *rule)
{
    const char *details[NAME_DETAILS_MAX];
    size_t count = rule(value, details);
    for (size_t i = 0; i < count; i++)
        fault_invalid(faults, path, value, details[i]);
    return count == 0;
}

bool check_prefix_rule(struct faults *faults, const struct path *path, const char *value, name_rule *rule)
{
    const char *details[NAME_DETAILS_MAX], *masked = value;
    size_t len = strlen(value);
    /* Upstream's mask takes the place of the dash and of what stands before it. */
    if (len > 1 && value[len - 1] == '-')
        masked = arena_printf(faults->arena, "%.*sa", (int)len - 2, value);
    size_t count = rule(masked, details);
    for (size_t i = 0; i < count; i++)
        fault_invalid(faults, path, value, details[i]);
    return count == 0;
}

const char *join_rule(const char *value, name_rule *rule, struct arena *arena)
{
    const char *details[NAME_DETAILS_MAX], *joined = NULL;
    size_t count = rule(value, details);
    for (size_t i = 0; i < count; i++)
        joined = joined ? arena_printf(arena, "%s;%s", joined, details[i]) : details[i];
    return joined;
}

bool check_dns_label(struct faults *faults, const struct path *path, const char *value)
{
    return check_rule(faults, path, value, dns_label_rule);
}

bool check_dns_subdomain(struct faults *faults, const struct path *path, const char *value)
{
    return check_rule(faults, path, value, dns_subdomain_rule);
}

bool check_fqdn(struct faults *faults, const struct path *path, const char *value)
{
    size_t len = strlen(value);
    if (len == 0) {
        fault_required(faults, path, NULL);
        return false;
    }
    const char *bare = value[len - 1] == '.' ? arena_strndup(faults->arena, value, len - 1) : value;
    if (!check_dns_subdomain(faults, path, bare))
        return false;
    if (!strchr(bare, '.')) {
        fault_invalid(faults, path, bare, "should be a domain with at least two segments separated by dots");
        return false;
    }
    for (const char *label = bare; label;) {
        const char *dot = strchr(label, '.');
        size_t label_len = dot ? (size_t)(dot - label) : strlen(label);
        if (label_len > 63) {
            fault_invalid(faults, path, arena_strndup(faults->arena, label, label_len),
                          "must be no more than 63 characters");
            return false;
        }
        label = dot ? dot + 1 : NULL;
    }
    return true;
}

/* is_lowered: the prefix is judged as if in lower case. */
static bool check_name(struct faults *faults, const struct path *path, const char *value, bool is_lowered)
{
    size_t before = faults->count;
    const char *slash = strchr(value, '/');
    const char *name = slash ? slash + 1 : value;
    if (strchr(name, '/')) {
        fault_invalid(faults, path, value,
                      "a valid label key " NAME_DETAIL
                      " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')");
        return false;
    }
    if (slash) {
        size_t len = (size_t)(slash - value);
        char *prefix = arena_strndup(faults->arena, value, len);
        for (size_t i = 0; is_lowered && i < len; i++)
            prefix[i] = (char)tolower((unsigned char)prefix[i]);
        if (len == 0)
            fault_invalid(faults, path, value, "prefix part must be non-empty");
        if (len > 253)
            fault_invalid(faults, path, value, "prefix part must be no more than 253 bytes");
        if (len > 0 && !is_subdomain(prefix, len))
            fault_invalid(faults, path, value, "prefix part " SUBDOMAIN_DETAIL);
    }
    size_t len = strlen(name);
    if (len == 0)
        fault_invalid(faults, path, value, "name part must be non-empty");
    else if (len > 63)
        fault_invalid(faults, path, value, "name part must be no more than 63 bytes");
    if (!is_name(name, len))
        fault_invalid(faults, path, value, "name part " NAME_DETAIL);
    return faults->count == before;
}

bool check_qualified_name(struct faults *faults, const struct path *path, const char *value)
{
    return check_name(faults, path, value, false);
}

bool check_annotation_key(struct faults *faults, const struct path *path, const char *value)
{
    return check_name(faults, path, value, true);
}

bool check_label_value(struct faults *faults, const struct path *path, const char *value)
{
    return check_rule(faults, path, value, label_value_rule);
}

bool check_port_name(struct faults *faults, const struct path *path, const char *value)
{
    size_t len = strlen(value), before = faults->count;
    bool has_letter = false, is_charset = len > 0;
    for (size_t i = 0; i < len; i++) {
        has_letter |= value[i] >= 'a' && value[i] <= 'z';
        is_charset &= is_small_alnum(value[i]) || value[i] == '-';
    }
    if (len > 15)
        fault_invalid(faults, path, value, "must be no more than 15 characters");
    if (!is_charset)
        fault_invalid(faults, path, value,
                      "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    if (!has_letter)
        fault_invalid(faults, path, value, "must contain at least one letter (a-z)");
    if (strstr(value, "--"))
        fault_invalid(faults, path, value, "must not contain consecutive hyphens");
    if (len > 0 && (value[0] == '-' || value[len - 1] == '-'))
        fault_invalid(faults, path, value, "must not begin or end with a hyphen");
    return faults->count == before;
}

bool check_range(struct faults *faults, const struct path *path, long long value, long long first,
                 long long last)
{
    if (value >= first && value <= last)
        return true;
    fault_invalid_number(
        faults, path, value,
        arena_printf(faults->arena, "must be between %lld and %lld, inclusive", first, last));
    return false;
}

bool check_port_number(struct faults *faults, const struct path *path, long long value)
{
    return check_range(faults, path, value, 1, 65535);
}

bool check_not_negative(struct faults *faults, const struct path *path, long long value)
{
    if (value >= 0)
        return true;
    fault_invalid_number(faults, path, value, "must be greater than or equal to 0");
    return false;
}

bool check_config_key(struct faults *faults, const struct path *path, const char *value)
{
    size_t before = faults->count;
    size_t len = strlen(value), charset = 0;
    while (value[charset] && (is_alnum(value[charset]) || strchr("-._", value[charset])))
        charset++;
    if (len > 253)
        fault_invalid(faults, path, value, "must be no more than 253 characters");
    if (len == 0 || charset < len)
        fault_invalid(faults, path, value, CONFIG_KEY_DETAIL);
    if (strcmp(value, ".") == 0)
        fault_invalid(faults, path, value, "must not be '.'");
    else if (strcmp(value, "..") == 0)
        fault_invalid(faults, path, value, "must not be '..'");
    else if (strncmp(value, "..", 2) == 0)
        fault_invalid(faults, path, value, "must not start with '..'");
    return faults->count == before;
}

bool check_environment_name(struct faults *faults, const struct path *path, const char *value)
{
    size_t before = faults->count;
    if (!*value)
        fault_invalid(faults, path, value, "environment variable name must be non-empty");
    for (const char *at = value; *at; at++) {
        if (*at >= ' ' && *at <= '~' && *at != '=')
            continue;
        fault_invalid(
            faults, path, value,
            "a valid environment variable name must consist only of printable ASCII characters other "
            "than '='");
        break;
    }
    return faults->count == before;
}

bool check_header_name(struct faults *faults, const struct path *path, const char *value)
{
    size_t len = strlen(value), charset = 0;
    while (value[charset] && (is_alnum(value[charset]) || value[charset] == '-'))
        charset++;
    if (len > 0 && charset == len)
        return true;
    fault_invalid(faults, path, value, HEADER_DETAIL);
    return false;
}

/* Like is_subdomain, where a label may begin with one underscore and hold others. */
static bool is_search_path(const char *value, size_t len)
{
    for (;;) {
        const char *dot = memchr(value, '.', len);
        size_t label = dot ? (size_t)(dot - value) : len, at = 0;
        if (label > 0 && value[0] == '_')
            at++;
        if (at == label || !is_small_alnum(value[at]) || !is_small_alnum(value[label - 1]))
            return false;
        for (; at < label; at++)
            if (!is_small_alnum(value[at]) && value[at] != '-' && value[at] != '_')
                return false;
        if (!dot)
            return true;
        value += label + 1;
        len -= label + 1;
    }
}

bool check_search_path(struct faults *faults, const struct path *path, const char *value)
{
    size_t len = strlen(value), before = faults->count;
    if (strcmp(value, ".") == 0)
        return true;
    if (len > 0 && value[len - 1] == '.')
        value = arena_strndup(faults->arena, value, --len);
    if (len > 253)
        fault_invalid(faults, path, value, "must be no more than 253 characters");
    if (!is_search_path(value, len))
        fault_invalid(faults, path, value, SEARCH_DETAIL);
    return faults->count == before;
}
