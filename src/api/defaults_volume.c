/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/defaults_parts.h"

#define FILE_MODE 0644
#define TOKEN_SECONDS 3600

static void default_files(Core__DownwardAPIVolumeFile *const *files, size_t count)
{
    for (size_t i = 0; i < count; i++)
        default_field_reference(files[i]->fieldref);
}

static void default_projected(Core__ProjectedVolumeSource *projected)
{
    default_number(projected, defaultmode, FILE_MODE);
    for (size_t i = 0; i < projected->n_sources; i++) {
        const Core__VolumeProjection *source = projected->sources[i];
        if (source->downwardapi)
            default_files(source->downwardapi->items, source->downwardapi->n_items);
        if (source->serviceaccounttoken)
            default_number(source->serviceaccounttoken, expirationseconds, TOKEN_SECONDS);
    }
}

static void default_azure_disk(Core__AzureDiskVolumeSource *disk)
{
    default_text(&disk->cachingmode, "ReadWrite");
    default_text(&disk->fstype, "ext4");
    default_text(&disk->kind, "Shared");
    default_number(disk, readonly, false);
}

static void default_block_devices(Core__RBDVolumeSource *device)
{
    default_text(&device->pool, "rbd");
    default_text(&device->user, "admin");
    default_text(&device->keyring, "/etc/ceph/keyring");
}

/* A volume of no kind is an empty directory. */
static bool has_source(const Core__Volume *volume)
{
    const ProtobufCMessageDescriptor *type = volume->base.descriptor;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (field->type == PROTOBUF_C_TYPE_MESSAGE && *(void *const *)((const char *)volume + field->offset))
            return true;
    }
    return false;
}

void default_volume(Core__Volume *volume, struct arena *arena)
{
    if (!has_source(volume))
        volume->emptydir = default_new(arena, &core__empty_dir_volume_source__descriptor);
    if (volume->hostpath && !volume->hostpath->type)
        volume->hostpath->type = CONSTANT("");
    if (volume->secret)
        default_number(volume->secret, defaultmode, FILE_MODE);
    if (volume->configmap)
        default_number(volume->configmap, defaultmode, FILE_MODE);
    if (volume->downwardapi) {
        default_number(volume->downwardapi, defaultmode, FILE_MODE);
        default_files(volume->downwardapi->items, volume->downwardapi->n_items);
    }
    if (volume->projected)
        default_projected(volume->projected);
    if (volume->iscsi)
        default_text(&volume->iscsi->iscsiinterface, "default");
    if (volume->rbd)
        default_block_devices(volume->rbd);
    if (volume->azuredisk)
        default_azure_disk(volume->azuredisk);
    if (volume->scaleio) {
        default_text(&volume->scaleio->storagemode, "ThinProvisioned");
        default_text(&volume->scaleio->fstype, "xfs");
    }
    if (volume->ephemeral && volume->ephemeral->volumeclaimtemplate &&
        volume->ephemeral->volumeclaimtemplate->spec)
        default_text(&volume->ephemeral->volumeclaimtemplate->spec->volumemode, "Filesystem");
    if (volume->image)
        default_text(&volume->image->pullpolicy, default_pull_policy(api_text(volume->image->reference)));
}
