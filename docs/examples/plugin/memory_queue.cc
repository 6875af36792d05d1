/* SPDX-License-Identifier: MIT */

/*
 * The example of memory_queue.c once more, in C++11: what changes is who cleans up.
 * The rules that matter to a C++ plugin:
 *
 *  - no exception may leave a function that the host calls: guarded() below turns
 *    them into statuses;
 *  - the opaque structs of the port are ours to define: swm_queue is a plain class;
 *  - tables are filled in order, since designated initialisers came with C++20.
 *
 *   c++ -std=c++11 -O2 -Wall -Wextra -fPIC -shared -fvisibility=hidden \
 *      -Wl,-z,defs,-z,nodelete,-z,relro,-z,now $(pkg-config --cflags swm) \
 *      memory_queue.cc -o queue-memory-cpp.so -pthread
 *
 * Concurrency: as in memory_queue.c.
 */

#include <swm/queue.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <exception>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace
{

struct Config {
	int64_t messages_max;
};

/* Absent and empty are two things in the port. */
struct Text {
	bool present;
	std::string bytes;

	explicit Text(swm_str from)
	    : present(from.ptr != nullptr),
	      bytes(present ? std::string(from.ptr, from.len) : std::string())
	{
	}

	swm_str view() const
	{
		return present ? swm_str{bytes.data(), bytes.size()} : swm_str{nullptr, 0};
	}
};

class Message
{
      public:
	explicit Message(const swm_message &from) : id(from.id), key(from.key), body(from.body)
	{
		for (size_t i = 0; i < from.header_count; i++) {
			texts.emplace_back(from.headers[i].name);
			texts.emplace_back(from.headers[i].value);
		}
		for (size_t i = 0; i < texts.size(); i += 2) {
			headers.push_back(swm_header{texts[i].view(), texts[i + 1].view()});
		}
	}
	Message(const Message &) = delete;
	Message &operator=(const Message &) = delete;

	Text id;
	Text key;
	Text body;
	std::deque<Text> texts; /* names and values in turn; never moved */
	std::vector<swm_header> headers;
	uint64_t token = 0;
	uint32_t attempt = 0;
};

/* Moving between lists neither copies nor moves the message: what a delivery points to
 * stays where it is until it is settled. */
using Messages = std::list<Message>;
using Channels = std::map<std::string, Messages>;

swm_status fail(swm_error *err, swm_status status, const char *text)
{
	if (err != nullptr) {
		err->status = status;
		err->native = 0;
		std::snprintf(err->message, sizeof(err->message), "%s", text);
	}
	return status;
}

/* Runs what may throw. */
template <typename Function> swm_status guarded(swm_error *err, Function function)
{
	try {
		return function();
	} catch (const std::bad_alloc &) {
		return fail(err, SWM_E_NOMEM, "out of memory");
	} catch (const std::exception &error) {
		return fail(err, SWM_E_INTERNAL, error.what());
	}
}

std::string text_of(swm_str text)
{
	return std::string(text.ptr, text.len);
}

} // namespace

struct swm_queue {
	Config config;
	std::mutex mutex;
	std::condition_variable changed;
	Channels channels; /* made when they are first named */
	size_t message_count = 0;
	uint64_t next_token = 0;
};

struct swm_consumer {
	swm_queue *queue;
	std::vector<Channels::iterator> sources; /* a map's iterators stay valid */
	size_t prefetch;
	std::list<std::pair<Channels::iterator, Messages>> held; /* one message each */
	bool woken = false;
};

struct swm_publisher {
	swm_queue *queue;
};

namespace
{

swm_status queue_open(const swm_open_args *args, swm_queue **out, swm_error *err)
{
	return guarded(err, [&] {
		std::unique_ptr<swm_queue> queue(new swm_queue);
		queue->config = *static_cast<const Config *>(args->config);
		*out = queue.release();
		return SWM_OK;
	});
}

void queue_close(swm_queue *queue)
{
	delete queue;
}

swm_status queue_prepare(swm_queue *queue, const swm_str *names, size_t count, swm_error *err)
{
	return guarded(err, [&] {
		std::lock_guard<std::mutex> lock(queue->mutex);
		for (size_t i = 0; i < count; i++) {
			if (names[i].len == 0) {
				return fail(err, SWM_E_INVALID, "the name of a queue is empty");
			}
			queue->channels[text_of(names[i])];
		}
		return static_cast<swm_status>(SWM_OK);
	});
}

swm_status queue_depth(swm_queue *queue, swm_str name, int64_t *out, swm_error *err)
{
	return guarded(err, [&] {
		std::lock_guard<std::mutex> lock(queue->mutex);
		auto channel = queue->channels.find(text_of(name));
		if (channel == queue->channels.end()) {
			return fail(err, SWM_E_NOT_FOUND, "there is no such queue");
		}
		*out = static_cast<int64_t>(channel->second.size());
		return static_cast<swm_status>(SWM_OK);
	});
}

swm_status consumer_open(swm_queue *queue, const swm_str *sources, size_t count,
	uint32_t prefetch, swm_consumer **out, swm_error *err)
{
	return guarded(err, [&] {
		std::unique_ptr<swm_consumer> consumer(new swm_consumer);
		consumer->queue = queue;
		consumer->prefetch = prefetch;
		std::lock_guard<std::mutex> lock(queue->mutex);
		for (size_t i = 0; i < count; i++) {
			if (sources[i].len == 0) {
				return fail(err, SWM_E_INVALID, "the name of a queue is empty");
			}
			auto entry = std::make_pair(text_of(sources[i]), Messages());
			consumer->sources.push_back(
				queue->channels.insert(std::move(entry)).first);
		}
		*out = consumer.release();
		return static_cast<swm_status>(SWM_OK);
	});
}

swm_delivery delivery_of(const std::string &source, const Message &message)
{
	swm_delivery delivery = swm_delivery();
	delivery.token = message.token;
	delivery.source = swm_str{source.data(), source.size()};
	delivery.id = message.id.view();
	delivery.key = message.key.view();
	delivery.body = message.body.view();
	delivery.headers = message.headers.data();
	delivery.header_count = message.headers.size();
	delivery.attempt = message.attempt;
	delivery.redelivered = message.attempt > 1 ? 1 : 0;
	return delivery;
}

/* With the mutex. Holds the next message of a source; when it throws, nothing moved. */
const Message &hold(swm_consumer *consumer, Channels::iterator source)
{
	consumer->held.emplace_back(source, Messages());
	Messages &one = consumer->held.back().second;
	Messages &waiting = source->second;
	one.splice(one.end(), waiting, waiting.begin());
	one.front().token = ++consumer->queue->next_token;
	one.front().attempt++;
	return one.front();
}

/* With the mutex. Hands out what fits; returns how many. What is held has to be told to
 * the caller, so running out of memory half-way only ends the batch. */
size_t take(swm_consumer *consumer, swm_delivery *out, size_t max)
{
	size_t taken = 0;
	for (auto source : consumer->sources) {
		Messages &waiting = source->second;
		while (!waiting.empty() && taken < max &&
			(consumer->prefetch == 0 ||
				consumer->held.size() < consumer->prefetch)) {
			try {
				out[taken] = delivery_of(source->first, hold(consumer, source));
			} catch (const std::bad_alloc &) {
				if (taken == 0) {
					throw;
				}
				return taken;
			}
			taken++;
		}
	}
	/* who was first is last the next time, so that none of them starves */
	std::rotate(consumer->sources.begin(), consumer->sources.begin() + 1,
		consumer->sources.end());
	return taken;
}

swm_status consumer_receive(swm_consumer *consumer, int64_t timeout_ms, swm_delivery *out,
	size_t max, size_t *count, swm_error *err)
{
	return guarded(err, [&] {
		if (max == 0) {
			return fail(err, SWM_E_TIMEOUT, "nothing was asked for");
		}
		auto deadline = std::chrono::steady_clock::now() +
				std::chrono::milliseconds(timeout_ms);
		std::unique_lock<std::mutex> lock(consumer->queue->mutex);
		size_t taken = 0;
		bool ended = consumer->queue->changed.wait_until(lock, deadline, [&] {
			taken = consumer->woken ? 0 : take(consumer, out, max);
			return consumer->woken || taken > 0;
		});
		if (taken > 0) {
			*count = taken;
			return static_cast<swm_status>(SWM_OK);
		}
		consumer->woken = false;
		return ended ? fail(err, SWM_E_INTERRUPTED, "woken")
			     : fail(err, SWM_E_TIMEOUT, "nothing came");
	});
}

/* With the mutex. */
swm_status settle_one(swm_consumer *consumer, const swm_settlement &item, swm_error *err)
{
	swm_queue *queue = consumer->queue;
	for (auto entry = consumer->held.begin(); entry != consumer->held.end(); ++entry) {
		if (entry->second.front().token != item.token) {
			continue;
		}
		if (item.action == SWM_NACK) {
			Messages &waiting = entry->first->second;
			waiting.splice(waiting.end(), entry->second);
			queue->changed.notify_all();
		} else {
			queue->message_count--;
		}
		consumer->held.erase(entry);
		return SWM_OK;
	}
	return fail(err, SWM_E_INVALID, "a token that is not out");
}

swm_status consumer_settle(
	swm_consumer *consumer, const swm_settlement *items, size_t count, swm_error *err)
{
	return guarded(err, [&] {
		for (size_t i = 0; i < count; i++) {
			if (items[i].action == SWM_EXTEND) {
				return fail(err, SWM_E_UNSUPPORTED, "there is no lease");
			}
		}
		std::lock_guard<std::mutex> lock(consumer->queue->mutex);
		swm_status status = SWM_OK;
		for (size_t i = 0; i < count && status == SWM_OK; i++) {
			status = settle_one(consumer, items[i], err);
		}
		return status;
	});
}

void consumer_wake(swm_consumer *consumer)
{
	std::lock_guard<std::mutex> lock(consumer->queue->mutex);
	consumer->woken = true;
	consumer->queue->changed.notify_all();
}

void consumer_close(swm_consumer *consumer)
{
	if (consumer == nullptr) {
		return;
	}
	{
		std::lock_guard<std::mutex> lock(consumer->queue->mutex);
		for (auto &entry : consumer->held) {
			Messages &waiting = entry.first->second;
			waiting.splice(waiting.end(), entry.second);
		}
		consumer->queue->changed.notify_all();
	}
	delete consumer;
}

swm_status publisher_open(swm_queue *queue, swm_publisher **out, swm_error *err)
{
	return guarded(err, [&] {
		*out = new swm_publisher{queue};
		return SWM_OK;
	});
}

swm_status publish_one(swm_queue *queue, const swm_message &message, swm_error *err)
{
	return guarded(err, [&] {
		if (message.destination.len == 0) {
			return fail(err, SWM_E_INVALID, "the name of a queue is empty");
		}
		if (queue->message_count >= static_cast<uint64_t>(queue->config.messages_max)) {
			return fail(err, SWM_E_THROTTLED, "there is no room for more");
		}
		queue->channels[text_of(message.destination)].emplace_back(message);
		queue->message_count++;
		return static_cast<swm_status>(SWM_OK);
	});
}

swm_status publisher_publish(swm_publisher *publisher, const swm_message *messages,
	size_t count, int64_t, swm_status *results, swm_error *err)
{
	swm_queue *queue = publisher->queue;
	swm_status first = SWM_OK;
	std::lock_guard<std::mutex> lock(queue->mutex);
	for (size_t i = 0; i < count; i++) {
		results[i] = publish_one(queue, messages[i], first == SWM_OK ? err : nullptr);
		first = first == SWM_OK ? results[i] : first;
	}
	queue->changed.notify_all();
	return first;
}

void publisher_close(swm_publisher *publisher)
{
	delete publisher;
}

const swm_queue_ops ops = {
	sizeof(swm_queue_ops),
	SWM_QUEUE_ATTEMPTS,
	queue_open,
	queue_close,
	queue_prepare,
	consumer_open,
	consumer_receive,
	consumer_settle,
	consumer_wake,
	consumer_close,
	publisher_open,
	publisher_publish,
	publisher_close,
	queue_depth,
};

const swm_option options[] = {
	{"max_messages", SWM_OPTION_INT, 0, SWM_OFFSET(Config, messages_max, int64_t), "100000",
		1, 100000000, nullptr, "How many messages are kept; more are refused for now."},
	{nullptr, 0, 0, 0, nullptr, 0, 0, nullptr, nullptr},
};

const swm_plugin plugin = {
	SWM_PLUGIN_MAGIC,
	SWM_ABI_MAJOR,
	SWM_ABI_MINOR,
	sizeof(swm_plugin),
	SWM_PLUGIN_QUEUE,
	"memory-cpp", /* the file is queue-memory-cpp.so */
	"1.0",
	"MIT",
	"Messages in the memory of one process, as an example in C++",
	options,
	sizeof(swm_option),
	sizeof(Config),
	&ops,
	nullptr,
	nullptr,
};

} // namespace

SWM_PLUGIN_EXPORT(plugin);
