/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/arena.h"
#include "base/cleanup.h"
#include "daemon/commands.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* program: a name of the binary itself that stands for the command, so that an image of fairlead takes
 * another's place with the command line that is there. */
static const struct command {
    const char *name;
    int (*main)(int argc, char *const *argv);
    const char *help, *program;
} commands[] = {
    {"standalone", standalone_main, "serve a folder of manifests, and the Kubernetes API, on this node"},
    {"proxy", proxy_main, "serve what a cluster's apiserver says on this node, as kube-proxy does",
     "kube-proxy"},
    {"check", check_main, "say what is wrong with manifests, without serving them"},
    {"status", status_main, "how the daemon of this node is"},
    {"explain", explain_main, "why a packet to ADDRESS:PORT goes where it goes"},
    {"dump", dump_main, "what the daemon has in store, decided, and put into the kernel"},
    {"probe", probe_main, "which modes this node can do, and why not the others"},
    {"cleanup", cleanup_main, "remove everything that fairlead ever put into this node's kernel"},
    {"kubeconfig", kubeconfig_main, "let a node's proxy read from the embedded API server"},
    {"version", version_main, "say the version"},
};

static void usage(FILE *out)
{
    fprintf(out,
            "fairlead: Kubernetes Service networking on plain Linux\n\nUsage: fairlead COMMAND [--help]\n\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].help);
}

int main(int argc, char **argv)
{
    /* Out of memory ends the process (base/arena.h); libjansson would go on without a word. */
    json_set_alloc_funcs(xmalloc, free);
    for (size_t i = 0; argc > 0 && i < ARRAY_LEN(commands); i++)
        if (commands[i].program && strcmp(commands[i].program, basename(argv[0])) == 0)
            return commands[i].main(argc - 1, argv + 1);
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return 0;
    }
    const char *name = strcmp(argv[1], "--version") == 0 ? "version" : argv[1];
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].main(argc - 2, argv + 2);
    fprintf(stderr, "fairlead: \"%.64s\" is not a command; see fairlead --help\n", argv[1]);
    return 2;
}
