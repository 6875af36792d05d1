/* SPDX-License-Identifier: MIT */

/*
 * Keys that somebody gives out: a container's endpoint, the metadata of an instance (IMDSv2)
 * and, for a web identity, AWS's token service.
 *
 * These are asked without proxies and redirections, and are believed only where AWS has
 * them: a container's endpoint is a loopback address, one of the two link-local ones, or
 * https.
 */

#define _XOPEN_SOURCE 700 /* strptime() */
#define _DEFAULT_SOURCE   /* timegm() */

#include "keys.h"

#include "json.h"
#include "queue_sqs.h"
#include "status.h"
#include "web.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Where nobody listens nobody refuses either: a machine that is none of AWS's. */
#define CONNECT_MAX_MS 1000L
#define ANSWER_MAX_MS 5000

/* Before the second question to one that is busy. */
#define BUSY_PAUSE_NS 200000000L

#define ANSWER_BYTES_MAX ((size_t)256 * 1024)
#define TOKEN_FILE_BYTES_MAX ((size_t)64 * 1024)

#define CONTAINER_BASE "http://169.254.170.2"
#define METADATA_BASE "http://169.254.169.254"
#define METADATA_KEYS "/latest/meta-data/iam/security-credentials/"
#define METADATA_TOKEN_S "21600"

/* What is asked of such a place. */
struct question {
	const char *url;
	const char *method; /* NULL: GET */
	const char *headers[2];
	const char *form; /* NULL: no body */
	int64_t until_ms;
};

static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && *value != '\0' ? value : NULL;
}

static size_t write_answer(char *bytes, size_t one, size_t count, void *ctx)
{
	struct swm_sqs_text *answer = ctx;

	(void)one; /* always 1 */
	if (count > ANSWER_BYTES_MAX - answer->len) {
		return 0;
	}
	swm_sqs_text_add(answer, bytes, count);
	return answer->failed ? 0 : count;
}

static struct curl_slist *make_headers(const struct question *question)
{
	struct curl_slist *list = NULL;
	size_t i;

	for (i = 0; i < 2 && question->headers[i] != NULL; i++) {
		struct curl_slist *longer = curl_slist_append(list, question->headers[i]);

		list = longer != NULL ? longer : list;
	}
	return list;
}

/* Asks once. *http is 0 when nobody answers. */
static CURLcode ask_once(
	const struct question *question, struct swm_sqs_text *answer, long *http)
{
	int64_t left_ms = question->until_ms - swm_sqs_now_ms();
	struct curl_slist *headers = make_headers(question);
	CURL *easy = curl_easy_init();
	CURLcode code = CURLE_OUT_OF_MEMORY;

	left_ms = left_ms < ANSWER_MAX_MS ? left_ms : ANSWER_MAX_MS;
	*http = 0;
	if (easy != NULL && left_ms > 0) {
		(void)curl_easy_setopt(easy, CURLOPT_URL, question->url);
		(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
		(void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
		(void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
		(void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
		(void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MAX_MS);
		(void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)left_ms);
		(void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, question->method);
		(void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
		(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, write_answer);
		(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
		if (question->form != NULL) {
			(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, question->form);
		}
		code = curl_easy_perform(easy);
		(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, http);
	} else if (easy != NULL) {
		code = CURLE_OPERATION_TIMEDOUT;
	}
	curl_easy_cleanup(easy);
	curl_slist_free_all(headers);
	return code;
}

/* Asks `who`; twice if it is busy. SWM_E_NOT_FOUND: it has nothing of that name. */
static swm_status ask(const struct question *question, const char *who,
	struct swm_sqs_text *answer, struct swm_error *err)
{
	CURLcode code;
	long http = 0;
	int tries = 0;

	do {
		if (tries > 0) {
			(void)nanosleep(&(struct timespec){.tv_nsec = BUSY_PAUSE_NS}, NULL);
		}
		swm_sqs_text_reset(answer);
		code = ask_once(question, answer, &http);
		tries++;
	} while (tries < 2 && code == CURLE_OK && (http >= 500 || http == 429));
	if (code != CURLE_OK) {
		return swm_fail(err,
			code == CURLE_OPERATION_TIMEDOUT ? SWM_E_TIMEOUT : SWM_E_UNAVAILABLE,
			(int)code, "%s does not give out credentials: %s", who,
			curl_easy_strerror(code));
	}
	if (http == 404) {
		return SWM_E_NOT_FOUND;
	}
	if (http < 200 || http > 299) {
		return swm_fail(err,
			http >= 500 || http == 429 ? SWM_E_UNAVAILABLE : SWM_E_DENIED,
			(int)http, "%s gives out no credentials: it answers %ld", who, http);
	}
	return SWM_OK;
}

/* The first line of a file, to be wiped. NULL: there is none. */
static char *read_line(const char *path)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;
	ssize_t len;

	if (file == NULL) {
		return NULL;
	}
	len = getline(&line, &room, file);
	(void)fclose(file);
	if (len <= 0 || (size_t)len > TOKEN_FILE_BYTES_MAX) {
		swm_sqs_wipe(line);
		return NULL;
	}
	line[strcspn(line, "\r\n")] = '\0';
	return line;
}

/* "2026-11-22T10:51:00Z" as milliseconds; INT64_MAX: it is none. */
static int64_t read_time(const char *text)
{
	struct tm parts = {0};

	if (text == NULL || strptime(text, "%Y-%m-%dT%H:%M:%S", &parts) == NULL) {
		return INT64_MAX;
	}
	return (int64_t)timegm(&parts) * 1000;
}

/* What an answer says; terminated, in the answer's memory. */
struct found {
	char *id;
	char *secret;
	char *token;
	char *expires;
};

static swm_status make_keys(struct swm_queue *queue, const struct found *found, const char *who,
	struct swm_sqs_keys **out, struct swm_error *err)
{
	int64_t expires_ms = read_time(found->expires);
	struct swm_sqs_keys *keys;

	if (found->id == NULL || found->secret == NULL || *found->id == '\0') {
		return swm_fail(err, SWM_E_UNAVAILABLE, 0,
			"%s gives an answer without credentials", who);
	}
	if (expires_ms <= queue->host->now_ms(queue->host->ctx)) {
		return swm_fail(err, SWM_E_UNAVAILABLE, 0,
			"%s gives out credentials that have expired: %.32s", who,
			found->expires);
	}
	keys = swm_sqs_keys_create(found->id, found->secret, found->token, expires_ms);
	if (keys == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	*out = keys;
	return SWM_OK;
}

/* Terminates a string that was decoded in place: its closing quote, at least, is behind. */
static char *terminate(struct swm_str text)
{
	union {
		const char *in;
		char *out;
	} ptr = {.in = text.ptr};

	if (ptr.out != NULL) {
		ptr.out[text.len] = '\0';
	}
	return ptr.out;
}

static swm_status read_keys(struct swm_queue *queue, struct swm_sqs_text *answer,
	const char *who, struct swm_sqs_keys **out, struct swm_error *err)
{
	struct found found = {0};
	struct swm_sqs_json json;
	struct swm_str member;
	struct swm_str value;

	swm_sqs_json_init(&json, answer->ptr, answer->len);
	if (swm_sqs_json_enter(&json, '{')) {
		while (swm_sqs_json_member(&json, &member) &&
			swm_sqs_json_text(&json, &value)) {
			if (swm_sqs_str_is(member, "AccessKeyId")) {
				found.id = terminate(value);
			} else if (swm_sqs_str_is(member, "SecretAccessKey")) {
				found.secret = terminate(value);
			} else if (swm_sqs_str_is(member, "Token")) {
				found.token = terminate(value);
			} else if (swm_sqs_str_is(member, "Expiration")) {
				found.expires = terminate(value);
			}
		}
	}
	if (json.broken) {
		found.id = NULL;
	}
	return make_keys(queue, &found, who, out, err);
}

static void wipe_answer(struct swm_sqs_text *answer)
{
	if (answer->ptr != NULL) {
		memset(answer->ptr, ' ', answer->len);
	}
	swm_sqs_text_finish(answer);
}

/* --- A container --- */

/* Whether a key may be asked for there: AWS's SDKs refuse any other, too. */
static bool is_allowed(const char *url)
{
	static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]", "169.254.170.2",
		"169.254.170.23", "[fd00:ec2::23]"};
	const char *host;
	size_t i;

	if (strncmp(url, "https://", 8) == 0) {
		return true;
	}
	if (strncmp(url, "http://", 7) != 0) {
		return false;
	}
	host = url + 7;
	for (i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		size_t len = strlen(hosts[i]);

		if (strncmp(host, hosts[i], len) == 0 &&
			(host[len] == '/' || host[len] == ':' || host[len] == '\0')) {
			return true;
		}
	}
	return false;
}

/* "Authorization: ..." from the environment, or from a file that is renewed; to be wiped. */
static swm_status make_authorization(char **out, struct swm_error *err)
{
	const char *path = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *value = env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	struct swm_sqs_text header = {0};
	char *line = NULL;

	*out = NULL;
	if (path != NULL) {
		line = read_line(path);
		value = line;
		if (line == NULL) {
			return swm_fail(err, SWM_E_UNAVAILABLE, 0,
				"%s: there is no token for the container's endpoint", path);
		}
	}
	if (value == NULL) {
		return SWM_OK;
	}
	swm_sqs_text_say(&header, "Authorization: ");
	swm_sqs_text_say(&header, value);
	swm_sqs_wipe(line);
	*out = header.ptr;
	return header.failed ? swm_fail(err, SWM_E_NOMEM, 0, "out of memory") : SWM_OK;
}

swm_status swm_sqs_keys_from_container(struct swm_queue *queue, int64_t until_ms,
	struct swm_sqs_keys **out, struct swm_error *err)
{
	const char *relative = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	struct swm_sqs_text url = {0};
	struct swm_sqs_text answer = {0};
	char *authorization = NULL;
	swm_status status;

	if (relative == NULL && full == NULL) {
		return SWM_E_NOT_FOUND;
	}
	swm_sqs_text_say(&url, relative != NULL ? CONTAINER_BASE : full);
	swm_sqs_text_say(&url, relative != NULL ? relative : "");
	if (url.failed) {
		status = swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	} else if (!is_allowed(url.ptr)) {
		status = swm_fail(err, SWM_E_DENIED, 0,
			"AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor a container's "
			"own address");
	} else {
		status = make_authorization(&authorization, err);
	}
	if (status == SWM_OK) {
		const struct question question = {
			.url = url.ptr, .headers = {authorization}, .until_ms = until_ms};

		status = ask(&question, "the container's endpoint", &answer, err);
		if (status == SWM_E_NOT_FOUND) {
			status = swm_fail(err, SWM_E_DENIED, 404,
				"the container's endpoint knows no such credentials");
		}
	}
	if (status == SWM_OK) {
		status = read_keys(queue, &answer, "the container's endpoint", out, err);
	}
	swm_sqs_wipe(authorization);
	swm_sqs_text_finish(&url);
	wipe_answer(&answer);
	return status;
}

/* --- An instance --- */

static swm_status ask_metadata(const char *path, const char *token, int64_t until_ms,
	struct swm_sqs_text *answer, struct swm_error *err)
{
	const char *base = env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	struct swm_sqs_text url = {0};
	struct swm_sqs_text header = {0};
	swm_status status;

	swm_sqs_text_say(&url, base != NULL ? base : METADATA_BASE);
	if (url.len > 0 && url.ptr[url.len - 1] == '/') {
		url.len--;
	}
	swm_sqs_text_say(&url, path);
	swm_sqs_text_say(&header, token != NULL ? "X-aws-ec2-metadata-token: "
						: "X-aws-ec2-metadata-token-ttl-seconds: ");
	swm_sqs_text_say(&header, token != NULL ? token : METADATA_TOKEN_S);
	if (url.failed || header.failed) {
		status = swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	} else {
		const struct question question = {.url = url.ptr,
			.method = token == NULL ? "PUT" : NULL,
			.headers = {header.ptr},
			.until_ms = until_ms};

		status = ask(&question, "the instance's metadata", answer, err);
	}
	swm_sqs_text_finish(&url);
	wipe_answer(&header);
	return status;
}

/* The first line, terminated. */
static char *first_line(struct swm_sqs_text *text)
{
	if (text->ptr != NULL) {
		text->ptr[strcspn(text->ptr, "\r\n")] = '\0';
	}
	return text->ptr;
}

swm_status swm_sqs_keys_from_instance(struct swm_queue *queue, int64_t until_ms,
	struct swm_sqs_keys **out, struct swm_error *err)
{
	const char *disabled = env("AWS_EC2_METADATA_DISABLED");
	struct swm_sqs_text token = {0};
	struct swm_sqs_text role = {0};
	struct swm_sqs_text path = {0};
	struct swm_sqs_text answer = {0};
	bool wanted = queue->config->credentials == SWM_SQS_SOURCE_INSTANCE;
	swm_status status;

	if (disabled != NULL && strcmp(disabled, "true") == 0) {
		return SWM_E_NOT_FOUND;
	}
	status = ask_metadata("/latest/api/token", NULL, until_ms, &token, err);
	if ((status == SWM_E_TIMEOUT || status == SWM_E_UNAVAILABLE) && !wanted &&
		queue->keyring.found != SWM_SQS_SOURCE_INSTANCE) {
		status = SWM_E_NOT_FOUND; /* not on such a machine */
	}
	if (status == SWM_OK) {
		status = ask_metadata(METADATA_KEYS, first_line(&token), until_ms, &role, err);
	}
	if (status == SWM_OK && first_line(&role) != NULL) {
		swm_sqs_text_say(&path, METADATA_KEYS);
		swm_sqs_text_say(&path, role.ptr);
		status = path.failed
				 ? swm_fail(err, SWM_E_NOMEM, 0, "out of memory")
				 : ask_metadata(path.ptr, token.ptr, until_ms, &answer, err);
	}
	if (status == SWM_OK) {
		status = read_keys(queue, &answer, "the instance's metadata", out, err);
	}
	wipe_answer(&token);
	swm_sqs_text_finish(&role);
	swm_sqs_text_finish(&path);
	wipe_answer(&answer);
	return status;
}

/* --- A web identity --- */

static bool add_form(CURL *easy, struct swm_sqs_text *form, const char *name, const char *value)
{
	char *escaped = curl_easy_escape(easy, value, 0);

	if (escaped == NULL) {
		return false;
	}
	swm_sqs_text_say(form, form->len == 0 ? "" : "&");
	swm_sqs_text_say(form, name);
	swm_sqs_text_say(form, "=");
	swm_sqs_text_say(form, escaped);
	curl_free(escaped);
	return !form->failed;
}

static bool make_form(struct swm_sqs_text *form, const char *role, const char *token)
{
	const char *session = env("AWS_ROLE_SESSION_NAME");
	CURL *easy = curl_easy_init();
	bool made =
		easy != NULL && add_form(easy, form, "Action", "AssumeRoleWithWebIdentity") &&
		add_form(easy, form, "Version", "2011-06-15") &&
		add_form(easy, form, "RoleArn", role) &&
		add_form(easy, form, "RoleSessionName", session != NULL ? session : "swm") &&
		add_form(easy, form, "WebIdentityToken", token);

	curl_easy_cleanup(easy);
	return made;
}

/* Where the element's contents begin; *end: where they end. Keys have no entities. */
static char *element(char *text, const char *open, const char *close, char **end)
{
	char *from = strstr(text, open);

	*end = from == NULL ? NULL : strstr(from, close);
	return *end == NULL ? NULL : from + strlen(open);
}

static swm_status read_xml(struct swm_queue *queue, struct swm_sqs_text *answer,
	struct swm_sqs_keys **out, struct swm_error *err)
{
	char *credentials = answer->ptr == NULL ? NULL : strstr(answer->ptr, "<Credentials>");
	struct found found = {0};
	char *ends[4] = {NULL};
	size_t i;

	if (credentials != NULL) {
		found.id = element(credentials, "<AccessKeyId>", "</AccessKeyId>", &ends[0]);
		found.secret = element(
			credentials, "<SecretAccessKey>", "</SecretAccessKey>", &ends[1]);
		found.token =
			element(credentials, "<SessionToken>", "</SessionToken>", &ends[2]);
		found.expires = element(credentials, "<Expiration>", "</Expiration>", &ends[3]);
	}
	for (i = 0; i < 4; i++) {
		if (ends[i] != NULL) {
			*ends[i] = '\0';
		}
	}
	return make_keys(queue, &found, "the token service", out, err);
}

static void make_token_service_url(struct swm_queue *queue, struct swm_sqs_text *url)
{
	const char *endpoint = env("AWS_ENDPOINT_URL_STS");

	if (endpoint != NULL) {
		swm_sqs_text_say(url, endpoint);
		return;
	}
	swm_sqs_text_say(url, "https://sts.");
	swm_sqs_text_say(url, queue->region);
	swm_sqs_text_say(url, strncmp(queue->region, "cn-", 3) == 0 ? ".amazonaws.com.cn/"
								    : ".amazonaws.com/");
}

swm_status swm_sqs_keys_from_web_identity(struct swm_queue *queue, int64_t until_ms,
	struct swm_sqs_keys **out, struct swm_error *err)
{
	const char *path = env("AWS_WEB_IDENTITY_TOKEN_FILE");
	const char *role = env("AWS_ROLE_ARN");
	struct swm_sqs_text url = {0};
	struct swm_sqs_text form = {0};
	struct swm_sqs_text answer = {0};
	char *token;
	swm_status status;

	if (path == NULL || role == NULL || queue->config->profile != NULL) {
		return SWM_E_NOT_FOUND;
	}
	token = read_line(path);
	if (token == NULL) {
		return swm_fail(err, SWM_E_UNAVAILABLE, 0,
			"%s: there is no token of a web identity", path);
	}
	make_token_service_url(queue, &url);
	if (!make_form(&form, role, token) || url.failed) {
		status = swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	} else {
		const struct question question = {
			.url = url.ptr, .form = form.ptr, .until_ms = until_ms};

		status = ask(&question, "the token service", &answer, err);
		status = status == SWM_E_NOT_FOUND
				 ? swm_fail(err, SWM_E_DENIED, 404,
					   "the token service is not at %s", url.ptr)
				 : status;
	}
	if (status == SWM_OK) {
		status = read_xml(queue, &answer, out, err);
	}
	swm_sqs_wipe(token);
	swm_sqs_text_finish(&url);
	wipe_answer(&form);
	wipe_answer(&answer);
	return status;
}
