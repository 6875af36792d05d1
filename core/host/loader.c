/* SPDX-License-Identifier: MIT */

/*
 * See loader.h. This is the one file that knows dlopen. RTLD_LOCAL, and no
 * RTLD_DEEPBIND: a plugin's symbols stay its own, ours are hidden, and sanitizers
 * keep working. Never dlclose: client libraries own threads and once-only state.
 */

#include "loader.h"

#include "error.h"
#include "module_check.h"
#include "text.h"
#include "trust.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* Directories to look in: a search path that is longer was not meant. */
#define DIRECTORIES_MAX 32
#define PLUGIN_NAME_MAX 64

struct loaded {
	struct loaded *next; /* the one opened before */
	struct swm_module module;
	char *file;
	swm_status started; /* when `tried` */
	bool tried;
	struct swm_error start_error;
};

struct swm_loader {
	const struct swm_host *host;
	struct loaded *loaded; /* the newest first */
	char *path;            /* SWM_PLUGIN_PATH, cut into directories */
	const char *directories[DIRECTORIES_MAX];
	size_t directory_count;
};

const char *swm_plugin_kind_name(uint32_t kind)
{
	return kind == SWM_PLUGIN_QUEUE ? "queue" : "store";
}

static void add_directory(struct swm_loader *loader, const char *directory)
{
	if (directory[0] != '\0' && loader->directory_count < DIRECTORIES_MAX) {
		loader->directories[loader->directory_count++] = directory;
	}
}

swm_status swm_loader_create(
	const struct swm_host *host, const char *plugin_dir, struct swm_loader **out)
{
	struct swm_loader *loader = calloc(1, sizeof(*loader));
	if (loader == NULL) {
		return SWM_E_NOMEM;
	}
	loader->host = host;
	const char *path = getauxval(AT_SECURE) != 0 ? NULL : getenv("SWM_PLUGIN_PATH");
	if (path != NULL) {
		loader->path = strdup(path);
		if (loader->path == NULL) {
			free(loader);
			return SWM_E_NOMEM;
		}
		char *rest = NULL;
		for (char *one = strtok_r(loader->path, ":", &rest); one != NULL;
			one = strtok_r(NULL, ":", &rest)) {
			add_directory(loader, one);
		}
	}
	if (plugin_dir != NULL) {
		add_directory(loader, plugin_dir);
	}
	add_directory(loader, SWM_PLUGIN_DIR);
	*out = loader;
	return SWM_OK;
}

void swm_loader_destroy(struct swm_loader *loader)
{
	if (loader == NULL) {
		return;
	}
	while (loader->loaded != NULL) {
		struct loaded *loaded = loader->loaded;
		loader->loaded = loaded->next;
		if (loaded->tried && loaded->started == SWM_OK &&
			loaded->module.plugin.unload != NULL) {
			loaded->module.plugin.unload();
		}
		free(loaded->file);
		free(loaded);
	}
	free(loader->path);
	free(loader);
}

/* NULL: it cannot be loaded. The handle is never closed. */
static void *open_object(const char *file, struct swm_error *err)
{
	void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL) {
		const char *reason = dlerror();
		(void)swm_error_set(err, SWM_E_CONFIG, "cannot load it: %s",
			reason != NULL ? reason : "no reason given");
	}
	return handle;
}

/* What the entry function returns is not looked at. */
static swm_status call_entry(
	const char *file, const struct swm_plugin **out, struct swm_error *err)
{
	void *handle = open_object(file, err);
	if (handle == NULL) {
		return SWM_E_CONFIG;
	}
	/* ISO C has no conversion from an object to a function pointer; POSIX promises
	 * that the representations are the same. */
	void *symbol = dlsym(handle, SWM_PLUGIN_ENTRY);
	swm_plugin_entry_fn entry = NULL;
	_Static_assert(sizeof(entry) == sizeof(symbol), "POSIX dlsym");
	memcpy(&entry, &symbol, sizeof(entry));
	if (entry == NULL) {
		/* cppcheck-suppress resourceLeak ; never dlclosed */
		return swm_error_set(err, SWM_E_CONFIG,
			"is no plugin: it has no function %s: %s", SWM_PLUGIN_ENTRY, file);
	}
	*out = entry();
	/* cppcheck-suppress resourceLeak ; never dlclosed */
	return SWM_OK;
}

static swm_status open_checked(struct swm_loader *loader, uint32_t kind, const char *name,
	char *file, const struct swm_module **out, struct swm_error *err)
{
	const struct swm_plugin *descriptor = NULL;
	swm_status status = call_entry(file, &descriptor, err);
	if (status != SWM_OK) {
		return status;
	}
	struct loaded *loaded = calloc(1, sizeof(*loaded));
	if (loaded == NULL) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	status = swm_module_check(descriptor, kind, name, file, &loaded->module, err);
	if (status != SWM_OK) {
		free(loaded);
		return status;
	}
	loaded->file = file;
	loaded->module.file = file;
	loaded->next = loader->loaded;
	loader->loaded = loaded;
	*out = &loaded->module;
	return SWM_OK;
}

/* A plugin that was opened before; it must still be what is asked for. */
static struct loaded *find_loaded(struct swm_loader *loader, const char *file)
{
	struct loaded *loaded = loader->loaded;
	while (loaded != NULL && strcmp(loaded->file, file) != 0) {
		loaded = loaded->next;
	}
	return loaded;
}

static swm_status open_file(struct swm_loader *loader, uint32_t kind, const char *name,
	const char *path, const struct swm_module **out, struct swm_error *err)
{
	char *file = NULL;
	swm_status status = swm_trust_check(path, &file, err);
	if (status != SWM_OK) {
		return status;
	}
	struct loaded *before = find_loaded(loader, file);
	if (before == NULL) {
		status = open_checked(loader, kind, name, file, out, err);
		if (status != SWM_OK) {
			free(file);
		}
		return status;
	}
	status = swm_module_check_identity(&before->module.plugin, kind, name, file, err);
	free(file);
	if (status == SWM_OK) {
		*out = &before->module;
	}
	return status;
}

static bool name_is_valid(const char *name)
{
	size_t len = strlen(name);
	return len > 0 && len <= PLUGIN_NAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

/* SWM_PLUGIN_PATH may have relative directories, for work in a build tree. */
static bool make_path(char *out, const char *directory, const char *base)
{
	char absolute[PATH_MAX];
	if (realpath(directory, absolute) == NULL) {
		return false;
	}
	int len = snprintf(out, PATH_MAX, "%s/%s", absolute, base);
	return len > 0 && len < PATH_MAX;
}

swm_status swm_loader_find(struct swm_loader *loader, uint32_t kind, const char *name,
	const struct swm_module **out, struct swm_error *err)
{
	if (!name_is_valid(name)) {
		return swm_error_set(err, SWM_E_CONFIG,
			"'%.*s' is not the name of a plugin: lower-case letters, digits and "
			"'-' "
			"only",
			PLUGIN_NAME_MAX, name);
	}
	char base[PLUGIN_NAME_MAX + 16];
	(void)snprintf(base, sizeof(base), "%s-%s.so", swm_plugin_kind_name(kind), name);
	for (size_t i = 0; i < loader->directory_count; i++) {
		char path[PATH_MAX];
		if (!make_path(path, loader->directories[i], base)) {
			continue;
		}
		swm_status status = open_file(loader, kind, name, path, out, err);
		if (status != SWM_E_NOT_FOUND) {
			return status;
		}
	}
	return swm_error_set(err, SWM_E_NOT_FOUND,
		"there is no %s in SWM_PLUGIN_PATH, plugin_dir or %s; `swm plugin list` shows "
		"what there is",
		base, SWM_PLUGIN_DIR);
}

swm_status swm_loader_open(struct swm_loader *loader, uint32_t kind, const char *file,
	const struct swm_module **out, struct swm_error *err)
{
	return open_file(loader, kind, NULL, file, out, err);
}

swm_status swm_loader_start(
	struct swm_loader *loader, const struct swm_module *module, struct swm_error *err)
{
	struct loaded *loaded = find_loaded(loader, module->file);
	if (!loaded->tried) {
		struct swm_error reason = {0};
		loaded->tried = true;
		if (module->plugin.load != NULL) {
			loaded->started = module->plugin.load(loader->host, &reason);
		}
		loaded->start_error = reason;
	}
	if (loaded->started != SWM_OK) {
		return swm_error_set(err, loaded->started, "plugin %s cannot be used: %s",
			module->plugin.name, loaded->start_error.message);
	}
	return SWM_OK;
}

/* "queue-NAME.so" or "store-NAME.so". */
static bool parse_base(const char *base, uint32_t *kind, char name[PLUGIN_NAME_MAX + 1])
{
	size_t len = strlen(base);
	bool is_queue = strncmp(base, "queue-", 6) == 0;
	bool is_store = strncmp(base, "store-", 6) == 0;
	if ((!is_queue && !is_store) || len < 10 || len > 9 + PLUGIN_NAME_MAX ||
		strcmp(base + len - 3, ".so") != 0) {
		return false;
	}
	(void)snprintf(name, PLUGIN_NAME_MAX + 1, "%.*s", (int)(len - 9), base + 6);
	*kind = is_queue ? SWM_PLUGIN_QUEUE : SWM_PLUGIN_STORE;
	return name_is_valid(name);
}

static int is_plugin_file(const struct dirent *entry)
{
	uint32_t kind = 0;
	char name[PLUGIN_NAME_MAX + 1];
	return parse_base(entry->d_name, &kind, name) ? 1 : 0;
}

/* Does a directory before the one at `index` have a file of that name? */
static bool is_shadowed(const struct swm_loader *loader, size_t index, const char *base)
{
	for (size_t i = 0; i < index; i++) {
		char path[PATH_MAX];
		if (make_path(path, loader->directories[i], base) && access(path, F_OK) == 0) {
			return true;
		}
	}
	return false;
}

static bool scan_one(struct swm_loader *loader, size_t index, const char *base,
	bool (*each)(void *ctx, const struct swm_candidate *candidate), void *ctx)
{
	char path[PATH_MAX];
	char name[PLUGIN_NAME_MAX + 1];
	struct swm_error err = {0};
	struct swm_candidate candidate = {.file = path, .name = name};
	if (!parse_base(base, &candidate.kind, name) ||
		!make_path(path, loader->directories[index], base)) {
		return true;
	}
	candidate.shadowed = is_shadowed(loader, index, base);
	if (open_file(loader, candidate.kind, name, path, &candidate.module, &err) != SWM_OK) {
		candidate.refusal = err.message;
	}
	return each(ctx, &candidate);
}

swm_status swm_loader_scan(struct swm_loader *loader,
	bool (*each)(void *ctx, const struct swm_candidate *candidate), void *ctx,
	struct swm_error *err)
{
	bool go_on = true;
	for (size_t i = 0; go_on && i < loader->directory_count; i++) {
		struct dirent **entries = NULL;
		int count =
			scandir(loader->directories[i], &entries, is_plugin_file, alphasort);
		if (count < 0 && errno == ENOMEM) {
			return swm_error_set(err, SWM_E_NOMEM, "out of memory");
		}
		for (int k = 0; k < count; k++) {
			go_on = go_on && scan_one(loader, i, entries[k]->d_name, each, ctx);
			free(entries[k]);
		}
		free(entries);
	}
	return SWM_OK;
}
