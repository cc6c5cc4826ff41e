#include "stream.h"

#include <errno.h>
#include <stdlib.h>

struct sb_streams {
    FILE *rfile, *wfile;
    char *rbuffer, *wbuffer;    /* where a handler chose the size */
};

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

static struct sb_streams *streams_of(struct sb_request *request)
{
    if (!request->streams)
        request->streams = calloc(1, sizeof *request->streams);
    return request->streams;
}

FILE *sb_rfile(struct sb_request *request)
{
    struct sb_streams *streams = streams_of(request);
    if (streams && !streams->rfile)
        streams->rfile = open_stream(request, "r", request->server->attributes.rbufsize, &streams->rbuffer);
    return streams ? streams->rfile : NULL;
}

FILE *sb_wfile(struct sb_request *request)
{
    struct sb_streams *streams = streams_of(request);
    if (streams && !streams->wfile)
        streams->wfile = open_stream(request, "w", request->server->attributes.wbufsize, &streams->wbuffer);
    return streams ? streams->wfile : NULL;
}

int sb_streams_close(struct sb_request *request)
{
    struct sb_streams *streams = request->streams;
    int r = 0;
    if (!streams)
        return 0;
    if (streams->rfile)
        fclose(streams->rfile);
    if (streams->wfile && fclose(streams->wfile) != 0)
        r = errno ? -errno : -EIO;
    free(streams->rbuffer);
    free(streams->wbuffer);
    free(streams);
    request->streams = NULL;
    return r;
}
