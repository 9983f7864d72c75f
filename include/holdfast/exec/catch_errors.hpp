// SPDX-License-Identifier: MIT
// catch_errors: an adapter that turns the exceptions of a callee into outcomes.
//
//   operation      caller       progress        allocates       errors
//   catch_errors   any thread   as the callee   as the callee   never throws; what was thrown comes back as an error
//
// In short: any thread | as the callee | as the callee | what was thrown comes back as an error
//
// Use it around a callee that throws, where it meets a guard: a policy judges outcomes, and nothing in holdfast lets an
// exception through. Known types keep their meaning (std::system_error its code, std::bad_alloc ENOMEM); a translator
// of your own is asked first, for the exceptions of a driver or a client library, and answers with an empty optional
// for what it does not know. Needs exceptions, as do the headers of interop/, and no other header does.
//
// Proof: tests/unit/catch_errors_test.cpp.
#pragma once

#include <exception>
#include <new>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <type_traits>
#include <utility>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/core/outcome.hpp"

namespace holdfast {

struct no_translator {
  std::optional<error> operator()(const std::exception_ptr& /*thrown*/) const noexcept { return std::nullopt; }
};

// The error that the exception now being handled means. Call it inside a catch block.
template <class Translator = no_translator>
error error_of_current_exception(Translator&& translate = {}) noexcept {
  try {
    if (const std::optional<error> known = translate(std::current_exception())) return *known;
  } catch (...) {
    // A translator that throws has not translated: fall through to what is known here.
  }
  try {
    std::rethrow_exception(std::current_exception());
  } catch (const std::system_error& e) {
    return make_error(e.code());
  } catch (const std::bad_alloc&) {
    return make_error(std::make_error_code(std::errc::not_enough_memory));
  } catch (const std::invalid_argument&) {
    return make_error(std::make_error_code(std::errc::invalid_argument));
  } catch (...) {
    return errc::callee_threw;
  }
}

// The outcome of a function that returns T, which may be one already.
template <class T>
struct as_outcome {
  using type = outcome<T>;
};
template <class T>
struct as_outcome<outcome<T>> {
  using type = outcome<T>;
};

// catch_errors(f)(args...) is f(args...) as an outcome: f's own outcome, its value, or the error of what it threw.
template <class F, class Translator = no_translator>
auto catch_errors(F f, Translator translate = {}) {
  return [f = std::move(f), translate = std::move(translate)](auto&&... args) mutable noexcept {
    using raw = std::invoke_result_t<F&, decltype(args)...>;
    using result = typename as_outcome<raw>::type;
    try {
      if constexpr (std::is_void_v<raw>) {
        f(std::forward<decltype(args)>(args)...);
        return result();
      } else {
        return result(f(std::forward<decltype(args)>(args)...));
      }
    } catch (...) {
      return result(error_of_current_exception(translate));
    }
  };
}

}  // namespace holdfast
