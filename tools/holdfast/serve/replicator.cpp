// SPDX-License-Identifier: MIT
#include "serve/replicator.hpp"

#include <charconv>

namespace holdfast::serve {
namespace {

constexpr std::int64_t batch = 1'000;
// A pass waits this long for a lock inside this process, and no statement of it runs longer.
constexpr milliseconds step_timeout{2'000};

deadline soon() {
  return deadline::after(steady_clock::now(), step_timeout);
}

struct cdn_mark {
  std::int64_t history = 0;
  std::int64_t seq = 0;
};

std::filesystem::path mark_path(const std::string& root) {
  return std::filesystem::path(root) / ".exported";
}

cdn_mark read_mark(const std::string& root) {
  cdn_mark mark;
  const auto text = read_file(mark_path(root), 64);
  if (!text) return mark;
  const char* const end = text->data() + text->size();
  const auto [at, ec] = std::from_chars(text->data(), end, mark.history);
  if (ec != std::errc{} || at == end) return {};
  if (std::from_chars(at + 1, end, mark.seq).ec != std::errc{}) return {};
  return mark;
}

}  // namespace

outcome<> follower::catch_up(profile_store& primary) {
  for (;;) {
    const std::int64_t begun_ms = wall_ms();
    auto changes = primary.changes_after(seq(), batch, soon());
    if (!changes) return changes.error();
    if (changes->empty()) {
      as_of_ms_.store(begun_ms, std::memory_order_release);
      return {};
    }
    for (auto& c : *changes) c.row.as_of_ms = begun_ms;
    const auto taken = take_(*changes);
    if (!taken) return taken;
    start_from(changes->back().seq);
  }
}

replicator::replicator(replicator_options options, id_filter& known, listener on_change)
    : options_(std::move(options)),
      known_(known),
      on_change_(std::move(on_change)),
      primary_store_(options_.primary),
      replica_store_(options_.replica),
      exporter_(options_.cdn_root),
      replica_("replica", [this](const auto& changes) { return replica_store_.apply(changes, soon()); }),
      cdn_("cdn", [this](const auto& changes) { return export_to_cdn(changes); }),
      ids_("ids", [this](const auto& changes) -> outcome<> {
        for (const auto& c : changes) known_.add(c.row.id);
        return {};
      }) {
  followers_ = {{&ids_, false}, {&replica_, false}};
  if (has_cdn()) followers_.emplace_back(&cdn_, false);
}

outcome<> replicator::prepare() {
  const auto history = primary_store_.history(soon());
  if (!history) return history.error();
  history_ = *history;
  const auto replica = prepare_replica(history_);
  if (!replica) return replica;
  return has_cdn() ? prepare_cdn(history_) : outcome<>{};
}

// A replica of another history (the primary was made anew) is emptied: its versions mean nothing here.
outcome<> replicator::prepare_replica(std::int64_t history) {
  const auto made = replica_store_.create_schema(history, soon());
  if (!made) return made;
  const auto own = replica_store_.history(soon());
  if (!own) return own.error();
  if (*own != history) {
    const auto emptied = replica_store_.restart_history(history, deadline::never());
    if (!emptied) return emptied;
  }
  const auto seq = replica_store_.last_seq(soon());
  if (!seq) return seq.error();
  replica_.start_from(*seq);
  return {};
}

outcome<> replicator::prepare_cdn(std::int64_t history) {
  const cdn_mark mark = read_mark(options_.cdn_root);
  if (mark.history == history) {
    cdn_.start_from(mark.seq);
  } else {
    std::error_code ec;
    std::filesystem::remove_all(options_.cdn_root, ec);
  }
  return exporter_.prepare();
}

outcome<> replicator::export_to_cdn(const std::vector<change>& changes) {
  for (const auto& c : changes) {
    const auto written = exporter_.write(c.row);
    if (!written) return written;
  }
  return write_file_by_rename(mark_path(options_.cdn_root),
                              std::to_string(history_) + " " + std::to_string(changes.back().seq) + "\n");
}

void replicator::start() {
  thread_ = std::thread([this] { run(); });
}

void replicator::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool replicator::complete() const {
  for (const auto& [f, failing] : followers_) {
    if (f->as_of_ms() == 0) return false;
  }
  return true;
}

bool replicator::wait_until_complete(milliseconds within) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, within, [&] { return stopping_ || complete(); }) && complete();
}

void replicator::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    pass();
    lock.lock();
    changed_.notify_all();
    changed_.wait_for(lock, options_.lag, [&] { return stopping_; });
  }
}

void replicator::pass() {
  for (auto& [f, failing] : followers_) {
    const auto done = f->catch_up(primary_store_);
    if (done.ok() != failing) continue;
    failing = !done.ok();
    on_change_(*f, failing ? &done.error() : nullptr);
  }
}

}  // namespace holdfast::serve
