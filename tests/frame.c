/* Framing without a socket: every framing, whole and in every split, and what each refuses. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <switchboard/frame.h>

TestSuite(frame, .timeout = 600);

enum { LIMIT = 1000 };
#define FRAMES (SB_FRAME_NETSTRING + 1)

struct stream {
    char bytes[256];
    size_t size;
};

static void put(struct stream *stream, const void *bytes, size_t size)
{
    memcpy(stream->bytes + stream->size, bytes, size);
    stream->size += size;
}

static void put_message(struct stream *stream, enum sb_frame frame, const char *message)
{
    struct sb_frame_ends ends;
    cr_assert_eq(sb_frame_encode(frame, message, strlen(message), &ends), 0);
    put(stream, ends.head, ends.head_size);
    put(stream, message, strlen(message));
    put(stream, ends.tail, ends.tail_size);
}

static void expect_bytes(enum sb_frame frame, const char *message, const void *bytes, size_t size)
{
    struct stream stream = { .size = 0 };
    put_message(&stream, frame, message);
    cr_expect_eq(stream.size, size, "%s: %zu bytes", sb_frame_name(frame), stream.size);
    cr_expect_arr_eq(stream.bytes, bytes, size, "%s", sb_frame_name(frame));
}

Test(frame, stands_around_a_message_as_the_texts_have_it)
{
    static const int32_t native = 18;
    char i32[4 + 18];
    memcpy(i32, &native, 4);
    memcpy(i32 + 4, "下了一天的雨", 18);
    expect_bytes(SB_FRAME_NONE, "下了一天的雨", "下了一天的雨", 18);
    expect_bytes(SB_FRAME_TEXT2, "下了一天的雨", "18下了一天的雨", 20);
    expect_bytes(SB_FRAME_TEXT2, "x", "01x", 3);
    expect_bytes(SB_FRAME_TEXT8, "下了一天的雨", "00000018下了一天的雨", 26);
    expect_bytes(SB_FRAME_READY, "下了一天的雨", "18下了一天的雨", 20);
    expect_bytes(SB_FRAME_I32, "下了一天的雨", i32, sizeof i32);
    expect_bytes(SB_FRAME_U32, "hello", "\0\0\0\5hello", 9);
    expect_bytes(SB_FRAME_LINE, "hello", "hello\n", 6);
    expect_bytes(SB_FRAME_NETSTRING, "hello", "5:hello,", 8);
    expect_bytes(SB_FRAME_NETSTRING, "", "0:,", 3);
}

/* --- decoding ----------------------------------------------------------------------------------------------------- */

struct decoded {
    char text[256];         /* the messages, a newline behind each; at last "!" and why for an error */
    size_t in_message;      /* decoder.taken at the end */
    ssize_t result;
};

/* Feeds the stream in two parts, the second byte by byte when `drip`. */
static struct decoded decode(enum sb_frame frame, const struct stream *stream, size_t split, bool drip)
{
    struct sb_frame_decoder decoder = { .frame = frame, .limit = LIMIT };
    struct decoded decoded = { .text = "" };
    for (size_t at = 0; at < stream->size;) {
        struct sb_frame_piece piece;
        size_t end = at < split ? split : drip ? at + 1 : stream->size;
        decoded.result = sb_frame_decode(&decoder, stream->bytes + at, end - at, &piece);
        if (decoded.result < 0) {
            strcat(strcat(decoded.text, "!"), decoder.why);
            return decoded;
        }
        cr_assert(decoded.result > 0 && at + decoded.result <= end);
        cr_assert(piece.data >= stream->bytes + at && piece.data + piece.size <= stream->bytes + end);
        strncat(decoded.text, piece.data, piece.size);
        if (piece.last)
            strcat(decoded.text, "\n");
        at += decoded.result;
    }
    decoded.in_message = decoder.taken;
    return decoded;
}

static void expect_in_every_split(enum sb_frame frame, const struct stream *stream, const char *text)
{
    for (size_t split = 0; split <= stream->size; split++)
        for (int drip = 0; drip < 2; drip++) {
            struct decoded decoded = decode(frame, stream, split, drip);
            cr_expect_str_eq(decoded.text, text, "%s split at %zu: %s", sb_frame_name(frame), split, decoded.text);
        }
}

static bool knows_its_end(enum sb_frame frame)
{
    return frame != SB_FRAME_NONE && frame != SB_FRAME_READY;
}

Test(frame, gives_the_messages_back_however_the_bytes_are_split)
{
    for (unsigned frame = 0; frame < FRAMES; frame++) {
        struct stream stream = { .size = 0 };
        put_message(&stream, frame, "你好");
        put_message(&stream, frame, "");
        put_message(&stream, frame, "a,b:3");
        if (knows_its_end(frame))
            expect_in_every_split(frame, &stream, "你好\n\na,b:3\n");
    }
}

Test(frame, of_the_ready_handshake_takes_what_one_receive_brings_for_the_length)
{
    struct sb_frame_decoder decoder = { .frame = SB_FRAME_READY, .limit = LIMIT };
    struct sb_frame_piece piece;
    cr_expect_eq(sb_frame_decode(&decoder, "11", 2, &piece), 2);
    cr_expect_str_eq(piece.reply, "ready");
    cr_expect_not(piece.last);
    cr_expect_eq(sb_frame_decode(&decoder, "hello ", 6, &piece), 6);
    cr_expect(piece.size == 6 && !piece.last && !piece.reply);
    cr_expect_eq(sb_frame_decode(&decoder, "world5", 6, &piece), 5);
    cr_expect(piece.size == 5 && piece.last);
    cr_expect_eq(sb_frame_decode(&decoder, "0", 1, &piece), 1);
    cr_expect(piece.size == 0 && piece.last && piece.reply);
}

Test(frame, of_no_kind_ends_where_a_receive_does)
{
    struct sb_frame_decoder decoder = { .frame = SB_FRAME_NONE, .limit = 4 };
    struct sb_frame_piece piece;
    cr_expect_eq(sb_frame_decode(&decoder, "abc", 3, &piece), 3);
    cr_expect(piece.size == 3 && piece.last);
    cr_expect_eq(sb_frame_decode(&decoder, "abcdef", 6, &piece), 4);
    cr_expect(piece.size == 4 && piece.last);
}

/* --- refusing ----------------------------------------------------------------------------------------------------- */

static void expect_refusal(enum sb_frame frame, const void *bytes, size_t size, int error, const char *why)
{
    struct stream stream = { .size = 0 };
    put(&stream, bytes, size);
    expect_in_every_split(frame, &stream, why);
    cr_expect_eq(decode(frame, &stream, 0, false).result, error, "%s", sb_frame_name(frame));
}

static void expect_number_refused(int32_t length, int error, const char *why)
{
    expect_refusal(SB_FRAME_I32, &length, sizeof length, error, why);
}

Test(frame, with_a_bad_length_is_refused_before_its_message_comes)
{
    expect_number_refused(-1, -EBADMSG, "!a negative length, -1");
    expect_number_refused(INT32_MIN, -EBADMSG, "!a negative length, -2147483648");
    expect_number_refused(INT32_MAX, -EMSGSIZE,
                          "!a message of 2147483647 bytes, more than the 1000 that are allowed");
    expect_number_refused(LIMIT + 1, -EMSGSIZE, "!a message of 1001 bytes, more than the 1000 that are allowed");
    expect_refusal(SB_FRAME_U32, "\xff\xff\xff\xff", 4, -EMSGSIZE,
                   "!a message of 4294967295 bytes, more than the 1000 that are allowed");
    expect_refusal(SB_FRAME_TEXT2, "-1", 2, -EBADMSG, "!a length that is no number: '-'");
    expect_refusal(SB_FRAME_TEXT2, "9x", 2, -EBADMSG, "!a length that is no number: '9x'");
    expect_refusal(SB_FRAME_TEXT8, "99x", 3, -EBADMSG, "!a length that is no number: '99x'");
    expect_refusal(SB_FRAME_TEXT8, "99999999", 8, -EMSGSIZE,
                   "!a message of 99999999 bytes, more than the 1000 that are allowed");
    expect_refusal(SB_FRAME_NETSTRING, "99x", 3, -EBADMSG, "!a length that is no number: '99x'");
    expect_refusal(SB_FRAME_NETSTRING, ":", 1, -EBADMSG, "!a length that is no number: ':'");
    expect_refusal(SB_FRAME_NETSTRING, "01:", 3, -EBADMSG, "!a length that begins with 0");
    expect_refusal(SB_FRAME_NETSTRING, "1001:", 5, -EMSGSIZE,
                   "!a message of 1001 bytes, more than the 1000 that are allowed");
    expect_refusal(SB_FRAME_NETSTRING, "99999999999999999999:", 21, -EMSGSIZE,
                   "!a message of more than 18446744073709551615 bytes");
    expect_refusal(SB_FRAME_NETSTRING, "999999999999999999999:", 22, -EBADMSG, "!a length of more than 20 digits");
}

Test(frame, of_a_netstring_ends_with_a_comma)
{
    struct stream stream = { .size = 0 };
    put(&stream, "1:ab", 4);
    for (size_t split = 0; split <= stream.size; split++) {
        struct decoded decoded = decode(SB_FRAME_NETSTRING, &stream, split, false);
        cr_expect_eq(decoded.result, -EBADMSG);
        cr_expect(strstr(decoded.text, "!no comma behind a message"), "%s", decoded.text);
    }
}

Test(frame, of_ready_with_a_bad_length_is_refused)
{
    static const char *const lengths[] = { "-1", "99x", " 9", "9\n", "x" };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct sb_frame_decoder decoder = { .frame = SB_FRAME_READY, .limit = LIMIT };
        struct sb_frame_piece piece;
        cr_expect_eq(sb_frame_decode(&decoder, lengths[i], strlen(lengths[i]), &piece), -EBADMSG, "%s", lengths[i]);
    }
}

Test(frame, of_a_line_that_is_too_long_is_refused_without_its_end)
{
    static char line[LIMIT + 2];
    struct sb_frame_decoder decoder = { .frame = SB_FRAME_LINE, .limit = LIMIT };
    struct sb_frame_piece piece;
    memset(line, 'x', sizeof line);
    line[LIMIT] = '\n';
    cr_expect_eq(sb_frame_decode(&decoder, line, LIMIT + 1, &piece), LIMIT + 1);
    cr_expect(piece.last && piece.size == LIMIT);
    cr_expect_eq(sb_frame_decode(&decoder, line, LIMIT, &piece), LIMIT);
    cr_expect_eq(sb_frame_decode(&decoder, "x", 1, &piece), -EMSGSIZE);
    cr_expect_str_eq(decoder.why, "a line of more than the 1000 bytes that are allowed");
}

Test(frame, that_was_cut_off_in_the_middle_is_seen)
{
    for (unsigned frame = 0; frame < FRAMES; frame++) {
        struct stream stream = { .size = 0 };
        put_message(&stream, frame, "hello");
        for (size_t size = 1; knows_its_end(frame) && size <= stream.size; size++) {
            struct stream part = { .size = 0 };
            put(&part, stream.bytes, size);
            size_t in_message = decode(frame, &part, 0, false).in_message;
            cr_expect_eq(in_message > 0, size < stream.size, "%s cut off at %zu", sb_frame_name(frame), size);
        }
    }
}

Test(frame, cannot_say_what_it_has_no_room_for)
{
    static char big[100];
    struct sb_frame_ends ends = { .head_size = 77 };
    cr_expect_eq(sb_frame_encode(SB_FRAME_TEXT2, big, 100, &ends), -EMSGSIZE);
    cr_expect_eq(sb_frame_encode(SB_FRAME_TEXT8, big, 100000000, &ends), -EMSGSIZE);
    cr_expect_eq(sb_frame_encode(SB_FRAME_I32, big, 2147483648, &ends), -EMSGSIZE);
    cr_expect_eq(sb_frame_encode(SB_FRAME_U32, big, 4294967296, &ends), -EMSGSIZE);
    cr_expect_eq(sb_frame_encode(SB_FRAME_LINE, "a\nb", 3, &ends), -EINVAL);
    cr_expect_eq(ends.head_size, 77, "the result is untouched");
    cr_expect_eq(sb_frame_encode(SB_FRAME_TEXT2, big, 99, &ends), 0);
    cr_expect_arr_eq(ends.head, "99", 2);
}

/* --- names -------------------------------------------------------------------------------------------------------- */

static void expect_framing(const char *text, enum sb_frame caller, enum sb_frame server)
{
    struct sb_framing framing;
    cr_expect_eq(sb_framing_parse(text, &framing, NULL), 0, "%s", text);
    cr_expect(framing.caller == caller && framing.server == server, "%s", text);
}

Test(frame, is_chosen_by_name_for_both_sides_or_as_the_texts_have_it)
{
    expect_framing("none", SB_FRAME_NONE, SB_FRAME_NONE);
    expect_framing("text2", SB_FRAME_NONE, SB_FRAME_TEXT2);
    expect_framing("text8", SB_FRAME_NONE, SB_FRAME_TEXT8);
    expect_framing("ready", SB_FRAME_NONE, SB_FRAME_READY);
    expect_framing("i32", SB_FRAME_NONE, SB_FRAME_I32);
    expect_framing("u32", SB_FRAME_U32, SB_FRAME_U32);
    expect_framing("line", SB_FRAME_LINE, SB_FRAME_LINE);
    expect_framing("netstring", SB_FRAME_NETSTRING, SB_FRAME_NETSTRING);
    expect_framing("i32/i32", SB_FRAME_I32, SB_FRAME_I32);
    expect_framing("line/ready", SB_FRAME_LINE, SB_FRAME_READY);
    expect_framing("none/u32", SB_FRAME_NONE, SB_FRAME_U32);
}

Test(frame, has_no_other_names)
{
    static const char *const wrong[] = { "", "/", "text", "I32", "i32/", "/i32", "i32/i32/i32", "ready/none", " i32" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct sb_framing framing = { .server = 77 };
        const char *why = NULL;
        cr_expect_eq(sb_framing_parse(wrong[i], &framing, &why), -EINVAL, "%s", wrong[i]);
        cr_expect(why && framing.server == 77, "%s", wrong[i]);
    }
}
