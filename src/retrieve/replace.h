/* How a new index takes the place of an old one. */
#ifndef LT_RETRIEVE_REPLACE_H
#define LT_RETRIEVE_REPLACE_H

#include "lathe/base.h"

/* An empty temporary file beside `path`; *target is path with links followed. Both owned. What exists at path must be an index, or
 * empty. */
bool lt_replace_begin(lt_ctx *cx, const char *path, char **target, char **file);
/* Syncs `file` and renames it to `target`. */
bool lt_replace_commit(lt_ctx *cx, const char *path, const char *file, const char *target);

#endif
