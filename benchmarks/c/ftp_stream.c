#define _GNU_SOURCE
#include "ftp_stream.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_AHEAD_BYTES = 128 << 10 };

SSL_CTX *tls_context(enum side side)
{
    SSL_CTX *context = SSL_CTX_new(side == SERVER ? TLS_server_method() : TLS_client_method());
    if (context == NULL)
        return NULL;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    if (side == CLIENT) {
        SSL_CTX_set_ciphersuites(context, "TLS_AES_256_GCM_SHA384");
        SSL_CTX_set_cipher_list(context, "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384");
        SSL_CTX_set_read_ahead(context, 1); /* the load must not be the slower one: many records from each recv */
        SSL_CTX_set_default_read_buffer_len(context, READ_AHEAD_BYTES);
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    }
    /* A peer that ends without close_notify has ended all the same; lengths are compared anyway. */
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"ftp", 3);
    return context;
}

int stream_secure(struct stream *stream, SSL_CTX *context, enum side side, SSL_SESSION *resumed)
{
    stream->tls = SSL_new(context);
    if (stream->tls == NULL || !SSL_set_fd(stream->tls, stream->fd))
        return 0;
    if (side == CLIENT && resumed)
        SSL_set_session(stream->tls, resumed);
    return (side == SERVER ? SSL_accept(stream->tls) : SSL_connect(stream->tls)) == 1;
}

ssize_t stream_read(struct stream *stream, void *buffer, size_t size)
{
    if (stream->tls) {
        int got = SSL_read(stream->tls, buffer, (int)size);
        return got > 0 ? got : SSL_get_error(stream->tls, got) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
    }
    ssize_t got;
    do
        got = recv(stream->fd, buffer, size, 0);
    while (got < 0 && errno == EINTR);
    return got;
}

int stream_write_all(struct stream *stream, const void *data, size_t size)
{
    const char *from = data;
    while (size > 0) {
        ssize_t sent = stream->tls ? SSL_write(stream->tls, from, (int)size)
                                   : send(stream->fd, from, size, MSG_NOSIGNAL);
        if (sent < 0 && !stream->tls && errno == EINTR)
            continue;
        if (sent <= 0)
            return 0;
        from += sent;
        size -= (size_t)sent;
    }
    return 1;
}

void stream_finish(struct stream *stream)
{
    char rest[4096];
    if (stream->tls)
        SSL_shutdown(stream->tls);
    shutdown(stream->fd, SHUT_WR);
    while (recv(stream->fd, rest, sizeof rest, 0) > 0)
        ;
    SSL_free(stream->tls);
    close(stream->fd);
    *stream = (struct stream){.fd = -1};
}

void stream_close(struct stream *stream)
{
    if (stream->tls)
        SSL_shutdown(stream->tls);
    SSL_free(stream->tls);
    if (stream->fd >= 0)
        close(stream->fd);
    *stream = (struct stream){.fd = -1};
}

int next_line(struct stream *stream, struct lines *lines, char *line)
{
    char *end;
    while ((end = memchr(lines->waiting, '\n', lines->count)) == NULL) {
        if (lines->count == sizeof lines->waiting)
            return 0;
        ssize_t got = stream_read(stream, lines->waiting + lines->count, sizeof lines->waiting - lines->count);
        if (got <= 0)
            return 0;
        lines->count += (size_t)got;
    }
    size_t length = (size_t)(end - lines->waiting);
    memcpy(line, lines->waiting, length);
    line[length > 0 && line[length - 1] == '\r' ? length - 1 : length] = '\0';
    lines->count -= length + 1;
    memmove(lines->waiting, end + 1, lines->count);
    return 1;
}

int set_congestion(int fd, const char *congestion)
{
    return congestion ? setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion)) : 0;
}
