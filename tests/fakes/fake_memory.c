/* SPDX-License-Identifier: MIT */

/* See fake_memory.h. */

#include "fake_memory.h"

_Thread_local int fake_memory_exempt;
