/* A stream of bytes that may be under TLS, and lines cut from it: what the FTP server and the FTP load share. */
#ifndef FTP_STREAM_H
#define FTP_STREAM_H
#include <openssl/ssl.h>
#include <stddef.h>
#include <sys/types.h>

enum { LINE_BYTES = 1024, PATH_BYTES = 512 };

struct stream {
    int fd; /* -1 when closed */
    SSL *tls; /* NULL while plain */
};

struct lines {
    char waiting[LINE_BYTES];
    size_t count;
};

enum side { SERVER, CLIENT };

/* The context of all connections of a program: one cipher, so that servers are compared and not ciphers. */
SSL_CTX *tls_context(enum side side);

/* Negotiate; `resumed` (or NULL) is the session that a client offers. False when it fails. */
int stream_secure(struct stream *stream, SSL_CTX *context, enum side side, SSL_SESSION *resumed);

/* As recv and send would: 0 at the end, -1 on an error. write_all writes everything, or returns false. */
ssize_t stream_read(struct stream *stream, void *buffer, size_t size);
int stream_write_all(struct stream *stream, const void *data, size_t size);

/* Say that all was sent, wait until the peer has ended too, and close: no byte is lost to a reset. */
void stream_finish(struct stream *stream);
/* Close what the peer has ended already. */
void stream_close(struct stream *stream);

/* Put the next line, without CR LF, where `line` points (LINE_BYTES there). False at the end or on an error. */
int next_line(struct stream *stream, struct lines *lines, char *line);

/* Congestion control for a socket; NULL leaves it as it is. Returns 0, or -1 and errno. */
int set_congestion(int fd, const char *congestion);
#endif
