/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "answer.h"
#include "api_bench.h"
#include "base/cleanup.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct listing {
    int64_t first_byte_ns, total_ns;
    size_t bytes;
    unsigned pages;
};

/* One request from sending to its last byte. */
static int page_get(const struct api_bench *bench, struct client *client, const char *path,
                    struct listing *listing, struct err *err)
{
    struct client_request request = {"GET", path, bench->accept, NULL, NULL};
    int64_t begin_ns = clock_now();
    int code = client_send(client, &request, err);

    if (code == 0)
        code = client_read(client, err);
    if (!listing->pages++)
        listing->first_byte_ns = clock_now() - begin_ns;
    while (code == 0 && client->reply.stage != REPLY_DONE)
        code = client_read(client, err);
    listing->total_ns += clock_now() - begin_ns;
    listing->bytes += client->body.len;
    if (code == 0 && client->reply.status != 200)
        return err_set(err, EPROTO, "GET %s: status %u: %.200s", path, client->reply.status,
                       text_str(&client->body));
    return code;
}

/* The time that this takes is not the server's, nor counted. */
static void next_path(const struct api_bench *bench, const struct client *client, struct text *path)
{
    json_t *tree = json_loadb(client->body.data, client->body.len, 0, NULL);
    const char *token = json_string_value(json_object_get(json_object_get(tree, "metadata"), "continue"));

    path->len = 0;
    if (token && *token) {
        text_printf(path, "%s?limit=%u&continue=", bench->path, bench->limit);
        for (; *token; token++)
            text_printf(path, strchr("+/=", *token) ? "%%%02X" : "%c", *token);
    }
    json_decref(tree);
}

static int list_once(const struct api_bench *bench, struct client *client, struct listing *listing,
                     struct err *err)
{
    cleanup_with(text_done) struct text path = {0};

    text_add(&path, bench->path);
    if (bench->limit)
        text_printf(&path, "?limit=%u", bench->limit);
    int code = client_open(client, &bench->server, err);
    while (code == 0 && path.len) {
        code = page_get(bench, client, path.data, listing, err);
        if (code == 0 && bench->limit)
            next_path(bench, client, &path);
        else
            path.len = 0;
    }
    client_close(client);
    return code;
}

int api_list(const struct api_bench *bench, struct err *err)
{
    cleanup_free struct client *client = xcalloc(1, sizeof(*client));
    int code = 0;

    for (unsigned i = 0; i < bench->times && code == 0; i++) {
        struct listing listing = {0};

        code = list_once(bench, client, &listing, err);
        if (code == 0)
            printf("{\"first_byte_ns\": %lld, \"total_ns\": %lld, \"bytes\": %zu, \"pages\": %u}\n",
                   (long long)listing.first_byte_ns, (long long)listing.total_ns, listing.bytes,
                   listing.pages);
    }
    return code;
}
