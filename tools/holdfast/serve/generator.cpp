// SPDX-License-Identifier: MIT
#include "serve/generator.hpp"

#include <array>
#include <string_view>

#include <nlohmann/json.hpp>

#include "holdfast/core/random.hpp"

namespace holdfast::serve {
namespace {

constexpr std::array<std::string_view, 16> first_names{"Ada",    "Bo",   "Chidi", "Dana", "Eero",  "Fatima",
                                                       "Goran",  "Hana", "Ivana", "Jun",  "Keira", "Lars",
                                                       "Miriam", "Noor", "Olu",   "Pia"};
constexpr std::array<std::string_view, 16> last_names{"Abara",  "Berg",  "Costa",  "Dvorak", "Eriksen",  "Fontaine",
                                                      "Gupta",  "Huang", "Ito",    "Jansen", "Kowalski", "Lindqvist",
                                                      "Moreau", "Novak", "Okafor", "Park"};
constexpr std::array<std::string_view, 12> cities{"Aarhus", "Bologna", "Cork",  "Dakar",  "Espoo",  "Fukuoka",
                                                  "Gdansk", "Haifa",   "Izmir", "Jaipur", "Kigali", "Lima"};
constexpr std::array<std::string_view, 3> plans{"free", "team", "business"};
constexpr std::array<std::string_view, 8> interests{"chess", "climbing", "cooking", "go",
                                                    "jazz",  "maps",     "rowing",  "tea"};

template <std::size_t N>
std::string_view pick(splitmix64& bits, const std::array<std::string_view, N>& from) {
  return from[uniform_up_to(bits, N - 1)];
}

struct person {
  std::string id, name, email, city, plan, joined;
  std::string interest;
};

std::string two_digits(std::uint64_t n) {
  return (n < 10 ? "0" : "") + std::to_string(n);
}

person make_person(std::uint64_t seed, std::uint64_t number) {
  splitmix64 bits(splitmix64_mix(seed) ^ splitmix64_mix(number * 2 + 1));
  person p;
  p.id = generated_id(number);
  const std::string_view first = pick(bits, first_names);
  const std::string_view last = pick(bits, last_names);
  p.name = std::string(first) + " " + std::string(last);
  for (const char c : first) p.email += static_cast<char>(c | 0x20);
  p.email += "." + std::to_string(number) + "@example.com";
  p.city = pick(bits, cities);
  p.plan = pick(bits, plans);
  p.joined = std::to_string(2015 + uniform_up_to(bits, 10)) + "-" + two_digits(1 + uniform_up_to(bits, 11)) + "-" +
             two_digits(1 + uniform_up_to(bits, 27));
  p.interest = pick(bits, interests);
  return p;
}

}  // namespace

std::string generated_id(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  return "u" + std::string(digits.size() < 6 ? 6 - digits.size() : 0, '0') + digits;
}

profile_row generated_profile(std::uint64_t seed, std::uint64_t number) {
  const person p = make_person(seed, number);
  nlohmann::ordered_json body{{"id", p.id},     {"name", p.name},     {"email", p.email},      {"city", p.city},
                              {"plan", p.plan}, {"joined", p.joined}, {"interest", p.interest}};
  return {p.id, body.dump()};
}

void write_generated(std::ostream& out, row_format format, std::uint64_t seed, std::uint64_t count) {
  if (format == row_format::csv) out << "id,name,email,city,plan,joined,interest\n";
  for (std::uint64_t n = 1; n <= count; ++n) {
    if (format == row_format::json_lines) {
      out << generated_profile(seed, n).body << '\n';
    } else {
      const person p = make_person(seed, n);
      out << p.id << ',' << p.name << ',' << p.email << ',' << p.city << ',' << p.plan << ',' << p.joined << ','
          << p.interest << '\n';
    }
  }
}

}  // namespace holdfast::serve
