// SPDX-License-Identifier: MIT
#include "holdfast/policy/breaker_table.hpp"

#include <algorithm>

#include "holdfast/core/random.hpp"

namespace holdfast {

breaker_table::breaker_table(breaker_table_shared& shared, std::span<compact_breaker> slots,
                             const breaker_table_options& options) noexcept
    : shared_(shared),
      slots_(slots),
      places_(slots.size()),
      rules_(options.breaker),
      cool_down_(options.cool_down),
      secret_(options.secret == siphash_key{} ? siphash_key{shared_random(), shared_random()} : options.secret) {
  HOLDFAST_ASSERT(!validate(options));
  HOLDFAST_ASSERT(!slots.empty());
  slots_ = slots.first(places_.slots());
}

// ---- slots

// The word belongs to the name: it was read between two looks at it, and hands only change while the word is vacant.
// Of a name that is not `only` nothing more is read.
breaker_table::sight breaker_table::read(compact_breaker& slot, std::uint64_t only) noexcept {
  for (;;) {
    // [T1] acquire, pairs with [T2]: a word that is read next is not of the hands before
    const std::uint64_t name = slot.name_.load(mo::acquire);
    if (only != 0 && tag_of(name) != only) return {&slot, name};
    // [T3] acquire, pairs with [T4]: nor of later hands, if the name is the same behind it
    const breaker_word word(slot.word_.load(mo::acquire));
    if (slot.name_.load(mo::relaxed) == name) return {&slot, name, word};  // hint: another round, if not
  }
}

// Strong: who fails has met another's step.
bool breaker_table::swap(const sight& at, breaker_word next) noexcept {
  std::uint64_t seen = at.word.bits();
  // own: what a step publishes was ordered by the fences before it, and a failure's word is not used
  return at.slot->word_.compare_exchange_strong(seen, next.bits(), mo::relaxed, mo::relaxed);
}

// The key's breaker if it has one; else its claim if one is pending; else nothing.
breaker_table::sight breaker_table::find(breaker_key key) const noexcept {
  const std::uint64_t tag = id(key);
  sight found;
  places_.each(slots_, key, [&](compact_breaker& slot) {
    const sight at = read(slot, tag);
    if (tag_of(at.name) != tag) return false;
    if (at.is_pending()) found = at;
    if (!at.is_live()) return false;
    found = at;
    return true;
  });
  return found;
}

// ---- places

// Would another key have it without anything being lost?
bool breaker_table::is_spare(const sight& at, time_point now) const noexcept {
  if (at.is_vacant()) return !at.is_pending();
  if (tag_of(at.name) == 0) return true;
  return at.word.is_closed() && at.word.level() == 0 && at.slot->unused(rules_, at.word, now);
}

// Takes the word of a spare place away from whoever has it. Nothing: it is not spare any more.
std::optional<breaker_word> breaker_table::vacate(const sight& at, time_point now) noexcept {
  if (at.is_vacant()) {
    if (at.word.tick() >> 16U == moment_of(now)) return at.word;
    const breaker_word fresh = vacated(at.word, at.name, moment_of(now));
    return swap(at, fresh) ? std::optional(fresh) : std::nullopt;
  }
  sight calm = at;
  if (!at.slot->forget_marks(rules_, calm.word, now)) return {};
  const breaker_word next = vacated(at.word, at.name, moment_of(now));
  if (!swap(calm, next)) return {};
  if (tag_of(at.name) != 0) shared_.evicted.fetch_add(1, mo::relaxed);  // counter:
  return next;
}

// Gives the key a place: claims one, or finds that there is none.
breaker_table::claim_end breaker_table::claim(breaker_key key, time_point now) noexcept {
  const std::uint64_t tag = id(key);
  sight best;
  sight left;
  std::size_t most = 0;
  bool there = false;
  // The first set with enough of them, or else the one with most, so that all sets fill evenly.
  for (std::size_t way = 0; way < places_.ways() && 2 * most < places_.set_size(); ++way) {
    std::size_t spare = 0;
    sight first;
    places_.each_in(slots_, key, way, [&](compact_breaker& slot) {
      const sight at = read(slot);
      if (is_left(at, now)) left = at;
      if (is_spare(at, now) && spare++ == 0) first = at;
      there = there || (tag_of(at.name) == tag && (at.is_live() || at.is_pending()));
      return there;
    });
    if (there) return {};  // it came after find() had looked
    if (spare <= most) continue;
    most = spare;
    best = first;
  }
  if (best.slot == nullptr) {
    if (left.slot == nullptr) return {.full = true};
    // Whoever claimed it is dead. If not, it begins again.
    swap(left, vacated(left.word, left.name, moment_of(now)));
    return {};
  }
  const std::optional<breaker_word> word = vacate(best, now);
  if (!word) return {};
  const std::uint64_t name = name_of(tag, hands_of(best.name) + 1);
  std::uint64_t seen = best.name;
  // [T2] release, pairs with [T1]: who sees the name sees that the word has been vacant
  // counter: on failure another has claimed it
  if (!best.slot->name_.compare_exchange_strong(seen, name, mo::release, mo::relaxed)) return {};
  return {.made = settle(key, {best.slot, name, *word}, now)};
}

// Ends a pending claim of the key: the place is its own, unless the key has another. Nothing: it is, or another has ended it.
breaker_table::sight breaker_table::settle(breaker_key key, const sight& mine, time_point now) noexcept {
  // [T4] seq_cst, pairs with itself: of two claims of one key at least one sees the other; and with [T3]: behind the word
  // that ends the claim, its name
  fence(mo::seq_cst);
  const std::uint64_t tag = id(key);
  bool lost = false;
  places_.each(slots_, key, [&](compact_breaker& slot) {
    if (&slot == mine.slot) return false;
    for (;;) {
      const sight other = read(slot, tag);
      if (tag_of(other.name) != tag || (!other.is_live() && !other.is_pending())) return false;
      // A later place gives way; if it does not because it is closed by now, this one does.
      if (other.is_pending() && other.slot > mine.slot) {
        if (swap(other, vacated(other.word, other.name, moment_of(now)))) return false;
        continue;
      }
      lost = true;
      return true;
    }
  });
  const breaker_word next = lost ? vacated(mine.word, mine.name, moment_of(now))
                                 : mine.word.next(breaker_state::closed, 0, breaker_tick::of(now));
  if (!swap(mine, next) || lost) return {};
  shared_.placed.fetch_add(1, mo::relaxed);  // counter:
  return {mine.slot, mine.name, next};
}

// The key's breaker, made if need be. Nothing: there is no room.
breaker_table::sight breaker_table::place(breaker_key key, time_point now) noexcept {
  for (int claims = 0; claims < most_claims; ++claims) {
    sight at = find(key);
    if (at.slot == nullptr) {
      const claim_end claimed = claim(key, now);
      if (claimed.full) break;
      at = claimed.made;
    } else if (at.is_pending()) {
      at = settle(key, at, now);
    }
    if (at.slot != nullptr) return at;
  }
  return {};
}

// Admissions leave a trace, too, so that an entry is not evicted while its calls are out.
void breaker_table::touch(const sight& at, time_point now) noexcept {
  const std::uint64_t epoch = rules_.epoch(now);
  const std::uint16_t generation = at.word.generation();
  if (!at.slot->window_.is_untouched(epoch, generation)) return;
  if (at.word.streak() != 0) at.slot->forget_streak(rules_, now);
  at.slot->window_.touch(epoch, generation);
}

// ---- what is asked

breaker_table::admission breaker_table::admit(breaker_key key, time_point now) noexcept {
  for (;;) {
    sight at = place(key, now);
    if (at.slot == nullptr) return overflow_admit(now);
    if (at.word.is_closed()) touch(at, now);
    compact_breaker::admission made;
    // Not again from what the word is by then: it may be another key's.
    if (!at.slot->try_admit(rules_, at.word, now, made)) continue;
    if (made.transition) count(made.transition);
    return {std::move(made.ticket), made.refusal, made.transition};
  }
}

breaker_table::admission breaker_table::overflow_admit(time_point now) noexcept {
  shared_.overflowed.fetch_add(1, mo::relaxed);  // counter:
  compact_breaker::admission made = shared_.overflow.admit(rules_, now);
  if (made.transition) count(made.transition);
  const cool_down_claim tell = shared_.told.try_claim(now, cool_down_);
  return {std::move(made.ticket), made.refusal, made.transition, true, tell.granted, tell.held_back};
}

breaker_table::step breaker_table::force(breaker_key key, breaker_state to, time_point now) noexcept {
  for (;;) {
    const sight at = place(key, now);
    if (at.slot == nullptr) return {};
    if (at.word.state() == to) return {.placed = true};
    const breaker_word next = at.word.next(to, at.word.level(), breaker_tick::of(now));
    if (!swap(at, next)) continue;
    return {{at.word.state(), to, breaker_cause::manual, next.generation()}, true};
  }
}

breaker_table::step breaker_table::release(breaker_key key, time_point now, breaker_state to) noexcept {
  const bool half = to == breaker_state::half_open;
  HOLDFAST_ASSERT(half || to == breaker_state::closed);
  for (;;) {
    const sight at = find(key);
    if (at.slot == nullptr || at.is_pending()) return {};
    if (at.word.state() < breaker_state::forced_open) return {.placed = true};
    const breaker_word next = at.word.next(to, at.word.level(), breaker_tick::of(now));
    if (!swap(at, next)) continue;
    return {{at.word.state(), to, breaker_cause::manual, next.generation()}, true};
  }
}

// False: the place is not as it was seen.
bool breaker_table::give_up(const sight& at) noexcept {
  if (!swap(at, vacated(at.word, at.name, 0))) return false;
  shared_.forgotten.fetch_add(1, mo::relaxed);  // counter:
  return true;
}

bool breaker_table::forget(breaker_key key) noexcept {
  for (;;) {
    const sight at = find(key);
    if (at.slot == nullptr || at.is_pending()) return false;
    if (give_up(at)) return true;
  }
}

bool breaker_table::forget_entry(std::uint64_t id) noexcept {
  if (id == 0) return false;  // nobody's
  bool any = false;           // of two keys with one id, each in slots of its own, both go
  for (compact_breaker& slot : slots_) {
    for (;;) {
      const sight at = read(slot, id);
      if (tag_of(at.name) != id || !at.is_live()) break;
      if (!give_up(at)) continue;
      any = true;
      break;
    }
  }
  return any;
}

std::optional<compact_breaker_snapshot> breaker_table::look(breaker_key key, time_point now) const noexcept {
  const sight at = find(key);
  if (at.slot == nullptr || at.is_pending()) return {};
  return at.slot->snapshot_of(rules_, at.word, now);
}

breaker_table_totals breaker_table::totals() const noexcept {
  breaker_table_totals t{.slots = slots_.size(),
                         .evicted = shared_.evicted.load(mo::relaxed),        // counter:
                         .forgotten = shared_.forgotten.load(mo::relaxed),    // counter:
                         .overflowed = shared_.overflowed.load(mo::relaxed),  // counter:
                         .opens = shared_.opens.load(mo::relaxed),            // counter:
                         .closes = shared_.closes.load(mo::relaxed)};         // counter:
  const std::uint64_t placed = shared_.placed.load(mo::relaxed);              // counter:
  t.entries = placed - std::min(placed, t.evicted + t.forgotten);
  return t;
}

void breaker_table::count(const breaker_transition& made) noexcept {
  if (made.to == breaker_state::open) shared_.opens.fetch_add(1, mo::relaxed);               // counter:
  if (made.cause == breaker_cause::probes_passed) shared_.closes.fetch_add(1, mo::relaxed);  // counter:
}

}  // namespace holdfast
