/* SPDX-License-Identifier: MIT */

/* See cli_event.h. */

#include "cli_event.h"

#include "cli_json.h"
#include "env_posix.h"
#include "message.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>

/* Messages published in one call. */
#define PUBLISH_MAX 64

const char *swm_cli_actor(const char *given)
{
	const char *actor = given != NULL ? given : getenv("SWM_ACTOR");
	if (actor == NULL || actor[0] == '\0') {
		actor = getenv("USER");
	}
	return actor != NULL && actor[0] != '\0' ? actor : NULL;
}

void swm_cli_event_id(struct swm_cli *cli, struct swm_id *out)
{
	struct swm_env env;
	char chance[32];
	swm_env_posix_init(&env, &cli->services.host);
	env.random(env.ctx, chance, sizeof(chance));
	const struct swm_str part = {chance, sizeof(chance)};
	swm_id_of(&part, 1, out);
}

/* One call of at most PUBLISH_MAX. */
static swm_status publish_some(const struct swm_cli *cli,
	const struct swm_queue_adapter *adapter, struct swm_publisher *publisher,
	const struct swm_cli_message *messages, size_t count, struct swm_error *err)
{
	struct swm_header headers[PUBLISH_MAX];
	struct swm_message out[PUBLISH_MAX];
	swm_status results[PUBLISH_MAX];
	for (size_t i = 0; i < count; i++) {
		headers[i] = (struct swm_header){
			SWM_STR(SWM_HEADER_EVENT_ID), swm_id_str(&messages[i].id)};
		out[i] = (struct swm_message){
			.destination = swm_str_from(cli->config->listen[0].queue),
			.id = swm_id_str(&messages[i].id),
			.key = messages[i].key,
			.body = messages[i].body,
			.headers = &headers[i],
			.header_count = 1,
		};
	}
	return adapter->ops->publisher_publish(
		publisher, out, count, cli->config->workflow.call_timeout_ms, results, err);
}

static swm_status publish_all(const struct swm_cli *cli,
	const struct swm_queue_adapter *adapter, const struct swm_cli_message *messages,
	size_t count, size_t *sent, struct swm_error *err)
{
	struct swm_publisher *publisher = NULL;
	struct swm_str queue = swm_str_from(cli->config->listen[0].queue);
	swm_status status = adapter->ops->prepare(adapter->queue, &queue, 1, err);
	if (status == SWM_OK) {
		status = adapter->ops->publisher_open(adapter->queue, &publisher, err);
	}
	*sent = 0;
	while (status == SWM_OK && *sent < count) {
		size_t some = count - *sent < PUBLISH_MAX ? count - *sent : PUBLISH_MAX;
		status = publish_some(cli, adapter, publisher, messages + *sent, some, err);
		*sent += status == SWM_OK ? some : 0;
	}
	adapter->ops->publisher_close(publisher);
	return status;
}

int swm_cli_publish(struct swm_cli *cli, const struct swm_cli_message *messages, size_t count)
{
	const struct swm_queue_adapter *adapter = NULL;
	struct swm_error err = {0};
	swm_status status = swm_adapters_queue(
		cli->adapters, cli->config->listen[0].adapter, &adapter, &err);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "%s", err.message);
	}
	size_t sent = 0;
	status = publish_all(cli, adapter, messages, count, &sent, &err);
	if (status == SWM_OK) {
		return SWM_EXIT_DONE;
	}
	return swm_cli_fail(cli, status, "%s: %s%s", cli->config->listen[0].queue, err.message,
		status == SWM_E_INDOUBT ? "; it may have been sent"
		: sent > 0              ? "; some were sent before"
					: "; nothing was sent");
}

/* What became of one event. */
struct report {
	const char *outcome; /* as JSON says it */
	const char *words;   /* as people read it */
	bool refused;
	int64_t sequence; /* 0: none */
	const char *reason;
};

static struct report report_of(const struct swm_admin_verdict *verdict)
{
	struct report report = {
		.outcome = "parked",
		.refused = true,
		.sequence = verdict->sequence,
		.reason = verdict->reason,
	};
	switch (verdict->outcome) {
	case SWM_OUTCOME_APPLIED:
		report.outcome = "applied";
		report.refused = false;
		break;
	case SWM_OUTCOME_DUPLICATE:
		report.outcome = "duplicate";
		break;
	case SWM_OUTCOME_IGNORED:
		report.outcome = "ignored";
		break;
	case SWM_OUTCOME_REJECTED:
		report.outcome = "rejected";
		break;
	default:
		break;
	}
	report.words = report.outcome;
	return report;
}

static enum swm_style style_of(const struct report *report)
{
	if (report->refused) {
		return SWM_STYLE_RED;
	}
	return report->sequence > 0 ? SWM_STYLE_GREEN : SWM_STYLE_YELLOW;
}

static void print_field(const struct swm_out *out, struct swm_str text)
{
	if (text.len > 0) {
		(void)fputc(' ', out->file);
		swm_out_text(out, text);
	}
}

static void print_report(
	const struct swm_out *out, const struct swm_event *event, const struct report *report)
{
	swm_out_text(out, swm_event_name(event->kind));
	print_field(out, event->component);
	print_field(out, event->business_ref);
	print_field(out, event->stage);
	print_field(out, event->task);
	(void)fprintf(out->file, ": %s%s%s", swm_out_style(out, style_of(report)),
		report->words, swm_out_style(out, SWM_STYLE_PLAIN));
	if (report->reason != NULL && report->reason[0] != '\0') {
		(void)fputs(": ", out->file);
		swm_out_text(out, swm_str_from(report->reason));
	}
	if (report->sequence > 0) {
		(void)fprintf(out->file, " (record %" PRId64 ")", report->sequence);
	}
	(void)fputc('\n', out->file);
	(void)fflush(out->file);
}

static swm_status print_report_json(const struct swm_out *out, const struct swm_event *event,
	struct swm_str raw_id, const struct report *report)
{
	struct swm_cli_json json;
	swm_cli_json_init(&json);
	swm_cli_json_add_text(&json, "event_name", swm_event_name(event->kind));
	swm_cli_json_add_text(&json, "component_name", event->component);
	swm_cli_json_add_text(&json, "business_ref_no", event->business_ref);
	swm_cli_json_add_text(&json, "stage_name", event->stage);
	swm_cli_json_add_text(&json, "task_name", event->task);
	swm_cli_json_add_text(&json, "event_id", raw_id);
	swm_cli_json_add(&json, "outcome", json_string(report->outcome));
	if (report->sequence > 0) {
		swm_cli_json_add(&json, "sequence", json_integer(report->sequence));
	}
	swm_cli_json_add_text(&json, "reason", swm_str_from(report->reason));
	swm_status status = swm_cli_json_print(out, json.object);
	swm_cli_json_finish(&json);
	(void)fflush(out->file);
	return status;
}

static swm_status report_event(const struct swm_cli *cli, const struct swm_cli_message *message,
	const struct report *report, struct swm_error *err)
{
	struct swm_event event;
	struct swm_event_limits limits = swm_cli_event_limits(cli);
	swm_status status = swm_event_read(message->body, &limits, &event, err);
	if (status != SWM_OK) {
		return status;
	}
	if (cli->out.format == SWM_OUT_JSON) {
		struct swm_str raw_id =
			event.event_id.ptr != NULL ? event.event_id : swm_id_str(&message->id);
		status = print_report_json(&cli->out, &event, raw_id, report);
	} else {
		print_report(&cli->out, &event, report);
	}
	swm_event_finish(&event);
	return status;
}

/* The verdict of one, waited for until the deadline. */
static swm_status await(struct swm_cli_store *store, const struct swm_cli_message *message,
	int64_t deadline_ms, struct swm_admin_verdict *verdict, struct swm_error *err)
{
	int64_t left_ms = deadline_ms - swm_env_monotonic_ms(&store->env);
	return swm_admin_event_wait(&store->admin, message->body, swm_id_str(&message->id),
		left_ms > 0 ? left_ms : 0, verdict, err);
}

int swm_cli_verdicts(struct swm_cli *cli, struct swm_cli_store *store,
	const struct swm_cli_message *messages, size_t count, const struct swm_cli_wait *wait)
{
	struct swm_error err = {0};
	int64_t deadline_ms =
		wait->none ? 0 : swm_env_monotonic_ms(&store->env) + wait->timeout_ms;
	int result = SWM_EXIT_DONE;
	for (size_t i = 0; i < count; i++) {
		struct swm_admin_verdict verdict = {0};
		struct report report = {.outcome = "sent", .words = "sent"};
		swm_status status = SWM_OK;
		if (!wait->none) {
			status = await(store, &messages[i], deadline_ms, &verdict, &err);
			report.words = "sent, not yet processed";
		}
		if (!wait->none && status == SWM_OK) {
			report = report_of(&verdict);
		} else if (status != SWM_OK && status != SWM_E_TIMEOUT) {
			return swm_cli_fail(cli, status,
				"sent, but what became of it cannot be "
				"seen: %s",
				err.message);
		}
		status = report_event(cli, &messages[i], &report, &err);
		if (status != SWM_OK) {
			return swm_cli_fail(cli, status, "%s", err.message);
		}
		result = report.refused ? SWM_EXIT_REFUSED : result;
	}
	return result;
}
