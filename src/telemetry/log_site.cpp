// SPDX-License-Identifier: MIT
#include "holdfast/telemetry/log_site.hpp"

namespace holdfast::log_detail {
namespace {

// Entry 0 stays empty: it is the number of a site that has none.
constinit std::array<atomic<const log_site*>, max_sites> table{};
constinit atomic<std::uint32_t> used{1};

}  // namespace

std::uint32_t register_site(const log_site& site, site_number& number) noexcept {
  if (used.load(mo::relaxed) >= max_sites) return 0;          // hint: keeps the counter from wrapping
  const std::uint32_t mine = used.fetch_add(1, mo::relaxed);  // counter: hands out each entry once
  if (mine >= max_sites) return 0;
  table[mine].store(&site, mo::relaxed);  // own: this call's entry, published by [L2]
  // Two threads may meet here at a site's first call: both entries stay good, the later number is the one that lasts.
  number.value.store(mine, mo::release);  // [L2] release, pairs with [L1]: the table's entry
  return mine;
}

const log_site& site_at(std::uint32_t number) noexcept {
  return *table[number].load(mo::relaxed);  // own: the record's commit, read before, came after [L1] or [L2]
}

}  // namespace holdfast::log_detail
