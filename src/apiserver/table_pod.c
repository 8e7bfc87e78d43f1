/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/table_cells.h"

#include <string.h>

/* What is said of a Pod as a whole, gathered from its containers. */
struct summary {
    const char *reason; /* what stands in the column STATUS */
    struct text words;  /* holds reason when it had to be composed */
    size_t ready, total;
    int64_t restarts;
    const Meta__Time *last_restart;
    /* The part of restarts that comes from sidecars, which count after initialization too. */
    int64_t sidecar_restarts;
    const Meta__Time *last_sidecar_restart;
    bool is_initializing;
};

static const Meta__Time *later(const Meta__Time *a, const Meta__Time *b)
{
    if (is_time_zero(a) || is_time_zero(b))
        return is_time_zero(a) ? b : a;
    return a->seconds < b->seconds ? b : a;
}

static const Meta__Time *last_end(const Core__ContainerStatus *status)
{
    const Core__ContainerState *last = status->laststate;
    return last && last->terminated ? last->terminated->finishedat : NULL;
}

static bool is_sidecar(const Core__PodSpec *spec, const char *name)
{
    for (size_t i = spec ? spec->n_initcontainers : 0; i-- > 0;)
        if (text_equal(spec->initcontainers[i]->name, name))
            return text_equal(spec->initcontainers[i]->restartpolicy, "Always");
    return false;
}

static void say(struct summary *summary, const char *reason)
{
    summary->reason = reason;
}

__attribute__((format(printf, 2, 3))) static void compose(struct summary *summary, const char *format, ...)
{
    text_done(&summary->words);
    va_list arguments;
    va_start(arguments, format);
    char words[256];
    vsnprintf(words, sizeof(words), format, arguments);
    va_end(arguments);
    text_add(&summary->words, words);
    summary->reason = summary->words.data;
}

/* "PREFIXReason", or the signal or exit code of a container that ended without one. */
static void compose_end(struct summary *summary, const char *prefix,
                        const Core__ContainerStateTerminated *end)
{
    if (*api_text(end->reason))
        compose(summary, "%s%s", prefix, end->reason);
    else if (end->signal != 0)
        compose(summary, "%sSignal:%d", prefix, end->signal);
    else
        compose(summary, "%sExitCode:%d", prefix, end->exitcode);
}

/* Whether initialization has got past this container; if not, the reason says why. */
static bool pass_init_container(struct summary *summary, const Core__Pod *pod, size_t index)
{
    const Core__ContainerStatus *status = pod->status->initcontainerstatuses[index];
    const Core__ContainerState *state = status->state;
    bool is_beside = is_sidecar(pod->spec, status->name);
    summary->restarts += status->restartcount;
    summary->last_restart = later(summary->last_restart, last_end(status));
    if (is_beside) {
        summary->sidecar_restarts += status->restartcount;
        summary->last_sidecar_restart = later(summary->last_sidecar_restart, last_end(status));
    }
    if (state && state->terminated && state->terminated->exitcode == 0)
        return true;
    if (is_beside && status->started) {
        summary->ready += status->ready;
        return true;
    }
    const char *waiting = state && state->waiting ? api_text(state->waiting->reason) : "";
    if (state && state->terminated)
        compose_end(summary, "Init:", state->terminated);
    else if (*waiting && strcmp(waiting, "PodInitializing") != 0)
        compose(summary, "Init:%s", waiting);
    else
        compose(summary, "Init:%zu/%zu", index, pod->spec ? pod->spec->n_initcontainers : 0);
    return false;
}

/* The first condition of the type decides. */
static bool has_condition(const Core__PodStatus *status, const char *type)
{
    for (size_t i = 0; i < status->n_conditions; i++)
        if (text_equal(status->conditions[i]->type, type))
            return text_equal(status->conditions[i]->status, "True");
    return false;
}

static void sum_containers(struct summary *summary, const Core__PodStatus *status)
{
    bool has_running = false, has_failed = false;
    struct text failure = {0};
    summary->restarts = summary->sidecar_restarts;
    summary->last_restart = summary->last_sidecar_restart;
    for (size_t i = status->n_containerstatuses; i-- > 0;) {
        const Core__ContainerStatus *container = status->containerstatuses[i];
        const Core__ContainerState *state = container->state;
        summary->restarts += container->restartcount;
        summary->last_restart = later(summary->last_restart, last_end(container));
        if (state && state->waiting && *api_text(state->waiting->reason)) {
            say(summary, state->waiting->reason);
        } else if (state && state->terminated) {
            compose_end(summary, "", state->terminated);
            if (state->terminated->exitcode != 0) {
                text_done(&failure);
                text_add(&failure, summary->reason);
                has_failed = true;
            }
        } else if (container->ready && state && state->running) {
            has_running = true;
            summary->ready++;
        }
    }
    if (text_equal(summary->reason, "Completed")) {
        if (has_running && has_condition(status, "Ready"))
            say(summary, "Running");
        else if (has_failed)
            compose(summary, "%s", failure.data);
        else if (has_running)
            say(summary, "NotReady");
    }
    text_done(&failure);
}

static void sum_up(struct summary *summary, const Core__Pod *pod)
{
    static const Core__PodStatus no_status = CORE__POD_STATUS__INIT;
    const Core__PodStatus *status = pod->status ? pod->status : &no_status;
    const char *phase = api_text(status->phase);
    summary->reason = *api_text(status->reason) ? status->reason : phase;
    for (size_t i = 0; i < status->n_conditions; i++)
        if (text_equal(status->conditions[i]->type, "PodScheduled") &&
            text_equal(status->conditions[i]->reason, "SchedulingGated"))
            say(summary, "SchedulingGated");
    const Core__PodSpec *spec = pod->spec;
    summary->total = spec ? spec->n_containers : 0;
    for (size_t i = 0; spec && i < spec->n_initcontainers; i++)
        summary->total += text_equal(spec->initcontainers[i]->restartpolicy, "Always");
    for (size_t i = 0; i < status->n_initcontainerstatuses && !summary->is_initializing; i++)
        summary->is_initializing = !pass_init_container(summary, pod, i);
    if (!summary->is_initializing || has_condition(status, "Initialized"))
        sum_containers(summary, status);
    if (!pod->metadata || is_time_zero(pod->metadata->deletiontimestamp))
        return;
    if (text_equal(status->reason, "NodeLost"))
        say(summary, "Unknown");
    else if (strcmp(phase, "Succeeded") != 0 && strcmp(phase, "Failed") != 0)
        say(summary, "Terminating");
}

static void gates_cell(json_t *cells, const Core__Pod *pod)
{
    size_t count = pod->spec ? pod->spec->n_readinessgates : 0, open = 0;
    for (size_t i = 0; i < count; i++)
        open += pod->status && has_condition(pod->status, pod->spec->readinessgates[i]->conditiontype);
    struct text text = {0};
    if (count > 0)
        text_printf(&text, "%zu/%zu", open, count);
    else
        text_add(&text, "<none>");
    cell_take(cells, &text);
}

void table_pod_cells(json_t *cells, const Core__Pod *pod, int64_t now)
{
    struct summary summary = {0};
    sum_up(&summary, pod);
    struct text text = {0};
    text_printf(&text, "%zu/%zu", summary.ready, summary.total);
    cell_take(cells, &text);
    cell_text(cells, summary.reason);
    text_printf(&text, "%lld", (long long)summary.restarts);
    if (summary.restarts != 0 && !is_time_zero(summary.last_restart)) {
        text_add(&text, " (");
        text_since(&text, summary.last_restart, now);
        text_add(&text, " ago)");
    }
    cell_take(cells, &text);
    text_done(&summary.words);
    cell_since(cells, pod->metadata ? pod->metadata->creationtimestamp : NULL, now);

    const Core__PodStatus *status = pod->status;
    const char *address = status ? api_text(status->podip) : "";
    if (!*address && status && status->n_podips > 0)
        address = status->podips[0]->ip;
    cell_text_or(cells, address, "<none>");
    cell_text_or(cells, pod->spec ? pod->spec->nodename : NULL, "<none>");
    cell_text_or(cells, status ? status->nominatednodename : NULL, "<none>");
    gates_cell(cells, pod);
}
