/* SPDX-License-Identifier: MIT */

/*
 * The plugin's descriptor, its options, and what belongs to the adapter as a whole:
 * open, close, prepare, depth.
 *
 * Concurrency: prepare and depth have connections of their own for each call; they are
 * rare, and need not wait for each other.
 */

#include "queue_sqs.h"

#include "addresses.h"
#include "json.h"
#include "status.h"
#include "web.h"

#include <stdlib.h>
#include <string.h>

static void queue_close(struct swm_queue *queue)
{
	if (queue == NULL) {
		return;
	}
	swm_sqs_keyring_finish(&queue->keyring);
	free(queue->endpoint);
	free(queue->region);
	free(queue->signer);
	free(queue);
}

static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && *value != '\0' ? value : NULL;
}

/* NULL: AWS's own. An empty one, as of a variable that is not set, is none. */
static const char *find_endpoint(const struct swm_queue_config *config)
{
	return config->endpoint != NULL && *config->endpoint != '\0' ? config->endpoint : NULL;
}

/* From the options, the environment or the shared files; one that is only to be signed
 * with when there is an endpoint. NULL: there is none. */
static char *find_region(const struct swm_queue_config *config)
{
	const char *region = config->region;
	char *found;

	region = region != NULL ? region : env("AWS_REGION");
	region = region != NULL ? region : env("AWS_DEFAULT_REGION");
	if (region != NULL) {
		return strdup(region);
	}
	found = swm_sqs_region_from_files(config->profile);
	if (found == NULL && find_endpoint(config) != NULL) {
		found = strdup("us-east-1");
	}
	return found;
}

static bool is_region(const char *region)
{
	return *region != '\0' && strlen(region) < 64 &&
	       region[strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

static char *make_endpoint(const struct swm_queue_config *config, const char *region)
{
	const char *endpoint = find_endpoint(config);
	struct swm_sqs_text url = {0};

	if (endpoint != NULL) {
		const char *host = strstr(endpoint, "://");

		swm_sqs_text_say(&url, endpoint);
		swm_sqs_text_say(&url, strchr(host + 3, '/') == NULL ? "/" : "");
	} else {
		swm_sqs_text_say(&url, "https://sqs.");
		swm_sqs_text_say(&url, region);
		swm_sqs_text_say(&url, strncmp(region, "cn-", 3) == 0 ? ".amazonaws.com.cn/"
								      : ".amazonaws.com/");
	}
	if (url.failed) {
		swm_sqs_text_finish(&url);
	}
	return url.ptr;
}

static swm_status check_config(const struct swm_queue_config *config, struct swm_error *err)
{
	const char *endpoint = find_endpoint(config);

	if (endpoint != NULL && strncmp(endpoint, "https://", 8) != 0 &&
		strncmp(endpoint, "http://", 7) != 0) {
		return swm_fail(err, SWM_E_CONFIG, 0, "endpoint: \"%s\" is no URL", endpoint);
	}
	if (endpoint != NULL &&
		(strchr(endpoint, '?') != NULL || strchr(endpoint, '@') != NULL)) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"endpoint: neither a query nor a user may stand in it");
	}
	if ((config->access_key_id == NULL) != (config->secret_access_key == NULL)) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"access_key_id and secret_access_key belong together");
	}
	if (config->session_token != NULL && config->access_key_id == NULL) {
		return swm_fail(err, SWM_E_CONFIG, 0, "session_token without access_key_id");
	}
	if (config->visibility_ms % 1000 != 0 || config->wait_ms % 1000 != 0) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"visibility and wait: SQS knows whole seconds only");
	}
	return SWM_OK;
}

static swm_status set_up(struct swm_queue *queue, struct swm_error *err)
{
	const struct swm_queue_config *config = queue->config;
	struct swm_sqs_text signer = {0};

	queue->region = find_region(config);
	if (queue->region == NULL) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"no region: set 'region', AWS_REGION or that of the profile");
	}
	if (!is_region(queue->region)) {
		return swm_fail(
			err, SWM_E_CONFIG, 0, "region: \"%.64s\" is none", queue->region);
	}
	queue->endpoint = make_endpoint(config, queue->region);
	swm_sqs_text_say(&signer, "aws:amz:");
	swm_sqs_text_say(&signer, queue->region);
	swm_sqs_text_say(&signer, ":sqs");
	queue->signer = signer.ptr;
	if (queue->endpoint == NULL || signer.failed) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	return SWM_OK;
}

static swm_status queue_open(
	const struct swm_open_args *args, struct swm_queue **out, struct swm_error *err)
{
	struct swm_queue *queue = calloc(1, sizeof(*queue));
	swm_status status;

	if (queue == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	queue->config = args->config;
	queue->host = args->host;
	queue->instance = args->instance;
	queue->call_timeout_ms = args->call_timeout_ms;
	atomic_init(&queue->consumer_count, 0);
	status = swm_sqs_keyring_init(&queue->keyring, err);
	if (status != SWM_OK) {
		free(queue);
		return status;
	}
	status = check_config(queue->config, err);
	if (status == SWM_OK) {
		status = set_up(queue, err);
	}
	if (status != SWM_OK) {
		queue_close(queue);
		return status;
	}
	*out = queue;
	return SWM_OK;
}

static swm_status queue_prepare(struct swm_queue *queue, const struct swm_str *names,
	size_t count, struct swm_error *err)
{
	struct swm_sqs_web web = {0};
	struct swm_sqs_book book = {0};
	swm_status status = swm_sqs_web_open(&web, queue, err);

	if (status == SWM_OK) {
		status = swm_sqs_book_look_up(&book, &web, names, count,
			queue->config->create_queues, swm_sqs_until_ms(queue->call_timeout_ms),
			err);
	}
	swm_sqs_book_finish(&book);
	swm_sqs_web_close(&web);
	return status;
}

/* `{"Attributes":{"ApproximateNumberOfMessages":"7", ...}}`: the sum of those asked for. */
static bool read_depth(struct swm_sqs_call *call, int64_t *out)
{
	struct swm_sqs_json json;
	struct swm_str name;
	struct swm_str value;
	int64_t sum = 0;

	swm_sqs_json_init(&json, call->answer.ptr, call->answer.len);
	if (!swm_sqs_json_enter(&json, '{')) {
		return false;
	}
	while (swm_sqs_json_member(&json, &name)) {
		if (!swm_sqs_str_is(name, "Attributes")) {
			(void)swm_sqs_json_skip(&json);
			continue;
		}
		if (!swm_sqs_json_enter(&json, '{')) {
			break;
		}
		while (swm_sqs_json_member(&json, &name) && swm_sqs_json_text(&json, &value)) {
			/* The quote behind the digits ends them. */
			sum += value.ptr == NULL ? 0 : strtoll(value.ptr, NULL, 10);
		}
	}
	*out = sum;
	return !json.broken;
}

static swm_status ask_depth(struct swm_sqs_web *web, const struct swm_sqs_address *address,
	int64_t until_ms, int64_t *out, struct swm_error *err)
{
	struct swm_sqs_call call = {0};
	struct swm_sqs_call *calls[] = {&call};
	swm_status status;

	swm_sqs_call_init(&call, web, "GetQueueAttributes");
	swm_sqs_text_say(&call.request, "{");
	swm_sqs_text_member(&call.request, "QueueUrl", swm_sqs_str(address->url));
	swm_sqs_text_say(&call.request, ",\"AttributeNames\":[\"ApproximateNumberOfMessages\","
					"\"ApproximateNumberOfMessagesDelayed\"]}");
	swm_sqs_run(web, calls, 1, until_ms);
	if (call.verdict.status == SWM_OK && !read_depth(&call, out)) {
		swm_sqs_call_garbled(&call);
	}
	status = call.verdict.status;
	if (status != SWM_OK && err != NULL) {
		*err = call.verdict.why;
	}
	swm_sqs_call_finish(&call);
	return status;
}

static swm_status queue_depth(
	struct swm_queue *queue, struct swm_str name, int64_t *out, struct swm_error *err)
{
	int64_t until_ms = swm_sqs_until_ms(queue->call_timeout_ms);
	struct swm_sqs_web web = {0};
	struct swm_sqs_book book = {0};
	int64_t depth = 0;
	swm_status status = swm_sqs_web_open(&web, queue, err);

	if (status == SWM_OK) {
		status = swm_sqs_book_look_up(&book, &web, &name, 1, false, until_ms, err);
	}
	if (status == SWM_OK) {
		status = ask_depth(&web, swm_sqs_book_find(&book, name), until_ms, &depth, err);
	}
	if (status == SWM_OK) {
		*out = depth;
	}
	swm_sqs_book_finish(&book);
	swm_sqs_web_close(&web);
	return status;
}

static swm_status load(const struct swm_host *host, struct swm_error *err)
{
	CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);

	(void)host;
	if (code != CURLE_OK) {
		return swm_fail(err, SWM_E_INTERNAL, (int)code, "libcurl: %s",
			curl_easy_strerror(code));
	}
	return SWM_OK;
}

static const char *const queue_types[] = {"standard", "fifo", NULL};

static const char *const sources[] = {"auto", "options", "environment", "web-identity", "files",
	"container", "instance", NULL};

static const struct swm_option options[] = {
	{
		.name = "region",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, region, const char *),
		.doc = "As eu-central-1; else AWS_REGION, AWS_DEFAULT_REGION or the profile's.",
	},
	{
		.name = "endpoint",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, endpoint, const char *),
		.doc = "Another server than AWS's of the region, as https://HOST:PORT; http:// "
		       "is "
		       "for tests.",
	},
	{
		.name = "credentials",
		.type = SWM_OPTION_CHOICE,
		.offset = SWM_OFFSET(struct swm_queue_config, credentials, int32_t),
		.fallback = "auto",
		.choices = sources,
		.doc = "Where they come from; auto tries the places in the order of this list.",
	},
	{
		.name = "access_key_id",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, access_key_id, const char *),
		.doc = "Credentials that stand here.",
	},
	{
		.name = "secret_access_key",
		.type = SWM_OPTION_STRING,
		.flags = SWM_OPTION_SECRET,
		.offset = SWM_OFFSET(struct swm_queue_config, secret_access_key, const char *),
		.doc = "Belongs to access_key_id.",
	},
	{
		.name = "session_token",
		.type = SWM_OPTION_STRING,
		.flags = SWM_OPTION_SECRET,
		.offset = SWM_OFFSET(struct swm_queue_config, session_token, const char *),
		.doc = "Of temporary credentials.",
	},
	{
		.name = "profile",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, profile, const char *),
		.doc = "In ~/.aws/credentials and ~/.aws/config; else AWS_PROFILE or default.",
	},
	{
		.name = "tls_ca",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, tls_ca, const char *),
		.doc = "The file of the authorities that the server's certificate may be from; "
		       "the system's when unset.",
	},
	{
		.name = "create_queues",
		.type = SWM_OPTION_BOOL,
		.offset = SWM_OFFSET(struct swm_queue_config, create_queues, bool),
		.fallback = "true",
		.doc = "Whether a queue that is named but missing is created.",
	},
	{
		.name = "queue_type",
		.type = SWM_OPTION_CHOICE,
		.offset = SWM_OFFSET(struct swm_queue_config, queue_type, int32_t),
		.fallback = "standard",
		.choices = queue_types,
		.doc = "With fifo every name gets the ending .fifo that has none; a name with "
		       "it "
		       "is a FIFO queue's in any case.",
	},
	{
		.name = "queue_prefix",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, queue_prefix, const char *),
		.doc = "Stands before every name in SQS, as \"staging-\".",
	},
	{
		.name = "queue_attributes",
		.type = SWM_OPTION_MAP,
		.offset = SWM_OFFSET(struct swm_queue_config, queue_attributes, struct swm_map),
		.doc = "Attributes of queues that are created, as \"MessageRetentionPeriod\": "
		       "\"1209600\".",
	},
	{
		.name = "visibility",
		.type = SWM_OPTION_DURATION,
		.offset = SWM_OFFSET(struct swm_queue_config, visibility_ms, int64_t),
		.fallback = "60s",
		.min = 1000,
		.max = INT64_C(43200000),
		.doc = "How long a message that is held stays hidden; extended while it is "
		       "held, "
		       "so it is how late the messages of a dead process come back.",
	},
	{
		.name = "wait",
		.type = SWM_OPTION_DURATION,
		.offset = SWM_OFFSET(struct swm_queue_config, wait_ms, int64_t),
		.fallback = "20s",
		.min = 1000,
		.max = INT64_C(20000),
		.doc = "How long a poll waits at the server.",
	},
	{
		.name = "connections",
		.type = SWM_OPTION_INT,
		.offset = SWM_OFFSET(struct swm_queue_config, connections, int64_t),
		.fallback = "8",
		.min = 1,
		.max = 64,
		.doc = "Requests that a consumer or a publisher has under way at a time.",
	},
	{
		.name = "max_message",
		.type = SWM_OPTION_SIZE,
		.offset = SWM_OFFSET(struct swm_queue_config, message_bytes_max, int64_t),
		.fallback = "256KiB",
		.min = 1024,
		.max = INT64_C(1024) * 1024,
		.doc = "The largest message with its attributes, and the largest batch.",
	},
	{.name = NULL},
};

static const struct swm_queue_ops ops = {
	.size = sizeof(ops),
	.capabilities = SWM_QUEUE_EXTEND,
	.open = queue_open,
	.close = queue_close,
	.prepare = queue_prepare,
	.consumer_open = swm_sqs_consumer_open,
	.consumer_receive = swm_sqs_consumer_receive,
	.consumer_settle = swm_sqs_consumer_settle,
	.consumer_wake = swm_sqs_consumer_wake,
	.consumer_close = swm_sqs_consumer_close,
	.publisher_open = swm_sqs_publisher_open,
	.publisher_publish = swm_sqs_publisher_publish,
	.publisher_close = swm_sqs_publisher_close,
	.depth = queue_depth,
};

const struct swm_plugin swm_queue_sqs = {
	.magic = SWM_PLUGIN_MAGIC,
	.abi_major = SWM_ABI_MAJOR,
	.abi_minor = SWM_ABI_MINOR,
	.size = sizeof(swm_queue_sqs),
	.kind = SWM_PLUGIN_QUEUE,
	.name = "sqs",
	.version = "0.1.0",
	.license = "MIT",
	.description =
		"Amazon SQS, standard and FIFO queues, and servers that speak as it does",
	.options = options,
	.option_size = sizeof(struct swm_option),
	.config_size = sizeof(struct swm_queue_config),
	.ops = &ops,
	.load = load,
	.unload = curl_global_cleanup,
};
