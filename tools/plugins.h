/* Where the command looks for handlers. */
#ifndef PLUGINS_H
#define PLUGINS_H

/* The folders of SWITCHBOARD_PATH, then those of the build tree when the command runs from it, then the installed one;
 * NULL-terminated, made at the first call. */
const char *const *handler_path(void);

#endif
