#include "web.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../arguments.h"

enum { IDLE_S = 60, BACKLOG = 64 };

#define POLICY \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; " \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/* What is known of a request while its body comes. */
struct incoming {
    size_t size;
    bool too_large;
    char body[WEB_BODY_MAX + 1];
};

void web_make_key(char key[WEB_KEY_SIZE])
{
    unsigned char bytes[(WEB_KEY_SIZE - 1) / 2];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        abort();
    for (unsigned i = 0; i < sizeof bytes; i++)
        sprintf(key + 2 * i, "%02x", bytes[i]);
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

bool web_queue(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response, const char *type)
{
    if (!response)
        return false;
    if (type)
        MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Content-Security-Policy", POLICY);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    enum MHD_Result r = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return r == MHD_YES;
}

static bool answer_text(struct MHD_Connection *connection, unsigned status, const char *type, const char *text)
{
    return web_queue(connection, status,
                     MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY), type);
}

bool web_answer(const struct web_request *request, unsigned status, const char *json)
{
    return answer_text(request->connection, status, "application/json", json ? json : "");
}

bool web_refuse(const struct web_request *request, const char *why)
{
    json_t *object = json_pack("{s:s}", "why", why);
    char *json = object ? json_dumps(object, JSON_COMPACT) : NULL;
    bool answered = web_answer(request, MHD_HTTP_CONFLICT, json);
    free(json);
    json_decref(object);
    return answered;
}

static bool turn_away(struct MHD_Connection *connection, unsigned status, const char *sentence)
{
    return answer_text(connection, status, "text/plain; charset=utf-8", sentence);
}

/* --- who may ------------------------------------------------------------------------------------------------------ */

static const char *header(struct MHD_Connection *connection, const char *name)
{
    const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
    return value ? value : "";
}

/* Of two keys, without telling by its time how far they are alike. */
static bool is_key(const char *given, const char *key)
{
    unsigned char difference = 0;
    if (strlen(given) != strlen(key))
        return false;
    for (size_t i = 0; key[i]; i++)
        difference |= (unsigned char)(given[i] ^ key[i]);
    return difference == 0;
}

/* HOST:PORT, with the port left out where it is HTTP's own. A name could be made to mean us by whoever has it. */
static bool is_own_host(const struct web *web, const char *text)
{
    char host[64];
    unsigned char address[sizeof(struct in6_addr)];
    const char *bracket = strchr(text, ']'), *colon = strrchr(bracket ? bracket : text, ':');
    size_t length = colon ? (size_t)(colon - text) : strlen(text);
    if ((colon ? atoi(colon + 1) : 80) != (int)web->port || length == 0 || length >= sizeof host)
        return false;
    snprintf(host, sizeof host, "%.*s", (int)length, text);
    if (host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        return inet_pton(AF_INET6, host + 1, address) == 1;
    }
    return strcmp(host, "localhost") == 0 || inet_pton(AF_INET, host, address) == 1;
}

static bool is_own_origin(struct MHD_Connection *connection)
{
    const char *origin = header(connection, "Origin"), *host = header(connection, "Host");
    return strncmp(origin, "http://", 7) == 0 && strcmp(origin + 7, host) == 0;
}

/* Cookies do not tell ports apart, so their names do. */
static void name_cookie(const struct web *web, char name[64])
{
    snprintf(name, 64, "switchboard-%s-%u", web->site.name, web->port);
}

static const char *cookie(const struct web *web, struct MHD_Connection *connection)
{
    char name[64];
    name_cookie(web, name);
    const char *value = MHD_lookup_connection_value(connection, MHD_COOKIE_KIND, name);
    return value && strlen(value) == WEB_KEY_SIZE - 1 ? value : "";
}

static bool add_cookie(const struct web *web, struct MHD_Response *response, const char *key)
{
    char name[64], value[160];
    name_cookie(web, name);
    snprintf(value, sizeof value, "%s=%s; HttpOnly; SameSite=Strict; Path=/", name, key);
    return response && MHD_add_response_header(response, "Set-Cookie", value) == MHD_YES;
}

/* By the address with the token: a cookie in its place, so that the token is not seen on a projector, or sent on. */
static bool let_in(const struct web *web, struct MHD_Connection *connection)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
    if (response)
        MHD_add_response_header(response, "Location", "/");
    add_cookie(web, response, web->token);
    return web_queue(connection, MHD_HTTP_SEE_OTHER, response, NULL);
}

/* --- what --------------------------------------------------------------------------------------------------------- */

static const struct web_file *find_file(const struct web *web, const char *path)
{
    const char *wanted = strcmp(path, "/") == 0 ? web->site.index : path;
    for (const struct web_file *file = web->site.files; file->path; file++)
        if (strcmp(file->path, wanted) == 0)
            return file;
    return NULL;
}

static bool send_file(const struct web *web, struct MHD_Connection *connection, const struct web_file *file,
                      const char *who)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(file->size, (void *)file->bytes, MHD_RESPMEM_PERSISTENT);
    char key[WEB_KEY_SIZE];
    if (!web->site.needs_token && !who[0]) {
        web_make_key(key);
        add_cookie(web, response, key);
    }
    return web_queue(connection, MHD_HTTP_OK, response, file->type);
}

static bool serve(const struct web *web, const struct web_request *request)
{
    const struct web_file *file = request->body ? NULL : find_file(web, request->path);
    if (file)
        return send_file(web, request->connection, file, request->who);
    return web->site.serve(request, web->site.data) ||
           turn_away(request->connection, MHD_HTTP_NOT_FOUND, "There is no such page.\n");
}

/* Those who may not are told why. */
static bool decide(const struct web *web, const struct web_request *request)
{
    struct MHD_Connection *connection = request->connection;
    const char *token = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "token");
    if (!is_own_host(web, header(connection, "Host")))
        return turn_away(connection, MHD_HTTP_FORBIDDEN,
                         "This page is called by a number or localhost, and not by another name.\n");
    if (web->site.needs_token && !request->body && token && is_key(token, web->token))
        return let_in(web, connection);
    if (web->site.needs_token && !is_key(request->who, web->token))
        return turn_away(
            connection, MHD_HTTP_FORBIDDEN,
            "The address with the token is needed once: 'switchboard lab' has printed it where it was started.\n");
    if (request->body && !is_own_origin(connection))
        return turn_away(connection, MHD_HTTP_FORBIDDEN, "Only the page itself may ask for that.\n");
    return serve(web, request);
}

static enum MHD_Result take(void *data, struct MHD_Connection *connection, const char *path, const char *method,
                            const char *version, const char *upload, size_t *upload_size, void **state)
{
    struct web *web = data;
    struct incoming *incoming = *state;
    bool posts = strcmp(method, "POST") == 0;
    (void)version;
    if (!incoming) {
        *state = calloc(1, sizeof *incoming);
        return *state ? MHD_YES : MHD_NO;
    }
    if (*upload_size > 0) {
        incoming->too_large |= incoming->size + *upload_size > WEB_BODY_MAX;
        if (!incoming->too_large)
            memcpy(incoming->body + incoming->size, upload, *upload_size);
        incoming->size += *upload_size;
        *upload_size = 0;
        return MHD_YES;
    }
    if (incoming->too_large)
        return turn_away(connection, MHD_HTTP_CONTENT_TOO_LARGE, "That is too much.\n") ? MHD_YES : MHD_NO;
    if (!posts && strcmp(method, "GET") != 0)
        return turn_away(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "There is GET and POST here.\n") ? MHD_YES : MHD_NO;
    const struct web_request request = { .connection = connection, .path = path, .body = posts ? incoming->body : NULL,
                                         .who = cookie(web, connection) };
    return decide(web, &request) ? MHD_YES : MHD_NO;
}

static void forget(void *data, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
    (void)data;
    (void)connection;
    (void)why;
    free(*state);
    *state = NULL;
}

/* --- its life ----------------------------------------------------------------------------------------------------- */

static int listen_at(struct web *web, const struct sb_address *address)
{
    struct sb_address bound = *address;
    socklen_t size = sizeof bound.in6;
    int fd = sb_address_socket(address);
    if (fd < 0)
        return fd;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (bind(fd, &address->sa, address->size) < 0 || listen(fd, BACKLOG) < 0 || getsockname(fd, &bound.sa, &size) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    bound.size = size;
    sb_address_format(&bound, web->host);
    memmove(web->host, strstr(web->host, "://") + 3, strlen(strstr(web->host, "://") + 3) + 1);
    web->port = ntohs(bound.sa.sa_family == AF_INET6 ? bound.in6.sin6_port : bound.in.sin_port);
    return fd;
}

static int complain(const char *address, const char *option, int error)
{
    fprintf(stderr, "switchboard lab: cannot listen at %s for %s: %s%s\n", address, option, strerror(error),
            error == EADDRINUSE ? "; port 0 takes a free one" : "");
    return 1;
}

int web_start(struct web *web, const char *address, const char *option, const struct web_site *site)
{
    struct sb_address parsed;
    const char *why = "it must be HOST:PORT";
    *web = (struct web){ .site = *site, .fd = -1 };
    int r = sb_address_parse(address, "tcp", &parsed, &why);
    if (r < 0 || parsed.sa.sa_family == AF_UNIX) {
        fprintf(stderr, "switchboard lab: %s %s: %s\n", option, address, why);
        return 2;
    }
    int fd = listen_at(web, &parsed);
    if (fd < 0)
        return complain(address, option, -fd);
    web_make_key(web->token);
    web->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, take, web, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)WEB_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, site->connections_of_one, MHD_OPTION_NOTIFY_COMPLETED, forget, web,
        MHD_OPTION_END);
    if (!web->daemon) {
        close(fd);
        return complain(address, option, errno ? errno : ENOMEM);
    }
    web->fd = MHD_get_daemon_info(web->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    return 0;
}

int web_run(struct web *web)
{
    MHD_UNSIGNED_LONG_LONG ms;
    if (!web->daemon)
        return -1;
    MHD_run(web->daemon);
    return MHD_get_timeout(web->daemon, &ms) == MHD_YES ? ms > 1000 ? 1000 : (int)ms : -1;
}

void web_stop(struct web *web)
{
    if (web->daemon)
        MHD_stop_daemon(web->daemon);
    web->daemon = NULL;
    web->fd = -1;
}
