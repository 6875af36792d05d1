/* SPDX-License-Identifier: MIT */

/* See support.h. */

#include "support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *join(const char *directory, const char *name)
{
	size_t size = strlen(directory) + strlen(name) + 2;
	char *path = malloc(size);
	assert_non_null(path);
	(void)snprintf(path, size, "%s/%s", directory, name);
	return path;
}

char *support_directory(void)
{
	char *directory = strdup("/tmp/swm-test-XXXXXX");
	assert_non_null(directory);
	assert_non_null(mkdtemp(directory));
	return directory;
}

char *support_file(const char *directory, const char *name, const char *text, mode_t mode)
{
	char *path = join(directory, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

char *support_copy(const char *from, const char *directory, const char *name, mode_t mode)
{
	char *path = join(directory, name);
	FILE *in = fopen(from, "r");
	FILE *out = fopen(path, "w");
	assert_non_null(in);
	assert_non_null(out);
	char buf[4096];
	size_t got = 0;
	while ((got = fread(buf, 1, sizeof(buf), in)) > 0) {
		assert_int_equal(fwrite(buf, 1, got, out), got);
	}
	assert_int_equal(fclose(in), 0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

static int is_ours(const struct dirent *entry)
{
	return entry->d_name[0] != '.' ? 1 : 0;
}

void support_remove(char *directory)
{
	(void)chmod(directory, 0700);
	struct dirent **entries = NULL;
	int count = scandir(directory, &entries, is_ours, alphasort);
	assert_true(count >= 0);
	for (int i = 0; i < count; i++) {
		char *path = join(directory, entries[i]->d_name);
		(void)remove(path);
		free(path);
		free(entries[i]);
	}
	free(entries);
	assert_int_equal(rmdir(directory), 0);
	free(directory);
}

void support_has_problem(
	const struct swm_problems *problems, const char *pointer, const char *part)
{
	for (size_t i = 0; i < problems->count; i++) {
		const struct swm_problem *problem = &problems->items[i];
		if (strcmp(problem->pointer, pointer) == 0 &&
			strstr(problem->message, part) != NULL) {
			return;
		}
	}
	swm_problems_print(problems, NULL, stderr);
	fail_msg("no problem at %s with: %s", pointer, part);
}
