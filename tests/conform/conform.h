/* SPDX-License-Identifier: MIT */
#ifndef SWM_CONFORM_H
#define SWM_CONFORM_H

/*
 * What every test of the conformance kit stands on.
 *
 * A promise of a port header is one row of a table: a tag, the promise in a
 * line, and the function that holds an adapter to it. The function sees an
 * operation table and an opened adapter, and nothing of who made them. What an
 * adapter need not do is decided by its capability bits and its NULL members,
 * never by its name.
 *
 * A test works on names of its own (a random prefix), so that the kit can be
 * pointed at a broker or database that others use too, and leaves what it opened
 * to conform_defer(), since a failed check jumps out of the test.
 *
 * Concurrency. A case belongs to the thread that runs the test. Threads that a
 * test starts use the operation tables alone, put what they found into memory
 * of their own, and never check: the test does, after it has joined them.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include <swm/queue.h>
#include <swm/store.h>

/* How long a test waits for what must come. Generous, since the machine may be
 * loaded: nothing that works comes near it. */
#define CONFORM_PATIENCE_MS 20000

/* A lease that does not end while a test runs, and one that a test waits out. */
#define CONFORM_LONG_LEASE_MS 600000
#define CONFORM_SHORT_LEASE_MS 400

/* How far a clock of the adapter's may lag behind ours within a short wait. */
#define CONFORM_CLOCK_SLACK_MS 50

/* More than most stores take for one instance or row; none has to. */
#define CONFORM_HUGE_BYTES ((size_t)65 * 1024 * 1024)

#define CONFORM_NAME_MAX 64
#define CONFORM_LINE_MAX 1024

struct conform_case;

/* One promise, one test. */
struct conform_test {
	const char *tag;
	const char *promise;
	const char *name;
	void (*run)(struct conform_case *c);
	uint32_t needs;   /* capabilities without which it is skipped */
	uint32_t without; /* capabilities with which it is skipped */
	size_t member;    /* of a MAY member in the operation table; 0: none */
	const char *member_name;
	bool raw; /* opens the adapter itself */
};

#define CONFORM_PROMISE(test_tag, function, text) \
	.tag = (test_tag), .promise = (text), .name = #function, .run = (function)

/* The test is of a MAY member: skipped where that is NULL. */
#define CONFORM_MEMBER(table, name) .member = offsetof(table, name), .member_name = #name

struct conform_group {
	const struct conform_test *tests;
	size_t count;
};

#define CONFORM_GROUP(array) \
	{ \
		.tests = (array), .count = sizeof(array) / sizeof((array)[0]) \
	}

/* The plugin under test, the same for a whole run. */
struct conform_kit {
	const char *program; /* to start helper processes with */
	const char *plugin_file;
	const char *config_file;
	uint32_t kind;
	uint32_t capabilities;
	const struct swm_store_ops *store; /* by kind; the other is NULL */
	const struct swm_queue_ops *queue;
	const void *config;
	const struct swm_host *host;
	int64_t call_timeout_ms;
	size_t many_queues; /* how many queues "many" is */
	size_t body_bytes;  /* the largest body that the broker is to take */
};

enum conform_outcome {
	CONFORM_NOT_RUN,
	CONFORM_FAILED,
	CONFORM_SKIPPED,
	CONFORM_PASSED
};

struct conform_deferred;

/* One test's run. */
struct conform_case {
	const struct conform_kit *kit;
	const struct conform_test *test;
	char title[160]; /* the tag, and why it is skipped */
	bool skipped;
	enum conform_outcome outcome;
	char prefix[20]; /* of every name that the test makes */
	struct swm_error err;
	struct conform_deferred *deferred;
	const struct swm_store_ops *ops; /* stores */
	struct swm_store *store;
	struct swm_session *session;
	const struct swm_queue_ops *qops; /* queues */
	struct swm_queue *queue;
};

/* --- Names and memory (case.c) --- */

/* A string literal or array, without its terminator. */
#define CONFORM_STR(literal) ((struct swm_str){(literal), sizeof(literal) - 1})

struct swm_str conform_str(const char *text);
bool conform_str_is(struct swm_str a, struct swm_str b);

/* The case's prefix and then the text: a name that is nobody else's. Lives as
 * long as the case. */
struct swm_str conform_name(struct conform_case *c, const char *fmt, ...) SWM_PRINTF(2, 3);
bool conform_is_own(const struct conform_case *c, struct swm_str name);

/* Zeroed memory that lives as long as the case. */
void *conform_alloc(struct conform_case *c, size_t count, size_t size);

/* Bytes of every value in an order that depends on the seed. */
struct swm_str conform_bytes(struct conform_case *c, size_t len, uint32_t seed);

/* Calls close(what) when the case ends, last in first out; or now, and then no
 * more. */
void conform_defer(struct conform_case *c, void (*close)(void *what), void *what);
void conform_close_now(struct conform_case *c, void *what);

/* --- Checks (case.c). A failed one ends the test. --- */

const char *conform_status_name(swm_status status);

/* The call returns this status; `c->err` is where it says why. */
#define CONFORM_IS(c, status, call) \
	conform_check_status((c), (status), (call), #call, __FILE__, __LINE__)
#define CONFORM_OK(c, call) conform_check_status((c), SWM_OK, (call), #call, __FILE__, __LINE__)

/* A condition, and a sentence that says what is wrong when it does not hold. */
#define CONFORM_THAT(condition, ...) \
	do { \
		if (!(condition)) { \
			conform_fail(__FILE__, __LINE__, __VA_ARGS__); \
		} \
	} while (0)

void conform_check_status(struct conform_case *c, swm_status wanted, swm_status got,
	const char *call, const char *file, int line);
__attribute__((noreturn)) void conform_fail(const char *file, int line, const char *fmt, ...)
	SWM_PRINTF(3, 4);

/* A line for whoever reads the output. */
void conform_note(const char *fmt, ...) SWM_PRINTF(1, 2);

/* --- Time (case.c); all monotonic, milliseconds. --- */

int64_t conform_now_ms(void);
void conform_sleep_ms(int64_t duration_ms);

/* --- Opening (case.c) --- */

struct swm_open_args conform_open_args(const struct conform_kit *kit, uint32_t flags);

/* Set-up and end of a case: opens what its kind needs, unless the test is raw;
 * closes all that was deferred. SWM_OK or why not, in c->err. */
swm_status conform_case_begin(struct conform_case *c);
void conform_case_end(struct conform_case *c);

/* --- Other processes (child.c) --- */

/* A helper: this program run anew in its hidden mode, so that nothing is shared
 * but what the adapter itself shares. Its lines come over a pipe. */
struct conform_child {
	pid_t pid;
	int in;
	int out;
	size_t have;
	char buffer[CONFORM_LINE_MAX];
	char line[CONFORM_LINE_MAX];
};

/* Arguments end with NULL, at most 8. The case kills the child at its end. */
struct conform_child *conform_spawn(struct conform_case *c, const char *const *args);
void conform_child_tell(struct conform_child *child, const char *word);

/* The next line it says, without the newline; fails the test when none comes. */
const char *conform_child_line(struct conform_child *child);
void conform_child_expect(struct conform_child *child, const char *line);
void conform_child_kill(struct conform_child *child);

/* Waits until it has ended well. */
void conform_child_join(struct conform_child *child);

/* The other side: a helper function, found by its name. */
struct conform_helper {
	const char *name;
	uint32_t kind;
	size_t arg_count;
	int (*run)(const struct conform_kit *kit, char **args);
};

void conform_say(const char *fmt, ...) SWM_PRINTF(1, 2);

/* Waits for a word of the parent's; false when the parent is gone. */
bool conform_heard(char *word, size_t size);
const struct conform_helper *conform_helper_find(uint32_t kind, const char *name);

extern const struct conform_helper conform_store_helpers[];
extern const struct conform_helper conform_queue_helpers[];

/* --- The plugin (load.c) --- */

/* Loads through the project's loader and checks the section with its option
 * table. Prints why it cannot. What it fills lives until conform_unload(). */
struct conform_loaded;
swm_status conform_load(struct conform_kit *kit, const char *plugin_file,
	const char *config_file, struct conform_loaded **out);
void conform_unload(struct conform_loaded *loaded);

/* --- The tables --- */

extern const struct conform_group conform_store_life;
extern const struct conform_group conform_store_load;
extern const struct conform_group conform_store_commit;
extern const struct conform_group conform_store_race;
extern const struct conform_group conform_store_lease;
extern const struct conform_group conform_store_mark;
extern const struct conform_group conform_store_park;
extern const struct conform_group conform_store_template;
extern const struct conform_group conform_store_list;

extern const struct conform_group conform_queue_publish;
extern const struct conform_group conform_queue_settle;
extern const struct conform_group conform_queue_lease;
extern const struct conform_group conform_queue_wake;
extern const struct conform_group conform_queue_source;
extern const struct conform_group conform_queue_crowd;

#endif
