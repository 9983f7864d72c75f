// SPDX-License-Identifier: MIT
// queue_result: what a queue answered: done, or why not.
//
//   status    from              meaning                                                          what to do
//   success   try_push, try_pop done                                                             -
//   full      try_push          at least capacity() items are in the queue                       wait, shed or refuse
//   empty     try_pop           no item is in the queue                                          wait, or do something else
//   busy      either            another thread is in the middle of an operation on the one slot  try again soon; a wait
//                               that this call needs, and there is no telling how long it takes  for a change may miss it
//   closed    try_push          the queue takes nothing more                                     stop
//             try_pop           nothing is in it, and nothing will come                          stop
//
// It converts in a condition, `if (queue.try_push(item))`, and compares with a status. Which of them a queue can give, and
// what it counts as an item where a call is under way, its header says.
//
// Method: the statuses of the C++ proposal for concurrent queues (P0260), which has `busy` for the same reason.
//
// Proof: unit/mpmc_queue_test.cpp.
#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast {

enum class queue_op_status : std::uint8_t { success, full, empty, busy, closed };

constexpr std::string_view name_of(queue_op_status status) noexcept {
  switch (status) {
    case queue_op_status::success: return "success";
    case queue_op_status::full: return "full";
    case queue_op_status::empty: return "empty";
    case queue_op_status::busy: return "busy";
    case queue_op_status::closed: return "closed";
  }
  return "?";
}

class [[nodiscard]] queue_result {
 public:
  constexpr queue_result(queue_op_status status) noexcept : status_(status) {}  // NOLINT(google-explicit-constructor)
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return status_ == queue_op_status::success; }
  [[nodiscard]] constexpr queue_op_status status() const noexcept { return status_; }
  friend constexpr bool operator==(queue_result, queue_result) noexcept = default;

 private:
  queue_op_status status_;
};

}  // namespace holdfast
