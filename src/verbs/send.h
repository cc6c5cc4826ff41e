/* Sending; what the end of a request needs of it. Private. */
#ifndef VERBS_SEND_H
#define VERBS_SEND_H

#include "../objects.h"

/* A datagram's reply leaves, if there is one: 0, or -errno. */
int sb_send_reply(struct sb_request *request);

#endif
