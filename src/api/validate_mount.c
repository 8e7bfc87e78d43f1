/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/validate_pod.h"

static const char *const propagations[] = {"Bidirectional", "HostToContainer", "None", NULL};
static const char *const recursions[] = {"Disabled", "Enabled", "IfPossible", NULL};

/* The paths of these three are those of the list in upstream too. */
static void check_mount_options(struct faults *faults, const struct path *list,
                                const Core__VolumeMount *mount, bool is_privileged)
{
    const struct path *propagation = path_field(list, "mountPropagation");
    const struct path *recursion = path_field(list, "recursiveReadOnly");
    bool is_recursive =
        is_text(mount->recursivereadonly, "Enabled") || is_text(mount->recursivereadonly, "IfPossible");
    if (mount->mountpropagation)
        validate_supported(faults, propagation, mount->mountpropagation, propagations);
    if (is_text(mount->mountpropagation, "Bidirectional") && !is_privileged)
        fault_forbidden(faults, propagation,
                        "Bidirectional mount propagation is available only to privileged containers");
    if (mount->recursivereadonly && !is_recursive)
        validate_supported(faults, recursion, mount->recursivereadonly, recursions);
    if (is_recursive && !mount->readonly)
        fault_forbidden(faults, recursion, "may only be specified when readOnly is true");
    if (is_recursive && mount->mountpropagation && !is_text(mount->mountpropagation, "None"))
        fault_forbidden(faults, recursion,
                        "may only be specified when mountPropagation is None or not specified");
}

static void check_sub_paths(struct faults *faults, const struct path *list, const struct path *path,
                            const Core__VolumeMount *mount)
{
    if (is_set(mount->subpath))
        validate_descending_path(faults, path_field(list, "subPath"), mount->subpath);
    if (!is_set(mount->subpathexpr))
        return;
    if (is_set(mount->subpath))
        fault_invalid(faults, path_field(path, "subPathExpr"), mount->subpathexpr,
                      "subPathExpr and subPath are mutually exclusive");
    validate_descending_path(faults, path_field(list, "subPathExpr"), mount->subpathexpr);
}

/* The names and paths of mounts, and those of devices. */
struct attachments {
    const char **mount_names, **mount_paths, **device_names, **device_paths;
    struct text_set mounted_names, mounted_paths, used_names, used_paths;
};

static struct attachments collect(const Core__Container *container, struct arena *arena)
{
    size_t mounts = container->n_volumemounts, devices = container->n_volumedevices;
    struct attachments all = {
        arena_array(arena, const char *, mounts),
        arena_array(arena, const char *, mounts),
        arena_array(arena, const char *, devices),
        arena_array(arena, const char *, devices),
    };
    for (size_t i = 0; i < mounts; i++) {
        all.mount_names[i] = api_text(container->volumemounts[i]->name);
        all.mount_paths[i] = api_text(container->volumemounts[i]->mountpath);
    }
    for (size_t i = 0; i < devices; i++) {
        all.device_names[i] = api_text(container->volumedevices[i]->name);
        all.device_paths[i] = api_text(container->volumedevices[i]->devicepath);
    }
    all.mounted_names = text_set_build(arena, all.mount_names, mounts);
    all.mounted_paths = text_set_build(arena, all.mount_paths, mounts);
    all.used_names = text_set_build(arena, all.device_names, devices);
    all.used_paths = text_set_build(arena, all.device_paths, devices);
    return all;
}

static void check_mounts(struct faults *faults, const struct path *list, const struct pod_context *context,
                         const Core__Container *container, const struct attachments *all)
{
    const Core__SecurityContext *security = container->securitycontext;
    const bool *repeated = validate_duplicates(faults->arena, all->mount_paths, container->n_volumemounts);
    for (size_t i = 0; i < container->n_volumemounts; i++) {
        const Core__VolumeMount *mount = container->volumemounts[i];
        const char *name = all->mount_names[i], *target = all->mount_paths[i];
        const struct path *path = path_index(list, i);
        if (!*name)
            fault_required(faults, path_field(path, "name"), NULL);
        if (!text_set_has(&context->volumes, name))
            fault_not_found(faults, path_field(path, "name"), name, NULL);
        if (!*target)
            fault_required(faults, path_field(path, "mountPath"), NULL);
        if (repeated && repeated[i])
            fault_invalid(faults, path_field(path, "mountPath"), target, "must be unique");
        if (text_set_has(&all->used_names, name))
            fault_invalid(faults, path_field(path, "name"), name, "must not already exist in volumeDevices");
        if (text_set_has(&all->used_paths, target))
            fault_invalid(faults, path_field(path, "mountPath"), target,
                          "must not already exist as a path in volumeDevices");
        check_sub_paths(faults, list, path, mount);
        check_mount_options(faults, list, mount, security && security->privileged);
    }
}

static void check_device_volume(struct faults *faults, const struct path *path,
                                const struct pod_context *context, const char *name)
{
    size_t place = text_set_find(&context->volumes, name);
    if (place == context->volumes.count) {
        fault_not_found(faults, path, name, NULL);
        return;
    }
    const Core__Volume *volume = context->spec->volumes[place];
    if (!volume->persistentvolumeclaim && !volume->ephemeral)
        fault_invalid(faults, path, name,
                      "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
}

static bool has_backsteps(const char *value, struct arena *arena)
{
    struct faults scratch;
    faults_init(&scratch, arena);
    return !validate_no_backsteps(&scratch, NULL, value);
}

static void check_devices(struct faults *faults, const struct path *list, const struct pod_context *context,
                          const Core__Container *container, const struct attachments *all)
{
    size_t count = container->n_volumedevices;
    const bool *same_names = validate_duplicates(faults->arena, all->device_names, count);
    const bool *same_paths = validate_duplicates(faults->arena, all->device_paths, count);
    for (size_t i = 0; i < count; i++) {
        const char *name = all->device_names[i], *target = all->device_paths[i];
        const struct path *name_path = path_field(path_index(list, i), "name");
        const struct path *device_path = path_field(path_index(list, i), "devicePath");
        if (!*name)
            fault_required(faults, name_path, NULL);
        else if (same_names && same_names[i])
            fault_invalid(faults, name_path, name, "must be unique");
        check_device_volume(faults, name_path, context, name);
        if (!*target)
            fault_required(faults, device_path, NULL);
        if (same_paths && same_paths[i])
            fault_invalid(faults, device_path, target, "must be unique");
        if (has_backsteps(target, faults->arena))
            fault_invalid(faults, device_path, target, "can not contain backsteps ('..')");
        if (text_set_has(&all->mounted_names, name))
            fault_invalid(faults, name_path, name, "must not already exist in volumeMounts");
        if (text_set_has(&all->mounted_paths, target))
            fault_invalid(faults, device_path, target, "must not already exist as a path in volumeMounts");
    }
}

void validate_mounts(struct faults *faults, const struct path *path, const struct pod_context *context,
                     const Core__Container *container)
{
    struct attachments all = collect(container, faults->arena);
    check_mounts(faults, path_field(path, "volumeMounts"), context, container, &all);
    check_devices(faults, path_field(path, "volumeDevices"), context, container, &all);
}
