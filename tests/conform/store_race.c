/* SPDX-License-Identifier: MIT */

/*
 * Sessions that want the same thing at the same time, in threads and in
 * processes: one version has one winner, an event is applied once, a row has one
 * claimer.
 *
 * Concurrency. Each thread has a session of its own, opened and closed by it,
 * and writes to its own struct racer; the test reads these after the join.
 */

#include "store_kit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RACERS 3
#define EVENTS 40
#define ROWS 120
#define ROUNDS 150

/* Longer than the race, yet no nuisance to others whose rows it takes along. */
#define CLAIM_LEASE_MS 60000

struct racer {
	pthread_t thread;
	bool started;
	const struct swm_store_ops *ops;
	struct swm_store *store;
	struct swm_str id; /* of the instance, or the prefix of rows */
	int number;
	int64_t won;
	int32_t claimed[ROWS]; /* how often this racer was given each row */
	int64_t until_ms;      /* an adapter that is wrong could make a race endless */
	swm_status status;
	struct swm_error err;
};

static bool is_late(struct racer *r)
{
	if (conform_now_ms() < r->until_ms) {
		return false;
	}
	r->err = (struct swm_error){.status = SWM_E_TIMEOUT, .message = "the race has no end"};
	return true;
}

/* Steps the instance from round to round; who is late takes part in the next. */
static swm_status race_rounds(struct racer *r, struct swm_session *session)
{
	int64_t version = 0;
	while (version < ROUNDS) {
		if (is_late(r)) {
			return SWM_E_TIMEOUT;
		}
		version = store_version(
			r->ops, session, r->id, (struct swm_str){NULL, 0}, NULL, &r->err);
		if (version < 0) {
			return r->err.status;
		}
		if (version >= ROUNDS) {
			break;
		}
		struct store_step step;
		store_step_init(&step, r->id, version);
		swm_status status = store_commit(r->ops, session, CONFORM_STR("racer"), 1000,
			&step, 1, NULL, 0, &r->err);
		if (status == SWM_OK) {
			r->won++;
		} else if (status != SWM_E_CONFLICT && status != SWM_E_THROTTLED) {
			return status;
		}
	}
	return SWM_OK;
}

/* Applies each of the events unless the log has it, as the engine does. */
static swm_status race_events(struct racer *r, struct swm_session *session)
{
	for (int i = 0; i < EVENTS;) {
		if (is_late(r)) {
			return SWM_E_TIMEOUT;
		}
		char name[24];
		int len = snprintf(name, sizeof(name), "event-%d", i);
		struct swm_str event = {name, (size_t)len};
		bool seen = false;
		int64_t version = store_version(r->ops, session, r->id, event, &seen, &r->err);
		if (version < 0) {
			return r->err.status;
		}
		if (seen) {
			i++;
			continue;
		}
		struct store_step step;
		store_step_init(&step, r->id, version);
		store_step_event(&step, event);
		swm_status status = store_commit(r->ops, session, CONFORM_STR("racer"), 1000,
			&step, 1, NULL, 0, &r->err);
		if (status != SWM_OK && status != SWM_E_CONFLICT && status != SWM_E_THROTTLED) {
			return status;
		}
		r->won += status == SWM_OK ? 1 : 0;
	}
	return SWM_OK;
}

static void count_rows(struct racer *r, const struct swm_set *set)
{
	const struct swm_outbox_row *rows = set->items;
	for (size_t i = 0; i < set->count; i++) {
		if (rows[i].id.len <= r->id.len ||
			memcmp(rows[i].id.ptr, r->id.ptr, r->id.len) != 0) {
			continue;
		}
		char number[16] = "";
		size_t len = rows[i].id.len - r->id.len;
		memcpy(number, rows[i].id.ptr + r->id.len, len < 15 ? len : 15);
		long row = strtol(number, NULL, 10);
		if (row >= 0 && row < ROWS) {
			r->claimed[row]++;
			r->won++;
		}
	}
}

static swm_status race_claims(struct racer *r, struct swm_session *session)
{
	char owner[24];
	int len = snprintf(owner, sizeof(owner), "claimer-%d", r->number);
	/* Twice as many as there are: somebody has been given what another has. */
	while (r->won <= (int64_t)2 * ROWS) {
		struct swm_set set = {0};
		int64_t next_ms = 0;
		if (is_late(r)) {
			return SWM_E_TIMEOUT;
		}
		swm_status status =
			r->ops->outbox_claim(session, (struct swm_str){owner, (size_t)len},
				CLAIM_LEASE_MS, 3, &set, &next_ms, &r->err);
		if (status == SWM_E_THROTTLED) {
			continue;
		}
		if (status != SWM_OK) {
			return status;
		}
		size_t came = set.count;
		count_rows(r, &set);
		if (set.release != NULL) {
			set.release(&set);
		}
		if (came == 0) {
			break;
		}
	}
	return SWM_OK;
}

static void race(struct racer *r, swm_status (*run)(struct racer *, struct swm_session *))
{
	struct swm_session *session = NULL;
	r->status = r->ops->session_open(r->store, &session, &r->err);
	if (r->status == SWM_OK) {
		r->status = run(r, session);
	}
	r->ops->session_close(session);
}

static void *rounds_thread(void *arg)
{
	race(arg, race_rounds);
	return NULL;
}

static void *events_thread(void *arg)
{
	race(arg, race_events);
	return NULL;
}

static void *claims_thread(void *arg)
{
	race(arg, race_claims);
	return NULL;
}

/* Runs the thread function in all racers and adds up what they won. */
static int64_t run_racers(struct conform_case *c, struct racer *racers, struct swm_str id,
	void *(*thread)(void *))
{
	for (int i = 0; i < RACERS; i++) {
		racers[i].ops = c->ops;
		racers[i].store = c->store;
		racers[i].id = id;
		racers[i].number = i;
		racers[i].until_ms = conform_now_ms() + CONFORM_PATIENCE_MS;
		racers[i].started =
			pthread_create(&racers[i].thread, NULL, thread, &racers[i]) == 0;
	}
	int64_t won = 0;
	for (int i = 0; i < RACERS; i++) {
		if (racers[i].started) {
			(void)pthread_join(racers[i].thread, NULL);
		}
	}
	for (int i = 0; i < RACERS; i++) {
		CONFORM_THAT(racers[i].started, "cannot start a thread");
		CONFORM_THAT(racers[i].status == SWM_OK, "racer %d ends with %s: %s", i,
			conform_status_name(racers[i].status), racers[i].err.message);
		won += racers[i].won;
	}
	return won;
}

static void one_winner(struct conform_case *c)
{
	struct racer *racers = conform_alloc(c, RACERS, sizeof(*racers));
	struct swm_str id = conform_name(c, "raced");
	int64_t won = run_racers(c, racers, id, rounds_thread);
	CONFORM_THAT(
		won == ROUNDS, "%lld commits succeeded on %d versions", (long long)won, ROUNDS);
	const struct swm_instance_row *row = store_get(c, c->session, id);
	CONFORM_THAT(
		row != NULL && row->version == ROUNDS, "a version was won and is not there");
}

static void applied_once(struct conform_case *c)
{
	struct racer *racers = conform_alloc(c, RACERS, sizeof(*racers));
	struct swm_str id = conform_name(c, "raced");
	int64_t won = run_racers(c, racers, id, events_thread);
	CONFORM_THAT(won == EVENTS, "%lld commits applied %d events", (long long)won, EVENTS);
	struct swm_event_row rows[EVENTS + 1];
	size_t count = store_events(c, id, rows, EVENTS + 1, 100);
	CONFORM_THAT(count == EVENTS, "%zu records of %d events", count, EVENTS);
}

static void put_rows(struct conform_case *c)
{
	struct swm_outbox_row *rows = conform_alloc(c, ROWS, sizeof(*rows));
	for (int i = 0; i < ROWS; i++) {
		rows[i] = store_row(conform_name(c, "%d", i), 0);
	}
	CONFORM_OK(c, c->ops->outbox_put(c->session, rows, ROWS, &c->err));
}

static void one_claimer(struct conform_case *c)
{
	struct racer *racers = conform_alloc(c, RACERS, sizeof(*racers));
	put_rows(c);
	(void)run_racers(c, racers, conform_str(c->prefix), claims_thread);
	for (int i = 0; i < ROWS; i++) {
		int32_t times = 0;
		for (int j = 0; j < RACERS; j++) {
			times += racers[j].claimed[i];
		}
		CONFORM_THAT(times == 1, "row %d was given out %d times", i, times);
	}
}

static void start_together(
	struct conform_case *c, struct conform_child **children, const char *const *args)
{
	for (int i = 0; i < RACERS; i++) {
		children[i] = conform_spawn(c, args);
		conform_child_expect(children[i], "ready");
	}
	for (int i = 0; i < RACERS; i++) {
		conform_child_tell(children[i], "go");
	}
}

static void one_winner_of_processes(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "raced");
	struct conform_child *children[RACERS];
	start_together(c, children, (const char *const[]){"store-race", id.ptr, NULL});
	long long won = 0;
	for (int i = 0; i < RACERS; i++) {
		won += strtoll(conform_child_line(children[i]), NULL, 10);
		conform_child_join(children[i]);
	}
	CONFORM_THAT(won == ROUNDS, "%lld commits succeeded on %d versions", won, ROUNDS);
	const struct swm_instance_row *row = store_get(c, c->session, id);
	CONFORM_THAT(
		row != NULL && row->version == ROUNDS, "a version was won and is not there");
}

static void one_claimer_of_processes(struct conform_case *c)
{
	put_rows(c);
	struct conform_child *children[RACERS];
	start_together(c, children, (const char *const[]){"store-claim", c->prefix, NULL});
	int32_t times[ROWS] = {0};
	for (int i = 0; i < RACERS; i++) {
		const char *line;
		while (strcmp(line = conform_child_line(children[i]), "end") != 0) {
			long row = strtol(line, NULL, 10);
			CONFORM_THAT(row >= 0 && row < ROWS, "a helper says %s", line);
			times[row]++;
		}
		conform_child_join(children[i]);
	}
	for (int i = 0; i < ROWS; i++) {
		CONFORM_THAT(times[i] == 1, "row %d was given out %d times", i, times[i]);
	}
}

static void seen_by_processes(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "told");
	struct conform_child *child =
		conform_spawn(c, (const char *const[]){"store-read", id.ptr, NULL});
	conform_child_expect(child, "ready");
	for (int64_t version = 1; version <= 5; version++) {
		char wanted[24];
		store_apply(c, store_new_step(c, id, version - 1));
		(void)snprintf(wanted, sizeof(wanted), "%lld", (long long)version);
		conform_child_tell(child, "read");
		conform_child_expect(child, wanted);
	}
	conform_child_join(child);
}

/* --- The helpers' side --- */

static int fail_helper(const struct swm_error *err)
{
	conform_say("%s: %s", conform_status_name(err->status), err->message);
	return 1;
}

/* Opens store and session; the process's end closes them. */
static swm_status open_helper(const struct conform_kit *kit, uint32_t flags,
	struct swm_store **store, struct swm_session **session, struct swm_error *err)
{
	struct swm_open_args args = conform_open_args(kit, flags);
	swm_status status = kit->store->open(&args, store, err);
	if (status != SWM_OK || session == NULL) {
		return status;
	}
	return kit->store->session_open(*store, session, err);
}

static void close_helper(
	const struct conform_kit *kit, struct swm_store *store, struct swm_session *session)
{
	kit->store->session_close(session);
	kit->store->close(store);
}

static int helper_hold(const struct conform_kit *kit, char **args)
{
	(void)args;
	char word[16];
	struct swm_store *store = NULL;
	struct swm_error err = {0};
	if (open_helper(kit, SWM_OPEN_ORCHESTRATOR, &store, NULL, &err) != SWM_OK) {
		return fail_helper(&err);
	}
	conform_say("held");
	(void)conform_heard(word, sizeof(word));
	close_helper(kit, store, NULL);
	return 0;
}

static int helper_idle(const struct conform_kit *kit, char **args)
{
	(void)kit;
	(void)args;
	char word[16];
	conform_say("ready");
	(void)conform_heard(word, sizeof(word));
	return 0;
}

static int helper_migrate(const struct conform_kit *kit, char **args)
{
	(void)args;
	char word[16];
	struct swm_store *store = NULL;
	struct swm_error err = {0};
	if (open_helper(kit, 0, &store, NULL, &err) != SWM_OK) {
		return fail_helper(&err);
	}
	conform_say("ready");
	if (conform_heard(word, sizeof(word))) {
		int32_t schema = 0;
		conform_say("%s", conform_status_name(kit->store->migrate(
					  store, SWM_MIGRATE_APPLY, &schema, &err)));
	}
	close_helper(kit, store, NULL);
	return 0;
}

static int helper_read(const struct conform_kit *kit, char **args)
{
	char word[16];
	struct swm_store *store = NULL;
	struct swm_session *session = NULL;
	struct swm_error err = {0};
	if (open_helper(kit, 0, &store, &session, &err) != SWM_OK) {
		return fail_helper(&err);
	}
	conform_say("ready");
	while (conform_heard(word, sizeof(word))) {
		int64_t version = store_version(kit->store, session, conform_str(args[0]),
			(struct swm_str){NULL, 0}, NULL, &err);
		conform_say("%lld", (long long)version);
	}
	close_helper(kit, store, session);
	return 0;
}

/* Commits until it is killed, and says each version that was reported as done. */
static int helper_commit(const struct conform_kit *kit, char **args)
{
	char word[16];
	struct swm_store *store = NULL;
	struct swm_session *session = NULL;
	struct swm_error err = {0};
	if (open_helper(kit, 0, &store, &session, &err) != SWM_OK) {
		return fail_helper(&err);
	}
	conform_say("ready");
	bool going = conform_heard(word, sizeof(word));
	for (int64_t version = 1; going; version++) {
		char name[CONFORM_NAME_MAX];
		int len = snprintf(name, sizeof(name), "%s-%lld", args[0], (long long)version);
		struct swm_str row = {name, (size_t)len};
		struct store_step step;
		store_step_init(&step, conform_str(args[0]), version - 1);
		store_step_event(&step, row);
		store_step_owe(&step, row, 0);
		if (store_commit(kit->store, session, CONFORM_STR("helper"),
			    CONFORM_LONG_LEASE_MS, &step, 1, NULL, 0, &err) != SWM_OK) {
			return fail_helper(&err);
		}
		conform_say("%lld", (long long)version);
	}
	close_helper(kit, store, session);
	return 0;
}

/* Puts a row and a template of that id, and waits to be killed. */
static int helper_put(const struct conform_kit *kit, char **args)
{
	char word[16];
	struct swm_store *store = NULL;
	struct swm_session *session = NULL;
	struct swm_error err = {0};
	struct swm_str id = conform_str(args[0]);
	struct swm_outbox_row row = store_row(id, CONFORM_LONG_LEASE_MS);
	struct swm_template_row item = {
		.id = id, .workflow = id, .component = id, .body = id, .version = 1};
	if (open_helper(kit, 0, &store, &session, &err) != SWM_OK ||
		kit->store->outbox_put(session, &row, 1, &err) != SWM_OK ||
		kit->store->template_put(session, &item, &err) != SWM_OK) {
		return fail_helper(&err);
	}
	conform_say("done");
	(void)conform_heard(word, sizeof(word));
	close_helper(kit, store, session);
	return 0;
}

static int run_helper_race(const struct conform_kit *kit, const char *id,
	swm_status (*run)(struct racer *, struct swm_session *), struct racer *r)
{
	char word[16];
	struct swm_session *session = NULL;
	r->ops = kit->store;
	r->id = conform_str(id);
	r->until_ms = conform_now_ms() + CONFORM_PATIENCE_MS;
	if (open_helper(kit, 0, &r->store, &session, &r->err) != SWM_OK) {
		return fail_helper(&r->err);
	}
	conform_say("ready");
	if (!conform_heard(word, sizeof(word)) || run(r, session) != SWM_OK) {
		return fail_helper(&r->err);
	}
	close_helper(kit, r->store, session);
	return 0;
}

static int helper_race(const struct conform_kit *kit, char **args)
{
	struct racer racer = {.won = 0};
	if (run_helper_race(kit, args[0], race_rounds, &racer) != 0) {
		return 1;
	}
	conform_say("%lld", (long long)racer.won);
	return 0;
}

static int helper_claim(const struct conform_kit *kit, char **args)
{
	struct racer racer = {.won = 0};
	if (run_helper_race(kit, args[0], race_claims, &racer) != 0) {
		return 1;
	}
	for (int i = 0; i < ROWS; i++) {
		for (int32_t times = 0; times < racer.claimed[i]; times++) {
			conform_say("%d", i);
		}
	}
	conform_say("end");
	return 0;
}

const struct conform_helper conform_store_helpers[] = {
	{"store-hold", SWM_PLUGIN_STORE, 0, helper_hold},
	{"store-idle", SWM_PLUGIN_STORE, 0, helper_idle},
	{"store-migrate", SWM_PLUGIN_STORE, 0, helper_migrate},
	{"store-read", SWM_PLUGIN_STORE, 1, helper_read},
	{"store-commit", SWM_PLUGIN_STORE, 1, helper_commit},
	{"store-put", SWM_PLUGIN_STORE, 1, helper_put},
	{"store-race", SWM_PLUGIN_STORE, 1, helper_race},
	{"store-claim", SWM_PLUGIN_STORE, 1, helper_claim},
	{NULL, 0, 0, NULL},
};

static const struct conform_test tests[] = {
	{CONFORM_PROMISE("store.race.version", one_winner,
		"of sessions that race for one version exactly one wins")},
	{CONFORM_PROMISE("store.race.version-processes", one_winner_of_processes,
		"of processes that race for one version exactly one wins")},
	{CONFORM_PROMISE("store.race.seen", applied_once,
		"who is told not seen and commits on that version is the only one")},
	{CONFORM_PROMISE("store.race.claim", one_claimer,
		"an outbox row is given to one claimer only, each row to some")},
	{CONFORM_PROMISE("store.race.claim-processes", one_claimer_of_processes,
		"claimers in several processes never share a row")},
	{CONFORM_PROMISE("store.race.visible", seen_by_processes,
		"a session reads what another process has committed before")},
};

const struct conform_group conform_store_race = CONFORM_GROUP(tests);
