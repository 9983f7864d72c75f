// SPDX-License-Identifier: MIT
#include "serve/config.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>
#include <toml++/toml.h>

#include "serve/policy_options.hpp"

namespace holdfast::serve {
namespace {

// Collects values and errors for one file.
class reader {
 public:
  reader(std::string file, const std::vector<field>& fields) : file_(std::move(file)), fields_(fields) {}

  void value(const std::string& key, std::size_t line, const raw_value& v) {
    if (!seen_.insert(key).second) return error(line, key, "is given twice");
    const field* f = find_field(fields_, key);
    if (f == nullptr) return unknown(key, line);
    if (const auto wrong = assign(*f, v)) error(line, key, *wrong);
  }
  void unknown(const std::string& key, std::size_t line) {
    const std::string near = nearest_key(fields_, key);
    error(line, key, "is no setting" + (near.empty() ? std::string{} : "; did you mean " + near + "?"));
  }
  void error(std::size_t line, std::string key, std::string what) {
    errors_.push_back({file_, line, std::move(key), std::move(what)});
  }
  std::vector<config_error> take() { return std::move(errors_); }

 private:
  std::string file_;
  const std::vector<field>& fields_;
  std::set<std::string> seen_;
  std::vector<config_error> errors_;
};

std::size_t line_of(const toml::node& node) {
  return node.source().begin.line;
}

void walk_toml(reader& out, const toml::table& table, const std::string& prefix) {
  for (const auto& [name, node] : table) {
    const std::string key = prefix + std::string(name.str());
    const std::size_t line = line_of(node);
    if (const auto* inner = node.as_table()) {
      walk_toml(out, *inner, key + ".");
    } else if (const auto* integer = node.as_integer()) {
      out.value(key, line, integer->get());
    } else if (const auto* real = node.as_floating_point()) {
      out.value(key, line, real->get());
    } else if (const auto* flag = node.as_boolean()) {
      out.value(key, line, flag->get());
    } else if (const auto* text = node.as_string()) {
      out.value(key, line, text->get());
    } else {
      out.error(line, key, "must not be an array or a date");
    }
  }
}

// Counts the lines that the JSON parser has read, which alone does not know them.
class line_counting_iterator {
 public:
  using difference_type = std::ptrdiff_t;
  using value_type = char;
  using pointer = const char*;
  using reference = const char&;
  using iterator_category = std::input_iterator_tag;

  line_counting_iterator(const char* at, std::size_t* line) : at_(at), line_(line) {}
  reference operator*() const { return *at_; }
  line_counting_iterator& operator++() {
    if (*at_ == '\n' && line_ != nullptr) ++*line_;
    ++at_;
    return *this;
  }
  line_counting_iterator operator++(int) {
    auto old = *this;
    ++*this;
    return old;
  }
  friend bool operator!=(const line_counting_iterator& a, const line_counting_iterator& b) { return a.at_ != b.at_; }

 private:
  const char* at_;
  std::size_t* line_;
};

// Turns SAX events into dotted keys.
class json_walker final : public nlohmann::json_sax<nlohmann::json> {
 public:
  json_walker(reader& out, const std::size_t& line) : out_(out), line_(line) {}

  bool null() override { return leaf_error("must not be null"); }
  bool boolean(bool v) override { return leaf(v); }
  bool number_integer(number_integer_t v) override { return leaf(std::int64_t{v}); }
  bool number_unsigned(number_unsigned_t v) override {
    if (v > static_cast<number_unsigned_t>(INT64_MAX)) return leaf(static_cast<double>(v));
    return leaf(static_cast<std::int64_t>(v));
  }
  bool number_float(number_float_t v, const string_t&) override { return leaf(v); }
  bool string(string_t& v) override { return leaf(v); }
  bool binary(binary_t&) override { return leaf_error("must not be binary"); }
  bool start_object(std::size_t) override {
    if (array_depth_ == 0) prefixes_.push_back(prefixes_.empty() ? std::string{} : name() + ".");
    return true;
  }
  bool key(string_t& k) override {
    key_ = k;
    key_line_ = line_;
    return true;
  }
  bool end_object() override {
    if (array_depth_ == 0) prefixes_.pop_back();
    return true;
  }
  bool start_array(std::size_t) override {
    if (array_depth_++ == 0) out_.error(key_line_, name(), "must not be an array");
    return true;
  }
  bool end_array() override {
    --array_depth_;
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& e) override {
    // The parser may have read a line ahead; its own words have the place: "... at line 3, column 9: ...".
    const std::string_view words = e.what();
    const std::size_t at = words.find("line ");
    std::size_t line = line_;
    if (at != std::string_view::npos) std::from_chars(words.data() + at + 5, words.data() + words.size(), line);
    out_.error(line, "", std::string(words));
    return false;
  }

 private:
  std::string name() const { return prefixes_.empty() ? key_ : prefixes_.back() + key_; }
  bool leaf(const raw_value& v) {
    if (array_depth_ > 0) return true;
    if (prefixes_.empty()) return leaf_error("the file must hold one object");
    out_.value(name(), key_line_, v);
    return true;
  }
  bool leaf_error(const char* what) {
    if (array_depth_ == 0) out_.error(prefixes_.empty() ? line_ : key_line_, name(), what);
    return true;
  }

  reader& out_;
  const std::size_t& line_;
  std::size_t key_line_ = 1;
  std::vector<std::string> prefixes_;
  std::string key_;
  int array_depth_ = 0;
};

bool ends_with(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// Where a policy's option has another name than the setting that it comes from.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> settings_of{{
    {"limit", "bulkhead"},
    {"queue", "bulkhead_queue"},
    {"max_attempts", "attempts"},
    {"base", "backoff_base"},
    {"cap", "backoff_cap"},
    {"ratio_permille", "budget_permille"},
    {"min_per_second", "budget_min_per_second"},
    {"capacity", "entries"},
}};

// What the policy itself says of its options, in the words of the settings.
void ask_policy(std::vector<config_error>& out, const std::vector<field>& fields, const char* section,
                const option_error& wrong) {
  if (!wrong) return;
  const auto* const other = std::find_if(settings_of.begin(), settings_of.end(),
                                         [&](const auto& names) { return names.first == wrong.field; });
  std::string key = section;
  key += ".";
  key += other == settings_of.end() ? wrong.field : other->second;
  const field* f = find_field(fields, key);
  const bool is_time = f != nullptr && std::holds_alternative<milliseconds*>(f->into);
  const auto shown = [&](std::int64_t n) {
    // Upwards: a limit of a nanosecond is one of a millisecond here.
    return is_time ? format_duration(std::chrono::ceil<milliseconds>(duration(n))) : std::to_string(n);
  };
  out.push_back({"configuration", 0, std::move(key),
                 "must be " + std::string(wrong.relation) + " " + shown(wrong.limit) + ", is " + shown(wrong.value)});
}

void check_dependency(std::vector<config_error>& out, const std::vector<field>& fields, const char* name,
                      const dependency_options& d) {
  ask_policy(out, fields, name, validate(room_of(d)));
  ask_policy(out, fields, name, validate(retry_of(d, d.attempts)));
  ask_policy(out, fields, name, validate(budget_of(d)));
  ask_policy(out, fields, name, validate(breaker_of(d, 0)));
  // An attempt ends with its timeout, so that none would ever be slow.
  if (d.slow_call > d.attempt_timeout) {
    out.push_back({"configuration", 0, std::string(name) + ".slow_call",
                   "must be at most attempt_timeout, " + format_duration(d.attempt_timeout) + ", is " +
                       format_duration(d.slow_call)});
  }
}

}  // namespace

std::string to_text(const config_error& e) {
  std::string text = e.file;
  if (e.line != 0) text += ":" + std::to_string(e.line);
  if (!e.field.empty()) text += ": " + e.field;
  return text + ": " + e.what;
}

std::vector<config_error> read_toml(const std::string& file, std::string_view text, const std::vector<field>& fields) {
  reader out(file, fields);
  try {
    walk_toml(out, toml::parse(text, file), "");
  } catch (const toml::parse_error& e) {
    out.error(e.source().begin.line, "", std::string(e.description()));
  }
  return out.take();
}

std::vector<config_error> read_json(const std::string& file, std::string_view text, const std::vector<field>& fields) {
  reader out(file, fields);
  std::size_t line = 1;
  json_walker walker(out, line);
  const line_counting_iterator begin(text.data(), &line);
  const line_counting_iterator end(text.data() + text.size(), nullptr);
  nlohmann::json::sax_parse(begin, end, &walker);
  return out.take();
}

std::vector<config_error> read_config_file(const std::string& path, const std::vector<field>& fields) {
  std::ifstream in(path, std::ios::binary);
  if (!in || in.peek() == std::ifstream::traits_type::eof()) return {{path, 0, "", "cannot be read, or is empty"}};
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (ends_with(path, ".json")) return read_json(path, text, fields);
  if (ends_with(path, ".toml")) return read_toml(path, text, fields);
  return {{path, 0, "", "must end in .toml or .json"}};
}

std::vector<config_error> check_relations(const options& o) {
  std::vector<config_error> out;
  options unread;
  const auto fields = fields_of(unread);
  check_dependency(out, fields, "primary", o.primary);
  check_dependency(out, fields, "primary_write", o.primary_write);
  check_dependency(out, fields, "replica", o.replica);
  check_dependency(out, fields, "cdn", o.cdn);
  ask_policy(out, fields, "cache", validate(entries_of(o.cache, 0)));
  if (o.data.dir.empty()) out.push_back({"configuration", 0, "data.dir", "must not be empty"});
  return out;
}

std::string print_config(const std::vector<field>& fields) {
  // A section may be filled from two places of the table; TOML wants it in one, and what has no section before them all.
  std::vector<std::pair<std::string_view, std::string>> sections{{"", ""}};
  for (const auto& f : fields) {
    const std::size_t start = f.key.find('.') + 1;  // 0 without a dot
    const std::string_view name(f.key.data(), start == 0 ? 0 : start - 1);
    auto at = std::find_if(sections.begin(), sections.end(), [&](const auto& s) { return s.first == name; });
    if (at == sections.end()) at = sections.insert(at, {name, "\n[" + std::string(name) + "]\n"});
    at->second.append(f.key, start).append(" = ").append(to_toml(f)).append("  # ").append(f.help).append("\n");
  }
  std::string text;
  for (const auto& section : sections) text += section.second;
  return text;
}

}  // namespace holdfast::serve
