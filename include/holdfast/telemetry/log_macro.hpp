// SPDX-License-Identifier: MIT
// HOLDFAST_LOG(target, level, "message", {"key", value}...): the call, written as it reads.
//
// target is a log_sink, a logger or sink.at(now); level is the bare name of a log_level. The message, the keys and the types
// of the values become one static description of the call; only values are copied at run time. Names that end in `_` are
// its parts and no interface.
//
// The preprocessor splits a field at its comma: `{"key"` becomes `log_key{"key"}` and `value}` becomes `log_value{value}`.
// A value with a comma outside parentheses needs parentheses around it. A value must not contain co_await.
//
// Proof: tests/unit/log_sink_test.cpp.
#pragma once

#define HOLDFAST_LOG(target, severity, ...)                                                                        \
  do {                                                                                                             \
    auto&& holdfast_target_ = (target);                                                                            \
    if (holdfast_target_.enabled(::holdfast::log_level::severity)) {                                               \
      static constexpr auto holdfast_fields_ = ::holdfast::log_detail::make_fields(                                \
          decltype(::holdfast::log_detail::types_of(0 HOLDFAST_LOG_VALUES_(__VA_ARGS__, ))){},                     \
          ::holdfast::log_detail::keys_of(0 HOLDFAST_LOG_KEYS_(__VA_ARGS__, )));                                   \
      static constexpr ::holdfast::log_site holdfast_site_ =                                                       \
          ::holdfast::log_detail::make_site(::holdfast::log_level::severity, HOLDFAST_LOG_MESSAGE_(__VA_ARGS__, ), \
                                            __FILE__, __LINE__, holdfast_fields_);                                 \
      static constinit ::holdfast::log_detail::site_number holdfast_number_{};                                     \
      holdfast_target_.write(holdfast_site_, holdfast_number_ HOLDFAST_LOG_VALUES_(__VA_ARGS__, ));                \
    }                                                                                                              \
  } while (false)

// Every list arrives with an empty last element, so that `...` is never missing.
#define HOLDFAST_LOG_MESSAGE_(message, ...) message
#define HOLDFAST_LOG_KEYS_(message, ...) __VA_OPT__(HOLDFAST_LOG_64_(HOLDFAST_LOG_KEY_STEP_(__VA_ARGS__)))
#define HOLDFAST_LOG_VALUES_(message, ...) __VA_OPT__(HOLDFAST_LOG_64_(HOLDFAST_LOG_VALUE_STEP_(__VA_ARGS__)))

// clang-format off
#define HOLDFAST_LOG_KEY_STEP_(key, value, ...) \
  , ::holdfast::log_key key } __VA_OPT__(HOLDFAST_LOG_KEY_AGAIN_ HOLDFAST_LOG_PARENS_ (__VA_ARGS__))
#define HOLDFAST_LOG_KEY_AGAIN_() HOLDFAST_LOG_KEY_STEP_
#define HOLDFAST_LOG_VALUE_STEP_(key, value, ...) \
  , ::holdfast::log_value { value __VA_OPT__(HOLDFAST_LOG_VALUE_AGAIN_ HOLDFAST_LOG_PARENS_ (__VA_ARGS__))
#define HOLDFAST_LOG_VALUE_AGAIN_() HOLDFAST_LOG_VALUE_STEP_
// clang-format on

// A macro does not expand inside itself; scanned again, its deferred next step does. Each level scans four times.
#define HOLDFAST_LOG_PARENS_ ()
#define HOLDFAST_LOG_64_(...) HOLDFAST_LOG_16_(HOLDFAST_LOG_16_(HOLDFAST_LOG_16_(HOLDFAST_LOG_16_(__VA_ARGS__))))
#define HOLDFAST_LOG_16_(...) HOLDFAST_LOG_4_(HOLDFAST_LOG_4_(HOLDFAST_LOG_4_(HOLDFAST_LOG_4_(__VA_ARGS__))))
#define HOLDFAST_LOG_4_(...) HOLDFAST_LOG_1_(HOLDFAST_LOG_1_(HOLDFAST_LOG_1_(HOLDFAST_LOG_1_(__VA_ARGS__))))
#define HOLDFAST_LOG_1_(...) __VA_ARGS__
