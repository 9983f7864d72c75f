// SPDX-License-Identifier: MIT
// profile_cache: profiles in memory, by id, fresh for a while and stale for longer; a tier that asks nobody.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "holdfast/core/fixed_text.hpp"
#include "holdfast/policy/cache.hpp"
#include "holdfast/telemetry/context.hpp"

#include "serve/library_watch.hpp"
#include "serve/options.hpp"
#include "serve/policy_options.hpp"
#include "serve/profile.hpp"

namespace holdfast::serve {

// The version and the document; only the bytes in use are copied.
struct cached_profile {
  std::int64_t version = 0;
  byte_payload<max_profile_bytes> body;
  [[nodiscard]] std::size_t used_bytes() const noexcept { return sizeof(version) + body.used_bytes(); }
};
static_assert(std::is_standard_layout_v<cached_profile>);

class profile_cache {
 public:
  profile_cache(const cache_options& o, library_watch& watch)
      : watch_(watch), entries_(entries_of(o, random_id_bits())) {}

  // `true_at` is when it was known to be the current version: an older answer never replaces a younger one.
  void put(const profile& p, time_point true_at) noexcept {
    const auto watched = watch_.enter();
    cached_profile e;
    e.version = p.version;
    if (e.body.assign(p.body)) static_cast<void>(entries_.put(fixed_text<max_id_bytes>(p.id), e, true_at));
  }

  // Fresh or stale; `age` is how long ago it was true.
  struct hit {
    profile found;
    duration age;
  };
  [[nodiscard]] std::optional<hit> get(std::string_view id, time_point now) const {
    const auto seen = watch_.around([&] { return entries_.get(fixed_text<max_id_bytes>(id), now); });
    if (!seen) return std::nullopt;
    return hit{{std::string(id), std::string(seen.value.body.view()), seen.value.version, 0}, seen.age};
  }

 private:
  library_watch& watch_;
  cache<fixed_text<max_id_bytes>, cached_profile> entries_;
};

}  // namespace holdfast::serve
