/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/leftovers/iptables.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define MARK_CHAIN "KUBE-MARK-MASQ"
#define MASQUERADE_CHAIN "KUBE-POSTROUTING"
#define OWN_COMMENT "--comment \"fairlead: " /* of its rules in chains of kube-proxy's */
#define OWN_CHAIN "FAIRLEAD-CLUSTER-IPS"     /* of fairlead's mode iptables, beside kube-proxy's */
#define OWN_PORTALS "FAIRLEAD-PORTALS"       /* of its mode userspace */
#define OWN_MARKS "FAIRLEAD-IPVS"            /* of its mode ipvs, in mangle */
#define OWN_UNMARK "FAIRLEAD-UNMARK"

/* --- what is kube-proxy's --- */

struct span {
    const char *at;
    size_t len;
};

static struct span span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

static bool span_is(struct span span, const char *text)
{
    return span.len == strlen(text) && memcmp(span.at, text, span.len) == 0;
}

static bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

/* A chain, or the beginning of the names of many, and who makes it. */
struct known {
    const char *name;
    unsigned makers;
};

#define BOTH (IPTABLES_BY_IPTABLES | IPTABLES_BY_IPVS)

static const struct known nat_chains[] = {
    {"KUBE-SERVICES", BOTH},
    {"KUBE-NODEPORTS", IPTABLES_BY_IPTABLES},
    {MASQUERADE_CHAIN, BOTH},
    {MARK_CHAIN, BOTH},
    {"KUBE-PROXY-CANARY", IPTABLES_BY_IPTABLES},
    {"KUBE-NODE-PORT", IPTABLES_BY_IPVS},
    {"KUBE-LOAD-BALANCER", IPTABLES_BY_IPVS},
    {"FAIRLEAD-MASQUERADE", IPTABLES_BY_IPVS | IPTABLES_OWN},
    {"KUBE-PORTALS-CONTAINER", IPTABLES_BY_USERSPACE},
    {"KUBE-PORTALS-HOST", IPTABLES_BY_USERSPACE},
    {"KUBE-NODEPORT-CONTAINER", IPTABLES_BY_USERSPACE},
    {"KUBE-NODEPORT-HOST", IPTABLES_BY_USERSPACE},
    {NULL},
};

/* One chain for each service port, or for each of its endpoints, with a hash behind the prefix. */
static const struct known nat_prefixes[] = {
    {"KUBE-SVC-", IPTABLES_BY_IPTABLES},
    {"KUBE-SVL-", IPTABLES_BY_IPTABLES},
    {"KUBE-EXT-", IPTABLES_BY_IPTABLES},
    {"KUBE-SEP-", IPTABLES_BY_IPTABLES},
    {"KUBE-FW-", IPTABLES_BY_IPTABLES},
    {"KUBE-XLB-", IPTABLES_BY_OLD_ONES}, /* before 1.24 */
    {NULL},
};

static const struct known filter_chains[] = {
    {"KUBE-SERVICES", IPTABLES_BY_IPTABLES},
    {"KUBE-EXTERNAL-SERVICES", IPTABLES_BY_IPTABLES},
    {"KUBE-FORWARD", BOTH},
    {"KUBE-NODEPORTS", IPTABLES_BY_IPTABLES},
    {"KUBE-PROXY-FIREWALL", BOTH},
    {"KUBE-PROXY-CANARY", IPTABLES_BY_IPTABLES},
    {"KUBE-NODE-PORT", IPTABLES_BY_IPVS},
    {"KUBE-SOURCE-RANGES-FIREWALL", IPTABLES_BY_IPVS},
    {"KUBE-IPVS-FILTER", IPTABLES_BY_IPVS},
    {"KUBE-IPVS-OUT-FILTER", IPTABLES_BY_IPVS},
    {"KUBE-NODEPORT-NON-LOCAL", IPTABLES_BY_USERSPACE},
    {OWN_PORTALS, IPTABLES_BY_USERSPACE},
    {OWN_CHAIN, IPTABLES_BY_IPTABLES | IPTABLES_OWN},
    {NULL},
};

static const struct known mangle_chains[] = {
    {"KUBE-PROXY-CANARY", IPTABLES_BY_IPTABLES},
    {OWN_MARKS, IPTABLES_BY_IPVS | IPTABLES_OWN},
    {"FAIRLEAD-SOURCES", IPTABLES_BY_IPVS | IPTABLES_OWN},
    {OWN_UNMARK, IPTABLES_BY_IPVS | IPTABLES_OWN},
    {NULL},
};
static const struct known no_chains[] = {{NULL}};

static unsigned makers_of_listed(struct span name, const struct known *list, const struct known *prefixes)
{
    for (; list->name; list++)
        if (span_is(name, list->name))
            return list->makers;
    for (; prefixes->name; prefixes++)
        if (name.len > strlen(prefixes->name) && memcmp(name.at, prefixes->name, strlen(prefixes->name)) == 0)
            return prefixes->makers;
    return 0;
}

/* 0: somebody else's. */
static unsigned makers_of(struct span table, struct span chain)
{
    if (span_is(table, "nat"))
        return makers_of_listed(chain, nat_chains, nat_prefixes);
    if (span_is(table, "filter"))
        return makers_of_listed(chain, filter_chains, no_chains);
    return span_is(table, "mangle") ? makers_of_listed(chain, mangle_chains, no_chains) : 0;
}

static const char *const jump_comments[] = {
    "kubernetes service portals", "kubernetes externally-visible service portals",
    "kubernetes postrouting rules", "kubernetes forwarding rules", "kubernetes health check service ports",
    "kubernetes load balancer firewall",
    /* ipvs */
    "kubernetes health check rules", "kube-proxy firewall rules", "kubernetes ipvs access filter",
    /* userspace */
    "handle ClusterIPs; NOTE: this must be before the NodePort rules",
    "handle service NodePorts; NOTE: this must be the last rule in the chain",
    "Ensure that non-local NodePort traffic can flow",
    /* fairlead's userspace */
    "fairlead: service portals", "fairlead: what was led to the proxy", "fairlead: refused portals",
    /* fairlead's ipvs */
    "fairlead: marks for virtual servers", "fairlead: source ranges", "fairlead: marks have served", NULL};

static bool is_in_scope(struct iptables_scope scope, struct span table, struct span chain)
{
    unsigned makers = makers_of(table, chain);
    return (makers & scope.goes) && !(makers & scope.stays);
}

bool iptables_is_proxy_chain(const char *table, const char *chain)
{
    return makers_of(span_of(table), span_of(chain)) != 0;
}

bool iptables_is_own_layout(const char *table, const char *chain)
{
    return strcmp(table, "filter") == 0 && strcmp(chain, OWN_CHAIN) == 0;
}

bool iptables_is_own_portals(const char *table, const char *chain)
{
    return strcmp(table, "filter") == 0 && strcmp(chain, OWN_PORTALS) == 0;
}

bool iptables_is_own_marks(const char *table, const char *chain)
{
    return strcmp(table, "mangle") == 0 && strcmp(chain, OWN_MARKS) == 0;
}

/* --- lines and words --- */

static bool next_line(const char **at, struct span *ret)
{
    if (**at == '\0')
        return false;
    size_t len = strcspn(*at, "\n");
    *ret = (struct span){*at, len};
    *at += len + ((*at)[len] == '\n');
    return true;
}

/* A word as it stands, quotes and backslashes included (iptables, xtables_save_string: a value with anything
 * unusual in it is written in double quotes, with a backslash before quotes and backslashes). */
static bool next_word(struct span *line, struct span *ret)
{
    while (line->len && *line->at == ' ')
        *line = (struct span){line->at + 1, line->len - 1};
    bool is_quoted = false;
    size_t len = 0;
    for (; len < line->len && (is_quoted || line->at[len] != ' '); len++) {
        if (line->at[len] == '\\' && len + 1 < line->len)
            len++;
        else if (line->at[len] == '"')
            is_quoted = !is_quoted;
    }
    *ret = (struct span){line->at, len};
    *line = (struct span){line->at + len, line->len - len};
    return len > 0;
}

/* Whether a word says this text; kube-proxy's comments have nothing that is escaped. */
static bool word_says(struct span word, const char *text)
{
    if (word.len >= 2 && word.at[0] == '"' && word.at[word.len - 1] == '"')
        word = (struct span){word.at + 1, word.len - 2};
    return span_is(word, text);
}

static bool word_says_listed(struct span word, const char *const *list)
{
    for (; *list; list++)
        if (word_says(word, *list))
            return true;
    return false;
}

struct rule {
    struct span chain;
    struct span rest;   /* everything behind the chain's name */
    struct span target; /* what it leads to, where that may be a chain; len 0: nothing of the kind */
    bool is_plain; /* a jump with one of kube-proxy's comments, and no condition that kube-proxy's have not */
};

/* The conditions of the jumps of kube-proxy and of fairlead. */
static bool is_known_condition(struct span words[2])
{
    static const char *const conditions[][2] = {
        {"-m", "comment"},    {"-m", "conntrack"},
        {"--ctstate", "NEW"}, {"--ctstate", "INVALID,NEW,RELATED,UNTRACKED"},
        {"-m", "addrtype"},   {"--dst-type", "LOCAL"}};
    for (size_t i = 0; i < ARRAY_LEN(conditions); i++)
        if (span_is(words[0], conditions[i][0]) && span_is(words[1], conditions[i][1]))
            return true;
    return span_is(words[0], "--comment") && word_says_listed(words[1], jump_comments);
}

/* False when the line is no rule. A jump stands last in a rule and has nothing behind the chain's name, so
 * the last two words tell it from a comment that only reads like one. */
static bool parse_rule(struct span line, struct rule *ret)
{
    struct span word, pair[2] = {{0}};
    *ret = (struct rule){0};
    if (line.len && *line.at == '[' && !next_word(&line, &word))
        return false;
    if (!next_word(&line, &word) || !span_is(word, "-A") || !next_word(&line, &ret->chain))
        return false;
    ret->rest = line;
    ret->is_plain = true;
    bool has_comment = false;
    unsigned count = 0;
    for (; next_word(&line, &word); count++) {
        if (count >= 2 && count % 2 == 0) {
            ret->is_plain &= is_known_condition(pair);
            has_comment |= span_is(pair[0], "--comment");
        }
        pair[0] = pair[1];
        pair[1] = word;
    }
    if (count >= 2 && (span_is(pair[0], "-j") || span_is(pair[0], "-g")))
        ret->target = pair[1];
    ret->is_plain &= has_comment && count % 2 == 0 && span_is(pair[0], "-j");
    return true;
}

/* --- the removal --- */

struct chain {
    struct span name;
    bool is_borrowed; /* a rule of somebody else leads to it */
};

struct table {
    struct span name;
    struct iptables_scope scope;
    const char *end; /* of its lines */
    const char *lines;
    struct chain *chains; /* kube-proxy's */
    uint32_t count, capacity;
    bool keeps_masquerade;
    bool drops_forwarded; /* the policy of FORWARD */
};

/* Few chains are ever looked for by name (targets of other chains' rules): a walk will do. */
static struct chain *find_chain(struct table *table, struct span name)
{
    for (uint32_t i = 0; i < table->count; i++)
        if (span_equal(table->chains[i].name, name))
            return &table->chains[i];
    return NULL;
}

static void add_chain(struct table *table, struct span name)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 64;
        table->chains = xrealloc(table->chains, table->capacity * sizeof(*table->chains));
    }
    table->chains[table->count++] = (struct chain){.name = name};
}

static bool next_table_line(const struct table *table, const char **at, struct span *ret)
{
    return *at < table->end && next_line(at, ret);
}

/* Finds the lines of the next table that is whole. */
static bool find_table(const char **at, struct table *ret)
{
    struct span line;
    *ret = (struct table){0};
    while (next_line(at, &line)) {
        if (line.len && *line.at == '*') {
            ret->name = (struct span){line.at + 1, line.len - 1};
            ret->lines = *at;
        } else if (ret->lines && span_is(line, "COMMIT")) {
            ret->end = line.at;
            return true;
        }
    }
    return false;
}

static void find_chains(struct table *table)
{
    struct span line, name, policy;
    for (const char *at = table->lines; next_table_line(table, &at, &line);) {
        if (line.len == 0 || *line.at != ':')
            continue;
        line = (struct span){line.at + 1, line.len - 1};
        if (!next_word(&line, &name) || !next_word(&line, &policy))
            continue;
        if (is_in_scope(table->scope, table->name, name))
            add_chain(table, name);
        table->drops_forwarded |= span_is(name, "FORWARD") && span_is(policy, "DROP");
    }
}

/* The rules of other chains that lead to kube-proxy's: the next one, or false. */
static bool next_jump(struct table *table, const char **at, struct rule *ret, struct chain **ret_chain)
{
    struct span line;
    while (next_table_line(table, at, &line)) {
        if (!parse_rule(line, ret) || ret->target.len == 0 ||
            is_in_scope(table->scope, table->name, ret->chain))
            continue;
        *ret_chain = find_chain(table, ret->target);
        if (*ret_chain)
            return true;
    }
    return false;
}

static void find_borrowed(struct table *table)
{
    struct rule rule;
    struct chain *chain;
    for (const char *at = table->lines; next_jump(table, &at, &rule, &chain);)
        chain->is_borrowed |= !rule.is_plain;
    const struct chain *mark = find_chain(table, span_of(MARK_CHAIN));
    table->keeps_masquerade = mark && mark->is_borrowed;
}

static bool stays_whole(const struct table *table, struct span chain)
{
    return table->keeps_masquerade && (span_is(chain, MARK_CHAIN) || span_is(chain, MASQUERADE_CHAIN));
}

static void add_span(struct text *text, struct span span)
{
    text_add_bytes(text, span.at, span.len);
}

static void write_jumps(struct table *table, struct iptables_removal *ret)
{
    struct rule rule;
    struct chain *chain;
    for (const char *at = table->lines; next_jump(table, &at, &rule, &chain);) {
        if (!rule.is_plain || stays_whole(table, rule.target))
            continue;
        ret->leaves_forward_dropping |= table->drops_forwarded && span_is(rule.chain, "FORWARD");
        text_add(&ret->restore, "-D ");
        add_span(&ret->restore, rule.chain);
        add_span(&ret->restore, rule.rest);
        text_add(&ret->restore, "\n");
        ret->jumps++;
    }
}

static void write_kept(const struct table *table, struct iptables_removal *ret)
{
    for (uint32_t i = 0; i < table->count; i++) {
        const struct chain *chain = &table->chains[i];
        if (!chain->is_borrowed && !stays_whole(table, chain->name))
            continue;
        text_add(&ret->kept, ret->kept.len ? ", " : "");
        add_span(&ret->kept, chain->name);
    }
}

/* Naming a chain empties it, and all are empty before the first is deleted: so no order among them matters.
 */
static void write_removal(struct table *table, struct iptables_removal *ret)
{
    struct text *restore = &ret->restore;
    text_add(restore, "*");
    add_span(restore, table->name);
    text_add(restore, "\n");
    for (uint32_t i = 0; i < table->count; i++) {
        if (stays_whole(table, table->chains[i].name))
            continue;
        text_add(restore, ":");
        add_span(restore, table->chains[i].name);
        text_add(restore, " - [0:0]\n");
    }
    write_jumps(table, ret);
    for (uint32_t i = 0; i < table->count; i++) {
        if (table->chains[i].is_borrowed || stays_whole(table, table->chains[i].name))
            continue;
        text_add(restore, "-X ");
        add_span(restore, table->chains[i].name);
        text_add(restore, "\n");
        ret->chains++;
    }
    text_add(restore, "COMMIT\n");
}

bool iptables_next_removal(const char **at, struct iptables_scope scope, struct iptables_removal *ret)
{
    struct table table;
    *ret = (struct iptables_removal){0};
    if (!find_table(at, &table))
        return false;
    table.scope = scope;
    ret->table = table.name.at;
    ret->table_len = table.name.len;
    find_chains(&table);
    find_borrowed(&table);
    write_kept(&table, ret);
    if (table.count)
        write_removal(&table, ret);
    free(table.chains);
    return true;
}

static bool declares(struct span line, const char *chain)
{
    struct span name;
    if (line.len == 0 || *line.at != ':')
        return false;
    line = (struct span){line.at + 1, line.len - 1};
    return next_word(&line, &name) && span_is(name, chain);
}

struct iptables_scope iptables_own_scope(const char *saved)
{
    struct span line;
    struct rule rule;
    struct iptables_scope scope = {0};
    bool has_layout = false, has_marks = false, wrote_last = false;
    while (next_line(&saved, &line)) {
        has_layout |= declares(line, OWN_CHAIN);
        has_marks |= declares(line, OWN_MARKS);
        if (declares(line, OWN_PORTALS))
            scope.goes |= IPTABLES_BY_USERSPACE;
        wrote_last |= parse_rule(line, &rule) && span_is(rule.chain, "KUBE-SERVICES") &&
                      memmem(line.at, line.len, OWN_COMMENT, strlen(OWN_COMMENT));
    }
    if (has_layout || has_marks)
        scope.goes |= IPTABLES_OWN;
    if (wrote_last) /* by whichever mode: of kube-proxy's there is nothing in force */
        scope.goes |= (has_layout ? IPTABLES_BY_IPTABLES : 0u) | (has_marks ? IPTABLES_BY_IPVS : 0u);
    return scope;
}

bool iptables_is_of_proxys_ipvs(const char *saved)
{
    struct span line;
    struct rule rule;
    bool is_of_ipvs = false;
    while (next_line(&saved, &line))
        if (parse_rule(line, &rule) && span_is(rule.chain, "KUBE-SERVICES")) {
            if (memmem(line.at, line.len, OWN_COMMENT, strlen(OWN_COMMENT)))
                return false;
            is_of_ipvs |= span_is(rule.target, "KUBE-NODE-PORT");
        }
    return is_of_ipvs;
}

bool iptables_own_tag(const char *saved, uint32_t *ret_tag, uint32_t *ret_tag_mask)
{
    static const char option[] = "--mark ";
    struct span line;
    struct rule rule;
    while (next_line(&saved, &line)) {
        if (!parse_rule(line, &rule) || !span_is(rule.chain, OWN_UNMARK))
            continue;
        const char *at = memmem(rule.rest.at, rule.rest.len, option, strlen(option));
        char *end;
        if (!at)
            continue;
        *ret_tag = (uint32_t)strtoul(at + strlen(option), &end, 16);
        *ret_tag_mask = *end == '/' ? (uint32_t)strtoul(end + 1, NULL, 16) : 0;
        if (*ret_tag_mask != 0) /* or every mark would do */
            return true;
    }
    return false;
}

void iptables_removal_done(struct iptables_removal *removal)
{
    text_done(&removal->restore);
    text_done(&removal->kept);
}
