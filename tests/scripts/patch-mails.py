#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A patch for a host that git am or a reader cannot take: no author, area or reason,
too little context, or a series whose numbers or names do not tell its order.

patch-mails.py [FOLDER...]: each folder is a series; all that this checkout has.
"""

import datetime
import email
import email.policy
import glob
import os
import re
import sys

BODY_MIN = 80           # characters of text: a sentence that says why
CONTEXT = 3             # lines around a change, git's default

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def hunk_trouble(diff):
    """The hunks of one file: none but the last may end with less context."""
    hunks = re.split(r'^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@.*\n', diff, flags=re.M)[1:]
    if not hunks:
        yield 'changes a file without a hunk'
    for i in range(0, len(hunks), 2):
        start, lines = int(hunks[i]), hunks[i + 1].splitlines()
        same = [line.startswith(' ') for line in lines]
        before = same.index(False)
        after = same[::-1].index(False)
        if before < min(CONTEXT, start - 1):
            yield f'the hunk at line {start} begins with {before} lines of context'
        if after < CONTEXT and i + 2 < len(hunks):
            yield f'the hunk at line {start} ends with {after} lines of context'


def trouble(name, number, text):
    """What is wrong with one mail."""
    if not re.match(r'From [0-9a-f]{40} Mon Sep 17 00:00:00 2001\n', text):
        yield 'does not begin as a mail from git format-patch does'
    mail = email.message_from_string(text.split('\n', 1)[1], policy=email.policy.default)
    author = mail['From'].addresses if mail['From'] else ()
    if len(author) != 1 or not author[0].display_name or \
            author[0].domain in ('', 'localhost'):
        yield 'has no author'
    try:
        datetime.datetime.strptime(mail['Date'] or '', '%a, %d %b %Y %H:%M:%S %z')
    except ValueError:
        yield 'has no date'

    subject = re.fullmatch(r'\[PATCH\] ([\w./-]+: [^A-Z\s].*[^.])', mail['Subject'] or '')
    if not subject or len(subject[1]) > 72:
        yield 'needs a subject of up to 72 characters: "[PATCH] area: do something"'
    else:
        slug = re.sub(r'[^\w.]+', '-', subject[1]).strip('-.')
        if name != f'{number:04}-{slug[:52]}.patch':
            yield f'should be called {number:04}-{slug[:52]}.patch'

    message, _, rest = f'\n{mail.get_content()}'.partition('\n---\n')
    if len(message.strip()) < BODY_MIN:
        yield 'gives no reason'
    if any(len(line) > 75 for line in message.splitlines()):
        yield 'has lines of more than 75 characters in its message'
    stat, *diffs = re.split(r'^diff --git a/.+ b/', rest, flags=re.M)
    if not re.search(rf'^ {len(diffs)} files? changed', stat, flags=re.M):
        yield 'has no diffstat, or one of other files'
    for diff in diffs:
        for what in hunk_trouble(diff):
            yield f'{diff.splitlines()[0]}: {what}'


def main():
    said = []
    for folder in sys.argv[1:] or glob.glob(TOP + '/*/patches/*/'):
        patches = sorted(glob.glob(os.path.join(folder, '*.patch')))
        for number, patch in enumerate(patches, 1):
            with open(patch, encoding='utf-8') as f:
                said += [f'{patch}: {what}' for what in
                         trouble(os.path.basename(patch), number, f.read())]
        print(f'{folder}: {len(patches)} patches')
    for line in said:
        print(line)
    return 1 if said else 0


if __name__ == '__main__':
    sys.exit(main())
