/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/test_message.h"
#include "registry/test_model.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What holds when the process dies by kill -9 at any moment: a child writes at random and notes what it
 * begins and what returned; the parent kills it, opens the file and finds
 * - every write that returned, and of batches that did, every part;
 * - beyond them the one under way, whole, or nothing of it;
 * - the revision that goes with that.
 * Now and then the file is a new one, so that children die while they make it; and most times the parent does
 * not close it either, so that a log goes through many deaths, and dies while it is written back. */

#define ROUND_BATCHES 4096 /* a child that has done so many waits for its end */

/* Shared with the child. */
struct journal {
    atomic_uint begun, returned;
    char failure[512];
    struct model_batch batches[ROUND_BATCHES];
};

struct test {
    const char *path;
    struct journal *journal;
    struct model model;
    uint64_t dice, kills, writes, under_way;
};

/* The child: writes until it is killed. */
static void write_on(struct test *test)
{
    struct journal *journal = test->journal;
    struct registry *registry;
    struct err err;
    uint64_t dice = model_roll(&test->dice, UINT32_MAX); /* not what the parent rolls next */
    int code = registry_open(&registry, &(struct registry_options){.path = test->path}, &err);
    for (unsigned i = 0; code == 0 && i < ROUND_BATCHES; i++) {
        journal->batches[i] = model_roll_batch(&test->model, &dice);
        journal->begun = i + 1;
        code = model_write(registry, &journal->batches[i], &err);
        if (code == 0)
            journal->returned = i + 1;
        model_apply(&test->model, &journal->batches[i]);
    }
    if (code < 0)
        memcpy(journal->failure, err.text, sizeof(journal->failure));
    for (;;)
        pause();
}

static void let_run_and_kill(struct test *test)
{
    useconds_t microseconds = model_roll(&test->dice, model_roll(&test->dice, 8) ? 4000 : 20000);
    memset(test->journal, 0, offsetof(struct journal, batches));
    pid_t child = fork();
    if (child == 0)
        write_on(test);
    if (child < 0)
        abort();
    usleep(microseconds);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static enum model_verdict look(const struct test *test, const struct model *after, bool is_closed)
{
    struct registry *registry;
    struct err err;
    if (registry_open(&registry, &(struct registry_options){.path = test->path}, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return MODEL_WRONG;
    }
    enum model_verdict verdict = model_compare(registry, &test->model, after);
    if (is_closed)
        registry_close(registry);
    return verdict;
}

static enum model_verdict look_and_die(const struct test *test, const struct model *after)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit((int)look(test, after, false));
    if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status) ||
        WEXITSTATUS(status) > MODEL_WRONG)
        return MODEL_WRONG;
    return (enum model_verdict)WEXITSTATUS(status);
}

/* One life and death. False when something does not hold. */
static bool take_turn(struct test *test)
{
    const struct journal *journal = test->journal;
    if (model_roll(&test->dice, 100) == 0) {
        model_remove_files(test->path);
        test->model = (struct model){.revision = 1};
    }
    let_run_and_kill(test);
    for (unsigned i = 0; i < journal->returned; i++)
        model_apply(&test->model, &journal->batches[i]);
    struct model after = test->model;
    if (journal->begun > journal->returned)
        model_apply(&after, &journal->batches[journal->begun - 1]);
    test->kills++;
    test->writes += journal->returned;
    if (*journal->failure) {
        fprintf(stderr, "a write failed: %s\n", journal->failure);
        return false;
    }
    enum model_verdict verdict =
        model_roll(&test->dice, 8) ? look_and_die(test, &after) : look(test, &after, true);
    if (verdict == MODEL_ONE_MORE) {
        test->model = after;
        test->under_way++;
    }
    return verdict != MODEL_WRONG;
}

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int run(uint64_t kills, double seconds, uint64_t seed)
{
    char folder[64], path[96];
    snprintf(folder, sizeof(folder), "%s/fairlead-kill-XXXXXX", test_folder_root());
    struct journal *journal =
        mmap(NULL, sizeof(*journal), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (journal == MAP_FAILED || !mkdtemp(folder)) {
        perror("registry_kill_test");
        return 1;
    }
    snprintf(path, sizeof(path), "%s/registry.db", folder);
    struct test test = {.path = path, .journal = journal, .model = {.revision = 1}, .dice = seed};
    double end = now_seconds() + seconds;
    bool is_fine = true;
    while (is_fine && (kills ? test.kills < kills : now_seconds() < end))
        is_fine = take_turn(&test);
    printf("%" PRIu64 " kills, %" PRIu64 " writes returned, %" PRIu64
           " under way were there too; seed %" PRIu64 "\n",
           test.kills, test.writes, test.under_way, seed);
    if (!is_fine) {
        fprintf(stderr, "the file is left in %s\n", folder);
        return 1;
    }
    model_remove_files(path);
    rmdir(folder);
    return test.writes ? 0 : 1;
}

int main(int argc, char **argv)
{
    uint64_t kills = 0, seed = (uint64_t)time(NULL);
    double seconds = 40;
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (value && strcmp(argv[i], "--kills") == 0) {
            kills = strtoull(value, NULL, 10);
        } else if (value && strcmp(argv[i], "--seconds") == 0) {
            seconds = strtod(value, NULL);
        } else if (value && strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(value, NULL, 10);
        } else {
            fprintf(stderr, "usage: %s [--seconds S | --kills N] [--seed N]\n", argv[0]);
            return 2;
        }
    }
    return run(kills, seconds, seed);
}
