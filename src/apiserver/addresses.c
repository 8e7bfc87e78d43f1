/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/addresses.h"

#include "base/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define RANGE_IS_FULL "range is full"
#define RANGE_IPV6_LEN_MIN 64
#define RANGE_IPV4_LEN_MAX 29
#define RANGE_IPV6_LEN_MAX 125

struct taken {
    struct address address;
    unsigned holders;
    UT_hash_handle hh;
};

/* The usable addresses are numbered from 0: the network's own is left out, and the broadcast of IPv4. */
struct range {
    struct prefix prefix;
    enum family family;
    uint64_t first; /* the last eight bytes of address 0 */
    uint64_t size;
    uint64_t band; /* so many at the lower end are given last */
};

struct allocator {
    struct allocator_config config;
    struct range ranges[2];
    struct taken *addresses;
    size_t port_count;
    uint32_t port_holders[UINT16_MAX + 1];
};

/* min(max(least, size / step), most), and none where that is nearly everything: KEP-3070 and KEP-3668. */
static uint64_t band_of(uint64_t size, unsigned step, unsigned least, unsigned most)
{
    if (size <= least)
        return 0;
    uint64_t band = size / step;
    return band < least ? least : band > most ? most : band;
}

static uint64_t low_bytes(const struct address *address)
{
    uint64_t value = 0;
    for (size_t i = 8; i < sizeof(address->bytes); i++)
        value = value << 8 | address->bytes[i];
    return value;
}

static struct address address_at(const struct range *range, uint64_t offset)
{
    struct address address = range->prefix.address;
    uint64_t value = range->first + offset;
    for (size_t i = sizeof(address.bytes); i > 8; i--, value >>= 8)
        address.bytes[i - 1] = (uint8_t)value;
    return address;
}

static struct range make_range(const struct prefix *prefix)
{
    struct range range = {.prefix = *prefix, .family = address_family(&prefix->address)};
    struct address network = prefix_first(prefix), last = prefix_last(prefix);
    range.first = low_bytes(&network) + 1;
    range.size = low_bytes(&last) - low_bytes(&network) - (range.family == FAMILY_IPV4 ? 1 : 0);
    /* The band is reckoned from the whole prefix. */
    uint64_t whole = low_bytes(&last) - low_bytes(&network);
    range.band = band_of(whole == UINT64_MAX ? whole : whole + 1, 16, 16, 256);
    return range;
}

static bool is_usable(const struct range *range, const struct address *address)
{
    return prefix_contains(&range->prefix, address) && low_bytes(address) - range->first < range->size;
}

static int check_range(const struct prefix *prefix, struct err *err)
{
    char text[PREFIX_TEXT_MAX];
    bool is_ipv4 = address_family(&prefix->address) == FAMILY_IPV4;
    if (!is_ipv4 && prefix->len < RANGE_IPV6_LEN_MIN)
        return err_set(err, EINVAL, "service cluster IP range %s: an IPv6 range must not be wider than /%u",
                       prefix_format(prefix, text), RANGE_IPV6_LEN_MIN);
    if (prefix->len > (is_ipv4 ? RANGE_IPV4_LEN_MAX : RANGE_IPV6_LEN_MAX))
        return err_set(err, EINVAL, "service cluster IP range %s must have at least 8 addresses",
                       prefix_format(prefix, text));
    return 0;
}

int allocator_config_check(const struct allocator_config *config, struct err *err)
{
    if (config->range_count < 1 || config->range_count > 2)
        return err_set(err, EINVAL, "one service cluster IP range is needed, or two");
    for (size_t i = 0; i < config->range_count; i++) {
        int code = check_range(&config->ranges[i], err);
        if (code < 0)
            return code;
    }
    if (config->range_count == 2 &&
        address_family(&config->ranges[0].address) == address_family(&config->ranges[1].address))
        return err_set(err, EINVAL, "two service cluster IP ranges must be of different families");
    if (config->node_port_first == 0 || config->node_port_first > config->node_port_last)
        return err_set(err, EINVAL, "node port range %u-%u is empty or begins at 0", config->node_port_first,
                       config->node_port_last);
    return 0;
}

struct allocator *allocator_new(const struct allocator_config *config)
{
    assert(allocator_config_check(config, NULL) == 0);
    struct allocator *allocator = xcalloc(1, sizeof(*allocator));
    allocator->config = *config;
    for (size_t i = 0; i < config->range_count; i++)
        allocator->ranges[i] = make_range(&config->ranges[i]);
    return allocator;
}

void allocator_free(struct allocator *allocator)
{
    if (!allocator)
        return;
    struct taken *taken, *next;
    HASH_ITER (hh, allocator->addresses, taken, next) {
        HASH_DEL(allocator->addresses, taken);
        free(taken);
    }
    free(allocator);
}

const struct allocator_config *allocator_config(const struct allocator *allocator)
{
    return &allocator->config;
}

static struct taken *find(const struct allocator *allocator, const struct address *address)
{
    struct taken *taken;
    HASH_FIND(hh, allocator->addresses, address, sizeof(*address), taken);
    return taken;
}

static void hold(struct allocator *allocator, const struct address *address)
{
    struct taken *taken = find(allocator, address);
    if (!taken) {
        taken = xcalloc(1, sizeof(*taken));
        taken->address = *address;
        HASH_ADD(hh, allocator->addresses, address, sizeof(taken->address), taken);
    }
    taken->holders++;
}

static const struct range *range_of(const struct allocator *allocator, enum family family)
{
    for (size_t i = 0; i < allocator->config.range_count; i++)
        if (allocator->ranges[i].family == family)
            return &allocator->ranges[i];
    return NULL;
}

static int judge_address(const struct allocator *allocator, const struct address *address, struct err *err)
{
    const struct range *range = range_of(allocator, address_family(address));
    if (!range || !is_usable(range, address))
        return err_set(err, ERANGE, "the provided network does not match the current range");
    if (find(allocator, address))
        return err_set(err, EEXIST, "provided IP is already allocated");
    return 0;
}

int allocator_take_address(struct allocator *allocator, const struct address *address, struct err *err)
{
    int code = judge_address(allocator, address, err);
    if (code == 0)
        hold(allocator, address);
    return code;
}

int allocator_adopt_address(struct allocator *allocator, const struct address *address, struct err *err)
{
    int code = judge_address(allocator, address, err);
    hold(allocator, address);
    return code;
}

int allocator_try_address(const struct allocator *allocator, const struct address *address, struct err *err)
{
    char text[ADDRESS_TEXT_MAX], cidr[PREFIX_TEXT_MAX];
    const struct range *range = range_of(allocator, address_family(address));
    if (range && is_usable(range, address))
        return 0;
    return err_set(err, ERANGE,
                   "the provided IP (%s) is not in the valid range. The range of valid IPs is %s",
                   address_format(address, text), range ? prefix_format(&range->prefix, cidr) : "<nil>");
}

/* The first free one of count addresses from the given one on, beginning at start and going round. It looks
 * at no more addresses than are taken, and one. */
static bool search(struct allocator *allocator, const struct range *range, uint64_t from, uint64_t count,
                   uint64_t start, struct address *ret)
{
    bool is_primary = range == &allocator->ranges[0];
    for (uint64_t i = 0; i < count; i++) {
        uint64_t offset = from + (start < count - i ? start + i : start - (count - i));
        struct address address = address_at(range, offset);
        if ((is_primary && offset == 0) || find(allocator, &address))
            continue;
        *ret = address;
        return true;
    }
    return false;
}

int allocator_next_address(struct allocator *allocator, enum family family, uint64_t random,
                           struct address *ret, struct err *err)
{
    const struct range *range = range_of(allocator, family);
    struct address address;
    if (!range)
        return err_set(err, ENOSPC, RANGE_IS_FULL);
    uint64_t upper = range->size - range->band;
    if (!search(allocator, range, range->band, upper, random % upper, &address) &&
        !(range->band && search(allocator, range, 0, range->band, random % range->band, &address)))
        return err_set(err, ENOSPC, RANGE_IS_FULL);
    hold(allocator, &address);
    *ret = address;
    return 0;
}

void allocator_release_address(struct allocator *allocator, const struct address *address)
{
    struct taken *taken = find(allocator, address);
    if (!taken || --taken->holders > 0)
        return;
    HASH_DEL(allocator->addresses, taken);
    free(taken);
}

bool allocator_has_address(const struct allocator *allocator, const struct address *address)
{
    return find(allocator, address) != NULL;
}

size_t allocator_address_count(const struct allocator *allocator)
{
    return HASH_COUNT(allocator->addresses);
}

static int judge_port(const struct allocator *allocator, uint16_t port, struct err *err)
{
    const struct allocator_config *config = &allocator->config;
    if (port < config->node_port_first || port > config->node_port_last)
        return err_set(err, ERANGE,
                       "provided port is not in the valid range. The range of valid ports is %u-%u",
                       config->node_port_first, config->node_port_last);
    if (allocator->port_holders[port])
        return err_set(err, EEXIST, "provided port is already allocated");
    return 0;
}

static void hold_port(struct allocator *allocator, uint16_t port)
{
    if (allocator->port_holders[port]++ == 0)
        allocator->port_count++;
}

int allocator_take_port(struct allocator *allocator, uint16_t port, struct err *err)
{
    int code = judge_port(allocator, port, err);
    if (code == 0)
        hold_port(allocator, port);
    return code;
}

int allocator_adopt_port(struct allocator *allocator, uint16_t port, struct err *err)
{
    int code = judge_port(allocator, port, err);
    hold_port(allocator, port);
    return code;
}

static bool search_ports(const struct allocator *allocator, unsigned from, unsigned count, unsigned start,
                         uint16_t *ret)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned port = allocator->config.node_port_first + from + (start + i) % count;
        if (allocator->port_holders[port])
            continue;
        *ret = (uint16_t)port;
        return true;
    }
    return false;
}

int allocator_next_port(struct allocator *allocator, uint64_t random, uint16_t *ret, struct err *err)
{
    unsigned size = allocator->config.node_port_last - allocator->config.node_port_first + 1U;
    unsigned band = (unsigned)band_of(size, 32, 16, 128), upper = size - band;
    uint16_t port;
    if (!search_ports(allocator, band, upper, (unsigned)(random % upper), &port) &&
        !(band && search_ports(allocator, 0, band, (unsigned)(random % band), &port)))
        return err_set(err, ENOSPC, RANGE_IS_FULL);
    hold_port(allocator, port);
    *ret = port;
    return 0;
}

void allocator_release_port(struct allocator *allocator, uint16_t port)
{
    if (allocator->port_holders[port] > 0 && --allocator->port_holders[port] == 0)
        allocator->port_count--;
}

bool allocator_has_port(const struct allocator *allocator, uint16_t port)
{
    return allocator->port_holders[port] > 0;
}

size_t allocator_port_count(const struct allocator *allocator)
{
    return allocator->port_count;
}
