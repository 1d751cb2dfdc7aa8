/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stores.h: be killed after the Nth store to a ledger, or to other pages, or do
 * something else before it.
 *
 * The pages are made read-only; a store to them traps, is let through for one
 * instruction (the processor's single-step flag), and counted.  So no store can
 * be missed, whatever the compiler made of the source, and the code under test
 * is the code that ships.
 */
#ifndef TEST_STORES_H
#define TEST_STORES_H

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "ledger.h"

#ifdef __x86_64__
#define HAVE_STORES 1

#define TRAP_FLAG 0x100

static char *stores_pages;
static size_t stores_size;      /* of them; less is faster */
static unsigned stores_left;    /* until the kill; 0: never */
/* Before the last, in its place; the stores after it are not counted. */
static void (*stores_between)(void);
static uint64_t *stores_spoil;  /* a word that is another at each access, */
static unsigned stores_spoil_each;      /* or at each so-manieth */
static unsigned stores_spoil_seen;
static uint64_t stores_spoil_bits = 1;  /* which of them change */
static int stores_open;         /* what is allowed meanwhile */
static unsigned stores_seen;
static size_t stores_at[32];    /* offsets in the pages of the first ones */

static void stores_protect(int prot)
{
    if (mprotect(stores_pages, stores_size, prot) < 0) {
        _exit(100);
    }
}

static void stores_on_segv(int signal, siginfo_t *info, void *context)
{
    char *at = info->si_addr;

    (void)signal;
    if (at < stores_pages || at >= stores_pages + stores_size) {
        _exit(101);
    }
    if (stores_seen < sizeof(stores_at) / sizeof(stores_at[0])) {
        stores_at[stores_seen] = at - stores_pages;
    }
    stores_protect(PROT_READ | PROT_WRITE);
    if (stores_between && stores_left == 1) {
        void (*between)(void) = stores_between;

        stores_between = NULL;
        stores_left = 0;
        between();
        return;                 /* the pages stay open */
    }
    if (info->si_addr == stores_spoil &&
        ++stores_spoil_seen % stores_spoil_each == 0) {
        *stores_spoil ^= stores_spoil_bits;
    }
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void stores_on_trap(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    stores_seen++;
    if (stores_left && --stores_left == 0) {
        kill(getpid(), SIGKILL);
    }
    stores_protect(stores_open);
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

/* From here on, until stores_end, the @nth store to @pages is the last; 0: count.
 * With stores_spoil set, loads are counted as well. */
static void stores_begin_at(void *pages, size_t size, unsigned nth)
{
    struct sigaction action = { .sa_flags = SA_SIGINFO };

    stores_pages = pages;
    stores_size = size;
    stores_left = nth;
    stores_seen = 0;
    stores_spoil_seen = 0;
    stores_open = stores_spoil ? PROT_NONE : PROT_READ;
    action.sa_sigaction = stores_on_segv;
    sigaction(SIGSEGV, &action, NULL);
    action.sa_sigaction = stores_on_trap;
    sigaction(SIGTRAP, &action, NULL);
    stores_protect(stores_open);
}

static inline void stores_begin(struct quota_ledger *ledger, unsigned nth)
{
    stores_begin_at(ledger->file, stores_spoil ?
                    offsetof(struct quota_ledger_file, volumes[1]) :
                    sizeof(*ledger->file), nth);
}

static void stores_end(void)
{
    stores_protect(PROT_READ | PROT_WRITE);
    signal(SIGSEGV, SIG_DFL);
    signal(SIGTRAP, SIG_DFL);
}

#endif
#endif
