/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/faults.h"

#include "api/encode.h"

#include <string.h>

static void add(struct faults *faults, const struct path *path, const char *what, const char *value,
                const char *detail)
{
    struct arena *arena = faults->arena;
    if (faults->count == 0 && faults->tape) {
        const struct tape_node *node = tape_locate(faults->tape, path);
        if (node) {
            faults->line = node->line;
            faults->column = node->column;
        }
    }
    if (faults->count++ >= FAULTS_MAX)
        return;
    faults->sentences[faults->count - 1] =
        arena_printf(arena, "%s: %s%s%s%s%s", path_format(path, arena), what, value ? ": " : "",
                     value ? value : "", detail && *detail ? ": " : "", detail ? detail : "");
}

void fault_invalid(struct faults *faults, const struct path *path, const char *value, const char *detail)
{
    add(faults, path, "Invalid value", encode_quoted(value, faults->arena), detail);
}

void fault_invalid_number(struct faults *faults, const struct path *path, long long value, const char *detail)
{
    add(faults, path, "Invalid value", arena_printf(faults->arena, "%lld", value), detail);
}

void fault_invalid_list(struct faults *faults, const struct path *path, char *const *values, size_t count,
                        const char *detail)
{
    struct text list = {0};
    text_add(&list, "[");
    for (size_t i = 0; i < count; i++)
        text_printf(&list, "%s%s", i ? "," : "", encode_quoted(values[i], faults->arena));
    text_add(&list, "]");
    add(faults, path, "Invalid value", arena_strdup(faults->arena, text_str(&list)), detail);
    text_done(&list);
}

void fault_required(struct faults *faults, const struct path *path, const char *detail)
{
    add(faults, path, "Required value", NULL, detail);
}

void fault_forbidden(struct faults *faults, const struct path *path, const char *detail)
{
    add(faults, path, "Forbidden", NULL, detail);
}

void fault_unsupported(struct faults *faults, const struct path *path, const char *value,
                       const char *const *supported)
{
    struct text list = {0};
    text_add(&list, "supported values: ");
    for (size_t i = 0; supported[i]; i++)
        text_printf(&list, "%s\"%s\"", i ? ", " : "", supported[i]);
    add(faults, path, "Unsupported value", encode_quoted(value, faults->arena),
        arena_strdup(faults->arena, text_str(&list)));
    text_done(&list);
}

void fault_duplicate(struct faults *faults, const struct path *path, const char *value)
{
    add(faults, path, "Duplicate value", encode_quoted(value, faults->arena), NULL);
}

void fault_duplicate_raw(struct faults *faults, const struct path *path, const char *value)
{
    add(faults, path, "Duplicate value", value, NULL);
}

void fault_too_many(struct faults *faults, const struct path *path, size_t actual, unsigned most)
{
    add(faults, path, "Too many", arena_printf(faults->arena, "%zu", actual),
        arena_printf(faults->arena, "must have at most %u item%s", most, most == 1 ? "" : "s"));
}

void fault_too_long(struct faults *faults, const struct path *path, unsigned most_bytes)
{
    add(faults, path, "Too long", NULL,
        arena_printf(faults->arena, "may not be more than %u bytes", most_bytes));
}

static bool is_repeated(const struct faults *faults, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(faults->sentences[i], faults->sentences[index]) == 0)
            return true;
    return false;
}

const char *faults_format(const struct faults *faults)
{
    size_t kept = faults->count < FAULTS_MAX ? faults->count : FAULTS_MAX, distinct = 0;
    struct text list = {0};
    for (size_t i = 0; i < kept; i++)
        if (!is_repeated(faults, i))
            text_printf(&list, "%s%s", distinct++ ? ", " : "", faults->sentences[i]);
    if (faults->count > kept)
        text_printf(&list, ", and %zu more", faults->count - kept);
    bool is_single = distinct == 1 && faults->count == kept;
    const char *joined = arena_printf(faults->arena, is_single ? "%s" : "[%s]", text_str(&list));
    text_done(&list);
    return joined;
}
