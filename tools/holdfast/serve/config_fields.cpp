// SPDX-License-Identifier: MIT
#include "serve/config_fields.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>
#include <utility>

namespace holdfast::serve {
namespace {

constexpr std::int64_t minute_ms = 60'000;
constexpr std::int64_t day_ms = 24 * 60 * minute_ms;

template <class... F>
struct overloaded : F... {
  using F::operator()...;
};
template <class... F>
overloaded(F...) -> overloaded<F...>;

void add_server(std::vector<field>& f, server_options& o) {
  f.push_back({"server.address", "--address", "address to listen on", &o.address});
  f.push_back({"server.port", "--port", "port to listen on, 0 picks a free one", &o.port, 0, 65535});
  f.push_back({"server.io_threads", "--io-threads", "threads that speak HTTP", &o.io_threads, 1, 64});
  f.push_back({"server.db_threads", "--db-threads", "threads, and connections, a database", &o.db_threads, 1, 64});
  f.push_back({"server.max_connections", "--max-connections", "open connections", &o.max_connections, 1, 100'000});
  f.push_back(
      {"server.max_header_bytes", "--max-header-bytes", "size of a request's head", &o.max_header_bytes, 512, 65'536});
  f.push_back(
      {"server.max_body_bytes", "--max-body-bytes", "size of a request's body", &o.max_body_bytes, 512, 1'048'576});
  f.push_back({"server.header_timeout", "--header-timeout", "for a request's whole head", &o.header_timeout, 10,
               5 * minute_ms});
  f.push_back(
      {"server.body_timeout", "--body-timeout", "for a request's whole body", &o.body_timeout, 10, 5 * minute_ms});
  f.push_back({"server.write_timeout", "--write-timeout", "for a client to take its answer", &o.write_timeout, 10,
               5 * minute_ms});
  f.push_back({"server.idle_timeout", "--idle-timeout", "between two requests of a connection", &o.idle_timeout, 10,
               60 * minute_ms});
  f.push_back({"server.drain_timeout", "--drain-timeout", "for requests in flight after SIGTERM", &o.drain_timeout, 0,
               10 * minute_ms});
}

void add_dependency(std::vector<field>& f, const std::string& name, dependency_options& o) {
  const auto key = [&](const char* leaf) { return name + "." + leaf; };
  const auto flag = [&](const char* leaf) { return "--" + name + "." + leaf; };
  const auto time = [&](const char* leaf, const char* help, milliseconds& at, std::int64_t min, std::int64_t max) {
    f.push_back({key(leaf), flag(leaf), help, &at, min, max});
  };
  const auto count = [&](const char* leaf, const char* help, std::int64_t& at, std::int64_t min, std::int64_t max) {
    f.push_back({key(leaf), flag(leaf), help, &at, min, max});
  };
  time("attempt_timeout", "one attempt", o.attempt_timeout, 1, minute_ms);
  count("bulkhead", "attempts at the same time", o.bulkhead, 1, 10'000);
  count("bulkhead_queue", "attempts that may wait for a place there, 0: none", o.bulkhead_queue, 0, 4'096);
  time("bulkhead_wait", "for such a place, at most", o.bulkhead_wait, 0, minute_ms);
  count("attempts", "attempts of one call, the first included", o.attempts, 1, 10);
  time("backoff_base", "before the first retry, with jitter", o.backoff_base, 0, minute_ms);
  time("backoff_cap", "before any retry, at most", o.backoff_cap, 0, minute_ms);
  count("budget_permille", "retries for a thousand calls", o.budget_permille, 0, 1000);
  count("budget_min_per_second", "retries that are always allowed", o.budget_min_per_second, 0, 10'000);
  count("consecutive_failures", "failures in a row that open the breaker, 0: off", o.consecutive_failures, 0, 511);
  count("failure_permille", "failures in a thousand calls that open the breaker, 0: off", o.failure_permille, 0, 1000);
  time("slow_call", "an attempt that takes so long is a slow one, 0: none is", o.slow_call, 0, minute_ms);
  count("slow_permille", "slow ones in a thousand calls that open the breaker, 0: off", o.slow_permille, 0, 1000);
  count("min_calls", "calls in the window before the rates count", o.min_calls, 1, 100'000);
  time("window", "that the rates are taken over", o.window, 100, 10 * minute_ms);
  count("probes", "successes in half-open that close the breaker", o.probes, 1, 31);
  time("open_base", "open at first; doubles", o.open_base, 10, 10 * minute_ms);
  time("open_max", "open at most", o.open_max, 10, 60 * minute_ms);
}

void add_rest(std::vector<field>& f, options& o) {
  f.push_back({"admin.address", "--admin-address", "address of a separate admin listener", &o.admin.address});
  f.push_back({"admin.port", "--admin-port",
               "its port; -1: with the service when that is on loopback, else a free loopback port", &o.admin.port, -1,
               65535});
  f.push_back({"data.dir", "--data", "directory of the databases, made when missing", &o.data.dir});
  f.push_back({"data.generate", "--generate", "profiles to make when there are none", &o.data.generate, 0, 10'000'000});
  f.push_back({"data.seed", "--seed", "seed of the profiles made", &o.data.seed, 0, INT64_MAX});
  f.push_back(
      {"log.file", "--log", "log file; empty: serve.log.jsonl in the data directory, -: standard output", &o.log.file});
  f.push_back({"log.level",
               "--log-level",
               "least level that is written",
               &o.log.level,
               0,
               0,
               {"trace", "debug", "info", "warn", "error"}});
  f.push_back({"log.sample_ok_permille", "--log-sample", "2xx answers in a thousand that get a line",
               &o.log.sample_ok_permille, 0, 1000});
  f.push_back({"policies", "--policies", "off: a plain call to the primary, as a naive service would", &o.policies});
  f.push_back({"reads.deadline", "--read-deadline", "for a read over all tiers", &o.read_deadline, 1, minute_ms});
  f.push_back(
      {"writes.deadline", "--write-deadline", "for a write over all attempts", &o.writes.deadline, 1, minute_ms});
  f.push_back({"writes.require_if_match", "--require-if-match", "a PUT on a profile that exists needs If-Match (428)",
               &o.writes.require_if_match});
  f.push_back(
      {"writes.key_ttl", "--key-ttl", "that an Idempotency-Key is remembered", &o.writes.key_ttl, 1'000, 30 * day_ms});
  f.push_back({"cache.entries", "--cache-entries", "profiles held in memory", &o.cache.entries, 64, 1'048'576});
  f.push_back(
      {"cache.fresh_for", "--cache-fresh", "age up to which a cached profile is fresh", &o.cache.fresh_for, 0, day_ms});
  f.push_back({"cache.stale_for", "--cache-stale", "further age up to which it is served stale", &o.cache.stale_for, 0,
               7 * day_ms});
  f.push_back(
      {"replica.lag", "--replica-lag", "between two passes of the replicator", &o.follower.replica_lag, 10, minute_ms});
  f.push_back({"replica.startup_sync", "--startup-sync", "that start-up waits for replica and CDN to be complete",
               &o.follower.startup_sync, 0, 60 * minute_ms});
  f.push_back({"cdn.enabled", "--cdn", "start the CDN process", &o.cdn_process.enabled});
  f.push_back({"cdn.port", "--cdn-port", "port of the CDN process, 0 picks a free one", &o.cdn_process.port, 0, 65535});
}

std::string limits(const field& f, const std::string& min, const std::string& max, const std::string& is) {
  return "must be " + min + " to " + max + ", is " + is + " (" + f.key + ")";
}

std::optional<std::string> set(const field& f, std::int64_t* into, const raw_value& value) {
  const auto* number = std::get_if<std::int64_t>(&value);
  if (number == nullptr) return "must be a whole number";
  if (*number < f.min || *number > f.max) {
    return limits(f, std::to_string(f.min), std::to_string(f.max), std::to_string(*number));
  }
  *into = *number;
  return std::nullopt;
}

std::optional<std::string> set(const field& f, milliseconds* into, const raw_value& value) {
  const auto* text = std::get_if<std::string>(&value);
  const auto time = text != nullptr ? parse_duration(*text) : std::nullopt;
  if (!time) return R"(must be a duration such as "250ms", "5s", "2m" or "1h")";
  if (time->count() < f.min || time->count() > f.max) {
    return limits(f, format_duration(milliseconds(f.min)), format_duration(milliseconds(f.max)),
                  format_duration(*time));
  }
  *into = *time;
  return std::nullopt;
}

std::optional<std::string> set(const field&, bool* into, const raw_value& value) {
  const auto* flag = std::get_if<bool>(&value);
  if (flag == nullptr) return "must be true or false";
  *into = *flag;
  return std::nullopt;
}

std::optional<std::string> set(const field& f, std::string* into, const raw_value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return "must be a text";
  if (!f.choices.empty() && std::find(f.choices.begin(), f.choices.end(), *text) == f.choices.end()) {
    std::string all;
    for (const auto& choice : f.choices) all += (all.empty() ? "" : ", ") + choice;
    return "must be one of " + all + ", is " + *text;
  }
  if (text->find('\0') != std::string::npos) return "must not hold a NUL";
  *into = *text;
  return std::nullopt;
}

constexpr std::size_t longest_guess = 64;  // of a wrong key, that much is compared

// b holds at most longest_guess characters.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::array<std::size_t, longest_guess + 1> row;
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min(std::min(row[j], row[j - 1]) + 1, change));
    }
  }
  return row[b.size()];
}

std::string quoted(const std::string& text) {
  constexpr std::string_view hex = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {  // TOML has them escaped
      out += {'\\', 'u', '0', '0', hex[byte >> 4U], hex[byte & 15U]};
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

std::vector<field> fields_of(options& o) {
  std::vector<field> f;
  add_server(f, o.server);
  add_rest(f, o);
  add_dependency(f, "primary", o.primary);
  add_dependency(f, "primary_write", o.primary_write);
  add_dependency(f, "replica", o.replica);
  add_dependency(f, "cdn", o.cdn);
  return f;
}

const field* find_field(const std::vector<field>& fields, std::string_view key) {
  const auto at = std::find_if(fields.begin(), fields.end(), [&](const field& f) { return f.key == key; });
  return at == fields.end() ? nullptr : &*at;
}

std::string nearest_key(const std::vector<field>& fields, std::string_view wrong) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(3, wrong.size() / 4) + 1;
  wrong = wrong.substr(0, longest_guess);
  for (const auto& f : fields) {
    // A difference in length is a distance already.
    if (std::max(f.key.size(), wrong.size()) - std::min(f.key.size(), wrong.size()) >= best_distance) continue;
    const std::size_t distance = edit_distance(f.key, wrong);
    if (distance < best_distance) best = f.key, best_distance = distance;
  }
  return best;
}

std::optional<std::string> assign(const field& f, const raw_value& value) {
  return std::visit([&](auto* into) { return set(f, into, value); }, f.into);
}

std::optional<std::string> assign_text(const field& f, const std::string& text) {
  raw_value value = text;
  if (std::holds_alternative<std::int64_t*>(f.into)) {
    std::int64_t number = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (ec == std::errc{} && end == text.data() + text.size()) value = number;
  } else if (std::holds_alternative<bool*>(f.into)) {
    if (text == "on" || text == "true") value = true;
    if (text == "off" || text == "false") value = false;
    if (std::holds_alternative<std::string>(value)) return "must be on or off, is " + text;
  }
  return assign(f, value);
}

std::optional<milliseconds> parse_duration(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec != std::errc{} || number < 0) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  std::int64_t factor = 0;
  if (unit == "ms") factor = 1;
  if (unit == "s") factor = 1'000;
  if (unit == "m") factor = minute_ms;
  if (unit == "h") factor = 60 * minute_ms;
  if (factor == 0 || number > INT64_MAX / factor) return std::nullopt;
  return milliseconds(number * factor);
}

std::string format_duration(milliseconds value) {
  const std::int64_t ms = value.count();
  if (ms != 0 && ms % (60 * minute_ms) == 0) return std::to_string(ms / (60 * minute_ms)) + "h";
  if (ms != 0 && ms % minute_ms == 0) return std::to_string(ms / minute_ms) + "m";
  if (ms != 0 && ms % 1'000 == 0) return std::to_string(ms / 1'000) + "s";
  return std::to_string(ms) + "ms";
}

std::string to_toml(const field& f) {
  return std::visit(overloaded{
                        [](const std::int64_t* v) { return std::to_string(*v); },
                        [](const milliseconds* v) { return quoted(format_duration(*v)); },
                        [](const bool* v) { return std::string(*v ? "true" : "false"); },
                        [](const std::string* v) { return quoted(*v); },
                    },
                    f.into);
}

}  // namespace holdfast::serve
