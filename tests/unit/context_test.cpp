// SPDX-License-Identifier: MIT
#include "holdfast/telemetry/context.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"

using namespace holdfast;

namespace {
const std::string sample = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

std::string with(std::size_t at, char c) {
  std::string text = sample;
  text[at] = c;
  return text;
}
}  // namespace

TEST_CASE("a valid traceparent is read and written back as it was", "[context]") {
  const auto trace = parse_traceparent(sample);
  REQUIRE(trace);
  CHECK(trace->valid());
  CHECK(trace->sampled());
  CHECK(trace->trace_id[0] == 0x4b);
  CHECK(trace->trace_id[15] == 0x36);
  CHECK(trace->span_id[7] == 0xb7);
  CHECK(format_traceparent(*trace).view() == sample);
}

TEST_CASE("a traceparent that the standard calls invalid is refused", "[context]") {
  CHECK_FALSE(parse_traceparent(""));
  CHECK_FALSE(parse_traceparent(sample.substr(0, 54)));
  CHECK_FALSE(parse_traceparent(sample + "-"));  // version 00 has nothing after the flags
  CHECK_FALSE(parse_traceparent(sample + "-extra"));
  CHECK_FALSE(parse_traceparent(" " + sample));
  CHECK_FALSE(parse_traceparent("ff" + sample.substr(2)));
  CHECK_FALSE(parse_traceparent("00-00000000000000000000000000000000-00f067aa0ba902b7-01"));
  CHECK_FALSE(parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"));
  for (std::size_t i = 0; i < sample.size(); ++i) {
    CAPTURE(i);
    CHECK_FALSE(parse_traceparent(with(i, 'A')));  // upper case, and every separator
    CHECK_FALSE(parse_traceparent(with(i, 'g')));
    CHECK_FALSE(parse_traceparent(with(i, '\0')));
  }
}

TEST_CASE("a traceparent of a later version is read by its first fields", "[context]") {
  const auto base = parse_traceparent(sample);
  REQUIRE(base);
  CHECK(parse_traceparent("cc" + sample.substr(2)) == base);
  CHECK(parse_traceparent("cc" + sample.substr(2) + "-what-the-future-will-be-like") == base);
  CHECK(parse_traceparent("cc" + sample.substr(2) + "-") == base);
  CHECK_FALSE(parse_traceparent("cc" + sample.substr(2) + ".what-the-future-will-not-be-like"));
}

TEST_CASE("flags that are not known yet are cleared before they are sent on", "[context]") {
  auto text = sample;
  text.replace(53, 2, "fd");
  const auto trace = parse_traceparent(text);
  REQUIRE(trace);
  CHECK(trace->sampled());
  CHECK(format_traceparent(*trace).view() == sample);
}

TEST_CASE("traces are equal when every field is", "[context]") {
  const auto trace = *parse_traceparent(sample);
  const auto changed = [&](auto change) {
    trace_context other = trace;
    change(other);
    return other;
  };
  CHECK(changed([](auto&) {}) == trace);
  CHECK(changed([](auto& t) { t.trace_id[15] ^= 1; }) != trace);
  CHECK(changed([](auto& t) { t.span_id[7] ^= 1; }) != trace);
  CHECK(changed([](auto& t) { t.flags ^= trace_context::sampled_flag; }) != trace);
}

TEST_CASE("a context with a trace or a correlation id is not empty", "[context]") {
  CHECK(context{}.empty());
  CHECK_FALSE(context{.trace = make_trace()}.empty());
  CHECK_FALSE(context{.correlation_id = "id"}.empty());
}

TEST_CASE("an invalid context has no traceparent", "[context]") {
  CHECK(format_traceparent(trace_context{}).empty());
}

TEST_CASE("a child span stays in its trace and has an id of its own", "[context]") {
  const auto parent = make_trace();
  const auto child = child_of(parent);
  CHECK(child.trace_id == parent.trace_id);
  CHECK(child.span_id != parent.span_id);
  CHECK(child.flags == parent.flags);
  CHECK(child_of(trace_context{}).valid());
}

TEST_CASE("a correlation id from outside is kept only when it can stand anywhere", "[context]") {
  CHECK(parse_correlation_id("req-42:a/b.c~")->view() == "req-42:a/b.c~");
  CHECK(parse_correlation_id(std::string(64, 'x'))->view().size() == 64);
  CHECK_FALSE(parse_correlation_id(""));
  CHECK_FALSE(parse_correlation_id(std::string(65, 'x')));
  for (int c = 0; c < 256; ++c) {
    const char byte = static_cast<char>(c);
    const bool good = c > 0x20 && c < 0x7F && c != '"' && c != '\'' && c != '`' && c != '\\';
    CAPTURE(c);
    CHECK(parse_correlation_id(std::string("a") + byte + "b").has_value() == good);
  }
}

TEST_CASE("accepting a request keeps what the peer sent and makes what it did not", "[context]") {
  const auto kept = accept_context(sample, "abc");
  CHECK(kept.trace.trace_id == parse_traceparent(sample)->trace_id);
  CHECK(kept.trace.span_id != parse_traceparent(sample)->span_id);
  CHECK(kept.correlation_id == "abc");
  const auto made = accept_context("junk", "with space");
  CHECK(made.trace.valid());
  CHECK(made.correlation_id.view().size() == 32);
  CHECK(parse_correlation_id(made.correlation_id.view()));
}

TEST_CASE("scopes nest, and an outer context comes back with its generation", "[context]") {
  REQUIRE(current_context().empty());
  CHECK(context_generation() == 0);
  context outer;
  outer.correlation_id = "outer";
  context inner;
  inner.correlation_id = "inner";
  {
    const context_scope a(outer);
    const auto outer_generation = context_generation();
    CHECK(current_context().correlation_id == "outer");
    {
      const context_scope b(inner);
      CHECK(current_context().correlation_id == "inner");
      CHECK(context_generation() != outer_generation);
    }
    CHECK(current_context().correlation_id == "outer");
    CHECK(context_generation() == outer_generation);
    std::uint64_t again = 0;
    {
      const context_scope b(inner);
      again = context_generation();
    }
    CHECK(again > outer_generation + 1);  // a new installation, a new number
  }
  CHECK(current_context().empty());
  CHECK(context_generation() == 0);
}

TEST_CASE("a context belongs to the task: another thread has none until it is handed over", "[context]") {
  context mine;
  mine.correlation_id = "task";
  const context_scope scope(mine);
  std::string before;
  std::string within;
  std::string after;
  auto job = bind_context([&] { within = current_context().correlation_id.view(); });
  std::thread worker([&] {
    before = current_context().correlation_id.view();
    job();
    after = current_context().correlation_id.view();
  });
  worker.join();
  CHECK(before.empty());
  CHECK(within == "task");
  CHECK(after.empty());
}

TEST_CASE("ids made by several threads never repeat", "[context]") {
  constexpr int threads = 4;
  constexpr int each = 5'000;
  std::vector<std::vector<std::string>> made(threads);
  std::vector<std::thread> workers;
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&made, t] {
      for (int i = 0; i < each; ++i) made[static_cast<std::size_t>(t)].emplace_back(make_correlation_id().view());
    });
  }
  for (auto& worker : workers) worker.join();
  std::set<std::string> all;
  for (const auto& ids : made) all.insert(ids.begin(), ids.end());
  CHECK(all.size() == threads * each);
}

TEST_CASE("a forked child does not repeat its parent's ids", "[context]") {
  static_cast<void>(make_correlation_id());
  int pipe_ends[2];
  REQUIRE(::pipe(pipe_ends) == 0);
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto id = make_correlation_id();
    const auto written = ::write(pipe_ends[1], id.view().data(), id.view().size());
    ::_exit(written == 32 ? 0 : 1);
  }
  const auto ours = make_correlation_id();
  char theirs[32] = {};
  const auto size = ::read(pipe_ends[0], theirs, sizeof theirs);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
  CHECK(status == 0);
  REQUIRE(size == 32);
  CHECK(ours.view() != std::string_view(theirs, 32));
}
