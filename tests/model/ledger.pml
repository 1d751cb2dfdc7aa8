/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledger.pml: how a ledger counts bytes (common/ledger/register.c, reading.c,
 * account.c, sample.c, writer.c), step by step, for spin(1) to try every
 * interleaving and every instant of a death.  tests/model/check runs it.
 *
 * A step, STEP(), is one load or one store of shared memory, one swap, one
 * system call; before each of them a process may be killed, as often as its
 * share of -DDEATHS allows.  Steps have the names in brackets of the comments
 * in common/.  These are one step, because nothing that comes between would
 * change what they do: the loop of quota_raise (only its last load or swap
 * counts), a dead writer's own[] with the word that tells which one (no other
 * process writes it while its lock is held), and the check of `owner` before
 * its lock is tried (it is checked again afterwards).
 *
 * What is checked
 *  (a) no under-count: in each state, truth and what may still become truth
 *      are inside sampled + reserved - settled_at_sample; at each admission
 *      truth and what was admitted are inside the limit; no reader takes a
 *      sound ledger for a contradictory one.  volume >= tenant at any instant.
 *  (b) a final refusal rests on a sample that began after the request rang,
 *      and that has no room even if nothing in flight allocates.  (The two
 *      exceptions that quota_admission_poll documents, both after
 *      @patience_ns, need a clock and are not modelled.)
 *  (c) when all writers are done, one audit and one sample make the sum
 *      exact, and each writer's own part in tenant and volume what it settled.
 *  (d) a second audit of the same slots changes nothing.
 *
 * What is left out
 *  - Counts are small: LIMIT, REQUESTS (of all writers together), ROUNDS (of
 *    the sampler, beside those that the doorbell asks for), DEATHS.  A request
 *    is of one unit.  Writers differ only in how often they may die, which
 *    loses nothing: they are alike, so the first that dies can be called the
 *    first.
 *  - One thread a writer: the process's own lock keeps the threads of one
 *    apart, but for spending a lease and for settling, which are one swap each.
 *  - One volume that has no limit of its own; its register is modelled
 *    (-DSCOPES=2), its sample is the tenant's.  The policy does not change.
 *  - Two samplers (-DSAMPLERS=2) take a lock to publish, and compare first.
 *  - Memory is sequentially consistent, the code's is acquire and release.
 *    The difference is a store that a later load of another word overtakes.
 *    No step here stores and then decides by a load of another word without a
 *    swap or a system call in between: an adder's stores are followed by its
 *    swap; the swap and the add of a settle are followed by the write or the
 *    end of it, the doorbell by futex(2), an audit's stores by fcntl(2).  All
 *    else is a word that must not be seen before what was stored earlier
 *    (prepare before add, help before add, sampled before
 *    settled_at_sample, settled before owner), which release gives, and loads
 *    in order, which acquire gives.  (The one place that needs more, epochs,
 *    uses sequential consistency and is not modelled here.)
 */

#ifndef WRITERS
#define WRITERS 3
#endif
#ifndef SCOPES
#define SCOPES 1
#endif
#ifndef LIMIT
#define LIMIT 2
#endif
#ifndef REQUESTS
#define REQUESTS 3
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
/* How often writer 0, writer 1 and the sampler may be killed, and how often a
 * writer is started again. */
#ifndef DEATHS0
#define DEATHS0 1
#endif
#ifndef DEATHS1
#define DEATHS1 0
#endif
#ifndef DEATHS_SAMPLER
#define DEATHS_SAMPLER 1
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
/* How often a refused writer rings; 0: it gives up at the first refusal. */
#ifndef RINGS
#define RINGS 0
#endif

/* How many units a writer may reserve on top of the one that it needs. */
#ifndef LEASE
#define LEASE 0
#endif
/* 2: another process takes one sample, too. */
#ifndef SAMPLERS
#define SAMPLERS 1
#endif
/* How often an allocated unit is discarded. */
#ifndef DISCARDS
#define DISCARDS 0
#endif

#define TENANT 0
#define VOLUME (SCOPES - 1)
#define SAMPLER WRITERS
#ifdef MUT_ONE_ENTRY
#define ENTRY(w, s, n) (((w) * SCOPES + (s)) * 2)
#else
#define ENTRY(w, s, n) (((w) * SCOPES + (s)) * 2 + (n) % 2)
#endif

/* ---- shared memory ------------------------------------------------------- */

/* A register is one word: who added last (plus 1), by which operation. */
byte last_writer[SCOPES], last_operation[SCOPES];
byte value[WRITERS * SCOPES * 2], own[WRITERS * SCOPES * 2];
byte done[WRITERS * SCOPES];
byte settled[WRITERS];
bit owner[WRITERS];
#if LEASE
byte lease[WRITERS], recalled[WRITERS];     /* one word, too */
#endif
byte sampled, settled_at_sample;
#if RINGS
byte doorbell, answered;
#endif

/* ---- known only to the kernel, or to none -------------------------------- */

byte lock[WRITERS];             /* who holds a slot's lock, plus 1 */
#if SAMPLERS > 1
byte publisher;                 /* and who the lock on publishing */
#endif
byte truth;                     /* allocated */
byte pending;                   /* admitted or leased, still to be written */
byte deaths[WRITERS + 2];
byte requests = REQUESTS, discards = DISCARDS;
byte restarts = RESTARTS;
byte living = WRITERS;          /* writers that may do something yet */
#if RINGS
byte sampled_ring;              /* rings before the sample in `sampled` began */
#endif

#define REGISTER(s) \
    (last_writer[s] == 0 -> 0 : \
     value[ENTRY(last_writer[s] - 1, s, last_operation[s])])

#if LEASE
#define RECALLED(w) recalled[w]
#else
#define RECALLED(w) 0
#endif
/* What a request reserves. */
#define AMOUNT (1 + extra)

/* ---- steps --------------------------------------------------------------- */

#if SAMPLERS > 1
#define DROP_PUBLISHER \
    if \
    :: publisher == me + 1 -> publisher = 0 \
    :: else \
    fi
#else
#define DROP_PUBLISHER
#endif

/* One step; or, in its place, the end of the process, of which the kernel
 * drops the lock.  Locals are cleared so that equal states look equal. */
#define STEP(x) \
    if \
    :: d_step { x } \
    :: d_step { \
           deaths[me] > 0 -> \
           deaths[me]--; \
           if \
           :: lock[m] == me + 1 -> lock[m] = 0 \
           :: else \
           fi; \
           DROP_PUBLISHER; \
           pending = pending - held; held = 0; \
           FORGET; \
           m = (me >= SAMPLER -> 0 : me) \
       } -> goto dead \
    fi

/*
 * m is the slot that is worked on; op, own_bytes: struct quota_adder.
 * lw, ln, b: a reading of a register: its word, which is two here, and its sum;
 * rs, rk: settled_at_sample and sampled; ticket, and ring: the rings before
 * the sample in rk began.  The sampler has the sum and the kernel's answer, the
 * doorbell and what it truly was in them.
 * ok: a swap worked; held: reserved, in no lease, and not yet written or given
 * back; extra: what of it is to be one.
 */
#define LOCALS \
    byte lw, ln, b, rs, rk, ticket, ring, held, extra; \
    bit ok; \
    byte op[SCOPES], own_bytes[SCOPES]
#define FORGET_ADDER \
    op[0] = 0; own_bytes[0] = 0; op[VOLUME] = 0; own_bytes[VOLUME] = 0
#define FORGET \
    lw = 0; ln = 0; b = 0; rs = 0; rk = 0; ticket = 0; ring = 0; ok = 0; \
    extra = 0; FORGET_ADDER

/* quota_register_read.  (a): at the instant of its last load, in ok, a reading
 * of all that take_sums() reads (IS_READING) is not less than the truth, and
 * not a contradiction. */
#define ASSERT_ENOUGH(is_reading) \
    if \
    :: (is_reading) && ok -> \
        assert(rs <= b && truth + pending + rs <= rk + b) \
    :: else \
    fi
#ifdef MUT_NO_RECHECK
#define IS_STILL(s) true
#else
#define IS_STILL(s) (lw == last_writer[s] && ln == last_operation[s])
#endif

inline register_read(s, is_reading)
{
    do
    :: STEP( lw = last_writer[s]; ln = last_operation[s]; b = 0;
             ok = (lw == 0); ASSERT_ENOUGH(is_reading) );
       if
       :: ok -> ok = 0; break
       :: else
       fi;
       STEP( b = value[ENTRY(lw - 1, s, ln)] );
       STEP( ok = IS_STILL(s); ASSERT_ENOUGH(is_reading) );
       if
       :: ok -> ok = 0; break
       :: else
       fi
    od
}

#ifdef MUT_STORE_FOR_SWAP
#define HAS_MOVED(s) false
#else
#define HAS_MOVED(s) (lw != last_writer[s] || ln != last_operation[s])
#endif

inline swap(s, delta)
{
    STEP(
        if
        :: HAS_MOVED(s) -> ok = 0
        :: else ->
            last_writer[s] = m + 1;
            last_operation[s] = op[s] + 1;
            op[s] = op[s] + 1;
            own_bytes[s] = own_bytes[s] + delta;
            ok = 1;
            if
            :: s == TENANT ->
                held = held + delta;
                pending = pending + delta;
                /* (a) */
                assert(truth + pending <= LIMIT)
            :: else
            fi
        fi;
        b = 0 );
}

inline help(s)
{
    if
    :: lw != 0 && lw != m + 1 ->
        STEP(
            if
            :: done[(lw - 1) * SCOPES + s] < ln ->
                done[(lw - 1) * SCOPES + s] = ln
            :: else
            fi )
    :: else
    fi
}

/* quota_register_try_add; ok: whether it added */
inline register_try_add(s, delta)
{
    /* [prepare] */
#ifdef COARSE
    STEP( own[ENTRY(m, s, op[s] + 1)] = own_bytes[s] + delta;
          value[ENTRY(m, s, op[s] + 1)] = b + delta );
#else
    STEP( own[ENTRY(m, s, op[s] + 1)] = own_bytes[s] + delta );
    STEP( value[ENTRY(m, s, op[s] + 1)] = b + delta );
#endif
#if !defined(MUT_NO_HELP) && !defined(MUT_HELP_AFTER)
    /* [help] */
    help(s);
#endif
    /* [add] */
    swap(s, delta);
#ifdef MUT_HELP_AFTER
    if
    :: ok -> help(s)
    :: else
    fi;
#endif
    lw = 0; ln = 0
}

#ifdef MUT_DONE_ALONE
#define MUT_IGNORES_REGISTER && false
#else
#define MUT_IGNORES_REGISTER
#endif

/* quota_adder_init, of one scope */
inline adder_init_scope(s)
{
#ifdef MUT_DONE_FIRST
    STEP( op[s] = done[m * SCOPES + s] );
    STEP(
        if
        :: last_writer[s] == m + 1 && last_operation[s] > op[s] ->
            op[s] = last_operation[s]
        :: else
        fi;
        own_bytes[s] = (op[s] == 0 -> 0 : own[ENTRY(m, s, op[s])]) );
#else
    /* [audit] */
    STEP( lw = last_writer[s]; ln = last_operation[s] );
    STEP(
        op[s] = done[m * SCOPES + s];
        if
        :: lw == m + 1 && ln > op[s] MUT_IGNORES_REGISTER -> op[s] = ln
        :: else
        fi;
        own_bytes[s] = (op[s] == 0 -> 0 : own[ENTRY(m, s, op[s])]);
        lw = 0; ln = 0 );
#endif
}

inline adder_init()
{
    adder_init_scope(TENANT);
#if SCOPES > 1
    adder_init_scope(VOLUME);
#endif
}

#if LEASE
/* quota_lease_recall; its result in extra */
inline recall(w)
{
    /* [recall] */
#ifdef MUT_RECALL_IN_TWO
    STEP( extra = lease[w] );
    STEP( recalled[w] = recalled[w] + extra; pending = pending - lease[w];
          lease[w] = 0; extra = recalled[w] )
#else
    STEP( recalled[w] = recalled[w] + lease[w]; pending = pending - lease[w];
          lease[w] = 0; extra = recalled[w] )
#endif
}
#endif

/* writer.c, audit(): the caller holds the lock of slot m. */
inline audit()
{
    adder_init();
#ifdef MUT_AUDIT_FREES_FIRST
    STEP( owner[m] = 0 );
#endif
#ifdef MUT_AUDIT_SETTLES_FIRST
    STEP( settled[m] = own_bytes[VOLUME] );
#endif
#ifdef SAME_AUDIT_SETTLES_FIRST
    STEP( settled[m] = own_bytes[TENANT] );
#endif
#if SCOPES > 1
#ifndef MUT_NO_CORRECTION
    /* [correct] */
    do
    :: own_bytes[VOLUME] != own_bytes[TENANT] ->
        register_read(VOLUME, false);
        register_try_add(VOLUME, own_bytes[TENANT] - own_bytes[VOLUME])
    :: else -> break
    od;
#endif
#endif
    /* [settle] */
#if !defined(MUT_AUDIT_SETTLES_FIRST) && !defined(SAME_AUDIT_SETTLES_FIRST)
#ifdef MUT_AUDIT_KEEPS_LEASE
    STEP( settled[m] = own_bytes[TENANT] );
#else
#if LEASE
    recall(m);
#endif
    STEP( settled[m] = own_bytes[TENANT] - extra; extra = 0 );
#endif
#endif
    /* [free] */
    STEP( owner[m] = 0; ok = 0; FORGET_ADDER );
}

/* ---- a writer ------------------------------------------------------------ */

/* reading.c, take_sums() */
inline tenant_reading()
{
#if defined(MUT_REGISTER_FIRST)
    register_read(TENANT, false);
    STEP( rs = settled_at_sample );
    STEP( rk = sampled; ok = 1; ASSERT_ENOUGH(true); ok = 0 )
#elif defined(MUT_SAMPLED_FIRST)
    STEP( rk = sampled );
    STEP( rs = settled_at_sample );
    register_read(TENANT, true)
#else
    STEP( rs = settled_at_sample );
    STEP( rk = sampled );
    register_read(TENANT, true)
#endif
}

/* account.c, give_back() */
inline give_back(s, amount)
{
    do
    :: register_read(s, false);
       register_try_add(s, -(amount));
       if
       :: ok -> ok = 0; break
       :: else
       fi
    od
}

/* account.c, reserve() of the tenant; in ok whether it was admitted */
inline reserve_tenant()
{
    do
    :: tenant_reading();
       if
       :: rk + b - rs + AMOUNT > LIMIT ->
           rs = 0; rk = 0; b = 0; lw = 0; ln = 0; ok = 0; break
       :: else
       fi;
       rs = 0; rk = 0;
       register_try_add(TENANT, AMOUNT);
       if
       :: ok -> break
       :: else
       fi
    od
}

/* account.c, reserve() of a volume without a limit */
inline reserve_volume()
{
    do
    :: register_read(VOLUME, false);
       register_try_add(VOLUME, AMOUNT);
       if
       :: ok -> ok = 0; break
       :: else
       fi
    od
}

/* account.c, reserve_both() */
inline reserve()
{
#if SCOPES == 1
    reserve_tenant()
#elif defined(MUT_TENANT_FIRST)
    reserve_tenant();
    if
    :: ok -> reserve_volume(); ok = 1
    :: else
    fi
#else
    reserve_volume();
    reserve_tenant();
    if
    :: ok
    :: else -> give_back(VOLUME, AMOUNT)
    fi
#endif
}

/* account.c, reserve_more(); in ok whether it was admitted */
inline reserve_more()
{
#if LEASE
    /* [spend] */
#ifdef MUT_SPEND_IN_TWO
    STEP( lw = lease[m]; ln = recalled[m] );
    STEP(
        if
        :: lw > 0 ->
            pending = pending - lease[m] + lw; lease[m] = lw - 1;
            recalled[m] = ln; held++; ok = 1
        :: else -> ok = 0
        fi;
        lw = 0; ln = 0 );
#else
    STEP(
        if
        :: lease[m] > 0 -> lease[m]--; held++; ok = 1
        :: else -> ok = 0
        fi );
#endif
    if
    :: ok
    :: else ->
        /* How much room is plenty is left open. */
        if
        :: extra = LEASE
        :: extra = 0
        fi;
        do
        :: reserve();
           if
           :: ok || extra == 0 -> break
           :: else -> extra = 0
           fi
        od;
        if
        :: extra > 0 ->
            /* [lease] */
            STEP( lease[m] = lease[m] + extra; held = held - extra; extra = 0 )
        :: else
        fi
    fi
#else
    reserve()
#endif
}

inline give_back_both()
{
#if SCOPES > 1 && defined(MUT_RETURN_VOLUME_FIRST)
    give_back(VOLUME, 1);
    give_back(TENANT, 1);
#else
    give_back(TENANT, 1);
#if SCOPES > 1
    give_back(VOLUME, 1);
#endif
#endif
}

/* quota_bytes_settle, after the write that may have allocated */
inline write_and_settle()
{
    if
    :: STEP( pending--; held--; truth++ )
    :: STEP( pending--; held-- )
    fi;
    STEP( settled[m] = settled[m] + 1 )
}

proctype writer(byte me)
{
    byte m = me;
    LOCALS;
#if RINGS
    byte rings;
#endif

attached:
    do
    :: d_step { requests > 0 -> requests-- };
#if RINGS
       rings = RINGS;
       do
       :: reserve_more();
          if
          :: ok -> break
          :: else
          fi;
          /* quota_admission_poll; [ring], [answered], [may fit] */
          if
          :: ticket != 0 ->
#ifndef MUT_NO_MAY_FIT
              STEP( rk = sampled; ring = sampled_ring );
#else
              d_step { rk = sampled; ring = sampled_ring };
#endif
              if
#ifndef MUT_NO_MAY_FIT
              :: rk + 1 <= LIMIT
#endif
              :: else ->
                  /* (b) */
                  assert(ring >= ticket && rk + 1 > LIMIT);
                  d_step { rk = 0; ring = 0; ticket = 0 };
                  break
              fi;
              d_step { rk = 0; ring = 0; ticket = 0 }
          :: else
          fi;
          if
          :: rings == 0 -> break        /* out of patience */
          :: else -> rings--
          fi;
          STEP( doorbell++; ticket = doorbell );
#ifdef MUT_ANSWERED_UNREAD
          skip
#else
          STEP( answered >= ticket )
#endif
       od;
       ticket = 0;
       rings = 0;
#else
       reserve_more();
#endif
       if
       :: ok ->
           ok = 0;
           if
           :: give_back_both()
#ifdef MUT_SETTLE_EARLY
           :: STEP( settled[m] = settled[m] + 1 );
              STEP( pending--; held--; truth++ )
#else
           :: write_and_settle()
#endif
           fi
       :: else
       fi
    :: STEP( discards > 0 && truth > 0 -> discards--; truth-- )
    :: requests == 0 -> break
    od;
    goto ended;

dead:
    /* The slot may be given to another process at once: quota_writer_attach */
    if
    :: d_step { restarts > 0 -> restarts-- }
    :: goto ended
    fi;
    /* [lock] */
    STEP( lock[m] == 0 -> lock[m] = me + 1 );
    if
    :: owner[m] -> audit()
    :: else
    fi;
    adder_init();
    STEP( owner[m] = 1 );
    goto attached;

ended:
    skip;
    d_step {
        living--;
        FORGET
    }
}

/* ---- the sampler, which audits ------------------------------------------- */

#if RINGS
#define SAMPLED_RING sampled_ring = ring
#else
#define SAMPLED_RING skip
#endif

/* publish(), and the answer */
inline publish()
{
#if RINGS && defined(MUT_ANSWER_FIRST)
    STEP( answered = ticket );
#endif
    /* [publish] */
#ifdef MUT_PUBLISH_ORDER
    STEP( settled_at_sample = rs );
#endif
    STEP( sampled = rk; SAMPLED_RING );
#ifndef MUT_PUBLISH_ORDER
    STEP( settled_at_sample = rs );
#endif
#if RINGS && !defined(MUT_ANSWER_FIRST)
    /* [answer] */
    STEP( answered = ticket );
#endif
    skip
}

/* quota_sample_begin; the kernel; quota_sample_publish */
inline sample()
{
#if RINGS
#ifdef MUT_DOORBELL_LATE
    STEP( ring = doorbell );
#else
    STEP( ring = doorbell; ticket = doorbell );
#endif
#endif
#ifdef MUT_KERNEL_FIRST
    STEP( rk = truth );
#endif
    b = 0;
    do
    :: b < WRITERS ->
#if LEASE
        recall(b);
#endif
        STEP( rs = rs + extra + settled[b]; extra = 0; b++ )
    :: else -> b = 0; break
    od;
#ifndef MUT_KERNEL_FIRST
    STEP( rk = truth );
#endif
#if RINGS && defined(MUT_DOORBELL_LATE)
    STEP( ticket = doorbell );
#endif
#if SAMPLERS > 1
    ok = 1;
#ifndef MUT_SAMPLE_UNLOCKED
    /* [lock] */
    STEP(
        if
        :: publisher == 0 -> publisher = me + 1
        :: else -> ok = 0
        fi );
#endif
#ifndef MUT_SAMPLE_UNCOMPARED
    /* [compare] An older sample is not put in the place of a newer one. */
    if
    :: ok -> STEP( ok = (rs >= settled_at_sample) )
    :: else
    fi;
#endif
    if
    :: ok -> publish()
    :: else
    fi;
    STEP( ok = 0; DROP_PUBLISHER );
#else
    publish();
#endif
    d_step { rs = 0; rk = 0; ticket = 0; ring = 0 }
}
#ifdef MUT_AUDIT_ALIVE
#define IS_DEAD(m) true
#else
#define IS_DEAD(m) (lock[m] == me + 1)
#endif

/* quota_writer_audit */
inline audit_all()
{
    m = 0;
    do
    :: m < WRITERS ->
        if
        :: owner[m] ->
            /* [lock] */
            STEP( if
                  :: lock[m] == 0 -> lock[m] = me + 1
                  :: else
                  fi );
            if
            :: IS_DEAD(m) && owner[m] -> audit()
            :: else
            fi;
            STEP( if
                  :: lock[m] == me + 1 -> lock[m] = 0
                  :: else
                  fi )
        :: else
        fi;
        m++
    :: else -> m = 0; break
    od
}

/* What adder_init finds of slot n when nobody adds any more. */
#define LAST_OWN(n, s) \
    own[ENTRY(n, s, (last_writer[s] == n + 1 -> last_operation[s] \
                                             : done[(n) * SCOPES + s]))]

proctype sampler()
{
    byte me = SAMPLER, m, rounds = ROUNDS;
    LOCALS;

again:
    do
    :: rounds > 0 && living > 0 -> rounds--; audit_all(); sample()
#if RINGS
    :: doorbell != answered && living > 0 -> audit_all(); sample()
#endif
    :: living == 0 -> break
    od;
    goto last;

dead:
    /* Started again, it knows nothing of the round that it was in. */
    if
    :: living > 0 -> rounds++; goto again
    :: else
    fi;

last:
    rounds = 0;
    audit_all();
    sample();
    d_step {
        /* (c) */
        assert(sampled == truth);
        assert(REGISTER(TENANT) == settled_at_sample);
        assert(REGISTER(VOLUME) == settled_at_sample);
        m = 0;
        do
        :: m < WRITERS ->
            /* (c), and (d): nothing to correct, and nothing to settle */
            assert(LAST_OWN(m, TENANT) == settled[m] + RECALLED(m));
            assert(LAST_OWN(m, VOLUME) == settled[m] + RECALLED(m));
            m++
        :: else -> break
        od;
        m = 0
    }
}

#if SAMPLERS > 1
/* Who takes a ledger's first sample, while its sampler has begun already. */
proctype other_sampler()
{
    byte me = SAMPLER + 1, m;
    LOCALS;

    sample();
dead:
    living--
}
#endif

/* (a), at any instant.  The volume's sum is never the smaller. */
active proctype monitor()
{
end:
    d_step {
        settled_at_sample > REGISTER(TENANT) ||
        truth + pending + settled_at_sample > sampled + REGISTER(TENANT) ||
        REGISTER(VOLUME) < REGISTER(TENANT) ->
        assert(settled_at_sample <= REGISTER(TENANT));
        assert(truth + pending + settled_at_sample <=
               sampled + REGISTER(TENANT));
        assert(REGISTER(VOLUME) >= REGISTER(TENANT))
    }
}

init
{
    byte n;

    atomic {
        n = 0;
        do
        :: n < WRITERS ->
            owner[n] = 1;
            lock[n] = n + 1;
            run writer(n);
            n++
        :: else -> break
        od;
        deaths[0] = DEATHS0;
        deaths[1] = DEATHS1;
        deaths[SAMPLER] = DEATHS_SAMPLER;
        run sampler();
#if SAMPLERS > 1
        deaths[SAMPLER + 1] = DEATHS_SAMPLER;
        living++;
        run other_sampler();
#endif
        n = 0
    }
}
