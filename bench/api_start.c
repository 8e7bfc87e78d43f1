/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "answer.h"
#include "api_bench.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "kernel.h"
#include "process.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUND_US 1000
/* Commits are over when none has come for so long after the first answer. */
#define QUIET_NS ((int64_t)1500000000)

struct beginning {
    int64_t begin_ns, answered_ns, last_commit_ns;
    unsigned commits;
    pid_t pid;
};

static pid_t spawn(const struct api_bench *bench)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int log = open(bench->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execvp(bench->command[0], bench->command);
    log_error("%s: %s", bench->command[0], strerror(errno));
    _exit(127);
}

/* The files of a server's first start are made by it: each try reads them anew. */
static bool is_answered(const struct api_bench *bench, struct client *client)
{
    struct client_request request = {"GET", bench->ready, "application/json", NULL, NULL};
    struct api_server server = {0};
    struct err ignored;
    int code =
        api_server_init(&server, bench->address, bench->authority, bench->certificate, bench->key, &ignored);

    if (code == 0)
        code = client_open(client, &server, &ignored);
    if (code == 0)
        code = client_ask(client, &request, 200, &ignored);
    client_close(client);
    api_server_done(&server);
    return code == 0;
}

static int commits_note(struct watch *watch, uint32_t *last, struct beginning *beginning, struct err *err)
{
    uint32_t generation;
    int code = watch_read(watch, &generation, err);

    if (code < 0 || generation == *last)
        return code;
    beginning->last_commit_ns = clock_now();
    beginning->commits += generation - *last;
    *last = generation;
    return 0;
}

static bool is_over(const struct beginning *beginning)
{
    int64_t last_ns = beginning->answered_ns > beginning->last_commit_ns ? beginning->answered_ns
                                                                         : beginning->last_commit_ns;

    return beginning->answered_ns && clock_now() - last_ns > QUIET_NS;
}

static int await(const struct api_bench *bench, struct watch *watch, uint32_t last,
                 struct beginning *beginning, struct err *err)
{
    cleanup_free struct client *client = xcalloc(1, sizeof(*client));
    int64_t deadline_ns = beginning->begin_ns + (int64_t)bench->timeout_s * 1000000000;
    int code = 0;

    while (code == 0 && !is_over(beginning)) {
        if (waitpid(beginning->pid, NULL, WNOHANG) == beginning->pid)
            return err_set(err, ECHILD, "the server ended before it answered; its log is %s", bench->log);
        if (clock_now() > deadline_ns)
            return err_set(err, ETIMEDOUT, "no answer after %u s; the server's log is %s", bench->timeout_s,
                           bench->log);
        code = commits_note(watch, &last, beginning, err);
        if (!beginning->answered_ns && is_answered(bench, client))
            beginning->answered_ns = clock_now();
        usleep(ROUND_US);
    }
    return code;
}

static int reap(pid_t pid)
{
    struct rusage used;
    int status;

    if (wait4(pid, &status, 0, &used) < 0)
        return 0;
    printf("{\"exit\": %d, \"signal\": %d, \"user_us\": %lld, \"system_us\": %lld, \"peak_kib\": %ld}\n",
           WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0,
           (long long)used.ru_utime.tv_sec * 1000000 + used.ru_utime.tv_usec,
           (long long)used.ru_stime.tv_sec * 1000000 + used.ru_stime.tv_usec, used.ru_maxrss);
    return 0;
}

int api_start(const struct api_bench *bench, struct err *err)
{
    struct beginning beginning = {.begin_ns = clock_now()};
    struct watch watch;
    uint32_t last;
    int code = watch_open(&watch, WATCH_POLL, err);

    if (code < 0)
        return code;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    code = watch_read(&watch, &last, err);
    beginning.begin_ns = clock_now();
    beginning.pid = spawn(bench);
    if (code == 0)
        code = await(bench, &watch, last, &beginning, err);
    watch_done(&watch);
    if (code < 0) {
        kill(beginning.pid, SIGKILL);
        return code;
    }
    printf(
        "{\"pid\": %d, \"answered_ns\": %lld, \"last_commit_ns\": %lld, \"commits\": %u, \"cpu_ns\": %lld, "
        "\"resident_kib\": %ld, \"peak_kib\": %ld}\n",
        (int)beginning.pid, (long long)(beginning.answered_ns - beginning.begin_ns),
        (long long)(beginning.commits ? beginning.last_commit_ns - beginning.begin_ns : -1),
        beginning.commits, (long long)process_cpu_ns(beginning.pid),
        process_memory_kib(beginning.pid, "VmRSS"), process_memory_kib(beginning.pid, "VmHWM"));
    fflush(stdout);
    return reap(beginning.pid);
}
