/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/object.h"
#include "base/err.h"

#define DOCUMENTS_FILE_MAX ((size_t)256 << 20)

/* What one document of a file turned out to be. */
struct document {
    const char *file;
    int line, column; /* from 1: where the document begins, or where the fault is */
    const char *api_version, *kind, *namespace_, *name; /* as far as known, else NULL; "" namespace_ for
                                                           cluster-scoped kinds */
    const struct api_object *object; /* decoded, defaulted, validated; NULL when refused or passed over */
    const char *refusal;             /* one sentence without the position; NULL when fine */
    const char *const *warnings;     /* each one sentence */
    size_t warning_count;
    bool passed_over; /* a kind that fairlead does not use */
};

typedef void document_fn(void *context, const struct document *document);

/* Reads every document of one file's bytes, in order, calling visit for each; everything in struct document
 * lives until visit returns. YAML as kubectl reads it, JSON as a part of it; UTF-8 alone. The items of a list
 * (kind: List, ServiceList and so on) count as documents; empty documents are not visited. A syntax error
 * ends the file: it is reported as a refused document (kind etc. NULL), -EINVAL is returned with the
 * sentence; the documents before it were visited. Memory is that of one document, or one item of a list, at a
 * time. */
int documents_read(const char *file, const char *bytes, size_t len, document_fn *visit, void *context,
                   struct err *err);
/* The same, but objects are visited as they are written: decoded, neither defaulted nor judged, with a name
 * and, where the kind has one, a namespace. Metadata may hold nothing else, spec may be NULL. */
int documents_read_as_written(const char *file, const char *bytes, size_t len, document_fn *visit,
                              void *context, struct err *err);
