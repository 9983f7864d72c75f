// SPDX-License-Identifier: MIT
#include "serve/config.hpp"

#include <utility>

#include "support/catch.hpp"

using namespace holdfast::serve;

namespace {
std::string all_of(const std::vector<config_error>& errors) {
  std::string text;
  for (const auto& e : errors) text += to_text(e) + "\n";
  return text;
}
}  // namespace

TEST_CASE("config: a TOML file sets numbers, durations, flags and texts") {
  options o;
  const auto errors = read_toml("a.toml",
                                "policies = false\n[server]\nport = 9000\nheader_timeout = \"250ms\"\n"
                                "[log]\nlevel = \"warn\"\n[primary]\nprobes = 5\n",
                                fields_of(o));
  CHECK(all_of(errors).empty());
  CHECK_FALSE(o.policies);
  CHECK(o.server.port == 9000);
  CHECK(o.server.header_timeout == milliseconds(250));
  CHECK(o.log.level == "warn");
  CHECK(o.primary.probes == 5);
}

TEST_CASE("config: every mistake of a TOML file is reported with file, line, field and limit, all at once") {
  options o;
  const auto errors = read_toml("a.toml",
                                "[server]\nport = 70000\nprot = 1\nio_threads = \"two\"\nidle_timeout = 5\n"
                                "[log]\nlevel = \"loud\"\n[cache]\nfresh_for = [1]\n",
                                fields_of(o));
  const std::string text = all_of(errors);
  INFO(text);
  CHECK(errors.size() == 6);
  CHECK(text.find("a.toml:2: server.port: must be 0 to 65535, is 70000") != std::string::npos);
  CHECK(text.find("a.toml:3: server.prot: is no setting; did you mean server.port?") != std::string::npos);
  CHECK(text.find("a.toml:4: server.io_threads: must be a whole number") != std::string::npos);
  CHECK(text.find("a.toml:5: server.idle_timeout: must be a duration") != std::string::npos);
  CHECK(text.find("a.toml:7: log.level: must be one of trace, debug, info, warn, error, is loud") != std::string::npos);
  CHECK(text.find("a.toml:9: cache.fresh_for: must not be an array") != std::string::npos);
}

TEST_CASE("config: the nearest setting is offered up to three letters away, a quarter of a long key") {
  options o;
  const auto fields = fields_of(o);
  CHECK(nearest_key(fields, "server.p") == "server.port");
  CHECK(nearest_key(fields, "server.portxyz") == "server.port");
  CHECK(nearest_key(fields, "xerver.qorx") == "server.port");
  CHECK(nearest_key(fields, "server.").empty());
  CHECK(nearest_key(fields, "").empty());
  CHECK(nearest_key(fields, "primary_write.budget_min_per_second" + std::string(11, 'x')) ==
        "primary_write.budget_min_per_second");
  CHECK(nearest_key(fields, "primary_write.budget_min_per_second" + std::string(12, 'x')).empty());
}

TEST_CASE("config: broken TOML is reported with its line") {
  options o;
  const auto errors = read_toml("a.toml", "[server]\nport = \n", fields_of(o));
  REQUIRE(errors.size() == 1);
  CHECK(errors.front().line == 2);
}

TEST_CASE("config: JSON mistakes carry the line they stand on") {
  options o;
  const auto errors = read_json("a.json",
                                "{\n  \"server\": {\n    \"port\": -1,\n    \"io_threads\": 1.5\n  },\n"
                                "  \"nonsense\": true,\n  \"log\": {\"level\": \"info\", \"level\": \"warn\"},\n"
                                "  \"cache\": {\"entries\": [64, {\"a\": 1}]}\n}\n",
                                fields_of(o));
  const std::string text = all_of(errors);
  INFO(text);
  CHECK(errors.size() == 5);
  CHECK(text.find("a.json:3: server.port: must be 0 to 65535, is -1") != std::string::npos);
  CHECK(text.find("a.json:4: server.io_threads: must be a whole number") != std::string::npos);
  CHECK(text.find("a.json:6: nonsense: is no setting") != std::string::npos);
  CHECK(text.find("a.json:7: log.level: is given twice") != std::string::npos);
  CHECK(text.find("a.json:8: cache.entries: must not be an array") != std::string::npos);
}

TEST_CASE("config: broken JSON is reported with its line") {
  options o;
  const auto errors = read_json("a.json", "{\n \"server\": {\n  \"port\" 1\n}}", fields_of(o));
  REQUIRE(errors.size() == 1);
  CHECK(errors.front().line == 3);
  CHECK(read_json("a.json", "[]", fields_of(o)).size() + read_json("a.json", "3", fields_of(o)).size() == 2);
}

TEST_CASE("config: what is printed is read back to the same settings") {
  options o;
  o.server.port = 1234;
  o.data.dir = "/srv/a \"b\"\\c";
  o.cdn.attempt_timeout = milliseconds(59'001);
  options back;
  CHECK(all_of(read_toml("p.toml", print_config(fields_of(o)), fields_of(back))).empty());
  CHECK(print_config(fields_of(back)) == print_config(fields_of(o)));
  CHECK(back.data.dir == o.data.dir);
}

TEST_CASE("config: a text with control characters is printed so that it reads back") {
  options o;
  o.data.dir = "a\nb\tc\x01\x7F";
  options back;
  CHECK(all_of(read_toml("p.toml", print_config(fields_of(o)), fields_of(back))).empty());
  CHECK(back.data.dir == o.data.dir);
}

TEST_CASE("config: relations between fields are checked") {
  options o;
  CHECK(check_relations(o).empty());
  o.replica.backoff_cap = milliseconds(1);
  o.cdn.open_max = milliseconds(10);
  o.primary.slow_permille = 500;
  CHECK(check_relations(o).size() == 3);
  CHECK(all_of(check_relations(o)).find("primary.slow_call: must be at least 1ms, is 0ms") != std::string::npos);
  o.primary.slow_call = milliseconds(1);
  CHECK(check_relations(o).size() == 2);
  const std::string text = all_of(check_relations(o));
  INFO(text);
  CHECK(text.find("replica.backoff_cap: must be at least 2ms, is 1ms") != std::string::npos);
  CHECK(text.find("cdn.open_max: must be at least 1s, is 10ms") != std::string::npos);
}

TEST_CASE("config: what a breaker would refuse is refused with field, value and limit") {
  options o;
  const auto errors = read_toml("a.toml",
                                "[primary]\nconsecutive_failures = 512\nprobes = 32\n"
                                "[cdn]\nconsecutive_failures = 511\nprobes = 31\n",
                                fields_of(o));
  const std::string text = all_of(errors);
  INFO(text);
  CHECK(errors.size() == 2);
  CHECK(text.find("a.toml:2: primary.consecutive_failures: must be 0 to 511, is 512") != std::string::npos);
  CHECK(text.find("a.toml:3: primary.probes: must be 1 to 31, is 32") != std::string::npos);
  CHECK(check_relations(o).empty());
}

TEST_CASE("config: a breaker may go by slow calls alone, but not by nothing") {
  options o;
  CHECK(
      all_of(
          read_toml(
              "a.toml",
              "[primary]\nconsecutive_failures = 0\nfailure_permille = 0\nslow_permille = 500\nslow_call = \"50ms\"\n",
              fields_of(o)))
          .empty());
  CHECK(o.primary.failure_permille == 0);
  CHECK(check_relations(o).empty());
  o.primary.slow_permille = 0;
  CHECK(all_of(check_relations(o)) == "configuration: primary.failure_permille: must be at least 1, is 0\n");
}

TEST_CASE("config: every policy is asked about its options, whoever set them, and none is cut to fit") {
  const auto complaint = [](auto change) {
    options o;
    change(o);
    return all_of(check_relations(o));
  };
  CHECK(complaint([](options& o) { o.primary.probes = 100; }) ==
        "configuration: primary.probes: must be at most 31, is 100\n");
  CHECK(complaint([](options& o) { o.cdn.consecutive_failures = 1000; }) ==
        "configuration: cdn.consecutive_failures: must be at most 511, is 1000\n");
  CHECK(complaint([](options& o) { o.replica.bulkhead = 0; }) ==
        "configuration: replica.bulkhead: must be at least 1, is 0\n");
  CHECK(complaint([](options& o) { o.replica.bulkhead_queue = 5'000; }) ==
        "configuration: replica.bulkhead_queue: must be at most 4096, is 5000\n");
  CHECK(complaint([](options& o) { o.primary_write.attempts = -3; }) ==
        "configuration: primary_write.attempts: must be at least 1, is 0\n");
  CHECK(complaint([](options& o) { o.primary.budget_permille = 10'001; }) ==
        "configuration: primary.budget_permille: must be at most 10000, is 10001\n");
  CHECK(complaint([](options& o) { o.primary.window = milliseconds(99); }) ==
        "configuration: primary.window: must be at least 100ms, is 99ms\n");
  CHECK(complaint([](options& o) { o.cache.entries = 0; }) ==
        "configuration: cache.entries: must be at least 1, is 0\n");
  CHECK(complaint([](options& o) { o.cache.stale_for = milliseconds(-1); }) ==
        "configuration: cache.stale_for: must be at least 0ms, is -1ms\n");
  CHECK(complaint([](options& o) { o.cdn.slow_call = milliseconds(81); }) ==
        "configuration: cdn.slow_call: must be at most attempt_timeout, 80ms, is 81ms\n");
  CHECK(complaint([](options& o) { o.cdn.slow_call = milliseconds(80); }).empty());
  // 256 + 3 probes are not three, and 2^32 + 64 places are not 64.
  CHECK_FALSE(complaint([](options& o) { o.primary.probes = 259; }).empty());
  CHECK_FALSE(complaint([](options& o) { o.primary.bulkhead = (std::int64_t{1} << 32) + 64; }).empty());
}

TEST_CASE("config: no setting's limits let through what its policy refuses") {
  options o;
  for (auto* d : {&o.primary, &o.primary_write, &o.replica, &o.cdn}) {
    // So that every other setting may be anywhere.
    d->attempt_timeout = milliseconds(60'000);
    d->backoff_base = milliseconds(0);
    d->backoff_cap = milliseconds(60'000);
    d->open_base = milliseconds(10);
    d->open_max = milliseconds(3'600'000);
    d->slow_call = milliseconds(1);
  }
  int tried = 0;
  for (const auto& f : fields_of(o)) {
    if (f.key.find('.') == std::string::npos) continue;
    CAPTURE(f.key);
    for (const auto limit : {f.min, f.max}) {
      CAPTURE(limit);
      if (auto* const* number = std::get_if<std::int64_t*>(&f.into)) {
        const auto before = std::exchange(**number, limit);
        CHECK(all_of(check_relations(o)).empty());
        **number = before;
        ++tried;
      } else if (auto* const* time = std::get_if<milliseconds*>(&f.into)) {
        const auto before = std::exchange(**time, milliseconds(limit));
        CHECK(all_of(check_relations(o)).empty());
        **time = before;
        ++tried;
      }
    }
  }
  CHECK(tried > 100);
}

TEST_CASE("config: a file that cannot be read, or is neither TOML nor JSON, is an error") {
  options o;
  CHECK(read_config_file("/nonexistent/a.toml", fields_of(o)).size() == 1);
  CHECK(read_config_file("/etc/hostname", fields_of(o)).size() == 1);
}

TEST_CASE("config: durations have a unit and no sign") {
  CHECK(parse_duration("250ms") == milliseconds(250));
  CHECK(parse_duration("2h") == milliseconds(7'200'000));
  for (const char* bad : {"", "5", "-5s", "5 s", "s", "1.5s", "9999999999999999h", "99999999999999999999s"}) {
    INFO(bad);
    CHECK_FALSE(parse_duration(bad).has_value());
  }
}

TEST_CASE("config: a flag's text is judged as a file's value is") {
  options o;
  const auto fields = fields_of(o);
  CHECK_FALSE(assign_text(*find_field(fields, "policies"), "off").has_value());
  CHECK_FALSE(o.policies);
  CHECK(assign_text(*find_field(fields, "policies"), "maybe").has_value());
  CHECK(assign_text(*find_field(fields, "server.port"), "80x").has_value());
  CHECK(assign_text(*find_field(fields, "server.port"), "65536").has_value());
}
