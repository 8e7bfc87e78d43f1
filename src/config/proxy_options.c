/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/proxy_options.h"

#include "api/encode.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "config/proxy_flags.h"
#include "config/read.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define SPACES " \t\r\n\v\f"

/* For what a flag's value may stay absent and mean this. */
static const char *implied_value(const struct proxy_flag *flag)
{
    return flag->type == FLAG_BOOL || flag->type == FLAG_VERSION ? "true" : NULL;
}

static const struct proxy_flag *find_flag(const char *name, size_t len)
{
    for (size_t i = 0; i < proxy_flag_count; i++) {
        const char *known = proxy_flags[i].name;
        size_t at = 0;
        while (at < len && known[at] && known[at] == (name[at] == '_' ? '-' : name[at]))
            at++;
        if (at == len && !known[at])
            return &proxy_flags[i];
    }
    return NULL;
}

static int set_flag(struct proxy_options *options, const struct proxy_flag *flag, const char *value,
                    struct arena *arena, struct err *err)
{
    char unused[16];
    void *where = flag->offset == PROXY_FLAG_NOWHERE ? (void *)unused : (char *)options + flag->offset;
    int code = flag_value_set(flag->type, where, value, arena, err);
    if (code < 0)
        return err_prefix(err, code, "invalid argument %.200s for \"%s%s\" flag", encode_quoted(value, arena),
                          strcmp(flag->name, "v") == 0      ? "-v, --"
                          : strcmp(flag->name, "help") == 0 ? "-h, --"
                                                            : "--",
                          flag->name);
    options->given_logging |= flag->logging;
    if (flag->instead_of && options->warning_count < PROXY_WARNINGS_MAX)
        options->warnings[options->warning_count++] =
            *flag->instead_of
                ? arena_printf(arena, "--%s is deprecated: use --%s", flag->name, flag->instead_of)
                : arena_printf(arena, "--%s has no effect: the mode userspace has it no longer", flag->name);
    return 0;
}

/* The one-letter flags are -v and -h, which may stand together. Returns how many arguments it took, or an
 * error. */
static int parse_short(int argc, char *const argv[], struct proxy_options *options, struct arena *arena,
                       struct err *err)
{
    for (const char *letter = argv[0] + 1; *letter; letter++) {
        const struct proxy_flag *flag = find_flag(*letter == 'h' ? "help" : "v", *letter == 'h' ? 4 : 1);
        bool has_value = letter[1] == '=' && letter[2];
        if (*letter != 'h' && *letter != 'v')
            return err_set(err, EINVAL, "unknown shorthand flag: '%c' in -%.100s", *letter, letter);
        if (*letter == 'v' && !letter[1] && argc < 2)
            return err_set(err, EINVAL, "flag needs an argument: 'v' in -v");
        const char *value = has_value        ? letter + 2
                            : *letter == 'h' ? "true"
                            : letter[1]      ? letter + 1
                                             : argv[1];
        int code = set_flag(options, flag, value, arena, err);
        if (code < 0 || *letter == 'v' || has_value)
            return code < 0 ? code : value == argv[1] ? 2 : 1;
    }
    return 1;
}

static int parse_long(int argc, char *const argv[], struct proxy_options *options, struct arena *arena,
                      struct err *err)
{
    const char *name = argv[0] + 2;
    size_t len = strcspn(name, "=");
    const struct proxy_flag *flag = find_flag(name, len);
    if (len == 0 || *name == '-')
        return err_set(err, EINVAL, "bad flag syntax: %.100s", argv[0]);
    if (!flag)
        return err_set(err, EINVAL, "unknown flag: --%.*s", len > 100 ? 100 : (int)len, name);
    const char *value = name[len] == '=' ? name + len + 1 : implied_value(flag);
    int taken = 1;
    if (!value && argc < 2)
        return err_set(err, EINVAL, "flag needs an argument: --%s", flag->name);
    if (!value) {
        value = argv[1];
        taken = 2;
    }
    int code = set_flag(options, flag, value, arena, err);
    return code < 0 ? code : taken;
}

/* The flags that have to know of others: the periods are those of the mode, and the iptables flags are
 * nftables' flags, too. Ports go behind the addresses (addressFromDeprecatedFlags). */
static void join_flags(struct proxy_options *options, struct arena *arena)
{
    struct proxy_settings *settings = &options->settings;
    bool is_ipvs = strcmp(settings->mode, "ipvs") == 0;
    settings->sync_ns = is_ipvs ? options->ipvs_sync_ns : options->iptables_sync_ns;
    settings->min_sync_ns = is_ipvs ? options->ipvs_min_sync_ns : options->iptables_min_sync_ns;
    if (options->cluster_cidr)
        settings->cluster_cidrs = settings_split(options->cluster_cidr, arena);
    if (*options->write_config_to)
        return;
    settings->healthz_bind_address =
        options->healthz_port == 0
            ? ""
            : settings_with_port(settings->healthz_bind_address, options->healthz_port, arena);
    settings->metrics_bind_address =
        options->metrics_port == 0
            ? ""
            : settings_with_port(settings->metrics_bind_address, options->metrics_port, arena);
}

static struct proxy_options no_options(void)
{
    struct proxy_options options = {
        .config_file = "",
        .write_config_to = "",
        .master = "",
        .hostname_override = "",
        .machine_id_file = "/etc/machine-id,/var/lib/dbus/machine-id",
        .boot_id_file = "/proc/sys/kernel/random/boot_id",
        .version = "",
        .healthz_port = HEALTHZ_PORT,
        .metrics_port = METRICS_PORT,
    };
    settings_default(&options.settings);
    options.iptables_sync_ns = options.ipvs_sync_ns = options.settings.sync_ns;
    options.iptables_min_sync_ns = options.ipvs_min_sync_ns = options.settings.min_sync_ns;
    return options;
}

/* What is no flag; empty words are nobody's. */
static int refuse_words(char *const words[], size_t count, struct arena *arena, struct err *err)
{
    struct text list = {0};
    bool is_empty = true;
    for (size_t i = 0; i < count; i++) {
        is_empty = is_empty && !*words[i];
        text_printf(&list, "%s%s", i > 0 ? " " : "", encode_quoted(words[i], arena));
    }
    if (!is_empty)
        err_set(err, EINVAL, "\"kube-proxy\" does not take any arguments, got [%.400s]", text_str(&list));
    text_done(&list);
    return is_empty ? 0 : -EINVAL;
}

void proxy_options_help(struct text *ret)
{
    const struct proxy_options defaults = no_options();
    proxy_flags_help(&defaults, ret);
}

int proxy_options_parse(int argc, char *const argv[], struct arena *arena, struct proxy_options *ret,
                        struct err *err)
{
    struct proxy_options options = no_options();
    char **words = arena_array(arena, char *, (size_t)argc + 1);
    size_t word_count = 0;
    bool is_over = false;
    for (int at = 0; at < argc;) {
        char *word = argv[at];
        int taken = 1;
        if (is_over || word[0] != '-' || !word[1])
            words[word_count++] = word;
        else if (strcmp(word, "--") == 0)
            is_over = true;
        else if (word[1] == '-')
            taken = parse_long(argc - at, argv + at, &options, arena, err);
        else
            taken = parse_short(argc - at, argv + at, &options, arena, err);
        if (taken < 0)
            return taken;
        at += taken;
    }
    int code = refuse_words(words, word_count, arena, err);
    if (code < 0)
        return code;
    join_flags(&options, arena);
    *ret = options;
    return 0;
}

/* Flags over the file's: copyLogsFromFlags. Patterns of both count, those of the flags first. */
static void join_logging(const struct proxy_options *options, struct logging_settings *logging,
                         struct arena *arena)
{
    const struct logging_settings *given = &options->settings.logging;
    /* The flags' default comes over what a file says, as upstream. */
    logging->text.is_split = logging->json.is_split = false;
    for (size_t i = 0; i < proxy_flag_count; i++) {
        const struct proxy_flag *flag = &proxy_flags[i];
        if (!(flag->logging & options->given_logging) || flag->type == FLAG_VMODULE)
            continue;
        size_t offset = flag->offset - offsetof(struct proxy_options, settings.logging);
        memcpy((char *)logging + offset, (const char *)given + offset, flag_value_size(flag->type));
    }
    if (given->vmodule_count == 0)
        return;
    size_t count = given->vmodule_count + logging->vmodule_count;
    struct vmodule_setting *items = arena_array(arena, struct vmodule_setting, count);
    memcpy(items, given->vmodule, given->vmodule_count * sizeof(*items));
    if (logging->vmodule_count > 0)
        memcpy(items + given->vmodule_count, logging->vmodule, logging->vmodule_count * sizeof(*items));
    logging->vmodule = items;
    logging->vmodule_count = count;
}

/* false for a name of spaces alone. */
static bool join_hostname(const char *override, struct proxy_settings *settings, struct arena *arena)
{
    if (!*override)
        return true;
    override += strspn(override, SPACES);
    size_t len = strlen(override);
    while (len > 0 && strchr(SPACES, override[len - 1]))
        len--;
    char *name = arena_strndup(arena, override, len);
    for (size_t i = 0; i < len; i++)
        name[i] = (char)tolower((unsigned char)name[i]);
    settings->hostname_override = name;
    return len > 0;
}

bool proxy_options_resolve(const struct proxy_options *options, const char *bytes, size_t len,
                           struct arena *arena, struct proxy_config *ret, struct proxy_report *report)
{
    struct proxy_settings settings = options->settings;
    const char *warning = NULL;
    *report = (struct proxy_report){0};
    if (bytes) {
        const char *refusal = settings_read(bytes, len, arena, &settings, &warning);
        if (refusal) {
            report->refusal = arena_printf(arena, "failed complete: failed to decode: %s", refusal);
            return false;
        }
        join_logging(options, &settings.logging, arena);
    }
    for (size_t i = 0; i < options->warning_count; i++)
        report->warnings[report->warning_count++] = options->warnings[i];
    if (warning && report->warning_count < PROXY_WARNINGS_MAX)
        report->warnings[report->warning_count++] =
            arena_printf(arena, "the configuration file is taken leniently: %s", warning);
    if (!join_hostname(options->hostname_override, &settings, arena)) {
        report->refusal = "failed complete: empty hostname-override is invalid";
        return false;
    }
    return config_resolve(&settings, arena, ret, report);
}
