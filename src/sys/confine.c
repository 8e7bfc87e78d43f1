/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/confine.h"

#include "base/cleanup.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define EVERY_HELD (CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET)

/* By the effective capabilities, as open(2) judges; access(2) would go by the permitted ones. */
static bool is_denied(const char *folder)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s", folder) >= sizeof(path))
        return false;
    while (faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) < 0) {
        if (errno != ENOENT || strcmp(path, "/") == 0 || strcmp(path, ".") == 0)
            return errno == EACCES;
        /* dirname answers "." and "/" with strings of its own. */
        const char *parent = dirname(path);
        if (parent != path)
            snprintf(path, sizeof(path), "%s", parent);
    }
    return false;
}

static int apply(capng_select_t what, struct err *err)
{
    errno = 0;
    if (capng_apply(what) == 0)
        return 0;
    return err_set(err, errno ? errno : EPERM, "the capabilities cannot be given up: %s",
                   strerror(errno ? errno : EPERM));
}

int confine_capabilities(const char *const *writable, enum confine_programs programs, struct err *err)
{
    static const unsigned kept[] = {CAP_NET_ADMIN, CAP_NET_BIND_SERVICE, CAP_DAC_READ_SEARCH, CAP_NET_RAW};
    if (capng_get_caps_process() < 0)
        return err_set(err, ENOSYS, "the kernel does not say which capabilities this process has");
    bool had[ARRAY_LEN(kept)], needs_override = false;
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        had[i] = capng_have_capability(CAPNG_PERMITTED, kept[i]) &&
                 (kept[i] != CAP_NET_RAW || programs == CONFINE_PACKET_PROGRAMS);
    bool had_override = capng_have_capability(CAPNG_EFFECTIVE, CAP_DAC_OVERRIDE);
    bool may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
    if (had_override) {
        capng_update(CAPNG_DROP, CAPNG_EFFECTIVE, CAP_DAC_OVERRIDE);
        int code = apply(CAPNG_SELECT_CAPS, err);
        if (code < 0)
            return code;
        for (; *writable && !needs_override; writable++)
            needs_override = is_denied(*writable);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_set(err, errno, "no_new_privs cannot be set: %s", strerror(errno));
    capng_clear(CAPNG_SELECT_ALL);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (had[i])
            capng_update(CAPNG_ADD, EVERY_HELD, kept[i]);
    if (needs_override)
        capng_update(CAPNG_ADD, EVERY_HELD, CAP_DAC_OVERRIDE);
    /* Without CAP_SETPCAP the bounding set stays; with no_new_privs it lets no program gain anything. */
    return apply(may_bound ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS, err);
}
