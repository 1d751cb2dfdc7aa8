# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the demo tells its story: chapters, checked figures and tables.

Every figure that is printed with check() is compared with what it must be; the
story ends with a non-zero status as soon as one is off.
"""

import os
import sys
import time

BOLD, DIM, GREEN, RED, END = (
    ("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m")
    if sys.stdout.isatty() or os.environ.get("LAB_COLOR") == "1"
    else ("", "", "", "", ""))

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size(value):
    """Bytes for people, as quota-lvm prints them: two digits, rounded down."""
    unit = 0
    while unit + 1 < len(UNITS) and value >> (10 * (unit + 1)):
        unit += 1
    if unit == 0:
        return f"{value} B"
    hundredths = value * 100 >> (10 * unit)
    return f"{hundredths // 100}.{hundredths % 100:02d} {UNITS[unit]}"


class Story:
    def __init__(self):
        self.checks = 0
        self.chapters = 0
        self.begin = time.monotonic()

    def chapter(self, title):
        self.chapters += 1
        seconds = int(time.monotonic() - self.begin)
        print(f"\n{BOLD}{self.chapters}. {title}{END}"
              f"  {DIM}{seconds // 60}:{seconds % 60:02d}{END}", flush=True)

    def command(self, text):
        print(f"   {DIM}$ {text}{END}", flush=True)

    def check(self, what, holds, seen=""):
        """Print what must hold, and what was seen; give up if it does not."""
        mark = f"{GREEN}ok{END}" if holds else f"{RED}WRONG{END}"
        print(f"   {mark}  {what}{': ' + str(seen) if seen != '' else ''}",
              flush=True)
        if not holds:
            raise SystemExit(f"demo: not as it must be: {what}: {seen}")
        self.checks += 1

    def require(self, what, seen, wanted):
        """As equal(), but nothing to tell of unless it is off."""
        if seen != wanted:
            self.equal(what, seen, wanted)
        self.checks += 1

    def equal(self, what, seen, wanted):
        self.check(what, seen == wanted,
                   seen if seen == wanted else f"{seen}, not {wanted}")

    def table(self, head, rows):
        """A table: the first column to the left, all others to the right."""
        cells = [[str(c) for c in row] for row in [head] + rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
        for number, row in enumerate(cells):
            line = "  ".join(c.ljust(w) if i == 0 else c.rjust(w)
                             for i, (c, w) in enumerate(zip(row, widths)))
            style = BOLD if number == 0 else ""
            print(f"   {style}{line.rstrip()}{END if style else ''}",
                  flush=True)
