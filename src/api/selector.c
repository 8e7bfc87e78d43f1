/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/selector_terms.h"

#include "api/encode.h"
#include "api/names.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum token {
    TOKEN_END,
    TOKEN_WORD,
    TOKEN_IN,
    TOKEN_NOT_IN,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_COMMA,
    TOKEN_NOT,
    TOKEN_EQUAL,
    TOKEN_NOT_EQUAL,
    TOKEN_ABOVE,
    TOKEN_BELOW
};

/* token and literal are the next ones, not yet taken. */
struct parser {
    const char *rest;
    struct arena *arena;
    enum token token;
    const char *literal;
};

static void read_symbol(struct parser *parser)
{
    static const struct {
        const char *text;
        enum token token;
    } symbols[] = {
        {"==", TOKEN_EQUAL}, {"!=", TOKEN_NOT_EQUAL}, {"=", TOKEN_EQUAL},
        {"!", TOKEN_NOT},    {"(", TOKEN_OPEN},       {")", TOKEN_CLOSE},
        {",", TOKEN_COMMA},  {">", TOKEN_ABOVE},      {"<", TOKEN_BELOW},
    };
    size_t i = 0;
    while (strncmp(parser->rest, symbols[i].text, strlen(symbols[i].text)) != 0)
        i++;
    parser->token = symbols[i].token;
    parser->literal = symbols[i].text;
    parser->rest += strlen(symbols[i].text);
}

static void advance(struct parser *parser)
{
    parser->rest += strspn(parser->rest, " \t\r\n");
    size_t len = strcspn(parser->rest, " \t\r\n=!(),><");
    if (len == 0 && *parser->rest) {
        read_symbol(parser);
        return;
    }
    parser->literal = arena_strndup(parser->arena, parser->rest, len);
    parser->rest += len;
    if (len == 0)
        parser->token = TOKEN_END;
    else if (strcmp(parser->literal, "in") == 0)
        parser->token = TOKEN_IN;
    else if (strcmp(parser->literal, "notin") == 0)
        parser->token = TOKEN_NOT_IN;
    else
        parser->token = TOKEN_WORD;
}

/* `in` and `notin` are words wherever no operator is due. */
static bool is_word(const struct parser *parser)
{
    return parser->token == TOKEN_WORD || parser->token == TOKEN_IN || parser->token == TOKEN_NOT_IN;
}

static int fail(const struct parser *parser, struct err *err, const char *expected)
{
    return err_set(err, EINVAL, "unable to parse requirement: found '%s', expected: %s", parser->literal,
                   expected);
}

static void add_value(struct requirement *requirement, struct arena *arena, const char *value)
{
    /* Grows by doubling: the count is a power of two whenever there is no more room. */
    size_t count = requirement->value_count;
    if ((count & (count - 1)) == 0) {
        const char **values = arena_array(arena, const char *, count ? 2 * count : 1);
        if (count)
            memcpy(values, requirement->values, count * sizeof(*values));
        requirement->values = values;
    }
    requirement->values[requirement->value_count++] = value;
}

/* NULL when the key is well-formed. */
static const char *key_fault(const char *key, struct arena *arena)
{
    struct faults faults = {.arena = arena};
    if (check_qualified_name(&faults, NULL, key))
        return NULL;
    const char *quoted = encode_quoted(key, arena);
    size_t head = strlen("Invalid value: ") + strlen(quoted) + strlen(": ");
    /* The root of a path without names is called so. */
    const char *sentence = arena_printf(arena, "<nil>: %s", faults.list[0].message);
    for (size_t i = 1; i < faults_kept(&faults); i++)
        sentence = arena_printf(arena, "%s; %s", sentence, faults.list[i].message + head);
    return sentence;
}

static bool is_integer(const char *text)
{
    char *end;
    errno = 0;
    strtoll(text, &end, 10);
    return (*text == '-' || *text == '+' || (*text >= '0' && *text <= '9')) && *end == '\0' && errno == 0;
}

int selector_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts them, each once. */
static void sort_values(struct requirement *requirement)
{
    const char **values = requirement->values;
    size_t kept = 0;
    qsort(values, requirement->value_count, sizeof(*values), selector_compare);
    for (size_t i = 0; i < requirement->value_count; i++)
        if (i == 0 || strcmp(values[i], values[kept - 1]) != 0)
            values[kept++] = values[i];
    requirement->value_count = kept;
}

static int check_values(struct requirement *requirement, struct arena *arena, struct err *err)
{
    bool is_comparison = requirement->operator_ == OPERATOR_ABOVE || requirement->operator_ == OPERATOR_BELOW;
    const struct path *values = path_field(NULL, "values");
    struct faults faults = {.arena = arena};
    sort_values(requirement);
    for (size_t i = 0; i < requirement->value_count; i++) {
        const char *value = requirement->values[i];
        if (is_comparison && !is_integer(value))
            fault_invalid(&faults, path_index(values, i), value,
                          "for 'Gt', 'Lt' operators, the value must be an integer");
        const char *detail = join_rule(value, label_value_rule, arena);
        if (detail)
            fault_invalid(&faults, path_key(path_index(values, i), requirement->key), value, detail);
    }
    if (faults.count > 0)
        return err_set(err, EINVAL, "unable to parse requirement: %s", faults_format(&faults));
    return 0;
}

/* The values in parentheses, of which any may be empty: `(a,,b)`, `()`. */
static int parse_values(struct parser *parser, struct requirement *requirement, struct err *err)
{
    if (parser->token != TOKEN_OPEN)
        return err_set(err, EINVAL, "unable to parse requirement: found '%s' expected: '('", parser->literal);
    advance(parser);
    if (!is_word(parser) && parser->token != TOKEN_COMMA && parser->token != TOKEN_CLOSE)
        return fail(parser, err, "',', ')' or identifier");
    for (;;) {
        bool has_word = is_word(parser);
        add_value(requirement, parser->arena, has_word ? parser->literal : "");
        if (has_word)
            advance(parser);
        if (parser->token == TOKEN_CLOSE)
            break;
        if (parser->token != TOKEN_COMMA)
            return fail(parser, err, "',' or ')'");
        advance(parser);
        if (!is_word(parser) && parser->token != TOKEN_COMMA && parser->token != TOKEN_CLOSE)
            return fail(parser, err, "',', or identifier");
    }
    advance(parser);
    return 0;
}

static int parse_operator(struct parser *parser, struct requirement *requirement, struct err *err)
{
    enum token token = parser->token;
    if (token == TOKEN_IN || token == TOKEN_EQUAL)
        requirement->operator_ = OPERATOR_IN;
    else if (token == TOKEN_NOT_IN || token == TOKEN_NOT_EQUAL)
        requirement->operator_ = OPERATOR_NOT_IN;
    else if (token == TOKEN_ABOVE || token == TOKEN_BELOW)
        requirement->operator_ = token == TOKEN_ABOVE ? OPERATOR_ABOVE : OPERATOR_BELOW;
    else
        return fail(parser, err, "in, notin, =, ==, !=, gt, lt");
    advance(parser);
    if (token == TOKEN_IN || token == TOKEN_NOT_IN)
        return parse_values(parser, requirement, err);
    if (parser->token == TOKEN_END || parser->token == TOKEN_COMMA) {
        add_value(requirement, parser->arena, "");
        return 0;
    }
    if (!is_word(parser))
        return fail(parser, err, "identifier");
    add_value(requirement, parser->arena, parser->literal);
    advance(parser);
    return 0;
}

static int parse_requirement(struct parser *parser, struct requirement *requirement, struct err *err)
{
    bool is_negated = parser->token == TOKEN_NOT;
    if (is_negated)
        advance(parser);
    if (!is_word(parser))
        return fail(parser, err, "identifier");
    const char *fault = key_fault(parser->literal, parser->arena);
    if (fault)
        return err_set(err, EINVAL, "unable to parse requirement: %s", fault);
    requirement->key = parser->literal;
    advance(parser);
    requirement->operator_ = is_negated ? OPERATOR_MISSING : OPERATOR_EXISTS;
    if (is_negated || parser->token == TOKEN_END || parser->token == TOKEN_COMMA)
        return 0;
    int ret = parse_operator(parser, requirement, err);
    return ret < 0 ? ret : check_values(requirement, parser->arena, err);
}

struct requirement *selector_add(struct selector *selector, struct arena *arena)
{
    struct requirement *requirement = arena_new(arena, struct requirement);
    *selector->last = requirement;
    selector->last = &requirement->next;
    return requirement;
}

struct selector *selector_new(struct arena *arena)
{
    struct selector *selector = arena_new(arena, struct selector);
    selector->last = &selector->first;
    return selector;
}

int label_selector_parse(const char *text, struct arena *arena, struct selector **ret, struct err *err)
{
    if (strlen(text) > SELECTOR_MAX)
        return err_set(err, EINVAL, "a selector may not be longer than %zu bytes", SELECTOR_MAX);
    struct selector *selector = selector_new(arena);
    struct parser parser = {.rest = text, .arena = arena};
    advance(&parser);
    while (parser.token != TOKEN_END) {
        if (!is_word(&parser) && parser.token != TOKEN_NOT)
            return err_set(err, EINVAL, "found '%s', expected: !, identifier, or 'end of string'",
                           parser.literal);
        int failed = parse_requirement(&parser, selector_add(selector, arena), err);
        if (failed < 0)
            return failed;
        if (parser.token == TOKEN_END)
            break;
        if (parser.token != TOKEN_COMMA)
            return err_set(err, EINVAL, "found '%s', expected: ',' or 'end of string'", parser.literal);
        advance(&parser);
        if (!is_word(&parser) && parser.token != TOKEN_NOT)
            return err_set(err, EINVAL, "found '%s', expected: identifier after ','", parser.literal);
    }
    *ret = selector;
    return 0;
}

static bool has_value(const struct requirement *requirement, const char *value)
{
    return bsearch(&value, requirement->values, requirement->value_count, sizeof(*requirement->values),
                   selector_compare);
}

static bool compares(const struct requirement *requirement, const char *value)
{
    if (!value || !is_integer(value))
        return false;
    long long actual = strtoll(value, NULL, 10), bound = strtoll(requirement->values[0], NULL, 10);
    return requirement->operator_ == OPERATOR_ABOVE ? actual > bound : actual < bound;
}

bool label_selector_matches(const struct selector *selector, Meta__StringEntry *const *labels, size_t count)
{
    for (const struct requirement *requirement = selector->first; requirement;
         requirement = requirement->next) {
        const char *value = api_entry(labels, count, requirement->key);
        bool is_met = false;
        switch (requirement->operator_) {
        case OPERATOR_IN:
            is_met = value && has_value(requirement, value);
            break;
        case OPERATOR_NOT_IN:
            is_met = !value || !has_value(requirement, value);
            break;
        case OPERATOR_EXISTS:
            is_met = value;
            break;
        case OPERATOR_MISSING:
            is_met = !value;
            break;
        case OPERATOR_ABOVE:
        case OPERATOR_BELOW:
            is_met = compares(requirement, value);
            break;
        }
        if (!is_met)
            return false;
    }
    return true;
}
