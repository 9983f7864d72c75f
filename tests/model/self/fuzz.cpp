// SPDX-License-Identifier: MIT
#include "model/self/fuzz.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "model/engine/engine.hpp"
#include "model/self/outcomes.hpp"
#include "support/proof_fact.hpp"

namespace holdfast_model {
namespace {

class splitmix {
 public:
  explicit splitmix(std::uint64_t seed) noexcept : state_(seed) {}
  unsigned below(unsigned count) noexcept { return static_cast<unsigned>(next() % count); }

 private:
  std::uint64_t next() noexcept {
    std::uint64_t z = (state_ += 0x9E37'79B9'7F4A'7C15ULL);
    z = (z ^ (z >> 30U)) * 0xBF58'476D'1CE4'E5B9ULL;
    z = (z ^ (z >> 27U)) * 0x94D0'49BB'1331'11EBULL;
    return z ^ (z >> 31U);
  }
  std::uint64_t state_;
};

// seq_cst comes last, so that it is left out by one less.
constexpr order load_orders[] = {order::relaxed, order::acquire, order::seq_cst};
constexpr order store_orders[] = {order::relaxed, order::release, order::seq_cst};
constexpr order rmw_orders[] = {order::relaxed, order::acquire, order::release, order::acq_rel, order::seq_cst};
constexpr order fence_orders[] = {order::acquire, order::release, order::acq_rel, order::seq_cst};

template <std::size_t N>
order any(const order (&of)[N], splitmix& random, bool seq_cst) {
  return of[random.below(N - (seq_cst ? 0 : 1))];
}

const fuzz_program* running = nullptr;
outcome_set seen;

// An outcome: what each operation read, which exchanges happened, and the final values.
struct fuzzed {
  static constexpr unsigned threads = 1;  // as many as the program has
  std::array<int, fuzz_locations> cells{};
  outcome saw{};

  void run(unsigned thread) {
    std::size_t at = thread * 5;
    unsigned bit = 1;
    for (const fuzz_step& step : running->threads[thread]) {
      saw[at++] = perform(step, saw[thread * 5 + 4], bit);
      bit *= 2;
    }
  }
  void after() {
    for (unsigned l = 0; l < running->locations; ++l)
      saw[15 + l] = static_cast<std::uint8_t>(engine::instance().load(&cells[l], 0, order::relaxed, place{}));
    seen.add(saw);
  }
  std::uint8_t perform(const fuzz_step& s, std::uint8_t& happened, unsigned bit) {
    engine& e = engine::instance();
    const int* const cell = &cells[s.location];
    std::uint64_t expected = s.expected;
    switch (s.kind) {
      case op_kind::load: return static_cast<std::uint8_t>(e.load(cell, 0, s.success, place{}));
      case op_kind::store: e.store(cell, 0, s.value, s.success, place{}); return 0;
      case op_kind::rmw:
        return static_cast<std::uint8_t>(
            e.modify(cell, 0, s.success, place{}, [&s](std::uint64_t was) { return (was + s.value) & 0xFFU; }));
      case op_kind::cas_strong:
      case op_kind::cas_weak:
        if (e.exchange_if(cell, 0, expected, s.value, s.success, s.failure, s.kind == op_kind::cas_weak, place{}))
          happened = static_cast<std::uint8_t>(happened | bit);
        return static_cast<std::uint8_t>(expected);
      default: e.fence(s.success, place{}); return 0;
    }
  }
};

std::string text_of(const outcome& o) {
  std::string text;
  for (std::size_t i = 0; i < 15 + fuzz_locations; ++i) text += (i % 5 == 0 ? " | " : " ") + std::to_string(o[i]);
  return text;
}

}  // namespace

fuzz_program random_program(std::uint64_t seed, std::uint64_t number, bool seq_cst) {
  splitmix random((seed << 32U) ^ (number << 1U) ^ (seq_cst ? 1U : 0U));
  for (unsigned warm = 0; warm < 4; ++warm) random.below(2);
  fuzz_program p;
  p.locations = 2 + (random.below(4) == 0 ? 1 : 0);
  p.threads.resize(2 + random.below(2));
  unsigned operations = 0, left = 7 - 2 * static_cast<unsigned>(p.threads.size());  // beyond two a thread
  for (auto& thread : p.threads) {
    const unsigned more = random.below(std::min(left, 2U) + 1);
    left -= more;
    thread.resize(2 + more);
    for (fuzz_step& s : thread) {
      constexpr op_kind kinds[] = {op_kind::load, op_kind::load,       op_kind::store,    op_kind::store,
                                   op_kind::rmw,  op_kind::cas_strong, op_kind::cas_weak, op_kind::fence};
      s.kind = kinds[random.below(std::size(kinds))];
      s.location = static_cast<std::uint8_t>(random.below(p.locations));
      s.value = static_cast<std::uint8_t>(++operations);  // a value says who wrote it
      switch (s.kind) {
        case op_kind::load: s.success = any(load_orders, random, seq_cst); break;
        case op_kind::store: s.success = any(store_orders, random, seq_cst); break;
        case op_kind::fence: s.success = any(fence_orders, random, seq_cst); break;
        default: s.success = any(rmw_orders, random, seq_cst); s.failure = any(load_orders, random, seq_cst);
      }
      if (s.kind == op_kind::rmw) s.value = static_cast<std::uint8_t>(16 * operations);
    }
  }
  // An exchange waits for the first value or for one that is stored there.
  for (auto& thread : p.threads) {
    for (fuzz_step& s : thread) {
      if (s.kind != op_kind::cas_strong && s.kind != op_kind::cas_weak) continue;
      for (const auto& other : p.threads) {
        for (const fuzz_step& o : other) {
          if (&o != &s && o.kind != op_kind::load && o.kind != op_kind::fence && o.location == s.location &&
              random.below(2) == 0)
            s.expected = o.value;
        }
      }
    }
  }
  return p;
}

std::string text_of(const fuzz_program& p) {
  std::string text;
  for (std::size_t t = 0; t < p.threads.size(); ++t) {
    text += "  T" + std::to_string(t + 1) + ":";
    for (const fuzz_step& s : p.threads[t]) {
      const bool exchanges = s.kind == op_kind::cas_strong || s.kind == op_kind::cas_weak;
      text += std::string("  ") + name_of(s.kind) + " ";
      if (s.kind != op_kind::fence) text += std::string(1, static_cast<char>('x' + s.location)) + " ";
      if (exchanges) text += std::to_string(s.expected) + "->";
      if (s.kind != op_kind::fence && s.kind != op_kind::load) text += std::to_string(s.value) + " ";
      text += name_of(s.success);
      if (exchanges) text += std::string("/") + name_of(s.failure);
      text += ";";
    }
    text += "\n";
  }
  return text;
}

comparison compare(const fuzz_program& p, std::uint64_t largest, flaw seeded) {
  running = &p;
  scenario s = describe<fuzzed>("self", "fuzz", {});
  s.threads = static_cast<unsigned>(p.threads.size());
  s.options.wrong = seeded;
  comparison c;

  seen.clear();
  search_options without = s.options;
  without.reduce = false;
  without.executions = largest;
  const search_result brute = engine::instance().explore(s, without);
  if (brute.failed) {
    c.difference = "  the search without reduction failed: " + brute.why + "\n";
    return c;
  }
  if (!brute.complete) {
    c.too_large = true;
    return c;
  }
  const std::vector<outcome> all = seen.sorted();

  seen.clear();
  const search_result reduced = engine::instance().explore(s, s.options);
  const std::vector<outcome> found = seen.sorted();
  c.brute = brute.executions;
  c.reduced = reduced.executions;
  c.pruned = reduced.pruned;
  c.outcomes = all.size();
  if (reduced.failed || !reduced.complete) {
    c.difference = "  the reduced search did not end: " + reduced.why + "\n";
    return c;
  }
  const auto tell = [&c](const std::vector<outcome>& these, const std::vector<outcome>& those, const char* what) {
    for (const outcome& o : these) {
      if (std::binary_search(those.begin(), those.end(), o)) continue;
      c.difference += std::string("  ") + what + text_of(o) + "\n";
      return;
    }
  };
  tell(all, found, "the reduced search misses  ");
  tell(found, all, "only the reduced search has");
  return c;
}

bool fuzz_reduction(std::uint64_t programs, std::uint64_t seed, std::uint64_t largest) {
  std::uint64_t all_differences = 0, all_done = 0;
  for (const bool seq_cst : {false, true}) {
    const auto start = std::chrono::steady_clock::now();
    std::uint64_t done = 0, too_large = 0, differences = 0, reduced = 0, pruned = 0, brute = 0, outcomes = 0;
    const std::uint64_t wanted = seq_cst ? programs / 2 : programs - programs / 2;
    for (std::uint64_t number = 0; done < wanted; ++number) {
      const fuzz_program p = random_program(seed, number, seq_cst);
      const comparison c = compare(p, largest);
      if (c.too_large) {
        ++too_large;
        continue;
      }
      ++done;
      reduced += c.reduced;
      pruned += c.pruned;
      brute += c.brute;
      outcomes += c.outcomes;
      if (c.difference.empty()) continue;
      if (++differences <= 3)
        std::printf("DIFFERENCE in program %llu of seed %llu, %s seq_cst:\n%s%s",
                    static_cast<unsigned long long>(number), static_cast<unsigned long long>(seed),
                    seq_cst ? "with" : "without", text_of(p).c_str(), c.difference.c_str());
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const auto n = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
    std::printf(
        "FUZZ %s seq_cst: programs=%llu differences=%llu brute=%llu reduced=%llu pruned=%llu ratio=1:%.1f "
        "outcomes=%llu too-large=%llu seed=%llu  (%.1f s)\n",
        seq_cst ? "with" : "without", n(done), n(differences), n(brute), n(reduced), n(pruned),
        static_cast<double>(brute) / static_cast<double>(reduced == 0 ? 1 : reduced), n(outcomes), n(too_large),
        n(seed), seconds);
    all_differences += differences;
    all_done += done;
  }
  using test_support::proof_fact;
  const bool told = proof_fact("checker.programs", all_done, "programs") &&
                    proof_fact("checker.differences", all_differences, "programs");
  return told && all_differences == 0;
}

}  // namespace holdfast_model
