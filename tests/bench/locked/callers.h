/* Callers of `upper`, each a thread of its own that blocks. */
#ifndef LOCKED_CALLERS_H
#define LOCKED_CALLERS_H

#include <stdbool.h>

enum { CALLERS_MAX = 64 };

/* What all of them do next. */
enum errand {
    CALL,       /* connect, one exchange, close: again and again */
    OPEN,       /* connect, one exchange */
    TALK,       /* exchanges on what has been opened */
    CLOSE,
};

/* Sends `count` of them on one errand; `each`: calls or exchanges. Not before the last errand has been joined. */
int callers_send(enum errand errand, int count, int each, int port);
/* Whether all have come back. */
bool callers_are_back(void);
/* How many calls or exchanges were done as they should be. */
long callers_join(void);

#endif
