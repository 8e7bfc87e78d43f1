/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/validate_pod.h"

#define ONE_HANDLER "may not specify more than 1 handler type"

static const char *const schemes[] = {"HTTP", "HTTPS", NULL};

/* The four ways of a probe and the fifth of a hook. */
struct handler {
    const Core__ExecAction *exec;
    const Core__HTTPGetAction *http;
    const Core__TCPSocketAction *tcp;
    const Core__GRPCAction *grpc;
    const Core__SleepAction *sleep;
};

void validate_port_or_name(struct faults *faults, const struct path *path, const Meta__IntOrString *port)
{
    if (port && port->type == 1)
        check_port_name(faults, path, api_text(port->strval));
    else
        check_port_number(faults, path, port ? port->intval : 0);
}

static void check_http(struct faults *faults, const struct path *path, const Core__HTTPGetAction *action)
{
    if (!is_set(action->path))
        fault_required(faults, path_field(path, "path"), NULL);
    validate_port_or_name(faults, path_field(path, "port"), action->port);
    validate_supported(faults, path_field(path, "scheme"), action->scheme, schemes);
    for (size_t i = 0; i < action->n_httpheaders; i++)
        check_header_name(faults, path_field(path, "httpHeaders"), api_text(action->httpheaders[i]->name));
}

static void check_sleep(struct faults *faults, const struct path *path, int64_t seconds,
                        int64_t grace_seconds)
{
    if (seconds >= 0 && seconds <= grace_seconds)
        return;
    fault_invalid_number(
        faults, path, seconds,
        arena_printf(faults->arena, "must be non-negative and less than terminationGracePeriodSeconds (%lld)",
                     (long long)grace_seconds));
}

/* Whether this is the first one; otherwise a fault. */
static bool is_first(struct faults *faults, const struct path *path, bool is_given, int *count)
{
    if (!is_given)
        return false;
    if ((*count)++ == 0)
        return true;
    fault_forbidden(faults, path, ONE_HANDLER);
    return false;
}

static void check_handler(struct faults *faults, const struct path *path, const struct handler *handler,
                          int64_t grace_seconds)
{
    const struct path *exec = path_field(path, "exec"), *http = path_field(path, "httpGet");
    const struct path *tcp = path_field(path, "tcpSocket"), *grpc = path_field(path, "grpc");
    const struct path *sleep = path_field(path, "sleep");
    int count = 0;
    if (is_first(faults, exec, handler->exec, &count) && handler->exec->n_command == 0)
        fault_required(faults, path_field(exec, "command"), NULL);
    if (is_first(faults, http, handler->http, &count))
        check_http(faults, http, handler->http);
    if (is_first(faults, tcp, handler->tcp, &count))
        validate_port_or_name(faults, path_field(tcp, "port"), handler->tcp->port);
    if (is_first(faults, grpc, handler->grpc, &count))
        check_port_number(faults, path_field(grpc, "port"), handler->grpc->port);
    if (is_first(faults, sleep, handler->sleep, &count))
        check_sleep(faults, sleep, handler->sleep->seconds, grace_seconds);
    if (count == 0)
        fault_required(faults, path, "must specify a handler type");
}

static void check_probe(struct faults *faults, const struct path *path, const struct pod_context *context,
                        const Core__Probe *probe)
{
    const struct handler handler = {probe->exec, probe->httpget, probe->tcpsocket, probe->grpc, NULL};
    check_handler(faults, path, &handler, context->spec->terminationgraceperiodseconds);
    check_not_negative(faults, path_field(path, "initialDelaySeconds"), probe->initialdelayseconds);
    check_not_negative(faults, path_field(path, "timeoutSeconds"), probe->timeoutseconds);
    check_not_negative(faults, path_field(path, "periodSeconds"), probe->periodseconds);
    check_not_negative(faults, path_field(path, "successThreshold"), probe->successthreshold);
    check_not_negative(faults, path_field(path, "failureThreshold"), probe->failurethreshold);
    if (probe->has_terminationgraceperiodseconds && probe->terminationgraceperiodseconds <= 0)
        fault_invalid_number(faults, path_field(path, "terminationGracePeriodSeconds"),
                             probe->terminationgraceperiodseconds, "must be greater than 0");
}

/* One success is enough to live, and to have started. */
static void check_single_success(struct faults *faults, const struct path *path,
                                 const struct pod_context *context, const Core__Probe *probe)
{
    if (!probe)
        return;
    check_probe(faults, path, context, probe);
    if (probe->successthreshold != 1)
        fault_invalid_number(faults, path_field(path, "successThreshold"), probe->successthreshold,
                             "must be 1");
}

void validate_probes(struct faults *faults, const struct path *path, const struct pod_context *context,
                     const Core__Container *container)
{
    const Core__Probe *readiness = container->readinessprobe;
    const struct path *ready = path_field(path, "readinessProbe");
    check_single_success(faults, path_field(path, "livenessProbe"), context, container->livenessprobe);
    if (readiness)
        check_probe(faults, ready, context, readiness);
    if (readiness && readiness->has_terminationgraceperiodseconds)
        fault_invalid_number(faults, path_field(ready, "terminationGracePeriodSeconds"),
                             readiness->terminationgraceperiodseconds, "must not be set for readinessProbes");
    check_single_success(faults, path_field(path, "startupProbe"), context, container->startupprobe);
}

static void check_hook(struct faults *faults, const struct path *path, const struct pod_context *context,
                       const Core__LifecycleHandler *hook)
{
    if (!hook)
        return;
    const struct handler handler = {hook->exec, hook->httpget, hook->tcpsocket, NULL, hook->sleep};
    check_handler(faults, path, &handler, context->spec->terminationgraceperiodseconds);
}

void validate_lifecycle(struct faults *faults, const struct path *path, const struct pod_context *context,
                        const Core__Lifecycle *lifecycle)
{
    if (!lifecycle)
        return;
    check_hook(faults, path_field(path, "postStart"), context, lifecycle->poststart);
    check_hook(faults, path_field(path, "preStop"), context, lifecycle->prestop);
}
