/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "source/source.h"

struct daemon;

/* The source that the role has: the folder, the registry behind the embedded API, or a cluster's apiserver.
 * It fills the store and takes turns. */

int sources_open(struct daemon *daemon, struct err *err);
/* Reads the folder into the store, and that is all. */
int sources_read_folder(struct daemon *daemon, struct err *err);
void sources_close(struct daemon *daemon);
/* What the walk's own source has: the registry where there is one, else the folder. */
const struct source_status *sources_status(const struct daemon *daemon);
