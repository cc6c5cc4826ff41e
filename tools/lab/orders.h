/* What can be asked of the lab, by its page and by lessons. */
#ifndef LAB_ORDERS_H
#define LAB_ORDERS_H

#include <stdbool.h>

#define ORDER_TEXT_SIZE 128         /* of one word, its NUL included */
#define ORDER_OPTIONS_MAX 8
#define ORDER_CALLERS_MAX 10000
#define ORDER_RATE_MAX 1000000
#define ORDER_THINK_MS_MAX 60000

/* What the server shall be. "" and none: that stays. */
struct order_change {
    char strategy[ORDER_TEXT_SIZE], accept[ORDER_TEXT_SIZE], workers[ORDER_TEXT_SIZE], handler[ORDER_TEXT_SIZE];
    char options[ORDER_OPTIONS_MAX][ORDER_TEXT_SIZE];       /* "key=value" */
    unsigned n_options;
};

bool order_change_is_empty(const struct order_change *change);

enum order_kind { ORDER_SHORT, ORDER_TALK, ORDER_SLOW, ORDER_SILENT, ORDER_DATAGRAMS, ORDER_KINDS };

/* What the callers shall be. */
struct order_load {
    enum order_kind kind;
    unsigned callers;               /* 0: nobody calls */
    double rate;                    /* requests each second of the open loop; 0: closed loop */
    unsigned think_ms;              /* closed loop: between an answer and the next request */
    char question[ORDER_TEXT_SIZE]; /* without its newline; "": a line that asks for capitals */
};

enum order_act { ORDER_ONE_SLOW, ORDER_ONE_SILENT, ORDER_BURST, ORDER_CRASH, ORDER_HOLD, ORDER_RELEASE, ORDER_KILL,
                 ORDER_STOP, ORDER_ACTS };

extern const char *const order_kind_names[ORDER_KINDS], *const order_act_names[ORDER_ACTS];

/* The number of a name; -1: there is none. */
int order_find(const char *const *names, unsigned count, const char *name);

#endif
