/* SPDX-License-Identifier: MIT */

/*
 * Takes the kept inputs of a target through it without libFuzzer, so that every build
 * does it: the files of FOLDER/corpus/TARGET and FOLDER/crashes/TARGET. Prints TAP, a
 * line a folder; an input that crashes ends the process before the plan, and its name
 * is the last one on stderr.
 */

#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER_BYTES 4096
#define INPUT_MAX_BYTES ((size_t)4 * 1024 * 1024)

/* The bytes in memory of their very size, so that a sanitizer sees a read past it. */
static void replay(const char *path)
{
	FILE *in = fopen(path, "rb");

	fuzz_that(in != NULL, "%s cannot be opened", path);
	uint8_t *room = fuzz_memory(INPUT_MAX_BYTES);
	const size_t size = fread(room, 1, INPUT_MAX_BYTES, in);
	(void)fclose(in);
	uint8_t *data = fuzz_memory(size);
	memcpy(data, room, size);
	free(room);
	(void)fprintf(stderr, "%s\n", path);
	(void)LLVMFuzzerTestOneInput(data, size);
	free(data);
}

static size_t replay_all(const char *folder)
{
	struct dirent **entries = NULL;
	const int found = scandir(folder, &entries, NULL, alphasort);
	size_t count = 0;

	for (int i = 0; i < found; i++) {
		char path[FOLDER_BYTES + 256];
		if (entries[i]->d_name[0] != '.') {
			(void)snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
			replay(path);
			count++;
		}
		free(entries[i]);
	}
	free(entries);
	return count;
}

int main(int argc, char **argv)
{
	static const char *const folders[] = {"corpus", "crashes"};
	int tests = 0;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: %s FOLDER TARGET\n", argv[0]);
		return 2;
	}
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		char folder[FOLDER_BYTES];
		(void)snprintf(
			folder, sizeof(folder), "%s/%s/%s", argv[1], folders[i], argv[2]);
		const size_t count = replay_all(folder);
		if (count > 0) {
			(void)printf("ok %d - %s/%s: %zu inputs\n", ++tests, folders[i],
				argv[2], count);
		}
	}
	(void)printf("1..%d\n", tests);
	return tests > 0 ? 0 : 1;
}
