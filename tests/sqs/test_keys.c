/* SPDX-License-Identifier: MIT */

/*
 * Where credentials come from, how they are renewed, and that what is signed with them is
 * right: on moto, which looks at signatures, and through the proxy, which tells which keys
 * were used.
 *
 * Concurrency: none.
 */

#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The id of the keys that the last request was signed with begins so. */
static void assert_signed_by(const char *id)
{
	char wanted[128];
	char *log = proxy_log();

	(void)snprintf(wanted, sizeof(wanted), "Credential=%s", id);
	if (strstr(log, wanted) == NULL) {
		fail_msg("no request was signed by %s: %s", id, log);
	}
	free(log);
}

static swm_status open_with(struct server *server, enum swm_sqs_source source)
{
	server->config.access_key_id = NULL;
	server->config.secret_access_key = NULL;
	server->config.credentials = (int32_t)source;
	return server_open(server);
}

static swm_status ask_something(struct server *server)
{
	struct swm_str queue = STR("keys");

	free(proxy_log());
	return server->ops->prepare(server->queue, &queue, 1, &server->err);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static const char *path_in_home(const char *name)
{
	static char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", server_setting("SWM_TEST_DIR"), name);
	return path;
}

static void use_responder(const char *variable, const char *path)
{
	char url[256];

	(void)snprintf(url, sizeof(url), "%s%s", server_setting("SWM_TEST_RESPONDER"), path);
	assert_int_equal(setenv(variable, url, 1), 0);
}

static int tear_down(void **state)
{
	static const char *const names[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE",
		"AWS_CONFIG_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_EC2_METADATA_SERVICE_ENDPOINT",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ENDPOINT_URL_STS"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)unsetenv(names[i]);
	}
	(void)setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	post(server_setting("SWM_TEST_RESPONDER"), "/lifetime/3600");
	post(server_setting("SWM_TEST_RESPONDER"), "/broken/0");
	return server_tear_down(state);
}

/* moto looks at the signature of all that the adapter sends. */
static void signed_as_it_should_be(void **state)
{
	struct server *server = *state;
	const char *secret = server_setting("SWM_TEST_MOTO_SECRET_ACCESS_KEY");

	server->config.endpoint = server_setting("SWM_TEST_MOTO_TLS_ENDPOINT");
	server->config.tls_ca = server_setting("SWM_TEST_MOTO_CA");
	server->config.access_key_id = server_setting("SWM_TEST_MOTO_ACCESS_KEY_ID");
	server->config.secret_access_key = secret;
	assert_int_equal(server_open(server), SWM_OK);
	struct swm_str queue = server_queue(server, "signed");
	struct swm_publisher *publisher = server_publisher(server);
	struct swm_consumer *consumer = server_listen(server, queue, 0);
	assert_int_equal(server_publish(server, publisher, queue, "m-1", PATIENCE_MS), SWM_OK);
	assert_int_equal(server_publish(server, publisher, queue, "m-2", PATIENCE_MS), SWM_OK);
	struct swm_delivery got = server_next(server, consumer);
	assert_int_equal(server_settle(server, consumer, got.token, SWM_EXTEND, 60000), SWM_OK);
	assert_int_equal(server_settle(server, consumer, got.token, SWM_ACK, 0), SWM_OK);
	got = server_next(server, consumer);
	assert_int_equal(server_settle(server, consumer, got.token, SWM_NACK, 0), SWM_OK);
	server->ops->consumer_close(consumer);
	server->ops->publisher_close(publisher);
	int64_t depth = 0;
	assert_int_equal(
		server->ops->depth(server->queue, queue, &depth, &server->err), SWM_OK);

	/* Errors about who asks are XML, and hold no secret. */
	server->config.secret_access_key = "another-secret";
	assert_int_equal(server_open(server), SWM_OK);
	assert_int_equal(
		server->ops->prepare(server->queue, &queue, 1, &server->err), SWM_E_DENIED);
	assert_non_null(strstr(server->err.message, "SignatureDoesNotMatch"));
	assert_null(strstr(server->err.message, "another-secret"));
	server->config.access_key_id = "AKIANOBODY0000000000";
	assert_int_equal(server_open(server), SWM_OK);
	assert_int_equal(
		server->ops->prepare(server->queue, &queue, 1, &server->err), SWM_E_DENIED);
	assert_non_null(strstr(server->err.message, "InvalidClientTokenId"));
	server->config.tls_ca = server_setting("SWM_TEST_MOTO_WRONG_CA");
	assert_int_equal(server_open(server), SWM_OK);
	assert_int_equal(
		server->ops->prepare(server->queue, &queue, 1, &server->err), SWM_E_DENIED);
}

static void from_the_options(void **state)
{
	struct server *server = *state;

	server->config.access_key_id = "OPTIONS1";
	server->config.session_token = "token of the options";
	assert_int_equal(server_open(server), SWM_OK);
	free(proxy_log());
	assert_int_equal(ask_something(server), SWM_OK);
	char *log = proxy_log();
	assert_non_null(strstr(log, "Credential=OPTIONS1/"));
	assert_non_null(strstr(log, "\"X-Amz-Security-Token\": \"token of the options\""));
	assert_non_null(strstr(log, "x-amz-security-token;x-amz-target"));
	free(log);
}

static void from_the_environment(void **state)
{
	struct server *server = *state;

	(void)setenv("AWS_ACCESS_KEY_ID", "ENVIRONMENT1", 1);
	(void)setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	assert_int_equal(open_with(server, SWM_SQS_SOURCE_AUTO), SWM_OK);
	assert_int_equal(ask_something(server), SWM_OK);
	assert_signed_by("ENVIRONMENT1/");
	assert_non_null(strstr(server->logged, "the environment"));
}

static void from_the_files(void **state)
{
	struct server *server = *state;
	char credentials[512];

	(void)snprintf(credentials, sizeof(credentials), "%s", path_in_home("credentials"));
	write_file(credentials,
		"# of a test\n[default]\naws_access_key_id = FILE1\n"
		"aws_secret_access_key=secret\n\n[ other ]\r\naws_access_key_id=FILE2\r\n"
		"aws_secret_access_key=secret\r\naws_session_token = t\r\n[empty]\n");
	write_file(path_in_home("config"),
		"[default]\nregion = eu-north-1\n[profile third]\nregion=eu-west-3\n"
		"aws_access_key_id=FILE3\naws_secret_access_key=secret");
	(void)setenv("AWS_SHARED_CREDENTIALS_FILE", credentials, 1);
	(void)setenv("AWS_CONFIG_FILE", path_in_home("config"), 1);
	server->config.region = NULL;
	assert_int_equal(open_with(server, SWM_SQS_SOURCE_AUTO), SWM_OK);
	assert_string_equal(server->queue->region, "eu-north-1");
	assert_int_equal(ask_something(server), SWM_OK);
	assert_signed_by("FILE1/");
	server->config.profile = "other";
	assert_int_equal(open_with(server, SWM_SQS_SOURCE_AUTO), SWM_OK);
	assert_int_equal(ask_something(server), SWM_OK);
	assert_signed_by("FILE2/");
	server->config.profile = "third";
	assert_int_equal(open_with(server, SWM_SQS_SOURCE_FILES), SWM_OK);
	assert_string_equal(server->queue->region, "eu-west-3");
	assert_int_equal(ask_something(server), SWM_OK);
	assert_signed_by("FILE3/");
	server->config.profile = "empty";
	assert_int_equal(open_with(server, SWM_SQS_SOURCE_AUTO), SWM_OK);
	assert_int_equal(ask_something(server), SWM_E_DENIED);
	assert_non_null(strstr(server->err.message, "has no keys"));
}

/* Those that expire are got anew in time, and the old ones do while nobody gives any. */
static void renewed(struct server *server, const char *kind)
{
	const char *responder = server_setting("SWM_TEST_RESPONDER");
	char first[64];

	post(responder, "/number/0");
	post(responder, "/lifetime/8");
	assert_int_equal(ask_something(server), SWM_OK);
	(void)snprintf(first, sizeof(first), "%s1/", kind);
	assert_signed_by(first);
	assert_int_equal(ask_something(server), SWM_OK);
	assert_signed_by(first);
	/* Three quarters are over, and nobody answers: there is some time left. */
	sleep_ms(6200);
	post(responder, "/broken/2");
	assert_int_equal(ask_something(server), SWM_OK);
	post(responder, "/broken/0");
	post(responder, "/lifetime/3600");
	sleep_ms(2000);
	assert_int_equal(ask_something(server), SWM_OK);
	char *log = proxy_log();
	assert_non_null(strstr(log, kind));
	assert_null(strstr(log, first));
	free(log);
}

static void from_a_container(void **state)
{
	struct server *server = *state;

	use_responder("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/container");
	(void)setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
		server_setting("SWM_TEST_TOKEN_FILE"), 1);
	assert_int_equal(open_with(server, SWM_SQS_SOURCE_AUTO), SWM_OK);
	renewed(server, "CONTAINER");
	(void)setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/keys", 1);
	assert_int_equal(open_with(server, SWM_SQS_SOURCE_AUTO), SWM_OK);
	assert_int_equal(ask_something(server), SWM_E_DENIED);
	assert_non_null(strstr(server->err.message, "neither https"));
}

static void from_an_instance(void **state)
{
	struct server *server = *state;

	(void)unsetenv("AWS_EC2_METADATA_DISABLED");
	use_responder("AWS_EC2_METADATA_SERVICE_ENDPOINT", "/");
	assert_int_equal(open_with(server, SWM_SQS_SOURCE_AUTO), SWM_OK);
	assert_int_equal(ask_something(server), SWM_OK);
	assert_signed_by("INSTANCE");
	assert_non_null(strstr(server->logged, "the instance's metadata"));
}

static void from_a_web_identity(void **state)
{
	struct server *server = *state;

	(void)setenv("AWS_WEB_IDENTITY_TOKEN_FILE", server_setting("SWM_TEST_TOKEN_FILE"), 1);
	(void)setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/swm test", 1);
	use_responder("AWS_ENDPOINT_URL_STS", "/");
	assert_int_equal(open_with(server, SWM_SQS_SOURCE_AUTO), SWM_OK);
	assert_int_equal(ask_something(server), SWM_OK);
	assert_signed_by("WEB");
	(void)setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/another", 1);
	assert_int_equal(open_with(server, SWM_SQS_SOURCE_WEB_IDENTITY), SWM_OK);
	assert_int_equal(ask_something(server), SWM_E_DENIED);
}

/* The server takes them no more: they are got anew at once. */
static void that_the_server_refuses(void **state)
{
	struct server *server = *state;

	use_responder("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/container");
	(void)setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
		server_setting("SWM_TEST_TOKEN_FILE"), 1);
	assert_int_equal(open_with(server, SWM_SQS_SOURCE_CONTAINER), SWM_OK);
	post(server_setting("SWM_TEST_RESPONDER"), "/number/0");
	assert_int_equal(ask_something(server), SWM_OK);
	sleep_ms(5200);
	proxy_rule("{'action':'GetQueueUrl','times':1,'do':'answer','status':403,'body':"
		   "'{\\u0022__type\\u0022:\\u0022ExpiredToken\\u0022}'}");
	assert_int_equal(ask_something(server), SWM_OK);
	assert_signed_by("CONTAINER2/");
}

static void that_are_nowhere(void **state)
{
	struct server *server = *state;

	assert_int_equal(open_with(server, SWM_SQS_SOURCE_AUTO), SWM_OK);
	assert_int_equal(ask_something(server), SWM_E_DENIED);
	assert_non_null(strstr(server->err.message, "no credentials"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			signed_as_it_should_be, server_set_up, tear_down),
		cmocka_unit_test_setup_teardown(from_the_options, server_set_up, tear_down),
		cmocka_unit_test_setup_teardown(from_the_environment, server_set_up, tear_down),
		cmocka_unit_test_setup_teardown(from_the_files, server_set_up, tear_down),
		cmocka_unit_test_setup_teardown(from_a_container, server_set_up, tear_down),
		cmocka_unit_test_setup_teardown(from_an_instance, server_set_up, tear_down),
		cmocka_unit_test_setup_teardown(from_a_web_identity, server_set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			that_the_server_refuses, server_set_up, tear_down),
		cmocka_unit_test_setup_teardown(that_are_nowhere, server_set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
