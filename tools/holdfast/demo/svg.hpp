// SPDX-License-Identifier: MIT
// svg: text that draws. Colours and fonts come from the page's style sheet through class names, so that one picture is
// readable on a light and on a dark page.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::demo {

struct point {
  double x = 0;
  double y = 0;
};

// For the text between tags and in attributes.
std::string escaped(std::string_view text);
// Without digits that no screen shows.
std::string coordinate(double value);

class svg {
 public:
  void rect(double x, double y, double width, double height, std::string_view classes, std::string_view title = {});
  void line(point from, point to, std::string_view classes);
  // Points with a NaN in y interrupt it.
  void polyline(const std::vector<point>& points, std::string_view classes);
  void polygon(const std::vector<point>& points, std::string_view classes);
  void text(point at, std::string_view what, std::string_view classes);
  [[nodiscard]] const std::string& str() const noexcept { return out_; }

 private:
  std::string out_;
};

}  // namespace holdfast::demo
