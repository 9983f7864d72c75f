// SPDX-License-Identifier: MIT
// What a reader of one value learns of others: release and acquire, by operations, by fences, through other threads.
#include "model/self/program.hpp"

namespace holdfast_model {
namespace {
using namespace holdfast::mo;
using holdfast::fence;

template <auto Store, auto Load>
program message_passing(const char* name, const char* allowed) {
  return {.name = name,
          .threads = {[](cells& c) {
                        c.x.store(1, relaxed);
                        c.y.store(1, Store);
                      },
                      [](cells& c) {
                        c.r[0] = c.y.load(Load);
                        c.r[1] = c.x.load(relaxed);
                      }},
          .allowed = allowed};
}

void read_payload_if(cells& c, bool published) {
  if (published) c.r[1] = c.d.get();
}

// The message is plain data: read only when the flag says so, which without synchronisation is a race.
constexpr const char* raced = "";
constexpr const char* handed_over = "07 11";
program plain_message(const char* name, void (*writer)(cells&), void (*reader)(cells&), const char* allowed) {
  return {.name = name, .threads = {writer, reader}, .allowed = allowed, .fails = *allowed == '\0' ? "data race" : ""};
}
template <auto Store>
void write_then(cells& c) {
  c.d.set(1);
  c.x.store(1, Store);
}
template <auto Fence>
void write_fence_then(cells& c) {
  c.d.set(1);
  fence(Fence);
  c.x.store(1, relaxed);
}
template <auto Load>
void read_after(cells& c) {
  c.r[0] = c.x.load(Load);
  read_payload_if(c, c.r[0] == 1);
}
template <auto Fence>
void read_after_fence(cells& c) {
  c.r[0] = c.x.load(relaxed);
  fence(Fence);
  read_payload_if(c, c.r[0] == 1);
}

template <auto Store, auto Load>
program load_buffering(const char* name) {
  return {.name = name,
          .threads = {[](cells& c) {
                        c.r[0] = c.y.load(Load);
                        c.x.store(1, Store);
                      },
                      [](cells& c) {
                        c.r[1] = c.x.load(Load);
                        c.y.store(1, Store);
                      }},
          .allowed = "00 01 10"};
}

template <auto Store, auto Load>
program s_shape(const char* name, const char* allowed) {
  return {.name = name,
          .threads = {[](cells& c) {
                        c.x.store(2, relaxed);
                        c.y.store(1, Store);
                      },
                      [](cells& c) {
                        c.r[0] = c.y.load(Load);
                        c.x.store(1, relaxed);
                      }},
          .allowed = allowed,
          .after = [](cells& c) { c.r[1] = c.x.load(relaxed); }};
}

template <auto First, auto Store, auto Load>
program write_to_read(const char* name, const std::string& allowed) {
  return {.name = name,
          .threads = {[](cells& c) { c.x.store(1, First); },
                      [](cells& c) {
                        c.r[0] = c.x.load(Load);
                        c.y.store(1, Store);
                      },
                      [](cells& c) {
                        c.r[1] = c.y.load(Load);
                        c.r[2] = c.x.load(relaxed);
                      }},
          .allowed = allowed};
}

template <auto Load>
program passed_on(const char* name, const char* allowed) {
  return {.name = name,
          .threads = {write_then<release>,
                      [](cells& c) {
                        if (c.x.load(Load) == 1) c.y.store(1, release);
                      },
                      [](cells& c) {
                        c.r[0] = c.y.load(acquire);
                        read_payload_if(c, c.r[0] == 1);
                      }},
          .allowed = allowed,
          .fails = *allowed == '\0' ? "data race" : ""};
}

template <auto Store, auto Load>
program isa2(const char* name, const std::string& allowed) {
  return {.name = name,
          .threads = {[](cells& c) {
                        c.x.store(1, relaxed);
                        c.y.store(1, Store);
                      },
                      [](cells& c) {
                        c.r[0] = c.y.load(Load);
                        c.z.store(1, Store);
                      },
                      [](cells& c) {
                        c.r[1] = c.z.load(Load);
                        c.r[2] = c.x.load(relaxed);
                      }},
          .allowed = allowed};
}

// The first thread publishes with 1; what the second does to the flag goes on to carry it, or does not.
program release_sequence(
    const char* name, void (*second)(cells&), const char* allowed, void (*first)(cells&) = write_then<release>,
    void (*third)(cells&) = [](cells& c) {
      c.r[0] = c.x.load(acquire);
      read_payload_if(c, c.r[0] != 0);
    }) {
  return {.name = name,
          .threads = {first, second, third},
          .allowed = allowed,
          .fails = *allowed == '\0' ? "data race" : ""};
}
void one_to_two(cells& c) {
  int e = 1;
  c.x.compare_exchange_strong(e, 2, relaxed, relaxed);
}
void adds_two(cells& c) {
  c.x.fetch_add(2, relaxed);
}

}  // namespace

std::vector<program> causality_programs() {
  const std::string no_chain = all_but("01", 3, "110");
  const std::string any = all_but("01", 3, "");
  return {
      message_passing<relaxed, relaxed>("MP relaxed", "00 01 10 11"),
      message_passing<release, relaxed>("MP release, relaxed", "00 01 10 11"),
      message_passing<relaxed, acquire>("MP relaxed, acquire", "00 01 10 11"),
      message_passing<release, acquire>("MP release, acquire", "00 01 11"),
      message_passing<seq_cst, seq_cst>("MP seq_cst", "00 01 11"),
      message_passing<seq_cst, relaxed>("MP seq_cst, relaxed", "00 01 10 11"),
      plain_message("MP plain, release and acquire", write_then<release>, read_after<acquire>, handed_over),
      plain_message("MP plain, no release", write_then<relaxed>, read_after<acquire>, raced),
      plain_message("MP plain, no acquire", write_then<release>, read_after<relaxed>, raced),
      plain_message("MP plain, both fences", write_fence_then<release>, read_after_fence<acquire>, handed_over),
      plain_message("MP plain, acq_rel fences", write_fence_then<acq_rel>, read_after_fence<acq_rel>, handed_over),
      plain_message("MP plain, seq_cst fences", write_fence_then<seq_cst>, read_after_fence<seq_cst>, handed_over),
      plain_message("MP plain, release fence and acquire", write_fence_then<release>, read_after<acquire>, handed_over),
      plain_message("MP plain, release and acquire fence", write_then<release>, read_after_fence<acquire>, handed_over),
      plain_message("MP plain, acquire fence on the wrong side", write_fence_then<acquire>, read_after<acquire>, raced),
      plain_message("MP plain, release fence on the wrong side", write_then<release>, read_after_fence<release>, raced),
      plain_message(
          "MP plain, release fence too late",
          [](cells& c) {
            c.d.set(1);
            c.x.store(1, relaxed);
            fence(release);
          },
          read_after<acquire>, raced),
      plain_message(
          "MP plain, written after the release fence",
          [](cells& c) {
            fence(release);
            c.d.set(1);
            c.x.store(1, relaxed);
          },
          read_after<acquire>, raced),
      plain_message(
          "MP plain, acquire fence too early", write_then<release>,
          [](cells& c) {
            fence(acquire);
            read_after<relaxed>(c);
          },
          raced),
      plain_message(
          "MP plain, release fence before an RMW",
          [](cells& c) {
            c.d.set(1);
            fence(release);
            c.x.fetch_add(1, relaxed);
          },
          read_after<acquire>, handed_over),
      plain_message(
          "MP plain, one release fence for two stores",
          [](cells& c) {
            c.d.set(1);
            fence(release);
            c.y.store(1, relaxed);
            c.x.store(1, relaxed);
          },
          read_after<acquire>, handed_over),
      plain_message(
          "MP plain, read by an acquiring RMW", write_then<release>,
          [](cells& c) {
            c.r[0] = c.x.fetch_add(2, acquire);
            read_payload_if(c, c.r[0] == 1);
          },
          handed_over),
      load_buffering<relaxed, relaxed>("LB relaxed (11 is not modelled)"),
      load_buffering<release, acquire>("LB release, acquire"),
      s_shape<relaxed, relaxed>("S relaxed", "01 02 11 12"),
      s_shape<release, acquire>("S release, acquire", "01 02 11"),
      s_shape<release, relaxed>("S release, relaxed", "01 02 11 12"),
      write_to_read<relaxed, relaxed, relaxed>("WRC relaxed", any),
      write_to_read<release, release, acquire>("WRC release, acquire", no_chain),
      write_to_read<relaxed, release, acquire>("WRC first store relaxed", no_chain),
      write_to_read<release, release, relaxed>("WRC loads relaxed", any),
      passed_on<acquire>("WRC plain", "07 11"),
      passed_on<relaxed>("WRC plain, the middle one does not acquire", raced),
      isa2<relaxed, relaxed>("ISA2 relaxed", any),
      isa2<release, acquire>("ISA2 release, acquire", no_chain),
      isa2<seq_cst, seq_cst>("ISA2 seq_cst", no_chain),
      release_sequence("release sequence through an RMW", one_to_two, "07 11 21"),
      release_sequence("release sequence through an RMW, read relaxed with an acquire fence", one_to_two, "07 11 21",
                       write_then<release>,
                       [](cells& c) {
                         c.r[0] = c.x.load(relaxed);
                         fence(acquire);
                         read_payload_if(c, c.r[0] != 0);
                       }),
      release_sequence("release sequence behind a release fence", one_to_two, "07 11 21", write_fence_then<release>),
      release_sequence(
          "release sequence broken by another thread's store",
          [](cells& c) {
            if (c.x.load(relaxed) == 1) c.x.store(2, relaxed);
          },
          raced),
      release_sequence(
          "release sequence ended by its own thread's store, as of C++20", [](cells&) {}, raced,
          [](cells& c) {
            c.d.set(1);
            c.x.store(1, release);
            c.x.store(2, relaxed);
          }),
      release_sequence(
          "release sequence through its own thread's RMW", [](cells&) {}, "07 11 31",
          [](cells& c) {
            c.d.set(1);
            c.x.store(1, release);
            c.x.fetch_add(2, relaxed);
          }),
      release_sequence(
          "release sequence needs an RMW that happens",
          [](cells& c) {
            int e = 4;
            if (!c.x.compare_exchange_strong(e, 2, relaxed, relaxed) && e == 1) c.x.store(2, relaxed);
          },
          raced),
      {.name = "release sequence through two threads' RMWs",
       .threads = {[](cells& c) {
                     c.d.set(1);
                     c.x.fetch_add(1, release);
                   },
                   adds_two, adds_two,
                   [](cells& c) {
                     c.r[0] = c.x.load(acquire);
                     read_payload_if(c, c.r[0] % 2 == 1);
                   }},
       .allowed = "07 27 47 11 31 51"},
      {.name = "happens-before and moments",
       .threads = {[](cells& c) {
                     static moment stored;
                     stored = now();
                     c.block = &stored;
                     c.x.store(1, release);
                   },
                   [](cells& c) {
                     c.r[0] = c.x.load(acquire);
                     if (c.r[0] == 1) c.r[1] = happened_before_now(*static_cast<const moment*>(c.block)) ? 1 : 0;
                   },
                   [](cells& c) {
                     c.r[2] = c.x.load(relaxed);
                     if (c.r[2] == 1) c.r[3] = happened_before_now(*static_cast<const moment*>(c.block)) ? 1 : 0;
                   }},
       .allowed = "0707 0710 1107 1110"},
  };
}

}  // namespace holdfast_model
