/* What is said on the command line of serve. */
#ifndef SERVE_OPTIONS_H
#define SERVE_OPTIONS_H

#include <stdbool.h>
#include <switchboard/switchboard.h>

#define SERVE_ITEMS_MAX 64

/* The words are argv's; the lists end with a NULL. */
struct serve_arguments {
    struct sb_config config;    /* its options are those below */
    const char *handler;        /* never NULL */
    const char *addresses[SERVE_ITEMS_MAX + 1];     /* one at least */
    const char *options[SERVE_ITEMS_MAX + 1];
    bool once, restart, unsupervised, inetd;    /* inetd: without addresses */
    int retire_timeout_ms;      /* -1: without limit */
    const char *name;           /* or NULL */
    const char *user, *group;   /* NULL: it stays who it is */
};

/* Returns where it makes sense, like argument_parse(). */
void serve_arguments_parse(int argc, char **argv, struct serve_arguments *ret_arguments);

#endif
