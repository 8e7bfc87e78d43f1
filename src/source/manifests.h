/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "source/source.h"

#include <uv.h>

/* A folder of YAML and JSON files as a source: *.yaml, *.yml and *.json directly in it, hidden files aside. A
 * change takes effect when its writer closes the file or moves it in. A refused document leaves the last good
 * state of its object in force; a file whose syntax breaks off takes nothing away. An object that two files
 * describe belongs to the file whose name sorts first. */
struct manifests;

/* COMPLETE: objects are defaulted and judged, for a world without a registry. AS_WRITTEN: only decoded, for
 * one that has a registry, where they are applied. */
enum manifests_form { MANIFESTS_COMPLETE, MANIFESTS_AS_WRITTEN };

/* Reads the whole folder, and goes on watching it: when this returns everything is listed, and settled
 * follows each later group of changes. */
int manifests_open(struct manifests **ret, uv_loop_t *loop, const char *path, enum manifests_form form,
                   const struct source_sink *sink, struct err *err);
void manifests_close(struct manifests *manifests);
const struct source_status *manifests_status(const struct manifests *manifests);
