/* SPDX-License-Identifier: MIT */

/* See addresses.h. A queue that exists is taken as it is, whatever its attributes. */

#include "addresses.h"

#include "encode.h"
#include "json.h"
#include "queue_sqs.h"
#include "status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIFO_SUFFIX ".fifo"
#define FIFO_SUFFIX_LEN (sizeof(FIFO_SUFFIX) - 1)

/* What stands behind the name of one that SQS would not allow. */
#define HASH_LEN 16

static bool ends_fifo(struct swm_str name)
{
	return name.len > FIFO_SUFFIX_LEN &&
	       memcmp(name.ptr + name.len - FIFO_SUFFIX_LEN, FIFO_SUFFIX, FIFO_SUFFIX_LEN) == 0;
}

static bool is_allowed(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

/* Replaces what is not allowed; returns whether there was any. */
static bool clean(char *text, size_t len)
{
	bool changed = false;
	size_t i;

	for (i = 0; i < len; i++) {
		if (!is_allowed(text[i])) {
			text[i] = '-';
			changed = true;
		}
	}
	return changed;
}

swm_status swm_sqs_name(const struct swm_queue *queue, struct swm_str name,
	char out[SWM_SQS_NAME_MAX + 1], struct swm_error *err)
{
	bool suffixed = ends_fifo(name);
	bool fifo = suffixed || queue->config->queue_type == SWM_SQS_FIFO;
	size_t most = SWM_SQS_NAME_MAX - (fifo ? FIFO_SUFFIX_LEN : 0);
	char hash[SWM_SQS_HASH_SIZE];
	struct swm_sqs_text text = {0};
	bool changed;

	if (name.len == 0) {
		return swm_fail(err, SWM_E_INVALID, 0, "a queue without a name");
	}
	swm_sqs_hash(name, hash);
	if (queue->config->queue_prefix != NULL) {
		swm_sqs_text_say(&text, queue->config->queue_prefix);
	}
	swm_sqs_text_add(&text, name.ptr, name.len - (suffixed ? FIFO_SUFFIX_LEN : 0));
	if (text.failed) {
		swm_sqs_text_finish(&text);
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	changed = clean(text.ptr, text.len);
	if (changed || text.len > most) {
		size_t kept = text.len < most - HASH_LEN - 1 ? text.len : most - HASH_LEN - 1;

		(void)snprintf(out, SWM_SQS_NAME_MAX + 1, "%.*s-%.*s%s", (int)kept, text.ptr,
			HASH_LEN, hash, fifo ? FIFO_SUFFIX : "");
	} else {
		(void)snprintf(
			out, SWM_SQS_NAME_MAX + 1, "%s%s", text.ptr, fifo ? FIFO_SUFFIX : "");
	}
	swm_sqs_text_finish(&text);
	return SWM_OK;
}

/* --- The book --- */

static void destroy(struct swm_sqs_address *address)
{
	if (address != NULL) {
		free(address->name);
		free(address->url);
		free(address);
	}
}

void swm_sqs_book_finish(struct swm_sqs_book *book)
{
	size_t i;

	for (i = 0; i < book->count; i++) {
		destroy(book->items[i]);
	}
	free(book->items);
	*book = (struct swm_sqs_book){0};
}

static int compare(const struct swm_sqs_address *address, struct swm_str name)
{
	size_t both = address->name_len < name.len ? address->name_len : name.len;
	int order = both == 0 ? 0 : memcmp(address->name, name.ptr, both);

	return order != 0 ? order
			  : (address->name_len > name.len) - (address->name_len < name.len);
}

/* Where it stands, or would stand. */
static size_t find_place(const struct swm_sqs_book *book, struct swm_str name)
{
	size_t from = 0;
	size_t to = book->count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (compare(book->items[middle], name) < 0) {
			from = middle + 1;
		} else {
			to = middle;
		}
	}
	return from;
}

struct swm_sqs_address *swm_sqs_book_find(const struct swm_sqs_book *book, struct swm_str name)
{
	size_t place = find_place(book, name);

	return place < book->count && compare(book->items[place], name) == 0
		       ? book->items[place]
		       : NULL;
}

void swm_sqs_book_forget(struct swm_sqs_book *book, struct swm_str name)
{
	size_t place = find_place(book, name);

	if (place < book->count && compare(book->items[place], name) == 0) {
		destroy(book->items[place]);
		book->count--;
		memmove(book->items + place, book->items + place + 1,
			(book->count - place) * sizeof(struct swm_sqs_address *));
	}
}

static bool insert(struct swm_sqs_book *book, struct swm_sqs_address *address)
{
	struct swm_str name = {address->name, address->name_len};
	size_t place = find_place(book, name);

	if (book->count == book->room) {
		size_t room = book->room == 0 ? 16 : book->room * 2;
		struct swm_sqs_address **items =
			realloc(book->items, room * sizeof(struct swm_sqs_address *));

		if (items == NULL) {
			return false;
		}
		book->items = items;
		book->room = room;
	}
	memmove(book->items + place + 1, book->items + place,
		(book->count - place) * sizeof(struct swm_sqs_address *));
	book->items[place] = address;
	book->count++;
	return true;
}

/* --- Asking --- */

/* One name that is looked up. */
struct question {
	struct swm_sqs_call call;
	struct swm_str name;
	size_t at; /* in the caller's array */
	char in_sqs[SWM_SQS_NAME_MAX + 1];
	bool creating;
};

static swm_status keep(struct swm_sqs_book *book, const struct question *question,
	struct swm_str url, struct swm_error *err)
{
	struct swm_sqs_address *address = calloc(1, sizeof(*address));

	if (swm_sqs_book_find(book, question->name) != NULL) {
		free(address);
		return SWM_OK; /* named twice */
	}
	if (address != NULL) {
		address->name = malloc(question->name.len + 1);
		address->url = malloc(url.len + 1);
	}
	if (address == NULL || address->name == NULL || address->url == NULL) {
		destroy(address);
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	if (question->name.len != 0) {
		memcpy(address->name, question->name.ptr, question->name.len);
	}
	address->name_len = question->name.len;
	if (url.len != 0) {
		memcpy(address->url, url.ptr, url.len);
	}
	address->url[url.len] = '\0';
	address->fifo = ends_fifo(swm_sqs_str(question->in_sqs));
	if (!insert(book, address)) {
		destroy(address);
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	return SWM_OK;
}

static void write_attributes(
	struct swm_sqs_text *request, const struct swm_queue *queue, bool fifo)
{
	const struct swm_map *map = &queue->config->queue_attributes;
	size_t i;

	if (!fifo && map->count == 0) {
		return;
	}
	swm_sqs_text_say(request, ",\"Attributes\":{");
	if (fifo) {
		swm_sqs_text_member(request, "FifoQueue", swm_sqs_str("true"));
	}
	for (i = 0; i < map->count; i++) {
		swm_sqs_text_member(
			request, map->items[i].name, swm_sqs_str(map->items[i].value));
	}
	swm_sqs_text_say(request, "}");
}

static void write_question(
	struct question *question, const struct swm_queue *queue, bool create)
{
	struct swm_sqs_text *request = &question->call.request;

	question->call.action = create ? "CreateQueue" : "GetQueueUrl";
	question->creating = create;
	swm_sqs_text_reset(request);
	swm_sqs_text_say(request, "{");
	swm_sqs_text_member(request, "QueueName", swm_sqs_str(question->in_sqs));
	if (create) {
		write_attributes(request, queue, ends_fifo(swm_sqs_str(question->in_sqs)));
	}
	swm_sqs_text_say(request, "}");
}

static struct swm_str read_url(struct swm_sqs_call *call)
{
	struct swm_sqs_json json;
	struct swm_str member;
	struct swm_str url = {0};

	swm_sqs_json_init(&json, call->answer.ptr, call->answer.len);
	if (swm_sqs_json_enter(&json, '{')) {
		while (swm_sqs_json_member(&json, &member)) {
			if (swm_sqs_str_is(member, "QueueUrl")) {
				(void)swm_sqs_json_text(&json, &url);
			} else {
				(void)swm_sqs_json_skip(&json);
			}
		}
	}
	if (json.broken) {
		url = (struct swm_str){0};
	}
	return url;
}

/* After a round: whether it is to be asked again, now to make the queue. */
static bool conclude(struct swm_sqs_book *book, struct question *question,
	const struct swm_queue *queue, bool create, swm_status *status, struct swm_error *err)
{
	struct swm_sqs_call *call = &question->call;
	struct swm_str url = {0};

	*status = call->verdict.status;
	if (*status == SWM_OK) {
		url = read_url(call);
		if (url.len == 0) {
			swm_sqs_call_garbled(call);
			*status = call->verdict.status;
		}
	}
	if (*status == SWM_OK) {
		if (question->creating) {
			queue->host->log(queue->host->ctx, SWM_LOG_INFO, queue->instance,
				"queue \"%.*s\" was made, as %s", (int)question->name.len,
				question->name.ptr, question->in_sqs);
		}
		*status = keep(book, question, url, err);
		return false;
	}
	/* Somebody else was faster, with other attributes: theirs is taken as it is. */
	if ((*status == SWM_E_NOT_FOUND && create && !question->creating) ||
		(*status == SWM_E_EXISTS && question->creating)) {
		bool creating = !question->creating;

		swm_sqs_call_reset(call);
		write_question(question, queue, creating);
		return true;
	}
	if (*status == SWM_E_NOT_FOUND) {
		(void)swm_fail(err, SWM_E_NOT_FOUND, 0, "%s: there is no queue \"%.*s\" (%s)",
			queue->endpoint, (int)question->name.len, question->name.ptr,
			question->in_sqs);
	} else if (err != NULL) {
		*err = call->verdict.why;
	}
	if (*status == SWM_E_EXISTS) {
		*status = SWM_E_UNAVAILABLE;
	} else if (*status == SWM_E_INVALID && question->creating) {
		/* Our names are as SQS wants them: it is the attributes, which may be set. */
		*status = SWM_E_DENIED;
	}
	return false;
}

struct looking {
	struct swm_sqs_book *book;
	struct swm_sqs_web *web;
	struct question *questions;
	struct swm_sqs_call **calls;
	size_t count;
	bool create;
	int64_t until_ms;
	swm_status first;
	size_t first_at;
	struct swm_error why;
};

static void note(
	struct looking *looking, size_t at, swm_status status, const struct swm_error *why)
{
	if (status != SWM_OK && at < looking->first_at) {
		looking->first = status;
		looking->first_at = at;
		looking->why = *why;
		looking->why.status = status;
	}
}

static void ask_all(struct looking *looking)
{
	size_t rounds = 0;
	size_t open = looking->count;
	size_t i;

	/* Twice for one that is missing, once more if two make it at once. */
	while (open > 0 && rounds < 4) {
		size_t left = 0;

		for (i = 0; i < open; i++) {
			looking->calls[i] = &looking->questions[i].call;
		}
		swm_sqs_run(looking->web, looking->calls, open, looking->until_ms);
		for (i = 0; i < open; i++) {
			struct question *question = &looking->questions[i];
			struct swm_error why = {0};
			swm_status status = SWM_OK;

			if (conclude(looking->book, question, looking->web->queue,
				    looking->create, &status, &why)) {
				struct question other = looking->questions[left];

				status = SWM_E_UNAVAILABLE;
				looking->questions[left] = *question;
				*question = other;
				left++;
			} else {
				note(looking, question->at, status, &why);
			}
		}
		open = left;
		rounds++;
	}
	for (i = 0; i < open; i++) {
		struct swm_error why = {0};

		note(looking, looking->questions[i].at,
			swm_fail(&why, SWM_E_UNAVAILABLE, 0, "%s: queue \"%s\" comes and goes",
				looking->web->queue->endpoint, looking->questions[i].in_sqs),
			&why);
	}
}

static void prepare_questions(
	struct looking *looking, const struct swm_str *names, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		struct question *question = &looking->questions[looking->count];
		struct swm_error why = {0};
		swm_status status;

		if (swm_sqs_book_find(looking->book, names[i]) != NULL) {
			note(looking, i, SWM_OK, &why);
			continue;
		}
		status = swm_sqs_name(looking->web->queue, names[i], question->in_sqs, &why);
		if (status != SWM_OK) {
			note(looking, i, status, &why);
			continue;
		}
		question->name = names[i];
		question->at = i;
		swm_sqs_call_init(&question->call, looking->web, "GetQueueUrl");
		write_question(question, looking->web->queue, false);
		looking->count++;
	}
}

swm_status swm_sqs_book_look_up(struct swm_sqs_book *book, struct swm_sqs_web *web,
	const struct swm_str *names, size_t count, bool create, int64_t until_ms,
	struct swm_error *err)
{
	struct looking looking = {
		.book = book,
		.web = web,
		.questions = calloc(count == 0 ? 1 : count, sizeof(*looking.questions)),
		.calls = calloc(count == 0 ? 1 : count, sizeof(struct swm_sqs_call *)),
		.create = create,
		.until_ms = until_ms,
		.first = SWM_OK,
		.first_at = SIZE_MAX,
	};
	size_t i;

	if (looking.questions == NULL || looking.calls == NULL) {
		looking.first = swm_fail(&looking.why, SWM_E_NOMEM, 0, "out of memory");
	} else {
		prepare_questions(&looking, names, count);
		ask_all(&looking);
	}
	for (i = 0; looking.questions != NULL && i < count; i++) {
		swm_sqs_call_finish(&looking.questions[i].call);
	}
	free(looking.questions);
	free(looking.calls);
	if (looking.first != SWM_OK && err != NULL) {
		*err = looking.why;
	}
	return looking.first;
}
