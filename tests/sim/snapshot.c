/* SPDX-License-Identifier: MIT */

/*
 * See snapshot.h. The block grows upwards: small blocks by size class behind each other,
 * each class with a list of its free ones. Stacks are large and mostly unused, and come
 * from the block's other end: of them only what is in use is copied.
 */

/* The fortified longjmp() refuses to go to another stack. */
#undef _FORTIFY_SOURCE

#include "snapshot.h"

#include <assert.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define BLOCK_BYTES ((size_t)32 * 1024 * 1024)
/* Classes go up in small steps, and from MIDDLE_BYTES on in larger ones. */
#define STEP_BYTES ((size_t)32)
#define MIDDLE_BYTES ((size_t)1024)
#define MIDDLE_STEP_BYTES ((size_t)512)
#define CLASSES (MIDDLE_BYTES / STEP_BYTES + LARGE_BYTES / MIDDLE_STEP_BYTES + 1)
#define LARGE_BYTES ((size_t)64 * 1024) /* from here on it is a stack */
#define LARGE_MAX 32
#define STACK_BYTES ((size_t)128 * 1024)

/* What a stack is expected to need; what lies below is looked at for having been used. */
#define STACK_COPY_BYTES ((size_t)24 * 1024)
#define STACK_GUARD_BYTES 256

#define NODES_MAX 4096

/* Before each block that was given out. */
struct head {
	size_t class;
	size_t bytes;
};

struct large {
	char *at;
	size_t bytes;
	bool used;
};

/* At the beginning of the block, so that it is copied with the rest. */
struct heap {
	size_t top;
	void *free[CLASSES];
	struct large large[LARGE_MAX];
	size_t large_count;
	size_t large_bottom;
};

/* A question, and the world as it was. */
struct node {
	jmp_buf jump;
	uint32_t n;
	uint32_t given; /* answers so far */
	char *copy;
	size_t copy_cap;
};

static struct {
	char *block;
	struct node *nodes;
	size_t depth;
	size_t depth_max;
	size_t bytes_max;
	const struct snapshot_run *run;
	jmp_buf back; /* to the thread's own stack */
} here;

static struct heap *heap(void)
{
	return (struct heap *)here.block;
}

static _Noreturn void give_up(const char *why)
{
	(void)fprintf(stderr, "exhaustive: %s\n", why);
	abort();
}

void *snapshot_aside(size_t bytes, bool shared)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_ANONYMOUS | MAP_NORESERVE | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);
	return at == MAP_FAILED ? NULL : at;
}

/* The world's memory. */

static void begin_heap(void)
{
	here.block = snapshot_aside(BLOCK_BYTES, false);
	here.nodes = snapshot_aside(NODES_MAX * sizeof(*here.nodes), false);
	if (!here.block || !here.nodes) {
		give_up("out of memory");
	}
	heap()->top = (sizeof(struct heap) + 63) / 64 * 64;
	heap()->large_bottom = BLOCK_BYTES;
}

static void *take_large(size_t bytes)
{
	struct heap *own = heap();
	for (size_t i = 0; i < own->large_count; i++) {
		if (!own->large[i].used && own->large[i].bytes == bytes) {
			own->large[i].used = true;
			return own->large[i].at;
		}
	}
	if (own->large_count == LARGE_MAX || own->large_bottom < own->top + bytes) {
		give_up("too many stacks");
	}
	own->large_bottom -= bytes;
	struct large *made = &own->large[own->large_count];
	*made = (struct large){here.block + own->large_bottom, bytes, true};
	own->large_count++;
	return made->at;
}

/* The class of a size, and what its blocks have room for. */
static size_t class_of(size_t size, size_t *bytes)
{
	if (size <= MIDDLE_BYTES) {
		size_t class = (size + STEP_BYTES - 1) / STEP_BYTES;
		*bytes = class * STEP_BYTES;
		return class;
	}
	size_t class = (size + MIDDLE_STEP_BYTES - 1) / MIDDLE_STEP_BYTES;
	*bytes = class * MIDDLE_STEP_BYTES;
	return MIDDLE_BYTES / STEP_BYTES + class;
}

static void *take(size_t size)
{
	if (!here.block) {
		begin_heap();
	}
	if (size >= LARGE_BYTES) {
		return take_large(size);
	}
	struct heap *own = heap();
	size_t bytes;
	size_t class = class_of(size > 0 ? size : 1, &bytes);
	void *at = own->free[class];
	if (at) {
		memcpy(&own->free[class], at, sizeof(void *));
		return at;
	}
	if (own->top + sizeof(struct head) + bytes > own->large_bottom) {
		give_up("the world has run out of memory");
	}
	*(struct head *)(here.block + own->top) = (struct head){class, bytes};
	at = here.block + own->top + sizeof(struct head);
	own->top += sizeof(struct head) + bytes;
	return at;
}

static void give_back(void *at)
{
	struct heap *own = heap();
	if (!at) {
		return;
	}
	if ((char *)at >= here.block + own->large_bottom) {
		for (size_t i = 0; i < own->large_count; i++) {
			own->large[i].used = own->large[i].used && own->large[i].at != at;
		}
		return;
	}
	const struct head *head = (const struct head *)at - 1;
	memcpy(at, &own->free[head->class], sizeof(void *));
	own->free[head->class] = at;
}

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names for --wrap */
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *at);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
	return take(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	void *at = take(count * size);
	return memset(at, 0, count * size);
}

void *__wrap_realloc(void *old, size_t size)
{
	if (!old) {
		return take(size);
	}
	if ((char *)old >= here.block + heap()->large_bottom) {
		give_up("a large block is to grow");
	}
	const struct head *head = (const struct head *)old - 1;
	if (size <= head->bytes) {
		return old;
	}
	void *at = take(size);
	memcpy(at, old, head->bytes);
	give_back(old);
	return at;
}

void __wrap_free(void *at)
{
	give_back(at);
}

char *__wrap_strdup(const char *text)
{
	size_t bytes = strlen(text) + 1;
	return memcpy(take(bytes), text, bytes);
}
/* NOLINTEND(bugprone-reserved-identifier) */

void snapshot_init(void)
{
	json_set_alloc_funcs(take, give_back);
}

/* Copies. */

/* Nothing has ever been written below what is copied of a stack. */
static void check_stack(const struct large *stack)
{
	const char *guard = stack->at + stack->bytes - STACK_COPY_BYTES - STACK_GUARD_BYTES;
	for (size_t i = 0; i < STACK_GUARD_BYTES; i++) {
		if (guard[i] != 0) {
			give_up("a stack is used deeper than it is copied");
		}
	}
}

static void capture(struct node *node)
{
	const struct heap *own = heap();
	size_t bytes = own->top + own->large_count * STACK_COPY_BYTES;
	if (bytes > node->copy_cap) {
		if (node->copy) {
			(void)munmap(node->copy, node->copy_cap);
		}
		node->copy_cap = bytes * 2;
		node->copy = snapshot_aside(node->copy_cap, false);
		if (!node->copy) {
			give_up("out of memory");
		}
	}
	here.bytes_max = bytes > here.bytes_max ? bytes : here.bytes_max;
	memcpy(node->copy, here.block, own->top);
	char *to = node->copy + own->top;
	for (size_t i = 0; i < own->large_count; i++) {
		const struct large *stack = &own->large[i];
		if (stack->used) {
			check_stack(stack);
			memcpy(to, stack->at + stack->bytes - STACK_COPY_BYTES,
				STACK_COPY_BYTES);
		}
		to += STACK_COPY_BYTES;
	}
}

static void restore(const struct node *node)
{
	struct heap *own = heap();
	memcpy(own, node->copy, sizeof(*own));
	memcpy(here.block, node->copy, own->top);
	const char *from = node->copy + own->top;
	for (size_t i = 0; i < own->large_count; i++) {
		const struct large *stack = &own->large[i];
		if (stack->used) {
			memcpy(stack->at + stack->bytes - STACK_COPY_BYTES, from,
				STACK_COPY_BYTES);
		}
		from += STACK_COPY_BYTES;
	}
}

/* The runs. */

static uint32_t answer_of(const struct node *node)
{
	return here.run->backwards ? node->n - node->given : node->given - 1;
}

uint32_t snapshot_ask(uint32_t n)
{
	assert(n > 1);
	if (here.depth == NODES_MAX) {
		give_up("a run has too many choices");
	}
	struct node *node = &here.nodes[here.depth];
	node->n = n;
	node->given = 1;
	here.depth++;
	here.depth_max = here.depth > here.depth_max ? here.depth : here.depth_max;
	if (setjmp(node->jump) == 0) {
		capture(node);
	}
	return answer_of(&here.nodes[here.depth - 1]);
}

size_t snapshot_depth_max(void)
{
	return here.depth_max;
}

size_t snapshot_bytes_max(void)
{
	return here.bytes_max;
}

static void on_own_stack(void)
{
	here.run->run(here.run->arg);
	longjmp(here.back, 1);
}

/* The last question that has an answer left; false: none. */
static bool has_next(void)
{
	while (here.depth > 0 &&
		here.nodes[here.depth - 1].given == here.nodes[here.depth - 1].n) {
		here.depth--;
	}
	return here.depth > 0;
}

void snapshot_explore(const struct snapshot_run *run)
{
	static ucontext_t context;
	here.run = run;
	here.depth = 0;
	char *stack = take(STACK_BYTES);
	if (setjmp(here.back) == 0) {
		(void)getcontext(&context);
		context.uc_stack.ss_sp = stack;
		context.uc_stack.ss_size = STACK_BYTES;
		makecontext(&context, on_own_stack, 0);
		(void)setcontext(&context);
	}
	/* From here on each time that a run has ended. */
	if (here.run->ended(here.run->arg) && has_next()) {
		struct node *node = &here.nodes[here.depth - 1];
		node->given++;
		restore(node);
		longjmp(node->jump, 1);
	}
}
