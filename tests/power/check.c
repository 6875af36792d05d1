/* SPDX-License-Identifier: MIT */

/* Reading images and judging them; see check.h. */

#include "check.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAGE = 100,
	QUEUES = 3, /* q0, q1, q2 */
	BATCH = 32,
	LINES_SHOWN = 12
};

/* Longer than any lease or delay of the work. */
#define LONG_MS INT64_C(864000000)

/* One thing that was read back. */
struct found {
	enum model_kind kind;
	uint64_t hash;
	char id[24];
};

/* One image's reading of one place. */
struct reading {
	struct check *check;
	enum model_place place;
	struct found *found;
	size_t count, room;
	uint64_t sum;
	struct swm_error err;
};

const char *check_verdict_name(enum check_verdict verdict)
{
	static const char *const names[CHECK_VERDICTS] = {
		"fine", "lost", "mixed", "unsound", "refused"};

	return names[verdict];
}

__attribute__((format(printf, 2, 3))) static void say(struct check *check, const char *fmt, ...)
{
	size_t room = sizeof(check->why) - check->why_len;
	va_list args;

	va_start(args, fmt);
	int len = vsnprintf(check->why + check->why_len, room, fmt, args);
	va_end(args);
	check->why_len += (size_t)len < room ? (size_t)len : room - 1;
}

static enum check_verdict refused(struct reading *reading, const char *what, swm_status status)
{
	say(reading->check, "%s: status %d: %s\n", what, status, reading->err.message);
	return CHECK_REFUSED;
}

static void take(
	struct reading *reading, enum model_kind kind, uint64_t hash, struct swm_str id)
{
	reading->found = power_grow(
		reading->found, reading->count, &reading->room, sizeof(*reading->found));
	struct found *found = &reading->found[reading->count++];
	*found = (struct found){.kind = kind, .hash = hash};
	(void)snprintf(found->id, sizeof(found->id), "%.*s", (int)id.len, id.ptr);
	reading->sum += hash;
}

/* --- Why a state is none of those that were left open --- */

static const char *kind_name(enum model_kind kind)
{
	static const char *const names[MODEL_KINDS] = {
		"schema", "template", "instance", "event", "outbox row", "queue", "message"};

	return names[kind];
}

static bool is_alive(const struct model_item *item, uint32_t op)
{
	return item->born <= op && item->died > op;
}

static bool has(const struct reading *reading, uint64_t hash)
{
	for (size_t i = 0; i < reading->count; i++) {
		if (reading->found[i].hash == hash) {
			return true;
		}
	}
	return false;
}

static const struct model_item *item_of(const struct model *model, uint64_t hash)
{
	for (size_t i = 0; i < model->item_count; i++) {
		if (model->items[i].hash == hash) {
			return &model->items[i];
		}
	}
	return NULL;
}

/* What had to be there under all circumstances and is not. */
static size_t say_lost(struct reading *reading, uint32_t low, uint32_t high)
{
	const struct model *model = reading->check->model;
	size_t lost = 0;

	for (size_t i = 0; i < model->item_count; i++) {
		const struct model_item *item = &model->items[i];

		if (model_place_of(item->kind) != reading->place || !is_alive(item, low) ||
			!is_alive(item, high) || has(reading, item->hash)) {
			continue;
		}
		if (lost++ < LINES_SHOWN) {
			say(reading->check,
				"  lost: %s %u (of %u, version %lld), reported by operation "
				"%u, %s\n",
				kind_name(item->kind), item->number, item->of,
				(long long)item->version, item->born,
				model->ops[item->born].what);
		}
	}
	return lost;
}

static void say_strange(struct reading *reading, uint32_t low, uint32_t high)
{
	const struct model *model = reading->check->model;
	size_t shown = 0;

	for (size_t i = 0; i < reading->count && shown < LINES_SHOWN; i++) {
		const struct found *found = &reading->found[i];
		const struct model_item *item = item_of(model, found->hash);

		if (!item) {
			say(reading->check, "  never written: %s %s\n", kind_name(found->kind),
				found->id);
			shown++;
		} else if (!is_alive(item, low) || !is_alive(item, high)) {
			say(reading->check,
				"  there: %s %s, brought by operation %u, %s, ended by %d\n",
				kind_name(found->kind), found->id, item->born,
				model->ops[item->born].what, (int)item->died);
			shown++;
		}
	}
}

static enum check_verdict judge(struct reading *reading)
{
	struct check *check = reading->check;
	const struct model *model = check->model;
	uint32_t low, high;

	model_bounds(model, reading->place, check->at, &low, &high);
	for (uint32_t op = high + 1; op-- > low;) {
		if (model->ops[op].sums[reading->place] == reading->sum) {
			check->ops[reading->place] = op;
			return CHECK_FINE;
		}
		if (model->ops[op].doubtful && model->ops[op].place == reading->place &&
			model->ops[op].doubt == reading->sum) {
			check->ops[reading->place] = op;
			check->doubtful = true;
			return CHECK_FINE;
		}
	}
	if (model_was_lost(model, reading->place, low, high, reading->sum)) {
		check->doubtful = true;
		return CHECK_FINE;
	}
	say(check, "%s: not a state after one of the operations %u (%s) to %u (%s)\n",
		reading->place == MODEL_STORE ? "store" : "queue", low, model->ops[low].what,
		high, model->ops[high].what);
	size_t lost = say_lost(reading, low, high);
	say_strange(reading, low, high);
	return lost > 0 ? CHECK_LOST : CHECK_MIXED;
}

/* --- Is the file sound? --- */

static enum check_verdict check_file(struct check *check, const char *file)
{
	enum check_verdict verdict = CHECK_UNSOUND;
	sqlite3_stmt *stmt = NULL;
	sqlite3 *handle = NULL;
	char path[POWER_PATH_MAX];

	power_path(path, sizeof(path), "%s/%s", check->folder, file);
	int rc = sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, NULL);
	if (rc == SQLITE_OK) {
		(void)sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		rc = sqlite3_prepare_v2(handle, "PRAGMA integrity_check", -1, &stmt, NULL);
	}
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(stmt);
	}
	if (rc != SQLITE_ROW) {
		say(check, "%s: %s\n", file, sqlite3_errmsg(handle));
	} else if (strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") != 0) {
		say(check, "%s: integrity_check: %s\n", file, sqlite3_column_text(stmt, 0));
	} else {
		verdict = CHECK_FINE;
	}
	(void)sqlite3_finalize(stmt);
	(void)sqlite3_close(handle);
	return verdict;
}

/* --- The store --- */

/* Where the next page begins, copied out of the set that goes. */
struct paging {
	struct swm_page page;
	char after[600];
};

static bool next_page(struct paging *paging, struct swm_set *set)
{
	bool more = set->next.ptr != NULL;

	if (set->next.len > sizeof(paging->after)) {
		power_die("a page token of %zu bytes", set->next.len);
	}
	if (more) {
		memcpy(paging->after, set->next.ptr, set->next.len);
		paging->page.after = (struct swm_str){paging->after, set->next.len};
	}
	if (set->release) {
		set->release(set);
	}
	*set = (struct swm_set){0};
	return more;
}

static swm_status read_templates(struct reading *reading, struct swm_session *session)
{
	struct paging paging = {.page = {.limit = PAGE}};
	struct swm_set set = {0};
	swm_status status;

	do {
		status = reading->check->rig->store->template_list(
			session, (struct swm_str){NULL, 0}, &paging.page, &set, &reading->err);
		const struct swm_template_row *rows = set.items;
		for (size_t i = 0; status == SWM_OK && i < set.count; i++) {
			take(reading, MODEL_TEMPLATE, hash_template(&rows[i]), rows[i].id);
		}
	} while (next_page(&paging, &set) && status == SWM_OK);
	return status;
}

static swm_status read_events(
	struct reading *reading, struct swm_session *session, struct swm_str instance)
{
	struct paging paging = {.page = {.limit = PAGE}};
	struct swm_set set = {0};
	swm_status status;

	do {
		status = reading->check->rig->store->event_list(
			session, instance, &paging.page, &set, &reading->err);
		const struct swm_event_row *rows = set.items;
		for (size_t i = 0; status == SWM_OK && i < set.count; i++) {
			take(reading, MODEL_EVENT, hash_event(instance, &rows[i]), rows[i].id);
		}
	} while (next_page(&paging, &set) && status == SWM_OK);
	return status;
}

static swm_status read_instances(struct reading *reading, struct swm_session *session)
{
	const struct swm_instance_filter all = {.size = sizeof(all)};
	struct paging paging = {.page = {.limit = PAGE}};
	struct swm_set set = {0};
	swm_status status;

	do {
		status = reading->check->rig->store->instance_list(
			session, &all, &paging.page, &set, &reading->err);
		const struct swm_instance_row *rows = set.items;
		for (size_t i = 0; status == SWM_OK && i < set.count; i++) {
			take(reading, MODEL_INSTANCE, hash_instance(&rows[i]), rows[i].id);
			status = read_events(reading, session, rows[i].id);
		}
	} while (next_page(&paging, &set) && status == SWM_OK);
	return status;
}

static swm_status read_outbox(struct reading *reading, struct swm_session *session)
{
	struct paging paging = {.page = {.limit = PAGE}};
	struct swm_set set = {0};
	swm_status status;

	do {
		status = reading->check->rig->store->outbox_list(
			session, false, &paging.page, &set, &reading->err);
		const struct swm_outbox_row *rows = set.items;
		for (size_t i = 0; status == SWM_OK && i < set.count; i++) {
			const struct model_item item = {
				.fixed = hash_row_fixed(&rows[i]),
				.created_ms = rows[i].created_ms,
				.due_ms = rows[i].due_ms,
				.lease_until_ms = rows[i].lease_until_ms,
				.claims = rows[i].claims,
				.state = rows[i].state,
				.reason = rows[i].reason.ptr ? hash_str(rows[i].reason) : 0,
			};
			take(reading, MODEL_ROW, hash_row(&item), rows[i].id);
		}
	} while (next_page(&paging, &set) && status == SWM_OK);
	return status;
}

/* Work goes on: a new instance. */
static swm_status commit_more(struct reading *reading, struct swm_session *session)
{
	struct swm_commit item = {
		.next = {.id = {"more", 4},
			.body = {"body", 4},
			.version = 1,
			.sequence = 1,
			.created_ms = 1,
			.updated_ms = 1,
			.status = 1},
	};
	const struct swm_event_row event = {.id = {"more", 4}, .sequence = 1};

	item.events = &event;
	item.event_count = 1;
	return reading->check->rig->store->commit(
		session, (struct swm_str){"more", 4}, 1000, &item, 1, NULL, 0, &reading->err);
}

static enum check_verdict read_session(struct reading *reading, struct swm_store *store)
{
	const struct swm_store_ops *ops = reading->check->rig->store;
	struct swm_session *session = NULL;
	enum check_verdict verdict = CHECK_FINE;
	swm_status status = ops->session_open(store, &session, &reading->err);

	if (status == SWM_OK) {
		status = read_templates(reading, session);
	}
	if (status == SWM_OK) {
		status = read_instances(reading, session);
	}
	if (status == SWM_OK) {
		status = read_outbox(reading, session);
	}
	if (status == SWM_OK) {
		verdict = judge(reading);
	}
	if (status == SWM_OK && verdict == CHECK_FINE && reading->check->thorough) {
		status = commit_more(reading, session);
	}
	ops->session_close(session);
	return status == SWM_OK ? verdict : refused(reading, "store", status);
}

static enum check_verdict read_store(struct reading *reading, struct swm_store *store)
{
	const struct swm_store_ops *ops = reading->check->rig->store;
	int32_t version;
	swm_status status = ops->migrate(store, SWM_MIGRATE_CHECK, &version, &reading->err);

	if (status == SWM_OK) {
		take(reading, MODEL_SCHEMA, hash_schema(), (struct swm_str){"", 0});
	} else if (status == SWM_E_CONFIG) {
		status = ops->migrate(store, SWM_MIGRATE_APPLY, &version, &reading->err);
	}
	if (status != SWM_OK) {
		return refused(reading, "migrate", status);
	}
	return read_session(reading, store);
}

static enum check_verdict check_store(struct reading *reading)
{
	struct check *check = reading->check;
	struct rig_store opened;
	/* What is in PATH-orchestrator must not keep it out. */
	swm_status status = rig_store_open(check->rig, check->folder,
		check->thorough ? SWM_OPEN_ORCHESTRATOR : 0, &opened, &reading->err);

	if (status != SWM_OK) {
		return refused(reading, "store open", status);
	}
	enum check_verdict verdict = read_store(reading, opened.store);
	enum check_verdict sound = check_file(check, "store/store.db");
	rig_store_close(check->rig, &opened);
	return sound == CHECK_FINE ? verdict : sound;
}

/* --- The queue --- */

static struct swm_str queue_name(uint32_t queue)
{
	static const char *const names[QUEUES] = {"q0", "q1", "q2"};

	return (struct swm_str){names[queue], 2};
}

/* Which queues there are, and how many messages they say they have. */
static swm_status read_depths(
	struct reading *reading, struct swm_queue *queue, int64_t depths[QUEUES])
{
	for (uint32_t i = 0; i < QUEUES; i++) {
		struct swm_str name = queue_name(i);
		swm_status status = reading->check->rig->queue->depth(
			queue, name, &depths[i], &reading->err);

		if (status == SWM_OK) {
			take(reading, MODEL_NAME, hash_name(name), name);
		} else if (status != SWM_E_NOT_FOUND) {
			return status;
		}
	}
	return SWM_OK;
}

static void take_message(
	struct reading *reading, const struct swm_delivery *delivery, int64_t depths[QUEUES])
{
	uint64_t fixed = hash_message_fixed(delivery->source, delivery->id, delivery->key,
		delivery->body, delivery->headers, delivery->header_count);

	take(reading, MODEL_MESSAGE, hash_message(fixed, delivery->attempt), delivery->id);
	if (delivery->source.len == 2 && delivery->source.ptr[1] - '0' < QUEUES) {
		depths[delivery->source.ptr[1] - '0']--;
	}
}

/* Takes all that is there; *status becomes why it ended. */
static void drain(struct reading *reading, struct swm_consumer *consumer,
	int64_t depths[QUEUES], swm_status *status)
{
	const struct swm_queue_ops *ops = reading->check->rig->queue;
	struct swm_delivery deliveries[BATCH];
	struct swm_settlement acks[BATCH];
	size_t count;

	for (*status = SWM_OK; *status == SWM_OK;) {
		*status = ops->consumer_receive(
			consumer, 0, deliveries, BATCH, &count, &reading->err);
		for (size_t i = 0; *status == SWM_OK && i < count; i++) {
			take_message(reading, &deliveries[i], depths);
			acks[i] = (struct swm_settlement){
				.token = deliveries[i].token, .action = SWM_ACK};
		}
		if (*status == SWM_OK) {
			*status = ops->consumer_settle(consumer, acks, count, &reading->err);
		}
	}
}

/* Work goes on: one message more. */
static swm_status publish_more(
	struct reading *reading, struct swm_queue *queue, struct swm_consumer *consumer)
{
	const struct swm_queue_ops *ops = reading->check->rig->queue;
	const struct swm_message message = {
		.destination = queue_name(0), .id = {"more", 4}, .body = {"body", 4}};
	struct swm_publisher *publisher = NULL;
	struct swm_delivery delivery;
	swm_status result;
	size_t count;
	swm_status status = ops->publisher_open(queue, &publisher, &reading->err);

	if (status == SWM_OK) {
		status = ops->publisher_publish(
			publisher, &message, 1, 1000, &result, &reading->err);
	}
	if (status == SWM_OK) {
		status =
			ops->consumer_receive(consumer, 0, &delivery, 1, &count, &reading->err);
	}
	ops->publisher_close(publisher);
	return status;
}

static enum check_verdict read_queue(struct reading *reading, struct swm_queue *queue)
{
	const struct swm_queue_ops *ops = reading->check->rig->queue;
	const struct swm_str sources[QUEUES] = {queue_name(0), queue_name(1), queue_name(2)};
	struct swm_consumer *consumer = NULL;
	enum check_verdict verdict = CHECK_FINE;
	int64_t depths[QUEUES] = {0};
	swm_status status = read_depths(reading, queue, depths);

	if (status == SWM_OK) {
		status = ops->consumer_open(
			queue, sources, QUEUES, BATCH, &consumer, &reading->err);
	}
	if (status == SWM_OK) {
		drain(reading, consumer, depths, &status);
		status = status == SWM_E_TIMEOUT ? SWM_OK : status;
	}
	if (status == SWM_OK) {
		verdict = judge(reading);
	}
	for (uint32_t i = 0; i < QUEUES && status == SWM_OK && verdict == CHECK_FINE; i++) {
		if (depths[i] != 0) {
			say(reading->check, "queue q%u: its depth is off by %lld\n", i,
				(long long)depths[i]);
			verdict = CHECK_MIXED;
		}
	}
	if (status == SWM_OK && verdict == CHECK_FINE && reading->check->thorough) {
		status = publish_more(reading, queue, consumer);
	}
	ops->consumer_close(consumer);
	return status == SWM_OK ? verdict : refused(reading, "queue", status);
}

static enum check_verdict check_queue(struct reading *reading)
{
	struct check *check = reading->check;
	struct rig_queue opened;
	swm_status status = rig_queue_open(check->rig, check->folder, &opened, &reading->err);

	if (status != SWM_OK) {
		return refused(reading, "queue open", status);
	}
	enum check_verdict verdict = read_queue(reading, opened.queue);
	enum check_verdict sound = check_file(check, "queue/queue.db");
	rig_queue_close(check->rig, &opened);
	return sound == CHECK_FINE ? verdict : sound;
}

enum check_verdict check_image(struct check *check)
{
	struct reading store = {.check = check, .place = MODEL_STORE};
	struct reading queue = {.check = check, .place = MODEL_QUEUE};
	int64_t now_ms = check->rig->now_ms;

	check->why_len = 0;
	check->why[0] = '\0';
	enum check_verdict verdict = check_store(&store);
	/* All leases are over, and whatever was put off is due. */
	check->rig->now_ms += LONG_MS;
	enum check_verdict other = check_queue(&queue);
	check->rig->now_ms = now_ms;
	free(store.found);
	free(queue.found);
	return verdict != CHECK_FINE ? verdict : other;
}
