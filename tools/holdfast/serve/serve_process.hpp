// SPDX-License-Identifier: MIT
// serve_process: all parts of the running service, in the order in which they need each other.
#pragma once

#include <memory>
#include <string>

#include "holdfast/core/outcome.hpp"

#include "serve/options.hpp"

namespace holdfast::serve {

// What may go wrong before anything is served: said once, in words, on standard error.
struct start_failure {
  std::string what;
};

class serve_process {
 public:
  explicit serve_process(options o);
  ~serve_process();
  serve_process(const serve_process&) = delete;
  serve_process& operator=(const serve_process&) = delete;

  // `import`: a file to load first, or empty. Returns an empty text, or why the service cannot start.
  std::string prepare(const std::string& import);
  std::string start();
  // Until SIGTERM or SIGINT; restarts a CDN process that has died. Then drains. True: nobody was cut off.
  bool run_until_told();

 private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

}  // namespace holdfast::serve
