// SPDX-License-Identifier: MIT
// The search: every path of choices, depth first, by doing the scenario again from its beginning each time.
//
// Sleep sets (Godefroid) leave out orders of steps that commute. What makes them leave no execution twice here: a
// sleeping read that is woken by a new message may read only messages that are newer than its sleep.
#include <chrono>
#include <cstdlib>
#include <new>

#include "model/engine/engine.hpp"

namespace holdfast_model {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

constexpr char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
constexpr unsigned base = 36;

}  // namespace

// Each choice is a digit, or `(n)` where one is too small. How the search was made decides what there is to choose, so it
// stands there as well: `2.` in front for at most two preemptions, `.` for no reduction, `@1:3` behind for a thread that
// dies after its third step.
std::string engine::path_text() const {
  std::string text;
  for (std::size_t i = 0; i < depth_ && i < path_.size(); ++i) {
    const unsigned taken = path_[i].taken;
    text += taken < base ? std::string(1, digits[taken]) : "(" + std::to_string(taken) + ")";
  }
  while (!text.empty() && text.back() == '0') text.pop_back();
  if (text.empty()) text = "0";
  if (!options_.reduce) text.insert(0, (options_.preemptions >= 0 ? std::to_string(options_.preemptions) : "") + ".");
  if (options_.victim != main_thread)
    text += "@" + std::to_string(options_.victim) + ":" + std::to_string(options_.victim_steps);
  return text;
}

search_result engine::explore(const scenario& s, search_options options) {
  options_ = options;
  if (options_.random != 0 || options_.preemptions >= 0) options_.reduce = false;
  result_ = {};
  path_.clear();
  random_ = (options_.seed + 1) * 0x9E37'79B9'7F4A'7C15ULL;
  scenario_ = &s;
  object_ = ::operator new(s.bytes, std::align_val_t(s.alignment));
  const auto start = std::chrono::steady_clock::now();
  for (;;) {
    if (options_.random != 0) path_.clear();
    execute(s);
    if (result_.failed) break;
    if (options_.random != 0) {
      if (result_.executions >= options_.random) break;
    } else if (!next_path()) {
      result_.complete = true;
      break;
    }
    if (options_.executions != 0 && result_.executions >= options_.executions) break;
    if (result_.executions % 256 == 0 && seconds_since(start) > options_.seconds) break;
  }
  if (result_.failed) {  // once more, telling it
    search_result found = result_;
    path_.resize(std::min(depth_, path_.size()));
    found.replay = path_text();
    telling_ = true;
    told_.clear();
    told_steps_ = 0;
    execute(s);
    telling_ = false;
    found.trace = told_;
    result_ = found;
  }
  result_.seconds = seconds_since(start);
  ::operator delete(object_, std::align_val_t(s.alignment));
  return result_;
}

// Takes from a path's text how its search was made, and leaves the choices.
std::string engine::read_how(std::string text) {
  const auto number = [](const std::string& from) { return std::strtoul(from.c_str(), nullptr, 10); };
  const std::size_t dot = text.find('.');
  options_.reduce = dot == std::string::npos;
  options_.preemptions = dot == 0 || dot == std::string::npos ? -1 : static_cast<int>(number(text.substr(0, dot)));
  if (dot != std::string::npos) text.erase(0, dot + 1);
  const std::size_t at = text.find('@');
  options_.victim = main_thread;
  if (at != std::string::npos) {
    options_.victim = static_cast<thread_id>(number(text.substr(at + 1)));
    const std::size_t colon = text.find(':', at);
    options_.victim_steps = colon == std::string::npos ? 0 : static_cast<unsigned>(number(text.substr(colon + 1)));
    text.erase(at);
  }
  return text;
}

search_result engine::replay(const scenario& s, search_options options, const std::string& how_and_path) {
  options_ = options;
  const std::string path = read_how(how_and_path);
  result_ = {};
  scenario_ = &s;
  object_ = ::operator new(s.bytes, std::align_val_t(s.alignment));
  replayed_.clear();
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '(') {
      char* end = nullptr;
      replayed_.push_back(static_cast<std::uint16_t>(std::strtoul(path.c_str() + i + 1, &end, 10)));
      i = static_cast<std::size_t>(end - path.c_str());
    } else {
      const bool is_digit = path[i] >= '0' && path[i] <= '9';
      replayed_.push_back(static_cast<std::uint16_t>(is_digit ? path[i] - '0' : path[i] - 'a' + 10));
    }
  }
  path_.clear();
  replaying_ = telling_ = true;
  told_.clear();
  told_steps_ = 0;
  execute(s);
  replaying_ = telling_ = false;
  result_.trace = told_;
  ::operator delete(object_, std::align_val_t(s.alignment));
  return result_;
}

}  // namespace holdfast_model
