/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/manifests.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "sys/test_client.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

/* A folder of its own for each test, and what the source told of it: "+a=1" is a put of Service a with the
 * cluster IP 10.96.0.1, "-a" its removal, ";" the end of a group of changes. */
struct fixture {
    char path[64];
    uv_loop_t loop;
    struct manifests *manifests;
    struct text log, complaints;
};

static void on_put(void *context, const struct api_object *object)
{
    struct fixture *fixture = context;
    if (object->kind == API_SERVICE)
        text_printf(&fixture->log, "+%s=%s ", object->name,
                    strrchr(api_text(api_service(object)->spec->clusterip), '.') + 1);
    else
        text_printf(&fixture->log, "+%s/%s ", api_kind_name(object->kind), object->name);
}

static void on_remove(void *context, enum api_kind kind, const char *namespace_, const char *name)
{
    struct fixture *fixture = context;
    assert_int_equal(strcmp(namespace_, "default") == 0, kind == API_SERVICE);
    text_printf(&fixture->log, kind == API_SERVICE ? "-%s " : "-%s?", name);
}

static void on_settled(void *context)
{
    text_add(&((struct fixture *)context)->log, ";");
}

static void on_complaint(void *context, bool is_refusal, const char *sentence)
{
    text_printf(&((struct fixture *)context)->complaints, "%s %s\n", is_refusal ? "refused" : "warning",
                sentence);
}

static const char *in_folder(const struct fixture *fixture, const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", fixture->path, name);
    return path;
}

/* As an editor or kubectl would: the whole file, then the close that counts. */
static void write_file(const struct fixture *fixture, const char *name, const char *text)
{
    char path[256];
    FILE *file = fopen(in_folder(fixture, name, path), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void rename_file(const struct fixture *fixture, const char *from, const char *to)
{
    char old[256], new[256];
    assert_int_equal(rename(in_folder(fixture, from, old), in_folder(fixture, to, new)), 0);
}

static void delete_file(const struct fixture *fixture, const char *name)
{
    char path[256];
    assert_int_equal(remove(in_folder(fixture, name, path)), 0);
}

/* Lets the source see what happened; then the log is exactly this, and starts anew. */
static void expect(struct fixture *fixture, const char *expected)
{
    size_t len = strlen(expected);
    bool has_end = len > 0 && expected[len - 1] == ';';
    for (int i = 0; i < (has_end ? 2000 : 30); i++) {
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        if (has_end && fixture->log.len >= len)
            break;
        usleep(1000);
    }
    if (strcmp(text_str(&fixture->log), expected) != 0)
        fail_msg("expected \"%s\", got \"%s\"\n%s", expected, text_str(&fixture->log),
                 text_str(&fixture->complaints));
    text_done(&fixture->log);
    text_add(&fixture->log, "");
}

static void expect_complaint(struct fixture *fixture, const char *part)
{
    if (*part ? !strstr(text_str(&fixture->complaints), part) : *text_str(&fixture->complaints) != '\0')
        fail_msg("\"%s\" is not what was complained:\n%s", part, text_str(&fixture->complaints));
    text_done(&fixture->complaints);
}

static void expect_refused(const struct fixture *fixture, unsigned refused)
{
    assert_int_equal(manifests_status(fixture->manifests)->refused, refused);
}

static void open_source(struct fixture *fixture)
{
    const struct source_sink sink = {fixture, on_put, on_remove, on_settled, on_complaint};
    struct err err;
    if (manifests_open(&fixture->manifests, &fixture->loop, fixture->path, MANIFESTS_COMPLETE, &sink, &err) <
        0)
        fail_msg("%s", err.text);
}

static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    snprintf(fixture->path, sizeof(fixture->path), "/tmp/fairlead-manifests-XXXXXX");
    assert_non_null(mkdtemp(fixture->path));
    uv_loop_init(&fixture->loop);
    *state = fixture;
    return 0;
}

static void empty_folder(const char *path)
{
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char inside[512];
        snprintf(inside, sizeof(inside), "%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (entry->d_type == DT_DIR)
            empty_folder(inside);
        remove(inside);
    }
    if (folder)
        closedir(folder);
}

/* As the daemon ends: whoever is not closing yet is closed. */
static void close_handle(uv_handle_t *handle, void *context)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    manifests_close(fixture->manifests);
    uv_walk(&fixture->loop, close_handle, NULL);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    empty_folder(fixture->path);
    rmdir(fixture->path);
    text_done(&fixture->log);
    text_done(&fixture->complaints);
    free(fixture);
    return 0;
}

#define SERVICE(name, ip)                                                                                    \
    "apiVersion: v1\nkind: Service\nmetadata: {name: " name "}\nspec: {clusterIP: 10.96.0." ip               \
    ", ports: [{port: 80}]}\n---\n"
#define REFUSED(name)                                                                                        \
    "apiVersion: v1\nkind: Service\nmetadata: {name: " name                                                  \
    "}\nspec: {clusterIP: 10.96.0.1, ports: [{port: "                                                        \
    "70000}]}\n---\n"

static void the_folder_is_listed_and_then_followed(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "b.yml", SERVICE("b", "2"));
    write_file(fixture, "a.yaml", SERVICE("a", "1") "kind: Service\n---\n" SERVICE("c", "3"));
    write_file(fixture, "d.json",
               "{\"apiVersion\": \"v1\", \"kind\": \"Node\", \"metadata\": {\"name\": \"d\"}}");
    write_file(fixture, ".hidden.yaml", SERVICE("hidden", "9"));
    write_file(fixture, "notes.txt", "not ours");
    open_source(fixture);
    if (strchr(text_str(&fixture->log), ';'))
        fixture->log.data[--fixture->log.len] = '\0';
    assert_string_equal(text_str(&fixture->log), "+a=1 +c=3 +b=2 +Node/d ");
    text_done(&fixture->log);
    expect_refused(fixture, 1);
    assert_int_equal(manifests_status(fixture->manifests)->objects[API_SERVICE], 3);
    uint64_t generation = manifests_status(fixture->manifests)->generation;
    write_file(fixture, "e.yaml", SERVICE("e", "5"));
    expect(fixture, "+e=5 ;");
    assert_int_equal(manifests_status(fixture->manifests)->generation, generation + 1);
    write_file(fixture, "notes.txt", "still not ours");
    write_file(fixture, ".hidden.yaml", SERVICE("hidden", "8"));
    expect(fixture, "");
    delete_file(fixture, "b.yml");
    expect(fixture, "-b ;");
    delete_file(fixture, "d.json");
    expect(fixture, "-d?;");
}

static void only_what_changed_is_told(void **state)
{
    struct fixture *fixture = *state;
    open_source(fixture);
    expect(fixture, text_str(&fixture->log));
    write_file(fixture, "a.yaml", SERVICE("a", "1") SERVICE("b", "2"));
    expect(fixture, "+a=1 +b=2 ;");
    write_file(fixture, "a.yaml", "# a comment\n" SERVICE("a", "1") SERVICE("b", "3"));
    expect(fixture, "+b=3 ;");
    write_file(fixture, "a.yaml", SERVICE("b", "3") SERVICE("a", "1"));
    expect(fixture, ";");
    write_file(fixture, "a.yaml", SERVICE("b", "3"));
    expect(fixture, "-a ;");
    write_file(fixture, "a.yaml", "");
    expect(fixture, "-b ;");
}

/* A reader between two writes of one writer sees half a file; nothing may go by it. */
static void a_torn_file_takes_nothing_away(void **state)
{
    struct fixture *fixture = *state;
    open_source(fixture);
    expect(fixture, text_str(&fixture->log));
    write_file(fixture, "a.yaml", SERVICE("a", "1") SERVICE("b", "2"));
    expect(fixture, "+a=1 +b=2 ;");
    write_file(fixture, "a.yaml", SERVICE("a", "3") "apiVersion: v1\nkind: Service\nmetadata: {name: b");
    expect(fixture, "+a=3 ;");
    expect_complaint(fixture, "what this file said before stays in force");
    expect_refused(fixture, 1);
    write_file(fixture, "a.yaml", "apiVersion: v1\nkind: Service\nmetadata: {nam: a}\n");
    expect(fixture, ";"); /* whose document this is cannot be told */
    write_file(fixture, "a.yaml", SERVICE("a", "3"));
    expect(fixture, "-b ;");
    expect_refused(fixture, 0);
}

static void a_refused_document_keeps_the_last_good_state(void **state)
{
    struct fixture *fixture = *state;
    open_source(fixture);
    expect(fixture, text_str(&fixture->log));
    write_file(fixture, "a.yaml", SERVICE("a", "1") SERVICE("b", "2"));
    expect(fixture, "+a=1 +b=2 ;");
    write_file(fixture, "a.yaml", REFUSED("a") REFUSED("x"));
    expect(fixture, "-b ;"); /* b is gone; a is there, but refused */
    expect_complaint(fixture, "Service default/a is refused: ");
    expect_refused(fixture, 2);
    write_file(fixture, "a.yaml", SERVICE("a", "1"));
    expect(fixture, ";"); /* as it was in force all the time */
    expect_refused(fixture, 0);
    write_file(fixture, "a.yaml", REFUSED("a"));
    expect(fixture, ";");
    delete_file(fixture, "a.yaml");
    expect(fixture, "-a ;");
    expect_refused(fixture, 0);
}

static void an_object_belongs_to_the_file_that_sorts_first(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "b.yaml", SERVICE("x", "1") SERVICE("x", "9"));
    open_source(fixture);
    expect_complaint(fixture, "Service default/x is refused: this file describes it already");
    expect_refused(fixture, 1);
    text_done(&fixture->log);
    write_file(fixture, "c.yaml", SERVICE("x", "2"));
    expect(fixture, ";");
    expect_complaint(fixture, "Service default/x is refused: b.yaml describes it already");
    expect_refused(fixture, 2);
    delete_file(fixture, "c.yaml");
    expect(fixture, ";");
    expect_refused(fixture, 1);
    /* As after a restart: whichever came first, the first name has it. */
    write_file(fixture, "a.yaml", SERVICE("x", "3"));
    expect(fixture, "+x=3 ;");
    expect_complaint(fixture, "Service/default/x is refused from now on: a.yaml describes it too");
    expect_refused(fixture, 2);
    delete_file(fixture, "a.yaml");
    expect(fixture, "-x +x=1 ;");
    expect_refused(fixture, 1);
    /* A refused version in a second file does not speak for the first. */
    write_file(fixture, "c.yaml", REFUSED("x"));
    expect(fixture, ";");
    delete_file(fixture, "b.yaml");
    expect(fixture, "-x ;");
}

static void losers_get_their_turn(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "a.yaml", SERVICE("x", "1") SERVICE("w", "1"));
    write_file(fixture, "b.yaml", SERVICE("x", "2"));
    write_file(fixture, "c.yaml", SERVICE("x", "3") SERVICE("w", "3"));
    open_source(fixture);
    expect_refused(fixture, 3);
    text_done(&fixture->log);
    write_file(fixture, "a.yaml", SERVICE("w", "1"));
    expect(fixture, "-x +x=2 ;");
    expect_refused(fixture, 2);
    delete_file(fixture, "a.yaml");
    expect(fixture, "-w +w=3 ;");
    expect_refused(fixture, 1);
    delete_file(fixture, "b.yaml");
    expect(fixture, "-x +x=3 ;");
    expect_refused(fixture, 0);
}

/* The same after everything was looked at anew: the loser is read before its owner gives the object up. */
static void losers_get_their_turn_after_a_rescan(void **state)
{
    struct fixture *fixture = *state;
    char path[256];
    write_file(fixture, "a.yaml", SERVICE("x", "1"));
    open_source(fixture);
    text_done(&fixture->log);
    write_file(fixture, "z.yaml", SERVICE("x", "2"));
    expect(fixture, ";");
    assert_int_equal(mkdir(in_folder(fixture, "..one", path), 0700), 0);
    write_file(fixture, "..one/a.yaml", SERVICE("w", "1"));
    assert_int_equal(symlink("..one/a.yaml", in_folder(fixture, "a.yaml.new", path)), 0);
    assert_int_equal(symlink("..one", in_folder(fixture, "..data", path)), 0);
    rename_file(fixture, "a.yaml.new", "a.yaml");
    expect(fixture, "+w=1 -x +x=2 ;");
    expect_refused(fixture, 0);
    /* And back, with nothing but the exchange of ..data to tell of it. */
    write_file(fixture, "..one/a.yaml", SERVICE("x", "3"));
    assert_int_equal(symlink("..one", in_folder(fixture, "..data_tmp", path)), 0);
    rename_file(fixture, "..data_tmp", "..data");
    expect(fixture, "+x=3 -w ;");
    expect_refused(fixture, 1);
    write_file(fixture, "..one/z.yaml", SERVICE("v", "1"));
    assert_int_equal(symlink("..one/z.yaml", in_folder(fixture, "z.yaml.new", path)), 0);
    rename_file(fixture, "z.yaml.new", "z.yaml");
    expect(fixture, "+v=1 ;");
    write_file(fixture, "..one/a.yaml", SERVICE("w", "1"));
    write_file(fixture, "..one/z.yaml", SERVICE("x", "4"));
    assert_int_equal(symlink("..one", in_folder(fixture, "..data_tmp", path)), 0);
    rename_file(fixture, "..data_tmp", "..data");
    expect(fixture, "+w=1 -x +x=4 -v ;");
    expect_refused(fixture, 0);
}

static void files_may_be_renamed(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "a.yaml", SERVICE("a", "1"));
    open_source(fixture);
    text_done(&fixture->log);
    rename_file(fixture, "a.yaml", "b.yaml");
    expect(fixture, "-a +a=1 ;"); /* one group, so the dataplane sees no gap */
    /* An editor's way to save: a file of another name, moved over the old one. */
    write_file(fixture, "b.yaml.new", SERVICE("a", "2"));
    expect(fixture, "");
    rename_file(fixture, "b.yaml.new", "b.yaml");
    expect(fixture, "+a=2 ;");
    rename_file(fixture, "b.yaml", "b.yaml.off");
    expect(fixture, "-a ;");
}

/* A ConfigMap mounted by kubelet: the names are links through ..data, a link which is exchanged as a whole.
 */
static void mounted_config_maps_are_exchanged(void **state)
{
    struct fixture *fixture = *state;
    char path[256];
    for (int i = 1; i <= 2; i++) {
        assert_int_equal(mkdir(in_folder(fixture, i == 1 ? "..one" : "..two", path), 0700), 0);
        write_file(fixture, i == 1 ? "..one/a.yaml" : "..two/a.yaml",
                   i == 1 ? SERVICE("a", "1") : SERVICE("a", "2"));
    }
    write_file(fixture, "..one/b.yaml", SERVICE("b", "1"));
    write_file(fixture, "..two/c.yaml", SERVICE("c", "2"));
    assert_int_equal(symlink("..one", in_folder(fixture, "..data", path)), 0);
    assert_int_equal(symlink("..data/a.yaml", in_folder(fixture, "a.yaml", path)), 0);
    assert_int_equal(symlink("..data/b.yaml", in_folder(fixture, "b.yaml", path)), 0);
    open_source(fixture);
    if (strchr(text_str(&fixture->log), ';'))
        fixture->log.data[--fixture->log.len] = '\0';
    assert_string_equal(text_str(&fixture->log), "+a=1 +b=1 ");
    text_done(&fixture->log);
    assert_int_equal(symlink("..two", in_folder(fixture, "..data_tmp", path)), 0);
    rename_file(fixture, "..data_tmp", "..data");
    expect(fixture, "+a=2 -b ;");
    assert_int_equal(symlink("..data/c.yaml", in_folder(fixture, "c.yaml", path)), 0);
    delete_file(fixture, "b.yaml");
    rename_file(fixture, "..data", "..data_old");
    assert_int_equal(symlink("..two", in_folder(fixture, "..data_tmp", path)), 0);
    rename_file(fixture, "..data_tmp", "..data");
    expect(fixture, "+c=2 ;");
}

static void a_folder_that_goes_takes_nothing_away(void **state)
{
    struct fixture *fixture = *state;
    char away[80];
    write_file(fixture, "a.yaml", SERVICE("a", "1") SERVICE("b", "1"));
    open_source(fixture);
    text_done(&fixture->log);
    snprintf(away, sizeof(away), "%s-away", fixture->path);
    assert_int_equal(rename(fixture->path, away), 0);
    for (int i = 0; i < 100; i++) {
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    assert_string_equal(text_str(&fixture->log), "");
    expect_complaint(fixture, "what it said before stays in force");
    /* Another one in its place is taken up. */
    assert_int_equal(mkdir(fixture->path, 0700), 0);
    write_file(fixture, "a.yaml", SERVICE("a", "1"));
    expect(fixture, "-b ;");
    write_file(fixture, "a.yaml", SERVICE("a", "2"));
    expect(fixture, "+a=2 ;");
    empty_folder(away);
    rmdir(away);
}

static void a_missing_folder_is_told(void **state)
{
    struct fixture *fixture = *state;
    const struct source_sink sink = {fixture, on_put, on_remove, on_settled, on_complaint};
    struct manifests *manifests = NULL;
    struct err err = {0};
    assert_int_equal(
        manifests_open(&manifests, &fixture->loop, "/nonexistent/folder", MANIFESTS_COMPLETE, &sink, &err),
        -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/folder"));
    assert_null(manifests);
}

static void kinds_that_are_not_used_are_named_once(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "a.yaml",
               "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n---\n"
               "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: z}\n");
    open_source(fixture);
    char *first = strstr(text_str(&fixture->complaints), "objects of kind Deployment are not used here");
    assert_non_null(first);
    assert_null(strstr(first + 1, "objects of kind"));
    expect_refused(fixture, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_folder_is_listed_and_then_followed),
        TEST(only_what_changed_is_told),
        TEST(a_torn_file_takes_nothing_away),
        TEST(a_refused_document_keeps_the_last_good_state),
        TEST(an_object_belongs_to_the_file_that_sorts_first),
        TEST(losers_get_their_turn),
        TEST(losers_get_their_turn_after_a_rescan),
        TEST(files_may_be_renamed),
        TEST(mounted_config_maps_are_exchanged),
        TEST(a_folder_that_goes_takes_nothing_away),
        TEST(a_missing_folder_is_told),
        TEST(kinds_that_are_not_used_are_named_once),
    };
    return cmocka_run_group_tests_name("manifests", tests, NULL, NULL);
}
