// SPDX-License-Identifier: MIT
#include "serve/profile_writer.hpp"

#include "holdfast/interop/asio_call.hpp"

namespace holdfast::serve {

namespace asio = boost::asio;

// A write is seen by the next read: by the filter at once, by the tiers behind the primary through the cache.
void profile_writer::took_over(const profile& now) {
  parts_.known.add(now.id);
  parts_.cache.put(now, steady_clock::now());
}

asio::awaitable<outcome<put_answer>> profile_writer::put(put_request request, context whose) {
  const auto attempt_once = [&pool = parts_.primary_pool, request](const attempt& which) {
    put_request mine = request;
    mine.repeated = which.number > 1;
    const deadline ends = which.context.until;
    return pool.run(ends, [mine = std::move(mine), ends](profile_store& store) { return store.put(mine, ends); });
  };
  outcome<put_answer> answer = errc::closed;
  if (parts_.policies) {
    parts_.primary.on_call();
    const deadline until = deadline::after(steady_clock::now(), parts_.write_deadline);
    answer = co_await async_call(parts_.primary.protects(), {.until = until, .safety = idempotency::idempotent},
                                 attempt_once, call_observer(parts_.primary, whose));
  } else {
    answer = co_await attempt_once(attempt{.number = 1});
  }
  if (answer && (answer->result == put_result::created || answer->result == put_result::replaced)) {
    took_over(answer->now);
  }
  co_return answer;
}

asio::awaitable<outcome<create_answer>> profile_writer::create(create_request request, context whose) {
  const bool keyed = !request.key.empty();
  const auto attempt_once = [&pool = parts_.primary_pool, request](const attempt& which) {
    const deadline ends = which.context.until;
    return pool.run(ends, [request, ends](profile_store& store) { return store.create(request, ends); });
  };
  outcome<create_answer> answer = errc::closed;
  if (parts_.policies) {
    parts_.primary.on_call();
    const call_context call{.until = deadline::after(steady_clock::now(), parts_.write_deadline),
                            .safety = keyed ? idempotency::idempotent_with_key : idempotency::unsafe};
    answer = co_await async_call(keyed ? parts_.primary.protects() : parts_.primary.protects_once(), call, attempt_once,
                                 call_observer(parts_.primary, whose));
  } else {
    answer = co_await attempt_once(attempt{.number = 1});
  }
  if (answer && answer->result == create_result::created) took_over(answer->made);
  co_return answer;
}

}  // namespace holdfast::serve
