/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/iptables/inspect.h"

#include "sys/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 3000 /* for all chains together: nothing else goes on meanwhile */
#define ASKED_MAX 64    /* chains; an endpoint has one each */
#define OUTPUT_MAX (64u << 20)
#define LOCK_WAIT_S "1"

/* --- what should be there --- */

static const struct own_chain *find_own(const struct portion *portion, const char *name)
{
    for (uint32_t i = 0; i < portion->chain_count; i++)
        if (strcmp(portion->chains[i].name, name) == 0)
            return &portion->chains[i];
    return NULL;
}

/* A service that has this frontend alone says which chains it needs; what else uses these chains shows in
 * their rules only with the whole service. */
void inspect_select(const struct entry *entry, const struct frontend *frontend, const struct node_view *view,
                    bool is_brief, struct arena *arena, struct portion *ret)
{
    struct entry only = *entry;
    struct frontend wanted = *frontend;
    struct portion whole;
    wanted.is_shadowed = false;
    only.frontends = &wanted;
    only.frontend_count = 1;
    only.health_check_node_port = 0;
    if (frontend->kind != FRONTEND_CLUSTER_IP)
        only.cluster_ip_count = 0;
    portion_build(&only, frontend->family, view, is_brief, arena, ret);
    portion_build(entry, frontend->family, view, is_brief, arena, &whole);
    for (uint32_t i = 0; i < ret->chain_count; i++) {
        const struct own_chain *chain = find_own(&whole, ret->chains[i].name);
        if (chain)
            ret->chains[i] = *chain;
    }
}

/* --- what is there --- */

static const struct layout_chain *find_chain(const struct layout *layout, const char *table, const char *name)
{
    const struct layout_chain *chain;
    char key[128];
    snprintf(key, sizeof(key), "%s %s", table, name);
    HASH_FIND(hh, layout->chains, key, strlen(key), chain);
    return chain;
}

static bool has_rule(const struct layout_chain *chain, const char *rule)
{
    for (uint32_t i = 0; chain && i < chain->count; i++)
        if (strcmp(chain->rules[i], rule) == 0)
            return true;
    return false;
}

static bool compare_shared(const struct layout *have, const struct shared_rule *want, struct text *ret)
{
    const char *table = shared_chain_table(want->chain), *name = shared_chain_name(want->chain);
    bool is_there = has_rule(find_chain(have, table, name), want->rule);
    text_printf(ret, "  %s%s %s: %s\n", is_there ? "" : "MISSING in the kernel: ", table, name, want->rule);
    return is_there;
}

static bool compare_own(const struct layout *have, const struct own_chain *want, struct text *ret)
{
    const struct layout_chain *chain = find_chain(have, "nat", want->name);
    struct text held = {0};
    if (!chain) {
        text_printf(ret, "  MISSING in the kernel: nat %s\n", want->name);
        return false;
    }
    for (uint32_t i = 0; i < chain->count; i++)
        text_printf(&held, "%s\n", chain->rules[i]);
    bool is_same = strcmp(text_str(&held), want->rules) == 0;
    for (uint32_t i = 0; i < chain->count; i++)
        text_printf(ret, "  nat %s: %s\n", want->name, chain->rules[i]);
    if (!is_same)
        text_printf(ret, "  nat %s DIFFERS from what fairlead wants:\n", want->name);
    for (const char *line = want->rules; !is_same && *line; line = strchr(line, '\n') + 1)
        text_printf(ret, "    %.*s\n", (int)(strchr(line, '\n') - line), line);
    text_done(&held);
    return is_same;
}

bool inspect_compare(const struct layout *have, const struct portion *want, struct text *ret)
{
    bool agrees = true;
    for (uint32_t i = 0; i < want->shared_count; i++)
        agrees &= compare_shared(have, &want->shared[i], ret);
    for (uint32_t i = 0; i < want->chain_count && i < ASKED_MAX; i++)
        agrees &= compare_own(have, &want->chains[i], ret);
    if (want->chain_count > ASKED_MAX)
        text_printf(ret, "  %u more chains of endpoints are not asked for\n", want->chain_count - ASKED_MAX);
    return agrees;
}

/* --- asking --- */

/* One question, on a loop of its own: the answer is wanted before anything else goes on. */
struct asking {
    uv_loop_t loop;
    const char *program;
    char path[PATH_MAX];
    uint64_t until_ms;
    struct text saved; /* as iptables-save would print it */
    int code;
    struct err *err;
};

static void on_listed(void *context, int code, const struct err *failure, const struct program_output *output)
{
    struct asking *asking = context;
    asking->code = code;
    if (code < 0) {
        *asking->err = *failure;
        return;
    }
    /* "-N CHAIN" is what -S has for ":CHAIN - [0:0]"; its rules are the same. */
    for (const char *line = output->text; *line;) {
        const char *end = strchrnul(line, '\n');
        if (strncmp(line, "-N ", 3) == 0)
            text_printf(&asking->saved, ":%.*s - [0:0]\n", (int)(end - line - 3), line + 3);
        else if (strncmp(line, "-A ", 3) == 0)
            text_printf(&asking->saved, "%.*s\n", (int)(end - line), line);
        line = *end ? end + 1 : end;
    }
}

/* In the words of both backends. */
static bool says_no_such_chain(const struct err *err)
{
    return strstr(err->text, "No chain/target/match by that name") || strstr(err->text, "does not exist");
}

static int ask(struct asking *asking, const char *table, const char *chain)
{
    const char *const argv[] = {asking->program, "-w", LOCK_WAIT_S, "-t", table, "-S", chain, NULL};
    struct program *program;
    uv_update_time(&asking->loop);
    uint64_t now_ms = uv_now(&asking->loop);
    if (now_ms >= asking->until_ms)
        return err_set(asking->err, ETIMEDOUT, "%s took longer than %u ms to list the service's chains",
                       asking->program, TIMEOUT_MS);
    text_printf(&asking->saved, "*%s\n", table);
    asking->code = 0;
    const struct program_request request = {.path = asking->path,
                                            .argv = argv,
                                            .output_max = OUTPUT_MAX,
                                            .timeout_ms = (unsigned)(asking->until_ms - now_ms),
                                            .done = on_listed,
                                            .context = asking};
    int code = program_start(&program, &asking->loop, &request, asking->err);
    if (code < 0)
        return code;
    uv_run(&asking->loop, UV_RUN_DEFAULT);
    text_add(&asking->saved, "COMMIT\n");
    return asking->code == -EIO && says_no_such_chain(asking->err) ? 0 : asking->code;
}

static int ask_all(struct asking *asking, const struct portion *want)
{
    bool is_asked[SHARED_COUNT] = {false};
    int code = 0;
    for (uint32_t i = 0; i < want->shared_count && code == 0; i++) {
        enum shared_chain chain = want->shared[i].chain;
        if (!is_asked[chain])
            code = ask(asking, shared_chain_table(chain), shared_chain_name(chain));
        is_asked[chain] = true;
    }
    for (uint32_t i = 0; i < want->chain_count && i < ASKED_MAX && code == 0; i++)
        code = ask(asking, "nat", want->chains[i].name);
    return code;
}

static int list(const struct portion *want, enum family family, struct layout *ret, struct err *err)
{
    struct asking asking = {.program = family == FAMILY_IPV4 ? "iptables" : "ip6tables", .err = err};
    if (!program_find(asking.program, asking.path))
        return err_set(err, ENOENT, "there is no %s in $PATH", asking.program);
    int code = uv_loop_init(&asking.loop);
    if (code < 0)
        return err_set(err, -code, "no event loop to run %s on: %s", asking.program, uv_strerror(code));
    asking.until_ms = uv_now(&asking.loop) + TIMEOUT_MS;
    code = ask_all(&asking, want);
    if (code == 0)
        code = layout_parse(text_str(&asking.saved), ret, err);
    text_done(&asking.saved);
    uv_loop_close(&asking.loop);
    return code;
}

/* --- clients that stick to an endpoint: net/netfilter/xt_recent.c keeps a list for each --- */

#define RECENT "/proc/net/xt_recent/"
#define RECENT_MOST "/sys/module/xt_recent/parameters/ip_list_tot"

/* Counts the lines "src=ADDRESS ttl: ..." of an endpoint's list. */
static uint32_t count_clients(const char *chain, const struct address *from, bool *ret_has_from)
{
    char path[sizeof(RECENT) + CHAIN_NAME_MAX], word[64];
    uint32_t count = 0;
    snprintf(path, sizeof(path), RECENT "%s", chain);
    FILE *list = fopen(path, "re");
    if (!list)
        return 0; /* nobody remembers anybody for it */
    while (fscanf(list, "src=%63s%*[^\n]\n", word) == 1) {
        struct address client;
        count++;
        if (from && address_parse(word, &client, NULL) == 0 && address_cmp(&client, from) == 0)
            *ret_has_from = true;
    }
    fclose(list);
    return count;
}

static void say_affinity(const struct portion *want, const struct address *from, struct text *ret)
{
    static const char target[] = "--to-destination ";
    uint32_t clients = 0, most;
    struct text stuck = {0};
    for (uint32_t i = 0; i < want->chain_count; i++) {
        const char *endpoint = strstr(want->chains[i].rules, target);
        bool has_from = false;
        if (!endpoint)
            continue;
        clients += count_clients(want->chains[i].name, from, &has_from);
        endpoint += strlen(target);
        if (has_from)
            text_printf(&stuck, ", this one for %.*s", (int)strcspn(endpoint, "\n"), endpoint);
    }
    text_printf(ret, "  affinity: %u client%s remembered%s", clients, clients == 1 ? " is" : "s are",
                text_str(&stuck));
    FILE *limit = fopen(RECENT_MOST, "re");
    if (limit && fscanf(limit, "%u", &most) == 1)
        text_printf(ret, ", at most %u for each endpoint (ip_list_tot of xt_recent)", most);
    if (limit)
        fclose(limit);
    text_add(ret, "\n");
    text_done(&stuck);
}

int inspect_frontend(const struct entry *entry, const struct frontend *frontend, const struct node_view *view,
                     bool is_brief, const struct address *from, struct text *ret, struct err *err)
{
    struct portion want;
    struct layout have;
    struct arena arena;
    arena_init(&arena);
    inspect_select(entry, frontend, view, is_brief, &arena, &want);
    int code = list(&want, frontend->family, &have, err);
    if (code == 0) {
        code = inspect_compare(&have, &want, ret) ? 0 : 1;
        if (frontend->affinity_seconds && frontend->verdict == FRONTEND_FORWARD)
            say_affinity(&want, from, ret);
        layout_done(&have);
    }
    arena_done(&arena);
    return code;
}
