/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cleanup.h"
#include "dataplane/leftovers/iptables.h"
#include "fuzz_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What iptables-save may say. The properties: a removal empties and deletes chains of kube-proxy alone, takes
 * rules only that lead to one of them, and is one table from its name to its COMMIT. */

static void require(int holds, const char *what, const char *text)
{
    if (holds)
        return;
    fprintf(stderr, "%s:\n%s\n", what, text);
    abort();
}

static void check_line(const char *table, char *line, const char *all)
{
    char name[4096];
    size_t skipped = *line == ':' ? 1 : 3;
    if (strncmp(line, "-D ", 3) == 0) {
        for (size_t len = strlen(line); line[len - 1] == ' '; len--)
            line[len - 1] = '\0';
        const char *target = strrchr(line, ' ');
        require(target && iptables_is_proxy_chain(table, target + 1), "a rule of somebody else", all);
        return;
    }
    require(*line == ':' || strncmp(line, "-X ", 3) == 0, "a line of another kind", all);
    size_t len = strcspn(line + skipped, " ");
    snprintf(name, sizeof(name), "%.*s", (int)len, line + skipped);
    require(iptables_is_proxy_chain(table, name), "a chain of somebody else", all);
}

static void check_restore(const struct iptables_removal *removal)
{
    const char *all = text_str(&removal->restore);
    cleanup_free char *table = strndup(removal->table, removal->table_len);
    cleanup_free char *lines = strdup(all);
    char *rest = NULL, *line = strtok_r(lines, "\n", &rest), *next;
    if (!line) {
        require(removal->jumps + removal->chains == 0, "counts of nothing", all);
        return;
    }
    require(*line == '*' && strcmp(line + 1, table) == 0, "no table at the beginning", all);
    for (line = strtok_r(NULL, "\n", &rest); line && (next = strtok_r(NULL, "\n", &rest)); line = next)
        check_line(table, line, all);
    require(line && strcmp(line, "COMMIT") == 0, "no COMMIT at the end", all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct iptables_scope scopes[] = {
        {.goes = IPTABLES_BY_ANYBODY},
        {.goes = IPTABLES_BY_ANYBODY, .stays = IPTABLES_BY_IPTABLES},
        {.goes = IPTABLES_BY_ANYBODY, .stays = IPTABLES_BY_USERSPACE},
        {.goes = IPTABLES_OWN},
    };
    cleanup_free char *saved = strndup((const char *)data, size);
    struct iptables_removal removal;
    iptables_own_scope(saved);
    for (size_t i = 0; i < sizeof(scopes) / sizeof(*scopes); i++) {
        const char *at = saved;
        while (iptables_next_removal(&at, scopes[i], &removal)) {
            check_restore(&removal);
            iptables_removal_done(&removal);
        }
    }
    return 0;
}
