/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/encode.h"
#include "api/validate_pod.h"

#include <ctype.h>

#define ID_MAX INT32_MAX
#define LOCAL_PROFILE_MAX 4095
#define SYSCTL_MAX 253

static const char *const profile_types[] = {"Localhost", "RuntimeDefault", "Unconfined", NULL};
static const char *const mask_types[] = {"Default", "Unmasked", NULL};
static const char *const group_changes[] = {"Always", "OnRootMismatch", NULL};
static const char *const group_policies[] = {"Merge", "Strict", NULL};
/* The gate SELinuxMount is off. */
static const char *const label_changes[] = {"Recursive", NULL};

static const struct path spec_frame = {.name = "spec"};
static const struct path *const spec_path = &spec_frame;

static void check_id(struct faults *faults, const struct path *path, bool has_id, int64_t id)
{
    if (has_id)
        check_range(faults, path, id, 0, ID_MAX);
}

static const char *text_value(const char *text, struct arena *arena)
{
    return text ? encode_quoted(text, arena) : "null";
}

static const char *profile_value(bool has_profile, const char *type, const char *local, struct arena *arena)
{
    if (!has_profile)
        return "null";
    return arena_printf(arena, "{\"Type\":%s,\"LocalhostProfile\":%s}", encode_quoted(api_text(type), arena),
                        text_value(local, arena));
}

static void check_seccomp(struct faults *faults, const struct path *path, const Core__SeccompProfile *profile)
{
    const struct path *local = path_field(path, "localhostProfile");
    if (!profile)
        return;
    if (!is_set(profile->type))
        fault_required(faults, path_field(path, "type"), "type is required when seccompProfile is set");
    else
        validate_supported(faults, path_field(path, "type"), profile->type, profile_types);
    if (is_text(profile->type, "Localhost") && !profile->localhostprofile)
        fault_required(faults, local, "must be set when seccomp type is Localhost");
    else if (is_text(profile->type, "Localhost"))
        validate_descending_path(faults, local, profile->localhostprofile);
    else if (profile->localhostprofile)
        fault_invalid_raw(faults, local,
                          profile_value(true, profile->type, profile->localhostprofile, faults->arena),
                          "can only be set when seccomp type is Localhost");
}

static void check_local_profile(struct faults *faults, const struct path *path, const char *profile)
{
    size_t len = profile ? strlen(profile) : 0;
    if (!profile || !len)
        fault_required(faults, path, "must be set when AppArmor type is Localhost");
    else if (isspace((unsigned char)profile[0]) || isspace((unsigned char)profile[len - 1]))
        fault_invalid(faults, path, profile, "must not be padded with whitespace");
    if (len > LOCAL_PROFILE_MAX)
        fault_too_long(faults, path, LOCAL_PROFILE_MAX);
}

static void check_app_armor(struct faults *faults, const struct path *path,
                            const Core__AppArmorProfile *profile)
{
    const struct path *local = path_field(path, "localhostProfile");
    if (!profile)
        return;
    if (is_text(profile->type, "Localhost")) {
        check_local_profile(faults, local, profile->localhostprofile);
        return;
    }
    if (!is_set(profile->type))
        fault_required(faults, path_field(path, "type"), "type is required when appArmorProfile is set");
    else if (validate_supported(faults, path_field(path, "type"), profile->type, profile_types) &&
             profile->localhostprofile)
        fault_invalid(faults, local, profile->localhostprofile,
                      "can only be set when AppArmor type is Localhost");
}

static const char *boolean_value(bool has_value, bool value)
{
    return !has_value ? "null" : value ? "true" : "false";
}

static const char *id_value(bool has_id, int64_t id, struct arena *arena)
{
    return has_id ? arena_printf(arena, "%lld", (long long)id) : "null";
}

static const char *list_value(char *const *list, size_t count, struct arena *arena)
{
    struct text value = {0};
    for (size_t i = 0; i < count; i++)
        text_printf(&value, "%s%s", i ? "," : "[", encode_quoted(list[i], arena));
    const char *copy = count ? arena_printf(arena, "%s]", text_str(&value)) : "null";
    text_done(&value);
    return copy;
}

/* A container's context as Go prints the struct that upstream makes of it. */
static const char *context_value(const Core__SecurityContext *context, struct arena *arena)
{
    const Core__Capabilities *capabilities = context->capabilities;
    const Core__SELinuxOptions *labels = context->selinuxoptions;
    const Core__SeccompProfile *seccomp = context->seccompprofile;
    const Core__AppArmorProfile *armor = context->apparmorprofile;
    struct text value = {0};
    if (capabilities)
        text_printf(&value, "{\"Capabilities\":{\"Add\":%s,\"Drop\":%s}",
                    list_value(capabilities->add, capabilities->n_add, arena),
                    list_value(capabilities->drop, capabilities->n_drop, arena));
    else
        text_add(&value, "{\"Capabilities\":null");
    text_printf(&value, ",\"Privileged\":%s,\"SELinuxOptions\":",
                boolean_value(context->has_privileged, context->privileged));
    if (labels)
        text_printf(
            &value, "{\"User\":%s,\"Role\":%s,\"Type\":%s,\"Level\":%s}",
            encode_quoted(api_text(labels->user), arena), encode_quoted(api_text(labels->role), arena),
            encode_quoted(api_text(labels->type), arena), encode_quoted(api_text(labels->level), arena));
    else
        text_add(&value, "null");
    text_printf(
        &value,
        ",\"WindowsOptions\":null,\"RunAsUser\":%s,\"RunAsGroup\":%s,\"RunAsNonRoot\":%s,"
        "\"ReadOnlyRootFilesystem\":%s,\"AllowPrivilegeEscalation\":false,\"ProcMount\":%s,"
        "\"SeccompProfile\":%s,\"AppArmorProfile\":%s}",
        id_value(context->has_runasuser, context->runasuser, arena),
        id_value(context->has_runasgroup, context->runasgroup, arena),
        boolean_value(context->has_runasnonroot, context->runasnonroot),
        boolean_value(context->has_readonlyrootfilesystem, context->readonlyrootfilesystem),
        text_value(context->procmount, arena),
        profile_value(seccomp, seccomp ? seccomp->type : NULL, seccomp ? seccomp->localhostprofile : NULL,
                      arena),
        profile_value(armor, armor ? armor->type : NULL, armor ? armor->localhostprofile : NULL, arena));
    const char *copy = arena_strdup(arena, text_str(&value));
    text_done(&value);
    return copy;
}

/* What of a container's context stands in the way of forbidding more privileges. */
static void check_escalation(struct faults *faults, const struct path *path,
                             const Core__SecurityContext *context)
{
    const Core__Capabilities *capabilities = context->capabilities;
    if (!context->has_allowprivilegeescalation || context->allowprivilegeescalation)
        return;
    if (context->privileged)
        fault_invalid_raw(faults, path, context_value(context, faults->arena),
                          "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
    for (size_t i = 0; capabilities && i < capabilities->n_add; i++) {
        if (!is_text(capabilities->add[i], "CAP_SYS_ADMIN"))
            continue;
        fault_invalid_raw(
            faults, path, context_value(context, faults->arena),
            "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
        return;
    }
}

void validate_security(struct faults *faults, const struct path *path, const Core__SecurityContext *context,
                       bool uses_host_users)
{
    const struct path *mask = path_field(path, "procMount");
    if (!context)
        return;
    check_id(faults, path_field(path, "runAsUser"), context->has_runasuser, context->runasuser);
    check_id(faults, path_field(path, "runAsGroup"), context->has_runasgroup, context->runasgroup);
    if (context->procmount)
        validate_supported(faults, mask, context->procmount, mask_types);
    if (uses_host_users && is_text(context->procmount, "Unmasked"))
        fault_invalid(faults, mask, context->procmount, "`hostUsers` must be false to use `Unmasked`");
    check_seccomp(faults, path_field(path, "seccompProfile"), context->seccompprofile);
    check_escalation(faults, path, context);
    check_app_armor(faults, path_field(path, "appArmorProfile"), context->apparmorprofile);
}

/* Segments of [-_a-z0-9], alphanumeric at both ends, with dots or slashes between. */
static bool is_sysctl(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++) {
        bool is_alnum = islower((unsigned char)name[i]) || isdigit((unsigned char)name[i]);
        bool is_edge = i == 0 || i == len - 1 || strchr("./", name[i - 1]) || strchr("./", name[i + 1]);
        if (!is_alnum && (is_edge || !strchr("-_./", name[i])))
            return false;
    }
    return len > 0 && len <= SYSCTL_MAX;
}

static void check_sysctls(struct faults *faults, const struct path *path, const Core__PodSpec *spec)
{
    const Core__PodSecurityContext *context = spec->securitycontext;
    const char **names = arena_array(faults->arena, const char *, context->n_sysctls);
    for (size_t i = 0; i < context->n_sysctls; i++)
        names[i] = api_text(context->sysctls[i]->name);
    const bool *repeated = validate_duplicates(faults->arena, names, context->n_sysctls);
    for (size_t i = 0; i < context->n_sysctls; i++) {
        const struct path *where = path_field(path_index(path, i), "name");
        const char *name = names[i];
        if (!*name)
            fault_required(faults, where, NULL);
        else if (!is_sysctl(name))
            fault_invalid(faults, where, name,
                          "must have at most 253 characters and match regex "
                          "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$");
        else if (repeated && repeated[i])
            fault_duplicate(faults, where, name);
        bool is_ipc = strncmp(name, "kernel.shm", 10) == 0 || strncmp(name, "kernel.msg", 10) == 0 ||
                      strcmp(name, "kernel.sem") == 0 || strncmp(name, "fs.mqueue.", 10) == 0;
        if (spec->hostnetwork && strncmp(name, "net.", 4) == 0)
            fault_invalid(faults, where, name, "may not be specified when 'hostNetwork' is true");
        else if (spec->hostipc && is_ipc)
            fault_invalid(faults, where, name, "may not be specified when 'hostIPC' is true");
    }
}

static void check_optional(struct faults *faults, const struct path *path, const char *value,
                           const char *const *supported)
{
    if (value)
        validate_supported(faults, path, value, supported);
}

void validate_pod_security(struct faults *faults, const Core__PodSpec *spec)
{
    const Core__PodSecurityContext *context = spec->securitycontext;
    const struct path *path = path_field(spec_path, "securityContext");
    if (!context)
        return;
    check_id(faults, path_field(path, "fsGroup"), context->has_fsgroup, context->fsgroup);
    check_id(faults, path_field(path, "runAsUser"), context->has_runasuser, context->runasuser);
    check_id(faults, path_field(path, "runAsGroup"), context->has_runasgroup, context->runasgroup);
    for (size_t i = 0; i < context->n_supplementalgroups; i++)
        check_id(faults, path_index(path_field(path, "supplementalGroups"), i), true,
                 context->supplementalgroups[i]);
    if (spec->hostpid && spec->shareprocessnamespace)
        fault_invalid_raw(faults, path_field(path, "shareProcessNamespace"), "true",
                          "ShareProcessNamespace and HostPID cannot both be enabled");
    check_sysctls(faults, path_field(path, "sysctls"), spec);
    check_optional(faults, path_field(path, "fsGroupChangePolicy"), context->fsgroupchangepolicy,
                   group_changes);
    check_seccomp(faults, path_field(path, "seccompProfile"), context->seccompprofile);
    check_app_armor(faults, path_field(path, "appArmorProfile"), context->apparmorprofile);
    check_optional(faults, path_field(path, "supplementalGroupsPolicy"), context->supplementalgroupspolicy,
                   group_policies);
    check_optional(faults, path_field(path, "seLinuxChangePolicy"), context->selinuxchangepolicy,
                   label_changes);
}
