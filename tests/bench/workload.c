/* SPDX-License-Identifier: MIT */

/* The sizes of the pizza workflow; see workload.h. */

#include "workload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

const int workload_tasks_of[WORKLOAD_EVENTS] = {1, 2, 0, 1, 1, 0};

const char workload_message[] =
	"{\"business_ref_no\":\"ORDER-000000001\",\"component_name\":\"ITALIAN\",\"event_"
	"name\":"
	"\"TaskCompleted\",\"stage_name\":\"PREPARE\",\"task_name\":\"assign_executive\","
	"\"task_type\":\"SERVICE\",\"_swm\":{\"message_id\":"
	"\"0123456789abcdef0123456789abcdef\","
	"\"attempt\":1,\"template_version\":1}}";

const char workload_instance[] =
	"{\"f\":1,\"seq\":4,\"stage\":2,\"bs\":0,\"tasks\":[[2,1,1790000000000],"
	"[2,1,1790000000000],[1,1,1790000000000],[0],[0]]}";

void workload_id(char out[WORKLOAD_ID_BYTES], int64_t number)
{
	uint64_t mixed = (uint64_t)number * UINT64_C(0x9e3779b97f4a7c15);
	(void)snprintf(
		out, WORKLOAD_ID_BYTES, "%016" PRIx64 "%016" PRIx64, mixed, (uint64_t)number);
}

void workload_fail(const char *what, const char *why)
{
	(void)fprintf(stderr, "ceiling: %s: %s\n", what, why);
	exit(1);
}
