/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/auth.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* --- the file of tokens --- */

struct fixture {
    char folder[64], path[80];
    struct tokens *tokens;
    unsigned reports;
    char report[256];
};

static void note_report(void *context, const char *sentence)
{
    struct fixture *fixture = context;
    fixture->reports++;
    snprintf(fixture->report, sizeof(fixture->report), "%s", sentence);
}

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    snprintf(fixture->folder, sizeof(fixture->folder), "%.40s/fairlead-auth-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(fixture->folder))
        return -1;
    snprintf(fixture->path, sizeof(fixture->path), "%s/tokens.csv", fixture->folder);
    fixture->tokens = tokens_new(fixture->path, note_report, fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    tokens_free(fixture->tokens);
    unlink(fixture->path);
    rmdir(fixture->folder);
    free(fixture);
    return 0;
}

/* By rename, as editors do it. */
static void write_tokens(struct fixture *fixture, const char *text)
{
    char other[96];
    snprintf(other, sizeof(other), "%s.new", fixture->path);
    FILE *file = fopen(other, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(other, fixture->path), 0);
}

/* "name group group", or "unknown". */
static void expect(struct fixture *fixture, const char *token, const char *wanted)
{
    struct user user;
    struct text text = {0};
    bool is_known = tokens_find(fixture->tokens, token, &user);
    text_add(&text, is_known ? user.name : "unknown");
    for (size_t i = 0; is_known && i < user.group_count; i++)
        text_printf(&text, " %s", user.groups[i]);
    assert_false(is_known && user.is_anonymous);
    if (strcmp(text_str(&text), wanted) != 0)
        fail_msg("%s is \"%s\", not \"%s\"", token, text_str(&text), wanted);
    text_done(&text);
}

static void lines_are_upstreams_static_tokens(void **state)
{
    struct fixture *fixture = *state;
    write_tokens(fixture, "# who may what\n"
                          "plain,alice,1\n"
                          "quoted,\"bob\",2,\"a,b\"\n"
                          "single,carol,3,staff\n"
                          "  spaced , dave\n"
                          "\"to,ken\",erin,5,\"system:masters\"\n"
                          "short,frank\n"
                          "nobody\n"
                          "unnamed,,7\n"
                          ",grace,8\n"
                          "\n"
                          "#hidden,heidi,9\n"
                          "empty,ivan,10,\"\"\n"
                          "gaps,judy,11,\"a,,b\"\n"
                          "open,mallory,12,\"a,b\n"
                          "many,niaj,13,\"1,2,3,4,5,6,7,8,9\"\n"
                          "last,olivia,14,end");
    expect(fixture, "plain", "alice system:authenticated");
    expect(fixture, "quoted", "bob a b system:authenticated");
    expect(fixture, "single", "carol staff system:authenticated");
    expect(fixture, "to,ken", "erin system:masters system:authenticated");
    expect(fixture, "short", "frank system:authenticated");
    expect(fixture, "empty", "ivan system:authenticated");
    expect(fixture, "gaps", "judy a b system:authenticated");
    expect(fixture, "many", "niaj 1 2 3 4 5 6 7 system:authenticated");
    expect(fixture, "last", "olivia end system:authenticated");
    expect(fixture, "nobody", "unknown");
    expect(fixture, "unnamed", "unknown");
    expect(fixture, "", "unknown");
    expect(fixture, "hidden", "unknown");
    expect(fixture, "#hidden", "unknown");
    expect(fixture, "alice", "unknown");
    expect(fixture, "Plain", "unknown");
    expect(fixture, "plain ", "unknown");
    expect(fixture, "plai", "unknown");
    expect(fixture, "plain,alice,1", "unknown");
    assert_int_equal(fixture->reports, 0);
}

static void a_changed_file_counts_at_once(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, "one", "unknown"); /* there is no file */
    write_tokens(fixture, "one,alice,1\n");
    expect(fixture, "one", "alice system:authenticated");
    write_tokens(fixture, "two,alice,1\n"); /* of the same length */
    expect(fixture, "one", "unknown");
    expect(fixture, "two", "alice system:authenticated");
    unlink(fixture->path);
    expect(fixture, "two", "unknown");
    write_tokens(fixture, "one,bob,1\n");
    expect(fixture, "one", "bob system:authenticated");
    assert_int_equal(fixture->reports, 0);
}

/* A token that somebody has taken back must not live on because the file cannot be read. */
static void an_unreadable_file_has_no_tokens(void **state)
{
    struct fixture *fixture = *state;
    write_tokens(fixture, "one,alice,1\n");
    expect(fixture, "one", "alice system:authenticated");
    assert_int_equal(truncate(fixture->path, 2 << 20), 0);
    expect(fixture, "one", "unknown");
    expect(fixture, "one", "unknown");
    assert_int_equal(fixture->reports, 1);
    assert_non_null(strstr(fixture->report, fixture->path));
    write_tokens(fixture, "one,alice,1\n");
    expect(fixture, "one", "alice system:authenticated");
    write_tokens(fixture, "");
    expect(fixture, "one", "unknown");
    assert_int_equal(fixture->reports, 1);
}

static void appended_tokens_are_lines_of_their_own(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;
    struct err err;
    assert_int_equal(tokens_append(fixture->path, "t1", "system:node:n1", "system:nodes", &err), 0);
    assert_int_equal(stat(fixture->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    expect(fixture, "t1", "system:node:n1 system:nodes system:authenticated");
    assert_int_equal(tokens_append(fixture->path, "t2", "admin", "system:masters", &err), 0);
    expect(fixture, "t1", "system:node:n1 system:nodes system:authenticated");
    expect(fixture, "t2", "admin system:masters system:authenticated");
    write_tokens(fixture, "open,alice,1,staff");
    assert_int_equal(tokens_append(fixture->path, "t3", "bob", "staff", &err), 0);
    expect(fixture, "open", "alice staff system:authenticated");
    expect(fixture, "t3", "bob staff system:authenticated");
    assert_int_equal(tokens_append("/nowhere/tokens.csv", "t", "u", "g", &err), -ENOENT);
    assert_string_equal(err.text, "cannot write /nowhere/tokens.csv: No such file or directory");
}

/* --- who may do what --- */

#define NODE_LEASE "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
#define SLICES "/apis/discovery.k8s.io/v1/endpointslices"

static const struct user admin = {"alice", {"staff", "system:masters"}, 2, false};
static const struct user node = {"system:node:n1", {"system:nodes", "system:authenticated"}, 2, false};
static const struct user proxy = {"system:kube-proxy", {"system:authenticated"}, 1, false};
static const struct user proxier = {"carol", {"system:node-proxier"}, 1, false};
static const struct user known = {"bob", {"system:authenticated"}, 1, false};
static const struct user stranger = {"system:anonymous", {"system:unauthenticated"}, 1, true};
/* Names alone make nobody a node or an administrator, nor does the group of one without such a name. */
static const struct user named = {"system:node:n1", {"system:authenticated"}, 1, false};
static const struct user grouped = {"n1", {"system:nodes"}, 1, false};
static const struct user master = {"system:masters", {"system:authenticated"}, 1, false};

static bool is_allowed(const struct user *user, enum verb verb, const char *path)
{
    struct arena arena;
    struct target target;
    const char *why = NULL;
    arena_init(&arena);
    if (!target_parse(path, &arena, &target))
        fail_msg("%s", path);
    bool is_good = user_may(user, verb, &target, &arena, &why);
    assert_true(is_good == !why);
    arena_done(&arena);
    return is_good;
}

enum { N = 1, P = 2 }; /* node n1, proxy */

static const struct {
    enum verb verb;
    const char *path;
    int who;
} rights[] = {
    {VERB_GET, "/api/v1/namespaces/default/services/web", N | P},
    {VERB_LIST, "/api/v1/services", N | P},
    {VERB_WATCH, "/api/v1/services", N | P},
    {VERB_LIST, "/api/v1/namespaces/default/services", N | P},
    {VERB_LIST, "/api/v1/endpoints", N | P},
    {VERB_WATCH, SLICES, N | P},
    {VERB_LIST, "/api/v1/nodes", N | P},
    {VERB_GET, "/api/v1/nodes/n1", N | P},
    {VERB_GET, "/api/v1/nodes/n2", N | P},
    {VERB_LIST, "/api/v1/namespaces", N | P},
    {VERB_GET, "/api/v1/namespaces/default", N | P},
    {VERB_WATCH, "/apis/networking.k8s.io/v1/servicecidrs", N | P},
    {VERB_CREATE, "/api/v1/namespaces/default/events", N | P},
    {VERB_PATCH, "/api/v1/namespaces/default/events/e", N | P},
    {VERB_UPDATE, "/apis/events.k8s.io/v1/namespaces/default/events/e", N | P},
    {VERB_GET, NODE_LEASE "/n1", N},
    {VERB_CREATE, NODE_LEASE, N},
    {VERB_UPDATE, NODE_LEASE "/n1", N},
    {VERB_PATCH, NODE_LEASE "/n1", N},
    {VERB_GET, "/api/v1/nodes/n1/status", N | P},
    {VERB_UPDATE, "/api/v1/nodes/n1/status", N},
    {VERB_PATCH, "/api/v1/nodes/n1/status", N},
    /* Others' leases, and leases elsewhere. */
    {VERB_GET, NODE_LEASE "/n2", 0},
    {VERB_UPDATE, NODE_LEASE "/n2", 0},
    {VERB_DELETE, NODE_LEASE "/n1", 0},
    {VERB_LIST, NODE_LEASE, 0},
    {VERB_WATCH, NODE_LEASE, 0},
    {VERB_UPDATE, "/apis/coordination.k8s.io/v1/namespaces/default/leases/n1", 0},
    {VERB_CREATE, "/apis/coordination.k8s.io/v1/namespaces/default/leases", 0},
    /* Others' status, and more of one's own than the status. */
    {VERB_PATCH, "/api/v1/nodes/n2/status", 0},
    {VERB_UPDATE, "/api/v1/nodes/n1", 0},
    {VERB_PATCH, "/api/v1/nodes/n1", 0},
    {VERB_CREATE, "/api/v1/nodes", 0},
    {VERB_DELETE, "/api/v1/nodes/n1", 0},
    {VERB_DELETE_COLLECTION, "/api/v1/nodes", 0},
    {VERB_LIST, "/api/v1/pods", 0},
    {VERB_GET, "/api/v1/namespaces/default/pods/p", 0},
    {VERB_PATCH, "/api/v1/namespaces/default/pods/n1/status", 0},
    {VERB_LIST, "/api/v1/configmaps", 0},
    {VERB_GET, "/api/v1/namespaces/kube-node-lease/configmaps/n1", 0},
    {VERB_LIST, "/api/v1/events", 0},
    {VERB_GET, "/api/v1/namespaces/default/events/e", 0},
    {VERB_DELETE, "/api/v1/namespaces/default/events/e", 0},
    {VERB_DELETE_COLLECTION, "/api/v1/namespaces/default/events", 0},
    {VERB_CREATE, "/api/v1/namespaces/default/services", 0},
    {VERB_UPDATE, "/api/v1/namespaces/default/services/web", 0},
    {VERB_PATCH, "/api/v1/namespaces/default/services/web/status", 0},
    {VERB_DELETE, "/api/v1/namespaces/default/services/web", 0},
    {VERB_DELETE_COLLECTION, "/api/v1/namespaces/default/services", 0},
    {VERB_CREATE, "/api/v1/namespaces/default/endpoints", 0},
    {VERB_PATCH, "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/a", 0},
    {VERB_CREATE, "/api/v1/namespaces", 0},
    {VERB_UPDATE, "/api/v1/namespaces/default/finalize", 0},
    {VERB_UPDATE, "/apis/networking.k8s.io/v1/servicecidrs/kubernetes", 0},
};

static void rights_are_those_of_a_proxy(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rights); i++) {
        const struct {
            const struct user *user;
            bool is_wanted;
        } people[] = {
            {&admin, true},
            {&node, rights[i].who & N},
            {&proxy, rights[i].who & P},
            {&proxier, rights[i].who & P},
            {&known, false},
            {&stranger, false},
            {&named, false},
            {&grouped, false},
            {&master, false},
        };
        for (size_t j = 0; j < ARRAY_LEN(people); j++)
            if (is_allowed(people[j].user, rights[i].verb, rights[i].path) != people[j].is_wanted)
                fail_msg("%s: %s %s is %s", people[j].user->name, verb_name(rights[i].verb), rights[i].path,
                         people[j].is_wanted ? "refused" : "allowed");
    }
}

/* As kube-apiserver 1.36 says it. */
static void refusals_are_in_upstreams_words(void **state)
{
    static const struct {
        enum verb verb;
        const char *path, *wanted;
    } cases[] = {
        {VERB_LIST, "/api/v1/services",
         "User \"bob\" cannot list resource \"services\" in API group \"\" at the cluster scope"},
        {VERB_GET, "/api/v1/namespaces/default/services/web",
         "User \"bob\" cannot get resource \"services\" in API group \"\" in the namespace \"default\""},
        {VERB_DELETE_COLLECTION, "/api/v1/namespaces/default/pods",
         "User \"bob\" cannot deletecollection resource \"pods\" in API group \"\" in the namespace "
         "\"default\""},
        {VERB_PATCH, "/api/v1/nodes/n1/status",
         "User \"bob\" cannot patch resource \"nodes/status\" in API group \"\" at the cluster scope"},
        {VERB_GET, "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/a",
         "User \"bob\" cannot get resource \"endpointslices\" in API group \"discovery.k8s.io\" in the "
         "namespace "
         "\"default\""},
        {VERB_GET, "/api/v1/namespaces/x",
         "User \"bob\" cannot get resource \"namespaces\" in API group \"\" in the namespace \"x\""},
        {VERB_UPDATE, "/api/v1/namespaces/x/finalize",
         "User \"bob\" cannot update resource \"namespaces/finalize\" in API group \"\" in the namespace "
         "\"x\""},
        {VERB_CREATE, "/api/v1/namespaces",
         "User \"bob\" cannot create resource \"namespaces\" in API group \"\" at the cluster scope"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct target target;
        const char *why = "";
        arena_init(&arena);
        assert_true(target_parse(cases[i].path, &arena, &target));
        assert_false(user_may(&known, cases[i].verb, &target, &arena, &why));
        assert_string_equal(why, cases[i].wanted);
        arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_are_upstreams_static_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(a_changed_file_counts_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unreadable_file_has_no_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(appended_tokens_are_lines_of_their_own, setup, teardown),
        cmocka_unit_test(rights_are_those_of_a_proxy),
        cmocka_unit_test(refusals_are_in_upstreams_words),
    };
    return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}
