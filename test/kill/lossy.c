/*
 * A disk that forgets, for LD_PRELOAD: keeps an undo log of everything that a process has written
 * below certain directories and not yet synced, so that a power cut can be acted out afterwards, on
 * what kill -9 has left (lossy.ts). Can also let one call fail, fill the disk, or end the process.
 *
 *   LOSSY_DIRS   directories to watch, absolute, with a '/' at the end, separated by ':'
 *   LOSSY_SIDE   an existing directory outside of these, on the same file system, for undo logs
 *   LOSSY_FAIL   N:E     call number N fails with errno E and does nothing
 *                N:full  from call N on there is no room: to create or extend a file gets ENOSPC,
 *                        and statfs says so
 *                N:kill  the process ends with SIGKILL before call N
 *   LOSSY_LIES   if set, no sync of a file is believed: a disk that lies
 *
 * Calls that count, from 1, if they concern what is watched: writes, truncations, syncs, creations,
 * renames and removals. Not seen: writes through a shared mapping, fallocate, io_uring (libuv:
 * UV_USE_IO_URING=0).
 *
 * The undo log of a process is LOSSY_SIDE/<monotonic nanoseconds, 20 digits>.undo: records, each a
 * struct header (little-endian), then both paths, then data. A record of a change is written before
 * the change, one of a sync after it. A file that loses its name stays as LOSSY_SIDE/<inode>.saved.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

/* Types of records; undo-log.ts has the same. */
enum {
  WRITE = 1, TRUNCATE, SYNC, WRITTEN_THROUGH,
  CREATE, RENAME, UNLINK, MKDIR, RMDIR, SYNC_DIRECTORY,
  FAULT
};

struct header {
  uint32_t type;
  uint32_t call;        /* number of the call, as LOSSY_FAIL counts */
  uint64_t sequence;    /* of the record, from 1 */
  uint64_t inode;       /* of a RENAME: of the file that loses its name; 0: none */
  uint64_t offset;      /* WRITE: first byte; TRUNCATE: the new length */
  uint64_t length;      /* WRITE: bytes */
  uint64_t size_before; /* of the file */
  uint64_t upto;        /* SYNC: records up to this one; WRITTEN_THROUGH: this record alone */
  uint32_t path_bytes, path2_bytes, data_bytes, zero;
};

#define SECTOR 512
#define STRIPES 64
#define REAL(name) ((__typeof__(&name))real(#name))

static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t names_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t file_mutex[STRIPES];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *dirs, *side;
static int log_fd = -1, lies, fail_errno;
static uint64_t sequence, calls, fail_at;
static enum { NOTHING, ERRNO, FULL, KILL } fail_how;

static void *real(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  return found;
}

static void start(void) {
  for (int i = 0; i < STRIPES; i++) pthread_mutex_init(&file_mutex[i], NULL);
  dirs = getenv("LOSSY_DIRS");
  side = getenv("LOSSY_SIDE");
  lies = getenv("LOSSY_LIES") != NULL;
  const char *fail = getenv("LOSSY_FAIL");
  if (fail == NULL) return;
  char *how = NULL;
  fail_at = strtoull(fail, &how, 10);
  if (*how == ':') how++;
  fail_how = strcmp(how, "full") == 0 ? FULL : strcmp(how, "kill") == 0 ? KILL : ERRNO;
  fail_errno = fail_how == FULL ? ENOSPC : atoi(how);
}

static int is_watched(const char *path) {
  pthread_once(&once, start);
  if (dirs == NULL || side == NULL) return 0;
  for (const char *dir = dirs; *dir != '\0';) {
    const char *end = strchrnul(dir, ':');
    size_t length = (size_t)(end - dir);
    if (strncmp(path, dir, length) == 0) return 1;
    /* The directory itself, without its '/'. */
    if (strlen(path) == length - 1 && strncmp(path, dir, length - 1) == 0) return 1;
    dir = *end == ':' ? end + 1 : end;
  }
  return 0;
}

/* The path of an open file if it is watched. */
static int path_of(int fd, char path[PATH_MAX]) {
  char link[64];
  pthread_once(&once, start);
  if (dirs == NULL) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length <= 0 || path[0] != '/') return 0;
  path[length] = '\0';
  return is_watched(path);
}

/* Appends a record; its sequence is given out here. */
static uint64_t record(struct header *header, const char *path, const char *path2,
                       const char *data) {
  pthread_mutex_lock(&log_mutex);
  if (log_fd < 0) {
    struct timespec now;
    char name[PATH_MAX];
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    snprintf(name, sizeof name, "%s/%020" PRIu64 ".undo", side, ns);
    log_fd = REAL(open)(name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0) abort();
  }
  header->sequence = __atomic_add_fetch(&sequence, 1, __ATOMIC_SEQ_CST);
  header->path_bytes = path == NULL ? 0 : (uint32_t)strlen(path);
  header->path2_bytes = path2 == NULL ? 0 : (uint32_t)strlen(path2);
  struct iovec parts[] = {
      {header, sizeof *header},
      {(void *)path, header->path_bytes},
      {(void *)path2, header->path2_bytes},
      {(void *)data, header->data_bytes},
  };
  size_t wanted = sizeof *header + header->path_bytes + header->path2_bytes + header->data_bytes;
  if (REAL(writev)(log_fd, parts, 4) != (ssize_t)wanted) abort();
  pthread_mutex_unlock(&log_mutex);
  return header->sequence;
}

/* Counts a call; true if it must fail, with errno set. `grows`: it creates or extends a file. */
static int fails(int grows, uint32_t *call) {
  uint64_t number = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
  *call = (uint32_t)number;
  if (fail_how == NOTHING || number < fail_at) return 0;
  if (fail_how == FULL ? !grows : number != fail_at) return 0;
  if (fail_how == KILL) kill(getpid(), SIGKILL);
  struct header header = {.type = FAULT, .call = *call};
  record(&header, NULL, NULL, NULL);
  errno = fail_errno;
  return 1;
}

/* An absolute path; the test programs use no "..". */
static const char *absolute(const char *path, char buffer[PATH_MAX]) {
  if (path[0] == '/') return path;
  if (getcwd(buffer, PATH_MAX) == NULL) abort();
  size_t length = strlen(buffer);
  snprintf(buffer + length, PATH_MAX - length, "/%s", path);
  return buffer;
}

/* Whether the next call finds the disk full; a program that asks so has met the fault. */
static int says_full(const char *given) {
  char buffer[PATH_MAX];
  if (!is_watched(absolute(given, buffer)) || fail_how != FULL) return 0;
  if (__atomic_load_n(&calls, __ATOMIC_SEQ_CST) + 1 < fail_at) return 0;
  struct header header = {.type = FAULT, .call = (uint32_t)fail_at};
  record(&header, NULL, NULL, NULL);
  return 1;
}

int statfs(const char *path, struct statfs *found) {
  int result = REAL(statfs)(path, found);
  if (result == 0 && says_full(path)) found->f_bavail = 0;
  return result;
}
int statfs64(const char *path, struct statfs64 *found) {
  int result = REAL(statfs64)(path, found);
  if (result == 0 && says_full(path)) found->f_bavail = 0;
  return result;
}

static pthread_mutex_t *lock_file(ino_t inode) {
  pthread_mutex_t *mutex = &file_mutex[inode % STRIPES];
  pthread_mutex_lock(mutex);
  return mutex;
}

/* Saves what stands in a part of a file, by whole sectors. The caller holds the file's mutex. */
static uint64_t save(struct header *header, int fd, const char *path, uint64_t end) {
  uint64_t from = header->offset / SECTOR * SECTOR;
  uint64_t to = (end + SECTOR - 1) / SECTOR * SECTOR;
  if (to > header->size_before) to = header->size_before;
  char *data = NULL;
  if (to > from) {
    size_t length = (size_t)(to - from), got = 0;
    data = malloc(length);
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int own = REAL(open)(link, O_RDONLY | O_CLOEXEC);
    if (data == NULL || own < 0) abort();
    while (got < length) {
      ssize_t bytes = pread(own, data + got, length - got, (off_t)(from + got));
      if (bytes <= 0) abort();
      got += (size_t)bytes;
    }
    close(own);
    /* Zeros need not be kept: what a record lacks is zeros. */
    int is_zero = data[0] == 0 && memcmp(data, data + 1, length - 1) == 0;
    header->data_bytes = is_zero ? 0 : (uint32_t)length;
  }
  uint64_t given = record(header, path, NULL, data);
  free(data);
  return given;
}

/* Writes `parts` at `offset`, or at the file's own position if that is negative. */
static ssize_t write_parts(int fd, const struct iovec *parts, int count, off_t offset) {
  char path[PATH_MAX];
  struct stat stat;
  if (!path_of(fd, path) || fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
    return offset < 0 ? REAL(writev)(fd, parts, count) : REAL(pwritev)(fd, parts, count, offset);
  }
  size_t length = 0;
  for (int i = 0; i < count; i++) length += parts[i].iov_len;
  pthread_mutex_t *mutex = lock_file(stat.st_ino);
  fstat(fd, &stat);
  int flags = fcntl(fd, F_GETFL);
  off_t at = offset >= 0 ? offset : flags & O_APPEND ? stat.st_size : lseek(fd, 0, SEEK_CUR);
  struct header header = {
      .type = WRITE,
      .inode = stat.st_ino,
      .offset = (uint64_t)at,
      .length = length,
      .size_before = (uint64_t)stat.st_size,
  };
  ssize_t written = -1;
  int call_fails = fails(at + (off_t)length > stat.st_size, &header.call), error = errno;
  if (!call_fails) {
    uint64_t given = save(&header, fd, path, (uint64_t)at + length);
    written = offset < 0 ? REAL(writev)(fd, parts, count) : REAL(pwritev)(fd, parts, count, offset);
    error = errno;
    if ((flags & O_DSYNC) && written == (ssize_t)length && !lies) {
      struct header through = {.type = WRITTEN_THROUGH, .inode = stat.st_ino, .upto = given};
      record(&through, NULL, NULL, NULL);
    }
  }
  pthread_mutex_unlock(mutex);
  errno = error;
  return written;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  return write_parts(fd, parts, count, offset);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
  return write_parts(fd, parts, count, offset);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  return write_parts(fd, parts, count, -1);
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
  struct iovec part = {(void *)bytes, length};
  return write_parts(fd, &part, 1, offset);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
  return pwrite(fd, bytes, length, offset);
}
ssize_t write(int fd, const void *bytes, size_t length) {
  struct iovec part = {(void *)bytes, length};
  return write_parts(fd, &part, 1, -1);
}

int ftruncate(int fd, off_t size) {
  char path[PATH_MAX];
  struct stat stat;
  if (!path_of(fd, path) || fstat(fd, &stat) != 0) return REAL(ftruncate)(fd, size);
  pthread_mutex_t *mutex = lock_file(stat.st_ino);
  fstat(fd, &stat);
  struct header header = {
      .type = TRUNCATE,
      .inode = stat.st_ino,
      .offset = (uint64_t)size,
      .size_before = (uint64_t)stat.st_size,
  };
  int result = -1, call_fails = fails(size > stat.st_size, &header.call), error = errno;
  if (!call_fails) {
    save(&header, fd, path, (uint64_t)stat.st_size);
    result = REAL(ftruncate)(fd, size);
    error = errno;
  }
  pthread_mutex_unlock(mutex);
  errno = error;
  return result;
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

/* A sync covers what was complete when it began, and counts once it has succeeded. */
static int sync_file(int fd, int (*sync)(int)) {
  char path[PATH_MAX];
  struct stat stat;
  if (!path_of(fd, path) || fstat(fd, &stat) != 0) return sync(fd);
  int is_directory = S_ISDIR(stat.st_mode);
  struct header header = {.type = is_directory ? SYNC_DIRECTORY : SYNC, .inode = stat.st_ino};
  if (fails(0, &header.call)) return -1;
  pthread_mutex_t *mutex = is_directory ? &names_mutex : &file_mutex[stat.st_ino % STRIPES];
  pthread_mutex_lock(mutex);
  header.upto = __atomic_load_n(&sequence, __ATOMIC_SEQ_CST);
  pthread_mutex_unlock(mutex);
  int result = sync(fd);
  int error = errno;
  if (result == 0 && (is_directory || !lies)) record(&header, path, NULL, NULL);
  errno = error;
  return result;
}
int fsync(int fd) { return sync_file(fd, REAL(fsync)); }
int fdatasync(int fd) { return sync_file(fd, REAL(fdatasync)); }

/* Finds the file behind a mapping and syncs it: an msync says "what was written to it, too". */
int msync(void *address, size_t length, int flags) {
  int result = REAL(msync)(address, length, flags);
  if (result != 0 || !(flags & MS_SYNC)) return result;
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[PATH_MAX + 128], path[PATH_MAX];
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    uintptr_t from, to;
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %*s %4095[^\n]", &from, &to, path) != 3)
      continue;
    if ((uintptr_t)address < from || (uintptr_t)address >= to || !is_watched(path)) continue;
    int fd = REAL(open)(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) break;
    result = sync_file(fd, REAL(fdatasync));
    close(fd);
    break;
  }
  if (maps != NULL) fclose(maps);
  return result;
}

static int open_file(const char *given, int flags, mode_t mode) {
  char buffer[PATH_MAX];
  const char *path = absolute(given, buffer);
  int creates = (flags & O_CREAT) != 0;
  if (!is_watched(path) || !(creates || flags & O_TRUNC)) return REAL(open)(given, flags, mode);
  pthread_mutex_lock(&names_mutex);
  struct stat stat;
  int is_new = lstat(path, &stat) != 0;
  struct header header = {.type = CREATE};
  int fd = -1, call_fails = is_new && creates && fails(1, &header.call), error = errno;
  if (!call_fails) {
    if (is_new && creates) record(&header, path, NULL, NULL);
    /* O_TRUNC as a truncation of its own, which is saved. */
    fd = REAL(open)(given, flags & ~O_TRUNC, mode);
    error = errno;
    if (fd >= 0 && !is_new && (flags & O_TRUNC) && ftruncate(fd, 0) != 0) {
      error = errno;
      close(fd);
      fd = -1;
    }
  }
  pthread_mutex_unlock(&names_mutex);
  errno = error;
  return fd;
}

#define OPEN(name)                                  \
  int name(const char *path, int flags, ...) {      \
    mode_t mode = 0;                                \
    if (flags & (O_CREAT | __O_TMPFILE)) {          \
      va_list rest;                                 \
      va_start(rest, flags);                        \
      mode = va_arg(rest, mode_t);                  \
      va_end(rest);                                 \
    }                                               \
    return open_file(path, flags, mode);            \
  }
OPEN(open)
OPEN(open64)

/* Keeps a file that is about to lose its name; 0 if there is none. */
static uint64_t keep(const char *path) {
  struct stat stat;
  char saved[PATH_MAX];
  if (lstat(path, &stat) != 0 || !S_ISREG(stat.st_mode)) return 0;
  snprintf(saved, sizeof saved, "%s/%" PRIu64 ".saved", side, (uint64_t)stat.st_ino);
  if (link(path, saved) != 0 && errno != EEXIST) abort();
  return stat.st_ino;
}

/* Changes names: `change` does it, `grows` says that it makes one. */
static int change_names(struct header header, int grows, const char *given, const char *given2,
                        int (*change)(const char *, const char *, mode_t), mode_t mode) {
  char buffer[PATH_MAX], buffer2[PATH_MAX];
  const char *path = absolute(given, buffer);
  const char *path2 = given2 == NULL ? NULL : absolute(given2, buffer2);
  if (!is_watched(path)) return change(given, given2, mode);
  pthread_mutex_lock(&names_mutex);
  struct stat stat;
  int result = -1, is_there = lstat(path, &stat) == 0, error;
  /* What must fail by itself changes nothing and does not count. */
  int changes = is_there == (header.type != MKDIR);
  if (changes && fails(grows, &header.call)) {
    error = errno;
  } else {
    if (changes) {
      if (header.type == UNLINK) header.inode = keep(path);
      if (header.type == RENAME) header.inode = keep(path2);
      record(&header, path, path2, NULL);
    }
    result = change(given, given2, mode);
    error = errno;
  }
  pthread_mutex_unlock(&names_mutex);
  errno = error;
  return result;
}

static int do_rename(const char *from, const char *to, mode_t mode) {
  (void)mode;
  return REAL(rename)(from, to);
}
static int do_unlink(const char *path, const char *none, mode_t mode) {
  (void)none, (void)mode;
  return REAL(unlink)(path);
}
static int do_mkdir(const char *path, const char *none, mode_t mode) {
  (void)none;
  return REAL(mkdir)(path, mode);
}
static int do_rmdir(const char *path, const char *none, mode_t mode) {
  (void)none, (void)mode;
  return REAL(rmdir)(path);
}

int rename(const char *from, const char *to) {
  return change_names((struct header){.type = RENAME}, 0, from, to, do_rename, 0);
}
int unlink(const char *path) {
  return change_names((struct header){.type = UNLINK}, 0, path, NULL, do_unlink, 0);
}
int mkdir(const char *path, mode_t mode) {
  return change_names((struct header){.type = MKDIR}, 1, path, NULL, do_mkdir, mode);
}
int rmdir(const char *path) {
  return change_names((struct header){.type = RMDIR}, 0, path, NULL, do_rmdir, 0);
}
