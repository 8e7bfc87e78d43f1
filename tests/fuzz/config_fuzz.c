/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"
#include "config/proxy_options.h"
#include "fuzz_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A command line, a word on each line, and behind an empty line the configuration file, if there is one. The
 * properties: it is refused with words, or it comes to a configuration whose written form reads back as the
 * same one, without a warning that the first reading did not have. */

#define WORDS_MAX 64

static void require(bool holds, const char *what, const char *more)
{
    if (holds)
        return;
    fprintf(stderr, "%s: %s\n", what, more ? more : "");
    abort();
}

static int split(char *text, char *words[WORDS_MAX])
{
    int count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(text, "\n", &rest); word && count < WORDS_MAX;
         word = strtok_r(NULL, "\n", &rest))
        words[count++] = word;
    return count;
}

/* What was written is a file like any other. */
static void read_back(const struct proxy_config *config, struct arena *arena)
{
    struct proxy_options none;
    struct proxy_config again;
    struct proxy_report report;
    struct text first = {0}, second = {0};
    config_write(config, &first);
    require(proxy_options_parse(0, NULL, arena, &none, NULL) == 0, "no flags are refused", NULL);
    if (!proxy_options_resolve(&none, text_str(&first), first.len, arena, &again, &report))
        require(false, report.refusal, text_str(&first));
    for (size_t i = 0; i < report.warning_count; i++)
        require(!strstr(report.warnings[i], "strict decoding"), report.warnings[i], text_str(&first));
    config_write(&again, &second);
    require(strcmp(text_str(&first), text_str(&second)) == 0, text_str(&first), text_str(&second));
    text_done(&first);
    text_done(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = calloc(1, size + 1), *words[WORDS_MAX];
    struct arena arena;
    struct proxy_options options;
    struct proxy_config config;
    struct proxy_report report = {0};
    struct err err = {""};
    if (size > 0)
        memcpy(text, data, size);
    arena_init(&arena);
    char *file = size > 0 && *text == '\n' ? text : strstr(text, "\n\n");
    size_t skipped = file ? (size_t)(file - text) + (file == text ? 1 : 2) : 0;
    if (file)
        *file = '\0';
    int count = split(text, words);
    if (proxy_options_parse(count, words, &arena, &options, &err) < 0)
        require(*err.text, "a refusal has no words", NULL);
    else if (!proxy_options_resolve(&options, file ? text + skipped : NULL, file ? size - skipped : 0, &arena,
                                    &config, &report))
        require(report.refusal && *report.refusal, "a refusal has no words", NULL);
    else
        read_back(&config, &arena);
    arena_done(&arena);
    free(text);
    return 0;
}
