/* SPDX-License-Identifier: MIT */

/*
 * The store from open to close: schema, the one orchestrator of a store that is
 * not shared, sessions, and how failures are reported.
 */

#include "store_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct opened {
	const struct swm_store_ops *ops;
	struct swm_store *store;
};

static void close_opened(void *what)
{
	struct opened *opened = what;
	opened->ops->close(opened->store);
	free(opened);
}

/* Opens the adapter once more; what it returns closes it through the case. */
static swm_status open_again(struct conform_case *c, uint32_t flags, struct opened **out)
{
	struct opened *opened = calloc(1, sizeof(*opened));
	CONFORM_THAT(opened != NULL, "out of memory");
	opened->ops = c->ops;
	conform_defer(c, close_opened, opened);
	struct swm_open_args args = conform_open_args(c->kit, flags);
	*out = opened;
	return c->ops->open(&args, &opened->store, &c->err);
}

/* Whether the store is new is not for us to say, so both ways are followed. */
static void migrate_first(struct conform_case *c)
{
	struct swm_open_args args = conform_open_args(c->kit, 0);
	CONFORM_OK(c, c->ops->open(&args, &c->store, &c->err));
	int32_t schema = 0;
	swm_status status = c->ops->migrate(c->store, SWM_MIGRATE_CHECK, &schema, &c->err);
	if (status != SWM_OK) {
		CONFORM_IS(c, SWM_E_CONFIG, status);
		struct swm_session *session = NULL;
		CONFORM_IS(c, SWM_E_CONFIG, c->ops->session_open(c->store, &session, &c->err));
		CONFORM_THAT(session == NULL, "a session that was not opened is handed out");
	}
	CONFORM_OK(c, c->ops->migrate(c->store, SWM_MIGRATE_APPLY, &schema, &c->err));
	CONFORM_OK(c, c->ops->migrate(c->store, SWM_MIGRATE_CHECK, &schema, &c->err));
	CONFORM_OK(c, c->ops->session_open(c->store, &c->session, &c->err));
}

static void migrate_repeat(struct conform_case *c)
{
	int32_t first = 0;
	int32_t second = 0;
	int32_t checked = 0;
	struct swm_str id = conform_name(c, "kept");
	store_apply(c, store_new_step(c, id, 0));
	CONFORM_OK(c, c->ops->migrate(c->store, SWM_MIGRATE_APPLY, &first, &c->err));
	CONFORM_OK(c, c->ops->migrate(c->store, SWM_MIGRATE_APPLY, &second, &c->err));
	CONFORM_OK(c, c->ops->migrate(c->store, SWM_MIGRATE_CHECK, &checked, &c->err));
	CONFORM_THAT(first > 0 && first == second && first == checked,
		"schema versions %d, %d and %d must be one", first, second, checked);
	CONFORM_THAT(store_get(c, c->session, id) != NULL, "migrating again lost an instance");
}

static void migrate_at_once(struct conform_case *c)
{
	struct conform_child *children[3];
	for (size_t i = 0; i < 3; i++) {
		children[i] = conform_spawn(c, (const char *const[]){"store-migrate", NULL});
		conform_child_expect(children[i], "ready");
	}
	for (size_t i = 0; i < 3; i++) {
		conform_child_tell(children[i], "go");
	}
	for (size_t i = 0; i < 3; i++) {
		conform_child_expect(children[i], "SWM_OK");
		conform_child_join(children[i]);
	}
}

static void open_exclusive(struct conform_case *c)
{
	struct conform_child *holder =
		conform_spawn(c, (const char *const[]){"store-hold", NULL});
	conform_child_expect(holder, "held");

	struct opened *second = NULL;
	CONFORM_IS(c, SWM_E_EXISTS, open_again(c, SWM_OPEN_ORCHESTRATOR, &second));
	CONFORM_THAT(second->store == NULL, "a store that was refused is handed out");
	char pid[24];
	(void)snprintf(pid, sizeof(pid), "%ld", (long)holder->pid);
	CONFORM_THAT(strstr(c->err.message, pid) != NULL,
		"the message must name the holder, process %s: %s", pid, c->err.message);

	struct opened *other = NULL;
	CONFORM_OK(c, open_again(c, 0, &other));

	conform_child_kill(holder);
	struct opened *third = NULL;
	CONFORM_OK(c, open_again(c, SWM_OPEN_ORCHESTRATOR, &third));
}

static void open_exclusive_here(struct conform_case *c)
{
	struct opened *first = NULL;
	struct opened *second = NULL;
	struct opened *third = NULL;
	CONFORM_OK(c, open_again(c, SWM_OPEN_ORCHESTRATOR, &first));
	CONFORM_IS(c, SWM_E_EXISTS, open_again(c, SWM_OPEN_ORCHESTRATOR, &second));
	conform_close_now(c, first);
	CONFORM_OK(c, open_again(c, SWM_OPEN_ORCHESTRATOR, &third));
}

/* An agent's command must not keep the store of the process that started it. */
static void open_not_inherited(struct conform_case *c)
{
	struct opened *first = NULL;
	struct opened *second = NULL;
	CONFORM_OK(c, open_again(c, SWM_OPEN_ORCHESTRATOR, &first));
	struct conform_child *child =
		conform_spawn(c, (const char *const[]){"store-idle", NULL});
	conform_child_expect(child, "ready");
	conform_close_now(c, first);
	CONFORM_OK(c, open_again(c, SWM_OPEN_ORCHESTRATOR, &second));
}

static void open_shared(struct conform_case *c)
{
	struct conform_child *holder =
		conform_spawn(c, (const char *const[]){"store-hold", NULL});
	conform_child_expect(holder, "held");
	struct opened *second = NULL;
	CONFORM_OK(c, open_again(c, SWM_OPEN_ORCHESTRATOR, &second));
}

static void close_null(struct conform_case *c)
{
	c->ops->close(NULL);
	c->ops->session_close(NULL);
}

static void many_sessions(struct conform_case *c)
{
	enum {
		SESSIONS = 8
	};
	struct swm_session *sessions[SESSIONS];
	struct swm_str id = conform_name(c, "shared");
	store_apply(c, store_new_step(c, id, 0));
	for (size_t i = 0; i < SESSIONS; i++) {
		sessions[i] = store_session(c);
	}
	for (size_t i = 0; i < SESSIONS; i++) {
		struct store_step *step = store_new_step(c, id, (int64_t)i + 1);
		CONFORM_OK(c, store_commit(c->ops, sessions[i], CONFORM_STR("owner"),
				      CONFORM_LONG_LEASE_MS, step, 1, NULL, 0, &c->err));
	}
	const struct swm_instance_row *row = store_get(c, sessions[0], id);
	CONFORM_THAT(row != NULL && row->version == SESSIONS + 1,
		"the first session does not see what the others committed");
}

static void failure_text(struct conform_case *c)
{
	struct swm_set set = {0};
	memset(&c->err, 0, sizeof(c->err));
	struct swm_str unknown = conform_name(c, "unknown");
	CONFORM_IS(
		c, SWM_E_NOT_FOUND, c->ops->template_get(c->session, unknown, &set, &c->err));
	CONFORM_THAT(
		set.items == NULL && set.count == 0 && set.owner == NULL && set.release == NULL,
		"a failed call wrote to its output");
	CONFORM_THAT(c->err.status == SWM_E_NOT_FOUND, "err.status is not what was returned");
	const char *end = memchr(c->err.message, '\0', sizeof(c->err.message));
	CONFORM_THAT(end != NULL && end != c->err.message, "err.message is no text");
	CONFORM_THAT(strchr(c->err.message, '\n') == NULL, "err.message is more than a line");
	CONFORM_IS(c, SWM_E_NOT_FOUND, c->ops->template_get(c->session, unknown, &set, NULL));
}

static void maintain_keeps(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "kept");
	struct store_step *step = store_new_step(c, id, 0);
	store_step_event(step, conform_name(c, "e1"));
	store_apply(c, step);
	int64_t until = conform_now_ms() + CONFORM_PATIENCE_MS;
	swm_status status;
	while ((status = c->ops->maintain(c->session, 50, &c->err)) == SWM_E_TIMEOUT) {
		CONFORM_THAT(conform_now_ms() < until, "housekeeping never has enough");
	}
	CONFORM_OK(c, status);
	CONFORM_THAT(store_get(c, c->session, id) != NULL, "housekeeping lost an instance");
	CONFORM_THAT(
		store_has_seen(c, id, conform_name(c, "e1")), "housekeeping lost an event");
}

static const struct conform_test tests[] = {
	{CONFORM_PROMISE("store.migrate.check", migrate_first,
		 "CHECK tells whether APPLY has to act; until then no session opens"),
		.raw = true},
	{CONFORM_PROMISE("store.migrate.repeat", migrate_repeat,
		"migrating again changes nothing and reports the version in force")},
	{CONFORM_PROMISE("store.migrate.concurrent", migrate_at_once,
		"several processes may migrate at once")},
	{CONFORM_PROMISE("store.open.exclusive", open_exclusive,
		 "a second orchestrator is refused with the holder's pid, until that is dead"),
		.without = SWM_STORE_SHARED},
	{CONFORM_PROMISE("store.open.exclusive-here", open_exclusive_here,
		 "a second orchestrator is refused within one process too, until the close"),
		.without = SWM_STORE_SHARED, .raw = true},
	{CONFORM_PROMISE("store.open.not-inherited", open_not_inherited,
		 "a child process does not keep the store of the parent that closed it"),
		.without = SWM_STORE_SHARED, .raw = true},
	{CONFORM_PROMISE("store.open.shared", open_shared,
		 "a shared store takes several orchestrators"),
		.needs = SWM_STORE_SHARED},
	{CONFORM_PROMISE("store.close.null", close_null, "closing NULL is allowed")},
	{CONFORM_PROMISE("store.session.many", many_sessions,
		"a store has many sessions, each sees what was committed before by any")},
	{CONFORM_PROMISE("store.failure.report", failure_text,
		"on failure outputs are untouched and err, if given, says why in a line")},
	{CONFORM_PROMISE("store.maintain", maintain_keeps,
		 "housekeeping comes to an end and loses nothing"),
		CONFORM_MEMBER(struct swm_store_ops, maintain)},
};

const struct conform_group conform_store_life = CONFORM_GROUP(tests);
