// SPDX-License-Identifier: MIT
// request_plan: which request comes next and what it says. Reads with Zipf-distributed ids, a few PUTs on the ETag that
// was seen last, a few POSTs with an Idempotency-Key, of which some repeat an earlier one as a client does that has
// missed the answer. Seeded: the same seed asks the same things in the same order, as far as answers allow.
//
// Belongs to the load's thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/core/random.hpp"

#include "demo/client_counts.hpp"
#include "demo/http_head.hpp"
#include "demo/zipf.hpp"

namespace holdfast::demo {

enum class request_kind : std::uint8_t { read, put, post };

struct planned_request {
  request_kind kind = request_kind::read;
  std::uint32_t number = 0;  // of the profile, or of the key
  bool replay = false;       // a POST whose key was acknowledged before
};

class request_plan {
 public:
  request_plan(std::uint32_t profiles, std::uint64_t seed, std::string id_prefix);

  planned_request next();
  // Appends the bytes of the request to `out`.
  void write(const planned_request& request, std::uint64_t sequence, std::string& out);
  // What an answer teaches: the ETag for the next PUT, whose id a key stands for. `head` is null when there was none.
  void learn(const planned_request& request, const answer_head* head, client_counts& counts);

  [[nodiscard]] std::string correlation_id(std::uint64_t sequence) const;

 private:
  struct posted {
    std::string location;  // empty: not acknowledged yet
    bool in_flight = false;
  };
  planned_request next_put();
  planned_request next_post();

  zipf_numbers numbers_;
  splitmix64 bits_;
  std::string id_prefix_;
  std::vector<std::string> etags_;  // by profile number - 1; empty: unknown
  std::vector<bool> put_in_flight_;
  std::vector<posted> posted_;
  std::vector<std::uint32_t> unacknowledged_;
};

}  // namespace holdfast::demo
