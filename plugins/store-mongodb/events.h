/* SPDX-License-Identifier: MIT */
#ifndef STORE_MONGODB_EVENTS_H
#define STORE_MONGODB_EVENTS_H

/*
 * The log of an instance, which has two places: the newest events stand in the instance's
 * document, where the step that they made has put them, and the others in a collection.
 *
 * An event leaves the document only after it stands in the collection. So whoever reads the
 * document first and then the collection finds each of them at least once.
 *
 * In the collection an event's _id is the life of its instance and its own id: moving it
 * twice is moving it once, and what a purged instance has left behind is nobody's.
 *
 * Concurrency: any number of sessions may move the same events.
 */

#include "store.h"

/* Moves the events of the given documents of instances, which hold _id, life and events.
 * SWM_E_UNAVAILABLE and the like: some may have been moved. */
swm_status events_move(
	struct swm_session *session, const struct docs *docs, struct swm_error *err);

/* The opts of a find for what events_move() needs. The caller destroys it. */
bson_t *events_projection(int64_t limit);

#endif
