/* SPDX-License-Identifier: MIT */

/* See agent_process.h. */

#include "agent_process.h"

#include "error.h"
#include "json_read.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Read at once, and how often: twice what a pipe holds, so that all of a command that
 * has ended is taken, and one that never stops printing stops nobody else. */
#define READ_BYTES 4096
#define READS_MAX 32

/* What a command finds in its environment, besides ours. */
#define VARIABLES 6

static void close_fd(int *fd)
{
	if (*fd >= 0) {
		(void)close(*fd);
		*fd = -1;
	}
}

/* The body as a file in memory: a command may read it slowly, partly, or not at all,
 * and nobody has to wait for it. */
static int open_stdin(struct swm_str body)
{
	int fd = memfd_create("swm-start-task", MFD_CLOEXEC);
	size_t written = 0;
	while (fd >= 0 && written < body.len) {
		ssize_t done = write(fd, body.ptr + written, body.len - written);
		if (done < 0 && errno != EINTR) {
			close_fd(&fd);
		} else if (done > 0) {
			written += (size_t)done;
		}
	}
	if (fd >= 0) {
		(void)lseek(fd, 0, SEEK_SET);
	}
	return fd;
}

static bool is_ours(const char *variable)
{
	static const char *const names[VARIABLES] = {"SWM_COMPONENT=", "SWM_BUSINESS_REF=",
		"SWM_STAGE=", "SWM_TASK=", "SWM_ATTEMPT=", "SWM_MESSAGE_ID="};
	for (size_t i = 0; i < VARIABLES; i++) {
		if (strncmp(variable, names[i], strlen(names[i])) == 0) {
			return true;
		}
	}
	return false;
}

/* Our environment and the task's names. */
struct environment {
	char *text;  /* the task's variables, one after the other */
	char **list; /* ends with NULL */
};

static bool environment_make(struct environment *environment, const struct swm_agent_task *task)
{
	size_t count = 0;
	size_t len = 0;
	while (environ[count] != NULL) {
		count++;
	}
	environment->list = calloc(count + VARIABLES + 1, sizeof(*environment->list));
	FILE *file = open_memstream(&environment->text, &len);
	if (environment->list == NULL || file == NULL) {
		if (file != NULL) {
			(void)fclose(file);
		}
		return false;
	}
	(void)fprintf(file,
		"SWM_COMPONENT=%s%cSWM_BUSINESS_REF=%s%cSWM_STAGE=%s%cSWM_TASK=%s%c"
		"SWM_ATTEMPT=%" PRIu32 "%cSWM_MESSAGE_ID=%s",
		task->component.ptr, '\0', task->business_ref.ptr, '\0', task->stage.ptr, '\0',
		task->task.ptr, '\0', task->attempt, '\0', task->message_id);
	if (fclose(file) != 0) {
		return false;
	}
	size_t used = 0;
	for (size_t i = 0; i < count; i++) {
		if (!is_ours(environ[i])) {
			environment->list[used++] = environ[i];
		}
	}
	char *variable = environment->text;
	for (size_t i = 0; i < VARIABLES; i++) {
		environment->list[used++] = variable;
		variable += strlen(variable) + 1;
	}
	return true;
}

static void environment_finish(struct environment *environment)
{
	free(environment->list);
	free(environment->text);
}

/* The ends of the pipes that are the child's; ours are the process's. */
struct child_ends {
	int in_fd;
	int out_fd;
	int err_fd;
};

static bool open_pipe(int *ours, int *childs)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0) {
		return false;
	}
	*ours = ends[0];
	*childs = ends[1];
	return fcntl(*ours, F_SETFL, O_NONBLOCK) == 0;
}

static int call_spawn(struct swm_agent_process *process, char *const *command,
	const struct child_ends *ends, char *const *environment)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	sigset_t defaults;
	(void)sigemptyset(&none);
	(void)sigemptyset(&defaults);
	(void)sigaddset(&defaults, SIGPIPE);
	(void)sigaddset(&defaults, SIGCHLD);
	int failed = posix_spawn_file_actions_init(&actions);
	if (failed != 0) {
		return failed;
	}
	failed = posix_spawnattr_init(&attributes);
	if (failed != 0) {
		(void)posix_spawn_file_actions_destroy(&actions);
		return failed;
	}
	(void)posix_spawnattr_setflags(&attributes,
		POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	(void)posix_spawnattr_setpgroup(&attributes, 0);
	(void)posix_spawnattr_setsigmask(&attributes, &none);
	(void)posix_spawnattr_setsigdefault(&attributes, &defaults);
	failed = posix_spawn_file_actions_adddup2(&actions, ends->in_fd, STDIN_FILENO);
	if (failed == 0) {
		failed =
			posix_spawn_file_actions_adddup2(&actions, ends->out_fd, STDOUT_FILENO);
	}
	if (failed == 0) {
		failed =
			posix_spawn_file_actions_adddup2(&actions, ends->err_fd, STDERR_FILENO);
	}
	if (failed == 0) {
		failed = posix_spawnp(
			&process->pid, command[0], &actions, &attributes, command, environment);
	}
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	return failed;
}

static swm_status status_of(int native)
{
	switch (native) {
	case ENOENT:
	case ENOTDIR:
		return SWM_E_NOT_FOUND;
	case EACCES:
	case EPERM:
	case ENOEXEC:
		return SWM_E_DENIED;
	case EAGAIN:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return SWM_E_THROTTLED;
	default:
		return SWM_E_INTERNAL;
	}
}

swm_status swm_agent_process_start(struct swm_agent_process *process, char *const *command,
	const struct swm_agent_task *task, struct swm_str body, size_t data_max_bytes,
	struct swm_error *err)
{
	struct environment environment = {0};
	struct child_ends ends = {-1, -1, -1};
	*process = (struct swm_agent_process){
		.out_fd = -1, .err_fd = -1, .output = {.max_bytes = data_max_bytes}};
	int failed = 0;
	if (!environment_make(&environment, task)) {
		failed = ENOMEM;
	} else if ((ends.in_fd = open_stdin(body)) < 0 ||
		   !open_pipe(&process->out_fd, &ends.out_fd) ||
		   !open_pipe(&process->err_fd, &ends.err_fd)) {
		failed = errno;
	} else {
		failed = call_spawn(process, command, &ends, environment.list);
	}
	environment_finish(&environment);
	close_fd(&ends.in_fd);
	close_fd(&ends.out_fd);
	close_fd(&ends.err_fd);
	if (failed != 0) {
		process->pid = 0;
		swm_agent_process_finish(process);
		return swm_error_set(err, status_of(failed), "cannot run %s: %s", command[0],
			strerror(failed));
	}
	return SWM_OK;
}

/* Takes what there is in one pipe. False: it is at its end, or broken. */
static bool drain(struct swm_agent_process *process, int fd)
{
	char bytes[READ_BYTES];
	for (int reads = 0; reads < READS_MAX; reads++) {
		ssize_t got = read(fd, bytes, sizeof(bytes));
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			return got < 0 && errno == EAGAIN;
		}
		struct swm_str text = {bytes, (size_t)got};
		if (fd == process->out_fd) {
			swm_agent_output_add(&process->output, text);
		} else {
			swm_agent_lines_add(&process->lines, text);
		}
	}
	return true;
}

void swm_agent_process_read(struct swm_agent_process *process)
{
	if (process->out_fd >= 0 && !drain(process, process->out_fd)) {
		close_fd(&process->out_fd);
	}
	if (process->err_fd >= 0 && !drain(process, process->err_fd)) {
		close_fd(&process->err_fd);
	}
}

static bool begins_an_object(const struct swm_agent_output *output)
{
	size_t at = 0;
	while (at < output->len && strchr(" \t\r\n", output->text[at]) != NULL) {
		at++;
	}
	return at < output->len && output->text[at] == '{';
}

/* One JSON object on stdout is the task's data; all else is for the log. */
static void read_data(struct swm_agent_process *process, struct swm_agent_exit *out)
{
	struct swm_agent_output *output = &process->output;
	bool meant = begins_an_object(output);
	json_t *value = NULL;
	struct swm_str text = {output->text, output->len};
	if (output->nomem || (output->over && meant)) {
		out->completed = false;
		(void)snprintf(out->reason, sizeof(out->reason),
			"the data on stdout is over the limit of %zu bytes", output->max_bytes);
	} else if (!output->over && meant &&
		   swm_json_read(text, output->max_bytes, &value, NULL) == SWM_OK) {
		out->data = value;
	} else if (!output->over) {
		swm_agent_output_pass_on(output);
	}
}

/* `failed` is the errno of the wait, or 0: only then there is a status. */
static void describe(struct swm_agent_process *process, int failed, int wait_status,
	struct swm_agent_exit *out)
{
	out->completed = failed == 0 && WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0;
	if (out->completed) {
		read_data(process, out);
		return;
	}
	if (!process->output.over) {
		swm_agent_output_pass_on(&process->output);
	}
	if (failed != 0) {
		(void)snprintf(out->reason, sizeof(out->reason), "its end was not seen: %s",
			strerror(failed));
		return;
	}
	swm_agent_lines_reason(&process->lines, out->reason);
	if (out->reason[0] != '\0') {
		return;
	}
	if (WIFSIGNALED(wait_status)) {
		(void)snprintf(out->reason, sizeof(out->reason), "killed by signal %d (%s)",
			WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)));
	} else {
		(void)snprintf(out->reason, sizeof(out->reason), "exit status %d",
			WEXITSTATUS(wait_status));
	}
}

bool swm_agent_process_reap(struct swm_agent_process *process, struct swm_agent_exit *out)
{
	int wait_status = 0;
	pid_t ended = waitpid(process->pid, &wait_status, WNOHANG);
	int failed = ended < 0 ? errno : 0;
	if (ended == 0 || failed == EINTR) {
		return false;
	}
	process->pid = 0;
	/* what it started may go on and keep the pipes: nobody waits for that */
	swm_agent_process_read(process);
	swm_agent_lines_end(&process->lines);
	*out = (struct swm_agent_exit){0};
	describe(process, failed, wait_status, out);
	swm_agent_process_finish(process);
	return true;
}

void swm_agent_process_signal(const struct swm_agent_process *process, int number)
{
	if (process->pid > 0) {
		(void)kill(-process->pid, number);
	}
}

void swm_agent_process_finish(struct swm_agent_process *process)
{
	if (process->pid > 0) {
		swm_agent_process_signal(process, SIGKILL);
		while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR) {
		}
		process->pid = 0;
	}
	close_fd(&process->out_fd);
	close_fd(&process->err_fd);
	swm_agent_output_finish(&process->output);
}
