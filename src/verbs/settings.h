/* A request's timeout and its socket's options. Private. */
#ifndef VERBS_SETTINGS_H
#define VERBS_SETTINGS_H

#include "../objects.h"

/* What the handlers' attributes ask for, before setup. */
int sb_settings_apply(struct sb_request *request);

#endif
