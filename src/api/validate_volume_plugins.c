/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/validate_pod.h"
#include "base/cleanup.h"

#define FIELDS_MAX 3

/* What each kind needs: texts that are not empty, lists that have an item. path is where upstream looks for
 * the faults, in one case elsewhere than the field is. */
static const struct {
    const char *field, *path, *required[FIELDS_MAX + 1];
} plugins[] = {
    {"gitRepo", "gitRepo", {"repository"}},
    {"gcePersistentDisk", "persistentDisk", {"pdName"}},
    {"awsElasticBlockStore", "awsElasticBlockStore", {"volumeID"}},
    {"iscsi", "iscsi", {"targetPortal", "iqn"}},
    {"glusterfs", "glusterfs", {"endpoints", "path"}},
    {"persistentVolumeClaim", "persistentVolumeClaim", {"claimName"}},
    {"rbd", "rbd", {"monitors", "image"}},
    {"flexVolume", "flexVolume", {"driver"}},
    {"cinder", "cinder", {"volumeID"}},
    {"cephfs", "cephfs", {"monitors"}},
    {"azureFile", "azureFile", {"secretName", "shareName"}},
    {"vsphereVolume", "vsphereVolume", {"volumePath"}},
    {"azureDisk", "azureDisk", {"diskName", "diskURI"}},
    {"photonPersistentDisk", "photonPersistentDisk", {"pdID"}},
    {"portworxVolume", "portworxVolume", {"volumeID"}},
    {"scaleIO", "scaleIO", {"gateway", "system", "volumeName"}},
    {"storageos", "storageos", {"volumeName"}},
};

static bool is_given(const ProtobufCMessage *source, const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(source->descriptor, name);
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)((const char *)source + field->quantifier_offset) > 0;
    return is_set(*(char *const *)((const char *)source + field->offset));
}

static const ProtobufCMessage *source_of(const Core__Volume *volume, const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(volume->base.descriptor, name);
    return *(ProtobufCMessage *const *)((const char *)volume + field->offset);
}

static void check_required(struct faults *faults, const struct path *path, const Core__Volume *volume,
                           size_t plugin)
{
    const ProtobufCMessage *source = source_of(volume, plugins[plugin].field);
    for (size_t i = 0; plugins[plugin].required[i]; i++)
        if (!is_given(source, plugins[plugin].required[i]))
            fault_required(faults, path_field(path, plugins[plugin].required[i]), NULL);
}

static void check_partition(struct faults *faults, const struct path *path, int partition)
{
    if (partition < 0 || partition > 255)
        fault_invalid_number(faults, path_field(path, "partition"), partition,
                             "must be between 1 and 255, inclusive");
}

static void check_flocker(struct faults *faults, const struct path *path,
                          const Core__FlockerVolumeSource *source)
{
    bool has_name = is_set(source->datasetname), has_id = is_set(source->datasetuuid);
    if (!has_name && !has_id)
        fault_required(faults, path, "one of datasetName and datasetUUID is required");
    if (has_name && has_id)
        fault_invalid(faults, path, "resource",
                      "datasetName and datasetUUID can not be specified simultaneously");
    if (has_name && strchr(source->datasetname, '/'))
        fault_invalid(faults, path_field(path, "datasetName"), source->datasetname, "must not contain '/'");
}

static void check_fibre_channel(struct faults *faults, const struct path *path,
                                const Core__FCVolumeSource *source)
{
    const struct path *names = path_field(path, "targetWWNs");
    if (source->n_targetwwns == 0 && source->n_wwids == 0)
        fault_required(faults, names, "must specify either targetWWNs or wwids, but not both");
    if (source->n_targetwwns && source->n_wwids)
        fault_invalid_list(faults, names, source->targetwwns, source->n_targetwwns,
                           "targetWWNs and wwids can not be specified simultaneously");
    if (source->n_targetwwns && !source->has_lun)
        fault_required(faults, path_field(path, "lun"), "lun is required if targetWWNs is specified");
    else if (source->n_targetwwns)
        check_range(faults, path_field(path, "lun"), source->lun, 0, 255);
}

static void check_quobyte(struct faults *faults, const struct path *path,
                          const Core__QuobyteVolumeSource *source)
{
    if (!is_set(source->registry))
        fault_required(faults, path_field(path, "registry"),
                       "must be a host:port pair or multiple pairs separated by commas");
    else if (strlen(api_text(source->tenant)) >= 65)
        fault_required(faults, path_field(path, "tenant"),
                       "must be a UUID and may not exceed a length of 64 characters");
    if (!is_set(source->volume))
        fault_required(faults, path_field(path, "volume"), NULL);
}

void validate_volume_plugin(struct faults *faults, const struct path *path, const Core__Volume *volume,
                            const char *field)
{
    for (size_t i = 0; i < ARRAY_LEN(plugins); i++)
        if (strcmp(plugins[i].field, field) == 0)
            check_required(faults, path_field(path, plugins[i].path), volume, i);
    if (strcmp(field, "gcePersistentDisk") == 0)
        check_partition(faults, path_field(path, "persistentDisk"), volume->gcepersistentdisk->partition);
    else if (strcmp(field, "awsElasticBlockStore") == 0)
        check_partition(faults, path_field(path, field), volume->awselasticblockstore->partition);
    else if (strcmp(field, "gitRepo") == 0)
        validate_descending_path(faults, path_field(path_field(path, field), "directory"),
                                 api_text(volume->gitrepo->directory));
    else if (strcmp(field, "iscsi") == 0)
        check_range(faults, path_field(path_field(path, field), "lun"), volume->iscsi->lun, 0, 255);
    else if (strcmp(field, "flocker") == 0)
        check_flocker(faults, path_field(path, field), volume->flocker);
    else if (strcmp(field, "fc") == 0)
        check_fibre_channel(faults, path_field(path, field), volume->fc);
    else if (strcmp(field, "quobyte") == 0)
        check_quobyte(faults, path_field(path, field), volume->quobyte);
}
