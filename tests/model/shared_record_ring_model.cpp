// SPDX-License-Identifier: MIT
// Both sides of a shared ring, replaced when they go by themselves and when they die at any step. Records carry a
// plain<int>, so that their bytes are race-checked from one owner to the next.
#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>

#include "holdfast/queue/shared_record_ring.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

using number = plain<int>;
using writer_side = shared_record_ring::writer;
using reader_side = shared_record_ring::reader;

struct shared_ring {
  static constexpr std::size_t largest = 112;  // two of them fill the ring
  alignas(cache_line_size) std::array<std::byte, shared_record_ring::min_region> memory{};
  std::span<std::byte> region{memory};
  std::optional<writer_side> writer;
  std::optional<reader_side> reader;
  int written = 0;  // commits that have returned
  int read = 0;     // the last number that was popped

  // The next lap but one wraps the count of laps.
  void begin() {
    MODEL_CHECK(shared_record_ring::create(region).ok());
    auto& head = *reinterpret_cast<shared_ring_header*>(memory.data());
    atomic_ref(head.released).store(std::uint64_t{0xFFFF'FFFFU} << 32U, mo::relaxed);
    attach();
  }
  void attach() {
    MODEL_CHECK(attach_writer(shared_record_ring::nobody));
    MODEL_CHECK(attach_reader(shared_record_ring::nobody));
  }
  bool attach_writer(std::uint64_t instead_of) {
    auto made = shared_record_ring::attach_writer(region, instead_of);
    if (!made.ok()) {
      MODEL_CHECK(made.error().code == make_error_code(errc::ring_attached));
      return false;
    }
    writer.emplace(std::move(made).value());
    return true;
  }
  bool attach_reader(std::uint64_t instead_of) {
    auto made = shared_record_ring::attach_reader(region, instead_of);
    if (!made.ok()) {
      MODEL_CHECK(made.error().code == make_error_code(errc::ring_attached));
      return false;
    }
    reader.emplace(std::move(made).value());
    return true;
  }
  bool write(std::size_t payload) {
    std::byte* const at = writer->try_claim(payload);
    if (at == nullptr) {
      MODEL_CHECK(writer->trouble() == errc{});
      return false;
    }
    ::new (static_cast<void*>(at)) number(written + 1);
    writer->commit(payload, static_cast<std::uint32_t>(written + 1));
    ++written;
    return true;
  }
  bool pop() {
    record_view r{nullptr, 77, 77};
    const ring_front found = reader->front(r);
    MODEL_CHECK(found != ring_front::corrupt);
    if (found == ring_front::empty) {
      MODEL_CHECK(r.bytes == 77);
      return false;
    }
    ++read;
    MODEL_CHECK(r.tag == static_cast<std::uint32_t>(read));
    MODEL_CHECK(std::launder(reinterpret_cast<const number*>(r.data))->get() == read);
    reader->pop(r);
    return true;
  }
  bool take() { return pop() && reader->release(); }
  void take_all() {
    while (pop()) {
    }
    MODEL_CHECK(reader->release());  // where there was nothing too: it may have gone to the front
  }
  void drain() {
    take_all();
    MODEL_CHECK(read == written);
    MODEL_CHECK(reader->waiting() == 0);
  }

  // Somebody comes after a writer that died, wherever it did: behind the last commit, whether or not it had returned.
  void after_dead_writer() {
    MODEL_CHECK(attach_writer(writer->attachment()));
    take_all();
    MODEL_CHECK(read == written || read == written + 1);
    written = read;
    MODEL_CHECK(reader->waiting() == 0);
    for (int i = 0; i < 3; ++i) {
      MODEL_CHECK(write(largest));  // an empty ring takes the largest wherever its positions stand
      MODEL_CHECK(take());
      MODEL_CHECK(!take());
    }
  }
  // The new reader begins with what was not released: again from `released`, or from one after it if the release of one
  // record had no time to be told.
  void after_dead_reader(int released) {
    MODEL_CHECK(attach_reader(reader->attachment()));
    record_view r;
    if (reader->front(r) == ring_front::record) {
      MODEL_CHECK(r.tag == static_cast<std::uint32_t>(released + 1) ||
                  r.tag == static_cast<std::uint32_t>(released + 2));
      read = static_cast<int>(r.tag) - 1;
    } else {
      MODEL_CHECK(written - released <= 1);
      read = written;
    }
    drain();
    MODEL_CHECK(write(largest));
    drain();
  }
};

// The largest records, five of them round the end twice, and either side dies at any step.
struct largest_shared : shared_ring {
  static constexpr unsigned threads = 2;
  int released = 0;

  largest_shared() {
    begin();
    MODEL_CHECK(write(largest));
  }
  void run(unsigned thread) {
    for (int i = 0; i < 4; ++i) {
      if (thread == 0) {
        static_cast<void>(write(largest));
      } else if (take()) {
        released = read;
      }
    }
  }
  void after() { drain(); }
  void after_death(unsigned dead) {
    if (dead == 0) {
      after_dead_writer();
    } else {
      after_dead_reader(released);
    }
  }
};
MODEL_SCENARIO("shared_record_ring", largest_shared, {});

// Nobody gives up: what is released is room for the writer in the end, and what is written reaches the reader.
struct handed_over_shared : shared_ring {
  static constexpr unsigned threads = 2;
  static constexpr int count = 3;
  handed_over_shared() { begin(); }
  void run(unsigned thread) {
    if (thread == 0) {
      while (written < count) {
        if (!write(largest)) spin();
      }
    } else {
      while (read < count) {
        if (!take()) spin();
      }
    }
  }
  void after() {
    MODEL_CHECK(read == count);
    drain();
  }
};
MODEL_SCENARIO("shared_record_ring", handed_over_shared, {});

// Headers where payloads were; the reader releases two at a time, the writer forgets a claim that went to the front.
struct mixed_shared : shared_ring {
  static constexpr unsigned threads = 2;
  int released = 0;

  mixed_shared() {
    begin();
    for (int i = 0; i < 2; ++i) MODEL_CHECK(write(88) && take());
    released = read;
  }
  void run(unsigned thread) {
    if (thread == 0) {
      static_cast<void>(write(24));
      if (std::byte* const at = writer->try_claim(104)) ::new (static_cast<void*>(at)) number(-1);
      static_cast<void>(write(16));
      static_cast<void>(write(96));
    } else {
      for (int i = 0; i < 2; ++i) {
        bool any = pop();
        if (any) any = pop() || any;
        if (any && reader->release()) released = read;
      }
    }
  }
  void after() { drain(); }
  void after_death(unsigned dead) {
    if (dead == 0) {
      after_dead_writer();
    } else {
      // Of two at a time, two may be read again.
      MODEL_CHECK(attach_reader(reader->attachment()));
      record_view r;
      if (reader->front(r) == ring_front::record) {
        MODEL_CHECK(static_cast<int>(r.tag) > released);
        MODEL_CHECK(static_cast<int>(r.tag) <= released + 3);
        read = static_cast<int>(r.tag) - 1;
      } else {
        MODEL_CHECK(written - released <= 2);
        read = written;
      }
      drain();
    }
  }
};
MODEL_SCENARIO("shared_record_ring", mixed_shared, {});

// A writer that goes leaves an open claim behind; the next one writes over it, while a reader reads. [S3], [S4]
struct next_writer : shared_ring {
  static constexpr unsigned threads = 3;
  next_writer() { begin(); }

  void run(unsigned thread) {
    switch (thread) {
      case 0:
        static_cast<void>(write(40));
        if (std::byte* const at = writer->try_claim(40)) ::new (static_cast<void*>(at)) number(-1);
        leave();
        break;
      case 1: {
        auto made = shared_record_ring::attach_writer(region);
        if (!made.ok()) return;
        MODEL_CHECK(made->attachment() == 3);
        if (std::byte* const at = made->try_claim(40)) {
          ::new (static_cast<void*>(at)) number(2);
          made->commit(40, 2);
          written = 2;
        }
        break;
      }
      default:
        for (int i = 0; i < 2; ++i) static_cast<void>(take());
    }
  }
  void leave() { writer.reset(); }
  void after() { drain(); }
  void after_death(unsigned dead) {
    if (dead == 2) {
      MODEL_CHECK(attach_reader(reader->attachment()));
      record_view r;
      if (reader->front(r) == ring_front::record) read = static_cast<int>(r.tag) - 1;
    }
    writer.reset();
    MODEL_CHECK(attach_writer(shared_record_ring::observe(region)->writer));
    take_all();
    MODEL_CHECK(read <= 2);
    written = read;
    MODEL_CHECK(write(largest));
    drain();
  }
};
MODEL_SCENARIO("shared_record_ring", next_writer, {});

// A reader that goes has read more than it released; the next one reads that again and releases it for both, and the
// writer goes over it. [S5], [S6]
struct next_reader : shared_ring {
  static constexpr unsigned threads = 3;
  next_reader() {
    begin();
    MODEL_CHECK(write(largest));
    MODEL_CHECK(write(largest));
  }
  void run(unsigned thread) {
    switch (thread) {
      case 0:
        MODEL_CHECK(pop());
        reader.reset();
        break;
      case 1: {
        auto made = shared_record_ring::attach_reader(region);
        if (!made.ok()) return;
        record_view r;
        for (int i = 1; i <= 2; ++i) {
          MODEL_CHECK(made->front(r) == ring_front::record);
          MODEL_CHECK(std::launder(reinterpret_cast<const number*>(r.data))->get() == i);
          made->pop(r);
        }
        MODEL_CHECK(made->release());
        break;
      }
      default: static_cast<void>(write(largest));
    }
  }
  void after() {
    reader.reset();
    MODEL_CHECK(attach_reader(shared_record_ring::nobody));
    record_view r;
    const ring_front found = reader->front(r);
    read = found == ring_front::record ? static_cast<int>(r.tag) - 1 : written;
    MODEL_CHECK(read == 0 || read == 2);
    drain();
  }
};
MODEL_SCENARIO("shared_record_ring", next_reader, {});

// A writer died between going to the front and its commit. Its successor finds the place while the reader moves on, and
// dies in turn; so does the reader.
struct replaced_while_read : shared_ring {
  static constexpr unsigned threads = 2;
  int released = 0;
  std::uint64_t dead = 0;
  replaced_while_read() {
    begin();
    for (int i = 0; i < 2; ++i) MODEL_CHECK(write(96) && take());
    released = read;
    MODEL_CHECK(write(8));
    if (std::byte* const at = writer->try_claim(80)) ::new (static_cast<void*>(at)) number(-1);
    dead = writer->attachment();
  }
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(attach_writer(dead));
      for (int i = 0; i < 2; ++i) static_cast<void>(write(72));
    } else {
      for (int i = 0; i < 2; ++i) {
        if (take()) released = read;
      }
    }
  }
  void after() { drain(); }
  void after_death(unsigned who) {
    if (who == 0) {
      // It may have died before it had its successor's object.
      writer.reset();
      const auto status = shared_record_ring::observe(region);
      MODEL_CHECK(attach_writer(status->writer));
      after_dead_writer();
    } else {
      after_dead_reader(released);
    }
  }
};
MODEL_SCENARIO("shared_record_ring", replaced_while_read, {});

// Two hear that the writer died: one of them takes its place.
struct two_successors : shared_ring {
  static constexpr unsigned threads = 2;
  std::array<std::optional<writer_side>, 2> successors;
  std::uint64_t dead = 0;
  two_successors() {
    begin();
    MODEL_CHECK(write(8));
    dead = writer->attachment();
  }
  void run(unsigned thread) {
    auto made = shared_record_ring::attach_writer(region, dead);
    if (!made.ok()) return;
    MODEL_CHECK(made->attachment() == dead + 2);
    std::byte* const at = made->try_claim(8);
    MODEL_CHECK(at != nullptr);
    ::new (static_cast<void*>(at)) number(2);
    made->commit(8, 2);
    successors[thread].emplace(std::move(made).value());
  }
  void after() {
    MODEL_CHECK(successors[0].has_value() != successors[1].has_value());
    written = 2;
    drain();
  }
};
MODEL_SCENARIO("shared_record_ring", two_successors, {});

// Who attaches while the ring is being made finds none, or an empty one. [S1], [S2]
struct made_and_found : shared_ring {
  static constexpr unsigned threads = 2;
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(shared_record_ring::create(region).ok());
      MODEL_CHECK(attach_writer(shared_record_ring::nobody));
      static_cast<void>(write(8));
    } else {
      auto made = shared_record_ring::attach_reader(region);
      if (!made.ok()) {
        MODEL_CHECK(made.error().code == make_error_code(errc::ring_missing));
        return;
      }
      reader.emplace(std::move(made).value());
      static_cast<void>(take());
      MODEL_CHECK(reader->waiting() <= 16);
    }
  }
  void after() {
    if (!reader) MODEL_CHECK(attach_reader(shared_record_ring::nobody));
    drain();
  }
  void after_death(unsigned dead) {
    if (dead == 1) return;
    const auto status = shared_record_ring::observe(region);
    if (!status.ok()) {
      MODEL_CHECK(status.error().code == make_error_code(errc::ring_missing));
      return;
    }
    writer.reset();
    MODEL_CHECK(attach_writer(shared_record_ring::observe(region)->writer));
  }
};
MODEL_SCENARIO("shared_record_ring", made_and_found, {});

}  // namespace
