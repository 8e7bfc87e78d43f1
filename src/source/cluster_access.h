/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"
#include "source/cluster.h"
#include "source/kubeconfig.h"

#include <stdbool.h>
#include <sys/stat.h>

/* Everything that cluster.c knows of a server from files, at one moment. */

/* A file and what it was when it was read. */
struct cluster_file {
    const char *path;
    struct timespec changed;
    ino_t inode;
    dev_t device;
    off_t size;
};

#define CLUSTER_FILES_MAX 40

struct cluster_access {
    struct arena arena;
    struct kubeconfig config;
    const char **servers; /* without a slash at the end */
    size_t server_count;
    const char *ca_pem, *certificate_pem, *key_pem;
    const char *authorization; /* the header's value; NULL: none, or a program's */
    struct cluster_file files[CLUSTER_FILES_MAX];
    size_t file_count;
};

/* Reads it all. On failure nothing is left to free. */
int cluster_access_read(struct cluster_access *ret, const struct cluster_options *options, struct err *err);
/* Whether a file is no longer the one that was read. */
bool cluster_access_is_stale(const struct cluster_access *access);
void cluster_access_done(struct cluster_access *access);
