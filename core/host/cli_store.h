/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_CLI_STORE_H
#define SWM_HOST_CLI_STORE_H

/*
 * The store as commands see it: opened from the configuration, asked through the
 * use cases of admin.h, and listed row by row, whatever a page holds.
 *
 * Concurrency: belongs to the main thread.
 */

#include "admin.h"
#include "cli.h"
#include "document.h"

struct swm_cli_store {
	struct swm_env env;
	struct swm_admin admin;
};

/* Opens the store and a session; prints what is wrong. Returns an enum swm_exit; after
 * SWM_EXIT_DONE the caller closes it, and it must stay where it is until then. */
int swm_cli_store_open(struct swm_cli *cli, struct swm_cli_store *store);

/* All zero bits is fine. */
void swm_cli_store_close(struct swm_cli_store *store);

/* The .run of commands that have a .run_in_store: opens, runs it, closes. */
int swm_cli_store_run(struct swm_cli *cli, const void *values, int argc, char **argv);

/* What an event may hold, by the configuration, which has been read. */
struct swm_event_limits swm_cli_event_limits(const struct swm_cli *cli);

/* One of the listings of swm/store.h, with what it is asked for. */
typedef swm_status (*swm_cli_fetch_fn)(struct swm_admin *admin, const void *what,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err);

/* A walk over all rows of a listing, page after page. */
struct swm_cli_cursor {
	struct swm_admin *admin;
	swm_cli_fetch_fn fetch;
	const void *what; /* borrowed */
	size_t row_size;
	struct swm_set set;
	size_t at;
	bool begun;
	swm_status status; /* of the last fetch */
};

/* The cursors that there are; the argument is borrowed until the cursor is finished. */
struct swm_cli_cursor swm_cli_instances(
	struct swm_cli_store *store, const struct swm_instance_filter *filter);
struct swm_cli_cursor swm_cli_events(
	struct swm_cli_store *store, const struct swm_str *instance_id);
struct swm_cli_cursor swm_cli_templates(
	struct swm_cli_store *store, const struct swm_str *component);
struct swm_cli_cursor swm_cli_parked(struct swm_cli_store *store);

/* The next row, of the type that the listing returns, or NULL: at the end, or on a
 * failure, which cursor->status tells apart. Valid until the next call. */
const void *swm_cli_cursor_next(struct swm_cli_cursor *cursor, struct swm_error *err);

void swm_cli_cursor_finish(struct swm_cli_cursor *cursor);

/* "; did you mean 'NAME'?", or "" when none of the names is near. */
#define SWM_CLI_HINT_MAX 192
void swm_cli_did_you_mean(struct swm_str given, const struct swm_str *names, size_t count,
	char out[SWM_CLI_HINT_MAX]);

/* The same over all components that have a template; "" when the store does not answer. */
void swm_cli_component_hint(
	struct swm_cli_store *store, struct swm_str given, char out[SWM_CLI_HINT_MAX]);

#endif
