/* SPDX-License-Identifier: MIT */

/*
 * Power loss: power-images STORE-PLUGIN QUEUE-PLUGIN FOLDER [OPTION]...
 *
 *   --images N     crash images to make and judge (1000)
 *   --seed S       of all chance (1)
 *   --shard I/N    only every Nth scenario, beginning with the Ith (0/1)
 *   --only K       only scenario K, all of it
 *   --lose WHAT    flushes to swallow, which then the run must notice: commits (those
 *                  of the WAL outside of checkpoints, as with synchronous=OFF for
 *                  commits), database, journal, folders, all
 *   --state FILE   where it stands; goes on from there
 *   --keep         leaves the first image that is wrong in FOLDER/wrong
 *
 * A scenario works on a fresh pair of files, lets the power fail at many points of what
 * was written, judges images of each, then goes on working in one of them, and so on.
 * FOLDER is a place for files that is fast (nothing of it has to survive). Exit status
 * 0: nothing was wrong, 1: something was, 2: could not be tried. The line on stdout: seed,
 * next scenario, images, wrong ones, writes recorded, operations, operations in flight
 * that were there and that were not, operations reported without durability and gone, operations that failed.
 *
 * Concurrency: one thread.
 */

#include "check.h"
#include "image.h"
#include "work.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	GENERATIONS = 3,
	POINTS = 8,
	VARIANTS = 3,
	FAULTS_SHOWN = 5,
	LARGE_EVERY = 25,   /* scenarios */
	THOROUGH_EVERY = 4, /* images */
	SETTING_UP = 60     /* about so many writes make empty files into databases */
};

struct options {
	const char *folder;
	const char *state;
	uint64_t images, seed, shard, shards;
	uint64_t only;
	bool one, keep;
	uint32_t lose;
};

struct totals {
	uint64_t next; /* scenario */
	uint64_t images;
	uint64_t faults;
	uint64_t writes;
	uint64_t ops;
	uint64_t in_flight_there; /* operations: not yet reported, and yet there */
	uint64_t in_flight_gone;
	uint64_t undone;   /* reported, but not as durable, and gone */
	uint64_t failures; /* of operations, by a disk in trouble */
};

struct run {
	struct options options;
	struct totals totals;
	struct rig rig;
	uint64_t scenario;
	bool done;
};

/* --- Folders --- */

/* Removes the files in a folder, and folders that are empty. */
static void empty_flat(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *item;
	char inner[POWER_PATH_MAX];

	if (!dir) {
		return;
	}
	while ((item = readdir(dir))) {
		if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0) {
			power_path(inner, sizeof(inner), "%s/%s", path, item->d_name);
			(void)remove(inner);
		}
	}
	(void)closedir(dir);
}

/* What images have: two folders with files in them. */
static void empty_folder(const char *path)
{
	static const char *const folders[] = {"store", "queue"};
	char inner[POWER_PATH_MAX];

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		power_path(inner, sizeof(inner), "%s/%s", path, folders[i]);
		empty_flat(inner);
	}
	empty_flat(path);
}

static void fresh_folder(const struct run *run, const char *name, char *out, size_t size)
{
	power_path(out, size, "%s/%s", run->options.folder, name);
	empty_folder(out);
	if (mkdir(out, 0700) != 0 && errno != EEXIST) {
		power_die("%s: %s", out, strerror(errno));
	}
}

/* --- One image --- */

static void show_fault(struct run *run, const struct check *check,
	const struct image_plan *plan, enum check_verdict verdict, uint32_t generation)
{
	char how[160];

	if (run->totals.faults > FAULTS_SHOWN) {
		return;
	}
	image_plan_print(plan, how, sizeof(how));
	(void)fprintf(stderr,
		"%s: scenario %llu, generation %u, before write %zu: %s\n%s"
		"again: power-images STORE QUEUE FOLDER --seed %llu --only %llu --keep\n",
		check_verdict_name(verdict), (unsigned long long)run->scenario, generation,
		check->at, how, check->why, (unsigned long long)run->options.seed,
		(unsigned long long)run->scenario);
}

/* What became of operations that need not have survived. */
static void count_ops(struct totals *totals, const struct check *check)
{
	const struct model *model = check->model;

	for (uint32_t i = 1; i < model->op_count; i++) {
		const struct model_op *op = &model->ops[i];
		bool there = check->ops[op->place] >= i;

		if (op->begins < check->at && op->ends > check->at) {
			totals->in_flight_there += there;
			totals->in_flight_gone += !there;
		} else if (op->begins < op->ends && op->ends <= check->at) {
			totals->undone += !there;
		}
	}
}

static bool judge_image(struct run *run, struct image_disk *disk, struct model *model,
	const struct image_plan *plan, uint32_t generation, uint32_t ops[MODEL_PLACES],
	bool *doubtful)
{
	char folder[POWER_PATH_MAX];
	struct check check = {.rig = &run->rig,
		.model = model,
		.at = disk->at,
		.thorough = run->totals.images % THOROUGH_EVERY == 0};

	fresh_folder(run, "image", folder, sizeof(folder));
	image_write(disk, plan, folder);
	check.folder = folder;
	enum check_verdict verdict = check_image(&check);
	run->totals.images++;
	if (verdict == CHECK_FINE) {
		memcpy(ops, check.ops, sizeof(check.ops));
		*doubtful = check.doubtful;
		count_ops(&run->totals, &check);
		return true;
	}
	run->totals.faults++;
	show_fault(run, &check, plan, verdict, generation);
	if (run->options.keep && run->totals.faults == 1) {
		fresh_folder(run, "wrong", folder, sizeof(folder));
		image_write(disk, plan, folder);
	}
	return false;
}

/* --- One scenario --- */

/* Where the power fails: anywhere, or just when something was reported or flushed, or at
 * the very beginning. */
static size_t draw_point(
	const struct record *record, const struct model *model, struct chance *chance)
{
	uint32_t what = chance_below(chance, 100);
	size_t at = chance_below(chance, record->entry_count + 1);

	if (what < 40) {
		return model->ops[chance_below(chance, model->op_count)].ends;
	}
	if (what < 50 && record->entry_count > SETTING_UP) {
		return chance_below(chance, SETTING_UP);
	}
	if (what < 65) {
		while (at > 0 && record->entries[at - 1].what != RECORD_FLUSHED) {
			at--;
		}
		return at > 0 && chance_percent(chance, 50) ? at - 1 : at;
	}
	return at;
}

static int by_size(const void *a, const void *b)
{
	size_t first = *(const size_t *)a;
	size_t second = *(const size_t *)b;

	return (first > second) - (first < second);
}

/* Judges images of a record. True: all are right, and one of them is in `next`; false as
 * well when it is not known exactly what that one would hold. */
static bool judge_record(struct run *run, const struct record *record, struct model *model,
	struct chance *chance, uint32_t generation, const char *next)
{
	size_t points[POINTS];
	uint32_t chosen = chance_below(chance, POINTS);
	uint32_t ops[MODEL_PLACES], next_ops[MODEL_PLACES] = {0, 0};
	struct image_disk disk;
	bool fine = true, goes_on = false;

	for (size_t i = 0; i < POINTS; i++) {
		points[i] = draw_point(record, model, chance);
	}
	qsort(points, POINTS, sizeof(points[0]), by_size);
	image_begin(&disk, record);
	for (uint32_t i = 0; i < POINTS && !run->done; i++) {
		image_advance(&disk, points[i]);
		for (uint32_t k = 0; k < VARIANTS && !run->done; k++) {
			struct image_plan plan;
			bool doubtful = false;

			image_plan_draw(&plan, chance);
			bool good = judge_image(
				run, &disk, model, &plan, generation, ops, &doubtful);
			fine = fine && good;
			if (i == chosen && k == 0 && good && !doubtful) {
				image_write(&disk, &plan, next);
				memcpy(next_ops, ops, sizeof(ops));
				goes_on = true;
			}
			run->done = run->totals.images == run->options.images;
		}
	}
	image_end(&disk);
	if (goes_on) {
		model_go_back(model, next_ops);
	}
	return fine && goes_on;
}

static void work_on(struct run *run, struct record *record, struct model *model,
	const char *folder, struct chance *chance)
{
	struct work work = {.rig = &run->rig,
		.model = model,
		.record = record,
		.folder = folder,
		.chance = {chance_draw(chance)},
		.large = run->scenario % LARGE_EVERY == LARGE_EVERY - 1,
		.troubled = run->scenario / 2 % 2 == 1};
	uint32_t steps = chance_between(chance, 5, work.large ? 90 : 60);

	run->rig.shim.record = record;
	run->rig.shim.chance = (struct chance){chance_draw(chance)};
	sqlite3_randomness(0, NULL); /* SQLite draws anew */
	work_open(&work);
	for (uint32_t i = 0; i < steps; i++) {
		work_step(&work);
	}
	run->totals.ops += model->op_count;
	run->totals.failures += work.failures;
	run->rig.shim.record = NULL;
	work_close(&work);
}

static void run_scenario(struct run *run)
{
	struct chance chance = {
		chance_mix(run->options.seed) + chance_mix(run->scenario * 2 + 1)};
	struct model model;
	char folders[2][POWER_PATH_MAX];
	bool goes_on = true;

	model_init(&model);
	fresh_folder(run, "work0", folders[0], sizeof(folders[0]));
	for (uint32_t i = 0; i < GENERATIONS && goes_on && !run->done; i++) {
		const char *folder = folders[i % 2];
		char *next = folders[(i + 1) % 2];
		struct record record;

		fresh_folder(run, i % 2 ? "work0" : "work1", next, sizeof(folders[0]));
		record_init(&record, folder);
		work_on(run, &record, &model, folder, &chance);
		run->totals.writes += record.entry_count;
		goes_on = judge_record(run, &record, &model, &chance, i, next);
		record_finish(&record);
	}
	model_finish(&model);
}

/* --- All of them --- */

static void read_state(struct run *run)
{
	FILE *file = run->options.state ? fopen(run->options.state, "re") : NULL;
	unsigned long long seed, values[9];

	if (!file) {
		return;
	}
	if (fscanf(file, "%llu %llu %llu %llu %llu %llu %llu %llu %llu %llu", &seed, &values[0],
		    &values[1], &values[2], &values[3], &values[4], &values[5], &values[6],
		    &values[7], &values[8]) == 10 &&
		seed == run->options.seed) {
		run->totals = (struct totals){values[0], values[1], values[2], values[3],
			values[4], values[5], values[6], values[7], values[8]};
	}
	(void)fclose(file);
}

static void print_totals(const struct run *run, FILE *to)
{
	const struct totals *totals = &run->totals;

	(void)fprintf(to, "%llu %llu %llu %llu %llu %llu %llu %llu %llu %llu\n",
		(unsigned long long)run->options.seed, (unsigned long long)totals->next,
		(unsigned long long)totals->images, (unsigned long long)totals->faults,
		(unsigned long long)totals->writes, (unsigned long long)totals->ops,
		(unsigned long long)totals->in_flight_there,
		(unsigned long long)totals->in_flight_gone, (unsigned long long)totals->undone,
		(unsigned long long)totals->failures);
}

/* Another file first: a kill must not leave half a line. */
static void write_state(const struct run *run)
{
	char path[POWER_PATH_MAX];

	if (!run->options.state) {
		return;
	}
	power_path(path, sizeof(path), "%s.new", run->options.state);
	FILE *file = fopen(path, "we");
	if (!file) {
		power_die("%s: %s", path, strerror(errno));
	}
	print_totals(run, file);
	if (fclose(file) != 0 || rename(path, run->options.state) != 0) {
		power_die("%s: %s", path, strerror(errno));
	}
}

static uint32_t parse_lose(const char *what)
{
	static const struct {
		const char *name;
		uint32_t lose;
	} names[] = {
		{"all", SHIM_LOSE_DATABASE | SHIM_LOSE_WAL | SHIM_LOSE_JOURNAL |
				SHIM_LOSE_FOLDERS},
		{"database", SHIM_LOSE_DATABASE},
		{"commits", SHIM_LOSE_WAL},
		{"journal", SHIM_LOSE_JOURNAL},
		{"folders", SHIM_LOSE_FOLDERS},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i].name, what) == 0) {
			return names[i].lose;
		}
	}
	power_die("--lose: all, commits, database, journal or folders, not %s", what);
}

static struct options parse(int argc, char **argv)
{
	struct options options = {.images = 1000, .seed = 1, .shards = 1, .folder = argv[3]};

	for (int i = 4; i < argc; i++) {
		const char *name = argv[i];

		if (strcmp(name, "--keep") == 0) {
			options.keep = true;
			continue;
		}
		if (++i == argc) {
			power_die("%s: no such option, or no value", name);
		}
		char *end = NULL;
		uint64_t number = strtoull(argv[i], &end, 10);
		if (strcmp(name, "--images") == 0) {
			options.images = number;
		} else if (strcmp(name, "--seed") == 0) {
			options.seed = number;
		} else if (strcmp(name, "--shard") == 0 && *end == '/') {
			options.shard = number;
			options.shards = strtoull(end + 1, NULL, 10);
		} else if (strcmp(name, "--only") == 0) {
			options.one = true;
			options.only = number;
		} else if (strcmp(name, "--lose") == 0) {
			options.lose = parse_lose(argv[i]);
		} else if (strcmp(name, "--state") == 0) {
			options.state = argv[i];
		} else {
			power_die("%s: no such option", name);
		}
	}
	if (options.shards == 0) {
		power_die("--shard: I/N");
	}
	return options;
}

int main(int argc, char **argv)
{
	static struct run run;

	if (argc < 4) {
		power_die("usage: power-images STORE-PLUGIN QUEUE-PLUGIN FOLDER [OPTION]...");
	}
	run.options = parse(argc, argv);
	rig_init(&run.rig, argv[1], argv[2]);
	run.rig.shim.lose = run.options.lose;
	run.totals.next = run.options.shard;
	read_state(&run);
	run.done = run.totals.images >= run.options.images;
	if (run.options.one) {
		run.scenario = run.options.only;
		run.options.images = UINT64_MAX;
		run_scenario(&run);
		run.done = true;
	}
	while (!run.done) {
		run.scenario = run.totals.next;
		run.totals.next += run.options.shards;
		run_scenario(&run);
		write_state(&run);
	}
	print_totals(&run, stdout);
	rig_finish(&run.rig);
	return run.totals.faults == 0 ? 0 : 1;
}
