/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/encode.h"
#include "api/validate_pod.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

/* Settings of a Pod that are annotations, for they are older than their fields. */

#define MIRROR "kubernetes.io/config.mirror"
#define DELETION_COST "controller.kubernetes.io/pod-deletion-cost"
#define SECCOMP_POD "seccomp.security.alpha.kubernetes.io/pod"
#define SECCOMP_CONTAINER "container.seccomp.security.alpha.kubernetes.io/"
#define APP_ARMOR "container.apparmor.security.beta.kubernetes.io/"

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_number(const char *text)
{
    char *end;
    bool begins = *text == '-' || strcmp(text, "0") == 0 || (*text >= '1' && *text <= '9');
    if (!begins || !isdigit((unsigned char)text[strlen(text) - 1]))
        return false;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    return *end == '\0' && errno == 0 && value >= INT32_MIN && value <= INT32_MAX;
}

static void check_seccomp(struct faults *faults, const struct path *path, const char *profile)
{
    static const char local[] = "localhost/";
    if (strcmp(profile, "runtime/default") == 0 || strcmp(profile, "docker/default") == 0 ||
        strcmp(profile, "unconfined") == 0)
        return;
    if (!has_prefix(profile, local)) {
        fault_invalid(faults, path, profile, "must be a valid seccomp profile");
        return;
    }
    if (profile[strlen(local)] == '/')
        fault_invalid(faults, path, profile + strlen(local), "must be a relative path");
    validate_no_backsteps(faults, path, profile + strlen(local));
}

static void check_app_armor(struct faults *faults, const struct path *path, const char *profile)
{
    if (!*profile || strcmp(profile, "runtime/default") == 0 || strcmp(profile, "unconfined") == 0 ||
        has_prefix(profile, "localhost/"))
        return;
    fault_invalid(faults, path, profile,
                  arena_printf(faults->arena, "invalid AppArmor profile name: %s",
                               encode_quoted(profile, faults->arena)));
}

static struct text_set containers_of(const Core__PodSpec *spec, struct arena *arena)
{
    size_t count = 0;
    const char **names = arena_array(
        arena, const char *, spec->n_containers + spec->n_initcontainers + spec->n_ephemeralcontainers);
    for (size_t i = 0; i < spec->n_containers; i++)
        names[count++] = spec->containers[i]->name;
    for (size_t i = 0; i < spec->n_initcontainers; i++)
        names[count++] = spec->initcontainers[i]->name;
    for (size_t i = 0; i < spec->n_ephemeralcontainers; i++)
        names[count++] = spec->ephemeralcontainers[i]->name;
    return text_set_build(arena, names, count);
}

void validate_pod_annotations(struct faults *faults, const Core__Pod *pod)
{
    const Meta__ObjectMeta *metadata = pod->metadata;
    const struct path *path = path_field(path_field(NULL, "metadata"), "annotations");
    struct text_set containers = containers_of(pod->spec, faults->arena);
    for (size_t i = 0; i < metadata->n_annotations; i++) {
        const char *key = api_text(metadata->annotations[i]->key),
                   *value = api_text(metadata->annotations[i]->value);
        if (strcmp(key, MIRROR) == 0 && !is_set(pod->spec->nodename))
            fault_invalid(faults, path_key(path, key), value,
                          "must set spec.nodeName if mirror pod annotation is set");
        if (strcmp(key, DELETION_COST) == 0 && !is_number(value))
            fault_invalid(faults, path_key(path, key), value, "must be a 32bit integer");
        if (strcmp(key, SECCOMP_POD) == 0 || has_prefix(key, SECCOMP_CONTAINER))
            check_seccomp(faults, path_field(path, key), value);
        if (!has_prefix(key, APP_ARMOR))
            continue;
        const char *container = key + strlen(APP_ARMOR);
        if (!text_set_has(&containers, container))
            fault_invalid(faults, path_key(path, key), container, "container not found");
        check_app_armor(faults, path_key(path, key), value);
    }
}

static void check_fixed(struct faults *faults, const Meta__ObjectMeta *metadata, const Meta__ObjectMeta *old,
                        bool is_addition)
{
    const struct path *path = path_field(path_field(NULL, "metadata"), "annotations");
    const Meta__ObjectMeta *from = is_addition ? metadata : old, *to = is_addition ? old : metadata;
    const char **keys = arena_array(faults->arena, const char *, to->n_annotations);
    for (size_t i = 0; i < to->n_annotations; i++)
        keys[i] = to->annotations[i]->key;
    struct text_set known = text_set_build(faults->arena, keys, to->n_annotations);
    for (size_t i = 0; i < from->n_annotations; i++) {
        const char *key = api_text(from->annotations[i]->key);
        bool is_armor = has_prefix(key, APP_ARMOR);
        if (!is_armor && strcmp(key, MIRROR) != 0)
            continue;
        size_t place = text_set_find(&known, key);
        bool is_there = place < known.count;
        if (is_there &&
            (is_addition || is_same_text(to->annotations[place]->value, from->annotations[i]->value)))
            continue;
        const char *what = is_armor ? "AppArmor annotations" : "mirror pod annotation";
        fault_forbidden(
            faults, path_key(path, key),
            arena_printf(faults->arena, "may not %s %s", is_addition ? "add" : "remove or update", what));
    }
}

void validate_pod_annotations_update(struct faults *faults, const Core__Pod *pod, const Core__Pod *old)
{
    check_fixed(faults, pod->metadata, old->metadata, false);
    check_fixed(faults, pod->metadata, old->metadata, true);
    validate_pod_annotations(faults, pod);
}

void validate_image(struct faults *faults, const struct path *path, const char *image)
{
    size_t len = strlen(api_text(image));
    if (len && (isspace((unsigned char)image[0]) || isspace((unsigned char)image[len - 1])))
        fault_invalid(faults, path, image, "must not have leading or trailing whitespace");
}
