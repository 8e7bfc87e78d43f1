/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/file.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define APPLICATION_ID 0x666c7264 /* "flrd" */
#define FORMAT_VERSION 1
#define SMALLEST_FILE 512 /* a page; SQLite would take a file of one byte for a new one */

/* Free pages are reused, and beyond these given back to the disk, so many after each transaction. */
#define FREE_PAGES_KEPT 512
#define FREE_PAGES_GIVEN_BACK "128"

static const char objects_table[] = "CREATE TABLE objects (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, "
                                    "namespace TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL, "
                                    "checksum INTEGER NOT NULL, data BLOB NOT NULL) STRICT";
static const char removals_table[] =
    "CREATE TABLE removals (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL, "
    "checksum INTEGER NOT NULL) STRICT";

/* Before anything is read. Exclusive: no other process, and no shared memory beside the file. */
static const char guards[] =
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF; "
    "PRAGMA cell_size_check = ON; PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY";

/* Before the first write. FULL: a commit is on the disk when it returns (https://sqlite.org/pragma.html,
 * synchronous). The log is written back to the file at 4 MiB, and cut to 8 MiB after a large transaction. */
static const char settings[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
                               "PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = 8388608";

enum statement { BEGIN, COMMIT, PUT, REMOVE, SET_REMOVAL, COUNT_FREE, TIGHTEN };
#define STATEMENT_COUNT 7

static const char *const statements[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [PUT] = "INSERT OR REPLACE INTO objects VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [REMOVE] = "DELETE FROM objects WHERE id = ?1",
    [SET_REMOVAL] = "INSERT OR REPLACE INTO removals VALUES (1, ?1, ?2)",
    [COUNT_FREE] = "PRAGMA freelist_count",
    [TIGHTEN] = "PRAGMA incremental_vacuum(" FREE_PAGES_GIVEN_BACK ")",
};

struct registry_file {
    sqlite3 *database;
    sqlite3_stmt *prepared[STATEMENT_COUNT];
    char *path, *log_path;
};

static int code_of(int result, int system_errno)
{
    switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return EBUSY;
    case SQLITE_ERROR: /* no words of ours, so the file's */
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_FORMAT:
    case SQLITE_TOOBIG:
        return EUCLEAN;
    case SQLITE_FULL:
        return ENOSPC;
    case SQLITE_READONLY:
        return EROFS;
    case SQLITE_CANTOPEN:
        return system_errno ? system_errno : EIO;
    default:
        return EIO;
    }
}

/* The sentence for what SQLite just said. */
static int explain(const struct registry_file *file, struct err *err)
{
    int code = code_of(sqlite3_extended_errcode(file->database), sqlite3_system_errno(file->database));
    switch (code) {
    case EBUSY:
        return err_set(err, code, "%s is in use by another process", file->path);
    case EUCLEAN:
        return err_set(err, code, "%s is damaged, or no registry (%s); it is left as it is", file->path,
                       sqlite3_errmsg(file->database));
    case ENOSPC:
        return err_set(err, code, "%s cannot grow: no space is left on its disk", file->path);
    default:
        return err_set(err, code, "%s: %s%s%s", file->path, sqlite3_errmsg(file->database),
                       sqlite3_system_errno(file->database) ? ": " : "",
                       sqlite3_system_errno(file->database) ? strerror(sqlite3_system_errno(file->database))
                                                            : "");
    }
}

static int damaged(const struct registry_file *file, struct err *err, const char *how)
{
    return err_set(err, EUCLEAN, "%s %s; it is left as it is", file->path, how);
}

static int execute(struct registry_file *file, const char *sql, struct err *err)
{
    return sqlite3_exec(file->database, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : explain(file, err);
}

static void finalize(sqlite3_stmt **statement)
{
    sqlite3_finalize(*statement);
}

/* The one number that a query gives. */
static int ask(struct registry_file *file, const char *sql, int64_t *ret, struct err *err)
{
    cleanup_with(finalize) sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(file->database, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW)
        return explain(file, err);
    *ret = sqlite3_column_int64(statement, 0);
    return 0;
}

/* SQLite takes a missing or empty file for a new one and throws away the log beside it; but with a log there,
 * the file was more once. Permissions are set at the making: SQLite gives those of the file to all that it
 * puts beside it. */
static int find_file(const struct registry_file *file, struct err *err)
{
    struct stat status, log;
    bool exists = stat(file->path, &status) == 0;
    if (exists && !S_ISREG(status.st_mode))
        return err_set(err, EUCLEAN, "%s is not a file", file->path);
    if (exists && status.st_size >= SMALLEST_FILE)
        return 0;
    if (exists && status.st_size > 0)
        return damaged(file, err, "is damaged: it is shorter than its header");
    if (stat(file->log_path, &log) == 0 && log.st_size > 0)
        return err_set(err, EUCLEAN, "%s is %s, but its log %s is there; both are left as they are",
                       file->path, exists ? "empty" : "missing", file->log_path);
    if (exists)
        return 0;
    cleanup_close int fd = open(file->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST)
        return err_set(err, errno, "%s cannot be made: %s", file->path, strerror(errno));
    return 0;
}

static int make_tables(struct registry_file *file, struct err *err)
{
    cleanup_with(text_done) struct text sql = {0};
    text_printf(&sql, "BEGIN IMMEDIATE; %s; %s; PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
                objects_table, removals_table, APPLICATION_ID, FORMAT_VERSION);
    return execute(file, text_str(&sql), err);
}

/* Nothing but what we made: triggers and views would run at our writes. */
static int check_tables(struct registry_file *file, struct err *err)
{
    const char *const expected[] = {objects_table, removals_table};
    cleanup_with(finalize) sqlite3_stmt *statement = NULL;
    size_t count = 0;
    int result;
    if (sqlite3_prepare_v2(file->database, "SELECT sql FROM sqlite_schema ORDER BY name", -1, &statement,
                           NULL) != SQLITE_OK)
        return explain(file, err);
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *sql = (const char *)sqlite3_column_text(statement, 0);
        if (count == ARRAY_LEN(expected) || !sql || strcmp(sql, expected[count++]) != 0)
            return damaged(file, err, "does not have the tables of a registry");
    }
    if (result != SQLITE_DONE)
        return explain(file, err);
    return count == ARRAY_LEN(expected) ? 0 : damaged(file, err, "does not have the tables of a registry");
}

/* Pages that nothing points at, or two things: the rows alone would not show them before a write goes wrong.
 */
static int check_pages(struct registry_file *file, struct err *err)
{
    cleanup_with(finalize) sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(file->database, "PRAGMA quick_check(1)", -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW)
        return explain(file, err);
    const char *verdict = (const char *)sqlite3_column_text(statement, 0);
    if (!verdict || strcmp(verdict, "ok") != 0)
        return damaged(file, err, "is damaged: its pages do not fit together");
    return 0;
}

/* Whose file it is, before anything is written. A file without content becomes ours. */
static int identify(struct registry_file *file, struct err *err)
{
    int64_t application, version, entries;
    int code;
    if ((code = execute(file, guards, err)) < 0 ||
        (code = ask(file, "PRAGMA application_id", &application, err)) < 0 ||
        (code = ask(file, "PRAGMA user_version", &version, err)) < 0 ||
        (code = ask(file, "SELECT count(*) FROM sqlite_schema", &entries, err)) < 0)
        return code;
    if (sqlite3_db_readonly(file->database, "main") == 1)
        return access(file->path, W_OK) < 0
                   ? err_set(err, errno, "%s cannot be written: %s", file->path, strerror(errno))
                   : damaged(file, err, "is damaged: its header is one for reading alone");
    bool is_new = application == 0 && version == 0 && entries == 0;
    if (!is_new && application != APPLICATION_ID)
        return damaged(file, err, "belongs to another program");
    if (!is_new && version > FORMAT_VERSION)
        return err_set(err, EPROTO,
                       "%s was written by a later version of fairlead (format %" PRId64
                       ", this one reads %d)",
                       file->path, version, FORMAT_VERSION);
    if (!is_new && version < FORMAT_VERSION)
        return damaged(file, err, "is damaged: it has no format version");
    if (!is_new && ((code = check_tables(file, err)) < 0 || (code = check_pages(file, err)) < 0))
        return code;
    if (is_new && (code = execute(file, "PRAGMA auto_vacuum = INCREMENTAL", err)) < 0)
        return code;
    if ((code = execute(file, settings, err)) < 0)
        return code;
    return is_new ? make_tables(file, err) : 0;
}

static int prepare(struct registry_file *file, struct err *err)
{
    for (int i = 0; i < STATEMENT_COUNT; i++)
        if (sqlite3_prepare_v3(file->database, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &file->prepared[i], NULL) != SQLITE_OK)
            return explain(file, err);
    return 0;
}

static int open_database(struct registry_file *file, struct err *err)
{
    int code = find_file(file, err);
    if (code < 0)
        return code;
    if (sqlite3_open_v2(file->path, &file->database,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK)
        return explain(file, err);
    sqlite3_db_config(file->database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if ((code = identify(file, err)) < 0)
        return code;
    return prepare(file, err);
}

int registry_file_open(struct registry_file **ret, const char *path, struct err *err)
{
    struct registry_file *file = xcalloc(1, sizeof(*file));
    struct text name = {0};
    text_printf(&name, "%s%s", *path == '/' ? "" : "./", path); /* some names mean something to SQLite */
    file->path = xstrdup(text_str(&name));
    text_add(&name, "-wal");
    file->log_path = xstrdup(text_str(&name));
    text_done(&name);
    int code = open_database(file, err);
    if (code < 0) {
        registry_file_close(file);
        return code;
    }
    *ret = file;
    return 0;
}

void registry_file_close(struct registry_file *file)
{
    if (!file)
        return;
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(file->prepared[i]);
    sqlite3_close(file->database);
    free(file->path);
    free(file->log_path);
    free(file);
}

static unsigned long long hash_revision(unsigned long long hash, uint64_t revision)
{
    uint64_t little_endian = htole64(revision);
    return hash_bytes(hash, &little_endian, sizeof(little_endian));
}

/* Bits that went wrong inside a page are nobody's concern below us. */
static int64_t checksum_of(const struct registry_row *row)
{
    unsigned long long hash = hash_bytes(0, row->kind, strlen(row->kind) + 1);
    hash = hash_bytes(hash, row->namespace_, strlen(row->namespace_) + 1);
    hash = hash_bytes(hash, row->name, strlen(row->name) + 1);
    hash = hash_revision(hash, row->revision);
    return (int64_t)hash_bytes(hash, row->data, row->len);
}

static int64_t removal_checksum(uint64_t revision)
{
    return (int64_t)hash_revision(0, revision);
}

static const char *column_text(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return text ? text : "";
}

static int read_row(struct registry_file *file, sqlite3_stmt *statement, registry_row_fn *visit,
                    void *context, struct err *err)
{
    struct registry_row row = {
        .row = sqlite3_column_int64(statement, 0),
        .kind = column_text(statement, 1),
        .namespace_ = column_text(statement, 2),
        .name = column_text(statement, 3),
        .revision = (uint64_t)sqlite3_column_int64(statement, 4),
        .data = sqlite3_column_blob(statement, 6),
        .len = (size_t)sqlite3_column_bytes(statement, 6),
    };
    if (row.row < 1 || sqlite3_column_int64(statement, 5) != checksum_of(&row))
        return err_set(err, EUCLEAN, "%s is damaged: the checksum of %s %s%s%s is wrong; it is left as it is",
                       file->path, row.kind, row.namespace_, *row.namespace_ ? "/" : "", row.name);
    int code = visit(context, &row, err);
    return code < 0 ? err_prefix(err, code, "%s", file->path) : 0;
}

static int read_removal(struct registry_file *file, uint64_t *ret_removal, struct err *err)
{
    cleanup_with(finalize) sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(file->database, "SELECT revision, checksum FROM removals", -1, &statement, NULL) !=
        SQLITE_OK)
        return explain(file, err);
    int result = sqlite3_step(statement);
    uint64_t removal = result == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        return explain(file, err);
    if (result == SQLITE_ROW &&
        (removal > INT64_MAX || sqlite3_column_int64(statement, 1) != removal_checksum(removal)))
        return damaged(file, err, "is damaged: the checksum of its last removal is wrong");
    *ret_removal = removal;
    return 0;
}

int registry_file_read(struct registry_file *file, registry_row_fn *visit, void *context,
                       uint64_t *ret_removal, struct err *err)
{
    cleanup_with(finalize) sqlite3_stmt *statement = NULL;
    int result, code = read_removal(file, ret_removal, err);
    if (code < 0)
        return code;
    if (sqlite3_prepare_v2(file->database, "SELECT * FROM objects", -1, &statement, NULL) != SQLITE_OK)
        return explain(file, err);
    while ((result = sqlite3_step(statement)) == SQLITE_ROW)
        if ((code = read_row(file, statement, visit, context, err)) < 0)
            return code;
    return result == SQLITE_DONE ? 0 : explain(file, err);
}

void registry_file_accept(struct registry_file *file)
{
    sqlite3_db_config(file->database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
}

static int undo(struct registry_file *file, int code)
{
    if (!sqlite3_get_autocommit(file->database))
        sqlite3_exec(file->database, "ROLLBACK", NULL, NULL, NULL);
    return code == -ENOSPC ? code : -EIO;
}

static int run(struct registry_file *file, enum statement which, struct err *err)
{
    sqlite3_stmt *statement = file->prepared[which];
    int result;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW)
        continue;
    int code = result == SQLITE_DONE ? 0 : undo(file, explain(file, err));
    sqlite3_reset(statement);
    return code;
}

/* A file that was put aside or deleted takes every write, and none of them is found again. */
int registry_file_begin(struct registry_file *file, struct err *err)
{
    int has_moved = 0;
    sqlite3_file_control(file->database, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved);
    if (has_moved)
        return err_set(err, EIO, "%s is no longer the file that was opened", file->path);
    return run(file, BEGIN, err);
}

int registry_file_put(struct registry_file *file, const struct registry_row *row, struct err *err)
{
    sqlite3_stmt *put = file->prepared[PUT];
    sqlite3_bind_int64(put, 1, row->row);
    sqlite3_bind_text(put, 2, row->kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(put, 3, row->namespace_, -1, SQLITE_STATIC);
    sqlite3_bind_text(put, 4, row->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(put, 5, (int64_t)row->revision);
    sqlite3_bind_int64(put, 6, checksum_of(row));
    sqlite3_bind_blob64(put, 7, row->data, row->len, SQLITE_STATIC);
    int code = run(file, PUT, err);
    sqlite3_clear_bindings(put);
    return code;
}

int registry_file_remove(struct registry_file *file, int64_t row, struct err *err)
{
    sqlite3_bind_int64(file->prepared[REMOVE], 1, row);
    return run(file, REMOVE, err);
}

int registry_file_set_removal(struct registry_file *file, uint64_t revision, struct err *err)
{
    sqlite3_bind_int64(file->prepared[SET_REMOVAL], 1, (int64_t)revision);
    sqlite3_bind_int64(file->prepared[SET_REMOVAL], 2, removal_checksum(revision));
    return run(file, SET_REMOVAL, err);
}

/* What fails here only stays larger. */
static void tighten(struct registry_file *file)
{
    sqlite3_stmt *count_free = file->prepared[COUNT_FREE];
    bool is_due =
        sqlite3_step(count_free) == SQLITE_ROW && sqlite3_column_int64(count_free, 0) > FREE_PAGES_KEPT;
    sqlite3_reset(count_free);
    if (is_due)
        run(file, TIGHTEN, NULL);
}

int registry_file_commit(struct registry_file *file, struct err *err)
{
    struct stat status;
    if (stat(file->path, &status) < 0 || status.st_nlink == 0)
        return err_set(err, EIO, "%s has been removed: nothing that is written would be kept", file->path);
    int code = run(file, COMMIT, err);
    if (code == 0)
        tighten(file);
    return code;
}

size_t registry_file_bytes(const struct registry_file *file)
{
    struct stat status, log;
    size_t bytes = stat(file->path, &status) == 0 ? (size_t)status.st_size : 0;
    return bytes + (stat(file->log_path, &log) == 0 ? (size_t)log.st_size : 0);
}
