/* SPDX-License-Identifier: MIT */

/*
 * Keys that lie here: in the options, in the environment, and in the files that AWS's own
 * tools share, ~/.aws/credentials and ~/.aws/config.
 *
 * Of these files the sections and the plain keys are read. A profile that names a role, a
 * process or SSO has no keys here.
 */

#include "keys.h"

#include "queue_sqs.h"
#include "status.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Files are read again now and then: somebody else may renew what is in them. */
#define FILE_GOOD_MS 300000

#define FILE_BYTES_MAX ((size_t)1024 * 1024)

static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && *value != '\0' ? value : NULL;
}

static swm_status take(
	struct swm_sqs_keys *keys, struct swm_sqs_keys **out, struct swm_error *err)
{
	if (keys == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	*out = keys;
	return SWM_OK;
}

swm_status swm_sqs_keys_from_options(struct swm_queue *queue, int64_t until_ms,
	struct swm_sqs_keys **out, struct swm_error *err)
{
	const struct swm_queue_config *config = queue->config;

	(void)until_ms;
	if (config->access_key_id == NULL) {
		return SWM_E_NOT_FOUND;
	}
	return take(swm_sqs_keys_create(config->access_key_id, config->secret_access_key,
			    config->session_token, INT64_MAX),
		out, err);
}

swm_status swm_sqs_keys_from_environment(struct swm_queue *queue, int64_t until_ms,
	struct swm_sqs_keys **out, struct swm_error *err)
{
	const char *id = env("AWS_ACCESS_KEY_ID");
	const char *secret = env("AWS_SECRET_ACCESS_KEY");

	(void)until_ms;
	if (queue->config->profile != NULL || id == NULL || secret == NULL) {
		return SWM_E_NOT_FOUND;
	}
	return take(
		swm_sqs_keys_create(id, secret, env("AWS_SESSION_TOKEN"), INT64_MAX), out, err);
}

/* All of a file; false: there is none, or it cannot be read. */
static bool read_file(const char *path, struct swm_sqs_text *out)
{
	FILE *file = fopen(path, "re");
	char part[4096];
	size_t count;
	bool whole;

	if (file == NULL) {
		return false;
	}
	while ((count = fread(part, 1, sizeof(part), file)) > 0 && out->len < FILE_BYTES_MAX) {
		swm_sqs_text_add(out, part, count);
	}
	whole = ferror(file) == 0 && !out->failed;
	(void)fclose(file);
	return whole;
}

/* The file that `variable` names, else NAME in ~/.aws. */
static bool read_shared(const char *variable, const char *name, struct swm_sqs_text *out)
{
	const char *path = env(variable);
	const char *home = env("HOME");
	struct swm_sqs_text made = {0};
	bool there;

	if (path == NULL && home == NULL) {
		return false;
	}
	if (path != NULL) {
		swm_sqs_text_say(&made, path);
	} else {
		swm_sqs_text_say(&made, home);
		swm_sqs_text_say(&made, "/.aws/");
		swm_sqs_text_say(&made, name);
	}
	there = !made.failed && read_file(made.ptr, out);
	swm_sqs_text_finish(&made);
	return there;
}

/* Without the white space at both ends; terminated in place. */
static char *trim(char *from, char *end)
{
	while (from < end && (*from == ' ' || *from == '\t')) {
		from++;
	}
	while (end > from && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r')) {
		end--;
	}
	*end = '\0';
	return from;
}

/* What the section of a profile says. The values point into the file's text. */
struct profile {
	const char *name;
	bool found;
	const char *id;
	const char *secret;
	const char *token;
	const char *region;
};

static void note_value(struct profile *profile, const char *name, const char *value)
{
	if (strcmp(name, "aws_access_key_id") == 0) {
		profile->id = value;
	} else if (strcmp(name, "aws_secret_access_key") == 0) {
		profile->secret = value;
	} else if (strcmp(name, "aws_session_token") == 0) {
		profile->token = value;
	} else if (strcmp(name, "region") == 0) {
		profile->region = value;
	}
}

/* `[NAME]`, and in the file config `[profile NAME]`. */
static bool is_section_of(char *line, const char *name)
{
	char *close = strchr(line, ']');
	char *inside;

	if (close == NULL) {
		return false;
	}
	inside = trim(line + 1, close);
	if (strncmp(inside, "profile ", 8) == 0) {
		inside = trim(inside + 8, close);
	}
	return strcmp(inside, name) == 0;
}

static void read_profile(char *text, struct profile *profile)
{
	bool inside = false;
	char *line;
	char *rest = text;

	while (rest != NULL && *rest != '\0') {
		char *end = strchr(rest, '\n');
		char *equals;

		line = rest;
		rest = end == NULL ? NULL : end + 1;
		line = trim(line, end == NULL ? line + strlen(line) : end);
		if (*line == '[') {
			inside = is_section_of(line, profile->name);
			profile->found = profile->found || inside;
			continue;
		}
		equals = strchr(line, '=');
		if (!inside || equals == NULL || *line == '#' || *line == ';') {
			continue;
		}
		note_value(profile, trim(line, equals),
			trim(equals + 1, equals + 1 + strlen(equals + 1)));
	}
}

static const char *profile_name(const char *configured)
{
	const char *name = configured != NULL ? configured : env("AWS_PROFILE");

	return name != NULL ? name : "default";
}

/* Both files, the texts being the caller's to free; what stands in the first counts. */
static void read_both(
	struct swm_sqs_text texts[2], const char *configured, struct profile *profile)
{
	struct profile second = {.name = profile_name(configured)};

	*profile = second;
	if (read_shared("AWS_SHARED_CREDENTIALS_FILE", "credentials", &texts[0])) {
		read_profile(texts[0].ptr, profile);
	}
	if (read_shared("AWS_CONFIG_FILE", "config", &texts[1])) {
		read_profile(texts[1].ptr, &second);
	}
	profile->found = profile->found || second.found;
	profile->region = profile->region != NULL ? profile->region : second.region;
	if (profile->id == NULL || profile->secret == NULL) {
		profile->id = second.id;
		profile->secret = second.secret;
		profile->token = second.token;
	}
}

static void wipe_both(struct swm_sqs_text texts[2])
{
	size_t i;

	for (i = 0; i < 2; i++) {
		if (texts[i].ptr != NULL) {
			memset(texts[i].ptr, ' ', texts[i].len);
		}
		swm_sqs_text_finish(&texts[i]);
	}
}

swm_status swm_sqs_keys_from_files(struct swm_queue *queue, int64_t until_ms,
	struct swm_sqs_keys **out, struct swm_error *err)
{
	const char *configured = queue->config->profile;
	struct swm_sqs_text texts[2] = {{0}, {0}};
	struct profile profile;
	swm_status status = SWM_E_NOT_FOUND;

	(void)until_ms;
	read_both(texts, configured, &profile);
	if (profile.id != NULL && profile.secret != NULL) {
		int64_t now_ms = queue->host->now_ms(queue->host->ctx);

		status = take(swm_sqs_keys_create(profile.id, profile.secret, profile.token,
				      now_ms + FILE_GOOD_MS),
			out, err);
	} else if (configured != NULL) {
		status = swm_fail(err, SWM_E_DENIED, 0, "profile \"%s\" %s", configured,
			profile.found ? "has no keys in the shared files"
				      : "is in neither of the shared files");
	}
	wipe_both(texts);
	return status;
}

char *swm_sqs_region_from_files(const char *profile_configured)
{
	struct swm_sqs_text texts[2] = {{0}, {0}};
	struct profile profile;
	char *region = NULL;

	read_both(texts, profile_configured, &profile);
	if (profile.region != NULL && *profile.region != '\0') {
		region = strdup(profile.region);
	}
	wipe_both(texts);
	return region;
}
