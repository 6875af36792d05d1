/* SPDX-License-Identifier: MIT */
#ifndef SWM_TESTS_FUZZ_H
#define SWM_TESTS_FUZZ_H

/*
 * What the fuzz targets share. A target is one file, target_NAME.c, with the entry
 * that libFuzzer calls; it says with fuzz_that() what has to be true for any bytes at
 * all. Linked with replay.c instead of libFuzzer it takes the inputs that are kept
 * (corpus/NAME, crashes/NAME) through the same code in every build.
 */

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <swm/types.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process, as a crash that libFuzzer keeps, unless it is true. */
#define fuzz_that(condition, ...) \
	do { \
		if (!(condition)) { \
			fuzz_complain(__FILE__, __LINE__, #condition, __VA_ARGS__); \
			abort(); \
		} \
	} while (0)

/* For fuzz_that(): says what was to be and is not. */
void fuzz_complain(const char *file, int line, const char *condition, const char *fmt, ...)
	SWM_PRINTF(4, 5);

/* Memory, or the end: no target is about allocations that fail. */
void *fuzz_memory(size_t size);

/* A copy from malloc, terminated. */
char *fuzz_copy(struct swm_str text);

/* The input, taken bit by bit; behind its end there are zeros. */
struct fuzz_bytes {
	const uint8_t *at;
	const uint8_t *end;
};

uint8_t fuzz_byte(struct fuzz_bytes *bytes);
uint64_t fuzz_word(struct fuzz_bytes *bytes, size_t count); /* of up to 8 bytes */

/* The next `len` bytes, or as many as there are. */
struct swm_str fuzz_text(struct fuzz_bytes *bytes, size_t len);
struct swm_str fuzz_rest(struct fuzz_bytes *bytes);

/* jansson's own reading of a text, as strict as ours; NULL: it is none. */
json_t *fuzz_jansson(struct swm_str text);

/* Equal, and the members of each object in the same order. */
bool fuzz_same(const json_t *a, const json_t *b);

/* As jansson sees it. */
bool fuzz_utf8(const char *text);

/* A message as it is promised: one line of UTF-8, not empty. */
void fuzz_message(const char *text, size_t cap);

#endif
