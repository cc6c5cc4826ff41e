/* A snapshot as JSON; its fields are described in switchboard(1). */
#ifndef STATUS_JSON_H
#define STATUS_JSON_H

#include "../snapshot.h"

/* On standard output, one line: 0 or -ENOMEM. */
int json_print(const struct snapshot *snapshot);

#endif
