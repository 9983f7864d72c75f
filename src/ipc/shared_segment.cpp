// SPDX-License-Identifier: MIT
#include "holdfast/ipc/shared_segment.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <optional>
#include <string>
#include <system_error>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/error_domain.hpp"

namespace holdfast {
namespace {

using header = shared_segment_header;
using entry = shared_segment_entry;

constexpr std::uint64_t most_head = segment_plan::header_bytes(segment_plan::most_objects);

// ---- words

class words {
 public:
  words& operator<<(std::string_view text) noexcept {
    const std::size_t n = std::min(text.size(), bytes_.size() - length_);
    std::copy_n(text.data(), n, bytes_.data() + length_);
    length_ += n;
    return *this;
  }
  words& operator<<(std::uint64_t number) noexcept { return put(number, 10); }
  words& hex(std::uint64_t number) noexcept {
    *this << "0x";
    return put(number, 16);
  }
  [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data(), length_}; }

 private:
  words& put(std::uint64_t number, int base) noexcept {
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, base);
    return *this << std::string_view(digits.data(), static_cast<std::size_t>(end.ptr - digits.data()));
  }
  std::array<char, 256> bytes_{};
  std::size_t length_ = 0;
};

error told(errc code, segment_text* why, const words& text) noexcept {
  if (why != nullptr) why->assign(text.view());
  return code;
}
error told(errc code, segment_text* why) noexcept {
  if (why != nullptr) why->assign(message_of(code));
  return code;
}
error system_error(int number, std::string_view what, segment_text* why) noexcept {
  const std::error_code code(number, std::system_category());
  if (why != nullptr) why->assign((words() << what << ": " << code.message()).view());
  return {code, verdict_of(code)};
}

// ---- what a header says

std::string_view name_in(const entry& e) noexcept {
  return {e.name.data(), static_cast<std::size_t>(std::find(e.name.begin(), e.name.end(), '\0') - e.name.begin())};
}
entry entry_of(const shared_object& o) noexcept {
  entry e{};
  std::copy_n(o.name.data(), std::min(o.name.size(), e.name.size() - 1), e.name.data());
  e.version = o.version;
  e.alignment = o.alignment;
  e.bytes = o.bytes;
  e.offset = o.offset;
  return e;
}
words& operator<<(words& to, const entry& e) noexcept {
  // Somebody may have written anything there, and this goes into logs.
  for (const char c : name_in(e)) to << (c >= ' ' && c <= '~' ? std::string_view(&c, 1) : "?");
  return to << " version " << e.version << ", " << e.bytes << " bytes aligned to " << e.alignment << ", at "
            << e.offset;
}

// The first object that differs. `head` holds what there is of the entries.
words difference(std::span<const std::byte> head, const header& h, const segment_plan& plan) noexcept {
  words text;
  const std::size_t there = std::min<std::uint64_t>(h.objects, (head.size() - sizeof h) / sizeof(entry));
  const std::size_t both = std::min(there, plan.objects.size());
  for (std::size_t i = 0; i < both; ++i) {
    entry theirs{};
    std::memcpy(&theirs, head.data() + sizeof h + i * sizeof theirs, sizeof theirs);
    const entry ours = entry_of(plan.objects[i]);
    if (std::memcmp(&theirs, &ours, sizeof ours) == 0) continue;
    return text << "object " << i << " is " << theirs << "; here: " << ours, text;
  }
  if (h.objects != plan.objects.size()) return text << h.objects << " objects; here: " << plan.objects.size(), text;
  return text << "layout ", text.hex(h.layout) << "; here: ", text.hex(plan.layout), text;
}

}  // namespace

outcome<> judge_segment(std::span<const std::byte> head, std::uint64_t bytes, const segment_plan& plan,
                        segment_text* why) noexcept {
  header h{};
  if (head.size() < sizeof h || bytes < sizeof h)
    return told(errc::segment_size, why, words() << bytes << " bytes, less than the header of a segment");
  std::memcpy(&h, head.data(), sizeof h);
  if (h.state == __builtin_bswap64(header::ready) || h.state == __builtin_bswap64(header::making))
    return told(errc::segment_machine, why, words() << "made on a machine of the other byte order");
  if (h.state == header::making) return told(errc::segment_unfinished, why);
  if (h.state != header::ready) return told(errc::segment_foreign, why);
  if (h.version != header::version_value)
    return told(errc::segment_version, why,
                words() << "format version " << h.version << "; here: " << header::version_value);
  if (h.byte_order != header::byte_order_value || h.line_bytes != cache_line_size || h.pointer_bytes != sizeof(void*))
    return told(errc::segment_machine, why,
                words() << "lines of " << h.line_bytes << " bytes and pointers of " << h.pointer_bytes
                        << "; here: " << cache_line_size << " and " << sizeof(void*));
  if (h.layout != plan.layout || h.objects != plan.objects.size())
    return told(errc::segment_layout, why, difference(head, h, plan));
  if (h.bytes != plan.bytes || h.bytes != bytes)
    return told(errc::segment_size, why,
                words() << bytes << " bytes, its header says " << h.bytes << "; here: " << plan.bytes);
  // The hash says that they are the same; words that were spoiled are found all the same.
  const std::uint64_t whole = segment_plan::header_bytes(plan.objects.size());
  if (h.header_bytes != whole || head.size() < whole)
    return told(errc::segment_size, why, words() << "a header of " << h.header_bytes << " bytes; here: " << whole);
  for (std::size_t i = 0; i < plan.objects.size(); ++i) {
    const entry ours = entry_of(plan.objects[i]);
    if (std::memcmp(head.data() + sizeof h + i * sizeof ours, &ours, sizeof ours) != 0)
      return told(errc::segment_layout, why, difference(head, h, plan));
  }
  return {};
}

// ---- the file

namespace {

class descriptor {
 public:
  explicit descriptor(int fd) noexcept : fd_(fd) {}
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);  // and its lock, if it has one
  }
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

// "/name", in place.
class path {
 public:
  explicit path(std::string_view name) noexcept {
    if (name.starts_with('/')) name.remove_prefix(1);
    good_ = !name.empty() && name.size() < bytes_.size() - 1 && name.find('/') == name.npos &&
            name.find('\0') == name.npos && name != "." && name != "..";
    if (good_) std::copy_n(name.data(), name.size(), bytes_.data() + 1);
    bytes_[0] = '/';
  }
  [[nodiscard]] bool good() const noexcept { return good_; }
  [[nodiscard]] const char* get() const noexcept { return bytes_.data(); }

 private:
  std::array<char, 256> bytes_{};
  bool good_ = false;
};

// Again after a signal.
template <class Call>
auto uninterrupted(Call call) noexcept {
  auto got = call();
  for (int i = 0; i < 1000 && got == -1 && errno == EINTR; ++i) got = call();
  return got;
}

// Whatever there is of the first bytes.
std::span<const std::byte> read_head(int fd, std::array<std::byte, most_head>& into) noexcept {
  const ssize_t n = uninterrupted([&] { return ::pread(fd, into.data(), into.size(), 0); });
  return std::span<const std::byte>(into).first(n > 0 ? static_cast<std::size_t>(n) : 0);
}
// What the first word says. Whoever looks for the size as well looks for it afterwards: it is the last one if this is `ready`.
std::uint64_t read_state(int fd) noexcept {
  std::uint64_t state = 0;
  const ssize_t n = uninterrupted([&] { return ::pread(fd, &state, sizeof state, 0); });
  // [M2] acquire, pairs with [M1]: what is read of the segment after a `ready` is what was written before it. (A read by the
  // kernel is no atomic operation of the language: segment_work::map looks at the word itself again.)
  fence(mo::acquire);
  if (n == 0) return header::making;  // an empty file is what somebody has just begun with
  return n == sizeof state ? state : 0;
}

void sleep_a_little(duration most) noexcept {
  const std::int64_t ns = std::clamp<std::int64_t>(most.count(), 1, 1'000'000);
  const timespec t{0, static_cast<long>(ns)};
  ::nanosleep(&t, nullptr);
}

}  // namespace

struct segment_work {
  const segment_plan& plan;
  const shared_segment_options& options;

  [[nodiscard]] outcome<segment_mapping> map(int fd, bool made) const noexcept {
    void* const at = ::mmap(nullptr, plan.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return system_error(errno, "mmap", options.why);
    return segment_mapping({static_cast<std::byte*>(at), plan.bytes}, made);
  }

  // Of a file that is not being made, by what was seen before.
  [[nodiscard]] outcome<segment_mapping> attach(int fd, const struct stat& s) const noexcept {
    std::array<std::byte, most_head> head{};
    const auto good = judge_segment(read_head(fd, head), static_cast<std::uint64_t>(s.st_size), plan, options.why);
    if (!good.ok()) return good.error();
    auto mapped = map(fd, false);
    if (!mapped.ok()) return mapped.error();
    // [M3] acquire, pairs with [M1]: the objects
    if (state_of(mapped.value()).load(mo::acquire) != header::ready) return told(errc::segment_foreign, options.why);
    return mapped;
  }

  [[nodiscard]] outcome<> owned(const struct stat& s) const noexcept {
    if (!S_ISREG(s.st_mode)) return told(errc::segment_foreign, options.why, words() << "not a file of memory");
    if (!options.any_owner && s.st_uid != ::geteuid())
      return told(errc::segment_owner, options.why,
                  words() << "belongs to user " << s.st_uid << "; here: " << ::geteuid());
    return {};
  }

  static atomic_ref<std::uint64_t> state_of(const segment_mapping& in) noexcept {
    return atomic_ref(reinterpret_cast<header*>(in.memory().data())->state);
  }

  // By who holds the lock. Whoever dies in here leaves a file that is empty, or says `making`.
  [[nodiscard]] outcome<segment_mapping> build(int fd, const struct stat& s, segment_mapping::maker make,
                                               const void* context) const noexcept {
    const auto size = static_cast<std::uint64_t>(s.st_size);
    const std::uint64_t making = header::making;
    // Also of what one who died left, who may have wanted it open to others; but not of what is another user's.
    if ((size == 0 || s.st_uid == ::geteuid()) && ::fchmod(fd, static_cast<mode_t>(options.mode)) != 0)
      return system_error(errno, "fchmod", options.why);
    if (size == 0) {
      if (uninterrupted([&] { return ::pwrite(fd, &making, sizeof making, 0); }) != sizeof making)
        return system_error(errno, "pwrite", options.why);
    }
    // Nobody has it mapped who would miss what is cut off: it has never been ready.
    if (size > plan.bytes && ::ftruncate(fd, static_cast<off_t>(plan.bytes)) != 0)
      return system_error(errno, "ftruncate", options.why);
    int failed = EINTR;
    for (int i = 0; i < 1000 && failed == EINTR; ++i) failed = ::posix_fallocate(fd, 0, static_cast<off_t>(plan.bytes));
    if (failed != 0) {
      static_cast<void>(::ftruncate(fd, sizeof making));
      return system_error(failed, "posix_fallocate", options.why);
    }
    auto mapped = map(fd, true);
    if (!mapped.ok()) return mapped.error();
    std::byte* const memory = mapped->memory().data();
    // What one who died left.
    std::memset(memory + sizeof making, 0, plan.bytes - sizeof making);
    header h{};
    h.version = header::version_value;
    h.header_bytes = static_cast<std::uint32_t>(segment_plan::header_bytes(plan.objects.size()));
    h.byte_order = header::byte_order_value;
    h.line_bytes = cache_line_size;
    h.pointer_bytes = sizeof(void*);
    h.objects = static_cast<std::uint32_t>(plan.objects.size());
    h.layout = plan.layout;
    h.bytes = plan.bytes;
    constexpr std::size_t behind = sizeof h.state;
    std::memcpy(memory + behind, reinterpret_cast<const std::byte*>(&h) + behind, sizeof h - behind);
    for (std::size_t i = 0; i < plan.objects.size(); ++i) {
      const entry e = entry_of(plan.objects[i]);
      std::memcpy(memory + sizeof h + i * sizeof e, &e, sizeof e);
    }
    make(memory, context);
    // [M1] release, pairs with [M2] and [M3]: all of it is there
    state_of(mapped.value()).store(header::ready, mo::release);
    return mapped;
  }
};

segment_mapping::~segment_mapping() {
  if (memory_.data() != nullptr) ::munmap(memory_.data(), memory_.size());
}

outcome<segment_mapping> segment_mapping::attach(int descriptor, const segment_plan& plan,
                                                 const shared_segment_options& options) noexcept {
  const segment_work work{plan, options};
  const std::uint64_t state = read_state(descriptor);
  struct stat s {};
  if (::fstat(descriptor, &s) != 0) return system_error(errno, "fstat", options.why);
  if (const auto may = work.owned(s); !may.ok()) return may.error();
  if (state == header::making) return told(errc::segment_unfinished, options.why);
  return work.attach(descriptor, s);
}

error segment_mapping::unsound(const shared_object& object, segment_text* why) noexcept {
  return told(errc::segment_corrupt, why, words() << object.name << " at " << object.offset << " is not sound");
}

outcome<> segment_mapping::unlink(std::string_view name, segment_text* why) noexcept {
  const path at(name);
  if (!at.good()) return told(errc::segment_name, why);
  if (::shm_unlink(at.get()) != 0) return system_error(errno, "shm_unlink", why);
  return {};
}

outcome<segment_mapping> segment_mapping::get(std::string_view name, const segment_plan& plan,
                                              const shared_segment_options& options, wish wanted, maker make,
                                              const void* context) noexcept {
  HOLDFAST_ASSERT(!validate(options));
  const segment_work work{plan, options};
  const path at(name);
  if (!at.good()) return told(errc::segment_name, options.why);
  const time_point until = steady_clock::now() + options.patience;
  errc meanwhile = errc::segment_unfinished;
  for (;;) {
    // Without O_CREAT first: where a directory is sticky, the kernel refuses O_CREAT for what another user has made.
    int opened = uninterrupted([&] { return ::shm_open(at.get(), O_RDWR | O_CLOEXEC, 0); });
    if (opened < 0 && errno == ENOENT && wanted != wish::open)
      opened = uninterrupted([&] {
        return ::shm_open(at.get(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, static_cast<mode_t>(options.mode));
      });
    const bool lost_a_race = opened < 0 && errno == EEXIST;
    if (opened < 0 && !lost_a_race) return system_error(errno, "shm_open", options.why);
    if (lost_a_race) {
      meanwhile = errc::segment_busy;  // somebody has just begun
    } else {
      const descriptor file(opened);
      struct stat s {};
      std::uint64_t state = read_state(file.get());
      if (::fstat(file.get(), &s) != 0) return system_error(errno, "fstat", options.why);
      if (const auto may = work.owned(s); !may.ok()) return may.error();
      const auto there = [&]() -> outcome<segment_mapping> {
        if (wanted == wish::create && state == header::ready) return told(errc::segment_exists, options.why);
        return work.attach(file.get(), s);
      };
      if (state != header::making) return there();
      // It is being made, or was. Who is at it has the lock, until he is ready or dead.
      if (uninterrupted([&] { return ::flock(file.get(), LOCK_EX | LOCK_NB); }) != 0) {
        if (errno != EWOULDBLOCK) return system_error(errno, "flock", options.why);
        meanwhile = errc::segment_busy;
      } else {
        // What another did before the lock was had, and whether it has its name still.
        state = read_state(file.get());
        if (::fstat(file.get(), &s) != 0) return system_error(errno, "fstat", options.why);
        if (s.st_nlink != 0 && state != header::making) return there();
        if (s.st_nlink != 0 && wanted != wish::open) return work.build(file.get(), s, make, context);
        // One who only opens cannot make it. Perhaps the one who can is between opening it and its lock.
        meanwhile = errc::segment_unfinished;
      }
    }
    const time_point now = steady_clock::now();
    if (now >= until) return told(meanwhile, options.why);
    sleep_a_little(until - now);
  }
}

}  // namespace holdfast
