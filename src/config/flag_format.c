/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/flag_values.h"

#include "config/duration.h"
#include "config/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* As short as it reads back. */
static void float_add(struct text *text, float number)
{
    char buffer[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(buffer, sizeof(buffer), "%.*g", digits, (double)number);
        if (strtof(buffer, NULL) == number)
            break;
    }
    text_add(text, buffer);
}

static void list_add(struct text *text, const struct text_list *list)
{
    text_add(text, "[");
    for (size_t i = 0; i < list->count; i++)
        text_printf(text, "%s%s", i > 0 ? "," : "", list->items[i]);
    text_add(text, "]");
}

static void gates_add(struct text *text, const struct proxy_settings *settings)
{
    for (size_t i = 0; i < settings->gate_count; i++)
        text_printf(text, "%s%s=%s", i > 0 ? "," : "", settings->gates[i].name,
                    settings->gates[i].value ? "true" : "false");
}

static void vmodule_add(struct text *text, const struct logging_settings *logging)
{
    for (size_t i = 0; i < logging->vmodule_count; i++)
        text_printf(text, "%s%s=%" PRId64, i > 0 ? "," : "", logging->vmodule[i].pattern,
                    logging->vmodule[i].verbosity);
}

/* NULL and "": not asked for. */
static void add_version(const char *word, struct text *text)
{
    text_add(text, word && *word ? word : "false");
}

void flag_value_format(enum flag_type type, const void *where, struct arena *arena, struct text *ret)
{
    switch (type) {
    case FLAG_STRING:
    case FLAG_IP:
    case FLAG_IP_PORT:
    case FLAG_QUANTITY:
        text_add(ret, *(const char *const *)where ? *(const char *const *)where : "");
        break;
    case FLAG_BOOL:
        text_add(ret, *(const bool *)where ? "true" : "false");
        break;
    case FLAG_INT32:
        text_printf(ret, "%" PRId32, *(const int32_t *)where);
        break;
    case FLAG_FLOAT:
        float_add(ret, *(const float *)where);
        break;
    case FLAG_DURATION:
        text_add(ret, duration_format(*(const int64_t *)where, arena));
        break;
    case FLAG_LIST:
        list_add(ret, where);
        break;
    case FLAG_GATES:
        gates_add(ret, where);
        break;
    case FLAG_LEVEL:
        text_printf(ret, "%" PRId64, *(const int64_t *)where);
        break;
    case FLAG_VMODULE:
        vmodule_add(ret, where);
        break;
    case FLAG_VERSION:
        add_version(*(const char *const *)where, ret);
        break;
    }
}
