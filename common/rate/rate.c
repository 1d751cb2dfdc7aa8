/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rate.c: throughput of a tenant over all its writers, and of a volume, by the
 * generic cell rate algorithm (ITU-T I.371, annex A; the virtual scheduling
 * form).
 *
 * A cell is one word, the theoretical arrival time (TAT): when the next request
 * would arrive if all had arrived at exactly the sustained rate.  A request
 * that takes from the cell advances the TAT by its cost, and is admitted while
 * the TAT is not further ahead of the clock than the tolerance.  In any window
 * no more passes than rate x window + rate x tolerance + what was taken last.
 *
 * Each rate has two cells: the sustained one tolerates a burst of max for
 * max_length, and the peak one keeps a burst at max.  (QEMU's throttle treats
 * max_length 1 as a bucket of max that may be emptied at once; here a burst
 * never exceeds max within a second either.)
 *
 * Fairness.  Plain arrival order favours the volume with the most requests.  So
 * the tolerance of the tenant's cell depends on the volume: the one that has
 * been served most (relative to its weight) gets the least tolerance, and the
 * others get more, the further they are behind.  A volume that is behind can
 * take earlier, and the one that leads finds the cell full.  This is start-time
 * fair queueing (P. Goyal, H. M. Vin, H. Cheng, SIGCOMM 1996) without a queue:
 * the virtual time of the system is the lead, the largest service of any
 * volume, and a volume that was idle joins at most BEHIND_MAX_NS behind it.  No
 * volume needs to know which others wait: one without requests takes nothing,
 * and the others use the whole cap.
 */
#include "rate.h"

#define NS_PER_SEC UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

/*
 * Tolerance of the volume that leads, and how much more the one furthest behind
 * gets.  Long enough that a writer with one request at a time loses no
 * throughput between requests, short enough to stay under 1 % of a window of
 * five seconds.
 */
#define TOLERANCE_NS (20 * NS_PER_MS)
#define TOLERANCE_BEHIND_NS (10 * NS_PER_MS)

/*
 * A writer that waited and was woken late has not been idle: the rate continues
 * from when the writer should have been woken, up to this long ago.  (With the
 * tolerances and TAKE_MAX_NS this adds up to the 100 ms that QEMU's throttle,
 * in throttle_compute_wait, lets pass at once without a burst.)
 */
#define LATE_MAX_NS (60 * NS_PER_MS)

/* A volume counts as at most this far behind the lead. */
#define BEHIND_MAX_NS (20 * NS_PER_MS)

/*
 * How much is taken at once, in time at the rate, or at its burst.  The maximum
 * keeps a large request from blocking the others while it takes its cost.  The
 * minimum keeps small requests off the shared cache line; the rest is credit
 * for the next requests, in the writer's memory.
 */
#define TAKE_MAX_NS (10 * NS_PER_MS)
#define TAKE_MIN_NS (NS_PER_MS / 4)

bool quota_rate_is_bytes(int kind)
{
    return kind <= QUOTA_RATE_WRITE_BYTES;
}

uint32_t quota_rate_mask(uint32_t armed, bool is_write)
{
    const uint32_t of_writes =
        1u << QUOTA_RATE_TOTAL_BYTES | 1u << QUOTA_RATE_WRITE_BYTES |
        1u << QUOTA_RATE_TOTAL_IOPS | 1u << QUOTA_RATE_WRITE_IOPS;
    const uint32_t of_reads =
        1u << QUOTA_RATE_TOTAL_BYTES | 1u << QUOTA_RATE_READ_BYTES |
        1u << QUOTA_RATE_TOTAL_IOPS | 1u << QUOTA_RATE_READ_IOPS;

    return armed & (is_write ? of_writes : of_reads);
}

/* units / rate in nanoseconds, rounded up: never faster than the rate. */
static uint64_t cost_ns(uint64_t units, uint64_t per_sec)
{
    unsigned __int128 ns;

    if (units <= (UINT64_MAX - per_sec) / NS_PER_SEC) {
        return (units * NS_PER_SEC + per_sec - 1) / per_sec;
    }
    ns = ((unsigned __int128)units * NS_PER_SEC + per_sec - 1) / per_sec;
    return ns > INT64_MAX ? INT64_MAX : (uint64_t)ns;
}

/* How many units a rate lets pass in @ns; at least 1. */
static uint64_t units_in(uint64_t ns, uint64_t per_sec)
{
    uint64_t units = (uint64_t)((unsigned __int128)per_sec * ns / NS_PER_SEC);

    return units ? units : 1;
}

/* ---- cells --------------------------------------------------------------- */

/* When a cell's next request is due: not before @since_ns.  In an emptied cell
 * time begins with the first request's own clock, so that the process that
 * changed the rates need not use the same one. */
static uint64_t due_ns(uint64_t tat_ns, uint64_t burst_ns, uint64_t since_ns)
{
    if (tat_ns >= QUOTA_TAT_EMPTY) {
        return quota_add_saturating(since_ns, burst_ns);
    }
    return tat_ns > since_ns ? tat_ns : since_ns;
}

enum move { MOVE_DONE, MOVE_DENIED, MOVE_AGAIN };

/*
 * Advance a cell by @cost if it is still as it was @before, and at most
 * @tolerance ahead of the clock; if denied, *@wait_ns is how long until it is.
 */
static enum move cell_move(quota_u64 *tat_ns, uint64_t before, uint64_t cost,
                           uint64_t burst_ns, uint64_t tolerance,
                           struct quota_time time, uint64_t *wait_ns)
{
    uint64_t limit = quota_add_saturating(time.now_ns, quota_add_saturating(
                                              burst_ns, tolerance));
    uint64_t due = due_ns(before, burst_ns, time.now_ns - time.late_ns);

    if (due > limit) {
        *wait_ns = due - limit;
        return MOVE_DENIED;
    }
    return quota_swap_if(tat_ns, &before, due > INT64_MAX - cost ?
                         INT64_MAX : due + cost) ? MOVE_DONE : MOVE_AGAIN;
}

/* Give @cost back, unless the cell was emptied since it was taken. */
static void cell_refund(quota_u64 *tat_ns, uint64_t cost)
{
    uint64_t before = quota_load(tat_ns);

    while (before < QUOTA_TAT_EMPTY && before >= cost &&
           !quota_swap_if(tat_ns, &before, before - cost)) {
        /* before was reloaded */
    }
}

/* One rate as it is armed now. */
struct rate {
    uint64_t per_sec, max_per_sec, burst_ns;
};

static struct rate read_rate(const struct quota_rates *rates, int kind)
{
    const struct quota_rate_words *words = &rates->words[kind];
    uint64_t length = quota_load(&words->max_length_sec);
    struct rate rate = {
        .per_sec = quota_load(&words->per_sec),
        .max_per_sec = quota_load(&words->max_per_sec),
    };

    if (rate.per_sec == 0) {
        rate.per_sec = UINT64_MAX / 2;  /* it was just disarmed */
    }
    if (rate.max_per_sec <= rate.per_sec) {
        rate.max_per_sec = 0;
    } else {
        length = length ? length : 1;
        rate.burst_ns = cost_ns(rate.max_per_sec > INT64_MAX / length ?
                                INT64_MAX : rate.max_per_sec * length,
                                rate.per_sec);
    }
    return rate;
}

/* A rate and its cell, as they were at one time. */
struct reading {
    uint64_t sustained_tat_ns, peak_tat_ns;
    struct rate rate;
};

/* Read the cell first: a process that changes a rate empties the cell
 * afterwards, so a swap at the old rate finds that the cell has changed. */
static struct reading read_cell(const struct quota_cell *cell,
                                const struct quota_rates *rates, int kind)
{
    struct reading reading = {
        .sustained_tat_ns = quota_load(&cell->sustained_tat_ns),
        .peak_tat_ns = quota_load(&cell->peak_tat_ns),
    };

    reading.rate = read_rate(rates, kind);
    return reading;
}

/* The peak cell first: it denies most often in a burst. */
static enum move take(struct quota_cell *cell, const struct reading *reading,
                      uint64_t units, uint64_t tolerance,
                      struct quota_time time, uint64_t *wait_ns)
{
    const struct rate *rate = &reading->rate;
    uint64_t peak_cost = 0;
    enum move move;

    if (rate->max_per_sec) {
        peak_cost = cost_ns(units, rate->max_per_sec);
        move = cell_move(&cell->peak_tat_ns, reading->peak_tat_ns, peak_cost,
                         0, tolerance, time, wait_ns);
        if (move != MOVE_DONE) {
            return move;
        }
    }
    move = cell_move(&cell->sustained_tat_ns, reading->sustained_tat_ns,
                     cost_ns(units, rate->per_sec), rate->burst_ns, tolerance,
                     time, wait_ns);
    if (move != MOVE_DONE && peak_cost) {
        cell_refund(&cell->peak_tat_ns, peak_cost);
    }
    return move;
}

/* ---- service of each volume ---------------------------------------------- */

/* A volume's service, at least that of a volume that was idle and joins; *lead:
 * the largest service of any volume. */
static uint64_t served_ns(const struct quota_writer *writer, int kind,
                          uint64_t *lead)
{
    uint64_t served = quota_load(&writer->volume->served_ns[kind]);

    *lead = quota_load(&writer->ledger->file->cells[kind].lead_ns);
    if (served < *lead && *lead - served > BEHIND_MAX_NS) {
        return *lead - BEHIND_MAX_NS;
    }
    return served;
}

static void serve(struct quota_writer *writer, int kind, uint64_t cost)
{
    quota_u64 *served = &writer->volume->served_ns[kind];
    uint64_t weight = quota_load(&writer->volume->weight);
    uint64_t before = quota_load(served);
    uint64_t lead, from, to;

    if (weight < QUOTA_WEIGHT_MIN || weight > QUOTA_WEIGHT_MAX) {
        weight = QUOTA_WEIGHT_DEFAULT;
    }
    cost = cost > INT64_MAX / QUOTA_WEIGHT_DEFAULT ? INT64_MAX
           : cost * QUOTA_WEIGHT_DEFAULT / weight;
    do {
        from = served_ns(writer, kind, &lead);
        from = from > before ? from : before;
        to = from > INT64_MAX - cost ? INT64_MAX : from + cost;
    } while (!quota_swap_if(served, &before, to));
    if (to > lead) {
        quota_raise(&writer->ledger->file->cells[kind].lead_ns, to);
    }
}

/* How much tolerance a writer gets beyond TOLERANCE_NS for being behind. */
static uint64_t tolerance_behind(const struct quota_writer *writer, int kind)
{
    uint64_t lead, served = served_ns(writer, kind, &lead);

    return served < lead ? TOLERANCE_BEHIND_NS * (lead - served) / BEHIND_MAX_NS
                         : 0;
}

uint64_t quota_cell_take(struct quota_writer *writer, enum quota_scope scope,
                         int kind, uint64_t wanted, struct quota_time time,
                         uint64_t *wait_ns)
{
    struct quota_meter meter = quota_meter_of(writer, scope);
    struct quota_cell *cell = &meter.cells[kind];
    uint64_t tolerance = TOLERANCE_NS, units;
    struct reading reading;
    enum move move;

    if (scope == QUOTA_OF_TENANT) {
        tolerance += tolerance_behind(writer, kind);
    }
    if (time.late_ns > LATE_MAX_NS) {
        time.late_ns = LATE_MAX_NS;
    }
    do {
        uint64_t fastest, most, least;

        reading = read_cell(cell, meter.rates, kind);
        fastest = reading.rate.max_per_sec ? reading.rate.max_per_sec
                                           : reading.rate.per_sec;
        most = units_in(TAKE_MAX_NS, fastest);
        least = units_in(TAKE_MIN_NS, reading.rate.per_sec);
        units = wanted > most ? most : wanted < least ? least : wanted;
        move = take(cell, &reading, units, tolerance, time, wait_ns);
    } while (move == MOVE_AGAIN);
    if (move == MOVE_DENIED) {
        return 0;
    }
    if (scope == QUOTA_OF_TENANT) {
        serve(writer, kind, cost_ns(units, reading.rate.per_sec));
    }
    return units;
}

void quota_cell_debit(struct quota_writer *writer, enum quota_scope scope,
                      int kind, uint64_t units, uint64_t now_ns)
{
    struct quota_meter meter = quota_meter_of(writer, scope);
    struct quota_cell *cell = &meter.cells[kind];
    struct quota_time time = { now_ns, 0 };
    struct reading reading;
    uint64_t wait_ns;

    do {
        reading = read_cell(cell, meter.rates, kind);
    } while (take(cell, &reading, units, UINT64_MAX, time, &wait_ns) !=
             MOVE_DONE);
    if (scope == QUOTA_OF_TENANT) {
        serve(writer, kind, cost_ns(units, reading.rate.per_sec));
    }
}

uint64_t quota_cell_ahead_ns(const struct quota_writer *writer,
                             enum quota_scope scope, int kind, uint64_t now_ns)
{
    struct quota_meter meter = quota_meter_of(writer, scope);
    struct rate rate = read_rate(meter.rates, kind);
    struct quota_cell *cell = &meter.cells[kind];
    uint64_t ahead = due_ns(quota_load(&cell->sustained_tat_ns), rate.burst_ns,
                            now_ns) - now_ns;
    uint64_t peak = !rate.max_per_sec ? 0 :
        due_ns(quota_load(&cell->peak_tat_ns), 0, now_ns) - now_ns;

    ahead = ahead > rate.burst_ns ? ahead - rate.burst_ns : 0;
    return ahead > peak ? ahead : peak;
}
