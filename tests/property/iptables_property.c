/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

#include "base/cleanup.h"
#include "daemon/sync.h"
#include "dataplane/iptables/iptables.h"
#include "dataplane/iptables/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Properties of the walk and the iptables dataplane, with the real programs on a real kernel, for any
 * sequence of changes, restarts and foreign damage, in both families:
 * - after every turn iptables-save says what a whole layout of the world would be: nothing is missing,
 * nothing is left over;
 * - a load makes that of any state that it finds;
 * - what is not ours stays, in our chains' tables and in the kernel's own chains;
 * - a load of what is there already writes nothing.
 * A seed is one sequence. */

#define TURNS 10
#define SKIPPED 77
#define FOREIGN_CHAIN "BYSTANDER"

struct sequence {
    uint64_t seed;
    struct world world;
    struct dice dice;
    struct store *store;
    struct options options;
    struct sync sync;
    struct dataplane *dataplane;
    uv_loop_t loop;
    unsigned turn;
    bool is_failing;
    /* What the owner was told. */
    int code;
    struct err err;
    struct sync_result result;
};

static const char *const save_programs[FAMILY_COUNT] = {"iptables-save", "ip6tables-save"};
static const char *const programs[FAMILY_COUNT] = {"iptables", "ip6tables"};

static void complain(struct sequence *sequence, const char *when, const char *words)
{
    fprintf(stderr, "seed %llu, turn %u, %s: %s\n", (unsigned long long)sequence->seed, sequence->turn, when,
            words);
    sequence->is_failing = true;
}

static void on_finished(void *context, int code, const struct dataplane_result *result, const struct err *err)
{
    struct sequence *sequence = context;
    if (code < 0)
        sequence->err = *err;
    sequence->code = sync_finish(&sequence->sync, code, result, &sequence->result);
}

static void open_all(struct sequence *sequence)
{
    const struct dataplane_owner owner = {
        .loop = &sequence->loop, .finished = on_finished, .context = sequence};
    struct err err;
    sequence->store = store_new();
    sequence->options = (struct options){
        .node_name = WORLD_NODE, .local_detect = LOCAL_DETECT_CIDR, .masquerade_mark = 1u << 14};
    sequence->options.has_cluster_cidr[FAMILY_IPV4] = true;
    prefix_parse("10.0.0.0/16", &sequence->options.cluster_cidr[FAMILY_IPV4], NULL);
    if (iptables_dataplane.open(&sequence->dataplane, &owner, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    sync_init(&sequence->sync, sequence->store, sequence->dataplane, &sequence->options,
              &sequence->world.interfaces);
    sequence->sync.is_source_synced = true;
}

static void close_all(struct sequence *sequence)
{
    sync_done(&sequence->sync);
    sequence->dataplane->ops->close(sequence->dataplane);
    store_free(sequence->store);
    uv_run(&sequence->loop, UV_RUN_NOWAIT);
}

/* The daemon ends and comes again; the kernel's rules stay. */
static void restart(struct sequence *sequence)
{
    close_all(sequence);
    open_all(sequence);
    world_fill(&sequence->world, sequence->store);
}

/* --- looking --- */

static void save(enum family family, struct text *ret)
{
    char buffer[65536];
    FILE *pipe = popen(save_programs[family], "r");
    size_t len;
    while (pipe && (len = fread(buffer, 1, sizeof(buffer), pipe)) > 0)
        text_add_bytes(ret, buffer, len);
    if (!pipe || pclose(pipe) != 0) {
        fprintf(stderr, "%s failed\n", save_programs[family]);
        abort();
    }
}

/* What layout_difference is trusted with elsewhere, looked at by itself: no chain of a service that is gone,
 * and the rule for node ports behind all others. */
static void check_chains(struct sequence *sequence, const char *when, const struct layout *have,
                         const struct layout *want)
{
    for (const struct layout_chain *chain = have->chains; chain; chain = chain->hh.next) {
        const struct layout_chain *wanted;
        HASH_FIND(hh, want->chains, chain->key, strlen(chain->key), wanted);
        if (!wanted && chain_name_is_of_service(chain->name))
            complain(sequence, when, chain->key);
        if (wanted && wanted->tail &&
            (chain->count == 0 ||
             strcmp(chain->rules[chain->count - 1], wanted->rules[wanted->count - 1]) != 0))
            complain(sequence, when, "the last rule is not the one that has to be the last");
    }
}

static void check_family(struct sequence *sequence, const char *when, enum family family)
{
    struct layout have, want;
    struct text saved = {0}, difference = {0};
    struct err err;
    size_t count;
    cleanup_free const struct entry **entries = sync_entries(&sequence->sync, &count);
    save(family, &saved);
    if (!strstr(text_str(&saved), "-A INPUT -j " FOREIGN_CHAIN "\n") ||
        !strstr(text_str(&saved), "-A " FOREIGN_CHAIN " -j RETURN\n"))
        complain(sequence, when, "another program's rules are gone");
    layout_build(&sequence->sync.node.dataplane, entries, count, family, false, &want);
    if (layout_parse(text_str(&saved), &have, &err) < 0) {
        complain(sequence, when, err.text);
    } else {
        check_chains(sequence, when, &have, &want);
        layout_difference(&have, &want, &iptables_own_rules, &difference);
        if (difference.len)
            complain(sequence, when, text_str(&difference));
        layout_done(&have);
    }
    layout_done(&want);
    text_done(&saved);
    text_done(&difference);
}

static void check(struct sequence *sequence, const char *when)
{
    check_family(sequence, when, FAMILY_IPV4);
    check_family(sequence, when, FAMILY_IPV6);
}

/* --- doing --- */

static void take_turn(struct sequence *sequence, const char *when)
{
    sequence->code = sync_turn(&sequence->sync, &sequence->result, &sequence->err);
    while (sequence->sync.is_under_way)
        uv_run(&sequence->loop, UV_RUN_ONCE);
    if (sequence->code < 0)
        complain(sequence, when, sequence->err.text);
    else
        check(sequence, when);
}

__attribute__((format(printf, 1, 2))) static bool shell(const char *format, ...)
{
    char command[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    return system(command) == 0; /* NOLINT: a test's own words */
}

static void make_bystander(void)
{
    for (int family = 0; family < FAMILY_COUNT; family++)
        if (!shell("%s -w -N " FOREIGN_CHAIN " && %s -w -A " FOREIGN_CHAIN " -j RETURN && "
                   "%s -w -A INPUT -j " FOREIGN_CHAIN,
                   programs[family], programs[family], programs[family])) {
            fprintf(stderr, "%s does not work\n", programs[family]);
            abort();
        }
}

/* A line of what is saved, counted from anywhere, that is a rule of ours; NULL when there is none. */
static char *some_rule(struct sequence *sequence, char *saved, const char **ret_table)
{
    char *found = NULL;
    const char *table = "?";
    uint32_t seen = 0;
    for (char *line; (line = strsep(&saved, "\n"));) {
        if (*line == '*')
            table = line + 1;
        if (strncmp(line, "-A ", 3) == 0 && strstr(line, "KUBE-") && dice_one_in(&sequence->dice, ++seen)) {
            found = line;
            *ret_table = table;
        }
    }
    return found;
}

/* What another program, or somebody by hand, might do. */
static void damage(struct sequence *sequence)
{
    enum family family = (enum family)dice_below(&sequence->dice, FAMILY_COUNT);
    const char *program = programs[family], *table = NULL;
    struct text saved = {0};
    char *rule, chain[64];
    save(family, &saved);
    rule = some_rule(sequence, saved.data, &table);
    if (!rule || sscanf(rule, "-A %63s", chain) != 1) {
        complain(sequence, "damage", "there is no rule of ours");
        text_done(&saved);
        return;
    }
    rule[1] = 'D';
    switch (dice_below(&sequence->dice, 6)) {
    case 0:
        shell("%s -w -t %s -F %s", program, table, strcmp(chain, "INPUT") == 0 ? "KUBE-FIREWALL" : chain);
        break;
    case 1:
        shell("%s -w -t nat -F", program);
        break;
    case 2:
        shell(
            "%s -w -t nat -N KUBE-SVC-AAAAAAAAAAAAAAAA; %s -w -t nat -A KUBE-SVC-AAAAAAAAAAAAAAAA -j RETURN",
            program, program);
        break;
    case 3:
        shell("%s -w -t %s -A %s -j RETURN", program, table,
              strncmp(chain, "KUBE-", 5) ? "KUBE-SERVICES" : chain);
        break;
    default:
        shell("%s -w -t %s %s", program, table, rule);
        break;
    }
    text_done(&saved);
    sequence->sync.needs_load = true;
}

static void step(struct sequence *sequence)
{
    struct dice *dice = &sequence->dice;
    const char *when = "after a change";
    for (uint32_t changes = 1 + dice_below(dice, 4); changes > 0; changes--)
        world_change(&sequence->world, sequence->store);
    if (sequence->sync.is_programmed && dice_one_in(dice, 4)) {
        damage(sequence);
        when = "after damage";
    } else if (dice_one_in(dice, 10)) {
        restart(sequence);
        when = "after a restart";
    }
    take_turn(sequence, when);
}

static void check_idle_load(struct sequence *sequence)
{
    sequence->sync.needs_load = true;
    take_turn(sequence, "second load");
    if (sequence->result.dataplane.transactions || sequence->result.dataplane.element_adds)
        complain(sequence, "second load", "something was written, though everything was there");
}

/* In a namespace of its own, so that it begins with a kernel that has nothing. */
static bool run_seed(uint64_t seed)
{
    struct sequence sequence = {.seed = seed, .dice = {.state = seed}};
    if (unshare(CLONE_NEWNET) < 0)
        return false;
    uv_loop_init(&sequence.loop);
    make_bystander();
    world_init(&sequence.world, seed);
    open_all(&sequence);
    for (; sequence.turn < TURNS && !sequence.is_failing; sequence.turn++)
        step(&sequence);
    if (!sequence.is_failing)
        check_idle_load(&sequence);
    close_all(&sequence);
    uv_run(&sequence.loop, UV_RUN_DEFAULT);
    uv_loop_close(&sequence.loop);
    return !sequence.is_failing;
}

static int run_share(uint64_t first, uint64_t end, unsigned step_)
{
    unsigned failures = 0;
    for (uint64_t seed = first; seed < end && failures < 3; seed += step_)
        failures += !run_seed(seed);
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* --- which of both backends --- */

/* Puts names of both families' programs before everything else in $PATH, as links to the backend's one
 * program. The legacy backend's lock is this run's own: others on this machine may hold the usual one. */
static bool choose_backend(const char *backend, char folder[PATH_MAX])
{
    static const char *const names[] = {"iptables",  "iptables-save",  "iptables-restore",
                                        "ip6tables", "ip6tables-save", "ip6tables-restore"};
    char target[PATH_MAX], link[PATH_MAX], path[PATH_MAX * 2];
    snprintf(target, sizeof(target), "/usr/sbin/xtables-%s-multi", backend);
    if (access(target, X_OK) < 0) {
        printf("skipped: there is no %s\n", target);
        return false;
    }
    strcpy(folder, "/tmp/fairlead-property-XXXXXX");
    if (!mkdtemp(folder))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(link, sizeof(link), "%.200s/%s", folder, names[i]);
        if (symlink(target, link) < 0)
            return false;
    }
    snprintf(path, sizeof(path), "%s:%s", folder, getenv("PATH"));
    setenv("PATH", path, 1);
    snprintf(link, sizeof(link), "%.200s/lock", folder);
    setenv("XTABLES_LOCKFILE", link, 1);
    return true;
}

static void forget_backend(const char *folder)
{
    if (*folder)
        shell("rm -r %s", folder);
}

static bool is_possible(void)
{
    pid_t child = fork();
    int status;
    if (child == 0) {
        if (unshare(CLONE_NEWNET) < 0)
            _exit(1);
        _exit(shell("iptables -w -t nat -S >/dev/null 2>&1 && ip6tables -w -t nat -S >/dev/null 2>&1") ? 0
                                                                                                       : 2);
    }
    if (waitpid(child, &status, 0) < 0 || !WIFEXITED(status))
        return false;
    if (WEXITSTATUS(status))
        printf("skipped: %s\n", WEXITSTATUS(status) == 1 ? "no new network namespace here"
                                                         : "this kernel has no tables for this backend");
    return WEXITSTATUS(status) == 0;
}

static int run_all(uint64_t first, uint64_t seeds, unsigned jobs)
{
    int worst = EXIT_SUCCESS, status;
    for (unsigned job = 0; job < jobs; job++)
        if (fork() == 0)
            exit(run_share(first + job, first + seeds, jobs));
    while (wait(&status) > 0)
        if (!WIFEXITED(status) || WEXITSTATUS(status))
            worst = EXIT_FAILURE;
    return worst;
}

int main(int argc, char **argv)
{
    uint64_t seeds = 40, first = 1;
    unsigned jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    const char *backend = "nft";
    char folder[PATH_MAX] = "";
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--backend") == 0)
            backend = argv[i + 1];
        else if (strcmp(argv[i], "--seeds") == 0)
            seeds = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--first") == 0)
            first = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--jobs") == 0)
            jobs = (unsigned)strtoul(argv[i + 1], NULL, 10);
    }
    if (argc % 2 == 0 || jobs == 0) {
        fprintf(stderr, "usage: %s [--backend nft|legacy] [--seeds N] [--first S] [--jobs N]\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int code = choose_backend(backend, folder) && is_possible() ? run_all(first, seeds, jobs) : SKIPPED;
    forget_backend(folder);
    if (code == EXIT_SUCCESS)
        printf("%s: %llu sequences of %u turns from seed %llu on\n", backend, (unsigned long long)seeds,
               TURNS, (unsigned long long)first);
    return code;
}
