/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"

#include <stdbool.h>

/* PURE. Content negotiation: what a request's body is, and in which form its answer goes. */

enum media { MEDIA_JSON, MEDIA_YAML, MEDIA_PROTOBUF };

/* An answer's form: the object itself, a Table of it, or its metadata alone
 * (https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables). */
enum form { FORM_OBJECT, FORM_TABLE, FORM_METADATA };

struct accepted {
    enum media media;
    enum form form;
    bool is_table_v1beta1;
};
/* The best of the forms that an Accept header (NULL: none) lists; false when none of them can be served
 * (406). allows_form: tables and metadata are possible here. */
bool accept_parse(const char *header, bool allows_form, struct accepted *ret);

enum patch_type { PATCH_JSON, PATCH_MERGE, PATCH_STRATEGIC, PATCH_APPLY };

/* Content-Type of a create, an update or delete options; NULL counts as JSON. false: 415. */
bool content_type_parse(const char *header, struct arena *arena, enum media *ret);
/* Content-Type of a PATCH; false: 415. */
bool patch_type_parse(const char *header, struct arena *arena, enum patch_type *ret);

/* "application/json" and so on; is_watch gives a protobuf stream's type. */
const char *media_type(enum media media, bool is_watch);
