/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/userspace/writer.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define SAVED_MAX (256u << 20)
#define TIMEOUT_MS 120000
#define LOCK_WAIT_S "5" /* for /run/xtables.lock, which the legacy backend takes */

static const char *const names[FAMILY_COUNT][2] = {
    {"iptables-save", "iptables-restore"},
    {"ip6tables-save", "ip6tables-restore"},
};

int writer_init(struct writer *writer, uv_loop_t *loop, struct err *err)
{
    *writer = (struct writer){.loop = loop};
    bool has_any = false;
    for (int family = 0; family < FAMILY_COUNT; family++) {
        writer->has_family[family] = program_find(names[family][0], writer->paths[family][0]) &&
                                     program_find(names[family][1], writer->paths[family][1]);
        has_any |= writer->has_family[family];
    }
    return has_any ? 0
                   : err_set(err, ENOENT, "iptables is not available: there is no iptables-restore in $PATH");
}

static void forget(struct writer *writer)
{
    for (int family = 0; family < FAMILY_COUNT; family++) {
        layout_done(&writer->want[family]);
        text_done(&writer->input[family]);
        writer->want[family] = (struct layout){0};
    }
    writer->program = NULL;
}

void writer_done(struct writer *writer)
{
    program_cancel(writer->program);
    forget(writer);
}

static int advance(struct writer *writer, struct err *err);

static int take_saved(struct writer *writer, const char *saved, struct err *err)
{
    int family = writer->family;
    struct layout have;
    int code = layout_parse(saved, &have, err);
    if (code < 0)
        return code;
    if (writer->is_removal)
        portals_remove(&have, &writer->input[family]);
    else
        writer->adds += layout_difference(&have, &writer->want[family], &writer->input[family]);
    layout_done(&have);
    return 0;
}

static void on_program(void *context, int code, const struct err *failure,
                       const struct program_output *output)
{
    struct writer *writer = context;
    struct err err = {{0}};
    writer->program = NULL;
    if (code < 0)
        err = *failure;
    else if (writer->step == WRITER_SAVE)
        code = take_saved(writer, output->text, &err);
    else
        writer->transactions++;
    if (code == 0) {
        writer->family++;
        code = advance(writer, &err);
    }
    if (code == -EINPROGRESS)
        return;
    forget(writer);
    writer->done(writer->context, code, &err);
}

static int start(struct writer *writer, struct err *err)
{
    int family = writer->family;
    bool is_save = writer->step == WRITER_SAVE;
    const char *name = names[family][writer->step];
    const char *const save_argv[] = {name, NULL};
    const char *const restore_argv[] = {name, "--noflush", "--counters", "-w", LOCK_WAIT_S, NULL};
    const struct text *input = &writer->input[family];
    int code = program_start(&writer->program, writer->loop, writer->paths[family][writer->step],
                             is_save ? save_argv : restore_argv, text_str(input), is_save ? 0 : input->len,
                             SAVED_MAX, TIMEOUT_MS, on_program, writer, err);
    return code < 0 ? code : -EINPROGRESS;
}

/* Starts the next program that has something to do: -EINPROGRESS; 0 when there is none. */
static int advance(struct writer *writer, struct err *err)
{
    for (; writer->step <= WRITER_RESTORE; writer->step++, writer->family = 0)
        for (; writer->family < FAMILY_COUNT; writer->family++)
            if (writer->has_family[writer->family] &&
                (writer->step == WRITER_SAVE || writer->input[writer->family].len > 0))
                return start(writer, err);
    return 0;
}

static int begin(struct writer *writer, struct err *err)
{
    writer->step = WRITER_SAVE;
    writer->family = 0;
    writer->adds = writer->transactions = 0;
    int code = advance(writer, err);
    if (code != -EINPROGRESS)
        forget(writer);
    return code;
}

int writer_begin(struct writer *writer, struct layout want[FAMILY_COUNT], struct err *err)
{
    for (int family = 0; family < FAMILY_COUNT; family++)
        writer->want[family] = want[family];
    return begin(writer, err);
}

/* --- the end --- */

struct removal {
    int code;
    struct err err;
};

static void on_removed(void *context, int code, const struct err *err)
{
    struct removal *removal = context;
    removal->code = code;
    removal->err = *err;
}

int writer_remove(struct err *err)
{
    struct removal removal = {0};
    struct writer writer;
    uv_loop_t loop;
    signal(SIGPIPE, SIG_IGN); /* programs that do not read what they are given */
    int code = uv_loop_init(&loop);
    if (code < 0)
        return err_set(err, -code, "cannot start the event loop: %s", uv_strerror(code));
    if (writer_init(&writer, &loop, NULL) == 0) { /* without iptables there is nothing of ours */
        writer.is_removal = true;
        writer.done = on_removed;
        writer.context = &removal;
        code = begin(&writer, &removal.err);
        if (code == -EINPROGRESS)
            uv_run(&loop, UV_RUN_DEFAULT);
        else
            removal.code = code;
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return removal.code < 0 ? err_set(err, -removal.code, "%s", removal.err.text) : 0;
}
