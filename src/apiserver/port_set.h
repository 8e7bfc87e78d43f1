/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PORT_SET_WORDS ((UINT16_MAX + 1) / 64)

/* A set of port numbers, empty when zeroed. Anything else that is given to it is passed over. */
struct port_set {
    uint64_t words[PORT_SET_WORDS];
};

static inline bool is_port_number(long long number)
{
    return number > 0 && number <= UINT16_MAX;
}
static inline void port_set_add(struct port_set *set, int port)
{
    if (is_port_number(port))
        set->words[port / 64] |= UINT64_C(1) << (port % 64);
}
static inline bool port_set_has(const struct port_set *set, int port)
{
    return is_port_number(port) && (set->words[port / 64] >> (port % 64) & 1);
}
/* The lowest port of the set above the given one; 0 for none. Begin with 0. */
static inline int port_set_next(const struct port_set *set, int above)
{
    size_t word = (size_t)(above + 1) / 64;
    uint64_t mask = UINT64_MAX << ((above + 1) % 64);
    for (; word < PORT_SET_WORDS; word++, mask = UINT64_MAX)
        if (set->words[word] & mask)
            return (int)(word * 64) + __builtin_ctzll(set->words[word] & mask);
    return 0;
}
