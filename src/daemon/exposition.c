/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/exposition.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void exposition_family(struct text *text, const char *name, const char *type, const char *help)
{
    text_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* The shortest decimal text that reads back as the same number, as Go's strconv.FormatFloat(x, 'g', -1, 64)
 * has it: with an exponent below 1e-4 and from 1e6 on. (strconv/ftoa.go) */
static void number_add(struct text *text, double number)
{
    char buffer[40] = "";
    int digits = 0;
    if (isinf(number) || isnan(number)) {
        text_add(text, isnan(number) ? "NaN" : number > 0 ? "+Inf" : "-Inf");
        return;
    }
    do
        snprintf(buffer, sizeof(buffer), "%.*e", digits++, number);
    while (digits <= 17 && strtod(buffer, NULL) != number);
    int exponent = atoi(strchr(buffer, 'e') + 1);
    if (exponent >= -4 && exponent < 6)
        snprintf(buffer, sizeof(buffer), "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 0, number);
    text_add(text, buffer);
}

/* After a comma unless it is the first; the format escapes backslash, quote and newline. */
void exposition_label(struct text *labels, const char *key, const char *value)
{
    text_printf(labels, "%s%s=\"", labels->len > 0 ? "," : "", key);
    for (const char *c = value; *c; c++) {
        if (*c == '\n')
            text_add(labels, "\\n");
        else if (*c == '\\' || *c == '"')
            text_printf(labels, "\\%c", *c);
        else
            text_add_bytes(labels, c, 1);
    }
    text_add(labels, "\"");
}

static void sample_add(struct text *text, const char *name, const char *suffix, const struct text *labels,
                       double value)
{
    text_printf(text, "%s%s", name, suffix);
    if (labels->len > 0)
        text_printf(text, "{%s}", labels->data);
    text_add(text, " ");
    number_add(text, value);
    text_add(text, "\n");
}

void exposition_sample(struct text *text, const char *name, const struct text *labels, double value)
{
    sample_add(text, name, "", labels, value);
}

void exposition_histogram(struct text *text, const char *name, const struct text *labels,
                          const struct histogram *histogram)
{
    uint64_t total = 0;
    for (size_t i = 0; i <= histogram->bound_count; i++) {
        struct text with_bound = {0}, bound = {0};
        total += histogram->counts[i];
        number_add(&bound, i < histogram->bound_count ? histogram->bounds[i] : INFINITY);
        text_add(&with_bound, text_str(labels));
        exposition_label(&with_bound, "le", text_str(&bound));
        sample_add(text, name, "_bucket", &with_bound, (double)total);
        text_done(&with_bound);
        text_done(&bound);
    }
    sample_add(text, name, "_sum", labels, histogram->sum);
    sample_add(text, name, "_count", labels, (double)total);
}
