/* What the files of the benchmark contain: it follows from the number of a file and the place in it, so that a byte
 * of another file, or of another place, does not pass for the right one. */
#ifndef FTP_CONTENT_H
#define FTP_CONTENT_H
#include <stddef.h>
#include <stdint.h>

void content_prepare(void);
void content_fill(char *buffer, uint64_t number, uint64_t offset, size_t count);
int content_matches(const char *buffer, uint64_t number, uint64_t offset, size_t count);

/* Of a large file only the beginning of each span is compared: a generator that reads every byte is the slower one. */
enum { SPAN_BYTES = 16 << 20, SAMPLE_BYTES = 64 << 10 };
/* How many bytes from here on are to be compared; 0 within the part that is not, and `left` is what is left of it. */
size_t content_sample(uint64_t offset, size_t *left);

/* Write the file of that number into the open folder. False and errno when it fails. */
int content_make(int folder, const char *name, uint64_t number, uint64_t size);
/* Whether the open file is that one: its size, and samples. */
int content_is_in(int file, uint64_t number, uint64_t size);
#endif
