// SPDX-License-Identifier: MIT
#include "demo/timeline.hpp"

namespace holdfast::demo {

using namespace std::chrono_literals;

std::string_view name_of(fault f) {
  switch (f) {
    case fault::primary_locked: return "primary locked";
    case fault::primary_moved: return "primary moved away";
    case fault::replica_stopped: return "replica stopped";
    case fault::cdn_stopped: return "CDN frozen";
  }
  return "";
}

std::string_view method_of(fault f) {
  switch (f) {
    case fault::primary_locked:
      return "another process holds BEGIN EXCLUSIVE on the primary's SQLite file: SQLITE_BUSY";
    case fault::primary_moved: return "the primary's file is renamed away: it cannot be opened";
    case fault::replica_stopped: return "the replica's directory is renamed away";
    case fault::cdn_stopped: return "SIGSTOP to the CDN process: it accepts connections and never answers";
  }
  return "";
}

std::string_view healing_of(fault f) {
  switch (f) {
    case fault::primary_locked: return "the lock is let go";
    case fault::primary_moved: return "the primary's file is back";
    case fault::replica_stopped: return "the replica's directory is back";
    case fault::cdn_stopped: return "SIGCONT to the CDN process";
  }
  return "";
}

timeline make_timeline(bool short_mode) {
  const auto steps = [](milliseconds lock, milliseconds move, milliseconds replica, milliseconds cdn,
                        milliseconds cdn_back, milliseconds replica_back, milliseconds primary_back) {
    return std::vector<step>{
        {lock, fault::primary_locked, true},
        {move, fault::primary_locked, false},
        {move, fault::primary_moved, true},
        {replica, fault::replica_stopped, true},
        {cdn, fault::cdn_stopped, true},
        {cdn_back, fault::cdn_stopped, false},
        {replica_back, fault::replica_stopped, false},
        {primary_back, fault::primary_moved, false},
    };
  };
  if (short_mode) return {750ms, 8'000ms, steps(2'250ms, 3'250ms, 4'000ms, 4'750ms, 5'500ms, 6'000ms, 6'500ms)};
  return {2'000ms, 36'000ms, steps(8'000ms, 12'000ms, 16'000ms, 20'000ms, 23'000ms, 26'000ms, 29'000ms)};
}

breaker_times make_breaker_times(bool short_mode) {
  if (short_mode) return {100ms, 400ms};
  return {500ms, 2'000ms};
}

}  // namespace holdfast::demo
