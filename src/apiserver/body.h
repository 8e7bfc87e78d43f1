/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "apiserver/verbs.h"
#include "base/text.h"

/* Request bodies. Each returns false with the write's status set (400, 415). */

#define BODY_MAX ((size_t)3 << 20) /* kube-apiserver's bound */

/* An object of the target's kind, from JSON, YAML or Kubernetes protobuf. Fields that the schema lacks are
 * judged by fieldValidation (KEP-2885): warnings, or a refusal. */
bool body_object(struct write *write, enum media media, const struct text *body, ProtobufCMessage **ret);
/* A patch as a tree, a new reference. */
bool body_patch(struct write *write, enum patch_type type, const struct text *body, json_t **ret);
/* DeleteOptions in the body, over those that the query gives; an empty body is none. */
bool body_delete_options(struct write *write, enum media media, const struct text *body,
                         struct delete_options *ret, bool *ret_is_dry_run);
