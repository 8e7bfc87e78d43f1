/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "daemon/web.h"

struct daemon;

/* What the role `fairlead proxy` shows of itself beyond the stand-alone world: for web_config.proxy. NULL in
 * other roles, else *ret. */
const struct web_proxy *proxy_pages(const struct daemon *daemon, struct web_proxy *ret);
