/* SPDX-License-Identifier: MIT */

/* The work and what its two halves share; see work.h. */

#include "work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void work_must(swm_status status, const struct swm_error *err, const char *what)
{
	if (status != SWM_OK) {
		power_die("%s: status %d: %s", what, status, err->message);
	}
}

void work_op_begin(struct work *work, enum model_place place, const char *what, bool durable)
{
	model_op_begin(work->model, place, what, durable, work->record->entry_count);
}

void work_op_end(struct work *work)
{
	model_op_end(work->model, work->record->entry_count);
	for (size_t i = 0; i < work->piece_count; i++) {
		free(work->pieces[i]);
	}
	work->piece_count = 0;
}

void work_risk(struct work *work)
{
	struct shim *shim = &work->rig->shim;

	shim->troubles = 0;
	if (work->troubled && !work->doubt[MODEL_STORE] && !work->doubt[MODEL_QUEUE] &&
		chance_percent(&work->chance, 15)) {
		shim->trouble = chance_between(&work->chance, SHIM_FLUSH_FAILS, SHIM_DISK_FULL);
		shim->trouble_in =
			chance_below(&work->chance, shim->trouble == SHIM_FLUSH_FAILS ? 2 : 12);
	}
}

bool work_failed(
	struct work *work, swm_status status, const struct swm_error *err, const char *what)
{
	struct shim *shim = &work->rig->shim;

	shim->trouble = SHIM_WELL;
	if (shim->troubles == 0) {
		work_must(status, err, what);
	}
	work->failures += status != SWM_OK;
	return status != SWM_OK;
}

void work_undo(struct work *work, swm_status status)
{
	model_op_fail(work->model, status == SWM_E_INDOUBT);
	work->doubt[work->model->ops[work->model->op_count - 1].place] =
		status == SWM_E_INDOUBT;
}

void *work_alloc(struct work *work, size_t count, size_t size)
{
	work->pieces = power_grow(
		work->pieces, work->piece_count, &work->piece_room, sizeof(*work->pieces));
	work->pieces[work->piece_count] = power_alloc(count, size);
	return work->pieces[work->piece_count++];
}

struct swm_str work_name(struct work *work, char letter, uint32_t number)
{
	char *text = work_alloc(work, 1, 16);
	int len = snprintf(text, 16, "%c%u", letter, number);

	return (struct swm_str){text, (size_t)len};
}

uint32_t work_number_of(struct swm_str name)
{
	char digits[16] = "";

	if (name.len < 2 || name.len > sizeof(digits)) {
		power_die("an id that is none of ours: %.*s", (int)name.len, name.ptr);
	}
	memcpy(digits, name.ptr + 1, name.len - 1);
	return (uint32_t)strtoul(digits, NULL, 10);
}

struct swm_str work_body(struct work *work)
{
	struct chance *chance = &work->chance;
	size_t len = chance_between(chance, 40, 400);

	if (chance_percent(chance, 2)) {
		len = 0;
	} else if (chance_percent(chance, 8)) {
		len = chance_between(chance, 3000, 20000);
	} else if (work->large && chance_percent(chance, 60)) {
		len = chance_between(chance, 100000, 500000);
	}
	uint64_t *words = work_alloc(work, len / 8 + 1, 8);
	for (size_t i = 0; i <= len / 8; i++) {
		words[i] = chance_draw(chance);
	}
	return (struct swm_str){(const char *)words, len};
}

const struct swm_header *work_headers(struct work *work, size_t *count)
{
	static const char *const names[] = {"ce-type", "swm-attempt"};
	struct swm_header *headers = work_alloc(work, 2, sizeof(*headers));

	*count = chance_below(&work->chance, 3);
	for (size_t i = 0; i < *count; i++) {
		headers[i].name = (struct swm_str){names[i], strlen(names[i])};
		headers[i].value = work_name(work, 'h', chance_below(&work->chance, 1000));
	}
	return headers;
}

void work_visit(struct work *work, const char *file)
{
	char path[POWER_PATH_MAX];
	sqlite3 *handle = NULL;

	power_path(path, sizeof(path), "%s/%s", work->folder, file);
	if (sqlite3_open(path, &handle) != SQLITE_OK ||
		sqlite3_exec(handle, "SELECT * FROM sqlite_schema", NULL, NULL, NULL) !=
			SQLITE_OK ||
		sqlite3_close(handle) != SQLITE_OK) {
		power_die("%s: %s", path, sqlite3_errmsg(handle));
	}
}

void work_open(struct work *work)
{
	work_store_open(work);
	work_queue_open(work);
}

/* A day for all leases to be over; nobody may have a delivery meanwhile. */
static void let_leases_end(struct work *work)
{
	work_consumers_close(work);
	work->rig->now_ms += INT64_C(86400000);
	work_consumers_open(work);
}

/* What is in doubt comes back when SQLite reads the WAL anew, as long as nothing is written
 * behind it; and then the model would have to know. So something is. */
static bool end_doubt(struct work *work)
{
	bool store = work->doubt[MODEL_STORE], queue = work->doubt[MODEL_QUEUE];

	if (store) {
		work_store_write(work);
	}
	if (queue) {
		work_queue_write(work);
	}
	work->doubt[MODEL_STORE] = false;
	work->doubt[MODEL_QUEUE] = false;
	return store || queue;
}

void work_step(struct work *work)
{
	work->rig->now_ms += chance_between(&work->chance, 1, 50);
	if (end_doubt(work)) {
		return;
	}
	if (chance_percent(&work->chance, 3)) {
		let_leases_end(work);
	} else if (chance_percent(&work->chance, 50)) {
		work_store_step(work);
	} else {
		work_queue_step(work);
	}
}

void work_close(struct work *work)
{
	work_store_close(work);
	work_queue_close(work);
	free(work->pieces);
	work->pieces = NULL;
	work->piece_room = 0;
}
