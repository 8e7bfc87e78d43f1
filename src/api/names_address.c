/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/encode.h"
#include "api/names.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

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

bool check_canonical_address(struct faults *faults, const struct path *path, const char *value,
                             struct address *ret)
{
    char canonical[ADDRESS_TEXT_MAX];
    if (!check_address(faults, path, value, ret))
        return false;
    if (strcmp(address_format(ret, canonical), value) == 0)
        return true;
    fault_invalid(faults, path, value,
                  arena_printf(faults->arena, "must be in canonical form (\"%s\")", canonical));
    return false;
}

bool check_canonical_prefix(struct faults *faults, const struct path *path, const char *value,
                            struct prefix *ret)
{
    char canonical[PREFIX_TEXT_MAX];
    if (!check_prefix(faults, path, value, ret))
        return false;
    if (strcmp(prefix_format(ret, canonical), value) == 0)
        return true;
    fault_invalid(faults, path, value,
                  arena_printf(faults->arena, "must be in canonical form (\"%s\")", canonical));
    return false;
}

bool address_parse_loosely(const char *value, struct arena *arena, struct address *ret)
{
    struct in6_addr mapped;
    if (address_parse(value, ret, NULL) == 0)
        return true;
    if (inet_pton(AF_INET6, value, &mapped) == 1 && IN6_IS_ADDR_V4MAPPED(&mapped)) {
        *ret = address_from_wire(FAMILY_IPV4, &mapped.s6_addr[12]);
        return true;
    }
    return !strchr(value, ':') && address_parse(without_zeros(value, arena), ret, NULL) == 0;
}

const char *address_warning(const struct path *path, const char *value, struct arena *arena)
{
    struct address address;
    char canonical[ADDRESS_TEXT_MAX];
    if (!address_parse_loosely(value, arena, &address))
        return NULL;
    address_format(&address, canonical);
    if (address_parse(value, &address, NULL) != 0)
        return arena_printf(arena, "%s: non-standard IP address %s is invalid: use \"%s\"",
                            path_format(path, arena), encode_quoted(value, arena), canonical);
    if (address_family(&address) == FAMILY_IPV4 || strcmp(canonical, value) == 0)
        return NULL;
    return arena_printf(arena, "%s: IPv6 address %s should be in RFC 5952 canonical format (\"%s\")",
                        path_format(path, arena), encode_quoted(value, arena), canonical);
}

const char *prefix_warning(const struct path *path, const char *value, struct arena *arena)
{
    const char *slash = strchr(value, '/');
    struct prefix prefix;
    struct address address;
    char canonical[PREFIX_TEXT_MAX], host[ADDRESS_TEXT_MAX];
    if (!slash || prefix_parse(value, &prefix, NULL) != 0 ||
        address_parse(arena_strndup(arena, value, (size_t)(slash - value)), &address, NULL) != 0)
        return NULL;
    prefix_format(&prefix, canonical);
    bool is_ipv4 = address_family(&address) == FAMILY_IPV4;
    if (address_cmp(&address, &prefix.address) != 0)
        return arena_printf(arena,
                            "%s: CIDR value %s is ambiguous in this context (should be \"%s\" or \"%s/%d\"?)",
                            path_format(path, arena), encode_quoted(value, arena), canonical,
                            address_format(&address, host), is_ipv4 ? 32 : 128);
    if (is_ipv4 || strcmp(canonical, value) == 0)
        return NULL;
    return arena_printf(arena, "%s: IPv6 CIDR value %s should be in RFC 5952 canonical format (\"%s\")",
                        path_format(path, arena), encode_quoted(value, arena), canonical);
}
