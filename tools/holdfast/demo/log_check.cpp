// SPDX-License-Identifier: MIT
#include "demo/log_check.hpp"

#include <signal.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <tuple>

#include <nlohmann/json.hpp>

#include "demo/child_process.hpp"

namespace holdfast::demo {
namespace {

using json = nlohmann::json;

std::string text_in(const json& line, const char* key) {
  const auto at = line.find(key);
  return at != line.end() && at->is_string() ? at->get<std::string>() : std::string();
}

std::uint64_t number_in(const json& line, const char* key) {
  const auto at = line.find(key);
  return at != line.end() && at->is_number_unsigned() ? at->get<std::uint64_t>() : 0;
}

std::optional<std::uint64_t> maybe_number_in(const json& line, const char* key) {
  if (!line.contains(key)) return std::nullopt;
  return number_in(line, key);
}

// A log line is an object that says when, how bad and what.
bool is_log_line(const json& line) {
  return line.is_object() && wall_ms_of(text_in(line, "timestamp")) && !text_in(line, "level").empty() &&
         !text_in(line, "message").empty();
}

void note_id(const std::string& id, const std::string& prefix, std::vector<bool>& found) {
  if (id.size() <= prefix.size() || id.compare(0, prefix.size(), prefix) != 0) return;
  std::size_t sequence = 0;
  const char* end = id.data() + id.size();
  const auto [stop, ec] = std::from_chars(id.data() + prefix.size(), end, sequence);
  if (ec == std::errc{} && stop == end && sequence < found.size()) found[sequence] = true;
}

// Attempts are counted by the generation of the breaker that admitted them, so that it does not matter in which order
// the threads wrote their lines.
class breaker_lines {
 public:
  void note(const json& line) {
    const std::string message = text_in(line, "message");
    if (message == "breaker moved") return note_transition(line);
    const bool probe = message == "probe";
    if (!probe && message != "attempt failed") return;
    counts& of = attempts_[{text_in(line, "dependency"), number_in(line, "generation")}];
    const std::string verdict = text_in(line, "verdict");
    if (probe) {
      ++(verdict == "ok" ? of.probes_ok : of.probes_not_ok);
    } else if (verdict == "transient" || verdict == "timeout") {
      ++of.failed;
    }
  }

  std::vector<logged_transition> finish() {
    for (auto& t : transitions_) {
      const counts& of = attempts_[{t.breaker, (t.generation - 1) & 0xFFFFU}];
      t.failed = of.failed;
      t.probes_ok = of.probes_ok;
      t.probes_not_ok = of.probes_not_ok;
    }
    // Lines of several threads come nearly in the order of time.
    std::stable_sort(transitions_.begin(), transitions_.end(), [](const auto& a, const auto& b) {
      return std::tie(a.wall_ms, a.generation) < std::tie(b.wall_ms, b.generation);
    });
    return std::move(transitions_);
  }

 private:
  struct counts {
    std::uint64_t failed = 0, probes_ok = 0, probes_not_ok = 0;
  };
  void note_transition(const json& line) {
    transitions_.push_back({.wall_ms = wall_ms_of(text_in(line, "timestamp")).value_or(0),
                            .breaker = text_in(line, "breaker"),
                            .from = text_in(line, "from"),
                            .to = text_in(line, "to"),
                            .cause = text_in(line, "cause"),
                            .generation = number_in(line, "generation")});
  }

  std::map<std::pair<std::string, std::uint64_t>, counts> attempts_;
  std::vector<logged_transition> transitions_;
};

void note_ids(const std::vector<request_fate>& fates, const std::vector<bool>& found, const std::string& prefix,
              log_facts& facts) {
  for (std::size_t i = 0; i < fates.size(); ++i) {
    if (fates[i] == request_fate::never_sent) continue;
    ++facts.ids_sent;
    if (found[i]) continue;
    if (++facts.ids_missing == 1) facts.first_missing = prefix + std::to_string(i);
  }
}

std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  int n = 0;
  const char* first = text.data() + at;
  const auto [end, ec] = std::from_chars(first, first + count, n);
  if (ec != std::errc{} || end != first + count || *first == '-') return std::nullopt;
  return n;
}

}  // namespace

std::optional<std::int64_t> wall_ms_of(std::string_view t) {
  if (t.size() < 24 || t[4] != '-' || t[7] != '-' || t[10] != 'T' || t[13] != ':' || t[16] != ':' || t[19] != '.' ||
      t.back() != 'Z') {
    return std::nullopt;
  }
  const auto year = digits(t, 0, 4), month = digits(t, 5, 2), day = digits(t, 8, 2);
  const auto hour = digits(t, 11, 2), minute = digits(t, 14, 2), second = digits(t, 17, 2), ms = digits(t, 20, 3);
  if (!year || !month || !day || !hour || !minute || !second || !ms) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return ((days * 24 + *hour) * 60 + *minute) * 60'000 + *second * 1000 + *ms;
}

log_facts check_log(std::istream& log, const std::string& id_prefix, const std::vector<request_fate>& fates) {
  log_facts facts;
  facts.read = static_cast<bool>(log);
  std::vector<bool> found(fates.size());
  breaker_lines breakers;
  for (std::string text; std::getline(log, text);) {
    ++facts.lines;
    // A last line without its end is half a line, whatever it parses to.
    const json line = json::parse(text, nullptr, false);
    if (log.eof() || line.is_discarded() || !is_log_line(line)) {
      if (++facts.bad_lines == 1) facts.first_bad_line = facts.lines;
      continue;
    }
    note_id(text_in(line, "correlation_id"), id_prefix, found);
    breakers.note(line);
    if (text_in(line, "message") == "log records lost") {
      ++facts.loss_lines;
      facts.lost_told += number_in(line, "lost");
    }
    if (const auto lost = maybe_number_in(line, "log_lost")) facts.lost = lost;
    // The service counts what it had written before the line that says so.
    if (const auto written = maybe_number_in(line, "log_written")) facts.written = *written + 1;
  }
  facts.transitions = breakers.finish();
  note_ids(fates, found, id_prefix, facts);
  return facts;
}

std::string check_with_jq(const std::string& file, std::uint64_t lines) {
  const std::string jq = find_program("jq");
  if (jq.empty()) return "not installed";
  const std::string count =
      "reduce inputs as $line (0; if $line | type == \"object\" then . + 1 else error(\"no object\") end)";
  child_process run({jq, {"jq", "-n", count, file}, "/dev/null"});
  const auto said = run.read_line(milliseconds(120'000));
  const int code = run.stop(SIGTERM, milliseconds(2'000));
  if (!said || (code != 0 && code != 128 + SIGTERM)) return "refused a line, or took too long";
  return *said == std::to_string(lines) ? "ok" : "counted " + *said + " lines";
}

}  // namespace holdfast::demo
