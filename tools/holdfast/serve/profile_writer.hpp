// SPDX-License-Identifier: MIT
// profile_writer: writes go to the primary or fail at once; they never degrade.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "holdfast/core/outcome.hpp"
#include "holdfast/telemetry/context.hpp"

#include "serve/db_pool.hpp"
#include "serve/dependency.hpp"
#include "serve/id_filter.hpp"
#include "serve/profile_cache.hpp"
#include "serve/profile_store.hpp"

namespace holdfast::serve {

struct write_parts {
  db_pool& primary_pool;
  dependency& primary;  // the guards of writes
  profile_cache& cache;
  id_filter& known;
  milliseconds write_deadline;
  bool policies;
};

class profile_writer {
 public:
  explicit profile_writer(write_parts parts) : parts_(parts) {}

  boost::asio::awaitable<outcome<put_answer>> put(put_request request, context whose);
  // Without a key it is tried once: a second time could make a second profile.
  boost::asio::awaitable<outcome<create_answer>> create(create_request request, context whose);

 private:
  void took_over(const profile& now);

  write_parts parts_;
};

}  // namespace holdfast::serve
