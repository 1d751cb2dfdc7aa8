# SPDX-License-Identifier: LGPL-2.1-or-later
"""Drives the window of a GTK program the way a screen reader does, on a display that
nobody looks at: things are found by what they are and what they are called."""

import os
import re
import time

import gi
gi.require_version("Atspi", "2.0")
gi.require_version("Gdk", "3.0")
from gi.repository import Atspi, Gdk  # noqa: E402

PATIENCE = 120      # seconds; without KVM a dialog takes several to come up

# A program that draws a window answers nobody.
Atspi.set_timeout(20 * 1000, PATIENCE * 1000)


def children(node):
    for i in range(node.get_child_count()):
        child = node.get_child_at_index(i)
        if child:
            yield child


def walk(node):
    yield node
    for child in children(node):
        yield from walk(child)


def is_shown(node):
    return node.get_state_set().contains(Atspi.StateType.SHOWING)


def tree(node, depth=0):
    """All that is shown, one line each: to look at when something is not found."""
    lines = []
    if is_shown(node) or depth < 2:
        lines.append(f"{'  ' * depth}{node.get_role_name()} '{node.get_name()}'")
        for child in children(node):
            lines += tree(child, depth + 1)
    return lines


def desktop():
    return Atspi.get_desktop(0)


def called(node):
    """What the label beside it says, or its name, which for a combo box is what is
    chosen in it."""
    for relation in node.get_relation_set():
        if relation.get_relation_type() == Atspi.RelationType.LABELLED_BY:
            return relation.get_target(0).get_name()
    return node.get_name() or ""


def find(role, name, inside=None, may_fail=False):
    """The first that is shown; role and name are regular expressions for all of
    it."""
    for node in walk(inside or desktop()):
        if re.fullmatch(role, node.get_role_name()) and is_shown(node) and \
                re.fullmatch(name, called(node), re.DOTALL):
            return node
    if may_fail:
        return None
    raise LookupError(f"no {role} '{name}'")


def wait(what, condition, *arguments, **options):
    """What the condition returns, as soon as that is something."""
    end = time.monotonic() + PATIENCE
    print("waiting for", what, flush=True)
    while True:
        try:
            found = condition(*arguments, **options)
            if found:
                return found
        except (LookupError, gi.repository.GLib.Error):
            pass            # not there yet, or gone while it was looked at
        if time.monotonic() > end:
            print("\n".join(tree(desktop())))
            screenshot("failed")
            raise SystemExit(f"waited in vain for: {what}")
        time.sleep(0.3)


def wait_for(role, name, inside=None):
    return wait(f"{role} '{name}'", find, role, name, inside)


def wait_gone(role, name):
    wait(f"no more {role} '{name}'", lambda: not find(role, name, may_fail=True))


def is_sensitive(node):
    return node.get_state_set().contains(Atspi.StateType.SENSITIVE)


def click(node):
    """With the mouse: a program that opens a dialog and waits for it in what an action
    has called would answer no further question of ours."""
    box = node.get_extents(Atspi.CoordType.SCREEN)
    Atspi.generate_mouse_event(box.x + box.width // 2, box.y + box.height // 2, "b1c")


def select(node):
    """A page of a notebook."""
    if not node.get_parent().select_child(node.get_index_in_parent()):
        raise SystemExit(f"cannot select '{node.get_name()}'")


def select_row(table, name):
    """The row of a table that has a cell of that name."""
    for row in range(table.get_n_rows()):
        for column in range(table.get_n_columns()):
            cell = table.get_accessible_at(row, column)
            if any(node.get_name() == name for node in walk(cell)):
                table.add_row_selection(row)
                return
    raise SystemExit(f"no row '{name}' in '{table.get_name()}'")


def choose(combo, name):
    """What a combo box offers, by a regular expression."""
    items = [node for node in walk(combo) if node.get_role_name() == "menu item"]
    for index, item in enumerate(items):
        if re.fullmatch(name, item.get_name() or "", re.DOTALL):
            combo.select_child(index)
            return
    raise SystemExit(f"no '{name}' among {[item.get_name() for item in items]}")


def write(node, text):
    Atspi.EditableText.set_text_contents(node, text)


def read(node):
    return Atspi.Text.get_text(node, 0, -1)


def set_value(node, value):
    Atspi.Value.set_current_value(node, value)


def screenshot(name):
    """Into the folder that $SCREENSHOTS names, if it does."""
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        root = Gdk.get_default_root_window()
        Gdk.pixbuf_get_from_window(
            root, 0, 0, root.get_width(), root.get_height()).savev(
                os.path.join(folder, name + ".png"), "png", [], [])
