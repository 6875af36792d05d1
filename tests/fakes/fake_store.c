/* SPDX-License-Identifier: MIT */

/*
 * See fake_store.h. Rows are copied in and out, each copy in one block of memory, so
 * that a pointer kept too long is a use after free that the sanitizer sees.
 */

#include "fake_store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_memory.h"

#define FAULTS_MAX 32

struct event {
	struct swm_event_row row;
	char *bytes;
};

struct instance {
	struct instance *next;
	struct swm_instance_row row;
	char *bytes;
	struct event *events;
	size_t event_count;
	size_t event_cap;
};

struct outbox {
	struct outbox *next; /* the oldest first */
	struct swm_outbox_row row;
	char *bytes;
	struct swm_header *headers;
	char owner[65];
};

struct template_entry {
	struct template_entry *next; /* the newest first */
	struct swm_template_row row;
	char *bytes;
};

struct swm_store {
	const struct swm_env *env;
	struct swm_env_mutex *mutex;
	struct instance *instances;
	struct outbox *outbox;
	struct template_entry *templates;
	struct fake_store_fault faults[FAULTS_MAX];
	size_t fault_count;
	unsigned calls[FAKE_STORE_OPS];
	void (*before_commit)(void *ctx);
	void *before_commit_ctx;
	size_t item_max;
	unsigned sessions;
};

struct swm_session {
	struct swm_store *store;
	bool broken;
};

static int64_t now_of(const struct swm_store *store)
{
	return swm_env_wall_ms(store->env);
}

static bool equal(struct swm_str a, struct swm_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Copies strings into one block, which the caller frees: first measures, then moves. */
static char *pack(struct swm_str **strings, size_t count)
{
	size_t total = 1;
	for (size_t i = 0; i < count; i++) {
		total += strings[i]->len;
	}
	char *bytes = malloc(total);
	assert(bytes);
	char *at = bytes;
	for (size_t i = 0; i < count; i++) {
		if (strings[i]->ptr) {
			if (strings[i]->len > 0) {
				memcpy(at, strings[i]->ptr, strings[i]->len);
			}
			strings[i]->ptr = at;
			at += strings[i]->len;
		}
	}
	return bytes;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char *pack_instance(struct swm_instance_row *row)
{
	struct swm_str *strings[] = {&row->id, &row->workflow, &row->component,
		&row->business_ref, &row->template_id, &row->stage, &row->business_status,
		&row->body};
	return pack(strings, COUNT(strings));
}

static char *pack_event(struct swm_event_row *row)
{
	struct swm_str *strings[] = {&row->id, &row->source_id, &row->name, &row->stage,
		&row->task, &row->reason, &row->actor, &row->body};
	return pack(strings, COUNT(strings));
}

static char *pack_template(struct swm_template_row *row)
{
	struct swm_str *strings[] = {&row->id, &row->workflow, &row->component, &row->body,
		&row->author, &row->comment, &row->sha256};
	return pack(strings, COUNT(strings));
}

static char *pack_outbox(struct swm_outbox_row *row, struct swm_header **headers)
{
	struct swm_str *strings[6 + 64];
	size_t count = 0;
	strings[count++] = &row->id;
	strings[count++] = &row->instance_id;
	strings[count++] = &row->destination;
	strings[count++] = &row->key;
	strings[count++] = &row->body;
	strings[count++] = &row->reason;
	assert(row->header_count <= 32);
	*headers = calloc(row->header_count + 1, sizeof(**headers));
	assert(*headers);
	for (size_t i = 0; i < row->header_count; i++) {
		(*headers)[i] = row->headers[i];
		strings[count++] = &(*headers)[i].name;
		strings[count++] = &(*headers)[i].value;
	}
	row->headers = *headers;
	return pack(strings, count);
}

struct swm_store *fake_store_create(const struct swm_env *env)
{
	struct swm_store *store = calloc(1, sizeof(*store));
	assert(store);
	store->env = env;
	store->item_max = SIZE_MAX;
	swm_status status = env->mutex_create(env->ctx, &store->mutex, NULL);
	assert(status == SWM_OK);
	(void)status;
	return store;
}

static void free_outbox(struct outbox *row)
{
	free(row->bytes);
	free(row->headers);
	free(row);
}

static void store_close(struct swm_store *store)
{
	if (!store) {
		return;
	}
	assert(store->sessions == 0);
	while (store->instances) {
		struct instance *instance = store->instances;
		store->instances = instance->next;
		for (size_t i = 0; i < instance->event_count; i++) {
			free(instance->events[i].bytes);
		}
		free(instance->events);
		free(instance->bytes);
		free(instance);
	}
	while (store->outbox) {
		struct outbox *row = store->outbox;
		store->outbox = row->next;
		free_outbox(row);
	}
	while (store->templates) {
		struct template_entry *entry = store->templates;
		store->templates = entry->next;
		free(entry->bytes);
		free(entry);
	}
	store->env->mutex_destroy(store->env->ctx, store->mutex);
	free(store);
}

/* Faults. */

void fake_store_inject(struct swm_store *store, const struct fake_store_fault *fault)
{
	swm_env_lock(store->env, store->mutex);
	assert(store->fault_count < FAULTS_MAX);
	struct fake_store_fault *added = &store->faults[store->fault_count];
	*added = *fault;
	added->after += store->calls[fault->op];
	store->fault_count++;
	swm_env_unlock(store->env, store->mutex);
}

void fake_store_heal(struct swm_store *store)
{
	swm_env_lock(store->env, store->mutex);
	store->fault_count = 0;
	swm_env_unlock(store->env, store->mutex);
}

/* With the mutex: counts the call; the fault that it meets, status SWM_OK: none. */
static struct fake_store_fault meet(struct swm_store *store, enum fake_store_op op)
{
	unsigned call = ++store->calls[op];
	for (size_t i = 0; i < store->fault_count; i++) {
		const struct fake_store_fault *fault = &store->faults[i];
		if (fault->op == op && call >= fault->after &&
			call < fault->after + fault->times) {
			return *fault;
		}
	}
	return (struct fake_store_fault){.status = SWM_OK};
}

static swm_status fail(struct swm_session *session, swm_status status, struct swm_error *err)
{
	if (session && status == SWM_E_UNAVAILABLE) {
		session->broken = true;
	}
	if (err) {
		err->status = status;
		(void)snprintf(
			err->message, sizeof(err->message), "injected failure %d", status);
	}
	return status;
}

void fake_store_before_commit(struct swm_store *store, void (*hook)(void *ctx), void *ctx)
{
	store->before_commit = hook;
	store->before_commit_ctx = ctx;
}

void fake_store_set_item_max(struct swm_store *store, size_t bytes)
{
	store->item_max = bytes;
}

unsigned fake_store_calls(struct swm_store *store, enum fake_store_op op)
{
	swm_env_lock(store->env, store->mutex);
	unsigned calls = store->calls[op];
	swm_env_unlock(store->env, store->mutex);
	return calls;
}

/* Sessions. */

static swm_status session_open(
	struct swm_store *store, struct swm_session **out, struct swm_error *err)
{
	swm_env_lock(store->env, store->mutex);
	swm_status status = meet(store, FAKE_SESSION_OPEN).status;
	store->sessions += status == SWM_OK;
	swm_env_unlock(store->env, store->mutex);
	if (status != SWM_OK) {
		return fail(NULL, status, err);
	}
	*out = calloc(1, sizeof(**out));
	assert(*out);
	(*out)->store = store;
	return SWM_OK;
}

static void session_close(struct swm_session *session)
{
	if (session) {
		swm_env_lock(session->store->env, session->store->mutex);
		session->store->sessions--;
		swm_env_unlock(session->store->env, session->store->mutex);
		free(session);
	}
}

/* Begins a call: locks, counts. SWM_OK: go on. */
static swm_status enter(struct swm_session *session, enum fake_store_op op,
	struct fake_store_fault *fault, struct swm_error *err)
{
	assert(session && !session->broken);
	swm_env_lock(session->store->env, session->store->mutex);
	*fault = meet(session->store, op);
	if (fault->status != SWM_OK && !fault->applied) {
		swm_env_unlock(session->store->env, session->store->mutex);
		return fail(session, fault->status, err);
	}
	return SWM_OK;
}

static swm_status leave(struct swm_session *session, const struct fake_store_fault *fault,
	struct swm_error *err)
{
	swm_env_unlock(session->store->env, session->store->mutex);
	return fault->status == SWM_OK ? SWM_OK : fail(session, fault->status, err);
}

/* Sets: rows and what they point to, freed together. */

struct owned_set {
	char **blocks;
	size_t block_count;
	void *items;
	char next[32];
};

static void release_set(struct swm_set *set)
{
	struct owned_set *owned = set->owner;
	for (size_t i = 0; i < owned->block_count; i++) {
		free(owned->blocks[i]);
	}
	free(owned->blocks);
	free(owned->items);
	free(owned);
	*set = (struct swm_set){0};
}

static struct owned_set *begin_set(size_t max, size_t item_size)
{
	struct owned_set *owned = calloc(1, sizeof(*owned));
	assert(owned);
	owned->blocks = calloc(max * 2 + 1, sizeof(char *));
	owned->items = calloc(max + 1, item_size);
	assert(owned->blocks && owned->items);
	return owned;
}

static void end_set(struct owned_set *owned, size_t count, struct swm_set *out)
{
	*out = (struct swm_set){
		.items = owned->items,
		.count = count,
		.owner = owned,
		.release = release_set,
	};
}

/* Pages go by position. */
static size_t page_start(const struct swm_page *page)
{
	char text[32] = {0};
	if (page->after.ptr) {
		memcpy(text, page->after.ptr, page->after.len);
	}
	return (size_t)strtoul(text, NULL, 10);
}

static void page_end(struct owned_set *owned, struct swm_set *out, size_t next, bool more)
{
	if (more) {
		int len = snprintf(owned->next, sizeof(owned->next), "%zu", next);
		out->next = (struct swm_str){owned->next, (size_t)len};
	}
}

/* The hot path. */

static struct instance *find_instance(const struct swm_store *store, struct swm_str id)
{
	struct instance *instance = store->instances;
	while (instance && !equal(instance->row.id, id)) {
		instance = instance->next;
	}
	return instance;
}

static bool has_event(const struct instance *instance, struct swm_str id)
{
	for (size_t i = 0; i < instance->event_count; i++) {
		if (equal(instance->events[i].row.id, id)) {
			return true;
		}
	}
	return false;
}

static swm_status load(struct swm_session *session, struct swm_load *items, size_t count,
	struct swm_set *backing, struct swm_error *err)
{
	struct fake_store_fault fault;
	swm_status status = enter(session, FAKE_LOAD, &fault, err);
	if (status != SWM_OK) {
		return status;
	}
	struct owned_set *owned = begin_set(count, sizeof(struct swm_instance_row));
	struct swm_instance_row *rows = owned->items;
	for (size_t i = 0; i < count; i++) {
		const struct instance *instance = find_instance(session->store, items[i].id);
		items[i].instance = NULL;
		for (size_t j = 0; j < items[i].event_count; j++) {
			items[i].seen[j] =
				instance && has_event(instance, items[i].event_ids[j]);
		}
		if (instance) {
			rows[i] = instance->row;
			if (instance->row.version == items[i].have_version) {
				rows[i].body = (struct swm_str){0};
			}
			owned->blocks[owned->block_count++] = pack_instance(&rows[i]);
			items[i].instance = &rows[i];
		}
	}
	end_set(owned, count, backing);
	return leave(session, &fault, err);
}

static void add_outbox(struct swm_store *store, const struct swm_outbox_row *row,
	struct swm_str owner, int64_t lease_ms)
{
	struct outbox *added = calloc(1, sizeof(*added));
	assert(added && row->id.len > 0 && row->id.len <= 64 && row->destination.len > 0);
	added->row = *row;
	added->bytes = pack_outbox(&added->row, &added->headers);
	added->row.created_ms = now_of(store);
	added->row.due_ms = now_of(store) + row->delay_ms;
	if (row->delay_ms == 0 && owner.ptr) {
		added->row.lease_until_ms = now_of(store) + lease_ms;
		memcpy(added->owner, owner.ptr, owner.len);
	}
	struct outbox **at = &store->outbox;
	while (*at) {
		assert(!equal((*at)->row.id, row->id));
		at = &(*at)->next;
	}
	*at = added;
}

static struct outbox **find_outbox(struct swm_store *store, struct swm_str id)
{
	struct outbox **at = &store->outbox;
	while (*at && !equal((*at)->row.id, id)) {
		at = &(*at)->next;
	}
	return at;
}

static void drop_outbox(struct outbox **at)
{
	struct outbox *row = *at;
	*at = row->next;
	free_outbox(row);
}

static void settle_mark(
	struct swm_store *store, const struct swm_outbox_mark *mark, struct swm_str owner)
{
	struct outbox **at = find_outbox(store, mark->id);
	if (!*at) {
		return;
	}
	struct outbox *row = *at;
	assert(equal(row->row.instance_id, mark->instance_id));
	if (mark->action == SWM_MARK_SENT) {
		drop_outbox(at);
		return;
	}
	if (strlen(row->owner) != owner.len || memcmp(row->owner, owner.ptr, owner.len) != 0 ||
		row->row.lease_until_ms <= now_of(store)) {
		return;
	}
	row->owner[0] = '\0';
	row->row.lease_until_ms = 0;
	if (mark->action == SWM_MARK_RETRY) {
		row->row.due_ms = now_of(store) + mark->delay_ms;
	} else {
		row->row.state = SWM_OUTBOX_DEAD;
	}
}

static size_t item_bytes(const struct swm_commit *item)
{
	size_t bytes = item->next.body.len;
	for (size_t i = 0; i < item->event_count; i++) {
		bytes += item->events[i].body.len;
	}
	return bytes;
}

static void check_item(const struct swm_commit *item)
{
	assert(item->event_count > 0);
	assert(item->next.version == item->expected_version + 1);
	assert(item->next.status >= 1 && item->next.status <= 31);
	for (size_t i = 0; i < item->event_count; i++) {
		assert(item->events[i].sequence ==
			item->next.sequence - (int64_t)(item->event_count - 1 - i));
	}
}

static void apply_item(struct swm_store *store, const struct swm_commit *item,
	struct swm_str owner, int64_t lease_ms)
{
	struct instance *instance = find_instance(store, item->next.id);
	if (!instance) {
		instance = calloc(1, sizeof(*instance));
		assert(instance);
		instance->next = store->instances;
		store->instances = instance;
	}
	free(instance->bytes);
	instance->row = item->next;
	instance->bytes = pack_instance(&instance->row);
	for (size_t i = 0; i < item->event_count; i++) {
		assert(!has_event(instance, item->events[i].id));
		if (instance->event_count == instance->event_cap) {
			instance->event_cap = instance->event_cap * 2 + 4;
			instance->events = realloc(instance->events,
				instance->event_cap * sizeof(*instance->events));
			assert(instance->events);
		}
		struct event *event = &instance->events[instance->event_count++];
		event->row = item->events[i];
		event->bytes = pack_event(&event->row);
	}
	for (size_t i = 0; i < item->outbox_count; i++) {
		assert(equal(item->outbox[i].instance_id, item->next.id));
		add_outbox(store, &item->outbox[i], owner, lease_ms);
	}
	for (size_t i = 0; i < item->cancel_count; i++) {
		struct outbox **at = find_outbox(store, item->cancel[i]);
		if (*at) {
			drop_outbox(at);
		}
	}
}

static bool is_per_item(swm_status status)
{
	return status == SWM_E_CONFLICT || status == SWM_E_TOO_LARGE || status == SWM_E_INDOUBT;
}

static swm_status commit_item(struct swm_store *store, struct swm_commit *item,
	struct swm_str owner, int64_t lease_ms, const struct fake_store_fault *fault)
{
	const struct instance *instance = find_instance(store, item->next.id);
	int64_t version = instance ? instance->row.version : 0;
	check_item(item);
	if (is_per_item(fault->status) && !fault->applied) {
		return fault->status;
	}
	if (item_bytes(item) > store->item_max) {
		return SWM_E_TOO_LARGE;
	}
	if (version != item->expected_version) {
		return SWM_E_CONFLICT;
	}
	apply_item(store, item, owner, lease_ms);
	return is_per_item(fault->status) ? fault->status : SWM_OK;
}

static swm_status worse(swm_status a, swm_status b)
{
	static const swm_status order[] = {
		SWM_E_INDOUBT, SWM_E_TOO_LARGE, SWM_E_CONFLICT, SWM_OK};
	for (size_t i = 0; i < COUNT(order); i++) {
		if (a == order[i] || b == order[i]) {
			return order[i];
		}
	}
	return a;
}

static swm_status commit(struct swm_session *session, struct swm_str owner, int64_t lease_ms,
	struct swm_commit *items, size_t count, const struct swm_outbox_mark *marks,
	size_t mark_count, struct swm_error *err)
{
	struct swm_store *store = session->store;
	assert(!session->broken && owner.len > 0 && owner.len <= 64);
	if (store->before_commit) {
		store->before_commit(store->before_commit_ctx);
	}
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < i; j++) {
			assert(!equal(items[i].next.id, items[j].next.id));
		}
	}
	swm_env_lock(store->env, store->mutex);
	struct fake_store_fault fault = meet(store, FAKE_COMMIT);
	swm_status status = SWM_OK;
	if (fault.status != SWM_OK && !is_per_item(fault.status) && !fault.applied) {
		status = fault.status;
		goto out;
	}
	for (size_t i = 0; i < count; i++) {
		items[i].result = commit_item(store, &items[i], owner, lease_ms, &fault);
		status = worse(status, items[i].result);
	}
	if (fault.status == SWM_E_INDOUBT && count == 0) {
		status = SWM_E_INDOUBT;
	}
	if (fault.status != SWM_E_INDOUBT || fault.applied) {
		for (size_t i = 0; i < mark_count; i++) {
			settle_mark(store, &marks[i], owner);
		}
	}
	if (!is_per_item(fault.status) && fault.status != SWM_OK) {
		status = fault.status;
	}
out:
	swm_env_unlock(store->env, store->mutex);
	return status == SWM_OK ? SWM_OK : fail(session, status, err);
}

/* The outbox. */

static swm_status outbox_put(struct swm_session *session, const struct swm_outbox_row *rows,
	size_t count, struct swm_error *err)
{
	struct fake_store_fault fault;
	struct swm_store *store = session->store;
	swm_status status = enter(session, FAKE_OUTBOX_PUT, &fault, err);
	for (size_t i = 0; status == SWM_OK && i < count; i++) {
		if (rows[i].body.len > store->item_max) {
			swm_env_unlock(store->env, store->mutex);
			return fail(session, SWM_E_TOO_LARGE, err);
		}
	}
	if (status != SWM_OK) {
		return status;
	}
	for (size_t i = 0; i < count; i++) {
		assert(!rows[i].instance_id.ptr);
		if (!*find_outbox(store, rows[i].id)) {
			add_outbox(store, &rows[i], (struct swm_str){0}, 0);
		}
	}
	return leave(session, &fault, err);
}

static struct outbox *first_due(struct swm_store *store)
{
	struct outbox *first = NULL;
	for (struct outbox *at = store->outbox; at; at = at->next) {
		if (at->row.state == SWM_OUTBOX_PENDING && at->row.due_ms <= now_of(store) &&
			at->row.lease_until_ms <= now_of(store) &&
			(!first || at->row.due_ms < first->row.due_ms)) {
			first = at;
		}
	}
	return first;
}

static int64_t next_due(struct swm_store *store)
{
	int64_t next_ms = -1;
	for (const struct outbox *at = store->outbox; at; at = at->next) {
		if (at->row.state == SWM_OUTBOX_PENDING) {
			int64_t due_ms = at->row.due_ms > at->row.lease_until_ms
						 ? at->row.due_ms
						 : at->row.lease_until_ms;
			int64_t in_ms = due_ms > now_of(store) ? due_ms - now_of(store) : 0;
			next_ms = next_ms < 0 || in_ms < next_ms ? in_ms : next_ms;
		}
	}
	return next_ms;
}

static void copy_outbox(struct owned_set *owned, size_t index, const struct outbox *from)
{
	struct swm_outbox_row *rows = owned->items;
	struct swm_header *headers = NULL;
	rows[index] = from->row;
	owned->blocks[owned->block_count++] = pack_outbox(&rows[index], &headers);
	owned->blocks[owned->block_count++] = (char *)headers;
}

static swm_status outbox_claim(struct swm_session *session, struct swm_str owner,
	int64_t lease_ms, uint32_t limit, struct swm_set *rows, int64_t *next_due_ms,
	struct swm_error *err)
{
	struct fake_store_fault fault;
	struct swm_store *store = session->store;
	swm_status status = enter(session, FAKE_OUTBOX_CLAIM, &fault, err);
	if (status != SWM_OK) {
		return status;
	}
	struct owned_set *owned = begin_set(limit, sizeof(struct swm_outbox_row));
	size_t count = 0;
	for (struct outbox *row; count < limit && (row = first_due(store)) != NULL; count++) {
		row->row.claims++;
		row->row.lease_until_ms = now_of(store) + lease_ms;
		memset(row->owner, 0, sizeof(row->owner));
		memcpy(row->owner, owner.ptr, owner.len);
		copy_outbox(owned, count, row);
	}
	end_set(owned, count, rows);
	*next_due_ms = next_due(store);
	return leave(session, &fault, err);
}

static swm_status outbox_update(struct swm_session *session, const struct swm_str *ids,
	size_t count, uint32_t action, size_t *changed, struct swm_error *err)
{
	struct swm_store *store = session->store;
	(void)err;
	swm_env_lock(store->env, store->mutex);
	*changed = 0;
	for (size_t i = 0; i < count; i++) {
		struct outbox **at = find_outbox(store, ids[i]);
		if (!*at || (*at)->row.state != SWM_OUTBOX_DEAD) {
			continue;
		}
		(*changed)++;
		if (action == SWM_OUTBOX_DROP) {
			drop_outbox(at);
		} else {
			(*at)->row.state = SWM_OUTBOX_PENDING;
			(*at)->row.due_ms = now_of(store);
			(*at)->row.lease_until_ms = 0;
		}
	}
	swm_env_unlock(store->env, store->mutex);
	return SWM_OK;
}

/* Templates. */

static struct template_entry *find_template(const struct swm_store *store, struct swm_str id)
{
	struct template_entry *entry = store->templates;
	while (entry && !equal(entry->row.id, id)) {
		entry = entry->next;
	}
	return entry;
}

static swm_status template_put(
	struct swm_session *session, const struct swm_template_row *item, struct swm_error *err)
{
	struct swm_store *store = session->store;
	swm_status status = SWM_OK;
	swm_env_lock(store->env, store->mutex);
	const struct template_entry *there = find_template(store, item->id);
	if (there) {
		status = equal(there->row.body, item->body) ? SWM_OK : SWM_E_EXISTS;
	} else {
		struct template_entry *entry = calloc(1, sizeof(*entry));
		assert(entry);
		entry->row = *item;
		entry->bytes = pack_template(&entry->row);
		entry->next = store->templates;
		store->templates = entry;
	}
	swm_env_unlock(store->env, store->mutex);
	return status == SWM_OK ? SWM_OK : fail(session, status, err);
}

static void copy_template(
	struct owned_set *owned, size_t index, const struct template_entry *from)
{
	struct swm_template_row *rows = owned->items;
	rows[index] = from->row;
	owned->blocks[owned->block_count++] = pack_template(&rows[index]);
}

static swm_status template_get(struct swm_session *session, struct swm_str id,
	struct swm_set *out, struct swm_error *err)
{
	struct fake_store_fault fault;
	swm_status status = enter(session, FAKE_TEMPLATE_GET, &fault, err);
	if (status != SWM_OK) {
		return status;
	}
	const struct template_entry *entry = find_template(session->store, id);
	if (!entry) {
		swm_env_unlock(session->store->env, session->store->mutex);
		return fail(session, SWM_E_NOT_FOUND, err);
	}
	struct owned_set *owned = begin_set(1, sizeof(struct swm_template_row));
	copy_template(owned, 0, entry);
	end_set(owned, 1, out);
	return leave(session, &fault, err);
}

static swm_status template_list(struct swm_session *session, struct swm_str component,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	struct fake_store_fault fault;
	swm_status status = enter(session, FAKE_TEMPLATE_LIST, &fault, err);
	if (status != SWM_OK) {
		return status;
	}
	struct owned_set *owned = begin_set(page->limit, sizeof(struct swm_template_row));
	size_t count = 0;
	for (const struct template_entry *at = session->store->templates;
		at && count < page->limit; at = at->next) {
		if (!component.ptr || equal(at->row.component, component)) {
			copy_template(owned, count, at);
			count++;
		}
	}
	end_set(owned, count, out);
	return leave(session, &fault, err);
}

/* Listings. */

static swm_status instance_list(struct swm_session *session,
	const struct swm_instance_filter *filter, const struct swm_page *page,
	struct swm_set *out, struct swm_error *err)
{
	struct swm_store *store = session->store;
	(void)err;
	swm_env_lock(store->env, store->mutex);
	struct owned_set *owned = begin_set(page->limit, sizeof(struct swm_instance_row));
	struct swm_instance_row *rows = owned->items;
	size_t start = page_start(page);
	size_t position = 0;
	size_t count = 0;
	for (const struct instance *at = store->instances; at; at = at->next) {
		bool wanted = filter->status_mask == 0 ||
			      filter->status_mask & (UINT32_C(1) << at->row.status);
		if (wanted && position++ >= start && count < page->limit) {
			rows[count] = at->row;
			owned->blocks[owned->block_count++] = pack_instance(&rows[count]);
			count++;
		}
	}
	end_set(owned, count, out);
	page_end(owned, out, start + count, position > start + count);
	swm_env_unlock(store->env, store->mutex);
	return SWM_OK;
}

static swm_status event_list(struct swm_session *session, struct swm_str id,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	struct swm_store *store = session->store;
	(void)err;
	swm_env_lock(store->env, store->mutex);
	const struct instance *instance = find_instance(store, id);
	struct owned_set *owned = begin_set(page->limit, sizeof(struct swm_event_row));
	struct swm_event_row *rows = owned->items;
	size_t start = page_start(page);
	size_t total = instance ? instance->event_count : 0;
	size_t count = 0;
	while (start + count < total && count < page->limit) {
		rows[count] = instance->events[start + count].row;
		owned->blocks[owned->block_count++] = pack_event(&rows[count]);
		count++;
	}
	end_set(owned, count, out);
	page_end(owned, out, start + count, start + count < total);
	swm_env_unlock(store->env, store->mutex);
	return SWM_OK;
}

static swm_status outbox_list(struct swm_session *session, bool dead_only,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	struct swm_store *store = session->store;
	(void)err;
	swm_env_lock(store->env, store->mutex);
	struct owned_set *owned = begin_set(page->limit, sizeof(struct swm_outbox_row));
	size_t start = page_start(page);
	size_t position = 0;
	size_t count = 0;
	for (const struct outbox *at = store->outbox; at; at = at->next) {
		bool wanted = !dead_only || at->row.state == SWM_OUTBOX_DEAD;
		if (wanted && position++ >= start && count < page->limit) {
			copy_outbox(owned, count, at);
			count++;
		}
	}
	end_set(owned, count, out);
	page_end(owned, out, start + count, position > start + count);
	swm_env_unlock(store->env, store->mutex);
	return SWM_OK;
}

static swm_status store_open(
	const struct swm_open_args *args, struct swm_store **out, struct swm_error *err)
{
	(void)args, (void)out;
	return fail(NULL, SWM_E_UNSUPPORTED, err); /* fake_store_create() */
}

static swm_status store_migrate(
	struct swm_store *store, uint32_t mode, int32_t *schema_version, struct swm_error *err)
{
	(void)store, (void)mode, (void)err;
	*schema_version = 1;
	return SWM_OK;
}

const struct swm_store_ops fake_store_ops = {
	.size = sizeof(fake_store_ops),
	.capabilities = SWM_STORE_SHARED,
	.open = store_open,
	.close = store_close,
	.migrate = store_migrate,
	.session_open = session_open,
	.session_close = session_close,
	.load = load,
	.commit = commit,
	.outbox_put = outbox_put,
	.outbox_claim = outbox_claim,
	.outbox_update = outbox_update,
	.template_put = template_put,
	.template_get = template_get,
	.template_list = template_list,
	.instance_list = instance_list,
	.event_list = event_list,
	.outbox_list = outbox_list,
};

/* For tests. */

void fake_store_put_template(
	struct swm_store *store, const char *component, int64_t version, const char *text)
{
	char id[160];
	char *body = strdup(text);
	assert(body);
	for (char *at = body; *at; at++) {
		if (*at == '\'') {
			*at = '"';
		}
	}
	int len = snprintf(id, sizeof(id), "%s:%d", component, (int)version);
	struct swm_session session = {.store = store};
	struct swm_template_row row = {
		.id = {id, (size_t)len},
		.component = {component, strlen(component)},
		.body = {body, strlen(body)},
		.version = version,
		.created_ms = now_of(store),
	};
	swm_status status = template_put(&session, &row, NULL);
	assert(status == SWM_OK);
	(void)status;
	free(body);
}

size_t fake_store_outbox_count(struct swm_store *store, uint32_t state)
{
	size_t count = 0;
	swm_env_lock(store->env, store->mutex);
	for (const struct outbox *at = store->outbox; at; at = at->next) {
		count += at->row.state == state;
	}
	swm_env_unlock(store->env, store->mutex);
	return count;
}

const struct swm_outbox_row *fake_store_outbox(
	struct swm_store *store, uint32_t state, size_t index)
{
	const struct outbox *at = store->outbox;
	for (; at; at = at->next) {
		if (at->row.state == state && index-- == 0) {
			return &at->row;
		}
	}
	return NULL;
}
