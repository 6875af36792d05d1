/* SPDX-License-Identifier: MIT */

/* See fuzz_instance.h. */

#include "fuzz_instance.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

char *fuzz_instance_body(const struct swm_instance *instance)
{
	struct swm_json_out out;

	swm_json_out_init(&out, NULL, 0);
	swm_instance_write(instance, &out);
	const size_t len = out.len;
	char *body = fuzz_memory(len + 1);
	swm_json_out_init(&out, body, len);
	swm_instance_write(instance, &out);
	fuzz_that(out.len == len, "a body of %zu bytes, at another time %zu", len, out.len);
	body[len] = '\0';
	return body;
}

struct swm_instance *fuzz_instance_read(const struct swm_template *template, const char *body)
{
	struct swm_instance *instance = NULL;
	struct swm_error err = {0};

	const swm_status status =
		swm_instance_read(template, swm_str_from(body), &instance, &err);
	fuzz_that(status == SWM_OK, "cannot be read back: %s: %s", err.message, body);
	char *again = fuzz_instance_body(instance);
	fuzz_that(strcmp(again, body) == 0, "read back it is %s, not %s", again, body);
	free(again);
	return instance;
}
