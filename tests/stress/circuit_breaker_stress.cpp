// SPDX-License-Identifier: MIT
// I1, I2, I3, I5, I8 of the circuit breaker under threads: see breaker_traffic.hpp.
#include "stress/breaker_traffic.hpp"

using namespace std::chrono_literals;
using holdfast::circuit_breaker;
using holdfast::lease_expiry;

TEST_CASE("I1, I2, I3, I5 hold between threads: failure rate, leases renewed", "[circuit_breaker][stress]") {
  breaker_traffic::run<circuit_breaker>({.failure_permille = 300,
                                         .min_calls = 10,
                                         .window = 100ms,
                                         .probes = 3,
                                         .probe_lease = 20ms,
                                         .open_base = 4ms,
                                         .open_max = 30ms,
                                         .healthy_decay = 20ms,
                                         .seed = 1});
}

TEST_CASE("I1, I2, I3, I5 hold between threads: failures in a row, a lost probe reopens", "[circuit_breaker][stress]") {
  breaker_traffic::run<circuit_breaker>({.consecutive_failures = 3,
                                         .failure_permille = 0,
                                         .window = 100ms,
                                         .probes = 1,
                                         .probe_lease = 10ms,
                                         .on_lease_over = lease_expiry::reopen,
                                         .open_base = 2ms,
                                         .open_max = 8ms,
                                         .healthy_decay = 10ms,
                                         .seed = 2});
}

TEST_CASE("I1, I2, I3, I5 hold between threads: both rules, many probes", "[circuit_breaker][stress]") {
  breaker_traffic::run<circuit_breaker>({.consecutive_failures = 6,
                                         .failure_permille = 500,
                                         .min_calls = 5,
                                         .window = 200ms,
                                         .probes = 31,
                                         .probe_lease = 5ms,
                                         .open_base = 2ms,
                                         .open_max = 16ms,
                                         .healthy_decay = 5ms,
                                         .seed = 3});
}

TEST_CASE("I1, I2, I3, I5 hold between threads: the share of slow calls alone", "[circuit_breaker][stress]") {
  breaker_traffic::run<circuit_breaker>({.failure_permille = 0,
                                         .slow_call = 50ms,
                                         .slow_permille = 150,
                                         .min_calls = 10,
                                         .window = 100ms,
                                         .probes = 3,
                                         .probe_lease = 20ms,
                                         .open_base = 4ms,
                                         .open_max = 30ms,
                                         .healthy_decay = 20ms,
                                         .seed = 4});
}

TEST_CASE("I1, I2, I3, I5 hold between threads: the last calls, failed and slow", "[circuit_breaker][stress]") {
  breaker_traffic::run<circuit_breaker>({.failure_permille = 0,
                                         .slow_call = 50ms,
                                         .window = 100ms,
                                         .last_calls = 40,
                                         .last_failure_permille = 400,
                                         .last_slow_permille = 300,
                                         .last_min_calls = 10,
                                         .probes = 3,
                                         .probe_lease = 20ms,
                                         .open_base = 4ms,
                                         .open_max = 30ms,
                                         .healthy_decay = 20ms,
                                         .seed = 5});
}

TEST_CASE("I1, I2, I3, I5, I8 hold between threads while all options change", "[circuit_breaker][stress]") {
  const holdfast::circuit_breaker_options one{.failure_permille = 300,
                                              .min_calls = 10,
                                              .window = 100ms,
                                              .probes = 3,
                                              .probe_lease = 20ms,
                                              .open_base = 4ms,
                                              .open_max = 30ms,
                                              .healthy_decay = 20ms,
                                              .seed = 6};
  auto two = one;
  two.consecutive_failures = 4;
  two.window = 300ms;
  two.probes = 9;
  two.probe_lease = 5ms;
  two.open_max = 8ms;
  auto three = one;
  three.slow_call = 50ms;
  three.last_calls = 30;
  three.last_failure_permille = 400;
  three.last_slow_permille = 300;
  three.last_min_calls = 10;
  three.probes = 1;
  three.on_lease_over = lease_expiry::reopen;
  auto four = three;
  four.last_calls = 50;
  four.slow_permille = 200;
  breaker_traffic::run<circuit_breaker>(one, {one, two, three, four});
}
