// SPDX-License-Identifier: MIT
// What a scenario allocates, so that leaks, double frees and uses after a free are seen, and an execution that is left in
// the middle gives its memory back. Replaces operator new and delete of the executable.
#include <cstdlib>
#include <new>

#include "model/engine/engine.hpp"

namespace holdfast_model {

void engine::allocated(void* memory_block, std::size_t bytes) {
  const engine_scope scope(*this);
  blocks_.push_back({memory_block, bytes, false});
}

bool engine::freed(void* memory_block) {
  const engine_scope scope(*this);
  for (block& b : blocks_) {
    if (b.at != memory_block) continue;
    if (b.freed) fail("memory is freed twice");
    b.freed = true;
    any_freed_ = true;
    const vector_clock& mine = memory_.events_of(current_);
    bool raced = false;
    atomics_.each_in(b.at, b.bytes, [&](const void*, atomic_state& a) { raced = raced || !mine.covers(a.users); });
    plains_.each_in(b.at, b.bytes, [&](const void*, plain_state& p) {
      raced = raced || !mine.covers(p.readers) || !mine.covers(p.writer, p.written_at);
    });
    if (raced && options_.wrong != flaw::free_beside_use) fail("memory is freed while another thread may use it");
    return true;
  }
  return false;  // from before the execution
}

void engine::release_blocks() {
  for (const block& b : blocks_) std::free(b.at);
  blocks_.clear();
  any_freed_ = false;
}

}  // namespace holdfast_model

namespace {

void* take(std::size_t bytes, std::size_t alignment) {
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* const block = alignment <= alignof(std::max_align_t) ? std::malloc(bytes == 0 ? 1 : bytes)
                                                             : std::aligned_alloc(alignment, rounded);
  if (block == nullptr) throw std::bad_alloc();
  using holdfast_model::engine;
  if (engine::running() && engine::instance().tracks_heap()) engine::instance().allocated(block, bytes);
  return block;
}

void give(void* block) noexcept {
  if (block == nullptr) return;
  using holdfast_model::engine;
  if (engine::running() && engine::instance().tracks_heap() && engine::instance().freed(block)) return;
  std::free(block);
}

}  // namespace

void* operator new(std::size_t bytes) {
  return take(bytes, 1);
}
void* operator new[](std::size_t bytes) {
  return take(bytes, 1);
}
void* operator new(std::size_t bytes, std::align_val_t a) {
  return take(bytes, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t bytes, std::align_val_t a) {
  return take(bytes, static_cast<std::size_t>(a));
}
void operator delete(void* block) noexcept {
  give(block);
}
void operator delete[](void* block) noexcept {
  give(block);
}
void operator delete(void* block, std::size_t) noexcept {
  give(block);
}
void operator delete[](void* block, std::size_t) noexcept {
  give(block);
}
void operator delete(void* block, std::align_val_t) noexcept {
  give(block);
}
void operator delete[](void* block, std::align_val_t) noexcept {
  give(block);
}
void operator delete(void* block, std::size_t, std::align_val_t) noexcept {
  give(block);
}
void operator delete[](void* block, std::size_t, std::align_val_t) noexcept {
  give(block);
}
