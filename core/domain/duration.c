/* SPDX-License-Identifier: MIT */

/* Durations in whole milliseconds, read without floating point. */

#include "duration.h"

#include "swm_limits.h"

#include <string.h>

#define DIGITS_MAX 12

static int64_t unit_ms(const char *unit, size_t len)
{
	static const struct {
		char name[3];
		int64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (len == strlen(units[i].name) && memcmp(unit, units[i].name, len) == 0) {
			return units[i].ms;
		}
	}
	return 0;
}

bool swm_duration_parse(const char *text, size_t len, int64_t *ms)
{
	int64_t value = 0;
	int64_t scale = 1; /* ten to the number of digits behind the point */
	size_t digits = 0;
	size_t i = 0;
	bool point = false;

	for (; i < len && digits <= DIGITS_MAX; i++) {
		if (text[i] >= '0' && text[i] <= '9') {
			value = value * 10 + (text[i] - '0');
			scale *= point ? 10 : 1;
			digits++;
		} else if (text[i] == '.' && !point && digits) {
			point = true;
		} else {
			break;
		}
	}
	bool digit_last = i > 0 && text[i - 1] != '.';
	int64_t unit = unit_ms(text + i, len - i);
	if (!digits || digits > DIGITS_MAX || !digit_last || !unit ||
		value / scale > SWM_DURATION_MAX_MS / unit) {
		return false;
	}
	*ms = value / scale * unit + value % scale * unit / scale;
	return true;
}
