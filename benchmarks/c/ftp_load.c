/* The load on an FTP server: sessions in threads, bounded in count and in time. It prints one JSON line.
 *
 * make   no load: write the files FOLDER/00000 … under ROOT that the others ask for.
 * get    every session has logged in; then it downloads FOLDER/N, for a time or so many times.
 * put    the same with uploads of ROOT/FOLDER/N to up/N. What was acknowledged is then looked at, and removed.
 * list   the same with LIST, MLSD or NLST of FOLDER, which has so many files.
 * login  connect, USER, PASS, QUIT, again.
 * idle   open the sessions, log in, and hold them.
 *
 * It says "ready" when the window may begin, and "done" when all is done and every session is still there; after
 * either it waits for a line, so that whoever started it can look at clocks and memory meanwhile.
 *
 * What comes is compared with what the files contain; of large files samples, and of the rest the kernel drops the
 * bytes and tells only their number (under TLS they are decrypted all the same). Uploads leave by sendfile.
 */
#define _GNU_SOURCE
#include "ftp_content.h"
#include "ftp_session.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 256 << 10, SESSIONS_MAX = 20 * 1000, FILES_MAX = 100 * 1000, STACK_BYTES = 1 << 20 };
enum { IDLE_THREADS = 8, LISTED_MORE_MAX = 3 }; /* a line of totals, and the folder and its parent */

static struct {
    const char *mode, *root, *folder, *list;
    int connections, files, count, tls;
    double seconds;
    uint64_t size;
    struct account account;
} options = {.mode = "", .root = ".", .folder = "", .list = "LIST", .connections = 1, .files = 1,
             .account = {.host = "127.0.0.1", .user = "anna", .password = "secret", .timeout_s = 20}};

static __thread char buffer[READ_BYTES];
static struct session *sessions;
static char *acknowledged; /* uploads by number */
static int up; /* the folder of the uploads, open */
static pthread_barrier_t logged_in, begun, ended, looked;
static unsigned next_number;
static double began_s;
/* under the lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t operations, bytes, errors;
static double last_s;
static char first_error[sizeof ((struct session *)0)->error], cipher[sizeof ((struct session *)0)->cipher];

static double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void note_error(const char *what)
{
    pthread_mutex_lock(&lock);
    if (errors++ == 0)
        snprintf(first_error, sizeof first_error, "%s", what);
    pthread_mutex_unlock(&lock);
}

/* ---- transfers --------------------------------------------------------------------------- */

static const char *name_of(char *name, size_t size, const char *folder, unsigned number)
{
    snprintf(name, size, "%s/%05u", folder, number);
    return name;
}

/* Read the content of a file to its end. */
static int take(struct session *session, struct stream *data, unsigned number)
{
    uint64_t offset = 0;
    for (;;) {
        size_t span_left, compared = content_sample(offset, &span_left);
        size_t wanted = compared && compared < sizeof buffer ? compared : sizeof buffer;
        ssize_t got = compared || data->tls ? stream_read(data, buffer, wanted)
                                            : recv(data->fd, NULL, span_left, MSG_TRUNC);
        if (got < 0)
            return session_failed(session, "download", data->tls ? "a TLS error" : strerror(errno));
        if (got == 0)
            break;
        if (compared && !content_matches(buffer, number, offset, (size_t)got))
            return session_failed(session, "download", "not what the file contains");
        offset += (uint64_t)got;
    }
    return offset == options.size || session_failed(session, "download", "not as long as the file");
}

static int get(struct session *session, unsigned number)
{
    char name[PATH_BYTES];
    struct stream data;
    if (!session_data(session, "RETR", name_of(name, sizeof name, options.folder, number), &data))
        return 0;
    int taken = take(session, &data, number);
    stream_close(&data);
    return taken && session_reply(session, "226");
}

static int give(struct stream *data, int file)
{
    ssize_t got;
    if (!data->tls) {
        while ((got = sendfile(data->fd, file, NULL, 1 << 30)) > 0)
            ;
        return got == 0;
    }
    while ((got = read(file, buffer, sizeof buffer)) > 0)
        if (!stream_write_all(data, buffer, (size_t)got))
            return 0;
    return got == 0;
}

static int put(struct session *session, unsigned number)
{
    char name[PATH_BYTES], path[PATH_BYTES * 2];
    struct stream data;
    snprintf(path, sizeof path, "%s/%s", options.root, name_of(name, sizeof name, options.folder, number));
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return session_failed(session, path, strerror(errno));
    int given = session_data(session, "STOR", name_of(name, sizeof name, "up", number), &data);
    if (given) {
        given = give(&data, file) || session_failed(session, "upload", data.tls ? "a TLS error" : strerror(errno));
        stream_finish(&data);
    }
    close(file);
    if (!given || !session_reply(session, "226"))
        return 0;
    acknowledged[number] = 1;
    return 1;
}

static int list(struct session *session)
{
    struct stream data;
    ssize_t got;
    int lines = 0;
    if (!session_data(session, options.list, options.folder, &data))
        return 0;
    while ((got = stream_read(&data, buffer, sizeof buffer)) > 0)
        for (const char *at = buffer; (at = memchr(at, '\n', (size_t)(buffer + got - at))) != NULL; at++)
            lines++;
    stream_close(&data);
    if (got < 0 || lines < options.files || lines > options.files + LISTED_MORE_MAX)
        return session_failed(session, "listing", "not as many lines as the folder has files");
    return session_reply(session, "226");
}

static int log_in_once(struct session *session)
{
    int done = session_open(session, &options.account);
    return session_quit(session) && done;
}

/* ---- sessions in threads ----------------------------------------------------------------- */

static int is_mode(const char *mode)
{
    return strcmp(options.mode, mode) == 0;
}

static int operate(struct session *session)
{
    unsigned number = __atomic_fetch_add(&next_number, 1, __ATOMIC_RELAXED) % (unsigned)options.files;
    return is_mode("get") ? get(session, number) : is_mode("put") ? put(session, number)
           : is_mode("list") ? list(session) : log_in_once(session);
}

static uint64_t bytes_of(uint64_t done)
{
    return is_mode("get") || is_mode("put") ? done * options.size : 0;
}

static void note(const struct session *session, uint64_t done)
{
    pthread_mutex_lock(&lock);
    operations += done;
    bytes += bytes_of(done);
    last_s = now_s();
    if (!cipher[0])
        snprintf(cipher, sizeof cipher, "%s", session->cipher);
    pthread_mutex_unlock(&lock);
}

/* One session, or in the mode idle each of so many. */
static void *run_sessions(void *argument)
{
    long first = (long)argument, step = is_mode("idle") ? IDLE_THREADS : SESSIONS_MAX;
    struct session *session = &sessions[first];
    int early = !is_mode("idle") && !is_mode("login");
    if (early)
        session_open(session, &options.account);
    pthread_barrier_wait(&logged_in);
    pthread_barrier_wait(&begun);
    for (uint64_t done = 0; !is_mode("idle") && !session->error[0]; done++) {
        int is_over = (options.count && done == (uint64_t)options.count) ||
                      (options.seconds > 0 && now_s() > began_s + options.seconds);
        if (is_over)
            break;
        note(session, (uint64_t)operate(session));
    }
    for (long i = first; is_mode("idle") && i < options.connections; i += step)
        note(&sessions[i], (uint64_t)session_open(&sessions[i], &options.account));
    pthread_barrier_wait(&ended);
    pthread_barrier_wait(&looked);
    for (long i = first; i < options.connections; i += step) {
        if (!is_mode("login"))
            session_quit(&sessions[i]);
        if (sessions[i].error[0])
            note_error(sessions[i].error);
    }
    return NULL;
}

static void say_and_wait(const char *word)
{
    char line[10];
    printf("%s\n", word);
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL)
        exit(1); /* nobody is interested any more */
}

static void look_at_uploads(void)
{
    for (int number = 0; number < options.files; number++) {
        char name[20];
        snprintf(name, sizeof name, "%05d", number);
        int file = openat(up, name, O_RDONLY | O_CLOEXEC);
        if (acknowledged[number] && (file < 0 || !content_is_in(file, (uint64_t)number, options.size)))
            note_error("an upload that was acknowledged is not what was sent");
        if (file >= 0) {
            close(file);
            unlinkat(up, name, 0);
        }
    }
}

static double load(void)
{
    long threads = is_mode("idle") && options.connections > IDLE_THREADS ? IDLE_THREADS : options.connections;
    pthread_t *running = calloc((size_t)threads, sizeof *running);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_barrier_t *barriers[] = {&logged_in, &begun, &ended, &looked};
    for (size_t i = 0; i < 4; i++)
        pthread_barrier_init(barriers[i], NULL, (unsigned)threads + 1);
    for (long i = 0; i < threads; i++)
        if (pthread_create(&running[i], &attributes, run_sessions, (void *)i) != 0)
            exit(fprintf(stderr, "no thread for each session\n") > 0);
    pthread_barrier_wait(&logged_in);
    say_and_wait("ready");
    began_s = last_s = now_s();
    pthread_barrier_wait(&begun);
    pthread_barrier_wait(&ended);
    double seconds = last_s - began_s;
    say_and_wait("done");
    pthread_barrier_wait(&looked);
    for (long i = 0; i < threads; i++)
        pthread_join(running[i], NULL);
    free(running);
    return seconds;
}

/* ---- the program ------------------------------------------------------------------------- */

static void make_files(int folder)
{
    char name[20];
    for (int number = 0; number < options.files; number++) {
        snprintf(name, sizeof name, "%05d", number);
        if (!content_make(folder, name, (uint64_t)number, options.size))
            fail(name);
    }
}

static void read_options(int count, char **arguments)
{
    static const struct option known[] = {
        {"mode", 1, 0, 'm'}, {"port", 1, 0, 'p'}, {"root", 1, 0, 'r'}, {"folder", 1, 0, 'f'}, {"files", 1, 0, 'n'},
        {"size", 1, 0, 's'}, {"connections", 1, 0, 'c'}, {"count", 1, 0, 'k'}, {"seconds", 1, 0, 't'},
        {"list", 1, 0, 'l'}, {"tls", 1, 0, 'x'}, {"congestion", 1, 0, 'g'}, {"timeout", 1, 0, 'o'}, {0, 0, 0, 0}};
    for (int option; (option = getopt_long(count, arguments, "", known, NULL)) != -1;)
        switch (option) {
        case 'm': options.mode = optarg; break;
        case 'p': options.account.port = atoi(optarg); break;
        case 'r': options.root = optarg; break;
        case 'f': options.folder = optarg; break;
        case 'n': options.files = atoi(optarg); break;
        case 's': options.size = strtoull(optarg, NULL, 10); break;
        case 'c': options.connections = atoi(optarg); break;
        case 'k': options.count = atoi(optarg); break;
        case 't': options.seconds = atof(optarg); break;
        case 'l': options.list = optarg; break;
        case 'x': options.tls = atoi(optarg); break;
        case 'g': options.account.congestion = optarg; break;
        case 'o': options.account.timeout_s = atof(optarg); break;
        default: exit(2);
        }
    int is_bounded = options.count > 0 || options.seconds > 0 || is_mode("idle") || is_mode("make");
    if (!is_bounded || options.connections < 1 || options.connections > SESSIONS_MAX || options.files < 1 ||
        options.files > FILES_MAX || strchr("mgpli", options.mode[0] ? options.mode[0] : '?') == NULL) {
        fprintf(stderr, "usage: ftp_load --mode make|get|put|list|login|idle --root FOLDER --port N --count N …\n");
        exit(2);
    }
}

static int open_folder(const char *name)
{
    char path[PATH_BYTES * 2];
    snprintf(path, sizeof path, "%s/%s", options.root, name);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        fail(path);
    return folder;
}

int main(int count, char **arguments)
{
    read_options(count, arguments);
    content_prepare();
    if (is_mode("make")) {
        make_files(open_folder(options.folder));
        return 0;
    }
    signal(SIGPIPE, SIG_IGN); /* sendfile and OpenSSL cannot be told not to */
    up = is_mode("put") ? open_folder("up") : -1;
    sessions = calloc((size_t)options.connections, sizeof *sessions);
    acknowledged = calloc((size_t)options.files, 1);
    if (sessions == NULL || acknowledged == NULL)
        fail("memory");
    if (options.tls && (options.account.tls = tls_context(CLIENT)) == NULL)
        fail("TLS");
    double seconds = load();
    if (is_mode("put"))
        look_at_uploads();
    for (char *at = first_error; *at; at++)
        if (*at == '"' || *at == '\\' || (unsigned char)*at < ' ' || (unsigned char)*at > '~')
            *at = '\''; /* so that it may stand in JSON */
    printf("{\"operations\": %llu, \"bytes\": %llu, \"seconds\": %.6f, \"errors\": %llu, \"first_error\": \"%s\", "
           "\"cipher\": \"%s\"}\n",
           (unsigned long long)operations, (unsigned long long)bytes, seconds, (unsigned long long)errors,
           first_error, cipher);
    return 0;
}
