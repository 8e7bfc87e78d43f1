/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/reload.h"

#include "base/log.h"
#include "daemon/announce.h"
#include "daemon/daemon.h"
#include "daemon/turns.h"
#include "sys/watch.h"

#include <libgen.h>
#include <signal.h>
#include <stdio.h>

/* An editor's several steps, and those of a ConfigMap's mount, are one change; somebody who never stops
 * writing beside the file, or signalling, puts it off for so long only. */
#define SETTLE_MS 100
#define PUT_OFF_MS 1000

static void on_timer(uv_timer_t *timer)
{
    struct reload *reload = timer->data;
    const char *path = reload->reloader->path;
    struct options options;
    enum reload_effect effect = RELOAD_NOTHING;
    struct text names = {0};
    bool was_ready = reload->daemon->sync.is_programmed;
    if (was_ready)
        announce(NOTIFY_RELOADING, "reading %s", path);
    const char *refusal = reload->reloader->read(reload->reloader->context, &options, &effect, &names);
    if (refusal) {
        log_error("%s changed and is not taken, what was read before stays in force: %s", path, refusal);
    } else if (effect == RELOAD_IN_PLACE) {
        log_info("%s changed: %s; in force from now on", path, text_str(&names));
        daemon_take_options(reload->daemon, &options);
    } else if (effect == RELOAD_ANEW) {
        log_info("%s changed: %s; everything is opened anew for it, the kernel goes on forwarding", path,
                 text_str(&names));
        daemon_end(reload->daemon, DAEMON_ANEW);
    }
    /* Also when nothing came of it: somebody may wait for the answer to SIGHUP (systemd's notify-reload). */
    if (was_ready && effect != RELOAD_ANEW)
        turns_announce(reload->daemon);
    if (refusal)
        announce(NOTIFY_STATUS, "%s is not taken: %s", path, refusal);
    text_done(&names);
}

/* Whatever file of the folder it was: a mounted ConfigMap's is reached over two links. */
static void on_changed(void *context, const char *name)
{
    struct reload *reload = context;
    uint64_t now_ms = uv_now(reload->timer.loop);
    (void)name;
    if (!uv_is_active((uv_handle_t *)&reload->timer))
        reload->changed_ms = now_ms;
    if (now_ms - reload->changed_ms < PUT_OFF_MS)
        uv_timer_start(&reload->timer, on_timer, SETTLE_MS, 0);
}

static void on_hangup(uv_signal_t *hangup, int number)
{
    (void)number;
    on_changed(hangup->data, NULL);
}

int reload_open(struct reload *reload, struct daemon *daemon, struct err *err)
{
    const struct reloader *reloader = daemon->options.reloader;
    char path[4096];
    if (!reloader)
        return 0;
    reload->daemon = daemon;
    reload->reloader = reloader;
    snprintf(path, sizeof(path), "%s", reloader->path);
    int code = folder_watch_open(&reload->watch, &daemon->loop, dirname(path), on_changed, reload, err);
    if (code < 0)
        return code;
    uv_timer_init(&daemon->loop, &reload->timer);
    code = uv_signal_init(&daemon->loop, &reload->hangup);
    if (code < 0)
        return err_set(err, -code, "cannot watch for SIGHUP: %s", uv_strerror(code));
    reload->timer.data = reload->hangup.data = reload;
    uv_signal_start(&reload->hangup, on_hangup, SIGHUP);
    /* It may have changed since it was read, when nobody watched. */
    uv_timer_start(&reload->timer, on_timer, 0, 0);
    return 0;
}

void reload_close(struct reload *reload)
{
    folder_watch_close(reload->watch);
}
