/* The clients of a load: each is free, or has a request, or rests because it was refused, or is a slow one. */
#ifndef CLIENT_H
#define CLIENT_H

#include "dialogue.h"
#include "line.h"

#define CLIENT_BUFFER_SIZE (256 * 1024)     /* larger than any datagram */
#define CLIENT_REST_NS 10000000             /* before somebody who was refused tries again */

struct client {
    struct place place;         /* first, so that a place is its client */
    uint64_t due_ns, called_ns;
    uint64_t number;            /* of its request */
    uint64_t answers;           /* that it has had in the run */
    struct answer answer;
    struct load_call *call;     /* where its request is recorded, or NULL */
    unsigned sent;              /* bytes of its question; slow: of all it has sent */
    int fd;                     /* -1: no connection */
    bool slow;
    bool busy;                  /* it has a request */
    bool poison;                /* the request is one */
    bool up;                    /* the connection has carried something */
    bool called_again;          /* the backlog was full, and that has been counted */
    bool spoiled;               /* bytes came that nobody had asked for */
    bool watched, watched_out;  /* epoll(7) knows fd, and waits until it can send */
};

/* A run. */
struct load {
    const struct load_plan *plan;
    struct load_result *result;
    bool stream, reuses;        /* reuses: a connection serves more than one request */
    int epoll_fd;
    struct client *clients;
    struct line free, asking, resting, dripping;
    uint64_t begun;             /* poison included */
    unsigned outstanding;       /* requests, poison included */
    uint64_t failed_ns;         /* the first failure since the last answer; 0: none */
    uint64_t answered_ns;       /* the last answer */
    char *buffer;               /* of CLIENT_BUFFER_SIZE */
};

uint64_t clock_ns(void);

/* Takes a free client's next request, which was due at due_ns. */
void client_begin(struct load *load, struct client *client, uint64_t due_ns, uint64_t now_ns);

/* What epoll(7) says of it. */
void client_event(struct load *load, struct client *client, uint32_t events);

/* It has rested: it goes on with its request, or is free, or, as a slow one, connects. */
void client_wake(struct load *load, struct client *client, uint64_t now_ns);

/* Its request is given up. */
void client_give_up(struct load *load, struct client *client, uint64_t now_ns);

/* A slow client connects. */
void client_dial_slow(struct load *load, struct client *client, uint64_t now_ns);

/* A slow client sends a byte. */
void client_drip(struct load *load, struct client *client, uint64_t now_ns);

void client_hang_up(struct client *client);

/* A Unix datagram server can only answer a socket that has a name: the kernel chooses one (unix(7), autobind). */
int client_autobind(int fd);

#endif
