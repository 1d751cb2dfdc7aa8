/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tree.c: the text of a volume group's metadata, taken apart by libdevmapper, LVM's
 * own library, unless it is such a text as would end us there.
 */
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "tree.h"

/* Sections within sections: group, logical_volumes, LV, segment, its settings */
#define NESTED_MAX 10

/* Where a string may begin: elsewhere, a quotation mark is part of a word. */
static bool may_quote(const char *text, const char *at)
{
    if (at == text || isspace((unsigned char)at[-1]) || at[-1] == '=') {
        return true;
    }
    return (at[-1] == '[' || at[-1] == ',') && at - 1 > text &&
           (isspace((unsigned char)at[-2]) || strchr("=\"", at[-2]));
}

/*
 * libdevmapper takes 8 KiB of stack for each level of sections, however many
 * there are: a few thousand bytes of text would end a thread.  What it takes for
 * a string is one here, or the text is refused; LVM writes no such text.
 */
static bool is_flat(const char *text)
{
    unsigned depth = 0;

    for (const char *at = text; *at; at++) {
        if (*at == '#') {
            at += strcspn(at, "\n") - 1;
        } else if (*at == '"') {
            if (!may_quote(text, at)) {
                return false;
            }
            for (at++; *at && *at != '"'; at++) {
                at += *at == '\\' && at[1];
            }
            if (!*at) {
                return true;    /* the parser will say what is wrong */
            }
        } else if (*at == '\'' || (*at == '{' && ++depth > NESTED_MAX)) {
            return false;
        } else if (*at == '}') {
            depth -= depth > 0;
        }
    }
    return true;
}

/* As LVM does with metadata: looking each name up among those before it would
 * take as long as the square of their number. */
struct dm_config_tree *tree_read(const char *text)
{
    struct dm_config_tree *tree = is_flat(text) ? dm_config_create() : NULL;

    if (tree && !dm_config_parse_without_dup_node_check(tree, text,
                                                        text + strlen(text))) {
        dm_config_destroy(tree);
        return NULL;
    }
    return tree;
}
