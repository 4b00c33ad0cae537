"""C libraries for LD_PRELOAD that inject file-system faults."""

from __future__ import annotations

import subprocess
from pathlib import Path

HEAD = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
"""
OPEN = """
static int opened(const char *name, const char *path, int flags, mode_t mode) {
    WHEN_OPENED
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, name);
    return real(path, flags, mode);
}
int open(const char *path, int flags, ...) {
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, int); va_end(more);
    return opened("open", path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, int); va_end(more);
    return opened("open64", path, flags, mode);
}
"""
"""Do WHEN_OPENED, which is replaced, before each open of `path`."""
NO_LOCKS = (
    OPEN.replace("WHEN_OPENED", 'if (strstr(path, "maas-usage-check.sqlite3")) { WHEN_OPENED }')
    + """
static int controlled(const char *name, int file, int command, void *value) {
    if (command == F_SETLK || command == F_SETLKW) { errno = ENOLCK; return -1; }
    int (*real)(int, int, ...) = dlsym(RTLD_NEXT, name);
    return real(file, command, value);
}
int fcntl(int file, int command, ...) {
    va_list more; va_start(more, command); void *value = va_arg(more, void *); va_end(more);
    return controlled("fcntl", file, command, value);
}
int fcntl64(int file, int command, ...) {
    va_list more; va_start(more, command); void *value = va_arg(more, void *); va_end(more);
    return controlled("fcntl64", file, command, value);
}
"""
)
"""Refuse all locks; WHEN_OPENED is replaced by what happens when the state file is opened."""
HANG = (
    """
static void hang(const char *path) {
    if (!strstr(path, getenv("HANG_AT")) || access(getenv("HANG_AFTER"), F_OK)) return;
    if (write(2, "hangs\\n", 6)) for (;;) pause();
}
"""
    + OPEN.replace("WHEN_OPENED", "hang(path);")
    + """
static ssize_t wrote(const char *name, int file, const void *data, size_t size, off64_t at) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    hang(path);
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, name);
    return real(file, data, size, at);
}
ssize_t pwrite(int file, const void *data, size_t size, off_t at) { return wrote("pwrite", file, data, size, at); }
ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    return wrote("pwrite64", file, data, size, at);
}
"""
)
"""Hang at each open of a file whose path contains $HANG_AT, and at each write to it, once the file $HANG_AFTER exists.

A thread that hangs writes "hangs" to standard error.
"""
KILL_AT_WRITE = """
static long left;
void kill_at_write(long number) { left = number; }
static int is_last(int file) {
    char link[64], path[4096];
    if (left <= 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    return strstr(path, "maas-usage-check.sqlite3") && __sync_sub_and_fetch(&left, 1) == 0;
}
static ssize_t wrote(const char *name, int file, const void *data, size_t size, off64_t at) {
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, name);
    if (is_last(file)) { real(file, data, size / 2, at); kill(getpid(), SIGKILL); pause(); }
    return real(file, data, size, at);
}
ssize_t pwrite(int file, const void *data, size_t size, off_t at) { return wrote("pwrite", file, data, size, at); }
ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    return wrote("pwrite64", file, data, size, at);
}
static int synced(const char *name, int file) {
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    if (is_last(file)) { kill(getpid(), SIGKILL); pause(); }
    return real(file);
}
int fsync(int file) { return synced("fsync", file); }
int fdatasync(int file) { return synced("fdatasync", file); }
"""
"""Kill the process at its n-th write or sync of the state file, after half of that write."""


def compile_library(folder: Path, compiler: str, source: str) -> str:
    """Compile a library for LD_PRELOAD; return its path."""
    code, library = folder / "preloaded.c", folder / "preloaded.so"
    code.write_text(HEAD + source)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, code, "-ldl"], check=True)
    return str(library)
