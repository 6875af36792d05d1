/* SPDX-License-Identifier: MIT */
/*
 * Identities. The vectors are those of FIPS 180-4 (examples of NIST); the ids were
 * worked out with sha256sum over the length-prefixed parts.
 */

#include "support.h"

static void test_sha256(void **state)
{
	static const struct {
		const char *text;
		const char *hex;
	} rows[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
			"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};
	static char million[1000000];
	char hex[65];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		swm_sha256_hex(str(rows[i].text), hex);
		assert_string_equal(hex, rows[i].hex);
	}
	memset(million, 'a', sizeof(million));
	swm_sha256_hex((struct swm_str){million, sizeof(million)}, hex);
	assert_string_equal(
		hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* printf '\0\0\0\0\0\0\0\2ab\0\0\0\0\0\0\0\1c' | sha256sum | cut -c1-32 */
static void test_id(void **state)
{
	const struct swm_str parts[] = {SWM_STR("ab"), SWM_STR("c")};
	const struct swm_str shifted[] = {SWM_STR("a"), SWM_STR("bc")};
	const struct swm_str more[] = {SWM_STR("ab"), SWM_STR("c"), SWM_STR("")};
	const struct swm_str absent[] = {SWM_STR("ab"), SWM_STR("c"), {NULL, 0}};
	struct swm_id id;
	struct swm_id other;

	(void)state;
	swm_id_of(parts, 2, &id);
	assert_string_equal(id.hex, "601d5476e2ccfe2c87a2bba7a3226597");
	assert_str(swm_id_str(&id), "601d5476e2ccfe2c87a2bba7a3226597");
	swm_id_of(shifted, 2, &other);
	assert_string_not_equal(other.hex, id.hex);
	swm_id_of(more, 3, &other);
	assert_string_not_equal(other.hex, id.hex);
	swm_id_of(absent, 3, &id);
	assert_string_equal(other.hex, id.hex);
	swm_id_of(parts, 0, &id);
	assert_string_equal(id.hex, "e3b0c44298fc1c149afbf4c8996fb924");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_id),
	};

	return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
