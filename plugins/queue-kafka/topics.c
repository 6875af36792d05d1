/* SPDX-License-Identifier: MIT */

/*
 * See topics.h. Of many topics the broker is asked for PAGE at a time: a question names
 * the topics that the client knows, so each is made known for as long as it takes.
 *
 * A topic that has just been made is not known to all brokers at once; it is asked for
 * until all of its partitions are led, so that whoever comes next finds it.
 */

#include "topics.h"

#include "status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE 64

/* Between two looks at a topic that is being made. */
#define LOOK_MS 20

/* What is left for the broker when it makes topics, of the call's time. */
#define MAKING_SHARE 2

swm_status swm_kafka_name_check(struct swm_str name, struct swm_error *err)
{
	size_t i;

	if (name.ptr == NULL || name.len == 0 || name.len > SWM_KAFKA_NAME_MAX) {
		return swm_fail(err, SWM_E_INVALID, 0,
			"a topic's name has 1 to %d bytes, this one has %zu",
			SWM_KAFKA_NAME_MAX, name.len);
	}
	for (i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') &&
			c != '.' && c != '_' && c != '-') {
			return swm_fail(err, SWM_E_INVALID, 0,
				"a topic's name has letters, digits, '.', '_' and '-' only: "
				"%.*s",
				(int)name.len, name.ptr);
		}
	}
	if ((name.len == 1 && name.ptr[0] == '.') ||
		(name.len == 2 && memcmp(name.ptr, "..", 2) == 0)) {
		return swm_fail(err, SWM_E_INVALID, 0, "no topic may be called %.*s",
			(int)name.len, name.ptr);
	}
	return SWM_OK;
}

static void copy_name(char text[SWM_KAFKA_NAME_MAX + 1], struct swm_str name)
{
	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
}

/* Makes the topics known to the client; how many of them are. */
static size_t know(struct swm_kafka_client *client, const struct swm_kafka_topic *topics,
	rd_kafka_topic_t **known, size_t count)
{
	char name[SWM_KAFKA_NAME_MAX + 1];
	size_t made = 0;

	for (; made < count; made++) {
		copy_name(name, topics[made].name);
		known[made] = rd_kafka_topic_new(client->rk, name, NULL);
		if (known[made] == NULL) {
			break;
		}
	}
	return made;
}

static void read_answer(
	const struct rd_kafka_metadata_topic *answer, struct swm_kafka_topic *topic)
{
	int i;

	topic->code = answer->err;
	/* Some have no leader now, which a consumer and a publisher can wait for. */
	if (topic->code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
		topic->code = RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	topic->partitions = answer->partition_cnt;
	topic->led = answer->partition_cnt > 0;
	for (i = 0; i < answer->partition_cnt; i++) {
		topic->led = topic->led && answer->partitions[i].leader >= 0;
	}
}

static void read_answers(
	const struct rd_kafka_metadata *answers, struct swm_kafka_topic *topics, size_t count)
{
	size_t i;
	int j;

	for (i = 0; i < count; i++) {
		topics[i].code = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
		for (j = 0; j < answers->topic_cnt; j++) {
			const char *name = answers->topics[j].topic;

			if (strlen(name) == topics[i].name.len &&
				memcmp(name, topics[i].name.ptr, topics[i].name.len) == 0) {
				read_answer(&answers->topics[j], &topics[i]);
			}
		}
	}
}

static void pause_a_little(void)
{
	const struct timespec pause = {0, LOOK_MS * 1000000L};

	(void)nanosleep(&pause, NULL);
}

/* A connection that was lost is only noticed by a question to be asked again. */
static rd_kafka_resp_err_t ask_once(struct swm_kafka_client *client,
	const struct rd_kafka_metadata **answers, int64_t until_ms)
{
	rd_kafka_resp_err_t code =
		rd_kafka_metadata(client->rk, 0, NULL, answers, swm_kafka_left_ms(until_ms));

	while (code == RD_KAFKA_RESP_ERR__TRANSPORT && swm_kafka_left_ms(until_ms) > LOOK_MS) {
		pause_a_little();
		code = rd_kafka_metadata(
			client->rk, 0, NULL, answers, swm_kafka_left_ms(until_ms));
	}
	return code;
}

static swm_status ask_page(struct swm_kafka_client *client, struct swm_kafka_topic *topics,
	size_t count, int64_t until_ms, struct swm_error *err)
{
	rd_kafka_topic_t *known[PAGE];
	const struct rd_kafka_metadata *answers = NULL;
	size_t made = know(client, topics, known, count);
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE;

	if (made == count) {
		code = ask_once(client, &answers, until_ms);
	}
	while (made > 0) {
		rd_kafka_topic_destroy(known[--made]);
	}
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		/* What befell the connections is told by a poll. */
		(void)rd_kafka_poll(client->rk, 0);
		return swm_kafka_client_fail(client, code, "ask for the topics", err);
	}
	read_answers(answers, topics, count);
	rd_kafka_metadata_destroy(answers);
	swm_kafka_client_worked(client);
	return SWM_OK;
}

swm_status swm_kafka_topics_ask(struct swm_kafka_client *client, struct swm_kafka_topic *topics,
	size_t count, int64_t until_ms, struct swm_error *err)
{
	swm_status status = SWM_OK;
	size_t done;

	for (done = 0; done < count && status == SWM_OK; done += PAGE) {
		size_t some = count - done < PAGE ? count - done : PAGE;

		status = ask_page(client, topics + done, some, until_ms, err);
	}
	return status;
}

/* Making them. */

static bool is_missing(const struct swm_kafka_topic *topic)
{
	return topic->code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

static swm_status refuse(const struct rd_kafka_topic_result_s *result, struct swm_error *err)
{
	rd_kafka_resp_err_t code = rd_kafka_topic_result_error(result);
	const char *reason = rd_kafka_topic_result_error_string(result);

	return swm_fail(err, swm_kafka_status(code), (int)code,
		"topic \"%s\" cannot be made: %s%s%s", rd_kafka_topic_result_name(result),
		rd_kafka_err2str(code), reason != NULL ? ": " : "",
		reason != NULL ? reason : "");
}

static swm_status read_creation(
	struct swm_kafka_client *client, rd_kafka_event_t *event, struct swm_error *err)
{
	const rd_kafka_CreateTopics_result_t *result =
		rd_kafka_event_CreateTopics_result(event);
	rd_kafka_resp_err_t code = rd_kafka_event_error(event);
	const rd_kafka_topic_result_t **topics;
	size_t count = 0;
	size_t i;

	if (result == NULL || code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		return swm_kafka_client_fail(client,
			code != RD_KAFKA_RESP_ERR_NO_ERROR ? code : RD_KAFKA_RESP_ERR__FAIL,
			"make topics", err);
	}
	topics = rd_kafka_CreateTopics_result_topics(result, &count);
	for (i = 0; i < count; i++) {
		code = rd_kafka_topic_result_error(topics[i]);
		if (code != RD_KAFKA_RESP_ERR_NO_ERROR &&
			code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
			return refuse(topics[i], err);
		}
	}
	return SWM_OK;
}

static swm_status create(struct swm_queue *queue, rd_kafka_NewTopic_t **topics, size_t count,
	int64_t until_ms, struct swm_error *err)
{
	rd_kafka_t *rk = queue->control->rk;
	rd_kafka_AdminOptions_t *options =
		rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_queue_t *answers = rd_kafka_queue_new(rk);
	rd_kafka_event_t *event = NULL;
	swm_status status = SWM_E_TIMEOUT;
	int left_ms = swm_kafka_left_ms(until_ms);

	if (options == NULL || answers == NULL) {
		status = SWM_E_NOMEM;
	} else if (left_ms > 0) {
		(void)rd_kafka_AdminOptions_set_request_timeout(options, left_ms, NULL, 0);
		(void)rd_kafka_AdminOptions_set_operation_timeout(
			options, left_ms / MAKING_SHARE, NULL, 0);
		rd_kafka_CreateTopics(rk, topics, count, options, answers);
		event = rd_kafka_queue_poll(answers, left_ms);
	}
	if (event != NULL) {
		status = read_creation(queue->control, event, err);
		rd_kafka_event_destroy(event);
	} else {
		(void)swm_fail(err, status, 0, "%s",
			status == SWM_E_NOMEM ? "out of memory"
					      : "the topics were not made in time");
	}
	if (answers != NULL) {
		rd_kafka_queue_destroy(answers);
	}
	if (options != NULL) {
		rd_kafka_AdminOptions_destroy(options);
	}
	return status;
}

/* 0 in the configuration is the broker's own number, which is -1 to it. */
static int own_number(int64_t option)
{
	return option == 0 ? -1 : (int)option;
}

static swm_status create_missing(struct swm_queue *queue, const struct swm_kafka_topic *topics,
	size_t count, int64_t until_ms, struct swm_error *err)
{
	rd_kafka_NewTopic_t *wanted[PAGE] = {NULL};
	char name[SWM_KAFKA_NAME_MAX + 1];
	char reason[SWM_ERROR_MESSAGE_MAX];
	swm_status status = SWM_OK;
	size_t made = 0;
	size_t i;

	for (i = 0; i < count && status == SWM_OK; i++) {
		if (!is_missing(&topics[i])) {
			continue;
		}
		copy_name(name, topics[i].name);
		wanted[made] =
			rd_kafka_NewTopic_new(name, own_number(queue->config->partitions),
				own_number(queue->config->replication), reason, sizeof(reason));
		if (wanted[made] == NULL) {
			status = swm_fail(err, SWM_E_INVALID, 0, "%s", reason);
		} else {
			made++;
		}
	}
	if (status == SWM_OK) {
		status = create(queue, wanted, made, until_ms, err);
	}
	rd_kafka_NewTopic_destroy_array(wanted, made);
	return status;
}

/* Of a page that has been asked for: whether all are there, or what is in the way. */
static swm_status judge(const struct swm_queue *queue, const struct swm_kafka_topic *topics,
	size_t count, bool *all, struct swm_error *err)
{
	size_t i;

	*all = true;
	for (i = 0; i < count; i++) {
		const struct swm_kafka_topic *topic = &topics[i];

		if (is_missing(topic) && !queue->config->create_topics) {
			return swm_fail(err, SWM_E_NOT_FOUND, 0,
				"there is no topic \"%.*s\", and create_topics is false",
				(int)topic->name.len, topic->name.ptr);
		}
		if (is_missing(topic)) {
			*all = false;
		} else if (topic->code != RD_KAFKA_RESP_ERR_NO_ERROR) {
			return swm_fail(err, swm_kafka_status(topic->code), (int)topic->code,
				"topic \"%.*s\": %s", (int)topic->name.len, topic->name.ptr,
				rd_kafka_err2str(topic->code));
		}
	}
	return SWM_OK;
}

static bool all_led(const struct swm_kafka_topic *topics, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (topics[i].code != RD_KAFKA_RESP_ERR_NO_ERROR || !topics[i].led) {
			return false;
		}
	}
	return true;
}

/* The partitions of the topics, each with the same offset. */
static rd_kafka_topic_partition_list_t *list_partitions(
	const struct swm_kafka_topic *topics, size_t count, int64_t offset)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
	char name[SWM_KAFKA_NAME_MAX + 1];
	size_t i;
	int j;

	for (i = 0; i < count; i++) {
		copy_name(name, topics[i].name);
		for (j = 0; j < topics[i].partitions; j++) {
			rd_kafka_topic_partition_list_add(list, name, j)->offset = offset;
		}
	}
	return list;
}

/* Asks the leader of each for its first or last offset: RD_KAFKA_OFFSET_BEGINNING or
 * RD_KAFKA_OFFSET_END in, the offset out. What the first that failed says is returned. */
static rd_kafka_resp_err_t ask_offsets(struct swm_kafka_client *client,
	rd_kafka_topic_partition_list_t *list, int64_t until_ms)
{
	rd_kafka_resp_err_t code =
		rd_kafka_offsets_for_times(client->rk, list, swm_kafka_left_ms(until_ms));
	int i;

	for (i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
		code = list->elems[i].err;
	}
	return code;
}

/* A topic that is being made has leaders that do not know of it yet. */
static bool is_settling(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
	       code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
	       code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
	       code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || code == RD_KAFKA_RESP_ERR__NOENT;
}

/* The offsets of all their partitions. The list is the caller's. */
static swm_status read_offsets(struct swm_kafka_client *client,
	const struct swm_kafka_topic *topics, size_t count, int64_t which,
	rd_kafka_topic_partition_list_t **out, int64_t until_ms, struct swm_error *err)
{
	rd_kafka_topic_partition_list_t *list = list_partitions(topics, count, which);
	rd_kafka_resp_err_t code = ask_offsets(client, list, until_ms);

	while (is_settling(code) && swm_kafka_left_ms(until_ms) > LOOK_MS) {
		rd_kafka_topic_partition_list_destroy(list);
		pause_a_little();
		list = list_partitions(topics, count, which);
		code = ask_offsets(client, list, until_ms);
	}
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		rd_kafka_topic_partition_list_destroy(list);
		return swm_kafka_client_fail(client, code, "ask for the topics' offsets", err);
	}
	*out = list;
	return SWM_OK;
}

/* Until every one of them can be used. */
static swm_status await(struct swm_kafka_client *client, struct swm_kafka_topic *topics,
	size_t count, int64_t until_ms, struct swm_error *err)
{
	rd_kafka_topic_partition_list_t *list = NULL;
	swm_status status = swm_kafka_topics_ask(client, topics, count, until_ms, err);

	while (status == SWM_OK && !all_led(topics, count)) {
		if (swm_kafka_left_ms(until_ms) <= LOOK_MS) {
			return swm_fail(err, SWM_E_TIMEOUT, 0,
				"a topic was made, and is not ready in time");
		}
		pause_a_little();
		status = swm_kafka_topics_ask(client, topics, count, until_ms, err);
	}
	if (status == SWM_OK) {
		status = read_offsets(
			client, topics, count, RD_KAFKA_OFFSET_END, &list, until_ms, err);
	}
	if (list != NULL) {
		rd_kafka_topic_partition_list_destroy(list);
	}
	return status;
}

/* Each name once; how many there are. */
static size_t fill_page(
	struct swm_kafka_topic topics[PAGE], const struct swm_str *names, size_t count)
{
	size_t filled = 0;
	size_t i;
	size_t j;

	for (i = 0; i < count; i++) {
		for (j = 0; j < filled; j++) {
			if (topics[j].name.len == names[i].len &&
				memcmp(topics[j].name.ptr, names[i].ptr, names[i].len) == 0) {
				break;
			}
		}
		if (j == filled) {
			topics[filled++].name = names[i];
		}
	}
	return filled;
}

static swm_status prepare_page(struct swm_queue *queue, const struct swm_str *names,
	size_t count, int64_t until_ms, struct swm_error *err)
{
	struct swm_kafka_topic topics[PAGE] = {0};
	size_t filled = fill_page(topics, names, count);
	bool all = true;
	swm_status status = swm_kafka_topics_ask(queue->control, topics, filled, until_ms, err);

	if (status == SWM_OK) {
		status = judge(queue, topics, filled, &all, err);
	}
	if (status != SWM_OK || all) {
		return status;
	}
	status = create_missing(queue, topics, filled, until_ms, err);
	return status == SWM_OK ? await(queue->control, topics, filled, until_ms, err) : status;
}

swm_status swm_kafka_topics_prepare(struct swm_queue *queue, const struct swm_str *names,
	size_t count, int64_t until_ms, struct swm_error *err)
{
	swm_status status = SWM_OK;
	size_t done;
	size_t i;

	for (i = 0; i < count && status == SWM_OK; i++) {
		status = swm_kafka_name_check(names[i], err);
	}
	for (done = 0; done < count && status == SWM_OK; done += PAGE) {
		size_t some = count - done < PAGE ? count - done : PAGE;

		status = prepare_page(queue, names + done, some, until_ms, err);
	}
	return status;
}

/* How much waits. */

static int64_t sum_depth(const rd_kafka_topic_partition_list_t *committed,
	const rd_kafka_topic_partition_list_t *first,
	const rd_kafka_topic_partition_list_t *last)
{
	int64_t sum = 0;
	int i;

	for (i = 0; i < last->cnt; i++) {
		int64_t from = committed->elems[i].offset;

		/* Nothing was committed yet, or what follows is gone already. */
		if (from < first->elems[i].offset) {
			from = first->elems[i].offset;
		}
		sum += last->elems[i].offset > from ? last->elems[i].offset - from : 0;
	}
	return sum;
}

static swm_status ask_depth(struct swm_kafka_client *client,
	const struct swm_kafka_topic *topic, int64_t until_ms, int64_t *depth,
	struct swm_error *err)
{
	rd_kafka_topic_partition_list_t *committed =
		list_partitions(topic, 1, RD_KAFKA_OFFSET_INVALID);
	rd_kafka_topic_partition_list_t *first = NULL;
	rd_kafka_topic_partition_list_t *last = NULL;
	rd_kafka_resp_err_t code =
		rd_kafka_committed(client->rk, committed, swm_kafka_left_ms(until_ms));
	swm_status status = code == RD_KAFKA_RESP_ERR_NO_ERROR
				    ? SWM_OK
				    : swm_kafka_client_fail(
					      client, code, "ask for the group's offsets", err);

	if (status == SWM_OK) {
		status = read_offsets(
			client, topic, 1, RD_KAFKA_OFFSET_BEGINNING, &first, until_ms, err);
	}
	if (status == SWM_OK) {
		status = read_offsets(
			client, topic, 1, RD_KAFKA_OFFSET_END, &last, until_ms, err);
	}
	if (first != NULL && last != NULL) {
		*depth = sum_depth(committed, first, last);
	}
	rd_kafka_topic_partition_list_destroy(committed);
	if (first != NULL) {
		rd_kafka_topic_partition_list_destroy(first);
	}
	if (last != NULL) {
		rd_kafka_topic_partition_list_destroy(last);
	}
	return status;
}

swm_status swm_kafka_topics_depth(struct swm_queue *queue, struct swm_str name,
	int64_t until_ms, int64_t *depth, struct swm_error *err)
{
	struct swm_kafka_topic topic = {.name = name};
	swm_status status = swm_kafka_topics_ask(queue->control, &topic, 1, until_ms, err);

	if (status == SWM_OK && topic.code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		status = swm_fail(err, swm_kafka_status(topic.code), (int)topic.code,
			"topic \"%.*s\": %s", (int)name.len, name.ptr,
			rd_kafka_err2str(topic.code));
	}
	return status == SWM_OK ? ask_depth(queue->control, &topic, until_ms, depth, err)
				: status;
}
