/*
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * runner: runs commands inside the lab machine for tests/lab.d/attach outside.
 *
 * One virtio-serial port carries frames both ways: a session number that the
 * outside draws for each command, a type, a length, a payload.  One command runs
 * at a time, on pipes or on a terminal of its own; a new session, or the other
 * side hanging up, ends it.
 *
 * to the machine:   C command   I input   E end of input   W window size   S signal
 * from the machine: B begun     O output  R error output   X exit status
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_NAME "lab.runner"
#define MAX_PAYLOAD (256 * 1024)

struct frame {
    uint32_t session;
    uint32_t type;
    uint32_t length;
} __attribute__((packed));

static int port = -1;

static struct {
    uint32_t session;
    pid_t pid;                  /* 0: no command */
    int in, out, err;           /* our ends; -1: closed.  A terminal is in and out */
    bool tty;
    char input[MAX_PAYLOAD];    /* the part from input_done on is still to be written */
    size_t input_done, input_length;
    bool input_ends;
} job = { .in = -1, .out = -1, .err = -1 };

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

static int open_port(void)
{
    const char *dir = "/sys/class/virtio-ports";
    struct dirent *entry;
    char path[600], name[64];
    DIR *d = opendir(dir);
    int fd = -1;

    while (d && fd < 0 && (entry = readdir(d))) {
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s/name", dir, entry->d_name);
        f = fopen(path, "r");
        if (f && fgets(name, sizeof(name), f)) {
            name[strcspn(name, "\n")] = '\0';
            if (!strcmp(name, PORT_NAME)) {
                snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
                fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
            }
        }
        if (f) {
            fclose(f);
        }
    }
    if (d) {
        closedir(d);
    }
    return fd;
}

/*
 * Has the other side hung up, and nobody come in its place?  One that comes at
 * once is seen late: what it sends can be here before the kernel has even been
 * told that the last one went.
 */
static bool has_hung_up(void)
{
    for (int ms = 0; ms < 2000; ms += 10) {
        struct pollfd pfd = { port, 0, 0 };

        poll(&pfd, 1, 0);
        if (!(pfd.revents & POLLHUP)) {
            return false;
        }
        usleep(10 * 1000);
    }
    return true;
}

/* Returns false when the other side has hung up. */
static bool port_transfer(void *data, size_t length, bool writing)
{
    char *p = data;

    while (length) {
        ssize_t n = writing ? write(port, p, length) : read(port, p, length);

        if (n > 0) {
            p += n;
            length -= n;
            continue;
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n == 0 || errno == EAGAIN) {
            struct pollfd pfd = { port, writing ? POLLOUT : POLLIN, 0 };

            poll(&pfd, 1, 1000);
            if (!(pfd.revents & POLLHUP) || !has_hung_up()) {
                continue;
            }
        }
        return false;
    }
    return true;
}

static bool send_frame(char type, void *data, uint32_t length)
{
    struct frame f = { job.session, htonl(type), htonl(length) };

    return port_transfer(&f, sizeof(f), true) &&
           port_transfer(data, length, true);
}

static void end_job(void)
{
    if (job.pid) {
        kill(-job.pid, SIGHUP);
        kill(-job.pid, SIGCONT);
        usleep(100 * 1000);
        kill(-job.pid, SIGKILL);
        waitpid(job.pid, NULL, 0);
        job.pid = 0;
    }
    close_fd(&job.in);
    if (job.tty) {
        job.out = -1;
    }
    close_fd(&job.out);
    close_fd(&job.err);
    job.input_done = job.input_length = 0;
    job.input_ends = false;
}

/*
 * Payload of C: flags (1: terminal), rows, columns, number of environment
 * strings (16 bits each), then the environment and the arguments, each with
 * its NUL.
 */
static void start_job(uint32_t session, char *data, uint32_t length)
{
    uint16_t head[4];
    char *argv[256], *p = data + sizeof(head), *end = data + length;
    int in[2], out[2], err[2], argc = 0, n_env;
    struct winsize size = { 0 };

    end_job();
    job.session = session;
    if (length <= sizeof(head) || end[-1] != '\0') {
        return;
    }
    memcpy(head, data, sizeof(head));
    job.tty = ntohs(head[0]) & 1;
    size.ws_row = ntohs(head[1]);
    size.ws_col = ntohs(head[2]);
    n_env = ntohs(head[3]);

    if (job.tty) {
        job.pid = forkpty(&job.in, NULL, NULL, &size);
        job.out = job.in;
    } else {
        if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) ||
            pipe2(err, O_CLOEXEC)) {
            abort();
        }
        job.pid = fork();
    }
    if (job.pid == 0) {
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (!job.tty) {
            setsid();
            dup2(in[0], 0);
            dup2(out[1], 1);
            dup2(err[1], 2);
        }
        for (; p < end && argc < 255; p += strlen(p) + 1) {
            if (n_env > 0) {
                n_env--;
                putenv(p);
            } else {
                argv[argc++] = p;
            }
        }
        argv[argc] = NULL;
        if (chdir("/root")) {
            /* then it starts where we are */
        }
        if (argc) {
            execvp(argv[0], argv);
            fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
        }
        _exit(127);
    }
    if (!job.tty) {
        close(in[0]);
        close(out[1]);
        close(err[1]);
        job.in = in[1];
        job.out = out[0];
        job.err = err[0];
        fcntl(job.out, F_SETFL, O_NONBLOCK);
        fcntl(job.err, F_SETFL, O_NONBLOCK);
    } else {
        fcntl(job.in, F_SETFD, FD_CLOEXEC);
    }
    fcntl(job.in, F_SETFL, O_NONBLOCK);
    send_frame('B', NULL, 0);
}

/* Pass on what a command has written; false when there is no more of it now. */
static bool forward(int *fd, char type)
{
    char buffer[32 * 1024];
    ssize_t n = *fd < 0 ? 0 : read(*fd, buffer, sizeof(buffer));

    if (n > 0) {
        return send_frame(type, buffer, n);
    }
    if (*fd >= 0 && (n == 0 || (errno != EAGAIN && errno != EINTR))) {
        if (job.tty) {
            *fd = -1;           /* job.in still holds it */
        } else {
            close_fd(fd);
        }
    }
    return false;
}

/* Write what the pipe takes; the command may first want its output read. */
static void feed(void)
{
    while (job.in >= 0 && job.input_done < job.input_length) {
        ssize_t n = write(job.in, job.input + job.input_done,
                          job.input_length - job.input_done);

        if (n > 0) {
            job.input_done += n;
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            break;              /* it does not read any more */
        }
    }
    job.input_done = job.input_length = 0;
    if (job.input_ends && !job.tty) {
        close_fd(&job.in);
    }
}

static void job_ended(int status)
{
    uint32_t code = htonl(WIFEXITED(status) ? WEXITSTATUS(status)
                                            : 128 + WTERMSIG(status));

    /*
     * What the command left running may hold the pipes open for ever: take
     * what is there now and no more.
     */
    while (forward(&job.out, 'O') || forward(&job.err, 'R')) {
    }
    job.pid = 0;
    send_frame('X', &code, sizeof(code));
    end_job();
}

static void receive(void)
{
    static char data[MAX_PAYLOAD];
    struct frame f;
    struct winsize size = { 0 };
    uint16_t rows_cols[2];

    if (!port_transfer(&f, sizeof(f), false)) {
        return;
    }
    f.type = ntohl(f.type);
    f.length = ntohl(f.length);
    if (f.length > sizeof(data) || !port_transfer(data, f.length, false)) {
        return;
    }
    if (f.type == 'C') {
        start_job(f.session, data, f.length);
        return;
    }
    if (f.session != job.session || !job.pid) {
        return;
    }
    switch (f.type) {
    case 'I':
        memcpy(job.input, data, f.length);
        job.input_length = f.length;
        feed();
        break;
    case 'E':
        job.input_ends = true;
        feed();
        break;
    case 'W':
        if (job.tty && f.length == sizeof(rows_cols)) {
            memcpy(rows_cols, data, sizeof(rows_cols));
            size.ws_row = ntohs(rows_cols[0]);
            size.ws_col = ntohs(rows_cols[1]);
            ioctl(job.in, TIOCSWINSZ, &size);
        }
        break;
    case 'S':
        if (f.length == 1) {
            kill(-job.pid, data[0]);
        }
        break;
    }
}

int main(void)
{
    sigset_t mask;
    int signals;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);

    while ((port = open_port()) < 0) {
        usleep(20 * 1000);
    }
    for (;;) {
        bool full = job.input_length > 0;
        struct pollfd fds[5] = {
            { port, full ? 0 : POLLIN, 0 }, { signals, POLLIN, 0 },
            { job.out, POLLIN, 0 }, { job.err, POLLIN, 0 },
            { full ? job.in : -1, POLLOUT, 0 },
        };
        struct signalfd_siginfo info;
        int status;

        if (poll(fds, 5, -1) < 0) {
            continue;
        }
        if (fds[0].revents & POLLIN) {
            receive();
        } else if ((fds[0].revents & POLLHUP) && has_hung_up()) {
            end_job();
        }
        if (fds[2].revents) {
            forward(&job.out, 'O');
        }
        if (fds[3].revents) {
            forward(&job.err, 'R');
        }
        if (fds[4].revents) {
            feed();
        }
        if (fds[1].revents) {
            while (read(signals, &info, sizeof(info)) > 0) {
            }
            if (job.pid && waitpid(job.pid, &status, WNOHANG) == job.pid) {
                job_ended(status);
            }
        }
    }
}
