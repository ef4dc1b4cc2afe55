/* The load on an HTTP server: connections in one epoll, bounded in time. It prints one JSON line.
 *
 * make   no load: write the files FOLDER/00000 … under ROOT that the others ask for.
 * get    every connection asks for FOLDER/N, reads the answer, and asks for the next, for a time.
 * hello  the same with "/", which must answer "Hello, world!".
 *
 * Nothing is pipelined, and no connection is opened twice: a server that closes one has failed. When the time is over
 * what was asked for is still read to its end, and the clock stops with the last byte: only whole answers count.
 *
 * It says "ready" when every connection is open, and "done" when all answers are there; after either it waits for a
 * line, so that whoever started it can look at clocks meanwhile.
 *
 * Every answer must be 200 with the Content-Length that is known. What comes is compared with what the files contain:
 * small ones whole, of large ones samples; of the rest the kernel drops the bytes and tells their number.
 */
#define _GNU_SOURCE
#include "ftp_content.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_BYTES_MAX = 8 << 10, READ_BYTES = 64 << 10, DROP_BYTES = 1 << 20 };
enum { CONNECTIONS_MAX = 10 * 1000, FILES_MAX = 100 * 1000, EVENTS = 256, PATIENCE_MS = 20 * 1000 };

static const char hello[] = "Hello, world!";

static struct {
    const char *mode, *root, *folder, *congestion;
    int port, connections, files;
    double seconds;
    uint64_t size;
} options = {.mode = "", .root = ".", .folder = "", .connections = 1, .files = 1, .seconds = 1};

struct connection {
    int socket;
    unsigned number;   /* of the file that was asked for */
    size_t head_bytes; /* that have come, while the head is not whole */
    uint64_t got;      /* bytes of the body */
    int in_body, is_over;
    char head[HEAD_BYTES_MAX];
};

static char buffer[READ_BYTES];
static struct connection *connections;
static int epoll, running;
static unsigned next_number;
static double began_s, last_s;
static uint64_t operations, bytes, errors;
static char first_error[120];

static double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static int is_mode(const char *mode)
{
    return strcmp(options.mode, mode) == 0;
}

static void await_line(const char *word)
{
    puts(word);
    fflush(stdout);
    while (getchar() != '\n')
        if (feof(stdin))
            exit(1);
}

/* ── the files ─────────────────────────────────────────────────────────────────────────────────────────────────── */

static void make_files(void)
{
    char path[4096], name[16];
    snprintf(path, sizeof path, "%s/%s", options.root, options.folder);
    int folder = open(path, O_RDONLY | O_DIRECTORY);
    if (folder < 0)
        fail(path);
    for (int i = 0; i < options.files; i++) {
        snprintf(name, sizeof name, "%05d", i);
        if (!content_make(folder, name, (uint64_t)i, options.size))
            fail(name);
    }
}

/* ── one connection ────────────────────────────────────────────────────────────────────────────────────────────── */

static void give_up(struct connection *connection, const char *why)
{
    if (errors++ == 0)
        snprintf(first_error, sizeof first_error, "%.*s", (int)sizeof first_error - 1, why);
    connection->is_over = 1;
    close(connection->socket);
    running--;
}

static void open_connection(struct connection *connection)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1;
    connection->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (connection->socket < 0)
        fail("socket");
    if (options.congestion != NULL && setsockopt(connection->socket, IPPROTO_TCP, TCP_CONGESTION, options.congestion,
                                                 (socklen_t)strlen(options.congestion)) < 0)
        fail("congestion control");
    if (connect(connection->socket, (struct sockaddr *)&server, sizeof server) < 0)
        fail("connect");
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->socket, &event) < 0)
        fail("epoll");
}

static void ask(struct connection *connection)
{
    char request[512];
    int count;
    connection->number = next_number++ % (unsigned)options.files;
    connection->head_bytes = 0;
    connection->got = 0;
    connection->in_body = 0;
    if (is_mode("hello"))
        count = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    else
        count = snprintf(request, sizeof request, "GET /%s/%05u HTTP/1.1\r\nHost: localhost\r\n\r\n", options.folder,
                         connection->number);
    if (send(connection->socket, request, (size_t)count, MSG_NOSIGNAL) != count)
        give_up(connection, "the request was not taken");
}

static void answered(struct connection *connection)
{
    operations++;
    bytes += options.size;
    last_s = now_s();
    if (last_s - began_s < options.seconds) {
        ask(connection);
        return;
    }
    connection->is_over = 1;
    running--;
}

static int matches(struct connection *connection, const char *body, size_t count)
{
    if (is_mode("hello"))
        return memcmp(hello + connection->got, body, count) == 0;
    return content_matches(body, connection->number, connection->got, count);
}

/* Take a piece of the body; the count has been checked. */
static void take(struct connection *connection, const char *body, size_t count)
{
    if (body != NULL && !matches(connection, body, count)) {
        give_up(connection, "another content");
        return;
    }
    connection->got += count;
    if (connection->got == options.size)
        answered(connection);
}

static void take_head(struct connection *connection)
{
    size_t room = sizeof connection->head - 1 - connection->head_bytes;
    ssize_t count = recv(connection->socket, connection->head + connection->head_bytes, room, 0);
    if (count <= 0) {
        give_up(connection, count == 0 ? "closed" : strerror(errno));
        return;
    }
    connection->head_bytes += (size_t)count;
    connection->head[connection->head_bytes] = 0;
    char *end = strstr(connection->head, "\r\n\r\n");
    if (end == NULL) {
        if (connection->head_bytes == sizeof connection->head - 1)
            give_up(connection, "a head without an end");
        return;
    }
    *end = 0;
    char *length = strcasestr(connection->head, "\r\ncontent-length:");
    if (strncmp(connection->head, "HTTP/1.1 200 ", 13) != 0) {
        connection->head[strcspn(connection->head, "\r")] = 0;
        give_up(connection, connection->head);
        return;
    }
    if (length == NULL || strtoull(length + sizeof "\r\ncontent-length:" - 1, NULL, 10) != options.size) {
        give_up(connection, "another Content-Length");
        return;
    }
    connection->in_body = 1;
    size_t rest = connection->head_bytes - (size_t)(end + 4 - connection->head);
    if (rest > options.size)
        give_up(connection, "more than was asked for");
    else if (rest > 0)
        take(connection, end + 4, rest);
}

static void take_body(struct connection *connection)
{
    uint64_t owed = options.size - connection->got;
    size_t left, compared = is_mode("hello") ? sizeof buffer : content_sample(connection->got, &left);
    size_t most = compared > 0 ? sizeof buffer : DROP_BYTES, here = compared > 0 ? compared : left;
    most = here < most ? here : most;
    /* MSG_TRUNC: the kernel drops the bytes without copying them, tcp(7) */
    ssize_t count = recv(connection->socket, compared > 0 ? buffer : NULL, owed < most ? (size_t)owed : most,
                         compared > 0 ? 0 : MSG_TRUNC);
    if (count <= 0)
        give_up(connection, count == 0 ? "closed in the middle" : strerror(errno));
    else
        take(connection, compared > 0 ? buffer : NULL, (size_t)count);
}

/* ── all of them ───────────────────────────────────────────────────────────────────────────────────────────────── */

static void load(void)
{
    struct epoll_event events[EVENTS];
    began_s = last_s = now_s();
    for (int i = 0; i < options.connections; i++)
        ask(&connections[i]);
    while (running > 0) {
        int count = epoll_wait(epoll, events, EVENTS, PATIENCE_MS);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0) {
            for (int i = 0; i < options.connections; i++)
                if (!connections[i].is_over)
                    give_up(&connections[i], "not a byte for 20 s");
            return;
        }
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection->is_over)
                epoll_ctl(epoll, EPOLL_CTL_DEL, connection->socket, NULL); /* nothing more is asked of it */
            else if (connection->in_body)
                take_body(connection);
            else
                take_head(connection);
        }
    }
}

static double number(const char *text, double least, double most)
{
    char *end;
    double value = strtod(text, &end);
    if (*text == 0 || *end != 0 || value < least || value > most) {
        fprintf(stderr, "%s is not a number from %g to %g\n", text, least, most);
        exit(2);
    }
    return value;
}

static void read_options(int count, char **arguments)
{
    enum { MODE, ROOT, FOLDER, CONGESTION, PORT, CONNECTIONS, FILES, SECONDS, SIZE };
    static const struct option known[] = {
        {"mode", 1, NULL, MODE},     {"root", 1, NULL, ROOT},
        {"folder", 1, NULL, FOLDER}, {"congestion", 1, NULL, CONGESTION},
        {"port", 1, NULL, PORT},     {"connections", 1, NULL, CONNECTIONS},
        {"files", 1, NULL, FILES},   {"seconds", 1, NULL, SECONDS},
        {"size", 1, NULL, SIZE},     {0},
    };
    for (int which; (which = getopt_long(count, arguments, "", known, NULL)) != -1;)
        switch (which) {
        case MODE: options.mode = optarg; break;
        case ROOT: options.root = optarg; break;
        case FOLDER: options.folder = optarg; break;
        case CONGESTION: options.congestion = optarg; break;
        case PORT: options.port = (int)number(optarg, 1, 65535); break;
        case CONNECTIONS: options.connections = (int)number(optarg, 1, CONNECTIONS_MAX); break;
        case FILES: options.files = (int)number(optarg, 1, FILES_MAX); break;
        case SECONDS: options.seconds = number(optarg, 0.01, 60); break;
        case SIZE: options.size = (uint64_t)number(optarg, 1, 1e12); break;
        default: exit(2);
        }
    if (!is_mode("make") && !is_mode("get") && !is_mode("hello")) {
        fprintf(stderr, "--mode make, get or hello\n");
        exit(2);
    }
    if (is_mode("hello"))
        options.size = sizeof hello - 1;
}

int main(int count, char **arguments)
{
    read_options(count, arguments);
    content_prepare();
    if (is_mode("make")) {
        make_files();
        return 0;
    }
    connections = calloc((size_t)options.connections, sizeof *connections);
    epoll = epoll_create1(0);
    if (connections == NULL || epoll < 0)
        fail("connections");
    running = options.connections;
    for (int i = 0; i < options.connections; i++)
        open_connection(&connections[i]);
    await_line("ready");
    load();
    await_line("done");
    for (char *at = first_error; *at; at++)
        if (*at == '"' || *at == '\\' || (unsigned char)*at < ' ' || (unsigned char)*at > '~')
            *at = '\''; /* so that it may stand in JSON */
    printf("{\"operations\": %llu, \"bytes\": %llu, \"seconds\": %.6f, \"errors\": %llu, \"first_error\": \"%s\"}\n",
           (unsigned long long)operations, (unsigned long long)bytes, last_s - began_s, (unsigned long long)errors,
           first_error);
    return 0;
}
