// SPDX-License-Identifier: MIT
#include "holdfast/ipc/shared_segment.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <barrier>
#include <cstddef>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/policy/breaker_table.hpp"
#include "holdfast/policy/compact_breaker.hpp"
#include "holdfast/policy/rate_limiter.hpp"
#include "holdfast/policy/rate_table.hpp"
#include "holdfast/policy/retry_budget.hpp"
#include "holdfast/policy/retry_throttle.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr time_point start{1000s};
constexpr rate_limiter_options rate{.permits = 10, .per = 1s, .burst = 4};
constexpr retry_budget_options budget{.ratio_permille = 0, .min_per_second = 0, .burst = 3};
constexpr compact_breaker_options breaker{.rules = {.consecutive_failures = 2, .probes = 1, .open_base = 1s}};
constexpr breaker_table_options breakers{.breaker = breaker};

using common =
    shared_segment<rate_limiter, retry_budget, compact_breaker_options, compact_breaker, shared_breaker_table<8>>;
using two = shared_segment<rate_limiter, retry_budget>;

// A name that no other test run has, gone at the end.
struct name_of_own {
  name_of_own() : text("/holdfast_unit_" + std::to_string(::getpid()) + "_" + std::to_string(++made)) { remove(); }
  name_of_own(const name_of_own&) = delete;
  name_of_own& operator=(const name_of_own&) = delete;
  ~name_of_own() { remove(); }
  void remove() const { ::shm_unlink(text.c_str()); }
  operator std::string_view() const { return text; }  // NOLINT(google-explicit-constructor)
  const std::string text;
  static inline int made = 0;
};

// The file behind a name, for writing what nobody should.
struct raw {
  explicit raw(const name_of_own& name, int flags = 0) : fd(::shm_open(name.text.c_str(), O_RDWR | flags, 0600)) {
    REQUIRE(fd >= 0);
  }
  raw(const raw&) = delete;
  raw& operator=(const raw&) = delete;
  ~raw() { ::close(fd); }
  template <class T>
  void write(std::size_t at, const T& value) const {
    REQUIRE(::pwrite(fd, &value, sizeof value, static_cast<off_t>(at)) == sizeof value);
  }
  void resize(std::size_t bytes) const { REQUIRE(::ftruncate(fd, static_cast<off_t>(bytes)) == 0); }
  [[nodiscard]] std::size_t size() const {
    struct stat s {};
    REQUIRE(::fstat(fd, &s) == 0);
    return static_cast<std::size_t>(s.st_size);
  }
  int fd;
};

auto made(const name_of_own& name) {
  auto got = common::create(name, {}, rate, budget, breaker, from_nothing{}, breakers);
  REQUIRE(got.ok());
  return std::move(got).value();
}

struct told {
  segment_text text{};
  shared_segment_options options{.patience = 0s, .why = &text};
};

bool says(const told& t, std::string_view what) {
  INFO(t.text.view());
  return t.text.view().find(what) != std::string_view::npos;
}

}  // namespace

TEST_CASE("what one mapping does to the objects, another one at another address sees", "[shared_segment]") {
  const name_of_own name;
  auto first = made(name);
  auto opened = common::open(name);
  REQUIRE(opened.ok());
  auto& second = *opened;
  CHECK(first.made());
  CHECK_FALSE(second.made());
  REQUIRE(&first.get<rate_limiter>() != &second.get<rate_limiter>());

  SECTION("a rate limiter grants its burst once") {
    int granted = 0;
    for (int i = 0; i < 8; ++i) granted += (i % 2 == 0 ? first : second).get<rate_limiter>().try_take(start) ? 1 : 0;
    CHECK(granted == 4);
    auto a = first.get<rate_limiter>().admit(start + 100ms);
    CHECK(a);
    CHECK_FALSE(second.get<rate_limiter>().try_take(start + 100ms));
    a = {};  // given back through its own mapping
    CHECK(second.get<rate_limiter>().try_take(start + 100ms));
  }
  SECTION("a retry budget is spent by both") {
    CHECK(first.get<1>().try_take(start));
    CHECK(second.get<1>().try_take(start, 2));
    CHECK_FALSE(first.get<1>().try_take(start));
    CHECK(second.get<1>().denied() == 1);
    CHECK(second.get<1>().options().burst == 3);
  }
  SECTION("a breaker opens for both, by the rules that lie beside it") {
    const compact_breaker_rules rules_of_first(first.get<compact_breaker_options>());
    const compact_breaker_rules rules_of_second(second.get<compact_breaker_options>());
    auto a = first.get<compact_breaker>().admit(rules_of_first, start);
    auto b = second.get<compact_breaker>().admit(rules_of_second, start);
    first.get<compact_breaker>().report(std::move(a.ticket), verdict::transient, start);
    CHECK(second.get<compact_breaker>().report(std::move(b.ticket), verdict::transient, start).transition);
    CHECK(first.get<compact_breaker>().admit(rules_of_first, start).refusal.code == errc::breaker_open);
  }
  SECTION("a table has one breaker a key: the secret was drawn once") {
    breaker_table of_first(first.get<shared_breaker_table<8>>());
    breaker_table of_second(second.get<shared_breaker_table<8>>());
    CHECK(of_first.key("db-1") == of_second.key("db-1"));
    CHECK_FALSE(of_first.key("db-1") == breaker_key{siphash13({}, "db-1")});
    for (breaker_table* t : {&of_first, &of_second}) {
      auto a = t->admit("db-1", start);
      t->report(std::move(a.ticket), verdict::transient, start);
    }
    CHECK(of_first.admit("db-1", start).refusal.code == errc::breaker_open);
    CHECK(of_second.totals().entries == 1);
  }
}

TEST_CASE("objects begin as they are made, each on a line of its own behind the header", "[shared_segment]") {
  const name_of_own name;
  const auto got = made(name);
  const auto at = [&](const auto& object) {
    return reinterpret_cast<const std::byte*>(&object) - reinterpret_cast<const std::byte*>(&got.get<0>());
  };
  CHECK(reinterpret_cast<std::uintptr_t>(&got.get<0>()) % cache_line_size == 0);
  CHECK(at(got.get<1>()) == 64);
  CHECK(at(got.get<2>()) == 128);
  CHECK(at(got.get<3>()) % 64 == 0);
  CHECK(at(got.get<3>()) >= static_cast<std::ptrdiff_t>(128 + sizeof(compact_breaker_options)));
  CHECK(got.get<rate_limiter>().snapshot(start).available == 4);
  CHECK(got.get<retry_budget>().balance_milli(start) == 3000);
  CHECK(got.get<compact_breaker>().state() == breaker_state::closed);
  const raw file(name);
  CHECK(file.size() == common::bytes);
}

TEST_CASE("S4: what exists is not created again, and is left as it is", "[shared_segment]") {
  const name_of_own name;
  auto first = two::create(name, {}, rate, budget);
  REQUIRE(first.ok());
  CHECK(first->get<0>().try_take(start, 3));
  told t;
  const auto again = two::create(name, t.options, rate, budget);
  REQUIRE_FALSE(again.ok());
  CHECK(again.error().code == errc::segment_exists);
  const auto found = two::open_or_create(name, t.options, rate, budget);
  REQUIRE(found.ok());
  CHECK_FALSE(found->made());
  CHECK(found->get<0>().snapshot(start).available == 1);
}

TEST_CASE("open_or_create makes what is not there, and open says so", "[shared_segment]") {
  const name_of_own name;
  told t;
  const auto none = two::open(name, t.options);
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().code == std::errc::no_such_file_or_directory);
  CHECK(says(t, "shm_open: "));
  const auto got = two::open_or_create(name, t.options, rate, budget);
  REQUIRE(got.ok());
  CHECK(got->made());
  CHECK(two::open(name, t.options).ok());
}

TEST_CASE("a name that was unlinked is free again, and who has the old segment keeps it", "[shared_segment]") {
  const name_of_own name;
  auto old = two::create(name, {}, rate, budget);
  REQUIRE(old.ok());
  CHECK(old->get<0>().try_take(start, 4));
  CHECK(two::unlink(name).ok());
  told t;
  CHECK(two::unlink(name, &t.text).error().code == std::errc::no_such_file_or_directory);
  CHECK(says(t, "shm_unlink: "));
  const auto anew = two::create(name, t.options, rate, budget);
  REQUIRE(anew.ok());
  CHECK(anew->get<0>().snapshot(start).available == 4);
  CHECK(old->get<0>().snapshot(start).available == 0);
}

TEST_CASE("the mode is what was asked for, whatever the umask", "[shared_segment]") {
  const name_of_own name;
  const mode_t before = ::umask(077);
  const auto got = two::create(name, {.mode = 0660}, rate, budget);
  ::umask(before);
  REQUIRE(got.ok());
  struct stat s {};
  REQUIRE(::fstat(raw(name).fd, &s) == 0);
  CHECK((s.st_mode & 0777U) == 0660U);
}

TEST_CASE("the mode is what was asked for, whatever one who died had asked for", "[shared_segment]") {
  const name_of_own name;
  const std::size_t left = GENERATE(std::size_t{0}, std::size_t{8}, two::bytes);
  {
    const raw file(name, O_CREAT);
    REQUIRE(::fchmod(file.fd, 0666) == 0);
    if (left != 0) {
      file.resize(left);
      file.write(0, std::uint64_t{shared_segment_header::making});
    }
  }
  REQUIRE(two::open_or_create(name, {.mode = 0600}, rate, budget).ok());
  struct stat s {};
  REQUIRE(::fstat(raw(name).fd, &s) == 0);
  CHECK((s.st_mode & 0777U) == 0600U);
}

TEST_CASE("what belongs to another user, or may not be opened, is refused unless it is asked for", "[shared_segment]") {
  const name_of_own name;
  REQUIRE(two::create(name, {}, rate, budget).ok());
  const raw file(name);
  told t;
  if (::geteuid() == 0) {
    REQUIRE(::fchown(file.fd, 65'534, 65'534) == 0);
    CHECK(two::open(name, t.options).error().code == errc::segment_owner);
    CHECK(says(t, "belongs to user 65534; here: 0"));
    CHECK(two::open_or_create(name, t.options, rate, budget).error().code == errc::segment_owner);
    CHECK(two::attach(file.fd, t.options).error().code == errc::segment_owner);
    t.options.any_owner = true;
    CHECK(two::open(name, t.options).ok());
  } else {
    REQUIRE(::fchmod(file.fd, 0) == 0);
    CHECK(two::open(name, t.options).error().code == std::errc::permission_denied);
    CHECK(says(t, "shm_open: "));
  }
}

TEST_CASE("a name that is none is refused before the system is asked", "[shared_segment]") {
  told t;
  for (const std::string& bad : {std::string(), std::string("/"), std::string("/a/b"), std::string("a/"),
                                 std::string("."), std::string("/.."), std::string(255, 'n'), std::string("a\0b", 3)}) {
    CAPTURE(bad);
    CHECK(two::open(bad, t.options).error().code == errc::segment_name);
    CHECK(two::create(bad, t.options, rate, budget).error().code == errc::segment_name);
    CHECK(two::unlink(bad).error().code == errc::segment_name);
  }
  CHECK(two::open(std::string(254, 'n'), t.options).error().code != errc::segment_name);
}

TEST_CASE("options are refused by name", "[shared_segment]") {
  CHECK(validate(shared_segment_options{.mode = 01777}).field == "mode");
  CHECK(validate(shared_segment_options{.mode = 0}).field == "mode");
  // Its maker would be the only one who has it, and could not open it a second time.
  for (const std::uint32_t mode : {0400U, 0200U, 0477U, 0066U}) {
    CHECK(validate(shared_segment_options{.mode = mode}).field == "mode");
    CHECK(validate(shared_segment_options{.mode = mode}).limit == 0600);
  }
  CHECK_FALSE(validate(shared_segment_options{.mode = 0666}));
  CHECK(validate(shared_segment_options{.patience = -1ns}).field == "patience");
  CHECK(validate(shared_segment_options{.patience = 2h}).field == "patience");
}

namespace {

// As rate_limiter, but for what a test changes.
template <std::size_t Bytes, std::uint32_t Version>
struct alignas(64) other_limiter {
  static constexpr shared_layout shared{"rate_limiter", Version};
  explicit other_limiter(const rate_limiter_options&) noexcept {}
  std::array<std::byte, Bytes> bytes{};
};

}  // namespace

TEST_CASE("S2: objects that two programs do not agree about are named, with what is there and what is here",
          "[shared_segment]") {
  const name_of_own name;
  REQUIRE(two::create(name, {}, rate, budget).ok());
  told t;
  const auto refused = [&](auto segment) {
    const auto got = decltype(segment)::type::open(name, t.options);
    return !got.ok() && got.error().code == errc::segment_layout;
  };
  CHECK(refused(std::type_identity<shared_segment<retry_budget, rate_limiter>>{}));  // another order
  CHECK(says(t, "object 0 is rate_limiter version 1, 64 bytes aligned to 64, at 192; here: retry_budget version 1"));
  CHECK(refused(std::type_identity<shared_segment<rate_limiter>>{}));
  CHECK(says(t,
             "object 0 is rate_limiter version 1, 64 bytes aligned to 64, at 192; here: rate_limiter version 1, "
             "64 bytes aligned to 64, at 128"));
  CHECK(refused(std::type_identity<shared_segment<rate_limiter, retry_budget, compact_breaker>>{}));
  CHECK(refused(std::type_identity<shared_segment<other_limiter<64, 2>, retry_budget>>{}));
  CHECK(says(t, "object 0 is rate_limiter version 1, 64 bytes aligned to 64, at 192; here: rate_limiter version 2"));
  CHECK(refused(std::type_identity<shared_segment<other_limiter<128, 1>, retry_budget>>{}));
  CHECK(says(t, "here: rate_limiter version 1, 128 bytes"));
  CHECK(refused(std::type_identity<shared_segment<rate_limiter, compact_breaker>>{}));
  CHECK(says(t, "object 1 is retry_budget version 1, 64 bytes aligned to 64, at 256; here: compact_breaker"));
  // And the same in other words is the same.
  CHECK(shared_segment<other_limiter<64, 1>, retry_budget>::open(name, t.options).ok());
}

TEST_CASE("S2: another format, machine, length or content than a segment's is told apart", "[shared_segment]") {
  const name_of_own name;
  REQUIRE(two::create(name, {}, rate, budget).ok());
  const raw file(name);
  told t;
  const auto answer = [&] {
    t.text = {};
    const auto got = two::open(name, t.options);
    return got.ok() ? errc{} : static_cast<errc>(got.error().code.value());
  };
  shared_segment_header good{};
  REQUIRE(::pread(file.fd, &good, sizeof good, 0) == sizeof good);
  const auto with = [&](auto change) {
    shared_segment_header h = good;
    change(h);
    file.write(0, h);
    const errc got = answer();
    file.write(0, good);
    return got;
  };
  using head = shared_segment_header;
  CHECK(with([](head& h) { h.version = 2; }) == errc::segment_version);
  CHECK(says(t, "format version 2; here: 1"));
  CHECK(with([](head& h) { h.state = __builtin_bswap64(h.state); }) == errc::segment_machine);
  CHECK(says(t, "the other byte order"));
  CHECK(with([](head& h) { h.line_bytes = 128; }) == errc::segment_machine);
  CHECK(says(t, "lines of 128 bytes and pointers of 8; here: 64 and 8"));
  CHECK(with([](head& h) { h.pointer_bytes = 4; }) == errc::segment_machine);
  CHECK(with([](head& h) { h.byte_order = 0x04030201; }) == errc::segment_machine);
  CHECK(with([](head& h) { h.state = 0; }) == errc::segment_foreign);
  CHECK(with([](head& h) { h.state = 0x1234; }) == errc::segment_foreign);
  CHECK(says(t, "no segment of ours"));
  CHECK(with([](head& h) { ++h.layout; }) == errc::segment_layout);
  CHECK(says(t, "layout 0x"));
  CHECK(with([](head& h) { h.objects = 3; }) == errc::segment_layout);
  CHECK(says(t, "3 objects; here: 2"));
  CHECK(with([](head& h) { h.objects = 0xFFFFFFFF; }) == errc::segment_layout);
  CHECK(with([](head& h) { h.header_bytes = 64; }) == errc::segment_size);
  CHECK(says(t, "a header of 64 bytes; here: 192"));
  CHECK(with([](head& h) { h.bytes += 64; }) == errc::segment_size);
  CHECK(says(t, "320 bytes, its header says 384; here: 320"));
  CHECK(answer() == errc{});

  // Names of other programs do not come into a log as they are.
  file.write(64, std::array<char, 8>{'\n', '\033', '[', '2', 'J', 'x', '\0', '\0'});
  CHECK(answer() == errc::segment_layout);
  CHECK(says(t, "object 0 is ??[2Jx"));
}

TEST_CASE("S2: a segment that was cut short or grew is told by its size", "[shared_segment]") {
  const name_of_own name;
  REQUIRE(two::create(name, {}, rate, budget).ok());
  const raw file(name);
  told t;
  for (const std::size_t bytes : {two::bytes + 1, two::bytes - 1, std::size_t{192}, std::size_t{100}, std::size_t{64},
                                  std::size_t{63}, std::size_t{9}, std::size_t{8}}) {
    CAPTURE(bytes);
    file.resize(bytes);
    const auto got = two::open(name, t.options);
    REQUIRE_FALSE(got.ok());
    // The entries that were cut off are not what is expected; who asks for the size first knows more.
    CHECK((got.error().code == errc::segment_size || got.error().code == errc::segment_layout));
  }
  file.resize(5);
  CHECK(two::open(name, t.options).error().code == errc::segment_size);
  CHECK(says(t, "5 bytes, less than the header of a segment"));
  CHECK(two::open_or_create(name, t.options, rate, budget).error().code == errc::segment_size);
}

TEST_CASE("an object whose bytes cannot be its own is refused when it is opened", "[shared_segment]") {
  const name_of_own name;
  const auto first = made(name);
  const raw file(name);
  told t;
  const auto offset = [&](const auto& object) {
    const auto from_first =
        reinterpret_cast<const std::byte*>(&object) - reinterpret_cast<const std::byte*>(&first.get<0>());
    return static_cast<std::size_t>(from_first) + 64 + 5 * 64;
  };
  const auto spoiled = [&](std::size_t at, std::uint64_t value) {
    std::uint64_t before = 0;
    REQUIRE(::pread(file.fd, &before, sizeof before, static_cast<off_t>(at)) == sizeof before);
    file.write(at, value);
    const auto got = common::open(name, t.options);
    file.write(at, before);
    REQUIRE(common::open(name, t.options).ok());
    return !got.ok() && got.error().code == errc::segment_corrupt;
  };
  CHECK(spoiled(offset(first.get<rate_limiter>()) + 8, 0));  // a rate of no time, by which somebody would divide
  CHECK(says(t, "rate_limiter at 384 is not sound"));
  CHECK(spoiled(offset(first.get<rate_limiter>()), std::uint64_t{1} << 62U));
  CHECK(spoiled(offset(first.get<retry_budget>()), 0xFFFFFFFFFFFFFFFF));  // its options
  CHECK(spoiled(offset(first.get<compact_breaker>()), 0xFFFFFFFFFFFFFFFF));
  CHECK(says(t, "compact_breaker at"));
  CHECK(spoiled(offset(first.get<compact_breaker_options>()), 0xFFFFFFFFFFFFFFFF));
  CHECK(spoiled(offset(first.get<shared_breaker_table<8>>()), 0xFFFFFFFFFFFFFFFF));
}

TEST_CASE("S3: what one who died left unfinished is made anew by who may make it, and told to who may not",
          "[shared_segment]") {
  const name_of_own name;
  told t;
  const raw file(name, O_CREAT);
  const std::uint64_t making = shared_segment_header::making;
  const std::size_t left = GENERATE(std::size_t{0}, std::size_t{8}, std::size_t{100}, two::bytes, 3 * two::bytes);
  if (left != 0) {
    file.resize(left);
    file.write(0, making);
    for (std::size_t at = 8; at + 8 <= left; at += 8) file.write(at, std::uint64_t{0xABABABABABABABAB});
  }
  CHECK(two::open(name, t.options).error().code == errc::segment_unfinished);
  CHECK(says(t, "died"));
  const bool exclusively = GENERATE(true, false);
  auto got =
      exclusively ? two::create(name, t.options, rate, budget) : two::open_or_create(name, t.options, rate, budget);
  REQUIRE(got.ok());
  CHECK(got->made());
  CHECK(got->get<0>().try_take(start, 4));
  CHECK_FALSE(got->get<0>().try_take(start));
  CHECK(two::open(name, t.options).ok());
  CHECK(file.size() == two::bytes);
}

TEST_CASE("S3: who is at it is waited for as long as patience lasts", "[shared_segment]") {
  const name_of_own name;
  const raw file(name, O_CREAT);
  REQUIRE(::flock(file.fd, LOCK_EX | LOCK_NB) == 0);  // as one who makes it has it
  told t;
  t.options.patience = 20ms;
  const time_point before = steady_clock::now();
  const auto opened = two::open(name, t.options);
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().code == errc::segment_busy);
  CHECK(opened.error().kind == verdict::transient);
  const auto created = two::create(name, t.options, rate, budget);
  REQUIRE_FALSE(created.ok());
  CHECK(created.error().code == errc::segment_busy);
  CHECK(steady_clock::now() - before >= 40ms);
  REQUIRE(::flock(file.fd, LOCK_UN) == 0);
  CHECK(two::create(name, t.options, rate, budget).ok());
}

TEST_CASE("S4: one of those who create it at the same time makes it, and nobody is told that somebody died",
          "[shared_segment]") {
  constexpr int rounds = 1'500;
  struct counts {
    int made = 0;
    int had = 0;
    int busy = 0;
    int other = 0;
  };
  std::array<counts, 3> seen{};
  const name_of_own name;
  const auto remove = [&name]() noexcept { name.remove(); };
  std::barrier begins(static_cast<std::ptrdiff_t>(seen.size()), remove);
  const auto creates = [&](counts& mine) {
    for (int i = 0; i < rounds; ++i) {
      begins.arrive_and_wait();
      const auto got = two::open_or_create(name, {.patience = 0ns}, rate, budget);
      if (got.ok()) {
        mine.made += got->made() ? 1 : 0;
        ++mine.had;
      } else {
        ++(got.error().code == errc::segment_busy ? mine.busy : mine.other);
      }
    }
  };
  std::thread second(creates, std::ref(seen[1]));
  std::thread third(creates, std::ref(seen[2]));
  creates(seen[0]);
  second.join();
  third.join();
  counts all;
  for (const counts& one : seen) {
    all.made += one.made;
    all.had += one.had;
    all.busy += one.busy;
    all.other += one.other;
  }
  CHECK(all.made == rounds);
  CHECK(all.had + all.busy == 3 * rounds);
  CHECK(all.other == 0);
}

TEST_CASE("S5: whatever the bytes, they are judged without reading beyond them", "[shared_segment]") {
  std::vector<std::byte> bytes(two::bytes, std::byte{0});
  segment_text why;
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    const auto got = judge_segment(std::span(bytes).first(size), size, two::plan(), &why);
    REQUIRE_FALSE(got.ok());
    REQUIRE(got.error().code == (size < sizeof(shared_segment_header) ? errc::segment_size : errc::segment_foreign));
  }
}

TEST_CASE("memory without a name is attached by its descriptor", "[shared_segment]") {
  const name_of_own name;
  auto first = two::create(name, {}, rate, budget);
  REQUIRE(first.ok());
  CHECK(first->get<1>().try_take(start, 3));
  const raw file(name);
  name.remove();
  auto second = two::attach(file.fd);
  REQUIRE(second.ok());
  CHECK_FALSE(second->get<1>().try_take(start));
  told t;
  CHECK(two::attach(-1, t.options).error().code == std::errc::bad_file_descriptor);
  int both[2];
  REQUIRE(::pipe(both) == 0);
  CHECK(two::attach(both[0], t.options).error().code == errc::segment_foreign);
  ::close(both[0]);
  ::close(both[1]);
}

TEST_CASE("a segment that moves keeps its mapping, and lets go of it once", "[shared_segment]") {
  const name_of_own name;
  std::optional<two> first(std::move(two::create(name, {}, rate, budget)).value());
  rate_limiter* const at = &first->get<0>();
  two second = std::move(*first);
  first.reset();
  CHECK(&second.get<0>() == at);
  CHECK(second.get<0>().try_take(start));
  second = std::move(two::open(name)).value();
  CHECK(second.get<0>().snapshot(start).available == 3);
}

TEST_CASE("a layout's number says all that it is made of", "[shared_segment]") {
  static_assert(two::layout == shared_segment<other_limiter<64, 1>, retry_budget>::layout);
  static_assert(two::layout != shared_segment<other_limiter<64, 2>, retry_budget>::layout);
  static_assert(two::layout != shared_segment<other_limiter<128, 1>, retry_budget>::layout);
  static_assert(two::layout != shared_segment<retry_budget, rate_limiter>::layout);
  static_assert(two::layout != shared_segment<rate_limiter>::layout);
  struct pointer_kept {
    std::unique_ptr<int> p;
  };
  struct nameless {
    int n;
  };
  static_assert(!shareable<pointer_kept> && !shareable<nameless> && !shareable<breaker_table>);
  static_assert(shareable<rate_limiter> && shareable<retry_budget> && shareable<compact_breaker> &&
                shareable<compact_breaker_options> && shareable<shared_rate_table<100>> && shareable<retry_throttle> &&
                shareable<shared_breaker_table<100>>);
  // Of an older program this number is the same as of this one.
  const std::array<shared_object, 1> one{shared_object{"a", 1, 64, 64, 128}};
  CHECK(layout_hash(one) == layout_hash(std::array<shared_object, 1>{shared_object{"a", 1, 64, 64, 128}}));
  CHECK(layout_hash(one) != layout_hash(std::array<shared_object, 1>{shared_object{"a", 1, 32, 64, 128}}));
  CHECK(layout_hash(one) != layout_hash(std::array<shared_object, 1>{shared_object{"a", 1, 64, 64, 192}}));
}
