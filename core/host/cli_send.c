/* SPDX-License-Identifier: MIT */

/*
 * swm send: any event, as a service would send it. What cannot be an event is
 * refused here, all of it before anything is sent; with --raw nothing is looked at,
 * which is how parking is tried out.
 */

#include "cli_event.h"
#include "commands.h"
#include "json_read.h"
#include "text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Of one file; more is better sent in parts, since all of it is kept in memory. */
#define SEND_MAX_BYTES ((size_t)64 * 1024 * 1024)

struct send_values {
	struct swm_cli_wait wait;
	bool raw;
};

/* The messages of a file. */
struct batch {
	struct swm_cli_message *messages;
	char (*keys)[SWM_INSTANCE_ID_MAX + 1]; /* of each message */
	size_t count;
};

static void batch_finish(struct batch *batch)
{
	free(batch->messages);
	free(batch->keys);
}

static bool batch_reserve(struct batch *batch, size_t count)
{
	batch->messages = calloc(count, sizeof(*batch->messages));
	batch->keys = calloc(count, sizeof(*batch->keys));
	return batch->messages != NULL && batch->keys != NULL;
}

/* Without the white space around it. */
static struct swm_str trim(struct swm_str text)
{
	while (text.len > 0 && isspace((unsigned char)text.ptr[0]) != 0) {
		text.ptr++;
		text.len--;
	}
	while (text.len > 0 && isspace((unsigned char)text.ptr[text.len - 1]) != 0) {
		text.len--;
	}
	return text;
}

/* Cuts the next line off. */
static struct swm_str next_line(struct swm_str *text)
{
	const char *end = memchr(text->ptr, '\n', text->len);
	struct swm_str line = {text->ptr, end != NULL ? (size_t)(end - text->ptr) : text->len};
	size_t used = line.len + (end != NULL ? 1 : 0);
	text->ptr += used;
	text->len -= used;
	return line;
}

/* One event over many lines, or one per line? The first line tells: it is an event by
 * itself only in the second case. */
static bool has_event_per_line(struct swm_str text)
{
	struct swm_str rest = trim(text);
	struct swm_str line = trim(next_line(&rest));
	json_t *value = NULL;
	if (trim(rest).len == 0 ||
		swm_json_read(line, SEND_MAX_BYTES, &value, NULL) != SWM_OK) {
		return false;
	}
	json_decref(value);
	return true;
}

/* Checks one event and adds it. */
static swm_status add_event(
	struct swm_cli *cli, struct batch *batch, struct swm_str body, struct swm_error *err)
{
	struct swm_event event;
	struct swm_event_limits limits = swm_cli_event_limits(cli);
	swm_status status = swm_event_read(body, &limits, &event, err);
	if (status != SWM_OK) {
		return status;
	}
	struct swm_cli_message *message = &batch->messages[batch->count];
	char *key = batch->keys[batch->count];
	size_t len = 0;
	(void)swm_instance_id_write(event.component, event.business_ref, key, &len);
	message->key = (struct swm_str){key, len};
	message->body = body;
	swm_cli_event_id(cli, &message->id);
	batch->count++;
	swm_event_finish(&event);
	return SWM_OK;
}

static int add_lines(
	struct swm_cli *cli, struct batch *batch, const char *file, struct swm_str text)
{
	size_t wrong = 0;
	for (size_t number = 1; text.len > 0; number++) {
		struct swm_str line = trim(next_line(&text));
		struct swm_error err = {0};
		if (line.len == 0 || add_event(cli, batch, line, &err) == SWM_OK) {
			continue;
		}
		(void)fprintf(stderr, "%s:%zu: %s\n", file, number, err.message);
		wrong++;
	}
	return wrong == 0 ? SWM_EXIT_DONE
			  : swm_cli_fail(cli, SWM_E_INVALID,
				    "%zu line%s cannot be sent; nothing was sent", wrong,
				    wrong == 1 ? "" : "s");
}

static size_t count_lines(struct swm_str text)
{
	size_t count = 1;
	for (size_t i = 0; i < text.len; i++) {
		count += text.ptr[i] == '\n' ? 1 : 0;
	}
	return count;
}

static int collect(struct swm_cli *cli, const struct send_values *values, const char *file,
	struct swm_str text, struct batch *batch)
{
	bool lines = !values->raw && has_event_per_line(text);
	if (!batch_reserve(batch, lines ? count_lines(text) : 1)) {
		return swm_cli_fail(cli, SWM_E_NOMEM, "out of memory");
	}
	if (values->raw) {
		batch->messages[0].body = text;
		swm_cli_event_id(cli, &batch->messages[0].id);
		batch->count = 1;
		return SWM_EXIT_DONE;
	}
	if (lines) {
		return add_lines(cli, batch, file, text);
	}
	struct swm_error err = {0};
	swm_status status = add_event(cli, batch, trim(text), &err);
	return status == SWM_OK ? SWM_EXIT_DONE
				: swm_cli_fail(cli, status, "%s: %s; nothing was sent", file,
					  err.message);
}

/* The store is opened first, so that nothing is sent whose verdict cannot be seen. */
static int send_batch(
	struct swm_cli *cli, const struct send_values *values, const struct batch *batch)
{
	struct swm_cli_store store = {0};
	struct swm_cli_wait wait = values->wait;
	wait.none = wait.none || values->raw;
	int result = wait.none ? SWM_EXIT_DONE : swm_cli_store_open(cli, &store);
	if (result != SWM_EXIT_DONE) {
		return result;
	}
	result = swm_cli_publish(cli, batch->messages, batch->count);
	if (result == SWM_EXIT_DONE && values->raw) {
		swm_cli_progress(cli, "sent %zu bytes", batch->messages[0].body.len);
	} else if (result == SWM_EXIT_DONE) {
		result = swm_cli_verdicts(cli, &store, batch->messages, batch->count, &wait);
	}
	swm_cli_store_close(&store);
	return result;
}

static int run_send(struct swm_cli *cli, const void *values, int argc, char **argv)
{
	(void)argc;
	const char *file = strcmp(argv[0], "-") == 0 ? "stdin" : argv[0];
	char *text = NULL;
	size_t len = 0;
	struct swm_error err = {0};
	swm_status status = swm_cli_adapters(cli, 0);
	if (status != SWM_OK) {
		return (int)swm_exit_code(status);
	}
	status = swm_cli_read_file(argv[0], SEND_MAX_BYTES, &text, &len, &err);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "%s", err.message);
	}
	struct batch batch = {0};
	int result = collect(cli, values, file, (struct swm_str){text, len}, &batch);
	if (result == SWM_EXIT_DONE) {
		result = send_batch(cli, values, &batch);
	}
	batch_finish(&batch);
	free(text);
	return result;
}

static const struct swm_flag flags[] = {
	SWM_CLI_WAIT_FLAGS(struct send_values),
	{
		.name = "raw",
		.type = SWM_FLAG_SWITCH,
		.offset = offsetof(struct send_values, raw),
		.help = "send the file's bytes as one message, whatever they are",
	},
	{0},
};

const struct swm_command swm_command_send = {
	.name = "send",
	.arguments = "FILE",
	.summary = "send any event to the workflow queue",
	.details = "FILE (- for stdin) holds one JSON event, or one per line. All are checked\n"
		   "before the first is sent. Exit 1 when one was a duplicate, ignored,\n"
		   "rejected or parked. What --raw sends is parked when it is no event.",
	.example = "echo '{\"event_name\":\"StartWorkflow\",\"component_name\":\"ITALIAN\",'"
		   "'\"business_ref_no\":\"ORDER-001\"}' | swm send -\n",
	.flags = flags,
	.values_size = sizeof(struct send_values),
	.min_args = 1,
	.max_args = 1,
	.run = run_send,
};
