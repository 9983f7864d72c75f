// SPDX-License-Identifier: MIT
// What a user sees while the demonstration runs: on a terminal one picture that is drawn over itself, elsewhere a line
// for everything that happens and one every few seconds.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "demo/runner.hpp"
#include "demo/terminal.hpp"

namespace holdfast::demo {

class live_view final : public run_watcher {
 public:
  live_view(std::FILE* out, const demo_options& options, bool picture, painter with)
      : out_(out), options_(options), picture_(picture), paint_(with) {}
  ~live_view() override;

  void on_start(const run_record& run) override;
  void on_event(const run_record& run, const event& what) override;
  void on_sample(const run_record& run) override;
  void on_end(const run_record& run) override;

 private:
  std::vector<std::string> frame(const run_record& run) const;
  std::string head_line(const run_record& run) const;
  std::string now_line(const run_record& run) const;
  std::string tier_line(const run_record& run, std::size_t t) const;
  std::string error_line(const run_record& run) const;
  std::string latency_line(const run_record& run, const char* name, std::uint32_t permille) const;
  std::string guard_line(const run_record& run) const;
  std::string budget_line(const run_record& run) const;
  std::string text_line(const run_record& run) const;
  void draw(const std::vector<std::string>& lines);
  void finish_picture();

  std::FILE* out_;
  const demo_options& options_;
  bool picture_;
  painter paint_;
  std::size_t lines_drawn_ = 0;
  milliseconds last_text_{};
};

}  // namespace holdfast::demo
