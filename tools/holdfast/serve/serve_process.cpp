// SPDX-License-Identifier: MIT
#include "serve/serve_process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "serve/cdn_client.hpp"
#include "serve/cdn_process.hpp"
#include "serve/http_server.hpp"
#include "serve/replicator.hpp"
#include "serve/service.hpp"
#include "serve/store_setup.hpp"

namespace holdfast::serve {
namespace {

// The naive service waits this long inside SQLite for a lock, as many do by default.
constexpr milliseconds naive_busy_wait{5'000};
// Another process that holds the primary's lock at start-up is waited for as long.
constexpr milliseconds start_busy_wait{5'000};
constexpr milliseconds cdn_restart_pause{500};

store_options store_at(const std::filesystem::path& path, bool durable, milliseconds busy_wait = milliseconds(0)) {
  return {{.path = path.string(), .busy_wait = busy_wait, .durable = durable}, std::make_shared<db_gate>()};
}

bool is_loopback(const std::string& address) {
  return address == "localhost" || address == "::1" || address.compare(0, 4, "127.") == 0;
}

std::size_t as_size(std::int64_t n) {
  return static_cast<std::size_t>(n);
}

::sigset_t signals_of_interest() {
  ::sigset_t set;
  ::sigemptyset(&set);
  for (const int s : {SIGTERM, SIGINT, SIGCHLD}) ::sigaddset(&set, s);
  return set;
}

// Only one serve may own a data directory: two replicators would fight over the copies.
class directory_lock {
 public:
  directory_lock() = default;
  ~directory_lock() {
    if (fd_ >= 0) ::close(fd_);
  }
  directory_lock(const directory_lock&) = delete;
  directory_lock& operator=(const directory_lock&) = delete;
  bool take(const std::filesystem::path& dir) {
    fd_ = ::open((dir / "serve.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    struct ::flock whole {};
    whole.l_type = F_WRLCK;
    return fd_ >= 0 && ::fcntl(fd_, F_OFD_SETLK, &whole) == 0;
  }

 private:
  int fd_ = -1;
};

}  // namespace

struct serve_process::parts {
  explicit parts(options settings)
      : o(std::move(settings)),
        paths(o.data.dir),
        primary_file(store_at(paths.primary, true, o.policies ? milliseconds(0) : naive_busy_wait)),
        replica_file(store_at(paths.replica, false)) {}

  std::string open_log();
  std::string load(const std::string& import);
  std::string start_cdn();
  std::string start_serving();
  std::string listen();
  void announce() const;
  void look_after_cdn();
  bool drain();

  options o;
  data_paths paths;
  directory_lock lock;
  store_options primary_file;
  store_options replica_file;
  std::int64_t profiles = 0;

  // Declared in the order of need: what comes later uses what stands above, and goes first.
  library_watch watch;
  std::unique_ptr<log_sink> sink;
  std::unique_ptr<service_log> log;
  std::unique_ptr<id_filter> known;
  std::unique_ptr<replicator> followers;
  std::unique_ptr<cdn_process> cdn;
  std::unique_ptr<service_metrics> metrics;
  std::unique_ptr<dependency> primary, primary_write, replica, cdn_guard;
  std::unique_ptr<profile_cache> cache;
  std::unique_ptr<io_threads> io;
  std::unique_ptr<cdn_client> cdn_calls;
  std::unique_ptr<db_pool> primary_pool, replica_pool;
  std::unique_ptr<profile_reader> reader;
  std::unique_ptr<profile_writer> writer;
  std::unique_ptr<profile_handlers> handlers;
  std::unique_ptr<admin_handlers> admin;
  std::unique_ptr<service> public_service, admin_service;
  std::unique_ptr<http_server> server;
  std::uint16_t port = 0;
  std::uint16_t admin_port = 0;
  time_point cdn_may_start{};
};

serve_process::serve_process(options o) : parts_(std::make_unique<parts>(std::move(o))) {
  // Before any thread: all inherit the mask, and the main thread takes these signals by waiting for them.
  const ::sigset_t set = signals_of_interest();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

serve_process::~serve_process() = default;

std::string serve_process::prepare(const std::string& import) {
  parts& p = *parts_;
  const auto made = make_directories(p.paths);
  if (!made) return p.paths.root.string() + ": " + made.error().code.message();
  if (!p.lock.take(p.paths.root)) return p.paths.root.string() + ": another holdfast serve uses this directory";
  const std::string log = p.open_log();
  return log.empty() ? p.load(import) : log;
}

std::string serve_process::parts::open_log() {
  const std::string file = o.log.file.empty() ? paths.log.string() : o.log.file;
  holdfast::log_options settings;
  settings.output = file == "-" ? log_output::standard_output() : log_output::to_file(file);
  settings.level = parse_log_level(o.log.level).value_or(log_level::info);
  settings.logger = "serve";
  settings.max_threads = static_cast<std::uint32_t>(2 * (o.server.io_threads + o.server.db_threads) + 8);
  sink = std::make_unique<log_sink>(settings);
  if (const auto failed = sink->start()) return file + ": " + failed.message();
  log = std::make_unique<service_log>(*sink, o.log.sample_ok_permille, watch);
  return {};
}

std::string serve_process::parts::load(const std::string& import) {
  auto patient = primary_file;
  patient.file.busy_wait = start_busy_wait;
  profile_store store(patient);
  const auto failed = [&](const error& e) { return paths.primary.string() + ": " + e.code.message(); };
  const auto made = store.create_schema(0, deadline::never());
  if (!made) return failed(made.error());
  if (!import.empty()) {
    const auto summary = import_file(store, import);
    if (!summary) return import + ": " + summary.error().code.message();
    std::fprintf(stderr, "%s: %lld profiles loaded (%lld of them replaced), %lld bad rows\n", import.c_str(),
                 static_cast<long long>(summary->loaded), static_cast<long long>(summary->replaced),
                 static_cast<long long>(summary->bad));
    if (!summary->usable) return import + ": cannot be used";
  }
  const auto generated = generate_when_empty(store, o.data);
  if (!generated) return failed(generated.error());
  const auto count = store.count(deadline::never());
  if (!count) return failed(count.error());
  profiles = *count;
  return {};
}

std::string serve_process::start() {
  parts& p = *parts_;
  p.known = std::make_unique<id_filter>(std::max<std::size_t>(as_size(p.profiles) * 2, 1'000'000));
  auto* log = p.log.get();
  p.followers = std::make_unique<replicator>(
      replicator_options{p.primary_file, p.replica_file, p.o.cdn_process.enabled ? p.paths.cdn.string() : "",
                         p.o.follower.replica_lag},
      *p.known, [log](const follower& f, const error* why) { log->follower_changed(f.name(), why); });
  const auto prepared = p.followers->prepare();
  if (!prepared) return "replica: " + prepared.error().code.message();
  std::string failed = p.start_cdn();
  if (!failed.empty()) return failed;
  p.followers->start();
  if (!p.followers->wait_until_complete(p.o.follower.startup_sync)) {
    log->startup_incomplete(p.o.follower.startup_sync);
  }
  failed = p.start_serving();
  if (failed.empty()) p.announce();
  return failed;
}

std::string serve_process::parts::start_cdn() {
  if (!o.cdn_process.enabled) return {};
  cdn = std::make_unique<cdn_process>(paths.cdn.string(), static_cast<std::uint16_t>(o.cdn_process.port));
  const auto started = cdn->start();
  if (!started) return "the CDN process did not start: " + started.error().code.message();
  log->cdn_process("started", cdn->pid(), cdn->port());
  return {};
}

std::string serve_process::parts::start_serving() {
  metrics = std::make_unique<service_metrics>(*followers, *sink, watch);
  const auto guarded = [&](std::string_view name, const dependency_options& d, std::uint64_t salt) {
    return std::make_unique<dependency>(name, d, random_id_bits() ^ salt, *log, metrics->for_dependency(name));
  };
  primary = guarded("primary", o.primary, 1);
  primary_write = guarded("primary_write", o.primary_write, 2);
  replica = guarded("replica", o.replica, 3);
  cdn_guard = guarded("cdn", o.cdn, 4);
  cache = std::make_unique<profile_cache>(o.cache, watch);
  io = std::make_unique<io_threads>(as_size(o.server.io_threads));
  if (cdn) cdn_calls = std::make_unique<cdn_client>(io->size(), "127.0.0.1", cdn->port());
  primary_pool = std::make_unique<db_pool>(primary_file, as_size(o.server.db_threads));
  replica_pool = std::make_unique<db_pool>(replica_file, as_size(o.server.db_threads));
  reader = std::make_unique<profile_reader>(read_parts{*primary_pool, *replica_pool, *primary, *replica, *cdn_guard,
                                                       *cache, cdn_calls.get(), *followers, watch, o.read_deadline});
  writer = std::make_unique<profile_writer>(
      write_parts{*primary_pool, *primary_write, *cache, *known, o.writes.deadline, o.policies});
  handlers = std::make_unique<profile_handlers>(*reader, *writer, *known, o);
  admin = std::make_unique<admin_handlers>(
      std::vector<dependency*>{primary.get(), primary_write.get(), replica.get(), cdn_guard.get()});
  for (auto* d : {primary.get(), primary_write.get(), replica.get(), cdn_guard.get()}) metrics->watch(*d);
  return listen();
}

std::string serve_process::parts::listen() {
  const bool together = o.admin.port < 0 && is_loopback(o.server.address);
  const service_parts with{*handlers, *admin, *log, *metrics};
  public_service = std::make_unique<service>(with, together);
  admin_service = std::make_unique<service>(with, true);
  server = std::make_unique<http_server>(*io, o.server);
  const auto bound = server->listen(o.server.address, static_cast<std::uint16_t>(o.server.port), *public_service);
  if (!bound) {
    return o.server.address + ":" + std::to_string(o.server.port) + ": " + bound.error().code.message();
  }
  port = admin_port = *bound;
  if (!together) {
    const auto wanted = static_cast<std::uint16_t>(std::max<std::int64_t>(0, o.admin.port));
    const auto admin_bound = server->listen(o.admin.address, wanted, *admin_service);
    if (!admin_bound) {
      return o.admin.address + ":" + std::to_string(wanted) + ": " + admin_bound.error().code.message();
    }
    admin_port = *admin_bound;
  }
  io->start();
  return {};
}

void serve_process::parts::announce() const {
  const int cdn_pid = cdn ? cdn->pid() : 0;
  log->started(port, admin_port, cdn_pid);
  const nlohmann::ordered_json line{{"event", "ready"},
                                    {"port", port},
                                    {"admin_port", admin_port},
                                    {"pid", ::getpid()},
                                    {"cdn_pid", cdn_pid},
                                    {"cdn_port", cdn ? cdn->port() : 0},
                                    {"profiles", profiles},
                                    {"primary", paths.primary.string()},
                                    {"replica", paths.replica.string()},
                                    {"log", o.log.file.empty() ? paths.log.string() : o.log.file}};
  std::fputs((line.dump() + "\n").c_str(), stdout);
  std::fflush(stdout);
}

void serve_process::parts::look_after_cdn() {
  if (!cdn) return;
  if (cdn->has_died()) {
    log->cdn_process("died", 0, cdn->port());
    cdn_may_start = steady_clock::now() + cdn_restart_pause;
  }
  if (cdn->pid() != 0 || steady_clock::now() < cdn_may_start) return;
  const bool started = cdn->start().ok();
  cdn_may_start = steady_clock::now() + cdn_restart_pause;
  log->cdn_process(started ? "restarted" : "did not restart", cdn->pid(), cdn->port());
}

bool serve_process::run_until_told() {
  const ::sigset_t set = signals_of_interest();
  for (;;) {
    const ::timespec tick{0, 200'000'000};
    const int which = ::sigtimedwait(&set, nullptr, &tick);
    if (which == SIGTERM || which == SIGINT) break;
    parts_->look_after_cdn();
  }
  return parts_->drain();
}

bool serve_process::parts::drain() {
  log->draining(server->connections());
  const bool drained = server->drain(o.server.drain_timeout);
  io->stop();
  primary_pool->stop();
  replica_pool->stop();
  followers->stop();
  if (cdn_calls) cdn_calls->close();
  if (cdn) cdn->stop();
  log->stopped(drained);
  sink->stop();
  return drained;
}

}  // namespace holdfast::serve
