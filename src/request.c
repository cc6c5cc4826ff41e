#include "request.h"

#include <stdlib.h>

#include "ground/descriptor.h"

/* Who takes requests by other means than a gate has a book, too, until the server is freed. */
static struct sb_entry *new_entry(struct sb_books *books, int connection)
{
    struct sb_book *book = sb_worker.book;
    if (!book || book->books != books)
        book = sb_book_open(books);
    return book ? sb_entry_new(book, connection) : NULL;
}

struct sb_request *sb_request_new(struct sb_listener *listener, int fd, size_t packet_size)
{
    struct sb_server *server = listener->server;
    struct sb_datagram *datagram = packet_size > 0 ? malloc(sizeof *datagram + packet_size) : NULL;
    if (packet_size > 0 && !datagram)
        return NULL;
    struct sb_request *request = (struct sb_request *)new_entry(&server->books, datagram ? -1 : fd);
    if (!request) {
        free(datagram);
        return NULL;
    }
    request->listener = listener;
    request->server = server;
    request->slot = sb_slot_current();
    request->fd = fd;
    request->timeout_ms = server->config.idle_timeout_ms;
    request->datagram = datagram;
    if (datagram) {
        *datagram = (struct sb_datagram){ .reply = NULL };
        request->input = datagram->packet;
    }
    return request;
}

void sb_request_free(struct sb_request *request)
{
    free(request->client_name);
    free(request->why);
    free(request->instance);
    if (request->datagram)
        free(request->datagram->reply);
    free(request->datagram ? (void *)request->datagram : request->input);
    sb_entry_end(&request->entry);
}

void sb_request_end(struct sb_request *request)
{
    methods(request->server)->shutdown_request(request);
    sb_request_free(request);
}

void sb_request_close(struct sb_request *request)
{
    sb_entry_disconnect(&request->entry);
    sb_fd_close(&request->fd);
}
