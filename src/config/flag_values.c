/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/flag_values.h"

#include "api/names.h"
#include "api/quantity_form.h"
#include "base/cleanup.h"
#include "config/duration.h"
#include "config/host_port.h"
#include "config/settings.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define LIST_MAX 1024

static int parse_bool(const char *value, bool *ret, struct err *err)
{
    static const char *const words[][6] = {{"0", "f", "F", "FALSE", "false", "False"},
                                           {"1", "t", "T", "TRUE", "true", "True"}};
    for (int is_true = 0; is_true < 2; is_true++)
        for (size_t i = 0; i < ARRAY_LEN(words[0]); i++)
            if (strcmp(value, words[is_true][i]) == 0) {
                *ret = is_true;
                return 0;
            }
    return err_set(err, EINVAL, "strconv.ParseBool: parsing \"%.100s\": invalid syntax", value);
}

static int parse_integer(const char *value, long long first, long long last, const char *function,
                         long long *ret, struct err *err)
{
    char *end;
    errno = 0;
    bool is_digit = value[0] == '-' || value[0] == '+' ? value[1] >= '0' && value[1] <= '9'
                                                       : value[0] >= '0' && value[0] <= '9';
    long long number = strtoll(value, &end, 0);
    if (!is_digit || *end || (first == 0 && (*value == '-' || *value == '+')))
        return err_set(err, EINVAL, "strconv.%s: parsing \"%.100s\": invalid syntax", function, value);
    if (errno == ERANGE || number < first || number > last)
        return err_set(err, EINVAL, "strconv.%s: parsing \"%.100s\": value out of range", function, value);
    *ret = number;
    return 0;
}

static int set_integer(enum flag_type type, void *where, const char *value, struct err *err)
{
    long long number;
    bool is_level = type == FLAG_LEVEL;
    int code = is_level ? parse_integer(value, 0, INT32_MAX, "ParseUint", &number, err)
                        : parse_integer(value, INT32_MIN, INT32_MAX, "ParseInt", &number, err);
    if (code < 0)
        return code;
    if (is_level)
        *(int64_t *)where = number;
    else
        *(int32_t *)where = (int32_t)number;
    return 0;
}

static int set_float(float *where, const char *value, struct err *err)
{
    char *end;
    float number = strtof(value, &end);
    if (!*value || *end || strchr(" \t\n", *value))
        return err_set(err, EINVAL, "strconv.ParseFloat: parsing \"%.100s\": invalid syntax", value);
    if (!isfinite(number))
        return err_set(err, EINVAL, "strconv.ParseFloat: parsing \"%.100s\": value out of range", value);
    *where = number;
    return 0;
}

static int set_address(enum flag_type type, const char **where, const char *value, struct arena *arena,
                       struct err *err)
{
    struct address address;
    const char *host, *port;
    uint16_t number;
    if (!*value)
        return 0;
    bool is_address = address_parse_loosely(value, arena, &address);
    if (!is_address && type == FLAG_IP)
        return err_set(err, EINVAL, "\"%.100s\" is not a valid IP address", value);
    if (!is_address && !host_port_split(value, arena, &host, &port))
        return err_set(err, EINVAL, "\"%.100s\" is not in a valid format (ip or ip:port)", value);
    if (!is_address && !address_parse_loosely(host, arena, &address))
        return err_set(err, EINVAL, "\"%.100s\" is not a valid IP address", host);
    if (!is_address && strcmp(port, "0") != 0 && port_parse(port, &number, NULL) < 0)
        return err_set(err, EINVAL, "\"%.100s\" is not a valid number", port);
    *where = value;
    return 0;
}

static int add_list(struct text_list *where, const char *value, struct arena *arena, struct err *err)
{
    struct text_list more = settings_split(value, arena);
    if (!*value)
        more.count = 0;
    if (where->count + more.count > LIST_MAX)
        return err_set(err, EINVAL, "there are more than %d values", LIST_MAX);
    const char **items = arena_array(arena, const char *, where->count + more.count);
    if (where->count > 0)
        memcpy(items, where->items, where->count * sizeof(*items));
    memcpy(items + where->count, more.items, more.count * sizeof(*items));
    *where = (struct text_list){items, where->count + more.count};
    return 0;
}

static char *trimmed(const char *text, size_t len, struct arena *arena)
{
    while (len > 0 && strchr(" \t", *text))
        text++, len--;
    while (len > 0 && strchr(" \t", text[len - 1]))
        len--;
    return arena_strndup(arena, text, len);
}

static int add_gates(struct proxy_settings *settings, const char *value, struct arena *arena, struct err *err)
{
    struct text_list pairs = settings_split(value, arena);
    for (size_t i = 0; i < pairs.count; i++) {
        const char *pair = pairs.items[i], *equals = strchr(pair, '=');
        bool is_on;
        struct err inner = {""};
        if (!*pair)
            continue;
        if (!equals)
            return err_set(err, EINVAL, "malformed pair, expect string=bool");
        const char *name = trimmed(pair, (size_t)(equals - pair), arena);
        const char *given = trimmed(equals + 1, strlen(equals + 1), arena);
        if (parse_bool(given, &is_on, &inner) < 0)
            return err_set(err, EINVAL, "invalid value of %.100s: %.100s, err: %.200s", name, given,
                           inner.text);
        if (!settings_set_gate(settings, name, is_on, arena))
            return err_set(err, EINVAL, "there are more than %d feature gates", SETTINGS_GATES_MAX);
    }
    return 0;
}

static int set_vmodule(struct logging_settings *logging, const char *value, struct arena *arena,
                       struct err *err)
{
    struct text_list pairs = settings_split(value, arena);
    struct vmodule_setting *items = arena_array(arena, struct vmodule_setting, pairs.count);
    size_t count = 0;
    for (size_t i = 0; i < pairs.count; i++) {
        const char *pair = pairs.items[i], *equals = strchr(pair, '=');
        long long level;
        struct err inner;
        if (!*pair)
            continue;
        if (!equals || equals == pair || strchr(equals + 1, '='))
            return err_set(err, EINVAL, "\"%.100s\" does not have the pattern=N format", pair);
        if (parse_integer(equals + 1, 0, INT32_MAX, "ParseUint", &level, &inner) < 0)
            return err_set(err, EINVAL, "parsing verbosity in \"%.100s\": %.200s", pair, inner.text);
        items[count++] = (struct vmodule_setting){arena_strndup(arena, pair, (size_t)(equals - pair)), level};
    }
    logging->vmodule = items;
    logging->vmodule_count = count;
    return 0;
}

static int set_quantity(const char **where, const char *value, struct arena *arena, struct err *err)
{
    if (quantity_form(value, arena, where))
        return 0;
    return err_set(err, EINVAL, "\"%.100s\" is not a quantity", value);
}

static int set_version(const char **where, const char *value, struct err *err)
{
    bool is_on;
    if (strcmp(value, "raw") == 0 || *value == 'v') {
        *where = value;
        return 0;
    }
    int code = parse_bool(value, &is_on, err);
    if (code == 0)
        *where = is_on ? "true" : "";
    return code;
}

int flag_value_set(enum flag_type type, void *where, const char *value, struct arena *arena, struct err *err)
{
    switch (type) {
    case FLAG_STRING:
        *(const char **)where = value;
        return 0;
    case FLAG_BOOL:
        return parse_bool(value, where, err);
    case FLAG_INT32:
    case FLAG_LEVEL:
        return set_integer(type, where, value, err);
    case FLAG_FLOAT:
        return set_float(where, value, err);
    case FLAG_DURATION:
        return duration_parse(value, where, err);
    case FLAG_IP:
    case FLAG_IP_PORT:
        return set_address(type, where, value, arena, err);
    case FLAG_LIST:
        return add_list(where, value, arena, err);
    case FLAG_GATES:
        return add_gates(where, value, arena, err);
    case FLAG_VMODULE:
        return set_vmodule(where, value, arena, err);
    case FLAG_QUANTITY:
        return set_quantity(where, value, arena, err);
    case FLAG_VERSION:
        return set_version(where, value, err);
    }
    return err_set(err, EINVAL, "no such type of flag");
}

size_t flag_value_size(enum flag_type type)
{
    bool is_text = type == FLAG_STRING || type == FLAG_QUANTITY;
    return is_text ? sizeof(const char *) : type == FLAG_BOOL ? sizeof(bool) : sizeof(int64_t);
}
