// SPDX-License-Identifier: MIT
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>
#include <utility>

#include "support/bench.hpp"

#ifndef HOLDFAST_BENCH_FLAGS
#define HOLDFAST_BENCH_FLAGS "unknown"
#endif

namespace holdfast::bench {
namespace {

struct core_choice {
  std::vector<int> cores{};
  std::string why_not{};
};

// Package and core of a logical cpu, so that two siblings of one core are not taken for two cores.
std::pair<int, int> physical_core(int cpu) {
  const std::string directory = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
  int package = -1;
  int core = cpu;
  std::ifstream(directory + "physical_package_id") >> package;
  std::ifstream(directory + "core_id") >> core;
  return {package, core};
}

std::vector<int> cores_asked_for(const char* list) {
  std::vector<int> asked;
  for (const char* at = list; *at != '\0';) {
    char* end = nullptr;
    const long core = std::strtol(at, &end, 10);
    if (end == at || core < 0 || core >= CPU_SETSIZE) return {};
    asked.push_back(static_cast<int>(core));
    at = *end == ',' ? end + 1 : end;
    if (*end != ',' && *end != '\0') return {};
  }
  return asked;
}

core_choice choose_cores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return {{}, "the kernel does not tell our cores"};
  core_choice choice;
  if (const char* list = std::getenv("HOLDFAST_BENCH_CORES"); list != nullptr && *list != '\0') {
    for (const int core : cores_asked_for(list)) {
      if (!CPU_ISSET(static_cast<std::size_t>(core), &allowed))
        return {{}, "HOLDFAST_BENCH_CORES names a core that is not ours"};
      choice.cores.push_back(core);
    }
    if (choice.cores.empty()) return {{}, "HOLDFAST_BENCH_CORES is not a list of core numbers"};
  } else {
    std::vector<std::pair<int, int>> taken;
    std::vector<int> siblings;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(static_cast<std::size_t>(cpu), &allowed)) continue;
      const auto core = physical_core(cpu);
      const bool fresh = std::find(taken.begin(), taken.end(), core) == taken.end();
      (fresh ? choice.cores : siblings).push_back(cpu);
      taken.push_back(core);
    }
    choice.cores.insert(choice.cores.end(), siblings.begin(), siblings.end());
  }
  if (choice.cores.size() < 2) return {{}, "fewer than two cores are ours"};
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<std::size_t>(choice.cores.front()), &one);
  if (::sched_setaffinity(0, sizeof one, &one) != 0) return {{}, "the kernel refuses to pin"};
  static_cast<void>(::sched_setaffinity(0, sizeof allowed, &allowed));
  return choice;
}

const core_choice& the_cores() {
  static const core_choice choice = choose_cores();
  return choice;
}

holdfast::atomic<int> failed{0};
bool trial = false;  // written before the first benchmark runs
// The line of the calibration game: even, thread 0's turn; odd, thread 1's.
alignas(2 * cache_line_size) holdfast::atomic<std::uint64_t> ball{0};

}  // namespace

const std::vector<int>& cores() {
  return the_cores().cores;
}
const std::string& why_not_pinned() {
  return the_cores().why_not;
}

bool only_a_trial() {
  return trial;
}

void fail(benchmark::State& state, const char* why) {
  // counter: read once, after all threads have ended
  failed.fetch_add(1, mo::relaxed);
  state.SkipWithError(why);
}

int failures() {
  // counter: read once, after all threads have ended
  return failed.load(mo::relaxed);
}

void find_out_if_trial(int argc, char** argv) {
  constexpr std::string_view flag = "--benchmark_min_time=";
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument(argv[i]);
    if (argument.substr(0, flag.size()) == flag) trial = std::atof(argv[i] + flag.size()) < 0.005;
  }
}

pinned::pinned(const benchmark::State& state) {
  pin(static_cast<unsigned>(state.thread_index()));
}
pinned::pinned(unsigned place) {
  pin(place);
}

void pinned::pin(unsigned place) {
  if (cores().empty()) return;
  before_.resize(sizeof(cpu_set_t));
  cpu_set_t mask;
  if (::sched_getaffinity(0, sizeof mask, &mask) != 0) {
    before_.clear();
    return;
  }
  std::memcpy(before_.data(), &mask, sizeof mask);
  CPU_ZERO(&mask);
  CPU_SET(static_cast<std::size_t>(cores()[place % cores().size()]), &mask);
  if (::sched_setaffinity(0, sizeof mask, &mask) != 0) before_.clear();
}

pinned::~pinned() {
  if (before_.empty()) return;
  cpu_set_t mask;
  std::memcpy(&mask, before_.data(), sizeof mask);
  static_cast<void>(::sched_setaffinity(0, sizeof mask, &mask));
}

waiter::manner manner_for(const benchmark::State& state) {
  const std::size_t places = cores().empty() ? std::max(1U, std::thread::hardware_concurrency()) : cores().size();
  return static_cast<std::size_t>(state.threads()) > places ? waiter::manner::crowded : waiter::manner::patient;
}

// With how many pauses this thread's next patient wait begins.
static thread_local unsigned learnt = 1;

void waiter::operator()() noexcept {
  if (rounds_ == 0 && longest_ != 1) pauses_ = learnt;
  if (++rounds_ % 64 == 0 || (crowded_ && pauses_ == longest_ && rounds_ > 1)) give_way();
  for (unsigned i = 0; i < pauses_; ++i) cpu_relax();
  if (pauses_ < longest_) pauses_ *= 2;
}
void waiter::learn() noexcept {
  if (longest_ != 1) learnt = rounds_ == 1 ? std::min(2 * learnt, longest_) : std::max(learnt / 2, 1U);
}
void waiter::give_way() noexcept {
  using namespace std::chrono;
  const std::int64_t now = nanoseconds(steady_clock::now().time_since_epoch()).count();
  if (begun_ns_ == 0) begun_ns_ = now;
  in_vain_ = now - begun_ns_ > nanoseconds(10s).count();
  ::sched_yield();
}

void regime::mark() {
  constexpr unsigned blocks = 6;
  constexpr unsigned rounds = 200;
  if (state_.threads() < 2 || state_.thread_index() > 1) return;
  const std::uint64_t mine = static_cast<std::uint64_t>(state_.thread_index());
  double best = 0;
  for (unsigned block = 0; block < blocks; ++block) {
    const auto start = std::chrono::steady_clock::now();
    for (unsigned i = 0; i < rounds; ++i) {
      waiter wait;
      std::uint64_t seen = 0;
      // hint: only the number is passed on, no other data
      while (((seen = ball.load(mo::relaxed)) & 1U) != mine) wait();
      // hint: only the number is passed on, no other data
      ball.store(seen + 1, mo::relaxed);
    }
    const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - start;
    // The first block also waits for the other thread to arrive; any block may be cut by another process.
    if (block == 1 || (block > 1 && spent.count() < best)) best = spent.count();
  }
  const double round_trip = best / rounds;
  lowest_ns_ = marks_ == 0 ? round_trip : std::min(lowest_ns_, round_trip);
  highest_ns_ = std::max(highest_ns_, round_trip);
  ++marks_;
}

void regime::report() {
  if (marks_ == 0 || state_.thread_index() != 0) return;
  state_.counters["regime_ns"] = highest_ns_;
  state_.counters["regime_drift"] = highest_ns_ / lowest_ns_;
}

}  // namespace holdfast::bench

int main(int argc, char** argv) {
  holdfast::bench::find_out_if_trial(argc, argv);
  // Contenders take turns in random order, so that whatever else the machine does meets all of them alike.
  std::vector<char*> arguments(argv, argv + argc);
  std::string interleave = "--benchmark_enable_random_interleaving=true";
  arguments.insert(arguments.begin() + 1, interleave.data());
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;

  std::string pinned_to;
  for (const int core : holdfast::bench::cores()) {
    if (!pinned_to.empty()) pinned_to.push_back(',');
    pinned_to.append(std::to_string(core));
  }
  if (pinned_to.empty()) {
    pinned_to = "none: " + holdfast::bench::why_not_pinned();
    std::fprintf(stderr, "not pinned (%s): two-thread figures will spread more\n",
                 holdfast::bench::why_not_pinned().c_str());
  }
#if defined(__clang__)
  benchmark::AddCustomContext("compiler", "clang " __clang_version__);
#else
  benchmark::AddCustomContext("compiler", "g++ " __VERSION__);
#endif
  benchmark::AddCustomContext("flags", HOLDFAST_BENCH_FLAGS);
  benchmark::AddCustomContext("pinned_cores", pinned_to);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return holdfast::bench::failures() == 0 ? 0 : 1;
}
