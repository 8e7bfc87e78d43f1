/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starts the daemon and times it from before fork() and exec() to the first TCP connection that the expected
 * endpoints answer, the first step of its plan, and to that of all steps, the others in their order. Prints
 * one line of JSON then, stays as the daemon's parent, and prints a second line when it has ended. */
#include "answer.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "kernel.h"
#include "plan.h"
#include "process.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUND_US 200        /* between two looks at the generation */
#define CONNECT_EVERY 5     /* rounds between two attempts to connect */
#define ANSWER_LIMIT_MS 900 /* a lost SYN is sent again only after a second: give up and try anew */

struct options {
    const char *node_ns, *client_ns, *log, *plan;
    int timeout_s;
    char **command;
};

struct start {
    int64_t begin_ns, first_commit_ns, last_commit_ns, answered_ns, all_answered_ns;
    uint32_t commits;
    unsigned attempts, lost, elsewhere; /* lost: not answered at all; elsewhere: by an endpoint of before */
    pid_t pid;
};

static int options_parse(int argc, char **argv, struct options *options)
{
    static const struct option longs[] = {
        {"node-ns", required_argument, NULL, 'n'}, {"client-ns", required_argument, NULL, 'c'},
        {"log", required_argument, NULL, 'l'},     {"plan", required_argument, NULL, 'p'},
        {"timeout", required_argument, NULL, 't'}, {0}};
    int letter;

    while ((letter = getopt_long(argc, argv, "+", longs, NULL)) != -1) {
        switch (letter) {
        case 'n':
            options->node_ns = optarg;
            break;
        case 'c':
            options->client_ns = optarg;
            break;
        case 'l':
            options->log = optarg;
            break;
        case 'p':
            options->plan = optarg;
            break;
        case 't':
            options->timeout_s = (int)strtol(optarg, NULL, 10);
            break;
        default:
            return -EINVAL;
        }
    }
    options->command = argv + optind;
    return options->node_ns && options->client_ns && options->log && options->plan && optind < argc ? 0
                                                                                                    : -EINVAL;
}

/* Called in the node's namespace: the daemon inherits it. */
static pid_t daemon_spawn(const struct options *options)
{
    pid_t pid = fork();
    int log;

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    log = open(options->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execvp(options->command[0], options->command);
    log_error("%s: %s", options->command[0], strerror(errno));
    _exit(127);
}

static int generation_note(struct watch *watch, uint32_t *last, struct start *start, struct err *err)
{
    uint32_t generation;
    int result = watch_read(watch, &generation, err);

    if (result < 0 || generation == *last)
        return result;
    start->last_commit_ns = clock_now();
    if (!start->commits)
        start->first_commit_ns = start->last_commit_ns;
    start->commits += generation - *last;
    *last = generation;
    return 0;
}

static bool is_answered(const struct plan_step *step, struct start *start)
{
    struct plan_seen seen = {0};
    struct in_addr endpoint;

    start->attempts++;
    if (answer_check(&step->at, ANSWER_LIMIT_MS, &endpoint) < 0) {
        start->lost++;
        return false;
    }
    if (plan_judge(step, &seen, endpoint, NULL) < 0) {
        start->elsewhere++;
        return false;
    }
    start->all_answered_ns = clock_now();
    if (!start->answered_ns)
        start->answered_ns = start->all_answered_ns;
    return true;
}

static int answer_await(const struct options *options, const struct plan_step *step, struct watch *watch,
                        uint32_t *last, struct start *start, struct err *err)
{
    int64_t deadline = start->begin_ns + (int64_t)options->timeout_s * 1000000000;

    for (unsigned round = 0; clock_now() < deadline; round++) {
        int result = generation_note(watch, last, start, err);

        if (result < 0)
            return result;
        if (waitpid(start->pid, NULL, WNOHANG) == start->pid)
            return err_set(err, ECHILD, "the daemon ended before it served anything; its log is %s",
                           options->log);
        if (round % CONNECT_EVERY == 0 && is_answered(step, start))
            return generation_note(watch, last, start, err);
        usleep(ROUND_US);
    }
    return err_set(err, ETIMEDOUT,
                   "no connection as expected after %d s (%u attempts: %u unanswered, %u by other endpoints; "
                   "%u commits seen); the daemon's log is %s",
                   options->timeout_s, start->attempts, start->lost, start->elsewhere, start->commits,
                   options->log);
}

static void start_print(const struct start *start)
{
    printf(
        "{\"pid\": %d, \"first_commit_ns\": %lld, \"last_commit_ns\": %lld, \"commits\": %u, "
        "\"first_connection_ns\": %lld, \"all_ns\": %lld, \"attempts\": %u, \"lost\": %u, \"elsewhere\": %u, "
        "\"cpu_ns\": %lld, \"children_cpu_ns\": %lld, \"peak_kib\": %ld, \"resident_kib\": %ld}\n",
        (int)start->pid, (long long)(start->commits ? start->first_commit_ns - start->begin_ns : -1),
        (long long)(start->commits ? start->last_commit_ns - start->begin_ns : -1), start->commits,
        (long long)(start->answered_ns - start->begin_ns),
        (long long)(start->all_answered_ns - start->begin_ns), start->attempts, start->lost, start->elsewhere,
        (long long)process_cpu_ns(start->pid), (long long)process_children_cpu_ns(start->pid),
        process_memory_kib(start->pid, "VmHWM"), process_memory_kib(start->pid, "VmRSS"));
    fflush(stdout);
}

static int daemon_reap(pid_t pid)
{
    struct rusage used;
    int status;

    if (wait4(pid, &status, 0, &used) < 0)
        return 1;
    printf("{\"exit\": %d, \"signal\": %d, \"user_us\": %lld, \"system_us\": %lld, \"peak_kib\": %ld}\n",
           WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0,
           (long long)used.ru_utime.tv_sec * 1000000 + used.ru_utime.tv_usec,
           (long long)used.ru_stime.tv_sec * 1000000 + used.ru_stime.tv_usec, used.ru_maxrss);
    return 0;
}

static int run(const struct options *options, struct start *start, struct err *err)
{
    cleanup_with(arena_done) struct arena arena = {0};
    struct plan_step *steps;
    struct watch watch;
    size_t count = 0;
    uint32_t last = 0;
    int result = plan_read(options->plan, &arena, &steps, &count, err);

    if (result >= 0 && count == 0)
        result = err_set(err, EINVAL, "%s: a step is wanted", options->plan);
    if (result >= 0)
        result = netns_enter(options->node_ns, err);
    if (result >= 0)
        result = watch_open(&watch, WATCH_POLL, err);
    if (result < 0)
        return result;
    result = watch_read(&watch, &last, err);
    start->begin_ns = clock_now();
    start->pid = daemon_spawn(options);
    if (result >= 0)
        result = netns_enter(options->client_ns, err);
    for (size_t i = 0; result >= 0 && i < count; i++)
        result = answer_await(options, &steps[i], &watch, &last, start, err);
    watch_done(&watch);
    return result;
}

int main(int argc, char **argv)
{
    struct options options = {.timeout_s = 60};
    struct start start = {0};
    struct err err;

    if (options_parse(argc, argv, &options) < 0) {
        fprintf(stderr,
                "usage: bench-startup --node-ns PATH --client-ns PATH --log FILE --plan FILE [--timeout S] "
                "COMMAND...\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (run(&options, &start, &err) < 0) {
        log_error("%s", err.text);
        if (start.pid > 0)
            kill(start.pid, SIGKILL);
        return 1;
    }
    start_print(&start);
    return daemon_reap(start.pid);
}
