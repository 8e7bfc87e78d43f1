/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/documents.h"
#include "base/cleanup.h"
#include "daemon/commands.h"
#include "daemon/options.h"
#include "daemon/takeover.h"
#include "dataplane/dataplane.h"
#include "source/manifests.h"
#include "sys/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The commands of which the daemon, or nobody, does the work. */

#define ARGUMENTS_MAX 16

struct request {
    const char *control_socket;
    char *arguments[ARGUMENTS_MAX];
    int count;
    bool shows_help;
};

/* Takes --control-socket out; the rest goes to the daemon as it is. */
static int parse(const char *command, int argc, char *const *argv, struct request *ret, struct err *err)
{
    *ret = (struct request){
        .control_socket = CONTROL_SOCKET_DEFAULT, .arguments = {(char *)command}, .count = 1};
    const char *flag = "--control-socket";
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            ret->shows_help = true;
        } else if (strncmp(argv[i], flag, strlen(flag)) == 0 && argv[i][strlen(flag)] == '=') {
            ret->control_socket = argv[i] + strlen(flag) + 1;
        } else if (strcmp(argv[i], flag) == 0) {
            if (++i == argc)
                return err_set(err, EINVAL, "%s needs a value: PATH", flag);
            ret->control_socket = argv[i];
        } else if (ret->count == ARGUMENTS_MAX) {
            return err_set(err, EINVAL, "too many arguments");
        } else {
            ret->arguments[ret->count++] = argv[i];
        }
    }
    return 0;
}

/* argument is what the command cannot do without, or NULL. */
static int call_daemon(const char *command, const char *argument, const char *usage, int argc,
                       char *const *argv)
{
    struct request request;
    struct err err;
    int code = parse(command, argc, argv, &request, &err);
    if (code < 0) {
        fprintf(stderr, "fairlead %s: %s\n", command, err.text);
        return 2;
    }
    if (request.shows_help) {
        printf("Usage: fairlead %s\n", usage);
        return 0;
    }
    if (argument && request.count == 1) {
        fprintf(stderr, "fairlead %s: %s is missing; see fairlead %s --help\n", command, argument, command);
        return 2;
    }
    code = control_call(request.control_socket, request.count, request.arguments, stdout, &err);
    if (code < 0)
        fprintf(stderr, "fairlead %s: %s\n", command, err.text);
    return code < 0;
}

int status_main(int argc, char *const *argv)
{
    return call_daemon("status", NULL, "status [--control-socket PATH]\nExit status 0 says: in sync.", argc,
                       argv);
}

int explain_main(int argc, char *const *argv)
{
    return call_daemon("explain", "ADDRESS:PORT",
                       "explain ADDRESS:PORT[/PROTOCOL] [--from ADDRESS] [--control-socket PATH]\n"
                       "For example: fairlead explain 10.96.0.10:53/udp --from 10.244.1.5",
                       argc, argv);
}

int dump_main(int argc, char *const *argv)
{
    return call_daemon("dump", NULL, "dump [store|forwarding|dataplane] [--control-socket PATH]", argc, argv);
}

int cleanup_main(int argc, char *const *argv)
{
    struct err err;
    if (argc > 0) {
        bool is_help = strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0;
        fprintf(is_help ? stdout : stderr, "Usage: fairlead cleanup\n");
        return is_help ? 0 : 2;
    }
    if (nftables_dataplane.probe(&err) != -EPERM)
        return takeover_clean_up_own();
    fprintf(stderr, "fairlead cleanup: %s\n", err.text);
    return 1;
}

int version_main(int argc, char *const *argv)
{
    (void)argc;
    (void)argv;
    printf("fairlead " FAIRLEAD_VERSION "\n");
    return 0;
}
