// What --self-test expects. Made by tests/golden/self_test/make_self_test.py with Pillow 13.0.0,
// OpenCV 4.10.0, PyTorch 2.15.0+cu132 and NumPy 2.4.6.
#pragma once

#include <string_view>

namespace aikd::apps {

inline constexpr std::string_view kPictureSha =
    "3a82c70f356c83346ab5446cfcc73d132b2f69031d5f519fbf1da1fd072b269e";
inline constexpr std::string_view kResizedSha =
    "b145b2c9a989456e9b6f6bc0b6226db42d62e32c2b31924bec29236fa34f8954";
inline constexpr std::string_view kAlignedSha =
    "20ab5388c72dff18e22acfe8cc311a8d5bc5064d9b4656548b86aca41116970f";
inline constexpr double kExpectedNorms[2] = {1.112175961, 1.668514241};
inline constexpr double kExpectedScores[2] = {-0.034398645, 0.046979045};

}  // namespace aikd::apps
