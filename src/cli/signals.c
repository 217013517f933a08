/* Ctrl-C and its like. The system hands a signal to one thread, most likely the main one, while another may sit in a read on a
 * pipe in which nothing comes. So the handler sets the flag and wakes a watching thread, which from then on interrupts the
 * system calls of all threads again and again: whoever waits returns with EINTR and sees the flag. */
#include "cli/signals.h"

#include <dirent.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

volatile sig_atomic_t lt_stopped_by; /* signal handlers have no other way to tell */
static sem_t asked;

static void on_stop(int signal_number)
{
    if (__atomic_exchange_n(&lt_stopped_by, signal_number, __ATOMIC_RELAXED)) _exit(128 + signal_number);
    sem_post(&asked);
}

static void on_wake(int signal_number) { (void)signal_number; }

static void wake_all(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    while (tasks && (task = readdir(tasks))) {
        long id = atol(task->d_name);
        if (id > 0 && id != syscall(SYS_gettid)) syscall(SYS_tgkill, getpid(), id, SIGUSR1);
    }
    if (tasks) closedir(tasks);
}

static void *watch(void *arg)
{
    while (sem_wait(&asked) != 0) { /* EINTR */
    }
    for (;;) {
        wake_all();
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    return arg;
}

void lt_signals_watch(void)
{
    /* Without SA_RESTART, so that a blocked read or write returns. */
    struct sigaction stop = {.sa_handler = on_stop}, wake = {.sa_handler = on_wake}, ignore = {.sa_handler = SIG_IGN}, hangup;
    pthread_t thread;
    sem_init(&asked, 0, 0);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) sigaction(SIGHUP, &stop, NULL); /* nohup */
    sigaction(SIGUSR1, &wake, NULL);
    sigaction(SIGPIPE, &ignore, NULL); /* a closed pipe is an error of write */
    if (pthread_create(&thread, NULL, watch, NULL) == 0) pthread_detach(thread);
}
