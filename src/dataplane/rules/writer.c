/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/rules/writer.h"

#include "dataplane/rules/count.h"
#include "dataplane/rules/rule_watch.h"
#include "sys/iptables.h"
#include "sys/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAVED_MAX (256u << 20)
#define TIMEOUT_MS 120000
#define COMMIT_CHAINS                                                                                        \
    500 /* of new ones, at most: fewer cost the kernel more commits, more the program searches */
#define FAULT_TIMEOUT "program-timeout:" /* FAIRLEAD_FAULT: milliseconds instead of TIMEOUT_MS */
#define LOCK_WAIT_S "5"                  /* for /run/xtables.lock, which the legacy backend takes */

/* To compare goes through both for each family in turn, a change is only restored. */
enum step { STEP_SAVE, STEP_RESTORE, STEP_COUNT };

struct writer {
    uv_loop_t *loop;
    const struct own_rules *own;
    writer_read_fn *read; /* or NULL */
    writer_done_fn *done;
    void *context;
    bool has_family[FAMILY_COUNT];
    bool is_nft; /* the backend; false where it cannot be told */
    char paths[FAMILY_COUNT][STEP_COUNT][PATH_MAX];
    unsigned timeout_ms;
    bool is_known;
    struct rule_watch *watch;
    struct dataplane_restores restores; /* after what is under way, when it succeeds */
    /* What is under way. */
    struct program *program;
    enum step step;
    int family;
    struct layout want[FAMILY_COUNT];
    struct text input[FAMILY_COUNT];
    struct dataplane_result result;
};

static const char *const program_names[FAMILY_COUNT][STEP_COUNT] = {
    {"iptables-save", "iptables-restore"},
    {"ip6tables-save", "ip6tables-restore"},
};

static bool find_programs(int family, char ret_paths[STEP_COUNT][PATH_MAX])
{
    return program_find(program_names[family][STEP_SAVE], ret_paths[STEP_SAVE]) &&
           program_find(program_names[family][STEP_RESTORE], ret_paths[STEP_RESTORE]);
}

static int find_any(char paths[STEP_COUNT][PATH_MAX], struct err *err)
{
    if (find_programs(FAMILY_IPV4, paths) || find_programs(FAMILY_IPV6, paths))
        return 0;
    enum step missing = program_find(program_names[FAMILY_IPV4][STEP_RESTORE], paths[STEP_RESTORE])
                            ? STEP_SAVE
                            : STEP_RESTORE;
    return err_set(err, ENOENT, "iptables is not available: there is no %s in $PATH",
                   program_names[FAMILY_IPV4][missing]);
}

int writer_probe(struct err *err)
{
    char paths[STEP_COUNT][PATH_MAX];
    int code = find_any(paths, err);
    if (code < 0)
        return code;
    code = iptables_check(paths[STEP_RESTORE], err);
    return code < 0 ? err_prefix(err, code, "iptables is not available") : 0;
}

int writer_open(struct writer **ret, uv_loop_t *loop, const struct own_rules *own, writer_done_fn *done,
                void *context, struct err *err)
{
    char paths[STEP_COUNT][PATH_MAX];
    int code = find_any(paths, err);
    if (code < 0)
        return code;
    struct writer *writer = xcalloc(1, sizeof(*writer));
    writer->loop = loop;
    writer->own = own;
    writer->done = done;
    writer->context = context;
    for (int family = 0; family < FAMILY_COUNT; family++)
        writer->has_family[family] = find_programs(family, writer->paths[family]);
    const char *fault = getenv("FAIRLEAD_FAULT");
    writer->timeout_ms = fault && strncmp(fault, FAULT_TIMEOUT, strlen(FAULT_TIMEOUT)) == 0
                             ? (unsigned)strtoul(fault + strlen(FAULT_TIMEOUT), NULL, 10)
                             : TIMEOUT_MS;
    enum family first = writer->has_family[FAMILY_IPV4] ? FAMILY_IPV4 : FAMILY_IPV6;
    writer->is_nft = !iptables_backend_of(writer->paths[first][STEP_RESTORE]).may_be_legacy;
    code = rule_watch_open(writer->paths[first][STEP_RESTORE], own, &writer->watch, err);
    if (code < 0) {
        free(writer);
        return code;
    }
    *ret = writer;
    return 0;
}

void writer_set_read(struct writer *writer, writer_read_fn *read)
{
    writer->read = read;
}

static void forget_work(struct writer *writer)
{
    for (int family = 0; family < FAMILY_COUNT; family++) {
        layout_done(&writer->want[family]);
        text_done(&writer->input[family]);
    }
    writer->program = NULL;
}

void writer_close(struct writer *writer)
{
    if (!writer)
        return;
    program_cancel(writer->program);
    forget_work(writer);
    rule_watch_close(writer->watch);
    free(writer);
}

bool writer_has_family(const struct writer *writer, enum family family)
{
    return writer->has_family[family];
}

bool writer_is_known(const struct writer *writer)
{
    return writer->is_known;
}

/* --- work under way --- */

static int advance(struct writer *writer, struct err *err);

/* What iptables-save said becomes what iptables-restore is told. */
static int take_saved(struct writer *writer, const char *saved, struct err *err)
{
    int family = writer->family;
    struct layout have;
    int code = layout_parse(saved, &have, err);
    if (code < 0)
        return code;
    if (writer->read && (code = writer->read(writer->context, &have, err)) < 0) {
        layout_done(&have);
        return code;
    }
    if (writer->is_nft)
        writer->result.element_adds +=
            layout_prepare(&have, &writer->want[family], COMMIT_CHAINS, &writer->input[family]);
    writer->result.element_adds +=
        layout_difference(&have, &writer->want[family], writer->own, &writer->input[family]);
    layout_done(&have);
    layout_done(&writer->want[family]);
    return 0;
}

/* Where iptables-restore says which line it was, the line itself says more. Its own last line of a table is
 * named when the kernel refused the whole. */
static void name_line(const struct writer *writer, struct err *err)
{
    const char *at = strstr(err->text, "line"), *line = text_str(&writer->input[writer->family]);
    unsigned long number = 0;
    char text[sizeof(err->text)];
    for (; at && number == 0; at = strstr(at + 1, "line"))
        number = strtoul(at + strlen("line") + strspn(at + strlen("line"), ": "), NULL, 10);
    for (; number > 1 && *line; number--)
        line += strcspn(line, "\n") + (line[strcspn(line, "\n")] == '\n');
    if (number != 1 || *line != '-')
        return;
    snprintf(text, sizeof(text), "%s; the line is \"%.*s\"", err->text, (int)strcspn(line, "\n"), line);
    memcpy(err->text, text, sizeof(text));
}

static void note_failure(struct writer *writer)
{
    struct dataplane_restores *restores = &writer->restores;
    if (writer->step != STEP_RESTORE)
        return;
    restores->failures[writer->family]++;
    restores->partial_failures[writer->family] += !writer->result.was_full;
}

static void on_program(void *context, int code, const struct err *failure,
                       const struct program_output *output)
{
    struct writer *writer = context;
    struct err err;
    writer->program = NULL;
    if (writer->step == STEP_RESTORE)
        writer->result.was_disturbed |= rule_watch_end(writer->watch);
    if (code < 0) {
        err = *failure;
        note_failure(writer);
        if (writer->step == STEP_RESTORE)
            name_line(writer, &err);
    } else if (writer->step == STEP_SAVE)
        code = take_saved(writer, output->text, &err);
    else
        writer->result.transactions++;
    if (code == 0) {
        writer->family++;
        code = advance(writer, &err);
    }
    if (code == -EINPROGRESS)
        return;
    struct dataplane_result result = writer->result;
    forget_work(writer);
    writer->is_known = code == 0;
    if (code == 0 && result.was_full)
        result.was_disturbed |= rule_watch_remember(writer->watch, result.transactions > 0);
    writer->done(writer->context, code, &result, &err);
}

static int start(struct writer *writer, struct err *err)
{
    int family = writer->family;
    bool is_save = writer->step == STEP_SAVE;
    const char *name = program_names[family][writer->step];
    const char *const save_argv[] = {name, NULL};
    const char *const restore_argv[] = {name, "--noflush", "--counters", "-w", LOCK_WAIT_S, NULL};
    const struct text *input = &writer->input[family];
    if (!is_save) {
        memset(writer->restores.last_rules[family], 0, sizeof(writer->restores.last_rules[family]));
        count_input(text_str(input), writer->restores.last_rules[family]);
    }
    const struct program_request request = {.path = writer->paths[family][writer->step],
                                            .argv = is_save ? save_argv : restore_argv,
                                            .input = text_str(input),
                                            .input_len = is_save ? 0 : input->len,
                                            .output_max = SAVED_MAX,
                                            .timeout_ms = writer->timeout_ms,
                                            .done = on_program,
                                            .context = writer};
    int code = program_start(&writer->program, writer->loop, &request, err);
    if (code < 0)
        return code;
    if (!is_save)
        writer->result.was_disturbed |= rule_watch_begin(writer->watch, program_pid(writer->program));
    return -EINPROGRESS;
}

static bool is_needed(const struct writer *writer)
{
    return writer->has_family[writer->family] &&
           (writer->step == STEP_SAVE || writer->input[writer->family].len > 0);
}

/* Starts the next program that has something to do: -EINPROGRESS; 0 when there is none. */
static int advance(struct writer *writer, struct err *err)
{
    for (; writer->step < STEP_COUNT; writer->step++, writer->family = 0)
        for (; writer->family < FAMILY_COUNT; writer->family++)
            if (is_needed(writer))
                return start(writer, err);
    return 0;
}

static int begin(struct writer *writer, enum step step, struct dataplane_result *ret, struct err *err)
{
    writer->is_known = false;
    writer->step = step;
    writer->family = 0;
    int code = advance(writer, err);
    if (code == -EINPROGRESS)
        return code;
    *ret = writer->result;
    forget_work(writer);
    writer->is_known = code == 0;
    return code;
}

/* --- what dataplanes ask for --- */

int writer_compare(struct writer *writer, struct layout want[FAMILY_COUNT], struct dataplane_result *ret,
                   struct err *err)
{
    writer->result = (struct dataplane_result){.was_full = true};
    memset(writer->restores.rules, 0, sizeof(writer->restores.rules));
    for (int family = 0; family < FAMILY_COUNT; family++) {
        writer->want[family] = want[family];
        if (writer->has_family[family])
            count_layout(&want[family], writer->restores.rules[family]);
    }
    rule_watch_forget(writer->watch);
    return begin(writer, STEP_SAVE, ret, err);
}

int writer_restore(struct writer *writer, struct writer_change *change, struct dataplane_result *ret,
                   struct err *err)
{
    if (!writer->is_known) {
        for (int family = 0; family < FAMILY_COUNT; family++)
            text_done(&change->input[family]);
        return err_set(err, ESTALE, "what iptables holds is not known");
    }
    writer->result =
        (struct dataplane_result){.element_adds = change->adds, .element_deletes = change->removes};
    for (int family = 0; family < FAMILY_COUNT; family++) {
        writer->input[family] = change->input[family];
        for (int table = 0; table < DATAPLANE_TABLE_COUNT; table++)
            writer->restores.rules[family][table] += (uint64_t)change->rules[family][table];
    }
    return begin(writer, STEP_RESTORE, ret, err);
}

int writer_watch_fd(const struct writer *writer)
{
    return rule_watch_fd(writer->watch);
}

bool writer_is_disturbed(struct writer *writer)
{
    return rule_watch_is_disturbed(writer->watch);
}

const struct dataplane_restores *writer_restores(const struct writer *writer)
{
    return &writer->restores;
}
