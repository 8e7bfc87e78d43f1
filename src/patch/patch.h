/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

/* PURE. The three patches of the Kubernetes API over trees. Each sets *ret to a new tree that shares nothing
 * with the inputs, which are left as they are, and returns 0; or leaves *ret alone and returns the sentence
 * of the apiserver with -EBADMSG  the patch itself is malformed: HTTP 400 BadRequest, the sentence is the
 * message; -EFBIG    too many operations: HTTP 413 RequestEntityTooLarge, the sentence is the message;
 *   -EINVAL   it cannot be applied to this document: HTTP 422 Invalid. Upstream keeps its sentence to itself
 * and says PATCH_INVALID_MESSAGE (apimachinery, NewGenericServerResponse); -EPROTO   upstream has no status
 * for it: HTTP 500 without a reason, the sentence is the message. Documents are objects. What a patch can
 * make us build, and how deep, is bounded. */

#define PATCH_INVALID_MESSAGE "the server rejected our request due to an error in our request"
#define PATCH_OPERATIONS_MAX 10000 /* kube-apiserver's bound */
#define PATCH_GROWTH_MAX                                                                                     \
    ((size_t)3 << 20)       /* bytes that the copies of one patch may add: JSONPatchMaxCopyBytes */
#define PATCH_DEPTH_MAX 256 /* of a document, a patch and a result, each */

/* RFC 6902 as evanphx/json-patch v4 does it for kube-apiserver: operations add, remove, replace, move, copy,
 * test. Beside the RFC: an index may be negative and counts from the end; replace makes a member that is
 * missing; copy of a missing member adds null; only replace and test know the whole document (""). */
int patch_json(json_t *document, json_t *operations, json_t **ret, struct err *err);
/* RFC 7386. The patch has to be an object; nulls inside of what it adds are dropped, in lists too. */
int patch_merge(json_t *document, json_t *patch, json_t **ret, struct err *err);
/* Strategic merge patch over the schema (api/fields.h): merge keys, $patch: delete|replace,
 * $deleteFromPrimitiveList, $setElementOrder, $retainKeys, null removes.
 * https://git.k8s.io/community/contributors/devel/sig-api-machinery/strategic-merge-patch.md */
int patch_strategic(json_t *document, json_t *patch, const ProtobufCMessageDescriptor *type, json_t **ret,
                    struct err *err);
