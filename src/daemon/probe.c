/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cleanup.h"
#include "base/text.h"
#include "daemon/commands.h"
#include "daemon/modes.h"

#include <stdio.h>
#include <string.h>

/* `fairlead probe`: which modes could serve here, with the rights of whoever asks. */

struct question {
    int argc;
    char *const *argv;
    bool is_wanting; /* something that was asked for cannot be had */
};

static bool is_asked(const struct question *question, const char *mode)
{
    for (int i = 0; i < question->argc; i++)
        if (strcmp(question->argv[i], mode) == 0)
            return true;
    return question->argc == 0;
}

/* Several stand for it: which one serves is the answer. */
static void say_choice(const struct mode_finding *finding, struct text *ret)
{
    text_printf(ret, "%s: the first of", finding->serves->name);
    for (size_t i = 0; i < finding->choice_count; i++)
        text_printf(ret, "%s %s", i ? "," : "", finding->choices[i]);
    text_add(ret, " that can serve here");
    if (*finding->reason.text)
        text_printf(ret, "; %s", finding->reason.text);
}

static void visit(void *context, const struct mode_finding *finding)
{
    struct question *question = context;
    bool is_nameless = strcmp(finding->mode, MODE_KUBE_PROXY) == 0;
    bool is_itself = finding->serves && strcmp(finding->serves->name, finding->mode) == 0;
    struct text answer = {0};
    if (!is_asked(question, finding->mode))
        return;
    if (!finding->serves)
        text_printf(&answer, "no: %s; nothing serves instead", finding->reason.text);
    else if (is_itself)
        text_add(&answer, "yes");
    else if (strcmp(finding->choices[0], finding->mode) == 0)
        text_printf(&answer, "no: %s; %s serves instead", finding->reason.text, finding->serves->name);
    else
        say_choice(finding, &answer);
    printf("%-10s %s\n", is_nameless ? "(none)" : finding->mode, text_str(&answer));
    text_done(&answer);
    bool is_auto = strcmp(finding->mode, MODE_AUTO) == 0;
    question->is_wanting |=
        question->argc > 0 ? !is_itself && !(is_auto && finding->serves) : is_auto && !finding->serves;
}

int probe_main(int argc, char *const *argv)
{
    struct question question = {.argc = argc, .argv = argv};
    bool is_help = argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0);
    if (is_help) {
        printf("Usage: fairlead probe [MODE...]\n\n"
               "Which modes this node can do, by the rights of whoever asks, and what serves instead of one "
               "that\n"
               "it cannot. (none) is what a configuration of kube-proxy comes to that names no mode. Modes: "
               "%s.\n"
               "Exit status 0 says: the modes that were named can serve, or without a name one of them.\n",
               modes_list());
        return 0;
    }
    for (int i = 0; i < argc; i++)
        if (!modes_has(argv[i])) {
            fprintf(stderr, "fairlead probe: \"%.64s\" is not a mode: %s are\n", argv[i], modes_list());
            return 2;
        }
    modes_probe(visit, &question);
    return question.is_wanting;
}
