/* SPDX-License-Identifier: MIT */

/*
 * Runs a command, counts the system calls of each of its threads, and ends all of it by
 * SIGKILL at one of them:
 *
 *   kill-trace [--record] [--from-sigterm] [--at THREAD:CALL:before|after]
 *              REPORT COMMAND [ARGUMENT]...
 *
 * Threads are numbered in the order in which they were created, from 0, the main one; calls
 * in the order in which their thread entered them, from 1, the first one after execve: so
 * those of the dynamic loader count; with --from-sigterm, the first one after SIGTERM was
 * passed on to the command, which it always is. CALL is N, or NUMBER#N: the N-th one of that system
 * call. `before`: the call is entered and has no effect; `after`: it had its effect, and
 * the program does not learn of it.
 *
 * Why not strace: its `inject=...:when=N` counts for each thread, and strikes whichever
 * reaches N first, so most calls of all other threads are left out.
 *
 * REPORT gets, a line each:
 *
 *   call THREAD NUMBER                            of every call, with --record
 *   thread THREAD NAME CALLS                      of every thread, when the command ended
 *   killed THREAD NAME CALL NUMBER MILLISECONDS   wall clock, right before the kill
 *   ended STATUS                                  exit status, or 128 + signal
 *
 * Concurrency: one thread, which gets every stop of every thread of the command, one
 * after another.
 */

#define _DEFAULT_SOURCE

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 256
#define NAME_BYTES 16 /* of a thread, as the kernel keeps it */
#define SYSCALL_STOP (SIGTRAP | 0x80)

struct thread {
	pid_t tid;
	char name[NAME_BYTES];
	uint64_t calls;
	uint64_t number; /* of the call that it is in or was in last */
	uint64_t matches;
	bool inside;
};

struct target {
	bool set;
	bool after;
	bool any; /* system call, else `number` */
	uint64_t thread;
	uint64_t number;
	uint64_t call;
};

struct trace {
	pid_t pid;
	FILE *report;
	struct target target;
	struct thread threads[THREADS_MAX];
	size_t count;
	bool from_sigterm;
	bool started; /* execve is done */
	bool record;
	bool killed;
};

static volatile sig_atomic_t command; /* whom to pass SIGTERM on to */
static volatile sig_atomic_t passed_on;

static void pass_on(int number)
{
	if (command) {
		(void)kill((pid_t)command, number);
		passed_on = 1;
	}
}

static void give_up(const char *what)
{
	(void)fprintf(stderr, "kill-trace: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* THREAD:CALL:before|after */
static bool read_target(const char *text, struct target *out)
{
	char *end;
	*out = (struct target){.set = true, .any = true};
	out->thread = strtoul(text, &end, 10);
	if (end == text || *end != ':') {
		return false;
	}
	text = end + 1;
	out->call = strtoul(text, &end, 10);
	if (end != text && *end == '#') {
		out->any = false;
		out->number = out->call;
		text = end + 1;
		out->call = strtoul(text, &end, 10);
	}
	if (end == text || *end != ':' || out->call == 0) {
		return false;
	}
	out->after = strcmp(end + 1, "after") == 0;
	return out->after || strcmp(end + 1, "before") == 0;
}

/* A thread is seen first when its creator stops for it or when it stops itself, whatever
 * comes first; the creator goes on only after the former, so the order is that of
 * creation. */
static struct thread *thread_of(struct trace *trace, pid_t tid)
{
	for (size_t i = 0; i < trace->count; i++) {
		if (trace->threads[i].tid == tid) {
			return &trace->threads[i];
		}
	}
	if (trace->count == THREADS_MAX) {
		errno = ENOSPC;
		give_up("threads");
	}
	struct thread *thread = &trace->threads[trace->count++];
	*thread = (struct thread){.tid = tid};
	return thread;
}

/* Threads name themselves once they run, so each is asked when it matters. */
static void read_name(const struct trace *trace, struct thread *thread)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%ld/task/%ld/comm", (long)trace->pid,
		(long)thread->tid);
	FILE *file = fopen(path, "re");
	if (!file) {
		return;
	}
	if (fgets(thread->name, sizeof(thread->name), file)) {
		thread->name[strcspn(thread->name, "\n")] = '\0';
	}
	(void)fclose(file);
}

static void strike(struct trace *trace, struct thread *thread)
{
	struct timespec now;
	read_name(trace, thread);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	trace->killed = true;
	if (kill(trace->pid, SIGKILL) != 0) {
		give_up("kill");
	}
	(void)fprintf(trace->report, "killed %td %s %" PRIu64 " %" PRIu64 " %" PRId64 "\n",
		thread - trace->threads, thread->name, thread->calls, thread->number,
		(int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static bool is_target(const struct trace *trace, const struct thread *thread)
{
	const struct target *target = &trace->target;
	if (!target->set || trace->killed ||
		(uint64_t)(thread - trace->threads) != target->thread) {
		return false;
	}
	return target->any
		       ? thread->calls == target->call
		       : thread->number == target->number && thread->matches == target->call;
}

static void on_entry(struct trace *trace, struct thread *thread, uint64_t number)
{
	thread->inside = true;
	thread->calls++;
	thread->number = number;
	thread->matches += number == trace->target.number;
	if (trace->record) {
		(void)fprintf(trace->report, "call %td %" PRIu64 "\n", thread - trace->threads,
			number);
	}
	if (!trace->target.after && is_target(trace, thread)) {
		strike(trace, thread);
	}
}

static void on_exit_of_call(struct trace *trace, struct thread *thread)
{
	if (thread->inside && trace->target.after && is_target(trace, thread)) {
		strike(trace, thread);
	}
	thread->inside = false;
}

static void on_syscall_stop(struct trace *trace, struct thread *thread)
{
	struct __ptrace_syscall_info info;
	if (!trace->started || (trace->from_sigterm && !passed_on)) {
		return;
	}
	/* It fails when the thread was killed meanwhile. */
	if (ptrace(PTRACE_GET_SYSCALL_INFO, thread->tid, sizeof(info), &info) <= 0) {
		return;
	}
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
		on_entry(trace, thread, info.entry.nr);
	} else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
		on_exit_of_call(trace, thread);
	}
}

/* Returns the signal that the thread shall get when it goes on. */
static int on_stop(struct trace *trace, pid_t tid, int status)
{
	struct thread *thread = thread_of(trace, tid);
	unsigned long created = 0;
	switch (status >> 16) {
	case 0:
		break;
	case PTRACE_EVENT_EXEC:
		trace->started = true;
		return 0;
	case PTRACE_EVENT_CLONE:
		if (ptrace(PTRACE_GETEVENTMSG, tid, NULL, &created) == 0) {
			(void)thread_of(trace, (pid_t)created);
		}
		return 0;
	case PTRACE_EVENT_EXIT:
		read_name(trace, thread);
		return 0;
	default: /* a new thread, or a group stop, which nobody asks for here */
		return 0;
	}
	if (WSTOPSIG(status) != SYSCALL_STOP) {
		return WSTOPSIG(status);
	}
	on_syscall_stop(trace, thread);
	return 0;
}

/* Until the command has ended; its status. */
static int follow(struct trace *trace)
{
	for (;;) {
		int status;
		pid_t tid = waitpid(-1, &status, __WALL);
		if (tid < 0 && errno == EINTR) {
			continue;
		}
		if (tid < 0) {
			give_up("wait");
		}
		if (WIFSTOPPED(status)) {
			long number = on_stop(trace, tid, status);
			/* One that was killed meanwhile is not there any more. */
			(void)ptrace(PTRACE_SYSCALL, tid, NULL, number);
		} else if (tid == trace->pid) {
			return status;
		}
	}
}

/* The child waits until it is traced, then becomes the command. */
static void start(struct trace *trace, char **argv)
{
	int gate[2];
	char go = 0;
	if (pipe(gate) != 0) {
		give_up("pipe");
	}
	trace->pid = fork();
	if (trace->pid < 0) {
		give_up("fork");
	}
	if (trace->pid == 0) {
		(void)close(gate[1]);
		if (read(gate[0], &go, 1) != 1) {
			_exit(127);
		}
		(void)close(gate[0]);
		(void)execv(argv[0], argv);
		give_up(argv[0]);
	}
	(void)close(gate[0]);
	command = trace->pid;
	if (ptrace(PTRACE_SEIZE, trace->pid, NULL,
		    (long)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
			    PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL)) != 0) {
		give_up("ptrace");
	}
	(void)thread_of(trace, trace->pid);
	if (write(gate[1], &go, 1) != 1) {
		give_up("pipe");
	}
	(void)close(gate[1]);
}

static void report_end(struct trace *trace, int status)
{
	for (size_t i = 0; i < trace->count && !trace->killed; i++) {
		(void)fprintf(trace->report, "thread %zu %s %" PRIu64 "\n", i,
			trace->threads[i].name, trace->threads[i].calls);
	}
	if (!trace->killed) {
		(void)fprintf(trace->report, "ended %d\n",
			WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	}
	if (fclose(trace->report) != 0) {
		give_up("report");
	}
}

/* Returns where the report's name stands; argc when something is wrong. */
static int read_options(struct trace *trace, int argc, char **argv)
{
	int at = 1;
	for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
		if (strcmp(argv[at], "--record") == 0) {
			trace->record = true;
		} else if (strcmp(argv[at], "--from-sigterm") == 0) {
			trace->from_sigterm = true;
		} else if (strcmp(argv[at], "--at") != 0 || at + 1 == argc ||
			   !read_target(argv[++at], &trace->target)) {
			return argc;
		}
	}
	return at;
}

int main(int argc, char **argv)
{
	static struct trace trace;
	int at = read_options(&trace, argc, argv);
	if (at + 1 >= argc) {
		(void)fputs("usage: kill-trace [--record] [--from-sigterm] "
			    "[--at THREAD:CALL:before|after] REPORT COMMAND...\n",
			stderr);
		return 2;
	}
	trace.report = fopen(argv[at], "we");
	if (!trace.report) {
		give_up(argv[at]);
	}
	const struct sigaction action = {.sa_handler = pass_on};
	(void)sigaction(SIGTERM, &action, NULL);
	start(&trace, argv + at + 1);
	report_end(&trace, follow(&trace));
	return 0;
}
