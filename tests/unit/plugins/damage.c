/* SPDX-License-Identifier: MIT */

/* What a disk may do to a file; see damage.h. Concurrency: the test's thread. */

#include "damage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
	PAGE_BYTES = 4096
};

void damage(const char *path)
{
	char page[PAGE_BYTES];
	FILE *file = fopen(path, "r+e");

	memset(page, 0x5a, sizeof(page));
	assert_non_null(file);
	assert_int_equal(fseek(file, 0, SEEK_END), 0);
	assert_int_equal(fseek(file, ftell(file) / PAGE_BYTES / 2 * PAGE_BYTES, SEEK_SET), 0);
	assert_int_equal(fwrite(page, sizeof(page), 1, file), 1);
	assert_int_equal(fclose(file), 0);
}
