/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/apiserver.h"

#include "api/strategy.h"
#include "apiserver/body.h"
#include "apiserver/exchange.h"
#include "apiserver/services.h"

#include <stdlib.h>
#include <string.h>

#define MANAGER_MAX 128

static const struct http_limits limits = {
    .connections_max = 4096,
    .deadline_ms = 60000,
    .body_max = BODY_MAX,
    .header_ms = 10000,
    .idle_ms = 180000,
    .stall_ms = 60000,
    .streams_max = 2048,
    .connections_per_peer_max = 2048,
    .bodies_total_max = (size_t)64 << 20,
    .answers_total_max = (size_t)256 << 20,
};

/* RFC 7234, 5.5: code, agent and a quoted text, which is cut where it would not fit. What is not printable
 * ASCII shows as
 * "?". */
static const char *warning_value(const char *text, char value[HTTP_HEADER_VALUE_MAX])
{
    size_t len = (size_t)snprintf(value, HTTP_HEADER_VALUE_MAX, "299 - \"");
    for (; *text && len + 4 < HTTP_HEADER_VALUE_MAX; text++) {
        if (*text == '"' || *text == '\\')
            value[len++] = '\\';
        value[len++] = *text >= ' ' && *text <= '~' ? *text : '?';
    }
    value[len++] = '"';
    value[len] = '\0';
    return value;
}

static void add_warnings(struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->outcome.warning_count; i++) {
        if (exchange->response->header_count + 2 >= HTTP_HEADERS_MAX)
            return;
        char value[HTTP_HEADER_VALUE_MAX];
        http_response_add_header(exchange->response, "Warning",
                                 warning_value(exchange->outcome.warnings[i], value));
    }
}

static void answer_status(struct http_response *response, const struct status *status)
{
    json_t *tree = status_tree(status);
    char *text = json_dumps(tree, JSON_COMPACT);
    response->status = status->code ? status->code : 200;
    response->content_type = media_type(MEDIA_JSON, false);
    if (status->retry_after_seconds) {
        char seconds[16];
        snprintf(seconds, sizeof(seconds), "%u", status->retry_after_seconds);
        http_response_add_header(response, "Retry-After", seconds);
    }
    if (status->code == 401)
        http_response_add_header(response, "WWW-Authenticate", "Bearer realm=\"fairlead\"");
    text_add(&response->body, text);
    text_add(&response->body, "\n");
    free(text);
    json_decref(tree);
}

/* --- who asks --- */

static void be_anonymous(struct user *user)
{
    *user = (struct user){.name = "system:anonymous",
                          .groups = {"system:unauthenticated"},
                          .group_count = 1,
                          .is_anonymous = true};
}

static void take_certificate(const struct http_peer *peer, struct user *user)
{
    *user = (struct user){.name = peer->common_name};
    for (const char *const *at = peer->organizations; *at && user->group_count < USER_GROUPS_MAX - 1; at++)
        user->groups[user->group_count++] = *at;
    user->groups[user->group_count++] = "system:authenticated";
}

static bool authenticate(struct exchange *exchange)
{
    const struct http_peer *peer = exchange->http->peer;
    const char *header = http_request_header(exchange->http, "Authorization");
    be_anonymous(&exchange->user);
    bool is_known = !peer->is_certificate_refused;
    if (peer->common_name)
        take_certificate(peer, &exchange->user);
    else if (header && strncasecmp(header, "Bearer ", 7) == 0)
        is_known =
            tokens_find(exchange->server->tokens, header + 7 + strspn(header + 7, " "), &exchange->user);
    else if (header)
        is_known = false;
    if (!is_known)
        status_unauthorized(&exchange->status);
    return is_known;
}

/* --- verbs --- */

/* What is not ASCII becomes "?": headers are bytes, and an object holds text. */
static const char *printable(char *text)
{
    for (char *at = text; *at; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    return text;
}

/* "kubectl/v1.32 (linux/amd64)" -> "kubectl". */
static const char *manager_of(struct exchange *exchange)
{
    if (*exchange->query.field_manager)
        return printable(arena_strdup(&exchange->arena, exchange->query.field_manager));
    const char *agent = http_request_header(exchange->http, "User-Agent");
    size_t len = agent ? strcspn(agent, "/") : 0;
    char *manager =
        arena_strndup(&exchange->arena, agent ? agent : "", len < MANAGER_MAX ? len : MANAGER_MAX);
    return *manager ? printable(manager) : "unknown";
}

static void present_outcome(struct exchange *exchange, const struct presentation *how)
{
    struct outcome *outcome = &exchange->outcome;
    if (outcome->status.code) {
        exchange->status = outcome->status;
        return;
    }
    exchange->response->status = outcome->code ? outcome->code : 200;
    exchange->response->content_type = media_type(how->accepted.media, false);
    present_object(how, outcome->object, NULL, &exchange->response->body);
}

/* What upstream answers to the delete of an object that is gone: a Status of Success with the object's name
 * and uid. */
static void present_deletion(struct exchange *exchange, const struct presentation *how)
{
    struct outcome *outcome = &exchange->outcome;
    const Meta__ObjectMeta *metadata = outcome->object ? api_metadata(outcome->object) : NULL;
    bool is_pending = metadata && metadata->deletiontimestamp;
    enum api_kind kind = exchange->target.resource->kind;
    if (outcome->status.code || is_pending || kind == API_POD || kind == API_SERVICE) {
        present_outcome(exchange, how);
        return;
    }
    struct status success = {.group = exchange->target.resource->group,
                             .kind = exchange->target.resource->plural,
                             .name = exchange->target.name,
                             .uid = metadata ? api_text(metadata->uid) : ""};
    answer_status(exchange->response, &success);
}

static struct write_options write_options(struct exchange *exchange)
{
    return (struct write_options){.manager = manager_of(exchange),
                                  .is_dry_run = exchange->query.is_dry_run,
                                  .is_forced = exchange->query.is_forced,
                                  .keeps_metadata = !user_is_in(&exchange->user, "system:masters"),
                                  .field_validation = exchange->query.field_validation};
}

static void refuse_media(struct exchange *exchange)
{
    status_generic(&exchange->status, 415, "UnsupportedMediaType",
                   "the body of the request was in an unknown format - accepted media types include: "
                   "application/json, application/yaml, application/vnd.kubernetes.protobuf");
}

/* A node's own Lease is named in the body of its create. */
static bool check_created_name(struct exchange *exchange, const ProtobufCMessage *object)
{
    const struct user *user = &exchange->user;
    const Meta__ObjectMeta *metadata = api_metadata(object);
    const char *name = metadata ? api_text(metadata->name) : "";
    if (exchange->target.resource->kind != API_LEASE || user_is_in(user, "system:masters"))
        return true;
    if (strncmp(user->name, "system:node:", 12) == 0 && strcmp(user->name + 12, name) == 0)
        return true;
    struct status_subject subject = target_subject(&exchange->target);
    subject.name = name;
    status_forbidden(&exchange->status, &exchange->arena, &subject,
                     "a node may only create its own lease, by its own name");
    return false;
}

static void handle_object(struct exchange *exchange, enum verb verb, struct write *write,
                          const struct presentation *how)
{
    const char *type = http_request_header(exchange->http, "Content-Type");
    enum media media;
    ProtobufCMessage *object;
    if (!content_type_parse(type, &exchange->arena, &media)) {
        refuse_media(exchange);
        return;
    }
    if (body_object(write, media, &exchange->http->body, &object)) {
        if (verb == VERB_UPDATE)
            verb_update(write, object);
        else if (check_created_name(exchange, object))
            verb_create(write, object);
        else
            return;
    }
    present_outcome(exchange, how);
}

static void handle_patch(struct exchange *exchange, struct write *write, const struct presentation *how)
{
    const char *type = http_request_header(exchange->http, "Content-Type");
    enum patch_type patch_type;
    json_t *patch = NULL;
    if (!patch_type_parse(type, &exchange->arena, &patch_type)) {
        status_generic(&exchange->status, 415, "UnsupportedMediaType", "415: Unsupported Media Type");
        exchange->status.kind = ""; /* upstream has empty details here */
        return;
    }
    /* Whoever applies says who he is. */
    struct write_options options = *write->options;
    options.manager = patch_type == PATCH_APPLY && !*exchange->query.field_manager ? "" : options.manager;
    write->options = &options;
    if (body_patch(write, patch_type, &exchange->http->body, &patch))
        verb_patch(write, patch_type, patch);
    json_decref(patch);
    present_outcome(exchange, how);
}

static bool read_delete_options(struct exchange *exchange, struct write *write, struct write_options *options,
                                struct delete_options *ret)
{
    enum media media;
    *ret = (struct delete_options){exchange->query.grace_seconds, "", "", exchange->query.propagation_policy};
    if (!content_type_parse(http_request_header(exchange->http, "Content-Type"), &exchange->arena, &media))
        media = MEDIA_JSON;
    return body_delete_options(write, media, &exchange->http->body, ret, &options->is_dry_run);
}

static void begin_batch(struct exchange *exchange)
{
    registry_begin(exchange->server->world->registry);
}

/* One write to the disk for all. When it fails all are there again, and so is what the Services among them
 * hold. */
static void end_batch(struct exchange *exchange, const struct registry_object *const *list, size_t count)
{
    const struct world *world = exchange->server->world;
    struct err err;
    if (registry_commit(world->registry, &err) == 0)
        return;
    for (size_t i = 0; i < count && exchange->target.resource->kind == API_SERVICE; i++)
        services_adopt((const Core__Service *)registry_decode(list[i], &exchange->arena), world->allocator,
                       NULL);
    status_generic(&exchange->outcome.status, 500, "InternalError",
                   arena_printf(&exchange->arena, "Internal error occurred: %s", err.text));
}

/* As upstream, what cannot be deleted stops the rest. Answers with the list. */
static void delete_collection(struct exchange *exchange, struct write *write,
                              const struct delete_options *options, const struct presentation *how)
{
    struct sieve sieve;
    const struct registry_object **list;
    size_t count;
    const struct world *world = exchange->server->world;
    if (!sieve_parse(&exchange->target, &exchange->query, &exchange->arena, &sieve, &exchange->status))
        return;
    read_selected(world->registry, &sieve, &list, &count);
    begin_batch(exchange);
    for (size_t i = 0; i < count && exchange->outcome.status.code == 0; i++) {
        struct target one = exchange->target;
        one.namespace_ = list[i]->namespace_;
        one.name = list[i]->name;
        struct write each = *write;
        each.target = &one;
        verb_delete(&each, options);
        if (exchange->outcome.status.code == 404)
            exchange->outcome.status = (struct status){0};
    }
    end_batch(exchange, list, count);
    const struct list_metadata metadata = {registry_revision(world->registry), "", -1};
    exchange->status = exchange->outcome.status;
    if (exchange->status.code == 0) {
        exchange->response->content_type = media_type(how->accepted.media, false);
        present_list(how, list, count, &metadata, &exchange->response->body);
    }
    registry_list_free(list, count);
}

static void handle_write(struct exchange *exchange, enum verb verb, const struct presentation *how)
{
    struct write_options options = write_options(exchange);
    struct delete_options deletion;
    struct write write = {exchange->server->world, &exchange->target, &options, &exchange->arena,
                          &exchange->outcome};
    switch (verb) {
    case VERB_CREATE:
    case VERB_UPDATE:
        handle_object(exchange, verb, &write, how);
        break;
    case VERB_PATCH:
        handle_patch(exchange, &write, how);
        break;
    case VERB_DELETE:
        if (read_delete_options(exchange, &write, &options, &deletion))
            verb_delete(&write, &deletion);
        present_deletion(exchange, how);
        break;
    case VERB_DELETE_COLLECTION:
        if (read_delete_options(exchange, &write, &options, &deletion) &&
            verb_check_policy(&write, deletion.propagation_policy))
            delete_collection(exchange, &write, &deletion, how);
        else
            exchange->status = exchange->outcome.status;
        break;
    case VERB_GET:
    case VERB_LIST:
    case VERB_WATCH:
        break;
    }
}

static void handle_verb(struct exchange *exchange, enum verb verb)
{
    const struct world *world = exchange->server->world;
    struct http_response *response = exchange->response;
    const struct presentation how = {exchange->accepted, exchange->target.resource,
                                     exchange->query.include_object, world->now(world->context)};
    response->content_type = media_type(exchange->accepted.media, verb == VERB_WATCH);
    switch (verb) {
    case VERB_GET:
        read_get(world, &exchange->target, &how, &exchange->arena, &response->body, &exchange->status);
        break;
    case VERB_LIST:
        read_list(world, &exchange->target, &exchange->query, &how, &exchange->arena, &response->body,
                  &exchange->status);
        break;
    case VERB_WATCH:
        watch_begin(exchange->server->watches, exchange->http, &exchange->target, &exchange->query, &how,
                    &exchange->arena, &exchange->status);
        break;
    case VERB_CREATE:
    case VERB_UPDATE:
    case VERB_PATCH:
    case VERB_DELETE:
    case VERB_DELETE_COLLECTION:
        handle_write(exchange, verb, &how);
        break;
    }
}

static void handle_resource(struct exchange *exchange)
{
    const struct http_request *http = exchange->http;
    const char *why;
    enum verb verb;
    struct status_subject subject = target_subject(&exchange->target);
    if (!query_parse(http->query, &exchange->arena, &exchange->query, &exchange->status))
        return;
    if (!verb_parse(http->method, &exchange->target, &exchange->query, &verb)) {
        status_method_not_allowed(&exchange->status, &exchange->arena, http->method, subject.plural);
        return;
    }
    if (!user_may(&exchange->user, verb, &exchange->target, &exchange->arena, &why)) {
        status_forbidden(&exchange->status, &exchange->arena, &subject, why);
        return;
    }
    if (!accept_parse(http_request_header(http, "Accept"), true, &exchange->accepted)) {
        status_generic(&exchange->status, 406, "NotAcceptable",
                       "only the following media types are accepted: application/json, application/yaml, "
                       "application/vnd.kubernetes.protobuf");
        return;
    }
    const char *deprecation = strategy_deprecation(exchange->target.resource->kind);
    if (deprecation)
        outcome_warn(&exchange->outcome, &exchange->arena, deprecation);
    bool is_good = verb == VERB_LIST || verb == VERB_WATCH
                       ? query_check_list(&exchange->query, &exchange->arena, &exchange->status)
                       : verb == VERB_GET ||
                             query_check_write(&exchange->query, verb, &exchange->arena, &exchange->status);
    if (is_good)
        handle_verb(exchange, verb);
}

static void route(struct exchange *exchange)
{
    if (!authenticate(exchange) || exchange_answer_document(exchange))
        return;
    if (target_parse(exchange->http->path, &exchange->arena, &exchange->target))
        handle_resource(exchange);
    else if (exchange->user.is_anonymous)
        exchange_refuse_path(exchange);
    else
        status_generic(&exchange->status, 404, "NotFound",
                       "the server could not find the requested resource");
}

static void on_request(void *context, const struct http_request *request, struct http_response *response)
{
    struct exchange exchange = {.server = context, .http = request, .response = response};
    arena_init(&exchange.arena);
    exchange.server->counters.requests++;
    http_response_add_header(response, "Cache-Control", "no-cache, private");
    route(&exchange);
    if (exchange.status.code) {
        text_done(&response->body);
        answer_status(response, &exchange.status);
        exchange.server->counters.refused++;
    }
    add_warnings(&exchange);
    arena_done(&exchange.arena);
}

/* What the HTTP server refuses by itself, as a Status. */
static void on_refusal(void *context, const struct http_request *request, struct http_response *response)
{
    struct status status = {0};
    ((struct apiserver *)context)->counters.refused++;
    if (response->status == 413)
        status_generic(&status, 413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728");
    else
        status_generic(&status, response->status, "TooManyRequests",
                       "too many requests, please try again later");
    text_done(&response->body);
    answer_status(response, &status);
}

static int open_servers(struct apiserver *server, uv_loop_t *loop, const struct apiserver_config *config,
                        struct err *err)
{
    const struct http_tls tls = {config->certificate_pem, config->key_pem, config->client_ca_pem};
    for (size_t i = 0; i < config->address_count && i < ADDRESSES_MAX; i++) {
        struct http_server **at = &server->servers[server->server_count];
        int code = config->certificate_pem
                       ? http_server_open_tls(at, loop, &config->addresses[i], &tls, on_request, server, err)
                       : http_server_open(at, loop, &config->addresses[i], on_request, server, err);
        if (code < 0)
            return code;
        server->server_count++;
        http_server_set_limits(*at, &limits);
        http_server_set_refusals(*at, on_refusal);
    }
    return 0;
}

int apiserver_open(struct apiserver **ret, uv_loop_t *loop, const struct apiserver_config *config,
                   struct err *err)
{
    struct apiserver *server = xcalloc(1, sizeof(*server));
    server->world = config->world;
    server->watches = watches_new(loop, config->world);
    server->tokens = tokens_new(config->tokens_path, config->report, config->context);
    registry_set_cache_free(config->world->registry, watch_cache_free);
    int code = open_servers(server, loop, config, err);
    if (code < 0) {
        apiserver_close(server);
        return code;
    }
    struct socket_address first = http_server_address(server->servers[0]);
    socket_address_format(&first, server->address);
    server->collector = collector_new(loop, config->world, config->report, config->context);
    server->mirrors = mirrors_new(config->world, config->report, config->context);
    *ret = server;
    return 0;
}

void apiserver_close(struct apiserver *server)
{
    if (!server)
        return;
    for (size_t i = 0; i < server->server_count; i++)
        http_server_close(server->servers[i]);
    watches_close(server->watches);
    collector_close(server->collector);
    mirrors_free(server->mirrors);
    tokens_free(server->tokens);
    free(server);
}

void apiserver_news(struct apiserver *server)
{
    watches_wake(server->watches);
    mirrors_pull(server->mirrors);
    collector_pull(server->collector);
}

uint16_t apiserver_port(const struct apiserver *server)
{
    return http_server_address(server->servers[0]).port;
}

struct apiserver_counters apiserver_counters(const struct apiserver *server)
{
    struct apiserver_counters ret = server->counters;
    ret.watches = watches_count(server->watches);
    for (size_t i = 0; i < server->server_count; i++)
        ret.connections += http_server_connections(server->servers[i]);
    return ret;
}
