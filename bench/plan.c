/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan.h"
#include "answer.h"
#include "base/cleanup.h"
#include "base/text.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int word_find(const char *const *words, size_t count, const char *value)
{
    for (size_t i = 0; i < count; i++)
        if (text_equal(words[i], value))
            return (int)i;
    return -1;
}

static int addresses_parse(char *value, struct arena *arena, struct plan_step *step, struct err *err)
{
    size_t count = 1;
    char *save = NULL;

    for (const char *c = value; *c; c++)
        count += *c == ',';
    step->allowed = arena_array(arena, struct in_addr, count);
    for (char *one = strtok_r(value, ",", &save); one; one = strtok_r(NULL, ",", &save))
        if (inet_pton(AF_INET, one, &step->allowed[step->allowed_count++]) != 1)
            return err_set(err, EINVAL, "\"%s\" is not an address", one);
    return 0;
}

static int word_apply(const char *key, char *value, struct arena *arena, struct plan_step *step,
                      struct err *err)
{
    static const char *const ops[] = {"check", "rename", "unlink", "put", "await"}, *const spreads[] = {
                                                                                        "any", "one", "many"};
    int found = 0;

    if (text_equal(key, "kind"))
        step->kind = value;
    else if (text_equal(key, "from"))
        step->from = value;
    else if (text_equal(key, "to"))
        step->to = value;
    else if (text_equal(key, "at"))
        return endpoint_parse(value, &step->at, err);
    else if (text_equal(key, "allowed"))
        return addresses_parse(value, arena, step, err);
    else if (text_equal(key, "must"))
        found = inet_pton(AF_INET, value, &step->must) == 1 ? 0 : -1;
    else if (text_equal(key, "probes"))
        step->probes = (unsigned)strtoul(value, NULL, 10);
    else if (text_equal(key, "op"))
        step->op = (enum plan_op)(found = word_find(ops, ARRAY_LEN(ops), value));
    else if (text_equal(key, "spread"))
        step->spread = (enum plan_spread)(found = word_find(spreads, ARRAY_LEN(spreads), value));
    else
        found = -1;
    return found < 0 ? err_set(err, EINVAL, "\"%s=%s\" means nothing in a plan", key, value) : 0;
}

int plan_step_parse(char *line, struct arena *arena, struct plan_step *ret_step, struct err *err)
{
    struct plan_step step = {.probes = 1};
    char *save = NULL;

    for (char *word = strtok_r(line, " \t\n", &save); word; word = strtok_r(NULL, " \t\n", &save)) {
        char *equals = strchr(word, '=');
        int result;

        if (!equals)
            return err_set(err, EINVAL, "\"%s\" is not key=value", word);
        *equals = '\0';
        result = word_apply(word, equals + 1, arena, &step, err);
        if (result < 0)
            return result;
    }
    if (!step.kind || !step.at.sin_port)
        return err_set(err, EINVAL, "a step needs kind= and at=");
    bool has_from = step.op == PLAN_RENAME || step.op == PLAN_PUT;
    if ((has_from && !step.from) || (step.op != PLAN_CHECK && step.op != PLAN_AWAIT && !step.to))
        return err_set(err, EINVAL, "rename and put need from= and to=, unlink needs to=");
    *ret_step = step;
    return 0;
}

int plan_read(const char *path, struct arena *arena, struct plan_step **ret_steps, size_t *ret_count,
              struct err *err)
{
    FILE *file = fopen(path, "re");
    cleanup_free char *line = NULL;
    struct plan_step *steps = NULL;
    size_t capacity = 0, count = 0, room = 0;
    int result = 0;

    if (!file)
        return err_set(err, errno, "%s: %s", path, strerror(errno));
    while (result == 0 && getline(&line, &capacity, file) > 0) {
        if (count == room) {
            struct plan_step *wider = arena_array(arena, struct plan_step, room = room ? room * 2 : 64);

            if (count)
                memcpy(wider, steps, count * sizeof(*steps));
            steps = wider;
        }
        result = plan_step_parse(arena_strdup(arena, line), arena, &steps[count++], err);
        if (result < 0)
            err_prefix(err, result, "%s, line %zu", path, count);
    }
    fclose(file);
    if (result < 0)
        return result;
    *ret_steps = steps;
    *ret_count = count;
    return 0;
}

int plan_judge(const struct plan_step *step, struct plan_seen *seen, struct in_addr endpoint, struct err *err)
{
    char name[INET_ADDRSTRLEN];
    bool is_allowed = false;

    inet_ntop(AF_INET, &endpoint, name, sizeof(name));
    for (size_t i = 0; i < step->allowed_count; i++)
        is_allowed |= step->allowed[i].s_addr == endpoint.s_addr;
    if (!is_allowed)
        return err_set(err, EINVAL, "answered by %s, which is not among the %zu endpoints expected", name,
                       step->allowed_count);
    if (seen->probes++ == 0)
        seen->first = endpoint;
    seen->is_many |= seen->first.s_addr != endpoint.s_addr;
    seen->has_must |= step->must.s_addr == endpoint.s_addr;
    if (step->spread == PLAN_ONE && seen->is_many)
        return err_set(err, EINVAL, "answered by %s after another endpoint, where one should keep the client",
                       name);
    return 0;
}

bool plan_is_satisfied(const struct plan_step *step, const struct plan_seen *seen)
{
    return seen->probes >= step->probes && (step->must.s_addr == INADDR_ANY || seen->has_must) &&
           (step->spread != PLAN_MANY || seen->is_many);
}
