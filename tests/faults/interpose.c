/* Preloaded into a process that builds an index: counts what it writes to disk, and at the n-th
   such call kills the process, or pretends from then on that the disk is full.

   A call counts when it changes a regular file or a directory. A killed write is torn: half of it
   has reached the file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { COUNT = 0, KILL = 1, FULL = 2 };
static long seen, fatal = -1;
static int mode = COUNT, armed = 0;

void interpose_arm(long at, int how) { seen = 0; fatal = at; mode = how; armed = 1; }
long interpose_seen(void) { return seen; }

static int regular(int fd) {
  struct stat about;
  return fd > 2 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
}

/* 1: this call fails because the disk is full. Does not return when it is the fatal one. */
static int due(int fails_when_full) {
  if (!armed) return 0;
  seen++;
  if (mode == KILL && seen == fatal) kill(getpid(), SIGKILL);
  if (mode == FULL && seen >= fatal && fails_when_full) { errno = ENOSPC; return 1; }
  return 0;
}

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *data, size_t size) {
  REAL(ssize_t, write, int, const void *, size_t);
  if (armed && regular(fd)) {
    if (mode == KILL && seen + 1 == fatal) real(fd, data, size / 2);
    if (due(1)) return -1;
  }
  return real(fd, data, size);
}

#define PWRITE(name, offset_type) \
  ssize_t name(int fd, const void *data, size_t size, offset_type at) { \
    REAL(ssize_t, name, int, const void *, size_t, offset_type); \
    if (armed && regular(fd)) { \
      if (mode == KILL && seen + 1 == fatal) real(fd, data, size / 2, at); \
      if (due(1)) return -1; \
    } \
    return real(fd, data, size, at); \
  }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
  REAL(size_t, fwrite, const void *, size_t, size_t, FILE *);
  if (armed && regular(fileno(file))) {
    if (mode == KILL && seen + 1 == fatal) { real(data, size, count / 2, file); fflush(file); }
    if (due(1)) return 0;
  }
  return real(data, size, count, file);
}

#define SIMPLE(name, fails, declared, passed, ...) \
  int name declared { \
    REAL(int, name, __VA_ARGS__); \
    if (due(fails)) return -1; \
    return real passed; \
  }
SIMPLE(fsync, 1, (int fd), (fd), int)
SIMPLE(fdatasync, 1, (int fd), (fd), int)
SIMPLE(ftruncate, 1, (int fd, off_t size), (fd, size), int, off_t)
SIMPLE(ftruncate64, 1, (int fd, off64_t size), (fd, size), int, off64_t)
SIMPLE(rename, 1, (const char *from, const char *to), (from, to), const char *, const char *)
SIMPLE(renameat, 1, (int a, const char *from, int b, const char *to), (a, from, b, to), int, const char *, int, const char *)
SIMPLE(mkdir, 1, (const char *path, mode_t how), (path, how), const char *, mode_t)
SIMPLE(mkdirat, 1, (int at, const char *path, mode_t how), (at, path, how), int, const char *, mode_t)
SIMPLE(unlink, 0, (const char *path), (path), const char *)
SIMPLE(unlinkat, 0, (int at, const char *path, int how), (at, path, how), int, const char *, int)
SIMPLE(rmdir, 0, (const char *path), (path), const char *)
