// SPDX-License-Identifier: MIT
#include "serve/store_setup.hpp"

#include <cerrno>
#include <cstdio>
#include <fstream>

#include "holdfast/core/error_domain.hpp"

#include "serve/generator.hpp"
#include "serve/import.hpp"

namespace holdfast::serve {
namespace {

namespace fs = std::filesystem;

// One transaction: large enough that its commit costs nothing a row, small enough to be held in memory.
constexpr std::size_t batch_rows = 10'000;

// Collects rows and loads them batch by batch; remembers the first failure.
class batch_loader {
 public:
  explicit batch_loader(profile_store& into) : into_(into) { rows_.reserve(batch_rows); }

  bool add(profile_row&& row) {
    rows_.emplace_back(std::move(row.id), std::move(row.body));
    return rows_.size() < batch_rows || flush();
  }
  bool flush() {
    if (rows_.empty() || !failure_.ok()) return failure_.ok();
    const auto replaced = into_.load(rows_, deadline::never());
    if (!replaced) {
      failure_ = replaced.error();
      return false;
    }
    loaded_ += static_cast<std::int64_t>(rows_.size());
    replaced_ += *replaced;
    rows_.clear();
    return true;
  }
  [[nodiscard]] const outcome<>& failure() const { return failure_; }
  [[nodiscard]] std::int64_t loaded() const { return loaded_; }
  [[nodiscard]] std::int64_t replaced() const { return replaced_; }

 private:
  profile_store& into_;
  std::vector<std::pair<std::string, std::string>> rows_;
  std::int64_t loaded_ = 0;
  std::int64_t replaced_ = 0;
  outcome<> failure_{};
};

}  // namespace

data_paths::data_paths(const std::string& dir)
    : root(dir),
      primary(root / "primary.db"),
      replica(root / "replica" / "replica.db"),
      cdn(root / "cdn"),
      log(root / "serve.log.jsonl") {}

outcome<> make_directories(const data_paths& paths) {
  std::error_code ec;
  for (const auto& dir : {paths.root, paths.replica.parent_path(), paths.cdn}) {
    fs::create_directories(dir, ec);
    if (ec) return make_error(ec);
  }
  return {};
}

outcome<import_summary> import_file(profile_store& into, const std::string& file) {
  const auto format = format_of(file);
  std::ifstream in(file, std::ios::binary);
  if (!format || !in) return make_error({format ? ENOENT : EINVAL, std::generic_category()});
  batch_loader loader(into);
  import_summary summary;
  summary.usable = read_rows(
      in, *format, [&](profile_row&& row) { return loader.add(std::move(row)); },
      [&](bad_row&& row) {
        ++summary.bad;
        std::fprintf(stderr, "%s:%zu: %s\n", file.c_str(), row.line, row.reason.c_str());
      });
  loader.flush();
  if (!loader.failure()) return loader.failure().error();
  summary.loaded = loader.loaded();
  summary.replaced = loader.replaced();
  return summary;
}

outcome<std::int64_t> generate_when_empty(profile_store& into, const data_options& o) {
  const auto there = into.count(deadline::never());
  if (!there) return there.error();
  if (*there > 0) return std::int64_t{0};
  batch_loader loader(into);
  for (std::int64_t n = 1; n <= o.generate; ++n) {
    if (!loader.add(generated_profile(static_cast<std::uint64_t>(o.seed), static_cast<std::uint64_t>(n)))) break;
  }
  loader.flush();
  if (!loader.failure()) return loader.failure().error();
  return loader.loaded();
}

}  // namespace holdfast::serve
