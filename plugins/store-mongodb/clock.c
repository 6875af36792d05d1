/* SPDX-License-Identifier: MIT */

/* The server's time; see clock.h. Concurrency: confined to the session's thread. */

#include "clock.h"

#include "status.h"

enum {
	/* Two good clocks drift apart by less than a millisecond in that time, and a new
	 * primary's clock counts soon. */
	ASK_AGAIN_MS = 10000,
	COMMAND_NOT_FOUND = 59
};

/* A server that does not know the newer name of the command knows the older one. */
static swm_status ask(struct wire *wire, bson_t *answer, struct swm_error *err)
{
	static const char *const names[] = {"hello", "isMaster"};
	struct swm_error error = {0};
	swm_status status = SWM_OK;

	for (size_t i = 0; i < 2; i++) {
		bson_t *command = BCON_NEW(names[i], BCON_INT32(1));

		status = wire_command(
			wire, "admin", command, WIRE_READS, "ask for the time", answer, &error);
		bson_destroy(command);
		if (status == SWM_OK || error.native != COMMAND_NOT_FOUND) {
			break;
		}
		if (i == 0) {
			bson_destroy(answer);
		}
	}
	if (status != SWM_OK && err) {
		*err = error;
	}
	return status;
}

swm_status clock_set(
	struct clock *clock, struct wire *wire, bson_t *answer, struct swm_error *err)
{
	bson_t own = BSON_INITIALIZER;
	bson_t *reply = answer ? answer : &own;
	int64_t before_ms = wire_now_ms();
	bson_iter_t iter;

	if (!answer && clock->asked_ms > 0 && before_ms - clock->asked_ms < ASK_AGAIN_MS) {
		return SWM_OK;
	}
	swm_status status = ask(wire, reply, err);
	int64_t after_ms = wire_now_ms();
	if (status == SWM_OK && (!bson_iter_init_find(&iter, reply, "localTime") ||
					!BSON_ITER_HOLDS_DATE_TIME(&iter))) {
		status = swm_fail(err, SWM_E_CONFIG, 0,
			"%s: the server does not say what time it is", wire->where);
	}
	if (status == SWM_OK) {
		int64_t server_ms = bson_iter_date_time(&iter);

		*clock = (struct clock){server_ms - after_ms, server_ms - before_ms, after_ms};
	}
	if (!answer || status != SWM_OK) {
		bson_destroy(reply);
	}
	return status;
}

int64_t clock_earliest_ms(const struct clock *clock)
{
	return wire_now_ms() + clock->earliest;
}

int64_t clock_latest_ms(const struct clock *clock)
{
	return wire_now_ms() + clock->latest;
}
