/* SPDX-License-Identifier: MIT */

/*
 * swm-conform: holds a plugin to the promises of its port and says in TAP which
 * it keeps. The tables of tests are flat lists of (tag, promise, function), so
 * that --list is the specification and a run its proof.
 */

#include "conform.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A test that takes longer hangs. */
#define TEST_MAX_S 180

#define MANY_QUEUES 100
#define MANY_QUEUES_MAX 100000

#define BODY_BYTES ((size_t)256 * 1024)
#define BODY_BYTES_MAX ((size_t)1024 * 1024)

static const struct conform_group *const store_groups[] = {
	&conform_store_life,
	&conform_store_load,
	&conform_store_commit,
	&conform_store_race,
	&conform_store_lease,
	&conform_store_mark,
	&conform_store_park,
	&conform_store_template,
	&conform_store_list,
	NULL,
};

static const struct conform_group *const queue_groups[] = {
	&conform_queue_publish,
	&conform_queue_settle,
	&conform_queue_lease,
	&conform_queue_wake,
	&conform_queue_source,
	&conform_queue_crowd,
	NULL,
};

static const char usage_text[] =
	"Usage: swm-conform [OPTION]... PLUGIN.so CONFIG.json\n"
	"       swm-conform --list\n"
	"Holds a store or queue plugin to the promises of its port, and prints TAP.\n"
	"CONFIG.json is the plugin's own section of the configuration: its options.\n"
	"\n"
	"  --list         print every promise: its tag, the test's name, the promise\n"
	"  --only TAG     only the tests whose tag begins so; may be repeated\n"
	"  --queues N     how many queues a consumer listens to when there are very\n"
	"                 many (100)\n"
	"  --body N       the largest body that the broker is to take, in bytes (262144)\n"
	"  --help         this text\n"
	"\n"
	"Example:\n"
	"  echo '{\"path\": \"/tmp/store.db\"}' > store.json\n"
	"  swm-conform /usr/lib/swm/plugins/store-sqlite.so store.json\n"
	"\n"
	"Exit status: 0 all promises kept, 1 some are not, 2 the command line,\n"
	"4 the plugin or its configuration cannot be loaded.\n";

#define ONLY_MAX 32

struct command {
	const char *only[ONLY_MAX];
	size_t only_count;
	size_t many_queues;
	size_t body_bytes;
	const char *helper;
	bool list;
};

/* Whether an earlier test has the same tag. */
static bool is_repeated(const struct conform_group *const *groups, size_t group, size_t place)
{
	const char *tag = groups[group]->tests[place].tag;
	for (size_t i = 0; i <= group; i++) {
		size_t end = i < group ? groups[i]->count : place;
		for (size_t j = 0; j < end; j++) {
			if (strcmp(groups[i]->tests[j].tag, tag) == 0) {
				return true;
			}
		}
	}
	return false;
}

static bool tags_are_sound(const struct conform_group *const *groups, const char *port)
{
	bool sound = true;
	for (size_t i = 0; groups[i] != NULL; i++) {
		for (size_t j = 0; j < groups[i]->count; j++) {
			const struct conform_test *test = &groups[i]->tests[j];
			if (strncmp(test->tag, port, strlen(port)) != 0 ||
				*test->promise == '\0') {
				(void)fprintf(stderr, "%s: no tag and promise of the %s port\n",
					test->name, port);
				sound = false;
			}
			if (is_repeated(groups, i, j)) {
				(void)fprintf(stderr, "%s: one tag, two tests\n", test->tag);
				sound = false;
			}
		}
	}
	return sound;
}

static void list_groups(const struct conform_group *const *groups)
{
	for (size_t i = 0; groups[i] != NULL; i++) {
		for (size_t j = 0; j < groups[i]->count; j++) {
			const struct conform_test *test = &groups[i]->tests[j];
			(void)printf("%s\t%s\t%s\n", test->tag, test->name, test->promise);
		}
	}
}

static int list_all(void)
{
	list_groups(store_groups);
	list_groups(queue_groups);
	bool stores = tags_are_sound(store_groups, "store");
	return tags_are_sound(queue_groups, "queue") && stores ? 0 : 1;
}

/* --- One test --- */

static const struct {
	uint32_t kind;
	uint32_t bit;
	const char *name;
} capabilities[] = {
	{SWM_PLUGIN_STORE, SWM_STORE_SHARED, "SWM_STORE_SHARED"},
	{SWM_PLUGIN_QUEUE, SWM_QUEUE_EXTEND, "SWM_QUEUE_EXTEND"},
	{SWM_PLUGIN_QUEUE, SWM_QUEUE_ATTEMPTS, "SWM_QUEUE_ATTEMPTS"},
};

static const char *capability_name(uint32_t kind, uint32_t bits)
{
	for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
		if (capabilities[i].kind == kind && (capabilities[i].bit & bits) != 0) {
			return capabilities[i].name;
		}
	}
	return "a capability";
}

/* False when the adapter's table lacks a MAY member that the test is of. */
static bool has_member(const struct conform_case *c)
{
	const struct conform_kit *kit = c->kit;
	const char *ops = kit->kind == SWM_PLUGIN_STORE ? (const char *)kit->store
							: (const char *)kit->queue;
	void (*member)(void) = NULL;
	if (c->test->member == 0) {
		return true;
	}
	memcpy(&member, ops + c->test->member, sizeof(member));
	return member != NULL;
}

/* Decides whether a test is skipped, by what the adapter says it can do and by
 * nothing else; the title then says so. */
static void judge_case(struct conform_case *c)
{
	const struct conform_test *test = c->test;
	uint32_t lacks = test->needs & ~c->kit->capabilities;
	uint32_t has = test->without & c->kit->capabilities;
	const char *how = "";
	const char *what = "";
	if (lacks != 0 || has != 0) {
		how = lacks != 0 ? " # SKIP without " : " # SKIP with ";
		what = capability_name(c->kit->kind, lacks != 0 ? lacks : has);
	} else if (!has_member(c)) {
		how = " # SKIP without ";
		what = test->member_name;
	}
	c->skipped = *how != '\0';
	/* cmocka 1.1.5 reports its own skip() as "not ok", so a skipped test says so in
	 * its name, as TAP has it, and passes. */
	(void)snprintf(c->title, sizeof(c->title), "%s%s%s", test->tag, how, what);
}

static void hangs(int signal_number)
{
	static const char text[] = "Bail out! a test does not end\n";
	(void)signal_number;
	(void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
	_exit(1);
}

static int set_up(void **state)
{
	struct conform_case *c = *state;
	c->outcome = CONFORM_FAILED;
	(void)alarm(TEST_MAX_S);
	if (c->skipped) {
		return 0;
	}
	swm_status status = conform_case_begin(c);
	if (status != SWM_OK) {
		conform_note("cannot open the adapter: %s: %s", conform_status_name(status),
			c->err.message);
		conform_case_end(c);
	}
	return status == SWM_OK ? 0 : -1;
}

static void hold_to_promise(void **state)
{
	struct conform_case *c = *state;
	if (c->skipped) {
		c->outcome = CONFORM_SKIPPED;
		return;
	}
	c->test->run(c);
	c->outcome = CONFORM_PASSED;
}

static int tear_down(void **state)
{
	conform_case_end(*state);
	(void)alarm(0);
	return 0;
}

/* --- A run --- */

static bool is_wanted(const struct command *command, const char *tag)
{
	for (size_t i = 0; i < command->only_count; i++) {
		if (strncmp(tag, command->only[i], strlen(command->only[i])) == 0) {
			return true;
		}
	}
	return command->only_count == 0;
}

static size_t choose_tests(const struct conform_group *const *groups,
	const struct command *command, const struct conform_kit *kit,
	struct conform_case *cases)
{
	size_t count = 0;
	for (size_t i = 0; groups[i] != NULL; i++) {
		for (size_t j = 0; j < groups[i]->count; j++) {
			if (!is_wanted(command, groups[i]->tests[j].tag)) {
				continue;
			}
			if (cases != NULL) {
				cases[count].kit = kit;
				cases[count].test = &groups[i]->tests[j];
			}
			count++;
		}
	}
	return count;
}

static int summarise(const struct conform_case *cases, size_t count)
{
	size_t passed = 0;
	size_t failed = 0;
	size_t skipped = 0;
	for (size_t i = 0; i < count; i++) {
		if (cases[i].outcome == CONFORM_PASSED) {
			passed++;
		} else if (cases[i].outcome == CONFORM_SKIPPED) {
			skipped++;
		} else {
			conform_note(
				"broken: %s (%s)", cases[i].test->tag, cases[i].test->promise);
			failed++;
		}
	}
	conform_note("%zu passed, %zu failed, %zu skipped", passed, failed, skipped);
	return failed == 0 ? 0 : 1;
}

static int run_all(const struct conform_kit *kit, const struct command *command)
{
	const struct conform_group *const *groups =
		kit->kind == SWM_PLUGIN_STORE ? store_groups : queue_groups;
	size_t count = choose_tests(groups, command, kit, NULL);
	if (count == 0) {
		(void)fprintf(
			stderr, "swm-conform: no tag begins so; see swm-conform --list\n");
		return 2;
	}
	struct conform_case *cases = calloc(count, sizeof(*cases));
	struct CMUnitTest *tests = calloc(count, sizeof(*tests));
	if (cases == NULL || tests == NULL) {
		(void)fprintf(stderr, "swm-conform: out of memory\n");
		free(cases);
		free(tests);
		return 4;
	}
	(void)choose_tests(groups, command, kit, cases);
	for (size_t i = 0; i < count; i++) {
		tests[i] = (struct CMUnitTest)cmocka_unit_test_prestate_setup_teardown(
			hold_to_promise, set_up, tear_down, &cases[i]);
		judge_case(&cases[i]);
		tests[i].name = cases[i].title;
	}
	(void)signal(SIGALRM, hangs);
	(void)_cmocka_run_group_tests("conform", tests, count, NULL, NULL);
	int status = summarise(cases, count);
	free(tests);
	free(cases);
	return status;
}

static int run_helper(const struct conform_kit *kit, const char *name, char **args, int count)
{
	const struct conform_helper *helper = conform_helper_find(kit->kind, name);
	if (helper == NULL || (size_t)count != helper->arg_count) {
		(void)fprintf(
			stderr, "swm-conform: no helper %s with %d arguments\n", name, count);
		return 2;
	}
	(void)alarm(TEST_MAX_S);
	return helper->run(kit, args);
}

static bool parse_count(const char *text, size_t most, size_t *out)
{
	char *end = NULL;
	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < 1 || value > most) {
		return false;
	}
	*out = value;
	return true;
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct command *command)
{
	static const struct option options[] = {
		{"list", no_argument, NULL, 'l'},
		{"only", required_argument, NULL, 'o'},
		{"queues", required_argument, NULL, 'q'},
		{"body", required_argument, NULL, 'b'},
		{"helper", required_argument, NULL, 'H'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;
	/* "+": what follows PLUGIN and CONFIG belongs to a helper. */
	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (option == 'l') {
			command->list = true;
		} else if (option == 'o' && command->only_count < ONLY_MAX) {
			command->only[command->only_count++] = optarg;
		} else if ((option == 'q' && parse_count(optarg, MANY_QUEUES_MAX,
						     &command->many_queues)) ||
			   (option == 'b' &&
				   parse_count(optarg, BODY_BYTES_MAX, &command->body_bytes))) {
			continue;
		} else if (option == 'H') {
			command->helper = optarg;
		} else if (option == 'h') {
			(void)fputs(usage_text, stdout);
			return 0;
		} else {
			(void)fputs(usage_text, stderr);
			return 2;
		}
	}
	return -1;
}

int main(int argc, char **argv)
{
	struct command command = {.many_queues = MANY_QUEUES, .body_bytes = BODY_BYTES};
	int status = parse(argc, argv, &command);
	if (status >= 0) {
		return status;
	}
	if (command.list) {
		return list_all();
	}
	if (argc - optind < 2 || (command.helper == NULL && argc - optind > 2)) {
		(void)fputs(usage_text, stderr);
		return 2;
	}
	if (getenv("CMOCKA_MESSAGE_OUTPUT") == NULL) {
		cmocka_set_message_output(CM_OUTPUT_TAP);
	}
	struct conform_kit kit = {.program = "/proc/self/exe",
		.plugin_file = argv[optind],
		.config_file = argv[optind + 1],
		.many_queues = command.many_queues,
		.body_bytes = command.body_bytes};
	/* A helper that has died is found out by what it does not say. */
	(void)signal(SIGPIPE, SIG_IGN);
	struct conform_loaded *loaded = NULL;
	if (conform_load(&kit, kit.plugin_file, kit.config_file, &loaded) != SWM_OK) {
		return 4;
	}
	if (command.helper != NULL) {
		status = run_helper(&kit, command.helper, argv + optind + 2, argc - optind - 2);
	} else {
		status = run_all(&kit, &command);
	}
	conform_unload(loaded);
	return status;
}
