/* A site over HTTP, and who may have what: libmicrohttpd, run by the lab's own loop.
 *
 * A request's Host must be a number or localhost with the site's port, so that no name of somebody else's can be made
 * to mean this machine (DNS rebinding); a POST's Origin must be the site itself. */
#ifndef LAB_WEB_H
#define LAB_WEB_H

#include <microhttpd.h>
#include <stdbool.h>
#include <switchboard/address.h>

#define WEB_KEY_SIZE 33             /* 128 random bits in hexadecimal digits, and the NUL */
#define WEB_BODY_MAX 4096
#define WEB_CONNECTIONS_MAX 400

/* Built in by assemble.py. */
struct web_file {
    const char *path, *type, *bytes;
    size_t size;
};

struct web_request {
    struct MHD_Connection *connection;
    const char *path;
    const char *body;               /* of a POST, with a NUL behind it; NULL: a GET */
    const char *who;                /* the browser's own key */
};

struct web {
    struct MHD_Daemon *daemon;
    struct web_site {
        const char *name;           /* of its cookie */
        const struct web_file *files;
        const char *index;          /* the path of the file that "/" is */
        bool needs_token;           /* only who has come by the address with the token gets anything */
        unsigned connections_of_one;    /* of one address at most; 0: no limit */
        /* What is no file. Returns whether it has been answered, by web_answer() or otherwise. */
        bool (*serve)(const struct web_request *request, void *data);
        void *data;
    } site;
    char token[WEB_KEY_SIZE];
    char host[SB_ADDRESS_TEXT_SIZE];    /* HOST:PORT, as for an address line */
    unsigned port;
    int fd;                         /* readable when web_run() has something to do */
};

/* Listens at an address, HOST:PORT. Returns 0 or an exit status after a sentence on stderr; option names it there. */
int web_start(struct web *web, const char *address, const char *option, const struct web_site *site);

/* Does what there is to do; returns milliseconds until it wants to be called again at the latest, -1: no hurry. */
int web_run(struct web *web);

/* Answers with a status and a JSON text; NULL: without a body. */
bool web_answer(const struct web_request *request, unsigned status, const char *json);

/* 409 with a sentence. */
bool web_refuse(const struct web_request *request, const char *why);

/* Queues a response, which it takes, with the headers that all have; type NULL: it has one. */
bool web_queue(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response, const char *type);

/* 128 random bits. */
void web_make_key(char key[WEB_KEY_SIZE]);

void web_stop(struct web *web);

#endif
