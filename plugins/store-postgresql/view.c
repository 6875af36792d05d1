/* SPDX-License-Identifier: MIT */

/*
 * The view of instances as documents, for people with SQL: each row is an instance, and
 * `document` is what `swm show -o json` prints, the template's text with the statuses
 * filled in.
 *
 * The core keeps of an instance what changes, by position in its template, as one JSON
 * object: {"f":1,"seq":…,"stage":…,"flags":…,"data":…,"tasks":[[status, attempt, time,
 * flags, base, resends, "reason"], …]}, where trailing zeros are left out. Stages are
 * counted in the order of stage_order, tasks stage after stage. A body of another format
 * gives a NULL document; a release that writes one brings its view with it. A test
 * compares both.
 *
 * Concurrency: none.
 */

#include "store.h"

#define ISO "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'"

/* The tasks of one stage; `state` is what the body has of a task. */
#define TASKS \
	"SELECT jsonb_agg('{\"task_type\": \"SERVICE\", \"parent_task\": []}'::jsonb || task" \
	"  || jsonb_build_object('status', CASE state->>0 WHEN '0' THEN 'PENDING'" \
	"   WHEN '1' THEN 'SCHEDULED' WHEN '2' THEN 'COMPLETED' WHEN '3' THEN 'FAILED' END)" \
	"  || CASE WHEN coalesce((state->>1)::bigint, 0) = 0 THEN '{}'::jsonb" \
	"   ELSE jsonb_build_object('attempt', state->1," \
	"    'reason', coalesce(state->>6, '')," \
	"    'last_updated_time', to_char(to_timestamp(" \
	"     coalesce((state->>2)::bigint, 0) / 1000.0) AT TIME ZONE 'UTC', " ISO ")) END" \
	"  || CASE WHEN coalesce((state->>3)::bigint, 0) & 4 = 0 THEN '{}'::jsonb" \
	"   ELSE '{\"skipped\": true}'::jsonb END" \
	"  ORDER BY place) AS tasks" \
	" FROM (SELECT task, place," \
	"   b.body->'tasks'->(s.first_task + place - 1)::integer AS state" \
	"  FROM jsonb_array_elements(s.stage->'tasks') WITH ORDINALITY AS e(task, place)) AS " \
	"t"

/* All stages, with their place in the document, their position and first task. */
#define STAGES \
	"SELECT stage, place," \
	" row_number() OVER by_order - 1 AS position," \
	" (sum(task_count) OVER by_order - task_count)::bigint AS first_task" \
	" FROM jsonb_array_elements(d.template->'stages') WITH ORDINALITY AS e(stage, place)" \
	" CROSS JOIN LATERAL (SELECT CASE jsonb_typeof(stage->'tasks') WHEN 'array'" \
	"   THEN jsonb_array_length(stage->'tasks') ELSE 0 END) AS n(task_count)" \
	" WINDOW by_order AS (ORDER BY (stage->>'stage_order')::numeric)"

const char *const store_document_view =
	"CREATE OR REPLACE VIEW {document} AS"
	" SELECT i.id, i.component AS component_name, i.business_ref AS business_ref_no,"
	"  i.workflow AS workflow_name, names.status, i.stage, i.business_status,"
	"  to_timestamp(i.created_ms / 1000.0) AS created_at,"
	"  to_timestamp(i.updated_ms / 1000.0) AS updated_at,"
	"  CASE WHEN b.body IS NOT NULL THEN"
	"   jsonb_build_object('business_ref_no', i.business_ref)"
	"   || d.template"
	"   || jsonb_build_object('stages', filled.stages, 'status', names.status,"
	"    'business_status', coalesce(i.business_status, ''),"
	"    'template_version', d.version, 'version', i.sequence,"
	"    'updated_at', to_char(to_timestamp(i.updated_ms / 1000.0)"
	"     AT TIME ZONE 'UTC', " ISO "))"
	"   || CASE WHEN b.body ? 'data' THEN jsonb_build_object('data', b.body->'data')"
	"    ELSE '{}'::jsonb END"
	"  END AS document"
	" FROM {instance} AS i"
	" LEFT JOIN LATERAL (SELECT version, convert_from(body, 'UTF8')::jsonb AS template"
	"  FROM {definition} AS t WHERE t.id = i.template_id) AS d ON true"
	" CROSS JOIN LATERAL (SELECT CASE"
	"  WHEN substring(i.body FROM 1 FOR 7) = '{\"f\":1,'::bytea"
	"  THEN convert_from(i.body, 'UTF8')::jsonb END AS body) AS b"
	" CROSS JOIN LATERAL (SELECT CASE i.status"
	"  WHEN 1 THEN 'ACTIVE' WHEN 2 THEN 'FAILED' WHEN 3 THEN 'PAUSED'"
	"  WHEN 4 THEN 'COMPLETED' WHEN 5 THEN 'CANCELLED' END AS status) AS names"
	" CROSS JOIN LATERAL (SELECT jsonb_agg(s.stage"
	"   || jsonb_build_object('status', CASE"
	"    WHEN i.sequence = 0 THEN 'NOT STARTED'"
	"    WHEN s.position < (b.body->>'stage')::bigint THEN 'COMPLETED'"
	"    WHEN s.position = (b.body->>'stage')::bigint THEN 'ACTIVE'"
	"    ELSE 'NOT STARTED' END)"
	"   || CASE WHEN filled_tasks.tasks IS NULL THEN '{}'::jsonb"
	"    ELSE jsonb_build_object('tasks', filled_tasks.tasks) END"
	"   ORDER BY s.place) AS stages"
	"  FROM (" STAGES ") AS s"
	"  CROSS JOIN LATERAL (" TASKS ") AS filled_tasks) AS filled";
