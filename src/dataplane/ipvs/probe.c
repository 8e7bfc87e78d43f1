/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/ipvs/probe.h"

#include "dataplane/ipvs/bound.h"
#include "dataplane/ipvs/ipset.h"
#include "dataplane/ipvs/servers.h"
#include "dataplane/rules/writer.h"
#include "sys/program.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

bool probe_has_family(enum family family)
{
    int disabled = 0;
    if (family == FAMILY_IPV4)
        return true;
    FILE *file = fopen("/proc/sys/net/ipv6/conf/all/disable_ipv6", "re");
    if (!file)
        return false;
    if (fscanf(file, "%d", &disabled) != 1)
        disabled = 0;
    fclose(file);
    return !disabled;
}

/* The kernel loads the module of a netlink family by itself only where the module says that it is that
 * family's. */
static void load_module(const char *name)
{
    char path[PATH_MAX];
    char *const argv[] = {"modprobe", "-q", (char *)name, NULL};
    pid_t pid;
    if (program_find("modprobe", path) && posix_spawn(&pid, path, NULL, NULL, argv, environ) == 0)
        waitpid(pid, NULL, 0);
}

static int probe_servers(struct err *err)
{
    struct servers *servers;
    int code = servers_open(&servers, err);
    if (code == -ENOENT) {
        load_module("ip_vs");
        code = servers_open(&servers, err);
    }
    if (code == 0)
        servers_close(servers);
    return code;
}

int probe_ipvs(struct err *err)
{
    struct ipset_socket *sets;
    int code = writer_probe(err);
    code = code < 0 ? code : ipset_open(&sets, err);
    if (code == 0)
        ipset_close(sets);
    code = code < 0 ? code : probe_servers(err);
    return code < 0 ? code : bound_probe(err);
}
