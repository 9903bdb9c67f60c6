// SIGINT and SIGTERM ask a program to finish what it has begun; the same signal a second time ends it at
// once.
#pragma once

namespace aikd::apps {

void watch_stop_signals();
int stop_signal() noexcept;  // 0: none came; else its number (exit with 128 + it)

}  // namespace aikd::apps
