/* Keeps the core it runs on awake, and gives way to everybody: it ends when it is told to, or with its parent.
 *
 * A virtual machine's core that has nothing to do goes to sleep, and waking it takes longer than all the work for a
 * small file. Two programs that wait for each other by turns would then be measured by the sleep between.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <signal.h>

int main(void)
{
    struct sched_param priority = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (sched_setscheduler(0, SCHED_IDLE, &priority) < 0) {
        perror("SCHED_IDLE");
        return 1;
    }
    for (;;)
#if defined __x86_64__ || defined __i386__
        __builtin_ia32_pause(); /* leaves the core's other half alone */
#else
        __asm__ volatile("" ::: "memory");
#endif
}
