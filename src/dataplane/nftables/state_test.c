/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/state.h"

#include "base/slab.h"
#include "dataplane/nftables/test_entries.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>

/* A table as a list of elements, which takes batches as strictly as the kernel: what goes has to be there,
 * what comes must not be. tests/property has the real one; this needs no privilege. */
struct table {
    struct arena arena;
    struct element_list elements;
    struct state state;
};

static struct element *find(const struct table *table, const struct element *key)
{
    for (uint32_t i = 0; i < table->elements.count; i++)
        if (element_cmp(&table->elements.list[i], key) == 0)
            return &table->elements.list[i];
    return NULL;
}

static void complain_of(const char *words, const struct element *element)
{
    struct text text = {0};
    element_format(element, &text);
    fail_msg("%s: %s of %s", words, text_str(&text), set_schema(element->set)->name);
}

/* By type. Two levels have as many types at most: a message's and an element's. */
static int take_attribute(const struct nlattr *attribute, void *context)
{
    const struct nlattr **attributes = context;
    if (mnl_attr_get_type(attribute) <= NFTA_SET_ELEM_MAX)
        attributes[mnl_attr_get_type(attribute)] = attribute;
    return MNL_CB_OK;
}

static void copy(const struct nlattr *nest, void *to, size_t most)
{
    const struct nlattr *value = mnl_attr_get_payload(nest);
    assert_true(mnl_attr_get_payload_len(value) <= most);
    memcpy(to, mnl_attr_get_payload(value), mnl_attr_get_payload_len(value));
}

/* With data where there is any. (A verdict is not looked at: it follows from the key.) */
static void read_element(const struct nlattr *nest, enum family family, enum set_id set,
                         struct element_list *ret)
{
    const struct nlattr *attributes[NFTA_SET_ELEM_MAX + 1] = {NULL};
    struct element element = {.family = family, .set = set};
    mnl_attr_parse_nested(nest, take_attribute, attributes);
    copy(attributes[NFTA_SET_ELEM_KEY], element.key, sizeof(element.key));
    if (attributes[NFTA_SET_ELEM_KEY_END])
        copy(attributes[NFTA_SET_ELEM_KEY_END], element.key_end, sizeof(element.key_end));
    if (attributes[NFTA_SET_ELEM_DATA] && set_schema(set)->data != DATA_VERDICT)
        copy(attributes[NFTA_SET_ELEM_DATA], element.data, sizeof(element.data));
    element_list_add(ret, &element);
}

/* The elements of all messages of a segment. */
static void read_segment(const struct segment *segment, enum family family, enum set_id set,
                         struct element_list *ret)
{
    int left = (int)segment->len;
    const struct nlmsghdr *message = (const void *)segment->data;
    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        const struct nlattr *attributes[NFTA_SET_ELEM_MAX + 1] = {NULL}, *nest;
        mnl_attr_parse(message, sizeof(struct nfgenmsg), take_attribute, attributes);
        assert_non_null(attributes[NFTA_SET_ELEM_LIST_ELEMENTS]);
        mnl_attr_for_each_nested(nest, attributes[NFTA_SET_ELEM_LIST_ELEMENTS])
        {
            read_element(nest, family, set, ret);
        }
    }
}

static void commit(struct table *table, const struct batch *batch)
{
    for (int half = 0; half < 2; half++) {
        for (int at = 0; at < FAMILY_COUNT * SET_COUNT; at++) {
            struct element_list list = {.arena = &table->arena};
            enum family family = (enum family)(at / SET_COUNT);
            enum set_id set = (enum set_id)(at % SET_COUNT);
            read_segment(&batch->sets[half][family][set], family, set, &list);
            for (uint32_t i = 0; i < list.count; i++) {
                struct element *found = find(table, &list.list[i]);
                if (half == 0 && !found)
                    complain_of("taken out, and not there", &list.list[i]);
                if (half == 1 && found)
                    complain_of("put in, and there already", &list.list[i]);
                if (half == 0)
                    *found = table->elements.list[--table->elements.count];
                else
                    element_list_add(&table->elements, &list.list[i]);
            }
        }
    }
}

/* As nftables.c does it: everything goes before anything comes. */
static void apply(struct table *table, struct entry *const *old, struct entry *const *next, unsigned count)
{
    struct batch batch;
    struct element_list lists[8][4];
    batch_init(&batch);
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < 4; k++)
            lists[i][k] = (struct element_list){.arena = &table->arena};
        elements_build_own(old[i], &table->state.affinity_ids, &lists[i][0]);
        elements_build_shared(old[i], &lists[i][1]);
        elements_build_own(next[i], &table->state.affinity_ids, &lists[i][2]);
        elements_build_shared(next[i], &lists[i][3]);
        state_add_entry(&table->state, &lists[i][2], &lists[i][3], &batch);
        state_remove_own(&table->state, &lists[i][0], &lists[i][2], &batch);
    }
    for (unsigned i = 0; i < count; i++) {
        state_remove_entry(&table->state, &lists[i][0], &lists[i][1], &batch);
        state_add_own(&table->state, &lists[i][0], &lists[i][2], &batch);
    }
    commit(table, &batch);
    batch_done(&batch);
}

static uint32_t collect(struct table *table)
{
    struct batch batch;
    batch_init(&batch);
    state_collect(&table->state, &batch);
    commit(table, &batch);
    uint32_t deletes = batch.element_deletes;
    assert_int_equal(batch.element_adds, 0);
    batch_done(&batch);
    return deletes;
}

static void collect_all(struct table *table)
{
    for (int i = 0; state_has_garbage(&table->state); i++) {
        assert_true(i < 5);
        collect(table);
    }
}

struct wanting {
    struct table *table;
    uint32_t count;
};

static void expect_element(const struct element *element, void *context)
{
    struct wanting *wanting = context;
    const struct element *found = find(wanting->table, element);
    if (!found)
        complain_of("missing", element);
    if (set_schema(element->set)->data != DATA_VERDICT && !element_same_data(found, element))
        complain_of("other data", element);
    wanting->count++;
}

/* Everything that these entries need is there; with is_exact, and nothing else. */
static void expect_entries(struct table *table, struct entry *const *entries, unsigned count, bool is_exact)
{
    struct state books = {.affinity_ids = table->state.affinity_ids};
    struct wanting wanting = {.table = table};
    for (unsigned i = 0; i < count; i++) {
        struct element_list own = {.arena = &table->arena}, shared = {.arena = &table->arena};
        elements_build_own(entries[i], &books.affinity_ids, &own);
        elements_build_shared(entries[i], &shared);
        state_add_entry(&books, &own, &shared, NULL);
        for (uint32_t e = 0; e < own.count; e++)
            expect_element(&own.list[e], &wanting);
    }
    state_visit_counted(&books, expect_element, &wanting);
    if (is_exact)
        assert_int_equal(table->elements.count, wanting.count);
    table->state.affinity_ids = books.affinity_ids;
    books.affinity_ids = (struct numbers){0};
    state_done(&books);
}

static int setup(void **state)
{
    struct table *table = xcalloc(1, sizeof(*table));
    arena_init(&table->arena);
    table->elements.arena = &table->arena;
    *state = table;
    return 0;
}

static int teardown(void **state)
{
    struct table *table = *state;
    state_done(&table->state);
    arena_done(&table->arena);
    free(table);
    return 0;
}

#define CLUSTER(ip) "clusterIP: " ip ", ports: [{port: 80}]"
#define E1 "{addresses: [10.0.0.1], nodeName: here},"
#define E2 "{addresses: [10.0.0.2], nodeName: here},"
#define E3 "{addresses: [10.0.0.3], nodeName: there},"

static uint32_t count_slots(const struct table *table)
{
    uint32_t slots = 0;
    for (uint32_t i = 0; i < table->elements.count; i++)
        slots += set_holds_slots(table->elements.list[i].set);
    return slots;
}

static void slots_linger_for_packets_on_their_way(void **state)
{
    struct table *table = *state;
    struct entry *three = test_entry("web", CLUSTER("10.96.0.1"), "", E1 E2 E3),
                 *two = test_entry("web", CLUSTER("10.96.0.1"), "", E1 E2), *none = NULL;
    apply(table, &none, &three, 1);
    assert_false(state_has_garbage(&table->state));
    apply(table, &three, &two, 1);
    assert_int_equal(count_slots(table), 3);
    assert_true(state_has_garbage(&table->state));
    collect(table); /* may come just after the change: too early for what is this young */
    assert_int_equal(count_slots(table), 3);
    collect(table);
    assert_int_equal(count_slots(table), 2);
    collect_all(table);
    expect_entries(table, &two, 1, true);
    /* Wanted again while it lingers: it is made anew, with what it says now. */
    apply(table, &two, &three, 1);
    apply(table, &three, &two, 1);
    apply(table, &two, &three, 1);
    collect_all(table);
    expect_entries(table, &three, 1, true);
    apply(table, &three, &none, 1);
    collect_all(table);
    assert_int_equal(table->elements.count, 0);
    slab_free(three);
    slab_free(two);
}

static void what_is_shared_goes_with_the_last(void **state)
{
    struct table *table = *state;
    struct entry *one = test_entry("one", CLUSTER("10.96.0.1"), "", E1 E2),
                 *two = test_entry("two", CLUSTER("10.96.0.2"), "", E1 E2), *none = NULL;
    apply(table, &none, &one, 1);
    uint32_t alone = table->elements.count;
    apply(table, &none, &two, 1);
    /* Of the second: one frontend, two slots, one cluster IP; the numbers and hairpin pairs were there. */
    assert_int_equal(table->elements.count, alone + 4);
    apply(table, &one, &none, 1);
    collect_all(table);
    expect_entries(table, &two, 1, true);
    apply(table, &two, &none, 1);
    collect_all(table);
    assert_int_equal(table->elements.count, 0);
    assert_int_equal(HASH_COUNT(table->state.chains), 0);
    assert_int_equal(HASH_COUNT(table->state.values), 0);
    slab_free(one);
    slab_free(two);
}

/* A node port that passes to another Service, in either order of the two in one batch, with the same endpoint
 * behind it: nothing that is in use may be waiting for its end. */
static void keys_pass_from_one_entry_to_another(void **state)
{
#define PORT(ip) "type: NodePort, clusterIP: " ip ", ports: [{port: 80, nodePort: 30080}]"
    struct table *table = *state;
    for (unsigned winner = 0; winner < 2; winner++) {
        struct entry *shadowed = test_entry("one", PORT("10.96.0.1"), "", E1),
                     *open = test_entry("one", PORT("10.96.0.1"), "", E1),
                     *fresh = test_entry("two", PORT("10.96.0.2"), "", E1 E2), *none = NULL;
        shadowed->frontends[1].is_shadowed = true;
        apply(table, &none, &open, 1);
        struct entry *old[2] = {open, NULL}, *next[2] = {shadowed, fresh};
        struct entry *old_turned[2] = {NULL, open}, *next_turned[2] = {fresh, shadowed};
        apply(table, winner ? old_turned : old, winner ? next_turned : next, 2);
        expect_entries(table, next, 2, false);
        collect_all(table);
        expect_entries(table, next, 2, true);
        struct entry *gone[2] = {NULL, NULL};
        apply(table, next, gone, 2);
        collect_all(table);
        assert_int_equal(table->elements.count, 0);
        slab_free(shadowed);
        slab_free(open);
        slab_free(fresh);
    }
}

static uint32_t roll(uint64_t *dice, uint32_t sides)
{
    *dice = *dice * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*dice >> 33) % sides;
}

static struct entry *roll_entry(uint64_t *dice, unsigned number)
{
    static const char *const types[] = {"ClusterIP", "NodePort", "LoadBalancer"};
    struct text spec = {0}, endpoints = {0};
    uint32_t type = roll(dice, 3);
    if (roll(dice, 5) == 0)
        return NULL;
    text_printf(&spec, "type: %s, clusterIP: 10.96.0.%u, ", types[type], number + 1);
    if (type && roll(dice, 2))
        text_add(&spec, "externalTrafficPolicy: Local, ");
    if (roll(dice, 2))
        text_add(&spec, "internalTrafficPolicy: Local, ");
    if (roll(dice, 2))
        text_printf(&spec,
                    "sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: %u}}, ",
                    60 + roll(dice, 2));
    if (type == 2 && roll(dice, 2))
        text_printf(&spec, "loadBalancerSourceRanges: [198.51.%u.0/24, 10.0.0.0/8], ", roll(dice, 2));
    text_printf(&spec, "ports: [{port: 80, protocol: %s", roll(dice, 2) ? "TCP" : "UDP");
    text_printf(&spec, type ? ", nodePort: %u}]" : "}]", 30080 + number);
    text_add(&endpoints, "");
    for (uint32_t i = roll(dice, 6); i > 0; i--)
        text_printf(&endpoints, "{addresses: [10.0.0.%u], nodeName: %s},", 1 + roll(dice, 7),
                    roll(dice, 2) ? "here" : "there");
    static const char *const names[] = {"a", "b", "c"};
    struct entry *entry =
        test_entry(names[number], spec.data, type == 2 ? "{ip: 203.0.113.9}" : "", endpoints.data);
    for (uint32_t i = 0; type == 2 && i < entry->frontend_count; i++) /* VIPs are not to meet */
        entry->frontends[i].is_shadowed = entry->frontends[i].kind == FRONTEND_LOAD_BALANCER && number > 0;
    text_done(&spec);
    text_done(&endpoints);
    return entry;
}

/* diff(a, b) applied to a gives b, over a walk of random entries; collecting comes at any time. */
static void differences_lead_from_one_to_the_other(void **state)
{
    struct table *table = *state;
    struct entry *now[3] = {NULL};
    uint64_t dice = 1;
    for (unsigned step = 0; step < 1500; step++) {
        struct entry *next[3];
        for (unsigned i = 0; i < 3; i++)
            next[i] = roll_entry(&dice, i);
        apply(table, now, next, 3);
        expect_entries(table, next, 3, false);
        if (roll(&dice, 2))
            collect(table);
        if (roll(&dice, 10) == 0) {
            collect_all(table);
            expect_entries(table, next, 3, true);
        }
        for (unsigned i = 0; i < 3; i++) {
            slab_free(now[i]);
            now[i] = next[i];
        }
    }
    for (unsigned i = 0; i < 3; i++)
        slab_free(now[i]);
}

/* The same entry again writes nothing. */
static void no_difference_is_no_batch(void **state)
{
    struct table *table = *state;
    struct entry *entry = test_entry("web", CLUSTER("10.96.0.1"), "", E1 E2 E3), *none = NULL;
    apply(table, &none, &entry, 1);
    struct batch batch;
    batch_init(&batch);
    struct element_list own = {.arena = &table->arena}, shared = {.arena = &table->arena};
    elements_build_own(entry, &table->state.affinity_ids, &own);
    elements_build_shared(entry, &shared);
    state_add_entry(&table->state, &own, &shared, &batch);
    state_remove_own(&table->state, &own, &own, &batch);
    state_remove_entry(&table->state, &own, &shared, &batch);
    state_add_own(&table->state, &own, &own, &batch);
    assert_true(batch_is_empty(&batch));
    assert_false(state_has_garbage(&table->state));
    batch_done(&batch);
    slab_free(entry);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(slots_linger_for_packets_on_their_way),
        TEST(what_is_shared_goes_with_the_last),
        TEST(keys_pass_from_one_entry_to_another),
        TEST(differences_lead_from_one_to_the_other),
        TEST(no_difference_is_no_batch),
    };
    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
