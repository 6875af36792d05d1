/* SPDX-License-Identifier: MIT */

/* Templates: put once, never changed, listed newest first. */

#include "store_kit.h"

#include <stdio.h>
#include <string.h>

static struct swm_template_row template_row(
	struct conform_case *c, struct swm_str component, int64_t version)
{
	return (struct swm_template_row){
		.id = conform_name(c, "%.*s:%d", (int)(component.len - strlen(c->prefix)),
			component.ptr + strlen(c->prefix), (int)version),
		.workflow = CONFORM_STR("Pizza"),
		.component = component,
		.body = conform_name(c, "body of version %d", (int)version),
		.author = CONFORM_STR("a person"),
		.comment = CONFORM_STR("first \xe2\x80\x93 try"),
		.sha256 = CONFORM_STR(
			"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
		.version = version,
		.created_ms = INT64_C(1700000000000) + version};
}

static void put(struct conform_case *c, const struct swm_template_row *row)
{
	CONFORM_OK(c, c->ops->template_put(c->session, row, &c->err));
}

static const struct swm_template_row *get(struct conform_case *c, struct swm_str id)
{
	struct swm_set set = {0};
	CONFORM_OK(c, c->ops->template_get(c->session, id, &set, &c->err));
	store_keep(c, &set);
	CONFORM_THAT(set.count == 1, "%zu templates have one id", set.count);
	return set.items;
}

static void columns(struct conform_case *c)
{
	struct swm_template_row row = template_row(c, conform_name(c, "A"), 1);
	row.body = conform_bytes(c, (size_t)1024 * 1024, 1);
	put(c, &row);
	const struct swm_template_row *got = get(c, row.id);
	CONFORM_THAT(conform_str_is(got->id, row.id), "id");
	CONFORM_THAT(conform_str_is(got->workflow, row.workflow), "workflow");
	CONFORM_THAT(conform_str_is(got->component, row.component), "component");
	CONFORM_THAT(conform_str_is(got->body, row.body), "body");
	CONFORM_THAT(conform_str_is(got->author, row.author), "author");
	CONFORM_THAT(conform_str_is(got->comment, row.comment), "comment");
	CONFORM_THAT(conform_str_is(got->sha256, row.sha256), "sha256");
	CONFORM_THAT(got->version == 1, "version");
	CONFORM_THAT(got->created_ms == row.created_ms, "created_ms");
}

static void survives_kill(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "kept");
	store_put_and_kill(c, id);
	CONFORM_THAT(conform_str_is(get(c, id)->body, id), "another body");
}

static void unknown(struct conform_case *c)
{
	struct swm_set set = {0};
	CONFORM_IS(c, SWM_E_NOT_FOUND,
		c->ops->template_get(c->session, conform_name(c, "unknown"), &set, &c->err));
	struct swm_page page = {.limit = 10};
	CONFORM_OK(c, c->ops->template_list(
			      c->session, conform_name(c, "unknown"), &page, &set, &c->err));
	store_keep(c, &set);
	CONFORM_THAT(
		set.count == 0 && set.next.ptr == NULL, "an unknown component has templates");
}

static void immutable(struct conform_case *c)
{
	struct swm_template_row row = template_row(c, conform_name(c, "A"), 1);
	put(c, &row);
	put(c, &row);
	struct swm_template_row other = row;
	other.body = CONFORM_STR("other contents");
	CONFORM_IS(c, SWM_E_EXISTS, c->ops->template_put(c->session, &other, &c->err));
	CONFORM_THAT(conform_str_is(get(c, row.id)->body, row.body), "a template was changed");
}

static void listed_of_one(struct conform_case *c)
{
	struct swm_str component = conform_name(c, "A");
	struct swm_str longer = conform_name(c, "AA");
	const int order[] = {2, 10, 1, 9, 3};
	for (size_t i = 0; i < 5; i++) {
		struct swm_template_row row = template_row(c, component, order[i]);
		put(c, &row);
		row = template_row(c, longer, order[i]);
		put(c, &row);
	}
	const int wanted[] = {10, 9, 3, 2, 1};
	size_t count = 0;
	struct swm_page page = {.limit = 2};
	do {
		struct swm_set set = {0};
		CONFORM_OK(
			c, c->ops->template_list(c->session, component, &page, &set, &c->err));
		store_keep(c, &set);
		CONFORM_THAT(set.count <= 2, "a page of %zu rows, limit 2", set.count);
		const struct swm_template_row *rows = set.items;
		for (size_t i = 0; i < set.count; i++) {
			CONFORM_THAT(count < 5 && rows[i].version == wanted[count] &&
					     conform_str_is(rows[i].component, component),
				"place %zu is version %d of %.*s", count, (int)rows[i].version,
				(int)rows[i].component.len, rows[i].component.ptr);
			CONFORM_THAT(rows[i].body.len > 0, "a listed template has no body");
			count++;
		}
		page.after = set.next;
	} while (page.after.ptr != NULL);
	CONFORM_THAT(count == 5, "%zu versions of 5 are listed", count);
}

static void listed_of_all(struct conform_case *c)
{
	for (int i = 0; i < 6; i++) {
		struct swm_str component = conform_name(c, "%c", "BAC"[i % 3]);
		struct swm_template_row row = template_row(c, component, 1 + i / 3);
		put(c, &row);
	}
	char found[16] = "";
	size_t count = 0;
	struct swm_page page = {.limit = 4};
	do {
		struct swm_set set = {0};
		CONFORM_OK(c, c->ops->template_list(c->session, (struct swm_str){NULL, 0},
				      &page, &set, &c->err));
		store_keep(c, &set);
		const struct swm_template_row *rows = set.items;
		for (size_t i = 0; i < set.count; i++) {
			if (conform_is_own(c, rows[i].component) && count + 2 < sizeof(found)) {
				found[count++] = rows[i].component.ptr[strlen(c->prefix)];
				found[count++] = (char)('0' + rows[i].version);
			}
		}
		page.after = set.next;
	} while (page.after.ptr != NULL);
	CONFORM_THAT(strcmp(found, "A2A1B2B1C2C1") == 0,
		"all templates come as %s, must be A2A1B2B1C2C1", found);
}

/* Two applies at once want the same version with different contents. */
static void put_race(struct conform_case *c)
{
	struct swm_session *other = store_session(c);
	struct swm_template_row mine = template_row(c, conform_name(c, "A"), 1);
	struct swm_template_row theirs = mine;
	theirs.body = CONFORM_STR("theirs");
	put(c, &mine);
	CONFORM_IS(c, SWM_E_EXISTS, c->ops->template_put(other, &theirs, &c->err));
	theirs = template_row(c, conform_name(c, "A"), 2);
	CONFORM_OK(c, c->ops->template_put(other, &theirs, &c->err));
	CONFORM_THAT(conform_str_is(get(c, theirs.id)->body, theirs.body),
		"a session does not see what another has put");
}

static const struct conform_test tests[] = {
	{CONFORM_PROMISE("store.template.columns", columns,
		"a template of 1 MiB comes back as put, every column")},
	{CONFORM_PROMISE("store.template.durable", survives_kill,
		"a template that was put is there after the process was killed")},
	{CONFORM_PROMISE("store.template.unknown", unknown,
		"an unknown id is NOT_FOUND, an unknown component an empty list")},
	{CONFORM_PROMISE("store.template.immutable", immutable,
		"an id once put is OK with the same body and EXISTS with another")},
	{CONFORM_PROMISE("store.template.list", listed_of_one,
		"the versions of a component are listed newest first, page by page")},
	{CONFORM_PROMISE("store.template.list-all", listed_of_all,
		"all templates are listed by component and then newest first")},
	{CONFORM_PROMISE("store.template.race", put_race,
		"of two sessions that put one id the second is told so")},
};

const struct conform_group conform_store_template = CONFORM_GROUP(tests);
