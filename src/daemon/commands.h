/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One function for each command, named as it is called. argc and argv without the program's and the command's
 * names; the result is the exit status: 0 well, 1 failed or found faults, 2 called wrongly,
 * 3 to be started again (daemon.h). */
int standalone_main(int argc, char *const *argv);
int proxy_main(int argc, char *const *argv);
int check_main(int argc, char *const *argv);
int status_main(int argc, char *const *argv);
int explain_main(int argc, char *const *argv);
int dump_main(int argc, char *const *argv);
int probe_main(int argc, char *const *argv);
int cleanup_main(int argc, char *const *argv);
int kubeconfig_main(int argc, char *const *argv);
int version_main(int argc, char *const *argv);
