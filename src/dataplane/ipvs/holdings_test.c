/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/ipvs/holdings.h"

#include "base/cleanup.h"
#include "dataplane/test_entry.h"

#include <errno.h>
#include <stdlib.h>

/* Over a kernel that is in memory: the three sides' functions are here instead of those that speak by
 * netlink. It notes what it is asked for. */

#define MOST 32

struct kernel {
    struct text asked;
    struct {
        char set[32], member[IPSET_MEMBER_TEXT_MAX];
        struct ipset_member value;
    } members[MOST];
    struct {
        struct virtual_server id;
        struct server_settings settings;
        struct real_server reals[MOST];
        uint32_t count;
    } servers[MOST];
    struct address bound[MOST];
    uint32_t member_count, server_count, bound_count;
    const char *full; /* the set that has no room */
};
static struct kernel kernel;

static const char *said(void)
{
    return text_str(&kernel.asked);
}

static void forget_said(void)
{
    text_done(&kernel.asked);
    kernel.asked = (struct text){0};
}

/* --- sets --- */

int ipset_open(struct ipset_socket **ret, struct err *err)
{
    (void)err;
    *ret = (struct ipset_socket *)&kernel;
    return 0;
}

void ipset_close(struct ipset_socket *socket)
{
    (void)socket;
}

int ipset_create(struct ipset_socket *socket, const struct ipset *set, struct err *err)
{
    (void)socket;
    (void)set;
    (void)err;
    return 0;
}

static const char *member_text(const struct ipset_member *member, char buffer[IPSET_MEMBER_TEXT_MAX])
{
    char text[ADDRESS_TEXT_MAX] = "";
    if (address_is_set(&member->address))
        address_format(&member->address, text);
    snprintf(buffer, IPSET_MEMBER_TEXT_MAX, "%s,%u%s", text, member->port, member->mark ? " marked" : "");
    return buffer;
}

static uint32_t place_of_member(const char *set, const char *member)
{
    uint32_t i = 0;
    size_t len = strcspn(member, " ");
    while (i < kernel.member_count &&
           (strcmp(kernel.members[i].set, set) != 0 || strncmp(kernel.members[i].member, member, len) != 0))
        i++;
    return i;
}

void ipset_add(struct ipset_socket *socket, const struct ipset *set, const struct ipset_member *member)
{
    char text[IPSET_MEMBER_TEXT_MAX];
    (void)socket;
    text_printf(&kernel.asked, "add %s %s\n", set->name, member_text(member, text));
    uint32_t at = place_of_member(set->name, text);
    assert_true(at < MOST);
    kernel.member_count += at == kernel.member_count;
    snprintf(kernel.members[at].set, sizeof(kernel.members[at].set), "%s", set->name);
    snprintf(kernel.members[at].member, sizeof(kernel.members[at].member), "%s", text);
    kernel.members[at].value = *member;
}

void ipset_remove(struct ipset_socket *socket, const struct ipset *set, const struct ipset_member *member)
{
    char text[IPSET_MEMBER_TEXT_MAX];
    (void)socket;
    text_printf(&kernel.asked, "del %s %s\n", set->name, member_text(member, text));
    uint32_t at = place_of_member(set->name, text);
    if (at < kernel.member_count)
        kernel.members[at] = kernel.members[--kernel.member_count];
}

int ipset_flush(struct ipset_socket *socket, struct err *err)
{
    (void)socket;
    return kernel.full ? err_set(err, ENFILE, "the ipset %s is full", kernel.full) : 0;
}

int ipset_list(struct ipset_socket *socket, const struct ipset *set,
               void (*visit)(void *context, const struct ipset_member *member), void *context,
               struct err *err)
{
    (void)socket;
    (void)err;
    for (uint32_t i = 0; i < kernel.member_count; i++)
        if (strcmp(kernel.members[i].set, set->name) == 0)
            visit(context, &kernel.members[i].value);
    return 0;
}

int ipset_count(struct ipset_socket *socket, const struct ipset *set, uint32_t *ret, struct err *err)
{
    (void)socket;
    (void)err;
    *ret = 0;
    for (uint32_t i = 0; i < kernel.member_count; i++)
        *ret += strcmp(kernel.members[i].set, set->name) == 0;
    return 0;
}

/* --- virtual servers --- */

int servers_open(struct servers **ret, struct err *err)
{
    (void)err;
    *ret = (struct servers *)&kernel;
    return 0;
}

void servers_close(struct servers *servers)
{
    (void)servers;
}

static uint32_t place_of_server(const struct virtual_server *id)
{
    uint32_t i = 0;
    while (i < kernel.server_count && virtual_server_cmp(&kernel.servers[i].id, id) != 0)
        i++;
    return i;
}

static uint32_t place_of_real(uint32_t server, const struct backend *backend)
{
    uint32_t i = 0;
    while (i < kernel.servers[server].count &&
           address_cmp(&kernel.servers[server].reals[i].backend.address, &backend->address) != 0)
        i++;
    return i;
}

static const char *server_text(const struct virtual_server *id)
{
    static char text[SOCKET_ADDRESS_TEXT_MAX];
    if (id->mark)
        return "MARK";
    return socket_address_format(&(struct socket_address){id->address, id->port}, text);
}

void servers_set(struct servers *servers, const struct virtual_server *id,
                 const struct server_settings *settings, bool is_new)
{
    (void)servers;
    uint32_t at = place_of_server(id);
    text_printf(&kernel.asked, "%s %s %s\n", is_new ? "new" : "set", server_text(id), settings->scheduler);
    assert_int_equal(is_new, at == kernel.server_count);
    assert_true(at < MOST);
    kernel.server_count += is_new;
    kernel.servers[at].count = is_new ? 0 : kernel.servers[at].count;
    kernel.servers[at].id = *id;
    kernel.servers[at].settings = *settings;
}

void servers_remove(struct servers *servers, const struct virtual_server *id)
{
    (void)servers;
    uint32_t at = place_of_server(id);
    text_printf(&kernel.asked, "gone %s\n", server_text(id));
    if (at < kernel.server_count)
        kernel.servers[at] = kernel.servers[--kernel.server_count];
}

void servers_set_real(struct servers *servers, const struct virtual_server *id, const struct backend *backend,
                      uint32_t weight, bool is_new)
{
    char text[ADDRESS_TEXT_MAX];
    (void)servers;
    uint32_t server = place_of_server(id), at = place_of_real(server, backend);
    text_printf(&kernel.asked, "%s %s -> %s weight %u\n", is_new ? "new" : "set", server_text(id),
                address_format(&backend->address, text), weight);
    assert_true(server < kernel.server_count && at < MOST);
    assert_int_equal(is_new, at == kernel.servers[server].count);
    kernel.servers[server].count += is_new;
    kernel.servers[server].reals[at].backend = *backend;
    kernel.servers[server].reals[at].weight = weight;
}

void servers_remove_real(struct servers *servers, const struct virtual_server *id,
                         const struct backend *backend)
{
    char text[ADDRESS_TEXT_MAX];
    (void)servers;
    uint32_t server = place_of_server(id), at = place_of_real(server, backend);
    text_printf(&kernel.asked, "gone %s -> %s\n", server_text(id), address_format(&backend->address, text));
    if (at < kernel.servers[server].count)
        kernel.servers[server].reals[at] = kernel.servers[server].reals[--kernel.servers[server].count];
}

int servers_flush(struct servers *servers, struct err *err)
{
    (void)servers;
    (void)err;
    return 0;
}

int servers_list(struct servers *servers,
                 void (*visit)(void *context, const struct virtual_server *id,
                               const struct server_settings *settings),
                 void *context, struct err *err)
{
    (void)servers;
    (void)err;
    for (uint32_t i = 0; i < kernel.server_count; i++)
        visit(context, &kernel.servers[i].id, &kernel.servers[i].settings);
    return 0;
}

int servers_list_real(struct servers *servers, const struct virtual_server *id,
                      void (*visit)(void *context, const struct real_server *real), void *context,
                      struct err *err)
{
    (void)servers;
    uint32_t server = place_of_server(id);
    if (server == kernel.server_count)
        return err_set(err, ENOENT, "no such virtual server");
    for (uint32_t i = 0; i < kernel.servers[server].count; i++)
        visit(context, &kernel.servers[server].reals[i]);
    return 0;
}

/* --- addresses --- */

int bound_open(struct bound **ret, struct err *err)
{
    (void)err;
    *ret = (struct bound *)&kernel;
    return 0;
}

void bound_close(struct bound *bound)
{
    (void)bound;
}

void bound_add(struct bound *bound, const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    (void)bound;
    text_printf(&kernel.asked, "bind %s\n", address_format(address, text));
    assert_true(kernel.bound_count < MOST);
    kernel.bound[kernel.bound_count++] = *address;
}

void bound_remove(struct bound *bound, const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    (void)bound;
    text_printf(&kernel.asked, "unbind %s\n", address_format(address, text));
    for (uint32_t i = 0; i < kernel.bound_count; i++)
        if (address_cmp(&kernel.bound[i], address) == 0)
            kernel.bound[i--] = kernel.bound[--kernel.bound_count];
}

int bound_flush(struct bound *bound, struct err *err)
{
    (void)bound;
    (void)err;
    return 0;
}

int bound_list(struct bound *bound, void (*visit)(void *context, const struct address *address),
               void *context, struct err *err)
{
    (void)bound;
    (void)err;
    for (uint32_t i = 0; i < kernel.bound_count; i++)
        visit(context, &kernel.bound[i]);
    return 0;
}

/* --- */

#define SERVICE(address, more)                                                                               \
    {                                                                                                        \
        "clusterIP: " address ", " more "ports: [{port: 80, targetPort: 8080}]"
#define A TEST_THERE("10.0.2.5")
#define B TEST_THERE("10.0.2.6")

static const struct test_objects with_a = SERVICE("10.96.0.1", ""), "", A, ""
}
, with_b = SERVICE("10.96.0.1", ""), "", B, ""
}
, with_both = SERVICE("10.96.0.1", ""), "", A ", " B, ""
}
, other_with_a = SERVICE("10.96.0.2", ""), "", A, ""
}
, sticky = SERVICE("10.96.0.1", "sessionAffinity: ClientIP, "), "", A, ""
}
;

struct fixture {
    struct node_view view;
    struct dataplane_node node;
    struct holdings holdings;
    struct entry *entries[8];
    uint32_t entry_count;
};

static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    fixture->view.local_detect = LOCAL_DETECT_NONE;
    fixture->node = (struct dataplane_node){
        .view = &fixture->view, .masquerade_mark = 0x4000, .ipvs.scheduler = IPVS_SCHEDULER_DEFAULT};
    fixture->holdings.has_family[FAMILY_IPV4] = fixture->holdings.has_family[FAMILY_IPV6] = true;
    kernel = (struct kernel){0};
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    for (uint32_t i = 0; i < fixture->entry_count; i++)
        slab_free(fixture->entries[i]);
    holdings_done(&fixture->holdings);
    forget_said();
    free(fixture);
    return 0;
}

static const struct entry *entry_of(struct fixture *fixture, const struct test_objects *objects)
{
    if (!objects)
        return NULL;
    assert_true(fixture->entry_count < 8);
    return fixture->entries[fixture->entry_count++] = test_entry(objects, &fixture->view);
}

static void load_entries(struct fixture *fixture, const struct entry *const *entries, size_t count)
{
    struct err err;
    forget_said();
    assert_int_equal(holdings_load(&fixture->holdings, &fixture->node, entries, count, &err), 0);
    assert_int_equal(holdings_finish(&fixture->holdings, &err), 0);
}

static const struct entry *load(struct fixture *fixture, const struct test_objects *objects)
{
    const struct entry *entry = entry_of(fixture, objects);
    load_entries(fixture, &entry, entry != NULL);
    return entry;
}

static const struct entry *change(struct fixture *fixture, const struct entry *old,
                                  const struct test_objects *objects)
{
    struct err err;
    const struct dataplane_change change = {.old = old, .next = entry_of(fixture, objects)};
    forget_said();
    assert_int_equal(holdings_change(&fixture->holdings, &fixture->node, &change, 1, &err), 0);
    assert_int_equal(holdings_finish(&fixture->holdings, &err), 0);
    return change.next;
}

static void collect(struct fixture *fixture)
{
    struct err err;
    forget_said();
    assert_int_equal(holdings_collect(&fixture->holdings, &err), 0);
}

/* Connections of the first virtual server's real server at that place. */
static void hold_open(uint32_t place, uint32_t connections)
{
    kernel.servers[0].reals[place].connections = connections;
}

#define WHOLE                                                                                                \
    "add KUBE-IPVS-IPS 10.96.0.1,0\nbind 10.96.0.1\nadd KUBE-CLUSTER-IP 10.96.0.1,80\n"                      \
    "new 10.96.0.1:80 rr\nnew 10.96.0.1:80 -> 10.0.2.5 weight 1\n"

static void an_empty_kernel_gets_everything(void **state)
{
    load(*state, &with_a);
    assert_string_equal(said(), WHOLE);
}

static void what_is_there_is_not_asked_for_again(void **state)
{
    load(*state, &with_both);
    load(*state, &with_both);
    assert_string_equal(said(), "");
    struct fixture *fixture = *state;
    assert_int_equal(fixture->holdings.adds + fixture->holdings.removes, 0);
    assert_int_equal(fixture->holdings.server_count, 1);
    assert_int_equal(fixture->holdings.real_server_count, 2);
}

static void what_nobody_wants_goes(void **state)
{
    load(*state, &with_a);
    load(*state, &other_with_a);
    assert_non_null(strstr(said(), "gone 10.96.0.1:80\n"));
    assert_non_null(strstr(said(), "unbind 10.96.0.1\n"));
    assert_non_null(strstr(said(), "del KUBE-CLUSTER-IP 10.96.0.1,80\n"));
    assert_int_equal(kernel.server_count, 1);
    assert_int_equal(kernel.member_count, 2);
    assert_int_equal(kernel.bound_count, 1);
}

static void an_address_that_is_lost_is_bound_again(void **state)
{
    load(*state, &with_a);
    kernel.bound_count = 0;
    load(*state, &with_a);
    assert_string_equal(said(), "bind 10.96.0.1\n");
}

static void other_settings_are_set_right_in_place(void **state)
{
    load(*state, &with_a);
    struct fixture *fixture = *state;
    fixture->node.ipvs.scheduler = "mh";
    load(fixture, &with_a);
    assert_string_equal(said(), "set 10.96.0.1:80 mh\n");
    assert_true(kernel.servers[0].settings.has_source_hash_port);
    load(fixture, &with_a);
    assert_string_equal(said(), "");
}

static void affinity_is_set_in_place(void **state)
{
    change(*state, load(*state, &with_a), &sticky);
    assert_string_equal(said(), "set 10.96.0.1:80 rr\n");
    assert_int_equal(kernel.servers[0].settings.persistence_s, 10800);
}

static void another_weight_is_set_right(void **state)
{
    load(*state, &with_a);
    kernel.servers[0].reals[0].weight = 7;
    load(*state, &with_a);
    assert_string_equal(said(), "set 10.96.0.1:80 -> 10.0.2.5 weight 1\n");
}

/* --- who leaves --- */

/* Nobody leaves before somebody has come. */
static void it_leaves_with_its_last_connection(void **state)
{
    struct fixture *fixture = *state;
    const struct entry *before = load(fixture, &with_a);
    hold_open(0, 2);
    change(fixture, before, &with_b);
    assert_string_equal(said(), "new 10.96.0.1:80 -> 10.0.2.6 weight 1\n"
                                "set 10.96.0.1:80 -> 10.0.2.5 weight 0\n");
    collect(fixture);
    assert_string_equal(said(), "");
    assert_true(holdings_has_leaving(&fixture->holdings));
    hold_open(0, 0);
    collect(fixture);
    assert_string_equal(said(), "gone 10.96.0.1:80 -> 10.0.2.5\n");
    assert_false(holdings_has_leaving(&fixture->holdings));
}

static void who_has_nobody_leaves_at_once(void **state)
{
    change(*state, load(*state, &with_both), &with_a);
    assert_string_equal(said(), "set 10.96.0.1:80 -> 10.0.2.6 weight 0\ngone 10.96.0.1:80 -> 10.0.2.6\n");
}

static void it_comes_back_while_it_leaves(void **state)
{
    struct fixture *fixture = *state;
    const struct entry *before = load(fixture, &with_both);
    hold_open(1, 1);
    before = change(fixture, before, &with_a);
    change(fixture, before, &with_both);
    assert_string_equal(said(), "set 10.96.0.1:80 -> 10.0.2.6 weight 1\n");
    assert_false(holdings_has_leaving(&fixture->holdings));
    hold_open(1, 0);
    collect(fixture);
    assert_string_equal(said(), "");
}

/* A restart, or a load for another reason, while somebody leaves. */
static void it_goes_on_leaving_after_a_load(void **state)
{
    struct fixture *fixture = *state;
    const struct entry *before = load(fixture, &with_both);
    hold_open(1, 1);
    change(fixture, before, &with_a);
    load(fixture, &with_a);
    assert_string_equal(said(), "");
    assert_true(holdings_has_leaving(&fixture->holdings));
    load(fixture, &with_both);
    assert_string_equal(said(), "set 10.96.0.1:80 -> 10.0.2.6 weight 1\n");
    assert_false(holdings_has_leaving(&fixture->holdings));
}

static void a_virtual_server_goes_with_its_last_connection(void **state)
{
    struct fixture *fixture = *state;
    const struct entry *before = load(fixture, &with_a);
    hold_open(0, 1);
    change(fixture, before, NULL);
    assert_non_null(strstr(said(), "set 10.96.0.1:80 -> 10.0.2.5 weight 0\n"));
    assert_null(strstr(said(), "gone"));
    assert_null(strstr(said(), "unbind")); /* or the connection would not come in any more */
    hold_open(0, 0);
    collect(fixture);
    assert_string_equal(said(), "gone 10.96.0.1:80\nunbind 10.96.0.1\n");
    assert_false(holdings_has_leaving(&fixture->holdings));
}

static void an_address_that_is_wanted_again_stays(void **state)
{
    struct fixture *fixture = *state;
    const struct entry *before = load(fixture, &with_a);
    hold_open(0, 1);
    change(fixture, before, NULL);
    before = change(fixture, NULL, &with_a);
    hold_open(0, 0);
    collect(fixture);
    assert_null(strstr(said(), "unbind"));
}

static void a_virtual_server_comes_back_while_it_leaves(void **state)
{
    struct fixture *fixture = *state;
    const struct entry *before = load(fixture, &with_a);
    hold_open(0, 1);
    change(fixture, before, NULL);
    change(fixture, NULL, &with_both);
    assert_non_null(strstr(said(), "set 10.96.0.1:80 rr\nset 10.96.0.1:80 -> 10.0.2.5 weight 1\n"
                                   "new 10.96.0.1:80 -> 10.0.2.6 weight 1\n"));
    assert_false(holdings_has_leaving(&fixture->holdings));
}

/* Two leave with their virtual server, and it is wanted again when one of them has gone. */
static void who_went_before_its_virtual_server_is_new(void **state)
{
    struct fixture *fixture = *state;
    const struct entry *before = load(fixture, &with_both);
    hold_open(0, 1);
    change(fixture, before, NULL);
    assert_int_equal(kernel.servers[0].count, 1);
    before = change(fixture, NULL, &with_b);
    assert_non_null(strstr(said(), "set 10.96.0.1:80 rr\nnew 10.96.0.1:80 -> 10.0.2.6 weight 1\n"));
    hold_open(0, 0);
    collect(fixture);
    assert_string_equal(said(), "gone 10.96.0.1:80 -> 10.0.2.5\n");
}

static void datagrams_hold_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct err err;
    struct dataplane_change change = {entry_of(fixture, &with_both), entry_of(fixture, &with_a)};
    for (uint32_t i = 0; i < fixture->entry_count; i++)
        fixture->entries[i]->frontends[0].protocol = PROTOCOL_UDP;
    load_entries(fixture, &change.old, 1);
    hold_open(1, 1);
    forget_said();
    assert_int_equal(holdings_change(&fixture->holdings, &fixture->node, &change, 1, &err), 0);
    assert_string_equal(said(), "gone 10.96.0.1:80 -> 10.0.2.6\n");
    change = (struct dataplane_change){change.next, NULL};
    hold_open(0, 1);
    assert_int_equal(holdings_change(&fixture->holdings, &fixture->node, &change, 1, &err), 0);
    assert_int_equal(kernel.server_count, 0);
    assert_false(holdings_has_leaving(&fixture->holdings));
}

/* --- several services --- */

static void a_change_touches_its_own(void **state)
{
    struct fixture *fixture = *state;
    const struct entry *entries[] = {entry_of(fixture, &with_a), entry_of(fixture, &other_with_a)};
    load_entries(fixture, entries, 2);
    change(fixture, entries[1], NULL);
    assert_null(strstr(said(), "10.96.0.1"));
    assert_int_equal(kernel.server_count, 1);
}

static void what_two_want_is_not_changed_in_part(void **state)
{
    struct fixture *fixture = *state;
    struct err err;
    const struct entry *one = load(fixture, &with_a);
    const struct dataplane_change twice = {.old = NULL, .next = entry_of(fixture, &with_b)};
    forget_said();
    assert_int_equal(holdings_change(&fixture->holdings, &fixture->node, &twice, 1, &err), -EXFULL);
    assert_null(strstr(said(), "10.0.2.6"));
    const struct entry *both[] = {one, twice.next};
    load_entries(fixture, both, 2);
    assert_int_equal(kernel.server_count, 1);
    load_entries(fixture, &both[1], 1);
    assert_int_equal(kernel.servers[0].count, 1);
    char text[ADDRESS_TEXT_MAX];
    assert_string_equal(address_format(&kernel.servers[0].reals[0].backend.address, text), "10.0.2.6");
}

/* --- what others have --- */

static void add_foreign(const char *address, uint32_t mark, uint8_t protocol)
{
    struct virtual_server *id = &kernel.servers[kernel.server_count++].id;
    *id = (struct virtual_server){.mark = mark, .protocol = protocol, .port = mark ? 0 : 80};
    if (!mark)
        assert_int_equal(address_parse(address, &id->address, NULL), 0);
}

static void others_virtual_servers_stay(void **state)
{
    struct fixture *fixture = *state;
    struct prefix excluded;
    assert_int_equal(prefix_parse("10.96.55.0/24", &excluded, NULL), 0);
    fixture->node.ipvs.exclude_cidrs = &excluded;
    fixture->node.ipvs.exclude_cidr_count = 1;
    add_foreign("10.96.55.7", 0, PROTOCOL_TCP);
    add_foreign("", 4711, 0);
    add_foreign("10.96.56.7", 0, IPPROTO_ESP);
    load(fixture, &with_a);
    assert_string_equal(said(), WHOLE);
}

static void ours_go_wherever_they_are(void **state)
{
    add_foreign("10.96.56.7", 0, PROTOCOL_TCP);
    add_foreign("", mark_tag(0x4000) | 5, 0);
    load(*state, &with_a);
    assert_non_null(strstr(said(), "gone 10.96.56.7:80\n"));
    assert_non_null(strstr(said(), "gone MARK\n"));
}

static void a_full_set_keeps_packets_from_the_rest(void **state)
{
    struct fixture *fixture = *state;
    struct err err;
    const struct entry *before = load(fixture, &with_a);
    const struct dataplane_change more = {.old = NULL, .next = entry_of(fixture, &other_with_a)};
    kernel.full = "KUBE-CLUSTER-IP";
    assert_int_equal(holdings_change(&fixture->holdings, &fixture->node, &more, 1, &err), -ENFILE);
    assert_string_equal(err.text, "the ipset KUBE-CLUSTER-IP is full");
    kernel.full = NULL;
    const struct entry *both[] = {before, more.next};
    load_entries(fixture, both, 2);
    assert_int_equal(kernel.server_count, 2);
}

/* --- what nobody tells of --- */

static bool is_disturbed(struct fixture *fixture)
{
    struct err err;
    bool ret = false;
    assert_int_equal(holdings_is_disturbed(&fixture->holdings, &ret, &err), 0);
    return ret;
}

static void what_others_took_away_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    const struct entry *before = load(fixture, &with_both);
    assert_false(is_disturbed(fixture));
    kernel.member_count--;
    assert_true(is_disturbed(fixture));
    load_entries(fixture, &before, 1);
    assert_false(is_disturbed(fixture));
    kernel.server_count--;
    assert_true(is_disturbed(fixture));
    load_entries(fixture, &before, 1);
    hold_open(1, 1);
    change(fixture, before, NULL);
    assert_false(is_disturbed(fixture)); /* who leaves is not lost */
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_kernel_gets_everything),
        TEST(what_is_there_is_not_asked_for_again),
        TEST(what_nobody_wants_goes),
        TEST(an_address_that_is_lost_is_bound_again),
        TEST(other_settings_are_set_right_in_place),
        TEST(affinity_is_set_in_place),
        TEST(another_weight_is_set_right),
        TEST(it_leaves_with_its_last_connection),
        TEST(who_has_nobody_leaves_at_once),
        TEST(it_comes_back_while_it_leaves),
        TEST(it_goes_on_leaving_after_a_load),
        TEST(a_virtual_server_goes_with_its_last_connection),
        TEST(an_address_that_is_wanted_again_stays),
        TEST(a_virtual_server_comes_back_while_it_leaves),
        TEST(who_went_before_its_virtual_server_is_new),
        TEST(datagrams_hold_nobody),
        TEST(a_change_touches_its_own),
        TEST(what_two_want_is_not_changed_in_part),
        TEST(others_virtual_servers_stay),
        TEST(ours_go_wherever_they_are),
        TEST(a_full_set_keeps_packets_from_the_rest),
        TEST(what_others_took_away_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
