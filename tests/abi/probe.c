/* SPDX-License-Identifier: MIT */

/*
 * A library that does nothing but mention every type of the public headers, so that its
 * debugging information is their binary interface; see baseline.sh.
 */

#include <swm/queue.h>
#include <swm/store.h>

SWM_EXPORT void swm_probe_plugin(const struct swm_plugin *plugin, swm_plugin_entry_fn entry,
	const struct swm_host *host, const struct swm_open_args *args,
	const struct swm_list *list, const struct swm_map *map);
SWM_EXPORT void swm_probe_queue(const struct swm_queue_ops *ops);
SWM_EXPORT void swm_probe_store(const struct swm_store_ops *ops,
	const struct swm_instance_row *instance, const struct swm_event_row *event,
	const struct swm_template_row *template_row, const struct swm_outbox_row *outbox);

void swm_probe_plugin(const struct swm_plugin *plugin, swm_plugin_entry_fn entry,
	const struct swm_host *host, const struct swm_open_args *args,
	const struct swm_list *list, const struct swm_map *map)
{
	(void)plugin;
	(void)entry;
	(void)host;
	(void)args;
	(void)list;
	(void)map;
}

void swm_probe_queue(const struct swm_queue_ops *ops)
{
	(void)ops;
}

/* The rows come back through `const void *`, so no operation names them all. */
void swm_probe_store(const struct swm_store_ops *ops, const struct swm_instance_row *instance,
	const struct swm_event_row *event, const struct swm_template_row *template_row,
	const struct swm_outbox_row *outbox)
{
	(void)ops;
	(void)instance;
	(void)event;
	(void)template_row;
	(void)outbox;
}
