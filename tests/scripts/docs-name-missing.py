#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A document names a file, function, test or mutation that does not exist.

docs-name-missing.py [TOP]

Reads each README.md and docs/**/*.md.  What is checked:

- a path in backticks, from the top of the tree, from the document's folder, or from
  a driver's folder (where it is the path in the driver's host); globs, {a,b},
  <placeholders>, NAMES in capitals, arguments after it and file:line may be there;
- a file's name without a folder (`rate.c`), a manual page (`quota-lvm(1)`), a link;
- `quota_...` and vir...Quota... functions, types and macros;
- in tables, the columns whose heading has the word "test" or "mutation", and the
  words after a file (`writer.c` audit) in a column "kept by", "code" or "function";
  a mutation must name one of its row's tests as the one that fails on it;
- elsewhere `name` after the word "test" or "mutation".

A path outside the tree (/run, ~, URLs) is left alone, a name after "QEMU's",
"libvirt's" or "LVM's" too, and what stands in a paragraph, list item, row or section
that says "planned".
"""
import fnmatch
import glob
import os
import re
import sys

HOSTS = ['qemu-block-quota', 'libvirt-backend']
# The groups and tenants of our examples: `vg0/data` is a volume.
EXAMPLES = {'vg0', 'acme', 'globex'}
SOURCE = re.compile(r'.*\.(c|h|c\.inc)')
BARE_FILE = re.compile(r'[\w*+-]+(\.[\w*+-]+)*'
                       r'\.(c|h|inc|py|sh|pml|patch|rst|md|vg|build)')
IDENTIFIER = re.compile(r'\b(?:quota_\w+|vir\w*Quota\w*)\b(?![\w.-]|/)\*?')
NAME = re.compile(r'[a-z0-9]+(-[a-z0-9]+)+')


def expand(path):
    """The paths that {a,b} in PATH stands for."""
    match = re.search(r'\{([^{}]*)\}', path)
    if not match:
        return [path]
    return [whole for choice in match[1].split(',')
            for whole in expand(path[:match.start()] + choice + path[match.end():])]


class Tree:
    """What there is to name."""

    def __init__(self, top):
        self.top = top
        self.files = []
        for folder, folders, names in os.walk(top):
            if 'meson-info' in folders:     # somebody's build directory
                folders.clear()
                continue
            folders[:] = sorted(f for f in folders
                                if not f.startswith('.') and f != '__pycache__')
            self.files += [os.path.relpath(os.path.join(folder, name), top)
                           for name in names]
        self.first = {file.split('/')[0] for file in self.files}
        self.names = {os.path.basename(file) for file in self.files}
        self.tests = set(self.find_tests())
        self.mutations = {self.stem(file): self.test_of(file) for file in self.files
                          if fnmatch.fnmatch(file, 'tests/mutations/*.patch')}
        self.identifiers = set()
        for file in self.files:
            if SOURCE.fullmatch(file):
                text = re.sub(r'/\*.*?\*/|//[^\n]*|"(\\.|[^"\\\n])*"', ' ',
                              self.read(file), flags=re.S)
                self.identifiers.update(re.findall(r'\w+', text))

    def read(self, file):
        with open(os.path.join(self.top, file), encoding='utf-8',
                  errors='replace') as stream:
            return stream.read()

    @staticmethod
    def stem(file):
        return os.path.basename(file).split('.')[0]

    def test_of(self, mutation):
        match = re.search(r'^Test: (\S+)$', self.read(mutation), re.M)
        return match[1] if match else None

    def find_tests(self):
        """Meson's, the lab's, and those that QEMU and libvirt run."""
        for file in self.files:
            if re.fullmatch(r'tests/(.+/)?meson\.build', file):
                text = self.read(file)
                tests = set(re.findall(r"\btest\(\s*'([^']+)'", text))
                programs = set(re.findall(r"\bexecutable\(\s*'([^']+)'", text))
                beside = {self.stem(f) for f in self.files
                          if os.path.dirname(f) == os.path.dirname(file)}
                # a name in a list, of which a loop makes tests
                named = set(re.findall(r"'([\w-]+)'", text))
                yield from tests
                yield from named & beside - programs
                for start in re.findall(r"\btest\(\s*'([^']+)'\s*\+", text):
                    yield from (start + name for name in named)
            elif file == 'tests/lab.d/tests':
                for line in self.read(file).splitlines():
                    if match := re.match(r'[^#]*?\s(tests/\S+)', line):
                        yield self.stem(match[1])
            elif re.fullmatch(r'qemu-block-quota/tests/qemu-iotests/tests/[\w-]+|'
                              r'qemu-block-quota/tests/unit/test-.*\.c|'
                              r'libvirt-backend/tests/\w+test\.c', file):
                yield self.stem(file)

    def is_outside(self, path):
        return (re.match(r'[/~$@%-]|\.\./', path) or path.split('/')[0] in EXAMPLES
                or re.search(r'''[='"(\\]|://|^<''', path))

    def matches(self, path, folder):
        """The files and folders that a document in FOLDER means by PATH."""
        found = []
        for pattern in expand(path):
            some = []
            for base in ['', folder, *HOSTS]:
                place = os.path.join(self.top, base, pattern)
                some += glob.glob(place) or glob.glob(
                    re.sub(r'<[^<>]*>|\.\.\.|…|\b[A-Z][A-Z]+\b', '*', place))
            if not some:
                return []
            found += some
        return found


class Document:
    def __init__(self, tree, name, text):
        self.tree = tree
        self.name = name
        self.folder = os.path.dirname(name)
        self.text = text
        self.problems = []
        self.checked = 0

    def check(self):
        fence, block, start, planned = None, [], 1, None
        headings = set(re.findall(r'^#+ +(.*)$', self.text, re.M))
        self.anchors = {re.sub(r'[^\w -]', '', h.lower()).replace(' ', '-')
                        for h in headings}
        header = []
        for number, line in enumerate([*self.text.splitlines(), ''], 1):
            if match := re.match(r'\s*(```|~~~)', line):
                if fence is None:
                    self.check_block(block, start)
                    block, fence = [], match[1]
                elif match[1] == fence:
                    fence = None
                continue
            if fence:
                if not planned:
                    self.check_code(line, number)
                continue
            heading = re.match(r'(#+) ', line)
            if heading and (planned is None or len(heading[1]) <= planned):
                planned = len(heading[1]) if self.is_planned(line) else None
            is_row = line.lstrip().startswith('|')
            if heading or is_row or not line.strip() or \
                    re.match(r'\s*([-*+]|\d+\.) ', line):
                self.check_block(block, start)
                block, start = [], number
            if planned:
                continue
            if is_row:
                cells = [c.strip() for c in
                         re.split(r'(?<!\\)\|', line.strip().strip('|'))]
                if all(re.fullmatch(r':?-+:?', c) for c in cells):
                    continue
                if not header:
                    header = cells
                elif not self.is_planned(line):
                    self.check_row(header, cells, number)
            else:
                header = []
                block.append(line)
        return self.problems

    @staticmethod
    def is_planned(text):
        return re.search(r'\bplanned\b', text, re.I)

    def problem(self, number, text):
        self.problems.append(f'{self.name}:{number}: {text}')

    def check_block(self, lines, start):
        text = '\n'.join(lines)
        if not text.strip() or self.is_planned(text):
            return
        self.check_text(text, start)
        for kind, known in ('test', self.tree.tests), ('mutation', self.tree.mutations):
            for match in re.finditer(rf'\b{kind}s?\s+`([^`]+)`', text, re.I):
                if NAME.fullmatch(match[1]):
                    self.check_name(kind, match[1], known,
                                    start + text.count('\n', 0, match.start()))

    def check_text(self, text, start):
        for match in re.finditer(r"([^\s`]*)\s*(`+)(.+?)\2", text, re.S):
            if not re.fullmatch(r"(QEMU|libvirt|LVM)['’]s?", match[1].lstrip('(*')):
                self.check_span(' '.join(match[3].split()),
                                start + text.count('\n', 0, match.start(3)))
        for match in re.finditer(r'\]\(([^()\s]+)\)', text):
            self.check_link(match[1], start + text.count('\n', 0, match.start()))

    def check_span(self, span, number):
        if not span:
            return
        first, *others = span.split()
        first = first.removesuffix('()')
        if '/' in first and not first.startswith('/quota-lvm/'):
            if not self.tree.is_outside(first):
                self.check_path(first, number)
        else:
            others.insert(0, first)
        if not others or others == [first]:
            if BARE_FILE.fullmatch(first):
                self.checked += 1
                if not fnmatch.filter(self.tree.names, first):
                    self.problem(number, f"no file is called '{first}'")
            elif match := re.fullmatch(r'(quota[\w-]*)\((\d)\)', first):
                self.checked += 1
                if f'{match[1]}.{match[2]}' not in self.tree.names:
                    self.problem(number, f"there is no manual page '{first}'")
        self.check_code(' '.join(others), number)
        for match in IDENTIFIER.finditer(span):
            self.checked += 1
            if not fnmatch.filter(self.tree.identifiers, match[0]):
                self.problem(number, f"no source has '{match[0]}'")

    def check_code(self, line, number):
        """Of a command, the words that can only be paths of ours."""
        for word in line.split():
            word = re.sub(r'^/quota-lvm/', '', word.strip('\'"();,'))
            if '/' in word and not self.tree.is_outside(word) and \
                    word.split('/')[0] in self.tree.first:
                self.check_path(word, number)

    def check_path(self, path, number):
        self.checked += 1
        path = re.sub(r'[.,;:]+$', '', path).split('#')[0]
        path, _, where = path.partition(':')
        if path.startswith('build/'):           # what is built of our own sources
            path = path[len('build/'):] + ('' if path.endswith('/') else '*')
        found = self.tree.matches(path, self.folder)
        if not found:
            self.problem(number, f"there is no '{path}'")
        elif where and os.path.isfile(found[0]):
            text = self.tree.read(os.path.relpath(found[0], self.tree.top))
            if re.fullmatch(r'[\d-]+', where):
                if max(map(int, filter(None, where.split('-')))) > text.count('\n'):
                    self.problem(number, f"'{path}' has no line {where}")
            elif not self.has_name(path, re.sub(r'\(\)$', '', where), text):
                self.problem(number, f"'{path}' does not have '{where}'")

    @staticmethod
    def has_name(path, name, text):
        """A function of a C file stands there only if it is defined, not called."""
        if path.endswith('.c') and re.search(rf'\b{re.escape(name)}\(', text):
            return re.search(rf'^(?:[a-z][\w *]*[ *])?{re.escape(name)}\(', text, re.M)
        return name in text

    def check_link(self, target, number):
        if re.match(r'[a-z]+:', target):
            return
        self.checked += 1
        path, _, anchor = target.partition('#')
        if path and not os.path.exists(os.path.join(self.tree.top, self.folder, path)):
            self.problem(number, f"the link leads nowhere: '{target}'")
        elif not path and anchor not in self.anchors:
            self.problem(number, f"no heading here is '#{anchor}'")

    def check_name(self, kind, name, known, number):
        self.checked += 1
        if name not in known:
            self.problem(number, f"there is no {kind} '{name}'")

    def check_row(self, header, cells, number):
        tests, mutations = set(), set()
        for heading, cell in zip(header, cells):
            spans = [s for s in re.findall(r'`([^`]+)`', cell)]
            self.check_text(cell, number)
            if re.search(r'\btests?\b', heading, re.I):
                tests.update(self.tree.stem(s.split()[0]) for s in spans)
                for name in spans:
                    if '/' not in name:
                        self.check_name('test', self.tree.stem(name), self.tree.tests,
                                        number)
            elif re.search(r'\bmutations?\b', heading, re.I):
                for name in spans:
                    if '/' not in name:
                        mutations.add(name)
                        self.check_name('mutation', name, self.tree.mutations, number)
            elif re.search(r'\b(kept by|code|function)\b', heading, re.I):
                self.check_words(cell, number)
        for name in sorted(mutations & set(self.tree.mutations)):
            if tests and self.tree.mutations[name] not in tests:
                self.problem(number, f"what fails on mutation '{name}' is "
                             f"'{self.tree.mutations[name]}', which the row lacks")

    def check_words(self, cell, number):
        """`file` word, word: each stands in the file."""
        for match in re.finditer(r'`([^`\s]+)` ([\w, ]+?),? *(?=;|`|$)', cell):
            if '/' in match[1]:
                files = self.tree.matches(match[1], self.folder)
            else:
                files = [f for f in self.tree.files
                         if os.path.basename(f) == match[1]]
            text = '\n'.join(self.tree.read(os.path.join(self.tree.top, f))
                             for f in files if os.path.isfile(
                                 os.path.join(self.tree.top, f))).lower()
            for word in re.split(r',\s*|\s+and\s+|\s+', match[2]):
                self.checked += 1
                if text and word.lower().removesuffix('s') not in text:
                    self.problem(number, f"'{match[1]}' has nothing called '{word}'")


# What must be found, line by line: a checker that finds nothing proves nothing.
WRONG = """\
`common/ledger/no-such-file.c`
`scripts/no-such-script --option`
`tests/lab root /quota-lvm/tests/no-such-test.py`
`common/ledger/account.c:999999`
`common/ledger/account.c:no_such_call`
`common/ledger/account.c:no_such_call_either()`
(`common/ledger/no-such-file-in-brackets.c`)
`no-such-file.c`
`patches/<series>/no-such-*.patch`
`{common,no-such-folder}/ledger/`
`quota-no-such-page(8)`
`quota_no_such_call`
`virStorageBackendQuotaLVMNoSuchCall`
[text](no-such-file.md)
[text](#no-such-heading)
the test `no-such-test`
the mutation `no-such-mutation`
"""
WRONG_ROWS = """\
| kept by | test | mutation |
| --- | --- | --- |
| `account.c` no_such_call | `rate-window` | |
| `account.c` | `no-such-test` | |
| `account.c` | `rate-window` | `no-such-mutation` |
| `account.c` | `names` | `credit-saved-up` |
"""
RIGHT = """\
# A heading
`common/ledger/account.c` `common/*/account.c:12` `tests/{lab,coverage} PATTERN`
`tests/mutations/NAME.patch` `patches/<series>/0001-*.patch` `/run/quota-lvm/GROUP/TENANT`
`vg0/data` `quota_ledger_*` `quota_limits` `quota-lvm(1)` `account.c` QEMU's `block/io.c`
[text](#a-heading) the test `rate-window`, the mutation `credit-saved-up`

- planned: `monitoring/`

| kept by | test | mutation |
| --- | --- | --- |
| `docs-name-missing.py` check_words; `queue.c` | `rate-window`, `tests/fuzz` | `credit-saved-up` |
"""


def check_ourselves(tree):
    """What is wrong must be found, and nothing else."""
    for line in WRONG.splitlines():
        if len(Document(tree, 'x.md', line).check()) != 1:
            sys.exit(f'the checker does not see what is wrong in: {line}')
    header = WRONG_ROWS.splitlines()[:2]
    for line in WRONG_ROWS.splitlines()[2:]:
        if len(Document(tree, 'x.md', '\n'.join([*header, line])).check()) != 1:
            sys.exit(f'the checker does not see what is wrong in: {line}')
    if problems := Document(tree, 'x.md', RIGHT).check():
        sys.exit('the checker objects to what is right: ' + '\n'.join(problems))


def main():
    top = sys.argv[1] if len(sys.argv) > 1 else \
        os.path.join(os.path.dirname(os.path.realpath(__file__)), '../..')
    top = os.path.realpath(top)
    if not os.path.exists(os.path.join(top, 'README.md')):
        print('SKIP: no documents here')       # tests/mutations/run copies none
        sys.exit(77)
    tree = Tree(top)
    check_ourselves(tree)
    documents = [file for file in sorted(tree.files)
                 if re.fullmatch(r'(.*/)?README\.md|docs/.*\.md', file)]
    checked, problems = 0, []
    for name in documents:
        document = Document(tree, name, tree.read(name))
        problems += document.check()
        checked += document.checked
    for problem in problems:
        print(problem)
    print(f'{checked} names in {len(documents)} documents, {len(problems)} wrong')
    sys.exit(bool(problems))


if __name__ == '__main__':
    main()
