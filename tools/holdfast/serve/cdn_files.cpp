// SPDX-License-Identifier: MIT
#include "serve/cdn_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include <nlohmann/json.hpp>

#include "holdfast/core/error_domain.hpp"

namespace holdfast::serve {
namespace {

error last_errno() {
  return make_error({errno, std::generic_category()});
}

class file_descriptor {
 public:
  explicit file_descriptor(int fd) : fd_(fd) {}
  file_descriptor(const file_descriptor&) = delete;
  file_descriptor& operator=(const file_descriptor&) = delete;
  ~file_descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }
  bool close() { return ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ::ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

std::string shard_of(std::string_view id) {
  std::uint32_t hash = 0x811C9DC5U;
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193U;
  constexpr std::string_view hex = "0123456789abcdef";
  return {hex[(hash >> 4U) & 15U], hex[hash & 15U]};
}

}  // namespace

std::string cdn_path(std::string_view id) {
  return "/" + shard_of(id) + "/" + std::string(id) + ".json";
}

std::string cdn_file(const profile& p) {
  return nlohmann::ordered_json{{"version", p.version}, {"as_of_ms", p.as_of_ms}, {"profile", p.body}}.dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::optional<profile> parse_cdn_file(std::string_view text, std::string_view id) {
  const auto file = nlohmann::json::parse(text, nullptr, false);
  if (!file.is_object()) return std::nullopt;
  const auto version = file.find("version");
  const auto as_of = file.find("as_of_ms");
  const auto body = file.find("profile");
  if (version == file.end() || as_of == file.end() || body == file.end()) return std::nullopt;
  if (!version->is_number_integer() || !as_of->is_number_integer() || !body->is_string()) return std::nullopt;
  profile p{std::string(id), body->get<std::string>(), version->get<std::int64_t>(), as_of->get<std::int64_t>()};
  if (!check_document(p.body, id)) return std::nullopt;
  return p;
}

outcome<> cdn_exporter::prepare() {
  constexpr std::string_view hex = "0123456789abcdef";
  std::error_code ec;
  for (const char high : hex) {
    for (const char low : hex) {
      std::filesystem::create_directories(root_ / std::string{high, low}, ec);
      if (ec) return make_error(ec);
    }
  }
  return {};
}

outcome<> cdn_exporter::write(const profile& p) {
  return write_file_by_rename(root_ / cdn_path(p.id).substr(1), cdn_file(p));
}

outcome<> write_file_by_rename(const std::filesystem::path& to, std::string_view text) {
  const std::string next = to.string() + ".next";
  file_descriptor file(::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (file.get() < 0 || !write_all(file.get(), text) || !file.close()) return last_errno();
  if (::rename(next.c_str(), to.c_str()) != 0) return last_errno();
  return {};
}

outcome<std::string> read_file(const std::filesystem::path& from, std::size_t max_bytes) {
  const file_descriptor file(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (file.get() < 0) return last_errno();
  std::string text(max_bytes + 1, '\0');
  std::size_t used = 0;
  while (used < text.size()) {
    const ::ssize_t n = ::read(file.get(), text.data() + used, text.size() - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return last_errno();
    if (n == 0) break;
    used += static_cast<std::size_t>(n);
  }
  if (used > max_bytes) return make_error({EFBIG, std::generic_category()});
  text.resize(used);
  return text;
}

}  // namespace holdfast::serve
