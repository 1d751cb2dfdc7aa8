/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host.h: quota-lvm and quota-lvmd as hosts of lvm/.
 */
#ifndef QLVM_TOOLS_HOST_H
#define QLVM_TOOLS_HOST_H

/* host_init: once, before a thread is started and before LVM is asked anything. */
void host_init(void);

#endif
