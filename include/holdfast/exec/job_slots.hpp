// SPDX-License-Identifier: MIT
// job_slots: fixed places for jobs; a handle says which, and one word of each decides between those who run and who cancel it.
//
//   operation          caller            progress    allocates   answer
//   put(slot, level,   who has taken     as f's      never       the handle, of the caller until others know the slot
//   f)                 the slot          move
//   claim(handle)      any thread that   lock-free   never       true: this one runs it, and nobody else does
//                      knows the handle
//   run, drop          who has claimed   as the job  never       how it ended; then the slot is empty
//   cancel(handle)     any thread        as f's      never       cancelled; running; or gone: it has ended, or never was
//                                        end
//   passed(handle)     whose it is to    lock-free   never       true: the slot is empty, and he has it; false: the canceller
//                      give back                                 will give it back
//
// In short: any thread | lock-free, then as the job | never | cancel: running, or gone
//
// JS1: of a job that was put, exactly one of claim and cancel succeeds. JS2: a handle of a job that has ended is refused for ever,
// also when the slot is in use again (up to 2^32 uses). JS3: a slot is given back once, after its callable has been destroyed.
//
// A job's number goes through a queue, and whoever takes it out of there has the slot to give back. If it was cancelled
// meanwhile, then there are two who are done with it, in either order: the canceller, when he has destroyed the callable, and
// the one who came by its number. The later one has the slot.
//
// A callable is moved into the slot and run where it is: no allocation, no type erasure but one pointer to a function. It may be
// move-only, and returns nothing, or an outcome, or something that is not looked at. What it throws is caught.
//
// Memory: Bytes and two words a slot: 64 bytes with 48, a line.
//
// Proof: model/job_slots_model.cpp (JS1-JS3), unit/job_slots_test.cpp, stress/job_scheduler_stress.cpp.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/outcome.hpp"
#include "holdfast/core/prefetch.hpp"
#if defined(__cpp_exceptions)
#include "holdfast/exec/catch_errors.hpp"
#endif

namespace holdfast {

// A job that was accepted; a default one is none.
class job_handle {
 public:
  constexpr job_handle() noexcept = default;
  constexpr job_handle(std::uint32_t slot, std::uint32_t use) noexcept : word_(std::uint64_t{use} << 32U | slot) {}
  constexpr explicit job_handle(std::uint64_t word) noexcept : word_(word) {}
  [[nodiscard]] constexpr std::uint32_t slot() const noexcept { return static_cast<std::uint32_t>(word_); }
  [[nodiscard]] constexpr std::uint32_t use() const noexcept { return static_cast<std::uint32_t>(word_ >> 32U); }
  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }
  // In 56 bits, for a job_ring.
  [[nodiscard]] constexpr std::uint64_t packed() const noexcept { return std::uint64_t{use()} << 24U | slot(); }
  static constexpr job_handle unpacked(std::uint64_t word) noexcept {
    return {static_cast<std::uint32_t>(word & 0xFF'FFFFU), static_cast<std::uint32_t>(word >> 24U)};
  }
  constexpr explicit operator bool() const noexcept { return word_ != 0; }
  friend constexpr bool operator==(job_handle, job_handle) noexcept = default;

 private:
  std::uint64_t word_ = 0;  // no slot is in use for the 0th time
};

// What a job may return to say that it failed.
template <class T>
concept job_outcome = requires(const T& answer) {
  { answer.ok() } -> std::convertible_to<bool>;
  { answer.error() } -> std::convertible_to<error>;
};

enum class cancel_answer : std::uint8_t { cancelled, running, gone };

template <std::size_t Slots, std::size_t Bytes>
class job_slots {
  enum class phase : std::uint8_t {
    empty,
    waits,      // put; its number is on its way
    runs,       // claimed
    ends,       // claimed by a canceller, who is destroying it
    ended,      // he has; whoever comes by its number has the slot
    given_over  // its number came by while he was destroying it: he has the slot
  };

 public:
  // Runs the callable, or not, and ends its life. False: it failed, and `why` says why; where it has not, `why` is as it was.
  using call = bool (*)(void* storage, bool run, error& why) noexcept;

  job_slots() : slots_(std::make_unique<slot[]>(Slots)) {}
  job_slots(const job_slots&) = delete;
  job_slots& operator=(const job_slots&) = delete;
  ~job_slots() = default;

  template <class F>
  static constexpr bool fits = sizeof(std::decay_t<F>) <= Bytes &&
                               alignof(std::decay_t<F>) <= alignof(std::max_align_t);

  template <class F>
  job_handle put(std::uint32_t number, std::uint8_t level, F&& f) {
    using callable = std::decay_t<F>;
    static_assert(sizeof(callable) <= Bytes,
                  "job_scheduler: this callable does not fit into a job: see job_shape::bytes");
    static_assert(alignof(callable) <= alignof(std::max_align_t),
                  "job_scheduler: this callable wants to be aligned further");
    static_assert(std::is_invocable_v<callable&>, "job_scheduler: a job is called without arguments");
    slot& one = slots_[number];
    ::new (static_cast<void*>(one.storage)) callable(std::forward<F>(f));  // if it throws, the slot is as it was
    one.act.set(&carry_out<callable>);
    // own: the slot is the caller's
    const std::uint32_t use = use_of(one.word.load(mo::relaxed));
    // [JS1] release, pairs with [JS2] and [JS3]: the callable is there
    one.word.store(make(use, level, phase::waits), mo::release);
    return {number, use};
  }

  [[nodiscard]] bool claim(job_handle job) noexcept {
    slot& one = slots_[job.slot()];
    std::uint64_t seen = one.word.load(mo::relaxed);  // own: the exchange below checks it
    while (use_of(seen) == job.use() && phase_of(seen) == phase::waits) {
      // [JS2] acquire, pairs with [JS1]: the callable. On failure relaxed, own: only to be asked again
      if (one.word.compare_exchange_weak(seen, with(seen, phase::runs), mo::acquire, mo::relaxed)) return true;
    }
    return false;
  }
  // Claimed. Afterwards the slot is empty and the caller's.
  [[nodiscard]] bool run(job_handle job, error& why) noexcept { return end(job, true, why); }
  void drop(job_handle job) noexcept {
    error none;
    static_cast<void>(end(job, false, none));
  }

  // `mine`: cancelled, and the slot is empty and the caller's to give back. `level`: of what was cancelled.
  [[nodiscard]] cancel_answer cancel(job_handle job, bool& mine, std::uint8_t* level = nullptr) noexcept {
    mine = false;
    if (job.slot() >= Slots) return cancel_answer::gone;
    slot& one = slots_[job.slot()];
    std::uint64_t seen = 0;
    do {
      // [JS3] acquire, pairs with [JS1] and [JS8]: the callable; or what a job did that is gone
      seen = one.word.load(mo::acquire);
      if (use_of(seen) != job.use() || phase_of(seen) == phase::empty) return cancel_answer::gone;
      if (phase_of(seen) == phase::runs) return cancel_answer::running;
      if (phase_of(seen) != phase::waits) return cancel_answer::gone;
      // own: what it must see, the look has seen
    } while (!one.word.compare_exchange_weak(seen, with(seen, phase::ends), mo::relaxed, mo::relaxed));
    if (level != nullptr) *level = level_in(seen);
    error none;
    static_cast<void>(one.act.get()(one.storage, false, none));
    std::uint64_t ends = with(seen, phase::ends);
    // [JS4] release, pairs with [JS5]: it is destroyed. On failure relaxed, own: who came by has touched nothing but the word
    if (!one.word.compare_exchange_strong(ends, with(seen, phase::ended), mo::release, mo::relaxed)) {
      empty(one, seen);
      mine = true;
    }
    return cancel_answer::cancelled;
  }
  // Its number was taken out of a queue, and it could not be claimed there.
  [[nodiscard]] bool passed(job_handle job) noexcept {
    slot& one = slots_[job.slot()];
    for (;;) {
      std::uint64_t seen = one.word.load(mo::acquire);  // [JS5] acquire, pairs with [JS4]: as there
      if (use_of(seen) != job.use()) return false;
      if (phase_of(seen) == phase::ended) {
        empty(one, seen);
        return true;
      }
      if (phase_of(seen) != phase::ends) return false;  // another one has claimed it, and will give it back
      // own: it has touched nothing, and does not any more
      if (one.word.compare_exchange_weak(seen, with(seen, phase::given_over), mo::relaxed, mo::relaxed)) return false;
    }
  }

  // Is it still to be run, as far as the caller sees?
  [[nodiscard]] bool waits(job_handle job) const noexcept {
    const std::uint64_t seen = slots_[job.slot()].word.load(mo::relaxed);  // hint: claim() decides
    return use_of(seen) == job.use() && phase_of(seen) == phase::waits;
  }
  // Of a slot whose number the caller has taken out of a queue.
  [[nodiscard]] job_handle handle_of(std::uint32_t number) const noexcept {
    return {number, use_of(slots_[number].word.load(mo::relaxed))};  // own: it is in use until he gives it back
  }
  // Of a job whose number the caller has.
  [[nodiscard]] std::uint8_t level_of(std::uint32_t number) const noexcept {
    return level_in(slots_[number].word.load(mo::relaxed));  // own: as above
  }
  // Was it cancelled, and is its number on its way still, as far as the caller sees?
  [[nodiscard]] bool is_ended(job_handle job) const noexcept {
    const std::uint64_t seen = slots_[job.slot()].word.load(mo::relaxed);  // hint: checked by who takes the number
    return use_of(seen) == job.use() && phase_of(seen) == phase::ended;
  }

  void prefetch(std::uint32_t number) const noexcept {
    prefetch_for_write(reinterpret_cast<const std::byte*>(&slots_[number]));
  }

 private:
  struct alignas(Bytes + 16 <= cache_line_size ? cache_line_size : alignof(std::max_align_t)) slot {
    atomic<std::uint64_t> word{std::uint64_t{1} << 32U};  // by whose step it is
    plain<call> act{nullptr};
    alignas(std::max_align_t) std::byte storage[Bytes];
  };

  // A word: how often the slot was in use, the level, the phase.
  static constexpr std::uint64_t make(std::uint32_t use, std::uint8_t level, phase now) noexcept {
    return std::uint64_t{use} << 32U | std::uint64_t{level} << 8U | static_cast<std::uint64_t>(now);
  }
  static constexpr std::uint32_t use_of(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word >> 32U); }
  static constexpr std::uint8_t level_in(std::uint64_t word) noexcept { return static_cast<std::uint8_t>(word >> 8U); }
  static constexpr phase phase_of(std::uint64_t word) noexcept { return static_cast<phase>(word & 0xFFU); }
  static constexpr std::uint64_t with(std::uint64_t word, phase now) noexcept {
    return (word & ~std::uint64_t{0xFF}) | static_cast<std::uint64_t>(now);
  }

  void empty(slot& one, std::uint64_t seen) noexcept {
    const std::uint32_t next = use_of(seen) + 1;
    // [JS8] release, pairs with [JS3]: whoever is told that the job is gone sees what it did
    one.word.store(make(next == 0 ? 1 : next, 0, phase::empty), mo::release);
  }
  bool end(job_handle job, bool run, error& why) noexcept {
    slot& one = slots_[job.slot()];
    const bool well = one.act.get()(one.storage, run, why);
    empty(one, make(job.use(), 0, phase::runs));
    return well;
  }

  // Its outcome, if it returns one.
  template <class F>
  static auto called(F& f) {
    if constexpr (job_outcome<std::invoke_result_t<F&>>) {
      return f();
    } else {
      static_cast<void>(f());
      return outcome<>();
    }
  }
  template <class F>
  static bool carry_out(void* storage, bool run, error& why) noexcept {
    F& f = *std::launder(static_cast<F*>(storage));
    bool well = true;
    if (run) {
#if defined(__cpp_exceptions)
      const auto end = catch_errors([&f] { return called(f); })();
#else
      const auto end = called(f);
#endif
      well = end.ok();
      if (!well) why = end.error();
    }
    std::destroy_at(&f);
    return well;
  }

  const std::unique_ptr<slot[]> slots_;
};

}  // namespace holdfast
