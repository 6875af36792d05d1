/* SPDX-License-Identifier: MIT */
#ifndef STORE_POSTGRESQL_STATEMENTS_H
#define STORE_POSTGRESQL_STATEMENTS_H

/*
 * All that this plugin asks of the server while it works, in one table, so that it can be
 * read together. {instance} and the like stand for the names of the tables.
 */

enum store_statement {
	STMT_LOAD,
	STMT_COMMIT,
	STMT_OUTBOX_PUT,
	STMT_OUTBOX_CLAIM,
	STMT_OUTBOX_REQUEUE,
	STMT_OUTBOX_DROP,
	STMT_OUTBOX_LIST,
	STMT_OUTBOX_LIST_DEAD,
	STMT_TEMPLATE_INSERT,
	STMT_TEMPLATE_GET,
	STMT_TEMPLATE_LIST,
	STMT_TEMPLATE_LIST_OF,
	STMT_INSTANCE_LIST,
	STMT_INSTANCE_LIST_OF,
	STMT_EVENT_LIST,
	STMT_PURGE,
	STMT_COUNT
};

struct store_statement_text {
	const char *name; /* on the server */
	const char *text;
	int parameters;
};

extern const struct store_statement_text store_statements[STMT_COUNT];

/* What every session sets first; see statements.c for why. */
extern const char *const store_settings;

#endif
