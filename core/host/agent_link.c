/* SPDX-License-Identifier: MIT */

/* See agent_link.h. */

#include "agent_link.h"

#include "text.h"

bool swm_agent_transient(swm_status status)
{
	return status == SWM_E_UNAVAILABLE || status == SWM_E_TIMEOUT ||
	       status == SWM_E_THROTTLED || status == SWM_E_INDOUBT;
}

swm_status swm_agent_link_consumer(struct swm_agent_link *link, struct swm_error *err)
{
	const struct swm_agent_config *config = link->config;
	const struct swm_queue_adapter *tasks = config->tasks;
	struct swm_str queue = swm_str_from(config->queue);
	struct swm_consumer *consumer = NULL;
	if (link->consumer != NULL) {
		return SWM_OK;
	}
	swm_status status = tasks->ops->prepare(tasks->queue, &queue, 1, err);
	if (status == SWM_OK) {
		/* one more would only be kept from other agents */
		status = tasks->ops->consumer_open(
			tasks->queue, &queue, 1, config->jobs, &consumer, err);
	}
	if (status != SWM_OK) {
		return status;
	}
	status = swm_agent_watch_attach(link->config->watch, tasks->ops, consumer, err);
	if (status != SWM_OK) {
		tasks->ops->consumer_close(consumer);
		return status;
	}
	link->consumer = consumer;
	return SWM_OK;
}

void swm_agent_link_drop_consumer(struct swm_agent_link *link)
{
	if (link->consumer != NULL) {
		swm_agent_watch_detach(link->config->watch);
		link->config->tasks->ops->consumer_close(link->consumer);
		link->consumer = NULL;
	}
}

static swm_status open_publisher(struct swm_agent_link *link, struct swm_error *err)
{
	const struct swm_queue_adapter *workflow = link->config->workflow;
	struct swm_str queue = swm_str_from(link->config->workflow_queue);
	if (link->publisher != NULL) {
		return SWM_OK;
	}
	swm_status status = workflow->ops->prepare(workflow->queue, &queue, 1, err);
	return status == SWM_OK
		       ? workflow->ops->publisher_open(workflow->queue, &link->publisher, err)
		       : status;
}

static void drop_publisher(struct swm_agent_link *link)
{
	link->config->workflow->ops->publisher_close(link->publisher);
	link->publisher = NULL;
}

swm_status swm_agent_link_publish(
	struct swm_agent_link *link, const struct swm_message *message, struct swm_error *err)
{
	swm_status result = SWM_OK;
	swm_status status = open_publisher(link, err);
	if (status != SWM_OK) {
		/* what is wrong with the queue is not wrong with the answer */
		return status == SWM_E_INVALID ? SWM_E_DENIED : status;
	}
	status = link->config->workflow->ops->publisher_publish(
		link->publisher, message, 1, link->config->call_timeout_ms, &result, err);
	if (status == SWM_E_UNAVAILABLE) {
		drop_publisher(link);
	}
	return status;
}

void swm_agent_link_finish(struct swm_agent_link *link)
{
	swm_agent_link_drop_consumer(link);
	drop_publisher(link);
}
