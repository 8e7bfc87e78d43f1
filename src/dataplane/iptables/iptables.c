/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/iptables/iptables.h"

#include "dataplane/iptables/change.h"
#include "dataplane/iptables/count.h"
#include "dataplane/iptables/counts.h"
#include "dataplane/iptables/inspect.h"
#include "dataplane/iptables/rule_watch.h"
#include "sys/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Above so many endpoints kube-proxy leaves out the comments of rules that are as many. */
#define BRIEF_ENDPOINTS 1000
#define SAVED_MAX (256u << 20)
#define TIMEOUT_MS 120000
#define FAULT_TIMEOUT "program-timeout:" /* FAIRLEAD_FAULT: milliseconds instead of TIMEOUT_MS */
#define LOCK_WAIT_S "5"                  /* for /run/xtables.lock, which the legacy backend takes */

/* A load goes through all four for each family in turn, a sync only restores. */
enum step { STEP_SAVE, STEP_RESTORE };

struct iptables {
    struct dataplane base;
    struct dataplane_owner owner;
    bool has_family[FAMILY_COUNT];
    char save[FAMILY_COUNT][PATH_MAX], restore[FAMILY_COUNT][PATH_MAX];
    bool is_known; /* the kernel has what the last success left */
    uint64_t endpoints;
    struct rule_watch *watch;
    unsigned timeout_ms;
    struct counts counts; /* after what is under way, when it succeeds */
    struct dataplane_restores restores;
    /* What is under way. */
    struct program *program;
    enum step step;
    int family;
    struct layout want[FAMILY_COUNT]; /* of a load */
    struct text input[FAMILY_COUNT];
    struct dataplane_result result;
};

static const char *const program_names[FAMILY_COUNT][2] = {
    {"iptables-save", "iptables-restore"},
    {"ip6tables-save", "ip6tables-restore"},
};

static bool find_programs(int family, char save[PATH_MAX], char restore[PATH_MAX])
{
    return program_find(program_names[family][STEP_SAVE], save) &&
           program_find(program_names[family][STEP_RESTORE], restore);
}

static int probe(struct err *err)
{
    char save[PATH_MAX], restore[PATH_MAX];
    if (find_programs(FAMILY_IPV4, save, restore) || find_programs(FAMILY_IPV6, save, restore))
        return 0;
    return err_set(err, ENOENT, "iptables is not available: there is no iptables-restore in $PATH");
}

static int open_(struct dataplane **ret, const struct dataplane_owner *owner, struct err *err)
{
    int code = probe(err);
    if (code < 0)
        return code;
    struct iptables *iptables = xcalloc(1, sizeof(*iptables));
    iptables->base.ops = &iptables_dataplane;
    iptables->owner = *owner;
    for (int family = 0; family < FAMILY_COUNT; family++)
        iptables->has_family[family] =
            find_programs(family, iptables->save[family], iptables->restore[family]);
    const char *fault = getenv("FAIRLEAD_FAULT");
    iptables->timeout_ms = fault && strncmp(fault, FAULT_TIMEOUT, strlen(FAULT_TIMEOUT)) == 0
                               ? (unsigned)strtoul(fault + strlen(FAULT_TIMEOUT), NULL, 10)
                               : TIMEOUT_MS;
    code = rule_watch_open(iptables->restore[iptables->has_family[FAMILY_IPV4] ? FAMILY_IPV4 : FAMILY_IPV6],
                           &iptables->watch, err);
    if (code < 0) {
        free(iptables);
        return code;
    }
    *ret = &iptables->base;
    return 0;
}

static void forget_work(struct iptables *iptables)
{
    for (int family = 0; family < FAMILY_COUNT; family++) {
        layout_done(&iptables->want[family]);
        text_done(&iptables->input[family]);
    }
    iptables->program = NULL;
}

static void close_(struct dataplane *dataplane)
{
    struct iptables *iptables = (struct iptables *)dataplane;
    program_cancel(iptables->program);
    forget_work(iptables);
    rule_watch_close(iptables->watch);
    free(iptables);
}

/* --- work under way --- */

static int advance(struct iptables *iptables, struct err *err);

/* What iptables-save said becomes what iptables-restore is told. */
static int take_saved(struct iptables *iptables, const char *saved, struct err *err)
{
    int family = iptables->family;
    struct layout have;
    int code = layout_parse(saved, &have, err);
    if (code < 0)
        return code;
    iptables->result.element_adds +=
        layout_difference(&have, &iptables->want[family], &iptables->input[family]);
    layout_done(&have);
    layout_done(&iptables->want[family]);
    return 0;
}

/* Where iptables-restore says which line it was, the line itself says more. Its own last line of a table is
 * named when the kernel refused the whole. */
static void name_line(const struct iptables *iptables, struct err *err)
{
    const char *at = strstr(err->text, "line"), *line = text_str(&iptables->input[iptables->family]);
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

static void note_failure(struct iptables *iptables)
{
    struct dataplane_restores *restores = &iptables->restores;
    if (iptables->step != STEP_RESTORE)
        return;
    restores->failures[iptables->family]++;
    restores->partial_failures[iptables->family] += !iptables->result.was_full;
}

static void on_program(void *context, int code, const struct err *failure,
                       const struct program_output *output)
{
    struct iptables *iptables = context;
    struct err err;
    iptables->program = NULL;
    if (iptables->step == STEP_RESTORE)
        iptables->result.was_disturbed |= rule_watch_end(iptables->watch);
    if (code < 0) {
        err = *failure;
        note_failure(iptables);
        if (iptables->step == STEP_RESTORE)
            name_line(iptables, &err);
    } else if (iptables->step == STEP_SAVE)
        code = take_saved(iptables, output->text, &err);
    else
        iptables->result.transactions++;
    if (code == 0) {
        iptables->family++;
        code = advance(iptables, &err);
    }
    if (code == -EINPROGRESS)
        return;
    struct dataplane_result result = iptables->result;
    forget_work(iptables);
    iptables->is_known = code == 0;
    if (code == 0 && result.was_full)
        result.was_disturbed |= rule_watch_remember(iptables->watch, result.transactions > 0);
    iptables->owner.finished(iptables->owner.context, code, &result, &err);
}

static int start(struct iptables *iptables, struct err *err)
{
    int family = iptables->family;
    bool is_save = iptables->step == STEP_SAVE;
    const char *name = program_names[family][iptables->step];
    const char *const save_argv[] = {name, NULL};
    const char *const restore_argv[] = {name, "--noflush", "--counters", "-w", LOCK_WAIT_S, NULL};
    const struct text *input = &iptables->input[family];
    if (!is_save) {
        memset(iptables->restores.last_rules[family], 0, sizeof(iptables->restores.last_rules[family]));
        count_input(text_str(input), iptables->restores.last_rules[family]);
    }
    int code = program_start(&iptables->program, iptables->owner.loop,
                             is_save ? iptables->save[family] : iptables->restore[family],
                             is_save ? save_argv : restore_argv, text_str(input), is_save ? 0 : input->len,
                             SAVED_MAX, iptables->timeout_ms, on_program, iptables, err);
    if (code < 0)
        return code;
    if (!is_save)
        iptables->result.was_disturbed |= rule_watch_begin(iptables->watch, program_pid(iptables->program));
    return -EINPROGRESS;
}

static bool is_needed(const struct iptables *iptables)
{
    return iptables->step == STEP_SAVE ? iptables->want[iptables->family].chains != NULL
                                       : iptables->input[iptables->family].len > 0;
}

/* Starts the next program that has something to do: -EINPROGRESS; 0 when there is none. */
static int advance(struct iptables *iptables, struct err *err)
{
    for (; iptables->step <= STEP_RESTORE; iptables->step++, iptables->family = 0)
        for (; iptables->family < FAMILY_COUNT; iptables->family++)
            if (is_needed(iptables))
                return start(iptables, err);
    return 0;
}

static int begin(struct iptables *iptables, enum step step, struct dataplane_result *ret, struct err *err)
{
    iptables->is_known = false;
    iptables->step = step;
    iptables->family = 0;
    int code = advance(iptables, err);
    if (code == -EINPROGRESS)
        return code;
    *ret = iptables->result;
    forget_work(iptables);
    iptables->is_known = code == 0;
    return code;
}

/* --- what the walk asks for --- */

static bool is_brief(const struct iptables *iptables)
{
    return iptables->endpoints > BRIEF_ENDPOINTS;
}

static int load(struct dataplane *dataplane, const struct dataplane_node *node,
                const struct entry *const *entries, size_t count, struct dataplane_result *ret,
                struct err *err)
{
    struct iptables *iptables = (struct iptables *)dataplane;
    iptables->result = (struct dataplane_result){.was_full = true};
    iptables->endpoints = 0;
    for (size_t i = 0; i < count; i++)
        iptables->endpoints += entries[i]->endpoint_count;
    iptables->counts = (struct counts){0};
    memset(iptables->restores.rules, 0, sizeof(iptables->restores.rules));
    for (int family = 0; family < FAMILY_COUNT; family++) {
        if (!iptables->has_family[family])
            continue;
        layout_build(node, entries, count, (enum family)family, is_brief(iptables), &iptables->want[family]);
        counts_add_layout(&iptables->counts, &iptables->want[family]);
        count_layout(&iptables->want[family], iptables->restores.rules[family]);
    }
    rule_watch_forget(iptables->watch);
    return begin(iptables, STEP_SAVE, ret, err);
}

static void write_changes(struct iptables *iptables, const struct dataplane_node *node, enum family family,
                          const struct dataplane_change *changes, size_t count)
{
    uint64_t olds[DATAPLANE_TABLE_COUNT] = {0};
    struct change change = {0};
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < count; i++) {
        struct portion old, next;
        arena_reset(&arena);
        portion_build(changes[i].old, family, node->view, is_brief(iptables), &arena, &old);
        portion_build(changes[i].next, family, node->view, is_brief(iptables), &arena, &next);
        change_add(&change, &old, &next);
        counts_replace(&iptables->counts, &old, &next);
        count_portion(&old, olds);
        count_portion(&next, iptables->restores.rules[family]);
    }
    for (int table = 0; table < DATAPLANE_TABLE_COUNT; table++)
        iptables->restores.rules[family][table] -= olds[table];
    change_write(&change, &iptables->input[family]);
    iptables->result.element_adds += change.adds;
    iptables->result.element_deletes += change.removes;
    change_done(&change);
    arena_done(&arena);
}

static int sync_(struct dataplane *dataplane, const struct dataplane_node *node,
                 const struct dataplane_change *changes, size_t count, struct dataplane_result *ret,
                 struct err *err)
{
    struct iptables *iptables = (struct iptables *)dataplane;
    if (!iptables->is_known)
        return err_set(err, ESTALE, "what iptables holds is not known");
    for (size_t i = 0; i < count; i++) {
        iptables->endpoints += changes[i].next ? changes[i].next->endpoint_count : 0;
        iptables->endpoints -= changes[i].old ? changes[i].old->endpoint_count : 0;
    }
    iptables->result = (struct dataplane_result){0};
    for (int family = 0; family < FAMILY_COUNT; family++)
        if (iptables->has_family[family])
            write_changes(iptables, node, (enum family)family, changes, count);
    return begin(iptables, STEP_RESTORE, ret, err);
}

static void render(const struct dataplane_node *node, const struct entry *const *entries, size_t count,
                   struct text *ret)
{
    uint64_t endpoints = 0;
    for (size_t i = 0; i < count; i++)
        endpoints += entries[i]->endpoint_count;
    for (int family = 0; family < FAMILY_COUNT; family++) {
        struct layout layout;
        layout_build(node, entries, count, (enum family)family, endpoints > BRIEF_ENDPOINTS, &layout);
        text_printf(ret, "# %s\n", family_name((enum family)family));
        layout_render(&layout, ret);
        layout_done(&layout);
    }
}

/* --- the small ones --- */

static int collect_delay_ms(const struct dataplane *dataplane)
{
    (void)dataplane;
    return -1;
}

static int watch_fd(const struct dataplane *dataplane)
{
    return rule_watch_fd(((const struct iptables *)dataplane)->watch);
}

static bool is_disturbed(struct dataplane *dataplane)
{
    return rule_watch_is_disturbed(((struct iptables *)dataplane)->watch);
}

static void count_elements(const struct dataplane *dataplane,
                           void (*visit)(void *context, const char *set, uint64_t count), void *context)
{
    counts_visit(&((const struct iptables *)dataplane)->counts, visit, context);
}

static int inspect(struct dataplane *dataplane, const struct dataplane_node *node, const struct entry *entry,
                   const struct frontend *frontend, const struct address *from, struct text *ret,
                   struct err *err)
{
    return inspect_frontend(entry, frontend, node->view, is_brief((struct iptables *)dataplane), from, ret,
                            err);
}

static const struct dataplane_restores *restores(const struct dataplane *dataplane)
{
    return &((const struct iptables *)dataplane)->restores;
}

const struct dataplane_ops iptables_dataplane = {
    .name = "iptables",
    .starts_programs = true,
    .is_of_iptables = true,
    .probe = probe,
    .open = open_,
    .close = close_,
    .load = load,
    .sync = sync_,
    .collect_delay_ms = collect_delay_ms,
    .watch_fd = watch_fd,
    .is_disturbed = is_disturbed,
    .count_elements = count_elements,
    .restores = restores,
    .render = render,
    .inspect = inspect,
};
