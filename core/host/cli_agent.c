/* SPDX-License-Identifier: MIT */

/* swm agent: a command as a task service. */

#include "agent.h"
#include "cli.h"
#include "commands.h"
#include "env_posix.h"
#include "text.h"

struct agent_values {
	const char *queue;
	const char *adapter;
	int64_t jobs;
	int64_t grace_ms;
	int64_t max;
	bool once;
};

/* Opens the queue that tasks come from and the one that answers go to. */
static swm_status open_queues(struct swm_cli *cli, const struct agent_values *values,
	struct swm_agent_config *config, struct swm_error *err)
{
	swm_status status = values->adapter != NULL
				    ? swm_adapters_queue(cli->adapters, values->adapter,
					      &config->tasks, err)
				    : swm_adapters_route(cli->adapters,
					      swm_str_from(values->queue), &config->tasks, err);
	if (status == SWM_OK) {
		status = swm_adapters_queue(
			cli->adapters, cli->config->listen[0].adapter, &config->workflow, err);
	}
	return status;
}

static swm_status run_watched(struct swm_cli *cli, const struct agent_values *values,
	struct swm_agent_config *config, struct swm_error *err)
{
	swm_status status =
		swm_agent_watch_open(config->env, config->stop, &config->watch, err);
	if (status == SWM_OK) {
		status = open_queues(cli, values, config, err);
	}
	if (status == SWM_OK) {
		status = swm_agent_run(config, err);
	}
	swm_agent_watch_close(config->watch);
	return status;
}

static int run_agent(struct swm_cli *cli, const void *values, int argc, char **argv)
{
	(void)argc;
	const struct agent_values *given = values;
	if (given->queue == NULL) {
		return swm_cli_usage(cli, "--queue is missing");
	}
	swm_status status = swm_cli_adapters(cli, 0);
	if (status != SWM_OK) {
		return (int)swm_exit_code(status);
	}
	struct swm_env env;
	struct swm_stop *stop = NULL;
	struct swm_error err = {0};
	swm_env_posix_init(&env, &cli->services.host);
	status = swm_stop_open(&stop, &err);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "%s", err.message);
	}
	struct swm_agent_config config = {
		.env = &env,
		.log = &cli->services.log,
		.stop = stop,
		.queue = given->queue,
		.workflow_queue = cli->config->listen[0].queue,
		.command = argv,
		.jobs = (uint32_t)given->jobs,
		.max_tasks = given->once ? 1 : given->max,
		.grace_ms = given->grace_ms,
		.call_timeout_ms = cli->config->workflow.call_timeout_ms,
		.message_max_bytes = (size_t)cli->config->limits.message_bytes,
		.data_max_bytes = (size_t)cli->config->limits.data_bytes,
	};
	status = run_watched(cli, given, &config, &err);
	swm_stop_close(stop);
	return status == SWM_OK ? SWM_EXIT_DONE : swm_cli_fail(cli, status, "%s", err.message);
}

static const struct swm_flag flags[] = {
	{
		.name = "queue",
		.letter = 'q',
		.type = SWM_FLAG_TEXT,
		.offset = offsetof(struct agent_values, queue),
		.metavar = "NAME",
		.help = "the task's queue; must be given",
	},
	{
		.name = "jobs",
		.letter = 'j',
		.type = SWM_FLAG_NUMBER,
		.offset = offsetof(struct agent_values, jobs),
		.fallback = "1",
		.min = 1,
		.max = SWM_AGENT_JOBS_MAX,
		.metavar = "N",
		.help = "run up to so many commands at once",
	},
	{
		.name = "adapter",
		.type = SWM_FLAG_TEXT,
		.offset = offsetof(struct agent_values, adapter),
		.metavar = "NAME",
		.help = "of `queues`, instead of the one that `routes` says",
	},
	{
		.name = "grace",
		.type = SWM_FLAG_DURATION,
		.offset = offsetof(struct agent_values, grace_ms),
		.fallback = "30s",
		.min = 0,
		.max = INT64_C(86400000),
		.metavar = "TIME",
		.help = "for what runs when asked to stop",
	},
	{
		.name = "max",
		.type = SWM_FLAG_NUMBER,
		.offset = offsetof(struct agent_values, max),
		.min = 1,
		.max = INT64_MAX,
		.metavar = "N",
		.help = "end after so many tasks",
	},
	{
		.name = "once",
		.type = SWM_FLAG_SWITCH,
		.offset = offsetof(struct agent_values, once),
		.help = "end after one task, as --max 1",
	},
	{0},
};

const struct swm_command swm_command_agent = {
	.name = "agent",
	.arguments = "--queue NAME -- COMMAND [ARGUMENT]...",
	.summary = "a task service: run a command for each StartTask of a queue",
	.details =
		"The StartTask is on the command's stdin, its names are in $SWM_COMPONENT,\n"
		"$SWM_BUSINESS_REF, $SWM_STAGE, $SWM_TASK, $SWM_ATTEMPT (0: not said) and\n"
		"$SWM_MESSAGE_ID. Exit 0 is TaskCompleted, all else TaskFailed with the last\n"
		"line of stderr as the reason. One JSON object on stdout becomes the\n"
		"workflow's data; other output goes to stderr.\n"
		"\n"
		"A command may run more than once for one StartTask, when its agent was "
		"killed\n"
		"or its lease was lost; the answers have one event_id, and count once. What "
		"is\n"
		"no StartTask goes back to the queue, with a delay that doubles up to 10 min.\n"
		"SIGTERM: takes no more, gives commands their grace, then ends them (SIGTERM,\n"
		"2 s later SIGKILL) and gives their StartTasks back.",
	.example = "swm agent --queue make_food_queue --jobs 4 -- ./make-food --oven 2\n",
	.flags = flags,
	.values_size = sizeof(struct agent_values),
	.min_args = 1,
	.max_args = -1,
	.run = run_agent,
};
