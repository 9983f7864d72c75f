// SPDX-License-Identifier: MIT
// The program's paths: whatever target a request has, the CDN hands out the files below its directory and no other, and a
// route's argument is a plain id; a CDN file reads back as the profile it was.
#include <stdlib.h>

#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <string>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "fuzz/target.hpp"
#include "serve/cdn_files.hpp"
#include "serve/router.hpp"
#include "serve/static_files.hpp"

namespace {

using namespace holdfast::fuzz;
using namespace holdfast::serve;
namespace fs = std::filesystem;

constexpr std::array<std::string_view, 3> public_files{"/a.json", "/3f/u1.json", "/3f/a..b.json"};
constexpr std::array<std::string_view, 4> secret_files{"/../secret.json", "/.hidden", "/3f/.hidden", "/.d/a.json"};

// A directory of its own with public and secret files, gone when the process ends well.
class site {
 public:
  site() {
    std::string name = (fs::temp_directory_path() / "holdfast-fuzz-XXXXXX").string();
    expect(::mkdtemp(name.data()) != nullptr, "a directory of our own");
    top_ = name;
    fs::create_directories(root() / "3f");
    fs::create_directories(root() / ".d");
    for (const auto path : public_files) std::ofstream(root() / path.substr(1)) << path;
    for (const auto path : secret_files) std::ofstream(root() / path.substr(1)) << "secret";
    fs::create_symlink("../secret.json", root() / "link.json");
  }
  ~site() {
    std::error_code ec;
    fs::remove_all(top_, ec);
  }
  site(const site&) = delete;
  site& operator=(const site&) = delete;
  [[nodiscard]] fs::path root() const { return top_ / "root"; }

 private:
  fs::path top_;
};

http_response answer(std::string_view method, std::string_view target) {
  static const site files;
  static static_files app(files.root());
  static boost::asio::io_context io;
  http_request request;
  request.method = method;
  request.target = target;
  http_response response;
  bool answered = false;
  boost::asio::co_spawn(io, app.handle(request), [&](const std::exception_ptr& failure, http_response r) {
    expect(!failure, "no exception");
    response = std::move(r);
    answered = true;
  });
  io.restart();
  io.run();
  expect(answered, "every request is answered");
  return response;
}

// Is this target one for that path: the path itself, perhaps behind a host, perhaps with a query?
bool names(std::string_view target, std::string_view path) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (target.substr(0, scheme.size()) != scheme) continue;
    const std::size_t slash = target.find('/', scheme.size());
    target = slash == target.npos ? std::string_view() : target.substr(slash);
    break;
  }
  if (target.substr(0, path.size()) != path) return false;
  return target.size() == path.size() || target[path.size()] == '?' || target[path.size()] == '#';
}

void any_file(std::string_view method, std::string_view target) {
  const auto response = answer(method, target);
  const bool reading = method == "GET" || method == "HEAD";
  const std::string_view* named = nullptr;
  for (const auto& path : public_files) {
    if (reading && names(target, path)) named = &path;
  }
  expect(response.body.find("secret") == std::string::npos, "no file that is not below the directory, or hidden");
  expect((response.status == 200) == (named != nullptr), "a file is handed out when it is named, and only then");
  expect(named == nullptr || response.body == *named, "and it is that file");
  if (!reading) expect(response.status == 405, "files are only read");
}

bool plain_id(std::string_view id) {
  bool plain = !id.empty() && id.size() <= 64;
  for (const char c : id) plain = plain && (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-');
  return plain;
}

void any_route(std::string_view method, std::string_view target, bool admin) {
  if (!target.empty() && target.front() == '/' && plain_path(target))
    expect(fs::path(target).lexically_normal().string() == target, "a plain path means exactly what it says");
  const route r = find_route(method, target, admin);
  if (r.status != 0) {
    expect(r.to == endpoint::none && !r.why.empty(), "a refusal leads nowhere and says why");
    expect((r.status == 405) == !r.allow.empty(), "and with 405 what would be allowed");
    return;
  }
  const bool with_argument = r.to == endpoint::profile || r.to == endpoint::breaker;
  expect(r.to != endpoint::none, "somewhere");
  expect(with_argument ? plain_id(r.argument) : r.argument.empty(), "an argument is a plain id");
  expect(admin || (r.to != endpoint::breaker && r.to != endpoint::breakers), "no admin without admin");
  const std::string_view prefix = r.to == endpoint::profile ? "/profiles/" : "/admin/breakers/";
  if (with_argument) expect(names(target, std::string(prefix) + std::string(r.argument)), "the id that the path names");
}

void any_profile(input& in) {
  const std::string id = "u" + std::to_string(in.below(1000));
  profile p{id, {}, static_cast<std::int64_t>(in.number(8)), static_cast<std::int64_t>(in.number(8))};
  const auto document = check_document(in.rest(), id);
  if (!document) return;
  p.body = document.body;
  const auto back = parse_cdn_file(cdn_file(p), id);
  expect(back && *back == p, "a CDN file reads back as the profile it was");
  expect(!parse_cdn_file(cdn_file(p), "another"), "and is no other's");
  expect(plain_path(cdn_path(id)), "its path is a plain one");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::array<std::string_view, 4> methods{"GET", "HEAD", "PUT", "POST"};
  input in(data, size);
  const std::uint8_t choice = in.byte();
  const std::string_view method = methods.at(choice >> 4U & 3U);
  switch (choice % 4) {
    case 0: any_file(method, in.rest()); break;
    // From within the directory, so that little is needed to try a way out.
    case 1: any_file("GET", "/3f/" + std::string(in.rest())); break;
    case 2: any_route(method, in.rest(), (choice & 64U) != 0); break;
    default: any_profile(in); break;
  }
  return 0;
}
