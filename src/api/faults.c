/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/faults.h"

#include "api/encode.h"

#include <string.h>

/* k8s.io/apimachinery pkg/util/validation/field: ErrorType, and what it prints. */
enum fault_type {
    FAULT_INVALID,
    FAULT_REQUIRED,
    FAULT_FORBIDDEN,
    FAULT_NOT_SUPPORTED,
    FAULT_DUPLICATE,
    FAULT_NOT_FOUND,
    FAULT_TOO_MANY,
    FAULT_TOO_LONG,
    FAULT_INTERNAL,
};

static const struct {
    const char *reason, *words;
} fault_types[] = {
    [FAULT_INVALID] = {"FieldValueInvalid", "Invalid value"},
    [FAULT_REQUIRED] = {"FieldValueRequired", "Required value"},
    [FAULT_FORBIDDEN] = {"FieldValueForbidden", "Forbidden"},
    [FAULT_NOT_SUPPORTED] = {"FieldValueNotSupported", "Unsupported value"},
    [FAULT_DUPLICATE] = {"FieldValueDuplicate", "Duplicate value"},
    [FAULT_NOT_FOUND] = {"FieldValueNotFound", "Not found"},
    [FAULT_TOO_MANY] = {"FieldValueTooMany", "Too many"},
    [FAULT_TOO_LONG] = {"FieldValueTooLong", "Too long"},
    [FAULT_INTERNAL] = {"InternalError", "Internal error"},
};

void faults_init(struct faults *faults, struct arena *arena)
{
    faults->arena = arena;
    faults->tape = NULL;
    faults->kept = faults->count = faults->bytes = 0;
    faults->line = faults->column = 0;
}

void faults_truncate(struct faults *faults, size_t count)
{
    if (count < faults->count)
        faults->count = count;
    if (count < faults->kept)
        faults->kept = count;
}

static void note_place(struct faults *faults, const struct path *path)
{
    const struct tape_node *node = tape_locate(faults->tape, path);
    if (!node)
        return;
    faults->line = node->line;
    faults->column = node->column;
}

static void add(struct faults *faults, const struct path *path, enum fault_type type, const char *value,
                const char *detail)
{
    struct arena *arena = faults->arena;
    if (faults->count == 0 && faults->tape)
        note_place(faults, path);
    faults->count++;
    if (faults_full(faults))
        return;
    struct fault *fault = &faults->list[faults->kept++];
    fault->reason = fault_types[type].reason;
    fault->field = path_format(path, arena);
    fault->message = arena_printf(arena, "%s%s%s%s%s", fault_types[type].words, value ? ": " : "",
                                  value ? value : "", detail && *detail ? ": " : "", detail ? detail : "");
    fault->sentence = arena_printf(arena, "%s: %s", fault->field, fault->message);
    faults->bytes += strlen(fault->sentence);
}

void fault_invalid(struct faults *faults, const struct path *path, const char *value, const char *detail)
{
    add(faults, path, FAULT_INVALID, encode_quoted(value, faults->arena), detail);
}

void fault_invalid_number(struct faults *faults, const struct path *path, long long value, const char *detail)
{
    add(faults, path, FAULT_INVALID, arena_printf(faults->arena, "%lld", value), detail);
}

void fault_invalid_list(struct faults *faults, const struct path *path, char *const *values, size_t count,
                        const char *detail)
{
    struct text list = {0};
    if (faults_full(faults))
        count = 0;
    text_add(&list, "[");
    for (size_t i = 0; i < count; i++)
        text_printf(&list, "%s%s", i ? "," : "", encode_quoted(values[i], faults->arena));
    text_add(&list, "]");
    add(faults, path, FAULT_INVALID, arena_strdup(faults->arena, text_str(&list)), detail);
    text_done(&list);
}

void fault_invalid_raw(struct faults *faults, const struct path *path, const char *value, const char *detail)
{
    add(faults, path, FAULT_INVALID, value, detail);
}

void fault_required(struct faults *faults, const struct path *path, const char *detail)
{
    add(faults, path, FAULT_REQUIRED, NULL, detail);
}

void fault_forbidden(struct faults *faults, const struct path *path, const char *detail)
{
    add(faults, path, FAULT_FORBIDDEN, NULL, detail);
}

void fault_unsupported(struct faults *faults, const struct path *path, const char *value,
                       const char *const *supported)
{
    struct text list = {0};
    text_add(&list, "supported values: ");
    for (size_t i = 0; supported[i]; i++)
        text_printf(&list, "%s\"%s\"", i ? ", " : "", supported[i]);
    add(faults, path, FAULT_NOT_SUPPORTED, encode_quoted(value, faults->arena),
        arena_strdup(faults->arena, text_str(&list)));
    text_done(&list);
}

void fault_duplicate(struct faults *faults, const struct path *path, const char *value)
{
    add(faults, path, FAULT_DUPLICATE, encode_quoted(value, faults->arena), NULL);
}

void fault_duplicate_raw(struct faults *faults, const struct path *path, const char *value)
{
    add(faults, path, FAULT_DUPLICATE, value, NULL);
}

void fault_duplicate_detailed(struct faults *faults, const struct path *path, const char *value,
                              const char *detail)
{
    add(faults, path, FAULT_DUPLICATE, value, detail);
}

void fault_not_found(struct faults *faults, const struct path *path, const char *value, const char *detail)
{
    add(faults, path, FAULT_NOT_FOUND, encode_quoted(value, faults->arena), detail);
}

void fault_too_many(struct faults *faults, const struct path *path, size_t actual, unsigned most)
{
    add(faults, path, FAULT_TOO_MANY, arena_printf(faults->arena, "%zu", actual),
        arena_printf(faults->arena, "must have at most %u item%s", most, most == 1 ? "" : "s"));
}

void fault_too_long(struct faults *faults, const struct path *path, unsigned most_bytes)
{
    add(faults, path, FAULT_TOO_LONG, NULL,
        arena_printf(faults->arena, "may not be more than %u bytes", most_bytes));
}

void fault_internal(struct faults *faults, const struct path *path, const char *what)
{
    add(faults, path, FAULT_INTERNAL, NULL, what);
}

static bool is_repeated(const struct faults *faults, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(faults->list[i].sentence, faults->list[index].sentence) == 0)
            return true;
    return false;
}

const char *faults_format(const struct faults *faults)
{
    size_t kept = faults_kept(faults), distinct = 0;
    struct text list = {0};
    for (size_t i = 0; i < kept; i++)
        if (!is_repeated(faults, i))
            text_printf(&list, "%s%s", distinct++ ? ", " : "", faults->list[i].sentence);
    if (faults->count > kept)
        text_printf(&list, ", and %zu more", faults->count - kept);
    bool is_single = distinct == 1 && faults->count == kept;
    const char *joined = arena_printf(faults->arena, is_single ? "%s" : "[%s]", text_str(&list));
    text_done(&list);
    return joined;
}
