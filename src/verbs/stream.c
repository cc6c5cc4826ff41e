#include "stream.h"

#include <errno.h>
#include <stdlib.h>

static ssize_t read_cookie(void *cookie, char *buffer, size_t size)
{
    ssize_t n = sb_recv(cookie, buffer, size);
    if (n < 0)
        errno = -n;
    return n < 0 ? -1 : n;
}

static ssize_t write_cookie(void *cookie, const char *buffer, size_t size)
{
    int r = sb_sendall(cookie, buffer, size);
    if (r < 0)
        errno = -r;
    return r < 0 ? 0 : (ssize_t)size;
}

/* glibc heeds a size only together with a buffer (setvbuf(3)). */
static FILE *open_stream(struct sb_request *request, const char *mode, int size, char **buffer)
{
    FILE *stream = fopencookie(request, mode, (cookie_io_functions_t){ .read = read_cookie, .write = write_cookie });
    bool unbuffered = mode[0] == 'w' ? size == 0 : size == 1;
    if (stream && unbuffered)
        setvbuf(stream, NULL, _IONBF, 0);
    else if (stream && size > 0 && (*buffer = malloc(size)))
        setvbuf(stream, *buffer, _IOFBF, size);
    return stream;
}

FILE *sb_rfile(struct sb_request *request)
{
    if (!request->rfile)
        request->rfile = open_stream(request, "r", request->server->attributes.rbufsize, &request->rbuffer);
    return request->rfile;
}

FILE *sb_wfile(struct sb_request *request)
{
    if (!request->wfile)
        request->wfile = open_stream(request, "w", request->server->attributes.wbufsize, &request->wbuffer);
    return request->wfile;
}

int sb_streams_close(struct sb_request *request)
{
    int r = 0;
    if (request->rfile)
        fclose(request->rfile);
    if (request->wfile && fclose(request->wfile) != 0)
        r = errno ? -errno : -EIO;
    request->rfile = request->wfile = NULL;
    free(request->rbuffer);
    free(request->wbuffer);
    request->rbuffer = request->wbuffer = NULL;
    return r;
}
