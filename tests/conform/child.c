/* SPDX-License-Identifier: MIT */

/*
 * Helper processes: promises about processes can only be tested with some. A
 * helper is this program started anew (posix_spawn of the same file with the
 * same plugin and configuration), so that it shares no memory, no descriptor
 * and no client library state with the test. Both sides talk in lines over
 * pipes; a helper whose parent is gone reads an end of file and ends.
 */

#include "conform.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define HELPER_ARGS_MAX 8

static void child_end(void *what)
{
	struct conform_child *child = what;
	if (child->in >= 0) {
		(void)close(child->in);
	}
	if (child->pid > 0) {
		(void)kill(child->pid, SIGKILL);
		(void)waitpid(child->pid, NULL, 0);
	}
	if (child->out >= 0) {
		(void)close(child->out);
	}
	free(child);
}

/* A pipe that no other child inherits. */
static bool private_pipe(int ends[2])
{
	if (pipe(ends) != 0) {
		return false;
	}
	(void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
	(void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
	return true;
}

static int spawn(pid_t *pid, char *const *argv, int in, int out)
{
	posix_spawn_file_actions_t actions;
	int problem = posix_spawn_file_actions_init(&actions);
	if (problem != 0) {
		return problem;
	}
	problem = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	if (problem == 0) {
		problem = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	}
	if (problem == 0) {
		problem = posix_spawn(pid, argv[0], &actions, NULL, argv, environ);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return problem;
}

struct conform_child *conform_spawn(struct conform_case *c, const char *const *args)
{
	/* argv wants char *; posix_spawn does not write to it. */
	union {
		const char *given[HELPER_ARGS_MAX + 6];
		char *const argv[HELPER_ARGS_MAX + 6];
	} call = {.given = {c->kit->program, "--helper", args[0], c->kit->plugin_file,
			  c->kit->config_file}};
	for (size_t i = 1; args[i] != NULL; i++) {
		CONFORM_THAT(i <= HELPER_ARGS_MAX, "too many arguments for a helper");
		call.given[4 + i] = args[i];
	}
	struct conform_child *child = calloc(1, sizeof(*child));
	CONFORM_THAT(child != NULL, "out of memory");
	child->in = -1;
	child->out = -1;
	conform_defer(c, child_end, child);

	int to[2];
	int from[2];
	CONFORM_THAT(private_pipe(to), "no pipe: %s", strerror(errno));
	child->in = to[1];
	CONFORM_THAT(private_pipe(from), "no pipe: %s", strerror(errno));
	child->out = from[0];
	int problem = spawn(&child->pid, call.argv, to[0], from[1]);
	(void)close(to[0]);
	(void)close(from[1]);
	CONFORM_THAT(problem == 0, "cannot start a helper: %s", strerror(problem));
	return child;
}

void conform_child_tell(struct conform_child *child, const char *word)
{
	char line[CONFORM_LINE_MAX];
	int len = snprintf(line, sizeof(line), "%s\n", word);
	CONFORM_THAT(write(child->in, line, (size_t)len) == len, "the helper is gone: %s",
		strerror(errno));
}

/* Takes the first whole line out of the buffer. */
static bool take_line(struct conform_child *child)
{
	char *end = memchr(child->buffer, '\n', child->have);
	if (end == NULL) {
		return false;
	}
	size_t len = (size_t)(end - child->buffer);
	memcpy(child->line, child->buffer, len);
	child->line[len] = '\0';
	child->have -= len + 1;
	memmove(child->buffer, end + 1, child->have);
	return true;
}

const char *conform_child_line(struct conform_child *child)
{
	int64_t until = conform_now_ms() + 2 * (int64_t)CONFORM_PATIENCE_MS;
	while (!take_line(child)) {
		int64_t left = until - conform_now_ms();
		CONFORM_THAT(left > 0, "a helper process says nothing");
		CONFORM_THAT(
			child->have < sizeof(child->buffer), "a helper's line is too long");
		struct pollfd wait = {child->out, POLLIN, 0};
		if (poll(&wait, 1, (int)left) <= 0) {
			continue;
		}
		ssize_t got = read(child->out, child->buffer + child->have,
			sizeof(child->buffer) - child->have);
		CONFORM_THAT(got > 0, "a helper process ended early");
		child->have += (size_t)got;
	}
	return child->line;
}

void conform_child_expect(struct conform_child *child, const char *line)
{
	const char *said = conform_child_line(child);
	CONFORM_THAT(strcmp(said, line) == 0, "a helper process says \"%s\", must be \"%s\"",
		said, line);
}

void conform_child_kill(struct conform_child *child)
{
	(void)kill(child->pid, SIGKILL);
	(void)waitpid(child->pid, NULL, 0);
	child->pid = 0;
}

void conform_child_join(struct conform_child *child)
{
	(void)close(child->in);
	child->in = -1;
	int64_t until = conform_now_ms() + CONFORM_PATIENCE_MS;
	int ended = 0;
	pid_t who = 0;
	while ((who = waitpid(child->pid, &ended, WNOHANG)) == 0) {
		CONFORM_THAT(conform_now_ms() < until, "a helper process does not end");
		conform_sleep_ms(5);
	}
	child->pid = 0;
	CONFORM_THAT(who > 0 && WIFEXITED(ended) && WEXITSTATUS(ended) == 0,
		"a helper process ended badly (wait status %d)", ended);
}

void conform_say(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	(void)vprintf(fmt, args);
	va_end(args);
	(void)putchar('\n');
	(void)fflush(stdout);
}

bool conform_heard(char *word, size_t size)
{
	if (fgets(word, (int)size, stdin) == NULL) {
		return false;
	}
	word[strcspn(word, "\n")] = '\0';
	return true;
}

const struct conform_helper *conform_helper_find(uint32_t kind, const char *name)
{
	const struct conform_helper *helper =
		kind == SWM_PLUGIN_STORE ? conform_store_helpers : conform_queue_helpers;
	while (helper->name != NULL && strcmp(helper->name, name) != 0) {
		helper++;
	}
	return helper->name == NULL ? NULL : helper;
}
