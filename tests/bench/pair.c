/* SPDX-License-Identifier: MIT */

/* Configurations of rounds, made of the pair's. */

#include "pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 512

static FILE *open_file(const char *path, const char *mode)
{
	FILE *file = fopen(path, mode);
	if (!file) {
		perror(path);
		exit(1);
	}
	return file;
}

void pair_read(struct pair *pair, const char *file)
{
	*pair = (struct pair){0};
	FILE *in = open_file(file, "re");
	size_t len = fread(pair->text, 1, sizeof(pair->text) - 1, in);
	(void)fclose(in);
	pair->text[len] = '\0';
	pair->rabbitmq = strstr(pair->text, "\"rabbitmq\"") != NULL;
	pair->kafka = strstr(pair->text, "\"kafka\"") != NULL;
	pair->postgresql = strstr(pair->text, "\"postgresql\"") != NULL;
	pair->served = pair->rabbitmq || pair->kafka || pair->postgresql;
}

void pair_write_config(const struct pair *pair, const char *folder)
{
	static const char place[] = "{folder}";
	static const char round[] = "{round}";
	char path[PATH_BYTES];
	const char *name = strrchr(folder, '/');
	(void)snprintf(path, sizeof(path), "%s/swm.json", folder);
	FILE *out = open_file(path, "we");
	for (const char *at = pair->text; *at;) {
		if (strncmp(at, place, strlen(place)) == 0) {
			(void)fputs(folder, out);
			at += strlen(place);
		} else if (strncmp(at, round, strlen(round)) == 0) {
			(void)fputs(name ? name + 1 : folder, out);
			at += strlen(round);
		} else {
			(void)fputc(*at++, out);
		}
	}
	(void)fclose(out);
}
