/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sigbus.c: put a page of zeroes where a truncated file had one.
 *
 * The only state is a flag in each thread, written by its own handler.  Zeroes
 * are no valid ledger, so whoever checks what was read finds out; the flag
 * tells the rest.
 */
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sigbus.h"

static _Thread_local volatile sig_atomic_t sigbus_flag;
static uintptr_t sigbus_page_bytes;

static void
sigbus_handle(int number, siginfo_t *info, void *context)
{
    uintptr_t page = (uintptr_t)info->si_addr & ~(sigbus_page_bytes - 1);

    (void)context;
    /* mmap is a bare system call here, although POSIX does not list it among
     * the functions for handlers.  Anything but a page that is gone (a memory
     * error, an alignment fault) is not ours to paper over. */
    if (info->si_code != BUS_ADRERR ||
        mmap((void *)page, sigbus_page_bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
        signal(number, SIG_DFL);
        return;                 /* the access faults again, for good */
    }
    sigbus_flag = 1;
}

void
sigbus_install(void)
{
    struct sigaction action = {
        .sa_sigaction = sigbus_handle,
        .sa_flags = SA_SIGINFO | SA_NODEFER,
    };

    sigbus_page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

bool
sigbus_taken(void)
{
    bool taken = sigbus_flag != 0;

    sigbus_flag = 0;
    return taken;
}
