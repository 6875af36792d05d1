/* SPDX-License-Identifier: MIT */

/*
 * The statements, and the plans that they are to have.
 *
 * A batch is one statement: each column of its rows is an array, unnest() makes rows of
 * them, and data-modifying WITH parts write them. All parts see the same snapshot, so what
 * one tells another goes through RETURNING; all of them are one transaction, which ends
 * with the statement: nobody ever says BEGIN on the hot path.
 *
 * Plans. A prepared statement's plan is made once for all parameters, usually on tables
 * that are still empty, and then has to serve with a million rows. So it must not depend
 * on what the planner believes about sizes: rows of our tables are always looked up through
 * an index, once for each row asked for. Hence
 *  - LATERAL (... LIMIT 1), which can only be run per row, for reading;
 *  - `id = ANY (ARRAY[...])` in place of `id = ...` where UPDATE and DELETE join: an index
 *    serves it, a hash or merge join cannot;
 *  - `state <> 1` for `state = 0`, where an id is given, so that an index over all of that
 *    state is no choice;
 *  - sequential scans, bitmaps, merge joins and compilation off, in our sessions only. Hash
 *    joins stay, between the parts of one statement.
 * A test reads the plans with 0, 10 and a million rows.
 *
 * Locks. The items of a commit come sorted by id and are updated in that order, marks
 * likewise, and all sessions run the parts of this very statement in the same order: two
 * commits wait for each other in one direction only.
 *
 * Time is the server's, at the beginning of the statement.
 */

#include "statements.h"

#define NOW "(floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint)"

/* When a delay, or a lease, from now on is over: a sum without overflow. */
#define DELAY_END "now + least(m.delay_ms, 9223372036854775807 - now)"
#define LEASE_END "now + least(lease_ms, 9223372036854775807 - now)"

#define INSTANCE_COLUMNS \
	"id, workflow, component, business_ref, template_id, stage, business_status, " \
	"version, sequence, created_ms, updated_ms, status, body"
#define EVENT_COLUMNS \
	"id, source_id, name, stage, task, reason, actor, sequence, at_ms, attempt, outcome, " \
	"rules, body"
#define OUTBOX_COLUMNS \
	"id, instance_id, destination, key, reason, due_ms, created_ms, lease_until_ms, " \
	"claims, state, attempt, kind, body, headers"
#define OWED_COLUMNS \
	"id, instance_id, destination, key, reason, delay_ms, state, attempt, kind, body, " \
	"headers"
#define TEMPLATE_COLUMNS \
	"id, workflow, component, author, comment, sha256, version, created_ms, body"

/* Rows of the outbox that nobody has leased and that may be sent now. */
#define DUE "state = 0 AND due_ms <= " NOW " AND lease_until_ms <= " NOW

const char *const store_settings =
	"SET search_path = pg_catalog;"
	"SET client_min_messages = error;"
	"SET default_transaction_isolation = 'read committed';"
	"SET default_transaction_read_only = off;"
	"SET plan_cache_mode = force_generic_plan;"
	"SET enable_seqscan = off;"
	"SET enable_bitmapscan = off;"
	"SET enable_mergejoin = off;"
	"SET jit = off;"
	/* A commit that is answered before it is on the disk is not one. What is stronger
	 * than on, or waits for no standby, is the server's to decide. */
	"SELECT set_config('synchronous_commit', 'on', false)"
	" WHERE current_setting('synchronous_commit') = 'off';";

const struct store_statement_text store_statements[STMT_COUNT] = {
	/* First the instances that there are, then the events that were seen, in the form
	 * (item, place among all event ids asked for). */
	[STMT_LOAD] = {"swm_load",
		"WITH want AS MATERIALIZED ("
		" SELECT id, have, item FROM unnest($1::text[], $2::bigint[])"
		" WITH ORDINALITY AS w(id, have, item)),"
		"found AS MATERIALIZED ("
		" SELECT want.item, want.have, one.* FROM want CROSS JOIN LATERAL ("
		"  SELECT number, " INSTANCE_COLUMNS " FROM {instance} AS i"
		"  WHERE i.id = want.id LIMIT 1) AS one) "
		"SELECT item, NULL::bigint, id, workflow, component, business_ref, template_id,"
		" stage, business_status, version, sequence, created_ms, updated_ms, status,"
		" CASE WHEN version <> have THEN body END FROM found "
		"UNION ALL "
		"SELECT found.item, asked.place, NULL, NULL, NULL, NULL, NULL, NULL, NULL,"
		" NULL, NULL, NULL, NULL, NULL, NULL"
		" FROM unnest($3::bigint[], $4::text[])"
		" WITH ORDINALITY AS asked(item, id, place)"
		" JOIN found ON found.item = asked.item"
		" CROSS JOIN LATERAL ("
		"  SELECT 1 FROM {event} AS e"
		"  WHERE e.instance = found.number AND e.id = asked.id LIMIT 1) AS seen",
		4},

	/* Answers with the numbers of the items that won. */
	[STMT_COMMIT] = {"swm_commit",
		"WITH committer AS MATERIALIZED ("
		" SELECT $43::text AS owner, $44::bigint AS lease_ms, " NOW " AS now),"
		"item AS MATERIALIZED ("
		" SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[],"
		"  $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[],"
		"  $10::bigint[], $11::bigint[], $12::integer[], $13::bytea[])"
		" WITH ORDINALITY AS t(" INSTANCE_COLUMNS ", item)),"
		/* Neither id nor created_ms is set: no index is touched. */
		"changed AS ("
		" UPDATE {instance} AS i SET workflow = item.workflow,"
		"  component = item.component, business_ref = item.business_ref,"
		"  template_id = item.template_id, stage = item.stage,"
		"  business_status = item.business_status, version = item.version,"
		"  sequence = item.sequence, updated_ms = item.updated_ms,"
		"  status = item.status, body = item.body"
		" FROM item WHERE item.version > 1 AND i.id = ANY (ARRAY[item.id])"
		"  AND i.version = item.version - 1"
		" RETURNING item.item, i.number),"
		"created AS ("
		" INSERT INTO {instance} AS i(" INSTANCE_COLUMNS ")"
		" SELECT " INSTANCE_COLUMNS " FROM item WHERE version = 1 ORDER BY item"
		" ON CONFLICT (id) DO NOTHING RETURNING i.id, i.number),"
		"won AS MATERIALIZED ("
		" SELECT item, number FROM changed UNION ALL"
		" SELECT item.item, created.number FROM created JOIN item USING (id)),"
		"recorded AS ("
		" INSERT INTO {event}(instance, " EVENT_COLUMNS ")"
		" SELECT won.number, e.id, e.source_id, e.name, e.stage, e.task, e.reason,"
		"  e.actor, e.sequence, e.at_ms, e.attempt, e.outcome, e.rules, e.body"
		" FROM unnest($14::bigint[], $15::text[], $16::bytea[], $17::text[],"
		"  $18::text[], $19::text[], $20::text[], $21::text[], $22::bigint[],"
		"  $23::bigint[], $24::integer[], $25::integer[], $26::integer[],"
		"  $27::bytea[]) AS e(item, " EVENT_COLUMNS ") JOIN won USING (item)),"
		"cancelled AS ("
		" DELETE FROM {outbox} AS o"
		" USING unnest($28::bigint[], $29::text[], $30::text[])"
		"  AS c(item, id, instance_id) JOIN won USING (item)"
		" WHERE o.id = ANY (ARRAY[c.id]) AND o.instance_id = c.instance_id"
		" RETURNING o.id),"
		"owed AS ("
		" INSERT INTO {outbox}(id, instance_id, destination, key, reason, owner,"
		"  due_ms, created_ms, lease_until_ms, claims, state, attempt, kind, body,"
		"  headers)"
		" SELECT m.id, m.instance_id, m.destination, m.key, m.reason,"
		"  CASE WHEN m.delay_ms = 0 AND m.state = 0 THEN owner END,"
		"  " DELAY_END ", now,"
		"  CASE WHEN m.delay_ms = 0 AND m.state = 0 AND owner IS NOT NULL"
		"   THEN " LEASE_END " ELSE 0 END,"
		"  0, m.state, m.attempt, m.kind, m.body, m.headers"
		" FROM committer CROSS JOIN unnest($31::bigint[], $32::text[], $33::text[],"
		"  $34::text[], $35::bytea[], $36::text[], $37::bigint[], $38::integer[],"
		"  $39::integer[], $40::integer[], $41::bytea[], $42::bytea[])"
		"  WITH ORDINALITY AS m(item, " OWED_COLUMNS ", place) JOIN won USING (item)"
		" ORDER BY m.place),"
		"sent AS (DELETE FROM {outbox} WHERE id = ANY ($45::text[])),"
		/* Not what this very commit cancels: a row can be changed only once. */
		"settled AS ("
		" UPDATE {outbox} AS o SET state = m.state, reason = m.reason, owner = NULL,"
		"  lease_until_ms = 0,"
		"  due_ms = CASE m.state WHEN 0 THEN " DELAY_END " ELSE o.due_ms END"
		" FROM committer CROSS JOIN unnest($46::text[], $47::text[], $48::bigint[],"
		"  $49::integer[]) AS m(id, reason, delay_ms, state)"
		" WHERE o.id = ANY (ARRAY[m.id]) AND o.owner = committer.owner"
		"  AND o.lease_until_ms > now AND o.state <> 1"
		"  AND o.id <> ALL (ARRAY(SELECT id FROM cancelled))) "
		"SELECT item FROM won",
		49},

	[STMT_OUTBOX_PUT] = {"swm_outbox_put",
		"INSERT INTO {outbox}(id, instance_id, destination, key, reason, due_ms,"
		" created_ms, lease_until_ms, claims, state, attempt, kind, body, headers)"
		" SELECT id, instance_id, destination, key, reason, " DELAY_END ","
		"  now, 0, 0, state, attempt, kind, body, headers"
		" FROM (SELECT " NOW " AS now) AS clock CROSS JOIN unnest($1::text[],"
		"  $2::text[], $3::text[], $4::bytea[], $5::text[], $6::bigint[],"
		"  $7::integer[], $8::integer[], $9::integer[], $10::bytea[], $11::bytea[])"
		"  WITH ORDINALITY AS m(" OWED_COLUMNS ", place)"
		" ORDER BY place ON CONFLICT (id) DO NOTHING",
		11},

	/* One row at least: the first column is in how many milliseconds there may be more.
	 * Rows that others are just claiming are looked at again soon. */
	[STMT_OUTBOX_CLAIM] = {"swm_outbox_claim",
		"WITH claimer AS MATERIALIZED ("
		" SELECT $1::text AS owner, $2::bigint AS lease_ms, " NOW " AS now),"
		"due AS MATERIALIZED ("
		" SELECT number FROM {outbox} WHERE " DUE
		" ORDER BY due_ms, number LIMIT $3::bigint FOR UPDATE SKIP LOCKED),"
		"claimed AS ("
		" UPDATE {outbox} AS o SET owner = claimer.owner, lease_until_ms = " LEASE_END
		",  claims = o.claims + 1"
		" FROM claimer CROSS JOIN due WHERE o.number = ANY (ARRAY[due.number])"
		" RETURNING o.*),"
		"later AS MATERIALIZED (SELECT least("
		" (SELECT due_ms FROM {outbox} WHERE state = 0 AND due_ms > " NOW
		"  ORDER BY due_ms LIMIT 1),"
		" (SELECT min(lease_until_ms) FROM {outbox}"
		"  WHERE state = 0 AND due_ms <= " NOW " AND lease_until_ms > " NOW "),"
		" (SELECT " NOW " + 100 FROM {outbox} WHERE " DUE
		"  AND number <> ALL (ARRAY(SELECT number FROM due)) LIMIT 1)) AS at_ms) "
		"SELECT later.at_ms - now, id, instance_id, destination, key, reason,"
		" due_ms, created_ms, lease_until_ms, claims, state, attempt, kind, body,"
		" headers"
		" FROM later CROSS JOIN claimer LEFT JOIN claimed ON true"
		" ORDER BY due_ms, number",
		3},

	[STMT_OUTBOX_REQUEUE] = {"swm_outbox_requeue",
		"UPDATE {outbox} SET state = 0, due_ms = " NOW ", reason = NULL"
		" WHERE id = ANY ($1::text[]) AND state <> 0",
		1},
	[STMT_OUTBOX_DROP] = {"swm_outbox_drop",
		"DELETE FROM {outbox} WHERE id = ANY ($1::text[]) AND state <> 0", 1},

	/* Lists: the first column is where a page that ends here goes on. */
	[STMT_OUTBOX_LIST] = {"swm_outbox_list",
		"SELECT number::text AS page_end, " OUTBOX_COLUMNS " FROM {outbox}"
		" WHERE number > $1::bigint ORDER BY number LIMIT $2::bigint",
		2},
	[STMT_OUTBOX_LIST_DEAD] = {"swm_outbox_list_dead",
		"SELECT number::text AS page_end, " OUTBOX_COLUMNS " FROM {outbox}"
		" WHERE state = 1 AND number > $1::bigint ORDER BY number LIMIT $2::bigint",
		2},

	[STMT_TEMPLATE_INSERT] = {"swm_template_insert",
		"INSERT INTO {definition}(" TEMPLATE_COLUMNS ")"
		" SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[],"
		"  $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bytea[])"
		" ON CONFLICT (id) DO NOTHING",
		9},
	[STMT_TEMPLATE_GET] = {"swm_template_get",
		"SELECT number::text AS page_end, " TEMPLATE_COLUMNS " FROM {definition}"
		" WHERE id = $1::text",
		1},
	[STMT_TEMPLATE_LIST] = {"swm_template_list",
		"SELECT number::text AS page_end, " TEMPLATE_COLUMNS " FROM {definition}"
		" WHERE $1::bigint = 0 OR (component, -version, -number) >"
		"  (SELECT component, -version, -number FROM {definition}"
		"   WHERE number = $1::bigint)"
		" ORDER BY component, version DESC, number DESC LIMIT $2::bigint",
		2},
	[STMT_TEMPLATE_LIST_OF] = {"swm_template_list_of",
		"SELECT number::text AS page_end, " TEMPLATE_COLUMNS " FROM {definition}"
		" WHERE component = $3::text AND ($1::bigint = 0 OR (-version, -number) >"
		"  (SELECT -version, -number FROM {definition} WHERE number = $1::bigint))"
		" ORDER BY version DESC, number DESC LIMIT $2::bigint",
		3},

#define INSTANCE_LIST(component) \
	"SELECT created_ms::text || ':' || id AS page_end, " INSTANCE_COLUMNS \
	" FROM {instance}" \
	" WHERE created_ms <= $1::bigint AND (created_ms < $1::bigint OR id > $2::text)" \
	"  AND ($3::bigint = 0 OR ((1::bigint << status) & $3::bigint) <> 0)" \
	"  AND ($4::text IS NULL OR workflow = $4::text)" \
	"  AND " component "  AND ($6::text IS NULL OR business_ref = $6::text)" \
	"  AND ($7::text IS NULL OR stage = $7::text)" \
	"  AND ($8::text IS NULL OR template_id = $8::text)" \
	"  AND updated_ms >= $9::bigint AND ($10::bigint = 0 OR updated_ms <= $10::bigint)" \
	" ORDER BY created_ms DESC, id LIMIT $11::bigint"
	[STMT_INSTANCE_LIST] = {"swm_instance_list", INSTANCE_LIST("$5::text IS NULL"), 11},
	[STMT_INSTANCE_LIST_OF] = {"swm_instance_list_of",
		INSTANCE_LIST("component = $5::text"), 11},

	/* There is no index on the sequence: it would cost a page for each event written,
	 * and sorting one instance's events when they are read is cheap. */
	[STMT_EVENT_LIST] = {"swm_event_list",
		"SELECT sequence::text AS page_end, " EVENT_COLUMNS " FROM {event}"
		" WHERE instance = (SELECT number FROM {instance} WHERE id = $1::text)"
		"  AND sequence > $2::bigint ORDER BY sequence LIMIT $3::bigint",
		3},

	/* One that is being written is not finished after all, or will be found next time. */
	[STMT_PURGE] = {"swm_purge",
		"WITH finished AS MATERIALIZED ("
		" SELECT number, id FROM {instance}"
		" WHERE ((1::bigint << status) & $1::bigint) <> 0 AND updated_ms < $2::bigint"
		" ORDER BY created_ms LIMIT $3::bigint FOR UPDATE SKIP LOCKED),"
		"forgotten AS ("
		" DELETE FROM {event} AS e USING finished"
		" WHERE e.instance = ANY (ARRAY[finished.number])),"
		"owed AS ("
		" DELETE FROM {outbox} AS o USING finished"
		" WHERE o.instance_id = ANY (ARRAY[finished.id]))"
		"DELETE FROM {instance} AS i USING finished"
		" WHERE i.number = ANY (ARRAY[finished.number])",
		3},
};
