/* SPDX-License-Identifier: MIT */

/*
 * The SQLite discipline that both embedded plugins share: creation, the lock between
 * connections, checkpoints, and which status a failure becomes.
 *
 * Concurrency: one thread; two connections of one process exclude each other like
 * those of two processes.
 */

#include "damage.h"
#include "sqlite_db.h"
#include "status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	APPLICATION_ID = 0x74657374,
	TIMEOUT_MS = 80
};

struct place {
	char directory[64];
	char path[96];
	struct swm_db first;
	struct swm_db second;
	struct swm_error err;
};

static int set_up(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	if (!place) {
		return -1;
	}
	snprintf(place->directory, sizeof(place->directory), "/tmp/swm-test-XXXXXX");
	if (!mkdtemp(place->directory)) {
		free(place);
		return -1;
	}
	snprintf(place->path, sizeof(place->path), "%s/deep/er/file.db", place->directory);
	*state = place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;
	char command[128];

	swm_db_close(&place->first);
	swm_db_close(&place->second);
	snprintf(command, sizeof(command), "rm -rf '%s'", place->directory);
	int result = system(command);
	free(place);
	return result;
}

static void open_file(struct place *place, struct swm_db *db)
{
	assert_int_equal(swm_db_open(db, place->path, SWM_DB_FULL, TIMEOUT_MS, APPLICATION_ID,
				 &place->err),
		SWM_OK);
}

static void write_once(struct place *place, struct swm_db *db, const char *sql)
{
	assert_int_equal(swm_db_begin(db, &place->err), SWM_OK);
	assert_int_equal(swm_db_exec(db, sql, &place->err), SWM_OK);
	assert_int_equal(swm_db_commit(db, &place->err), SWM_OK);
}

static int64_t number(struct swm_db *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;

	assert_int_equal(sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	int64_t value = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return value;
}

static off_t size_of(const struct place *place, const char *suffix)
{
	char path[128];
	struct stat info;

	snprintf(path, sizeof(path), "%s%s", place->path, suffix);
	assert_int_equal(stat(path, &info), 0);
	return info.st_size;
}

static void creates_privately(void **state)
{
	struct place *place = *state;
	const char *const suffixes[] = {"", "-wal", "-shm", "-lock"};

	open_file(place, &place->first);
	write_once(place, &place->first, "CREATE TABLE t(a)");
	for (size_t i = 0; i < 4; i++) {
		char path[128];
		struct stat info;

		snprintf(path, sizeof(path), "%s%s", place->path, suffixes[i]);
		assert_int_equal(stat(path, &info), 0);
		assert_int_equal(info.st_mode & 0777, 0600);
	}
	assert_int_equal(number(&place->first, "PRAGMA synchronous"), 2);
	assert_int_equal(number(&place->first, "PRAGMA wal_autocheckpoint"), 0);
	assert_int_equal(number(&place->first, "PRAGMA application_id"), APPLICATION_ID);
}

static void refuses_a_link(void **state)
{
	struct place *place = *state;
	char link[128];

	open_file(place, &place->first);
	snprintf(link, sizeof(link), "%s/link.db", place->directory);
	assert_int_equal(symlink(place->path, link), 0);
	assert_int_equal(swm_db_open(&place->second, link, SWM_DB_FULL, TIMEOUT_MS,
				 APPLICATION_ID, &place->err),
		SWM_E_CONFIG);
	assert_non_null(strstr(place->err.message, "symbolic link"));
}

/* A hole in a mapped file is a SIGBUS once the disk is full. */
static void maps_no_holes(void **state)
{
	struct place *place = *state;
	char path[128];
	struct stat info;

	open_file(place, &place->first);
	snprintf(path, sizeof(path), "%s-lock", place->path);
	assert_int_equal(stat(path, &info), 0);
	assert_true(info.st_size > 0);
	assert_true(info.st_blocks * 512 >= info.st_size);
}

static void refuses_another_kind(void **state)
{
	struct place *place = *state;

	open_file(place, &place->first);
	swm_db_close(&place->first);
	assert_int_equal(swm_db_open(&place->first, place->path, SWM_DB_FULL, TIMEOUT_MS, 7,
				 &place->err),
		SWM_E_CONFIG);
	assert_non_null(strstr(place->err.message, place->path));
}

static void refuses_noise(void **state)
{
	struct place *place = *state;

	open_file(place, &place->first);
	swm_db_close(&place->first);
	FILE *file = fopen(place->path, "w");
	assert_non_null(file);
	for (int i = 0; i < 5000; i++) {
		fputs("noise", file);
	}
	fclose(file);
	assert_int_equal(swm_db_open(&place->first, place->path, SWM_DB_FULL, TIMEOUT_MS,
				 APPLICATION_ID, &place->err),
		SWM_E_CORRUPT);
}

/* A table of so many rows of about a page each, all of it in the file itself. */
static void fill(struct place *place, int rows)
{
	char sql[160];

	open_file(place, &place->first);
	write_once(place, &place->first, "CREATE TABLE t(a)");
	snprintf(sql, sizeof(sql),
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
		"INSERT INTO t SELECT randomblob(3900) FROM n",
		rows);
	write_once(place, &place->first, sql);
	assert_int_equal(swm_db_checkpoint(&place->first, true, &place->err), SWM_OK);
}

static void finds_damage(void **state)
{
	struct place *place = *state;

	fill(place, 100);
	assert_int_equal(swm_db_check(&place->first, &place->err), SWM_OK);
	swm_db_close(&place->first);
	damage(place->path);
	open_file(place, &place->first);
	assert_int_equal(swm_db_check(&place->first, &place->err), SWM_E_CORRUPT);
	assert_ptr_equal(strstr(place->err.message, place->path), place->err.message);
	assert_non_null(strstr(place->err.message, "backup"));
}

static void leaves_large_files_alone(void **state)
{
	struct place *place = *state;

	fill(place, SWM_DB_CHECK_BYTES / 4096 - 100);
	swm_db_close(&place->first);
	damage(place->path);
	open_file(place, &place->first);
	assert_int_equal(swm_db_check(&place->first, &place->err), SWM_E_CORRUPT);
	write_once(place, &place->first,
		"CREATE TABLE u(a); WITH RECURSIVE n(i) AS "
		"(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) "
		"INSERT INTO u SELECT randomblob(3900) FROM n");
	assert_int_equal(swm_db_check(&place->first, &place->err), SWM_OK);
}

static void one_writer_at_a_time(void **state)
{
	struct place *place = *state;

	open_file(place, &place->first);
	open_file(place, &place->second);
	assert_int_equal(swm_db_begin(&place->first, &place->err), SWM_OK);
	assert_int_equal(swm_db_begin(&place->second, &place->err), SWM_E_TIMEOUT);
	assert_int_equal(swm_db_checkpoint(&place->second, false, &place->err), SWM_E_TIMEOUT);
	swm_db_rollback(&place->first);
	write_once(place, &place->second, "CREATE TABLE t(a)");
	/* A failed statement leaves nothing behind, and no lock either. */
	assert_int_equal(swm_db_begin(&place->first, &place->err), SWM_OK);
	assert_int_equal(swm_db_exec(&place->first, "INSERT INTO t VALUES(1)", NULL), SWM_OK);
	assert_int_not_equal(
		swm_db_exec(&place->first, "INSERT INTO nothing VALUES(1)", &place->err),
		SWM_OK);
	swm_db_rollback(&place->first);
	assert_int_equal(number(&place->second, "SELECT count(*) FROM t"), 0);
	write_once(place, &place->second, "INSERT INTO t VALUES(2)");
	assert_int_equal(number(&place->first, "SELECT count(*) FROM t"), 1);
}

/* Also while a reader of another connection stays where it is. */
static void wal_stays_short(void **state)
{
	struct place *place = *state;
	const off_t limit_bytes = (off_t)2 * SWM_DB_CHECKPOINT_PAGES * 4096;

	open_file(place, &place->first);
	open_file(place, &place->second);
	write_once(place, &place->first, "CREATE TABLE t(a)");
	for (int i = 0; i < 3 * SWM_DB_CHECKPOINT_PAGES / 500; i++) {
		write_once(place, &place->first, "INSERT INTO t VALUES(zeroblob(2000000))");
	}
	assert_true(size_of(place, "-wal") < limit_bytes);

	assert_int_equal(swm_db_read_begin(&place->second, &place->err), SWM_OK);
	assert_true(number(&place->second, "SELECT count(*) FROM t") > 0);
	write_once(place, &place->first, "INSERT INTO t VALUES(1)");
	assert_int_equal(swm_db_checkpoint(&place->first, true, &place->err), SWM_E_TIMEOUT);
	swm_db_read_end(&place->second);
	assert_int_equal(swm_db_checkpoint(&place->first, true, &place->err), SWM_OK);
	assert_int_equal(size_of(place, "-wal"), 0);
}

static void closing_keeps_the_wal(void **state)
{
	struct place *place = *state;

	open_file(place, &place->first);
	write_once(place, &place->first, "CREATE TABLE t(a)");
	swm_db_close(&place->first);
	assert_true(size_of(place, "-wal") > 0);
	open_file(place, &place->first);
	assert_int_equal(number(&place->first, "SELECT count(*) FROM t"), 0);
	swm_db_close(NULL);
}

static void cuts_messages_between_characters(void **state)
{
	struct swm_error err = {0};
	char text[SWM_ERROR_MESSAGE_MAX * 2] = "two\nlines ";

	(void)state;
	size_t length = strlen(text);
	while (length < sizeof(text) - 3) {
		memcpy(text + length, "\xe2\x82\xac", 3);
		length += 3;
	}
	text[length] = '\0';
	assert_int_equal(swm_fail(&err, SWM_E_DENIED, 5, "%s", text), SWM_E_DENIED);
	assert_int_equal(err.status, SWM_E_DENIED);
	assert_int_equal(err.native, 5);
	assert_memory_equal(err.message, "two lines ", 10);
	/* 247 bytes fit: 10, and 79 characters of 3. */
	assert_int_equal(strlen(err.message), 10 + 79 * 3);
	assert_int_equal(swm_fail(NULL, SWM_E_DENIED, 5, "%s", text), SWM_E_DENIED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(creates_privately, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_a_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(maps_no_holes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_another_kind, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_noise, set_up, tear_down),
		cmocka_unit_test_setup_teardown(finds_damage, set_up, tear_down),
		cmocka_unit_test_setup_teardown(leaves_large_files_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_writer_at_a_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(wal_stays_short, set_up, tear_down),
		cmocka_unit_test_setup_teardown(closing_keeps_the_wal, set_up, tear_down),
		cmocka_unit_test(cuts_messages_between_characters),
	};

	return cmocka_run_group_tests_name("sqlite_db", tests, NULL, NULL);
}
