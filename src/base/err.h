/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One sentence about what failed, by value in the caller's frame. Lower floors fill it and return a
 * negative errno; the top floor logs it, once. */
struct err {
    char text[512];
};

/* Sets the sentence (cut at the buffer's end) and returns -code, so that a failing function can end in
 * `return err_set(err, EINVAL, "...")`. err may be NULL. code is positive. */
int err_set(struct err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "words: " before the sentence that is there and returns code unchanged. */
int err_prefix(struct err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
