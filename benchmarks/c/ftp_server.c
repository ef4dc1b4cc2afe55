/* An FTP server without checks: the yardstick that every other FTP server is compared with.
 *
 * ftp_server ROOT CERTIFICATE KEY [CONGESTION]     takes a free port; "listening PORT" is printed when ready.
 *
 * A thread for each session, blocking calls. Files leave by sendfile and arrive by splice through a pipe of 1 MiB;
 * under TLS by OpenSSL and a buffer of 64 KiB. Any name and any password will do, any path is opened as it comes, and
 * nobody is ever timed out: it shows what the kernel and OpenSSL allow, and is not for anything else.
 */
#define _GNU_SOURCE
#include "ftp_stream.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 4096, PIPE_BYTES = 1 << 20, SENDFILE_BYTES = 1 << 30, TLS_BYTES = 64 << 10, STACK_BYTES = 256 << 10 };
enum { FIRST_PORT = 20000, PORTS = 10000 };

static const char *root, *congestion;
static SSL_CTX *context;

struct session {
    struct stream control, data;
    struct lines lines;
    int listener; /* of the next data connection, or -1 */
    int pipe[2]; /* made for the first upload */
    int protect; /* the data connections are under TLS */
    char folder[PATH_BYTES]; /* "" or "/a/b" */
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int reply(struct session *session, const char *text)
{
    char line[LINE_BYTES];
    int length = snprintf(line, sizeof line, "%s\r\n", text);
    return stream_write_all(&session->control, line, (size_t)length);
}

static const char *path_of(const struct session *session, const char *name, char *path)
{
    snprintf(path, LINE_BYTES * 2, "%s%s/%s", root, name[0] == '/' ? "" : session->folder, name);
    return path;
}

/* ---- the data connection ----------------------------------------------------------------- */

/* Port 0 takes any. Returns -1 where the port is not free. */
static int listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    /* accepted sockets inherit the congestion control of the listener */
    if (set_congestion(fd, congestion) == 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Ports in turn, not any: those are never ones in TIME-WAIT, and after ten thousand transfers the kernel looks long
 * for one that is not. */
static int listen_for_data(int *port)
{
    static unsigned turn;
    int fd = -1;
    for (int tries = 0; fd < 0 && tries < PORTS; tries++) {
        *port = FIRST_PORT + (int)(__atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) % PORTS);
        fd = listen_on(*port);
    }
    if (fd < 0)
        fail("no port for data");
    return fd;
}

static int enter_passive(struct session *session, int extended)
{
    int port;
    char text[80];
    if (session->listener >= 0)
        close(session->listener);
    session->listener = listen_for_data(&port);
    if (extended)
        snprintf(text, sizeof text, "229 Entering extended passive mode (|||%d|)", port);
    else
        snprintf(text, sizeof text, "227 Entering passive mode (127,0,0,1,%d,%d)", port >> 8, port & 255);
    return reply(session, text);
}

static int open_data(struct session *session)
{
    if (session->listener < 0)
        return 0;
    session->data = (struct stream){.fd = accept4(session->listener, NULL, NULL, SOCK_CLOEXEC)};
    close(session->listener);
    session->listener = -1;
    return session->data.fd >= 0 && (!session->protect || stream_secure(&session->data, context, SERVER, NULL));
}

/* A plain peer sends nothing on after a file, so nothing can be lost; under TLS its last words may still be coming. */
static void end_data(struct session *session)
{
    if (session->data.tls)
        stream_finish(&session->data);
    else
        stream_close(&session->data);
}

/* ---- files ------------------------------------------------------------------------------- */

static int send_plain(struct session *session, int file)
{
    ssize_t sent;
    while ((sent = sendfile(session->data.fd, file, NULL, SENDFILE_BYTES)) > 0)
        ;
    return sent == 0;
}

static int send_secured(struct session *session, int file)
{
    char *buffer = malloc(TLS_BYTES);
    ssize_t got = -1;
    while (buffer && (got = read(file, buffer, TLS_BYTES)) > 0)
        if (!stream_write_all(&session->data, buffer, (size_t)got))
            break;
    free(buffer);
    return got == 0;
}

static int receive_plain(struct session *session, int file)
{
    if (session->pipe[0] < 0) {
        if (pipe2(session->pipe, O_CLOEXEC) < 0)
            return 0;
        fcntl(session->pipe[1], F_SETPIPE_SZ, PIPE_BYTES);
    }
    ssize_t got;
    while ((got = splice(session->data.fd, NULL, session->pipe[1], NULL, PIPE_BYTES, SPLICE_F_MOVE)) > 0)
        while (got > 0) {
            ssize_t put = splice(session->pipe[0], NULL, file, NULL, (size_t)got, SPLICE_F_MOVE);
            if (put <= 0)
                return 0;
            got -= put;
        }
    return got == 0;
}

static int receive_secured(struct session *session, int file)
{
    char *buffer = malloc(TLS_BYTES);
    ssize_t got = -1;
    while (buffer && (got = stream_read(&session->data, buffer, TLS_BYTES)) > 0)
        if (write(file, buffer, (size_t)got) != got)
            break;
    free(buffer);
    return got == 0;
}

static int transfer(struct session *session, int file, int (*plain)(struct session *, int),
                    int (*secured)(struct session *, int))
{
    if (file < 0)
        return reply(session, "550 No such file");
    if (!reply(session, "150 Here it comes"))
        return 0;
    int done = open_data(session) && (session->data.tls ? secured : plain)(session, file);
    end_data(session);
    close(file);
    return reply(session, done ? "226 Done" : "426 Transfer broken off");
}

/* ---- listings ---------------------------------------------------------------------------- */

enum listing { LIST, NLST, MLSD };

static size_t list_line(enum listing kind, const char *name, const struct stat *status, char *line, size_t size)
{
    char when[20];
    struct tm time;
    int folder = S_ISDIR(status->st_mode);
    gmtime_r(&status->st_mtime, &time);
    if (kind == NLST)
        return (size_t)snprintf(line, size, "%s\r\n", name);
    strftime(when, sizeof when, kind == LIST ? "%b %d %H:%M" : "%Y%m%d%H%M%S", &time);
    if (kind == LIST)
        return (size_t)snprintf(line, size, "%c%s %3u %-8u %-8u %12lld %s %s\r\n", folder ? 'd' : '-', "rw-r--r--",
                                (unsigned)status->st_nlink, status->st_uid, status->st_gid,
                                (long long)status->st_size, when, name);
    return (size_t)snprintf(line, size, "type=%s;size=%lld;modify=%s;UNIX.mode=0%o; %s\r\n", folder ? "dir" : "file",
                            (long long)status->st_size, when, status->st_mode & 07777, name);
}

static int write_listing(struct session *session, DIR *folder, enum listing kind)
{
    char lines[TLS_BYTES];
    size_t filled = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        struct stat status = {0};
        if (entry->d_name[0] == '.')
            continue;
        if (kind != NLST && fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (filled > sizeof lines - 2 * NAME_MAX) {
            if (!stream_write_all(&session->data, lines, filled))
                return 0;
            filled = 0;
        }
        filled += list_line(kind, entry->d_name, &status, lines + filled, sizeof lines - filled);
    }
    return stream_write_all(&session->data, lines, filled);
}

static int list(struct session *session, const char *name, enum listing kind)
{
    char path[LINE_BYTES * 2];
    DIR *folder = opendir(path_of(session, name, path));
    if (folder == NULL)
        return reply(session, "550 No such folder");
    int going = reply(session, "150 Here it comes");
    int done = going && open_data(session) && write_listing(session, folder, kind);
    end_data(session);
    closedir(folder);
    return going && reply(session, done ? "226 Done" : "426 Transfer broken off");
}

/* ---- commands ---------------------------------------------------------------------------- */

static int change_folder(struct session *session, const char *name)
{
    char path[LINE_BYTES * 2];
    struct stat status;
    if (stat(path_of(session, name, path), &status) < 0 || !S_ISDIR(status.st_mode))
        return reply(session, "550 No such folder");
    snprintf(session->folder, sizeof session->folder, "%s", path + strlen(root));
    return reply(session, "250 Done");
}

static int tell_folder(struct session *session)
{
    char text[PATH_BYTES + 20];
    snprintf(text, sizeof text, "257 \"%s\"", session->folder[0] ? session->folder : "/");
    return reply(session, text);
}

static int tell_size(struct session *session, const char *name)
{
    char path[LINE_BYTES * 2], text[40];
    struct stat status;
    if (stat(path_of(session, name, path), &status) < 0)
        return reply(session, "550 No such file");
    snprintf(text, sizeof text, "213 %lld", (long long)status.st_size);
    return reply(session, text);
}

/* Do what the line says; false when the session is over. */
static int obey(struct session *session, char *line)
{
    char path[LINE_BYTES * 2], *argument = strchr(line, ' ');
    if (argument)
        *argument++ = '\0';
    else
        argument = "";
#define IS(word) (strcasecmp(line, word) == 0)
    if (IS("RETR"))
        return transfer(session, open(path_of(session, argument, path), O_RDONLY | O_CLOEXEC), send_plain,
                        send_secured);
    if (IS("STOR"))
        return transfer(session,
                        open(path_of(session, argument, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644),
                        receive_plain, receive_secured);
    if (IS("EPSV") || IS("PASV"))
        return enter_passive(session, IS("EPSV"));
    if (IS("LIST") || IS("NLST") || IS("MLSD"))
        return list(session, argument, IS("LIST") ? LIST : IS("NLST") ? NLST : MLSD);
    if (IS("USER"))
        return reply(session, "331 And the password?");
    if (IS("PASS"))
        return reply(session, "230 Welcome");
    if (IS("TYPE") || IS("PBSZ") || IS("PROT")) {
        session->protect = IS("PROT") ? argument[0] == 'P' : session->protect;
        return reply(session, "200 Done");
    }
    if (IS("AUTH"))
        return reply(session, "234 Go on under TLS") && stream_secure(&session->control, context, SERVER, NULL);
    if (IS("CWD"))
        return change_folder(session, argument);
    if (IS("PWD"))
        return tell_folder(session);
    if (IS("SIZE"))
        return tell_size(session, argument);
    if (IS("QUIT"))
        return reply(session, "221 Goodbye") && 0;
    return reply(session, "502 Not here");
#undef IS
}

static void *serve(void *argument)
{
    struct session session = {.control.fd = (int)(long)argument, .data.fd = -1, .listener = -1, .pipe = {-1, -1}};
    char line[LINE_BYTES];
    int one = 1;
    setsockopt(session.control.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (reply(&session, "220 ftp_server"))
        while (next_line(&session.control, &session.lines, line) && obey(&session, line))
            ;
    stream_close(&session.control);
    if (session.listener >= 0)
        close(session.listener);
    if (session.pipe[0] >= 0) {
        close(session.pipe[0]);
        close(session.pipe[1]);
    }
    return NULL;
}

/* ---- the program ------------------------------------------------------------------------- */

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
    if (count < 4 || count > 5) {
        fprintf(stderr, "usage: ftp_server ROOT CERTIFICATE KEY [CONGESTION]\n");
        return 2;
    }
    root = arguments[1];
    congestion = count > 4 ? arguments[4] : NULL;
    raise_file_limit();
    signal(SIGPIPE, SIG_IGN); /* sendfile and OpenSSL cannot be told not to */
    context = tls_context(SERVER);
    if (context == NULL || SSL_CTX_use_certificate_chain_file(context, arguments[2]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, arguments[3], SSL_FILETYPE_PEM) != 1) {
        fprintf(stderr, "the certificate or its key cannot be used\n");
        return 1;
    }
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int listener = listen_on(0);
    if (listener < 0 || getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        fail("listen");
    printf("listening %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        pthread_t thread;
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
            fail("accept");
        if (fd >= 0 && pthread_create(&thread, &attributes, serve, (void *)(long)fd) != 0)
            close(fd);
    }
}
