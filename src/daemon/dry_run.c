/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/modes.h"
#include "daemon/sources.h"
#include "forwarding/describe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int entry_order(const void *a, const void *b)
{
    return strcmp((*(const struct entry *const *)a)->name, (*(const struct entry *const *)b)->name);
}

static void on_report(void *context, const char *sentence)
{
    (void)context;
    log_warning("%s", sentence);
}

int dry_run(struct daemon *daemon, struct err *err)
{
    int code = sources_read_folder(daemon, err);
    if (code == 0)
        code = interface_addresses_read(&daemon->interfaces, err);
    if (code < 0)
        return code;
    sync_init(&daemon->sync, daemon->store, NULL, &daemon->options, &daemon->interfaces);
    daemon->sync.report = on_report;
    sync_plan_all(&daemon->sync);
    size_t count;
    struct text text = {0};
    cleanup_free const struct entry **entries = sync_entries(&daemon->sync, &count);
    qsort(entries, count, sizeof(*entries), entry_order);
    if (daemon->options.dry_run == DRY_RUN_RULES)
        modes_named(daemon->options.proxy_mode)->render(&daemon->sync.node.dataplane, entries, count, &text);
    for (size_t i = 0; daemon->options.dry_run == DRY_RUN_FORWARDING && i < count; i++)
        describe_entry(entries[i], &text);
    fwrite(text_str(&text), 1, text.len, stdout);
    text_done(&text);
    return 0;
}
