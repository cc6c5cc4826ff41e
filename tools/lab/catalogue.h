/* What there is to choose from: the handlers of the path and the strategies, as JSON for the page. */
#ifndef LAB_CATALOGUE_H
#define LAB_CATALOGUE_H

#include <jansson.h>

/* Arrays; handlers that cannot be loaded are left out. README.md. */
json_t *catalogue_handlers(void);
json_t *catalogue_strategies(void);
json_t *catalogue_names(const char *const *names, unsigned count);

#endif
