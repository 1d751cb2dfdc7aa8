#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files need each other in a circle: none can be understood, tested or moved alone.

no-circles.py [--qemu BUILD] [--libvirt BUILD] [BUILD]

Looks at the files of each folder of sources, where X.c and X.h count as one, and at
our own folders.  A file needs another if it includes it, or if it calls a function,
or names a variable, that the other one defines: nm says so of the object files in
BUILD, a build directory of ours, and in those of the drivers' hosts; what a header
calls is read in it.  Where there is no build directory, the includes alone are looked
at, and this is said.
"""
import argparse
import collections
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

# A folder of sources, whose build directory has its objects, and the folder's path
# in the tree that is built there.
FOLDERS = [
    ('common', 'ours', 'common'),
    ('lvm', 'ours', 'lvm'),
    ('tools', 'ours', 'tools'),
    ('daemon', 'ours', 'daemon'),
    ('cli', 'ours', 'cli'),
    ('qemu-block-quota/block/quota', 'qemu', 'block/quota'),
    ('libvirt-backend/src/storage', 'libvirt', 'src/storage'),
]

# Files of a folder that may be in a circle, and why.  One that is in none any more
# must not be here either.
EXCEPTIONS = {}

COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*["<]([^">]+)[">]', re.M)
DIRECTIVE = re.compile(r'^[ \t]*#[ \t]*(?:define[ \t]+\w+(?:\([^)]*\))?)?(.*)$', re.M)

# A file needs another one: how, and what of it.
Need = collections.namedtuple('Need', 'path other how what')


def die(message):
    sys.exit(f'no-circles: {message}')


def read(path):
    with open(os.path.join(TOP, path), encoding='utf-8') as file:
        return file.read()


# --- files ----------------------------------------------------------------------

def sources(folder):
    """All C files in a folder, and in those below it, as paths from TOP."""
    found = set()
    for path, _, names in os.walk(os.path.join(TOP, folder)):
        found |= {os.path.relpath(os.path.join(path, name), TOP)
                  for name in names if name.endswith(('.c', '.h'))}
    if not found:
        die(f'there are no sources in {folder}')
    return found


def included(path, name, files):
    """The files that an #include may mean: one beside it, or any that ends so."""
    beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
    if beside in files:
        return [beside]
    return [file for file in files if file.endswith('/' + name)]


def include_needs(files):
    return [Need(path, other, 'includes', os.path.basename(other))
            for path in files
            for name in INCLUDE.findall(read(path))
            for other in included(path, name, files)]


# --- symbols --------------------------------------------------------------------

def object_files(build, place):
    """{source: [object file]} of what BUILD compiles of the folder PLACE."""
    try:
        with open(os.path.join(build, 'meson-info/meson-info.json'),
                  encoding='utf-8') as file:
            root = json.load(file)['directories']['source']
        with open(os.path.join(build, 'compile_commands.json'), encoding='utf-8') as file:
            commands = json.load(file)
    except OSError as error:
        die(f'{build} is not a build directory: {error.filename}: {error.strerror}')
    below = os.path.join(root, place) + '/'
    found = collections.defaultdict(list)
    for entry in commands:
        path = os.path.normpath(os.path.join(entry['directory'], entry['file']))
        if path.startswith(below):
            words = shlex.split(entry['command'])
            output = entry.get('output') or words[words.index('-o') + 1]
            found[path[len(below):]].append(os.path.join(build, output))
    return found


def object_symbols(path_of):
    """{path: (defined, used)}: functions and variables that other files can see.

    PATH_OF has the source of each object file.
    """
    found = {path: (set(), set()) for path in path_of.values()}
    said = subprocess.run(['nm', '-A', '-P', '-g', *path_of], check=True,
                          encoding='utf-8', stdout=subprocess.PIPE).stdout
    for line in said.splitlines():
        name_of_file, symbol = line.split(': ', 1)
        name, kind = symbol.split()[:2]
        defined, used = found[path_of[name_of_file]]
        (used if kind in ('U', 'w', 'v') else defined).add(name)
    return found


def header_symbols(text):
    """The names in a header's functions and macros; fields of structures are none."""
    text = COMMENT.sub(' ', text).replace('\\\n', ' ')
    found = ' '.join(DIRECTIVE.findall(text))
    depth, begin, before = 0, None, ''
    text = DIRECTIVE.sub('', text)
    for i, char in enumerate(text):
        if char == '{':
            if depth == 0 and before == ')':
                begin = i
            depth += 1
        elif char == '}':
            depth -= 1
            if depth == 0 and begin is not None:
                found += ' ' + text[begin:i]
                begin = None
        if not char.isspace():
            before = char
    return set(re.findall(r'(?<![.\w])(?<!->)[A-Za-z_]\w*', found))


def symbols(files, folder, place, build):
    """{path: (defined, used)} of a folder's files, as far as they are built."""
    objects = object_files(build, place)
    found, path_of, left_out = {}, {}, []
    for path in sorted(files):
        inside = os.path.relpath(path, folder)
        if path.endswith('.h'):
            found[path] = set(), header_symbols(read(path))
        elif inside in objects:
            built = [file for file in objects[inside] if os.path.exists(file)]
            if not built:
                die(f'{objects[inside][0]} is not there: build first')
            path_of.update(dict.fromkeys(built, path))
        else:
            left_out.append(inside)
    if path_of:
        found.update(object_symbols(path_of))
        if not any(defined for defined, _ in found.values()):
            die(f'no object file of {folder} in {build} defines anything')
    if left_out:
        print(f'{folder}: not built, so what it calls is not known: {", ".join(left_out)}')
    return found


def call_needs(of_path):
    definers = collections.defaultdict(list)
    for path, (defined, _) in of_path.items():
        for name in defined:
            definers[name].append(path)
    return [Need(path, other, 'calls', name)
            for path, (_, used) in of_path.items()
            for name in used
            for other in definers.get(name, ())]


# --- circles --------------------------------------------------------------------

def graph_of(needs, name_of):
    """{name: {name: {(how, what)}}}, without what needs itself."""
    graph = collections.defaultdict(lambda: collections.defaultdict(set))
    for need in needs:
        name, other = name_of(need.path), name_of(need.other)
        if name != other:
            graph[name][other].add((need.how, need.what))
    return graph


def reached(graph, start):
    found, todo = set(), [start]
    while todo:
        for name in graph.get(todo.pop(), ()):
            if name not in found:
                found.add(name)
                todo.append(name)
    return found


def circles(graph):
    """The largest sets of names of which each needs each, in whatever steps."""
    reach = {name: reached(graph, name) for name in graph}
    found = {frozenset(other for other in reach[name] if name in reach.get(other, ()))
             for name in graph if name in reach[name]}
    return sorted(found, key=sorted)


def describe(graph, circle):
    for name in sorted(circle):
        for other in sorted(circle & set(graph[name])):
            for how in ('includes', 'calls'):
                what = sorted(w for h, w in graph[name][other] if h == how)
                if what:
                    print(f'    {name} {how} {other}: {", ".join(what)}')


def check(folder, graph):
    """Print the circles that may not be there, and exceptions from none; how many."""
    reason, excepted = EXCEPTIONS.get(folder, ('', set()))
    found = circles(graph)
    wrong = [circle for circle in found if not circle <= excepted]
    for circle in found:
        print(f'{folder}: a circle: {", ".join(sorted(circle))}' +
              ('' if circle in wrong else f' (excepted: {reason})'))
        if circle in wrong:
            describe(graph, circle)
    return len(wrong)


def check_exceptions(folder, graph):
    gone = EXCEPTIONS.get(folder, ('', set()))[1] - set().union(*circles(graph))
    for name in sorted(gone):
        print(f'{folder}: {name} is in no circle: take it out of the exceptions')
    return len(gone)


# --- all of it ------------------------------------------------------------------

def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument('--qemu', metavar='BUILD', default=os.environ.get('QUOTA_QEMU_BUILD'))
    parser.add_argument('--libvirt', metavar='BUILD', default=os.environ.get('LIBVIRT_BUILD'))
    parser.add_argument('ours', metavar='BUILD', nargs='?')
    builds = vars(parser.parse_args())
    if any(builds.values()) and not shutil.which('nm'):
        print('there is no nm here')
        builds = dict.fromkeys(builds)

    wrong = 0
    our_files, our_symbols = set(), {}
    for folder, whose, place in FOLDERS:
        build = builds[whose]
        files = sources(folder)
        of_path = symbols(files, folder, place, build) if build else {}
        includes, calls = include_needs(files), call_needs(of_path)

        def name_of(path):
            source = os.path.splitext(path)[0] + '.c'
            return os.path.relpath(source if source in files else path, folder)

        graph = graph_of(includes + calls, name_of)
        wrong += check(folder, graph)
        if build:
            wrong += check_exceptions(folder, graph)
        print(f'{folder}: {len(files)} files, {len(includes)} includes, ' +
              (f'{len(calls)} calls' if build else 'calls not looked at: '
               f'no build directory of {whose}'))
        if whose == 'ours':
            our_files |= files
            our_symbols.update(of_path)
    wrong += check('our folders', graph_of(include_needs(our_files) +
                                           call_needs(our_symbols), os.path.dirname))
    sys.exit(wrong > 0)


if __name__ == '__main__':
    main()
