// SPDX-License-Identifier: MIT
// shared_segment: policies that the processes of a machine have in common, in a POSIX shared-memory object with a name.
//
//   operation        caller                     progress            allocates        when refused
//   create           any process                blocking: system    only the memory  an error, and in words what differs
//                                               calls; waits for    itself; words:
//                                               who is making it,   those of the
//                                               at most `patience`  system
//   open             any process                as create           as create        as create; segment_unfinished: its
//                                                                                    maker died
//   open_or_create   any process                as create           as create        as create
//   attach           who has a descriptor       system calls        as create        as create
//   unlink           any process                one system call     never            the system's reason
//   get              any thread                 wait-free           never            -
//
// In short: any process | blocking: system calls, at most `patience`; its objects as they are | the memory itself, once | an error,
// and in words what differs
//
// The objects stand in the type, and each is made from one argument by whoever comes first:
//
//   using common = shared_segment<rate_limiter, retry_budget, shared_breaker_table<1024>>;
//   auto got = common::open_or_create("/orders", {}, limiter_options, budget_options, table_options);
//   if (!got) ... got.error() ...
//   rate_limiter& door = got->get<rate_limiter>();
//   breaker_table breakers(got->get<shared_breaker_table<1024>>());
//
//   S1 Nobody gets a segment that is not whole: it is published by one store, after all objects in it are made.
//   S2 What two programs do not agree about (the format, the machine, which objects in which order, the name, version, size and
//      alignment of one, the length) is an error that names it, and nothing of the segment has been used then.
//   S3 Who dies while it is being made, at any instruction, holds nobody up for longer than `patience`: whoever wants to create it
//      takes it over at once and makes it anew; who only wants to open it is told segment_unfinished.
//   S4 Of those who create one at the same time one makes it. For the others it exists.
//   S5 Whatever bytes an object of that name has, none of these operations reads or writes outside of it, or goes on for ever.
//   S6 A process that dies at any instruction of a call to an object leaves that object valid for the others. That is promised by
//      each object: by what its header says of a thread or process that dies.
//
// Trust. Who may write to a segment may break what the others believe, and may cut it short, which kills whoever touches what
// is gone (SIGBUS). The wall is the file's owner and mode: one that belongs to another user is refused unless `any_owner` says
// otherwise, and the mode is exactly what `mode` says, whatever the umask, and whatever one wanted who died while he made it.
// (What another user left unfinished, and any_owner lets be taken over, keeps his.) What a header says, and what each object
// says of itself by sound(), or validate() where that is what it has, is checked once, when it is opened.
//
// Time. Objects that are handed `now` want the same clock in all processes: steady_clock is one (CLOCK_MONOTONIC counts from the
// machine's start). Processes in Linux time namespaces of different offsets do not share a clock, and share no segment.
//
// What may lie in it: rate_limiter, retry_budget, retry_throttle, compact_breaker beside compact_breaker_options,
// shared_breaker_table and shared_rate_table (policy/); any type of yours that says so (core/shared_layout.hpp), an aggregate of
// those, too. Not a circuit_breaker: its counts are written without an exchange by threads that own a place, and the numbers of
// the places are each process's own. Nor a flight_budget: who dies with a call under way has not ended it.
//
// Lifetime. The memory lives until it is unlinked and the last one has let go of it; the end of all processes does not end it.
// Whoever unlinks a name and creates it anew leaves those behind who have the old one open: they go on among themselves. A
// child that is forked has its parent's mapping. (One that is forked while its parent makes a segment, and lives longer than the
// parent, holds up whoever would take it over: they are told segment_busy.)
//
// Memory: one line for the header, one for each object, and the objects, each on a line of its own; the pages are had when it
// is made, so that a full file system is an error then and not a SIGBUS later.
//
// Method: shm_open, posix_fallocate, mmap. Who makes it holds a lock of the file (flock) that the kernel opens when he dies; so
// who has the lock and finds the segment unfinished knows that nobody is making it. The first word says how far it is:
// nothing, being made (it may be anew), ready.
// Proof: unit/shared_segment_test.cpp (S1-S5), fault/shared_segment_fault.cpp (S3, S4, S6: killed at each instruction, and at
// random moments), fuzz/shared_segment_fuzz.cpp (S5), bench/shared_segment_bench.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/fixed_text.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/outcome.hpp"
#include "holdfast/core/shared_layout.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

using segment_text = fixed_text<199>;

struct shared_segment_options {
  std::uint32_t mode = 0600;                    // of a segment that is made; 0660 for a group
  bool any_owner = false;                       // open what another user has made, too
  duration patience = std::chrono::seconds(1);  // how long to wait for one who is making it
  segment_text* why = nullptr;                  // an error in words goes here: what differs, and how
};
static_assert(std::is_aggregate_v<shared_segment_options>);

constexpr option_error validate(const shared_segment_options& o) noexcept {
  return first_of(
      at_most("mode", o.mode, 0777),
      // Who opens it reads and writes; without that of its owner not even he who made it would open it again.
      (o.mode & 0600U) == 0600U ? option_error{} : option_error{"mode", o.mode, "with all bits of", 0600},
      at_least("patience", o.patience.count(), 0),
      at_most("patience", o.patience.count(), duration(std::chrono::hours(1)).count()));
}
static_assert(!validate(shared_segment_options{}));

// What a segment begins with, in the machine's byte order. A change of it is another version.
struct alignas(64) shared_segment_header {
  static constexpr std::uint64_t ready = 0x4745'534D'4853'4648U;   // "HFSHMSEG" in bytes
  static constexpr std::uint64_t making = 0x4B41'4D4D'4853'4648U;  // "HFSHMMAK": somebody is, or died of it
  static constexpr std::uint32_t version_value = 1;
  static constexpr std::uint32_t byte_order_value = 0x0102'0304U;

  std::uint64_t state;  // `making` first, `ready` last; never changed after that
  std::uint32_t version;
  std::uint32_t header_bytes;  // this and all entries
  std::uint32_t byte_order;
  std::uint32_t line_bytes;
  std::uint32_t pointer_bytes;
  std::uint32_t objects;  // entries that follow
  std::uint64_t layout;   // layout_hash of them
  std::uint64_t bytes;    // the whole segment
  std::array<std::uint64_t, 2> reserved;
};
struct shared_segment_entry {
  std::array<char, 40> name;  // cut, and filled with zeros
  std::uint32_t version;
  std::uint32_t alignment;
  std::uint64_t bytes;
  std::uint64_t offset;
};
static_assert(sizeof(shared_segment_header) == 64 && sizeof(shared_segment_entry) == 64);

// What a program expects of a segment.
struct segment_plan {
  static constexpr std::size_t most_objects = 16;

  std::span<const shared_object> objects;
  std::uint64_t layout = 0;
  std::uint64_t bytes = 0;

  static constexpr std::uint64_t header_bytes(std::size_t objects) noexcept {
    return sizeof(shared_segment_header) + objects * sizeof(shared_segment_entry);
  }
};

// Are `head`, the first bytes of a segment of `bytes`, those of a ready one of that plan? Reads nothing else. `head` holds all of
// the header that there is, up to that of `most_objects`.
outcome<> judge_segment(std::span<const std::byte> head, std::uint64_t bytes, const segment_plan& plan,
                        segment_text* why = nullptr) noexcept;

// A mapped segment, without its types: what shared_segment is made of.
class segment_mapping {
 public:
  enum class wish : std::uint8_t { create, open, open_or_create };
  using maker = void (*)(std::byte* memory, const void* context);

  static outcome<segment_mapping> get(std::string_view name, const segment_plan& plan,
                                      const shared_segment_options& options, wish wanted, maker make,
                                      const void* context) noexcept;
  static outcome<segment_mapping> attach(int descriptor, const segment_plan& plan,
                                         const shared_segment_options& options) noexcept;
  static outcome<> unlink(std::string_view name, segment_text* why) noexcept;
  static error unsound(const shared_object& object, segment_text* why) noexcept;

  segment_mapping(segment_mapping&& other) noexcept : memory_(std::exchange(other.memory_, {})), made_(other.made_) {}
  segment_mapping& operator=(segment_mapping&& other) noexcept {
    segment_mapping taken(std::move(other));
    std::swap(memory_, taken.memory_);
    std::swap(made_, taken.made_);
    return *this;
  }
  ~segment_mapping();

  [[nodiscard]] std::span<std::byte> memory() const noexcept { return memory_; }
  [[nodiscard]] bool made() const noexcept { return made_; }

 private:
  friend struct segment_work;
  segment_mapping(std::span<std::byte> memory, bool made) noexcept : memory_(memory), made_(made) {}

  std::span<std::byte> memory_;
  bool made_;
};

// In the place of the argument that an object is made from: none.
struct from_nothing {};

template <shareable... Objects>
class shared_segment {
  static_assert(sizeof...(Objects) >= 1);
  static_assert(sizeof...(Objects) <= segment_plan::most_objects);

  static constexpr std::array<shared_object, sizeof...(Objects)> placed() noexcept {
    std::array<shared_object, sizeof...(Objects)> all{shared_object_of<Objects>()...};
    std::uint64_t at = segment_plan::header_bytes(all.size());
    for (shared_object& o : all) {
      const std::uint64_t on = std::max<std::uint64_t>(o.alignment, cache_line_size);
      o.offset = (at + on - 1) / on * on;
      at = o.offset + o.bytes;
    }
    return all;
  }
  static constexpr std::array<shared_object, sizeof...(Objects)> objects_ = placed();

 public:
  static constexpr segment_plan plan() noexcept {
    return {objects_, layout_hash(objects_), objects_.back().offset + objects_.back().bytes};
  }
  static constexpr std::uint64_t layout = layout_hash(objects_);
  static constexpr std::uint64_t bytes = objects_.back().offset + objects_.back().bytes;

  // `from`: what each object is made from, in their order. If it exists: segment_exists.
  template <class... From>
  static outcome<shared_segment> create(std::string_view name, const shared_segment_options& options,
                                        const From&... from) noexcept {
    return make(segment_mapping::wish::create, name, options, from...);
  }
  static outcome<shared_segment> open(std::string_view name, const shared_segment_options& options = {}) noexcept {
    return checked(segment_mapping::get(name, plan(), options, segment_mapping::wish::open, nullptr, nullptr), options);
  }
  // What `from` says counts for whoever makes it: made() tells.
  template <class... From>
  static outcome<shared_segment> open_or_create(std::string_view name, const shared_segment_options& options,
                                                const From&... from) noexcept {
    return make(segment_mapping::wish::open_or_create, name, options, from...);
  }
  // What another process opened and handed over, or a parent left open. The descriptor stays the caller's.
  static outcome<shared_segment> attach(int descriptor, const shared_segment_options& options = {}) noexcept {
    return checked(segment_mapping::attach(descriptor, plan(), options), options);
  }
  // The name alone: who has it open keeps it.
  static outcome<> unlink(std::string_view name, segment_text* why = nullptr) noexcept {
    return segment_mapping::unlink(name, why);
  }

  template <std::size_t I>
  [[nodiscard]] auto& get() const noexcept {
    using type = std::tuple_element_t<I, std::tuple<Objects...>>;
    return *std::launder(reinterpret_cast<type*>(mapping_.memory().data() + objects_[I].offset));
  }
  // Of a type that is there once.
  template <class T>
    requires((std::is_same_v<T, Objects> + ...) == 1)
  [[nodiscard]] T& get() const noexcept { return get<index_of<T>()>(); }
  // By this call, or was it there?
  [[nodiscard]] bool made() const noexcept { return mapping_.made(); }

 private:
  explicit shared_segment(segment_mapping&& mapping) noexcept : mapping_(std::move(mapping)) {}

  template <class T>
  static constexpr std::size_t index_of() noexcept {
    std::size_t at = 0;
    static_cast<void>(((std::is_same_v<T, Objects> || (++at, false)) || ...));
    return at;
  }

  template <class... From>
  static outcome<shared_segment> make(segment_mapping::wish wanted, std::string_view name,
                                      const shared_segment_options& options, const From&... from) noexcept {
    static_assert(sizeof...(From) == sizeof...(Objects),
                  "one argument for each object; from_nothing{} where it takes none");
    const std::tuple<const From&...> arguments(from...);
    const segment_mapping::maker build = [](std::byte* memory, const void* context) {
      const auto& given = *static_cast<const std::tuple<const From&...>*>(context);
      [&]<std::size_t... I>(std::index_sequence<I...>) {
        (make_one<Objects>(memory + objects_[I].offset, std::get<I>(given)), ...);
      }
      (std::index_sequence_for<Objects...>{});
    };
    return checked(segment_mapping::get(name, plan(), options, wanted, build, &arguments), options);
  }
  template <class T, class From>
  static void make_one(std::byte* at, const From& from) noexcept {
    if constexpr (std::is_same_v<From, from_nothing>) {
      std::construct_at(reinterpret_cast<T*>(at));
    } else {
      std::construct_at(reinterpret_cast<T*>(at), from);
    }
  }

  template <class T>
  static bool is_sound(const T& object) noexcept {
    if constexpr (requires { object.sound(); }) {
      return object.sound();
    } else if constexpr (requires { validate(object); }) {
      return !validate(object);
    } else {
      return true;
    }
  }
  static outcome<shared_segment> checked(outcome<segment_mapping>&& got,
                                         const shared_segment_options& options) noexcept {
    if (!got.ok()) return got.error();
    shared_segment made(std::move(got).value());
    std::size_t bad = 0;
    const bool sound = [&]<std::size_t... I>(std::index_sequence<I...>) {
      return ((is_sound(made.template get<I>()) || (bad = I, false)) && ...);
    }
    (std::index_sequence_for<Objects...>{});
    if (sound) return made;
    return segment_mapping::unsound(objects_[bad], options.why);
  }

  segment_mapping mapping_;
};

}  // namespace holdfast
