/* SPDX-License-Identifier: MIT */

/*
 * See list.h.
 */

#include "list.h"

#include "must.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool read_number(char **at, char end, uint32_t *out)
{
	char *stop;
	unsigned long value = strtoul(*at, &stop, 10);
	if (stop == *at || (*stop != end && *stop != '\0') || value > UINT32_MAX) {
		return false;
	}
	*out = (uint32_t)value;
	*at = *stop == '\0' ? stop : stop + 1;
	return true;
}

bool list_read(char *text, struct sim_given **out, size_t *count, const char **bad)
{
	struct sim_given *list = NULL;
	size_t used = 0;
	size_t cap = 0;
	while (*text) {
		struct sim_given item = {.what = text};
		*bad = text;
		text += strcspn(text, "@");
		if (*text != '@') {
			goto error_list;
		}
		*text++ = '\0';
		if (!read_number(&text, '=', &item.index) ||
			!read_number(&text, ',', &item.value)) {
			goto error_list;
		}
		SIM_MUST_GROW(list, cap, used + 1);
		list[used] = item;
		used++;
	}
	*out = list;
	*count = used;
	return true;

error_list:
	free(list);
	return false;
}

void list_write(FILE *to, const struct sim_given *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		(void)fprintf(to, "%s%s@%" PRIu32 "=%" PRIu32, i > 0 ? "," : "", list[i].what,
			list[i].index, list[i].value);
	}
}
