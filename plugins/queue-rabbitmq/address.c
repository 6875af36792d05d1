/* SPDX-License-Identifier: MIT */

/* Reads the URL with the client library's own parser; see address.h. */

#include "address.h"

#include "queue_rabbitmq.h"
#include "status.h"

#include <amqp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CA_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

/* Whether the parser has found it in the URL: else it is a constant of its own. */
static bool is_within(const char *at, const char *text, size_t size)
{
	return at >= text && at < text + size;
}

static swm_status check_file(const char *option, const char *path, struct swm_error *err)
{
	if (path != NULL && access(path, R_OK) != 0) {
		return swm_fail(err, SWM_E_CONFIG, 0, "%s: %s cannot be read", option, path);
	}
	return SWM_OK;
}

static swm_status choose_files(struct swm_rmq_address *address,
	const struct swm_queue_config *config, struct swm_error *err)
{
	swm_status status;

	if (!address->tls) {
		if (config->tls_ca != NULL || config->tls_cert != NULL ||
			config->tls_key != NULL) {
			return swm_fail(err, SWM_E_CONFIG, 0,
				"tls_ca, tls_cert and tls_key are for an url that begins with "
				"amqps://");
		}
		return SWM_OK;
	}
	if ((config->tls_cert == NULL) != (config->tls_key == NULL)) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"tls_cert and tls_key go together, one is missing");
	}
	address->ca = config->tls_ca == NULL ? CA_BUNDLE : config->tls_ca;
	address->cert = config->tls_cert;
	address->key = config->tls_key;
	status = check_file("tls_ca", address->ca, err);
	if (status == SWM_OK) {
		status = check_file("tls_cert", address->cert, err);
	}
	if (status == SWM_OK) {
		status = check_file("tls_key", address->key, err);
	}
	return status;
}

/* A password is needed, but for the user that every broker begins with. */
static swm_status choose_password(struct swm_rmq_address *address,
	const struct swm_queue_config *config, struct swm_error *err)
{
	address->password = config->password;
	if (address->password == NULL && strcmp(address->user, "guest") == 0) {
		address->password = "guest";
	}
	if (address->password == NULL) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"the option password is missing for user \"%s\"", address->user);
	}
	return SWM_OK;
}

static swm_status read_url(struct swm_rmq_address *address,
	const struct swm_queue_config *config, struct swm_error *err)
{
	struct amqp_connection_info info;
	size_t size = strlen(config->url) + 1;
	int rc;

	address->text = malloc(size);
	if (address->text == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	memcpy(address->text, config->url, size);
	amqp_default_connection_info(&info);
	rc = amqp_parse_url(address->text, &info);
	/* The URL itself is not quoted: it may hold a password. */
	if (rc != AMQP_STATUS_OK) {
		return swm_fail(err, SWM_E_CONFIG, rc,
			"the url is not like amqp://USER@HOST:PORT/VHOST, or amqps://...");
	}
	if (is_within(info.password, address->text, size)) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"the url holds a password: put it into the option password, which is "
			"never printed");
	}
	address->host = info.host;
	address->user = info.user;
	address->vhost = info.vhost;
	address->port = info.port;
	address->tls = info.ssl != 0;
	(void)snprintf(address->name, sizeof(address->name), "%s:%d%s%s", info.host, info.port,
		info.vhost[0] == '/' ? "" : "/", info.vhost);
	return SWM_OK;
}

swm_status swm_rmq_address_read(struct swm_rmq_address *address,
	const struct swm_queue_config *config, struct swm_error *err)
{
	swm_status status = read_url(address, config, err);

	if (status == SWM_OK) {
		status = choose_password(address, config, err);
	}
	if (status == SWM_OK) {
		status = choose_files(address, config, err);
	}
	if (status != SWM_OK) {
		swm_rmq_address_finish(address);
	}
	return status;
}

void swm_rmq_address_finish(struct swm_rmq_address *address)
{
	free(address->text);
	*address = (struct swm_rmq_address){0};
}
