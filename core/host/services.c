/* SPDX-License-Identifier: MIT */

/* See services.h: thin bridges from the plugins' table to log and metrics. */

#include "services.h"

#include <time.h>

static void host_log(void *ctx, int32_t level, const char *source, const char *fmt, ...)
	SWM_PRINTF(4, 5);

static void host_log(void *ctx, int32_t level, const char *source, const char *fmt, ...)
{
	const struct swm_services *services = ctx;
	va_list args;
	va_start(args, fmt);
	swm_log_vwrite(&services->log, level, source, fmt, args);
	va_end(args);
}

static int64_t host_now_ms(void *ctx)
{
	(void)ctx;
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void host_count(void *ctx, const char *metric, int64_t delta)
{
	struct swm_services *services = ctx;
	swm_metrics_add(&services->metrics, metric, delta);
}

void swm_services_init(
	struct swm_services *services, int fd, int32_t level, enum swm_log_format format)
{
	*services = (struct swm_services){
		.log = {.fd = fd},
		.host =
			{
				.size = sizeof(struct swm_host),
				.abi_major = SWM_ABI_MAJOR,
				.abi_minor = SWM_ABI_MINOR,
				.ctx = services,
				.log = host_log,
				.now_ms = host_now_ms,
				.count = host_count,
			},
	};
	swm_services_set_log(services, level, format);
}

void swm_services_set_log(
	struct swm_services *services, int32_t level, enum swm_log_format format)
{
	services->log.level = level;
	services->log.format = format;
	services->host.log_level = level;
}
