/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/program.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LONG_MS 60000

struct run {
    uv_loop_t loop;
    struct program *program;
    unsigned answers;
    int code;
    struct err err;
    struct text output;
};

static void on_done(void *context, int code, const struct err *err, const struct program_output *output)
{
    struct run *run = context;
    run->answers++;
    run->code = code;
    if (code == 0)
        text_add_bytes(&run->output, output->text, output->len);
    else
        run->err = *err;
}

static void start(struct run *run, const char *script, const struct text *input, size_t output_max,
                  unsigned timeout_ms)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    *run = (struct run){.code = 1};
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(uv_loop_init(&run->loop), 0);
    const struct program_request request = {.path = "/bin/sh",
                                            .argv = argv,
                                            .input = text_str(input),
                                            .input_len = input->len,
                                            .output_max = output_max,
                                            .timeout_ms = timeout_ms,
                                            .done = on_done,
                                            .context = run};
    assert_int_equal(program_start(&run->program, &run->loop, &request, &run->err), 0);
}

/* That the loop ends and closes says that nothing of the program was left in it. */
static void finish(struct run *run)
{
    uv_run(&run->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&run->loop), 0);
    text_done(&run->output);
}

static void gives_input_and_takes_output(void **state)
{
    struct run run;
    struct text input = {0};
    for (unsigned i = 0; i < 100000; i++) /* more than any pipe holds */
        text_printf(&input, "line %u\n", i);
    start(&run, "cat", &input, input.len, LONG_MS);
    uv_run(&run.loop, UV_RUN_DEFAULT);
    assert_int_equal(run.code, 0);
    assert_int_equal(run.answers, 1);
    assert_string_equal(text_str(&run.output), text_str(&input));
    finish(&run);
    text_done(&input);
}

static void says_how_it_ended(void **state)
{
    static const struct {
        const char *script;
        int code;
        const char *sentence;
    } cases[] = {
        {"echo first >&2; echo second >&2; exit 3", -EIO, "sh failed with exit code 3: first; second"},
        {"printf 'sh: \\n\\nline 3 is bad\\n' >&2; exit 3", -EIO,
         "sh failed with exit code 3: sh: line 3 is bad"},
        {"exit 1", -EIO, "sh failed with exit code 1"},
        {"kill -9 $$", -EIO, "sh was ended by signal 9"},
        {"head -c 100000 /dev/zero", -EFBIG, "sh says more than can be read"},
        {"exec 0<&-; echo well", 0, ""}, /* it need not read its input */
    };
    struct text input = {0};
    for (unsigned i = 0; i < 100000; i++)
        text_add(&input, "unread\n");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct run run;
        start(&run, cases[i].script, &input, 4096, LONG_MS);
        uv_run(&run.loop, UV_RUN_DEFAULT);
        assert_int_equal(run.code, cases[i].code);
        assert_int_equal(run.answers, 1);
        if (run.code < 0)
            assert_string_equal(run.err.text, cases[i].sentence);
        finish(&run);
    }
    text_done(&input);
}

/* The shell's child has to go too: both hold an end of a pipe, which has ended when both have. */
static void kills_what_takes_too_long(void **state)
{
    struct run run;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    start(&run, "sleep 60; true", &(struct text){0}, 4096, 50);
    close(ends[1]);
    uv_run(&run.loop, UV_RUN_DEFAULT);
    assert_int_equal(run.code, -ETIMEDOUT);
    assert_string_equal(run.err.text, "sh takes too long and was killed");
    struct pollfd end = {.fd = ends[0]};
    assert_int_equal(poll(&end, 1, 30000), 1);
    assert_true(end.revents & POLLHUP);
    close(ends[0]);
    finish(&run);
}

static void can_be_cancelled(void **state)
{
    struct run run;
    start(&run, "sleep 60; true", &(struct text){0}, 4096, LONG_MS);
    uv_run(&run.loop, UV_RUN_NOWAIT);
    program_cancel(run.program);
    program_cancel(NULL);
    uv_run(&run.loop, UV_RUN_DEFAULT);
    assert_int_equal(run.answers, 0);
    finish(&run);
}

static void cannot_start_what_is_not_there(void **state)
{
    const char *argv[] = {"nothing", NULL};
    struct run run = {0};
    assert_int_equal(uv_loop_init(&run.loop), 0);
    const struct program_request request = {
        .path = "/nowhere/nothing", .argv = argv, .timeout_ms = LONG_MS, .done = on_done, .context = &run};
    assert_int_equal(program_start(&run.program, &run.loop, &request, &run.err), -ENOENT);
    assert_non_null(strstr(run.err.text, "/nowhere/nothing cannot be started"));
    finish(&run);
    assert_int_equal(run.answers, 0);
}

static void finds_programs(void **state)
{
    char path[PATH_MAX];
    cleanup_free char *old = strdup(getenv("PATH"));
    setenv("PATH", "/nowhere::/bin", 1);
    assert_true(program_find("sh", path));
    assert_string_equal(path, "/bin/sh");
    assert_false(program_find("no-such-program", path));
    assert_false(program_find(".", path));
    unsetenv("PATH");
    assert_true(program_find("sh", path));
    setenv("PATH", "/nowhere", 1);
    assert_false(program_find("sh", path));
    setenv("PATH", old, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_input_and_takes_output),   cmocka_unit_test(says_how_it_ended),
        cmocka_unit_test(kills_what_takes_too_long),      cmocka_unit_test(can_be_cancelled),
        cmocka_unit_test(cannot_start_what_is_not_there), cmocka_unit_test(finds_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
