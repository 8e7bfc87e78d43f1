/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>

/* What netlink messages carry, looked up by type: attributes and those nested in them. */

/* ret[type] becomes the attribute of that type below count, the last of several, else NULL. Never reads past
 * len. */
void attributes_parse(const void *bytes, size_t len, const struct nlattr **ret, unsigned count);
/* Those behind a message's header of header_len bytes. */
void attributes_of(const struct nlmsghdr *message, size_t header_len, const struct nlattr **ret,
                   unsigned count);
/* Those inside of one; of NULL there are none. */
void attributes_in(const struct nlattr *nest, const struct nlattr **ret, unsigned count);
/* Copies a value of exactly that size; false, and zeroes, where there is none. */
bool attribute_copy(const struct nlattr *attribute, void *to, size_t size);
/* A string with its end, or NULL. */
const char *attribute_text(const struct nlattr *attribute);
