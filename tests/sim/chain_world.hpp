// SPDX-License-Identifier: MIT
// chain_world: clients -> edge -> mid -> leaf -> store. Three services, each of which guards its calls to the next, and a
// store at the end that can do so much and fails as it is told. With policies, or without: then each layer repeats what
// failed three times at a fixed distance, has no limit of any kind, and passes nothing inward, as a first version does.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "clients.hpp"
#include "event_log.hpp"
#include "layer.hpp"
#include "server.hpp"
#include "timeline.hpp"
#include "wire.hpp"

namespace sim {

struct chain_options {
  std::uint64_t seed = 1;
  bool policies = true;
  bool breakers = true;  // with policies; off to see the budgets alone
  bool refusals_are_429 = true;
  duration min_attempt_time = std::chrono::milliseconds(50);
  bool keeps_text = false;
  open_loop_clients::options clients{};
  server_options store{};
  std::vector<duration> thread_lags{duration{0}};
  duration leaps_at{};  // since the world began; zero: never
  duration leap{};
};

class chain_world {
 public:
  static constexpr holdfast::retry_budget_options budget{.ratio_permille = 100, .min_per_second = 10, .burst = 20};

  static constexpr holdfast::backoff_options backoff{.base = std::chrono::milliseconds(10),
                                                     .cap = std::chrono::milliseconds(40)};

  explicit chain_world(const chain_options& o);

  // Until every request is answered.
  void run();

  [[nodiscard]] const chain_options& options() const noexcept { return options_; }
  [[nodiscard]] const event_log& log() const noexcept { return log_; }
  [[nodiscard]] const timeline& time() const noexcept { return time_; }
  [[nodiscard]] const open_loop_clients& clients() const noexcept { return *clients_; }
  [[nodiscard]] const server& store() const noexcept { return *store_; }
  // From the outside in.
  [[nodiscard]] const layer& edge() const noexcept { return *layers_[0]; }
  [[nodiscard]] const layer& mid() const noexcept { return *layers_[1]; }
  [[nodiscard]] const layer& leaf() const noexcept { return *layers_[2]; }
  [[nodiscard]] std::array<const layer*, 3> layers() const noexcept {
    return {layers_[0].get(), layers_[1].get(), layers_[2].get()};
  }

 private:
  [[nodiscard]] layer_options layer_of(std::size_t number) const;

  const chain_options options_;
  timeline time_;
  event_log log_;
  holdfast::splitmix64 bits_;
  wire net_;
  std::unique_ptr<server> store_;
  std::array<std::unique_ptr<layer>, 3> layers_;
  std::unique_ptr<open_loop_clients> clients_;
};

// The worlds that have a name: what goes wrong in them, and when.
struct named_world {
  std::string_view name;
  std::string_view about;
};
[[nodiscard]] const std::vector<named_world>& named_worlds();
[[nodiscard]] chain_options options_of(std::string_view name);

}  // namespace sim
