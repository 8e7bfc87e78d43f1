/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const uint8_t mapped_head[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

enum family address_family(const struct address *address)
{
    return memcmp(address->bytes, mapped_head, sizeof(mapped_head)) == 0 ? FAMILY_IPV4 : FAMILY_IPV6;
}

bool address_is_set(const struct address *address)
{
    static const struct address unset;
    return memcmp(address, &unset, sizeof(unset)) != 0;
}

/* The IPv6 unspecified address and "no address" are the same bytes; nothing forwards to either. */
bool address_is_unspecified(const struct address *address)
{
    static const struct address any4 = {.bytes = {[10] = 0xff, [11] = 0xff}};
    return !address_is_set(address) || memcmp(address, &any4, sizeof(any4)) == 0;
}

bool address_is_loopback(const struct address *address)
{
    static const struct address loopback6 = {.bytes = {[15] = 1}};
    if (address_family(address) == FAMILY_IPV4)
        return address->bytes[12] == 127;
    return memcmp(address, &loopback6, sizeof(loopback6)) == 0;
}

bool address_is_link_local(const struct address *address)
{
    if (address_family(address) == FAMILY_IPV4)
        return address->bytes[12] == 169 && address->bytes[13] == 254;
    return address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80;
}

int address_cmp(const struct address *a, const struct address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

const uint8_t *address_wire(const struct address *address, size_t *ret_len)
{
    bool is_v4 = address_family(address) == FAMILY_IPV4;
    *ret_len = is_v4 ? 4 : 16;
    return is_v4 ? address->bytes + 12 : address->bytes;
}

struct address address_from_wire(enum family family, const void *bytes)
{
    struct address address = {0};
    if (family == FAMILY_IPV4) {
        memcpy(address.bytes, mapped_head, sizeof(mapped_head));
        memcpy(address.bytes + 12, bytes, 4);
    } else {
        memcpy(address.bytes, bytes, 16);
    }
    return address;
}

int address_parse(const char *text, struct address *ret, struct err *err)
{
    uint8_t wire[16];
    if (strlen(text) < ADDRESS_TEXT_MAX) {
        if (inet_pton(AF_INET, text, wire) == 1) {
            *ret = address_from_wire(FAMILY_IPV4, wire);
            return 0;
        }
        if (inet_pton(AF_INET6, text, wire) == 1) {
            struct address address = address_from_wire(FAMILY_IPV6, wire);
            if (address_family(&address) == FAMILY_IPV4)
                return err_set(err, EINVAL, "\"%s\" is an IPv4-mapped IPv6 address, which is not accepted",
                               text);
            *ret = address;
            return 0;
        }
    }
    return err_set(err, EINVAL, "\"%.64s\" is not an IP address", text);
}

const char *address_format(const struct address *address, char buffer[ADDRESS_TEXT_MAX])
{
    size_t len;
    const uint8_t *wire = address_wire(address, &len);
    inet_ntop(len == 4 ? AF_INET : AF_INET6, wire, buffer, ADDRESS_TEXT_MAX);
    return buffer;
}

static unsigned bits_in_mapped_form(const struct prefix *prefix)
{
    return prefix->len + (address_family(&prefix->address) == FAMILY_IPV4 ? 96u : 0u);
}

static struct address keep_head(const struct address *address, unsigned bits, uint8_t tail)
{
    struct address kept = *address;
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = bits > i * 8 ? bits - i * 8 : 0;
        uint8_t mask = keep >= 8 ? 0xff : (uint8_t)(0xff00 >> keep);
        kept.bytes[i] = (uint8_t)((kept.bytes[i] & mask) | (tail & (uint8_t)~mask));
    }
    return kept;
}

int prefix_parse(const char *text, struct prefix *ret, struct err *err)
{
    const char *slash = strchr(text, '/');
    char head[ADDRESS_TEXT_MAX];
    if (!slash || (size_t)(slash - text) >= sizeof(head))
        return err_set(err, EINVAL, "\"%.64s\" is not a CIDR such as 10.0.0.0/8 or fd00::/8", text);
    memcpy(head, text, (size_t)(slash - text));
    head[slash - text] = '\0';
    struct prefix prefix;
    if (address_parse(head, &prefix.address, NULL) < 0)
        return err_set(err, EINVAL, "\"%.64s\" is not a CIDR: \"%s\" is not an IP address", text, head);
    unsigned most = address_family(&prefix.address) == FAMILY_IPV4 ? 32 : 128;
    size_t digits = strspn(slash + 1, "0123456789");
    unsigned long len = digits > 0 && digits <= 3 ? strtoul(slash + 1, NULL, 10) : 1000;
    if (slash[1 + digits] != '\0' || len > most || (digits > 1 && slash[1] == '0'))
        return err_set(err, EINVAL, "\"%.64s\" is not a CIDR: the length is a number from 0 to %u", text,
                       most);
    prefix.len = (uint8_t)len;
    prefix.address = prefix_first(&prefix);
    *ret = prefix;
    return 0;
}

const char *prefix_format(const struct prefix *prefix, char buffer[PREFIX_TEXT_MAX])
{
    address_format(&prefix->address, buffer);
    size_t len = strlen(buffer);
    snprintf(buffer + len, PREFIX_TEXT_MAX - len, "/%u", prefix->len);
    return buffer;
}

bool prefix_contains(const struct prefix *prefix, const struct address *address)
{
    if (address_family(&prefix->address) != address_family(address))
        return false;
    struct address head = keep_head(address, bits_in_mapped_form(prefix), 0);
    return address_cmp(&head, &prefix->address) == 0;
}

bool prefix_covers(const struct prefix *outer, const struct prefix *inner)
{
    return outer->len <= inner->len && prefix_contains(outer, &inner->address);
}

struct prefix prefix_of(const struct address *address)
{
    return (struct prefix){.address = *address, .len = address_family(address) == FAMILY_IPV4 ? 32 : 128};
}

struct address prefix_first(const struct prefix *prefix)
{
    return keep_head(&prefix->address, bits_in_mapped_form(prefix), 0);
}

struct address prefix_last(const struct prefix *prefix)
{
    return keep_head(&prefix->address, bits_in_mapped_form(prefix), 0xff);
}

int port_parse(const char *text, uint16_t *ret, struct err *err)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long port = digits > 0 && digits <= 5 ? strtoul(text, NULL, 10) : 0;
    if (text[digits] != '\0' || port < 1 || port > 65535)
        return err_set(err, EINVAL, "\"%.64s\" is not a port: a number from 1 to 65535", text);
    *ret = (uint16_t)port;
    return 0;
}

int socket_address_parse(const char *text, struct socket_address *ret, struct err *err)
{
    const char *colon = strrchr(text, ':');
    char host[ADDRESS_TEXT_MAX + 2];
    if (!colon || (size_t)(colon - text) >= sizeof(host))
        return err_set(err, EINVAL, "\"%.80s\" is not ADDRESS:PORT (an IPv6 address in brackets)", text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    char *bare = host;
    bool bracketed = host[0] == '[';
    if (bracketed) {
        size_t len = strlen(host);
        if (host[len - 1] != ']')
            return err_set(err, EINVAL, "\"%.80s\" is not ADDRESS:PORT: the bracket is not closed", text);
        host[len - 1] = '\0';
        bare = host + 1;
    }
    struct socket_address parsed;
    int code = address_parse(bare, &parsed.address, err);
    if (code == 0 && (address_family(&parsed.address) == FAMILY_IPV6) != bracketed)
        return err_set(err, EINVAL,
                       "\"%.80s\" is not ADDRESS:PORT: an IPv6 address, and no other, stands in brackets",
                       text);
    if (code == 0)
        code = port_parse(colon + 1, &parsed.port, err);
    if (code < 0)
        return err_prefix(err, code, "\"%.80s\" is not ADDRESS:PORT", text);
    *ret = parsed;
    return 0;
}

const char *socket_address_format(const struct socket_address *socket, char buffer[SOCKET_ADDRESS_TEXT_MAX])
{
    char text[ADDRESS_TEXT_MAX];
    address_format(&socket->address, text);
    bool is_v6 = address_family(&socket->address) == FAMILY_IPV6;
    snprintf(buffer, SOCKET_ADDRESS_TEXT_MAX, is_v6 ? "[%s]:%u" : "%s:%u", text, socket->port);
    return buffer;
}

static const struct {
    enum protocol protocol;
    const char *name, *lower;
} protocols[] = {
    {PROTOCOL_TCP, "TCP", "tcp"},
    {PROTOCOL_UDP, "UDP", "udp"},
    {PROTOCOL_SCTP, "SCTP", "sctp"},
};

int protocol_parse(const char *text, enum protocol *ret, struct err *err)
{
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (strcasecmp(text, protocols[i].name) == 0) {
            *ret = protocols[i].protocol;
            return 0;
        }
    }
    return err_set(err, EINVAL, "\"%.32s\" is not a protocol: TCP, UDP or SCTP", text);
}

const char *protocol_name(enum protocol protocol)
{
    return protocol == PROTOCOL_TCP ? "TCP" : protocol == PROTOCOL_UDP ? "UDP" : "SCTP";
}

const char *protocol_name_lower(enum protocol protocol)
{
    return protocol == PROTOCOL_TCP ? "tcp" : protocol == PROTOCOL_UDP ? "udp" : "sctp";
}

const char *family_name(enum family family)
{
    return family == FAMILY_IPV4 ? "IPv4" : "IPv6";
}
