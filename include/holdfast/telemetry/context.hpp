// SPDX-License-Identifier: MIT
// context: whose request this is. W3C trace ids and a correlation id, carried by the task and written to every log
// line.
//
//   operation                           caller         progress     allocates   when refused
//   parse_traceparent                   any            wait-free    never       empty: the header must be ignored
//   format_traceparent                  any            wait-free    never
//   parse_correlation_id                any            wait-free    never       empty: make one instead
//   make_trace, child_of, make_...id    any            wait-free    never       (first call of a thread: getrandom(2))
//   current_context                     any            wait-free    never       the empty context where none is set
//   context_scope (both ends)           one thread     wait-free    never
//
// In short: any thread; a scope, its own | wait-free | never | empty: what came is to be ignored
//
// When to use it: install a context_scope where a task starts or resumes; everything below logs and calls with it. Like
// Python's ContextVar it belongs to the task, not to the thread: a queue or a timer captures
// `const context mine = current_context();` when the work is handed over and installs a scope around its run.
// Coroutines that are a `task` (exec/task.hpp) take theirs along by themselves, scopes that are open across a co_await
// included. When not: in any other coroutine no context_scope may be alive across a co_await; the thread runs other tasks
// meanwhile (telemetry/carried_context.hpp is what a coroutine type, or an executor, needs to do better).
//
// Method: W3C Trace Context, Level 1 (https://www.w3.org/TR/trace-context-1/). Strict where the text says MUST:
// lower-case hexadecimal, ids of all zeros invalid, version ff invalid, version 00 exactly 55 characters; a later
// version is read by its first 55 characters when a `-` follows or nothing does. Unknown flags are cleared, as a sender
// must. Ids come from xoshiro256++ (Blackman and Vigna, 2018), seeded for each thread by the kernel and again after a
// fork, so that a child never repeats its parent's ids. They identify; they are no secrets.
//
// Memory: a context is 96 bytes, copied into its scope. Proof: tests/unit/context_test.cpp, tests/alloc.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "holdfast/core/fixed_text.hpp"

namespace holdfast {

struct trace_context {
  std::array<std::uint8_t, 16> trace_id{};
  std::array<std::uint8_t, 8> span_id{};
  std::uint8_t flags = 0;

  static constexpr std::uint8_t sampled_flag = 0x01;
  static constexpr std::uint8_t random_flag = 0x02;  // Level 2: the trace id's low seven bytes are random

  // Both ids set: an all-zero id means that there is none.
  [[nodiscard]] constexpr bool valid() const noexcept {
    return trace_id != std::array<std::uint8_t, 16>{} && span_id != std::array<std::uint8_t, 8>{};
  }
  // Never compare flags as a whole: later versions of the standard add bits.
  [[nodiscard]] constexpr bool sampled() const noexcept { return (flags & sampled_flag) != 0; }

  friend constexpr bool operator==(const trace_context&, const trace_context&) noexcept = default;
};

using traceparent_text = fixed_text<55>;
using correlation_text = fixed_text<64>;

// What a peer sent in `traceparent`. Empty for anything the standard calls invalid.
[[nodiscard]] std::optional<trace_context> parse_traceparent(std::string_view header) noexcept;
// What we send. An invalid context gives an empty text: send no header then.
[[nodiscard]] traceparent_text format_traceparent(const trace_context& trace) noexcept;

// A correlation id from a request header: 1..64 printable ASCII characters without spaces, quotes or backslashes, so
// that it can stand in a header, a URL and a log line as it is. Empty for anything else.
[[nodiscard]] std::optional<correlation_text> parse_correlation_id(std::string_view header) noexcept;
// Thirty-two lower-case hexadecimal digits.
[[nodiscard]] correlation_text make_correlation_id() noexcept;

// A new trace with its first span, sampled.
[[nodiscard]] trace_context make_trace() noexcept;
// A new span in the same trace; a new trace when the parent is invalid.
[[nodiscard]] trace_context child_of(const trace_context& parent) noexcept;

// Sixty-four random bits of this thread's generator: for ids and jitter, not for secrets.
[[nodiscard]] std::uint64_t random_id_bits() noexcept;

struct context {
  trace_context trace{};
  correlation_text correlation_id{};

  [[nodiscard]] constexpr bool empty() const noexcept { return !trace.valid() && correlation_id.empty(); }
};
static_assert(std::is_trivially_copyable_v<context> && sizeof(context) <= 96);

// The context of a request that came with these headers (empty views for absent ones): the peer's trace goes on with a
// span of ours, or a new one starts; its correlation id is kept when it is valid, or one is made.
[[nodiscard]] context accept_context(std::string_view traceparent, std::string_view correlation_id) noexcept;

namespace context_detail {
inline constexpr context none{};

// What was current, and where.
struct place {
  const context* active = &none;
  std::uint64_t generation = 0;  // 0: none installed
  std::uint64_t thread = 0;      // by its own number; 0: it has none yet
};
// One a thread. `generation` changes whenever another context becomes the current one, and a context that comes back
// brings its generation back, so a log lane writes a context once and not with every record.
struct slot : place {
  std::uint64_t last_generation = 0;

  // Comes back to what was current before, which may have been on another thread, whose generations mean nothing here.
  void back_to(const place& before) noexcept {
    active = before.active;
    if (active == &none) {
      generation = 0;
    } else if (before.thread == thread) {
      generation = before.generation;  // last_generation stays: a number is never used twice
    } else {
      generation = ++last_generation;
    }
  }
};
inline constinit thread_local slot current{};
// A number that no other thread of this process has or had: an address would come again with the next thread.
[[nodiscard]] std::uint64_t next_thread() noexcept;
inline slot& current_slot() noexcept {
  slot& mine = current;
  if (mine.thread == 0) [[unlikely]]
    mine.thread = next_thread();
  return mine;
}
}  // namespace context_detail

// Valid until the scope that installed it ends: copy it to hand it over.
[[nodiscard]] inline const context& current_context() noexcept {
  return *context_detail::current.active;
}
// Equal numbers on one thread mean the same context.
[[nodiscard]] inline std::uint64_t context_generation() noexcept {
  return context_detail::current.generation;
}

namespace context_detail {
// A context_scope of somebody else's context, which outlives everything that is begun in it: scopes below it may end when it is
// over, where coroutines stop in between, and then come back to a context that is there.
class [[nodiscard]] lent_scope {
 public:
  explicit lent_scope(const context& installed) noexcept : before_(current_slot()) {
    auto& slot = current;
    slot.active = &installed;
    slot.generation = ++slot.last_generation;
  }
  ~lent_scope() { current_slot().back_to(before_); }
  lent_scope(const lent_scope&) = delete;
  lent_scope& operator=(const lent_scope&) = delete;

 private:
  const place before_;
};
}  // namespace context_detail

// Makes a context the current one of this thread until the end of the block; scopes nest, innermost ends first.
class [[nodiscard]] context_scope {
 public:
  explicit context_scope(const context& installed) noexcept : mine_(installed), lent_(mine_) {}
  context_scope(const context_scope&) = delete;
  context_scope& operator=(const context_scope&) = delete;

  [[nodiscard]] const context& installed() const noexcept { return mine_; }

 private:
  const context mine_;
  const context_detail::lent_scope lent_;
};

// A callable that runs in a captured context wherever it is called: hand it to a queue, a timer or an executor.
template <class F>
class bound_to_context {
 public:
  bound_to_context(const context& captured, F function) noexcept(std::is_nothrow_move_constructible_v<F>)
      : captured_(captured), function_(std::move(function)) {}

  template <class... Args>
  decltype(auto) operator()(Args&&... args) {
    const context_scope scope(captured_);
    return function_(std::forward<Args>(args)...);
  }

 private:
  context captured_;
  F function_;
};

template <class F>
[[nodiscard]] bound_to_context<std::decay_t<F>> bind_context(const context& captured, F&& function) {
  return {captured, std::forward<F>(function)};
}
template <class F>
[[nodiscard]] bound_to_context<std::decay_t<F>> bind_context(F&& function) {
  return {current_context(), std::forward<F>(function)};
}

}  // namespace holdfast
