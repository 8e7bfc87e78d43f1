/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cleanup.h"

#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The program itself, whose path is the test's argument, called by one name and another. */

static const char *program;

struct result {
    int status;
    char output[65536]; /* holds the longest help */ /* both streams */
};

static void run(char *const *argv, struct result *ret)
{
    int ends[2];
    pid_t child;
    posix_spawn_file_actions_t actions;
    memset(ret, 0, sizeof(*ret));
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    assert_int_equal(posix_spawn(&child, program, &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    size_t len = 0;
    for (ssize_t got; len < sizeof(ret->output) - 1 &&
                      (got = read(ends[0], ret->output + len, sizeof(ret->output) - 1 - len)) > 0;)
        len += (size_t)got;
    close(ends[0]);
    assert_int_equal(waitpid(child, &ret->status, 0), child);
    assert_true(WIFEXITED(ret->status));
    ret->status = WEXITSTATUS(ret->status);
}

static void test_name_decides(void **state)
{
    static const struct {
        const char *argv[5];
        int status;
        const char *begins;
    } cases[] = {
        {{"fairlead", "--version"}, 0, "fairlead " FAIRLEAD_VERSION "\n"},
        {{"fairlead", "--help"}, 0, "fairlead: Kubernetes Service networking"},
        {{"fairlead", "proxy", "--help"}, 0, "Usage: fairlead proxy"},
        {{"fairlead", "--hostname-override=n1"}, 2, "fairlead: \"--hostname-override=n1\" is not a command"},
        {{"fairlead", "explain"},
         2,
         "fairlead explain: ADDRESS:PORT is missing; see fairlead explain --help\n"},
        {{"fairlead", "kubeconfig", "--node=n1", "--server=n1:6443"},
         1,
         "fairlead kubeconfig: --server: \"n1:6443\" is not a URL such as https://"},
        {{"fairlead"}, 2, "fairlead: Kubernetes Service networking"},
        /* By kube-proxy's name there are flags alone. */
        {{"kube-proxy", "--version"}, 0, "fairlead " FAIRLEAD_VERSION "\n"},
        {{"kube-proxy", "--help"}, 0, "Usage: fairlead proxy"},
        {{"/usr/local/bin/kube-proxy", "--help"}, 0, "Usage: fairlead proxy"},
        {{"./kube-proxy", "--hostname-override=n1", "--help"}, 0, "Usage: fairlead proxy"},
        {{"kube-proxy", "--nonsense"}, 2, "fairlead proxy: "},
        {{"kube-proxy", "status"}, 2, "fairlead proxy: "},
        {{"kube-proxy", "--config=/nonexistent/config.conf"}, 1, "fairlead proxy: /nonexistent/config.conf"},
        /* Neither a folder of that name nor a longer name is it. */
        {{"/opt/kube-proxy/fairlead", "--version"}, 0, "fairlead " FAIRLEAD_VERSION "\n"},
        {{"kube-proxy-2", "--help"}, 0, "fairlead: Kubernetes Service networking"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct result result;
        run((char *const *)cases[i].argv, &result);
        if (result.status != cases[i].status ||
            strncmp(result.output, cases[i].begins, strlen(cases[i].begins)) != 0)
            fail_msg("%s %s: ended with %d and said: %s", cases[i].argv[0],
                     cases[i].argv[1] ? cases[i].argv[1] : "", result.status, result.output);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_name_decides)};
    if (argc != 2) {
        fprintf(stderr, "usage: main_test PROGRAM\n");
        return 2;
    }
    program = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
