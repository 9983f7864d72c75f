// SPDX-License-Identifier: MIT
// cache_spec: what a cache may answer about one key.
//
// A put takes the place of what is there, unless that is younger (`older`: nothing changes). A get finds what is there,
// whole, with its true age. An erase takes it away. What may be weaker than that, because a cache may forget, is exactly:
//   - a put may be `busy`, and change nothing, if it overlaps another put;
//   - a get may miss what is there
//       if four changes could have overtaken it: an overlapping put makes up to three (a slot is written, the set's
//       version moves, the old slot goes), an overlapping erase one;
//       or if it overlaps an erase that itself overlaps a put: such an erase looks more than once, and takes away what
//       was put while it looked as well.
// It never finds what is not there, and never again what it has already seen replaced.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

#include "history.hpp"
#include "wgl.hpp"
#include "words.hpp"

namespace holdfast_lin {

enum class cache_op : std::uint8_t {
  put,    // args: value, now; results: a put_answer
  get,    // args: -, now; results: 1, the value and its age, or 0
  erase,  // results: 1 if something was there
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
        *this = cache_spec(op.args[0], now);
        return true;
      case cache_op::get:
        if (op.results[0] == 0) return !there_ || op.excused;
        return there_ && op.results[1] == value_ && op.results[2] == std::max<std::int64_t>(0, now - stored_at_);
      case cache_op::erase: {
        const bool was_there = there_;
        *this = cache_spec();
        return was_there == (op.results[0] != 0);
      }
    }
    return false;
  }

  static void prepare(history& h) noexcept {
    op_mask puts = 0;
    op_mask erases = 0;
    for (const operation& op : h.operations()) {
      if (static_cast<cache_op>(op.code) == cache_op::put) puts |= op_mask{1} << op.id;
      if (static_cast<cache_op>(op.code) == cache_op::erase) erases |= op_mask{1} << op.id;
    }
    op_mask long_erases = 0;
    for (op_mask left = erases; left != 0; left &= left - 1) {
      const auto id = static_cast<std::size_t>(std::countr_zero(left));
      if ((h.overlapping(id) & puts) != 0) long_erases |= op_mask{1} << id;
    }
    for (operation& op : h.operations()) {
      if (op.results[0] == 0 && static_cast<cache_op>(op.code) == cache_op::get) {
        const op_mask around = h.overlapping(op.id);
        op.excused =
            3 * std::popcount(around & puts) + std::popcount(around & erases) >= 4 || (around & long_erases) != 0;
      } else {
        op.excused = is_busy(op) && (h.overlapping(op.id) & puts) != 0;
      }
    }
  }

  friend bool operator==(const cache_spec&, const cache_spec&) = default;
  [[nodiscard]] std::uint64_t hash() const noexcept {
    return there_ ? mixed(static_cast<std::uint64_t>(value_)) + static_cast<std::uint64_t>(stored_at_) + 1 : 0;
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
    }
    return "?";
  }
  [[nodiscard]] std::string text() const { return there_ ? words(value_, " of ", stored_at_) : "nothing"; }

  cache_spec() = default;

 private:
  cache_spec(std::int64_t value, std::int64_t stored_at) noexcept
      : there_(true), value_(value), stored_at_(stored_at) {}
  static bool is_busy(const operation& op) noexcept {
    return static_cast<cache_op>(op.code) == cache_op::put &&
           static_cast<put_answer>(op.results[0]) == put_answer::busy;
  }

  bool there_ = false;
  std::int64_t value_ = 0;
  std::int64_t stored_at_ = 0;
};

}  // namespace holdfast_lin
