/* SPDX-License-Identifier: MIT */

/*
 * The layout of everything that crosses the boundary to a plugin, for LP64. Whoever
 * changes a number here breaks plugins that were built before: structs that are passed
 * in arrays may not change within a major version, tables may only grow at their end
 * (so their sizes are not written down, only what lies where).
 */

#include <swm/queue.h>
#include <swm/store.h>

#define SIZE(type, size) _Static_assert(sizeof(struct type) == (size), "size of " #type)
#define AT(type, member, offset) \
	_Static_assert(offsetof(struct type, member) == (offset), "place of " #type "." #member)

#if defined(__LP64__)

SIZE(swm_error, 256);
AT(swm_error, status, 0);
AT(swm_error, native, 4);
AT(swm_error, message, 8);

SIZE(swm_str, 16);
AT(swm_str, ptr, 0);
AT(swm_str, len, 8);

SIZE(swm_header, 32);
AT(swm_header, name, 0);
AT(swm_header, value, 16);

/* May grow at its end. */
AT(swm_host, size, 0);
AT(swm_host, abi_major, 4);
AT(swm_host, abi_minor, 6);
AT(swm_host, ctx, 8);
AT(swm_host, log_level, 16);
AT(swm_host, reserved, 20);
AT(swm_host, log, 24);
AT(swm_host, now_ms, 32);
AT(swm_host, count, 40);

SIZE(swm_list, 16);
AT(swm_list, items, 0);
AT(swm_list, count, 8);

SIZE(swm_pair, 16);
AT(swm_pair, name, 0);
AT(swm_pair, value, 8);

SIZE(swm_map, 16);
AT(swm_map, items, 0);
AT(swm_map, count, 8);

/* May grow at its end. */
AT(swm_option, name, 0);
AT(swm_option, type, 8);
AT(swm_option, flags, 12);
AT(swm_option, offset, 16);
AT(swm_option, fallback, 24);
AT(swm_option, min, 32);
AT(swm_option, max, 40);
AT(swm_option, choices, 48);
AT(swm_option, doc, 56);

/* May grow at its end. */
AT(swm_plugin, magic, 0);
AT(swm_plugin, abi_major, 4);
AT(swm_plugin, abi_minor, 6);
AT(swm_plugin, size, 8);
AT(swm_plugin, kind, 12);
AT(swm_plugin, name, 16);
AT(swm_plugin, version, 24);
AT(swm_plugin, license, 32);
AT(swm_plugin, description, 40);
AT(swm_plugin, options, 48);
AT(swm_plugin, option_size, 56);
AT(swm_plugin, config_size, 60);
AT(swm_plugin, ops, 64);
AT(swm_plugin, load, 72);
AT(swm_plugin, unload, 80);

/* May grow at its end. */
AT(swm_open_args, size, 0);
AT(swm_open_args, flags, 4);
AT(swm_open_args, host, 8);
AT(swm_open_args, instance, 16);
AT(swm_open_args, config, 24);
AT(swm_open_args, call_timeout_ms, 32);

SIZE(swm_message, 96);
AT(swm_message, destination, 0);
AT(swm_message, id, 16);
AT(swm_message, key, 32);
AT(swm_message, body, 48);
AT(swm_message, headers, 64);
AT(swm_message, header_count, 72);
AT(swm_message, reserved, 80);

SIZE(swm_delivery, 120);
AT(swm_delivery, token, 0);
AT(swm_delivery, source, 8);
AT(swm_delivery, id, 24);
AT(swm_delivery, key, 40);
AT(swm_delivery, body, 56);
AT(swm_delivery, headers, 72);
AT(swm_delivery, header_count, 80);
AT(swm_delivery, attempt, 88);
AT(swm_delivery, redelivered, 92);
AT(swm_delivery, lease_until_ms, 96);
AT(swm_delivery, reserved, 104);

SIZE(swm_settlement, 24);
AT(swm_settlement, token, 0);
AT(swm_settlement, action, 8);
AT(swm_settlement, reserved, 12);
AT(swm_settlement, delay_ms, 16);

/* May grow at its end. */
AT(swm_queue_ops, size, 0);
AT(swm_queue_ops, capabilities, 4);
AT(swm_queue_ops, open, 8);
AT(swm_queue_ops, close, 16);
AT(swm_queue_ops, prepare, 24);
AT(swm_queue_ops, consumer_open, 32);
AT(swm_queue_ops, consumer_receive, 40);
AT(swm_queue_ops, consumer_settle, 48);
AT(swm_queue_ops, consumer_wake, 56);
AT(swm_queue_ops, consumer_close, 64);
AT(swm_queue_ops, publisher_open, 72);
AT(swm_queue_ops, publisher_publish, 80);
AT(swm_queue_ops, publisher_close, 88);
AT(swm_queue_ops, depth, 96);

SIZE(swm_instance_row, 184);
AT(swm_instance_row, id, 0);
AT(swm_instance_row, workflow, 16);
AT(swm_instance_row, component, 32);
AT(swm_instance_row, business_ref, 48);
AT(swm_instance_row, template_id, 64);
AT(swm_instance_row, stage, 80);
AT(swm_instance_row, business_status, 96);
AT(swm_instance_row, body, 112);
AT(swm_instance_row, version, 128);
AT(swm_instance_row, sequence, 136);
AT(swm_instance_row, created_ms, 144);
AT(swm_instance_row, updated_ms, 152);
AT(swm_instance_row, status, 160);
AT(swm_instance_row, reserved0, 164);
AT(swm_instance_row, reserved, 168);

SIZE(swm_event_row, 176);
AT(swm_event_row, id, 0);
AT(swm_event_row, source_id, 16);
AT(swm_event_row, name, 32);
AT(swm_event_row, stage, 48);
AT(swm_event_row, task, 64);
AT(swm_event_row, reason, 80);
AT(swm_event_row, actor, 96);
AT(swm_event_row, body, 112);
AT(swm_event_row, sequence, 128);
AT(swm_event_row, at_ms, 136);
AT(swm_event_row, attempt, 144);
AT(swm_event_row, outcome, 148);
AT(swm_event_row, rules, 152);
AT(swm_event_row, reserved0, 156);
AT(swm_event_row, reserved, 160);

SIZE(swm_outbox_row, 184);
AT(swm_outbox_row, id, 0);
AT(swm_outbox_row, instance_id, 16);
AT(swm_outbox_row, destination, 32);
AT(swm_outbox_row, key, 48);
AT(swm_outbox_row, body, 64);
AT(swm_outbox_row, reason, 80);
AT(swm_outbox_row, headers, 96);
AT(swm_outbox_row, header_count, 104);
AT(swm_outbox_row, delay_ms, 112);
AT(swm_outbox_row, due_ms, 120);
AT(swm_outbox_row, created_ms, 128);
AT(swm_outbox_row, lease_until_ms, 136);
AT(swm_outbox_row, claims, 144);
AT(swm_outbox_row, state, 152);
AT(swm_outbox_row, attempt, 156);
AT(swm_outbox_row, kind, 160);
AT(swm_outbox_row, reserved0, 164);
AT(swm_outbox_row, reserved, 168);

SIZE(swm_commit, 264);
AT(swm_commit, next, 0);
AT(swm_commit, expected_version, 184);
AT(swm_commit, events, 192);
AT(swm_commit, event_count, 200);
AT(swm_commit, outbox, 208);
AT(swm_commit, outbox_count, 216);
AT(swm_commit, cancel, 224);
AT(swm_commit, cancel_count, 232);
AT(swm_commit, result, 240);
AT(swm_commit, reserved0, 244);
AT(swm_commit, reserved, 248);

SIZE(swm_outbox_mark, 64);
AT(swm_outbox_mark, id, 0);
AT(swm_outbox_mark, instance_id, 16);
AT(swm_outbox_mark, reason, 32);
AT(swm_outbox_mark, delay_ms, 48);
AT(swm_outbox_mark, action, 56);
AT(swm_outbox_mark, reserved, 60);

SIZE(swm_load, 72);
AT(swm_load, id, 0);
AT(swm_load, event_ids, 16);
AT(swm_load, seen, 24);
AT(swm_load, event_count, 32);
AT(swm_load, have_version, 40);
AT(swm_load, instance, 48);
AT(swm_load, reserved, 56);

SIZE(swm_template_row, 144);
AT(swm_template_row, id, 0);
AT(swm_template_row, workflow, 16);
AT(swm_template_row, component, 32);
AT(swm_template_row, body, 48);
AT(swm_template_row, author, 64);
AT(swm_template_row, comment, 80);
AT(swm_template_row, sha256, 96);
AT(swm_template_row, version, 112);
AT(swm_template_row, created_ms, 120);
AT(swm_template_row, reserved, 128);

/* May grow at its end. */
AT(swm_instance_filter, size, 0);
AT(swm_instance_filter, status_mask, 4);
AT(swm_instance_filter, workflow, 8);
AT(swm_instance_filter, component, 24);
AT(swm_instance_filter, business_ref, 40);
AT(swm_instance_filter, stage, 56);
AT(swm_instance_filter, template_id, 72);
AT(swm_instance_filter, updated_from_ms, 88);
AT(swm_instance_filter, updated_to_ms, 96);

SIZE(swm_page, 24);
AT(swm_page, after, 0);
AT(swm_page, limit, 16);
AT(swm_page, reserved, 20);

SIZE(swm_set, 48);
AT(swm_set, items, 0);
AT(swm_set, count, 8);
AT(swm_set, next, 16);
AT(swm_set, owner, 32);
AT(swm_set, release, 40);

/* May grow at its end. */
AT(swm_store_ops, size, 0);
AT(swm_store_ops, capabilities, 4);
AT(swm_store_ops, open, 8);
AT(swm_store_ops, close, 16);
AT(swm_store_ops, migrate, 24);
AT(swm_store_ops, session_open, 32);
AT(swm_store_ops, session_close, 40);
AT(swm_store_ops, load, 48);
AT(swm_store_ops, commit, 56);
AT(swm_store_ops, outbox_put, 64);
AT(swm_store_ops, outbox_claim, 72);
AT(swm_store_ops, outbox_update, 80);
AT(swm_store_ops, template_put, 88);
AT(swm_store_ops, template_get, 96);
AT(swm_store_ops, template_list, 104);
AT(swm_store_ops, instance_list, 112);
AT(swm_store_ops, event_list, 120);
AT(swm_store_ops, outbox_list, 128);
AT(swm_store_ops, maintain, 136);
AT(swm_store_ops, purge, 144);

#endif

/* Numbers that are stored, sent or compiled into plugins. */
#define IS(name, value) _Static_assert((name) == (value), #name)

IS(SWM_OK, 0);
IS(SWM_E_INVALID, -1);
IS(SWM_E_CONFIG, -2);
IS(SWM_E_UNSUPPORTED, -3);
IS(SWM_E_NOT_FOUND, -4);
IS(SWM_E_EXISTS, -5);
IS(SWM_E_CONFLICT, -6);
IS(SWM_E_DUPLICATE, -7);
IS(SWM_E_TIMEOUT, -8);
IS(SWM_E_INTERRUPTED, -9);
IS(SWM_E_THROTTLED, -10);
IS(SWM_E_UNAVAILABLE, -11);
IS(SWM_E_INDOUBT, -12);
IS(SWM_E_TOO_LARGE, -13);
IS(SWM_E_DENIED, -14);
IS(SWM_E_CORRUPT, -15);
IS(SWM_E_NOMEM, -16);
IS(SWM_E_INTERNAL, -17);
IS(SWM_PLUGIN_QUEUE, 1);
IS(SWM_PLUGIN_STORE, 2);
IS(SWM_LOG_ERROR, 0);
IS(SWM_LOG_WARN, 1);
IS(SWM_LOG_INFO, 2);
IS(SWM_LOG_DEBUG, 3);
IS(SWM_OPTION_STRING, 1);
IS(SWM_OPTION_BOOL, 2);
IS(SWM_OPTION_INT, 3);
IS(SWM_OPTION_SIZE, 4);
IS(SWM_OPTION_DURATION, 5);
IS(SWM_OPTION_CHOICE, 6);
IS(SWM_OPTION_LIST, 7);
IS(SWM_OPTION_MAP, 8);
IS(SWM_OPTION_REQUIRED, 1);
IS(SWM_OPTION_SECRET, 2);
IS(SWM_OPTION_DEPRECATED, 4);
IS(SWM_OPEN_ORCHESTRATOR, 1);
IS(SWM_QUEUE_EXTEND, 1);
IS(SWM_QUEUE_ATTEMPTS, 2);
IS(SWM_ACK, 1);
IS(SWM_NACK, 2);
IS(SWM_EXTEND, 3);
IS(SWM_STORE_SHARED, 1);
IS(SWM_OUTCOME_APPLIED, 1);
IS(SWM_OUTCOME_DUPLICATE, 2);
IS(SWM_OUTCOME_IGNORED, 3);
IS(SWM_OUTCOME_REJECTED, 4);
IS(SWM_OUTBOX_PENDING, 0);
IS(SWM_OUTBOX_DEAD, 1);
IS(SWM_MARK_SENT, 1);
IS(SWM_MARK_RETRY, 2);
IS(SWM_MARK_DEAD, 3);
IS(SWM_OUTBOX_REQUEUE, 1);
IS(SWM_OUTBOX_DROP, 2);
IS(SWM_MIGRATE_CHECK, 0);
IS(SWM_MIGRATE_APPLY, 1);
IS(SWM_PLUGIN_MAGIC, UINT32_C(0x73776d70));
IS(SWM_ABI_MAJOR, 1);
IS(SWM_ERROR_MESSAGE_MAX, 248);
