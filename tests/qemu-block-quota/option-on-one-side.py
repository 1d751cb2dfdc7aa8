#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""An option of the quota driver is in its QAPI schema and not in its code, or in
one of the code's lists and not in another.

option-on-one-side.py SCHEMA DRIVER-DIRECTORY LIMITS COMPILER...

blockdev-add checks options by BlockQuotaOptions of SCHEMA, the driver reads them
by its QemuOptsList: an option that only one of them has is refused, or accepted
and never read.  Nothing in QEMU compares the two.
"""
import ast
import os
import re
import shutil
import subprocess
import sys

# What a type of the schema is for QemuOpts.
TYPES = {'str': 'QEMU_OPT_STRING', 'bool': 'QEMU_OPT_BOOL',
         'size': 'QEMU_OPT_SIZE',
         'uint32': 'QEMU_OPT_NUMBER', 'uint64': 'QEMU_OPT_NUMBER'}

# blockdev-reopen can change all options except these: a node is charged to one
# tenant and volume.
FIXED = {'tenant', 'volume'}
# An option says what a node is held to but for these, which only say how long
# it waits: an image may be opened again without them.
WEAK = {'wait-timeout', 'limit-timeout'}

trouble = []


def same(what, ours, other, theirs):
    """Two sets of options are equal."""
    for here, names, there in ((what, ours - theirs, other),
                               (other, theirs - ours, what)):
        trouble.extend(f"'{name}' is in {here}, not in {there}"
                       for name in sorted(names))


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def definitions(schema):
    """The definitions of a QAPI schema, by name."""
    text = re.sub(r"('[^']*')|#[^\n]*", lambda m: m[1] or '', schema)
    text = re.sub(r"('[^']*')|\b(true|false)\b",
                  lambda m: m[1] or m[2].capitalize(), text)
    found, depth, begin = {}, 0, 0
    for token in re.finditer(r"'[^']*'|[][{}]", text):
        if token[0] in '{[':
            begin = begin if depth else token.start()
            depth += 1
        elif token[0] in '}]':
            depth -= 1
            if not depth:
                value = ast.literal_eval(text[begin:token.end()])
                found[next(iter(value.values()))] = value
    return found


def members(schema, name):
    """{member: type} of a structure, its base's included."""
    struct = schema[name]
    found = members(schema, struct['base']) if 'base' in struct else {}
    for member, kind in struct['data'].items():
        found[member.lstrip('*')] = kind['type'] if isinstance(kind, dict) else kind
    return found


def preprocessed(compiler, path):
    """C after the preprocessor, without its headers; string literals in one."""
    text = re.sub(r'^#include.*$', '', read(path), flags=re.M)
    done = subprocess.run([*compiler, '-E', '-P', '-'], input=text, text=True,
                          check=True, stdout=subprocess.PIPE)
    return re.sub(r'"\s+"', '', done.stdout)


def part(text, begin, end):
    """What stands between two patterns; both must be there."""
    match = re.search(f'{begin}(.*?){end}', text, re.S)
    if not match:
        sys.exit(f'no match for /{begin}.*{end}/: the code is not as this '
                 'test reads it')
    return match[1]


def names(text, begin, end, pattern):
    return set(re.findall(pattern, part(text, begin, end)))


def main():
    schema_path, driver, limits_path, *compiler = sys.argv[1:]
    if not compiler or not shutil.which(compiler[0]):
        print('needs a C compiler')
        sys.exit(77)

    schema = definitions(read(schema_path))
    options = members(schema, 'BlockQuotaOptions')
    rates = set(members(schema, 'BlockQuotaRates'))
    code = preprocessed(compiler, os.path.join(driver, 'quota-options.c'))
    table = dict(re.findall(r'\.name = "([^"]+)",\s*\.type = (QEMU_OPT_\w+)',
                            part(code, r'QemuOptsList quota_opts = {', r'};')))

    same('BlockQuotaOptions', set(options), 'quota_opts', set(table))
    for name in sorted(set(options) & set(table)):
        if TYPES.get(options[name]) != table[name]:
            trouble.append(f"'{name}' is {options[name]} in BlockQuotaOptions, "
                           f'{table[name]} in quota_opts')

    for array, left_out in (('quota_mutable_opts', FIXED),
                            ('quota_strong_runtime_opts', WEAK)):
        same(f'BlockQuotaOptions less {", ".join(sorted(left_out))}',
             set(options) - left_out, array,
             names(code, rf'{array}\[\] = {{', '}', r'"([^"]+)"'))

    # Limits are read by common's table, everything else by its name.
    fields = {name.replace('_', '-'): (unit, shared == 'true')
              for name, unit, shared in re.findall(
                  r'{ "(\w+)", offsetof\([^)]*\),\s*(QUOTA_UNIT_\w+), (true|false),',
                  preprocessed(compiler, limits_path))}
    same('BlockQuotaRates', rates, 'the rates of quota_limit_fields',
         {name for name, (unit, is_shared) in fields.items()
          if is_shared and unit != 'QUOTA_UNIT_BYTES'})
    for name in sorted(set(table) & set(fields)):
        is_size = fields[name][0] in ('QUOTA_UNIT_BYTES',
                                      'QUOTA_UNIT_BYTES_PER_SEC')
        if (table[name] == 'QEMU_OPT_SIZE') != is_size:
            trouble.append(f"'{name}' is {fields[name][0]} in "
                           f'quota_limit_fields, {table[name]} in quota_opts')
    same('quota_opts less the limits', set(table) - set(fields),
         'what quota_options_parse reads',
         names(code, r'int quota_options_parse\(', r'\n}\n',
               r'\bopts,\s*"([\w-]+)"'))

    same('what cannot be changed', FIXED, 'what quota_reopen_prepare compares',
         names(read(os.path.join(driver, 'quota.c')),
               r'int quota_reopen_prepare\(', r'\n}\n',
               r'g_strcmp0\(opts->(\w+), s->opts\.\1\)'))
    same('options in BlockQuotaUsage',
         set(members(schema, 'BlockQuotaUsage')) & set(options),
         'what quota_query_usage copies',
         names(read(os.path.join(driver, 'quota-report.c')),
               r'void quota_query_usage\(', r'\n}\n',
               r'\.(\w+) = (?:g_strdup\()?s->opts\.\1\b'))

    print(f'{len(options)} options')
    for line in trouble:
        print(line)
    sys.exit(bool(trouble))


if __name__ == '__main__':
    main()
