/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "sys/notify.h"

/* Tells the service manager that started us, where there is one, a state and a sentence for people. What
 * cannot be told is logged once. */
void announce(enum notify_state state, const char *format, ...) __attribute__((format(printf, 2, 3)));
