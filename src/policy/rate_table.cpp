// SPDX-License-Identifier: MIT
#include "holdfast/policy/rate_table.hpp"

#include <algorithm>
#include <bit>

#include "holdfast/core/contention_pause.hpp"

namespace holdfast {

rate_table::rate_table(rate_table_shared& shared, std::span<rate_cell> cells,
                       const rate_table_options& options) noexcept
    : shared_(shared),
      cells_(cells),
      places_(cells.size()),
      each_(options.each),
      overflow_(options.overflow),
      cool_down_(options.cool_down),
      secret_(options.secret == siphash_key{} ? siphash_key{shared_random(), shared_random()} : options.secret) {
  HOLDFAST_ASSERT(!validate(options));
  HOLDFAST_ASSERT(!cells.empty());
  cells_ = cells.first(places_.slots());
}

// ---- cells

// The word belongs to the name: it was read between two looks at it, and no word is twice in a cell. Of a name that is not
// `only` nothing more is read.
rate_table::sight rate_table::read(rate_cell& cell, std::uint64_t only) noexcept {
  for (;;) {
    // [Q1] acquire, pairs with [Q2]: a word that is read next is not of the hands before
    const std::uint64_t name = cell.name.load(mo::acquire);
    if (only != 0 && tag_of(name) != only) return {&cell, name};
    // [Q3] acquire, pairs with [Q4] and [Q5]: nor of later hands, if the name is the same behind it; and `floor` is not older
    const std::int64_t word = cell.word.load(mo::acquire);
    if (cell.name.load(mo::relaxed) == name) return {&cell, name, word};  // hint: another round, if not
  }
}

// Strong: who fails has met another's step.
bool rate_table::swap(const sight& at, std::int64_t next) noexcept {
  std::int64_t seen = at.word;
  // [Q5] release, pairs with [Q3]: who sees that a cell is vacant sees what it owed last
  // own: a failure's word is not used
  return at.cell->word.compare_exchange_strong(seen, next, mo::release, mo::relaxed);
}

// The key's cell if it has one; else its claim if one is pending; else nothing. A whole set is compared before anything is
// decided: where in it a key stands cannot be predicted.
rate_table::sight rate_table::find(table_key key) const noexcept {
  const std::uint64_t tag = key.tag();
  sight found;
  for (std::size_t way = 0; way < places_.ways(); ++way) {
    const std::span<rate_cell> set = places_.set(cells_, key, way);
    std::uint32_t same = 0;
    for (std::size_t i = 0; i < set.size(); ++i) {
      // hint: read() looks again, and claim() once more at all
      same |= (tag_of(set[i].name.load(mo::relaxed)) == tag ? 1U : 0U) << i;
    }
    for (; same != 0; same &= same - 1) {
      const sight at = read(set[static_cast<std::size_t>(std::countr_zero(same))], tag);
      if (tag_of(at.name) != tag) continue;
      if (at.is_live()) return at;
      if (at.is_pending()) found = at;
    }
  }
  return found;
}

// Takes a cell that is free, or owes nothing, away from whoever has it. Nothing: it is not as it was.
std::optional<std::int64_t> rate_table::vacate(const sight& at, std::int64_t now) noexcept {
  // A free one says when it was claimed, for whoever finds it left behind.
  if (at.is_vacant() && at.time() >= now) return at.word;
  const bool was_had = at.is_live();
  if (was_had) {
    // Before the word: [Q5] publishes it. Who returns with an older reading of the clock begins behind what it took here.
    std::int64_t floor = shared_.floor.load(mo::relaxed);  // own: it only grows, and is ordered by the words
    while (floor < at.time()) {
      // own: as above
      if (shared_.floor.compare_exchange_weak(floor, at.time(), mo::relaxed, mo::relaxed)) break;
    }
  }
  const std::int64_t next = freed(at, now);
  if (!swap(at, next)) return {};
  if (was_had) shared_.evicted.fetch_add(1, mo::relaxed);  // counter:
  return next;
}

// Gives the key a cell: claims one, or finds that there is none.
rate_table::claim_end rate_table::claim(table_key key, std::int64_t now, std::uint32_t cost) noexcept {
  const std::uint64_t tag = key.tag();
  sight best;    // free, in the set with most of them
  sight oldest;  // that owes nothing, for the longest time
  sight left;
  std::size_t most = 0;
  bool there = false;
  // The first set with a free cell to spare, or else the one with most: most keys stand in their first set then, and there
  // is room for nearly all.
  for (std::size_t way = 0; way < places_.ways() && most < enough_free; ++way) {
    std::size_t free = 0;
    sight first;
    places_.each_in(cells_, key, way, [&](rate_cell& cell) {
      const sight at = read(cell);
      there = there || (tag_of(at.name) == tag && (at.is_live() || at.is_pending()));
      if (at.is_pending()) {
        if (now - at.time() >= left_after) left = at;
      } else if (!at.is_live()) {
        if (free++ == 0) first = at;
      } else if (at.time() <= now && (oldest.cell == nullptr || at.time() < oldest.time())) {
        oldest = at;
      }
      return there;
    });
    if (there) return {};  // it came after find() had looked
    if (free <= most) continue;
    most = free;
    best = first;
  }
  if (best.cell == nullptr) best = oldest;
  if (best.cell == nullptr) {
    if (left.cell == nullptr) return {.full = true};
    // Whoever claimed it is dead. If not, it begins again.
    swap(left, freed(left, now));
    return {};
  }
  const std::optional<std::int64_t> word = vacate(best, now);
  if (!word) return {};
  const std::uint64_t name = next_name(tag, best.name);
  std::uint64_t seen = best.name;
  // [Q2] release, pairs with [Q1]: who sees the name sees that the word has been vacant
  // counter: on failure another has claimed it
  if (!best.cell->name.compare_exchange_strong(seen, name, mo::release, mo::relaxed)) return {};
  return {.answer = settle(key, {best.cell, name, *word}, now, cost)};
}

// Ends a pending claim of the key: the cell is its own, with this take as its first. Nothing: the key has another, or somebody
// else has ended the claim.
std::optional<rate_table_answer> rate_table::settle(table_key key, const sight& mine, std::int64_t now,
                                                    std::uint32_t cost) noexcept {
  // [Q4] seq_cst, pairs with itself: of two claims of one key at least one sees the other; and with [Q3]: behind the word
  // that ends the claim, its name
  fence(mo::seq_cst);
  const std::uint64_t tag = key.tag();
  bool lost = false;
  places_.each(cells_, key, [&](rate_cell& cell) {
    if (&cell == mine.cell) return false;
    for (;;) {
      const sight other = read(cell, tag);
      if (tag_of(other.name) != tag || (!other.is_live() && !other.is_pending())) return false;
      // A later cell gives way; if it does not because it is the key's by now, this one does.
      if (other.is_pending() && other.cell > mine.cell) {
        if (swap(other, freed(other, now))) return false;
        continue;
      }
      lost = true;
      return true;
    }
  });
  if (lost) {
    swap(mine, freed(mine, now));
    return {};
  }
  const std::int64_t floor =
      shared_.floor.load(mo::relaxed);  // own: not older than any cell of the key that was vacant
  const gcra::step step = each_.take(floor, now, cost);
  if (step.wait > 0) {
    // An old reading of the clock: the key may have taken until `floor`. With nothing taken it needs no cell.
    if (!swap(mine, freed(mine, now))) return {};
    return rate_table_answer{.code = errc::rate_limited, .retry_after = duration(step.wait)};
  }
  if (!swap(mine, owing(mine, std::max(step.until, mine.time() + 1)))) return {};
  shared_.placed.fetch_add(1, mo::relaxed);  // counter:
  return rate_table_answer{};
}

// ---- what is asked

// From the key's own cell. Nothing: it is another's by now.
std::optional<rate_table_answer> rate_table::charge(sight at, std::int64_t now, std::uint32_t cost) noexcept {
  const std::uint64_t name = at.name;
  for (contention_pause pause;; pause()) {
    const gcra::step step = each_.take(at.time(), now, cost);
    if (step.wait > 0) return rate_table_answer{.code = errc::rate_limited, .retry_after = duration(step.wait)};
    if (swap(at, owing(at, step.until))) return rate_table_answer{};
    at = read(*at.cell);
    if (at.name != name || !at.is_live()) return {};
  }
}

rate_table_answer rate_table::try_take(table_key key, time_point now, std::uint32_t cost) noexcept {
  if (cost == 0) return {};
  if (cost > each_.burst()) return {.code = errc::rate_infeasible};
  const std::int64_t ns = ns_of(now);
  for (int claims = 0; claims < most_claims;) {
    const sight at = find(key);
    if (at.is_live()) {
      if (const auto answer = charge(at, ns, cost)) return *answer;
      continue;
    }
    ++claims;
    if (at.cell != nullptr) {
      if (const auto answer = settle(key, at, ns, cost)) return *answer;
      continue;
    }
    const claim_end claimed = claim(key, ns, cost);
    if (claimed.answer) return *claimed.answer;
    if (claimed.full) break;
  }
  return overflow_take(now, cost);
}

rate_table_answer rate_table::overflow_take(time_point now, std::uint32_t cost) noexcept {
  shared_.overflowed.fetch_add(1, mo::relaxed);  // counter:
  const cool_down_claim tell = shared_.told.try_claim(now, cool_down_);
  rate_table_answer answer{.overflowed = true, .tell = tell.granted, .held_back = tell.held_back};
  if (cost > overflow_.burst()) {
    answer.code = errc::rate_infeasible;
    return answer;
  }
  const std::int64_t ns = ns_of(now);
  std::int64_t seen = shared_.overflow.load(mo::relaxed);  // own: the word publishes nothing but itself
  for (contention_pause pause;; pause()) {
    const gcra::step step = overflow_.take(seen, ns, cost);
    if (step.wait > 0) {
      answer.code = errc::rate_limited;
      answer.retry_after = duration(step.wait);
      return answer;
    }
    // own: as above
    if (shared_.overflow.compare_exchange_weak(seen, step.until, mo::relaxed, mo::relaxed)) return answer;
  }
}

std::optional<rate_snapshot> rate_table::look(table_key key, time_point now) const noexcept {
  const sight at = find(key);
  if (!at.is_live()) return {};
  const std::int64_t owed = std::max<std::int64_t>(at.time() - ns_of(now), 0);
  const std::int64_t left = std::max<std::int64_t>(each_.full() - owed, 0) / each_.period();
  return rate_snapshot{static_cast<std::uint32_t>(left), each_.burst(), duration(each_.period()), duration(owed)};
}

rate_table_totals rate_table::totals() const noexcept {
  rate_table_totals t{.cells = cells_.size(),
                      .evicted = shared_.evicted.load(mo::relaxed),         // counter:
                      .overflowed = shared_.overflowed.load(mo::relaxed)};  // counter:
  const std::uint64_t placed = shared_.placed.load(mo::relaxed);            // counter:
  t.entries = placed - std::min(placed, t.evicted);
  return t;
}

}  // namespace holdfast
