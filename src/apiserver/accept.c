/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/accept.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ITEMS_MAX 64

struct piece {
    const char *start;
    size_t len;
};

/* One item of the header. */
struct wish {
    struct piece type, group, version, as;
    double weight;
};

static struct piece trim(const char *start, size_t len)
{
    while (len > 0 && (*start == ' ' || *start == '\t')) {
        start++;
        len--;
    }
    while (len > 0 && (start[len - 1] == ' ' || start[len - 1] == '\t'))
        len--;
    return (struct piece){start, len};
}

/* Takes the part before the separator off *rest. */
static struct piece next_piece(const char **rest, const char *end, char separator)
{
    const char *start = *rest;
    const char *stop = memchr(start, separator, (size_t)(end - start));
    *rest = stop ? stop + 1 : end;
    return trim(start, (size_t)((stop ? stop : end) - start));
}

static bool piece_is(struct piece piece, const char *text)
{
    return strlen(text) == piece.len && strncasecmp(piece.start, text, piece.len) == 0;
}

/* qvalue: 0 to 1 with three digits at most. */
static double parse_weight(struct piece value)
{
    char digits[6] = "";
    if (value.len == 0 || value.len >= sizeof(digits))
        return 1;
    memcpy(digits, value.start, value.len);
    if (strspn(digits, "0123456789.") != value.len)
        return 1;
    double weight = strtod(digits, NULL);
    return weight > 1 ? 1 : weight;
}

static struct wish parse_wish(struct piece item)
{
    const char *rest = item.start, *end = item.start + item.len;
    struct wish wish = {.type = next_piece(&rest, end, ';'), .weight = 1};
    while (rest < end) {
        struct piece parameter = next_piece(&rest, end, ';');
        const char *value = parameter.start, *stop = parameter.start + parameter.len;
        struct piece name = next_piece(&value, stop, '=');
        struct piece given = trim(value, (size_t)(stop - value));
        if (piece_is(name, "q"))
            wish.weight = parse_weight(given);
        else if (piece_is(name, "g"))
            wish.group = given;
        else if (piece_is(name, "v"))
            wish.version = given;
        else if (piece_is(name, "as"))
            wish.as = given;
    }
    return wish;
}

/* 2: by name, 1: by subtype wildcard, 0: by a full wildcard, -1: not at all. */
static int specificity(struct piece type, const char *offered)
{
    const char *slash = strchr(offered, '/');
    size_t family = (size_t)(slash - offered) + 1;
    if (piece_is(type, offered))
        return 2;
    if (type.len == family + 1 && strncasecmp(type.start, offered, family) == 0 && type.start[family] == '*')
        return 1;
    return piece_is(type, "*/*") || piece_is(type, "*") ? 0 : -1;
}

static bool is_kind_wanted(const struct wish *wish, const struct accept_offer *offer)
{
    if (!offer->as || wish->as.len == 0)
        return !offer->as && wish->as.len == 0;
    return piece_is(wish->as, offer->as) && piece_is(wish->group, offer->group) &&
           piece_is(wish->version, offer->version);
}

int accept_choose(const char *accept, const struct accept_offer *offers, size_t count)
{
    if (!accept || !*accept)
        return count > 0 ? 0 : -1;
    const char *rest = accept, *end = accept + strlen(accept);
    int best = -1, best_specificity = -1;
    double best_weight = 0;
    for (int i = 0; i < ITEMS_MAX && rest < end; i++) {
        struct wish wish = parse_wish(next_piece(&rest, end, ','));
        for (size_t j = 0; j < count; j++) {
            int fit = specificity(wish.type, offers[j].type);
            if (fit < 0 || !is_kind_wanted(&wish, &offers[j]))
                continue;
            if (wish.weight > best_weight ||
                (wish.weight > 0 && wish.weight == best_weight && fit > best_specificity)) {
                best = (int)j;
                best_weight = wish.weight;
                best_specificity = fit;
            }
            break;
        }
    }
    return best;
}
