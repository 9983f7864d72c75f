// SPDX-License-Identifier: MIT
#include "serve/profile_reader.hpp"

#include <algorithm>
#include <chrono>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/interop/asio_call.hpp"
#include "holdfast/policy/fallback.hpp"

namespace holdfast::serve {
namespace {

namespace asio = boost::asio;

// Everything falls through but a caller that went away: even a database that is corrupt, whose error is permanent, must
// not fail a read. That a row does not exist is no error here, but an answer.
constexpr verdict_mask any_failure{verdict::transient, verdict::throttled, verdict::timeout,
                                   verdict::permanent, verdict::rejected,  verdict::stale};
// In the order of `tier`. Who asks over a network or a disk needs some time; a cache and a constant need none.
constexpr fallback_plan read_plan{.tiers = {{{"primary", any_failure},
                                             {"replica", any_failure, std::chrono::milliseconds(1)},
                                             {"cache", any_failure},
                                             {"cdn", any_failure, std::chrono::milliseconds(1)},
                                             {"default", any_failure}}}};
static_assert(!validate(read_plan) && read_plan.size() == static_cast<std::size_t>(tier::none));

// A copy that does not have the profile: only the primary knows that there is none.
error not_there() {
  return make_error(http_error(404));
}

}  // namespace

std::string_view name_of(tier t) noexcept {
  return t == tier::none ? std::string_view("none") : read_plan.tiers[static_cast<std::size_t>(t)].name;
}

asio::awaitable<read_answer> profile_reader::read(std::size_t io_thread, std::string id, context whose) {
  const deadline until = deadline::after(steady_clock::now(), parts_.read_deadline);
  fallback_walk walk(read_plan, steady_clock::now(), until);
  while (walk.has_tier()) {
    const auto t = static_cast<tier>(walk.tier());
    const std::int64_t asked_ms = wall_ms();
    auto result = co_await ask(t, io_thread, id, whose, until);
    if (result && result->has_value()) co_return served(t, std::move(**result), asked_ms, walk.origin());
    if (result && t == tier::primary) co_return read_answer{.by = t};
    const auto watched = parts_.watch.enter();
    walk.failed(result ? not_there() : result.error(), steady_clock::now());
  }
  co_return served(tier::fallback_default, {id, default_document(id), 0, 0}, 0, walk.origin());
}

asio::awaitable<read_answer> profile_reader::read_naively(std::string id) {
  const std::int64_t asked_ms = wall_ms();
  // Named: g++ 12 destroys a lambda that is a temporary of a co_await expression twice.
  const auto find = [id](profile_store& store) { return store.find(id, deadline::never()); };
  auto result = co_await parts_.primary_pool.run(deadline::never(), find);
  if (!result) co_return read_answer{.why = result.error()};
  if (!result->has_value()) co_return read_answer{.by = tier::primary};
  co_return served(tier::primary, std::move(**result), asked_ms, {});
}

read_answer profile_reader::served(tier by, profile&& p, std::int64_t asked_ms, const error& why) {
  // A row of the primary was current when it was asked for; one of the replica when that was last complete.
  if (by == tier::primary) p.as_of_ms = asked_ms;
  if (by == tier::replica) p.as_of_ms = parts_.followers.replica().as_of_ms();
  if (p.as_of_ms == 0) return {by, std::move(p), unknown_age, why};
  const std::int64_t age = std::max<std::int64_t>(0, wall_ms() - p.as_of_ms);
  if (by == tier::primary || by == tier::replica) parts_.cache.put(p, steady_clock::now() - milliseconds(age));
  return {by, std::move(p), age, why};
}

asio::awaitable<profile_reader::found> profile_reader::ask(tier t, std::size_t io_thread, const std::string& id,
                                                           const context& whose, deadline until) {
  switch (t) {
    case tier::primary: co_return co_await ask_store(parts_.primary_pool, parts_.primary, id, whose, until);
    case tier::replica: co_return co_await ask_store(parts_.replica_pool, parts_.replica, id, whose, until);
    case tier::cache: co_return ask_cache(id);
    case tier::cdn: co_return co_await ask_cdn(io_thread, id, whose, until);
    default: co_return std::optional<profile>(profile{id, default_document(id), 0, 0});
  }
}

asio::awaitable<profile_reader::found> profile_reader::ask_store(db_pool& pool, dependency& d, const std::string& id,
                                                                 const context& whose, deadline until) {
  // An attempt may outlive its call, so it owns all that it uses; the pool outlives every request.
  const auto attempt_once = [&pool = pool, id](const attempt& which) {
    const deadline ends = which.context.until;
    return pool.run(ends, [id, ends](profile_store& store) { return store.find(id, ends); });
  };
  d.on_call();
  co_return co_await async_call(d.protects(), {.until = until, .safety = idempotency::idempotent}, attempt_once,
                                call_observer(d, whose));
}

profile_reader::found profile_reader::ask_cache(const std::string& id) const {
  auto hit = parts_.cache.get(id, steady_clock::now());
  if (!hit) return std::optional<profile>{};
  hit->found.as_of_ms = wall_ms() - std::chrono::duration_cast<milliseconds>(hit->age).count();
  return std::optional<profile>(std::move(hit->found));
}

asio::awaitable<profile_reader::found> profile_reader::ask_cdn(std::size_t io_thread, const std::string& id,
                                                               const context& whose, deadline until) {
  if (parts_.cdn_calls == nullptr) co_return std::optional<profile>{};
  const auto child = parts_.watch.around([&] { return format_traceparent(child_of(whose.trace)); });
  cdn_request request{id, std::string(whose.correlation_id.view()), std::string(child.view())};
  const auto attempt_once = [calls = parts_.cdn_calls, io_thread, request](const attempt&) {
    return calls->get(io_thread, request);
  };
  parts_.cdn.on_call();
  co_return co_await async_call(parts_.cdn.protects(), {.until = until, .safety = idempotency::idempotent},
                                attempt_once, call_observer(parts_.cdn, whose));
}

}  // namespace holdfast::serve
