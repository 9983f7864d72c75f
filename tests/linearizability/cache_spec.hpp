// SPDX-License-Identifier: MIT
// cache_spec: what a cache may answer about one key.
//
// A put takes the place of what is there, unless that is younger (`older`: nothing changes). A get finds what is there,
// whole, with its true age. An erase takes it away. What may be weaker than that, because a cache may forget, is exactly:
//   - a put may be `busy`, and change nothing, if it overlaps another put;
//   - an erase that overlaps a put looks more than once, so it may take away what was there when it came in and, later,
//     what was put while it looked. prepare() splits such an erase: the erase itself and, before it, as many `clear`s as
//     puts overlap it, each somewhere within its time. Its answer is whether any of them found something;
//   - a get may miss what is there if four changes could have overtaken it: an overlapping put makes up to three (a slot
//     is written, the set's version moves, the old slot goes), an overlapping erase one.
// It never finds what is not there, and never again what it has already seen replaced.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "history.hpp"
#include "wgl.hpp"
#include "words.hpp"

namespace holdfast_lin {

enum class cache_op : std::uint8_t {
  put,    // args: value, now; results: a put_answer
  get,    // args: -, now; results: 1, the value and its age, or 0
  erase,  // results: 1 if something was there
  clear,  // args: the erase that it is a part of
};
enum class put_answer : std::uint8_t { stored, busy, older };

class cache_spec {
 public:
  [[nodiscard]] static operation put(std::int64_t value, std::int64_t now, put_answer answer) noexcept {
    return recorded(cache_op::put, {value, now}, {static_cast<std::int64_t>(answer)});
  }
  [[nodiscard]] static operation found(std::int64_t now, std::int64_t value, std::int64_t age) noexcept {
    return recorded(cache_op::get, {0, now}, {1, value, age});
  }
  [[nodiscard]] static operation miss(std::int64_t now) noexcept { return recorded(cache_op::get, {0, now}, {0}); }
  [[nodiscard]] static operation erase(bool erased) noexcept {
    return recorded(cache_op::erase, {0, 0}, {erased ? 1 : 0});
  }

  [[nodiscard]] bool step(const operation& op) noexcept {
    const std::int64_t now = op.args[1];
    switch (static_cast<cache_op>(op.code)) {
      case cache_op::put:
        switch (static_cast<put_answer>(op.results[0])) {
          case put_answer::busy: return op.excused;
          case put_answer::older: return there_ && stored_at_ > now;
          case put_answer::stored: break;
        }
        if (there_ && stored_at_ > now) return false;
        there_ = true;
        value_ = op.args[0];
        stored_at_ = now;
        return true;
      case cache_op::get:
        if (op.results[0] == 0) return !there_ || op.excused;
        return there_ && op.results[1] == value_ && op.results[2] == std::max<std::int64_t>(0, now - stored_at_);
      case cache_op::erase: {
        const bool found = take_away() || (op.id != no_operation && (cleared_ >> op.id & 1U) != 0);
        return found == (op.results[0] != 0);
      }
      case cache_op::clear: cleared_ |= op_mask{take_away()} << op.args[0]; return true;
    }
    return false;
  }

  static void prepare(history& h) {
    const std::size_t recorded_count = h.size();
    op_mask puts = 0;
    for (const operation& op : h.operations()) {
      if (code_of(op) == cache_op::clear) return;  // prepared already
      if (code_of(op) == cache_op::put) puts |= op_mask{1} << op.id;
    }
    for (operation& op : h.operations()) {
      if (code_of(op) == cache_op::put && static_cast<put_answer>(op.results[0]) == put_answer::busy) {
        op.excused = (h.overlapping(op.id) & puts) != 0;
      } else if (code_of(op) == cache_op::get && op.results[0] == 0) {
        int changes = 0;
        for (op_mask around = h.overlapping(op.id); around != 0; around &= around - 1) {
          const cache_op code = code_of(h[static_cast<std::size_t>(std::countr_zero(around))]);
          changes += code == cache_op::put ? 3 : code == cache_op::erase ? 1 : 0;
        }
        op.excused = changes >= 4;
      }
    }
    for (std::size_t id = 0; id < recorded_count; ++id) {
      if (code_of(h[id]) != cache_op::erase) continue;
      for (int n = std::popcount(h.overlapping(id) & puts); n > 0 && h.size() < most_operations; --n) {
        h.add_within(id, recorded(cache_op::clear, {static_cast<std::int64_t>(id)}));
      }
    }
  }

  friend bool operator==(const cache_spec&, const cache_spec&) = default;
  [[nodiscard]] std::uint64_t hash() const noexcept {
    const std::uint64_t h =
        there_ ? mixed(static_cast<std::uint64_t>(value_)) + static_cast<std::uint64_t>(stored_at_) + 1 : 0;
    return h ^ mixed(cleared_);
  }

  [[nodiscard]] static std::string describe(const operation& op) {
    const std::string when = words(" at ", op.args[1]);
    switch (static_cast<cache_op>(op.code)) {
      case cache_op::put: {
        constexpr std::array<const char*, 3> answers{": stored", ": busy", ": older"};
        return words("put ", op.args[0], when, answers[static_cast<std::size_t>(op.results[0]) % 3]);
      }
      case cache_op::get:
        if (op.results[0] == 0) return words("get", when, ": miss");
        return words("get", when, ": ", op.results[1], ", age ", op.results[2]);
      case cache_op::erase: return op.results[0] != 0 ? "erase: was there" : "erase: was not there";
      case cache_op::clear: return words("  clear, of erase ", op.args[0]);
    }
    return "?";
  }
  [[nodiscard]] std::string text() const { return there_ ? words(value_, " of ", stored_at_) : "nothing"; }

 private:
  static cache_op code_of(const operation& op) noexcept { return static_cast<cache_op>(op.code); }
  bool take_away() noexcept {
    value_ = stored_at_ = 0;
    return std::exchange(there_, false);
  }

  bool there_ = false;
  std::int64_t value_ = 0;
  std::int64_t stored_at_ = 0;
  op_mask cleared_ = 0;  // erases of which a part has found something
};

}  // namespace holdfast_lin
