/* SPDX-License-Identifier: MIT */

/*
 * See coroutine.h. A stack is entered once with setcontext(), which costs system calls for
 * the signal mask; from then on with longjmp(), which costs none. Sanitizers want to be
 * told of each switch, and to see swapcontext().
 */

/* The fortified longjmp() refuses to go to another stack. */
#undef _FORTIFY_SOURCE

#include "coroutine.h"

#include "must.h"

#include <assert.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN
#elif __has_feature(thread_sanitizer)
#define WITH_TSAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN
#elif defined(__SANITIZE_THREAD__)
#define WITH_TSAN
#endif

#ifdef WITH_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(WITH_ASAN) || defined(WITH_TSAN)
#define WITH_SWAPCONTEXT
/* Their frames are several times as large. */
#define STACK_BYTES ((size_t)512 * 1024)
#else
#define STACK_BYTES ((size_t)128 * 1024)
#endif

/* At the far end of each stack: what an overflow would run over first. */
#define FENCE_BYTES 64
#define FENCE_FILL 0xa5
#define FENCE_WORD UINT64_C(0xa5a5a5a5a5a5a5a5)

struct sim_coroutine {
	struct sim_coroutine *next; /* of the idle, or of all */
	struct sim_coroutine *next_idle;
	struct sim_stacks *stacks;
	ucontext_t context;
	jmp_buf jump;
	bool begun;  /* `jump` is good */
	char *stack; /* NULL: the thread's own */
	void *fake_stack;
	const void *bottom; /* as the sanitizer knows the stack */
	size_t bytes;
	struct sim_coroutine *(*run)(void *arg);
	void *arg;
};

struct sim_stacks {
	struct sim_coroutine own;
	struct sim_coroutine *all;
	struct sim_coroutine *idle;
	struct sim_coroutine *left; /* where the running one came from */
};

struct sim_stacks *sim_stacks_create(void)
{
	struct sim_stacks *stacks = sim_must_alloc(sizeof(*stacks));
	stacks->own.stacks = stacks;
	stacks->own.begun = true;
	return stacks;
}

void sim_stacks_destroy(struct sim_stacks *stacks)
{
	while (stacks && stacks->all) {
		struct sim_coroutine *next = stacks->all->next;
		free(stacks->all->stack);
		free(stacks->all);
		stacks->all = next;
	}
	free(stacks);
}

struct sim_coroutine *sim_stacks_main(struct sim_stacks *stacks)
{
	return &stacks->own;
}

/* What a coroutine does first after each switch to it. */
static void arrive(struct sim_coroutine *self)
{
#ifdef WITH_ASAN
	struct sim_coroutine *left = self->stacks->left;
	__sanitizer_finish_switch_fiber(self->fake_stack, &left->bottom, &left->bytes);
#else
	(void)self;
#endif
}

#ifdef WITH_SWAPCONTEXT
static void jump(struct sim_coroutine *from, struct sim_coroutine *to)
{
#ifdef WITH_ASAN
	__sanitizer_start_switch_fiber(&from->fake_stack, to->bottom, to->bytes);
#endif
	to->begun = true;
	(void)swapcontext(&from->context, &to->context);
}
#else
static void jump(struct sim_coroutine *from, struct sim_coroutine *to)
{
	if (setjmp(from->jump) != 0) {
		return;
	}
	if (to->begun) {
		longjmp(to->jump, 1);
	}
	to->begun = true;
	(void)setcontext(&to->context);
}
#endif

static void check_fence(const struct sim_coroutine *self)
{
	uint64_t words[FENCE_BYTES / sizeof(uint64_t)];
	uint64_t wrong = 0;
	if (!self->stack) {
		return;
	}
	memcpy(words, self->stack, sizeof(words));
	for (size_t i = 0; i < FENCE_BYTES / sizeof(uint64_t); i++) {
		wrong |= words[i] ^ FENCE_WORD;
	}
	if (wrong != 0) {
		(void)fputs("the stack of a simulated thread is too small\n", stderr);
		abort();
	}
}

void sim_coroutine_switch(struct sim_coroutine *from, struct sim_coroutine *to)
{
	assert(from != to);
	check_fence(from);
	from->stacks->left = from;
	jump(from, to);
	arrive(from);
}

/* makecontext() passes ints: the coroutine comes in two halves. */
static void begin(unsigned high, unsigned low)
{
	uint64_t bits = (uint64_t)high << 32 | low;
	struct sim_coroutine *self;
	static_assert(sizeof(void *) == sizeof(bits), "a pointer has 64 bits");
	memcpy(&self, &bits, sizeof(bits));
	arrive(self);
	for (;;) {
		struct sim_coroutine *to = self->run(self->arg);
		self->next_idle = self->stacks->idle;
		self->stacks->idle = self;
		sim_coroutine_switch(self, to);
	}
}

static struct sim_coroutine *create(struct sim_stacks *stacks)
{
	struct sim_coroutine *made = sim_must_alloc(sizeof(*made));
	made->stacks = stacks;
	made->stack = sim_must_realloc(NULL, STACK_BYTES);
	made->bottom = made->stack;
	made->bytes = STACK_BYTES;
	memset(made->stack, FENCE_FILL, FENCE_BYTES);
	(void)getcontext(&made->context);
	made->context.uc_stack.ss_sp = made->stack;
	made->context.uc_stack.ss_size = STACK_BYTES;
	uint64_t bits = 0;
	memcpy(&bits, &made, sizeof(bits));
	makecontext(&made->context, (void (*)(void))begin, 2, (unsigned)(bits >> 32),
		(unsigned)bits);
	made->next = stacks->all;
	stacks->all = made;
	return made;
}

struct sim_coroutine *sim_coroutine_take(
	struct sim_stacks *stacks, struct sim_coroutine *(*run)(void *arg), void *arg)
{
	struct sim_coroutine *taken = stacks->idle;
	if (taken) {
		stacks->idle = taken->next_idle;
	} else {
		taken = create(stacks);
	}
	taken->run = run;
	taken->arg = arg;
	return taken;
}
