/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Properties of the walk and the nftables dataplane on a real kernel, for any sequence of changes, failed
 * transactions and foreign damage:
 * - after every turn the table holds what is wanted, and beyond it only what may linger;
 * - after every transaction, whether it worked or not, no number points at a slot or verdict that is not
 * there;
 * - in the end the table is the one that a full load makes of an empty one;
 * - a load of what is there already writes nothing;
 * - nobody sticks to an endpoint that his service has no more;
 * - our own transactions are never taken for somebody else's, and somebody else's always are.
 * A seed is one sequence. */

#define TURNS 16
#define SKIPPED 77

struct sequence {
    uint64_t seed;
    struct world world;
    struct dice dice; /* for what happens to the world's table; the world has its own */
    struct run run;
    unsigned turn;
    bool is_damaged; /* by others, and the dataplane has not been told */
    bool is_failing;
};

static bool complain(struct sequence *sequence, const char *when, const char *words)
{
    fprintf(stderr, "seed %llu, turn %u, %s: %s\n", (unsigned long long)sequence->seed, sequence->turn, when,
            words);
    sequence->is_failing = true;
    return false;
}

static bool check(struct sequence *sequence, const char *when, bool is_settled)
{
    struct text words = {0};
    bool is_fine = sequence->is_damaged || !run_is_wrong(&sequence->run, is_settled, &words);
    if (!is_fine)
        complain(sequence, when, text_str(&words));
    text_done(&words);
    return is_fine;
}

static bool check_watch(struct sequence *sequence, bool is_expected)
{
    struct dataplane *dataplane = sequence->run.dataplane;
    if (dataplane->ops->watch_fd(dataplane) < 0 || sequence->run.sync.needs_load)
        return true;
    if (dataplane->ops->is_disturbed(dataplane) == is_expected)
        return true;
    return complain(sequence, "watch",
                    is_expected ? "another program's change went unseen"
                                : "took its own change for another program's");
}

static void collect_once(struct sequence *sequence)
{
    struct dataplane *dataplane = sequence->run.dataplane;
    struct dataplane_result result;
    struct err err = {0};
    int code = dataplane->ops->collect(dataplane, &result, &err);
    if (code < 0 && !sequence->is_damaged)
        complain(sequence, "collect", err.text);
    if (code < 0)
        sequence->run.sync.needs_load = true;
}

/* A turn that is made to fail, and then the one that mends it. The collector may come in between. */
static void take_failing_turn(struct sequence *sequence)
{
    struct sync_result result;
    struct err err = {0};
    run_inject_failure(&sequence->run, dice_below(&sequence->dice, 2));
    int code = sync_turn(&sequence->run.sync, &result, &err);
    run_forget_failure(&sequence->run);
    check(sequence, "after a turn that may have failed", false);
    for (uint32_t i = dice_below(&sequence->dice, 4); code < 0 && i > 0; i--) {
        collect_once(sequence);
        check(sequence, "after collecting behind a failed turn", false);
    }
}

static void take_turn(struct sequence *sequence)
{
    struct sync *sync = &sequence->run.sync;
    struct sync_result result;
    struct err err = {0};
    int code = sync_turn(sync, &result, &err);
    if (code < 0 && !sequence->is_damaged)
        complain(sequence, "turn", err.text);
    if (code < 0) {
        sync->needs_load = true;
        err.text[0] = '\0';
        code = sync_turn(sync, &result, &err);
    }
    if (code < 0)
        complain(sequence, "repairing turn", err.text);
    if (result.was_full)
        sequence->is_damaged = false;
    check(sequence, "after a turn", true);
}

static void maybe_damage(struct sequence *sequence)
{
    if (!dice_one_in(&sequence->dice, 12) || (!sequence->is_damaged && !check_watch(sequence, false)) ||
        !run_damage(&sequence->run, &sequence->dice))
        return;
    sequence->is_damaged = true;
    check_watch(sequence, true);
    /* Not always does the daemon get to hear of it before its next turn. */
    if (dice_below(&sequence->dice, 3))
        sequence->run.sync.needs_load = true;
}

static void step(struct sequence *sequence)
{
    struct dice *dice = &sequence->dice;
    for (uint32_t changes = 1 + dice_below(dice, 4); changes > 0; changes--)
        world_change(&sequence->world, sequence->run.store);
    if (sequence->run.sync.is_programmed)
        maybe_damage(sequence);
    if (dice_one_in(dice, 12))
        run_restart(&sequence->run);
    if (dice_one_in(dice, 10))
        take_failing_turn(sequence);
    take_turn(sequence);
    if (!sequence->is_damaged)
        check_watch(sequence, false);
    if (dice_one_in(dice, 3) && run_add_client(&sequence->run, dice))
        check_watch(sequence, true);
    if (dice_below(dice, 3)) {
        collect_once(sequence);
        if (dice_one_in(dice, 2))
            check(sequence, "after collecting", true);
    }
}

static void check_idle_load(struct sequence *sequence)
{
    struct sync_result result;
    struct err err = {0};
    sequence->run.sync.needs_load = true;
    if (sync_turn(&sequence->run.sync, &result, &err) < 0)
        complain(sequence, "second load", err.text);
    const struct dataplane_result *written = &result.dataplane;
    if (written->transactions == 0 && written->element_adds == 0 && written->element_deletes == 0)
        return;
    err_set(&err, EIO, "%u elements in and %u out, though everything was there", written->element_adds,
            written->element_deletes);
    complain(sequence, "second load", err.text);
}

/* The table as it stands when nothing waits any more. */
static bool settle(struct sequence *sequence, struct snapshot *ret)
{
    struct err err = {0};
    if (!run_collect_all(&sequence->run, &err))
        return complain(sequence, "collecting all", err.text);
    if (snapshot_take(ret, &sequence->run.kernel, &err) < 0)
        return complain(sequence, "reading back", err.text);
    return true;
}

static void finish(struct sequence *sequence)
{
    struct snapshot grown = {0}, fresh = {0};
    struct text words = {0};
    if (sequence->is_damaged) {
        sequence->run.sync.needs_load = true;
        take_turn(sequence);
    }
    bool is_fine = settle(sequence, &grown);
    check_idle_load(sequence);
    run_done(&sequence->run);
    run_init(&sequence->run, &sequence->world);
    world_fill(&sequence->world, sequence->run.store);
    take_turn(sequence);
    is_fine = is_fine && settle(sequence, &fresh);
    if (is_fine && snapshot_differs(&grown, &fresh, &words))
        complain(sequence, "against one full load", text_str(&words));
    check_idle_load(sequence);
    text_done(&words);
    snapshot_done(&grown);
    snapshot_done(&fresh);
}

static bool run_seed(uint64_t seed)
{
    struct sequence sequence = {.seed = seed, .dice = {.state = seed}};
    world_init(&sequence.world, seed);
    run_init(&sequence.run, &sequence.world);
    for (; sequence.turn < TURNS && !sequence.is_failing; sequence.turn++)
        step(&sequence);
    if (!sequence.is_failing)
        finish(&sequence);
    run_done(&sequence.run);
    return !sequence.is_failing;
}

static int run_share(uint64_t first, uint64_t end, unsigned step_)
{
    unsigned failures = 0;
    if (!enter_namespace())
        return SKIPPED;
    for (uint64_t seed = first; seed < end && failures < 5; seed += step_)
        failures += !run_seed(seed);
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    uint64_t seeds = 1000, first = 1;
    unsigned jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seeds") == 0)
            seeds = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--first") == 0)
            first = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--jobs") == 0)
            jobs = (unsigned)strtoul(argv[i + 1], NULL, 10);
    }
    if (argc % 2 == 0 || jobs == 0) {
        fprintf(stderr, "usage: %s [--seeds N] [--first S] [--jobs N]\n", argv[0]);
        return 2;
    }
    for (unsigned job = 0; job < jobs; job++)
        if (fork() == 0)
            exit(run_share(first + job, first + seeds, jobs));
    int worst = EXIT_SUCCESS, status;
    while (wait(&status) > 0) {
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
        if (worst == EXIT_SUCCESS || (worst == SKIPPED && code != EXIT_SUCCESS))
            worst = code;
    }
    if (worst == EXIT_SUCCESS)
        printf("%llu sequences of %u turns from seed %llu on\n", (unsigned long long)seeds, TURNS,
               (unsigned long long)first);
    return worst;
}
