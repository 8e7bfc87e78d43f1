/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/auth.h"

#include "base/cleanup.h"
#include "sys/read_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NODE_PREFIX "system:node:"
#define TOKENS_FILE_MAX ((size_t)1 << 20)

struct token {
    char *token;
    struct user user;
};

struct tokens {
    char *path;
    void (*report)(void *context, const char *sentence);
    void *context;
    bool is_reported;
    struct arena arena;
    struct token *list;
    size_t count;
    struct timespec changed;
    off_t size;
    ino_t inode;
};

struct tokens *tokens_new(const char *path, void (*report)(void *context, const char *sentence),
                          void *context)
{
    struct tokens *tokens = xcalloc(1, sizeof(*tokens));
    tokens->path = xstrdup(path);
    tokens->report = report;
    tokens->context = context;
    arena_init(&tokens->arena);
    return tokens;
}

void tokens_free(struct tokens *tokens)
{
    if (!tokens)
        return;
    arena_done(&tokens->arena);
    free(tokens->list);
    free(tokens->path);
    free(tokens);
}

/* The field before the next comma; a quoted one may hold commas. */
static char *take_field(char **rest)
{
    char *at = *rest;
    if (!at)
        return (char *)"";
    at += strspn(at, " \t");
    char *end = *at == '"' ? strchr(at + 1, '"') : NULL;
    if (end) {
        at++;
        *end++ = '\0';
        end = strchr(end, ',');
    } else {
        end = strchr(at, ',');
    }
    *rest = end ? end + 1 : NULL;
    if (end)
        *end = '\0';
    return at;
}

static void add_groups(struct user *user, char *groups)
{
    char *rest = *groups ? groups : NULL;
    while (rest && user->group_count < USER_GROUPS_MAX - 1) {
        char *group = take_field(&rest);
        if (*group)
            user->groups[user->group_count++] = group;
    }
    user->groups[user->group_count++] = "system:authenticated";
}

static void add_line(struct tokens *tokens, char *line)
{
    char *rest = line, *token = take_field(&rest), *name = take_field(&rest);
    take_field(&rest);
    char *groups = take_field(&rest);
    if (*token == '\0' || *token == '#' || *name == '\0')
        return;
    tokens->list = xrealloc(tokens->list, (tokens->count + 1) * sizeof(*tokens->list));
    struct token *entry = &tokens->list[tokens->count++];
    *entry = (struct token){.token = token, .user = {.name = name}};
    add_groups(&entry->user, groups);
}

/* What cannot be read any more is no longer good: somebody may have taken a token back. */
static void forget(struct tokens *tokens, const char *why)
{
    tokens->count = 0;
    tokens->inode = 0;
    if (tokens->report && !tokens->is_reported)
        tokens->report(tokens->context, why);
    tokens->is_reported = true;
}

static void load(struct tokens *tokens)
{
    struct stat status;
    struct err err;
    if (stat(tokens->path, &status) < 0) {
        tokens->count = 0;
        tokens->inode = 0;
        return;
    }
    if (status.st_ino == tokens->inode && status.st_size == tokens->size &&
        status.st_mtim.tv_sec == tokens->changed.tv_sec && status.st_mtim.tv_nsec == tokens->changed.tv_nsec)
        return;
    cleanup_free char *file = NULL;
    size_t len;
    if (read_file_whole(tokens->path, TOKENS_FILE_MAX, &file, &len, &err) < 0) {
        forget(tokens, err.text);
        return;
    }
    tokens->is_reported = false;
    arena_done(&tokens->arena);
    arena_init(&tokens->arena);
    tokens->count = 0;
    tokens->changed = status.st_mtim;
    tokens->size = status.st_size;
    tokens->inode = status.st_ino;
    for (char *line = arena_strndup(&tokens->arena, file, len), *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        add_line(tokens, line);
    }
}

static bool is_same(const char *a, const char *b)
{
    size_t len = strlen(a);
    unsigned char difference = 0;
    if (len != strlen(b))
        return false;
    for (size_t i = 0; i < len; i++)
        difference |= (unsigned char)(a[i] ^ b[i]);
    return difference == 0;
}

bool tokens_find(struct tokens *tokens, const char *token, struct user *ret)
{
    load(tokens);
    for (size_t i = 0; i < tokens->count; i++) {
        if (is_same(tokens->list[i].token, token)) {
            *ret = tokens->list[i].user;
            return true;
        }
    }
    return false;
}

int tokens_append(const char *path, const char *token, const char *user, const char *group, struct err *err)
{
    cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    char last = '\n';
    if (fd < 0)
        return err_set(err, errno, "cannot write %s: %s", path, strerror(errno));
    /* An editor may have left the last line open. */
    bool is_open_ended = lseek(fd, -1, SEEK_END) >= 0 && read(fd, &last, 1) == 1 && last != '\n';
    if (dprintf(fd, "%s%s,%s,%s,\"%s\"\n", is_open_ended ? "\n" : "", token, user, user, group) < 0 ||
        fsync(fd) < 0)
        return err_set(err, errno, "cannot write %s: %s", path, strerror(errno));
    return 0;
}

bool user_is_in(const struct user *user, const char *group)
{
    for (size_t i = 0; i < user->group_count; i++)
        if (strcmp(user->groups[i], group) == 0)
            return true;
    return false;
}

/* What a proxy reads: the sources of forwarding, and the node that it is on. */
static bool is_proxy_reading(enum verb verb, enum api_kind kind)
{
    if (verb != VERB_GET && verb != VERB_LIST && verb != VERB_WATCH)
        return false;
    switch (kind) {
    case API_SERVICE:
    case API_ENDPOINT_SLICE:
    case API_ENDPOINTS:
    case API_NODE:
    case API_SERVICE_CIDR:
    case API_NAMESPACE:
        return true;
    case API_POD:
    case API_CONFIG_MAP:
    case API_EVENT:
    case API_LEASE:
        break;
    }
    return false;
}

static bool is_writing(enum verb verb)
{
    return verb == VERB_CREATE || verb == VERB_UPDATE || verb == VERB_PATCH;
}

static bool is_own_lease(const char *node, enum verb verb, const struct target *target)
{
    if (target->resource->kind != API_LEASE || strcmp(target->namespace_, "kube-node-lease") != 0)
        return false;
    /* A create carries its name in the body: apiserver.c looks there. */
    return verb == VERB_CREATE || strcmp(target->name, node) == 0;
}

static bool proxy_may(const char *node, enum verb verb, const struct target *target)
{
    enum api_kind kind = target->resource->kind;
    if (is_proxy_reading(verb, kind))
        return true;
    if (kind == API_EVENT)
        return is_writing(verb);
    if (!node)
        return false;
    if (verb == VERB_GET || is_writing(verb)) {
        bool is_own_status =
            kind == API_NODE && strcmp(target->subresource, "status") == 0 && strcmp(target->name, node) == 0;
        return is_own_status || is_own_lease(node, verb, target);
    }
    return false;
}

bool user_may(const struct user *user, enum verb verb, const struct target *target, struct arena *arena,
              const char **ret_why)
{
    bool is_node =
        user_is_in(user, "system:nodes") && strncmp(user->name, NODE_PREFIX, strlen(NODE_PREFIX)) == 0;
    bool is_proxy =
        is_node || strcmp(user->name, "system:kube-proxy") == 0 || user_is_in(user, "system:node-proxier");
    if (user_is_in(user, "system:masters"))
        return true;
    if (is_proxy && proxy_may(is_node ? user->name + strlen(NODE_PREFIX) : NULL, verb, target))
        return true;
    /* A namespace is in itself. */
    const char *namespace_ = target->resource->kind == API_NAMESPACE ? target->name : target->namespace_;
    const char *where =
        *namespace_ ? arena_printf(arena, "in the namespace \"%s\"", namespace_) : "at the cluster scope";
    *ret_why =
        arena_printf(arena, "User \"%s\" cannot %s resource \"%s%s%s\" in API group \"%s\" %s", user->name,
                     verb_name(verb), target->resource->plural, *target->subresource ? "/" : "",
                     target->subresource, target->resource->group, where);
    return false;
}
