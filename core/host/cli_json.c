/* SPDX-License-Identifier: MIT */

/* See cli_json.h. */

#include "cli_json.h"

#include "document.h"
#include "json_out.h"

#include <stdlib.h>
#include <string.h>

/* The longest key with its ending; keys are literals of ours. */
#define KEY_MAX 64

void swm_cli_json_init(struct swm_cli_json *json)
{
	json->object = json_object();
}

void swm_cli_json_finish(struct swm_cli_json *json)
{
	json_decref(json->object);
	json->object = NULL;
}

void swm_cli_json_add(struct swm_cli_json *json, const char *key, json_t *value)
{
	/* jansson refuses NULL values and NULL objects alike */
	if (json_object_set_new(json->object, key, value) != 0) {
		swm_cli_json_finish(json);
	}
}

/* RFC 4648, section 4. */
static char *base64(struct swm_str bytes)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc((bytes.len + 2) / 3 * 4 + 1);
	if (text == NULL) {
		return NULL;
	}
	char *at = text;
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t have = bytes.len - i < 3 ? bytes.len - i : 3;
		unsigned group = 0;
		for (size_t k = 0; k < 3; k++) {
			unsigned byte = k < have ? (unsigned char)bytes.ptr[i + k] : 0;
			group = group << 8 | byte;
		}
		*at++ = digits[group >> 18];
		*at++ = digits[group >> 12 & 63];
		*at++ = '=';
		*at++ = '=';
		if (have > 1) {
			at[-2] = digits[group >> 6 & 63];
		}
		if (have > 2) {
			at[-1] = digits[group & 63];
		}
	}
	*at = '\0';
	return text;
}

void swm_cli_json_add_text(struct swm_cli_json *json, const char *key, struct swm_str text)
{
	if (text.ptr == NULL) {
		return;
	}
	/* NULL when it is not UTF-8; out of memory comes out below as well */
	json_t *value = json_stringn(text.ptr, text.len);
	if (value != NULL) {
		swm_cli_json_add(json, key, value);
		return;
	}
	char *encoded = base64(text);
	char name[KEY_MAX];
	(void)snprintf(name, sizeof(name), "%s_base64", key);
	swm_cli_json_add(json, name, json_string(encoded));
	free(encoded);
}

void swm_cli_json_add_time(struct swm_cli_json *json, const char *key, int64_t at_ms)
{
	if (at_ms != 0) {
		char text[SWM_TIME_MAX];
		swm_time_write(at_ms, text);
		swm_cli_json_add(json, key, json_string(text));
	}
}

swm_status swm_cli_json_print(const struct swm_out *out, json_t *value)
{
	size_t len = 0;
	char *text = value != NULL ? swm_json_text(value, &len) : NULL;
	if (text == NULL) {
		return SWM_E_NOMEM;
	}
	(void)fwrite(text, 1, len, out->file);
	(void)fputc('\n', out->file);
	free(text);
	return SWM_OK;
}
