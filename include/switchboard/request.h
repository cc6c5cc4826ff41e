/* The handler author's verbs: a request is a connection, or one datagram with its reply.
 *
 * All calls belong to the thread of control that the strategy gave the request, and to no other at the same time.
 * They return >= 0, or -errno; -ETIMEDOUT when the request's timeout passed, -ECANCELED when the server stops and its
 * drain deadline is over; a receive that this meets blocked in the kernel reports the end, a send -EPIPE. Where a call
 * has to wait otherwise, it waits through the strategy's `wait`, so the same straight-line code serves under all.
 *
 * On a datagram, the receiving calls read the packet and then report the end, the sending calls gather one reply, which
 * goes to the sender when the handler has finished. Nothing sent means no reply; sending 0 bytes means an empty one. */
#ifndef SWITCHBOARD_REQUEST_H
#define SWITCHBOARD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>
#include <sys/socket.h>
#include <switchboard/address.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct sb_request;
struct sb_server;

/* At most size bytes; 0 is the end (the peer closed or shut down its writing half). */
ssize_t sb_recv(struct sb_request *request, void *buffer, size_t size);

/* Some of the bytes, at least one; returns how many went out. See sb_sendall(). */
ssize_t sb_send(struct sb_request *request, const void *buffer, size_t size);

/* All of the bytes, in as many steps as it takes, or an error. The timeout bounds the whole call.
 * Datagram: -EMSGSIZE when the reply would outgrow 65535 bytes; what was gathered before stays. */
int sb_sendall(struct sb_request *request, const void *buffer, size_t size);

/* A line with its newline, NUL-terminated, as fgets(3): at most size - 1 bytes, so a longer line comes in pieces, the
 * last line may lack its newline. Returns its length, 0 at the end. sb_recv() afterwards continues behind the line. */
ssize_t sb_readline(struct sb_request *request, char *line, size_t size);

/* Formats and sends all; returns the length. */
int sb_printf(struct sb_request *request, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The caller's next message, without its framing: the one that the option SB_FRAME_OPTION chose, `none` where the
 * handler has no such option. Returns 1 and its length, perhaps 0; or 0 at the end, between two messages.
 * With `none` a message is what one receive brings, at most size bytes; on a datagram too, whatever the framing.
 * -EMSGSIZE: it is longer than size; -EBADMSG: no frame, or cut off by the end. The server's log says how; end the talk
 * then, for the next message cannot be found. sb_recv() and sb_readline() continue behind the message. */
int sb_recv_message(struct sb_request *request, void *buffer, size_t size, size_t *ret_length);

/* Sends a message, framed; all of it, as sb_sendall(). -EMSGSIZE: longer than the framing can say; -EINVAL: a newline
 * in a line; -EBADMSG: the caller did not say `ready`. */
int sb_send_message(struct sb_request *request, const void *message, size_t size);

/* stdio streams over the request, made at the first call, flushed and closed after finish: do not fclose() them.
 * They buffer: do not mix rfile with sb_recv(), nor a buffered wfile with sb_send(). NULL: out of memory. */
FILE *sb_rfile(struct sb_request *request);
FILE *sb_wfile(struct sb_request *request);

/* The timeout of each operation from now on, in milliseconds; -1: none. */
int sb_settimeout(struct sb_request *request, int timeout_ms);
int sb_gettimeout(const struct sb_request *request);

/* Waits until fd, any descriptor of the handler's, is ready for events (poll(2)'s POLLIN, POLLOUT).
 * Returns the events that are, or -ETIMEDOUT after timeout_ms milliseconds (-1: no limit). */
int sb_wait_fd(struct sb_request *request, int fd, short events, int timeout_ms);

/* Pauses this request only. Returns 0, or -ECANCELED. */
int sb_sleep(struct sb_request *request, int milliseconds);

/* Runs a call that blocks and knows no other way, run(argument): where many requests share a thread, on one of a few
 * helper threads while the others go on; elsewhere here. Returns 0 when it has been run, or -errno when it could not
 * be. */
int sb_offload(struct sb_request *request, void (*run)(void *argument), void *argument);

/* Calls another server, at an address as text (address.h). Its name is looked up by sb_offload(), and all of its
 * addresses are tried, one after the other (sb_address_connect()). Returns a connected socket, non-blocking, to be
 * waited for by sb_wait_fd() and closed by the handler; or -errno, -ETIMEDOUT after timeout_ms milliseconds (-1: no
 * limit). */
int sb_connect(struct sb_request *request, const char *address, int timeout_ms);

/* True for udp and unixgram. */
bool sb_is_datagram(const struct sb_request *request);

/* The socket: the connection, or on a datagram the server's own socket. The request keeps it: do not close it, and do
 * not read(2) it: what has come may have been received already. */
int sb_fileno(const struct sb_request *request);

/* Who asks, and at which of our addresses (getsockname(2); of a datagram at a wildcard address: where it was sent to,
 * and its reply leaves from). IPv4 addresses are never mapped ones. */
const struct sb_address *sb_client_address(const struct sb_request *request);
int sb_local_address(const struct sb_request *request, struct sb_address *ret_address);

/* client_address as text, "127.0.0.1:4711", or of a Unix connection without an address "pid 4711 uid 1000"; owned by
 * the request. */
const char *sb_client_name(struct sb_request *request);

/* Process, user and group at the other end of a Unix connection, as they were at connect(2) (unix(7), SO_PEERCRED).
 * -EOPNOTSUPP on other sockets. */
struct sb_credentials {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};
int sb_peer_credentials(const struct sb_request *request, struct sb_credentials *ret_credentials);

/* getsockopt(2) and setsockopt(2) on the request's socket. */
int sb_getsockopt(const struct sb_request *request, int level, int name, void *value, socklen_t *size);
int sb_setsockopt(struct sb_request *request, int level, int name, const void *value, socklen_t size);

/* Why the handler fails, one phrase: `return sb_fail(request, -EACCES, "wrong answer")`. handle_error reports it in
 * place of the error's own text. Returns error. */
int sb_fail(struct sb_request *request, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The server that received it. */
struct sb_server *sb_request_server(const struct sb_request *request);

/* A line for the server's log, with the peer's address in front; shown with `serve -v` only. */
void sb_log(struct sb_request *request, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whether what is received from now on is secret: `serve -v` then shows how many bytes came, and not which. */
void sb_conceal(struct sb_request *request, bool secret);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
