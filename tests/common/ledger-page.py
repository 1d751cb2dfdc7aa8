#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A field of the ledger is not in quota-ledger(5), or stands elsewhere than it says.

ledger-page.py PAGE LAYOUT COMPILER...

Each table of a structure must name all of its fields, padding too, without a gap;
the compiler then says whether offsets and sizes are so.  A field that is missing in
the page leaves a gap, or a padding that is larger than the page's; one that is
missing in the code is no member.
"""
import re
import shutil
import subprocess
import sys
import tempfile

# What a kind of table begins with, and where its rows name what they are about.
STRUCTURE = re.compile(r'\.\\" struct (\w+)$')
VALUES = re.compile(r'\.\\" values$')


def tables(text):
    """Yield, of each table, the structure (None: values) and its rows."""
    what, rows, inside = None, None, False
    for line in text.splitlines():
        if match := STRUCTURE.match(line):
            what = match[1]
        elif VALUES.match(line):
            what = ''
        elif line == '.TS':
            if what is None:
                sys.exit('a table says not what it is of')
            rows, inside = [], False
        elif line == '.TE':
            yield what or None, rows
            what = rows = None
        elif rows is not None and re.match(r'\d+\|', line):
            rows.append(line.split('|'))


def checks(text):
    for structure, rows in tables(text):
        if structure is None:
            for value, name, *_ in rows:
                yield f'(long long)({name}) == {value}LL', f'{name} is not {value}'
            continue
        end = 0
        for at, size, field, *_ in rows:
            if int(at) != end:
                sys.exit(f'{structure}: {field} is at {at}, what stands before it '
                         f'ends at {end}')
            end = int(at) + int(size)
            member = f'((struct {structure} *)0)->{field}'
            yield (f'offsetof(struct {structure}, {field}) == {at}',
                   f'{structure}.{field} is not at {at}')
            yield (f'sizeof({member}) == {size}',
                   f'{structure}.{field} has not {size} bytes')
        yield (f'sizeof(struct {structure}) == {end}',
               f'{structure} has not {end} bytes: the page has too many or too few')


def structures(text, layout):
    """All that make up the file are in the page, and in the code."""
    found, todo = set(), ['quota_ledger_file']
    while todo:
        name = todo.pop()
        found.add(name)
        match = re.search(rf'^struct {name} {{$(.*?)^}};$', layout, re.S | re.M)
        if not match:
            sys.exit(f'the code has no struct {name}')
        todo += [n for n in re.findall(r'^    struct (\w+) \w', match[1], re.M)
                 if n not in found]
    page = {structure for structure, _ in tables(text) if structure}
    if found != page:
        sys.exit(f'only in the code: {sorted(found - page)}; '
                 f'only in the page: {sorted(page - found)}')


def main():
    page, layout, *compiler = sys.argv[1:]
    if not compiler or not shutil.which(compiler[0]):
        print('needs a C compiler')
        sys.exit(77)
    with open(page, encoding='utf-8') as file:
        text = file.read()
    with open(layout, encoding='utf-8') as file:
        structures(text, file.read())
    asserts = [f'_Static_assert({condition}, "{message}");'
               for condition, message in checks(text)]
    with tempfile.NamedTemporaryFile('w', suffix='.c') as file:
        file.write('#include <stddef.h>\n#include "ledger-layout.h"\n' +
                   '\n'.join(asserts) + '\n')
        file.flush()
        status = subprocess.run([*compiler, '-std=gnu11', '-D_GNU_SOURCE',
                                 '-fsyntax-only', file.name],
                                check=False).returncode
    print(f'{len(asserts)} offsets, sizes and values')
    sys.exit(status != 0)


if __name__ == '__main__':
    main()
