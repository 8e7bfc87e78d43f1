/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/rules/layout.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 96
#define NAME_MAX_PARSED 64 /* the kernel allows less than half of it */

void layout_init(struct layout *ret)
{
    *ret = (struct layout){0};
    arena_init(&ret->arena);
}

static size_t format_key(enum layout_table table, const char *name, char ret[KEY_MAX])
{
    return (size_t)snprintf(ret, KEY_MAX, "%s %s", layout_table_name(table), name);
}

static struct layout_chain *find(const struct layout *layout, const char *key, size_t len)
{
    struct layout_chain *chain;
    HASH_FIND(hh, layout->chains, key, len, chain);
    return chain;
}

static const struct layout_chain *find_like(const struct layout *layout, const struct layout_chain *like)
{
    return find(layout, like->key, strlen(like->key));
}

bool layout_has_chain(const struct layout *layout, enum layout_table table, const char *name)
{
    char key[KEY_MAX];
    return find(layout, key, format_key(table, name, key)) != NULL;
}

struct layout_chain *layout_chain(struct layout *layout, enum layout_table table, const char *name)
{
    char key[KEY_MAX];
    size_t len = format_key(table, name, key);
    struct layout_chain *chain = find(layout, key, len);
    if (chain)
        return chain;
    chain = arena_alloc(&layout->arena, sizeof(*chain));
    chain->key = arena_strdup(&layout->arena, key);
    chain->name = chain->key + strlen(layout_table_name(table)) + 1;
    chain->table = table;
    chain->is_ordered = true;
    chain->group = layout->group;
    HASH_ADD_KEYPTR(hh, layout->chains, chain->key, len, chain);
    return chain;
}

/* rule lives as long as the layout. */
static void add(struct layout *layout, struct layout_chain *chain, const char *rule)
{
    if (chain->count == chain->capacity) {
        uint32_t capacity = chain->capacity ? chain->capacity * 2 : 4;
        const char **rules = arena_array(&layout->arena, const char *, capacity);
        if (chain->count)
            memcpy(rules, chain->rules, chain->count * sizeof(*rules));
        chain->rules = rules;
        chain->capacity = capacity;
    }
    chain->rules[chain->count++] = rule;
}

void layout_add_rule(struct layout *layout, struct layout_chain *chain, const char *rule)
{
    add(layout, chain, arena_strdup(&layout->arena, rule));
}

void layout_printf(struct layout *layout, enum layout_table table, const char *chain, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(layout, layout_chain(layout, table, chain), arena_vprintf(&layout->arena, format, args));
    va_end(args);
}

void layout_add_rules(struct layout *layout, struct layout_chain *chain, const char *lines)
{
    char *rest = arena_strdup(&layout->arena, lines);
    for (char *line; (line = strsep(&rest, "\n"));)
        if (*line)
            add(layout, chain, line);
}

void layout_add_jumps(struct layout *layout, const struct own_rules *own)
{
    for (uint32_t i = 0; i < own->jump_count - own->foreign_jumps; i++) {
        struct layout_chain *chain = layout_chain(layout, own->jumps[i].table, own->jumps[i].from);
        chain->is_base = true;
        add(layout, chain, own->jumps[i].rule);
    }
}

static int chain_order(const struct layout_chain *a, const struct layout_chain *b)
{
    return a->table != b->table ? (int)a->table - (int)b->table : strcmp(a->name, b->name);
}

void layout_sort(struct layout *layout)
{
    HASH_SORT(layout->chains, chain_order);
}

void layout_done(struct layout *layout)
{
    HASH_CLEAR(hh, layout->chains);
    arena_done(&layout->arena);
}

enum { NO_TABLE = -2, OTHER_TABLE = -1 }; /* the latter as of layout_table_of */

/* "*nat", ":CHAIN POLICY [1:2]", "-A CHAIN rule", "COMMIT", comments. Counters ahead of a rule do not come
 * without -c. */
static int parse_line(struct layout *layout, char *line, int *table, struct err *err)
{
    if (*line == '*') {
        *table = layout_table_of(line + 1);
        return 0;
    }
    if (strcmp(line, "COMMIT") == 0)
        *table = NO_TABLE;
    if (*table == OTHER_TABLE || *line == '#' || *line == '\0' || strcmp(line, "COMMIT") == 0)
        return 0;
    char *name = *line == ':' ? line + 1 : strncmp(line, "-A ", 3) == 0 ? line + 3 : NULL;
    char *end = name ? strchr(name, ' ') : NULL;
    if (*table == NO_TABLE || !end || end - name >= NAME_MAX_PARSED)
        return err_set(err, EINVAL, "iptables-save printed \"%.60s\", which is neither chain nor rule", line);
    *end = '\0';
    struct layout_chain *chain = layout_chain(layout, (enum layout_table) * table, name);
    if (*line == '-')
        add(layout, chain, end + 1);
    return 0;
}

int layout_parse(const char *saved, struct layout *ret, struct err *err)
{
    layout_init(ret);
    char *rest = arena_strdup(&ret->arena, saved);
    int table = NO_TABLE, code = 0;
    for (char *line; code == 0 && (line = strsep(&rest, "\n"));)
        code = parse_line(ret, line, &table, err);
    if (code == 0 && table != NO_TABLE)
        code = err_set(err, EINVAL, "iptables-save ended within a table");
    layout_sort(ret);
    if (code < 0)
        layout_done(ret);
    return code;
}

void layout_begin_group(struct layout *layout)
{
    layout->group++;
}

/* --- what differs --- */

static int rule_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool same_rules(const char *const *a, const char *const *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

/* Sorts what may come in any order: have's order is lost by it, which nobody needs any more. */
static bool is_as_wanted(const struct layout_chain *have, const struct layout_chain *want)
{
    if (!have || have->count != want->count)
        return false;
    uint32_t loose = want->is_ordered ? 0 : want->count - want->tail;
    if (!want->is_ordered && loose > 0) { /* qsort wants a list, even of nothing */
        qsort(have->rules, loose, sizeof(*have->rules), rule_order);
        qsort(want->rules, loose, sizeof(*want->rules), rule_order);
    }
    return same_rules(have->rules, want->rules, want->count);
}

static bool has_rule(const struct layout_chain *chain, const char *rule)
{
    for (uint32_t i = 0; chain && i < chain->count; i++)
        if (strcmp(chain->rules[i], rule) == 0)
            return true;
    return false;
}

/* Rules in front of those of others, in our order. */
static uint32_t insert_jumps(const struct layout *have, const struct layout_chain *want, struct text *ret)
{
    const struct layout_chain *found = find_like(have, want);
    uint32_t added = 0;
    for (uint32_t i = want->count; i-- > 0;) {
        if (has_rule(found, want->rules[i]))
            continue;
        text_printf(ret, "-I %s %s\n", want->name, want->rules[i]);
        added++;
    }
    return added;
}

static const struct layout_chain *base_of(const struct layout *layout, const struct own_jump *jump)
{
    char key[KEY_MAX];
    return find(layout, key, format_key(jump->table, jump->from, key));
}

static void remove_jumps(const struct layout *have, const struct layout *want, enum layout_table table,
                         const struct own_rules *own, struct text *ret)
{
    for (uint32_t i = 0; i < own->jump_count; i++) {
        const struct own_jump *jump = &own->jumps[i];
        if (jump->table == table && has_rule(base_of(have, jump), jump->rule) &&
            !has_rule(base_of(want, jump), jump->rule))
            text_printf(ret, "-D %s %s\n", jump->from, jump->rule);
    }
}

/* Naming a chain empties it, and all are empty before the first is removed. */
static void remove_chains(const struct layout *have, const struct layout *want, enum layout_table table,
                          const struct own_rules *own, struct text *head, struct text *rules)
{
    for (const struct layout_chain *chain = have->chains; chain; chain = chain->hh.next) {
        if (chain->table != table || !own->has_chain(table, chain->name) || find_like(want, chain))
            continue;
        text_printf(head, ":%s - [0:0]\n", chain->name);
        text_printf(rules, "-X %s\n", chain->name);
    }
}

static uint32_t write_chain(const struct layout_chain *chain, struct text *head, struct text *rules)
{
    text_printf(head, ":%s - [0:0]\n", chain->name);
    for (uint32_t i = 0; i < chain->count; i++)
        text_printf(rules, "-A %s %s\n", chain->name, chain->rules[i]);
    return chain->count;
}

static void write_commit(enum layout_table table, struct text *head, struct text *rules, struct text *ret)
{
    if (head->len || rules->len)
        text_printf(ret, "*%s\n%s%sCOMMIT\n", layout_table_name(table), text_str(head), text_str(rules));
    text_done(head);
    text_done(rules);
}

static uint32_t table_difference(const struct layout *have, const struct layout *want,
                                 enum layout_table table, const struct own_rules *own, struct text *ret)
{
    struct text head = {0}, rules = {0};
    uint32_t added = 0;
    for (const struct layout_chain *chain = want->chains; chain; chain = chain->hh.next) {
        if (chain->table != table)
            continue;
        if (chain->is_base)
            added += insert_jumps(have, chain, &rules);
        else if (!is_as_wanted(find_like(have, chain), chain))
            added += write_chain(chain, &head, &rules);
    }
    remove_jumps(have, want, table, own, &rules);
    remove_chains(have, want, table, own, &head, &rules);
    write_commit(table, &head, &rules, ret);
    return added;
}

static int group_order(const void *a_, const void *b_)
{
    const struct layout_chain *a = *(const struct layout_chain *const *)a_;
    const struct layout_chain *b = *(const struct layout_chain *const *)b_;
    return a->group != b->group ? (a->group > b->group) - (a->group < b->group) : strcmp(a->name, b->name);
}

/* Chains of the table that have lacks and that nothing but a group leads to, by group. */
static const struct layout_chain **find_fresh(struct layout *have, const struct layout *want,
                                              enum layout_table table, uint32_t *ret_count)
{
    const struct layout_chain **fresh =
        arena_array(&have->arena, const struct layout_chain *, HASH_COUNT(want->chains) + 1);
    *ret_count = 0;
    for (const struct layout_chain *chain = want->chains; chain; chain = chain->hh.next)
        if (chain->table == table && !chain->is_base && (chain->group || chain->is_ordered) &&
            !find_like(have, chain))
            fresh[(*ret_count)++] = chain;
    qsort(fresh, *ret_count, sizeof(*fresh), group_order);
    return fresh;
}

/* The rules stay want's. */
static void note_chain(struct layout *have, const struct layout_chain *chain)
{
    struct layout_chain *noted = layout_chain(have, chain->table, chain->name);
    noted->rules = chain->rules;
    noted->count = noted->capacity = chain->count;
}

uint32_t layout_prepare(struct layout *have, const struct layout *want, uint32_t most, struct text *ret)
{
    uint32_t added = 0, count;
    for (int table = 0; table < TABLE_COUNT; table++) {
        const struct layout_chain **fresh = find_fresh(have, want, (enum layout_table)table, &count);
        struct text head = {0}, rules = {0};
        uint32_t written = 0;
        for (uint32_t i = 0; count > most && i < count; i++) {
            if (written >= most && fresh[i]->group != fresh[i - 1]->group) {
                write_commit((enum layout_table)table, &head, &rules, ret);
                written = 0;
            }
            added += write_chain(fresh[i], &head, &rules);
            note_chain(have, fresh[i]);
            written++;
        }
        write_commit((enum layout_table)table, &head, &rules, ret);
    }
    return added;
}

uint32_t layout_difference(const struct layout *have, const struct layout *want, const struct own_rules *own,
                           struct text *ret)
{
    uint32_t added = 0;
    for (int table = 0; table < TABLE_COUNT; table++)
        added += table_difference(have, want, (enum layout_table)table, own, ret);
    return added;
}

void layout_render(const struct layout *layout, struct text *ret)
{
    const struct layout_chain *chains = layout->chains;
    for (int table = 0; table < TABLE_COUNT; table++) {
        text_printf(ret, "*%s\n", layout_table_name((enum layout_table)table));
        for (const struct layout_chain *chain = chains; chain; chain = chain->hh.next)
            if ((int)chain->table == table)
                text_printf(ret, ":%s %s [0:0]\n", chain->name, chain->is_base ? "ACCEPT" : "-");
        for (const struct layout_chain *chain = chains; chain; chain = chain->hh.next)
            for (uint32_t i = 0; (int)chain->table == table && i < chain->count; i++)
                text_printf(ret, "-A %s %s\n", chain->name, chain->rules[i]);
        text_add(ret, "COMMIT\n");
    }
}
