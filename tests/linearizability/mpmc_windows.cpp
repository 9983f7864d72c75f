// SPDX-License-Identifier: MIT
// Windows of the queues between many threads: one slot, and the smallest ring, in each form; of the list of users' nodes; and
// of queues whose callers wait. Three threads on two cores meet by yielding, and those that wait may sleep, which is slow: they
// get a small share.
#include <array>
#include <cstdint>

#include "holdfast/queue/mpmc_lockfree_queue.hpp"
#include "holdfast/queue/mpmc_queue.hpp"

#include "mpmc_part.hpp"
#include "parts.hpp"
#include "queue_forms.hpp"

namespace holdfast_lin {
namespace {
template <std::size_t Capacity, unsigned Threads>
constexpr auto many = run_part<mpmc_part<holdfast::mpmc_queue<std::int64_t, Capacity>, Threads>>;
// A slot in the hands of a call that is under way counts as taken, so full may be said while another one is.
template <std::size_t Capacity, unsigned Threads>
constexpr auto lockfree =
    run_part<mpmc_part<holdfast::mpmc_lockfree_queue<std::int64_t, Capacity>, Threads, refusals::while_overlapped>>;
template <unsigned Threads>
constexpr auto list = run_part<mpmc_part<list_form<Threads>, Threads>>;
// Busy until the deadline has passed is told as full or empty.
template <class Queue, unsigned Threads>
constexpr auto waiting = run_part<mpmc_part<waiting_form<Queue>, Threads, refusals::while_overlapped>>;
}  // namespace

std::span<const window_part> mpmc_parts() noexcept {
  static constexpr std::array parts{
      window_part{"mpmc_queue/1", 35, many<1, 2>},
      window_part{"mpmc_queue/2", 35, many<2, 2>},
      window_part{"mpmc_queue/2 x3", 5, many<2, 3>},
      window_part{"mpmc_lockfree_queue/1", 15, lockfree<1, 2>},
      window_part{"mpmc_lockfree_queue/2", 10, lockfree<2, 2>},
      window_part{"mpmc_lockfree_queue/2 x3", 5, lockfree<2, 3>},
      window_part{"mpsc_queue/2", 25, run_part<mpmc_part<holdfast::mpsc_queue<std::int64_t, 2>, 2>>},
      window_part{"spmc_queue/2", 25, run_part<mpmc_part<holdfast::spmc_queue<std::int64_t, 2>, 2>>},
      window_part{"spsc_slot_queue/2", 15, run_part<mpmc_part<holdfast::spsc_slot_queue<std::int64_t, 2>, 2>>},
      window_part{"intrusive_mpsc_list", 15, list<2>},
      window_part{"intrusive_mpsc_list x3", 5, list<3>},
      window_part{"waiting_queue over mpmc_queue/1", 2, waiting<holdfast::mpmc_queue<std::int64_t, 1>, 2>},
      window_part{"waiting_queue over mpmc_queue/2 x3", 1, waiting<holdfast::mpmc_queue<std::int64_t, 2>, 3>},
      window_part{"waiting_queue over mpmc_lockfree_queue/1", 2,
                  waiting<holdfast::mpmc_lockfree_queue<std::int64_t, 1>, 2>},
  };
  return parts;
}

}  // namespace holdfast_lin
