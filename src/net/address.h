/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Usable as an array index. */
enum family { FAMILY_IPV4, FAMILY_IPV6 };
#define FAMILY_COUNT 2

/* One value for both families: IPv4 is kept in its IPv4-mapped form (RFC 4291, 2.5.5.2). All bytes zero means
 * "no address". Kubernetes refuses IPv4-mapped IPv6 as input, so nothing is ambiguous. */
struct address {
    uint8_t bytes[16];
};

/* Length counts within the address's own family: 0..32 or 0..128. Host bits are zero. */
struct prefix {
    struct address address;
    uint8_t len;
};

/* The IANA numbers of the three protocols that a Service may have. */
enum protocol { PROTOCOL_TCP = IPPROTO_TCP, PROTOCOL_UDP = IPPROTO_UDP, PROTOCOL_SCTP = IPPROTO_SCTP };

struct socket_address {
    struct address address;
    uint16_t port; /* host order */
};

#define ADDRESS_TEXT_MAX INET6_ADDRSTRLEN
#define PREFIX_TEXT_MAX (ADDRESS_TEXT_MAX + 4)
#define SOCKET_ADDRESS_TEXT_MAX (ADDRESS_TEXT_MAX + 8)

enum family address_family(const struct address *address);
bool address_is_set(const struct address *address);
bool address_is_unspecified(const struct address *address); /* 0.0.0.0 or :: as parsed, see note in .c */
bool address_is_loopback(const struct address *address);
bool address_is_link_local(const struct address *address);
int address_cmp(const struct address *a, const struct address *b);
/* The address as the wire has it: 4 or 16 bytes, network order; *ret_len is 4 or 16. */
const uint8_t *address_wire(const struct address *address, size_t *ret_len);
struct address address_from_wire(enum family family, const void *bytes);

/* Strict: dotted quad without leading zeros, or RFC 4291 text that is not IPv4-mapped. -EINVAL and a
 * sentence. */
int address_parse(const char *text, struct address *ret, struct err *err);
/* RFC 5952 text. Returns buffer. */
const char *address_format(const struct address *address, char buffer[ADDRESS_TEXT_MAX]);

/* "10.0.0.0/8"; host bits are cleared, surrounding spaces are not accepted. -EINVAL and a sentence. */
int prefix_parse(const char *text, struct prefix *ret, struct err *err);
const char *prefix_format(const struct prefix *prefix, char buffer[PREFIX_TEXT_MAX]);
bool prefix_contains(const struct prefix *prefix, const struct address *address);
bool prefix_covers(const struct prefix *outer, const struct prefix *inner);
/* The whole address as a prefix: /32 or /128. */
struct prefix prefix_of(const struct address *address);
/* First and last address of the prefix. */
struct address prefix_first(const struct prefix *prefix);
struct address prefix_last(const struct prefix *prefix);

/* "10.0.0.1:80" or "[fd00::1]:80". Port 1..65535. -EINVAL and a sentence. */
int socket_address_parse(const char *text, struct socket_address *ret, struct err *err);
const char *socket_address_format(const struct socket_address *socket, char buffer[SOCKET_ADDRESS_TEXT_MAX]);

/* 1..65535, decimal digits alone. -EINVAL and a sentence. */
int port_parse(const char *text, uint16_t *ret, struct err *err);

/* "TCP" and so on; parse takes any case. -EINVAL and a sentence. */
int protocol_parse(const char *text, enum protocol *ret, struct err *err);
const char *protocol_name(enum protocol protocol);       /* "TCP" */
const char *protocol_name_lower(enum protocol protocol); /* "tcp" */
const char *family_name(enum family family);             /* "IPv4" */
