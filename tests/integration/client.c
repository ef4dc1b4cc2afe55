/* A client as textbooks write it: every address of the name in turn, then its input to the server and the server's
   words to its output, with select(2), half-closing at the end of its input.  usage: client HOST PORT */

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

static int dial(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all, *one;
    int error = getaddrinfo(host, port, &hints, &all), fd = -1;
    if (error) {
        fprintf(stderr, "%s: %s\n", host, gai_strerror(error));
        return -1;
    }
    for (one = all; one; one = one->ai_next) {
        fd = socket(one->ai_family, one->ai_socktype, one->ai_protocol);
        if (fd >= 0 && connect(fd, one->ai_addr, one->ai_addrlen) == 0)
            break;
        perror("connect");
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(all);
    return fd;
}

static int write_all(int fd, const char *data, ssize_t count)
{
    while (count > 0) {
        ssize_t done = write(fd, data, count);
        if (done < 0)
            return -1;
        data += done;
        count -= done;
    }
    return 0;
}

int main(int argc, char **argv)
{
    char buffer[4096];
    int input_open = 1, fd;
    if (argc != 3 || (fd = dial(argv[1], argv[2])) < 0)
        return 1;
    for (;;) {
        fd_set readable;
        FD_ZERO(&readable);
        FD_SET(fd, &readable);
        if (input_open)
            FD_SET(0, &readable);
        if (select(fd + 1, &readable, NULL, NULL, NULL) < 0)
            return perror("select"), 1;
        if (FD_ISSET(fd, &readable)) {
            ssize_t count = read(fd, buffer, sizeof buffer);
            if (count < 0)
                return perror("read"), 1;
            if (count == 0)
                return input_open; /* the server may not leave before we have said everything */
            if (write_all(1, buffer, count) < 0)
                return perror("write"), 1;
        }
        if (input_open && FD_ISSET(0, &readable)) {
            ssize_t count = read(0, buffer, sizeof buffer);
            if (count > 0 && write_all(fd, buffer, count) < 0)
                return perror("write"), 1;
            if (count <= 0) {
                shutdown(fd, SHUT_WR);
                input_open = 0;
            }
        }
    }
}
