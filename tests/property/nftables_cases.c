/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run.h"
#include "simple.h"

#include "dataplane/nftables/nftables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Single cases of the nftables dataplane on a real kernel, each with its reason. */

/* Service "s<number>" on 10.100.x.y. */
static struct address cluster_ip_of(unsigned number)
{
    char text[32];
    struct address address;
    snprintf(text, sizeof(text), "10.100.%u.%u", number / 250, number % 250 + 1);
    address_parse(text, &address, NULL);
    return address;
}

static void put_service_at(struct run *run, unsigned number, const struct address *cluster_ip, unsigned count,
                           uint32_t affinity_seconds)
{
    char text[32];
    struct address *endpoints = calloc(count + 1, sizeof(*endpoints));
    for (unsigned i = 0; i < count; i++) {
        snprintf(text, sizeof(text), "10.%u.%u.%u", 1 + i / 62500, i / 250 % 250, i % 250 + 1);
        address_parse(text, &endpoints[i], NULL);
    }
    snprintf(text, sizeof(text), "s%u", number);
    simple_put(run->store, text, cluster_ip, affinity_seconds, endpoints, count);
    free(endpoints);
}

static void put_service(struct run *run, unsigned number, unsigned count, uint32_t affinity_seconds)
{
    struct address cluster_ip = cluster_ip_of(number);
    put_service_at(run, number, &cluster_ip, count, affinity_seconds);
}

static struct world world;

static int setup(void **state)
{
    static struct run run;
    world_init(&world, 1);
    run_init(&run, &world);
    *state = &run;
    return 0;
}

static int teardown(void **state)
{
    run_done(*state);
    return 0;
}

static struct sync_result take_turn(struct run *run)
{
    struct sync_result result;
    struct err err = {0};
    if (sync_turn(&run->sync, &result, &err) < 0)
        fail_msg("%s", err.text);
    return result;
}

static void check_table(struct run *run)
{
    struct text words = {0};
    if (run_is_wrong(run, true, &words))
        fail_msg("%s", text_str(&words));
    text_done(&words);
}

/* A load makes sets with room for as much again: what fits in must not cost another load. */
static void test_grows_within_its_room(void **state)
{
    struct run *run = *state;
    for (unsigned i = 0; i < 100; i++)
        put_service(run, i, 10, 0);
    assert_true(take_turn(run).was_full);
    for (unsigned i = 100; i < 190; i++)
        put_service(run, i, 10, 0);
    assert_false(take_turn(run).was_full);
    check_table(run);
}

/* And what does not fit in is one load, in the same turn. */
static void test_grows_beyond_its_room(void **state)
{
    struct run *run = *state;
    for (unsigned i = 0; i < 100; i++)
        put_service(run, i, 10, 0);
    take_turn(run);
    for (unsigned i = 100; i < 300; i++)
        put_service(run, i, 10, 0);
    assert_true(take_turn(run).was_full);
    check_table(run);
    put_service(run, 300, 10, 0);
    assert_false(take_turn(run).was_full);
}

/* The count has 16 bits in the number that stands for it. */
static void test_more_endpoints_than_slots(void **state)
{
    struct run *run = *state;
    put_service(run, 0, 70000, 0);
    take_turn(run);
    check_table(run);
    struct snapshot snapshot;
    struct err err = {0};
    assert_int_equal(snapshot_take(&snapshot, &run->kernel, &err), 0);
    unsigned slots = 0;
    for (uint32_t i = 0; i < snapshot.elements.count; i++)
        slots += snapshot.elements.list[i].set == SET_ENDPOINTS;
    assert_int_equal(slots, 65535);
    snapshot_done(&snapshot);
}

static void shell(const char *command)
{
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

static bool has_hook(struct run *run)
{
    struct snapshot snapshot;
    struct err err = {0};
    bool is_found = false;
    if (snapshot_take(&snapshot, &run->kernel, &err) < 0)
        fail_msg("%s", err.text);
    for (int family = 0; family < FAMILY_COUNT; family++)
        for (uint32_t i = 0; i < snapshot.tables[family].chain_count; i++)
            is_found |= snapshot.tables[family].chains[i].hook != HOOK_NONE;
    snapshot_done(&snapshot);
    return is_found;
}

/* The first programming of many comes in pieces. Packets meet none of it before all of it is there, and what
 * a failure leaves behind is made whole by the next turn. */
static void test_builds_piecewise(void **state)
{
    struct run *run = *state;
    struct sync_result result;
    struct err err = {0};
    for (unsigned i = 0; i < 2200; i++)
        put_service(run, i, 10, 0);
    for (unsigned failing = 0; failing < 3; failing++) {
        run_inject_failure(run, failing);
        assert_true(sync_turn(&run->sync, &result, &err) < 0);
        run_forget_failure(run);
        assert_false(has_hook(run));
        if (failing > 0)
            shell("nft list table ip fairlead | grep -q 'elements ='");
        shell("nft add table ip fairlead; nft delete table ip fairlead; nft add table ip6 fairlead;"
              "nft delete table ip6 fairlead");
    }
    run_inject_failure(run, 2);
    assert_true(sync_turn(&run->sync, &result, &err) < 0);
    run_forget_failure(run);
    assert_int_equal(take_turn(run).dataplane.transactions, 1);
    check_table(run);
    assert_true(has_hook(run));
    shell("nft delete table ip fairlead; nft delete table ip6 fairlead");
    run->sync.needs_load = true;
    assert_in_range(take_turn(run).dataplane.transactions, 3, 100);
    check_table(run);
    assert_true(has_hook(run));
}

/* With so many elements a load writes everything anew, and clients stay where they are. */
static void test_rewrite_keeps_clients(void **state)
{
    struct run *run = *state;
    struct dice dice = {.state = 7};
    for (unsigned i = 0; i < 2200; i++)
        put_service(run, i, 10, i % 3 == 0 ? 3600 : 0);
    take_turn(run);
    unsigned added = 0;
    for (int i = 0; i < 100; i++)
        added += run_add_client(run, &dice);
    assert_true(added > 50);
    run->sync.needs_load = true;
    struct sync_result result = take_turn(run);
    assert_true(result.dataplane.element_adds > 20000);
    assert_int_equal(run_count_clients(run, FAMILY_IPV4), added);
    check_table(run);
    for (unsigned i = 0; i < 2200; i++)
        put_service(run, i, 1, i % 3 == 0 ? 3600 : 0);
    take_turn(run);
    assert_true(run_count_clients(run, FAMILY_IPV4) < added);
    check_table(run);
}

static void repair(struct run *run)
{
    assert_true(run->dataplane->ops->is_disturbed(run->dataplane));
    run->sync.needs_load = true;
    assert_true(take_turn(run).dataplane.transactions > 0);
    run->sync.needs_load = true;
    assert_int_equal(take_turn(run).dataplane.transactions, 0);
    check_table(run);
}

/* A rule that somebody put in, with a set of its own that goes when the rule goes. */
static void test_foreign_rule_with_anonymous_set(void **state)
{
    struct run *run = *state;
    put_service(run, 0, 3, 0);
    take_turn(run);
    shell("nft add rule ip fairlead dispatch tcp dport '{ 1, 2 }' drop");
    repair(run);
}

static void test_foreign_policy(void **state)
{
    struct run *run = *state;
    put_service(run, 0, 3, 0);
    take_turn(run);
    shell("nft 'chain ip fairlead nat-output { policy drop; }'");
    repair(run);
}

/* As an earlier release may have left it: a chain of the same name and rules at another priority. */
static void test_chain_at_another_priority(void **state)
{
    struct run *run = *state;
    put_service(run, 0, 3, 0);
    take_turn(run);
    shell("nft 'flush chain ip fairlead nat-output; delete chain ip fairlead nat-output;"
          "add chain ip fairlead nat-output { type nat hook output priority -90; };"
          "add rule ip fairlead nat-output goto dispatch'");
    repair(run);
    shell("nft list chain ip fairlead nat-output | grep -q 'priority -100\\|priority dstnat'");
}

/* Both are verdicts without a chain. */
static void test_foreign_verdict(void **state)
{
    struct run *run = *state;
    put_service(run, 0, 0, 0);
    take_turn(run);
    shell("nft 'delete element ip fairlead source-verdicts { 100:0 };"
          "add element ip fairlead source-verdicts { 100:0 : drop }'");
    repair(run);
}

/* A chain that comes in the same transaction as the first pointer to it is empty for a packet on its way. */
static void test_new_chains_go_ahead(void **state)
{
    struct run *run = *state;
    put_service(run, 0, 3, 0);
    take_turn(run);
    put_service(run, 0, 100, 0);
    assert_int_equal(take_turn(run).dataplane.transactions, 2);
    put_service(run, 0, 99, 0);
    assert_int_equal(take_turn(run).dataplane.transactions, 2);
    put_service(run, 0, 100, 0);
    assert_int_equal(take_turn(run).dataplane.transactions, 1);
    check_table(run);
}

/* A load leaves to the collector what packets may still be on their way to. */
static void test_load_lets_linger(void **state)
{
    struct run *run = *state;
    struct err err = {0};
    put_service(run, 0, 30, 100);
    take_turn(run);
    put_service(run, 0, 3, 0);
    take_turn(run);
    run->sync.needs_load = true;
    assert_int_equal(take_turn(run).dataplane.transactions, 0);
    assert_true(run_collect_all(run, &err));
    check_table(run);
    run->sync.needs_load = true;
    assert_int_equal(take_turn(run).dataplane.transactions, 0);
    assert_int_equal(run->dataplane->ops->collect_delay_ms(run->dataplane), -1);
    struct snapshot snapshot;
    assert_int_equal(snapshot_take(&snapshot, &run->kernel, &err), 0);
    for (uint32_t i = 0; i < snapshot.tables[FAMILY_IPV4].chain_count; i++) {
        const char *name = snapshot.tables[FAMILY_IPV4].chains[i].name;
        assert_true(strcmp(name, "affine-30") != 0 && strcmp(name, "learn-100") != 0);
    }
    snapshot_done(&snapshot);
}

/* A load that needs a new chain puts it in ahead, and leaves everything else where it is. */
static void test_load_adds_what_is_missing(void **state)
{
    struct run *run = *state;
    for (unsigned i = 0; i < 50; i++)
        put_service(run, i, 3, 0);
    take_turn(run);
    put_service(run, 0, 30, 60);
    run->sync.needs_load = true;
    struct sync_result result = take_turn(run);
    assert_int_equal(result.dataplane.transactions, 2);
    assert_true(result.dataplane.element_adds < 100); /* of more than 250 */
    check_table(run);
}

/* The names of generated chains say what is in them. */
static void test_chain_names_are_read_back(void **state)
{
    static const uint32_t flags[] = {0, VALUE_AFFINITY, VALUE_SHORTCUT, VALUE_AFFINITY | VALUE_SHORTCUT};
    static const char *const strange[] = {"pick-",        "pick-0",  "pick-07",  "pick-3x", "pick-65536",
                                          "node-learn-3", "learn-0", "dispatch", "node-",   ""};
    char name[CHAIN_NAME_MAX];
    bool for_node_port, is_learn;
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        uint32_t value = flags[i % 4] | (i < 8 ? 1 : VALUE_COUNT_MASK);
        rules_value_chain(value, i & 4, name);
        assert_int_equal(rules_parse_chain_name(name, &for_node_port, &is_learn), value);
        assert_true(for_node_port == !!(i & 4) && !is_learn);
    }
    rules_learn_chain_name(10800, name);
    assert_int_equal(rules_parse_chain_name(name, &for_node_port, &is_learn), 10800);
    assert_true(is_learn);
    for (unsigned i = 0; i < sizeof(strange) / sizeof(strange[0]); i++)
        assert_int_equal(rules_parse_chain_name(strange[i], &for_node_port, &is_learn), 0);
}

struct applied {
    unsigned calls, with_old;
};

static void count_applied(void *context, const struct dataplane_change *changes, size_t count)
{
    struct applied *applied = context;
    applied->calls++;
    for (size_t i = 0; i < count; i++)
        applied->with_old += changes[i].old != NULL;
}

/* conntrack is told of a change once it is in force, be it by the second try. */
static void test_failed_change_is_told_later(void **state)
{
    struct run *run = *state;
    struct applied applied = {0};
    struct sync_result result;
    struct err err = {0};
    put_service(run, 0, 3, 0);
    take_turn(run);
    run->sync.applied = count_applied;
    run->sync.context = &applied;
    put_service(run, 0, 2, 0);
    run_inject_failure(run, 0);
    assert_true(sync_turn(&run->sync, &result, &err) < 0);
    assert_int_equal(applied.calls, 0);
    run_forget_failure(run);
    take_turn(run);
    assert_int_equal(applied.calls, 1);
    assert_int_equal(applied.with_old, 1);
    check_table(run);
    simple_remove(run->store, "s0");
    run_inject_failure(run, 0);
    assert_true(sync_turn(&run->sync, &result, &err) < 0);
    run_forget_failure(run);
    take_turn(run);
    assert_int_equal(applied.with_old, 2);
    assert_null(run->store->services);
}

/* A frontend passes to another service in one transaction, whichever of them the turn sees first. */
static void test_frontend_changes_hands(void **state)
{
    struct run *run = *state;
    put_service(run, 5, 3, 0);
    take_turn(run);
    struct address cluster_ip = cluster_ip_of(5);
    put_service_at(run, 1, &cluster_ip, 4, 0);
    struct sync_result result = take_turn(run);
    assert_int_equal(result.changed, 2);
    assert_false(result.was_full);
    check_table(run);
    simple_remove(run->store, "s1");
    assert_false(take_turn(run).was_full);
    check_table(run);
    struct err err = {0};
    assert_true(run_collect_all(run, &err));
    check_table(run);
}

/* What nobody needs any more waits a whole interval, even when older things are on their way out. */
static void test_garbage_waits_by_itself(void **state)
{
    struct run *run = *state;
    struct dataplane_result result;
    struct err err = {0};
    put_service(run, 0, 3, 0);
    put_service(run, 1, 5, 0);
    take_turn(run);
    put_service(run, 0, 2, 0);
    take_turn(run);
    assert_int_equal(run->dataplane->ops->collect(run->dataplane, &result, &err), 0);
    assert_int_equal(result.element_deletes, 0);
    put_service(run, 1, 4, 0);
    take_turn(run);
    assert_int_equal(run->dataplane->ops->collect(run->dataplane, &result, &err), 0);
    /* Slot 2 of the first service, and the number 3 in both maps; nothing of the number 5. */
    assert_int_equal(result.element_deletes, 3);
    assert_int_equal(run->dataplane->ops->collect(run->dataplane, &result, &err), 0);
    assert_int_equal(result.element_deletes, 3);
    assert_int_equal(run->dataplane->ops->collect_delay_ms(run->dataplane), -1);
}

/* What was about to go, was needed again and is needed no more waits from the start. */
static void test_garbage_waits_again(void **state)
{
    struct run *run = *state;
    struct dataplane_result result;
    struct err err = {0};
    put_service(run, 0, 3, 0);
    take_turn(run);
    for (int i = 0; i < 3; i++) {
        put_service(run, 0, 2, 0);
        take_turn(run);
        assert_int_equal(run->dataplane->ops->collect(run->dataplane, &result, &err), 0);
        assert_int_equal(result.element_deletes, 0);
        put_service(run, 0, 3, 0);
        take_turn(run);
    }
    put_service(run, 0, 2, 0);
    take_turn(run);
    assert_int_equal(run->dataplane->ops->collect(run->dataplane, &result, &err), 0);
    assert_int_equal(result.element_deletes, 0);
    assert_int_equal(run->dataplane->ops->collect(run->dataplane, &result, &err), 0);
    assert_int_equal(result.element_deletes, 3);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_grows_within_its_room),
        CASE(test_grows_beyond_its_room),
        CASE(test_more_endpoints_than_slots),
        CASE(test_builds_piecewise),
        CASE(test_rewrite_keeps_clients),
        CASE(test_foreign_rule_with_anonymous_set),
        CASE(test_foreign_policy),
        CASE(test_chain_at_another_priority),
        CASE(test_foreign_verdict),
        CASE(test_failed_change_is_told_later),
        CASE(test_frontend_changes_hands),
        CASE(test_garbage_waits_by_itself),
        CASE(test_garbage_waits_again),
        CASE(test_new_chains_go_ahead),
        CASE(test_chain_names_are_read_back),
        CASE(test_load_lets_linger),
        CASE(test_load_adds_what_is_missing),
    };
    if (!enter_namespace())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
