// SPDX-License-Identifier: MIT
// Asymmetric fences: what membarrier(2) makes of two threads, and that a light fence alone makes nothing.
#include "holdfast/core/asymmetric_fence.hpp"

#include "model/self/program.hpp"

namespace holdfast_model {
namespace {
using namespace holdfast;
using namespace holdfast::mo;

enum class side { light, heavy, none };

template <side Side>
void fence_of() {
  if (Side == side::light) asymmetric_fence_light();
  if (Side == side::heavy) asymmetric_fence_heavy();
}
template <side Side>
void write_x_look_at_y(cells& c) {
  c.x.store(1, relaxed);
  fence_of<Side>();
  c.r[0] = c.y.load(relaxed);
}
template <side Side>
void write_y_look_at_x(cells& c) {
  c.y.store(1, relaxed);
  fence_of<Side>();
  c.r[1] = c.x.load(relaxed);
}
template <side Side>
void write_x_then_y(cells& c) {
  c.x.store(1, relaxed);
  fence_of<Side>();
  c.y.store(1, relaxed);
}
template <side Side>
void read_y_then_x(cells& c) {
  c.r[0] = c.y.load(relaxed);
  fence_of<Side>();
  c.r[1] = c.x.load(relaxed);
}
// Two that look for the third one's write, and it for theirs.
void write_x_look_at_both(cells& c) {
  c.x.store(1, relaxed);
  asymmetric_fence_heavy();
  c.r[0] = c.y.load(relaxed);
  c.r[2] = c.z.load(relaxed);
}
void write_z_look_at_x(cells& c) {
  c.z.store(1, relaxed);
  asymmetric_fence_light();
  c.r[3] = c.x.load(relaxed);
}

void with_membarrier(cells&) {
  has_membarrier = true;
}
void without_membarrier(cells&) {
  has_membarrier = false;
}

program of(const char* name, std::vector<void (*)(cells&)> threads, std::string allowed) {
  return {.name = name, .threads = std::move(threads), .allowed = std::move(allowed), .before = with_membarrier};
}

}  // namespace

std::vector<program> asymmetric_programs() {
  const std::string any = "00 01 10 11";
  std::vector<program> all{
      of("store buffering, light and heavy", {write_x_look_at_y<side::light>, write_y_look_at_x<side::heavy>},
         "01 10 11"),
      of("store buffering, heavy twice", {write_x_look_at_y<side::heavy>, write_y_look_at_x<side::heavy>}, "01 10 11"),
      of("store buffering, light twice", {write_x_look_at_y<side::light>, write_y_look_at_x<side::light>}, any),
      of("store buffering, heavy and nothing but the program's order",
         {write_x_look_at_y<side::none>, write_y_look_at_x<side::heavy>}, "01 10 11"),
      of("message passing, heavy and light", {write_x_then_y<side::heavy>, read_y_then_x<side::light>}, "00 01 11"),
      of("message passing, light and heavy", {write_x_then_y<side::light>, read_y_then_x<side::heavy>}, "00 01 11"),
      of("message passing, light twice", {write_x_then_y<side::light>, read_y_then_x<side::light>}, any),
      of("one heavy for two light", {write_x_look_at_both, write_y_look_at_x<side::light>, write_z_look_at_x},
         words_where(
             "01", 4,
             [](const std::string& w) { return (w[0] == '1' || w[1] == '1') && (w[2] == '1' || w[3] == '1'); })),
      of("store buffering, light and heavy without membarrier",
         {write_x_look_at_y<side::light>, write_y_look_at_x<side::heavy>}, "01 10 11"),
      of("store buffering, light twice without membarrier",
         {write_x_look_at_y<side::light>, write_y_look_at_x<side::light>}, "01 10 11"),
  };
  all[all.size() - 2].before = without_membarrier;
  all[all.size() - 1].before = without_membarrier;
  return all;
}

}  // namespace holdfast_model
