// SPDX-License-Identifier: MIT
// Logging allocates nothing after a thread's first call, and the backend nothing after its first line: not with new
// contexts, not when lanes are full, not for lines of any kind.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/queue/record_ring.hpp"
#include "holdfast/telemetry/context.hpp"
#include "holdfast/telemetry/json_writer.hpp"
#include "holdfast/telemetry/log_sink.hpp"

#include "support/catch.hpp"
#include "support/no_alloc.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::allocations_in;

namespace {

// Runs on the backend's thread, with every batch of lines.
struct backend_watch {
  std::uint64_t at_first = 0;
  std::uint64_t now = 0;
  std::uint64_t batches = 0;
};
void watch(void* user, std::string_view) {
  auto& w = *static_cast<backend_watch*>(user);
  w.now = test_support::allocations_of_this_thread();
  if (w.batches++ == 0) w.at_first = w.now;
}

void log_every_kind(log_sink& sink, int n, std::string_view text) {
  const error_context who{"read", "db-1", "eu", "c-1"};
  HOLDFAST_LOG(sink, info, "kinds", {"n", n}, {"d", 0.1 * n}, {"f", 1.5F}, {"text", text}, {"flag", true},
               {"took_ns", 5ms}, {"error", error(errc::breaker_open)},
               {"code", std::make_error_code(std::errc::io_error)}, {"context", who},
               {"raw", std::as_bytes(std::span(text))});
}

}  // namespace

TEST_CASE("a log call allocates nothing, the backend neither", "[alloc][log]") {
  backend_watch backend;
  log_options options;
  options.ring_bytes = 64 << 10;
  options.output = log_output::to_callback(watch, &backend);
  log_sink sink(options);
  REQUIRE_FALSE(sink.start());
  HOLDFAST_LOG(sink, info, "first call of the thread");
  REQUIRE(sink.flush());
  const std::string text(300, '\x02');
  CHECK(allocations_in([&] {
          for (int i = 0; i < 5'000; ++i) {
            const context_scope scope(accept_context("", ""));
            log_every_kind(sink, i, text);
            HOLDFAST_LOG(sink.at(steady_clock::now()), warn, "stamped");
          }
          static_cast<void>(sink.flush(5s));
        }) == 0);
  sink.stop();
  const auto stats = sink.stats();
  CHECK(stats.written > 0);
  CHECK(stats.written + stats.lost() == 10'001);
  CHECK(stats.lost_full > 0);  // the loss path was taken too
  CHECK(backend.batches > 1);
  CHECK(backend.now - backend.at_first == 0);
}

TEST_CASE("contexts, rings and JSON documents are made without an allocation", "[alloc]") {
  std::vector<std::uint64_t> storage(512);
  char buffer[256];
  static_cast<void>(make_trace());  // this thread's generator takes its seed
  CHECK(allocations_in([&] {
          record_ring ring(std::as_writable_bytes(std::span(storage)));
          for (int i = 0; i < 1'000; ++i) {
            if (ring.try_claim(40) != nullptr) ring.commit(40, 1);
            record_ring::record r;
            if (ring.front(r)) ring.pop(r);
            ring.release();
            const auto c = accept_context("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "");
            const context_scope scope(c);
            static_cast<void>(format_traceparent(child_of(c.trace)));
            json_writer w(buffer);
            w.begin_object().member("d", 0.1).member("text", "a\xFF\"").end_object();
          }
        }) == 0);
}
