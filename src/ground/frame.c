#include <errno.h>
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <switchboard/frame.h>

#define LENGTH_DIGITS_MAX 20

/* Python's struct.pack("i") is the C compiler's int. */
_Static_assert(sizeof(int) == 4, "i32 is Python's native int");

static const char *const names[] = {
    [SB_FRAME_NONE] = "none", [SB_FRAME_TEXT2] = "text2", [SB_FRAME_TEXT8] = "text8", [SB_FRAME_READY] = "ready",
    [SB_FRAME_I32] = "i32", [SB_FRAME_U32] = "u32", [SB_FRAME_LINE] = "line", [SB_FRAME_NETSTRING] = "netstring",
};
enum { FRAMES = sizeof names / sizeof *names };

/* --- names -------------------------------------------------------------------------------------------------------- */

const char *sb_frame_name(enum sb_frame frame)
{
    return names[frame];
}

static int find_frame(const char *name, size_t length)
{
    for (int frame = 0; frame < FRAMES; frame++)
        if (strlen(names[frame]) == length && memcmp(names[frame], name, length) == 0)
            return frame;
    return -EINVAL;
}

static bool frames_both_sides(enum sb_frame frame)
{
    return frame == SB_FRAME_U32 || frame == SB_FRAME_LINE || frame == SB_FRAME_NETSTRING;
}

int sb_framing_parse(const char *text, struct sb_framing *ret_framing, const char **ret_why)
{
    const char *slash = strchr(text, '/'), *why = NULL;
    int server = slash ? find_frame(slash + 1, strlen(slash + 1)) : find_frame(text, strlen(text));
    int caller = slash ? find_frame(text, slash - text) : server >= 0 && frames_both_sides(server) ? server : 0;
    if (server < 0 || caller < 0)
        why = "it must be none, text2, text8, ready, i32, u32, line or netstring, or two of them: CALLER/SERVER";
    else if (caller == SB_FRAME_READY)
        why = "only the server can frame by ready";
    if (why) {
        if (ret_why)
            *ret_why = why;
        return -EINVAL;
    }
    *ret_framing = (struct sb_framing){ .caller = caller, .server = server };
    return 0;
}

/* --- encoding ----------------------------------------------------------------------------------------------------- */

static int longest(enum sb_frame frame, size_t *ret_size)
{
    static const size_t limits[FRAMES] = {
        [SB_FRAME_TEXT2] = 99, [SB_FRAME_TEXT8] = 99999999, [SB_FRAME_I32] = INT32_MAX, [SB_FRAME_U32] = UINT32_MAX,
    };
    *ret_size = limits[frame];
    return limits[frame] > 0;
}

static void encode_digits(struct sb_frame_ends *ends, size_t size, int width, const char *colon)
{
    ends->head_size = snprintf(ends->head, sizeof ends->head, "%0*zu%s", width, size, colon);
}

static void encode_bytes(struct sb_frame_ends *ends, uint32_t length)
{
    memcpy(ends->head, &length, sizeof length);
    ends->head_size = sizeof length;
}

static void encode_tail(struct sb_frame_ends *ends, char tail)
{
    ends->tail[0] = tail;
    ends->tail_size = 1;
}

int sb_frame_encode(enum sb_frame frame, const void *message, size_t size, struct sb_frame_ends *ret_ends)
{
    struct sb_frame_ends ends = { .head_size = 0 };
    size_t limit;
    if (longest(frame, &limit) && size > limit)
        return -EMSGSIZE;
    if (frame == SB_FRAME_LINE && size > 0 && memchr(message, '\n', size))
        return -EINVAL;
    if (frame == SB_FRAME_TEXT2 || frame == SB_FRAME_TEXT8)
        encode_digits(&ends, size, frame == SB_FRAME_TEXT2 ? 2 : 8, "");
    else if (frame == SB_FRAME_READY || frame == SB_FRAME_NETSTRING)
        encode_digits(&ends, size, 1, frame == SB_FRAME_NETSTRING ? ":" : "");
    else if (frame == SB_FRAME_I32 || frame == SB_FRAME_U32)
        encode_bytes(&ends, frame == SB_FRAME_U32 ? htonl(size) : size);
    if (frame == SB_FRAME_LINE || frame == SB_FRAME_NETSTRING)
        encode_tail(&ends, frame == SB_FRAME_LINE ? '\n' : ',');
    *ret_ends = ends;
    return 0;
}

/* --- decoding ----------------------------------------------------------------------------------------------------- */

static int __attribute__((format(printf, 3, 4))) fail(struct sb_frame_decoder *decoder, int error, const char *format,
                                                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(decoder->why, sizeof decoder->why, format, arguments);
    va_end(arguments);
    return error;
}

static int begin_message(struct sb_frame_decoder *decoder, uint64_t length)
{
    if (length > decoder->limit)
        return fail(decoder, -EMSGSIZE, "a message of %ju bytes, more than the %zu that are allowed",
                    (uintmax_t)length, decoder->limit);
    decoder->left = length;
    decoder->in_message = true;
    return 0;
}

static int decode_bytes(struct sb_frame_decoder *decoder)
{
    uint32_t length;
    memcpy(&length, decoder->head, sizeof length);
    if (decoder->frame == SB_FRAME_U32)
        length = ntohl(length);
    else if ((int32_t)length < 0)
        return fail(decoder, -EBADMSG, "a negative length, %d", (int32_t)length);
    return begin_message(decoder, length);
}

static int decode_digits(struct sb_frame_decoder *decoder)
{
    uint64_t length = 0;
    for (int i = 0; i < decoder->head_size; i++)
        if (__builtin_mul_overflow(length, 10, &length) ||
            __builtin_add_overflow(length, decoder->head[i] - '0', &length))
            return fail(decoder, -EMSGSIZE, "a message of more than %ju bytes", (uintmax_t)UINT64_MAX);
    return begin_message(decoder, length);
}

static int bad_digit(struct sb_frame_decoder *decoder, unsigned char byte)
{
    if (byte > ' ' && byte < 127)
        return fail(decoder, -EBADMSG, "a length that is no number: '%.*s%c'", decoder->head_size, decoder->head, byte);
    return fail(decoder, -EBADMSG, "a length that is no number: byte 0x%02x behind '%.*s'", byte, decoder->head_size,
                decoder->head);
}

/* One more byte of a decimal length, which has `width` digits or, with 0, ends at a colon or with what was received. */
static int take_digit(struct sb_frame_decoder *decoder, char byte, int width, bool last)
{
    bool netstring = decoder->frame == SB_FRAME_NETSTRING;
    if (netstring && byte == ':' && decoder->head_size > 0)
        return decode_digits(decoder);
    if (byte < '0' || byte > '9')
        return bad_digit(decoder, byte);
    if (netstring && decoder->head_size == 1 && decoder->head[0] == '0')
        return fail(decoder, -EBADMSG, "a length that begins with 0");
    if (decoder->head_size == LENGTH_DIGITS_MAX)
        return fail(decoder, -EBADMSG, "a length of more than %d digits", LENGTH_DIGITS_MAX);
    decoder->head[decoder->head_size++] = byte;
    bool complete = width > 0 ? decoder->head_size == width : !netstring && last;
    return complete ? decode_digits(decoder) : 0;
}

/* One more byte of the head; `last` of those that were received. */
static int take_head(struct sb_frame_decoder *decoder, char byte, bool last)
{
    switch (decoder->frame) {
    case SB_FRAME_TEXT2:
        return take_digit(decoder, byte, 2, last);
    case SB_FRAME_TEXT8:
        return take_digit(decoder, byte, 8, last);
    case SB_FRAME_READY:
    case SB_FRAME_NETSTRING:
        return take_digit(decoder, byte, 0, last);
    default:
        decoder->head[decoder->head_size++] = byte;
        return decoder->head_size == sizeof(uint32_t) ? decode_bytes(decoder) : 0;
    }
}

static ssize_t decode_bare(const struct sb_frame_decoder *decoder, const char *data, size_t size,
                           struct sb_frame_piece *piece)
{
    *piece = (struct sb_frame_piece){ .data = data, .size = size < decoder->limit ? size : decoder->limit,
                                      .last = true };
    return piece->size;
}

static ssize_t decode_line(struct sb_frame_decoder *decoder, const char *data, size_t size,
                           struct sb_frame_piece *piece)
{
    const char *newline = memchr(data, '\n', size);
    size_t length = newline ? (size_t)(newline - data) : size;
    if (decoder->taken == 0)
        decoder->left = decoder->limit;
    if (length > decoder->left)
        return fail(decoder, -EMSGSIZE, "a line of more than the %zu bytes that are allowed", decoder->limit);
    decoder->left -= length;
    *piece = (struct sb_frame_piece){ .data = data, .size = length, .last = newline != NULL };
    return length + piece->last;
}

/* What follows a complete head: the rest of the message, as far as it is there, and its tail. */
static ssize_t decode_rest(struct sb_frame_decoder *decoder, const char *data, size_t size,
                           struct sb_frame_piece *piece)
{
    bool tail = decoder->frame == SB_FRAME_NETSTRING;
    piece->data = data;
    piece->size = size < decoder->left ? size : decoder->left;
    decoder->left -= piece->size;
    if (decoder->left > 0 || (tail && piece->size == size))
        return piece->size;
    if (tail && data[piece->size] != ',')
        return fail(decoder, -EBADMSG, "no comma behind a message");
    piece->last = true;
    return piece->size + tail;
}

static ssize_t decode_counted(struct sb_frame_decoder *decoder, const char *data, size_t size,
                              struct sb_frame_piece *piece)
{
    size_t used = 0;
    *piece = (struct sb_frame_piece){ .data = data };
    while (!decoder->in_message && used < size) {
        int r = take_head(decoder, data[used], used + 1 == size);
        if (r < 0)
            return r;
        used++;
        if (decoder->in_message && decoder->frame == SB_FRAME_READY)
            piece->reply = SB_FRAME_READY_TEXT;
    }
    if (!decoder->in_message)
        return used;
    ssize_t rest = decode_rest(decoder, data + used, size - used, piece);
    return rest < 0 ? rest : (ssize_t)used + rest;
}

ssize_t sb_frame_decode(struct sb_frame_decoder *decoder, const char *data, size_t size,
                        struct sb_frame_piece *ret_piece)
{
    struct sb_frame_piece piece;
    ssize_t used = decoder->frame == SB_FRAME_NONE ? decode_bare(decoder, data, size, &piece)
                   : decoder->frame == SB_FRAME_LINE ? decode_line(decoder, data, size, &piece)
                                                     : decode_counted(decoder, data, size, &piece);
    if (used < 0)
        return used;
    decoder->taken += used;
    if (piece.last) {
        decoder->taken = 0;
        decoder->in_message = false;
        decoder->head_size = 0;
    }
    *ret_piece = piece;
    return used;
}
