/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel holds in the current network namespace, as one line of JSON. */
#include "base/log.h"
#include "base/text.h"
#include "kernel.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct total {
    struct text sets;
    uint64_t elements;
};

static void total_add(void *context, const char *table, const char *set, uint64_t elements)
{
    struct total *total = context;

    text_printf(&total->sets, "%s\"%s/%s\": %llu", total->sets.len ? ", " : "", table, set,
                (unsigned long long)elements);
    total->elements += elements;
}

int main(int argc, char **argv)
{
    struct total total = {0};
    struct err err;

    if (argc != 2 || (strcmp(argv[1], "count") != 0 && strcmp(argv[1], "flush-conntrack") != 0)) {
        fprintf(stderr, "usage: bench-rules count | flush-conntrack\n");
        return 2;
    }
    if (strcmp(argv[1], "flush-conntrack") == 0 ? conntrack_flush(&err) < 0
                                                : sets_count(total_add, &total, &err) < 0) {
        log_error("%s", err.text);
        return 1;
    }
    if (strcmp(argv[1], "count") == 0)
        printf("{\"elements\": %llu, \"sets\": {%s}}\n", (unsigned long long)total.elements,
               text_str(&total.sets));
    text_done(&total.sets);
    return 0;
}
