/*
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * talk [-t SECONDS] SOCKET COMMAND: run a command in a test guest whose console
 * is this UNIX socket, print what it prints and exit with its status.  A guest
 * that still boots is waited for.  124: it took too long, 125: no guest.
 *
 * The console forgets what is sent before the guest listens, so the first line
 * is repeated until it is answered; numbers tell late answers from ours.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int fd;
static char line[64 * 1024];
static size_t filled;

/* The next line without its end, NULL after SECONDS without one. */
static char *next_line(double seconds)
{
    static char result[sizeof(line)];
    double end = now() + seconds;

    for (;;) {
        struct pollfd pfd = { fd, POLLIN, 0 };
        char *newline = memchr(line, '\n', filled);
        double left = end - now();
        ssize_t n;

        if (newline || filled == sizeof(line)) {
            size_t length = newline ? (size_t)(newline - line) : filled;

            memcpy(result, line, length);
            result[length - (length && result[length - 1] == '\r')] = '\0';
            length += newline != NULL;
            filled -= length;
            memmove(line, line + length, filled);
            return result;
        }
        if (left <= 0 || poll(&pfd, 1, (int)(left * 1000) + 1) <= 0) {
            return NULL;
        }
        n = read(fd, line + filled, sizeof(line) - filled);
        if (n <= 0) {
            fprintf(stderr, "talk: the guest is gone\n");
            exit(125);
        }
        filled += n;
    }
}

int main(int argc, char **argv)
{
    double end = now() + 600;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char hello[64], answer[64], *text;
    bool there = false, begun = false;
    int option;

    while ((option = getopt(argc, argv, "t:")) != -1) {
        if (option != 't') {
            return 125;
        }
        end = now() + atof(optarg);
    }
    if (argc - optind != 2 || strlen(argv[optind]) >= sizeof(address.sun_path)) {
        fprintf(stderr, "usage: talk [-t SECONDS] SOCKET COMMAND\n");
        return 125;
    }
    strcpy(address.sun_path, argv[optind]);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    for (int tries = 0; connect(fd, (struct sockaddr *)&address, sizeof(address));) {
        /* It may have been started this very moment. */
        if (++tries == 100) {
            fprintf(stderr, "talk: %s: %s\n", argv[optind], strerror(errno));
            return 125;
        }
        usleep(100 * 1000);
    }

    snprintf(hello, sizeof(hello), "\necho hello $((%d+1))\n", getpid());
    snprintf(answer, sizeof(answer), "hello %d", getpid() + 1);
    while (!there) {
        double again = now() + 2;

        if (now() > end) {
            fprintf(stderr, "talk: the guest does not answer\n");
            return 124;
        }
        if (write(fd, hello, strlen(hello)) < 0) {
            return 125;
        }
        while (!there && (text = next_line(again - now()))) {
            there = !strcmp(text, answer);
        }
    }
    /* Late answers to more than one hello may still come before ours begins. */
    snprintf(answer, sizeof(answer), "begin %d", getpid());
    dprintf(fd, "echo %s; %s\n", answer, argv[optind + 1]);
    while ((text = next_line(end - now()))) {
        if (!begun) {
            begun = !strcmp(text, answer);
        } else if (!strncmp(text, "DONE ", 5)) {
            return atoi(text + 5);
        } else {
            puts(text);
            fflush(stdout);
        }
    }
    fprintf(stderr, "talk: no end of: %s\n", argv[optind + 1]);
    return 124;
}
