/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/defaults_parts.h"
#include "api/quantity.h"

#include <ctype.h>

#define GRACE_SECONDS 30

/* An image's name as distribution's reference grammar has it, as far as the policy hangs on it: a tag stands
 * after the last slash, a digest takes its place, and a name in upper case or with strange characters is
 * none. */
static bool is_image(const char *image, const char *name_end)
{
    const char *slash = strchr(image, '/');
    for (const char *at = image; *at; at++) {
        bool is_name = at < name_end && (!slash || at > slash);
        if (!isalnum((unsigned char)*at) && !strchr("._-/:@", *at))
            return false;
        if (is_name && isupper((unsigned char)*at))
            return false;
    }
    return *image != '\0';
}

const char *default_pull_policy(const char *image)
{
    const char *digest = strchr(image, '@'), *end = digest ? digest : image + strlen(image);
    const char *slash = memrchr(image, '/', (size_t)(end - image));
    const char *name = slash ? slash + 1 : image, *tag = memchr(name, ':', (size_t)(end - name));
    bool is_latest = tag ? end - tag == 7 && memcmp(tag, ":latest", 7) == 0 : !digest;
    return is_latest && is_image(image, tag ? tag : end) ? "Always" : "IfNotPresent";
}

void default_field_reference(Core__ObjectFieldSelector *reference)
{
    if (reference)
        default_text(&reference->apiversion, "v1");
}

static void default_http(Core__HTTPGetAction *action)
{
    if (!action)
        return;
    default_text(&action->path, "/");
    default_text(&action->scheme, "HTTP");
}

static void default_count(protobuf_c_boolean *has_number, int32_t *number, int32_t value)
{
    if (*number != 0)
        return;
    *has_number = true;
    *number = value;
}

static void default_probe(Core__Probe *probe)
{
    if (!probe)
        return;
    default_count(&probe->has_timeoutseconds, &probe->timeoutseconds, 1);
    default_count(&probe->has_periodseconds, &probe->periodseconds, 10);
    default_count(&probe->has_successthreshold, &probe->successthreshold, 1);
    default_count(&probe->has_failurethreshold, &probe->failurethreshold, 3);
    default_http(probe->httpget);
    if (probe->grpc && !probe->grpc->service)
        probe->grpc->service = CONSTANT("");
}

static void default_lifecycle(Core__Lifecycle *lifecycle)
{
    if (lifecycle && lifecycle->poststart)
        default_http(lifecycle->poststart->httpget);
    if (lifecycle && lifecycle->prestop)
        default_http(lifecycle->prestop->httpget);
}

static void default_environment(Core__EnvVar *const *variables, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        Core__EnvVarSource *source = variables[i]->valuefrom;
        if (!source)
            continue;
        default_field_reference(source->fieldref);
        if (source->filekeyref)
            default_number(source->filekeyref, optional, false);
    }
}

static void default_ports(Core__ContainerPort *const *ports, size_t count)
{
    for (size_t i = 0; i < count; i++)
        default_text(&ports[i]->protocol, "TCP");
}

/* Requests that are not given are the limits. */
static void default_requests(Core__ResourceRequirements *resources, struct arena *arena)
{
    if (!resources || resources->n_limits == 0)
        return;
    size_t count = resources->n_requests;
    Meta__QuantityEntry **requests = arena_array(arena, Meta__QuantityEntry *, count + resources->n_limits);
    if (count)
        memcpy(requests, resources->requests, count * sizeof(*requests));
    struct text_set given = quantity_keys(resources->requests, count, arena);
    for (size_t i = 0; i < resources->n_limits; i++)
        if (!text_set_has(&given, resources->limits[i]->key))
            requests[count++] = resources->limits[i];
    resources->requests = requests;
    resources->n_requests = count;
}

static bool is_pod_resource(const char *name)
{
    return strcmp(name, "cpu") == 0 || strcmp(name, "memory") == 0 || strncmp(name, "hugepages-", 10) == 0;
}

static bool is_requested(const Core__PodSpec *spec, const char *name)
{
    for (size_t i = 0; i < spec->n_containers + spec->n_initcontainers; i++) {
        const Core__Container *container =
            i < spec->n_containers ? spec->containers[i] : spec->initcontainers[i - spec->n_containers];
        const Core__ResourceRequirements *resources = container->resources;
        if (resources && quantity_find(resources->requests, resources->n_requests, name))
            return true;
    }
    return false;
}

#define POD_RESOURCES_MAX 64

/* A whole Pod's requests are its limits where no container has a request of its own (KEP-2837). Where one
 * has, upstream sums them up; that sum is left out here. */
static void default_pod_requests(const Core__PodSpec *spec, struct arena *arena)
{
    Core__ResourceRequirements *resources = spec->resources;
    if (!resources || resources->n_limits == 0 || resources->n_limits > POD_RESOURCES_MAX)
        return;
    size_t count = resources->n_requests;
    Meta__QuantityEntry **requests = arena_array(arena, Meta__QuantityEntry *, count + resources->n_limits);
    if (count)
        memcpy(requests, resources->requests, count * sizeof(*requests));
    for (size_t i = 0; i < resources->n_limits; i++) {
        const char *name = api_text(resources->limits[i]->key);
        if (is_pod_resource(name) && !quantity_find(resources->requests, resources->n_requests, name) &&
            !is_requested(spec, name))
            requests[count++] = resources->limits[i];
    }
    resources->requests = requests;
    resources->n_requests = count;
}

/* Containers and ephemeral containers have the same fields in structs of their own. */
#define DEFAULT_CONTAINER(container)                                                                         \
    do {                                                                                                     \
        default_text(&(container)->imagepullpolicy, default_pull_policy(api_text((container)->image)));      \
        default_text(&(container)->terminationmessagepath, "/dev/termination-log");                          \
        default_text(&(container)->terminationmessagepolicy, "File");                                        \
        default_ports((container)->ports, (container)->n_ports);                                             \
        default_environment((container)->env, (container)->n_env);                                           \
        default_probe((container)->livenessprobe);                                                           \
        default_probe((container)->readinessprobe);                                                          \
        default_probe((container)->startupprobe);                                                            \
        default_lifecycle((container)->lifecycle);                                                           \
    } while (0)

static void default_containers(Core__Container *const *containers, size_t count, bool uses_host_network,
                               struct arena *arena)
{
    for (size_t i = 0; i < count; i++) {
        Core__Container *container = containers[i];
        DEFAULT_CONTAINER(container);
        default_requests(container->resources, arena);
        for (size_t j = 0; uses_host_network && j < container->n_ports; j++)
            default_count(&container->ports[j]->has_hostport, &container->ports[j]->hostport,
                          container->ports[j]->containerport);
    }
}

/* An older field and its successor; where they differ the successor counts. */
static void default_service_account(Core__PodSpec *spec)
{
    if (is_unset(spec->serviceaccountname))
        spec->serviceaccountname = spec->serviceaccount;
    spec->serviceaccount = spec->serviceaccountname;
}

static void default_pod_spec(Core__PodSpec *spec, struct arena *arena)
{
    default_text(&spec->dnspolicy, "ClusterFirst");
    default_text(&spec->restartpolicy, "Always");
    default_text(&spec->schedulername, "default-scheduler");
    default_service_account(spec);
    if (!spec->securitycontext)
        spec->securitycontext = default_new(arena, &core__pod_security_context__descriptor);
    default_number(spec, terminationgraceperiodseconds, GRACE_SECONDS);
    if (spec->terminationgraceperiodseconds < 0)
        spec->terminationgraceperiodseconds = 1;
    default_number(spec, enableservicelinks, true);
    for (size_t i = 0; i < spec->n_volumes; i++)
        default_volume(spec->volumes[i], arena);
    default_containers(spec->containers, spec->n_containers, spec->hostnetwork, arena);
    default_containers(spec->initcontainers, spec->n_initcontainers, spec->hostnetwork, arena);
    for (size_t i = 0; i < spec->n_ephemeralcontainers; i++)
        DEFAULT_CONTAINER(spec->ephemeralcontainers[i]);
    default_pod_requests(spec, arena);
}

/* As a node's podCIDR and podCIDRs. */
static void default_pod_ips(Core__PodStatus *status, struct arena *arena)
{
    bool differs =
        !is_unset(status->podip) && (status->n_podips == 0 || !is_text(status->podips[0]->ip, status->podip));
    if (differs) {
        Core__PodIP *ip = default_new(arena, &core__pod_ip__descriptor);
        ip->ip = status->podip;
        status->podips = arena_array(arena, Core__PodIP *, 1);
        status->podips[0] = ip;
        status->n_podips = 1;
    }
    if (status->n_podips)
        status->podip = status->podips[0]->ip;
}

void default_pod(Core__Pod *pod, struct arena *arena)
{
    if (!pod->spec)
        pod->spec = default_new(arena, &core__pod_spec__descriptor);
    default_pod_spec(pod->spec, arena);
    if (pod->status)
        default_pod_ips(pod->status, arena);
}
