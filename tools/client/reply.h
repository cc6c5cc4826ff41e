/* What the server says, on its way to standard output: taken out of its frames, each reply on lines of its own. */
#ifndef REPLY_H
#define REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <switchboard/frame.h>

struct reply_options {
    enum sb_frame frame;
    bool frame_once;        /* only the first message is framed, what follows is bare */
    bool quit;              /* a reply that is just q or Q ends it all */
    bool show;              /* each receive is shown, and then each message of a framing */
};

struct reply {
    const struct reply_options *options;
    unsigned long receives, messages;

    /* What the bytes last taken brought. */
    bool complete;          /* a reply is there: all of it if it is framed, else something of it */
    const char *answer;     /* what the server waits for (sb_frame_piece), or NULL */
    bool said_quit;

    struct sb_frame_decoder decoder;
    bool is_open;           /* begun, and it has not ended its line; size and last_byte are what there is of it */
    size_t size;
    char last_byte;
    FILE *gathering;        /* a message that will be shown when it is complete */
    char *gathered;
    size_t gathered_size;
    int output_error;       /* an errno: a message cannot be kept until it is shown */
    bool output_lost;       /* standard output takes no more, which has been said */
};

/* The options stay the caller's. reply_close() frees what it holds. */
void reply_open(struct reply *reply, const struct reply_options *options);
void reply_close(struct reply *reply);

/* Whether replies end where the framing says, or wherever they seem to; and whether the end of one is still to come. */
bool reply_is_framed(const struct reply *reply);
bool reply_is_unfinished(const struct reply *reply);

/* Takes what one receive brought. Size 0: an empty datagram. 0, or -errno as sb_frame_decode(), and decoder.why. After
 * this and the next two the output may have failed: output_error, output_lost. */
int reply_take(struct reply *reply, const char *bytes, size_t size);

/* The end of a connection, where it is shown. */
void reply_take_end(struct reply *reply);

/* A reply that does not end its line is given a newline. Nothing where none has begun. */
void reply_end(struct reply *reply);

#endif
