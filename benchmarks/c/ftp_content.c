#define _GNU_SOURCE
#include "ftp_content.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A block is a window into a pool of random bytes; which one, depends on the file and on the number of the block. */
enum { BLOCK_BYTES = 64 << 10, WINDOWS = 65521 };
static char pool[BLOCK_BYTES + WINDOWS];

void content_prepare(void)
{
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < sizeof pool; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        pool[i] = (char)(state >> 56);
    }
}

/* Where the content at the offset stands; `run` is how much of it follows there, at most `count`. */
static const char *content_at(uint64_t number, uint64_t offset, size_t count, size_t *run)
{
    uint64_t inside = offset % BLOCK_BYTES;
    *run = count < BLOCK_BYTES - inside ? count : (size_t)(BLOCK_BYTES - inside);
    return pool + (number * 7919 + offset / BLOCK_BYTES * 131) % WINDOWS + inside;
}

void content_fill(char *buffer, uint64_t number, uint64_t offset, size_t count)
{
    for (size_t run; count > 0; buffer += run, offset += run, count -= run) {
        const char *content = content_at(number, offset, count, &run);
        memcpy(buffer, content, run);
    }
}

int content_matches(const char *buffer, uint64_t number, uint64_t offset, size_t count)
{
    for (size_t run; count > 0; buffer += run, offset += run, count -= run) {
        const char *expected = content_at(number, offset, count, &run);
        if (memcmp(buffer, expected, run) != 0)
            return 0;
    }
    return 1;
}

size_t content_sample(uint64_t offset, size_t *left)
{
    size_t inside = offset % SPAN_BYTES;
    *left = SPAN_BYTES - inside;
    return inside < SAMPLE_BYTES ? SAMPLE_BYTES - inside : 0;
}

int content_make(int folder, const char *name, uint64_t number, uint64_t size)
{
    char buffer[BLOCK_BYTES];
    int file = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0)
        return 0;
    for (uint64_t done = 0; done < size;) {
        size_t count = size - done < sizeof buffer ? (size_t)(size - done) : sizeof buffer;
        content_fill(buffer, number, done, count);
        ssize_t put = write(file, buffer, count);
        if (put <= 0) {
            close(file);
            return 0;
        }
        done += (uint64_t)put;
    }
    return close(file) == 0;
}

int content_is_in(int file, uint64_t number, uint64_t size)
{
    char buffer[SAMPLE_BYTES];
    struct stat status;
    if (fstat(file, &status) < 0 || (uint64_t)status.st_size != size)
        return 0;
    for (uint64_t offset = 0; offset < size; offset += SPAN_BYTES) {
        size_t count = size - offset < sizeof buffer ? (size_t)(size - offset) : sizeof buffer;
        if (pread(file, buffer, count, (off_t)offset) != (ssize_t)count ||
            !content_matches(buffer, number, offset, count))
            return 0;
    }
    return 1;
}
