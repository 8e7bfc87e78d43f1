/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/userspace/portals_change.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

/* The lines of a text, without their newlines, inside a copy of it. */
struct lines {
    char *copy;
    const char **list;
    size_t count;
};

static struct lines lines_of(const struct text *text)
{
    struct lines lines = {.copy = xstrdup(text_str(text))};
    size_t most = 0;
    for (const char *at = lines.copy; (at = strchr(at, '\n')); at++)
        most++;
    lines.list = xcalloc(most + 1, sizeof(*lines.list));
    char *rest = lines.copy;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (*line)
            lines.list[lines.count++] = line;
    return lines;
}

static void lines_done(struct lines *lines)
{
    free(lines->list);
    free(lines->copy);
}

static bool has_line(const struct lines *lines, const char *line)
{
    for (size_t i = 0; i < lines->count; i++)
        if (strcmp(lines->list[i], line) == 0)
            return true;
    return false;
}

static void remove_all(const struct lines *lines, const char *chain, struct text *ret)
{
    for (size_t i = 0; i < lines->count; i++)
        text_printf(ret, "-D %s %s\n", chain, lines->list[i]);
}

/* In front of everything, in their order, without those that but has. */
static void insert_all(const struct lines *lines, const struct lines *but, const char *chain,
                       struct text *ret)
{
    for (size_t i = lines->count; i-- > 0;)
        if (!but || !has_line(but, lines->list[i]))
            text_printf(ret, "-I %s %s\n", chain, lines->list[i]);
}

static void add_chain(struct portals_change *change, enum family family, enum portal_chain chain,
                      const struct portals *old, const struct portals *next)
{
    const char *name = portals_chain_name(chain);
    struct lines was = lines_of(&old->rules[family][chain]), is = lines_of(&next->rules[family][chain]);
    bool is_nat = portals_chain_table(chain) == TABLE_NAT;
    struct text *first = is_nat ? &change->nat[family] : &change->before[family];
    remove_all(&was, name, first);
    if (!is_nat)
        insert_all(&was, &is, name, first);
    insert_all(&is, NULL, name, first);
    for (size_t i = 0; !is_nat && i < was.count; i++)
        if (!has_line(&is, was.list[i]))
            text_printf(&change->after[family], "-D %s %s\n", name, was.list[i]);
    change->adds += (uint32_t)is.count;
    change->removes += (uint32_t)was.count;
    change->rules[family][is_nat ? DATAPLANE_TABLE_NAT : DATAPLANE_TABLE_FILTER] +=
        (int64_t)is.count - (int64_t)was.count;
    lines_done(&was);
    lines_done(&is);
}

void portals_change_add(struct portals_change *change, const struct portals *old, const struct portals *next)
{
    for (int family = 0; family < FAMILY_COUNT; family++)
        for (int chain = 0; chain < PORTAL_CHAIN_COUNT; chain++)
            add_chain(change, (enum family)family, (enum portal_chain)chain, old, next);
}

static void write_table(enum layout_table table, const struct text *rules, struct text *ret)
{
    if (rules->len)
        text_printf(ret, "*%s\n%sCOMMIT\n", layout_table_name(table), text_str(rules));
}

void portals_change_write(const struct portals_change *change, struct writer_change *ret)
{
    for (int family = 0; family < FAMILY_COUNT; family++) {
        write_table(TABLE_FILTER, &change->before[family], &ret->input[family]);
        write_table(TABLE_NAT, &change->nat[family], &ret->input[family]);
        write_table(TABLE_FILTER, &change->after[family], &ret->input[family]);
        for (int table = 0; table < DATAPLANE_TABLE_COUNT; table++)
            ret->rules[family][table] += change->rules[family][table];
    }
    ret->adds += change->adds;
    ret->removes += change->removes;
}

bool portals_change_is_empty(const struct portals_change *change)
{
    return change->adds + change->removes == 0;
}

void portals_change_done(struct portals_change *change)
{
    for (int family = 0; family < FAMILY_COUNT; family++) {
        text_done(&change->before[family]);
        text_done(&change->nat[family]);
        text_done(&change->after[family]);
    }
}
