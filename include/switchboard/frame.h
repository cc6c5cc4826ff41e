/* Messages on a stream: where one ends and the next begins. For clients, and for whoever speaks a protocol without a
 * handler; a handler has sb_recv_message() and sb_send_message() (request.h) and need not know its framing.
 *
 *     name       a message on the wire                                                     longest, bytes
 *     none       its bytes; it ends where a receive does                                   any
 *     text2      its length as 2 decimal digits, its bytes                                 99
 *     text8      its length as 8 decimal digits, its bytes                                 99999999
 *     ready      its length as decimal digits; the receiver answers `ready`; its bytes     any
 *     i32        its length as int32_t in the machine's byte order (Python's
 *                struct.pack("i")), its bytes                                              2147483647
 *     u32        its length as uint32_t in network byte order, its bytes                   4294967295
 *     line       its bytes, none of them a newline, and a newline                          any
 *     netstring  its length as decimal digits, a colon, its bytes, a comma: 5:hello,       any
 *                (D. J. Bernstein, "Netstrings", 1997)
 *
 * The length of `ready` ends where a receive does: nothing else tells. Choose u32, line or netstring where you can. */
#ifndef SWITCHBOARD_FRAME_H
#define SWITCHBOARD_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum sb_frame {
    SB_FRAME_NONE, SB_FRAME_TEXT2, SB_FRAME_TEXT8, SB_FRAME_READY, SB_FRAME_I32, SB_FRAME_U32, SB_FRAME_LINE,
    SB_FRAME_NETSTRING,
};

/* How the two sides of a talk frame what they say. */
struct sb_framing {
    enum sb_frame caller, server;
};

/* Reads "CALLER/SERVER", or one name: u32, line and netstring for both sides; text2, text8, ready and i32 for what the
 * server says, while the caller's messages are bare, as in the texts that these four come from. `ready` is only the
 * server's.
 * -EINVAL: ret_why (may be NULL) receives a constant phrase that says why. */
int sb_framing_parse(const char *text, struct sb_framing *ret_framing, const char **ret_why);

/* "none", "text2", ... The string is static. */
const char *sb_frame_name(enum sb_frame frame);

/* What stands before and behind a message. */
struct sb_frame_ends {
    char head[24], tail[1];
    unsigned char head_size, tail_size;
};

/* The ends for this message of size bytes. Under `ready` the receiver has to say SB_FRAME_READY_TEXT between head and
 * message. -EMSGSIZE: longer than the framing can say; -EINVAL: a newline inside a line. */
int sb_frame_encode(enum sb_frame frame, const void *message, size_t size, struct sb_frame_ends *ret_ends);

#define SB_FRAME_READY_TEXT "ready"

/* Takes a stream apart, in whatever pieces it comes; holds no message and allocates nothing. Begin with
 * { .frame = ..., .limit = ... }; the other members are its own. One decoder for each direction of each stream. */
struct sb_frame_decoder {
    enum sb_frame frame;
    size_t limit;           /* of a message, bytes, at least 1 */

    char why[96];           /* after an error: what is wrong, a phrase */

    size_t taken;           /* bytes of the current frame so far, its head and tail too; 0: between two messages */
    bool in_message;        /* its head is complete */
    size_t left;            /* bytes of the message that are still to come; of a line: that may still come */
    unsigned char head_size;
    char head[24];
};

/* A piece of a message: bytes inside the data that was decoded. */
struct sb_frame_piece {
    const char *data;
    size_t size;            /* perhaps 0 */
    bool last;              /* with it the message is complete */
    const char *reply;      /* what the sender waits for before it goes on (SB_FRAME_READY_TEXT), or NULL */
};

/* Decodes from data, size > 0 bytes, at most to the end of one message. Returns how many bytes it has used, at least 1.
 * -EBADMSG: this is no such frame, -EMSGSIZE: the message is longer than the limit; both are found before a byte of the
 * message is asked for, except in a line. After an error the stream cannot be decoded any further. */
ssize_t sb_frame_decode(struct sb_frame_decoder *decoder, const char *data, size_t size,
                        struct sb_frame_piece *ret_piece);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
