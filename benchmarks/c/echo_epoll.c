/* An echo server on one core: the yardstick that every other server is compared with.
 *
 * echo_epoll PORT [CONGESTION]     port 0 takes a free one; "listening PORT" is printed when ready.
 *
 * Level triggered, non-blocking. While a peer does not take its echo the rest waits in memory, and
 * nothing more is read from that peer: the memory of a connection never exceeds one read.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 128 * 1024, EVENTS_MAX = 256, BACKLOG = 4096 };

struct connection {
    int fd;
    size_t waiting_from, waiting_until; /* the part of `waiting` that is still to be sent */
    char *waiting;
};

static int poller;
static char buffer[READ_BYTES];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(struct connection *connection, int operation, unsigned events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(poller, operation, connection->fd, &event) < 0)
        fail("epoll_ctl");
}

static void forget(struct connection *connection)
{
    close(connection->fd);
    free(connection->waiting);
    free(connection);
}

static int is_transient(int error)
{
    return error == EAGAIN || error == EINTR;
}

static void keep_rest(struct connection *connection, size_t from, size_t until)
{
    connection->waiting = malloc(until - from);
    if (connection->waiting == NULL)
        fail("malloc");
    memcpy(connection->waiting, buffer + from, until - from);
    connection->waiting_from = 0;
    connection->waiting_until = until - from;
    watch(connection, EPOLL_CTL_MOD, EPOLLOUT);
}

static void echo_once(struct connection *connection)
{
    ssize_t got = recv(connection->fd, buffer, sizeof buffer, 0);
    if (got < 0 && is_transient(errno))
        return;
    if (got <= 0) {
        forget(connection);
        return;
    }
    ssize_t sent = send(connection->fd, buffer, (size_t)got, MSG_NOSIGNAL);
    if (sent < 0 && !is_transient(errno)) {
        forget(connection);
        return;
    }
    if (sent < got)
        keep_rest(connection, sent < 0 ? 0 : (size_t)sent, (size_t)got);
}

static void send_rest(struct connection *connection)
{
    ssize_t sent = send(connection->fd, connection->waiting + connection->waiting_from,
                        connection->waiting_until - connection->waiting_from, MSG_NOSIGNAL);
    if (sent < 0 && is_transient(errno))
        return;
    if (sent < 0) {
        forget(connection);
        return;
    }
    connection->waiting_from += (size_t)sent;
    if (connection->waiting_from == connection->waiting_until) {
        free(connection->waiting);
        connection->waiting = NULL;
        watch(connection, EPOLL_CTL_MOD, EPOLLIN);
    }
}

static void accept_all(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN))
            return;
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0)
            fail("accept");
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL)
            fail("calloc");
        connection->fd = fd;
        watch(connection, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static int listen_on(int port, const char *congestion)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t address_bytes = sizeof address;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    /* accepted sockets inherit the congestion control of the listener */
    if (congestion &&
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion)) < 0)
        fail("TCP_CONGESTION");
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("bind");
    if (listen(fd, BACKLOG) < 0)
        fail("listen");
    if (getsockname(fd, (struct sockaddr *)&address, &address_bytes) < 0)
        fail("getsockname");
    printf("listening %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int count, char **arguments)
{
    if (count < 2 || count > 3) {
        fprintf(stderr, "usage: echo_epoll PORT [CONGESTION]\n");
        return 2;
    }
    raise_file_limit();
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        fail("epoll_create1");
    struct connection listener = {.fd = listen_on(atoi(arguments[1]), count > 2 ? arguments[2] : NULL)};
    watch(&listener, EPOLL_CTL_ADD, EPOLLIN);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int ready = epoll_wait(poller, events, EVENTS_MAX, -1);
        if (ready < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection == &listener)
                accept_all(listener.fd);
            else if (connection->waiting)
                send_rest(connection);
            else
                echo_once(connection);
        }
    }
}
