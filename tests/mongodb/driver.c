/* SPDX-License-Identifier: MIT */

/*
 * The MongoDB store, driven line by line for the tests: `driver URI DATABASE TIMEOUT_MS BODY`
 * reads commands from stdin and answers each with one line, "STATUS RESULT MESSAGE":
 *
 *   migrate | check | open | close | maintain
 *   commit ID EXPECTED EVENT BYTES [MARK]   a step with an event, a message and a body; of
 *                                           0 BYTES: with one of the core's
 *   load ID EVENT                           RESULT: version, or version + 1000 when seen
 *   events ID                               RESULT: how many the log has
 *   put ID                                  a message without an instance
 *
 * Concurrency: one thread.
 */

#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	LINE_MAX_BYTES = 4096
};

struct driver {
	struct swm_host host;
	struct store_config config;
	struct swm_open_args args;
	struct swm_store *store;
	struct swm_session *session;
	struct swm_error err;
	int64_t result;
};

static SWM_PRINTF(4, 5) void no_log(
	void *ctx, int32_t level, const char *source, const char *fmt, ...)
{
	(void)ctx;
	(void)level;
	(void)source;
	(void)fmt;
}

static int64_t wall_clock(void *ctx)
{
	(void)ctx;
	return (int64_t)time(NULL) * 1000;
}

static struct swm_str str(const char *text)
{
	return (struct swm_str){text, text ? strlen(text) : 0};
}

static swm_status commit(struct driver *driver, char **words)
{
	int64_t expected = strtoll(words[1], NULL, 10);
	size_t bytes = strtoul(words[3], NULL, 10);
	char owed[64];
	char *body = malloc(bytes + 1);
	struct swm_event_row event = {.id = str(words[2]),
		.source_id = {"\xff\x00$.", 4},
		.name = str("Task.$Completed"),
		.body = {"{\"$set\": 1}", 11},
		.sequence = expected + 1,
		.outcome = SWM_OUTCOME_APPLIED};
	struct swm_outbox_row row = {.id = {owed, 0},
		.instance_id = str(words[0]),
		.destination = str("$queue.of.dots"),
		.body = str("{}")};
	struct swm_commit item = {.next = {.id = str(words[0]),
					  .workflow = str("$flow."),
					  .component = str("a.$b"),
					  .business_ref = str(words[0]),
					  .template_id = str("$t.1:1"),
					  .stage = str("$stage.1"),
					  .body = {body, bytes},
					  .version = expected + 1,
					  .sequence = expected + 1,
					  .status = 1},
		.expected_version = expected,
		.events = &event,
		.event_count = 1,
		.outbox = &row,
		.outbox_count = 1,
		.result = SWM_E_INTERNAL};
	struct swm_outbox_mark mark = {
		.id = str(words[4]), .instance_id = str(words[0]), .action = SWM_MARK_SENT};

	if (!body) {
		return SWM_E_NOMEM;
	}
	memset(body, '.', bytes);
	if (bytes == 0) {
		item.next.body =
			str("{\"f\": 1, \"stage\": 0, \"data\": {\"n\": 1}, \"tasks\": []}");
		item.next.business_status = str("begun");
	}
	row.id.len = (size_t)snprintf(owed, sizeof(owed), "$o.%s", words[2]);
	swm_status status = store_commit(driver->session, str("driver"), 60000, &item, 1, &mark,
		words[4] ? 1 : 0, &driver->err);
	driver->result = item.result;
	free(body);
	return status;
}

static swm_status load(struct driver *driver, char **words)
{
	struct swm_str event = str(words[1]);
	uint8_t seen = 0;
	struct swm_load item = {
		.id = str(words[0]), .event_ids = &event, .seen = &seen, .event_count = 1};
	struct swm_set backing = {0};
	swm_status status = store_load(driver->session, &item, 1, &backing, &driver->err);

	if (status == SWM_OK) {
		driver->result =
			(item.instance ? item.instance->version : 0) + (int64_t)seen * 1000;
		backing.release(&backing);
	}
	return status;
}

static swm_status events(struct driver *driver, char **words)
{
	const struct swm_page page = {.limit = 1000};
	struct swm_set set = {0};
	swm_status status =
		store_event_list(driver->session, str(words[0]), &page, &set, &driver->err);

	if (status == SWM_OK) {
		driver->result = (int64_t)set.count;
		set.release(&set);
	}
	return status;
}

static swm_status put(struct driver *driver, char **words)
{
	const struct swm_outbox_row row = {
		.id = str(words[0]), .destination = str("queue"), .body = str("{}")};

	return store_outbox_put(driver->session, &row, 1, &driver->err);
}

static swm_status migrate(struct driver *driver, uint32_t mode)
{
	int32_t version = 0;
	swm_status status = store_migrate(driver->store, mode, &version, &driver->err);

	driver->result = version;
	return status;
}

static swm_status run(struct driver *driver, const char *command, char **words)
{
	driver->result = 0;
	driver->err = (struct swm_error){0};
	if (strcmp(command, "migrate") == 0) {
		return migrate(driver, SWM_MIGRATE_APPLY);
	}
	if (strcmp(command, "check") == 0) {
		return migrate(driver, SWM_MIGRATE_CHECK);
	}
	if (strcmp(command, "open") == 0) {
		return store_session_open(driver->store, &driver->session, &driver->err);
	}
	if (strcmp(command, "close") == 0) {
		store_session_close(driver->session);
		driver->session = NULL;
		return SWM_OK;
	}
	if (strcmp(command, "maintain") == 0) {
		return store_maintain(driver->session, 1000, &driver->err);
	}
	if (strcmp(command, "commit") == 0 && words[3]) {
		return commit(driver, words);
	}
	if (strcmp(command, "load") == 0 && words[1]) {
		return load(driver, words);
	}
	if (strcmp(command, "events") == 0 && words[0]) {
		return events(driver, words);
	}
	return strcmp(command, "put") == 0 && words[0] ? put(driver, words) : SWM_E_INVALID;
}

static void answer(struct driver *driver, char *line)
{
	char *words[8] = {NULL}, *rest = NULL;
	size_t count = 0;

	for (char *word = strtok_r(line, " \n", &rest); word && count < 7;
		word = strtok_r(NULL, " \n", &rest)) {
		words[count++] = word;
	}
	if (count > 0) {
		swm_status status = run(driver, words[0], words + 1);

		(void)printf(
			"%d %lld %s\n", status, (long long)driver->result, driver->err.message);
		(void)fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	struct driver driver = {
		.host = {.size = sizeof(driver.host), .log = no_log, .now_ms = wall_clock}};
	char line[LINE_MAX_BYTES];

	if (argc != 5) {
		return 2;
	}
	driver.config = (struct store_config){.uri = argv[1],
		.database = argv[2],
		.collection_prefix = "wf_",
		.application_name = "driver",
		.body = strcmp(argv[4], "document") == 0 ? STORE_BODY_DOCUMENT
							 : STORE_BODY_BYTES};
	driver.args = (struct swm_open_args){.size = sizeof(driver.args),
		.host = &driver.host,
		.instance = "store",
		.config = &driver.config,
		.call_timeout_ms = strtoll(argv[3], NULL, 10)};
	if (store_mongodb_plugin.load(&driver.host, &driver.err) != SWM_OK ||
		store_open(&driver.args, &driver.store, &driver.err) != SWM_OK) {
		(void)fprintf(stderr, "%s\n", driver.err.message);
		return 1;
	}
	while (fgets(line, sizeof(line), stdin)) {
		answer(&driver, line);
	}
	store_session_close(driver.session);
	store_close(driver.store);
	store_mongodb_plugin.unload();
	return 0;
}
