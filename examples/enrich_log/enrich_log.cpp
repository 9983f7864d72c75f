// SPDX-License-Identifier: MIT
// Reads a log of JSON lines, adds to each what somebody who looks for slow requests asks for, and writes it again, line by
// line in the same order:
//
//   enrich_log IN OUT                   one process: read -> parse (several workers) -> enrich -> write
//   enrich_log IN OUT --two-processes   another process reads, and hands the lines over through shared memory
//
// A line that is no JSON object is told on standard error with its number, and is missing in OUT; nothing else is. The end is
// one JSON object on standard output that says how many lines went where, and how long each stage took.
//
// What it shows: stages with workers in order (exec/work_pipeline.hpp), an error that goes on in the place of its item, and
// records between two processes (queue/shared_record_ring.hpp).
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "holdfast/core/parking.hpp"
#include "holdfast/exec/work_pipeline.hpp"
#include "holdfast/queue/shared_record_ring.hpp"

namespace {

using json = nlohmann::ordered_json;
using holdfast::outcome;

// ---- what the stages do

outcome<json> parse(std::string&& text) {
  json fields = json::parse(text, nullptr, false);
  if (!fields.is_object())
    return holdfast::error(std::make_error_code(std::errc::illegal_byte_sequence), holdfast::verdict::permanent);
  return fields;
}

// "/profiles/u000017" is one of many: what they have in common is "/profiles/:id".
std::string route_of(const std::string& path) {
  constexpr std::string_view profiles = "/profiles/";
  return path.rfind(profiles, 0) == 0 ? "/profiles/:id" : path;
}

std::string enrich(json&& fields) {
  if (const auto path = fields.find("path"); path != fields.end() && path->is_string()) {
    fields["route"] = route_of(path->get<std::string>());
  }
  if (const auto status = fields.find("status"); status != fields.end() && status->is_number_integer()) {
    fields["status_class"] = std::to_string(status->get<int>() / 100) + "xx";
  }
  if (const auto took = fields.find("duration_ns"); took != fields.end() && took->is_number_integer()) {
    fields["slow"] = std::chrono::nanoseconds(took->get<std::int64_t>()) > std::chrono::milliseconds(10);
  }
  return fields.dump(-1, ' ', false, json::error_handler_t::replace);
}

// The last stage: one thread, and for every line that came in one call, so that it knows the number of each.
class writer {
 public:
  explicit writer(const std::string& path) : out_(path, std::ios::binary | std::ios::trunc) {}

  outcome<> operator()(outcome<std::string>&& text) {
    ++lines_;
    if (!text.ok()) {
      std::cerr << "enrich_log: line " << lines_ << ": " << text.error().code.message() << '\n';
      return text.error();
    }
    out_ << *text << '\n';
    if (!out_) return holdfast::error(std::error_code(EIO, std::system_category()), holdfast::verdict::permanent);
    return {};
  }
  bool finish() { return static_cast<bool>(out_.flush()); }

 private:
  std::ofstream out_;
  std::uint64_t lines_ = 0;
};

// ---- where the lines come from

template <class Take>
bool read_lines(const std::string& path, Take take) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return false;
  for (std::string line; std::getline(in, line);) {
    if (!take(std::move(line))) return false;
    line.clear();
  }
  return in.eof();
}

// Memory that a child process has as well.
class shared_memory {
 public:
  explicit shared_memory(std::size_t bytes) : bytes_(bytes) {
    void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::system_error(errno, std::system_category(), "mmap");
    at_ = static_cast<std::byte*>(at);
  }
  shared_memory(const shared_memory&) = delete;
  shared_memory& operator=(const shared_memory&) = delete;
  ~shared_memory() { ::munmap(at_, bytes_); }
  [[nodiscard]] std::span<std::byte> region() const { return {at_, bytes_}; }

 private:
  std::byte* at_ = nullptr;
  std::size_t bytes_;
};

constexpr std::uint32_t a_line = 0;
constexpr std::uint32_t the_end = 1;

// The reading process: every line as a record, and then the end. Its exit status.
int send_lines(const std::string& path, std::span<std::byte> region) {
  auto ring = holdfast::shared_record_ring::attach_writer(region);
  if (!ring.ok()) return 3;
  const auto send = [&](std::string_view bytes, std::uint32_t tag) {
    for (unsigned turn = 0;; ++turn) {
      if (std::byte* const at = ring->try_claim(bytes.size())) {
        std::memcpy(at, bytes.data(), bytes.size());
        ring->commit(bytes.size(), tag);
        return true;
      }
      if (bytes.size() > ring->max_record()) return false;  // it will never fit
      holdfast::doze(turn);
    }
  };
  const bool all = read_lines(path, [&](std::string&& line) { return send(line, a_line); });
  if (!all) return 2;
  return send("", the_end) ? 0 : 4;
}

// What came through the ring until its end; false: the other process died before.
template <class Take>
bool receive_lines(std::span<std::byte> region, pid_t sender, Take take) {
  auto ring = holdfast::shared_record_ring::attach_reader(region);
  if (!ring.ok()) return false;
  bool dead = false;
  for (unsigned turn = 0;;) {
    holdfast::record_view record;
    const holdfast::ring_front found = ring->front(record);
    if (found == holdfast::ring_front::corrupt) return false;
    if (found == holdfast::ring_front::record) {
      turn = 0;
      if (record.tag == the_end) return true;
      const bool taken = take(std::string(reinterpret_cast<const char*>(record.data), record.bytes));
      ring->pop(record);
      ring->release();
      if (!taken) return false;
      continue;
    }
    if (dead) return false;  // looked once more after its death: all that it had committed has been read
    siginfo_t ended{};
    if (turn % 64 == 63 && ::waitid(P_PID, static_cast<id_t>(sender), &ended, WEXITED | WNOHANG | WNOWAIT) == 0) {
      dead = ended.si_pid == sender;
    }
    holdfast::doze(turn++);
  }
}

template <class Line>
void tell(const Line& line, double seconds) {
  json stages = json::array();
  for (const holdfast::stage_metrics& m : line.metrics()) {
    stages.push_back({{"name", m.name},
                      {"arrived", m.arrived},
                      {"done", m.done},
                      {"failed", m.failed},
                      {"passed", m.passed},
                      {"waited_p50_ns", m.waited.quantile(500).count()},
                      {"worked_p50_ns", m.worked.quantile(500).count()},
                      {"worked_p99_ns", m.worked.quantile(990).count()}});
  }
  std::cout << json{{"seconds", seconds}, {"stages", stages}}.dump() << std::endl;
}

int run(const std::string& in, const std::string& out, unsigned workers, bool two_processes) {
  const auto begun = std::chrono::steady_clock::now();
  shared_memory shared(two_processes ? std::size_t{4} << 20U : 4096);
  pid_t sender = -1;
  if (two_processes) {
    if (!holdfast::shared_record_ring::create(shared.region()).ok()) return 1;
    sender = ::fork();  // before there are threads
    if (sender < 0) throw std::system_error(errno, std::system_category(), "fork");
    if (sender == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody reads then
      ::_exit(send_lines(in, shared.region()));
    }
  }

  writer write(out);
  const auto line = holdfast::make_work_pipeline(
      holdfast::stage<std::string>({.name = "parse", .workers = workers}, parse),
      holdfast::stage<json>({.name = "enrich", .workers = workers}, enrich),
      holdfast::stage<std::string>({.name = "write"},
                                   [&](outcome<std::string>&& text) { return write(std::move(text)); }));
  if (const auto wrong = line->start()) {
    std::cerr << "enrich_log: stage " << wrong.stage << ": "
              << (wrong.option ? std::string(wrong.option.field) : wrong.system.message()) << '\n';
    return 2;
  }
  const auto push = [&](std::string&& text) { return static_cast<bool>(line->push(std::move(text))); };
  bool all = two_processes ? receive_lines(shared.region(), sender, push) : read_lines(in, push);
  if (two_processes) {
    if (!all) ::kill(sender, SIGKILL);  // it may wait for room
    int status = 0;
    all = ::waitpid(sender, &status, 0) == sender && WIFEXITED(status) && WEXITSTATUS(status) == 0 && all;
  }
  line->close();
  line->join();
  if (!all) std::cerr << "enrich_log: " << in << " could not be read to its end\n";
  if (!write.finish()) {
    std::cerr << "enrich_log: " << out << " could not be written\n";
    all = false;
  }
  tell(*line, std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
  return all ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
  CLI::App app{"adds route, status_class and slow to each line of a JSON log", "enrich_log"};
  std::string in;
  std::string out;
  unsigned workers = 2;
  bool two_processes = false;
  app.add_option("IN", in, "the log, a JSON object a line")->required();
  app.add_option("OUT", out, "where to write it, enriched")->required();
  app.add_option("--workers", workers, "of the stages that parse and enrich")
      ->check(CLI::Range(1U, holdfast::crew::most));
  app.add_flag("--two-processes", two_processes, "read in a process of its own, and hand over through shared memory");
  CLI11_PARSE(app, count, words);
  try {
    return run(in, out, workers, two_processes);
  } catch (const std::exception& failed) {
    std::cerr << "enrich_log: " << failed.what() << '\n';
    return 1;
  }
}
