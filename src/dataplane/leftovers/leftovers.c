/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/leftovers/leftovers.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "dataplane/leftovers/netlink.h"
#include "sys/iptables.h"
#include "sys/program.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define SAVED_MAX                                                                                            \
    ((size_t)256 << 20)    /* 10,000 services of 10 endpoints are about 60 MiB of iptables-save              \
                            */
#define RESTORE_ATTEMPTS 3 /* somebody may change the tables between the reading and the writing */
#define SET_NAME_SIZE 32   /* IPSET_MAXNAMELEN */
#define SETS_ATTEMPTS 20
#define IPVS_AGAIN_MS 10000
#define OWN_SET "FAIRLEAD-INSIDE"
#define SETS_AGAIN_MS 250 /* nf_tables lets go of a deleted rule's set some time after the commit */

enum backend { BACKEND_NFT, BACKEND_LEGACY };

static const struct {
    const char *name, *program;
} backends[] = {
    [BACKEND_NFT] = {"iptables-nft", "xtables-nft-multi"},
    [BACKEND_LEGACY] = {"iptables-legacy", "xtables-legacy-multi"},
};

static const struct {
    const char *name, *save, *restore, *legacy_tables;
} families[] = {
    [FAMILY_IPV4] = {"IPv4", "iptables-save", "iptables-restore", "/proc/net/ip_tables_names"},
    [FAMILY_IPV6] = {"IPv6", "ip6tables-save", "ip6tables-restore", "/proc/net/ip6_tables_names"},
};

struct step {
    void (*run)(struct leftovers *leftovers);
    enum backend backend;
    enum family family;
};

struct leftovers {
    struct leftovers_options options;
    uv_loop_t *loop;
    uv_timer_t timer;
    const struct step *step;
    unsigned attempts, failures;
    struct program *program; /* that runs now */
    char path[PATH_MAX];     /* of the step's program */
    struct text removal, kept;
    uint32_t jumps, chains;
    bool leaves_forward_dropping;
    bool is_ipvs_taken;     /* kube-proxy has come to fairlead's mode ipvs by its own */
    uint32_t tag, tag_mask; /* of fairlead's marks; 0: it has none here */
};

/* --- from step to step --- */

static void on_step(uv_timer_t *timer)
{
    struct leftovers *leftovers = timer->data;
    leftovers->step->run(leftovers);
}

static void run_step(struct leftovers *leftovers, unsigned delay_ms)
{
    uv_timer_start(&leftovers->timer, on_step, delay_ms, 0);
}

static void next_step(struct leftovers *leftovers)
{
    leftovers->step++;
    leftovers->attempts = 0;
    run_step(leftovers, 0);
}

static void say(struct leftovers *leftovers, enum leftovers_report kind, const struct text *sentence)
{
    leftovers->failures += kind == LEFTOVERS_FAILED;
    leftovers->options.report(leftovers->options.context, kind, text_str(sentence));
}

#define SAY(leftovers, kind, ...)                                                                            \
    do {                                                                                                     \
        struct text sentence_ = {0};                                                                         \
        text_printf(&sentence_, __VA_ARGS__);                                                                \
        say((leftovers), (kind), &sentence_);                                                                \
        text_done(&sentence_);                                                                               \
    } while (0)

static void on_closed(uv_handle_t *handle)
{
    struct leftovers *leftovers = handle->data;
    text_done(&leftovers->removal);
    text_done(&leftovers->kept);
    free(leftovers);
}

static void finish(struct leftovers *leftovers)
{
    leftovers->options.done(leftovers->options.context, leftovers->failures);
    uv_close((uv_handle_t *)&leftovers->timer, on_closed);
}

/* --- kube-proxy's own tables --- */

static void remove_table(struct leftovers *leftovers)
{
    enum family family = leftovers->step->family;
    bool was_there;
    struct err err;
    if (netlink_remove_table(family, &was_there, &err) < 0)
        SAY(leftovers, LEFTOVERS_FAILED, "%s", err.text);
    else if (was_there)
        SAY(leftovers, LEFTOVERS_REMOVED, "kube-proxy's nftables table for %s is removed",
            families[family].name);
    next_step(leftovers);
}

/* --- iptables --- */

static void fail_iptables(struct leftovers *leftovers, const char *reason)
{
    const struct step *step = leftovers->step;
    SAY(leftovers, LEFTOVERS_FAILED, "%s: what kube-proxy may have left in %s for %s stays", reason,
        backends[step->backend].name, families[step->family].name);
    next_step(leftovers);
}

static void start_program(struct leftovers *leftovers, const char *const *argv, const struct text *input,
                          program_done_fn *done)
{
    struct err err;
    const struct program_request request = {.name = argv[1],
                                            .path = leftovers->path,
                                            .argv = argv,
                                            .input = text_str(input),
                                            .input_len = input->len,
                                            .output_max = SAVED_MAX,
                                            .timeout_ms = leftovers->options.program_ms,
                                            .done = done,
                                            .context = leftovers};
    int code = program_start(&leftovers->program, leftovers->loop, &request, &err);
    if (code < 0)
        fail_iptables(leftovers, err.text);
}

static void report_restored(struct leftovers *leftovers)
{
    const struct step *step = leftovers->step;
    const char *backend = backends[step->backend].name, *family = families[step->family].name;
    if (leftovers->jumps || leftovers->chains)
        SAY(leftovers, LEFTOVERS_REMOVED,
            "the %u chains of %s and %u jumps to them are removed from %s for %s", leftovers->chains,
            leftovers->options.scope == LEFTOVERS_OF_FAIRLEAD ? "fairlead's other modes" : "kube-proxy",
            leftovers->jumps, backend, family);
    if (leftovers->kept.len)
        SAY(leftovers, LEFTOVERS_NOTICE, "%s of %s for %s stay, because rules of others lead there",
            text_str(&leftovers->kept), backend, family);
    if (leftovers->leaves_forward_dropping)
        SAY(leftovers, LEFTOVERS_NOTICE,
            "%s's FORWARD for %s has the policy DROP, and kube-proxy's rules there, which accepted traffic "
            "of "
            "Services, are gone: a rule of yours has to accept it",
            backend, family);
}

static void on_restored(void *context, int code, const struct err *err, const struct program_output *output)
{
    struct leftovers *leftovers = context;
    (void)output;
    leftovers->program = NULL;
    if (code == -EIO && ++leftovers->attempts < RESTORE_ATTEMPTS) {
        run_step(leftovers, 0);
        return;
    }
    if (code < 0) {
        fail_iptables(leftovers, err->text);
        return;
    }
    report_restored(leftovers);
    next_step(leftovers);
}

/* Which backend the host's iptables-restore is of: the one that serves, in the modes that have rules there.
 * Where that cannot be told (a wrapper), either may. */
static bool is_serving(const struct step *step)
{
    char path[PATH_MAX], real[PATH_MAX];
    if (!program_find(families[step->family].restore, path) || !realpath(path, real))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(backends); i++)
        if (strcmp(strrchr(real, '/') + 1, backends[i].program) == 0)
            return i == step->backend;
    return true;
}

/* Of the mode that serves, nothing; but what lies in the other backend is no part of it. */
static struct iptables_scope decide_scope(struct leftovers *leftovers, const char *saved)
{
    struct iptables_scope scope = {.goes = IPTABLES_BY_ANYBODY};
    if (leftovers->options.scope == LEFTOVERS_OF_FAIRLEAD) {
        scope = iptables_own_scope(saved);
        leftovers->is_ipvs_taken |= iptables_is_of_proxys_ipvs(saved);
        iptables_own_tag(saved, &leftovers->tag, &leftovers->tag_mask);
    }
    if (is_serving(leftovers->step))
        scope.stays = leftovers->options.serving;
    return scope;
}

static void take_removals(struct leftovers *leftovers, const char *saved)
{
    struct iptables_removal removal;
    const struct iptables_scope scope = decide_scope(leftovers, saved);
    text_done(&leftovers->removal);
    text_done(&leftovers->kept);
    leftovers->removal = leftovers->kept = (struct text){0};
    leftovers->jumps = leftovers->chains = 0;
    leftovers->leaves_forward_dropping = false;
    while (iptables_next_removal(&saved, scope, &removal)) {
        text_add(&leftovers->removal, text_str(&removal.restore));
        if (removal.kept.len)
            text_printf(&leftovers->kept, "%s%s", leftovers->kept.len ? ", " : "", text_str(&removal.kept));
        leftovers->leaves_forward_dropping |= removal.leaves_forward_dropping;
        leftovers->jumps += removal.jumps;
        leftovers->chains += removal.chains;
        iptables_removal_done(&removal);
    }
}

static void on_saved(void *context, int code, const struct err *err, const struct program_output *output)
{
    struct leftovers *leftovers = context;
    const struct step *step = leftovers->step;
    leftovers->program = NULL;
    if (code < 0) {
        fail_iptables(leftovers, err->text);
        return;
    }
    take_removals(leftovers, output->text);
    if (leftovers->removal.len == 0) {
        next_step(leftovers);
        return;
    }
    const char *argv[] = {backends[step->backend].program, families[step->family].restore, "--noflush",
                          "--wait=5", NULL};
    start_program(leftovers, argv, &leftovers->removal, on_restored);
}

/* The kernel's list of the tables that somebody made with the legacy backend; reading it makes none, which
 * `iptables-legacy -t nat -S` would do. */
static bool has_legacy_tables(enum family family)
{
    char line[64];
    bool is_there = false;
    FILE *file = fopen(families[family].legacy_tables, "re");
    while (file && fgets(line, sizeof(line), file))
        is_there |=
            strcmp(line, "nat\n") == 0 || strcmp(line, "filter\n") == 0 || strcmp(line, "mangle\n") == 0;
    if (file)
        fclose(file);
    return is_there;
}

/* In the nft backend kube-proxy's chains were seen; what the legacy tables hold, only the program could tell.
 */
static void miss_program(struct leftovers *leftovers)
{
    const struct step *step = leftovers->step;
    const char *program = backends[step->backend].program, *family = families[step->family].name;
    if (step->backend == BACKEND_NFT)
        SAY(leftovers, LEFTOVERS_FAILED,
            "kube-proxy's chains of iptables-nft for %s stay: there is no program %s here", family, program);
    else
        SAY(leftovers, LEFTOVERS_NOTICE,
            "whether kube-proxy left chains in iptables-legacy for %s is not known: there is no program %s "
            "here",
            family, program);
    next_step(leftovers);
}

static bool is_of_iptables_or_userspace(const char *table, const char *chain)
{
    return iptables_is_own_layout(table, chain) || iptables_is_own_portals(table, chain);
}

static bool is_of_iptables_or_ipvs(const char *table, const char *chain)
{
    return iptables_is_own_layout(table, chain) || iptables_is_own_marks(table, chain);
}

static bool is_of_userspace_or_ipvs(const char *table, const char *chain)
{
    return iptables_is_own_portals(table, chain) || iptables_is_own_marks(table, chain);
}

static bool is_own_chain(const char *table, const char *chain)
{
    return is_of_iptables_or_userspace(table, chain) || iptables_is_own_marks(table, chain);
}

/* Of ours there is a set that kube-proxy has not. */
static bool is_ipvs_to_go(const struct leftovers *leftovers)
{
    if (leftovers->options.serving & IPTABLES_BY_IPVS)
        return false;
    return leftovers->options.scope == LEFTOVERS_ALL || (netlink_has_ipsets() && netlink_has_ipset(OWN_SET));
}

/* What tells that there is something to remove; or, where that is in IPVS, whose it is by now. */
static iptables_chain_fn *wanted_chain(const struct leftovers *leftovers)
{
    unsigned serving = is_serving(leftovers->step) ? leftovers->options.serving : 0;
    if (leftovers->options.scope != LEFTOVERS_OF_FAIRLEAD || is_ipvs_to_go(leftovers))
        return iptables_is_proxy_chain;
    return serving & IPTABLES_BY_IPTABLES    ? is_of_userspace_or_ipvs
           : serving & IPTABLES_BY_USERSPACE ? is_of_iptables_or_ipvs
           : serving & IPTABLES_BY_IPVS      ? is_of_iptables_or_userspace
                                             : is_own_chain;
}

static void clean_iptables(struct leftovers *leftovers)
{
    const struct step *step = leftovers->step;
    bool is_there = true;
    struct err err;
    if (step->backend == BACKEND_NFT &&
        iptables_nft_has_chain(step->family, wanted_chain(leftovers), &is_there, &err) < 0) {
        fail_iptables(leftovers, err.text);
        return;
    }
    if (step->backend == BACKEND_LEGACY)
        is_there = has_legacy_tables(step->family);
    if (!is_there) {
        next_step(leftovers);
        return;
    }
    if (!program_find(backends[step->backend].program, leftovers->path)) {
        miss_program(leftovers);
        return;
    }
    const char *argv[] = {backends[step->backend].program, families[step->family].save, NULL};
    start_program(leftovers, argv, &(struct text){0}, on_saved);
}

/* --- ipvs --- */

/* Connections go on through IPVS as long as it is there: their translation is in no other place. */
static bool is_ipvs_in_use(void)
{
    char line[256];
    bool is_in_use = false;
    FILE *file = fopen("/proc/net/ip_vs_conn", "re");
    while (file && !is_in_use && fgets(line, sizeof(line), file))
        is_in_use = strstr(line, " ESTABLISHED ") || strncmp(line, "UDP", 3) == 0;
    if (file)
        fclose(file);
    return is_in_use;
}

/* What fairlead alone has in IPVS, and kube-proxy leaves there. */
static void remove_marked(struct leftovers *leftovers)
{
    unsigned removed, kept;
    struct err err;
    if (netlink_remove_marked(leftovers->tag, leftovers->tag_mask, &removed, &kept, &err) < 0) {
        SAY(leftovers, LEFTOVERS_FAILED, "%s", err.text);
        return;
    }
    if (removed)
        SAY(leftovers, LEFTOVERS_REMOVED, "%u virtual services of ipvs by fairlead's marks are removed",
            removed);
    if (kept)
        SAY(leftovers, LEFTOVERS_NOTICE,
            "%u virtual services of ipvs by fairlead's marks stay, because connections go through them; "
            "nothing leads new ones there",
            kept);
}

static void remove_ipvs(struct leftovers *leftovers)
{
    bool was_there = false;
    struct err err;
    if (leftovers->attempts == 0 && leftovers->options.programs_over)
        leftovers->options.programs_over(leftovers->options.context);
    bool is_to_go = is_ipvs_to_go(leftovers) && !leftovers->is_ipvs_taken;
    if (leftovers->is_ipvs_taken && leftovers->tag_mask)
        remove_marked(leftovers);
    if (is_to_go && leftovers->options.spares_connections && is_ipvs_in_use()) {
        if (leftovers->attempts++ == 0)
            SAY(leftovers, LEFTOVERS_NOTICE,
                "connections by ipvs go on; its virtual services and kube-ipvs0 go when they are over");
        run_step(leftovers, IPVS_AGAIN_MS);
        return;
    }
    if (is_to_go && netlink_remove_ipvs(&was_there, &err) < 0)
        SAY(leftovers, LEFTOVERS_FAILED, "%s", err.text);
    else if (was_there)
        SAY(leftovers, LEFTOVERS_REMOVED,
            "the virtual services of ipvs and the interface kube-ipvs0 are removed");
    next_step(leftovers);
}

/* Behind KUBE- or KUBE-6- (kubernetes 1.36, pkg/proxy/ipvs/ipset.go). */
static const char *const sets[] = {
    "LOOP-BACK",
    "CLUSTER-IP",
    "EXTERNAL-IP",
    "EXTERNAL-IP-LOCAL",
    "LOAD-BALANCER",
    "LOAD-BALANCER-LOCAL",
    "LOAD-BALANCER-FW",
    "LOAD-BALANCER-SOURCE-IP",
    "LOAD-BALANCER-SOURCE-CIDR",
    "NODE-PORT-TCP",
    "NODE-PORT-LOCAL-TCP",
    "NODE-PORT-UDP",
    "NODE-PORT-LOCAL-UDP",
    "NODE-PORT-SCTP-HASH",
    "NODE-PORT-LOCAL-SCTP-HASH",
    "HEALTH-CHECK-NODE-PORT",
    "IPVS-IPS",
};

static const char *const own_sets[] = {OWN_SET,           "FAIRLEAD-6-INSIDE", "FAIRLEAD-SELF",
                                       "FAIRLEAD-6-SELF", "FAIRLEAD-DROP",     "FAIRLEAD-6-DROP"};

/* OWN_SET tells whose they are, so it goes with the last. */
static void set_name(size_t i, char ret[SET_NAME_SIZE])
{
    size_t of_proxy = ARRAY_LEN(sets) * FAMILY_COUNT;
    if (i < of_proxy)
        snprintf(ret, SET_NAME_SIZE, "KUBE-%s%s", i % FAMILY_COUNT ? "6-" : "", sets[i / FAMILY_COUNT]);
    else
        snprintf(ret, SET_NAME_SIZE, "%s", own_sets[ARRAY_LEN(own_sets) - 1 - (i - of_proxy)]);
}

/* After the rules that use them. */
static void remove_sets(struct leftovers *leftovers)
{
    bool is_last = ++leftovers->attempts >= SETS_ATTEMPTS, is_busy = false;
    const size_t of_proxy = ARRAY_LEN(sets) * FAMILY_COUNT;
    size_t most = netlink_has_ipsets() && is_ipvs_to_go(leftovers) ? of_proxy + ARRAY_LEN(own_sets) : 0;
    unsigned count = 0;
    for (size_t i = leftovers->is_ipvs_taken ? of_proxy : 0; i < most; i++) {
        char name[SET_NAME_SIZE];
        bool was_there = false;
        struct err err;
        if (is_busy && i + ARRAY_LEN(own_sets) >= most)
            break;
        set_name(i, name);
        int code = netlink_remove_ipset(name, &was_there, &err);
        is_busy |= code == -EBUSY;
        if (code < 0 && (code != -EBUSY || is_last))
            SAY(leftovers, LEFTOVERS_FAILED, "%s", err.text);
        count += was_there;
    }
    if (count)
        SAY(leftovers, LEFTOVERS_REMOVED, "%u ipsets of mode ipvs are removed", count);
    if (is_busy && !is_last)
        run_step(leftovers, SETS_AGAIN_MS);
    else
        next_step(leftovers);
}

/* --- all of it --- */

#define OWN_STEPS 2 /* how many come before those that are about fairlead's */
static const struct step steps[] = {
    {remove_table, .family = FAMILY_IPV4},
    {remove_table, .family = FAMILY_IPV6},
    {clean_iptables, BACKEND_NFT, FAMILY_IPV4},
    {clean_iptables, BACKEND_NFT, FAMILY_IPV6},
    {clean_iptables, BACKEND_LEGACY, FAMILY_IPV4},
    {clean_iptables, BACKEND_LEGACY, FAMILY_IPV6},
    {remove_ipvs},
    {remove_sets},
    {finish},
};

bool leftovers_may_be_of_fairlead(void)
{
    bool is_there = false, may_be = false;
    struct err err;
    for (int family = 0; family < FAMILY_COUNT; family++) {
        may_be |= iptables_nft_has_chain((enum family)family, is_own_chain, &is_there, &err) == 0 && is_there;
        may_be |= has_legacy_tables((enum family)family);
    }
    return may_be || (netlink_has_ipsets() && netlink_has_ipset(OWN_SET));
}

struct leftovers *leftovers_begin(uv_loop_t *loop, const struct leftovers_options *options)
{
    struct leftovers *leftovers = xcalloc(1, sizeof(*leftovers));
    signal(SIGPIPE, SIG_IGN);
    leftovers->options = *options;
    leftovers->loop = loop;
    leftovers->step = options->scope == LEFTOVERS_OF_FAIRLEAD ? steps + OWN_STEPS : steps;
    uv_timer_init(loop, &leftovers->timer);
    leftovers->timer.data = leftovers;
    run_step(leftovers, 0);
    return leftovers;
}

void leftovers_cancel(struct leftovers *leftovers)
{
    if (!leftovers)
        return;
    program_cancel(leftovers->program);
    uv_close((uv_handle_t *)&leftovers->timer, on_closed);
}
