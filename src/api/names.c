/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/names.h"

#include <arpa/inet.h>
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

bool check_dns_label(struct faults *faults, const struct path *path, const char *value)
{
    size_t len = strlen(value), before = faults->count;
    if (len > 63)
        fault_invalid(faults, path, value, "must be no more than 63 characters");
    if (!is_label(value, len))
        fault_invalid(faults, path, value, is_subdomain(value, len) ? "must not contain dots" : LABEL_DETAIL);
    return faults->count == before;
}

bool check_dns_subdomain(struct faults *faults, const struct path *path, const char *value)
{
    size_t len = strlen(value), before = faults->count;
    if (len > 253)
        fault_invalid(faults, path, value, "must be no more than 253 characters");
    if (!is_subdomain(value, len))
        fault_invalid(faults, path, value, SUBDOMAIN_DETAIL);
    return faults->count == before;
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
    size_t len = strlen(value), before = faults->count;
    if (len > 63)
        fault_invalid(faults, path, value, "must be no more than 63 bytes");
    if (len > 0 && !is_name(value, len))
        fault_invalid(faults, path, value, LABEL_VALUE_DETAIL);
    return faults->count == before;
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

bool check_port_number(struct faults *faults, const struct path *path, long long value)
{
    if (value >= 1 && value <= 65535)
        return true;
    fault_invalid_number(faults, path, value, "must be between 1 and 65535, inclusive");
    return false;
}

/* Removes the leading zeros of each decimal part, to tell "010.0.0.1" from what is no address at all. */
static const char *without_zeros(const char *value, struct arena *arena)
{
    char *out = arena_alloc(arena, strlen(value) + 1), *to = out;
    for (const char *at = value; *at; at++) {
        bool starts_part = at == value || !isdigit((unsigned char)at[-1]);
        if (starts_part)
            while (*at == '0' && isdigit((unsigned char)at[1]))
                at++;
        *to++ = *at;
    }
    return out;
}

static bool is_mapped(const char *value)
{
    struct in6_addr raw;
    return inet_pton(AF_INET6, value, &raw) == 1 && IN6_IS_ADDR_V4MAPPED(&raw);
}

bool check_address(struct faults *faults, const struct path *path, const char *value, struct address *ret)
{
    if (address_parse(value, ret, NULL) == 0)
        return true;
    struct address loose;
    const char *detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
    if (is_mapped(value))
        detail = "must not be an IPv4-mapped IPv6 address";
    else if (!strchr(value, ':') && address_parse(without_zeros(value, faults->arena), &loose, NULL) == 0)
        detail = "must not have leading 0s";
    fault_invalid(faults, path, value, detail);
    return false;
}

static bool is_link_local_multicast(const struct address *address)
{
    size_t len;
    const uint8_t *wire = address_wire(address, &len);
    if (len == 4)
        return wire[0] == 224 && wire[1] == 0 && wire[2] == 0;
    return wire[0] == 0xff && (wire[1] & 0x0f) == 2;
}

bool check_endpoint_address(struct faults *faults, const struct path *path, const char *value,
                            const struct address *address)
{
    const char *detail = NULL;
    if (address_is_unspecified(address))
        detail = arena_printf(faults->arena, "may not be unspecified (%s)", value);
    else if (address_is_loopback(address))
        detail = "may not be in the loopback range (127.0.0.0/8, ::1/128)";
    else if (address_is_link_local(address))
        detail = "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
    else if (is_link_local_multicast(address))
        detail = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
    if (!detail)
        return true;
    fault_invalid(faults, path, value, detail);
    return false;
}

bool check_prefix(struct faults *faults, const struct path *path, const char *value, struct prefix *ret)
{
    const char *detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    const char *slash = strchr(value, '/');
    struct prefix loose;
    if (prefix_parse(value, ret, NULL) == 0) {
        struct address address;
        const char *host = arena_strndup(faults->arena, value, (size_t)(slash - value));
        if (address_parse(host, &address, NULL) == 0 && address_cmp(&address, &ret->address) == 0)
            return true;
        detail = "must not have bits set beyond the prefix length";
    } else if (slash && is_mapped(arena_strndup(faults->arena, value, (size_t)(slash - value)))) {
        detail = "must not have an IPv4-mapped IPv6 address";
    } else if (slash && !strchr(value, ':') &&
               prefix_parse(without_zeros(value, faults->arena), &loose, NULL) == 0) {
        detail = "must not have leading 0s in IP or prefix length";
    }
    fault_invalid(faults, path, value, detail);
    return false;
}
