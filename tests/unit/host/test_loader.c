/* SPDX-License-Identifier: MIT */

/*
 * The loader, on real shared objects (tests/abi/fixture.c): what it takes, what it
 * refuses and with which words, and that the adapters over it open and close in order.
 */

#include "support.h"

#include "adapters.h"
#include "loader.h"
#include "services.h"
#include "text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One process, one set of services, as in the real one. */
static struct swm_services services;

static struct swm_loader *create(const char *path)
{
	struct swm_loader *loader = NULL;
	assert_int_equal(setenv("SWM_PLUGIN_PATH", path, 1), 0);
	assert_int_equal(swm_loader_create(&services.host, NULL, &loader), SWM_OK);
	return loader;
}

static void expect_refusal(struct swm_loader *loader, uint32_t kind, const char *name,
	swm_status status, const char *part)
{
	struct swm_error err = {0};
	const struct swm_module *module = NULL;
	assert_int_equal(swm_loader_find(loader, kind, name, &module, &err), status);
	assert_int_equal(err.status, status);
	assert_null(module);
	if (strstr(err.message, part) == NULL) {
		fail_msg("'%s' is not in: %s", part, err.message);
	}
}

static void a_good_plugin_is_copied(void **state)
{
	(void)state;
	struct swm_loader *loader = create(FIXTURE_DIR);
	struct swm_error err = {0};
	const struct swm_module *module = NULL;
	const struct swm_module *again = NULL;
	assert_int_equal(
		swm_loader_find(loader, SWM_PLUGIN_QUEUE, "good", &module, &err), SWM_OK);
	assert_string_equal(module->plugin.name, "good");
	assert_string_equal(module->plugin.version, "1.2.3");
	assert_int_equal(module->queue.size, sizeof(struct swm_queue_ops));
	assert_int_equal(module->queue.capabilities, SWM_QUEUE_EXTEND);
	assert_non_null(module->queue.depth);
	assert_non_null(strstr(module->file, "/queue-good.so"));
	assert_int_equal(
		swm_loader_find(loader, SWM_PLUGIN_QUEUE, "good", &again, &err), SWM_OK);
	assert_ptr_equal(module, again);
	swm_loader_destroy(loader);
}

static void an_older_plugin_reads_as_null(void **state)
{
	(void)state;
	struct swm_loader *loader = create(FIXTURE_DIR);
	struct swm_error err = {0};
	const struct swm_module *module = NULL;
	assert_int_equal(
		swm_loader_find(loader, SWM_PLUGIN_QUEUE, "older", &module, &err), SWM_OK);
	assert_null(module->queue.depth);
	assert_null(module->plugin.unload);
	assert_non_null(module->plugin.load);
	assert_non_null(module->queue.publisher_close);
	assert_int_equal(module->queue.size, offsetof(struct swm_queue_ops, depth));
	swm_loader_destroy(loader);
}

static void what_does_not_fit_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		const char *part;
	} cases[] = {
		{"magic", "its magic is 12345678, not 73776d70"},
		{"major", "was built for ABI 2, this swm has 1"},
		{"newer", "was built for ABI 1.1, this swm has 1.0: update swm"},
		{"null", "returned no descriptor"},
		{"noentry", "it has no function swm_plugin_entry"},
		{"kind", "is a store plugin, not a queue"},
		{"nokind", "is of kind 77"},
		{"other", "calls itself 'another', not 'other'"},
		{"tiny", "its descriptor of 16 bytes is too small"},
		{"short", "lacks publisher_close(), which every queue plugin must have"},
		{"noops", "its operation table of 4 bytes is too small"},
		{"lacks", "lacks publisher_publish(), which every queue plugin must have"},
		{"offset", "option 'limit': its offset lies outside of config_size"},
		{"stride", "its option_size of 8 is wrong"},
	};
	struct swm_loader *loader = create(FIXTURE_DIR);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char file[64];
		(void)snprintf(file, sizeof(file), "queue-%s.so", cases[i].name);
		expect_refusal(
			loader, SWM_PLUGIN_QUEUE, cases[i].name, SWM_E_CONFIG, cases[i].part);
		expect_refusal(loader, SWM_PLUGIN_QUEUE, cases[i].name, SWM_E_CONFIG, file);
	}
	swm_loader_destroy(loader);
	assert_int_equal(swm_metrics_get(&services.metrics, "fixture_loads"), 0);
}

static void names_are_names(void **state)
{
	(void)state;
	struct swm_loader *loader = create(FIXTURE_DIR);
	static const char *const bad[] = {"", "../x", "a/b", "Good", "a.b", "a_b", "a b"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		expect_refusal(loader, SWM_PLUGIN_QUEUE, bad[i], SWM_E_CONFIG,
			"is not the name of a plugin");
	}
	expect_refusal(loader, SWM_PLUGIN_QUEUE, "missing", SWM_E_NOT_FOUND,
		"there is no queue-missing.so");
	expect_refusal(
		loader, SWM_PLUGIN_STORE, "good", SWM_E_NOT_FOUND, "there is no store-good.so");
	swm_loader_destroy(loader);
}

static void files_that_others_can_write_are_refused(void **state)
{
	(void)state;
	static const struct {
		mode_t mode;
		const char *part; /* NULL: fine */
	} cases[] = {
		{0755, NULL},
		{0700, NULL},
		{0444, NULL},
		{0775, "others can write it (mode 0775): chmod go-w "},
		{0757, "others can write it (mode 0757): chmod go-w "},
		{0722, "others can write it (mode 0722): chmod go-w "},
	};
	char *directory = support_directory();
	char *file =
		support_copy(FIXTURE_DIR "/queue-good.so", directory, "queue-good.so", 0755);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct swm_loader *loader = create(directory);
		assert_int_equal(chmod(file, cases[i].mode), 0);
		if (cases[i].part == NULL) {
			const struct swm_module *module = NULL;
			struct swm_error err = {0};
			assert_int_equal(swm_loader_find(loader, SWM_PLUGIN_QUEUE, "good",
						 &module, &err),
				SWM_OK);
			assert_string_equal(module->file, file);
		} else {
			expect_refusal(
				loader, SWM_PLUGIN_QUEUE, "good", SWM_E_DENIED, cases[i].part);
			expect_refusal(loader, SWM_PLUGIN_QUEUE, "good", SWM_E_DENIED, file);
		}
		swm_loader_destroy(loader);
	}
	free(file);
	support_remove(directory);
}

static void directories_that_others_can_write_are_refused(void **state)
{
	(void)state;
	static const struct {
		mode_t mode;
		const char *part; /* NULL: fine */
	} cases[] = {
		{0755, NULL},
		{01777, NULL},
		{0777, "others can write the directory (mode 0777): chmod go-w "},
		{0770, "others can write the directory (mode 0770): chmod go-w "},
	};
	char *directory = support_directory();
	char *file =
		support_copy(FIXTURE_DIR "/queue-good.so", directory, "queue-good.so", 0755);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct swm_loader *loader = create(directory);
		assert_int_equal(chmod(directory, cases[i].mode), 0);
		if (cases[i].part == NULL) {
			const struct swm_module *module = NULL;
			struct swm_error err = {0};
			assert_int_equal(swm_loader_find(loader, SWM_PLUGIN_QUEUE, "good",
						 &module, &err),
				SWM_OK);
		} else {
			expect_refusal(
				loader, SWM_PLUGIN_QUEUE, "good", SWM_E_DENIED, cases[i].part);
		}
		swm_loader_destroy(loader);
	}
	free(file);
	support_remove(directory);
}

static void a_directory_far_above_counts_too(void **state)
{
	(void)state;
	char *top = support_directory();
	char inner[64];
	(void)snprintf(inner, sizeof(inner), "%s/inner", top);
	assert_int_equal(mkdir(inner, 0755), 0);
	char *file = support_copy(FIXTURE_DIR "/queue-good.so", inner, "queue-good.so", 0755);
	assert_int_equal(chmod(top, 0777), 0);
	struct swm_loader *loader = create(inner);
	expect_refusal(loader, SWM_PLUGIN_QUEUE, "good", SWM_E_DENIED, top);
	swm_loader_destroy(loader);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(inner), 0);
	free(file);
	support_remove(top);
}

static void links_and_oddities_are_refused(void **state)
{
	(void)state;
	char *directory = support_directory();
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/queue-link.so", directory);
	assert_int_equal(symlink(FIXTURE_DIR "/queue-good.so", path), 0);
	(void)snprintf(path, sizeof(path), "%s/queue-pipe.so", directory);
	assert_int_equal(mkfifo(path, 0600), 0);
	(void)snprintf(path, sizeof(path), "%s/queue-dir.so", directory);
	assert_int_equal(mkdir(path, 0700), 0);
	char *text = support_file(directory, "queue-text.so", "not a shared object", 0600);
	struct swm_loader *loader = create(directory);
	expect_refusal(loader, SWM_PLUGIN_QUEUE, "link", SWM_E_DENIED, "a symbolic link");
	expect_refusal(loader, SWM_PLUGIN_QUEUE, "pipe", SWM_E_DENIED, "not a regular file");
	expect_refusal(loader, SWM_PLUGIN_QUEUE, "dir", SWM_E_DENIED, "not a regular file");
	expect_refusal(loader, SWM_PLUGIN_QUEUE, "text", SWM_E_CONFIG, "cannot load it");
	swm_loader_destroy(loader);
	free(text);
	support_remove(directory);
}

static void files_of_others_are_refused(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("only root can give a file away\n");
		return;
	}
	char *directory = support_directory();
	char *file =
		support_copy(FIXTURE_DIR "/queue-good.so", directory, "queue-good.so", 0755);
	assert_int_equal(chown(file, 12345, 12345), 0);
	struct swm_loader *loader = create(directory);
	expect_refusal(loader, SWM_PLUGIN_QUEUE, "good", SWM_E_DENIED,
		"it belongs to user 12345, who could change it: chown root ");
	swm_loader_destroy(loader);
	free(file);
	support_remove(directory);
}

static void an_absolute_file_can_be_named(void **state)
{
	(void)state;
	struct swm_loader *loader = create("");
	struct swm_error err = {0};
	const struct swm_module *module = NULL;
	const struct swm_module *again = NULL;
	assert_int_equal(
		swm_loader_open(loader, 0, FIXTURE_DIR "/queue-other.so", &module, &err),
		SWM_OK);
	assert_string_equal(module->plugin.name, "another");
	assert_int_equal(swm_loader_open(loader, SWM_PLUGIN_STORE,
				 FIXTURE_DIR "/queue-other.so", &again, &err),
		SWM_E_CONFIG);
	assert_int_equal(
		swm_loader_open(loader, 0, "queue-other.so", &again, &err), SWM_E_DENIED);
	assert_int_equal(
		swm_loader_open(loader, 0, "/nonexistent/x.so", &again, &err), SWM_E_NOT_FOUND);
	assert_null(again);
	swm_loader_destroy(loader);
}

static void the_first_directory_decides(void **state)
{
	(void)state;
	char *directory = support_directory();
	char *file =
		support_copy(FIXTURE_DIR "/queue-magic.so", directory, "queue-good.so", 0755);
	char path[512];
	(void)snprintf(path, sizeof(path), "/nonexistent:%s:%s", directory, FIXTURE_DIR);
	struct swm_loader *loader = create(path);
	expect_refusal(loader, SWM_PLUGIN_QUEUE, "good", SWM_E_CONFIG, file);
	swm_loader_destroy(loader);
	free(file);
	support_remove(directory);
}

struct seen {
	size_t count;
	size_t refused;
	size_t shadowed;
};

static bool look(void *ctx, const struct swm_candidate *candidate)
{
	struct seen *seen = ctx;
	seen->count++;
	seen->shadowed += candidate->shadowed ? 1 : 0;
	if (candidate->module == NULL) {
		assert_non_null(candidate->refusal);
		seen->refused++;
	}
	return true;
}

static void a_scan_finds_all(void **state)
{
	(void)state;
	char *directory = support_directory();
	char *file =
		support_copy(FIXTURE_DIR "/queue-good.so", directory, "queue-good.so", 0777);
	char *other = support_file(directory, "queue-Bad.so", "", 0600);
	char *third = support_file(directory, "readme.txt", "", 0600);
	char path[512];
	(void)snprintf(path, sizeof(path), "%s:%s", directory, FIXTURE_DIR);
	struct swm_loader *loader = create(path);
	struct seen seen = {0};
	struct swm_error err = {0};
	assert_int_equal(swm_loader_scan(loader, look, &seen, &err), SWM_OK);
	assert_int_equal(seen.count, 1 + FIXTURE_COUNT);
	assert_int_equal(seen.shadowed, 1);
	/* the one that others can write, and all fixtures but good, older, unwilling */
	assert_int_equal(seen.refused, 1 + FIXTURE_COUNT - 3);
	swm_loader_destroy(loader);
	free(file);
	free(other);
	free(third);
	support_remove(directory);
}

static void load_and_unload_happen_once(void **state)
{
	(void)state;
	int64_t loads = swm_metrics_get(&services.metrics, "fixture_loads");
	int64_t unloads = swm_metrics_get(&services.metrics, "fixture_unloads");
	struct swm_loader *loader = create(FIXTURE_DIR);
	struct swm_error err = {0};
	const struct swm_module *good = NULL;
	const struct swm_module *unwilling = NULL;
	assert_int_equal(
		swm_loader_find(loader, SWM_PLUGIN_QUEUE, "good", &good, &err), SWM_OK);
	assert_int_equal(
		swm_loader_find(loader, SWM_PLUGIN_QUEUE, "unwilling", &unwilling, &err),
		SWM_OK);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(swm_loader_start(loader, good, &err), SWM_OK);
		assert_int_equal(swm_loader_start(loader, unwilling, &err), SWM_E_UNSUPPORTED);
		assert_non_null(strstr(err.message, "a fixture does nothing"));
	}
	assert_int_equal(swm_metrics_get(&services.metrics, "fixture_loads"), loads + 2);
	swm_loader_destroy(loader);
	assert_int_equal(swm_metrics_get(&services.metrics, "fixture_unloads"), unloads + 1);
}

/* Two adapters of one fixture, and a third that does not open. */
static const char *const adapters_text =
	"{\"queues\": {\"main\": {\"plugin\": \"good\", \"limit\": 20},"
	"              \"second\": {\"plugin\": \"good\"},"
	"              \"unlucky\": {\"plugin\": \"good\", \"limit\": 13},"
	"              \"wrong\": {\"plugin\": \"good\", \"limit\": 1000, \"greting\": \"x\"},"
	"              \"absent\": {\"plugin\": \"missing\"}}}";

static void adapters_open_when_asked_for(void **state)
{
	(void)state;
	int64_t opens = swm_metrics_get(&services.metrics, "fixture_opens");
	int64_t closes = swm_metrics_get(&services.metrics, "fixture_closes");
	int64_t limit = swm_metrics_get(&services.metrics, "fixture_limit");
	struct swm_problems problems = {0};
	struct swm_config *config = NULL;
	assert_int_equal(
		swm_config_parse(swm_str_from(adapters_text), NULL, &problems, &config),
		SWM_OK);
	struct swm_loader *loader = create(FIXTURE_DIR);
	struct swm_adapters *adapters = NULL;
	assert_int_equal(
		swm_adapters_create(config, loader, &services.host, 0, &adapters), SWM_OK);
	assert_int_equal(swm_metrics_get(&services.metrics, "fixture_opens"), opens);

	struct swm_error err = {0};
	const struct swm_queue_adapter *queue = NULL;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(swm_adapters_queue(adapters, "main", &queue, &err), SWM_OK);
		assert_string_equal(queue->name, "main");
		assert_non_null(queue->ops->consumer_open);
	}
	assert_int_equal(swm_adapters_route(adapters, SWM_STR("any"), &queue, &err), SWM_OK);
	assert_string_equal(queue->name, "main");
	assert_int_equal(swm_adapters_queue(adapters, "second", &queue, &err), SWM_OK);
	assert_int_equal(swm_metrics_get(&services.metrics, "fixture_opens"), opens + 2);
	assert_int_equal(swm_metrics_get(&services.metrics, "fixture_limit"), limit + 20 + 7);

	assert_int_equal(
		swm_adapters_queue(adapters, "unlucky", &queue, &err), SWM_E_UNSUPPORTED);
	assert_string_equal(err.message, "queues/unlucky: a fixture does nothing");
	assert_int_equal(swm_adapters_queue(adapters, "wrong", &queue, &err), SWM_E_CONFIG);
	assert_string_equal(err.message, "/queues/wrong/limit: has to be from 1 to 99");
	assert_int_equal(swm_adapters_queue(adapters, "absent", &queue, &err), SWM_E_CONFIG);
	assert_non_null(strstr(err.message, "/queues/absent/plugin: there is no"));
	assert_int_equal(swm_adapters_queue(adapters, "none", &queue, &err), SWM_E_CONFIG);

	swm_adapters_destroy(adapters);
	assert_int_equal(swm_metrics_get(&services.metrics, "fixture_closes"), closes + 2);
	swm_loader_destroy(loader);
	swm_config_destroy(config);
}

static int set_up(void **state)
{
	(void)state;
	swm_services_init(&services, STDERR_FILENO, SWM_LOG_INFO, SWM_LOG_TEXT);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_plugin_is_copied),
		cmocka_unit_test(an_older_plugin_reads_as_null),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(names_are_names),
		cmocka_unit_test(files_that_others_can_write_are_refused),
		cmocka_unit_test(directories_that_others_can_write_are_refused),
		cmocka_unit_test(a_directory_far_above_counts_too),
		cmocka_unit_test(links_and_oddities_are_refused),
		cmocka_unit_test(files_of_others_are_refused),
		cmocka_unit_test(an_absolute_file_can_be_named),
		cmocka_unit_test(the_first_directory_decides),
		cmocka_unit_test(a_scan_finds_all),
		cmocka_unit_test(load_and_unload_happen_once),
		cmocka_unit_test(adapters_open_when_asked_for),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
