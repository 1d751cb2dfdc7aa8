#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""make-corpus.py [DIRECTORY] - writes the inputs that the fuzz targets begin
with, and that the quick suite replays, into DIRECTORY/open and DIRECTORY/ops
(default: corpus beside this file).  The formats are told in fuzz-open.c and
fuzz-ops.c; the same inputs come out each time."""
import os
import random
import struct
import sys

# Regions of fuzz_take_word: (number, first byte)
HEADER, POLICY, SAMPLE, CELLS, VOLUME0, WRITERS0, VOLUME1, WRITERS1, ANY = \
    range(9)
ZERO, ONES, MAX, SMALL, CHUNKS, REGISTER, FLIP, WORD = range(8)
CUT, CHECKSUM, RAW = 4, 2, 1


def patch(region, word, kind, *values):
    where = struct.pack("<I", word)[:3] if region == ANY else bytes([word])
    if kind == WORD:
        value = struct.pack("<Q", values[0])
    else:
        value = bytes(values)
    return bytes([region]) + where + bytes([kind]) + value


def ops_input(ops, patches=(), hostile=(), race=False):
    return (bytes([race, len(patches)]) + b"".join(patches) +
            bytes([len(hostile)]) +
            b"".join(bytes([delay]) + change for delay, change in hostile) +
            b"".join(ops))


# Operations: of the host, of the clock, of a guest (0 to 3).
def host(what, *rest):
    return bytes([what, *rest])


def sample(chunks, reason=1):
    return host(0, 0, 4 * chunks, reason)


def audit():
    return host(2, 0)


def state(limit, thick, grant, *rates):
    rates = list(rates) + [0] * (6 - len(rates))
    return host(3, 0, 4 * limit, 4 * thick, 4 * grant, *rates)


def volume(name, limit, weight, *rates):
    rates = list(rates) + [0] * (6 - len(rates))
    return host(4, name, 4 * limit, *rates, weight)


def clock(ns):
    return bytes([12]) + struct.pack("<I", ns)


def guest(n, what, amount=0, turn=0):
    return bytes([64 * n + 14, 16 * turn + what, amount])


def attach(n, name):
    return bytes([64 * n + 14, name])


def chunks(n):
    return 4 * n


DETACH, DIE, RESERVE, POLL, SETTLE, RETURN = 0, 1, 2, 4, 6, 8
ENTER, LEAVE, PAID, TAKE, LOOK, GO = 9, 10, 11, 12, 14, 15

LIFE = [attach(0, 0), attach(1, 1), guest(0, RESERVE, chunks(3)),
        guest(1, RESERVE, chunks(2)), guest(0, SETTLE, chunks(2)), sample(3),
        guest(1, RETURN, chunks(1)), guest(0, POLL, chunks(40)), sample(4),
        guest(0, POLL, chunks(40)), guest(1, DIE), audit(), sample(4),
        guest(0, DETACH)]
TURNS = [attach(0, 0), attach(1, 0)] + [
    guest(n, TAKE, 40 + n, turn) for turn in range(4) for n in range(2)] + [
    clock(30000000), guest(0, LOOK, 0, 1), guest(1, PAID, 3),
    state(60, 0, 50, 0x13, 0, 0, 0x0b), guest(0, LOOK, 0, 2),
    guest(1, GO, 0, 3), clock(100000000), guest(1, LOOK, 0, 0)]
EPOCHS = [attach(0, 1), guest(0, ENTER), host(5, 1), host(6, 1),
          guest(0, LEAVE), host(6, 1), host(7, 1), host(5, 2), guest(0, ENTER),
          host(6, 1), guest(0, DIE), host(6, 1), audit(), host(8, 0, 0)]


def open_inputs():
    yield "sound", bytes([0])
    yield "empty", bytes([CUT, 0, 0, 0])
    yield "not-a-ledger", bytes([RAW]) + b"hello\n"
    yield "magic-alone", bytes([RAW]) + b"QUOTALVM"
    for length in (1, 7, 207, 208, 209, 2047, 526335, 526336, 600000):
        yield f"length-{length}", bytes([CUT]) + struct.pack("<I", length)[:3]
    for word in range(26):
        yield f"header-{word}", bytes([CHECKSUM]) + patch(HEADER, word, ONES)
    yield "bad-checksum", bytes([0]) + patch(HEADER, 25, FLIP, 0)
    yield "other-major", bytes([CHECKSUM]) + patch(HEADER, 1, FLIP, 0)
    yield "short-by-its-header", (bytes([CHECKSUM]) +
                                  patch(HEADER, 1, WORD, 2))
    yield "short-and-says-so", (bytes([CHECKSUM | CUT]) + bytes([0, 16, 0]) +
                                patch(HEADER, 1, WORD, 2 | 208 << 32) +
                                patch(SAMPLE, 24, SMALL, 255))
    yield "name-without-end", bytes([0]) + b"".join(
        patch(VOLUME0, word, ONES) for word in range(16))
    for region, words in ((POLICY, (0, 2, 3, 6)), (SAMPLE, (0, 1, 3, 8, 24)),
                          (VOLUME0, (0, 15, 16, 17, 56, 64, 65)),
                          (WRITERS0, (0, 1, 2, 8, 10, 16, 24))):
        for word in words:
            for kind in (ONES, MAX, ZERO):
                yield (f"body-{region}-{word}-{kind}",
                       bytes([0]) + patch(region, word, kind))
    for writer, operation in ((1, 1), (1, 2), (0, 5), (255, 255)):
        yield (f"register-{writer}-{operation}", bytes([0]) +
               patch(SAMPLE, 8, REGISTER, writer, operation) +
               patch(VOLUME0, 56, REGISTER, writer, operation))


def ops_inputs():
    for name, ops in (("life", LIFE), ("turns", TURNS), ("epochs", EPOCHS)):
        yield name, ops_input(ops)
        # Words that decide something, made absurd before and in between.
        for region, word in ((POLICY, 0), (POLICY, 3), (POLICY, 9),
                             (POLICY, 16), (SAMPLE, 0), (SAMPLE, 1),
                             (SAMPLE, 8), (SAMPLE, 24), (CELLS, 0), (CELLS, 2),
                             (VOLUME0, 16), (VOLUME0, 56), (WRITERS0, 0),
                             (WRITERS0, 1), (WRITERS0, 2), (WRITERS0, 8),
                             (WRITERS0, 24)):
            yield (f"{name}-{region}-{word}",
                   ops_input(ops, [patch(region, word, ONES)],
                             [(20, patch(region, word, ZERO)),
                              (20, patch(region, word, MAX)),
                              (40, patch(region, word, FLIP, 0))]))
        yield f"{name}-raced", ops_input(
            ops, hostile=[(0, patch(SAMPLE, 8, REGISTER, 1, 1)),
                          (0, patch(SAMPLE, 8, REGISTER, 5, 1)),
                          (0, patch(SAMPLE, 1, ONES)),
                          (0, patch(CELLS, 0, ZERO)),
                          (0, patch(VOLUME0, 0, ONES)),
                          (0, patch(POLICY, 0, CHUNKS, 60)),
                          (0, patch(SAMPLE, 1, ZERO))], race=True)
    # A register that moves whenever somebody has read it.
    yield "register-moves", ops_input(
        [attach(0, 0)] + [guest(0, RESERVE, chunks(1))] * 4, hostile=[
            (3, patch(SAMPLE, 8, REGISTER, 1 + i % 2, i)) for i in range(60)])
    # The slowest rate and the longest burst.
    yield "slow-and-long", ops_input(
        [state(60, 0, 50, 0xff), attach(0, 0),
         guest(0, TAKE, 199), guest(0, LOOK)],
        [patch(POLICY, 16, WORD, 1), patch(POLICY, 17, MAX),
         patch(POLICY, 18, SMALL, 255)])
    numbers = random.Random(1)
    for n in range(24):
        yield f"random-{n}", ops_input(
            [attach(i, i) for i in range(4)] +
            [bytes(numbers.choices(range(256), k=200))])


def main():
    top = sys.argv[1] if len(sys.argv) > 1 else os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "corpus")
    for target, inputs in (("open", open_inputs()), ("ops", ops_inputs())):
        directory = os.path.join(top, target)
        os.makedirs(directory, exist_ok=True)
        for name, data in inputs:
            with open(os.path.join(directory, name), "wb") as file:
                file.write(data)


if __name__ == "__main__":
    main()
