// SPDX-License-Identifier: MIT
// Windows of what has one producer and one consumer, or one a lane: an spsc_queue, the smallest rings and the smallest whose
// consumer tells of freed slots in groups; both rings of records; fan_in.
#include <array>
#include <cstdint>

#include "holdfast/queue/fan_in.hpp"

#include "fan_in_part.hpp"
#include "parts.hpp"
#include "queue_forms.hpp"
#include "queue_part.hpp"

namespace holdfast_lin {
namespace {
template <class Form>
constexpr auto records = run_part<queue_part<Form, record_form_capacity, record_form_most, queue_calls::single>>;
}  // namespace

std::span<const window_part> queue_parts() noexcept {
  static constexpr std::array parts{
      window_part{"spsc_queue/1", 35, run_part<spsc_part<1, queue_calls::single>>},
      window_part{"spsc_queue/2", 45, run_part<spsc_part<2, queue_calls::single>>},
      window_part{"spsc_queue/4", 35, run_part<spsc_part<4, queue_calls::single>>},
      window_part{"spsc_queue/16", 30, run_part<spsc_part<16, queue_calls::single>>},
      window_part{"spsc_queue/2 batches", 60, run_part<spsc_part<2, queue_calls::batch>>},
      window_part{"spsc_queue/16 batches", 40, run_part<spsc_part<16, queue_calls::batch>>},
      window_part{"spsc_queue/2 in place", 60, run_part<spsc_part<2, queue_calls::in_place>>},
      window_part{"spsc_queue/16 in place", 40, run_part<spsc_part<16, queue_calls::in_place>>},
      window_part{"spsc_queue/2 sized", 40, run_part<sized_part<2, queue_calls::single>>},
      window_part{"spsc_queue/16 sized", 40, run_part<sized_part<16, queue_calls::single>>},
      window_part{"record_ring", 30, records<record_form>},
      window_part{"shared_record_ring", 30, records<shared_record_form>},
      window_part{"fan_in/1 of 1", 20, run_part<fan_in_part<holdfast::fan_in<std::int64_t, 1, 1>>>},
      window_part{"fan_in/2 of 2 x3", 5, run_part<fan_in_part<holdfast::fan_in<std::int64_t, 2, 2>>>},
      window_part{"fan_in/2 of 1, turns of 1 x3", 5, run_part<fan_in_part<holdfast::fan_in<std::int64_t, 2, 1, 1>>>},
  };
  return parts;
}

}  // namespace holdfast_lin
