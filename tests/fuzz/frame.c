/* frame.h under any bytes. An input is three characters and the rest: the framing ('0' none to '7' netstring), the
 * limit ('0' to '7', see limits), how to split ('0' single bytes); the rest is decoded as a stream, encoded as a
 * message, and read as the name of a framing. */
#include <errno.h>
#include <string.h>
#include <switchboard/frame.h>

#include "fuzz.h"

enum { FRAMES = SB_FRAME_NETSTRING + 1 };

static const size_t limits[] = { 1, 2, 3, 5, 12, 99, 1000, SIZE_MAX };

/* As frame.h has them; 0: any. */
static const size_t longest[FRAMES] = {
    [SB_FRAME_TEXT2] = 99, [SB_FRAME_TEXT8] = 99999999, [SB_FRAME_I32] = 2147483647, [SB_FRAME_U32] = 4294967295,
};

/* --- a decoder and what it has said ------------------------------------------------------------------------------- */

struct transcript {
    struct sb_frame_decoder decoder;
    ssize_t error;
    char *bytes;                /* of all messages, one behind the other */
    size_t size, message;       /* of bytes, and where in them the current message begins */
    size_t *ends, count;        /* where each complete message ends */
    bool replied;               /* in the current frame */
};

static void start(struct transcript *transcript, enum sb_frame frame, size_t limit, size_t stream_size)
{
    *transcript = (struct transcript){ .decoder = { .frame = frame, .limit = limit } };
    transcript->bytes = malloc(stream_size + 1);
    transcript->ends = calloc(stream_size + 1, sizeof *transcript->ends);
    REQUIRE(transcript->bytes && transcript->ends);
}

static void end(struct transcript *transcript)
{
    free(transcript->bytes);
    free(transcript->ends);
}

static void check_error(const struct sb_frame_decoder *decoder, ssize_t error)
{
    size_t length = strnlen(decoder->why, sizeof decoder->why);
    REQUIRE(error == -EBADMSG || error == -EMSGSIZE);
    REQUIRE(length > 0 && length < sizeof decoder->why);
    for (size_t i = 0; i < length; i++)
        REQUIRE(decoder->why[i] >= ' ' && decoder->why[i] < 127);
}

static void check_piece(const struct transcript *transcript, const char *data, size_t size, size_t used,
                        const struct sb_frame_piece *piece)
{
    const struct sb_frame_decoder *decoder = &transcript->decoder;
    REQUIRE(used >= 1 && used <= size);
    REQUIRE(piece->data >= data && piece->data <= data + used && piece->size <= (size_t)(data + used - piece->data));
    REQUIRE(transcript->size - transcript->message + piece->size <= decoder->limit);
    REQUIRE(longest[decoder->frame] == 0 || decoder->left <= longest[decoder->frame]);
    REQUIRE(piece->last == (decoder->taken == 0));
    REQUIRE(!piece->last || (!decoder->in_message && decoder->head_size == 0));
    REQUIRE(!piece->reply || (!transcript->replied && strcmp(piece->reply, SB_FRAME_READY_TEXT) == 0));
    REQUIRE(!piece->last || (decoder->frame == SB_FRAME_READY) == (transcript->replied || piece->reply));
}

static void keep(struct transcript *transcript, const struct sb_frame_piece *piece)
{
    memcpy(transcript->bytes + transcript->size, piece->data, piece->size);
    transcript->size += piece->size;
    transcript->replied = !piece->last && (transcript->replied || piece->reply);
    if (!piece->last)
        return;
    transcript->ends[transcript->count++] = transcript->size;
    transcript->message = transcript->size;
}

static void feed(struct transcript *transcript, const char *data, size_t size)
{
    const struct sb_frame_piece untouched = { .data = "untouched", .size = 9 };
    while (size > 0 && transcript->error == 0) {
        struct sb_frame_piece piece = untouched;
        ssize_t used = sb_frame_decode(&transcript->decoder, data, size, &piece);
        if (used < 0) {
            REQUIRE(piece.data == untouched.data && piece.size == untouched.size && !piece.last && !piece.reply);
            check_error(&transcript->decoder, used);
            transcript->error = used;
            return;
        }
        check_piece(transcript, data, size, used, &piece);
        keep(transcript, &piece);
        data += used;
        size -= used;
    }
}

/* From memory of just that size, so that AddressSanitizer sees a byte too many. */
static void feed_copy(struct transcript *transcript, const char *data, size_t size)
{
    char *copy = malloc(size ? size : 1);
    REQUIRE(copy);
    memcpy(copy, data, size);
    feed(transcript, copy, size);
    free(copy);
}

static void feed_split(struct transcript *transcript, const char *data, size_t size, unsigned split)
{
    uint32_t random = split;
    while (size > 0 && transcript->error == 0) {
        random = random * 1664525 + 1013904223;
        size_t part = split == 0 ? 1 : 1 + (random >> 16) % (2 * split);
        part = part < size ? part : size;
        feed_copy(transcript, data, part);
        data += part;
        size -= part;
    }
}

/* --- decoding ----------------------------------------------------------------------------------------------------- */

static void check_same(const struct transcript *a, const struct transcript *b)
{
    REQUIRE(a->error == b->error && strcmp(a->decoder.why, b->decoder.why) == 0);
    REQUIRE(a->count == b->count && memcmp(a->ends, b->ends, a->count * sizeof *a->ends) == 0);
    REQUIRE(memcmp(a->bytes, b->bytes, a->message) == 0);
    if (a->error == 0)
        REQUIRE(a->decoder.taken == b->decoder.taken && a->size == b->size &&
                memcmp(a->bytes, b->bytes, a->size) == 0);
}

/* A message has one form on the wire: encoded again it is what was read. */
static void check_canonical(const struct transcript *transcript, const char *stream, size_t size)
{
    const char *rest = stream;
    for (size_t i = 0, begin = 0; i < transcript->count; begin = transcript->ends[i++]) {
        const char *message = transcript->bytes + begin;
        size_t length = transcript->ends[i] - begin;
        struct sb_frame_ends ends;
        REQUIRE(sb_frame_encode(transcript->decoder.frame, message, length, &ends) == 0);
        REQUIRE((size_t)(rest - stream) + ends.head_size + length + ends.tail_size <= size);
        REQUIRE(memcmp(rest, ends.head, ends.head_size) == 0);
        REQUIRE(memcmp(rest + ends.head_size, message, length) == 0);
        REQUIRE(memcmp(rest + ends.head_size + length, ends.tail, ends.tail_size) == 0);
        rest += ends.head_size + length + ends.tail_size;
    }
    if (transcript->error == 0)
        REQUIRE((size_t)(rest - stream) + transcript->decoder.taken == size);
}

/* Under none and ready a receive's end means something; there only what each piece promises is checked. */
static void check_stream(enum sb_frame frame, size_t limit, unsigned split, const char *stream, size_t size)
{
    struct transcript whole, parts;
    start(&whole, frame, limit, size);
    start(&parts, frame, limit, size);
    feed_copy(&whole, stream, size);
    feed_split(&parts, stream, size, split);
    if (frame != SB_FRAME_NONE && frame != SB_FRAME_READY) {
        check_same(&whole, &parts);
        check_canonical(&whole, stream, size);
    }
    end(&whole);
    end(&parts);
}

/* --- encoding ----------------------------------------------------------------------------------------------------- */

static int expected_error(enum sb_frame frame, const char *message, size_t size)
{
    if (longest[frame] > 0 && size > longest[frame])
        return -EMSGSIZE;
    for (size_t i = 0; frame == SB_FRAME_LINE && i < size; i++)
        if (message[i] == '\n')
            return -EINVAL;
    return 0;
}

static int encode(enum sb_frame frame, const char *message, size_t size, struct sb_frame_ends *ret_ends)
{
    struct sb_frame_ends untouched;
    memset(&untouched, 'x', sizeof untouched);
    *ret_ends = untouched;
    int r = sb_frame_encode(frame, message, size, ret_ends);
    REQUIRE(r == expected_error(frame, message, size));
    REQUIRE(r == 0 || memcmp(ret_ends, &untouched, sizeof untouched) == 0);
    REQUIRE(r < 0 || (ret_ends->head_size <= sizeof ret_ends->head && ret_ends->tail_size <= sizeof ret_ends->tail));
    return r;
}

/* The receiver of a `ready` head answers before the message comes. */
static void decode_frame(enum sb_frame frame, size_t limit, unsigned split, const struct sb_frame_ends *ends,
                         const char *message, size_t size, struct transcript *ret_transcript)
{
    size_t total = ends->head_size + size + ends->tail_size;
    size_t first = frame == SB_FRAME_READY ? ends->head_size : frame == SB_FRAME_NONE ? total : 0;
    char *bytes = malloc(total + 1);
    REQUIRE(bytes);
    memcpy(mempcpy(mempcpy(bytes, ends->head, ends->head_size), message, size), ends->tail, ends->tail_size);
    start(ret_transcript, frame, limit, total);
    feed_copy(ret_transcript, bytes, first);
    feed_split(ret_transcript, bytes + first, total - first, split);
    free(bytes);
}

static void check_round_trip(enum sb_frame frame, unsigned split, const char *message, size_t size)
{
    struct sb_frame_ends ends;
    struct transcript transcript;
    if (encode(frame, message, size, &ends) < 0 || (frame == SB_FRAME_NONE && size == 0))
        return;
    decode_frame(frame, size > 0 ? size : 1, split, &ends, message, size, &transcript);
    REQUIRE(transcript.error == 0 && transcript.count == 1 && transcript.decoder.taken == 0);
    REQUIRE(transcript.size == size && memcmp(transcript.bytes, message, size) == 0);
    end(&transcript);
    if (size <= 1 || frame == SB_FRAME_NONE)
        return;
    decode_frame(frame, size - 1, split, &ends, message, size, &transcript);
    REQUIRE(transcript.error == -EMSGSIZE && transcript.count == 0);
    end(&transcript);
}

/* A head alone, of a message that nobody has: only a line's bytes are looked at. */
static void check_announced(enum sb_frame frame, const char *data, size_t size)
{
    struct sb_frame_ends ends;
    struct transcript transcript;
    uint64_t length;
    if (size <= sizeof length || frame == SB_FRAME_NONE || frame == SB_FRAME_LINE)
        return;
    memcpy(&length, data, sizeof length);
    length >>= (unsigned char)data[sizeof length] % 64;
    if (length <= 1 || encode(frame, data, length, &ends) < 0)
        return;
    for (int refused = 0; refused <= 1; refused++) {
        start(&transcript, frame, length - refused, ends.head_size);
        feed_copy(&transcript, ends.head, ends.head_size);
        REQUIRE(transcript.error == (refused ? -EMSGSIZE : 0) && transcript.size == 0 && transcript.count == 0);
        REQUIRE(refused || transcript.decoder.taken == ends.head_size);
        end(&transcript);
    }
}

/* --- names -------------------------------------------------------------------------------------------------------- */

static int find_frame(const char *name, size_t length)
{
    for (int frame = 0; frame < FRAMES; frame++)
        if (strlen(sb_frame_name(frame)) == length && memcmp(sb_frame_name(frame), name, length) == 0)
            return frame;
    return -1;
}

static int expected_framing(const char *text, struct sb_framing *ret_framing)
{
    const char *slash = strchr(text, '/'), *name = slash ? slash + 1 : text;
    int server = find_frame(name, strlen(name)), caller = SB_FRAME_NONE;
    if (slash)
        caller = find_frame(text, slash - text);
    else if (server >= SB_FRAME_U32)
        caller = server;
    if (server < 0 || caller < 0 || caller == SB_FRAME_READY)
        return -EINVAL;
    *ret_framing = (struct sb_framing){ .caller = caller, .server = server };
    return 0;
}

static void check_name(const char *text)
{
    struct sb_framing framing = { .caller = 77, .server = 88 }, expected = framing;
    const char *why = NULL;
    int r = sb_framing_parse(text, &framing, &why);
    REQUIRE(r == expected_framing(text, &expected));
    REQUIRE(framing.caller == expected.caller && framing.server == expected.server);
    REQUIRE((r < 0) == (why != NULL));
    REQUIRE(sb_framing_parse(text, &framing, NULL) == r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    enum sb_frame frame = data[0] % FRAMES;
    size_t limit = limits[data[1] % (sizeof limits / sizeof *limits)], length = size - 3;
    unsigned split = data[2] % 16;
    char *rest = malloc(length + 1);
    REQUIRE(rest);
    memcpy(rest, data + 3, length);
    rest[length] = '\0';
    check_stream(frame, limit, split, rest, length);
    check_round_trip(frame, split, rest, length);
    check_announced(frame, rest, length);
    check_name(rest);
    free(rest);
    return 0;
}
