/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cleanup.h"
#include "registry/test_message.h"
#include "registry/test_model.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* What holds when the power fails at any moment: of what was not synced, any part may be lost. SQLite writes
 * through a layer that remembers each write since its file's last sync, and at a random one of them refuses
 * everything from then on. Then the files go back to what was synced, with a random choice of the later
 * writes, whole or cut, on top; and the registry has to be as after kill -9. A file that is made or deleted
 * is so at once: SQLite syncs the folder itself. */

#define LIVES 400
#define FILES_MAX 4
#define WRITES_MAX 8192

struct lost_write {
    int64_t offset, old_size;
    size_t len;        /* 0: the file was cut at offset */
    size_t old_len;    /* what there was in its place */
    char *bytes, *old; /* heap */
};

struct layered_file {
    sqlite3_file base;
    char path[256];
    struct lost_write *writes;
    size_t write_count;
    sqlite3_file *below; /* behind this struct */
};

static sqlite3_vfs *below_vfs;
static struct layered_file *open_files[FILES_MAX];
static unsigned calls_left; /* until the power fails; 0: it has */
static uint64_t dice;
static unsigned synced_late; /* writes that stood unsynced when a registry write returned */

static bool has_power(void)
{
    if (calls_left)
        calls_left--;
    return calls_left > 0;
}

static struct layered_file *layered(sqlite3_file *file)
{
    return (struct layered_file *)file;
}

static void forget(struct layered_file *file)
{
    for (size_t i = 0; i < file->write_count; i++) {
        free(file->writes[i].bytes);
        free(file->writes[i].old);
    }
    file->write_count = 0;
}

static void remember(struct layered_file *file, int64_t offset, const void *bytes, size_t len)
{
    sqlite3_int64 size = 0;
    if (file->write_count == WRITES_MAX)
        abort();
    struct lost_write *write = &file->writes[file->write_count++];
    file->below->pMethods->xFileSize(file->below, &size);
    size_t place = len ? len : (size_t)(size > offset ? size - offset : 0);
    *write = (struct lost_write){.offset = offset, .old_size = size, .len = len};
    write->old_len = offset >= size ? 0 : place < (size_t)(size - offset) ? place : (size_t)(size - offset);
    write->old = xmalloc(write->old_len);
    if (write->old_len)
        file->below->pMethods->xRead(file->below, write->old, (int)write->old_len, offset);
    write->bytes = xmalloc(len);
    if (len)
        memcpy(write->bytes, bytes, len);
}

/* The files as a machine finds them when it comes up again. */
static void lose_power(struct layered_file *file)
{
    cleanup_close int fd = open(file->path, O_RDWR | O_CLOEXEC);
    bool is_failed = fd < 0;
    for (size_t i = file->write_count; !is_failed && i-- > 0;) {
        const struct lost_write *write = &file->writes[i];
        is_failed =
            pwrite(fd, write->old, write->old_len, write->offset) < 0 || ftruncate(fd, write->old_size) < 0;
    }
    for (size_t i = 0; !is_failed && i < file->write_count; i++) {
        const struct lost_write *write = &file->writes[i];
        uint32_t luck = model_roll(&dice, 4);
        size_t len = luck == 0 ? 0 : luck == 1 ? model_roll(&dice, (uint32_t)write->len + 1) : write->len;
        if (write->len ? len && pwrite(fd, write->bytes, len, write->offset) < 0
                       : luck > 1 && ftruncate(fd, write->offset) < 0)
            is_failed = true;
    }
    if (is_failed && file->write_count)
        abort();
}

static int layer_close(sqlite3_file *base)
{
    struct layered_file *file = layered(base);
    for (size_t i = 0; i < FILES_MAX; i++)
        if (open_files[i] == file)
            open_files[i] = NULL;
    file->below->pMethods->xClose(file->below);
    if (!calls_left)
        lose_power(file);
    forget(file);
    free(file->writes);
    return SQLITE_OK;
}

static int layer_read(sqlite3_file *base, void *bytes, int len, sqlite3_int64 offset)
{
    sqlite3_file *below = layered(base)->below;
    return calls_left ? below->pMethods->xRead(below, bytes, len, offset) : SQLITE_IOERR_READ;
}

static int layer_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 offset)
{
    sqlite3_file *below = layered(base)->below;
    if (!has_power())
        return SQLITE_IOERR_WRITE;
    remember(layered(base), offset, bytes, (size_t)len);
    return below->pMethods->xWrite(below, bytes, len, offset);
}

static int layer_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    sqlite3_file *below = layered(base)->below;
    if (!has_power())
        return SQLITE_IOERR_TRUNCATE;
    remember(layered(base), size, NULL, 0);
    return below->pMethods->xTruncate(below, size);
}

static int layer_sync(sqlite3_file *base, int flags)
{
    if (!has_power())
        return SQLITE_IOERR_FSYNC;
    forget(layered(base));
    return SQLITE_OK;
}

static int layer_size(sqlite3_file *base, sqlite3_int64 *size)
{
    sqlite3_file *below = layered(base)->below;
    return calls_left ? below->pMethods->xFileSize(below, size) : SQLITE_IOERR_FSTAT;
}

static int layer_lock(sqlite3_file *base, int level)
{
    sqlite3_file *below = layered(base)->below;
    return below->pMethods->xLock(below, level);
}

static int layer_unlock(sqlite3_file *base, int level)
{
    sqlite3_file *below = layered(base)->below;
    return below->pMethods->xUnlock(below, level);
}

static int layer_check_lock(sqlite3_file *base, int *result)
{
    sqlite3_file *below = layered(base)->below;
    return below->pMethods->xCheckReservedLock(below, result);
}

static int layer_control(sqlite3_file *base, int operation, void *argument)
{
    sqlite3_file *below = layered(base)->below;
    return calls_left ? below->pMethods->xFileControl(below, operation, argument) : SQLITE_NOTFOUND;
}

static int layer_sector_size(sqlite3_file *base)
{
    sqlite3_file *below = layered(base)->below;
    return below->pMethods->xSectorSize(below);
}

static int layer_characteristics(sqlite3_file *base)
{
    sqlite3_file *below = layered(base)->below;
    return below->pMethods->xDeviceCharacteristics(below);
}

static const sqlite3_io_methods layer_methods = {
    .iVersion = 1,
    .xClose = layer_close,
    .xRead = layer_read,
    .xWrite = layer_write,
    .xTruncate = layer_truncate,
    .xSync = layer_sync,
    .xFileSize = layer_size,
    .xLock = layer_lock,
    .xUnlock = layer_unlock,
    .xCheckReservedLock = layer_check_lock,
    .xFileControl = layer_control,
    .xSectorSize = layer_sector_size,
    .xDeviceCharacteristics = layer_characteristics,
};

static int layer_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *ret_flags)
{
    struct layered_file *file = layered(base);
    *file = (struct layered_file){.below = (sqlite3_file *)(file + 1)};
    if (!calls_left)
        return SQLITE_CANTOPEN;
    int result = below_vfs->xOpen(below_vfs, path, file->below, flags, ret_flags);
    if (result != SQLITE_OK)
        return result;
    snprintf(file->path, sizeof(file->path), "%s", path);
    file->writes = xcalloc(WRITES_MAX, sizeof(*file->writes));
    file->base.pMethods = &layer_methods;
    for (size_t i = 0; i < FILES_MAX; i++)
        if (!open_files[i]) {
            open_files[i] = file;
            break;
        }
    return SQLITE_OK;
}

static int layer_delete(sqlite3_vfs *vfs, const char *path, int sync_folder)
{
    return has_power() ? below_vfs->xDelete(below_vfs, path, sync_folder) : SQLITE_IOERR_DELETE;
}

static void install_layer(sqlite3_vfs *layer)
{
    below_vfs = sqlite3_vfs_find(NULL);
    *layer = *below_vfs;
    layer->zName = "power";
    layer->pNext = NULL;
    layer->szOsFile = (int)sizeof(struct layered_file) + below_vfs->szOsFile;
    layer->xOpen = layer_open;
    layer->xDelete = layer_delete;
    assert_int_equal(sqlite3_vfs_register(layer, 1), SQLITE_OK);
}

static size_t unsynced_log_writes(void)
{
    size_t count = 0;
    for (size_t i = 0; i < FILES_MAX; i++)
        if (open_files[i] && strstr(open_files[i]->path, "-wal"))
            count += open_files[i]->write_count;
    return count;
}

/* Writes until the power fails. Returns what was under way then. */
static struct model_batch live(const char *path, struct model *model)
{
    struct registry *registry;
    struct err err;
    struct model_batch batch = {0};
    if (registry_open(&registry, &(struct registry_options){.path = path}, &err) < 0)
        return batch;
    for (;;) {
        batch = model_roll_batch(model, &dice);
        if (model_write(registry, &batch, &err) < 0)
            break;
        model_apply(model, &batch);
        synced_late += unsynced_log_writes() > 0;
    }
    registry_close(registry);
    return batch;
}

/* The machine is up again: what is there? Half the times the power fails again while the log is written back.
 */
static enum model_verdict look(const char *path, const struct model *before, const struct model *after)
{
    struct registry *registry;
    struct err err;
    calls_left = UINT32_MAX;
    if (registry_open(&registry, &(struct registry_options){.path = path}, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return MODEL_WRONG;
    }
    enum model_verdict verdict = model_compare(registry, before, after);
    if (model_roll(&dice, 2))
        calls_left = 1 + model_roll(&dice, 40);
    registry_close(registry);
    return verdict;
}

static void test_power_fails(void **state)
{
    sqlite3_vfs layer;
    char folder[64], path[96];
    struct model model;
    unsigned verdicts[MODEL_WRONG + 1] = {0};
    snprintf(folder, sizeof(folder), "%s/fairlead-power-XXXXXX", test_folder_root());
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/registry.db", folder);
    install_layer(&layer);
    for (unsigned life = 0; life < LIVES; life++) {
        dice = life;
        bool is_new = life % 20 == 0;
        if (is_new) {
            model_remove_files(path);
            model = (struct model){.revision = 1};
        }
        calls_left = 1 + model_roll(&dice, is_new ? 30 : life % 3 ? 300 : 3000);
        struct model_batch batch = live(path, &model);
        struct model after = model;
        model_apply(&after, &batch);
        enum model_verdict verdict = look(path, &model, &after);
        if (verdict == MODEL_WRONG)
            fail_msg("life %u", life);
        verdicts[verdict]++;
        model = verdict == MODEL_ONE_MORE ? after : model;
    }
    sqlite3_vfs_unregister(&layer);
    model_remove_files(path);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(synced_late, 0);
    assert_true(verdicts[MODEL_AS_RETURNED] > LIVES / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_power_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
