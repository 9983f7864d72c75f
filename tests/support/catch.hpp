// SPDX-License-Identifier: MIT
// One include for Catch2 of any distribution: 2.13 has a single header, 3.x has many.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
