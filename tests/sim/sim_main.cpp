// SPDX-License-Identifier: MIT
// simulation: runs one world and prints what happened in it as JSON, for tools/simulate to draw.
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chain_world.hpp"
#include "herd_world.hpp"

using namespace sim;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view herd_about =
    "10,000 clients fail within a millisecond, come again by their own waits, and find the store back after 20 s";

struct arguments {
  std::string_view world{};
  std::uint64_t seed = 1;
  bool policies = true;
  std::string_view log{};
};

// Times are shown without the hour by which the clock leaps.
struct axis {
  duration lasts{};
  duration leaps_at{};
  duration leap{};

  static constexpr duration bin = 250ms;
  [[nodiscard]] std::size_t bins() const noexcept { return static_cast<std::size_t>((lasts + bin - 1ns) / bin); }
  [[nodiscard]] duration shown(time_point t) const noexcept {
    const duration since = t - timeline::zero;
    return since > leaps_at ? std::max(since - leap, leaps_at) : since;
  }
};

class json {
 public:
  json& raw(std::string_view text) {
    text_ += text;
    return *this;
  }
  json& number(std::uint64_t value) {
    char digits[24];
    text_.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
    return *this;
  }
  // No text here needs escaping.
  json& text(std::string_view value) { return raw("\"").raw(value).raw("\""); }
  json& key(std::string_view name) { return text(name).raw(": "); }
  json& numbers(std::span<const std::uint64_t> values) {
    raw("[");
    for (std::size_t i = 0; i < values.size(); ++i) raw(i == 0 ? "" : ", ").number(values[i]);
    return raw("]");
  }
  json& ms(duration d) { return number(static_cast<std::uint64_t>(d / 1ms)); }

  [[nodiscard]] const std::string& done() const noexcept { return text_; }

 private:
  std::string text_;
};

// How many of `items` fall in each bin, by what `at` says of them; time_point::max(): in none.
template <class Items, class At>
std::vector<std::uint64_t> binned(const axis& x, const Items& items, At at) {
  std::vector<std::uint64_t> counts(x.bins());
  for (const auto& item : items) {
    const time_point when = at(item);
    if (when == time_point::max()) continue;
    const auto bin = static_cast<std::size_t>(x.shown(when) / axis::bin);
    if (bin < counts.size()) ++counts[bin];
  }
  return counts;
}

struct run_of {
  const event_log& log;
  const timeline& time;
  const std::vector<wish>& wishes;
  const server& store;
  std::vector<const layer*> layers;
};

void print(const arguments& a, std::string_view about, const axis& x, const run_of& r) {
  json out;
  out.raw("{").key("world").text(a.world).raw(", ").key("about").text(about).raw(", ").key("seed").number(a.seed);
  out.raw(", ").key("policies").raw(a.policies ? "true" : "false");
  out.raw(", ").key("bin_ms").ms(axis::bin).raw(", ").key("lasts_ms").ms(x.lasts);
  out.raw(", ").key("leaps_at_ms").ms(x.leaps_at);
  out.raw(", ").key("faults").raw("[");
  for (const fault& f : r.store.options().faults) {
    out.raw(&f == r.store.options().faults.data() ? "{" : ", {").key("kind").text(name_of(f.kind));
    out.raw(", ").key("from_ms").ms(x.shown(timeline::zero + f.from));
    out.raw(", ").key("to_ms").ms(std::min(x.shown(timeline::zero + f.to), x.lasts)).raw("}");
  }
  out.raw("],\n").key("asked").numbers(binned(x, r.wishes, [](const wish& w) { return w.sent; }));
  out.raw(",\n").key("asked_and_served").numbers(binned(x, r.wishes, [](const wish& w) {
    return w.in_time() ? w.sent : time_point::max();
  }));
  out.raw(",\n").key("served").numbers(
      binned(x, r.wishes, [](const wish& w) { return w.in_time() ? w.done : time_point::max(); }));
  out.raw(",\n").key("failed").numbers(
      binned(x, r.wishes, [](const wish& w) { return w.in_time() ? time_point::max() : std::min(w.done, w.until); }));
  out.raw(",\n").key("sent_to_store").numbers(binned(x, r.store.arrivals(), [](const server::arrival& s) {
    return s.at;
  }));
  out.raw(",\n").key("layers").raw("[");
  for (const layer* l : r.layers) {
    out.raw(l == r.layers.front() ? "{" : ",\n {").key("name").text(l->name());
    out.raw(", ").key("guarded").raw(l->breaker() != nullptr ? "true" : "false");
    out.raw(",\n  ").key("repeated").numbers(binned(x, l->sends(), [](const layer::send& s) {
      return s.attempt > 1 ? s.at : time_point::max();
    }));
    out.raw(",\n  ").key("states").raw("[");
    bool first = true;
    for (const breaker_watch::span& s : l->watch().spans()) {
      out.raw(first ? "[" : ", [").ms(x.shown(s.from)).raw(", ").text(name_of(s.state)).raw("]");
      first = false;
    }
    out.raw("]}");
  }
  const auto served = static_cast<std::uint64_t>(std::ranges::count_if(r.wishes, &wish::in_time));
  out.raw("],\n").key("totals").raw("{").key("asked").number(r.wishes.size()).raw(", ").key("served").number(served);
  out.raw(", ").key("sent_to_store").number(r.store.arrivals().size()).raw(", ").key("events").number(r.time.events());
  out.raw(", ").key("log_lines").number(r.log.lines()).raw(", ").key("log_hash").text(std::to_string(r.log.hash()));
  out.raw("}}\n");
  std::fwrite(out.done().data(), 1, out.done().size(), stdout);
}

int write_log(const event_log& log, std::string_view path) {
  if (path.empty()) return 0;
  std::FILE* const file = std::fopen(std::string(path).c_str(), "wb");
  const bool written =
      file != nullptr && std::fwrite(log.text().data(), 1, log.text().size(), file) == log.text().size();
  if (file != nullptr && std::fclose(file) == 0 && written) return 0;
  std::fprintf(stderr, "simulation: the log cannot be written\n");
  return 1;
}

int run_chain(const arguments& a, std::string_view about) {
  chain_options o = options_of(a.world);
  o.seed = a.seed;
  o.policies = a.policies;
  o.keeps_text = !a.log.empty();
  chain_world world(o);
  world.run();
  const auto layers = world.layers();
  print(a, about, {o.clients.lasts - o.leap, o.leaps_at, o.leap},
        {world.log(), world.time(), world.clients().wishes(), world.store(), {layers.begin(), layers.end()}});
  return write_log(world.log(), a.log);
}

int run_herd(const arguments& a) {
  herd_options o{.seed = a.seed,
                 .keeps_text = !a.log.empty(),
                 .clients = {.clients = 10'000, .once = true, .lasts = 24h},
                 .client_retry = holdfast::retry_options{.max_attempts = 65'535}};
  if (a.policies) {
    o.client_retry->backoff = {.base = 8s, .cap = 30s};
    o.client_retry->hint_spread = 8s;
    o.front_breaker = holdfast::circuit_breaker_options{.open_base = 2s, .open_max = 8s};
  } else {
    o.client_retry->backoff = {.kind = holdfast::backoff_kind::exponential, .base = 1s, .cap = 30s};
  }
  o.store.faults = {{.kind = fault_kind::outage, .from = 0s, .to = 20s}};
  herd_world world(o);
  world.run();
  print(a, herd_about, {.lasts = 60s},
        {world.log(), world.time(), world.clients().wishes(), world.store(), {&world.libraries(), &world.front()}});
  return write_log(world.log(), a.log);
}

int usage() {
  std::fprintf(stderr,
               "usage: simulation --list | WORLD [--seed N] [--without-policies] [--log FILE]\n"
               "Prints what happened as JSON, and the events to FILE, a line each. Worlds: herd");
  for (const named_world& w : named_worlds()) {
    std::fprintf(stderr, ", %.*s", static_cast<int>(w.name.size()), w.name.data());
  }
  std::fprintf(stderr, "\n");
  return 2;
}

}  // namespace

int main(int count, char** values) {
  const std::vector<std::string_view> given(values + 1, values + count);
  if (given.empty()) return usage();
  if (given.size() == 1 && given[0] == "--list") {
    const auto tell = [](std::string_view name, std::string_view about) {
      std::printf("%.*s\t%.*s\n", static_cast<int>(name.size()), name.data(), static_cast<int>(about.size()),
                  about.data());
    };
    for (const named_world& w : named_worlds()) tell(w.name, w.about);
    tell("herd", herd_about);
    return 0;
  }
  arguments a{.world = given[0]};
  for (std::size_t i = 1; i < given.size(); ++i) {
    const bool more = i + 1 < given.size();
    if (given[i] == "--without-policies") {
      a.policies = false;
    } else if (given[i] == "--seed" && more) {
      const std::string_view text = given[++i];
      const auto read = std::from_chars(text.data(), text.data() + text.size(), a.seed);
      if (read.ec != std::errc{} || read.ptr != text.data() + text.size()) return usage();
    } else if (given[i] == "--log" && more) {
      a.log = given[++i];
    } else {
      return usage();
    }
  }
  if (a.world == "herd") return run_herd(a);
  const auto known = std::ranges::find(named_worlds(), a.world, &named_world::name);
  return known == named_worlds().end() ? usage() : run_chain(a, known->about);
}
