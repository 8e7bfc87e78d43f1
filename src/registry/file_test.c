/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/registry.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "registry/test_message.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

/* A registry in a file, in a folder of its own for each test. */
static char folder[64], path[128], log_path[128];
static struct arena arena;
static struct err err;

static int setup(void **state)
{
    snprintf(folder, sizeof(folder), "%s/fairlead-registry-XXXXXX", test_folder_root());
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/registry.db", folder);
    snprintf(log_path, sizeof(log_path), "%s-wal", path);
    return 0;
}

static int teardown(void **state)
{
    remove(path);
    remove(log_path);
    arena_done(&arena);
    return rmdir(folder);
}

static int try_open(struct registry **ret)
{
    return registry_open(ret, &(struct registry_options){.path = path}, &err);
}

static struct registry *open_file(void)
{
    struct registry *registry;
    if (try_open(&registry) < 0)
        fail_msg("%s", err.text);
    return registry;
}

static void expect_refused(int code, const char *part)
{
    struct registry *registry;
    assert_int_equal(try_open(&registry), code);
    if (!strstr(err.text, part) || !strstr(err.text, path))
        fail_msg("\"%s\" and the path are not in \"%s\"", part, err.text);
}

static int try_put(struct registry *registry, const char *name, const char *load)
{
    int code = registry_put(registry, API_SERVICE, test_message(&arena, API_SERVICE, "default", name, load),
                            NULL, &err);
    return code;
}

static void put(struct registry *registry, const char *name, const char *load)
{
    if (try_put(registry, name, load) < 0)
        fail_msg("%s", err.text);
}

/* All that a reader sees, in the arena: names, bytes, and the revision. */
static char *state_text(const struct registry *registry)
{
    struct text text = {0};
    for (unsigned kind = 0; kind < API_KIND_COUNT; kind++) {
        const struct registry_object **list;
        size_t count;
        registry_list(registry, &(struct registry_query){.kind = (enum api_kind)kind}, 0, &list, &count,
                      NULL);
        for (size_t i = 0; i < count; i++)
            text_printf(&text, "%u %s/%s@%" PRIu64 " %llx\n", kind, list[i]->namespace_, list[i]->name,
                        list[i]->revision, hash_bytes(0, list[i]->data, list[i]->len));
        registry_list_free(list, count);
    }
    text_printf(&text, "%" PRIu64, registry_revision(registry));
    char *copy = arena_strdup(&arena, text_str(&text));
    text_done(&text);
    return copy;
}

struct content {
    char *bytes;
    size_t len;
};

static struct content content_of(const char *name)
{
    struct content content = {0};
    FILE *file = fopen(name, "r");
    if (!file)
        return content;
    fseek(file, 0, SEEK_END);
    content.len = (size_t)ftell(file);
    content.bytes = arena_alloc(&arena, content.len);
    rewind(file);
    assert_int_equal(fread(content.bytes, 1, content.len, file), content.len);
    fclose(file);
    return content;
}

static void write_content(const char *name, struct content content)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(content.bytes, 1, content.len, file), content.len);
    fclose(file);
}

static void expect_content(const char *name, struct content content)
{
    struct content now = content_of(name);
    assert_int_equal(now.len, content.len);
    if (content.len)
        assert_memory_equal(now.bytes, content.bytes, content.len);
}

static void run_sql(const char *sql)
{
    sqlite3 *database;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    if (sqlite3_exec(database, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(database));
    sqlite3_close(database);
}

static void test_reopens(void **state)
{
    struct registry *registry = open_file();
    struct stat status;
    assert_int_equal(registry_revision(registry), 1);
    put(registry, "a", "one");
    put(registry, "b", "two");
    put(registry, "a", "three");
    ProtobufCMessage *node = test_message(&arena, API_NODE, "", "n", "");
    assert_int_equal(registry_put(registry, API_NODE, node, NULL, &err), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(stat(log_path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    char *before = state_text(registry);
    assert_true(registry_file_size(registry) > 4096);
    registry_close(registry);
    assert_int_equal(stat(log_path, &status), -1);

    registry = open_file();
    assert_string_equal(state_text(registry), before);
    assert_int_equal(registry_oldest(registry), 5);
    put(registry, "b", "four");
    put(registry, "c", "five");
    assert_int_equal(registry_revision(registry), 7);
    before = state_text(registry);
    registry_close(registry);
    registry = open_file();
    assert_string_equal(state_text(registry), before);
    registry_close(registry);
}

/* No row has the revision of a removal. */
static void test_removal_is_the_last_write(void **state)
{
    struct registry *registry = open_file();
    put(registry, "a", "");
    put(registry, "b", "");
    assert_int_equal(registry_delete(registry, API_SERVICE, "default", "b", NULL, &err), 0);
    registry_close(registry);
    registry = open_file();
    assert_int_equal(registry_revision(registry), 4);
    assert_int_equal(registry_count(registry, API_SERVICE), 1);
    registry_begin(registry);
    put(registry, "b", "");
    assert_int_equal(registry_delete(registry, API_SERVICE, "default", "b", NULL, &err), 0);
    assert_int_equal(registry_delete(registry, API_SERVICE, "default", "a", NULL, &err), 0);
    assert_int_equal(registry_commit(registry, &err), 0);
    registry_close(registry);
    registry = open_file();
    assert_int_equal(registry_revision(registry), 7);
    assert_int_equal(registry_count(registry, API_SERVICE), 0);
    registry_close(registry);
}

static void test_batch(void **state)
{
    struct registry *registry = open_file();
    registry_begin(registry);
    put(registry, "a", "");
    put(registry, "b", "");
    registry_rollback(registry);
    registry_begin(registry);
    put(registry, "b", "one");
    put(registry, "c", "one");
    put(registry, "b", "two");
    assert_int_equal(registry_commit(registry, &err), 0);
    char *before = state_text(registry);
    registry_close(registry);
    registry = open_file();
    assert_string_equal(state_text(registry), before);
    assert_int_equal(registry_count(registry, API_SERVICE), 2);
    registry_close(registry);
}

/* Runs scenario in a process of its own, so that what it does to the process does not matter. */
static int in_child(int (*scenario)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(scenario());
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int open_elsewhere(void)
{
    struct registry *registry;
    return -try_open(&registry);
}

static void test_exclusive(void **state)
{
    struct registry *registry = open_file();
    assert_int_equal(in_child(open_elsewhere), EBUSY);
    expect_refused(-EBUSY, "is in use by another process");
    put(registry, "a", "");
    assert_int_equal(in_child(open_elsewhere), EBUSY);
    registry_close(registry);
    registry = open_file();
    assert_int_equal(in_child(open_elsewhere), EBUSY);
    registry_close(registry);
}

static void expect_left_alone(struct content content, int code, const char *part)
{
    write_content(path, content);
    expect_refused(code, part);
    expect_content(path, content);
}

static void test_not_ours(void **state)
{
    struct registry *registry;
    static char text[] = "not a database, but somebody's notes that are longer than a header of SQLite: "
                         "0123456789012345678901234567890123456789";
    expect_left_alone((struct content){text, sizeof(text)}, -EUCLEAN, "shorter than its header");
    expect_left_alone((struct content){text, 1}, -EUCLEAN, "shorter than its header");
    char *page = arena_alloc(&arena, 8192);
    expect_left_alone((struct content){page, 8192}, -EUCLEAN, "damaged, or no registry");
    remove(path);
    run_sql("CREATE TABLE t (a)");
    expect_left_alone(content_of(path), -EUCLEAN, "belongs to another program");
    registry_close((remove(path), open_file()));
    struct content ours = content_of(path);
    run_sql("PRAGMA user_version = 2");
    expect_left_alone(content_of(path), -EPROTO, "later version");
    write_content(path, ours);
    run_sql("CREATE TRIGGER t AFTER INSERT ON objects BEGIN DELETE FROM objects; END");
    expect_left_alone(content_of(path), -EUCLEAN, "does not have the tables");
    write_content(path, ours);
    run_sql("DROP TABLE removals");
    expect_left_alone(content_of(path), -EUCLEAN, "does not have the tables");
    remove(path);
    assert_int_equal(mkdir(path, 0700), 0);
    expect_refused(-EUCLEAN, "is not a file");
    rmdir(path);
    /* A log without its file: SQLite itself would throw it away. */
    write_content(log_path, (struct content){text, 100});
    expect_refused(-EUCLEAN, "is missing, but its log");
    write_content(path, (struct content){text, 0});
    expect_refused(-EUCLEAN, "is empty, but its log");
    expect_content(log_path, (struct content){text, 100});
    remove(log_path);
    assert_int_equal(try_open(&registry), 0);
    registry_close(registry);
    rename(path, log_path);
    snprintf(path, sizeof(path), "%s/nowhere/registry.db", folder);
    expect_refused(-ENOENT, "cannot be made: No such file");
    snprintf(path, sizeof(path), "%s/registry.db", folder);
}

/* Rows that SQLite is content with. */
static void test_wrong_rows(void **state)
{
    static const char *const changes[] = {
        "UPDATE objects SET name = 'b' WHERE id = 1",
        "UPDATE objects SET revision = revision + 1",
        "UPDATE objects SET data = substr(data, 2)",
        "UPDATE objects SET kind = 'Node'",
        "UPDATE objects SET id = -id",
        "INSERT INTO removals VALUES (1, 7, 7)",
        "INSERT INTO objects SELECT 7, kind, namespace, name, revision, checksum, data FROM objects",
    };
    struct registry *registry = open_file();
    put(registry, "a", "");
    registry_close(registry);
    struct content ours = content_of(path);
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        write_content(path, ours);
        run_sql(changes[i]);
        expect_left_alone(content_of(path), -EUCLEAN, "damaged");
        remove(log_path);
    }
}

/* A row with the right checksum, as only a program writes it. */
static void insert_row(const char *kind, const char *name, uint64_t revision, const void *data, size_t len)
{
    sqlite3 *database;
    sqlite3_stmt *insert;
    uint64_t little_endian = htole64(revision);
    unsigned long long hash = hash_bytes(0, kind, strlen(kind) + 1);
    hash = hash_bytes(hash_bytes(hash, "", 1), name, strlen(name) + 1);
    hash = hash_bytes(hash_bytes(hash, &little_endian, sizeof(little_endian)), data, len);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(database, "INSERT INTO objects VALUES (9, ?, '', ?, ?, ?, ?)", -1, &insert, NULL),
        SQLITE_OK);
    sqlite3_bind_text(insert, 1, kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 2, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(insert, 3, (int64_t)revision);
    sqlite3_bind_int64(insert, 4, (int64_t)hash);
    sqlite3_bind_blob(insert, 5, data, (int)len, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
    sqlite3_finalize(insert);
    sqlite3_close(database);
}

static void test_strange_rows(void **state)
{
    struct registry *registry = open_file();
    ProtobufCMessage *node = test_message(&arena, API_NODE, "", "n", "");
    const struct registry_object *object;
    assert_int_equal(registry_put(registry, API_NODE, node, &object, &err), 0);
    registry_ref(object);
    assert_int_equal(registry_delete(registry, API_NODE, "", "n", NULL, &err), 0);
    registry_close(registry);
    struct content ours = content_of(path);
    const struct {
        const char *kind, *name;
        uint64_t revision;
        size_t len;
        int code;
        const char *part;
    } cases[] = {
        {"Node", "n", object->revision, object->len, 0, ""},
        {"Widget", "n", object->revision, object->len, -EPROTO, "kind Widget are not known"},
        {"Node", "m", object->revision, object->len, -EUCLEAN, "Node m is not what its row says"},
        {"Node", "n", object->revision + 1, object->len, -EUCLEAN, "Node n is not what its row says"},
        {"Node", "n", object->revision, object->len - 1, -EUCLEAN, "Node n is not what its row says"},
        {"Node", "n", object->revision, 0, -EUCLEAN, "Node n is not what its row says"},
        {"Node", "n", (uint64_t)-1, object->len, -EUCLEAN, "Node n is not what its row says"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_content(path, ours);
        insert_row(cases[i].kind, cases[i].name, cases[i].revision, object->data, cases[i].len);
        if (cases[i].code) {
            expect_left_alone(content_of(path), cases[i].code, cases[i].part);
            continue;
        }
        registry = open_file();
        assert_int_equal(registry_count(registry, API_NODE), 1);
        registry_close(registry);
    }
    registry_unref(object);
}

/* Every byte of the file's header and of the ends of pages, where rows begin; fewer of the rest. */
static size_t damage_step(size_t at)
{
    size_t in_page = at % 4096, to_end = 4056 - in_page;
    if (at < 100 || in_page >= 4056)
        return 1;
    return in_page < 64 ? 7 : to_end < 241 ? to_end : 241;
}

/* Wherever a byte turns or the file ends: the content is whole, or the file is refused and stays as it is. */
static void test_damage(void **state)
{
    struct registry *registry = open_file();
    char load[6000] = {0}, name[16];
    unsigned refused = 0;
    memset(load, 'x', sizeof(load) - 1);
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "s%d", i);
        put(registry, name, load + 200 * i);
    }
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof(name), "s%d", i * 3);
        assert_int_equal(registry_delete(registry, API_SERVICE, "default", name, NULL, &err), 0);
    }
    char *before = state_text(registry);
    registry_close(registry);
    struct content ours = content_of(path);
    for (size_t at = 0; at < ours.len; at += damage_step(at)) {
        bool is_cut = at % 2 && at > 200;
        struct content broken = {ours.bytes, is_cut ? at : ours.len};
        ours.bytes[at] ^= 0x11;
        write_content(path, broken);
        int code = try_open(&registry);
        if (code == 0) {
            assert_string_equal(state_text(registry), before);
            put(registry, "more", load); /* into the free pages */
            registry_close(registry);
        } else {
            refused++;
            if (code != -EUCLEAN && code != -EPROTO)
                fail_msg("byte %zu: %s", at, err.text);
            expect_content(path, broken);
        }
        ours.bytes[at] ^= 0x11;
        remove(log_path);
    }
    assert_true(refused > 300);
}

/* Writes, and dies without closing. */
static int leave_a_log(void)
{
    struct registry *registry = open_file();
    put(registry, "a", "");
    put(registry, "b", "");
    return 0;
}

static int leave_a_damaged_log(void)
{
    sqlite3 *database;
    return sqlite3_open(path, &database) ||
           sqlite3_exec(
               database,
               "PRAGMA locking_mode = EXCLUSIVE; INSERT INTO objects SELECT 9, kind, namespace, name, "
               "revision, checksum, data FROM objects WHERE id = 1",
               NULL, NULL, NULL);
}

static void test_log_is_left_alone(void **state)
{
    assert_int_equal(in_child(leave_a_log), 0);
    assert_true(content_of(log_path).len > 0);
    struct registry *registry = open_file();
    assert_int_equal(registry_count(registry, API_SERVICE), 2);
    registry_close(registry);
    assert_int_equal(in_child(leave_a_damaged_log), 0);
    struct content file = content_of(path), log = content_of(log_path);
    assert_true(log.len > 0);
    expect_refused(-EUCLEAN, "an object of kind Service twice");
    expect_content(path, file);
    expect_content(log_path, log);
}

static void test_stays_small(void **state)
{
    struct registry *registry = open_file();
    char name[16], load[400];
    memset(load, 'x', sizeof(load));
    size_t largest = 0;
    for (int i = 0; i < 100000; i++) {
        if (i % 50 == 0)
            registry_begin(registry);
        snprintf(name, sizeof(name), "s%d", i * 37 % 100);
        load[100 + i * 7 % 300] = '\0';
        put(registry, name, load);
        load[100 + i * 7 % 300] = 'x';
        if (i % 50 == 49) {
            assert_int_equal(registry_commit(registry, &err), 0);
            arena_reset(&arena);
        }
        if (i % 500 == 499 && registry_file_size(registry) > largest)
            largest = registry_file_size(registry);
    }
    assert_in_range(largest, 40000, 5 << 20);
    assert_int_equal(registry_revision(registry), 100001);
    registry_close(registry);
    registry = open_file();
    assert_int_equal(registry_count(registry, API_SERVICE), 100);
    assert_in_range(registry_file_size(registry), 40000, 200000);
    registry_close(registry);
}

/* What many objects took is given back when they are gone. */
static void test_shrinks(void **state)
{
    struct registry *registry = open_file();
    char name[16], load[4000] = {0};
    memset(load, 'x', sizeof(load) - 1);
    for (int round = 0; round < 2; round++) {
        registry_begin(registry);
        for (int i = 0; i < 3000; i++) {
            snprintf(name, sizeof(name), "s%d", i);
            if (round == 0)
                put(registry, name, load);
            else
                registry_delete(registry, API_SERVICE, "default", name, NULL, &err);
        }
        assert_int_equal(registry_commit(registry, &err), 0);
        if (round == 0)
            assert_true(registry_file_size(registry) > 12000000);
    }
    for (int i = 0; i < 100; i++)
        put(registry, "last", "");
    registry_close(registry);
    registry = open_file();
    assert_in_range(registry_file_size(registry), 4096, 520 * 4096);
    registry_close(registry);
}

static void test_moved(void **state)
{
    struct registry *registry = open_file();
    put(registry, "a", "");
    char *before = state_text(registry);
    assert_int_equal(remove(path), 0);
    assert_int_equal(try_put(registry, "a", "two"), -EIO);
    assert_non_null(strstr(err.text, "is no longer the file that was opened"));
    assert_string_equal(state_text(registry), before);
    registry_close(registry);
}

static unsigned news;

static void on_news(void *context)
{
    news++;
}

static void check(bool is_right, const char *what)
{
    if (!is_right) {
        fprintf(stderr, "%s does not hold (%s)\n", what, err.text);
        _exit(1);
    }
}
#define CHECK(condition) check(condition, #condition)

/* Fills the file until nothing goes any more, single writes or batches; then everything is as it was, and
 * when make_room was called, goes on. */
static void fill(struct registry *registry, int expected, void (*make_room)(void))
{
    char name[16], load[20000] = {0};
    memset(load, 'x', sizeof(load) - 1);
    for (int round = 0; round < 2; round++) {
        char *before = NULL;
        int code = 0, i;
        for (i = 0; code == 0 && i < 2000; i++) {
            before = state_text(registry);
            news = 0;
            if (round)
                registry_begin(registry);
            snprintf(name, sizeof(name), "s%d", round * 10000 + i);
            ProtobufCMessage *message = test_message(&arena, API_SERVICE, "default", name, load);
            code = registry_put(registry, API_SERVICE, message, NULL, &err);
            if (round) {
                registry_delete(registry, API_SERVICE, "default", "s0", NULL, NULL);
                put(registry, "s1", "changed");
                code = registry_commit(registry, &err);
            } else if (code < 0) {
                CHECK(api_metadata(message)->resourceversion == NULL);
            }
            CHECK(news == (code == 0));
        }
        CHECK(code == expected);
        CHECK(strstr(err.text, path) && (round || strstr(err.text, name)));
        CHECK(strcmp(state_text(registry), before) == 0);
        CHECK(try_put(registry, "s1", load) == expected);
        CHECK(strcmp(state_text(registry), before) == 0);
        make_room();
        CHECK(try_put(registry, "s1", load) == 0);
        CHECK(try_put(registry, "s2", "") == 0);
        arena_reset(&arena);
    }
    char *before = state_text(registry);
    registry_close(registry);
    registry = open_file();
    CHECK(strcmp(state_text(registry), before) == 0);
    registry_close(registry);
}

static void set_size_limit(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
}

static void raise_limit(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    set_size_limit(limit.rlim_cur + (2 << 20));
}

static int fill_until_write_fails(void)
{
    signal(SIGXFSZ, SIG_IGN);
    set_size_limit(1 << 20);
    struct registry *registry = open_file();
    registry_on_news(registry, on_news, NULL);
    fill(registry, -EIO, raise_limit);
    return 0;
}

/* A write that fails in the middle of the log. */
static void test_write_fails(void **state)
{
    assert_int_equal(in_child(fill_until_write_fails), 0);
}

static char filler_path[128];

static void shrink_filler(void)
{
    struct stat status;
    CHECK(stat(filler_path, &status) == 0 && truncate(filler_path, status.st_size - (2 << 20)) == 0);
}

static int fill_the_disk(void)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", folder, "tmpfs", 0, "size=9m") < 0)
        return 77;
    snprintf(filler_path, sizeof(filler_path), "%s/filler", folder);
    int fd = open(filler_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && fallocate(fd, 0, 0, 4 << 20) == 0);
    close(fd);
    struct registry *registry = open_file();
    registry_on_news(registry, on_news, NULL);
    fill(registry, -ENOSPC, shrink_filler);
    return 0;
}

static void test_disk_is_full(void **state)
{
    int code = in_child(fill_the_disk);
    if (code == 77) {
        print_message("needs root, for a small disk of its own\n");
        skip();
    }
    assert_int_equal(code, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_reopens),
        TEST(test_removal_is_the_last_write),
        TEST(test_batch),
        TEST(test_exclusive),
        TEST(test_not_ours),
        TEST(test_wrong_rows),
        TEST(test_strange_rows),
        TEST(test_damage),
        TEST(test_log_is_left_alone),
        TEST(test_stays_small),
        TEST(test_shrinks),
        TEST(test_moved),
        TEST(test_write_fails),
        TEST(test_disk_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
