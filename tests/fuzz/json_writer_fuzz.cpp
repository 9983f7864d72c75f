// SPDX-License-Identifier: MIT
// json_writer: whatever is written into whatever room, the document is strict JSON that says what was written, as far as
// it goes, and says that it is truncated when it is.
#include <bit>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/telemetry/json_writer.hpp"

#include "fuzz/strict_json.hpp"
#include "fuzz/target.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;
using kind = json_event_kind;

// Drives a writer by the input and notes what the document should say.
class author {
 public:
  author(json_writer& writer, input& in) : writer_(writer), in_(in) {}

  void write() {
    begin(in_.byte());
    while (!open_.empty() && !in_.empty()) step();
    while (!open_.empty()) end();
  }

  std::vector<json_event> said;
  std::vector<double> reals;      // in the order of their events, which hold no text
  std::uint64_t replaced = 0;     // ill-formed pieces in all keys and texts
  std::size_t room_for_sure = 0;  // with so many bytes nothing may be truncated

 private:
  void step() {
    const std::uint8_t choice = in_.byte();
    if (choice % 16 == 0) return end();
    if (open_.back()) {
      const std::string_view name = in_.text(choice >> 4U);
      writer_.key(name);
      note_text(kind::key, name);
    }
    value(choice % 16);
  }

  void value(int choice) {
    room_for_sure += json_number_space + 2;
    switch (choice) {
      case 1:
      case 2:
        if (open_.size() < json_writer::max_depth) return begin(static_cast<std::uint8_t>(choice));
        [[fallthrough]];
      case 3: writer_.null(), said.push_back({kind::null}); break;
      case 4: writer_.value(true), said.push_back({kind::truth}); break;
      case 5: writer_.value(false), said.push_back({kind::falsehood}); break;
      case 6: {
        const std::uint64_t n = in_.number(8);
        writer_.value(n), said.push_back({kind::number, std::to_string(n)});
        break;
      }
      case 7: {
        const auto n = static_cast<std::int64_t>(in_.number(8));
        writer_.value(n), said.push_back({kind::number, std::to_string(n)});
        break;
      }
      case 8: {
        const auto n = static_cast<std::int8_t>(in_.byte());
        writer_.value(n), said.push_back({kind::number, std::to_string(n)});
        break;
      }
      case 9: note_real(std::bit_cast<double>(in_.number(8))); break;
      case 10: note_real(static_cast<double>(static_cast<std::int16_t>(in_.number(2))) / 100); break;
      default: {
        const std::string_view text = in_.text(in_.byte());
        writer_.value(text), note_text(kind::text, text);
      }
    }
  }

  void note_real(double value) {
    writer_.value(value);
    said.push_back({std::isfinite(value) ? kind::number : kind::null});
    if (std::isfinite(value)) reals.push_back(value);
  }
  void note_text(kind what, std::string_view text) {
    auto wanted = repaired(text);
    replaced += wanted.replaced;
    said.push_back({what, std::move(wanted.text)});
    room_for_sure += 6 * text.size() + 16 + 8;
  }
  void begin(std::uint8_t choice) {
    room_for_sure += 8;
    const bool object = choice % 2 != 0;
    open_.push_back(object);
    object ? writer_.begin_object() : writer_.begin_array();
    said.push_back({object ? kind::begin_object : kind::begin_array});
  }
  void end() {
    const bool object = open_.back();
    open_.pop_back();
    object ? writer_.end_object() : writer_.end_array();
    said.push_back({object ? kind::end_object : kind::end_array});
  }

  json_writer& writer_;
  input& in_;
  std::vector<bool> open_;  // true: an object
};

// Is `got` what was said at this place?
bool agrees(const json_event& got, const json_event& said, const double*& real) {
  if (got.kind != said.kind) return false;
  if (said.kind != kind::number || !said.text.empty()) return got.text == said.text;
  const double read = std::strtod(got.text.c_str(), nullptr);
  const double wanted = *real++;
  return read == wanted && std::signbit(read) == std::signbit(wanted);
}

bool closes(const json_event& e) {
  return e.kind == kind::end_object || e.kind == kind::end_array;
}

// A truncated document: a beginning of what was said, its last text perhaps shorter, then nothing but what closes it.
void check_truncated(const std::vector<json_event>& got, const author& wrote) {
  const bool object = wrote.said.front().kind == kind::begin_object;
  std::size_t last = got.size() - 1;  // closes the outermost
  if (object) {
    expect(last >= 3 && got[last - 1] == json_event{kind::truth} && got[last - 2] == json_event{kind::key, "truncated"},
           "a truncated object ends in \"truncated\":true");
    last -= 2;
  }
  std::size_t same = 0;
  const double* real = wrote.reals.data();
  while (same < last && same < wrote.said.size() && agrees(got[same], wrote.said[same], real)) ++same;
  expect(same > 0, "the outermost bracket is there");
  if (same < last && got[same].kind == kind::text) {
    expect(wrote.said[same].kind == kind::text &&
               wrote.said[same].text.compare(0, got[same].text.size(), got[same].text) == 0,
           "a text that was cut is how the whole one begins");
    ++same;
  }
  for (; same < last; ++same) expect(closes(got[same]), "nothing but closing brackets behind what did not fit");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  const std::size_t room = json_writer::min_buffer + in.byte() * 4U;
  const std::unique_ptr<char[]> buffer(new char[room]);  // exact, for the sanitizer
  json_writer writer(std::span(buffer.get(), room));
  author wrote(writer, in);
  wrote.write();

  expect(writer.view().data() == buffer.get() && writer.view().size() <= room, "the document is inside its buffer");
  strict_json json(writer.view());
  expect(json.read(), "strict JSON");
  if (writer.truncated()) {
    expect(wrote.room_for_sure + 64 > room, "not truncated where everything fits for sure");
    expect(writer.invalid() <= wrote.replaced, "no replacement is counted twice");
    check_truncated(json.events(), wrote);
  } else {
    expect(writer.invalid() == wrote.replaced, "each replacement is counted");
    expect(json.events().size() == wrote.said.size(), "everything that was written");
    const double* real = wrote.reals.data();
    for (std::size_t i = 0; i < wrote.said.size(); ++i)
      expect(agrees(json.events()[i], wrote.said[i], real), "what was written, in its order");
  }
  return 0;
}
