/* SPDX-License-Identifier: MIT */

/*
 * swm start, complete, fail, retry: the events that people send most, typed as a
 * command. The stage may be left out where the task's name says enough; the
 * instance's own template decides that, so the store is asked first.
 */

#include "cli_event.h"
#include "cli_json.h"
#include "commands.h"
#include "error.h"
#include "json_out.h"
#include "json_read.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct change_values {
	struct swm_cli_wait wait;
	const char *data;
	const char *reason;
	const char *actor;
	int64_t attempt;          /* 0: the current one */
	int64_t template_version; /* 0: the newest */
};

/* An event on its way, and the store to see what becomes of it. */
struct change {
	struct swm_cli *cli;
	const struct change_values *values;
	enum swm_event_kind kind;
	struct swm_cli_store store; /* open unless nobody waits and nothing is asked */
	const char *component;
	const char *business_ref;
	const char *stage; /* NULL: not yet known, or none */
	const char *task;
	char stage_name[SWM_NAME_MAX + 1]; /* what stage points to, once resolved */
};

/* A text of the command line. */
static bool add_argument(
	struct change *change, struct swm_cli_json *json, const char *key, const char *text)
{
	if (text == NULL) {
		return true;
	}
	json_t *value = json_string(text);
	if (value == NULL) {
		(void)swm_cli_usage(change->cli, "'%s' is not UTF-8", text);
		return false;
	}
	swm_cli_json_add(json, key, value);
	return true;
}

/* --data: a JSON object, or @FILE with one. */
static int add_data(struct change *change, struct swm_cli_json *json)
{
	struct swm_cli *cli = change->cli;
	if (change->values->data == NULL) {
		return SWM_EXIT_DONE;
	}
	char *text = NULL;
	size_t len = 0;
	size_t max_bytes = (size_t)cli->config->limits.message_bytes;
	json_t *value = NULL;
	struct swm_error err = {0};
	swm_status status = swm_cli_read_argument(
		change->values->data, false, max_bytes, &text, &len, &err);
	if (status == SWM_OK) {
		status = swm_json_read((struct swm_str){text, len}, max_bytes, &value, &err);
	}
	free(text);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "--data: %s", err.message);
	}
	swm_cli_json_add(json, "data", value);
	return SWM_EXIT_DONE;
}

static int write_body(struct change *change, struct swm_cli_json *json)
{
	const struct change_values *values = change->values;
	struct swm_id id;
	swm_cli_event_id(change->cli, &id);
	swm_cli_json_add_text(json, "event_name", swm_event_name(change->kind));
	swm_cli_json_add_text(json, "event_id", swm_id_str(&id));
	if (!add_argument(change, json, "component_name", change->component) ||
		!add_argument(change, json, "business_ref_no", change->business_ref) ||
		!add_argument(change, json, "stage_name", change->stage) ||
		!add_argument(change, json, "task_name", change->task) ||
		!add_argument(change, json, "reason", values->reason) ||
		!add_argument(change, json, "actor", swm_cli_actor(values->actor))) {
		return SWM_EXIT_USAGE;
	}
	if (values->attempt > 0) {
		swm_cli_json_add(json, "attempt", json_integer(values->attempt));
	}
	if (values->template_version > 0) {
		swm_cli_json_add(
			json, "template_version", json_integer(values->template_version));
	}
	return add_data(change, json);
}

/* Checks the event as the orchestrator will, since there it would only be parked. */
static int send_body(struct change *change, struct swm_str body)
{
	struct swm_cli *cli = change->cli;
	struct swm_event event;
	struct swm_event_limits limits = swm_cli_event_limits(cli);
	struct swm_error err = {0};
	char key[SWM_INSTANCE_ID_MAX + 1];
	struct swm_cli_message message = {.body = body};
	swm_status status = swm_event_read(body, &limits, &event, &err);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "%s; nothing was sent", err.message);
	}
	size_t len = 0;
	(void)swm_instance_id_write(event.component, event.business_ref, key, &len);
	message.key = (struct swm_str){key, len};
	(void)memcpy(message.id.hex, event.event_id.ptr, SWM_ID_LEN + 1);
	swm_event_finish(&event);

	int result = swm_cli_publish(cli, &message, 1);
	if (result != SWM_EXIT_DONE) {
		return result;
	}
	return swm_cli_verdicts(cli, &change->store, &message, 1, &change->values->wait);
}

static int send_change(struct change *change)
{
	struct swm_cli_json json;
	swm_cli_json_init(&json);
	int result = write_body(change, &json);
	if (result == SWM_EXIT_DONE) {
		size_t len = 0;
		char *text = json.object != NULL ? swm_json_text(json.object, &len) : NULL;
		result = text != NULL ? send_body(change, (struct swm_str){text, len})
				      : swm_cli_fail(change->cli, SWM_E_NOMEM, "out of memory");
		free(text);
	}
	swm_cli_json_finish(&json);
	return result;
}

/* A task that does not exist: exit 3, with the nearest name of its stage, or of all. */
static int no_task(const struct change *change, const struct swm_template *template,
	const struct swm_task *tasks, size_t count)
{
	char hint[SWM_CLI_HINT_MAX];
	struct swm_str *names = calloc(count + 1, sizeof(*names));
	for (size_t i = 0; names != NULL && i < count; i++) {
		names[i] = tasks[i].name;
	}
	swm_cli_did_you_mean(
		swm_str_from(change->task), names, names != NULL ? count : 0, hint);
	free(names);
	return swm_cli_fail(change->cli, SWM_E_NOT_FOUND, "%s has no task '%s'%s%s%s",
		template->id.ptr, change->task, change->stage != NULL ? " in stage " : "",
		change->stage != NULL ? change->stage : "", hint);
}

static int no_stage(const struct change *change, const struct swm_template *template)
{
	char hint[SWM_CLI_HINT_MAX];
	struct swm_str names[SWM_STAGES_MAX];
	for (size_t i = 0; i < template->stage_count; i++) {
		names[i] = template->stages[i].name;
	}
	swm_cli_did_you_mean(swm_str_from(change->stage), names, template->stage_count, hint);
	return swm_cli_fail(change->cli, SWM_E_NOT_FOUND, "%s has no stage '%s'%s",
		template->id.ptr, change->stage, hint);
}

/* The only stage with a task of this name. */
static int find_stage(struct change *change, const struct swm_template *template)
{
	const struct swm_task *found = NULL;
	for (size_t i = 0; i < template->task_count; i++) {
		const struct swm_task *task = &template->tasks[i];
		if (!swm_str_equal(task->name, swm_str_from(change->task))) {
			continue;
		}
		if (found != NULL) {
			return swm_cli_usage(change->cli,
				"both stage %s and stage %s have a task '%s': name the stage",
				template->stages[found->stage].name.ptr,
				template->stages[task->stage].name.ptr, change->task);
		}
		found = task;
	}
	if (found == NULL) {
		return no_task(change, template, template->tasks, template->task_count);
	}
	struct swm_str name = template->stages[found->stage].name;
	(void)memcpy(change->stage_name, name.ptr, name.len);
	change->stage = change->stage_name;
	return SWM_EXIT_DONE;
}

static int check_names(struct change *change, const struct swm_template *template)
{
	if (change->stage == NULL) {
		return find_stage(change, template);
	}
	int32_t stage = swm_template_stage(template, swm_str_from(change->stage));
	if (stage < 0) {
		return no_stage(change, template);
	}
	if (swm_template_task(template, stage, swm_str_from(change->task)) < 0) {
		return no_task(change, template,
			template->tasks + template->stages[stage].first_task,
			template->stages[stage].task_count);
	}
	return SWM_EXIT_DONE;
}

/* Looks the instance up: an event of an unknown one would be put off for a minute. */
static int resolve_task(struct change *change)
{
	struct swm_admin_instance instance = {0};
	struct swm_error err = {0};
	swm_status status =
		swm_admin_instance_get(&change->store.admin, swm_str_from(change->component),
			swm_str_from(change->business_ref), &instance, &err);
	if (status == SWM_E_NOT_FOUND) {
		return swm_cli_fail(change->cli, status, "there is no instance %s %s",
			change->component, change->business_ref);
	}
	if (status != SWM_OK) {
		return swm_cli_fail(change->cli, status, "%s", err.message);
	}
	int result = check_names(change, instance.template);
	swm_admin_instance_finish(&instance);
	return result;
}

/* StartWorkflow of an unknown component would be parked. */
static int check_template(struct change *change)
{
	struct swm_set set = {0};
	struct swm_error err = {0};
	swm_status status = swm_admin_template_get(&change->store.admin,
		swm_str_from(change->component), change->values->template_version, &set, &err);
	swm_set_release(&set);
	if (status == SWM_E_NOT_FOUND && change->values->template_version > 0) {
		return swm_cli_fail(change->cli, status, "there is no template %s:%" PRId64,
			change->component, change->values->template_version);
	}
	if (status == SWM_E_NOT_FOUND) {
		char hint[SWM_CLI_HINT_MAX];
		swm_cli_component_hint(&change->store, swm_str_from(change->component), hint);
		return swm_cli_fail(
			change->cli, status, "%s has no template%s", change->component, hint);
	}
	return status == SWM_OK ? SWM_EXIT_DONE
				: swm_cli_fail(change->cli, status, "%s", err.message);
}

/* COMPONENT REF, with or without [STAGE] TASK. */
static int run_change(struct swm_cli *cli, enum swm_event_kind kind,
	const struct change_values *values, int argc, char **argv)
{
	bool of_task = kind != SWM_EVENT_START_WORKFLOW;
	struct change change = {
		.cli = cli,
		.values = values,
		.kind = kind,
		.component = argv[0],
		.business_ref = argv[1],
		.stage = of_task && argc == 4 ? argv[2] : NULL,
		.task = of_task ? argv[argc - 1] : NULL,
	};
	swm_status status = swm_cli_adapters(cli, 0);
	if (status != SWM_OK) {
		return (int)swm_exit_code(status);
	}
	int result = SWM_EXIT_DONE;
	if (!values->wait.none || (of_task && change.stage == NULL)) {
		result = swm_cli_store_open(cli, &change.store);
		if (result != SWM_EXIT_DONE) {
			return result;
		}
		result = of_task ? resolve_task(&change) : check_template(&change);
	}
	if (result == SWM_EXIT_DONE) {
		result = send_change(&change);
	}
	swm_cli_store_close(&change.store);
	return result;
}

#define FLAG_DATA \
	{ \
		.name = "data", .letter = 'd', .type = SWM_FLAG_TEXT, \
		.offset = offsetof(struct change_values, data), .metavar = "JSON", \
		.help = "an object, or @FILE with one, merged into the workflow's data", \
	}
#define FLAG_ACTOR \
	{ \
		.name = "actor", .type = SWM_FLAG_TEXT, \
		.offset = offsetof(struct change_values, actor), .metavar = "NAME", \
		.help = "who does it, else $SWM_ACTOR, else $USER", \
	}
#define FLAG_REASON \
	{ \
		.name = "reason", .letter = 'r', .type = SWM_FLAG_TEXT, \
		.offset = offsetof(struct change_values, reason), .metavar = "TEXT", \
		.help = "why, kept with the record", \
	}
#define FLAG_ATTEMPT \
	{ \
		.name = "attempt", .type = SWM_FLAG_NUMBER, \
		.offset = offsetof(struct change_values, attempt), .min = 1, \
		.max = SWM_ATTEMPTS_MAX, .metavar = "N", \
		.help = "of this attempt only, else of the current one", \
	}

static int run_start(struct swm_cli *cli, const void *values, int argc, char **argv)
{
	return run_change(cli, SWM_EVENT_START_WORKFLOW, values, argc, argv);
}

static const struct swm_flag start_flags[] = {
	FLAG_DATA,
	{
		.name = "template-version",
		.type = SWM_FLAG_NUMBER,
		.offset = offsetof(struct change_values, template_version),
		.min = 1,
		.max = INT32_MAX,
		.metavar = "N",
		.help = "of the template, else the newest",
	},
	FLAG_ACTOR,
	SWM_CLI_WAIT_FLAGS(struct change_values),
	{0},
};

const struct swm_command swm_command_start = {
	.name = "start",
	.arguments = "COMPONENT REF",
	.summary = "start a workflow for a business reference",
	.details = "A reference is started once: again is a duplicate, exit 1.",
	.example = "swm start ITALIAN ORDER-001 --data '{\"size\":\"large\"}'\n",
	.flags = start_flags,
	.values_size = sizeof(struct change_values),
	.min_args = 2,
	.max_args = 2,
	.run = run_start,
};

static int run_complete(struct swm_cli *cli, const void *values, int argc, char **argv)
{
	return run_change(cli, SWM_EVENT_TASK_COMPLETED, values, argc, argv);
}

static const struct swm_flag complete_flags[] = {
	FLAG_ACTOR,
	FLAG_DATA,
	FLAG_REASON,
	FLAG_ATTEMPT,
	SWM_CLI_WAIT_FLAGS(struct change_values),
	{0},
};

const struct swm_command swm_command_complete = {
	.name = "complete",
	.arguments = "COMPONENT REF [STAGE] TASK",
	.summary = "say that a task is done, as people do for HUMAN tasks",
	.details = "The stage is needed only where several stages have a task of that name.",
	.example = "swm complete ITALIAN ORDER-001 deliver_food --actor anna\n",
	.flags = complete_flags,
	.values_size = sizeof(struct change_values),
	.min_args = 3,
	.max_args = 4,
	.run = run_complete,
};

static int run_fail(struct swm_cli *cli, const void *values, int argc, char **argv)
{
	const struct change_values *given = values;
	if (given->reason == NULL) {
		return swm_cli_usage(cli, "--reason is missing");
	}
	return run_change(cli, SWM_EVENT_TASK_FAILED, given, argc, argv);
}

static const struct swm_flag fail_flags[] = {
	FLAG_REASON,
	FLAG_ACTOR,
	FLAG_ATTEMPT,
	SWM_CLI_WAIT_FLAGS(struct change_values),
	{0},
};

const struct swm_command swm_command_fail = {
	.name = "fail",
	.arguments = "COMPONENT REF [STAGE] TASK --reason TEXT",
	.summary = "say that a task has failed",
	.example = "swm fail ITALIAN ORDER-001 deliver_food --reason 'nobody at home'\n",
	.flags = fail_flags,
	.values_size = sizeof(struct change_values),
	.min_args = 3,
	.max_args = 4,
	.run = run_fail,
};

static int run_retry(struct swm_cli *cli, const void *values, int argc, char **argv)
{
	return run_change(cli, SWM_EVENT_TASK_PENDING, values, argc, argv);
}

static const struct swm_flag retry_flags[] = {
	FLAG_REASON,
	FLAG_ACTOR,
	SWM_CLI_WAIT_FLAGS(struct change_values),
	{0},
};

const struct swm_command swm_command_retry = {
	.name = "retry",
	.arguments = "COMPONENT REF [STAGE] TASK",
	.summary = "start a failed task again",
	.details = "A FAILED task gets its next attempt, and its retries begin anew. To a\n"
		   "SCHEDULED one the same StartTask is sent once more.",
	.example = "swm retry ITALIAN ORDER-001 make_food --reason 'oven is mended'\n",
	.flags = retry_flags,
	.values_size = sizeof(struct change_values),
	.min_args = 3,
	.max_args = 4,
	.run = run_retry,
};
