/* The client's side of an FTP session: blocking, with a timeout, and a sentence for what went wrong. */
#ifndef FTP_SESSION_H
#define FTP_SESSION_H
#include "ftp_stream.h"

struct account {
    const char *host, *user, *password, *congestion;
    int port;
    double timeout_s; /* without a byte, until it is an error */
    SSL_CTX *tls; /* NULL for a plain session */
};

struct session {
    const struct account *account;
    struct stream control;
    struct lines lines;
    SSL_SESSION *ticket; /* what the data connections resume */
    char cipher[80]; /* of the control connection, "" while plain */
    char reply[LINE_BYTES]; /* the last line of the last reply */
    char error[LINE_BYTES + 100]; /* "" while all is well */
};

/* Each returns false when it failed, and `error` says how. */
int session_open(struct session *session, const struct account *account); /* up to the reply to PASS, and TYPE I */
int session_command(struct session *session, const char *expected, const char *command, const char *argument);
int session_reply(struct session *session, const char *expected);
/* Ask for a data connection (EPSV), send the command, and have the connection when its 1xx reply has come. */
int session_data(struct session *session, const char *command, const char *argument, struct stream *data);
/* Say QUIT, read the answer, and close; after an error only close. */
int session_quit(struct session *session);
int session_failed(struct session *session, const char *what, const char *detail);
#endif
