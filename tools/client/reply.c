#include "reply.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
#include "../program.h"
#include "../show.h"

/* Bytes. They are printed as they come, so it is a bound for nonsense only: below the number that four bytes of text
 * are to the framing i32. */
#define MESSAGE_MAX ((size_t)128 << 20)

/* --- output ------------------------------------------------------------------------------------------------------- */

static void flush(struct reply *reply)
{
    reply->output_lost |= program_flush() < 0;
}

static void print(struct reply *reply, const char *bytes, size_t size)
{
    fwrite(bytes, 1, size, stdout);
    flush(reply);
}

static void show_receive(struct reply *reply, const char *bytes, size_t size)
{
    show_bytes(stdout, "recv", reply->receives, bytes, size);
    flush(reply);
}

static void gather(struct reply *reply, const char *bytes, size_t size)
{
    if (!reply->gathering)
        reply->gathering = open_memstream(&reply->gathered, &reply->gathered_size);
    if (!reply->gathering || fwrite(bytes, 1, size, reply->gathering) < size)
        reply->output_error = errno;
}

/* Without memory glibc's fclose() returns 0, and a NULL. */
static void stop_gathering(struct reply *reply)
{
    if (reply->gathering && (fclose(reply->gathering) != 0 || !reply->gathered))
        reply->output_error = ENOMEM;
    reply->gathering = NULL;
}

static void show_gathered(struct reply *reply)
{
    stop_gathering(reply);
    if (reply->output_error == 0 && !reply->output_lost) {
        show_bytes(stdout, reply_is_framed(reply) ? "message" : "bare", reply->messages, reply->gathered,
                   reply->gathered_size);
        flush(reply);
    }
    free(reply->gathered);
    reply->gathered = NULL;
}

/* --- replies ------------------------------------------------------------------------------------------------------ */

void reply_end(struct reply *reply)
{
    if (reply->is_open && !reply->options->show && reply->last_byte != '\n')
        print(reply, "\n", 1);
    reply->is_open = false;
    reply->size = 0;
    reply->last_byte = '\0';
}

static void extend(struct reply *reply, const char *bytes, size_t size)
{
    reply->is_open = true;
    reply->size += size;
    if (size > 0)
        reply->last_byte = bytes[size - 1];
    if (!reply->options->show)
        print(reply, bytes, size);
    else if (reply->options->frame != SB_FRAME_NONE)
        gather(reply, bytes, size);
}

static void complete(struct reply *reply)
{
    bool is_q = reply->size == 1 && (reply->last_byte == 'q' || reply->last_byte == 'Q');

    reply->complete = true;
    reply->said_quit = is_q && reply->options->quit;
    reply->messages++;
    if (reply->gathering)
        show_gathered(reply);
}

static ssize_t take_bare(struct reply *reply, const char *bytes, size_t size)
{
    extend(reply, bytes, size);
    complete(reply);
    return size;
}

static ssize_t take_framed(struct reply *reply, const char *bytes, size_t size)
{
    struct sb_frame_piece piece;
    ssize_t used = sb_frame_decode(&reply->decoder, bytes, size, &piece);

    if (used < 0)
        return used;
    if (piece.reply)
        reply->answer = piece.reply;
    if (piece.size > 0 || piece.last)
        extend(reply, piece.data, piece.size);
    if (piece.last) {
        complete(reply);
        reply_end(reply);
        if (reply->options->frame_once)
            reply->decoder.frame = SB_FRAME_NONE;
    }
    return used;
}

int reply_take(struct reply *reply, const char *bytes, size_t size)
{
    ssize_t used;

    reply->complete = reply->said_quit = false;
    reply->answer = NULL;
    reply->receives++;
    if (reply->options->show)
        show_receive(reply, bytes, size);
    do {
        used = reply_is_framed(reply) ? take_framed(reply, bytes, size) : take_bare(reply, bytes, size);
        if (used < 0)
            return used;
        bytes += used;
        size -= used;
    } while (size > 0 && !reply->said_quit);
    return 0;
}

void reply_take_end(struct reply *reply)
{
    if (!reply->options->show)
        return;
    printf("recv %lu: 0 bytes: the end\n", reply->receives + 1);
    flush(reply);
}

bool reply_is_framed(const struct reply *reply)
{
    return reply->decoder.frame != SB_FRAME_NONE;
}

bool reply_is_unfinished(const struct reply *reply)
{
    return reply->decoder.taken > 0;
}

void reply_open(struct reply *reply, const struct reply_options *options)
{
    *reply = (struct reply){ .options = options, .decoder = { .frame = options->frame, .limit = MESSAGE_MAX } };
}

void reply_close(struct reply *reply)
{
    stop_gathering(reply);
    free(reply->gathered);
    reply->gathered = NULL;
}
