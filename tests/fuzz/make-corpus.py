#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""make-corpus.py [DIRECTORY] - writes the inputs that the fuzz targets begin
with, and that the quick suite replays, into DIRECTORY/TARGET (default: corpus
beside this file).  The formats are told in fuzz-TARGET.c; the same inputs come out
each time."""
import os
import random
import re
import struct
import sys

# Regions of fuzz_take_word: (number, first byte)
HEADER, POLICY, SAMPLE, CELLS, VOLUME0, WRITERS0, VOLUME1, WRITERS1, ANY = \
    range(9)
# Words of the header, and what its second says.
VERSION, FEATURES, CHECKSUM_WORD = 1, 25, 63
MAJOR, FILE_BYTES = 4, 1052672
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


def guest(n, what, amount=0, request=0):
    return bytes([64 * n + 14, 16 * request + what, amount])


def attach(n, name):
    return bytes([64 * n + 14, name])


def chunks(n):
    return 4 * n


DETACH, DIE, RESERVE, POLL, SETTLE, RETURN = 0, 1, 2, 4, 6, 8
ENTER, LEAVE, CREDIT, QUEUE, QUEUE_POLL, GO = 9, 10, 11, 12, 14, 15

LIFE = [attach(0, 0), attach(1, 1), guest(0, RESERVE, chunks(3)),
        guest(1, RESERVE, chunks(2)), guest(0, SETTLE, chunks(2)), sample(3),
        guest(1, RETURN, chunks(1)), guest(0, POLL, chunks(40)), sample(4),
        guest(0, POLL, chunks(40)), guest(1, DIE), audit(), sample(4),
        guest(0, DETACH)]
REQUESTS = [attach(0, 0), attach(1, 0)] + [
    guest(n, QUEUE, 40 + n, i) for i in range(4) for n in range(2)] + [
    clock(30000000), guest(0, QUEUE_POLL, 0, 1), guest(1, CREDIT, 3),
    state(60, 0, 50, 0x13, 0, 0, 0x0b), guest(0, QUEUE_POLL, 0, 2),
    guest(1, GO, 0, 3), clock(100000000), guest(1, QUEUE_POLL, 0, 0)]
EPOCHS = [attach(0, 1), guest(0, ENTER), host(5, 1), host(6, 1),
          guest(0, LEAVE), host(6, 1), host(7, 1), host(5, 2), guest(0, ENTER),
          host(6, 1), guest(0, DIE), host(6, 1), audit(), host(8, 0, 0)]


def open_inputs():
    yield "sound", bytes([0])
    yield "empty", bytes([CUT, 0, 0, 0])
    yield "not-a-ledger", bytes([RAW]) + b"hello\n"
    yield "magic-alone", bytes([RAW]) + b"QUOTALVM"
    for length in (1, 7, 511, 512, 513, 4095, FILE_BYTES - 1, FILE_BYTES,
                   FILE_BYTES + 1):
        yield f"length-{length}", bytes([CUT]) + struct.pack("<I", length)[:3]
    for word in range(CHECKSUM_WORD + 1):
        yield f"header-{word}", bytes([CHECKSUM]) + patch(HEADER, word, ONES)
    yield "bad-checksum", bytes([0]) + patch(HEADER, CHECKSUM_WORD, FLIP, 0)
    yield "other-major", bytes([CHECKSUM]) + patch(HEADER, VERSION, FLIP, 0)
    yield "newer-minor", (bytes([CHECKSUM]) + patch(HEADER, VERSION, FLIP, 16))
    yield "short-by-its-header", (bytes([CHECKSUM]) +
                                  patch(HEADER, VERSION, WORD, MAJOR))
    yield "short-and-says-so", (bytes([CHECKSUM | CUT]) + bytes([0, 16, 0]) +
                                patch(HEADER, VERSION, WORD,
                                      MAJOR | 4096 << 32) +
                                patch(SAMPLE, 24, SMALL, 255))
    yield "longer-by-its-header", (bytes([CHECKSUM | CUT]) +
                                   struct.pack("<I", FILE_BYTES + 8)[:3] +
                                   patch(HEADER, VERSION, WORD,
                                         MAJOR | (FILE_BYTES + 8) << 32))
    for kind in range(3):
        yield f"feature-{kind}", (bytes([CHECKSUM]) +
                                  patch(HEADER, FEATURES + kind, FLIP, 5))
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
    for name, ops in (("life", LIFE), ("requests", REQUESTS),
                      ("epochs", EPOCHS)):
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
         guest(0, QUEUE, 199), guest(0, QUEUE_POLL)],
        [patch(POLICY, 16, WORD, 1), patch(POLICY, 17, MAX),
         patch(POLICY, 18, SMALL, 255)])
    numbers = random.Random(1)
    for n in range(24):
        yield f"random-{n}", ops_input(
            [attach(i, i) for i in range(4)] +
            [bytes(numbers.choices(range(256), k=200))])


DEMAND = 17                     # a word of SAMPLE


def sampled(milliseconds, chunks_used, growth=0):
    return struct.pack("<HHB", milliseconds, chunks_used, growth)


def decide_inputs():
    def decide_input(samples, patches=(), hostile=()):
        return ops_input(samples, patches, hostile)[1:]     # no flags

    filling = [sampled(50, 200 * n) for n in range(20)]
    idle = [sampled(1000, 1)] * 8
    yield "filling", decide_input(filling)
    yield "idle", decide_input(idle)
    # Growth that fails in each way, and one that takes long.
    for outcome in range(7):
        yield f"outcome-{outcome}", decide_input(
            [sampled(300, 700 + 100 * n, outcome) for n in range(20)])
    yield "slow-growth", decide_input(
        filling + [sampled(30000, 4000, 255), sampled(1, 4000, 0)] + filling)
    # Words that decide something, made absurd before and in between.
    for region, word in ((POLICY, 0), (POLICY, 1), (POLICY, 2), (POLICY, 3),
                         (POLICY, 4), (POLICY, 5), (SAMPLE, 0), (SAMPLE, 1),
                         (SAMPLE, 3), (SAMPLE, 5), (SAMPLE, 8), (SAMPLE, DEMAND),
                         (SAMPLE, 24)):
        for name, samples in (("filling", filling), ("idle", idle)):
            yield f"{name}-{region}-{word}", decide_input(
                samples, [patch(region, word, ONES)],
                [(5 * n, patch(region, word, *((ZERO,), (MAX,), (ONES,),
                                               (CHUNKS, 9))[n % 4]))
                 for n in range(40)])
    numbers = random.Random(2)
    for n in range(16):
        yield f"random-{n}", bytes([0, 0] + numbers.choices(range(256), k=300))


HERE = os.path.dirname(os.path.abspath(__file__))
TEXT, ON_DEVICE, LABEL_CRC, HEADER_CRC, TEXT_CRC = 1, 2, 4, 8, 16
LABEL, AREA_1, AREA_2, IN_TEXT, ANYWHERE = range(5)


def lvs_of(name):
    """The LVs of a text in tests/lvm, each as short as it can be."""
    with open(os.path.join(HERE, "..", "lvm", name)) as file:
        text = re.sub(r"[ \t]*#.*", "", file.read())
    text = re.sub(r"\n\t*(creation_\w+|flags|discards|device_id) = .*", "", text)
    return re.findall(r"^\t\t([^\s]+) (\{\n.*?^\t\t\})", text.split(
        "logical_volumes")[1], re.M | re.S)


def group(lvs):
    body = "".join(f"{name} {lv}\n" for name, lv in lvs)
    return ("vg0 { id = \"g-1\" seqno = 7 extent_size = 8192 physical_volumes {"
            " pv0 { id = \"p-0\" pe_count = 2047 } pv1 { id = \"p-1\" pe_count = 2047"
            " } } logical_volumes {\n" + re.sub(r"[ \t\n]+", " ", body) +
            "} }").encode()


def metadata_inputs():
    for name in ("parts", "odd-kinds", "unknown-kinds", "odd-tags"):
        by_tenant = {}
        lvs = lvs_of(name + ".vg")
        for lv, text in lvs:
            by_tenant.setdefault(re.sub(r"[._].*", "", lv), []).append((lv, text))
        # what an LV lies on may be called otherwise
        others = [lv for lv in lvs if "." not in lv[0]]
        for tenant, own in by_tenant.items():
            if "." in own[0][0]:
                text = group((own[:9] if tenant == "acme" else own) + [
                    lv for lv in others
                    if any(f'"{lv[0]}"' in other for _, other in own + others)])
                yield f"text-{name}-{tenant}", bytes([TEXT]) + text[:3999]
    yield "text-on-device", bytes([ON_DEVICE]) + group(lvs_of("two-tenants.vg"))[:3999]
    yield "text-empty", bytes([TEXT])
    yield "text-other-group", bytes([TEXT]) + b"vg1 { id = \"g\" }"
    yield "text-nested", bytes([TEXT]) + b"a {" * 1300
    yield "text-nested-in-strings", bytes([TEXT]) + b'a { b = "}" ' * 300
    yield "text-nested-by-words", bytes([TEXT]) + b'a { b"} = 1 ' * 300
    yield "text-nested-by-path", bytes([TEXT]) + b"a/" * 1900 + b"b = 1"
    yield "text-twice", bytes([TEXT]) + group([("a.a", "{ }")] * 2)
    # each LV names the next ten times: as many ways down as 10 to the 12th
    yield "text-many-ways", bytes([TEXT]) + group([
        (f"n{i}", '{ id = "x" status = ["VISIBLE"] segment1 { extent_count = 1 type = '
         f'"striped" stripes = [{", ".join([chr(34) + "n" + str(i + 1) + chr(34)] * 10)}'
         "] } }") for i in range(13)])
    yield "device-sound", bytes([0])
    for place, places in ((LABEL, (0, 8, 20, 24, 32, 104, 112, 120)),
                          (AREA_1, (4, 20, 24, 32, 40, 48, 60)),
                          (AREA_2, (4, 20, 24, 32, 40, 48, 60))):
        for offset in places:
            at = bytes([place]) + struct.pack("<H", offset)
            flags = bytes([LABEL_CRC | HEADER_CRC | TEXT_CRC])
            yield f"device-{place}-{offset}-most", flags + at + bytes([3, 0, 0])
            yield f"device-{place}-{offset}-last", flags + at + bytes([4, 0, 0])
            yield f"device-{place}-{offset}-none", flags + at + bytes([2]) + bytes(8)
            yield f"device-{place}-{offset}-crc", bytes([0]) + at + bytes([1])
    for offset in range(0, 400, 16):
        yield f"device-text-{offset}", bytes([HEADER_CRC | TEXT_CRC, IN_TEXT]) + \
            struct.pack("<H", offset) + bytes([0, ord("0")])


def status_inputs():
    for n, line in enumerate((
            "1 112/1024 160/1024 - rw no_discard_passdown error_if_no_space - 256 ",
            "1 117/1024 1024/1024 - out_of_data_space no_discard_passdown "
            "error_if_no_space - 256 ",
            "1 1024/1024 7/1024 - ro no_discard_passdown error_if_no_space "
            "needs_check 256 ",
            "18446744073709551615 1/2 4611686018427387904/9223372036854775807 - rw x",
            "Fail", "Error", "20480 20479", "0 -", "-", "",
            "1 112/1024 -160/-1 - rw x", "1 112/1024 160/+1024 - rw x",
            "1 112/1024 160/99999999999999999999 - rw x",
            "36028797018963968 1", "01 002/0003 04/05 - rw x")):
        yield f"line-{n}", line.encode()


def main():
    top = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "corpus")
    for target, inputs in (("open", open_inputs()), ("ops", ops_inputs()),
                           ("decide", decide_inputs()),
                           ("metadata", metadata_inputs()),
                           ("status", status_inputs())):
        directory = os.path.join(top, target)
        os.makedirs(directory, exist_ok=True)
        for name, data in inputs:
            with open(os.path.join(directory, name), "wb") as file:
                file.write(data)


if __name__ == "__main__":
    main()
