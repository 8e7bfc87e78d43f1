/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "net/address.h"

#include <stdbool.h>
#include <stdint.h>

/* For cases of what speaks with the kernel by itself, each in a network namespace of its own. Include it in
 * front of cmocka.h's companions. */

/* Enters a namespace for a start. False, and said, where there is none to be had, or not the program that the
 * cases use: then they are skipped (77). */
bool can_run(const char *program);
/* A cmocka setup: a new namespace, its loopback interface up. */
int new_namespace(void **state);

struct address at(const char *text);
/* Distinct ones, 10.64.0.0 and fd00:10:96::1:0 on. */
struct address numbered(enum family family, unsigned number);

void expect_fine(int code, const struct err *err);
void expect_sentence(int code, int expected, const struct err *err, const char *words);

/* A command of the shell, which has to succeed; or to print these words somewhere. */
void shell(const char *command);
void expect_shown(const char *command, const char *words);

double now_s(void);

/* What a listing told, a line for each, in any order. */
#define LINE_MAX_LEN 160
struct lines {
    char text[32][LINE_MAX_LEN];
    unsigned count;
    const void *context;
};
char *next_line(struct lines *lines);
/* expected is sorted. */
void expect_lines(struct lines *lines, const char *const *expected, unsigned count);
