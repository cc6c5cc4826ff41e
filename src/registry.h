/* The classes in the box: strategies by name, families by scheme, and the ready-made types of class.h. Private. */
#ifndef REGISTRY_H
#define REGISTRY_H

#include "classes.h"

extern const struct sb_registry sb_registry;

#endif
