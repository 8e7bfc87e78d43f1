/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/documents.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "daemon/commands.h"
#include "sys/read_file.h"

#include <stdio.h>
#include <string.h>

struct tally {
    unsigned objects, refused, warnings, passed_over;
};

static void print_name(FILE *out, const struct document *document)
{
    fprintf(out, "%s:%d:%d: %s", document->file, document->line, document->column,
            document->kind ? document->kind : "document");
    if (document->name)
        fprintf(out, " %s%s%s", document->namespace_ ? document->namespace_ : "",
                document->namespace_ && *document->namespace_ ? "/" : "", document->name);
}

static void judge(void *context, const struct document *document)
{
    struct tally *tally = context;
    for (size_t i = 0; i < document->warning_count; i++) {
        print_name(stdout, document);
        printf(": warning: %s\n", document->warnings[i]);
        tally->warnings++;
    }
    print_name(stdout, document);
    if (document->passed_over)
        printf(": passed over, fairlead does not use this kind\n");
    else if (!document->object)
        printf(": refused: %s\n", document->refusal);
    else
        printf(": ok\n");
    tally->passed_over += document->passed_over;
    tally->refused += !document->passed_over && !document->object;
    tally->objects += document->object != NULL;
}

int check_main(int argc, char *const *argv)
{
    struct tally tally = {0};
    bool is_help = argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0);
    if (argc == 0 || is_help) {
        fprintf(is_help ? stdout : stderr, "Usage: fairlead check FILE...\n");
        return is_help ? 0 : 2;
    }
    for (int i = 0; i < argc; i++) {
        struct err err;
        cleanup_free char *bytes = NULL;
        size_t len;
        if (read_file_whole(argv[i], DOCUMENTS_FILE_MAX, &bytes, &len, &err) < 0) {
            printf("%s\n", err.text);
            tally.refused++;
            continue;
        }
        /* A syntax error is reported through judge as well. */
        documents_read(argv[i], bytes, len, judge, &tally, &err);
    }
    printf("%u objects ok, %u refused, %u warnings, %u passed over\n", tally.objects, tally.refused,
           tally.warnings, tally.passed_over);
    return tally.refused > 0;
}
