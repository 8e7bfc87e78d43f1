/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/decode.h"
#include "api/object.h"
#include "base/err.h"
#include "base/text.h"

#include <jansson.h>

/* The forms that an object has between programs, and the way between them and its message. A message's own
 * strings are never NUL-less; a body with a NUL inside a string is refused.
 *
 * What is written follows Go's encoder over the types of k8s.io/api (fields.h): what is empty or zero is left
 * out, but for a `pointer` scalar that was given, a struct that is there (`emptyDir: {}`), and what is
 * `always` written. */

/* --- JSON as a tree (libjansson) --- */

/* The tree of an object, apiVersion and kind first; a new reference. Fields in the schema's order, map
 * entries by key. NULL alone when stored field sets (FieldsV1) are no JSON, which wire_unpack lets nobody
 * bring in. */
json_t *wire_tree(enum api_kind kind, const ProtobufCMessage *message);
/* The same under another name: events.k8s.io. */
json_t *wire_tree_as(const char *api_version, const char *kind, const ProtobufCMessage *message);
/* The same for one message without apiVersion and kind. */
json_t *wire_tree_of(const ProtobufCMessage *message);
/* Decodes a tree; as decode_message with warn_unknown (unknown fields to warnings, wrong types to refusal),
 * without lines. The tree may go afterwards. Refuses what is deeper than 64 levels or has more than a million
 * values. */
void wire_decode_tree(json_t *tree, const ProtobufCMessageDescriptor *type, struct arena *arena,
                      struct decode_result *ret);
/* YAML text, one document, as kubectl reads it, to a tree: a new reference, or NULL with a sentence. */
json_t *wire_tree_from_yaml(const char *bytes, size_t len, struct err *err);
/* Appends the same text that wire_tree would dump compactly, without making the tree: for lists and watches.
 */
void wire_json(enum api_kind kind, const ProtobufCMessage *message, struct text *ret);
void wire_json_as(const char *api_version, const char *kind, const ProtobufCMessage *message,
                  struct text *ret);
/* One message without apiVersion and kind, as metadata in a Table or a ListMeta. */
void wire_json_of(const ProtobufCMessage *message, struct text *ret);
/* Appends a JSON string with its quotes. */
void wire_json_string(struct text *ret, const char *value);

/* --- Kubernetes protobuf: "k8s\0" and runtime.Unknown around the message
 * (k8s.io/apimachinery/pkg/runtime/serializer/protobuf) --- */

#define WIRE_PROTOBUF_TYPE "application/vnd.kubernetes.protobuf"
/* Appends the envelope with the given apiVersion and kind around raw, which is a packed message. What stands
 * inside a watch event's RawExtension is the whole with the magic number. */
void wire_protobuf(const char *api_version, const char *kind, const void *raw, size_t len, struct text *ret);
struct wire_envelope {
    const char *api_version, *kind; /* in the arena, "" when absent */
    const uint8_t *raw;             /* inside the given bytes */
    size_t len;
};
/* Opens an envelope; -EINVAL with a sentence for anything else. */
int wire_protobuf_open(const void *bytes, size_t len, struct arena *arena, struct wire_envelope *ret,
                       struct err *err);

/* Appends the message packed, map entries by key and without zeros that mean nothing, so that equal messages
 * give equal bytes. Not protobuf_c_message_pack: it knows nothing of embedded messages (proto/meta.proto). */
void wire_pack(const ProtobufCMessage *message, struct text *ret);
#define WIRE_UNPACK_MAX ((size_t)64 << 20) /* bytes that one message may take in memory */
/* Unpacks a message in the arena; nothing in it points into bytes. Strings are checked as UTF-8 without NUL,
 * quantities are brought into canonical form, field sets are checked as JSON, unknown fields are dropped,
 * entries of a map are sorted by key and the last of equal ones wins, zeros that mean nothing are left unset.
 * NULL with a sentence. */
ProtobufCMessage *wire_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t len,
                              struct arena *arena, struct err *err);
/* The same without metadata.managedFields, whatever is in there: for who only acts on what the fields say. */
ProtobufCMessage *wire_unpack_for_reader(const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
                                         size_t len, struct arena *arena, struct err *err);
/* As wire_unpack for what wire_pack made of a checked message: leaves out the checks of what strings mean.
 * Safe for any bytes all the same. */
ProtobufCMessage *wire_unpack_own(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t len,
                                  struct arena *arena, struct err *err);
/* Appends a length-delimited protobuf field: for lists (items = field 2) and watch frames. */
void wire_add_field(struct text *text, unsigned number, const void *bytes, size_t len);
