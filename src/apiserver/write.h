/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "apiserver/verbs.h"
#include "patch/manage.h"

/* The half that every write shares, as upstream's generic registry store has it (k8s.io/apiserver,
 * pkg/registry/generic/registry/store.go, pkg/registry/rest/{create,update}.go). Each returns false with
 * write->outcome->status set when the write is refused. */

/* next: decoded, defaulted, its field owners noted. */
bool write_create(struct write *write, ProtobufCMessage *next);
bool write_update(struct write *write, const struct registry_object *before, ProtobufCMessage *next);
/* Notes in next's managedFields who changed what. before is NULL for a create. */
bool write_own_fields(struct write *write, const ProtobufCMessage *before, ProtobufCMessage *next);
/* The object that the target names, or NULL with a 404. */
const struct registry_object *write_find(struct write *write);

bool write_refuse_invalid(struct write *write, const char *name, const struct faults *faults);
bool write_refuse(struct write *write, unsigned code, const char *reason, const char *message);
/* 409, about the target; why is the sentence after the colon. */
bool write_refuse_conflict(struct write *write, const char *why);
Meta__Time *write_time(struct write *write, int64_t seconds);
/* The object's namespace is the path's: filled in, or refused (400) when it names another. */
bool write_settle_namespace(struct write *write, ProtobufCMessage *object);
/* Whether the object's name is that of the path; else a 400. */
bool write_check_name(struct write *write, const ProtobufCMessage *object);
/* Notes whether a client's tree says managedFields: [], which a message cannot hold. */
void write_note_reset(struct write *write, json_t *tree);
/* Who writes, for field ownership. */
struct manage_actor write_actor(struct write *write);
