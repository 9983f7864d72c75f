// SPDX-License-Identifier: MIT
// Threads come, count, record and end while others read: no count is lost and none runs back.
#include "holdfast/telemetry/counter.hpp"
#include "holdfast/telemetry/histogram.hpp"

#include "soak.hpp"

namespace soak {
namespace {

constexpr unsigned writers = 3;

void round_of(run& r, holdfast::counter& counted, holdfast::histogram& recorded, std::uint64_t each) {
  const std::uint64_t before = counted.value();
  const auto earlier = recorded.snapshot();
  holdfast::atomic<unsigned> working{writers};
  std::vector<std::function<void()>> bodies;
  for (unsigned t = 0; t < writers; ++t) {
    bodies.emplace_back([&, t] {
      holdfast::splitmix64 random(r.round_seed() + t);
      for (std::uint64_t i = 0; i < each; ++i) {
        if (!(r.sabotage() && t == 0 && i == each / 2)) counted.add();
        recorded.record(holdfast::duration(static_cast<std::int64_t>(random() >> 40U)));
      }
      working.fetch_sub(1, mo::relaxed);  // counter: only says when to stop looking
    });
  }
  bodies.emplace_back([&] {
    std::uint64_t last = before;
    std::uint64_t last_recorded = earlier.count();
    std::uint64_t backwards = 0;
    while (working.load(mo::relaxed) != 0) {  // hint: as above
      const std::uint64_t now = counted.value();
      const std::uint64_t now_recorded = recorded.snapshot().count();
      backwards += now < last || now_recorded < last_recorded ? 1U : 0U;
      last = now;
      last_recorded = now_recorded;
      std::this_thread::yield();
    }
    r.expect(backwards == 0, "a count ran back");
  });
  together(bodies);
  r.expect(counted.value() - before == writers * each, "the counter is not what was added");
  r.expect(recorded.snapshot().count() - earlier.count() == writers * each, "the histogram lost a record");
  r.did(2 * writers * each);
}

}  // namespace

void play_metrics(run& r) {
  holdfast::counter counted;
  holdfast::histogram recorded;
  for (std::uint64_t kind = 0; r.next_round(); ++kind) round_of(r, counted, recorded, kind % 4 == 0 ? 1'000 : 100'000);
}

}  // namespace soak
