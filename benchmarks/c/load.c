/* The load generator: one core, epoll, bounded in count and in time. It prints one JSON line.
 *
 * echo   closed loop: a connection sends a message, waits for the whole echo, and sends the next.
 * short  connect, one message, its echo, half-close, read to the end, close; again.
 * idle   open the connections at a rate, echo once on each, hold them, echo once more, close.
 *
 * What comes back is compared byte by byte. A message is a window into one pool of random bytes that
 * moves with the connection and the message, so a stale or a foreign echo does not pass. With
 * --verify N it is so for one message of N, and of the others the kernel drops the bytes and tells only
 * their number: else the generator, which copies as much as the server, is the slower one on large
 * messages.
 * A connection always ends in order (half-close, then read to the end): a reset would make the
 * server do work, and print tracebacks, that no well-behaved client causes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { READ_BYTES = 256 * 1024, EVENTS_MAX = 512, WINDOWS = 4093 };
enum { CONNECTIONS_MAX = 200 * 1000, SIZE_MAX_BYTES = 64 << 20, SECONDS_MAX = 3600 };
enum mode { MODE_ECHO, MODE_SHORT, MODE_IDLE };
enum state { UNUSED, CONNECTING, TALKING, HOLDING, ENDING, FINISHED };
enum error_kind { ERROR_CONNECT, ERROR_LOST, ERROR_MISMATCH, ERROR_TIMEOUT, ERROR_KINDS };

struct connection {
    int fd;
    enum state state;
    unsigned watched; /* the epoll events asked for */
    size_t sent, received;
    const char *message;
    uint64_t began_ns; /* of the request; in the modes short and idle, of the connect */
    unsigned messages;
    int verified; /* whether the echo of this message is compared */
};

static struct {
    const char *host, *congestion;
    int port, connections, sources;
    unsigned verify;
    size_t size;
    double seconds, warmup, hold, rate, timeout;
    enum mode mode;
} options = {.host = "127.0.0.1", .connections = 100, .sources = 1, .verify = 1, .size = 64, .seconds = 1,
             .warmup = 0.1, .hold = 1, .rate = 0, .timeout = 10, .mode = MODE_ECHO};

static const char *mode_names[] = {"echo", "short", "idle"};
static int poller, live, opened, holding;
static struct connection *connections;
static char *pool, *buffer;
static int counting; /* inside the window that is measured */
static int starting; /* new requests may begin */
static uint64_t requests, requests_total, bytes, errors[ERROR_KINDS];
static char first_error[200];

/* ---- time and latency ------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t ns(double seconds)
{
    return (uint64_t)(seconds * 1e9);
}

/* Buckets grow with the value: 64 to each power of two, so a figure is at most 1.6 % off. */
enum { STEPS = 64, STEP_BITS = 6, BUCKETS = STEPS * 60 };
static uint64_t histogram[BUCKETS], latency_max_ns;

static unsigned bucket_of(uint64_t value)
{
    if (value < STEPS)
        return (unsigned)value;
    unsigned exponent = 63u - (unsigned)__builtin_clzll(value);
    unsigned step = (unsigned)(value >> (exponent - STEP_BITS)) & (STEPS - 1);
    return (exponent - STEP_BITS + 1) * STEPS + step;
}

static double bucket_us(unsigned bucket)
{
    if (bucket < STEPS)
        return bucket / 1e3;
    unsigned shift = bucket / STEPS - 1;
    return (double)((uint64_t)(STEPS + bucket % STEPS) << shift) / 1e3;
}

static void note_latency(uint64_t latency_ns)
{
    unsigned bucket = bucket_of(latency_ns);
    histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    if (latency_ns > latency_max_ns)
        latency_max_ns = latency_ns;
}

static double percentile_us(double share)
{
    uint64_t total = 0, seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++)
        total += histogram[i];
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if (total && (double)seen >= share * (double)total)
            return bucket_us(i);
    }
    return 0;
}

/* ---- one connection --------------------------------------------------------------------- */

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(struct connection *connection, unsigned events)
{
    if (connection->watched == events)
        return;
    struct epoll_event event = {.events = events, .data.ptr = connection};
    int operation = connection->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(poller, operation, connection->fd, &event) < 0)
        fail("epoll_ctl");
    connection->watched = events;
}

static void finish(struct connection *connection)
{
    if (connection->state == HOLDING)
        holding--;
    close(connection->fd);
    connection->state = FINISHED;
    live--;
}

static void break_off(struct connection *connection, enum error_kind kind, const char *what)
{
    errors[kind]++;
    if (!first_error[0])
        snprintf(first_error, sizeof first_error, "%s", what);
    finish(connection);
}

static void half_close(struct connection *connection)
{
    connection->state = ENDING;
    shutdown(connection->fd, SHUT_WR);
    watch(connection, EPOLLIN);
}

/* Send what the socket takes. Returns false when the connection is gone. */
static int send_more(struct connection *connection)
{
    while (connection->sent < options.size) {
        ssize_t sent = send(connection->fd, connection->message + connection->sent,
                            options.size - connection->sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0) {
            int first = connection->messages == 1 && connection->sent == 0;
            break_off(connection, first ? ERROR_CONNECT : ERROR_LOST, strerror(errno));
            return 0;
        }
        connection->sent += (size_t)sent;
    }
    watch(connection, connection->sent < options.size ? EPOLLIN | EPOLLOUT : EPOLLIN);
    return 1;
}

static int begin_message(struct connection *connection)
{
    uint64_t number = (uint64_t)(connection - connections) * 31 + connection->messages * 7;
    connection->verified = connection->messages++ % options.verify == 0;
    connection->message = pool + number % WINDOWS;
    connection->sent = connection->received = 0;
    connection->state = TALKING;
    return send_more(connection);
}

static void set_options(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (options.congestion && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, options.congestion,
                                         (socklen_t)strlen(options.congestion)) < 0)
        fail("TCP_CONGESTION");
}

/* Source addresses 127.0.0.1 and up: each has ports of its own, so that they never run out. */
static int bind_source(int fd)
{
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(opened % options.sources));
    int one = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    return bind(fd, (struct sockaddr *)&source, sizeof source);
}

static void hold(struct connection *connection)
{
    connection->state = HOLDING;
    holding++;
}

/* Only in the mode echo, where all connections wait for the last one. */
static void on_connected(struct connection *connection)
{
    int error = 0;
    socklen_t error_bytes = sizeof error;
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes);
    if (error) {
        break_off(connection, ERROR_CONNECT, strerror(error));
        return;
    }
    watch(connection, EPOLLIN);
    hold(connection);
}

static void open_connection(struct connection *connection)
{
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    inet_pton(AF_INET, options.host, &target.sin_addr);
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0)
        fail("socket");
    set_options(connection->fd);
    connection->state = CONNECTING;
    connection->watched = 0;
    connection->began_ns = now_ns();
    live++;
    opened++;
    if ((options.sources > 1 && bind_source(connection->fd) < 0) ||
        (connect(connection->fd, (struct sockaddr *)&target, sizeof target) < 0 && errno != EINPROGRESS))
        break_off(connection, ERROR_CONNECT, strerror(errno));
    else if (options.mode == MODE_ECHO)
        watch(connection, EPOLLOUT);
    else
        begin_message(connection); /* over loopback the handshake is done by now; else it waits */
}

static void note_request(struct connection *connection, uint64_t ended_ns)
{
    requests_total++;
    if (counting) {
        requests++;
        bytes += options.size;
        note_latency(ended_ns - connection->began_ns);
    }
}

static void on_message(struct connection *connection)
{
    if (options.mode == MODE_SHORT) {
        half_close(connection);
        return;
    }
    uint64_t now = now_ns();
    note_request(connection, now);
    if (options.mode == MODE_ECHO && starting) {
        connection->began_ns = now;
        begin_message(connection);
    } else if (options.mode == MODE_IDLE && connection->messages == 1)
        hold(connection);
    else
        half_close(connection);
}

static void on_bytes(struct connection *connection, size_t got)
{
    if (connection->state != TALKING || got > connection->sent - connection->received) {
        break_off(connection, ERROR_MISMATCH, "bytes came that nobody had sent");
        return;
    }
    if (connection->verified && memcmp(buffer, connection->message + connection->received, got) != 0) {
        break_off(connection, ERROR_MISMATCH, "the echo differs from the message");
        return;
    }
    connection->received += got;
    if (connection->received == options.size)
        on_message(connection);
}

static void on_end(struct connection *connection)
{
    if (connection->state != ENDING) {
        break_off(connection, ERROR_LOST, "the server closed the connection");
        return;
    }
    if (options.mode == MODE_SHORT)
        note_request(connection, now_ns());
    finish(connection);
    if (options.mode == MODE_SHORT && starting)
        open_connection(connection);
}

static void on_readable(struct connection *connection)
{
    int drop = connection->state == TALKING && !connection->verified;
    ssize_t got = recv(connection->fd, buffer, READ_BYTES, drop ? MSG_TRUNC : 0);
    if (got > 0)
        on_bytes(connection, (size_t)got);
    else if (got == 0)
        on_end(connection);
    else if (errno != EAGAIN && errno != EINTR)
        break_off(connection, ERROR_LOST, strerror(errno));
}

static void on_event(struct connection *connection, unsigned events)
{
    if (connection->state == CONNECTING) {
        on_connected(connection);
        return;
    }
    if ((events & EPOLLOUT) && connection->state == TALKING && !send_more(connection))
        return;
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        on_readable(connection);
}

/* ---- the run ---------------------------------------------------------------------------- */

static void turn(int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int ready = epoll_wait(poller, events, EVENTS_MAX, timeout_ms);
    if (ready < 0 && errno != EINTR)
        fail("epoll_wait");
    for (int i = 0; i < ready; i++)
        on_event(events[i].data.ptr, events[i].events);
}

static void turn_until(uint64_t until_ns)
{
    for (uint64_t now = now_ns(); now < until_ns && live > 0; now = now_ns())
        turn((int)((until_ns - now) / 1000000u) + 1);
}

/* Open all connections, at the rate asked for, and wait until each is held or has failed. */
static void open_all(void)
{
    uint64_t began_ns = now_ns(), last_ns = 0;
    int wanted = options.connections;
    for (;;) {
        uint64_t now = now_ns();
        double due = options.rate > 0 ? (double)(now - began_ns) / 1e9 * options.rate + 1 : wanted;
        while (opened < wanted && opened < due)
            open_connection(&connections[opened]);
        if (opened == wanted && last_ns == 0)
            last_ns = now;
        if (opened == wanted && holding == live)
            return;
        if (last_ns && now > last_ns + ns(options.timeout))
            return;
        turn(opened < wanted ? 1 : 100);
    }
}

static void begin_all(void)
{
    for (int i = 0; i < options.connections; i++)
        if (connections[i].state == HOLDING) {
            holding--;
            connections[i].began_ns = now_ns();
            begin_message(&connections[i]);
        }
}

/* Let every connection come to its end in order; what is left after the timeout is an error. */
static void close_all(void)
{
    for (int i = 0; i < options.connections; i++)
        if (connections[i].state == HOLDING) {
            holding--;
            half_close(&connections[i]);
        }
    turn_until(now_ns() + ns(options.timeout));
    for (int i = 0; i < options.connections; i++)
        if (connections[i].state != FINISHED && connections[i].state != UNUSED)
            break_off(&connections[i], ERROR_TIMEOUT, "no end within the timeout");
}

/* Returns the seconds that were measured. */
static double run_window(void)
{
    starting = 1;
    if (options.mode == MODE_ECHO)
        begin_all();
    else
        for (int i = 0; i < options.connections; i++)
            open_connection(&connections[i]);
    turn_until(now_ns() + ns(options.warmup));
    counting = 1;
    uint64_t began_ns = now_ns();
    turn_until(began_ns + ns(options.seconds));
    double seconds = (double)(now_ns() - began_ns) / 1e9;
    counting = starting = 0;
    close_all();
    return seconds;
}

static double run_idle(void)
{
    counting = 1;
    uint64_t began_ns = now_ns();
    open_all();
    double seconds = (double)(now_ns() - began_ns) / 1e9;
    counting = 0;
    fprintf(stderr, "holding %d\n", holding);
    turn_until(now_ns() + ns(options.hold));
    begin_all();
    close_all();
    return seconds;
}

static void report(double seconds)
{
    uint64_t total = 0;
    for (int i = 0; i < ERROR_KINDS; i++)
        total += errors[i];
    printf("{\"mode\": \"%s\", \"connections\": %d, \"size\": %zu, \"opened\": %d, \"requests\": %llu, "
           "\"requests_total\": %llu, "
           "\"seconds\": %.6f, \"requests_per_s\": %.1f, \"bytes\": %llu, \"errors\": %llu, "
           "\"errors_connect\": %llu, \"errors_lost\": %llu, \"errors_mismatch\": %llu, "
           "\"errors_timeout\": %llu, \"first_error\": \"%s\", \"p50_us\": %.1f, \"p90_us\": %.1f, "
           "\"p99_us\": %.1f, \"max_us\": %.1f}\n",
           mode_names[options.mode], options.connections, options.size, opened,
           (unsigned long long)requests, (unsigned long long)requests_total, seconds, (double)requests / seconds, (unsigned long long)bytes,
           (unsigned long long)total, (unsigned long long)errors[ERROR_CONNECT],
           (unsigned long long)errors[ERROR_LOST], (unsigned long long)errors[ERROR_MISMATCH],
           (unsigned long long)errors[ERROR_TIMEOUT], first_error, percentile_us(0.5),
           percentile_us(0.9), percentile_us(0.99), (double)latency_max_ns / 1e3);
}

/* ---- start ------------------------------------------------------------------------------ */

static void usage(const char *mistake)
{
    fprintf(stderr,
            "load: %s\nusage: load --port P [--host ADDRESS] [--mode echo|short|idle] [--connections N]\n"
            "            [--size BYTES] [--seconds S] [--warmup S] [--rate PER_S] [--hold S]\n"
            "            [--sources N] [--congestion NAME] [--timeout S] [--verify N]\n",
            mistake);
    exit(2);
}

static double number(const char *text, double least, double most)
{
    char *end;
    double value = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(value >= least && value <= most)) {
        char mistake[120];
        snprintf(mistake, sizeof mistake, "%.40s is not a number from %g to %g", text, least, most);
        usage(mistake);
    }
    return value;
}

static enum mode parse_mode(const char *text)
{
    for (int i = 0; i < 3; i++)
        if (strcmp(text, mode_names[i]) == 0)
            return (enum mode)i;
    usage("the mode is echo, short or idle");
    return MODE_ECHO;
}

static void set_option(int name, const char *value)
{
    switch (name) {
    case 'a': options.host = value; break;
    case 'p': options.port = (int)number(value, 1, 65535); break;
    case 'm': options.mode = parse_mode(value); break;
    case 'c': options.connections = (int)number(value, 1, CONNECTIONS_MAX); break;
    case 's': options.size = (size_t)number(value, 1, SIZE_MAX_BYTES); break;
    case 't': options.seconds = number(value, 0.01, SECONDS_MAX); break;
    case 'w': options.warmup = number(value, 0, SECONDS_MAX); break;
    case 'r': options.rate = number(value, 0, 1e6); break;
    case 'h': options.hold = number(value, 0, SECONDS_MAX); break;
    case 'n': options.sources = (int)number(value, 1, 1000); break;
    case 'v': options.verify = (unsigned)number(value, 1, 1e6); break;
    case 'g': options.congestion = value; break;
    case 'o': options.timeout = number(value, 0.1, SECONDS_MAX); break;
    default: usage("unknown option");
    }
}

static void parse_options(int count, char **arguments)
{
    static const struct option known[] = {
        {"host", 1, 0, 'a'}, {"port", 1, 0, 'p'}, {"mode", 1, 0, 'm'}, {"connections", 1, 0, 'c'},
        {"size", 1, 0, 's'}, {"seconds", 1, 0, 't'}, {"warmup", 1, 0, 'w'}, {"rate", 1, 0, 'r'},
        {"verify", 1, 0, 'v'}, {"hold", 1, 0, 'h'}, {"sources", 1, 0, 'n'}, {"congestion", 1, 0, 'g'}, {"timeout", 1, 0, 'o'},
        {0, 0, 0, 0}};
    struct in_addr address;
    int name;
    while ((name = getopt_long(count, arguments, "", known, NULL)) != -1)
        set_option(name, optarg);
    if (optind < count || options.port == 0)
        usage(options.port ? "arguments without an option" : "--port is needed");
    if (inet_pton(AF_INET, options.host, &address) != 1)
        usage("--host takes an IPv4 address");
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void make_pool(void)
{
    uint64_t state = 0x9e3779b97f4a7c15u; /* xorshift64; any seed but zero does */
    pool = malloc(options.size + WINDOWS);
    buffer = malloc(READ_BYTES);
    connections = calloc((size_t)options.connections, sizeof *connections);
    if (!pool || !buffer || !connections)
        fail("malloc");
    for (size_t i = 0; i < options.size + WINDOWS; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        pool[i] = (char)state;
    }
}

int main(int count, char **arguments)
{
    parse_options(count, arguments);
    raise_file_limit();
    make_pool();
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        fail("epoll_create1");
    if (options.mode == MODE_ECHO)
        open_all();
    double seconds = options.mode == MODE_IDLE ? run_idle() : run_window();
    report(seconds > 1e-9 ? seconds : 1e-9); /* all may fail at once */
    return 0;
}
