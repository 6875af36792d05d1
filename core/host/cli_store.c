/* SPDX-License-Identifier: MIT */

/* See cli_store.h. */

#include "cli_store.h"

#include "arena.h"
#include "env_posix.h"
#include "text.h"

/* Components that a hint chooses from. */
#define HINT_NAMES_MAX 256

/* Large enough that a listing is a few round trips, small enough to be quick. */
#define PAGE_ROWS 500

struct swm_event_limits swm_cli_event_limits(const struct swm_cli *cli)
{
	return (struct swm_event_limits){
		.message_bytes = (size_t)cli->config->limits.message_bytes,
		.data_bytes = (size_t)cli->config->limits.data_bytes,
	};
}

int swm_cli_store_open(struct swm_cli *cli, struct swm_cli_store *store)
{
	const struct swm_store_adapter *adapter = NULL;
	struct swm_error err = {0};
	swm_status status = swm_cli_adapters(cli, 0);
	if (status != SWM_OK) {
		return (int)swm_exit_code(status);
	}
	status = swm_adapters_store(cli->adapters, &adapter, &err);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "%s", err.message);
	}
	swm_env_posix_init(&store->env, &cli->services.host);
	const struct swm_admin_args args = {
		.env = &store->env,
		.store_ops = adapter->ops,
		.store = adapter->store,
		.payload =
			{
				.plain =
					cli->config->workflow.payload == SWM_PAYLOAD_KIND_PLAIN,
				.data_max_bytes = (size_t)cli->config->limits.data_bytes,
			},
		.limits = swm_cli_event_limits(cli),
	};
	status = swm_admin_open(&args, &store->admin, &err);
	return status == SWM_OK ? SWM_EXIT_DONE : swm_cli_fail(cli, status, "%s", err.message);
}

void swm_cli_store_close(struct swm_cli_store *store)
{
	swm_admin_close(&store->admin);
}

int swm_cli_store_run(struct swm_cli *cli, const void *values, int argc, char **argv)
{
	struct swm_cli_store store = {0};
	int result = swm_cli_store_open(cli, &store);
	if (result == SWM_EXIT_DONE) {
		result = cli->command->run_in_store(cli, &store, values, argc, argv);
		swm_cli_store_close(&store);
	}
	return result;
}

static swm_status fetch_instances(struct swm_admin *admin, const void *what,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	return admin->store->instance_list(admin->session, what, page, out, err);
}

static swm_status fetch_events(struct swm_admin *admin, const void *what,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	const struct swm_str *instance_id = what;
	return admin->store->event_list(admin->session, *instance_id, page, out, err);
}

static swm_status fetch_templates(struct swm_admin *admin, const void *what,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	const struct swm_str *component = what;
	return admin->store->template_list(admin->session, *component, page, out, err);
}

static swm_status fetch_parked(struct swm_admin *admin, const void *what,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	(void)what;
	return admin->store->outbox_list(admin->session, true, page, out, err);
}

struct swm_cli_cursor swm_cli_instances(
	struct swm_cli_store *store, const struct swm_instance_filter *filter)
{
	return (struct swm_cli_cursor){
		.admin = &store->admin,
		.fetch = fetch_instances,
		.what = filter,
		.row_size = sizeof(struct swm_instance_row),
	};
}

struct swm_cli_cursor swm_cli_events(
	struct swm_cli_store *store, const struct swm_str *instance_id)
{
	return (struct swm_cli_cursor){
		.admin = &store->admin,
		.fetch = fetch_events,
		.what = instance_id,
		.row_size = sizeof(struct swm_event_row),
	};
}

struct swm_cli_cursor swm_cli_templates(
	struct swm_cli_store *store, const struct swm_str *component)
{
	return (struct swm_cli_cursor){
		.admin = &store->admin,
		.fetch = fetch_templates,
		.what = component,
		.row_size = sizeof(struct swm_template_row),
	};
}

struct swm_cli_cursor swm_cli_parked(struct swm_cli_store *store)
{
	return (struct swm_cli_cursor){
		.admin = &store->admin,
		.fetch = fetch_parked,
		.row_size = sizeof(struct swm_outbox_row),
	};
}

/* The next page; the old one is kept until then, since it holds where it ended. */
static bool turn_page(struct swm_cli_cursor *cursor, struct swm_error *err)
{
	if (cursor->status != SWM_OK || (cursor->begun && cursor->set.next.ptr == NULL)) {
		return false;
	}
	const struct swm_page page = {.after = cursor->set.next, .limit = PAGE_ROWS};
	struct swm_set next = {0};
	cursor->status = cursor->fetch(cursor->admin, cursor->what, &page, &next, err);
	if (cursor->status != SWM_OK) {
		return false;
	}
	swm_set_release(&cursor->set);
	cursor->set = next;
	cursor->at = 0;
	cursor->begun = true;
	return true;
}

const void *swm_cli_cursor_next(struct swm_cli_cursor *cursor, struct swm_error *err)
{
	while (cursor->at == cursor->set.count) {
		if (!turn_page(cursor, err)) {
			return NULL;
		}
	}
	return (const char *)cursor->set.items + cursor->row_size * cursor->at++;
}

void swm_cli_cursor_finish(struct swm_cli_cursor *cursor)
{
	swm_set_release(&cursor->set);
}

void swm_cli_did_you_mean(struct swm_str given, const struct swm_str *names, size_t count,
	char out[SWM_CLI_HINT_MAX])
{
	struct swm_str near = swm_str_nearest(given, names, count);
	out[0] = '\0';
	if (near.ptr != NULL) {
		(void)snprintf(out, SWM_CLI_HINT_MAX, "; did you mean '%.*s'?", (int)near.len,
			near.ptr);
	}
}

void swm_cli_component_hint(
	struct swm_cli_store *store, struct swm_str given, char out[SWM_CLI_HINT_MAX])
{
	const struct swm_str all = {NULL, 0};
	struct swm_str names[HINT_NAMES_MAX];
	size_t count = 0;
	struct swm_arena arena;
	struct swm_error err = {0};
	struct swm_cli_cursor cursor = swm_cli_templates(store, &all);
	const struct swm_template_row *row = NULL;
	swm_arena_init(&arena);
	while (count < HINT_NAMES_MAX && (row = swm_cli_cursor_next(&cursor, &err)) != NULL) {
		/* the versions of one come one after the other */
		bool known = count > 0 && swm_str_equal(row->component, names[count - 1]);
		if (!known && swm_arena_copy(&arena, row->component, &names[count])) {
			count++;
		}
	}
	bool exists = false;
	for (size_t i = 0; i < count; i++) {
		exists = exists || swm_str_equal(given, names[i]);
	}
	swm_cli_did_you_mean(given, names, exists ? 0 : count, out);
	swm_cli_cursor_finish(&cursor);
	swm_arena_finish(&arena);
}
