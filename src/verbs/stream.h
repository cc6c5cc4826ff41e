/* rfile and wfile: stdio over a request. Private. */
#ifndef VERBS_STREAM_H
#define VERBS_STREAM_H

#include "../objects.h"

/* Flushes and closes both; 0, or why what was written could not be sent. */
int sb_streams_close(struct sb_request *request);

#endif
