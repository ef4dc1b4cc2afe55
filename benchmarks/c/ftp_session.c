#define _GNU_SOURCE
#include "ftp_session.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int session_failed(struct session *session, const char *what, const char *detail)
{
    if (!session->error[0])
        snprintf(session->error, sizeof session->error, "%s: %.900s", what, detail);
    return 0;
}

static int connect_to(const struct account *account, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval timeout = {.tv_sec = (time_t)account->timeout_s};
    timeout.tv_usec = (suseconds_t)((account->timeout_s - (double)timeout.tv_sec) * 1e6);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (inet_pton(AF_INET, account->host, &address.sin_addr) != 1 || set_congestion(fd, account->congestion) < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Read a reply of one or more lines (RFC 959, section 4.2), and compare the first digits of its code. */
int session_reply(struct session *session, const char *expected)
{
    char code[4] = "";
    for (;;) {
        if (!next_line(&session->control, &session->lines, session->reply))
            return session_failed(session, "no reply", errno == EAGAIN ? "timeout" : "the connection ended");
        if (!code[0])
            snprintf(code, sizeof code, "%.3s", session->reply);
        if (strncmp(session->reply, code, 3) == 0 && session->reply[3] != '-')
            break;
    }
    if (strncmp(session->reply, expected, strlen(expected)) != 0)
        return session_failed(session, "refused", session->reply);
    return 1;
}

static int send_command(struct session *session, const char *command, const char *argument)
{
    char line[LINE_BYTES];
    int length = snprintf(line, sizeof line, "%s%s%s\r\n", command, argument ? " " : "", argument ? argument : "");
    return stream_write_all(&session->control, line, (size_t)length) ||
           session_failed(session, "command not sent", command);
}

int session_command(struct session *session, const char *expected, const char *command, const char *argument)
{
    return send_command(session, command, argument) && session_reply(session, expected);
}

static int secure_control(struct session *session)
{
    if (!session_command(session, "234", "AUTH", "TLS"))
        return 0;
    if (!stream_secure(&session->control, session->account->tls, CLIENT, NULL))
        return session_failed(session, "no TLS", "the handshake of the control connection failed");
    const SSL *tls = session->control.tls;
    snprintf(session->cipher, sizeof session->cipher, "%s %s", SSL_get_version(tls), SSL_get_cipher(tls));
    return 1;
}

int session_open(struct session *session, const struct account *account)
{
    *session = (struct session){.account = account, .control.fd = connect_to(account, account->port)};
    if (session->control.fd < 0)
        return session_failed(session, "connect", strerror(errno));
    if (!session_reply(session, "220") || (account->tls && !secure_control(session)))
        return 0;
    if (!session_command(session, "331", "USER", account->user) ||
        !session_command(session, "230", "PASS", account->password) || !session_command(session, "200", "TYPE", "I"))
        return 0;
    if (account->tls == NULL)
        return 1;
    /* Under TLS 1.3 the ticket has come with the bytes that are read by now. */
    session->ticket = SSL_get1_session(session->control.tls);
    return session_command(session, "200", "PBSZ", "0") && session_command(session, "200", "PROT", "P");
}

static int open_data(struct session *session, struct stream *data)
{
    if (!session_command(session, "229", "EPSV", NULL))
        return 0;
    const char *port = strstr(session->reply, "|||");
    *data = (struct stream){.fd = port ? connect_to(session->account, atoi(port + 3)) : -1};
    return data->fd >= 0 || session_failed(session, "data connection", port ? strerror(errno) : session->reply);
}

int session_data(struct session *session, const char *command, const char *argument, struct stream *data)
{
    *data = (struct stream){.fd = -1};
    int opened = open_data(session, data) && session_command(session, "1", command, argument);
    if (opened && session->account->tls && !stream_secure(data, session->account->tls, CLIENT, session->ticket))
        opened = session_failed(session, "no TLS", "the handshake of a data connection failed");
    if (!opened)
        stream_close(data);
    return opened;
}

int session_quit(struct session *session)
{
    int done = !session->error[0] && session_command(session, "221", "QUIT", NULL);
    SSL_SESSION_free(session->ticket);
    session->ticket = NULL;
    stream_close(&session->control);
    return done;
}
