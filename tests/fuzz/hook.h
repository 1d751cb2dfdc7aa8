/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hook.h: put before each file of common/ by the compiler (-include), so that
 * something can happen in front of every access to shared memory: a double
 * fetch, or a gap between a check and a swap, is then met by plan and not by
 * luck.
 */
#ifndef FUZZ_HOOK_H
#define FUZZ_HOOK_H

#include <stdatomic.h>

void fuzz_step(void);

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_fetch_add_explicit
#undef atomic_compare_exchange_strong_explicit
#ifdef __clang__
#define atomic_load_explicit(object, order) \
    (fuzz_step(), __c11_atomic_load((object), (order)))
#define atomic_store_explicit(object, value, order) \
    (fuzz_step(), __c11_atomic_store((object), (value), (order)))
#define atomic_fetch_add_explicit(object, value, order) \
    (fuzz_step(), __c11_atomic_fetch_add((object), (value), (order)))
#define atomic_compare_exchange_strong_explicit(object, expected, value, \
                                                order, failed) \
    (fuzz_step(), __c11_atomic_compare_exchange_strong( \
         (object), (expected), (value), (order), (failed)))
#else
#define atomic_load_explicit(object, order) \
    __extension__ ({ \
        __auto_type hook_object = (object); \
        __typeof__((void)0, *hook_object) hook_value; \
        fuzz_step(); \
        __atomic_load(hook_object, &hook_value, (order)); \
        hook_value; \
    })
#define atomic_store_explicit(object, value, order) \
    __extension__ ({ \
        __auto_type hook_object = (object); \
        __typeof__((void)0, *hook_object) hook_value = (value); \
        fuzz_step(); \
        __atomic_store(hook_object, &hook_value, (order)); \
    })
#define atomic_fetch_add_explicit(object, value, order) \
    (fuzz_step(), __atomic_fetch_add((object), (value), (order)))
#define atomic_compare_exchange_strong_explicit(object, expected, value, \
                                                order, failed) \
    __extension__ ({ \
        __auto_type hook_object = (object); \
        __typeof__((void)0, *hook_object) hook_value = (value); \
        fuzz_step(); \
        __atomic_compare_exchange(hook_object, (expected), &hook_value, 0, \
                                  (order), (failed)); \
    })
#endif

#endif
