/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/validate_pod.h"
#include "base/cleanup.h"

#include "api/quantity.h"

#include <ctype.h>

/* What no volume can be called. */
#define UNUSABLE_NAME "\001"
#define MORE_THAN_ONE "may not specify more than 1 volume type"
#define TOKEN_SECONDS_MIN 600
#define TOKEN_SECONDS_MAX ((int64_t)1 << 32)

static const char *const directory_types[] = {
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket", NULL,
};
static const char *const volume_fields[] = {
    "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid", NULL,
};

bool validate_no_backsteps(struct faults *faults, const struct path *path, const char *value)
{
    for (const char *at = value; at;) {
        const char *slash = strchr(at, '/');
        if (strncmp(at, "..", 2) == 0 && (at[2] == '\0' || at[2] == '/')) {
            fault_invalid(faults, path, value, "must not contain '..'");
            return false;
        }
        at = slash ? slash + 1 : NULL;
    }
    return true;
}

void validate_descending_path(struct faults *faults, const struct path *path, const char *value)
{
    if (*value == '/')
        fault_invalid(faults, path, value, "must be a relative path");
    validate_no_backsteps(faults, path, value);
}

void validate_local_path(struct faults *faults, const struct path *path, const char *value)
{
    validate_descending_path(faults, path, value);
    if (strncmp(value, "..", 2) == 0 && strncmp(value, "../", 3) != 0)
        fault_invalid(faults, path, value, "must not start with '..'");
}

static void require(struct faults *faults, const struct path *path, const char *field, const char *value)
{
    if (!is_set(value))
        fault_required(faults, path_field(path, field), NULL);
}

static void check_mode(struct faults *faults, const struct path *path, bool has_mode, int mode)
{
    if (has_mode && (mode < 0 || mode > 0777))
        fault_invalid_number(faults, path, mode,
                             "must be a number between 0 and 0777 (octal), both inclusive");
}

static void check_key(struct faults *faults, const struct path *path, const Core__KeyToPath *key)
{
    require(faults, path, "key", key->key);
    require(faults, path, "path", key->path);
    validate_local_path(faults, path_field(path, "path"), api_text(key->path));
    check_mode(faults, path_field(path, "mode"), key->has_mode, key->mode);
}

static void check_keys(struct faults *faults, const struct path *path, Core__KeyToPath *const *keys,
                       size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_key(faults, path_index(path_field(path, "items"), i), keys[i]);
}

static void check_file(struct faults *faults, const struct path *path,
                       const Core__DownwardAPIVolumeFile *file)
{
    require(faults, path, "path", file->path);
    validate_local_path(faults, path_field(path, "path"), api_text(file->path));
    if (file->fieldref)
        validate_field_reference(faults, path_field(path, "fieldRef"), file->fieldref, volume_fields);
    if (file->fieldref && file->resourcefieldref)
        fault_invalid(faults, path, "resource",
                      "fieldRef and resourceFieldRef can not be specified simultaneously");
    else if (file->resourcefieldref)
        validate_resource_reference(faults, path_field(path, "resourceFieldRef"), file->resourcefieldref,
                                    true);
    else if (!file->fieldref)
        fault_required(faults, path, "one of fieldRef and resourceFieldRef is required");
    check_mode(faults, path_field(path, "mode"), file->has_mode, file->mode);
}

/* The paths that the sources of a projected volume put something at. */
struct placed_paths {
    const char **paths, **values; /* values: what upstream prints */
    size_t count;
};

static void place(struct placed_paths *placed, const char *path, const char *value)
{
    if (!is_set(path))
        return;
    placed->paths[placed->count] = path;
    placed->values[placed->count++] = api_text(value);
}

static size_t count_places(const Core__ProjectedVolumeSource *projected)
{
    size_t count = 0;
    for (size_t i = 0; i < projected->n_sources; i++) {
        const Core__VolumeProjection *source = projected->sources[i];
        count += source->secret ? source->secret->n_items : 0;
        count += source->configmap ? source->configmap->n_items : 0;
        count += source->downwardapi ? source->downwardapi->n_items : 0;
    }
    return count;
}

static void check_token(struct faults *faults, const struct path *path, const struct path *volume,
                        const Core__ServiceAccountTokenProjection *token)
{
    const struct path *expiration = path_field(path, "expirationSeconds");
    if (token->expirationseconds < TOKEN_SECONDS_MIN)
        fault_invalid_number(faults, expiration, token->expirationseconds,
                             "may not specify a duration less than 10 minutes");
    if (token->expirationseconds > TOKEN_SECONDS_MAX)
        fault_invalid_number(faults, expiration, token->expirationseconds,
                             "may not specify a duration larger than 2^32 seconds");
    if (is_set(token->path))
        validate_local_path(faults, path_field(volume, "path"), token->path);
    else
        fault_required(faults, path_field(volume, "path"), NULL);
}

static void check_projection(struct faults *faults, const struct path *volume, const struct path *path,
                             const Core__VolumeProjection *source, struct placed_paths *placed)
{
    const Core__SecretProjection *secret = source->secret;
    const Core__ConfigMapProjection *map = source->configmap;
    const Core__DownwardAPIProjection *downward = source->downwardapi;
    if (secret) {
        require(faults, path_field(path, "secret"), "name", secret->name);
        check_keys(faults, path_field(path, "secret"), secret->items, secret->n_items);
        for (size_t i = 0; i < secret->n_items; i++)
            place(placed, secret->items[i]->path, secret->name);
    }
    if (map) {
        require(faults, path_field(path, "configMap"), "name", map->name);
        check_keys(faults, path_field(path, "configMap"), map->items, map->n_items);
        for (size_t i = 0; i < map->n_items; i++)
            place(placed, map->items[i]->path, map->name);
    }
    for (size_t i = 0; downward && i < downward->n_items; i++) {
        check_file(faults, path_field(path, "downwardAPI"), downward->items[i]);
        place(placed, downward->items[i]->path, downward->items[i]->path);
    }
    if (source->serviceaccounttoken)
        check_token(faults, path_field(path, "serviceAccountToken"), volume, source->serviceaccounttoken);
    int count = !!secret + !!map + !!downward + !!source->serviceaccounttoken;
    if (count > 1)
        fault_forbidden(faults, path, "may not specify more than 1 volume type per source");
}

static void check_projected(struct faults *faults, const struct path *path,
                            const Core__ProjectedVolumeSource *projected)
{
    size_t most = count_places(projected);
    struct placed_paths placed = {arena_array(faults->arena, const char *, most),
                                  arena_array(faults->arena, const char *, most), 0};
    check_mode(faults, path_field(path, "defaultMode"), projected->has_defaultmode, projected->defaultmode);
    for (size_t i = 0; i < projected->n_sources; i++)
        check_projection(faults, path, path_index(path_field(path, "sources"), i), projected->sources[i],
                         &placed);
    const bool *repeated = validate_duplicates(faults->arena, placed.paths, placed.count);
    for (size_t i = 0; repeated && i < placed.count; i++)
        if (repeated[i])
            fault_invalid(faults, path, placed.values[i], "conflicting duplicate paths");
}

static void check_host_path(struct faults *faults, const struct path *path,
                            const Core__HostPathVolumeSource *source)
{
    if (!is_set(source->path)) {
        fault_required(faults, path_field(path, "path"), NULL);
        return;
    }
    validate_no_backsteps(faults, path_field(path, "path"), source->path);
    validate_supported(faults, path_field(path, "type"), source->type, directory_types);
}

static void check_secret(struct faults *faults, const struct path *path,
                         const Core__SecretVolumeSource *source)
{
    require(faults, path, "secretName", source->secretname);
    check_mode(faults, path_field(path, "defaultMode"), source->has_defaultmode, source->defaultmode);
    check_keys(faults, path, source->items, source->n_items);
}

static void check_config_map(struct faults *faults, const struct path *path,
                             const Core__ConfigMapVolumeSource *source)
{
    require(faults, path, "name", source->name);
    check_mode(faults, path_field(path, "defaultMode"), source->has_defaultmode, source->defaultmode);
    check_keys(faults, path, source->items, source->n_items);
}

static void check_downward(struct faults *faults, const struct path *path,
                           const Core__DownwardAPIVolumeSource *source)
{
    check_mode(faults, path_field(path, "defaultMode"), source->has_defaultmode, source->defaultmode);
    for (size_t i = 0; i < source->n_items; i++)
        check_file(faults, path, source->items[i]);
}

static void check_nfs(struct faults *faults, const struct path *path, const Core__NFSVolumeSource *source)
{
    require(faults, path, "server", source->server);
    require(faults, path, "path", source->path);
    if (*api_text(source->path) != '/')
        fault_invalid(faults, path_field(path, "path"), api_text(source->path), "must be an absolute path");
}

static void check_csi(struct faults *faults, const struct path *path, const Core__CSIVolumeSource *source)
{
    const struct path *driver = path_field(path, "driver");
    const Core__LocalObjectReference *secret = source->nodepublishsecretref;
    if (is_set(source->driver)) {
        const char *details[NAME_DETAILS_MAX];
        char *lower = arena_strdup(faults->arena, source->driver);
        for (char *at = lower; *at; at++)
            *at = (char)tolower((unsigned char)*at);
        if (strlen(lower) > 63)
            fault_too_long(faults, driver, 63);
        size_t count = dns_subdomain_rule(lower, details);
        for (size_t i = 0; i < count; i++)
            fault_invalid(faults, driver, source->driver, details[i]);
    } else {
        fault_required(faults, driver, NULL);
    }
    if (secret && !is_set(secret->name))
        fault_required(faults, path_field(path_field(path, "nodePublishSecretRef"), "name"), NULL);
    else if (secret)
        check_dns_subdomain(faults, path_field(path, "name"), secret->name);
}

static void check_claim_template(struct faults *faults, const struct path *path,
                                 const Core__PersistentVolumeClaimTemplate *template)
{
    const struct path *spec_path = path_field(path, "spec"), *modes = path_field(spec_path, "accessModes");
    static const char *const supported[] = {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce",
                                            "ReadWriteOncePod", NULL};
    const Core__PersistentVolumeClaimSpec *spec = template->spec;
    const struct path *storage = path_key(path_field(spec_path, "resources"), "storage");
    if (!spec || spec->n_accessmodes == 0)
        fault_required(faults, modes, "at least 1 access mode is required");
    for (size_t i = 0; spec && i < spec->n_accessmodes; i++)
        validate_supported(faults, modes, spec->accessmodes[i], supported);
    const Core__VolumeResourceRequirements *resources = spec ? spec->resources : NULL;
    const Meta__Quantity *size =
        resources ? quantity_find(resources->requests, resources->n_requests, "storage") : NULL;
    if (!size)
        fault_required(faults, storage, NULL);
    else if (quantity_value(size) <= 0)
        fault_invalid(faults, storage, api_text(size->string), "must be greater than zero");
    if (spec && is_set(spec->storageclassname))
        check_dns_subdomain(faults, path_field(spec_path, "storageClassName"), spec->storageclassname);
}

static void check_ephemeral(struct faults *faults, const struct path *path,
                            const Core__EphemeralVolumeSource *source)
{
    if (source->volumeclaimtemplate)
        check_claim_template(faults, path_field(path, "volumeClaimTemplate"), source->volumeclaimtemplate);
    else
        fault_required(faults, path_field(path, "volumeClaimTemplate"), NULL);
}

static void check_size_limit(struct faults *faults, const struct path *path,
                             const Core__EmptyDirVolumeSource *source)
{
    if (quantity_value(source->sizelimit) < 0)
        fault_forbidden(faults, path_field(path, "sizeLimit"),
                        "SizeLimit field must be a valid resource quantity");
}

static void check_image(struct faults *faults, const struct path *path, const Core__ImageVolumeSource *source)
{
    require(faults, path, "reference", source->reference);
    validate_pull_policy(faults, path_field(path, "pullPolicy"), source->pullpolicy);
}

static void check_source(struct faults *faults, const struct path *path, const Core__Volume *volume,
                         const char *field)
{
    if (strcmp(field, "emptyDir") == 0)
        check_size_limit(faults, path, volume->emptydir);
    else if (strcmp(field, "hostPath") == 0)
        check_host_path(faults, path, volume->hostpath);
    else if (strcmp(field, "secret") == 0)
        check_secret(faults, path, volume->secret);
    else if (strcmp(field, "configMap") == 0)
        check_config_map(faults, path, volume->configmap);
    else if (strcmp(field, "downwardAPI") == 0)
        check_downward(faults, path, volume->downwardapi);
    else if (strcmp(field, "projected") == 0)
        check_projected(faults, path, volume->projected);
    else if (strcmp(field, "nfs") == 0)
        check_nfs(faults, path, volume->nfs);
    else if (strcmp(field, "csi") == 0)
        check_csi(faults, path, volume->csi);
    else if (strcmp(field, "ephemeral") == 0)
        check_ephemeral(faults, path, volume->ephemeral);
    else if (strcmp(field, "image") == 0)
        check_image(faults, path, volume->image);
    else
        validate_volume_plugin(faults, path->parent, volume, field);
}

static void check_sources(struct faults *faults, const struct path *path, const Core__Volume *volume)
{
    const ProtobufCMessageDescriptor *type = volume->base.descriptor;
    size_t count = 0;
    if (volume->emptydir) {
        check_source(faults, path_field(path, "emptyDir"), volume, "emptyDir");
        count++;
    }
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        const struct path *where = path_field(path, field->name);
        if (field->type != PROTOBUF_C_TYPE_MESSAGE || strcmp(field->name, "emptyDir") == 0 ||
            !*(void *const *)((const char *)volume + field->offset))
            continue;
        if (count++ > 0)
            fault_forbidden(faults, where, MORE_THAN_ONE);
        else
            check_source(faults, where, volume, field->name);
    }
    if (count == 0)
        fault_required(faults, path, "must specify a volume type");
}

/* Names of the claims that the Pod's ephemeral volumes will make. */
static struct text_set created_claims(const Core__Pod *pod, struct arena *arena)
{
    const Core__PodSpec *spec = pod->spec;
    const char **names = arena_array(arena, const char *, spec->n_volumes);
    size_t count = 0;
    for (size_t i = 0; is_set(pod->metadata->name) && i < spec->n_volumes; i++)
        if (spec->volumes[i]->ephemeral)
            names[count++] =
                arena_printf(arena, "%s-%s", pod->metadata->name, api_text(spec->volumes[i]->name));
    return text_set_build(arena, names, count);
}

static void check_volume(struct faults *faults, const struct path *path, const Core__Volume *volume,
                         bool is_repeated)
{
    const char *name = api_text(volume->name);
    check_sources(faults, path, volume);
    if (*name)
        check_dns_label(faults, path_field(path, "name"), name);
    else
        fault_required(faults, path_field(path, "name"), NULL);
    if (is_repeated)
        fault_duplicate(faults, path_field(path, "name"), name);
}

struct text_set validate_volumes(struct faults *faults, const Core__Pod *pod)
{
    const Core__PodSpec *spec = pod->spec;
    struct text_set created = created_claims(pod, faults->arena);
    const char **names = arena_array(faults->arena, const char *, spec->n_volumes);
    for (size_t i = 0; i < spec->n_volumes; i++)
        names[i] = api_text(spec->volumes[i]->name);
    const bool *repeated = validate_duplicates(faults->arena, names, spec->n_volumes);
    for (size_t i = 0; i < spec->n_volumes; i++) {
        const Core__PersistentVolumeClaimVolumeSource *claim = spec->volumes[i]->persistentvolumeclaim;
        const struct path *path = path_index(path_field(path_field(NULL, "spec"), "volumes"), i);
        size_t before = faults->count;
        check_volume(faults, path, spec->volumes[i], repeated && repeated[i]);
        if (faults->count > before)
            names[i] = UNUSABLE_NAME;
        if (claim && text_set_has(&created, claim->claimname))
            fault_invalid(faults, path_field(path_field(path, "persistentVolumeClaim"), "claimName"),
                          api_text(claim->claimname),
                          "must not reference a PVC that gets created for an ephemeral volume");
    }
    return text_set_build(faults->arena, names, spec->n_volumes);
}
