// Text from files is shown to people only through these functions: a hostile name must not move the cursor of
// a terminal, forge a line of a log or fill the screen.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace aikd::io {

// Whether `text` is well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
bool is_utf8(std::string_view text) noexcept;

// Bytes of the well-formed UTF-8 sequence that begins at text[at], at < text.size(); 0 where there is none.
std::size_t utf8_length(std::string_view text, std::size_t at) noexcept;

// Printable text on one line: control characters (C0, DEL, C1), line and paragraph separators and the
// bidirectional controls become \n, \t, \xHH or \u{HEX}, a backslash is doubled, and bytes that are not UTF-8
// become \xHH. After `max_bytes` bytes of output the rest is cut and "..." is added.
std::string escape_for_terminal(std::string_view text, std::size_t max_bytes = 200);

// 'text', escaped and cut: how messages name what a file contains.
std::string in_quotes(std::string_view text, std::size_t max_bytes = 100);

}  // namespace aikd::io
