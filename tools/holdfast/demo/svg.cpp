// SPDX-License-Identifier: MIT
#include "demo/svg.hpp"

#include <array>
#include <cmath>
#include <cstdio>

namespace holdfast::demo {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string coordinate(double value) {
  std::array<char, 32> out{};
  std::snprintf(out.data(), out.size(), "%.1f", value);
  std::string text = out.data();
  if (text.size() > 2 && text.compare(text.size() - 2, 2, ".0") == 0) text.resize(text.size() - 2);
  return text == "-0" ? "0" : text;
}

void svg::rect(double x, double y, double width, double height, std::string_view classes, std::string_view title) {
  out_ += "<rect x=\"" + coordinate(x) + "\" y=\"" + coordinate(y) + "\" width=\"" + coordinate(width) +
          "\" height=\"" + coordinate(height) + "\" class=\"" + std::string(classes) + "\"";
  out_ += title.empty() ? "/>\n" : "><title>" + escaped(title) + "</title></rect>\n";
}

void svg::line(point from, point to, std::string_view classes) {
  out_ += "<path d=\"M" + coordinate(from.x) + " " + coordinate(from.y) + "L" + coordinate(to.x) + " " +
          coordinate(to.y) + "\" class=\"" + std::string(classes) + "\"/>\n";
}

void svg::polyline(const std::vector<point>& points, std::string_view classes) {
  std::string path;
  bool drawing = false;
  for (const point& p : points) {
    if (std::isnan(p.y)) {
      drawing = false;
      continue;
    }
    path += (drawing ? "L" : "M") + coordinate(p.x) + " " + coordinate(p.y);
    drawing = true;
  }
  if (!path.empty()) out_ += "<path d=\"" + path + "\" class=\"" + std::string(classes) + "\"/>\n";
}

void svg::polygon(const std::vector<point>& points, std::string_view classes) {
  std::string path;
  for (const point& p : points) path += (path.empty() ? "M" : "L") + coordinate(p.x) + " " + coordinate(p.y);
  if (!path.empty()) out_ += "<path d=\"" + path + "Z\" class=\"" + std::string(classes) + "\"/>\n";
}

void svg::text(point at, std::string_view what, std::string_view classes) {
  out_ += "<text x=\"" + coordinate(at.x) + "\" y=\"" + coordinate(at.y) + "\" class=\"" + std::string(classes) +
          "\">" + escaped(what) + "</text>\n";
}

}  // namespace holdfast::demo
