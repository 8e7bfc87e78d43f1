/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/rules/sizes.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* linux/netfilter_ipv4/ip_tables.h and its IPv6 sister, which do not go with netinet/in.h: the same numbers
 * and the same answer in both. */
#define GET_INFO 64
struct info {
    char name[32];
    uint32_t valid_hooks, hook_entry[5], underflow[5], entries, bytes;
};

static const char *const lists[FAMILY_COUNT] = {"/proc/self/net/ip_tables_names",
                                                "/proc/self/net/ip6_tables_names"};

int sizes_open(struct sizes *sizes, struct err *err)
{
    const struct itimerspec second = {.it_interval.tv_sec = 1, .it_value.tv_sec = 1};
    *sizes = (struct sizes){.socket_fds = {-1, -1}};
    sizes->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (sizes->timer_fd < 0 || timerfd_settime(sizes->timer_fd, 0, &second, NULL) < 0) {
        int code = err_set(err, errno, "cannot make a timer: %s", strerror(errno));
        sizes_close(sizes);
        return code;
    }
    /* Any Internet socket is asked; a raw one as iptables has would need one more capability. A family that
     * is not there has no tables. */
    sizes->socket_fds[FAMILY_IPV4] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sizes->socket_fds[FAMILY_IPV6] = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return 0;
}

void sizes_close(struct sizes *sizes)
{
    if (sizes->timer_fd >= 0)
        close(sizes->timer_fd);
    for (int family = 0; family < FAMILY_COUNT; family++)
        if (sizes->socket_fds[family] >= 0)
            close(sizes->socket_fds[family]);
    *sizes = (struct sizes){.timer_fd = -1, .socket_fds = {-1, -1}};
}

static void ask(int fd, enum family family, const char *table, struct table_size *ret)
{
    struct info info = {0};
    socklen_t len = sizeof(info);
    snprintf(info.name, sizeof(info.name), "%s", table);
    if (getsockopt(fd, family == FAMILY_IPV4 ? IPPROTO_IP : IPPROTO_IPV6, GET_INFO, &info, &len) < 0)
        return;
    *ret = (struct table_size){.is_there = true, .entries = info.entries, .bytes = info.bytes};
}

static void read_family(const struct sizes *sizes, enum family family, struct table_size ret[TABLE_COUNT])
{
    char line[64];
    FILE *file = sizes->socket_fds[family] >= 0 ? fopen(lists[family], "re") : NULL;
    memset(ret, 0, TABLE_COUNT * sizeof(*ret));
    while (file && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        for (int table = 0; table < TABLE_COUNT; table++)
            if (strcmp(line, layout_table_name((enum layout_table)table)) == 0)
                ask(sizes->socket_fds[family], family, line, &ret[table]);
    }
    if (file)
        fclose(file);
}

void sizes_remember(struct sizes *sizes)
{
    for (int family = 0; family < FAMILY_COUNT; family++)
        read_family(sizes, (enum family)family, sizes->left[family]);
}

static bool is_same(const struct table_size *a, const struct table_size *b)
{
    return a->is_there == b->is_there && a->entries == b->entries && a->bytes == b->bytes;
}

bool sizes_have_changed(const struct sizes *sizes)
{
    bool have = false;
    for (int family = 0; family < FAMILY_COUNT; family++) {
        struct table_size now[TABLE_COUNT];
        read_family(sizes, (enum family)family, now);
        for (int table = 0; table < TABLE_COUNT; table++)
            have |= !is_same(&now[table], &sizes->left[family][table]);
    }
    return have;
}

void sizes_rest(struct sizes *sizes)
{
    uint64_t expirations;
    while (read(sizes->timer_fd, &expirations, sizeof(expirations)) < 0 && errno == EINTR)
        ;
}
