/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/flag_values.h"

#include "api/names.h"
#include "api/quantity_form.h"
#include "base/cleanup.h"
#include "config/duration.h"
#include "config/flag_list.h"
#include "config/host_port.h"
#include "config/settings.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

static bool is_letter(char c, char lower)
{
    return (c | 0x20) == lower;
}

/* Go takes `_` between digits, and behind the prefix of a base. false for one elsewhere; else a copy of
 * number without them. */
static bool drop_underscores(const char *number, bool has_prefix, char *ret, size_t size)
{
    size_t len = 0;
    bool may_follow = has_prefix;
    for (size_t at = 0; number[at]; at++) {
        bool is_score = number[at] == '_';
        if ((is_score && (!may_follow || !isxdigit((unsigned char)number[at + 1]))) || len + 1 >= size)
            return false;
        if (!is_score)
            ret[len++] = number[at];
        may_follow = isxdigit((unsigned char)number[at]);
    }
    ret[len] = '\0';
    return true;
}

/* The base that a number's prefix says, 10 without one; *ret_digits is what follows it. */
static int base_of(const char *number, const char **ret_digits)
{
    static const struct {
        char letter;
        int base;
    } prefixes[] = {{'x', 16}, {'o', 8}, {'b', 2}};
    for (size_t i = 0; i < ARRAY_LEN(prefixes) && number[0] == '0'; i++)
        if (is_letter(number[1], prefixes[i].letter)) {
            *ret_digits = number + 2;
            return prefixes[i].base;
        }
    bool is_octal = number[0] == '0' && number[1];
    *ret_digits = number + is_octal;
    return is_octal ? 8 : 10;
}

/* strconv.ParseInt with base 0. */
static int parse_int32(const char *value, int32_t *ret, struct err *err)
{
    char plain[80], *end;
    const char *digits, *number = value + (*value == '-' || *value == '+');
    int base = base_of(number, &digits);
    bool is_number =
        drop_underscores(digits, digits > number, plain, sizeof(plain)) && isxdigit((unsigned char)plain[0]);
    unsigned long long size = 0;
    errno = 0;
    if (is_number)
        size = strtoull(plain, &end, base);
    if (!is_number || *end)
        return err_set(err, EINVAL, "strconv.ParseInt: parsing \"%.100s\": invalid syntax", value);
    if (errno == ERANGE || size > (unsigned long long)INT32_MAX + (*value == '-'))
        return err_set(err, EINVAL, "strconv.ParseInt: parsing \"%.100s\": value out of range", value);
    *ret = (int32_t)(*value == '-' ? -(long long)size : (long long)size);
    return 0;
}

/* strconv.ParseUint with base 10 and 31 bits. */
static int parse_level(const char *value, int64_t *ret, struct err *err)
{
    size_t digits = strspn(value, "0123456789");
    if (digits == 0 || value[digits])
        return err_set(err, EINVAL, "strconv.ParseUint: parsing \"%.100s\": invalid syntax", value);
    errno = 0;
    unsigned long long number = strtoull(value, NULL, 10);
    if (errno == ERANGE || number > INT32_MAX)
        return err_set(err, EINVAL, "strconv.ParseUint: parsing \"%.100s\": value out of range", value);
    *ret = (int64_t)number;
    return 0;
}

/* What strconv.ParseFloat takes, but for infinities and what is no number, of which a rate cannot be made. */
static int set_float(float *where, const char *value, struct err *err)
{
    char plain[400], *end;
    const char *number = value + (*value == '-' || *value == '+');
    bool is_hex = number[0] == '0' && is_letter(number[1], 'x');
    bool is_digit =
        isdigit((unsigned char)number[0]) || (number[0] == '.' && isdigit((unsigned char)number[1]));
    bool is_word = strcasecmp(number, "inf") == 0 || strcasecmp(number, "infinity") == 0 ||
                   strcasecmp(value, "nan") == 0;
    bool is_good = is_word || (is_digit && drop_underscores(value, false, plain, sizeof(plain)) &&
                               (!is_hex || strpbrk(plain, "pP")));
    float result = INFINITY;
    if (is_good && !is_word) {
        result = strtof(plain, &end);
        is_good = !*end;
    }
    if (!is_good)
        return err_set(err, EINVAL, "strconv.ParseFloat: parsing \"%.100s\": invalid syntax", value);
    if (!isfinite(result))
        return err_set(err, EINVAL, "strconv.ParseFloat: parsing \"%.100s\": value out of range", value);
    *where = result;
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
        return err_set(err, EINVAL, "\"%.100s\" is not in a valid format (ip or ip:port): address %.100s: %s",
                       value, value, host_port_fault(value));
    if (!is_address && !address_parse_loosely(host, arena, &address))
        return err_set(err, EINVAL, "\"%.100s\" is not a valid IP address", host);
    if (!is_address && strcmp(port, "0") != 0 && port_parse(port, &number, NULL) < 0)
        return err_set(err, EINVAL, "\"%.100s\" is not a valid number", port);
    *where = value;
    return 0;
}

static int add_list(struct text_list *where, const char *value, struct arena *arena, struct err *err)
{
    struct text_list more;
    int code = flag_list_parse(value, arena, &more, err);
    if (code < 0)
        return code;
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
    size_t count = logging->vmodule_count;
    struct vmodule_setting *items = arena_array(arena, struct vmodule_setting, count + pairs.count);
    if (count > 0)
        memcpy(items, logging->vmodule, count * sizeof(*items));
    for (size_t i = 0; i < pairs.count; i++) {
        const char *pair = pairs.items[i], *equals = strchr(pair, '=');
        int64_t level;
        struct err inner;
        if (!*pair)
            continue;
        if (!equals || equals == pair || !equals[1] || strchr(equals + 1, '='))
            return err_set(err, EINVAL, "\"%.100s\" does not have the pattern=N format", pair);
        if (parse_level(equals + 1, &level, &inner) < 0)
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
        return parse_int32(value, where, err);
    case FLAG_LEVEL:
        return parse_level(value, where, err);
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
