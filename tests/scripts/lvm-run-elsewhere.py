#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A command of LVM is run past lvm/: without a plan, a charge or the group's lock.

Looks for string literals that are the name of a command, and for libvirt's macros of
them, in all C sources but those of lvm/ and the tests.  Not for "pvmove", which is
the name of an LV, too.
"""
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
FOLDERS = ('cli', 'common', 'daemon', 'libvirt-backend/src', 'qemu-block-quota', 'tools')
COMMAND = re.compile(
    r'"(?:/s?bin/|/usr/s?bin/)?(?:lvm|lvs|vgs|pvs|dmsetup|(?:lv|vg|pv)(?:create|change|'
    r'extend|reduce|resize|remove|rename|convert|scan|display|merge|split|ck|'
    r'import|export|cfgbackup|cfgrestore|mknodes|importclone))"'
    r'|\b(?:LVS|VGS|PVS|(?:LV|VG|PV)(?:CREATE|CHANGE|REMOVE|SCAN))\b')
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.S)


def blank(match):
    return re.sub(r'[^\n]', ' ', match.group())


def commands(path):
    with open(path, encoding='utf-8') as file:
        text = COMMENT.sub(blank, file.read())
    for match in COMMAND.finditer(text):
        yield text.count('\n', 0, match.start()) + 1, match.group()


def sources(folder):
    for place, folders, names in os.walk(os.path.join(TOP, folder)):
        folders[:] = [name for name in folders if name != 'tests']
        yield from (os.path.join(place, name) for name in sorted(names)
                    if name.endswith(('.c', '.h')))


def main():
    found = [f'{os.path.relpath(path, TOP)}:{line}: {what}'
             for folder in FOLDERS for path in sources(folder)
             for line, what in commands(path)]
    own = [what for path in sources('lvm') for _, what in commands(path)]
    for line in found:
        print(f'{line}: make it a plan in lvm/')
    if len(own) < 10:
        print(f'only {len(own)} commands found in lvm/: nothing was looked at')
    print(f'{len(own)} in lvm/, {len(found)} elsewhere')
    return 1 if found or len(own) < 10 else 0


sys.exit(main())
